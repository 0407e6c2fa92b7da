"""
Sinks that were taken out of the configuration: what is kept for them in case they come back.
"""

from collections.abc import Container

from twisted.logger import Logger

from sensord.store import journal
from sensord.store.service import Store

_log = Logger()


async def warn(store: Store, sinks: Container[str]) -> None:
    """
    Say in the log which those are: nobody else would notice that the database only grows.

    @param sinks: the names of those that are in the configuration.
    """
    for name in await store.read(journal.cursors):
        if name not in sinks:
            _log.warn(
                "{name}: is no sink of the configuration any more; what comes in is kept for it,"
                ' however old it gets, until it is back or "sensord sinks forget {name}" gives it'
                " up",
                name=name,
            )

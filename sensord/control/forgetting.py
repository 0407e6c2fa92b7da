"""
Forgetting a device that is gone for good: when it was heard, and what other programs keep of it.
What it has measured stays.
"""

from collections.abc import Iterable
from functools import partial

from msgspec import Struct
from twisted.logger import Logger

from sensord.control.answers import Names
from sensord.control.asking import answered
from sensord.control.query import Fault
from sensord.control.sending import Outlet
from sensord.presence import Presence
from sensord.store import journal
from sensord.store.service import Store
from sensord.tables import meant

_log = Logger()


class Gone(Struct):
    """
    Which device is meant.

    @ivar device: its name, or its address; or a name that it had before.
    """

    device: str


class Forgotten(Struct):
    """
    What was forgotten.

    @ivar device: the name.
    @ivar addresses: where it was heard; there are none for a name that it had before.
    """

    device: str
    addresses: list[str]


async def forget(
    gone: Gone,
    names: Names,
    presence: Presence,
    store: Store,
    sinks: Iterable[Outlet],
    who: str,
) -> Forgotten:
    """
    Forget a device.

    @raise Fault: if there is none, or if it is there just now.
    """
    name = names.label(gone.device)
    heard = [one for one in presence if one.heard and name in (one.name, one.address)]
    measured = await answered(store.read(partial(journal.measured, name)))
    if not heard and not measured:
        known = [one.name for one in presence]
        raise Fault(404, f'there is no device "{gone.device}"{meant(gone.device, known)}')
    present = set(presence.present())
    if any(one.address in present for one in heard):
        raise Fault(409, f"{name} is connected: it would be back at once")
    for record in heard:
        record.forget()
    for sink in sinks:
        sink.forget(name, measured)
    _log.info("{name}: forgotten by {who}", name=name, who=who)
    return Forgotten(name, [record.address for record in heard])

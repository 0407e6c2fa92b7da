"""
Dead letters that somebody wants to be tried again. That they are wanted is written down with them,
so it outlasts a restart.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from twisted.logger import Logger

from sensord.rarely import Rarely
from sensord.sinks import Sink, late
from sensord.sinks.delivery import Line, deliver
from sensord.store import letters
from sensord.store.journal import Entry
from sensord.store.service import Store

#: How many are tried at a time, so that what comes in need not wait for long.
_MOST = 500


class Retry:
    """
    Offers dead letters to one sink again.

    @param name: the name of the sink.
    """

    _log = Logger()

    def __init__(self, name: str, clock: Any, store: Store, sink: Sink, line: Line) -> None:
        self._name = name
        self._store = store
        self._most = min(sink.most, _MOST)
        self._write = partial(line.write, late(sink, False))
        self._rarely = Rarely(self._log, clock)
        self._delivered = 0

    async def step(self) -> bool:
        """
        Offer some that are wanted.

        @return: whether there may be more.
        """
        found = await self._store.read(partial(letters.waiting, self._name, self._most))
        if found:
            places: dict[int, list[int]] = {}
            for id, entry in found:
                places.setdefault(entry.id, []).append(id)
            batch = sorted((entry for _id, entry in found), key=lambda entry: entry.id)
            await deliver(batch, self._write, partial(self._settle, places))
        elif self._delivered:
            self._log.info(
                "{name}: {count} dead letters were passed on",
                name=self._name,
                count=self._delivered,
            )
            self._delivered = 0
        return bool(found)

    async def _settle(
        self,
        places: Mapping[int, Sequence[int]],
        batch: Sequence[Entry],
        refused: Mapping[int, str],
    ) -> None:
        """
        Some were dealt with.

        @param places: the ids of dead letters, by those of their readings.
        @param refused: why readings were not taken, by their ids.
        """
        taken = [id for entry in batch if entry.id not in refused for id in places[entry.id]]
        dead = {id: why for reading, why in refused.items() for id in places[reading]}
        job = partial(letters.settle, self._name, taken, dead)
        self._delivered += await self._store.write(job)
        for why in dict.fromkeys(dead.values()):
            self._rarely.warn(
                "dead",
                "",
                "{name}: {count} dead letters were refused again: {why}",
                name=self._name,
                count=sum(each == why for each in dead.values()),
                why=why,
            )

"""
The ways out of a gateway: how they are made, and how they go on when their settings change.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sensord.lineup import Lineup
from sensord.outlets import SinkSettings
from sensord.presence import Presence
from sensord.sinks import kinds
from sensord.sinks.outbox import Outbox
from sensord.store.service import Store
from sensord.worker import Worker


class Outward:
    """
    The ways out.

    @param worker: makes what runs blocking calls. Each sink has its own: a share that hangs holds
        up nobody else.
    @ivar sinks: all of them, by name. It is always the same dictionary.
    """

    def __init__(
        self,
        reactor: Any,
        settings: Sequence[SinkSettings],
        presence: Presence,
        store: Store,
        worker: Callable[[str], Worker],
    ) -> None:
        self._reactor = reactor
        self._presence = presence
        self._store = store
        self._worker = worker
        self._workers: dict[Outbox, Worker] = {}
        self._started = False
        self._lineup: Lineup[SinkSettings, Outbox] = Lineup(self._make, _same, self._leave)
        self._lineup.fill({one.name: one for one in settings})
        self.sinks = self._lineup.members

    def start(self) -> None:
        """
        Let blocking calls be made.
        """
        self._started = True
        for worker in self._workers.values():
            worker.start()

    def stop(self) -> None:
        """
        Make no more of them. This blocks until those that are under way are done, or hang.
        """
        self._started = False
        for worker in self._workers.values():
            worker.stop()

    async def change(self, settings: Sequence[SinkSettings]) -> None:
        """
        Have other sinks. One whose settings change finishes its batch, or gives it up, and goes on
        where it was.
        """
        await self._lineup.change({one.name: one for one in settings})

    def _make(self, settings: SinkSettings) -> Outbox:
        """
        One way out.
        """

        def interval(address: str) -> float:
            record = self._presence.get(address)
            return record.interval if record is not None else 0.0

        worker = self._worker(f"sensord-{settings.name}")
        if self._started:
            worker.start()
        make = kinds.SINKS[settings.kind]
        sink = make(self._reactor, settings, worker.run, interval, self._store.now)
        outbox = Outbox(self._reactor, self._store, sink, settings)
        self._workers[outbox] = worker
        return outbox

    async def _leave(self, outbox: Outbox) -> None:
        self._workers.pop(outbox).leave()


async def _same(outbox: Outbox, before: SinkSettings, after: SinkSettings) -> bool:
    """
    Whether a sink can go on as it is.
    """
    return before == after

"""
What the control API does with sinks: how they are, their dead letters, and replays.

A replay is a response that goes on for as long as the replay does: Server-Sent Events, each with
the name C{progress} and a L{Progress<sensord.sinks.replay.Progress>}; the last one says how it has
ended. When whoever asked hangs up, the replay is stopped.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct, json
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from sensord.control.answers import Names
from sensord.control.asking import answered, shielded
from sensord.control.follower import Follower
from sensord.control.query import Fault, instant
from sensord.control.sending import Outlet, Playback, Sending, sending, strays
from sensord.store import journal, letters
from sensord.store.letters import Letter
from sensord.store.service import Store
from sensord.tables import meant

#: Seconds between two events of a replay.
_EVERY = 0.5

_ACTIONS = ("pause", "resume", "forget")

_ANY = re.compile("")


class Choice(Struct):
    """
    Which dead letters are meant: those with some ids, those of a sink, or all.
    """

    ids: list[int] = []
    sink: str = ""
    all: bool = False


class Past(Struct):
    """
    What is to be sent again: from when, until when (not included), and of which device.
    """

    start: str
    end: str = "forever"
    device: str = ""


class Outlets:
    """
    The ways out.

    @param sinks: those of the configuration, by name.
    """

    _log = Logger()

    def __init__(self, clock: Any, store: Store, names: Names, sinks: Mapping[str, Outlet]) -> None:
        self._clock = clock
        self._store = store
        self._names = names
        self._sinks = sinks
        self._replays: list[Playback] = []

    def close(self) -> None:
        """
        End all replays.
        """
        for replay in tuple(self._replays):
            replay.stop("the daemon is stopping")

    async def describe(self) -> Sequence[Sending]:
        """
        How all sinks are, with those that only the ledger knows.
        """
        lines = await answered(self._store.read(journal.figures))
        return [*sending(self._sinks, lines), *strays(self._sinks, lines)]

    async def switch(self, name: str, action: str, who: str) -> Sending:
        """
        Let a sink rest or go on, or forget one.

        @raise Fault: if that is not possible.
        """
        if action not in _ACTIONS:
            why = f'a sink can "pause", "resume", "forget" or "replay"{meant(action, _ACTIONS)}'
            raise Fault(404, why)
        if action == "forget":
            return await answered(shielded(Deferred.fromCoroutine(self._forget(name, who))))
        sink = self._sink(name)
        await answered(shielded(Deferred.fromCoroutine(sink.pause(action == "pause"))))
        self._log.info("{name}: {action} by {who}", name=name, action=action, who=who)
        return sending({name: sink}, await answered(self._store.read(journal.figures)))[0]

    async def letters(self, sink: str, limit: int) -> Sequence[Letter]:
        """
        Dead letters, the newest first.

        @param sink: empty is all.
        """
        return await answered(self._store.read(partial(letters.listed, sink, limit)))

    async def retry(self, choice: Choice, who: str) -> Mapping[str, int]:
        """
        Have dead letters tried again.

        @return: how many, by their sinks.
        @raise Fault: if there are no such.
        """

        async def retry(sink: str, ids: Sequence[int]) -> int:
            count = await self._store.write(partial(letters.retry, ids))
            self._sinks[sink].retry()
            return count

        return await self._each(choice, list(self._sinks), False, retry, f"tried again by {who}")

    async def drop(self, choice: Choice, who: str) -> Mapping[str, int]:
        """
        Give dead letters up.

        @return: how many, by their sinks.
        @raise Fault: if there are no such.
        """

        async def drop(sink: str, ids: Sequence[int]) -> int:
            return await self._store.write(partial(letters.drop, sink, ids))

        known = list(await answered(self._store.read(journal.cursors)))
        return await self._each(choice, known, True, drop, f"dropped by {who}")

    async def replay(self, request: Any, name: str, asked: Past, who: str) -> None:
        """
        Send history again, and tell of it until it is over, or until nobody listens any more.

        @raise Fault: if that is not possible.
        """
        sink, now = self._sink(name), self._clock.seconds()
        start, end = instant("start", asked.start, now), instant("end", asked.end, now)
        if start >= end:
            raise Fault(400, "start: lies behind the end")
        device = self._names.label(asked.device)
        if device and not await answered(self._store.read(partial(journal.measured, device))):
            known = [one.label for one in self._names.devices.values()]
            raise Fault(404, f'there are no readings of "{device}"{meant(device, known)}')
        if sink.unable:
            raise Fault(409, sink.unable)
        replay = sink.replay(start, end, device)
        self._log.info("{name}: a replay is begun by {who}", name=name, who=who)
        self._replays.append(replay)
        try:
            await self._watch(request, replay)
        finally:
            self._replays.remove(replay)
            replay.stop("nobody waits for it any more")

    async def _watch(self, request: Any, replay: Playback) -> None:
        """
        Tell of a replay until it is over.
        """
        follower = Follower(request, _ANY, _ANY)
        told = False

        def tell() -> None:
            nonlocal told
            if not told and (replay.over or not follower.waiting):
                told = replay.over
                follower.send(b"event: progress\ndata: %s\n\n" % json.encode(replay.progress))
            if told and not follower.waiting:
                follower.end()

        following = Deferred.fromCoroutine(follower.follow())
        telling = LoopingCall(tell)
        telling.clock = self._clock
        telling.start(_EVERY).addErrback(lambda failure: self._log.failure("replay", failure))
        replay.follow(tell)
        try:
            await following
        finally:
            if telling.running:
                telling.stop()

    async def _forget(self, name: str, who: str) -> Sending:
        """
        Give up the place of a sink in the journal, and its dead letters.
        """
        if name in self._sinks:
            why = "take it out of the configuration, and restart the daemon"
            raise Fault(409, f"{name} is in use: {why}")
        lines = await self._store.read(journal.figures)
        gone = {one.name: one for one in strays(self._sinks, lines)}
        if name not in gone:
            raise Fault(404, f'there is no sink "{name}"{meant(name, gone)}')
        last = await self._store.read(letters.last)
        while ids := await self._store.read(partial(letters.several, name, 0, last, True)):
            await self._store.write(partial(letters.drop, name, ids))
        await self._store.write(partial(journal.forget, name))
        self._log.info("{name}: forgotten by {who}", name=name, who=who)
        return gone[name]

    async def _each(
        self,
        choice: Choice,
        known: Sequence[str],
        waiting: bool,
        job: Callable[[str, Sequence[int]], Awaitable[int]],
        what: str,
    ) -> Mapping[str, int]:
        """
        Do something with dead letters, some at a time.

        @param known: the sinks whose letters it can be done with.
        @param waiting: whether those that wait to be tried again are among all.
        @param job: is given a sink and ids, and tells of how many it has done it.
        @param what: what is done, for the log.
        """
        if (choice.all and choice.ids) or not (choice.all or choice.ids or choice.sink):
            raise Fault(400, "say which: ids, a sink, or all")
        if choice.sink and choice.sink not in known:
            if choice.sink in await answered(self._store.read(journal.cursors)):
                raise Fault(409, _gone(choice.sink))
            raise Fault(404, f'there is no sink "{choice.sink}"{meant(choice.sink, known)}')
        counts: dict[str, int] = {}

        async def named() -> None:
            found = await self._store.read(partial(letters.owners, choice.ids))
            for id in choice.ids:
                if id not in found or choice.sink not in ("", found[id]):
                    of = f" of {choice.sink}" if choice.sink else ""
                    raise Fault(404, f"there is no dead letter {id}{of}")
                if found[id] not in known:
                    raise Fault(409, _gone(found[id]))
            for sink in dict.fromkeys(found.values()):
                ids = [id for id, owner in found.items() if owner == sink]
                counts[sink] = await job(sink, ids)

        async def every() -> None:
            last = await self._store.read(letters.last)
            for sink in [choice.sink] if choice.sink else known:
                after = 0
                while ids := await self._store.read(
                    partial(letters.several, sink, after, last, waiting)
                ):
                    counts[sink] = counts.get(sink, 0) + await job(sink, ids)
                    after = max(ids)

        work = named() if choice.ids else every()
        await answered(shielded(Deferred.fromCoroutine(work)))
        for sink, count in counts.items():
            self._log.info(
                "{name}: {count} dead letters are {what}", name=sink, count=count, what=what
            )
        return counts

    def _sink(self, name: str) -> Outlet:
        """
        @raise Fault: if there is none.
        """
        if name not in self._sinks:
            raise Fault(404, f'there is no sink "{name}"{meant(name, self._sinks)}')
        return self._sinks[name]


def _gone(sink: str) -> str:
    return (
        f"{sink} is in the configuration no more: its dead letters can be dropped, and that is all"
    )

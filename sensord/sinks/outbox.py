"""
The outbox of a sink: it reads the journal from where the sink stands, writes a batch, and moves on
only when that has succeeded. So a sink that is down for a week loses nothing, and none waits for
another.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from random import random
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from sensord.outlets import SinkSettings
from sensord.rarely import Rarely
from sensord.sinks import Entry, Misconfigured, Poison, Series, Sink, SinkError, Transient
from sensord.store import journal
from sensord.store.account import NotStored
from sensord.store.schema import StoreError
from sensord.store.service import Store

#: Seconds between two attempts: at first, and at most; and while somebody has to do something.
_FIRST, _MOST, _MISCONFIGURED = 1.0, 300.0, 60.0

#: The longest that the other side can ask to be left alone, in seconds. Without it, a sink could be
#: put to sleep for ever by one header.
_LONGEST = 3600.0

#: How much of a delay is left to chance, so that gateways do not all come back in one moment.
_JITTER = 0.2

#: Seconds that a batch under way may take when the gateway stops.
_GRACE = 5.0

#: Seconds between two looks at whether a backlog is too long.
_EXPIRE = 60.0

#: How many readings may wait for their commit while a backlog is drained. Beyond, live readings go
#: first.
_BUSY = 5_000

#: What is not our fault.
_TROUBLE = (SinkError, StoreError, NotStored, sqlite3.Error)

_NONE: Mapping[int, str] = {}

#: Seconds until a backlog is drained further after it gave way to live readings.
_YIELD = 0.05


class Outbox(Service):
    """
    What a sink still has to deal with.

    @ivar state: C{flowing}, C{retrying}, C{misconfigured}, C{paused}, or C{held} if the settings
        say that it is not to send.
    @ivar error: what went wrong last; empty if nothing has since it last succeeded.
    @param chance: a number from 0 to 1, a new one each time.
    """

    name: str
    _log = Logger()

    def __init__(
        self,
        clock: Any,
        store: Store,
        sink: Sink,
        settings: SinkSettings,
        chance: Callable[[], float] = random,
    ) -> None:
        self.name = settings.name
        self.error = ""
        self._clock = clock
        self._store = store
        self._sink = sink
        self._settings = settings
        self._chance = chance
        self._rarely = Rarely(self._log, clock)
        self._age, self._most = settings.limits()
        self._known: dict[int, Series] = {}
        self._failures = 0
        self._misconfigured = False
        self._paused = False
        self._expired = float("-inf")
        self._sleeping: tuple[Deferred[None], IDelayedCall | None, bool] | None = None
        self._ran: Deferred[None] | None = None
        self._writing: Deferred[None] | None = None
        self._unfollow: Callable[[], None] = lambda: None

    @property
    def kind(self) -> str:
        """
        What kind of sink it has.
        """
        return self._settings.kind

    @property
    def state(self) -> str:
        """
        How it is.
        """
        if not self._settings.active:
            return "held"
        if self._paused:
            return "paused"
        if self._misconfigured:
            return "misconfigured"
        return "retrying" if self._failures else "flowing"

    def startService(self) -> None:
        """
        Begin where it ended. The store is open.
        """
        super().startService()
        self._sink.start()
        self._unfollow = self._store.follow(lambda _readings: self._wake(False))
        ran: Deferred[None] = Deferred()
        self._ran = ran
        running = Deferred.fromCoroutine(self._run())
        running.addErrback(lambda failure: self._log.failure("{name}", failure, name=self.name))
        running.addBoth(lambda _result: ran.callback(None))

    def stopService(self) -> Deferred[None]:
        """
        Finish the batch that is under way, or give it up; what was not passed on stays.

        @return: fires when that is done.
        """
        super().stopService()
        self._unfollow()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        grace = self._clock.callLater(_GRACE, self._giveUp)
        self._wake(True)
        if self._ran is not None:
            await self._ran
        if grace.active():
            grace.cancel()
        await self._sink.stop()

    def _giveUp(self) -> None:
        if self._writing is not None:
            self._writing.cancel()

    async def pause(self, paused: bool) -> None:
        """
        Let it rest, or go on; also after a restart.

        @raise Exception: if that cannot be written down.
        """
        await self._store.write(lambda connection: journal.pause(connection, self.name, paused))
        self._paused = paused
        self._failures, self._misconfigured = 0, False
        self._wake(True)

    async def _run(self) -> None:
        """
        Pass on what there is, and wait for more.
        """
        await self._begin()
        while self.running:
            await self._expire()
            if self._paused or not self._settings.active:
                await self._sleep(_EXPIRE)
                continue
            try:
                batch = await self._store.read(
                    lambda connection: journal.upcoming(
                        connection, self.name, self._sink.most, self._known
                    )
                )
                if batch:
                    await self._deliver(batch)
            except CancelledError:
                continue  # it is being stopped
            except Exception as error:
                if not isinstance(error, _TROUBLE) and not self._failures:
                    self._log.failure("{name}", name=self.name)
                await self._sleep(self._fail(error))
                continue
            await self._rest(len(batch))

    async def _begin(self) -> None:
        """
        Find out where it stands.
        """
        beginning = self._settings.start == "beginning"
        while self.running:
            try:
                await self._store.write(
                    lambda connection: journal.enter(connection, self.name, beginning)
                )
                lines = await self._store.read(journal.figures)
            except Exception as error:
                await self._sleep(self._fail(error))
                continue
            self._paused = any(line.paused for line in lines if line.sink == self.name)
            return

    async def _rest(self, count: int) -> None:
        """
        Wait until it is worth while to read again.

        @param count: how many there were the last time.
        """
        if count == 0:
            await self._sleep(None, gathering=True)
        elif count < self._sink.most:
            await self._sleep(self._settings.interval, gathering=True)
        while self.running and self._store.pending > _BUSY:
            await self._sleep(_YIELD)

    async def _deliver(self, batch: Sequence[Entry], dead: Mapping[int, str] = _NONE) -> None:
        """
        Pass on a batch. What is poison becomes a dead letter: if the other side does not say what
        it is, it is looked for by halves.

        @param dead: why entries are poison, as far as it is known, by their ids.
        @raise SinkError: if the batch has to come again, or a part of it: what was passed on before
            does not.
        """
        found = dict(dead)
        while good := [entry for entry in batch if entry.id not in found]:
            try:
                await self._write(good)
                break
            except Poison as poison:
                bad = poison.ids & {entry.id for entry in good}
                if len(good) == 1:
                    bad = frozenset([good[0].id])
                if not bad:
                    half = len(batch) // 2
                    await self._deliver(batch[:half], found)
                    await self._deliver(batch[half:], found)
                    return
                found |= dict.fromkeys(bad, str(poison))
        await self._advance(batch, found)

    async def _write(self, entries: Sequence[Entry]) -> None:
        self._writing = self._sink.write(entries)
        try:
            await self._writing
        finally:
            self._writing = None

    async def _advance(self, batch: Sequence[Entry], found: Mapping[int, str]) -> None:
        dead = {entry.id: found[entry.id] for entry in batch if entry.id in found}
        await self._store.write(
            lambda connection: journal.advance(connection, self.name, batch, dead)
        )
        for why in dict.fromkeys(dead.values()):
            self._rarely.warn(
                "dead",
                "",
                "{name}: {count} readings became dead letters: {why}",
                name=self.name,
                count=sum(each == why for each in dead.values()),
                why=why,
            )
        if self._failures:
            self._log.info("{name}: readings are passed on again", name=self.name)
        self._failures, self._misconfigured, self.error = 0, False, ""

    def _fail(self, error: Exception) -> float:
        """
        Note that a batch was not passed on.

        @return: the seconds to wait.
        """
        self.error = str(error) or type(error).__name__
        misconfigured = isinstance(error, Misconfigured)
        if not self._failures or misconfigured != self._misconfigured:
            say = self._log.error if misconfigured else self._log.warn
            say(
                "{name}: readings cannot be passed on ({error}); they are kept, and it is tried"
                " again",
                name=self.name,
                error=self.error,
            )
        self._failures += 1
        self._misconfigured = misconfigured
        delay = min(_FIRST * 2.0 ** min(self._failures - 1, 16), _MOST)
        if misconfigured:
            delay = _MISCONFIGURED
        delay *= 1 + _JITTER * self._chance()
        if isinstance(error, Transient):
            delay = max(delay, min(error.after, _LONGEST))
        return delay

    async def _expire(self) -> None:
        """
        Give up what is beyond the longest backlog that is allowed.
        """
        now = self._clock.seconds()
        if (self._age, self._most) == (None, None) or now - self._expired < _EXPIRE:
            return
        self._expired = now
        before = None if self._age is None else int((self._store.now() - self._age) * 1e6)
        try:
            gone = await self._store.write(
                lambda connection: journal.expire(connection, self.name, before, self._most)
            )
        except Exception as error:
            self._fail(error)
            return
        if gone is not None:
            count, start, end = gone
            self._log.error(
                "{name}: {count} readings from {start} to {end} (microseconds) were given up, since"
                " its backlog was too long",
                name=self.name,
                count=count,
                start=start,
                end=end,
            )

    def _sleep(self, seconds: float | None, gathering: bool = False) -> Deferred[None]:
        """
        Wait.

        @param seconds: how long; L{None} is until there is something new.
        @param gathering: whether something new ends the wait, if there is no other end to it.
        """
        slept: Deferred[None] = Deferred()
        timer = None
        if not self.running:
            slept.callback(None)
            return slept
        if seconds is not None:
            timer = self._clock.callLater(seconds, self._wake, True)
        self._sleeping = slept, timer, gathering and seconds is None
        return slept

    def _wake(self, now: bool) -> None:
        """
        End the wait.

        @param now: whatever it is for; otherwise only if it is for something new, after the time in
            which more is gathered.
        """
        if self._sleeping is None:
            return
        slept, timer, gathering = self._sleeping
        if not now:
            if gathering:
                delay = self._settings.interval
                self._sleeping = slept, self._clock.callLater(delay, self._wake, True), False
            return
        self._sleeping = None
        if timer is not None and timer.active():
            timer.cancel()
        slept.callback(None)

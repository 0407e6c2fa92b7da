"""
The outbox of a sink: it reads the journal from where the sink stands, writes a batch, and moves on
only when that has succeeded. So a sink that is down for a week loses nothing, and none waits for
another.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from random import random
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from sensord.outlets import SinkSettings
from sensord.rarely import Rarely
from sensord.sinks import Entry, Forgetful, Misconfigured, Particular, Sink
from sensord.sinks.ahead import Ahead
from sensord.sinks.delivery import TROUBLE, Line, delay, deliver
from sensord.sinks.errands import Errand
from sensord.sinks.replay import Replay, Replays
from sensord.sinks.retry import Retry
from sensord.store import journal
from sensord.store.service import Store

#: Seconds that a batch under way may take when the gateway stops.
_GRACE = 5.0

#: Seconds between two looks at whether a backlog is too long.
_EXPIRE = 60.0

#: How many readings may wait for their commit while a backlog is drained. Beyond, live readings go
#: first.
_BUSY = 5_000

#: The states that show what is sent out of turn, the worst last.
_STATES = ("flowing", "retrying", "misconfigured")

#: Seconds until another look while a backlog gives way to live readings, and how often it looks
#: before it goes on with one batch all the same.
_YIELD, _YIELDS = 0.05, 20


class Outbox(Service):
    """
    What a sink still has to deal with.

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
        self._clock = clock
        self._store = store
        self._sink = sink
        self._settings = settings
        self._chance = chance
        self._rarely = Rarely(self._log, clock)
        self._age, self._most = settings.limits()
        self._ahead = Ahead(self.name, store, sink)
        self._line = Line(clock)
        self._write = partial(self._line.write, sink.write)
        self._replays = Replays(self.name, store, sink, self._line)
        retry = Retry(self.name, clock, store, sink, self._line)
        self._retrying = self._errand("dead letters", retry.step)
        self._replaying = self._errand("readings of a replay", self._replays.step)
        self._errands = self._retrying, self._replaying
        self._error = ""
        self._failures = 0
        self._misconfigured = False
        self._paused = False
        self._expired = float("-inf")
        self._sleeping: tuple[Deferred[None], IDelayedCall | None, bool] | None = None
        self._ran: Deferred[None] | None = None
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
        How it is: C{flowing}, C{retrying}, C{misconfigured}, C{paused}, or C{held} if the settings
        say that it is not to send.
        """
        state = self._rhythm()
        if state != "flowing":
            return state
        return max((errand.state for errand in self._errands), key=_STATES.index)

    @property
    def error(self) -> str:
        """
        What went wrong last, or that there is no answer; empty if it last succeeded.
        """
        errors = self._line.silence, self._error, *(one.error for one in self._errands)
        return next(filter(None, errors), "")

    @property
    def unable(self) -> str:
        """
        Why it cannot be sent history again just now; empty if it can.
        """
        if not self.running:
            return "the daemon is stopping"
        if not self._settings.active:
            return f"{self.name} is held: the settings say active = false"
        if self._replays.current is not None:
            return f"{self.name} has a replay that is under way already"
        return self._sink.once if isinstance(self._sink, Particular) else ""

    def _rhythm(self) -> str:
        """
        How the passing on of what comes in is.
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
        self._line.open()
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
        grace = self._clock.callLater(_GRACE, self._line.cut)
        self._wake(True)
        if self._replays.current is not None:
            self._replays.current.stop("the daemon is stopping")
        for errand in self._errands:
            await errand.stop()
        if self._ran is not None:
            await self._ran
        if grace.active():
            grace.cancel()
        await self._sink.stop()

    async def pause(self, paused: bool) -> None:
        """
        Let it rest, or go on; also after a restart.

        @raise Exception: if that cannot be written down.
        """
        await self._store.write(lambda connection: journal.pause(connection, self.name, paused))
        self._paused = paused
        self._failures, self._misconfigured = 0, False
        self._line.hurry()
        self._wake(True)
        self._go()

    def retry(self) -> None:
        """
        There are dead letters that are to be tried again.
        """
        self._retrying.ask()

    def forget(self, device: str, names: Sequence[str]) -> None:
        """
        A device is gone for good. See L{Forgetful.forget}.
        """
        if isinstance(self._sink, Forgetful):
            self._sink.forget(device, names)

    def replay(self, start: int, end: int, device: str = "") -> Replay:
        """
        Send history again, unless it is L{unable}.

        @param start: the first time, in microseconds since the epoch.
        @param end: likewise, not included.
        @param device: only what this one has measured; empty is all.
        """
        replay = Replay(self.name, start, end, device, lambda: self._replaying.hindrance)
        self._replays.begin(replay)
        self._replaying.ask()
        return replay

    async def _run(self) -> None:
        """
        Pass on what there is, and wait for more.
        """
        await self._begin()
        if self.running:  # not before it is known whether it is paused
            for errand in self._errands:
                errand.start()
        while self.running:
            await self._expire()
            if self._paused or not self._settings.active:
                await self._sleep(_EXPIRE)
                continue
            try:
                batch = await self._ahead.take()
                if batch:
                    self._ahead.look(batch)
                    await deliver(batch, self._write, self._advance)
            except CancelledError:
                continue  # it is being stopped
            except Exception as error:
                self._ahead.forget()
                if not isinstance(error, TROUBLE) and not self._failures:
                    self._log.failure("{name}", name=self.name)
                await self._sleep(self._fail(error))
                continue
            await self._rest(len(batch))
        self._ahead.forget()

    async def _begin(self) -> None:
        """
        Find out where it stands.
        """
        beginning = self._settings.start == "beginning"

        def enter(connection: sqlite3.Connection) -> None:
            journal.enter(connection, self.name, beginning)
            if self._paused:
                journal.pause(connection, self.name, True)

        self._store.always(enter)  # a journal that is begun in place of this one has it, too
        while self.running:
            try:
                await self._store.write(enter)
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
        for _ in range(_YIELDS):
            if self._store.pending <= _BUSY:
                return
            await self._sleep(_YIELD)

    async def _advance(self, batch: Sequence[Entry], dead: Mapping[int, str]) -> None:
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
        failed, self._failures, self._misconfigured, self._error = self._failures, 0, False, ""
        if failed:
            self._log.info("{name}: readings are passed on again", name=self.name)
            self._go()

    def _errand(self, what: str, step: Callable[[], Awaitable[bool]]) -> Errand:
        return Errand(self.name, what, self._clock, self._store, step, self._rhythm, self._chance)

    def _go(self) -> None:
        """
        Let what is sent out of turn see how things are now.
        """
        for errand in self._errands:
            errand.wake(True)

    def _fail(self, error: Exception) -> float:
        """
        Note that a batch was not passed on.

        @return: the seconds to wait.
        """
        self._error = str(error) or type(error).__name__
        misconfigured = isinstance(error, Misconfigured)
        if not self._failures or misconfigured != self._misconfigured:
            say = self._log.error if misconfigured else self._log.warn
            say(
                "{name}: readings cannot be passed on ({error}); they are kept, and it is tried"
                " again",
                name=self.name,
                error=self._error,
            )
        self._failures += 1
        self._misconfigured = misconfigured
        return delay(self._failures, error, self._chance())

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
                lambda connection: journal.expire(
                    connection, self.name, before, self._most, int(self._store.now() * 1e6)
                )
            )
        except Exception as error:
            self._fail(error)
            return
        if gone is not None:
            self._ahead.forget()
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
                seconds = self._settings.interval
                self._sleeping = slept, self._clock.callLater(seconds, self._wake, True), False
            return
        self._sleeping = None
        if timer is not None and timer.active():
            timer.cancel()
        slept.callback(None)

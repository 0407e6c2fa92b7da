"""
The storage service. Whatever is recorded waits for the transaction that is being written, then
forms the next one together with all that came meanwhile; the Deferreds fire from the commit.
"""

import sqlite3
from collections.abc import Callable, Sequence
from random import sample
from typing import Protocol, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from sensord.reading import Intake, Reading
from sensord.settings import StoreSettings, span
from sensord.store.account import Account, NotStored, Waiting
from sensord.store.archive import Archive, Current, Point
from sensord.store.commits import Commits
from sensord.store.database import Database, Part
from sensord.store.expiry import Expiry
from sensord.store.followers import Flow, Followers

T = TypeVar("T")

#: Readings that are committed without waiting for the window to pass: sharing a commit among more
#: of them gains nothing.
_ENOUGH = 10_000

#: Seconds between attempts to commit while the database cannot: at first, and at most.
_RETRY_FIRST, _RETRY_MOST = 0.25, 8.0

#: The fractions of C{max_pending} at which devices are held back, and let go on.
_FULL, _DRAINED = 0.8, 0.5


class Run(Protocol):
    """
    Runs a blocking call elsewhere.
    """

    def __call__(self, call: Callable[[], T], /) -> Deferred[T]:
        """
        @return: fires with what the call returned or raised.
        """


class Store(Service):
    """
    The shared storage service.

    @param clock: for the commit window and for retries.
    @param database: what is written to, by the calls given to C{write}.
    @param write: runs them, one at a time and in order.
    @param read: runs the questions.
    @ivar now: the time of day, in seconds since the epoch; by default, the clock's.
    @ivar ready: whether commits succeed, as far as is known.
    @ivar why: why they do not; empty if they do.
    @ivar full: whether so much is waiting that devices should be held back.
    @ivar archive: what answers questions, on the caller's thread.
    @ivar pending: how many items (readings, and what is none) wait for their commit.
    @ivar commits: what the transactions were like.
    """

    name = "store"
    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        database: Database,
        write: Run,
        read: Run,
        settings: StoreSettings = StoreSettings(),  # noqa: B008 (frozen)
        now: Callable[[], float] | None = None,
    ) -> None:
        self.now = now or clock.seconds
        self.ready = True
        self.why = ""
        self.full = False
        self.pending = 0
        self.commits = Commits()
        self._clock = clock
        self._database = database
        self.archive = Archive(database.path)
        self._write = write
        self._read = read
        self._expiry = Expiry(
            clock, self.now, lambda before, most: write(lambda: database.expire(before, most))
        )
        self._limit(settings)
        self._accounts: dict[str, Account] = {}
        self._followers = Followers()
        self._flows: list[Flow] = []
        self._gathering: float | None = None  # since when something waits for a transaction
        self._draining: Deferred[None] | None = None
        self._pausing: tuple[Deferred[None], IDelayedCall] | None = None
        self._hurried = False
        self._flushing: list[Deferred[None]] = []
        self._closing = self._closed = False

    def startService(self) -> None:
        """
        Open the database. It blocks for as long as that takes: nothing else runs yet.

        @raise StoreError: if it cannot be opened.
        """
        self._database.open()
        self._closing = self._closed = False
        super().startService()
        self._expiry.start(self._age)

    def stopService(self) -> Deferred[None]:
        """
        Commit what is waiting and close the database.

        @return: fires when that is done. What could not be committed fails with L{NotStored}.
        """
        super().stopService()
        self._closing = True
        self._expiry.stop()
        return Deferred.fromCoroutine(self._close())

    def revise(self, settings: StoreSettings, anew: bool = False) -> Deferred[None]:
        """
        Go on with other settings, of which the path does not count.

        @param anew: whether what is known of series is not what it was. To note that takes long
            where there are many, and commits wait for it.
        @return: fires when the database is as they say.
        """
        before = self._age
        self._limit(settings)
        if self.running and self._age != before:
            self._expiry.start(self._age)
        full = self.pending >= (self._low if self.full else self._high)
        if full != self.full:
            self._change(self.ready, full)
        return self._write(lambda: self._database.revise(settings.max_quarantine, anew))

    def _limit(self, settings: StoreSettings) -> None:
        self._window = settings.commit_window
        self._high = int(settings.max_pending * _FULL)
        self._low = int(settings.max_pending * _DRAINED)
        self._enough = min(_ENOUGH, self._low)
        self._age = span(settings.retention)

    async def _close(self) -> None:
        await self.flush()
        self._closed = True
        await self._write(self._database.close)

    def account(self, name: str) -> Account:
        """
        The account of a listener, whose name it has in the ledger.
        """
        return self._accounts.setdefault(name, Account(name, self._added))

    def record(self, readings: Sequence[Reading], listener: str = "program") -> Deferred[None]:
        """
        Store readings.

        @param listener: what the ledger counts them under.
        @return: fires after the transaction that holds them has been committed; fails if one of
            them cannot be stored (then none of them is), or with L{NotStored} if the store was
            stopped before.
        """
        return self.account(listener).admit(Intake(list(readings)))

    def flush(self) -> Deferred[None]:
        """
        Commit what is waiting now, without the window passing first.

        @return: fires when that is done, or has failed.
        """
        if self._draining is None:
            return succeed(None)
        flushed: Deferred[None] = Deferred()
        self._flushing.append(flushed)
        self._hurried = self._gathering is not None
        self._wake()
        return flushed

    def follow(self, callback: Callable[[Sequence[Reading]], None]) -> Callable[[], None]:
        """
        Be told about readings after their commit, a transaction at a time: also about those that
        were there already and count as duplicates.

        @return: call it to hear no more.
        """
        self._followers.append(callback)
        return lambda: self._followers.remove(callback)

    def watch(self, flow: Flow) -> Callable[[], None]:
        """
        Be told whenever L{ready} or L{full} changes.

        @return: call it to hear no more.
        """
        self._flows.append(flow)
        return lambda: self._flows.remove(flow)

    def latest(self, device: str | None = None, name: str | None = None) -> Deferred[list[Current]]:
        """
        The latest value of each series, or of those of one device.

        @return: fires with them; fails with L{StoreError} if the database cannot be read.
        """
        return self._read(lambda: self.archive.latest(device, name))

    def history(
        self, device: str, name: str, start: int, end: int, step: int = 0
    ) -> Deferred[list[Point]]:
        """
        The numbers of a series over time. All times are in microseconds.

        @param start: since the epoch, included.
        @param end: since the epoch, not included.
        @param step: how long one point stands for; 0 gives each reading.
        @return: fires with the points; fails with C{ValueError} if they are too many.
        """
        return self._read(lambda: self.archive.history(device, name, start, end, step))

    def write(self, job: Callable[[sqlite3.Connection], T]) -> Deferred[T]:
        """
        Write something that is no reading, in a transaction of its own.

        @param job: makes the changes; it runs on the writer's thread.
        @return: fires with what it returned, after the commit; fails if there was none.
        """
        return self._write(lambda: self._database.run(job))

    def resolve(
        self, ids: Sequence[int], listener: str, intakes: Sequence[Intake]
    ) -> Deferred[None]:
        """
        Put what frames in quarantine were decoded to in their place.

        @param ids: the frames.
        @return: fires after the commit; fails if there was none.
        """
        done = self._write(lambda: self._database.resolve(ids, Part(listener, intakes)))
        return done.addCallback(lambda _none: self._followers.tell(intakes))

    def aside(self, call: Callable[[], T]) -> Deferred[T]:
        """
        Have something else done that blocks, on the writer's thread and in its turn.

        @return: fires with what the call returned or raised.
        """
        return self._write(call)

    def always(self, job: Callable[[sqlite3.Connection], object]) -> None:
        """
        Have something written whenever a file is opened in place of the one that is open now.

        @param job: as for L{write}; it may run several times on one file.
        """
        self._database.always(job)

    def read(self, job: Callable[[sqlite3.Connection], T]) -> Deferred[T]:
        """
        Ask something that is not about readings.

        @param job: asks; it runs on the reader's thread, and its connection cannot write.
        @return: fires with what it returned; fails with L{StoreError} if the database cannot be
            read.
        """

        def ask() -> T:
            with self.archive.open() as connection:
                return job(connection)

        return self._read(ask)

    def _added(self, count: int) -> None:
        self.pending += count
        if self.pending >= self._high and not self.full:
            self._change(self.ready, True)
        if self._gathering is None:
            self._gathering = self._clock.seconds()
            self._hurried = self.pending >= self._enough
            if self._draining is None:
                drained: Deferred[None] = Deferred()
                self._draining = drained
                Deferred.fromCoroutine(self._drain()).chainDeferred(drained)
        elif self.pending >= self._enough and not self._hurried:
            self._hurried = True
            self._wake()

    async def _drain(self) -> None:
        """
        Write transactions, one after the other, for as long as there is anything to write.
        """
        while self._gathering is not None:
            if not self._hurried:
                waited = self._clock.seconds() - self._gathering
                await self._pause(min(max(0.0, self._window - waited), self._window))
            self._gathering, self._hurried = None, False
            taken = [part for account in self._accounts.values() if (part := account.take())]
            flushing, self._flushing = self._flushing, []
            count = self.pending
            outcome = await self._commit([part for part, _waiting in taken], count)
            self._settle(taken, outcome)
            self.pending -= count
            if self.full and self.pending <= self._low:
                self._change(self.ready, False)
            for flushed in flushing:
                flushed.callback(None)
        self._draining = None
        flushing, self._flushing = self._flushing, []
        for flushed in flushing:
            flushed.callback(None)

    async def _commit(self, parts: Sequence[Part], count: int) -> dict[int, Exception] | NotStored:
        """
        Write one transaction, trying for as long as it takes, or until the store is to close.

        @param count: how many items it has.
        @return: the error of each intake that is unfit; or that nothing was written.
        """
        began, delay = self._clock.seconds(), _RETRY_FIRST
        while not self._closed:
            try:
                unfit = await self._write(lambda: self._database.commit(parts))
            except Exception as error:
                self.why = str(error) or type(error).__name__
                self.commits.failed += 1
                if self.ready:
                    self._log.error(
                        "{path}: nothing can be stored ({error}); what was received is kept, and"
                        " ports are closed until it heals",
                        path=self._database.path,
                        error=error,
                    )
                    self._change(False, self.full)
                if self._closing:
                    break
                await self._pause(delay)
                delay = min(delay * 2, _RETRY_MOST)
            else:
                self.why, seconds = "", self._clock.seconds() - began
                self.commits.add(seconds, count)
                if not self.ready:
                    self._log.info("storing again, after {seconds:.1f} s", seconds=seconds)
                    self._change(True, self.full)
                return unfit
        lost = sum(intake.received for part in parts for intake in part.intakes)
        self._log.error("{lost} received items were not stored and not acknowledged", lost=lost)
        return NotStored("the store was closed before it could commit")

    def _settle(
        self,
        taken: Sequence[tuple[Part, list[Waiting]]],
        outcome: dict[int, Exception] | NotStored,
    ) -> None:
        """
        Tell those who wait, and those who follow, what became of a transaction.
        """
        unfit = {} if isinstance(outcome, NotStored) else dict(outcome)
        for _part, waiting in taken:
            for intake, deferred in waiting:
                error = unfit.pop(id(intake), None)
                if isinstance(outcome, NotStored):
                    error = outcome
                deferred.callback(None) if error is None else deferred.errback(error)
        for error in unfit.values():  # of which nobody else will hear
            self._log.error("readings that cannot be stored are rejected: {error}", error=error)
        if not isinstance(outcome, NotStored):
            intakes = (intake for part, _waiting in taken for intake in part.intakes)
            self._followers.tell(intake for intake in intakes if id(intake) not in outcome)

    def _change(self, ready: bool, full: bool) -> None:
        self.ready, self.full = ready, full
        for flow in sample(self._flows, len(self._flows)):  # whoever is first may fill it again
            with self._log.failuresHandled("while telling of the state of the store"):
                flow(ready, full)

    def _pause(self, seconds: float) -> Deferred[None]:
        """
        Wait, or until L{_wake}.
        """
        paused: Deferred[None] = Deferred()
        self._pausing = paused, self._clock.callLater(seconds, self._wake)
        return paused

    def _wake(self) -> None:
        if self._pausing is None:
            return
        (paused, timer), self._pausing = self._pausing, None
        if timer.active():
            timer.cancel()
        paused.callback(None)

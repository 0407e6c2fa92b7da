"""
Tests of the storage service: when Deferreds fire, what waits, and what happens when the database
cannot commit.
"""

from collections.abc import Sequence

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sensord.reading import Intake, Reading
from sensord.settings import StoreSettings
from sensord.store.account import NotStored
from sensord.store.database import Database
from sensord.store.schema import StoreError
from sensord.store.service import Store
from tests.store.support import (
    Disk,
    Runner,
    faults,
    folder,
    intake,
    ledger,
    reading,
    sql,
    stored,
)

#: Full at 80 readings that wait, drained at 50, committed at once from 50.
_SETTINGS = StoreSettings(commit_window=1.0, max_pending=100)

#: A retry that has not been made by then will never be.
_LONG = 60.0


class StoreTestCase(SynchronousTestCase):
    """
    A running store, whose clock, disk and writing thread are in the hands of the test.
    """

    settings = _SETTINGS

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.disk = Disk()
        self.writer = Runner()
        self.path = folder(self) / "sensord.sqlite"
        database = Database(self.path, connect=self.disk.connect)
        self.addCleanup(database.close)
        self.store = Store(self.clock, database, self.writer, execute, self.settings)
        self.flows: list[tuple[bool, bool]] = []
        self.store.watch(lambda ready, full: self.flows.append((ready, full)))
        self.store.startService()
        self.addCleanup(self.finish)

    def finish(self) -> None:
        """
        Stop the store, if the test has not; check that it leaves nothing for later.
        """
        if self.store.running:
            self.disk.trouble = None
            # Held, as by a thread: only the tests that are about it have a writer that is done
            # before the call returns.
            self.writer.holding = True
            stopped = self.store.stopService()
            while self.writer.held:
                self.writer.release()
            self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.store.pending, 0)

    def record(self, *times: int, name: str = "temperature") -> Deferred[None]:
        """
        Record readings of these times.
        """
        return self.store.record([reading(time, name=name) for time in times])

    def many(self, count: int, start: int = 0) -> Deferred[None]:
        """
        Record so many readings.
        """
        return self.record(*range(start, start + count))

    def times(self) -> list[int]:
        """
        The times of what is stored, in the order of the journal.
        """
        return [time for _device, _name, time in stored(self.path)]

    def transactions(self) -> list[list[int]]:
        """
        The times of the readings of each transaction from now on, once it is committed.
        """
        found: list[list[int]] = []
        self.store.follow(lambda readings: found.append([one.time for one in readings]))
        return found


class RecordTests(StoreTestCase):
    """
    When a recorded reading counts as stored.
    """

    def test_afterCommit(self) -> None:
        """
        The Deferred of a recorded reading fires after the commit, and not before.
        """
        self.writer.holding = True
        done = self.record(1)
        self.assertNoResult(done)
        self.clock.advance(1)
        self.assertNoResult(done)
        self.assertEqual((self.writer.held, self.times()), (1, []))
        self.writer.release()
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(self.times(), [1])

    def test_stayed(self) -> None:
        """
        When the Deferred fires, another program finds the reading in the database.
        """
        done = self.record(1)
        done.addCallback(lambda _none: self.times())
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(done), [1])

    def test_together(self) -> None:
        """
        All that arrives while a transaction is being written forms the next one.
        """
        found = self.transactions()
        self.writer.holding = True
        first = self.record(1)
        self.clock.advance(1)
        second, third = self.record(2), self.record(3)
        self.clock.advance(5)
        fourth = self.record(4)
        self.assertEqual(self.writer.held, 1)
        self.writer.release()
        self.successResultOf(first)
        for waiting in second, third, fourth:
            self.assertNoResult(waiting)
        # They have waited for longer than the window: only the reactor's next turn is awaited.
        self.clock.advance(0)
        self.assertEqual(self.writer.held, 1)
        self.writer.release()
        for waiting in second, third, fourth:
            self.successResultOf(waiting)
        self.assertEqual(found, [[1], [2, 3, 4]])

    def test_restOfTheWindow(self) -> None:
        """
        What has arrived while a short transaction was being written waits for the rest of its
        window.
        """
        self.writer.holding = True
        self.record(1)
        self.clock.advance(1)
        done = self.record(2)
        self.clock.advance(0.25)
        self.writer.release()
        self.clock.advance(0.5)
        self.assertEqual(self.writer.held, 0)
        self.clock.advance(0.25)
        self.assertEqual(self.writer.held, 1)
        self.writer.release()
        self.successResultOf(done)

    def test_window(self) -> None:
        """
        The commit window is the longest that a reading waits to share a commit with others.
        """
        found = self.transactions()
        first = self.record(1)
        self.clock.advance(0.75)
        second = self.record(2)
        self.assertEqual(self.writer.calls, 0)
        self.clock.advance(0.25)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(found, [[1, 2]])

    def test_oneCommit(self) -> None:
        """
        However many are waiting, the writer is called once for a transaction.
        """
        for time in range(20):
            self.record(time)
        self.clock.advance(1)
        self.assertEqual(self.writer.calls, 1)
        self.assertEqual(self.times(), list(range(20)))

    def test_enough(self) -> None:
        """
        When enough are waiting they are committed at once.
        """
        done = [self.record(time) for time in range(49)]
        self.assertEqual(self.writer.calls, 0)
        self.record(49)
        self.assertEqual(self.writer.calls, 1)
        for waiting in done:
            self.successResultOf(waiting)

    def test_enoughInOne(self) -> None:
        """
        When enough come in one chunk they are committed at once.
        """
        done = self.many(50)
        self.assertEqual(self.writer.calls, 1)
        self.successResultOf(done)

    def test_enoughMeanwhile(self) -> None:
        """
        When enough have come while a transaction was being written, the next one follows at once.
        """
        self.writer.holding = True
        self.record(1)
        self.clock.advance(1)
        self.many(30, 100)
        done = self.many(30, 200)
        self.writer.release()
        self.assertEqual(self.writer.held, 1)
        self.writer.release()
        self.successResultOf(done)

    def test_again(self) -> None:
        """
        After a pause the window begins anew.
        """
        for time in range(3):
            done = self.record(time)
            self.clock.advance(0.75)
            self.assertNoResult(done)
            self.clock.advance(0.25)
            self.successResultOf(done)
            self.clock.advance(100)

    def test_fromCallback(self) -> None:
        """
        Who is told of a commit may record something at once: it goes into the next one.
        """
        inner: list[Deferred[None]] = []
        self.record(1).addCallback(lambda _none: inner.append(self.record(2)))
        self.clock.advance(1)
        self.assertNoResult(inner[0])
        self.clock.advance(1)
        self.successResultOf(inner[0])
        self.assertEqual(self.times(), [1, 2])

    def test_nothing(self) -> None:
        """
        To record no readings is no error.
        """
        done = self.store.record([])
        self.clock.advance(1)
        self.successResultOf(done)

    def test_cancelled(self) -> None:
        """
        Who loses patience with one Deferred does not disturb the others.
        """
        first, second = self.record(1), self.record(2)
        first.addErrback(lambda _failure: None)
        first.cancel()
        self.clock.advance(1)
        self.successResultOf(second)
        self.assertEqual(self.store.pending, 0)

    def test_copied(self) -> None:
        """
        Whoever goes on using the list of readings changes nothing that was recorded.
        """
        readings = [reading(1)]
        self.store.record(readings)
        readings.append(reading(2))
        self.clock.advance(1)
        self.assertEqual(self.times(), [1])

    def test_listeners(self) -> None:
        """
        The ledger counts what each listener brought, also what it rejected and quarantined.
        """
        weather = self.store.account("weather")
        self.assertIs(self.store.account("weather"), weather)
        done = [
            weather.admit(intake(reading(1), reading(2), rejected=3)),
            weather.admit(intake(quarantined=2)),
            self.store.record([reading(1)], "radio"),
            self.record(3),
        ]
        self.clock.advance(1)
        for waiting in done:
            self.successResultOf(waiting)
        self.assertEqual(ledger(self.path), (7, 2, 0, 3, 2))
        self.assertEqual(ledger(self.path, "radio"), (1, 0, 1, 0, 0))
        self.assertEqual(ledger(self.path, "program"), (1, 1, 0, 0, 0))
        self.assertEqual(faults(self.path), [])

    def test_nobodyWaits(self) -> None:
        """
        What comes in without anybody who waits for it is stored and counted like the rest, in its
        order.
        """
        weather = self.store.account("weather")
        weather.add(intake(reading(1)))
        done = weather.admit(intake(reading(2)))
        weather.add(intake(reading(3), rejected=1))
        self.clock.advance(1)
        self.successResultOf(done)
        self.assertEqual(self.times(), [1, 2, 3])
        self.assertEqual(ledger(self.path), (4, 3, 0, 1, 0))

    def test_nobodyWaitsUnfit(self) -> None:
        """
        If what nobody waits for cannot be stored, those who wait for something else are told the
        truth.
        """
        weather = self.store.account("weather")
        weather.add(intake(reading(1, 2**63)))
        good = weather.admit(intake(reading(2)))
        unfit = weather.admit(intake(reading(3, 2**63)))
        weather.add(intake(reading(4)))
        self.clock.advance(1)
        self.successResultOf(good)
        self.failureResultOf(unfit, OverflowError)
        self.assertEqual(self.times(), [2, 4])
        self.assertEqual(ledger(self.path), (4, 2, 0, 2, 0))

    def test_unfit(self) -> None:
        """
        To record what cannot be stored fails with the reason, and only for who did it.
        """
        before = self.record(1)
        unfit = self.store.record([reading(2), reading(3, 2**63)])
        after = self.record(4)
        self.clock.advance(1)
        self.successResultOf(before)
        self.failureResultOf(unfit, OverflowError)
        self.successResultOf(after)
        self.assertEqual(self.times(), [1, 4])
        self.assertTrue(self.store.ready)
        self.assertEqual(self.flows, [])

    def test_questions(self) -> None:
        """
        The store answers what the latest values are, and what they were before.
        """
        self.record(1, 2, 3)
        self.record(4, name="light")
        self.clock.advance(1)
        latest = self.successResultOf(self.store.latest())
        self.assertEqual(
            [(one.name, one.time) for one in latest], [("light", 4), ("temperature", 3)]
        )
        latest = self.successResultOf(self.store.latest("balcony", "light"))
        self.assertEqual([one.name for one in latest], ["light"])
        history = self.successResultOf(self.store.history("balcony", "temperature", 1, 3))
        self.assertEqual([point.time for point in history], [1, 2])
        history = self.successResultOf(self.store.history("balcony", "temperature", 0, 9, 9))
        self.assertEqual([point.count for point in history], [3])
        self.failureResultOf(self.store.history("balcony", "temperature", 0, 9, -1), ValueError)

    def test_questionsGoElsewhere(self) -> None:
        """
        A question is answered while the writer is busy.
        """
        self.record(1)
        self.clock.advance(1)
        self.writer.holding = True
        self.record(2)
        self.clock.advance(1)
        self.assertEqual(len(self.successResultOf(self.store.latest())), 1)


class NoWindowTests(StoreTestCase):
    """
    A store that does not gather.
    """

    settings = StoreSettings(commit_window=0.0)

    def test_noWindow(self) -> None:
        """
        With a window of zero readings are committed in the reactor's next turn.
        """
        first, second = self.record(1), self.record(2)
        self.assertNoResult(first)
        self.clock.advance(0)
        self.successResultOf(first)
        self.successResultOf(second)

    def test_unfitUnawaited(self) -> None:
        """
        A reading that cannot be stored, and for which nobody waits, is logged.
        """
        with capturedLogs() as events:
            self.store.account("weather").add(intake(reading(1, float("nan"))))
            self.store.account("weather").add(intake(reading(2)))
            self.clock.advance(1)
        self.assertEqual(len(events), 1)
        self.assertEqual(self.times(), [2])


class EmptyTests(StoreTestCase):
    """
    What comes in with nothing in it.
    """

    def test_empty(self) -> None:
        """
        It costs no commit, unless somebody wants to hear of it.
        """
        account = self.store.account("radio")
        account.add(Intake([]))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        told = account.admit(Intake([]))
        self.clock.advance(1.0)
        self.successResultOf(told)


class FlushTests(StoreTestCase):
    """
    Committing without waiting for the window.
    """

    def test_flush(self) -> None:
        """
        A flush commits what is waiting at once.
        """
        done = self.record(1)
        flushed = self.store.flush()
        self.successResultOf(done)
        self.successResultOf(flushed)
        self.assertEqual(self.times(), [1])

    def test_nothing(self) -> None:
        """
        A flush of nothing is done at once.
        """
        self.successResultOf(self.store.flush())
        self.assertEqual(self.writer.calls, 0)

    def test_everything(self) -> None:
        """
        A flush is done when the transaction under way and the one that waits behind it are.
        """
        self.writer.holding = True
        self.record(1)
        self.clock.advance(1)
        second = self.record(2)
        flushed, again = self.store.flush(), self.store.flush()
        self.writer.release()
        self.assertNoResult(flushed)
        self.assertEqual(self.writer.held, 1)
        self.writer.release()
        self.successResultOf(second)
        self.successResultOf(flushed)
        self.successResultOf(again)

    def test_meanwhile(self) -> None:
        """
        What is recorded while a flush is under way waits for its window: a flush does not end the
        sharing of commits.
        """
        self.writer.holding = True
        self.record(1)
        flushed = self.store.flush()
        done = self.record(2)
        self.writer.release()
        self.clock.advance(0.75)
        self.assertEqual(self.writer.held, 0)
        self.clock.advance(0.25)
        self.writer.release()
        self.successResultOf(done)
        self.successResultOf(flushed)

    def test_afterwards(self) -> None:
        """
        After a flush readings wait for the window as before.
        """
        self.record(1)
        self.store.flush()
        done = self.record(2)
        self.clock.advance(0.75)
        self.assertNoResult(done)
        self.clock.advance(0.25)
        self.successResultOf(done)

    def test_fromCallback(self) -> None:
        """
        Who is told of a commit may flush: what is recorded later is stored as ever.
        """
        flushed: list[Deferred[None]] = []
        self.record(1).addCallback(lambda _none: flushed.append(self.store.flush()))
        self.clock.advance(1)
        self.successResultOf(flushed[0])
        done = self.record(2)
        self.clock.advance(1)
        self.successResultOf(done)
        self.assertEqual(self.times(), [1, 2])

    def test_stream(self) -> None:
        """
        A flush is over when what was waiting is stored, however much goes on coming.
        """
        self.writer.holding = True
        self.record(1)
        flushed = self.store.flush()
        for time in range(2, 5):
            self.record(time)
            self.assertNoResult(flushed)
            if time == 3:
                self.writer.release()
                break
        self.successResultOf(flushed)
        self.assertGreater(self.store.pending, 0)
        self.clock.advance(1)
        self.writer.release()


class FollowTests(StoreTestCase):
    """
    Being told of readings.
    """

    def test_afterCommit(self) -> None:
        """
        A follower hears of readings after their commit, as they were recorded, a transaction at a
        time.
        """
        heard: list[Sequence[Reading]] = []
        self.store.follow(heard.append)
        self.writer.holding = True
        self.record(1)
        self.record(2, 3)
        self.clock.advance(1)
        self.assertEqual(heard, [])
        self.writer.release()
        self.assertEqual(heard, [[reading(1), reading(2), reading(3)]])

    def test_stored(self) -> None:
        """
        When a follower hears of a reading, it can be found in the database.
        """
        heard: list[list[int]] = []
        self.store.follow(lambda readings: heard.append(self.times()))
        self.record(1)
        self.clock.advance(1)
        self.assertEqual(heard, [[1]])

    def test_unfit(self) -> None:
        """
        A follower does not hear of readings that were left out.
        """
        found = self.transactions()
        self.record(1)
        unfit = self.store.record([reading(2), reading(3, float("nan"))])
        self.store.record([reading(4)], "radio")
        self.clock.advance(1)
        self.failureResultOf(unfit)
        self.assertEqual(found, [[1, 4]])

    def test_noReadings(self) -> None:
        """
        A follower is not called for a transaction that holds no readings.
        """
        found = self.transactions()
        self.store.account("weather").admit(intake(rejected=1, quarantined=1))
        self.clock.advance(1)
        self.assertEqual(found, [])

    def test_notCommitted(self) -> None:
        """
        A follower does not hear of readings that could not be committed, until they are; and then
        once.
        """
        found = self.transactions()
        self.disk.trouble = "COMMIT"
        self.record(1)
        self.clock.pump([1, 0.25])
        self.assertEqual(found, [])
        self.disk.trouble = None
        self.clock.advance(_LONG)
        self.assertEqual(found, [[1]])

    def test_raises(self) -> None:
        """
        A follower that fails harms neither the others nor the store, and it is logged.
        """
        self.store.follow(lambda readings: [][1])
        found = self.transactions()
        for time in 1, 2:
            done = self.record(time)
            self.clock.advance(1)
            self.successResultOf(done)
        self.assertEqual(found, [[1], [2]])
        self.assertEqual(len(self.flushLoggedErrors(IndexError)), 2)

    def test_noMore(self) -> None:
        """
        A follower that wants to hear no more does not, even from within its own call; the others
        still do.
        """
        heard: list[int] = []

        def once(readings: Sequence[Reading]) -> None:
            heard.append(len(readings))
            stop()

        stop = self.store.follow(once)
        found = self.transactions()
        for time in 1, 2:
            self.record(time)
            self.clock.advance(1)
        self.assertEqual((heard, found), ([1], [[1], [2]]))

    def test_records(self) -> None:
        """
        A follower may record readings itself, such as those that it computes.
        """
        found = self.transactions()

        def derive(readings: Sequence[Reading]) -> None:
            if readings[0].name == "temperature":
                self.record(readings[0].time, name="dew point")

        self.store.follow(derive)
        self.record(1)
        self.clock.pump([1, 1])
        self.assertEqual(found, [[1], [1]])
        self.assertEqual(
            [name for _device, name, _time in stored(self.path)], ["temperature", "dew point"]
        )


class BackPressureTests(StoreTestCase):
    """
    Holding devices back while too much is waiting.
    """

    def test_garbage(self) -> None:
        """
        What is rejected or quarantined takes up memory as readings do, and so counts with them.
        """
        self.writer.holding = True
        self.record(1)
        self.clock.advance(1)
        self.store.account("weather").add(intake(rejected=50, quarantined=29))
        self.assertEqual((self.store.pending, self.store.full), (80, True))
        self.writer.release()
        self.writer.release()
        self.assertEqual((self.store.pending, self.store.full), (0, False))

    def test_revised(self) -> None:
        """
        Another limit counts at once, for what waits already.
        """
        self.writer.holding = True
        self.many(1)
        self.clock.advance(1)
        self.many(50, 100)
        revised = [self.store.revise(StoreSettings(commit_window=1.0, max_pending=60))]
        revised[0].addErrback(lambda failure: None)
        self.assertEqual(self.flows, [(True, True)])
        self.store.revise(_SETTINGS)
        self.assertEqual(self.flows, [(True, True)])
        self.store.revise(StoreSettings(commit_window=1.0, max_pending=200))
        self.assertEqual(self.flows, [(True, True), (True, False)])

    def test_full(self) -> None:
        """
        The store is full when 80 % of what it may keep are waiting, and says so once.
        """
        self.writer.holding = True
        self.many(1)
        self.clock.advance(1)
        self.many(78, 100)
        self.assertEqual((self.store.pending, self.flows), (79, []))
        self.many(1, 200)
        self.assertEqual((self.store.pending, self.flows), (80, [(True, True)]))
        self.assertTrue(self.store.full)
        self.many(20, 300)
        self.assertEqual(self.flows, [(True, True)])

    def test_drained(self) -> None:
        """
        It is full until no more than half are waiting.
        """
        self.writer.holding = True
        self.many(29)
        self.clock.advance(1)
        self.many(51, 100)
        self.writer.release()
        self.assertEqual((self.store.pending, self.store.full), (51, True))
        self.clock.advance(1)
        self.many(50, 200)
        self.assertEqual(self.flows, [(True, True)])
        self.writer.release()
        self.assertEqual((self.store.pending, self.store.full), (50, False))
        self.assertEqual(self.flows, [(True, True), (True, False)])

    def test_oneChunk(self) -> None:
        """
        A chunk that is larger than all that may wait is taken whole: the limit holds devices back,
        it never loses what they have sent.
        """
        self.writer.holding = True
        done = self.many(500)
        self.assertTrue(self.store.full)
        self.clock.advance(1)
        self.writer.release()
        self.successResultOf(done)
        self.assertEqual(self.flows, [(True, True), (True, False)])
        self.assertEqual(len(self.times()), 500)

    def test_noReadings(self) -> None:
        """
        Chunks that hold no readings count too: to send only noise does not get around the limit.
        """
        self.writer.holding = True
        self.many(1)
        self.clock.advance(1)
        account = self.store.account("weather")
        for _ in range(79):
            account.admit(intake(rejected=1))
        self.assertEqual(self.flows, [(True, True)])


class TroubleTests(StoreTestCase):
    """
    A database that cannot commit for a while.
    """

    def test_ready(self) -> None:
        """
        While commits fail the store is not ready, and keeps what it has; when they succeed again
        it is ready, and everything is stored.
        """
        self.disk.trouble = "COMMIT"
        done = self.record(1)
        self.assertTrue(self.store.ready)
        self.clock.advance(1)
        self.assertFalse(self.store.ready)
        self.assertNoResult(done)
        self.assertEqual((self.store.pending, self.times()), (1, []))
        self.disk.trouble = None
        self.clock.advance(_LONG)
        self.successResultOf(done)
        self.assertTrue(self.store.ready)
        self.assertEqual((self.store.pending, self.times()), (0, [1]))
        self.assertEqual(self.flows, [(False, False), (True, False)])

    def test_order(self) -> None:
        """
        What was recorded during the trouble is stored in its order, and all Deferreds fire in it.
        """
        fired: list[int] = []
        self.disk.trouble = ""
        for time in range(5):
            done = self.record(time)
            done.addCallback(lambda _none, time: fired.append(time), time)
            self.clock.advance(3)
        self.assertEqual(fired, [])
        self.disk.trouble = None
        self.clock.pump([_LONG, 1])
        self.assertEqual(fired, [0, 1, 2, 3, 4])
        self.assertEqual(self.times(), [0, 1, 2, 3, 4])
        self.assertEqual(ledger(self.path, "program"), (5, 5, 0, 0, 0))

    def test_backOff(self) -> None:
        """
        The commit is tried again after longer and longer pauses, up to a limit.
        """
        self.disk.trouble = ""
        self.record(1)
        self.clock.advance(1)
        pauses: list[float] = []
        began, tried = self.clock.seconds(), self.disk.tried
        while len(pauses) < 9:
            self.clock.advance(0.125)
            if self.disk.tried > tried:
                pauses.append(self.clock.seconds() - began)
                began, tried = self.clock.seconds(), self.disk.tried
        self.assertEqual(pauses, [0.25, 0.5, 1, 2, 4, 8, 8, 8, 8])

    def test_backOffAnew(self) -> None:
        """
        After a recovery the pauses are short again.
        """
        self.disk.trouble = ""
        self.record(1)
        self.clock.pump([1] * 100)
        self.disk.trouble = None
        self.clock.advance(8)
        self.assertTrue(self.store.ready)
        self.disk.trouble = ""
        done = self.record(2)
        self.clock.advance(1)
        self.disk.trouble = None
        self.clock.advance(0.25)
        self.successResultOf(done)

    def test_log(self) -> None:
        """
        The log has one line at the first failure, with the reason, and one at the recovery, with
        how long it took.
        """
        with capturedLogs() as events:
            self.disk.trouble = "COMMIT"
            self.record(1)
            self.clock.pump([1, 0.25, 0.5, 1, 2])
            self.record(2)
            (failure,) = events
            self.disk.trouble = None
            self.clock.pump([4, 1])
        self.assertEqual(failure["log_level"], LogLevel.error)
        self.assertEqual(str(failure["error"]), "disk I/O error")
        self.assertEqual(failure["path"], self.path)
        (_failure, recovery) = events
        self.assertEqual(recovery["log_level"], LogLevel.info)
        self.assertEqual(recovery["seconds"], 7.75)

    def test_secondTrouble(self) -> None:
        """
        A second trouble is told like the first one.
        """
        for time in 1, 2:
            with capturedLogs() as events:
                self.disk.trouble = "COMMIT"
                done = self.record(time)
                self.clock.advance(1)
                self.disk.trouble = None
                self.clock.advance(0.25)
                self.successResultOf(done)
            levels = [event["log_level"] for event in events]
            self.assertEqual(levels, [LogLevel.error, LogLevel.info])
        self.assertEqual(self.flows, [(False, False), (True, False)] * 2)

    def test_flush(self) -> None:
        """
        A flush tries again at once.
        """
        self.disk.trouble = "COMMIT"
        done = self.record(1)
        self.clock.advance(1)
        self.disk.trouble = None
        self.successResultOf(self.store.flush())
        self.successResultOf(done)

    def test_full(self) -> None:
        """
        During the trouble the store fills up, says that too, and goes on when both are over.
        """
        self.disk.trouble = "COMMIT"
        self.many(40)
        self.clock.advance(1)
        self.many(40, 100)
        self.assertEqual(self.flows, [(False, False), (False, True)])
        self.disk.trouble = None
        self.clock.pump([_LONG, _LONG])
        self.assertEqual(self.flows, [(False, False), (False, True), (True, True), (True, False)])
        self.assertEqual(len(self.times()), 80)

    def test_unfit(self) -> None:
        """
        Trouble with the disk makes no reading unfit, nor the other way round.
        """
        self.disk.trouble = "COMMIT"
        done, unfit = self.record(1), self.store.record([reading(2, float("nan"))])
        self.clock.advance(1)
        self.assertNoResult(done)
        self.assertNoResult(unfit)
        self.disk.trouble = None
        self.clock.advance(_LONG)
        self.successResultOf(done)
        self.failureResultOf(unfit)
        self.assertEqual(faults(self.path), [])

    def test_fullDisk(self) -> None:
        """
        When a disk is full, nothing is lost until there is space again.
        """
        done = self.record(1)
        self.clock.advance(1)
        self.successResultOf(done)
        self.disk.full = True
        self.disk.trouble = "COMMIT"
        done = self.store.record([reading(time, "x" * 500) for time in range(2, 500)])
        # The failed commit makes the database open the file again: now it cannot grow.
        self.clock.advance(1)
        self.disk.trouble = None
        self.clock.advance(0.25)
        self.assertFalse(self.store.ready)
        self.assertEqual(self.times(), [1])
        self.disk.full = False
        self.clock.advance(_LONG)
        self.successResultOf(done)
        self.assertEqual(len(self.times()), 499)
        self.assertEqual(faults(self.path), [])

    def test_hopeless(self) -> None:
        """
        A database that cannot even be opened any more is tried again like a failing disk.
        """
        self.disk.trouble = "COMMIT"
        done = self.record(1)
        self.clock.advance(1)
        self.disk.trouble = "connect"
        self.clock.pump([1] * 50)
        self.assertFalse(self.store.ready)
        self.disk.trouble = None
        self.clock.advance(_LONG)
        self.successResultOf(done)

    def test_watcherRaises(self) -> None:
        """
        Who fails while it is told of the trouble, or of its end, harms neither the others nor the
        store, and it is logged.
        """
        told: list[tuple[bool, bool]] = []
        self.store.watch(lambda ready, full: [][1])
        self.store.watch(lambda ready, full: told.append((ready, full)))
        self.disk.trouble = "COMMIT"
        done = self.record(1)
        self.clock.advance(1)
        self.disk.trouble = None
        self.clock.advance(_LONG)
        self.successResultOf(done)
        self.assertEqual(told, [(False, False), (True, False)])
        self.assertEqual(len(self.flushLoggedErrors(IndexError)), 2)

    def test_badListener(self) -> None:
        """
        A listener's name that has no encoding fails for who gave it, and does not stop the store.
        """
        bad = self.store.record([reading(1)], "\ud800")
        good = self.record(2)
        self.clock.pump([1, 1, 1])
        self.assertTrue(self.store.ready)
        self.failureResultOf(bad, UnicodeEncodeError)
        self.successResultOf(good)


class StopTests(StoreTestCase):
    """
    Starting and stopping.
    """

    def test_cannotOpen(self) -> None:
        """
        A store whose database cannot be opened does not start.
        """
        self.successResultOf(self.store.stopService())
        self.disk.trouble = "connect"
        self.assertRaises(StoreError, self.store.startService)
        self.assertFalse(self.store.running)

    def test_commits(self) -> None:
        """
        A store that is stopped commits what is waiting, without waiting for the window.
        """
        done = self.record(1)
        self.writer.holding = True
        stopped = self.store.stopService()
        self.assertNoResult(stopped)
        self.writer.release()
        self.successResultOf(done)
        self.assertNoResult(stopped)
        self.writer.release()
        self.successResultOf(stopped)
        self.assertEqual(self.times(), [1])

    def test_closes(self) -> None:
        """
        A store that is stopped has closed its database: nothing lies beside it any more.
        """
        self.record(1)
        self.clock.advance(1)
        self.assertEqual(len(list(self.path.parent.iterdir())), 3)
        self.successResultOf(self.store.stopService())
        self.assertEqual(list(self.path.parent.iterdir()), [self.path])

    def test_meanwhile(self) -> None:
        """
        What waits behind a transaction under way is committed too before the store has stopped.
        """
        self.writer.holding = True
        first = self.record(1)
        self.clock.advance(1)
        second = self.record(2)
        stopped = self.store.stopService()
        third = self.record(3)
        self.writer.holding = False
        self.writer.release()
        for done in first, second, third, stopped:
            self.successResultOf(done)
        self.assertEqual(self.times(), [1, 2, 3])

    def test_cannotCommit(self) -> None:
        """
        A store that is stopped while its database cannot commit tries once more, then fails what
        is waiting: it does not hang.
        """
        self.disk.trouble = "COMMIT"
        found = self.transactions()
        first = self.record(1)
        self.clock.advance(1)
        second = self.record(2)
        with capturedLogs() as events:
            stopped = self.store.stopService()
        self.failureResultOf(first, NotStored)
        self.failureResultOf(second, NotStored)
        self.successResultOf(stopped)
        self.assertEqual(self.disk.tried, 3)
        self.assertEqual(
            [(event["log_level"], event["lost"]) for event in events], [(LogLevel.error, 1)] * 2
        )
        self.disk.trouble = None
        self.assertEqual((self.times(), found), ([], []))

    def test_heals(self) -> None:
        """
        If the last attempt before the stop succeeds, nothing is lost.
        """
        self.disk.trouble = "COMMIT"
        done = self.record(1)
        self.clock.advance(1)
        self.disk.trouble = None
        self.successResultOf(self.store.stopService())
        self.successResultOf(done)
        self.assertEqual(self.times(), [1])

    def test_failsWhileStopping(self) -> None:
        """
        If the first failure comes while the store is being stopped, it does not hang either.
        """
        self.writer.holding = True
        done = self.record(1)
        self.clock.advance(1)
        stopped = self.store.stopService()
        self.disk.trouble = "COMMIT"
        self.writer.release()
        self.failureResultOf(done, NotStored)
        self.writer.release()
        self.successResultOf(stopped)

    def test_afterwards(self) -> None:
        """
        What is recorded after the stop is not stored, and whoever records it is told so.
        """
        self.successResultOf(self.store.stopService())
        done = self.record(1)
        self.clock.advance(1)
        self.failureResultOf(done, NotStored)
        self.assertEqual(self.times(), [])
        self.assertEqual(self.store.pending, 0)

    def test_whileClosing(self) -> None:
        """
        What is recorded while the database is being closed is stored or fails; the database is
        closed in any case.
        """
        self.writer.holding = True
        stopped = self.store.stopService()
        done = self.record(1)
        outcome: list[object] = []
        done.addBoth(outcome.append)
        self.clock.advance(1)
        while self.writer.held:
            self.writer.release()
        self.successResultOf(stopped)
        self.clock.advance(1)
        self.assertEqual(outcome[0] is None, self.times() == [1])
        self.assertEqual(list(self.path.parent.iterdir()), [self.path])

    def test_again(self) -> None:
        """
        A store that was stopped can be started again.
        """
        self.record(1)
        self.successResultOf(self.store.stopService())
        self.store.startService()
        done = self.record(2)
        self.clock.advance(1)
        self.successResultOf(done)
        self.assertEqual(self.times(), [1, 2])


class RetentionTests(StoreTestCase):
    """
    Removing what is old.
    """

    settings = StoreSettings(commit_window=1.0, max_pending=100_000, retention="1d")

    def old(self, count: int) -> None:
        """
        Store readings that are two days old, a microsecond apart, and one of now.
        """
        now = int(self.clock.seconds() * 1e6)
        start = now - 2 * 86400 * 1_000_000
        done = self.store.record([reading(time) for time in [*range(start, start + count), now]])
        self.clock.advance(1)
        self.successResultOf(done)

    def test_old(self) -> None:
        """
        Every ten minutes what is older than the retention is removed, and the ledger balances.
        """
        self.old(3)
        self.clock.advance(598)
        self.assertEqual(len(self.times()), 4)
        self.clock.advance(1)
        self.assertEqual(len(self.times()), 1)
        self.assertEqual(faults(self.path), [])
        self.old(5)
        self.clock.advance(600)
        self.assertEqual(len(self.times()), 2)

    def test_revised(self) -> None:
        """
        Another retention counts at once; without one nothing is removed any more.
        """
        self.old(3)
        self.successResultOf(self.store.revise(StoreSettings(retention="3d")))
        self.clock.advance(1200)
        self.assertEqual(len(self.times()), 4)
        self.successResultOf(self.store.revise(StoreSettings(retention="1d")))
        self.assertEqual(len(self.times()), 1)
        self.old(3)
        self.successResultOf(self.store.revise(StoreSettings(retention="forever")))
        self.clock.advance(1200)
        self.assertEqual(len(self.times()), 5)

    def test_young(self) -> None:
        """
        What is as old as the retention to the second stays until the next time.
        """
        due = self.clock.seconds() + 600
        age = int((due - 86400) * 1e6)
        done = self.record(age - 1, age, age + 1)
        self.clock.advance(1)
        self.successResultOf(done)
        self.clock.advance(599)
        self.assertEqual(self.times(), [age, age + 1])

    def test_between(self) -> None:
        """
        Much that is old goes in several transactions, and commits come in between.
        """
        self.old(12_000)
        self.writer.holding = True
        self.clock.advance(600)
        done = self.record(1)
        self.clock.advance(1)
        self.assertEqual(self.writer.held, 2)
        self.writer.release()
        removed = 12_001 - len(self.times())
        self.assertGreater(removed, 0)
        self.assertLess(removed, 12_000)
        self.writer.release()
        self.successResultOf(done)
        while self.writer.held:
            self.writer.release()
        self.assertEqual(len(self.times()), 2)

    def test_fails(self) -> None:
        """
        If the removal fails it is logged, and tried again next time.
        """
        self.old(3)
        self.disk.trouble = "COMMIT"
        with capturedLogs() as events:
            self.clock.advance(600)
        self.assertEqual([event["log_level"] for event in events], [LogLevel.warn])
        self.assertEqual(len(self.times()), 4)
        self.assertTrue(self.store.ready)
        self.disk.trouble = None
        self.clock.advance(600)
        self.assertEqual(len(self.times()), 1)

    def test_stopped(self) -> None:
        """
        A store that is stopped goes no further than the transaction under way.
        """
        self.old(12_000)
        self.writer.holding = True
        self.clock.advance(600)
        stopped = self.store.stopService()
        self.writer.release()
        self.assertNoResult(stopped)
        self.writer.release()
        self.successResultOf(stopped)
        self.assertEqual(self.writer.held, 0)
        self.assertGreater(len(self.times()), 1)

    def test_sink(self) -> None:
        """
        What a sink has still to read stays.
        """
        self.old(3)
        sql(self.path, "INSERT INTO cursors (sink, position) VALUES ('influx', 1)")
        self.clock.advance(600)
        self.assertEqual(len(self.times()), 3)


class ForeverTests(StoreTestCase):
    """
    Keeping everything.
    """

    def test_forever(self) -> None:
        """
        Without a retention nothing is removed, and nothing is scheduled.
        """
        done = self.record(1, 2)
        self.clock.advance(1)
        self.successResultOf(done)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(10 * 365 * 86400)
        self.assertEqual(self.times(), [1, 2])


class ResolveTests(StoreTestCase):
    """
    Frames in quarantine that are replaced by what they were decoded to.
    """

    def hold(self, count: int) -> None:
        """
        Have frames quarantined.
        """
        done = self.store.account("weather").admit(intake(quarantined=count))
        self.clock.advance(1)
        self.successResultOf(done)

    def test_resolved(self) -> None:
        """
        Those who follow are told of the readings after their commit, and the ledger balances.
        """
        self.hold(2)
        told = self.transactions()
        self.writer.holding = True
        done = self.store.resolve([1, 2], "weather", [intake(reading(1)), intake(reading(2))])
        self.assertEqual((told, self.times()), ([], []))
        self.writer.release()
        self.successResultOf(done)
        self.assertEqual((told, self.times()), ([[1, 2]], [1, 2]))
        self.assertEqual(ledger(self.path), (2, 2, 0, 0, 0))
        self.assertEqual(faults(self.path), [])

    def test_gone(self) -> None:
        """
        If one of them is there no more, nothing is stored, and nobody is told.
        """
        self.hold(1)
        told = self.transactions()
        done = self.store.resolve([1, 2], "weather", [intake(reading(1)), intake(reading(2))])
        self.failureResultOf(done, StoreError)
        self.assertEqual((told, self.times()), ([], []))
        self.assertEqual(ledger(self.path), (1, 0, 0, 0, 1))

    def test_aside(self) -> None:
        """
        Something else that blocks has its turn behind what is being written.
        """
        self.writer.holding = True
        first, second = self.store.write(lambda _connection: 1), self.store.aside(lambda: 2)
        self.writer.release()
        self.assertNoResult(second)
        self.writer.release()
        self.assertEqual((self.successResultOf(first), self.successResultOf(second)), (1, 2))


class WhyTests(StoreTestCase):
    """
    Why nothing can be stored.
    """

    def test_why(self) -> None:
        """
        The newest reason is known for as long as nothing can be stored.
        """
        self.assertEqual(self.store.why, "")
        self.disk.trouble = "INSERT"
        done = self.record(1)
        self.clock.advance(1)
        self.assertEqual((self.store.ready, self.store.why), (False, "disk I/O error"))
        self.disk.trouble = None
        self.clock.advance(10)
        self.successResultOf(done)
        self.assertEqual((self.store.ready, self.store.why), (True, ""))

"""
Tests for L{sensord.sinks.outbox}.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sensord.outlets import SinkSettings
from sensord.reading import Intake, Value
from sensord.sinks import Entry, Misconfigured, Poison, Sink, Transient
from sensord.sinks.outbox import Outbox
from sensord.store import journal
from sensord.store.archive import Archive
from sensord.store.audit import audit
from sensord.store.database import Database, Part
from sensord.store.service import Store
from tests.sinks.support import MemorySink
from tests.store.support import Disk, Runner, folder, reading, sql

NOW = 1_795_000_000


class OutboxTestCase(SynchronousTestCase):
    """
    An outbox over a real database, and a sink in memory.
    """

    def setUp(self) -> None:
        """
        A gateway with nothing in its journal.
        """
        self.clock = Clock()
        self.clock.advance(NOW)
        self.path = folder(self) / "sensord.sqlite"
        self.disk = Disk()
        self.sink = MemorySink()
        self.count = 0
        self.open()

    def open(self) -> None:
        """
        Open the store, as after a restart.
        """
        database = Database(self.path, connect=self.disk.connect)
        self.addCleanup(database.close)
        self.reader = Runner()
        self.store = Store(self.clock, database, Runner(), self.reader)
        self.store.startService()

    def start(self, **settings: Any) -> Outbox:
        """
        Start an outbox.
        """
        made: Sink = self.sink
        outbox = Outbox(
            self.clock, self.store, made, SinkSettings("influx", "x", **settings), lambda: 0.0
        )
        outbox.startService()
        self.addCleanup(lambda: outbox.running and outbox.stopService())
        return outbox

    def record(self, count: int = 1) -> None:
        """
        Store some readings, whose values count on.
        """
        numbers = range(self.count + 1, self.count + count + 1)
        self.count += count
        self.store.record([reading(NOW * 1_000_000 + number, number) for number in numbers])
        self.clock.advance(0.01)

    def elapse(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.clock.pump([0.5] * round(seconds * 2))

    def figures(self) -> journal.Figures:
        """
        The line of the sink.
        """
        (line,) = self.successResultOf(self.store.read(journal.figures))
        return line

    def assertBalanced(self) -> None:
        """
        The ledger balances, that of the sink as well.
        """
        line = self.figures()
        sum = line.delivered + line.dead + line.expired + line.backlog
        self.assertEqual(line.committed, sum)
        self.assertEqual(audit(Archive(self.path)).faults, [])


class FlowTests(OutboxTestCase):
    """
    Readings are passed on.
    """

    def test_flows(self) -> None:
        """
        What is stored is passed on, in its order, with all that is known of it.
        """
        outbox = self.start()
        self.record(3)
        self.elapse(2)
        self.assertEqual(self.sink.values, [1, 2, 3])
        entry = self.sink.entries[0]
        self.assertEqual((entry.series.device, entry.series.name), ("balcony", "temperature"))
        self.assertEqual(entry.time, NOW * 1_000_000 + 1)
        self.assertEqual((outbox.state, outbox.error), ("flowing", ""))
        self.assertBalanced()

    def test_gathered(self) -> None:
        """
        Readings that come one by one are gathered for the interval.
        """
        self.start(interval=5.0)
        for _ in range(4):
            self.record()
            self.elapse(1)
        self.assertEqual(self.sink.batches, [])
        self.elapse(4)
        self.assertEqual(self.sink.batches, [4])

    def test_backlog(self) -> None:
        """
        A backlog is passed on without waiting between full batches.
        """
        self.record(20)
        self.start(start="beginning")
        self.assertEqual(self.sink.batches, [8, 8, 4])
        self.assertBalanced()

    def test_now(self) -> None:
        """
        A new sink begins with what comes from now on.
        """
        self.record(5)
        self.start()
        self.record(2)
        self.elapse(2)
        self.assertEqual(self.sink.values, [6, 7])
        self.assertBalanced()

    def test_restart(self) -> None:
        """
        After a restart it goes on where it ended, whatever the settings say of new sinks.
        """
        outbox = self.start()
        self.record(3)
        self.elapse(2)
        self.successResultOf(outbox.stopService())
        self.record(2)
        self.start(start="beginning")
        self.assertEqual(self.sink.values, [1, 2, 3, 4, 5])
        self.assertBalanced()

    def test_values(self) -> None:
        """
        Truth values and texts are what they were.
        """
        self.start()
        values: list[Value] = [True, False, "open", 1.5]
        self.store.record([reading(place, value) for place, value in enumerate(values)])
        self.elapse(2)
        self.assertEqual([repr(value) for value in self.sink.values], [repr(v) for v in values])

    def test_busy(self) -> None:
        """
        A backlog gives way while many live readings wait for their commit.
        """
        self.record(20)
        self.store.pending = 10_000
        self.start(start="beginning")
        self.assertEqual(self.sink.batches, [8])
        self.store.pending = 0
        self.elapse(1)
        self.assertEqual(self.sink.batches, [8, 8, 4])

    def test_held(self) -> None:
        """
        A sink that is not active is held: what comes waits, also for later.
        """
        outbox = self.start(active=False)
        self.record(3)
        self.elapse(2)
        self.assertEqual((self.sink.batches, outbox.state), ([], "held"))
        self.successResultOf(outbox.stopService())
        self.start()
        self.assertEqual(self.sink.values, [1, 2, 3])

    def test_paused(self) -> None:
        """
        One that is paused rests, also after a restart, until it is to go on.
        """
        outbox = self.start()
        self.successResultOf(Deferred.fromCoroutine(outbox.pause(True)))
        self.record(3)
        self.elapse(2)
        self.successResultOf(outbox.stopService())
        outbox = self.start()
        self.elapse(2)
        self.assertEqual((self.sink.batches, outbox.state), ([], "paused"))
        self.successResultOf(Deferred.fromCoroutine(outbox.pause(False)))
        self.assertEqual((self.sink.values, outbox.state), ([1, 2, 3], "flowing"))


class TroubleTests(OutboxTestCase):
    """
    Sinks that do not take what they are given.
    """

    def refuse(self, error: Exception) -> None:
        """
        Have every batch fail.
        """
        self.sink.fault = lambda batch: error

    def poison(self, *values: object, told: bool = False) -> None:
        """
        Have every batch fail that has one of some values.

        @param told: whether the sink says which they are.
        """

        def fault(batch: Sequence[Entry]) -> Exception | None:
            bad = [entry.id for entry in batch if entry.value in values]
            return Poison("not a number I like", bad if told else ()) if bad else None

        self.sink.fault = fault

    def letters(self) -> list[tuple[Any, ...]]:
        """
        The dead letters: values and reasons.
        """
        return sql(self.path, "SELECT value, why FROM dead_letters ORDER BY reading")

    def test_transient(self) -> None:
        """
        A sink that is away is tried again, ever more rarely, and nothing is lost; the log says it
        once, and once that it is over.
        """
        outbox = self.start()
        self.refuse(Transient("connection refused"))
        with capturedLogs() as events:
            self.record(3)
            self.elapse(100)
            self.assertEqual(outbox.state, "retrying")
            self.assertEqual(outbox.error, "connection refused")
            self.assertLess(len(self.sink.batches), 9)
            self.sink.fault = lambda batch: None
            self.elapse(100)
        self.assertEqual(self.sink.values, [1, 2, 3])
        lines = [formatEvent(event) for event in events]
        self.assertEqual(len(lines), 2, lines)
        self.assertIn("connection refused", lines[0] or "")
        self.assertIn("passed on again", lines[1] or "")
        self.assertBalanced()

    def test_after(self) -> None:
        """
        One that asks to be left alone for a minute is; one that asks for a year is not.
        """
        self.start()
        for after, wait in ((60.0, 59), (1e9, 3599)):
            self.sink.batches.clear()
            self.refuse(Transient("too many requests", after))
            self.record()
            self.elapse(2)
            count = len(self.sink.batches)
            self.elapse(wait - 2)
            self.assertEqual(len(self.sink.batches), count)
            self.sink.fault = lambda batch: None
            self.elapse(10)
        self.assertEqual(self.sink.values, [1, 2])

    def test_misconfigured(self) -> None:
        """
        One that refuses the password keeps everything, is tried slowly, and is said so.
        """
        outbox = self.start()
        self.refuse(Misconfigured("the token is not valid"))
        with capturedLogs() as events:
            self.record(2)
            self.elapse(200)
        self.assertEqual(outbox.state, "misconfigured")
        self.assertEqual(len(events), 1)
        self.assertLess(len(self.sink.batches), 6)
        self.sink.fault = lambda batch: None
        self.elapse(70)
        self.assertEqual((self.sink.values, outbox.state), ([1, 2], "flowing"))

    def test_poison(self) -> None:
        """
        Of a batch with a reading that is refused, that one becomes a dead letter with the reason,
        found by halves, and all others are passed on once and in their order.
        """
        self.poison(5, 14)
        self.record(16)
        self.start(start="beginning")
        self.assertEqual(self.sink.values, [n for n in range(1, 17) if n not in (5, 14)])
        self.assertEqual(self.letters(), [(5, "not a number I like"), (14, "not a number I like")])
        self.assertEqual(self.figures().dead, 2)
        self.assertBalanced()

    def test_poisonTold(self) -> None:
        """
        Where the sink says which they are, one more attempt is enough.
        """
        self.poison(2, 3, told=True)
        self.record(8)
        self.start(start="beginning")
        self.assertEqual(self.sink.batches, [8, 6])
        self.assertEqual(self.sink.values, [1, 4, 5, 6, 7, 8])
        self.assertBalanced()

    def test_allPoison(self) -> None:
        """
        When all is refused, all are dead letters, and what comes later is passed on.
        """
        self.poison(*range(1, 9))
        self.record(8)
        self.start(start="beginning")
        self.record()
        self.elapse(2)
        self.assertEqual((len(self.letters()), self.sink.values), (8, [9]))
        self.assertBalanced()

    def test_poisonThenAway(self) -> None:
        """
        If the sink goes away while poison is looked for, what was passed on does not come again.
        """
        calls: list[int] = []

        def fault(batch: Sequence[Entry]) -> Exception | None:
            calls.append(len(batch))
            if len(calls) == 3:
                return Transient("gone")
            return Poison("bad") if 7 in [entry.value for entry in batch] else None

        self.sink.fault = fault
        self.record(8)
        self.start(start="beginning")
        self.elapse(5)
        self.assertEqual(self.sink.values, [1, 2, 3, 4, 5, 6, 8])
        self.assertEqual([value for value, _why in self.letters()], [7])

    def test_fault(self) -> None:
        """
        A fault of ours in a sink is logged once, keeps everything, and harms no other sink.
        """
        outbox = self.start()
        self.refuse(ZeroDivisionError("oops"))
        self.record()
        self.elapse(30)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(outbox.state, "retrying")
        self.sink.fault = lambda batch: None
        self.elapse(60)
        self.assertEqual(self.sink.values, [1])

    def test_diskFull(self) -> None:
        """
        When its place cannot be written down, the readings come again later: at least once.
        """
        self.start()
        self.record(2)
        self.disk.trouble = "UPDATE cursors"
        self.elapse(3)
        self.disk.trouble = None
        self.elapse(60)
        self.assertEqual(set(self.sink.values), {1, 2})
        self.assertEqual(self.figures().delivered, 2)
        self.assertBalanced()

    def test_tooMany(self) -> None:
        """
        What is beyond the longest backlog is given up, the oldest first, counted and logged with
        its times.
        """
        self.refuse(Transient("away"))
        outbox = self.start(max_backlog=5)
        self.record(12)
        with capturedLogs() as events:
            self.elapse(400)
        self.sink.fault = lambda batch: None
        self.elapse(400)
        self.assertEqual(self.sink.values, [8, 9, 10, 11, 12])
        self.assertEqual(self.figures().expired, 7)
        (line,) = [text for e in events if "given up" in (text := formatEvent(e) or "")]
        self.assertIn(f"7 readings from {NOW}000001 to {NOW}000007", line)
        self.assertEqual(outbox.state, "flowing")
        self.assertBalanced()

    def test_tooOld(self) -> None:
        """
        The same by age.
        """
        self.refuse(Transient("away"))
        self.start(max_backlog="1h")
        self.record(3)
        self.elapse(3000)
        self.store.record([reading(int((NOW + 3000) * 1e6), 99)])
        self.elapse(1500)
        self.sink.fault = lambda batch: None
        self.elapse(400)
        self.assertEqual(self.sink.values, [99])
        self.assertBalanced()

    def test_future(self) -> None:
        """
        A reading of the future, by a wrong clock, does not keep what is behind it from being too
        old.
        """
        self.refuse(Transient("away"))
        self.start(max_backlog="1h")
        self.store.record([reading(int((NOW + 10**9) * 1e6), 1), reading(1, 2), reading(2, 3)])
        self.elapse(400)
        self.assertEqual((self.figures().expired, self.figures().backlog), (3, 0))
        self.assertBalanced()


class ReasonTests(OutboxTestCase):
    """
    Poison of which each has its own reason.
    """

    def test_each(self) -> None:
        """
        Each dead letter has the reason of its own, and the rest is passed on at once.
        """
        reasons = {2: "too hot", 3: "too cold"}

        def fault(batch: Sequence[Entry]) -> Exception | None:
            bad = {entry.id: reasons[entry.id] for entry in batch if entry.id in reasons}
            return Poison("some", bad) if bad else None

        self.sink.fault = fault
        self.start()
        self.record(4)
        self.elapse(5)
        found = sql(self.path, "SELECT reading, why FROM dead_letters ORDER BY reading")
        self.assertEqual(found, [(2, "too hot"), (3, "too cold")])
        self.assertEqual((self.sink.values, self.sink.batches), ([1, 4], [4, 2]))


class SilenceTests(OutboxTestCase):
    """
    A sink that does not answer.
    """

    def test_said(self) -> None:
        """
        Whoever looks is told for how long that is so.
        """
        outbox = self.start()
        self.sink.holding = True
        self.record()
        self.elapse(5)
        self.assertEqual(outbox.error, "")
        self.elapse(10)
        self.assertEqual(outbox.error, "no answer for 14 s")
        self.sink.held[0].callback(None)
        self.assertEqual(outbox.error, "")


class StopTests(OutboxTestCase):
    """
    Stopping in the middle.
    """

    def test_underWay(self) -> None:
        """
        A batch that is under way is waited for, and counts.
        """
        outbox = self.start()
        self.sink.holding = True
        self.record()
        self.elapse(2)
        stopped = outbox.stopService()
        self.assertNoResult(stopped)
        self.sink.held[0].callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.figures().delivered, 1)
        self.assertFalse(self.sink.open)

    def test_silent(self) -> None:
        """
        One that does not answer is given up after a moment; its batch comes again.
        """
        outbox = self.start()
        self.sink.holding = True
        self.record()
        self.elapse(2)
        stopped = outbox.stopService()
        self.elapse(6)
        self.successResultOf(stopped)
        self.assertEqual(self.figures().backlog, 1)

    def test_asleep(self) -> None:
        """
        One that waits for its next attempt ends at once, and leaves no timer.
        """
        outbox = self.start()
        self.sink.fault = lambda batch: Transient("away")
        self.record()
        self.elapse(3)
        self.successResultOf(outbox.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ReplacedTests(OutboxTestCase):
    """
    A database that is begun anew under a running gateway.
    """

    def replace(self) -> None:
        """
        Somebody takes the files away.
        """
        for suffix in "", "-wal", "-shm":
            Path(f"{self.path}{suffix}").rename(f"{self.path}{suffix}.old")

    def test_goesOn(self) -> None:
        """
        What is stored from then on is passed on, as what it is, though places in the journal and
        series are numbered from 1 again.
        """
        self.start()
        self.record(20)
        self.elapse(5)
        self.replace()
        self.store.record([reading(7, 70, device="roof", name="wind"), reading(8, 80)])
        self.elapse(5)
        late = self.sink.entries[20:]
        self.assertEqual(
            [(entry.series.device, entry.series.name, entry.value) for entry in late],
            [("roof", "wind", 70), ("balcony", "temperature", 80)],
        )
        self.assertEqual(self.figures().delivered, 2)
        self.assertBalanced()

    def test_underWay(self) -> None:
        """
        A batch that is under way meanwhile does not move the sink on in the new journal, nor does
        what was read ahead.
        """
        self.start()
        self.sink.holding = True
        self.record(16)
        self.elapse(2)
        self.replace()
        self.record(30)
        self.sink.holding = False
        self.sink.held[0].callback(None)
        self.elapse(30)
        self.assertEqual(self.sink.values, list(range(17, 47)))
        self.assertEqual(self.figures().delivered, 30)
        self.assertBalanced()

    def test_paused(self) -> None:
        """
        A sink that rests does so in the new journal, too, and after a restart.
        """
        outbox = self.start()
        self.elapse(1)
        self.successResultOf(Deferred.fromCoroutine(outbox.pause(True)))
        self.replace()
        self.record()
        self.successResultOf(outbox.stopService())
        self.assertTrue(self.figures().paused)

    def test_before(self) -> None:
        """
        Who begins with what comes from now on does so there, too: a journal that is put in place
        of this one is not passed on from its beginning.
        """
        self.start()
        self.record(3)
        self.elapse(5)
        old = self.path.with_suffix(".other")
        other = Database(old)
        other.open()
        other.commit([Part("lines", [Intake([reading(1, 1), reading(2, 2)])])])
        other.close()
        self.replace()
        old.rename(self.path)
        self.record(2)
        self.elapse(5)
        self.assertEqual(self.sink.values, [1, 2, 3, 4, 5])
        self.assertBalanced()

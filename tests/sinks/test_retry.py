"""
Tests for L{sensord.sinks.retry}: dead letters that are tried again.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from sensord.sinks import Entry, Poison, Transient
from sensord.sinks.outbox import Outbox
from sensord.store import letters
from tests.sinks.support import ParticularSink
from tests.sinks.test_outbox import OutboxTestCase
from tests.store.support import sql


class RetryTests(OutboxTestCase):
    """
    A sink that has refused the readings 2 and 5 of 8, and would take them now.
    """

    def setUp(self) -> None:
        """
        Refuse them.
        """
        super().setUp()
        self.refuse(2, 5)
        self.record(8)
        self.outbox = self.start(start="beginning")
        self.assertEqual(self.figures().dead, 2)
        self.refuse()

    def refuse(self, *values: object, why: str = "bad") -> None:
        """
        Have some values be poison from now on.
        """

        def fault(batch: Sequence[Entry]) -> Exception | None:
            bad = [entry.id for entry in batch if entry.value in values]
            return Poison(why, bad) if bad else None

        self.sink.fault = fault
        self.sink.batches.clear()

    def retry(self, *ids: int, outbox: Outbox | None = None) -> None:
        """
        Have dead letters tried again.
        """
        self.successResultOf(self.store.write(partial(letters.retry, ids)))
        (outbox or self.outbox).retry()

    def letters(self) -> list[tuple[Any, ...]]:
        """
        The dead letters: values, reasons, and whether they wait.
        """
        return sql(self.path, "SELECT value, why, retry FROM dead_letters ORDER BY id")

    def numbers(self) -> tuple[int, int]:
        """
        How many are delivered and dead; the ledger has to balance.
        """
        self.assertBalanced()
        line = self.figures()
        return line.delivered, line.dead

    def test_taken(self) -> None:
        """
        What is taken now counts as delivered, and the log says so once.
        """
        with capturedLogs() as events:
            self.retry(1, 2)
        self.assertEqual(self.sink.values, [1, 3, 4, 6, 7, 8, 2, 5])
        self.assertEqual((self.numbers(), self.letters()), ((8, 0), []))
        self.assertEqual(
            [formatEvent(event) for event in events], ["influx: 2 dead letters were passed on"]
        )

    def test_refused(self) -> None:
        """
        What is refused again stays a dead letter, with the new reason, and is not tried once more.
        """
        self.refuse(2, why="still bad")
        self.retry(1, 2)
        self.assertEqual((self.numbers(), self.letters()), ((7, 1), [(2, "still bad", 0)]))
        self.assertEqual(self.sink.batches, [2, 1])
        self.record()
        self.elapse(10)
        self.assertEqual(self.sink.batches, [2, 1, 1])

    def test_away(self) -> None:
        """
        While the sink is away they stay dead, and are tried again ever more rarely; the log says it
        once, and once that it is over.
        """
        self.sink.fault = lambda batch: Transient("connection refused")
        with capturedLogs() as events:
            self.retry(1, 2)
            self.elapse(100)
            self.assertEqual(
                (self.outbox.state, self.outbox.error), ("retrying", "connection refused")
            )
            self.assertEqual(self.numbers(), (6, 2))
            self.assertLess(len(self.sink.batches), 9)
            self.sink.fault = lambda batch: None
            self.elapse(100)
        self.assertEqual(
            (self.numbers(), self.outbox.state, self.outbox.error), ((8, 0), "flowing", "")
        )
        self.assertEqual(len(events), 3, [formatEvent(event) for event in events])

    def test_alone(self) -> None:
        """
        Trouble with a dead letter alone does not hold up what comes in.
        """

        def fault(batch: Sequence[Entry]) -> Exception | None:
            return Transient("a stumble") if 2 in [entry.value for entry in batch] else None

        self.sink.fault = fault
        self.retry(1, 2)
        self.record(3)
        self.elapse(5)
        self.assertEqual(self.sink.values[6:], [9, 10, 11])
        self.assertEqual(self.numbers(), (9, 2))

    def test_withOthers(self) -> None:
        """
        While the sink takes nothing of what comes in, they wait, and go out when that is over.
        """
        self.sink.fault = lambda batch: Transient("away")
        self.record()
        self.elapse(2)
        count = len(self.sink.batches)
        self.retry(1, 2)
        self.assertEqual(len(self.sink.batches), count)
        self.sink.fault = lambda batch: None
        self.elapse(5)
        self.assertEqual(self.sink.values[6:], [9, 2, 5])

    def test_nothingElse(self) -> None:
        """
        If nothing is left to show that the sink is back, they are tried all the same, if late.
        """
        self.sink.fault = lambda batch: Transient("away")
        self.record()
        self.elapse(2)
        sql(self.path, "UPDATE cursors SET position = 9, delivered = delivered + 1")
        self.sink.fault = lambda batch: None
        self.retry(1, 2)
        self.elapse(299)
        self.assertEqual(self.numbers(), (7, 2))
        self.elapse(10)
        self.assertEqual(self.numbers(), (9, 0))

    def test_paused(self) -> None:
        """
        A sink that is paused is not bothered with them before it is to go on.
        """
        self.successResultOf(Deferred.fromCoroutine(self.outbox.pause(True)))
        self.retry(1)
        self.elapse(400)
        self.assertEqual(self.numbers(), (6, 2))
        self.successResultOf(Deferred.fromCoroutine(self.outbox.pause(False)))
        self.assertEqual(self.numbers(), (7, 1))

    def test_pausedAtStart(self) -> None:
        """
        That holds after a restart, too, before it is known that it is paused.
        """
        self.successResultOf(Deferred.fromCoroutine(self.outbox.pause(True)))
        self.retry(1)
        self.successResultOf(self.outbox.stopService())
        self.reader.holding = True
        self.start()
        while self.reader.held:
            self.reader.release()
        self.reader.holding = False
        self.elapse(400)
        self.assertEqual(self.numbers(), (6, 2))

    def test_restart(self) -> None:
        """
        What was to be tried again when the gateway ended is tried again after the restart; what was
        on its way then, a second time.
        """
        self.sink.holding = True
        self.retry(1)
        self.assertEqual(len(self.sink.held), 1)
        stopped = self.outbox.stopService()
        self.elapse(6)
        self.successResultOf(stopped)
        self.assertEqual((self.numbers(), self.letters()[0]), ((6, 2), (2, "bad", 1)))
        self.sink.holding = False
        self.start()
        self.assertEqual((self.sink.values[6:], self.numbers()), ([2], (7, 1)))

    def test_underWay(self) -> None:
        """
        What is on its way when the gateway ends is waited for, and counts.
        """
        self.sink.holding = True
        self.retry(1, 2)
        stopped = self.outbox.stopService()
        self.assertNoResult(stopped)
        self.sink.held[0].callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.numbers(), (8, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_diskFull(self) -> None:
        """
        When it cannot be written down that they were taken, they come again: at least once.
        """
        self.disk.trouble = "DELETE FROM dead_letters"
        self.retry(1, 2)
        self.elapse(3)
        self.disk.trouble = None
        self.elapse(60)
        self.assertEqual(self.numbers(), (8, 0))
        self.assertGreater(self.sink.values.count(2), 1)

    def test_fault(self) -> None:
        """
        A fault of ours is logged once, and harms nothing else.
        """
        self.sink.fault = lambda batch: ZeroDivisionError("oops")
        self.retry(1)
        self.elapse(30)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.sink.fault = lambda batch: None
        self.record()
        self.elapse(60)
        self.assertEqual((self.sink.values[6:], self.numbers()), ([2, 9], (8, 1)))

    def test_many(self) -> None:
        """
        Many are tried some at a time, with what comes in between them.
        """
        self.refuse(*range(9, 90))
        self.record(81)
        self.elapse(30)
        self.assertEqual(self.numbers(), (6, 83))
        self.refuse()
        self.sink.holding = True
        self.retry(*range(1, 84))
        self.record(2)
        self.elapse(3)
        self.sink.holding = False
        self.sink.held[0].callback(None)
        self.assertEqual(self.numbers(), (91, 0))
        self.assertEqual(self.sink.batches[:4], [8, 2, 8, 8])

    def test_particular(self) -> None:
        """
        A sink that writes in another way what comes out of turn is told that it does.
        """
        self.successResultOf(self.outbox.stopService())
        self.sink = sink = ParticularSink()
        outbox = self.start()
        self.retry(1, outbox=outbox)
        self.assertEqual((sink.values, sink.lately), ([], [(2, False)]))
        self.assertEqual(self.numbers(), (7, 1))

"""
Tests for L{sensord.sinks.replay}: history that is sent again.
"""

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from sensord.sinks import Entry, Poison, Transient
from sensord.sinks.outbox import Outbox
from sensord.sinks.replay import Replay
from tests.sinks.support import ParticularSink
from tests.sinks.test_outbox import NOW, OutboxTestCase
from tests.store.support import reading

ALL = -(2**63), 2**63 - 1


class ReplayTests(OutboxTestCase):
    """
    A sink that has 20 readings.
    """

    def setUp(self) -> None:
        """
        Pass them on.
        """
        super().setUp()
        self.record(20)
        self.outbox = self.start(start="beginning")
        self.before = self.figures()
        self.forget()

    def forget(self) -> None:
        """
        Look at what comes from now on.
        """
        self.sink.entries.clear()
        self.sink.batches.clear()

    def replay(self, first: int = 1, end: int = 1_000, outbox: Outbox | None = None) -> Replay:
        """
        Send readings again.

        @param first: the value of the first.
        @param end: that of the one behind the last.
        """
        outbox = outbox or self.outbox
        self.assertEqual(outbox.unable, "")
        return outbox.replay(NOW * 1_000_000 + first, NOW * 1_000_000 + end)

    def outcome(self, replay: Replay) -> tuple[Any, ...]:
        """
        What has become of it; the ledger must know nothing of it.
        """
        self.assertBalanced()
        progress = replay.progress
        return progress.state, progress.sent, progress.refused

    def test_all(self) -> None:
        """
        All comes again in its order, and the place and the line of the sink are as they were.
        """
        replay = self.outbox.replay(*ALL)
        self.assertEqual(self.sink.values, list(range(1, 21)))
        self.assertEqual((self.outcome(replay), replay.over), (("done", 20, 0), True))
        self.assertEqual((replay.progress.looked, replay.progress.total), (20, 20))
        self.assertEqual(self.figures(), self.before)

    def test_some(self) -> None:
        """
        Of a time, or of a device, comes only what is asked for.
        """
        self.assertEqual(self.outcome(self.replay(5, 9)), ("done", 4, 0))
        self.assertEqual(self.sink.values, [5, 6, 7, 8])
        self.store.record([reading(7, 99, device="attic")])
        self.elapse(3)
        self.forget()
        self.outbox.replay(*ALL, "attic")
        self.assertEqual(self.sink.values, [99])

    def test_nothing(self) -> None:
        """
        One that finds nothing is over at once.
        """
        self.assertEqual(self.outcome(self.replay(500)), ("done", 0, 0))

    def test_expired(self) -> None:
        """
        What was given up when the backlog was too long can be sent in this way.
        """
        self.sink.fault = lambda batch: Transient("away")
        self.successResultOf(self.outbox.stopService())
        outbox = self.start(max_backlog=2)
        self.record(6)
        self.elapse(400)
        self.sink.fault = lambda batch: None
        self.elapse(400)
        self.assertEqual(self.sink.values, [25, 26])
        self.replay(21, 25, outbox)
        self.assertEqual(self.sink.values, [25, 26, 21, 22, 23, 24])
        self.assertBalanced()

    def test_beside(self) -> None:
        """
        What comes in meanwhile is passed on, and is no part of it.
        """
        self.sink.holding = True
        replay = self.replay()
        self.record(3)
        self.elapse(2)
        self.assertEqual((self.sink.batches, replay.progress.state), ([8], "running"))
        self.sink.holding = False
        self.sink.held[0].callback(None)
        self.assertEqual(self.sink.batches, [8, 3, 8, 4])
        self.assertEqual(self.outcome(replay), ("done", 20, 0))
        self.assertEqual(self.figures().delivered, 23)

    def test_away(self) -> None:
        """
        A sink that is away is tried again as always, and nothing comes twice.
        """
        calls = []

        def fault(batch: Sequence[Entry]) -> Exception | None:
            calls.append(len(batch))
            return Transient("gone") if 1 < len(calls) < 5 else None

        self.sink.fault = fault
        replay = self.replay()
        self.assertEqual((self.outbox.state, self.outbox.error), ("retrying", "gone"))
        progress = replay.progress
        self.assertEqual((progress.state, progress.error, progress.sent), ("waiting", "gone", 8))
        self.elapse(20)
        self.assertEqual(self.sink.values, list(range(1, 21)))
        self.assertEqual((self.outcome(replay), replay.progress.error), (("done", 20, 0), ""))
        self.assertEqual(self.outbox.state, "flowing")

    def test_poison(self) -> None:
        """
        What is refused is counted, with the reason, and becomes no dead letter.
        """

        def fault(batch: Sequence[Entry]) -> Exception | None:
            return Poison("bad") if {3, 17} & {entry.value for entry in batch} else None

        self.sink.fault = fault
        replay = self.replay()
        self.assertEqual(self.sink.values, [n for n in range(1, 21) if n not in (3, 17)])
        self.assertEqual((self.outcome(replay), replay.progress.why), (("done", 18, 2), "bad"))
        self.assertEqual(self.figures(), self.before)

    def test_stopped(self) -> None:
        """
        One that is stopped sends what is under way, and no more.
        """
        self.sink.holding = True
        replay = self.replay()
        told = []
        replay.follow(lambda: told.append(replay.progress.state))
        replay.stop("enough")
        self.assertEqual((told, replay.progress.error), (["stopped"], "enough"))
        self.sink.holding = False
        self.sink.held[0].callback(None)
        self.elapse(5)
        self.assertEqual(self.sink.batches, [8])
        self.assertEqual(self.outcome(replay), ("stopped", 8, 0))
        replay.stop("once more")
        self.assertEqual(replay.progress.error, "enough")
        replay.follow(lambda: told.append("late"))
        self.assertEqual(told, ["stopped", "late"])

    def test_next(self) -> None:
        """
        There is one at a time, and the next can begin when that is over.
        """
        self.sink.holding = True
        replay = self.replay()
        self.assertIn("under way already", self.outbox.unable)
        replay.stop("enough")
        other = self.replay(19)
        self.sink.holding = False
        self.sink.held[0].callback(None)
        self.assertEqual(self.outcome(other), ("done", 2, 0))
        self.assertEqual(self.sink.values, [19, 20])  # what is held is never kept

    def test_unable(self) -> None:
        """
        A sink that is held has no history sent, nor one that would make nothing good of it.
        """
        self.successResultOf(self.outbox.stopService())
        self.assertIn("stopping", self.outbox.unable)
        self.assertIn("active = false", self.start(active=False).unable)
        self.sink = sink = ParticularSink()
        outbox = self.start()
        replay = self.replay(19, outbox=outbox)
        self.assertEqual((sink.values, sink.lately), ([], [(19, True), (20, True)]))
        self.assertEqual(self.outcome(replay), ("done", 2, 0))
        sink.once = "not twice"
        self.assertEqual(outbox.unable, "not twice")

    def test_paused(self) -> None:
        """
        While the sink is paused it waits.
        """
        self.successResultOf(Deferred.fromCoroutine(self.outbox.pause(True)))
        replay = self.replay()
        progress = replay.progress
        self.assertEqual((progress.state, progress.error), ("waiting", "the sink is paused"))
        self.successResultOf(Deferred.fromCoroutine(self.outbox.pause(False)))
        self.assertEqual(self.outcome(replay), ("done", 20, 0))

    def test_busy(self) -> None:
        """
        It gives way while many live readings wait for their commit.
        """
        self.store.pending = 10_000
        replay = self.replay()
        self.elapse(2)
        self.assertEqual(self.sink.batches, [])
        self.store.pending = 0
        self.elapse(1)
        self.assertEqual(self.outcome(replay), ("done", 20, 0))

    def test_end(self) -> None:
        """
        It ends with the gateway, which says so, and is not begun again by itself.
        """
        self.sink.fault = lambda batch: Transient("away")
        replay = self.replay()
        with capturedLogs() as events:
            self.successResultOf(self.outbox.stopService())
        self.assertEqual(self.outcome(replay), ("stopped", 0, 0))
        self.assertEqual(replay.progress.error, "the daemon is stopping")
        self.assertIn("a replay is stopped: 0 readings", formatEvent(events[0]) or "")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.sink.fault = lambda batch: None
        self.start()
        self.elapse(5)
        self.assertEqual(self.sink.values, [])

    def test_broken(self) -> None:
        """
        A database that cannot be read just now is tried again.
        """
        moved = self.path.rename(self.path.with_name("moved"))
        replay = self.replay()
        self.assertIn("there is no such database", replay.progress.error)
        moved.rename(self.path)
        self.elapse(3)
        self.assertEqual(self.outcome(replay), ("done", 20, 0))

"""
Tests for L{sensord.hubs.hub}.
"""

from pathlib import Path
from typing import Any

from msgspec import structs
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sensord.hubs.files import prepare
from sensord.hubs.hub import Hub, Making, Status
from tests.hubs.support import MEGA, NOW, Processes


class HubTests(SynchronousTestCase):
    """
    One hub.
    """

    def setUp(self) -> None:
        """
        One that was never started.
        """
        self.clock = Clock()
        self.clock.advance(NOW)
        self.processes = Processes()
        self.folder = Path(self.mktemp()).absolute()
        self.trouble: Exception | None = None
        self.held: list[Deferred[Any]] | None = None
        self.states: list[str] = []
        self.making = Making(
            self.clock,
            self.processes.spawn,
            self.clock.seconds,
            lambda hub: self.states.append(hub.state),
            10,
            600,
            self.processes.resident,
        )
        self.hub = self.make()
        self.addCleanup(self.leave)

    def make(self, **changes: Any) -> Hub:
        """
        A hub.
        """
        made = structs.replace(self.making, **changes)
        return Hub(made, "h1", "acme", self.folder, 256 * MEGA, self.prepare)

    def leave(self) -> None:
        """
        Stop it, and leave nothing behind.
        """
        stopped = self.hub.stop()
        self.successResultOf(stopped)
        self.assertEqual(self.hub.state, "stopped")
        self.assertEqual(self.processes.running, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def prepare(self) -> Deferred[Any]:
        """
        Write its configuration.
        """
        if self.held is not None:
            self.held.append(Deferred())
            return self.held[-1]
        return execute(self._prepare)

    def _prepare(self) -> Any:
        if self.trouble is not None:
            raise self.trouble
        return prepare(self.folder, "h1", b"")

    def run_(self) -> None:
        """
        Have it run.
        """
        self.hub.start()
        self.processes.last.started()
        self.states.clear()

    def pause(self) -> float:
        """
        Wait until it is started again.

        @return: the seconds until then.
        """
        self.assertEqual(self.hub.state, "waiting")
        start = self.clock.seconds()
        (call,) = self.clock.getDelayedCalls()
        self.clock.advance(call.getTime() - start)
        self.assertEqual(self.hub.state, "starting")
        return self.clock.seconds() - start

    def test_started(self) -> None:
        """
        It starts, and runs when its process says so.
        """
        self.assertEqual(self.hub.status.state, "stopped")
        self.hub.start()
        self.assertEqual(
            self.hub.status,
            Status("h1", "acme", "starting", 1000, "2026-11-20T17:10:50.000000Z", 0, ""),
        )
        self.clock.advance(1)
        self.processes.last.started()
        self.assertEqual(
            self.hub.status,
            Status("h1", "acme", "running", 1000, "2026-11-20T17:10:51.000000Z", 0, ""),
        )
        self.assertEqual(self.states, ["starting", "starting", "running"])
        self.hub.start()
        self.assertEqual(len(self.processes.all), 1)

    def test_process(self) -> None:
        """
        Its process is a gateway with its configuration, in its folder, that ends with us.
        """
        self.hub.start()
        process = self.processes.last
        self.assertEqual(process.folder, str(self.folder))
        self.assertEqual(
            process.arguments[-6:],
            ["-n", "--pidfile=", "sensord", "--config", "h1.toml", "--supervised"],
        )

    def test_stopped(self) -> None:
        """
        It has stopped when its process is gone.
        """
        self.run_()
        self.processes.last.stubborn = True
        stopped = self.hub.stop()
        self.assertNoResult(stopped)
        self.assertNoResult(self.hub.stop())
        self.assertEqual(self.states, ["stopping"])
        self.processes.last.end()
        self.successResultOf(stopped)
        self.assertEqual((self.hub.status.state, self.hub.status.pid), ("stopped", None))
        self.assertEqual(self.hub.status.why, "")
        self.successResultOf(self.hub.stop())

    def test_pauses(self) -> None:
        """
        One that ends by itself is started again, after pauses that grow up to a minute.
        """
        self.hub = self.make(crashes=100)
        self.hub.start()
        pauses = []
        for _ in range(15):
            self.processes.last.end(signal=9)
            pauses.append(round(self.pause(), 2))
        self.assertEqual(pauses[:4], [0.5, 0.75, 1.12, 1.69])
        self.assertEqual(pauses[-2:], [60, 60])
        self.assertEqual((self.hub.status.restarts, self.hub.status.why[-7:]), (15, "SIGKILL"))
        # Ten times in a minute are possible.
        self.assertLess(sum(pauses[:9]), 45)

    def test_proven(self) -> None:
        """
        One that has run for half a minute is started again quickly.
        """
        self.run_()
        for _ in range(5):
            self.processes.last.end(signal=9)
            self.pause()
        self.clock.pump([1] * 30)
        self.processes.last.end(signal=9)
        self.assertEqual(self.pause(), 0.5)

    def test_budget(self) -> None:
        """
        One that ends too often is left alone until somebody starts it; then all is forgotten.
        """
        self.hub.start()
        for _ in range(10):
            self.processes.last.end(code=1)
            self.pause()
        with capturedLogs() as captured:
            self.processes.last.end(code=1)
        self.assertEqual(self.hub.state, "failed")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIn("that was end 11, and it is left alone", self.hub.status.why)
        (line,) = [formatEvent(one) for one in captured if one["log_level"].name == "error"]
        self.assertIn("acme/h1: it has ended with exit code 1", line or "")
        self.hub.start()
        status = self.hub.status
        self.assertEqual((status.state, status.restarts, status.why), ("starting", 0, ""))
        self.processes.last.end(code=1)
        self.assertEqual(self.pause(), 0.5)

    def test_window(self) -> None:
        """
        Ends that were long ago do not count.
        """
        self.hub = self.make(crashes=2, within=60)
        self.hub.start()
        for _ in range(10):
            self.processes.last.end(code=1)
            self.pause()
            self.clock.pump([1] * 30)

    def test_memory(self) -> None:
        """
        Too much memory is an end like any other, with its reason.
        """
        self.run_()
        self.processes.memory[1000] = 300 * MEGA
        self.clock.advance(1)
        self.assertEqual(self.hub.status.why, "it had 300 MB of memory, and may have 256")
        self.pause()
        self.assertEqual(self.hub.status.restarts, 1)

    def test_waiting(self) -> None:
        """
        One that waits to be started again stops at once, or starts at once.
        """
        self.run_()
        self.processes.last.end(signal=9)
        self.hub.start()
        self.assertEqual((self.hub.status.state, self.hub.status.restarts), ("starting", 0))
        self.processes.last.end(signal=9)
        self.assertEqual(self.hub.state, "waiting")
        self.successResultOf(self.hub.stop())
        self.assertEqual(self.hub.state, "stopped")

    def test_failed(self) -> None:
        """
        One that has failed can be stopped.
        """
        self.hub.fail("there is no such group")
        self.assertEqual(
            (self.hub.state, self.hub.status.why), ("failed", "there is no such group")
        )
        self.successResultOf(self.hub.stop())
        self.assertEqual(self.hub.state, "stopped")

    def test_unwritable(self) -> None:
        """
        One whose configuration cannot be written, or that can have no process, is tried again.
        """
        self.trouble = OSError(28, "No space left on device")
        self.hub.start()
        self.assertIn("it cannot be started: ", self.hub.status.why)
        self.assertIn("No space left on device", self.hub.status.why)
        self.trouble, self.processes.why = None, BlockingIOError(11, "Try again")
        self.clock.advance(1)
        self.assertIn("Try again", self.hub.status.why)
        self.processes.why = None
        self.clock.advance(1)
        self.assertEqual((self.hub.status.state, self.hub.status.restarts), ("starting", 2))

    def test_preparing(self) -> None:
        """
        One that is stopped before it has a process gets none.
        """
        self.held = []
        self.hub.start()
        stopped = self.hub.stop()
        self.assertNoResult(stopped)
        self.held[0].callback(self._prepare())
        self.successResultOf(stopped)
        self.assertEqual(self.processes.all, [])
        self.held = None

    def test_broken(self) -> None:
        """
        A fault of ours is logged, and the hub is left alone.
        """
        self.trouble = KeyError("x")
        self.hub.start()
        self.assertEqual(self.hub.state, "failed")
        self.assertIn("see the manager's log", self.hub.status.why)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.trouble = None
        self.hub.start()
        self.assertEqual(self.hub.state, "starting")

"""
Tests for L{sensord.worker}.
"""

from functools import partial
from threading import Event, current_thread

from twisted.internet.defer import CancelledError, gatherResults
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from sensord import worker
from sensord.worker import Worker


class WorkerTests(TestCase):
    """
    L{Worker} runs calls on one thread. These tests need the real reactor: threads are what they
    are about.
    """

    def setUp(self) -> None:
        """
        A running worker.
        """
        from twisted.internet import reactor

        self.worker = Worker(reactor, "a-worker")  # type: ignore[arg-type]
        self.worker.start()
        self.addCleanup(self.worker.stop)

    async def test_elsewhere(self) -> None:
        """
        A call runs on another thread, and its result comes back.
        """
        thread = await self.worker.run(current_thread)
        self.assertIsNot(thread, current_thread())

    async def test_inOrder(self) -> None:
        """
        Calls run one at a time, in their order.
        """
        done: list[int] = []
        await gatherResults([self.worker.run(partial(done.append, n)) for n in range(100)])
        self.assertEqual(done, list(range(100)))

    async def test_raises(self) -> None:
        """
        What a call raises fails its Deferred.
        """
        with self.assertRaises(ZeroDivisionError):
            await self.worker.run(lambda: 1 // 0)

    async def test_cancelled(self) -> None:
        """
        A call that nobody waits for any more when its turn comes is not made.
        """
        begin, done = Event(), list[int]()
        first = self.worker.run(begin.wait)
        second, third = (self.worker.run(partial(done.append, number)) for number in (2, 3))
        second.cancel()
        self.failureResultOf(second, CancelledError)
        begin.set()
        await first
        await third
        self.assertEqual(done, [3])

    async def test_hangs(self) -> None:
        """
        A call that hangs keeps nobody from ending.
        """
        self.patch(worker, "PATIENCE", 0.01)
        begun, end = Event(), Event()
        self.addCleanup(end.set)

        def hang() -> None:
            begun.set()
            end.wait()

        hanging = self.worker.run(hang)
        begun.wait()
        with capturedLogs() as events:
            self.worker.stop()
        self.assertEqual(len(events), 1)
        self.assertNoResult(hanging)

    async def test_again(self) -> None:
        """
        A worker that was stopped can be started again.
        """
        self.worker.stop()
        self.worker.start()
        self.assertEqual(await self.worker.run(lambda: 7), 7)

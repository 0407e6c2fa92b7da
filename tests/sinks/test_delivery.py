"""
Tests for L{sensord.sinks.delivery}, as far as L{tests.sinks.test_outbox} leaves anything to test.
"""

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sensord.sinks import Entry, Series, Transient
from sensord.sinks.delivery import Line
from tests.sinks.support import MemorySink

BATCH = [Entry(1, Series("balcony", "light", "", {}, "weather/1"), 1, 6)]


class LineTests(SynchronousTestCase):
    """
    Two who write over one line.
    """

    def setUp(self) -> None:
        """
        Open it.
        """
        self.clock, self.sink = Clock(), MemorySink()
        self.line = Line(self.clock)
        self.line.open()

    def write(self) -> Deferred[None]:
        """
        Write a batch.
        """
        return Deferred.fromCoroutine(self.line.write(self.sink.write, BATCH))

    def test_turns(self) -> None:
        """
        One batch is written at a time, in the order in which they came.
        """
        self.sink.holding = True
        first, second = self.write(), self.write()
        self.assertEqual(len(self.sink.held), 1)
        self.sink.held[0].callback(None)
        self.successResultOf(first)
        self.assertEqual(len(self.sink.held), 2)
        self.sink.held[1].errback(Transient("away"))
        self.failureResultOf(second, Transient)

    def test_quiet(self) -> None:
        """
        When the other side asks one to leave it alone, the other does so too.
        """
        self.sink.fault = lambda batch: Transient("too many requests", 60.0)
        self.failureResultOf(self.write(), Transient)
        self.sink.fault = lambda batch: None
        self.clock.advance(20)
        error = self.failureResultOf(self.write(), Transient).value
        self.assertEqual((str(error), error.after), ("too many requests", 40.0))
        self.assertEqual(len(self.sink.batches), 1)
        self.clock.advance(40)
        self.successResultOf(self.write())

    def test_hurry(self) -> None:
        """
        An operator who wants it to go on is obeyed.
        """
        self.sink.fault = lambda batch: Transient("too many requests", 60.0)
        self.failureResultOf(self.write(), Transient)
        self.sink.fault = lambda batch: None
        self.line.hurry()
        self.successResultOf(self.write())

    def test_cut(self) -> None:
        """
        When it is cut, what is under way is given up, and what waits is not begun; later it can be
        opened again.
        """
        self.sink.holding = True
        first, second = self.write(), self.write()
        self.line.cut()
        self.failureResultOf(first, CancelledError)
        self.failureResultOf(second, CancelledError)
        self.assertEqual(len(self.sink.batches), 1)
        self.sink.holding = False
        self.line.open()
        self.successResultOf(self.write())

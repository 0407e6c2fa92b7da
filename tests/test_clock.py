"""
Tests for L{sensord.clock}.
"""

import time

from twisted.internet.base import ReactorBase
from twisted.trial.unittest import SynchronousTestCase

from sensord.clock import steady


class Reactor(ReactorBase):
    """
    A reactor that waits for nothing.
    """

    def installWaker(self) -> None:
        """
        Nobody has to be woken.
        """


class SteadyTests(SynchronousTestCase):
    """
    Timers when the time of day is set.
    """

    def setUp(self) -> None:
        """
        A reactor whose timers are steady, and a time of day in the hands of the test.
        """
        self.day, self.since = 1_795_194_650.0, 5_000.0
        self.patch(time, "time", lambda: self.day)
        self.patch(time, "monotonic", lambda: self.since)
        self.reactor = Reactor()
        steady(self.reactor)

    def test_setBack(self) -> None:
        """
        A timer is due when its time has passed, though the clock was set back meanwhile.
        """
        rung: list[bool] = []
        self.reactor.callLater(10, rung.append, True)
        self.day -= 3600
        self.since += 9
        self.reactor.runUntilCurrent()
        self.assertEqual(rung, [])
        self.assertEqual(self.reactor.timeout(), 1)
        self.since += 1
        self.reactor.runUntilCurrent()
        self.assertEqual(rung, [True])

    def test_begun(self) -> None:
        """
        It begins with the time of day: timers that run already are due when they would have been.
        """
        self.assertEqual(self.reactor.seconds(), self.day)

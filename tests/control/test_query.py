"""
Tests for L{sensord.control.query}. What requests look like is tested with the API.
"""

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from sensord.control.query import Fault, duration, instant
from tests.support import PROPERTY


class TimeTests(SynchronousTestCase):
    """
    The times that parameters mean.
    """

    def test_instant(self) -> None:
        """
        A time is a number of microseconds, a date, or how long ago it was.
        """
        self.assertEqual(instant("start", "-5", 10.0), -5)
        self.assertEqual(instant("start", "1970-01-01T00:00:01", 10.0), 1_000_000)
        self.assertEqual(instant("start", "4s", 10.0), 6_000_000)

    def test_forever(self) -> None:
        """
        Forever begins with the first time that there is, and ends with the last.
        """
        self.assertEqual(instant("start", "forever", 10.0), -(2**63))
        self.assertEqual(instant("end", "forever", 10.0), 2**63 - 1)

    def test_duration(self) -> None:
        """
        A time span is a number of microseconds, or one with a unit.
        """
        self.assertEqual(duration("step", "5"), 5)
        self.assertEqual(duration("step", "1.5m"), 90_000_000)

    @PROPERTY
    @given(strategies.text(), strategies.floats(0, 1e11))
    def test_anything(self, text: str, now: float) -> None:
        """
        Any text is a time that the database can hold, or an error for whoever asked.
        """
        for read in (lambda: instant("end", text, now), lambda: duration("end", text)):
            try:
                found = read()
            except Fault as error:
                self.assertEqual(error.status, 400)
            else:
                self.assertTrue(-(2**63) <= found < 2**63)

"""
Tests for L{sensord.rarely}.
"""

from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sensord.rarely import EVERY, SUBJECTS, Rarely


class RarelyTests(SynchronousTestCase):
    """
    L{Rarely} logs the first of a kind and then counts.
    """

    def setUp(self) -> None:
        """
        A log on a clock that stands still.
        """
        self.clock = Clock()
        self.rarely = Rarely(Logger(), self.clock)

    def warn(self, kind: str, peer: str, subject: str = "") -> list[str]:
        """
        What is logged for one warning.
        """
        with capturedLogs() as events:
            self.rarely.warn(kind, subject, "bad: {peer}", peer=peer)
        return [formatEvent(event) for event in events]

    def test_first(self) -> None:
        """
        The first warning of each kind is logged at once.
        """
        self.assertEqual(self.warn("a", "x"), ["bad: x"])
        self.assertEqual(self.warn("b", "y"), ["bad: y"])

    def test_suppressed(self) -> None:
        """
        Those that follow within a minute are not, and then the next one tells how many they were.
        """
        self.warn("a", "x")
        self.clock.advance(EVERY - 1)
        self.assertEqual(self.warn("a", "x") + self.warn("a", "y"), [])
        self.clock.advance(1)
        self.assertEqual(
            self.warn("a", "z"), ["bad: z (and 2 more like it since the last such line)"]
        )

    def test_recovered(self) -> None:
        """
        The count begins again after it was told.
        """
        for _ in range(3):
            self.warn("a", "x")
        self.clock.advance(EVERY)
        self.warn("a", "x")
        self.clock.advance(EVERY)
        self.assertEqual(self.warn("a", "x"), ["bad: x"])

    def test_subjects(self) -> None:
        """
        What is about something else has a line of its own.
        """
        self.assertEqual(self.warn("a", "x", "1") + self.warn("a", "y", "2"), ["bad: x", "bad: y"])
        self.assertEqual(self.warn("a", "x", "1") + self.warn("a", "y", "2"), [])

    def test_manySubjects(self) -> None:
        """
        Who thinks of ever new subjects gets no more than so many lines a minute.
        """
        lines = [line for number in range(1000) for line in self.warn("a", "x", f"{number}")]
        self.assertEqual(len(lines), SUBJECTS + 1)
        self.clock.advance(EVERY)
        self.assertEqual(self.warn("a", "x", "a new one"), ["bad: x"])

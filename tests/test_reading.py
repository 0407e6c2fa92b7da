"""
Tests for L{sensord.reading}.
"""

from hypothesis import given, strategies
from twisted.internet.task import Clock as HandClock
from twisted.trial.unittest import SynchronousTestCase

from sensord.reading import (
    ACCEPTED,
    REFUSED,
    Arrivals,
    Clock,
    Intake,
    Quarantined,
    Reading,
    Rejected,
)
from tests.support import PROPERTY

NOW = 1795194650

READING = Reading("balcony", "temperature", 24.5, NOW * 1_000_000, Clock.ARRIVAL)


class ReadingTests(SynchronousTestCase):
    """
    The one value that flows.
    """

    def test_nothingChangesAReading(self) -> None:
        """
        A reading cannot be changed once it is made.
        """
        for field in ("device", "name", "value", "time", "clock"):
            self.assertRaises(AttributeError, setattr, READING, field, None)

    def test_equalReadingsAreEqual(self) -> None:
        """
        Two readings are the same when everything about them is.
        """
        same = Reading("balcony", "temperature", 24.5, NOW * 1_000_000, Clock.ARRIVAL)
        self.assertEqual(READING, same)
        self.assertEqual(hash(READING), hash(same))
        other = Reading("balcony", "temperature", 24.5, NOW * 1_000_000, Clock.DEVICE)
        self.assertNotEqual(READING, other)


class ClockTests(SynchronousTestCase):
    """
    Where times come from.
    """

    def test_eachClockHasItsNameAndItsCode(self) -> None:
        """
        The clocks have the names that people read and the numbers that the database keeps.
        """
        clocks = [(clock.value, clock.code) for clock in Clock]
        self.assertEqual(clocks, [("device", 0), ("backdated", 1), ("arrival", 2)])

    def test_aClockIsFoundByItsName(self) -> None:
        """
        The name of a clock leads back to it.
        """
        for clock in Clock:
            self.assertIs(Clock(clock.value), clock)  # type: ignore[call-arg]
        self.assertRaises(ValueError, Clock, "sundial")


class IntakeTests(SynchronousTestCase):
    """
    What one chunk of bytes came to.
    """

    def test_everythingThatCameIsReceived(self) -> None:
        """
        Readings, rejected items and quarantined frames count as received, one each.
        """
        rejected = [Rejected(b"\x01", "a piece")] * 2
        quarantined = [Quarantined(NOW, "10.0.0.1", b"\x01", "unknown", "esp8266")] * 4
        intake = Intake([READING], ACCEPTED, rejected, quarantined)
        self.assertEqual(intake.received, 7)
        self.assertEqual(Intake([READING], ACCEPTED).received, 1)
        self.assertEqual(Intake([], REFUSED, rejected).received, 2)
        self.assertEqual(Intake([], ACCEPTED, (), quarantined).received, 4)

    def test_nothingIsReceivedWithoutItems(self) -> None:
        """
        A chunk that completed nothing counts for nothing and tells the device nothing.
        """
        intake = Intake([])
        self.assertEqual((intake.received, intake.answer), (0, b""))
        self.assertEqual((list(intake.rejected), list(intake.quarantined)), ([], []))

    def test_verdictsAreAckAndNak(self) -> None:
        """
        A device that asked for it is told ACK or NAK, the characters of ASCII.
        """
        self.assertEqual((ACCEPTED, REFUSED), (b"\x06", b"\x15"))


class ArrivalsTests(SynchronousTestCase):
    """
    How arrivals are stamped.
    """

    def test_aStampIsTheTimeInMicroseconds(self) -> None:
        """
        What arrives is stamped with the wall clock, in microseconds since the epoch.
        """
        clock = HandClock()
        arrivals = Arrivals(clock.seconds)
        clock.advance(NOW)
        self.assertEqual(arrivals.take(), NOW * 1_000_000)
        clock.advance(0.25)
        self.assertEqual(arrivals.take(), NOW * 1_000_000 + 250_000)

    def test_stampsDifferWhileTheClockStandsStill(self) -> None:
        """
        What arrives at one moment is stamped one microsecond apart.
        """
        arrivals = Arrivals(lambda: NOW)
        stamps = [arrivals.take() for _item in range(5)]
        self.assertEqual(stamps, list(range(NOW * 1_000_000, NOW * 1_000_000 + 5)))

    def test_stampsIncreaseWhenTheClockStepsBack(self) -> None:
        """
        When the wall clock is set back, stamps go on from where they were until it catches up.
        """
        clock = HandClock()
        clock.advance(NOW)
        arrivals = Arrivals(clock.seconds)
        first = arrivals.take()
        clock.advance(-9)
        self.assertEqual([arrivals.take(), arrivals.take()], [first + 1, first + 2])
        clock.advance(10)
        self.assertEqual(arrivals.take(), first + 1_000_000)

    def test_stampsFollowAClockThatWasWrong(self) -> None:
        """
        A clock that was days ahead and is mended does not leave all later stamps there.
        """
        clock = HandClock()
        clock.advance(NOW)
        arrivals = Arrivals(clock.seconds)
        first = arrivals.take()
        clock.advance(86400)
        arrivals.take()
        clock.advance(1 - 86400)
        self.assertEqual([arrivals.take(), arrivals.take()], [first + 1_000_000, first + 1_000_001])

    def test_aRunIsReservedWhole(self) -> None:
        """
        A run of stamps begins with the one returned, and the next stamp follows the whole run.
        """
        arrivals = Arrivals(lambda: NOW)
        first = arrivals.take(100)
        self.assertEqual(first, NOW * 1_000_000)
        self.assertEqual(arrivals.take(3), first + 100)
        self.assertEqual(arrivals.take(), first + 103)

    def test_aRunOfNothingReservesNothing(self) -> None:
        """
        Nothing that arrives takes no stamp.
        """
        arrivals = Arrivals(lambda: NOW)
        arrivals.take(0)
        self.assertEqual(arrivals.take(), NOW * 1_000_000)

    @PROPERTY
    @given(
        strategies.lists(
            strategies.tuples(strategies.floats(-9, 1e6), strategies.integers(1, 1000)), min_size=1
        )
    )
    def test_noTwoItemsShareAStamp(self, takes: list[tuple[float, int]]) -> None:
        """
        While the wall clock is not set back by more than ten seconds, every run of stamps begins
        after the one before has ended.
        """
        clock, free = HandClock(), 0
        clock.advance(NOW)
        arrivals = Arrivals(clock.seconds)
        for step, count in takes:
            clock.advance(max(step, free / 1e6 - 9 - clock.seconds()))
            first = arrivals.take(count)
            self.assertGreaterEqual(first, free)
            self.assertGreaterEqual(first, int(clock.seconds() * 1_000_000))
            free = first + count

"""
Tests for L{sensord.sources}.
"""

from math import inf, nan

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from sensord.settings import ValueSettings
from sensord.sources import (
    byField,
    byOrder,
    byPlace,
    clean,
    counted,
    named,
    reachable,
    unlike,
)
from tests.support import PROPERTY

#: A description of two values, the second of which says what the wire calls it.
POWER = ValueSettings("power")
OUTSIDE = ValueSettings("outside", field="1")


class CleanTests(SynchronousTestCase):
    """
    L{clean} and L{counted}.
    """

    def test_whatIsNotFiniteIsNoValue(self) -> None:
        """
        A NaN or an infinity is no value, and everything else is.
        """
        for bad in (nan, inf, -inf):
            self.assertIsNone(clean(bad))
        for good in (0, -7, 1.5, True, False, "on", -(2**63), 2**63 - 1, 1e308):
            self.assertIs(clean(good), good)

    def test_aNumberTooLargeForDatabasesIsAFloat(self) -> None:
        """
        A whole number that no signed 64-bit integer holds becomes a float.
        """
        value = clean(2**64 - 1)
        self.assertEqual(value, 2.0**64)
        self.assertIs(type(value), float)

    def test_aCounterIsAWholeNumber(self) -> None:
        """
        A counter is a whole number, also when it is written with decimals; it may be negative.
        """
        for value, counter in ((7, 7), (7.0, 7), (-3, -3), (2**32 - 1, 2**32 - 1), (-0.0, 0)):
            found = counted(value)
            self.assertEqual(found, counter)
            self.assertIs(type(found), int)
        for value in (7.5, nan, inf, -inf):
            self.assertIsNone(counted(value))

    def test_anUnbelievableCounterIsNone(self) -> None:
        """
        A number far beyond what any device could have counted to is no counter.
        """
        for value in (2**32, 1e300, -1e300, 2.0**63, -(2**31) - 1):
            self.assertIsNone(counted(value))

    @PROPERTY
    @given(strategies.integers() | strategies.floats())
    def test_anyNumberMayBeAskedFor(self, value: int | float) -> None:
        """
        Whatever a peer sends, its counter is none or is that number, and databases can hold it.
        """
        counter = counted(value)
        if counter is not None:
            self.assertEqual(counter, value)
            self.assertLess(abs(counter), 2**33)


class NameTests(SynchronousTestCase):
    """
    How values come by their names.
    """

    def test_byField(self) -> None:
        """
        A described value is the one that its field names, or else its name.
        """
        found = byField([POWER, OUTSIDE])
        self.assertEqual(found, {"power": POWER, "1": OUTSIDE})

    def test_byPlace(self) -> None:
        """
        A described value is the one at the place that its field names, or else at its own place in
        the description.
        """
        third = ValueSettings("third", field="7")
        self.assertEqual(byPlace([POWER]), {"1": POWER})
        last = ValueSettings("last")
        found = byPlace([POWER, third, last])
        self.assertEqual(found, {"1": POWER, "7": third, "3": last})

    def test_aPlaceThatIsNamedGoesFirst(self) -> None:
        """
        If two descriptions are for one place, the one that names it counts, wherever it stands.
        """
        self.assertEqual(byPlace([POWER, OUTSIDE]), {"1": OUTSIDE})
        self.assertEqual(byPlace([OUTSIDE, POWER]), {"1": OUTSIDE, "2": POWER})

    def test_byOrder(self) -> None:
        """
        Where values are nothing but bytes, only the order of the description counts.
        """
        self.assertEqual(byOrder([POWER, OUTSIDE]), {"1": POWER, "2": OUTSIDE})

    def test_describedValuesAreRenamed(self) -> None:
        """
        A described value has the name of its description, and the others keep that of the wire.
        """
        self.assertEqual(named(("1", "2", "3"), {"2": POWER}), ("1", "power", "3"))
        self.assertEqual(named(("1", "2"), {}), ("1", "2"))
        self.assertEqual(named(("1",), {"2": POWER}), ("1",))

    def test_namesMayBeSwapped(self) -> None:
        """
        Values may be described by the names that others have on the wire.
        """
        described = {"1": ValueSettings("2"), "2": ValueSettings("1")}
        self.assertEqual(named(("1", "2", "3"), described), ("2", "1", "3"))

    def test_noTwoValuesHaveOneName(self) -> None:
        """
        A value that is not described gives way if its name has been given to another one.
        """
        self.assertEqual(named(("1", "2", "3"), {"1": ValueSettings("3")}), ("3", "2", "3_"))
        self.assertEqual(named(("a", "a", "a_"), {}), ("a", "a_", "a__"))
        self.assertEqual(unlike("a", ["a", "a_", "b"]), "a__")

    def test_aNameThatIsGivenToNothingIsFree(self) -> None:
        """
        A value keeps its name if the description that claims it is for a value that never comes.
        """
        self.assertEqual(named(("1", "2"), {"9": ValueSettings("2")}), ("1", "2"))

    def test_whatCanBeReached(self) -> None:
        """
        The devices of a chunk are listed once each, in the order in which they were heard. If it
        is one device, the tuple is the very one that it always has.
        """
        one, other = ("lines/1",), ("lines/2",)
        self.assertEqual(reachable([]), ())
        self.assertIs(reachable([one]), one)
        self.assertIs(reachable([one, one, one]), one)
        self.assertEqual(reachable([other, one, other]), ("lines/2", "lines/1"))

"""
Tests for L{sensord.store.thinning}.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from sensord.store import thinning
from sensord.store.archive import Archive, Point
from sensord.store.database import Database
from tests.store.support import Disk, folder, intake, part, reading
from tests.support import PROPERTY

_FIRST, _LAST = -(2**63), 2**63 - 1


class ThinningTests(SynchronousTestCase):
    """
    L{thinning.begin}, L{thinning.proceed} and L{thinning.sparks}.
    """

    def setUp(self) -> None:
        """
        A database.
        """
        disk = Disk()
        disk.durable = False
        self.database = Database(folder(self) / "sensord.sqlite", connect=disk.connect)
        self.database.open()
        self.addCleanup(self.database.close)
        self.archive = Archive(self.database.path)

    def keep(self, values: Sequence[Any], start: int = 0, name: str = "temperature") -> None:
        """
        Store values, one a second.
        """
        readings = [
            reading(start + second * 1_000_000, value, name) for second, value in enumerate(values)
        ]
        self.database.commit([part(intake(*readings))])

    def thin(
        self,
        points: int,
        start: int = _FIRST,
        end: int = _LAST,
        device: str = "balcony",
        name: str = "temperature",
    ) -> list[Point]:
        """
        A thinned series.
        """
        with self.archive.open() as connection:
            made, rest = thinning.begin(device, name, start, end, points, connection)
            found = list(made)
            while rest is not None:
                made, rest = thinning.proceed(rest, connection)
                found += made
        return found

    def test_few(self) -> None:
        """
        A series with no more readings than there may be points stays as it is.
        """
        self.keep([3, 1, 2])
        self.assertEqual(
            self.thin(3),
            [
                Point(0, 3, 3, 3, 1),
                Point(1_000_000, 1, 1, 1, 1),
                Point(2_000_000, 2, 2, 2, 1),
            ],
        )

    def test_extremes(self) -> None:
        """
        Of each stretch the least and the greatest number are kept, at their own times and in their
        order.
        """
        self.keep([5, 9, 1, 5, 5, -7, 5, 8])
        self.assertEqual(
            [(one.time // 1_000_000, one.mean) for one in self.thin(4)],
            [(1, 9), (2, 1), (5, -7), (7, 8)],
        )

    def test_constant(self) -> None:
        """
        A stretch in which nothing changes is one point.
        """
        self.keep([5] * 100)
        self.assertEqual([one.mean for one in self.thin(20)], [5] * 10)

    def test_nothing(self) -> None:
        """
        A series that nobody knows, or that has nothing at that time, is empty.
        """
        self.keep([1, 2, 3])
        self.assertEqual(self.thin(2, device="attic"), [])
        self.assertEqual(self.thin(2, start=3_000_000), [])
        self.assertEqual(self.thin(2, 5, 5), [])

    def test_span(self) -> None:
        """
        The start is included, and the end is not.
        """
        self.keep(range(100))
        found = self.thin(2, 10_000_000, 90_000_000)
        self.assertEqual([one.mean for one in found], [10, 89])

    def test_kinds(self) -> None:
        """
        Truth values count as 0 and 1; texts are left out, and take up no room.
        """
        self.keep([True, "dusty", False, "dusty", True, "dusty"])
        self.assertEqual([one.mean for one in self.thin(3)], [1, 0, 1])
        self.assertEqual([one.mean for one in self.thin(2)], [1, 0])

    def test_gap(self) -> None:
        """
        Where nothing was measured there are no points.
        """
        self.keep([1, 2, 3, 4])
        self.keep([5, 6, 7, 8], start=1_000_000_000)
        self.assertEqual([one.mean for one in self.thin(4)], [1, 4, 5, 8])

    def test_allTimes(self) -> None:
        """
        Readings may lie at both ends of all times.
        """
        self.keep([1], start=_FIRST)
        self.keep([2, 3, 4])
        self.keep([5], start=_LAST - 1)
        self.assertEqual([one.mean for one in self.thin(2)], [1, 5])
        self.assertEqual([one.mean for one in self.thin(4)], [1, 2, 5])

    def test_pieces(self) -> None:
        """
        Not all is looked at in one go, so that others may ask in between.
        """
        self.keep(range(100))
        with self.archive.open() as connection:
            made, rest = thinning.begin("balcony", "temperature", _FIRST, _LAST, 20, connection)
            self.assertEqual(made, [])
            goes = []
            while rest is not None:
                made, rest = thinning.proceed(rest, connection, look=30)
                goes.append([one.mean for one in made])
        self.assertEqual(goes[0], [0, 9, 10, 19, 20, 29])
        self.assertEqual(len(goes), 4)
        self.assertEqual(goes[-1], [90, 99])

    @PROPERTY
    @given(
        strategies.lists(strategies.integers(-5, 5), min_size=1, max_size=60),
        strategies.integers(2, 20),
        strategies.integers(0, 60),
        strategies.integers(0, 60),
    )
    def test_anything(self, values: list[int], points: int, start: int, end: int) -> None:
        """
        There are never more points than there may be; each is a reading; they are in their order;
        and the least and the greatest number of all are among them.
        """
        name = f"n{self.archive.span()[1]}"
        self.keep(values, name=name)
        found = self.thin(points, start * 1_000_000, end * 1_000_000, name=name)
        self.assertLessEqual(len(found), points)
        times = [one.time // 1_000_000 for one in found]
        self.assertEqual(times, sorted(set(times)))
        self.assertEqual([one.mean for one in found], [values[time] for time in times])
        meant = values[start:end]
        numbers = [one.mean for one in found]
        self.assertEqual(
            [min(numbers), max(numbers)] if numbers else [],
            [min(meant), max(meant)] if meant else [],
        )

    def test_sparks(self) -> None:
        """
        All series of a device are thinned at once, but for those without numbers.
        """
        self.keep(range(100))
        self.keep([1.5], name="level")
        self.keep(["dusty"], name="note")
        job = partial(thinning.sparks, "balcony", 0, 50_000_000, 4)
        with self.archive.open() as connection:
            found = job(connection)
        self.assertEqual(
            found,
            {
                "level": [(0, 1.5)],
                "temperature": [(0, 0), (24_000_000, 24), (25_000_000, 25), (49_000_000, 49)],
            },
        )

    def test_manySparks(self) -> None:
        """
        A device that makes up names has no more than so many.
        """
        for number in range(thinning.MAX_SERIES + 1):
            self.keep([1], name=f"n{number:03}")
        with self.archive.open() as connection:
            found = thinning.sparks("balcony", 0, 10, 2, connection)
        self.assertEqual(len(found), thinning.MAX_SERIES)
        self.assertNotIn(f"n{thinning.MAX_SERIES}", found)

"""
How long transactions take, and how much each of them holds: counted always, since to do so costs
a microsecond for each.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

#: The bounds of what is counted: seconds that a transaction took, and items that it held.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
ITEMS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0, 100_000.0)


class Histogram:
    """
    How many of some numbers are at most how large.

    @param bounds: in ascending order.
    @ivar sum: of all numbers.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.sum = 0.0
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)

    def add(self, number: float) -> None:
        """
        Count a number.
        """
        self._counts[bisect_left(self._bounds, number)] += 1
        self.sum += number

    def buckets(self) -> list[tuple[float, int]]:
        """
        Each bound, infinity as the last, and how many numbers are at most that.
        """
        return list(zip((*self._bounds, float("inf")), accumulate(self._counts), strict=True))


class Commits:
    """
    The transactions of a store since it was made.

    @ivar seconds: how long each took, from when it was ready to be written until it was on the
        disk, with all attempts in vain.
    @ivar items: how many received items each has accounted for.
    @ivar failed: attempts in vain.
    """

    def __init__(self) -> None:
        self.seconds = Histogram(SECONDS)
        self.items = Histogram(ITEMS)
        self.failed = 0

    def add(self, seconds: float, items: int) -> None:
        """
        Count one that was committed.
        """
        self.seconds.add(seconds)
        self.items.add(items)

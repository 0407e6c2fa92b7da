"""
Those who are told how the store is doing, and of readings after their commit.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from twisted.logger import Logger

from sensord.reading import Intake, Reading

_log = Logger()


class Flow(Protocol):
    """
    What wants to know how the store is doing.
    """

    def __call__(self, ready: bool, full: bool) -> None:
        """
        @param ready: whether commits succeed.
        @param full: whether so much is waiting that devices should be held back.
        """


class Followers(list[Callable[[Sequence[Reading]], None]]):
    """
    All who are told of readings.
    """

    def tell(self, intakes: Iterable[Intake]) -> None:
        """
        Tell them of what was committed.
        """
        if not self:
            return
        readings = [reading for intake in intakes for reading in intake.readings]
        if not readings:
            return
        for follower in tuple(self):
            with _log.failuresHandled("while telling a follower of readings"):
                follower(readings)

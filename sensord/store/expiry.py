"""
Retention: what is old goes, a little at a time.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

#: Seconds between removals of old readings, and how many go in one transaction.
_EVERY, _MOST = 600.0, 5_000


class Expiry:
    """
    Removes what is older than it may be, in small transactions between the commits.

    @param now: the time of day, in seconds since the epoch.
    @param remove: removes readings from before a time, in microseconds since the epoch, so many at
        the most; fires with how many those were.
    """

    _log = Logger()

    def __init__(
        self,
        clock: Any,
        now: Callable[[], float],
        remove: Callable[[int, int], Deferred[int]],
    ) -> None:
        self._clock = clock
        self._now = now
        self._remove = remove
        self._looping: LoopingCall | None = None

    def start(self, age: float | None) -> None:
        """
        Begin, now and every ten minutes, or go on with another age.

        @param age: how old readings may be, in seconds; L{None} is for ever.
        """
        self.stop()
        if age is not None:
            looping = self._looping = LoopingCall(self._expire, age)
            looping.clock = self._clock
            looping.start(_EVERY).addErrback(
                lambda failure: self._log.failure("old readings are removed no more", failure)
            )

    def stop(self) -> None:
        """
        Remove nothing more, but for what is being removed.
        """
        if self._looping is not None and self._looping.running:
            self._looping.stop()
        self._looping = None

    async def _expire(self, age: float) -> None:
        before, looping = int((self._now() - age) * 1e6), self._looping
        try:
            while await self._remove(before, _MOST):
                if self._looping is not looping:
                    return
        except Exception as error:
            self._log.warn("old readings could not be removed: {error}", error=error)

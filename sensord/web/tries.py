"""
How often somebody may try to log in.
"""

from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from math import ceil

#: Wrong tries that one place has at once, and the seconds until it has another one: guessing takes
#: years then.
_PLACE, _PLACE_EVERY = 10, 30.0

#: Those of all together, for guessing from many places at once.
_ALL, _ALL_EVERY = 50, 2.0

#: The places that are remembered. Without a limit, guessing from ever new ones would fill the
#: memory.
_PLACES = 1000


class Tries:
    """
    Counts those that failed. Places from which somebody has logged in go on when all others
    together have tried too often: nobody is to be kept out by that.

    @param seconds: the time.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._all = _Bucket(_ALL, _ALL_EVERY)
        self._places: dict[str, _Bucket] = {}
        self._good: dict[str, None] = {}

    def wait(self, host: str) -> int:
        """
        How many seconds somebody has to wait who wants to try; 0 is none.
        """
        now, place = self._seconds(), _place(host)
        waits = [self._all.wait(now)] if place not in self._good else []
        if place in self._places:
            waits.append(self._places[place].wait(now))
        return ceil(max(waits, default=0.0))

    def begin(self, host: str) -> None:
        """
        Somebody tries. As long as nobody knows better it counts as a failure, so that many that
        come at once are no way around this.
        """
        now, place = self._seconds(), _place(host)
        bucket = self._places.pop(place, None) or _Bucket(_PLACE, _PLACE_EVERY)
        if len(self._places) >= _PLACES:
            del self._places[next(iter(self._places))]
        self._places[place] = bucket
        bucket.take(now)
        self._all.take(now)

    def succeed(self, host: str) -> None:
        """
        What was begun has succeeded.
        """
        place = _place(host)
        self._all.put()
        if place in self._places:
            self._places[place].put()
        self._good.pop(place, None)
        if len(self._good) >= _PLACES:
            del self._good[next(iter(self._good))]
        self._good[place] = None

    def good(self, host: str) -> bool:
        """
        Whether somebody has logged in from a place.
        """
        return _place(host) in self._good


class _Bucket:
    """
    So many at once, and one more every so many seconds.
    """

    def __init__(self, size: int, every: float) -> None:
        self._size = size
        self._every = every
        self._used = 0.0
        self._at = 0.0

    def wait(self, now: float) -> float:
        """
        Seconds until there is one.
        """
        self._drain(now)
        return max(0.0, (self._used - self._size + 1) * self._every)

    def take(self, now: float) -> None:
        """
        Take one.
        """
        self._drain(now)
        self._used += 1

    def put(self) -> None:
        """
        Put one back.
        """
        self._used = max(0.0, self._used - 1)

    def _drain(self, now: float) -> None:
        self._used = max(0.0, self._used - max(0.0, now - self._at) / self._every)
        self._at = now


def _place(host: str) -> str:
    """
    What counts as one place: a machine, or a network of IPv6, in which each has addresses without
    number.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Address(int(address) >> 64 << 64))
    return host

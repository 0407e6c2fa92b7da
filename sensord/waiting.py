"""
The commands that wait for their devices to come.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from sensord.store.mailbox import Delivery

#: The commands that may wait for all devices together. Without a limit, whoever may send commands
#: could fill the memory with some for addresses that nobody has.
MAX_WAITING = 10_000

#: The longest wait for the next one to expire, in seconds: the time of day may be set meanwhile.
_LONGEST = 60.0

#: By how many seconds to look too late for what has expired, rather than too early by the rounding
#: of a float.
_LATE = 0.001


class Waiting:
    """
    A queue for each device, in the order in which its commands were given. Iterating gives the
    addresses of those who have any, and C{len} how many there are altogether.

    @param now: the time of day, in seconds since the epoch.
    @param give: is given those that have waited long enough, which are not here any more then.
    @param each: how many may wait for one device.
    @param most: how many may wait altogether.
    """

    def __init__(
        self,
        clock: IReactorTime,
        now: Callable[[], float],
        give: Callable[[list[Delivery]], object],
        each: int,
        most: int = MAX_WAITING,
    ) -> None:
        self._clock = clock
        self._now = now
        self._give = give
        self._each = each
        self._most = most
        self._expected: Counter[str] = Counter()
        self._queues: dict[str, deque[Delivery]] = {}
        self._count = 0
        self._timer: IDelayedCall | None = None

    def __len__(self) -> int:
        """
        How many wait.
        """
        return self._count

    def __iter__(self) -> Iterator[str]:
        """
        The addresses of the devices that something waits for.
        """
        return iter(tuple(self._queues))

    def __contains__(self, address: object) -> bool:
        """
        Whether anything waits for a device.
        """
        return address in self._queues

    def full(self, address: str) -> str:
        """
        Why no other one may wait for a device; empty if it may. It is for the caller to ask.
        """
        if len(self._queues.get(address, ())) + self._expected[address] >= self._each:
            return f"{self._each} commands wait for {address} already"
        if self._count + self._expected.total() >= self._most:
            return f"{self._most} commands wait for devices already"
        return ""

    @contextmanager
    def expecting(self, deliveries: Iterable[Delivery]) -> Iterator[None]:
        """
        Some that are about to be added count as if they were here.
        """
        expected = Counter(delivery.address for delivery in deliveries)
        self._expected += expected
        try:
            yield
        finally:
            self._expected -= expected

    def allow(self, each: int) -> None:
        """
        Let so many wait for one device from now on.
        """
        self._each = each

    def all(self) -> list[Delivery]:
        """
        All that wait.
        """
        return [delivery for queue in self._queues.values() for delivery in queue]

    def first(self, address: str) -> Delivery | None:
        """
        The one that is next for a device.
        """
        queue = self._queues.get(address)
        return queue[0] if queue else None

    def add(self, delivery: Delivery) -> None:
        """
        Let one wait behind the others for its device.
        """
        self._queues.setdefault(delivery.address, deque()).append(delivery)
        self._count += 1
        self._plan(delivery.expires)

    def remove(self, delivery: Delivery) -> None:
        """
        One waits no longer: mostly the L{first} for its device.
        """
        queue = self._queues[delivery.address]
        queue.remove(delivery)
        if not queue:
            del self._queues[delivery.address]
        self._count -= 1
        if not self._count:
            self._cancel()

    def clear(self) -> None:
        """
        Forget all.
        """
        self._queues.clear()
        self._count = 0
        self._cancel()

    def _plan(self, expires: int | None) -> None:
        """
        Look for what has expired when this one has, unless that is done before.
        """
        if expires is None:
            return
        wait = min(max(expires / 1e6 - self._now() + _LATE, 0.0), _LONGEST)
        if self._timer is not None and self._timer.getTime() <= self._clock.seconds() + wait:
            return
        self._cancel()
        self._timer = self._clock.callLater(wait, self._look)

    def _look(self) -> None:
        self._timer = None
        now = int(self._now() * 1e6)
        every = self.all()
        expired = [delivery for delivery in every if over(delivery, now)]
        for delivery in expired:
            self.remove(delivery)
        for delivery in every:
            if not over(delivery, now):
                self._plan(delivery.expires)
        if expired:
            self._give(expired)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def over(delivery: Delivery, now: int) -> bool:
    """
    Whether a command has waited long enough.

    @param now: in microseconds since the epoch.
    """
    return delivery.expires is not None and delivery.expires <= now

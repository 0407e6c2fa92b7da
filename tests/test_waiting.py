"""
Tests for L{sensord.waiting}.
"""

from hypothesis import given, strategies
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sensord.store.mailbox import Delivery
from sensord.waiting import MAX_WAITING, Waiting
from tests.support import PROPERTY

SECOND = 1_000_000
NOW = 1_795_194_650


def delivery(id: int, address: str = "pages/1", expires: float | None = None) -> Delivery:
    """
    A command that waits.

    @param expires: in seconds from the start of the clock.
    """
    end = None if expires is None else NOW * SECOND + int(expires * SECOND)
    start = NOW * SECOND
    return Delivery(id, start, "me", address, "LED", 1.0, "pending", start, end)


class WaitingTests(SynchronousTestCase):
    """
    L{Waiting} with a clock in the hands of the test.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.expired: list[int] = []
        self.waiting = Waiting(self.clock, self.clock.seconds, self.take, each=3, most=5)

    def take(self, expired: list[Delivery]) -> None:
        """
        Take what has expired.
        """
        self.expired += [one.id for one in expired]

    def add(self, *deliveries: Delivery) -> None:
        """
        Let some wait.
        """
        for one in deliveries:
            self.waiting.add(one)

    def test_order(self) -> None:
        """
        Each device has its own queue, in the order in which its commands came.
        """
        one, two, other = delivery(1), delivery(2), delivery(3, "pages/2")
        self.add(one, two, other)
        self.assertEqual((list(self.waiting), len(self.waiting)), (["pages/1", "pages/2"], 3))
        self.assertEqual(self.waiting.first("pages/1"), one)
        self.waiting.remove(one)
        self.assertEqual(self.waiting.first("pages/1"), two)
        self.waiting.remove(two)
        self.assertIsNone(self.waiting.first("pages/1"))
        self.assertNotIn("pages/1", self.waiting)
        self.assertIn("pages/2", self.waiting)

    def test_full(self) -> None:
        """
        For one device, and for all together, only so many may wait; those that are expected count.
        """
        self.add(delivery(1), delivery(2))
        self.assertEqual(self.waiting.full("pages/1"), "")
        with self.waiting.expecting([delivery(3)]):
            self.assertEqual(self.waiting.full("pages/1"), "3 commands wait for pages/1 already")
            self.assertEqual(self.waiting.full("pages/2"), "")
        self.assertEqual(self.waiting.full("pages/1"), "")
        self.add(delivery(3, "pages/2"), delivery(4, "pages/2"))
        with self.waiting.expecting([delivery(5, "pages/3")]):
            said = "5 commands wait for devices already"
            for address in "pages/1", "pages/2", "pages/3", "pages/4":
                self.assertEqual(self.waiting.full(address), said)
        self.assertEqual(self.waiting.full("pages/4"), "")

    def test_expectedInVain(self) -> None:
        """
        What was expected and does not come counts no more.
        """
        for _time in range(9):
            with self.assertRaises(KeyError), self.waiting.expecting([delivery(1)] * 3):
                raise KeyError
        self.assertEqual(self.waiting.full("pages/1"), "")

    def test_expires(self) -> None:
        """
        Whatever the order in which they came, they expire when their time has come.
        """
        self.add(*(delivery(id, f"pages/{id}", expires=id) for id in (3, 1, 4, 2)))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        seen = []
        for _second in range(5):
            seen.append(list(self.expired))
            self.clock.advance(1)
            self.clock.advance(0.01)
        self.assertEqual(seen, [[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4]])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_inTheQueue(self) -> None:
        """
        One that expires before those in front of it leaves them where they are.
        """
        self.add(delivery(1), delivery(2, expires=1), delivery(3, expires=9))
        self.clock.advance(2)
        self.assertEqual(self.expired, [2])
        first = self.waiting.first("pages/1")
        assert first is not None
        self.assertEqual((first.id, len(self.waiting)), (1, 2))

    def test_never(self) -> None:
        """
        One that never expires needs no timer.
        """
        self.add(delivery(1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_long(self) -> None:
        """
        No timer runs for longer than a minute: the time of day may be set meanwhile.
        """
        self.add(delivery(1, expires=3e9))
        (call,) = self.clock.getDelayedCalls()
        self.assertEqual(call.getTime(), NOW + 60)
        self.clock.pump([60.0] * 3)
        self.assertEqual((self.expired, len(self.clock.getDelayedCalls())), ([], 1))

    def test_overdue(self) -> None:
        """
        One whose time has come already expires at once.
        """
        self.add(delivery(1, expires=-100))
        self.clock.advance(0)
        self.assertEqual(self.expired, [1])

    def test_clear(self) -> None:
        """
        When all are forgotten, none expires.
        """
        self.add(delivery(1, expires=1), delivery(2, "pages/2"))
        self.waiting.clear()
        self.assertEqual((list(self.waiting), len(self.waiting)), ([], 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @given(
        strategies.lists(
            strategies.tuples(strategies.integers(0, 3), strategies.integers(0, 20)), max_size=30
        )
    )
    @PROPERTY
    def test_allExpire(self, given: list[tuple[int, int]]) -> None:
        """
        Each expires within a moment of its time, and no timer is left behind.
        """
        clock, expired = Clock(), dict[int, float]()
        clock.advance(NOW)

        def take(deliveries: list[Delivery]) -> None:
            expired.update((one.id, clock.seconds() - NOW) for one in deliveries)

        waiting = Waiting(clock, clock.seconds, take, each=MAX_WAITING)
        for id, (device, seconds) in enumerate(given):
            waiting.add(delivery(id, f"pages/{device}", seconds))
        clock.pump([0.01] * 2100)
        self.assertEqual(set(expired), set(range(len(given))))
        for id, (_device, seconds) in enumerate(given):
            self.assertLess(abs(expired[id] - seconds), 0.05)
        self.assertEqual((len(waiting), clock.getDelayedCalls()), (0, []))

"""
Tests for L{sensord.web.tries}.
"""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sensord.web.tries import Tries


class TriesTests(SynchronousTestCase):
    """
    Wrong tries to log in.
    """

    def setUp(self) -> None:
        """
        None so far.
        """
        self.clock = Clock()
        self.tries = Tries(self.clock.seconds)

    def fail(self, host: str, count: int = 1000) -> int:  # type: ignore[override]
        """
        Try as often as is possible, in vain.

        @return: how often that was.
        """
        for done in range(count):
            if self.tries.wait(host):
                return done
            self.tries.begin(host)
        return count

    def test_place(self) -> None:
        """
        From one place there are ten, and one more every thirty seconds.
        """
        self.assertEqual(self.fail("10.0.0.1"), 10)
        self.assertEqual(self.tries.wait("10.0.0.1"), 30)
        self.clock.advance(29.5)
        self.assertEqual(self.tries.wait("10.0.0.1"), 1)
        self.clock.advance(0.5)
        self.assertEqual(self.fail("10.0.0.1"), 1)
        self.clock.advance(86400)
        self.assertEqual(self.fail("10.0.0.1"), 10)

    def test_all(self) -> None:
        """
        From many places there are fifty, and one more every two seconds; who has logged in before
        is not kept out by that.
        """
        self.tries.begin("10.9.9.9")
        self.tries.succeed("10.9.9.9")
        self.assertEqual(sum(self.fail(f"10.0.0.{host}") for host in range(100)), 50)
        self.assertEqual(self.tries.wait("10.0.1.1"), 2)
        self.assertTrue(self.tries.good("10.9.9.9"))
        self.assertEqual(self.fail("10.9.9.9"), 10)
        self.clock.advance(600)
        self.assertEqual(self.fail("10.0.1.1"), 10)

    def test_success(self) -> None:
        """
        Those that succeed do not count.
        """
        for _ in range(100):
            self.assertEqual(self.tries.wait("10.0.0.1"), 0)
            self.tries.begin("10.0.0.1")
            self.tries.succeed("10.0.0.1")
        self.assertEqual(self.fail("10.0.0.1"), 10)

    def test_networks(self) -> None:
        """
        The addresses of one network of IPv6 are one place, and so are the two ways to write one of
        IPv4.
        """
        self.assertEqual(self.fail("2001:db8::1"), 10)
        self.assertEqual(self.fail("2001:db8::2:1"), 0)
        self.assertEqual(self.fail("2001:db8:0:1::1"), 10)
        self.assertEqual(self.fail("10.0.0.1", 5), 5)
        self.assertEqual(self.fail("::ffff:10.0.0.1"), 5)

    def test_forgotten(self) -> None:
        """
        So many places are remembered, and no more.
        """
        for number in range(3000):
            self.tries.begin(f"10.0.{number >> 8}.{number & 255}")
            self.tries.succeed(f"10.0.{number >> 8}.{number & 255}")
        self.assertFalse(self.tries.good("10.0.0.0"))
        self.assertTrue(self.tries.good("10.0.11.183"))

    def test_back(self) -> None:
        """
        A clock that goes back keeps nobody waiting for longer.
        """
        self.clock.advance(1000)
        self.fail("10.0.0.1")
        self.clock.rightNow -= 500
        self.assertEqual(self.tries.wait("10.0.0.1"), 30)
        self.clock.advance(30)
        self.assertEqual(self.tries.wait("10.0.0.1"), 0)

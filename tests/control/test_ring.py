"""
Tests for L{sensord.control.ring}.
"""

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from sensord.control.ring import Ring
from tests.support import PROPERTY


class RingTests(SynchronousTestCase):
    """
    L{Ring}.
    """

    def test_since(self) -> None:
        """
        What came after an event is known, for as long as there is room for it.
        """
        ring = Ring(10)
        ids = [ring.last, *(ring.add("x", b"%d" % number).id for number in range(8))]
        for place, id in enumerate(ids):
            events = ring.since(id)
            self.assertEqual(
                [event.data for event in events or ()],
                [b"%d" % number for number in range(place, 8)],
            )
        ring.add("x", b"1234")
        self.assertIsNone(ring.since(ids[0]))
        self.assertIsNone(ring.since(ids[1]))
        self.assertEqual(len(ring.since(ids[3]) or ()), 6)

    def test_huge(self) -> None:
        """
        An event for which there is no room at all is not known afterwards, but those after it are.
        """
        ring = Ring(10)
        before = ring.add("x", b"1").id
        ring.add("x", b"x" * 11)
        self.assertIsNone(ring.since(before))
        self.assertEqual(ring.since(ring.last), [])

    def test_clear(self) -> None:
        """
        An id of before it was emptied means nothing.
        """
        ring = Ring()
        id = ring.add("x", b"1").id
        ring.clear()
        ring.add("x", b"1")
        self.assertIsNone(ring.since(id))

    @PROPERTY
    @given(strategies.text())
    def test_anything(self, id: str) -> None:
        """
        Nonsense is no id, whatever it looks like.
        """
        ring = Ring()
        ring.add("x", b"1")
        self.assertIsNone(ring.since(id))
        ring.since(ring.last.partition("-")[0] + "-" + id)

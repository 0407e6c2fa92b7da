"""
Tests for L{sensord.ids}.
"""

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from sensord.ids import idFault
from tests.support import PROPERTY


class IdTests(SynchronousTestCase):
    """
    What hubs and groups may be called.
    """

    def test_good(self) -> None:
        """
        Names and UUIDs are ids.
        """
        for id in (
            "h7",
            "0",
            "-",
            "Acme_2",
            "a.b",
            "0b0c4a44-6a3f-4b7e-9b52-8f8f6d2f1c11",
            "x" * 64,
        ):
            for kind in ("hub", "group"):
                self.assertEqual(list(idFault(kind, id)), [], id)

    def test_bad(self) -> None:
        """
        What has a meaning in a topic, or walks a path, is none.
        """
        for id in ("+", "#", "a/b", "..", ".", ".ssh", "../x", "$SYS", "a b", "ä", "a\n", "x" * 65):
            for kind in ("hub", "group"):
                (fault,) = idFault(kind, id)
                self.assertIn(f"is no id of a {kind}", fault)
                self.assertNotIn("\n", fault)

    def test_empty(self) -> None:
        """
        Nothing is no id.
        """
        self.assertEqual(list(idFault("group", "")), ["a group has to be named"])

    def test_taken(self) -> None:
        """
        What is the manager's own is neither a hub nor a group.
        """
        self.assertEqual(len(list(idFault("hub", "hub_manager"))), 1)
        self.assertEqual(list(idFault("group", "hub_manager")), [])
        for name in ("hubs.json", "hubs.json.new"):
            self.assertEqual(len(list(idFault("group", name))), 1)

    @PROPERTY
    @given(strategies.text())
    def test_any(self, text: str) -> None:
        """
        Whatever it is, it is one or it is told why not; one that is goes into a topic and a path
        as it is.
        """
        faults = list(idFault("hub", text))
        self.assertLessEqual(len(faults), 1)
        if not faults:
            self.assertFalse(set(text) & set("+#/$\0\n "))
            self.assertNotIn(text, (".", ".."))

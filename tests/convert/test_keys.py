"""
Tests for L{sensord.convert.keys}.
"""

from twisted.trial.unittest import SynchronousTestCase

from sensord.convert.ini import Tree
from sensord.convert.keys import Keys
from sensord.convert.report import Report


class KeysTests(SynchronousTestCase):
    """
    The settings of a section.
    """

    def keys(self, tree: Tree) -> Keys:
        """
        Some settings.
        """
        self.report = Report()
        return Keys("[s]", tree, self.report, 1)

    def test_spelling(self) -> None:
        """
        Names count without case and underscores; of two that are the same then, one is left.
        """
        keys = self.keys({"Type": "a", "run_time": {"b": "1"}, "type": "c"})
        self.assertEqual(keys.text("type"), "a")
        self.assertEqual(keys.section("runtime").text("B"), "1")
        self.assertEqual(keys.take(), [("type", "c")])

    def test_lists(self) -> None:
        """
        A text may be asked for as a list, and the reverse.
        """
        keys = self.keys({"a": "1", "b": ["1", "2"], "c": "", "d": ["1"]})
        self.assertEqual(keys.listed("a"), ["1"])
        self.assertEqual(keys.text("b"), "1, 2")
        self.assertEqual(keys.listed("c"), [])
        self.assertEqual(keys.text("d"), "1")
        self.assertEqual(keys.text("nothing", default="x"), "x")

    def test_sections(self) -> None:
        """
        A section in place of a setting, or the reverse, is left.
        """
        keys = self.keys({"a": {"b": {"c": "1"}}, "d": "2"})
        self.assertEqual((keys.text("a"), keys.section("d").take()), ("", []))
        self.assertEqual(keys.section("a").place, "[s] [[a]]")
        self.assertEqual(keys.take(), [("d", "2")])
        self.assertEqual(keys.all(), [("a.b.c", "1"), ("d", "2")])

    def test_rest(self) -> None:
        """
        What nobody has asked for is listed, once.
        """
        keys = self.keys({"a": "1", "b": ["2", "3"], "password": "geheim"})
        keys.text("a")
        keys.rest("is unknown")
        keys.rest("is unknown")
        [loss] = self.report.lost
        self.assertEqual(loss.settings, (("b", "2, 3"), ("password", "(hidden)")))

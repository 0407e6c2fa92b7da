"""
Tests for L{sensord.convert.report}.
"""

from twisted.trial.unittest import SynchronousTestCase

from sensord.convert.report import Report


class ReportTests(SynchronousTestCase):
    """
    What is said of a conversion.
    """

    def test_whole(self) -> None:
        """
        It has what was carried over, what has changed, and what was lost.
        """
        report = Report()
        report.carry("[a]", "this")
        report.change("[b]", "so")
        report.change("[b]", "so")
        report.lose("[c]", [("d", "1")], "is not known", "something else")
        self.assertEqual(
            report.lines(),
            [
                "Carried over:",
                "  [a] is now this",
                "Not quite as before:",
                "  [b]: so",
                "Not carried over:",
                "  [c]",
                "      d = 1",
                "    is not known",
                "    Instead: something else",
            ],
        )

    def test_empty(self) -> None:
        """
        That nothing is missing is said, too.
        """
        self.assertEqual(Report().lines(), ["Nothing was left out."])

    def test_hidden(self) -> None:
        """
        Secrets are hidden by what they are called, and wherever else they turn up.
        """
        report = Report()
        report.hide("0123456789")
        pairs = [("mqtt_passwd", "geheim"), ("x.apikey", "abcdef"), ("url", "http://a:b@c/d")]
        report.lose("[a]", [*pairs, ("token", "")], "because of 0123456789 and geheim")
        said = "\n".join(report.lines())
        for secret in ("geheim", "abcdef", "a:b", "0123456789"):
            self.assertNotIn(secret, said)
        self.assertIn("url = http://(hidden)@c/d", said)
        self.assertIn("token =\n", said)

    def test_terminal(self) -> None:
        """
        No terminal is harmed, and no line forged.
        """
        report = Report()
        report.lose("[a\x1b[2J]", [("b\nlisteners = []", "\x07" + "y" * 500)], "no\u2028good")
        said = report.lines()
        self.assertTrue(all(line.isprintable() for line in said), said)
        self.assertNotIn("y" * 300, "".join(said))

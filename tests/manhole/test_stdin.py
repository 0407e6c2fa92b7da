"""
Tests for L{sensord.manhole.stdin}. What it is like at the prompt is in
L{tests.manhole.test_prompt}.
"""

import io
from contextlib import redirect_stdout

from twisted.trial.unittest import SynchronousTestCase

from sensord.manhole.stdin import NAMES, NoInput, explain


class StdinTests(SynchronousTestCase):
    """
    What takes the place of the standard input.
    """

    def test_nothing(self) -> None:
        """
        Whoever reads from it, in whatever way, is told that there is nothing; it is never closed.
        """
        made = NoInput()
        made.close()
        for read in (made.read, made.readline, made.readlines, made.__next__):
            self.assertRaises(EOFError, read)
        self.assertFalse(made.isatty())
        self.assertFalse(made.closed)

    def test_names(self) -> None:
        """
        What asks somebody at a terminal has another meaning.
        """
        self.assertEqual(set(NAMES), {"help", "input", "breakpoint"})
        self.assertRaises(EOFError, NAMES["input"], "Really? ")
        self.assertRaises(RuntimeError, NAMES["breakpoint"])

    def test_explain(self) -> None:
        """
        Explanations are plain text, one behind the other.
        """
        said = io.StringIO()
        with redirect_stdout(said):
            explain(len, "no.such.thing")
        self.assertIn("built-in function len in module builtins\n", said.getvalue())
        self.assertNotIn("\b", said.getvalue())
        self.assertTrue(
            said.getvalue().endswith("No Python documentation found for 'no.such.thing'.\n")
        )

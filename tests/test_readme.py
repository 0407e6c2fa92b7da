"""
Tests for what the README says.
"""

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import sensord
from sensord.outlets import KINDS
from sensord.wires import WIRES

README = Path(sensord.__file__).parent.parent / "README.rst"


def program() -> str:
    """
    The program that the README shows.
    """
    text = README.read_text(encoding="utf-8")
    [block] = re.findall(r"::\n\n((?:    from .*\n)(?:(?:    .*)?\n)+)", text)
    return re.sub("^    ", "", block, flags=re.M)


class ReadmeTests(SynchronousTestCase):
    """
    What can be checked without running anything. L{tests.integration.test_embedding} runs it.
    """

    def test_short(self) -> None:
        """
        The program is ten lines.
        """
        self.assertLessEqual(len(program().strip().splitlines()), 10)

    def test_wires(self) -> None:
        """
        Every wire format is in the table.
        """
        text = README.read_text(encoding="utf-8")
        for wire in WIRES:
            self.assertRegex(text, rf"(?m)^{wire} ")

    def test_sinks(self) -> None:
        """
        Every kind of sink is in the table.
        """
        text = README.read_text(encoding="utf-8")
        for kind in KINDS:
            self.assertRegex(text, rf"(?m)^{kind} ")

    def test_links(self) -> None:
        """
        Every file that is named is there.
        """
        for target in re.findall(r"<([\w/.]+)>`_", README.read_text(encoding="utf-8")):
            self.assertTrue((README.parent / target).exists(), target)

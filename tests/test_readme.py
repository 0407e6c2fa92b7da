"""
Tests for what the README says.
"""

import re
from io import StringIO
from pathlib import Path

from docutils.core import publish_doctree
from twisted.trial.unittest import SynchronousTestCase

import sensord
from sensord.outlets import KINDS
from sensord.wires import WIRES
from tests.test_docs import SPHINX, pages

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

    def test_pages(self) -> None:
        """
        Every page that can be read as it is is valid reStructuredText: a table that is not shows as
        a fault, or not at all. L{tests.test_docs} has Sphinx look at the others, too.
        """
        plain = [page for page in pages() if not SPHINX.search(page.read_text(encoding="utf-8"))]
        for page in [README, README.with_name("CHANGES.rst"), *plain]:
            faults = StringIO()
            publish_doctree(
                page.read_text(encoding="utf-8"),
                settings_overrides={"halt_level": 5, "warning_stream": faults},
            )
            self.assertEqual(faults.getvalue(), "", page.name)

"""
Tests for L{sensord.convert.draft}.
"""

import tomllib

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from sensord.convert.draft import Draft, toml, unlike
from sensord.convert.report import LeftOut, Report
from tests.support import PROPERTY

_LINES = {"name": "a", "wire": "lines", "listen": "tcp:1"}

_TEXT = strategies.text(strategies.characters(codec="utf-8"))


class DraftTests(SynchronousTestCase):
    """
    The new file.
    """

    def setUp(self) -> None:
        """
        Begin one.
        """
        self.draft = Draft(Report())

    def test_faults(self) -> None:
        """
        What the daemon would not take is not taken.
        """
        for table in ({**_LINES, "x": 1}, {**_LINES, "name": "a b"}, {"name": "a"}):
            self.assertRaises(LeftOut, self.draft.listener, "[p]", table)
        self.assertRaises(LeftOut, self.draft.sink, "[p]", {"name": "s", "kind": "csv", "x": 1})
        self.assertEqual((self.draft.listeners, self.draft.sinks), ([], []))

    def test_clashes(self) -> None:
        """
        Ports, and addresses of devices, are given once.
        """
        self.draft.listener("[p]", _LINES)
        radio = {"name": "r", "wire": "rfm2pi", "port": "/dev/a", "repeater": "tcp:1"}
        self.assertRaises(LeftOut, self.draft.listener, "[q]", radio)
        self.draft.listener("[q]", {**radio, "repeater": "tcp:2"})
        serial = {"name": "s", "wire": "serial", "port": "/dev/a"}
        error = self.assertRaises(LeftOut, self.draft.listener, "[r]", serial)
        self.assertEqual(str(error), '/dev/a is given to "r" already')
        self.draft.device("[d]", {"address": "r/1"})
        self.assertRaises(LeftOut, self.draft.device, "[d]", {"address": "r/1"})
        self.assertRaises(LeftOut, self.draft.device, "[d]", {"address": "r/32"})

    def test_text(self) -> None:
        """
        Tables say where they come from; secrets may have files of their own.
        """
        self.draft.sink("[s]\n[x]", {"name": "e", "kind": "emoncms", "apikey": "a" * 32})
        text, secrets = self.draft.text(["head", ""])
        self.assertEqual(
            text,
            "# head\n#\n\nlisteners = []\n\n# [s]?[x]\n[[sinks]]\n"
            f'name = "e"\nkind = "emoncms"\napikey = "{"a" * 32}"\n',
        )
        self.assertEqual((secrets, self.draft.secrets), ({}, 1))
        text, secrets = self.draft.text([], files=True)
        self.assertIn('apikey = { file = "e.apikey" }\n', text)
        self.assertEqual(secrets, {"e.apikey": "a" * 32})

    def test_unlike(self) -> None:
        """
        A name that is taken gets a number.
        """
        self.assertEqual(unlike("a", ["a", "a-2"]), "a-3")

    @PROPERTY
    @given(_TEXT, strategies.floats(allow_nan=False), strategies.booleans(), strategies.integers())
    def test_toml(self, text: str, number: float, flag: bool, count: int) -> None:
        """
        Whatever stands in a table is read as it was.
        """
        table = {"a": text, "b": number, "c": flag, "d": count % 2**63, "e": {"f": text}}
        self.assertEqual(tomllib.loads(f"x = {toml(table)}")["x"], table)

"""
Tests for L{sensord.convert.ini}.
"""

import sys

from twisted.trial.unittest import SynchronousTestCase

from sensord.convert.ini import parse
from sensord.convert.report import ConvertError


class IniTests(SynchronousTestCase):
    """
    Files as they are written.
    """

    def fails(self, data: bytes, encoding: str = "utf-8") -> str:
        """
        Why a file cannot be read.
        """
        why = str(self.assertRaises(ConvertError, parse, data, encoding))
        self.assertNotIn("\n", why)
        return why

    def test_sections(self) -> None:
        """
        Sections are in sections; lists have commas; comments may stand behind a value.
        """
        text = b"a = 1 # one\n[s]\nb = 1, 2,3\nc = x,\nd =\n[[t]]\n'e' = \"p # q, r\"  # s\n"
        tree = {"a": "1", "s": {"b": ["1", "2", "3"], "c": ["x"], "d": "", "t": {"e": "p # q, r"}}}
        self.assertEqual(parse(text), tree)

    def test_lines(self) -> None:
        """
        Lines end as they do on any system, and a mark at the beginning is none.
        """
        for end in (b"\n", b"\r\n", b"\r"):
            self.assertEqual(parse(b"\xef\xbb\xbf[s]" + end + b"a = 1"), {"s": {"a": "1"}})

    def test_interpolation(self) -> None:
        """
        Percent signs are what they are.
        """
        self.assertEqual(
            parse(b"units = C,%,V\na = %(b)s\nb = 50%\nc = $d ${e}"),
            {"units": ["C", "%", "V"], "a": "%(b)s", "b": "50%", "c": "$d ${e}"},
        )

    def test_blanks(self) -> None:
        """
        Blanks around a value, and line ends within it, are none.
        """
        self.assertEqual(parse(b"a = ' x '\nb = '''p\n  q'''"), {"a": "x", "b": "p q"})

    def test_wrong(self) -> None:
        """
        What is wrong is told with its line, and without what stands there.
        """
        self.assertEqual(
            self.fails(b"[s]\nsecret\n"), "line 2: this is neither a section nor a setting"
        )
        self.assertEqual(self.fails(b"a = 1\n\na = 2"), "line 3: this name is there already")
        self.assertIn("line 1: this section is too deep", self.fails(b"[[s]]\na = 1"))
        self.assertIn("line 2: this name", self.fails(b"[s]\n[s]\n[[s]\n?"))

    def test_nonsense(self) -> None:
        """
        What is no text, endless, or too deep is none of these files.
        """
        self.assertIn("line 2 is no text", self.fails(b"a = 1\nb\x00 = 2"))
        self.assertIn("bytes", self.fails(b"#" * 1_000_001))
        self.assertIn("line 1 has 10001", self.fails(b"#" * 10_001))
        deep = "".join("[" * n + "s" + "]" * n + "\n" for n in range(1, 100)).encode()
        self.assertIn("no end", self.fails(deep))

    def test_encodings(self) -> None:
        """
        An older encoding has to be named.
        """
        old = "a = 1\nunit = °C".encode("latin-1")
        self.assertIn("line 2 is no utf-8; --encoding", self.fails(old))
        self.assertEqual(parse(old, "latin-1"), {"a": "1", "unit": "°C"})
        self.assertEqual(parse("a = °".encode("utf-16"), "utf-16"), {"a": "°"})
        for wrong in ("klingon", "hex", "a\0b"):
            self.fails(b"a = 1", wrong)

    def test_missing(self) -> None:
        """
        Without the library that reads such files, it is said how to get it.
        """
        self.patch(sys, "modules", {**sys.modules, "configobj": None})
        self.assertIn("pip install configobj", self.fails(b"a = 1"))

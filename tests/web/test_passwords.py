"""
Tests for L{sensord.web.passwords}.
"""

from unicodedata import normalize

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from sensord.web.passwords import Hash, N, P, R, make, parse
from tests.support import PROPERTY


class PasswordTests(SynchronousTestCase):
    """
    Hashes of passwords.
    """

    @PROPERTY
    @given(strategies.text(), strategies.text())
    def test_matches(self, one: str, other: str) -> None:
        """
        A hash is that of its own password, whatever that is, and of no other.
        """
        made = parse(str(make(one, 2, 1, 1)))
        self.assertTrue(made.matches(one))
        same = normalize("NFKC", one) == normalize("NFKC", other)
        self.assertEqual(made.matches(other), same)

    def test_composed(self) -> None:
        """
        It makes no difference how a keyboard composes the characters of a password.
        """
        self.assertTrue(make("Grüße", 2, 1, 1).matches("Gru\u0308ße"))

    def test_salted(self) -> None:
        """
        Two hashes of one password are different.
        """
        self.assertNotEqual(make("secret", 2, 1, 1), make("secret", 2, 1, 1))

    def test_usual(self) -> None:
        """
        A new hash costs what is said today, and says so.
        """
        made = make("secret")
        self.assertTrue(made.matches("secret"))
        self.assertTrue(str(made).startswith(f"scrypt:{N}:{R}:{P}:"))

    def test_known(self) -> None:
        """
        A hash that others have made is understood: an example of RFC 7914.
        """
        key = bytes.fromhex(
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
            "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"
        )
        self.assertTrue(Hash(1024, 8, 16, b"NaCl", key).matches("password"))

    def test_noHash(self) -> None:
        """
        What is none is refused without being shown: a password, what is cut short, and what would
        keep the machine busy for minutes or take all of its memory.
        """
        salt, key = "A" * 22 + "==", "A" * 43 + "="
        for text in (
            "",
            "secret",
            "scrypt:16384:8:1",
            f"scrypt:16384:8:1:{salt}:{key}:",
            f"scrypt:16384:8:1:{salt}:{key}\n",
            f"scrypt:16384:8:1:{salt}:AAAA",
            f"scrypt:16384:8:1:AAAA:{key}",
            f"scrypt:16384:8:1:{salt}:{key[:-2]}",
            f"scrypt:16383:8:1:{salt}:{key}",
            f"scrypt:0:8:1:{salt}:{key}",
            f"scrypt:1:8:1:{salt}:{key}",
            f"scrypt:16384:0:1:{salt}:{key}",
            f"scrypt:16384:8:0:{salt}:{key}",
            f"scrypt:16384:8:17:{salt}:{key}",
            f"scrypt:2097152:8:1:{salt}:{key}",
            f"scrypt:1048576:8:1:{salt}:{key}",
            f"scrypt:٢:8:1:{salt}:{key}",
        ):
            error = self.assertRaises(ValueError, parse, text)
            for part in (salt, key, "secret", *filter(None, [text])):
                self.assertNotIn(part, str(error))

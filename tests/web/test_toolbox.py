"""
Tests for L{sensord.web.toolbox}.
"""

import tomllib

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from sensord.cli import main
from sensord.config import parse
from sensord.web import passwords
from sensord.web.settings import UserSettings


class PasswdTests(SynchronousTestCase):
    """
    C{sensord passwd}.
    """

    def run_(self, *arguments: str, said: str | bytes = "", code: int = 0) -> Result:
        """
        Run it, with something on its standard input.
        """
        result = CliRunner().invoke(main, ["passwd", *arguments], input=said)
        self.assertEqual(result.exit_code, code, result.output)
        return result

    def test_piped(self) -> None:
        """
        With --stdin it reads a line, and prints the hash of it alone.
        """
        for end in ("", "\n", "\r\n", "\nmore\n"):
            result = self.run_("--stdin", said=f" Grüße aus Köln {end}")
            self.assertEqual(result.stderr, "")
            made = passwords.parse(result.stdout.removesuffix("\n"))
            self.assertTrue(made.matches(" Grüße aus Köln "))

    def test_asked(self) -> None:
        """
        Else it asks twice, and shows nothing of what is typed.
        """
        result = self.run_(said="correct horse\ncorrect horse\n")
        self.assertTrue(passwords.parse(result.stdout.strip()).matches("correct horse"))
        self.assertNotIn("horse", result.output)
        result = self.run_(said="correct horse\nincorrect horse\n", code=1)
        self.assertNotIn("scrypt", result.output)

    def test_table(self) -> None:
        """
        With a name it prints what stands in the file for that user.
        """
        for name in ("anna", 'a"b\\c', "Jürgen"):
            result = self.run_(name, "--role", "operator", "--stdin", said="correct horse")
            table = tomllib.loads(f"[web]\nusers = [\n{result.stdout}]\n")
            web = parse(table).web
            assert web is not None
            [user] = web.users
            self.assertEqual(user, UserSettings(name, user.password, "operator"))
            self.assertTrue(passwords.parse(user.password.text).matches("correct horse"))

    def test_wrong(self) -> None:
        """
        What is no password, or no name, is refused in one line.
        """
        for arguments, said, why in (
            (["--stdin"], "", "the password is empty"),
            (["--stdin"], "\n", "the password is empty"),
            (["--stdin"], b"\xff\xfe\n", "the password is no UTF-8"),
            (["--stdin"], "x" * 1001, "the password has more than 1000 characters"),
            (["--stdin"], "ä" * 100_000, "the password has more than 1000 characters"),
            (["a b", "--stdin"], "correct horse", '"a b" is no name of a user'),
        ):
            result = CliRunner().invoke(main, ["passwd", *arguments], input=said)
            self.assertNotEqual(result.exit_code, 0)
            self.assertEqual(result.stdout, "")
            self.assertIn(why, result.stderr)
            self.assertNotIn("Traceback", result.stderr)

    def test_short(self) -> None:
        """
        It warns of a short one.
        """
        result = self.run_("--stdin", said="secret\n")
        self.assertIn("can be guessed", result.stderr)
        self.assertTrue(passwords.parse(result.stdout.strip()).matches("secret"))

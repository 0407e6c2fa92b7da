"""
Tests for L{sensord.convert.command}.
"""

import os
import sys
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from sensord.cli import main
from sensord.config import load
from sensord.outlets import EmoncmsSettings
from tests.convert.support import EXAMPLES, hub, part
from tests.store.support import folder


class CommandTests(SynchronousTestCase):
    """
    C{sensord convert}.
    """

    def setUp(self) -> None:
        """
        Go to a folder with files in it.
        """
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder(self))
        for path in EXAMPLES.iterdir():
            Path(path.name).write_bytes(path.read_bytes())

    def run_(self, *arguments: str, code: int = 0) -> Result:
        """
        Run it; it must end with an exit code and no traceback.
        """
        result = CliRunner().invoke(main, ["convert", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.assertEqual(result.exit_code, code, result.output)
        return result

    def fails(self, *arguments: str, code: int = 1) -> str:
        """
        Run it in vain.

        @return: the last line on stderr.
        """
        result = self.run_(*arguments, code=code)
        self.assertEqual(result.stdout, "")
        return result.stderr.splitlines()[-1]

    def test_printed(self) -> None:
        """
        The new file goes to the standard output, with the report at its top, and the report to the
        standard error.
        """
        for name in ("oemgateway.conf", "emonhub.conf", "emonhub-old.conf"):
            result = self.run_(name)
            Path("new.toml").write_text(result.stdout, encoding="utf-8")
            self.assertTrue(load(Path("new.toml")).listeners)
            self.assertIn(f" of {name}, which was for ", result.stdout.splitlines()[0])
            for line in result.stderr.splitlines()[:-2]:
                self.assertIn(f"# {line}".rstrip(), result.stdout)
            self.assertIn("it has keys or passwords in it", result.stderr)

    def test_written(self) -> None:
        """
        A file is for nobody else to read.
        """
        result = self.run_("oemgateway.conf", "-o", "new.toml")
        self.assertEqual(result.stdout, "")
        self.assertEqual(os.stat("new.toml").st_mode & 0o777, 0o600)
        self.assertIn("3 listeners, 0 devices, 2 sinks: new.toml", result.stderr)
        self.assertIn("twistd sensord --config new.toml --check", result.stderr)
        self.assertEqual(len(load(Path("new.toml")).sinks), 2)

    def test_there(self) -> None:
        """
        What is there is not written over, unless that is asked for; what is converted never is.
        """
        Path("new.toml").write_text("mine")
        said = self.fails("oemgateway.conf", "-o", "new.toml")
        self.assertEqual(said, "Error: new.toml: is there already; --force writes over it")
        self.assertEqual(Path("new.toml").read_text(), "mine")
        self.run_("oemgateway.conf", "-o", "new.toml", "--force")
        self.assertNotEqual(Path("new.toml").read_text(), "mine")
        said = self.fails("oemgateway.conf", "-o", "oemgateway.conf", "--force")
        self.assertIn("is what is to be converted", said)
        os.symlink("nowhere", "link")
        self.assertIn("is there already", self.fails("oemgateway.conf", "-o", "link"))

    def test_secrets(self) -> None:
        """
        Secrets may have files of their own, beside the new one.
        """
        self.assertIn("needs a FILE", self.fails("oemgateway.conf", "--secrets", code=2))
        os.mkdir("etc")
        self.run_("oemgateway.conf", "-o", "etc/new.toml", "--secrets")
        text = Path("etc/new.toml").read_text(encoding="utf-8")
        self.assertIn('apikey = { file = "barn.apikey" }', text)
        self.assertNotIn("00112233", text)
        self.assertEqual(os.stat("etc/barn.apikey").st_mode & 0o777, 0o600)
        barn = load(Path("etc/new.toml")).sinks[0]
        assert isinstance(barn, EmoncmsSettings)
        self.assertEqual(barn.apikey.text, "00112233445566778899aabbccddeeff")
        os.unlink("etc/new.toml")
        said = self.fails("oemgateway.conf", "-o", "etc/new.toml", "--secrets")
        self.assertIn("etc/barn.apikey: is there already", said)
        self.assertFalse(os.path.exists("etc/new.toml"))
        said = self.fails("oemgateway.conf", "-o", "barn.apikey", "--secrets")
        self.assertIn("is the name of a secret's file", said)

    def test_strict(self) -> None:
        """
        That something has no counterpart can be an exit code.
        """
        self.run_("oemgateway.conf", "--strict", code=3)
        good = hub(part("S", "EmonHubSocketInterfacer", "pubchannels = a,"))
        Path("good.conf").write_bytes(good)
        self.assertIn("Nothing was left out.", self.run_("good.conf", "--strict").stderr)

    def test_wrong(self) -> None:
        """
        What cannot be converted is one line, and an exit code of 1.
        """
        Path("old.conf").write_bytes(hub(part("S", "EmonHubSocketInterfacer"), "# \xb0"))
        Path("old.conf").write_bytes(Path("old.conf").read_bytes() + b"# \xb0\n")
        self.assertIn("--encoding", self.fails("old.conf"))
        self.run_("old.conf", "--encoding", "latin-1")
        Path("no.conf").write_text("hello\n")
        self.assertEqual(
            self.fails("no.conf"), "Error: no.conf: line 1: this is neither a section nor a setting"
        )
        Path("other.conf").write_text("[a]\n")
        self.assertIn("--from says which it is", self.fails("other.conf"))
        self.assertIn("nothing in it", self.fails("other.conf", "--from", "emonhub"))
        self.assertIn("No such file", self.fails("nowhere.conf"))
        self.assertIn("Is a directory", self.fails("."))
        self.assertIn("more than", self.fails("/dev/zero"))
        self.assertIn("No such file", self.fails("oemgateway.conf", "-o", "no/where.toml"))

    def test_nothing(self) -> None:
        """
        Where nothing could be converted, it is said what there was.
        """
        Path("shield.conf").write_bytes(hub(part("S", "EmonHubTx3eInterfacer")))
        result = self.run_("shield.conf", code=1)
        self.assertIn("Type = EmonHubTx3eInterfacer", result.stderr)
        self.assertIn("Error: shield.conf: has nothing in it", result.stderr)

    def test_faulty(self) -> None:
        """
        A file that the daemon would not take is not written.
        """
        os.mkdir("devices.d")
        Path("devices.d/mine.toml").write_text('[[devices]]\naddress = "nobody/1"\n')
        port = hub(part("S", "EmonHubSocketInterfacer"))
        Path("good.conf").write_bytes(port)
        result = self.run_("good.conf", "-o", "new.toml", code=1)
        self.assertIn("nobody", result.stderr)
        self.assertIn("nothing was written", result.stderr)
        self.assertFalse(os.path.exists("new.toml"))

    def test_missing(self) -> None:
        """
        Without the library that reads such files, it is said how to get it.
        """
        self.patch(sys, "modules", {**sys.modules, "configobj": None})
        self.assertIn("pip install configobj", self.fails("oemgateway.conf"))

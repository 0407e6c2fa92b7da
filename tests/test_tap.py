"""
Tests for L{sensord.tap}. What needs a process is in L{tests.integration.test_daemon}.
"""

import io
import tomllib
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sensord import config, demo
from sensord.tap import Options


class OptionsTests(SynchronousTestCase):
    """
    What the command line says.
    """

    def run_(self, *arguments: str) -> tuple[object, str, str]:
        """
        Parse a command line.

        @return: the exit code or text, and what was printed on standard output and error.
        """
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = self.assertRaises(SystemExit, Options().parseOptions, arguments).code
        return code, out.getvalue(), err.getvalue()

    def write(self, text: str) -> str:
        """
        A configuration file.
        """
        path = Path(self.mktemp())
        path.write_text(text, encoding="utf-8")
        return str(path)

    def test_defaults(self) -> None:
        """
        Without a file, everything is on loopback.
        """
        options = Options()
        options.parseOptions([])
        self.assertEqual(options.settings, config.DEFAULTS)
        for listener in options.settings.listeners:
            self.assertIn("interface=127.0.0.1", listener.listen)

    def test_config(self) -> None:
        """
        With --config, the file counts, and its database lies beside it.
        """
        path = self.write("[store]\nmax_pending = 500\n")
        options = Options()
        options.parseOptions(["--config", path])
        self.assertEqual(options.settings.store.max_pending, 500)
        self.assertEqual(
            Path(options.settings.store.path), Path(path).absolute().parent / "sensord.sqlite"
        )

    def test_noFile(self) -> None:
        """
        A file that is not there is one line, and failure.
        """
        code, out, _err = self.run_("--config", "/nowhere/sensord.toml")
        self.assertEqual((code, out), ("/nowhere/sensord.toml: No such file or directory", ""))

    def test_example(self) -> None:
        """
        --example prints a configuration that is good.
        """
        code, out, _err = self.run_("--example")
        self.assertEqual(code, 0)
        settings = config.parse(tomllib.loads(out))
        self.assertEqual([one.wire for one in settings.listeners], list(config.WIRES))

    def test_exampleNamesAll(self) -> None:
        """
        The example names every key of [store] and of [[listeners]], each with its default.
        """
        text = self.run_("--example")[1]
        document = tomllib.loads(text)
        defaults = config.parse({"listeners": [{"name": "a", "wire": "poe", "listen": "tcp:1"}]})
        self.assertEqual(config.parse({"store": document["store"]}).store, defaults.store)
        self.assertEqual(set(document["store"]), set(defaults.store.__struct_fields__))
        self.assertEqual(
            set(document["listeners"][0]), set(defaults.listeners[0].__struct_fields__)
        )

    def test_version(self) -> None:
        """
        --version says which one this is.
        """
        code, out, _err = self.run_("--version")
        self.assertEqual((code, out.split()[0]), (0, "sensord"))

    def test_check(self) -> None:
        """
        --check says yes to a good file, on standard error, and exits with 0.
        """
        code, out, err = self.run_("--check", "--config", self.write(""))
        self.assertEqual((code, out, err), (0, "", "the configuration is good\n"))

    def test_checkEndpoints(self) -> None:
        """
        --check looks at every endpoint string.
        """
        listener = '[[listeners]]\nname = "{}"\nwire = "poe"\nlisten = "{}"\n'
        path = self.write(listener.format("a", "tpc:1") + listener.format("b", "tcp"))
        code, _out, _err = self.run_("--check", "--config", path)
        self.assertEqual(len(str(code).splitlines()), 2, code)

    def test_demo(self) -> None:
        """
        The demo has a database of its own, so that it never mixes with real readings.
        """
        options = Options()
        options.parseOptions(["--demo"])
        self.assertIs(options.settings, demo.SETTINGS)
        self.assertNotEqual(options.settings.store.path, config.DEFAULTS.store.path)

    def test_demoConfig(self) -> None:
        """
        The demo takes no configuration file.
        """
        code, _out, _err = self.run_("--demo", "--config", self.write(""))
        self.assertIn("--demo", str(code))

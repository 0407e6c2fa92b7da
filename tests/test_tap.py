"""
Tests for L{sensord.tap}. What needs a process is in L{tests.integration.test_daemon}.
"""

import io
import re
import tomllib
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from sensord import config, demo
from sensord.outlets import KINDS
from sensord.settings import (
    CommandSettings,
    ControlSettings,
    DeviceSettings,
    ManholeSettings,
    StoreSettings,
    ThresholdSettings,
    TransmitSettings,
    ValueSettings,
)
from sensord.tap import Options
from sensord.wires import WIRES, PortSettings


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
            assert isinstance(listener, PortSettings)
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
        self.assertEqual(
            [one.wire for one in settings.listeners], ["esp8266", "poe", "lines", "websocket"]
        )

    def test_exampleNamesAll(self) -> None:
        """
        The example names every key of every table; where it is in effect, with its default.
        """
        text = self.run_("--example")[1]
        document = tomllib.loads(text)
        defaults = config.Settings()
        for table in ("store", "commands", "control"):
            self.assertEqual(
                getattr(config.parse({table: document[table]}), table), getattr(defaults, table)
            )
        kinds: list[Any] = [wire.settings for wire in WIRES.values()]
        kinds += [StoreSettings, CommandSettings, ControlSettings, ManholeSettings]
        kinds += KINDS.values()
        kinds += [DeviceSettings, ValueSettings, TransmitSettings, ThresholdSettings]
        for kind in kinds:
            for field in kind.__struct_fields__:
                self.assertRegex(text, rf"(?m)\b{field} = ", f"{kind.__name__}.{field}")

    def test_exampleComments(self) -> None:
        """
        What the example shows as comments would be good, too.
        """
        lines = self.run_("--example")[1].splitlines()
        tables = [
            line
            for line in (line.removeprefix("# ") for line in lines)
            if re.match(r"\s*(\w+ = |\[|\]|\{)", line) and "privateKey" not in line
        ]
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "emoncms.key").write_text("0" * 32, encoding="utf-8")
        shown = config.parse(tomllib.loads("\n".join(tables)), folder=folder)
        self.assertEqual(sorted(one.wire for one in shown.listeners), sorted(WIRES))
        self.assertEqual(sorted(one.kind for one in shown.sinks), sorted(KINDS))

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
        radio = '[[listeners]]\nname = "r"\nwire = "rfm2pi"\nport = "/dev/x"\nrepeater = "tcp"\n'
        manhole = '[manhole]\nlisten = "tcp:x"\n'
        path = self.write(
            listener.format("a", "tpc:1") + listener.format("b", "tcp") + radio + manhole
        )
        code, _out, _err = self.run_("--check", "--config", path)
        lines = str(code).splitlines()
        keys = [
            '"a" listen: "tpc:1"',
            '"b" listen: "tcp"',
            '"r" repeater: "tcp"',
            'listen: "tcp:x"',
        ]
        for line, key in zip(lines, keys, strict=True):
            self.assertIn(f"{key} is no endpoint: ", line)

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

"""
Tests for L{sensord.tap}. What needs a process is in L{tests.integration.test_daemon}.
"""

import io
import re
import resource
import signal
import sys
import tomllib
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sensord import config, demo
from sensord.hubs.settings import GroupSettings, HubsSettings
from sensord.listeners import PortSettings
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
from sensord.supervision import STARTED
from sensord.tap import Daemon, Options, StartError
from sensord.web.settings import UserSettings, WebSettings
from sensord.wires import WIRES


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
        defaults = config.Settings(web=WebSettings())
        for table in ("store", "commands", "control", "web"):
            self.assertEqual(
                getattr(config.parse({table: document[table]}), table), getattr(defaults, table)
            )
        kinds: list[Any] = [wire.settings for wire in WIRES.values()]
        kinds += [StoreSettings, CommandSettings, ControlSettings, ManholeSettings]
        kinds += [*KINDS.values(), HubsSettings, GroupSettings, WebSettings, UserSettings]
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
        self.assertEqual(shown.hubs, HubsSettings())

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

    def test_checkAll(self) -> None:
        """
        --check finds what shows only when the settings are put to use; so does a start, as long as
        there is a terminal to tell it. To show the settings, that does not matter.
        """
        table = '[[listeners]]\nname = "{}"\nwire = "poe"\nlisten = "{}"\n'
        path = self.write(
            "\n".join(
                table.format(*one) for one in (("a", "tpc:1"), ("b", "tcp:1"), ("c", "tcp:1"))
            )
            + "[manhole]\n"
        )
        name, keys = Path(path).name, Path(path).absolute().parent / "authorized_keys"
        for arguments in (["--check"], []):
            code, out, _err = self.run_(*arguments, "--config", path)
            lines = str(code).splitlines()
            self.assertTrue(lines[0].startswith(f'{name}: [[listeners]] "a" listen: "tpc:1" is no'))
            self.assertEqual(
                lines[1:],
                [
                    f'{name}: [[listeners]] "c" listen: "tcp:1" is given to'
                    ' [[listeners]] "b" listen already',
                    f"{name}: [manhole] authorized_keys: {keys}: No such file or directory",
                ],
            )
            self.assertEqual(out, "")
        code, out, _err = self.run_("--show-settings", "--config", path)
        self.assertEqual((code, out.count("[[listeners]]")), (0, 3))

    def test_checkSocket(self) -> None:
        """
        A control socket that cannot be is a fault like any other.
        """
        path = self.write('[control]\nsocket = "x\\u0000y"\n')
        for arguments in (["--check"], [], ["--show-settings"]):
            code, _out, _err = self.run_(*arguments, "--config", path)
            self.assertEqual(code, f"{Path(path).name}: [control] socket: has a NUL in it")

    def test_demo(self) -> None:
        """
        The demo has a database of its own, so that it never mixes with real readings.
        """
        options = Options()
        options.parseOptions(["--demo"])
        self.assertIs(options.settings, demo.SETTINGS)
        self.assertNotEqual(options.settings.store.path, config.DEFAULTS.store.path)

    def test_hubs(self) -> None:
        """
        --check finds that hubs could not have their files anywhere.
        """
        path = self.write("")
        Path(path).write_text(f'[hubs]\nfolder = "{Path(path).name}"\n', encoding="utf-8")
        code, _out, _err = self.run_("--check", "--config", path)
        expected = f"{Path(path).name}: [hubs] folder: {Path(path).absolute()}: is no folder"
        self.assertEqual(code, expected)

    def test_demoConfig(self) -> None:
        """
        The demo takes no configuration file.
        """
        code, _out, _err = self.run_("--demo", "--config", self.write(""))
        self.assertIn("--demo", str(code))


class Gateway(Service):
    """
    A gateway that starts, or not.
    """

    settings = config.DEFAULTS

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def startService(self) -> None:
        """
        Start.
        """
        if self._error is not None:
            raise self._error
        super().startService()


class DaemonTests(SynchronousTestCase):
    """
    The gateway as a process.
    """

    def setUp(self) -> None:
        """
        Put back afterwards what belongs to the whole process.
        """
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.addCleanup(setattr, sys, "excepthook", sys.excepthook)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)

    def start(self, gateway: Any) -> tuple[Exception | None, str]:
        """
        Start one, from a terminal that is not the standard error.

        @return: why it does not start, and what the terminal shows.
        """
        shown = Path(self.mktemp())
        terminal = shown.open("w", encoding="utf-8")
        daemon = Daemon(MemoryReactorClock(), gateway, [], terminal)
        try:
            daemon.startService()
        except StartError as error:
            failed: Exception | None = error
        else:
            failed = None
        self.assertTrue(terminal.closed)
        self.assertEqual(daemon.running, failed is None)
        return failed, shown.read_text(encoding="utf-8")

    def test_start(self) -> None:
        """
        One that starts says nothing.
        """
        self.assertEqual(self.start(Gateway()), (None, ""))

    def test_fails(self) -> None:
        """
        One that does not start in the background says why on the terminal, in full; what twistd has
        to say about it ends with the reason, too.
        """
        why = ['[[listeners]] "weather" listen: port 5001 is taken \u00e4', "and something else"]
        error, shown = self.start(Gateway(config.ConfigError(why)))
        assert error is not None
        self.assertEqual(shown, f"sensord: {why[0]}\n{why[1]}\n")
        self.assertEqual(traceback.format_exception_only(error)[-1], f"{why[0]}\n")

    def test_supervised(self) -> None:
        """
        One that is supervised says when it runs, ends when its standard input does, and leaves
        Ctrl-C to its supervisor.
        """
        reactor: Any = MemoryReactorClock()
        reactor.stop = lambda: stops.append(None)
        stops: list[None] = []
        gateway: Any = Gateway()
        with capturedLogs() as captured:
            daemon = Daemon(reactor, gateway, [], None, supervised=True)
            daemon.startService()
            self.assertEqual((reactor.getReaders(), list(captured)), ([], []))
            for call, arguments, more in reactor.whenRunningHooks:
                call(*arguments, **more)
        self.assertEqual(signal.getsignal(signal.SIGINT), signal.SIG_IGN)
        self.assertIn(STARTED, [formatEvent(one) for one in captured])
        (leash,) = reactor.getReaders()
        self.assertEqual(leash.fileno(), 0)
        leash.connectionLost()
        self.assertEqual(len(stops), 1)
        self.successResultOf(daemon.stopService())

    def test_broken(self) -> None:
        """
        What is our fault is not hidden, and the terminal is let go of.
        """
        self.assertRaises(KeyError, self.start, Gateway(KeyError("x")))

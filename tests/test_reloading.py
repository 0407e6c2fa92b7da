"""
Tests for L{sensord.reloading}.
"""

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import DEFAULTS, ConfigError, Settings
from sensord.reloading import LOOK, Origin, Reloader

_FILE = '[[listeners]]\nname = "poe"\nwire = "poe"\nlisten = "tcp:1234"\n'

_DEVICE = '[[devices]]\naddress = "{}"\nname = "{}"\n'


class Gateway:
    """
    A gateway that takes what it is given, or fails.
    """

    def __init__(self) -> None:
        self.settings = DEFAULTS
        self.taken: list[Settings] = []
        self.error: Exception | None = None

    def reload(self, settings: Settings) -> Deferred[list[str]]:
        """
        Go on with other settings.
        """
        if self.error is not None:
            return fail(self.error)
        self.settings = settings
        self.taken.append(settings)
        return succeed(["this is new"])


class OriginTestCase(SynchronousTestCase):
    """
    A configuration file in a folder of its own.
    """

    def setUp(self) -> None:
        """
        Write it.
        """
        self.reactor: Any = MemoryReactorClock()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "sensord.toml"
        self.path.write_text(_FILE, encoding="utf-8")
        self.origin = Origin(self.reactor, self.path)

    def describe(self, name: str, address: str, label: str) -> None:
        """
        Describe a device in a file of its own.
        """
        (self.folder / "devices.d").mkdir(exist_ok=True)
        path = self.folder / "devices.d" / name
        path.write_text(_DEVICE.format(address, label), encoding="utf-8")

    def faults(self) -> list[str]:
        """
        What is wrong with the configuration.
        """
        return list(self.assertRaises(ConfigError, self.origin.load).faults)


class OriginTests(OriginTestCase):
    """
    Where the configuration comes from.
    """

    def test_load(self) -> None:
        """
        The file counts, and each description beside it.
        """
        self.describe("a.toml", "poe/10.0.0.1", "hall")
        self.describe("b.toml", "poe/10.0.0.2", "cellar")
        self.describe("b.toml~", "poe/10.0.0.2", "left by an editor")
        settings = self.origin.load()
        self.assertEqual([one.name for one in settings.devices], ["hall", "cellar"])
        self.assertEqual(self.origin.folder, self.folder.absolute() / "devices.d")

    def test_faults(self) -> None:
        """
        A fault in a description names its file.
        """
        self.describe("a.toml", "poe/10.0.0.1", "hall")
        self.describe("b.toml", "poe/10.0.0.1", "hall")
        self.describe("c.toml", "radio/1", "cellar")
        (self.folder / "devices.d" / "d.toml").write_text("[store]\npath = 'x'\n")
        self.assertEqual(
            self.faults(),
            [
                "devices.d/d.toml: store: unknown table",
                'devices.d/b.toml: [[devices]] "poe/10.0.0.1" address: is described twice',
                'devices.d/b.toml: [[devices]] "hall" name: is used twice',
                'devices.d/c.toml: [[devices]] "cellar" address: there is no listener "radio"',
            ],
        )

    def test_checked(self) -> None:
        """
        What only shows when settings are put to use is a fault, too.
        """
        self.path.write_text(_FILE.replace("tcp:1234", "tcp:none"), encoding="utf-8")
        [fault] = self.faults()
        self.assertTrue(fault.startswith('sensord.toml: [[listeners]] "poe" listen: '), fault)

    def test_optional(self) -> None:
        """
        Where there need not be a file, the standard settings hold without it, and descriptions
        beside where it would be; also one of the stock device in place of ours.
        """
        self.path.unlink()
        self.origin = Origin(self.reactor, self.path, DEFAULTS)
        self.assertEqual(self.origin.load(), DEFAULTS)
        self.describe("a.toml", "poe/10.0.0.1", "hall")
        names = [one.label for one in self.origin.load().devices]
        self.assertEqual(names, ["weather/1", "hall"])
        stock = _DEVICE.format("weather/1", "balcony") + 'values = [{ name = "x", type = "H" }]\n'
        (self.folder / "devices.d" / "b.toml").write_text(stock)
        names = [one.label for one in self.origin.load().devices]
        self.assertEqual(names, ["hall", "balcony"])

    def test_missing(self) -> None:
        """
        Where there has to be one, it is a fault that there is none.
        """
        self.path.unlink()
        self.assertEqual(self.faults(), [f"{self.path.absolute()}: No such file or directory"])


class ReloaderTests(OriginTestCase):
    """
    Reading the configuration anew.
    """

    def setUp(self) -> None:
        """
        A daemon that runs.
        """
        super().setUp()
        self.gateway = Gateway()
        self.gateway.settings = self.origin.load()
        self.reloader = Reloader(self.reactor, self.gateway, self.origin)
        self.reloader.startService()
        self.addCleanup(self.assertFalse, self.reactor.getDelayedCalls())
        self.addCleanup(self.reloader.stopService)

    def write(self, text: str) -> None:
        """
        Change the configuration file.
        """
        self.path.write_text(text, encoding="utf-8")

    def watch(self) -> None:
        """
        Have the files watched.
        """
        self.write(f"watch = true\n{_FILE}")
        self.successResultOf(Deferred.fromCoroutine(self.reloader.reload("anna")))
        self.gateway.taken.clear()

    def look(self, times: int = 1) -> int:
        """
        Let time pass.

        @return: how often the configuration was read anew.
        """
        before = len(self.gateway.taken)
        for _ in range(times):
            self.reactor.advance(LOOK)
        return len(self.gateway.taken) - before

    def test_reload(self) -> None:
        """
        What is different is put into effect, and told and logged, with who wanted it.
        """
        self.write(_FILE.replace("1234", "1235"))
        with capturedLogs() as captured:
            done = Deferred.fromCoroutine(self.reloader.reload("anna"))
        self.assertEqual(self.successResultOf(done), ["this is new"])
        self.assertEqual(self.gateway.taken, [self.origin.load()])
        self.assertIs(self.reloader.settings, self.gateway.settings)
        self.assertEqual(
            [formatEvent(event) for event in captured],
            ["this is new", "reload by anna: 1 change in effect"],
        )

    def test_bad(self) -> None:
        """
        A bad file changes nothing, and each of its faults is told and logged.
        """
        self.write(_FILE + 'mood = "fair"\n[stor]\n')
        with capturedLogs() as captured:
            done = Deferred.fromCoroutine(self.reloader.reload("anna"))
        error = self.failureResultOf(done, ConfigError).value
        self.assertEqual(len(error.faults), 2)
        self.assertEqual(self.gateway.taken, [])
        self.assertEqual(
            [formatEvent(event) for event in captured],
            [*error.faults, "reload by anna: nothing has changed, for the above"],
        )

    def test_empty(self) -> None:
        """
        An empty file is one that is about to be written, and not one that asks for nothing.
        """
        self.write("")
        done = Deferred.fromCoroutine(self.reloader.reload("anna"))
        error = self.failureResultOf(done, ConfigError).value
        self.assertEqual(error.faults, ["sensord.toml: is empty"])

    def test_pipe(self) -> None:
        """
        What is no file is told, and not waited for.
        """
        self.describe("a.toml", "poe/10.0.0.1", "hall")
        os.mkfifo(self.folder / "devices.d" / "pipe.toml")
        (self.folder / "devices.d" / "lost.toml").symlink_to("nowhere")
        done = Deferred.fromCoroutine(self.reloader.reload("anna"))
        error = self.failureResultOf(done, ConfigError).value
        self.assertEqual(
            error.faults,
            ["devices.d/lost.toml: is no file", "devices.d/pipe.toml: is no file"],
        )

    def test_unable(self) -> None:
        """
        What is good but cannot be put into effect is told likewise.
        """
        self.gateway.error = ConfigError(["port 1234 is taken"])
        with capturedLogs() as captured:
            self.reloader.attempt("SIGHUP")
        self.assertEqual(
            [formatEvent(event) for event in captured],
            ["port 1234 is taken", "reload by SIGHUP: nothing has changed, for the above"],
        )

    def test_broken(self) -> None:
        """
        A fault of ours is logged as one.
        """
        self.gateway.error = ZeroDivisionError()
        self.reloader.attempt("SIGHUP")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_notWatched(self) -> None:
        """
        Unless the settings say so, files are not watched.
        """
        self.write(_FILE.replace("1234", "1235"))
        self.assertEqual(self.look(5), 0)

    def test_watched(self) -> None:
        """
        A file that has changed, has come or has gone is read when it lies still, once.
        """
        self.watch()
        self.assertEqual(self.look(5), 0)
        self.write(f"watch = true\n{_FILE}# more")
        self.assertEqual(self.look(), 0)
        self.write(f"watch = true\n{_FILE}# more of it")
        self.assertEqual(self.look(), 0)
        self.assertEqual(self.look(), 1)
        self.assertEqual(self.look(5), 0)
        self.describe("a.toml", "poe/10.0.0.1", "hall")
        self.assertEqual(self.look(2), 1)
        (self.folder / "devices.d" / "a.toml").unlink()
        self.assertEqual(self.look(2), 1)
        self.assertEqual(self.gateway.settings.devices, ())

    def test_watchedBad(self) -> None:
        """
        A bad file is complained about once, and read when it is good.
        """
        self.watch()
        self.write("watch = true\n[stor]\n")
        with capturedLogs() as captured:
            self.assertEqual(self.look(5), 0)
        self.assertEqual(len(captured), 2)
        self.write(f"watch = true\n{_FILE}")
        self.assertEqual(self.look(2), 1)

    def test_watchedNoMore(self) -> None:
        """
        When the settings say so, files are watched no more.
        """
        self.watch()
        self.write(_FILE)
        self.assertEqual(self.look(2), 1)
        self.write(f"{_FILE}# more")
        self.assertEqual(self.look(5), 0)

"""
L{sensord.cli} and L{sensord.text}.
"""

import csv
import io
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from time import time

from click.testing import CliRunner, Result
from msgspec import json
from twisted.trial.unittest import SynchronousTestCase

import sensord
from sensord.cli import main
from sensord.config import DEFAULTS, STOCK, Settings, dump
from sensord.devices import Devices
from sensord.reading import Clock, Intake, Quarantined, Reading, Rejected
from sensord.settings import DeviceSettings
from sensord.store.database import Database, Part
from sensord.text import iso, moment
from sensord.wire import esp8266, poe
from tests.store.support import Disk, sql

#: 2025-11-20T18:00:00Z, in microseconds.
_NOON = 1_763_661_600_000_000

_SETTINGS = Settings(
    listeners=DEFAULTS.listeners, devices=(DeviceSettings("weather/1", "balcony", values=STOCK),)
)

#: The example packet of the wire format.
_PACKET = bytes.fromhex("0c00100e7800060103 7800006e0068 7900046e0468")

_READINGS = (
    Reading("balcony", "temperature", 21.5, _NOON, Clock.BACKDATED),
    Reading("balcony", "note", 'warm, "dry"\nand [calm]', _NOON + 1, Clock.DEVICE),
    Reading("cellar", "door", True, _NOON + 2, Clock.ARRIVAL),
    Reading("cellar", "door", False, _NOON + 3_600_000_000, Clock.ARRIVAL),
    Reading("cellar", "level", 7, _NOON + 7_200_000_000, Clock.ARRIVAL),
)


class ToolboxTests(SynchronousTestCase):
    """
    The toolbox in a folder of its own.
    """

    def setUp(self) -> None:
        """
        Go there.
        """
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder)

    def run_(self, *arguments: str, code: int = 0) -> Result:
        """
        Run a command, which must end with an exit code and no traceback.
        """
        result = CliRunner().invoke(main, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.assertEqual(result.exit_code, code, result.output)
        return result

    def fail_(self, *arguments: str) -> str:
        """
        Run a command that must fail with one line on stderr.

        @return: the line.
        """
        result = self.run_(*arguments, code=1)
        self.assertEqual(result.stdout, "")
        line = self.rest(result)
        self.assertEqual(line.count("\n"), 1, result.stderr)
        self.assertTrue(line.startswith("Error: "))
        return line.removeprefix("Error: ").rstrip("\n")

    def rest(self, result: Result) -> str:
        """
        What stderr says beside the line that names the database.
        """
        return re.sub(r"\Athis is \S*sensord\.sqlite.*\n", "", result.stderr)

    def store(
        self,
        readings: Sequence[Reading] = (),
        frames: Sequence[bytes] = (),
        path: str = "sensord.sqlite",
    ) -> None:
        """
        Make a database, or add to it.
        """
        disk = Disk()
        disk.durable = False
        database = Database(Path(path), Devices(_SETTINGS).describe, connect=disk.connect)
        held = [
            Quarantined(
                _NOON + number, "192.168.1.9", data, "device 1 has no description", "esp8266"
            )
            for number, data in enumerate(frames)
        ]
        rejected = [Rejected(b"", "noise")] if readings else []
        database.commit([Part("weather", [Intake(list(readings), b"", rejected, held)])])
        database.close()

    def configure(self, settings: Settings = _SETTINGS, path: str = "sensord.toml") -> None:
        """
        Write a configuration file.
        """
        Path(path).write_text(dump(settings), encoding="utf-8")


class ChoiceTests(ToolboxTests):
    """
    Which database is meant, and what all commands have in common.
    """

    def count(self, *options: str) -> int:
        """
        How many readings the chosen database has.
        """
        outcome = json.decode(self.run_(*options, "audit", "--json").stdout)
        count: int = outcome["readings"]
        return count

    def test_order(self) -> None:
        """
        The database is the named one, else that of the named configuration, else that of
        ./sensord.toml, else ./sensord.sqlite, else that of the demo.
        """
        self.store(_READINGS[:1], path="sensord-demo.sqlite")
        self.assertEqual(self.count(), 1)
        self.store(_READINGS[:2])
        self.assertEqual(self.count(), 2)
        Path("sensord.toml").write_text('[store]\npath = "three.sqlite"\n')
        self.store(_READINGS[:3], path="three.sqlite")
        self.assertEqual(self.count(), 3)
        Path("else").mkdir()
        Path("else/other.toml").write_text('[store]\npath = "four.sqlite"\n')
        self.store(_READINGS[:4], path="else/four.sqlite")
        self.assertEqual(self.count("--config", "else/other.toml"), 4)
        self.store(_READINGS[:5], path="five.sqlite")
        self.assertEqual(self.count("--database", "five.sqlite"), 5)
        self.assertEqual(self.count("--config", "else/other.toml", "--database", "five.sqlite"), 5)

    def test_said(self) -> None:
        """
        Where the database is not named, stderr says which one this is, and that of the demo is
        pointed at if there is one too.
        """
        self.store(_READINGS, path="sensord-demo.sqlite")
        for command in ("audit", "export"):
            said = "this is ./sensord-demo.sqlite, of twistd sensord --demo\n"
            self.assertEqual(self.run_(command).stderr, said)
        other = "; --database sensord-demo.sqlite is the demo's"
        self.store(_READINGS)
        self.assertEqual(self.run_("audit").stderr, f"this is ./sensord.sqlite{other}\n")
        self.configure()
        said = f"this is sensord.sqlite, as ./sensord.toml says{other}\n"
        self.assertEqual(self.run_("audit").stderr, said)
        Path("sensord-demo.sqlite").unlink()
        said = "this is sensord.sqlite, as ./sensord.toml says\n"
        self.assertEqual(self.run_("audit").stderr, said)
        Path("sensord.toml").rename("other.toml")
        self.assertEqual(self.run_("audit").stderr, "this is ./sensord.sqlite\n")
        for named in (("--config", "other.toml"), ("--database", "sensord.sqlite")):
            self.assertEqual(self.run_(*named, "audit").stderr, "")

    def test_none(self) -> None:
        """
        Where there is no database at all, it is said what was looked for, and none is made.
        """
        line = "there is no ./sensord.toml, ./sensord.sqlite or ./sensord-demo.sqlite; "
        self.assertEqual(self.fail_("audit"), f"{line}use --config or --database")
        self.assertEqual(os.listdir(), [])

    def test_missing(self) -> None:
        """
        A database that is named and not there is an error, whatever is asked of it.
        """
        self.configure()
        commands: Sequence[Sequence[str]] = (
            ("audit",),
            ("export",),
            ("quarantine", "list"),
            ("quarantine", "show", "1"),
            ("quarantine", "redecode"),
        )
        for command in commands:
            line = self.fail_("--database", "gone.sqlite", *command)
            self.assertEqual(line, "gone.sqlite: there is no such database")
        self.assertEqual(os.listdir(), ["sensord.toml"])

    def test_foreign(self) -> None:
        """
        A file that is no database, or that of another program, is an error.
        """
        Path("text").write_text("no database at all, but long enough to be looked at" * 20)
        self.assertEqual(self.fail_("--database", "text", "audit"), "text: file is not a database")
        sql(Path("foreign"), "CREATE TABLE songs (title)")
        line = self.fail_("--database", "foreign", "export")
        self.assertEqual(line, "foreign: is a database of another program")
        self.assertIn(".: unable to open", self.fail_("--database", ".", "audit"))

    def test_config(self) -> None:
        """
        What is wrong with the configuration is said as the daemon says it.
        """
        self.assertIn("gone.toml: No such file", self.fail_("--config", "gone.toml", "audit"))
        Path("sensord.toml").write_text("[store]\npaht = 1\n")
        line = self.fail_("audit")
        self.assertIn("sensord.toml: [store] paht: unknown key; did you mean", line)

    def test_noText(self) -> None:
        """
        An argument that is no UTF-8 is named in one line, and the exit code is that of a mistake in
        the command. The name of a file may be one.
        """
        self.store(_READINGS)
        wrong = os.fsdecode(b"a\xff")
        for arguments, said in (
            (("export", "--device", wrong), "a\\xff"),
            (("export", f"--name={wrong}"), "--name=a\\xff"),
            (("listeners", "stop", wrong), "a\\xff"),
            (("send", wrong, "LED", "1"), "a\\xff"),
            (("send", "a", wrong, "1"), "a\\xff"),
            (("tail", "--device", wrong), "a\\xff"),
        ):
            result = self.run_(*arguments, code=2)
            self.assertEqual(
                (result.stdout, self.rest(result)), ("", f"Error: '{said}' is no UTF-8\n")
            )
        self.run_("export", "--output", wrong)
        self.assertIn(b"a\xff", os.listdir(b"."))

    def test_version(self) -> None:
        """
        The version is that of the package.
        """
        self.assertEqual(self.run_("--version").stdout, f"sensord, version {sensord.__version__}\n")

    def test_reactor(self) -> None:
        """
        Nothing installs a reactor before one is needed.
        """
        code = "import sys, sensord.cli; sys.exit('twisted.internet.reactor' in sys.modules)"
        self.assertEqual(subprocess.run([sys.executable, "-c", code], env=_environ()).returncode, 0)


class AuditTests(ToolboxTests):
    """
    C{sensord audit}.
    """

    def test_balanced(self) -> None:
        """
        A ledger that balances is shown with its totals against the rows.
        """
        self.store(_READINGS, [_PACKET, _PACKET])
        result = self.run_("audit")
        self.assertEqual(
            result.stdout.splitlines(),
            [
                "listener  received  committed  duplicate  rejected  quarantined",
                "weather          8          5          0         1            2",
                "total            8          5          0         1            2",
                "",
                "committed 5 = 5 stored + 0 expired",
                "quarantined 2 = 2 held + 0 dropped",
                "the ledger balances",
            ],
        )
        self.assertEqual(self.rest(result), "")

    def test_empty(self) -> None:
        """
        A database without any readings balances too.
        """
        self.store()
        self.assertIn("the ledger balances", self.run_("audit").stdout)

    def test_faults(self) -> None:
        """
        Each thing that does not balance is a line on stderr, and the exit code says so.
        """
        self.store(_READINGS, [_PACKET])
        sql(Path("sensord.sqlite"), "DELETE FROM readings WHERE id = 2")
        sql(Path("sensord.sqlite"), "DELETE FROM quarantine")
        result = self.run_("audit", code=1)
        self.assertEqual(
            self.rest(result).splitlines(),
            [
                "committed 5, in the journal or expired 4",
                "quarantined 1, held or dropped 0",
            ],
        )
        self.assertIn("committed 5 != 4 stored + 0 expired\n", result.stdout)
        self.assertIn("quarantined 1 != 0 held + 0 dropped\n", result.stdout)
        self.assertNotIn("balances", result.stdout)

    def test_json(self) -> None:
        """
        The same is there for programs.
        """
        self.store(_READINGS)
        outcome = json.decode(self.run_("audit", "--json").stdout)
        self.assertEqual(outcome["accounts"][0]["received"], 6)
        self.assertEqual((outcome["readings"], outcome["faults"]), (5, []))
        sql(Path("sensord.sqlite"), "DELETE FROM readings")
        result = self.run_("audit", "--json", code=1)
        self.assertEqual(json.decode(result.stdout)["faults"], self.rest(result).splitlines())


class QuarantineTests(ToolboxTests):
    """
    C{sensord quarantine}.
    """

    def test_list(self) -> None:
        """
        The list has a line for each frame.
        """
        self.store(frames=[_PACKET, b"1234"])
        self.assertEqual(
            self.run_("quarantine", "list").stdout.splitlines(),
            [
                "id  time                         listener  peer         bytes  why",
                " 1  2025-11-20T18:00:00.000000Z  weather   192.168.1.9     21  device 1 has no"
                " description",
                " 2  2025-11-20T18:00:00.000001Z  weather   192.168.1.9      4  device 1 has no"
                " description",
            ],
        )

    def test_listListener(self) -> None:
        """
        The list can be that of one listener; an empty one says so on stderr.
        """
        self.store(frames=[_PACKET])
        listed = self.run_("quarantine", "list", "--listener", "weather").stdout
        self.assertEqual(len(listed.splitlines()), 2)
        result = self.run_("quarantine", "list", "--listener", "poe")
        said = "there is nothing in quarantine\n"
        self.assertEqual((result.stdout, self.rest(result)), ("", said))

    def test_show(self) -> None:
        """
        A frame is shown with its bytes, and a packet with what its header says.
        """
        self.store(frames=[_PACKET])
        self.assertEqual(
            self.run_("quarantine", "show", "1").stdout.splitlines(),
            [
                "id            1",
                "time          2025-11-20T18:00:00.000000Z",
                "listener      weather",
                "peer          192.168.1.9",
                "wire          esp8266",
                "why           device 1 has no description",
                "device        1",
                "sensors       3",
                "measurements  2 of 6 bytes",
                "measured      every 120 s",
                "delivered     every 3600 s",
                "",
                "0000  0c 00 10 0e 78 00 06 01 03 78 00 00 6e 00 68 79",
                "0010  00 04 6e 04 68",
            ],
        )

    def test_showOther(self) -> None:
        """
        A frame that is no packet is shown without what it does not have.
        """
        self.store(frames=[b"\x01\xff\x00\x01"])
        shown = self.run_("quarantine", "show", "1").stdout
        self.assertTrue(shown.endswith("\n\n0000  01 ff 00 01\n"), shown)
        self.assertNotIn("sensors", shown)

    def test_unknown(self) -> None:
        """
        A frame that is not there is an error, and nothing is done to the others.
        """
        self.configure()
        self.store(frames=[_PACKET])
        line = "there is no frame 7 in quarantine"
        self.assertEqual(self.fail_("quarantine", "show", "7"), line)
        self.assertEqual(self.fail_("quarantine", "redecode", "1", "7"), line)
        self.assertEqual(len(self.run_("quarantine", "list").stdout.splitlines()), 2)

    def test_redecode(self) -> None:
        """
        What can be decoded by now becomes readings; for what cannot it is said why.
        """
        self.configure()
        stranger = _PACKET[:7] + b"\x09" + _PACKET[8:]
        self.store(frames=[_PACKET, stranger])
        self.assertEqual(
            self.run_("quarantine", "redecode").stdout.splitlines(),
            [
                "1 frame became 6 readings, 1 left",
                "  2: device 9 has no description",
            ],
        )
        exported = list(csv.DictReader(io.StringIO(self.run_("export").stdout)))
        self.assertEqual(
            [float(row["value"]) for row in exported if row["name"] == "light"], [120, 121]
        )
        self.assertEqual({row["unit"] for row in exported}, {"lx", "%", "°C"})
        self.assertIn("the ledger balances", self.run_("audit").stdout)

    def test_redecodeSome(self) -> None:
        """
        Frames can be named.
        """
        self.configure()
        self.store(frames=[_PACKET, _PACKET, _PACKET])
        said = self.run_("quarantine", "redecode", "1", "3").stdout
        self.assertEqual(said, "2 frames became 12 readings, 0 left\n")
        listed = self.run_("quarantine", "list").stdout.splitlines()
        self.assertEqual([line.split()[0] for line in listed], ["id", "2"])

    def test_redecodeConfig(self) -> None:
        """
        Without a configuration there are no descriptions.
        """
        self.store(frames=[_PACKET])
        line = self.fail_("quarantine", "redecode")
        self.assertEqual(line, "there are no descriptions: no ./sensord.toml; use --config")
        self.configure(path="other.toml")
        self.run_("--config", "other.toml", "quarantine", "redecode")


class ExportTests(ToolboxTests):
    """
    C{sensord export}.
    """

    def setUp(self) -> None:
        """
        A database with something in it.
        """
        super().setUp()
        self.store(_READINGS)

    def names(self, *options: str) -> list[str]:
        """
        What is exported with some options.
        """
        lines = self.run_("export", "--format", "jsonl", *options).stdout.splitlines()
        return [json.decode(line)["name"] for line in lines]

    def test_csv(self) -> None:
        """
        CSV has a header and a row for each reading, quoted where that is needed.
        """
        result = self.run_("export")
        self.assertEqual(
            list(csv.reader(io.StringIO(result.stdout))),
            [
                ["time", "device", "name", "value", "unit", "clock"],
                [
                    "2025-11-20T18:00:00.000000Z",
                    "balcony",
                    "temperature",
                    "21.5",
                    "°C",
                    "backdated",
                ],
                [
                    "2025-11-20T18:00:00.000001Z",
                    "balcony",
                    "note",
                    'warm, "dry"\nand [calm]',
                    "",
                    "device",
                ],
                ["2025-11-20T18:00:00.000002Z", "cellar", "door", "true", "", "arrival"],
                ["2025-11-20T19:00:00.000000Z", "cellar", "door", "false", "", "arrival"],
                ["2025-11-20T20:00:00.000000Z", "cellar", "level", "7", "", "arrival"],
            ],
        )
        self.assertNotIn("\r", result.stdout)
        self.assertEqual(self.rest(result), "")

    def test_jsonl(self) -> None:
        """
        JSON lines have the same keys, and values of their own types.
        """
        lines = self.run_("export", "--format", "jsonl").stdout.splitlines()
        self.assertEqual(
            json.decode(lines[0]),
            {
                "time": "2025-11-20T18:00:00.000000Z",
                "device": "balcony",
                "name": "temperature",
                "value": 21.5,
                "unit": "°C",
                "clock": "backdated",
            },
        )
        values = [json.decode(line)["value"] for line in lines]
        self.assertEqual(values, [21.5, 'warm, "dry"\nand [calm]', True, False, 7])
        self.assertIs(values[2], True)

    def test_patterns(self) -> None:
        """
        Devices and names can be chosen by patterns.
        """
        self.assertEqual(self.names("--device", "cell*"), ["door", "door", "level"])
        self.assertEqual(self.names("--name", "?o*"), ["note", "door", "door"])
        self.assertEqual(self.names("--device", "cellar", "--name", "level"), ["level"])
        self.assertEqual(self.names("--device", "cellar "), [])

    def test_times(self) -> None:
        """
        A time is ISO 8601, UTC unless it says otherwise; the end is not included.
        """
        self.assertEqual(self.names("--since", "2025-11-20T19:00"), ["door", "level"])
        self.assertEqual(self.names("--since", "2025-11-20T21:00+01:00"), ["level"])
        self.assertEqual(self.names("--since", "2025-11-20T20:00:00.000001Z"), [])
        self.assertEqual(
            self.names("--until", "2025-11-20T18:00:00.000002Z"), ["temperature", "note"]
        )
        self.assertEqual(
            self.names("--since", "2025-11-20T18:00:00.000002", "--until", "2025-11-20T20:00"),
            ["door", "door"],
        )
        self.assertEqual(len(self.names("--until", "2025-11-21")), 5)

    def test_spans(self) -> None:
        """
        A time is also how long ago it was.
        """
        now = int(time() * 1e6)
        self.store([Reading("new", "new", 1, now - 3_600_000_000, Clock.ARRIVAL)])
        self.assertEqual(self.names("--since", "2h"), ["new"])
        self.assertEqual(self.names("--since", "30m"), [])
        self.assertEqual(self.names("--since", "2h", "--until", "90m"), [])
        self.assertEqual(len(self.names("--until", "90m")), 5)
        self.assertEqual(len(self.names("--since", "forever")), 6)
        self.assertEqual(len(self.names("--since", f"{'9' * 30}y")), 6)

    def test_badTimes(self) -> None:
        """
        What is no time is an error that names the option and shows how to write one.
        """
        for option in ("--since", "--until"):
            for text in ("yesterday", "2025-13-01", "5", "", "2x", "-2h", "99999-01-01"):
                line = self.fail_("export", option, text)
                self.assertTrue(
                    line.startswith(f'{option}: "{text}" is no time; write e.g. '), line
                )

    def test_output(self) -> None:
        """
        The output can go to a file, as UTF-8.
        """
        result = self.run_("export", "--output", "out.csv")
        self.assertEqual((result.stdout, self.rest(result)), ("", ""))
        self.assertIn("°C", Path("out.csv").read_text(encoding="utf-8"))
        self.assertEqual(Path("out.csv").read_text(encoding="utf-8"), self.run_("export").stdout)

    def test_badOutput(self) -> None:
        """
        A file that cannot be written is an error, and the database is no such file.
        """
        self.assertEqual(
            self.fail_("export", "--output", "gone/out.csv"),
            "gone/out.csv: No such file or directory",
        )
        before = Path("sensord.sqlite").read_bytes()
        line = self.fail_("export", "--output", "./sensord.sqlite")
        self.assertEqual(line, "sensord.sqlite: is the database itself")
        self.assertEqual(Path("sensord.sqlite").read_bytes(), before)

    def test_full(self) -> None:
        """
        A disk that is full is an error.
        """
        if not os.path.exists("/dev/full"):
            self.skipTest("there is no /dev/full here")
        self.assertIn("No space left", self.fail_("export", "--output", "/dev/full"))

    def test_long(self) -> None:
        """
        Everything is exported, in its order, however much it is.
        """
        many = [Reading("a", "b", k, _NOON + k, Clock.ARRIVAL) for k in range(25_000)]
        self.store(many)
        rows = self.run_("export", "--device", "a").stdout.splitlines()[1:]
        self.assertEqual([int(row.split(",")[3]) for row in rows], list(range(25_000)))

    def test_pipe(self) -> None:
        """
        A reader that goes away, like head, ends it without a word.
        """
        self.store([Reading("a", "b", k, _NOON + k, Clock.ARRIVAL) for k in range(2000)])
        process = _start("--database", "sensord.sqlite", "export")
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()
        process.wait()

    def test_progress(self) -> None:
        """
        On a terminal it shows how far it is, while the output goes elsewhere.
        """
        with open("out.csv", "wb") as out:
            shown = _onTerminal(("export",), out.fileno())
        self.assertIn(b"100%", shown)
        self.assertEqual(Path("out.csv").read_text(encoding="utf-8"), self.run_("export").stdout)


class SimulateTests(ToolboxTests):
    """
    C{sensord simulate}.
    """

    def setUp(self) -> None:
        """
        A port with somebody behind it.
        """
        super().setUp()
        self.port = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.port.close)
        self.target = f"tcp:127.0.0.1:{self.port.getsockname()[1]}"

    def received(self) -> bytes:
        """
        What came by the connection that has waited longest, until its end.
        """
        connection, _address = self.port.accept()
        with connection, connection.makefile("rb") as stream:
            return stream.read()

    def test_poe(self) -> None:
        """
        It sends for as long as it is told to, and sums up.
        """
        process = _start("simulate", "--devices=2", "--rate=210", "--seconds=0.7", self.target)
        out, err = process.communicate(timeout=20)
        self.assertEqual((process.returncode, err), (0, b""))
        frames = [poe.FrameParser().feed(self.received()) for _ in range(2)]
        sent = len(frames[0]) + len(frames[1])
        self.assertEqual((len(frames[0]) % 21, len(frames[1]) % 21), (0, 0))
        self.assertTrue(42 <= sent <= 2 * 7 * 21, sent)
        said = f"2 devices sent {sent} messages with {sent} readings; 0 connections failed\n"
        self.assertEqual(out.decode(), said)

    def test_interrupt(self) -> None:
        """
        On a terminal it shows how it goes, until Ctrl-C, which is no error.
        """
        with open("out", "wb") as out:
            shown = _onTerminal(
                ("simulate", "--wire", "esp8266", self.target), out.fileno(), b"1 sent"
            )
        self.assertTrue(shown.endswith(b" refused\x1b[K\r\n"), shown)
        self.assertNotIn(b"Traceback", shown)
        self.assertRegex(
            Path("out").read_text(), r"^10 devices sent \d messages with \d+ readings; 0 conn"
        )
        (packet,) = esp8266.PacketParser().feed(self.received())
        assert isinstance(packet, esp8266.Packet)
        self.assertEqual((packet.wake, packet.device), (10, 1))

    def fails(self, *arguments: str) -> str:
        """
        Run a simulation that must fail with one line on stderr.

        @return: the line.
        """
        process = _start("simulate", *arguments)
        out, err = process.communicate(timeout=20)
        self.assertEqual((process.returncode, out), (1, b""))
        self.assertEqual(err.count(b"\n"), 1, err)
        self.assertTrue(err.startswith(b"Error: "), err)
        return err.decode().removeprefix("Error: ").rstrip("\n")

    def serve(self, answer: Callable[[socket.socket], object]) -> None:
        """
        Deal with the first connection in some way, and then close it.
        """

        def run() -> None:
            connection, _address = self.port.accept()
            with connection:
                answer(connection)

        thread = Thread(target=run, daemon=True)
        self.addCleanup(thread.join)
        thread.start()

    def test_closed(self) -> None:
        """
        Where each connection is closed at once, nothing was taken, and it ends with an error.
        """
        self.serve(lambda one: one.recv(1))
        line = self.fails("--devices=1", "--seconds=0.5", self.target)
        self.assertEqual(
            line,
            f"nothing was taken by {self.target}: 1 devices sent 21 messages with 21 readings; 0"
            " connections failed; 21 messages lost with 1 connection that the other side closed at"
            " once (it was cut)",
        )

    def test_denied(self) -> None:
        """
        Where everything is refused, it ends with an error that has the reason.
        """
        self.serve(
            lambda one: one.recv(99) and one.send(b"error no\x1b[2J key\r\n") and one.recv(9)
        )
        line = self.fails("--wire=lines", "--devices=1", "--seconds=0.7", self.target)
        self.assertIn("; 1 message refused (no\\x1b[2J key)", line)

    def test_secure(self) -> None:
        """
        Where no TLS is spoken, it ends with an error that says so.
        """
        self.serve(lambda one: one.recv(999) and one.send(b"220 mail server ready\r\n"))
        target = self.target.replace("tcp", "ssl")
        line = self.fails("--devices=1", "--seconds=0.7", target)
        self.assertTrue(
            line.startswith(f"nothing could be sent to {target}: the handshake failed: TLS: "), line
        )

    def test_silent(self) -> None:
        """
        Where a handshake is never answered, it ends with an error that says so.
        """
        line = self.fails("--wire=websocket", "--devices=1", "--seconds=1.5", self.target)
        why = "there was no answer to the handshake"
        self.assertEqual(line, f"nothing could be sent to {self.target}: {why}")

    def test_nobody(self) -> None:
        """
        Where nobody listens all the time, it ends with an error.
        """
        self.port.close()
        process = _start("simulate", "--seconds=0.2", self.target)
        out, err = process.communicate(timeout=20)
        self.assertEqual((process.returncode, out), (1, b""))
        self.assertTrue(
            err.startswith(f"Error: nothing could be sent to {self.target}: Connection".encode())
        )
        self.assertEqual(err.count(b"\n"), 1)


class SimulateArgumentTests(ToolboxTests):
    """
    What C{sensord simulate} refuses.
    """

    def test_bad(self) -> None:
        """
        Whatever cannot be simulated is said in one line, before anything begins.
        """
        for arguments, line in (
            (("nonsense",), '"nonsense" is no endpoint ('),
            (("",), '"" is no endpoint ('),
            (("--devices", "0"), "0 devices: for poe it can be 1 to 60000"),
            (("--wire", "esp8266", "--devices", "300"), "300 devices: for esp8266 it"),
            (("--rate", "-1"), "-1.0 messages per second: it can be"),
            (("--seconds", "0"), "--seconds: 0.0 is no time to run"),
            (("--seconds", "nan"), "--seconds: nan is no time to run"),
            (("--key", "k" * 32), "a key is for lines, not for poe"),
            (("--wire", "lines", "--key", "k"), "a key is 32 printable"),
            (("--token", "t"), "a token is for websocket and http, not for poe"),
        ):
            self.assertTrue(self.fail_("simulate", *arguments).startswith(line), line)

    def test_wire(self) -> None:
        """
        A wire format that has no pretend devices is a mistake in the command.
        """
        result = self.run_("simulate", "--wire", "mqtt", code=2)
        self.assertIn("'mqtt' is not one of 'poe', 'esp8266'", result.stderr)


class TextTests(SynchronousTestCase):
    """
    Times as text.
    """

    def test_iso(self) -> None:
        """
        A time is written with all its microseconds; one beyond the calendar stays a number.
        """
        self.assertEqual(iso(0), "1970-01-01T00:00:00.000000Z")
        self.assertEqual(iso(-1), "1969-12-31T23:59:59.999999Z")
        self.assertEqual(iso(_NOON + 1), "2025-11-20T18:00:00.000001Z")
        self.assertEqual(iso(2**63 - 1), "9223372036854775807")

    def test_moment(self) -> None:
        """
        What is written is read again, to the microsecond, and spans count from now.
        """
        for number in (0, -1, _NOON + 1, 4_102_444_799_999_999):
            self.assertEqual(moment(iso(number), 0), number)
        self.assertEqual(moment("2h", 10_000), 2_800_000_000)
        self.assertIsNone(moment("forever", 10_000))
        local = datetime(2025, 11, 20, 18, tzinfo=UTC).isoformat()
        self.assertEqual(moment(local, 0), _NOON)


def _environ() -> dict[str, str]:
    """
    What a process needs to find the same package.
    """
    root = str(Path(sensord.__file__).parent.parent)
    return {**os.environ, "PYTHONPATH": root, "TERM": "xterm"}


def _start(
    *arguments: str, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE
) -> "subprocess.Popen[bytes]":
    """
    Run a command in a process.
    """
    # Whoever runs the tests in the background may have them ignore Ctrl-C.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from sensord.cli import main; main(prog_name='sensord')"
    )
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, env=_environ(), stdout=stdout, stderr=stderr)


def _onTerminal(arguments: Sequence[str], stdout: int, until: bytes | None = None) -> bytes:
    """
    Run a command in a process whose stderr is a terminal.

    @param until: what is waited for before Ctrl-C; L{None} lets it end by itself.
    @return: what it showed there.
    """
    here, there = pty.openpty()
    process = _start(*arguments, stdout=stdout, stderr=there)
    os.close(there)
    shown = b""
    while data := _read(here):
        shown += data
        if until is not None and re.search(until, shown):
            process.send_signal(signal.SIGINT)
            until = None
    os.close(here)
    process.wait()
    return shown


def _read(terminal: int) -> bytes:
    """
    The next output; empty at the end, which Linux reports as an error.
    """
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""

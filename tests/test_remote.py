"""
Tests for L{sensord.remote}.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner, Result
from msgspec import json
from twisted.trial.unittest import SynchronousTestCase

from sensord.cli import main
from sensord.control.client import Busy, NoDaemon, Refused
from sensord.remote import encoded, follow, readable, values
from tests.control.support import NOW
from tests.control.test_client import Peer, answer
from tests.store.support import folder

_DELIVERY: dict[str, Any] = {
    "id": 7,
    "time": NOW,
    "who": "pi",
    "address": "poe/192.168.1.7",
    "variable": "LED",
    "value": 1.0,
    "state": "sent",
    "changed": NOW,
    "expires": None,
    "why": "",
    "parts": [],
}

_DEVICE: dict[str, Any] = {
    "address": "poe/192.168.1.7",
    "name": "workshop",
    "state": "lost",
    "heard": None,
    "values": [
        {"name": "oven", "value": 21.50000001, "unit": "°C"},
        {"name": "door", "value": True, "unit": ""},
    ],
}

_LISTENER: dict[str, Any] = {
    "name": "poe",
    "wire": "poe",
    "where": "tcp 127.0.0.1:1234",
    "state": "open",
    "connected": 2,
    "refused": None,
    "received": 9,
    "committed": 6,
    "duplicate": 0,
    "rejected": 2,
    "quarantined": 1,
}

_READING: dict[str, Any] = {
    "device": "workshop",
    "name": "oven",
    "value": 21.5,
    "time": NOW,
    "clock": "arrival",
}


class RemoteTestCase(SynchronousTestCase):
    """
    The toolbox in a folder of its own, with somebody who answers.
    """

    def setUp(self) -> None:
        """
        Go there.
        """
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder(self))

    def answers(self, *bodies: object, path: str = "sensord.sock") -> Peer:
        """
        Somebody answers.
        """
        raw = [body if isinstance(body, bytes) else answer(body) for body in bodies]
        return Peer(self, Path(path), *raw)

    def run_(self, *arguments: str, code: int = 0) -> Result:
        """
        Run a command, which must end with an exit code and no traceback.
        """
        result = CliRunner().invoke(main, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.assertEqual(result.exit_code, code, result.output)
        return result

    def lines(self, *arguments: str) -> list[str]:
        """
        Run a command that succeeds.

        @return: the lines of its output.
        """
        return self.run_(*arguments).stdout.splitlines()


class ChoiceTests(RemoteTestCase):
    """
    Which daemon is asked.
    """

    def asked(self, path: str, *options: str) -> None:
        """
        The daemon at a path must be the one that is asked.
        """
        self.answers([], path=path)
        result = self.run_(*options, "devices")
        self.assertEqual((result.stdout, result.stderr), ("", "there are no devices yet\n"))

    def test_order(self) -> None:
        """
        The socket is the named one, else that beside the named database, else that of the
        configuration, else the one in this folder.
        """
        self.asked("sensord.sock")
        Path("data").mkdir()
        Path("sensord.toml").write_text('[store]\npath = "data/a.sqlite"\n')
        self.asked("data/sensord.sock")
        Path("else").mkdir()
        Path("else/b.toml").write_text('[control]\nsocket = "b.sock"\n')
        self.asked("else/b.sock", "--config", "else/b.toml")
        self.asked("else/sensord.sock", "--database", "else/b.sqlite")
        self.asked("c.sock", "--config", "else/b.toml", "--socket", "c.sock")

    def test_none(self) -> None:
        """
        A daemon that is to have no socket cannot be asked.
        """
        Path("sensord.toml").write_text('[control]\nsocket = ""\n')
        line = 'Error: the configuration says [control] socket = ""; use --socket\n'
        self.assertEqual(self.run_("devices", code=1).stderr, line)

    def test_nobody(self) -> None:
        """
        Where no daemon runs, one line says so.
        """
        for command in (
            ["devices"],
            ["send", "a", "b", "1"],
            ["commands"],
            ["listeners"],
            ["tail"],
        ):
            result = self.run_(*command, code=1)
            self.assertEqual(result.stdout, "")
            self.assertTrue(
                result.stderr.startswith(
                    "Error: no daemon answers at ./sensord.sock: is it running?"
                ),
                result.stderr,
            )
            self.assertEqual(result.stderr.count("\n"), 1)


class DevicesTests(RemoteTestCase):
    """
    C{sensord devices}.
    """

    def test_table(self) -> None:
        """
        Each device is a line. One that was never heard is not called lost.
        """
        other = {**_DEVICE, "address": "poe/2", "name": "poe/2", "values": [], "heard": 10**15}
        self.answers([_DEVICE, other])
        first, second, third = self.lines("devices")
        self.assertEqual(first.split(), ["name", "address", "state", "heard", "values"])
        self.assertEqual(
            second, "workshop  poe/192.168.1.7  unheard  never       oven 21.5 °C, door true"
        )
        self.assertRegex(third, r"^poe/2     poe/2            lost     \d+ d ago$")

    def test_values(self) -> None:
        """
        Values are shortened to the room that there is, and harm no terminal.
        """
        many = [{"name": f"v{number}", "value": number, "unit": "V"} for number in range(30)]
        text = values({"values": many})
        self.assertEqual((len(text), text[:10], text[-1]), (60, "v0 0 V, v1", "…"))
        text = values({"values": [{"name": "note", "value": "\x1b[2J", "unit": ""}]})
        self.assertEqual(text, "note \\x1b[2J")

    def test_json(self) -> None:
        """
        All of it is there for programs.
        """
        self.answers([_DEVICE])
        self.assertEqual(json.decode(self.run_("devices", "--json").stdout), [_DEVICE])

    def test_forget(self) -> None:
        """
        One that is gone is forgotten by its name.
        """
        peer = self.answers({"device": "workshop", "addresses": ["poe/192.168.1.7"]})
        said = self.run_("devices", "forget", "workshop").stdout
        self.assertEqual(said, "workshop is forgotten; its readings stay\n")
        self.assertEqual(peer.asked[0].split()[1], b"/api/v1/devices/forget")
        said = self.run_("devices", "forget", code=2).stderr
        self.assertIn("which device is to be forgotten?", said)


class SendTests(RemoteTestCase):
    """
    C{sensord send}.
    """

    def test_sent(self) -> None:
        """
        What became of a command is printed. A value may be negative.
        """
        peer = self.answers(_DELIVERY)
        lines = self.lines("send", "workshop", "LED", "-1.5")
        self.assertEqual(lines, ["poe/192.168.1.7: LED = 1: sent"])
        [request] = peer.asked
        body = json.decode(request.partition(b"\r\n\r\n")[2])
        self.assertEqual(body, {"address": "workshop", "variable": "LED", "value": -1.5})

    def test_pending(self) -> None:
        """
        A command that waits says until when.
        """
        pending = {**_DELIVERY, "state": "pending", "expires": NOW}
        peer = self.answers(pending, [{**_DEVICE, "heard": NOW}])
        said = "poe/192.168.1.7: LED = 1: pending until 2026-11-20T17:10:50.000000Z"
        self.assertEqual(self.lines("send", "workshop", "LED", "1"), [said])
        self.assertTrue(peer.asked[1].startswith(b"GET /api/v1/devices "))

    def test_unheard(self) -> None:
        """
        A command that waits for a device that was never heard says so, whether the device is
        described or not.
        """
        pending = {**_DELIVERY, "state": "pending", "expires": NOW}
        self.answers(pending, [_DEVICE], pending, [], {**pending, "expires": None}, [_DEVICE])
        for name, end in (
            ("workshop", "until 2026-11-20T17:10:50.000000Z"),
            ("poe/192.168.1.7", "until 2026-11-20T17:10:50.000000Z"),
            ("workshop", "for ever"),
        ):
            said = f"poe/192.168.1.7: LED = 1: pending: {name} was never heard; it waits {end}"
            self.assertEqual(self.lines("send", "workshop", "LED", "1"), [said])

    def test_unasked(self) -> None:
        """
        Where it cannot be told who was heard, the command is pending all the same.
        """
        pending = {**_DELIVERY, "state": "pending", "expires": NOW}
        self.answers(pending, answer({"error": "no"}, b"503 Service Unavailable"))
        said = "poe/192.168.1.7: LED = 1: pending until 2026-11-20T17:10:50.000000Z"
        self.assertEqual(self.lines("send", "workshop", "LED", "1"), [said])

    def test_refused(self) -> None:
        """
        A command that is refused says why, and its exit code is 1.
        """
        why = "takes no commands"
        self.answers(answer({**_DELIVERY, "state": "refused", "why": why}, b"409 Conflict"))
        result = self.run_("send", "workshop", "LED", "1", code=1)
        self.assertEqual(result.stdout, "")
        self.assertEqual(result.stderr, "poe/192.168.1.7: LED = 1: refused: takes no commands\n")

    def test_all(self) -> None:
        """
        A command to all has a line for each device.
        """
        parts = [{**_DELIVERY, "address": f"pages/{id}"} for id in (1, 2)]
        self.answers({**_DELIVERY, "address": "all", "parts": parts})
        lines = self.lines("send", "all", "LED", "1")
        self.assertEqual(lines, ["pages/1: LED = 1: sent", "pages/2: LED = 1: sent"])

    def test_senseless(self) -> None:
        """
        What is no number is not sent at all, and what the daemon does not understand is an error.
        """
        self.assertIn("'on' is not a valid float", self.run_("send", "a", "b", "on", code=2).stderr)
        self.assertEqual(
            self.run_("send", "a", "b", "nan", code=1).stderr, "Error: nan is no value\n"
        )
        self.answers(answer({"error": "it is too much"}, b"400 Bad Request"))
        self.assertEqual(self.run_("send", "a", "b", "1", code=1).stderr, "Error: it is too much\n")


class ListTests(RemoteTestCase):
    """
    C{sensord commands} and C{sensord listeners}.
    """

    def test_commands(self) -> None:
        """
        Each command is a line.
        """
        peer = self.answers([_DELIVERY], [], [_DELIVERY])
        head, line = self.lines("commands", "--limit", "5")
        columns = ["id", "time", "who", "address", "variable", "value", "state", "why"]
        self.assertEqual(head.split(), columns)
        said = " 7  2026-11-20T17:10:50.000000Z  pi   poe/192.168.1.7  LED       1.0    sent"
        self.assertEqual(line, said)
        self.assertIn(b"/commands?limit=5 ", peer.asked[0])
        self.assertEqual(self.run_("commands").stderr, "nothing was sent yet\n")
        self.assertEqual(json.decode(self.run_("commands", "--json").stdout), [_DELIVERY])

    def test_listeners(self) -> None:
        """
        Each listener is a line.
        """
        self.answers([_LISTENER], [_LISTENER])
        head, line = self.lines("listeners")
        self.assertEqual(
            head.split()[:6], ["name", "wire", "where", "state", "connected", "refused"]
        )
        self.assertEqual(line.split(), ["poe", "poe", "tcp", "127.0.0.1:1234", "open", *"2-96021"])
        self.assertEqual(json.decode(self.run_("listeners", "--json").stdout), [_LISTENER])

    def test_sinks(self) -> None:
        """
        Each sink is a line; one is paused by its name, and shown as it is then.
        """
        sink = {
            "name": "influx",
            "kind": "influxdb",
            "state": "retrying",
            "error": "connection refused",
            "committed": 12,
            "delivered": 7,
            "dead": 2,
            "expired": 0,
            "backlog": 3,
            "oldest": NOW - 90_000_000,
        }
        peer = self.answers([sink], {**sink, "state": "paused", "oldest": None})
        head, line = self.lines("sinks")
        self.assertEqual(head.split()[:3], ["name", "kind", "state"])
        self.assertIn("connection refused", line)
        self.assertIn("paused", self.lines("sinks", "pause", "influx")[1])
        self.assertEqual(peer.asked[1].split()[1], b"/api/v1/sinks/influx/pause")
        self.assertIn("which sink is to pause?", self.run_("sinks", "pause", code=2).stderr)

    def test_forget(self) -> None:
        """
        A sink that is gone is forgotten after a question, or without.
        """
        figures = dict.fromkeys(("committed", "delivered", "dead", "expired", "backlog"), 3)
        gone = {"name": "old", "kind": "", "state": "gone", "error": "", "oldest": None, **figures}
        peer = self.answers([gone], [gone], gone)
        self.assertEqual(self.lines("sinks")[1].split()[:3], ["old", "-", "gone"])
        runner = CliRunner()
        result = runner.invoke(main, ["sinks", "forget", "old"], input="n\n")
        self.assertEqual(result.exit_code, 1)
        self.assertIn("3 readings that wait for it and 3 dead letters", result.stderr)
        self.assertEqual(len(peer.asked), 2)
        self.run_("sinks", "forget", "old", "--yes")
        self.assertEqual(peer.asked[2].split()[1], b"/api/v1/sinks/old/forget")
        self.assertIn("which sink is to be forgotten?", self.run_("sinks", "forget", code=2).stderr)

    def test_switch(self) -> None:
        """
        A listener is started and stopped by its name, and shown as it is then.
        """
        peer = self.answers(
            {**_LISTENER, "state": "stopped"}, answer({"error": "port taken"}, b"409 Conflict")
        )
        self.assertIn("stopped", self.lines("listeners", "stop", "poe")[1])
        self.assertEqual(
            self.run_("listeners", "start", "poe", code=1).stderr, "Error: port taken\n"
        )
        self.assertEqual(
            [request.split()[1] for request in peer.asked],
            [b"/api/v1/listeners/poe/stop", b"/api/v1/listeners/poe/start"],
        )
        self.assertIn("which listener is to stop?", self.run_("listeners", "stop", code=2).stderr)
        self.assertIn("'stpo' is not one of", self.run_("listeners", "stpo", "poe", code=2).stderr)


class Enough(Exception):
    """
    Nothing more is to be waited for.
    """


class TailTests(RemoteTestCase):
    """
    C{sensord tail}.
    """

    def follow(self, *turns: object) -> tuple[Result, list[float]]:
        """
        Follow a daemon.

        @param turns: the events of each attempt, or what it raises.
        @return: what came of it, and how long was waited before each attempt but the first.
        """
        left, waited = list(turns), list[float]()

        def events() -> Iterator[tuple[str, Any]]:
            turn = left.pop(0)
            if isinstance(turn, Exception):
                raise turn
            assert isinstance(turn, list)
            yield from turn

        def wait(seconds: float) -> None:
            waited.append(seconds)
            if not left:
                raise Enough

        @click.command()
        def run() -> None:
            follow(events, lambda one: f"{one}", wait)

        return CliRunner().invoke(run), waited

    def test_restart(self) -> None:
        """
        When the daemon goes, it is looked for each second, and found again; stderr says so once.
        """
        gone = NoDaemon("nobody")
        begun = ("", None)
        result, waited = self.follow(
            [begun, ("readings", [1, 2])],
            gone,
            gone,
            [begun, ("devices", [0]), ("readings", [3])],
        )
        self.assertEqual(result.stdout, "1\n2\n3\n")
        lost = "the daemon is gone; waiting for it\n"
        self.assertEqual(result.stderr, f"{lost}the daemon is back\n{lost}")
        self.assertEqual(waited, [1.0] * 4)
        self.assertIsInstance(result.exception, Enough)

    def test_unable(self) -> None:
        """
        A daemon that is there, but cannot answer just now, is asked again each second; stderr gives
        its reason once.
        """
        begun = ("", None)
        stopping = Refused(503, {"error": "the daemon is stopping"})
        result, waited = self.follow(
            [begun, ("readings", [1])],
            stopping,
            stopping,
            Busy("too many"),
            [begun, ("readings", [2])],
            Refused(400, {"error": "nonsense"}),
        )
        self.assertEqual(result.stdout, "1\n2\n")
        lost = "the daemon is gone; waiting for it\n"
        self.assertEqual(
            result.stderr,
            f"{lost}the daemon is stopping; waiting for it\ntoo many; waiting for it\n"
            f"the daemon is back\n{lost}Error: nonsense\n",
        )
        self.assertEqual((result.exit_code, waited), (1, [1.0] * 5))

    def test_never(self) -> None:
        """
        A daemon that was not there at first is not waited for.
        """
        result, waited = self.follow(NoDaemon("nobody"))
        self.assertEqual((result.exit_code, result.stderr, waited), (1, "Error: nobody\n", []))

    def test_lines(self) -> None:
        """
        Each reading is a line, for people one that harms no terminal, and for programs one of JSON.
        """
        self.assertEqual(readable(_READING), "2026-11-20T17:10:50.000000Z  workshop  oven  21.5")
        note = {**_READING, "value": "a\x1b[2J\nb"}
        self.assertTrue(readable(note).endswith("  a\\x1b[2J\\nb"))
        self.assertTrue(readable({**_READING, "value": True}).endswith("  true"))
        self.assertEqual(json.decode(encoded(note)), note)
        self.assertNotIn("\n", encoded(note))

    def test_refused(self) -> None:
        """
        What the daemon refuses at first is not tried again, and it is asked for what is wanted.
        """
        peer = self.answers(answer({"error": "it is enough"}, b"503 Service Unavailable"))
        result = self.run_("tail", "--device", "w*", "--name", "o?en", code=1)
        self.assertEqual((result.stdout, result.stderr), ("", "Error: it is enough\n"))
        self.assertIn(b"GET /api/v1/events?device=w%2A&name=o%3Fen ", peer.asked[0])

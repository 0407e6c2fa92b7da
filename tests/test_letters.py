"""
Tests for L{sensord.letters}.
"""

from collections.abc import Iterator
from typing import Any

import click
from click.testing import CliRunner, Result
from msgspec import json

from sensord.letters import watch
from tests.control.support import NOW
from tests.control.test_client import answer, stream
from tests.test_remote import RemoteTestCase

_LETTER: dict[str, Any] = {
    "id": 7,
    "sink": "influx",
    "reading": 12,
    "device": "workshop",
    "name": "oven",
    "value": 21.5,
    "unit": "°C",
    "time": NOW,
    "why": "field type conflict",
    "died": NOW + 1_000_000,
    "retry": False,
}

_PROGRESS: dict[str, Any] = {
    "state": "running",
    "looked": 10,
    "total": 40,
    "sent": 8,
    "refused": 0,
    "why": "",
    "error": "",
}

_DONE = {**_PROGRESS, "state": "done", "looked": 40, "sent": 30}


def event(progress: object) -> bytes:
    """
    An event of a replay.
    """
    return b"event: progress\ndata: %s\n\n" % json.encode(progress)


class LettersTests(RemoteTestCase):
    """
    C{sensord dead-letters}.
    """

    def test_list(self) -> None:
        """
        Each is a line, which harms no terminal, and says so if it waits to be tried again.
        """
        other = {**_LETTER, "id": 6, "value": "\x1b[2J", "unit": "", "retry": True}
        peer = self.answers([_LETTER, other])
        head, first, second = self.lines("dead-letters", "list", "--sink", "influx", "--limit", "5")
        columns = ["id", "sink", "device", "name", "value", "time", "died", "why"]
        self.assertEqual(head.split(), columns)
        self.assertEqual(
            [*first.split(None, 4)[:4], first.split("  ")[-1]],
            ["7", "influx", "workshop", "oven", "field type conflict"],
        )
        self.assertIn("21.5 °C  2026-11-20T17:10:50.000000Z  2026-11-20T17:10:51.000000Z", first)
        self.assertIn("\\x1b[2J", second)
        self.assertTrue(second.endswith("conflict (waits to be tried again)"))
        self.assertIn(b"/dead-letters?sink=influx&limit=5 ", peer.asked[0])

    def test_json(self) -> None:
        """
        All of it is there for programs; what is cut off is said, and that there is nothing.
        """
        self.answers([_LETTER], [], [_LETTER])
        self.assertEqual(json.decode(self.run_("dead-letters", "list", "--json").stdout), [_LETTER])
        self.assertEqual(self.run_("dead-letters", "list").stderr, "there are no dead letters\n")
        said = self.run_("dead-letters", "list", "--limit", "1").stderr
        self.assertEqual(said, "there may be more: these are the newest 1\n")

    def test_retry(self) -> None:
        """
        Those that are chosen are tried again.
        """
        peer = self.answers({"influx": 2}, {}, {"influx": 2})
        said = self.lines("dead-letters", "retry", "7", "8", "--sink", "influx")
        self.assertEqual(said, ["influx: 2 dead letters are tried again"])
        body = json.decode(peer.asked[0].partition(b"\r\n\r\n")[2])
        self.assertEqual(body, {"ids": [7, 8], "sink": "influx", "all": False})
        self.assertIn(b"/dead-letters/retry ", peer.asked[0])
        result = self.run_("dead-letters", "retry", "--all")
        self.assertEqual(result.stderr, "there are no such dead letters\n")
        result = self.run_("dead-letters", "retry", "--all", "--json")
        self.assertEqual(json.decode(result.stdout), {"influx": 2})

    def test_drop(self) -> None:
        """
        Or dropped; what the daemon does not do is an error.
        """
        peer = self.answers({"influx": 1}, answer({"error": "no such"}, b"404 Not Found"))
        said = self.lines("dead-letters", "drop", "--sink", "influx")
        self.assertEqual(said, ["influx: 1 dead letters are dropped"])
        self.assertIn(b"/dead-letters/drop ", peer.asked[0])
        self.assertEqual(self.run_("dead-letters", "drop", "9", code=1).stderr, "Error: no such\n")

    def test_senseless(self) -> None:
        """
        Nothing is chosen by saying nothing, nor by saying two things.
        """
        for action, done in (("retry", "tried again"), ("drop", "dropped")):
            said = self.run_("dead-letters", action, code=2).stderr
            self.assertIn(f"which are to be {done}? Give IDs, --sink or --all", said)
            said = self.run_("dead-letters", action, "7", "--all", code=2).stderr
            self.assertIn("either IDs or --all", said)


class ReplayTests(RemoteTestCase):
    """
    C{sensord replay}.
    """

    def test_done(self) -> None:
        """
        How many readings were sent again is printed, and what was refused.
        """
        last = {**_DONE, "refused": 2, "why": "too\x1bold"}
        peer = self.answers(stream(b":\n\n", event(_PROGRESS), event(last)))
        result = self.run_(
            "replay", "influx", "--since", "2026-11-20T17:10:50", "--device", "workshop"
        )
        self.assertEqual(result.stdout, "30 readings were sent to influx again\n")
        self.assertEqual(result.stderr, "2 were refused, the last of them: too\\x1bold\n")
        [request] = peer.asked
        self.assertEqual(request.split()[:2], [b"POST", b"/api/v1/sinks/influx/replay"])
        body = json.decode(request.partition(b"\r\n\r\n")[2])
        self.assertEqual(body, {"start": str(NOW), "end": "forever", "device": "workshop"})

    def test_spans(self) -> None:
        """
        Times may be spans before now.
        """
        peer = self.answers(stream(event(_DONE)))
        outcome = self.run_("replay", "influx", "--since", "forever", "--until", "2d", "--json")
        self.assertEqual(json.decode(outcome.stdout), _DONE)
        body = json.decode(peer.asked[0].partition(b"\r\n\r\n")[2])
        self.assertEqual((body["start"], len(body["end"])), ("forever", 16))

    def test_stopped(self) -> None:
        """
        One that was stopped is an error, with the reason; so is one whose daemon is gone.
        """
        last = {**_PROGRESS, "state": "stopped", "error": "the daemon is stopping"}
        self.answers(
            stream(event(last)), stream(event(_PROGRESS)), stream(event(_PROGRESS), end=b"")
        )
        result = self.run_("replay", "influx", "--since", "2d", code=1)
        self.assertEqual(result.stdout, "8 readings were sent to influx again\n")
        self.assertEqual(result.stderr, "Error: it was stopped: the daemon is stopping\n")
        result = self.run_("replay", "influx", "--since", "2d", code=1)
        self.assertEqual(result.stderr, "Error: the daemon is gone, and the replay with it\n")
        result = self.run_("replay", "influx", "--since", "2d", code=1)
        self.assertEqual(result.stderr, "Error: the daemon is gone, and the replay with it\n")

    def test_senseless(self) -> None:
        """
        What is no time is not sent at all, and what the daemon does not do is an error.
        """
        said = self.run_("replay", "influx", "--since", "soon", code=1).stderr
        self.assertIn('--since: "soon" is no time', said)
        said = self.run_("replay", "influx", "--since", "2d", "--until", "x", code=1).stderr
        self.assertIn('--until: "x" is no time', said)
        self.assertIn("--since", self.run_("replay", "influx", code=2).stderr)
        self.answers(answer({"error": "influx is held"}, b"409 Conflict"))
        said = self.run_("replay", "influx", "--since", "2d", code=1).stderr
        self.assertEqual(said, "Error: influx is held\n")

    def watch(self, *turns: object, shown: bool = False) -> Result:
        """
        Watch a replay.

        @param turns: what is told of it; an exception is raised.
        """

        def events() -> Iterator[tuple[str, Any]]:
            yield "", None
            for turn in turns:
                if isinstance(turn, BaseException):
                    raise turn
                yield "progress", turn

        @click.command()
        def run() -> None:
            click.echo(watch(events(), shown)["state"])

        return CliRunner().invoke(run)

    def test_waits(self) -> None:
        """
        What it waits for is said once, where there is no bar to say it beside.
        """
        waits = {**_PROGRESS, "state": "waiting", "error": "connection\x1brefused"}
        result = self.watch(_PROGRESS, waits, waits, _PROGRESS, waits, _DONE)
        self.assertEqual((result.stdout, result.stderr), ("done\n", "connection\\x1brefused\n" * 2))

    def test_interrupted(self) -> None:
        """
        Ctrl-C ends it, and says how far it was.
        """
        result = self.watch(_PROGRESS, KeyboardInterrupt())
        self.assertEqual(
            result.stderr.strip().splitlines()[0], "stopped; 8 readings were sent again"
        )
        self.assertEqual((result.exit_code, result.stdout), (1, ""))

    def test_bar(self) -> None:
        """
        A bar needs no terminal to go to its end.
        """
        nothing = {**_PROGRESS, "looked": 0, "total": 0}
        self.assertEqual(self.watch(nothing, _PROGRESS, _DONE, shown=True).stdout, "done\n")

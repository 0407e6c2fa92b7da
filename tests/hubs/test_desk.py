"""
Tests for L{sensord.hubs.desk}.
"""

from typing import Any

from hypothesis import given, strategies
from msgspec import json
from twisted.logger import capturedLogs, formatEvent

from sensord.hubs.desk import COMMANDS, MAX_REQUEST, STATUS
from sensord.hubs.manager import Manager
from tests.hubs.support import ManagerTestCase
from tests.mqtt import PUBACK, PUBLISH, puback
from tests.support import PROPERTY


class DeskTestCase(ManagerTestCase):
    """
    A manager that a broker has taken.
    """

    def greeted(self) -> Manager:
        """
        One that has heard and said nothing yet.
        """
        manager = self.launch()
        self.greet()
        self.heard()
        return manager

    def long(self, payload: bytes) -> bytes:
        """
        A message of any length to the manager.
        """
        topic = COMMANDS.encode()
        body = len(topic).to_bytes(2) + topic + (1).to_bytes(2) + payload
        length, rest = b"", len(body)
        while rest or not length:
            rest, low = divmod(rest, 128)
            length += bytes([low | (128 if rest else 0)])
        return b"\x32" + length + body


class RequestTests(DeskTestCase):
    """
    What it is asked.
    """

    def test_start(self) -> None:
        """
        A hub is started, and the answer says how it is.
        """
        self.greeted()
        self.ask({"cmd": "start", "hub": "h1", "group": "acme", "id": "r1"})
        self.assertEqual(
            self.replies(),
            [
                {
                    "id": "r1",
                    "ok": True,
                    "status": {
                        "hub": "h1",
                        "group": "acme",
                        "state": "starting",
                        "pid": 1000,
                        "since": "2026-11-20T17:10:50.000000Z",
                        "restarts": 0,
                        "why": "",
                    },
                }
            ],
        )
        self.assertEqual(self.processes.running, ["h1.toml"])

    def test_rest(self) -> None:
        """
        Hubs are stopped, restarted, listed, asked about and forgotten.
        """
        self.greeted()
        for hub in ("h1", "h2"):
            self.ask({"cmd": "start", "hub": hub, "group": "acme"})
        self.replies()
        self.ask({"cmd": "restart", "hub": "h1", "id": 1})
        self.ask({"cmd": "stop", "hub": "h2", "id": 2.5})
        self.ask({"cmd": "status", "hub": "h2"})
        self.ask({"cmd": "list", "id": 4, "more": "is ignored"})
        self.ask({"cmd": "forget", "hub": "h2", "id": 5})
        restarted, stopped, asked, listed, forgotten = self.replies()
        self.assertEqual((restarted["id"], restarted["status"]["pid"]), (1, 1002))
        self.assertEqual((stopped["id"], stopped["status"]["state"]), (2.5, "stopped"))
        self.assertEqual((asked["id"], asked["status"]["state"]), (None, "stopped"))
        self.assertEqual([one["hub"] for one in listed["hubs"]], ["h1", "h2"])
        self.assertEqual(forgotten, {"id": 5, "ok": True})

    def test_confirmed(self) -> None:
        """
        A request is confirmed to the broker when it is dealt with, and not before.
        """
        self.greeted()
        self.ask({"cmd": "start", "hub": "h1", "group": "acme"})
        self.clock.advance(0)
        self.endpoint.transport.answer()
        self.processes.last.stubborn = True
        self.ask({"cmd": "stop", "hub": "h1"}, mid=2)
        self.clock.advance(0)
        kinds = [one.kind for one in self.endpoint.transport.answer()]
        self.assertNotIn(PUBACK, kinds)
        self.processes.last.end()
        self.clock.advance(0)
        acks = [one.mid for one in self.endpoint.transport.answer() if one.kind == PUBACK]
        self.assertEqual(acks, [2])

    def test_retained(self) -> None:
        """
        What was said before we listened is not done: it would be done again at each start.
        """
        self.greeted()
        with capturedLogs() as captured:
            for _ in range(5):
                self.ask({"cmd": "start", "hub": "h1", "group": "acme"}, retain=True)
        self.assertEqual((self.replies(), self.processes.all), ([], []))
        lines = [formatEvent(one) for one in captured if one["log_level"].name == "warn"]
        self.assertEqual(lines, ["hubs: a retained message at /hub_manager/cmd is ignored"])

    def test_refused(self) -> None:
        """
        What makes no sense is refused, in one line and under the name of the request.
        """
        self.greeted()
        for payload, why in (
            (b"", "this is no request"),
            (b"start h1", "this is no request"),
            (b"\xff\xfe", "this is no request"),
            (b"[1]", "this is no request: Expected `object`"),
            (b"null", "this is no request"),
            (b'{"hub": "h1"}', "missing required field `cmd`"),
            (b'{"cmd": "explode", "hub": "h1"}', "explode"),
            (b'{"cmd": "start", "hub": 7}', "Expected `str`"),
            (b'{"cmd": "start", "id": {}}', "this is no request"),
            (b"[" * 100, "this is no request"),
            (b'{"cmd": "a\\nb"}', "this is no request"),
        ):
            self.ask(payload)
            (reply,) = self.replies()
            self.assertEqual((reply["id"], reply["ok"]), (None, False))
            self.assertIn(why, reply["error"])
            self.assertNotIn("\n", reply["error"])
        self.ask({"cmd": "start", "hub": "../h1", "group": "acme", "id": 3})
        (reply,) = self.replies()
        self.assertEqual(reply["id"], 3)
        self.assertIn("'../h1' is no id of a hub", reply["error"])
        self.assertEqual(self.processes.all, [])

    def test_names(self) -> None:
        """
        A request that is called by a whole book is answered without its name.
        """
        self.greeted()
        for name in (b'"' + b"x" * 1000 + b'"', b"9" * 300, b"9" * 60000, b"[" * 50000):
            self.endpoint.transport.say(self.long(b'{"cmd": "list", "id": ' + name + b"}"))
            (reply,) = self.replies()
            self.assertIsNone(reply["id"])

    def test_long(self) -> None:
        """
        What is longer than 64 KB is refused, be it a little or a lot.
        """
        self.greeted()
        for length in (MAX_REQUEST + 1, 2**20):
            self.endpoint.transport.say(self.long(b" " * length))
            (reply,) = self.replies()
            self.assertEqual(reply["error"], "a request has at most 65536 bytes")
        self.endpoint.transport.say(self.long(b'{"cmd": "list"}'.ljust(MAX_REQUEST)))
        self.assertEqual(self.replies(), [{"id": None, "ok": True, "hubs": []}])

    def test_many(self) -> None:
        """
        Only so many requests wait at a time.
        """
        self.greeted()
        self.held = []
        for number in range(101):
            self.ask({"cmd": "start", "hub": f"h{number}", "group": f"g{number}", "id": number})
        (reply,) = self.replies()
        self.assertEqual((reply["id"], reply["error"]), (100, "too many requests wait"))
        while self.held is not None:
            self.release()
        self.assertTrue(all(one["ok"] for one in self.replies()))

    @PROPERTY
    @given(strategies.binary(max_size=60))
    def test_any(self, payload: bytes) -> None:
        """
        Whatever is said, it is answered, and nothing is logged as a fault of ours.
        """
        if not self.endpoint.transports:
            self.greeted()
        self.ask(payload)
        (reply,) = self.replies()
        self.assertFalse(reply["ok"])
        self.assertEqual(self.flushLoggedErrors(), [])


class StatusTests(DeskTestCase):
    """
    What it tells of hubs.
    """

    def test_changes(self) -> None:
        """
        Each change is told, and kept by the broker.
        """
        manager = self.greeted()
        self.do(manager, "start", "h1", "acme")
        self.processes.last.started()
        self.processes.last.end(signal=9)
        told = self.told()
        self.assertEqual({hub for hub, _what in told}, {"h1"})
        states = [what["state"] for _hub, what in told]
        self.assertEqual(states, ["starting", "starting", "running", "waiting"])
        self.assertEqual(told[-1][1]["why"], "it was ended by SIGKILL")

    def test_forgotten(self) -> None:
        """
        Of a hub that is forgotten the broker keeps nothing.
        """
        manager = self.greeted()
        self.do(manager, "start", "h1", "acme")
        self.do(manager, "stop", "h1")
        self.do(manager, "forget", "h1")
        self.assertEqual(self.told()[-1], ("h1", None))

    def test_connections(self) -> None:
        """
        With each connection all is told again; a broker that is away changes nothing for hubs.
        """
        manager = self.greeted()
        for hub in ("h1", "h2"):
            self.do(manager, "start", hub, "acme")
        self.heard()
        self.endpoint.lose()
        self.assertEqual(len(self.processes.running), 2)
        self.processes.last.started()
        self.processes.all[0].started()
        self.clock.pump([0.5] * 4)
        self.greet()
        told = self.told()
        self.assertEqual(told[0], ("hub_manager", {"state": "running"}))
        states = [(hub, what["state"]) for hub, what in told[1:]]
        self.assertEqual(states, [("h1", "running"), ("h2", "running")])

    def test_leave(self) -> None:
        """
        At the end all is told, also that the manager has stopped.
        """
        manager = self.greeted()
        self.do(manager, "start", "h1", "acme")
        self.heard()
        stopped = manager.stopService()
        self.clock.advance(0)
        sent = self.endpoint.transport.take()
        said = [
            (one.topic, json.decode(one.payload)["state"]) for one in sent if one.kind == PUBLISH
        ]
        self.assertEqual(
            said,
            [
                (f"{STATUS}/h1", "stopping"),
                (f"{STATUS}/h1", "stopped"),
                (f"{STATUS}/hub_manager", "stopped"),
            ],
        )
        self.assertNoResult(stopped)
        for one in sent:
            self.endpoint.transport.say(puback(one.mid))
        self.clock.advance(0)
        self.successResultOf(stopped)

    def test_silent(self) -> None:
        """
        A broker that confirms nothing does not keep the manager from ending.
        """
        manager = self.greeted()
        stopped = manager.stopService()
        self.clock.pump([0.5] * 5)
        self.successResultOf(stopped)

    def test_will(self) -> None:
        """
        If its connection breaks, the broker says so.
        """
        self.launch()
        self.clock.advance(0)
        (greeting,) = self.endpoint.transport.take()
        self.assertIn(f"{STATUS}/hub_manager".encode(), greeting.body)
        self.assertIn(b'{"state":"lost"}', greeting.body)

    def test_closed(self) -> None:
        """
        What is asked while it stops stays at the broker.
        """
        manager = self.greeted()
        self.do(manager, "start", "h1", "acme")
        self.processes.last.stubborn = True
        manager.stopService()
        self.heard()
        self.ask({"cmd": "list"}, mid=7)
        self.clock.advance(0)
        kinds: list[Any] = [one.kind for one in self.endpoint.transport.answer()]
        self.assertNotIn(PUBACK, kinds)
        self.processes.last.end()
        self.clock.pump([0.5] * 5)

"""
Tests for L{sensord.control.api} and L{sensord.control.answers}.
"""

from typing import Any
from urllib.parse import quote

from hypothesis import given, strategies
from msgspec import json
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource

from sensord.control.channel import site
from sensord.control.query import MAX_BODY
from sensord.sinks import Transient
from tests.control.support import NOW, ApiTestCase, Device
from tests.store.support import intake, reading
from tests.support import PROPERTY

_HOUR = 3_600_000_000


class DevicesTests(ApiTestCase):
    """
    C{GET /devices}.
    """

    def test_described(self) -> None:
        """
        A device that is described and was never heard is there, and is lost. Numbers stand in
        their order.
        """
        kitchen, workshop = sorted(self.get("devices"), key=lambda one: str(one["name"]))
        self.assertEqual(
            workshop,
            {
                "address": "poe/192.168.1.7",
                "name": "workshop",
                "tags": {"place": "cellar"},
                "wire": "poe",
                "state": "lost",
                "heard": None,
                "received": 0,
                "missed": 0,
                "restarts": 0,
                "rssi": None,
                "interval": None,
                "declared": False,
                "connected": False,
                "values": [],
            },
        )
        self.assertEqual((kitchen["address"], kitchen["tags"]), ("poe/192.168.1.30", {}))

    def test_heard(self) -> None:
        """
        A device that was heard is there, described or not, with what is known of it.
        """
        record = self.presence.record("poe/192.168.1.7")
        record.hear(NOW - 20_000_000)
        record.hear(NOW - 10_000_000, 3)
        record.rssi, record.missed, record.restarts = -65, 2, 1
        self.presence.record("barn/10.0.0.1").hear(NOW)
        self.presence.arrive("barn/10.0.0.1", Device())
        found = {one["address"]: one for one in self.get("devices")}
        self.assertEqual(len(found), 3)
        one = found["poe/192.168.1.7"]
        self.assertEqual((one["heard"], one["interval"]), (NOW - 10_000_000, 10.0))
        self.assertEqual((one["received"], one["missed"], one["restarts"]), (4, 2, 1))
        self.assertEqual((one["state"], one["rssi"], one["connected"]), ("awake", -65, False))
        one = found["barn/10.0.0.1"]
        self.assertEqual((one["name"], one["wire"]), ("barn/10.0.0.1", "poe"))
        self.assertEqual((one["state"], one["connected"]), ("awake", True))

    def test_values(self) -> None:
        """
        Each device has its newest values.
        """
        self.keep(("workshop", "oven", 20.5, 9), ("workshop", "oven", 21.5, 1))
        self.keep(("workshop", "door", True, 5), ("attic", "note", "dusty", 5))
        [values] = [one["values"] for one in self.get("devices") if one["name"] == "workshop"]
        self.assertEqual(
            values,
            [
                {
                    "name": "door",
                    "value": True,
                    "unit": "",
                    "time": NOW - 5_000_000,
                    "status": "undefined",
                },
                {
                    "name": "oven",
                    "value": 21.5,
                    "unit": "°C",
                    "time": NOW - 1_000_000,
                    "status": "normal",
                },
            ],
        )

    def test_order(self) -> None:
        """
        Devices stand by their listeners, and numbers in their order.
        """
        for address in ("radio/10", "radio/9", "hall/b", "radio/x"):
            self.presence.record(address).hear(NOW)
        addresses = [one["address"] for one in self.get("devices")]
        self.assertEqual(
            [one for one in addresses if not one.startswith("poe")],
            ["hall/b", "radio/x", "radio/9", "radio/10"],
        )


class ReadingsTests(ApiTestCase):
    """
    C{GET /latest} and C{GET /history}.
    """

    def test_latest(self) -> None:
        """
        The newest values are those of all series, of a device by its name or address, or of
        those with a name.
        """
        self.keep(("workshop", "oven", 21.5, 1), ("workshop", "door", False, 2))
        self.keep(("attic", "door", True, 3))

        def values(target: str) -> list[object]:
            return [one["value"] for one in self.get(target)]

        self.assertEqual(values("latest"), [True, False, 21.5])
        self.assertEqual(values("latest?device=workshop"), [False, 21.5])
        self.assertEqual(values("latest?device=poe/192.168.1.7"), [False, 21.5])
        self.assertEqual(values("latest?name=door"), [True, False])
        self.assertEqual(values("latest?device=workshop&name=oven"), [21.5])
        self.assertEqual(values("latest?device=&name="), [True, False, 21.5])
        self.assertEqual(values("latest?device=nobody"), [])

    def test_latestFields(self) -> None:
        """
        A newest value has all that is known of its series.
        """
        self.keep(("workshop", "oven", 21.5, 1))
        self.assertEqual(
            self.get("latest"),
            [
                {
                    "device": "workshop",
                    "name": "oven",
                    "value": 21.5,
                    "unit": "°C",
                    "time": NOW - 1_000_000,
                    "status": "normal",
                    "address": "poe/192.168.1.7",
                    "tags": {"place": "cellar"},
                }
            ],
        )

    def test_history(self) -> None:
        """
        A history is that of the last 24 hours, each reading a point.
        """
        self.keep(
            ("workshop", "oven", 1, 90_000), ("workshop", "oven", 2, 60), ("workshop", "oven", 3, 0)
        )
        self.clock.advance(1)
        now = round(self.clock.seconds() * 1e6)
        found = self.get("history?device=poe/192.168.1.7&name=oven")
        points = found.pop("points")
        self.assertAlmostEqual(found.pop("start"), now - 24 * _HOUR, delta=100_000)
        self.assertAlmostEqual(found.pop("end"), now, delta=100_000)
        self.assertEqual(found, {"device": "workshop", "name": "oven", "step": 0})
        self.assertEqual([one["mean"] for one in points], [2, 3])
        self.assertEqual(
            points[0],
            {"time": NOW - 60_000_000, "mean": 2, "least": 2, "most": 2, "count": 1},
        )

    def test_times(self) -> None:
        """
        The times of a history are microseconds, spans before now, or dates; a step too.
        """
        self.keep(*(("attic", "door", value, value) for value in range(5)))

        def means(query: str) -> list[object]:
            found = self.get(f"history?device=attic&name=door&{query}")
            return [one["mean"] for one in found["points"]]

        start, end = NOW - 4_000_000, NOW - 1_000_000
        self.assertEqual(means(f"start={start}&end={end}"), [4, 3, 2])
        self.assertEqual(means("start=2026-11-20T17:10:46&end=2026-11-20T17:10:49Z"), [4, 3, 2])
        self.assertEqual(means("start=2h&end=1h"), [])
        self.assertEqual(means("start=forever&end=forever"), [4, 3, 2, 1, 0])
        self.assertEqual(means(f"start={start}&step=2s"), [3.5, 1.5, 0])
        self.assertEqual(means(f"start={start}&step=2000000"), [3.5, 1.5, 0])

    def test_senseless(self) -> None:
        """
        Times that are none, and histories that are too long, are said to be so.
        """
        series = "history?device=attic&name=door"
        self.assertEqual(self.fault("history?device=attic"), "name: is missing")
        why = self.fault(f"{series}&start=soon")
        self.assertIn('start: "soon" is no time; write e.g. "2025-11-20T18:00"', why)
        self.assertIn("is beyond all times", self.fault(f"{series}&end={10**19}"))
        self.assertIn("is beyond all times", self.fault(f"{series}&end={'1' * 3000}"))
        why = 'step: "forever" is no time span; write e.g. "5m", or microseconds'
        self.assertEqual(self.fault(f"{series}&step=forever"), why)
        self.assertIn('step: "-5" is no time span', self.fault(f"{series}&step=-5"))
        self.assertIn('step: "5x" is no time span', self.fault(f"{series}&step=5x"))
        self.assertIn("more than 100000 points", self.fault(f"{series}&step=1"))


class CommandsTests(ApiTestCase):
    """
    C{GET} and C{POST /commands}.
    """

    def order(self, address: str, status: int, value: object = 1) -> dict[str, object]:
        """
        Send a command.
        """
        body = {"address": address, "variable": "LED", "value": value}
        answer: dict[str, object] = self.post("commands", body, status)
        return answer

    def test_sent(self) -> None:
        """
        A command to a device that is there is sent.
        """
        device = Device()
        self.presence.arrive("poe/192.168.1.7", device)
        answer = self.order("workshop", 200, -0.5)
        self.assertEqual((answer["state"], answer["address"]), ("sent", "poe/192.168.1.7"))
        self.assertEqual((answer["who"], answer["value"]), ("api", -0.5))
        self.assertIn(b"LED,-0.5", device.sent)

    def test_pending(self) -> None:
        """
        A command to a device that is away waits.
        """
        answer = self.order("poe/192.168.1.7", 202)
        self.assertEqual((answer["state"], answer["why"]), ("pending", ""))

    def test_refused(self) -> None:
        """
        A command that its device could never receive is refused, with the reason.
        """
        answer = self.order("barn/10.0.0.1", 409)
        self.assertEqual(answer["state"], "refused")
        self.assertTrue(answer["why"])

    def test_list(self) -> None:
        """
        Commands are listed, the newest first.
        """
        for value in range(3):
            self.order("workshop", 202, value)
        self.assertEqual([one["value"] for one in self.get("commands")], [2, 1, 0])
        self.assertEqual([one["value"] for one in self.get("commands?limit=1")], [2])
        self.assertEqual(self.fault("commands?limit=0"), "limit: expected `int` >= 1")
        self.assertEqual(self.fault("commands?limit=x"), "limit: expected `int`, got `str`")

    def test_senseless(self) -> None:
        """
        What is no command is said to be none, and what a wrong name should have been.
        """

        def why(body: bytes) -> str:
            answer = self.decode(self.ask("POST", "commands", body), 400)
            return str(answer["error"])

        self.assertEqual(
            why(b'{"adress": "workshop", "variable": "LED", "value": true}'),
            'adress: unknown key; did you mean "address"?; address: is missing;'
            " value: expected `float`, got `bool`",
        )
        self.assertEqual(why(b"[]"), "the body is no JSON object")
        self.assertIn("the body is no JSON: ", why(b""))
        self.assertIn("the body is no JSON: ", why(b'{"value": NaN}'))
        self.assertIn("the body is no JSON: ", why(b"\xff"))
        self.assertIn("the body is no JSON: ", why(b"[" * MAX_BODY))
        text = json.encode({"address": "a" * 300, "variable": "LED", "value": 1})
        self.assertIn("is longer than 200 characters", why(text))
        self.assertEqual(self.get("commands"), [])

    def test_form(self) -> None:
        """
        The form on a page of somebody else cannot send commands.
        """
        body = b'{"address": "workshop", "variable": "LED", "value": 1}'
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            answer = self.decode(self.ask("POST", "commands", body, kind), 400)
            self.assertEqual(answer, {"error": "say Content-Type: application/json"})
            answer = self.decode(self.ask("POST", "listeners/poe/stop", b"", kind), 400)
            self.assertEqual(answer, {"error": "say Content-Type: application/json"})
        self.assertEqual(self.get("commands"), [])
        kind = "Application/JSON; charset=utf-8"
        self.assertEqual(self.ask("POST", "commands", body, kind).status, 202)

    def test_full(self) -> None:
        """
        A command that cannot be written down is not sent, and the answer says why.
        """
        device = Device()
        self.presence.arrive("poe/192.168.1.7", device)
        self.disk.trouble = ""
        answer = self.order("workshop", 503)
        self.assertEqual(answer, {"error": "disk I/O error"})
        self.assertEqual(device.sent, b"")


class ListenersTests(ApiTestCase):
    """
    C{/listeners}.
    """

    def state(self, name: str) -> str:
        """
        How a listener is.
        """
        [state] = [one["state"] for one in self.get("listeners") if one["name"] == name]
        return str(state)

    def test_list(self) -> None:
        """
        Each listener is there with its line of the ledger.
        """
        self.admit(intake(reading(), rejected=2, quarantined=1))
        self.listeners["poe"].factory.refuse("10.0.0.1", "it is a test")
        poe, barn = self.get("listeners")
        self.assertEqual(
            poe,
            {
                "name": "poe",
                "wire": "poe",
                "where": "tcp 0.0.0.0:1234",
                "state": "open",
                "connected": 0,
                "refused": 1,
                "received": 4,
                "committed": 1,
                "duplicate": 0,
                "rejected": 2,
                "quarantined": 1,
            },
        )
        self.assertEqual((barn["name"], barn["received"]), ("barn", 0))

    def test_stop(self) -> None:
        """
        A listener can be stopped and started again; to do it twice does no harm.
        """
        for _ in range(2):
            answer = self.post("listeners/poe/stop")
            self.assertEqual((answer["name"], answer["state"]), ("poe", "stopped"))
        self.assertEqual((self.state("poe"), self.state("barn")), ("stopped", "open"))
        for _ in range(2):
            self.assertEqual(self.post("listeners/poe/start")["state"], "open")
        self.assertEqual(len(self.clock.ports), 3)

    def test_taken(self) -> None:
        """
        A listener whose port is taken stays stopped, and the answer says why.
        """
        self.post("listeners/poe/stop")
        self.clock.taken = True
        answer = self.post("listeners/poe/start", status=409)
        self.assertIn("Address already in use", answer["error"])
        self.assertEqual(self.state("poe"), "stopped")

    def test_unstored(self) -> None:
        """
        A listener that is started while nothing can be stored keeps its port closed.
        """
        self.post("listeners/poe/stop")
        self.store.ready = False
        self.assertEqual(self.post("listeners/poe/start")["state"], "closed")

    def test_unknown(self) -> None:
        """
        A listener, or what it is to do, that there is none of is not found.
        """
        answer = self.post("listeners/bran/stop", status=404)
        self.assertEqual(answer["error"], 'there is no listener "bran"; did you mean "barn"?')
        answer = self.post("listeners/barn/stpo", status=404)
        self.assertIn('did you mean "stop"?', answer["error"])

    def test_order(self) -> None:
        """
        Starts and stops take place one after the other, also if whoever wanted them hangs up.
        """
        closed: Deferred[None] = Deferred()
        self.clock.ports[0].stopListening = lambda: closed
        head = b"HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n"
        first, second = self.link(), self.link()
        first.send(b"POST /api/v1/listeners/poe/stop " + head)
        second.send(b"POST /api/v1/listeners/poe/start " + head)
        first.hangUp()
        self.assertEqual((first.taken(), second.taken()), (b"", b""))
        self.assertEqual(len(self.clock.ports), 2)
        closed.callback(None)
        self.assertEqual(self.response(second.taken()).status, 200)
        self.assertEqual((len(self.clock.ports), self.state("poe")), (3, "open"))

    def test_closed(self) -> None:
        """
        When the daemon is stopping, no listener is started any more.
        """
        self.post("listeners/poe/stop")
        self.api.close()
        answer = self.post("listeners/poe/start", status=503)
        self.assertEqual(answer, {"error": "the daemon is stopping"})
        self.api.open()
        self.post("listeners/poe/start")


class QuarantineTests(ApiTestCase):
    """
    C{GET /quarantine}.
    """

    def test_list(self) -> None:
        """
        Frames are listed, the newest first, with their bytes in hex.
        """
        self.assertEqual(self.get("quarantine"), [])
        self.admit(intake(quarantined=3))
        found = self.get("quarantine?limit=2&listener=poe")
        self.assertEqual([one["id"] for one in found], [3, 2])
        self.assertEqual(
            found[0],
            {
                "id": 3,
                "time": 1,
                "listener": "poe",
                "peer": "192.168.1.7",
                "wire": "esp8266",
                "why": "device 9 has no description",
                "data": "0102",
                "address": "",
            },
        )
        self.assertEqual(len(self.get("quarantine")), 3)
        self.assertEqual(self.get("quarantine?listener=barn"), [])


class FaultTests(ApiTestCase):
    """
    What makes no sense, and what goes wrong.
    """

    def test_path(self) -> None:
        """
        A path that there is none of is not found.
        """
        why = 'there is no /api/v1/devcies; did you mean "/api/v1/devices"?'
        self.assertEqual(self.fault("devcies", 404), why)
        self.fault("devices/", 404)
        self.fault("/devices", 404)
        self.fault("../../../etc/passwd", 404)

    def test_method(self) -> None:
        """
        A method that a path does not take is refused, with those that it takes.
        """
        response = self.ask("DELETE", "commands")
        self.assertEqual(response.headers["Allow"], "GET, HEAD, POST")
        why = "/api/v1/commands takes GET, HEAD, POST only"
        self.assertEqual(self.decode(response, 405), {"error": why})
        self.fault("listeners/poe/stop", 405)

    def test_parameters(self) -> None:
        """
        A parameter that is unknown, is given twice or is no text is an error.
        """
        why = 'unknown parameter "divice"; did you mean "device"?'
        self.assertEqual(self.fault("latest?divice=a"), why)
        self.assertEqual(self.fault("devices?all=1"), 'unknown parameter "all"')
        self.assertEqual(self.fault("latest?name=a&name=b"), "name: is given 2 times")
        self.assertEqual(self.fault("latest?name=%ff"), "the parameters are no UTF-8")
        self.assertEqual(self.fault("devices%ff"), "the path is no UTF-8")

    def test_hosts(self) -> None:
        """
        What a client calls the host does not matter.
        """
        for host in (b"a..b", b"x" * 70, b"\xff\xfe", b"", b"[::1]:5"):
            link = self.link()
            link.send(b"GET /api/v1/devices HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
            self.assertEqual(self.response(link.taken()).status, 200)

    def test_mounted(self) -> None:
        """
        A site can have it as its child C{api}.
        """
        root = Resource()
        root.putChild(b"api", self.api.resource())
        self.site = site(self.clock, root)
        self.assertEqual(len(self.get("listeners")), 2)
        self.assertIn("there is no /api/v1/nothing", self.fault("nothing", 404))

    def test_head(self) -> None:
        """
        To C{HEAD}, the answer is only a head; also where it would have no end.
        """
        response = self.ask("HEAD", "devices")
        self.assertEqual((response.status, response.read()), (200, b""))
        response = self.ask("HEAD", "events")
        self.assertEqual((response.status, response.read()), (200, b""))

    def test_database(self) -> None:
        """
        While the database cannot be read, the answer says so.
        """
        self.path.unlink()
        for target in ("devices", "latest", "listeners", "quarantine", "commands"):
            self.assertIn("sensord.sqlite: there is no such database", self.fault(target, 503))

    def test_hangUp(self) -> None:
        """
        One who hangs up before the answer is there does no harm.
        """
        self.reader.holding = True
        link = self.link()
        link.send(b"GET /api/v1/devices HTTP/1.1\r\n\r\n")
        link.hangUp()
        self.reader.release()
        self.assertEqual(link.taken(), b"")

    def test_ours(self) -> None:
        """
        If we erred, the log has all of it, and the answer nothing.
        """
        self.presence.present = None  # type: ignore[assignment, method-assign]
        self.assertEqual(self.fault("devices", 500), "something is wrong here; see the log")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_unexpected(self) -> None:
        """
        What fails in the store for no reason of its own is logged as well.
        """
        self.store.latest = _broken  # type: ignore[method-assign]
        self.assertEqual(self.fault("latest", 503), "it is a test")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    @PROPERTY
    @given(
        strategies.sampled_from(["GET", "POST", "HEAD", "PUT", "OPTIONS"]),
        strategies.one_of(
            strategies.sampled_from(
                ["devices", "latest", "history", "commands", "listeners", "quarantine"]
            ),
            strategies.text(max_size=30),
        ),
        strategies.dictionaries(
            strategies.sampled_from(["device", "name", "start", "end", "step", "limit", "x"]),
            strategies.one_of(strategies.text(max_size=30), strategies.integers().map(str)),
            max_size=6,
        ),
        strategies.binary(max_size=200),
    )
    def test_anything(self, method: str, path: str, query: dict[str, str], body: bytes) -> None:
        """
        Whatever is asked, the answer is JSON, and nobody here has erred.
        """
        text = "&".join(f"{name}={quote(value)}" for name, value in query.items())
        response = self.ask(method, f"{quote(path)}?{text}", body)
        self.assertLess(response.status, 500)
        if method != "HEAD":
            json.decode(response.read())


def _broken(device: str | None = None, name: str | None = None) -> Deferred[Any]:
    """
    Fails as nothing should.
    """
    failed: Deferred[Any] = Deferred()
    failed.errback(RuntimeError("it is a test"))
    return failed


class SinkTests(ApiTestCase):
    """
    The ways out.
    """

    def setUp(self) -> None:
        """
        A sink that runs.
        """
        super().setUp()
        self.outbox.startService()
        self.addCleanup(self.outbox.stopService)

    def test_sinks(self) -> None:
        """
        Each sink is shown with its state, what it has passed on, and what waits for it.
        """
        self.sink.fault = lambda batch: Transient("connection refused")
        self.store.record([reading(NOW, 1), reading(NOW + 1, 2)])
        self.clock.pump([0.5] * 6)
        (line,) = self.get("sinks")
        self.assertEqual(
            (line["name"], line["kind"], line["state"], line["error"]),
            ("influx", "influxdb", "retrying", "connection refused"),
        )
        self.assertEqual((line["delivered"], line["backlog"], line["oldest"]), (0, 2, NOW))
        self.sink.fault = lambda batch: None
        self.clock.pump([0.5] * 10)
        (line,) = self.get("sinks")
        self.assertEqual((line["state"], line["delivered"], line["backlog"]), ("flowing", 2, 0))
        self.assertIsNone(line["oldest"])

    def test_paused(self) -> None:
        """
        A sink rests until it is to go on.
        """
        line = self.post("sinks/influx/pause")
        self.assertEqual(line["state"], "paused")
        self.store.record([reading(NOW, 1)])
        self.clock.pump([0.5] * 6)
        self.assertEqual(self.sink.values, [])
        self.assertEqual(self.post("sinks/influx/resume")["state"], "flowing")
        self.clock.pump([0.5] * 6)
        self.assertEqual(self.sink.values, [1])

    def test_none(self) -> None:
        """
        A sink that is not there, and a word that is none, are named with what was meant.
        """
        error = self.post("sinks/inflx/pause", status=404)["error"]
        self.assertIn('did you mean "influx"?', error)
        error = self.post("sinks/influx/pausee", status=404)["error"]
        self.assertIn('did you mean "pause"?', error)

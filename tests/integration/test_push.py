"""
Devices that push by HTTP to the real daemon, and gateways that pass readings on to one another.
"""

import gzip
import http.client
import json
import shutil
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Mapping, Sized
from functools import partial
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.internet.defer import Deferred

from sensord import Gateway
from sensord.reading import Reading
from sensord.store.archive import Archive
from sensord.store.audit import audit
from tests.integration.daemon import PATIENCE, Daemon, DaemonTestCase, freePort, sensord, until
from tests.integration.loop import reactor
from tests.integration.running import BALCONY, GatewayTestCase, assertSame, series

TOKEN = "0123456789abcdef0123456789abcdef"

#: Two ways in: a port of its own, and the page's.
_CONFIGURATION = """
[[listeners]]
name = "push"
wire = "http"
listen = "tcp:0:interface=127.0.0.1"
token = "{token}"

[[listeners]]
name = "page"
wire = "http"
listen = ""

[web]
listen = "tcp:{page}:interface=127.0.0.1"

[[devices]]
address = "push/kitchen"
name = "kitchen"
values = [{{ field = "t", name = "temperature", scale = 0.1, unit = "°C" }}]
"""

_READINGS = "/api/v1/readings"


class PushTestCase(DaemonTestCase):
    """
    The daemon, and clients.

    @ivar page: the port of the page.
    """

    def launch(self) -> Daemon:
        """
        Start it.
        """
        self.page = freePort()
        self.configure(_CONFIGURATION.format(token=TOKEN, page=self.page))
        return self.again()

    def again(self) -> Daemon:
        """
        Start it with the configuration that is there.
        """
        daemon = self.start()
        self.port = daemon.port("push")
        daemon.expect("page: the port of the page")
        return daemon

    def ask(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] = {},
        port: int | None = None,
    ) -> tuple[int, bytes]:
        """
        What is answered to a request.
        """
        where = self.port if port is None else port
        connection = http.client.HTTPConnection("127.0.0.1", where, timeout=PATIENCE)
        try:
            shown = {"Authorization": f"Bearer {TOKEN}"} if where == self.port else {}
            connection.request(method, target, body, {**shown, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def stored(self) -> list[Reading]:
        """
        All readings.
        """
        archive = Archive(self.folder / "sensord.sqlite")
        return [row.reading for page in archive.export() for row in page]

    def assertBalanced(self) -> None:
        """
        The ledger agrees with the rows.
        """
        self.assertEqual(audit(Archive(self.folder / "sensord.sqlite")).faults, [])


class DaemonTests(PushTestCase):
    """
    What clients see.
    """

    def test_forms(self) -> None:
        """
        JSON, lines and what emoncms takes are stored, on both ports; devices are called by
        listener and name, or as they are described.
        """
        daemon = self.launch()
        gzipped = {"Content-Encoding": "gzip", "Authorization": f"Token {TOKEN}"}
        for status, answer in (
            self.ask("POST", _READINGS, b'{"device": "kitchen", "t": 215, "on": true}'),
            self.ask("POST", "/write?precision=s", b"cpu,cpu=cpu0,host=pi idle=98.5 1795194650\n"),
            self.ask("POST", "/api/v2/write", gzip.compress(b"d v=1"), gzipped),
            self.ask("GET", f"/emoncms/input/post?node=10&json={{power:250}}&apikey={TOKEN}"),
            self.ask("POST", "/input/bulk?sentat=5", b'[[5,"n",1]]', port=self.page),
            self.ask("POST", _READINGS, b'{"device": "x", "v": "on"}', port=self.page),
            self.ask("GET", "/ping", port=self.page),
        ):
            self.assertIn(status, (200, 204), answer)
        found = {(one.device, one.name): one.value for one in self.stored()}
        self.assertEqual(
            found,
            {
                ("kitchen", "temperature"): 21.5,
                ("kitchen", "on"): True,
                ("push/pi", "cpu.cpu0.idle"): 98.5,
                ("push/d", "v"): 1,
                ("push/10", "power"): 250,
                ("page/n", "1"): 1,
                ("page/x", "v"): "on",
            },
        )
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)
        self.assertBalanced()

    def test_refused(self) -> None:
        """
        Whoever is not let in, or sends nonsense, harms nobody; no token is logged.
        """
        daemon = self.launch()
        wrong = {"Authorization": "Bearer wrong"}
        self.assertEqual(self.ask("POST", "/write", b"d v=1", wrong)[0], 401)
        status, answer = self.ask("POST", "/write", b"d v=1\nnonsense\nd w=2")
        self.assertEqual(status, 400)
        self.assertIn("partial write: unable to parse 'nonsense'", json.loads(answer)["error"])
        for data in (b"\0" * 5000, b"POST /write HTTP/9\r\n\r\n", b"POST / HTTP/1.1\r\nA\r\n\r\n"):
            with self.connect(self.port) as connection:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
        big = self.ask("POST", "/write", b"#" * 1_048_577)
        self.assertEqual(big[0], 413)
        bomb = self.ask(
            "POST", "/write", gzip.compress(bytes(50_000_000)), {"Content-Encoding": "gzip"}
        )
        self.assertEqual(bomb[0], 413)
        foreign = {"Origin": "http://evil.example", "Host": f"localhost:{self.page}"}
        self.assertEqual(self.ask("POST", "/write", b"d v=1", foreign, self.page)[0], 403)
        self.assertEqual(len(self.stored()), 2)
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)
        self.assertNotIn(TOKEN, daemon.log)
        self.assertBalanced()

    def test_curl(self) -> None:
        """
        curl pushes, as the handbook says.
        """
        if not shutil.which("curl"):
            raise SkipTest("apt-get install curl")
        self.launch()
        url = f"http://127.0.0.1:{self.port}"
        for more in (
            [
                "-H",
                f"Authorization: Bearer {TOKEN}",
                f"{url}{_READINGS}",
                "-d",
                '{"device":"c","a":1}',
            ],
            ["-u", f"any:{TOKEN}", f"{url}/write", "--data-binary", "c b=2\nc c=3\n"],
            [f"{url}/input/post", "-d", f"node=c&data={{d:4}}&apikey={TOKEN}"],
            ["-g", f"{url}/input/post?node=c&json={{e:5}}&apikey={TOKEN}"],
        ):
            done = self.run_("curl", "-sS", "--fail-with-body", *more)
            self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertEqual([one.name for one in self.stored()], ["a", "b", "c", "d", "e"])

    def test_pretended(self) -> None:
        """
        Pretend boards find that it takes what they push.
        """
        daemon = self.launch()
        done = self.run_(
            *sensord(),
            *("simulate", "--wire=http", "--devices=5", "--rate=20", "--seconds=2"),
            *(f"--token={TOKEN}", f"tcp:127.0.0.1:{self.port}"),
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(
            {one.device for one in self.stored()}, {f"push/board{n}" for n in range(1, 6)}
        )
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)
        self.assertBalanced()

    def test_stopped(self) -> None:
        """
        A listener is stopped and started by the toolbox; on the page's port it refuses meanwhile.
        """
        self.launch()
        for name in ("push", "page"):
            done = self.run_(*sensord(), "listeners", "stop", name)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.ask("POST", "/write", b"d v=1", port=self.page)[0], 503)
        self.assertRaises(OSError, self.ask, "POST", "/write", b"d v=1")
        done = self.run_(*sensord(), "listeners", "start", "page")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.ask("POST", "/write", b"d v=1", port=self.page)[0], 204)

    def test_reloaded(self) -> None:
        """
        Another token and other descriptions count from a reload on, and connections stay.
        """
        self.launch()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        self.addCleanup(connection.close)

        def push(token: str) -> int:
            head = {"Authorization": f"Bearer {token}"}
            connection.request("POST", _READINGS, b'{"device": "kitchen", "t": 215}', head)
            answer = connection.getresponse()
            answer.read()
            return answer.status

        self.assertEqual(push(TOKEN), 200)
        text = (self.folder / "sensord.toml").read_text(encoding="utf-8")
        self.configure(text.replace("scale = 0.1", "scale = 0.01"))
        done = self.run_(*sensord(), "reload")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(push(TOKEN), 200)
        self.assertEqual([one.value for one in self.stored()], [21.5, 2.15])


class CrashTests(PushTestCase):
    """
    Nothing that was acknowledged is lost.
    """

    def feed(self, stop: threading.Event, number: int, acknowledged: list[str]) -> None:
        """
        Push, as fast as it is answered, on connections that are made again.
        """
        count = 0
        while not stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            try:
                while not stop.is_set():
                    name = f"v{number}.{count}"
                    head = {"Authorization": f"Bearer {TOKEN}"}
                    connection.request("POST", "/write", f"d {name}=1\n".encode(), head)
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status == 204:
                        acknowledged.append(name)
                    count += 1
            except (OSError, http.client.HTTPException):
                stop.wait(0.02)
            finally:
                connection.close()

    def test_killed(self) -> None:
        """
        Whatever was answered before SIGKILL is there after it, three times over.
        """
        daemon = self.launch()
        acknowledged: list[str] = []
        for _ in range(3):
            stop = threading.Event()
            threads = [
                threading.Thread(target=self.feed, args=(stop, number, acknowledged))
                for number in range(4)
            ]
            before = len(acknowledged)
            for thread in threads:
                thread.start()
            try:
                until(partial(_longer, acknowledged, before + 200))
                daemon.end(signal.SIGKILL)
            finally:
                stop.set()
                for thread in threads:
                    thread.join(PATIENCE)
            daemon = self.again()
        self.assertEqual(daemon.end(), 0)
        self.assertEqual(set(acknowledged) - {one.name for one in self.stored()}, set())
        self.assertGreater(len(acknowledged), 600)
        self.assertBalanced()

    def test_locked(self) -> None:
        """
        While nothing can be stored, clients are told to come again; then it goes on.
        """
        daemon = self.launch()
        self.assertEqual(self.ask("POST", "/write", b"d v=1")[0], 204)
        other = sqlite3.connect(self.folder / "sensord.sqlite", isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")  # nobody else can write
        first: list[int] = []
        waiting = threading.Thread(
            target=lambda: first.append(self.ask("POST", "/write", b"d w=1")[0])
        )
        waiting.start()
        daemon.expect("push: refuses all, since nothing can be stored")
        status, answer = self.ask("POST", _READINGS, b'{"device": "d", "x": 1}')
        self.assertEqual(status, 503, answer)
        self.assertEqual(self.ask("GET", "/readyz", port=self.page)[0], 503)
        other.execute("ROLLBACK")
        daemon.expect("push: requests are taken again")
        waiting.join(PATIENCE)
        self.assertIn(first, ([204], [503]))  # it waits for so long, and no longer
        self.assertEqual(self.ask("POST", _READINGS, b'{"device": "d", "x": 1}')[0], 200)
        self.assertEqual(daemon.end(), 0)
        self.assertBalanced()


class RoundTests(GatewayTestCase):
    """
    A gateway that passes on to another one.
    """

    def second(self, **more: Any) -> tuple[Gateway, str, Path]:
        """
        Start the other one.

        @return: it, the URL of its listener, and its folder.
        """
        folder = self.folder / "second"
        folder.mkdir()
        gateway = Gateway(
            reactor(),
            {
                "store": {"path": str(folder / "sensord.sqlite")},
                "control": {"socket": ""},
                "listeners": [
                    {
                        "name": "push",
                        "wire": "http",
                        "listen": "tcp:0:interface=127.0.0.1",
                        "token": TOKEN,
                        **more,
                    }
                ],
            },
            now=time.time,
        )
        gateway.startService()
        self.addCleanup(self.end, gateway)
        way: Any = gateway.listeners["push"]
        return gateway, f"http://127.0.0.1:{way.address.port}", folder

    def there(self, folder: Path) -> list[Reading]:
        """
        What the other one has, under the names that it was sent by.
        """
        pages = Archive(folder / "sensord.sqlite").export()
        return [
            Reading(one.device.removeprefix("push/"), one.name, one.value, one.time, one.clock)
            for page in pages
            for one in (row.reading for row in page)
        ]

    async def run_(
        self, sink: Mapping[str, Any], tags: Mapping[str, str], count: int = 500
    ) -> Path:
        """
        Have messages go by a sink to another gateway, which has nothing to complain of.

        @return: its folder.
        """
        other, url, folder = self.second()
        balcony = {**BALCONY, "tags": tags}
        gateway = self.launch({"name": "up", "url": url, **sink}, devices=[balcony])
        device = await self.device(gateway)
        await device.send(count)
        await self.flowed(gateway)
        await self.end(gateway)
        await self.end(other)
        self.assertEqual(self.dead(), [])
        self.assertBalanced()
        found = audit(Archive(folder / "sensord.sqlite"))
        self.assertEqual(found.faults, [])
        [account] = [one for one in found.accounts if one.listener == "push"]
        self.assertEqual((account.received, account.rejected), (2 * count, 0))
        return folder

    async def influx(self, **how: Any) -> None:
        """
        By InfluxDB's lines, to the microsecond.
        """
        sink = {"kind": "influxdb", "database": "any", "user": "x", "password": TOKEN, **how}
        folder = await self.run_(sink, {"place": "the garden, left"})
        assertSame(self, series(self.there(folder)), series(self.stored()))

    def test_influxMeasurement(self) -> "Deferred[None]":
        """
        Devices and readings have the same names in the layout C{measurement}, all times and values
        are the same.
        """
        return Deferred.fromCoroutine(self.influx(create=True))

    def test_influxDevice(self) -> "Deferred[None]":
        """
        So have they in the layout C{device}, with integers.
        """
        return Deferred.fromCoroutine(self.influx(layout="device", integers=True))

    def test_influxBucket(self) -> "Deferred[None]":
        """
        And as InfluxDB 2 is written to.
        """
        how = {
            "database": "",
            "user": "",
            "password": "",
            "bucket": "b",
            "org": "o",
            "token": TOKEN,
        }
        return Deferred.fromCoroutine(self.influx(**how))

    async def emoncms(self, **how: Any) -> None:
        """
        By what emoncms takes, which has whole seconds.
        """
        # In one go: rows of one second that come apart are taken for the same.
        sink = {"kind": "emoncms", "apikey": TOKEN, "interval": 3.0, **how}
        folder = await self.run_(sink, {}, 200)
        here = sorted(
            (one.device.replace("/", "_"), one.name, one.value, one.time // 1_000_000)
            for one in self.stored()
        )
        there = sorted(
            (one.device, one.name, one.value, one.time // 1_000_000) for one in self.there(folder)
        )
        self.assertEqual(here, there)

    def test_emoncms(self) -> "Deferred[None]":
        """
        By emoncms' rows, no reading is missing, not even of those of one second.
        """
        return Deferred.fromCoroutine(self.emoncms())

    def test_emoncmsPacked(self) -> "Deferred[None]":
        """
        Nor when they are packed.
        """
        return Deferred.fromCoroutine(self.emoncms(compress=True))

    def test_poison(self) -> "Deferred[None]":
        """
        What the other one does not take becomes a dead letter, and all the rest is there.
        """
        return Deferred.fromCoroutine(self.poison())

    async def poison(self) -> None:
        """
        One reading in a thousand is of a device too many.
        """
        other, url, folder = self.second(max_devices=2)
        sink = {"name": "up", "kind": "influxdb", "url": url, "database": "x", "user": "x"}
        gateway = self.launch({**sink, "password": TOKEN})
        device = await self.device(gateway)
        await device.send(200)
        await self.flowed(gateway)
        await device.say(["17 1 2"])
        await device.send(200)
        await self.flowed(gateway)
        await self.end(gateway)
        await self.end(other)
        self.assertEqual(sorted(name for _d, name, _v, _why in self.dead()), ["1", "2"])
        self.assertBalanced()
        found = series(self.there(folder))
        expected = series(one for one in self.stored() if one.device != "lines/17")
        assertSame(self, found, expected)


def _longer(what: Sized, count: int) -> bool:
    return len(what) > count

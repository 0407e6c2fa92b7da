"""
What a crash costs: the daemon as a process, killed while it passes readings on, or on a disk that
is full; and a broker that is ended under it.
"""

import contextlib
import csv
import random
import resource
import select
import signal
import socket
from collections import Counter
from collections.abc import Iterable
from typing import Any

from msgspec import json

from sensord.store.archive import Archive
from sensord.store.audit import audit
from sensord.store.journal import Figures, figures
from tests.integration.daemon import Daemon, DaemonTestCase, receive, until
from tests.integration.databases import Influxd
from tests.integration.mosquitto import Mosquitto
from tests.integration.running import FAILED, RECOVERED, Series, assertSame, series
from tests.integration.test_mqtt import Listener

LISTENER = """
[[listeners]]
name = "lines"
wire = "lines"
listen = "tcp:0:interface=127.0.0.1"
ack = true
timestamped = true
"""

INFLUX = """
[[sinks]]
name = "influx"
kind = "influxdb"
url = "{url}"
database = "sensors"
interval = {interval}
"""

FILES = """
[[sinks]]
name = "files"
kind = "csv"
layout = "tidy"
interval = {interval}
"""

HOME = """
[[sinks]]
name = "home"
kind = "mqtt"
format = "json"
broker = "tcp:127.0.0.1:{port}"
interval = {interval}
"""

#: When the first reading was, in seconds. All are of one second, so of one file.
START = 1_795_194_650
FILE, SECOND = "sensord_20261120.csv", "2026-11-20T17:10:50"

#: How long a file is that is longer than all others which the daemon writes.
LARGE = 8 * 1024 * 1024

HEADER = ["time", "device", "name", "value", "unit"]


class CrashTestCase(DaemonTestCase):
    """
    A daemon whose devices say when they have measured, and all that has to be elsewhere then.
    """

    def setUp(self) -> None:
        """
        Nothing was said yet.
        """
        super().setUp()
        self.said = 0

    def influxd(self) -> Influxd:
        """
        Start a database.
        """
        database = Influxd(self.folder)
        self.addCleanup(database.close)
        database.start()
        database.query("CREATE DATABASE sensors")
        return database

    def mosquitto(self) -> tuple[Mosquitto, Listener]:
        """
        Start a broker, and somebody who hears what is said there.
        """
        broker = Mosquitto(self.folder)
        self.addCleanup(broker.close)
        broker.start()
        listener = Listener(broker.port, "listener", "sensord/+")
        self.addCleanup(listener.close)
        until(lambda: listener.ready)
        return broker, listener

    def launch(self, *sinks: str) -> tuple[Daemon, socket.socket]:
        """
        Start a daemon, and connect a device to it.
        """
        self.configure(LISTENER + "".join(sinks))
        daemon = self.start()
        return daemon, self.connect(daemon.port("lines"))

    def say(self, peer: socket.socket, count: int) -> None:
        """
        Send messages of two values each, all different.
        """
        numbers = range(self.said, self.said + count)
        lines = [f"{START}.{n:06} {15 + n % 2} {n} {n}.5\r\n" for n in numbers]
        self.said += count
        peer.sendall("".join(lines).encode())

    def hear(self, peer: socket.socket, count: int) -> None:
        """
        Wait until so many are acknowledged.
        """
        self.assertEqual(receive(peer, 4 * count), b"ok\r\n" * count)

    def archive(self) -> Archive:
        """
        What it has stored.
        """
        return Archive(self.folder / "sensord.sqlite")

    def stored(self) -> Series:
        """
        The same, by its series.
        """
        return series(row.reading for page in self.archive().export() for row in page)

    def figures(self) -> dict[str, Figures]:
        """
        How far the sinks are.
        """
        with self.archive().open() as connection:
            return {each.sink: each for each in figures(connection)}

    def delivered(self, sink: str) -> int:
        """
        How many readings a sink has passed on.
        """
        found = self.figures().get(sink)
        return found.delivered if found is not None else 0

    def settle(self, daemon: Daemon) -> None:
        """
        Wait until all sinks have dealt with all that is stored, end the daemon, and check its
        books.
        """
        until(lambda: not any(each.backlog for each in self.figures().values()))
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)
        self.assertEqual(audit(self.archive()).faults, [])
        self.assertFalse(any(each.dead or each.expired for each in self.figures().values()))

    def assertTold(self, daemon: Daemon, sink: str, times: int = 1) -> None:
        """
        The log has one line about the failure of a sink, and one about its recovery.

        @param times: how often it has failed.
        """
        for words in (f"{sink}: {FAILED}", f"{sink}: {RECOVERED}"):
            self.assertEqual(daemon.log.count(words), times, daemon.log)

    def assertInDatabase(self, database: Influxd) -> None:
        """
        All that is stored is in the database, and nothing else.
        """
        there: Series = {
            (device, name): values
            for (name, device, _field), values in database.points("sensors").items()
        }
        assertSame(self, there, self.stored())

    def assertInFile(self, beginning: int = 0) -> None:
        """
        All that is stored has a row, each reading one.

        @param beginning: how many bytes of the file are not ours.
        """
        text = (self.folder / "Data" / FILE).read_bytes()[beginning:].decode()
        self.assertTrue(text.endswith("\n"))
        rows = list(csv.reader(text.splitlines()))
        if not beginning:
            self.assertEqual(rows.pop(0), HEADER)
        here = {
            (f"{SECOND}.{time % 1_000_000:06}Z", device, name, str(value), "")
            for (device, name), values in self.stored().items()
            for time, value in values.items()
        }
        there = Counter(map(tuple, rows))
        self.assertEqual([row for row in here if row not in there][:5], [])
        self.assertEqual([row for row in there if row not in here or there[row] > 1][:5], [])

    def assertHeard(self, listener: Listener) -> None:
        """
        All that is stored was said to the broker, and nothing else.
        """
        here = self.stored()
        count = sum(map(len, here.values()))
        until(lambda: sum(map(len, heard(listener.heard).values())) >= count)
        assertSame(self, heard(listener.heard), here)


class BrokerTests(CrashTestCase):
    """
    A broker.
    """

    def test_restarted(self) -> None:
        """
        It is ended while readings flow, and started again: all that was stored is heard.
        """
        broker, listener = self.mosquitto()
        daemon, peer = self.launch(HOME.format(port=broker.port, interval=0.02))
        self.say(peer, 3_000)
        until(lambda: len(listener.heard) > 500)
        # With SIGKILL it would forget what it has confirmed to us and not yet passed on.
        broker.end(signal.SIGTERM)
        self.hear(peer, 3_000)
        self.assertGreater(self.figures()["home"].backlog, 0)
        self.say(peer, 500)
        self.hear(peer, 500)
        daemon.expect(f"home: {FAILED}")
        broker.start()
        self.say(peer, 500)
        self.hear(peer, 500)
        self.settle(daemon)
        self.assertHeard(listener)
        self.assertTold(daemon, "home")


class KilledTests(CrashTestCase):
    """
    The daemon itself.
    """

    def test_killed(self) -> None:
        """
        It is killed at random moments while it passes readings on, and begun again: all that is
        stored is in the database and in the file once, and was said to the broker.
        """
        database = self.influxd()
        broker, listener = self.mosquitto()
        sinks = [
            INFLUX.format(url=database.url, interval=0.01),
            FILES.format(interval=0.01),
            HOME.format(port=broker.port, interval=0.01),
        ]
        chance, cut, acked = random.Random(2026), Counter[str](), set[object]()
        for target in ("influx", "files", "home") * 2:
            daemon, peer = self.launch(*sinks)
            before, first = self.delivered(target), self.said
            self.say(peer, 4_000)
            until(lambda: self.delivered(target) > before)  # noqa: B023
            select.select([], [], [], chance.random() * 0.05)
            self.assertEqual(daemon.end(signal.SIGKILL), -signal.SIGKILL)
            self.assertQuiet(daemon)
            acked.update(range(first, first + rest(peer).count(b"ok")))
            cut.update(name for name, each in self.figures().items() if each.backlog)
        self.assertEqual(set(cut), {"influx", "files", "home"})
        again, _peer = self.launch(*sinks)
        self.settle(again)
        stored = {value for times in self.stored().values() for value in times.values()}
        self.assertTrue(acked)
        self.assertLessEqual(acked, stored)
        self.assertInDatabase(database)
        self.assertInFile()
        self.assertHeard(listener)


class FullTests(CrashTestCase):
    """
    A disk.
    """

    def test_database(self) -> None:
        """
        It is full for the database of the daemon, which cannot even note what is passed on: when
        there is room again, all that is stored is there, and in InfluxDB and in the file once.
        """
        database = self.influxd()
        daemon, peer = self.launch(
            INFLUX.format(url=database.url, interval=1), FILES.format(interval=1)
        )
        self.say(peer, 100)
        self.hear(peer, 100)
        limit(daemon, 1)  # what was stored is about to be passed on
        self.say(peer, 50)
        daemon.expect("lines: closed, since nothing can be stored")
        daemon.expect(f"influx: {FAILED}")
        daemon.expect(f"files: {FAILED}")
        limit(daemon)
        self.hear(peer, 50)
        self.settle(daemon)
        self.assertEqual(sum(map(len, self.stored().values())), 300)
        self.assertInDatabase(database)
        self.assertInFile()
        self.assertTold(daemon, "influx")
        self.assertTold(daemon, "files")

    def test_file(self) -> None:
        """
        It is full for a file that readings are written to: no half row stays, other sinks go on,
        and when there is room again, the file gets them all.
        """
        database = self.influxd()
        (self.folder / "Data").mkdir()
        file = self.folder / "Data" / FILE
        with file.open("wb") as grown:
            grown.truncate(LARGE - 1)
            grown.seek(LARGE - 1)
            grown.write(b"\n")
        daemon, peer = self.launch(
            INFLUX.format(url=database.url, interval=0.02), FILES.format(interval=0.02)
        )
        limit(daemon, LARGE + 1_234)
        self.say(peer, 100)
        self.hear(peer, 100)
        daemon.expect(f"files: {FAILED}")
        self.say(peer, 100)
        self.hear(peer, 100)
        until(lambda: not self.figures()["influx"].backlog)
        until(lambda: file.stat().st_size == LARGE)
        self.assertGreater(self.figures()["files"].backlog, 0)
        limit(daemon)
        self.settle(daemon)
        self.assertInDatabase(database)
        self.assertInFile(LARGE)
        self.assertTold(daemon, "files")
        self.assertTold(daemon, "influx", 0)


def limit(daemon: Daemon, size: int | None = None) -> None:
    """
    Let all that a daemon writes to files beyond a size fail, as on a full disk.

    @param size: L{None} is as much as it likes.
    """
    _soft, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
    soft = hard if size is None else size
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (soft, hard))


def rest(peer: socket.socket) -> bytes:
    """
    What a daemon that was killed has still said.
    """
    data = b""
    with contextlib.suppress(OSError):
        while more := peer.recv(65536):
            data += more
    return data


def heard(messages: Iterable[tuple[str, bytes]]) -> Series:
    """
    What was heard of readings, by their series.
    """
    found: Series = {}
    for topic, payload in tuple(messages):
        if payload.startswith(b"{"):
            content: dict[str, Any] = json.decode(payload)
            device = topic.partition("/")[2].replace("%2F", "/")
            time = round(content.pop("time") * 1e6)
            for name, value in content.items():
                found.setdefault((device, name), {})[time] = value
    return found

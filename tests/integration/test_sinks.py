"""
Sinks that write to real files and real sockets.
"""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.tcp import Port
from twisted.trial.unittest import TestCase
from twisted.web.server import Site

from sensord.outlets import EmoncmsSettings
from sensord.settings import Secret
from sensord.sinks import Entry, Poison, Series, Transient
from sensord.sinks.emoncms import EmoncmsSink
from tests.emoncms import KEY, Emoncms, Reply
from tests.store.support import Runner

#: Passes on readings as an outbox does, with a cursor in a file, until it is killed or has come to
#: the end.
WRITER = """
import sys
from pathlib import Path
from twisted.internet.task import Clock
from sensord.sinks import Entry, Series
from sensord.outlets import CsvSettings
from sensord.sinks.csvfile import CsvSink
from tests.store.support import Runner

folder, layout, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
settings = CsvSettings("files", "csv", folder=str(folder / "Data"), layout=layout)
sink = CsvSink(Clock(), settings, Runner())
cursor = folder / "cursor"
series = [Series("desk", name, "", {}, "pages/1") for name in ("counter", "temperature", "3")]
done = int(cursor.read_text()) if cursor.exists() else 0
sink.start()
print("started", flush=True)
while done < count:
    size = done % 17 + 10
    ids = range(done + 1, min(done + size, count) + 1)
    times = [1_795_176_451_000_000 + (id - 1) // 3 * 1000 for id in ids]
    batch = [
        Entry(id, series[(id - 1) % 3], time, id) for id, time in zip(ids, times, strict=True)
    ]
    assert sink.write(batch).result is None
    done = ids[-1]
    (folder / "fresh").write_text(str(done))
    (folder / "fresh").replace(cursor)
"""


class KilledTests(TestCase):
    """
    CSV files of a process that is killed.
    """

    def write(self, layout: str, count: int) -> str:
        """
        Write readings, killed a few times at random moments.

        @return: the rows.
        """
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        chance, killed = random.Random(2026), 0
        command = [sys.executable, "-c", WRITER, str(folder), layout, str(count)]
        for patience in (0.02, 0.05, 0.1, 0.05, 0.15, None):
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, env={**os.environ, "TZ": "UTC"}
            ) as writer:
                assert writer.stdout is not None
                writer.stdout.readline()
                try:
                    writer.wait(patience and patience * (0.5 + chance.random()))
                except subprocess.TimeoutExpired:
                    writer.send_signal(signal.SIGKILL)
                    killed += 1
            if patience is None:
                self.assertEqual(writer.returncode, 0)
        self.assertGreater(killed, 0)
        (path,) = (folder / "Data").glob("[!.]*")
        return path.read_text()

    def test_messages(self) -> None:
        """
        Each message has one row, in the order in which they were stored.
        """
        rows = self.write("iot", 3000).splitlines()
        numbers = [[int(float(field)) for field in row.split(", ")[1:]] for row in rows]
        self.assertEqual(numbers, [[id, id + 1, id + 2] for id in range(1, 3001, 3)])

    def test_readings(self) -> None:
        """
        Each reading has one row.
        """
        rows = self.write("tidy", 3000).splitlines()
        numbers = [int(row.split(",")[3]) for row in rows[1:]]
        self.assertEqual(numbers, list(range(1, 3001)))


class CountingSite(Site):
    """
    A web server that counts connections.
    """

    connections = 0

    def buildProtocol(self, address: Any) -> Any:
        """
        Somebody has connected.
        """
        self.connections += 1
        return super().buildProtocol(address)


class EmoncmsTests(TestCase):
    """
    An emoncms on a port.
    """

    timeout = 30

    def setUp(self) -> None:
        """
        Start it, and a sink.
        """
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.there = Emoncms(self.reactor.seconds)
        self.site = CountingSite(self.there)
        self.port: Port | None = None
        self.open(0)
        self.sink = self.make(f"http://127.0.0.1:{self.number}")
        self.addCleanup(self.close)

    def open(self, number: int) -> None:
        """
        Listen.
        """
        self.port = self.reactor.listenTCP(number, self.site, interface="127.0.0.1")
        self.number = self.port.getHost().port

    async def close(self) -> None:
        """
        Hang up.
        """
        port, self.port = self.port, None
        if port is not None:
            await port.stopListening()

    def make(self, url: str, **given: Any) -> EmoncmsSink:
        """
        A sink that has begun.
        """
        settings = EmoncmsSettings("emon", "emoncms", url=url, apikey=Secret(KEY), **given)
        sink = EmoncmsSink(self.reactor, settings, Runner())
        sink.start()
        self.addCleanup(sink.stop)
        return sink

    def batch(self, count: int = 3) -> list[Entry]:
        """
        Some readings of now.
        """
        series = Series("balcony", "temperature", "°C", {}, "weather/1")
        self.now = int(self.reactor.seconds())
        return [Entry(id, series, self.now * 1_000_000 + id, id) for id in range(1, count + 1)]

    def stored(self) -> list[float]:
        """
        What has arrived.
        """
        return [value for _time, value in self.there.stored.get(("balcony", "temperature"), [])]

    async def test_flows(self) -> None:
        """
        Batches arrive, one behind the other on one connection, packed or not.
        """
        for _again in range(3):
            await self.sink.write(self.batch())
        self.assertEqual(self.stored(), [1, 2, 3] * 3)
        self.assertEqual(self.site.connections, 1)
        packed = self.make(f"http://127.0.0.1:{self.number}", compress=True)
        await packed.write(self.batch(1000))
        self.assertEqual(len(self.stored()), 1009)

    async def test_single(self) -> None:
        """
        So do rows that are sent one at a time.
        """
        self.there.old = True
        sink = self.make(f"http://127.0.0.1:{self.number}", single=True)
        await sink.write(self.batch(20))
        self.assertEqual(self.stored(), list(range(1, 21)))

    async def test_outage(self) -> None:
        """
        A server that is away is tried again, and that is all.
        """
        await self.close()
        with self.assertRaises(Transient) as caught:
            await self.sink.write(self.batch())
        self.assertIn("refused", str(caught.exception).lower())
        self.open(self.number)
        await self.sink.write(self.batch())
        self.assertEqual(self.stored(), [1, 2, 3])

    async def test_silence(self) -> None:
        """
        A server that takes a request in and says nothing is given up, and its connection closed.
        """
        sink = self.make(f"http://127.0.0.1:{self.number}", timeout=0.2)
        self.there.silent = True
        with self.assertRaises(Transient) as caught:
            await sink.write(self.batch())
        self.assertIn("no answer in 0.2 s", str(caught.exception))
        self.there.silent = False
        await sink.write(self.batch())
        self.assertEqual((self.stored(), self.site.connections), ([1, 2, 3], 2))

    async def test_givenUp(self) -> None:
        """
        A request that is given up while it waits does not stay.
        """
        self.there.silent = True
        wrote: Deferred[None] = self.sink.write(self.batch())
        self.reactor.callLater(0.1, wrote.cancel)
        with self.assertRaises(CancelledError):
            await wrote

    async def test_poison(self) -> None:
        """
        What the server refuses does not cost the connection.
        """
        self.there.replies = [Reply(200, "Format error, json string supplied is not valid")]
        with self.assertRaises(Poison):
            await self.sink.write(self.batch())
        await self.sink.write(self.batch())
        self.assertEqual((self.stored(), self.site.connections), ([1, 2, 3], 1))

    async def test_unknownHost(self) -> None:
        """
        A host that nobody knows may be known another time.
        """
        sink = self.make("http://nobody.invalid")
        with self.assertRaises(Transient):
            await sink.write(self.batch())

"""
The processes that are measured while a backlog is passed on to a real InfluxDB: a gateway that has
been without it for long, and beside it the least that can be done, which is to post the same
batches, made ready before.
"""

import gzip
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from time import time
from typing import Any, Protocol

from msgspec import json
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.protocols.basic import LineOnlyReceiver

from benchmarks.children import BenchmarkError
from benchmarks.marks import Job, mark, serve
from sensord.config import Settings
from sensord.gateway import Gateway
from sensord.outlets import InfluxSettings
from sensord.reading import Clock, Intake, Reading
from sensord.settings import StoreSettings
from sensord.sinks.http import Client
from sensord.sinks.influxdb import InfluxSink
from sensord.store import journal
from sensord.store.database import Database, Part
from sensord.wire.lineprotocol import Encoder

#: The database in InfluxDB.
NAME = "benchmark"

#: How many devices there are, and how many values each sends at a time.
_DEVICES, _VALUES = 50, 4

#: Readings in one transaction, and in one of the batches that are made ready: as many as the sink
#: puts into one.
_PART, _BATCH = 10_000, InfluxSink.most

#: How well they are packed: as the sink does it.
_LEVEL = 1

#: Seconds between two looks at how far the sink is.
_EVERY = 0.02


class Task(Protocol):
    """
    What is measured.
    """

    async def prepare(self, units: int) -> None:
        """
        Have a number of readings lie ready.
        """

    async def work(self) -> None:
        """
        Pass them on.
        """


def readings(count: int, since: int) -> Iterator[Reading]:
    """
    A number of readings as devices might have sent them.

    @param since: the time of the first, in microseconds since the epoch.
    """
    for number in range(count):
        moment, value = divmod(number, _VALUES)
        device = moment % _DEVICES
        yield Reading(
            f"field/{device}", f"value{value}", 20 + number % 997 / 10, since + moment, Clock.DEVICE
        )


def fill(path: Path, count: int, since: int) -> None:
    """
    Have a database store a number of readings.
    """
    database = Database(path)
    database.open()
    made = readings(count, since)
    while block := list(islice(made, _PART)):
        database.commit([Part("field", [Intake(block)])])
    database.close()


def sink(url: str) -> InfluxSettings:
    """
    A sink that passes on all that there is.
    """
    return InfluxSettings(
        "influx", "influxdb", url=url, database=NAME, create=True, start="beginning"
    )


class Drain:
    """
    A gateway whose sink was away, and is back.
    """

    def __init__(self, reactor: Any, job: Job) -> None:
        self._reactor = reactor
        self._path = Path(job.folder, "backlog.sqlite")
        self._settings = Settings(
            store=StoreSettings(path=str(self._path)), listeners=(), sinks=(sink(job.url),)
        )
        self._done = 0
        self._next = int(time() * 1e6)

    async def prepare(self, units: int) -> None:
        """
        See L{Task.prepare}.
        """
        fill(self._path, units, self._next)
        self._next += units
        self._done += units
        self._gateway = Gateway(self._reactor, self._settings)

    async def work(self) -> None:
        """
        See L{Task.work}.
        """
        gateway = self._gateway
        gateway.startService()
        while await gateway.store.read(_delivered) < self._done:
            await deferLater(self._reactor, _EVERY, lambda: None)
        await gateway.stopService()


class Batches:
    """
    Batches that are ready to be posted.
    """

    def __init__(self, reactor: Any, job: Job) -> None:
        self._url = job.url
        self._client = Client(reactor, job.url)
        self._client.start()
        self._bodies: list[bytes] = []
        self._next = int(time() * 1e6)

    async def prepare(self, units: int) -> None:
        """
        See L{Task.prepare}.
        """
        known: dict[tuple[str, str], journal.Series] = {}
        entries = []
        for id, one in enumerate(readings(units, self._next)):
            key = one.device, one.name
            series = known.setdefault(key, journal.Series(*key, "", {}, one.device))
            entries.append(journal.Entry(id, series, one.time, one.value))
        self._next += units
        encoder = Encoder(False, False)
        self._bodies = [
            gzip.compress(encoder.encode(entries[at : at + _BATCH]).body(), _LEVEL, mtime=0)
            for at in range(0, units, _BATCH)
        ]
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        query = f"q=CREATE DATABASE {NAME}".replace(" ", "%20")
        await self._client.post(f"{self._url}/query", form, query.encode())

    async def work(self) -> None:
        """
        See L{Task.work}.
        """
        for body in self._bodies:
            target = f"{self._url}/write?db={NAME}&precision=u"
            answer = await self._client.post(target, {"Content-Encoding": "gzip"}, body)
            if answer.status != 204:
                raise BenchmarkError(f"InfluxDB answers {answer.status}: {answer.body!r}")


class _Control(LineOnlyReceiver):
    """
    Speaks with the parent process. See L{benchmarks.servers}.
    """

    delimiter = b"\n"

    def __init__(self, task: Task, stop: Callable[[], object]) -> None:
        self._task = task
        self._stop = stop

    def connectionMade(self) -> None:
        """
        Nobody needs to connect.
        """
        self.sendLine(b"0")

    def lineReceived(self, line: bytes) -> None:
        """
        Do the work for a number of units.
        """
        Deferred.fromCoroutine(self._work(int(line))).addErrback(self._fail)

    def connectionLost(self, reason: object = None) -> None:
        """
        End.
        """
        self._stop()

    async def _work(self, units: int) -> None:
        await self._task.prepare(units)
        self.sendLine(json.encode(mark(0)))
        await self._task.work()
        self.sendLine(json.encode(mark(0)))

    def _fail(self, failure: Any) -> None:
        failure.printTraceback()
        self._stop()


#: What a job's C{kind} may be.
TASKS: dict[str, Callable[[Any, Job], Task]] = {"drain": Drain, "batches": Batches}


def run(job: Job) -> None:
    """
    Run a task until the parent closes its end.
    """
    serve(job, lambda reactor: _Control(TASKS[job.kind](reactor, job), reactor.stop))


def _delivered(connection: sqlite3.Connection) -> int:
    """
    What all sinks have passed on. To look at their backlogs as well would take longer than that.
    """
    question = "SELECT coalesce(sum(delivered), 0) FROM cursors"
    delivered: int = connection.execute(question).fetchone()[0]
    return delivered


def count(answer: bytes) -> int:
    """
    How many values InfluxDB has, by what it answers to C{SELECT count(value) FROM /.*/}.
    """
    found: Sequence[Any] = json.decode(answer)["results"][0].get("series", [])
    return sum(series["values"][0][1] for series in found)

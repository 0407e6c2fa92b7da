"""
The process that is measured: a gateway as the daemon has it, or the bare limit beside it.

Its first line of input is a L{Job}. It answers with the port that it listens on. Each line after
that is a number of units to expect: it answers with a L{Mark} at once, and with another as soon
as all of them are taken in.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from time import time
from typing import Any

from msgspec import json, structs
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.stdio import StandardIO
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.protocols.basic import LineOnlyReceiver
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request, TextMessage

from benchmarks import mqtt, sinks
from benchmarks.marks import Job, Mark, descriptors, mark
from sensord.config import DEFAULTS
from sensord.gateway import Gateway
from sensord.reading import Clock, Reading
from sensord.settings import StoreSettings
from sensord.store import schema

#: As many connections as a case may want.
_MOST = 100_000

#: How many series the rows of L{_write} belong to, as many as one Arduino has.
_SERIES = 21

_INSERT = (
    "INSERT INTO readings (series, time, value, clock) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (series, time) DO NOTHING"
)


class Tally:
    """
    How much is still to come.

    @ivar left: what is missing, in what the server counts. Who takes it off calls L{done} at 0.
    @ivar commits: the transactions so far.
    @ivar done: called when nothing is missing any more.
    """

    def __init__(self) -> None:
        self.left = 0
        self.commits = 0
        self.done: Callable[[], object] = lambda: None

    def follow(self, readings: Sequence[Reading]) -> None:
        """
        Take off what the store has committed.
        """
        self.commits += 1
        self.left -= len(readings)
        if not self.left:
            self.done()


class Discard(Protocol):
    """
    The least that a server can do with bytes.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def dataReceived(self, data: bytes) -> None:
        """
        Count them.
        """
        tally = self._tally
        tally.left -= len(data)
        if not tally.left:
            tally.done()


class Split(Protocol):
    """
    The least that a server can do with lines.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._rest = b""

    def dataReceived(self, data: bytes) -> None:
        """
        Split them, and count them.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        tally = self._tally
        for line in lines:
            if line.split():
                tally.left -= 1
        if not tally.left:
            tally.done()


class Bare(Protocol):
    """
    The least that a server can do with WebSocket messages, by wsproto.
    """

    transport: Any

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._talk = WSConnection(ConnectionType.SERVER)

    def dataReceived(self, data: bytes) -> None:
        """
        Count the messages.
        """
        tally, talk = self._tally, self._talk
        talk.receive_data(data)
        for event in talk.events():
            if isinstance(event, Request):
                self.transport.write(talk.send(AcceptConnection()))
            elif isinstance(event, TextMessage):
                tally.left -= 1
                if not tally.left:
                    tally.done()


class Control(LineOnlyReceiver):
    """
    Speaks with the parent process.

    @param port: what is to be told at first.
    @param stop: called when the parent is gone.
    """

    delimiter = b"\n"

    def __init__(self, job: Job, tally: Tally, port: int, stop: Callable[[], object]) -> None:
        self._size = job.size
        self._tally = tally
        self._port = port
        self._stop = stop
        tally.done = self._tell

    def connectionMade(self) -> None:
        """
        Say where the server listens.
        """
        self.sendLine(b"%d" % self._port)

    def lineReceived(self, line: bytes) -> None:
        """
        Expect that many units.
        """
        self._tally.left = int(line) * self._size
        self._tell()

    def connectionLost(self, reason: object = None) -> None:
        """
        End.
        """
        self._stop()

    def _tell(self) -> None:
        self.sendLine(json.encode(mark(self._tally.commits)))


def gateway(reactor: Any, job: Job, tally: Tally) -> int:
    """
    Start sensord with its defaults, but on free ports.

    @return: the port of the wire format that the job's C{kind} names.
    """
    settings = structs.replace(
        DEFAULTS,
        store=StoreSettings(path=f"{job.folder}/sensord.sqlite"),
        listeners=tuple(
            structs.replace(one, listen="tcp:0:interface=127.0.0.1", max_connections=_MOST)
            for one in DEFAULTS.listeners
        ),
        sinks=(sinks.sink(job.url),) if job.backlog else (),
    )
    if job.backlog:
        sinks.fill(Path(settings.store.path), job.backlog, int(time() * 1e6))
    service = Gateway(reactor, settings)
    service.store.follow(tally.follow)
    service.startService()
    address: Any = next(
        getattr(service.listeners[one.name], "address", None)
        for one in settings.listeners
        if one.wire == job.kind
    )
    port: int = address.port
    return port


def bare(reactor: Any, job: Job, tally: Tally) -> int:
    """
    Start the bare limit that the job's C{kind} names.

    @return: its port.
    """
    factory = Factory.forProtocol(lambda: BARE[job.kind](tally))
    factory.noisy = False
    port: int = reactor.listenTCP(0, factory, 1024, "127.0.0.1").getHost().port
    return port


#: The limits of what comes over TCP.
BARE: dict[str, Callable[[Tally], Protocol]] = {
    "discard": Discard,
    "split": Split,
    "wsproto": Bare,
}

#: What a job's C{kind} may be, beside C{rows}.
KINDS: dict[str, Callable[[Any, Job, Tally], int]] = {
    **dict.fromkeys(BARE, bare),
    "esp8266": gateway,
    "lines": gateway,
    "poe": gateway,
    "websocket": gateway,
}


def serve(job: Job) -> None:
    """
    Run a server until the parent closes its end.
    """
    from twisted.internet import reactor

    with open(f"{job.folder}/log", "w", encoding="utf-8") as log:
        globalLogBeginner.beginLoggingTo([textFileLogObserver(log)], redirectStandardIO=False)
        tally = Tally()
        port = KINDS[job.kind](reactor, job, tally)
        loop: Any = reactor
        StandardIO(Control(job, tally, port, loop.stop))
        loop.run()


def rows(job: Job) -> None:
    """
    Be the bare limit of storing: rows that lie ready go into the same tables, in transactions of
    the same size.
    """
    commits = 0
    with closing(schema.connect(Path(job.folder, "rows.sqlite"))) as connection:
        cursor = connection.cursor()
        time = 0
        _say(0)
        for line in sys.stdin:
            count = int(line)
            ready = [
                (1 + each % _SERIES, time + each, each % 256, Clock.ARRIVAL.code)
                for each in range(count)
            ]
            time += count
            batches = [ready[start : start + job.batch] for start in range(0, count, job.batch)]
            _say(mark(commits))
            for batch in batches:
                cursor.execute("BEGIN IMMEDIATE")
                cursor.executemany(_INSERT, batch)
                cursor.execute("COMMIT")
            commits += len(batches)
            _say(mark(commits))


def _say(what: Mark | int) -> None:
    sys.stdout.write(json.encode(what).decode() + "\n")
    sys.stdout.flush()


def main() -> None:
    """
    Be the server that the first line asks for.
    """
    descriptors()
    job = json.decode(sys.stdin.readline(), type=Job)
    if job.kind in sinks.TASKS:
        sinks.run(job)
    elif job.kind in mqtt.TASKS:
        mqtt.run(job)
    else:
        rows(job) if job.kind == "rows" else serve(job)


if __name__ == "__main__":
    main()

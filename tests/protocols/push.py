"""
What the tests of the HTTP that devices push to share: a listener over a real store in memory, and
clients that send it the bytes of requests.
"""

from http.client import HTTPResponse
from typing import Any

from msgspec import json
from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import Settings
from sensord.devices import Devices
from sensord.protocols.http import PushListener
from sensord.protocols.inlet import Inlet
from sensord.pushes import PushSettings
from sensord.reading import Arrivals
from sensord.settings import Secret, StoreSettings
from sensord.store.archive import Archive
from sensord.store.audit import audit
from sensord.store.database import Database
from sensord.store.service import Store
from tests.http import End, response
from tests.store.support import Disk, Runner, folder

#: When the tests take place: 2026-11-20T17:10:50Z, in seconds since the epoch.
NOW = 1_795_194_650

TOKEN = "sesame"

HOST = "192.168.1.7"


class Reactor(MemoryReactorClock):
    """
    A reactor whose ports are at the addresses that were asked for.
    """

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """
        Listen.
        """
        made: Any = super().listenTCP(port, factory, backlog, interface)
        made._hostAddress = IPv4Address("TCP", interface or "0.0.0.0", port)
        return made


class Client(End):
    """
    One connection.
    """

    def __init__(self, factory: Any, host: str = HOST, here: str = "192.168.1.1") -> None:
        peer = IPv4Address("TCP", host, 40000)
        self.transport: Any = StringTransport(IPv4Address("TCP", here, 8086), peer)
        self.protocol: Any = factory.buildProtocol(peer)
        if self.protocol is not None:
            self.protocol.makeConnection(self.transport)

    def ask(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        /,
        *,
        auth: str = f"Bearer {TOKEN}",
        **fields: str,
    ) -> None:
        """
        Send a request.

        @param fields: of its head, with C{_} for C{-}.
        """
        head = {"Host": "gateway:8086", "Content-Length": str(len(body))}
        head |= {"Authorization": auth} if auth else {}
        head |= {name.replace("_", "-"): value for name, value in fields.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        self.send(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body)

    def answer(self, method: str = "POST") -> HTTPResponse:
        """
        The answer that has come.
        """
        return response(self.taken(), method)


class PushTestCase(SynchronousTestCase):
    """
    A listener.

    @ivar way: the listener.
    @ivar disk: what the store writes to.
    """

    def setUp(self) -> None:
        """
        Start a store.
        """
        self.clock: Any = Reactor()
        self.clock.advance(NOW)
        self.path = folder(self) / "sensord.sqlite"
        self.disk, self.writer = Disk(), Runner()
        self.disk.durable = False

    def begin(self, most: int = 200_000, /, **more: Any) -> PushListener:
        """
        Start a listener.

        @param most: readings that may wait to be stored.
        """
        given: dict[str, Any] = {"listen": "tcp:8086", "token": Secret(TOKEN), **more}
        settings = PushSettings("push", "http", **given)
        described = Devices(Settings(listeners=(settings,)), self.clock.seconds)
        self.presence = described.presence
        database = Database(self.path, described.describe, connect=self.disk.connect)
        stored = StoreSettings(max_pending=most)
        self.store = Store(self.clock, database, self.writer, Runner(), stored)
        self.store.startService()
        self.addCleanup(database.close)
        arrivals = Arrivals(self.clock.seconds)
        source = described.source(settings, arrivals)
        inlet = Inlet("push", source, self.store.account("push"), self.presence, self.clock)
        self.way = PushListener(self.clock, settings, inlet)
        self.store.watch(self.way.steer)
        self.way.startService()
        return self.way

    def client(self, host: str = HOST, here: str = "192.168.1.1") -> Client:
        """
        A client connects.
        """
        return Client(self.way.factory, host, here)

    def push(
        self, target: str, body: bytes | str = b"", method: str = "POST", **fields: str
    ) -> HTTPResponse:
        """
        What is answered to a request, as soon as it is.
        """
        client = self.client()
        client.ask(method, target, body if isinstance(body, bytes) else body.encode(), **fields)
        if not client.transport.value():
            self.clock.advance(0.01)
        return client.answer(method)

    def told(self, target: str, body: bytes | str = b"", status: int = 400, **more: Any) -> Any:
        """
        The JSON of an answer that is no success.
        """
        answer = self.push(target, body, **more)
        text = answer.read()
        self.assertEqual(answer.status, status, text)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        return json.decode(text)

    def stored(self) -> list[tuple[str, str, Any]]:
        """
        The device, name and value of all readings that are stored, but for the prefix of devices.
        """
        return [
            (row.reading.device.removeprefix("push/"), row.reading.name, row.reading.value)
            for page in Archive(self.path).export()
            for row in page
        ]

    def times(self) -> list[float]:
        """
        The times of all readings, in seconds after L{NOW}.
        """
        return [
            row.reading.time / 1e6 - NOW for page in Archive(self.path).export() for row in page
        ]

    def ledger(self) -> tuple[int, int, int, int]:
        """
        What was received, committed, a duplicate and rejected; it has to agree with the rows.
        """
        found = audit(Archive(self.path))
        self.assertEqual(found.faults, [])
        for one in found.accounts:
            if one.listener == "push":
                return one.received, one.committed, one.duplicate, one.rejected
        return 0, 0, 0, 0

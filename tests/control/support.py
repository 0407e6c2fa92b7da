"""
What the tests of the control API share: a gateway's worth of objects in memory, and a client that
sends it the bytes of HTTP.
"""

from functools import partial
from http.client import HTTPResponse
from typing import Any, ClassVar

from msgspec import json
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from sensord.commands import Commands
from sensord.config import Settings, parse
from sensord.control.api import Api
from sensord.control.channel import site
from sensord.control.reloads import Reloader
from sensord.devices import Devices
from sensord.downlink import Downlink
from sensord.listeners import PortSettings
from sensord.outlets import SinkSettings
from sensord.protocols.inlet import Inlet
from sensord.protocols.listener import Listener
from sensord.protocols.port import PortFactory
from sensord.reading import Arrivals, Intake
from sensord.sinks.outbox import Outbox
from sensord.store.database import Database
from sensord.store.service import Store
from sensord.wires import WIRES
from tests.http import End, response
from tests.sinks.support import MemorySink
from tests.store.support import Disk, Runner, folder, reading

#: When the tests take place: 2026-11-20T17:10:50Z, in microseconds since the epoch.
NOW = 1_795_194_650_000_000

SETTINGS: dict[str, Any] = {
    "listeners": [
        {"name": "poe", "wire": "poe", "listen": "tcp:1234", "command": "{variable},{value}"},
        {"name": "barn", "wire": "poe", "listen": "tcp:1235"},
    ],
    "devices": [
        {
            "address": "poe/192.168.1.7",
            "name": "workshop",
            "tags": {"place": "cellar"},
            "values": [{"name": "oven", "field": "temperature.18", "unit": "°C"}],
        },
        {"address": "poe/192.168.1.30", "name": "kitchen"},
    ],
}


class Reactor(MemoryReactorClock):
    """
    A reactor on which a port may be taken.

    @ivar ports: those that were opened.
    """

    taken = False

    def __init__(self) -> None:
        super().__init__()
        self.ports: list[Any] = []

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """
        Listen, unless the port is taken.
        """
        if self.taken:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        self.ports.append(super().listenTCP(port, factory, backlog, interface))
        return self.ports[-1]


class Device:
    """
    The link of a device.

    @ivar sent: what was sent down.
    """

    def __init__(self) -> None:
        self.sent = b""

    def send(self, data: bytes) -> None:
        """
        See L{sensord.presence.Link.send}.
        """
        self.sent += data


class Link(End):
    """
    The link of a client.
    """

    def __init__(self, case: "ApiTestCase") -> None:
        self.transport: Any = StringTransport()
        self.protocol: Any = case.site.buildProtocol(None)
        self.protocol.makeConnection(self.transport)


class ApiTestCase(SynchronousTestCase):
    """
    The control API over real objects.

    @cvar table: its configuration.
    @ivar site: what speaks HTTP.
    @ivar reader: runs what is asked of the database.
    @ivar writer: runs what is written to it.
    @ivar described: the descriptions of devices.
    """

    table: ClassVar[dict[str, Any]] = SETTINGS

    def setUp(self) -> None:
        """
        Start a gateway's worth of objects.
        """
        self.clock: Any = Reactor()
        self.clock.advance(NOW / 1e6)
        settings = parse(self.table)
        self.path = folder(self) / "sensord.sqlite"
        disk = Disk()
        disk.durable = False
        self.described = described = Devices(settings, self.clock.seconds)
        self.presence = described.presence
        database = Database(self.path, described.describe, connect=disk.connect)
        self.disk, self.writer, self.reader = disk, Runner(), Runner()
        self.store = Store(self.clock, database, self.writer, self.reader)
        self.store.startService()
        self.addCleanup(database.close)
        self.commands = Commands(self.clock, self.store, self.presence, Downlink(settings))
        self.commands.startService()
        self.listeners = {
            one.name: self._listener(one, described)
            for one in settings.listeners
            if isinstance(one, PortSettings)
        }
        self.sink = MemorySink()
        settled = SinkSettings("influx", "influxdb")
        self.outbox = Outbox(self.clock, self.store, self.sink, settled)
        reloader = self.reloads(settings)
        self.api = Api(
            self.clock,
            lambda: settings if reloader is None else reloader.settings,
            self.presence,
            self.store,
            self.commands,
            self.listeners,
            {"influx": self.outbox},
            reloader=reloader,
        )
        self.site = site(self.clock, self.api.resource())

    def reloads(self, settings: Settings) -> Reloader | None:
        """
        What reads the configuration anew.

        @param settings: those at first.
        """
        return None

    def _listener(self, settings: PortSettings, described: Devices) -> Listener:
        source = described.source(settings, Arrivals(self.clock.seconds))
        account = self.store.account(settings.name)
        inlet = Inlet(settings.name, source, account, self.presence, self.clock)
        parser = partial(WIRES[settings.wire].parser, settings)
        factory = PortFactory(settings, parser, inlet, self.clock)
        listener = Listener(self.clock, settings, factory)
        listener.startService()
        self.store.watch(listener.steer)
        return listener

    def keep(self, *readings: tuple[str, str, Any, int]) -> None:
        """
        Store readings: device, name, value, and how many seconds ago.
        """
        made = [
            reading(NOW - ago * 1_000_000, value, name, device)
            for device, name, value, ago in readings
        ]
        self.admit(Intake(made))

    def admit(self, intake: Intake, listener: str = "poe") -> None:
        """
        Have something stored.
        """
        stored = self.store.account(listener).admit(intake)
        self.clock.advance(0.005)
        self.successResultOf(stored)

    def link(self) -> Link:
        """
        A client connects.
        """
        return Link(self)

    def ask(
        self, method: str, target: str | bytes, body: bytes = b"", kind: str = "application/json"
    ) -> HTTPResponse:
        """
        Send a request, and let some time pass until it is answered.

        @return: the answer; C{read} it.
        """
        link = self.link()
        head = f"Host: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        path = target if isinstance(target, bytes) else target.encode()
        link.send(b"%s /api/v1/%s HTTP/1.1\r\n" % (method.encode(), path) + head.encode() + body)
        while not link.transport.value():
            self.clock.advance(0.05)
        return self.response(link.taken(), method)

    def response(self, data: bytes, method: str = "GET") -> HTTPResponse:
        """
        A response in bytes, parsed.
        """
        return response(data, method)

    def get(self, target: str, status: int = 200) -> Any:
        """
        Ask for something.

        @return: the decoded answer.
        """
        return self.decode(self.ask("GET", target), status)

    def post(self, target: str, body: object = None, status: int = 200) -> Any:
        """
        Have something done.

        @return: the decoded answer.
        """
        data = b"" if body is None else json.encode(body)
        return self.decode(self.ask("POST", target, data), status)

    def decode(self, response: HTTPResponse, status: int) -> Any:
        """
        The answer in a response, which must have a status.
        """
        answer = json.decode(response.read())
        self.assertEqual(response.status, status, answer)
        self.assertEqual(response.headers["Content-Type"], "application/json")
        return answer

    def fault(self, target: str, status: int = 400) -> str:
        """
        Ask for something that is an error.

        @return: the reason.
        """
        answer = self.get(target, status)
        self.assertEqual(list(answer), ["error"])
        why: str = answer["error"]
        return why

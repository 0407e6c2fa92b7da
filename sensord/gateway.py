"""
The gateway: everything wired together, started and stopped in order.
"""

from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.logger import Logger

from sensord.commands import Commands
from sensord.config import DEFAULTS, Settings, parse
from sensord.devices import Devices
from sensord.downlink import Downlink
from sensord.listeners import ListenerSettings, PortSettings
from sensord.outlets import SinkSettings
from sensord.protocols.inlet import Inlet
from sensord.protocols.listener import Listener
from sensord.protocols.mqtt import Subscriber
from sensord.protocols.port import PortFactory
from sensord.protocols.radio import RadioLink
from sensord.protocols.registrar import Registrar
from sensord.protocols.serial import SerialLink
from sensord.protocols.stream import AnsweringProtocol, StreamProtocol
from sensord.protocols.websocket import WebSocketProtocol
from sensord.reading import Arrivals
from sensord.sinks import kinds, strays
from sensord.sinks.outbox import Outbox
from sensord.sources.topics import TopicSource
from sensord.store.database import Database
from sensord.store.service import Store
from sensord.watch import Watch
from sensord.wire.topics import Pattern
from sensord.wires import WIRES, RadioSettings, SerialSettings, SubscriberSettings
from sensord.worker import Worker

if TYPE_CHECKING:
    from sensord.hubs.manager import Manager


class Gateway(Service):
    """
    The root service. It can run under C{twistd}, or inside of any other Twisted program.

    @param reactor: the reactor, which is the clock too.
    @param settings: the configuration, or plain tables of the same shape as the file.
    @param worker: makes what runs blocking calls.
    @param now: the time of day, in seconds since the epoch; by default, the reactor's.
    @ivar store: the storage service: C{record}, C{follow}, C{latest}, C{history}.
    @ivar presence: who was heard when, and who can be reached.
    @ivar commands: sends values down to devices: C{send}, C{list}, C{follow}.
    @ivar listeners: the ways in, by name.
    @ivar sinks: the ways out, by name.
    @ivar hubs: the hub manager; L{None} without one.
    """

    name = "sensord"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: Settings | Mapping[str, Any] = DEFAULTS,
        worker: Callable[[Any, str], Worker] = Worker,
        now: Callable[[], float] | None = None,
    ) -> None:
        if not isinstance(settings, Settings):
            settings = parse(settings)
        self._reactor = reactor
        self._now = now or reactor.seconds
        self._worker = partial(worker, reactor)
        self._writer, self._reader = self._worker("sensord-writer"), self._worker("sensord-reader")
        self._workers = [self._writer, self._reader]
        self.hubs: Manager | None = None
        if settings.hubs is not None:
            settings = self._manage(settings)
        self.settings = settings
        self._arrivals = Arrivals(self._now)
        self._devices = Devices(settings, self._now)
        self.presence = self._devices.presence
        self._database = Database(
            Path(settings.store.path), self._devices.describe, settings.store.max_quarantine
        )
        self.store = Store(
            reactor,
            self._database,
            self._writer.run,
            self._reader.run,
            settings.store,
            self._now,
        )
        self._watch = Watch(reactor, self.store, self.presence)
        self.commands = Commands(
            reactor, self.store, self.presence, Downlink(settings), settings.commands
        )
        self.listeners = {one.name: self._way(one) for one in settings.listeners}
        self.sinks = {one.name: self._outbox(one) for one in settings.sinks}
        self._doors = self._build()

    def startService(self) -> None:
        """
        Open the database, then the ports.

        @raise StoreError: if the database cannot be used.
        @raise ConfigError: if an endpoint string is none, or if the control socket or the manhole
            cannot be used.
        @raise CannotListenError: if a port is taken.
        """
        for worker in self._workers:
            worker.start()
        try:
            self.store.startService()
            self._log.info(
                "storing in {path}; {count} devices are described",
                path=self._database.path,
                count=len(self.settings.devices),
            )
            # The doors before the commands: a second daemon on one database fails at the socket of
            # the first, and must not send again what that one is about to send.
            # Hubs last: what has a process of its own is not to be begun in vain.
            first = (*self._doors, self._watch, self.commands)
            last = () if self.hubs is None else (self.hubs,)
            ways = (*self.sinks.values(), *self.listeners.values())
            for service in (*first, *ways, *last):
                service.startService()
        except BaseException:
            self._retreat()
            raise
        super().startService()
        Deferred.fromCoroutine(strays.warn(self.store, self.sinks)).addErrback(
            lambda failure: self._log.warn("{error}", error=failure.value)
        )

    def stopService(self) -> Deferred[None]:
        """
        Close the ports, store what came in, answer for it, close the database.

        @return: fires when all of that is done.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        ways = list(self.listeners.values())
        await gatherResults([maybeDeferred(door.stopService) for door in self._doors])
        self.store.archive.interrupt()  # nobody waits for the answers any more
        inner = [way for way in ways if way.running]
        hubs = [] if self.hubs is None else [self.hubs]
        await gatherResults([way.stopService() for way in (*inner, *hubs)])
        await self.commands.stopService()
        await self._watch.stopService()
        await gatherResults([sink.stopService() for sink in self.sinks.values()])
        await self.store.stopService()
        await gatherResults([Deferred.fromCoroutine(way.disconnect()) for way in ways])
        for worker in reversed(self._workers):
            worker.stop()

    def _retreat(self) -> None:
        """
        The start failed half-way: let go of everything, without waiting for a reactor that may
        never run.
        """
        hubs = () if self.hubs is None else (self.hubs,)
        ways = (*hubs, *self.listeners.values(), *self.sinks.values())
        for service in (*ways, *self._doors, self.commands, self._watch):
            if service.running:
                service.stopService()
        for worker in reversed(self._workers):
            worker.stop()
        self._database.close()  # what was still to be written has opened it again

    def _way(self, settings: ListenerSettings) -> Listener | SerialLink | Subscriber:
        """
        One way in.
        """
        parser = partial(WIRES[settings.wire].parser, settings)
        inlet = Inlet(
            settings.name,
            self._devices.source(settings, self._arrivals),
            self.store.account(settings.name),
            self.presence,
            self._reactor,
        )
        way: Listener | SerialLink | Subscriber
        match settings:
            case SubscriberSettings():
                way = self._subscriber(settings, inlet)
            case RadioSettings():
                way = RadioLink(self._reactor, settings, inlet, parser)
            case SerialSettings():
                way = SerialLink(self._reactor, settings, inlet, parser)
            case PortSettings():
                link = _link(settings)
                factory = PortFactory(settings, parser, inlet, self._reactor, link)
                way = Listener(self._reactor, settings, factory)
        self.store.watch(way.steer)
        return way

    def _subscriber(self, settings: SubscriberSettings, inlet: Inlet) -> Subscriber:
        """
        A way in by a broker.
        """
        database = self._database.path.absolute()
        digest = sha256(f"{gethostname()}:{database}".encode()).hexdigest()[:12]
        registrar, source = None, inlet.source
        if isinstance(source, TopicSource) and source.registry is not None:
            stem = Pattern(settings.topic).stem
            registrar = Registrar(source.registry, stem, inlet, self._writer.run)
        identity = f"sensord-{settings.name}-{digest}"
        return Subscriber(self._reactor, settings, inlet, identity, registrar)

    def _outbox(self, settings: SinkSettings) -> Outbox:
        """
        One way out.
        """

        def interval(address: str) -> float:
            record = self.presence.get(address)
            return record.interval if record is not None else 0.0

        worker = self._worker(f"sensord-{settings.name}")  # a share that hangs holds up nobody else
        self._workers.append(worker)
        sink = kinds.SINKS[settings.kind](self._reactor, settings, worker.run, interval, self._now)
        return Outbox(self._reactor, self.store, sink, settings)

    def _manage(self, settings: Settings) -> Settings:
        """
        Make the hub manager.

        @return: the settings of this gateway itself.
        """
        from sensord.hubs.manager import Manager
        from sensord.hubs.plan import own

        worker = self._worker("sensord-hubs")
        self._workers.append(worker)
        self.hubs = Manager(self._reactor, settings, worker.run, self._now)
        return own(settings)

    def _build(self) -> list[Service]:
        """
        The doors for operators: those that are wanted. What they are made of takes long to import.
        """
        settings, doors = self.settings, list[Service]()
        if settings.control.socket:
            from sensord.control.api import Api
            from sensord.control.service import Control

            api = Api(
                self._reactor,
                settings,
                self.presence,
                self.store,
                self.commands,
                self.listeners,
                self.sinks,
                self.hubs,
            )
            path = Path(settings.store.path).parent / settings.control.socket
            doors.append(Control(self._reactor, path, api))
        if settings.manhole is not None:
            from sensord.manhole.namespace import namespace, vocabulary
            from sensord.manhole.service import Manhole

            names = namespace(self)
            words = vocabulary(self, self._reactor)
            doors.append(Manhole(self._reactor, settings.manhole, names, words))
        return doors


def _link(settings: PortSettings) -> Callable[[PortFactory, str, Any], StreamProtocol]:
    """
    What makes the connections of a port.
    """
    if settings.wire == "websocket":
        return partial(WebSocketProtocol, ack=settings.ack)
    return AnsweringProtocol if settings.ack else StreamProtocol

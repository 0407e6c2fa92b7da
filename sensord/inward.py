"""
The ways in of a gateway: how they are made, and how they go on when their settings change.
"""

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from socket import gethostname
from typing import Any

from msgspec import structs

from sensord.devices import Devices
from sensord.lineup import Lineup
from sensord.listeners import ListenerSettings, PortSettings
from sensord.protocols.http import PushListener
from sensord.protocols.inlet import Inlet
from sensord.protocols.listener import Listener
from sensord.protocols.mqtt import Subscriber
from sensord.protocols.port import PortFactory
from sensord.protocols.radio import RadioLink
from sensord.protocols.registrar import Registrar
from sensord.protocols.serial import SerialLink
from sensord.protocols.stream import AnsweringProtocol, StreamProtocol
from sensord.protocols.websocket import WebSocketProtocol
from sensord.pushes import PushSettings
from sensord.reading import Arrivals
from sensord.settings import Secret
from sensord.sources.topics import TopicSource
from sensord.store.service import Run, Store
from sensord.wire.topics import Pattern
from sensord.wires import WIRES, RadioSettings, SerialSettings, SubscriberSettings

Way = Listener | PushListener | SerialLink | Subscriber

#: The settings that change without a link being closed: limits, what is made of values, and what
#: is sent down.
_SOFT = {
    *("max_connections", "idle_timeout", "allow"),
    *("columns", "variables", "command", "backdate"),
    *("max_body", "device_tags", "ignore_tags"),
}


class Inward:
    """
    The ways in.

    @param database: the file that tells one gateway from another.
    @param write: runs blocking calls.
    @ivar ways: all of them, by name. It is always the same dictionary.
    """

    def __init__(
        self,
        reactor: Any,
        settings: Sequence[ListenerSettings],
        devices: Devices,
        arrivals: Arrivals,
        store: Store,
        database: Path,
        write: Run,
    ) -> None:
        self._reactor = reactor
        self._devices = devices
        self._arrivals = arrivals
        self._store = store
        self._database = database
        self._write = write
        self._anew = False
        self._inlets: dict[str, Inlet] = {}
        self._unwatch: dict[Way, Callable[[], None]] = {}
        self._lineup: Lineup[ListenerSettings, Way] = Lineup(self._make, self._revise, self._leave)
        self._lineup.fill({one.name: one for one in settings})
        self.ways = self._lineup.members

    async def change(self, settings: Sequence[ListenerSettings], anew: bool) -> None:
        """
        Have other ways in.

        @param anew: whether descriptions are not what they were: then what comes by all of them is
            decoded by those of now. What else is known of devices by now begins anew with that.
        @raise ConfigError: if one cannot be opened; likewise the other two.
        @raise CannotListenError: if a port is taken.
        @raise OSError: if a file cannot be read.
        """
        self._anew = anew
        try:
            await self._lineup.change({one.name: one for one in settings})
        finally:
            for way in self.ways.values():
                way.steer(self._store.ready, self._store.full)
        for name in self._inlets.keys() - self.ways.keys():
            del self._inlets[name]

    def _make(self, settings: ListenerSettings) -> Way:
        """
        One way in.
        """
        parser = partial(WIRES[settings.wire].parser, settings)
        inlet = self._inlets[settings.name] = Inlet(
            settings.name,
            self._devices.source(settings, self._arrivals),
            self._store.account(settings.name),
            self._devices.presence,
            self._reactor,
            _secret(settings),
        )
        way: Way
        match settings:
            case SubscriberSettings():
                way = self._subscriber(settings, inlet)
            case PushSettings():
                way = PushListener(self._reactor, settings, inlet)
            case RadioSettings():
                way = RadioLink(self._reactor, settings, inlet, parser)
            case SerialSettings():
                way = SerialLink(self._reactor, settings, inlet, parser)
            case PortSettings():
                link = _link(settings)
                factory = PortFactory(settings, parser, inlet, self._reactor, link)
                way = Listener(self._reactor, settings, factory)
        self._unwatch[way] = self._store.watch(way.steer)
        return way

    def _subscriber(self, settings: SubscriberSettings, inlet: Inlet) -> Subscriber:
        """
        A way in by a broker.
        """
        database = self._database.absolute()
        digest = sha256(f"{gethostname()}:{database}".encode()).hexdigest()[:12]
        registrar, source = None, inlet.source
        if isinstance(source, TopicSource) and source.registry is not None:
            stem = Pattern(settings.topic).stem
            registrar = Registrar(source.registry, stem, inlet, self._write)
        identity = f"sensord-{settings.name}-{digest}"
        return Subscriber(self._reactor, settings, inlet, identity, registrar)

    async def _revise(self, way: Way, before: ListenerSettings, after: ListenerSettings) -> bool:
        """
        Have a way in go on by other settings, if that is possible.
        """
        if _hard(before) != _hard(after):
            return False
        if not self._anew:
            return True
        inlet = self._inlets[after.name]
        old, new = inlet.source, self._devices.source(after, self._arrivals)
        new.oddities = old.oddities
        if isinstance(old, TopicSource) and isinstance(new, TopicSource):
            new.registry = old.registry  # which others have, too
        inlet.source = new
        if isinstance(way, Listener) and isinstance(after, PortSettings):
            way.revise(after)
        if isinstance(way, PushListener) and isinstance(after, PushSettings):
            way.revise(after)
        return True

    async def _leave(self, way: Way) -> None:
        self._unwatch.pop(way)()
        await way.disconnect()


def _hard(settings: ListenerSettings) -> list[object]:
    """
    What cannot change without links being closed.
    """
    fields = structs.fields(settings)
    return [type(settings), *(getattr(settings, f.name) for f in fields if f.name not in _SOFT)]


def _secret(settings: ListenerSettings) -> Secret:
    """
    What its devices have to show.
    """
    found = (getattr(settings, name, None) for name in ("token", "key"))
    return next((one for one in found if isinstance(one, Secret)), Secret())


def _link(settings: PortSettings) -> Callable[[PortFactory, str, Any], StreamProtocol]:
    """
    What makes the connections of a port.
    """
    if settings.wire == "websocket":
        return partial(WebSocketProtocol, ack=settings.ack)
    return AnsweringProtocol if settings.ack else StreamProtocol

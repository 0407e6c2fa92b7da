"""
The HTTP to which devices push readings, on a port of its own or on that of the page.
"""

from collections.abc import Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site

from sensord.config import ConfigError
from sensord.control.channel import Body, site
from sensord.control.query import Trouble, reply
from sensord.endpoints import key, listen, place
from sensord.protocols import port
from sensord.protocols.inlet import Inlet
from sensord.protocols.pushed import Pushed
from sensord.pushes import EXPOSED, PushSettings
from sensord.web.origins import local
from sensord.web.settings import exposed

#: Seconds that requests have for being answered when the listener stops, and clients for taking
#: their answers; and how often in a second it looks whether that is done.
_GRACE, _LOOKS = 1.0, 20


class PushLink(ProtocolWrapper):
    """
    A connection.

    @ivar host: whose it is.
    @ivar met: the devices that are at its end; of those that push, nobody knows.
    """

    factory: "PushFactory"
    met: frozenset[str] = frozenset()

    @property
    def host(self) -> str:
        """
        Whose it is.
        """
        return port.host(self.getPeer())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        It is gone.
        """
        self.factory.inlet.lost(self.host, reason)
        super().connectionLost(reason)


class PushFactory(WrappingFactory):
    """
    The connections of one listener.

    @ivar inlet: where what comes in is decoded and stored.
    @ivar refused: peers that were not let in: connections, and requests without the token.
    """

    noisy = False
    protocol = PushLink

    def __init__(self, site: Site, settings: PushSettings, inlet: Inlet) -> None:
        super().__init__(site)
        self.inlet = inlet
        self.refused = 0
        self.revise(settings)

    @property
    def connections(self) -> set[Any]:
        """
        All of them.
        """
        return set(self.protocols)

    def revise(self, settings: PushSettings) -> None:
        """
        Go on with other limits. Who is in stays in.
        """
        self._most, self._networks = settings.max_connections, settings.networks

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """
        Let a peer in, or not.
        """
        host = port.host(addr)
        if len(self.protocols) >= self._most:
            self.refuse(host, f"there are {self._most} connections already")
        elif not port.allowed(host, self._networks):
            self.refuse(host, "its network is not allowed")
        else:
            return super().buildProtocol(addr)
        return None

    def refuse(self, host: str, why: str) -> None:
        """
        Count a peer that is not let in.
        """
        self.refused += 1
        self.inlet.warn("refused", host, "{name}: {host} is refused: {why}", host=host, why=why)


class PushListener(Service):
    """
    One way in.

    @ivar factory: the connections, if it has a port of its own.
    @ivar mounted: whether it is on the port of the page instead.
    """

    _log = Logger()

    def __init__(self, reactor: Any, settings: PushSettings, inlet: Inlet) -> None:
        self.name = settings.name
        self.mounted = settings.mounted
        self.inlet = inlet
        self._reactor = reactor
        self._settings = settings
        self._pushed = Pushed(
            reactor, settings, inlet, lambda host, why: self.factory.refuse(host, why)
        )
        self._site: Any = site(reactor, self._pushed, self._pushed.body, settings.idle_timeout)
        self.factory = PushFactory(self._site, settings, inlet)
        self._port: IListeningPort | None = None
        self._ready = True

    @property
    def resource(self) -> IResource:
        """
        What answers the requests.
        """
        return self._pushed

    @property
    def state(self) -> str:
        """
        How it is: C{open}, C{closed} while nothing can be stored and all requests are told so, or
        C{stopped}.
        """
        if not self.running:
            return "stopped"
        return "open" if self._ready else "closed"

    @property
    def connected(self) -> int:
        """
        How many connections there are; on the port of the page, requests.
        """
        return self._pushed.open if self.mounted else len(self.factory.protocols)

    @property
    def where(self) -> str:
        """
        Where devices find it, for people.
        """
        kind = "https" if self._settings.listen.startswith("ssl:") else "http"
        if self.mounted:
            return "the port of the page"
        return place(self.address, kind) if self.address else self._settings.listen

    @property
    def address(self) -> IAddress | None:
        """
        Where it listens; L{None} while it does not.
        """
        return self._port.getHost() if self._port is not None else None

    def body(self, target: bytes, request: Any) -> Body | None:
        """
        The room for what is sent by a request.
        """
        return self._pushed.body(target, request)

    def startService(self) -> None:
        """
        Open the port.

        @raise ConfigError: if the endpoint string is none, or if others could come in there, and
            there is no token.
        @raise CannotListenError: if the port is taken.
        """
        if not self.mounted:
            self._port = self._listen()
        super().startService()
        self._pushed.running = True
        self._log.info("{line}", line=self._describe())

    def _listen(self) -> IListeningPort:
        text, where = self._settings.listen, key(self._settings, "listen")
        fault = ConfigError([f'{where}: "{text}" is {EXPOSED}'])
        if not self._settings.token and exposed(text):
            raise fault
        made = listen(self._reactor, text, where, self.factory)
        if not (self._settings.token or local(made.getHost())):  # a name that leads elsewhere
            made.stopListening()
            raise fault
        return made

    def revise(self, settings: PushSettings) -> None:
        """
        Go on with other settings; the port stays as it is, and so do all connections.
        """
        self._settings = settings
        self._site.rest = settings.idle_timeout
        self.factory.revise(settings)
        self._pushed.revise(settings)

    def stopService(self) -> Deferred[None]:
        """
        Close the port, and take no more. What is decoded is recorded.

        @return: fires when the port is closed.
        """
        super().stopService()
        self._pushed.running = False
        self._pushed.steer(self._ready, False)
        made, self._port = self._port, None
        if made is None:
            return succeed(None)
        stop: Any = made.stopListening
        closed: Deferred[None] = maybeDeferred(stop)
        return closed

    async def disconnect(self) -> None:
        """
        Wait a moment for the answers that are to be made, and for the clients to take them.
        """
        for _ in range(int(_GRACE * _LOOKS)):
            if not self._pushed.open:
                break
            await deferLater(self._reactor, 1 / _LOOKS, lambda: None)
        for link in tuple(self.factory.protocols):
            link.loseConnection()
        for _ in range(int(_GRACE * _LOOKS)):
            if not self.factory.protocols:
                return
            await deferLater(self._reactor, 1 / _LOOKS, lambda: None)
        for link in tuple(self.factory.protocols):
            link.abortConnection()

    def steer(self, ready: bool, full: bool) -> None:
        """
        Follow the store. The port stays open: a request that is refused says when to come again.
        """
        if self.running and ready != self._ready:
            if ready:
                self._log.info("{name}: requests are taken again", name=self.name)
            else:
                self._log.warn("{name}: refuses all, since nothing can be stored", name=self.name)
        self._ready = ready
        self._pushed.steer(ready, full)

    def _describe(self) -> str:
        answer = "each request is answered after its commit"
        kept = "refused while nothing can be stored"
        return f"{self.name}: {self.where}, http, {kept}; {answer}"


class Mount(Resource):
    """
    What devices push to on the port of the page: the listener that is there at the moment.

    @param ways: all ways in.
    """

    isLeaf = True

    def __init__(self, ways: Mapping[str, object]) -> None:
        super().__init__()
        self._ways = ways

    def render(self, request: Any) -> Any:
        """
        See L{IResource.render}.
        """
        way = self._find()
        if way is None:
            return reply(request, Trouble("there is no listener on this port"), 404)
        return way.resource.render(request)

    def body(self, target: bytes, request: Any) -> Body | None:
        """
        The room for what is sent by a request. See L{sensord.control.channel.Bodies}.
        """
        way = self._find()
        return way.body(target, request) if way is not None else None

    def _find(self) -> PushListener | None:
        return next(
            (one for one in self._ways.values() if isinstance(one, PushListener) and one.mounted),
            None,
        )

"""
The port of a listener: open while readings can be stored, closed while they cannot, so that a
device is refused and keeps what it has.
"""

import re
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamServerEndpoint
from twisted.internet.task import deferLater
from twisted.logger import Logger

from sensord.endpoints import endpoint, key, listen, place
from sensord.listeners import PortSettings
from sensord.protocols.doorstep import doorstep
from sensord.protocols.port import PortFactory
from sensord.wires import WIRES

#: Seconds between attempts to open a port again that somebody else took meanwhile.
_REOPEN = 2.0

#: Seconds that peers have for taking their last answers when the listener stops, and how often
#: in a second it looks whether they did.
_GRACE, _LOOKS = 1.0, 20


class Listener(Service):
    """
    One way in.

    @param factory: makes the protocol of each connection.
    @ivar address: where it listens; L{None} while it does not.
    """

    _log = Logger()

    def __init__(self, reactor: Any, settings: PortSettings, factory: PortFactory) -> None:
        self.name = settings.name
        self.factory = factory
        self._reactor = reactor
        self._settings = settings
        self._port: IListeningPort | None = None
        self._endpoint: IStreamServerEndpoint | None = None
        self._wanted = False
        self._turns = DeferredLock()

    @property
    def state(self) -> str:
        """
        How it is: C{open}, C{closed} while nothing can be stored, or C{stopped}.
        """
        if not self.running:
            return "stopped"
        return "open" if self._port is not None else "closed"

    @property
    def connected(self) -> int:
        """
        How many connections there are.
        """
        return len(self.factory.connections)

    @property
    def where(self) -> str:
        """
        Where devices find it, for people.
        """
        text = self._settings.listen
        kind = "tls" if text.startswith("ssl:") else "tcp"
        return place(self.address, kind) if self.address else text

    @property
    def address(self) -> IAddress | None:
        """
        Where it listens.
        """
        return self._port.getHost() if self._port is not None else None

    def startService(self) -> None:
        """
        Open the port.

        @raise ConfigError: if the endpoint string is none.
        @raise CannotListenError: if the port is taken.
        """
        text, where = self._settings.listen, key(self._settings, "listen")
        self._opened(listen(self._reactor, text, where, self.factory))
        self._endpoint = endpoint(self._reactor, text, where)
        super().startService()
        self._wanted = True
        self._log.info("{line}", line=self._describe())

    def revise(self, settings: PortSettings) -> None:
        """
        Go on with other limits; the port stays as it is, and so do all connections.

        @param settings: those that it has, but for the limits.
        """
        self._settings = settings
        self.factory.revise(settings)

    def stopService(self) -> Deferred[None]:
        """
        Close the port, and take no more from the peers that are connected: what they sent so far
        is recorded, and each link is closed as soon as its answers are written.

        @return: fires when the port is closed.
        """
        super().stopService()
        self._wanted = False
        self.factory.end()
        refused, oddities = self.factory.refused, self.factory.inlet.source.oddities
        if refused or oddities:
            self._log.info(
                "{name}: refused {refused} connections, stored {oddities} frames of unknown opt",
                name=self.name,
                refused=refused,
                oddities=oddities,
            )
        return self._move()

    async def disconnect(self) -> None:
        """
        Wait a moment for the links that are being closed, and cut the others.
        """
        for _ in range(int(_GRACE * _LOOKS)):
            if not self.factory.connections:
                return
            await deferLater(self._reactor, 1 / _LOOKS, lambda: None)
        self.factory.abort()

    def steer(self, ready: bool, full: bool) -> None:
        """
        Follow the store: close the port while nothing can be stored, and let devices wait while
        there is too much to store.
        """
        self.factory.hold(full or not ready)
        if self.running and ready != self._wanted:
            self._wanted = ready
            if ready:
                self._log.info("{name}: opening again", name=self.name)
            else:
                self._log.warn("{name}: closed, since nothing can be stored", name=self.name)
            self._move().addErrback(
                lambda failure: self._log.failure("{name}", failure, name=self.name)
            )

    def _move(self) -> Deferred[None]:
        """
        Open or close the port, after what is under way already.

        @return: fires when it is as it is wanted.
        """
        return self._turns.run(lambda: Deferred.fromCoroutine(self._follow()))

    async def _follow(self) -> None:
        complained = False
        while self._wanted != (self._port is not None):
            if self._port is not None:
                port, self._port = self._port, None
                await maybeDeferred(port.stopListening)
                continue
            assert self._endpoint is not None
            try:
                self._opened(await self._endpoint.listen(self.factory))
            except CannotListenError as error:
                if not complained:
                    self._log.error("{name}: {error}", name=self.name, error=error)
                complained = True
                await deferLater(self._reactor, _REOPEN, lambda: None)

    def _opened(self, port: IListeningPort) -> None:
        settings = self._settings
        brief = WIRES[settings.wire].brief and not settings.ack
        plain = re.match("tcp[46]?:", settings.listen)
        self._port = doorstep(self._reactor, port, self.factory) if brief and plain else port

    def _describe(self) -> str:
        settings = self._settings
        answer = "the protocol has no acknowledgement"
        if settings.ack:
            answer = "each frame is answered after its commit"
        kept = "refused while nothing can be stored"
        return f"{self.name}: {self.where}, {settings.wire}, {kept}; {answer}"

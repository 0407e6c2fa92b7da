"""
The port of a listener: open while readings can be stored, closed while they cannot, so that a
device is refused and keeps what it has.
"""

import os
import re
from typing import Any

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamServerEndpoint
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from sensord.config import ConfigError, ListenerSettings
from sensord.protocols.doorstep import doorstep
from sensord.protocols.stream import StreamFactory

#: Seconds between attempts to open a port again that somebody else took meanwhile.
_REOPEN = 2.0

#: Seconds that peers have for taking their last answers when the listener stops, and how often
#: in a second it looks whether they did.
_GRACE, _LOOKS = 1.0, 20


def endpoint(reactor: Any, settings: ListenerSettings) -> IStreamServerEndpoint:
    """
    The endpoint that a listener is to listen on.

    @raise ConfigError: if its string is none, or if a certificate that it names cannot be read.
    """
    try:
        port = re.match(r"(?:tcp[46]?|ssl):(?:port=)?(\d+)", settings.listen)
        if port and int(port[1]) > 65535:  # which would show only when it is opened
            raise ValueError(f"{port[1]} is no port")
        if settings.listen.startswith("stdio:"):
            raise ValueError("devices do not come by the terminal")
        made: IStreamServerEndpoint = serverFromString(reactor, settings.listen)
    except Exception as error:  # each kind of endpoint raises what it likes
        raise _fault(settings, error) from error
    return made


def _fault(settings: ListenerSettings, error: BaseException | None) -> ConfigError:
    why = str(error) or type(error).__name__
    return ConfigError(
        [f'[[listeners]] "{settings.name}" listen: "{settings.listen}" is no endpoint: {why}']
    )


class Listener(Service):
    """
    One way in.

    @param factory: makes the protocol of each connection.
    @ivar address: where it listens; L{None} while it does not.
    """

    _log = Logger()

    def __init__(self, reactor: Any, settings: ListenerSettings, factory: StreamFactory) -> None:
        self.name = settings.name
        self.factory = factory
        self._reactor = reactor
        self._settings = settings
        self._port: IListeningPort | None = None
        self._endpoint: IStreamServerEndpoint | None = None
        self._wanted = False
        self._turns = DeferredLock()

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
        self._endpoint = endpoint(self._reactor, self._settings)
        failures: list[Failure] = []
        self._endpoint.listen(self.factory).addCallbacks(self._opened, failures.append)
        if failures and failures[0].check(CannotListenError):
            failures[0].raiseException()
        if failures:  # a name that no system takes
            raise _fault(self._settings, failures[0].value)
        super().startService()
        self._wanted = True
        self._log.info("{line}", line=self._describe())

    def stopService(self) -> Deferred[None]:
        """
        Close the port, and take no more from the peers that are connected: what they sent so far
        is recorded, and each link is closed as soon as its answers are written.

        @return: fires when the port is closed.
        """
        super().stopService()
        self._wanted = False
        self.factory.end()
        refused, oddities = self.factory.refused, self.factory.source.oddities
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
        brief = settings.wire == "esp8266" and not settings.ack
        plain = re.match("tcp[46]?:", settings.listen)
        self._port = doorstep(self._reactor, port, self.factory) if brief and plain else port

    def _describe(self) -> str:
        settings = self._settings
        answer = "the protocol has no acknowledgement"
        if settings.ack:
            answer = "each frame is answered after its commit"
        where = _where(self.address, settings.listen.partition(":")[0])
        return (
            f"{self.name}: {where}, {settings.wire}, refused while nothing can be stored; {answer}"
        )


def _where(address: IAddress | None, kind: str) -> str:
    """
    An address as people write it.
    """
    if isinstance(address, IPv4Address | IPv6Address):
        host = f"[{address.host}]" if ":" in address.host else address.host
        return f"{'tls' if kind == 'ssl' else 'tcp'} {host}:{address.port}"
    if isinstance(address, UNIXAddress):
        return f"unix {os.fsdecode(address.name or b'')}"
    return str(address)

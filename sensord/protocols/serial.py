"""
Serial ports: each is a link that is there whenever its port is. One that is absent, unplugged or
taken by another program is tried again and again, and stops nothing else.
"""

import errno
import os
import termios
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from twisted.application.internet import ClientService
from twisted.application.service import Service
from twisted.internet.defer import Deferred, execute, succeed
from twisted.internet.error import ConnectError, ConnectionAborted
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.serialport import SerialPort
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from sensord.protocols.inlet import Inlet
from sensord.protocols.patience import Patience
from sensord.protocols.stream import StreamProtocol
from sensord.wire import Parser
from sensord.wires import RadioSettings, SerialSettings

#: Seconds within which the first byte comes if the port was opened in the middle of a line, beside
#: the time that two bytes take. USB adapters collect bytes for 16 ms before they pass them on.
SETTLE = 0.05

#: Seconds that a port has for taking the last bytes when the link stops.
_GRACE = 1.0

#: What no line contains. It is put before a line that has lost its beginning, so that the parser
#: cannot take the rest for a whole one.
_TORN = b"\xff"

#: Why a port cannot be opened, in words.
_WORDS = {
    errno.ENOENT: "it is not there",
    errno.ENODEV: "it is not there",
    errno.ENXIO: "it is not there",
    errno.EACCES: "not permitted; is the daemon's user in the group of the device, e.g. dialout?",
    errno.EPERM: "not permitted",
    errno.EAGAIN: "another program has it",
    errno.EBUSY: "another program has it",
    errno.EIO: "it does not respond",
    errno.ENOTTY: "it is no serial port",
    errno.EISDIR: "it is no serial port",
}


class _Port(SerialPort):
    """
    An open port, which is ours alone.
    """

    # Two programs that read one port would each get a part of every line. SerialPort says in its
    # documentation that this may be replaced.
    _serialFactory = partial(SerialPort._serialFactory, exclusive=True)

    def abortConnection(self) -> None:
        """
        Close it at once.
        """
        if self.connected:
            # Closing waits for what was not sent yet, up to half a minute, unless it is dropped.
            with suppress(OSError, termios.error):
                self.flushOutput()
            self.connectionLost(Failure(ConnectionAborted()))


@implementer(IAddress)
class SerialAddress:
    """
    Where a serial port is.

    @ivar host: the device file.
    """

    def __init__(self, host: str) -> None:
        self.host = host


@implementer(IStreamClientEndpoint)
class SerialEndpoint:
    """
    A serial port with eight data bits, no parity and one stop bit.

    @param port: the device file.
    @param baud: bits per second.
    """

    def __init__(self, reactor: Any, port: str, baud: int) -> None:
        self._reactor = reactor
        self._port = port
        self._baud = baud

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Open the port. What came in before that is dropped.

        @return: fails with L{ConnectError}, whose argument says why in words.
        """
        return execute(self._open, protocolFactory)

    def _open(self, factory: IProtocolFactory) -> IProtocol:
        try:
            port = _Port(Protocol(), self._port, self._reactor, baudrate=self._baud)
        except (OSError, ValueError, OverflowError, termios.error) as error:
            raise ConnectError(string=reason(error)) from error
        protocol = factory.buildProtocol(SerialAddress(self._port))
        assert protocol is not None
        # Not handed to the port above, which begins to read only after that, even if its protocol
        # has asked it to wait.
        port.protocol = protocol
        protocol.makeConnection(port)
        return protocol


def reason(error: BaseException) -> str:
    """
    Why a port could not be opened, in words.
    """
    # pyserial wraps what the system said, sometimes without its number.
    for one in (error, error.__context__):
        number = next(iter(getattr(one, "args", ())), None)
        if isinstance(number, int):
            return _WORDS.get(number) or os.strerror(number)
    return str(error)


class SerialProtocol(StreamProtocol):
    """
    What is at the other end of a serial port.

    @param baud: bits per second.
    """

    _fresh = True

    def __init__(self, factory: "SerialFactory", host: str, parser: Parser[Any], baud: int) -> None:
        super().__init__(factory, host, parser)
        self._settled = factory.clock.seconds() + SETTLE + 20 / baud
        # What waited for us to read it has waited since the port was opened.
        self._waited = factory.held

    def dataReceived(self, data: bytes) -> None:
        """
        Parse. If the device was speaking already when the port was opened, the first line lacks
        its beginning: what is left of it could look like a line of another node.
        """
        if self._fresh:
            self._fresh = False
            if self._waited or self.factory.clock.seconds() < self._settled:
                self._parser.feed(_TORN)
        super().dataReceived(data)


class SerialFactory(Factory):
    """
    The link over one port, if there is one just now.

    @param inlet: where what comes in is decoded and stored.
    @param clock: tells when it came.
    @param build: makes the protocol of a link, given this factory and the device file.
    @ivar connections: the link.
    @ivar held: whether the device is not to be read from just now.
    """

    noisy = False

    def __init__(
        self, inlet: Inlet, clock: Any, build: Callable[["SerialFactory", str], SerialProtocol]
    ) -> None:
        self.inlet = inlet
        self.clock = clock
        self.connections: set[StreamProtocol] = set()
        self.held = False
        self._build = build

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """
        The port was opened.
        """
        return self._build(self, getattr(addr, "host", "serial"))

    def hold(self, held: bool) -> None:
        """
        Let the device wait, or go on.
        """
        if held != self.held:
            self.held = held
            for connection in self.connections:
                connection.steer()


class SerialLink(Service):
    """
    One way in, by a serial port.

    @param parser: makes a parser.
    @param endpoint: opens the port.
    @ivar factory: holds the link.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: SerialSettings | RadioSettings,
        inlet: Inlet,
        parser: Callable[[], Parser[Any]],
        endpoint: IStreamClientEndpoint | None = None,
    ) -> None:
        self.name = settings.name
        self.factory = SerialFactory(inlet, reactor, self.build)
        self._reactor = reactor
        self._port, self._baud, self._wire = settings.port, settings.baud, settings.wire
        self._parser = parser
        endpoint = endpoint or SerialEndpoint(reactor, settings.port, settings.baud)
        self._patience = Patience(reactor, endpoint, settings.name, settings.port)
        self._client = ClientService(self._patience, self.factory, self._patience.lost, reactor)
        self._ready = True

    @property
    def state(self) -> str:
        """
        How it is: C{open}, C{absent} while the port cannot be used, or C{stopped}.
        """
        if not self.running:
            return "stopped"
        return "open" if self.factory.connections else "absent"

    @property
    def connected(self) -> int:
        """
        How many links there are: one, or none.
        """
        return len(self.factory.connections)

    @property
    def where(self) -> str:
        """
        Where the device is, for people.
        """
        return f"{self._port} at {self._baud} baud"

    def build(self, factory: SerialFactory, host: str) -> SerialProtocol:
        """
        The protocol of a link.

        @param host: the device file.
        """
        return SerialProtocol(factory, host, self._parser(), self._baud)

    def startService(self) -> None:
        """
        Open the port, now or when it can be.
        """
        super().startService()
        self._log.info("{line}", line=self.describe())
        self._patience.forget()
        self._client.startService()

    def stopService(self) -> Deferred[None]:
        """
        Close the port. What came in so far is recorded.

        @return: fires when it is closed.
        """
        super().stopService()
        for connection in tuple(self.factory.connections):
            connection.end()
        stopped = self._client.stopService()
        if stopped.called:
            return succeed(None)
        # A port that takes no bytes any more would keep us waiting for ever.
        cut = self._reactor.callLater(_GRACE, self._cut)

        def finish(result: None) -> None:
            if cut.active():
                cut.cancel()

        return stopped.addCallback(finish)

    async def disconnect(self) -> None:
        """
        Close the port at once, if it is still open.
        """
        self._cut()

    def steer(self, ready: bool, full: bool) -> None:
        """
        Follow the store: let the device wait while its readings cannot be taken. It does not know,
        and speaks on. What it says is kept by the system, usually some 4,000 bytes of it; beyond
        that it is lost, the latest first, and the line in which that began runs on into another. A
        port that is unplugged meanwhile shows when it is read from again.
        """
        self.factory.hold(full or not ready)
        if self.running and ready != self._ready:
            if ready:
                self._log.info("{name}: reading again", name=self.name)
            else:
                self._log.warn("{name}: not read, since nothing can be stored", name=self.name)
        self._ready = ready

    def describe(self) -> str:
        """
        The line that says what it is.
        """
        kept = "what comes while nothing can be stored waits in the system's buffer"
        answer = "the protocol has no acknowledgement"
        return f"{self.name}: {self.where}, {self._wire}, {answer}; {kept}"

    def _cut(self) -> None:
        for connection in tuple(self.factory.connections):
            connection.transport.abortConnection()

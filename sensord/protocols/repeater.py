"""
The repeater: a port at which other programs hand in what they want to send by radio, a line each.
"""

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IAddress, IListeningPort, ITCPTransport
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure

from sensord.endpoints import key, listen, place
from sensord.protocols.inlet import Inlet
from sensord.wire import rfm2pi
from sensord.wires import RadioSettings

#: Peers at a time. Each may stay for as long as it likes, since some have little to say: without a
#: limit, one that opens connections and leaves them would take up all file descriptors.
MAX_PEERS = 50

#: How much of a line is kept while its end is not there: what may be in one, with its CR, and one
#: byte more, which tells that it is too long. Without a limit, a peer that never ends its line
#: would fill the memory.
_MAX_KEPT = rfm2pi.MAX_COMMAND + 2


class RepeaterProtocol(Protocol):
    """
    One program. It is told nothing.

    @param host: its network address.
    """

    transport: Any

    def __init__(self, repeater: "Repeater", host: str) -> None:
        self._repeater = repeater
        self._host = host
        self._rest = b""

    def connectionMade(self) -> None:
        """
        Begin.
        """
        self._repeater.peers.add(self)
        if ITCPTransport.providedBy(self.transport):
            # One that vanished without a word would keep its place for ever.
            self.transport.setTcpKeepAlive(True)

    def dataReceived(self, data: bytes) -> None:
        """
        Pass on each line. The beginning of one that never ends is kept until then: it is too long
        already.
        """
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:_MAX_KEPT]
        for line in lines:
            self._repeater.take(self._host, line)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        It has left. A line that it did not end may lack a digit.
        """
        self._repeater.peers.discard(self)


class Repeater(Service):
    """
    The port of one radio.

    @param inlet: by which it complains.
    @param send: sends a command by radio; what it returns says why not, or is empty.
    @ivar peers: the programs that are connected.
    @ivar repeated: lines that were passed on.
    @ivar refused: lines that were not.
    """

    def __init__(
        self,
        reactor: Any,
        settings: RadioSettings,
        inlet: Inlet,
        send: Callable[[bytes], str],
    ) -> None:
        self.peers: set[RepeaterProtocol] = set()
        self.repeated = self.refused = 0
        self._reactor = reactor
        self._settings = settings
        self._inlet = inlet
        self._send = send
        self._port: IListeningPort | None = None

    @property
    def address(self) -> IAddress | None:
        """
        Where it listens; L{None} while it does not.
        """
        return self._port.getHost() if self._port is not None else None

    @property
    def where(self) -> str:
        """
        Where programs find it, for people.
        """
        return place(self.address) if self.address else self._settings.repeater

    def startService(self) -> None:
        """
        Open the port.

        @raise ConfigError: if the endpoint string is none.
        @raise CannotListenError: if the port is taken.
        """
        where = key(self._settings, "repeater")
        self._port = listen(self._reactor, self._settings.repeater, where, RepeaterFactory(self))
        super().startService()

    def stopService(self) -> Deferred[None]:
        """
        Close the port, and cut the links.

        @return: fires when it is closed.
        """
        super().stopService()
        for peer in tuple(self.peers):
            peer.transport.abortConnection()
        port, self._port = self._port, None
        if port is None:
            return succeed(None)
        return maybeDeferred(port.stopListening).addCallback(lambda _result: None)

    def admit(self, host: str) -> bool:
        """
        Whether one more program may connect.
        """
        if len(self.peers) < MAX_PEERS:
            return True
        self._inlet.warn(
            "crowd",
            host,
            "{name}: {host} is refused at the repeater: there are {most} connections already",
            host=host,
            most=MAX_PEERS,
        )
        return False

    def take(self, host: str, line: bytes) -> None:
        """
        Pass on a line, if it is fit for it.

        @param host: who wrote it.
        """
        if not line.strip():
            return
        command = rfm2pi.repeat(line)
        why = "no packet to send" if command is None else self._send(command)
        if not why:
            self.repeated += 1
            return
        self.refused += 1
        self._inlet.warn(
            "repeater",
            host,
            "{name}: a line from {host} is not repeated: {why}: {line}",
            host=host,
            why=why,
            line=line[:32].hex(" "),
        )


class RepeaterFactory(ServerFactory):
    """
    The links of a repeater.
    """

    noisy = False

    def __init__(self, repeater: Repeater) -> None:
        self._repeater = repeater

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """
        Let a program in, or not.
        """
        host = getattr(addr, "host", None) or "local"
        return RepeaterProtocol(self._repeater, host) if self._repeater.admit(host) else None

"""
Byte streams: one Protocol for every wire format whose parser takes a stream. It knows nothing of
the format but its parser.
"""

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any

from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from sensord.config import ListenerSettings
from sensord.devices import Source
from sensord.rarely import Rarely
from sensord.reading import Intake
from sensord.store.service import Account, NotStored
from sensord.wire import Parser

#: How often the idle time is looked at while it passes: a silent peer is disconnected after
#: one idle time and a quarter at the latest. One look at all connections is far cheaper than
#: a timer for each.
_LOOKS = 4


class StreamProtocol(Protocol):
    """
    One connection, whose peer expects no answer.

    @ivar host: the network address of the peer.
    @ivar quiet: how many looks in a row found no complete frame. Bytes alone do not count: one that
        sends a byte now and then would hold its connection for ever.
    """

    factory: "StreamFactory"
    transport: Any  # a TCP, TLS or UNIX one: their interfaces have no common name

    quiet = 0
    _over = False
    _ending = False

    def __init__(self, factory: "StreamFactory", host: str, parser: Parser[Any]) -> None:
        self.factory = factory
        self.host = host
        self._parser = parser

    def connectionMade(self) -> None:
        """
        Begin; if devices are held back just now, by waiting.
        """
        self.factory.connections.add(self)
        if self.factory.held:
            self.steer()

    def dataReceived(self, data: bytes) -> None:
        """
        Parse, and dispatch what came of it.
        """
        if self._ending:
            return  # its last frame may have been cut: what follows would be read out of step
        events = self._parser.feed(data)
        if events:
            self.quiet = 0
            self.dispatch(events)
        if self._parser.finished:
            self.end()

    def dispatch(self, events: Sequence[Any]) -> None:
        """
        Have events decoded and stored.
        """
        self.factory.account.add(self.factory.decode(self.host, events))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The link is gone. A frame may end with it.
        """
        self._over = True
        self.factory.connections.discard(self)
        self._finish()

    def end(self) -> None:
        """
        Take no more from this peer: its last frame is over.
        """
        self._finish()
        self.transport.loseConnection()

    def steer(self) -> None:
        """
        Read from the peer, or let it wait.
        """
        if self._over or self._ending:
            return
        if self.factory.held:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()

    def _finish(self) -> None:
        if not self._ending:
            self._ending = True
            if events := self._parser.close():
                self.dispatch(events)


@implementer(IHalfCloseableProtocol, IPushProducer)
class AnsweringProtocol(StreamProtocol):
    """
    One connection, whose peer is told what became of each frame.
    """

    _log = Logger()
    _unanswered = 0
    _choked = False
    _closed = False

    def connectionMade(self) -> None:
        """
        Begin. Answers that the peer does not read would pile up here: then its frames wait too.
        """
        self.transport.registerProducer(self, True)
        super().connectionMade()

    def dispatch(self, events: Sequence[Any]) -> None:
        """
        Have events decoded and stored, and answer for them when that is done.
        """
        intake = self.factory.decode(self.host, events)
        self._unanswered += 1
        stored = self.factory.account.admit(intake)
        stored.addCallback(self._answer, intake.verdicts)
        stored.addErrback(self._unstored)

    def readConnectionLost(self) -> None:
        """
        The peer will send no more, but it still wants its answers.
        """
        self.end()

    def writeConnectionLost(self) -> None:
        """
        We closed our side: nothing to do.
        """

    def end(self) -> None:
        """
        Take no more from this peer; the link is closed as soon as all is answered.
        """
        self._finish()
        if self._over or self._closed:
            return
        if self._unanswered:
            self.transport.pauseProducing()
            return
        self._closed = True
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def steer(self) -> None:
        """
        Read from the peer, or let it wait.
        """
        if not self._choked:
            super().steer()

    def pauseProducing(self) -> None:
        """
        The peer does not read its answers.
        """
        self._choked = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """
        The peer has read its answers.
        """
        self._choked = False
        self.steer()

    def stopProducing(self) -> None:
        """
        The link is gone; L{connectionLost} follows.
        """

    def _answer(self, _none: None, verdicts: bytes) -> None:
        self._unanswered -= 1
        if self._over:
            return
        self.transport.write(verdicts)
        if self._ending:
            self.end()

    def _unstored(self, failure: Failure) -> None:
        """
        Nothing was acknowledged, so nothing that was is lost. If the store is closing, it has
        said so itself; anything else is a fault of ours, and costs this link.
        """
        if failure.check(NotStored):
            return
        self._log.failure("{name}: {host}", failure, name=self.factory.name, host=self.host)
        if not self._over:
            self._closed = True
            self.transport.abortConnection()


class Refusal(Protocol):
    """
    A connection that is not wanted.
    """

    transport: Any

    def connectionMade(self) -> None:
        """
        Close it at once.
        """
        self.transport.abortConnection()


class StreamFactory(ServerFactory):
    """
    The connections of one listener.

    @ivar source: decodes its frames.
    @ivar account: where they are stored.
    @param clock: for the idle time.
    @ivar held: whether devices have to wait just now.
    @ivar refused: connections that were not let in.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        settings: ListenerSettings,
        parser: Callable[[], Parser[Any]],
        source: Source,
        account: Account,
        clock: Any,
    ) -> None:
        self.name = settings.name
        self.account = account
        self.connections: set[StreamProtocol] = set()
        self.held = False
        self.refused = 0
        self._parser = parser
        self.source = source
        self._protocol = AnsweringProtocol if settings.ack else StreamProtocol
        self._rarely = Rarely(self._log, clock)
        self._most = settings.max_connections
        self._networks = settings.networks
        self._timeout = settings.idle_timeout
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def doStart(self) -> None:
        """
        A port was opened.
        """
        super().doStart()
        if self._timeout and not self._looking.running:
            self._looking.start(self._timeout / _LOOKS, now=False)

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """
        Let a peer in, or not.
        """
        host = _host(addr)
        return self._protocol(self, host, self._parser()) if self._admits(host) else Refusal()

    def take(self, host: str, data: bytes) -> None:
        """
        Take in all that a peer had to say, which has hung up since and expects no answer.
        """
        host = _plain(host)
        if self._admits(host):
            parser = self._parser()
            if events := [*parser.feed(data), *parser.close()]:
                self.account.add(self.decode(host, events))

    def refuse(self, host: str, why: str) -> None:
        """
        Count a peer that is not let in.
        """
        self.refused += 1
        self._rarely.warn(
            "refused", host, "{name}: {host} is refused: {why}", name=self.name, host=host, why=why
        )

    def decode(self, host: str, events: Sequence[Any]) -> Intake:
        """
        What came of events, which is complained about where it is no reading.
        """
        intake = self.source.decode(host, events)
        if intake.rejected or intake.quarantined:
            for data, why in intake.rejected:
                self._complain("rejected", host, host, why, data)
            for frame in intake.quarantined:
                self._complain("quarantined", frame.why, host, frame.why, frame.data)
        return intake

    def hold(self, held: bool) -> None:
        """
        Let all devices wait, or go on.
        """
        if held != self.held:
            self.held = held
            for connection in self.connections:
                connection.steer()

    def end(self) -> None:
        """
        Finish with all peers, each after its answers.
        """
        if self._looking.running:
            self._looking.stop()
        for connection in tuple(self.connections):
            connection.end()

    def abort(self) -> None:
        """
        Cut all links that are left.
        """
        for connection in tuple(self.connections):
            connection.transport.abortConnection()

    def _look(self) -> None:
        """
        Disconnect those that were silent for too long. Those that have to wait cannot speak.
        """
        if self.held:
            return
        for connection in tuple(self.connections):
            connection.quiet += 1
            if connection.quiet > _LOOKS:
                self._rarely.warn(
                    "idle",
                    connection.host,
                    "{name}: {host} is disconnected: no frame in {timeout:g} s",
                    name=self.name,
                    host=connection.host,
                    timeout=self._timeout,
                )
                connection.transport.abortConnection()

    def _complain(self, kind: str, subject: str, host: str, why: str, data: bytes) -> None:
        self._rarely.warn(
            kind,
            subject,
            "{name}: {kind} from {host}: {why}: {data}",
            name=self.name,
            kind=kind,
            host=host,
            why=why,
            data=data[:32].hex(" ") or "(no bytes)",
        )

    def _admits(self, host: str) -> bool:
        """
        Whether a peer is let in; one that is not is counted.
        """
        if len(self.connections) >= self._most:
            why = f"there are {self._most} connections already"
        elif self._networks and not self._allowed(host):
            why = "its network is not allowed"
        else:
            return True
        self.refuse(host, why)
        return False

    def _allowed(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:  # a peer without a network, on a UNIX socket
            return False
        return any(address in network for network in self._networks)


def _host(addr: IAddress | None) -> str:
    """
    The host part of a peer's address.
    """
    host: str | None = getattr(addr, "host", None)
    return "local" if host is None else _plain(host)


def _plain(host: str) -> str:
    """
    A host as people know it. An IPv4 peer of an IPv6 port is the IPv4 host that it is.
    """
    return host.removeprefix("::ffff:").partition("%")[0] if ":" in host else host

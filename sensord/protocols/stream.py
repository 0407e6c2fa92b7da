"""
Byte streams: one Protocol for every wire format whose parser takes a stream. It knows nothing of
the format but its parser.
"""

from collections.abc import Sequence
from typing import Any
from typing import Protocol as Interface

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from sensord.presence import Congested
from sensord.protocols.inlet import Inlet
from sensord.store.account import NotStored
from sensord.wire import Parser

#: How many devices one connection can bring. Without a limit, a peer that makes up ids would fill
#: the memory.
MAX_DEVICES = 1000

#: Bytes that are read from one peer before others have their turn. With the 64 KB of Twisted, ten
#: peers that send without end would keep a neighbour waiting for 3 s. Nothing is lost by it.
_TURN = 4096


class Connections(Interface):
    """
    What a connection needs of its factory.

    @ivar inlet: where what comes in is decoded and stored.
    @ivar clock: measures how long a link takes to close.
    @ivar connections: those that are open.
    @ivar held: whether devices have to wait just now.
    """

    inlet: Inlet
    clock: Any
    connections: "set[StreamProtocol]"
    held: bool


@implementer(IPushProducer)
class StreamProtocol(Protocol):
    """
    One connection, whose peer expects no answer.

    @ivar host: the network address of the peer.
    @ivar met: the addresses of the devices at its other end.
    @ivar heard: whether anything has come since devices had to wait the last time.
    @ivar late: whether others go on before it.
    @ivar quiet: how many looks in a row found no complete frame. Bytes alone do not count: one that
        sends a byte now and then would hold its connection for ever.
    """

    factory: "Connections"
    transport: Any  # a TCP, TLS or UNIX one: their interfaces have no common name

    heard = late = False
    quiet = 0
    _devices: Sequence[str] = ()
    _over = False
    _ending = False
    _told = False  # whether the transport tells when it has enough
    _full = False

    def __init__(self, factory: "Connections", host: str, parser: Parser[Any]) -> None:
        self.factory = factory
        self.host = host
        self._inlet = factory.inlet
        self._parser = parser
        self.met: set[str] = set()

    def connectionMade(self) -> None:
        """
        Begin; if devices are held back just now, by waiting.
        """
        self.factory.connections.add(self)
        transport: Any = self.transport
        if ITCPTransport.providedBy(self.transport):
            # One that vanished without a word would keep its place for ever where there is no
            # idle time.
            transport.setTcpKeepAlive(True)
            transport.bufferSize = _TURN
        if self.factory.held:
            self.steer()

    def dataReceived(self, data: bytes) -> None:
        """
        Parse, and dispatch what came of it.
        """
        if self._ending:
            return  # its last frame may have been cut: what follows would be read out of step
        self.heard = True
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
        intake = self._inlet.decode(self.host, events)
        self._inlet.account.add(intake)
        if intake.devices is not self._devices:
            self.meet(intake.devices)

    def meet(self, devices: Sequence[str]) -> None:
        """
        These devices are at the other end.

        @param devices: their addresses.
        """
        self._devices = devices
        if self._ending:
            return  # what is sent down now would not arrive
        for address in devices:
            if address not in self.met and len(self.met) < MAX_DEVICES:
                self.met.add(address)
                self._inlet.presence.arrive(address, self)

    def send(self, data: bytes) -> None:
        """
        See L{sensord.presence.Link.send}.
        """
        if self._over or self._ending:
            raise Congested("the connection is being closed")
        if self._full:
            raise Congested("the device does not read what it is sent")
        if not self._told:
            self.transport.registerProducer(self, True)
            self._told = True
        self.transport.write(data)

    def pauseProducing(self) -> None:
        """
        The device does not read what it is sent.
        """
        self._full = True

    def resumeProducing(self) -> None:
        """
        The device has read what it was sent.
        """
        self._full = False
        if not self._ending:
            for address in tuple(self.met):
                self._inlet.presence.meet(address)

    def stopProducing(self) -> None:
        """
        The link is gone; L{connectionLost} follows.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The link is gone. A frame may end with it.
        """
        self._over = True
        self.factory.connections.discard(self)
        self._inlet.lost(self.host, reason)
        self._finish()

    def end(self) -> None:
        """
        Take no more from this peer: its last frame is over.
        """
        self._finish()
        if self._told and not self._over:
            self._told = False
            self.transport.unregisterProducer()
        self.transport.loseConnection()

    def steer(self) -> None:
        """
        Read from the peer, or let it wait.
        """
        if self._over or self._ending:
            return
        if self.factory.held or self.late:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()

    def _finish(self) -> None:
        if not self._ending:
            self._ending = True
            if events := self._parser.close():
                self.dispatch(events)
            for address in self.met:
                self._inlet.presence.leave(address, self)


@implementer(IHalfCloseableProtocol)
class AnsweringProtocol(StreamProtocol):
    """
    One connection, whose peer is told what became of each frame.
    """

    _log = Logger()
    _unanswered = 0
    _closed = False

    def connectionMade(self) -> None:
        """
        Begin. Answers that the peer does not read would pile up here: then its frames wait too.
        """
        self.transport.registerProducer(self, True)
        self._told = True
        super().connectionMade()

    def dispatch(self, events: Sequence[Any]) -> None:
        """
        Have events decoded and stored, and answer for them when that is done.
        """
        intake = self._inlet.decode(self.host, events)
        self._unanswered += 1
        stored = self._inlet.account.admit(intake)
        stored.addCallback(self._answer, intake.answer)
        stored.addErrback(self._unstored)
        if intake.devices is not self._devices:
            self.meet(intake.devices)

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
        self._told = False
        self.transport.unregisterProducer()
        self.transport.resumeProducing()  # over TLS, the peer has to say goodbye too
        self.part()

    def reply(self, answer: bytes) -> None:
        """
        Tell the peer what became of its frames.
        """
        self.transport.write(answer)

    def part(self) -> None:
        """
        Close the link, on which all is said.
        """
        self.transport.loseConnection()

    def steer(self) -> None:
        """
        Read from the peer, or let it wait.
        """
        if not self._full:
            super().steer()

    def pauseProducing(self) -> None:
        """
        The peer does not read its answers.
        """
        super().pauseProducing()
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """
        The peer has read its answers.
        """
        super().resumeProducing()
        self.steer()

    def _answer(self, _none: None, answer: bytes) -> None:
        self._unanswered -= 1
        if self._over:
            return
        self.reply(answer)
        if self._ending:
            self.end()

    def _unstored(self, failure: Failure) -> None:
        """
        Nothing was acknowledged, so nothing that was is lost. If the store is closing, it has
        said so itself; anything else is a fault of ours, and costs this link.
        """
        if failure.check(NotStored):
            return
        self._log.failure("{name}: {host}", failure, name=self._inlet.name, host=self.host)
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

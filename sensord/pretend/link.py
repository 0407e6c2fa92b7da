"""
The connections of pretend devices, and what they show of how the other side takes what is sent.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL, crypto
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectBindError,
    ConnectingCancelledError,
    ConnectionDone,
    ConnectionLost,
)
from twisted.internet.interfaces import (
    IHandshakeListener,
    IProtocolFactory,
    ISSLTransport,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

if TYPE_CHECKING:
    from sensord.simulate import Fleet

#: Seconds in which a connection that the other side closes takes along what was sent on it last.
DOUBT = 1.0


class Links(Factory):
    """
    Makes the connections of one device. See L{Fleet.link<sensord.simulate.Fleet.link>}.
    """

    noisy = False

    def __init__(
        self,
        fleet: "Fleet",
        begin: Callable[["Link"], None],
        end: Callable[[], None],
        hear: Callable[[bytes], object],
    ) -> None:
        self.fleet = fleet
        self.begin = begin
        self.end = end
        self.hear = hear

    def buildProtocol(self, addr: object) -> "Link":
        """
        One more connection.
        """
        return Link(self)


@implementer(IHandshakeListener)
class Link(Protocol):
    """
    One connection.

    @ivar admitted: whether the other side has let the device in. Over TLS it has to answer first;
        a device whose own protocol begins with a question sets this itself.
    @ivar over: whether the device has said all that it had to say.
    @ivar since: when it was made, by the reactor's clock.
    """

    transport: Any  # a TCP, TLS or UNIX one: their interfaces have no common name

    admitted = False
    over = False

    def __init__(self, links: Links) -> None:
        self._links = links
        self._fleet = links.fleet
        self.since = self._first = self._last = links.fleet.reactor.seconds()
        self._doubtful = 0  # messages that may not have been taken, sent from first to last

    def connectionMade(self) -> None:
        """
        It is open; over TLS, there is more to it.
        """
        self._fleet.links.add(self)
        if not ISSLTransport.providedBy(self.transport):
            self.handshakeCompleted()

    def handshakeCompleted(self) -> None:
        """
        The device can begin.
        """
        self.admitted = True
        self._links.begin(self)

    def dataReceived(self, data: bytes) -> None:
        """
        The gateway says something.
        """
        self._links.hear(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        It is closed. If that is not what the device wanted, it is counted.
        """
        fleet = self._fleet
        fleet.links.discard(self)
        clean = bool(reason.check(ConnectionDone))
        if fleet.running and not (self.over and clean):
            late = not self.over and fleet.reactor.seconds() - self._last >= DOUBT
            if self.admitted and self._doubtful and not late:
                fleet.cut += 1
                fleet.wasted += self._doubtful
                fleet.ending = "" if clean else cause(reason.value)
            elif not (self.admitted or self.over):
                fleet.fail(f"the handshake failed: {cause(reason.value)}")
        self._links.end()

    def write(self, data: bytes, messages: int, readings: int) -> None:
        """
        Send something that counts.
        """
        now = self._fleet.reactor.seconds()
        if now - self._first >= DOUBT:
            self._doubtful, self._first = 0, now
        self._doubtful += messages
        self._last = now
        self._fleet.sent += messages
        self._fleet.readings += readings
        self.transport.write(data)

    def answer(self, taken: int, denied: int, why: str = "") -> None:
        """
        The gateway has said what became of some messages.

        @param why: why some were denied, if it said so.
        """
        self._doubtful = max(0, self._doubtful - taken - denied)
        self._fleet.denied += denied
        if denied:
            self._fleet.objection = why

    def close(self) -> None:
        """
        Close the connection, on which all is said.
        """
        self.over = True
        self.transport.loseConnection()


@implementer(IStreamClientEndpoint)
class Door:
    """
    An endpoint whose failures are counted.

    @param bound: the same with an address of our own to come from; where that cannot be had,
        C{plain} will do.
    """

    def __init__(
        self, fleet: "Fleet", plain: IStreamClientEndpoint, bound: IStreamClientEndpoint | None
    ) -> None:
        self._fleet = fleet
        self._plain = plain
        self._bound = bound

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """
        See L{IStreamClientEndpoint.connect}.
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> Any:
        try:
            if self._bound is not None:
                try:
                    return await self._bound.connect(factory)
                except ConnectBindError:
                    pass
            return await self._plain.connect(factory)
        except (CancelledError, ConnectingCancelledError):
            raise
        except Exception as error:
            self._fleet.fail(cause(error))
            raise


def cause(error: BaseException | None) -> str:
    """
    Why a connection failed, in one line.
    """
    if isinstance(error, ConnectionDone):
        return "it was closed"
    if isinstance(error, ConnectionLost):
        return "it was cut"
    error = getattr(error, "originalException", error)  # those of FilePath say nothing themselves
    if isinstance(error, SSL.Error | crypto.Error) and error.args:
        queue = error.args[0]  # of tuples, the last of each being for people
        said = [entry[-1] for entry in queue] if isinstance(queue, list) else [error.args[-1]]
        return f"TLS: {', '.join(map(str, said))}"
    return " ".join(str(error).split()) or type(error).__name__

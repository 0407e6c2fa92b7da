"""
One link with a client of the control API: HTTP, within limits of size and time.
"""

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from sensord.control.query import MAX_BODY, refusal

#: Seconds that a link is kept without a request, that a request may take to come, that its answer
#: may take to be made, and that the client may take to read it. Without it, clients that do nothing
#: or next to it would keep out all others.
TIMEOUT = 30.0

#: Seconds for which is read, and thrown away, what comes behind a request that was refused, unless
#: the client hangs up. Who is still sending when the link is closed does not read why.
LINGER = 2.0

#: Requests on one link. Without it, thousands that are sent in one go would keep the gateway busy
#: for as long as they like, for a client that may be gone.
MAX_REQUESTS = 100


#: Seconds after which somebody may try again for whose request there was no room.
_AFTER = 5


class Body(Protocol):
    """
    The room for the body of one request.

    @ivar most: how many bytes it may have.
    @ivar excess: the status and the reason with which more is refused.
    """

    most: int
    excess: tuple[int, str]

    def take(self, count: int) -> bool:
        """
        Some bytes have come.

        @return: whether there is room for them.
        """

    def close(self) -> None:
        """
        It is not needed any more.
        """


#: Makes the room for what is sent to a target, a path with its parameters, by a request of which
#: there is only the head; L{None} if there is nothing special about it.
Bodies = Callable[[bytes, Any], Body | None]


def site(
    clock: Any, root: IResource, bodies: Bodies = lambda *about: None, rest: float = TIMEOUT
) -> Site:
    """
    What speaks HTTP, within limits.

    @param bodies: for paths to which more than commands are sent.
    @param rest: seconds that a link is kept without a request; 0 is for ever.
    """
    made = _Site(root, requestFactory=_Request, reactor=clock, parsePOSTFormSubmission=False)
    made.timeOut = None  # which any byte would prolong, and which does not hold for answers
    made.bodies, made.rest = bodies, rest
    return made


class Channel(HTTPChannel):
    """
    One link. There is little to say in a request: what goes beyond these limits is none.

    Requests that come while one is answered wait for the client to read that answer. Else those
    of one that reads none would fill the memory with answers.
    """

    transport: Any
    site: Any  # the L{_Site} that made it
    MAX_LENGTH = 4096
    maxHeaders = 50
    totalHeadersSize = 8192

    def __init__(self) -> None:
        super().__init__()
        self._timer: IDelayedCall | None = None
        self._resting = True  # nothing of a request has come
        self._deaf = False  # what comes is thrown away
        self._choked = False  # the client does not read
        self._answered: Any = None  # the request whose answer is made, and may not be read yet
        self._lines = self._bytes = 0  # of the head so far
        self._count = 0  # the requests so far
        self.target = b""  # what was asked for last: a path, and what is behind it

    def connectionMade(self) -> None:
        """
        A client is there.
        """
        super().connectionMade()
        self._rest()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        It is gone.
        """
        self._wait(None)
        if self._answered is not None:
            self.requests.remove(self._answered)
            self._answered = None
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        """
        Something of a request has come, or of those behind it.
        """
        if self._deaf:
            return
        if self._resting:
            self._resting = False
            self._wait(self._incomplete)
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> bool:
        """
        A line of a head has come.

        @return: whether it was one too many.
        """
        self._lines += 1 if line else 0
        if line and self._lines == 1:
            self.target = b"".join(line.split(b" ")[1:2])
        self._bytes += len(line)
        if self._lines > self.maxHeaders + 1:
            self.refuse(431, f"the head has more than {self.maxHeaders} fields")
        elif self._bytes > self.totalHeadersSize:
            self.refuse(431, f"the head is longer than {self.totalHeadersSize} bytes")
        else:
            super().lineReceived(line)
        return self._deaf

    def lineLengthExceeded(self, line: bytes) -> None:
        """
        A line of a head is too long.
        """
        self.refuse(431, f"a line of the head is longer than {self.MAX_LENGTH} bytes")

    def allHeadersReceived(self) -> None:
        """
        The head is complete.
        """
        self._lines = self._bytes = 0
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        """
        The request is complete.
        """
        if not self._deaf:
            self._wait(self._unanswered)
            super().allContentReceived()

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """
        Decide whether there can be another request behind this one.
        """
        self._count += 1
        if super().checkPersistence(request, version) and self._count < MAX_REQUESTS:
            return True
        request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return False

    def requestDone(self, request: Any) -> None:
        """
        An answer is made. The next request has its turn when the client has read it, but for what
        the transport takes without complaint.
        """
        self._answered = request
        # Klein keeps the request until the garbage is collected: not what waits to be written, too.
        request.transport = None
        self._wait(self._cut)
        if not self._choked:
            self._proceed()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        The answer is one without an end, which has time limits of its own.
        """
        super().registerProducer(producer, streaming)
        self._wait(None)

    def pauseProducing(self) -> None:
        """
        The client does not read.
        """
        self._choked = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """
        The client has read all.
        """
        self._choked = False
        super().resumeProducing()
        if self._answered is not None:
            self._proceed()

    def loseConnection(self) -> None:
        """
        Close the link, and take no more: over TLS, there may be more.
        """
        self._deaf = True
        super().loseConnection()

    def refuse(self, status: int, why: str, after: int = 0) -> None:
        """
        Answer that something is no request, and take no more.

        @param after: see L{refusal}.
        """
        self._deaf = True
        self.clearLineBuffer()
        self.transport.write(refusal(status, why, after))
        self._wait(self._cut, LINGER)

    def _proceed(self) -> None:
        request, self._answered = self._answered, None
        if self.persistent:
            self._rest()
        super().requestDone(request)

    def _rest(self) -> None:
        self._resting = True
        rest = self.site.rest
        self._wait(self._leave if rest else None, rest)

    def _wait(self, late: Callable[[], None] | None, seconds: float = TIMEOUT) -> None:
        """
        Do something when time is up, and no longer what was to be done before.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self.callLater(seconds, late) if late is not None else None

    def _leave(self) -> None:
        """
        There was no request.
        """
        self._wait(self._cut, LINGER)
        self.loseConnection()

    def _incomplete(self) -> None:
        self.refuse(408, f"the request was not complete after {TIMEOUT:g} s")

    def _unanswered(self) -> None:
        """
        The answer takes too long: who asked gets another one instead.
        """
        requests, self.requests = self.requests, []
        self.refuse(503, f"there was no answer in {TIMEOUT:g} s; what was asked may still be done")
        for request in requests:
            request.connectionLost(Failure(ConnectionAborted()))

    def _cut(self) -> None:
        self.transport.abortConnection()


class _Site(Site):
    """
    A site that keeps no log of who asked for what.
    """

    noisy = False
    protocol = Channel  # type: ignore[assignment]
    bodies: Bodies
    rest: float

    def startFactory(self) -> None:
        """
        Without a log, there is nothing to begin.
        """


class _Request(Request):
    """
    A request whose body is limited while it arrives.
    """

    channel: Channel
    _received = 0
    _most = MAX_BODY
    _body: Body | None = None

    def gotLength(self, length: int | None) -> None:
        """
        The length of the body is known, or will show.
        """
        super().gotLength(0)  # a small one: it is kept in memory
        self._body = self.channel.site.bodies(self.channel.target, self)
        if self._body is not None:
            self._most = self._body.most
        if length is not None and length > self._most:
            self.requestHeaders.removeHeader(b"expect")  # it need not come
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        """
        A piece of the body has arrived.
        """
        before, self._received = self._received, self._received + len(data)
        if before > self._most:
            return
        if self._received > self._most:
            self._refuse()
        elif self._body is None or self._body.take(len(data)):
            super().handleContentChunk(data)
        else:
            self._received = self._most + 1
            self._close()
            self.channel.refuse(503, "too much is on its way already; try again", _AFTER)

    def finish(self) -> None:
        """
        The answer is made.
        """
        self._close()
        super().finish()

    def connectionLost(self, reason: Failure) -> None:
        """
        There will be none.
        """
        self._close()
        super().connectionLost(reason)

    def _refuse(self) -> None:
        self._received = self._most + 1
        excess = 413, f"the body is longer than {self._most} bytes"
        status, why = excess if self._body is None else self._body.excess
        self._close()
        self.channel.refuse(status, why)

    def _close(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()

"""
Requests to the servers that sinks write to: one connection, which stays open, and an answer, or a
L{Transient} that says why there is none.

This is Twisted's own agent and no more. What treq adds is of no use here, and does harm: it keeps
all cookies and sends them back, and unpacks answers that become a thousand times as large.
"""

from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from msgspec import Struct
from OpenSSL.SSL import Error as TlsError
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as Late
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    DNSLookupError,
)
from twisted.internet.error import TimeoutError as NotConnected
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    RequestTransmissionFailed,
    ResponseFailed,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer
from zope.interface import implementer

from sensord.sinks import Transient
from sensord.sinks.heads import Endpoints, Gauge

#: Seconds until a connection is given up that does not come about, and an answer that does not
#: come. Without them, a server that takes in everything and says nothing would end it all.
CONNECT, ANSWER = 10.0, 60.0

#: Seconds that an unused connection is kept. Many servers close it after five, just when the next
#: request is on its way.
_IDLE = 4.0

#: Seconds that the end of the connection may take.
_GOODBYE = 2.0

#: How much of an answer is read. Without a limit, one that goes on and on would fill the memory.
MOST = 4 * 1024 * 1024

#: The version of HTTP in which connections are not kept.
_OLD = (b"HTTP", 1, 0)

#: Digits of a number of seconds that are believed. Thousands of them would be no float.
_DIGITS = 9

#: What is not our fault.
_TROUBLE = (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    DNSLookupError,
    Late,
    RequestTransmissionFailed,
    ResponseFailed,
    TlsError,
)


class Answer(Struct, frozen=True):
    """
    What a server has answered.

    @ivar body: at most the first L{MOST} bytes of it, or what has come before the connection broke.
    @ivar after: seconds that it asks to be left alone; 0 if it does not.
    @ivar influx: whether InfluxDB itself has answered, and not somebody in between.
    """

    status: int
    body: bytes
    after: float = 0.0
    influx: bool = False


class Client:
    """
    Sends requests to one server.

    @param place: how what goes wrong calls the server.
    @param agent: what requests go through; for tests.
    @param patience: seconds that an answer may take; by default, L{ANSWER}.
    @param now: the time of day, in seconds since the epoch; by default, the reactor's.
    @param again: whether a question is asked once more when the connection that was kept for it
        turns out to be closed. What is written must not be sent twice behind the back of who
        sends it.
    """

    def __init__(
        self,
        reactor: Any,
        place: str,
        agent: IAgent | None = None,
        patience: float | None = None,
        now: Callable[[], float] | None = None,
        again: bool = False,
    ) -> None:
        self._again = again
        self._now = now or reactor.seconds
        self._reactor = reactor
        self._place = place
        self._agent = agent
        self._patience = ANSWER if patience is None else patience
        self._asks: IAgent | None = None
        self._gauge = Gauge()
        self._pool: HTTPConnectionPool | None = None

    def start(self) -> None:
        """
        Begin. The connection is opened by the first request.
        """
        agent = self._agent
        if agent is None:
            self._pool = HTTPConnectionPool(self._reactor)
            self._pool.maxPersistentPerHost = 1
            self._pool.cachedConnectionTimeout = int(_IDLE)
            self._pool.retryAutomatically = self._again
            endpoints = Endpoints(self._reactor, self._gauge, CONNECT)
            agent = Agent.usingEndpointFactory(self._reactor, endpoints, self._pool)
        self._asks = agent

    def stop(self) -> Deferred[None]:
        """
        Close the connection.

        @return: fires when that is done, or takes too long.
        """
        self._asks = None
        pool, self._pool = self._pool, None
        if pool is None:
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        late = self._reactor.callLater(_GOODBYE, stopped.callback, None)

        def finish(_result: object) -> None:
            if late.active():
                late.cancel()
                stopped.callback(None)

        pool.closeCachedConnections().addBoth(finish)
        return stopped

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """
        Send something, and take in the answer.

        @raise Transient: if there is none.
        """
        return await self._ask("POST", url, headers, body)

    async def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """
        Ask for something, and take in the answer.

        @raise Transient: if there is none.
        """
        return await self._ask("GET", url, headers, None)

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        exchange = Deferred.fromCoroutine(self._exchange(method, url, headers, body))
        exchange.addTimeout(self._patience, self._reactor, lambda _value, late: Failure(Late(late)))
        try:
            return await exchange
        except _TROUBLE as error:
            if _cancelled(error):
                raise CancelledError from error
            raise Transient(f"{self._place}: {cause(error)}") from error

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        assert self._asks is not None, "the client was not started"
        if self._pool is not None and not self._pool.persistent:
            await self._pool.closeCachedConnections()
        self._gauge.begin()
        response: Any = await self._asks.request(
            method.encode(),
            url.encode(),
            Headers({name: [text] for name, text in headers.items()}),
            None if body is None else _Sending(body),
        )
        self._gauge.end()
        if self._pool is not None and response.version == _OLD:
            # It closes without saying so: what was sent there next would never be answered.
            self._pool.persistent = False
        reading = _Body()
        response.deliverBody(reading)
        data = await reading.done
        after = response.headers.getRawHeaders(b"Retry-After", [b""])[0]
        return Answer(
            response.code,
            data,
            delay(after.decode("latin-1"), self._now()),
            response.headers.hasHeader(b"X-Influxdb-Version"),
        )


@implementer(IBodyProducer)
class _Sending:
    """
    The body of a request, which is in memory anyway.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """
        Send it.
        """
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """
        It has been sent.
        """

    def resumeProducing(self) -> None:
        """
        It has been sent.
        """

    def stopProducing(self) -> None:
        """
        It has been sent.
        """


class _Body(Protocol):
    """
    Takes in the body of an answer. What there is of it is enough: the status has said the most.

    @ivar done: fires with it. If it is cancelled, the connection is closed.
    """

    def __init__(self) -> None:
        self._data = b""
        self.done: Deferred[bytes] = Deferred(lambda _done: self._stop())

    def dataReceived(self, data: bytes) -> None:
        """
        Keep it, up to a limit.
        """
        self._data += data
        if len(self._data) >= MOST:
            self._stop()
            self._finish()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        That was all.
        """
        self._finish()

    def _finish(self) -> None:
        if not self.done.called:
            self.done.callback(self._data[:MOST])

    def _stop(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


def cause(error: BaseException) -> str:
    """
    Why there is no answer, in words.
    """
    reasons = getattr(error, "reasons", None)
    if reasons:
        return cause(reasons[-1].value)
    if isinstance(error, Late):
        return f"no answer in {error.args[0]:g} s"
    if isinstance(error, NotConnected):
        return f"no connection in {CONNECT:g} s"
    if isinstance(error, DNSLookupError):
        return f"the host is not known: {error}"
    if isinstance(error, TlsError):
        return f"no secure connection: {error}"
    return str(error) or type(error).__name__


def delay(text: str, now: float) -> float:
    """
    The seconds that a server means with C{Retry-After}.

    @param text: their number, or a date; all else is none.
    @param now: seconds since the epoch.
    """
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:_DIGITS])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0


def _cancelled(error: BaseException) -> bool:
    """
    Whether there is no answer since nobody waits for it.
    """
    reasons = getattr(error, "reasons", ())
    return isinstance(error, ConnectingCancelledError) or any(
        reason.check(CancelledError) for reason in reasons
    )

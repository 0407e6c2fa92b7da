"""
Tests for L{sensord.sinks.http}.
"""

from collections.abc import Coroutine
from typing import Any

from OpenSSL.SSL import Error as TlsError
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
)
from twisted.internet.error import TimeoutError as NotConnected
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed

from sensord.sinks import Transient
from sensord.sinks.http import ANSWER, CONNECT, MOST, Answer, Client, cause, delay

URL = "http://127.0.0.1:8086"

#: A Friday.
NOW = 1_795_194_651.0

STORED = b"HTTP/1.1 204 No Content\r\nX-Version: 1\r\n\r\n"


class Transport(StringTransport):
    """
    A connection that can be cut off from our side.
    """

    def abortConnection(self) -> None:
        """
        Cut it.
        """
        self.loseConnection()


class ClientTestCase(SynchronousTestCase):
    """
    A client with a network that is in memory.
    """

    def setUp(self) -> None:
        """
        Begin.
        """
        self.reactor = MemoryReactorClock()
        self.reactor.advance(NOW)
        self.client = Client(self.reactor, URL)
        self.client.start()

    def post(self, body: bytes = b"body", **headers: str) -> "Deferred[Answer]":
        """
        Send a request.
        """
        asking: Coroutine[Any, Any, Answer]
        asking = self.client.post(f"{URL}/write?db=a%20b", {"X-Test": "1", **headers}, body)
        return Deferred.fromCoroutine(asking)

    def accept(self) -> tuple[Any, Transport]:
        """
        The server accepts the latest connection.

        @return: the client's end, and what it writes to.
        """
        factory: Any = self.reactor.tcpClients[-1][2]
        protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 8086))
        transport = Transport()
        protocol.makeConnection(transport)
        return protocol, transport

    def refuse(self, error: Exception) -> None:
        """
        The latest connection does not come about.
        """
        factory: Any = self.reactor.tcpClients[-1][2]
        factory.clientConnectionFailed(None, Failure(error))
        self.reactor.advance(1)  # other addresses of the host are tried, if it has any

    def gone(self, post: "Deferred[Answer]") -> str:
        """
        Why there is no answer, which may be there another time.
        """
        error = self.failureResultOf(post, Transient).value
        self.assertEqual(error.after, 0.0)
        why = str(error)
        self.assertTrue(why.startswith(f"{URL}: "), why)
        return why.removeprefix(f"{URL}: ")

    def assertIdle(self) -> None:
        """
        No timers are left but the one of a connection that is kept.
        """
        self.assertLessEqual(len(self.reactor.getDelayedCalls()), 1)


class ExchangeTests(ClientTestCase):
    """
    Requests, and their answers.
    """

    def test_request(self) -> None:
        """
        A request has the headers that it is given, and its body in one piece.
        """
        post = self.post(b"temperature value=1 1\n")
        protocol, transport = self.accept()
        head, body = transport.value().split(b"\r\n\r\n")
        self.assertEqual(body, b"temperature value=1 1\n")
        first, *headers = head.lower().split(b"\r\n")
        self.assertEqual(first, b"post /write?db=a%20b http/1.1")
        self.assertIn(b"x-test: 1", headers)
        self.assertIn(b"content-length: 22", headers)
        self.assertIn(b"host: 127.0.0.1:8086", headers)
        protocol.dataReceived(STORED)
        self.assertEqual(self.successResultOf(post), Answer(204, b""))
        self.assertIdle()

    def test_oneConnection(self) -> None:
        """
        The connection is kept for the next request, and closed when it has not been used for a
        while.
        """
        for _attempt in range(3):
            post = self.post()
            if _attempt == 0:
                protocol, transport = self.accept()
            protocol.dataReceived(STORED)
            self.successResultOf(post)
        self.assertEqual(len(self.reactor.tcpClients), 1)
        self.assertFalse(transport.disconnecting)
        self.reactor.advance(31)
        self.assertTrue(transport.disconnecting)

    def test_reconnect(self) -> None:
        """
        When the server has closed the connection, the next request opens another.
        """
        post = self.post()
        protocol, _transport = self.accept()
        protocol.dataReceived(STORED)
        self.successResultOf(post)
        protocol.connectionLost(Failure(ConnectionDone()))
        post = self.post()
        protocol, _transport = self.accept()
        protocol.dataReceived(STORED)
        self.successResultOf(post)
        self.assertEqual(len(self.reactor.tcpClients), 2)

    def test_old(self) -> None:
        """
        A server that speaks HTTP/1.0 closes the connection without saying so: each request has one
        of its own.
        """
        before: Any = None
        for _attempt in range(3):
            post = self.post()
            if before is not None:
                before.connectionLost(Failure(ConnectionDone()))
            before, transport = self.accept()
            head = transport.value().lower()
            before.dataReceived(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
            self.assertEqual(self.successResultOf(post).body, b"ok")
        self.assertIn(b"connection: close", head)
        self.assertEqual(len(self.reactor.tcpClients), 3)

    def test_body(self) -> None:
        """
        The body of an answer comes in pieces, and redirects are answers like others.
        """
        post = self.post()
        protocol, _transport = self.accept()
        protocol.dataReceived(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 6\r\n\r\nabc")
        self.assertNoResult(post)
        protocol.dataReceived(b"def")
        self.assertEqual(self.successResultOf(post), Answer(302, b"abcdef"))

    def test_retryAfter(self) -> None:
        """
        An answer may say how long to wait.
        """
        post = self.post()
        protocol, _transport = self.accept()
        protocol.dataReceived(b"HTTP/1.1 503 x\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(self.successResultOf(post), Answer(503, b"", 17.0))

    def test_retryAfterWithoutSense(self) -> None:
        """
        What nobody can read there is no reason to doubt the rest.
        """
        post = self.post()
        protocol, _transport = self.accept()
        protocol.dataReceived(b"HTTP/1.1 204 x\r\nRetry-After: \xff\r\nSet-Cookie: a\xff=b\r\n\r\n")
        self.assertEqual(self.successResultOf(post), Answer(204, b""))

    def test_cookies(self) -> None:
        """
        Nothing that a server wants us to keep is sent back: it could be more with each answer.
        """
        post = self.post()
        protocol, transport = self.accept()
        protocol.dataReceived(STORED.replace(b"X-Version: 1", b"Set-Cookie: a=b; Path=/"))
        self.successResultOf(post)
        transport.clear()
        self.post()
        self.assertNotIn(b"cookie", transport.value().lower())

    def test_packed(self) -> None:
        """
        An answer that is packed is not unpacked: it could become a thousand times as large.
        """
        post = self.post()
        protocol, _transport = self.accept()
        head = b"HTTP/1.1 400 x\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n"
        protocol.dataReceived(head + b"\x1f\x8bab")
        self.assertEqual(self.successResultOf(post).body, b"\x1f\x8bab")

    def test_version(self) -> None:
        """
        InfluxDB says what it is with each answer.
        """
        post = self.post()
        protocol, _transport = self.accept()
        protocol.dataReceived(STORED.replace(b"X-Version", b"X-Influxdb-Version"))
        self.assertTrue(self.successResultOf(post).influx)

    def test_cutInAnswer(self) -> None:
        """
        When the connection is cut within the body of an answer, the status counts.
        """
        post = self.post()
        protocol, _transport = self.accept()
        protocol.dataReceived(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 60\r\n\r\n{")
        protocol.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.successResultOf(post), Answer(400, b"{"))

    def test_endlessHead(self) -> None:
        """
        An answer that does not come to its body is given up, whatever it is made of; a long body
        that comes in one piece with its head is not.
        """
        for piece in (b"X-More: 1\r\n" * 1000, b"HTTP/1.1 100 Continue\r\n\r\n" * 500):
            post = self.post()
            protocol, transport = self.accept()
            if piece[:1] == b"X":
                protocol.dataReceived(b"HTTP/1.1 200 OK\r\n")
            for _piece in range(10):
                if not transport.disconnecting:
                    protocol.dataReceived(piece)
            self.assertTrue(transport.disconnecting)
            protocol.connectionLost(Failure(ConnectionDone()))
            self.gone(post)
        post = self.post()
        protocol, transport = self.accept()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n"
        protocol.dataReceived(head + b"x" * 200_000)
        self.assertEqual(len(self.successResultOf(post).body), 200_000)

    def test_endlessAnswer(self) -> None:
        """
        Of an answer that never ends, the beginning is read, and the connection is closed.
        """
        post = self.post()
        protocol, transport = self.accept()
        protocol.dataReceived(b"HTTP/1.1 500 x\r\n\r\n")
        for _piece in range(MOST // 65536 + 10):
            protocol.dataReceived(b"x" * 65536)
        self.assertEqual(len(self.successResultOf(post).body), MOST)
        self.assertTrue(transport.disconnecting)


class TroubleTests(ClientTestCase):
    """
    Requests that are not answered.
    """

    def test_refused(self) -> None:
        """
        Where nobody listens, the reason is told.
        """
        post = self.post()
        self.refuse(ConnectionRefusedError())
        self.assertIn("refused", self.gone(post))
        self.assertIdle()

    def test_noConnection(self) -> None:
        """
        A connection that does not come about is given up after a while.
        """
        post = self.post()
        self.assertEqual(self.reactor.tcpClients[-1][3], CONNECT)
        self.refuse(NotConnected())
        self.assertEqual(self.gone(post), "no connection in 10 s")

    def test_silence(self) -> None:
        """
        A server that takes the request and says nothing is given up after a while, and its
        connection is closed.
        """
        post = self.post()
        _protocol, transport = self.accept()
        self.reactor.advance(ANSWER - 1)
        self.assertNoResult(post)
        self.reactor.advance(1)
        self.assertEqual(self.gone(post), "no answer in 60 s")
        self.assertTrue(transport.disconnecting)
        self.assertIdle()

    def test_silenceInAnswer(self) -> None:
        """
        The same goes for one that stops within its answer.
        """
        post = self.post()
        protocol, transport = self.accept()
        protocol.dataReceived(b"HTTP/1.1 400 x\r\nContent-Length: 60\r\n\r\n{")
        self.reactor.advance(ANSWER)
        self.assertEqual(self.gone(post), "no answer in 60 s")
        self.assertTrue(transport.disconnecting)
        self.assertIdle()

    def test_cut(self) -> None:
        """
        When the connection is cut before the answer, the request is not sent again on its own.
        """
        for reason in (ConnectionDone(), ConnectionLost()):
            post = self.post()
            protocol, _transport = self.accept()
            count = len(self.reactor.tcpClients)
            protocol.connectionLost(Failure(reason))
            self.assertIn("onnection", self.gone(post))
            self.assertEqual(len(self.reactor.tcpClients), count)

    def test_noHttp(self) -> None:
        """
        What answers something else than HTTP is no server for us.
        """
        post = self.post()
        protocol, _transport = self.accept()
        protocol.dataReceived(b"220 mail.example.org ESMTP\r\n")
        self.gone(post)

    def test_cancelled(self) -> None:
        """
        Who does not wait any longer gets no reason, before the connection, before the answer and
        within it; the connection is closed.
        """
        for said in (None, b"", b"HTTP/1.1 400 x\r\nContent-Length: 60\r\n\r\n{"):
            post = self.post()
            if said is not None:
                protocol, transport = self.accept()
                protocol.dataReceived(said)
            post.cancel()
            self.failureResultOf(post, CancelledError)
            self.assertTrue(said is None or transport.disconnecting)
            self.assertIdle()


class StopTests(ClientTestCase):
    """
    The end of a client.
    """

    def test_unused(self) -> None:
        """
        A client without a connection has nothing to close.
        """
        self.successResultOf(self.client.stop())
        self.successResultOf(self.client.stop())

    def test_closes(self) -> None:
        """
        The connection is closed, but not waited for too long.
        """
        for patient in (True, False):
            self.client.start()
            post = self.post()
            protocol, transport = self.accept()
            protocol.dataReceived(STORED)
            self.successResultOf(post)
            stop = self.client.stop()
            self.assertTrue(transport.disconnecting)
            self.assertNoResult(stop)
            if patient:
                protocol.connectionLost(Failure(ConnectionDone()))
            else:
                self.reactor.advance(2)
            self.successResultOf(stop)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class WordTests(SynchronousTestCase):
    """
    What is said, and what is understood.
    """

    def test_cause(self) -> None:
        """
        What has gone wrong is said in words, and never in none.
        """
        for error, why in (
            (DNSLookupError("no such name"), "the host is not known"),
            (ResponseFailed([Failure(TlsError("unknown ca"))]), "no secure connection"),
            (ResponseFailed([Failure(ValueError())]), "ValueError"),
        ):
            self.assertIn(why, cause(error))

    def test_delay(self) -> None:
        """
        How long to wait is told in seconds or as a date; all else is no time at all.
        """
        for text, seconds in (
            ("17", 17.0),
            (" 0 ", 0.0),
            ("9" * 5000, 999_999_999.0),
            ("Fri, 20 Nov 2026 17:10:56 GMT", 5.0),
            ("Fri, 20 Nov 2026 17:10:46 GMT", 0.0),
            ("", 0.0),
            ("-5", 0.0),
            ("1.5", 0.0),
            ("nan", 0.0),
            ("٣", 0.0),
            ("soon", 0.0),
            ("Fri, 99 Nov 2026 17:10:56 GMT", 0.0),
            ("Fri, 20 Nov 99999999999 17:10:56 GMT", 0.0),
        ):
            self.assertEqual(delay(text, NOW), seconds, text)

"""
Tests for L{sensord.pretend.reporter}.
"""

from typing import Any

from msgspec import json
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from sensord.simulate import Fleet
from sensord.wire.push import Row, RowReader
from tests.test_simulate import Link

_STORED = b'HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 12\r\n\r\n{"stored":2}'
_DENIED = b'HTTP/1.1 401 Unauthorized\r\ncontent-length: 15\r\n\r\n{"error":"why"}'


class ReporterTests(SynchronousTestCase):
    """
    Boards that push by HTTP.
    """

    def begin(self, token: str = "", devices: int = 1) -> Fleet:
        """
        Start some.
        """
        self.reactor: Any = MemoryReactorClock()
        fleet = Fleet(self.reactor, "http", devices, 1.0, seed=1, token=token)
        fleet.startService()
        self.reactor.advance(0)
        return fleet

    def requests(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """
        The heads and the bodies of requests.
        """
        found = []
        while data:
            head, _end, data = data.partition(b"\r\n\r\n")
            size = int(head.rpartition(b"Content-Length: ")[2])
            found.append((head, data[:size]))
            data = data[size:]
        return found

    def test_posts(self) -> None:
        """
        Each posts a temperature and a humidity once in a period, on one connection.
        """
        fleet = self.begin()
        link = Link(self.reactor, 0)
        self.reactor.advance(1)
        [first, second] = self.requests(link.take())
        self.assertTrue(first[0].startswith(b"POST /api/v1/readings HTTP/1.1\r\nHost: "))
        self.assertNotIn(b"Authorization", first[0])
        for _head, body in (first, second):
            [row] = RowReader().read(body)
            assert isinstance(row, Row)
            self.assertEqual(row.device, "board1")
            self.assertEqual([name for name, _value in row.values], ["temperature", "humidity"])
        self.assertEqual((fleet.sent, fleet.readings), (2, 4))

    def test_token(self) -> None:
        """
        They show the token.
        """
        self.begin("sesame")
        head, body = self.requests(Link(self.reactor, 0).take())[0]
        self.assertIn(b"\r\nAuthorization: Bearer sesame\r\n", head)
        self.assertEqual(len(json.decode(body)), 1)

    def test_hears(self) -> None:
        """
        They hear whether it was stored, however the answers are cut, and why not.
        """
        for size in (1, 7, 1000):
            fleet = self.begin()
            link = Link(self.reactor, 0)
            self.reactor.advance(2)
            stream = _STORED + _DENIED + b"HTTP/1.1 503 Later\r\n\r\n"
            for start in range(0, len(stream), size):
                link.give(stream[start : start + size])
            self.assertEqual((fleet.sent, fleet.denied, fleet.taken), (3, 2, 1))
            self.assertEqual(fleet.objection, "HTTP/1.1 503 Later")
            link.give(_DENIED)
            self.assertEqual(fleet.objection, "why")

    def test_nonsense(self) -> None:
        """
        An answer without an end is not kept, and the connection is closed.
        """
        self.begin()
        link = Link(self.reactor, 0)
        link.give(b"x" * 100_000)
        self.assertTrue(link.transport.disconnecting)

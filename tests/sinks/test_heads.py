"""
Tests for L{sensord.sinks.heads}: what those of the client do not show.
"""

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI

from sensord.sinks.heads import MOST, Endpoints, Gauge


class GaugeTests(SynchronousTestCase):
    """
    How much may come before a body.
    """

    def test_gauge(self) -> None:
        """
        Nothing is too much while no answer is expected, or when its head has come.
        """
        gauge = Gauge()
        self.assertFalse(gauge.exceeded(10 * MOST))
        gauge.begin()
        self.assertFalse(gauge.exceeded(MOST))
        self.assertTrue(gauge.exceeded(1))
        gauge.begin()
        self.assertFalse(gauge.exceeded(MOST))
        gauge.end()
        self.assertFalse(gauge.exceeded(MOST))


class EndpointsTests(SynchronousTestCase):
    """
    Where servers are.
    """

    def connect(self, url: bytes) -> tuple[Any, Any]:
        """
        Connect to one.

        @return: what is asked of the reactor, and what the connection becomes.
        """
        reactor: Any = MemoryReactorClock()
        endpoint = Endpoints(reactor, Gauge(), 5.0).endpointForURI(URI.fromBytes(url))
        connecting = endpoint.connect(Factory.forProtocol(Protocol))
        [client] = reactor.tcpClients
        return client, connecting

    def test_plain(self) -> None:
        """
        The connection is as whoever asked for it has made it, and not what counts its bytes.
        """
        (host, port, factory, timeout, _bind), connecting = self.connect(b"http://127.0.0.1:86/")
        self.assertEqual((host, port, timeout), ("127.0.0.1", 86, 5.0))
        link = factory.buildProtocol(IPv4Address("TCP", host, port))
        link.makeConnection(object())
        self.assertIs(type(self.successResultOf(connecting)), Protocol)

    def test_tls(self) -> None:
        """
        By https it is a TLS connection, on the port that is usual.
        """
        (host, port, *_rest), connecting = self.connect(b"https://127.0.0.1/")
        self.assertEqual((host, port), ("127.0.0.1", 443))
        connecting.cancel()
        self.failureResultOf(connecting)

"""
Tests for L{sensord.control.links}.
"""

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from sensord.control.links import MAX_LINKS, Links


class LinkTests(SynchronousTestCase):
    """
    Links with clients.
    """

    def setUp(self) -> None:
        """
        None so far.
        """
        site: Any = Factory.forProtocol(Protocol)
        self.links = Links(site)
        self.clock = Clock()

    def connect(self, address: IAddress) -> tuple[Any, StringTransport]:
        """
        A client connects; without a protocol, in vain.
        """
        transport = StringTransport(None, address)
        protocol: Any = self.links.buildProtocol(address)
        if protocol is not None:
            protocol.makeConnection(transport)
        return protocol, transport

    def crowd(self, address: IAddress) -> list[Any]:
        """
        A client connects as often as it can.
        """
        made = []
        while (protocol := self.connect(address)[0]) is not None:
            made.append(protocol)
        return made

    def test_all(self) -> None:
        """
        There may be so many, of which those of this machine may have all.
        """
        for address in (
            IPv4Address("TCP", "127.0.0.1", 1),
            IPv6Address("TCP", "::1", 1),
            UNIXAddress(None),
        ):
            links = self.crowd(address)
            self.assertEqual(len(links), MAX_LINKS)
            for link in links:
                link.connectionLost(None)

    def test_each(self) -> None:
        """
        Another machine may have a quarter, and has it again when its links are gone.
        """
        one, other = IPv4Address("TCP", "10.0.0.1", 1), IPv4Address("TCP", "10.0.0.2", 1)
        for _ in range(2):
            links = self.crowd(one)
            self.assertEqual(len(links), MAX_LINKS // 4)
            others = self.crowd(other)
            self.assertEqual(len(others), MAX_LINKS // 4)
            for link in (*links, *others):
                link.connectionLost(None)
            self.assertEqual(self.links._hosts, {})

    def test_few(self) -> None:
        """
        Where there may be few, one machine may have ten of them.
        """
        self.links.limit = 15
        self.assertEqual(len(self.crowd(IPv4Address("TCP", "10.0.0.1", 1))), 10)
        self.assertEqual(len(self.crowd(IPv4Address("TCP", "10.0.0.2", 1))), 5)

    def test_close(self) -> None:
        """
        At the end each is closed, and is cut a second later if it is still there.
        """
        local = IPv4Address("TCP", "127.0.0.1", 1)
        gone, _ = self.connect(local)
        _link, slow = self.connect(local)
        closed = Deferred.fromCoroutine(self.links.close(self.clock))
        self.assertTrue(slow.disconnecting)
        gone.connectionLost(None)
        self.assertNoResult(closed)
        self.clock.pump([0.05] * 21)
        self.successResultOf(closed)
        self.assertTrue(slow.disconnected)

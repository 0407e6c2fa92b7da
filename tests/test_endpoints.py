"""
Tests for L{sensord.endpoints}.
"""

import errno

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock, RaisingMemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import ConfigError
from sensord.endpoints import PortError, endpoint, listen, place


class EndpointTests(SynchronousTestCase):
    """
    Endpoint strings that are good, and those that are not.
    """

    def test_noEndpoint(self) -> None:
        """
        A string that is no endpoint is a fault that names the table and the key.
        """
        for text in (
            "tpc:5001",
            "tcp",
            "tcp:x",
            "ssl:5001:privateKey=/nowhere.pem",
            "tcp:70000",
            "tcp:port=70000",
            "stdio:",
            "",
        ):
            error = self.assertRaises(ConfigError, endpoint, MemoryReactorClock(), text, "[a] b")
            [fault] = error.faults
            start = f'[a] b: "{text}" is no endpoint: '
            self.assertTrue(fault.startswith(start) and len(fault) > len(start), fault)

    def test_listen(self) -> None:
        """
        A port is open at once.
        """
        reactor = MemoryReactorClock()
        factory = Factory()
        listen(reactor, "tcp:5001:interface=127.0.0.1", "[a] b", factory)
        (server,) = reactor.tcpServers
        self.assertEqual(server[0::3], (5001, "127.0.0.1"))

    def test_backlog(self) -> None:
        """
        Many may wait to be accepted, unless the string says how many.
        """
        reactor = MemoryReactorClock()
        for text in ("tcp:5001", "tcp:5001:backlog=7"):
            listen(reactor, text, "[a] b", Factory())
        self.assertEqual([server[2] for server in reactor.tcpServers], [1024, 7])

    def test_taken(self) -> None:
        """
        A port that is taken, or that cannot be opened, is told in one line that says whose it is.
        """
        for host, port, error, said in (
            (
                "127.0.0.1",
                5001,
                OSError(errno.EADDRINUSE, "Address already in use"),
                "port 5001 on 127.0.0.1 is taken (Address already in use)",
            ),
            (
                "",
                80,
                OSError(errno.EACCES, "Permission denied"),
                "port 80 cannot be opened (Permission denied)",
            ),
            (
                None,
                b"/run/one",
                "Cannot acquire lock",
                "port /run/one cannot be opened (Cannot acquire lock)",
            ),
        ):
            taken = CannotListenError(host, port, error)
            reactor = RaisingMemoryReactor(listenException=taken)
            raised = self.assertRaises(PortError, listen, reactor, "tcp:1", "[a] b", Factory())
            self.assertIsInstance(raised, CannotListenError)
            self.assertEqual(str(raised), f"[a] b: {said}")

    def test_nowhere(self) -> None:
        """
        Any other trouble with opening it is told as a fault of the setting.
        """
        reactor = RaisingMemoryReactor(listenException=OSError("no such thing"))
        error = self.assertRaises(ConfigError, listen, reactor, "tcp:1", "[a] b", Factory())
        self.assertEqual(error.faults, ['[a] b: "tcp:1" is no endpoint: no such thing'])

    def test_place(self) -> None:
        """
        Addresses are written as people write them.
        """
        self.assertEqual(place(IPv4Address("TCP", "10.0.0.1", 80)), "tcp 10.0.0.1:80")
        self.assertEqual(place(IPv6Address("TCP", "::1", 80), "tls"), "tls [::1]:80")
        self.assertEqual(place(UNIXAddress(b"/run/one")), "unix /run/one")

"""
Tests for L{sensord.inherited}, with real sockets. With a real daemon:
L{tests.integration.test_systemd}.
"""

import socket
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import ConfigError
from sensord.endpoints import endpoint
from sensord.inherited import Inherited


class Port:
    """
    A port that was closed, or not.
    """

    open = True

    def startListening(self) -> None:
        """
        See L{IListeningPort.startListening}.
        """
        self.open = True

    def stopListening(self) -> None:
        """
        See L{IListeningPort.stopListening}.
        """
        self.open = False

    def getHost(self) -> str:
        """
        See L{IListeningPort.getHost}.
        """
        return "here"


class Reactor(MemoryReactorClock):
    """
    A reactor that adopts sockets.

    @ivar adopted: the ports that came of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.adopted: list[Port] = []

    def adoptStreamPort(self, fileno: int, family: int, factory: object) -> Any:
        """
        See L{IReactorSocket.adoptStreamPort}.
        """
        super().adoptStreamPort(fileno, family, factory)
        self.adopted.append(Port())
        return self.adopted[-1]


class InheritedTests(SynchronousTestCase):
    """
    A socket that others hold, too.
    """

    def setUp(self) -> None:
        """
        Open a port, as systemd would.
        """
        self.reactor = Reactor()
        self.held = self.opened("127.0.0.1", 0)
        self.inherited = Inherited(self.reactor, self.held.fileno(), socket.AF_INET)

    def opened(self, host: str, port: int, family: int = socket.AF_INET) -> socket.socket:
        """
        A port that is listened on. It is bound to a number, since one that the system chooses is
        given back as soon as nobody listens.
        """
        made = socket.socket(family)
        self.addCleanup(made.close)
        if port == 0:
            with socket.socket(family) as probe:
                probe.bind((host, 0))
                port = probe.getsockname()[1]
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen()
        return made

    def refused(self, held: socket.socket | None = None) -> bool:
        """
        Whether a connection is refused.
        """
        held = held or self.held
        with socket.socket(held.family) as peer:
            peer.settimeout(5)
            return peer.connect_ex(held.getsockname()) != 0

    def listen(self) -> Any:
        """
        Open it.
        """
        return self.successResultOf(self.inherited.listen(Factory()))

    def leave(self) -> None:
        """
        The process ends.
        """
        for call, arguments, keywords in self.reactor.triggers["after"].get("shutdown", ()):
            call(*arguments, **keywords)

    def test_closed(self) -> None:
        """
        A port that is closed refuses connections, although somebody else holds the socket.
        """
        port = self.listen()
        self.assertFalse(self.refused())
        port.stopListening()
        self.assertFalse(self.reactor.adopted[0].open)
        self.assertTrue(self.refused())

    def test_again(self) -> None:
        """
        It can be opened again and again, at the same place.
        """
        for count in range(1, 4):
            port = self.listen()
            self.assertEqual(len(self.reactor.adopted), count)
            self.assertFalse(self.refused())
            port.stopListening()
            self.assertTrue(self.refused())

    def test_another(self) -> None:
        """
        What opens it again need not be what has closed it.
        """
        self.listen().stopListening()
        other = Inherited(self.reactor, self.held.fileno(), socket.AF_INET)
        self.successResultOf(other.listen(Factory()))
        self.assertFalse(self.refused())

    def test_twice(self) -> None:
        """
        To close it twice does no harm.
        """
        port = self.listen()
        port.stopListening()
        port.stopListening()
        self.assertTrue(self.refused())

    def test_six(self) -> None:
        """
        The same goes for IPv6.
        """
        try:
            held = self.opened("::1", 0, socket.AF_INET6)
        except OSError:
            return  # a machine without
        inherited = Inherited(self.reactor, held.fileno(), socket.AF_INET6)
        self.successResultOf(inherited.listen(Factory())).stopListening()
        self.assertTrue(self.refused(held))
        self.successResultOf(inherited.listen(Factory()))
        self.assertFalse(self.refused(held))

    def test_left(self) -> None:
        """
        When the process ends the port is as it was, so that systemd can go on with it.
        """
        self.listen().stopListening()
        self.listen().stopListening()
        self.leave()
        self.assertFalse(self.refused())

    def test_untouched(self) -> None:
        """
        A port that was never closed is left as it is.
        """
        self.listen()
        self.assertEqual(self.reactor.triggers.get("after", {}), {})
        self.assertFalse(self.refused())

    def test_taken(self) -> None:
        """
        If somebody else has taken the port meanwhile, it cannot be opened, and that it is no more
        ours is nothing to end with.
        """
        port = self.listen()
        port.stopListening()
        self.opened(*self.held.getsockname())
        error = self.failureResultOf(self.inherited.listen(Factory()), CannotListenError).value
        self.assertEqual((error.interface, error.port), self.held.getsockname())
        self.leave()

    def test_host(self) -> None:
        """
        It says where it listens.
        """
        port = self.listen()
        self.assertEqual(port.getHost(), "here")
        port.startListening()
        self.assertTrue(self.reactor.adopted[0].open)

    def test_nothing(self) -> None:
        """
        A descriptor that is none is an error of the system's.
        """
        inherited = Inherited(self.reactor, 1_000_000, socket.AF_INET)
        self.failureResultOf(inherited.listen(Factory()), OSError)

    def test_local(self) -> None:
        """
        A UNIX socket, which could not be opened again, is none that can be used.
        """
        error = self.assertRaises(ValueError, Inherited, self.reactor, 3, socket.AF_UNIX)
        self.assertIn("INET", str(error))

    def test_unknown(self) -> None:
        """
        An endpoint string that means a socket which was not passed is a fault that says so.
        """
        for text in ("systemd:domain=INET:name=weather", "systemd:domain=INET:index=0"):
            error = self.assertRaises(ConfigError, endpoint, self.reactor, text, "[a] b")
            expected = f'[a] b: "{text}" is no endpoint: systemd has passed no such socket'
            self.assertEqual(error.faults, [expected])

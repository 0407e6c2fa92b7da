"""
Tests for L{sensord.manhole.service}.
"""

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.ssh.keys import Key
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import ConfigError
from sensord.manhole.service import Manhole
from sensord.settings import ManholeSettings


class Reactor(MemoryReactorClock):
    """
    A reactor on which a port may be taken.
    """

    taken = False

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """
        Listen, unless the port is taken.
        """
        if self.taken:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        return super().listenTCP(port, factory, backlog, interface)


class ManholeTests(SynchronousTestCase):
    """
    L{Manhole}.
    """

    def setUp(self) -> None:
        """
        A folder with a key that opens it.
        """
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.keys = self.folder / "authorized_keys"
        self.keys.write_bytes(Key(Ed25519PrivateKey.generate()).public().toString("openssh"))
        self.keys.chmod(0o644)
        self.own = self.folder / "manhole_key"
        self.reactor: Any = Reactor()

    def build(self, listen: str = "tcp:5022:interface=127.0.0.1") -> Manhole:
        """
        A manhole that was not started.
        """
        settings = ManholeSettings(listen, str(self.keys), str(self.own))
        return Manhole(self.reactor, settings, {"store": self}, {})

    def refused(self, manhole: Manhole) -> str:
        """
        Why it does not start: one line.
        """
        [fault] = self.assertRaises(ConfigError, manhole.startService).faults
        self.assertFalse(manhole.running)
        self.assertEqual((self.reactor.tcpServers, manhole.address), ([], None))
        self.assertNotIn("\n", fault)
        return str(fault)

    def test_defaults(self) -> None:
        """
        Unless told otherwise, it can be reached from this machine only.
        """
        self.assertEqual(ManholeSettings().listen, "tcp:5022:interface=127.0.0.1")

    def test_builtOnly(self) -> None:
        """
        Nothing is opened or made before the start.
        """
        self.assertIsNone(self.build().address)
        self.assertFalse(self.own.exists())
        self.assertEqual(self.reactor.tcpServers, [])

    def test_announced(self) -> None:
        """
        One line says where it listens, how many keys open it, and by which key it is known.
        """
        with capturedLogs() as events:
            self.build("tcp:5022").startService()
        [text] = [formatEvent(e) for e in events if e["log_namespace"] == "sensord.manhole.service"]
        self.assertRegex(
            text, r"\Amanhole: tcp 0.0.0.0:5022, SSH for 1 keys; its own is SHA256:\S{43}\Z"
        )

    def test_port(self) -> None:
        """
        It listens where it was told.
        """
        manhole = self.build("tcp:6022:interface=192.168.1.2")
        manhole.startService()
        [(port, _factory, _backlog, interface)] = self.reactor.tcpServers
        self.assertEqual((port, interface), (6022, "192.168.1.2"))
        self.assertIsNotNone(manhole.address)

    def test_noKeys(self) -> None:
        """
        Without a key that opens it, it does not start; nothing weaker takes its place, and no key
        of its own is made.
        """
        self.keys.write_bytes(b"# none yet\n")
        self.assertIn("holds no key that can log in", self.refused(self.build()))
        self.keys.unlink()
        self.assertIn("No such file or directory", self.refused(self.build()))
        self.assertFalse(self.own.exists())

    def test_badOwn(self) -> None:
        """
        With a key of its own that others can read, it does not start.
        """
        self.own.write_bytes(b"")
        self.own.chmod(0o644)
        self.assertIn("is open to others", self.refused(self.build()))

    def test_noEndpoint(self) -> None:
        """
        An endpoint string that is none is named.
        """
        for listen in ("tpc:5022", "tcp:99999", "tcp:x", "", "stdio:"):
            fault = self.refused(self.build(listen))
            start = f'[manhole] listen: "{listen}" is no endpoint: '
            self.assertTrue(fault.startswith(start) and len(fault) > len(start), fault)

    def test_taken(self) -> None:
        """
        A port that is taken raises.
        """
        self.reactor.taken = True
        self.assertRaises(CannotListenError, self.build().startService)

    def test_stop(self) -> None:
        """
        When it stops, the port is closed and who is connected is told to go; it can start again.
        """
        manhole = self.build()
        manhole.startService()
        link = self.reactor.tcpServers[0][1].buildProtocol(None)
        transport = StringTransport()
        link.makeConnection(transport)
        stopped = manhole.stopService()
        self.assertIsNone(manhole.address)
        self.assertTrue(transport.disconnecting)
        self.assertNoResult(stopped)
        link.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        manhole.startService()
        self.assertIsNotNone(manhole.address)
        self.successResultOf(manhole.stopService())

    def test_stopUnstarted(self) -> None:
        """
        One that could not start can be stopped.
        """
        self.successResultOf(self.build().stopService())

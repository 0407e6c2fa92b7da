"""
Tests for L{sensord.protocols.doorstep}.
"""

import errno
import socket
from typing import Any

from twisted.internet.tcp import Port
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import DEFAULTS
from sensord.devices import Devices
from sensord.protocols.doorstep import Doorstep, doorstep
from sensord.protocols.inlet import Inlet
from sensord.protocols.port import PortFactory
from sensord.reading import Arrivals
from sensord.store.account import Account
from sensord.wire.esp8266 import PacketParser
from sensord.wires import PacketSettings

PACKET = bytes.fromhex("0600 100e 7800 06 01 03 7800 006e 0068")

#: The state of Linux in which our end of the line was closed, and the other end knows.
_FIN_WAIT2 = 5


class DoorstepTests(SynchronousTestCase):
    """
    A L{Doorstep} in front of a real port, whose reactor only remembers what it is asked to do.
    """

    def build(self, host: str = "127.0.0.1", **settings: Any) -> Doorstep:
        """
        A door that is open.
        """
        self.reactor = MemoryReactorClock()
        self.account = Account("weather", lambda count: None)
        listener = PacketSettings("weather", "esp8266", "tcp:0", **settings)
        devices = Devices(DEFAULTS)
        source = devices.source(listener, Arrivals(self.reactor.seconds))
        inlet = Inlet("weather", source, self.account, devices.presence, self.reactor)
        self.factory = PortFactory(listener, PacketParser, inlet, self.reactor)
        port = Port(0, self.factory, interface=host, reactor=self.reactor)
        port.startListening()
        door = doorstep(self.reactor, port, self.factory)
        assert isinstance(door, Doorstep)
        self.addCleanup(door.stopListening)
        self.addCleanup(self.factory.end)
        return door

    def call(self, door: Doorstep, data: bytes, leave: bool = True) -> socket.socket:
        """
        A device connects and sends something.

        @param leave: whether it hangs up.
        """
        address: Any = door.getHost()
        device = socket.create_connection((address.host, address.port))
        self.addCleanup(device.close)
        device.settimeout(5)
        device.sendall(data)
        if leave:
            device.shutdown(socket.SHUT_WR)
            while device.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _FIN_WAIT2:
                pass
        return device

    def taken(self) -> list[Any]:
        """
        The readings that have come in so far.
        """
        part = self.account.take()
        if part is None:
            return []
        return [reading.value for intake in part[0].intakes for reading in intake.readings]

    def test_gone(self) -> None:
        """
        The packet of a device that has hung up is taken, and its connection is closed.
        """
        door = self.build()
        device = self.call(door, PACKET)
        door.doRead()
        self.assertEqual(len(self.taken()), 3)
        self.assertEqual(device.recv(1), b"")
        self.assertEqual(self.reactor.adoptedStreamConnections, [])

    def test_many(self) -> None:
        """
        Many that call at once are all heard.
        """
        door = self.build()
        for _device in range(20):
            self.call(door, PACKET)
        door.doRead()
        self.assertEqual(len(self.taken()), 60)

    def test_long(self) -> None:
        """
        One that sends far more than a packet costs a line in the ledger for what is too much.
        """
        door = self.build()
        self.call(door, PACKET + bytes(20_000))
        door.doRead()
        part = self.account.take()
        assert part is not None
        (intake,) = part[0].intakes
        self.assertEqual((len(intake.readings), len(intake.rejected)), (3, 1))

    def test_silent(self) -> None:
        """
        One that hangs up without a word leaves nothing behind.
        """
        door = self.build()
        self.call(door, b"")
        door.doRead()
        self.assertIsNone(self.account.take())

    def test_there(self) -> None:
        """
        A device that is still there has a connection as usual.
        """
        door = self.build()
        self.call(door, PACKET, leave=False)
        door.doRead()
        self.assertEqual(self.taken(), [])
        ((_fd, family, factory),) = self.reactor.adoptedStreamConnections
        self.assertEqual((family, factory), (socket.AF_INET, self.factory))

    def test_held(self) -> None:
        """
        While there is too much to store, even one that has hung up has to wait its turn.
        """
        door = self.build()
        self.factory.hold(True)
        self.call(door, PACKET)
        door.doRead()
        self.assertEqual(self.taken(), [])
        self.assertEqual(len(self.reactor.adoptedStreamConnections), 1)

    def test_notAllowed(self) -> None:
        """
        A device from a network that may not connect is not heard, and is counted.
        """
        door = self.build(allow=("10.0.0.0/8",))
        self.call(door, PACKET)
        door.doRead()
        self.assertEqual(self.taken(), [])
        self.assertEqual(self.factory.refused, 1)

    def test_reset(self) -> None:
        """
        A device whose connection is reset before it is accepted harms nobody.
        """
        door = self.build()
        device = self.call(door, PACKET, leave=False)
        device.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        device.close()
        self.call(door, PACKET)
        door.doRead()
        self.assertEqual(len(self.taken()), 3)

    def test_shortage(self) -> None:
        """
        When the system has no descriptor for a connection, that is logged and counted.
        """
        door = self.build()

        def adopt(*_arguments: object) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        self.reactor.adoptStreamConnection = adopt  # type: ignore[method-assign]
        self.call(door, PACKET, leave=False)
        with capturedLogs() as events:
            door.doRead()
        self.assertIn("Too many open files", events[0]["why"])
        self.assertEqual(self.factory.refused, 1)

    def test_fault(self) -> None:
        """
        A fault of ours costs the connection at which it shows, and the door stays open.
        """
        door = self.build()
        self.factory.inlet.source = None  # type: ignore[assignment]
        self.call(door, PACKET)
        door.doRead()
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.assertIn(door, self.reactor.readers)

    def test_version6(self) -> None:
        """
        It works over IPv6 too.
        """
        door = self.build("::1")
        self.call(door, PACKET)
        self.call(door, PACKET, leave=False)
        door.doRead()
        self.assertEqual(len(self.taken()), 3)
        self.assertEqual(self.reactor.adoptedStreamConnections[0][1], socket.AF_INET6)

    def test_stop(self) -> None:
        """
        When it is closed, devices are refused.
        """
        door = self.build()
        address: Any = door.getHost()
        door.stopListening()
        self.reactor.advance(0)
        self.assertEqual(self.reactor.readers, set())
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection((address.host, address.port))

    def test_elsewhere(self) -> None:
        """
        A port that is no plain one of Twisted stays as it is.
        """
        self.build()
        port = self.reactor.listenTCP(0, self.factory)
        self.assertIs(doorstep(self.reactor, port, self.factory), port)

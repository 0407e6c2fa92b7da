"""
Tests for L{sensord.protocols.listener}.
"""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import DEFAULTS, ConfigError
from sensord.devices import Devices
from sensord.protocols.inlet import Inlet
from sensord.protocols.listener import Listener
from sensord.protocols.port import PortFactory
from sensord.reading import Arrivals
from sensord.store.account import Account
from sensord.wire.esp8266 import PacketParser
from sensord.wires import PacketSettings


class Reactor(MemoryReactorClock):
    """
    A reactor on which a port may be taken.

    @ivar open: the numbers of the ports that are listened on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.taken = False
        self.open: set[int] = set()

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """
        Listen, unless the port is taken.
        """
        if self.taken:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        made: Any = super().listenTCP(port, factory, backlog, interface)
        self.open.add(port)
        stop = made.stopListening

        def stopListening() -> object:
            self.open.discard(port)
            return stop()

        made.stopListening = stopListening
        return made


class ListenerTests(SynchronousTestCase):
    """
    L{Listener} opens and closes its port.
    """

    def setUp(self) -> None:
        """
        A listener that was not started.
        """
        self.reactor = Reactor()

    def build(self, listen: str = "tcp:5001", **more: Any) -> Listener:
        """
        A listener for battery devices.
        """
        settings = PacketSettings("weather", "esp8266", listen, **more)
        devices = Devices(DEFAULTS)
        source = devices.source(settings, Arrivals(self.reactor.seconds))
        account = Account("weather", lambda count: None)
        inlet = Inlet("weather", source, account, devices.presence, self.reactor)
        factory = PortFactory(settings, PacketParser, inlet, self.reactor)
        return Listener(self.reactor, settings, factory)

    def start(self, **more: Any) -> Listener:
        """
        A listener that was started.
        """
        listener = self.build(**more)
        listener.startService()
        return listener

    def test_announced(self) -> None:
        """
        One line says where it listens and what it guarantees.
        """
        with capturedLogs() as events:
            self.start()
        self.assertEqual(
            [formatEvent(event) for event in events],
            [
                "weather: tcp 0.0.0.0:5001, esp8266, refused while nothing can be stored;"
                " the protocol has no acknowledgement"
            ],
        )
        self.assertEqual(self.reactor.open, {5001})

    def test_announcedAck(self) -> None:
        """
        The line says so if frames are answered.
        """
        with capturedLogs() as events:
            self.start(ack=True)
        self.assertIn("each frame is answered after its commit", formatEvent(events[0]))

    def test_taken(self) -> None:
        """
        A port that is taken raises at the start.
        """
        self.reactor.taken = True
        self.assertRaises(CannotListenError, self.start)

    def test_noEndpoint(self) -> None:
        """
        A string that is no endpoint is a fault that names the table and the key.
        """
        error = self.assertRaises(ConfigError, self.build("tpc:5001").startService)
        [fault] = error.faults
        self.assertTrue(
            fault.startswith('[[listeners]] "weather" listen: "tpc:5001" is no endpoint: ')
        )

    def test_closedWhileUnready(self) -> None:
        """
        The port is closed while nothing can be stored, and opens again by itself.
        """
        listener = self.start()
        listener.steer(False, False)
        self.assertEqual(self.reactor.open, set())
        self.assertIsNone(listener.address)
        listener.steer(True, False)
        self.assertEqual(self.reactor.open, {5001})

    def test_openWhileFull(self) -> None:
        """
        While there is too much to store, the port stays open and peers wait.
        """
        listener = self.start()
        protocol = listener.factory.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        listener.steer(True, True)
        self.assertEqual(self.reactor.open, {5001})
        self.assertEqual(transport.producerState, "paused")
        listener.steer(True, False)
        self.assertEqual(transport.producerState, "producing")

    def test_takenMeanwhile(self) -> None:
        """
        A port that somebody else took meanwhile is asked for until it is free; the log says so
        once.
        """
        listener = self.start()
        listener.steer(False, False)
        self.reactor.taken = True
        with capturedLogs() as events:
            listener.steer(True, False)
            self.reactor.pump([1.0] * 10)
        said = [formatEvent(event) for event in events]
        self.assertEqual(len(said), 2, said)
        self.assertIn("Address already in use", said[1])
        self.reactor.taken = False
        self.reactor.pump([1.0] * 3)
        self.assertEqual(self.reactor.open, {5001})

    def test_stopped(self) -> None:
        """
        A listener that was stopped has closed its port, and does not open it when the store heals.
        """
        listener = self.start()
        self.successResultOf(listener.stopService())
        listener.steer(True, False)
        self.assertEqual(self.reactor.open, set())

    def test_figures(self) -> None:
        """
        When it stops, it says how many connections it refused.
        """
        listener = self.start(max_connections=1)
        for _ in range(3):
            listener.factory.buildProtocol(None).makeConnection(StringTransport())
        with capturedLogs() as events:
            self.successResultOf(listener.stopService())
        self.assertEqual(
            [formatEvent(event) for event in events],
            ["weather: refused 2 connections, stored 0 frames of unknown opt"],
        )

    def test_stoppedWhileTaken(self) -> None:
        """
        A listener can be stopped while it waits for its port.
        """
        listener = self.start()
        listener.steer(False, False)
        self.reactor.taken = True
        listener.steer(True, False)
        stopped = listener.stopService()
        self.reactor.pump([1.0] * 3)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_disconnect(self) -> None:
        """
        Links that do not end by themselves are cut after a moment.
        """
        listener = self.start()
        protocol = listener.factory.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        self.successResultOf(listener.stopService())
        gone: Deferred[None] = Deferred.fromCoroutine(listener.disconnect())
        self.assertNoResult(gone)
        self.reactor.pump([0.05] * 25)
        self.successResultOf(gone)
        self.assertTrue(transport.disconnected or transport.disconnecting)

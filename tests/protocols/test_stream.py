"""
Tests for L{sensord.protocols.stream}.
"""

from functools import partial
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock as ReactorClock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import Settings
from sensord.devices import Devices
from sensord.presence import Congested
from sensord.protocols.inlet import Inlet
from sensord.protocols.port import PortFactory
from sensord.protocols.stream import AnsweringProtocol, Refusal, StreamProtocol
from sensord.reading import Arrivals, Intake
from sensord.settings import DeviceSettings, ValueSettings
from sensord.store.account import Account, NotStored
from sensord.wires import WIRES, FrameSettings

FRAME = bytes.fromhex("01ff0001")
UNKNOWN = bytes.fromhex("01ff0901")
PACKET = bytes.fromhex("0600 100e 7800 06 01 03 7800 006e 0068")


class Transport(StringTransport):
    """
    A transport that remembers whether it was cut.
    """

    cut = False

    def abortConnection(self) -> None:
        """
        Remember it.
        """
        self.cut = True
        super().abortConnection()


class StreamTestCase(SynchronousTestCase):
    """
    A factory whose account is emptied by the test, which plays the store.
    """

    def setUp(self) -> None:
        """
        Time stands still until a test moves it.
        """
        self.clock = ReactorClock()
        self.account = Account("poe", lambda count: None)

    def build(self, wire: str = "poe", **settings: object) -> PortFactory:
        """
        A factory that listens.
        """
        listener: Any = WIRES[wire].settings("poe", wire, "tcp:0", **settings)  # type: ignore[call-arg]
        values = tuple(ValueSettings(name, "H") for name in ("light", "humidity", "temperature"))
        all = Settings(listeners=(listener,), devices=(DeviceSettings("poe/1", values=values),))
        devices = Devices(all)
        self.presence = devices.presence
        source = devices.source(listener, Arrivals(self.clock.seconds))
        inlet = Inlet("poe", source, self.account, self.presence, self.clock)
        protocol = AnsweringProtocol if listener.ack else StreamProtocol
        parser = partial(WIRES[wire].parser, listener)
        factory = PortFactory(listener, parser, inlet, self.clock, protocol)
        factory.doStart()
        self.addCleanup(factory.end)
        return factory

    def connect(
        self, factory: PortFactory, address: IAddress | str = "10.0.0.1"
    ) -> tuple[Any, Transport]:
        """
        A peer connects and is let in.
        """
        protocol, transport = self.knock(factory, address)
        assert isinstance(protocol, StreamProtocol)
        return protocol, transport

    def knock(
        self, factory: PortFactory, address: IAddress | str = "10.0.0.1"
    ) -> tuple[StreamProtocol | Refusal, Transport]:
        """
        A peer connects.
        """
        if isinstance(address, str):
            address = IPv4Address("TCP", address, 1)
        protocol = factory.buildProtocol(address)
        assert isinstance(protocol, StreamProtocol | Refusal)
        transport = Transport()
        protocol.makeConnection(transport)
        return protocol, transport

    def commit(self, error: Exception | None = None) -> list[Intake]:
        """
        Store what was admitted, or fail to.
        """
        taken = self.account.take()
        if taken is None:
            return []
        part, waiting = taken
        for _intake, deferred in waiting:
            deferred.callback(None) if error is None else deferred.errback(error)
        return list(part.intakes)

    def names(self) -> list[str]:
        """
        Store what was admitted, and say which readings it was.
        """
        return [reading.name for intake in self.commit() for reading in intake.readings]


class ReceivingTests(StreamTestCase):
    """
    What comes in is recorded.
    """

    def test_recorded(self) -> None:
        """
        Frames reach the store, however they are cut.
        """
        protocol, _transport = self.connect(self.build())
        protocol.dataReceived(FRAME + FRAME[:1])
        protocol.dataReceived(FRAME[1:])
        [one, two] = self.commit()
        self.assertEqual([one.readings[0].device, two.readings[0].device], ["poe/10.0.0.1"] * 2)

    def test_cutOff(self) -> None:
        """
        A piece of a frame at the end of a connection is rejected, and counted once.
        """
        protocol, _transport = self.connect(self.build())
        protocol.dataReceived(FRAME + b"\1")
        protocol.connectionLost(Failure(ConnectionDone()))
        [_frame, rest] = self.commit()
        self.assertEqual([data for data, _why in rest.rejected], [b"\1"])

    def test_packetEndsWithConnection(self) -> None:
        """
        A packet that the connection cuts short still yields its whole measurements.
        """
        protocol, _transport = self.connect(self.build("esp8266"))
        protocol.dataReceived(b"\x0c" + PACKET[1:] + b"\x01")
        self.assertEqual(self.names(), [])
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.names(), ["light", "humidity", "temperature"])

    def test_finished(self) -> None:
        """
        A peer that sends on and on after its packet is disconnected, and its packet counts.
        """
        protocol, transport = self.connect(self.build("esp8266"))
        protocol.dataReceived(PACKET + bytes(600))
        self.assertTrue(transport.disconnecting)
        self.assertEqual(self.names(), ["light", "humidity", "temperature"])

    def test_forgotten(self) -> None:
        """
        A connection that is lost makes room for another.
        """
        factory = self.build(max_connections=1)
        protocol, _transport = self.connect(factory)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.connect(factory)
        self.assertEqual(factory.refused, 0)

    def test_notStored(self) -> None:
        """
        What cannot be stored since the daemon ends is no error of the link.
        """
        protocol, transport = self.connect(self.build(ack=True))
        protocol.dataReceived(FRAME)
        self.commit(NotStored())
        self.assertEqual(transport.value(), b"")

    def test_unfit(self) -> None:
        """
        Any other reason is logged, not acknowledged, and costs the link.
        """
        protocol, transport = self.connect(self.build(ack=True))
        protocol.dataReceived(FRAME)
        self.commit(OverflowError())
        self.assertEqual(len(self.flushLoggedErrors(OverflowError)), 1)
        self.assertTrue(transport.cut)
        self.assertEqual(transport.value(), b"")


class AnsweringTests(StreamTestCase):
    """
    Acknowledgements.
    """

    def test_afterCommit(self) -> None:
        """
        A frame is acknowledged after its commit and not before.
        """
        protocol, transport = self.connect(self.build(ack=True))
        protocol.dataReceived(FRAME * 2)
        self.assertEqual(transport.value(), b"")
        self.commit()
        self.assertEqual(transport.value(), b"\x06\x06")

    def test_inOrder(self) -> None:
        """
        Each frame has its answer in its place, good or bad.
        """
        protocol, transport = self.connect(self.build(ack=True))
        protocol.dataReceived(FRAME + UNKNOWN + FRAME)
        protocol.dataReceived(UNKNOWN)
        self.commit()
        self.assertEqual(transport.value(), b"\x06\x15\x06\x15")

    def test_silent(self) -> None:
        """
        Without acknowledgements nothing is ever sent.
        """
        protocol, transport = self.connect(self.build())
        protocol.dataReceived(FRAME + UNKNOWN)
        self.commit()
        self.assertEqual(transport.value(), b"")

    def test_halfClosed(self) -> None:
        """
        A peer that has sent everything gets its answers before the link is closed.
        """
        protocol, transport = self.connect(self.build("esp8266", ack=True))
        protocol.dataReceived(PACKET[:-1])
        protocol.readConnectionLost()
        self.assertFalse(transport.disconnecting)
        self.commit()
        self.assertEqual(transport.value(), b"\x15")
        self.assertTrue(transport.disconnecting)
        self.assertIsNone(transport.producer)

    def test_endedInMidFrame(self) -> None:
        """
        Nothing more is read from a peer whose link is being closed: its last frame was cut, and
        what follows would be taken for frames that it never sent.
        """
        factory = self.build(ack=True)
        protocol, transport = self.connect(factory)
        protocol.dataReceived(FRAME + FRAME[:1])
        factory.end()
        self.assertEqual(transport.producerState, "paused")
        factory.hold(True)
        factory.hold(False)
        protocol.pauseProducing()
        protocol.resumeProducing()
        self.assertEqual(transport.producerState, "paused")
        protocol.dataReceived(FRAME[1:] + FRAME)
        self.assertEqual(self.names(), ["fire.255"])
        self.assertEqual(transport.value(), b"\x06\x15")
        self.assertTrue(transport.disconnecting)

    def test_lost(self) -> None:
        """
        Nothing is written to a link that is gone.
        """
        protocol, transport = self.connect(self.build(ack=True))
        protocol.dataReceived(FRAME)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.commit()
        self.assertEqual(transport.value(), b"")

    def test_ended(self) -> None:
        """
        When the listener ends, each link is closed after its answers.
        """
        factory = self.build(ack=True)
        protocol, transport = self.connect(factory)
        protocol.dataReceived(FRAME)
        factory.end()
        self.assertFalse(transport.disconnecting)
        self.commit()
        self.assertEqual(transport.value(), b"\x06")
        self.assertTrue(transport.disconnecting)


class LimitTests(StreamTestCase):
    """
    What a peer may do.
    """

    def test_connections(self) -> None:
        """
        A connection beyond the limit is refused at once, and counted.
        """
        factory = self.build(max_connections=2)
        self.connect(factory)
        self.connect(factory)
        protocol, transport = self.knock(factory)
        self.assertIsInstance(protocol, Refusal)
        self.assertTrue(transport.cut)
        self.assertEqual(factory.refused, 1)

    def test_allowed(self) -> None:
        """
        Only peers of the networks that are named may connect; an IPv4 peer of an IPv6 port is
        known by its IPv4 address.
        """
        factory = self.build(allow=("10.0.0.0/24", "fe80::/64"))
        good: tuple[IAddress | str, ...] = (
            "10.0.0.200",
            IPv6Address("TCP", "::ffff:10.0.0.3", 1),
            IPv6Address("TCP", "fe80::1%eth0", 1),
        )
        bad: tuple[IAddress | str, ...] = (
            "10.0.1.1",
            IPv6Address("TCP", "2001:db8::1", 1),
            UNIXAddress(b"/tmp/socket"),
        )
        for address in good:
            self.assertIsInstance(self.knock(factory, address)[0], StreamProtocol)
        for address in bad:
            self.assertIsInstance(self.knock(factory, address)[0], Refusal)

    def test_mappedAddress(self) -> None:
        """
        The address of a device is the same over IPv4 and over IPv6.
        """
        protocol, _transport = self.connect(
            self.build(), IPv6Address("TCP", "::ffff:192.168.1.7", 1)
        )
        self.assertEqual(protocol.host, "192.168.1.7")

    def test_idle(self) -> None:
        """
        A peer that says nothing is disconnected after the idle time, and not before.
        """
        _protocol, transport = self.connect(self.build(idle_timeout=60.0))
        self.clock.pump([15.0] * 4)
        self.assertFalse(transport.cut)
        self.clock.pump([15.0])
        self.assertTrue(transport.cut)

    def test_drip(self) -> None:
        """
        Bytes that complete no frame do not keep a connection.
        """
        protocol, transport = self.connect(self.build("esp8266", idle_timeout=60.0))
        for byte in PACKET[:5]:
            protocol.dataReceived(bytes([byte]))
            self.clock.advance(15.0)
        self.assertTrue(transport.cut)

    def test_lively(self) -> None:
        """
        A peer that sends a frame now and then stays connected.
        """
        protocol, transport = self.connect(self.build(idle_timeout=60.0))
        for _ in range(20):
            self.clock.advance(45.0)
            protocol.dataReceived(FRAME)
        self.assertFalse(transport.cut)

    def test_neverIdle(self) -> None:
        """
        With an idle time of zero a peer may be silent for ever.
        """
        _protocol, transport = self.connect(self.build(idle_timeout=0.0))
        self.clock.advance(1e6)
        self.assertFalse(transport.cut)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_revised(self) -> None:
        """
        Other limits hold for those who come, and who is connected may be silent for as long as
        these say.
        """
        factory = self.build(idle_timeout=60.0)
        _protocol, transport = self.connect(factory)
        factory.revise(
            FrameSettings(
                "poe", "poe", "tcp:0", max_connections=2, idle_timeout=8.0, allow=("10.0.0.0/24",)
            )
        )
        self.assertIsInstance(self.knock(factory, "10.0.1.1")[0], Refusal)
        _second, other = self.connect(factory)
        self.assertIsInstance(self.knock(factory)[0], Refusal)
        self.clock.pump([2.0] * 4)
        self.assertFalse(transport.cut or other.cut)
        self.clock.pump([2.0])
        self.assertTrue(transport.cut and other.cut)
        factory.revise(FrameSettings("poe", "poe", "tcp:0", idle_timeout=0.0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_loggedRarely(self) -> None:
        """
        A flood of garbage is logged once a minute, with how much there was.
        """
        protocol, _transport = self.connect(self.build())
        with capturedLogs() as events:
            protocol.dataReceived(UNKNOWN * 1000)
        self.assertEqual([event["why"] for event in events], ["type 9 is unknown"])
        self.clock.advance(59.0)
        protocol.dataReceived(FRAME)
        self.clock.advance(1.0)
        with capturedLogs() as events:
            protocol.dataReceived(UNKNOWN)
        self.assertEqual([event["missed"] for event in events], [999])


class WaitingTests(StreamTestCase):
    """
    Devices are held back while the store is full.
    """

    def state(self, transport: Transport) -> str:
        """
        Whether a transport reads.
        """
        state: str = transport.producerState
        return state

    def test_held(self) -> None:
        """
        Nothing is read from any peer while devices are held back.
        """
        factory = self.build()
        _protocol, transport = self.connect(factory)
        factory.hold(True)
        self.assertEqual(self.state(transport), "paused")
        factory.hold(False)
        self.assertEqual(self.state(transport), "producing")

    def test_newcomer(self) -> None:
        """
        A peer that connects meanwhile waits too, until devices are let go on.
        """
        factory = self.build()
        factory.hold(True)
        _protocol, transport = self.connect(factory)
        self.assertEqual(self.state(transport), "paused")
        factory.hold(False)
        self.assertEqual(self.state(transport), "producing")

    def test_turns(self) -> None:
        """
        Those that have brought something go on a moment after the others: a few that send without
        end would fill the store again before anybody else is heard.
        """
        factory = self.build()
        loud, quiet = self.connect(factory), self.connect(factory)
        for heard in True, False:
            if heard:
                loud[0].dataReceived(FRAME)
            factory.hold(True)
            factory.hold(False)
            self.assertEqual(self.state(loud[1]), "paused" if heard else "producing")
            self.assertEqual(self.state(quiet[1]), "producing")
            self.clock.advance(0.01)
            self.assertEqual(self.state(loud[1]), "producing")

    def test_turnsEnd(self) -> None:
        """
        One whose moment comes while all have to wait again goes on with the others, and no timer
        is left when the port is closed.
        """
        factory = self.build()
        protocol, transport = self.connect(factory)
        protocol.dataReceived(FRAME)
        for held in True, False, True:
            factory.hold(held)
        self.clock.advance(0.01)
        self.assertEqual(self.state(transport), "paused")
        factory.hold(False)
        self.assertEqual(self.state(transport), "producing")
        protocol.dataReceived(FRAME)
        for held in True, False:
            factory.hold(held)
        factory.end()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_commandsPileUpNowhere(self) -> None:
        """
        A device that does not read what it is sent gets no more until it does, and is met again
        then; it is read from meanwhile, if it expects no answers.
        """
        for ack in False, True:
            factory = self.build(ack=ack)
            protocol, transport = self.connect(factory)
            protocol.dataReceived(FRAME)
            protocol.send(b"1,2\n")
            self.assertIs(transport.producer, protocol)
            met: list[str] = []
            self.presence.greet(met.append)
            protocol.pauseProducing()
            self.assertEqual(self.state(transport), "paused" if ack else "producing")
            self.assertRaises(Congested, protocol.send, b"1,3\n")
            self.assertEqual(met, [])
            protocol.resumeProducing()
            self.assertEqual(met, ["poe/10.0.0.1"])
            protocol.send(b"1,3\n")
            self.assertEqual(transport.value(), b"1,2\n1,3\n")
            self.account.take()
            protocol.end()
            if not ack:
                self.assertIsNone(transport.producer)

    def test_patience(self) -> None:
        """
        Nobody is disconnected for being silent while held back.
        """
        factory = self.build(idle_timeout=60.0)
        _protocol, transport = self.connect(factory)
        factory.hold(True)
        self.clock.pump([15.0] * 100)
        self.assertFalse(transport.cut)

    def test_choked(self) -> None:
        """
        A peer that does not read its answers is not read from either, and being let go on does
        not change that.
        """
        factory = self.build(ack=True)
        protocol, transport = self.connect(factory)
        self.assertIs(transport.producer, protocol)
        protocol.pauseProducing()
        self.assertEqual(self.state(transport), "paused")
        factory.hold(True)
        factory.hold(False)
        self.assertEqual(self.state(transport), "paused")
        protocol.resumeProducing()
        self.assertEqual(self.state(transport), "producing")

"""
Tests for the links that carry text: one suite that runs over each of them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock as ReactorClock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import CloseConnection, TextMessage

from sensord.config import Settings
from sensord.devices import Devices
from sensord.listeners import PortSettings
from sensord.presence import Congested
from sensord.protocols.inlet import Inlet
from sensord.protocols.port import PortFactory
from sensord.protocols.stream import AnsweringProtocol, StreamProtocol
from sensord.protocols.websocket import WebSocketProtocol
from sensord.reading import Arrivals
from sensord.store.account import Account, NotStored
from sensord.wires import WIRES
from tests.wire.test_websocket import HEAD, TEXT, frame

#: More than any text may have, of bytes and of columns.
MANY = 1_000_000

#: How much a broken device may send without an end.
ENDLESS = 10_000_000


class Transport(StringTransport):
    """
    A transport that remembers what was done to it.

    @ivar writes: what was written, call by call.
    @ivar cut: whether it was cut.
    @ivar shut: whether our side of it was closed.
    """

    cut = shut = False

    def __init__(self, protocol: StreamProtocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        """
        Remember it.
        """
        self.writes.append(data)
        super().write(data)

    def abortConnection(self) -> None:
        """
        Remember it.
        """
        self.cut = True
        super().abortConnection()
        self.protocol.connectionLost(Failure(ConnectionAborted()))

    def loseWriteConnection(self) -> None:
        """
        Remember it.
        """
        self.shut = True


class TextTestCase(SynchronousTestCase):
    """
    A listener whose account is emptied by the test, which plays the store.
    """

    def setUp(self) -> None:
        """
        Time stands still until a test moves it.
        """
        self.clock = ReactorClock()
        self.account = Account("field", lambda count: None)
        self.rejected: list[str] = []

    def build(self, wire: str, **settings: object) -> PortFactory:
        """
        A factory that listens.
        """
        listener: Any = WIRES[wire].settings("field", wire, "tcp:0", **settings)  # type: ignore[call-arg]
        devices = Devices(Settings(listeners=(listener,)))
        self.presence = devices.presence
        source = devices.source(listener, Arrivals(self.clock.seconds))
        inlet = Inlet("field", source, self.account, self.presence, self.clock)
        parser = partial(WIRES[wire].parser, listener)
        factory = PortFactory(listener, parser, inlet, self.clock, protocol(listener))
        factory.doStart()
        self.addCleanup(factory.end)
        return factory

    def connect(self, factory: PortFactory) -> tuple[Any, Transport]:
        """
        A peer connects and is let in.
        """
        made = factory.buildProtocol(IPv4Address("TCP", "10.0.0.1", 1))
        assert isinstance(made, StreamProtocol)
        transport = Transport(made)
        made.makeConnection(transport)
        return made, transport

    def commit(self, error: Exception | None = None) -> list[tuple[str, object]]:
        """
        Store what was admitted, or fail to.

        @return: which device has sent which number.
        """
        taken = self.account.take()
        if taken is None:
            return []
        part, waiting = taken
        for _intake, deferred in waiting:
            deferred.callback(None) if error is None else deferred.errback(error)
        intakes = list(part.intakes)
        self.rejected += [why for intake in intakes for _data, why in intake.rejected]
        return [(one.device, one.value) for intake in intakes for one in intake.readings]


def protocol(listener: PortSettings) -> Callable[..., StreamProtocol]:
    """
    What makes the connections of a listener.
    """
    if listener.wire == "websocket":
        return partial(WebSocketProtocol, ack=listener.ack)
    return AnsweringProtocol if listener.ack else StreamProtocol


class LinePeer:
    """
    A device that sends lines.

    @ivar accepted: what it is told about a message with the counter 7.
    @ivar refused: what it is told about garbage.
    """

    accepted = "ok"
    refused = "error not all are finite numbers"

    def __init__(self, protocol: Any, transport: Transport) -> None:
        self.protocol = protocol
        self.transport = transport

    @property
    def over(self) -> bool:
        """
        Whether the gateway has finished with this link.
        """
        return self.transport.disconnecting or self.transport.shut

    @staticmethod
    def frame(text: bytes) -> bytes:
        """
        A text as it goes over the wire.
        """
        return text + b"\r\n"

    def text(self, *numbers: object) -> bytes:
        """
        Some numbers as a text.
        """
        return " ".join(map(str, numbers)).encode()

    def say(self, *numbers: object) -> None:
        """
        Send a message.
        """
        self.send(self.frame(self.text(*numbers)))

    def send(self, data: bytes) -> None:
        """
        Send bytes.
        """
        self.protocol.dataReceived(data)

    def leave(self) -> None:
        """
        Be gone.
        """
        self.protocol.connectionLost(Failure(ConnectionDone()))

    def order(self, text: str) -> bytes:
        """
        A command, as the link is given it.
        """
        return f"{text}\r\n".encode()

    def hear(self) -> list[str]:
        """
        The texts that came down since the last time.
        """
        data: bytes = self.transport.value()
        self.transport.clear()
        return data.decode().splitlines()


class MessagePeer(LinePeer):
    """
    A device that sends messages over a WebSocket.
    """

    accepted = "ack,7"
    refused = "error,not all are finite numbers"

    def __init__(self, protocol: Any, transport: Transport) -> None:
        super().__init__(protocol, transport)
        self._end = Connection(ConnectionType.CLIENT)
        self.send(HEAD)
        self.transport.clear()

    @staticmethod
    def frame(text: bytes) -> bytes:
        """
        See L{LinePeer.frame}.
        """
        return frame(TEXT, text)

    def text(self, *numbers: object) -> bytes:
        """
        See L{LinePeer.text}.
        """
        return ",".join(map(str, numbers)).encode()

    def order(self, text: str) -> bytes:
        """
        See L{LinePeer.order}.
        """
        return text.encode()

    def hear(self) -> list[str]:
        """
        See L{LinePeer.hear}. A close frame is no text.
        """
        self._end.receive_data(self.transport.value())
        self.transport.clear()
        heard = []
        for event in self._end.events():
            if isinstance(event, TextMessage):
                assert event.frame_finished and event.message_finished
                heard.append(event.data)
            else:
                assert isinstance(event, CloseConnection), event
        return heard


class LineTests(TextTestCase):
    """
    The suite, over lines.
    """

    wire = "lines"

    def peer(self, factory: PortFactory) -> LinePeer:
        """
        A device connects.
        """
        return LinePeer(*self.connect(factory))

    def listen(self, **settings: object) -> PortFactory:
        """
        Begin to listen.
        """
        return self.build(self.wire, **settings)

    def assertCosts(self, data: Callable[[LinePeer], bytes], why: str, count: int = 1) -> None:
        """
        Check that something bad costs no more than itself: what came before and what comes behind
        it is stored, if need be over a new connection, and so is what others send.
        """
        factory = self.listen()
        peer, other = self.peer(factory), self.peer(factory)
        peer.say(1, 7, 0.5)
        bad = data(peer)
        for start in range(0, len(bad), 65536):
            peer.send(bad[start : start + 65536])
        other.say(2, 8, 0.75)
        self.assertEqual(
            self.commit(), [("field/1", 7), ("field/1", 0.5), ("field/2", 8), ("field/2", 0.75)]
        )
        self.assertEqual(len(self.rejected), count)
        self.assertIn(why, self.rejected[0])
        if peer.over:
            peer.leave()
            peer = self.peer(factory)
        peer.say(1, 8, 1.5)
        other.say(2, 9, 1.75)
        self.assertEqual(
            self.commit(), [("field/1", 8), ("field/1", 1.5), ("field/2", 9), ("field/2", 1.75)]
        )
        self.assertEqual(len(self.rejected), count)

    def test_messagesAreStored(self) -> None:
        """
        Messages are stored, however they are cut.
        """
        peer = self.peer(self.listen())
        data = peer.frame(peer.text(1, 7, 23.5)) + peer.frame(peer.text(1, 8, 24.5))
        for place in range(len(data)):
            peer.send(data[place : place + 1])
        expected = [("field/1", 7), ("field/1", 23.5), ("field/1", 8), ("field/1", 24.5)]
        self.assertEqual(self.commit(), expected)
        peer.send(data)
        self.assertEqual(self.commit(), expected)

    def test_answersComeAfterTheCommit(self) -> None:
        """
        A message is acknowledged after its commit and not before.
        """
        peer = self.peer(self.listen(ack=True))
        peer.say(1, 7, 23.5)
        self.assertEqual(peer.hear(), [])
        self.commit()
        self.assertEqual(peer.hear(), [peer.accepted])

    def test_eachMessageHasItsAnswer(self) -> None:
        """
        Good or bad, each message has its answer, in its order.
        """
        peer = self.peer(self.listen(ack=True))
        good, bad = peer.frame(peer.text(1, 7, 23.5)), peer.frame(b"garbage")
        peer.send(good + bad + good)
        peer.send(bad)
        self.commit()
        yes, no = peer.accepted, peer.refused
        self.assertEqual(peer.hear(), [yes, no, yes, no])

    def test_unaskedNothingIsAnswered(self) -> None:
        """
        Without acknowledgements, a device hears nothing about its messages.
        """
        peer = self.peer(self.listen())
        peer.say(1, 7, 23.5)
        peer.send(peer.frame(b"garbage"))
        self.commit()
        self.assertEqual(peer.hear(), [])

    def test_whatIsNotStoredIsNotAnswered(self) -> None:
        """
        What could not be stored is not acknowledged.
        """
        peer = self.peer(self.listen(ack=True))
        peer.say(1, 7, 23.5)
        self.commit(NotStored())
        self.assertEqual(peer.hear(), [])

    def test_aFaultOfOursCostsTheLink(self) -> None:
        """
        When storing a message fails for a reason that nobody foresaw, its link is cut, and the
        reason logged.
        """
        peer = self.peer(self.listen(ack=True))
        peer.say(1, 7, 23.5)
        self.commit(OverflowError())
        self.assertEqual(len(self.flushLoggedErrors(OverflowError)), 1)
        self.assertTrue(peer.transport.cut)
        self.assertEqual(peer.hear(), [])

    def test_whoHangsUpStillHasItsAnswers(self) -> None:
        """
        A device that closes its side gets its answers before the link is closed.
        """
        peer = self.peer(self.listen(ack=True))
        peer.say(1, 7, 23.5)
        peer.protocol.readConnectionLost()
        self.assertFalse(peer.over)
        self.commit()
        self.assertEqual(peer.hear(), [peer.accepted])
        self.assertTrue(peer.transport.disconnecting)
        self.assertIsNone(peer.transport.producer)

    def test_theListenerEndsAfterItsAnswers(self) -> None:
        """
        When the listener ends, each link is closed after its answers, and nothing more is read.
        """
        factory = self.listen(ack=True)
        peer = self.peer(factory)
        peer.say(1, 7, 23.5)
        factory.end()
        self.assertFalse(peer.over)
        peer.say(1, 8, 24.5)
        self.assertEqual(self.commit(), [("field/1", 7), ("field/1", 23.5)])
        self.assertEqual(peer.hear(), [peer.accepted])
        self.assertTrue(peer.over)

    def test_aHalfMessageAtTheEndIsCounted(self) -> None:
        """
        A message that the end of its connection cuts short is rejected, and counted once.
        """
        factory = self.listen()
        peer = self.peer(factory)
        peer.send(peer.frame(peer.text(1, 7, 23.5))[:-3])
        peer.leave()
        self.assertEqual(self.commit(), [])
        self.assertEqual(len(self.rejected), 1)
        self.assertIn("cut short", self.rejected[0])
        self.assertEqual(factory.connections, set())

    def test_nothingIsWrittenToALinkThatIsGone(self) -> None:
        """
        Neither answers nor commands are written to a link that is gone; whoever sends a command is
        told, and can keep it.
        """
        peer = self.peer(self.listen(ack=True))
        peer.say(1, 7, 23.5)
        peer.leave()
        self.commit()
        self.assertRaises(Congested, peer.protocol.send, peer.order("1,1.0"))
        self.assertEqual(peer.hear(), [])

    def test_devicesAreHeldBack(self) -> None:
        """
        While devices are held back, nothing is read from any of them, nor from one that comes
        meanwhile, and none is disconnected for being silent.
        """
        factory = self.listen(idle_timeout=60.0)
        peer = self.peer(factory)
        factory.hold(True)
        _protocol, newcomer = self.connect(factory)
        states = [peer.transport.producerState, newcomer.producerState]
        self.assertEqual(states, ["paused", "paused"])
        self.clock.pump([15.0] * 100)
        self.assertFalse(peer.transport.cut)
        factory.hold(False)
        self.clock.advance(0.01)
        states = [peer.transport.producerState, newcomer.producerState]
        self.assertEqual(states, ["producing", "producing"])

    def test_theSilentAreDisconnected(self) -> None:
        """
        A device that says nothing for the idle time is disconnected, and one that goes on is not.
        """
        factory = self.listen(idle_timeout=60.0)
        silent, lively = self.peer(factory), self.peer(factory)
        for _ in range(5):
            self.assertFalse(silent.transport.cut)
            lively.say(1, 7, 23.5)
            self.clock.advance(15.0)
        self.assertTrue(silent.transport.cut)
        self.assertFalse(lively.transport.cut)

    def test_bytesAloneKeepNoConnection(self) -> None:
        """
        Bytes that complete no message do not keep a connection.
        """
        peer = self.peer(self.listen(idle_timeout=60.0))
        data = peer.frame(peer.text(1, 7, 23.5))
        for place in range(5):
            peer.send(data[place : place + 1])
            self.clock.advance(15.0)
        self.assertTrue(peer.transport.cut)

    def test_aCommandReachesOneDevice(self) -> None:
        """
        A command reaches the device that it is for, and no other.
        """
        factory = self.listen()
        one, two = self.peer(factory), self.peer(factory)
        one.say(1, 7, 23.5)
        two.say(2, 7, 23.5)
        self.order(1, one.order("1,1.0"))
        self.assertEqual([one.hear(), two.hear()], [["1,1.0"], []])
        self.order(2, two.order("1,0.0"))
        self.assertEqual([one.hear(), two.hear()], [[], ["1,0.0"]])

    def test_aLinkMayHaveManyDevices(self) -> None:
        """
        Devices that share a connection are all reached by it.
        """
        peer = self.peer(self.listen())
        for id in (1, 2, 1):
            peer.say(id, 7, 23.5)
        self.assertEqual(self.presence.present(), ["field/1", "field/2"])
        for id in (1, 2):
            self.order(id, peer.order(f"{id},0.0"))
        self.assertEqual(peer.hear(), ["1,0.0", "2,0.0"])
        peer.leave()
        self.assertEqual(self.presence.present(), [])

    def test_aReconnectTakesTheIdOver(self) -> None:
        """
        A command goes to the newest connection of a device only, whether the old one still speaks
        or is lost; and when the newest is lost, to the one before, if that is still there.
        """
        factory = self.listen()
        oldest, old, new = (self.peer(factory) for _ in range(3))
        for count, peer in enumerate((oldest, old, new, old)):
            peer.say(1, count, 23.5)
        self.order(1, new.order("1,1.0"))
        self.assertEqual([oldest.hear(), old.hear(), new.hear()], [[], [], ["1,1.0"]])
        old.leave()
        self.order(1, new.order("1,0.0"))
        self.assertEqual([oldest.hear(), new.hear()], [[], ["1,0.0"]])
        new.leave()
        self.order(1, new.order("1,1.0"))
        self.assertEqual(oldest.hear(), ["1,1.0"])
        oldest.leave()
        self.assertIsNone(self.presence.link("field/1"))

    def test_aLinkThatEndsLeadsNowhere(self) -> None:
        """
        Once a link is being closed its devices count as away, also while answers are awaited.
        """
        factory = self.listen(ack=True)
        peer = self.peer(factory)
        peer.say(1, 7, 23.5)
        factory.end()
        self.assertEqual(self.presence.present(), [])

    def test_halvesOfManyConnections(self) -> None:
        """
        Halves of the messages of a hundred connections, all mixed up, find together.
        """
        factory = self.listen()
        peers = [self.peer(factory) for _ in range(100)]
        whole = [peer.frame(peer.text(id, id, id / 2)) for id, peer in enumerate(peers)]
        for peer, data in zip(peers, whole, strict=True):
            peer.send(data[: len(data) // 2])
        self.assertEqual(self.commit(), [])
        for peer, data in reversed(list(zip(peers, whole, strict=True))):
            peer.send(data[len(data) // 2 :])
        expected = [(f"field/{id}", value) for id in reversed(range(100)) for value in (id, id / 2)]
        self.assertEqual(self.commit(), expected)
        self.assertEqual(self.rejected, [])

    def test_garbageCostsItself(self) -> None:
        """
        A text that means nothing is rejected alone.
        """
        self.assertCosts(lambda peer: peer.frame(b"hello?"), "finite numbers")

    def test_whatIsNotFiniteCostsItself(self) -> None:
        """
        A text with NaN or an infinity in it is rejected alone.
        """
        values = ("nan", "NaN", "inf", "-Infinity", "1e999")
        self.assertCosts(
            lambda peer: b"".join(peer.frame(peer.text(1, 7, value)) for value in values),
            "finite numbers",
            len(values),
        )

    def test_oneValueAloneCostsItself(self) -> None:
        """
        A text of a single number is rejected alone.
        """
        self.assertCosts(lambda peer: peer.frame(b"15"), "")

    def test_whatIsNotUtf8CostsItself(self) -> None:
        """
        Bytes that are no text are rejected alone, or with their connection.
        """
        self.assertCosts(lambda peer: peer.frame(b"1 7 \xff\xfe"), "")

    def test_aMillionColumnsCostThemselves(self) -> None:
        """
        A text of a million columns is rejected alone, or with its connection.
        """
        self.assertCosts(lambda peer: peer.frame(peer.text(*[1] * MANY)), "bytes")

    def test_manyColumnsCostNoConnection(self) -> None:
        """
        A short text of very many columns costs no connection, whether it is taken or not.
        """
        peer = self.peer(self.listen())
        peer.say(*[1] * 500)
        peer.say(1, 8, 24.5)
        self.assertEqual(self.commit()[-2:], [("field/1", 8), ("field/1", 24.5)])
        self.assertFalse(peer.over)

    def test_aTextWithoutEndCostsItself(self) -> None:
        """
        A text of ten megabytes is rejected, once and while it comes: alone, or with its connection.
        """
        self.assertCosts(lambda peer: peer.frame(b"1" * ENDLESS), "bytes")

    def test_aFloodOfGarbageIsLoggedRarely(self) -> None:
        """
        A flood of garbage is logged once.
        """
        peer = self.peer(self.listen())
        with capturedLogs() as events:
            peer.send(peer.frame(b"hello?") * 1000)
        self.assertEqual(len(events), 1)
        self.commit()
        self.assertEqual(len(self.rejected), 1000)

    def order(self, id: int, data: bytes) -> None:
        """
        Send a command down to a device.
        """
        link = self.presence.link(f"field/{id}")
        assert link is not None
        link.send(data)


class MessageTests(LineTests):
    """
    The suite, over WebSockets.
    """

    wire = "websocket"

    def peer(self, factory: PortFactory) -> LinePeer:
        """
        A device connects and shakes hands.
        """
        return MessagePeer(*self.connect(factory))

"""
Tests for L{sensord.protocols.websocket}. What all text links have in common is tested in
L{tests.protocols.test_texts}.
"""

from typing import Any

from hypothesis import given, strategies
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, ISSLTransport
from twisted.python.failure import Failure
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import CloseConnection, Event, Pong, TextMessage
from zope.interface import directlyProvides

from sensord.presence import Congested
from sensord.protocols.websocket import LINGER
from sensord.wire.websocket import encode
from tests.protocols.test_texts import TextTestCase, Transport
from tests.support import PROPERTY, SIZES, slices
from tests.wire.test_websocket import ACCEPT, BINARY, CLOSE, HEAD, PIECES, PING, TEXT, frame, text

#: What a client sends to close: the code 1000.
NORMAL = (1000).to_bytes(2, "big")


class WebSocketTestCase(TextTestCase):
    """
    A listener for WebSockets.
    """

    def open(self, **settings: object) -> tuple[Any, Transport]:
        """
        A client connects and shakes hands.
        """
        protocol, transport = self.connect(self.build("websocket", **settings))
        protocol.dataReceived(HEAD)
        transport.clear()
        transport.writes.clear()
        return protocol, transport

    def heard(self, transport: Transport) -> list[Event]:
        """
        What a client reads that was written behind the handshake.
        """
        end = Connection(ConnectionType.CLIENT)
        end.receive_data(transport.value())
        return list(end.events())


class HandshakeTests(WebSocketTestCase):
    """
    How a connection begins.
    """

    def test_answeredInOneWrite(self) -> None:
        """
        The handshake is answered in one write, as soon as it is complete, in however many pieces it
        comes.
        """
        protocol, transport = self.connect(self.build("websocket"))
        for piece in PIECES:
            self.assertEqual(transport.writes, [])
            protocol.dataReceived(piece)
        self.assertEqual(len(transport.writes), 1)
        self.assertIn(ACCEPT, transport.value()[:200])

    def test_answeredBeforeACommand(self) -> None:
        """
        A command that waits for a device follows the answer to its handshake, also when the device
        was so hasty as to send both in one segment.
        """
        protocol, transport = self.connect(self.build("websocket"))
        presence = self.presence
        presence.greet(lambda address: presence.link(address).send(b"1,1.0"))  # type: ignore[union-attr]
        protocol.dataReceived(HEAD + text("1,7,23.5"))
        [answer, command] = transport.writes
        self.assertIn(ACCEPT, answer)
        self.assertEqual(command, bytes.fromhex("81 05 31 2c 31 2e 30"))

    def test_refused(self) -> None:
        """
        What is no handshake is told so in HTTP and counted, and then the link is closed. No frame
        is sent to it.
        """
        for ack in (False, True):
            protocol, transport = self.connect(self.build("websocket", ack=ack))
            protocol.dataReceived(HEAD.replace(b"/ws", b"/elsewhere"))
            self.commit()
            self.assertEqual(len(transport.writes), 1)
            self.assertIn(b"HTTP/1.1 404 ", transport.value())
            self.assertTrue(transport.value().endswith(b"the path is /ws\n"))
            self.assertTrue(transport.shut)
        self.assertEqual(self.rejected, ["404 Not Found: the path is /ws"] * 2)

    def test_neverComplete(self) -> None:
        """
        A handshake that never ends is disconnected after the idle time.
        """
        protocol, transport = self.connect(self.build("websocket", idle_timeout=60.0))
        for piece in (*PIECES[:-1], b"X-Filler: 1\r\n"):
            protocol.dataReceived(piece)
            self.clock.advance(15.0)
        self.assertTrue(transport.cut)

    def test_endedBefore(self) -> None:
        """
        When the listener ends, who has not shaken hands yet is disconnected without a word.
        """
        factory = self.build("websocket")
        protocol, transport = self.connect(factory)
        protocol.dataReceived(PIECES[0])
        factory.end()
        self.assertEqual(transport.value(), b"")
        self.assertTrue(transport.shut)


class TalkTests(WebSocketTestCase):
    """
    What goes down besides answers.
    """

    def test_pingsAreAnswered(self) -> None:
        """
        Pings are answered in one write for all that came together, whether messages are or not.
        """
        protocol, transport = self.open()
        protocol.dataReceived(frame(PING, b"a") + text("1,7,23.5") + frame(PING, b"b"))
        self.assertEqual(len(transport.writes), 1)
        self.assertEqual(self.heard(transport), [Pong(b"a"), Pong(b"b")])

    def test_pingsAloneKeepNoConnection(self) -> None:
        """
        A client that pings but sends no message is disconnected after the idle time.
        """
        protocol, transport = self.open(idle_timeout=60.0)
        for _ in range(5):
            protocol.dataReceived(frame(PING))
            self.clock.advance(15.0)
        self.assertTrue(transport.cut)

    def test_aCommandIsOneFrame(self) -> None:
        """
        A command goes down as one short frame, among the fragments of a message as well.
        """
        protocol, transport = self.open()
        protocol.dataReceived(frame(TEXT, b"1,7", last=False))
        protocol.send(b"1,0.0")
        self.assertEqual(transport.writes, [bytes.fromhex("81 05 31 2c 30 2e 30")])

    def test_noCommandBeforeTheHandshake(self) -> None:
        """
        Nothing is sent to a client that has not shaken hands.
        """
        protocol, transport = self.connect(self.build("websocket"))
        self.assertRaises(Congested, protocol.send, b"1,1.0")
        self.assertEqual(transport.value(), b"")

    def test_eachAnswerIsAFrame(self) -> None:
        """
        Each message has an answer in a frame of its own; those of one commit are written together.
        """
        protocol, transport = self.open(ack=True)
        protocol.dataReceived(text("1,7,23.5") + text("1,8,23.5"))
        self.commit()
        self.assertEqual(transport.writes, [encode("ack,7") + encode("ack,8")])

    def test_aClientThatDoesNotReadWaits(self) -> None:
        """
        A client that pings but does not read the pongs is not read from until it does, and neither
        is it when devices that were held back are let go on.
        """
        factory = self.build("websocket")
        protocol, transport = self.connect(factory)
        self.assertIs(transport.producer, protocol)
        protocol.pauseProducing()
        factory.hold(True)
        factory.hold(False)
        self.assertEqual(transport.producerState, "paused")
        protocol.resumeProducing()
        self.assertEqual(transport.producerState, "producing")


class CloseTests(WebSocketTestCase):
    """
    How a connection ends.
    """

    def assertOver(self, transport: Transport, code: int) -> None:
        """
        Check that a close frame was the last word, and that our side is closed.
        """
        last = self.heard(transport)[-1]
        assert isinstance(last, CloseConnection)
        self.assertEqual(last.code, code)
        self.assertTrue(transport.shut)
        self.assertIsNone(transport.producer)
        self.assertEqual(transport.producerState, "producing")

    def test_aCloseIsEchoed(self) -> None:
        """
        The close frame of a client is answered in kind.
        """
        protocol, transport = self.open()
        protocol.dataReceived(frame(PING, b"a") + frame(CLOSE, NORMAL))
        self.assertEqual([type(event) for event in self.heard(transport)], [Pong, CloseConnection])
        self.assertOver(transport, 1000)

    def test_aCloseIsEchoedAfterTheAnswers(self) -> None:
        """
        The close frame of a client is answered when its messages are: behind it, nobody would
        read an answer.
        """
        protocol, transport = self.open(ack=True)
        protocol.dataReceived(text("1,7,23.5") + frame(CLOSE, NORMAL))
        self.assertEqual(transport.value(), b"")
        self.commit()
        self.assertEqual(
            [type(event) for event in self.heard(transport)], [TextMessage, CloseConnection]
        )
        self.assertOver(transport, 1000)

    def test_nothingFollowsAClose(self) -> None:
        """
        A client that sends its handshake, a message and its close frame in one segment has the
        message stored, and gets no answer behind the close frame.
        """
        protocol, transport = self.connect(self.build("websocket", ack=True))
        protocol.dataReceived(HEAD + text("1,7,23.5") + frame(CLOSE, NORMAL))
        self.assertEqual(len(self.commit()), 2)
        head, _blank, frames = transport.value().partition(b"\r\n\r\n")
        self.assertIn(ACCEPT, head)
        self.assertEqual(frames, bytes.fromhex("88 02 03 e8"))
        self.assertTrue(transport.shut)

    def test_theListenerEnds(self) -> None:
        """
        When the listener ends, clients are told that it goes away, each after its answers.
        """
        for ack in (False, True):
            protocol, transport = self.open(ack=ack)
            protocol.dataReceived(text("1,7,23.5") + text("1,8,23.5")[:-1])
            protocol.factory.end()
            self.assertEqual(len(self.commit()), 2)
            self.assertOver(transport, 1001)
            answers = [event.data for event in self.heard(transport)[:-1]]  # type: ignore[attr-defined]
            self.assertEqual(answers, ["ack,7"] * ack)
        self.assertEqual(self.rejected, ["cut short by the end of the connection"] * 2)

    def test_endedTwice(self) -> None:
        """
        A client is told only once.
        """
        protocol, transport = self.open()
        protocol.factory.end()
        protocol.factory.end()
        self.assertEqual(len(self.heard(transport)), 1)

    def test_faults(self) -> None:
        """
        A client that breaks the rules is told which, and disconnected; what it says after that is
        not heard.
        """
        for fault, code in (
            (b"\x81\x05" + b"1,7,2", 1002),  # not masked
            (frame(BINARY, b"1,7,23.5"), 1003),
            (frame(TEXT, b"\xff\xfe"), 1007),
            (frame(TEXT, b"1," * 5000), 1009),
        ):
            protocol, transport = self.open()
            protocol.dataReceived(text("1,7,23.5") + fault)
            protocol.dataReceived(text("1,8,23.5"))
            self.assertEqual(len(self.commit()), 2)
            self.assertEqual(len(self.rejected), 1, self.rejected)
            self.assertOver(transport, code)
            self.rejected.clear()

    def test_noCommandToOneThatSaidGoodbye(self) -> None:
        """
        When a message and the goodbye behind it come together, a command that waits for the device
        is not taken from its mailbox to be sent to nobody.
        """
        taken: list[bool] = []

        def greet(address: str) -> None:
            link = presence.link(address)
            assert link is not None
            try:
                link.send(b"1,1.0")
            except Congested:
                taken.append(False)
            else:
                taken.append(True)

        protocol, _transport = self.open()
        presence = protocol.factory.inlet.presence
        presence.greet(greet)
        protocol.dataReceived(text("7,1,20.5") + frame(CLOSE, b"\x03\xe8"))
        self.assertEqual(taken, [False])

    def test_noCommandAfterTheEnd(self) -> None:
        """
        A link that is being closed carries no commands, also while answers are awaited.
        """
        protocol, transport = self.open(ack=True)
        protocol.dataReceived(text("1,7,23.5"))
        protocol.factory.end()
        self.assertRaises(Congested, protocol.send, b"1,1.0")
        self.assertEqual(transport.value(), b"")
        self.commit()
        self.assertRaises(Congested, protocol.send, b"1,1.0")
        self.assertOver(transport, 1001)

    def test_theClientClosesItsSide(self) -> None:
        """
        When a client has read our last words and closes its side, the link is over.
        """
        protocol, transport = self.open()
        protocol.dataReceived(frame(CLOSE, NORMAL))
        IHalfCloseableProtocol(protocol).writeConnectionLost()
        self.assertFalse(transport.disconnecting)
        IHalfCloseableProtocol(protocol).readConnectionLost()
        self.assertTrue(transport.disconnecting)
        protocol.connectionLost(Failure(ConnectionDone()))
        protocol.factory.end()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_theClientNeverClosesItsSide(self) -> None:
        """
        A client that does not close its side is cut off soon, though devices may be silent for
        ever, and however much it sends.
        """
        protocol, transport = self.open(idle_timeout=0.0)
        protocol.dataReceived(frame(CLOSE, NORMAL))
        self.clock.advance(LINGER / 2)
        protocol.dataReceived(text("1,7,23.5"))
        self.assertFalse(transport.cut)
        self.clock.advance(LINGER / 2)
        self.assertTrue(transport.cut)
        self.assertEqual(protocol.factory.connections, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_theClientHangsUpFirst(self) -> None:
        """
        A client that closes its side without a close frame gets its answers and ours.
        """
        protocol, transport = self.open(ack=True)
        protocol.dataReceived(text("1,7,23.5"))
        IHalfCloseableProtocol(protocol).readConnectionLost()
        self.commit()
        kinds = [type(event) for event in self.heard(transport)]
        self.assertEqual(kinds, [TextMessage, CloseConnection])
        self.assertTrue(transport.disconnecting)
        self.assertFalse(transport.shut)

    def test_tlsHasNoHalves(self) -> None:
        """
        A link over TLS is closed as a whole.
        """
        protocol, transport = self.open()
        directlyProvides(transport, ISSLTransport)
        protocol.dataReceived(frame(CLOSE, NORMAL))
        self.assertTrue(transport.disconnecting)
        self.assertFalse(transport.shut)


class PropertyTests(WebSocketTestCase):
    """
    What holds for all input.
    """

    @PROPERTY
    @given(strategies.binary(max_size=200), SIZES, strategies.booleans(), strategies.booleans())
    def test_anyBytes(self, data: bytes, sizes: list[int], shaken: bool, ack: bool) -> None:
        """
        Whatever a client sends, before or behind its handshake, nothing is raised, and the
        connection is over when it hangs up.
        """
        self.setUp()
        protocol, transport = (
            self.open(ack=ack) if shaken else self.connect(self.build("websocket"))
        )
        for chunk in slices(data, sizes):
            protocol.dataReceived(chunk)
        protocol.readConnectionLost()
        self.commit()
        self.assertTrue(transport.disconnecting)
        protocol.connectionLost(Failure(ConnectionDone()))
        protocol.factory.end()
        self.assertEqual(self.clock.getDelayedCalls(), [])

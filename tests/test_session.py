"""
Tests for L{sensord.session}.
"""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from OpenSSL.SSL import Error as TLSError
from OpenSSL.SSL import ZeroReturnError
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sensord.brokers import (
    MAX_PACKET,
    BrokerSettings,
    Denied,
    Message,
    Publication,
    Terms,
    Unavailable,
)
from sensord.session import ANSWER, Session
from sensord.settings import Secret
from tests.mqtt import (
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PUBACK,
    PUBLISH,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Packet,
    Transport,
    connack,
    message,
    packet,
    puback,
    suback,
)
from tests.support import PROPERTY, SIZES, slices

#: A message, and where it is said.
HELLO = Publication("a/b", b"hello")


class SessionTestCase(SynchronousTestCase):
    """
    A connection, and the broker's end of it.
    """

    settings = BrokerSettings()
    terms = Terms()

    def setUp(self) -> None:
        """
        Connect.
        """
        self.open(self.settings, self.terms)

    def open(self, settings: BrokerSettings, terms: Terms = Terms()) -> list[Packet]:  # noqa: B008
        """
        Connect anew.

        @return: how the client greets.
        """
        self.clock = Clock()
        self.heard: list[Message] = []
        self.session = Session(self.clock, settings, terms, self.heard.append)
        self.transport = Transport()
        self.transport.protocol = self.session
        self.session.makeConnection(self.transport)
        self.clock.advance(0)
        return self.transport.take()

    def greet(self, *arguments: Any) -> None:
        """
        The broker takes us.
        """
        self.transport.say(connack(*arguments))
        self.successResultOf(self.session.accepted)

    def sent(self) -> list[Packet]:
        """
        What the client has sent in this turn.
        """
        self.clock.advance(0)
        return self.transport.take()

    def ended(self, kind: type[Exception]) -> str:
        """
        The connection has ended, and left nothing behind.

        @return: why.
        """
        why = self.successResultOf(self.session.gone)
        self.assertIsInstance(why, kind)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.transport.connected)
        return str(why)


class GreetingTests(SessionTestCase):
    """
    How a connection begins.
    """

    def test_plain(self) -> None:
        """
        A client says its name, and for how long it may be silent.
        """
        (sent,) = self.open(BrokerSettings(client_id="gateway", keepalive=60))
        self.assertEqual(sent.kind, CONNECT)
        self.assertEqual(sent.body, b"\0\x04MQTT\x04\x02\0\x3c\0\x07gateway")

    def test_known(self) -> None:
        """
        A client says its user and password, its will, and that it wants to be remembered.
        """
        will = Publication("a/status", b"offline", True)
        (sent,) = self.open(
            BrokerSettings(user="me", password=Secret("secret"), client_id="g", keepalive=5),
            Terms(will, kept=3600),
        )
        self.assertEqual(
            sent.body,
            b"\0\x04MQTT\x04\xec\0\x05\0\x01g\0\x08a/status\0\x07offline\0\x02me\0\x06secret",
        )

    def test_five(self) -> None:
        """
        With MQTT 5 it also says how much it takes, and for how long it wants to be remembered.
        """
        (sent,) = self.open(
            BrokerSettings(version="5", client_id="g", keepalive=60), Terms(kept=60, receive=9)
        )
        self.assertEqual(sent.body[:10], b"\0\x04MQTT\x05\0\0\x3c")
        properties = sent.body[11 : 11 + sent.body[10]]
        self.assertIn(b"\x11\0\0\0\x3c", properties)
        self.assertIn(b"\x21\0\x09", properties)
        self.assertIn(b"\x27" + MAX_PACKET.to_bytes(4), properties)

    def test_accepted(self) -> None:
        """
        When the broker has taken it, it can speak.
        """
        self.assertNoResult(self.session.accepted)
        self.greet()

    def test_refused(self) -> None:
        """
        When the broker does not take it, and will not, the reason is told.
        """
        for code, why in (
            (2, "client identifier not valid"),
            (4, "bad user name or password"),
            (5, "not authorized"),
        ):
            self.open(BrokerSettings(client_id="gateway"))
            self.transport.say(connack(code))
            error = self.failureResultOf(self.session.accepted, Denied).value
            self.assertEqual(str(error), why)
            self.assertEqual(self.ended(Denied), why)

    def test_busy(self) -> None:
        """
        When the broker cannot take it just now, it may later.
        """
        self.transport.say(connack(3))
        error = self.failureResultOf(self.session.accepted, Unavailable).value
        self.assertEqual(str(error), "server unavailable")

    def test_silence(self) -> None:
        """
        A broker that takes the connection and says nothing is given up.
        """
        for _second in range(int(ANSWER) - 1):
            self.clock.advance(1)
        self.assertNoResult(self.session.accepted)
        self.clock.advance(1)
        self.failureResultOf(self.session.accepted, Unavailable)
        self.assertEqual(self.ended(Unavailable), "it does not answer")

    def test_certificate(self) -> None:
        """
        When TLS fails, somebody has to do something.
        """
        reason = TLSError([("SSL routines", "", "certificate verify failed")])
        self.transport.end(reason)
        self.failureResultOf(self.session.accepted, Denied)
        self.assertEqual(self.ended(Denied), "TLS: certificate verify failed")

    def test_end(self) -> None:
        """
        When the connection ends before the greeting, it may be better the next time.
        """
        for reason in (ConnectionLost(), ZeroReturnError()):
            self.open(self.settings)
            self.transport.end(reason)
            self.failureResultOf(self.session.accepted, Unavailable)
            self.assertEqual(self.ended(Unavailable), "the connection was closed")


class PublishTests(SessionTestCase):
    """
    What is said.
    """

    terms = Terms(inflight=3)

    def setUp(self) -> None:
        """
        Connect, and be taken.
        """
        super().setUp()
        self.greet()

    def test_over(self) -> None:
        """
        Whoever is told that the connection broke, and says the same at once, is told so again.
        """
        saying = self.session.publish(Publication("a", b"b"))
        again = saying.addErrback(lambda failure: self.session.publish(Publication("a", b"b")))
        self.transport.end(ConnectionLost())
        self.failureResultOf(again, Unavailable)
        self.failureResultOf(self.session.subscribe("a", 1), Unavailable)

    def test_confirmed(self) -> None:
        """
        A message has been said when the broker has confirmed it, and not before.
        """
        saying = self.session.publish(Publication("a/b", b"hello", True))
        (sent,) = self.sent()
        self.assertEqual((sent.kind, sent.flags), (PUBLISH, 0x03))
        self.assertEqual((sent.topic, sent.payload), ("a/b", b"hello"))
        self.assertNoResult(saying)
        self.transport.say(puback(sent.mid + 1))
        self.assertNoResult(saying)
        self.transport.say(puback(sent.mid))
        self.successResultOf(saying)

    def test_unconfirmed(self) -> None:
        """
        A message with QoS 0 has been said when it is on its way.
        """
        saying = self.session.publish(Publication("a/b", b"hello", qos=0))
        self.assertEqual([each.flags for each in self.sent()], [0])
        self.successResultOf(saying)

    def test_together(self) -> None:
        """
        What is said in one turn is written in one go, when the turn is over.
        """
        for _each in range(3):
            self.session.publish(Publication("a", b"b"))
        self.assertEqual(self.transport.take(), [])
        self.assertEqual(len(self.sent()), 3)

    def test_window(self) -> None:
        """
        Only so many messages are on their way; the next follow as they are confirmed, in order.
        """
        saying = [self.session.publish(Publication("a", b"%d" % n)) for n in range(8)]
        payloads = []
        while sent := self.sent():
            self.assertLessEqual(len(sent), 3)
            payloads += [each.payload for each in sent]
            for one in sent:
                self.transport.say(puback(one.mid))
        self.assertEqual(payloads, [b"%d" % n for n in range(8)])
        for each in saying:
            self.successResultOf(each)

    def test_cancelled(self) -> None:
        """
        A message in which nobody is interested any more is not said, if it was not yet.
        """
        saying = [self.session.publish(Publication("a", b"%d" % n)) for n in range(5)]
        saying[3].cancel()
        self.failureResultOf(saying[3])
        for each in self.sent():
            self.transport.say(puback(each.mid))
        self.assertEqual([each.payload for each in self.sent()], [b"4"])

    def test_lost(self) -> None:
        """
        What was not confirmed when the connection ends has failed, whether it was sent or not.
        """
        saying = [self.session.publish(Publication("a", b"b")) for _each in range(5)]
        self.clock.advance(0)
        self.transport.end(ConnectionLost())
        for each in saying:
            error = self.failureResultOf(each, Unavailable).value
            self.assertEqual(str(error), "there was no answer: the connection was closed")
        self.ended(Unavailable)

    def test_silence(self) -> None:
        """
        A broker that confirms nothing is given up; one that confirms slowly is not.
        """
        saying = [self.session.publish(Publication("a", b"b")) for _each in range(2)]
        first, _other = self.sent()
        for _second in range(int(ANSWER) - 1):
            self.clock.advance(1)
        self.transport.say(puback(first.mid))
        self.successResultOf(saying[0])
        for _second in range(int(ANSWER) - 1):
            self.clock.advance(1)
        self.assertNoResult(saying[1])
        self.clock.advance(1)
        self.failureResultOf(saying[1], Unavailable)
        self.assertEqual(self.ended(Unavailable), "it does not answer")

    def test_idle(self) -> None:
        """
        A broker from which nothing is expected may be silent.
        """
        for _second in range(int(ANSWER) * 2):
            self.clock.advance(1)
        self.assertNoResult(self.session.gone)

    def test_impossible(self) -> None:
        """
        What cannot be said at all is refused at once, and harms nothing else.
        """
        for topic in ("", "a/+", "#", "a" * 65536):
            error = self.failureResultOf(
                self.session.publish(Publication(topic, b"")), Denied
            ).value
            self.assertEqual(error.code, 144)
        error = self.failureResultOf(
            self.session.publish(Publication("a", bytes(MAX_PACKET))), Denied
        ).value
        self.assertEqual(error.code, 149)
        saying = self.session.publish(Publication("a", b"b"))
        self.transport.say(puback(self.sent()[0].mid))
        self.successResultOf(saying)

    def test_full(self) -> None:
        """
        While the transport takes no more, nothing is written; then all of it is.
        """
        self.session.pauseProducing()
        for _each in range(3):
            self.session.publish(Publication("a", b"b"))
        self.assertEqual(self.sent(), [])
        self.session.resumeProducing()
        self.assertEqual(len(self.sent()), 3)
        self.session.stopProducing()
        self.session.publish(Publication("a", b"", qos=0))
        self.assertEqual(self.sent(), [])


class FiveTests(SessionTestCase):
    """
    What a broker says with MQTT 5.
    """

    settings = BrokerSettings(version="5", client_id="g")

    def test_refused(self) -> None:
        """
        A message that the broker refuses has failed, with its reason. Others have not.
        """
        self.greet(0, b"")
        saying = [self.session.publish(Publication("a", b"b")) for _each in range(4)]
        for each, code in zip(self.sent(), (0x87, 0x97, 0x10, 0x90), strict=True):
            self.transport.say(puback(each.mid, code))
        error = self.failureResultOf(saying[0], Denied).value
        self.assertEqual((str(error), error.code), ("not authorized", 0x87))
        error = self.failureResultOf(saying[1], Unavailable).value
        self.assertEqual(str(error), "quota exceeded")
        self.successResultOf(saying[2])  # that nobody hears it is no failure
        error = self.failureResultOf(saying[3], Denied).value
        self.assertEqual((str(error), error.code), ("topic name invalid", 0x90))

    def test_limits(self) -> None:
        """
        What the broker says that it takes is not exceeded: neither in number nor in size.
        """
        self.greet(0, b"\x21\0\x02" + b"\x27\0\0\0\x20")
        for _each in range(4):
            self.session.publish(Publication("a", b"b"))
        self.assertEqual(len(self.sent()), 2)
        error = self.failureResultOf(self.session.publish(Publication("a", bytes(32))), Denied)
        self.assertEqual(error.value.code, 149)

    def test_unfit(self) -> None:
        """
        When the broker hangs up for something that was said, that is known of all that was.
        """
        self.greet(0, b"")
        saying = self.session.publish(Publication("a", b"b"))
        self.clock.advance(0)
        self.transport.say(packet(0xE0, b"\x95\0"))
        self.assertTrue(self.failureResultOf(saying, Unavailable).value.unfit)
        self.assertEqual(self.ended(Denied), "the connection was ended: packet too large")

    def test_taken(self) -> None:
        """
        When another client takes our name, that is told.
        """
        self.greet(0, b"")
        self.transport.say(packet(0xE0, b"\x8e\0"))
        self.assertEqual(self.ended(Unavailable), "the connection was ended: session taken over")

    def test_unknown(self) -> None:
        """
        A user who is not known is told so.
        """
        self.transport.say(connack(0x86, b""))
        self.failureResultOf(self.session.accepted, Denied)
        self.assertEqual(self.ended(Denied), "bad user name or password")


class SubscribeTests(SessionTestCase):
    """
    What is heard.
    """

    terms = Terms(manual=True)

    def setUp(self) -> None:
        """
        Connect, and be taken.
        """
        super().setUp()
        self.greet()

    def test_granted(self) -> None:
        """
        A subscription counts when the broker has agreed, and fails when it does not.
        """
        for code in (1, 0x80):
            asking = self.session.subscribe("a/+", 1)
            (sent,) = self.sent()
            self.assertEqual((sent.kind, sent.body[2:]), (SUBSCRIBE, b"\0\x03a/+\x01"))
            self.assertNoResult(asking)
            self.transport.say(suback(sent.mid, code))
            if code == 1:
                self.successResultOf(asking)
            else:
                self.failureResultOf(asking, Denied)
        self.failureResultOf(self.session.subscribe("", 1), Denied)

    def test_unsubscribe(self) -> None:
        """
        What nobody wants to hear any more is taken back.
        """
        self.session.unsubscribe("a/+")
        self.assertEqual([each.kind for each in self.sent()], [UNSUBSCRIBE])

    def test_heard(self) -> None:
        """
        What others say arrives as it was said, and is confirmed when we say so.
        """
        self.transport.say(message("a/b", b"one", 7) + message("a/c", b"\xff", retain=True))
        self.assertEqual(
            [(each.topic, each.payload, each.retain) for each in self.heard],
            [("a/b", b"one", False), ("a/c", b"\xff", True)],
        )
        self.assertEqual(self.sent(), [])
        self.heard[1].ack()  # which needs no confirmation
        self.assertEqual(self.sent(), [])
        self.heard[0].ack()
        self.assertEqual([(each.kind, each.mid) for each in self.sent()], [(PUBACK, 7)])

    def test_late(self) -> None:
        """
        A confirmation that comes after the end of the connection goes nowhere.
        """
        self.transport.say(message("a/b", b"one", 7))
        self.transport.end(ConnectionLost())
        self.heard[0].ack()
        self.ended(Unavailable)
        self.assertEqual(self.transport.take(), [])

    def test_automatic(self) -> None:
        """
        Without such an agreement, it is confirmed at once.
        """
        self.open(self.settings, Terms())
        self.greet()
        self.transport.say(message("a/b", b"one", 7))
        self.assertEqual([(each.kind, each.mid) for each in self.sent()], [(PUBACK, 7)])

    def test_noText(self) -> None:
        """
        A message whose topic is no text is confirmed, so that it does not come again, and dropped.
        """
        self.transport.say(message(b"\xff", b"one", 7))
        self.assertEqual(self.heard, [])
        self.assertEqual([each.kind for each in self.sent()], [PUBACK])

    def test_large(self) -> None:
        """
        A message that is too large is passed over while it comes in: of it only its size is heard,
        it can be confirmed so that it does not come again, and the next one is heard as ever.
        """
        self.open(self.settings, Terms(manual=True, largest=100))
        self.greet()
        self.transport.say(b"\x32\xac\x02\0\x03a/b\0\x07" + bytes(293))
        self.transport.say(message("a/b", b"one", 8))
        self.assertEqual(
            [(each.payload, each.size) for each in self.heard], [(b"", 300), (b"one", 0)]
        )
        self.heard[0].ack()
        self.assertEqual([(each.kind, each.mid) for each in self.sent()], [(PUBACK, 7)])

    def test_endless(self) -> None:
        """
        Anything else that is too large ends the connection before it fills the memory.
        """
        self.transport.say(b"\x90\xff\xff\xff\x7f" + bytes(1000))
        self.assertIn("268435455 bytes", self.ended(Unavailable))

    @given(st.lists(st.binary(max_size=100), max_size=10), SIZES)
    @PROPERTY
    def test_split(self, payloads: Sequence[bytes], sizes: Sequence[int]) -> None:
        """
        Messages arrive whole however the stream was cut.
        """
        self.open(self.settings)
        self.greet()
        stream = b"".join(message("a/b", payload) for payload in payloads)
        for chunk in slices(stream, sizes):
            self.transport.say(chunk)
        self.assertEqual([each.payload for each in self.heard], payloads)
        self.transport.end(ConnectionLost())

    @given(st.booleans(), st.sampled_from(["3.1.1", "5"]), st.lists(st.binary(max_size=60)))
    @PROPERTY
    def test_garbage(self, greeted: bool, version: str, chunks: Sequence[bytes]) -> None:
        """
        Whatever comes, the connection ends or it does not, and nothing else happens.
        """
        self.endure(greeted, version, chunks)

    @given(
        st.booleans(),
        st.sampled_from(["3.1.1", "5"]),
        st.integers(0, 255),
        st.binary(max_size=60),
    )
    @PROPERTY
    def test_nonsense(self, greeted: bool, version: str, first: int, body: bytes) -> None:
        """
        A packet of any kind, with anything in it, does no harm.
        """
        self.endure(greeted, version, [packet(first, body)])

    def endure(self, greeted: bool, version: str, chunks: Sequence[bytes]) -> None:
        """
        Hear what a broker says.
        """
        self.open(BrokerSettings(version=version, client_id="g"), Terms(manual=True))
        if greeted:
            self.greet(*((0, b"") if version == "5" else ()))
            self.session.publish(Publication("a", b"b")).addErrback(lambda failure: None)
        self.session.accepted.addErrback(lambda failure: None)
        for chunk in chunks:
            if self.transport.connected:
                self.transport.say(chunk)
                self.clock.advance(1)
        self.transport.end(ConnectionLost())
        self.assertEqual(self.clock.getDelayedCalls(), [])


class LeaveTests(SessionTestCase):
    """
    How a connection ends.
    """

    def test_leave(self) -> None:
        """
        Who leaves says so, behind all else that was said, so that the will is not carried out.
        """
        self.greet()
        self.session.publish(Publication("a", b"", qos=0))
        self.session.leave()
        self.assertEqual([each.kind for each in self.transport.take()], [PUBLISH, DISCONNECT])
        self.ended(Unavailable)
        self.session.leave()

    def test_halved(self) -> None:
        """
        Who leaves reads on until the broker closes the connection, so that what it was told is not
        taken back. What it says meanwhile is not heard, nor kept.
        """
        self.greet()
        self.transport.stuck = True
        self.session.hold(True)
        self.session.leave()
        self.assertTrue(self.transport.halved)
        self.assertEqual(self.transport.producerState, "producing")
        for _ in range(100):
            self.transport.say(message("a/b", b"late", 7))
        self.assertEqual(self.heard, [])
        self.assertEqual(self.session._pipe.buffer, b"")
        self.transport.end(ConnectionDone())
        self.ended(Unavailable)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_early(self) -> None:
        """
        Who was not taken yet just goes.
        """
        self.session.leave()
        self.failureResultOf(self.session.accepted, Unavailable)
        self.ended(Unavailable)

    def test_stuck(self) -> None:
        """
        A connection that does not take the last words is cut.
        """
        self.greet()
        self.transport.stuck = True
        self.session.leave()
        self.assertNoResult(self.session.gone)
        self.clock.advance(2)
        self.ended(Unavailable)

    def test_full(self) -> None:
        """
        So is one that takes nothing at all.
        """
        self.greet()
        self.session.pauseProducing()
        self.session.leave()
        self.assertNoResult(self.session.gone)
        self.clock.advance(2)
        self.ended(Unavailable)

    def test_asked(self) -> None:
        """
        A broker that asks whether we are there is answered.
        """
        self.greet()
        self.transport.say(packet(PINGREQ << 4, b""))
        self.assertEqual([each.kind for each in self.sent()], [13])

"""
Tests for L{sensord.broker}.
"""

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError, DNSLookupError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sensord.broker import Broker
from sensord.brokers import BrokerSettings, Denied, Message, Publication, Terms, Unavailable
from sensord.reach import endpoint
from sensord.session import ANSWER
from tests.mqtt import (
    DISCONNECT,
    PUBACK,
    PUBLISH,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Endpoint,
    connack,
    message,
    packet,
    puback,
)

#: A message, and where it is said.
HELLO = Publication("a/b", b"hello")


class BrokerTestCase(SynchronousTestCase):
    """
    A connection that is made again and again.
    """

    def setUp(self) -> None:
        """
        Nothing is connected yet.
        """
        self.clock = Clock()
        self.endpoint = Endpoint()
        self.broker = self.make()

    def make(self, terms: Terms = Terms(), version: str = "3.1.1") -> Broker:  # noqa: B008
        """
        A broker as the tests need it, whose back-off has no chance in it.
        """
        settings = BrokerSettings(client_id="gateway", version=version)
        return Broker(self.clock, settings, "home", terms, lambda: self.endpoint, lambda: 0.0)

    def greet(self) -> None:
        """
        The broker takes us.
        """
        self.endpoint.transport.say(connack())
        self.clock.advance(0)

    def connect(self) -> None:
        """
        Start, and be taken.
        """
        self.broker.start()
        self.greet()
        self.endpoint.transport.take()

    def stop(self) -> None:
        """
        Stop, and leave nothing behind.
        """
        self.successResultOf(self.broker.stop())
        self.assertFalse(self.broker.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def pause(self) -> float:
        """
        Wait for the next attempt.

        @return: the seconds until then.
        """
        attempts, start = self.endpoint.attempts, self.clock.seconds()
        while self.endpoint.attempts == attempts:
            self.clock.advance(
                min(call.getTime() for call in self.clock.getDelayedCalls()) - self.clock.seconds()
            )
        return self.clock.seconds() - start


class ConnectionTests(BrokerTestCase):
    """
    How it connects, and connects again.
    """

    def test_connected(self) -> None:
        """
        It is connected when the broker has taken it; who waits for that is told.
        """
        self.broker.start()
        waiting = self.broker.whenConnected()
        self.assertNoResult(waiting)
        self.assertFalse(self.broker.connected)
        self.greet()
        self.successResultOf(waiting)
        self.assertTrue(self.broker.connected)
        self.assertIsNone(self.broker.fault)
        self.successResultOf(self.broker.whenConnected())
        self.stop()

    def test_failed(self) -> None:
        """
        Who waits is told when an attempt has failed, and why.
        """
        self.endpoint.why = ConnectionRefusedError()
        self.broker.start()
        waiting = self.broker.whenConnected()  # there is a pause: it is for the next attempt
        self.assertNoResult(waiting)
        self.pause()
        error = self.failureResultOf(waiting, Unavailable).value
        self.assertEqual(str(error), "connection was refused by other side")
        self.assertIs(self.broker.fault, error)
        self.endpoint.why = None
        waiting = self.broker.whenConnected()
        self.pause()
        self.greet()
        self.successResultOf(waiting)
        self.stop()

    def test_stopped(self) -> None:
        """
        Who waits for a connection that is not wanted is told so.
        """
        self.failureResultOf(self.broker.whenConnected(), Unavailable)
        self.broker.start()
        waiting = self.broker.whenConnected()
        self.stop()
        self.failureResultOf(waiting, Unavailable)

    def test_pauses(self) -> None:
        """
        The longer it does not work, the longer are the pauses, up to a minute.
        """
        self.endpoint.why = DNSLookupError("no such name")
        self.broker.start()
        pauses = [self.pause() for _attempt in range(8)]
        self.assertEqual(pauses, [1, 2, 4, 8, 16, 32, 60, 60])
        self.stop()

    def test_proven(self) -> None:
        """
        A connection that lasted makes pauses short again, and one that breaks at once does not.
        """
        self.endpoint.why = ConnectionRefusedError()
        self.broker.start()
        self.assertEqual([self.pause() for _attempt in range(3)], [1, 2, 4])
        self.endpoint.why = None
        self.assertEqual(self.pause(), 8)
        self.greet()
        self.endpoint.lose()
        self.assertEqual(self.pause(), 16)
        self.greet()
        for _second in range(30):
            self.clock.advance(1)
        self.endpoint.lose()
        self.assertEqual(self.pause(), 1)
        self.stop()

    def test_chance(self) -> None:
        """
        Gateways do not all come back in one moment.
        """
        self.broker = Broker(
            self.clock, BrokerSettings(), "home", Terms(), lambda: self.endpoint, lambda: 0.5
        )
        self.endpoint.why = ConnectionRefusedError()
        self.broker.start()
        self.assertEqual(self.pause(), 1.5)
        self.stop()

    def test_silence(self) -> None:
        """
        A broker that accepts and says nothing is given up, and tried again.
        """
        self.broker.start()
        for _second in range(int(ANSWER)):
            self.clock.advance(1)
        self.assertEqual(str(self.broker.fault), "it does not answer")
        self.pause()
        self.assertEqual(self.endpoint.attempts, 2)
        self.stop()

    def test_followers(self) -> None:
        """
        Followers are told of each connection before those who wait for one, and can speak at once.
        One that fails harms nobody.
        """
        order: list[str] = []

        def follow() -> None:
            order.append("follower")
            self.broker.publish(HELLO).addErrback(lambda failure: None)

        def fail() -> None:
            raise RuntimeError("broken")

        self.broker.follow(fail)
        self.broker.follow(follow)
        self.broker.start()
        self.broker.whenConnected().addCallback(lambda _result: order.append("waiter"))
        self.greet()
        self.assertEqual(order, ["follower", "waiter"])
        self.assertIn(PUBLISH, [each.kind for each in self.endpoint.transport.take()])
        self.endpoint.lose()
        self.pause()
        self.greet()
        self.assertEqual(order, ["follower", "waiter", "follower"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)
        self.stop()

    def test_fault(self) -> None:
        """
        Whatever an endpoint fails with, it is tried again.
        """
        self.endpoint.why = RuntimeError()
        self.broker.start()
        self.assertEqual(str(self.broker.fault), "RuntimeError")
        self.pause()
        self.assertEqual(self.endpoint.attempts, 2)
        self.stop()


class LogTests(BrokerTestCase):
    """
    What the log says.
    """

    def lines(self, captured: Any) -> list[tuple[str, str]]:
        """
        What was logged, and how badly.
        """
        return [
            (event["log_level"].name, formatEvent(event))
            for event in captured
            if event["log_level"] >= LogLevel.info
        ]

    def test_outage(self) -> None:
        """
        An outage makes one line at its beginning and one at its end, however long it is.
        """
        with capturedLogs() as captured:
            self.connect()
            self.endpoint.lose()
            self.endpoint.why = ConnectionRefusedError()
            for _attempt in range(5):
                self.pause()
            self.endpoint.why = None
            self.pause()
            self.greet()
            self.stop()
        self.assertEqual(
            self.lines(captured),
            [
                ("info", "home: connected to the broker tcp:localhost:1883"),
                (
                    "warn",
                    "home: no connection to the broker tcp:localhost:1883: the connection was"
                    " closed; it is tried until there is",
                ),
                ("info", "home: connected to the broker tcp:localhost:1883"),
            ],
        )

    def test_denied(self) -> None:
        """
        If somebody has to do something, that is an error, and it is said even if the broker could
        not be reached before.
        """
        with capturedLogs() as captured:
            self.endpoint.why = ConnectionRefusedError()
            self.broker.start()
            self.endpoint.why = None
            for _attempt in range(3):
                self.pause()
                self.endpoint.transport.say(connack(5))
            self.stop()
        self.assertEqual([level for level, _line in self.lines(captured)], ["warn", "error"])
        self.assertIn("not authorized", self.lines(captured)[1][1])
        self.assertIsInstance(self.broker.fault, Denied)

    def test_flapping(self) -> None:
        """
        A connection that comes and goes does not fill the log.
        """
        with capturedLogs() as captured:
            self.broker.start()
            for _time in range(50):
                self.greet()
                self.endpoint.lose()
                self.pause()
            self.stop()
        minutes = self.clock.seconds() / 60
        self.assertLessEqual(len(self.lines(captured)), minutes + 10)


class StopTests(BrokerTestCase):
    """
    How it is stopped, at any time.
    """

    def test_connected(self) -> None:
        """
        What was said before is still sent, and then it takes leave.
        """
        self.connect()
        self.broker.publish(HELLO).addErrback(lambda failure: None)
        self.stop()
        kinds = [each.kind for each in self.endpoint.transport.take()]
        self.assertEqual(kinds, [PUBLISH, DISCONNECT])
        self.successResultOf(self.broker.stop())

    def test_connecting(self) -> None:
        """
        An attempt that is under way is given up.
        """
        self.endpoint.pending = True
        self.broker.start()
        self.stop()
        self.assertEqual(self.endpoint.cancelled, 1)

    def test_greeting(self) -> None:
        """
        So is a connection that was not taken yet.
        """
        self.broker.start()
        self.stop()
        self.assertFalse(self.endpoint.transport.connected)

    def test_pausing(self) -> None:
        """
        So is a pause.
        """
        self.endpoint.why = ConnectionRefusedError()
        self.broker.start()
        self.stop()
        self.assertEqual(self.endpoint.attempts, 1)

    def test_again(self) -> None:
        """
        It can be started again.
        """
        self.connect()
        self.stop()
        self.connect()
        self.assertTrue(self.broker.connected)
        self.stop()


class PublishTests(BrokerTestCase):
    """
    What is said.
    """

    def test_absent(self) -> None:
        """
        Without a connection nothing can be said.
        """
        error = self.failureResultOf(self.broker.publish(HELLO), Unavailable).value
        self.assertEqual(str(error), "there is no connection yet")
        self.endpoint.why = ConnectionRefusedError()
        self.broker.start()
        error = self.failureResultOf(self.broker.publish(HELLO), Unavailable).value
        self.assertEqual(str(error), "connection was refused by other side")
        self.stop()

    def test_lost(self) -> None:
        """
        What was not confirmed when the connection breaks has failed, and is not said again by
        itself.
        """
        self.connect()
        saying = self.broker.publish(HELLO)
        self.clock.advance(0)
        (sent,) = self.endpoint.transport.take()
        self.endpoint.lose()
        self.failureResultOf(saying, Unavailable)
        self.pause()
        self.greet()
        self.endpoint.transport.say(puback(sent.mid))
        kinds = [each.kind for each in self.endpoint.transport.take()]
        self.assertNotIn(PUBLISH, kinds)
        self.stop()


class SubscribeTests(BrokerTestCase):
    """
    What is heard.
    """

    def setUp(self) -> None:
        """
        Nothing was heard yet.
        """
        super().setUp()
        self.broker = self.make(Terms(manual=True))
        self.heard: list[Message] = []

    def asked(self) -> list[bytes]:
        """
        The patterns that the broker was asked for, whereupon it agrees.
        """
        self.clock.advance(0)
        sent = self.endpoint.transport.answer()
        return [each.body[4:-1] for each in sent if each.kind == SUBSCRIBE]

    def test_again(self) -> None:
        """
        What was subscribed to, before or after there was a connection, is asked for with each.
        """
        first = self.broker.subscribe("a/+", self.heard.append)
        self.broker.start()
        self.greet()
        self.assertEqual(self.asked(), [b"a/+"])
        self.successResultOf(first)
        second = self.broker.subscribe("b", self.heard.append, 0)
        self.assertNoResult(second)
        self.assertEqual(self.asked(), [b"b"])
        self.successResultOf(second)
        self.endpoint.lose()
        self.pause()
        self.greet()
        self.assertEqual(self.asked(), [b"a/+", b"b"])
        self.stop()

    def test_heard(self) -> None:
        """
        Each hears what matches, and no more.
        """
        others: list[Message] = []
        self.broker.subscribe("a/+/c", self.heard.append)
        self.broker.subscribe("$share/group/b/#", others.append)
        self.connect()
        for topic in ("a/b/c", "a/b", "b/c/d", "c"):
            self.endpoint.transport.say(message(topic, b"", 1))
        self.assertEqual([each.topic for each in self.heard], ["a/b/c"])
        self.assertEqual([each.topic for each in others], ["b/c/d"])
        self.clock.advance(0)
        # What nobody wants to hear is done with.
        kinds = [each.kind for each in self.endpoint.transport.take()]
        self.assertEqual(kinds, [PUBACK, PUBACK])
        self.stop()

    def test_broken(self) -> None:
        """
        A fault of one who hears harms nobody else; the message comes again.
        """

        def fail(message: Message) -> None:
            raise RuntimeError("broken")

        self.broker.subscribe("#", fail)
        self.broker.subscribe("a", self.heard.append)
        self.connect()
        self.endpoint.transport.say(message("a", b"", 1))
        self.assertEqual(len(self.heard), 1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertTrue(self.broker.connected)
        self.stop()

    def test_refused(self) -> None:
        """
        What the broker does not let us hear is logged, and asked for again with the next
        connection.
        """
        asking = self.broker.subscribe("a", self.heard.append)
        with capturedLogs() as captured:
            for _attempt in range(2):
                self.broker.start() if self.endpoint.attempts == 0 else self.pause()
                self.greet()
                (sent,) = self.endpoint.transport.take()[1:]
                self.endpoint.transport.say(packet(0x90, sent.mid.to_bytes(2) + b"\x80"))
                self.assertTrue(self.broker.connected)
                self.endpoint.lose()
        self.failureResultOf(asking, Denied)
        lines = [formatEvent(event) for event in captured]
        self.assertEqual(sum("does not let us hear a" in line for line in lines), 2)
        self.stop()

    def test_lost(self) -> None:
        """
        A subscription that was not answered when the connection breaks is asked for again.
        """
        asking = self.broker.subscribe("a", self.heard.append)
        self.connect()
        self.endpoint.lose()
        self.assertNoResult(asking)
        self.pause()
        self.greet()
        self.assertEqual(self.asked(), [b"a"])
        self.successResultOf(asking)
        self.stop()

    def test_unsubscribe(self) -> None:
        """
        What nobody wants to hear any more is not heard, nor asked for again.
        """
        self.broker.subscribe("a", self.heard.append)
        self.connect()
        self.broker.unsubscribe("a")
        self.broker.unsubscribe("a")
        self.endpoint.transport.say(message("a", b""))
        self.assertEqual(self.heard, [])
        self.clock.advance(0)
        self.assertEqual([each.kind for each in self.endpoint.transport.take()], [UNSUBSCRIBE])
        self.endpoint.lose()
        self.pause()
        self.greet()
        self.assertEqual(self.asked(), [])
        self.stop()

    def test_twice(self) -> None:
        """
        The same can be subscribed to once: who hears what is never in doubt.
        """
        self.broker.subscribe("a/#", self.heard.append)
        self.assertRaises(ValueError, self.broker.subscribe, "$share/g/a/#", self.heard.append)


class EndpointTests(SynchronousTestCase):
    """
    How a broker is reached.
    """

    def denied(self, **settings: str) -> str:
        """
        What somebody has to do.
        """
        made = BrokerSettings(broker="tls:localhost", **settings)  # type: ignore[arg-type]
        return str(self.assertRaises(Denied, endpoint, Clock(), made))

    def test_kinds(self) -> None:
        """
        There are plain connections, and those with TLS.
        """
        for text in ("tcp:localhost", "tls:localhost", "tls:[::1]:8883"):
            made = endpoint(Clock(), BrokerSettings(broker=text))
            self.assertTrue(IStreamClientEndpoint.providedBy(made))

    def test_unreadable(self) -> None:
        """
        A certificate that is not there, or is none, is named.
        """
        path = Path(self.mktemp())
        self.assertEqual(self.denied(ca=str(path)), f"{path}: No such file or directory")
        for text in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
            path.write_text(text)
            expected = f"{path}: no certificate with which anything can be done"
            self.assertEqual(self.denied(ca=str(path)), expected)
            self.assertEqual(self.denied(cert=str(path), key=str(path)), expected)

    def test_tried(self) -> None:
        """
        Until they can be read, there is no connection, and it is tried again.
        """
        clock = Clock()
        settings = BrokerSettings(broker="tls:localhost", ca=self.mktemp())
        broker = Broker(clock, settings, "home", chance=lambda: 0.0)
        broker.start()
        waiting: Deferred[None] = broker.whenConnected()
        self.assertIsInstance(broker.fault, Denied)
        clock.advance(1)
        self.failureResultOf(waiting, Denied)
        self.successResultOf(broker.stop())
        self.assertEqual(clock.getDelayedCalls(), [])

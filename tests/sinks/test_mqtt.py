"""
Tests for L{sensord.sinks.mqtt}.
"""

from collections.abc import Callable
from typing import Any

from msgspec import json
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sensord.brokers import BrokerSettings, Denied, Message, Publication, Terms, Unavailable
from sensord.outlets import MqttSettings
from sensord.reading import Value
from sensord.settings import Secret
from sensord.sinks import Entry, Misconfigured, Poison, Series, Transient
from sensord.sinks.mqtt import MqttSink


class MemoryBroker:
    """
    A broker that keeps what it is told.

    @ivar fault: why there is no connection; L{None} if there is one.
    @ivar refuse: what a message fails with; L{None} is nothing.
    @ivar holding: whether to leave messages unanswered.
    """

    def __init__(self, reactor: Any, settings: BrokerSettings, name: str, terms: Terms) -> None:
        self.settings = settings
        self.name = name
        self.terms = terms
        self.fault: Exception | None = None
        self.refuse: Callable[[Publication], Exception | None] = lambda one: None
        self.holding = False
        self.held: list[Deferred[None]] = []
        self.said: list[Publication] = []
        self.followers: list[Callable[[], object]] = []
        self.subscriptions: dict[str, Callable[[Message], None]] = {}
        self.running = False

    @property
    def connected(self) -> bool:
        """
        Whether it can be spoken to.
        """
        return self.running and self.fault is None

    def start(self) -> None:
        """
        Connect.
        """
        self.running = True
        if self.connected:
            self.meet()

    def meet(self) -> None:
        """
        There is a new connection.
        """
        self.fault = None
        for follower in self.followers:
            follower()

    def stop(self) -> Deferred[None]:
        """
        Be gone.
        """
        self.running = False
        return succeed(None)

    def whenConnected(self) -> Deferred[None]:
        """
        See L{sensord.broker.Broker.whenConnected}.
        """
        return succeed(None) if self.fault is None else fail(self.fault)

    def follow(self, callback: Callable[[], object]) -> None:
        """
        See L{sensord.broker.Broker.follow}.
        """
        self.followers.append(callback)

    def subscribe(self, pattern: str, callback: Callable[[Message], None]) -> Deferred[None]:
        """
        See L{sensord.broker.Broker.subscribe}.
        """
        self.subscriptions[pattern] = callback
        return succeed(None)

    def publish(self, publication: Publication) -> Deferred[None]:
        """
        See L{sensord.broker.Broker.publish}.
        """
        if self.fault is not None:
            return fail(self.fault)
        self.said.append(publication)
        if self.holding:
            held: Deferred[None] = Deferred()
            self.held.append(held)
            return held
        error = self.refuse(publication)
        return succeed(None) if error is None else fail(error)

    def take(self) -> list[Publication]:
        """
        What was said since the last time.
        """
        said, self.said = self.said, []
        return said


def entry(id: int, value: Value, name: str = "temperature", time: int = 0) -> Entry:
    """
    A reading on the balcony.

    @param time: L{None} is a moment of its own.
    """
    return Entry(id, Series("balcony", name, "°C", {}, "weather/1"), time or id, value)


class SinkTestCase(SynchronousTestCase):
    """
    A sink whose broker is there.
    """

    def setUp(self) -> None:
        """
        Connect.
        """
        self.open()

    def open(self, **settings: Any) -> None:
        """
        Begin anew, with other settings.
        """
        self.interval = 0.0
        self.sink = MqttSink(
            Clock(),
            MqttSettings("home", "mqtt", **settings),
            interval=lambda address: self.interval,
            broker=MemoryBroker,
        )
        broker: Any = self.sink._broker
        self.broker: MemoryBroker = broker
        self.sink.start()
        self.greeting = self.broker.take()


class SettingsTests(SynchronousTestCase):
    """
    What is wrong with settings.
    """

    def test_faults(self) -> None:
        """
        Settings that do not fit together are told by their keys.
        """
        for settings, fault in (
            ({}, None),
            ({"prefix": "a/b", "format": "json", "discovery": "homeassistant"}, None),
            ({"format": "xml"}, 'format: "xml" is not one of value, json, emonhub'),
            ({"prefix": "a/#"}, 'prefix: "a/#" is nothing that topics can begin with'),
            ({"discovery": "/"}, 'discovery: "/" is nothing that topics can begin with'),
            (
                {"format": "emonhub", "discovery": "homeassistant"},
                'discovery: is for the formats "value" and "json"',
            ),
            ({"version": "4"}, 'version: "4" is not one of 3.1.1, 5'),
        ):
            made = MqttSettings("home", "mqtt", **settings)  # type: ignore[arg-type]
            faults = [each for each in made.faults() if not each.startswith("kind:")]
            self.assertEqual(faults, [] if fault is None else [fault])


class StatusTests(SinkTestCase):
    """
    Whether we are there.
    """

    def test_will(self) -> None:
        """
        The broker is told who we are, and what to say when we are gone.
        """
        self.open(user="me", password=Secret("x"), prefix="house", inflight=7)
        self.assertEqual(self.broker.settings, BrokerSettings(user="me", password=Secret("x")))
        self.assertEqual(
            self.broker.terms,
            Terms(Publication("house/status", b"offline", True), inflight=7),
        )

    def test_birth(self) -> None:
        """
        With each connection it is said that we are there, and before the end that we go.
        """
        online = Publication("sensord/status", b"online", True)
        self.assertEqual(self.greeting, [online])
        self.assertTrue(self.sink.connected)
        self.broker.meet()
        self.assertEqual(self.broker.take(), [online])
        self.successResultOf(self.sink.stop())
        self.assertEqual(
            self.broker.take(), [Publication("sensord/status", b"offline", True, qos=0)]
        )
        self.assertFalse(self.sink.connected)

    def test_denied(self) -> None:
        """
        If the broker does not take that, it is logged; readings may still be taken.
        """
        self.broker.refuse = lambda one: (
            Denied("not authorized", 135) if one.topic == "sensord/status" else None
        )
        with capturedLogs() as captured:
            self.broker.meet()
        self.assertEqual(len(captured), 1)
        self.successResultOf(self.sink.write([entry(1, 1)]))

    def test_absent(self) -> None:
        """
        Without a connection there is nobody to say it to.
        """
        self.broker.fault = Unavailable("gone")
        self.successResultOf(self.sink.stop())


class WriteTests(SinkTestCase):
    """
    What becomes of a batch.
    """

    def test_confirmed(self) -> None:
        """
        A batch is written when all of it is confirmed, and not before.
        """
        self.broker.holding = True
        writing = self.sink.write([entry(1, 21.5), entry(2, 22)])
        self.assertEqual(
            [(one.topic, one.payload, one.retain) for one in self.broker.take()],
            [
                ("sensord/balcony/temperature", b"21.5", False),
                ("sensord/balcony/temperature", b"22", False),
            ],
        )
        self.broker.held[1].callback(None)
        self.assertNoResult(writing)
        self.broker.held[0].callback(None)
        self.successResultOf(writing)

    def test_retained(self) -> None:
        """
        If it is asked to, the broker keeps the latest.
        """
        for format in ("value", "json", "emonhub"):
            self.open(retain=True, format=format)
            self.successResultOf(self.sink.write([entry(1, 21.5)]))
            self.assertTrue(self.broker.take()[0].retain)

    def test_absent(self) -> None:
        """
        Without a connection nothing is written; it may be later.
        """
        self.broker.fault = Unavailable("refused")
        error = self.failureResultOf(self.sink.write([entry(1, 1)]), Transient).value
        self.assertEqual(str(error), "refused")

    def test_denied(self) -> None:
        """
        If the broker does not let us in, somebody has to do something. If it has hung up for
        something that was said before, that is no such thing.
        """
        self.broker.fault = Denied("not authorized", 135)
        error = self.failureResultOf(self.sink.write([entry(1, 1)]), Misconfigured).value
        self.assertEqual(str(error), "not authorized")
        self.broker.fault = Denied("packet too large", 149)
        self.failureResultOf(self.sink.write([entry(1, 1)]), Transient)

    def test_lost(self) -> None:
        """
        If the connection breaks, the batch has to come again.
        """
        self.broker.holding = True
        writing = self.sink.write([entry(1, 1), entry(2, 2)])
        self.broker.held[0].callback(None)
        self.broker.held[1].errback(Unavailable("closed"))
        self.failureResultOf(writing, Transient)

    def test_poison(self) -> None:
        """
        Readings that the broker will never take are told apart from all others.
        """
        self.broker.refuse = lambda one: (
            Denied("payload format invalid", 153) if one.payload == b"2" else None
        )
        batch = [entry(1, 1), entry(2, 2), entry(3, 3)]
        error = self.failureResultOf(self.sink.write(batch), Poison).value
        self.assertEqual((str(error), error.ids), ("payload format invalid", {2}))
        self.assertEqual(len(self.broker.take()), 3)

    def test_unfit(self) -> None:
        """
        If the broker hangs up for one of them and does not say which, that is to be found out.
        """
        self.broker.refuse = lambda one: Unavailable("packet too large", unfit=True)
        error = self.failureResultOf(self.sink.write([entry(1, 1), entry(2, 2)]), Poison).value
        self.assertEqual(error.ids, frozenset())

    def test_forbidden(self) -> None:
        """
        If the topic is not ours to speak at, somebody has to do something.
        """
        self.broker.refuse = lambda one: Denied("not authorized", 135)
        self.failureResultOf(self.sink.write([entry(1, 1)]), Misconfigured)

    def test_fault(self) -> None:
        """
        A fault of ours comes out as what it is.
        """
        self.broker.refuse = lambda one: RuntimeError("broken")
        self.failureResultOf(self.sink.write([entry(1, 1)]), RuntimeError)

    def test_givenUp(self) -> None:
        """
        A batch can be given up.
        """
        self.broker.holding = True
        writing = self.sink.write([entry(1, 1), entry(2, 2)])
        writing.cancel()
        self.failureResultOf(writing)
        self.assertEqual([held.called for held in self.broker.held], [True, True])


class MomentTests(SinkTestCase):
    """
    Moments that the end of a batch cuts in two.
    """

    def payloads(self) -> list[Any]:
        """
        What was said.
        """
        return [one.payload for one in self.broker.take()]

    def test_cut(self) -> None:
        """
        The moment is said again as a whole, so that nobody has to make do with its second half.
        """
        self.open(format="emonhub")
        self.successResultOf(
            self.sink.write([entry(1, 1, "a", 5), entry(2, 2, "a", 7), entry(3, 3, "b", 7)])
        )
        self.assertEqual(self.payloads(), [b"1", b"2,3"])
        self.successResultOf(self.sink.write([entry(4, 4, "c", 7), entry(5, 5, "a", 9)]))
        self.assertEqual(self.payloads(), [b"2,3,4", b"5"])
        self.successResultOf(self.sink.write([entry(6, 6, "a", 11)]))
        self.assertEqual(self.payloads(), [b"6"])

    def test_again(self) -> None:
        """
        A batch that comes again is said as it was.
        """
        self.open(format="emonhub")
        for _time in range(2):
            self.successResultOf(self.sink.write([entry(1, 1, "a", 7), entry(2, 2, "b", 7)]))
            self.assertEqual(self.payloads(), [b"1,2"])

    def test_failed(self) -> None:
        """
        What was not confirmed is not remembered.
        """
        self.open(format="json")
        self.broker.refuse = lambda one: Unavailable("closed")
        self.failureResultOf(self.sink.write([entry(1, 1, "a", 7)]), Transient)
        self.broker.take()
        self.broker.refuse = lambda one: None
        self.successResultOf(self.sink.write([entry(2, 2, "b", 7)]))
        self.assertEqual([json.decode(each) for each in self.payloads()], [{"time": 7e-6, "b": 2}])

    def test_endless(self) -> None:
        """
        A device that always says the same time does not fill the memory.
        """
        self.open(format="json")
        for start in range(0, 5000, 500):
            batch = [entry(id, 1, f"n{id}", 7) for id in range(start + 1, start + 501)]
            self.successResultOf(self.sink.write(batch))
        self.assertLess(len(self.broker.take()[-1].payload), 30_000)


class LateTests(SinkTestCase):
    """
    Readings that come out of turn.
    """

    def late(self, *entries: Entry) -> list[Publication]:
        """
        Say them, which must succeed.

        @return: what was said.
        """
        self.successResultOf(self.sink.late(entries, again=True))
        return self.broker.take()

    def test_notRetained(self) -> None:
        """
        They are said where they always are, and the broker does not keep them as the latest.
        """
        self.open(retain=True)
        said = self.late(entry(1, 21.5))
        self.assertEqual(
            [(one.topic, one.payload, one.retain) for one in said],
            [("sensord/balcony/temperature", b"21.5", False)],
        )

    def test_times(self) -> None:
        """
        With C{json}, they say when they were measured; what came before is no part of them, nor are
        they of what comes.
        """
        self.open(format="json", retain=True)
        moment = 5_000_000
        self.successResultOf(self.sink.write([entry(8, 3, "humidity", moment)]))
        self.broker.take()
        [said] = self.late(entry(1, 21.5, time=moment), entry(2, 4, "light", time=moment))
        self.assertEqual(json.decode(said.payload), {"time": 5.0, "temperature": 21.5, "light": 4})
        self.successResultOf(self.sink.write([entry(9, 5, "light", moment)]))
        [said] = self.broker.take()
        self.assertEqual(json.decode(said.payload), {"time": 5.0, "humidity": 3, "light": 5})

    def test_trouble(self) -> None:
        """
        They wait for a connection, and are refused, as others are.
        """
        self.broker.refuse = lambda one: Denied("too large", 0x95)
        failed = self.sink.late([entry(1, 1)], again=False)
        self.assertEqual(self.failureResultOf(failed, Poison).value.ids, {1})
        self.broker.fault = Unavailable("closed")
        self.failureResultOf(self.sink.late([entry(1, 1)], again=False), Transient)

    def test_announced(self) -> None:
        """
        They announce nothing: a device that was forgotten does not come back by them.
        """
        self.open(discovery="homeassistant")
        said = self.late(entry(1, 1))
        self.assertEqual([one.topic for one in said], ["sensord/balcony/temperature"])

    def test_once(self) -> None:
        """
        Where they would be taken for the present, history is not said again.
        """
        self.assertEqual(self.sink.once, "")
        self.open(format="json", discovery="homeassistant")
        self.assertIn("Home Assistant", self.sink.once)
        self.open(format="emonhub")
        self.assertIn("no time", self.sink.once)


class DiscoveryTests(SinkTestCase):
    """
    What Home Assistant is told.
    """

    def setUp(self) -> None:
        """
        Connect, and be heard once.
        """
        self.open(discovery="homeassistant", retain=True)
        self.successResultOf(self.sink.write([entry(1, 1)]))
        self.config, self.value = self.broker.take()

    def announced(self) -> list[str]:
        """
        The topics of what was said.
        """
        return [one.topic for one in self.broker.take()]

    def say(self, payload: bytes, retain: bool = False) -> bool:
        """
        Home Assistant says how it is.

        @return: whether that was confirmed.
        """
        acks: list[bool] = []
        said = Message("homeassistant/status", payload, retain, lambda: acks.append(True))
        self.broker.subscriptions["homeassistant/status"](said)
        return bool(acks)

    def test_first(self) -> None:
        """
        A device is announced before its first reading, and not again.
        """
        self.assertRegex(self.config.topic, "^homeassistant/device/.+/config$")
        self.assertTrue(self.config.retain)
        self.assertEqual(self.value.topic, "sensord/balcony/temperature")
        self.successResultOf(self.sink.write([entry(2, 2)]))
        self.assertEqual(self.announced(), [self.value.topic])

    def test_again(self) -> None:
        """
        It is announced again when Home Assistant has come, and with each connection, since a
        broker may forget.
        """
        self.assertTrue(self.say(b"online"))
        self.assertEqual(self.announced(), [self.config.topic])
        self.assertTrue(self.say(b"offline"))
        self.assertTrue(self.say(b"online", retain=True))
        self.assertEqual(self.announced(), [])
        self.broker.meet()
        self.assertEqual(self.announced(), ["sensord/status", self.config.topic])

    def test_lost(self) -> None:
        """
        If an announcement is lost, the batch is not: it comes with the next connection.
        """
        self.broker.refuse = lambda one: Unavailable("closed") if "config" in one.topic else None
        self.successResultOf(self.sink.write([entry(2, 2, "humidity")]))
        self.broker.take()
        self.broker.meet()
        config = self.broker.take()[1]
        self.assertEqual(len(json.decode(config.payload)["cmps"]), 2)

    def test_forget(self) -> None:
        """
        Of a device that is gone, what was announced and kept is removed.
        """
        self.sink.forget("balcony", ["temperature"])
        self.assertEqual(
            self.broker.take(),
            [
                Publication(topic, b"", True)
                for topic in sorted([self.config.topic, self.value.topic])
            ],
        )
        self.broker.meet()
        self.assertEqual(self.announced(), ["sensord/status"])

    def test_forgetLater(self) -> None:
        """
        Without a connection, that is done with the next one, unless the device is heard before.
        """
        for heard in (False, True):
            self.setUp()
            self.broker.fault = Unavailable("closed")
            self.sink.forget("balcony", ["temperature"])
            if heard:
                self.failureResultOf(self.sink.write([entry(2, 2)]), Transient)
            self.broker.meet()
            said = self.broker.take()
            self.assertEqual([one.payload for one in said[1:]], [b"", b""])
            self.successResultOf(self.sink.write([entry(2, 2)]))
            self.assertEqual(self.announced(), [self.config.topic, self.value.topic])

    def test_none(self) -> None:
        """
        Without discovery there is nothing to be told, nor to be removed.
        """
        self.open()
        self.assertEqual(self.broker.subscriptions, {})
        self.successResultOf(self.sink.write([entry(1, 1)]))
        self.assertEqual(self.announced(), [self.value.topic])
        self.sink.forget("balcony", ["temperature"])
        self.assertEqual(self.announced(), [])

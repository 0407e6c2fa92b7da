"""
Tests for L{sensord.protocols.mqtt} and L{sensord.protocols.registrar}.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import json
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sensord.broker import Broker
from sensord.config import ConfigError, Settings
from sensord.devices import Devices
from sensord.presence import Congested
from sensord.protocols.inlet import Inlet
from sensord.protocols.mqtt import Subscriber
from sensord.protocols.registrar import Registrar
from sensord.reading import Arrivals
from sensord.sources.topics import TopicSource
from sensord.store.account import Account, NotStored, Waiting
from sensord.wire.topics import Pattern
from sensord.wires import SubscriberSettings
from tests.mqtt import (
    DISCONNECT,
    PUBACK,
    PUBLISH,
    SUBSCRIBE,
    Endpoint,
    Packet,
    connack,
    message,
    puback,
)

#: What a device says, and where.
WARM = b'{"temperature": 21.5}'
TOPIC = "/h7/d1/data"


class SubscriberTestCase(SynchronousTestCase):
    """
    A way in by a broker that says what the test has it say.
    """

    def setUp(self) -> None:
        """
        Nothing was stored yet.
        """
        self.clock = Clock()
        self.endpoint = Endpoint()
        self.greeted: list[str] = []

    def launch(self, **more: Any) -> Subscriber:
        """
        Start a listener, which the broker takes.
        """
        settings = SubscriberSettings(
            "farm", "mqtt", **{"topic": "/{hub}/{device}/data", "version": "3.1.1", **more}
        )
        devices = Devices(Settings(listeners=(settings,)), self.clock.seconds)
        source = devices.source(settings, Arrivals(self.clock.seconds))
        assert isinstance(source, TopicSource)
        self.presence = devices.presence
        self.presence.greet(self.greeted.append)
        self.account = Account("farm", lambda count: None)
        inlet = Inlet("farm", source, self.account, self.presence, self.clock)
        registrar = None
        if source.registry is not None:
            run: Any = execute
            registrar = Registrar(source.registry, Pattern(settings.topic).stem, inlet, run)
        broker = partial(Broker, connect=lambda: self.endpoint, chance=lambda: 0.0)
        self.way = Subscriber(self.clock, settings, inlet, "sensord-here", registrar, broker)
        self.way.startService()
        self.addCleanup(self.leave)
        self.connect()
        return self.way

    def connect(self) -> Sequence[Packet]:
        """
        The broker takes us.

        @return: what was said to it then.
        """
        self.endpoint.transport.take()
        self.endpoint.transport.say(connack())
        self.clock.advance(0)
        return self.endpoint.transport.answer()

    def leave(self) -> None:
        """
        Stop, and leave nothing behind.
        """
        if self.way.running:
            self.way.stopService()
        self.commit()
        done = Deferred.fromCoroutine(self.way.disconnect())
        self.clock.pump([0.05] * 50)
        self.successResultOf(done)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def say(self, topic: str, payload: bytes, mid: int = 0, retain: bool = False) -> None:
        """
        The broker says something; the reactor has its turn.
        """
        self.endpoint.transport.say(message(topic, payload, mid, retain))
        self.clock.advance(0)

    def stored(self) -> list[tuple[str, str, Any]]:
        """
        The device, name and value of all readings that wait for their commit. They are left there.
        """
        return [
            (reading.device, reading.name, reading.value)
            for intake in self.account._intakes
            for reading in intake.readings
        ]

    def rejected(self) -> list[str]:
        """
        Why what waits there was rejected.
        """
        return [bad.why for intake in self.account._intakes for bad in intake.rejected]

    def commit(self, why: Exception | None = None) -> None:
        """
        What waits is stored, or is not.
        """
        waiting: list[Waiting] = (self.account.take() or (None, []))[1]
        for _intake, deferred in waiting:
            if why is None:
                deferred.callback(None)
            else:
                deferred.errback(Failure(why))
        self.clock.advance(0)

    def acked(self) -> list[int]:
        """
        The numbers of the messages that were confirmed since the last time.
        """
        self.clock.advance(0)
        return [each.mid for each in self.endpoint.transport.take() if each.kind == PUBACK]


class SubscriberTests(SubscriberTestCase):
    """
    What comes of messages.
    """

    def test_asked(self) -> None:
        """
        The pattern is subscribed to with QoS 1, in the group if there is one, by a client that the
        broker knows again.
        """
        for share, asked in (("", b"/+/+/data"), ("us", b"$share/us//+/+/data")):
            way = self.launch(share=share)
            self.endpoint.lose()
            self.clock.advance(1)
            (greeting,) = self.endpoint.transport.take()
            self.assertIn(b"sensord-here", greeting.body)
            self.assertEqual(greeting.body[7] & 2, 0)  # no clean session
            self.endpoint.transport.say(connack())
            self.clock.advance(0)
            (sent,) = self.endpoint.transport.answer()
            self.assertEqual(sent.kind, SUBSCRIBE)
            self.assertIn(asked + b"\x01", sent.body)
            self.assertEqual((way.state, way.connected), ("open", 1))
            self.leave()

    def test_confirmedWhenStored(self) -> None:
        """
        A message is confirmed after the commit of its readings, and not before.
        """
        self.launch()
        self.say(TOPIC, WARM, 7)
        self.assertEqual(self.stored(), [("farm/h7/d1", "temperature", 21.5)])
        self.assertEqual(self.acked(), [])
        self.commit()
        self.assertEqual(self.acked(), [7])

    def test_notStored(self) -> None:
        """
        What could not be stored is not confirmed, so that it comes again.
        """
        self.launch()
        self.say(TOPIC, WARM, 7)
        self.commit(NotStored("the store is closing"))
        self.assertEqual(self.acked(), [])

    def test_fault(self) -> None:
        """
        A fault of ours is logged, and confirms nothing.
        """
        self.launch()
        self.say(TOPIC, WARM, 7)
        self.commit(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.acked(), [])

    def test_together(self) -> None:
        """
        All that comes in one turn of the reactor shares a commit, and each is confirmed.
        """
        self.launch()
        self.endpoint.transport.say(
            message(TOPIC, b"1", 1) + message(TOPIC, b"2", 2) + message(TOPIC, b"bogus", 3)
        )
        self.clock.advance(0)
        self.assertEqual([value for _device, _name, value in self.stored()], [1, 2])
        self.assertEqual(len(self.account._intakes), 1)
        self.commit()
        self.assertEqual(self.acked(), [1, 2, 3])

    def test_garbage(self) -> None:
        """
        What can never be stored is counted and confirmed, so that it does not come again.
        """
        self.launch()
        self.say(TOPIC, b"bogus", 7)
        self.assertEqual(self.stored(), [])
        self.assertEqual(len(self.rejected()), 1)
        self.commit()
        self.assertEqual(self.acked(), [7])

    def test_nothing(self) -> None:
        """
        A message in which nothing was measured is confirmed at once.
        """
        self.launch()
        self.say(TOPIC, b"{}", 7)
        self.assertEqual(self.acked(), [7])

    def test_retained(self) -> None:
        """
        What the broker had kept is not taken for new, unless it says when it was measured.
        """
        self.launch()
        self.say(TOPIC, b"1", 1, True)
        self.assertEqual(self.acked(), [1])
        self.say(TOPIC, b'{"a": 1, "time": 1795194650}', 2, True)
        self.assertEqual(self.stored(), [("farm/h7/d1", "a", 1)])

    def test_large(self) -> None:
        """
        A message of ten megabytes is counted and confirmed; the next one is taken.
        """
        self.launch()
        body = b"\0\x0b" + TOPIC.encode() + b"\0\x07"
        size = len(body) + 10_000_000
        length = bytes(
            [size & 127 | 128, size >> 7 & 127 | 128, size >> 14 & 127 | 128, size >> 21]
        )
        self.endpoint.transport.say(b"\x32" + length + body)
        for _ in range(10):
            self.endpoint.transport.say(bytes(1_000_000))
        self.say(TOPIC, b"1", 8)
        self.assertEqual(self.stored(), [("farm/h7/d1", "value", 1)])
        self.assertEqual(self.rejected(), [f"{size} bytes are too many"])
        self.commit()
        self.assertEqual(self.acked(), [7, 8])

    def test_brokenBetween(self) -> None:
        """
        A connection that breaks before the commit costs nothing: what it brought is not confirmed
        on the next one, where it comes again with another number.
        """
        self.launch()
        self.say(TOPIC, WARM, 7)
        self.endpoint.lose()
        self.clock.advance(1)
        self.connect()
        self.commit()
        self.assertEqual(self.acked(), [])
        self.say(TOPIC, WARM, 1)
        self.commit()
        self.assertEqual(self.acked(), [1])

    def test_stopped(self) -> None:
        """
        A listener that stops takes no more, and leaves when what it took is confirmed.
        """
        way = self.launch()
        self.say(TOPIC, b"1", 1)
        way.stopService()
        self.say(TOPIC, b"2", 2)
        self.assertEqual(way.state, "stopped")
        done = Deferred.fromCoroutine(way.disconnect())
        self.clock.advance(0.2)
        self.assertNoResult(done)
        self.commit()
        self.clock.advance(0.1)
        sent = self.endpoint.transport.take()
        self.assertEqual([each.kind for each in sent], [PUBACK, DISCONNECT])
        self.successResultOf(done)

    def test_again(self) -> None:
        """
        A listener that was stopped can be started again.
        """
        way = self.launch()
        self.leave()
        self.assertEqual((way.state, way.connected), ("stopped", 0))
        way.startService()
        self.assertEqual(way.state, "absent")
        self.connect()
        self.say(TOPIC, b"1", 1)
        self.assertEqual(self.stored(), [("farm/h7/d1", "value", 1)])

    def test_described(self) -> None:
        """
        The log says at the start what is listened to, and what that guarantees.
        """
        with capturedLogs() as logs:
            way = self.launch()
        said = [formatEvent(event) for event in logs]
        self.assertIn(
            "farm: tcp:localhost:1883 /+/+/data, mqtt, kept by the broker while nothing can be"
            " stored; each message is confirmed when stored",
            said,
        )
        self.assertEqual(way.where, "tcp:localhost:1883 /+/+/data")


class FlowTests(SubscriberTestCase):
    """
    What becomes of messages that are too many.
    """

    def test_unready(self) -> None:
        """
        While nothing can be stored, QoS 1 waits at the broker, since nothing is confirmed; QoS 0
        cannot wait, and is counted as rejected.
        """
        way = self.launch()
        with capturedLogs() as logs:
            way.steer(False, False)
            way.steer(False, False)
        self.assertEqual(len(logs), 1)
        self.say(TOPIC, b"1")
        self.say(TOPIC, b"2", 2)
        self.assertEqual(self.rejected(), ["QoS 0 does not wait, and it cannot be stored just now"])
        self.assertEqual(self.stored(), [("farm/h7/d1", "value", 2)])
        way.steer(True, False)
        self.say(TOPIC, b"3")
        self.assertEqual(self.stored()[-1], ("farm/h7/d1", "value", 3))

    def test_held(self) -> None:
        """
        A broker that sends more than may wait for its commit is not read from until half is
        confirmed.
        """
        self.launch(receive_maximum=4)
        transport = self.endpoint.transport
        transport.say(b"".join(message(TOPIC, b"1", mid) for mid in range(1, 6)))
        self.clock.advance(0)
        self.assertEqual(transport.producerState, "paused")
        self.commit()
        self.assertEqual(self.acked(), [1, 2, 3, 4, 5])
        self.assertEqual(transport.producerState, "producing")

    def test_rate(self) -> None:
        """
        With a rate, a second's worth of messages is confirmed at once, and the others in time: so
        many more the broker may send, and no more.
        """
        self.launch(max_rate=10)
        transport = self.endpoint.transport
        transport.say(b"".join(message(TOPIC, b"1", mid) for mid in range(1, 31)))
        self.clock.advance(0)
        self.commit()
        self.assertEqual(self.acked(), list(range(1, 11)))
        self.clock.pump([0.05] * 20)
        self.assertApproximates(len(self.acked()), 10, 1)
        self.clock.pump([0.05] * 30)
        self.assertApproximates(len(self.acked()), 10, 1)

    def test_rateUnconfirmed(self) -> None:
        """
        QoS 0 beyond the rate is counted as rejected.
        """
        self.launch(max_rate=2)
        for _ in range(3):
            self.say(TOPIC, b"1")
        self.assertEqual(self.rejected(), ["more than 2 messages a second"])

    def test_stoppedWithin(self) -> None:
        """
        What is stored is confirmed when the listener leaves, whatever the rate.
        """
        self.launch(max_rate=1)
        self.endpoint.transport.say(b"".join(message(TOPIC, b"1", mid) for mid in range(1, 6)))
        self.clock.advance(0)
        self.commit()
        self.assertEqual(self.acked(), [1])
        self.way.stopService()
        done = Deferred.fromCoroutine(self.way.disconnect())
        self.assertEqual(self.acked(), [2, 3, 4, 5])
        self.successResultOf(done)


class SendTests(SubscriberTestCase):
    """
    What devices are told.
    """

    def test_said(self) -> None:
        """
        A command is said with QoS 1, and not kept by the broker.
        """
        way = self.launch()
        way.send(b"/h7/d1/cmd\0{}")
        self.clock.advance(0)
        (sent,) = self.endpoint.transport.answer()
        self.assertEqual((sent.kind, sent.flags, sent.topic), (PUBLISH, 2, "/h7/d1/cmd"))
        self.assertEqual(sent.payload, b"{}")

    def test_again(self) -> None:
        """
        One that the broker has not confirmed is said again with the next connection, but then not
        once more.
        """
        way = self.launch()
        way.send(b"a\0b")
        self.endpoint.lose()
        self.clock.advance(1)
        sent = self.connect()
        self.assertEqual([each.topic for each in sent if each.kind == PUBLISH], ["a"])
        self.endpoint.lose()
        self.clock.advance(2)
        self.assertEqual([each.kind for each in self.connect()], [SUBSCRIBE])

    def test_absent(self) -> None:
        """
        Without a connection commands wait, until there is one: then all devices are met.
        """
        way = self.launch()
        self.endpoint.lose()
        self.assertEqual(way.state, "absent")
        self.assertRaises(Congested, way.send, b"a\0b")
        self.greeted.clear()
        self.clock.advance(1)
        self.connect()
        self.assertEqual(self.greeted, ["farm/*"])

    def test_silent(self) -> None:
        """
        A broker that confirms nothing is not told commands without end.
        """
        way = self.launch()
        for _ in range(1000):
            way.send(b"a\0b")
        self.assertRaises(Congested, way.send, b"a\0b")

    def test_denied(self) -> None:
        """
        A command that the broker does not take is logged, and not said again.
        """
        way = self.launch()
        with capturedLogs() as logs:
            way.send(b"a\0" + bytes(2**24))
        (said,) = (formatEvent(event) for event in logs)
        self.assertIn("farm: a command could not be said at a: 16777216 bytes", said)
        self.endpoint.lose()
        self.clock.advance(1)
        self.assertEqual([each.kind for each in self.connect()], [SUBSCRIBE])

    def test_linked(self) -> None:
        """
        All devices of the listener can be reached while it runs.
        """
        way = self.launch()
        self.assertIs(self.presence.link("farm/any/one"), way)
        way.stopService()
        self.assertIs(self.presence.link("farm/any/one"), None)


class RegistrarTests(SubscriberTestCase):
    """
    Devices that come and go.
    """

    def launch(self, **more: Any) -> Subscriber:
        """
        Start a hub.
        """
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        path = str(self.folder / "h7.devices.json")
        return super().launch(topic="/h7/{device}/data", registry=path, **more)

    def ask(self, payload: bytes, retain: bool = False) -> dict[str, Any]:
        """
        Ask for something.

        @return: the answer.
        """
        self.endpoint.transport.take()
        self.say("/h7/register_cmd", payload, 99, retain)
        sent = self.endpoint.transport.take()
        self.assertEqual([each.mid for each in sent if each.kind == PUBACK], [99])
        for each in sent:
            if each.kind == PUBLISH:
                self.endpoint.transport.say(puback(each.mid))
                self.assertEqual(each.topic, "/h7/register_reply")
                answer: dict[str, Any] = json.decode(each.payload)
                return answer
        return {}

    def test_added(self) -> None:
        """
        A device is heard from when it was added, and until it is removed; also after a restart.
        What it says meanwhile waits in quarantine.
        """
        self.launch()
        self.say("/h7/d1/data", b"1", 1)
        self.assertEqual(self.stored(), [])
        (frame,) = self.account._intakes[0].quarantined
        self.assertEqual((frame.data, frame.why), (b"/h7/d1/data\x001", "d1 is not registered"))
        self.assertEqual(
            self.ask(b'{"cmd": "add", "device": "d1", "id": 5}'), {"id": 5, "ok": True}
        )
        self.say("/h7/d1/data", b"2", 2)
        self.assertEqual(self.stored(), [("farm/d1", "value", 2)])
        self.assertEqual(
            json.decode((self.folder / "h7.devices.json").read_bytes()), {"devices": ["d1"]}
        )
        self.assertEqual(
            self.ask(b'{"cmd": "remove", "device": "d1", "id": "x"}'), {"id": "x", "ok": True}
        )
        self.say("/h7/d1/data", b"3", 3)
        self.assertEqual(len(self.stored()), 1)

    def test_refused(self) -> None:
        """
        What makes no sense is refused with the reason.
        """
        self.launch()
        for payload in (
            b"",
            b"bogus",
            b"[]",
            b'{"cmd": "add"}',
            b'{"cmd": "begone", "device": "d1"}',
            b'{"cmd": "add", "device": 7}',
            b'{"cmd": "add", "device": "../d1"}',
            b'{"cmd": "add", "device": "+"}',
            b'{"cmd": "add", "device": "#"}',
            b'{"cmd": "add", "device": ""}',
            b'{"cmd": "add", "device": "%b"}' % (b"d" * 70),
            b'{"cmd": "add", "device": "\xff"}',
        ):
            answer = self.ask(payload)
            self.assertEqual((answer["ok"], answer["id"]), (False, None), payload)
            self.assertTrue(answer["error"], payload)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_full(self) -> None:
        """
        No more devices are added than there may be; one that is there may be added again.
        """
        self.launch(max_devices=1)
        self.assertTrue(self.ask(b'{"cmd": "add", "device": "d1"}')["ok"])
        self.assertTrue(self.ask(b'{"cmd": "add", "device": "d1"}')["ok"])
        answer = self.ask(b'{"cmd": "add", "device": "d2"}')
        self.assertEqual(answer["error"], "there are 1 devices already")

    def test_retained(self) -> None:
        """
        A request that the broker had kept is ignored.
        """
        self.launch()
        self.assertEqual(self.ask(b'{"cmd": "add", "device": "d1"}', True), {})
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_unwritable(self) -> None:
        """
        A device whose registration cannot be kept is not registered, and whoever asked is told so.
        """
        self.launch()
        self.folder.rmdir()
        answer = self.ask(b'{"cmd": "add", "device": "d1", "id": 1}')
        self.assertEqual((answer["id"], answer["ok"]), (1, False))
        self.assertIn("No such file", answer["error"])
        self.say("/h7/d1/data", b"1", 1)
        self.assertEqual(self.stored(), [])

    def test_unreadable(self) -> None:
        """
        A registry that cannot be read is named, and keeps the daemon from starting.
        """
        self.launch()
        self.leave()
        path = self.folder / "h7.devices.json"
        path.write_text("bogus", encoding="utf-8")
        registry = self.way.inlet.source.registry  # type: ignore[attr-defined]
        registry._ids = None
        error = self.assertRaises(ConfigError, self.way.startService)
        self.assertIn(str(path), str(error))

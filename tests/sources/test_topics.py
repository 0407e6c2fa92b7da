"""
Tests for L{sensord.sources.topics}.
"""

from math import isfinite
from typing import Any

from hypothesis import given, strategies

from sensord.config import Settings
from sensord.devices import Devices
from sensord.presence import Presence
from sensord.reading import Arrivals, Clock, Intake, Reading, Rejected
from sensord.settings import DeviceSettings, ValueSettings
from sensord.sources.topics import TopicSource
from sensord.wire.topics import Message
from sensord.wires import SubscriberSettings
from tests.sources.support import NOW, PIECE, SECOND, SourceTestCase, named
from tests.support import PROPERTY

BROKER = "localhost"

#: Where the devices of most tests say something.
DATA = "/h7/x/data"


class TopicTestCase(SourceTestCase):
    """
    What tests of MQTT messages share.
    """

    settings: Settings
    devices: Devices
    presence: Presence

    def source(self, *devices: DeviceSettings, **more: Any) -> TopicSource:
        """
        What decodes the messages of a listener.
        """
        topic = more.pop("topic", "/{hub}/{device}/data")
        listener = SubscriberSettings("farm", "mqtt", topic, **more)
        self.settings = Settings(listeners=(listener,), devices=devices)
        self.devices = Devices(self.settings)
        self.presence = self.devices.presence
        source = self.devices.source(listener, Arrivals(self.clock.seconds))
        assert isinstance(source, TopicSource)
        return source

    def say(
        self, source: TopicSource, payload: bytes, topic: str = DATA, retained: bool = False
    ) -> Intake:
        """
        What comes of one message.
        """
        return source.decode(BROKER, [Message(topic, payload, retained=retained)])

    def rejection(self, intake: Intake) -> str:
        """
        Why nothing at all came of a message.
        """
        self.assertEqual((intake.readings, list(intake.quarantined)), ([], []))
        [rejected] = intake.rejected
        return rejected.why

    def assertNothing(self, intake: Intake) -> None:
        """
        Check that something is neither stored nor counted.
        """
        self.assertEqual(intake, Intake([], b"", [], []))


class TextTests(TopicTestCase):
    """
    What becomes of messages that are text.
    """

    def test_aMessageIsItsReadings(self) -> None:
        """
        The values of a message share its time, which is that of its arrival, and the address is
        made of the topic.
        """
        intake = self.say(self.source(), b'{"t": 21.5, "on": true, "s": "ok", "n": 3}')
        readings = [
            Reading("farm/h7/x", name, value, NOW, Clock.ARRIVAL)
            for name, value in (("t", 21.5), ("on", True), ("s", "ok"), ("n", 3))
        ]
        self.assertEqual(intake, Intake(readings, b"", [], []))
        self.assertEqual([type(r.value) for r in intake.readings], [float, bool, str, int])

    def test_aMessageMaySayItsTime(self) -> None:
        """
        The readings of a message with a time have that time; the device was heard just now.
        """
        intake = self.say(self.source(), b'{"t": 21.5, "time": 1795190000.25}')
        [reading] = intake.readings
        self.assertEqual((reading.time, reading.clock), (1795190000_250000, Clock.DEVICE))
        self.assertEqual(self.presence.record("farm/h7/x").heard, NOW)

    def test_numbersAndColumns(self) -> None:
        """
        A bare number is called value, and numbers between commas by the columns of the listener.
        """
        self.assertEqual(named(self.say(self.source(), b" 21.5\n")), [("value", 21.5)])
        self.assertEqual(named(self.say(self.source(), b"1,2")), [("1", 1), ("2", 2)])
        source = self.source(columns=("a", "b"))
        self.assertEqual(named(self.say(source, b"1,2,3")), [("a", 1), ("b", 2), ("3", 3)])

    def test_aListenerSaysHowItIsRead(self) -> None:
        """
        The member that is the time, its zone and what is ignored are those of the listener.
        """
        source = self.source(
            topic="tele/{device}/SENSOR", time="Time", timezone="Europe/Berlin", ignore=("*.Id",)
        )
        payload = b'{"Time":"2026-11-20T18:10:50","AM2301":{"Id":"0A","Humidity":48.2}}'
        intake = self.say(source, payload, "tele/boiler/SENSOR")
        expected = Reading("farm/boiler", "AM2301.Humidity", 48.2, NOW, Clock.DEVICE)
        self.assertEqual(intake, Intake([expected], b"", [], []))

    def test_aTopicMayNameTheValue(self) -> None:
        """
        Where a level is the name, a bare number is called by it alone, and members of objects and
        columns by it and their own name.
        """
        source = self.source(topic="emon/{device}/{name}")
        for payload, names in (
            (b"69", ["power1"]),
            (b"true", ["power1"]),
            (b'{"value": 1}', ["power1"]),
            (b'{"a": 1, "b": {"c": 2}}', ["power1.a", "power1.b.c"]),
            (b"1,2", ["power1.1", "power1.2"]),
        ):
            intake = self.say(source, payload, "emon/emontx/power1")
            self.assertEqual([reading.name for reading in intake.readings], names)
            self.assertEqual({reading.device for reading in intake.readings}, {"farm/emontx"})

    def test_eachMessageHasItsTime(self) -> None:
        """
        No two messages share a time, also when they come together; what has a time of its own
        keeps it.
        """
        events = [Message(DATA, text) for text in (b"1", b'{"time":5,"value":2}', b"x", b"1,2")]
        source = self.source()
        intake = source.decode(BROKER, [events[0], PIECE, *events[1:], Message("/h7/y/data", b"1")])
        times = [reading.time for reading in intake.readings]
        self.assertEqual(times, [NOW, 5 * SECOND, NOW + 2, NOW + 2, NOW + 3])
        self.assertEqual(intake.rejected[0].why, PIECE.why)
        self.assertEqual(intake.received, 7)
        self.assertEqual(self.say(source, b"1").readings[0].time, NOW + 4)

    def test_presenceIsTold(self) -> None:
        """
        A device was heard with each message that can be read, and not with others.
        """
        source = self.source()
        for payload in (b"1", b'{"time": 5}', b"hello", b""):
            self.say(source, payload)
        self.say(source, b"1", "/h7/y/data")
        received = {record.address: record.received for record in self.presence}
        self.assertEqual(received, {"farm/h7/x": 2, "farm/h7/y": 1})

    def test_otherTopicsAreRejected(self) -> None:
        """
        A message elsewhere is rejected, with its topic and the beginning of its payload.
        """
        source = self.source()
        for topic in ("/h7/x/cmd", "/h7//data", "h7/x/data", "", "/h7/+/data", "/h7/a\nb/data"):
            intake = self.say(source, b"21.5", topic)
            data = f"{topic} 21.5".encode()
            why = "no topic of the form /{hub}/{device}/data"
            self.assertEqual(intake, Intake([], b"", [Rejected(data, why)], []))
        self.assertEqual(list(self.presence), [])

    def test_whatIsRejectedIsNamed(self) -> None:
        """
        What cannot be read is rejected with its topic; of one that is long, the beginning is shown.
        """
        [rejected] = self.say(self.source(), b"21.5 degrees").rejected
        self.assertEqual(rejected.data, b"/h7/x/data 21.5 degrees")
        long = f"/h7/{'x' * 150}/data"
        [rejected] = self.say(self.source(), b"?" * 1000, long).rejected
        self.assertEqual(rejected.data, long.encode()[:64] + b"?" * 64)

    def test_aBadMemberIsRejectedAlone(self) -> None:
        """
        A member that is no value is rejected with its topic, and those beside it are stored.
        """
        intake = self.say(self.source(), b'{"a": 1, "b": "\\u0000", "c": 2, "": 3}')
        self.assertEqual(named(intake), [("a", 1), ("c", 2)])
        self.assertEqual(intake.received, 4)
        for rejected in intake.rejected:
            self.assertTrue(rejected.data.startswith(b"/h7/x/data "), rejected)

    def test_whatTheBrokerHeldBackIsRejected(self) -> None:
        """
        A message that was too large to be kept is rejected with its size, wherever it was said.
        """
        for topic in (DATA, "elsewhere"):
            intake = self.source().decode(BROKER, [Message(topic, b"", size=300_000)])
            why = "300000 bytes are too many"
            self.assertEqual(intake, Intake([], b"", [Rejected(f"{topic} ".encode(), why)], []))

    def test_retainedIsNotOfNow(self) -> None:
        """
        What was said before somebody listened has no time, so that it is passed over; one that has
        a time of its own is stored, but the device was not heard.
        """
        source = self.source()
        self.assertNothing(self.say(source, b"21.5", retained=True))
        self.assertNothing(self.say(source, b'{"a": 1, "time": null}', retained=True))
        intake = self.say(source, b'{"a": 1, "time": 5}', retained=True)
        expected = Reading("farm/h7/x", "a", 1, 5 * SECOND, Clock.DEVICE)
        self.assertEqual(intake, Intake([expected], b"", [], []))
        record = self.presence.record("farm/h7/x")
        self.assertEqual((record.heard, record.received), (0, 0))
        self.say(source, b'{"a": 1, "time": 5}')
        self.assertEqual((record.heard // SECOND, record.received), (NOW // SECOND, 1))

    def test_retainedMayBeTakenAsOfNow(self) -> None:
        """
        With C{retained} what was said before is stored as if it was said now.
        """
        source = self.source(retained=True)
        self.assertEqual(
            self.say(source, b"21.5", retained=True).readings,
            [Reading("farm/h7/x", "value", 21.5, NOW, Clock.ARRIVAL)],
        )
        self.assertEqual(self.presence.record("farm/h7/x").heard, NOW)

    def test_nothingComesOfNothing(self) -> None:
        """
        Without messages there is nothing to store.
        """
        self.assertNothing(self.source().decode(BROKER, []))

    @PROPERTY
    @given(
        strategies.lists(
            strategies.builds(
                Message,
                strategies.sampled_from([DATA, "/h7/y/data", "/h7/data", "x"])
                | strategies.text(strategies.characters(exclude_categories=["Cs"]), max_size=9),
                strategies.binary(max_size=20)
                | strategies.sampled_from(
                    [b'{"a":1,"b":"x","b_":2,"c":null}', b'{"a":1e300,"time":5}', b"1,2,3", b"true"]
                ),
                strategies.sampled_from([0, 0, 0, 999_999]),
                strategies.booleans(),
            )
            | strategies.just(PIECE),
            max_size=5,
        ),
        strategies.sampled_from(["text", "esp8266", "poe", "packed"]),
        strategies.booleans(),
    )
    def test_anyMessagesCanBeDecoded(
        self, events: list[Any], payload: str, described: bool
    ) -> None:
        """
        Whatever comes, decoding it does not raise, all that is stored is finite, and no two of one
        message have one name.
        """
        values = ValueSettings("b", "f", field="a", scale=1e10), ValueSettings("k", "?")
        devices = [DeviceSettings("farm/h7/x", "cellar", values=values)] if described else []
        source = self.source(*devices, payload=payload)
        for event in events:
            intake = source.decode(BROKER, [event])
            found = {(reading.device, reading.name, reading.time) for reading in intake.readings}
            self.assertEqual(len(found), len(intake.readings))
            for reading in intake.readings:
                self.assertTrue(isinstance(reading.value, str) or isfinite(reading.value))
            self.assertLessEqual(len(intake.quarantined), 1)
            if event is PIECE or event.size:
                self.assertEqual(len(intake.rejected), 1)


class DescribedTests(TopicTestCase):
    """
    Devices that are described.
    """

    BOILER = DeviceSettings(
        "farm/boiler",
        "cellar",
        {"place": "cellar"},
        (
            ValueSettings("heat", field="DS18B20.Temperature", scale=0.1, unit="°C"),
            ValueSettings("power", unit="W"),
        ),
    )

    def boiler(self, **more: Any) -> TopicSource:
        """
        What decodes the messages of C{farm/boiler}, and of others.
        """
        return self.source(self.BOILER, topic="tele/{device}/SENSOR", **more)

    def test_aDescribedDeviceHasItsNames(self) -> None:
        """
        Described values have the names of the description, by their field or their name, and the
        others their own; another device has none of it.
        """
        payload = b'{"DS18B20": {"Temperature": 215}, "power": 69, "other": 1}'
        source = self.boiler()
        intake = self.say(source, payload, "tele/boiler/SENSOR")
        self.assertEqual(named(intake), [("heat", 21.5), ("power", 69), ("other", 1)])
        self.assertEqual({reading.device for reading in intake.readings}, {"cellar"})
        intake = self.say(source, payload, "tele/attic/SENSOR")
        self.assertEqual(named(intake)[0], ("DS18B20.Temperature", 215))
        self.assertEqual({reading.device for reading in intake.readings}, {"farm/attic"})

    def test_aSeriesHasItsUnitAndTags(self) -> None:
        """
        What is stored of a described device has the unit and the tags of its description.
        """
        self.boiler()
        heat = self.devices.describe("cellar", "heat")
        self.assertEqual((heat.address, heat.wire, heat.unit), ("farm/boiler", "mqtt", "°C"))
        self.assertEqual((heat.field, heat.tags), ("DS18B20.Temperature", {"place": "cellar"}))
        other = self.devices.describe("cellar", "other")
        self.assertEqual((other.unit, other.tags), ("", {"place": "cellar"}))

    def test_valuesAreScaledAsTheyAreWritten(self) -> None:
        """
        A value is scaled and shifted without binary dust, also one with decimals; texts and truth
        values stay as they are.
        """
        values = (
            ValueSettings("tenths", field="t", scale=0.1),
            ValueSettings("kelvin", field="k", offset=-273.15),
        )
        source = self.source(DeviceSettings("farm/h7/x", values=values))
        for text, expected in (
            (b'{"t": 7, "k": 293.15}', [0.7, 20.0]),
            (b'{"t": 2.3, "k": 0.1}', [0.23, -273.05]),
            (b'{"t": 9223372036854775807, "k": -1e-3}', [2**63 / 10, -273.151]),
            (b'{"t": true, "k": "warm"}', [True, "warm"]),
        ):
            found = [reading.value for reading in self.say(source, text).readings]
            self.assertEqual(repr(found), repr(expected))

    def test_whatScalingMakesTooLargeIsRejectedAlone(self) -> None:
        """
        A value that no float holds when it is scaled is rejected, and the others are stored.
        """
        values = (ValueSettings("sun", field="s", scale=1e30),)
        source = self.source(DeviceSettings("farm/h7/x", values=values))
        intake = self.say(source, b'{"s": 1e300, "a": 1}')
        self.assertEqual(named(intake), [("a", 1)])
        self.assertEqual([item.why for item in intake.rejected], ["s is 1e+300"])

    def test_noValueIsLostToAName(self) -> None:
        """
        A value may be called what the wire calls another: that one gives way, also in later
        messages, and in another order.
        """
        values = (ValueSettings("b", field="a"),)
        source = self.source(DeviceSettings("farm/h7/x", values=values))
        found = named(self.say(source, b'{"a": 1, "b": 2, "c": 3}'))
        self.assertEqual(found, [("b", 1), ("b_", 2), ("c", 3)])
        self.assertEqual(named(self.say(source, b'{"b": 5, "a": 4}')), [("b_", 5), ("b", 4)])
        found = named(self.say(source, b'{"b_": 6, "b": 7}'))
        self.assertEqual(found, [("b__", 6), ("b_", 7)])

    def test_aNameInTheTopicIsDescribedAlike(self) -> None:
        """
        Where the topic has the name, a description means it by that.
        """
        values = (
            ValueSettings("kettle", field="power1", scale=0.1, unit="W"),
            ValueSettings("power2.max", scale=2),
        )
        source = self.source(
            DeviceSettings("farm/emontx", "meter", values=values), topic="emon/{device}/{name}"
        )
        self.assertEqual(named(self.say(source, b"69", "emon/emontx/power1")), [("kettle", 6.9)])
        found = named(self.say(source, b'{"max": 3, "value": 1}', "emon/emontx/power2"))
        self.assertEqual(found, [("power2.max", 6), ("power2", 1)])

"""
Tests for L{sensord.sources.topics}: messages that are bytes.
"""

from math import nan
from struct import pack

from msgspec.structs import replace

from sensord.config import STOCK
from sensord.reading import Clock, Intake, Reading, Rejected
from sensord.settings import DeviceSettings, ValueSettings
from sensord.wire.payloads import MAX_VALUES
from tests.sources.support import NOW, SECOND, named
from tests.sources.test_packets import EXAMPLE, NEWER, OLDER
from tests.sources.test_topics import BROKER, DATA, TopicTestCase


class BinaryTests(TopicTestCase):
    """
    What becomes of messages that are bytes.
    """

    def test_packetsAreThoseOfTheTopic(self) -> None:
        """
        The measurements of an esp8266 packet are of the device of its topic, whatever id stands in
        the packet, and are backdated.
        """
        device = DeviceSettings("farm/h7/x", "balcony", values=STOCK)
        source = self.source(device, payload="esp8266")
        for id in (1, 200):
            intake = self.say(source, EXAMPLE[:7] + bytes([id]) + EXAMPLE[8:])
            self.assertEqual(named(intake), [*OLDER, *NEWER])
            self.assertEqual((list(intake.rejected), list(intake.quarantined)), ([], []))
            self.assertEqual({reading.device for reading in intake.readings}, {"balcony"})
            self.assertEqual({reading.clock for reading in intake.readings}, {Clock.BACKDATED})
            self.clock.advance(10)
        times = [reading.time for reading in intake.readings]
        self.assertEqual(times, [NOW - 110 * SECOND] * 3 + [NOW + 10 * SECOND] * 3)
        self.assertEqual(self.presence.record("farm/h7/x").received, 2)

    def test_theTimeBetweenPacketsIsThatOfTheirTopic(self) -> None:
        """
        When one device comes does not tell how fast the clock of another runs, though both packets
        have one id.
        """
        devices = [DeviceSettings(f"farm/h7/{id}", values=STOCK) for id in "xy"]
        source = self.source(*devices, payload="esp8266")
        self.say(source, EXAMPLE)
        self.clock.advance(3600)
        older, *_rest = self.say(source, EXAMPLE, "/h7/y/data").readings
        self.assertEqual(older.time, NOW + (3600 - 120) * SECOND)
        older, *_rest = self.say(source, EXAMPLE).readings
        self.assertEqual(older.time // SECOND, NOW // SECOND + 3600 - 1800)

    def test_aPacketThatIsCutShortKeepsWhatIsWhole(self) -> None:
        """
        Of a packet that lacks its end, or has something behind it, the whole measurements are
        stored and the rest is rejected with its topic.
        """
        source = self.source(DeviceSettings("farm/h7/x", values=STOCK), payload="esp8266")
        for data, count in ((EXAMPLE[:-1], 3), (EXAMPLE + b"xyz", 6)):
            intake = self.say(source, data)
            self.assertEqual((len(intake.readings), len(intake.rejected)), (count, 1))
            self.assertTrue(intake.rejected[0].data.startswith(b"/h7/x/data "))

    def test_anUndescribedPacketIsKeptWhole(self) -> None:
        """
        A packet whose topic has no description, or another one, waits for it as it came, and what
        would be rejected of it waits with it: it is counted once.
        """
        values = (ValueSettings("level", "f"),)
        source = self.source(DeviceSettings("farm/h7/y", "well", values=values), payload="esp8266")
        for topic, why in (
            (DATA, "device h7/x has no description"),
            ("/h7/y/data", "3 sensors in 6 bytes, the description of well has 1 in 4"),
        ):
            for data in (EXAMPLE, EXAMPLE[:-1], EXAMPLE + b"xyz"):
                intake = self.say(source, data, topic)
                [kept] = intake.quarantined
                self.assertEqual((kept.data, kept.why), (f"{topic}\0".encode() + data, why))
                self.assertEqual((kept.peer, kept.wire), (BROKER, "mqtt"))
                self.assertEqual((intake.readings, list(intake.rejected)), ([], []))

    def test_framesAreThoseOfTheTopic(self) -> None:
        """
        Each poe frame of a message is a reading of the device of its topic; what is none is
        rejected alone.
        """
        values = (ValueSettings("oven", field="temperature.18", scale=0.1),)
        source = self.source(DeviceSettings("farm/h7/y", "hall", values=values), payload="poe")
        intake = self.say(source, bytes.fromhex("01ff0001 01010063 01020905 0112"))
        self.assertEqual(named(intake), [("fire.255", 1), ("fire.1", 99)])
        self.assertEqual({reading.device for reading in intake.readings}, {"farm/h7/x"})
        self.assertEqual(len({reading.time for reading in intake.readings}), 2)
        self.assertEqual(
            [item.data for item in intake.rejected],
            [b"/h7/x/data \x01\x02\x09\x05", b"/h7/x/data \x01\x12"],
        )
        intake = self.say(source, bytes.fromhex("01120407"), "/h7/y/data")
        self.assertEqual(named(intake), [("oven", 0.7)])

    def test_oddFramesAreCounted(self) -> None:
        """
        A poe frame with an unknown opt is stored, and counted as odd.
        """
        source = self.source(payload="poe")
        self.assertEqual(source.oddities, 0)
        for _message in range(2):
            self.assertEqual(named(self.say(source, b"\x07\x01\x00\x05")), [("fire.1", 5)])
        self.assertEqual(source.oddities, 2)

    def test_packedValuesAreUnpacked(self) -> None:
        """
        Packed values are unpacked, whitened or not, and scaled as their device is described.
        """
        values = (
            ValueSettings("t", "h", scale=0.1),
            ValueSettings("on", "?", field="which is of no use here"),
            ValueSettings("f", "f"),
        )
        device = DeviceSettings("farm/h7/x", "cellar", values=values)
        data = pack("<h?f", 215, True, 1.5)
        found = self.say(self.source(device, payload="packed"), data)
        expected = [
            Reading("cellar", name, value, NOW, Clock.ARRIVAL)
            for name, value in (("t", 21.5), ("on", True), ("f", 1.5))
        ]
        self.assertEqual(found, Intake(expected, b"", [], []))
        white = replace(device, whitening=True)
        found = self.say(self.source(white, payload="packed"), bytes(byte ^ 0x55 for byte in data))
        self.assertEqual(found.readings, expected)
        self.assertEqual(self.presence.record("farm/h7/x").received, 1)

    def test_packedValuesWithoutADescriptionAreNumbered(self) -> None:
        """
        Without a description packed values are signed numbers of 16 bits, called by their place; of
        an odd number of bytes, and of very many, they wait for one.
        """
        source = self.source(payload="packed")
        self.assertEqual(named(self.say(source, pack("<hh", 12, -1))), [("1", 12), ("2", -1)])
        self.assertEqual(len(self.say(source, bytes(2 * MAX_VALUES)).readings), MAX_VALUES)
        for data in (b"\x01", bytes(2 * MAX_VALUES + 2), bytes(4000)):
            [kept] = self.say(source, data).quarantined
            self.assertEqual(kept.why, f"{len(data)} bytes, and farm/h7/x has no description")
            self.assertEqual(kept.data, DATA.encode() + b"\0" + data)

    def test_aDescriptionMayBeLong(self) -> None:
        """
        As many packed values as are described are unpacked.
        """
        values = tuple(ValueSettings(f"v{number}", "h") for number in range(MAX_VALUES + 1))
        source = self.source(DeviceSettings("farm/h7/x", values=values), payload="packed")
        intake = self.say(source, bytes(2 * MAX_VALUES + 2))
        self.assertEqual(len(intake.readings), MAX_VALUES + 1)

    def test_aPackedSizeThatDiffersIsKept(self) -> None:
        """
        A message that has more or fewer bytes than its description waits for another one.
        """
        values = (ValueSettings("a", "h"),)
        source = self.source(DeviceSettings("farm/h7/x", "c", values=values), payload="packed")
        for size in (1, 4):
            [kept] = self.say(source, bytes(size)).quarantined
            self.assertEqual(kept.why, f"{size} bytes, the description of c has 2")

    def test_aPackedValueThatIsNotFiniteIsRejectedAlone(self) -> None:
        """
        A NaN is rejected with its topic, and the values beside it are stored.
        """
        values = (ValueSettings("a", "f"), ValueSettings("b", "f"))
        source = self.source(DeviceSettings("farm/h7/x", "c", values=values), payload="packed")
        data = pack("<ff", nan, 1.5)
        intake = self.say(source, data)
        self.assertEqual(named(intake), [("b", 1.5)])
        self.assertEqual(list(intake.rejected), [Rejected(b"/h7/x/data " + data, "a of c is nan")])

    def test_aTopicMayNameWhatIsPacked(self) -> None:
        """
        Where a level is the name, packed values are called by it and by their own name.
        """
        values = (ValueSettings("a", "b"), ValueSettings("b", "b"))
        device = DeviceSettings("farm/y", "c", values=values)
        source = self.source(device, payload="packed", topic="e/{device}/{name}")
        for topic, names in (
            ("e/x/in", ["in.1"]),
            ("e/y/in", ["in.a", "in.b"]),
            ("e/y/out", ["out.a", "out.b"]),
        ):
            intake = self.say(source, b"\x01\x02", topic)
            self.assertEqual([reading.name for reading in intake.readings], names)

    def test_nothingIsRejected(self) -> None:
        """
        A message without a payload, by which brokers forget what they retained, says nothing.
        """
        for payload, devices in (
            ("esp8266", [DeviceSettings("farm/h7/x", values=STOCK)]),
            ("poe", []),
            ("packed", []),
            ("packed", [DeviceSettings("farm/h7/x", values=STOCK)]),
        ):
            intake = self.say(self.source(*devices, payload=payload), b"")
            self.assertEqual(self.rejection(intake), "nothing is in it")

    def test_retainedBytesHaveNoTime(self) -> None:
        """
        Bytes that were said before somebody listened are passed over, unless they are to be taken
        as of now.
        """
        for payload, data in (
            ("esp8266", EXAMPLE),
            ("poe", b"\x01\xff\x00\x01"),
            ("packed", b"\x01\x00"),
        ):
            device = DeviceSettings("farm/h7/x", values=STOCK if payload == "esp8266" else ())
            source = self.source(device, payload=payload)
            self.assertNothing(self.say(source, data, retained=True))
            self.assertEqual(self.presence.record("farm/h7/x").heard, 0)
            source = self.source(device, payload=payload, retained=True)
            self.assertTrue(self.say(source, data, retained=True).readings)

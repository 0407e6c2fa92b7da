"""
Tests for L{sensord.devices}.
"""

from collections.abc import Sequence
from math import inf, nan
from struct import pack

from hypothesis import given, strategies
from twisted.internet.task import Clock as HandClock
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import (
    DEFAULTS,
    STOCK,
    WIRES,
    DeviceSettings,
    ListenerSettings,
    Settings,
    ThresholdSettings,
    ValueSettings,
)
from sensord.devices import SOURCES, Description, Devices, FrameSource, Source
from sensord.reading import Arrivals, Clock, Intake, Quarantined, Reading, Rejected, Value
from sensord.wire import Skipped, esp8266, poe
from tests.support import PROPERTY, collect

SECOND = 1_000_000

#: When the hand-driven clock starts, in seconds since the epoch.
START = 1795194650

#: The same in microseconds.
NOW = START * SECOND

HOST = "192.168.1.7"

#: Two measurements of the stock device, and its values of them.
EXAMPLE = bytes.fromhex("0c00 100e 7800 06 01 03  7800 006e 0068  7900 046e 0468")
OLDER = (("light", 120), ("humidity", 47.7109375), ("temperature", 24.53625))
NEWER = (("light", 121), ("humidity", 47.71856689453125), ("temperature", 24.54697509765625))

#: How long the stock device sleeps, and the time between its measurements as it declares it.
WAKE, INTERVAL = 3600, 120

PIECE = Skipped(b"\x01\x02", "a piece")


def packet(
    count: int = 1,
    device: int = 1,
    size: int = 2,
    sensors: int = 1,
    wake: int = WAKE,
) -> esp8266.Packet:
    """
    A packet of so many measurements, all zero.
    """
    return esp8266.Packet(wake, INTERVAL, size, device, sensors, bytes(size * count))


class PacketSourceTests(SynchronousTestCase):
    """
    What becomes of the deliveries of battery devices.
    """

    def setUp(self) -> None:
        """
        Start the clock.
        """
        self.clock = HandClock()
        self.clock.advance(START)

    def source(
        self,
        *types: str,
        backdate: str = "corrected",
        devices: Sequence[DeviceSettings] = (),
    ) -> Source:
        """
        What decodes C{weather/1}, which is C{balcony} and has values C{a}, C{b}, ... of some types.
        """
        listener = ListenerSettings("weather", "esp8266", "tcp:0", backdate=backdate)
        values = tuple(
            ValueSettings(name, type) for name, type in zip("abcdefgh", types, strict=False)
        )
        balcony = DeviceSettings("weather/1", "balcony", values=values)
        settings = Settings(listeners=(listener,), devices=tuple(devices) or (balcony,))
        return Devices(settings).source(listener, Arrivals(self.clock.seconds))

    def stock(self, backdate: str = "corrected") -> Source:
        """
        What decodes the stock device, without a name.
        """
        return self.source(backdate=backdate, devices=DEFAULTS.devices)

    def ages(self, intake: Intake) -> list[int]:
        """
        How long before its arrival each measurement was taken, in microseconds.
        """
        self.assertEqual((list(intake.rejected), list(intake.quarantined)), ([], []))
        now = int(self.clock.seconds()) * SECOND
        return [now - reading.time for reading in intake.readings]

    def values(self, source: Source, size: int, sensors: int, data: bytes) -> list[Value]:
        """
        What comes of the values of one packet, all of them good.
        """
        event = esp8266.Packet(WAKE, INTERVAL, size, 1, sensors, data)
        intake = source.decode(HOST, [event])
        self.assertEqual((list(intake.rejected), list(intake.quarantined)), ([], []))
        return [reading.value for reading in intake.readings]

    def test_theExampleHasItsExactValues(self) -> None:
        """
        The example of the specification gives its six readings to the last digit; the newer
        measurement was taken at the arrival and the older one two minutes before.
        """
        events = collect(esp8266.PacketParser(), [EXAMPLE])
        intake = self.stock().decode(HOST, events)
        older = [
            Reading("weather/1", name, value, NOW - INTERVAL * SECOND, Clock.BACKDATED)
            for name, value in OLDER
        ]
        newer = [Reading("weather/1", name, value, NOW, Clock.BACKDATED) for name, value in NEWER]
        self.assertEqual(intake, Intake(older + newer, b"\x06"))
        kinds = [type(reading.value) for reading in intake.readings]
        self.assertEqual(kinds, [int, float, float] * 2)

    def test_theOriginalTimesAreOneIntervalEarlier(self) -> None:
        """
        With C{backdate = "original"} every measurement is stamped one interval earlier, as the
        original server did.
        """
        events = collect(esp8266.PacketParser(), [EXAMPLE])
        intake = self.stock(backdate="original").decode(HOST, events)
        minutes = [age / SECOND / 60 for age in self.ages(intake)]
        self.assertEqual(minutes, [4, 4, 4, 2, 2, 2])
        values = [(reading.name, reading.value) for reading in intake.readings]
        self.assertEqual(values, [*OLDER, *NEWER])

    def test_theFirstDeliveryIsTakenAtItsWord(self) -> None:
        """
        Until a device has been heard before, its measurements are as far apart as it declares.
        """
        intake = self.source("H").decode(HOST, [packet(4)])
        self.assertEqual(self.ages(intake), [360 * SECOND, 240 * SECOND, 120 * SECOND, 0])

    def test_aPunctualDeliveryTellsTheTrueInterval(self) -> None:
        """
        When a device comes within a third of its wake-up time, the time that really passed is
        shared among its measurements: its own clock drifts by a tenth.
        """
        for elapsed in (2401, 3300, 3600, 3960, 4799):
            source = self.source("H")
            source.decode(HOST, [packet(30)])
            self.clock.advance(elapsed)
            ages = self.ages(source.decode(HOST, [packet(30)]))
            expected = [round(elapsed * SECOND / 30 * (29 - k)) for k in range(30)]
            self.assertEqual(ages, expected, elapsed)

    def test_theTrueIntervalAlsoCountsForTheOriginalTimes(self) -> None:
        """
        With C{backdate = "original"} a punctual delivery begins where the last one ended, one
        true interval early.
        """
        source = self.source("H", backdate="original")
        source.decode(HOST, [packet(30)])
        self.clock.advance(3300)
        ages = self.ages(source.decode(HOST, [packet(30)]))
        self.assertEqual(ages, [110 * SECOND * (30 - k) for k in range(30)])

    def test_aLateOrEarlyDeliveryIsTakenAtItsWord(self) -> None:
        """
        After a missed delivery, or when one comes early, measurements are as far apart as the
        device declares. A third of the wake-up time off is no longer punctual.
        """
        for elapsed in (1, 1800, 2399, 2400, 4800, 4801, 7200, 86400):
            source = self.source("H")
            source.decode(HOST, [packet(30)])
            self.clock.advance(elapsed)
            ages = self.ages(source.decode(HOST, [packet(30)]))
            self.assertEqual(ages, [INTERVAL * SECOND * (29 - k) for k in range(30)], elapsed)

    def test_aDeviceThatNeverSleepsIsTakenAtItsWord(self) -> None:
        """
        A device that declares no wake-up time is never punctual.
        """
        source = self.source("H")
        for _delivery in range(2):
            ages = self.ages(source.decode(HOST, [packet(2, wake=0)]))
            self.assertEqual(ages[0] - ages[1], INTERVAL * SECOND)
            self.clock.advance(1)

    def test_punctualityCountsFromTheLastGoodPacket(self) -> None:
        """
        Garbage and packets that do not fit, between two good ones, do not change when a device
        was heard last.
        """
        source = self.source("H")
        source.decode(HOST, [packet(30)])
        self.clock.advance(1000)
        misfit = source.decode(HOST, [packet(30, size=4), PIECE])
        self.assertEqual((len(misfit.quarantined), len(misfit.rejected)), (1, 1))
        self.clock.advance(2300)
        ages = self.ages(source.decode(HOST, [packet(30)]))
        self.assertEqual(ages[0], 29 * 110 * SECOND)

    def test_punctualityCountsFromDeliveryToDelivery(self) -> None:
        """
        The time that passed is counted from the last delivery, not from the first, and a
        delivery that was not punctual itself counts as well.
        """
        source = self.source("H")
        source.decode(HOST, [packet(30)])
        for elapsed, interval in ((3300, 110), (3660, 122), (7200, INTERVAL), (3300, 110)):
            self.clock.advance(elapsed)
            ages = self.ages(source.decode(HOST, [packet(30)]))
            self.assertEqual(ages[0], 29 * interval * SECOND, elapsed)

    def test_eachDeviceHasItsOwnPace(self) -> None:
        """
        When one device comes does not tell how fast another one's clock runs.
        """
        value = (ValueSettings("a", "H"),)
        devices = [
            DeviceSettings("weather/1", "balcony", values=value),
            DeviceSettings("weather/2", "garden", values=value),
        ]
        source = self.source(devices=devices)
        source.decode(HOST, [packet(30)])
        self.clock.advance(3300)
        first = source.decode(HOST, [packet(30, device=2)])
        self.assertEqual(self.ages(first)[0], 29 * INTERVAL * SECOND)
        self.assertEqual({reading.device for reading in first.readings}, {"garden"})

    def test_theTrueIntervalIsThatOfTheMeasurementsThatCame(self) -> None:
        """
        A device that brings fewer measurements in the same time has measured more seldom.
        """
        source = self.source("H")
        source.decode(HOST, [packet(30)])
        self.clock.advance(3600)
        ages = self.ages(source.decode(HOST, [packet(10)]))
        self.assertEqual(ages, [360 * SECOND * (9 - k) for k in range(10)])

    def test_oneMeasurementHasOneTime(self) -> None:
        """
        All sensors of one measurement share its time, also when it is no whole microsecond.
        """
        source = self.source("B", "B", "B")
        source.decode(HOST, [packet(7, size=3, sensors=3)])
        self.clock.advance(3601)
        intake = source.decode(HOST, [packet(7, size=3, sensors=3)])
        times = [reading.time for reading in intake.readings]
        self.assertEqual(times[0::3], times[1::3])
        self.assertEqual(times[0::3], times[2::3])
        self.assertEqual(len(set(times)), 7)
        self.assertEqual({reading.clock for reading in intake.readings}, {Clock.BACKDATED})

    @PROPERTY
    @given(
        strategies.integers(1, 500),
        strategies.integers(0, 10_000),
        strategies.sampled_from(["corrected", "original"]),
    )
    def test_measurementsAreInOrderAndNeverAhead(
        self, count: int, elapsed: int, backdate: str
    ) -> None:
        """
        However late a delivery comes, its measurements are in order and none lies in the future.
        """
        source = self.source("B", backdate=backdate)
        source.decode(HOST, [packet(count, size=1)])
        self.clock.advance(elapsed + 1)
        ages = self.ages(source.decode(HOST, [packet(count, size=1)]))
        self.assertEqual(ages, sorted(ages, reverse=True))
        self.assertEqual(len(ages), count)
        self.assertTrue(ages[-1] == 0 if backdate == "corrected" else ages[-1] > 0, ages)

    def test_anUnknownDeviceIsQuarantined(self) -> None:
        """
        A packet of a device without a description is kept whole, as it came, for when it has one.
        """
        data = EXAMPLE[:7] + b"\x09" + EXAMPLE[8:]
        events = collect(esp8266.PacketParser(), [data])
        intake = self.stock().decode(HOST, events)
        why = "device 9 has no description"
        self.assertEqual(
            intake, Intake([], b"\x06", (), [Quarantined(NOW, HOST, data, why, "esp8266")])
        )

    def test_aSizeThatDiffersIsQuarantined(self) -> None:
        """
        A packet whose measurements are not as large as described is kept whole, and the reason
        says both sizes.
        """
        source = self.source("H", "H")
        for size in (3, 5):
            event = packet(2, size=size, sensors=2)
            intake = source.decode(HOST, [event])
            why = f"2 sensors in {size} bytes, the description of balcony has 2 in 4"
            [kept] = intake.quarantined
            self.assertEqual((kept.data, kept.why), (esp8266.encode(event), why))
            self.assertEqual((intake.readings, intake.received), ([], 1))

    def test_aNumberOfSensorsThatDiffersIsQuarantined(self) -> None:
        """
        A packet whose measurements have another number of sensors is kept whole, although the
        size fits.
        """
        event = packet(2, size=4, sensors=3)
        intake = self.source("H", "H").decode(HOST, [event])
        why = "3 sensors in 4 bytes, the description of balcony has 2 in 4"
        [kept] = intake.quarantined
        self.assertEqual((kept.data, kept.why), (esp8266.encode(event), why))
        self.assertEqual((intake.readings, intake.verdicts), ([], b"\x06"))

    def test_devicesOfOtherListenersAreNotMistaken(self) -> None:
        """
        A device of a listener whose name only begins alike has no description here.
        """
        value = (ValueSettings("a", "H"),)
        here = ListenerSettings("weather", "esp8266", "tcp:0")
        there = ListenerSettings("weather2", "esp8266", "tcp:0")
        settings = Settings(
            listeners=(here, there), devices=(DeviceSettings("weather2/1", values=value),)
        )
        arrivals = Arrivals(self.clock.seconds)
        event = packet()
        self.assertEqual(
            len(Devices(settings).source(here, arrivals).decode(HOST, [event]).quarantined), 1
        )
        self.assertEqual(
            len(Devices(settings).source(there, arrivals).decode(HOST, [event]).readings), 1
        )

    def test_aValueThatIsNotFiniteIsRejectedAlone(self) -> None:
        """
        A NaN or an infinity is rejected, and the values beside it and in other measurements count.
        """
        source = self.source("f", "f", "H")
        for bad in (nan, inf, -inf):
            data = pack("<ffHffH", 1.5, bad, 7, 2.5, 3.5, 8)
            event = esp8266.Packet(WAKE, INTERVAL, 10, 1, 3, data)
            intake = source.decode(HOST, [event])
            named = [(reading.name, reading.value) for reading in intake.readings]
            self.assertEqual(named, [("a", 1.5), ("c", 7), ("a", 2.5), ("b", 3.5), ("c", 8)])
            self.assertEqual(list(intake.rejected), [Rejected(b"", f"b of balcony is {bad}")])
            self.assertEqual((intake.verdicts, intake.received), (b"\x06", 6))

    def test_aScaledValueThatIsNotFiniteIsRejectedToo(self) -> None:
        """
        A NaN or an infinity is rejected also when it is to be scaled.
        """
        values = (ValueSettings("a", "f", scale=0.1), ValueSettings("b", "d", scale=1e30))
        source = self.source(devices=[DeviceSettings("weather/1", "balcony", values=values)])
        for a, b in ((nan, 1.0), (inf, 1.0), (7.0, nan), (7.0, 1e300)):
            event = esp8266.Packet(WAKE, INTERVAL, 12, 1, 2, pack("<fd", a, b))
            intake = source.decode(HOST, [event])
            self.assertEqual((len(intake.readings), len(intake.rejected)), (1, 1), (a, b))

    def test_typesMayBeMixed(self) -> None:
        """
        Bytes, signed numbers, floats and truth values stand side by side without padding.
        """
        source = self.source("B", "h", "f", "?", "H")
        data = pack("<BhfBH", 255, -300, 0.1, 1, 65535)
        values = self.values(source, 10, 5, data)
        self.assertEqual(values, [255, -300, 0.10000000149011612, True, 65535])
        kinds = [type(value) for value in values]
        self.assertEqual(kinds, [int, int, float, bool, int])

    def test_aNumberTooLargeForDatabasesIsAFloat(self) -> None:
        """
        A u64 that no signed 64-bit integer holds becomes a float; the largest that does stays.
        """
        source = self.source("Q", "q")
        data = pack("<QqQq", 2**63 - 1, -(2**63), 2**63, 2**63 - 1)
        values = self.values(source, 16, 2, data)
        self.assertEqual(values, [2**63 - 1, -(2**63), 2.0**63, 2**63 - 1])
        kinds = [type(value) for value in values]
        self.assertEqual(kinds, [int, int, float, int])

    def test_valuesAreScaled(self) -> None:
        """
        A value is scaled and shifted as its description says, without binary dust.
        """
        values = (
            ValueSettings("tenths", "h", scale=0.1),
            ValueSettings("kelvin", "H", scale=0.01, offset=-273.15),
        )
        source = self.source(devices=[DeviceSettings("weather/1", "balcony", values=values)])
        found = self.values(source, 4, 2, pack("<hHhH", 7, 29315, -3, 0))
        self.assertEqual(found, [0.7, 20.0, -0.3, -273.15])

    def test_verdictsAreInTheOrderOfTheFrames(self) -> None:
        """
        A packet that is stored or kept is acknowledged, a piece that is no packet is refused.
        """
        good, unknown = packet(), packet(device=77)
        events = [PIECE, good, PIECE, unknown, good]
        intake = self.source("H").decode(HOST, events)
        self.assertEqual(intake.verdicts, b"\x15\x06\x15\x06\x06")
        self.assertEqual(list(intake.rejected), [Rejected(PIECE.data, PIECE.why)] * 2)
        self.assertEqual(len(intake.readings), 2)
        self.assertEqual(len(intake.quarantined), 1)
        self.assertEqual(intake.received, 5)

    def test_aTruncatedDeliveryKeepsItsWholeMeasurements(self) -> None:
        """
        Of a delivery that is cut short the whole measurements are stored, the newest of them at
        the arrival, and the rest is rejected.
        """
        events = collect(esp8266.PacketParser(), [EXAMPLE[:-1]])
        intake = self.stock().decode(HOST, events)
        named = [(reading.name, reading.value) for reading in intake.readings]
        self.assertEqual(named, list(OLDER))
        self.assertEqual({reading.time for reading in intake.readings}, {NOW})
        self.assertEqual(([item.data for item in intake.rejected]), [EXAMPLE[15:-1]])
        self.assertEqual(intake.verdicts, b"\x06\x15")

    def test_nothingComesOfNothing(self) -> None:
        """
        Without events there is nothing to store and nothing to say.
        """
        self.assertEqual(self.source("H").decode(HOST, []), Intake([], b"", [], []))

    def test_noPacketIsOdd(self) -> None:
        """
        Packets have nothing about them that is stored although it is odd.
        """
        source = self.source("H")
        source.decode(HOST, [packet(), PIECE, packet(device=77)])
        self.assertEqual(source.oddities, 0)


class CountingDevices(dict[str, DeviceSettings]):
    """
    Descriptions that count how often they are asked for.
    """

    asked = 0

    def get(self, address: str, default: object = None) -> None:  # type: ignore[override]
        """
        Find nothing.
        """
        self.asked += 1


class FrameSourceTests(SynchronousTestCase):
    """
    What becomes of the frames of PoE Arduinos.
    """

    LISTENER = ListenerSettings("poe", "poe", "tcp:0")

    def setUp(self) -> None:
        """
        Start the clock.
        """
        self.clock = HandClock()
        self.clock.advance(START)

    def source(self, *values: ValueSettings, name: str = "") -> Source:
        """
        What decodes frames, with C{poe/192.168.1.7} described if it has values or a name.
        """
        devices = (DeviceSettings(f"poe/{HOST}", name, values=values),) if values or name else ()
        settings = Settings(listeners=(self.LISTENER,), devices=devices)
        return Devices(settings).source(self.LISTENER, Arrivals(self.clock.seconds))

    def test_theExampleIsAReading(self) -> None:
        """
        The example of the specification is the reading fire.255 of the host that sent it.
        """
        events = collect(poe.FrameParser(), [bytes.fromhex("01ff0001")])
        intake = self.source().decode(HOST, events)
        reading = Reading("poe/192.168.1.7", "fire.255", 1, NOW, Clock.ARRIVAL)
        self.assertEqual(intake, Intake([reading], b"\x06"))
        self.assertIs(type(intake.readings[0].value), int)

    def test_everyTypeAndIdHasItsName(self) -> None:
        """
        A reading is called by the name of its type and the id of its sensor.
        """
        frames = [(1, id, kind, 42) for kind in range(6) for id in (0, 18, 255)]
        intake = self.source().decode(HOST, frames)
        kinds = ("fire", "smoke", "motion", "humidity", "temperature", "water")
        names = [f"{kind}.{id}" for kind in kinds for id in (0, 18, 255)]
        self.assertEqual([reading.name for reading in intake.readings], names)

    def test_eachHostIsADevice(self) -> None:
        """
        Readings belong to the host that the connection comes from, IPv6 hosts included.
        """
        source = self.source()
        for host in ("10.0.0.1", "10.0.0.2", "fe80::1", "10.0.0.1"):
            [reading] = source.decode(host, [(1, 2, 3, 4)]).readings
            self.assertEqual(reading.device, f"poe/{host}")

    def test_stampsIncreaseWithinAChunk(self) -> None:
        """
        The frames of one chunk are stamped in their order, one microsecond apart.
        """
        intake = self.source().decode(HOST, [(1, 18, 4, 70)] * 5)
        times = [reading.time for reading in intake.readings]
        self.assertEqual(times, [NOW, NOW + 1, NOW + 2, NOW + 3, NOW + 4])

    def test_stampsIncreaseBetweenChunks(self) -> None:
        """
        No two readings share a time, whatever host and listener they came by, and whatever was
        odd about the frames between them.
        """
        arrivals = Arrivals(self.clock.seconds)
        devices = Devices(Settings(listeners=(self.LISTENER,)))
        sources = [devices.source(self.LISTENER, arrivals) for _listener in range(2)]
        chunks: list[list[object]] = [
            [(1, 18, 4, 70)] * 3,
            [(1, 18, 4, 70), (9, 18, 4, 70), (1, 18, 4, 70)],
            [(1, 18, 4, 70), (1, 18, 99, 70), (1, 18, 4, 70)],
            [PIECE, (1, 18, 4, 70)],
            [(1, 18, 4, 70)],
        ]
        times = [
            reading.time
            for chunk in chunks
            for source in sources
            for host in ("10.0.0.1", "10.0.0.2")
            for reading in source.decode(host, chunk).readings
        ]
        self.assertEqual(times, sorted(set(times)))
        self.assertEqual(len(times), (3 + 3 + 2 + 1 + 1) * 4)

    def test_initializationIsStoredAsWell(self) -> None:
        """
        A frame that initializes a sensor is a reading like one that posts a value, and not odd.
        """
        source = self.source()
        intake = source.decode(HOST, [(0, 3, 1, 9), (1, 3, 1, 10)])
        self.assertEqual([reading.value for reading in intake.readings], [9, 10])
        self.assertEqual(source.oddities, 0)

    def test_anUnknownTypeIsRejectedAlone(self) -> None:
        """
        A frame of an unknown type is rejected and every frame around it counts.
        """
        frames = [(1, 1, 0, 1), (1, 2, 6, 0x55), (1, 3, 5, 3), (1, 4, 255, 4), (1, 5, 4, 5)]
        intake = self.source().decode(HOST, frames)
        named = [(reading.name, reading.value) for reading in intake.readings]
        self.assertEqual(named, [("fire.1", 1), ("water.3", 3), ("temperature.5", 5)])
        rejected = [
            Rejected(b"\x01\x02\x06\x55", "type 6 is unknown"),
            Rejected(b"\x01\x04\xff\x04", "type 255 is unknown"),
        ]
        self.assertEqual(list(intake.rejected), rejected)
        self.assertEqual((intake.verdicts, intake.received), (b"\x06\x15\x06\x15\x06", 5))

    def test_anUnknownOptIsStoredAndCounted(self) -> None:
        """
        A frame with an unknown opt is a reading like any other, and counted as odd.
        """
        source = self.source()
        frames = [(1, 1, 0, 1), (2, 2, 1, 2), (255, 3, 2, 3), (0, 4, 3, 4)]
        intake = source.decode(HOST, frames)
        names = [reading.name for reading in intake.readings]
        self.assertEqual(names, ["fire.1", "smoke.2", "motion.3", "humidity.4"])
        self.assertEqual([reading.value for reading in intake.readings], [1, 2, 3, 4])
        self.assertEqual((intake.verdicts, list(intake.rejected)), (b"\x06" * 4, []))
        self.assertEqual(source.oddities, 2)
        source.decode("10.0.0.1", [(2, 2, 1, 2)])
        self.assertEqual(source.oddities, 3)

    def test_anUnknownOptOfAnUnknownTypeIsNotStored(self) -> None:
        """
        A frame that is rejected is not counted as stored although odd.
        """
        source = self.source()
        intake = source.decode(HOST, [(2, 2, 6, 2)])
        self.assertEqual((intake.readings, len(intake.rejected)), ([], 1))
        self.assertEqual(source.oddities, 0)

    def test_verdictsAreInTheOrderOfTheFrames(self) -> None:
        """
        A frame that is stored is acknowledged, one that is rejected and a piece are refused.
        """
        events = [PIECE, (1, 1, 0, 1), (1, 1, 9, 1), (7, 1, 0, 1), PIECE]
        intake = self.source().decode(HOST, events)
        self.assertEqual(intake.verdicts, b"\x15\x06\x15\x06\x15")
        self.assertEqual(
            [item.data for item in intake.rejected], [PIECE.data, b"\x01\x01\x09\x01", PIECE.data]
        )
        self.assertEqual(intake.received, 5)

    def test_nothingComesOfNothing(self) -> None:
        """
        Without events there is nothing to store and nothing to say.
        """
        self.assertEqual(self.source().decode(HOST, []), Intake([], b""))

    def test_aDescribedDeviceHasItsName(self) -> None:
        """
        A host with a name is called by it, and its values keep the names that they have.
        """
        source = self.source(name="kitchen")
        [reading] = source.decode(HOST, [(1, 18, 4, 70)]).readings
        self.assertEqual((reading.device, reading.name), ("kitchen", "temperature.18"))
        [reading] = source.decode("192.168.1.8", [(1, 18, 4, 70)]).readings
        self.assertEqual(reading.device, "poe/192.168.1.8")

    def test_aFieldMayHaveAnotherName(self) -> None:
        """
        A described value has the name that its description gives it, and only that one has.
        """
        source = self.source(ValueSettings("oven", field="temperature.18"))
        frames = [(1, 18, 4, 70), (1, 19, 4, 71), (1, 18, 3, 72), (2, 18, 4, 73)]
        named = [(r.name, r.value) for r in source.decode(HOST, frames).readings]
        expected = [("oven", 70), ("temperature.19", 71), ("humidity.18", 72), ("oven", 73)]
        self.assertEqual(named, expected)
        [reading] = source.decode("192.168.1.8", [(1, 18, 4, 70)]).readings
        self.assertEqual(reading.name, "temperature.18")

    def test_aValueMayBeScaled(self) -> None:
        """
        A described value is scaled, by its own name or by the one that it was given, and the
        others stay as they are.
        """
        source = self.source(
            ValueSettings("oven", field="temperature.18", scale=0.1, offset=0.2),
            ValueSettings("smoke.1", scale=2),
        )
        frames = [(1, 18, 4, 5), (1, 1, 1, 100), (1, 2, 1, 100), (1, 1, 77, 1), (3, 18, 4, 5)]
        intake = source.decode(HOST, frames)
        named = [(reading.name, reading.value) for reading in intake.readings]
        self.assertEqual(named, [("oven", 0.7), ("smoke.1", 200), ("smoke.2", 100), ("oven", 0.7)])
        self.assertEqual(len(intake.rejected), 1)
        self.assertEqual(source.oddities, 1)
        self.assertEqual(source.decode(HOST, [(1, 18, 4, 5)]).readings[0].value, 0.7)

    def test_descriptionsOfManyHostsAreForgotten(self) -> None:
        """
        A peer with many addresses does not fill the memory: no more than ten thousand hosts are
        remembered, and each is still called by its own name.
        """
        devices = CountingDevices()
        source = FrameSource(self.LISTENER, devices, Arrivals(self.clock.seconds))
        frames = [(1, 18, 4, 70)]
        for _chunk in range(3):
            source.decode("10.0.0.1", frames)
        self.assertEqual(devices.asked, 1, "a host is looked up once")
        hosts = [f"2001:db8::{number:x}" for number in range(25_000)]
        for host in hosts:
            source.decode(host, frames)
        before = devices.asked
        for host in hosts:
            [reading] = source.decode(host, frames).readings
            self.assertEqual(reading.device, f"poe/{host}")
        self.assertGreaterEqual(devices.asked - before, len(hosts) - 10_000)

    @PROPERTY
    @given(strategies.binary(max_size=200), strategies.booleans())
    def test_anyBytesAreCountedWhole(self, stream: bytes, described: bool) -> None:
        """
        Whatever comes, every frame and every piece is a reading or is rejected, with one verdict.
        """
        values = [ValueSettings("oven", field="temperature.1", scale=0.1)] if described else []
        events = collect(poe.FrameParser(), [stream])
        source = self.source(*values)
        intake = source.decode(HOST, events)
        self.assertEqual(intake.received, len(events))
        known = [event for event in events if isinstance(event, tuple) and event[2] < 6]
        self.assertEqual(len(intake.readings), len(known))
        self.assertEqual(source.oddities, sum(event[0] > 1 for event in known))
        verdicts = [b"\x06" if event in known else b"\x15" for event in events]
        self.assertEqual(intake.verdicts, b"".join(verdicts))


class DevicesTests(SynchronousTestCase):
    """
    What is known of a series.
    """

    LISTENERS = (
        ListenerSettings("weather", "esp8266", "tcp:0"),
        ListenerSettings("poe", "poe", "tcp:0"),
    )

    def describe(
        self,
        device: str,
        name: str,
        devices: Sequence[DeviceSettings] = (),
        thresholds: Sequence[ThresholdSettings] = (),
    ) -> Description:
        """
        Describe a series, given some tables of the configuration.
        """
        settings = Settings(
            listeners=self.LISTENERS, devices=tuple(devices), thresholds=tuple(thresholds)
        )
        return Devices(settings).describe(device, name)

    def test_everyWireFormatCanBeDecoded(self) -> None:
        """
        Each wire format that a listener can speak has something that decodes it.
        """
        self.assertEqual(set(SOURCES), set(WIRES))

    def test_theStockDeviceHasItsUnits(self) -> None:
        """
        Without a configuration file the stock device's values have their units.
        """
        devices = Devices(DEFAULTS)
        units = [devices.describe("weather/1", value.name).unit for value in STOCK]
        self.assertEqual(units, ["lx", "%", "°C"])

    def test_aDescribedDeviceIsFoundByItsName(self) -> None:
        """
        A series of a device with a name has the address, the unit and the tags of its description.
        """
        values = (ValueSettings("light", "H", unit="lx"), ValueSettings("rain", "H"))
        device = DeviceSettings("weather/1", "balcony", {"floor": "3"}, values)
        described = self.describe("balcony", "light", [device])
        expected = Description("weather/1", "esp8266", "light", "lx", {"floor": "3"})
        self.assertEqual(described, expected)
        self.assertEqual(self.describe("balcony", "rain", [device]).unit, "")
        self.assertEqual(self.describe("balcony", "snow", [device]).tags, {"floor": "3"})

    def test_anUndescribedDeviceIsItsAddress(self) -> None:
        """
        A series of a device without a description has an address and a wire format, no more.
        """
        described = self.describe("weather/9", "light")
        self.assertEqual(described, Description("weather/9", "esp8266", "light"))

    def test_aDeviceOfNoListenerHasNoWire(self) -> None:
        """
        A series that came by a listener that is gone, or by none, has no wire format.
        """
        for device in ("radio/1", "balcony", "poetry/1"):
            described = self.describe(device, "fire.1")
            self.assertEqual(described, Description(device, "", "fire.1"))

    def test_aRenamedFieldIsRemembered(self) -> None:
        """
        A series with a name of its own remembers what the wire calls it.
        """
        values = (ValueSettings("oven", field="temperature.18"), ValueSettings("smoke.1"))
        device = DeviceSettings("poe/10.0.0.1", "kitchen", values=values)
        self.assertEqual(self.describe("kitchen", "oven", [device]).field, "temperature.18")
        self.assertEqual(self.describe("kitchen", "smoke.1", [device]).field, "smoke.1")
        self.assertEqual(self.describe("kitchen", "fire.1", [device]).field, "fire.1")

    def test_temperaturesOfArduinosAreFahrenheit(self) -> None:
        """
        A PoE Arduino's temperatures are in degrees Fahrenheit, renamed ones included; no other
        value has a unit, and no other wire format's temperature has.
        """
        values = (ValueSettings("oven", field="temperature.18"),)
        device = DeviceSettings("poe/10.0.0.1", "kitchen", values=values)
        self.assertEqual(self.describe("poe/10.0.0.2", "temperature.1").unit, "°F")
        self.assertEqual(self.describe("kitchen", "oven", [device]).unit, "°F")
        for name in ("fire.1", "smoke.1", "motion.1", "humidity.1", "water.1", "temperature"):
            self.assertEqual(self.describe("poe/10.0.0.2", name).unit, "", name)
        self.assertEqual(self.describe("weather/1", "temperature.1").unit, "")

    def test_aDescribedUnitGoesFirst(self) -> None:
        """
        A unit in the description counts instead of what is usual.
        """
        values = (ValueSettings("temperature.18", unit="°C"),)
        device = DeviceSettings("poe/10.0.0.1", values=values)
        self.assertEqual(self.describe("poe/10.0.0.1", "temperature.18", [device]).unit, "°C")
        self.assertEqual(self.describe("poe/10.0.0.1", "temperature.19", [device]).unit, "°F")

    def test_arduinosHaveTheirThresholds(self) -> None:
        """
        Fire is critical at 0, smoke a warning from 160 and critical from 200, motion critical at 1,
        humidity critical from 80, temperature critical above 82, and water never.
        """
        expected = {
            "fire.255": (("critical", "==", 0.0),),
            "smoke.1": (("critical", ">=", 200.0), ("warning", ">=", 160.0)),
            "motion.1": (("critical", "==", 1.0),),
            "humidity.1": (("critical", ">=", 80.0),),
            "temperature.1": (("critical", ">", 82.0),),
            "water.1": (),
        }
        for name, thresholds in expected.items():
            self.assertEqual(self.describe("poe/10.0.0.1", name).thresholds, thresholds, name)

    def test_aRenamedValueKeepsItsThresholds(self) -> None:
        """
        A value that was given another name has the thresholds of what it is.
        """
        values = (
            ValueSettings("alarm", field="fire.1"),
            ValueSettings("fire.drill", field="water.1"),
        )
        device = DeviceSettings("poe/10.0.0.1", "kitchen", values=values)
        alarm = self.describe("kitchen", "alarm", [device])
        self.assertEqual(alarm.thresholds, (("critical", "==", 0.0),))
        self.assertEqual(self.describe("kitchen", "fire.drill", [device]).thresholds, ())

    def test_otherDevicesHaveNoThresholds(self) -> None:
        """
        The thresholds of PoE Arduinos are not those of other devices.
        """
        for name in ("fire.1", "smoke.1", "temperature.1"):
            self.assertEqual(self.describe("weather/1", name).thresholds, ())

    def test_anyReadingMayHaveThresholds(self) -> None:
        """
        A threshold of the configuration holds for any device of any protocol that it names.
        """
        rule = ThresholdSettings("balc*", "humidity", warning=">= 70", critical=">= 80.5")
        device = DeviceSettings("weather/1", "balcony")
        found = self.describe("balcony", "humidity", [device], [rule])
        bounds = (("critical", ">=", 80.5), ("warning", ">=", 70.0))
        self.assertEqual(found.thresholds, bounds)
        self.assertEqual(self.describe("balcony", "light", [device], [rule]).thresholds, ())
        self.assertEqual(self.describe("garden", "humidity", [device], [rule]).thresholds, ())

    def test_ownThresholdsGoFirst(self) -> None:
        """
        A threshold of the configuration counts instead of a built-in one, whole, and leaves the
        others as they are.
        """
        rule = ThresholdSettings(name="smoke.1", warning="> 10")
        found = self.describe("poe/10.0.0.1", "smoke.1", thresholds=[rule])
        self.assertEqual(found.thresholds, (("warning", ">", 10.0),))
        found = self.describe("poe/10.0.0.1", "smoke.2", thresholds=[rule])
        self.assertEqual(len(found.thresholds), 2)

    def test_anEmptyThresholdIsNever(self) -> None:
        """
        A threshold without bounds takes the built-in ones away.
        """
        rule = ThresholdSettings("poe/10.0.0.1", "fire.*")
        found = self.describe("poe/10.0.0.1", "fire.1", thresholds=[rule])
        self.assertEqual(found.thresholds, ())
        found = self.describe("poe/10.0.0.2", "fire.1", thresholds=[rule])
        self.assertEqual(found.thresholds, (("critical", "==", 0.0),))

    def test_theFirstThresholdThatFitsCounts(self) -> None:
        """
        Of several thresholds that fit a series the first in the file counts.
        """
        rules = [
            ThresholdSettings("balcony", "light", warning="> 1"),
            ThresholdSettings("balcony", "l?ght", warning="> 2"),
            ThresholdSettings(warning="> 3"),
        ]
        for device, name, number in (
            ("balcony", "light", 1.0),
            ("balcony", "lOght", 2.0),
            ("balcony", "Light", 3.0),
            ("garden", "light", 3.0),
        ):
            found = self.describe(device, name, thresholds=rules)
            self.assertEqual(found.thresholds, (("warning", ">", number),), (device, name))

    def test_anOwnThresholdGoesByTheNewName(self) -> None:
        """
        A threshold of the configuration names a value as its readings do, not as the wire does.
        """
        values = (ValueSettings("oven", field="temperature.18"),)
        device = DeviceSettings("poe/10.0.0.1", "kitchen", values=values)
        rule = ThresholdSettings("kitchen", "oven", critical="> 500")
        found = self.describe("kitchen", "oven", [device], [rule])
        self.assertEqual(found.thresholds, (("critical", ">", 500.0),))

"""
Tests for L{sensord.sources.packets}.
"""

from collections.abc import Sequence
from math import inf, nan
from struct import pack

from hypothesis import given, strategies

from sensord.config import DEFAULTS, Settings
from sensord.devices import Devices
from sensord.reading import Arrivals, Clock, Intake, Quarantined, Reading, Rejected, Value
from sensord.settings import DeviceSettings, ValueSettings
from sensord.sources import Source
from sensord.wire import esp8266
from sensord.wires import PacketSettings
from tests.sources.support import HOST, NOW, PIECE, SECOND, SourceTestCase
from tests.support import PROPERTY, collect

#: Two measurements of the stock device, and its values of them.
EXAMPLE = bytes.fromhex("0c00 100e 7800 06 01 03  7800 006e 0068  7900 046e 0468")
OLDER = (("light", 120), ("humidity", 47.7109375), ("temperature", 24.53625))
NEWER = (("light", 121), ("humidity", 47.71856689453125), ("temperature", 24.54697509765625))

#: How long the stock device sleeps, and the time between its measurements as it declares it.
WAKE, INTERVAL = 3600, 120


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


class PacketSourceTests(SourceTestCase):
    """
    What becomes of the deliveries of battery devices.
    """

    def source(
        self,
        *types: str,
        backdate: str = "corrected",
        devices: Sequence[DeviceSettings] = (),
    ) -> Source:
        """
        What decodes C{weather/1}, which is C{balcony} and has values C{a}, C{b}, ... of some types.
        """
        listener = PacketSettings("weather", "esp8266", "tcp:0", backdate=backdate)
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
        self.assertEqual((intake.readings, intake.answer), ([], b"\x06"))

    def test_devicesOfOtherListenersAreNotMistaken(self) -> None:
        """
        A device of a listener whose name only begins alike has no description here.
        """
        value = (ValueSettings("a", "H"),)
        here = PacketSettings("weather", "esp8266", "tcp:0")
        there = PacketSettings("weather2", "esp8266", "tcp:0")
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
            self.assertEqual((intake.answer, intake.received), (b"\x06", 6))

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
        self.assertEqual(intake.answer, b"\x15\x06\x15\x06\x06")
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
        self.assertEqual(intake.answer, b"\x06\x15")

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

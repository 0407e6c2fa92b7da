"""
Tests for L{sensord.sources.frames}.
"""

from hypothesis import given, strategies

from sensord.config import Settings
from sensord.devices import Devices
from sensord.presence import Presence
from sensord.reading import Arrivals, Clock, Intake, Reading, Rejected
from sensord.settings import DeviceSettings, ValueSettings
from sensord.sources import Source
from sensord.sources.frames import FrameSource
from sensord.wire import poe
from sensord.wires import FrameSettings
from tests.sources.support import HOST, NOW, PIECE, CountingDevices, SourceTestCase
from tests.support import PROPERTY, collect


class FrameSourceTests(SourceTestCase):
    """
    What becomes of the frames of PoE Arduinos.
    """

    LISTENER = FrameSettings("poe", "poe", "tcp:0")

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
        self.assertEqual(intake, Intake([reading], b"\x06", devices=("poe/192.168.1.7",)))
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
        self.assertEqual((intake.answer, intake.received), (b"\x06\x15\x06\x15\x06", 5))

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
        self.assertEqual((intake.answer, list(intake.rejected)), (b"\x06" * 4, []))
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
        self.assertEqual(intake.answer, b"\x15\x06\x15\x06\x15")
        self.assertEqual(
            [item.data for item in intake.rejected], [PIECE.data, b"\x01\x01\x09\x01", PIECE.data]
        )
        self.assertEqual(intake.received, 5)

    def test_nothingComesOfNothing(self) -> None:
        """
        Without events there is nothing to store and nothing to say.
        """
        self.assertEqual(self.source().decode(HOST, []).received, 0)

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
        source = FrameSource(self.LISTENER, devices, Arrivals(self.clock.seconds), Presence())
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
        self.assertEqual(intake.answer, b"".join(verdicts))

"""
Tests for L{sensord.sources.radio}.
"""

from math import inf, isfinite, nan
from struct import pack
from typing import Any

from hypothesis import given, strategies

from sensord.config import Settings
from sensord.devices import Devices
from sensord.presence import Presence
from sensord.reading import Arrivals, Clock, Intake, Quarantined, Reading, Rejected
from sensord.settings import DeviceSettings, ValueSettings
from sensord.sources.radio import RadioSource
from sensord.wire import packing, rfm2pi
from sensord.wire.rfm2pi import Frame, Note, RadioParser
from sensord.wires import RadioSettings
from tests.sources.support import NOW, PIECE, SourceTestCase, named
from tests.support import PROPERTY, collect

PORT = "/dev/ttyAMA0"

#: Whatever a radio can receive.
FRAMES = strategies.builds(
    Frame,
    strategies.integers(0, rfm2pi.MAX_NODE),
    strategies.binary(min_size=1, max_size=rfm2pi.MAX_DATA),
    strategies.none() | strategies.integers(-150, 0),
    strategies.none() | strategies.integers(0, 255),
)


class RadioSourceTests(SourceTestCase):
    """
    What becomes of the frames of radio nodes.
    """

    presence: Presence

    def source(
        self, *values: ValueSettings, name: str = "", whitening: bool = False
    ) -> RadioSource:
        """
        What decodes frames, with C{radio/10} described if anything is said of it.
        """
        node = DeviceSettings("radio/10", name, values=values, whitening=whitening)
        listener = RadioSettings("radio", "rfm2pi", PORT)
        known = (node,) if values or name or whitening else ()
        devices = Devices(Settings(listeners=(listener,), devices=known))
        self.presence = devices.presence
        source = devices.source(listener, Arrivals(self.clock.seconds))
        assert isinstance(source, RadioSource)
        return source

    def typed(self, *types: str, **options: Any) -> RadioSource:
        """
        What decodes frames, with values C{a}, C{b}, ... of some types.
        """
        values = (ValueSettings(name, type) for name, type in zip("abcdefgh", types, strict=False))
        return self.source(*values, **options)

    def parsed(self, *lines: bytes) -> list[Any]:
        """
        What a radio says.
        """
        return collect(RadioParser(), lines)

    def test_theExampleIsThreeReadings(self) -> None:
        """
        Without a description the bytes are signed 16-bit numbers in little-endian, called 1, 2 and
        so on; all have one time.
        """
        intake = self.source().decode(PORT, self.parsed(b" 10 12 0 44 1 255 255\r\n"))
        readings = [
            Reading("radio/10", name, value, NOW, Clock.ARRIVAL)
            for name, value in (("1", 12), ("2", 300), ("3", -1))
        ]
        self.assertEqual(intake, Intake(readings, b"", [], [], ("radio/10",)))

    def test_theStrengthOfTheSignalIsAReading(self) -> None:
        """
        How strong a frame was received is a reading of its own, of the same time; without it there
        is none.
        """
        source = self.source()
        intake = source.decode(PORT, self.parsed(b"OK 10 12 0 44 1 (-65) \r\n"))
        self.assertEqual(named(intake), [("1", 12), ("2", 300), ("rssi", -65)])
        self.assertEqual({(r.time, r.clock) for r in intake.readings}, {(NOW, Clock.ARRIVAL)})
        record = self.presence.record("radio/10")
        self.assertEqual((record.rssi, record.received, record.heard), (-65, 1, NOW))
        self.assertEqual(named(source.decode(PORT, [Frame(10, b"\x01\x00")])), [("1", 1)])
        self.assertEqual(record.rssi, -65)
        source.decode(PORT, [Frame(10, b"\x01\x00", 0)])
        self.assertEqual(record.rssi, 0)

    def test_aStrengthThatNobodyBelievesIsRejectedAlone(self) -> None:
        """
        A frame whose RSSI is nonsense is kept without it.
        """
        intake = self.source().decode(PORT, self.parsed(b"OK 10 12 0 (999) \r\n"))
        self.assertEqual(named(intake), [("1", 12)])
        self.assertEqual(len(intake.rejected), 1)

    def test_framesHaveTimesOfTheirOwn(self) -> None:
        """
        No two frames share a time, whatever stands between them.
        """
        first, second = Frame(10, b"\x01\x00\x02\x00"), Frame(10, b"\x03\x00")
        events: list[Any] = [first, PIECE, second, Frame(9, b"\x00\x00")]
        intake = self.source().decode(PORT, events)
        self.assertEqual([r.time - NOW for r in intake.readings], [0, 0, 1, 2])
        self.assertEqual(list(intake.rejected), [Rejected(PIECE.data, PIECE.why)])

    def test_anOddNumberOfBytesIsQuarantined(self) -> None:
        """
        Bytes that are no 16-bit numbers are kept whole, as newer firmware writes them, for when
        their node is described; the node was heard all the same.
        """
        frame = Frame(10, b"\x01\x02\x03", -65)
        intake = self.source().decode(PORT, [frame])
        why = "3 bytes, and radio/10 has no description"
        data = b"OK 10 1 2 3 (-65) \r\n"
        kept = [Quarantined(NOW, PORT, data, why, "rfm2pi")]
        self.assertEqual(intake, Intake([], b"", [], kept, ("radio/10",)))
        record = self.presence.record("radio/10")
        self.assertEqual((record.received, record.rssi), (1, -65))

    def test_whatIsKeptCanBeDecodedLater(self) -> None:
        """
        A frame from the quarantine is parsed and decoded as it would have been at once.
        """
        [kept] = self.source().decode(PORT, [Frame(10, b"\x01\x02\x03", -65, 210)]).quarantined
        intake = self.typed("B", "H", name="cellar").decode(PORT, self.parsed(kept.data))
        self.assertEqual(named(intake), [("a", 1), ("b", 0x0302), ("rssi", -65)])
        self.assertEqual(intake.readings[0].device, "cellar")

    def test_aSizeThatDiffersIsQuarantined(self) -> None:
        """
        A frame that has more or fewer bytes than its description is kept whole, and the reason says
        both sizes.
        """
        source = self.typed("h", "B", name="cellar")
        for size in (1, 2, 4):
            intake = source.decode(PORT, [Frame(10, bytes(size))])
            [kept] = intake.quarantined
            self.assertEqual(kept.why, f"{size} bytes, the description of cellar has 3")
            self.assertEqual((intake.readings, intake.received), ([], 1))
        self.assertEqual(named(source.decode(PORT, [Frame(10, bytes(3))])), [("a", 0), ("b", 0)])

    def test_typesMayBeMixed(self) -> None:
        """
        Values are packed as their types say, side by side, and one without a type is a signed
        16-bit number.
        """
        source = self.typed("B", "", "f", "?", "H")
        data = pack("<BhfBH", 255, -300, 0.1, 1, 65535)
        intake = source.decode(PORT, [Frame(10, data)])
        values = [reading.value for reading in intake.readings]
        self.assertEqual(values, [255, -300, 0.10000000149011612, True, 65535])
        kinds = [type(value) for value in values]
        self.assertEqual(kinds, [int, int, float, bool, int])

    def test_aNumberTooLargeForDatabasesIsAFloat(self) -> None:
        """
        A u64 that no signed 64-bit integer holds becomes a float.
        """
        intake = self.typed("Q").decode(PORT, [Frame(10, b"\xff" * 8)])
        self.assertEqual(named(intake), [("a", 2.0**64)])

    def test_aNameIsEnough(self) -> None:
        """
        A node that is described without values has its name, and its values are numbered.
        """
        intake = self.source(name="cellar").decode(PORT, [Frame(10, bytes(4)), Frame(11, bytes(2))])
        found = [(reading.device, reading.name) for reading in intake.readings]
        self.assertEqual(found, [("cellar", "1"), ("cellar", "2"), ("radio/11", "1")])

    def test_valuesAreScaled(self) -> None:
        """
        A value is scaled and shifted as its description says, without binary dust.
        """
        source = self.source(
            ValueSettings("tenths", scale=0.1),
            ValueSettings("kelvin", "H", scale=0.01, offset=-273.15),
        )
        found = named(source.decode(PORT, [Frame(10, pack("<hH", 7, 29315))]))
        self.assertEqual(found, [("tenths", 0.7), ("kelvin", 20.0)])

    def test_whiteningIsUndoneFirst(self) -> None:
        """
        The bytes of a node that whitens them are turned back, with values described or not; they
        are kept as they came.
        """
        data = packing.whiten(pack("<hh", 7, -1))
        plain = self.source(whitening=True)
        self.assertEqual(named(plain.decode(PORT, [Frame(10, data)])), [("1", 7), ("2", -1)])
        source = self.typed("h", "B", "b", whitening=True)
        self.assertEqual(
            named(source.decode(PORT, [Frame(10, data)])), [("a", 7), ("b", 255), ("c", -1)]
        )
        [kept] = source.decode(PORT, [Frame(10, data[:3])]).quarantined
        self.assertEqual(self.parsed(kept.data), [Frame(10, data[:3])])
        self.assertEqual(named(plain.decode(PORT, [Frame(11, data[:2])])), [("1", 7 ^ 0x5555)])

    def test_aValueThatIsNotFiniteIsRejectedAlone(self) -> None:
        """
        A NaN or an infinity is rejected, also when it is to be scaled or becomes one by it, and
        the values beside it count.
        """
        values = (ValueSettings("a", "f"), ValueSettings("b", "d", scale=1e30), ValueSettings("c"))
        source = self.source(*values, name="cellar")
        for a, b, why in (
            (nan, 1.0, "a of cellar is nan"),
            (-inf, 1.0, "a of cellar is -inf"),
            (1.0, nan, "b of cellar is nan"),
            (1.0, 1e300, "b of cellar is 1e+300"),
        ):
            intake = source.decode(PORT, [Frame(10, pack("<fdh", a, b, 7), -60)])
            self.assertEqual(list(intake.rejected), [Rejected(b"", why)])
            self.assertEqual(len(intake.readings), 3)
            self.assertEqual(named(intake)[1:], [("c", 7), ("rssi", -60)])

    def test_lostMessagesAreCounted(self) -> None:
        """
        If the first value is called msg, in any case, it numbers the messages: gaps are counted as
        missed and a step back is a restart. It is counted as it came, and is a reading as well.
        """
        for name in ("msg", "MSG", "Msg"):
            source = self.source(ValueSettings(name, "B", scale=0.1), ValueSettings("power"))
            for number in (5, 6, 9, 9, 250, 3, 5):
                intake = source.decode(PORT, [Frame(10, pack("<Bh", number, 100))])
            self.assertEqual(named(intake), [(name, 0.5), ("power", 100)])
            record = self.presence.record("radio/10")
            self.assertEqual((record.missed, record.restarts, record.counter), (243, 1, 5))
            self.assertEqual(record.received, 7)

    def test_onlyTheFirstValueCounts(self) -> None:
        """
        A value called msg that is not the first, or that is no whole number, counts nothing.
        """
        for values, data in (
            ((ValueSettings("power"), ValueSettings("msg")), pack("<hh", 1, 2)),
            ((ValueSettings("msg", "f"),), pack("<f", 2.5)),
            ((ValueSettings("msg", "f"),), pack("<f", nan)),
            ((ValueSettings("message"),), pack("<h", 2)),
        ):
            self.source(*values).decode(PORT, [Frame(10, data)])
            self.assertIsNone(self.presence.record("radio/10").counter)

    def test_noValueIsLostToTheSignal(self) -> None:
        """
        A node may send a value called rssi; the strength of its own signal gives way.
        """
        source = self.source(ValueSettings("rssi"))
        intake = source.decode(PORT, [Frame(10, b"\x07\x00", -65)])
        self.assertEqual(named(intake), [("rssi", 7), ("rssi_", -65)])

    def test_whatSaysNothingOfASensorIsOnlyCounted(self) -> None:
        """
        Settings, echoes and information are neither readings nor rejected; all but the settings are
        counted.
        """
        source = self.source()
        lines = b" i15 g210 @ 433 MHz q1\r\n-> ack\r\n|info\r\nhello\r\n 10 1 0\r\n ? 1 2 3\r\n"
        intake = source.decode(PORT, self.parsed(lines))
        self.assertEqual((source.notes, source.oddities), (3, 0))
        self.assertEqual(named(intake), [("1", 1)])
        self.assertEqual([item.why for item in intake.rejected], ["bad CRC"])
        self.assertEqual(source.decode(PORT, [Note("hello")]), Intake([], b"", [], []))

    def test_whoCanBeReached(self) -> None:
        """
        The addresses of the nodes of a chunk come with it, and for the same node it is the same
        tuple each time.
        """
        source = self.source(name="cellar")
        devices = source.decode(PORT, [Frame(10, bytes(2))]).devices
        self.assertEqual(devices, ("radio/10",))
        self.assertIs(source.decode(PORT, [PIECE, Frame(10, bytes(3))]).devices, devices)
        both = source.decode(PORT, [Frame(9, bytes(2)), Frame(10, bytes(2))]).devices
        self.assertEqual(both, ("radio/9", "radio/10"))

    @PROPERTY
    @given(FRAMES)
    def test_everyFrameCanBeKept(self, frame: Frame) -> None:
        """
        Whatever a radio receives is the same after the quarantine.
        """
        self.assertEqual(self.parsed(rfm2pi.encode(frame)), [frame])

    @PROPERTY
    @given(
        strategies.lists(FRAMES, max_size=5),
        strategies.text(packing.CODES, max_size=5),
        strategies.booleans(),
    )
    def test_everythingIsCounted(self, frames: list[Frame], types: str, whitening: bool) -> None:
        """
        Whatever comes, each frame is kept whole or all its values are finite readings or rejected.
        """
        source = self.typed(*types, whitening=whitening)
        size = packing.layout(types).size
        for frame in frames:
            described = bool(types) and frame.node == 10
            fits = len(frame.data) == size if described else len(frame.data) % 2 == 0
            values = len(types) if described else len(frame.data) // 2
            intake = source.decode(PORT, [frame])
            expected = values + (frame.rssi is not None) if fits else 1
            self.assertEqual(intake.received, expected)
            self.assertEqual(len(intake.quarantined), not fits)
            for reading in intake.readings:
                assert isinstance(reading.value, int | float)
                self.assertTrue(isfinite(reading.value))

    @PROPERTY
    @given(strategies.binary(max_size=200))
    def test_anyBytesCanBeDecoded(self, stream: bytes) -> None:
        """
        Whatever noise comes, decoding never fails.
        """
        events = self.parsed(stream, b"\n 10 1 0\r\n")
        intake = self.source().decode(PORT, events)
        self.assertEqual(named(intake)[-1:], [("1", 1)])

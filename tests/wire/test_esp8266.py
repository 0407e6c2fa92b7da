"""
Tests for L{sensord.wire.esp8266}.
"""

from struct import Struct as Layout
from struct import error

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from sensord.wire import SAMPLE, Skipped
from sensord.wire.esp8266 import MAX_LENGTH, MAX_SURPLUS, Packet, PacketParser, encode
from tests.support import PROPERTY, SIZES, assertBounded, assertParses, collect, slices

EXAMPLE = bytes.fromhex("0c00 100e 7800 06 01 03  7800 006e 0068  7900 046e 0468")
PACKET = Packet(wake=3600, interval=120, size=6, device=1, sensors=3, data=EXAMPLE[9:])
FIRST = Packet(wake=3600, interval=120, size=6, device=1, sensors=3, data=EXAMPLE[9:15])

_HEADER = Layout("<HHHBBB")


def header(length: int, interval: int = 120, size: int = 6, wake: int = 3600) -> bytes:
    """
    A header of device 1 with three sensors.
    """
    return _HEADER.pack(length, wake, interval, size, 1, 3)


class PacketParserTests(SynchronousTestCase):
    """
    What comes out of a connection of a battery device.
    """

    def assertRefused(self, head: bytes, why: str) -> None:
        """
        Check that a packet with some header is rejected whole, once, whatever follows.
        """
        for rest in (b"", b"\x01", bytes(12), bytes(MAX_SURPLUS + 1)):
            assertParses(self, PacketParser, head + rest, [Skipped(head, why)])

    def test_theExampleIsAPacketOfTwoMeasurements(self) -> None:
        """
        The example of the specification is one packet with two measurements of device 1.
        """
        assertParses(self, PacketParser, EXAMPLE, [PACKET])
        self.assertEqual(PACKET.count, 2)

    def test_aPacketComesWithItsLastByte(self) -> None:
        """
        A packet is out as soon as it is complete, before the device disconnects.
        """
        parser = PacketParser()
        self.assertEqual(list(parser.feed(EXAMPLE[:-1])), [])
        self.assertEqual(list(parser.feed(EXAMPLE[-1:])), [PACKET])

    def test_aDeliveryCutShortKeepsItsWholeMeasurements(self) -> None:
        """
        When the connection ends within a packet, whole measurements are kept and the rest is
        one skipped piece, wherever the end is.
        """
        for end in range(1, len(EXAMPLE)):
            came = end - _HEADER.size
            whole = 6 if came >= 6 else 0
            events: list[Packet | Skipped] = [FIRST] if whole else []
            if came < 0:
                events.append(Skipped(EXAMPLE[:end], f"{end} bytes are no header"))
            else:
                kept = f"{whole // 6} whole measurements of 6 are kept"
                why = f"cut short, {came} of 12 bytes: {kept}"
                events.append(Skipped(EXAMPLE[9 + whole : end], why))
            assertParses(self, PacketParser, EXAMPLE[:end], events)

    def test_anEmptyConnectionYieldsNothing(self) -> None:
        """
        A peer that connects and leaves without a byte has sent nothing, not even a fault.
        """
        assertParses(self, PacketParser, b"", [])

    def test_bytesAfterThePacketAreSkipped(self) -> None:
        """
        What follows a full packet is skipped and the packet counts.
        """
        why = "2 bytes after the end of the packet"
        assertParses(self, PacketParser, EXAMPLE + b"\x01\x02", [PACKET, Skipped(b"\x01\x02", why)])

    def test_aSecondPacketIsNotTaken(self) -> None:
        """
        A connection carries one packet: a second one is bytes after the end of the first.
        """
        why = "21 bytes after the end of the packet"
        assertParses(self, PacketParser, EXAMPLE * 2, [PACKET, Skipped(EXAMPLE, why)])

    def test_aRemainderSmallerThanAMeasurementIsSkipped(self) -> None:
        """
        When the declared length is no multiple of a measurement, the whole measurements count.
        """
        stream = header(13) + EXAMPLE[9:] + b"\x7a"
        rest = Skipped(b"\x7a", "1 bytes left over: 2 whole measurements of 6 are kept")
        assertParses(self, PacketParser, stream, [PACKET, rest])
        after = Skipped(b"\xff\xff", "2 bytes after the end of the packet")
        assertParses(self, PacketParser, stream + b"\xff\xff", [PACKET, rest, after])

    def test_onlyASampleOfWhatIsSkippedIsKept(self) -> None:
        """
        Of a long piece that is skipped only the beginning is kept for the log.
        """
        long = bytes(range(200))
        why = "cut short, 199 of 200 bytes: 0 whole measurements of 200 are kept"
        stream = header(200, size=200) + long[:-1]
        assertParses(self, PacketParser, stream, [Skipped(long[:SAMPLE], why)])
        why = "200 bytes after the end of the packet"
        assertParses(self, PacketParser, EXAMPLE + long, [PACKET, Skipped(long[:SAMPLE], why)])

    def test_zeroBytesPerMeasurementAreRefused(self) -> None:
        """
        A packet that declares measurements of no bytes is rejected whole.
        """
        self.assertRefused(header(12, size=0), "0 bytes per measurement")

    def test_zeroSecondsBetweenMeasurementsAreRefused(self) -> None:
        """
        A packet that declares no time between its measurements is rejected whole.
        """
        self.assertRefused(header(12, interval=0), "0 seconds between measurements")

    def test_aLengthAboveTheLimitIsRefused(self) -> None:
        """
        A packet that declares more than 512 bytes is rejected as soon as its header is there.
        """
        self.assertEqual(MAX_LENGTH, 512)
        self.assertRefused(header(513), "length 513 is above 512")
        self.assertRefused(header(65535), "length 65535 is above 512")

    def test_theLargestLengthIsTaken(self) -> None:
        """
        A packet of exactly 512 bytes is a packet.
        """
        data = bytes(range(256)) * 2
        packet = Packet(wake=3600, interval=120, size=8, device=1, sensors=3, data=data)
        assertParses(self, PacketParser, header(512, size=8) + data, [packet])

    def test_aLengthBelowOneMeasurementIsRefused(self) -> None:
        """
        A packet that declares less than one measurement, or nothing at all, is rejected whole.
        """
        self.assertRefused(header(5), "length 5 is less than a measurement of 6")
        self.assertRefused(header(0), "length 0 is less than a measurement of 6")

    def test_theFillerOfASilentBusIsRefused(self) -> None:
        """
        The aa aa aa ... that a device reads from a silent I2C bus and passes on is rejected whole,
        whatever its length.
        """
        self.assertRefused(b"\xaa" * 9, "length 43690 is above 512")
        for length in (9, 10, 21, 357, 600):
            skipped = Skipped(b"\xaa" * 9, "length 43690 is above 512")
            assertParses(self, PacketParser, b"\xaa" * length, [skipped])
        short = Skipped(b"\xaa" * 8, "8 bytes are no header")
        assertParses(self, PacketParser, b"\xaa" * 8, [short])

    def test_aPacketBehindGarbageIsNotMisread(self) -> None:
        """
        A packet that does not begin where the connection does is rejected whole: its numbers
        would stand in the wrong places.
        """
        for garbage in (b"\x00", b"\xff\xff", b"\xaa" * 9):
            stream = garbage + EXAMPLE
            [skipped] = collect(PacketParser(), [stream])
            assert isinstance(skipped, Skipped)
            self.assertEqual(skipped.data, stream[:9])
            assertParses(self, PacketParser, stream, [skipped])

    def test_aDeviceThatNeverSleepsIsTaken(self) -> None:
        """
        A packet that declares no time between deliveries is stored like any other.
        """
        [packet] = collect(PacketParser(), [header(12, wake=0) + EXAMPLE[9:]])
        assert isinstance(packet, Packet)
        self.assertEqual((packet.wake, packet.data), (0, PACKET.data))

    def test_theLinkStaysOpenUntilThePeerLeaves(self) -> None:
        """
        A full packet does not finish the link: the device closes first.
        """
        parser = PacketParser()
        parser.feed(EXAMPLE)
        self.assertFalse(parser.finished)
        parser.close()
        self.assertTrue(parser.finished)

    def test_endlessSurplusFinishesTheLink(self) -> None:
        """
        A peer that goes on sending after its packet is reported once, and then the link is over.
        """
        self.assertEqual(MAX_SURPLUS, 512)
        for size in (1, 7, 511, 512, 5000):
            parser = PacketParser()
            events = list(parser.feed(EXAMPLE))
            came = 0
            while came < MAX_SURPLUS:
                self.assertFalse(parser.finished, f"after {came} bytes in chunks of {size}")
                events += parser.feed(b"\x55" * size)
                came += size
            self.assertTrue(parser.finished, f"after {came} bytes in chunks of {size}")
            events += parser.feed(b"\x55" * 1000)
            events += parser.close()
            why = "512 or more bytes after the end of the packet"
            self.assertEqual(events, [PACKET, Skipped(b"\x55" * SAMPLE, why)])

    def test_aLittleSurplusIsReportedAtTheEnd(self) -> None:
        """
        One byte less than what finishes the link is counted exactly when the peer leaves.
        """
        for count, said in ((1, "1"), (511, "511"), (512, "512 or more"), (513, "512 or more")):
            skipped = Skipped(
                b"\x55" * min(count, SAMPLE), f"{said} bytes after the end of the packet"
            )
            assertParses(self, PacketParser, EXAMPLE + b"\x55" * count, [PACKET, skipped])

    def test_endlessBytesAfterARefusedHeaderFinishTheLink(self) -> None:
        """
        A peer that goes on sending after a header that was refused is given up, too.
        """
        for size in (1, 512, 5000):
            parser = PacketParser()
            events = list(parser.feed(header(513)))
            for _chunk in range(MAX_SURPLUS // size):
                self.assertFalse(parser.finished)
                events += parser.feed(bytes(size))
            events += parser.feed(bytes(size))
            self.assertTrue(parser.finished)
            self.assertEqual(events, [Skipped(header(513), "length 513 is above 512")])

    def test_surplusInTheSameSegmentFinishesTheLink(self) -> None:
        """
        A peer that sends everything at once is given up at once.
        """
        for opening in (EXAMPLE, header(513)):
            parser = PacketParser()
            parser.feed(opening + bytes(MAX_SURPLUS - 1))
            self.assertFalse(parser.finished)
            parser = PacketParser()
            parser.feed(opening + bytes(MAX_SURPLUS))
            self.assertTrue(parser.finished)

    def test_theEndIsReportedOnce(self) -> None:
        """
        What was skipped at the end is not skipped again.
        """
        for stream in (EXAMPLE[:5], EXAMPLE[:17], EXAMPLE + b"\x01"):
            parser = PacketParser()
            parser.feed(stream)
            parser.close()
            self.assertEqual(list(parser.close()), [], stream.hex())

    def test_anEndlessStreamTakesNoMemory(self) -> None:
        """
        Whatever a peer sends, no more than a header and one full packet of it are kept.
        """
        for opening in (b"", EXAMPLE, EXAMPLE[:4], header(513), header(512, size=200)):
            assertBounded(self, PacketParser, opening, _HEADER.size + MAX_LENGTH)

    @PROPERTY
    @given(
        strategies.one_of(
            strategies.binary(max_size=700),
            strategies.builds(
                lambda length, interval, size, data: header(length, interval, size) + data,
                strategies.integers(0, 530),
                strategies.integers(0, 3),
                strategies.integers(0, 255),
                strategies.binary(max_size=700),
            ),
        ),
        SIZES,
    )
    def test_anyBytesInAnyChunksAreTheSameEvents(self, stream: bytes, sizes: list[int]) -> None:
        """
        Any bytes, cut in any way, never raise and give the same events; what comes out as a
        packet is what stood behind the header.
        """
        events = collect(PacketParser(), slices(stream, sizes))
        self.assertEqual(events, collect(PacketParser(), [stream]))
        self.assertEqual(bool(events), bool(stream))
        for packet in events:
            if isinstance(packet, Packet):
                length = int.from_bytes(stream[:2], "little")
                came = stream[9 : 9 + length]
                self.assertEqual(packet.data, came[: len(came) // packet.size * packet.size])
                self.assertGreater(packet.count, 0)


class EncodeTests(SynchronousTestCase):
    """
    What a device sends.
    """

    def test_theExampleIsEncoded(self) -> None:
        """
        Two measurements of the stock device are sent as the bytes of the specification.
        """
        self.assertEqual(encode(PACKET), EXAMPLE)

    def test_aFieldBeyondItsPlaceIsRefused(self) -> None:
        """
        A field that the header cannot hold is an error, not another value.
        """
        self.assertRaises(error, encode, Packet(3600, 120, 6, 256, 3, bytes(6)))
        self.assertRaises(error, encode, Packet(65536, 120, 6, 1, 3, bytes(6)))

    @PROPERTY
    @given(strategies.data(), strategies.integers(1, 255))
    def test_whatIsEncodedIsParsed(self, data: strategies.DataObject, size: int) -> None:
        """
        Any packet that a device may send survives the way through bytes.
        """
        length = size * data.draw(strategies.integers(1, MAX_LENGTH // size))
        packet = Packet(
            wake=data.draw(strategies.integers(0, 65535)),
            interval=data.draw(strategies.integers(1, 65535)),
            size=size,
            device=data.draw(strategies.integers(0, 255)),
            sensors=data.draw(strategies.integers(0, 255)),
            data=data.draw(strategies.binary(min_size=length, max_size=length)),
        )
        self.assertEqual(collect(PacketParser(), [encode(packet)]), [packet])

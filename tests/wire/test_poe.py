"""
Tests for L{sensord.wire.poe}.
"""

from struct import error

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from sensord.wire import Skipped
from sensord.wire.poe import INITIALIZATION, POST, TYPES, Frame, FrameParser, encode
from tests.support import PROPERTY, SIZES, assertBounded, assertParses, collect, slices

EXAMPLE = bytes.fromhex("01ff0001")

#: What one Arduino sends every two seconds.
ROUND = [(POST, id, id % 6, 250 - id) for id in range(21)]

BYTES = strategies.integers(0, 255)


class FrameParserTests(SynchronousTestCase):
    """
    What comes out of a connection of a PoE Arduino.
    """

    def test_theExampleIsFireOneAtSensor255(self) -> None:
        """
        The example of the specification is a POST of FIRE 1 by sensor 255.
        """
        assertParses(self, FrameParser, EXAMPLE, [Frame(opt=1, id=255, type=0, data=1)])

    def test_anyNumberOfFramesComesOutInOrder(self) -> None:
        """
        The 21 frames of one round come out in their order, however the segments split them.
        """
        stream = b"".join(bytes(frame) for frame in ROUND)
        assertParses(self, FrameParser, stream, ROUND)

    def test_everyFieldKeepsItsPlace(self) -> None:
        """
        The four bytes of a frame are its opt, its sensor's id, its type and its data.
        """
        [frame] = FrameParser().feed(bytes([0, 18, 4, 77]))
        assert not isinstance(frame, Skipped)
        self.assertEqual(Frame(*frame)._asdict(), {"opt": 0, "id": 18, "type": 4, "data": 77})

    def test_unknownOptsAndTypesAreFramesToo(self) -> None:
        """
        A frame with an opt or a type that nobody knows is a frame, and so is the one behind it.
        """
        stream = bytes.fromhex("07010055 01020955 ffffffff 01030455")
        frames = [(7, 1, 0, 0x55), (1, 2, 9, 0x55), (255,) * 4, (1, 3, 4, 0x55)]
        assertParses(self, FrameParser, stream, frames)

    def test_anEmptyConnectionYieldsNothing(self) -> None:
        """
        A peer that connects and leaves without a byte has sent nothing, not even a fault.
        """
        assertParses(self, FrameParser, b"", [])

    def test_aPieceOfAFrameAtTheEndIsSkipped(self) -> None:
        """
        When the connection ends within a frame, the frames before it count and the piece is
        skipped, once.
        """
        for length in (1, 2, 3):
            piece = EXAMPLE[:length]
            skipped = Skipped(piece, f"{length} of 4 bytes at the end")
            assertParses(self, FrameParser, piece, [skipped])
            assertParses(self, FrameParser, EXAMPLE + piece, [(1, 255, 0, 1), skipped])

    def test_framesComeAsSoonAsTheyAreComplete(self) -> None:
        """
        A frame is out with its fourth byte and does not wait for more.
        """
        parser = FrameParser()
        self.assertEqual(list(parser.feed(EXAMPLE[:3])), [])
        self.assertEqual(list(parser.feed(EXAMPLE[3:] + EXAMPLE[:1])), [(1, 255, 0, 1)])
        self.assertEqual(list(parser.feed(EXAMPLE[1:])), [(1, 255, 0, 1)])

    def test_theEndIsReportedOnce(self) -> None:
        """
        A piece that was skipped at the end is not skipped again.
        """
        parser = FrameParser()
        parser.feed(b"\x01")
        parser.close()
        self.assertEqual(list(parser.close()), [])

    def test_aConnectionIsNeverFinished(self) -> None:
        """
        Frames may come for ever: the parser never asks for the link to be closed.
        """
        parser = FrameParser()
        parser.feed(EXAMPLE * 1000 + b"\x01")
        self.assertFalse(parser.finished)

    def test_anEndlessStreamTakesNoMemory(self) -> None:
        """
        Whatever a peer sends, no more than three bytes of it are kept.
        """
        for opening in (b"", b"\x01", b"\x01\x02", b"\x01\x02\x03"):
            assertBounded(self, FrameParser, opening, 3)

    @PROPERTY
    @given(strategies.binary(max_size=300), SIZES)
    def test_anyBytesInAnyChunksAreTheSameFrames(self, stream: bytes, sizes: list[int]) -> None:
        """
        Any bytes, cut in any way, never raise, and give every fourth byte a frame.
        """
        events = collect(FrameParser(), slices(stream, sizes))
        whole = len(stream) // 4
        frames = [tuple(stream[4 * n : 4 * n + 4]) for n in range(whole)]
        self.assertEqual(events[:whole], frames)
        rest = [event.data for event in events[whole:] if isinstance(event, Skipped)]
        self.assertEqual(rest, [stream[4 * whole :]] if len(stream) % 4 else [])
        self.assertEqual(len(events), whole + len(rest))


class EncodeTests(SynchronousTestCase):
    """
    What a device sends.
    """

    def test_theExampleIsEncoded(self) -> None:
        """
        FIRE 1 at sensor 255 is sent as the four bytes of the specification.
        """
        self.assertEqual(encode([Frame(opt=POST, id=255, type=0, data=1)]), EXAMPLE)

    def test_noFramesAreNoBytes(self) -> None:
        """
        Nothing to send is nothing sent.
        """
        self.assertEqual(encode([]), b"")

    def test_aFieldBeyondAByteIsRefused(self) -> None:
        """
        A field that no byte can hold is an error, not another value.
        """
        for frame in ((1, 256, 0, 1), (1, 0, 0, -1)):
            self.assertRaises(error, encode, [frame])

    def test_namesStandAtTheirNumbers(self) -> None:
        """
        The opts and the types have the numbers that the devices send.
        """
        self.assertEqual((INITIALIZATION, POST), (0, 1))
        names = ("fire", "smoke", "motion", "humidity", "temperature", "water")
        self.assertEqual(TYPES, names)

    @PROPERTY
    @given(strategies.lists(strategies.builds(Frame, BYTES, BYTES, BYTES, BYTES)))
    def test_whatIsEncodedIsParsed(self, frames: list[Frame]) -> None:
        """
        Any frames survive the way through bytes.
        """
        self.assertEqual(collect(FrameParser(), [encode(frames)]), frames)

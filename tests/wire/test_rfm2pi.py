"""
Tests for L{sensord.wire.rfm2pi}.
"""

from typing import Any

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from sensord.wire import SAMPLE, Skipped
from sensord.wire.rfm2pi import (
    ASK,
    BANDS,
    MAX_COMMAND,
    MAX_DATA,
    MAX_LINE,
    Frame,
    Note,
    RadioParser,
    Status,
    banner,
    clock,
    encode,
    repeat,
    setting,
    transmit,
)
from tests.support import PROPERTY, SIZES, assertBounded, assertParses, collect, slices

#: The line of each form, and what it says.
EXAMPLES: dict[bytes, Frame | Status | Note | Skipped] = {
    b" 10 12 0 44 1 255 255\r\n": Frame(10, bytes([12, 0, 44, 1, 255, 255])),
    b"OK 10 12 0 44 1 (-65) \r\n": Frame(10, bytes([12, 0, 44, 1]), -65),
    b"OK 10 12 0 44 1\r\n": Frame(10, bytes([12, 0, 44, 1])),
    b"OK G210 10 12 0 (-71) \r\n": Frame(10, bytes([12, 0]), -71, 210),
    b"OK G210 10 12 0\r\n": Frame(10, bytes([12, 0]), None, 210),
    b"G 210 10 12 0\r\n": Frame(10, bytes([12, 0]), None, 210),
    b" G210 10 12 0\r\n": Frame(10, bytes([12, 0]), None, 210),
    b"> 210g\r\n": Note("> 210g"),
    b"-> ack\r\n": Note("-> ack"),
    b" -> ack\r\n": Note("-> ack"),
    b" -> 5 b\r\n": Note("-> 5 b"),
    b" ? 33 251 14 8\r\n": Skipped(b"? 33 251 14 8", "bad CRC"),
    b" ?G0 33 251 14 (-82)\r\n": Skipped(b"?G0 33 251 14 (-82)", "bad CRC"),
    b"[RFM12demo.14] A i1 g210 @ 433 MHz \r\n": Status(
        "[RFM12demo.14] A i1 g210 @ 433 MHz", 1, 433, 210
    ),
    b" i15 g210 @ 433 MHz q1\r\n": Status("i15 g210 @ 433 MHz q1", 15, 433, 210, True),
    b"[RFM12demo.14]\r\n": Note("[RFM12demo.14]"),
    b"|temp 21.5\r\n": Note("|temp 21.5"),
    b"\x01hello\r\n": Note("hello"),
    b"Available commands:\r\n": Note("Available commands:"),
}

FRAMES = strategies.builds(
    Frame,
    strategies.integers(0, 31),
    strategies.binary(min_size=1, max_size=MAX_DATA),
    strategies.none() | strategies.integers(-150, 0),
    strategies.none() | strategies.integers(0, 255),
)

GOOD = b"OK 10 12 0 (-65) \r\n"
FRAME = Frame(10, bytes([12, 0]), -65)

#: Lines, nearly lines and noise.
STREAMS = strategies.lists(
    strategies.one_of(
        strategies.sampled_from(list(EXAMPLES)),
        strategies.binary(max_size=40),
        strategies.text(alphabet="OKG?()-> |0123456789\n", max_size=30).map(str.encode),
        strategies.integers(MAX_LINE - 2, MAX_LINE + 2).map(lambda count: b"7" * count + b"\n"),
    ),
    max_size=12,
).map(b"".join)


class ExampleTests(SynchronousTestCase):
    """
    The forms of lines that a radio writes.
    """

    def test_everyFormIsUnderstood(self) -> None:
        """
        Each form of line means what the specification says, however the port cuts it.
        """
        for line, event in EXAMPLES.items():
            assertParses(self, RadioParser, line, [event])

    def test_theHexExampleIsAFrame(self) -> None:
        """
        The example of the specification is two bytes of node 10, received with -65 dBm.
        """
        stream = bytes.fromhex("4f4b2031302031322030 20282d363529 20 0d0a")
        assertParses(self, RadioParser, stream, [FRAME])
        self.assertEqual(encode(FRAME), stream)

    def test_aLineMayEndWithLfAlone(self) -> None:
        """
        Each form of line is understood without its CR, too.
        """
        for line, event in EXAMPLES.items():
            self.assertEqual(collect(RadioParser(), [line.replace(b"\r", b"")]), [event])

    def test_allFormsComeOutInTheirOrder(self) -> None:
        """
        Lines of all forms may follow each other.
        """
        assertParses(self, RadioParser, b"".join(EXAMPLES), list(EXAMPLES.values()))

    def test_emptyLinesSayNothing(self) -> None:
        """
        Empty lines, with blanks or without, are nothing at all.
        """
        stream = b"\r\n" + GOOD + b"\n \r\n\t\n" + GOOD + b"\r\n  "
        assertParses(self, RadioParser, stream, [FRAME, FRAME])

    def test_framesComeAsSoonAsTheyAreComplete(self) -> None:
        """
        A frame is out with its line end and does not wait for more.
        """
        parser = RadioParser()
        self.assertEqual(list(parser.feed(GOOD[:-1])), [])
        self.assertEqual(list(parser.feed(GOOD[-1:] + GOOD[:4])), [FRAME])
        self.assertFalse(parser.finished)


class FrameTests(SynchronousTestCase):
    """
    What is a frame and what only looks like one.
    """

    def parse(self, line: bytes) -> list[object]:
        """
        What a line says. The line before it and the one behind it must not suffer.
        """
        before, *events, after = collect(RadioParser(), [GOOD + line + b"\r\n" + GOOD])
        self.assertEqual([before, after], [FRAME, FRAME], line)
        return events

    def assertSkipped(self, line: bytes, why: str) -> None:
        """
        Check that a line is no frame, and costs nothing but itself.
        """
        self.assertEqual(self.parse(line), [Skipped(line.strip()[:SAMPLE], why)])

    def test_flagsAboveTheNodeAreDropped(self) -> None:
        """
        A node id above 31 keeps its low five bits: the others are flags of the packet.
        """
        for header, node in ((0, 0), (31, 31), (32, 0), (42, 10), (74, 10), (138, 10), (255, 31)):
            self.assertEqual(self.parse(b"OK %d 7" % header), [Frame(node, b"\x07")])

    def test_everyByteIsKept(self) -> None:
        """
        Data bytes from 0 to 255 come out as they are.
        """
        for start in range(0, 256, MAX_DATA):
            data = bytes(range(start, min(256, start + MAX_DATA)))
            words = " ".join(map(str, data)).encode()
            self.assertEqual(self.parse(b" 3 " + words), [Frame(3, data)])

    def test_aByteAbove255IsNoFrame(self) -> None:
        """
        A number that is no byte costs its line.
        """
        for line in (b"OK 10 256", b" 10 12 999 1", b"OK 300 12 (-65)", b"OK G256 10 12"):
            self.assertSkipped(line, "no frame: a number above 255")
        self.assertSkipped(b" 10 " + b"9" * 400, "no frame: a number above 255")

    def test_wordsAreNoFrame(self) -> None:
        """
        A line that begins like a frame and has something else than numbers costs itself.
        """
        for line in (
            b"OK",
            b"OK (-65)",
            b"OK10 12 0 (-65)",
            b"OK 10 12 x 1",
            b"OK 10 12 -1",
            b"OK 10 12 +1",
            b"OK 10 1_2 1",
            b"OK 10 12.5",
            b"OK 10 12 0(-65)",
            b"OK G210",
            b"G 210",
            b"OK G210x 10 12",
            b"12 0 44 OK 10 12 0",
            "OK 10 \u0661\u0662 1".encode(),
            "OK 10 1\u00b2".encode(),
            b"10 nodes were heard",
        ):
            self.assertSkipped(line, "no frame: not numbers")

    def test_aNodeWithoutDataIsNoFrame(self) -> None:
        """
        A line with a node and nothing behind it costs itself.
        """
        for line in (b"OK 10", b"10", b"OK 10 (-65)", b"G210 10", b"OK G210 10 (-65)"):
            self.assertSkipped(line, "no frame: no data")

    def test_moreThanAPacketCanCarryIsNoFrame(self) -> None:
        """
        Two lines that ran into each other are not taken for one long packet.
        """
        self.assertEqual(self.parse(b"OK 1" + b" 7" * 66), [Frame(1, b"\x07" * 66)])
        self.assertSkipped(b"OK 1" + b" 7" * 67, "no frame: more than 66 bytes")

    def test_theTailOfALineIsNoFrame(self) -> None:
        """
        When a port is opened in the middle of a line, its tail does not become a reading of
        another node.
        """
        self.assertSkipped(b"44 1 (-65)", "no frame: its beginning is missing")

    def test_anUnbelievableRssiCostsOnlyItself(self) -> None:
        """
        An RSSI of 999 is dropped and the frame that it came with is kept.
        """
        why = "no RSSI: the frame is kept without it"
        for signal in (b"(999)", b"(1)", b"(-151)", b"(-65", b"(", b"()", b"(x)", b"(-6 5)"):
            events = [Frame(10, b"\x0c\x00"), Skipped(signal, why)]
            self.assertEqual(self.parse(b"OK 10 12 0 " + signal + b" "), events)
            assertParses(self, RadioParser, b"OK 10 12 0 " + signal + b" \r\n", events)
        [_frame, skipped] = self.parse(b"OK 10 12 0 (" + b"9" * 400 + b")")
        self.assertEqual(skipped, Skipped(b"(" + b"9" * (SAMPLE - 1), why))

    def test_theLimitsOfTheRssiAreBelieved(self) -> None:
        """
        An RSSI from -150 to 0 dBm is kept.
        """
        for rssi in (-150, -100, -1, 0):
            self.assertEqual(self.parse(b"OK 10 12 (%d)" % rssi), [Frame(10, b"\x0c", rssi)])

    def test_aLostLineEndCostsTheSecondFrame(self) -> None:
        """
        When a line end is lost, the frame before it is kept.
        """
        second = b"-65) OK 11 3 4 (-70)"
        why = "no RSSI: the frame is kept without it"
        events = [Frame(10, b"\x0c\x00"), Skipped(b"(" + second, why)]
        self.assertEqual(self.parse(b"OK 10 12 0 (" + second), events)

    def test_groupsMayBeWrittenInAnyWay(self) -> None:
        """
        The group is found with a blank behind its letter or without, and after OK or not.
        """
        for opening in (b"OK G5 ", b"OK G 5 ", b"G5 ", b"G 5 ", b" G5  ", b"OK  G005 "):
            self.assertEqual(self.parse(opening + b"10 7"), [Frame(10, b"\x07", None, 5)])
            self.assertEqual(self.parse(opening + b"10 7 (-9)"), [Frame(10, b"\x07", -9, 5)])

    def test_severalBlanksAreOne(self) -> None:
        """
        More than one blank between the numbers changes nothing.
        """
        self.assertEqual(self.parse(b"  OK  10   7  8  (-9)  "), [Frame(10, b"\x07\x08", -9)])


class StatusTests(SynchronousTestCase):
    """
    How a radio says how it is set.
    """

    def parse(self, line: str) -> Any:
        """
        What a line says.
        """
        [event] = collect(RadioParser(), [line.encode() + b"\r\n"])
        return event

    def test_bannersOfManyFirmwaresAreUnderstood(self) -> None:
        """
        Settings are found behind the name of the firmware and without it, with a letter for the
        base id, a star behind it, and with more that follows.
        """
        for line, base, band, group, quiet in (
            ("[RFM12demo.12] O i15 g210 @ 433 MHz q1", 15, 433, 210, True),
            ("[RFM12demo.14] E i5 g0 @ 868 MHz", 5, 868, 0, None),
            ("[emonPi] E i5 g210 @ 433 MHz q0 USA 0", 5, 433, 210, False),
            ("_ i31* g212 @ 915 MHz o1600 q1 c1", 31, 915, 212, True),
            (" A1 g210 @ 433 MHz", 1, 433, 210, None),
            ("[RFM12demo.14]A1 g210 @ 433 MHz", 1, 433, 210, None),
            (" i2 g210 @ 434 MHz q1", 2, 433, 210, True),
            (" i2 g210 @ 433.92 MHz q1", 2, 433, 210, True),
            ("@ i0 g255 @868MHz q0", 0, 868, 255, False),
            (" i15 g210 @ 433 MHz q7", 15, 433, 210, None),
            (" i15 g210 @ 433 MHz q10", 15, 433, 210, None),
        ):
            self.assertEqual(self.parse(line), Status(line.strip(), base, band, group, quiet))

    def test_settingsThatAreNotAllThereAreANote(self) -> None:
        """
        A line that lacks a setting, or shows one that no radio has, is information.
        """
        for line in (
            "[RFM12demo.14] hello",
            "i15 g210",
            "i15 @ 433 MHz",
            "g210 @ 433 MHz",
            "i15 g210 @ 123 MHz",
            "i32 g210 @ 433 MHz",
            "i15 g256 @ 433 MHz",
            "i15 g210 @ 433 kHz",
        ):
            self.assertEqual(self.parse(line), Note(line))

    def test_anEchoOfSettingsIsANote(self) -> None:
        """
        Settings in an echo or in information are not what the radio is set to.
        """
        for line in ("> i15 g210 @ 433 MHz", "| i15 g210 @ 433 MHz"):
            self.assertEqual(self.parse(line), Note(line))

    @PROPERTY
    @given(
        strategies.integers(0, 31),
        strategies.sampled_from(list(BANDS)),
        strategies.integers(0, 255),
        strategies.sampled_from([None, False, True]),
        strategies.sampled_from(["", "RFM12demo.14", "RFM69Pi 2.0"]),
    )
    def test_aBannerIsParsed(
        self, base: int, band: int, group: int, quiet: bool | None, program: str
    ) -> None:
        """
        Whatever a radio is set to survives the way through its banner.
        """
        line = banner(base, band, group, quiet, program)
        status = Status(line.strip().decode(), base, band, group, quiet)
        assertParses(self, RadioParser, line, [status])

    def test_bannersLookLikeThoseOfARadio(self) -> None:
        """
        A pretend radio shows its settings as a real one does.
        """
        self.assertEqual(banner(1, 433, 210), b"[RFM12demo.14] A i1 g210 @ 433 MHz\r\n")
        self.assertEqual(banner(15, 433, 210, True, ""), b" i15 g210 @ 433 MHz q1\r\n")

    def test_settingsThatNoRadioHasAreRefused(self) -> None:
        """
        A banner of impossible settings is an error.
        """
        for base, band, group in ((32, 433, 210), (-1, 433, 210), (1, 434, 210), (1, 433, 256)):
            self.assertRaises(ValueError, banner, base, band, group)


class NoteTests(SynchronousTestCase):
    """
    What is only counted.
    """

    def parse(self, line: bytes) -> Any:
        """
        What a line says.
        """
        [event] = collect(RadioParser(), [line + b"\n"])
        return event

    def test_aLongNoteIsShortened(self) -> None:
        """
        Only the beginning of a line of information is kept.
        """
        self.assertEqual(self.parse(b"help " * 50), Note(("help " * 50)[:SAMPLE]))

    def test_remarksAreNeverFrames(self) -> None:
        """
        What looks like a frame in an echo or in information is none.
        """
        for line in (b"> 14,38,0s", b"> OK 10 12 0", b"-> 10 12", b"|OK 10 12", b"|10 12"):
            self.assertEqual(self.parse(line), Note(line.decode()))
        self.assertEqual(self.parse(b"\x01OK 10 12 (-65)"), Note("OK 10 12 (-65)"))

    def test_textMayHaveTabsAndLettersOfAnyLanguage(self) -> None:
        """
        Information in UTF-8 is shown as it is, with blanks for tabs.
        """
        self.assertEqual(self.parse("temp\t21 °C".encode()), Note("temp 21 °C"))
        self.assertEqual(self.parse(b"\x01"), Note(""))


class NoiseTests(SynchronousTestCase):
    """
    What a serial port makes of a bad wire.
    """

    def test_binaryGarbageCostsItsLine(self) -> None:
        """
        Bytes that are no text are skipped, and the line behind them counts.
        """
        for noise in (
            b"\xff\xfe\x80",
            b"\x00\x00",
            b"a\x07b",
            b"OK 10 \xff 0",
            b"\x01\xff",
            b"?\x00",
        ):
            events = [FRAME, Skipped(noise, "noise: not text"), FRAME]
            assertParses(self, RadioParser, GOOD + noise + b"\n" + GOOD, events)

    def test_noiseCostsTheLineThatItRunsInto(self) -> None:
        """
        Noise without a line end costs the rest of its line and nothing more.
        """
        noise = b"\xa5" * 10
        spoilt = Skipped(noise + GOOD.strip(), "noise: not text")
        assertParses(self, RadioParser, GOOD + noise + GOOD + GOOD, [FRAME, spoilt, FRAME])

    def test_onlyASampleOfNoiseIsKept(self) -> None:
        """
        Of a long burst only the beginning is kept for the log.
        """
        noise = b"\xa5" * 300
        events = [Skipped(noise[:SAMPLE], "noise: not text"), FRAME]
        assertParses(self, RadioParser, noise + b"\n" + GOOD, events)

    def test_aLineOfExactlyTheLimitIsALine(self) -> None:
        """
        The longest line is a line, and one with a byte more is noise.
        """
        self.assertEqual(MAX_LINE, 512)
        why = "noise: no line end in 512 bytes"
        longest = b"x" * MAX_LINE
        assertParses(self, RadioParser, longest + b"\n", [Note("x" * SAMPLE)])
        skipped = Skipped(b"x" * SAMPLE, why)
        assertParses(self, RadioParser, longest + b"x\n" + GOOD, [skipped, FRAME])
        assertParses(self, RadioParser, longest + b"x", [skipped])

    def test_aLineWithoutEndIsSkippedOnce(self) -> None:
        """
        Ten megabytes without a line end are one skipped piece, and the next line counts.
        """
        skipped = Skipped(b"U" * SAMPLE, "noise: no line end in 512 bytes")
        endless = b"U" * 10_000_000
        for chunks in ([endless, b"\n" + GOOD], [endless + b"\n" + GOOD], [endless[:4096]] * 2500):
            parser = RadioParser()
            events = [event for chunk in [GOOD, *chunks] for event in parser.feed(chunk)]
            self.assertEqual(events[:2], [FRAME, skipped])
            events += [*parser.feed(b"\n" + GOOD), *parser.close()]
            self.assertEqual(set(events[2:]), {FRAME})

    def test_itIsReportedBeforeItEnds(self) -> None:
        """
        A line without end is reported as soon as it is too long.
        """
        parser = RadioParser()
        self.assertEqual(list(parser.feed(b"U" * MAX_LINE)), [])
        self.assertEqual(len(parser.feed(b"U")), 1)
        self.assertEqual(list(parser.feed(b"U" * 5000)), [])
        self.assertEqual(list(parser.close()), [])

    def test_aLineCutByUnpluggingIsSkipped(self) -> None:
        """
        When the port goes away within a line, the line does not become a reading.
        """
        for end in range(1, len(GOOD)):
            piece = GOOD[:end]
            skipped = Skipped(piece.strip(), "cut off within a line")
            assertParses(self, RadioParser, GOOD + piece, [FRAME, skipped])

    def test_theEndIsReportedOnce(self) -> None:
        """
        A piece that was skipped at the end is not skipped again.
        """
        parser = RadioParser()
        parser.feed(b"OK 10")
        parser.close()
        self.assertEqual(list(parser.close()), [])

    def test_anEndlessStreamTakesNoMemory(self) -> None:
        """
        Whatever comes in, no more than the longest line of it is kept.
        """
        for opening in (b"", GOOD, b"OK 10 ", b"\xff" * MAX_LINE, b"7" * (MAX_LINE + 1)):
            assertBounded(self, RadioParser, opening, MAX_LINE)

    @PROPERTY
    @given(STREAMS, SIZES)
    def test_anyBytesInAnyChunksAreTheSameEvents(self, stream: bytes, sizes: list[int]) -> None:
        """
        Any bytes, cut in any way, never raise and give the same events; all that comes out is
        what can be.
        """
        events = collect(RadioParser(), slices(stream, sizes))
        self.assertEqual(events, collect(RadioParser(), [stream]))
        for event in events:
            if isinstance(event, Frame):
                self.assertEqual(collect(RadioParser(), [encode(event)]), [event])
            elif isinstance(event, Skipped):
                self.assertLessEqual(len(event.data), SAMPLE)
            else:
                assert isinstance(event, Status | Note)
                self.assertTrue(event.text.isprintable())
                self.assertLessEqual(len(event.text), SAMPLE)

    @PROPERTY
    @given(strategies.binary(max_size=200), FRAMES)
    def test_anyLineIsOverAtItsEnd(self, noise: bytes, frame: Frame) -> None:
        """
        Whatever came before it, the line behind a line end counts.
        """
        events = collect(RadioParser(), [noise + b"\n" + encode(frame)])
        self.assertEqual(events[-1], frame)


class EncodeTests(SynchronousTestCase):
    """
    What a pretend radio says.
    """

    def test_linesLookLikeThoseOfARadio(self) -> None:
        """
        A frame is written as newer firmware does it.
        """
        data = bytes([12, 0, 44, 1])
        self.assertEqual(encode(Frame(10, data, -65)), b"OK 10 12 0 44 1 (-65) \r\n")
        self.assertEqual(encode(Frame(10, data)), b"OK 10 12 0 44 1 \r\n")
        self.assertEqual(encode(Frame(10, data, 0, 0)), b"OK G0 10 12 0 44 1 (0) \r\n")

    def test_whatNoRadioReceivesIsRefused(self) -> None:
        """
        A frame that cannot be is an error, not another frame.
        """
        for frame in (
            Frame(32, b"\x01"),
            Frame(-1, b"\x01"),
            Frame(1, b""),
            Frame(1, bytes(MAX_DATA + 1)),
            Frame(1, b"\x01", -151),
            Frame(1, b"\x01", 1),
            Frame(1, b"\x01", None, 256),
        ):
            self.assertRaises(ValueError, encode, frame)

    @PROPERTY
    @given(strategies.lists(FRAMES, max_size=4))
    def test_whatIsEncodedIsParsed(self, frames: list[Frame]) -> None:
        """
        Any frames survive the way through lines.
        """
        stream = b"".join(map(encode, frames))
        self.assertEqual(collect(RadioParser(), [stream]), frames)
        self.assertTrue(all(len(line) < MAX_LINE for line in stream.split(b"\n")))


class CommandTests(SynchronousTestCase):
    """
    What is sent to a radio.
    """

    def assertRefused(self, why: str, call: Any, *arguments: Any) -> None:
        """
        Check that something is refused for a reason.
        """
        self.assertEqual(str(self.assertRaises(ValueError, call, *arguments)), why)

    def test_settingsAreNumbersAndALetter(self) -> None:
        """
        Each setting is sent with its number first and without a line end.
        """
        self.assertEqual(setting("i", 15), b"15i")
        self.assertEqual(setting("g", 210), b"210g")
        self.assertEqual([setting("q", True), setting("q", 0)], [b"1q", b"0q"])
        self.assertEqual(ASK, b"v")

    def test_bandsAreTheirNumbers(self) -> None:
        """
        433 MHz is 4 to the radio, 868 MHz is 8 and 915 MHz is 9.
        """
        self.assertEqual([setting("b", band) for band in (433, 868, 915)], [b"4b", b"8b", b"9b"])

    def test_settingsThatNoRadioHasAreRefused(self) -> None:
        """
        What the radio would misunderstand is not sent.
        """
        self.assertRefused("i 32 is not in 0..31", setting, "i", 32)
        self.assertRefused("g -1 is not in 0..255", setting, "g", -1)
        self.assertRefused("q 2 is not in 0..1", setting, "q", 2)
        self.assertRefused("band 4 is none of 433, 868, 915", setting, "b", 4)
        self.assertRefused("setting s is none of i, g, q", setting, "s", 1)

    def test_theTimeHasTwoDigitsEach(self) -> None:
        """
        The time is broadcast with leading zeros.
        """
        self.assertEqual(clock(18, 30), b"00,18,30,00,s")
        self.assertEqual(clock(0, 5), b"00,00,05,00,s")
        self.assertRefused("hour 24 is not in 0..23", clock, 24, 0)
        self.assertRefused("minute 60 is not in 0..59", clock, 0, 60)

    def test_packetsAreSentInBothForms(self) -> None:
        """
        Data for node 20 goes to all with 20 in front, or to node 20 alone.
        """
        data = bytes([14, 38, 188, 2])
        self.assertEqual(transmit(data, 20), b"20,14,38,188,2,0s")
        self.assertEqual(transmit(data, 20, "emonhub"), b"20,14,38,188,2,0s")
        self.assertEqual(transmit(data, 20, "direct"), b"14,38,188,2,20s")
        self.assertEqual(transmit(data[:2], 0, "direct"), b"14,38,0s")

    def test_aPacketHasItsLimit(self) -> None:
        """
        More data than the radio's buffer holds is refused; the node takes one byte of it in
        emonHub's form.
        """
        room = "bytes are more than the {} that a packet has room for"
        self.assertEqual(transmit(bytes(66), 1, "direct"), b"0," * 66 + b"1s")
        self.assertRefused("67 " + room.format(66), transmit, bytes(67), 1, "direct")
        self.assertEqual(transmit(bytes(65), 1), b"1," + b"0," * 65 + b"0s")
        self.assertRefused("66 " + room.format(65), transmit, bytes(66), 1)
        for form in ("direct", "emonhub"):
            self.assertRefused("there is no data", transmit, b"", 1, form)

    def test_nodesThatCannotBeAreRefused(self) -> None:
        """
        The radio addresses 31 nodes; among the data, an id is any byte.
        """
        self.assertRefused("node 32 is not in 0..31", transmit, b"\x01", 32, "direct")
        self.assertEqual(transmit(b"\x01", 255), b"255,1,0s")
        self.assertRefused("node 256 is not in 0..255", transmit, b"\x01", 256)
        self.assertRefused("form x is none of emonhub, direct", transmit, b"\x01", 1, "x")

    @PROPERTY
    @given(
        strategies.binary(min_size=1, max_size=MAX_DATA - 1),
        strategies.integers(0, 31),
        strategies.sampled_from(["emonhub", "direct"]),
    )
    def test_whatIsSentMayBeRepeated(self, data: bytes, node: int, form: Any) -> None:
        """
        Every packet that the gateway sends could come by the repeater port as well, and its bytes
        are those that were given.
        """
        command = transmit(data, node, form)
        self.assertEqual(repeat(command + b"\r\n"), command)
        *payload, destination = map(int, command[:-1].split(b","))
        expected = [*data, node] if form == "direct" else [node, *data, 0]
        self.assertEqual([*payload, destination], expected)


class RepeatTests(SynchronousTestCase):
    """
    What comes in by the repeater port.
    """

    def test_commandsPassWithoutTheirLineEnd(self) -> None:
        """
        A packet to send is passed on as it is, without its line end.
        """
        for command in (b"14,38,0s", b"14,38,188,2,20s", b"20, 14, 38, 0 s", b"1a", b" 1,2s "):
            for end in (b"", b"\n", b"\r\n", b"\r"):
                self.assertEqual(repeat(command + end), command)

    def test_anythingElseIsRefused(self) -> None:
        """
        Settings, words, lines within lines and bytes of no meaning never reach the radio.
        """
        for line in (
            b"",
            b"\r\n",
            b"s",
            b",s",
            b"210g",
            b"15i",
            b"v",
            b"14,38,0",
            b"14,38,0ss",
            b"14s,38",
            b"14,38,0s 210g",
            b"14,38,0S",
            b"14,-1,0s",
            b"14,38\n,0s",
            b"14,38,0s\n\n",
            b"14\t38,0s",
            b"14,\xff,0s",
            "١٤,0s".encode(),
        ):
            self.assertIs(repeat(line), None, line)

    def test_aLongCommandIsRefused(self) -> None:
        """
        A command that is longer than any packet needs would only occupy the radio.
        """
        longest = b"7" * (MAX_COMMAND - 1) + b"s"
        self.assertEqual(repeat(longest + b"\r\n"), longest)
        self.assertIs(repeat(b"7" + longest), None)
        self.assertEqual(len(b"255, " * MAX_DATA + b"20 s"), MAX_COMMAND - 2)

    @PROPERTY
    @given(
        strategies.one_of(strategies.binary(), strategies.text("0123456789, sa").map(str.encode))
    )
    def test_nothingElseEverPasses(self, line: bytes) -> None:
        """
        Whatever comes in, what passes is of digits, commas and blanks, with one letter behind.
        """
        command = repeat(line)
        if command is not None:
            self.assertLessEqual(set(command), set(b"0123456789, sa"))
            self.assertIn(command.strip()[-1:], (b"s", b"a"))
            self.assertEqual(sum(command.count(letter) for letter in (b"s", b"a")), 1)

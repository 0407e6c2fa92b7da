"""
Tests for L{sensord.wire.lines}.
"""

from math import inf, isfinite, nan

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from sensord.wire import SAMPLE, Skipped
from sensord.wire.lines import END_OF_TIME, MAX_LINE, MAX_NODE, Line, LineParser, encode
from tests.support import PROPERTY, SIZES, assertBounded, assertParses, collect, slices
from tests.wire.test_numbers import NUMBERS

EXAMPLE = bytes.fromhex("313520 363920 31363634 0d0a")
LINE = Line(node=15, values=(69, 1664))

KEY = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"

NOT_NUMBERS = "not all are finite numbers"
TOO_FEW = "a node and one value at least are due"
NO_NODE = "the node is no integer in 0..2147483647"
NO_KEY = "without the key"
NO_TIME = "the time is no number of seconds in 1970..2199"
TOO_LONG = "longer than 1024 bytes"
CUT = "cut short: the link ended within the line"

#: Lines that stay below the limit.
LINES = strategies.builds(
    Line, strategies.integers(0, MAX_NODE), strategies.lists(NUMBERS, min_size=1, max_size=30)
).map(lambda line: Line(line.node, tuple(line.values)))
TIMES = strategies.integers(0, END_OF_TIME * 1_000_000 - 1)

#: Streams that look like lines, here and there.
STREAMS = strategies.one_of(
    strategies.binary(max_size=300),
    strategies.lists(
        strategies.sampled_from(
            [b"15", b"69", b"1.5", b"+7", b".5", b"1e3", b"nan", b"-1", b"x", b"\xff", b",", b"]"]
            + [b"1795194650.5", KEY.encode(), OTHER.encode(), b"0" * 500]
            + [b" ", b"\t", b"\r", b"\n", b"\r\n", b"15 69\n", EXAMPLE] * 2
        ),
        max_size=40,
    ).map(b"".join),
)


def keyed() -> LineParser:
    """
    A parser of lines that must contain the key.
    """
    return LineParser(KEY)


def timed() -> LineParser:
    """
    A parser of lines that begin with a time.
    """
    return LineParser(timestamped=True)


class LineParserTests(SynchronousTestCase):
    """
    What comes out of a stream of lines.
    """

    def assertSkipped(self, line: bytes, why: str) -> None:
        """
        Check that a line is skipped, alone, and the lines around it are taken.
        """
        stream = EXAMPLE + line + b"\n" + EXAMPLE
        assertParses(self, LineParser, stream, [LINE, Skipped(line[:SAMPLE], why), LINE])
        # A parser that sees just this line goes another way.
        assertParses(self, LineParser, line + b"\n", [Skipped(line[:SAMPLE], why)])

    def test_theExampleIsNodeFifteenWithTwoValues(self) -> None:
        """
        The example of the specification is node 15 with the values 69 and 1664.
        """
        self.assertEqual(EXAMPLE, b"15 69 1664\r\n")
        assertParses(self, LineParser, EXAMPLE, [LINE])

    def test_manyLinesComeOutInOrder(self) -> None:
        """
        The lines of a stream come out in their order, however the segments split them.
        """
        stream = b"".join(b"%d %d %d.5\n" % (n, n * n, -n) for n in range(12))
        lines = [Line(n, (n * n, -n - 0.5 if n else 0.5)) for n in range(12)]
        lines[0] = Line(0, (0, 0.5))
        assertParses(self, LineParser, stream, lines)

    def test_aLineComesWithItsEnd(self) -> None:
        """
        A line is out as soon as its LF is there, and not before.
        """
        parser = LineParser()
        self.assertEqual(list(parser.feed(EXAMPLE[:-1])), [])
        self.assertEqual(list(parser.feed(EXAMPLE[-1:] + EXAMPLE[:3])), [LINE])
        self.assertEqual(list(parser.feed(EXAMPLE[3:])), [LINE])

    def test_bothLineEndsAreTaken(self) -> None:
        """
        A line may end with CR LF, with LF alone, or with the CR CR LF of a confused terminal.
        """
        stream = b"15 69 1664\r\n15 69 1664\n15 69 1664\r\r\n"
        assertParses(self, LineParser, stream, [LINE] * 3)

    def test_blanksAndTabsSeparate(self) -> None:
        """
        Any number of blanks and tabs may stand between, before and behind the tokens.
        """
        for line in (
            b"15\t69\t1664",
            b"  15   69 \t 1664  ",
            b"\t15 69 1664\t\r",
            b"15 69 1664 \r",
        ):
            assertParses(self, LineParser, line + b"\n", [LINE])
            assertParses(self, LineParser, (line + b"\n") * 2, [LINE, LINE])

    def test_blankLinesMeanNothing(self) -> None:
        """
        Lines without tokens are neither lines nor faults.
        """
        for blank in (b"\n", b"\r\n", b"  \n", b"\t\r\n", b"\n\n\r\n \n"):
            assertParses(self, LineParser, blank, [])
            assertParses(self, LineParser, blank + EXAMPLE + blank + EXAMPLE, [LINE, LINE])

    def test_anEmptyConnectionYieldsNothing(self) -> None:
        """
        A peer that connects and leaves without a byte has sent nothing, not even a fault.
        """
        assertParses(self, LineParser, b"", [])

    def test_numbersKeepTheirTypes(self) -> None:
        """
        Integers stay integers, decimals are floats, and both may be written in any way.
        """
        line = b"15 69 -7 +7 007 1.0 .5 5. 1e3 99999999999999999999\n"
        [found] = LineParser().feed(line)
        assert isinstance(found, Line)
        self.assertEqual(repr(found.values), "(69, -7, 7, 7, 1.0, 0.5, 5.0, 1000.0, 1e+20)")
        [found] = LineParser().feed(b"15 69 1.0 1e3\n")
        assert isinstance(found, Line)
        self.assertEqual(repr(found.values), "(69, 1.0, 1000.0)")

    def test_whatIsNotFiniteIsSkipped(self) -> None:
        """
        A line with NaN, an infinity or a number too large for a float is not taken.
        """
        for value in (b"nan", b"NaN", b"inf", b"-inf", b"Infinity", b"1e999", b"-1e999"):
            self.assertSkipped(b"15 69 " + value, NOT_NUMBERS)

    def test_whatIsNoNumberIsSkipped(self) -> None:
        """
        A line with a word, a comma, an underscore or a foreign digit in it is not taken.
        """
        lines = [b"hello", b"15 x", b"x 15", b"15,69,1664", b"15 1,5", b"15 1_000", b"15 0x10"]
        lines += ["15 ٣".encode(), b"15 69]", b"[15 69]", b"15 69] 1", b"15 r", b"OK 10 12 0"]
        for line in lines:
            self.assertSkipped(line, NOT_NUMBERS)

    def test_binaryIsSkipped(self) -> None:
        """
        Lines of bytes that are no text are skipped, and the line behind them is taken.
        """
        for line in (
            b"\xff",
            b"\x00\x00",
            b"15 \xc3\x28",
            b"\x00 15 69",
            b"15 69\x00",
            b"15\x0b69",
        ):
            self.assertSkipped(line, NOT_NUMBERS)

    def test_aLoneCarriageReturnMergesNoLines(self) -> None:
        """
        A CR within a line neither ends it nor separates: two lines are not read as one.
        """
        for line in (b"15 69\r16 70", b"15 69\r 16 70", b"15 69 \r 70", b"\r15 69"):
            self.assertSkipped(line, NOT_NUMBERS)

    def test_aNumberAloneIsSkipped(self) -> None:
        """
        A node without values says nothing.
        """
        for line in (b"15", b"15 \r", b" 15", b"1.5"):
            self.assertSkipped(line, TOO_FEW)

    def test_aNodeThatIsNoneIsSkipped(self) -> None:
        """
        A node that is negative, too large or no integer is nobody's.
        """
        for node in (b"-1", b"2147483648", b"15.0", b"1e3", b"999999999999999"):
            self.assertSkipped(node + b" 69", NO_NODE)

    def test_theSmallestAndLargestNodesAreTaken(self) -> None:
        """
        A node may be 0, and 31 bits long.
        """
        lines = [Line(0, (1,)), Line(MAX_NODE, (1,))]
        assertParses(self, LineParser, b"0 1\n2147483647 1\n", lines)

    def test_anUnfinishedLineIsSkipped(self) -> None:
        """
        A line that the link ends in is not taken, since its last number may have lost digits.
        """
        for end in range(1, len(EXAMPLE)):
            piece = Skipped(EXAMPLE[:end], CUT)
            assertParses(self, LineParser, EXAMPLE[:end], [piece])
            assertParses(self, LineParser, EXAMPLE + EXAMPLE[:end], [LINE, piece])
        assertParses(self, LineParser, EXAMPLE + b" \t\r", [LINE])

    def test_theEndIsReportedOnce(self) -> None:
        """
        A line that was skipped at the end is not skipped again.
        """
        parser = LineParser()
        parser.feed(b"15 69")
        parser.close()
        self.assertEqual(list(parser.close()), [])

    def test_aConnectionIsNeverFinished(self) -> None:
        """
        Lines may come for ever: the parser never asks for the link to be closed.
        """
        parser = LineParser()
        parser.feed(EXAMPLE * 1000 + b"\xff\n" + b"1" * (MAX_LINE + 1))
        parser.close()
        self.assertFalse(parser.finished)

    def test_garbageBeforeALineCostsThatLineOnly(self) -> None:
        """
        Noise that runs into a line spoils that line, and the next one is taken.
        """
        stream = b"\xaa\x55\x00" + EXAMPLE + EXAMPLE
        garbled = Skipped(b"\xaa\x55\x00" + EXAMPLE[:-1], NOT_NUMBERS)
        assertParses(self, LineParser, stream, [garbled, LINE])


class LongLineTests(SynchronousTestCase):
    """
    Lines that are longer than any device sends.
    """

    def test_theLongestLineIsTaken(self) -> None:
        """
        A line of exactly 1024 bytes is a line, and one byte more is too many.
        """
        self.assertEqual(MAX_LINE, 1024)
        line = b"15 69 1664" + b" " * 1014
        assertParses(self, LineParser, line + b"\n" + EXAMPLE, [LINE, LINE])
        skipped = Skipped(line[:SAMPLE], TOO_LONG)
        assertParses(self, LineParser, line + b" \n" + EXAMPLE, [skipped, LINE])
        assertParses(self, LineParser, line + b" ", [skipped])

    def test_aLongLineIsReportedOnceItIsTooLong(self) -> None:
        """
        A line that goes on and on is reported once, before its end, and not again.
        """
        parser = LineParser()
        self.assertEqual(list(parser.feed(b" " * 1024)), [])
        self.assertEqual(list(parser.feed(b" ")), [Skipped(b" " * SAMPLE, TOO_LONG)])
        self.assertEqual(list(parser.feed(b"7" * 5000)), [])
        self.assertEqual(list(parser.feed(b" 15 69\n" + EXAMPLE)), [LINE])

    def test_aLineWithoutEndIsNotReportedAgainAtTheEnd(self) -> None:
        """
        When the link ends within a line that was too long, nothing is left to say.
        """
        assertParses(self, LineParser, b" " * 1500, [Skipped(b" " * SAMPLE, TOO_LONG)])

    def test_manyLongLinesAreReportedEach(self) -> None:
        """
        Every line that is too long is reported, and the lines between are taken.
        """
        long = b"1 " * 600 + b"\n"
        skipped = Skipped(long[:SAMPLE], TOO_LONG)
        stream = long + EXAMPLE + long + long + EXAMPLE
        for size in (1, 7, 1024, 1025, 1200, 1201, 1202, len(stream)):
            events = collect(LineParser(), slices(stream, [size]))
            self.assertEqual(events, [skipped, LINE, skipped, skipped, LINE], size)

    def test_megabytesAreOneLine(self) -> None:
        """
        A line of ten megabytes is one fault, in one chunk and in many, and the next line is taken.
        """
        for piece in (b"1 ", b"7", b"\x00", b" ", b"1_"):
            stream = piece * (10_000_000 // len(piece)) + b"\n" + EXAMPLE
            for size in (65536, len(stream)):
                skipped, *rest = collect(LineParser(), slices(stream, [size]))
                assert isinstance(skipped, Skipped)
                self.assertEqual((skipped.why, rest), (TOO_LONG, [LINE]))

    def test_anEndlessStreamTakesNoMemory(self) -> None:
        """
        Whatever a peer sends, no more than one line of it is kept.
        """
        for parser in (LineParser, keyed, timed):
            for opening in (b"", b"15 69", EXAMPLE, b"1" * 1024, b"1" * 1025, b"1" * 1025 + b"\n"):
                assertBounded(self, parser, opening, MAX_LINE)


class TimestampedTests(SynchronousTestCase):
    """
    Lines that begin with a time.
    """

    def test_theTimeComesFirst(self) -> None:
        """
        The first number of a line is the time in seconds, the second one the node.
        """
        stream = b"1795194650 15 69 1664\r\n1795194650.5 15 69 1664\n"
        lines = [Line(15, (69, 1664), 1795194650_000000), Line(15, (69, 1664), 1795194650_500000)]
        assertParses(self, timed, stream, lines)

    def test_everyMicrosecondIsKept(self) -> None:
        """
        Decimals of a time are kept to the microsecond, and rounded beyond.
        """
        for decimals, microseconds in (
            (b".", 0),
            (b".000001", 1),
            (b".123456", 123456),
            (b".1234564999", 123456),
            (b".9999999", 1_000_000),
            (b"." + b"3" * 900, 333333),
        ):
            [line] = timed().feed(b"4102444800" + decimals + b" 15 69\n")
            self.assertEqual(line, Line(15, (69,), 4102444800_000000 + microseconds))

    def test_aTimeThatIsNoneIsSkipped(self) -> None:
        """
        A line whose time is not believable, or not there, is not taken.
        """
        for text in (
            b"-1",
            b"7258118400",
            b"99999999999",
            b"nan",
            b"inf",
            b"1e9",
            b"+5",
            b".5",
            b"x",
        ):
            line = text + b" 15 69"
            assertParses(self, timed, line + b"\n", [Skipped(line, NO_TIME)])
        for text in (b"1_0", b"1795194650,5", b"2026-11-20T13:07:31Z", b"7258118399.9999999"):
            [skipped] = collect(timed(), [text + b" 15 69\n"])
            assert isinstance(skipped, Skipped)
            self.assertEqual(skipped.why, NO_TIME)

    def test_theFirstAndLastTimesAreTaken(self) -> None:
        """
        A time may be anything from the epoch to the year 2200.
        """
        lines = [Line(15, (69,), 0), Line(15, (69,), 7258118399_999999)]
        assertParses(self, timed, b"0 15 69\n7258118399.999999 15 69\n", lines)

    def test_aTimeAndANodeAreNotEnough(self) -> None:
        """
        A line with a time has three numbers at least.
        """
        for line in (b"1795194650 15", b"1795194650"):
            assertParses(self, timed, line + b"\n", [Skipped(line, TOO_FEW)])
        assertParses(self, timed, b" \r\n", [])


class KeyTests(SynchronousTestCase):
    """
    Lines that must contain a key.
    """

    def test_theKeyMayStandAnywhere(self) -> None:
        """
        A line with the key is taken, wherever the key stands in it.
        """
        key = KEY.encode()
        for line in (b"%b 15 69 1664", b"15 %b 69 1664", b"15\t69 %b  1664", b"15 69 1664 %b\r"):
            assertParses(self, keyed, line % key + b"\n", [LINE])

    def test_theKeyStandsBesideTheTime(self) -> None:
        """
        A line may have both, and the key may stand before the time.
        """
        line = Line(15, (69, 1664), 1795194650_500000)
        for text in (f"{KEY} 1795194650.5 15 69 1664\n", f"1795194650.5 15 69 1664 {KEY}\n"):
            assertParses(self, lambda: LineParser(KEY, True), text.encode(), [line])

    def test_aLineWithoutTheKeyIsSkipped(self) -> None:
        """
        A line without the key is not taken, and the lines with it around it are.
        """
        good = encode(LINE, KEY)
        skipped = Skipped(b"15 69 1664\r", NO_KEY)
        assertParses(self, keyed, good + EXAMPLE + good, [LINE, skipped, LINE])

    def test_aWrongKeyIsSkipped(self) -> None:
        """
        A line is not taken for a key that is wrong, shorter, longer, or written otherwise.
        """
        for key in (
            OTHER,
            KEY[:-1],
            KEY + "0",
            KEY.upper(),
            f"{KEY[:16]} {KEY[16:]}",
            f"key={KEY}",
        ):
            [skipped] = collect(keyed(), [encode(LINE, key)])
            assert isinstance(skipped, Skipped)
            self.assertEqual(skipped.why, NO_KEY)

    def test_theKeyAloneIsNoLine(self) -> None:
        """
        A line with the key and less than two numbers says nothing.
        """
        for line, shown in ((b"%b\n", b"%b"), (b"15 %b\n", b"15 %b")):
            skipped = Skipped(shown % (b"*" * 32), TOO_FEW)
            assertParses(self, keyed, line % KEY.encode(), [skipped])

    def test_aKeyOfDigitsIsNoValue(self) -> None:
        """
        A key that looks like a number is taken out of the line, how often it may be there.
        """
        key = "12345678901234567890123456789012"
        line = f"{key} 15 69 1664 {key}\n".encode()
        assertParses(self, lambda: LineParser(key), line, [LINE])

    def test_noKeyGetsIntoTheLog(self) -> None:
        """
        Neither the key nor a wrong one, nor half of one, is in what is skipped, whatever is wrong.
        """
        for key in (KEY, OTHER):
            text = key.encode()
            for line in (
                b"15 nan %b\n",
                b"15 %b\n",
                b"-1 69 %b\n",
                b"15 69 %b",  # without its end
                b"15 69 %b\r",
                b"%b=15,69\n",
                b"15,69,%b\n",
                b"key=%b 15 69\n",
                b"15 69 nan \xff%b\xff\n",
                b"%b " + b"1 " * 1000 + b"\n",
                b"x" * 980 + b" %b " + b"1" * 1000,
            ):
                stream = line % text
                for parser in (keyed, timed, lambda: LineParser(KEY, True), LineParser):
                    self._assertSecret(collect(parser(), [stream]), text, 17)

    def test_noPieceOfAKeyGetsIntoTheLog(self) -> None:
        """
        Where keys are in use, one that noise or the end of the link has torn is not shown either.
        """
        for key in (KEY, OTHER):
            text = key.encode()
            for at in range(1, 32):
                for noise in (b"\xff", b" ", b"\x00", b"\t", b"\r"):
                    stream = b"15 69 " + text[:at] + noise + text[at:] + b"\n"
                    self._assertSecret(collect(keyed(), [stream]), text, 13)
                self._assertSecret(collect(keyed(), [b"15 69 " + text[:at]]), text, 13)

    def _assertSecret(self, events: list[object], key: bytes, length: int) -> None:
        """
        Check that no piece of a key that has a length or more is in what was skipped.
        """
        for event in events:
            if isinstance(event, Skipped):
                shown = event.data + event.why.encode()
                for start in range(32 - length + 1):
                    self.assertNotIn(key[start : start + length], shown)

    def test_aKeyThatNoLineCouldContainIsRefused(self) -> None:
        """
        A key that is too short, too long, or has blanks is an error, which does not say the key.
        """
        for key in ("short", KEY + "0", KEY[:-1] + " ", KEY[:-1] + "\n", KEY[:-1] + "é"):
            raised = self.assertRaises(ValueError, LineParser, key)
            self.assertNotIn(key, str(raised))


class EncodeTests(SynchronousTestCase):
    """
    What a device sends.
    """

    def test_theExampleIsEncoded(self) -> None:
        """
        Node 15 with 69 and 1664 is sent as the bytes of the specification.
        """
        self.assertEqual(encode(LINE), EXAMPLE)

    def test_theTimeStandsFirstAndTheKeyLast(self) -> None:
        """
        A line with time and key is sent as the specification shows it.
        """
        line = Line(15, (69, 1664), 1795194650_500000)
        text = f"1795194650.500000 15 69 1664 {KEY}\r\n"
        self.assertEqual(encode(line, KEY), text.encode())
        self.assertEqual(encode(Line(15, (0.5,), 7_000000)), b"7 15 0.5\r\n")

    def test_whatIsNotFiniteIsRefused(self) -> None:
        """
        A value that is not finite is an error, not a text.
        """
        for value in (nan, inf, -inf):
            self.assertRaises(ValueError, encode, Line(15, (69, value)))


class PropertyTests(SynchronousTestCase):
    """
    What holds for any stream.
    """

    @PROPERTY
    @given(STREAMS, SIZES, strategies.sampled_from(["", KEY]), strategies.booleans())
    def test_anyBytesInAnyChunksAreTheSameEvents(
        self, stream: bytes, sizes: list[int], key: str, timestamped: bool
    ) -> None:
        """
        Any bytes, cut in any way, never raise and give the same events, one for each line at most;
        what comes out as a line can be stored.
        """
        events = collect(LineParser(key, timestamped), slices(stream, sizes))
        for chunks in ([stream], stream.splitlines(keepends=True), slices(stream, [1])):
            self.assertEqual(events, collect(LineParser(key, timestamped), chunks))
        self.assertLessEqual(len(events), stream.count(b"\n") + 1)
        for event in events:
            if isinstance(event, Line):
                self.assertTrue(0 <= event.node <= MAX_NODE)
                self.assertTrue(event.values and all(map(isfinite, event.values)))
                self.assertEqual(event.time is None, not timestamped)
            else:
                assert isinstance(event, Skipped)
                self.assertLessEqual(len(event.data), SAMPLE)
                self.assertFalse(key and key.encode() in event.data)
                self.assertNotIn(OTHER.encode(), event.data)

    @PROPERTY
    @given(strategies.lists(LINES, max_size=4), strategies.sampled_from(["", KEY]))
    def test_whatIsEncodedIsParsed(self, lines: list[Line], key: str) -> None:
        """
        Any lines survive the way through bytes, to the types of their numbers.
        """
        stream = b"".join(encode(line, key) for line in lines)
        self.assertEqual(repr(collect(LineParser(key), [stream])), repr(lines))
        for line in lines:
            self.assertEqual(repr(LineParser(key).feed(encode(line, key))), repr([line]))

    @PROPERTY
    @given(LINES, TIMES, strategies.sampled_from(["", KEY]))
    def test_anyTimeIsKept(self, line: Line, time: int, key: str) -> None:
        """
        Any time survives the way through bytes, to the microsecond.
        """
        stamped = Line(line.node, line.values, time)
        self.assertEqual(collect(LineParser(key, True), [encode(stamped, key)]), [stamped])

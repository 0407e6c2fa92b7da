"""
Tests for L{sensord.wire.messages}.
"""

from math import inf, isfinite, nan

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from sensord.wire import SAMPLE, Skipped
from sensord.wire.messages import (
    MAX_COMMAND,
    MAX_FIELDS,
    MAX_ID,
    MAX_MESSAGE,
    Message,
    command,
    encode,
    parse,
    parseCommand,
)
from tests.support import PROPERTY
from tests.wire.test_numbers import NUMBERS

EXAMPLE = "1,7,23.456789"
MESSAGE = Message(id=1, fields=(7, 23.456789))

IDS = strategies.integers(0, MAX_ID)
MESSAGES = strategies.builds(
    Message, IDS, strategies.lists(NUMBERS, min_size=1, max_size=MAX_FIELDS).map(tuple)
)

#: Anything that a peer can put into a message.
TEXTS = strategies.one_of(
    strategies.text(max_size=40),
    strategies.characters(categories=["Cs", "Nd"]).map(lambda digit: f"1,{digit}"),
    strategies.binary(max_size=40),
    strategies.text("0123456789+-.e, \t\r\n[]", max_size=40),
)

NOT_NUMBERS = "not all are finite numbers"
NO_ID = "the id is no integer in 0..2147483647"


class ParseTests(SynchronousTestCase):
    """
    What a message of a device says.
    """

    def assertSkipped(self, text: str | bytes, why: str) -> None:
        """
        Check that a message is not taken, and that its beginning is kept for the log.
        """
        data = text.encode() if isinstance(text, str) else text
        self.assertEqual(parse(text), Skipped(data[:SAMPLE], why))

    def test_theExampleIsTheSeventhMessageOfDeviceOne(self) -> None:
        """
        The example of the specification is read, from text and from bytes.
        """
        self.assertEqual(parse(EXAMPLE), MESSAGE)
        self.assertEqual(parse(EXAMPLE.encode()), MESSAGE)
        self.assertEqual(parse(bytes.fromhex("312c 372c 32332e343536373839")), MESSAGE)

    def test_blanksAroundFieldsMeanNothing(self) -> None:
        """
        Blanks, tabs and line ends may stand around any field.
        """
        for text in ("1, 7, 23.456789", " 1 ,\t7 , 23.456789\r\n", "\n1,7\r,+23.456789 "):
            self.assertEqual(parse(text), MESSAGE, text)

    def test_moreColumnsMayFollow(self) -> None:
        """
        A message may have any number of columns up to the limit, and one at least.
        """
        self.assertEqual(parse("5,0"), Message(5, (0,)))
        self.assertEqual(parse("5,8,21.5,-3,1e3"), Message(5, (8, 21.5, -3, 1000.0)))
        most = tuple(range(MAX_FIELDS))
        self.assertEqual(parse(",".join(map(str, (5, *most)))), Message(5, most))

    def test_integersStayIntegers(self) -> None:
        """
        A counter comes out as an integer, a temperature without decimals as it was written.
        """
        message = parse("1,7,23.0")
        assert isinstance(message, Message)
        self.assertEqual(repr(message.fields), "(7, 23.0)")

    def test_otherWaysOfWritingNumbersAreTaken(self) -> None:
        """
        A message is read however its numbers are written.
        """
        self.assertEqual(parse("+01,007,.5,5."), Message(1, (7, 0.5, 5.0)))

    def test_theSmallestAndLargestIdsAreTaken(self) -> None:
        """
        An id may be 0, and 31 bits long.
        """
        self.assertEqual(parse("0,1"), Message(0, (1,)))
        self.assertEqual(parse("2147483647,1"), Message(MAX_ID, (1,)))

    def test_anIdThatIsNoneIsSkipped(self) -> None:
        """
        An id that is negative, too large or no integer is nobody's.
        """
        for id in ("-1", "2147483648", "1.0", "1e3", "99999999999999999999"):
            self.assertSkipped(f"{id},7,23.5", NO_ID)

    def test_anIdAloneIsSkipped(self) -> None:
        """
        A message of one number, or of none, says nothing.
        """
        self.assertSkipped("1", "1 numbers are not an id and 1..64 fields")
        self.assertSkipped("", "0 numbers are not an id and 1..64 fields")
        self.assertSkipped(" \r\n", "0 numbers are not an id and 1..64 fields")

    def test_whatIsNotFiniteIsSkipped(self) -> None:
        """
        NaN, infinities and numbers too large for a float never come out.
        """
        for value in ("nan", "NaN", "inf", "-inf", "Infinity", "1e999", "-1e999"):
            self.assertSkipped(f"1,7,{value}", NOT_NUMBERS)

    def test_whatIsNoNumberIsSkipped(self) -> None:
        """
        Words, missing fields, foreign digits and pieces of JSON are no message.
        """
        texts = ["hello", "1,7,x", "1,,2", "1,7,", ",1,7", "1;7;23.5", "1 7 23.5", "1,1_000"]
        texts += ["1,0x10", "1,٣", "1,\x00", "[1,7]", "1,7],[2,8", '1,"7"', "1,true", "{}", "1,[7]"]
        for text in texts:
            self.assertSkipped(text, NOT_NUMBERS)

    def test_bytesThatAreNoTextAreSkipped(self) -> None:
        """
        Bytes that are not UTF-8, and text that no UTF-8 could be, are no message.
        """
        for data in (b"\xff\xfe\x00", b"1,7,\xc3", b"1,7,23.5\x80", bytes(range(256))):
            self.assertSkipped(data, NOT_NUMBERS)
        self.assertEqual(parse("1,\ud800"), Skipped(b"1,?", NOT_NUMBERS))

    def test_aMillionColumnsAreSkipped(self) -> None:
        """
        A message with more columns than the limit is not taken at all, however many they are.
        """
        self.assertSkipped("1" + ",7" * 65, "66 numbers are not an id and 1..64 fields")
        self.assertSkipped("1" + ",7" * 10**6, "longer than 4096 bytes")

    def test_megabytesAreSkipped(self) -> None:
        """
        A message of ten megabytes is not looked at.
        """
        for piece in ("7", " ", "x", "1,"):
            self.assertSkipped("1,7" + piece * 10_000_000, "longer than 4096 bytes")

    def test_theLongestMessageIsTaken(self) -> None:
        """
        A message of exactly 4096 bytes is a message, and one more is too many.
        """
        self.assertEqual(MAX_MESSAGE, 4096)
        text = EXAMPLE + " " * (4096 - len(EXAMPLE))
        self.assertEqual(parse(text), MESSAGE)
        self.assertSkipped(text + " ", "longer than 4096 bytes")

    @PROPERTY
    @given(TEXTS)
    def test_anyTextIsAMessageOrSkipped(self, text: str | bytes) -> None:
        """
        Whatever a peer sends, reading it does not raise, and gives nothing that cannot be stored.
        """
        found = parse(text)
        if isinstance(found, Message):
            self.assertTrue(0 <= found.id <= MAX_ID)
            self.assertTrue(found.fields and all(map(isfinite, found.fields)))
            self.assertEqual(parse(encode(found)), found)

    @PROPERTY
    @given(MESSAGES)
    def test_whatIsEncodedIsParsed(self, message: Message) -> None:
        """
        Any message survives the way through text, to the types of its numbers.
        """
        for text in (
            encode(message),
            encode(message).encode(),
            encode(message).replace(",", " , "),
        ):
            self.assertEqual(repr(parse(text)), repr(message))


class EncodeTests(SynchronousTestCase):
    """
    What a device sends.
    """

    def test_theExampleIsEncoded(self) -> None:
        """
        A message is sent as the text of the specification.
        """
        self.assertEqual(encode(MESSAGE), EXAMPLE)

    def test_whatIsNotFiniteIsRefused(self) -> None:
        """
        A field that is not finite is an error, not a text.
        """
        for value in (nan, inf, -inf):
            self.assertRaises(ValueError, encode, Message(1, (7, value)))


class CommandTests(SynchronousTestCase):
    """
    What is sent to a device.
    """

    def test_theLedIsSwitchedOnAndOff(self) -> None:
        """
        The commands for the LED are those of the specification, byte for byte.
        """
        self.assertEqual(command(1, 1).encode(), bytes.fromhex("312c312e30"))
        self.assertEqual(command(1, 0).encode(), bytes.fromhex("312c302e30"))
        self.assertEqual([command(1, True), command(1, False)], ["1,1.0", "1,0.0"])

    def test_anyNumberMayBeSent(self) -> None:
        """
        A variable can be set to any finite number.
        """
        self.assertEqual(command(3, -21.25), "3,-21.25")

    def test_whatADeviceCannotReadIsRefused(self) -> None:
        """
        A value that is not finite, and a variable that no device has, are errors.
        """
        for value in (nan, inf, -inf, 10**400):
            self.assertRaises(ValueError, command, 1, value)
        for variable in (-1, MAX_ID + 1, 10**100):
            self.assertRaises(ValueError, command, variable, 1.0)

    def test_whatIsNoCommandIsNotRead(self) -> None:
        """
        Text that is not two numbers, the first of a variable, is no command.
        """
        texts = ["", "1", "1,2,3", "1.0,1.0", "-1,1.0", "2147483648,1", "1,nan", "1,inf", "1,x"]
        texts += ["1,", "LED,1.0", "1,\ud800", "1,1.0" + " " * MAX_COMMAND]
        for text in texts:
            self.assertIs(parseCommand(text), None, repr(text))
        self.assertIs(parseCommand(b"\xff,1"), None)

    def test_aCommandIsReadAsADeviceDoes(self) -> None:
        """
        A pretend device understands a command from text and from bytes, also one written by hand.
        """
        for text in ("1,1.0", b"1,1.0", "1,1", " 1 , +1.0"):
            self.assertEqual(repr(parseCommand(text)), "(1, 1.0)")

    @PROPERTY
    @given(IDS, strategies.one_of(NUMBERS, strategies.integers(-(10**308), 10**308)))
    def test_anyCommandFitsADevice(self, variable: int, value: float) -> None:
        """
        Any command is short enough for the frame of a device, and is read as it was meant.
        """
        text = command(variable, value)
        self.assertLess(len(text.encode()) + 2, 64)
        self.assertEqual(repr(parseCommand(text)), repr((variable, float(value))))

    @PROPERTY
    @given(TEXTS)
    def test_anyTextIsACommandOrNot(self, text: str | bytes) -> None:
        """
        Whatever text a pretend device is sent, reading it does not raise.
        """
        found = parseCommand(text)
        if found is not None:
            self.assertEqual(parseCommand(command(*found)), found)

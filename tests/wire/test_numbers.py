"""
Tests for L{sensord.wire.numbers}.
"""

from fractions import Fraction
from math import inf, isfinite, nan

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from sensord.wire.numbers import number, numbers, written
from tests.support import PROPERTY

#: Numbers as people and programs may write them, right and wrong.
TEXTS = strategies.one_of(
    strategies.binary(max_size=12),
    strategies.text("0123456789+-.eE_ \t\r\n,[]xnaif", max_size=30).map(str.encode),
    strategies.from_regex(rb"[+-]?\d*\.?\d*([eE][+-]?\d{1,3})?", fullmatch=True),
    strategies.integers().map(lambda n: str(n).encode()),
    strategies.floats().map(lambda n: repr(n).encode()),
)

DIGITS = strategies.text("0123456789", min_size=1, max_size=40)
SIGNS = strategies.sampled_from(["", "+", "-"])

#: What a reading can hold.
NUMBERS = strategies.one_of(
    strategies.integers(-(2**63), 2**63 - 1),
    strategies.floats(allow_nan=False, allow_infinity=False),
)

#: What is no number, for each kind of reason.
WRONG = [
    b"",
    b"+",
    b"-",
    b".",
    b"-.",
    b"e5",
    b".e5",
    b"1e",
    b"1e+",
    b"1e5.5",
    b"1.2.3",
    b"1,5",
    b"+-1",
    b"--1",
    b"1-",
    b"1_000",
    b"1_0.5",
    b"1.5_0",
    b"0x10",
    b"0b1",
    b"1f",
    b"1L",
    b"1j",
    b"nan",
    b"NaN",
    b"-nan",
    b"inf",
    b"-inf",
    b"Infinity",
    b"1e309",
    b"-1e309",
    b"1e99999999999999999999",
    b"9" * 309,
    b"true",
    b"null",
    b'"1"',
    b"[1]",
    b"1]",
    b"1]\n",
    b"1r",
    b" 1",
    b"1 ",
    b"1 2",
    b"\t1",
    b"1\r",
    b"1\n",
    b"\x0b1",
    b"1\x00",
    b"\x00",
    b"\xff",
    "٣".encode(),  # a digit, but not one of ours
    "\uff11".encode(),  # a wide one
    "\u22121".encode(),  # another minus sign
    "½".encode(),
]

#: What is a number, and what it is.
RIGHT: list[tuple[bytes, int | float]] = [
    (b"0", 0),
    (b"69", 69),
    (b"-7", -7),
    (b"+7", 7),
    (b"007", 7),
    (b"-0", 0),
    (b"23.456789", 23.456789),
    (b"1.0", 1.0),
    (b"-0.0", -0.0),
    (b".5", 0.5),
    (b"-.5", -0.5),
    (b"5.", 5.0),
    (b"1e3", 1000.0),
    (b"1E3", 1000.0),
    (b"1e+3", 1000.0),
    (b"15.5e-1", 1.55),
    (b"+1.5", 1.5),
    (b"1e-999", 0.0),
    (b"0e999999999999", 0.0),
    (b"1.7976931348623157e308", 1.7976931348623157e308),
    (b"5e-324", 5e-324),
    (b"9223372036854775807", 2**63 - 1),
    (b"-9223372036854775808", -(2**63)),
    (b"9223372036854775808", 2.0**63),
    (b"-9223372036854775809", -(2.0**63)),
    (b"18446744073709551615", 2.0**64),
    (b"1" + b"0" * 308, 1e308),
    (b"0" * 5000 + b"7", 7),
    (b"-" + b"0" * 5000, 0),
    (b"1." + b"0" * 5000, 1.0),
]


class NumberTests(SynchronousTestCase):
    """
    How one number is read.
    """

    def assertSame(self, found: object, expected: int | float) -> None:
        """
        Check for the same number, of the same type and with the same sign.
        """
        self.assertEqual((type(found), repr(found)), (type(expected), repr(expected)))

    def test_numbersAreReadAsWritten(self) -> None:
        """
        Integers, decimals and exponents are read, each to its type.
        """
        for text, expected in RIGHT:
            self.assertSame(number(text), expected)

    def test_allElseIsNoNumber(self) -> None:
        """
        NaN, infinities, underscores, foreign digits, blanks and the like are no numbers.
        """
        for text in WRONG:
            self.assertIs(number(text), None, text)

    def test_thousandsOfDigitsDoNotRaise(self) -> None:
        """
        A number of a million digits is either too large, or read like any other.
        """
        many = b"1" * 10**6
        self.assertIs(number(many), None)
        self.assertIs(number(b"-" + many), None)
        self.assertIs(number(many + b"x"), None)
        self.assertIs(number(b"1e" + many), None)
        self.assertEqual(number(b"0." + many), 1 / 9)
        self.assertEqual(number(b"1e-" + many), 0.0)

    @PROPERTY
    @given(SIGNS, DIGITS)
    def test_anyIntegerIsItself(self, sign: str, digits: str) -> None:
        """
        Any integer of up to 64 bits is itself, and a larger one the nearest float.
        """
        whole = int(sign + digits)
        fits = -(2**63) <= whole < 2**63
        self.assertSame(number((sign + digits).encode()), whole if fits else float(whole))

    @PROPERTY
    @given(SIGNS, DIGITS, DIGITS, strategies.integers(-330, 260))
    def test_anyDecimalIsTheNearestFloat(
        self, sign: str, whole: str, decimals: str, exponent: int
    ) -> None:
        """
        Any decimal is the float that is nearest to it, the short way and the long one.
        """
        text = f"{whole}.{decimals}e{exponent}"
        expected = float(Fraction(text)) * (-1 if sign == "-" else 1)
        for found in (number((sign + text).encode()), *(numbers([(sign + text).encode()]) or ())):
            self.assertSame(found, expected)

    @PROPERTY
    @given(TEXTS)
    def test_anyBytesAreANumberOrNone(self, text: bytes) -> None:
        """
        Whatever the bytes, reading them does not raise, and gives nothing that cannot be stored.
        """
        found = number(text)
        if isinstance(found, float):
            self.assertTrue(isfinite(found))
        elif found is not None:
            self.assertTrue(-(2**63) <= found < 2**63)


class NumbersTests(SynchronousTestCase):
    """
    How many numbers are read at once.
    """

    def test_fieldsAreReadInTheirOrder(self) -> None:
        """
        Integers and floats come out mixed as they came in.
        """
        self.assertEqual(repr(numbers([b"15", b"-69", b"16.5"])), "(15, -69, 16.5)")
        self.assertEqual(repr(numbers([b"15", b"+69", b".5"])), "(15, 69, 0.5)")
        self.assertEqual(numbers([]), ())

    def test_everyNumberIsReadAsAlone(self) -> None:
        """
        A number among others is read as it is alone.
        """
        for text, expected in RIGHT:
            for fields in ([text], [b"1", text], [text, b"+1"]):
                self.assertIn(repr(expected), [repr(n) for n in numbers(fields) or ()])

    def test_oneThatIsNoneSpoilsAll(self) -> None:
        """
        If one field is no number, there are no numbers.
        """
        for text in WRONG:
            for fields in ([text], [b"1", text], [text, b"1"], [b"+1", text, b"2"]):
                self.assertIs(numbers(fields), None, fields)

    @PROPERTY
    @given(strategies.lists(TEXTS, max_size=5))
    def test_anyFieldsAreReadOneByOne(self, fields: list[bytes]) -> None:
        """
        Whatever the fields, reading them at once gives what reading each gives.
        """
        single = [number(field) for field in fields]
        expected = None if None in single else tuple(single)
        self.assertEqual(repr(numbers(fields)), repr(expected))


class WrittenTests(SynchronousTestCase):
    """
    How numbers are written.
    """

    def test_numbersAreWrittenPlainly(self) -> None:
        """
        Integers have no point, floats always have one or an exponent, truths are 0 and 1.
        """
        texts = [written(n) for n in (69, -7, 1.0, 23.5, 1e22, True)]
        self.assertEqual(texts, ["69", "-7", "1.0", "23.5", "1e+22", "1"])

    def test_whatIsNotFiniteIsNotWritten(self) -> None:
        """
        NaN and infinities are an error.
        """
        for value in (nan, inf, -inf):
            self.assertRaises(ValueError, written, value)

    @PROPERTY
    @given(NUMBERS)
    def test_whatIsWrittenIsRead(self, value: int | float) -> None:
        """
        Any number is read as it was written, to the last bit.
        """
        text = written(value).encode()
        self.assertEqual(repr(number(text)), repr(value))
        self.assertEqual(repr(numbers([text])), repr((value,)))

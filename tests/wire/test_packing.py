"""
Tests for L{sensord.wire.packing}.
"""

from decimal import Decimal
from fractions import Fraction
from math import inf, isnan, nan, ulp
from struct import pack as packed
from struct import unpack

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from sensord.wire.packing import CODES, Number, layout, pack, scaler, unscaler, whiten
from tests.support import PROPERTY

#: What a configuration may scale with and add.
FACTORS = strategies.one_of(
    strategies.floats(-1e30, 1e30),
    strategies.integers(-9999, 9999).map(lambda n: n / 1000),
)

#: How many bytes each code stands for.
WIDTHS = {"b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "l": 4, "L": 4}
WIDTHS |= {"q": 8, "Q": 8, "f": 4, "d": 8, "?": 1}


def decimal(number: float) -> Fraction:
    """
    A number as the decimal fraction that it is written as.
    """
    return Fraction(Decimal(repr(number)))


class LayoutTests(SynchronousTestCase):
    """
    How values stand side by side.
    """

    def test_everyCodeHasItsStandardSize(self) -> None:
        """
        Each type takes as many bytes on every machine as the specification says.
        """
        self.assertEqual(set(CODES), set(WIDTHS))
        for code, width in WIDTHS.items():
            self.assertEqual(layout([code]).size, width, code)

    def test_valuesStandWithoutPadding(self) -> None:
        """
        A byte, a u16, a float and a u64 take up fifteen bytes in this order.
        """
        mixed = layout(["B", "H", "f", "Q"])
        self.assertEqual(mixed.size, 15)
        data = bytes.fromhex("07 0201 0000c03f 0100000000000080")
        self.assertEqual(mixed.unpack(data), (7, 0x0102, 1.5, 2**63 + 1))

    def test_lowerCaseIsSigned(self) -> None:
        """
        The lower-case codes count below zero and the upper-case ones do not.
        """
        for code in "bhilq":
            ones = b"\xff" * WIDTHS[code]
            self.assertEqual(layout([code]).unpack(ones), (-1,), code)
            self.assertEqual(layout([code.upper()]).unpack(ones), (2 ** (8 * len(ones)) - 1,), code)

    def test_noValuesTakeNoBytes(self) -> None:
        """
        A device without values has empty measurements.
        """
        self.assertEqual(layout([]).size, 0)


class ScalerTests(SynchronousTestCase):
    """
    How raw values become the values that people read.
    """

    def scale(self, raw: Number, scale: float, offset: float = 0.0) -> float:
        """
        Scale one value.
        """
        scaled = scaler(scale, offset)
        assert scaled is not None
        return scaled(raw)

    def test_sevenTenthsAreSevenTenths(self) -> None:
        """
        7 scaled by 0.1 is 0.7, without binary dust.
        """
        self.assertNotEqual(7 * 0.1, 0.7)
        self.assertEqual(self.scale(7, 0.1), 0.7)

    def test_everyTenthAndHundredthIsAsWritten(self) -> None:
        """
        Whole numbers scaled by a power of ten read as they would be written.
        """
        for raw in range(-2000, 2000):
            self.assertEqual(self.scale(raw, 0.1), float(f"{raw}e-1"))
            self.assertEqual(self.scale(raw, 0.01), float(f"{raw}e-2"))

    def test_nothingToDoIsNoFunction(self) -> None:
        """
        A value that is neither scaled nor shifted stays what it is.
        """
        self.assertIs(scaler(1.0, 0.0), None)
        self.assertIs(scaler(1, 0), None)
        self.assertIs(scaler(1.0, -0.0), None)

    def test_anOffsetAloneIsAdded(self) -> None:
        """
        A value may be shifted without being scaled, and scaled without being shifted.
        """
        self.assertEqual(self.scale(3, 1.0, 0.3), 3.3)
        self.assertEqual(self.scale(3, 1.1), 3.3)

    def test_aScaledWholeNumberIsAFloat(self) -> None:
        """
        Scaling gives a float, even when the result is whole.
        """
        self.assertIsInstance(self.scale(4, 0.5), float)
        self.assertIsInstance(self.scale(4, 2), float)

    def test_theStockDeviceReadsAsSpecified(self) -> None:
        """
        The humidity and the temperature of the stock device come out to the last digit.
        """
        humidity = scaler(0.0019073486328125, -6.0)
        temperature = scaler(0.0026812744140625, -46.85)
        assert humidity is not None
        assert temperature is not None
        self.assertEqual([humidity(0x6E00), humidity(0x6E04)], [47.7109375, 47.71856689453125])
        self.assertEqual([temperature(0x6800), temperature(0x6804)], [24.53625, 24.54697509765625])

    def test_theStockDeviceIsExactOverItsRange(self) -> None:
        """
        Every raw value of the stock device gives the float nearest to the formula of its maker.
        """
        humidity = scaler(0.0019073486328125, -6.0)
        temperature = scaler(0.0026812744140625, -46.85)
        assert humidity is not None
        assert temperature is not None
        for raw in range(0, 65536, 7):
            self.assertEqual(humidity(raw), float(Fraction(125 * raw, 65536) - 6), raw)
            exact = Fraction(17572 * raw, 6553600) - Fraction(4685, 100)
            self.assertEqual(temperature(raw), float(exact), raw)

    def test_aNegativeScaleTurnsValuesAround(self) -> None:
        """
        A scale may be negative, and so may an offset.
        """
        self.assertEqual(self.scale(3, -0.1), -0.3)
        self.assertEqual(self.scale(-3, -0.1, -0.6), -0.3)

    def test_aScaleOfZeroLeavesTheOffset(self) -> None:
        """
        A value scaled by nothing is its offset.
        """
        self.assertEqual(self.scale(123, 0.0, 4.25), 4.25)
        self.assertEqual(self.scale(123, 0.0), 0.0)

    def test_wholeNumbersBeyondFloatsAreRoundedOnce(self) -> None:
        """
        A whole number that no float holds is scaled before it is rounded.
        """
        raw = 2**53 + 1
        self.assertEqual(self.scale(raw, 1.0, -(2.0**53)), 1.0)
        self.assertEqual(self.scale(2**64 - 1, 0.1), 1844674407370955161.5)

    def test_theSmallestAndLargestFactorsWork(self) -> None:
        """
        Factors that the configuration allows neither raise nor overflow.
        """
        for raw in (2**64 - 1, -(2**63), 1, 3.4e38, 1.7e308, 5e-324):
            for factor in (1e30, -1e30, 5e-324, 1e-30):
                for term in (0.0, 1e30, 1e-30):
                    self.assertFalse(isnan(self.scale(raw, factor, term)))

    def test_floatsAreScaledAsDecimals(self) -> None:
        """
        A float is scaled without dust of its own.
        """
        self.assertEqual(self.scale(0.5, 0.1), 0.05)
        self.assertEqual(self.scale(7.0, 0.1), 0.7)
        self.assertEqual(self.scale(1.5, 0.1, -0.05), 0.1)

    def test_aTruthIsZeroOrOne(self) -> None:
        """
        A truth value can be scaled like a number.
        """
        self.assertEqual([self.scale(False, 0.1), self.scale(True, 0.1)], [0.0, 0.1])

    def test_whatIsNotFiniteStaysSo(self) -> None:
        """
        NaN and infinities come back as they are, for the caller to reject, and raise nothing.
        """
        self.assertTrue(isnan(self.scale(nan, 0.1, 1.0)))
        self.assertEqual(self.scale(inf, 0.1, 1.0), inf)
        self.assertEqual(self.scale(-inf, 0.1, 1.0), -inf)
        self.assertEqual(self.scale(inf, 0.0, 1.0), inf)

    @PROPERTY
    @given(strategies.integers(-(2**63), 2**64 - 1), FACTORS, FACTORS)
    def test_wholeNumbersGiveTheNearestFloat(self, raw: int, scale: float, offset: float) -> None:
        """
        A scaled whole number is the float nearest to what decimal arithmetic on paper gives.
        """
        scaled = scaler(scale, offset)
        if scaled is not None:
            exact = raw * decimal(scale) + decimal(offset)
            self.assertEqual(scaled(raw), float(exact))

    @PROPERTY
    @given(strategies.floats(width=32, allow_nan=False, allow_infinity=False), FACTORS, FACTORS)
    def test_floatsGiveTheirNeighbourAtMost(self, raw: float, scale: float, offset: float) -> None:
        """
        A scaled float is within one step of what decimal arithmetic on paper gives.
        """
        scaled = scaler(scale, offset)
        if scaled is not None:
            product, term = Fraction(raw) * decimal(scale), decimal(offset)
            # Twenty-eight digits of each part are kept, so what they cancel out is bounded.
            dust = (abs(product) + abs(term)) / 10**27
            error = abs(Fraction(scaled(raw)) - (product + term))
            self.assertLessEqual(error, Fraction(ulp(float(product + term))) + dust)


class UnscalerTests(SynchronousTestCase):
    """
    How values that people write become the raw values that devices expect.
    """

    def assertRefused(self, why: str, code: str, value: Number, scale: float = 1.0) -> None:
        """
        Check that a value is refused for a reason.
        """
        error = self.assertRaises(ValueError, unscaler(code, scale, 0.0), value)
        self.assertEqual(str(error), why)

    def test_sevenTenthsAreSeven(self) -> None:
        """
        0.7 at a scale of 0.1 is sent as 7: no dust makes it 6.
        """
        self.assertNotEqual(0.7 / 0.1, 7)
        for code in CODES.replace("?", ""):
            self.assertEqual(unscaler(code, 0.1, 0.0)(0.7), 7, code)

    def test_everyTenthAndHundredthComesBack(self) -> None:
        """
        Any value with one or two decimals is sent as the whole number that reads as it.
        """
        for scale in (0.1, 0.01):
            scaled, unscaled = scaler(scale, 0.0), unscaler("h", scale, 0.0)
            assert scaled is not None
            for raw in range(-2000, 2000):
                value = float(f"{raw}") / round(1 / scale)
                self.assertEqual(unscaled(value), raw)
                self.assertEqual(scaled(unscaled(value)), value)

    def test_theOffsetIsTakenOffFirst(self) -> None:
        """
        What was added to the scaled value is taken off before it is divided.
        """
        self.assertEqual(unscaler("H", 0.0026812744140625, -46.85)(24.53625), 0x6800)
        self.assertEqual(unscaler("h", 0.1, 20)(19.7), -3)

    def test_wholeNumbersAreRoundedToTheNearest(self) -> None:
        """
        A value between two raw values becomes the nearer one, and halfway the even one.
        """
        unscaled = unscaler("b", 0.1, 0.0)
        values = [0.74, 0.76, -0.74, -0.76, 0.25, 0.35]
        self.assertEqual([unscaled(value) for value in values], [7, 8, -7, -8, 2, 4])

    def test_theResultHasTheKindOfItsType(self) -> None:
        """
        Whole types get whole numbers and floats get floats, whatever the value was written as.
        """
        for code in CODES:
            raw = unscaler(code, 1.0, 0.0)(1.0)
            self.assertIs(type(raw), float if code in "fd" else int, code)
        self.assertEqual(unscaler("d", 0.1, 0.0)(1), 10.0)
        self.assertEqual(unscaler("?", 1.0, 0.0)(True), 1)
        self.assertEqual(unscaler("B", 0.5, 0.0)(True), 2)

    def test_whatDoesNotFitIsRefused(self) -> None:
        """
        A value beyond its type is refused with the reason, not sent as another value.
        """
        why = "the raw value {} is not in the {} that type {} holds"
        self.assertEqual(unscaler("h", 0.1, 0.0)(3276.7), 32767)
        self.assertRefused(why.format(32768, "-32768..32767", "h"), "h", 3276.8, 0.1)
        self.assertRefused(why.format(256, "0..255", "B"), "B", 256)
        self.assertRefused(why.format(-1, "0..4294967295", "L"), "L", -1)
        self.assertRefused(why.format(2**63, f"{-(2**63)}..{2**63 - 1}", "q"), "q", 2**63)
        self.assertRefused(why.format(2, "0..1", "?"), "?", 2)
        self.assertRefused("the raw value is beyond what type f holds", "f", 1e39)
        self.assertRefused("the raw value is beyond what type d holds", "d", 1e300, 1e-30)
        self.assertRefused("the raw value is beyond what type d holds", "d", 10**400)

    def test_whatIsNotFiniteIsRefused(self) -> None:
        """
        NaN and infinities are not sent to a device.
        """
        for code in CODES:
            for value in (nan, inf, -inf):
                self.assertRefused(f"{value} is not finite", code, value)

    def test_aScaleOfZeroCannotBeUndone(self) -> None:
        """
        A scale of nothing is refused before any value comes.
        """
        self.assertRaises(ValueError, unscaler, "h", 0.0, 1.0)

    @PROPERTY
    @given(strategies.integers(-(2**63), 2**63 - 1), FACTORS.filter(bool), FACTORS)
    def test_itUndoesTheScaler(self, raw: int, scale: float, offset: float) -> None:
        """
        What a device sent goes back as it came, as long as a float can tell it from its
        neighbours.
        """
        scaled = scaler(scale, offset) or float
        value = scaled(raw)
        if ulp(value) < abs(scale) / 4 and len({scaled(raw + step) for step in (-1, 0, 1)}) == 3:
            self.assertEqual(unscaler("q", scale, offset)(value), raw)

    @PROPERTY
    @given(
        strategies.integers(-(2**31), 2**31 - 1),
        strategies.sampled_from([0.1, 0.01, 0.001, 0.5, -0.1, 1.0, 10.0]),
        strategies.integers(-999, 999).map(lambda n: n / 10),
    )
    def test_decimalsComeBackAsTheyWere(self, raw: int, scale: float, offset: float) -> None:
        """
        A value that is a multiple of its decimal scale arrives as it was written, to the last
        digit.
        """
        value = float(raw * decimal(scale) + decimal(offset))
        scaled = scaler(scale, offset) or float
        self.assertEqual(scaled(unscaler("i", scale, offset)(value)), value)


class PackTests(SynchronousTestCase):
    """
    How raw values become bytes.
    """

    def assertRefused(self, why: str, types: str, *raws: Number) -> None:
        """
        Check that values are refused for a reason.
        """
        self.assertEqual(str(self.assertRaises(ValueError, pack, types, raws)), why)

    def test_valuesStandSideBySide(self) -> None:
        """
        A byte, a u16, a float and a truth value are packed without padding, little-endian.
        """
        data = bytes.fromhex("07 0201 0000c03f 01")
        self.assertEqual(pack(["B", "H", "f", "?"], [7, 0x0102, 1.5, True]), data)
        self.assertEqual(pack("", []), b"")

    def test_floatsMayBeWhole(self) -> None:
        """
        A whole number is packed as a float where the type is one.
        """
        self.assertEqual(pack("fd", [1, 2]), packed("<fd", 1.0, 2.0))

    def test_whatDoesNotFitIsRefused(self) -> None:
        """
        A value that its type cannot hold is refused with the reason.
        """
        self.assertRefused("2 values for 1 types", "h", 1, 2)
        self.assertRefused("0 values for 1 types", "h")
        self.assertRefused("1.5 is no whole number, which type h holds", "h", 1.5)
        self.assertRefused("nan is no whole number, which type h holds", "h", nan)
        self.assertRefused("nan is not finite", "d", nan)
        self.assertRefused("-inf is not finite", "f", -inf)
        self.assertRefused("the raw value is beyond what type f holds", "f", 3.5e38)
        why = "the raw value 128 is not in the -128..127 that type b holds"
        self.assertRefused(why, "hb", 1, 128)

    def test_everyTypeHoldsItsEnds(self) -> None:
        """
        The least and the greatest number of each type are packed, and those beyond are not.
        """
        for code in "bBhHiIlLqQ":
            bits = 8 * WIDTHS[code]
            low = 0 if code.isupper() else -(2 ** (bits - 1))
            ends = (low, low + 2**bits - 1)
            self.assertEqual(layout([code, code]).unpack(pack([code, code], ends)), ends)
            self.assertRaises(ValueError, pack, code, [ends[0] - 1])
            self.assertRaises(ValueError, pack, code, [ends[1] + 1])

    @PROPERTY
    @given(strategies.data(), strategies.text(CODES, max_size=8))
    def test_whatIsPackedIsUnpacked(self, data: strategies.DataObject, types: str) -> None:
        """
        Whatever a device may have sent is packed to the bytes that it came in.
        """
        size = layout(types).size
        came = data.draw(strategies.binary(min_size=size, max_size=size))
        raws = layout(types).unpack(came)
        if all(abs(raw) < inf for raw in raws):
            self.assertEqual(unpack("<" + types, pack(types, raws)), raws)


class WhitenTests(SynchronousTestCase):
    """
    How some nodes disguise their bytes.
    """

    def test_everyByteIsTurned(self) -> None:
        """
        Each byte is combined with 0x55.
        """
        self.assertEqual(whiten(bytes.fromhex("00 55 aa ff 0c")), bytes.fromhex("55 00 ff aa 59"))
        self.assertEqual(whiten(b""), b"")

    @PROPERTY
    @given(strategies.binary())
    def test_twiceIsNothing(self, data: bytes) -> None:
        """
        Whitening what was whitened gives the bytes that were there before.
        """
        self.assertEqual(whiten(whiten(data)), data)
        self.assertEqual(whiten(data), bytes(byte ^ 0x55 for byte in data))

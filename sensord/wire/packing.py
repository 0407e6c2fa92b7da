"""
packing: what values look like inside frames, shared by the binary wire formats.

A type is a code of Python's struct module in its standard size, little-endian: C{b} C{B} one byte,
C{h} C{H} two, C{i} C{I} C{l} C{L} four, C{q} C{Q} eight (lower case signed), C{f} and C{d} IEEE-754
floats of four and eight bytes, C{?} a truth value in one byte.
"""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from math import inf, isfinite, lcm
from struct import Struct

Number = int | float

#: The codes that a description may use.
CODES = "bBhHiIlLqQfd?"

_SIGNED = {"b": 1, "h": 2, "i": 4, "l": 4, "q": 8}

#: What each whole number can be.
_HELD = {code: range(-(1 << 8 * size - 1), 1 << 8 * size - 1) for code, size in _SIGNED.items()}
_HELD |= {code.upper(): range(1 << 8 * size) for code, size in _SIGNED.items()}
_HELD["?"] = range(2)

_WHITE = bytes(byte ^ 0x55 for byte in range(256))


def layout(types: Iterable[str]) -> Struct:
    """
    The layout of values that stand side by side without padding.

    @param types: their L{CODES}.
    """
    return Struct("<" + "".join(types))


def scaler(scale: float, offset: float) -> Callable[[Number | Fraction], float] | None:
    """
    What turns a raw value into C{raw * scale + offset}, as decimal arithmetic would have it: 7
    scaled by 0.1 is 0.7 and not 0.7000000000000001. The factors are taken as the decimal
    fractions that they are written as.

    @return: a function that never raises, or L{None} where nothing is to be done.
    """
    if scale == 1 and offset == 0:
        return None
    factor, term = Fraction(repr(scale)), Fraction(repr(offset))
    unit = lcm(factor.denominator, term.denominator)
    units, base = int(factor * unit), int(term * unit)

    def scaled(raw: Number | Fraction) -> float:
        if isinstance(raw, int):
            # Dividing integers rounds once, to the float that is nearest to the true quotient.
            exact: float = (raw * units + base) / unit
            return exact
        if isinstance(raw, float) and not isfinite(raw):
            return raw
        return _float(Fraction(raw) * factor + term)

    return scaled


def unscaler(code: str, scale: float, offset: float) -> Callable[[Number], Number]:
    """
    What turns a value that people write into the raw value that a device expects: the inverse of
    L{scaler}, in the same decimal arithmetic. 0.7 at a scale of 0.1 is 7 and not
    6.999999999999999.

    @param code: the type of the raw value. A whole number is rounded to the nearest; one that lies
        halfway, to the even one.
    @return: a function that raises C{ValueError} for a value that is not finite, or whose raw value
        does not fit the type.
    @raise ValueError: for a scale of 0, which leaves nothing to find the raw value by.
    """
    if scale == 0:
        raise ValueError("a scale of 0 cannot be undone")
    factor, term = Fraction(repr(scale)), Fraction(repr(offset))

    def unscaled(value: Number) -> Number:
        if isinstance(value, float) and not isfinite(value):
            raise ValueError(f"{value} is not finite")
        written = Fraction(value) if isinstance(value, int) else Fraction(repr(value))
        raw = (written - term) / factor
        return _fit(code, raw if code in "fd" else round(raw))

    return unscaled


def pack(types: Sequence[str], raws: Sequence[Number]) -> bytes:
    """
    The bytes of raw values that stand side by side: the inverse of what L{layout} unpacks.

    @param types: one of the L{CODES} for each of them.
    @raise ValueError: for a value that does not fit its type, or too many or too few of them.
    """
    if len(types) != len(raws):
        raise ValueError(f"{len(raws)} values for {len(types)} types")
    fitting = [_fit(code, raw) for code, raw in zip(types, raws, strict=True)]
    return layout(types).pack(*fitting)


def whiten(data: bytes) -> bytes:
    """
    Bytes with every other bit turned over, which makes for fewer long runs on the air. Doing it
    again turns them back.
    """
    return data.translate(_WHITE)


def _fit(code: str, raw: Number | Fraction) -> Number:
    """
    A raw value, if its type can hold it.
    """
    if code in "fd":
        try:
            number = float(raw)
            layout(code).pack(number)
        except OverflowError as error:
            raise ValueError(f"the raw value is beyond what type {code} holds") from error
        if not isfinite(number):
            raise ValueError(f"{number} is not finite")
        return number
    if not isinstance(raw, int):
        raise ValueError(f"{raw} is no whole number, which type {code} holds")
    if raw not in _HELD[code]:
        held = f"{_HELD[code].start}..{_HELD[code].stop - 1}"
        raise ValueError(f"the raw value {raw} is not in the {held} that type {code} holds")
    return raw


def _float(number: Fraction) -> float:
    try:
        return float(number)
    except OverflowError:
        return inf if number > 0 else -inf

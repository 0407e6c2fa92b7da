"""
packing: what values look like inside frames, shared by the binary wire formats.

A type is a code of Python's struct module in its standard size, little-endian: C{b} C{B} one byte,
C{h} C{H} two, C{i} C{I} C{l} C{L} four, C{q} C{Q} eight (lower case signed), C{f} and C{d} IEEE-754
floats of four and eight bytes, C{?} a truth value in one byte.
"""

from collections.abc import Callable, Iterable
from fractions import Fraction
from math import inf, isfinite, lcm
from struct import Struct

Number = int | float

#: The codes that a description may use.
CODES = "bBhHiIlLqQfd?"


def layout(types: Iterable[str]) -> Struct:
    """
    The layout of values that stand side by side without padding.

    @param types: their L{CODES}.
    """
    return Struct("<" + "".join(types))


def scaler(scale: float, offset: float) -> Callable[[Number], float] | None:
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

    def scaled(raw: Number) -> float:
        if isinstance(raw, int):
            # Dividing integers rounds once, to the float that is nearest to the true quotient.
            exact: float = (raw * units + base) / unit
            return exact
        return _float(Fraction(raw) * factor + term) if isfinite(raw) else raw

    return scaled


def _float(number: Fraction) -> float:
    try:
        return float(number)
    except OverflowError:
        return inf if number > 0 else -inf

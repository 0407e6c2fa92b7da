"""
packing: what values look like inside frames, shared by the binary wire formats.

A type is a code of Python's struct module in its standard size, little-endian: C{b} C{B} one byte,
C{h} C{H} two, C{i} C{I} C{l} C{L} four, C{q} C{Q} eight (lower case signed), C{f} and C{d} IEEE-754
floats of four and eight bytes, C{?} a truth value in one byte.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from math import isfinite
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

    @return: a function that never raises for a finite number, or L{None} where nothing is
        to be done.
    """
    if scale == 1 and offset == 0:
        return None
    factor, term = Decimal(repr(scale)), Decimal(repr(offset))
    places = max(0, -_exponent(factor), -_exponent(term))
    unit = 10**places
    units, base = int(factor * unit), int(term * unit)

    def scaled(raw: Number) -> float:
        if isinstance(raw, int):
            # Dividing integers rounds once, to the float that is nearest to the true quotient.
            exact: float = (raw * units + base) / unit
            return exact
        return float(Decimal(raw) * factor + term) if isfinite(raw) else raw

    return scaled


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int), "a scale is finite"
    return exponent

"""
numbers: how numbers are written, shared by the wire formats that are text.

  - An integer is an optional sign and decimal digits: C{69}, C{-7}, C{+007}. One that does not fit
    64 signed bits is taken as the nearest float.
  - A decimal has a point, an exponent or both: C{23.5}, C{-.5}, C{5.}, C{1.5e-3}, C{2E6}. It is
    taken as the nearest float, even where that is zero or whole.

All else is no number: NaN, infinities and what is too large for a float, underscores, hexadecimal
digits, digits of other scripts, and blanks, even around it.
"""

import re
from collections.abc import Sequence
from math import isfinite
from typing import Annotated

from msgspec import DecodeError, Meta
from msgspec.json import Decoder

_MIN, _MAX = -(2**63), 2**63 - 1

#: The most digits of an integer that fits 64 bits. Without the limit, one of many thousand digits
#: would be converted in quadratic time, or raise.
_MAX_DIGITS = 19

#: A sign, and the digits of what is an integer.
_NUMBER = re.compile(
    rb"([+-]?)(?:(\d++)|(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?)",
).fullmatch

#: The numbers of a JSON array. Nearly every number that a device sends is written as JSON has it,
#: and this is several times faster than C{int} and C{float}. It raises a C{DecodeError} for what
#: JSON writes otherwise (C{+7}, C{007}, C{.5}, C{5.}), for integers beyond 64 bits, and for all
#: that is no number.
_Array = tuple[Annotated[int, Meta(ge=_MIN, le=_MAX)] | float, ...]
array = Decoder(_Array).decode

#: The same for an array of such arrays.
arrays = Decoder(list[_Array]).decode

#: A table for C{bytes.translate}: turns a line of numbers into the inside of a JSON array. Blanks
#: and tabs become commas, LF ends the array, and CR becomes an C{r} that is not valid unless it is
#: removed. What can be in no number, such as a comma, is made not valid.
COMMAS = bytes(
    byte if byte in b"0123456789+-.eE" else {32: 44, 9: 44, 13: 114, 10: 93}.get(byte, 63)
    for byte in range(256)
)


def number(text: bytes) -> int | float | None:
    """
    Read one number.

    @return: L{None} if it is none. A float is finite, an int fits 64 signed bits.
    """
    match = _NUMBER(text)
    if match is None:
        return None
    sign, digits = match.groups()
    if digits is not None:
        digits = digits.lstrip(b"0") or b"0"
        if len(digits) <= _MAX_DIGITS and _MIN <= (whole := int(sign + digits)) <= _MAX:
            return whole
    real = float(text)
    return real if isfinite(real) else None


def numbers(fields: Sequence[bytes]) -> tuple[int | float, ...] | None:
    """
    Read many numbers, each as L{number} does, only faster.

    @return: as many as there are fields, or L{None} if any is no number.
    """
    try:
        values = array(b"[" + b" ".join(fields).translate(COMMAS) + b"]")
    except DecodeError:
        pass
    else:
        # There are more if a blank stood within a field, and none if a single one was empty.
        return values if len(values) == len(fields) else None
    found = []
    for field in fields:
        value = number(field)
        if value is None:
            return None
        found.append(value)
    return tuple(found)


def written(value: int | float) -> str:
    """
    How a number is written, so that it is read as the same.

    @raise ValueError: for a float that is not finite.
    """
    if isinstance(value, int):
        return format(value, "d")
    if not isfinite(value):
        raise ValueError(f"{value} is not finite")
    return repr(value)

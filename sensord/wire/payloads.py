"""
payloads: what MQTT devices say, as text.

Whatever else a payload is, it is UTF-8 and one of these:

  - a JSON object: its members are what was measured. Objects within are taken apart, their names
    joined by dots; C{null} and arrays measure nothing, texts and truth values are values too.
    One member may be the time;
  - one L{number<sensord.wire.numbers>}, or C{true} or C{false}: the value C{value};
  - L{numbers<sensord.wire.numbers>} between commas, with blanks around them allowed: their names
    are the listener's columns, and beyond these their places, from 1 on.

The time is in seconds since the Unix epoch, decimals allowed, or in the form of ISO 8601.

Example, temperature 21.5 at 2026-11-20T17:10:50.5Z, C{{"temperature":21.5,"time":1795194650.5}}::

    7b 22 74 65 6d 70 65 72 61 74 75 72 65 22 3a 32 31 2e 35 2c
    22 74 69 6d 65 22 3a 31 37 39 35 31 39 34 36 35 30 2e 35 7d
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from fnmatch import translate
from math import isfinite
from re import compile as compilePattern
from types import NoneType
from typing import Any

from msgspec import DecodeError, Struct
from msgspec.json import Decoder
from msgspec.json import encode as encodeJson

from sensord.wire import SAMPLE, Skipped
from sensord.wire.lines import END_OF_TIME
from sensord.wire.numbers import numbers, written

Value = int | float | bool | str

#: The longest payload in bytes. Without a limit, a text of many megabytes would be read to its end
#: while nobody else is served.
MAX_PAYLOAD = 256 * 1024

#: The most values of one payload. Each becomes a series of its own: without a limit, one message
#: could make a million of them.
MAX_VALUES = 256

#: The longest name and the longest text, in characters. Both are kept for ever.
MAX_NAME, MAX_TEXT = 200, 1000

#: How deep objects may lie in each other. Names grow with it.
_MAX_DEPTH = 8

#: How many names are remembered that are as they should be. Without a limit, a peer that makes up
#: names would fill the memory.
_MAX_SEEN = 10_000

#: What a payload that is one value is called.
VALUE = "value"

_BLANKS = b" \t\r\n"

_MAX_INT, _MIN_INT = 2**63 - 1, -(2**63)


class Payload(Struct, frozen=True, gc=False):
    """
    What a device said.

    @ivar values: names and values, all finite.
    @ivar time: when, in microseconds since the Unix epoch, if it said so.
    @ivar bad: what among it can be no value, and why.
    """

    values: Sequence[tuple[str, Value]]
    time: int | None = None
    bad: Sequence[Skipped] = ()


class PayloadReader:
    """
    Reads payloads.

    @param columns: the names of numbers between commas.
    @param time: the member that is the time; empty if there is none.
    @param zone: where it is that time, if a text does not say so.
    @param ignore: names that are passed over, with C{*} and C{?} as wildcards.
    """

    def __init__(
        self,
        zone: tzinfo,
        columns: Sequence[str] = (),
        time: str = "time",
        ignore: Sequence[str] = (),
    ) -> None:
        self._zone = zone
        self._columns = tuple(columns)
        self._names = list(columns)
        for place in range(len(columns) + 1, MAX_VALUES + 1):
            name = str(place)
            while name in self._columns:  # they share a time, so that one of them would be lost
                name += "_"
            self._names.append(name)
        self._time = time
        self._seen: set[str] = set()  # names of values
        self._ignored: Callable[[str], object] = lambda name: None
        if ignore:
            self._ignored = compilePattern("|".join(map(translate, ignore))).match

    def read(self, data: bytes) -> Payload | Skipped:
        """
        Read a payload. This never raises.
        """
        if len(data) > MAX_PAYLOAD:
            return _skipped(data, f"{len(data)} bytes are longer than {MAX_PAYLOAD}")
        text = data.strip(_BLANKS)
        if text[:1] == b"{":
            return self._object(text)
        if text in (b"true", b"false"):
            return Payload([(VALUE, text == b"true")])
        if text.count(b",") >= MAX_VALUES:
            return _skipped(data, f"more than {MAX_VALUES} values")
        values = numbers([field.strip(_BLANKS) for field in text.split(b",")])
        if values is None:
            return _skipped(data, "no JSON object, and not all are finite numbers")
        if len(values) == 1 and not self._columns:
            return Payload([(VALUE, values[0])])
        return Payload(list(zip(self._names, values, strict=False)))

    def _object(self, text: bytes) -> Payload | Skipped:
        try:
            found = _decode(text)
        except (DecodeError, RecursionError, UnicodeDecodeError) as error:
            return _skipped(text, f"no JSON: {str(error)[:100]}")
        return self.members(found, text)

    def members(self, found: Mapping[str, Any], text: bytes) -> Payload | Skipped:
        """
        The same for an object that is decoded already. This never raises.

        @param text: what to show of it if it is no payload.
        """
        values: list[tuple[str, Value]] = []
        bad: list[Skipped] = []
        time = None
        flat = not any(type(value) in (dict, list, NoneType) for value in found.values())
        for name, value in found.items() if flat else _members(found, "", 1):
            # This is the hot path: nearly all are numbers whose names were seen before.
            if name in self._seen and (type(value) is float or _small(value)):
                values.append((name, value))
            elif name == self._time and self._time:
                time = moment(value, self._zone)
                if time is None:
                    return _skipped(text, f"the time is no time in 1970..2199: {_sample(value)}")
            elif self._ignored(name):
                continue
            elif why := unfit(name, value):
                bad.append(_skipped(_sample(f"{name}: {value}").encode(errors="replace"), why))
            else:
                if len(self._seen) >= _MAX_SEEN:
                    self._seen.clear()
                self._seen.add(name)
                values.append((name, fitting(value)))
        if len(values) > MAX_VALUES:
            return _skipped(text, f"more than {MAX_VALUES} values")
        if not flat and len({name for name, _value in values}) < len(values):
            return _skipped(text, "two values of one name")  # "a.b" beside "b" within "a"
        return Payload(values, time, bad)


def encode(values: Mapping[str, Value], time: int | None = None) -> bytes:
    """
    The bytes of a payload, as a device says them.

    @param time: in microseconds since the Unix epoch.
    @raise ValueError: for a value that is not finite.
    """
    for value in values.values():
        if isinstance(value, float) and not isfinite(value):
            raise ValueError(f"{value} is not finite")
    return encodeJson({**values, **({} if time is None else {"time": time / 1e6})})


def command(variable: str, value: float) -> bytes:
    """
    The payload that sets a variable of a device: an object with this one member.
    """
    whole = value.is_integer() and abs(value) <= 2**53
    return b"{%b:%b}" % (encodeJson(variable), written(int(value) if whole else value).encode())


def moment(value: object, zone: tzinfo) -> int | None:
    """
    A time of the wire in microseconds since the Unix epoch; L{None} if it is none.

    @param value: seconds, or a text in the form of ISO 8601.
    @param zone: where it is that time, if a text does not say so.
    """
    try:
        if isinstance(value, str):
            date = datetime.fromisoformat(value)
            if date.tzinfo is None:
                date = date.replace(tzinfo=zone)
            value = date.timestamp()
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        time = round(value * 1_000_000)
    except (ValueError, OverflowError):
        return None
    return time if 0 <= time < END_OF_TIME * 1_000_000 else None


_decode = Decoder(dict[str, Any]).decode


def _members(found: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """
    What was measured, taken apart.
    """
    for name, value in found.items():
        if isinstance(value, dict):
            if depth < _MAX_DEPTH:
                yield from _members(value, f"{prefix}{name}.", depth + 1)
            else:
                yield f"{prefix}{name}", value
        elif not (value is None or isinstance(value, list)):
            yield f"{prefix}{name}", value


def unfit(name: str, value: object) -> str:
    """
    Why something cannot be stored; empty if it can.
    """
    if not name or len(name) > MAX_NAME or not name.isprintable():
        return f"its name is not of 1..{MAX_NAME} printable characters"
    if isinstance(value, dict):
        return f"more than {_MAX_DEPTH} objects in each other"
    if isinstance(value, str) and (len(value) > MAX_TEXT or "\0" in value):
        return f"a text of more than {MAX_TEXT} characters, or with a NUL in it"
    if isinstance(value, int) and not _MIN_INT <= value <= _MAX_INT and not _float(value):
        return "too large for a number"
    return ""


def _small(value: object) -> bool:
    return type(value) is int and _MIN_INT <= value <= _MAX_INT


def fitting(value: Any) -> Value:
    """
    A value as databases have room for it.
    """
    if isinstance(value, int) and not _MIN_INT <= value <= _MAX_INT:
        return float(value)
    made: Value = value
    return made


def _float(value: int) -> bool:
    try:
        return isfinite(float(value))
    except OverflowError:
        return False


def _sample(value: object) -> str:
    return repr(value)[:SAMPLE]


def _skipped(data: bytes, why: str) -> Skipped:
    return Skipped(data[:SAMPLE], why)

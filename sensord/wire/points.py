"""
points: the lines of InfluxDB, read. How they are written is in L{sensord.wire.lineprotocol}.

A line is a point::

    measurement[,tag=text ...] field=value[,field=value ...] [time]

Blanks before and behind it, empty lines, and lines that begin with C{#} mean nothing. A backslash
before a comma, a blank, an equals sign or a quote makes it part of a name. A value is a number
(C{24.5}, C{-3e2}), an integer C{7i} or C{7u}, C{t}, C{true}, C{T}, C{True}, C{TRUE} or the same of
false, or a text in quotes, in which a backslash stands before quotes and backslashes; the text may
have line ends in it. The time is whole and in the precision of the request: C{n} or C{ns} (unless
it says otherwise), C{u} or C{us}, C{ms}, C{s}, C{m}, C{h}; without one it is now.

Whose point it is, and what its readings are called, its tags say:

  - With a tag C{device}, this is the device: its other tags are taken for properties of it, and
    passed over. A field is called by the measurement and its own name with a dot between, and
    C{value} by the measurement alone.
  - With a tag C{host}, C{node} or C{source}, this is the device. Its other tags tell apart what is
    measured there, so that what they say, in the order of the tags, stands between the measurement
    and the field. If there are both, C{host} goes before C{device} where more is measured than
    C{value}: it is a part of that host then, such as a disk.
  - With none of them the measurement is the device. Fields have their own names, and tags are
    passed over.

A listener can have other tags than these, and some that are passed over everywhere. Examples::

    temperature,device=balcony,place=garden value=24.5 1795194651000000000
        balcony: temperature
    balcony,place=garden temperature=24.5,humidity=61i 1795194651000000000
        balcony: temperature, humidity
    cpu,cpu=cpu0,host=pi usage_idle=98.5,usage_user=1.5 1795194651000000000
        pi: cpu.cpu0.usage_idle, cpu.cpu0.usage_user
    disk,device=sda1,host=pi,path=/ used=5i 1795194651000000000
        pi: disk.sda1./.used

The first two are how our own sinks write. Two points that would be the same readings, but for tags
that were passed over, are not taken for one: the second is refused.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from fnmatch import translate
from typing import NamedTuple

from msgspec import Struct

from sensord.wire import SAMPLE, Skipped
from sensord.wire.lines import END_OF_TIME
from sensord.wire.numbers import number
from sensord.wire.payloads import MAX_VALUES, Value, fitting, unfit
from sensord.wire.push import Row, nameless

#: How many numbers of each precision make a microsecond, or how many microseconds make one.
_FINER = {"n": 1000, "ns": 1000}
_COARSER = {
    "u": 1,
    "us": 1,
    "µ": 1,
    "ms": 1000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
}

#: The precisions that there are.
PRECISIONS = (*_FINER, *_COARSER)

#: The tags that tell whose a point is, unless a listener has others.
DEVICE_TAGS = ("device", "host", "node", "source")

#: How many measurements with their tags are remembered, and how long one is. Without a limit, a
#: peer that makes up tags would fill the memory.
_MAX_HEADS, _MAX_HEAD = 10_000, 1000

#: How many quotes within a text are looked for that has line ends in it. Without a limit, a body of
#: texts that do not end would be read again for each of them.
_MAX_JOINS = 8

#: The most digits of a time. Without it, one of many thousand would take long to read.
_DIGITS = 20

_VALUE = "value"

_TRUTHS = {
    **dict.fromkeys(("t", "T", "true", "True", "TRUE"), True),
    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), False),
}

#: Where names end: at signs without a backslash before them.
_COMMA, _EQUALS = re.compile(r"(?<!\\),"), re.compile(r"(?<!\\)=")

#: What stands before the fields, and the blanks behind it.
_HEAD = re.compile(r"((?:[^ ]|(?<=\\) )++) ++")

#: A field: its name, and what is no text, or what is in quotes.
_FIELD = re.compile(
    r'((?:[^=, ]|(?<=\\)[=, ])++)=(?:"((?:[^"\\]|\\.)*+)"|([^", ]++))(,|(?= )|\Z)', re.DOTALL
)

#: A text, which may not be over.
_TEXT = re.compile(r'="(?:[^"\\]|\\.)*+("?)', re.DOTALL)

#: What stands for bytes that are no UTF-8.
_BROKEN = re.compile("[\udc80-\udcff]").search

_ESCAPED = re.compile(r'\\([,= "])')
_QUOTED = re.compile(r'\\(["\\])')
_INTEGER = re.compile("([+-]?[0-9]{1,20})i|([0-9]{1,20})u").fullmatch
_TIME = re.compile("-?[0-9]+").fullmatch


class Points(NamedTuple):
    """
    What stands in a body.

    @ivar events: a row for each line, or what is wrong with it.
    @ivar lines: the lines.
    """

    events: list[Row | Skipped]
    lines: list[str]


class _Head(Struct, frozen=True):
    """
    What stands before the fields.

    @ivar front: what stands before the name of a field, with a dot behind it; empty if nothing.
    @ivar alone: what a field is called that is C{value}; empty if by its own name.
    @ivar why: why it cannot be; empty if it can.
    """

    device: str
    front: str = ""
    alone: str = ""
    why: str = ""


class PointReader:
    """
    Reads lines.

    @param tags: those that tell whose a point is: the first one that is there.
    @param ignore: those that are passed over, with C{*} and C{?} as wildcards.
    """

    def __init__(self, tags: Sequence[str] = DEVICE_TAGS, ignore: Sequence[str] = ()) -> None:
        self._tags = tuple(tags)
        self._ignored: Callable[[str], object] = lambda tag: None
        if ignore:
            self._ignored = re.compile("|".join(map(translate, ignore))).match
        self._heads: dict[tuple[str, bool], _Head] = {}

    def read(self, data: bytes, precision: str = "ns") -> Points:
        """
        Read a body. This never raises.

        @param precision: one of L{PRECISIONS}.
        """
        made = Points([], [])
        seen: dict[tuple[str, tuple[str, ...], int], str] = {}
        text = data.decode(errors="surrogateescape")
        broken = not text.isascii() and _BROKEN(text) is not None
        for line in _lines(text):
            found = self._point(line, precision, seen, broken)
            pieces = [(line, found)]
            if isinstance(found, str) and "\n" in line:  # a text without an end has taken others in
                parts = line.split("\n")
                pieces = [(part, self._point(part, precision, seen, broken)) for part in parts]
            for part, event in pieces:
                if event is not None:
                    made.events.append(_skipped(part, event) if isinstance(event, str) else event)
                    made.lines.append(part)
        return made

    def _point(
        self,
        line: str,
        precision: str,
        seen: dict[tuple[str, tuple[str, ...], int], str],
        broken: bool,
    ) -> Row | str | None:
        """
        A row, or why a line is none; L{None} if it means nothing.

        @param broken: whether there may be bytes in it that are no UTF-8.
        """
        line = line.strip(" \t\r")
        if not line or line[0] == "#":
            return None
        if broken and _BROKEN(line):
            return "no UTF-8"
        try:
            head, fields, stamp = _plain(line) if not _odd(line) else _parts(line)
        except ValueError as error:
            return str(error)
        time = None
        if stamp:
            time = _moment(stamp, precision)
            if time is None:
                return f'"{stamp[:SAMPLE]}" is no time in 1970..2199, in {precision}'
        sole = len(fields) == 1 and fields[0][0] == _VALUE
        known = self._heads.get((head, sole)) or self._know(head, sole)
        if known.why:
            return known.why
        values = []
        for name, value in fields:
            name = known.alone if name == _VALUE and known.alone else known.front + name
            if why := unfit(name, value):
                return f"{name[:SAMPLE]}: {why}"
            values.append((name, fitting(value)))
        names = tuple(name for name, _value in values)
        if len(set(names)) < len(names):
            return "two fields of one name"
        if len(names) > MAX_VALUES:
            return f"more than {MAX_VALUES} fields"
        if time is not None and seen.setdefault((known.device, names, time), head) != head:
            return "another point of this device and time has other tags; see device_tags"
        return Row(known.device, values, time)

    def _know(self, head: str, sole: bool) -> _Head:
        """
        What stands before the fields, and what it means.

        @param sole: whether there is one field, C{value}.
        """
        known = self._read(head, sole)
        if len(head) <= _MAX_HEAD:
            if len(self._heads) >= _MAX_HEADS:
                self._heads.clear()
            self._heads[head, sole] = known
        return known

    def _read(self, head: str, sole: bool) -> _Head:
        first, *rest = _COMMA.split(head)
        measurement = _unescape(first)
        if measurement.startswith("\\#"):
            measurement = measurement[1:]
        tags: dict[str, str] = {}
        for text in rest:
            parts = _EQUALS.split(text, 1)
            if len(parts) < 2 or not all(parts):
                return _Head("", why="a tag without a name or without a text")
            name = _unescape(parts[0])
            if name in tags:
                return _Head("", why=f'two tags "{name[:SAMPLE]}"')
            tags[name] = _unescape(parts[1])
        if not measurement:
            return _Head("", why="there is no measurement")
        found = self._owner(tags, sole)
        device = tags.pop(found) if found else measurement
        if why := nameless(device):
            return _Head("", why=why)
        if not found:
            return _Head(device)
        words = [measurement]
        if found != "device":
            words += (text for name, text in sorted(tags.items()) if not self._ignored(name))
        alone = ".".join(words)
        return _Head(device, "" if alone == device else f"{alone}.", alone)

    def _owner(self, tags: dict[str, str], sole: bool) -> str:
        """
        The tag that tells whose a point is; empty if none does.
        """
        found = next((tag for tag in self._tags if tag in tags), "")
        if found == "device" and not sole and "host" in tags and "host" in self._tags:
            return "host"
        return found


def _lines(text: str) -> Iterator[str]:
    """
    The lines of a body. A line end in a text does not end its line.
    """
    lines = text.split("\n")
    if '"' not in text:
        yield from lines
        return
    quotes = [place for place, line in enumerate(lines) if '"' in line]
    place = 0
    while place < len(lines):
        end = place + 1
        if '"' in lines[place]:
            end = _end(lines, quotes, place)
        yield "\n".join(lines[place:end])
        place = end


def _end(lines: Sequence[str], quotes: Sequence[int], place: int) -> int:
    """
    Where a line ends: behind itself, or behind the others that a text in it takes in.

    @param quotes: the places of those with quotes in them.
    @param place: that of the line.
    """
    after = bisect_right(quotes, place)
    for end in (place, *quotes[after : after + _MAX_JOINS]):
        if not _open("\n".join(lines[place : end + 1])):
            return end + 1
    return place + 1


def _open(line: str) -> bool:
    """
    Whether a line ends within a text.
    """
    head = _HEAD.match(line)
    ends = [match[1] for match in _TEXT.finditer(line, head.end())] if head else []
    return bool(ends) and not ends[-1]


def _skipped(line: str, why: str) -> Skipped:
    return Skipped(line.encode(errors="surrogateescape")[:SAMPLE], why)


def _odd(line: str) -> bool:
    return "\\" in line or '"' in line or "  " in line


def _plain(line: str) -> tuple[str, list[tuple[str, Value]], str]:
    """
    The head, the fields and the time of a line in which nothing is escaped or in quotes.

    @raise ValueError: if it is none.
    """
    parts = line.split(" ")
    if not 2 <= len(parts) <= 3:
        raise ValueError("there are no fields" if len(parts) < 2 else "too many parts")
    fields = []
    for text in parts[1].split(","):
        name, equals, word = text.partition("=")
        if not (name and equals):
            raise ValueError("a field without a name or without a value")
        fields.append((name, _value(word)))
    return parts[0], fields, parts[2] if len(parts) == 3 else ""


def _parts(line: str) -> tuple[str, list[tuple[str, Value]], str]:
    """
    The same of any line.
    """
    head = _HEAD.match(line)
    if head is None:
        raise ValueError("there are no fields")
    fields: list[tuple[str, Value]] = []
    place, more = head.end(), ","
    while more == ",":
        match = _FIELD.match(line, place)
        if match is None:
            raise ValueError("a field is none")
        name, text, word, more = match.groups()
        value = _value(word) if text is None else _QUOTED.sub(r"\1", text)
        fields.append((_unescape(name), value))
        place = match.end()
    stamp = line[place:].strip(" ")
    if " " in stamp:
        raise ValueError("too many parts")
    return head[1], fields, stamp


def _value(word: str) -> Value:
    """
    What is no text.

    @raise ValueError: if it is nothing else either.
    """
    if word in _TRUTHS:
        return _TRUTHS[word]
    match = _INTEGER(word)
    if match is not None:
        whole = int(match[1] or match[2])
        if not (-(2**63) <= whole < 2**63 if match[1] else whole < 2**64):
            raise ValueError(f'"{word}" does not fit 64 bits')
        return whole
    value = number(word.encode(errors="replace"))
    if value is None:
        raise ValueError(f'"{word[:SAMPLE]}" is no value')
    return value


def _moment(stamp: str, precision: str) -> int | None:
    """
    A time in microseconds since the Unix epoch; L{None} if it is none.
    """
    if len(stamp) > _DIGITS or not _TIME(stamp):
        return None
    finer = _FINER.get(precision)
    time = int(stamp) // finer if finer else int(stamp) * _COARSER[precision]
    return time if 0 <= time < END_OF_TIME * 1_000_000 else None


def _unescape(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text

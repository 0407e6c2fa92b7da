"""
lineprotocol: the text in which InfluxDB, and what is compatible with it, takes in points.

A line is a point, and LF ends it::

    measurement[,tag=text ...] field=value[,field=value ...] time

    ===========  ==========================================================================
    part         meaning
    ===========  ==========================================================================
    measurement  a name
    tag=text     two names each, in the order of the tags; an empty text is left out
    field        a name
    value        a float C{24.5}, an integer C{7i}, C{true} or C{false}, or a text in quotes
    time         since the Unix epoch, here in microseconds
    ===========  ==========================================================================

Example, in the layouts C{measurement} and C{device}::

    temperature,device=balcony,place=garden value=24.5 1795194651000000
    balcony,place=garden temperature=24.5,humidity=61.0 1795194651000000

In names a backslash stands before blanks and commas, in all but measurements also before equals
signs, and in fields before quotes (VictoriaMetrics keeps that one, and drops the line without it).
In texts it stands before quotes and backslashes. What names cannot contain is written as near as
possible, so that it breaks neither its line nor the next ones:

  - control characters and line ends as C{\\n}, C{\\t} or C{\\x1f}; line ends in texts also, as some
    servers end a line there;
  - a backslash where servers would take it for something else, at the end, before another or before
    one of those signs, as the wide backslash of CJK, U+FF3C;
  - a measurement that begins with C{#}, which would make the line a comment, with a backslash
    before it.

An integer is written as a float unless it is asked for otherwise: a series whose values are
sometimes whole would else have two types, which servers do not take.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from msgspec import json

#: What names have instead of control characters.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127)} | {
    ord(sign): text for sign, text in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))
}

#: A backslash that would not stand for itself.
_DOUBTFUL = re.compile(r'\\(?=[\\ ,="]|\Z)')

_QUOTED = "unable to parse '"
_DROPPED = re.compile(r"\bdropped=(\d{1,9})\s*\Z")
_OLD = "points beyond retention policy"

#: The field that nobody can have: servers leave it out and say nothing.
_RESERVED = "time"


class Series(Protocol):
    """
    What a reading is one of.
    """

    @property
    def device(self) -> str:
        """
        The name of the device.
        """

    @property
    def name(self) -> str:
        """
        What was measured.
        """

    @property
    def tags(self) -> Mapping[str, str]:
        """
        What else is known of the device.
        """


class Entry(Protocol):
    """
    A reading.
    """

    @property
    def series(self) -> Series:
        """
        What it is one of.
        """

    @property
    def time(self) -> int:
        """
        Microseconds since the epoch, UTC.
        """

    @property
    def value(self) -> float | int | bool | str:
        """
        A finite number, a truth value or a text.
        """


class Lines(NamedTuple):
    """
    Some readings as lines.

    @ivar texts: the lines, without their ends.
    @ivar firsts: for each the place of its first reading; the others follow it.
    """

    texts: list[str]
    firsts: Sequence[int]

    def body(self) -> bytes:
        """
        The bytes of all.
        """
        # Half a surrogate pair is no character; to fail for it would hold up all others.
        return ("\n".join(self.texts) + "\n").encode(errors="replace")


class Encoder:
    """
    Makes points of readings, and finds those that a server complains of.

    @param wide: whether a device is a measurement with a field for each reading, and readings of
        one device and moment that stand together are one point. Otherwise each name of readings is
        a measurement, with one field C{value}, and the device is a tag.
    @param integers: whether integers stay integers.
    """

    def __init__(self, wide: bool = False, integers: bool = False) -> None:
        self._wide = wide
        self._integers = integers

    def encode(self, entries: Sequence[Entry]) -> Lines:
        """
        The lines of some readings.
        """
        return self._points(entries) if self._wide else self._each(entries)

    def unwritable(self, entries: Sequence[Entry]) -> list[int]:
        """
        The places of the readings that some servers would lose without a word: those without a
        name, and fields called C{time}.
        """
        return [
            place
            for place, entry in enumerate(entries)
            if not (name := entry.series.name)
            or (self._wide and (name == _RESERVED or not entry.series.device))
        ]

    def suspects(self, message: str, entries: Sequence[Entry]) -> list[int]:
        """
        The places of the readings that a server may mean with a complaint about one field or tag.
        In parts of its storage that it does not name, readings like them may be fine.
        """
        known: dict[tuple[int, type], bool] = {}
        found = []
        for place, entry in enumerate(entries):
            key = id(entry.series), entry.value.__class__
            if key not in known:
                known[key] = self._meant(message, entry)
            if known[key]:
                found.append(place)
        return found

    def _each(self, entries: Sequence[Entry]) -> Lines:
        heads: dict[int, str] = {}
        texts = []
        for entry, value in zip(entries, self._values(entries), strict=True):
            series = entry.series
            head = heads.get(id(series))
            if head is None:
                key, field = self._head(series)
                head = heads[id(series)] = f"{key} {field}"
            texts.append(f"{head}{value} {entry.time}")
        return Lines(texts, range(len(texts)))

    def _points(self, entries: Sequence[Entry]) -> Lines:
        heads: dict[int, tuple[str, str]] = {}
        texts: list[str] = []
        firsts: list[int] = []
        fields: list[str] = []
        last: tuple[str, int] | None = None
        for place, (entry, value) in enumerate(zip(entries, self._values(entries), strict=True)):
            head = heads.get(id(entry.series))
            if head is None:
                head = heads[id(entry.series)] = self._head(entry.series)
            key, field = head
            if last != (key, entry.time):
                if last is not None:
                    texts.append(f"{last[0]} {','.join(fields)} {last[1]}")
                last = key, entry.time
                firsts.append(place)
                fields = []
            fields.append(field + value)
        if last is not None:
            texts.append(f"{last[0]} {','.join(fields)} {last[1]}")
        return Lines(texts, firsts)

    def _parts(self, series: Series) -> tuple[str, Mapping[str, str], str]:
        """
        The measurement, the tags and the field of a series.
        """
        if self._wide:
            return series.device, series.tags, series.name
        return series.name, {**series.tags, "device": series.device}, "value"

    def _head(self, series: Series) -> tuple[str, str]:
        """
        What stands before the fields, and before the value of one.
        """
        measurement, tags, field = self._parts(series)
        # Names that differ only in what cannot be written are one.
        pairs = {_name(name): _name(text) for name, text in sorted(tags.items()) if name and text}
        head = _escape(_measurement(measurement), " ,")
        key = ",".join([head, *(f"{name}={text}" for name, text in pairs.items())])
        return key, _escape(cleaned(field), ' ,="') + "="

    def _values(self, entries: Sequence[Entry]) -> Sequence[str]:
        """
        The texts of the values.
        """
        if entries and not self._integers:
            # JSON writes all but texts in the same way, and does it faster.
            with suppress(UnicodeEncodeError):
                values = json.encode([entry.value for entry in entries])
                if b'"' not in values:
                    return values[1:-1].decode().split(",")
        return [self._value(entry.value) for entry in entries]

    def _value(self, value: float | int | bool | str) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int):
            return f"{value}i" if self._integers else f"{value}"
        if isinstance(value, float):
            return json.encode(value).decode()
        text = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\\\n")
        return f'"{text}"'

    def _type(self, value: float | int | bool | str) -> str:
        """
        What servers call the type of a value.
        """
        if isinstance(value, bool):
            return "boolean"
        if isinstance(value, str):
            return "string"
        return "integer" if isinstance(value, int) and self._integers else "float"

    def _meant(self, message: str, entry: Entry) -> bool:
        measurement, tags, field = self._parts(entry.series)
        where = f'on measurement "{_measurement(measurement)}" is '
        phrases = [
            f'field "{cleaned(field)}" {where}type {self._type(entry.value)},',
            f'field "{cleaned(field)}" {where}invalid',
            *(f'tag "{cleaned(name)}" {where}invalid' for name in tags),
        ]
        return any(f"input {phrase}" in message for phrase in phrases)


def quoted(message: str, texts: Sequence[str]) -> dict[str, str]:
    """
    The lines that a server could not read, each with the reason.

    @param message: the complaint, which quotes them as they were sent.
    @param texts: the lines that were sent.
    """
    known = set(texts)
    lengths = set(map(len, known))
    found = {}
    for piece in message.split(_QUOTED)[1:]:
        end = piece.find("': ")
        while end >= 0 and not (end in lengths and piece[:end] in known):
            end = piece.find("': ", end + 1)
        if end >= 0:
            found[piece[:end]] = _DROPPED.sub("", piece[end + 3 :]).strip()
    return found


def dropped(message: str) -> int | None:
    """
    How many points a server did not take; L{None} if it does not say.
    """
    match = _DROPPED.search(message)
    return int(match[1]) if match else None


def outdated(message: str) -> bool:
    """
    Whether a server dropped points since they are older than what it keeps.
    """
    return _OLD in message


def cleaned(name: str) -> str:
    """
    A name as servers have it: like ours, apart from what cannot be written.
    """
    if not name.isprintable():
        name = name.translate(_CONTROLS)
    return _DOUBTFUL.sub("\uff3c", name) if "\\" in name else name


def _measurement(name: str) -> str:
    return f"\\{cleaned(name)}" if name.startswith("#") else cleaned(name)


def _name(name: str) -> str:
    return _escape(cleaned(name), " ,=")


def _escape(text: str, signs: str) -> str:
    for sign in signs:
        text = text.replace(sign, f"\\{sign}")
    return text

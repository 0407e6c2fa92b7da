"""
What the toolbox writes: tables for people, CSV and JSON for programs.
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import IO

from msgspec import json

from sensord.quarantine import Redecoded
from sensord.settings import span
from sensord.simulate import Fleet
from sensord.store.archive import Exported, Held
from sensord.store.audit import Audit
from sensord.wire import esp8266

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: What the units of a time that has passed are made of.
_AGES = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))

#: The first time that the database can hold.
_FIRST = -(2**63)


def balance(outcome: Audit) -> Iterator[str]:
    """
    The ledger as a table, and its totals against the rows.
    """
    columns = ("received", "committed", "duplicate", "rejected", "quarantined")
    rows = [
        (one.listener, *(getattr(one, column) for column in columns)) for one in outcome.accounts
    ]
    totals = [sum(row[place] for row in rows) for place in range(1, len(columns) + 1)]
    yield from table([("listener", *columns), *rows, ("total", *totals)])
    yield ""
    if outcome.sinks:
        columns = ("committed", "delivered", "dead", "expired", "backlog")
        rows = [(one.sink, *(getattr(one, column) for column in columns)) for one in outcome.sinks]
        yield from table([("sink", *columns), *rows])
        for one in outcome.sinks:
            if one.dropped:
                yield f"{one.sink}: {one.dropped} of those expired were dropped as dead letters"
        yield ""
    kept = outcome.readings + outcome.expired
    sign = "=" if totals[1] == kept else "!="
    yield f"committed {totals[1]} {sign} {outcome.readings} stored + {outcome.expired} expired"
    kept = outcome.held + outcome.dropped
    sign = "=" if totals[4] == kept else "!="
    yield f"quarantined {totals[4]} {sign} {outcome.held} held + {outcome.dropped} dropped"


def details(held: Held) -> Iterator[str]:
    """
    All about a quarantined frame.
    """
    rows: list[tuple[object, ...]] = [
        ("id", f"{held.id}"),
        ("time", iso(held.time)),
        ("listener", held.listener),
        ("peer", held.peer),
        ("wire", held.wire),
        ("why", held.why),
    ]
    if held.wire == "esp8266":
        rows += _packet(held.data)
    yield from table(rows)
    yield ""
    for start in range(0, len(held.data), 16):
        yield f"{start:04x}  {held.data[start : start + 16].hex(' ')}"


def _packet(data: bytes) -> Iterator[tuple[str, str]]:
    """
    What the header of an esp8266 packet says.
    """
    parser = esp8266.PacketParser()
    for packet in (*parser.feed(data), *parser.close()):
        if isinstance(packet, esp8266.Packet):
            yield "device", f"{packet.device}"
            yield "sensors", f"{packet.sensors}"
            yield "measurements", f"{packet.count} of {packet.size} bytes"
            yield "measured", f"every {packet.interval} s"
            yield "delivered", f"every {packet.wake} s"


def redecoded(outcome: Redecoded) -> Iterator[str]:
    """
    What came of decoding the quarantine again.
    """
    frames, readings = _many(outcome.resolved, "frame"), _many(outcome.readings, "reading")
    yield f"{frames} became {readings}, {len(outcome.left)} left"
    for id, why in outcome.left.items():
        yield f"  {id}: {why}"


def table(rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """
    The lines of a table; numbers stand at the right.
    """
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)]
    right = [isinstance(cell, int) for cell in rows[-1]]
    for row in rows:
        cells = zip(row, widths, right, strict=True)
        yield "  ".join(
            str(cell).rjust(width) if numeric else str(cell).ljust(width)
            for cell, width, numeric in cells
        ).rstrip()


def iso(time: int) -> str:
    """
    A time in ISO 8601, in UTC.

    @param time: in microseconds since the epoch; one beyond the calendar stays a number.
    """
    try:
        moment = _EPOCH + timedelta(microseconds=time)
    except OverflowError:
        return str(time)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def ago(heard: int | None, now: float) -> str:
    """
    How long ago something was, in the largest unit that it fills twice.

    @param heard: in microseconds since the epoch; L{None} is never.
    @param now: in seconds since the epoch.
    """
    if heard is None:
        return "never"
    seconds = max(0, int(now - heard / 1e6))
    size, unit = next((one for one in _AGES if seconds >= 2 * one[0]), _AGES[-1])
    return f"{seconds // size} {unit} ago"


def plain(text: str, keep: str = "") -> str:
    """
    A text that a terminal can be shown. What devices send may contain anything, and control
    characters would let it move the cursor, forge lines or worse.

    @param keep: the control characters that stay.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in keep else one.encode("unicode_escape").decode()
        for one in text
    )


def summary(fleet: Fleet) -> str:
    """
    What a fleet has done, in a line.
    """
    parts = [
        f"{fleet.devices} devices sent {fleet.sent} messages with {fleet.readings} readings",
        f"{fleet.refused} connections failed{_because(fleet.why)}",
    ]
    if fleet.cut:
        closed = f"{_many(fleet.cut, 'connection')} that the other side closed at once"
        parts.append(f"{_many(fleet.wasted, 'message')} lost with {closed}{_because(fleet.ending)}")
    if fleet.denied:
        parts.append(f"{_many(fleet.denied, 'message')} refused{_because(fleet.objection)}")
    if fleet.lost:
        parts.append(f"{fleet.lost} measurements were lost")
    return plain("; ".join(parts))


def moment(text: str, now: float) -> int | None:
    """
    The time that a text means: one in ISO 8601, in UTC unless it says otherwise, or a span before
    now.

    @param now: in seconds since the epoch.
    @return: in microseconds since the epoch; L{None} for C{forever}.
    @raise ValueError: if it means none.
    """
    try:
        ago = span(text)
    except ValueError:
        pass
    else:
        return None if ago is None else round(max((now - ago) * 1e6, _FIRST))
    try:
        said = datetime.fromisoformat(text)
        said = said if said.tzinfo else said.replace(tzinfo=UTC)
        return (said - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError) as error:
        example = '"2025-11-20T18:00", "2h" or "7d"'
        raise ValueError(f'"{text}" is no time; write e.g. {example}') from error


def _csv(out: IO[str]) -> Callable[[Sequence[Exported]], None]:
    """
    See L{FORMATS}.
    """
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("time", "device", "name", "value", "unit", "clock"))

    def write(page: Sequence[Exported]) -> None:
        for one in page:
            fields = _fields(one)
            if isinstance(value := fields["value"], bool):
                fields["value"] = str(value).lower()
            writer.writerow(fields.values())

    return write


def _jsonl(out: IO[str]) -> Callable[[Sequence[Exported]], None]:
    """
    See L{FORMATS}.
    """
    encode = json.Encoder().encode
    return lambda page: out.writelines(f"{encode(_fields(one)).decode()}\n" for one in page)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _because(why: str) -> str:
    return f" ({why})" if why else ""


def _fields(one: Exported) -> dict[str, object]:
    reading = one.reading
    return {
        "time": iso(reading.time),
        "device": reading.device,
        "name": reading.name,
        "value": reading.value,
        "unit": one.unit,
        "clock": reading.clock.value,
    }


#: What writes each format: given a file, a function that takes a page of readings.
FORMATS: Mapping[str, Callable[[IO[str]], Callable[[Sequence[Exported]], None]]] = {
    "csv": _csv,
    "jsonl": _jsonl,
}

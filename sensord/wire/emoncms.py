"""
emoncms: rows as emoncms takes them, by the parameters of a request or by those in its body.

One row, at C{/input/post}: C{node} is the device (C{0} without one), C{time} its time in seconds
since the Unix epoch or in the form of ISO 8601, and without it it is now. What was measured is one
of these:

    ============  =========================  =================================================
    parameter     example                    meaning
    ============  =========================  =================================================
    fulljson      {"power":100,"on":true}    JSON as in L{payloads<sensord.wire.payloads>},
                                             C{time} among it
    json          {power:100,voltage:230.1}  names and numbers; braces and quotes mean nothing
    csv           100,200                    numbers, called by their places from C{1} on
    data          {power:100} or 100,200     the latter two
    ============  =========================  =================================================

Many rows, at C{/input/bulk}: C{data} is a list of C{[time, node, value, ...]}. A value is a number,
called by its place from C{1} on, or an object of names and numbers; C{null} measures nothing, and
keeps its place. Of these parameters the first one that is there says what the times mean:

    =========  ===================================================================================
    sentat     the time of sending, by the same clock: only the difference to it counts
    offset     the same by another name, for times that are counted from somewhere
    time       what is added to the times, in seconds since the Unix epoch; 0 if they are that
    (none)     the last row is of now
    =========  ===================================================================================

A clock that shows in C{sentat} that it is right to three seconds is believed, so that what is sent
again has the same times as before. With C{cb=1} the body is the list, packed by zlib. Rows of one
node and second that have something in common are all kept, a microsecond apart.

Numbers may stand in quotes. Texts are values where they stand in JSON, and of C{fulljson} only.
Example, two ways to say that node 10 measured 250 W, five seconds ago::

    /input/post?node=10&json={power:250}&time=1795194650
    /input/bulk?data=[[1795194650,10,{"power":250}]]&sentat=1795194655
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from typing import Any

from msgspec import DecodeError, Struct, structs
from msgspec.json import Decoder
from msgspec.json import encode as encodeJson

from sensord.wire import SAMPLE, Skipped
from sensord.wire.lines import END_OF_TIME
from sensord.wire.numbers import number
from sensord.wire.payloads import MAX_VALUES, PayloadReader, Value, fitting, moment, unfit
from sensord.wire.push import MAX_ROWS, Row, nameless

#: By how many seconds a clock may be wrong that is believed: no more than a request takes.
_RIGHT = 3.0

#: The node of those that say none.
_NODE = "0"

#: The parameters of what was measured, in this order.
_LOOSE = ("json", "csv", "data")

#: What means nothing around names and numbers.
_AROUND = " \t\r\n\"'{}"

_SECOND = 1_000_000

#: The least of a row: a time, a node and a value.
_LEAST = 3


class _Reference(Struct, frozen=True):
    """
    What the times of rows are counted from.

    @ivar start: added to them, in seconds since the Unix epoch.
    @ivar backdated: whether that depends on the moment at which they arrived.
    """

    start: float
    backdated: bool


class RowReader:
    """
    Reads rows.
    """

    def __init__(self) -> None:
        self._reader = PayloadReader(UTC)

    def post(self, parameters: Mapping[str, str], node: str = "") -> list[Row | Skipped]:
        """
        One row. This never raises.

        @param node: the device that the path names.
        """
        full = parameters.get("fulljson", "")
        loose = next((text for key in _LOOSE if (text := parameters.get(key, ""))), "")
        shown = (full or loose).encode(errors="replace")[:SAMPLE]
        device = node or parameters.get("node", "").strip() or _NODE
        if why := nameless(device):
            return [Skipped(shown, why)]
        time = None
        if said := parameters.get("time", "").strip():
            time = moment(_number(said), UTC)
            if time is None:
                return [Skipped(shown, f"the time is no time in 1970..2199: {said[:SAMPLE]}")]
        if not (full or loose):
            return [Skipped(b"", "there is no data: fulljson, json, csv or data")]
        if not full:
            return [_row(device, _pairs(loose), time)]
        data = full.strip().encode(errors="replace")
        payload = self._reader.read(data) if data[:1] == b"{" else None
        if payload is None:
            return [Skipped(shown, "fulljson is no object of JSON")]
        if isinstance(payload, Skipped):
            return [payload]
        values = [(name, _number(value)) for name, value in payload.values]
        return [Row(device, values, payload.time if time is None else time, False, payload.bad)]

    def bulk(self, parameters: Mapping[str, str], data: bytes, now: float) -> list[Row | Skipped]:
        """
        Many rows. This never raises.

        @param data: the list.
        @param now: in seconds since the Unix epoch.
        """
        try:
            found = _decode(data)
        except (DecodeError, UnicodeDecodeError, RecursionError) as error:
            return [Skipped(data[:SAMPLE], f"no list of rows in JSON: {str(error)[:100]}")]
        if not found:
            return []
        if len(found) > MAX_ROWS:
            return [Skipped(data[:SAMPLE], f"more than {MAX_ROWS} rows at once")]
        reference = _reference(parameters, found, now)
        if isinstance(reference, str):
            return [Skipped(data[:SAMPLE], reference)]
        return list(_apart(_listed(one, reference) for one in found))


def encode(rows: Sequence[tuple[float, str, Mapping[str, float]]]) -> bytes:
    """
    The bytes of a list of rows, each a time in seconds, a node, and numbers by their names.
    """
    return encodeJson(
        [[time, node, *({name: value} for name, value in got.items())] for time, node, got in rows]
    )


_decode = Decoder(list[Any]).decode


def _reference(parameters: Mapping[str, str], rows: list[Any], now: float) -> _Reference | str:
    """
    What the times of rows are counted from, or why that cannot be told.
    """
    for key in ("sentat", "offset", "time"):
        if not (text := parameters.get(key, "").strip()):
            continue
        said = number(text.encode(errors="replace"))
        if said is None or abs(said) > END_OF_TIME:
            return f"{key} is no number of seconds: {text[:SAMPLE]}"
        if key == "time":
            return _Reference(said, False)
        if abs(now - said) <= _RIGHT:
            return _Reference(0, False)
        # Whole seconds, as they are said: else what is sent again would always be another moment.
        return _Reference(int(now) - said, True)
    last = rows[-1]
    newest = _seconds(last[0]) if isinstance(last, list) and last else None
    return "the last row has no time" if newest is None else _Reference(now - newest, True)


def _listed(found: object, reference: _Reference) -> Row | Skipped:
    """
    A row of many.
    """
    if not isinstance(found, list) or len(found) < _LEAST:
        return Skipped(_sample(found), "a row is a list of a time, a node and values")
    said, node = _seconds(found[0]), found[1]
    if said is None or (time := moment(reference.start + said, UTC)) is None:
        return Skipped(_sample(found), "the time is no time in 1970..2199")
    if isinstance(node, bool) or not isinstance(node, int | float | str):
        return Skipped(_sample(found), "the node of a row is no number and no text")
    if not isinstance(node, str) and abs(node) >= 2**63:
        return Skipped(_sample(found), "the node of a row is too large a number")
    device = node.strip() if isinstance(node, str) else f"{node:.15g}"
    if why := nameless(device):
        return Skipped(_sample(found), why)
    pairs: list[tuple[str, object]] = []
    place = 1
    for value in found[2:]:
        if isinstance(value, dict):
            pairs += value.items()
        else:
            pairs.append((str(place), value))
            place += 1
    row = _row(device, pairs, time)
    return structs.replace(row, backdated=reference.backdated) if isinstance(row, Row) else row


def _row(device: str, pairs: Sequence[tuple[str, object]], time: int | None) -> Row | Skipped:
    """
    A row of numbers; what is none of them is taken out.
    """
    values: dict[str, Value] = {}
    bad = []
    if len(pairs) > MAX_VALUES:
        return Skipped(_sample([device]), f"more than {MAX_VALUES} values")
    for name, said in pairs:
        value = _number(said)
        if value is None:
            continue
        why = "" if isinstance(value, int | float) else "it is no number"
        why = why or ("two values of one name" if name in values else unfit(name, value))
        if why:
            bad.append(Skipped(_sample({name: said}), why))
        else:
            values[name] = fitting(value)
    return Row(device, list(values.items()), time, False, bad)


def _pairs(text: str) -> list[tuple[str, object]]:
    """
    Names and numbers between commas; those without a name are called by their places.
    """
    found: list[tuple[str, object]] = []
    place = 1
    for part in text.split(",", MAX_VALUES + 1):
        name, colon, value = part.partition(":")
        if colon:
            found.append((name.strip(_AROUND), value.strip(_AROUND)))
        else:
            found.append((str(place), name.strip(_AROUND)))
            place += 1
    return found


def _apart(rows: Iterator[Row | Skipped]) -> Iterator[Row | Skipped]:
    """
    Rows with times of their own, where they would be the same readings.
    """
    counts: dict[tuple[str, int, str], int] = {}
    for row in rows:
        if isinstance(row, Row) and row.time is not None:
            keys = [(row.device, row.time, name) for name, _value in row.values]
            count = max((counts.get(key, 0) for key in keys), default=0)
            counts.update(dict.fromkeys(keys, count + 1))
            if count:
                row = structs.replace(row, time=row.time + count)
        yield row


def _number(value: Any) -> Any:
    """
    A number that may stand in quotes, or else the same.
    """
    if isinstance(value, str):
        found = number(value.strip().encode(errors="replace"))
        return value if found is None else found
    return value


def _seconds(found: object) -> int | float | None:
    """
    A time of a row, or one that rows are counted from; L{None} if it is none.
    """
    said = _number(found)
    if isinstance(said, bool) or not isinstance(said, int | float):
        return None
    return said if abs(said) < END_OF_TIME else None


def _sample(found: object) -> bytes:
    """
    What is shown of something that is none.
    """
    try:
        return re.sub(rb"\s+", b" ", encodeJson(found)[:SAMPLE])
    except (UnicodeEncodeError, RecursionError, OverflowError, ValueError):
        return repr(type(found)).encode()

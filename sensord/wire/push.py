"""
push: readings that devices push by HTTP, and where to.

    =======================  =========  ======================================================
    path                     method     what is said there
    =======================  =========  ======================================================
    /api/v1/readings         POST       JSON, see below
    /write, /api/v2/write    POST       lines, as InfluxDB takes them: L{sensord.wire.points}
    /query                   POST, GET  C{CREATE DATABASE}, which those say who write lines
    /ping                    GET, HEAD  nothing: whether somebody is there
    /input/post              GET, POST  one row, as emoncms takes it: L{sensord.wire.emoncms}
    /input/bulk              GET, POST  many of them
    =======================  =========  ======================================================

The last two may have C{.json} behind them, and C{/emoncms} before them, where emoncms often is;
behind C{/input/post} may stand C{/} and the node.

The JSON is an object, or a list of them. C{device} says who it is, or else the parameter C{device}
of the request. C{time} says when, in seconds since the Unix epoch or in the form of ISO 8601, and
in UTC unless it says otherwise; without it, it is now. What else is in the object is what was
measured, as in L{payloads<sensord.wire.payloads>} of MQTT: objects within are taken apart, their
names joined by dots. Members of C{values} have no name before theirs. An object with C{name} and
C{value} is one reading.

Example, three ways to say that it was 21.5 degrees in the kitchen at 2026-11-20T17:10:50.5Z::

    {"device": "kitchen", "temperature": 21.5, "time": 1795194650.5}
    {"device": "kitchen", "values": {"temperature": 21.5}, "time": "2026-11-20T17:10:50.5Z"}
    [{"device": "kitchen", "name": "temperature", "value": 21.5, "time": 1795194650.5}]

Outside of HTTP (for tools) rows are such a list, with a C{device} in each object.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from enum import Enum
from typing import Any
from urllib.parse import unquote_to_bytes

from msgspec import DecodeError, Struct
from msgspec.json import Decoder
from msgspec.json import encode as encodeJson

from sensord.wire import SAMPLE, Skipped
from sensord.wire.payloads import Payload, PayloadReader, Value

#: The longest id of a device, in characters. It is kept for ever.
MAX_ID = 200

#: The most rows of a request. A body of a megabyte could have a hundred thousand, and nobody else
#: is served while they are read.
MAX_ROWS = 20_000

#: The most bytes that are read outside of HTTP. Without a limit, they would fill the memory.
_MAX_BYTES = 2**20

#: What objects say beside what was measured.
_DEVICE, _TIME, _VALUES = "device", "time", "values"

#: The members of an object that is one reading.
_SINGLE = ({"name", "value"}, {"name", "value", "time"})


class Form(Enum):
    """
    What is said at a path.
    """

    #: Objects of JSON.
    JSON = "json"
    #: Lines of InfluxDB.
    LINES = "lines"
    #: Statements of InfluxDB.
    QUERY = "query"
    #: Nothing.
    PING = "ping"
    #: One row of emoncms.
    POST = "post"
    #: Many of them.
    BULK = "bulk"


class Place(Struct, frozen=True):
    """
    What a path means.

    @ivar methods: how it can be asked.
    @ivar node: the device that it names; empty without one.
    """

    form: Form
    methods: tuple[bytes, ...]
    node: str = ""


_BOTH = (b"GET", b"POST")

_PLACES = {
    b"/api/v1/readings": Place(Form.JSON, (b"POST",)),
    b"/write": Place(Form.LINES, (b"POST",)),
    b"/api/v2/write": Place(Form.LINES, (b"POST",)),
    b"/query": Place(Form.QUERY, _BOTH),
    b"/ping": Place(Form.PING, (b"GET", b"HEAD")),
    b"/input/post": Place(Form.POST, _BOTH),
    b"/input/post.json": Place(Form.POST, _BOTH),
    b"/input/bulk": Place(Form.BULK, _BOTH),
    b"/input/bulk.json": Place(Form.BULK, _BOTH),
}

#: All paths, but for those that name a node.
PATHS = frozenset(_PLACES)

_EMONCMS, _NAMING = b"/emoncms", b"/input/post/"


def place(path: bytes) -> Place | None:
    """
    What a path of a request means; L{None} if nothing can be pushed there.
    """
    found = _PLACES.get(path)
    if found is not None:
        return found
    path = path.removeprefix(_EMONCMS)
    if path.startswith(_NAMING):
        node = unquote_to_bytes(path.removeprefix(_NAMING)).decode(errors="replace")
        return Place(Form.POST, _BOTH, node) if node else None
    found = _PLACES.get(path)
    return found if found is not None and found.form in (Form.POST, Form.BULK) else None


class Row(Struct, frozen=True, gc=False):
    """
    What a device has measured at one moment.

    @ivar device: what it is called on the wire.
    @ivar values: names and values, all finite.
    @ivar time: when, in microseconds since the Unix epoch; L{None} for now.
    @ivar backdated: whether the time was counted back from now.
    @ivar bad: what among it can be no value, and why.
    """

    device: str
    values: Sequence[tuple[str, Value]]
    time: int | None = None
    backdated: bool = False
    bad: Sequence[Skipped] = ()


def nameless(device: str) -> str:
    """
    Why no device can be called so; empty if one can.
    """
    if not device:
        return "it does not say which device it is"
    if len(device) > MAX_ID or not device.isprintable():
        return f"the name of the device is not of 1..{MAX_ID} printable characters"
    return ""


class RowReader:
    """
    Reads JSON.
    """

    def __init__(self) -> None:
        self._reader = PayloadReader(UTC)

    def read(self, data: bytes, device: str = "") -> list[Row | Skipped]:
        """
        The rows of a body, or what is wrong with them. This never raises.

        @param device: whose they are that do not say so.
        """
        try:
            found = _decode(data)
            objects = found if isinstance(found, list) else [found]
            if len(objects) > MAX_ROWS:
                return [Skipped(data[:SAMPLE], f"more than {MAX_ROWS} rows at once")]
            return [self._row(one, device) for one in objects]
        except (DecodeError, UnicodeDecodeError, RecursionError) as error:
            return [Skipped(data[:SAMPLE], f"no JSON: {str(error)[:100]}")]

    def _row(self, found: object, device: str) -> Row | Skipped:
        if not isinstance(found, dict):
            return Skipped(_sample(found), "no object of JSON")
        members: dict[str, Any] = dict(found)
        said = members.pop(_DEVICE, device)
        if isinstance(said, int) and not isinstance(said, bool):
            said = f"{said:d}" if abs(said) < 2**63 else ""
        if not isinstance(said, str):
            return Skipped(_sample(found), f"{_DEVICE} is no text")
        if why := nameless(said):
            return Skipped(_sample(found), why)
        payload = self._payload(members, found)
        if isinstance(payload, Skipped):
            return payload
        return Row(said, payload.values, payload.time, False, payload.bad)

    def _payload(self, members: dict[str, Any], found: object) -> Payload | Skipped:
        """
        What was measured, taken from an object without its device.
        """
        inner, name = members.get(_VALUES), members.get("name")
        if isinstance(inner, dict):
            del members[_VALUES]
            for twice in members.keys() & inner.keys():
                return Skipped(_sample(found), f"two values of one name: {twice!r:.64}")
            members |= inner
        elif isinstance(name, str) and members.keys() in _SINGLE and _plain(members["value"]):
            time = {_TIME: members[_TIME]} if _TIME in members else {}
            members = {name: members["value"], **time}
            if name == _TIME:
                return Skipped(_sample(found), f'nothing can be called "{_TIME}"')
        return self._reader.members(members, _sample(found))


class RowParser:
    """
    Reads rows that come from outside of HTTP. They are not over before the bytes are.
    """

    finished = False

    def __init__(self) -> None:
        self._kept = b""
        self._size = 0

    def feed(self, data: bytes) -> Sequence[Row | Skipped]:
        """
        Take in some bytes.
        """
        self._size += len(data)
        self._kept += data[: max(0, _MAX_BYTES - len(self._kept))]
        return ()

    def close(self) -> Sequence[Row | Skipped]:
        """
        There are no more.
        """
        data, size, self._kept, self._size = self._kept, self._size, b"", 0
        if size > _MAX_BYTES:
            return [Skipped(data[:SAMPLE], f"longer than {_MAX_BYTES} bytes")]
        return RowReader().read(data) if data else ()


#: What each row has at least one of.
_BEGINS = {Form.JSON: b"{", Form.LINES: b"\n", Form.BULK: b"["}


def crowded(form: Form, data: bytes) -> bool:
    """
    Whether there are more rows in a body than are taken at once, as far as can be seen at once.
    """
    return form in _BEGINS and data.count(_BEGINS[form]) > MAX_ROWS + 1


def encode(rows: Sequence[Row]) -> bytes:
    """
    The bytes of rows, as a device pushes them.
    """
    return encodeJson(list(_objects(rows)))


def _objects(rows: Sequence[Row]) -> Iterator[Mapping[str, object]]:
    for row in rows:
        time = {} if row.time is None else {_TIME: row.time / 1e6}
        yield {_DEVICE: row.device, _VALUES: dict(row.values), **time}


_decode = Decoder(Any).decode


def _plain(value: object) -> bool:
    return not isinstance(value, dict | list)


def _sample(found: object) -> bytes:
    """
    What is shown of something that is none.
    """
    try:
        return encodeJson(found)[:SAMPLE]
    except (UnicodeEncodeError, RecursionError, OverflowError, ValueError):
        return repr(type(found)).encode()

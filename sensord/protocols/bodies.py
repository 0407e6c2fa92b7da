"""
What is in a request, taken out: its parameters, and a body that may be packed, or a form.
"""

import zlib
from base64 import b64decode
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from sensord.control.query import Fault
from sensord.protocols.rooms import Room
from sensord.wire.push import Form

#: Fields of a form, or of a query. Without a limit, a body of ampersands takes long to read.
_MAX_FIELDS = 100

#: How bodies may be packed, as zlib calls it.
_PACKED = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}

_FORM = b"application/x-www-form-urlencoded"

#: The parts that something packed may have. Without a limit, a body of nothing but empty parts
#: takes half a minute to read.
_PARTS = 100

#: Where a body may be a form, with the token in it.
FORMS = (Form.POST, Form.BULK, Form.QUERY)


def parameters(request: Any) -> dict[str, str]:
    """
    The parameters of a request's address.
    """
    return {
        key.decode(errors="replace"): values[0].decode(errors="replace")
        for key, values in request.args.items()
    }


def fields(query: bytes) -> Mapping[str, str]:
    """
    The same of one that is not parsed yet; none if they are too many.
    """
    try:
        return dict(parse_qsl(query.decode(errors="replace"), max_num_fields=_MAX_FIELDS))
    except ValueError:
        return {}


def unpacked(request: Any, room: Room) -> bytes:
    """
    The body of a request.

    @param room: for what it becomes.
    @raise Fault: if it is not what its head says, or too long.
    """
    data: bytes = request.content.read()
    kind = (request.getHeader(b"content-encoding") or b"").strip().lower()
    if kind in (b"", b"identity") or not data:
        return data
    if kind not in _PACKED:
        raise Fault(415, "the body is packed in a way that is not known here; it can be gzip")
    return inflated(data, room, _PACKED[kind])


def inflated(data: bytes, room: Room, kind: int) -> bytes:
    """
    What was packed. It may have several parts.

    @param room: for it: a few bytes that are sent may be millions.
    @raise Fault: if it is not packed like that, or if there is no room.
    """
    made, most = b"", room.most
    for _part in range(_PARTS):
        packed = zlib.decompressobj(kind)
        try:
            made += packed.decompress(data, most + 1 - len(made))
        except zlib.error as error:
            raise Fault(400, "the body is not packed as it says") from error
        if len(made) > most:
            raise Fault(413, f"the body is longer than {most} bytes when it is unpacked")
        if not packed.eof:
            raise Fault(400, "the body is not complete")
        data = packed.unused_data
        if not data:
            if not room.take(len(made)):
                raise Fault(503, "too much is on its way already; try again")
            return made
    raise Fault(413, f"the body has more than {_PARTS} parts")


def form(request: Any, data: bytes, expected: Form) -> Mapping[str, str]:
    """
    The fields of a body that is a form.

    @raise Fault: if they are too many.
    """
    said = (request.getHeader(b"content-type") or b"").partition(b";")[0].strip().lower()
    if expected not in FORMS or said not in (b"", _FORM):
        return {}
    if data.lstrip()[:1] in (b"{", b"[") or b"=" not in data:
        return {}
    try:
        return dict(parse_qsl(data.decode(errors="replace"), max_num_fields=_MAX_FIELDS))
    except ValueError as error:
        raise Fault(400, f"the form has more than {_MAX_FIELDS} fields") from error


def shown(request: Any) -> list[str]:
    """
    What the head of a request shows as token.
    """
    kind, _, said = (request.getHeader(b"authorization") or b"").strip().partition(b" ")
    if kind.lower() in (b"bearer", b"token"):
        return [said.strip().decode(errors="replace")]
    if kind.lower() == b"basic":
        try:
            pair = b64decode(said.strip(), validate=True).decode(errors="replace")
        except ValueError:
            return []
        return [pair.partition(":")[2]]
    return []

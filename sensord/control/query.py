"""
What a request to the control API asks, and how it is answered: JSON in, JSON out, and one line
that says what is wrong with what makes no sense.
"""

import pwd
import re
import socket
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from struct import unpack
from typing import Any, TypeVar, get_origin

from msgspec import NODEFAULT, MsgspecError, Struct, ValidationError, convert, json, structs
from twisted.internet.address import UNIXAddress

from sensord.settings import span
from sensord.tables import build, meant
from sensord.text import moment

S = TypeVar("S", bound=Struct)

#: The most bytes of a request's body: more would fill the memory for a command of three fields.
MAX_BODY = 65_536

#: The times that the database can hold, in microseconds since the epoch.
_FIRST, _LAST = -(2**63), 2**63 - 1

#: The most digits of a number in a query: many thousand of them take long to read.
_DIGITS = 20

_ENCODER = json.Encoder()


class Fault(Exception):
    """
    A request that is answered by an error.

    @ivar status: of HTTP.
    @ivar why: one line for whoever asked.
    @ivar faults: the same one by one, if it is much.
    """

    def __init__(self, status: int, why: str, faults: Sequence[str] = ()) -> None:
        super().__init__(why)
        self.status = status
        self.why = why
        self.faults = faults


class Trouble(Struct, frozen=True, omit_defaults=True):
    """
    The answer to what could not be done.

    @ivar error: one line that says why.
    @ivar faults: the same one by one, for what may have several.
    """

    error: str
    faults: Sequence[str] = ()


def reply(request: Any, answer: object, status: int = 200) -> bytes:
    """
    Answer a request.

    @param answer: what msgspec can encode.
    @return: the body of the response; its headers are set.
    """
    body = _ENCODER.encode(answer)
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"content-length", b"%d" % len(body))
    request.setHeader(b"cache-control", b"no-store")
    # What devices say stands in here: no browser is to take it for a page.
    request.setHeader(b"x-content-type-options", b"nosniff")
    return body


def refusal(status: int, why: str, after: int = 0) -> bytes:
    """
    The whole response to what is no request, behind which the link is closed.

    @param after: the seconds to wait before it is tried again; 0 says nothing of it.
    """
    body = _ENCODER.encode(Trouble(why))
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nConnection: close\r\n"
        + (f"Retry-After: {after}\r\n" if after else "")
        + f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def parameters(request: Any, kind: type[S]) -> S:
    """
    The parameters of a request's address; those without a value count as not given.

    @param kind: a struct with a field for each that is known; one that is a list may be given
        several times.
    @raise Fault: if they are not those.
    """
    fields = {field.name: field for field in structs.fields(kind)}
    values: dict[str, Any] = {}
    for key, given in request.args.items():
        name = _text(key)
        if name not in fields:
            raise Fault(400, f'unknown parameter "{name}"{meant(name, fields)}')
        several = get_origin(fields[name].type) is list
        if len(given) > 1 and not several:
            raise Fault(400, f"{name}: is given {len(given)} times")
        texts = [text for one in given if (text := _text(one))]
        if texts:
            try:
                said = texts if several else texts[0]
                values[name] = convert(said, fields[name].type, strict=False)
            except ValidationError as error:
                why = str(error)
                raise Fault(400, f"{name}: {why[0].lower()}{why[1:]}") from error
    for name, field in fields.items():
        if name not in values and field.default is NODEFAULT:
            raise Fault(400, f"{name}: is missing")
    return kind(**values)


def document(request: Any, kind: type[S]) -> S:
    """
    The body of a request, which is JSON and says so.

    @raise Fault: if it is none, or not what is expected.
    """
    faults: list[str] = []
    made = build(body(request), kind, faults)
    if faults or made is None:
        raise Fault(400, "; ".join(faults))
    return made


def body(request: Any) -> Mapping[str, Any]:
    """
    The same before anything is made of it.

    @raise Fault: if it is no object.
    """
    guard(request)
    data = request.content.read(MAX_BODY + 1)
    if len(data) > MAX_BODY:
        raise Fault(413, f"the body is longer than {MAX_BODY} bytes")
    try:
        table = json.decode(data)
    except (MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Fault(400, f"the body is no JSON: {error}") from error
    if not isinstance(table, Mapping):
        raise Fault(400, "the body is no JSON object")
    return table


def guard(request: Any) -> None:
    """
    Take only requests that say that they are JSON. The form on a foreign page, which a browser
    would send to any address without asking anybody, cannot say so.

    @raise Fault: for any other.
    """
    said = request.getHeader(b"content-type") or b""
    if said.partition(b";")[0].strip().lower() != b"application/json":
        raise Fault(400, "say Content-Type: application/json")


def instant(name: str, text: str, now: float) -> int:
    """
    The time that a parameter means.

    @param text: microseconds since the epoch, or what L{moment} understands.
    @param now: in seconds since the epoch.
    @return: in microseconds since the epoch.
    @raise Fault: if it means none.
    """
    if (number := _number(text)) is not None:
        said: int | None = number
    else:
        try:
            said = moment(text, now)
        except ValueError as error:
            raise Fault(400, f"{name}: {error}") from error
    if said is None:  # "forever"
        return _FIRST if name == "start" else _LAST
    if not _FIRST <= said <= _LAST:
        raise Fault(400, f"{name}: {text[:40]} is beyond all times")
    return said


def duration(name: str, text: str) -> int:
    """
    The time span that a parameter means.

    @param text: microseconds, or e.g. C{5m}.
    @return: in microseconds.
    @raise Fault: if it means none.
    """
    said: float | None = _number(text)
    if said is None:
        try:
            said = span(text)
        except ValueError as error:
            raise Fault(400, f"{name}: {error}") from error
        said = None if said is None else said * 1e6
    if said is None or not 0 <= said <= _LAST:
        raise Fault(400, f'{name}: "{text}" is no time span; write e.g. "5m", or microseconds')
    return int(said)


def who(request: Any) -> str:
    """
    Who asks: who has logged in; on a UNIX socket the name of the user, if the system knows it.
    """
    if login := getattr(request, "login", ""):
        return str(login)
    if not isinstance(request.getClientAddress(), UNIXAddress):
        return "api"
    try:
        handle = request.transport.getHandle()
        known = handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        _process, user, _group = unpack("iII", known)
        return pwd.getpwuid(user).pw_name
    except (AttributeError, OSError, KeyError):  # no such system, socket or user
        return "local"


def _number(text: str) -> int | None:
    """
    The whole number that a text is, or one that is out of any range if there are many digits.
    """
    if not re.fullmatch("-?[0-9]+", text):
        return None
    return int(text) if len(text) <= _DIGITS else _LAST + 1


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Fault(400, "the parameters are no UTF-8") from error

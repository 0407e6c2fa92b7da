"""
How those who push readings are told what became of them: each in the words that it knows.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct, json

from sensord.reading import Intake
from sensord.wire import Skipped
from sensord.wire.push import Form, Row

#: How many faults are told, and how much of what each is about. There may be one for each line.
_FAULTS, _LENGTH = 100, 4096

_JSON, _TEXT = b"application/json", b"text/plain; charset=utf-8"

#: What InfluxDB 2 calls what is wrong.
_CODES = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    405: "method not allowed",
    413: "request too large",
    415: "invalid",
    421: "forbidden",
    503: "unavailable",
}


class Answer(Struct, frozen=True):
    """
    An answer.

    @ivar kind: the type of its body.
    """

    status: int
    body: bytes = b""
    kind: bytes = _JSON


class Asked(Struct, frozen=True):
    """
    What was asked for.

    @ivar full: whether it was C{fulljson}, which is answered by JSON.
    """

    form: Form
    full: bool = False


def stored(asked: Asked, count: int) -> Answer:
    """
    All readings are stored.

    @param count: how many.
    """
    if asked.form is Form.LINES:
        return Answer(204)
    if asked.form is Form.JSON:
        return Answer(200, json.encode({"stored": count}))
    return Answer(200, b'{"success": true}') if asked.full else Answer(200, b"ok", _TEXT)


def refused(asked: Asked | None, status: int, why: str) -> Answer:
    """
    It was not done.
    """
    if asked is None or asked.form is Form.JSON:
        return Answer(status, json.encode({"error": why}))
    if asked.form in (Form.POST, Form.BULK):
        return Answer(status, json.encode({"success": False, "message": why}))
    code = _CODES.get(status, "internal error")
    # The first word is of InfluxDB 1, the others are of 2.
    return Answer(status, json.encode({"error": why, "code": code, "message": why}))


def partly(
    asked: Asked, intake: Intake, events: Sequence[Row | Skipped], lines: Sequence[str]
) -> Answer:
    """
    Some readings are not taken; the others are stored.

    @param events: what stood in the request.
    @param lines: the same as text, if that is to be quoted.
    """
    count, rejected = len(intake.readings), intake.rejected
    if asked.form is Form.LINES:
        return refused(asked, 400, _partial(intake, events, lines))
    faults = [f"{bad.why}: {bad.data.decode(errors='replace')}" for bad in rejected[:_FAULTS]]
    first = f"{len(rejected)} of {count + len(rejected)} were not taken: {faults[0]}"
    if asked.form is Form.JSON:
        body: Mapping[str, object] = {"error": first, "stored": count, "faults": faults}
        return Answer(400, json.encode(body))
    return refused(asked, 400, first)


def _partial(intake: Intake, events: Sequence[Row | Skipped], lines: Sequence[str]) -> str:
    """
    The words of InfluxDB, with the lines that are none as they came: so that who sent them finds
    them again.
    """
    bad = [
        (line, event.why)
        for line, event in zip(lines, events, strict=True)
        if isinstance(event, Skipped)
    ]
    own = {(event.data, event.why) for event in events if isinstance(event, Skipped)}
    faults = [f"unable to parse '{line[:_LENGTH]}': {why}" for line, why in bad[:_FAULTS]]
    rest = [one for one in intake.rejected if (one.data, one.why) not in own]
    faults += [f"{one.why}: {one.data.decode(errors='replace')}" for one in rest[:_FAULTS]]
    text = "\n".join(faults).encode(errors="replace").decode()
    return f"partial write: {text} dropped={len(bad) + len(rest)}"

"""
Readings to InfluxDB 1.x and 2.x, and to what takes in the same lines, such as VictoriaMetrics. For
the lines, and for what becomes of names that they cannot contain, see L{sensord.wire.lineprotocol}.

A point that is written twice is one point, so that readings which come again after a failure do no
harm; VictoriaMetrics keeps both, unless it is started with C{-dedup.minScrapeInterval=1ms}. It also
stores numbers and milliseconds only: truth values become 1 and 0, texts become 0. What is older or
newer than it is set to keep, it drops without a word.
"""

import gzip
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from msgspec import MsgspecError, Struct, json
from twisted.internet.defer import Deferred
from twisted.web.iweb import IAgent

from sensord.outlets import InfluxSettings
from sensord.sinks import Entry, Misconfigured, Poison, SinkError, Transient
from sensord.sinks.http import Answer, Client
from sensord.store.service import Run
from sensord.wire.lineprotocol import Encoder, Lines, dropped, outdated, quoted

#: How much is told of what a server says. It may be long, and goes into the log.
_TOLD = 300

#: How many readings are so many that they are encoded beside the reactor's thread.
_MANY = 500

#: Bytes that go out as they are: they fit one packet, and nothing is gained.
_PACKET = 1400

#: How much trouble is taken to compress: more costs much time and saves little.
_LEVEL = 1

#: What complaints about lines have in them. Whatever else refuses a request, such as a proxy in
#: between, must not cost a reading.
_COMPLAINTS = ("influx line protocol", "partial write", "unable to parse", "field type conflict")

#: Bytes of a request that nobody can mean who calls it too large: it would be so whatever is in it.
_SMALL = 4096

#: What an answer has in it if a field has two types.
_CONFLICT = "type conflict"

_ANSWERED, _STORED, _MISSING, _TOO_LARGE = 200, 204, 404, 413
_REFUSED = (400, 422)
_LATER = (408, 429)


class InfluxSink:
    """
    A database that is sent all readings.

    @param run: runs blocking calls.
    @param agent: what requests go through; for tests.
    """

    most = 10_000

    def __init__(
        self,
        reactor: Any,
        settings: InfluxSettings,
        run: Run,
        *,
        agent: IAgent | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._settings = settings
        self._run = run
        self._url = settings.url.rstrip("/")
        self._client = Client(reactor, self._url, agent, now=now)
        self._encoder = Encoder(settings.layout == "device", settings.integers)
        self._headers = {"User-Agent": "sensord", **_authorization(settings)}
        self._target = self._url + _target(settings)
        self._ready: tuple[Sequence[Entry], Deferred[_Packed]] | None = None

    def start(self) -> None:
        """
        See L{Sink.start<sensord.sinks.Sink.start>}.
        """
        self._client.start()

    def stop(self) -> Deferred[None]:
        """
        See L{Sink.stop<sensord.sinks.Sink.stop>}.
        """
        return self._client.stop()

    def write(self, batch: Sequence[Entry]) -> Deferred[None]:
        """
        See L{Sink.write<sensord.sinks.Sink.write>}.
        """
        return Deferred.fromCoroutine(self._write(batch))

    def prepare(self, batch: Sequence[Entry]) -> None:
        """
        See L{Preparing.prepare<sensord.sinks.Preparing.prepare>}.
        """
        if len(batch) > _MANY:
            self._ready = batch, self._run(partial(self._pack, batch))

    async def _write(self, batch: Sequence[Entry]) -> None:
        lost = self._encoder.unwritable(batch)
        if lost:
            why = 'there can be no field called "time", and nothing without a name'
            raise Poison(why, [batch[place].id for place in lost])
        lines, answer = await self._post(batch)
        missing = answer.status == _MISSING and "database not found" in _message(answer)[0]
        if missing and self._settings.create:
            await self._create()
            lines, answer = await self._post(batch)
        if answer.status == _STORED:
            return
        fault = self._judge(answer)
        if answer.status == _TOO_LARGE and len(lines.body()) < _SMALL:
            raise Misconfigured(str(fault))
        if isinstance(fault, Poison):
            fault = await self._blame(batch, lines, answer)
        raise fault

    async def _post(self, batch: Sequence[Entry]) -> tuple[Lines, Answer]:
        if self._ready is not None and self._ready[0] is batch:
            (_batch, packing), self._ready = self._ready, None
            made = await packing
        else:
            pack = partial(self._pack, batch)
            made = await self._run(pack) if len(batch) > _MANY else pack()
        headers = {**self._headers, "Content-Type": "text/plain; charset=utf-8"}
        if made.packed:
            headers["Content-Encoding"] = "gzip"
        return made.lines, await self._client.post(self._target, headers, made.body)

    def _pack(self, batch: Sequence[Entry]) -> "_Packed":
        lines = self._encoder.encode(batch)
        body = lines.body()
        if len(body) <= _PACKET:
            return _Packed(lines, body, False)
        return _Packed(lines, gzip.compress(body, _LEVEL, mtime=0), True)

    async def _create(self) -> None:
        """
        Create the database. It does no harm if it is there already.
        """
        name = self._settings.database.replace("\\", "\\\\").replace('"', '\\"')
        headers = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({"q": f'CREATE DATABASE "{name}"'}).encode()
        answer = await self._client.post(f"{self._url}/query", headers, body)
        fault = self._judge(answer)
        if isinstance(fault, Transient):
            raise fault
        why = str(fault) if answer.status != _ANSWERED else self._told(_objection(answer.body))
        if why:
            raise Misconfigured(f"the database cannot be created: {why}")

    def _judge(self, answer: Answer) -> SinkError:
        """
        What an answer means that is no success.
        """
        text, own = _message(answer)
        why = f"{self._url} answers {answer.status}"
        if text:
            why = f"{why}: {self._told(text)}"
        if answer.status in _LATER or answer.status >= 500:
            return Transient(why, answer.after)
        if answer.status == _TOO_LARGE or (answer.status in _REFUSED and own):
            return Poison(why)
        return Misconfigured(why)

    async def _blame(self, batch: Sequence[Entry], lines: Lines, answer: Answer) -> Poison:
        """
        Find out which readings a complaint is about, as far as that is certain.

        @param lines: the batch as it was sent.
        """
        text, _own = _message(answer)
        why = self._told(text) or f"too large: {answer.status}"
        if answer.status == _TOO_LARGE:
            return Poison(why)
        reasons = quoted(text, lines.texts)
        if reasons:
            told = {line: self._told(reason) for line, reason in reasons.items()}
            return Poison(next(iter(told.values())), _blamed(batch, lines, told))
        count = dropped(text)
        if outdated(text) and count:
            times = sorted(batch[first].time for first in lines.firsts)
            limit = times[min(count, len(times)) - 1]
            return Poison(why, [entry.id for entry in batch if entry.time <= limit])
        suspects = [batch[place] for place in self._encoder.suspects(text, batch)]
        if 1 < len(suspects) < len(batch):
            # Those that are fine, as they are in another part of the storage, are written by this.
            # If there are any, it has to be found out by halves which they are.
            lines, answer = await self._post(suspects)
            count = dropped(_message(answer)[0])
        guilty = suspects or batch
        if not suspects and _CONFLICT in text and len(batch) > 1:
            return Poison(why)  # of a line it may be only one field
        if len(guilty) == 1 or count == len(lines.texts):
            return Poison(why, [entry.id for entry in guilty])
        return Poison(why)

    def _told(self, text: str) -> str:
        """
        A text of the other side as it may be told: not too long, in one line, without secrets.
        """
        for hidden in (self._settings.password.text, self._settings.token.text):
            text = text.replace(hidden, "***") if hidden else text
        return " ".join(text.split())[:_TOLD]


class _Packed(NamedTuple):
    """
    What is posted for a batch.
    """

    lines: Lines
    body: bytes
    packed: bool


class _Complaint(Struct):
    """
    An answer of InfluxDB 1, or of 2, which has a code.
    """

    error: str = ""
    message: str = ""
    code: str = ""


class _Results(Struct):
    """
    What InfluxDB 1 answers to statements: there is a result for each.
    """

    results: list[_Complaint] = []


_complaint = json.Decoder(_Complaint).decode
_results = json.Decoder(_Results).decode


def _objection(body: bytes) -> str:
    """
    Why a statement was not executed; empty if it was.
    """
    try:
        return next((one.error for one in _results(body).results if one.error), "")
    except (MsgspecError, UnicodeDecodeError):
        return ""


def _message(answer: Answer) -> tuple[str, bool]:
    """
    What an answer says, and whether it is the database that says it. Gateways speak JSON, too.
    """
    code = ""
    try:
        said = _complaint(answer.body)
        text, code = said.error or said.message, said.code
    except (MsgspecError, UnicodeDecodeError):
        text = answer.body.decode(errors="replace")
    own = answer.influx or bool(code) or any(words in text for words in _COMPLAINTS)
    return text, own and bool(text)


def _blamed(batch: Sequence[Entry], lines: Lines, reasons: Mapping[str, str]) -> dict[int, str]:
    """
    What is wrong with readings, by their ids, given the reasons for lines.
    """
    ends = [*lines.firsts[1:], len(batch)]
    return {
        entry.id: reasons[text]
        for text, first, end in zip(lines.texts, lines.firsts, ends, strict=True)
        if text in reasons
        for entry in batch[first:end]
    }


def _target(settings: InfluxSettings) -> str:
    """
    What is written to, behind the URL.
    """
    if settings.bucket:
        path = "/api/v2/write"
        query = {"org": settings.org, "bucket": settings.bucket, "precision": "us"}
    else:
        path, query = "/write", {"db": settings.database, "precision": "u"}
    return f"{path}?{urlencode(query, quote_via=quote)}"


def _authorization(settings: InfluxSettings) -> dict[str, str]:
    if settings.token:
        return {"Authorization": f"Token {settings.token.text}"}
    if settings.user:
        both = f"{settings.user}:{settings.password.text}".encode()
        return {"Authorization": f"Basic {b64encode(both).decode()}"}
    return {}

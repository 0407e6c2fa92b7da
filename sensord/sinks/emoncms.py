"""
Readings to emoncms, on emoncms.org or elsewhere.

A batch goes into one request, a row for each device and whole second, and of that an object for
each reading. Only the difference of the times to that of sending counts, so that a clock which is
wrong on either side does no harm::

    POST /input/bulk.json?sentat=1795194660
    Authorization: Bearer <32 characters>

    data=[[1795194650,"balcony",{"temperature":21.5},{"humidity":47.2}]]

All names could stand in one object, but most servers that are in use take the first of it only and
say C{ok}. With C{compress}, the body is just the list, packed by zlib. Old servers that know
nothing of it take one row at a time::

    GET /input/post.json?apikey=K&time=1795194650&node=balcony&json={temperature:21.5,humidity:47.2}

The answer is C{ok} and not a character more, or nothing was taken, or only some of it; since it is
not said what, all comes again.

emoncms stores numbers and nothing else: truth values become 1 and 0, and texts are refused here,
since they would be stored as 0. It keeps no more than 16 characters of the name of a node and 64 of
that of an input, letters, digits and a few signs. All other names are changed, always in the same
way, and get a mark that tells them from each other; only C{weather/1} becomes C{weather_1}.
"""

import re
import zlib
from base64 import b32encode
from collections.abc import Callable, Sequence
from hashlib import blake2b
from math import isfinite
from typing import Any
from urllib.parse import urlencode

from msgspec import MsgspecError, Struct, json
from twisted.internet.defer import Deferred
from twisted.web.iweb import IAgent

from sensord.outlets import EmoncmsSettings
from sensord.sinks import Entry, Misconfigured, Poison, SinkError, Transient
from sensord.sinks.http import Answer, Client
from sensord.store.service import Run

#: How long names may be. Beyond, emoncms.org refuses a node, and with it all that comes behind.
_MAX_NODE, _MAX_INPUT = 16, 64

#: How many devices are known by the names of their nodes. Without a limit, a peer that makes up
#: ids would fill the memory.
_MAX_OWNERS = 10_000

#: How much is told of what a server says. It may be long, and goes into the log.
_TOLD = 200

#: How many characters tell changed names from each other: the chance is one to a thousand millions
#: that two names get the same.
_MARK = 6

#: What names do not contain.
_UNFIT = re.compile("[^A-Za-z0-9_. -]")

#: The address of a device that has no name, if nothing needs changing but the slash.
_ADDRESS = re.compile("[A-Za-z0-9.-]+/[A-Za-z0-9.-]+")

#: What an answer begins with that is about what was sent, and what it has in it if somebody has to
#: do something; in any case of letters. Names of devices may stand behind the former.
_BAD = ("format error", "error:", "error decoding", "input must be", "invalid node")
_KEY = ("api key", "apikey", "authenticat", "unauthorized", "permission", "access")

#: What web servers say to those who do not speak TLS to them, with the same status as for what
#: they cannot make sense of. It must not cost a reading.
_PLAIN = ("https port", "https server", "ssl-enabled")

#: The name of a node that a server does not take.
_NODE = re.compile("[Nn]ode '([^']+)'")

_OK = b"ok"
_LATER = (408, 425, 429)
_REFUSED = (400, 413, 414, 422)


class _Row(Struct):
    """
    What one device measured in one second.

    @ivar second: since the epoch.
    @ivar inputs: numbers by their names.
    @ivar ids: the readings that they are.
    """

    second: int
    node: str
    inputs: dict[str, float]
    ids: list[int]


class EmoncmsSink:
    """
    An emoncms that is sent all readings.

    @param run: runs blocking calls; nothing here is.
    @param agent: what requests go through; for tests.
    """

    def __init__(
        self,
        reactor: Any,
        settings: EmoncmsSettings,
        run: Run,
        *,
        agent: IAgent | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.most = 50 if settings.single else 1_000
        self._now = now or reactor.seconds
        self._settings = settings
        self._url = settings.url.rstrip("/")
        self._client = Client(reactor, self._url, agent, settings.timeout, self._now)
        self._owners: dict[str, str] = {}
        self._sent: set[int] = set()

    def start(self) -> None:
        """
        Begin.
        """
        self._client.start()

    def stop(self) -> Deferred[None]:
        """
        Close the connection.

        @return: fires when that is done.
        """
        return self._client.stop()

    def write(self, batch: Sequence[Entry]) -> Deferred[None]:
        """
        Send readings.
        """
        return Deferred.fromCoroutine(self._write(batch))

    async def _write(self, batch: Sequence[Entry]) -> None:
        odd = [entry.id for entry in batch if not _numeric(entry.value)]
        if odd:
            raise Poison("emoncms stores numbers only", odd)
        rows = self._rows(batch)
        if not self._settings.single:
            await self._bulk(rows)
            return
        # If one fails, those before it need not come again, as long as we remember them.
        self._sent &= {entry.id for entry in batch}
        for row in rows:
            if not self._sent.issuperset(row.ids):
                await self._post(row)
                self._sent.update(row.ids)
        self._sent.clear()

    def _rows(self, batch: Sequence[Entry]) -> list[_Row]:
        """
        The rows for readings. If there are several of one series in a second, each has its own.
        """
        rows: dict[tuple[str, int, int], _Row] = {}
        counts: dict[tuple[str, int, str], int] = {}
        for entry in batch:
            device, second = entry.series.device, entry.time // 1_000_000
            name = label(entry.series.name, _MAX_INPUT)
            place = counts.get((device, second, name), 0)
            counts[device, second, name] = place + 1
            row = rows.get((device, second, place))
            if row is None:
                row = rows[device, second, place] = _Row(second, self._node(device), {}, [])
            assert not isinstance(entry.value, str)  # those were refused
            boolean = isinstance(entry.value, bool)
            row.inputs[name] = int(entry.value) if boolean else entry.value
            row.ids.append(entry.id)
        return list(rows.values())

    def _node(self, device: str) -> str:
        """
        What a device is called there.
        """
        node = label(device, _MAX_NODE)
        if node == device:
            self._owners[node] = device  # if another has taken it for its own, it is so no more
        elif _ADDRESS.fullmatch(device) and len(device) <= _MAX_NODE:
            short = device.replace("/", "_")
            if self._owners.setdefault(short, device) == device:
                node = short
        if len(self._owners) > _MAX_OWNERS:
            self._owners.clear()
        return node

    async def _bulk(self, rows: Sequence[_Row]) -> None:
        """
        Send rows in one request.
        """
        data = json.encode([_listed(row) for row in rows])
        query: dict[str, object] = {"sentat": int(self._now())}
        headers = {"Authorization": f"Bearer {self._settings.apikey.text}"}
        if self._settings.compress:
            query["cb"] = 1
            headers["Content-Type"] = "application/octet-stream"
            body = zlib.compress(data)
        else:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode({"data": data}).encode()
        target = f"{self._url}/input/bulk.json?{urlencode(query)}"
        try:
            self._check(await self._client.post(target, headers, body))
        except Poison as poison:
            nodes = set(_NODE.findall(str(poison)))
            bad = [id for row in rows if row.node in nodes for id in row.ids]
            raise Poison(str(poison), bad) from poison

    async def _post(self, row: _Row) -> None:
        """
        Send one row, to an old server.
        """
        inputs = ",".join(f"{name}:{_number(value)}" for name, value in row.inputs.items())
        query: dict[str, object] = {
            "apikey": self._settings.apikey.text,
            "time": row.second,
            "node": row.node,
            "json": f"{{{inputs}}}",
        }
        try:
            target = f"{self._url}/input/post.json?{urlencode(query)}"
            self._check(await self._client.get(target, {}))
        except Poison as poison:
            raise Poison(str(poison), row.ids) from poison

    def _check(self, answer: Answer) -> None:
        """
        @raise SinkError: if an answer is no success.
        """
        if (answer.status, answer.body) != (200, _OK):
            text = _message(answer.body).replace(self._settings.apikey.text or "\0", "***")
            raise _judge(answer, text, self._url)


def label(text: str, most: int) -> str:
    """
    A name as emoncms takes it: the same, or one that is like it, with a mark.

    @param most: how many characters it may have.
    """
    safe = _UNFIT.sub("_", text)
    if safe == text and 0 < len(text) <= most and text == text.strip():
        return text
    digest = blake2b(text.encode(errors="backslashreplace"), digest_size=5).digest()
    mark = b32encode(digest).decode().lower()[:_MARK]
    return f"{safe.strip()[: most - _MARK - 1]}-{mark}"


def _judge(answer: Answer, text: str, url: str) -> SinkError:
    """
    What an answer means that is no success.

    @param text: what it says.
    """
    low = text.lower()
    why = f"{url} answers {answer.status}: {' '.join(text.split())[:_TOLD] or 'nothing'}"
    if answer.status in _LATER or answer.status >= 500:
        return Transient(why, answer.after)
    if answer.status in _REFUSED:
        plain = any(word in low for word in _PLAIN)
        return Misconfigured(why) if plain else Poison(why)
    if answer.status != 200 or not text or low.lstrip().startswith(("<!doctype", "<html")):
        # A page of somebody else, or nothing, which is for keys that only read.
        return Misconfigured(why)
    if low.startswith(_BAD):
        return Poison(why)
    return Misconfigured(why) if any(word in low for word in _KEY) else Transient(why)


class _Refusal(Struct):
    """
    An answer of newer servers.
    """

    message: str


_refusal = json.Decoder(_Refusal).decode


def _message(body: bytes) -> str:
    """
    What an answer says.
    """
    try:
        return _refusal(body).message
    except (MsgspecError, UnicodeDecodeError):
        return body.decode(errors="replace")


def _listed(row: _Row) -> list[object]:
    """
    A row for many in one request.
    """
    return [row.second, row.node, *({name: value} for name, value in row.inputs.items())]


def _number(value: float) -> str:
    """
    A number for a server that takes a plus for nothing.
    """
    return repr(value).replace("+", "")


def _numeric(value: object) -> bool:
    return isinstance(value, int | float) and isfinite(value)

"""
Requests by which devices push readings. Each is answered when what was in it is stored.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from sensord.control.query import Fault
from sensord.protocols import bodies, port
from sensord.protocols.dialects import Answer, Asked, partly, refused, stored
from sensord.protocols.inlet import Inlet
from sensord.protocols.rooms import WRONG, Room, Rooms
from sensord.pushes import PushSettings
from sensord.store.account import NotStored
from sensord.web.origins import Origins, local
from sensord.wire import Skipped, emoncms, push
from sensord.wire.points import PRECISIONS, PointReader
from sensord.wire.push import Form, Place, Row

#: Bytes of all requests that are on their way, or wait, and of what they were unpacked to. Without
#: a limit, many clients that send as much as each may would fill the memory.
MAX_BODIES = 67_108_864

#: The same of those that do not show the token in their head, and of each of them: it may be in the
#: body of a form. Without a share of their own, those who do not know it could take all the room.
MAX_OTHERS, _MOST_OF_OTHERS = 8_388_608, 262_144

#: Seconds that a request waits for being stored: less than the link waits for its answer.
PATIENCE = 20.0

#: Seconds after which who could not be served is to come again.
AFTER = 5

_ZLIB = 15

#: The parameters that may be the token.
_SHOWN = ("apikey", "token", "p")

_CREATE = re.compile(r"\s*create\s+database\s", re.IGNORECASE)

_LATER = "nothing can be stored just now; try again"


class Pushed(Resource):
    """
    What answers them.

    @ivar running: whether any are taken.
    @ivar open: how many are being answered.
    @param refuse: counts a peer that is not let in, given its host and why.
    """

    isLeaf = True
    _log = Logger()

    def __init__(
        self,
        clock: Any,
        settings: PushSettings,
        inlet: Inlet,
        refuse: Callable[[str, str], None],
    ) -> None:
        super().__init__()
        self.running = False
        self.open = 0
        self._clock = clock
        self._inlet = inlet
        self._refuse = refuse
        self._ready, self._full = True, False
        self._waiting: deque[Deferred[None]] = deque()
        self._trusted, self._others = Rooms(MAX_BODIES), Rooms(MAX_OTHERS, _MOST_OF_OTHERS)
        self._origins = Origins(())
        self._rows, self._emoncms = push.RowReader(), emoncms.RowReader()
        self.revise(settings)

    def revise(self, settings: PushSettings) -> None:
        """
        Go on with other settings.
        """
        self._settings = settings
        self._networks = settings.networks
        self._token = _digest(settings.token.text.encode()) if settings.token else b""
        self._points = PointReader(settings.device_tags, settings.ignore_tags)

    def body(self, target: bytes, request: Any) -> Room | None:
        """
        The room for what is sent by a request. See L{sensord.control.channel.Bodies}.
        """
        path, _, query = target.partition(b"?")
        if push.place(path) is None:
            return None
        if not self._token or self._known([*bodies.shown(request), *_said(bodies.fields(query))]):
            return self._trusted.room(self._settings.max_body)
        return self._others.room(self._settings.max_body)

    def steer(self, ready: bool, full: bool) -> None:
        """
        Follow the store: let requests wait while there is too much to store, and refuse them while
        nothing can be.
        """
        self._ready, self._full = ready, full
        while self._waiting and not (self._full and self._ready and self.running):
            self._waiting.popleft().callback(None)

    def render(self, request: Any) -> Any:
        """
        See L{IResource.render}.
        """
        Deferred.fromCoroutine(self._serve(request)).addErrback(self._failed, request)
        return NOT_DONE_YET

    async def _serve(self, request: Any) -> None:
        gone: list[object] = []
        request.notifyFinish().addBoth(gone.append)
        place = push.place(request.path)
        asked = None if place is None else Asked(place.form)
        self.open += 1
        try:
            if place is None:
                raise Fault(404, "nothing can be pushed there")
            query = bodies.parameters(request)
            asked = Asked(place.form, "fulljson" in query)
            answer = await self._answer(request, place, query, gone)
        except Fault as fault:
            answer = refused(asked, fault.status, fault.why)
        finally:
            self.open -= 1
        if not gone:
            self._say(request, answer)

    async def _answer(
        self, request: Any, place: Place, query: dict[str, str], gone: Sequence[object]
    ) -> Answer:
        if request.method not in place.methods:
            request.setHeader(b"allow", b", ".join(place.methods))
            methods = " or ".join(method.decode() for method in place.methods)
            raise Fault(405, f"this is asked by {methods}")
        host = port.host(request.getClientAddress())
        if not port.allowed(host, self._networks):
            self._refuse(host, "its network is not allowed")
            raise Fault(403, "your network is not allowed")
        if place.form is Form.PING:
            request.setHeader(b"x-influxdb-version", b"1.8-sensord")
            return Answer(204)
        early = place.form not in bodies.FORMS or any(_shown(request, query))
        if early:  # unpacking takes long, and is not for everybody
            self._admit(request, host, query)
            await self._turn(gone)
        room = self._trusted.room(self._settings.max_body)
        try:
            data = bodies.unpacked(request, room)
            parameters = {**query, **bodies.form(request, data, place.form)}
            if not early:
                self._admit(request, host, parameters)
                await self._turn(gone)
            if place.form is Form.QUERY:
                if not _CREATE.match(parameters.get("q", "")):
                    raise Fault(400, "this is no database: nothing can be asked here")
                return Answer(200, b'{"results":[{"statement_id":0}]}')
            return await self._store(host, place, parameters, data, room)
        finally:
            room.close()

    async def _store(
        self, host: str, place: Place, parameters: Mapping[str, str], data: bytes, room: Room
    ) -> Answer:
        """
        Store what is in a request.
        """
        lines: Sequence[str] = ()
        asked = Asked(place.form, "fulljson" in parameters)
        if place.form is Form.LINES:
            events, lines = self._points.read(*self._lines(parameters, data))
        else:
            events = self._read(place, parameters, data, room)
        intake = self._inlet.decode(host, events)
        if intake.received:
            await self._patience(self._inlet.account.admit(intake), host)
        if intake.rejected:
            return partly(asked, intake, events, lines)
        return stored(asked, len(intake.readings))

    def _read(
        self, place: Place, parameters: Mapping[str, str], data: bytes, room: Room
    ) -> list[Row | Skipped]:
        """
        The rows of a request.
        """
        if place.form is Form.POST:
            if data.lstrip()[:1] == b"{":
                parameters = {**parameters, "fulljson": data.decode(errors="replace")}
            return self._emoncms.post(parameters, place.node)
        if place.form is Form.BULK and data.lstrip()[:1] != b"[":
            if parameters.get("cb") == "1":
                data = bodies.inflated(data, room, _ZLIB)
            else:
                data = parameters.get("data", "").encode(errors="replace")
        if push.crowded(place.form, data):
            raise Fault(413, f"more than {push.MAX_ROWS} rows at once")
        if place.form is Form.BULK:
            return self._emoncms.bulk(parameters, data, self._inlet.presence.now())
        return self._rows.read(data, parameters.get("device", ""))

    def _lines(self, parameters: Mapping[str, str], data: bytes) -> tuple[bytes, str]:
        """
        Lines, and their precision.
        """
        precision = parameters.get("precision", "ns")
        if precision not in PRECISIONS:
            raise Fault(400, f'"{precision[:20]}" is no precision; it is n, u, ms, s, m or h')
        if push.crowded(Form.LINES, data):
            raise Fault(413, f"more than {push.MAX_ROWS} lines at once")
        return data, precision

    def _admit(self, request: Any, host: str, parameters: Mapping[str, str]) -> None:
        """
        Let somebody in who shows the token; or if there is none, who is on this machine and no page
        of elsewhere in a browser.

        @raise Fault: for all others.
        """
        if self._token:
            shown = _shown(request, parameters)
            if not self._known(shown):
                self._refuse(host, "its token is wrong" if any(shown) else "it shows no token")
                request.setHeader(b"www-authenticate", b'Basic realm="sensord"')
                raise Fault(401, WRONG)
            return
        here = request.getHost()
        if not local(here):
            raise Fault(403, "there is no token, so that this is for this machine only")
        self._origins.asked(request, links=False)  # what is pushed by GET is stored
        self._origins.called(request, getattr(here, "host", ""))

    def _known(self, shown: Sequence[str]) -> bool:
        """
        Whether the token is among what is shown. It takes as long whether it is or not.
        """
        return any([compare_digest(_digest(one.encode()), self._token) for one in shown if one])

    async def _turn(self, gone: Sequence[object]) -> None:
        """
        Wait until there is not too much to store.

        @param gone: has something in it if whoever asked has hung up.
        @raise Fault: if nothing can be stored, or if it takes too long.
        """
        while self._full and self._ready and self.running:
            waiting: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(waiting)
            await self._soon(waiting, "there is too much to store; try again")
        if gone or not (self._ready and self.running):
            raise Fault(503, _LATER)

    async def _patience(self, committed: Deferred[None], host: str) -> None:
        """
        Wait until something is stored, but not for ever.

        @raise Fault: if it is not, or not yet.
        """
        waiting: Deferred[None] = Deferred()
        # Who waits no longer need not hear of it; what is recorded is stored all the same.
        committed.addBoth(lambda result: None if waiting.called else waiting.callback(result))
        try:
            await self._soon(waiting, "it is not stored yet; try again")
        except Fault:
            raise
        except NotStored as error:
            raise Fault(503, _LATER) from error
        except Exception as error:
            self._inlet.warn("unfit", host, "{name}: from {host}: {why}", host=host, why=error)
            raise Fault(500, "it cannot be stored") from error

    async def _soon(self, waiting: Deferred[None], late: str) -> None:
        """
        Wait for something, but not for ever.

        @raise Fault: if it takes too long, with what to say then.
        """
        timer = self._clock.callLater(PATIENCE, waiting.cancel)
        try:
            await waiting
        except CancelledError as error:
            raise Fault(503, late) from error
        finally:
            if timer.active():
                timer.cancel()

    def _say(self, request: Any, answer: Answer) -> None:
        request.setResponseCode(answer.status)
        request.setHeader(b"server", b"sensord")
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"x-content-type-options", b"nosniff")
        if answer.status == 503:
            request.setHeader(b"retry-after", b"%d" % AFTER)
        if answer.status != 204:
            request.setHeader(b"content-type", answer.kind)
            request.setHeader(b"content-length", b"%d" % len(answer.body))
        request.write(answer.body)
        request.finish()

    def _failed(self, failure: Failure, request: Any) -> None:
        self._log.failure("{name}", failure, name=self._inlet.name)
        if request.channel is not None and not request.startedWriting:
            self._say(request, refused(None, 500, "something is wrong here; see the log"))


def _shown(request: Any, parameters: Mapping[str, str]) -> list[str]:
    """
    All that may be the token.
    """
    return [*bodies.shown(request), *_said(parameters)]


def _said(parameters: Mapping[str, str]) -> list[str]:
    return [parameters.get(key, "") for key in _SHOWN]


def _digest(token: bytes) -> bytes:
    """
    What is compared of tokens: as long for all of them.
    """
    return blake2b(token).digest()

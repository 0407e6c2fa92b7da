"""
The control API: what the toolbox and the page ask of the running daemon.

JSON over HTTP. Times are microseconds since the epoch, UTC. All of it in detail is what
C{GET /api/v1/openapi.json} answers; see L{sensord.control.routes}. ::

    GET  /api/v1/status                   how the daemon is, in a few figures
    GET  /api/v1/devices                  all that are described or were heard, with their values
    GET  /api/v1/devices/description      how one is described, and where: address
    POST /api/v1/devices/preview          {"address": ..., "name": ..., "values": [...]}: what its
                                          frames in quarantine would be by such a description
    POST /api/v1/devices/describe         the same: save it, put it into effect, decode the frames;
                                          409 if it is described by hand, or cannot be saved
    POST /api/v1/devices/forget           {"device": ...}: forget when one was heard, and what other
                                          programs keep of it; 409 if it is there just now
    GET  /api/v1/latest                   the newest value of each series: device, name
    GET  /api/v1/history                  a series over time: device, name, start, end, and step or
                                          points, how many there may be at the most
    GET  /api/v1/sparklines               the last hour of up to 50 devices: device, several times
    GET  /api/v1/export                   readings as CSV: device, name, start, end
    GET  /api/v1/commands                 what was sent down, the newest first: limit
    POST /api/v1/commands                 {"address": ..., "variable": ..., "value": ...}: what
                                          became of it; 200 if it was sent, 202 if it waits,
                                          409 if it was refused
    GET  /api/v1/listeners                the ways in, each with its line of the ledger
    POST /api/v1/listeners/<name>/start   open one; 409 if that is not possible
    POST /api/v1/listeners/<name>/stop    close one
    GET  /api/v1/sinks                    the ways out, each with its line of the ledger
    POST /api/v1/sinks/<name>/pause       let one rest; what comes meanwhile waits for it
    POST /api/v1/sinks/<name>/resume      let one go on
    POST /api/v1/sinks/<name>/forget      give up what the database has for one that is gone
    POST /api/v1/sinks/<name>/replay      {"start": ..., "end": ..., "device": ...}: send it history
                                          again; events, see L{sensord.control.outlets}
    GET  /api/v1/dead-letters             readings that sinks refused, the newest first: sink, limit
    POST /api/v1/dead-letters/retry       {"ids": [...], "sink": ..., "all": true}, one of them:
                                          have them tried again; answered by how many of each sink
    POST /api/v1/dead-letters/drop        the same: give them up
    GET  /api/v1/quarantine               frames without a description, the newest first:
                                          listener, limit
    GET  /api/v1/hubs                     the hubs; see L{sensord.control.hubs}, also for what can
                                          be done with one
    POST /api/v1/reload                   read the configuration anew; 409 if it is wrong
    GET  /api/v1/events                   live, see L{sensord.control.live}: device, name

C{start} and C{end} may also be what the toolbox takes, such as C{2h}, C{2025-11-20T18:00} or
C{forever}; without them the last 24 hours are meant, and for an export all that is stored. A POST
has to say that it is JSON, even without a body. What cannot be done is answered by
C{{"error": "<reason>"}} with 400 (it makes no sense), 404, 405, 408 (it came too slowly), 409 (it
is not possible just now), 413 or 431 (it is too long), or 503 (the database cannot be used, or
takes too long).
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial, wraps
from typing import Any

from klein import Klein
from msgspec import Raw
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from sensord.commands import Commands
from sensord.config import Settings
from sensord.control import asked, series
from sensord.control.answers import Names, Way, devices, frames
from sensord.control.asking import answered
from sensord.control.describing import Describing
from sensord.control.door import Door
from sensord.control.exporting import Exports
from sensord.control.forgetting import Gone, forget
from sensord.control.hubs import Hubs, listed, switch
from sensord.control.inlets import Inlets
from sensord.control.live import Live
from sensord.control.outlets import Choice, Outlets, Past
from sensord.control.query import Fault, Trouble, document, guard, parameters, reply, who
from sensord.control.reloads import Reloader, reload
from sensord.control.sending import Outlet
from sensord.control.status import status
from sensord.presence import Presence
from sensord.quarantine import Addresses
from sensord.store.service import Store
from sensord.tables import meant

#: What all paths begin with.
ROOT = "/api/v1"

#: The status that says what became of a command.
_STATUS = {"sent": 200, "pending": 202, "expired": 409, "refused": 409}


def _answers(call: Callable[..., Awaitable[object]]) -> Callable[..., Coroutine[Any, Any, bytes]]:
    """
    Encode what a route returns.
    """

    @wraps(call)
    async def answer(self: "Api", request: Any, **parts: str) -> bytes:
        return reply(request, await call(self, request, **parts))

    return answer


class Api:
    """
    The control API of one daemon.

    @param clock: the reactor.
    @param settings: gives those of the moment, for the descriptions of devices and the wires of
        listeners.
    @param listeners: the ways in, by name.
    @param sinks: the ways out, by name.
    @param hubs: the hubs; L{None} without a manager.
    @param reloader: what reads the configuration anew; L{None} if it stays as it is.
    """

    _log = Logger()
    _app = Klein()

    def __init__(
        self,
        clock: Any,
        settings: Callable[[], Settings],
        presence: Presence,
        store: Store,
        commands: Commands,
        listeners: Mapping[str, Way],
        sinks: Mapping[str, Outlet],
        hubs: Hubs | None = None,
        reloader: Reloader | None = None,
    ) -> None:
        self._names = Names(settings)
        self._reloader = reloader
        self._presence = presence
        self._store = store
        self._commands = commands
        self._sinks = sinks
        self._hubs = hubs
        self._describing = Describing(store, self._names, reloader)
        self._inlets = Inlets(store, self._names, listeners)
        self._outlets = Outlets(clock, store, self._names, sinks)
        self._exports = Exports(clock, store, self._names)
        self._live = Live(clock, store, presence, commands)
        self._started = 0
        self._closed = False

    def resource(self) -> IResource:
        """
        What serves it, for the root of a site or for its child C{api}.
        """
        return Door(self._app.resource())

    def open(self) -> None:
        """
        Take requests again.
        """
        if self._closed or not self._started:
            self._started = int(self._presence.now() * 1e6)
        self._closed = self._inlets.closed = False

    def close(self) -> None:
        """
        End all events, and leave the listeners as they are.
        """
        self._closed = self._inlets.closed = True
        self._live.close()
        self._exports.close()
        self._outlets.close()

    @_app.route(f"{ROOT}/status", methods=["GET"])
    @_answers
    async def _getStatus(self, request: Any) -> object:
        parameters(request, asked.Nothing)
        hubs = self._hubs is not None
        return await status(self._names, self._presence, self._store, self._started, hubs)

    @_app.route(f"{ROOT}/reload", methods=["POST"])
    @_answers
    async def _postReload(self, request: Any) -> object:
        parameters(request, asked.Nothing)
        self._refuse()
        return await reload(request, self._reloader)

    @_app.route(f"{ROOT}/devices", methods=["GET"])
    @_answers
    async def _getDevices(self, request: Any) -> object:
        parameters(request, asked.Nothing)
        latest = await answered(self._store.latest())
        return devices(self._names, self._presence, latest, self._presence.now())

    @_app.route(f"{ROOT}/devices/forget", methods=["POST"])
    @_answers
    async def _postForget(self, request: Any) -> object:
        parameters(request, asked.Nothing)
        gone, sinks = document(request, Gone), self._sinks.values()
        return await forget(gone, self._names, self._presence, self._store, sinks, who(request))

    @_app.route(f"{ROOT}/devices/description", methods=["GET"])
    @_answers
    async def _getDescription(self, request: Any) -> object:
        return await self._describing.description(request)

    @_app.route(f"{ROOT}/devices/preview", methods=["POST"])
    @_answers
    async def _postPreview(self, request: Any) -> object:
        parameters(request, asked.Nothing)
        return await self._describing.preview(request)

    @_app.route(f"{ROOT}/devices/describe", methods=["POST"])
    @_answers
    async def _postDescribe(self, request: Any) -> object:
        parameters(request, asked.Nothing)
        self._refuse()
        return await self._describing.describe(request)

    @_app.route(f"{ROOT}/latest", methods=["GET"])
    @_answers
    async def _getLatest(self, request: Any) -> object:
        wanted = parameters(request, asked.OneSeries)
        device = self._names.label(wanted.device)
        return await answered(self._store.latest(device or None, wanted.name or None))

    @_app.route(f"{ROOT}/history", methods=["GET"])
    @_answers
    async def _getHistory(self, request: Any) -> object:
        return await series.history(request, self._names, self._store, self._presence.now())

    @_app.route(f"{ROOT}/sparklines", methods=["GET"])
    @_answers
    async def _getSparklines(self, request: Any) -> object:
        return await series.sparklines(request, self._names, self._store, self._presence.now())

    @_app.route(f"{ROOT}/export", methods=["GET"])
    async def _getExport(self, request: Any) -> bytes:
        self._refuse()
        await self._exports.serve(request, self._presence.now())
        return b""

    @_app.route(f"{ROOT}/commands", methods=["GET"])
    @_answers
    async def _getCommands(self, request: Any) -> object:
        limit = parameters(request, asked.Limit).limit
        return await answered(self._commands.list(limit))

    @_app.route(f"{ROOT}/commands", methods=["POST"])
    async def _postCommand(self, request: Any) -> bytes:
        parameters(request, asked.Nothing)
        order = document(request, asked.Order)
        delivery = await answered(
            self._commands.send(order.address, order.variable, order.value, who(request))
        )
        return reply(request, delivery, _STATUS[delivery.state])

    @_app.route(f"{ROOT}/listeners", methods=["GET"])
    @_answers
    async def _getListeners(self, request: Any) -> object:
        parameters(request, asked.Nothing)
        return await self._inlets.describe()

    @_app.route(f"{ROOT}/listeners/<name>/<action>", methods=["POST"])
    @_answers
    async def _postListener(self, request: Any, name: str, action: str) -> object:
        parameters(request, asked.Nothing)
        return await self._inlets.switch(request, name, action)

    @_app.route(f"{ROOT}/sinks", methods=["GET"])
    @_answers
    async def _getSinks(self, request: Any) -> object:
        parameters(request, asked.Nothing)
        return await self._outlets.describe()

    @_app.route(f"{ROOT}/sinks/<name>/<action>", methods=["POST"])
    @_answers
    async def _postSink(self, request: Any, name: str, action: str) -> object:
        parameters(request, asked.Nothing)
        guard(request)
        return await self._outlets.switch(name, action, who(request))

    @_app.route(f"{ROOT}/sinks/<name>/replay", methods=["POST"])
    async def _postReplay(self, request: Any, name: str) -> bytes:
        parameters(request, asked.Nothing)
        self._refuse()
        await self._outlets.replay(request, name, document(request, Past), who(request))
        return b""

    @_app.route(f"{ROOT}/hubs", methods=["GET"])
    @_answers
    async def _getHubs(self, request: Any) -> object:
        return listed(request, self._hubs)

    @_app.route(f"{ROOT}/hubs/<name>/<action>", methods=["POST"])
    @_answers
    async def _postHub(self, request: Any, name: str, action: str) -> object:
        self._refuse()
        return await switch(request, self._hubs, name, action)

    @_app.route(f"{ROOT}/dead-letters", methods=["GET"])
    @_answers
    async def _getLetters(self, request: Any) -> object:
        wanted = parameters(request, asked.Letters)
        return await self._outlets.letters(wanted.sink, wanted.limit)

    @_app.route(f"{ROOT}/dead-letters/retry", methods=["POST"])
    @_answers
    async def _postRetry(self, request: Any) -> object:
        parameters(request, asked.Nothing)
        return await self._outlets.retry(document(request, Choice), who(request))

    @_app.route(f"{ROOT}/dead-letters/drop", methods=["POST"])
    @_answers
    async def _postDrop(self, request: Any) -> object:
        parameters(request, asked.Nothing)
        return await self._outlets.drop(document(request, Choice), who(request))

    @_app.route(f"{ROOT}/quarantine", methods=["GET"])
    @_answers
    async def _getQuarantine(self, request: Any) -> object:
        wanted = parameters(request, asked.Frames)
        job = partial(frames, Addresses(self._names.settings), wanted.listener, wanted.limit)
        return await answered(self._store.read(job))

    @_app.route(f"{ROOT}/openapi.json", methods=["GET"])
    async def _getDocument(self, request: Any) -> bytes:
        from sensord.control.openapi import document  # it takes long to import

        parameters(request, asked.Nothing)
        return reply(request, Raw(document()))

    @_app.route(f"{ROOT}/events", methods=["GET"])
    async def _getEvents(self, request: Any) -> bytes:
        wanted = parameters(request, asked.Patterns)
        self._refuse()
        if request.method != b"HEAD":  # to which the answer has an end
            device, last = self._names.label(wanted.device), wanted.last
            header = (request.getHeader(b"last-event-id") or b"").decode("utf-8", "replace")
            await self._live.serve(request, device, wanted.name, header or last)
        return b""

    @_app.handle_errors(Exception)
    def _failed(self, request: Any, failure: Failure) -> bytes:
        error = failure.value
        if isinstance(error, Fault):
            return reply(request, Trouble(error.why, error.faults), error.status)
        path = request.path.decode("utf-8", "replace")
        if isinstance(error, MethodNotAllowed):
            allowed = ", ".join(sorted(error.valid_methods or ()))
            request.setHeader(b"allow", allowed.encode())
            return reply(request, Trouble(f"{path} takes {allowed} only"), 405)
        if isinstance(error, HTTPException):
            known = {rule.rule for rule in self._app.url_map.iter_rules()}
            return reply(request, Trouble(f"there is no {path}{meant(path, known)}"), 404)
        self._log.failure("{path}", failure, path=path)
        return reply(request, Trouble("something is wrong here; see the log"), 500)

    def _refuse(self) -> None:
        """
        @raise Fault: if it is too late to begin anything.
        """
        if self._closed:
            raise Fault(503, "the daemon is stopping")

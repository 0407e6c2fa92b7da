"""
The control API: what the toolbox, and later a page, ask of the running daemon.

JSON over HTTP. Times are microseconds since the epoch, UTC. ::

    GET  /api/v1/devices                  all that are described or were heard, with their values
    POST /api/v1/devices/forget           {"device": ...}: forget when one was heard, and what other
                                          programs keep of it; 409 if it is there just now
    GET  /api/v1/latest                   the newest value of each series: device, name
    GET  /api/v1/history                  a series over time: device, name, start, end, step
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
    GET  /api/v1/events                   live, see L{sensord.control.live}: device, name

C{start} and C{end} may also be what the toolbox takes, such as C{2h} or C{2025-11-20T18:00};
without them the last 24 hours are meant. A POST has to say that it is JSON, even without a body.
What cannot be done is answered by C{{"error": "<reason>"}} with 400 (it makes no sense), 404, 405,
408 (it came too slowly), 409 (it is not possible just now), 413 or 431 (it is too long), or 503
(the database cannot be used, or takes too long).
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial, wraps
from typing import Annotated, Any

from klein import Klein
from msgspec import Meta, Struct
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from sensord.commands import Commands
from sensord.config import ConfigError, Settings
from sensord.control.answers import (
    History,
    Listening,
    Names,
    Way,
    devices,
    frames,
    ledger,
    listening,
)
from sensord.control.asking import answered, shielded
from sensord.control.door import Door
from sensord.control.forgetting import Gone, forget
from sensord.control.hubs import Hubs, listed, switch
from sensord.control.live import Live
from sensord.control.outlets import Choice, Outlets, Past
from sensord.control.query import (
    Fault,
    Trouble,
    document,
    duration,
    guard,
    instant,
    parameters,
    reply,
    who,
)
from sensord.control.sending import Outlet
from sensord.presence import Presence
from sensord.store.service import Store
from sensord.tables import meant

#: What all paths begin with.
ROOT = "/api/v1"

#: The most rows of one answer: more would fill the memory for a question that nobody meant.
MAX_ROWS = 10_000

#: The status that says what became of a command.
_STATUS = {"sent": 200, "pending": 202, "expired": 409, "refused": 409}


class _Nothing(Struct):
    pass


class _Series(Struct):
    device: str = ""
    name: str = ""


class _Span(Struct):
    device: str
    name: str
    start: str = "24h"
    end: str = "0s"
    step: str = "0"


class _Limit(Struct):
    limit: Annotated[int, Meta(ge=1, le=MAX_ROWS)] = 100


class _Frames(_Limit):
    listener: str = ""


class _Letters(_Limit):
    sink: str = ""


class _Patterns(Struct):
    device: str = "*"
    name: str = "*"


class _Order(Struct):
    address: str
    variable: str
    value: float


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
    @param settings: for the descriptions of devices, and the wires of listeners.
    @param listeners: the ways in, by name.
    @param sinks: the ways out, by name.
    @param hubs: the hubs; L{None} without a manager.
    """

    _log = Logger()
    _app = Klein()

    def __init__(
        self,
        clock: Any,
        settings: Settings,
        presence: Presence,
        store: Store,
        commands: Commands,
        listeners: Mapping[str, Way],
        sinks: Mapping[str, Outlet],
        hubs: Hubs | None = None,
    ) -> None:
        self._names = Names(settings)
        self._presence = presence
        self._store = store
        self._commands = commands
        self._listeners = listeners
        self._sinks = sinks
        self._hubs = hubs
        self._outlets = Outlets(clock, store, self._names, sinks)
        self._live = Live(clock, store, presence, commands)
        self._turns = DeferredLock()
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
        self._closed = False

    def close(self) -> None:
        """
        End all events, and leave the listeners as they are.
        """
        self._closed = True
        self._live.close()
        self._outlets.close()

    @_app.route(f"{ROOT}/devices", methods=["GET"])
    @_answers
    async def _getDevices(self, request: Any) -> object:
        parameters(request, _Nothing)
        latest = await answered(self._store.latest())
        return devices(self._names, self._presence, latest, self._presence.now())

    @_app.route(f"{ROOT}/devices/forget", methods=["POST"])
    @_answers
    async def _postForget(self, request: Any) -> object:
        parameters(request, _Nothing)
        gone, sinks = document(request, Gone), self._sinks.values()
        return await forget(gone, self._names, self._presence, self._store, sinks, who(request))

    @_app.route(f"{ROOT}/latest", methods=["GET"])
    @_answers
    async def _getLatest(self, request: Any) -> object:
        asked = parameters(request, _Series)
        device = self._names.label(asked.device)
        return await answered(self._store.latest(device or None, asked.name or None))

    @_app.route(f"{ROOT}/history", methods=["GET"])
    @_answers
    async def _getHistory(self, request: Any) -> object:
        asked = parameters(request, _Span)
        now = self._presence.now()
        device = self._names.label(asked.device)
        start, end = instant("start", asked.start, now), instant("end", asked.end, now)
        step = duration("step", asked.step)
        points = await answered(self._store.history(device, asked.name, start, end, step))
        return History(device, asked.name, start, end, step, points)

    @_app.route(f"{ROOT}/commands", methods=["GET"])
    @_answers
    async def _getCommands(self, request: Any) -> object:
        limit = parameters(request, _Limit).limit
        return await answered(self._commands.list(limit))

    @_app.route(f"{ROOT}/commands", methods=["POST"])
    async def _postCommand(self, request: Any) -> bytes:
        parameters(request, _Nothing)
        order = document(request, _Order)
        delivery = await answered(
            self._commands.send(order.address, order.variable, order.value, who(request))
        )
        return reply(request, delivery, _STATUS[delivery.state])

    @_app.route(f"{ROOT}/listeners", methods=["GET"])
    @_answers
    async def _getListeners(self, request: Any) -> object:
        parameters(request, _Nothing)
        return await self._describe(list(self._listeners))

    @_app.route(f"{ROOT}/listeners/<name>/<action>", methods=["POST"])
    @_answers
    async def _postListener(self, request: Any, name: str, action: str) -> object:
        if action not in ("start", "stop"):
            why = f'a listener can "start" or "stop"{meant(action, ("start", "stop"))}'
            raise Fault(404, why)
        if name not in self._listeners:
            raise Fault(404, f'there is no listener "{name}"{meant(name, self._listeners)}')
        parameters(request, _Nothing)
        guard(request)
        switch = self._start if action == "start" else self._stop
        done = self._turns.run(lambda: Deferred.fromCoroutine(switch(name, who(request))))
        await shielded(done)
        return (await self._describe([name]))[0]

    @_app.route(f"{ROOT}/sinks", methods=["GET"])
    @_answers
    async def _getSinks(self, request: Any) -> object:
        parameters(request, _Nothing)
        return await self._outlets.describe()

    @_app.route(f"{ROOT}/sinks/<name>/<action>", methods=["POST"])
    @_answers
    async def _postSink(self, request: Any, name: str, action: str) -> object:
        parameters(request, _Nothing)
        guard(request)
        return await self._outlets.switch(name, action, who(request))

    @_app.route(f"{ROOT}/sinks/<name>/replay", methods=["POST"])
    async def _postReplay(self, request: Any, name: str) -> bytes:
        parameters(request, _Nothing)
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
        asked = parameters(request, _Letters)
        return await self._outlets.letters(asked.sink, asked.limit)

    @_app.route(f"{ROOT}/dead-letters/retry", methods=["POST"])
    @_answers
    async def _postRetry(self, request: Any) -> object:
        parameters(request, _Nothing)
        return await self._outlets.retry(document(request, Choice), who(request))

    @_app.route(f"{ROOT}/dead-letters/drop", methods=["POST"])
    @_answers
    async def _postDrop(self, request: Any) -> object:
        parameters(request, _Nothing)
        return await self._outlets.drop(document(request, Choice), who(request))

    @_app.route(f"{ROOT}/quarantine", methods=["GET"])
    @_answers
    async def _getQuarantine(self, request: Any) -> object:
        asked = parameters(request, _Frames)
        return await answered(self._store.read(partial(frames, asked.listener, asked.limit)))

    @_app.route(f"{ROOT}/events", methods=["GET"])
    async def _getEvents(self, request: Any) -> bytes:
        asked = parameters(request, _Patterns)
        self._refuse()
        if request.method != b"HEAD":  # to which the answer has an end
            await self._live.serve(request, self._names.label(asked.device), asked.name)
        return b""

    @_app.handle_errors(Exception)
    def _failed(self, request: Any, failure: Failure) -> bytes:
        error = failure.value
        if isinstance(error, Fault):
            return reply(request, Trouble(error.why), error.status)
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

    async def _describe(self, names: list[str]) -> list[Listening]:
        """
        How some listeners are.
        """
        accounts = await answered(self._store.read(ledger))
        wires, ways = self._names.wires, self._listeners
        return [
            listening(name, wires.get(name, ""), ways[name], accounts.get(name)) for name in names
        ]

    async def _start(self, name: str, who: str) -> None:
        way = self._listeners[name]
        if way.running:
            return
        self._refuse()  # the gateway closes its listeners: nobody would close this one
        try:
            way.startService()
        except (CannotListenError, ConfigError, OSError) as error:
            raise Fault(409, str(error)) from error
        way.steer(self._store.ready, self._store.full)
        self._log.info("{name}: started by {who}", name=name, who=who)

    async def _stop(self, name: str, who: str) -> None:
        way = self._listeners[name]
        if way.running:
            self._log.info("{name}: stopped by {who}", name=name, who=who)
            await way.stopService()
            await way.disconnect()

    def _refuse(self) -> None:
        """
        @raise Fault: if it is too late to begin anything.
        """
        if self._closed:
            raise Fault(503, "the daemon is stopping")

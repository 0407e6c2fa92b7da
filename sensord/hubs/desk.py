"""
Where the hub manager is spoken to by MQTT. It takes JSON objects at C{/hub_manager/cmd}::

    {"cmd": "start", "hub": "h7", "group": "acme", "id": 1}     the group: the first time
    {"cmd": "stop" or "restart" or "status" or "forget", "hub": "h7", "id": 2}
    {"cmd": "list", "id": 3}

and answers at C{/hub_manager/reply}::

    {"id": 1, "ok": true, "status": {"hub": "h7", "group": "acme", "state": "starting", ...}}
    {"id": 3, "ok": true, "hubs": [{"hub": "h7", ...}]}
    {"id": 4, "ok": false, "error": "there is no hub h8"}

How each hub is stands at C{/hub_manager/status/<hub>}, retained; how the manager itself is, at
C{/hub_manager/status/hub_manager}: C{{"state": "running"}}, or C{stopped}, or C{lost} if its
connection broke.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from msgspec import DecodeError, Struct, ValidationError
from msgspec.json import Decoder
from msgspec.json import encode as encodeJson
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from sensord.broker import Broker
from sensord.brokers import Message, Publication, Terms, Unavailable
from sensord.hubs.hub import Status
from sensord.hubs.refusals import Refusal
from sensord.ids import MANAGER
from sensord.rarely import Rarely
from sensord.text import plain

COMMANDS, REPLIES, STATUS = f"/{MANAGER}/cmd", f"/{MANAGER}/reply", f"/{MANAGER}/status"

#: The longest request, in bytes: more would fill the memory for a command of four fields.
MAX_REQUEST = 65_536

#: Bytes that a packet may have beside its payload: its topic, and what MQTT 5 says of it.
_AROUND = 2048

#: Requests that may be dealt with at a time. Without a limit, those that come without
#: confirmation, and do not wait at the broker, would fill the memory.
_MAX_OPEN = 100

#: What a request may be called that is answered: a text of some length, or a number.
_MAX_NAME = 200

#: The longest reason, in characters: some have in them what was sent.
_MAX_WHY = 300

#: Seconds that the broker keeps commands while we are away.
_KEPT = 3600

#: Seconds for which is waited, at the end, until the broker has confirmed what was said.
_LEAVE = 2.0


def _state(state: str) -> Publication:
    """
    How the manager is.
    """
    return Publication(f"{STATUS}/{MANAGER}", encodeJson({"state": state}), retain=True)


#: What is agreed with the broker. It says that we are lost if the connection breaks.
TERMS = Terms(_state("lost"), _KEPT, receive=20, manual=True, largest=MAX_REQUEST + _AROUND)


class Hubs(Protocol):
    """
    The hubs, as L{Manager<sensord.hubs.manager.Manager>} has them.
    """

    def list(self) -> Sequence[Status]:
        """
        How all are.
        """

    def status(self, name: str) -> Status:
        """
        How one is.
        """

    async def do(self, action: str, name: str, group: str, who: str) -> Status | None:
        """
        Do something with one.
        """


class _Request(Struct):
    cmd: Literal["start", "stop", "restart", "forget", "status", "list"]
    hub: str = ""
    group: str = ""
    id: str | int | float | None = None


_decode = Decoder(_Request).decode


class Desk:
    """
    Takes requests, answers them, and tells how hubs are.
    """

    _log = Logger()

    def __init__(self, reactor: Any, broker: Broker, hubs: Hubs) -> None:
        self._reactor = reactor
        self._broker = broker
        self._hubs = hubs
        self._rarely = Rarely(self._log, reactor)
        self._open = 0
        self._closed = self._subscribed = False
        broker.follow(self._greet)

    def start(self) -> None:
        """
        Connect, now or when that is possible.
        """
        self._closed = False
        if not self._subscribed:
            self._subscribed = True
            granted = self._broker.subscribe(COMMANDS, self._asked)
            granted.addErrback(lambda failure: None)  # which is logged; it is asked again
        self._broker.start()

    def close(self) -> None:
        """
        Take no more requests; they stay at the broker.
        """
        self._closed = True

    def stop(self) -> Deferred[None]:
        """
        Take leave, when all that was said before is heard.
        """
        if not self._broker.connected:
            return self._broker.stop()
        said = self._broker.publish(_state("stopped"))
        said.addTimeout(_LEAVE, self._reactor)
        said.addErrback(lambda failure: None)
        return said.addCallback(lambda _none: self._broker.stop())

    def tell(self, status: Status) -> None:
        """
        A hub is in another way than before.
        """
        if self._broker.connected:
            self._say(Publication(f"{STATUS}/{status.hub}", encodeJson(status), retain=True))

    def forget(self, hub: str) -> None:
        """
        There is no such hub any more.
        """
        if self._broker.connected:
            self._say(Publication(f"{STATUS}/{hub}", b"", retain=True))

    def _greet(self) -> None:
        """
        There is a new connection: what was said on the last one may not have been heard.
        """
        self._say(_state("running"))
        for status in self._hubs.list():
            self.tell(status)

    def _say(self, publication: Publication) -> None:
        def failed(failure: Failure) -> None:
            if not failure.check(Unavailable):  # else it is said again, or asked again
                why, topic = failure.getErrorMessage(), publication.topic
                self._rarely.warn("denied", topic, "hubs: {topic}: {why}", topic=topic, why=why)

        self._broker.publish(publication).addErrback(failed)

    def _asked(self, message: Message) -> None:
        """
        Somebody wants something. It is confirmed when it is dealt with.
        """
        if self._closed:
            return
        if message.retain:
            self._rarely.warn("retained", "", f"hubs: a retained message at {COMMANDS} is ignored")
            message.ack()
            return
        done = Deferred.fromCoroutine(self._answer(message))
        done.addErrback(lambda failure: self._log.failure("hubs", failure))

    async def _answer(self, message: Message) -> None:
        reply: dict[str, Any] = {"id": None, "ok": False}
        self._open += 1
        try:
            reply |= await self._obey(message, reply)
        except Refusal as error:
            reply["error"] = str(error)[:_MAX_WHY]
            self._rarely.warn("refused", "", "hubs: refused: {why}", why=reply["error"])
        finally:
            self._open -= 1
            message.ack()
        self._say(Publication(REPLIES, encodeJson(reply)))

    async def _obey(self, message: Message, reply: dict[str, Any]) -> dict[str, Any]:
        """
        Do what is asked for.

        @param reply: is told how the request is called.
        @return: what is answered.
        @raise Refusal: if it is not possible.
        """
        if message.size or len(message.payload) > MAX_REQUEST:
            raise Refusal(f"a request has at most {MAX_REQUEST} bytes")
        try:
            request = _decode(message.payload)
        except (DecodeError, ValidationError, UnicodeDecodeError, RecursionError) as error:
            raise Refusal(plain(f"this is no request: {error}")) from error
        if not (isinstance(request.id, str | int) and len(str(request.id)) > _MAX_NAME):
            reply["id"] = request.id
        if self._open > _MAX_OPEN:
            raise Refusal("too many requests wait")
        if request.cmd == "list":
            return {"ok": True, "hubs": self._hubs.list()}
        if request.cmd == "status":
            return {"ok": True, "status": self._hubs.status(request.hub)}
        status = await self._hubs.do(request.cmd, request.hub, request.group, "mqtt")
        return {"ok": True} if status is None else {"ok": True, "status": status}

"""
Adds devices to a hub and removes them, as somebody asks for by MQTT: C{register_cmd} takes a JSON
object, C{{"cmd": "add" or "remove", "device": "<id>", "id": <whatever names the request>}}, and
C{register_reply} answers C{{"id": ..., "ok": true}}, or C{false} and C{"error"} with the reason.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from msgspec import DecodeError, Struct, ValidationError
from msgspec.json import Decoder
from msgspec.json import encode as encodeJson
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from sensord.broker import Broker
from sensord.brokers import Message, Publication
from sensord.config import ConfigError
from sensord.ids import idFault
from sensord.protocols.inlet import Inlet
from sensord.registry import Registry, Unregistrable

#: The longest request, in bytes.
_MAX_REQUEST = 4096

#: What a request may be called that is answered: a text of some length, or a number.
_MAX_NAME = 200


class _Request(Struct):
    cmd: Literal["add", "remove"]
    device: str
    id: str | int | float | None = None


_decode = Decoder(_Request).decode


class Registrar:
    """
    Obeys C{register_cmd}.

    @param stem: what its topics begin with.
    @param run: runs what blocks.
    """

    _log = Logger()

    def __init__(
        self,
        registry: Registry,
        stem: str,
        inlet: Inlet,
        run: Callable[[Callable[[], None]], Deferred[None]],
    ) -> None:
        self._registry = registry
        self._stem = stem
        self._inlet = inlet
        self._run = run
        self._broker: Broker | None = None

    def start(self, broker: Broker) -> None:
        """
        Listen.

        @raise ConfigError: if the registry cannot be read.
        """
        try:
            count = len(self._registry.ids)
        except Unregistrable as error:
            raise ConfigError([str(error)]) from error
        self._log.info("{name}: {count} devices are registered", name=self._inlet.name, count=count)
        if self._broker is None:
            self._broker = broker
            granted = broker.subscribe(f"{self._stem}register_cmd", self._asked)
            granted.addErrback(lambda failure: None)  # which is logged; it is asked again

    def _asked(self, message: Message) -> None:
        """
        Somebody wants something. It is confirmed when it is answered.
        """
        if message.retain:
            self._inlet.warn("retained", "", "{name}: a retained register_cmd is ignored")
            message.ack()
            return
        done = Deferred.fromCoroutine(self._obey(message))
        done.addErrback(lambda failure: self._log.failure("{name}", failure, name=self._inlet.name))

    async def _obey(self, message: Message) -> None:
        answer: dict[str, Any] = {"id": None, "ok": False}
        try:
            if message.size or len(message.payload) > _MAX_REQUEST:
                raise Unregistrable(f"a request has at most {_MAX_REQUEST} bytes")
            request = _decode(message.payload)
            if not (isinstance(request.id, str) and len(request.id) > _MAX_NAME):
                answer["id"] = request.id
            for fault in idFault("device", request.device):
                raise Unregistrable(fault)
            change = self._registry.add if request.cmd == "add" else self._registry.remove
            await self._run(partial(change, request.device))
            answer["ok"] = True
        except (ValidationError, DecodeError, UnicodeDecodeError, RecursionError) as error:
            answer["error"] = f"this is no request: {error}"[:200]
        except Unregistrable as error:
            answer["error"] = str(error)
        if not answer["ok"]:
            self._inlet.warn("unregistered", "", "{name}: {error}", error=answer["error"])
        message.ack()
        assert self._broker is not None
        said = self._broker.publish(Publication(f"{self._stem}register_reply", encodeJson(answer)))
        said.addErrback(lambda failure: None)  # whoever asked has to ask again

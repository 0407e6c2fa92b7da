"""
One connection to an MQTT broker. paho-mqtt speaks the protocol, driven through its calls for event
loops of others: C{loop_read}, C{loop_write} and C{loop_misc}.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from paho.mqtt.client import MQTTMessage, error_string
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from zope.interface import implementer

from sensord.brokers import (
    MAX_PACKET,
    UNFIT,
    BrokerSettings,
    Denied,
    Message,
    Publication,
    Terms,
    Unavailable,
)
from sensord.pipe import Heard, Pipe, PipedClient
from sensord.pipe import client as build
from sensord.reach import ending, part, verdict, words

#: Seconds that a broker has for each answer. One that accepts everything and says nothing would
#: otherwise keep readings for ever.
ANSWER = 30.0

#: Seconds that it has for taking the last bytes.
_GRACE = 2.0

#: Bytes that a packet has beside its topic and its payload, at most.
_AROUND = 10

#: Seconds between two looks at what is due.
_TICK = 1.0


@implementer(IPushProducer)
class Session(Protocol):
    """
    A connection, from the greeting to its end. paho holds a lock while it calls back, so what it
    says is noted, and dealt with when it has returned.

    @ivar accepted: fires when the broker has taken us, or fails with why not.
    @ivar gone: fires with why when the connection has ended.
    @param arrived: called with each message.
    """

    transport: Any
    _client: PipedClient

    def __init__(
        self,
        reactor: Any,
        settings: BrokerSettings,
        terms: Terms,
        arrived: Callable[[Message], None],
    ) -> None:
        self.accepted: Deferred[None] = Deferred()
        self.gone: Deferred[Exception] = Deferred()
        self._reactor = reactor
        self._settings = settings
        self._terms = terms
        self._receive = arrived
        self._waiting: dict[int, Deferred[None]] = {}
        self._queue: deque[tuple[Publication, Deferred[None]]] = deque()
        self._window = terms.inflight
        self._since = 0.0
        self._events: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._due: Any = None  # the call that will write
        self._end: Any = None  # the call that will cut the connection
        self._why: Exception | None = None
        self._closed = False
        self._over = False
        self._leaving = False
        self._largest = MAX_PACKET
        self._tick = LoopingCall(self._look)
        self._tick.clock = reactor

    def connectionMade(self) -> None:
        """
        Say who we are.
        """
        self._pipe = Pipe(
            self.transport.write,
            partial(self._note, self._big),
            self._terms.largest,
            # Others are confirmed by paho itself, which has to read them for that.
            self._settings.version == "5" if self._terms.manual else None,
        )
        self._client = self._build()
        self.transport.registerProducer(self, True)
        self._since = self._reactor.seconds()
        self._tick.start(_TICK, now=False)
        settings, terms = self._settings, self._terms
        if settings.version == "5":
            properties = Properties(PacketTypes.CONNECT)
            properties.ReceiveMaximum = terms.receive
            properties.MaximumPacketSize = terms.largest
            properties.SessionExpiryInterval = terms.kept
            self._client.connect(
                "broker", 1, settings.keepalive, clean_start=not terms.kept, properties=properties
            )
        else:
            self._client.connect("broker", 1, settings.keepalive)

    def dataReceived(self, data: bytes) -> None:
        """
        Let paho read.
        """
        if self._pipe.closed:
            return  # we have taken leave: what is not confirmed comes again
        for heard in self._pipe.feed(data):
            self._read()
            if self._over or self._pipe.closed:
                return
            self._hear(heard)
        self._read()
        self._attend()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Whatever was not answered has failed.
        """
        self._over = True
        if self._tick.running:
            self._tick.stop()
        for call in (self._due, self._end):
            if call is not None and call.active():
                call.cancel()
        why = self._why or ending(reason)
        waiting = [*self._waiting.values(), *(queued for _publication, queued in self._queue)]
        self._waiting.clear()
        self._queue.clear()
        unfit = isinstance(why, Denied) and why.code in UNFIT
        if not self.accepted.called:
            self.accepted.errback(why)
        self.gone.callback(why)
        # These last: whoever is told that something failed may say it again at once.
        for deferred in waiting:
            deferred.errback(Unavailable(f"there was no answer: {why}", unfit))

    def publish(self, publication: Publication) -> Deferred[None]:
        """
        Say something.

        @return: fires when the broker has it; with QoS 0, when it is on its way.
        """
        topic, payload = publication.topic, publication.payload
        if self._over:
            return fail(Unavailable("the connection was closed"))
        if len(payload) + len(topic.encode(errors="replace")) + _AROUND > self._largest:
            return fail(Denied(f"{len(payload)} bytes are too many for the broker", 149))
        if publication.qos and (self._queue or len(self._waiting) >= self._window):
            queued: Deferred[None] = Deferred()
            self._queue.append((publication, queued))
            return queued
        return self._send(publication)

    def subscribe(self, pattern: str, qos: int) -> Deferred[None]:
        """
        Ask for what is said somewhere.

        @return: fires when the broker has agreed.
        """
        if self._over:
            return fail(Unavailable("the connection was closed"))
        try:
            code, mid = self._client.subscribe(pattern, qos)
        except ValueError as error:
            return fail(Denied(f"{pattern}: {error}", 143))
        return self._wait(code, mid)

    def unsubscribe(self, pattern: str) -> None:
        """
        Ask for no more of it.
        """
        self._client.unsubscribe(pattern)

    def leave(self) -> None:
        """
        Take leave, so that the will is not said.
        """
        if not self.accepted.called:
            self.abort(Unavailable("the connection is closed"))
        elif not (self._leaving or self._over):
            self._leaving = True
            self._end = self._reactor.callLater(_GRACE, self.transport.abortConnection)
            self._client.disconnect()
            self._write()

    def hold(self, held: bool) -> None:
        """
        Let the broker wait, or go on.
        """
        if held:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()

    def abort(self, why: Exception) -> None:
        """
        End it at once.
        """
        if not self._over:
            self._why = self._why or why
            self.transport.abortConnection()

    def pauseProducing(self) -> None:
        """
        The transport takes no more just now.
        """
        self._pipe.full = True

    def resumeProducing(self) -> None:
        """
        It takes more.
        """
        self._pipe.full = False
        self._want()

    def stopProducing(self) -> None:
        """
        It takes nothing any more.
        """
        self._pipe.full = True

    def _build(self) -> PipedClient:
        client = build(self._settings, self._terms, self._pipe)
        note = self._note
        client.on_connect = lambda _client, _data, _flags, code, extra: note(
            self._greeted, code, extra
        )
        client.on_disconnect = lambda _client, _data, _flags, code, _extra: note(self._ended, code)
        client.on_publish = lambda _client, _data, mid, code, _extra: note(
            self._answered, mid, code
        )
        client.on_subscribe = lambda _client, _data, mid, codes, _extra: note(
            self._granted, mid, codes
        )
        client.on_message = lambda _client, _data, message: note(self._arrived, message)
        client.on_socket_register_write = lambda _client, _data, _socket: self._want()
        return client

    def _note(self, event: Callable[..., None], *arguments: Any) -> None:
        self._events.append((event, arguments))

    def _read(self) -> None:
        """
        Let paho read what is there for it. One packet at a time: its messages are heavy, and the
        collector of garbage would walk through all of them, again and again.
        """
        while self._pipe.buffer and not (self._pipe.closed or self._over):
            self._drive(self._client.loop_read)

    def _drive(self, call: Callable[[], object]) -> None:
        """
        Let paho do something, and deal with what came of it.
        """
        try:
            call()
        except Exception as error:  # its decoders raise various things for what is no MQTT
            self._why = self._why or Unavailable(f"what it says is no MQTT ({error!r})")
            self._pipe.close()
        self._attend()

    def _attend(self) -> None:
        while self._events:
            event, arguments = self._events.popleft()
            event(*arguments)
        if self._pipe.closed and not (self._closed or self._over):
            self._closed = True
            self._close()

    def _want(self) -> None:
        """
        There is something to write: all that this turn of the reactor brings goes together.
        """
        if self._due is None and not self._over:
            self._due = self._reactor.callLater(0, self._write)

    def _write(self) -> None:
        if self._due is not None and self._due.active():
            self._due.cancel()
        self._due = None
        self._drive(self._client.loop_write)

    def _look(self) -> None:
        """
        Ask whether the broker is there when it is time, and give it up when it does not answer.
        """
        self._drive(self._client.loop_misc)
        expecting = self._waiting or not self.accepted.called
        if expecting and self._reactor.seconds() - self._since >= ANSWER:
            self.abort(Unavailable("it does not answer"))

    def _send(self, publication: Publication) -> Deferred[None]:
        topic = publication.topic
        try:
            sent = self._client.publish(
                topic, publication.payload, publication.qos, publication.retain
            )
        except ValueError as error:
            return fail(Denied(f"{topic}: {error}", 144))
        return self._wait(sent.rc, sent.mid)

    def _wait(self, code: MQTTErrorCode, mid: int | None) -> Deferred[None]:
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            return fail(Unavailable(error_string(code)))
        if not self._waiting:
            self._since = self._reactor.seconds()
        deferred: Deferred[None] = Deferred()
        self._waiting[mid] = deferred
        return deferred

    def _greeted(self, code: ReasonCode, properties: Properties) -> None:
        if code.is_failure:
            self._why = verdict(code, "")
        elif not self.accepted.called:
            self._window = min(self._window, getattr(properties, "ReceiveMaximum", self._window))
            self._largest = min(getattr(properties, "MaximumPacketSize", MAX_PACKET), MAX_PACKET)
            self.accepted.callback(None)

    def _answered(self, mid: int, code: ReasonCode) -> None:
        self._settle(mid, verdict(code, "") if code.is_failure else None)

    def _granted(self, mid: int, codes: Sequence[ReasonCode]) -> None:
        """
        A subscription was answered. Unlike a message, it is not refused just for now.
        """
        refusals = [Denied(words(code), code.value) for code in codes if code.is_failure]
        self._settle(mid, refusals[0] if refusals else None)

    def _settle(self, mid: int, error: Exception | None) -> None:
        """
        Something was answered, so there is room for more.
        """
        self._since = self._reactor.seconds()
        deferred = self._waiting.pop(mid, None)
        if deferred is not None and error is not None:
            deferred.errback(error)
        elif deferred is not None:
            deferred.callback(None)
        while self._queue and len(self._waiting) < self._window:
            publication, queued = self._queue.popleft()
            if not queued.called:  # nobody has lost interest
                self._send(publication).chainDeferred(queued)

    def _arrived(self, message: MQTTMessage) -> None:
        try:
            topic = message.topic.encode()
        except UnicodeDecodeError:  # which no broker should let through
            topic = b"\xff"
        payload = bytes(message.payload)
        self._hear(Heard(topic, payload, message.qos, message.mid, message.retain))

    def _hear(self, heard: Heard) -> None:
        ack = partial(self._ack, heard.mid, heard.qos)
        try:
            topic = heard.topic.decode()
        except UnicodeDecodeError:
            ack()  # so that it does not come again
            return
        self._receive(Message(topic, heard.payload, heard.retain, ack, heard.qos, heard.size))

    def _ack(self, mid: int, qos: int) -> None:
        if not self._over:
            self._client.ack(mid, qos)

    def _big(self, size: int) -> None:
        self._why = Unavailable(f"it sends {size} bytes at a time, which are too many")

    def _ended(self, code: ReasonCode) -> None:
        """
        paho says that it is over, and perhaps the broker has said why.
        """
        self._why = self._why or verdict(code, "the connection was ended: ")

    def _close(self) -> None:
        """
        paho has closed what it takes for its socket.
        """
        if self._leaving:
            self.transport.unregisterProducer()
            part(self.transport)
        else:
            self.transport.abortConnection()

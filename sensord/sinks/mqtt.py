"""
Readings to an MQTT broker. Each is said with QoS 1, and has been passed on when the broker has
confirmed it.

What comes out of turn (history that somebody wants again, dead letters that are tried again) is
said on the same topics and never retained, so that it does not set back what the broker keeps as
the latest. Who listens takes it for the present all the same, unless it looks at the time, which
stands in the format C{json} only. So history is not said again to those of whom it is known that
they do not look: Home Assistant, and emoncms.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from sensord.broker import Broker
from sensord.brokers import UNFIT, BrokerSettings, Denied, Message, Publication, Terms, Unavailable
from sensord.outlets import MqttSettings
from sensord.sinks import Entry, Misconfigured, Poison, Transient
from sensord.sinks.discovery import Discovery
from sensord.sinks.topics import FORMATS, STATUS, Said, deviceTopic, moment, valueTopic

#: How many readings of one moment are kept from one batch to the next. A device that always says
#: the same time would fill the memory.
_MOMENT = 1000

#: What says whether we are there.
_ONLINE, _OFFLINE = b"online", b"offline"


class MqttSink:
    """
    A broker that is told all readings.

    @param interval: seconds between what the device with an address sends; 0 if that is unknown.
    @param broker: makes the connection.
    """

    most = 500
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: MqttSettings,
        *,
        interval: Callable[[str], float] = lambda address: 0.0,
        broker: Callable[..., Any] = Broker,
    ) -> None:
        self._settings = settings
        self.once = _once(settings)
        self._status = f"{settings.prefix}/{STATUS}"
        terms = Terms(Publication(self._status, _OFFLINE, True), inflight=settings.inflight)
        self._broker: Broker = broker(reactor, BrokerSettings.of(settings), settings.name, terms)
        self._discovery: Discovery | None = None
        if settings.discovery:
            self._discovery = Discovery(
                settings.discovery, settings.prefix, settings.format, interval
            )
        self._tail: list[Entry] = []
        self._gone: set[str] = set()  # topics that are to be emptied
        self._broker.follow(self._greet)
        if self._discovery is not None:
            heard = self._broker.subscribe(f"{settings.discovery}/status", self._heard)
            heard.addErrback(lambda failure: None)  # which is logged; what is announced is kept

    @property
    def connected(self) -> bool:
        """
        Whether the broker can be spoken to just now.
        """
        return self._broker.connected

    def start(self) -> None:
        """
        Connect, now or when that is possible.
        """
        self._broker.start()

    def stop(self) -> Deferred[None]:
        """
        Say that we go, and go.
        """
        # With QoS 1 it could have to wait for the answers to others, and never be said.
        self._say([Publication(self._status, _OFFLINE, True, qos=0)])
        return self._broker.stop()

    def write(self, batch: Sequence[Entry]) -> Deferred[None]:
        """
        Say what was read.

        @return: fires when the broker has confirmed all of it.
        """
        return Deferred.fromCoroutine(self._write(batch))

    def late(self, batch: Sequence[Entry], again: bool) -> Deferred[None]:
        """
        Say what was read before.

        @return: fires when the broker has confirmed all of it.
        """
        return Deferred.fromCoroutine(self._late(batch))

    def forget(self, device: str, names: Sequence[str]) -> None:
        """
        What was announced and kept of a device is removed, now or with the next connection. See
        L{Forgetful.forget<sensord.sinks.Forgetful.forget>}.
        """
        settings = self._settings
        if self._discovery is not None:
            self._gone.add(self._discovery.forget(device))
        if settings.retain and settings.format == "value":
            self._gone.update(valueTopic(settings.prefix, device, name) for name in names)
        if settings.retain and settings.format == "json":
            self._gone.add(deviceTopic(settings.prefix, device))
        self._empty()

    async def _late(self, batch: Sequence[Entry]) -> None:
        await self._connect()
        settings = self._settings
        await self._confirm(list(FORMATS[settings.format](settings.prefix, batch, False)))

    async def _connect(self) -> None:
        """
        @raise SinkError: if there is no connection.
        """
        try:
            await self._broker.whenConnected()
        except Unavailable as error:
            raise Transient(str(error)) from error
        except Denied as error:
            if error.code in UNFIT:  # which was about something else
                raise Transient(str(error)) from error
            raise Misconfigured(str(error)) from error

    async def _confirm(self, said: Sequence[Said]) -> None:
        """
        Say something.

        @raise SinkError: if not all of it is confirmed.
        """
        outcome = await DeferredList(
            [self._broker.publish(one) for one in said], consumeErrors=True, fireOnOneErrback=False
        )
        _judge(said, outcome)

    async def _write(self, batch: Sequence[Entry]) -> None:
        await self._connect()
        news = self._discovery.meet(batch) if self._discovery is not None else []
        self._gone.difference_update(one.topic for one in news)
        entries = self._whole(batch)
        said = list(
            FORMATS[self._settings.format](self._settings.prefix, entries, self._settings.retain)
        )
        self._gone.difference_update(one.topic for one in said)
        self._say(news)
        await self._confirm(said)
        if self._settings.format != "value":
            last = moment(batch[-1])
            self._tail = [entry for entry in entries if moment(entry) == last][-_MOMENT:]

    def _whole(self, batch: Sequence[Entry]) -> Sequence[Entry]:
        """
        A batch, with what belongs to its first moment and was at the end of the one before. What
        was cut in two is said again as a whole.
        """
        tail = self._tail
        if tail and moment(tail[0]) == moment(batch[0]) and tail[-1].id < batch[0].id:
            return [*tail, *batch]
        return batch

    def _greet(self) -> None:
        """
        There is a connection: say so, and all that the broker may have forgotten if it was started
        anew.
        """
        self._say([Publication(self._status, _ONLINE, True)])
        self._empty()
        self._announce()

    def _heard(self, message: Message) -> None:
        """
        Home Assistant has said how it is. What it said before we asked is no news.
        """
        message.ack()
        if message.payload == _ONLINE and not message.retain:
            self._announce()

    def _announce(self) -> None:
        if self._discovery is not None:
            self._say(self._discovery.all())

    def _empty(self) -> None:
        """
        Have the broker forget what was kept.
        """
        for topic in sorted(self._gone):
            self._broker.publish(Publication(topic, b"", True)).addCallbacks(
                lambda _result, topic=topic: self._gone.discard(topic), lambda failure: None
            )

    def _say(self, publications: Iterable[Publication]) -> None:
        """
        Say what is said again with the next connection if it is lost.
        """
        for one in publications:
            self._broker.publish(one).addErrback(self._unsaid)

    def _unsaid(self, failure: Failure) -> None:
        if not failure.check(Unavailable):
            self._log.warn(
                "{name}: the broker does not take what is announced: {why}",
                name=self._settings.name,
                why=failure.getErrorMessage(),
            )


def _once(settings: MqttSettings) -> str:
    """
    Why history cannot be said again; empty if it can.
    """
    if settings.discovery:
        return "Home Assistant would take what is sent again for what is measured now"
    if settings.format == "emonhub":
        return "frames have no time: what is sent again would be taken for what is measured now"
    return ""


def _judge(said: Sequence[Said], outcome: Sequence[tuple[bool, Any]]) -> None:
    """
    Look at what became of a batch.

    @param outcome: of each that was said, whether it was taken, and if not the failure.
    @raise SinkError: if something was not taken.
    """
    errors = [
        (one, each.value) for one, (taken, each) in zip(said, outcome, strict=True) if not taken
    ]
    for _one, error in errors:
        if not isinstance(error, Denied | Unavailable):
            raise error
    unfit = [(one, e) for one, e in errors if isinstance(e, Denied) and e.code in UNFIT]
    if unfit:
        raise Poison(str(unfit[0][1]), [id for one, _error in unfit for id in one.ids])
    for _one, error in errors:
        if isinstance(error, Denied):
            raise Misconfigured(str(error))
    for _one, error in errors:
        if isinstance(error, Unavailable) and error.unfit:
            raise Poison(str(error))  # the broker does not say for which it has hung up
    for _one, error in errors:
        raise Transient(str(error))

"""
Devices that say something to an MQTT broker. A message is confirmed when it is stored, and not
before: what cannot be stored stays at the broker, as far as the broker keeps it.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec import structs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from sensord.broker import Broker
from sensord.brokers import BrokerSettings, Message, Publication, Terms, Unavailable, place
from sensord.presence import Congested
from sensord.protocols.inlet import Inlet
from sensord.protocols.registrar import Registrar
from sensord.settings import span
from sensord.store.account import NotStored
from sensord.wire import SAMPLE, Skipped, topics
from sensord.wire.payloads import MAX_PAYLOAD
from sensord.wires import SubscriberSettings

#: Bytes that a packet may have beside its payload: its topic, and what MQTT 5 says of it.
_AROUND = 2048

#: The longest time for which brokers can be asked to keep a session, in seconds.
_LONGEST = 2**32 - 1

#: How many commands may wait for the broker's answer. Without a limit, those for a broker that
#: answers none would fill the memory.
_MAX_SAID = 1000

#: Seconds that the last messages have for being confirmed when the listener stops, and how often in
#: a second it looks whether they are.
_GRACE, _LOOKS = 1.0, 20

#: Seconds between two looks at whether more may be confirmed, where a rate is set.
_PACE = 0.05

Ack = Callable[[], None]


class Subscriber(Service):
    """
    One way in, by a broker.

    @param identity: the name by which the broker knows us, unless the settings have one: the same
        after a restart, since what the broker keeps it keeps under this name.
    @param registrar: adds and removes devices; L{None} if all are heard.
    @param broker: makes the connection.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: SubscriberSettings,
        inlet: Inlet,
        identity: str,
        registrar: Registrar | None = None,
        broker: Callable[..., Any] = Broker,
    ) -> None:
        self.name = settings.name
        self.inlet = inlet
        self._reactor = reactor
        self._settings = settings
        self._registrar = registrar
        pattern = topics.Pattern(settings.topic).filter
        self._filter = f"$share/{settings.share}/{pattern}" if settings.share else pattern
        where = BrokerSettings.of(settings)
        if not where.client_id:
            where = structs.replace(where, client_id=identity)
        kept = span(settings.session)
        terms = Terms(
            kept=_LONGEST if kept is None else min(int(kept), _LONGEST),
            receive=settings.receive_maximum,
            manual=True,
            largest=MAX_PAYLOAD + _AROUND,
        )
        self._host = place(where.broker).host
        self._broker: Broker = broker(reactor, where, settings.name, terms)
        self._broker.follow(self._greet)
        self._ready, self._full = True, False
        self._batch: list[tuple[topics.Message | Skipped, Ack]] = []
        self._flushing: IDelayedCall | None = None
        self._open = 0  # messages of this connection that are not confirmed
        self._era = 0  # which connection this is
        self._owed: deque[Ack] = deque()  # what is stored, and is to be confirmed at its time
        self._paying: IDelayedCall | None = None
        self._tokens, self._paid = settings.max_rate, reactor.seconds()
        self._said: dict[int, Publication] = {}  # what the broker has not confirmed
        self._number = 0
        self._subscribed = self._heard = False

    @property
    def state(self) -> str:
        """
        How it is: C{open}, C{absent} while there is no connection to the broker or before it has
        agreed, or C{stopped}.
        """
        if not self.running:
            return "stopped"
        return "open" if self._broker.connected and self._heard else "absent"

    @property
    def connected(self) -> int:
        """
        How many connections there are: one, or none.
        """
        return int(self._broker.connected)

    @property
    def where(self) -> str:
        """
        Where devices say something, for people.
        """
        return f"{self._settings.broker} {self._filter}"

    def startService(self) -> None:
        """
        Connect to the broker, now or when it can be.

        @raise ConfigError: if the registry cannot be read.
        """
        if self._registrar is not None:
            self._registrar.start(self._broker)
        super().startService()
        if not self._subscribed:
            self._subscribed = True
            granted = self._broker.subscribe(self._filter, self._arrived)
            # A refusal is logged, and it is asked again.
            granted.addCallbacks(self._granted, lambda failure: None)
        self._log.info("{line}", line=self._describe())
        self._broker.start()
        self.inlet.presence.arrive(f"{self.name}/*", self)

    def stopService(self) -> Deferred[None]:
        """
        Take no more. What came so far is recorded.

        @return: fires when it is on its way to the store.
        """
        super().stopService()
        self.inlet.presence.leave(f"{self.name}/*", self)
        if self._flushing is not None and self._flushing.active():
            self._flushing.cancel()
            self._flush()
        return succeed(None)

    async def disconnect(self) -> None:
        """
        Confirm what is stored, as far as that is possible at once, and leave the broker.
        """
        for _ in range(int(_GRACE * _LOOKS)):
            if not self._open or not self._broker.connected or self._owed:
                break
            await deferLater(self._reactor, 1 / _LOOKS, lambda: None)
        if self._paying is not None and self._paying.active():
            self._paying.cancel()
        self._paying = None
        self._settle(list(self._owed))
        self._owed.clear()
        await self._broker.stop()

    def steer(self, ready: bool, full: bool) -> None:
        """
        Follow the store. While nothing can be stored nothing is confirmed, so that the broker soon
        sends no more, and keeps it. What was said with QoS 0 it does not keep: that is lost then,
        and counted as rejected.
        """
        if self.running and ready != self._ready:
            if ready:
                self._log.info("{name}: messages are confirmed again", name=self.name)
            else:
                self._log.warn(
                    "{name}: nothing can be stored, so that the broker keeps what comes",
                    name=self.name,
                )
        self._ready, self._full = ready, full

    def send(self, data: bytes) -> None:
        """
        Tell a device something; it is said again if the connection breaks before the broker has
        confirmed it. See L{sensord.presence.Link.send}.
        """
        if not self._broker.connected:
            raise Congested("there is no connection to the broker")
        if len(self._said) >= _MAX_SAID:
            raise Congested("the broker confirms nothing")
        topic, _nul, payload = data.partition(b"\0")
        self._number += 1
        self._said[self._number] = Publication(topic.decode(), payload)
        self._say(self._number)

    def _granted(self, _none: None) -> None:
        """
        From now on the broker keeps what comes, also while we are away.
        """
        self._heard = True
        self._log.info("{name}: subscribed to {filter}", name=self.name, filter=self._filter)

    def _say(self, number: int) -> None:
        publication = self._said[number]

        def failed(failure: Failure) -> None:
            if failure.check(Unavailable):
                return  # it is said again
            del self._said[number]
            self._log.error(
                "{name}: a command could not be said at {topic}: {why}",
                name=self.name,
                topic=publication.topic,
                why=failure.getErrorMessage(),
            )

        said = self._broker.publish(publication)
        said.addCallbacks(lambda _none: self._said.pop(number), failed)

    def _greet(self) -> None:
        """
        There is a new connection. What was not confirmed on the last one comes again.
        """
        self._era += 1
        self._open = 0
        self._owed.clear()
        for number in list(self._said):
            self._say(number)
        self.inlet.presence.meet(f"{self.name}/*")

    def _arrived(self, message: Message) -> None:
        """
        A message came. All that come in one turn of the reactor are stored together.
        """
        if not self.running:
            return  # it stays at the broker
        event = topics.Message(message.topic, message.payload, message.size, message.retain)
        if message.qos:
            self._open += 1
            self._batch.append((event, message.ack))
            if self._open > self._settings.receive_maximum:
                self._broker.hold(True)  # one that cannot be told how many it may send
        else:
            why = self._hurry()
            sample = message.topic.encode()[:SAMPLE]
            self._batch.append((Skipped(sample, why) if why else event, _nothing))
        if self._flushing is None:
            self._flushing = self._reactor.callLater(0, self._flush)

    def _hurry(self) -> str:
        """
        Why a message cannot be taken that does not wait; empty if it can.
        """
        if not self._ready or self._full:
            return "QoS 0 does not wait, and it cannot be stored just now"
        if self._settings.max_rate:
            self._earn()
            if self._tokens < 1:
                return f"more than {self._settings.max_rate:g} messages a second"
            self._tokens -= 1
        return ""

    def _flush(self) -> None:
        self._flushing = None
        batch, self._batch = self._batch, []
        intake = self.inlet.decode(self._host, [event for event, _ack in batch])
        acks = [ack for _event, ack in batch if ack is not _nothing]
        if not acks:
            self.inlet.account.add(intake)
            return
        if not intake.received:  # nothing of it is to be stored
            self._stored(None, acks, self._era)
            return
        stored = self.inlet.account.admit(intake)
        stored.addCallback(self._stored, acks, self._era)
        stored.addErrback(self._unstored)

    def _stored(self, _none: None, acks: list[Ack], era: int) -> None:
        if era != self._era:
            return  # they will come again
        if not self._settings.max_rate:
            self._settle(acks)
            return
        self._owed.extend(acks)
        if self._paying is None:
            self._pay()

    def _pay(self) -> None:
        """
        Confirm as many as the rate allows. The broker sends no more than may wait for that.
        """
        self._paying = None
        self._earn()
        count = min(len(self._owed), int(self._tokens))
        self._tokens -= count
        self._settle([self._owed.popleft() for _ in range(count)])
        if self._owed:
            self._paying = self._reactor.callLater(_PACE, self._pay)

    def _earn(self) -> None:
        """
        A second's worth of messages may come at once, and no more.
        """
        rate, now = self._settings.max_rate, self._reactor.seconds()
        self._tokens = min(max(rate, 1.0), self._tokens + (now - self._paid) * rate)
        self._paid = now

    def _settle(self, acks: list[Ack]) -> None:
        self._open -= len(acks)
        for ack in acks:
            ack()
        if self._open <= self._settings.receive_maximum // 2:
            self._broker.hold(False)

    def _unstored(self, failure: Failure) -> None:
        """
        Nothing was confirmed, so nothing that was is lost. If the store is closing, it has said so
        itself; anything else is a fault of ours.
        """
        if not failure.check(NotStored):
            self._log.failure("{name}", failure, name=self.name)

    def _describe(self) -> str:
        kept = "kept by the broker while nothing can be stored"
        return f"{self.name}: {self.where}, mqtt, {kept}; each message is confirmed when stored"


def _nothing() -> None:
    """
    What was said with QoS 0 is not confirmed.
    """

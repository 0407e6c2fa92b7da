"""
The connection to an MQTT broker, for listeners, sinks and hubs. It is made again whenever it
breaks, and all that was subscribed to is asked for again.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import random
from typing import Any

from paho.mqtt.matcher import MQTTMatcher
from twisted.application.internet import backoffPolicy
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger

from sensord.brokers import BrokerSettings, Denied, Message, Publication, Terms, Unavailable
from sensord.reach import endpoint
from sensord.session import Session

#: Seconds between attempts: at first, and at most. Some chance is added to each.
_RETRY_FIRST, _RETRY_MOST = 1.0, 60.0

#: Seconds that a connection has to last for the next attempts to be quick again. Two clients that
#: call themselves the same throw each other out, again and again.
_PROVEN = 30.0

#: How many outages are logged within how many seconds. A connection that comes and goes would fill
#: the log.
_OUTAGES, _WITHIN = 5, 600.0

#: Of how many topics it is remembered who wants them. Without a limit, somebody who makes up topics
#: would fill the memory.
_MAX_TOPICS = 10_000


class _Subscription:
    """
    What somebody wants to hear.

    @ivar granted: fires when the broker has agreed for the first time, or refused.
    """

    def __init__(self, pattern: str, qos: int, callback: Callable[[Message], None]) -> None:
        self.pattern = pattern
        self.qos = qos
        self.callback = callback
        self.granted: Deferred[None] = Deferred()


class _Sessions(Factory):
    """
    Makes the protocol of a connection.
    """

    noisy = False

    def __init__(self, build: Callable[[], Session]) -> None:
        self._build = build

    def buildProtocol(self, addr: IAddress | None) -> Session:
        """
        The broker has taken the connection.
        """
        return self._build()


class Broker:
    """
    A broker.

    @ivar connected: whether it can be spoken to just now.
    @ivar fault: why not; L{None} before the first attempt has failed.
    @param name: what the log calls the listener or the sink that it is for.
    @param connect: makes the endpoint, anew for each attempt.
    @param chance: a number from 0 to 1, a new one each time.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: BrokerSettings,
        name: str,
        terms: Terms = Terms(),  # noqa: B008
        connect: Callable[[], IStreamClientEndpoint] | None = None,
        chance: Callable[[], float] = random,
    ) -> None:
        self.connected = False
        self.fault: Exception | None = None
        self._reactor = reactor
        self._settings = settings
        self._name = name
        self._terms = terms
        self._connect = connect or partial(endpoint, reactor, settings)
        self._policy = backoffPolicy(_RETRY_FIRST, _RETRY_MOST, 2.0, chance)
        self._subscriptions: dict[str, _Subscription] = {}
        self._matcher = MQTTMatcher()
        self._heard: dict[str, tuple[_Subscription, ...]] = {}  # who wants a topic
        self._followers: list[Callable[[], object]] = []
        self._waiters: list[Deferred[None]] = []
        self._session: Session | None = None
        self._step: Deferred[Any] | None = None  # what can be broken off
        self._ran: Deferred[None] | None = None
        self._stopping = self._held = False
        self._attempts = 0
        self._said: type[Exception] | None = None
        self._when: deque[float] = deque(maxlen=_OUTAGES)

    def start(self) -> None:
        """
        Connect, now or when that is possible.
        """
        self._stopping, self._attempts, self._said, self.fault = False, 0, None, None
        self._when.clear()
        self._ran = Deferred.fromCoroutine(self._run())
        self._ran.addErrback(lambda failure: self._log.failure("{name}", failure, name=self._name))

    def stop(self) -> Deferred[None]:
        """
        Take leave. What was published before is on its way.

        @return: fires when there is no connection any more.
        """
        ran, self._ran = self._ran, None
        if ran is None:
            return succeed(None)
        self._stopping = True
        if self._session is not None:
            self._session.leave()
        elif self._step is not None:
            self._step.cancel()
        self._settle(Unavailable("the connection is closed"))
        return ran

    def whenConnected(self) -> Deferred[None]:
        """
        Wait for a connection.

        @return: fires when there is one. It fails with L{Unavailable} or L{Denied} as soon as an
            attempt has failed, the one that is under way or the next.
        """
        if self.connected:
            return succeed(None)
        if self._ran is None:
            return fail(Unavailable("the connection is closed"))
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        return waiter

    def follow(self, callback: Callable[[], object]) -> None:
        """
        Be told whenever there is a new connection, before anybody else can speak.
        """
        self._followers.append(callback)

    def publish(self, publication: Publication) -> Deferred[None]:
        """
        Say something.

        @return: fires when the broker has it (with QoS 0, when it is on its way). It fails with
            L{Unavailable} if there is no connection, or if it breaks before that; nothing is said
            again by itself. It fails with L{Denied} if the broker does not take it.
        """
        if self._session is None or not self.connected:
            return fail(Unavailable(str(self.fault or "there is no connection yet")))
        return self._session.publish(publication)

    def subscribe(
        self, pattern: str, callback: Callable[[Message], None], qos: int = 1
    ) -> Deferred[None]:
        """
        Hear what is said somewhere, on this connection and all that come after it.

        @param pattern: with C{+} and C{#} as wildcards; it may begin with C{$share/<group>/}.
        @param qos: 0 or 1.
        @return: fires when the broker has agreed; fails with L{Denied} if it does not. It is asked
            again with the next connection.
        @raise ValueError: if it is subscribed to already.
        """
        topics = _topics(pattern)
        if topics in self._subscriptions:
            raise ValueError(f"{topics} is subscribed to already")
        subscription = _Subscription(pattern, qos, callback)
        self._subscriptions[topics] = self._matcher[topics] = subscription
        self._heard.clear()
        if self._session is not None and self.connected:
            self._ask(self._session, subscription)
        return subscription.granted

    def hold(self, held: bool) -> None:
        """
        Let the broker wait with what it has for us, or go on. One that has to wait for longer than
        C{keepalive} ends the connection.
        """
        if held != self._held:
            self._held = held
            if self._session is not None:
                self._session.hold(held)

    def unsubscribe(self, pattern: str) -> None:
        """
        Hear no more of it.
        """
        topics = _topics(pattern)
        if self._subscriptions.pop(topics, None) is not None:
            del self._matcher[topics]
            self._heard.clear()
            if self._session is not None and self.connected:
                self._session.unsubscribe(pattern)

    async def _run(self) -> None:
        while not self._stopping:
            fault = await self._attempt()
            if self._stopping:
                return
            pause = self._fail(fault)
            with suppress(CancelledError):
                await self._breakable(deferLater(self._reactor, pause, lambda: None))

    async def _attempt(self) -> Exception:
        """
        Connect, and stay connected.

        @return: why there is no connection any more.
        """
        build = partial(Session, self._reactor, self._settings, self._terms, self._arrived)
        try:
            session: Any = await self._breakable(self._connect().connect(_Sessions(build)))
        except (Unavailable, Denied) as error:
            return error
        except ConnectError as error:
            return Unavailable(str(error).rstrip(".").lower())
        except Exception as error:  # of whatever kind an endpoint has
            return Unavailable(str(error) or type(error).__name__)
        self._session = session
        self._held = False
        opened = self._reactor.seconds()
        if self._stopping:
            session.leave()
        with suppress(Unavailable, Denied):
            await session.accepted
            self._open(session)
        why: Exception = await session.gone
        self._session, self.connected = None, False
        if self._reactor.seconds() - opened >= _PROVEN:
            self._attempts = 0
        return why

    async def _breakable(self, step: Deferred[Any]) -> Any:
        self._step = step
        try:
            return await step
        finally:
            self._step = None

    def _open(self, session: Session) -> None:
        """
        We are taken.
        """
        self.connected, self.fault = True, None
        if self._said is not None or not self._when:
            self._log.info("{name}: connected to the broker {broker}", **self._subject())
        self._said = None
        for subscription in list(self._subscriptions.values()):
            self._ask(session, subscription)
        for follower in self._followers:
            try:
                follower()
            except Exception:
                self._log.failure("{name}", name=self._name)
        self._settle(None)

    def _fail(self, fault: Exception) -> float:
        """
        Note that there is no connection, and say so unless it is known.

        @return: seconds to wait.
        """
        self.fault = fault
        now = self._reactor.seconds()
        full = len(self._when) == _OUTAGES and now - self._when[0] < _WITHIN
        if type(fault) is not self._said and not full:
            self._when.append(now)
            self._said = type(fault)
            say = self._log.error if isinstance(fault, Denied) else self._log.warn
            say(
                "{name}: no connection to the broker {broker}: {why}; it is tried until there is",
                why=str(fault),
                **self._subject(),
            )
        self._attempts += 1
        self._settle(fault)
        return self._policy(self._attempts - 1)

    def _subject(self) -> dict[str, object]:
        return {"name": self._name, "broker": self._settings.broker}

    def _settle(self, fault: Exception | None) -> None:
        """
        Tell those who wait for a connection.
        """
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if fault is None:
                waiter.callback(None)
            else:
                waiter.errback(fault)

    def _ask(self, session: Session, subscription: _Subscription) -> None:
        """
        Subscribe, and say it if the broker does not agree.
        """

        def agreed(_result: None) -> None:
            if not subscription.granted.called:
                subscription.granted.callback(None)

        def refused(failure: Any) -> None:
            if failure.check(Unavailable):
                return  # it is asked again
            self._log.error(
                "{name}: the broker {broker} does not let us hear {pattern}: {why}",
                pattern=subscription.pattern,
                why=failure.getErrorMessage(),
                **self._subject(),
            )
            if not subscription.granted.called:
                subscription.granted.errback(failure)

        session.subscribe(subscription.pattern, subscription.qos).addCallbacks(
            agreed, refused
        ).addErrback(lambda failure: self._log.failure("{name}", failure, name=self._name))

    def _arrived(self, message: Message) -> None:
        """
        Pass a message on to whoever wants to hear it. One that nobody does is done with: it comes
        of a subscription that the broker still knows.
        """
        subscriptions = self._heard.get(message.topic)
        if subscriptions is None:
            if len(self._heard) >= _MAX_TOPICS:
                self._heard.clear()
            found = tuple(self._matcher.iter_match(message.topic))
            subscriptions = self._heard[message.topic] = found
        if not subscriptions:
            message.ack()
        for subscription in subscriptions:
            try:
                subscription.callback(message)
            except Exception:
                self._log.failure("{name}: {topic}", name=self._name, topic=message.topic)


def _topics(pattern: str) -> str:
    """
    The topics that a pattern stands for.
    """
    return pattern.split("/", 2)[2] if pattern.startswith("$share/") else pattern

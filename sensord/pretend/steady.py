"""
What pretend devices that keep a connection have in common.
"""

from random import Random
from typing import TYPE_CHECKING

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from sensord.pretend.link import Link

if TYPE_CHECKING:
    from sensord.simulate import Fleet

#: Seconds between attempts of a device that wants a lasting connection: at first, and at most.
_RETRY_FIRST, _RETRY_MOST = 1.0, 10.0

#: How many bursts are made up for at once when the process was held up.
MOST_BURSTS = 100

_log = Logger()


@implementer(IPushProducer)
class Steady:
    """
    A device that keeps one connection and sends on it, again and again. What it says there and what
    it understands, its kind adds.
    """

    def __init__(
        self, fleet: "Fleet", number: int, period: float | None = None, address: str = ""
    ) -> None:
        """
        @param period: seconds between two bursts; L{None} if each of them is one message.
        @param address: where to connect from, if the target is on loopback.
        """
        self._fleet = fleet
        self._random: Random = fleet.random(number)
        self._period = 1 / fleet.rate if period is None else period
        self._bursts: LoopingCall | None = None  # while there is a connection
        self._link: Link | None = None
        self._held = False
        self._service = ClientService(
            fleet.door(address),
            fleet.link(self._begin, self._end, self.hear),
            backoffPolicy(_RETRY_FIRST, _RETRY_MOST, jitter=self._random.random),
            fleet.reactor,
        )

    def start(self, phase: float) -> None:
        """
        Begin.

        @param phase: how much of the period to wait first, from 0 to 1.
        """
        wait = self._period * phase
        self._delay = self._fleet.reactor.callLater(wait, self._service.startService)

    def stop(self) -> Deferred[None]:
        """
        Close the connection.

        @return: fires when it is closed.
        """
        if self._delay.active():
            self._delay.cancel()
        if self._link is not None:
            # Otherwise one that is held back would wait to be let go on, and never close.
            self._link.transport.unregisterProducer()
        self._end()
        return maybeDeferred(self._service.stopService)

    def drop(self) -> None:
        """
        Close the connection, to try again a little later.
        """
        if self._link is not None:
            self._link.transport.unregisterProducer()
            self._link.close()
        self._end()

    def begin(self) -> None:
        """
        There is a connection.
        """
        self.go()

    def end(self) -> None:
        """
        There is none any more.
        """

    def hear(self, data: bytes) -> None:
        """
        The gateway says something. Most devices do not listen.
        """

    def burst(self) -> None:
        """
        Send what is due once in a period.
        """
        raise NotImplementedError

    def go(self) -> None:
        """
        Send a burst now, and then one in each period, for as long as there is the connection.
        """
        # A new one each time: one that counts would make up for the time without a connection.
        self._bursts = LoopingCall.withCount(self._send)
        self._bursts.clock = self._fleet.reactor
        self._bursts.start(self._period).addErrback(broken)

    def write(self, data: bytes, messages: int, readings: int) -> None:
        """
        Send something that counts.
        """
        if self._link is not None:
            self._link.write(data, messages, readings)

    def answer(self, taken: int, denied: int, why: str = "") -> None:
        """
        See L{Link.answer}.
        """
        if self._link is not None:
            self._link.answer(taken, denied, why)

    def pauseProducing(self) -> None:
        """
        The gateway takes no more for now. The device waits then, and measures nothing.
        """
        self._held = True

    def resumeProducing(self) -> None:
        """
        Go on.
        """
        self._held = False

    def stopProducing(self) -> None:
        """
        The connection is gone, which we are told otherwise too.
        """

    def _begin(self, link: Link) -> None:
        self._link, self._held = link, False
        link.transport.registerProducer(self, True)
        self.begin()

    def _end(self) -> None:
        self._link = None
        if self._bursts is not None and self._bursts.running:
            self._bursts.stop()
        self.end()

    def _send(self, count: int) -> None:
        """
        Send what is due.

        @param count: how many bursts that is.
        """
        for _ in range(min(count, MOST_BURSTS)):
            if self._held or self._link is None:
                return
            self.burst()


class Wander:
    """
    A value that wanders within believable limits.

    @param step: by how much it changes at most from one time to the next.
    """

    def __init__(self, random: Random, least: float, most: float, step: float) -> None:
        self._random = random
        self._least, self._most, self._step = least, most, step
        self._value = random.uniform(least, most)

    def read(self) -> float:
        """
        What it is now.
        """
        value = self._value + self._random.uniform(-self._step, self._step)
        self._value = min(max(value, self._least), self._most)
        return self._value


def broken(failure: Failure) -> None:
    """
    We erred.
    """
    _log.failure("a pretend device broke", failure)

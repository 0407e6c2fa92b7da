"""
What each kind of pretend device is like: when it sends, what it measures, how it fails. A fleet
(L{sensord.simulate}) has many of them.
"""

from collections import deque
from math import cos, pi
from random import Random
from struct import Struct
from typing import TYPE_CHECKING, Any

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from sensord.config import STOCK
from sensord.wire import esp8266, poe

if TYPE_CHECKING:
    from sensord.simulate import Fleet

#: Seconds between attempts of a device that wants a lasting connection: at first, and at most.
_RETRY_FIRST, _RETRY_MOST = 1.0, 10.0

#: How many bursts are made up for at once when the process was held up.
_MOST_BURSTS = 100

#: What the sensors of an Arduino show: the least, the most, and the chance that it changes by one
#: from one burst to the next. 1 is the normal state of FIRE.
_RANGES = {
    "fire": (1, 1, 0.0),
    "smoke": (20, 60, 0.5),
    "motion": (0, 1, 0.05),
    "humidity": (30, 60, 0.2),
    "temperature": (65, 75, 0.2),
    "water": (0, 5, 0.1),
}

#: The chance that a burst shows smoke where there was none.
_SPIKE = 0.002

_DAY = 86400

_log = Logger()


@implementer(IPushProducer)
class Arduino:
    """
    A PoE Arduino. It keeps one connection and sends what all its sensors show, again and again. A
    device of this kind is known by its address: on loopback each comes from one of its own.

    @cvar rate: frames per second, unless told otherwise.
    @cvar most: how many there can be: as many as get an address.
    @cvar target: where they send, unless told otherwise.
    """

    rate, most, target = 10.5, 60_000, "tcp:127.0.0.1:1234"

    def __init__(self, fleet: "Fleet", number: int) -> None:
        self._fleet = fleet
        self._random = fleet.random(number)
        self._sensors = [_Sensor(id, self._random) for id in range(1, 22)]
        self._period = len(self._sensors) / fleet.rate
        self._bursts: LoopingCall | None = None  # while there is a connection
        self._transport: Any = None
        self._opt = poe.INITIALIZATION
        self._held = False
        high, low = divmod(number - 1, 254)
        self._service = ClientService(
            fleet.door(f"127.0.{high + 1}.{low + 1}"),
            fleet.link(self._begin, self._end),
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
        if self._transport is not None:
            # Otherwise one that is held back would wait to be let go on, and never close.
            self._transport.unregisterProducer()
        self._end()
        return maybeDeferred(self._service.stopService)

    def pauseProducing(self) -> None:
        """
        The gateway takes no more for now. An Arduino waits then, and measures nothing.
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

    def _begin(self, transport: Any) -> None:
        self._transport, self._opt, self._held = transport, poe.INITIALIZATION, False
        transport.registerProducer(self, True)
        # A new one each time: one that counts would make up for the time without a connection.
        self._bursts = LoopingCall.withCount(self._send)
        self._bursts.clock = self._fleet.reactor
        self._bursts.start(self._period).addErrback(_broken)

    def _end(self) -> None:
        self._transport = None
        if self._bursts is not None and self._bursts.running:
            self._bursts.stop()

    def _send(self, count: int) -> None:
        """
        Send what is due.

        @param count: how many bursts that is.
        """
        for _ in range(min(count, _MOST_BURSTS)):
            if self._held or self._transport is None:
                return
            frames = [(self._opt, one.id, one.type, one.read()) for one in self._sensors]
            self._opt = poe.POST
            self._fleet.sent += len(frames)
            self._fleet.readings += len(frames)
            self._transport.write(poe.encode(frames))


class _Sensor:
    """
    One sensor of an Arduino, whose value wanders within believable limits.
    """

    def __init__(self, id: int, random: Random) -> None:
        self.id = id
        self.type = id % len(poe.TYPES)
        self._random = random
        self._least, self._most, self._chance = _RANGES[poe.TYPES[self.type]]
        self._value = random.randint(self._least, self._most)

    def read(self) -> int:
        """
        What it shows now.
        """
        random = self._random
        if random.random() < self._chance:
            step = random.choice((-1, 1))
            self._value = min(max(self._value + step, self._least), self._most)
        if poe.TYPES[self.type] == "smoke" and random.random() < _SPIKE:
            return random.randint(160, 255)
        return self._value


class Battery:
    """
    A battery ESP8266 of the stock kind. It sleeps, measures now and then, and delivers what it has
    with a connection for each delivery. Where it is refused, it tries again the next time with all
    that it has kept. Its clock is wrong by up to a tenth.

    @cvar rate: deliveries per second, unless told otherwise.
    @cvar most: how many there can be: as many as there are ids.
    @cvar target: where they send, unless told otherwise.
    """

    rate, most, target = 0.1, 255, "tcp:127.0.0.1:5001"

    #: How many measurements fit its memory.
    room = 58

    _row = Struct(f"<{''.join(value.type for value in STOCK)}")

    def __init__(self, fleet: "Fleet", number: int) -> None:
        self._fleet = fleet
        self._number = number
        self._random = fleet.random(number)
        self._drift = self._random.uniform(0.9, 1.1)
        self._warmth = self._random.uniform(-3, 3)
        self._wake = max(1, round(1 / fleet.rate))
        self._interval = max(1, round(self._wake / 10))
        self._period = self._drift / fleet.rate
        self._kept: deque[bytes] = deque()
        self._deliveries = LoopingCall(self._deliver)
        self._deliveries.clock = fleet.reactor
        self._door = fleet.door()
        self._attempt: Deferred[Any] | None = None  # until its connection is closed
        self._closed: Deferred[None] | None = None

    def start(self, phase: float) -> None:
        """
        Begin.

        @param phase: how much of the period to wait first, from 0 to 1.
        """
        self._delay = self._fleet.reactor.callLater(self._period * phase, self._begin)

    def stop(self) -> Deferred[None]:
        """
        Make no more deliveries.

        @return: fires when the one that may be under way is over.
        """
        if self._delay.active():
            self._delay.cancel()
        if self._deliveries.running:
            self._deliveries.stop()
        if self._attempt is None:
            return succeed(None)
        closed = self._closed = Deferred()
        self._attempt.cancel()
        return closed

    def _begin(self) -> None:
        self._deliveries.start(self._period).addErrback(_broken)

    def _deliver(self) -> None:
        """
        Wake up: take the measurements since the last time, and try to get rid of all that is kept.
        """
        now, count = self._fleet.reactor.seconds(), max(1, self._wake // self._interval)
        apart = self._interval * self._drift
        self._kept.extend(self.measure(now - apart * k) for k in reversed(range(count)))
        while len(self._kept) > self.room:
            self._kept.popleft()
            self._fleet.lost += 1
        if self._attempt is None:
            link = self._fleet.link(self._unload, self._end)
            self._attempt = self._door.connect(link)
            self._attempt.addErrback(lambda _failure: self._end())

    def measure(self, time: float) -> bytes:
        """
        What its sensors show at some time of the day.

        @param time: in seconds since the epoch.
        """
        noon = -cos(2 * pi * (time % _DAY) / _DAY)  # 1 at noon, -1 at midnight
        noise = self._random.uniform
        values = (
            max(0.0, noon) * 20_000 + noise(0, 30),
            55 - 15 * noon + noise(-0.5, 0.5),
            16 + 6 * noon + self._warmth + noise(-0.1, 0.1),
        )
        raw = [(value - s.offset) / s.scale for value, s in zip(values, STOCK, strict=True)]
        return self._row.pack(*(min(max(round(number), 0), 0xFFFF) for number in raw))

    def _unload(self, transport: Any) -> None:
        """
        Send everything. What TCP has taken, the device forgets.
        """
        packet = esp8266.Packet(
            self._wake,
            self._interval,
            self._row.size,
            self._number,
            len(STOCK),
            b"".join(self._kept),
        )
        self._kept.clear()
        self._fleet.sent += 1
        self._fleet.readings += packet.count * packet.sensors
        transport.write(esp8266.encode(packet))
        transport.loseConnection()

    def _end(self) -> None:
        self._attempt = None
        if self._closed is not None:
            self._closed.callback(None)


#: The kind of device that speaks each wire format.
DEVICES: dict[str, type[Arduino] | type[Battery]] = {"poe": Arduino, "esp8266": Battery}


def _broken(failure: Failure) -> None:
    _log.failure("a pretend device broke", failure)

"""
Pretend battery ESP8266s.
"""

from collections import deque
from math import cos, pi
from struct import Struct
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableDescriptor, ISSLTransport
from twisted.internet.task import LoopingCall

from sensord.config import STOCK
from sensord.pretend.link import Link
from sensord.pretend.steady import broken
from sensord.reading import ACCEPTED, REFUSED
from sensord.wire import esp8266

if TYPE_CHECKING:
    from sensord.simulate import Fleet

_DAY = 86400

#: Seconds that the other side has for an answer, or for closing the connection.
_LINGER = 2.0


class Battery:
    """
    A battery ESP8266 of the stock kind. It sleeps, measures now and then, and delivers what it has
    with a connection for each delivery. Where it is refused, it tries again the next time with all
    that it has kept. Its clock is wrong by up to a tenth. Real ones hang up as soon as they have
    sent; this one closes its side and waits for the other, to see whether its packet was taken.

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
        self._link: Link | None = None
        self._denied = False
        self._linger: IDelayedCall | None = None

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
        if self._link is not None:
            self._link.close()
        return closed

    def _begin(self) -> None:
        self._deliveries.start(self._period).addErrback(broken)

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
            link = self._fleet.link(self._unload, self._end, self._hear)
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

    def _unload(self, link: Link) -> None:
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
        self._link, self._denied = link, False
        link.write(esp8266.encode(packet), 1, packet.count * packet.sensors)
        link.over = True
        halves = IHalfCloseableDescriptor.providedBy(link.transport)
        if halves and not ISSLTransport.providedBy(link.transport):
            link.transport.loseWriteConnection()
            self._linger = self._fleet.reactor.callLater(_LINGER, self._leave, link)
        else:
            link.close()  # over TLS, both sides say goodbye

    def _hear(self, data: bytes) -> None:
        """
        The gateway answers. A packet of which only a part was kept has both answers.
        """
        if self._link is None:
            return
        denied = REFUSED in data and not self._denied
        self._denied |= denied
        self._link.answer(int(ACCEPTED in data), int(denied))

    def _leave(self, link: Link) -> None:
        """
        The other side does not hang up. It has not refused anything either.
        """
        self._linger = None
        link.close()

    def _end(self) -> None:
        self._attempt = self._link = None
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if self._closed is not None:
            self._closed.callback(None)

"""
What goes out to a radio module. All of it goes one command at a time with pauses between, since the
module has room for one only, and does not listen while it sends.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from sensord.presence import Congested
from sensord.wire import rfm2pi

#: Seconds of silence behind a setting, which the module writes into its slow memory, and behind
#: something to send, beside the time that its bytes take on the port.
ORDER_PAUSE, SEND_PAUSE = 1.0, 0.2

#: Packets that may wait to be sent. Without a limit, whoever sends more than the radio can would
#: fill the memory.
MAX_WAITING = 1000

#: Lines of the repeater that may wait. Without a limit of their own, a peer that floods it would
#: leave no room for commands, and make them wait for minutes.
MAX_REPEATED = 50

#: Bits on the port for each byte.
_BITS = 10


class Transmitter:
    """
    What goes out to the module. Settings come first; the time is next, which is taken when it is
    sent, and of which one waits at most; packets are last.

    @param baud: bits per second of the port.
    @param write: writes to the port.
    @param now: the local time.
    """

    def __init__(
        self,
        reactor: Any,
        baud: int,
        write: Callable[[bytes], None],
        now: Callable[[], time.struct_time],
    ) -> None:
        self._reactor = reactor
        self._baud = baud
        self._write = write
        self._now = now
        self._orders: deque[bytes] = deque()
        self._packets: deque[bytes] = deque()
        self._timely = False
        self._open = False
        self._pause: IDelayedCall | None = None

    @property
    def ordering(self) -> bool:
        """
        Whether settings wait, or a question does.
        """
        return bool(self._orders)

    def order(self, commands: Sequence[bytes]) -> None:
        """
        Set something, or ask for something.
        """
        self._orders.extend(commands)
        self._go()

    def send(self, packet: bytes, most: int = MAX_WAITING) -> None:
        """
        Send something by radio.

        @param packet: the command that does it.
        @param most: how many may wait.
        @raise Congested: if there are as many already.
        """
        if len(self._packets) >= most:
            raise Congested(f"{most} packets wait to be sent already")
        self._packets.append(packet)
        self._go()

    def announce(self) -> None:
        """
        Send the time by radio.
        """
        self._timely = True
        self._go()

    def open(self) -> None:
        """
        The module is set: what is to go out by radio may go.
        """
        self._open = True
        self._go()

    def close(self) -> int:
        """
        Nothing can be sent any more.

        @return: how many packets were not.
        """
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._open = self._timely = False
        left = len(self._packets)
        self._orders.clear()
        self._packets.clear()
        return left

    def _go(self) -> None:
        if self._pause is None:
            self._next()

    def _next(self) -> None:
        self._pause = None
        pause = SEND_PAUSE
        if self._orders:
            command, pause = self._orders.popleft(), ORDER_PAUSE
        elif self._open and self._timely:
            self._timely = False
            now = self._now()
            command = rfm2pi.clock(now.tm_hour, now.tm_min)
        elif self._open and self._packets:
            command = self._packets.popleft()
        else:
            return
        pause += len(command) * _BITS / self._baud
        self._pause = self._reactor.callLater(pause, self._next)
        self._write(command)

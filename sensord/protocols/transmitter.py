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

#: Lines of the repeater that may wait. Without a limit, a program that writes more than the radio
#: can send would fill the memory.
MAX_REPEATED = 50

#: Bits on the port for each byte.
_BITS = 10


class Transmitter:
    """
    What goes out to the module. Settings come first; the time is next, which is taken when it is
    sent, and of which one waits at most; then come commands, which do not wait here, since their
    mailbox is a safer place; and then what others have written to the repeater.

    @param baud: bits per second of the port.
    @param write: writes to the port.
    @param now: the local time.
    @param free: called when a command would be taken.
    """

    def __init__(
        self,
        reactor: Any,
        baud: int,
        write: Callable[[bytes], None],
        now: Callable[[], time.struct_time],
        free: Callable[[], object],
    ) -> None:
        self._reactor = reactor
        self._baud = baud
        self._write = write
        self._now = now
        self._free = free
        self._orders: deque[bytes] = deque()
        self._repeated: deque[bytes] = deque()
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

    def send(self, packet: bytes) -> None:
        """
        Send something by radio, now.

        @param packet: the command that does it.
        @raise Congested: if that is not possible.
        """
        if not self._open or self._pause is not None:
            raise Congested("the radio is busy")
        self._put(packet, SEND_PAUSE)

    def repeat(self, packet: bytes) -> None:
        """
        Send something by radio, now or later.

        @param packet: the command that does it.
        @raise Congested: if too much waits already.
        """
        if len(self._repeated) >= MAX_REPEATED:
            raise Congested(f"{MAX_REPEATED} packets wait to be sent already")
        self._repeated.append(packet)
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
        left = len(self._repeated)
        self._orders.clear()
        self._repeated.clear()
        return left

    def _go(self) -> None:
        if self._pause is None:
            self._next()

    def _next(self) -> None:
        self._pause = None
        if self._orders:
            self._put(self._orders.popleft(), ORDER_PAUSE)
            return
        if not self._open:
            return
        if self._timely:
            self._timely = False
            now = self._now()
            self._put(rfm2pi.clock(now.tm_hour, now.tm_min), SEND_PAUSE)
            return
        self._free()
        if self._pause is None and self._repeated:
            self._put(self._repeated.popleft(), SEND_PAUSE)

    def _put(self, command: bytes, pause: float) -> None:
        pause += len(command) * _BITS / self._baud
        self._pause = self._reactor.callLater(pause, self._next)
        self._write(command)

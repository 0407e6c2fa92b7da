"""
What the daemon tells whoever supervises it by the protocol of C{sd_notify}: datagrams of
C{NAME=value} lines to a socket whose name is in the environment. Without one, nothing is told.
"""

import os
import re
import socket
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

#: Seconds between two looks at whether the status line has changed.
LOOK = 5.0

#: Seconds until something is sent again that the supervisor had no room for, and how much waits for
#: that at the most. Without a limit, one that hangs would fill the memory.
_AGAIN, _MOST = 0.5, 20

#: Characters of the status line: systemd throws away what is longer than 4,096 bytes.
_LENGTH = 500

#: The shortest time between two signs of life, in seconds, whatever is asked for.
_SOONEST = 0.01

_NAMES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier(Service):
    """
    Tells the supervisor how the daemon is: that it has started, that it lives (at half the interval
    that is wanted, from the reactor: one that hangs is silent), that it reads its configuration
    anew, that it stops.

    @param status: how it is, in a line for people.
    @param environ: where the supervisor says what it wants; that is taken out, since it is not for
        the processes that this one starts.
    """

    name = "notify"
    _log = Logger()

    def __init__(
        self, clock: Any, status: Callable[[], str], environ: MutableMapping[str, str] = os.environ
    ) -> None:
        self._clock = clock
        self._status = status
        self._wanted = {name: environ.pop(name) for name in _NAMES if name in environ}
        self._address = _address(self._wanted.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None
        self._unsent: list[bytes] = []
        self._resending: IDelayedCall | None = None
        self._told = ""
        self._troubled = False
        self._loops: list[LoopingCall] = []

    def startService(self) -> None:
        """
        The daemon has started.
        """
        super().startService()
        if self._address is None:
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._told = self._line()
        self._send("READY=1", f"STATUS={self._told}")
        self._repeat(self._look, LOOK)
        if interval := _interval(self._wanted):
            self._ping()
            self._repeat(self._ping, max(interval / 2, _SOONEST))

    def stopService(self) -> None:
        """
        The daemon begins to stop.
        """
        super().stopService()
        if self._socket is None:
            return
        for loop in self._loops:
            loop.stop()
        self._loops = []
        self._send("STOPPING=1", "STATUS=stopping")
        if self._resending is not None:
            self._resending.cancel()
            self._resending = None
        self._unsent = []
        self._socket.close()
        self._socket = None

    def reloading(self) -> None:
        """
        The daemon begins to read its configuration anew; L{ready} says when that is over.
        """
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def ready(self) -> None:
        """
        The daemon is ready again.
        """
        self._told = self._line()
        self._send("READY=1", f"STATUS={self._told}")

    def _look(self) -> None:
        """
        Say how it is, if that has changed.
        """
        line = self._line()
        if line != self._told:
            self._told = line
            self._send(f"STATUS={line}")

    def _ping(self) -> None:
        """
        Say that it lives, unless there is no room: what is in it says so, too.
        """
        if not self._unsent:
            self._send("WATCHDOG=1")

    def _line(self) -> str:
        return re.sub(r"[\x00-\x1f\x7f]+", " ", self._status())[:_LENGTH]

    def _repeat(self, call: Callable[[], None], seconds: float) -> None:
        loop = LoopingCall(call)
        loop.clock = self._clock
        loop.start(seconds, now=False).addErrback(
            lambda failure: self._log.failure("the supervisor is told nothing more", failure)
        )
        self._loops.append(loop)

    def _send(self, *lines: str) -> None:
        if self._socket is not None and len(self._unsent) < _MOST:
            self._unsent.append("\n".join(lines).encode(errors="replace"))
            if self._resending is None:
                self._flush()

    def _flush(self) -> None:
        """
        Send what is to be sent, as far as there is room for it.
        """
        assert self._socket is not None and self._address is not None
        self._resending = None
        while self._unsent:
            try:
                self._socket.sendto(self._unsent[0], self._address)
            except BlockingIOError:
                self._resending = self._clock.callLater(_AGAIN, self._flush)
                return
            except OSError as error:
                if not self._troubled:
                    self._log.warn("the supervisor cannot be told anything: {error}", error=error)
                self._troubled = True
            del self._unsent[0]


class Sound(Protocol):
    """
    A part of the gateway of which one can see how it is.
    """

    @property
    def state(self) -> str:
        """
        How it is, in a word.
        """


class Storing(Protocol):
    """
    The store.
    """

    ready: bool
    full: bool
    why: str


class Running(Protocol):
    """
    What the status line is about: a L{Gateway<sensord.gateway.Gateway>}.
    """

    @property
    def store(self) -> Storing:
        """
        The storage service.
        """

    @property
    def listeners(self) -> Mapping[str, Sound]:
        """
        The ways in, by name.
        """

    @property
    def sinks(self) -> Mapping[str, Sound]:
        """
        The ways out, by name.
        """


def summary(gateway: Running) -> str:
    """
    How a gateway is, in a line.
    """
    store = gateway.store
    if not store.ready:
        return f"nothing can be stored: {store.why}"
    parts = ["storing, but devices have to wait" if store.full else "storing"]
    for what, members, good in (
        ("listeners", gateway.listeners, "open"),
        ("sinks", gateway.sinks, "flowing"),
    ):
        if members:
            states = {name: member.state for name, member in members.items()}
            bad = [f"{name} {state}" for name, state in states.items() if state != good]
            count = f"{len(states) - len(bad)} of {len(states)} {what} {good}"
            parts.append(f"{count} ({', '.join(bad)})" if bad else count)
    return "; ".join(parts)


def _address(name: str) -> str | bytes | None:
    """
    The address of a socket; one that begins with C{@} is abstract. L{None} if it is none that we
    could write to.
    """
    if name.startswith("@"):
        return b"\0" + os.fsencode(name[1:])
    return name if name.startswith("/") else None


def _interval(wanted: Mapping[str, str]) -> float:
    """
    The seconds in which a sign of life is wanted; 0 if it is not, or not of this process.
    """
    text = wanted.get("WATCHDOG_USEC", "")
    if wanted.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    return int(text) / 1e6 if re.fullmatch("[0-9]{1,18}", text) else 0.0

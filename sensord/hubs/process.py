"""
The process of a hub: what it says goes into its log, and it is ended when it takes too much memory.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from sensord.hubs.files import Diary
from sensord.supervision import STARTED
from sensord.text import plain

#: Seconds between two looks at the memory.
_LOOK = 1.0

#: Seconds that a process has for ending when it is asked to: if somebody wants it to stop, and if
#: it takes too much memory.
GRACE, HASTE = 15.0, 10.0

#: Seconds that it may take to start, of which there may be many at a time on a small machine.
#: Without a limit, one that hangs would never be started anew.
_START = 300.0

#: Seconds for what it has still said when it has ended. Whoever else holds its output would keep us
#: waiting for ever.
_LAST = 2.0

#: The longest last line of a process that is told as the reason of its end, in characters, and
#: the bytes that are kept to find it.
_MAX_LINE, _KEPT = 200, 4096

#: Bytes of a page of memory.
_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> int:
    """
    The memory of a process that is in use, in bytes; 0 if that is unknown.
    """
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


class Child(ProcessProtocol):
    """
    One process.

    @param limit: bytes of resident memory that it may have.
    @param diary: its log, which is closed with it.
    @param started: called when it says that it has started.
    @param memory: what a process has.
    @ivar ended: fires with the reason when it has.
    @ivar pid: L{None} before it is there.
    """

    transport: Any

    def __init__(
        self,
        reactor: Any,
        limit: int,
        diary: Diary,
        started: Callable[[], object],
        memory: Callable[[int], int] = resident,
    ) -> None:
        self.ended: Deferred[str] = Deferred()
        self.pid: int | None = None
        self._reactor = reactor
        self._limit = limit
        self._diary = diary
        self._started = started
        self._memory = memory
        self._why = ""
        self._running = False
        self._said = b""  # the end of what it has said, until it has started
        self._kill: IDelayedCall | None = None
        self._late: IDelayedCall | None = None
        self._watch = LoopingCall(self._look)
        self._watch.clock = reactor

    def connectionMade(self) -> None:
        """
        It is there.
        """
        self.pid = self.transport.pid
        self._late = self._reactor.callLater(
            _START, self.end, HASTE, f"it did not start in {_START:g} s"
        )
        self._watch.start(_LOOK, now=False)

    def outReceived(self, data: bytes) -> None:
        """
        It says something.
        """
        self._diary.write(data)
        if not self._running:
            self._said = (self._said + data)[-_KEPT:]
            if STARTED.encode() in self._said:
                self._running = True
                self._forget()
                self._started()

    def errReceived(self, data: bytes) -> None:
        """
        It says something else.
        """
        self.outReceived(data)

    def reload(self) -> None:
        """
        Have it read its configuration anew, if it is as far as to know that signal; else it has not
        read it yet, or is about to end.
        """
        if self._running and self._kill is None:
            self._signal("HUP")

    def end(self, patience: float = GRACE, why: str = "") -> None:
        """
        Have it end.

        @param patience: seconds after which it is killed.
        @param why: the reason, unless there is one already.
        """
        self._why = self._why or why
        if self._kill is None:
            self._kill = self._reactor.callLater(patience, self._signal, "KILL")
            self._signal("TERM")

    def processExited(self, reason: Failure) -> None:
        """
        It is gone; what it has said may still be on its way.
        """
        self.pid = None
        self._watch.stop()
        self._forget()
        self._late = self._reactor.callLater(_LAST, self.transport.loseConnection)

    def processEnded(self, reason: Failure) -> None:
        """
        That was all.
        """
        self._forget()
        if self._kill is not None and self._kill.active():
            self._kill.cancel()
        self._diary.close()
        self.ended.callback(self._why or self._describe(reason))

    def _describe(self, reason: Failure) -> str:
        error: Any = reason.value
        if reason.check(ProcessDone):
            return "it has ended"
        if error.signal is not None:
            return f"it was ended by {signal.Signals(error.signal).name}"
        lines = [] if self._running else self._said.decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        told = f": {plain(last.strip())[:_MAX_LINE]}" if last else ""
        return f"it has ended with exit code {error.exitCode}{told}"

    def _look(self) -> None:
        """
        See how much memory it has.
        """
        assert self.pid is not None
        used = self._memory(self.pid)
        if used > self._limit:
            self.end(HASTE, f"it had {_mega(used)} MB of memory, and may have {_mega(self._limit)}")

    def _signal(self, name: str) -> None:
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess(name)

    def _forget(self) -> None:
        if self._late is not None and self._late.active():
            self._late.cancel()


def _mega(count: int) -> int:
    """
    Bytes in MB, as many as are begun.
    """
    return -(-count // 2**20)

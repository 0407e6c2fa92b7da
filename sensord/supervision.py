"""
What a daemon and whoever supervises it have agreed: it says when it has started, and it ends when
its standard input does. That is a pipe whose other end the supervisor holds: when that is gone, by
SIGKILL say, nothing is left behind.
"""

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

#: What the last line of its log ends with when it has started.
STARTED = "started, under supervision"

#: Bytes that are read at a time, and thrown away.
_CHUNK = 4096


@implementer(IReadDescriptor)
class Leash:
    """
    Watches the standard input of this process.

    @param ended: called once, when it has ended.
    """

    def __init__(self, reactor: Any, ended: Callable[[], object], descriptor: int = 0) -> None:
        self._reactor = reactor
        self._ended = ended
        self._descriptor = descriptor
        self._over = False

    def start(self) -> None:
        """
        Watch it from now on. One that is closed has ended.
        """
        try:
            self._reactor.addReader(self)
        except (OSError, ValueError):
            self._end()

    def stop(self) -> None:
        """
        Watch it no more: the process ends anyway.
        """
        self._over = True
        self._reactor.removeReader(self)

    def fileno(self) -> int:
        """
        See L{IReadDescriptor}.
        """
        return self._descriptor

    def doRead(self) -> None:
        """
        There is something to read, or nothing any more. It is nobody's business what it is.
        """
        try:
            data = os.read(self._descriptor, _CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._reactor.removeReader(self)
            self._end()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The reactor has seen the end before us.
        """
        self._end()

    def logPrefix(self) -> str:
        """
        See L{ILoggingContext<twisted.internet.interfaces.ILoggingContext>}.
        """
        return type(self).__name__

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._ended()

"""
A pretend serial port: a pseudo-terminal.
"""

import os
import tty
from array import array
from collections.abc import Callable
from fcntl import ioctl
from termios import FIONREAD
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

#: How many bytes may wait to be read by the other side. What would come on top of that is lost, as
#: on a real port. Without a limit, many kilobytes of old lines would wait for whoever opens it.
_MAX_UNREAD = 1024


@implementer(IReadDescriptor)
class Terminal:
    """
    A device file that behaves as that of a serial port does, for as long as it is open.

    @param hear: called with what the other side writes.
    @param link: where a symbolic link to the device file is kept; empty for none.
    @ivar path: the device file; empty while it is not open.
    """

    _log = Logger()

    def __init__(self, reactor: Any, hear: Callable[[bytes], object], link: str = "") -> None:
        self.path = ""
        self._reactor = reactor
        self._hear = hear
        self._link = link
        self._ours = self._theirs = -1

    def open(self) -> None:
        """
        Plug it in: there is a device file from now on.

        @raise OSError: if there can be none, or no link to it.
        """
        # Their side stays open here too: else each time that nobody has it open would look like the
        # end of it.
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)  # until somebody sets it, nothing is echoed or changed
        os.set_blocking(self._ours, False)
        self.path = os.ttyname(self._theirs)
        self._reactor.addReader(self)
        try:
            self._point()
        except OSError as error:
            self.close()
            raise OSError(error.errno, error.strerror, self._link) from error

    def close(self) -> None:
        """
        Unplug it: whoever has it open loses it.
        """
        if not self.path:
            return
        self._reactor.removeReader(self)
        if self._link and os.path.islink(self._link) and os.readlink(self._link) == self.path:
            os.unlink(self._link)
        os.close(self._ours)
        os.close(self._theirs)
        self._ours = self._theirs = -1
        self.path = ""

    def write(self, line: bytes) -> bool:
        """
        Write a line, if there is room for it.

        @param line: not longer than the lines of any format are.
        @return: whether it was written. It may have been in vain: whoever opens a port throws away
            what waits there.
        """
        if not self.path or self._unread() > _MAX_UNREAD:
            return False
        try:
            return os.write(self._ours, line) == len(line)
        except BlockingIOError:
            return False

    def fileno(self) -> int:
        """
        See C{IFileDescriptor.fileno}.
        """
        return self._ours

    def logPrefix(self) -> str:
        """
        See C{ILoggingContext.logPrefix}.
        """
        return "pretend serial port"

    def doRead(self) -> None:
        """
        See C{IReadDescriptor.doRead}.
        """
        try:
            data = os.read(self._ours, 4096)
        except BlockingIOError:
            return
        self._hear(data)

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor stops, or we erred.
        """
        self.close()

    def _unread(self) -> int:
        count = array("i", [0])
        ioctl(self._theirs, FIONREAD, count)
        return count[0]

    def _point(self) -> None:
        """
        Let the link point here. One that is there already is replaced: one of a process that was
        killed may be left over.
        """
        if not self._link:
            return
        if os.path.islink(self._link):
            os.unlink(self._link)
        os.symlink(self.path, self._link)

"""
The UNIX socket on which the control API is served: for the user who runs the daemon, and for
nobody else.
"""

import fcntl
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource

from sensord.config import ConfigError
from sensord.control.api import Api
from sensord.control.channel import site
from sensord.control.client import brief
from sensord.control.links import Links
from sensord.text import plain

#: Who may use the socket: its owner.
_MODE = 0o600

#: The bytes that a socket's path can have: those of C{sun_path}, but for the one that ends it.
_LONGEST = 107

#: Clients that may wait to be let in: more than there can be links.
_BACKLOG = 128

#: How often it tries to have the folder for itself, and the seconds between two tries. Another
#: daemon that starts needs it for a moment; whoever keeps it must not keep us.
_TRIES, _PAUSE = 20, 0.1


def unfit(path: Path) -> str:
    """
    Why nobody can have a socket at a path; empty if that is not to be seen from it.
    """
    if "\0" in str(path):
        return "has a NUL in it"
    if len(os.fsencode(brief(path))) > _LONGEST:
        return f"is longer than the {_LONGEST} bytes that the path of a socket can have"
    return ""


class ApiService(Service):
    """
    What all doors by which the API is reached have in common: it takes requests while this runs.
    """

    name = "api"

    def __init__(self, api: Api) -> None:
        self._api = api

    def startService(self) -> None:
        """
        Take requests.
        """
        self._api.open()
        super().startService()

    def stopService(self) -> None:
        """
        End all events.
        """
        super().stopService()
        self._api.close()


class Control(Service):
    """
    The socket.

    @param path: where it is made.
    @param api: what is served there.
    @param pause: waits for so many seconds. It blocks: at the start nothing else runs yet.
    """

    name = "control"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        path: Path,
        api: IResource,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.path = path
        self._reactor = reactor
        self._pause = pause
        self._links = Links(site(reactor, api))
        self._port: _Port | None = None
        self._made: tuple[str, tuple[int, int] | None] = "", None

    def startService(self) -> None:
        """
        Make the socket.

        @raise ConfigError: if that is not possible, or if another daemon answers there.
        """
        if why := unfit(self.path):
            raise self._fault(why)
        path = brief(self.path)
        try:
            with _alone(self.path.parent, self._pause):
                _clear(path)
                port = _Port(os.fsencode(path), self._links, _BACKLOG, _MODE, self._reactor)
                # Nobody else is to get in, not even before the mode is set.
                mask = os.umask(0o777 & ~_MODE)
                try:
                    port.startListening()
                finally:
                    os.umask(mask)
                self._made = os.path.abspath(path), _identity(path)
        except CannotListenError as error:
            raise self._fault(error.socketError) from error
        except OSError as error:
            raise self._fault(error) from error
        self._port = port
        super().startService()
        self._log.info("control: {path}", path=self.path)

    def stopService(self) -> Deferred[None]:
        """
        Remove the socket, and end with all who use it. It is gone at once: when the start of
        something else fails, there is no later.

        @return: fires when that is done.
        """
        super().stopService()
        path, made = self._made
        if self._port is not None and made is not None and made == _identity(path):
            with suppress(OSError):
                os.unlink(path)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
        await self._links.close(self._reactor)

    def _fault(self, why: object) -> ConfigError:
        why = getattr(why, "strerror", None) or why
        return ConfigError([f"[control] socket: {plain(str(self.path))}: {why}"])


class _Port(unix.Port):
    """
    The listening socket. Twisted's own removes what is at its path when it is closed, even if that
    is somebody else's by then.
    """

    def connectionLost(self, reason: Failure) -> None:
        """
        It is closed.
        """
        tcp.Port.connectionLost(self, reason)


def _identity(path: str) -> tuple[int, int] | None:
    """
    Which of all files is at a path, if any is.
    """
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def _alone(folder: Path, pause: Callable[[float], object]) -> Iterator[None]:
    """
    Let no other daemon make its socket in a folder meanwhile: each would take that of the other
    for one that nobody listens on yet.

    @raise OSError: if somebody else keeps the folder for too long.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for attempt in range(_TRIES):
            if attempt:
                pause(_PAUSE)
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
        else:
            raise OSError(f"another process holds a lock (flock) on the folder {folder}")
        yield
    finally:
        os.close(descriptor)


def _clear(path: str) -> None:
    """
    Remove what a daemon has left that was killed.

    @raise OSError: if there is something else.
    """
    try:
        if not stat.S_ISSOCK(os.stat(path, follow_symlinks=False).st_mode):
            raise OSError("is there already, and no socket")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            probe.connect(path)
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        os.unlink(path)
        return
    except BlockingIOError:  # so many wait there that no more are taken
        pass
    raise OSError("another daemon answers there")

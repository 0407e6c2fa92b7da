"""
The UNIX socket on which the control API is served: for the user who runs the daemon, and for
nobody else.
"""

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from sensord.config import ConfigError
from sensord.control.api import Api
from sensord.control.client import brief
from sensord.control.query import MAX_BODY

#: Who may use the socket: its owner.
_MODE = 0o600

#: Seconds in which a request has to come, and for which a link without one is kept.
_TIMEOUT = 30.0

#: Links at a time. Without a limit, a program that connects and says nothing would take up all
#: files that the daemon can open, and devices would be refused.
MAX_LINKS = 100

#: Seconds that clients have for taking their last answers, and how often in a second it looks
#: whether they did.
_GRACE, _LOOKS = 1.0, 20

_TOO_LONG = (
    b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n"
    b'{"error":"the body is longer than %d bytes"}' % MAX_BODY
)


class Control(Service):
    """
    The socket.

    @param path: where it is made.
    """

    name = "control"
    _log = Logger()

    def __init__(self, reactor: Any, path: Path, api: Api) -> None:
        self.path = path
        self._reactor = reactor
        self._api = api
        self._links = Links(site(reactor, api.resource()))
        self._port: IListeningPort | None = None

    def startService(self) -> None:
        """
        Make the socket.

        @raise ConfigError: if that is not possible, or if another daemon answers there.
        """
        path = brief(self.path)
        try:
            with _alone(self.path.parent):
                _clear(path)
                # Nobody else is to get in, not even before the mode is set.
                mask = os.umask(0o777 & ~_MODE)
                try:
                    self._port = self._reactor.listenUNIX(path, self._links, mode=_MODE)
                finally:
                    os.umask(mask)
        except CannotListenError as error:
            raise self._fault(error.socketError) from error
        except OSError as error:
            raise self._fault(error) from error
        self._api.open()
        super().startService()
        self._log.info("control: {path}", path=self.path)

    def stopService(self) -> Deferred[None]:
        """
        Remove the socket, and end with all who use it.

        @return: fires when that is done.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._api.close()
        port, self._port = self._port, None
        if port is not None:
            with suppress(FileNotFoundError):  # somebody has removed it already
                await maybeDeferred(port.stopListening)
        self._links.end()
        for _ in range(int(_GRACE * _LOOKS)):
            if not self._links.protocols:
                return
            await deferLater(self._reactor, 1 / _LOOKS, lambda: None)
        self._links.abort()

    def _fault(self, error: BaseException) -> ConfigError:
        why = getattr(error, "strerror", None) or error
        return ConfigError([f"[control] socket: {self.path}: {why}"])


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """
    Let no other daemon make its socket in a folder meanwhile: each would take that of the other
    for one that nobody listens on yet.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
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


class Links(WrappingFactory):
    """
    All links with clients, so that they can be limited and ended.
    """

    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """
        Let a client in, or not.
        """
        return super().buildProtocol(addr) if len(self.protocols) < MAX_LINKS else None

    def end(self) -> None:
        """
        Close each link as soon as all is written.
        """
        for link in self._all():
            link.loseConnection()

    def abort(self) -> None:
        """
        Cut all links.
        """
        for link in self._all():
            link.abortConnection()

    def _all(self) -> tuple[ProtocolWrapper, ...]:
        return tuple(self.protocols)


def site(clock: Any, root: IResource) -> Site:
    """
    What speaks HTTP, within limits.
    """
    return _Site(
        root,
        requestFactory=_Request,
        timeout=_TIMEOUT,
        reactor=clock,
        parsePOSTFormSubmission=False,
    )


class _Channel(HTTPChannel):
    """
    One link. There is little to say in a request: what goes beyond these limits is none.
    """

    MAX_LENGTH = 4096
    maxHeaders = 50
    totalHeadersSize = 8192


class _Site(Site):
    """
    A site that keeps no log of who asked for what.
    """

    noisy = False
    protocol = _Channel  # type: ignore[assignment]

    def startFactory(self) -> None:
        """
        Without a log, there is nothing to begin.
        """


class _Request(Request):
    """
    A request whose body is limited while it arrives.
    """

    _refused = False
    _received = 0

    def gotLength(self, length: int | None) -> None:
        """
        The length of the body is known, or will show.
        """
        super().gotLength(0)  # a small one: it is kept in memory
        if length is not None and length > MAX_BODY:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        """
        A piece of the body has arrived.
        """
        if self._refused:
            return
        self._received += len(data)
        if self._received > MAX_BODY:
            self._refuse()
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """
        All of it has arrived.
        """
        if not self._refused:
            super().requestReceived(command, path, version)

    def _refuse(self) -> None:
        self._refused = True
        self.channel.write(_TOO_LONG)
        self.channel.loseConnection()

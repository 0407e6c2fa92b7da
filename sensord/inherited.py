"""
Ports that systemd has opened, and holds on to.

What closes such a port for Twisted closes only this process's end of it: the system goes on to take
connections for whoever comes next. A device that is to learn from a refused connection that it has
to keep what it has would be told the contrary. So the socket itself is shut here, for all who hold
it, and made to listen again when the port is opened again, or when this process ends: systemd gives
up a socket that it finds shut.

That is possible with TCP only. A UNIX socket that was shut stays so, and Twisted removes its file.
"""

import socket
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from zope.interface import implementer

#: Connections that may wait to be accepted on a socket that is made to listen again: as many as
#: systemd has by default. The system takes as many of these as it allows.
_BACKLOG = 4096


@implementer(IStreamServerEndpoint)
class Inherited:
    """
    A socket that was passed to this process. It stays open as long as the process does.

    @param descriptor: its number.
    @param family: its address family.
    @raise ValueError: if it is of a family that cannot be closed and opened again.
    """

    def __init__(self, reactor: Any, descriptor: int, family: int) -> None:
        if family not in (socket.AF_INET, socket.AF_INET6):
            raise ValueError("only sockets of INET and INET6 can be closed and opened again")
        self._reactor = reactor
        self._descriptor = descriptor
        self._family = family
        self._remembered = False

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        See L{IStreamServerEndpoint.listen}; it may be called again when the port is closed.
        """
        return execute(self._listen, protocolFactory)

    def close(self) -> None:
        """
        Have connections refused, whoever else holds the socket.
        """
        if not self._remembered:
            self._remembered = True
            self._reactor.addSystemEventTrigger("after", "shutdown", self._leave)
        with self._open() as ours, suppress(OSError):  # it is shut already
            ours.shutdown(socket.SHUT_RDWR)

    def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        with self._open() as ours:
            _wake(ours)
            ours.setblocking(False)
            port = self._reactor.adoptStreamPort(ours.fileno(), self._family, factory)
        return _Port(port, self)

    def _leave(self) -> None:
        """
        This process is over: connections wait for the next one.
        """
        with self._open() as ours, suppress(CannotListenError):
            _wake(ours)

    def _open(self) -> socket.socket:
        return socket.fromfd(self._descriptor, self._family, socket.SOCK_STREAM)


@implementer(IListeningPort)
class _Port:
    """
    An inherited socket that is listened on.
    """

    def __init__(self, port: IListeningPort, inherited: Inherited) -> None:
        self._port = port
        self._inherited = inherited

    def startListening(self) -> None:
        """
        See L{IListeningPort.startListening}.
        """
        self._port.startListening()

    def stopListening(self) -> Any:
        """
        See L{IListeningPort.stopListening}.
        """
        stopped = self._port.stopListening()
        self._inherited.close()
        return stopped

    def getHost(self) -> IAddress:
        """
        See L{IListeningPort.getHost}.
        """
        return self._port.getHost()


def _wake(inherited: socket.socket) -> None:
    """
    Have a socket listen, if it does not.

    @raise CannotListenError: if somebody else has taken its port meanwhile.
    """
    if not inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        host, port, *_more = inherited.getsockname()
        try:
            inherited.listen(_BACKLOG)
        except OSError as error:
            raise CannotListenError(host, port, error) from error

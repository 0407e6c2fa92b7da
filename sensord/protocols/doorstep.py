"""
Packets that are taken at the door. A device that delivers a packet with each connection has often
sent it and hung up before its connection is even accepted, above all when many wake up at once.
Such a connection holds nothing but bytes to read: it is read and closed on the spot, at a third of
the price of a transport. Every other one becomes a transport as usual.
"""

import errno
import os
import socket
import sys
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IReactorSocket,
    IReadDescriptor,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from sensord.protocols.port import PortFactory

#: Connections that are accepted before other events have their turn. Without it, a flood of
#: connections would keep everybody else waiting.
_TURN = 100

#: Bytes read at a time: a packet, mostly.
_CHUNK = 4096

#: What the first byte of TCP_INFO says when the peer has closed its side and all it sent is here:
#: the state CLOSE_WAIT of Linux.
_CLOSE_WAIT = 8

#: Errors that are the system's. All others are of a peer that is gone already.
_SHORTAGE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def doorstep(reactor: Any, port: IListeningPort, factory: PortFactory) -> IListeningPort:
    """
    Have the connections of a port taken at the door, where that is possible: it needs Linux, and a
    plain TCP port whose peers do not wait for an answer.

    @return: what to use in place of the port, or the port itself.
    """
    fit = (
        sys.platform == "linux"
        and IReactorSocket.providedBy(reactor)
        and IReadDescriptor.providedBy(port)
    )
    return Doorstep(reactor, port, factory) if fit else port


class _Listening(socket.socket):
    """
    A socket that remembers what it is. Others find it out anew, twice for each connection that they
    accept, which takes them as long as a fifth of a packet does us.
    """

    family = socket.AF_INET
    type = socket.SOCK_STREAM

    def __init__(self, family: socket.AddressFamily, type: socket.SocketKind, fileno: int) -> None:
        super().__init__(family, type, fileno=fileno)
        self.family = family


@implementer(IListeningPort, IReadDescriptor)
class Doorstep:
    """
    A listening port that accepts in place of Twisted's.

    @param port: the one of Twisted, which listens, and accepts no more.
    """

    _log = Logger()

    def __init__(self, reactor: Any, port: Any, factory: PortFactory) -> None:
        self._reactor = reactor
        self._port = port
        self._factory = factory
        port.stopReading()
        self._family = socket.AF_INET6 if ":" in port.getHost().host else socket.AF_INET
        self._socket = _Listening(self._family, socket.SOCK_STREAM, fileno=os.dup(port.fileno()))
        self._socket.setblocking(False)
        reactor.addReader(self)

    def startListening(self) -> None:
        """
        It listens already.
        """

    def stopListening(self) -> Any:
        """
        See L{IListeningPort.stopListening}.
        """
        self._leave()
        return maybeDeferred(self._port.stopListening)

    def getHost(self) -> IAddress:
        """
        See L{IListeningPort.getHost}.
        """
        host: IAddress = self._port.getHost()
        return host

    def fileno(self) -> int:
        """
        See L{IReadDescriptor}.
        """
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """
        See L{IReadDescriptor}.
        """
        return self._factory.inlet.name

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor is being shut down.
        """
        self._leave()
        self._port.connectionLost(reason)

    def doRead(self) -> None:
        """
        Accept whoever is waiting.
        """
        for _ in range(_TURN):
            try:
                peer, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError:
                # There are no descriptors left, say. Twisted's own port knows what to do then.
                self._port.doRead()
                return
            with peer:
                try:
                    self._admit(peer, address[0])
                except OSError as error:
                    if error.errno in _SHORTAGE:
                        self._factory.refuse(address[0], str(error))
                except Exception:
                    self._log.failure(
                        "{name}: {host}", name=self._factory.inlet.name, host=address[0]
                    )

    def _admit(self, peer: socket.socket, host: str) -> None:
        """
        Take what a peer has sent if it has hung up, else make a transport of it.
        """
        state = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        if state == _CLOSE_WAIT and not self._factory.held:
            chunks = [peer.recv(_CHUNK, socket.MSG_DONTWAIT)]
            while len(chunks[-1]) == _CHUNK:  # less is the rest, since no more can come
                chunks.append(peer.recv(_CHUNK, socket.MSG_DONTWAIT))
            self._factory.take(host, b"".join(chunks))
        else:
            peer.setblocking(False)
            self._reactor.adoptStreamConnection(peer.fileno(), self._family, self._factory)

    def _leave(self) -> None:
        if self._socket.fileno() >= 0:
            self._reactor.removeReader(self)
            self._socket.close()

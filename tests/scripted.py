"""
The door to a web server on another port of this machine: it lets requests through, or does to them
what a test says.
"""

import re
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure

from tests.emoncms import Reply

#: What happens to a request that is not answered: it is taken in, and nothing is said; the link is
#: reset when its head has come; it is let through, and the link is reset when there is an answer.
SILENT, CUT, LOST = "silent", "cut", "lost"

Trouble = Reply | str | None

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)", re.IGNORECASE)


class Scripted(ServerFactory):
    """
    The door.

    @ivar trouble: what requests meet; L{None} if they are let through.
    @ivar script: what the next ones meet before that, one after the other.
    @ivar where: its own port.
    @ivar asked: when there were requests, and what each of them met.
    @param behind: the port that it is the door to.
    """

    noisy = False

    def __init__(self, reactor: Any, behind: int) -> None:
        self.trouble: Trouble = None
        self.script: list[Trouble] = []
        self.asked: list[tuple[float, Trouble]] = []
        self.where = 0
        self._reactor = reactor
        self._behind = TCP4ClientEndpoint(reactor, "127.0.0.1", behind)
        self._links: set[_Link] = set()
        self._port: Any = None

    @property
    def url(self) -> str:
        """
        How it is reached.
        """
        return f"http://127.0.0.1:{self.where}"

    def open(self) -> None:
        """
        Listen.
        """
        self._port = self._reactor.listenTCP(0, self, interface="127.0.0.1")
        self.where = self._port.getHost().port

    async def close(self) -> None:
        """
        Close it, and cut all links.
        """
        port, self._port = self._port, None
        if port is not None:
            await port.stopListening()
        gone = [link.cut() for link in tuple(self._links)]
        for each in gone:
            await each

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """
        Somebody has connected.
        """
        return _Link(self, self._behind, self._links)

    def meet(self) -> Trouble:
        """
        There is a request.

        @return: what it meets.
        """
        trouble = self.script.pop(0) if self.script else self.trouble
        self.asked.append((self._reactor.seconds(), trouble))
        return trouble


class _Link(Protocol):
    """
    One connection, and the one behind it.
    """

    transport: Any

    def __init__(self, door: Scripted, behind: TCP4ClientEndpoint, links: "set[_Link]") -> None:
        self.gone: Deferred[None] = Deferred()
        self._door = door
        self._behind = behind
        self._links = links
        self._data = b""
        self._begun = False
        self._trouble: Trouble = None
        self._beyond: Deferred[Any] | None = None

    def connectionMade(self) -> None:
        """
        It begins.
        """
        self._links.add(self)

    def dataReceived(self, data: bytes) -> None:
        """
        Collect requests, and deal with each.
        """
        self._data += data
        while _END in self._data:
            if not self._begun:
                self._begun, self._trouble = True, self._door.meet()
            if self._trouble == CUT:
                self.transport.abortConnection()
                return
            head = self._data.partition(_END)[0]
            length = _LENGTH.search(head)
            size = len(head) + len(_END) + int(length[1] if length else 0)
            if len(self._data) < size:
                return
            request, self._data, self._begun = self._data[:size], self._data[size:], False
            if isinstance(self._trouble, Reply):
                self.transport.write(_written(self._trouble))
            elif self._trouble != SILENT:
                self._through(request)

    def answered(self, data: bytes) -> None:
        """
        The server has said something.
        """
        if self._trouble == LOST:
            self.transport.abortConnection()
        else:
            self.transport.write(data)

    def cut(self) -> "Deferred[None]":
        """
        Reset it.

        @return: fires when it is gone, with the one behind it.
        """
        self.transport.abortConnection()
        return self.gone

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        It has ended.
        """
        self._links.discard(self)
        if self._beyond is None:
            self.gone.callback(None)
            return
        beyond = self._beyond.addCallback(lambda beyond: beyond.cut())
        beyond.addErrback(lambda failure: None).addCallback(self.gone.callback)

    def _through(self, request: bytes) -> None:
        if self._beyond is None:
            made: Deferred[Any] = self._behind.connect(Factory.forProtocol(partial(_Beyond, self)))
            self._beyond = made.addErrback(self._closed)
        self._beyond.addCallback(lambda beyond: beyond.say(request))

    def _closed(self, failure: Failure) -> Failure:
        self.transport.abortConnection()
        return failure


class _Beyond(Protocol):
    """
    The connection behind a link.
    """

    transport: Any

    def __init__(self, link: _Link) -> None:
        self._link = link
        self._gone: Deferred[None] = Deferred()

    def say(self, data: bytes) -> "_Beyond":
        """
        Pass a request on.
        """
        self.transport.write(data)
        return self

    def dataReceived(self, data: bytes) -> None:
        """
        Pass on what is answered.
        """
        self._link.answered(data)

    def cut(self) -> "Deferred[None]":
        """
        End it.

        @return: fires when it is gone.
        """
        self.transport.abortConnection()
        return self._gone

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The server has hung up.
        """
        self._link.transport.loseConnection()
        self._gone.callback(None)


def _written(reply: Reply) -> bytes:
    """
    An answer as it goes over the wire.
    """
    body = reply.body.encode() if isinstance(reply.body, str) else reply.body
    headers = {**reply.headers, "Content-Length": str(len(body))}
    lines = [f"HTTP/1.1 {reply.status} -", *(f"{name}: {headers[name]}" for name in headers)]
    return "\r\n".join(lines).encode() + _END + body

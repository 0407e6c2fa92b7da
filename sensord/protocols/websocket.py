"""
WebSockets: links over which texts come in and go out.
"""

from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import IDelayedCall, ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from sensord.presence import Congested
from sensord.protocols.stream import AnsweringProtocol, Connections, StreamProtocol
from sensord.wire.websocket import Conversation, encode

#: Seconds that a peer has for reading our last words and closing its side. Without a limit, one
#: that does neither would hold its connection for ever.
LINGER = 5.0

#: The code of a close frame that says "we are going away".
_AWAY = 1001


class WebSocketProtocol(AnsweringProtocol):
    """
    One WebSocket. It is written to whether its peer is told what became of its messages or not:
    the handshake, pings and the close of a client are answered in any case.

    @param ack: whether the peer is told, each text in a message of its own.
    """

    _greeted = False
    _farewell = b""
    _hungUp = False
    _lingering: IDelayedCall | None = None

    def __init__(
        self, factory: Connections, host: str, parser: Conversation, ack: bool = False
    ) -> None:
        super().__init__(factory, host, parser)
        self._conversation = parser
        self._ack = ack

    def dataReceived(self, data: bytes) -> None:
        """
        Parse, write what the wire format has to say to it, and dispatch what came of it.
        """
        if self._ending:
            return
        self.heard = True
        talk = self._conversation
        events = talk.feed(data)
        if talk.open:
            self._greeted = True
            if words := talk.take():
                self.transport.write(words)
        if events:
            self.quiet = 0
            self.dispatch(events)
        if talk.finished:
            self.end()

    def dispatch(self, events: Sequence[Any]) -> None:
        """
        Have events decoded and stored, and answer for them when that is done, if it is wanted.
        """
        if self._ack:
            super().dispatch(events)
        else:
            StreamProtocol.dispatch(self, events)

    def send(self, data: bytes) -> None:
        """
        See L{sensord.presence.Link.send}.

        @param data: a text, which goes out as one message in one frame.
        @raise Congested: if nobody would read it: the peer has not said hello, or said goodbye.
        """
        if self._over or not self._conversation.open:
            raise Congested("the connection is being opened or closed")
        super().send(encode(data.decode()))

    def reply(self, answer: bytes) -> None:
        """
        See L{AnsweringProtocol.reply}.

        @param answer: texts, with line ends between them.
        """
        # A client whose handshake was refused understands no frames.
        if answer and self._greeted:
            self.transport.write(b"".join(map(encode, answer.decode().split("\n"))))

    def part(self) -> None:
        """
        Say goodbye and close our side. If it was closed altogether while the peer is still
        sending, TCP would throw away what the peer has not read yet, such as the reason.
        """
        self.transport.write(self._farewell)
        self._lingering = self.factory.clock.callLater(LINGER, self.transport.abortConnection)
        if self._hungUp or ISSLTransport.providedBy(self.transport):
            self.transport.loseConnection()  # TLS has no half of it, and lingers by itself
        else:
            self.transport.loseWriteConnection()

    def readConnectionLost(self) -> None:
        """
        The peer will send no more. It may want answers; if it has all, the link is over.
        """
        self._hungUp = True
        if self._closed:
            self.transport.loseConnection()
        else:
            self.end()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The link is gone.
        """
        super().connectionLost(reason)
        if self._lingering is not None and self._lingering.active():
            self._lingering.cancel()

    def _finish(self) -> None:
        # The goodbye has to wait for the answers: behind a close frame nobody reads any.
        if not self._ending:
            self._farewell = self._conversation.bye(_AWAY)
        super()._finish()

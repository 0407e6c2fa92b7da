"""
websocket: text messages over WebSockets (RFC 6455), the server's end.

A connection begins with an HTTP request, which ends with a blank line, and its answer::

    GET /ws HTTP/1.1                      HTTP/1.1 101 Switching Protocols
    Host: gateway:4444                    Upgrade: websocket
    Upgrade: websocket                    Connection: Upgrade
    Connection: Upgrade                   Sec-WebSocket-Accept: DdLWT/1JcX+nQFHebYP+rqEx5xI=
    Sec-WebSocket-Key: L159VM0TWUzyDxwJEIEzjw==
    Sec-WebSocket-Version: 13

Then both sides send frames:

    ======  ====================  =========================================================
    offset  type                  meaning
    ======  ====================  =========================================================
    0       u8                    0x80 the last frame of a message; low four bits: 0 more of
                                  a message, 1 text, 2 binary, 8 close, 9 ping, 10 pong
    1       u8                    0x80 masked: always up, never down; low seven bits: the
                                  length, or 126 or 127 when it stands behind
    2       u16 or u64            the length, in big-endian, if it is above 125 or 65535
    then    4 bytes               the mask, if there is one
    then    bytes                 the payload, each byte XORed with one of the mask in turn
    ======  ====================  =========================================================

Example, the text C{1,1.0} down and, with the mask C{01 02 03 04}, up::

    81 05              31 2c 31 2e 30
    81 85 01 02 03 04  30 2e 32 2a 31

Microcontrollers read the answer's first 200 bytes, and then nothing but single text frames below
64 bytes. So the answer is short and is taken in one piece, no extension is agreed on, nothing is
fragmented, and nobody is sent a ping.
"""

import re
from collections.abc import Sequence
from hmac import compare_digest
from http import HTTPStatus
from urllib.parse import parse_qs

from wsproto import ConnectionType, WSConnection, events
from wsproto.connection import Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import RemoteProtocolError

from sensord.wire import SAMPLE, Skipped
from sensord.wire.refusal import Refused

#: The most bytes of one message. Without a limit, one that never ends would be collected.
MAX_MESSAGE = 4096

#: The most frames of one message, and of pings and pongs within it. Empty ones never reach
#: L{MAX_MESSAGE}: without a limit, a message of them would never end.
MAX_FRAGMENTS = 64

#: The most bytes of a request. Without a limit, a header that never ends would be collected.
MAX_HEAD = 8192

#: The most bytes of a C{Host} header; no name is longer. It is decoded in quadratic time: without a
#: limit, one of 8 KB would stop everybody for 26 ms.
MAX_HOST = 260

#: How many bytes of pongs wait to be taken; beyond it, only the latest ping is answered, which the
#: RFC allows. Without a limit, a flood of pings would pile up answers.
MAX_PONGS = 1024

#: The most bytes of an unfinished character that a decoder holds back.
_HELD = 3

_BLANK = re.compile(rb"\n\r?\n")
_HOST = re.compile(rb"\nhost[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE)
_BEARER = re.compile(rb"bearer +(.*)", re.IGNORECASE)

#: What is shown of a request: the method and the path. A query or a header may hold a token.
_SHOWN = re.compile(rb"(?s:.?)[^\s?]*(?: [^\s?]*)?")

_TLS = b"\x16"  # what a handshake over TLS begins with
_CLOSE = bytes.fromhex("88 80 00000000")  # an empty close frame, as a client sends it
_CUT = "cut short by the end of the connection"


class Conversation:
    """
    The server's end of one connection. It keeps a request of L{MAX_HEAD} bytes, or a message of
    C{limit}, and what waits for L{take}, which is to be called after each C{feed}.

    @ivar open: whether the peer can be sent messages: the handshake is done and nobody closes.
    @ivar finished: whether nothing more can come or be sent: write what L{take} returns, and close
        the connection.
    """

    open = False
    finished = False

    # Most conversations need nothing but these, most of the time.
    _connection: Connection | None = None
    _within = False
    _fragments = 0
    _out = b""
    _pongs = b""

    def __init__(
        self,
        path: str = "/ws",
        origins: Sequence[str] = (),
        token: str = "",
        limit: int = MAX_MESSAGE,
    ) -> None:
        """
        @param path: where the WebSocket is; anything else is refused.
        @param origins: the pages that may connect, e.g. C{http://gateway:8080}; all if empty. What
            sends no C{Origin} is no browser, and may.
        @param token: what a peer must know, and says as C{Authorization: Bearer} or C{?token=};
            nothing if empty.
        @param limit: the most bytes of one message.
        """
        self._path = path
        self._origins = origins
        self._token = token
        self._limit = limit
        self._kept = bytearray()  # of the request, then of the message that is coming

    def feed(self, data: bytes) -> Sequence[str | Skipped]:
        """
        Take in some bytes.

        @return: the text of each message that they complete, and what was wrong, in its place.
        """
        if self._connection is not None:
            return self._hear(self._connection, data)
        if self.finished or not data:
            return ()
        return self._greet(data)

    def close(self) -> Sequence[str | Skipped]:
        """
        The peer is gone.
        """
        skipped: Sequence[Skipped] = ()
        if self._connection is not None:
            if self._within or not _between(self._connection):
                skipped = [self._skip(_CUT)]
        elif self._kept:
            why = f"{len(self._kept)} bytes are no handshake"
            skipped = [Skipped(self._show(self._kept), why)]
        self._end()
        return skipped

    def take(self) -> bytes:
        """
        What must be written to the peer now, in one piece. It is returned once.
        """
        data = self._out + self._pongs
        self._out = self._pongs = b""
        return data

    def bye(self, code: int, reason: str = "") -> bytes:
        """
        Begin to close. Messages that are on their way still come; when the peer has answered, the
        conversation is finished. Before the handshake it is finished at once.

        @param code: why, e.g. 1001 for a server that goes away.
        @param reason: why, in words; only the first 123 bytes are sent.
        @return: what must be written to the peer now.
        """
        if self._connection is None:
            self._end()
        self._part(code, reason)
        return self.take()

    def _greet(self, data: bytes) -> Sequence[str | Skipped]:
        """
        Collect the request, and answer it.
        """
        head, before = self._kept, len(self._kept)
        head += data[: MAX_HEAD + 1 - before]
        blank = _BLANK.search(head, max(0, before - 2))
        try:
            if not head[:1].isalpha():
                del head[1:]
                why = "TLS where none is spoken" if head == _TLS else "no HTTP"
                raise Refused(HTTPStatus.BAD_REQUEST, why)
            if blank is None and len(head) <= MAX_HEAD:
                return ()
            if blank is None or blank.end() > MAX_HEAD:
                status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                raise Refused(status, f"more than {MAX_HEAD} bytes")
            del head[blank.end() :]
            self._connection, self._out = self._accept(bytes(head))
        except Refused as refused:
            self._out = refused.answer
            skipped = Skipped(self._show(refused.data or head), refused.why)
            self._end()
            return [skipped]
        self.open, self._kept = True, bytearray()
        return self._hear(self._connection, data[blank.end() - before :])

    def _accept(self, head: bytes) -> tuple[Connection, bytes]:
        """
        Make the connection that a request asks for.

        @return: the connection, and the answer.
        @raise Refused: if there can be none.
        """
        # Only the request goes in, since what is behind it would not come out again; and only the
        # connection is kept, since the HTTP side of it takes more memory and is over.
        handshake = WSConnection(ConnectionType.SERVER)
        hosts = _HOST.findall(head)
        if any(len(host) > MAX_HOST for host in hosts):
            raise Refused(HTTPStatus.BAD_REQUEST, f"a Host of more than {MAX_HOST} bytes")
        try:
            handshake.receive_data(head)
            [request] = handshake.events()
        except RemoteProtocolError as error:
            hint = error.event_hint
            status = hint.status_code if isinstance(hint, events.RejectConnection) else 400
            # h11 says more, but its words may hold the token.
            why = str(error) if hosts else f"{error}; no Host header"
            raise Refused(HTTPStatus(status), why) from error
        except UnicodeError as error:  # wsproto lets these through
            raise Refused(HTTPStatus.BAD_REQUEST, "a header that cannot be read") from error
        assert isinstance(request, events.Request)
        self._check(request)
        answer = handshake.send(events.AcceptConnection())
        assert handshake.connection is not None
        return handshake.connection, answer

    def _check(self, request: events.Request) -> None:
        """
        See whether a request may have its connection.

        @raise Refused: if not.
        """
        path, _, query = request.target.partition("?")
        if path != self._path:
            raise Refused(HTTPStatus.NOT_FOUND, f"the path is {self._path}")
        headers: dict[bytes, list[bytes]] = {}
        for name, value in request.extra_headers:
            headers.setdefault(name, []).append(value)
        if b"transfer-encoding" in headers or headers.get(b"content-length", [b"0"]) != [b"0"]:
            raise Refused(HTTPStatus.BAD_REQUEST, "a request with a body")  # else read as frames
        allowed = {origin.lower().encode() for origin in self._origins}
        for origin in headers.get(b"origin", ()):
            if allowed and origin.lower() not in allowed:
                raise Refused(HTTPStatus.FORBIDDEN, "this Origin is not allowed", origin)
        if not self._token:
            return
        said = [token.encode() for token in parse_qs(query).get("token", ())]
        bearers = map(_BEARER.fullmatch, headers.get(b"authorization", ()))
        said += [bearer[1] for bearer in bearers if bearer]
        # A comparison that stops at the first difference would tell where it is.
        if not any(compare_digest(one, self._token.encode()) for one in said):
            raise Refused(HTTPStatus.UNAUTHORIZED, "no token, or a wrong one")

    def _hear(self, connection: Connection, data: bytes) -> Sequence[str | Skipped]:
        """
        Take in some bytes of frames.
        """
        heard: list[str | Skipped] = []
        start = 0
        while start < len(data) and not self.finished:
            # A slice does not reach beyond the limit of the message that is coming: otherwise the
            # cuts would decide which comes first, the limit or a fault behind it.
            end = start + max(1, self._limit - _HELD - len(self._kept))
            connection.receive_data(data[start:end])
            start = end
            for event in connection.events():
                if isinstance(event, TextMessage) and event.message_finished and not self._within:
                    heard.append(event.data)  # all of it was in the slice: its size is right
                elif (one := self._listen(connection, event)) is not None:
                    heard.append(one)
                if self.finished:
                    break
        return heard

    def _listen(self, connection: Connection, event: events.Event) -> str | Skipped | None:
        """
        See to an event that is no message in one frame.
        """
        if isinstance(event, TextMessage | BytesMessage):
            return self._collect(event)
        if isinstance(event, events.Ping) and self.open:
            if len(self._pongs) > MAX_PONGS:
                self._pongs = b""
            self._pongs += connection.send(event.response())
        if not isinstance(event, CloseConnection):
            self._fragments += self._within
            return self._limited()
        if connection.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
            # The peer did not say this: wsproto did, and cannot go on.
            if event.code == CloseReason.PROTOCOL_ERROR:
                return self._fail(event.code, f"no frame: {event.reason}")
            self._kept.clear()  # how much of the text was right before depends on the cuts
            return self._fail(event.code, "text that is not UTF-8")
        if self.open:
            self._out = self.take() + connection.send(event.response())
        skipped = self._skip(_CUT) if self._within else None
        self._end()
        return skipped

    def _collect(self, event: TextMessage | BytesMessage) -> str | Skipped | None:
        """
        Add a piece to the message that is coming.
        """
        self._within = True
        self._fragments += event.frame_finished
        self._kept += event.data if isinstance(event, BytesMessage) else event.data.encode()
        if isinstance(event, BytesMessage):
            if event.message_finished or len(self._kept) >= SAMPLE:
                return self._fail(CloseReason.UNSUPPORTED_DATA, "a binary message")
        elif len(self._kept) > self._limit:
            why = f"a message of more than {self._limit} bytes"
            return self._fail(CloseReason.MESSAGE_TOO_BIG, why)
        elif event.message_finished:
            message = self._kept.decode()
            self._kept.clear()
            self._within, self._fragments = False, 0
            return message
        return self._limited()

    def _limited(self) -> Skipped | None:
        """
        Give up a message of too many frames.
        """
        if self._fragments >= MAX_FRAGMENTS:
            why = f"a message of more than {MAX_FRAGMENTS} frames"
            return self._fail(CloseReason.POLICY_VIOLATION, why)
        return None

    def _fail(self, code: int, why: str) -> Skipped:
        """
        Give the connection up. There is no waiting for the peer's answer: it may never send any.
        """
        self._part(code, why)
        skipped = self._skip(why)
        self._end()
        return skipped

    def _part(self, code: int, reason: str) -> None:
        if self._connection is not None and self.open:
            self._out = self.take() + self._connection.send(CloseConnection(code, reason))
            self.open = False

    def _end(self) -> None:
        self.finished, self.open = True, False
        self._connection, self._kept = None, bytearray()

    def _skip(self, why: str) -> Skipped:
        return Skipped(bytes(self._kept[:SAMPLE]), why)

    def _show(self, data: bytes | bytearray) -> bytes:
        """
        What may be seen of a request.
        """
        shown = _SHOWN.match(data)
        assert shown is not None
        sample = bytes(shown[0])
        if self._token:
            sample = sample.replace(self._token.encode(), b"...")
        return sample[:SAMPLE]


def encode(message: str) -> bytes:
    """
    The one frame that carries a message down.
    """
    return Connection(ConnectionType.SERVER).send(TextMessage(data=message))


def _between(connection: Connection) -> bool:
    """
    Whether the last frame of a connection that is over was complete. The connection does not say,
    but only then it takes a close frame for what it is.
    """
    connection.receive_data(_CLOSE)
    return next(connection.events(), None) == CloseConnection(CloseReason.NO_STATUS_RCVD, "")

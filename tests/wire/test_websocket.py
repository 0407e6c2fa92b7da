"""
Tests for L{sensord.wire.websocket}.
"""

import gc
import tracemalloc
from collections.abc import Callable
from functools import partial
from itertools import pairwise

from hypothesis import example, given, strategies
from twisted.trial.unittest import SynchronousTestCase
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

from sensord.wire import SAMPLE, Skipped
from sensord.wire.websocket import (
    MAX_FRAGMENTS,
    MAX_HEAD,
    MAX_HOST,
    MAX_MESSAGE,
    MAX_PONGS,
    Conversation,
    encode,
)
from tests.support import PROPERTY, SIZES, assertBounded, assertParses, collect, slices

#: What a microcontroller sends, in the pieces that it writes.
PIECES = (
    b"GET /ws HTTP/1.1\r\n",
    b"Host: 192.168.1.2:4444\r\n",
    b"Upgrade: websocket\r\n",
    b"Connection: Upgrade\r\n",
    b"Sec-WebSocket-Key: L159VM0TWUzyDxwJEIEzjw==\r\n",
    b"Sec-WebSocket-Version: 13\r\n",
    b"\r\n",
)
HEAD = b"".join(PIECES)
ACCEPT = b"DdLWT/1JcX+nQFHebYP+rqEx5xI="

CUT = "cut short by the end of the connection"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def request(*headers: str, target: str = "/ws") -> bytes:
    """
    A request with more headers than it needs.
    """
    first, *others = PIECES
    first = first.replace(b"/ws", target.encode())
    return b"".join([first, *(f"{header}\r\n".encode() for header in headers), *others])


def without(name: str) -> bytes:
    """
    A request that lacks a header.
    """
    return b"".join(piece for piece in PIECES if not piece.startswith(f"{name}:".encode()))


def frame(opcode: int, payload: bytes = b"", last: bool = True, mask: bytes = b"\1\2\3\4") -> bytes:
    """
    A frame as a client sends it.
    """
    length = len(payload)
    if length < 126:
        size = bytes([0x80 | length])
    elif length < 65536:
        size = b"\xfe" + length.to_bytes(2, "big")
    else:
        size = b"\xff" + length.to_bytes(8, "big")
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes([0x80 * last | opcode]) + size + mask + masked


def text(message: str) -> bytes:
    """
    A text message in one frame.
    """
    return frame(TEXT, message.encode())


def opened(talk: Conversation | None = None) -> Conversation:
    """
    A conversation behind its handshake.
    """
    talk = talk or Conversation()
    talk.feed(HEAD)
    talk.take()
    return talk


class Client:
    """
    A full client, talking to a conversation.
    """

    def __init__(self, talk: Conversation, asked: Request | None = None) -> None:
        self._talk = talk
        self._end = WSConnection(ConnectionType.CLIENT)
        self.heard: list[Event] = []
        self.said = self.send(asked or Request("gateway:4444", "/ws"))

    def send(self, *events: Event) -> list[str | Skipped]:
        """
        Send some frames in one segment, and hear what comes back.

        @return: what the conversation makes of them.
        """
        said = list(self._talk.feed(b"".join(self._end.send(event) for event in events)))
        self.hear(self._talk.take())
        return said

    def hear(self, data: bytes) -> None:
        """
        Read what the conversation wrote.
        """
        if data:
            self._end.receive_data(data)
        self.heard = list(self._end.events())


class HandshakeTests(SynchronousTestCase):
    """
    How a connection begins.
    """

    def test_aMicrocontrollerIsAnsweredAtOnceHoweverItWrites(self) -> None:
        """
        A microcontroller may send its handshake in any pieces: it gets one short answer, with the
        key that it looks for in the first 200 bytes, when the last byte is there and not before.
        """
        cuts = [PIECES, [HEAD], list(slices(HEAD, [1]))]
        cuts += [[HEAD[:cut], HEAD[cut:]] for cut in range(1, len(HEAD))]
        for *pieces, last in cuts:
            talk = Conversation()
            for piece in pieces:
                self.assertEqual(list(talk.feed(piece)), [])
                self.assertEqual(talk.take(), b"")
                self.assertFalse(talk.open)
            self.assertEqual(list(talk.feed(last)), [])
            self.assertTrue(talk.open)
            answer = talk.take()
            self.assertTrue(answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n"))
            self.assertTrue(answer.endswith(b"\r\n\r\n"))
            self.assertIn(ACCEPT, answer[:130])
            self.assertLess(len(answer), 131)
            self.assertEqual(talk.take(), b"")
            self.assertFalse(talk.finished)

    def test_whatComesBehindTheHandshakeIsNotLost(self) -> None:
        """
        Messages in the same segment as the handshake are heard.
        """
        stream = HEAD + text("1,7,23.456789") + text("1,8,23.5")
        assertParses(self, Conversation, stream, ["1,7,23.456789", "1,8,23.5"])

    def test_theSpellingOfHeadersDoesNotMatter(self) -> None:
        """
        Header names in any case, without blanks, among others and with bare line feeds are taken.
        """
        for head in (
            HEAD.replace(b"Sec-WebSocket-Key", b"sec-websocket-KEY"),
            HEAD.replace(b": ", b":"),
            HEAD.replace(b"\r\n", b"\n"),
            HEAD.replace(b"websocket\r\n", b"WebSocket\r\n"),
            HEAD.replace(b"Connection: Upgrade", b"Connection: keep-alive, upgrade"),
            HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"),
            request("User-Agent: arduino", "Cookie: a=b", "Content-Length: 0"),
        ):
            assertParses(self, Conversation, head + text("1,7"), ["1,7"])

    def test_noExtensionIsAgreedOn(self) -> None:
        """
        A client that offers to compress is answered that it must not.
        """
        asked = Request("gateway:4444", "/ws", extensions=[PerMessageDeflate()])
        client = Client(Conversation(), asked)
        self.assertEqual([type(event) for event in client.heard], [AcceptConnection])
        self.assertEqual(client.send(TextMessage("1,7,23.5")), ["1,7,23.5"])

    def test_everyAnswerIsToTheKeyThatWasAsked(self) -> None:
        """
        A client that chooses its own key accepts the answer.
        """
        client = Client(Conversation())
        self.assertIsInstance(client.heard[0], AcceptConnection)
        self.assertEqual(client.said, [])


class RefusalTests(SynchronousTestCase):
    """
    Who gets no connection, and what they are told.
    """

    def assertRefused(
        self,
        head: bytes,
        why: str,
        data: bytes = b"GET /ws",
        make: Callable[[], Conversation] = Conversation,
    ) -> bytes:
        """
        Check that a request is refused in every way to cut it, and that what follows it does not
        matter.

        @return: what the peer is told.
        """
        for rest in (b"", text("1,7,23.5")):
            assertParses(self, make, head + rest, [Skipped(data, why)])
        talk = make()
        talk.feed(head)
        self.assertTrue(talk.finished)
        self.assertFalse(talk.open)
        answer = talk.take()
        status, _, body = answer.partition(b"\r\n\r\n")
        self.assertTrue(status.startswith(f"HTTP/1.1 {why.partition(':')[0]}\r\n".encode()))
        self.assertIn(b"\r\nConnection: close\r\n", status)
        self.assertIn(f"\r\nContent-Length: {len(body)}".encode(), status)
        self.assertEqual(body.decode(), why + "\n")
        self.assertEqual(list(talk.feed(HEAD)), [])
        self.assertEqual(talk.take(), b"")
        return status

    def test_anotherPathIsNotFound(self) -> None:
        """
        Only the path of the WebSocket is one; a query behind it is no other path.
        """
        for target in ("/", "/ws/", "/WS", "/wsx", "http://gateway/ws"):
            why = "404 Not Found: the path is /ws"
            self.assertRefused(request(target=target), why, f"GET {target}".encode())
        assertParses(self, Conversation, request(target="/ws?a=b") + text("1,7"), ["1,7"])
        talk = Conversation(path="/pages")
        talk.feed(request(target="/pages"))
        self.assertTrue(talk.open)

    def test_aBrowserThatOpensThePageIsToldWhatIsMissing(self) -> None:
        """
        A plain HTTP request is answered with what it lacks.
        """
        head = b"GET /ws HTTP/1.1\r\nHost: gateway:4444\r\nAccept: */*\r\n\r\n"
        self.assertRefused(head, "400 Bad Request: Missing header, 'Connection: Upgrade'")

    def test_eachHeaderThatIsMissingIsNamed(self) -> None:
        """
        A client that leaves out a header can read in the log which.
        """
        for name, said in (
            ("Upgrade", "Missing header, 'Upgrade: websocket'"),
            ("Connection", "Missing header, 'Connection: Upgrade'"),
            ("Sec-WebSocket-Key", "Missing header, 'Sec-WebSocket-Key'"),
            ("Sec-WebSocket-Version", "Missing header, 'Sec-WebSocket-Version'"),
            ("Host", "Bad HTTP message; no Host header"),
        ):
            self.assertRefused(without(name), f"400 Bad Request: {said}")

    def test_anotherVersionIsToldTheRightOne(self) -> None:
        """
        A client of another version of the protocol is told which one is spoken here.
        """
        head = HEAD.replace(b"Version: 13", b"Version: 8")
        why = "426 Upgrade Required: Missing header, 'Sec-WebSocket-Version'"
        self.assertIn(b"\r\nSec-WebSocket-Version: 13\r\n", self.assertRefused(head, why))

    def test_otherMethodsAreRefused(self) -> None:
        """
        A request that gets nothing asks for no WebSocket.
        """
        for method in (b"POST", b"HEAD", b"CONNECT", b"get"):
            head = HEAD.replace(b"GET", method)
            self.assertRefused(
                head, "400 Bad Request: Request method must be GET", method + b" /ws"
            )

    def test_aRequestWithABodyIsRefused(self) -> None:
        """
        A body would be read as frames.
        """
        for header in ("Content-Length: 5", "Transfer-Encoding: chunked"):
            self.assertRefused(request(header), "400 Bad Request: a request with a body")

    def test_headersThatCannotBeReadAreRefused(self) -> None:
        """
        Headers that are no text of the right kind are the peer's mistake, not ours.
        """
        why = "400 Bad Request: a header that cannot be read"
        for head in (
            HEAD.replace(b"Connection: Upgrade", b"Connection: \xff"),
            HEAD.replace(b"192.168.1.2", b"\xff"),
            HEAD.replace(b"192.168.1.2", b"xn--\x80"),
            request("Sec-WebSocket-Protocol: \xe9"),
        ):
            self.assertRefused(head, why)
        for head in (
            HEAD.replace(b"GET ", b"GET  "),
            HEAD.replace(b"HTTP/1.1", b"HTTP/2"),
            request("no header"),
            request("Host: twice"),
        ):
            self.assertRefused(head, "400 Bad Request: Bad HTTP message", self._shown(head))

    def test_aLongHostIsNotDecoded(self) -> None:
        """
        A host name beyond any real one is refused before it costs time, in one line or in many.
        """
        why = f"400 Bad Request: a Host of more than {MAX_HOST} bytes"
        for host in (b"xn--" + b"a" * MAX_HOST, b"xn--a" + b"\r\n a" * MAX_HOST):
            self.assertRefused(HEAD.replace(b"192.168.1.2", host), why)

    def test_aHeadAboveTheLimitIsRefused(self) -> None:
        """
        A request of 8192 bytes is taken; one byte more is refused, whether it ends or not.
        """
        self.assertEqual(MAX_HEAD, 8192)
        for surplus, taken in ((0, True), (1, False), (5000, False)):
            filler = MAX_HEAD - len(request("Cookie: ")) + surplus
            head = request("Cookie: " + "x" * filler)
            for size in (1, 1000, len(head)):
                talk = Conversation()
                events = [event for chunk in slices(head, [size]) for event in talk.feed(chunk)]
                self.assertEqual((talk.open, talk.finished), (taken, not taken))
                why = "431 Request Header Fields Too Large: more than 8192 bytes"
                self.assertEqual(events, [] if taken else [Skipped(b"GET /ws", why)])
        talk = Conversation()
        self.assertEqual(list(talk.feed(b"G" * MAX_HEAD)), [])
        [skipped] = talk.feed(b"G")
        assert isinstance(skipped, Skipped)
        self.assertEqual(skipped.data, b"G" * SAMPLE)

    def test_whatIsNoHttpIsRefusedWithItsFirstByte(self) -> None:
        """
        A peer that does not speak HTTP is not waited for; one that speaks TLS is told apart.
        """
        for stream in (b"\x00", b"\xaa" * 9, b"\r\n" + HEAD, b" GET", b"1,7,23.5\r\n", text("1,7")):
            assertParses(
                self, Conversation, stream, [Skipped(stream[:1], "400 Bad Request: no HTTP")]
            )
        hello = bytes.fromhex("16 03 01 00 a5 01 00 00 a1 03 03")
        why = "400 Bad Request: TLS where none is spoken"
        assertParses(self, Conversation, hello, [Skipped(b"\x16", why)])

    def test_aHandshakeCutShortIsSkipped(self) -> None:
        """
        A peer that leaves within its handshake is reported once, one that says nothing is not.
        """
        why = "30 bytes are no handshake"
        assertParses(self, Conversation, HEAD[:30], [Skipped(b"GET /ws", why)])
        assertParses(self, Conversation, b"", [])
        talk = Conversation()
        talk.feed(HEAD[:30])
        talk.close()
        self.assertTrue(talk.finished)
        self.assertEqual(list(talk.close()), [])

    def test_onlyPagesThatAreAllowedMayConnect(self) -> None:
        """
        With origins, a page from elsewhere is refused; a device, which has none, is not.
        """
        make = partial(Conversation, origins=["http://gateway:8080", "https://Pages.example"])
        for origin in ("http://evil.example", "null", "http://gateway", "https://gateway:8080"):
            why = "403 Forbidden: this Origin is not allowed"
            self.assertRefused(request(f"Origin: {origin}"), why, origin.encode(), make)
        both = request("Origin: http://gateway:8080", "Origin: http://evil.example")
        self.assertRefused(
            both, "403 Forbidden: this Origin is not allowed", b"http://evil.example", make
        )
        for head in (
            HEAD,
            request("Origin: http://gateway:8080"),
            request("Origin: https://pages.example"),
        ):
            assertParses(self, make, head + text("1,7"), ["1,7"])
        assertParses(self, Conversation, request("Origin: http://any") + text("1,7"), ["1,7"])

    def test_aTokenIsAsked(self) -> None:
        """
        With a token, only who says it may connect, in a header or in the query.
        """
        make = partial(Conversation, token="s3cret+1")
        for head in (
            request("Authorization: Bearer s3cret+1"),
            request("Authorization: bearer  s3cret+1"),
            request(target="/ws?token=s3cret%2B1"),
            request(target="/ws?a=b&token=s3cret%2B1"),
        ):
            assertParses(self, make, head + text("1,7"), ["1,7"])
        why = "401 Unauthorized: no token, or a wrong one"
        for head in (
            HEAD,
            request("Authorization: Bearer s3cret+2"),
            request("Authorization: Bearer"),
            request("Authorization: Basic s3cret+1"),
            request("Authorization: s3cret+1"),
            request("Authorization: Bearer s3cret+1x"),
            request("Authorization: Bearer \xe9"),
            request(target="/ws?token=s3cret"),
            request(target="/ws?token=%ff"),
            request(target="/ws?tokens=s3cret%2B1"),
            request(target="/ws?token="),
        ):
            status = self.assertRefused(head, why, make=make)
            self.assertIn(b"\r\nWWW-Authenticate: Bearer\r\n", status)

    def test_theTokenIsNotShown(self) -> None:
        """
        Whatever is wrong with a request that holds the token, the token is not in what is logged
        or answered.
        """
        token = "s3cret-of-the-gateway"
        heads = [
            request(f"Authorization: Bearer {token}", target="/other"),
            request(target=f"/other?token={token}"),
            request(target=f"/{token}"),
            request(f"Authorization: Bearer {token}", f"Origin: http://{token}"),
            f"GET /ws Authorization: Bearer {token}\r\n\r\n".encode(),
            f"{token}\r\n\r\n".encode(),
            request(f"Authorization Bearer {token}"),
            request(f"Authorization: Bearer {token}").replace(b"Host: ", b""),
            request(target="/" + "x" * (SAMPLE - 10) + token),
            request(f"Authorization: Bearer {token}" + "x" * MAX_HEAD),
        ]
        for head in heads:
            for end in (len(head), len(head) - 1):
                talk = Conversation(token=token, origins=["http://gateway"])
                [skipped] = [*talk.feed(head[:end]), *talk.close()]
                assert isinstance(skipped, Skipped)
                said = repr(skipped) + repr(talk.take())
                for length in (len(token), len(token) - 4):
                    self.assertNotIn(token[:length], said, f"{head[:end]!r}")

    def test_aFullClientUnderstandsTheRefusal(self) -> None:
        """
        What a refused client reads is an HTTP answer with a status and a text.
        """
        client = Client(Conversation(), Request("gateway", "/other"))
        rejected, *pieces = client.heard
        assert isinstance(rejected, RejectConnection)
        self.assertEqual(rejected.status_code, 404)
        body = b"".join(piece.data for piece in pieces if isinstance(piece, RejectData))
        self.assertEqual(body, b"404 Not Found: the path is /ws\n")

    def _shown(self, head: bytes) -> bytes:
        return b"GET " if head.startswith(b"GET  ") else b"GET /ws"


class MessageTests(SynchronousTestCase):
    """
    What comes out of a connection.
    """

    def assertFails(
        self,
        stream: bytes,
        code: int,
        why: str,
        data: bytes = b"",
        make: Callable[[], Conversation] = Conversation,
    ) -> None:
        """
        Check that a message is heard, that what follows ends the connection however it is cut, and
        that the peer is told.
        """
        skipped = Skipped(data, why)
        stream = HEAD + text("1,7") + stream
        for rest in (b"", text("1,8")):
            assertParses(self, make, stream + rest, ["1,7", skipped])
        talk = make()
        talk.feed(stream)
        self.assertTrue(talk.finished)
        self.assertFalse(talk.open)
        reason = why.encode()
        farewell = bytes([0x88, 2 + len(reason)]) + code.to_bytes(2, "big") + reason
        self.assertTrue(talk.take().endswith(b"\r\n\r\n" + farewell))
        self.assertEqual((talk.bye(1001), list(talk.close())), (b"", []))

    def test_theExampleIsAMessage(self) -> None:
        """
        The example of the specification is the text 1,1.0.
        """
        assertParses(
            self, Conversation, HEAD + bytes.fromhex("81 85 01 02 03 04 30 2e 32 2a 31"), ["1,1.0"]
        )

    def test_messagesComeInOrderAndWithTheirLastByte(self) -> None:
        """
        Each message is out as soon as it is complete.
        """
        talk = opened()
        self.assertEqual(list(talk.feed(text("1,7")[:-1])), [])
        self.assertEqual(
            list(talk.feed(text("1,7")[-1:] + text("1,8") + text("")[:3])), ["1,7", "1,8"]
        )
        self.assertEqual(list(talk.feed(text("")[3:])), [""])

    def test_fragmentsAreJoined(self) -> None:
        """
        A message in several frames is one message, even where a character is cut.
        """
        message = "1,7,23 °C"
        raw = message.encode()
        for cut in range(len(raw) + 1):
            stream = frame(TEXT, raw[:cut], last=False) + frame(CONTINUATION, raw[cut:])
            assertParses(self, Conversation, HEAD + stream + text("1,8"), [message, "1,8"])

    def test_theLengthMayStandInTwoBytes(self) -> None:
        """
        Messages of 125, 126 and 4096 bytes are messages.
        """
        for length in (125, 126, 4096):
            talk = opened()
            self.assertEqual(list(talk.feed(text("7" * length) + text("1"))), ["7" * length, "1"])

    def test_pingsAreAnsweredAmongFragments(self) -> None:
        """
        A ping is answered with its own payload, also within a message; a pong is for nobody.
        """
        client = Client(Conversation())
        said = client.send(
            TextMessage("1,7", message_finished=False),
            Ping(b"are you there"),
            Pong(b"I am"),
            TextMessage(",23.5"),
        )
        self.assertEqual(said, ["1,7,23.5"])
        self.assertEqual(client.heard, [Pong(b"are you there")])

    def test_theHandshakeAndThePongsAreOnePiece(self) -> None:
        """
        What is to be written is taken in one piece, in the order in which it was caused.
        """
        talk = Conversation()
        talk.feed(HEAD + frame(PING, b"a") + frame(PING, b"b") + frame(CLOSE, b"\x03\xe8"))
        self.assertTrue(talk.take().endswith(b"\r\n\r\n\x8a\x01a\x8a\x01b\x88\x02\x03\xe8"))

    def test_nobodyIsPingedUnasked(self) -> None:
        """
        A microcontroller gets nothing but the answer to its handshake and what it is sent.
        """
        talk = opened()
        for _message in range(100):
            talk.feed(text("1,7,23.5"))
            talk.feed(frame(PONG, b"unasked"))
        self.assertEqual(talk.take(), b"")

    def test_anUnmaskedFrameIsAFault(self) -> None:
        """
        A client must mask its frames.
        """
        why = "no frame: server received unexpected unmasked frame"
        self.assertFails(encode("1,8,23.5"), 1002, why)

    def test_whatIsNoFrameIsAFault(self) -> None:
        """
        What the protocol forbids ends the connection.
        """
        for stream, why in (
            (frame(3, b"x"), "Invalid opcode 0x3"),
            (frame(0x41, b"x"), "Reserved bit set unexpectedly"),
            (frame(CONTINUATION, b"x"), "unexpected CONTINUATION"),
            (frame(PING, b"x", last=False), "Invalid attempt to fragment control frame"),
            (frame(PING, bytes(126)), "Control frame with payload len > 125"),
            (frame(CLOSE, b"\x03"), "CLOSE with 1 byte payload"),
            (frame(CLOSE, b"\x03\xed"), "remote CLOSE with local-only reason"),
            (frame(CLOSE, b"\xff\xff"), "CLOSE with invalid code"),
            (
                bytes.fromhex("81 fe 0001 00000000 31"),
                "Payload length used 2 bytes when 1 would have sufficed",
            ),
            (
                bytes.fromhex("81 ff 8000000000000000 00000000"),
                "8-byte payload length with non-zero MSB",
            ),
        ):
            self.assertFails(stream, 1002, f"no frame: {why}")

    def test_aMessageWithinAMessageIsAFault(self) -> None:
        """
        What had come of the first message is shown.
        """
        stream = frame(TEXT, b"1,8,", last=False) + text("1,9")
        why = "no frame: expected CONTINUATION, got <Opcode.TEXT: 1>"
        self.assertFails(stream, 1002, why, b"1,8,")

    def test_textThatIsNotUtf8IsAFault(self) -> None:
        """
        Text in another encoding ends the connection, wherever the wrong byte stands.
        """
        for stream in (
            frame(TEXT, b"1,8 \xff"),
            frame(TEXT, b"1,8 \xc2"),
            frame(TEXT, b"\xed\xa0\x80"),
            frame(TEXT, b"1,8", last=False) + frame(CONTINUATION, b"\xff"),
            frame(TEXT, b"1,8 \xc2", last=False) + frame(CONTINUATION, b"8"),
            frame(CLOSE, b"\x03\xe8\xff"),
        ):
            self.assertFails(stream, 1007, "text that is not UTF-8")

    def test_aBinaryMessageIsRefused(self) -> None:
        """
        Binary messages are not spoken here; their beginning is shown.
        """
        long = bytes(range(200))
        for stream, data in (
            (frame(BINARY, b"\x01\xff"), b"\x01\xff"),
            (frame(BINARY), b""),
            (frame(BINARY, long), long[:SAMPLE]),
            (frame(BINARY, b"a", last=False) + frame(CONTINUATION, b"b"), b"ab"),
        ):
            self.assertFails(stream, 1003, "a binary message", data)

    def test_aMessageAboveTheLimitIsRefusedWhileItComes(self) -> None:
        """
        A message may have as many bytes as the limit; with one more, it is not waited for.
        """
        self.assertEqual(MAX_MESSAGE, 4096)
        make = partial(Conversation, limit=20)
        assertParses(self, make, HEAD + text("7" * 20), ["7" * 20])
        assertParses(self, make, HEAD + text("°" * 10), ["°" * 10])
        why = "a message of more than 20 bytes"
        for stream, kept in (
            (text("7" * 21), "7" * 21),
            (frame(TEXT, b"7" * 3000)[:29], "7" * 21),
            (text("°" * 11), "°" * 11),
            (frame(TEXT, b"7" * 20, last=False) + frame(CONTINUATION, b"8"), "7" * 20 + "8"),
            (frame(TEXT, b"7" * 20 + b"\xc2\xb0"), "7" * 20 + "°"),
            (frame(TEXT, b"7" * 22 + b"\xff"), "7" * 21),
        ):
            self.assertFails(stream, 1009, why, kept.encode(), make)
        self.assertFails(
            frame(TEXT, b"7" * 20 + b"\xff"), 1007, "text that is not UTF-8", b"", make
        )

    def test_onlyASampleOfALongMessageIsShown(self) -> None:
        """
        Of what is skipped, only the beginning is kept for the log.
        """
        talk = opened()
        why = "a message of more than 4096 bytes"
        self.assertEqual(list(talk.feed(text("7" * 5000))), [Skipped(b"7" * SAMPLE, why)])

    def test_aMessageOfTooManyFramesIsRefused(self) -> None:
        """
        A message may have 64 frames; frames without a byte count, too.
        """
        self.assertEqual(MAX_FRAGMENTS, 64)
        for payload in (b"", b"7"):
            most = frame(TEXT, payload, False) + frame(CONTINUATION, payload, False) * 62
            talk = opened()
            self.assertEqual(
                list(talk.feed(most + frame(CONTINUATION, payload))), [payload.decode() * 64]
            )
            why = "a message of more than 64 frames"
            stream = most + frame(CONTINUATION, payload, last=False)
            self.assertEqual(
                [*opened().feed(stream), *opened().feed(stream * 9)],
                [Skipped(payload * 64, why)] * 2,
            )

    def test_pingsWithinAMessageCountAsFrames(self) -> None:
        """
        Pings and pongs within a message are limited like its frames: near the limit of a message,
        bytes are taken one by one. Between messages they are not.
        """
        for kind in PING, PONG:
            talk = opened()
            self.assertEqual(list(talk.feed(frame(kind) * 100 + frame(TEXT, b"1,2"))), ["1,2"])
            stream = frame(TEXT, b"7" * 4090, False) + frame(kind, b"x" * 125) * 63
            [skipped] = talk.feed(stream)
            self.assertEqual(skipped, Skipped(b"7" * 64, "a message of more than 64 frames"))
            self.assertTrue(talk.finished)

    def test_aMessageCutShortIsSkipped(self) -> None:
        """
        What came of a message is shown when the peer leaves within it, wherever that is; between
        messages nothing is missing.
        """
        whole = text("1,8,23.5")
        for end in range(1, len(whole)):
            skipped = Skipped(b"1,8,23.5"[: max(0, end - 6)], CUT)
            assertParses(self, Conversation, HEAD + text("1,7") + whole[:end], ["1,7", skipped])
        fragment = frame(TEXT, b"1,8", last=False)
        assertParses(self, Conversation, HEAD + fragment, [Skipped(b"1,8", CUT)])
        empty = frame(TEXT, last=False)
        assertParses(self, Conversation, HEAD + empty, [Skipped(b"", CUT)])
        assertParses(self, Conversation, HEAD + frame(PING), [])
        assertParses(self, Conversation, HEAD + text("1,7"), ["1,7"])
        assertParses(self, Conversation, HEAD, [])

    def test_theEndIsReportedOnce(self) -> None:
        """
        What was skipped at the end is not skipped again, and nothing comes after it.
        """
        talk = opened()
        talk.feed(text("1,7")[:-1])
        self.assertEqual(list(talk.close()), [Skipped(b"1,", CUT)])
        self.assertTrue(talk.finished)
        self.assertFalse(talk.open)
        self.assertEqual([*talk.close(), *talk.feed(b"7")], [])


class CloseTests(SynchronousTestCase):
    """
    How a connection ends.
    """

    def test_aCloseIsEchoed(self) -> None:
        """
        A client that closes gets its code back and is finished; what it sends after is ignored.
        """
        for code, reason in ((1000, ""), (1001, "going away"), (4321, "mine")):
            talk = Conversation()
            client = Client(talk)
            self.assertEqual(client.send(CloseConnection(code, reason)), [])
            self.assertEqual(client.heard, [CloseConnection(code, reason)])
            self.assertTrue(talk.finished)
            self.assertFalse(talk.open)
        talk = opened()
        self.assertEqual(list(talk.feed(frame(CLOSE) + text("1,7") + b"\xff" * 100)), [])
        self.assertEqual(talk.take(), b"\x88\x00")
        self.assertEqual([*talk.feed(text("1,8")), *talk.close()], [])

    def test_aCloseWithinAMessageCutsItShort(self) -> None:
        """
        A message that is not complete when the client closes is shown.
        """
        stream = HEAD + frame(TEXT, b"1,8", last=False) + frame(CLOSE)
        assertParses(self, Conversation, stream, [Skipped(b"1,8", CUT)])

    def test_aFarewellIsAnswered(self) -> None:
        """
        When the gateway closes, messages on their way still come, until the client has closed.
        """
        talk = Conversation()
        client = Client(talk)
        client.hear(talk.bye(1001, "the gateway stops"))
        [close] = client.heard
        assert isinstance(close, CloseConnection)
        self.assertEqual(close, CloseConnection(1001, "the gateway stops"))
        self.assertFalse(talk.open)
        self.assertFalse(talk.finished)
        self.assertEqual(list(talk.feed(text("1,7") + frame(PING))), ["1,7"])
        self.assertEqual(client.send(close.response()), [])
        self.assertTrue(talk.finished)
        self.assertEqual(talk.take(), b"")

    def test_aFarewellIsSaidOnceAndBehindThePongs(self) -> None:
        """
        Whoever closes twice sends one close frame, after all that came before it.
        """
        talk = opened()
        talk.feed(frame(PING, b"a"))
        self.assertEqual(talk.bye(1001), b"\x8a\x01a\x88\x02\x03\xe9")
        self.assertEqual(talk.bye(1001), b"")

    def test_aFaultAfterTheFarewellIsNotAnswered(self) -> None:
        """
        Nothing may be sent after a close frame, whatever the client does.
        """
        talk = opened()
        talk.bye(1001)
        self.assertEqual(list(talk.feed(frame(BINARY, b"x"))), [Skipped(b"x", "a binary message")])
        self.assertEqual(talk.take(), b"")
        self.assertTrue(talk.finished)

    def test_aClientThatLeavesWithoutAnAnswerIsNoFault(self) -> None:
        """
        Many clients just disconnect when they are told to close.
        """
        talk = opened()
        talk.bye(1001)
        self.assertEqual(list(talk.close()), [])
        self.assertTrue(talk.finished)

    def test_beforeTheHandshakeThereIsNobodyToTell(self) -> None:
        """
        A connection that is no WebSocket yet is just over.
        """
        talk = Conversation()
        talk.feed(HEAD[:20])
        self.assertEqual(talk.bye(1001), b"")
        self.assertTrue(talk.finished)
        self.assertEqual(list(talk.feed(HEAD[20:])), [])


class LimitTests(SynchronousTestCase):
    """
    What an attacker cannot do.
    """

    def test_anEndlessStreamTakesNoMemory(self) -> None:
        """
        Whatever a peer sends, no more than a request or one message of it is kept.
        """
        huge = bytes.fromhex("ff 4000000000000000 00000000")
        for opening in (b"G", HEAD[:-2] + b"X: ", HEAD[:40], request(target="/other")):
            assertBounded(self, Conversation, opening, MAX_HEAD)
        for opening in (b"\x81" + huge, b"\x82" + huge, b"\x01" + huge, frame(TEXT, b"1", False)):
            assertBounded(self, Conversation, HEAD + opening, MAX_MESSAGE)

    def test_aMessageInTinyPiecesTakesNoMoreMemory(self) -> None:
        """
        A message that comes byte by byte, in characters of several bytes, takes up its bytes and
        not an object for each.
        """
        stream = text("°" * (MAX_MESSAGE // 2))[:-1]
        tracemalloc.start()
        try:
            talk = opened()
            for chunk in slices(stream, [1]):
                talk.feed(chunk)
            gc.collect()
            kept, _peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(kept, 2 * MAX_MESSAGE + 4096)

    def test_aFloodOfPingsIsAnsweredOnlyALittle(self) -> None:
        """
        Thousands of pings at once leave few answers to write, the last one among them.
        """
        talk = opened()
        pings = b"".join(frame(PING, b"%d" % number) for number in range(5000))
        self.assertEqual(list(talk.feed(pings + frame(PING, b"last"))), [])
        answers = talk.take()
        self.assertTrue(answers.endswith(b"\x8a\x04last"))
        self.assertLess(len(answers), MAX_PONGS + 2 * 127)
        talk.feed(frame(PING, b"next"))
        self.assertEqual(talk.take(), b"\x8a\x04next")

    def test_theRequestIsForgotten(self) -> None:
        """
        An idle connection is small: what was asked is not kept.
        """
        head = request("Cookie: " + "x" * 7000)
        tracemalloc.start()
        try:
            talks = [Conversation() for _number in range(10)]
            for talk in talks:
                talk.feed(head)
                talk.take()
            gc.collect()
            kept, _peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(kept / len(talks), 4096)


def _fragments(pieces: list[bytes], opcode: int) -> bytes:
    frames = [
        frame(opcode if place == 0 else CONTINUATION, piece, place == len(pieces) - 1)
        for place, piece in enumerate(pieces)
    ]
    return b"".join(frames)


#: Frames right and wrong, and bytes that are none.
PAYLOADS = strategies.one_of(
    strategies.text(max_size=14).map(str.encode),
    strategies.binary(max_size=14),
    strategies.just(b"7" * 130),
)
PARTS = strategies.one_of(
    strategies.builds(
        frame,
        strategies.sampled_from([CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG, 3]),
        PAYLOADS,
        strategies.booleans(),
        strategies.binary(min_size=4, max_size=4),
    ),
    strategies.builds(
        _fragments, strategies.lists(PAYLOADS, min_size=1, max_size=4), strategies.just(TEXT)
    ),
    strategies.binary(max_size=20),
)


class PropertyTests(SynchronousTestCase):
    """
    What holds for every peer.
    """

    def assertCutsDoNotMatter(self, stream: bytes, sizes: list[int], limit: int) -> None:
        """
        Check that a stream gives the same events in some cut as whole and byte by byte, and the
        same last answer.
        """
        seen = []
        for chunks in (slices(stream, sizes), [stream], slices(stream, [1])):
            talk = Conversation(limit=limit, token="7", origins=["http://a"])
            events = collect(talk, chunks)
            self.assertTrue(talk.finished)
            answer = talk.take()
            seen.append((events, answer[: answer.find(b"\r\n\r\n")], answer[-20:]))
        for one, other in pairwise(seen):
            self.assertEqual(one, other)

    @PROPERTY
    @given(strategies.binary(max_size=300), SIZES)
    @example(b"GET /ws HTTP/1.1\n\n", [3])
    def test_anyBytesBeforeTheHandshake(self, stream: bytes, sizes: list[int]) -> None:
        """
        Any bytes instead of a handshake, or within one, never raise and give the same events in
        every cut.
        """
        self.assertCutsDoNotMatter(stream, sizes, MAX_MESSAGE)
        self.assertCutsDoNotMatter(HEAD[:40] + stream + HEAD[40:], sizes, MAX_MESSAGE)
        self.assertCutsDoNotMatter(b"GET " + stream, sizes, MAX_MESSAGE)

    @PROPERTY
    @given(
        strategies.sampled_from(PIECES[1:-1]),
        strategies.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b"")),
        SIZES,
    )
    def test_anyValueOfAnyHeader(self, piece: bytes, value: bytes, sizes: list[int]) -> None:
        """
        Whatever stands in a header, the peer is answered.
        """
        name = piece.partition(b":")[0]
        for strange in (b"%b: %b\r\n" % (name, value), b"%b\r\nX: %b\r\n" % (piece, value)):
            head = HEAD.replace(piece, strange)
            self.assertCutsDoNotMatter(head, sizes, MAX_MESSAGE)
            talk = Conversation()
            talk.feed(head)
            self.assertTrue(talk.take().startswith(b"HTTP/1.1 "))

    @PROPERTY
    @given(strategies.lists(PARTS, max_size=6), SIZES, strategies.integers(1, 30))
    @example([frame(TEXT, "é".encode())], [1], 1)
    @example([frame(TEXT, b"7\xf0\x9f\x98\x80\xff")], [7], 4)
    def test_anyFramesInAnyChunksAreTheSameEvents(
        self, parts: list[bytes], sizes: list[int], limit: int
    ) -> None:
        """
        Frames right and wrong never raise, give the same events in every cut, and never a message
        above the limit.
        """
        stream = request("Authorization: Bearer 7") + b"".join(parts)
        self.assertCutsDoNotMatter(stream, sizes, limit)
        talk = Conversation(limit=limit, token="7")
        for event in collect(talk, [stream]):
            if isinstance(event, str):
                self.assertLessEqual(len(event.encode()), limit)

    @PROPERTY
    @given(strategies.lists(strategies.text(max_size=200), max_size=5), SIZES)
    def test_whatAClientSaysIsHeard(self, messages: list[str], sizes: list[int]) -> None:
        """
        Any text that a full client sends comes out as it was.
        """
        client = Connection(ConnectionType.CLIENT)
        stream = HEAD + b"".join(client.send(TextMessage(message)) for message in messages)
        self.assertEqual(collect(Conversation(), slices(stream, sizes)), messages)


class EncodeTests(SynchronousTestCase):
    """
    What is sent to a device.
    """

    def test_theExampleIsEncoded(self) -> None:
        """
        Turning the LED on and off is the bytes of the specification.
        """
        self.assertEqual(encode("1,1.0"), bytes.fromhex("81 05 31 2c 31 2e 30"))
        self.assertEqual(encode("1,0.0"), bytes.fromhex("81 05 31 2c 30 2e 30"))

    @PROPERTY
    @given(strategies.text(max_size=300))
    @example("7" * 65536)
    def test_whatIsEncodedIsOneFrameThatAClientReads(self, message: str) -> None:
        """
        Any text is sent in a single frame and read as it was.
        """
        data = encode(message)
        self.assertEqual(data[0], 0x81)
        client = Connection(ConnectionType.CLIENT)
        client.receive_data(data)
        self.assertEqual(list(client.events()), [TextMessage(message)])

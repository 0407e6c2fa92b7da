"""
Tests for L{sensord.control.channel}.
"""

import gc
import weakref
from http.client import HTTPResponse
from typing import Any

from twisted.logger import capturedLogs

from sensord.control.channel import LINGER, MAX_REQUESTS, TIMEOUT, site
from sensord.control.live import KEPT
from sensord.control.query import MAX_BODY
from tests.control.support import ApiTestCase, Link

_GET = b"GET /api/v1/listeners HTTP/1.1\r\nHost: x\r\n\r\n"

#: What takes a moment: the database is asked.
_ASK = b"GET /api/v1/history?device=a&name=b HTTP/1.1\r\nHost: x\r\n\r\n"

_FOLLOW = b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n"

_POST = b"POST /api/v1/commands HTTP/1.1\r\nContent-Type: application/json\r\n"

_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"


class ChannelTestCase(ApiTestCase):
    """
    What these tests share.
    """

    def assertCut(self, link: Link) -> None:
        """
        A link is cut.
        """
        self.assertTrue(link.transport.disconnected)
        link.hangUp()

    def refused(self, link: Link, status: int) -> str:
        """
        The reason why a request is refused, behind which nothing is heard and the link is cut.
        """
        self.assertFalse(link.transport.disconnecting)
        response = self.response(link.taken())
        self.assertEqual(response.headers["Connection"], "close")
        why: str = self.decode(response, status)["error"]
        link.send(b"x" * (MAX_BODY + 1) + _GET)
        self.assertEqual(link.taken(), b"")
        self.clock.advance(LINGER)
        self.assertCut(link)
        return why


class SizeTests(ChannelTestCase):
    """
    What is too much for a request.
    """

    def test_length(self) -> None:
        """
        A body that says that it is too long is refused before it comes; so it need not come.
        """
        for length in (b"%d" % (MAX_BODY + 1), b"9" * 3000):
            link = self.link()
            link.send(_POST + b"Expect: 100-continue\r\nContent-Length: %s\r\n\r\n" % length)
            self.assertEqual(self.refused(link, 413), f"the body is longer than {MAX_BODY} bytes")

    def test_chunks(self) -> None:
        """
        A body that does not say how long it is, and does not end, is refused when it is too long.
        """
        link = self.link()
        link.send(_CHUNKED)
        for _ in range(64):
            self.assertEqual(link.taken(), b"")
            link.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        link.send(b"1\r\nx\r\n1\r\nx\r\n0\r\n\r\n")
        self.assertEqual(self.refused(link, 413), f"the body is longer than {MAX_BODY} bytes")

    def test_atOnce(self) -> None:
        """
        A body that is too long and comes with the head and the next request is refused once.
        """
        link = self.link()
        size = MAX_BODY + 1
        link.send(_POST + b"Content-Length: %d\r\n\r\n%s" % (size, b"x" * size) + _GET)
        self.refused(link, 413)
        link = self.link()
        link.send(_CHUNKED + (b"400\r\n" + b"x" * 1024 + b"\r\n") * 80 + b"0\r\n\r\n" + _GET)
        self.refused(link, 413)

    def test_most(self) -> None:
        """
        A body of the greatest length is read.
        """
        body = b'{"address": "workshop", "variable": "LED", "value": 1}'
        response = self.ask("POST", "commands", body.ljust(MAX_BODY))
        self.assertEqual(response.status, 202)

    def test_head(self) -> None:
        """
        A head that is too long, or has too many fields, is refused, wherever it is cut.
        """
        line = "a line of the head is longer than 4096 bytes"
        for head, why in (
            (b"GET /%s HTTP/1.1\r\n\r\n" % (b"x" * 20_000), line),
            (b"GET / HTTP/1.1\r\nX: %s\r\n\r\n" % (b"y" * 4100), line),
            (b"GET / HTTP/1.1\r\nX: %s" % (b"y" * 5000), line),
            (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 51, "the head has more than 50 fields"),
            (
                b"GET / HTTP/1.1\r\n" + b"X: %s\r\n" % (b"y" * 3000) * 3,
                "the head is longer than 8192 bytes",
            ),
        ):
            for size in (1, 1000, 100_000):
                link = self.link()
                for start in range(0, len(head), size):
                    link.send(head[start : start + size])
                self.assertEqual(self.refused(link, 431), why)

    def test_mostHeads(self) -> None:
        """
        Heads that are just short enough are answered, one after the other.
        """
        link = self.link()
        fields = b"X: y\r\n" * 49
        for _ in range(3):
            link.send(_GET[:-2] + fields + b"\r\n")
            self.assertEqual(self.response(link.taken()).status, 200)

    def test_nonsense(self) -> None:
        """
        What is no HTTP costs the link, and nothing more.
        """
        for data in (
            b"nonsense\r\n\r\n",
            _POST + b"Content-Length: -1\r\n\r\n",
            _CHUNKED + b"nonsense\r\n",
        ):
            link = self.link()
            link.send(data)
            self.assertTrue(link.transport.disconnecting, data)
            link.taken()
            link.send(b"\r\n" + _GET)  # which over TLS may still come
            self.assertEqual(link.taken(), b"")
            link.hangUp()

    def test_unlogged(self) -> None:
        """
        What is asked for is not logged, and no timer runs for such a log.
        """
        self.site.doStart()
        with capturedLogs() as logs:
            self.get("listeners")
        self.assertEqual(logs, [])
        self.site.doStop()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)  # the idle time of that one link


class TurnTests(ChannelTestCase):
    """
    Many requests on one link.
    """

    def responses(self, link: Link) -> list[HTTPResponse]:
        """
        What has come since, in single responses.
        """
        parts = link.taken().split(b"HTTP/1.1 ")[1:]
        return [self.response(b"HTTP/1.1 " + part) for part in parts]

    def test_inOrder(self) -> None:
        """
        Requests that come together are answered one after the other.
        """
        link = self.link()
        self.reader.holding = True
        link.send(_ASK + _GET + b"GET /nowhere HTTP/1.1\r\n\r\n" + _ASK)
        self.assertEqual((link.taken(), self.reader.held), (b"", 1))
        self.reader.release()
        self.assertEqual([one.status for one in self.responses(link)], [200])
        self.reader.release()
        self.assertEqual([one.status for one in self.responses(link)], [200, 404])
        self.reader.release()
        self.assertEqual([one.status for one in self.responses(link)], [200])

    def test_unread(self) -> None:
        """
        While a client does not read an answer, none of its further requests is looked at, and soon
        no more of them is read from the link.
        """
        link = self.link()
        link.protocol.pauseProducing()  # as a transport does when much waits to be written
        link.send(_GET + _ASK * 20)
        self.assertEqual(len(self.responses(link)), 1)
        calls = self.reader.calls
        for _ in range(300):
            link.send(_ASK)
        self.assertEqual(self.reader.calls, calls)
        self.assertEqual((link.taken(), link.transport.producerState), (b"", "paused"))
        link.protocol.resumeProducing()
        self.assertEqual(self.reader.calls, calls + MAX_REQUESTS - 1)

    def test_most(self) -> None:
        """
        A link takes so many requests, and says so with the last answer.
        """
        link = self.link()
        link.send(_GET * (MAX_REQUESTS + 5))
        responses = self.responses(link)
        self.assertEqual(len(responses), MAX_REQUESTS)
        said = [one.headers["Connection"] for one in responses]
        self.assertEqual(said, [None] * (MAX_REQUESTS - 1) + ["close"])
        self.assertTrue(link.transport.disconnecting)
        self.clock.advance(TIMEOUT)
        self.assertCut(link)

    def test_freed(self) -> None:
        """
        An answer that was not read by a client that is gone is freed at once.
        """
        gc.disable()
        self.addCleanup(gc.enable)
        link = self.link()
        link.protocol.pauseProducing()
        link.send(_GET * 3)
        transport: Any = link.transport
        link.hangUp()
        transport.unregisterProducer()  # as real ones do
        gone = weakref.ref(transport)
        link.transport = link.protocol = transport = None
        self.assertIsNone(gone())


class TimeTests(ChannelTestCase):
    """
    What takes too long.
    """

    def test_silent(self) -> None:
        """
        A link on which nothing is asked is closed, and one with an answer is kept a while.
        """
        silent, asking = self.link(), self.link()
        self.clock.advance(20)
        asking.send(_GET)
        self.assertEqual(self.response(asking.taken()).status, 200)
        self.clock.advance(20)
        self.assertTrue(silent.transport.disconnecting)
        self.assertFalse(asking.transport.disconnecting)
        asking.send(_GET)
        self.assertEqual(self.response(asking.taken()).status, 200)
        self.clock.advance(TIMEOUT)
        self.assertTrue(asking.transport.disconnecting)
        self.assertFalse(asking.transport.disconnected)
        self.clock.advance(LINGER)
        self.assertCut(asking)

    def test_dripping(self) -> None:
        """
        A request that comes byte by byte has to be complete in time all the same, its body too.
        """
        for begun, rest in ((b"", _GET), (_POST + b"Content-Length: 60\r\n\r\n", b" " * 60)):
            link = self.link()
            link.send(begun)
            for byte in rest[: int(TIMEOUT)]:
                link.send(bytes([byte]))
                self.clock.advance(1)
            self.assertEqual(self.refused(link, 408), "the request was not complete after 30 s")

    def test_unanswered(self) -> None:
        """
        A request whose answer takes too long gets another one, and is given up.
        """
        self.reader.holding = True
        link = self.link()
        link.send(_ASK + _GET)
        self.clock.advance(TIMEOUT - 1)
        self.assertEqual(link.taken(), b"")
        self.clock.advance(1)
        self.assertEqual(
            self.refused(link, 503), "there was no answer in 30 s; what was asked may still be done"
        )
        self.reader.release()
        self.assertEqual(link.taken(), b"")

    def test_untaken(self) -> None:
        """
        A client that does not read its answer is cut off; one that reads it in time has as long for
        the next.
        """
        link = self.link()
        for _ in range(3):
            link.protocol.pauseProducing()
            link.send(_GET)
            self.clock.advance(TIMEOUT - 1)
            self.assertFalse(link.transport.disconnecting)
            link.protocol.resumeProducing()
        link.protocol.pauseProducing()
        link.send(_GET)
        self.clock.advance(TIMEOUT)
        self.assertCut(link)

    def test_goodbye(self) -> None:
        """
        So is one that wanted no more than that answer.
        """
        link = self.link()
        link.protocol.pauseProducing()
        link.send(_GET.replace(b"1.1", b"1.0"))
        self.clock.advance(TIMEOUT)
        self.assertCut(link)

    def test_followers(self) -> None:
        """
        Those who follow events may do so for as long as they like.
        """
        link = self.link()
        link.send(_FOLLOW)
        for _ in range(100):
            self.clock.advance(TIMEOUT / 2)
        self.assertFalse(link.transport.disconnecting)
        self.assertIn(b":\n\n", link.taken())
        link.hangUp()

    def test_timers(self) -> None:
        """
        No timer is left behind, whenever a client hangs up.
        """
        self.reader.holding = True
        for data in (b"", _GET[:9], _POST, _ASK, _GET + _ASK, _GET * 200, _CHUNKED, _FOLLOW):
            for choked in (False, True):
                link = self.link()
                if choked:
                    link.protocol.pauseProducing()
                link.send(data)
                link.hangUp()
                self.clock.advance(KEPT)  # for which events are remembered
                self.assertEqual(self.clock.getDelayedCalls(), [], data)


class Room:
    """
    The room for bodies of some paths, of all requests together.

    @ivar free: how many bytes there are yet.
    """

    most = 3 * MAX_BODY
    excess = 413, f"the body is longer than {3 * MAX_BODY} bytes"

    def __init__(self) -> None:
        self.free = 4 * MAX_BODY
        self.targets: list[bytes] = []

    def open(self, target: bytes, request: Any) -> "RoomBody | None":
        """
        See L{Bodies}.
        """
        path = target.partition(b"?")[0]
        self.targets.append(target)
        return RoomBody(self) if path == b"/api/v1/commands" else None


class RoomBody:
    """
    One of them.
    """

    def __init__(self, room: Room) -> None:
        self.most = room.most
        self.excess = room.excess
        self._room = room
        self._taken = 0

    def take(self, count: int) -> bool:
        """
        See L{Body.take}.
        """
        if count > self._room.free:
            return False
        self._room.free -= count
        self._taken += count
        return True

    def close(self) -> None:
        """
        See L{Body.close}.
        """
        self._room.free += self._taken
        self._taken = 0


class BodyTests(ChannelTestCase):
    """
    Paths to which more is sent than commands.
    """

    def setUp(self) -> None:
        """
        Have some.
        """
        super().setUp()
        self.room = Room()
        self.site = site(self.clock, self.api.resource(), self.room.open)

    def test_most(self) -> None:
        """
        They have a limit of their own, whether the length is said or not; others have that of all.
        """
        link = self.link()
        link.send(_POST + b"Content-Length: %d\r\n\r\n" % (3 * MAX_BODY) + b" " * 3 * MAX_BODY)
        self.assertEqual(self.response(link.taken()).status, 413)  # by who reads commands
        for head in (_POST + b"Content-Length: %d\r\n\r\n" % (3 * MAX_BODY + 1), _CHUNKED):
            link = self.link()
            link.send(head)
            if head is _CHUNKED:
                for _ in range(4):
                    link.send(b"10000\r\n" + b"x" * MAX_BODY + b"\r\n")
            why = f"the body is longer than {3 * MAX_BODY} bytes"
            self.assertEqual(self.refused(link, 413), why)
        link = self.link()
        link.send(b"POST /api/v1/reload HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1))
        self.assertEqual(self.refused(link, 413), f"the body is longer than {MAX_BODY} bytes")
        self.assertEqual(self.room.free, 4 * MAX_BODY)

    def test_room(self) -> None:
        """
        Where there is no room any more, a client is told to come again; what others send goes on.
        The room is free when the answer is made, the client gone, or time up.
        """
        head = _POST + b"Content-Length: %d\r\n\r\n" % (3 * MAX_BODY)
        first, second, third = self.link(), self.link(), self.link()
        first.send(head + b" " * (2 * MAX_BODY))
        second.send(head + b" " * (2 * MAX_BODY))
        third.send(head + b" ")
        response = self.response(third.taken())
        self.assertEqual((response.status, response.headers["Retry-After"]), (503, "5"))
        self.assertEqual(self.room.free, 0)
        second.hangUp()
        self.assertEqual(self.room.free, 2 * MAX_BODY)
        first.send(b" " * MAX_BODY)
        self.assertEqual(self.response(first.taken()).status, 413)
        self.assertEqual(self.room.free, 4 * MAX_BODY)
        slow = self.link()
        slow.send(head + b" ")
        self.clock.advance(TIMEOUT)
        self.assertEqual(self.response(slow.taken()).status, 408)
        slow.hangUp()
        third.hangUp()
        self.assertEqual(self.room.free, 4 * MAX_BODY)

    def test_excess(self) -> None:
        """
        What is too long may be refused for another reason.
        """
        self.room.excess = 401, "show who you are"
        link = self.link()
        link.send(_POST + b"Content-Length: %d\r\n\r\n" % (3 * MAX_BODY + 1))
        self.assertEqual(self.refused(link, 401), "show who you are")

    def test_target(self) -> None:
        """
        The target is that of each request.
        """
        link = self.link()
        link.send(
            b"GET /api/v1/listeners?a=/b HTTP/1.1\r\n\r\n\r\n" + _GET + b"GET  HTTP/1.1\r\n\r\n"
        )
        link.send(_GET)
        self.assertEqual(self.room.targets[0], b"/api/v1/listeners?a=/b")
        self.assertEqual(self.room.targets[1], b"/api/v1/listeners")

    def test_rest(self) -> None:
        """
        A link may be kept for longer without a request, or for ever.
        """
        for rest in (300.0, 0.0):
            self.site = site(self.clock, self.api.resource(), rest=rest)
            link = self.link()
            self.clock.advance(299)
            self.assertFalse(link.transport.disconnecting)
            self.clock.advance(1)
            self.assertEqual(link.transport.disconnecting, bool(rest))
            link.send(_GET[:9])
            self.clock.advance(TIMEOUT)
            link.hangUp()
            self.clock.advance(KEPT)
            self.assertEqual(self.clock.getDelayedCalls(), [])

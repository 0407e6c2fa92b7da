"""
Tests for L{sensord.control.client}.
"""

import os
import re
import socket
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

from msgspec import json
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import DEFAULTS, parse
from sensord.control.client import Busy, Client, NoDaemon, Refused, brief, where
from tests.store.support import folder

_OK = b"HTTP/1.1 200 OK\r\n"


def answer(body: object, status: bytes = b"200 OK") -> bytes:
    """
    A whole response.
    """
    data = json.encode(body)
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(data), data)


def stream(*events: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """
    A response with events, a chunk each.
    """
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events)
    return _OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + end


def _request(link: socket.socket) -> bytes:
    """
    A whole request, which may come in pieces.
    """
    data = b""
    while b"\r\n\r\n" not in data and (more := link.recv(65536)):
        data += more
    size = re.search(rb"\r\nContent-Length: (\d+)\r\n", data)
    end = data.find(b"\r\n\r\n") + 4 + (int(size[1]) if size else 0)
    while len(data) < end and (more := link.recv(65536)):
        data += more
    return data


class Peer(Thread):
    """
    Answers requests on a socket, a link each, with what it was given.

    @ivar asked: the requests that came.
    """

    def __init__(self, case: SynchronousTestCase, path: Path, *answers: bytes) -> None:
        super().__init__(daemon=True)
        self.asked: list[bytes] = []
        self._answers = answers
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(brief(path))
        self._socket.listen()
        self._socket.settimeout(30)
        case.addCleanup(self.join)
        case.addCleanup(self._socket.close)
        self.start()

    def run(self) -> None:
        """
        Answer.
        """
        for data in self._answers:
            link, _address = self._socket.accept()
            with link:
                self.asked.append(_request(link))
                link.sendall(data)
                if not data:  # it is not to be told from a link that is cut otherwise
                    continue
                link.shutdown(socket.SHUT_WR)
                while link.recv(65536):
                    pass


class ClientTests(SynchronousTestCase):
    """
    L{Client} on a real socket.
    """

    def setUp(self) -> None:
        """
        Where the daemon would answer.
        """
        self.path = folder(self) / "sensord.sock"
        self.client = Client(self.path)

    def answers(self, *answers: bytes) -> Peer:
        """
        Somebody answers.
        """
        return Peer(self, self.path, *answers)

    def why(self, *parts: str) -> str:
        """
        Ask something, which must fail for want of a daemon.
        """
        error: NoDaemon = self.assertRaises(NoDaemon, self.client.get, *parts)
        before = f"no daemon answers at {self.path}: "
        self.assertTrue(error.message.startswith(before), error.message)
        return error.message.removeprefix(before)

    def test_get(self) -> None:
        """
        What is asked for comes back decoded.
        """
        peer = self.answers(answer([{"name": "t°"}]))
        found = self.client.get("latest", device="a b&c", name=None, start=5)
        self.assertEqual(found, [{"name": "t°"}])
        [request] = peer.asked
        line = b"GET /api/v1/latest?device=a+b%26c&start=5 HTTP/1.1\r\n"
        self.assertTrue(request.startswith(line), request)

    def test_post(self) -> None:
        """
        What is sent says that it is JSON, also if it is nothing.
        """
        peer = self.answers(answer({"state": "sent"}, b"202 Accepted"), answer({}))
        self.assertEqual(self.client.post("commands", body={"value": -1.5}), {"state": "sent"})
        self.client.post("listeners", "a/b", "stop")
        first, second = peer.asked
        self.assertTrue(first.endswith(b'\r\n\r\n{"value":-1.5}'), first)
        self.assertTrue(second.startswith(b"POST /api/v1/listeners/a%2Fb/stop HTTP/1.1\r\n"))
        for request in peer.asked:
            self.assertIn(b"\r\nContent-Type: application/json\r\n", request)

    def test_refused(self) -> None:
        """
        An error has the reason of the daemon.
        """
        self.answers(answer({"error": "no such thing"}, b"404 Not Found"))
        error: Refused = self.assertRaises(Refused, self.client.get, "latest")
        self.assertEqual((error.message, error.status), ("no such thing", 404))

    def test_refusedOtherwise(self) -> None:
        """
        An error without a reason has its status, and the answer.
        """
        self.answers(answer({"state": "refused"}, b"409 Conflict"))
        error: Refused = self.assertRaises(Refused, self.client.post, "commands")
        self.assertEqual(error.message, "the daemon answers with status 409")
        self.assertEqual(error.answer, {"state": "refused"})

    def test_nobody(self) -> None:
        """
        Where nobody answers, it is said how that can be changed.
        """
        how = "is it running? (--socket or --config says where; twistd -n sensord starts it)"
        self.assertEqual(self.why("latest"), how)
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(brief(self.path))
        self.assertEqual(self.why("latest"), how)

    def test_busy(self) -> None:
        """
        A daemon at whose door too many wait is said to be busy, and not to be away.
        """
        with socket.socket(socket.AF_UNIX) as full, ExitStack() as waiting:
            full.bind(brief(self.path))
            full.listen(0)
            for _ in range(10):
                one = waiting.enter_context(socket.socket(socket.AF_UNIX))
                one.setblocking(False)
                one.connect_ex(brief(self.path))
            error: Busy = self.assertRaises(Busy, self.client.get, "latest")
        said = f"the daemon at {self.path} is busy: too many wait to be let in; try again"
        self.assertEqual(error.message, said)

    def test_noPath(self) -> None:
        """
        What can be no path of a socket is an error like any other.
        """
        for name, why in (("a\0b", "cannot have a NUL in it"), ("x" * 108, "path too long")):
            path = self.path.with_name(name)
            error: NoDaemon = self.assertRaises(NoDaemon, Client(path).get, "latest")
            self.assertIn(why, error.message)
            self.assertTrue(error.message.isprintable())

    def test_relative(self) -> None:
        """
        A socket in the current folder is shown as such.
        """
        client = Client(Path("sensord.sock"))
        error: NoDaemon = self.assertRaises(NoDaemon, client.get, "latest")
        self.assertIn("no daemon answers at ./sensord.sock: ", error.message)

    def test_stranger(self) -> None:
        """
        What does not speak HTTP or JSON, or hangs up, is no daemon.
        """
        self.answers(b"", b"220 mail server ready\r\n", _OK + b"\r\n<html>", _OK + b"\r\n")
        for said in ("Remote end closed", "220 mail server", "JSON is malformed", "truncated"):
            self.assertIn(said, self.why("latest"))

    def test_events(self) -> None:
        """
        Events come one after the other, whatever stands between them, until the daemon ends them.
        """
        peer = self.answers(
            stream(
                b":\n\n",
                b"event: readings\ndata: [1, 2]\n\n",
                b":\n\n",
                b"event: devices\ndata: ",
                b"[]\n\nevent: readings\ndata: [3]\n\n",
            )
        )
        events = list(self.client.events(device="w*"))
        self.assertEqual(
            events, [("", None), ("readings", [1, 2]), ("devices", []), ("readings", [3])]
        )
        self.assertIn(b"GET /api/v1/events?device=w%2A ", peer.asked[0])

    def test_eventsCut(self) -> None:
        """
        Where events are cut off, those before have come, and the one that was torn has not.
        """
        first = b"event: readings\ndata: [1]\n\n"
        self.answers(
            stream(first, end=b"40\r\nevent: read"),
            stream(first, b"event: readings\ndata: [1, 2"),
        )
        for _ in range(2):
            events = self.client.events()
            self.assertEqual([next(events), next(events)], [("", None), ("readings", [1])])
            self.assertRaises(NoDaemon, next, events)

    def test_eventsRefused(self) -> None:
        """
        Events can be refused.
        """
        self.answers(answer({"error": "too many"}, b"503 Service Unavailable"))
        error: Refused = self.assertRaises(Refused, list, self.client.events())
        self.assertEqual(error.message, "too many")


class PathTests(SynchronousTestCase):
    """
    Where the socket is.
    """

    def test_where(self) -> None:
        """
        It is beside the database unless the settings say otherwise, or say that there is none.
        """
        self.assertEqual(where(DEFAULTS), Path("sensord.sock"))
        store = {"path": "/var/lib/sensord/s.sqlite"}
        self.assertEqual(where(parse({"store": store})), Path("/var/lib/sensord/sensord.sock"))
        settings = parse({"store": store, "control": {"socket": "/run/s.sock"}})
        self.assertEqual(where(settings), Path("/run/s.sock"))
        self.assertIsNone(where(parse({"control": {"socket": ""}})))

    def test_brief(self) -> None:
        """
        A path is written in the shorter way, since that of a socket must not be long.
        """
        deep = Path.cwd() / "sensord.sock"
        self.assertEqual(brief(deep), "sensord.sock")
        self.assertEqual(brief(Path("/x")), "/x")
        self.assertEqual(brief(Path("sensord.sock")), "sensord.sock")
        self.assertTrue(os.path.isabs(brief(Path("/x"))))

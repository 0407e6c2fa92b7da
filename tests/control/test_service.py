"""
Tests for L{sensord.control.service}.
"""

import os
import socket
from pathlib import Path
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.error import CannotListenError
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs

from sensord.config import ConfigError
from sensord.control.client import brief
from sensord.control.query import MAX_BODY
from sensord.control.service import MAX_LINKS, Control
from tests.control.support import ApiTestCase

_GET = b"GET /api/v1/listeners HTTP/1.1\r\nHost: x\r\n\r\n"


class LimitTests(ApiTestCase):
    """
    What is too much for a request.
    """

    def test_length(self) -> None:
        """
        A body that says that it is too long is refused before it comes.
        """
        link = self.link()
        link.send(
            b"POST /api/v1/commands HTTP/1.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1)
        )
        self.assertTrue(link.transport.disconnecting)
        answer = self.decode(self.response(link.taken()), 413)
        self.assertEqual(answer, {"error": f"the body is longer than {MAX_BODY} bytes"})
        link.send(b"x" * (MAX_BODY + 1) + _GET)
        self.assertEqual(link.taken(), b"")
        link.hangUp()

    def test_chunks(self) -> None:
        """
        A body that does not say how long it is, and does not end, is refused when it is too long.
        """
        link = self.link()
        link.send(b"POST /api/v1/commands HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(64):
            self.assertEqual(link.taken(), b"")
            link.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        link.send(b"1\r\nx\r\n0\r\n\r\n")
        self.assertEqual(self.response(link.taken()).status, 413)
        self.assertTrue(link.transport.disconnecting)

    def test_most(self) -> None:
        """
        A body of the greatest length is read.
        """
        body = b'{"address": "workshop", "variable": "LED", "value": 1}'
        response = self.ask("POST", "commands", body.ljust(MAX_BODY))
        self.assertEqual(response.status, 202)

    def test_head(self) -> None:
        """
        A head that is too long, or a length of very many digits, costs the link and nothing more.
        """
        for head in (
            b"GET /%s HTTP/1.1\r\n" % (b"x" * 20_000),
            b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 60,
            b"GET / HTTP/1.1\r\n" + b"X: %s\r\n" % (b"y" * 3000) * 3,
            b"POST / HTTP/1.1\r\nContent-Length: %s\r\n" % (b"9" * 5000),
            b"nonsense\r\n",
        ):
            link = self.link()
            link.send(head + b"\r\n")
            self.assertTrue(link.transport.disconnecting, head[:30])

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
        self.clock.advance(40)
        self.assertTrue(asking.transport.disconnecting)

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


class ControlTests(ApiTestCase):
    """
    The socket itself.
    """

    def setUp(self) -> None:
        """
        Where it is to be.
        """
        super().setUp()
        self.socket = self.path.with_name("sensord.sock")
        self.control = Control(self.clock, self.socket, self.api)
        self.addCleanup(os.umask, os.umask(0o022))

    def occupy(self) -> socket.socket:
        """
        Listen there.
        """
        made = socket.socket(socket.AF_UNIX)
        self.addCleanup(made.close)
        made.bind(brief(self.socket))
        made.listen(1)
        return made

    def why(self) -> str:
        """
        Start, which must fail.

        @return: the line that says why.
        """
        error: ConfigError = self.assertRaises(ConfigError, self.control.startService)
        [line] = error.faults
        self.assertFalse(self.control.running)
        self.assertEqual(self.clock.unixServers, [])
        before = f"[control] socket: {self.socket}: "
        self.assertTrue(line.startswith(before), line)
        return line.removeprefix(before)

    def connect(self) -> tuple[Any, StringTransport]:
        """
        A client connects.
        """
        protocol = self.clock.unixServers[0][1].buildProtocol(UNIXAddress(None))
        transport = StringTransport(peerAddress=UNIXAddress(None))
        if protocol is not None:
            protocol.makeConnection(transport)
        return protocol, transport

    def test_mode(self) -> None:
        """
        The socket is for its owner from the first moment on.
        """
        masks: list[int] = []

        def listen(*arguments: Any, **more: Any) -> Any:
            masks.append(os.umask(0))
            os.umask(masks[0])
            return made(*arguments, **more)

        made, self.clock.listenUNIX = self.clock.listenUNIX, listen
        self.control.startService()
        [(path, _factory, _backlog, mode, _pid)] = self.clock.unixServers
        self.assertEqual((Path(path).absolute(), mode, masks), (self.socket, 0o600, [0o177]))
        self.assertEqual(os.umask(0o022), 0o022)

    def test_stale(self) -> None:
        """
        What a daemon has left that was killed is removed.
        """
        self.occupy().close()
        self.assertTrue(self.socket.exists())
        self.control.startService()
        self.assertFalse(self.socket.exists())
        self.assertEqual(len(self.clock.unixServers), 1)

    def test_other(self) -> None:
        """
        Where another daemon answers, there is no start; also while it is too busy to answer.
        """
        listening = self.occupy()
        self.assertEqual(self.why(), "another daemon answers there")
        listening.setblocking(False)
        waiting = []
        for _ in range(3):
            waiting.append(socket.socket(socket.AF_UNIX))
            self.addCleanup(waiting[-1].close)
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(brief(self.socket))
        self.assertEqual(self.why(), "another daemon answers there")
        self.assertTrue(self.socket.exists())

    def test_file(self) -> None:
        """
        A file that is no socket is left alone.
        """
        self.socket.write_text("precious")
        self.assertEqual(self.why(), "is there already, and no socket")
        self.assertEqual(self.socket.read_text(), "precious")

    def test_folder(self) -> None:
        """
        A socket that cannot be made is an error of one line.
        """
        self.socket = self.path.with_name("nowhere") / "sensord.sock"
        self.control = Control(self.clock, self.socket, self.api)
        self.assertEqual(self.why(), "No such file or directory")

    def test_refused(self) -> None:
        """
        So is one that the system refuses.
        """

        def listen(path: str, *_arguments: Any, **_more: Any) -> Any:
            raise CannotListenError(None, path, OSError("AF_UNIX path too long"))

        self.clock.listenUNIX = listen
        self.assertEqual(self.why(), "AF_UNIX path too long")
        self.assertEqual(os.umask(0o022), 0o022)

    def test_crowd(self) -> None:
        """
        There is a limit on the links.
        """
        self.control.startService()
        links = [self.connect() for _ in range(MAX_LINKS)]
        self.assertIsNone(self.connect()[0])
        links[0][0].connectionLost(None)
        self.assertIsNotNone(self.connect()[0])

    def test_stop(self) -> None:
        """
        At the stop, events end, links are closed, and those that stay open are cut.
        """
        self.control.startService()
        (_idle, idle), (gone, _), (follower, followed) = [self.connect() for _ in range(3)]
        follower.dataReceived(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        stopped = self.control.stopService()
        self.assertTrue(followed.value().endswith(b"0\r\n\r\n"))
        self.assertTrue(idle.disconnecting and followed.disconnecting)
        gone.connectionLost(None)
        self.assertNoResult(stopped)
        self.assertFalse(idle.disconnected)
        self.clock.pump([0.05] * 21)
        self.successResultOf(stopped)
        self.assertTrue(idle.disconnected and followed.disconnected)

    def test_again(self) -> None:
        """
        It can be started again.
        """
        self.control.startService()
        self.successResultOf(self.control.stopService())
        self.control.startService()
        self.connect()[0].dataReceived(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(len(self.clock.unixServers), 2)
        self.post("listeners/poe/stop")
        self.post("listeners/poe/start")

    def test_who(self) -> None:
        """
        Whoever comes by the socket is called local, where the system does not say who it is.
        """
        self.control.startService()
        protocol, transport = self.connect()
        body = b'{"address": "workshop", "variable": "LED", "value": 1}'
        protocol.dataReceived(
            b"POST /api/v1/commands HTTP/1.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        answer = self.decode(self.response(transport.value()), 202)
        self.assertEqual(answer["who"], "local")

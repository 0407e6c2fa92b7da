"""
Tests for L{sensord.control.service}.
"""

import fcntl
import os
import socket
import stat
from pathlib import Path
from typing import Any, cast

from twisted.internet.address import UNIXAddress
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from sensord.config import ConfigError
from sensord.control.client import brief
from sensord.control.links import MAX_LINKS
from sensord.control.service import ApiService, Control, unfit
from tests.control.support import ApiTestCase


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
        self.pauses: list[float] = []
        self.control = self.build(self.socket)
        self.addCleanup(os.umask, os.umask(0o022))

    def build(self, path: Path) -> Control:
        """
        What makes a socket.
        """
        made = Control(self.clock, path, self.api.resource(), self.pauses.append)

        def end() -> None:
            if made.running:
                self.end(made)

        self.addCleanup(end)
        return made

    def end(self, control: Control) -> None:
        """
        Stop it, however long that takes.
        """
        stopped = control.stopService()
        self.clock.pump([0.05] * 30)
        self.successResultOf(stopped)

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
        self.assertEqual(self.clock.readers, set())
        before = f"[control] socket: {self.socket}: "
        self.assertTrue(line.startswith(before), line)
        return line.removeprefix(before)

    def connect(self) -> tuple[Any, StringTransport]:
        """
        A client connects.
        """
        [port] = self.clock.readers
        protocol = port.factory.buildProtocol(UNIXAddress(None))
        transport = StringTransport(peerAddress=UNIXAddress(None))
        if protocol is not None:
            protocol.makeConnection(transport)
        return protocol, transport

    def test_mode(self) -> None:
        """
        The socket is for its owner from the first moment on, and no other file is meant by that.
        """
        masks: list[int] = []

        def begun(_event: LogEvent) -> None:  # it is logged right before it is made
            masks.append(os.umask(0))
            os.umask(masks[-1])

        observer = cast(ILogObserver, begun)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.control.startService()
        self.assertEqual(masks[0], 0o177)
        found = self.socket.stat().st_mode
        self.assertTrue(stat.S_ISSOCK(found))
        self.assertEqual(stat.S_IMODE(found), 0o600)
        self.assertEqual(os.umask(0o022), 0o022)

    def test_stale(self) -> None:
        """
        What a daemon has left that was killed is replaced.
        """
        self.occupy().close()
        self.control.startService()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(brief(self.socket))

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
        self.control = self.build(self.socket)
        self.assertEqual(self.why(), "No such file or directory")

    def test_unfit(self) -> None:
        """
        So is a path that no socket can have, whatever is in the way.
        """
        here = self.path.parent
        long = "is longer than the 107 bytes that the path of a socket can have"
        for name, why in (("x" * 108, long), ("\u00e4" * 54, long), ("x\0y", "has a NUL in it")):
            self.assertEqual(unfit(here / name), why)
            error = self.assertRaises(ConfigError, self.build(here / name).startService)
            shown = str(here / name).replace("\0", "\\x00")
            self.assertEqual(error.faults, [f"[control] socket: {shown}: {why}"])
        room = 107 - len(os.fsencode(brief(here / "x"))) + 1
        self.assertEqual(unfit(here / ("x" * room)), "")
        self.assertEqual(unfit(here / ("x" * (room + 1))), long)

    def test_locked(self) -> None:
        """
        A folder that somebody else has locked holds up the start for two seconds at most; the line
        says what is locked.
        """
        held = os.open(self.path.parent, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        why = f"another process holds a lock (flock) on the folder {self.path.parent}"
        self.assertEqual(self.why(), why)
        self.assertLessEqual(sum(self.pauses), 2.0)
        os.close(held)
        self.control.startService()

    def test_lockedBriefly(self) -> None:
        """
        One who is done with it in time, such as another daemon that starts, is waited for.
        """
        held = os.open(self.path.parent, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        control = Control(
            self.clock, self.socket, self.api.resource(), lambda _seconds: os.close(held)
        )
        control.startService()
        self.end(control)

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
        served = ApiService(self.api)
        served.startService()
        self.control.startService()
        (_idle, idle), (gone, _), (follower, followed) = [self.connect() for _ in range(3)]
        follower.dataReceived(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        served.stopService()
        stopped = self.control.stopService()
        self.clock.advance(0)
        self.assertTrue(followed.value().endswith(b"0\r\n\r\n"))
        self.assertTrue(idle.disconnecting and followed.disconnecting)
        gone.connectionLost(None)
        self.assertNoResult(stopped)
        self.assertFalse(idle.disconnected)
        self.clock.pump([0.05] * 21)
        self.successResultOf(stopped)
        self.assertTrue(idle.disconnected and followed.disconnected)

    def test_removed(self) -> None:
        """
        The socket is gone as soon as the stop begins: behind a start that failed nothing else
        happens.
        """
        self.control.startService()
        stopped = self.control.stopService()
        self.assertFalse(self.socket.exists())
        self.assertNoResult(stopped)
        self.clock.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.readers, set())

    def test_foreign(self) -> None:
        """
        What is at its place by then, and is not its own, is left alone: the socket of another
        daemon, a file, or nothing.
        """
        self.control.startService()
        self.socket.unlink()
        with self.occupy():
            self.end(self.control)
            self.assertTrue(self.socket.exists())
        self.socket.unlink()
        self.control.startService()
        self.socket.unlink()
        self.socket.write_text("precious")
        self.end(self.control)
        self.assertEqual(self.socket.read_text(), "precious")
        self.socket.unlink()
        self.control.startService()
        self.socket.unlink()
        self.end(self.control)
        self.assertEqual(self.clock.readers, set())

    def test_again(self) -> None:
        """
        It can be started again.
        """
        served = ApiService(self.api)
        for _ in range(2):
            served.startService()
            self.control.startService()
            served.stopService()
            self.end(self.control)
        served.startService()
        self.control.startService()
        self.connect()[0].dataReceived(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
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

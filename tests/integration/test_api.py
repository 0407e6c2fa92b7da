"""
The control API on its real socket: the daemon and the toolbox as processes.
"""

import contextlib
import os
import pwd
import re
import signal
import socket
import stat
import subprocess

from msgspec import json

from sensord.control.client import Client
from tests.integration.daemon import (
    PATIENCE,
    Daemon,
    DaemonTestCase,
    receive,
    refused,
    sensord,
    until,
)

CONFIG = """
[[listeners]]
name = "poe"
wire = "poe"
listen = "tcp:{port}:interface=127.0.0.1"
ack = true
command = "{{variable}},{{value}}"

[[devices]]
address = "poe/127.0.0.1"
name = "workshop"
"""

#: A frame with a temperature, and the acknowledgement of one.
_FRAME, _ACK = bytes.fromhex("01010448"), b"\x06"


class ApiTestCase(DaemonTestCase):
    """
    A daemon, and the toolbox in the same folder.
    """

    def launch(self, port: int = 0) -> Daemon:
        """
        Start the daemon.
        """
        self.configure(CONFIG.format(port=port))
        daemon = self.start()
        daemon.port("poe")
        return daemon

    def device(self, daemon: Daemon) -> socket.socket:
        """
        A device that has sent a frame.
        """
        device = self.connect(daemon.port("poe"))
        device.sendall(_FRAME)
        self.assertEqual(receive(device, 1), _ACK)
        return device

    def tool(self, *arguments: str, code: int = 0) -> str:
        """
        Run a command.

        @return: its output, or what it says is wrong.
        """
        result = self.run_(*sensord(), *arguments)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stderr if code else result.stdout

    def tail(self, *arguments: str) -> "subprocess.Popen[str]":
        """
        Start C{sensord tail}.
        """
        tail = subprocess.Popen(
            [*sensord(), "tail", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

        def end() -> None:
            tail.kill()
            tail.communicate()

        self.addCleanup(end)
        return tail

    def followed(self) -> socket.socket:
        """
        A link on which events have begun.
        """
        link = socket.socket(socket.AF_UNIX)
        self.addCleanup(link.close)
        link.settimeout(PATIENCE)
        with contextlib.chdir(self.folder):  # the whole path may be too long
            link.connect("sensord.sock")
        link.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        data = b""
        while not data.endswith(b":\n\n\r\n"):
            data += link.recv(4096)
        return link


class ToolTests(ApiTestCase):
    """
    What the toolbox asks, and what it is told.
    """

    def test_devices(self) -> None:
        """
        A device that is connected is shown with its values.
        """
        daemon = self.launch()
        self.device(daemon)
        until(lambda: "72" in self.tool("devices"))
        line = self.tool("devices").splitlines()[1]
        self.assertRegex(
            line, r"^workshop  poe/127\.0\.0\.1  awake  \d s ago +temperature\.1 72 °F$"
        )
        [device] = json.decode(self.tool("devices", "--json"))
        self.assertTrue(device["connected"])
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

    def test_send(self) -> None:
        """
        A command goes to the device, and the list says who gave it.
        """
        daemon = self.launch()
        device = self.device(daemon)
        said = self.tool("send", "workshop", "LED", "-1.5")
        self.assertEqual(said, "poe/127.0.0.1: LED = -1.5: sent\n")
        self.assertIn(b"LED,-1.5", receive(device, 8))
        self.assertEqual(
            self.tool("send", "wrokshop", "LED", "1", code=1).partition(": LED = 1: ")[2][:7],
            "refused",
        )
        commands = json.decode(self.tool("commands", "--json"))
        user = pwd.getpwuid(os.getuid()).pw_name
        self.assertEqual(
            [(one["state"], one["who"]) for one in commands], [("refused", user), ("sent", user)]
        )
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

    def test_listeners(self) -> None:
        """
        A listener that is stopped refuses devices, and takes them again when it is started.
        """
        daemon = self.launch()
        port = daemon.port("poe")
        device = self.device(daemon)
        self.assertIn("stopped", self.tool("listeners", "stop", "poe"))
        self.assertTrue(refused(port))
        self.assertEqual(device.recv(1), b"")
        self.assertIn(" open ", self.tool("listeners", "start", "poe"))
        daemon.expect("poe: started by")
        ports = re.findall(r"poe: tcp 127\.0\.0\.1:(\d+), ", daemon.log)
        self.assertEqual(len(ports), 2)
        device = self.connect(int(ports[1]))
        device.sendall(_FRAME)
        self.assertEqual(receive(device, 1), _ACK)
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

    def test_taken(self) -> None:
        """
        A listener whose port was taken meanwhile stays stopped, with the reason.
        """
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
        daemon = self.launch(port)
        self.tool("listeners", "stop", "poe")
        with socket.create_server(("127.0.0.1", port)):
            said = self.tool("listeners", "start", "poe", code=1)
        self.assertIn("Address already in use", said)
        self.assertEqual(said.count("\n"), 1)
        self.assertIn("stopped", self.tool("listeners"))
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)


class TailTests(ApiTestCase):
    """
    C{sensord tail}.
    """

    def line(self, tail: "subprocess.Popen[str]", device: socket.socket) -> str:
        """
        Send readings until one is shown.
        """
        assert tail.stdout is not None
        os.set_blocking(tail.stdout.fileno(), False)
        data = b""

        def shown() -> bool:
            nonlocal data
            device.sendall(_FRAME)
            receive(device, 1)
            with contextlib.suppress(BlockingIOError):
                data += os.read(tail.stdout.fileno(), 65536)  # type: ignore[union-attr]
            return b"\n" in data

        until(shown)
        return data.decode().splitlines()[0]

    def test_restart(self) -> None:
        """
        Readings are shown as they are stored, also by a daemon that was killed and started again;
        Ctrl-C ends it without a word.
        """
        daemon = self.launch()
        tail = self.tail()
        self.assertRegex(
            self.line(tail, self.device(daemon)),
            r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z  workshop  temperature\.1  72$",
        )
        daemon.end(signal.SIGKILL)
        again = self.launch()
        assert tail.stderr is not None
        self.assertEqual(tail.stderr.readline(), "the daemon is gone; waiting for it\n")
        self.assertEqual(tail.stderr.readline(), "the daemon is back\n")
        self.line(tail, self.device(again))
        tail.send_signal(signal.SIGINT)
        self.assertEqual(tail.wait(PATIENCE), 130)
        self.assertEqual(tail.stderr.read(), "")
        self.assertEqual(again.end(), 0)
        self.assertQuiet(again)

    def test_closed(self) -> None:
        """
        When nobody reads what it shows, it ends without a word.
        """
        daemon = self.launch()
        device = self.device(daemon)
        tail = self.tail("--json")
        self.assertEqual(json.decode(self.line(tail, device))["value"], 72)
        assert tail.stdout is not None and tail.stderr is not None
        tail.stdout.close()

        def ended() -> bool:
            device.sendall(_FRAME)
            receive(device, 1)
            return tail.poll() is not None

        until(ended)
        self.assertEqual(tail.stderr.read(), "")
        tail.stderr.close()
        self.assertEqual(daemon.end(), 0)

    def test_unread(self) -> None:
        """
        One who follows and does not read is dropped, and devices do not notice.
        """
        daemon = self.launch()
        link = self.followed()
        device = self.device(daemon)
        for _ in range(50):
            device.sendall(_FRAME * 1000)
            self.assertEqual(len(receive(device, 1000)), 1000)
        daemon.expect("a follower of events is dropped")
        with contextlib.suppress(ConnectionResetError):
            while link.recv(2**20):
                pass
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)


class SocketTests(ApiTestCase):
    """
    The socket.
    """

    def test_life(self) -> None:
        """
        The socket is for its owner only, and is gone when the daemon has ended, whoever still
        follows.
        """
        daemon = self.launch()
        path = self.folder / "sensord.sock"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        link = self.followed()
        self.assertEqual(daemon.end(), 0)
        self.assertFalse(path.exists())
        self.assertTrue(receive(link, 2**20).endswith(b"0\r\n\r\n"))
        self.assertQuiet(daemon)
        self.assertIn("is it running?", self.tool("devices", code=1))

    def test_removed(self) -> None:
        """
        A socket that somebody has removed meanwhile does not trouble the end.
        """
        daemon = self.launch()
        self.tool("listeners")
        (self.folder / "sensord.sock").unlink()
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

    def test_second(self) -> None:
        """
        A second daemon in one folder does not start, says why in one line, and the first goes on.
        """
        daemon = self.launch()
        second = self.start()
        self.assertEqual(second.wait(), 1)
        said = (
            f"sensord: [control] socket: {self.folder}/sensord.sock: another daemon answers there\n"
        )
        self.assertIn(said, second.log)
        self.assertEqual(second.log.count("#error]"), 1)
        self.assertNotIn("Traceback", second.log)
        self.assertIn("open", self.tool("listeners"))
        self.assertEqual(daemon.end(), 0)

    def test_stale(self) -> None:
        """
        What a killed daemon has left does not keep the next one from starting.
        """
        self.launch().end(signal.SIGKILL)
        self.assertTrue((self.folder / "sensord.sock").exists())
        self.assertIn("is it running?", self.tool("devices", code=1))
        daemon = self.launch()
        self.assertIn("open", self.tool("listeners"))
        self.assertEqual(daemon.end(), 0)

    def test_garbage(self) -> None:
        """
        Whatever is sent to the socket costs the link that it came by, and nothing else.
        """
        daemon = self.launch()
        with contextlib.chdir(self.folder):
            for data in (
                b"\x00" * 100_000,
                b"GET /api/v1/\xff HTTP/1.1\r\nHost: \xff..\r\n\r\n",
                b"GET /api/v1/latest?device=%ff HTTP/1.0\r\n\r\n",
                b"POST /api/v1/commands HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
                b"POST /api/v1/commands HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n{",
                b"POST /api/v1/commands HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                b"GET /api/v1/devices HTTP/1.1\r\nHost",
            ):
                with socket.socket(socket.AF_UNIX) as link:
                    link.connect("sensord.sock")
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                        link.sendall(data)
                        link.shutdown(socket.SHUT_WR)
                        receive(link, 2**20)
            self.assertEqual(len(Client(self.folder / "sensord.sock").get("listeners")), 1)
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

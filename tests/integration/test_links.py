"""
The real daemon on its text and radio links, with the toolbox beside it.
"""

import json
import signal
import socket
import subprocess
from functools import partial
from pathlib import Path

from sensord.store.archive import Archive
from sensord.store.audit import audit
from tests.integration.daemon import PATIENCE, Daemon, DaemonTestCase, receive, sensord, until

CONFIG = """
[[listeners]]
name = "lines"
wire = "lines"
listen = "tcp:0:interface=127.0.0.1"
ack = true

[[listeners]]
name = "pages"
wire = "websocket"
listen = "tcp:0:interface=127.0.0.1"
ack = true

[[listeners]]
name = "radio"
wire = "rfm2pi"
port = "radio"

[[devices]]
address = "radio/13"
name = "radiator"
transmit = [{ name = "target", scale = 0.1 }]
"""

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: L159VM0TWUzyDxwJEIEzjw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

_MASK = b"\x01\x02\x03\x04"


def masked(text: bytes) -> bytes:
    """
    A short text in a frame, as a client sends it.
    """
    body = bytes(byte ^ _MASK[place % 4] for place, byte in enumerate(text))
    return bytes((0x81, 0x80 | len(text))) + _MASK + body


def message(connection: socket.socket) -> bytes:
    """
    The next message from the daemon; empty if it has hung up.
    """
    head = receive(connection, 2)
    return receive(connection, head[1]) if len(head) == 2 else b""


class LinkTests(DaemonTestCase):
    """
    One daemon with lines, WebSockets and a radio.
    """

    def launch(self) -> Daemon:
        """
        Start it.
        """
        self.configure(CONFIG)
        return self.start()

    def board(self, port: int) -> socket.socket:
        """
        A WebSocket device connects.
        """
        made = self.connect(port)
        made.sendall(HANDSHAKE)
        reply = b""
        while not reply.endswith(b"\r\n\r\n"):
            reply += receive(made, 1)
        self.assertIn(b"DdLWT/1JcX+nQFHebYP+rqEx5xI=", reply[:200])
        return made

    def radio(self) -> "subprocess.Popen[bytes]":
        """
        A pretend radio is plugged in.
        """
        process = subprocess.Popen(
            [*sensord(), "simulate", "--wire", "rfm2pi", "--rate", "5", "--link", "radio"],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.kill)
        return process

    def archive(self) -> Archive:
        """
        What it has stored.
        """
        return Archive(self.folder / "sensord.sqlite")

    def values(self, device: str, name: str) -> list[object]:
        """
        All values of a series, in the order of the journal.
        """
        pages = self.archive().export(device, name)
        return [row.reading.value for page in pages for row in page]

    def tool(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """
        Run the toolbox.
        """
        return self.run_(*sensord(), *arguments)

    def test_killed(self) -> None:
        """
        Every line and every message that was acknowledged is there after SIGKILL and a restart.
        """
        acked = {"line": 0, "message": 0}
        for attempt in range(3):
            daemon = self.launch()
            speaker = self.connect(daemon.port("lines"))
            board = self.board(daemon.port("pages"))
            for number in range(1, 400):
                value = attempt * 1000 + number
                speaker.sendall(b"15 %d\r\n" % value)
                board.sendall(masked(b"1,%d,20.5" % value))
            for place in range(50 * (attempt + 1)):
                self.assertEqual(receive(speaker, 4), b"ok\r\n")
                acked["line"] = attempt * 1000 + place + 1
                self.assertEqual(message(board), b"ack,%d" % (attempt * 1000 + place + 1))
                acked["message"] = attempt * 1000 + place + 1
            self.assertEqual(daemon.end(signal.SIGKILL), -signal.SIGKILL)
            self.assertIn(acked["line"], self.values("lines/15", "1"))
            self.assertIn(acked["message"], self.values("pages/1", "counter"))
        again = self.launch()
        again.port("pages")
        for values in (self.values("lines/15", "1"), self.values("pages/1", "counter")):
            for attempt in range(3):
                run = [value for value in values if attempt * 1000 < int(str(value)) <= 999 * 1000]
                run = [value for value in run if int(str(value)) // 1000 == attempt]
                # What was acknowledged is there, and of what was not, a beginning at most.
                self.assertEqual(run, [attempt * 1000 + place + 1 for place in range(len(run))])
                self.assertGreaterEqual(len(run), 50 * (attempt + 1))
        self.assertEqual(again.end(), 0)
        self.assertEqual(audit(self.archive()).faults, [])
        self.assertQuiet(again)

    def test_commands(self) -> None:
        """
        A command to one device reaches only that one, "all" reaches all that are there, and one
        for a device that is away goes out when it is back.
        """
        daemon = self.launch()
        boards = [self.board(daemon.port("pages")) for _board in range(3)]
        for id, board in enumerate(boards, 1):
            board.sendall(masked(b"%d,1,20.5" % id))
            self.assertEqual(message(board), b"ack,1")
        one = self.tool("send", "pages/2", "LED", "1")
        self.assertEqual((one.returncode, one.stdout), (0, "pages/2: LED = 1: sent\n"))
        self.assertEqual(message(boards[1]), b"1,1.0")
        everyone = self.tool("send", "all", "LED", "0")
        self.assertEqual(everyone.returncode, 0, everyone.stderr)
        # Had the first command reached the others, it would come before this one.
        for board in boards:
            self.assertEqual(message(board), b"1,0.0")
        away = self.tool("send", "pages/9", "1", "0.5")
        self.assertIn("pages/9: 1 = 0.5: pending", away.stdout)
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)
        again = self.launch()
        late = self.board(again.port("pages"))
        late.sendall(masked(b"9,1,20.5"))
        self.assertEqual({message(late), message(late)}, {b"ack,1", b"1,0.5"})
        until(lambda: "pending" not in self.tool("commands").stdout)
        refused = self.tool("send", "lines/15", "LED", "1")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("command", refused.stderr)
        self.assertQuiet(again)

    def test_unplugged(self) -> None:
        """
        A radio that is plugged in late, unplugged and plugged in again is heard each time, and
        sent to.
        """
        daemon = self.launch()
        daemon.expect("radio: radio cannot be used: ")
        for turn in range(2):
            radio = self.radio()
            daemon.expect("(?s)" + "radio: radio is open.*" * (turn + 1))
            before = len(self.values("radio/*", "rssi"))
            until(partial(self.more, before))
            # It is sent at once, or as soon as the radio is set.
            sent = self.tool("send", "radiator", "target", f"{25 + turn}")
            self.assertEqual(sent.returncode, 0, sent.stderr)
            until(partial(self.told, 25 + turn))
            radio.kill()
            radio.wait(PATIENCE)
            daemon.expect("(?s)" + "is gone, as if it was unplugged.*" * (turn + 1))
        self.assertEqual(daemon.end(), 0)
        self.assertEqual(audit(self.archive()).faults, [])
        self.assertQuiet(daemon)

    def more(self, before: int) -> bool:
        """
        Whether more was heard by radio.
        """
        return len(self.values("radio/*", "rssi")) > before

    def told(self, target: int) -> bool:
        """
        Whether the radiator says itself what it was told: as tenths of a degree, since its values
        are not described.
        """
        return target * 10 in self.values("radiator", "*")

    def test_presence(self) -> None:
        """
        What is known of devices is there after a restart.
        """
        daemon = self.launch()
        speaker = self.connect(daemon.port("lines"))
        for _line in range(3):
            speaker.sendall(b"15 1\r\n")
            self.assertEqual(receive(speaker, 4), b"ok\r\n")
        self.assertEqual(daemon.end(), 0)
        again = self.launch()
        again.port("lines")
        answer = self.tool("devices", "--json")
        known = {one["address"]: one for one in json.loads(answer.stdout)}
        self.assertEqual(known["lines/15"]["received"], 3)
        self.assertEqual(known["lines/15"]["state"], "awake")
        self.assertFalse(known["lines/15"]["connected"])

    def test_leftovers(self) -> None:
        """
        Neither a socket nor anything else is left of a daemon that has ended.
        """
        daemon = self.launch()
        daemon.port("pages")
        self.assertTrue((self.folder / "sensord.sock").is_socket())
        self.assertEqual((self.folder / "sensord.sock").stat().st_mode & 0o777, 0o600)
        self.assertEqual(daemon.end(), 0)
        left = {path.name for path in Path(self.folder).iterdir()}
        self.assertLessEqual(left, {"sensord.toml", "sensord.sqlite"})

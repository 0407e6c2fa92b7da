"""
Dead letters, replays and sinks that are gone: the daemon and the toolbox as processes, and a server
that refuses what it is told to.
"""

import contextlib
import os
import pty
import re
import signal
import sqlite3
import subprocess
from contextlib import closing
from gzip import decompress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from msgspec import json

from tests.integration.daemon import PATIENCE, Daemon, DaemonTestCase, receive, sensord, until

LISTENER = """
[[listeners]]
name = "lines"
wire = "lines"
listen = "tcp:0:interface=127.0.0.1"
ack = true
"""

SINK = """
[[sinks]]
name = "influx"
kind = "influxdb"
url = "http://127.0.0.1:{port}"
database = "sensors"
interval = 0.1
"""


class Server(ThreadingHTTPServer):
    """
    Takes lines as InfluxDB does.

    @ivar taken: the values that it has, in the order in which they came.
    @ivar bad: those that it refuses, with all that came along.
    @ivar open: whether it answers.
    @ivar asked: how many requests have come.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.taken: list[float] = []
        self.bad: set[float] = set()
        self.open = Event()
        self.open.set()
        self.asked = 0


class _Requests(BaseHTTPRequestHandler):
    """
    One link with it.
    """

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        """
        Take lines, or refuse them.
        """
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            data = decompress(data)
        self.server.asked += 1
        self.server.open.wait(PATIENCE)
        values = [float(one) for one in re.findall(rb"value=([0-9.]+)", data)]
        refused = self.server.bad & set(values)
        if not refused:
            self.server.taken += values
        body = b'{"error":"partial write: a strange number"}' if refused else b""
        self.send_response(400 if refused else 204)
        self.send_header("Content-Length", str(len(body)))
        with contextlib.suppress(BrokenPipeError):  # the daemon was killed
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """
        Say nothing.
        """


class LettersTests(DaemonTestCase):
    """
    A server, a daemon whose sink it is, and the toolbox in the same folder.
    """

    def setUp(self) -> None:
        """
        Start them.
        """
        super().setUp()
        self.server = Server()
        serving = Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        serving.start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.addCleanup(self.server.open.set)
        self.configure(LISTENER + SINK.format(port=self.server.server_port))
        self.daemon = self.launch()

    def launch(self) -> Daemon:
        """
        Start the daemon.
        """
        daemon = self.start()
        daemon.port("lines")
        return daemon

    def send(self, *values: int) -> None:
        """
        Have readings stored.
        """
        device = self.connect(self.daemon.port("lines"))
        for value in values:
            device.sendall(b"15 %d\r\n" % value)
            self.assertEqual(receive(device, 4), b"ok\r\n")
        device.close()

    def tool(self, *arguments: str, code: int = 0) -> str:
        """
        Run a command.

        @return: its output, or what it says is wrong.
        """
        result = self.run_(*sensord(), *arguments)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stderr if code else result.stdout

    def letters(self) -> list[dict[str, Any]]:
        """
        The dead letters.
        """
        found: list[dict[str, Any]] = json.decode(self.tool("dead-letters", "list", "--json"))
        return found

    def line(self) -> tuple[int, ...]:
        """
        What is delivered, dead, expired, and still to come.
        """
        with closing(sqlite3.connect(self.folder / "sensord.sqlite")) as connection:
            row: tuple[int, ...] = connection.execute(
                "SELECT delivered, dead, expired,"
                " (SELECT count(*) FROM readings WHERE id > position) FROM cursors"
            ).fetchone()
        return row

    def audited(self) -> str:
        """
        What the audit says; it must find no fault.
        """
        return self.tool("audit")

    def die(self) -> None:
        """
        Have the sink refuse 5 and 9 of 20 readings.
        """
        self.server.bad = {5, 9}
        self.send(*range(1, 21))
        until(lambda: self.line() == (18, 2, 0, 0))
        self.server.bad = set()
        self.server.taken.clear()

    def test_retry(self) -> None:
        """
        Dead letters are listed and tried again, also when the daemon is killed while they are on
        their way; the ledger balances before, in between and afterwards. Others are dropped.
        """
        self.die()
        lines = self.tool("dead-letters", "list").splitlines()
        self.assertEqual(len(lines), 3)
        self.assertIn("partial write: a strange number", lines[1])
        self.audited()
        self.server.open.clear()
        asked = self.server.asked
        self.assertEqual(
            self.tool("dead-letters", "retry", "--all"),
            "influx: 2 dead letters are tried again\n",
        )
        until(lambda: self.server.asked > asked)
        self.daemon.end(signal.SIGKILL)
        self.audited()
        self.assertEqual(self.line(), (18, 2, 0, 0))
        self.server.open.set()
        self.daemon = self.launch()
        until(lambda: self.line() == (20, 0, 0, 0))
        self.audited()
        self.assertEqual(set(self.server.taken), {5, 9})
        self.server.bad = {77}
        self.send(77, 78)
        until(lambda: self.line() == (21, 1, 0, 0))
        self.tool("dead-letters", "retry", "--sink", "influx")
        until(lambda: not self.letters()[0]["retry"])
        self.assertEqual(self.line(), (21, 1, 0, 0))
        [letter] = self.letters()
        self.assertEqual((letter["device"], letter["value"]), ("lines/15", 77))
        self.tool("dead-letters", "drop", str(letter["id"]))
        self.assertEqual(self.line(), (21, 0, 1, 0))
        self.assertIn("influx: 1 of those expired were dropped", self.audited())
        self.assertIn("no dead letter", self.tool("dead-letters", "retry", "99", code=1))
        self.daemon.end()
        self.assertQuiet(self.daemon)

    def test_replay(self) -> None:
        """
        History is sent again, with a progress bar on a terminal, beside what comes in; Ctrl-C ends
        it in the daemon too.
        """
        self.die()
        near, far = pty.openpty()
        command = [*sensord(), "replay", "influx", "--since", "2d", "--device", "lines/15"]
        with open(near, "rb", 0) as terminal:
            replay = subprocess.Popen(
                command, cwd=self.folder, stdout=subprocess.PIPE, stderr=far, text=True
            )
            os.close(far)
            output = replay.communicate(timeout=PATIENCE)[0]
            shown = terminal.read(65536).decode()
        self.assertEqual(
            (output, replay.returncode), ("20 readings were sent to influx again\n", 0)
        )
        self.assertIn("100%", shown)
        self.assertEqual(self.server.taken, list(range(1, 21)))
        self.assertEqual(self.line(), (18, 2, 0, 0))
        said = self.tool("replay", "influx", "--since", "2100-01-01")
        self.assertEqual(said, "0 readings were sent to influx again\n")

        self.server.open.clear()
        asked = self.server.asked
        with subprocess.Popen(
            command, cwd=self.folder, stderr=subprocess.PIPE, text=True
        ) as replay:
            until(lambda: self.server.asked > asked)
            self.assertIn("under way already", self.tool(*command[3:], code=1))
            replay.send_signal(signal.SIGINT)
            assert replay.stderr is not None
            self.assertIn("stopped; 0 readings", replay.stderr.read())
        self.assertEqual(replay.returncode, 130)
        self.daemon.expect("influx: a replay is stopped: 0 readings were sent again")
        self.server.open.set()
        self.send(30)
        until(lambda: self.line() == (19, 2, 0, 0))
        self.audited()
        self.daemon.end()
        self.assertQuiet(self.daemon)

    def test_gone(self) -> None:
        """
        A sink that was taken out of the configuration is warned of, shown, and can be forgotten.
        """
        self.die()
        self.assertIn("is in use", self.tool("sinks", "forget", "influx", "--yes", code=1))
        self.daemon.end()
        self.configure(LISTENER)
        self.daemon = self.launch()
        self.daemon.expect(
            'influx: is no sink of the configuration any more.* "sensord sinks forget'
        )
        self.send(21)
        [line] = json.decode(self.tool("sinks", "--json"))
        self.assertEqual((line["state"], line["backlog"], line["dead"]), ("gone", 1, 2))
        self.audited()
        self.tool("sinks", "forget", "influx", code=1)  # nobody has said yes
        self.assertIn("gone", self.tool("sinks", "forget", "influx", "--yes"))
        self.assertEqual(json.decode(self.tool("sinks", "--json")), [])
        self.assertEqual(self.letters(), [])
        self.audited()
        self.daemon.end()
        self.assertQuiet(self.daemon)

"""
The programs that the handbook shows, run as they stand there but for the ports.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sensord.store.archive import Archive
from sensord.store.audit import audit
from tests.integration.daemon import DaemonTestCase, freePort, receive, refused, twistd, until
from tests.test_docs import DOCS, example


class Hook(BaseHTTPRequestHandler):
    """
    What readings are posted to: it is busy at first, and never takes the value 13.
    """

    protocol_version = "HTTP/1.1"
    taken: list[dict[str, Any]]
    asked: int

    def do_POST(self) -> None:
        """
        Take a batch, or say why not.
        """
        rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind = type(self)
        kind.asked += 1
        status = 204
        if kind.asked == 1:
            status = 503
        elif any(row["value"] == 13 for row in rows):
            status = 422
        else:
            kind.taken += rows
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """
        Say nothing.
        """


@contextmanager
def hook() -> Iterator[tuple[int, type[Hook]]]:
    """
    A server for readings: its port, and what it has taken.
    """
    kind = type("Fresh", (Hook,), {"taken": [], "asked": 0})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, kind
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class ExampleTestCase(DaemonTestCase):
    """
    A folder with the files of a page.
    """

    def write(self, page: str, file: str, **changes: str) -> None:
        """
        Write a file as a page shows it.

        @param changes: what stands for what else, each once.
        """
        text = example(page, file)
        for key, other in changes.items():
            found = {"port": r"(?<=tcp:)\d+", "url": r'(?<="url": ")[^"]+'}[key]
            text, count = re.subn(found, other, text)
            self.assertEqual(count, 1, f"{page}: {key}")
        (self.folder / file).write_text(text, encoding="utf-8")

    def launch(self, *command: str) -> "subprocess.Popen[str]":
        """
        Start a program in the folder.
        """
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

        def end() -> None:
            process.kill()
            process.communicate()

        self.addCleanup(end)
        return process

    def finish(self, process: "subprocess.Popen[str]") -> None:
        """
        Tell a program to end, which it does without a complaint.
        """
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.communicate()[1], "")


class EmbeddingTests(ExampleTestCase):
    """
    C{docs/embedding.rst}.
    """

    def test_listen(self) -> None:
        """
        The first program prints what comes in.
        """
        port = freePort()
        self.write("embedding.rst", "listen.py", port=str(port))
        process = self.launch(sys.executable, "-u", "listen.py")
        until(lambda: not refused(port))
        self.connect(port).sendall(bytes.fromhex("01ff0001"))
        assert process.stdout is not None
        self.assertIn("device='poe/127.0.0.1', name='fire.255', value=1", process.stdout.readline())
        self.finish(process)

    def test_record(self) -> None:
        """
        The second one stores what it measures itself.
        """
        self.write("embedding.rst", "own.py")
        process = self.launch(sys.executable, "-u", "own.py")
        assert process.stdout is not None
        self.assertIn("stored: ", process.stdout.readline())
        self.finish(process)
        [row] = [row for page in Archive(self.folder / "sensord.sqlite").export() for row in page]
        self.assertEqual((row.reading.device, row.reading.name), ("machine", "load"))

    def test_twistd(self) -> None:
        """
        The third one runs under twistd, and ends orderly.
        """
        port = freePort()
        self.write("embedding.rst", "gateway.tac")
        tac = self.folder / "gateway.tac"
        text = tac.read_text(encoding="utf-8")
        listen = f"tcp:{port}:interface=127.0.0.1"
        listener = {"name": "x", "wire": "lines", "listen": listen, "ack": True}
        own = text.replace("DEFAULTS, now", f"{ {'listeners': [listener]} }, now")
        self.assertNotEqual(own, text)
        tac.write_text(own, encoding="utf-8")
        process = self.launch(*twistd(), "-n", "--pidfile=", "-y", "gateway.tac")
        until(lambda: not refused(port))
        device = self.connect(port)
        device.sendall(b"15 69 1664\r\n")
        self.assertEqual(receive(device, 4), b"ok\r\n")
        self.finish(process)
        pages = list(Archive(self.folder / "sensord.sqlite").export())
        self.assertEqual([row.reading.value for page in pages for row in page], [69, 1664])


class FormatTests(ExampleTestCase):
    """
    C{docs/format.rst}.
    """

    def test_parser(self) -> None:
        """
        The tests of the format pass.
        """
        self.write("format.rst", "beacon.py")
        self.write("format.rst", "test_beacon.py")
        command = [sys.executable, "-m", "twisted.trial", "test_beacon"]
        path = os.pathsep.join([str(self.folder), str(DOCS.parent)])
        process = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(process.returncode, 0, process.stdout + process.stderr)
        self.assertIn("PASSED (successes=6)", process.stdout)

    def test_gateway(self) -> None:
        """
        The gateway stores what beacons say, by their names, and answers when it has; one that says
        something else is told so, and has to connect anew.
        """
        port = freePort()
        self.write("format.rst", "beacon.py")
        self.write("format.rst", "gateway.py", port=str(port))
        process = self.launch(sys.executable, "-u", "gateway.py")
        until(lambda: not refused(port))
        beacon = self.connect(port)
        beacon.sendall(bytes.fromhex("a50798084c a50900feac"))
        self.assertEqual(receive(beacon, 2), b"\x06\x06")
        beacon.sendall(bytes.fromhex("a507980800"))
        self.assertEqual(receive(beacon, 2), b"\x15")
        self.finish(process)
        archive = Archive(self.folder / "sensord.sqlite")
        stored = [row.reading for page in archive.export() for row in page]
        self.assertEqual(
            [(one.device, one.name, one.value) for one in stored],
            [("freezer", "temperature", 22.0), ("cellar/9", "temperature", -5.12)],
        )
        self.assertEqual(audit(archive).faults, [])


class SinkTests(ExampleTestCase):
    """
    C{docs/sink.rst}.
    """

    def test_gateway(self) -> None:
        """
        The sink tries again what was not taken, passes on everything in order, and has the one
        reading that is never taken made a dead letter.
        """
        port = freePort()
        with hook() as (where, kind):
            url = f"http://127.0.0.1:{where}/"
            self.write("sink.rst", "gateway.py", port=str(port))
            file = self.folder / "gateway.py"
            text = file.read_text(encoding="utf-8")
            self.assertEqual(text.count("http://localhost:8000/"), 2)
            file.write_text(text.replace("http://localhost:8000/", url), encoding="utf-8")
            process = self.launch(sys.executable, "-u", "gateway.py")
            until(lambda: not refused(port))
            self.connect(port).sendall(b"15 1 13\r\n16 2\r\n")
            until(lambda: len(kind.taken) == 2)
            self.finish(process)
        said = [(row["device"], row["name"], row["value"]) for row in kind.taken]
        self.assertEqual(said, [("lines/15", "1", 1), ("lines/16", "1", 2)])
        archive = Archive(self.folder / "sensord.sqlite")
        with archive.open() as connection:
            letters = connection.execute("SELECT value, why FROM dead_letters").fetchall()
        self.assertEqual(letters, [(13, f"{url} answers 422")])
        self.assertEqual(audit(archive).faults, [])

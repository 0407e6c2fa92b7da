"""
The real daemon with C{--config-emoncms}, and an emoncms that a test plays.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.integration.daemon import DaemonTestCase, freePort, receive

_FILE = """
[remote]
confirm = 2

[[listeners]]
name = "poe"
wire = "poe"
listen = "tcp:0:interface=127.0.0.1"
ack = true

[[listeners]]
name = "radio"
wire = "rfm2pi"
port = "ttyNone"

[[sinks]]
name = "emoncms"
kind = "emoncms"
apikey = "{key}"
interval = 0.1
"""

_GOOD, _BAD = "a" * 32, "b" * 32


class Emoncms(ThreadingHTTPServer):
    """
    An emoncms.

    @ivar document: what it says of its gateway.
    @ivar told: how often it was told that the gateway runs.
    @ivar refused: how many rows came with another key than the good one.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.document = {"apikey": _GOOD, "sgroup": "210", "remotesend": ""}
        self.told = self.refused = self.taken = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """
        Where it is.
        """
        return f"http://127.0.0.1:{self.server_port}/emoncms"


class _Exchange(BaseHTTPRequestHandler):
    server: Emoncms

    def do_GET(self) -> None:
        """
        Somebody asks.
        """
        path = self.path.removeprefix("/emoncms/")
        self.server.told += path == "raspberrypi/setrunning.json"
        answers: dict[str, Any] = {
            "time/local.json": "1 2 3",
            "raspberrypi/setrunning.json": "ok",
            "raspberrypi/get.json": self.server.document,
        }
        self._answer(200 if path in answers else 404, json.dumps(answers.get(path)).encode())

    def do_POST(self) -> None:
        """
        Readings come.
        """
        self.rfile.read(int(self.headers["Content-Length"]))
        good = self.headers["Authorization"] == f"Bearer {_GOOD}"
        self.server.taken += good
        self.server.refused += not good
        self._answer(200 if good else 401, b"ok" if good else b"Invalid API key")

    def log_message(self, *arguments: object) -> None:
        """
        Say nothing.
        """

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class StationTests(DaemonTestCase):
    """
    Settings that come from an emoncms.
    """

    def setUp(self) -> None:
        """
        It is there.
        """
        super().setUp()
        self.emoncms = Emoncms()
        self.addCleanup(self.emoncms.server_close)
        self.addCleanup(self.emoncms.shutdown)

    def test_takenBack(self) -> None:
        """
        What it says is put into effect; a key that is wrong, so that nothing is passed on any more,
        goes back by itself, no reading is lost by that, and no key is in the log.
        """
        self.configure(_FILE.format(key=_GOOD))
        daemon = self.start("--config-emoncms", self.emoncms.url, "--config", "sensord.toml")
        daemon.expect("settings come from http")
        daemon.expect(r'\[\[sinks\]\] "emoncms" url: ')
        peer = self.connect(daemon.port("poe"))

        def send(value: int) -> None:
            peer.sendall(bytes([1, 1, 4, value]))
            self.assertEqual(receive(peer, 1), b"\x06")

        send(70)
        daemon.expect("are confirmed")
        self.assertGreater(self.emoncms.told, 1)
        send(71)
        self.emoncms.document = {**self.emoncms.document, "sgroup": "212", "apikey": _BAD}
        daemon.expect("group: 210 -> 212")
        send(72)
        daemon.expect(r"are taken back: no sink is moving in 2 s")
        daemon.expect("group: 212 -> 210")
        self.assertGreater(self.emoncms.refused, 0)
        send(73)
        self.emoncms.document = {**self.emoncms.document, "sgroup": "many"}
        daemon.expect('sgroup: "many" is no whole number')
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)
        for key in (_GOOD, _BAD):
            self.assertNotIn(key, daemon.log)

    def test_absent(self) -> None:
        """
        When it is not there, the daemon says so and exits, and so it does when what is there is no
        emoncms.
        """
        daemon = self.start("--config-emoncms", f"http://127.0.0.1:{freePort()}/emoncms")
        self.assertEqual(daemon.wait(), 1)
        self.assertIn("--config-emoncms: http://127.0.0.1:", daemon.log)
        self.assertIn("Connection refused", daemon.log)
        self.assertQuiet(daemon)
        daemon = self.start("--config-emoncms", f"{self.emoncms.url}/else/")
        self.assertEqual(daemon.wait(), 1)
        self.assertIn("time/local.json is answered with status 404, and not 200", daemon.log)
        self.assertQuiet(daemon)

    def test_alone(self) -> None:
        """
        Without a file there is the radio that the original had.
        """
        daemon = self.start("--config-emoncms", self.emoncms.url)
        daemon.expect("radio: .*/dev/ttyAMA0")
        daemon.expect(r'\[\[sinks\]\] "emoncms": added')
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

"""
Moving in: what becomes of an emonhub.conf is what the real daemon runs with.
"""

import json
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

from tests.convert.support import KEY
from tests.integration.daemon import PATIENCE, DaemonTestCase, sensord

_HUB = """
[hub]
loglevel = DEBUG
[interfacers]
[[Radio]]
    Type = EmonHubJeeInterfacer
    [[[init_settings]]]
        com_port = {radio}
    [[[runtimesettings]]]
        pubchannels = ToEmonCMS,
        baseid = 15
[[Mast]]
    Type = EmonHubSocketInterfacer
    [[[init_settings]]]
        port_nb = 50011
    [[[runtimesettings]]]
        pubchannels = ToEmonCMS,
        nodeoffset = 100
[[cloud]]
    Type = EmonHubEmoncmsHTTPInterfacer
    [[[init_settings]]]
    [[[runtimesettings]]]
        subchannels = ToEmonCMS,
        url = http://127.0.0.1:{port}/emoncms/
        apikey = {key}
        interval = 0
[nodes]
[[10]]
    nodename = meter
    [[[rx]]]
        names = power1, power2, voltage
        datacodes = h, h, H
        scales = 1, 1, 0.01
        units = w, w, v
[[115]]
    nodename = mast
    [[[rx]]]
        names = wind, gust
        datacode = 0
        scale = 0.1
        units = m/s, m/s
"""


class _Emoncms(BaseHTTPRequestHandler):
    """
    Takes all rows, and who sent them.
    """

    taken: "Queue[tuple[str, str, list[Any]]]"

    def do_POST(self) -> None:
        """
        Take some.
        """
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        for row in json.loads(parse_qs(body)["data"][0]):
            self.taken.put((self.path.partition("?")[0], self.headers["Authorization"], row))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_arguments: object) -> None:
        """
        Nobody wants to know.
        """


class MovingTests(DaemonTestCase):
    """
    From the old file to readings at emoncms.
    """

    def setUp(self) -> None:
        """
        Have an emoncms, and a radio.
        """
        super().setUp()
        _Emoncms.taken = Queue()
        server = HTTPServer(("127.0.0.1", 0), _Emoncms)
        thread = Thread(target=server.serve_forever)
        thread.start()
        for step in (server.server_close, thread.join, server.shutdown):
            self.addCleanup(step)
        self.url = f"http://127.0.0.1:{server.server_port}"
        radio = subprocess.Popen(
            [*sensord(), "simulate", "--wire", "rfm2pi", "--devices", "1", "--rate", "5"],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert radio.stdout is not None
        self.addCleanup(radio.stdout.close)
        self.addCleanup(radio.wait)
        self.addCleanup(radio.kill)
        text = _HUB.format(radio=radio.stdout.readline().strip(), port=server.server_port, key=KEY)
        (self.folder / "emonhub.conf").write_text(text)

    def rows(self) -> Iterator[tuple[str, str, list[Any]]]:
        """
        What emoncms is sent.
        """
        while True:
            yield _Emoncms.taken.get(timeout=PATIENCE)

    def test_moved(self) -> None:
        """
        Nodes of radio and socket arrive at emoncms under their names, scaled, with the key that
        was there.
        """
        convert = ("convert", "emonhub.conf", "-o", "sensord.toml", "--secrets")
        done = self.run_(*sensord(), *convert)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        self.assertIn("loglevel = DEBUG", done.stderr)
        self.assertNotIn(KEY, done.stderr)
        self.assertEqual((self.folder / "cloud.apikey").read_text(), KEY)
        path = Path(self.folder / "sensord.toml")
        # As for all that listens in a test, on this machine only, and where there is room.
        text = path.read_text(encoding="utf-8").replace("tcp:50011", "tcp:0:interface=127.0.0.1")
        path.write_text(text, encoding="utf-8")
        daemon = self.start("--config", "sensord.toml")
        self.connect(daemon.port("Mast")).sendall(b"15 69 103\r\n")
        found: dict[str, dict[str, float]] = {}
        for where, who, (_time, node, *values) in self.rows():
            self.assertEqual((where, who), ("/emoncms/input/bulk.json", f"Bearer {KEY}"))
            for value in values:
                found.setdefault(node, {}).update(value)
            if len(found.get("meter", ())) > 2 and len(found.get("mast", ())) > 1:
                break
        self.assertEqual(found["mast"], {"wind": 6.9, "gust": 10.3})
        self.assertEqual({"power1", "power2", "voltage"} - set(found["meter"]), set())
        self.assertTrue(220 < found["meter"]["voltage"] < 250, found)
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

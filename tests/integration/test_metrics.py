"""
The metrics of the real daemon, as its page has them, and as a real Prometheus takes them in.
"""

from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from msgspec import json
from prometheus_client.parser import text_string_to_metric_families

from sensord.store.archive import Archive
from sensord.store.audit import audit
from tests.integration.daemon import PATIENCE, Daemon, DaemonTestCase, freePort, receive, until
from tests.integration.databases import Database
from tests.test_contrib import GRAFANA

_CONFIG = """
[[listeners]]
name = "poe"
wire = "poe"
listen = "tcp:0:interface=127.0.0.1"
ack = true

[[sinks]]
name = "files"
kind = "csv"
folder = "Data"

[web]
listen = "tcp:{port}:interface=127.0.0.1"
"""

_PROMETHEUS = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: sensord
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""

_FRAME, _ACK = bytes.fromhex("01010448"), b"\x06"


class Prometheus(Database):
    """
    A real Prometheus.

    @ivar target: the port of the daemon that it scrapes.
    """

    program = "prometheus"
    package = "prometheus"
    target = 0

    def command(self) -> list[str]:
        """
        See L{Database.command}.
        """
        config = self.folder / "prometheus.yml"
        rules = GRAFANA / "alerts.yaml"
        text = _PROMETHEUS.format(rules=json.encode(str(rules)).decode(), port=self.target)
        config.write_text(text, encoding="utf-8")
        return [
            self.program,
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]

    def ready(self) -> bool:
        """
        Whether it answers questions by now.
        """
        try:
            with urlopen(f"{self.url}/-/ready", timeout=PATIENCE):
                return True
        except HTTPError:
            return False

    def ask(self, query: str) -> dict[str, float]:
        """
        What a query comes to just now: the values, by the listener or sink that they are of.
        """
        where = f"{self.url}/api/v1/query?{urlencode({'query': query})}"
        with urlopen(where, timeout=PATIENCE) as response:
            answer: Any = json.decode(response.read())
        found = {}
        for one in answer["data"]["result"]:
            labels = one["metric"]
            found[labels.get("listener", labels.get("sink", ""))] = float(one["value"][1])
        return found


class MetricsTests(DaemonTestCase):
    """
    A daemon with a page.
    """

    def launch(self) -> tuple[Daemon, int]:
        """
        Start it, and have a hundred frames stored.

        @return: the daemon, and the port of its page.
        """
        port = freePort()
        self.configure(_CONFIG.format(port=port))
        daemon = self.start()
        peer = self.connect(daemon.port("poe"))
        peer.sendall(_FRAME * 100)
        self.assertEqual(receive(peer, 100), _ACK * 100)
        return daemon, port

    def test_page(self) -> None:
        """
        What the page says is what an audit finds.
        """
        daemon, port = self.launch()

        def scrape() -> dict[str, float]:
            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as response:
                self.assertTrue(response.headers["Content-Type"].startswith("text/plain; version="))
                text = response.read().decode()
            return {
                sample.name: sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
                if sample.labels in ({}, {"listener": "poe"}, {"sink": "files"})
            }

        until(lambda: scrape()["sensord_sink_backlog"] == 0)
        found = scrape()
        self.assertEqual(found["sensord_listener_connections"], 1)
        self.assertEqual(found["sensord_store_ready"], 1)
        self.assertGreater(found["process_resident_memory_bytes"], 1e6)
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)
        result = audit(Archive(self.folder / "sensord.sqlite"))
        [account], [sink] = result.accounts, result.sinks
        self.assertEqual(account.received, 100)
        self.assertEqual(found["sensord_listener_received_total"], account.received)
        self.assertEqual(found["sensord_listener_committed_total"], account.committed)
        self.assertEqual(found["sensord_store_commit_items_sum"], account.received)
        self.assertEqual(found["sensord_sink_delivered_total"], sink.delivered)
        self.assertEqual(found["sensord_store_readings"], result.readings)

    def test_prometheus(self) -> None:
        """
        A real Prometheus takes all of it in, and its alerts are silent while nothing is wrong.
        """
        home = Path(self.folder / "prometheus")
        home.mkdir()
        prometheus = Prometheus(home)
        self.addCleanup(prometheus.close)
        daemon, prometheus.target = self.launch()
        prometheus.start()
        until(prometheus.ready)
        until(lambda: prometheus.ask("sensord_sink_backlog == 0"))
        self.assertEqual(prometheus.ask("up"), {"": 1})
        self.assertEqual(prometheus.ask("sensord_listener_committed_total"), {"poe": 100})
        self.assertEqual(prometheus.ask("sensord_sink_delivered_total"), {"files": 100})
        wide = 'histogram_quantile(1, sensord_store_commit_duration_seconds_bucket{job="sensord"})'
        self.assertGreater(prometheus.ask(wide)[""], 0)
        self.assertEqual(prometheus.ask('ALERTS{alertstate="firing"}'), {})
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

"""
Tests for what lies in C{contrib/}, and for the page that tells of it.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import SkipTest

from docutils import nodes
from docutils.core import publish_doctree
from prometheus_client import ProcessCollector
from twisted.trial.unittest import SynchronousTestCase

import sensord
from sensord.measures import MEASURES

ROOT = Path(sensord.__file__).parent.parent
GRAFANA, SYSTEMD = ROOT / "contrib" / "grafana", ROOT / "contrib" / "systemd"

#: The labels that Prometheus adds, and that its histograms and our infos have.
_ADDED = {"job", "instance"}
_INSIDE = {
    "sensord_build": {"version", "python", "twisted"},
    "sensord_listener": {"wire"},
    "sensord_sink": {"kind"},
}

#: What does not have to be ours.
_FOREIGN = {"up"}


def exposed() -> dict[str, set[str]]:
    """
    The labels of all metrics that the daemon exposes, by every name that can be queried.
    """
    found: dict[str, set[str]] = {}
    for measure in MEASURES:
        labels = {*measure.labels} | _INSIDE.get(measure.name, set()) | _ADDED
        if measure.kind == "histogram":
            found |= {f"{measure.name}_{part}": labels for part in ("sum", "count")}
            found[f"{measure.name}_bucket"] = labels | {"le"}
        else:
            found[measure.shown] = labels
    for family in ProcessCollector(registry=None).collect():
        found |= {sample.name: _ADDED for sample in family.samples}
    return found


def command(name: str, package: str) -> str:
    """
    The path of a program.

    @raise SkipTest: if it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise SkipTest(f"apt-get install {package}")
    return path


class QueriesTestCase(SynchronousTestCase):
    """
    Checks of queries in the language of Prometheus.
    """

    def assertKnown(self, query: str) -> None:
        """
        All metrics of a query are ours, and have the labels that are asked of them.
        """
        known = exposed()
        names = re.findall(r"\b(?:sensord|process)_\w+", query)
        for name in names:
            self.assertIn(name, known, query)
        union = set().union(*(known[name] for name in names), _ADDED)
        for name, matchers in re.findall(r"(\w+)\{(.*?)\}", query):
            for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', matchers)):
                self.assertIn(label, known.get(name, _ADDED), query)
        for labels in re.findall(r"\b(?:by|on|ignoring|without) \(([^)]*)\)", query):
            self.assertLessEqual({one.strip() for one in labels.split(",")}, union, query)

    def assertTemplate(self, template: str, query: str, pattern: str) -> None:
        """
        A text about the results of a query uses labels that these have.
        """
        known = exposed()
        names = [name for name in known if re.search(rf"\b{name}\b", query)] or ["up"]
        union = set().union(*(known.get(name, _ADDED) for name in names))
        for label in re.findall(pattern, template):
            self.assertIn(label, union, (template, query))
            by = re.match(r"(?:sum|max|min) by \(([^)]*)\)", query)
            if by:
                self.assertIn(label, re.split(r",\s*", by[1]), (template, query))


class DashboardTests(QueriesTestCase):
    """
    The dashboard for Grafana.
    """

    def setUp(self) -> None:
        """
        Read it.
        """
        self.text = (GRAFANA / "sensord.json").read_text(encoding="utf-8")
        self.dashboard: Any = json.loads(self.text)

    def queries(self) -> Iterator[tuple[str, str]]:
        """
        All queries, each with the name that its results are shown by.
        """
        for panel in self.dashboard["panels"]:
            for target in panel.get("targets", ()):
                yield target["expr"], target["legendFormat"]

    def test_known(self) -> None:
        """
        Every metric that it shows is one that the daemon has, with the labels that it asks for.
        """
        for query, legend in self.queries():
            self.assertRegex(query, "sensord_|process_")
            self.assertKnown(query)
            self.assertTemplate(legend, query, r"\{\{(\w+)\}\}")
        for variable in self.dashboard["templating"]["list"]:
            if variable["type"] == "query":
                self.assertKnown(variable["definition"])

    def test_all(self) -> None:
        """
        Every metric of the daemon is shown somewhere, but for those that others say already.
        """
        text = "\n".join(query for query, _legend in self.queries())
        for measure in MEASURES:
            if measure.name in ("sensord_listener", "sensord_sink", "sensord_sink_committed"):
                continue
            self.assertRegex(text, rf"\b{measure.shown}(_bucket|_count)?\b")

    def test_anywhere(self) -> None:
        """
        It can be imported into any Grafana: it has no identity, and only a data source that is
        chosen.
        """
        self.assertFalse({"id", "uid"} & {*self.dashboard})
        self.assertEqual({*re.findall(r'"uid": "([^"]*)"', self.text)}, {"${datasource}"})
        first = self.dashboard["templating"]["list"][0]
        self.assertEqual((first["name"], first["type"]), ("datasource", "datasource"))
        self.assertGreaterEqual(self.dashboard["schemaVersion"], 38)

    def test_rows(self) -> None:
        """
        It has a row for each part, and no panel lies over another.
        """
        panels = self.dashboard["panels"]
        rows = [panel["title"] for panel in panels if panel["type"] == "row"]
        expected = ["Overview", "Listeners", "Store", "Sinks", "Devices", "Process"]
        self.assertEqual(rows, expected)
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken: set[tuple[int, int]] = set()
        for panel in panels:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24)
            cells = {
                (place["x"] + x, place["y"] + y)
                for x in range(place["w"])
                for y in range(place["h"])
            }
            self.assertFalse(taken & cells, panel["title"])
            taken |= cells
            self.assertTrue(panel["type"] == "row" or panel["description"].endswith("."))

    def test_valid(self) -> None:
        """
        Prometheus understands every query.
        """
        promtool = command("promtool", "prometheus")
        values = {"$__rate_interval": "1m", "$job": ".*", "$instance": ".*"}
        lines = ["groups: [{name: all, rules: ["]
        for number, (query, _legend) in enumerate(self.queries()):
            for variable, value in values.items():
                query = query.replace(variable, value)
            lines.append(f"{{record: 'r{number}', expr: {json.dumps(query)}}},")
        path = Path(self.mktemp())
        path.write_text("\n".join([*lines, "]}]"]), encoding="utf-8")
        checked = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)


#: What has to fire, and what has not, in the language of C{promtool test rules}.
_SCENES = """
rule_files: [%s]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'sensord_sink_backlog{job="sensord",instance="a",sink="slow"}', values: '2000+100x40'}
      - {series: 'sensord_sink_backlog{job="sensord",instance="a",sink="idle"}', values: '2000x40'}
      - {series: 'sensord_sink_backlog{job="sensord",instance="a",sink="rest"}', values: '2000+100x40'}
      - {series: 'sensord_sink_state{job="sensord",instance="a",sink="rest",state="paused"}', values: '1x40'}
      - {series: 'sensord_sink_state{job="sensord",instance="a",sink="slow",state="paused"}', values: '0x40'}
      - {series: 'sensord_store_ready{job="sensord",instance="a"}', values: '1x10 0x30'}
      - {series: 'sensord_devices{job="sensord",instance="a",listener="poe",state="lost",described="true"}', values: '2x40'}
      - {series: 'sensord_devices{job="sensord",instance="a",listener="poe",state="lost",described="false"}', values: '9x40'}
      - {series: 'sensord_store_commit_duration_seconds_bucket{job="sensord",instance="a",le="0.1"}', values: '0x40'}
      - {series: 'sensord_store_commit_duration_seconds_bucket{job="sensord",instance="a",le="1.0"}', values: '0+60x40'}
      - {series: 'sensord_store_commit_duration_seconds_bucket{job="sensord",instance="a",le="+Inf"}', values: '0+60x40'}
    promql_expr_test:
      - expr: count by (alertname, sink) (ALERTS{alertstate="firing"})
        eval_time: 40m
        exp_samples:
          - {labels: '{alertname="SensordBacklogGrowing", sink="slow"}', value: 1}
          - {labels: '{alertname="SensordStoreNotReady"}', value: 1}
          - {labels: '{alertname="SensordDeviceLost"}', value: 1}
          - {labels: '{alertname="SensordCommitSlow"}', value: 1}
      - expr: count by (alertname, sink) (ALERTS{alertstate="firing"})
        eval_time: 4m
        exp_samples: []
"""  # noqa: E501


class AlertsTests(QueriesTestCase):
    """
    The alert rules for Prometheus.
    """

    def setUp(self) -> None:
        """
        Read them.
        """
        self.path = GRAFANA / "alerts.yaml"
        self.text = self.path.read_text(encoding="utf-8")

    def rules(self) -> list[str]:
        """
        The text of each rule.
        """
        return self.text.split("      - alert: ")[1:]

    def test_known(self) -> None:
        """
        Every metric that an alert is about is one that the daemon has, with the labels that it asks
        for and tells of.
        """
        for rule in self.rules():
            [query] = re.findall(r"(?m)^        expr: (.*)$", rule)
            if not _FOREIGN & {*re.findall(r"\w+", query)}:
                self.assertRegex(query, "sensord_")
            self.assertKnown(query)
            self.assertTemplate(rule, query, r"\$labels\.(\w+)")
            self.assertRegex(rule, r"severity: (critical|warning)\n")
            self.assertRegex(rule, r"summary: .*\n +description: .*\.")

    def test_complete(self) -> None:
        """
        What goes wrong with gateways has an alert.
        """
        names = {rule.split("\n")[0].removeprefix("Sensord") for rule in self.rules()}
        wanted = {"BacklogGrowing", "DeviceLost", "DeviceOverdue", "StoreNotReady"}
        wanted |= {"SinkMisconfigured", "ListenerClosed", "DeadLetters", "CommitSlow"}
        self.assertLessEqual(wanted, names)
        self.assertEqual(len(names), len(self.rules()))

    def test_valid(self) -> None:
        """
        Prometheus understands them.
        """
        promtool = command("promtool", "prometheus")
        checked = subprocess.run(
            [promtool, "check", "rules", self.path], capture_output=True, text=True
        )
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)

    def test_firing(self) -> None:
        """
        They fire for a backlog that grows, but not for one that is paused or does not grow; for a
        store that is not ready; for commits that are slow; for devices that are lost, but only once
        for those that nobody has described; and not at once.
        """
        promtool = command("promtool", "prometheus")
        path = Path(self.mktemp())
        path.write_text(_SCENES % self.path, encoding="utf-8")
        tested = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True)
        self.assertEqual(tested.returncode, 0, tested.stdout + tested.stderr)


class UnitTests(SynchronousTestCase):
    """
    The units for systemd.
    """

    def setUp(self) -> None:
        """
        Read the service.
        """
        self.text = (SYSTEMD / "sensord.service").read_text(encoding="utf-8")

    def value(self, key: str) -> str:
        """
        What a key of the service is set to.
        """
        [found] = re.findall(rf"(?m)^{key}=(.*)$", self.text)
        return str(found)

    def units(self) -> list[Path]:
        """
        The units as they would be installed, but with the C{twistd} of these tests.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        twistd = str(Path(sys.executable).parent / "twistd")
        for name in ("sensord.service", "sensord.socket"):
            text = (SYSTEMD / name).read_text(encoding="utf-8")
            text = text.replace("/opt/sensord/bin/twistd", twistd)
            (folder / name).write_text(text, encoding="utf-8")
        return [folder.absolute() / "sensord.service", folder.absolute() / "sensord.socket"]

    def test_verified(self) -> None:
        """
        systemd understands every line of them.
        """
        analyze = command("systemd-analyze", "systemd")
        checked = subprocess.run(
            [analyze, "verify", *self.units()], capture_output=True, text=True, timeout=60
        )
        ours = [line for line in checked.stderr.splitlines() if "sensord" in line]
        self.assertEqual((checked.returncode, ours), (0, []), checked.stderr)

    def test_hardened(self) -> None:
        """
        systemd rates how exposed the service is no worse than the page says.
        """
        analyze = command("systemd-analyze", "systemd")
        page = (ROOT / "docs" / "metrics.rst").read_text(encoding="utf-8")
        [said] = re.findall(r"rates the unit (\d)\.(\d) ", page)
        service = self.units()[0]
        threshold = f"--threshold={''.join(said)}"
        checked = subprocess.run(
            [analyze, "security", "--offline=true", "--no-pager", threshold, service],
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)

    def test_notifies(self) -> None:
        """
        The daemon says itself when it has started, lives and reloads; it stays in the foreground
        and has no pid file.
        """
        self.assertEqual(self.value("Type"), "notify")
        self.assertGreater(int(self.value("WatchdogSec")), 0)
        self.assertIn("kill -HUP $MAINPID", self.value("ExecReload"))
        words = self.value("ExecStart").split()
        self.assertEqual(words[1:4], ["--nodaemon", "--pidfile=", "sensord"])
        self.assertEqual(words[4], "--config")

    def test_own(self) -> None:
        """
        All that it writes lies in its own folder, and it is a user of its own.
        """
        self.assertEqual(self.value("ProtectSystem"), "strict")
        state = self.value("StateDirectory")
        self.assertEqual(self.value("WorkingDirectory"), f"%S/{state}")
        self.assertIn(f" %S/{state}/sensord.toml", self.value("ExecStart"))
        users = (SYSTEMD / "sensord.sysusers").read_text(encoding="utf-8")
        self.assertRegex(users, rf"(?m)^u {self.value('User')} - ")

    def test_tls(self) -> None:
        """
        It is not forbidden to make code, which the TLS of Python has to do.
        """
        self.assertNotRegex(self.text, "(?m)^MemoryDenyWriteExecute=yes")

    def test_socket(self) -> None:
        """
        The listener that the unit of the port shows takes the port by its name.
        """
        text = (SYSTEMD / "sensord.socket").read_text(encoding="utf-8")
        [name] = re.findall(r"(?m)^FileDescriptorName=(.*)$", text)
        self.assertIn(f'listen = "systemd:domain=INET:name={name}"', text)


class PageTests(SynchronousTestCase):
    """
    docs/metrics.rst.
    """

    def test_table(self) -> None:
        """
        Its table has every metric, as the daemon has it.
        """
        page = (ROOT / "docs" / "metrics.rst").read_text(encoding="utf-8")
        rows = [
            [re.sub(r"\s+", " ", entry.astext()) for entry in row.children]
            for row in publish_doctree(page).findall(nodes.row)
        ]
        expected = [
            [
                measure.shown,
                measure.kind,
                ", ".join((*measure.labels, *_order(measure.name))) or "none",
                measure.help,
            ]
            for measure in MEASURES
        ]
        self.assertEqual(rows[1:], expected)

    def test_named(self) -> None:
        """
        Every metric that it speaks of is one that there is.
        """
        page = (ROOT / "docs" / "metrics.rst").read_text(encoding="utf-8")
        for name in re.findall(r"\b(?:sensord|process)_[a-z_]+", page):
            self.assertIn(name, {*exposed(), *(measure.shown for measure in MEASURES)})


def _order(name: str) -> list[str]:
    """
    The labels of an info, in the order in which the page has them.
    """
    labels = _INSIDE.get(name, set())
    return sorted(labels, key=("version", "python", "twisted", "wire", "kind").index)

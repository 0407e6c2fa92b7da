"""
Tests for L{sensord.metrics} and L{sensord.measures}.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from unittest import SkipTest

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource
from twisted.web.server import Site

import sensord
from sensord import Gateway
from sensord.hubs.hub import Status
from sensord.measures import MEASURES
from sensord.metrics import OTHER, PATIENCE, Metrics
from sensord.presence import State
from sensord.store.commits import Commits, Histogram
from tests.http import response
from tests.store.support import folder, intake, reading, sql
from tests.test_gateway import InlineWorker

#: When the tests take place, in seconds since the epoch.
NOW = 1_795_194_650.0

_SETTINGS: dict[str, Any] = {
    "listeners": [
        {"name": "poe", "wire": "poe", "listen": "tcp:1234", "max_connections": 1},
        {"name": "hut", "wire": "lines", "listen": "tcp:1235"},
    ],
    "devices": [{"address": "poe/192.168.1.7", "name": "workshop"}, {"address": "hut/3"}],
    "thresholds": [
        {"device": "workshop", "name": "temperature", "warning": "> 30", "critical": "> 40"}
    ],
}


class Hubs:
    """
    A hub manager of which one wants to know how its hubs are.
    """

    def list(self) -> Sequence[Status]:
        """
        See L{Manager.list<sensord.hubs.manager.Manager.list>}.
        """
        states = ("running", "running", "failed")
        return [Status("a", "g", state, None, "", 0, "") for state in states]


class MetricsTests(SynchronousTestCase):
    """
    What L{Metrics} tells of a gateway.
    """

    def setUp(self) -> None:
        """
        Start a gateway.
        """
        self.clock: Any = MemoryReactorClock()
        self.clock.advance(NOW)
        self.folder = folder(self)
        self.path = self.folder / "sensord.sqlite"
        self.workers: list[InlineWorker] = []
        sink = {"name": "files", "kind": "csv", "folder": str(self.folder)}
        store = {"path": str(self.path), "max_pending": 1000, "max_quarantine": 7}
        tables = {**_SETTINGS, "sinks": [sink], "store": store, "control": {"socket": ""}}
        self.gateway = Gateway(self.clock, tables, self.work)  # type: ignore[arg-type]
        self.gateway.startService()
        self.addCleanup(self.stop)
        self.metrics = Metrics(self.clock, self.gateway)

    def work(self, reactor: object, name: str) -> InlineWorker:
        """
        Make the workers of the gateway: the writer first, then the reader.
        """
        self.workers.append(InlineWorker())
        return self.workers[-1]

    def stop(self) -> None:
        """
        Stop the gateway; nothing is left.
        """
        stopped = self.gateway.stopService()
        self.clock.pump([0.05] * 40)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def admit(self, listener: str, *intakes: Any) -> None:
        """
        Have something stored.
        """
        for one in intakes:
            self.gateway.store.account(listener).add(one)
        self.clock.pump([0.005, 1.0, 1.0, 1.0])

    def text(self, accept: str = "") -> str:
        """
        The exposition.
        """
        return self.successResultOf(self.ask(accept))[1].decode()

    def ask(self, accept: str = "") -> Deferred[tuple[str, bytes]]:
        """
        Ask for it.
        """
        return Deferred.fromCoroutine(self.metrics.exposition(accept))

    def scrape(self, text: str | None = None) -> dict[str, float]:
        """
        All samples, each as C{name{label="value"}} with its labels in order.
        """
        families = text_string_to_metric_families(self.text() if text is None else text)
        return {
            _written(sample.name, sample.labels): sample.value
            for family in families
            for sample in family.samples
        }

    def assertScraped(self, **expected: float) -> None:
        """
        Some samples without labels are there, and have these values.
        """
        found = self.scrape()
        self.assertEqual({name: found[name] for name in expected}, expected)

    def test_ledger(self) -> None:
        """
        The ledger stands there by listener, as an audit would tell it.
        """
        self.admit("poe", intake(reading(1), reading(1), reading(2), rejected=3, quarantined=2))
        found = self.scrape()
        counts = {
            name: found[f'sensord_listener_{name}{{listener="poe"}}']
            for name in (
                "received_total",
                "committed_total",
                "duplicates_total",
                "rejected_total",
                "quarantined",
            )
        }
        self.assertEqual([*counts.values()], [8, 2, 1, 3, 2])
        self.assertEqual(found['sensord_listener_received_total{listener="hut"}'], 0)

    def test_otherListeners(self) -> None:
        """
        What came by listeners that the configuration does not name is one line, whatever they are
        called.
        """
        for name in ("gone", "away"):
            self.admit(name, intake(reading(1, device=name)))
        found = self.scrape()
        self.assertEqual(found[f'sensord_listener_committed_total{{listener="{OTHER}"}}'], 2)
        self.assertNotIn("gone", self.text())

    def test_sinks(self) -> None:
        """
        What a sink has passed on, and what it has still to pass on, since when.
        """
        self.admit("poe", intake(reading(int(NOW * 1e6))))
        sql(self.path, "UPDATE cursors SET position = 0, delivered = 0")
        found = self.scrape()
        self.assertEqual(
            [
                found[f'sensord_sink_{name}{{sink="files"}}']
                for name in (
                    "committed_total",
                    "delivered_total",
                    "expired_total",
                    "dead_letters",
                    "backlog",
                )
            ],
            [1, 0, 0, 0, 1],
        )
        age = found['sensord_sink_backlog_age_seconds{sink="files"}']
        self.assertAlmostEqual(age, self.clock.seconds() - NOW, 2)

    def test_states(self) -> None:
        """
        Of the states that a listener or a sink can be in, one is 1.
        """
        found = self.scrape()
        for state, here in (("open", 1), ("closed", 0), ("absent", 0), ("stopped", 0)):
            name = f'sensord_listener_state{{listener="poe",state="{state}"}}'
            self.assertEqual(found[name], here, name)
        self.assertEqual(found['sensord_sink_state{sink="files",state="flowing"}'], 1)
        self.assertEqual(found['sensord_listener_info{listener="hut",wire="lines"}'], 1)
        self.assertEqual(found['sensord_sink_info{kind="csv",sink="files"}'], 1)
        self.successResultOf(self.gateway.listeners["poe"].stopService())
        found = self.scrape()
        self.assertEqual(found['sensord_listener_state{listener="poe",state="stopped"}'], 1)
        self.assertEqual(found['sensord_listener_state{listener="poe",state="open"}'], 0)

    def test_connections(self) -> None:
        """
        Connections are counted, and those that are not let in.
        """
        factory = self.clock.tcpServers[0][1]
        for _ in range(3):
            protocol = factory.buildProtocol(None)
            protocol.makeConnection(StringTransport())
        found = self.scrape()
        self.assertEqual(found['sensord_listener_connections{listener="poe"}'], 1)
        refused = 'sensord_listener_connections_refused_total{listener="poe"}'
        self.assertEqual(found[refused], 2)

    def test_store(self) -> None:
        """
        How the store is: what waits, what it has, how large it is.
        """
        self.admit("poe", intake(reading(1), quarantined=1))
        self.gateway.store.account("poe").add(intake(reading(2), reading(3)))
        self.assertScraped(
            sensord_store_ready=1,
            sensord_store_full=0,
            sensord_store_readable=1,
            sensord_store_pending=2,
            sensord_store_pending_limit=1000,
            sensord_store_readings=1,
            sensord_store_readings_expired_total=0,
            sensord_store_quarantine_frames=1,
            sensord_store_quarantine_limit=7,
            sensord_store_quarantine_dropped_total=0,
            sensord_store_database_bytes=self.path.stat().st_size,
            sensord_store_wal_bytes=Path(f"{self.path}-wal").stat().st_size,
        )

    def test_commits(self) -> None:
        """
        Each commit counts once, with how long it took and how much it held.
        """
        self.workers[0].hold()
        self.admit("poe", intake(reading(1), reading(2), reading(3), reading(4)))
        self.workers[0].release()
        self.clock.advance(0)
        self.assertScraped(
            sensord_store_commit_duration_seconds_count=1,
            sensord_store_commit_items_count=1,
            sensord_store_commit_items_sum=4,
            sensord_store_commit_failures_total=0,
        )
        found = self.scrape()
        self.assertAlmostEqual(found["sensord_store_commit_duration_seconds_sum"], 3.0)
        for bound, count in (("2.5", 0), ("5.0", 1), ("+Inf", 1)):
            name = f'sensord_store_commit_duration_seconds_bucket{{le="{bound}"}}'
            self.assertEqual(found[name], count, name)

    def test_failures(self) -> None:
        """
        Attempts to commit that were in vain are counted, and what they took counts for the commit.
        """
        sql(self.path, "ALTER TABLE ledger RENAME TO lost")
        with capturedLogs():
            self.admit("poe", intake(reading(1)))
            found = self.scrape()
            self.assertEqual(found["sensord_store_ready"], 0)
            self.assertGreater(found["sensord_store_commit_failures_total"], 1)
            self.assertEqual(found["sensord_store_commit_duration_seconds_count"], 0)
            sql(self.path, "ALTER TABLE lost RENAME TO ledger")
            self.clock.pump([0.5] * 20)
        found = self.scrape()
        self.assertEqual(found["sensord_store_ready"], 1)
        self.assertEqual(found["sensord_store_commit_duration_seconds_count"], 1)
        self.assertGreater(found["sensord_store_commit_duration_seconds_sum"], 3)

    def test_devices(self) -> None:
        """
        Devices are counted by their state, those that are described apart from the others; never
        one by one.
        """
        presence = self.gateway.presence
        now = int(self.clock.seconds() * 1e6)
        presence.record("poe/192.168.1.7").hear(now)
        for number in range(3):
            presence.record(f"poe/10.0.0.{number}").hear(now - 3_600_000_000)
        presence.record("gone/1").hear(now)
        found = self.scrape()

        def counted(listener: str, state: State, described: str) -> float:
            labels = {"listener": listener, "state": state.value, "described": described}
            return found[_written("sensord_devices", labels)]

        self.assertEqual(counted("poe", State.AWAKE, "true"), 1)
        self.assertEqual(counted("poe", State.ASLEEP, "false"), 3)
        self.assertEqual(counted("poe", State.LOST, "true"), 0)
        self.assertEqual(counted("hut", State.LOST, "true"), 1)  # never heard
        self.assertEqual(counted(OTHER, State.AWAKE, "false"), 1)
        self.assertNotIn("10.0.0", self.text())

    def test_statuses(self) -> None:
        """
        A device counts by the worst status of its values.
        """
        name = 'sensord_devices_status{status="%s"}'
        for number, value in enumerate((20.0, 35.0, 45.0)):
            self.admit("poe", intake(reading(number, value, device="workshop")))
            found = self.scrape()
            statuses = [found[name % status] for status in ("normal", "warning", "critical")]
            self.assertEqual(statuses, [[2, 0, 0], [1, 1, 0], [1, 0, 1]][number])

    def test_commands(self) -> None:
        """
        Commands are counted by what became of them.
        """
        self.gateway.commands.send("poe/192.168.1.7", "1", 1.0)
        found = self.scrape()
        states = ("pending", "sent", "expired", "refused")
        counts = [found[f'sensord_commands{{state="{state}"}}'] for state in states]
        self.assertEqual((sum(counts), counts[1]), (1, 0))

    def test_hubs(self) -> None:
        """
        Hubs are counted by their state, where there is a manager of any.
        """
        self.assertNotIn("sensord_hubs{", self.text())
        self.gateway.hubs = Hubs()  # type: ignore[assignment]
        self.addCleanup(setattr, self.gateway, "hubs", None)
        found = self.scrape()
        self.assertEqual(found['sensord_hubs{state="running"}'], 2)
        self.assertEqual(found['sensord_hubs{state="failed"}'], 1)
        self.assertEqual(found['sensord_hubs{state="waiting"}'], 0)

    def test_build(self) -> None:
        """
        What runs stands there, and what its process takes.
        """
        text = self.text()
        self.assertRegex(text, rf'sensord_build_info{{.*version="{sensord.__version__}"}} 1.0')
        self.assertRegex(text, r"process_resident_memory_bytes \d")

    def test_unreadable(self) -> None:
        """
        A database that cannot be read is told of, and all else is told all the same; the log says
        why, once.
        """
        self.admit("poe", intake(reading(1)))
        sql(self.path, "ALTER TABLE ledger RENAME TO lost")
        with capturedLogs() as events:
            found = self.scrape()
            self.scrape()
        self.assertEqual(found["sensord_store_readable"], 0)
        self.assertEqual(found["sensord_store_ready"], 1)
        self.assertNotIn('sensord_listener_received_total{listener="poe"}', found)
        self.assertEqual(
            [formatEvent(event) for event in events],
            [f"metrics lack what the database counts: {self.path}: no such table: ledger"],
        )
        sql(self.path, "ALTER TABLE lost RENAME TO ledger")

    def test_hangs(self) -> None:
        """
        A database that does not answer is not waited for beyond the patience of Prometheus.
        """
        self.workers[1].hold()
        asked = self.ask()
        self.clock.advance(PATIENCE - 0.1)
        self.assertNoResult(asked)
        self.clock.advance(0.2)
        found = self.scrape(self.successResultOf(asked)[1].decode())
        self.assertEqual(found["sensord_store_readable"], 0)
        self.workers[1].release()
        self.assertScraped(sensord_store_readable=1)

    def test_together(self) -> None:
        """
        However many ask at a time, the database is asked once.
        """
        self.workers[1].hold()
        asked = [self.ask() for _ in range(10)]
        self.assertEqual(len(self.workers[1]._held or ()), 1)
        self.workers[1].release()
        for one in asked:
            self.assertIn(b"sensord_store_readable 1.0", self.successResultOf(one)[1])

    def test_changed(self) -> None:
        """
        A listener or sink that a reload has brought is there at the next scrape, and one that is
        gone is not.
        """
        self.gateway.listeners.pop("hut")
        self.assertNotIn('"hut"', self.text())

    def test_twoGateways(self) -> None:
        """
        Metrics are of one gateway, and leave the registry of the program around it alone.
        """
        Metrics(self.clock, self.gateway)
        self.text()
        self.assertNotIn(b"sensord", generate_latest(REGISTRY))

    def test_table(self) -> None:
        """
        What is exposed is what the table has, and what the process is like; nothing else.
        """
        named = re.findall(r"(?m)^# TYPE (\w+) (\w+)$", self.text())
        ours = [one for one in named if not one[0].startswith("process_")]
        kinds = {"info": "gauge"}
        expected = [(one.shown, kinds.get(one.kind, one.kind)) for one in MEASURES]
        self.assertEqual(ours, expected)
        self.assertLess(len(ours), len(named))

    def test_linted(self) -> None:
        """
        Prometheus finds nothing to be said against it.
        """
        promtool = shutil.which("promtool")
        if promtool is None:
            raise SkipTest("apt-get install prometheus")
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=self.text(), capture_output=True, text=True
        )
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))

    def test_conventions(self) -> None:
        """
        Names keep to what Prometheus recommends, and labels are of bounded sets.
        """
        for measure in MEASURES:
            self.assertRegex(measure.name, r"^sensord_[a-z_]+$")
            self.assertFalse(re.search("_(total|info|count|sum|bucket)$", measure.name), measure)
            bounded = {"listener", "sink", "state", "status", "described"}
            self.assertLessEqual({*measure.labels}, bounded, measure)
            self.assertTrue(measure.help.endswith("."), measure)
        names = [measure.name for measure in MEASURES]
        self.assertEqual(len(names), len({*names}))

    def test_formats(self) -> None:
        """
        Both formats are valid, and say the same.
        """
        self.admit("poe", intake(reading(1), rejected=1))
        plain = {family.name for family in text_string_to_metric_families(self.text())}
        format, text = self.successResultOf(self.ask("application/openmetrics-text;version=1.0.0"))
        self.assertTrue(format.startswith("application/openmetrics-text; version=1.0.0"))
        families = [*openmetrics.text_string_to_metric_families(text.decode())]
        self.assertTrue(text.endswith(b"# EOF\n"))
        self.assertEqual(
            {family.name for family in families if family.type != "info"},
            {name for name in plain if not name.endswith("_info")},
        )

    def test_oddAccept(self) -> None:
        """
        Whatever a client says that it understands, it gets metrics.
        """
        for accept in ("application/openmetrics-text;version=abc", "text/plain;version=", ";,;"):
            self.assertIn("sensord_store_ready", self.text(accept))


class PageTests(MetricsTests):
    """
    L{Metrics.resource} over HTTP: all of the same, and what only HTTP has.
    """

    def fetch(
        self, method: str = "GET", accept: str = "", resource: IResource | None = None
    ) -> Any:
        """
        Send a request.

        @return: the protocol, and its transport.
        """
        site = Site(resource or self.metrics.resource(), reactor=self.clock, timeout=None)
        site.displayTracebacks = False
        protocol = site.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        head = f"{method} / HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n"
        protocol.dataReceived(head.encode())
        return protocol, transport

    def answer(self, transport: StringTransport, method: str = "GET") -> HTTPResponse:
        """
        A response.
        """
        return response(transport.value(), method)

    def text(self, accept: str = "") -> str:
        """
        The exposition, as it comes over HTTP.
        """
        response = self.answer(self.fetch(accept=accept)[1])
        self.assertEqual(response.status, 200)
        return response.read().decode()

    def test_head(self) -> None:
        """
        The answer says what it is; to HEAD that is all.
        """
        response = self.answer(self.fetch("HEAD")[1], "HEAD")
        self.assertEqual(response.status, 200)
        self.assertEqual(
            response.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8"
        )
        self.assertGreater(int(response.headers["Content-Length"]), 1000)
        self.assertEqual(response.headers["Cache-Control"], "no-store")
        self.assertEqual(response.read(), b"")

    def test_post(self) -> None:
        """
        There is nothing to be changed here.
        """
        self.assertEqual(self.answer(self.fetch("POST")[1]).status, 405)

    def test_gone(self) -> None:
        """
        Whoever hangs up before the answer is not answered.
        """
        self.workers[1].hold()
        protocol, transport = self.fetch()
        protocol.connectionLost(Failure(ConnectionDone()))
        self.workers[1].release()
        self.assertEqual(transport.value(), b"")

    def test_broken(self) -> None:
        """
        A fault of ours is an answer that says so, and stands in the log.
        """
        self.patch(self.gateway, "presence", None)
        response = self.answer(self.fetch()[1])
        self.assertEqual((response.status, b"Traceback" in response.read()), (500, False))
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)


class CommitsTests(SynchronousTestCase):
    """
    L{Histogram} and L{Commits}.
    """

    def test_buckets(self) -> None:
        """
        Each number counts at its bound and at all above.
        """
        histogram = Histogram((1.0, 2.0))
        for number in (0.5, 1.0, 1.5, 2.5):
            histogram.add(number)
        self.assertEqual(histogram.buckets(), [(1.0, 2), (2.0, 3), (float("inf"), 4)])
        self.assertEqual(histogram.sum, 5.5)

    def test_empty(self) -> None:
        """
        At first, there is nothing.
        """
        self.assertEqual({count for _bound, count in Commits().seconds.buckets()}, {0})


def _written(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name

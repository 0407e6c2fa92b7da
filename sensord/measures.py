"""
The table of all metrics that the daemon tells of itself. Label values are of sets that are bounded:
names come from the configuration, never from what devices send.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from msgspec import Struct
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)


class Measure(Struct, frozen=True):
    """
    A metric.

    @ivar name: without what its kind adds: C{_total}, C{_info}, or C{_bucket} and the like.
    @ivar help: one sentence.
    @ivar labels: their names.
    """

    name: str
    kind: Literal["gauge", "counter", "info", "histogram"]
    help: str
    labels: Sequence[str] = ()

    @property
    def shown(self) -> str:
        """
        Its name, as it is queried.
        """
        return self.name + {"counter": "_total", "info": "_info"}.get(self.kind, "")

    def family(self) -> Any:
        """
        What its samples are added to.
        """
        return _FAMILIES[self.kind](self.name, self.help, labels=self.labels)


_FAMILIES: dict[str, Callable[..., Metric]] = {
    "gauge": GaugeMetricFamily,
    "counter": CounterMetricFamily,
    "info": InfoMetricFamily,
    "histogram": HistogramMetricFamily,
}

_IN, _OUT = ("listener",), ("sink",)

#: All but those of the process, which prometheus-client has.
MEASURES = (
    Measure("sensord_build", "info", "What runs: versions of sensord, Python and Twisted."),
    Measure("sensord_listener", "info", "The wire format of a listener.", _IN),
    Measure(
        "sensord_listener_state",
        "gauge",
        "1 for the state that a listener is in: open, closed while nothing can be stored, absent"
        " without its port or broker, or stopped.",
        ("listener", "state"),
    ),
    Measure("sensord_listener_connections", "gauge", "Connections of devices just now.", _IN),
    Measure(
        "sensord_listener_connections_refused",
        "counter",
        "Connections that were not let in: too many of them, or of networks that are not allowed.",
        _IN,
    ),
    Measure(
        "sensord_listener_received",
        "counter",
        "Received items of the ledger: what became of each is one of the next four.",
        _IN,
    ),
    Measure("sensord_listener_committed", "counter", "Readings that were stored.", _IN),
    Measure(
        "sensord_listener_duplicates", "counter", "Readings that were stored before already.", _IN
    ),
    Measure("sensord_listener_rejected", "counter", "Items that were no readings.", _IN),
    Measure(
        "sensord_listener_quarantined",
        "gauge",
        "Frames that no description has fitted so far; fewer when they are decoded after all.",
        _IN,
    ),
    Measure("sensord_sink", "info", "The kind of a sink.", _OUT),
    Measure(
        "sensord_sink_state",
        "gauge",
        "1 for the state that a sink is in: flowing, retrying, misconfigured, paused, or held by"
        " its settings.",
        ("sink", "state"),
    ),
    Measure(
        "sensord_sink_committed",
        "counter",
        "Readings that a sink has to account for: each is one of the next four.",
        _OUT,
    ),
    Measure("sensord_sink_delivered", "counter", "Readings that a sink has passed on.", _OUT),
    Measure(
        "sensord_sink_expired",
        "counter",
        "Readings that were given up: the backlog was too long, or a dead letter was dropped.",
        _OUT,
    ),
    Measure(
        "sensord_sink_dead_letters", "gauge", "Readings that a sink is kept from passing on.", _OUT
    ),
    Measure("sensord_sink_backlog", "gauge", "Readings that a sink has still to pass on.", _OUT),
    Measure(
        "sensord_sink_backlog_age_seconds",
        "gauge",
        "How old the first reading of the backlog is, by its own time; 0 without a backlog.",
        _OUT,
    ),
    Measure("sensord_store_ready", "gauge", "1 while commits succeed."),
    Measure("sensord_store_full", "gauge", "1 while so much is waiting that devices have to wait."),
    Measure("sensord_store_pending", "gauge", "Received items that wait for their commit."),
    Measure(
        "sensord_store_pending_limit", "gauge", "max_pending: at 80 % of it, devices have to wait."
    ),
    Measure(
        "sensord_store_commit_duration_seconds",
        "histogram",
        "How long commits took, from when they were begun until they were on the disk.",
    ),
    Measure(
        "sensord_store_commit_items", "histogram", "How many received items shared each commit."
    ),
    Measure("sensord_store_commit_failures", "counter", "Attempts to commit that were in vain."),
    Measure(
        "sensord_store_readable",
        "gauge",
        "0 if the database could not be read for this scrape: all that it counts is missing then.",
    ),
    Measure("sensord_store_readings", "gauge", "Readings in the journal."),
    Measure("sensord_store_readings_expired", "counter", "Readings that retention has removed."),
    Measure("sensord_store_quarantine_frames", "gauge", "Frames that are kept in quarantine."),
    Measure("sensord_store_quarantine_limit", "gauge", "max_quarantine: beyond it, the oldest go."),
    Measure(
        "sensord_store_quarantine_dropped",
        "counter",
        "Frames that went from the quarantine since it was full.",
    ),
    Measure("sensord_store_database_bytes", "gauge", "Size of the database."),
    Measure("sensord_store_wal_bytes", "gauge", "Size of its write-ahead log."),
    Measure(
        "sensord_devices",
        "gauge",
        "Devices by their state: awake, asleep, overdue or lost.",
        ("listener", "state", "described"),
    ),
    Measure(
        "sensord_devices_status",
        "gauge",
        "Devices by the worst status of their values: normal, warning or critical.",
        ("status",),
    ),
    Measure(
        "sensord_commands",
        "gauge",
        "Commands that are kept, by what became of them: pending, sent, expired or refused.",
        ("state",),
    ),
    Measure(
        "sensord_hubs",
        "gauge",
        "Hubs by their state: starting, running, stopping, stopped, waiting or failed. Only of a"
        " hub manager.",
        ("state",),
    ),
)

"""
Metrics for Prometheus: what a gateway knows of itself, read when somebody asks for it.

A scrape never blocks the reactor: what the database counts is asked for on the reader's thread. If
there is no answer in time, the scrape is answered without: that nothing can be read is what one
wants to see then.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sized
from functools import partial
from itertools import product
from platform import python_version
from typing import TYPE_CHECKING, Any, Protocol

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from twisted.copyright import version as framework
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.error import UnsupportedMethod
from twisted.web.http import INTERNAL_SERVER_ERROR
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET

import sensord
from sensord.config import Settings
from sensord.control.answers import Way
from sensord.control.sending import Outlet
from sensord.measures import MEASURES
from sensord.presence import Presence, Record, State
from sensord.rarely import Rarely
from sensord.store.commits import Histogram
from sensord.store.service import Store
from sensord.store.stock import Stock, stock

if TYPE_CHECKING:
    from sensord.hubs.manager import Manager

#: Seconds that the database has for its answer. Prometheus waits for ten, unless told otherwise.
PATIENCE = 5.0

#: The newer one of the formats. The older is what everybody understands.
_OPEN = "application/openmetrics-text"

#: What stands for all that the configuration does not name: listeners of earlier times, and what
#: the program that embeds the gateway has recorded. No listener can be called so.
OTHER = "(other)"

#: All states, so that each is there before it is met: alerts need what is 0.
_WAYS = ("open", "closed", "absent", "stopped")
_SINKS = ("flowing", "retrying", "misconfigured", "paused", "held")
_COMMANDS = ("pending", "sent", "expired", "refused")
_STATUSES = ("normal", "warning", "critical")
_HUBS = ("starting", "running", "stopping", "stopped", "waiting", "failed")

#: A name in the table of measures, the values of the labels, and a number; or what a histogram or
#: an info consists of.
Sample = tuple[str, tuple[str, ...], Any]


class Watched(Protocol):
    """
    What metrics are about: a L{Gateway<sensord.gateway.Gateway>}.
    """

    @property
    def settings(self) -> Settings:
        """
        Those in effect.
        """

    @property
    def store(self) -> Store:
        """
        The storage service.
        """

    @property
    def presence(self) -> Presence:
        """
        Who was heard when.
        """

    @property
    def listeners(self) -> Mapping[str, Way]:
        """
        The ways in, by name.
        """

    @property
    def sinks(self) -> Mapping[str, Outlet]:
        """
        The ways out, by name.
        """

    @property
    def hubs(self) -> "Manager | None":
        """
        The hub manager.
        """


class Metrics:
    """
    The metrics of a gateway, in a registry of their own: whoever embeds several gateways has
    metrics of each.

    @param clock: measures how long the database takes to answer.
    """

    _log = Logger()

    def __init__(self, clock: Any, gateway: Watched) -> None:
        self._clock = clock
        self._gateway = gateway
        self._rarely = Rarely(self._log, clock)
        self._waiters: list[Deferred[Stock | None]] = []
        self._asking = False
        self._process = ProcessCollector(registry=None)

    def resource(self) -> IResource:
        """
        The page that Prometheus reads.
        """
        return _Page(self)

    async def exposition(self, accept: str = "") -> tuple[str, bytes]:
        """
        All metrics as they are just now.

        @param accept: the formats that are understood, as HTTP has it.
        @return: the format, and the text in it.
        """
        snapshot = _Snapshot(self._gateway, await self._look())
        registry = CollectorRegistry()
        registry.register(snapshot)
        registry.register(self._process)
        # Not all that it says: the library trips over versions that are none.
        encode, format = choose_encoder(_OPEN if _OPEN in accept else "")
        return format, encode(registry)

    def _look(self) -> Deferred[Stock | None]:
        """
        Ask the database, unless it is being asked already: all who wait get one answer.

        @return: fires with L{None} if it does not answer.
        """
        waiter: Deferred[Stock | None] = Deferred()
        self._waiters.append(waiter)
        waiter.addTimeout(PATIENCE, self._clock).addErrback(self._late, waiter)
        if not self._asking:
            self._asking = True
            store = self._gateway.store
            asked = maybeDeferred(store.read, partial(stock, store.archive.path))
            asked.addErrback(self._failed).addCallback(self._answered)
        return waiter

    def _late(self, _failure: Failure, waiter: Deferred[Stock | None]) -> None:
        self._waiters.remove(waiter)
        self._complain(f"no answer in {PATIENCE:g} s")

    def _failed(self, failure: Failure) -> None:
        self._complain(failure.getErrorMessage() or type(failure.value).__name__)

    def _answered(self, answer: Stock | None) -> None:
        self._asking = False
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(answer)

    def _complain(self, why: str) -> None:
        self._rarely.warn("unread", "", "metrics lack what the database counts: {why}", why=why)


#: How it is asked for.
_METHODS = (b"GET", b"HEAD")


class _Page(Resource):
    """
    Answers a scrape as soon as the database has answered.
    """

    isLeaf = True
    _log = Logger()

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self._metrics = metrics

    def render(self, request: Any) -> int:
        """
        See L{IResource.render}.
        """
        if request.method not in _METHODS:
            raise UnsupportedMethod(_METHODS)
        gone: list[object] = []
        request.notifyFinish().addBoth(gone.append)
        Deferred.fromCoroutine(self._answer(request, gone)).addErrback(
            lambda failure: self._log.failure("metrics", failure)
        )
        return NOT_DONE_YET

    async def _answer(self, request: Any, gone: Sized) -> None:
        """
        @param gone: empty as long as somebody waits.
        """
        try:
            format, text = await self._metrics.exposition(request.getHeader("accept") or "")
        except Exception:
            self._log.failure("metrics")
            format, text = "text/plain", b"the metrics are broken; the log says how\n"
            request.setResponseCode(INTERNAL_SERVER_ERROR)
        if not gone:
            request.setHeader("content-type", format)
            request.setHeader("content-length", str(len(text)))
            request.setHeader("cache-control", "no-store")
            request.write(text)
            request.finish()


class _Snapshot(Collector):
    """
    One look at a gateway.

    @param stock: what its database has counted; L{None} if that is not to be known.
    """

    def __init__(self, gateway: Watched, stock: Stock | None) -> None:
        self._gateway = gateway
        self._stock = stock

    def describe(self) -> Iterable[Metric]:
        """
        All that there may be. (Without this, registering it would be a look of its own.)
        """
        return [measure.family() for measure in MEASURES]

    def collect(self) -> Iterable[Metric]:
        """
        All that there is.
        """
        families = {measure.name: measure.family() for measure in MEASURES}
        for part in (self._build, self._inward, self._outward, self._kept, self._met):
            for name, labels, value in part():
                if isinstance(value, Histogram):
                    families[name].add_metric(labels, _buckets(value), value.sum)
                else:
                    families[name].add_metric(labels, value)
        return families.values()

    def _build(self) -> Iterator[Sample]:
        versions = {"version": sensord.__version__, "python": python_version()}
        yield "sensord_build", (), {**versions, "twisted": framework}

    def _inward(self) -> Iterator[Sample]:
        """
        Of listeners.
        """
        gateway, ways = self._gateway, self._gateway.listeners
        wires = {one.name: one.wire for one in gateway.settings.listeners}
        for name, way in ways.items():
            yield "sensord_listener", (name,), {"wire": wires.get(name, "")}
            for state, here in _oneOf(_WAYS, way.state):
                yield "sensord_listener_state", (name, state), here
            yield "sensord_listener_connections", (name,), way.connected
            factory = getattr(way, "factory", None)  # what has no port has none
            if (refused := getattr(factory, "refused", None)) is not None:
                yield "sensord_listener_connections_refused", (name,), refused
        if self._stock is None:
            return
        columns = {
            "sensord_listener_received": "received",
            "sensord_listener_committed": "committed",
            "sensord_listener_duplicates": "duplicate",
            "sensord_listener_rejected": "rejected",
            "sensord_listener_quarantined": "quarantined",
        }
        ledger = self._stock.ledger
        for measure, column in columns.items():
            counts = Counter(dict.fromkeys(ways, 0))
            for name, account in ledger.items():
                counts[name if name in ways else OTHER] += getattr(account, column)
            for name, count in counts.items():
                yield measure, (name,), count

    def _outward(self) -> Iterator[Sample]:
        """
        Of sinks.
        """
        now = self._gateway.presence.now()
        for name, sink in self._gateway.sinks.items():
            yield "sensord_sink", (name,), {"kind": sink.kind}
            for state, here in _oneOf(_SINKS, sink.state):
                yield "sensord_sink_state", (name, state), here
            line = None if self._stock is None else self._stock.sinks.get(name)
            if line is not None:
                age = 0.0 if line.oldest is None else max(0.0, now - line.oldest / 1e6)
                yield "sensord_sink_committed", (name,), line.committed
                yield "sensord_sink_delivered", (name,), line.delivered
                yield "sensord_sink_expired", (name,), line.expired
                yield "sensord_sink_dead_letters", (name,), line.dead
                yield "sensord_sink_backlog", (name,), line.backlog
                yield "sensord_sink_backlog_age_seconds", (name,), age

    def _kept(self) -> Iterator[Sample]:
        """
        Of the store, and of what else it keeps.
        """
        store, settings, stock = self._gateway.store, self._gateway.settings.store, self._stock
        yield "sensord_store_ready", (), store.ready
        yield "sensord_store_full", (), store.full
        yield "sensord_store_pending", (), store.pending
        yield "sensord_store_pending_limit", (), settings.max_pending
        yield "sensord_store_commit_duration_seconds", (), store.commits.seconds
        yield "sensord_store_commit_items", (), store.commits.items
        yield "sensord_store_commit_failures", (), store.commits.failed
        yield "sensord_store_quarantine_limit", (), settings.max_quarantine
        yield "sensord_store_readable", (), stock is not None
        if stock is None:
            return
        committed = sum(account.committed for account in stock.ledger.values())
        yield "sensord_store_readings", (), committed - stock.expired
        yield "sensord_store_readings_expired", (), stock.expired
        yield "sensord_store_quarantine_frames", (), stock.quarantine
        yield "sensord_store_quarantine_dropped", (), stock.dropped
        yield "sensord_store_database_bytes", (), stock.size
        yield "sensord_store_wal_bytes", (), stock.log
        for state in _COMMANDS:
            yield "sensord_commands", (state,), stock.commands.get(state, 0)

    def _met(self) -> Iterator[Sample]:
        """
        Of devices and hubs.
        """
        gateway, presence = self._gateway, self._gateway.presence
        described = {device.address for device in gateway.settings.devices}
        known = {address: presence.get(address) or Record(address, "") for address in described}
        known |= {record.address: record for record in presence if record.heard}
        counts = dict.fromkeys(
            product(gateway.listeners, (state.value for state in State), ("true", "false")), 0
        )
        now = presence.now()
        for address, record in known.items():
            name = address.partition("/")[0]
            place = name if name in gateway.listeners else OTHER
            told = "true" if address in described else "false"
            labels = place, presence.state(record, now).value, told
            counts[labels] = counts.get(labels, 0) + 1
        for labels, count in counts.items():
            yield "sensord_devices", labels, count
        if self._stock is not None:
            statuses = dict(self._stock.statuses)
            statuses["normal"] = max(0, len(known) - sum(statuses.values()))
            for status in _STATUSES:
                yield "sensord_devices_status", (status,), statuses.get(status, 0)
        if gateway.hubs is not None:
            states = Counter(dict.fromkeys(_HUBS, 0))
            states.update(hub.state for hub in gateway.hubs.list())
            for state, count in states.items():
                yield "sensord_hubs", (state,), count


def _oneOf(states: Collection[str], state: str) -> list[tuple[str, bool]]:
    """
    All states, each with whether it is this one.
    """
    return [(one, one == state) for one in dict.fromkeys((*states, state))]


def _buckets(histogram: Histogram) -> list[tuple[str, int]]:
    return [
        ("+Inf" if bound == float("inf") else str(bound), count)
        for bound, count in histogram.buckets()
    ]

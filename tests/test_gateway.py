"""
Tests for L{sensord.gateway}.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sensord import Gateway, outlets
from sensord.config import ConfigError, parse
from sensord.outlets import SinkSettings
from sensord.sinks import kinds
from sensord.store.archive import Archive
from sensord.store.audit import audit
from sensord.store.schema import StoreError
from tests.sinks.support import MemorySink
from tests.store.support import sql

T = TypeVar("T")


class InlineWorker:
    """
    Runs blocking calls at once, so that nothing has to be waited for.
    """

    def __init__(self) -> None:
        self.running = False
        self._held: list[tuple[Deferred[Any], Callable[[], Any]]] | None = None

    def start(self) -> None:
        """
        See L{sensord.worker.Worker.start}.
        """
        self.running = True

    def stop(self) -> None:
        """
        See L{sensord.worker.Worker.stop}.
        """
        self.running = False

    def run(self, call: Callable[[], T]) -> Deferred[T]:
        """
        See L{sensord.worker.Worker.run}.
        """
        assert self.running
        made: Deferred[T] = Deferred()
        if self._held is None:
            made = execute(call)
        else:
            self._held.append((made, call))
        return made

    def hold(self) -> None:
        """
        Let calls wait from now on.
        """
        self._held = []

    def drop(self, error: Exception) -> None:
        """
        Let what waited fail.
        """
        held, self._held = self._held or [], None
        for deferred, _call in held:
            deferred.errback(error)

    def leave(self) -> None:
        """
        See L{sensord.worker.Worker.leave}.
        """
        self.stop()

    def release(self) -> None:
        """
        Run what waited.
        """
        held, self._held = self._held or [], None
        for deferred, call in held:
            execute(call).chainDeferred(deferred)


class GatewayTestCase(SynchronousTestCase):
    """
    A gateway on a reactor without sockets.
    """

    def setUp(self) -> None:
        """
        A folder for the database.
        """
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.path = self.folder / "fire.sqlite"
        self.workers: list[InlineWorker] = []
        self.sinks: list[dict[str, object]] = []
        self.reactor: Any = MemoryReactorClock()
        self.reactor.advance(1_795_194_650.5)

    def work(self, reactor: object, name: str) -> InlineWorker:
        """
        Make the workers of a gateway: the writer first.
        """
        self.workers.append(InlineWorker())
        return self.workers[-1]

    def build(self, *listeners: dict[str, object], **store: object) -> Gateway:
        """
        A gateway with PoE listeners.
        """
        plain = {"name": "poe", "wire": "poe", "listen": "tcp:1234", "ack": True}
        return Gateway(
            self.reactor,
            {
                "store": {"path": str(self.path), **store},
                "listeners": [{**plain, **more} for more in listeners or ({},)],
                "sinks": self.sinks,
            },
            self.work,  # type: ignore[arg-type]
        )

    def start(self, *listeners: dict[str, object], **store: object) -> Gateway:
        """
        One that runs.
        """
        gateway = self.build(*listeners, **store)
        gateway.startService()
        return gateway

    def connect(self, place: int = 0) -> tuple[Any, StringTransport]:
        """
        A device connects to a port.
        """
        factory = self.reactor.tcpServers[place][1]
        protocol = factory.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def stop(self, gateway: Gateway) -> None:
        """
        Stop it, and let a second pass.
        """
        stopped = gateway.stopService()
        self.reactor.pump([0.05] * 40)
        self.successResultOf(stopped)


class GatewayTests(GatewayTestCase):
    """
    L{Gateway} as somebody's own program uses it.
    """

    def test_recorded(self) -> None:
        """
        A frame that comes in is stored, told to those who follow, and acknowledged.
        """
        gateway = self.start()
        told: list[object] = []
        gateway.store.follow(lambda readings: told.extend(one.value for one in readings))
        protocol, transport = self.connect()
        protocol.dataReceived(b"\1\1\4\x48")
        self.assertEqual((told, transport.value()), ([], b""))
        self.reactor.advance(0.005)
        self.assertEqual((told, transport.value()), ([72], b"\x06"))
        [current] = self.successResultOf(gateway.store.latest())
        self.assertEqual(
            (current.device, current.name, current.value, current.status),
            ("poe/local", "temperature.1", 72, "normal"),
        )

    def test_stopStores(self) -> None:
        """
        Stopping stores and acknowledges what was received a moment ago.
        """
        gateway = self.start()
        protocol, transport = self.connect()
        protocol.dataReceived(b"\1\1\4\x48")
        self.stop(gateway)
        self.assertEqual(transport.value(), b"\x06")
        self.assertTrue(transport.disconnecting)
        result = audit(Archive(self.path))
        self.assertEqual((result.readings, result.faults), (1, []))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_sinks(self) -> None:
        """
        What was committed is passed on to a sink, and what came in at the last moment is passed on
        after the next start.
        """
        sink = MemorySink()
        self.patch(outlets, "KINDS", {"memory": SinkSettings})
        self.patch(kinds, "SINKS", {"memory": lambda *arguments: sink})
        self.sinks = [{"name": "one", "kind": "memory"}]
        gateway = self.start()
        protocol, _transport = self.connect()
        protocol.dataReceived(b"\1\1\4\x48")
        self.reactor.pump([0.5] * 4)
        self.assertEqual(sink.values, [0x48])
        protocol.dataReceived(b"\1\1\4\x49")
        self.stop(gateway)
        self.assertEqual(sink.values, [0x48])
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        again = self.start()
        self.assertEqual(sink.values, [0x48, 0x49])
        self.stop(again)
        (line,) = audit(Archive(self.path)).sinks
        self.assertEqual((line.committed, line.delivered, line.backlog), (2, 2, 0))

    def test_stray(self) -> None:
        """
        The log warns of a sink that the configuration no longer has, for which readings are kept.
        """
        self.stop(self.start())
        sql(self.path, "INSERT INTO cursors (sink, position) VALUES ('old', 0)")
        with capturedLogs() as events:
            gateway = self.start()
        lines = [formatEvent(event) or "" for event in events]
        [line] = [line for line in lines if "sink" in line]
        self.assertTrue(line.startswith("old: is no sink of the configuration any more"), line)
        self.assertIn('"sensord sinks forget old"', line)
        self.stop(gateway)

    def test_perListener(self) -> None:
        """
        The ledger knows each listener by its name.
        """
        gateway = self.start({}, {"name": "barn", "listen": "tcp:1235"})
        self.connect(0)[0].dataReceived(b"\1\1\4\x48" * 3)
        self.connect(1)[0].dataReceived(b"\1\1\4\x48\1\1\x09\x48")
        self.stop(gateway)
        accounts = audit(Archive(self.path)).accounts
        self.assertEqual(
            [(one.listener, one.received, one.committed, one.rejected) for one in accounts],
            [("barn", 2, 1, 1), ("poe", 3, 3, 0)],
        )

    def test_held(self) -> None:
        """
        Devices wait when too much waits to be stored, and go on when it is.
        """
        self.start(max_pending=100)
        protocol, transport = self.connect()
        self.workers[0].hold()
        protocol.dataReceived(b"\1\1\4\x48" * 80)
        self.assertEqual(transport.producerState, "paused")
        self.workers[0].release()
        self.reactor.advance(0.01)
        self.assertEqual(transport.producerState, "producing")

    def test_notTables(self) -> None:
        """
        Settings that are wrong are refused as those of a file are.
        """
        error = self.assertRaises(ConfigError, self.build, {"wire": "pow"})
        self.assertEqual(
            error.faults,
            [
                'settings: [[listeners]] "poe" wire: "pow" is not one of esp8266, poe, lines,'
                ' websocket, serial, rfm2pi, mqtt, http; did you mean "poe"?'
            ],
        )

    def test_builtOnly(self) -> None:
        """
        Nothing is opened before the start.
        """
        self.build()
        self.assertFalse(self.path.exists())
        self.assertEqual(self.reactor.tcpServers, [])

    def test_badEndpoint(self) -> None:
        """
        A start that fails lets go of the database and of the ports that were opened.
        """
        gateway = self.build({}, {"name": "barn", "listen": "tpc:1"})
        self.assertRaises(ConfigError, gateway.startService)
        self.assertFalse(gateway.running)
        self.assertEqual(list(self.folder.iterdir()), [self.path])

    def test_noFolder(self) -> None:
        """
        A database that cannot be opened raises what says so.
        """
        self.path = self.folder / "nowhere" / "fire.sqlite"
        self.assertRaises(StoreError, self.start)

    def test_again(self) -> None:
        """
        A gateway that was stopped can be started again.
        """
        gateway = self.start()
        self.stop(gateway)
        gateway.startService()
        protocol, transport = self.connect(-1)
        protocol.dataReceived(b"\1\1\4\x48")
        self.reactor.advance(0.005)
        self.assertEqual(transport.value(), b"\x06")
        self.stop(gateway)

    def test_taken(self) -> None:
        """
        A port that is taken raises.
        """

        def taken(port: int, factory: object, backlog: int = 50, interface: str = "") -> object:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))

        self.reactor.listenTCP = taken
        self.assertRaises(CannotListenError, self.start)


class ReloadTests(GatewayTestCase):
    """
    Other settings, while it runs.
    """

    def setUp(self) -> None:
        """
        A gateway with a device that has sent something.
        """
        super().setUp()
        self.gateway = self.start()
        self.protocol, self.transport = self.connect()
        self.send(0x48)

    def tearDown(self) -> None:
        """
        It stops orderly, and its ledger balances.
        """
        self.stop(self.gateway)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(audit(Archive(self.path)).faults, [])

    def send(self, value: int, place: int = -1) -> None:
        """
        The device sends a temperature, which is acknowledged.
        """
        before = len(self.transport.value())
        self.protocol.dataReceived(bytes([1, 1, 4, value]))
        self.reactor.pump([0.005, 0.005])
        self.assertEqual(self.transport.value()[before:], b"\x06")

    def ask(self, *listeners: dict[str, object], **tables: Any) -> Deferred[list[str]]:
        """
        Ask for other settings.
        """
        plain = {"name": "poe", "wire": "poe", "listen": "tcp:1234", "ack": True}
        wanted: dict[str, Any] = {
            "store": {"path": str(self.path)},
            "listeners": [{**plain, **more} for more in listeners or ({},)],
            **tables,
        }
        done = self.gateway.reload(parse(wanted))
        self.reactor.pump([0.05] * 40)
        return done

    def change(self, *listeners: dict[str, object], **tables: Any) -> list[str]:
        """
        Have other settings.

        @return: what is said to be different.
        """
        return self.successResultOf(self.ask(*listeners, **tables))

    def latest(self) -> list[tuple[object, ...]]:
        """
        What is known of each series.
        """
        found = self.successResultOf(self.gateway.store.latest())
        return [(one.device, one.name, one.value, one.unit, one.status) for one in found]

    def test_nothing(self) -> None:
        """
        When nothing is different, nothing happens.
        """
        held = self.gateway.listeners["poe"]
        self.assertEqual(self.change(), [])
        self.assertIs(self.gateway.listeners["poe"], held)

    def test_descriptions(self) -> None:
        """
        A device that is described while it is connected stays connected; from its next frame on the
        description counts, and so do thresholds, units and tags.
        """
        lines = self.change(
            devices=[
                {
                    "address": "poe/local",
                    "name": "hall",
                    "interval": 60,
                    "values": [{"name": "warmth", "field": "temperature.1", "unit": "K"}],
                }
            ],
            thresholds=[{"device": "hall", "name": "warmth", "critical": "> 5"}],
            tags={"site": "north"},
        )
        self.assertEqual(len(lines), 3)
        self.assertFalse(self.transport.disconnecting)
        self.send(0x49)
        self.assertIn(("hall", "warmth", 0x49, "K", "critical"), self.latest())
        record = self.gateway.presence.get("poe/local")
        assert record is not None
        self.assertEqual((record.name, record.interval, record.received), ("hall", 60, 2))
        tags = sql(self.path, "SELECT tags FROM series WHERE device = 'hall'")
        self.assertEqual(tags, [('{"site": "north"}',)])

    def test_descriptionGone(self) -> None:
        """
        A description that goes is forgotten in the same way.
        """
        described = {"address": "poe/local", "name": "hall", "interval": 60}
        self.change(devices=[described])
        self.change()
        self.send(0x49)
        self.assertEqual([one[0] for one in self.latest()], ["poe/local"])
        record = self.gateway.presence.get("poe/local")
        assert record is not None
        self.assertEqual((record.name, record.settled), ("poe/local", False))

    def test_thresholds(self) -> None:
        """
        What is already stored is judged by the thresholds of now.
        """
        self.assertEqual(self.latest()[0][-1], "normal")
        self.change(thresholds=[{"name": "temperature.1", "warning": "> 5"}])
        self.assertEqual(self.latest()[0][-1], "warning")

    def test_sparing(self) -> None:
        """
        What is known of devices and of series is only seen to when descriptions have changed.
        """
        way: Any = self.gateway.listeners["poe"]
        source = way.factory.inlet.source
        sql(self.path, "UPDATE series SET unit = 'K'")
        self.change(store={"path": str(self.path), "retention": "90d"}, commands={"ttl": "1h"})
        self.assertIs(way.factory.inlet.source, source)
        self.assertEqual(sql(self.path, "SELECT unit FROM series"), [("K",)])
        self.change(tags={"site": "north"})
        self.assertIsNot(way.factory.inlet.source, source)
        self.assertEqual(sql(self.path, "SELECT unit FROM series"), [("°F",)])
        self.send(0x49)

    def test_limits(self) -> None:
        """
        Limits change without a connection being closed, and hold for those who come.
        """
        [line] = self.change({"max_connections": 1})
        self.assertEqual(line, '[[listeners]] "poe" max_connections: 1000 -> 1')
        self.assertFalse(self.transport.disconnecting)
        self.send(0x49)
        _protocol, refused = self.connect()
        self.assertTrue(refused.disconnecting or refused.disconnected)

    def test_listeners(self) -> None:
        """
        A listener that is new is opened, one that is not wanted any more is closed, and the other
        one goes on.
        """
        self.change({}, {"name": "barn", "listen": "tcp:1235"})
        barn, transport = self.connect(-1)
        barn.dataReceived(b"\1\1\4\x50")
        self.reactor.pump([0.005, 0.005])
        self.assertEqual(transport.value(), b"\x06")
        self.change()
        self.assertTrue(transport.disconnecting)
        self.assertEqual([*self.gateway.listeners], ["poe"])
        self.assertFalse(self.transport.disconnecting)
        self.send(0x49)

    def test_reopened(self) -> None:
        """
        A listener of which more is different is closed and opened: what came is stored and
        answered before.
        """
        self.protocol.dataReceived(b"\1\1\4\x49")
        self.change({"listen": "tcp:1235"})
        self.assertEqual(self.transport.value(), b"\x06\x06")
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.reactor.tcpServers[-1][0], 1235)
        self.protocol, self.transport = self.connect(-1)
        self.send(0x50)

    def test_taken(self) -> None:
        """
        When a port is taken, everything is as it was before, and it is said why.
        """
        listen = self.reactor.listenTCP

        def taken(port: int, *arguments: Any, **more: Any) -> Any:
            if port == 1235:
                raise CannotListenError("", port, OSError(98, "Address already in use"))
            return listen(port, *arguments, **more)

        self.reactor.listenTCP = taken
        before = self.gateway.settings
        asked = self.ask({}, {"name": "barn", "listen": "tcp:1235"}, tags={"site": "north"})
        error = self.failureResultOf(asked, ConfigError).value
        self.assertEqual(
            error.faults,
            ['[[listeners]] "barn" listen: port 1235 is taken (Address already in use)'],
        )
        self.assertEqual(self.gateway.settings, before)
        self.assertEqual([*self.gateway.listeners], ["poe"])
        self.assertFalse(self.transport.disconnecting)
        self.send(0x49)
        asked = self.ask({"listen": "tcp:1235"})
        self.failureResultOf(asked, ConfigError)
        self.assertEqual(self.gateway.listeners["poe"].state, "open")
        self.protocol, self.transport = self.connect(-1)
        self.send(0x50)

    def test_sinks(self) -> None:
        """
        A sink whose settings change goes on where it was; one that comes begins, and one that goes
        ends.
        """
        sinks: list[MemorySink] = []

        def make(*arguments: object) -> MemorySink:
            sinks.append(MemorySink())
            return sinks[-1]

        self.patch(outlets, "KINDS", {"memory": SinkSettings})
        self.patch(kinds, "SINKS", {"memory": make})
        one = {"name": "one", "kind": "memory", "interval": 0.1}
        self.change(sinks=[{**one, "start": "beginning"}])
        self.reactor.pump([0.1] * 5)
        self.assertEqual([sink.values for sink in sinks], [[0x48]])
        self.send(0x49)
        self.change(sinks=[one])
        self.send(0x50)
        self.reactor.pump([0.1] * 5)
        self.assertEqual([sink.values for sink in sinks], [[0x48], [0x49, 0x50]])
        self.assertFalse(self.transport.disconnecting)
        self.change()
        self.assertEqual(self.gateway.sinks, {})
        self.send(0x51)
        self.reactor.pump([0.1] * 5)
        self.assertEqual(sinks[-1].values, [0x49, 0x50])

    def test_store(self) -> None:
        """
        The limits of the store change; its path stays until the next start.
        """
        lines = self.change(store={"path": "else.sqlite", "commit_window": 1.0})
        self.assertEqual(len(lines), 2)
        self.protocol.dataReceived(b"\1\1\4\x49")
        self.reactor.advance(0.5)
        self.assertEqual(self.transport.value(), b"\x06")
        self.reactor.advance(0.6)
        self.assertEqual(self.transport.value(), b"\x06\x06")
        again = self.change(store={"path": "else.sqlite", "commit_window": 1.0})
        self.assertEqual(again, [lines[0]])

    def test_unwritable(self) -> None:
        """
        When the database cannot be written just now, the settings are in effect all the same, and
        the log says what is missing.
        """
        self.workers[0].hold()
        asked = self.ask(thresholds=[{"name": "temperature.1", "warning": "> 5"}])
        self.assertNoResult(asked)
        with capturedLogs() as captured:
            self.workers[0].drop(OSError("the disk is full"))
            self.successResultOf(asked)
        self.assertEqual(
            [formatEvent(event) for event in captured],
            ["the database does not say what is new: the disk is full"],
        )

    def test_stopped(self) -> None:
        """
        A gateway that does not run takes none.
        """
        self.stop(self.gateway)
        error = self.failureResultOf(self.ask({}, tags={"a": "b"}), ConfigError).value
        self.assertEqual(error.faults, ["the daemon is stopping"])
        self.gateway.startService()

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
from sensord.config import ConfigError
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

    def release(self) -> None:
        """
        Run what waited.
        """
        held, self._held = self._held or [], None
        for deferred, call in held:
            execute(call).chainDeferred(deferred)


class GatewayTests(SynchronousTestCase):
    """
    L{Gateway} as somebody's own program uses it.
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
                ' websocket, serial, rfm2pi, mqtt; did you mean "poe"?'
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

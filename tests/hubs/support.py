"""
What the tests of hubs share: processes that are none, and a manager whose broker says what a test
has it say.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import json
from twisted.internet.defer import Deferred, execute
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sensord.broker import Broker
from sensord.config import Settings, parse
from sensord.hubs.desk import COMMANDS, REPLIES, STATUS
from sensord.hubs.manager import Manager
from sensord.supervision import STARTED
from tests.mqtt import PUBLISH, Endpoint, connack, message

#: When the tests take place: 2026-11-20T17:10:50Z, in seconds since the epoch.
NOW = 1_795_194_650.0

MEGA = 2**20


class Process:
    """
    A process.

    @ivar protocol: what is told of it.
    @ivar signals: what it was sent.
    @ivar stubborn: whether it does not care for SIGTERM.
    @ivar deaf: whether it keeps its output when it has ended.
    """

    def __init__(self, pid: int, protocol: Any, arguments: list[str], folder: str) -> None:
        self.pid: int | None = pid
        self.protocol = protocol
        self.arguments = arguments
        self.folder = folder
        self.signals: list[str] = []
        self.stubborn = self.deaf = False
        self._reason = Failure(ProcessDone(0))

    def signalProcess(self, name: str) -> None:
        """
        Send it a signal.
        """
        if self.pid is None:
            raise ProcessExitedAlready
        self.signals.append(name)
        if name == "KILL":
            self.end(signal=9)
        elif name == "TERM" and not self.stubborn:
            self.end()

    def loseConnection(self) -> None:
        """
        Hear no more of it.
        """
        self.deaf = False
        self.protocol.processEnded(self._reason)

    def say(self, text: str) -> None:
        """
        It says something.
        """
        self.protocol.outReceived(text.encode())

    def started(self) -> None:
        """
        It says that it has started.
        """
        self.say(f"2026-11-20T17:10:51+0000 [sensord.tap.Daemon#info] {STARTED}\n")

    def end(self, code: int = 0, signal: int | None = None) -> None:
        """
        It ends.
        """
        if code or signal:
            self._reason = Failure(ProcessTerminated(code or None, signal, None))
        self.pid = None
        self.protocol.processExited(self._reason)
        if not self.deaf:
            self.protocol.processEnded(self._reason)


class Processes:
    """
    All processes.

    @ivar all: in the order in which they were started.
    @ivar memory: the bytes that each has, by its number.
    @ivar why: why there can be none; L{None} if there can.
    """

    def __init__(self) -> None:
        self.all: list[Process] = []
        self.memory: dict[int, int] = {}
        self.why: OSError | None = None

    @property
    def last(self) -> Process:
        """
        The latest.
        """
        return self.all[-1]

    @property
    def running(self) -> list[str]:
        """
        The names of the configurations of all that run.
        """
        return [one.arguments[-2] for one in self.all if one.pid is not None]

    def spawn(
        self,
        protocol: Any,
        executable: str,
        args: list[str],
        env: Mapping[str, str] | None,
        path: str,
        childFDs: Mapping[int, Any],
    ) -> Process:
        """
        Start one.
        """
        if self.why is not None:
            raise self.why
        assert childFDs[0] == "w"  # through which it notices that we are gone
        process = Process(1000 + len(self.all), protocol, args, path)
        self.all.append(process)
        protocol.makeConnection(process)
        return process

    def resident(self, pid: int) -> int:
        """
        What one has in memory.
        """
        return self.memory.get(pid, 50 * MEGA)


class ManagerTestCase(SynchronousTestCase):
    """
    A manager in a folder of its own, whose processes are none.

    @ivar held: calls that block, if they are to wait.
    """

    def setUp(self) -> None:
        """
        Nothing has started yet.
        """
        self.clock = Clock()
        self.clock.advance(NOW)
        self.endpoint = Endpoint()
        self.processes = Processes()
        self.folder = Path(self.mktemp()).absolute()
        self.held: list[tuple[Deferred[Any], Any]] | None = None

    def settings(self, **hubs: Any) -> Settings:
        """
        The settings of a manager.
        """
        table = {"folder": str(self.folder), "version": "3.1.1", **hubs}
        return parse({"listeners": [], "hubs": table})

    def make(self, settings: Settings | None = None) -> Manager:
        """
        A manager.
        """
        return Manager(
            self.clock,
            settings or self.settings(),
            self.run_,
            self.clock.seconds,
            self.processes.spawn,
            partial(Broker, connect=lambda: self.endpoint, chance=lambda: 0.0),
            self.processes.resident,
        )

    def launch(self, settings: Settings | None = None) -> Manager:
        """
        A manager that runs.
        """
        manager = self.make(settings)
        manager.startService()
        self.addCleanup(self.leave, manager)
        return manager

    def leave(self, manager: Manager) -> None:
        """
        Stop it, and leave nothing behind.
        """
        if manager.running:
            for process in self.processes.all:
                process.stubborn = False
            stopped = manager.stopService()
            self.clock.pump([0.5] * 80)
            self.successResultOf(stopped)
        self.assertEqual(self.processes.running, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def run_(self, call: Any) -> Deferred[Any]:
        """
        Run what blocks, now or when it is told to.
        """
        if self.held is None:
            return execute(call)
        made: Deferred[Any] = Deferred()
        self.held.append((made, call))
        return made

    def release(self) -> None:
        """
        Run what waits.
        """
        held, self.held = self.held or [], None
        for made, call in held:
            execute(call).chainDeferred(made)

    def do(self, manager: Manager, action: str, hub: str, group: str = "") -> Any:
        """
        Have something done.

        @return: how the hub is.
        """
        return self.successResultOf(self.doing(manager, action, hub, group))

    def doing(self, manager: Manager, action: str, hub: str, group: str = "") -> Deferred[Any]:
        """
        Begin to do something.
        """
        return Deferred.fromCoroutine(manager.do(action, hub, group, "somebody"))

    def states(self, manager: Manager) -> dict[str, str]:
        """
        How all hubs are.
        """
        return {one.hub: one.state for one in manager.list()}

    def greet(self) -> None:
        """
        The broker takes us.
        """
        self.endpoint.transport.say(connack())
        self.clock.advance(0)

    def heard(self) -> list[tuple[str, Any, bool]]:
        """
        What was said since the last time: the topic, what it says, and whether the broker keeps it.
        """
        self.clock.advance(0)
        sent = [one for one in self.endpoint.transport.answer() if one.kind == PUBLISH]
        return [
            (one.topic, json.decode(one.payload) if one.payload else None, bool(one.flags & 1))
            for one in sent
        ]

    def ask(self, payload: object, mid: int = 1, retain: bool = False) -> None:
        """
        Somebody says something to the manager.
        """
        data = payload if isinstance(payload, bytes) else json.encode(payload)
        self.endpoint.transport.say(message(COMMANDS, data, mid, retain))

    def replies(self) -> list[Any]:
        """
        What it has answered since the last time.
        """
        return [what for topic, what, _kept in self.heard() if topic == REPLIES]

    def told(self) -> list[tuple[str, Any]]:
        """
        What it has said of hubs since the last time.
        """
        stem = f"{STATUS}/"
        heard = [one for one in self.heard() if one[0].startswith(stem)]
        self.assertEqual([one for one in heard if not one[2]], [])
        return [(topic.removeprefix(stem), what) for topic, what, _kept in heard]

"""
A whole gateway on the real reactor, which a device on a real socket feeds, for tests of what
becomes of readings while something else is broken.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase

from sensord import Gateway
from sensord.reading import Reading, Value
from sensord.sinks import delivery
from sensord.store import journal
from sensord.store.archive import Archive
from sensord.store.audit import audit
from tests.integration.daemon import PATIENCE
from tests.integration.loop import pause, reactor

#: By device and name: the values by their times.
Series = dict[tuple[str, str], dict[int, Value]]

#: What the log says when a sink begins to fail, and when it has recovered.
FAILED, RECOVERED = "readings cannot be passed on", "readings are passed on again"

#: What stands for a traceback in the log.
TRACEBACK = "Traceback"

LISTENER = {
    "name": "lines",
    "wire": "lines",
    "listen": "tcp:0:interface=127.0.0.1",
    "ack": True,
}

#: One device that is described; others are called by their addresses.
BALCONY = {
    "address": "lines/15",
    "name": "balcony",
    "values": [{"name": "temperature"}, {"name": "humidity"}],
}

#: Seconds between two attempts: at first, at most, and while somebody has to do something.
_FIRST, _MOST, _MISCONFIGURED = 0.03, 0.1, 0.1

#: Seconds in which readings are gathered before they are passed on.
_INTERVAL = 0.02


class Device(Protocol):
    """
    Says lines, and waits until each is acknowledged.

    @ivar said: how many lines were.
    """

    transport: Any

    def __init__(self) -> None:
        self.said = 0
        self._open = 0
        self._heard = b""
        self._waiting: Deferred[None] = Deferred()

    def send(self, count: int) -> Deferred[None]:
        """
        Send messages of two devices, of two values each, all different.

        @return: fires when all are stored.
        """
        numbers = range(self.said, self.said + count)
        return self.say(f"{15 + number % 2} {number} {number}.5" for number in numbers)

    def say(self, lines: Iterable[str]) -> Deferred[None]:
        """
        Say lines.

        @return: fires when all are stored.
        """
        assert not self._open
        told = list(lines)
        self.said += len(told)
        self._open = len(told)
        self._waiting = Deferred()
        self.transport.write("".join(f"{line}\r\n" for line in told).encode())
        return self._waiting

    def dataReceived(self, data: bytes) -> None:
        """
        Some are.
        """
        *answers, self._heard = (self._heard + data).split(b"\r\n")
        assert set(answers) <= {b"ok"}, answers
        self._open -= len(answers)
        if not self._open:
            self._waiting.callback(None)


class GatewayTestCase(TestCase):
    """
    A gateway that does not wait for long.

    @ivar log: what it has said, line by line.
    """

    timeout = PATIENCE

    def setUp(self) -> None:
        """
        Make a folder, and hear what is logged.
        """
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.log: list[str] = []
        observer: Any = self._note
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.patch(delivery, "FIRST", _FIRST)
        self.patch(delivery, "MOST", _MOST)
        self.patch(delivery, "MISCONFIGURED", _MISCONFIGURED)

    def launch(
        self,
        *sinks: Mapping[str, Any],
        devices: Sequence[Mapping[str, Any]] = (BALCONY,),
        listeners: Sequence[Mapping[str, Any]] = (LISTENER,),
    ) -> Gateway:
        """
        Start a gateway in the folder.
        """
        gateway = Gateway(
            reactor(),
            {
                "store": {"path": str(self.folder / "sensord.sqlite")},
                "control": {"socket": ""},
                "listeners": listeners,
                "devices": devices,
                "sinks": [{"interval": _INTERVAL, **sink} for sink in sinks],
            },
            now=time.time,
        )
        gateway.startService()
        self.addCleanup(self.end, gateway)
        return gateway

    async def end(self, gateway: Gateway) -> None:
        """
        Stop it, unless it is stopped.
        """
        if gateway.running:
            await gateway.stopService()

    async def device(self, gateway: Gateway) -> Device:
        """
        A device connects.
        """
        address: Any = gateway.listeners["lines"].address  # type: ignore[union-attr]
        where = TCP4ClientEndpoint(reactor(), "127.0.0.1", address.port)
        device = await where.connect(Factory.forProtocol(Device))
        assert isinstance(device, Device)
        self.addCleanup(device.transport.abortConnection)
        return device

    async def flowed(self, gateway: Gateway) -> None:
        """
        Wait until all that is stored is dealt with by every sink.
        """
        while True:
            lines = await gateway.store.read(journal.figures)
            states = {sink.state for sink in gateway.sinks.values()}
            if states == {"flowing"} and not any(line.backlog for line in lines):
                return
            await pause(0.01)

    def stored(self) -> list[Reading]:
        """
        All readings that are stored, in the order of the journal.
        """
        pages = Archive(self.folder / "sensord.sqlite").export()
        return [row.reading for page in pages for row in page]

    def dead(self) -> list[tuple[str, str, Value, str]]:
        """
        The dead letters: device, name, value and reason.
        """
        with Archive(self.folder / "sensord.sqlite").open() as connection:
            return connection.execute(
                "SELECT device, name, value, why FROM dead_letters ORDER BY reading"
            ).fetchall()

    def assertBalanced(self) -> None:
        """
        The ledger agrees with the rows.
        """
        self.assertEqual(audit(Archive(self.folder / "sensord.sqlite")).faults, [])

    def assertTold(self, sink: str) -> None:
        """
        The log has one line about the failure of a sink, one about its recovery, and no traceback.
        """
        first, last = (line for line in self.log if line.startswith(f"{sink}: "))
        self.assertIn(FAILED, first)
        self.assertIn(RECOVERED, last)
        self.assertNotIn(TRACEBACK, self.log)

    def _note(self, event: LogEvent) -> None:
        if event.get("log_namespace", "").startswith("sensord"):
            self.log.append(formatEvent(event))
            if "log_failure" in event:
                self.log.append(TRACEBACK)


def series(readings: Iterable[Reading]) -> Series:
    """
    Readings by their series.
    """
    found: Series = {}
    for reading in readings:
        times = found.setdefault((reading.device, reading.name), {})
        assert reading.time not in times
        times[reading.time] = reading.value
    return found


def assertSame(case: SynchronousTestCase, there: Series, here: Series) -> None:
    """
    Check that something has all readings and no others. They may be many: only some are told.
    """
    for what, some, others in (("missing", here, there), ("surplus", there, here)):
        found = [
            (*key, time, value)
            for key, times in some.items()
            for time, value in times.items()
            if others.get(key, {}).get(time) != value
        ]
        case.assertEqual(found[:5], [], f"{len(found)} readings are {what}")

"""
The cases, and how one is run: the same traffic to sensord and to its limit, in turn.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from msgspec import Struct, json, structs

from benchmarks import proofs, shared, sinks
from benchmarks.children import Child
from benchmarks.marks import Job, Mark
from tests.integration.databases import Influxd
from tests.integration.mosquitto import Mosquitto

#: Where a limit computes for less of the time than this, something else was the limit: the client,
#: the disk, or other programs on the machine.
_BUSY = 0.9


class Sample(Struct, frozen=True):
    """
    What a server did with some units.

    @ivar seconds: from the first one sent to the last one received, committed or written.
    @ivar cpu: seconds of the processor.
    @ivar growth: bytes of resident memory.
    @ivar commits: transactions.
    """

    units: int
    seconds: float
    cpu: float
    growth: int
    commits: int

    @property
    def rate(self) -> float:
        """
        Units per second.
        """
        return self.units / self.seconds

    @property
    def weight(self) -> float:
        """
        KB of memory for each unit.
        """
        return self.growth / 1024 / self.units

    @property
    def busy(self) -> float:
        """
        The part of the time in which it computed: near 1 it is what limits, far below 1 the client
        is. With its two threads sensord can come to 2.
        """
        return self.cpu / self.seconds


class Side(Struct, frozen=True):
    """
    sensord, or its limit.

    @ivar kind: a key of C{servers.KINDS}, of C{TASKS} or of C{shared.GROUPS}, or C{rows}.
    @ivar size: how many of what it counts make one unit.
    """

    kind: str
    size: int


class Case(Struct, frozen=True):
    """
    Something that sensord must be good at.

    @ivar client: a key of C{clients.CLIENTS}. C{rows} need none.
    @ivar connections: how many are open at a time.
    @ivar units: how many are sent.
    @ivar warmup: how many are sent before, so that devices and series are known.
    @ivar readings: how many of them are in a unit.
    @ivar unit: what L{value} is in.
    @ivar value: what counts about a sample.
    @ivar least: the bar, if it is for the ratio of the values.
    @ivar most: the bar, if it is for sensord's value. With neither, the ratio is just told.
    @ivar influx: whether a real InfluxDB is written to.
    @ivar backlog: for sensord, readings that wait for it from the beginning.
    @ivar broker: whether the units are sent to a real MQTT broker.
    @ivar ahead: whether all are there before the server is to take the first.
    """

    name: str
    client: str
    connections: int
    units: int
    warmup: int
    ours: Side
    limit: Side
    unit: str
    readings: int = 1
    value: Callable[[Sample], float] = lambda sample: sample.rate
    least: float = 0.0
    most: float = 0.0
    influx: bool = False
    backlog: int = 0
    broker: bool = False
    ahead: bool = False

    @property
    def barred(self) -> bool:
        """
        Whether there is a bar.
        """
        return bool(self.least or self.most)

    def part(self, divisor: int) -> "Case":
        """
        The same with fewer units: sooner over, and less to be believed.
        """
        return structs.replace(self, units=self.units // divisor, backlog=self.backlog // divisor)


# About frames: the kernel joins what a server is slow to read, and several frames in one chunk cost
# less each. So the slower server is helped, and even its CPU time per reading is flattered.
CASES = (
    Case(
        name="frames",
        client="trickle",
        connections=500,
        units=420_000,
        warmup=10_500,
        ours=Side("poe", 1),
        limit=Side("discard", 4),
        unit="frames/s",
        least=0.80,
    ),
    Case(
        name="pipelined",
        client="flood",
        connections=1,
        units=1_500_000,
        warmup=16_384,
        ours=Side("poe", 1),
        limit=Side("rows", 1),
        unit="frames/s",
        least=0.80,
    ),
    Case(
        name="short",
        client="visit",
        connections=400,
        units=20_000,
        warmup=400,
        ours=Side("esp8266", 6),
        limit=Side("discard", 21),
        unit="connections/s",
        readings=6,
        least=0.80,
    ),
    Case(
        name="lines",
        client="speak",
        connections=500,
        units=200_000,
        warmup=5_000,
        ours=Side("lines", 2),
        limit=Side("split", 1),
        unit="lines/s",
        readings=2,
        least=0.60,
    ),
    Case(
        name="websocket",
        client="chat",
        connections=200,
        units=100_000,
        warmup=2_000,
        ours=Side("websocket", 2),
        limit=Side("wsproto", 1),
        unit="messages/s",
        readings=2,
        least=0.60,
    ),
    Case(
        name="idle",
        client="stay",
        connections=10_000,
        units=10_000,
        warmup=100,
        ours=Side("poe", 1),
        limit=Side("discard", 4),
        unit="KB/connection",
        value=lambda sample: sample.weight,
        most=15.0,
    ),
    Case(
        name="drain",
        client="",
        connections=0,
        units=1_000_000,
        warmup=50_000,
        ours=Side("drain", 1),
        limit=Side("batches", 1),
        unit="readings/s",
        least=0.60,
        influx=True,
    ),
    Case(
        name="beside",
        client="speak",
        connections=500,
        units=200_000,
        warmup=5_000,
        ours=Side("lines", 2),
        limit=Side("lines", 2),
        unit="lines/s",
        readings=2,
        least=0.90,
        influx=True,
        backlog=1_000_000,
    ),
    # The broker has all messages before one is taken: whoever says them, and what the broker does
    # to hear them, would hold the faster side back.
    Case(
        name="mqtt",
        client="publish",
        connections=1,
        units=100_000,
        warmup=2_000,
        ours=Side("mqtt", 2),
        limit=Side("paho", 1),
        unit="messages/s",
        readings=2,
        least=0.70,
        broker=True,
        ahead=True,
    ),
    # Here messages are taken while they come. The broker, the client and each gateway want a core:
    # where there are fewer, that is the limit, and not what is shared.
    Case(
        name="share",
        client="publish",
        connections=2,
        units=100_000,
        warmup=4_000,
        ours=Side("pair", 2),
        limit=Side("single", 2),
        unit="messages/s",
        readings=2,
        broker=True,
    ),
)


class Outcome(Struct, frozen=True):
    """
    What came of a case.

    @ivar rounds: sensord and the limit, as they were run one after the other.
    """

    case: Case
    rounds: tuple[tuple[Sample, Sample], ...]

    def middle(self, side: int, value: Callable[[Sample], float]) -> float:
        """
        The median of a value.

        @param side: 0 for sensord, 1 for the limit.
        """
        return median(value(pair[side]) for pair in self.rounds)

    @property
    def ratios(self) -> list[float]:
        """
        How sensord's value compares to the limit's, for each round.
        """
        value = self.case.value
        return [value(ours) / value(limit) for ours, limit in self.rounds]

    @property
    def best(self) -> float:
        """
        The best of the ratios.
        """
        return min(self.ratios) if self.case.most else max(self.ratios)

    @property
    def doubtful(self) -> bool:
        """
        Whether the limit was held back, so that the ratio looks better than it is. Where another
        server is written to, that is what does the work.
        """
        if not self.case.least or self.case.influx:
            return False
        return self.middle(1, lambda sample: sample.busy) < _BUSY

    @property
    def passed(self) -> bool:
        """
        Whether the bar was reached.
        """
        if self.case.most:
            return self.middle(0, self.case.value) <= self.case.most
        return median(self.ratios) >= self.case.least


def run(case: Case, rounds: int, folder: Path | None, say: Callable[[str], object]) -> Outcome:
    """
    Measure sensord and its limit in turn.

    @param folder: where the databases are made, for a while; L{None} is the system's.
    @param say: is told what is going on.
    @raise BenchmarkError: if one of them did not work.
    """
    pairs = []
    for number in range(1, rounds + 1):
        say(f"{case.name}: round {number} of {rounds}, sensord")
        ours = _sample(case, case.ours, folder)
        say(f"{case.name}: round {number} of {rounds}, its limit")
        batch = case.units // max(1, ours.commits)
        pairs.append((ours, _sample(case, case.limit, folder, batch)))
    return Outcome(case, tuple(pairs))


def _sample(case: Case, side: Side, folder: Path | None, batch: int = 0) -> Sample:
    """
    Run one server and what sends to it.
    """
    with ExitStack() as stack:
        home = stack.enter_context(TemporaryDirectory(prefix="sensord-benchmark-", dir=folder))
        influx = broker = None
        if case.influx:
            influx = Influxd(Path(home))
            stack.callback(influx.close)
            influx.start()
        if case.broker:
            broker = Mosquitto(Path(home))
            stack.callback(broker.close)
            broker.start()
        backlog = case.backlog if side is case.ours else 0
        server: Child | shared.Gateways
        if broker is not None and side.kind in shared.GROUPS:
            count = shared.GROUPS[side.kind]
            server = shared.Gateways(Path(home), broker.port, count, side.size)
            stack.enter_context(server)
            port = broker.port
        else:
            url = influx.url if influx is not None else ""
            if broker is not None:
                url = f"tcp:127.0.0.1:{broker.port}"
            server = stack.enter_context(Child("servers"))
            job = Job(side.kind, home, side.size, batch, url, backlog)
            server.tell(json.encode(job).decode())
            port = int(server.hear())
        client = None
        if port:
            client = stack.enter_context(Child("clients", case.client, port, case.connections))
            client.hear()
        _phase(case, server, client, case.warmup)
        sample = _phase(case, server, client, case.units)
        sent = (case.warmup + case.units) * side.size
        proofs.database(Path(home, "sensord.sqlite"), sent + backlog)
        if influx is not None and side.kind in sinks.TASKS:
            proofs.influx(influx, sent)
        return sample


def _phase(
    case: Case, server: "Child | shared.Gateways", client: Child | None, units: int
) -> Sample:
    if client is not None and case.ahead:
        client.tell(units)
        client.hear()
    server.tell(units)
    before = json.decode(server.hear(), type=Mark)
    began = before.time
    if client is not None and not case.ahead:
        client.tell(units)
        began = float(client.hear())
    after = json.decode(server.hear(), type=Mark)
    return Sample(
        units,
        after.time - began,
        after.cpu - before.cpu,
        after.memory - before.memory,
        after.commits - before.commits,
    )

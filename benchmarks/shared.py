"""
Gateways that share what comes by an MQTT broker, as real daemons.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType

from msgspec import json

from benchmarks.children import BenchmarkError
from benchmarks.marks import Mark
from benchmarks.mqtt import TOPIC
from tests.integration.daemon import Daemon

#: How many gateways there are, by what a side is called.
GROUPS = {"single": 1, "pair": 2}

_CONFIG = """
[[listeners]]
name = "farm"
wire = "mqtt"
broker = "tcp:127.0.0.1:{port}"
topic = "{topic}"
share = "sensord"
"""

#: Seconds between two looks at how far they are, and how long one may see nothing new.
_EVERY, _PATIENCE = 0.02, 30.0

#: The part of a second in which the kernel counts what processes compute.
_TICK = 1 / os.sysconf("SC_CLK_TCK")


class Gateways:
    """
    Some of them, each with a database of its own. They are told and heard like a
    L{Child<benchmarks.children.Child>} that is a server.

    @param folder: has a folder for each of them.
    @param port: the broker's.
    @param size: how many readings make one unit.
    """

    def __init__(self, folder: Path, port: int, count: int, size: int) -> None:
        self._homes = [folder / f"gateway{number}" for number in range(count)]
        self._port = port
        self._size = size
        self._daemons: list[Daemon] = []
        self._stack = ExitStack()
        self._most = self._told = 0

    def __enter__(self) -> "Gateways":
        with ExitStack() as stack:
            for home in self._homes:
                home.mkdir()
                text = _CONFIG.format(port=self._port, topic=TOPIC)
                (home / "sensord.toml").write_text(text, encoding="utf-8")
                daemon = Daemon(home)
                stack.callback(daemon.close)
                self._daemons.append(daemon)
            for daemon in self._daemons:
                daemon.expect("farm: subscribed to ")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def tell(self, line: object) -> None:
        """
        Have them expect a number of units.
        """
        self._most += int(str(line)) * self._size
        self._told = 2

    def hear(self) -> str:
        """
        Look at them: at once, and then as soon as all units are stored.

        @raise BenchmarkError: if some are missing.
        """
        self._told -= 1
        if not self._told:
            self._wait()
        return json.encode(self._mark()).decode()

    def _wait(self) -> None:
        stored, since = self.stored(), monotonic()
        while sum(stored) < self._most:
            sleep(_EVERY)
            now = self.stored()
            if now != stored:
                stored, since = now, monotonic()
            elif monotonic() - since > _PATIENCE:
                raise BenchmarkError(f"of {self._most} readings {sum(stored)} are stored")

    def stored(self) -> Sequence[int]:
        """
        How many readings each has.

        @raise BenchmarkError: if they are too many together.
        """
        counts = [_committed(home / "sensord.sqlite") for home in self._homes]
        if sum(counts) > self._most:
            raise BenchmarkError(f"of {self._most} readings {sum(counts)} are stored")
        return counts

    def _mark(self) -> Mark:
        cpu = sum(_computed(daemon.process.pid) for daemon in self._daemons)
        return Mark(monotonic(), cpu, 0, 0)


def _committed(path: Path) -> int:
    """
    How many readings are in a database, by its ledger: to count the rows would take the time of
    whoever writes them.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        question = "SELECT coalesce(sum(committed), 0) FROM ledger"
        committed: int = connection.execute(question).fetchone()[0]
    return committed


def _computed(pid: int) -> float:
    """
    The seconds of the processor that a process has used.
    """
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK

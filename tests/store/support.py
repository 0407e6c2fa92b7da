"""
What the tests of the store share: a disk that fails when it is told to, a runner that holds calls
back, and short ways to make readings and to look into a file from outside.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase

from sensord.reading import Clock, Intake, Quarantined, Reading, Rejected, Value
from sensord.store import schema
from sensord.store.archive import Archive
from sensord.store.audit import audit
from sensord.store.database import Part

T = TypeVar("T")


class Disk:
    """
    Opens databases, and fails when it is told to.

    @ivar trouble: the beginning of the statements that fail; empty is all, L{None} is none.
    @ivar full: whether files that are opened from now on cannot grow any more.
    @ivar durable: L{False} spares the waiting for the real disk.
    @ivar tried: how many statements failed.
    """

    def __init__(self) -> None:
        self.trouble: str | None = None
        self.full = False
        self.durable = True
        self.tried = 0

    def connect(self, path: Path) -> sqlite3.Connection:
        """
        Open a database, as L{schema.connect} does.
        """
        self.check("connect")
        # The file is made by the real thing; only who executes statements is ours.
        schema.connect(path).close()
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        if self.full:
            # SQLite never makes a file smaller for this: it cannot grow from now on.
            connection.execute("PRAGMA max_page_count = 1")
        connection.execute(f"PRAGMA synchronous = {'FULL' if self.durable else 'OFF'}")
        connection.disk = self
        return connection

    def check(self, statement: str) -> None:
        """
        Fail, if that is what a statement is to do.
        """
        if self.trouble is not None and statement.strip().startswith(self.trouble):
            self.tried += 1
            raise sqlite3.OperationalError("disk I/O error")


class _Connection(sqlite3.Connection):
    """
    A connection to a file on a L{Disk}.
    """

    disk = Disk()

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """
        Execute a statement, or fail.
        """
        self.disk.check(sql)
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        """
        Execute a statement many times, or fail.
        """
        self.disk.check(sql)
        return super().executemany(sql, parameters)


class Runner:
    """
    Runs calls at once, or holds them until they are released, one at a time and in order.

    @ivar holding: whether to hold those that come from now on.
    @ivar calls: how many calls have been run.
    """

    def __init__(self) -> None:
        self.holding = False
        self.calls = 0
        self._held: list[Callable[[], None]] = []

    def __call__(self, call: Callable[[], T], /) -> Deferred[T]:
        """
        Run or hold a call.
        """
        deferred: Deferred[T] = Deferred()

        def go() -> None:
            self.calls += 1
            execute(call).chainDeferred(deferred)

        self._held.append(go)
        if not self.holding:
            self.release()
        return deferred

    @property
    def held(self) -> int:
        """
        How many calls wait.
        """
        return len(self._held)

    def release(self) -> None:
        """
        Run the call that has waited longest.
        """
        self._held.pop(0)()


def folder(test: SynchronousTestCase) -> Path:
    """
    A new and empty folder.
    """
    path = Path(test.mktemp()).absolute()
    path.mkdir(parents=True)
    return path


def reading(
    time: int = 1, value: Value = 21.5, name: str = "temperature", device: str = "balcony"
) -> Reading:
    """
    A reading of which a test says only what matters to it.
    """
    return Reading(device, name, value, time, Clock.ARRIVAL)


def frame(data: bytes = b"\x01\x02", time: int = 1) -> Quarantined:
    """
    A frame that nothing describes.
    """
    return Quarantined(time, "192.168.1.7", data, "device 9 has no description", "esp8266")


def intake(*readings: Reading, rejected: int = 0, quarantined: int = 0) -> Intake:
    """
    What came in by one chunk.
    """
    return Intake(list(readings), b"", [Rejected(b"", "noise")] * rejected, [frame()] * quarantined)


def part(*intakes: Intake, listener: str = "weather") -> Part:
    """
    What one listener adds to a transaction.
    """
    return Part(listener, intakes)


def sql(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """
    Execute a statement in a database, as another program would.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement, values).fetchall()


def stored(path: Path) -> dict[tuple[str, str, int], Any]:
    """
    All readings in a database: the value as SQLite has it, by device, name and time.
    """
    rows = sql(
        path,
        "SELECT device, name, time, value FROM readings JOIN series ON series.id = series"
        " ORDER BY readings.id",
    )
    return {(device, name, time): value for device, name, time, value in rows}


def ledger(path: Path, listener: str = "weather") -> tuple[int, ...]:
    """
    What the ledger says of a listener: received, committed, duplicate, rejected, quarantined.
    """
    (row,) = sql(
        path,
        "SELECT received, committed, duplicate, rejected, quarantined FROM ledger"
        " WHERE listener = ?",
        listener,
    )
    return row


def faults(path: Path, *made: str) -> Sequence[str]:
    """
    What does not balance in a database.

    @param made: sinks whose lines were put there by hand, and so do not balance.
    """
    return [fault for fault in audit(Archive(path)).faults if fault.partition(":")[0] not in made]


def spoil(path: Path, table: str | None = None) -> bytes:
    """
    Overwrite a file, as a failing disk would.

    @param table: the table or index of which the first page is overwritten; without one, all is.
    @return: what the file contains now.
    """
    size = sql(path, "PRAGMA page_size")[0][0]
    data = bytearray(path.read_bytes())
    if table is None:
        data[:] = b"\xa5" * len(data)
    else:
        (root,) = sql(path, "SELECT rootpage FROM sqlite_master WHERE name = ?", table)[0]
        data[(root - 1) * size : root * size] = b"\xa5" * size
    path.write_bytes(data)
    return bytes(data)


def aside(path: Path) -> list[Path]:
    """
    The databases that were set aside, without what SQLite keeps beside them.
    """
    found = path.parent.glob(f"{path.name}.broken-*")
    return sorted(file for file in found if not file.name.endswith(("-wal", "-shm")))

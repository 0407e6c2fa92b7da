"""
Reading what is stored: for the reader's thread, and for the toolbox. Each question opens a
connection of its own, so that no answer holds on to an old state of the file and keeps its log
from being emptied.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from sensord.presence import Record
from sensord.reading import Clock, Reading, Value
from sensord.store import roster
from sensord.store.database import fromColumn
from sensord.store.schema import VERSION, StoreError, schema

_CLOCKS = {clock.code: clock for clock in Clock}

#: How many rows an export reads at a time, so that it never holds the file for long.
_PAGE = 10_000

#: How many points one answer may have: more would fill the memory for a question that nobody meant.
MAX_POINTS = 100_000


class Current(Struct, frozen=True):
    """
    The latest value of one series.

    @ivar time: microseconds since the epoch.
    @ivar status: C{normal}, C{warning}, C{critical}, or C{undefined} without thresholds.
    """

    device: str
    name: str
    value: Value
    unit: str
    time: int
    status: str
    address: str
    tags: Mapping[str, str]


class Point(Struct, frozen=True):
    """
    The numbers of one step of a series.

    @ivar time: the beginning of the step, or the time of the reading, in microseconds.
    @ivar count: how many readings; without a step, one.
    """

    time: int
    mean: float
    least: float
    most: float
    count: int


class Exported(Struct, frozen=True):
    """
    A stored reading with its place in the journal.
    """

    id: int
    reading: Reading
    unit: str


class Held(Struct, frozen=True):
    """
    A frame in quarantine.

    @ivar time: when it arrived, in microseconds since the epoch.
    """

    id: int
    time: int
    listener: str
    peer: str
    data: bytes
    why: str
    wire: str


class Archive:
    """
    The reading side of a database file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: set[sqlite3.Connection] = set()

    def latest(self, device: str | None = None, name: str | None = None) -> list[Current]:
        """
        The latest value of each series, of one device or all.
        """
        with self.open() as connection:
            rows = connection.execute(
                "SELECT device, name, value, unit, time, status, address, tags FROM current"
                " WHERE (:device IS NULL OR device = :device) AND (:name IS NULL OR name = :name)"
                " ORDER BY device, name",
                {"device": device, "name": name},
            )
            return [
                Current(
                    device, name, fromColumn(value), unit, time, status, address, json.loads(tags)
                )
                for device, name, value, unit, time, status, address, tags in rows
            ]

    def history(self, device: str, name: str, start: int, end: int, step: int = 0) -> list[Point]:
        """
        The numbers of a series over time; truth values count as 0 and 1, texts are left out.

        @param start: microseconds since the epoch, included.
        @param end: likewise, not included.
        @param step: microseconds that one point stands for; 0 gives each reading.
        @raise ValueError: for more than L{MAX_POINTS} points, or a negative step.
        """
        if step < 0 or (step and (end - start) / step > MAX_POINTS):
            raise ValueError(f"a step of {step} µs makes more than {MAX_POINTS} points")
        number = "CASE typeof(value) WHEN 'blob' THEN value = X'74727565' ELSE value END"
        select = (
            f"SELECT time, {number} AS number FROM readings WHERE typeof(value) != 'text' AND"
            " series = (SELECT id FROM series WHERE device = :device AND name = :name)"
            " AND time >= :start AND time < :end"
        )
        if step:
            select = (
                "SELECT :start + (time - :start) / :step * :step, avg(number), min(number),"
                f" max(number), count(*) FROM ({select}) GROUP BY 1 ORDER BY 1"
            )
        else:
            select = f"SELECT time, number, number, number, 1 FROM ({select}) ORDER BY time"
        values = {"device": device, "name": name, "start": start, "end": end, "step": step}
        with self.open() as connection:
            points = connection.execute(select, values).fetchmany(MAX_POINTS + 1)
        if len(points) > MAX_POINTS:
            raise ValueError(f"more than {MAX_POINTS} readings: ask with a step")
        return [Point(*point) for point in points]

    def export(
        self,
        device: str = "*",
        name: str = "*",
        start: int | None = None,
        end: int | None = None,
    ) -> Iterator[Sequence[Exported]]:
        """
        Stored readings in the order of the journal, a page at a time; a page may be empty.

        @param device: a pattern with C{*} and C{?}.
        @param name: likewise.
        @param start: microseconds since the epoch, included.
        @param end: likewise, not included.
        """
        first, last = self.span()
        position = max(first - 1, 0)
        while position < last:
            upto = position + _PAGE
            with self.open() as connection:
                rows = connection.execute(
                    "SELECT r.id, s.device, s.name, r.value, r.time, r.clock, s.unit"
                    " FROM readings r CROSS JOIN series s ON s.id = r.series"
                    " WHERE r.id > ? AND r.id <= ? AND s.device GLOB ? AND s.name GLOB ?"
                    " AND r.time >= ? AND r.time < ? ORDER BY r.id",
                    (
                        position,
                        min(upto, last),
                        _glob(device),
                        _glob(name),
                        -(2**63) if start is None else start,
                        2**63 - 1 if end is None else end,
                    ),
                ).fetchall()
            yield [
                Exported(id, Reading(device, name, fromColumn(value), time, _CLOCKS[clock]), unit)
                for id, device, name, value, time, clock, unit in rows
            ]
            position = upto

    def span(self) -> tuple[int, int]:
        """
        The first and the last id of the journal; zeros if it is empty.
        """
        with self.open() as connection:
            first, last = connection.execute(
                "SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM readings"
            ).fetchone()
        return first, last

    def devices(self) -> list[Record]:
        """
        What was known of devices when it was last saved, those first that were heard last.
        """
        with self.open() as connection:
            return roster.load(connection)

    def quarantine(self, listener: str | None = None) -> list[Held]:
        """
        The frames that nothing describes yet, oldest first.
        """
        with self.open() as connection:
            rows = connection.execute(
                "SELECT id, time, listener, peer, data, why, wire FROM quarantine"
                " WHERE :listener IS NULL OR listener = :listener ORDER BY id",
                {"listener": listener},
            )
            return [Held(*row) for row in rows]

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """
        A connection that can read and nothing else, for one question.

        @raise StoreError: if there is no such database.
        """
        if not self.path.exists():
            raise StoreError(f"{self.path}: there is no such database")
        try:
            with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
                connection.execute("PRAGMA query_only = ON")
                connection.execute("PRAGMA busy_timeout = 10000")
                found = schema(connection, self.path)
                if found > VERSION:
                    raise StoreError(f"{self.path}: made by a newer sensord (schema {found})")
                if found < VERSION:
                    raise StoreError(
                        f"{self.path}: has schema {found}; the daemon brings it to {VERSION} when"
                        " it starts"
                    )
                self._open.add(connection)
                try:
                    yield connection
                finally:
                    self._open.discard(connection)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error

    def interrupt(self) -> None:
        """
        Let the questions that are being answered on other threads fail with L{StoreError}.
        """
        for connection in tuple(self._open):
            with suppress(sqlite3.ProgrammingError):  # it was closed meanwhile
                connection.interrupt()


def _glob(pattern: str) -> str:
    """
    SQLite's GLOB knows brackets too, which occur in names: they are to stand for themselves.
    """
    return pattern.replace("[", "[[]")

"""
The journal as sinks read it: how far each has come, what became of what it read, and the dead
letters. All of these are jobs for L{Store.read<sensord.store.service.Store.read>} and
L{Store.write<sensord.store.service.Store.write>}.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence

from msgspec import Struct

from sensord.reading import Value
from sensord.store.database import fromColumn

#: What all sinks together have to account for.
_COMMITTED = "(SELECT coalesce(sum(committed), 0) FROM ledger)"


class Series(Struct, frozen=True):
    """
    What a reading is one of.

    @ivar device: the device's name, or its address until it is described.
    @ivar name: what was measured.
    @ivar unit: empty if unknown.
    @ivar address: C{<listener>/<id on the wire>}.
    """

    device: str
    name: str
    unit: str
    tags: Mapping[str, str]
    address: str


class Entry(Struct, frozen=True, gc=False):
    """
    A reading of the journal.

    @ivar id: its place in the journal, which only grows.
    @ivar time: microseconds since the epoch, UTC.
    """

    id: int
    series: Series
    time: int
    value: Value


class Figures(Struct, frozen=True):
    """
    The line of one sink.

    @ivar position: the last entry of the journal that is dealt with.
    @ivar committed: readings that it has to account for.
    @ivar delivered: those that it has passed on.
    @ivar dead: those that it never will, which are kept as dead letters.
    @ivar expired: those that were given up, since it was away for too long.
    @ivar backlog: those that are still to come.
    @ivar oldest: the time of the first of these, in microseconds; L{None} without any.
    @ivar paused: whether somebody has stopped it.
    """

    sink: str
    position: int
    committed: int
    delivered: int
    dead: int
    expired: int
    backlog: int
    oldest: int | None
    paused: bool


def enter(connection: sqlite3.Connection, sink: str, beginning: bool) -> None:
    """
    Begin a sink, unless it has begun before.

    @param beginning: whether it is to have all that is in the journal, or what comes from now on.
    """
    connection.execute(
        "INSERT INTO cursors (sink, position, base) SELECT :sink,"
        " CASE WHEN :beginning THEN 0 ELSE coalesce(max(id), 0) END,"
        f" {_COMMITTED} - CASE WHEN :beginning THEN count(*) ELSE 0 END FROM readings WHERE true"
        " ON CONFLICT (sink) DO NOTHING",
        {"sink": sink, "beginning": beginning},
    )


def upcoming(
    connection: sqlite3.Connection, sink: str, most: int, known: dict[int, Series]
) -> list[Entry]:
    """
    What a sink has to deal with next, in the order of the journal.

    @param known: series by their ids; those that are met for the first time are added.
    """
    rows = connection.execute(
        "SELECT id, series, time, value FROM readings"
        " WHERE id > (SELECT position FROM cursors WHERE sink = ?) ORDER BY id LIMIT ?",
        (sink, most),
    ).fetchall()
    for missing in {row[1] for row in rows} - known.keys():
        device, name, unit, tags, address = connection.execute(
            "SELECT device, name, unit, tags, address FROM series WHERE id = ?", (missing,)
        ).fetchone()
        known[missing] = Series(device, name, unit, json.loads(tags), address)
    return [
        Entry(id, known[series], time, fromColumn(value) if value.__class__ is bytes else value)
        for id, series, time, value in rows
    ]


def advance(
    connection: sqlite3.Connection, sink: str, batch: Sequence[Entry], dead: Mapping[int, str]
) -> None:
    """
    A batch is dealt with.

    @param dead: why entries of it are dead letters, by their ids.
    """
    connection.execute(
        "UPDATE cursors SET position = ?, delivered = delivered + ?, dead = dead + ?"
        " WHERE sink = ?",
        (batch[-1].id, len(batch) - len(dead), len(dead), sink),
    )
    connection.executemany(
        "INSERT INTO dead_letters (sink, reading, device, name, time, value, why, died)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, CAST(strftime('%s', 'now') AS INTEGER) * 1000000)",
        [
            (sink, e.id, e.series.device, e.series.name, e.time, _column(e.value), dead[e.id])
            for e in batch
            if e.id in dead
        ],
    )


def expire(
    connection: sqlite3.Connection, sink: str, before: int | None, most: int | None
) -> tuple[int, int, int] | None:
    """
    Give up the oldest of a backlog that has become too long.

    @param before: give up what is older, in microseconds since the epoch.
    @param most: give up what is more than so many.
    @return: how many were given up, and the times of the first and the last; L{None} if none was.
    """
    position, last = connection.execute(
        "SELECT position, (SELECT max(id) FROM readings) FROM cursors WHERE sink = ?", (sink,)
    ).fetchone()
    upto = position
    if most is not None and last is not None:
        upto = max(upto, last - most)
    if before is not None:
        (first,) = connection.execute(
            "SELECT min(id) FROM readings WHERE id > ? AND time >= ?", (upto, before)
        ).fetchone()
        upto = max(upto, (last or upto) if first is None else first - 1)
    count, start, end = connection.execute(
        "SELECT count(*), min(time), max(time) FROM readings WHERE id > ? AND id <= ?",
        (position, upto),
    ).fetchone()
    if not count:
        return None
    connection.execute(
        "UPDATE cursors SET position = ?, expired = expired + ? WHERE sink = ?",
        (upto, count, sink),
    )
    return count, start, end


def pause(connection: sqlite3.Connection, sink: str, paused: bool) -> None:
    """
    Remember whether a sink is to rest.
    """
    connection.execute("UPDATE cursors SET paused = ? WHERE sink = ?", (paused, sink))


def figures(connection: sqlite3.Connection) -> list[Figures]:
    """
    The lines of all sinks.
    """
    rows = connection.execute(
        f"SELECT sink, position, {_COMMITTED} - base, delivered, dead, expired,"
        " (SELECT count(*) FROM readings WHERE id > position),"
        " (SELECT time FROM readings WHERE id > position ORDER BY id LIMIT 1), paused"
        " FROM cursors ORDER BY sink"
    )
    return [
        Figures(sink, position, committed, delivered, dead, expired, backlog, oldest, bool(paused))
        for sink, position, committed, delivered, dead, expired, backlog, oldest, paused in rows
    ]


def _column(value: Value) -> object:
    """
    A value as the journal has it.
    """
    return str(value).lower().encode() if isinstance(value, bool) else value

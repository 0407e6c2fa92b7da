"""
The journal as sinks read it: how far each has come, and what became of what it read. All of these
are jobs for L{Store.read<sensord.store.service.Store.read>} and
L{Store.write<sensord.store.service.Store.write>}. For the dead letters see
L{sensord.store.letters}.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, convert

from sensord.reading import Value
from sensord.store.database import fromColumn
from sensord.store.schema import StoreError

#: What all sinks together have to account for.
_COMMITTED = "(SELECT coalesce(sum(committed), 0) FROM ledger)"

#: How many places of the journal are looked at in one go. Without a limit, a replay of one rare
#: device would let nobody else read for as long as it takes to go through all that is stored.
_LOOK = 50_000


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


class Span(Struct, frozen=True):
    """
    What a sink is to have again.

    @ivar last: the last place in the journal that counts.
    @ivar start: the first time, in microseconds since the epoch.
    @ivar end: likewise, not included.
    @ivar device: only what this one has measured; empty is all.
    """

    last: int
    start: int
    end: int
    device: str = ""


class Figures(Struct, frozen=True):
    """
    The line of one sink.

    @ivar position: the last entry of the journal that is dealt with.
    @ivar committed: readings that it has to account for.
    @ivar delivered: those that it has passed on.
    @ivar dead: those that it never will, which are kept as dead letters.
    @ivar expired: those that were given up, since it was away for too long, or dropped.
    @ivar backlog: those that are still to come.
    @ivar oldest: the time of the first of these, in microseconds; L{None} without any.
    @ivar paused: whether somebody has stopped it.
    @ivar dropped: those of the expired that were dead letters before somebody dropped them.
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
    dropped: int = 0


class Known(dict[int, Series]):
    """
    Series by their ids, as far as they were met.

    @ivar journal: the one in which they have these.
    """

    journal: object = None


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
    connection: sqlite3.Connection, sink: str, most: int, known: Known, after: int = 0
) -> list[Entry]:
    """
    What a sink has to deal with next, in the order of the journal.

    @param known: series by their ids; those that are met for the first time are added.
    @param after: a place in the journal up to which it is being dealt with already.
    """
    rows = connection.execute(
        "SELECT id, series, time, value FROM readings"
        " WHERE id > max(?, (SELECT position FROM cursors WHERE sink = ?)) ORDER BY id LIMIT ?",
        (after, sink, most),
    ).fetchall()
    return _entries(connection, rows, known)


def past(
    span: Span, after: int, most: int, known: Known, connection: sqlite3.Connection
) -> tuple[list[Entry], int]:
    """
    What the journal has of a span of time, in its order; at one go no more than is read quickly.

    @param after: a place in the journal; what comes behind it is looked at.
    @param known: as for L{upcoming}.
    @return: what was found, and up to where all has been looked at.
    """
    upto = min(after + _LOOK, span.last)
    rows = connection.execute(
        # In the order of the journal, and without sorting: not by the index of times.
        "SELECT id, series, time, value FROM readings NOT INDEXED WHERE id > ? AND id <= ?"
        " AND time >= ? AND time < ? AND (? OR series IN (SELECT id FROM series WHERE device = ?))"
        " ORDER BY id LIMIT ?",
        (after, upto, span.start, span.end, not span.device, span.device, most + 1),
    ).fetchall()
    found = _entries(connection, rows, known)
    full = len(found) > most
    if full or (found and upto < span.last):
        # What a device has measured at one moment is not to be cut in two: its end is what comes
        # behind all others, or may come behind what was looked at.
        whole = len(found) - 1
        while whole and _moment(found[whole - 1]) == _moment(found[-1]):
            whole -= 1
        if whole:
            return found[:whole], found[whole - 1].id
        if full:
            return found[:most], found[most - 1].id
        if found[0].id > after + 1:
            return [], found[0].id - 1  # from there, all of it is seen
    return found, upto


def extent(sink: str, connection: sqlite3.Connection) -> tuple[int, int]:
    """
    What the journal has for a sink that it has dealt with already: the first place, and the last.
    """
    first, last = connection.execute(
        "SELECT coalesce(min(id), 1), coalesce((SELECT position FROM cursors WHERE sink = ?), 0)"
        " FROM readings",
        (sink,),
    ).fetchone()
    return first, last


def measured(device: str, connection: sqlite3.Connection) -> list[str]:
    """
    What a device has measured.

    @param device: its name.
    """
    rows = connection.execute("SELECT name FROM series WHERE device = ? ORDER BY name", (device,))
    return [name for (name,) in rows]


def advance(
    connection: sqlite3.Connection, sink: str, batch: Sequence[Entry], dead: Mapping[int, str]
) -> None:
    """
    A batch is dealt with.

    @param dead: why entries of it are dead letters, by their ids.
    @raise StoreError: if it is of another journal than this. What it stands for there has to be
        dealt with still.
    """
    last = batch[-1]
    moved = connection.execute(
        "UPDATE cursors SET position = :last, delivered = delivered + :delivered,"
        " dead = dead + :dead WHERE sink = :sink AND position < :last"
        " AND :time = (SELECT time FROM readings WHERE id = :last)",
        {
            "last": last.id,
            "time": last.time,
            "delivered": len(batch) - len(dead),
            "dead": len(dead),
            "sink": sink,
        },
    )
    if not moved.rowcount:
        raise StoreError("the journal is not the one that was read")
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
    connection: sqlite3.Connection, sink: str, before: int | None, most: int | None, now: int
) -> tuple[int, int, int] | None:
    """
    Give up the oldest of a backlog that has become too long.

    @param before: give up what is older, in microseconds since the epoch.
    @param most: give up what is more than so many.
    @param now: likewise.
    @return: how many were given up, and the times of the first and the last; L{None} if none was.
    """
    position, last = connection.execute(
        "SELECT position, (SELECT max(id) FROM readings) FROM cursors WHERE sink = ?", (sink,)
    ).fetchone()
    upto = position
    if most is not None and last is not None:
        upto = max(upto, last - most)
    if before is not None:
        # What is of the future by a wrong clock is of no age: what is behind it may be too old.
        (first,) = connection.execute(
            "SELECT min(id) FROM readings WHERE id > ? AND time BETWEEN ? AND ?",
            (upto, before, now),
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
        " (SELECT time FROM readings WHERE id > position ORDER BY id LIMIT 1), paused, dropped"
        " FROM cursors ORDER BY sink"
    )
    names = Figures.__struct_fields__
    return [convert(dict(zip(names, row, strict=True)), Figures, strict=False) for row in rows]


def cursors(connection: sqlite3.Connection) -> dict[str, int | None]:
    """
    All sinks that have a place in the journal, with the time of the first reading that they have
    still to deal with, in microseconds; L{None} without any. Retention removes nothing from there
    on.
    """
    return dict(
        connection.execute(
            "SELECT sink, (SELECT time FROM readings WHERE id > position ORDER BY id LIMIT 1)"
            " FROM cursors ORDER BY sink"
        ).fetchall()
    )


def forget(sink: str, connection: sqlite3.Connection) -> bool:
    """
    Give up a sink, with its place in the journal and what is left of its dead letters.

    @return: whether there was one.
    """
    connection.execute("DELETE FROM dead_letters WHERE sink = ?", (sink,))
    return connection.execute("DELETE FROM cursors WHERE sink = ?", (sink,)).rowcount > 0


def _entries(
    connection: sqlite3.Connection,
    rows: Sequence[tuple[int, int, int, Any]],
    known: Known,
) -> list[Entry]:
    """
    Entries of rows with their id, series, time and value.
    """
    question = "SELECT value FROM meta WHERE key = 'journal'"
    journal = connection.execute(question).fetchone()
    if journal != known.journal:
        known.clear()
        known.journal = journal
    for missing in {row[1] for row in rows} - known.keys():
        device, name, unit, tags, address = connection.execute(
            "SELECT device, name, unit, tags, address FROM series WHERE id = ?", (missing,)
        ).fetchone()
        known[missing] = Series(device, name, unit, json.loads(tags), address)
    return [
        Entry(id, known[series], time, fromColumn(value) if value.__class__ is bytes else value)
        for id, series, time, value in rows
    ]


def _moment(entry: Entry) -> tuple[str, str, int]:
    return entry.series.address, entry.series.device, entry.time


def _column(value: Value) -> object:
    """
    A value as the journal has it.
    """
    return str(value).lower().encode() if isinstance(value, bool) else value

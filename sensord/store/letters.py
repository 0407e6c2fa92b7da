"""
Dead letters: the readings that sinks did not take. They are kept with what is needed to offer them
again, also when retention has removed them from the journal. All of these are jobs for
L{Store.read<sensord.store.service.Store.read>} and
L{Store.write<sensord.store.service.Store.write>}.

A dead letter counts as dead for as long as it is there: it becomes delivered, or expired, in the
transaction that removes it.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence

from msgspec import Struct

from sensord.reading import Value
from sensord.store.database import fromColumn
from sensord.store.journal import Entry, Series

#: How many are dealt with in one transaction, so that commits need not wait for long.
PIECE = 5_000

#: What is known of the series of dead letters.
_SERIES = "LEFT JOIN series AS s ON s.device = d.device AND s.name = d.name"


class Letter(Struct, frozen=True):
    """
    A dead letter.

    @ivar reading: the place that it had in the journal.
    @ivar time: when it was measured, in microseconds since the epoch.
    @ivar why: the reason for which it was not taken.
    @ivar died: when that was, in microseconds since the epoch.
    @ivar retry: whether it waits to be offered again.
    """

    id: int
    sink: str
    reading: int
    device: str
    name: str
    value: Value
    unit: str
    time: int
    why: str
    died: int
    retry: bool


def listed(sink: str, limit: int, connection: sqlite3.Connection) -> list[Letter]:
    """
    Dead letters, the newest first.

    @param sink: empty is all.
    """
    rows = connection.execute(
        "SELECT d.id, d.sink, d.reading, d.device, d.name, d.value, coalesce(s.unit, ''), d.time,"
        f" d.why, d.died, d.retry FROM dead_letters AS d {_SERIES}"
        " WHERE :sink IN ('', d.sink) ORDER BY d.id DESC LIMIT :limit",
        {"sink": sink, "limit": limit},
    )
    return [
        Letter(
            id, owner, place, device, name, fromColumn(value), unit, time, why, died, bool(retry)
        )
        for id, owner, place, device, name, value, unit, time, why, died, retry in rows
    ]


def owners(ids: Sequence[int], connection: sqlite3.Connection) -> dict[int, str]:
    """
    The sinks of the dead letters with some ids; those that are not there are left out.
    """
    rows = connection.execute(
        "SELECT id, sink FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(ids),),
    )
    return dict(rows.fetchall())


def several(
    sink: str, after: int, last: int, waiting: bool, connection: sqlite3.Connection
) -> list[int]:
    """
    The ids of some dead letters of a sink, at most L{PIECE}.

    @param after: only higher ids count.
    @param last: the highest id that counts.
    @param waiting: whether those that wait to be offered again are among them.
    """
    found: list[int] = []
    for retry in (0, 1) if waiting else (0,):
        rows = connection.execute(  # as the index has them
            "SELECT id FROM dead_letters WHERE sink = ? AND retry = ? AND id > ? AND id <= ?"
            " ORDER BY id LIMIT ?",
            (sink, retry, after, last, PIECE),
        )
        found += [id for (id,) in rows]
    return sorted(found)[:PIECE]


def last(connection: sqlite3.Connection) -> int:
    """
    The highest id; 0 if there are none.
    """
    number: int = connection.execute("SELECT coalesce(max(id), 0) FROM dead_letters").fetchone()[0]
    return number


def retry(ids: Sequence[int], connection: sqlite3.Connection) -> int:
    """
    Have dead letters offered again, also after a restart.

    @return: how many are to be that were not before.
    """
    return connection.execute(
        "UPDATE dead_letters SET retry = 1"
        " WHERE NOT retry AND id IN (SELECT value FROM json_each(?))",
        (json.dumps(ids),),
    ).rowcount


def drop(sink: str, ids: Sequence[int], connection: sqlite3.Connection) -> int:
    """
    Give up dead letters of a sink: from then on they count as expired.

    @return: how many were there.
    """
    count = connection.execute(
        "DELETE FROM dead_letters WHERE sink = ? AND id IN (SELECT value FROM json_each(?))",
        (sink, json.dumps(ids)),
    ).rowcount
    connection.execute(
        "UPDATE cursors SET dead = dead - :count, expired = expired + :count,"
        " dropped = dropped + :count WHERE sink = :sink",
        {"sink": sink, "count": count},
    )
    return count


def waiting(sink: str, most: int, connection: sqlite3.Connection) -> list[tuple[int, Entry]]:
    """
    Dead letters of a sink that wait to be offered again, in the order in which they died: their
    ids, and what they are.
    """
    rows = connection.execute(
        "SELECT d.id, d.reading, d.device, d.name, d.time, d.value, coalesce(s.unit, ''),"
        f" coalesce(s.tags, '{{}}'), coalesce(s.address, '') FROM dead_letters AS d {_SERIES}"
        " WHERE d.sink = ? AND d.retry = 1 ORDER BY d.id LIMIT ?",
        (sink, most),
    )
    return [
        (id, Entry(reading, Series(device, name, unit, json.loads(tags), address), time, value))
        for id, reading, device, name, time, column, unit, tags, address in rows
        for value in [fromColumn(column)]
    ]


def settle(
    sink: str, taken: Sequence[int], dead: Mapping[int, str], connection: sqlite3.Connection
) -> int:
    """
    Dead letters were offered again. One that somebody has dropped meanwhile stays so.

    @param taken: the ids of those that are delivered now.
    @param dead: why others were not taken this time either, by their ids.
    @return: how many were delivered.
    """
    count = connection.execute(
        "DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(taken),),
    ).rowcount
    connection.execute(
        "UPDATE cursors SET dead = dead - :count, delivered = delivered + :count"
        " WHERE sink = :sink",
        {"sink": sink, "count": count},
    )
    connection.executemany(
        "UPDATE dead_letters SET retry = 0, why = ?,"
        " died = CAST(strftime('%s', 'now') AS INTEGER) * 1000000 WHERE id = ?",
        [(why, id) for id, why in dead.items()],
    )
    return count

"""
What the database has, in numbers that are cheap to find out however long the journal is: for those
who ask every few seconds.
"""

import os
import sqlite3
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from msgspec import Struct

from sensord.store.audit import Account


class Standing(Struct, frozen=True):
    """
    Where a sink stands; see L{Figures<sensord.store.journal.Figures>}.

    @ivar oldest: the time of the first reading of its backlog, in microseconds; L{None} without
        any.
    """

    sink: str
    committed: int
    delivered: int
    dead: int
    expired: int
    backlog: int
    oldest: int | None


class Stock(Struct, frozen=True):
    """
    All of it.

    @ivar ledger: by listener.
    @ivar sinks: by sink.
    @ivar commands: how many are kept, by their state.
    @ivar statuses: how many devices have a value that is C{warning}, or C{critical}; one that has
        both counts as the worse.
    @ivar quarantine: frames that it holds.
    @ivar dropped: frames that it had no room for any more.
    @ivar expired: readings that retention has removed.
    @ivar size: bytes of the database.
    @ivar log: bytes of its write-ahead log.
    """

    ledger: Mapping[str, Account]
    sinks: Mapping[str, Standing]
    commands: Mapping[str, int]
    statuses: Mapping[str, int]
    quarantine: int
    dropped: int
    expired: int
    size: int
    log: int


class Tally(Struct, frozen=True):
    """
    The least that tells how things are.

    @ivar worst: the status of each device that is not normal.
    @ivar backlog: readings that sinks have still to take, all together.
    @ivar quarantine: frames that it holds.
    @ivar dead: readings that sinks have refused.
    """

    worst: Mapping[str, str]
    backlog: int
    quarantine: int
    dead: int


#: The worst status of each device that is not normal. By chance, the worse is the first in the
#: alphabet.
_WORST = (
    "SELECT device, min(status) AS worst FROM current WHERE status IN ('warning', 'critical')"
    " GROUP BY device"
)

#: What each sink has still to take is what the ledger has left for it: to count it in the journal
#: would take as long as that is long.
_LEFT = "total - base - delivered - dead - expired"
_STANDINGS = "FROM cursors, (SELECT coalesce(sum(committed), 0) AS total FROM ledger)"


def tally(connection: sqlite3.Connection) -> Tally:
    """
    Count what is asked for again and again.
    """
    worst = connection.execute(_WORST).fetchall()
    figures = connection.execute(
        f"SELECT (SELECT coalesce(sum({_LEFT}), 0) {_STANDINGS}),"
        " (SELECT count(*) FROM quarantine), (SELECT coalesce(sum(dead), 0) FROM cursors)"
    ).fetchone()
    return Tally(dict(worst), *figures)


def stock(path: Path, connection: sqlite3.Connection) -> Stock:
    """
    Count it, in one consistent view.

    @param path: of the database.
    """
    connection.execute("BEGIN")
    pairs = partial(_pairs, connection)
    accounts = connection.execute("SELECT * FROM ledger").fetchall()
    standings = connection.execute(
        f"SELECT sink, total - base, delivered, dead, expired, {_LEFT},"
        f" (SELECT time FROM readings WHERE id > position ORDER BY id LIMIT 1) {_STANDINGS}"
    ).fetchall()
    meta = pairs("SELECT key, value FROM meta WHERE key LIKE 'expired_%'")
    return Stock(
        ledger={row[0]: Account(*row) for row in accounts},
        sinks={row[0]: Standing(*row) for row in standings},
        commands=pairs("SELECT state, count(*) FROM commands GROUP BY state"),
        statuses=pairs(f"SELECT worst, count(*) FROM ({_WORST}) GROUP BY worst"),
        quarantine=connection.execute("SELECT count(*) FROM quarantine").fetchone()[0],
        dropped=meta["expired_quarantine"],
        expired=meta["expired_readings"],
        size=_size(path),
        log=_size(path.with_name(f"{path.name}-wal")),
    )


def _pairs(connection: sqlite3.Connection, select: str) -> dict[str, int]:
    return dict(connection.execute(select).fetchall())


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:  # the log of one that nobody has written to
        return 0

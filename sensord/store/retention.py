"""
Removing what is too old, counted so that the ledger can still be proved.
"""

import sqlite3


def expire(before: int, most: int, connection: sqlite3.Connection) -> int:
    """
    Remove old readings: not those that a sink has still to read, and not the newest of each series.

    @param before: in microseconds since the epoch.
    @param most: how many to remove at the most, so that commits need not wait for long.
    @return: how many were removed.
    """
    horizon = connection.execute(
        # The last row stays, whatever its age: SQLite would give its id a second time.
        "SELECT min(coalesce((SELECT min(position) FROM cursors), max(id)), max(id) - 1)"
        " FROM readings"
    ).fetchone()[0]
    left = most
    for (series,) in connection.execute("SELECT id FROM series").fetchall():
        left -= connection.execute(
            "DELETE FROM readings WHERE id IN (SELECT id FROM readings"
            " WHERE series = :series AND id <= :horizon AND time < min(:before,"
            " (SELECT max(time) FROM readings WHERE series = :series)) LIMIT :left)",
            {"series": series, "horizon": horizon, "before": before, "left": left},
        ).rowcount
        if not left:
            break
    count(connection, "expired_readings", most - left)
    return most - left


def count(connection: sqlite3.Connection, key: str, number: int) -> None:
    """
    Count what was removed.
    """
    if number:
        connection.execute("UPDATE meta SET value = value + ? WHERE key = ?", (number, key))

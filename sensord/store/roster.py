"""
The table of devices: what was known of their comings and goings when it was last written.
"""

import sqlite3
from collections.abc import Sequence

from sensord.presence import Record

_COLUMNS = "address, heard, received, missed, restarts, counter, rssi, interval, declared"


def load(connection: sqlite3.Connection) -> list[Record]:
    """
    All records, with their addresses for names, but for those of devices that were forgotten.
    """
    records = []
    question = f"SELECT {_COLUMNS} FROM devices WHERE heard > 0 ORDER BY heard DESC"
    for row in connection.execute(question):
        address, heard, received, missed, restarts, counter, rssi, interval, declared = row
        records.append(
            Record(
                address,
                address,
                heard,
                received,
                missed,
                restarts,
                counter,
                rssi,
                interval,
                bool(declared),
            )
        )
    return records


def save(connection: sqlite3.Connection, records: Sequence[tuple[object, ...]]) -> None:
    """
    Write some records, given as L{row} has them.
    """
    connection.executemany(
        f"INSERT OR REPLACE INTO devices ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", records
    )


def row(record: Record) -> tuple[object, ...]:
    """
    A record as it is now, for another thread to write.
    """
    return (
        record.address,
        record.heard,
        record.received,
        record.missed,
        record.restarts,
        record.counter,
        record.rssi,
        record.interval,
        record.declared and not record.settled,  # the description may be another one next time
    )

"""
Proves the ledger against the rows.
"""

import sqlite3

from msgspec import Struct

from sensord.store.archive import Archive
from sensord.store.journal import Figures, figures


class Account(Struct, frozen=True):
    """
    The line of one listener in the ledger: received items, and what became of them.
    """

    listener: str
    received: int
    committed: int
    duplicate: int
    rejected: int
    quarantined: int


class Audit(Struct, frozen=True):
    """
    The outcome.

    @ivar accounts: the whole ledger.
    @ivar sinks: what became of the readings at each sink.
    @ivar readings: rows in the journal.
    @ivar expired: readings that retention has removed.
    @ivar held: frames in the quarantine.
    @ivar dropped: frames that were removed from it when it was full.
    @ivar faults: a line for each thing that does not balance.
    """

    accounts: list[Account]
    sinks: list[Figures]
    readings: int
    expired: int
    held: int
    dropped: int
    faults: list[str]


def audit(archive: Archive) -> Audit:
    """
    Count everything, in one consistent view of the database; the daemon may go on meanwhile.

    @raise StoreError: if the database cannot be read.
    """
    with archive.open() as connection:
        connection.execute("BEGIN")
        accounts = [
            Account(*row) for row in connection.execute("SELECT * FROM ledger ORDER BY listener")
        ]
        sinks = figures(connection)
        readings = _number(connection, "SELECT count(*) FROM readings")
        held = _number(connection, "SELECT count(*) FROM quarantine")
        expired = _number(connection, "SELECT value FROM meta WHERE key = 'expired_readings'")
        dropped = _number(connection, "SELECT value FROM meta WHERE key = 'expired_quarantine'")
        letters = dict(
            connection.execute("SELECT sink, count(*) FROM dead_letters GROUP BY sink").fetchall()
        )
        orphans = _number(
            connection, "SELECT count(*) FROM readings WHERE series NOT IN (SELECT id FROM series)"
        )
        checks = [row[0] for row in connection.execute("PRAGMA integrity_check(10)")]
    faults = []
    for one in accounts:
        outcomes = one.committed + one.duplicate + one.rejected + one.quarantined
        if one.received != outcomes:
            faults.append(f"{one.listener}: received {one.received}, accounted for {outcomes}")
    for sink in sinks:
        outcomes = sink.delivered + sink.dead + sink.expired + sink.backlog
        if sink.committed != outcomes:
            faults.append(f"{sink.sink}: committed {sink.committed}, accounted for {outcomes}")
        if sink.dead != (kept := letters.pop(sink.sink, 0)):
            faults.append(f"{sink.sink}: {sink.dead} dead letters, of which {kept} are there")
    for name, kept in letters.items():
        faults.append(f"{name}: {kept} dead letters of a sink that is not there")
    committed = sum(one.committed for one in accounts)
    if committed != readings + expired:
        faults.append(f"committed {committed}, in the journal or expired {readings + expired}")
    quarantined = sum(one.quarantined for one in accounts)
    if quarantined != held + dropped:
        faults.append(f"quarantined {quarantined}, held or dropped {held + dropped}")
    if orphans:
        faults.append(f"{orphans} readings belong to no series")
    faults.extend(f"the file: {check}" for check in checks if check != "ok")
    return Audit(accounts, sinks, readings, expired, held, dropped, faults)


def _number(connection: sqlite3.Connection, select: str) -> int:
    number: int = connection.execute(select).fetchone()[0]
    return number

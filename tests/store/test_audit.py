"""
Tests of the audit: what balances, and how each thing that does not is named.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sensord.store.archive import Archive
from sensord.store.audit import Account, Audit, audit
from sensord.store.database import Database
from sensord.store.schema import StoreError
from tests.store.support import Disk, faults, folder, intake, part, reading, sql


class _Watched(Archive):
    """
    An archive that calls something before each statement of a question.
    """

    def __init__(self, path: Path, before: Callable[[str], None]) -> None:
        super().__init__(path)
        self._before = before

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """
        Open the database for one question.
        """
        with super().open() as connection:
            connection.set_trace_callback(self._before)
            yield connection


class AuditTests(SynchronousTestCase):
    """
    Proving the ledger against the rows.
    """

    def setUp(self) -> None:
        self.path = folder(self) / "sensord.sqlite"
        self.disk = Disk()
        self.database = Database(self.path, maxQuarantine=2, connect=self.disk.connect)
        self.addCleanup(self.database.close)

    def fill(self) -> None:
        """
        Do everything that the ledger counts.
        """
        readings = [reading(time) for time in range(10)]
        self.database.commit(
            [
                part(intake(*readings), intake(rejected=2), intake(reading(20, float("nan")))),
                part(intake(reading(5), reading(1, 1, "a"), quarantined=3), listener="poe"),
            ]
        )
        self.disk.trouble = "COMMIT"
        self.assertRaises(sqlite3.Error, self.database.commit, [part(intake(reading(30)))])
        self.disk.trouble = None
        self.assertEqual(self.database.expire(4, 100), 4)
        self.database.resolve([2], part(intake(reading(40), reading(41)), listener="poe"))

    def tamper(self, statement: str) -> str:
        """
        Change something by hand that the ledger knows nothing of.

        @return: the only fault that is found then.
        """
        self.fill()
        self.database.close()
        sql(self.path, statement)
        (fault,) = faults(self.path)
        return fault

    def test_balances(self) -> None:
        """
        After readings of every fate the ledger balances, and the audit tells all its numbers.
        """
        self.fill()
        self.assertEqual(
            audit(Archive(self.path)),
            Audit(
                accounts=[Account("poe", 6, 3, 1, 0, 2), Account("weather", 13, 10, 0, 3, 0)],
                sinks=[],
                readings=9,
                expired=4,
                held=1,
                dropped=1,
                faults=[],
            ),
        )

    def test_empty(self) -> None:
        """
        A new database balances.
        """
        self.database.open()
        self.assertEqual(audit(Archive(self.path)), Audit([], [], 0, 0, 0, 0, []))

    def test_none(self) -> None:
        """
        Without a database there is nothing to prove.
        """
        self.assertRaises(StoreError, audit, Archive(self.path))

    def test_received(self) -> None:
        """
        If a listener received more than is accounted for, it is named with both numbers.
        """
        self.assertEqual(
            self.tamper("UPDATE ledger SET received = received + 1 WHERE listener = 'poe'"),
            "poe: received 7, accounted for 6",
        )

    def test_outcomes(self) -> None:
        """
        Each outcome is part of the account of a listener.
        """
        self.fill()
        for column in "duplicate", "rejected":
            sql(self.path, f"UPDATE ledger SET {column} = {column} + 1 WHERE listener = 'weather'")
            self.assertEqual(faults(self.path), ["weather: received 13, accounted for 14"])
            sql(self.path, f"UPDATE ledger SET {column} = {column} - 1 WHERE listener = 'weather'")

    def test_readingLost(self) -> None:
        """
        If a reading has vanished from the journal, the numbers say so.
        """
        self.assertEqual(
            self.tamper("DELETE FROM readings WHERE time = 40"),
            "committed 13, in the journal or expired 12",
        )

    def test_readingAdded(self) -> None:
        """
        If the journal has a reading that was never received, the numbers say so.
        """
        self.assertEqual(
            self.tamper("INSERT INTO readings (series, time, value, clock) VALUES (1, 99, 1, 0)"),
            "committed 13, in the journal or expired 14",
        )

    def test_expired(self) -> None:
        """
        If more expired than was removed, the numbers say so.
        """
        self.assertEqual(
            self.tamper("UPDATE meta SET value = value + 1 WHERE key = 'expired_readings'"),
            "committed 13, in the journal or expired 14",
        )

    def test_committed(self) -> None:
        """
        If the ledger claims to have committed what it received otherwise, the journal disproves it.
        """
        self.assertEqual(
            self.tamper(
                "UPDATE ledger SET committed = committed + 1, duplicate = duplicate - 1"
                " WHERE listener = 'poe'"
            ),
            "committed 14, in the journal or expired 13",
        )

    def test_frameLost(self) -> None:
        """
        If a frame has vanished from the quarantine, the numbers say so.
        """
        self.assertEqual(self.tamper("DELETE FROM quarantine"), "quarantined 2, held or dropped 1")

    def test_frameDropped(self) -> None:
        """
        If more frames were dropped than were quarantined, the numbers say so.
        """
        self.assertEqual(
            self.tamper("UPDATE meta SET value = value + 5 WHERE key = 'expired_quarantine'"),
            "quarantined 2, held or dropped 7",
        )

    def test_orphans(self) -> None:
        """
        Readings that belong to no series are counted.
        """
        self.assertEqual(
            self.tamper("DELETE FROM series WHERE name = 'temperature'"),
            "8 readings belong to no series",
        )

    def test_several(self) -> None:
        """
        Everything that does not balance is named, not the first thing alone.
        """
        self.fill()
        sql(self.path, "UPDATE ledger SET received = received - 1")
        sql(self.path, "DELETE FROM quarantine")
        self.assertEqual(
            faults(self.path),
            [
                "poe: received 5, accounted for 6",
                "weather: received 12, accounted for 13",
                "quarantined 2, held or dropped 1",
            ],
        )

    def test_file(self) -> None:
        """
        A file that contradicts itself is named, even where all numbers balance.
        """
        self.fill()
        self.database.close()
        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.execute("PRAGMA writable_schema = ON")
        # From now on, the file says, no two readings of a series may have the same clock.
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, '(series, time)', '(series, clock)')"
            " WHERE name = 'readings_by_time'"
        )
        connection.close()
        found = faults(self.path)
        self.assertTrue(found)
        for fault in found:
            self.assertRegex(fault, "^the file: .*readings_by_time")

    def test_meanwhile(self) -> None:
        """
        The audit balances while the daemon goes on: all its numbers are of one moment.
        """
        self.fill()
        times = iter(range(1000, 2000))

        def meanwhile(_statement: str) -> None:
            self.database.commit([part(intake(reading(next(times)), rejected=1, quarantined=1))])

        found = audit(_Watched(self.path, meanwhile))
        self.assertEqual(found.faults, [])
        self.assertGreater(next(times), 1003)
        self.assertEqual(faults(self.path), [])

"""
Tests of the database: what a transaction writes, and what it leaves as it was.
"""

import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sensord.devices import Description
from sensord.reading import Clock, Intake, Quarantined, Reading, Value
from sensord.store import series
from sensord.store.archive import Archive
from sensord.store.database import Database, Part, fromColumn
from sensord.store.schema import StoreError, connect
from tests.store.support import (
    Disk,
    aside,
    faults,
    folder,
    frame,
    intake,
    ledger,
    part,
    reading,
    spoil,
    sql,
    stored,
)

#: Beside the limit of one statement, on both sides, and at several statements.
_COUNTS = (1, 99, 100, 101, 199, 200, 250, 1000)


class DatabaseTestCase(SynchronousTestCase):
    """
    A database on a disk that can fail.
    """

    def setUp(self) -> None:
        self.disk = Disk()
        self.path = folder(self) / "sensord.sqlite"
        self.database = Database(self.path, connect=self.disk.connect)
        self.addCleanup(self.database.close)

    def commit(self, *intakes: Intake, listener: str = "weather") -> dict[int, Exception]:
        """
        Commit what one listener brought.
        """
        return self.database.commit([part(*intakes, listener=listener)])

    def meta(self, key: str) -> int:
        """
        A number out of the table C{meta}.
        """
        number: int = sql(self.path, "SELECT value FROM meta WHERE key = ?", key)[0][0]
        return number


class OpenTests(DatabaseTestCase):
    """
    What becomes of a file when the daemon starts.
    """

    def test_notADatabase(self) -> None:
        """
        A file that is no database is kept under a new name, the operator is told which, and a
        fresh database is begun.
        """
        self.path.write_bytes(b"Dear diary, " * 500)
        with capturedLogs() as events:
            self.database.open()
        (kept,) = aside(self.path)
        self.assertEqual(kept.read_bytes(), b"Dear diary, " * 500)
        self.assertEqual(stored(self.path), {})
        self.assertEqual(
            [(event["path"], event["aside"]) for event in events], [(self.path, kept.name)]
        )

    def test_withItsLog(self) -> None:
        """
        The log beside a broken database is kept too: what was committed last may be only there.
        """
        self.path.write_bytes(b"Dear diary, " * 500)
        Path(f"{self.path}-wal").write_bytes(b"P.S. " * 1000)
        self.database.open()
        log = Path(f"{aside(self.path)[0]}-wal")
        self.assertTrue(log.exists(), "the log is gone")
        self.assertEqual(log.read_bytes(), b"P.S. " * 1000)

    def spoiled(self, table: str) -> bytes:
        """
        Store something, then break a table.
        """
        self.commit(intake(reading()))
        self.database.close()
        return spoil(self.path, table)

    def test_brokenMeta(self) -> None:
        """
        A database of which the version cannot be read is set aside.
        """
        content = self.spoiled("meta")
        self.database.open()
        self.assertEqual([file.read_bytes() for file in aside(self.path)], [content])
        self.assertEqual(stored(self.path), {})

    def test_brokenSeries(self) -> None:
        """
        A database of which the series cannot be read is set aside.
        """
        content = self.spoiled("series")
        self.database.open()
        self.assertEqual([file.read_bytes() for file in aside(self.path)], [content])
        self.assertEqual(stored(self.path), {})

    def test_anotherProgram(self) -> None:
        """
        The database of another program is refused: it is not set aside, since it is not broken.
        """
        sql(self.path, "CREATE TABLE bookmarks (url)")
        self.assertRaises(StoreError, self.database.open)
        self.assertEqual(list(self.path.parent.iterdir()), [self.path])

    def test_noFolder(self) -> None:
        """
        A folder that is missing is said in one line that names the file.
        """
        path = self.path.parent / "missing" / "sensord.sqlite"
        error = self.assertRaises(StoreError, Database(path).open)
        self.assertEqual(str(error), f"{path}: unable to open database file")

    def test_fails(self) -> None:
        """
        A disk that fails is said in one line, and nothing is set aside.
        """
        self.commit(intake(reading()))
        self.database.close()
        self.disk.trouble = ""
        error = self.assertRaises(StoreError, self.database.open)
        self.assertEqual(str(error), f"{self.path}: disk I/O error")
        self.disk.trouble = None
        self.database.open()
        self.assertEqual(aside(self.path), [])
        self.assertEqual(stored(self.path), {("balcony", "temperature", 1): 21.5})

    def test_failsHalfway(self) -> None:
        """
        A disk that fails after the file was opened leaves the database closed, to be opened anew.
        """
        self.disk.trouble = "COMMIT"
        self.assertRaises(StoreError, self.database.open)
        self.disk.trouble = None
        self.assertEqual(self.commit(intake(reading())), {})

    def test_closedTwice(self) -> None:
        """
        Closing a database that is closed does nothing.
        """
        self.database.open()
        self.database.close()
        self.database.close()
        self.assertEqual(stored(self.path), {})


class CommitTests(DatabaseTestCase):
    """
    Writing a transaction.
    """

    def test_everything(self) -> None:
        """
        A commit writes the readings, their series, the quarantined frames and the ledger.
        """
        self.database.commit(
            [
                part(
                    intake(reading(1), reading(2), rejected=2),
                    intake(reading(3, 47, "humidity"), quarantined=1),
                ),
                part(intake(reading(1, 1, "fire.1", "poe/192.168.1.7")), listener="poe"),
            ]
        )
        self.assertEqual(
            stored(self.path),
            {
                ("balcony", "temperature", 1): 21.5,
                ("balcony", "temperature", 2): 21.5,
                ("balcony", "humidity", 3): 47,
                ("poe/192.168.1.7", "fire.1", 1): 1,
            },
        )
        self.assertEqual(
            sql(self.path, "SELECT time, listener, peer, data, why, wire FROM quarantine"),
            [(1, "weather", "192.168.1.7", b"\x01\x02", "device 9 has no description", "esp8266")],
        )
        self.assertEqual(ledger(self.path), (6, 3, 0, 2, 1))
        self.assertEqual(ledger(self.path, "poe"), (1, 1, 0, 0, 0))
        self.assertEqual(faults(self.path), [])

    def test_journal(self) -> None:
        """
        Readings stand in the journal in the order in which they came, whatever their times.
        """
        self.commit(intake(reading(30), reading(10)))
        self.commit(intake(reading(20)))
        self.assertEqual(
            sql(self.path, "SELECT id, time FROM readings ORDER BY id"), [(1, 30), (2, 10), (3, 20)]
        )

    def test_clock(self) -> None:
        """
        Where the time of each reading came from is stored with it.
        """
        clocks = [Clock.DEVICE, Clock.BACKDATED, Clock.ARRIVAL]
        self.commit(
            Intake([Reading("a", "b", 1, time, clock) for time, clock in enumerate(clocks)])
        )
        self.assertEqual(
            sql(self.path, "SELECT time, clock FROM readings ORDER BY time"),
            [(0, 0), (1, 1), (2, 2)],
        )

    def test_ledgerAddsUp(self) -> None:
        """
        The ledger counts from commit to commit, and goes on when the database is opened again.
        """
        for time in range(3):
            self.commit(intake(reading(time), rejected=1))
            self.database.close()
        self.assertEqual(ledger(self.path), (6, 3, 0, 3, 0))

    def test_duplicates(self) -> None:
        """
        A reading with the series and the time of an earlier one is counted as a duplicate, and the
        earlier one stays as it is.
        """
        self.commit(intake(reading(1, 20.0)))
        self.commit(intake(reading(1, 99.0), reading(2, 21.0)))
        self.assertEqual(list(stored(self.path).values()), [20.0, 21.0])
        self.assertEqual(ledger(self.path), (3, 2, 1, 0, 0))

    def test_duplicatesAtOnce(self) -> None:
        """
        Of several readings of one moment in one transaction, the first one wins.
        """
        self.database.commit(
            [
                part(intake(reading(1, 20.0), reading(1, 98.0))),
                part(intake(reading(1, 99.0)), listener="radio"),
            ]
        )
        self.assertEqual(list(stored(self.path).values()), [20.0])
        self.assertEqual(ledger(self.path), (2, 1, 1, 0, 0))
        self.assertEqual(ledger(self.path, "radio"), (1, 0, 1, 0, 0))
        self.assertEqual(faults(self.path), [])

    def test_manyRows(self) -> None:
        """
        However many readings come at once, each is stored and counted.
        """
        for count in _COUNTS:
            name = f"n{count}"
            self.commit(
                intake(*(reading(time, time, name) for time in range(count))), listener=name
            )
            found = {key[2]: value for key, value in stored(self.path).items() if key[1] == name}
            self.assertEqual(found, {time: time for time in range(count)})
            self.assertEqual(ledger(self.path, name), (count, count, 0, 0, 0))

    def test_manyDuplicates(self) -> None:
        """
        Duplicates anywhere among many readings are counted exactly.
        """
        self.commit(intake(*(reading(time, 0) for time in range(0, 250, 7))))
        self.commit(intake(*(reading(time, 1) for time in range(250)), reading(249, 2)))
        old = len(range(0, 250, 7))
        self.assertEqual(ledger(self.path), (old + 251, 250, old + 1, 0, 0))
        self.assertEqual(
            {key[2]: value for key, value in stored(self.path).items()},
            {time: int(time % 7 > 0) for time in range(250)},
        )

    def test_types(self) -> None:
        """
        Values come back as what they were: numbers, truth values and texts are told apart.
        """
        values: list[Value] = [
            *(True, False, 0, 1, -1, 2**63 - 1, -(2**63)),
            *(0.0, 1.0, -2.5, 1e300, 5e-324, 0.1),
            *("", "true", "1", "24.5", "Grüße, 世界", "a\x00b"),
        ]
        self.commit(intake(*(reading(time, value) for time, value in enumerate(values))))
        found = [fromColumn(value) for value in stored(self.path).values()]
        self.assertEqual(
            [(type(value), value) for value in found], [(type(value), value) for value in values]
        )

    def test_truthValuesCanBeRead(self) -> None:
        """
        Whoever opens the database with a tool reads C{true} and C{false}.
        """
        self.commit(intake(reading(1, True), reading(2, False)))
        self.assertEqual(
            sql(self.path, "SELECT CAST(value AS TEXT) FROM readings ORDER BY time"),
            [("true",), ("false",)],
        )

    def test_nothing(self) -> None:
        """
        A commit of nothing is none, and no error.
        """
        self.assertEqual(self.database.commit([]), {})
        self.assertEqual(self.commit(intake()), {})
        self.assertEqual(stored(self.path), {})
        self.assertEqual(faults(self.path), [])

    def test_opensByItself(self) -> None:
        """
        A commit opens a database that was closed.
        """
        self.commit(intake(reading(1)))
        self.database.close()
        self.commit(intake(reading(2)))
        self.assertEqual(len(stored(self.path)), 2)

    def test_seriesOfAnotherProcess(self) -> None:
        """
        A series that another process has entered meanwhile is used, and not entered twice.
        """
        self.database.open()
        sql(
            self.path,
            "INSERT INTO series VALUES (77, 'balcony', 'temperature', '', '{}', 'x/1', '', '')",
        )
        self.commit(intake(reading()))
        self.assertEqual(sql(self.path, "SELECT id FROM series"), [(77,)])
        self.assertEqual(sql(self.path, "SELECT series FROM readings"), [(77,)])


class ManySeriesTests(DatabaseTestCase):
    """
    More series than are remembered.
    """

    def test_many(self) -> None:
        """
        A peer that makes up ids fills no memory, and every reading is of the right series.
        """
        self.patch(series, "_MOST", 10)
        for turn in range(3):
            readings = [reading(turn, number, device=f"lines/{number}") for number in range(25)]
            self.assertEqual(self.commit(intake(*readings)), {})
        self.assertLessEqual(len(self.database._ids), 10)
        rows = stored(self.path)
        self.assertEqual(len(rows), 75)
        for (device, _name, _time), value in rows.items():
            self.assertEqual(device, f"lines/{value}")


class FailureTests(DatabaseTestCase):
    """
    Transactions that cannot be written.
    """

    def contents(self) -> list[list[tuple[Any, ...]]]:
        """
        Everything that the database contains.
        """
        tables = "series", "readings", "thresholds", "quarantine", "ledger", "meta"
        return [sql(self.path, f"SELECT * FROM {table}") for table in tables]

    def troubled(self, trouble: str) -> None:
        """
        Let a commit of something of every kind fail, and check that it left nothing behind; then
        check that the same commit succeeds.
        """
        self.disk.trouble = None
        self.commit(intake(reading(1)))
        before = self.contents()
        parts = [
            part(intake(reading(1), reading(2), reading(1, 5, "new"), rejected=1, quarantined=1)),
            part(intake(reading(1, 5, "other")), listener="poe"),
        ]
        self.disk.trouble = trouble
        error = self.assertRaises(sqlite3.OperationalError, self.database.commit, parts)
        self.assertEqual(str(error), "disk I/O error")
        self.assertEqual(self.contents(), before)
        self.disk.trouble = None
        self.assertEqual(self.database.commit(parts), {})
        self.assertEqual(
            list(stored(self.path)),
            [
                ("balcony", "temperature", 1),
                ("balcony", "temperature", 2),
                ("balcony", "new", 1),
                ("balcony", "other", 1),
            ],
        )
        self.assertEqual(ledger(self.path), (6, 3, 1, 1, 1))
        self.assertEqual(faults(self.path), [])

    def test_begin(self) -> None:
        """
        A transaction that cannot begin can be tried again.
        """
        self.troubled("BEGIN")

    def test_series(self) -> None:
        """
        If a new series cannot be entered, nothing of the transaction is there, and it can be tried
        again.
        """
        self.troubled("INSERT INTO series")

    def test_quarantine(self) -> None:
        """
        If a frame cannot be quarantined, the readings before it are not there either.
        """
        self.troubled("INSERT INTO quarantine")

    def test_ledger(self) -> None:
        """
        If the ledger cannot be written, the readings that it would count are not there either.
        """
        self.troubled("INSERT INTO ledger")

    def test_commit(self) -> None:
        """
        If the commit itself fails, nothing is there: new series are not remembered with ids that
        they did not get.
        """
        self.troubled("COMMIT")

    def test_idsOfOthers(self) -> None:
        """
        An id that a failed commit had for a new series may meanwhile be that of another one.
        """
        self.database.open()
        self.disk.trouble = "COMMIT"
        self.assertRaises(sqlite3.Error, self.commit, intake(reading(name="mine")))
        sql(self.path, "INSERT INTO series VALUES (1, 'x', 'theirs', '', '{}', 'x/1', '', '')")
        self.disk.trouble = None
        self.commit(intake(reading(name="mine")))
        self.assertEqual(list(stored(self.path)), [("balcony", "mine", 1)])

    def test_fullDisk(self) -> None:
        """
        On a full disk nothing is stored in part; when there is space again, the same readings are.
        """
        self.commit(intake(reading(0)))
        self.database.close()
        self.disk.full = True
        many = intake(*(reading(time, "x" * 200) for time in range(1, 1001)))
        error = self.assertRaises(sqlite3.OperationalError, self.commit, many)
        self.assertEqual(str(error), "database or disk is full")
        self.assertEqual(len(stored(self.path)), 1)
        self.assertEqual(ledger(self.path), (1, 1, 0, 0, 0))
        self.disk.full = False
        self.assertEqual(self.commit(many), {})
        self.assertEqual(len(stored(self.path)), 1001)
        self.assertEqual(aside(self.path), [])

    def test_fullDiskAmongUnfit(self) -> None:
        """
        A disk that is full while unfit readings are being left out makes no reading unfit.
        """
        self.commit(intake(reading(0)))
        self.database.close()
        self.disk.full = True
        many = intake(*(reading(time, "x" * 200) for time in range(1, 1001)))
        self.assertRaises(
            sqlite3.OperationalError, self.commit, intake(reading(5, float("nan"))), many
        )
        self.assertEqual(ledger(self.path), (1, 1, 0, 0, 0))


class RunTests(DatabaseTestCase):
    """
    Writing what is no reading.
    """

    def note(self, connection: sqlite3.Connection) -> int:
        """
        Write a line.
        """
        return connection.execute("INSERT INTO meta VALUES ('note', 1)").rowcount

    def test_run(self) -> None:
        """
        What is written is there for other programs, and what came of it is returned.
        """
        self.assertEqual(self.database.run(self.note), 1)
        self.assertEqual(sql(self.path, "SELECT value FROM meta WHERE key = 'note'"), [(1,)])

    def test_fails(self) -> None:
        """
        Of what fails in the middle nothing is written, and the next attempt begins anew.
        """

        def fail(connection: sqlite3.Connection) -> None:
            self.note(connection)
            connection.execute("SELECT nonsense")

        self.assertRaises(sqlite3.OperationalError, self.database.run, fail)
        self.assertEqual(sql(self.path, "SELECT value FROM meta WHERE key = 'note'"), [])
        self.assertEqual(self.database.run(self.note), 1)

    def test_deleted(self) -> None:
        """
        Nothing goes into a file that was deleted meanwhile: a new one is begun.
        """
        self.database.run(self.note)
        self.path.unlink()
        self.database.run(self.note)
        self.assertEqual(sql(self.path, "SELECT value FROM meta WHERE key = 'note'"), [(1,)])

    def test_full(self) -> None:
        """
        When the disk fails, that is raised, and readings can be written as soon as it heals.
        """
        self.disk.trouble = "INSERT INTO meta"
        self.assertRaises(StoreError, self.database.run, self.note)
        self.disk.trouble = None
        self.assertEqual(self.commit(intake(reading())), {})


class UnfitTests(DatabaseTestCase):
    """
    Readings that no database can store.
    """

    def leftOut(self, unfit: Intake) -> Exception:
        """
        Commit an intake amid others; check that it was left out alone, and counted as rejected.

        @return: why.
        """
        before, after = intake(reading(1)), intake(reading(2), quarantined=1)
        other = intake(reading(1, True, "door", "hall"))
        errors = self.database.commit(
            [part(before, unfit, after), part(other, listener="pages"), part(listener="radio")]
        )
        self.assertEqual(list(errors), [id(unfit)])
        self.assertEqual(
            stored(self.path),
            {
                ("balcony", "temperature", 1): 21.5,
                ("balcony", "temperature", 2): 21.5,
                ("hall", "door", 1): b"true",
            },
        )
        self.assertEqual(ledger(self.path), (3 + unfit.received, 2, 0, unfit.received, 1))
        self.assertEqual(ledger(self.path, "pages"), (1, 1, 0, 0, 0))
        self.assertEqual(faults(self.path), [])
        return errors[id(unfit)]

    def test_notANumber(self) -> None:
        """
        A value that is not a number is left out, with the good readings of its own intake, and
        nothing else is.
        """
        unfit = intake(reading(5), reading(6, float("nan")), rejected=1, quarantined=1)
        self.assertIsInstance(self.leftOut(unfit), sqlite3.IntegrityError)

    def test_infinite(self) -> None:
        """
        An infinite value is left out, since the value of a reading is finite.
        """
        self.leftOut(intake(reading(6, float("inf"))))

    def test_infinitelyLow(self) -> None:
        """
        So is one that is infinitely low.
        """
        self.leftOut(intake(reading(6, float("-inf"))))

    def test_none(self) -> None:
        """
        A value that is missing is left out.
        """
        value: Any = None
        self.assertIsInstance(self.leftOut(intake(reading(6, value))), sqlite3.IntegrityError)

    def test_object(self) -> None:
        """
        A value of a type that no reading has is left out.
        """
        value: Any = {"celsius": 21.5}
        self.assertIsInstance(self.leftOut(intake(reading(6, value))), sqlite3.Error)

    def test_tooLarge(self) -> None:
        """
        Integers that need more than 64 bits are left out.
        """
        self.assertIsInstance(self.leftOut(intake(reading(6, 2**63))), OverflowError)

    def test_timeTooLarge(self) -> None:
        """
        A time that needs more than 64 bits is left out.
        """
        self.assertIsInstance(self.leftOut(intake(reading(2**63))), OverflowError)

    def test_surrogate(self) -> None:
        """
        A text that has no encoding is left out.
        """
        self.assertIsInstance(self.leftOut(intake(reading(6, "\ud800"))), UnicodeEncodeError)

    def test_surrogateInName(self) -> None:
        """
        A name that has no encoding is left out, and no series is entered for it.
        """
        self.leftOut(intake(reading(6, 1.0, "\udfff")))
        self.assertEqual(sql(self.path, "SELECT name FROM series"), [("temperature",), ("door",)])

    def test_noReading(self) -> None:
        """
        What is no reading at all is left out.
        """
        nothing: Any = None
        self.assertIsInstance(self.leftOut(intake(nothing)), AttributeError)

    def test_frame(self) -> None:
        """
        A frame that cannot be quarantined is left out.
        """
        data: Any = None
        unfit = Intake([reading(5)], quarantined=[Quarantined(1, "peer", data, "why", "esp8266")])
        self.assertIsInstance(self.leftOut(unfit), sqlite3.IntegrityError)

    def test_late(self) -> None:
        """
        An unfit reading behind hundreds of good ones takes them all along, and no part stays.
        """
        many = [reading(time, time, "many") for time in range(250)]
        self.leftOut(intake(*many, reading(300, float("nan"), "many")))

    def test_newSeries(self) -> None:
        """
        A series that only an unfit intake would have begun is entered when it is needed.
        """
        self.commit(intake(reading(1, 1, "new"), reading(2, float("nan"), "new")))
        self.assertEqual(sql(self.path, "SELECT * FROM series"), [])
        self.commit(intake(reading(3, 3, "new")))
        self.assertEqual(stored(self.path), {("balcony", "new", 3): 3})

    def test_newSeriesOfNeighbours(self) -> None:
        """
        Series that begin before, in and after an unfit intake keep their readings apart.
        """
        nan = float("nan")
        self.commit(
            intake(reading(1, 1, "a")),
            intake(reading(2, 2, "b"), reading(2, nan, "c")),
            intake(reading(3, 3, "c"), reading(3, 30, "a")),
            intake(reading(4, nan, "d")),
            intake(reading(5, 5, "b"), reading(5, 50, "a")),
        )
        self.commit(intake(reading(6, 6, "d"), reading(6, 60, "c")))
        self.assertEqual(
            {(name, time): value for (_, name, time), value in stored(self.path).items()},
            {
                **{("a", 1): 1, ("c", 3): 3, ("a", 3): 30, ("b", 5): 5, ("a", 5): 50},
                **{("d", 6): 6, ("c", 6): 60},
            },
        )

    def test_several(self) -> None:
        """
        Each unfit intake is reported with its own reason.
        """
        first, good, second = (
            intake(reading(1, 2**63)),
            intake(reading(2)),
            intake(reading(3, "\ud800")),
        )
        errors = self.commit(first, good, second)
        self.assertEqual(
            {key: type(error) for key, error in errors.items()},
            {id(first): OverflowError, id(second): UnicodeEncodeError},
        )

    def test_listener(self) -> None:
        """
        A listener's name that has no encoding keeps out what came by it, and nothing else.
        """
        unfit = intake(reading(1))
        errors = self.database.commit([part(unfit, listener="\ud800"), part(intake(reading(2)))])
        self.assertEqual(list(errors), [id(unfit)])
        self.assertEqual(list(stored(self.path)), [("balcony", "temperature", 2)])


class InterruptedTests(DatabaseTestCase):
    """
    A file that was left in the middle of things, and files that are not there any more.
    """

    def test_checkpoint(self) -> None:
        """
        A database that was cut off while its log was being copied into it is not broken: the log
        has all that is missing.
        """
        connection = connect(self.path)
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO series VALUES (1, 'a', 'b', '', '{}', '', '', '')")
        rows = [(1, time, "x" * 50, 2) for time in range(20_000)]
        connection.executemany(
            "INSERT INTO readings (series, time, value, clock) VALUES (?, ?, ?, ?)", rows
        )
        connection.execute("COMMIT")
        log = Path(f"{self.path}-wal").read_bytes()
        connection.close()
        content = self.path.read_bytes()
        self.path.write_bytes(content[: len(content) // 2 // 4096 * 4096])
        Path(f"{self.path}-wal").write_bytes(log)
        self.database.open()
        self.assertEqual(aside(self.path), [])
        self.assertEqual(len(stored(self.path)), len(rows))

    def test_deleted(self) -> None:
        """
        What is committed after the file was deleted goes to a new file, and the log says so.
        """
        self.commit(intake(reading(1)))
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink()
        with capturedLogs() as events:
            self.commit(intake(reading(2)))
        self.assertEqual(list(stored(self.path)), [("balcony", "temperature", 2)])
        self.assertEqual(len(events), 1)

    def test_logDeleted(self) -> None:
        """
        What was committed before the log was deleted is not lost with it.
        """
        self.commit(intake(reading(1)))
        Path(f"{self.path}-wal").unlink()
        self.commit(intake(reading(2)))
        self.database.close()
        times = [time for _device, _name, time in stored(self.path)]
        self.assertEqual(times, [1, 2])

    def test_replaced(self) -> None:
        """
        A file that was put in the place of the database is not written to under its name.
        """
        self.commit(intake(reading(1)))
        other = self.path.with_name("other")
        other.write_bytes(b"Dear diary, " * 500)
        other.replace(self.path)
        self.commit(intake(reading(2)))
        self.assertEqual(list(stored(self.path)), [("balcony", "temperature", 2)])
        self.assertEqual(len(aside(self.path)), 1)

    def test_notReplacing(self) -> None:
        """
        Who only helps the daemon sets no file aside, whatever is wrong with it.
        """
        self.path.write_bytes(b"Dear diary, " * 500)
        self.assertRaises(StoreError, Database(self.path, replace=False).open)
        self.assertEqual(aside(self.path), [])


class BrokenTests(DatabaseTestCase):
    """
    A file that breaks while the daemon is running.
    """

    def setUp(self) -> None:
        super().setUp()
        self.commit(intake(*(reading(time) for time in range(300))))

    def spoil(self, table: str | None) -> bytes:
        """
        Empty the log, as SQLite does from time to time, and overwrite what is in the file.
        """
        self.assertEqual(sql(self.path, "PRAGMA wal_checkpoint(TRUNCATE)"), [(0, 0, 0)])
        return spoil(self.path, table)

    def check(self, content: bytes) -> None:
        """
        Check that a commit goes to a fresh database, and that the operator is told where the old
        one is.
        """
        with capturedLogs() as events:
            self.assertEqual(self.commit(intake(reading(1000), quarantined=1)), {})
        (kept,) = aside(self.path)
        self.assertEqual(kept.read_bytes(), content)
        self.assertEqual([event["aside"] for event in events], [kept.name])
        self.assertEqual(stored(self.path), {("balcony", "temperature", 1000): 21.5})
        self.assertEqual(ledger(self.path), (2, 1, 0, 0, 1))
        self.assertEqual(faults(self.path), [])
        self.commit(intake(reading(1001)))
        self.assertEqual(len(stored(self.path)), 2)

    def test_all(self) -> None:
        """
        A file that is overwritten as a whole is set aside, and the commit goes to a fresh one.
        """
        self.check(self.spoil(None))

    def test_index(self) -> None:
        """
        A file of which the index is overwritten is set aside, and the commit goes to a fresh one.
        """
        self.check(self.spoil("readings_by_time"))

    def test_seriesWhileClosed(self) -> None:
        """
        A file that breaks while it is closed for a moment, as after a failed commit, is set aside.
        """
        self.database.close()
        self.check(self.spoil("series"))

    def test_gone(self) -> None:
        """
        The broken file is set aside under a name of its own, each time.
        """
        self.spoil(None)
        self.commit(intake(reading(1)))
        self.spoil(None)
        self.commit(intake(reading(2)))
        self.assertEqual(len(aside(self.path)), 2)
        self.assertEqual(list(stored(self.path)), [("balcony", "temperature", 2)])


class LockTests(DatabaseTestCase):
    """
    Other programs that look into the database while the daemon is running.
    """

    def look(self) -> None:
        """
        Read the database in another process, as somebody with a tool would.
        """
        code = (
            "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1]);"
            " connection.execute('SELECT count(*) FROM readings').fetchone(); connection.close()"
        )
        subprocess.run([sys.executable, "-c", code, str(self.path)], check=True)

    def test_look(self) -> None:
        """
        Another program that reads the database and goes does not take the log away with it.
        """
        self.commit(intake(reading(1)))
        self.look()
        self.assertTrue(Path(f"{self.path}-wal").exists())

    def test_openedAgainWhileRead(self) -> None:
        """
        Nor does it after the database was opened anew, as after a failed commit, while a question
        was being answered: everything that is committed can be found.
        """
        self.commit(intake(reading(1)))
        with Archive(self.path).open() as connection:
            connection.execute("SELECT * FROM readings").fetchall()
            self.database.close()
            self.commit(intake(reading(2)))
        self.look()
        self.assertTrue(Path(f"{self.path}-wal").exists(), "the log was deleted under us")
        self.commit(intake(reading(3)))
        self.assertEqual(len(stored(self.path)), 3)


class QuarantineTests(DatabaseTestCase):
    """
    Frames that wait for a description.
    """

    def setUp(self) -> None:
        super().setUp()
        self.database = Database(self.path, maxQuarantine=3, connect=self.disk.connect)
        self.addCleanup(self.database.close)

    def quarantine(self, *datas: bytes, listener: str = "weather") -> None:
        """
        Put frames into the quarantine.
        """
        self.commit(Intake([], quarantined=[frame(data) for data in datas]), listener=listener)

    def held(self) -> list[tuple[int, bytes]]:
        """
        What is in the quarantine.
        """
        return [(held.id, held.data) for held in Archive(self.path).quarantine()]

    def test_oldestGoFirst(self) -> None:
        """
        When the quarantine is over full the oldest frames go, and they are counted.
        """
        self.quarantine(b"1", b"2")
        self.quarantine(b"3")
        self.assertEqual(self.meta("expired_quarantine"), 0)
        self.quarantine(b"4", b"5", listener="radio")
        self.assertEqual(self.held(), [(3, b"3"), (4, b"4"), (5, b"5")])
        self.assertEqual(self.meta("expired_quarantine"), 2)
        self.assertEqual(ledger(self.path), (3, 0, 0, 0, 3))
        self.assertEqual(faults(self.path), [])

    def test_manyAtOnce(self) -> None:
        """
        More frames at once than the quarantine holds leave the newest.
        """
        self.quarantine(*(b"%d" % number for number in range(10)))
        self.assertEqual([data for _id, data in self.held()], [b"7", b"8", b"9"])
        self.assertEqual(self.meta("expired_quarantine"), 7)
        self.assertEqual(faults(self.path), [])

    def test_none(self) -> None:
        """
        A quarantine of no size keeps nothing and counts everything.
        """
        self.database = Database(self.path, maxQuarantine=0)
        self.addCleanup(self.database.close)
        self.quarantine(b"1", b"2")
        self.assertEqual(self.held(), [])
        self.assertEqual(self.meta("expired_quarantine"), 2)
        self.assertEqual(faults(self.path), [])

    def test_idsAreNotGivenAgain(self) -> None:
        """
        The id of a frame that was resolved is not given to a later one.
        """
        self.quarantine(b"1", b"2")
        self.database.resolve([2], part(intake(reading(1))))
        self.quarantine(b"3")
        self.assertEqual(self.held(), [(1, b"1"), (3, b"3")])

    def test_resolve(self) -> None:
        """
        Frames that can be decoded now are replaced by their readings, and the ledger balances.
        """
        self.quarantine(b"1", b"2", b"3")
        self.database.resolve([1, 3], part(intake(reading(1), reading(2), reading(3), rejected=1)))
        self.assertEqual(self.held(), [(2, b"2")])
        self.assertEqual(len(stored(self.path)), 3)
        self.assertEqual(ledger(self.path), (5, 3, 0, 1, 1))
        self.assertEqual(faults(self.path), [])

    def test_resolveDuplicates(self) -> None:
        """
        A resolved frame may hold readings that are there already: they count as duplicates.
        """
        self.commit(intake(reading(1, 20.0)))
        self.quarantine(b"1")
        self.database.resolve([1], part(intake(reading(1, 99.0), reading(2))))
        self.assertEqual(list(stored(self.path).values()), [20.0, 21.5])
        self.assertEqual(ledger(self.path), (3, 2, 1, 0, 0))
        self.assertEqual(faults(self.path), [])

    def test_resolveAgain(self) -> None:
        """
        A frame that still cannot be decoded goes back into the quarantine, under a new id.
        """
        self.quarantine(b"1", b"2")
        self.database.resolve([1, 2], part(intake(reading(1), quarantined=1)))
        self.assertEqual(self.held(), [(3, b"\x01\x02")])
        self.assertEqual(ledger(self.path), (2, 1, 0, 0, 1))
        self.assertEqual(faults(self.path), [])

    def test_resolveOpens(self) -> None:
        """
        Frames can be resolved in a database that is not open yet.
        """
        self.quarantine(b"1")
        self.database.close()
        self.database.resolve([1], part(intake(reading(1))))
        self.assertEqual(self.held(), [])

    def test_resolveGone(self) -> None:
        """
        Frames that are gone cannot be resolved a second time, and nothing is changed.
        """
        self.quarantine(b"1", b"2")
        self.database.resolve([1], part(intake(reading(1))))
        resolved = part(intake(reading(2), reading(3, 1, "new")))
        self.assertRaises(StoreError, self.database.resolve, [2, 1], resolved)
        self.assertEqual(self.held(), [(2, b"2")])
        self.assertEqual(len(stored(self.path)), 1)
        self.assertEqual(ledger(self.path), (2, 1, 0, 0, 1))
        self.database.resolve([2], resolved)
        self.assertEqual(len(stored(self.path)), 3)
        self.assertEqual(faults(self.path), [])

    def test_resolveFails(self) -> None:
        """
        If the readings cannot be stored, the frames stay in the quarantine.
        """
        self.quarantine(b"1")
        self.disk.trouble = "COMMIT"
        resolved = part(intake(reading(1)))
        self.assertRaises(sqlite3.OperationalError, self.database.resolve, [1], resolved)
        self.disk.trouble = None
        self.assertEqual(self.held(), [(1, b"1")])
        self.assertEqual(stored(self.path), {})
        self.assertEqual(faults(self.path), [])


class ExpireTests(DatabaseTestCase):
    """
    Removing old readings.
    """

    def times(self, name: str = "temperature") -> list[int]:
        """
        The times of the readings of a series.
        """
        return sorted(time for _, found, time in stored(self.path) if found == name)

    def test_age(self) -> None:
        """
        Readings from before a moment are removed and counted; those of that moment stay.
        """
        self.commit(intake(*(reading(time) for time in range(10))))
        self.assertEqual(self.database.expire(4, 100), 4)
        self.assertEqual(self.times(), [4, 5, 6, 7, 8, 9])
        self.assertEqual(self.meta("expired_readings"), 4)
        self.assertEqual(ledger(self.path), (10, 10, 0, 0, 0))
        self.assertEqual(faults(self.path), [])
        self.assertEqual(self.database.expire(4, 100), 0)

    def test_newestStays(self) -> None:
        """
        The newest reading of each series stays, however old it is and whenever it came.
        """
        self.commit(intake(reading(3, 1, "a"), reading(1, 1, "a"), reading(2, 1, "a")))
        self.commit(intake(reading(1, 1, "b"), reading(9, 1, "c")))
        self.assertEqual(self.database.expire(100, 100), 2)
        self.assertEqual(
            list(stored(self.path)), [("balcony", "a", 3), ("balcony", "b", 1), ("balcony", "c", 9)]
        )

    def test_lastStays(self) -> None:
        """
        The last row of the journal stays, even if it came late and is old: its id would be given to
        the next reading, which no sink would then send.
        """
        self.commit(intake(reading(5), reading(6), reading(1)))
        self.assertEqual(self.database.expire(100, 100), 1)
        self.assertEqual(self.times(), [1, 6])
        self.commit(intake(reading(7)))
        self.assertEqual(sql(self.path, "SELECT max(id) FROM readings"), [(4,)])

    def test_idsAreNotGivenAgain(self) -> None:
        """
        However much is removed, ids only grow.
        """
        highest = 0
        for time in range(1, 30, 3):
            # The last of each three is the oldest.
            self.commit(intake(reading(time + 2), reading(time + 1), reading(time)))
            ids = [id for (id,) in sql(self.path, "SELECT id FROM readings WHERE time >= ?", time)]
            self.assertGreater(min(ids), highest)
            highest = max(ids)
            self.database.expire(100, 100)
            self.database.close()

    def test_cursor(self) -> None:
        """
        What the slowest sink has still to read stays.
        """
        self.commit(intake(*(reading(time) for time in range(1, 11))))
        sql(self.path, "INSERT INTO cursors (sink, position) VALUES ('slow', 3), ('quick', 8)")
        self.assertEqual(self.database.expire(100, 100), 3)
        self.assertEqual(self.times(), [4, 5, 6, 7, 8, 9, 10])
        sql(self.path, "DELETE FROM cursors WHERE sink = 'slow'")
        self.assertEqual(self.database.expire(100, 100), 5)
        self.assertEqual(self.times(), [9, 10])
        self.assertEqual(faults(self.path, "quick", "slow"), [])

    def test_newSink(self) -> None:
        """
        A sink that has read nothing yet keeps everything.
        """
        self.commit(intake(*(reading(time) for time in range(10))))
        sql(self.path, "INSERT INTO cursors (sink, position) VALUES ('new', 0)")
        self.assertEqual(self.database.expire(100, 100), 0)
        self.assertEqual(len(self.times()), 10)

    def test_most(self) -> None:
        """
        No more than asked for are removed at a time, over all series together.
        """
        self.commit(intake(*(reading(time, 1, name) for name in ("a", "b") for time in range(10))))
        self.assertEqual([self.database.expire(9, 7) for _ in range(4)], [7, 7, 4, 0])
        self.assertEqual((self.times("a"), self.times("b")), ([9], [9]))
        self.assertEqual(self.meta("expired_readings"), 18)
        self.assertEqual(faults(self.path), [])

    def test_empty(self) -> None:
        """
        In an empty database nothing expires.
        """
        self.assertEqual(self.database.expire(100, 100), 0)
        self.assertEqual(self.meta("expired_readings"), 0)

    def test_fails(self) -> None:
        """
        If the removal cannot be committed, nothing is removed and nothing counted.
        """
        self.commit(intake(*(reading(time) for time in range(10))))
        self.disk.trouble = "COMMIT"
        self.assertRaises(sqlite3.OperationalError, self.database.expire, 5, 100)
        self.disk.trouble = None
        self.assertEqual(len(self.times()), 10)
        self.assertEqual(self.meta("expired_readings"), 0)
        self.assertEqual(self.database.expire(5, 100), 5)

    def test_duplicateOfTheExpired(self) -> None:
        """
        A reading whose first copy has expired is stored again, and the ledger balances.
        """
        self.commit(intake(reading(1), reading(2), reading(3)))
        self.database.expire(3, 100)
        self.commit(intake(reading(1)))
        self.assertEqual(self.times(), [1, 3])
        self.assertEqual(faults(self.path), [])


class DescribeTests(DatabaseTestCase):
    """
    What is known of a series beside its readings.
    """

    COLUMNS = "device, name, unit, tags, address, wire, field"

    def setUp(self) -> None:
        super().setUp()
        self.known = Description(
            "weather/1",
            "esp8266",
            "temp",
            "°C",
            {"room": "küche", "place": "balcony"},
            (("critical", ">", 30.0), ("warning", ">=", 25.0)),
        )

    def describe(self, known: Description) -> None:
        """
        Store a reading, of which this is known.
        """
        database = Database(self.path, lambda device, name: known)
        database.open()
        database.commit([part(intake(reading()))])
        database.close()

    def series(self) -> list[tuple[Any, ...]]:
        """
        All series.
        """
        return sql(self.path, f"SELECT {self.COLUMNS} FROM series")

    def test_new(self) -> None:
        """
        A series is entered with all that is known of it.
        """
        self.describe(self.known)
        tags = '{"place": "balcony", "room": "küche"}'
        self.assertEqual(
            self.series(),
            [("balcony", "temperature", "°C", tags, "weather/1", "esp8266", "temp")],
        )
        self.assertEqual(
            sql(self.path, "SELECT status, operator, number FROM thresholds ORDER BY status"),
            [("critical", ">", 30.0), ("warning", ">=", 25.0)],
        )

    def test_unknown(self) -> None:
        """
        A series of which nothing is known has its device for an address.
        """
        self.commit(intake(reading()))
        self.assertEqual(self.series(), [("balcony", "temperature", "", "{}", "balcony", "", "")])

    def test_asked(self) -> None:
        """
        The description is asked for by device and name.
        """
        database = Database(self.path, lambda device, name: Description(f"{device}!{name}"))
        database.commit([part(intake(reading(), reading(name="light", device="attic")))])
        database.close()
        self.assertEqual([row[4] for row in self.series()], ["balcony!temperature", "attic!light"])

    def test_refreshed(self) -> None:
        """
        Units, tags and thresholds that have changed in the configuration are brought up to date
        when the database is opened; where the readings came from is history.
        """
        self.describe(self.known)
        new = Description(
            "pages/7", "lines", "1", "°F", {"room": "attic"}, (("critical", "<", 5.0),)
        )
        database = Database(self.path, lambda device, name: new)
        database.open()
        database.close()
        self.assertEqual(
            self.series(),
            [("balcony", "temperature", "°F", '{"room": "attic"}', "weather/1", "esp8266", "temp")],
        )
        self.assertEqual(
            sql(self.path, "SELECT series, status, operator, number FROM thresholds"),
            [(1, "critical", "<", 5.0)],
        )

    def test_takenAway(self) -> None:
        """
        Units, tags and thresholds that are no more in the configuration go.
        """
        self.describe(self.known)
        self.describe(Description("weather/1", "esp8266"))
        self.assertEqual([row[2:4] for row in self.series()], [("", "{}")])
        self.assertEqual(sql(self.path, "SELECT * FROM thresholds"), [])

    def test_formerName(self) -> None:
        """
        What a device has measured under a name that nobody knows any more keeps its unit and tags:
        sinks may still have to pass it on.
        """
        self.describe(self.known)
        before = self.series()
        self.describe(Description("balcony"))
        self.assertEqual(self.series(), before)


_Key = tuple[str, str, int]


@dataclass
class _Model:
    """
    What a database should contain.

    @ivar rows: the values, by device, name and time.
    @ivar highest: the highest id that was ever given.
    """

    rows: dict[_Key, int] = field(default_factory=dict)
    ids: dict[_Key, int] = field(default_factory=dict)
    ledgers: dict[str, list[int]] = field(default_factory=dict)
    highest: int = 0
    cursor: int | None = None

    def commit(self, parts: Sequence[Part], unfit: set[int]) -> None:
        """
        What a commit does.
        """
        for one in parts:
            counts = self.ledgers.setdefault(one.listener, [0, 0, 0, 0, 0])
            for chunk in one.intakes:
                counts[0] += chunk.received
                if id(chunk) in unfit:
                    counts[3] += chunk.received
                    continue
                for found in chunk.readings:
                    key = found.device, found.name, found.time
                    assert isinstance(found.value, int)
                    counts[2 if key in self.rows else 1] += 1
                    self.rows.setdefault(key, found.value)
                counts[3] += len(chunk.rejected)
                counts[4] += len(chunk.quarantined)

    def expirable(self, before: int) -> set[_Key]:
        """
        What may be removed.
        """
        newest = {
            (device, name): max(time for d, n, time in self.rows if (d, n) == (device, name))
            for device, name, _ in self.rows
        }
        horizon = max(self.ids.values(), default=0) - 1
        if self.cursor is not None:
            horizon = min(horizon, self.cursor)
        return {
            key
            for key in self.rows
            if key[2] < before and key[2] != newest[key[:2]] and self.ids[key] <= horizon
        }


_readings = st.builds(
    Reading,
    device=st.sampled_from(["balcony", "attic"]),
    name=st.sampled_from(["light", "heat"]),
    value=st.integers(-5, 5),
    time=st.integers(0, 12),
    clock=st.sampled_from(Clock),
)
_unfit = st.builds(reading, st.just(3), st.sampled_from([float("nan"), "\ud800", 2**63]))
_intakes = st.builds(
    lambda readings, bad, rejected, quarantined: intake(
        *readings, *bad, rejected=rejected, quarantined=quarantined
    ),
    st.lists(_readings, max_size=8),
    st.one_of(st.just([]), st.just([]), st.lists(_unfit, max_size=1)),
    st.integers(0, 2),
    st.integers(0, 2),
)
_parts = st.lists(
    st.builds(Part, st.sampled_from(["weather", "poe"]), st.lists(_intakes, max_size=3)),
    min_size=1,
    max_size=3,
)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), _parts),
        st.tuples(
            st.just("fail"),
            st.tuples(st.sampled_from(["BEGIN", "INSERT INTO ledger", "COMMIT"]), _parts),
        ),
        st.tuples(st.just("expire"), st.tuples(st.integers(4, 14), st.integers(1, 8))),
        st.tuples(st.just("cursor"), st.integers(0, 15)),
        st.tuples(st.just("reopen"), st.none()),
    ),
    min_size=8,
    max_size=20,
)


class ModelTests(SynchronousTestCase):
    """
    The database against a much simpler model.
    """

    @given(_steps)
    @settings(deadline=None, database=None, max_examples=50)
    def test_anyOrder(self, steps: list[tuple[str, Any]]) -> None:
        """
        Whatever is committed, fails or expires in whatever order: the rows are those that should
        be there, ids only grow, and the ledger balances.
        """
        path = folder(self) / "sensord.sqlite"
        disk = Disk()
        disk.durable = False
        database = Database(path, maxQuarantine=4, connect=disk.connect)
        model = _Model()
        try:
            database.open()
            for step, argument in steps:
                getattr(self, f"_{step}")(database, disk, model, argument)
                self._check(path, model)
        finally:
            database.close()

    def _commit(self, database: Database, disk: Disk, model: _Model, parts: Sequence[Part]) -> None:
        chunks = [chunk for one in parts for chunk in one.intakes]
        unfit = {
            id(chunk)
            for chunk in chunks
            if any(found.name == "temperature" for found in chunk.readings)
        }
        self.assertEqual(database.commit(parts).keys(), unfit)
        model.commit(parts, unfit)

    def _fail(
        self, database: Database, disk: Disk, model: _Model, argument: tuple[str, Sequence[Part]]
    ) -> None:
        disk.trouble, parts = argument
        if parts or disk.trouble != "INSERT INTO ledger":
            try:
                database.commit(parts)
            except (sqlite3.OperationalError, StoreError) as error:
                self.assertIn("disk I/O error", str(error))
            else:
                self.fail("it was committed")
        disk.trouble = None

    def _expire(
        self, database: Database, disk: Disk, model: _Model, argument: tuple[int, int]
    ) -> None:
        before, most = argument
        candidates = model.expirable(before)
        removed = database.expire(before, most)
        self.assertEqual(removed, min(most, len(candidates)))
        gone = model.rows.keys() - stored(database.path).keys()
        self.assertEqual(len(gone), removed)
        self.assertLessEqual(gone, candidates)
        for key in gone:
            del model.rows[key]

    def _cursor(self, database: Database, disk: Disk, model: _Model, position: int) -> None:
        sql(
            database.path,
            "INSERT OR REPLACE INTO cursors (sink, position) VALUES ('sink', ?)",
            position,
        )
        model.cursor = position

    def _reopen(self, database: Database, disk: Disk, model: _Model, argument: None) -> None:
        database.close()
        database.open()

    def _check(self, path: Path, model: _Model) -> None:
        self.assertEqual(stored(path), model.rows)
        self.assertEqual(faults(path, "sink"), [])
        for listener, counts in model.ledgers.items():
            if counts != [0, 0, 0, 0, 0]:
                self.assertEqual(list(ledger(path, listener)), counts)
        rows = sql(
            path,
            "SELECT device, name, time, readings.id FROM readings"
            " JOIN series ON series.id = series",
        )
        ids = {(device, name, time): id for device, name, time, id in rows}
        for key, id in ids.items():
            if model.ids.get(key) != id:
                self.assertGreater(id, model.highest)
        model.ids = ids
        model.highest = max([model.highest, *ids.values()])

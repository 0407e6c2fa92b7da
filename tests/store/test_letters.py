"""
Tests for L{sensord.store.letters}.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from twisted.trial.unittest import SynchronousTestCase

from sensord.reading import Value
from sensord.store import journal, letters
from sensord.store.archive import Archive
from sensord.store.database import Database
from tests.store.support import faults, folder, intake, part, reading, sql

T = TypeVar("T")


class LettersTests(SynchronousTestCase):
    """
    A journal of which the second, the fourth and the last reading are dead at the sink C{influx}.
    """

    def setUp(self) -> None:
        """
        Have them die.
        """
        self.path = folder(self) / "sensord.sqlite"
        self.database = Database(self.path)
        self.addCleanup(self.database.close)
        values: list[Value] = [1.5, "x", 3, True, 5.5, -1]
        readings = [reading(time, value) for time, value in enumerate(values, 1)]
        self.database.commit([part(intake(*readings))])
        self.write(lambda connection: journal.enter(connection, "influx", True))
        batch = self.read(
            lambda connection: journal.upcoming(connection, "influx", 100, journal.Known())
        )
        dead = {id: f"no {id}" for id in (2, 4, 6)}
        self.write(lambda connection: journal.advance(connection, "influx", batch, dead))

    def write(self, job: Callable[..., T]) -> T:
        """
        Run a job that writes.
        """
        return self.database.run(job)

    def read(self, job: Callable[..., T]) -> T:
        """
        Run a job that reads.
        """
        with Archive(self.path).open() as connection:
            return job(connection)

    def line(self) -> tuple[int, ...]:
        """
        Delivered, dead, expired and dropped; what the audit says must be nothing.
        """
        self.assertEqual(faults(self.path), [])
        (line,) = self.read(journal.figures)
        return line.delivered, line.dead, line.expired, line.dropped

    def waiting(self, most: int = 10) -> list[int]:
        """
        The ids of those that are to be offered again.
        """
        return [id for id, _entry in self.read(partial(letters.waiting, "influx", most))]

    def test_listed(self) -> None:
        """
        Dead letters are listed with all that is known of them, the newest first.
        """
        sql(self.path, "UPDATE series SET unit = '°C'")
        found = self.read(partial(letters.listed, "", 10))
        self.assertEqual([one.id for one in found], [3, 2, 1])
        one = found[2]
        self.assertEqual((one.sink, one.reading, one.device), ("influx", 2, "balcony"))
        self.assertEqual((one.name, one.value, one.unit), ("temperature", "x", "°C"))
        self.assertEqual((one.time, one.why, one.retry), (2, "no 2", False))
        self.assertIs(found[1].value, True)
        self.assertEqual(
            [one.id for one in self.read(partial(letters.listed, "influx", 2))], [3, 2]
        )
        self.assertEqual(self.read(partial(letters.listed, "other", 2)), [])

    def test_delivered(self) -> None:
        """
        One that is taken the second time counts as delivered, and no longer as dead.
        """
        self.assertEqual(self.line(), (3, 3, 0, 0))
        self.assertEqual(self.write(partial(letters.retry, [1, 3, 99])), 2)
        self.assertEqual(self.write(partial(letters.retry, [1, 2])), 1)
        self.assertEqual(self.waiting(), [1, 2, 3])
        self.assertEqual(self.waiting(2), [1, 2])
        self.assertEqual(self.line(), (3, 3, 0, 0))
        self.assertEqual(self.write(partial(letters.settle, "influx", [1, 3], {})), 2)
        self.assertEqual(self.line(), (5, 1, 0, 0))
        self.assertEqual(self.waiting(), [2])

    def test_refused(self) -> None:
        """
        One that is refused again stays, with the new reason and the new time.
        """
        sql(self.path, "UPDATE dead_letters SET died = 0")
        self.write(partial(letters.retry, [1, 2]))
        self.write(partial(letters.settle, "influx", [], {2: "still no"}))
        self.assertEqual(self.waiting(), [1])
        self.assertEqual(self.line(), (3, 3, 0, 0))
        _last, one, _first = self.read(partial(letters.listed, "", 10))
        self.assertEqual(one.why, "still no")
        self.assertGreater(one.died, 0)

    def test_retention(self) -> None:
        """
        One whose reading retention has removed can be offered again all the same.
        """
        self.assertEqual(self.database.expire(6, 100), 5)
        self.write(partial(letters.retry, [1, 2]))
        entries = [entry for _id, entry in self.read(partial(letters.waiting, "influx", 10))]
        self.assertEqual(
            [(one.id, one.time, one.value) for one in entries], [(2, 2, "x"), (4, 4, True)]
        )
        self.assertEqual(entries[0].series.name, "temperature")
        self.assertEqual(self.line(), (3, 3, 0, 0))

    def test_noSeries(self) -> None:
        """
        So can one whose series somebody has removed.
        """
        sql(self.path, "DELETE FROM series")
        self.write(partial(letters.retry, [1]))
        [(_id, entry)] = self.read(partial(letters.waiting, "influx", 10))
        self.assertEqual(entry.series, journal.Series("balcony", "temperature", "", {}, ""))

    def test_dropped(self) -> None:
        """
        One that is dropped counts as expired, and the ledger knows how many those are.
        """
        self.assertEqual(self.write(partial(letters.drop, "influx", [1, 2, 77])), 2)
        self.assertEqual(self.line(), (3, 1, 2, 2))
        self.assertEqual(self.write(partial(letters.drop, "other", [3])), 0)
        self.assertEqual(self.line(), (3, 1, 2, 2))

    def test_droppedMeanwhile(self) -> None:
        """
        One that is dropped while it is on its way does not count twice.
        """
        self.write(partial(letters.retry, [1, 2]))
        self.write(partial(letters.drop, "influx", [1, 2]))
        self.assertEqual(self.write(partial(letters.settle, "influx", [1], {2: "no"})), 0)
        self.assertEqual(self.line(), (3, 1, 2, 2))

    def test_several(self) -> None:
        """
        Those of a sink are found some at a time, with those that wait or without.
        """
        self.write(partial(letters.retry, [2]))
        self.assertEqual(self.read(partial(letters.several, "influx", 0, 9, False)), [1, 3])
        self.assertEqual(self.read(partial(letters.several, "influx", 0, 9, True)), [1, 2, 3])
        self.assertEqual(self.read(partial(letters.several, "influx", 1, 2, True)), [2])
        self.assertEqual(self.read(partial(letters.several, "other", 0, 9, True)), [])
        self.assertEqual(self.read(letters.last), 3)
        self.assertEqual(self.read(partial(letters.owners, [1, 5])), {1: "influx"})

    def test_forgotten(self) -> None:
        """
        A sink that is forgotten leaves nothing, and no longer keeps retention from its work.
        """
        self.database.commit([part(intake(*(reading(time, time) for time in range(7, 20))))])
        self.assertEqual(self.read(journal.cursors), {"influx": 7})
        self.database.expire(100, 100)
        self.assertEqual(sql(self.path, "SELECT count(*) FROM readings"), [(13,)])
        self.assertTrue(self.write(partial(journal.forget, "influx")))
        self.assertFalse(self.write(partial(journal.forget, "influx")))
        self.assertEqual(self.read(journal.cursors), {})
        self.assertEqual(self.read(letters.last), 0)
        self.database.expire(100, 100)
        self.assertLess(sql(self.path, "SELECT count(*) FROM readings")[0][0], 3)
        self.assertEqual(faults(self.path), [])

    def test_audit(self) -> None:
        """
        Dead letters that are not there, or are nobody's, are found by the audit.
        """
        sql(self.path, "DELETE FROM dead_letters WHERE id = 1")
        self.assertEqual(faults(self.path), ["influx: 3 dead letters, of which 2 are there"])
        sql(self.path, "UPDATE dead_letters SET sink = 'old' WHERE id = 2")
        self.assertEqual(
            faults(self.path),
            [
                "influx: 3 dead letters, of which 1 are there",
                "old: 1 dead letters of a sink that is not there",
            ],
        )

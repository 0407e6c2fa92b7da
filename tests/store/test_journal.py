"""
Tests for L{sensord.store.journal}, as far as L{tests.sinks.test_outbox} leaves anything to test.
"""

import sqlite3
from contextlib import closing
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from sensord.store import journal
from sensord.store.archive import Archive
from sensord.store.audit import audit
from sensord.store.database import Database
from tests.store.support import folder, intake, part, reading, sql


class JournalTests(SynchronousTestCase):
    """
    The lines of sinks.
    """

    def setUp(self) -> None:
        """
        A journal with ten readings.
        """
        self.path = folder(self) / "sensord.sqlite"
        self.database = Database(self.path)
        self.addCleanup(self.database.close)
        self.commit(*range(1, 11))

    def commit(self, *times: int) -> None:
        """
        Store readings.
        """
        self.database.commit([part(intake(*(reading(time, time) for time in times)))])

    def enter(self, sink: str, beginning: bool) -> None:
        """
        Begin a sink.
        """
        self.database.run(lambda connection: journal.enter(connection, sink, beginning))

    def lines(self) -> dict[str, tuple[int, int]]:
        """
        What each sink has to account for, and its backlog.
        """
        with closing(sqlite3.connect(self.path)) as connection:
            return {one.sink: (one.committed, one.backlog) for one in journal.figures(connection)}

    def test_enter(self) -> None:
        """
        A sink that begins now accounts for nothing yet, one that begins at the beginning for all.
        """
        self.enter("late", False)
        self.enter("early", True)
        self.assertEqual(self.lines(), {"late": (0, 0), "early": (10, 10)})
        self.commit(11)
        self.assertEqual(self.lines(), {"late": (1, 1), "early": (11, 11)})

    def test_again(self) -> None:
        """
        One that has begun before stays where it is.
        """
        self.enter("one", True)
        self.enter("one", False)
        self.assertEqual(self.lines(), {"one": (10, 10)})

    def test_afterRetention(self) -> None:
        """
        What retention removed before a sink began is not its business.
        """
        self.database.expire(6, 100)
        self.enter("early", True)
        self.assertEqual(self.lines(), {"early": (5, 5)})
        self.assertEqual(audit(Archive(self.path)).faults, [])

    def test_kept(self) -> None:
        """
        Retention removes nothing that a sink has still to deal with.
        """
        self.enter("slow", True)
        self.assertEqual(self.database.expire(100, 100), 0)
        self.assertEqual(self.lines(), {"slow": (10, 10)})

    def test_tampered(self) -> None:
        """
        A line that somebody has tampered with is found by the audit.
        """
        self.enter("one", True)
        sql(self.path, "UPDATE cursors SET delivered = 3")
        self.assertEqual(audit(Archive(self.path)).faults, ["one: committed 10, accounted for 13"])


class PastTests(SynchronousTestCase):
    """
    History as a replay reads it.
    """

    def setUp(self) -> None:
        """
        A journal with six messages of three readings each, of two devices in turn.
        """
        self.path = folder(self) / "sensord.sqlite"
        self.database = Database(self.path)
        self.addCleanup(self.database.close)
        self.count = 18
        readings = [
            reading(time, time * 10 + place, f"n{place}", ("attic", "cellar")[time % 2])
            for time in range(1, 7)
            for place in range(3)
        ]
        self.database.commit([part(intake(*readings))])

    def look(
        self, most: int, after: int = 0, last: int | None = None, **span: Any
    ) -> tuple[list[object], int]:
        """
        The values that are found, and up to where all was looked at.
        """
        given = {"start": -(2**63), "end": 2**63 - 1, **span}
        made = journal.Span(self.count if last is None else last, **given)
        with Archive(self.path).open() as connection:
            found, upto = journal.past(made, after, most, journal.Known(), connection)
        return [entry.value for entry in found], upto

    def test_all(self) -> None:
        """
        It comes in the order of the journal.
        """
        values = [time * 10 + place for time in range(1, 7) for place in range(3)]
        self.assertEqual(self.look(100), (values, 18))
        self.assertEqual(self.look(100, last=4), (values[:4], 4))
        self.assertEqual(self.look(100, after=15), (values[15:], 18))
        self.assertEqual(self.look(100, after=18), ([], 18))

    def test_wanted(self) -> None:
        """
        Only what is of the time and of the device that are asked for is there.
        """
        self.assertEqual(self.look(100, start=2, end=3), ([20, 21, 22], 18))
        self.assertEqual(self.look(100, start=5, device="attic"), ([60, 61, 62], 18))
        self.assertEqual(self.look(100, device="roof"), ([], 18))

    def test_whole(self) -> None:
        """
        A message is not cut in two by the end of a batch, unless it is longer than one.
        """
        self.assertEqual(self.look(7), ([10, 11, 12, 20, 21, 22], 6))
        self.assertEqual(self.look(6), ([10, 11, 12, 20, 21, 22], 6))
        self.assertEqual(self.look(5), ([10, 11, 12], 3))
        self.assertEqual(self.look(2), ([10, 11], 2))
        self.assertEqual(self.look(2, after=2), ([12], 3))
        self.assertEqual(self.look(3, after=15), ([60, 61, 62], 18))

    def test_littleAtATime(self) -> None:
        """
        Where there is nothing for long, not all of it is looked at in one go; nor is a message cut
        by that.
        """
        self.patch(journal, "_LOOK", 4)
        self.assertEqual(self.look(100, device="roof"), ([], 4))
        self.assertEqual(self.look(100), ([10, 11, 12], 3))
        self.assertEqual(self.look(100, device="attic"), ([], 3))
        self.assertEqual(self.look(100, after=3, device="attic"), ([20, 21, 22], 7))
        self.assertEqual(self.look(100, after=16), ([61, 62], 18))

    def test_extent(self) -> None:
        """
        What counts is what the sink has dealt with already.
        """
        with Archive(self.path).open() as connection:
            self.assertEqual(journal.extent("influx", connection), (1, 0))
        self.database.run(lambda connection: journal.enter(connection, "influx", False))
        with Archive(self.path).open() as connection:
            self.assertEqual(journal.extent("influx", connection), (1, 18))
            self.assertTrue(journal.measured("attic", connection))
            self.assertFalse(journal.measured("roof", connection))

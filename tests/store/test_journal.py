"""
Tests for L{sensord.store.journal}, as far as L{tests.sinks.test_outbox} leaves anything to test.
"""

import sqlite3
from contextlib import closing

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

"""
Tests for L{sensord.sinks.ahead}.
"""

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sensord.reading import Clock as Origin
from sensord.reading import Reading
from sensord.sinks import Entry
from sensord.sinks.ahead import Ahead
from sensord.store import journal
from sensord.store.database import Database
from sensord.store.service import Store
from tests.store.support import Disk, Runner, folder


class Sink:
    """
    A sink that takes three readings at a time, and can make them ready.
    """

    most = 3

    def __init__(self) -> None:
        self.prepared: list[list[int]] = []

    def start(self) -> None:
        """
        Nothing is open.
        """

    def stop(self) -> "Deferred[None]":
        """
        Nothing is open.
        """
        raise NotImplementedError

    def write(self, batch: Sequence[Entry]) -> "Deferred[None]":
        """
        Nothing is written here.
        """
        raise NotImplementedError

    def prepare(self, batch: Sequence[Entry]) -> None:
        """
        Note what is to be made ready.
        """
        self.prepared.append([entry.id for entry in batch])


class AheadTests(SynchronousTestCase):
    """
    What comes next for a sink.
    """

    def setUp(self) -> None:
        """
        A sink that has dealt with nothing yet.
        """
        self.disk, self.reader, self.sink = Disk(), Runner(), Sink()
        database = Database(folder(self) / "sensord.sqlite", connect=self.disk.connect)
        self.addCleanup(database.close)
        self.store = Store(Clock(), database, Runner(), self.reader)
        self.store.startService()
        self.successResultOf(
            self.store.write(lambda connection: journal.enter(connection, "influx", True))
        )
        self.ahead = Ahead("influx", self.store, self.sink)

    def record(self, count: int) -> None:
        """
        Store readings.
        """
        readings = [Reading("a", "b", 1.0, time, Origin.DEVICE) for time in range(count)]
        done = self.store.record(readings)
        self.store.flush()
        self.successResultOf(done)

    def take(self) -> list[int]:
        """
        The places in the journal of what comes next.
        """
        return [entry.id for entry in self.successResultOf(self.ahead.take())]

    def test_ahead(self) -> None:
        """
        What comes behind a full batch is read and made ready while that is being written, before
        the sink has moved on.
        """
        self.record(5)
        batch = self.successResultOf(self.ahead.take())
        self.assertEqual(self.sink.prepared, [])
        self.ahead.look(batch)
        self.assertEqual(self.sink.prepared, [[4, 5]])
        self.reader.holding = True
        self.assertEqual(self.take(), [4, 5])

    def test_notAhead(self) -> None:
        """
        Behind a batch that is not full there is nothing: it is read when it is asked for.
        """
        self.record(2)
        batch = self.successResultOf(self.ahead.take())
        self.ahead.look(batch)
        self.assertEqual(self.take(), [1, 2])
        self.assertEqual(self.sink.prepared, [])

    def test_nothing(self) -> None:
        """
        If a full batch was the last one, there is nothing to make ready.
        """
        self.record(3)
        batch = self.successResultOf(self.ahead.take())
        self.ahead.look(batch)
        self.assertEqual((self.take(), self.sink.prepared), ([], []))

    def test_forget(self) -> None:
        """
        What was read ahead is not what comes next after a failure; also if it is still being read.
        """
        self.record(5)
        batch = self.successResultOf(self.ahead.take())
        self.ahead.look(batch)
        self.ahead.forget()
        self.assertEqual(self.take(), [1, 2, 3])
        self.reader.holding = True
        self.ahead.look(batch)
        self.ahead.forget()
        self.reader.release()
        self.reader.holding = False
        self.assertEqual(self.take(), [1, 2, 3])

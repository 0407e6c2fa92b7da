"""
Tests for L{sensord.watch}.
"""

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sensord.presence import Presence, Record, State
from sensord.store.database import Database
from sensord.store.service import Store
from sensord.watch import Watch
from tests.store.support import Disk, Runner, folder, sql

SECOND = 1_000_000
NOW = 1_795_000_000


class WatchTests(SynchronousTestCase):
    """
    L{Watch} over a database on the disk.
    """

    def setUp(self) -> None:
        """
        A gateway that was never started before.
        """
        self.clock = Clock()
        self.clock.advance(NOW)
        self.path = folder(self) / "sensord.sqlite"
        self.disk = Disk()
        self.start()

    def start(self) -> None:
        """
        Start, as after a crash if it ran before.
        """
        database = Database(self.path, connect=self.disk.connect)
        self.addCleanup(database.close)
        self.presence = Presence(now=self.clock.seconds)
        self.store = Store(self.clock, database, Runner(), Runner())
        self.store.startService()
        self.watch = Watch(self.clock, self.store, self.presence)
        self.watch.startService()
        self.addCleanup(lambda watch: watch.running and watch.stopService(), self.watch)

    def hear(self, address: str = "weather/1") -> Record:
        """
        Hear a device just now.
        """
        record = self.presence.record(address)
        record.hear(int(self.clock.seconds() * SECOND))
        return record

    def elapse(self, seconds: int) -> None:
        """
        Let time pass.
        """
        self.clock.pump([1.0] * seconds)

    def test_restart(self) -> None:
        """
        All that is known of a device is there after an orderly restart.
        """
        record = self.hear()
        record.declare(3600)
        record.count(5)
        record.count(8)
        record.count(1)
        record.rssi = -65
        self.successResultOf(self.watch.stopService())
        self.start()
        again = self.presence.get("weather/1")
        assert again is not None
        self.assertEqual(
            (again.heard, again.received, again.missed, again.restarts, again.counter, again.rssi),
            (NOW * SECOND, 1, 2, 1, 1, -65),
        )
        self.assertEqual((again.interval, again.declared), (3600.0, True))
        self.assertEqual(again.state, State.AWAKE)

    def test_crash(self) -> None:
        """
        After a crash, what is known is a few seconds old at most.
        """
        self.hear()
        self.elapse(11)
        self.start()
        self.assertIsNotNone(self.presence.get("weather/1"))

    def test_onlyChanges(self) -> None:
        """
        Only what has changed is written again.
        """
        self.hear("weather/1")
        self.hear("weather/2")
        self.elapse(11)
        sql(self.path, "DELETE FROM devices")
        self.hear("weather/2")
        self.elapse(11)
        self.assertEqual(sql(self.path, "SELECT address FROM devices"), [("weather/2",)])

    def test_diskFull(self) -> None:
        """
        When nothing can be written that is logged once, and later all is written.
        """
        self.hear()
        self.disk.trouble = "INSERT OR REPLACE"
        with capturedLogs() as events:
            self.elapse(31)
        self.assertEqual(len(events), 1)
        self.assertIn("could not be saved: disk I/O error", formatEvent(events[0]) or "")
        self.disk.trouble = None
        self.elapse(10)
        self.assertEqual(sql(self.path, "SELECT received FROM devices"), [(1,)])

    def test_missing(self) -> None:
        """
        The log says who is overdue, who is lost, and who is back, each once.
        """
        record = self.hear()
        record.declare(60)
        with capturedLogs() as events:
            self.elapse(400)
            self.hear()
            self.elapse(2)
        lines = [formatEvent(event) for event in events]
        expected = ["weather/1 is overdue", "weather/1 is lost", "weather/1 is back"]
        self.assertEqual(lines, expected)

    def test_power(self) -> None:
        """
        When a thousand devices go missing at once, the log does not get a line for each.
        """
        for number in range(1000):
            self.hear(f"lines/{number}").declare(10)
        with capturedLogs() as events:
            self.elapse(30)
            for number in range(1000):
                self.hear(f"lines/{number}")
            self.elapse(2)
        self.assertLess(len(events), 150)

    def test_stopped(self) -> None:
        """
        Nothing is left running when it is stopped.
        """
        self.successResultOf(self.watch.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

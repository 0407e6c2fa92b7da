"""
Tests of the reading side: the latest values, history, export and the quarantine.
"""

import sqlite3

from twisted.trial.unittest import SynchronousTestCase

from sensord.config import Settings
from sensord.devices import Devices
from sensord.reading import Clock, Intake, Reading, Value
from sensord.settings import DeviceSettings, ThresholdSettings, ValueSettings
from sensord.store.archive import MAX_POINTS, Archive, Current, Exported, Held, Point
from sensord.store.database import Database
from sensord.store.schema import VERSION, StoreError
from tests.store.support import folder, frame, intake, part, reading, sql

#: More ids than a page of an export has.
_LONG = 15_000


class ArchiveTestCase(SynchronousTestCase):
    """
    An archive, and short ways to fill it.
    """

    def setUp(self) -> None:
        self.path = folder(self) / "sensord.sqlite"
        self.archive = Archive(self.path)

    def store(self, *readings: Reading, settings: Settings | None = None) -> None:
        """
        Store readings, as a daemon with some settings would.
        """
        describe = Devices(settings or Settings()).describe
        database = Database(self.path, describe)
        database.open()
        self.assertEqual(database.commit([part(intake(*readings))]), {})
        database.close()


class OpenTests(ArchiveTestCase):
    """
    Databases that cannot be read.
    """

    def test_none(self) -> None:
        """
        A database that is not there is said to be missing, and is not made by asking.
        """
        error = self.assertRaises(StoreError, self.archive.latest)
        self.assertEqual(str(error), f"{self.path}: there is no such database")
        self.assertFalse(self.path.exists())
        for question in self.archive.span, self.archive.quarantine:
            self.assertRaises(StoreError, question)
        self.assertRaises(StoreError, self.archive.history, "balcony", "light", 0, 1)
        self.assertRaises(StoreError, list, self.archive.export())

    def test_anotherProgram(self) -> None:
        """
        The database of another program is refused by name.
        """
        sql(self.path, "CREATE TABLE bookmarks (url)")
        error = self.assertRaises(StoreError, self.archive.latest)
        self.assertEqual(str(error), f"{self.path}: is a database of another program")

    def test_otherSchema(self) -> None:
        """
        A database of another version is refused, rather than half understood; what is to be done
        depends on which is the older.
        """
        self.store(reading())
        for found, said in (
            (VERSION - 1, f"has schema {VERSION - 1}; the daemon brings it to {VERSION}"),
            (VERSION + 1, f"made by a newer sensord (schema {VERSION + 1})"),
        ):
            sql(self.path, "UPDATE meta SET value = ? WHERE key = 'schema'", found)
            error = self.assertRaises(StoreError, self.archive.latest)
            self.assertIn(f"{self.path}: {said}", str(error))

    def test_notADatabase(self) -> None:
        """
        A file that is no database is refused, and left as it is.
        """
        self.path.write_bytes(b"Dear diary, " * 500)
        error = self.assertRaises(StoreError, self.archive.latest)
        self.assertEqual(str(error), f"{self.path}: file is not a database")
        self.assertEqual(self.path.read_bytes(), b"Dear diary, " * 500)

    def test_readOnly(self) -> None:
        """
        Nothing can be written through an archive.
        """
        self.store(reading())
        with self.assertRaises(StoreError), self.archive.open() as connection:
            connection.execute("DELETE FROM readings")
        self.assertEqual(self.archive.span(), (1, 1))

    def test_badQuestion(self) -> None:
        """
        What SQLite says against a question is passed on with the name of the file.
        """
        self.store(reading())
        with self.assertRaises(StoreError) as caught, self.archive.open() as connection:
            connection.execute("SELECT nonsense")
        self.assertEqual(str(caught.exception), f"{self.path}: no such column: nonsense")
        self.assertIsInstance(caught.exception.__cause__, sqlite3.OperationalError)

    def test_whileWriting(self) -> None:
        """
        Questions are answered while a transaction is being written, from what was committed.
        """
        self.store(reading(1))
        writer = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(writer.close)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO readings VALUES (2, 1, 2, 9, 2)")
        self.assertEqual(self.archive.span(), (1, 1))
        writer.execute("COMMIT")
        self.assertEqual(self.archive.span(), (1, 2))


class LatestTests(ArchiveTestCase):
    """
    The latest value of each series.
    """

    def statuses(self, rule: ThresholdSettings, *values: Value) -> list[str]:
        """
        The status of each value under a rule.
        """
        readings = [reading(1, value, f"{index:02}") for index, value in enumerate(values)]
        self.store(*readings, settings=Settings(thresholds=(rule,)))
        return [current.status for current in self.archive.latest()]

    def test_everything(self) -> None:
        """
        The answer says all that is known of each series, in the order of names.
        """
        device = DeviceSettings(
            "weather/1", "balcony", {"place": "outside"}, (ValueSettings("humidity", unit="%"),)
        )
        self.store(
            reading(5, 24.5),
            reading(7, 47, "humidity"),
            reading(6, True, "door", "attic"),
            settings=Settings(devices=(device,)),
        )
        tags = {"place": "outside"}
        self.assertEqual(
            self.archive.latest(),
            [
                Current("attic", "door", True, "", 6, "undefined", "attic", {}),
                Current("balcony", "humidity", 47, "%", 7, "undefined", "weather/1", tags),
                Current("balcony", "temperature", 24.5, "", 5, "undefined", "weather/1", tags),
            ],
        )

    def test_newest(self) -> None:
        """
        The latest value is the one with the latest time, not the one that came last.
        """
        self.store(reading(1, 1), reading(3, 3), reading(2, 2))
        self.assertEqual([(c.time, c.value) for c in self.archive.latest()], [(3, 3)])

    def test_some(self) -> None:
        """
        The latest values of one device, of one name, or of both can be asked for.
        """
        self.store(
            *(reading(1, 1, name, device) for device in ("a", "b") for name in ("heat", "light"))
        )

        def found(device: str | None, name: str | None) -> list[tuple[str, str]]:
            return [(c.device, c.name) for c in self.archive.latest(device, name)]

        self.assertEqual(found("a", None), [("a", "heat"), ("a", "light")])
        self.assertEqual(found(None, "light"), [("a", "light"), ("b", "light")])
        self.assertEqual(found("b", "heat"), [("b", "heat")])
        self.assertEqual(found("*", None), [])

    def test_types(self) -> None:
        """
        Numbers, truth values and texts come back as what they were.
        """
        values: list[Value] = [True, False, 1, 1.0, "1"]
        self.store(*(reading(1, value, f"{at}") for at, value in enumerate(values)))
        found = [current.value for current in self.archive.latest()]
        self.assertEqual([(type(v), v) for v in found], [(type(v), v) for v in values])

    def test_empty(self) -> None:
        """
        A series without readings has no latest value.
        """
        self.store()
        sql(self.path, "INSERT INTO series VALUES (1, 'a', 'b', '', '{}', 'a', '', '')")
        self.assertEqual(self.archive.latest(), [])

    def test_undefined(self) -> None:
        """
        Without a threshold the status is undefined.
        """
        self.store(reading(1, 1000))
        self.assertEqual(self.archive.latest()[0].status, "undefined")

    def test_operators(self) -> None:
        """
        A threshold compares as its operator says.
        """
        expected = {
            "<": ["critical", "normal", "normal"],
            "<=": ["critical", "critical", "normal"],
            "==": ["normal", "critical", "normal"],
            ">=": ["normal", "critical", "critical"],
            ">": ["normal", "normal", "critical"],
        }
        for operator, statuses in expected.items():
            rule = ThresholdSettings(critical=f"{operator} 5")
            self.assertEqual(self.statuses(rule, 4, 5, 6), statuses, operator)
            self.path.unlink()
            self.assertEqual(self.statuses(rule, 4.9, 5.0, 5.1), statuses, operator)
            self.path.unlink()

    def test_levels(self) -> None:
        """
        A value that is a warning and critical at once is critical; one that is neither is normal.
        """
        rule = ThresholdSettings(warning=">= 160", critical=">= 200")
        self.assertEqual(
            self.statuses(rule, 159, 160, 199, 200),
            ["normal", "warning", "warning", "critical"],
        )

    def test_levelsBelow(self) -> None:
        """
        Thresholds may look downwards, and may have one level alone.
        """
        rule = ThresholdSettings(warning="< 5.5")
        self.assertEqual(self.statuses(rule, 5, 5.5, -1), ["warning", "normal", "warning"])

    def test_latestCounts(self) -> None:
        """
        The status is that of the latest value, whatever was before.
        """
        rule = ThresholdSettings(critical="> 5")
        self.store(reading(1, 9), reading(2, 1), settings=Settings(thresholds=(rule,)))
        self.assertEqual(self.archive.latest()[0].status, "normal")

    def test_truthValues(self) -> None:
        """
        A truth value is compared as 0 or 1.
        """
        self.assertEqual(
            self.statuses(ThresholdSettings(critical="== 1"), False, True), ["normal", "critical"]
        )
        self.path.unlink()
        self.assertEqual(
            self.statuses(ThresholdSettings(critical="> 0"), False, True), ["normal", "critical"]
        )

    def test_texts(self) -> None:
        """
        A text is above no number and below none.
        """
        for bound in "> 5", ">= 5", "< 5":
            rule = ThresholdSettings(critical=bound)
            self.assertNotIn("critical", self.statuses(rule, "closed"), bound)
            self.path.unlink()


class HistoryTests(ArchiveTestCase):
    """
    The numbers of a series over time.
    """

    def history(self, start: int, end: int, step: int = 0) -> list[Point]:
        """
        The history of the only series.
        """
        return self.archive.history("balcony", "temperature", start, end, step)

    def test_each(self) -> None:
        """
        Without a step each reading is a point, in the order of time, of that series alone.
        """
        self.store(
            reading(3, 30.5), reading(1, 10), reading(2, 1, "light"), reading(2, 2, device="attic")
        )
        self.assertEqual(
            self.history(0, 10), [Point(1, 10, 10, 10, 1), Point(3, 30.5, 30.5, 30.5, 1)]
        )

    def test_span(self) -> None:
        """
        The start is included, the end is not.
        """
        self.store(*(reading(time, time) for time in range(10)))
        self.assertEqual([point.time for point in self.history(3, 6)], [3, 4, 5])
        self.assertEqual([point.time for point in self.history(3, 3)], [])
        self.assertEqual(self.history(3, 6, 2), [Point(3, 3.5, 3, 4, 2), Point(5, 5.0, 5, 5, 1)])

    def test_step(self) -> None:
        """
        With a step each point has the mean, the least, the most and the count of what lies in it;
        steps begin at the start, and those without readings are left out.
        """
        self.store(
            *(
                reading(time, value)
                for time, value in [(7, 4), (8, -1), (11, 0), (12, 8), (27, 5.5)]
            )
        )
        self.assertEqual(
            self.history(7, 100, 5),
            [Point(7, 1.0, -1, 4, 3), Point(12, 8.0, 8, 8, 1), Point(27, 5.5, 5.5, 5.5, 1)],
        )

    def test_beforeTheEpoch(self) -> None:
        """
        Steps may begin before 1970.
        """
        self.store(reading(-7, 1), reading(-6, 2), reading(-1, 3), reading(2, 4))
        self.assertEqual(
            [(point.time, point.count) for point in self.history(-10, 10, 5)],
            [(-10, 2), (-5, 1), (0, 1)],
        )

    def test_truthValues(self) -> None:
        """
        Truth values count as 0 and 1.
        """
        self.store(reading(1, True), reading(2, False), reading(3, True), reading(4, True))
        self.assertEqual([point.mean for point in self.history(0, 9)], [1, 0, 1, 1])
        self.assertEqual(self.history(0, 10, 10), [Point(0, 0.75, 0, 1, 4)])

    def test_texts(self) -> None:
        """
        Texts are left out, even those that look like numbers.
        """
        self.store(reading(1, 5), reading(2, "open"), reading(3, "99"))
        self.assertEqual(self.history(0, 10), [Point(1, 5, 5, 5, 1)])
        self.assertEqual(self.history(0, 10, 10), [Point(0, 5.0, 5, 5, 1)])

    def test_unknown(self) -> None:
        """
        A series that is not there has no history.
        """
        self.store(reading())
        self.assertEqual(self.archive.history("balcony", "rain", 0, 10), [])

    def test_tooManySteps(self) -> None:
        """
        A step that would make too many points is refused before anything is read.
        """
        self.assertRaises(ValueError, self.history, 0, MAX_POINTS + 1, 1)
        self.assertRaises(ValueError, self.history, 0, 10 * MAX_POINTS + 10, 10)
        self.store(reading(MAX_POINTS - 1, 1))
        self.assertEqual([point.count for point in self.history(0, MAX_POINTS, 1)], [1])

    def test_tooManyReadings(self) -> None:
        """
        More readings than an answer may have are refused; as many as it may have are not.
        """
        self.store(reading(0, 1))
        sql(
            self.path,
            "WITH RECURSIVE n (time) AS (SELECT 1 UNION ALL SELECT time + 1 FROM n LIMIT ?)"
            " INSERT INTO readings (series, time, value, clock) SELECT 1, time, 1, 0 FROM n",
            MAX_POINTS,
        )
        error = self.assertRaises(ValueError, self.history, 0, MAX_POINTS + 1)
        self.assertIn("ask with a step", str(error))
        self.assertEqual(len(self.history(1, MAX_POINTS + 1)), MAX_POINTS)

    def test_negativeStep(self) -> None:
        """
        A negative step is refused.
        """
        self.store(reading())
        self.assertRaises(ValueError, self.history, 0, 10, -1)


class ExportTests(ArchiveTestCase):
    """
    Reading the whole journal.
    """

    def export(
        self, device: str = "*", name: str = "*", start: int | None = None, end: int | None = None
    ) -> list[Exported]:
        """
        All pages as one.
        """
        pages = self.archive.export(device, name, start, end)
        return [exported for page in pages for exported in page]

    def names(self, device: str = "*", name: str = "*") -> list[tuple[str, str]]:
        """
        The series that patterns find.
        """
        return [(e.reading.device, e.reading.name) for e in self.export(device, name)]

    def test_all(self) -> None:
        """
        Everything is exported as it was recorded, in the order of the journal, with ids and units.
        """
        readings = [
            Reading("balcony", "humidity", 47, 9, Clock.DEVICE),
            Reading("balcony", "door", True, 3, Clock.BACKDATED),
            Reading("attic", "state", "open", 5, Clock.ARRIVAL),
            Reading("attic", "heat", 21.0, -5, Clock.ARRIVAL),
        ]
        device = DeviceSettings("weather/1", "balcony", {}, (ValueSettings("humidity", unit="%"),))
        self.store(*readings, settings=Settings(devices=(device,)))
        self.assertEqual(
            self.export(),
            [
                Exported(id, one, unit)
                for id, (one, unit) in enumerate(zip(readings, ["%", "", "", ""], strict=True), 1)
            ],
        )

    def test_empty(self) -> None:
        """
        An empty journal has no pages.
        """
        self.store()
        self.assertEqual(list(self.archive.export()), [])

    def test_pages(self) -> None:
        """
        A long journal comes a page at a time, each reading once and in order.
        """
        self.store(reading(0))
        sql(
            self.path,
            "WITH RECURSIVE n (id) AS (SELECT 2 UNION ALL SELECT id + 1 FROM n LIMIT ?)"
            " INSERT INTO readings SELECT id, 1, id, 1, 0 FROM n",
            2 * _LONG,
        )
        pages = list(self.archive.export())
        self.assertGreater(len(pages), 1)
        self.assertLess(max(len(page) for page in pages), _LONG)
        self.assertEqual(
            [exported.id for page in pages for exported in page], list(range(1, 2 * _LONG + 2))
        )

    def test_gap(self) -> None:
        """
        A page of which all readings have expired is empty, and those behind it still come.
        """
        self.store(reading(1))
        sql(self.path, "INSERT INTO readings VALUES (?, 1, 2, 1, 0)", 3 * _LONG)
        self.assertEqual([e.id for e in self.export()], [1, 3 * _LONG])

    def test_expired(self) -> None:
        """
        An export begins with the first reading that is still there: it does not search through all
        that has expired.
        """
        self.store()
        sql(self.path, "INSERT INTO series VALUES (1, 'a', 'b', '', '{}', 'a', '', '')")
        sql(self.path, "INSERT INTO readings VALUES (?, 1, 2, 1, 0)", 10**12)
        self.assertEqual([len(page) for page in self.archive.export()], [1])

    def test_meanwhile(self) -> None:
        """
        What is recorded while an export is under way does not belong to it: it comes to an end.
        """
        self.store(reading(1))
        sql(self.path, "INSERT INTO readings VALUES (?, 1, 2, 1, 0)", _LONG)
        pages = iter(self.archive.export())
        found = [exported.id for exported in next(pages)]
        self.store(reading(3))
        found += [exported.id for page in pages for exported in page]
        self.assertEqual(found, [1, _LONG])

    def test_lock(self) -> None:
        """
        Between two pages an export holds no lock: the log can be emptied.
        """
        self.store(reading(1))
        sql(self.path, "INSERT INTO readings VALUES (?, 1, 2, 1, 0)", _LONG)
        pages = iter(self.archive.export())
        next(pages)
        sql(self.path, "INSERT INTO cursors (sink, position) VALUES ('x', 0)")
        self.assertEqual(sql(self.path, "PRAGMA wal_checkpoint(TRUNCATE)"), [(0, 0, 0)])
        self.assertEqual([exported.id for page in pages for exported in page], [_LONG])

    def test_span(self) -> None:
        """
        The start is included, the end is not; either may be left open.
        """
        self.store(*(reading(time) for time in (5, 1, 3, -9)))

        def times(start: int | None, end: int | None) -> list[int]:
            return [e.reading.time for e in self.export(start=start, end=end)]

        self.assertEqual(times(1, 5), [1, 3])
        self.assertEqual(times(3, None), [5, 3])
        self.assertEqual(times(None, 3), [1, -9])
        self.assertEqual(times(None, None), [5, 1, 3, -9])
        self.assertEqual(times(0, 1), [])

    def test_patterns(self) -> None:
        """
        Devices and names are chosen by patterns with wildcards, which see capitals as such.
        """
        self.store(
            *(
                reading(1, 1, name, dev)
                for dev in ("weather/1", "weather/12")
                for name in ("a", "ab")
            )
        )
        self.assertEqual(self.names("weather/1", "a"), [("weather/1", "a")])
        self.assertEqual(self.names("weather/1?", "a"), [("weather/12", "a")])
        self.assertEqual(self.names("w*", "?b"), [("weather/1", "ab"), ("weather/12", "ab")])
        self.assertEqual(self.names("Weather/1", "a"), [])

    def test_brackets(self) -> None:
        """
        Brackets in a pattern stand for themselves, since names may have them.
        """
        self.store(*(reading(1, 1, name) for name in ("power[1]", "power1", "power[12]", "]", "[")))

        def found(pattern: str) -> list[str]:
            return [name for _, name in self.names("*", pattern)]

        self.assertEqual(found("power[1]"), ["power[1]"])
        self.assertEqual(found("power[*]"), ["power[1]", "power[12]"])
        self.assertEqual(found("[[]"), [])
        self.assertEqual(found("["), ["["])
        self.assertEqual(found("]"), ["]"])
        self.assertEqual(found("power[!2]"), [])

    def test_journalSpan(self) -> None:
        """
        The span of a journal is its first and its last id.
        """
        self.store()
        self.assertEqual(self.archive.span(), (0, 0))
        self.store(reading(9), reading(5), reading(7))
        sql(self.path, "DELETE FROM readings WHERE id = 1")
        self.assertEqual(self.archive.span(), (2, 3))

    def test_interrupted(self) -> None:
        """
        A question that takes long fails when it is interrupted, and the next one does not.
        """
        self.store(reading())
        archive = self.archive
        with self.assertRaisesRegex(StoreError, "interrupted"), archive.open() as connection:
            connection.set_progress_handler(lambda: archive.interrupt(), 1_000)
            connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i)"
                " FROM n"
            ).fetchone()
        archive.interrupt()
        self.assertEqual(archive.latest("nobody"), [])


class QuarantineTests(ArchiveTestCase):
    """
    Looking into the quarantine.
    """

    def test_quarantine(self) -> None:
        """
        The frames come oldest first, of all listeners or of one.
        """
        database = Database(self.path)
        for number, listener in enumerate(("weather", "radio", "weather"), 1):
            frames = [frame(b"%d" % number, number)]
            database.commit([part(Intake([], quarantined=frames), listener=listener)])
        database.close()
        why = "device 9 has no description"
        held = [
            Held(1, 1, "weather", "192.168.1.7", b"1", why, "esp8266"),
            Held(2, 2, "radio", "192.168.1.7", b"2", why, "esp8266"),
            Held(3, 3, "weather", "192.168.1.7", b"3", why, "esp8266"),
        ]
        self.assertEqual(self.archive.quarantine(), held)
        self.assertEqual(self.archive.quarantine("weather"), [held[0], held[2]])
        self.assertEqual(self.archive.quarantine("nobody"), [])


class SensorsTests(ArchiveTestCase):
    """
    The view for programs that read the table of the original PoE server.
    """

    def sensors(self) -> list[tuple[object, ...]]:
        """
        What such a program reads.
        """
        return sql(
            self.path, "SELECT ip_id, sensor, value, time, status FROM sensors ORDER BY ip_id"
        )

    def test_sensors(self) -> None:
        """
        The view has the latest value of each sensor: keyed by address and id, with the type in
        capitals, the time in seconds and the status that the default thresholds give it.
        """
        values = {
            **{"fire.1": 0, "fire.2": 1, "smoke.3": 159, "smoke.4": 160, "smoke.5": 200},
            **{"motion.6": 1, "motion.7": 0, "humidity.8": 79, "humidity.9": 80},
            **{"temperature.18": 82, "temperature.255": 83, "water.12": 0},
        }
        poe = "poe/192.168.1.7"
        self.store(
            *(reading(1_795_194_650_000_000, 7, name, poe) for name in values),
            *(reading(1_795_194_651_500_000, value, name, poe) for name, value in values.items()),
        )
        expected = [
            ("1", "FIRE", 0, "critical"),
            ("12", "WATER", 0, "undefined"),
            ("18", "TEMPERATURE", 82, "normal"),
            ("2", "FIRE", 1, "normal"),
            ("255", "TEMPERATURE", 83, "critical"),
            ("3", "SMOKE", 159, "normal"),
            ("4", "SMOKE", 160, "warning"),
            ("5", "SMOKE", 200, "critical"),
            ("6", "MOTION", 1, "critical"),
            ("7", "MOTION", 0, "normal"),
            ("8", "HUMIDITY", 79, "normal"),
            ("9", "HUMIDITY", 80, "critical"),
        ]
        self.assertEqual(
            self.sensors(),
            [
                (f"192.168.1.7_{id}", sensor, value, 1795194651.5, status)
                for id, sensor, value, status in expected
            ],
        )
        self.assertIsInstance(self.sensors()[0][3], float)

    def test_wholeSeconds(self) -> None:
        """
        Whole seconds are floats too, as in the original.
        """
        self.store(reading(2_000_000, 1, "fire.1", "poe/10.0.0.1"))
        (time,) = (row[3] for row in self.sensors())
        self.assertEqual(time, 2.0)
        self.assertIsInstance(time, float)

    def test_othersAreNotThere(self) -> None:
        """
        What did not come from a PoE Arduino is not in the view.
        """
        self.store(
            reading(1, 1, "fire.1", "weather/1"),
            reading(1, 1, "fire.1", "balcony"),
            reading(1, 1, "fire.2", "poe/10.0.0.1"),
        )
        self.assertEqual([row[0] for row in self.sensors()], ["10.0.0.1_2"])

    def test_hosts(self) -> None:
        """
        The same id at two hosts is two sensors, also over IPv6.
        """
        self.store(
            *(
                reading(1, 1, "fire.1", f"poe/{host}")
                for host in ("10.0.0.1", "10.0.0.2", "fe80::1")
            )
        )
        self.assertEqual(
            [row[0] for row in self.sensors()], ["10.0.0.1_1", "10.0.0.2_1", "fe80::1_1"]
        )

    def test_typesShareAnId(self) -> None:
        """
        If an id is used with another type, the latest value counts, as in the original.
        """
        poe = "poe/10.0.0.1"
        self.store(
            reading(2, 0, "fire.1", poe),
            reading(3, 70, "temperature.1", poe),
            reading(1, 1, "motion.1", poe),
        )
        self.assertEqual(self.sensors(), [("10.0.0.1_1", "TEMPERATURE", 70, 3e-6, "normal")])

    def test_described(self) -> None:
        """
        A device that has a name, and values that have other names, are still found by address and
        id, with their type and their status.
        """
        device = DeviceSettings(
            "poe/10.0.0.1", "hall", values=(ValueSettings("ceiling", field="smoke.3"),)
        )
        self.store(
            reading(1, 170, "ceiling", "hall"),
            reading(1, 90, "temperature.4", "hall"),
            settings=Settings(devices=(device,)),
        )
        self.assertEqual(
            self.sensors(),
            [
                ("10.0.0.1_3", "SMOKE", 170, 1e-6, "warning"),
                ("10.0.0.1_4", "TEMPERATURE", 90, 1e-6, "critical"),
            ],
        )

    def test_describedLater(self) -> None:
        """
        A device that is described only later stays one sensor: its latest value counts, whichever
        name it came under.
        """
        device = DeviceSettings("poe/10.0.0.1", "hall")
        self.store(reading(1, 1, "fire.1", "poe/10.0.0.1"))
        self.store(reading(2, 0, "fire.1", "hall"), settings=Settings(devices=(device,)))
        self.assertEqual(self.sensors(), [("10.0.0.1_1", "FIRE", 0, 2e-6, "critical")])
        self.store(reading(3, 5, "fire.1", "poe/10.0.0.1"))
        self.assertEqual(self.sensors(), [("10.0.0.1_1", "FIRE", 5, 3e-6, "normal")])

    def test_otherThresholds(self) -> None:
        """
        The configuration can set other thresholds than the original's.
        """
        rule = ThresholdSettings("poe/*", "water.*", critical=">= 1")
        self.store(reading(1, 1, "water.1", "poe/10.0.0.1"), settings=Settings(thresholds=(rule,)))
        self.assertEqual([row[4] for row in self.sensors()], ["critical"])

"""
Tests of the database file: made, brought up to date, refused or set aside.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sensord.store.database import Database
from sensord.store.schema import VERSION, StoreError, broken, connect, schema, setAside
from tests.store.support import folder, intake, part, reading, spoil, sql, stored


class ConnectTests(SynchronousTestCase):
    """
    Opening a database.
    """

    def setUp(self) -> None:
        self.path = folder(self) / "sensord.sqlite"

    def test_fresh(self) -> None:
        """
        A database that is not there is made, with the schema that is wanted and no rows.
        """
        with closing(connect(self.path)) as connection:
            self.assertEqual(schema(connection, self.path), VERSION)
        self.assertEqual(stored(self.path), {})
        self.assertEqual(
            sql(self.path, "SELECT key, value FROM meta ORDER BY key"),
            [("expired_quarantine", 0), ("expired_readings", 0), ("schema", VERSION)],
        )

    def test_emptyFile(self) -> None:
        """
        A file with nothing in it, as a crash while it was made leaves it, becomes a database.
        """
        self.path.touch()
        connect(self.path).close()
        self.assertEqual(stored(self.path), {})

    def test_reopened(self) -> None:
        """
        A database that is opened again has kept its rows.
        """
        connect(self.path).close()
        sql(self.path, "INSERT INTO cursors (sink, position) VALUES ('influx', 7)")
        connect(self.path).close()
        self.assertEqual(sql(self.path, "SELECT sink, position FROM cursors"), [("influx", 7)])

    def test_durable(self) -> None:
        """
        A commit is on the disk when it returns: the log is written ahead and synchronised in full.
        """
        for _opened in "fresh", "again":
            with closing(connect(self.path)) as connection:
                self.assertEqual(connection.execute("PRAGMA synchronous").fetchone(), (2,))
                self.assertEqual(connection.execute("PRAGMA journal_mode").fetchone(), ("wal",))

    def test_journalModeIsMended(self) -> None:
        """
        A database that another tool has taken out of WAL mode is brought back to it.
        """
        connect(self.path).close()
        self.assertEqual(sql(self.path, "PRAGMA journal_mode = DELETE"), [("delete",)])
        with closing(connect(self.path)) as connection:
            self.assertEqual(connection.execute("PRAGMA journal_mode").fetchone(), ("wal",))

    def test_waitsForOthers(self) -> None:
        """
        While another program writes, a statement waits for it rather than fail at once.
        """
        with closing(connect(self.path)) as connection:
            (milliseconds,) = connection.execute("PRAGMA busy_timeout").fetchone()
        self.assertGreaterEqual(milliseconds, 1000)

    def test_anotherProgram(self) -> None:
        """
        The database of another program is refused by name, and not a byte of it changes.
        """
        sql(self.path, "CREATE TABLE bookmarks (url)")
        before = self.path.read_bytes()
        error = self.assertRaises(StoreError, connect, self.path)
        self.assertEqual(str(error), f"{self.path}: is a database of another program")
        self.assertEqual(self.path.read_bytes(), before)
        self.assertEqual(list(self.path.parent.iterdir()), [self.path])

    def test_newer(self) -> None:
        """
        The database of a newer sensord is refused, with both versions in the message, and kept.
        """
        connect(self.path).close()
        sql(self.path, "UPDATE meta SET value = ? WHERE key = 'schema'", VERSION + 1)
        error = self.assertRaises(StoreError, connect, self.path)
        self.assertEqual(
            str(error),
            f"{self.path}: made by a newer sensord (schema {VERSION + 1}, known is {VERSION})",
        )
        self.assertEqual(
            sql(self.path, "SELECT value FROM meta WHERE key = 'schema'"), [(VERSION + 1,)]
        )

    def test_notADatabase(self) -> None:
        """
        A file that is no database at all is broken, and is left as it is.
        """
        self.path.write_bytes(b"Dear diary, " * 500)
        error = self.assertRaises(sqlite3.DatabaseError, connect, self.path)
        self.assertTrue(broken(error))
        self.assertEqual(self.path.read_bytes(), b"Dear diary, " * 500)

    def test_noFolder(self) -> None:
        """
        A folder that is missing is an error to mend, and says nothing against the file.
        """
        error = self.assertRaises(sqlite3.Error, connect, self.path.parent / "missing" / "x.sqlite")
        self.assertFalse(broken(error))


#: Synthetic: the second step needs the first.
_STEPS = {
    VERSION: "CREATE TABLE rooms (name TEXT); INSERT INTO rooms VALUES ('attic')",
    VERSION + 1: "ALTER TABLE rooms ADD COLUMN floor INTEGER; UPDATE rooms SET floor = 3",
}


class MigrationTests(SynchronousTestCase):
    """
    Bringing a database of an older version up to date.
    """

    def setUp(self) -> None:
        self.path = folder(self) / "sensord.sqlite"
        self.copy = Path(f"{self.path}.schema-{VERSION}")
        self.store(1)

    def store(self, time: int) -> None:
        """
        Store a reading, with the schema as it was.
        """
        database = Database(self.path)
        database.commit([part(intake(reading(time)))])
        database.close()

    def version(self, path: Path) -> int:
        """
        The schema that a file says it has.
        """
        with closing(sqlite3.connect(path)) as connection:
            return schema(connection, path)

    def test_forward(self) -> None:
        """
        A database that is two versions old goes through both steps, and keeps its readings.
        """
        connect(self.path, VERSION + 2, _STEPS).close()
        self.assertEqual(self.version(self.path), VERSION + 2)
        self.assertEqual(sql(self.path, "SELECT * FROM rooms"), [("attic", 3)])
        self.assertEqual(stored(self.path), {("balcony", "temperature", 1): 21.5})

    def test_fromTheMiddle(self) -> None:
        """
        A database that is one version old goes through the last step alone.
        """
        connect(self.path, VERSION + 1, _STEPS).close()
        sql(self.path, "UPDATE rooms SET name = 'cellar'")
        connect(self.path, VERSION + 2, _STEPS).close()
        self.assertEqual(sql(self.path, "SELECT * FROM rooms"), [("cellar", 3)])

    def test_once(self) -> None:
        """
        A database that is up to date is not migrated again.
        """
        connect(self.path, VERSION + 1, _STEPS).close()
        connect(self.path, VERSION + 1, _STEPS).close()
        self.assertEqual(sql(self.path, "SELECT * FROM rooms"), [("attic",)])

    def test_copy(self) -> None:
        """
        The old database is kept in a copy that the old version can open, and no other file is left.
        """
        connect(self.path, VERSION + 2, _STEPS).close()
        connect(self.copy).close()
        self.assertEqual(stored(self.copy), {("balcony", "temperature", 1): 21.5})
        self.assertEqual(sorted(self.path.parent.iterdir()), [self.path, self.copy])

    def test_interruptedCopy(self) -> None:
        """
        What an interrupted migration left of its copy does not stop the next one.
        """
        Path(f"{self.copy}.part").write_bytes(b"half a da")
        connect(self.path, VERSION + 1, _STEPS).close()
        self.assertEqual(stored(self.copy), {("balcony", "temperature", 1): 21.5})

    def test_fails(self) -> None:
        """
        A migration that fails halfway leaves the database as it was, to be used by the old version.
        """
        steps = {**_STEPS, VERSION + 1: "INSERT INTO rooms VALUES ('roof'); SELECT nonsense"}
        self.assertRaises(sqlite3.OperationalError, connect, self.path, VERSION + 2, steps)
        self.assertEqual(sql(self.path, "SELECT name FROM sqlite_master WHERE name = 'rooms'"), [])
        connect(self.path).close()
        self.assertEqual(self.version(self.path), VERSION)
        self.assertEqual(stored(self.path), {("balcony", "temperature", 1): 21.5})

    def test_copyIsOfTheLastMoment(self) -> None:
        """
        The copy has everything that was stored before the migration, also when an earlier attempt
        failed and the old version went on for a while.
        """
        self.assertRaises(
            sqlite3.Error, connect, self.path, VERSION + 1, {VERSION: "SELECT nonsense"}
        )
        self.store(2)
        connect(self.path, VERSION + 1, _STEPS).close()
        self.assertEqual(stored(self.copy).keys(), stored(self.path).keys())


class UpgradeTests(SynchronousTestCase):
    """
    Databases of the versions that were released before.
    """

    def columns(self, path: Path) -> dict[str, list[tuple[object, ...]]]:
        """
        The columns of all tables, views and indexes.
        """
        names = [row[0] for row in sql(path, "SELECT name FROM sqlite_master ORDER BY name")]
        return {
            name: sql(path, f"SELECT * FROM pragma_table_xinfo('{name}')")
            + sql(path, f"SELECT * FROM pragma_index_xinfo('{name}')")
            for name in names
        }

    def test_same(self) -> None:
        """
        A database of any older version is brought to what a new one looks like, with its readings.
        """
        fresh = folder(self) / "fresh.sqlite"
        connect(fresh).close()
        for version in range(1, VERSION):
            path = folder(self) / "old.sqlite"
            script = Path(__file__).with_name(f"schema-{version}.sql").read_text(encoding="utf-8")
            with closing(sqlite3.connect(path)) as connection:
                connection.executescript(script)
            sql(
                path,
                "INSERT INTO series VALUES (1, 'balcony', 'temperature', '', '{}', '', '', '')",
            )
            sql(path, "INSERT INTO readings VALUES (1, 1, 1, 21.5, 2)")
            connect(path).close()
            self.assertEqual(self.columns(path), self.columns(fresh))
            self.assertEqual(stored(path), {("balcony", "temperature", 1): 21.5})


class SetAsideTests(SynchronousTestCase):
    """
    Keeping a broken database under another name.
    """

    def setUp(self) -> None:
        self.path = folder(self) / "sensord.sqlite"

    def write(self, content: bytes) -> None:
        """
        Make a file with what SQLite keeps beside it.
        """
        for suffix in "", "-wal", "-shm":
            Path(f"{self.path}{suffix}").write_bytes(content + suffix.encode())

    def test_together(self) -> None:
        """
        The file goes together with its log and its index, and all contents are kept.
        """
        self.write(b"broken")
        name = setAside(self.path)
        self.assertEqual(name.parent, self.path.parent)
        self.assertRegex(name.name, r"^sensord\.sqlite\.broken-\d{8}-\d{6}$")
        self.assertEqual(
            {file.name: file.read_bytes() for file in self.path.parent.iterdir()},
            {
                name.name: b"broken",
                f"{name.name}-wal": b"broken-wal",
                f"{name.name}-shm": b"broken-shm",
            },
        )

    def test_alone(self) -> None:
        """
        A file that has nothing beside it is set aside alone.
        """
        self.path.write_bytes(b"broken")
        name = setAside(self.path)
        self.assertEqual(list(self.path.parent.iterdir()), [name])

    def test_sameSecond(self) -> None:
        """
        Databases that break within a second do not overwrite each other.
        """
        contents = [b"first", b"second", b"third"]
        names = []
        for content in contents:
            self.write(content)
            names.append(setAside(self.path))
        self.assertEqual([name.read_bytes() for name in names], contents)
        self.assertEqual(
            [Path(f"{name}-wal").read_bytes() for name in names],
            [b"first-wal", b"second-wal", b"third-wal"],
        )


class BrokenTests(SynchronousTestCase):
    """
    Telling a broken file from a passing trouble.
    """

    def test_corrupt(self) -> None:
        """
        A file with an overwritten page is broken.
        """
        path = folder(self) / "sensord.sqlite"
        connect(path).close()
        spoil(path, "meta")
        error = self.assertRaises(sqlite3.DatabaseError, connect, path)
        self.assertTrue(broken(error))

    def test_full(self) -> None:
        """
        A full disk does not make a file broken.
        """
        path = folder(self) / "sensord.sqlite"
        with closing(connect(path)) as connection:
            connection.execute("PRAGMA max_page_count = 1")
            error = self.assertRaises(
                sqlite3.OperationalError, connection.execute, "CREATE TABLE more (x)"
            )
        self.assertIn("full", str(error))
        self.assertFalse(broken(error))

    def test_noCode(self) -> None:
        """
        An error that comes without a code of SQLite's says nothing against the file.
        """
        self.assertFalse(broken(sqlite3.OperationalError("disk I/O error")))

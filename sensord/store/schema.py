"""
The database file itself: made, brought up to date, or set aside when it is broken.
"""

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

#: The version of schema.sql.
VERSION = 4

#: What brings a database of each older version to the next one: SQL, run in a transaction.
MIGRATIONS: Mapping[int, str] = {
    1: """
    CREATE TABLE devices (
        address TEXT PRIMARY KEY, heard INTEGER NOT NULL, received INTEGER NOT NULL,
        missed INTEGER NOT NULL, restarts INTEGER NOT NULL, counter INTEGER, rssi INTEGER,
        interval REAL NOT NULL, declared INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE commands (
        id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, who TEXT NOT NULL,
        address TEXT NOT NULL, variable TEXT NOT NULL, value REAL NOT NULL, state TEXT NOT NULL,
        changed INTEGER NOT NULL, expires INTEGER, why TEXT NOT NULL
    );
    CREATE INDEX commands_pending ON commands (address) WHERE state = 'pending'
    """,
    2: """
    DROP TABLE cursors;
    CREATE TABLE cursors (
        sink TEXT PRIMARY KEY, position INTEGER NOT NULL, base INTEGER NOT NULL DEFAULT 0,
        delivered INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0,
        expired INTEGER NOT NULL DEFAULT 0, paused INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, reading INTEGER NOT NULL,
        device TEXT NOT NULL, name TEXT NOT NULL, time INTEGER NOT NULL, value NOT NULL,
        why TEXT NOT NULL, died INTEGER NOT NULL
    )
    """,
    3: """
    ALTER TABLE cursors ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE dead_letters ADD COLUMN retry INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX dead_letters_by_sink ON dead_letters (sink, retry)
    """,
}

#: How long a statement waits for another process that writes, in milliseconds. While it waits,
#: devices go on sending to a gateway that cannot store.
_BUSY = 1_000

_APPLICATION = 0x73656E73


class StoreError(Exception):
    """
    The database cannot be used, and it is for the operator to mend: one line says why.
    """


def connect(
    path: Path,
    version: int = VERSION,
    migrations: Mapping[int, str] = MIGRATIONS,
    busy: int = _BUSY,
) -> sqlite3.Connection:
    """
    Open a database for writing. It is made if it is not there, and migrated if it is older; a copy
    of the old one is kept beside it.

    @param version: the schema that is wanted.
    @param busy: how long to wait for another process that writes, in milliseconds.
    @raise StoreError: if it is no database of ours, or one of a newer version.
    @raise sqlite3.Error: if it cannot be opened.
    """
    if path.exists():
        _probe(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA busy_timeout = {busy}")
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(
                files("sensord.store").joinpath("schema.sql").read_text(encoding="utf-8")
            )
        found = schema(connection, path)
        if found > version:
            raise StoreError(
                f"{path}: made by a newer sensord (schema {found}, known is {version})"
            )
        if found < version:
            _migrate(connection, path, found, version, migrations)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        # 32 MB: thousands of series are written to as many pages of the index. Those that do not
        # fit are written to the log before their time, and read again.
        connection.execute("PRAGMA cache_size = -32768")
    except BaseException:
        connection.close()
        raise
    return connection


def _probe(path: Path) -> None:
    """
    Make sure that a file is none of another kind. That would show later too, but only after SQLite
    has thrown away the log beside it. (To look into the file ourselves would be worse: closing it
    would end all locks that this process has on it.)

    @raise sqlite3.DatabaseError: if it is not SQLite's.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as probe:
        try:
            probe.execute("PRAGMA schema_version").fetchone()
        except sqlite3.DatabaseError as error:
            # Nothing else is to be believed here: without its log, a database that was cut off
            # while the log was being emptied looks broken, and is not.
            if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                raise


def schema(connection: sqlite3.Connection, path: Path) -> int:
    """
    The schema version of an open database.

    @raise StoreError: if it is not one of ours.
    """
    if connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
        raise StoreError(f"{path}: is a database of another program")
    row = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    if row is None:
        raise StoreError(f"{path}: does not say which schema it has")
    if not isinstance(row[0], int):
        raise StoreError(f"{path}: has no schema that is known")
    return row[0]


def broken(error: Exception) -> bool:
    """
    Whether an error says that the file is no database any more, so that trying again is useless.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def setAside(path: Path) -> Path:
    """
    Rename a broken database, with what SQLite keeps beside it.

    @return: its new name.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.broken-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.broken-{stamp}-{number}")
    for suffix in ("-wal", "-shm", ""):
        if os.path.exists(f"{path}{suffix}"):
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    return aside


def _migrate(
    connection: sqlite3.Connection,
    path: Path,
    found: int,
    version: int,
    migrations: Mapping[int, str],
) -> None:
    copy = path.with_name(f"{path.name}.schema-{found}")
    if any(step not in migrations for step in range(found, version)):
        raise StoreError(f"{path}: there is no way from schema {found} to {version}")
    # Under another name until it is whole: a copy that was interrupted is none.
    part = path.with_name(f"{copy.name}.part")
    part.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(part),))
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(copy)
    steps = "".join(migrations[step] + ";\n" for step in range(found, version))
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{steps}"
            f"UPDATE meta SET value = {version} WHERE key = 'schema';\nCOMMIT;"
        )
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise

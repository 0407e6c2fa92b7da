"""
The database: SQLite, and all that is written to it. Everything here blocks, and belongs to the
writer's thread.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from msgspec import Struct
from twisted.logger import Logger

from sensord.devices import Description
from sensord.reading import Intake, Reading, Value
from sensord.store import retention, schema
from sensord.store.schema import StoreError
from sensord.store.series import Series

T = TypeVar("T")

#: How many rows go into one statement. SQLite steps through a statement without holding Python's
#: interpreter lock; with a row each, the writer would wait for the lock as often as there are rows.
_ROWS = 100

# OR FAIL: a statement that fails need not undo its own rows, since the transaction is rolled back
# as a whole; so SQLite can do without a journal for each statement, which costs more than the rows.
_INSERT = "INSERT OR FAIL INTO readings (series, time, value, clock) VALUES "
_CONFLICT = " ON CONFLICT (series, time) DO NOTHING"
_INSERT_ONE = f"{_INSERT}(?, ?, ?, ?){_CONFLICT}"
_INSERT_ROWS = f"{_INSERT}{', '.join(['(?, ?, ?, ?)'] * _ROWS)}{_CONFLICT}"

_LEDGER = """
    INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (listener) DO UPDATE SET
    received = received + excluded.received, committed = committed + excluded.committed,
    duplicate = duplicate + excluded.duplicate, rejected = rejected + excluded.rejected,
    quarantined = quarantined + excluded.quarantined
"""

#: SQLite has no truth values: these blobs stand for them and read well in any tool.
_TRUTH = {True: b"true", False: b"false"}

#: What a reading that cannot be stored raises, as opposed to a database that cannot store.
_UNFIT = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    ValueError,
    TypeError,
    AttributeError,
)


class Part(Struct):
    """
    What one listener adds to a transaction.
    """

    listener: str
    intakes: Sequence[Intake]


def fromColumn(value: object) -> Value:
    """
    A value as it was before it was stored.
    """
    if isinstance(value, bytes):
        return value == b"true"
    assert isinstance(value, float | int | str)
    return value


class Database:
    """
    The writing side of a database file.

    @param describe: tells what is known of a series, by device and name.
    @param maxQuarantine: frames that the quarantine keeps.
    @param connect: opens the file.
    @param replace: whether a file that is broken is to be set aside, and a new one begun.
    """

    _log = Logger()

    def __init__(
        self,
        path: Path,
        describe: Callable[[str, str], Description] = lambda device, name: Description(device),
        maxQuarantine: int = 10_000,
        connect: Callable[[Path], sqlite3.Connection] = schema.connect,
        replace: bool = True,
    ) -> None:
        self.path = path
        self._maxQuarantine = maxQuarantine
        self._connect = partial(connect, path)
        self._replace = replace
        self._files: list[tuple[int, int] | None] = []
        self._connection: sqlite3.Connection | None = None
        self._ids = Series(describe)
        self._always: list[Callable[[sqlite3.Connection], object]] = []

    def always(self, job: Callable[[sqlite3.Connection], object]) -> None:
        """
        Have a job run in the transaction with which a file is opened, from now on: also when a new
        one is begun in place of one that is broken, or was moved.
        """
        self._always.append(job)

    def open(self) -> None:
        """
        Open the file, make it or bring it up to date. One that is broken is set aside.

        @raise StoreError: when there is nothing that can be used.
        """
        try:
            try:
                self._begin()
            except sqlite3.DatabaseError as error:
                if not schema.broken(error) or not self._replace:
                    raise
                self._setAside(error)
                self._begin()
        except (sqlite3.Error, OSError, ValueError) as error:
            self.close()
            raise StoreError(f"{self.path}: {error}") from error

    def _begin(self) -> None:
        self._connection = self._connect()
        with self._transaction() as connection:
            self._ids.open(connection)
            # Written each time, so that a disk that is full shows before any port is opened.
            connection.execute(
                "INSERT INTO meta VALUES ('opened', CAST(strftime('%s', 'now') AS INTEGER))"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            )
            connection.execute(
                "INSERT INTO meta VALUES ('journal', lower(hex(randomblob(8))))"
                " ON CONFLICT (key) DO NOTHING"
            )
            for job in tuple(self._always):
                job(connection)
        self._files = self._identities()

    def close(self) -> None:
        """
        Close the file. It is opened again when next needed.
        """
        connection, self._connection = self._connection, None
        self._ids.clear()
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def commit(self, parts: Sequence[Part]) -> dict[int, Exception]:
        """
        Write everything in one transaction, and the ledger with it.

        @return: the error for each intake of which a reading cannot be stored, by the C{id} of
            the intake: it was left out as a whole, and the others are stored.
        @raise Exception: if nothing was stored; the same parts may be tried again.
        """
        write = partial(self._commit, parts)
        try:
            return self._attempt(write)
        except sqlite3.DatabaseError as error:
            if not schema.broken(error):
                raise
        # It may be the connection that is broken: only a second one is believed.
        try:
            return self._attempt(write)
        except sqlite3.DatabaseError as error:
            if not schema.broken(error) or not self._replace:
                raise
            self._setAside(error)
            return self._attempt(write)

    def _attempt(self, write: Callable[[], T]) -> T:
        if self._connection is not None and self._files != self._identities():
            self._log.error("{path} was moved or replaced under us", path=self.path)
            self.close()
        try:
            if self._connection is None:
                self.open()
            return write()
        except sqlite3.DatabaseError:
            # Whatever state this connection is in, the next attempt begins with a new one.
            self.close()
            raise

    def _identities(self) -> list[tuple[int, int] | None]:
        """
        Which files the database and its log are just now. What is written to a file that was
        deleted is lost when it is closed, without any error.
        """
        return [_identity(self.path), _identity(f"{self.path}-wal")]

    def expire(self, before: int, most: int) -> int:
        """
        Remove old readings. See L{retention.expire}.
        """
        return self.run(partial(retention.expire, before, most))

    def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """
        Write something that is no reading, in a transaction of its own.

        @param job: makes the changes.
        @return: what it returned.
        @raise Exception: if nothing was written.
        """

        def transaction() -> T:
            with self._transaction() as connection:
                return job(connection)

        return self._attempt(transaction)

    def revise(self, maxQuarantine: int, anew: bool) -> None:
        """
        Go on with other settings.

        @param maxQuarantine: frames that the quarantine keeps from now on.
        @param anew: whether what is known of series is not what it was.
        """
        self._maxQuarantine = maxQuarantine
        if anew:
            self.run(lambda _connection: self._ids.revise())

    def resolve(self, ids: Sequence[int], part: Part) -> None:
        """
        Replace quarantined frames by what they were decoded to.

        @param ids: the rows of the quarantine that go.
        @param part: what comes in their place; its frames count as received once more.
        """
        if self._connection is None:
            self.open()
        with self._transaction() as connection:
            gone = connection.executemany(
                "DELETE FROM quarantine WHERE id = ?", [(id,) for id in ids]
            ).rowcount
            if gone != len(ids):
                raise StoreError(f"{self.path}: the quarantine changed meanwhile; try again")
            connection.execute(_LEDGER, (part.listener, -gone, 0, 0, 0, -gone))
            self._write(part)

    def _commit(self, parts: Sequence[Part]) -> dict[int, Exception]:
        try:
            with self._transaction():
                for part in parts:
                    self._write(part)
            return {}
        except _UNFIT:
            return self._sift(parts)

    def _sift(self, parts: Sequence[Part]) -> dict[int, Exception]:
        """
        Write each intake by itself, and leave out those that cannot be stored.
        """
        unfit: dict[int, Exception] = {}
        with self._transaction() as connection:
            for part in parts:
                for intake in part.intakes:
                    connection.execute("SAVEPOINT intake")
                    try:
                        self._write(Part(part.listener, [intake]))
                    except _UNFIT as error:
                        unfit[id(intake)] = error
                        self._ids.forget()
                        connection.execute("ROLLBACK TO intake")
                        count = intake.received
                        with suppress(UnicodeEncodeError):  # it may be the listener's name
                            connection.execute(_LEDGER, (part.listener, count, 0, 0, count, 0))
                    connection.execute("RELEASE intake")
        return unfit

    def _write(self, part: Part) -> None:
        """
        Write what one listener brought, in the transaction that is under way.
        """
        connection = self._connection
        assert connection is not None
        intakes = part.intakes
        readings = chain.from_iterable(intake.readings for intake in intakes)
        committed = self._insert(readings)
        quarantined: list[tuple[object, ...]] = []
        received = rejected = 0
        for intake in intakes:
            received += intake.received
            rejected += len(intake.rejected)
            quarantined += (
                (frame.time, part.listener, frame.peer, frame.data, frame.why, frame.wire)
                for frame in intake.quarantined
            )
        if quarantined:
            connection.executemany(
                "INSERT INTO quarantine (time, listener, peer, data, why, wire)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                quarantined,
            )
            self._trim()
        connection.execute(
            _LEDGER,
            (
                part.listener,
                received,
                committed,
                received - committed - rejected - len(quarantined),
                rejected,
                len(quarantined),
            ),
        )

    def _insert(self, readings: Iterator[Reading]) -> int:
        """
        Insert readings; those that are there already are left as they are.

        @return: how many were new.
        """
        assert self._connection is not None
        cursor, ids = self._connection.cursor(), self._ids
        inserted = 0
        while block := list(islice(readings, _ROWS)):
            rows = [
                (
                    ids[reading.device, reading.name],
                    reading.time,
                    value
                    if (value := reading.value).__class__ is not bool
                    else _TRUTH[bool(value)],
                    reading.clock.code,
                )
                for reading in block
            ]
            if len(rows) == _ROWS:
                cursor.execute(_INSERT_ROWS, list(chain.from_iterable(rows)))
            else:
                cursor.executemany(_INSERT_ONE, rows)
            inserted += cursor.rowcount
        return inserted

    def _trim(self) -> None:
        """
        Remove the oldest frames of a quarantine that is over full.
        """
        assert self._connection is not None
        gone = self._connection.execute(
            "DELETE FROM quarantine WHERE id <="
            " (SELECT id FROM quarantine ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (self._maxQuarantine,),
        ).rowcount
        retention.count(self._connection, "expired_quarantine", gone)

    def _setAside(self, error: Exception) -> None:
        self.close()
        aside = schema.setAside(self.path)
        self._log.error(
            "{path} is broken ({error}): it is kept as {aside}, and a new one is begun",
            path=self.path,
            error=error,
            aside=aside.name,
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        assert connection is not None
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            self._ids.forget()
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise
        self._ids.keep()


def _identity(path: Path | str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino

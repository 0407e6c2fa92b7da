"""
The series of a database: their ids, and what the configuration knows of them.
"""

import json
import sqlite3
from collections.abc import Callable

from sensord.devices import Description

#: How many series are remembered. Without a limit, a peer that makes up ids would fill the memory,
#: and not only the disk. Those that are forgotten are looked up again.
_MOST = 100_000


class Series(dict[tuple[str, str], int]):
    """
    The ids of series, by device and name. One that is not known yet is entered into the database;
    what a transaction entered is forgotten if it is rolled back.

    @param describe: tells what is known of a series, by device and name.
    """

    def __init__(self, describe: Callable[[str, str], Description]) -> None:
        super().__init__()
        self._describe = describe
        self._connection: sqlite3.Connection | None = None
        self._fresh: list[tuple[str, str]] = []

    def __missing__(self, key: tuple[str, str]) -> int:
        if len(self) >= _MOST:
            self.clear()
        id = self[key] = self._enter(*key)
        self._fresh.append(key)
        return id

    def open(self, connection: sqlite3.Connection) -> None:
        """
        Begin with a database, and bring what it says of every series up to date.

        @param connection: in a transaction.
        """
        self._connection = connection
        self.revise()

    def revise(self) -> None:
        """
        Bring what the database says of every series up to date, in a transaction.
        """
        assert self._connection is not None
        self.clear()
        # The index would do, but what is broken is to show now.
        asked = self._connection.execute("SELECT id, device, name FROM series NOT INDEXED")
        for id, device, name in asked.fetchall():
            self._annotate(id, self._describe(device, name))

    def keep(self) -> None:
        """
        The transaction was committed.
        """
        self._fresh.clear()

    def forget(self) -> None:
        """
        The transaction was rolled back.
        """
        for key in self._fresh:
            self.pop(key, None)
        self._fresh.clear()

    def _enter(self, device: str, name: str) -> int:
        """
        The id of a series that is met for the first time, here or at all.
        """
        assert self._connection is not None
        known = self._describe(device, name)
        self._connection.execute(
            "INSERT INTO series (device, name, unit, tags, address, wire, field)"
            " VALUES (?, ?, '', '{}', ?, ?, ?) ON CONFLICT (device, name) DO NOTHING",
            (device, name, known.address, known.wire, known.field),
        )
        id: int = self._connection.execute(
            "SELECT id FROM series WHERE device = ? AND name = ?", (device, name)
        ).fetchone()[0]
        self._annotate(id, known)
        return id

    def _annotate(self, id: int, known: Description) -> None:
        """
        Note the unit, the tags and the thresholds of a series. Of one by whose name nobody is known
        any more, unit and tags still hold.
        """
        assert self._connection is not None
        tags = json.dumps(dict(known.tags), ensure_ascii=False, sort_keys=True)
        self._connection.execute(
            "UPDATE series SET unit = :unit, tags = :tags"
            " WHERE id = :id AND :known AND (unit, tags) != (:unit, :tags)",
            {
                "unit": known.unit,
                "tags": tags,
                "id": id,
                "known": bool(known.wire or known.unit or known.tags),
            },
        )
        self._connection.execute("DELETE FROM thresholds WHERE series = ?", (id,))
        self._connection.executemany(
            "INSERT INTO thresholds VALUES (?, ?, ?, ?)",
            [(id, *threshold) for threshold in known.thresholds],
        )

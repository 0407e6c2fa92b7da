"""
The table of commands: every value that somebody wanted to send down to a device, and what became
of it. Each function here is given a connection: those that write run in a transaction of
L{Store.write<sensord.store.service.Store.write>}, the others in one of its C{read} just as well.
"""

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Literal

from msgspec import Struct, structs

#: The commands that are kept after they were sent, expired or refused, and after how many new ones
#: the oldest are removed. Without a limit, a program that sends without end would fill the disk.
MAX_FINISHED, _PRUNE_EVERY = 10_000, 100

#: The longest text in a row. Without a limit, whoever may send commands could fill the disk with
#: texts that are of no use.
MAX_TEXT = 200

#: The most rows of one answer.
MAX_LISTED = 10_000

State = Literal["pending", "sent", "expired", "refused"]

_COLUMNS = "id, time, who, address, variable, value, state, changed, expires, why"


class Delivery(Struct, frozen=True):
    """
    A command, and what became of it. All times are in microseconds since the epoch.

    @ivar id: its row; 0 for one that went to all, whose parts have rows.
    @ivar time: when it was given.
    @ivar who: who gave it.
    @ivar address: of the device; C{all}; or what was given if that is nobody's.
    @ivar state: C{pending} it waits for the device; C{sent} it was handed to the link; C{expired}
        the device did not come in time; C{refused} it cannot be sent.
    @ivar changed: since when it is in this state.
    @ivar expires: when it has waited long enough; L{None} is never.
    @ivar why: the reason for the state, where there is one.
    @ivar parts: if it went to all, what became of it for each.
    """

    id: int
    time: int
    who: str
    address: str
    variable: str
    value: float
    state: State
    changed: int
    expires: int | None = None
    why: str = ""
    parts: tuple["Delivery", ...] = ()


def enter(
    connection: sqlite3.Connection,
    deliveries: Sequence[Delivery],
    packed: Collection[str] = (),
    most: int = MAX_FINISHED,
) -> list[Delivery]:
    """
    Make a row for each of some deliveries, and now and then remove old ones.

    @param packed: see L{prune}.
    @param most: see L{prune}.
    @return: the deliveries with the ids of their rows.
    """
    entered = [_insert(connection, delivery) for delivery in deliveries]
    if any(delivery.id % _PRUNE_EVERY == 0 for delivery in entered):
        prune(connection, packed, most)
    return entered


def settle(connection: sqlite3.Connection, deliveries: Sequence[Delivery]) -> None:
    """
    Write down the states that some deliveries came to. One whose row is in a database that was set
    aside meanwhile has a new row.
    """
    for each in deliveries:
        found = connection.execute(
            "UPDATE commands SET state = ?, changed = ?, why = ? WHERE id = ? AND time = ?",
            (each.state, each.changed, each.why, each.id, each.time),
        )
        if not found.rowcount:
            _insert(connection, each)


def pending(connection: sqlite3.Connection) -> list[Delivery]:
    """
    All that wait, in the order in which they were given.
    """
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM commands WHERE state = 'pending' ORDER BY id"
    )
    return [Delivery(*row) for row in rows]


def last(connection: sqlite3.Connection, packed: Collection[str]) -> dict[str, dict[str, float]]:
    """
    The values that some devices were sent last: by address, then by variable.
    """
    rows = connection.execute(
        "SELECT address, variable, value FROM commands WHERE state = 'sent'"
        " AND address IN (SELECT value FROM json_each(?)) ORDER BY id",
        (json.dumps([*packed]),),
    )
    found: dict[str, dict[str, float]] = {}
    for address, variable, value in rows:
        found.setdefault(address, {})[variable] = value
    return found


def prune(
    connection: sqlite3.Connection, packed: Collection[str] = (), most: int = MAX_FINISHED
) -> int:
    """
    Remove the oldest of those that do not wait any more.

    @param packed: the addresses of the devices whose L{last} values stay, however old they are.
    @param most: how many stay besides these.
    @return: how many were removed.
    """
    return connection.execute(
        "DELETE FROM commands WHERE state != 'pending' AND id <= (SELECT id FROM commands"
        " WHERE state != 'pending' ORDER BY id DESC LIMIT 1 OFFSET ?) AND id NOT IN ("
        # Devices are sent their commands in the order of the rows.
        "SELECT max(id) FROM commands WHERE state = 'sent'"
        " AND address IN (SELECT value FROM json_each(?)) GROUP BY address, variable)",
        (most, json.dumps([*packed])),
    ).rowcount


def listed(
    connection: sqlite3.Connection, limit: int = 100, address: str | None = None
) -> list[Delivery]:
    """
    The commands that were given last, newest first.

    @param limit: how many at the most; there are never more than L{MAX_LISTED}.
    @param address: of the device that they are for; L{None} is all.
    """
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM commands WHERE :address IS NULL OR address = :address"
        " ORDER BY id DESC LIMIT :limit",
        {"address": address, "limit": min(max(limit, 0), MAX_LISTED)},
    )
    return [Delivery(*row) for row in rows]


def together(parts: Sequence[Delivery], address: str, variable: str) -> Delivery:
    """
    What became of a command that went to many: it was sent if one was.

    @param address: what stands for all of them.
    @param variable: as it was given.
    """
    order: Sequence[State] = ("sent", "pending", "expired", "refused")
    best = min(parts, key=lambda part: order.index(part.state))
    return structs.replace(
        best,
        id=0,
        address=address,
        variable=variable,
        changed=max(part.changed for part in parts),
        expires=None,
        parts=tuple(parts),
    )


def _insert(connection: sqlite3.Connection, delivery: Delivery) -> Delivery:
    """
    Make a row.

    @return: the delivery with its id.
    """
    id = connection.execute(
        "INSERT INTO commands (time, who, address, variable, value, state, changed, expires, why)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        structs.astuple(delivery)[1:-1],
    ).lastrowid
    assert id is not None
    return structs.replace(delivery, id=id)

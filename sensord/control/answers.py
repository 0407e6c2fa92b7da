"""
What the control API answers with: structs that become JSON, made of what the daemon knows.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from sensord.config import Settings
from sensord.presence import Presence, Record
from sensord.quarantine import Addresses
from sensord.reading import Value
from sensord.settings import DeviceSettings
from sensord.store.archive import Current, Point
from sensord.store.audit import Account


class Way(Protocol):
    """
    A way in, as L{Listener<sensord.protocols.listener.Listener>} is one.
    """

    running: Any

    @property
    def state(self) -> str:
        """
        How it is.
        """

    @property
    def where(self) -> str:
        """
        Where devices find it.
        """

    @property
    def connected(self) -> int:
        """
        How many connections there are.
        """

    def startService(self) -> None:
        """
        Open it.
        """

    def stopService(self) -> Any:
        """
        Close it.
        """

    async def disconnect(self) -> None:
        """
        Cut what is still connected.
        """

    def steer(self, ready: bool, full: bool) -> None:
        """
        Follow the store.
        """


class Valued(Struct, frozen=True):
    """
    The newest value of a series of one device; see L{Current<sensord.store.archive.Current>}.
    """

    name: str
    value: Value
    unit: str
    time: int
    status: str


class Device(Struct, frozen=True):
    """
    A device; see L{Record<sensord.presence.Record>}.

    @ivar heard: L{None} for never.
    @ivar interval: in seconds; L{None} if it is unknown.
    @ivar connected: whether it has a link of its own just now.
    """

    address: str
    name: str
    tags: Mapping[str, str]
    wire: str
    state: str
    heard: int | None
    received: int
    missed: int
    restarts: int
    rssi: int | None
    interval: float | None
    declared: bool
    connected: bool
    values: Sequence[Valued]


class History(Struct, frozen=True):
    """
    A series over time, and what was asked for. Times and the step are in microseconds.
    """

    device: str
    name: str
    start: int
    end: int
    step: int
    points: Sequence[Point]


class Listening(Struct, frozen=True):
    """
    A way in, and its line of the ledger.

    @ivar refused: connections that were not let in; L{None} where nobody connects.
    """

    name: str
    wire: str
    where: str
    state: str
    connected: int
    refused: int | None
    received: int
    committed: int
    duplicate: int
    rejected: int
    quarantined: int


class Frame(Struct, frozen=True):
    """
    A frame in quarantine.

    @ivar address: with which a description would be of its device; empty if that is unknown.
    @ivar data: in hex.
    """

    id: int
    time: int
    listener: str
    peer: str
    wire: str
    why: str
    data: str
    address: str


class _Book:
    """
    What one configuration says.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.wires = {listener.name: listener.wire for listener in settings.listeners}
        self.devices = {device.address: device for device in settings.devices}


class Names:
    """
    What the configuration calls devices, and by which wires they come.

    @param settings: gives the configuration of the moment.
    """

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._book = _Book(settings())

    @property
    def settings(self) -> Settings:
        """
        The configuration of the moment.
        """
        return self._now().settings

    @property
    def wires(self) -> Mapping[str, str]:
        """
        The wire formats, by listeners.
        """
        return self._now().wires

    @property
    def devices(self) -> Mapping[str, DeviceSettings]:
        """
        The descriptions, by addresses.
        """
        return self._now().devices

    def _now(self) -> "_Book":
        settings = self._settings()
        if settings is not self._book.settings:
            self._book = _Book(settings)
        return self._book

    def label(self, text: str) -> str:
        """
        The name of a device that is meant by its name or its address.
        """
        device = self.devices.get(text)
        return text if device is None else device.label

    def address(self, text: str) -> str:
        """
        The address of a device that is meant by its name or its address.
        """
        if text in self.devices:
            return text
        return next((one.address for one in self.devices.values() if one.label == text), text)

    def wire(self, address: str) -> str:
        """
        The wire format that a device speaks; empty if it is unknown.
        """
        return self.wires.get(address.partition("/")[0], "")


def known(names: Names, presence: Presence) -> dict[str, Record]:
    """
    All devices that are described or were heard, by their addresses.
    """
    records = {address: Record(address, one.label) for address, one in names.devices.items()}
    return records | {
        record.address: record
        for record in presence
        if record.heard or record.address in records  # else it was forgotten
    }


def devices(
    names: Names, presence: Presence, latest: Sequence[Current], now: float
) -> list[Device]:
    """
    All devices that are described or were heard.

    @param latest: all of their values.
    @param now: in seconds since the epoch.
    """
    values: dict[str, list[Valued]] = {}
    for one in latest:
        valued = Valued(one.name, one.value, one.unit, one.time, one.status)
        values.setdefault(one.device, []).append(valued)
    records = known(names, presence)
    present = set(presence.present())
    return [
        Device(
            address=address,
            name=record.name,
            tags=names.devices.get(address, DeviceSettings(address)).tags,
            wire=names.wire(address),
            state=presence.state(record, now).value,
            heard=record.heard or None,
            received=record.received,
            missed=record.missed,
            restarts=record.restarts,
            rssi=record.rssi,
            interval=record.interval or None,
            declared=record.declared,
            connected=address in present,
            values=values.get(record.name, []),
        )
        for address, record in sorted(records.items(), key=lambda item: _place(item[0]))
    ]


def listening(name: str, wire: str, way: Way, account: Account | None) -> Listening:
    """
    How one listener is.

    @param account: its line of the ledger, if there is one.
    """
    factory = getattr(way, "factory", None)  # a serial port has none
    account = account or Account(name, 0, 0, 0, 0, 0)
    return Listening(
        name=name,
        wire=wire,
        where=way.where,
        state=way.state,
        connected=way.connected,
        refused=getattr(factory, "refused", None),
        received=account.received,
        committed=account.committed,
        duplicate=account.duplicate,
        rejected=account.rejected,
        quarantined=account.quarantined,
    )


def ledger(connection: sqlite3.Connection) -> dict[str, Account]:
    """
    The ledger, by listener.
    """
    rows = connection.execute(
        "SELECT listener, received, committed, duplicate, rejected, quarantined FROM ledger"
    )
    return {row[0]: Account(*row) for row in rows}


def frames(
    addresses: Addresses, listener: str, limit: int, connection: sqlite3.Connection
) -> list[Frame]:
    """
    Frames in quarantine, the newest first.

    @param listener: empty is all.
    """
    rows = connection.execute(
        "SELECT id, time, listener, peer, wire, why, data FROM quarantine"
        " WHERE :listener IN ('', listener) ORDER BY id DESC LIMIT :limit",
        {"listener": listener, "limit": limit},
    )
    return [
        Frame(id, time, name, peer, wire, why, data.hex(), addresses.of(name, wire, data))
        for id, time, name, peer, wire, why, data in rows
    ]


def _place(address: str) -> tuple[str, int, str]:
    """
    Where a device stands among others: numbers in their order.
    """
    listener, _slash, id = address.partition("/")
    return listener, len(id) if id.isdecimal() else 0, id

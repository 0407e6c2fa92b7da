"""
Describing a device by the control API: what its frames in quarantine would be decoded to, and the
description saved, put into effect, and those frames decoded.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from msgspec import Struct, structs
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from sensord.config import ConfigError, Settings
from sensord.control.answers import Names
from sensord.control.asked import Place
from sensord.control.asking import answered, shielded
from sensord.control.descriptions import Descriptions, Unsaved
from sensord.control.query import Fault, body, parameters, who
from sensord.control.reloads import Reloader
from sensord.devices import Devices
from sensord.quarantine import Addresses, decode
from sensord.reading import Intake, Value
from sensord.settings import DeviceSettings, TransmitSettings, ValueSettings
from sensord.store.archive import Held
from sensord.store.service import Store
from sensord.tables import build
from sensord.wire import packing
from sensord.wires import SubscriberSettings

#: How many frames a preview shows.
_SHOWN = 20

#: How many frames share a transaction: devices must not wait long for their own.
_BATCH = 100

#: The wire formats, and the payloads of MQTT, whose values are packed.
_PACKED = ("esp8266", "rfm2pi", "packed")


class Decoded(Struct, frozen=True):
    """
    A value of a frame.
    """

    name: str
    value: Value
    unit: str


class Shown(Struct, frozen=True):
    """
    A frame in quarantine, and what it would be.

    @ivar time: when it arrived, in microseconds since the epoch.
    @ivar data: in hex.
    @ivar why: why it would stay in quarantine; empty if it would not.
    """

    id: int
    time: int
    data: str
    why: str
    readings: Sequence[Decoded]


class Previewed(Struct, frozen=True):
    """
    What a description would do.

    @ivar faults: what is wrong with it.
    @ivar frames: those of the device, the newest first.
    """

    faults: Sequence[str]
    frames: Sequence[Shown]


class Described(Struct, frozen=True):
    """
    What a description has done.

    @ivar file: where it was saved.
    @ivar resolved: how many frames are in quarantine no more.
    @ivar readings: what they were decoded to.
    @ivar left: why each of the others is still there, by its id.
    """

    file: str
    resolved: int
    readings: int
    left: Mapping[int, str]


class Description(Struct, frozen=True):
    """
    How a device is described; see L{DeviceSettings<sensord.settings.DeviceSettings>}.

    @ivar wire: the wire format that it speaks; empty without a listener.
    @ivar types: how its values can be packed; none where they are not packed.
    @ivar file: where it is described; empty if nowhere, or in no file.
    @ivar why: why it cannot be described anew; empty if it can.
    """

    address: str
    name: str
    tags: Mapping[str, str]
    values: Sequence[ValueSettings]
    whitening: bool
    transmit: Sequence[TransmitSettings]
    sleeps: bool
    interval: float
    wire: str
    types: Sequence[str]
    file: str
    why: str


class Describing:
    """
    What describes devices.

    @param reloader: puts descriptions into effect; L{None} if they stay as they are.
    """

    _log = Logger()

    def __init__(self, store: Store, names: Names, reloader: Reloader | None) -> None:
        self._store = store
        self._names = names
        self._reloader = reloader
        self._turns = DeferredLock()

    async def description(self, request: Any) -> Description:
        """
        How a device is described.
        """
        address = self._names.address(parameters(request, Place).address)
        known = self._names.devices.get(address)
        file, why = await answered(self._store.read(lambda _connection: self._where(address)))
        device = known or DeviceSettings(address)
        return Description(
            **structs.asdict(device),
            wire=self._names.wire(address),
            types=_types(self._names.settings, address),
            file=file,
            why=why,
        )

    async def preview(self, request: Any) -> Previewed:
        """
        What a description would do.
        """
        table = body(request)
        device, faults = self._draft(table)
        address = table.get("address")
        if not isinstance(address, str):
            return Previewed(faults, ())
        settings = self._names.settings
        queue = await answered(self._store.read(partial(_held, settings, address, _SHOWN)))
        if faults or device is None:
            frames = [_shown(held, held.why, ()) for held in queue]
        else:
            job = partial(_preview, settings, device, queue)
            frames = await answered(self._store.read(job))
        return Previewed(faults, frames[::-1])

    async def describe(self, request: Any) -> Described:
        """
        Save a description, put it into effect, and decode what waits for it. All of that is done
        even when whoever asked has hung up.

        @raise Fault: if that is not possible.
        """
        table, by = body(request), who(request)
        done = self._turns.run(lambda: Deferred.fromCoroutine(self._describe(table, by)))
        return await shielded(done)

    async def _describe(self, table: Mapping[str, Any], by: str) -> Described:
        reloader = self._reloader
        if reloader is None or reloader.folder is None:
            raise Fault(409, _NOWHERE)
        device, faults = self._draft(table)
        if faults or device is None:
            raise Fault(400, "; ".join(faults), faults)
        files, main = Descriptions(reloader.folder), self._main(device.address)
        try:
            file, undo = await self._store.aside(partial(files.save, device, main))
        except Unsaved as error:
            raise Fault(409, str(error)) from error
        try:
            await reloader.reload(by)
        except BaseException as error:
            await answered(self._store.aside(undo))
            if isinstance(error, ConfigError):
                raise Fault(409, "; ".join(error.faults), error.faults) from error
            raise
        done = await self._resolve(device, file)
        self._log.info(
            "{address}: described by {who} in {file}; frames decoded: {count}",
            address=device.address,
            who=by,
            file=file,
            count=done.resolved,
        )
        return done

    async def _resolve(self, device: DeviceSettings, file: str) -> Described:
        """
        Decode the frames of a device, and put what comes of it in their place.
        """
        settings = self._names.settings
        queue = await answered(self._store.read(partial(_held, settings, device.address, None)))
        listener = device.address.partition("/")[0]
        decoded = _decoded(settings, device, queue)
        resolved = readings = 0
        left: dict[int, str] = {}
        while batch := await answered(
            self._store.read(lambda _connection: list(islice(decoded, _BATCH)))
        ):
            good = [(held.id, came) for held, came in batch if isinstance(came, Intake)]
            left |= {held.id: why for held, why in batch if isinstance(why, str)}
            ids, intakes = [id for id, _came in good], [came for _id, came in good]
            if not good:
                continue
            try:
                await answered(self._store.resolve(ids, listener, intakes))
            except Fault as error:  # the description holds all the same
                left |= dict.fromkeys(ids, error.why)
                continue
            resolved += len(good)
            readings += sum(len(came.readings) for came in intakes)
        return Described(file, resolved, readings, left)

    def _draft(self, table: Mapping[str, Any]) -> tuple[DeviceSettings | None, list[str]]:
        """
        The description that is meant, and what is wrong with it. What a form does not know of
        stays as it is.
        """
        known = self._names.devices.get(str(table.get("address")))
        if known is not None:
            table = {"transmit": known.transmit, "sleeps": known.sleeps, **table}
        faults: list[str] = []
        device = build(_plain(table), DeviceSettings, faults)
        if device is not None and not faults:
            faults += _clashes(self._names.settings, device)
        return device, faults

    def _main(self, address: str) -> str:
        """
        The configuration file, if a device may be described there; else empty.
        """
        if self._reloader is None or address not in self._names.devices:
            return ""
        return self._reloader.file

    def _where(self, address: str) -> tuple[str, str]:
        """
        Where a device is described, and why it cannot be described anew.
        """
        if self._reloader is None or self._reloader.folder is None:
            return "", _NOWHERE
        files, main = Descriptions(self._reloader.folder), self._main(address)
        try:
            entry = files.find(address)
        except Unsaved as error:
            return "", str(error)
        return files.name(entry) if entry else main, files.obstacle(entry, main)


_NOWHERE = "there is no configuration file beside which it could be saved"


def _plain(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    A table that has only what tables have.
    """
    transmit = table.get("transmit")
    if isinstance(transmit, tuple):
        return {**table, "transmit": [structs.asdict(one) for one in transmit]}
    return table


def _clashes(settings: Settings, device: DeviceSettings) -> Iterator[str]:
    """
    What about a description goes against the rest of the configuration.
    """
    same = [one for one in settings.devices if one.name and one.name == device.name]
    others = [one for one in same if one.address != device.address]
    draft = structs.replace(settings, devices=(device, *others))
    known = set(structs.replace(settings, devices=()).faults())
    for fault in draft.faults():
        if fault not in known:
            yield fault.removeprefix(f'[[devices]] "{device.label}" ')


def _types(settings: Settings, address: str) -> Sequence[str]:
    """
    How the values of a device can be packed.
    """
    name = address.partition("/")[0]
    for one in settings.listeners:
        form = one.payload if isinstance(one, SubscriberSettings) else one.wire
        if one.name == name and form in _PACKED:
            return tuple(packing.CODES)
    return ()


def _held(
    settings: Settings, address: str, most: int | None, connection: sqlite3.Connection
) -> list[Held]:
    """
    The newest frames of a device in quarantine, in their order.

    @param most: how many; L{None} is all.
    """
    addresses = Addresses(settings)
    rows = connection.execute(
        "SELECT id, time, listener, peer, data, why, wire FROM quarantine WHERE listener = ?"
        " ORDER BY id DESC",
        (address.partition("/")[0],),
    )
    every = (Held(*row) for row in rows)
    its = (one for one in every if addresses.of(one.listener, one.wire, one.data) == address)
    return list(islice(its, most))[::-1]


def _decoded(
    settings: Settings, device: DeviceSettings, queue: Sequence[Held]
) -> Iterator[tuple[Held, Intake | str]]:
    """
    Frames of a device, decoded by a description.
    """
    name = device.address.partition("/")[0]
    listener = next((one for one in settings.listeners if one.name == name), None)
    return decode(structs.replace(settings, devices=(device,)), listener, queue)


def _preview(
    settings: Settings, device: DeviceSettings, queue: Sequence[Held], _connection: object
) -> list[Shown]:
    """
    Frames of a device, with what they would be.
    """
    describe = Devices(structs.replace(settings, devices=(device,))).describe
    shown = []
    for held, came in _decoded(settings, device, queue):
        if isinstance(came, str):
            shown.append(_shown(held, came, ()))
            continue
        readings = [
            Decoded(one.name, one.value, describe(one.device, one.name).unit)
            for one in came.readings
        ]
        shown.append(_shown(held, "", readings))
    return shown


def _shown(held: Held, why: str, readings: Sequence[Decoded]) -> Shown:
    return Shown(held.id, held.time, held.data.hex(), why, readings)

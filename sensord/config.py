"""
The configuration: TOML in, frozen structs out. Every fault is found in one go, and each is one
line that names the file, the table and the key.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any

import tomli_w
from msgspec import Meta, Struct, structs, to_builtins

from sensord.tables import build, meant
from sensord.wire import Parser, esp8266, packing, poe

Network = IPv4Network | IPv6Network

#: The parser of each wire format that a listener can speak.
WIRES: dict[str, Callable[[], Parser[Any]]] = {
    "esp8266": esp8266.PacketParser,
    "poe": poe.FrameParser,
}

_SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31557600}

#: How the ids of ESP8266 devices are written.
_IDS = {str(id) for id in range(256)}

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(ge=0, le=31557600)]
Factor = Annotated[float, Meta(ge=-1e30, le=1e30)]
Label = Annotated[str, Meta(min_length=1, max_length=200)]


class ConfigError(Exception):
    """
    The operator erred.

    @ivar faults: one line for each fault.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class StoreSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    C{[store]}: where readings are kept.

    @ivar path: the database; relative to the folder of the configuration file.
    @ivar commit_window: seconds that a reading waits at most to share a commit with others.
    @ivar retention: how long readings are kept, e.g. C{90d}; C{forever} keeps all.
    @ivar max_pending: readings that may wait for a commit; devices are slowed down before.
    @ivar max_quarantine: frames that the quarantine keeps; beyond that the oldest go, counted.
    """

    path: Annotated[str, Meta(min_length=1)] = "sensord.sqlite"
    commit_window: Annotated[float, Meta(ge=0, le=60)] = 0.005
    retention: str = "forever"
    max_pending: Annotated[int, Meta(ge=100, le=1_000_000_000)] = 200_000
    max_quarantine: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 10_000

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        return _wrong("retention", span, self.retention)


class ListenerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    C{[[listeners]]}: one way in.

    @ivar name: the first part of the addresses of its devices.
    @ivar wire: what is spoken there: one of L{WIRES}.
    @ivar listen: a Twisted endpoint string.
    @ivar max_connections: connections at a time; more are refused at once.
    @ivar idle_timeout: seconds without a complete frame after which a peer is disconnected;
        0 is never.
    @ivar allow: the networks that may connect, in CIDR form; empty is all.
    @ivar ack: whether each frame is answered, after its commit.
    @ivar backdate: for esp8266: C{corrected}, or C{original} to stamp as the first server did.
    """

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]+\Z", max_length=64)]
    wire: str
    listen: str
    max_connections: Count = 1000
    idle_timeout: Seconds = 60.0
    allow: tuple[str, ...] = ()
    ack: bool = False
    backdate: str = "corrected"

    @property
    def networks(self) -> list[Network]:
        """
        What L{allow} says, parsed.
        """
        return [_network(text) for text in self.allow]

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        if self.wire not in WIRES:
            known = ", ".join(WIRES)
            yield f'wire: "{self.wire}" is not one of {known}{meant(self.wire, WIRES)}'
        if self.backdate not in ("corrected", "original"):
            yield f'backdate: "{self.backdate}" is not one of corrected, original'
        for text in self.allow:
            yield from _wrong("allow", _network, text)


class ValueSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    One value of a device, C{raw * scale + offset} in C{unit}.

    @ivar name: what was measured.
    @ivar type: for binary formats, how it is packed: one of L{packing.CODES}.
    @ivar field: for formats that name their values themselves, the name on the wire; empty
        is the same.
    """

    name: Label
    type: str = ""
    field: str = ""
    scale: Factor = 1.0
    offset: Factor = 0.0
    unit: str = ""

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        if self.type and self.type not in tuple(packing.CODES):
            yield f'type: "{self.type}" is not one of {" ".join(packing.CODES)}'


class DeviceSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    C{[[devices]]}: who a wire address is, and what its values mean.

    @ivar address: C{<listener>/<id on the wire>}.
    @ivar name: empty is the address.
    @ivar tags: kept with each of its series.
    """

    address: Label
    name: Annotated[str, Meta(max_length=200)] = ""
    tags: dict[str, str] = {}
    values: tuple[ValueSettings, ...] = ()

    @property
    def label(self) -> str:
        """
        What its readings call it.
        """
        return self.name or self.address

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        if not re.fullmatch("[^/]+/.+", self.address):
            yield f'address: "{self.address}" is not of the form <listener>/<id>'
        if "/" in self.name:
            yield "name: a slash would make it look like an address"
        names = _twice(value.name for value in self.values)
        for name in names:
            yield f'values: the name "{name}" is used twice'
        for field in _twice(value.field or value.name for value in self.values):
            if field not in names:
                yield f'values: the field "{field}" is described twice'

    def clashes(self, wires: Mapping[str, str]) -> Iterable[str]:
        """
        What is wrong with it, given what its listener speaks.

        @param wires: the wire format of each listener.
        """
        listener, slash, id = self.address.partition("/")
        if not slash:
            return
        if listener not in wires:
            yield f'address: there is no listener "{listener}"{meant(listener, wires)}'
        elif wires[listener] == "esp8266":
            if id not in _IDS:
                yield f'address: "{id}" is no device id from 0 to 255'
            if not self.values:
                yield "values: is missing; packets do not say themselves what they contain"
            for value in self.values:
                if not value.type:
                    yield f'[[values]] "{value.name}" type: is missing'


class ThresholdSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    C{[[thresholds]]}: when a value is a warning or critical. The first table that fits counts.

    @ivar device: a device's name, with C{*} and C{?} as wildcards.
    @ivar name: a reading's name, likewise.
    @ivar warning: an operator and a number, e.g. C{>= 160}; empty is never.
    @ivar critical: likewise; it goes before C{warning}.
    """

    device: Label = "*"
    name: Label = "*"
    warning: str = ""
    critical: str = ""

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        for key, text in (("warning", self.warning), ("critical", self.critical)):
            if text:
                yield from _wrong(key, bound, text)


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    All of it.
    """

    store: StoreSettings = StoreSettings()
    listeners: tuple[ListenerSettings, ...] = (
        ListenerSettings("weather", "esp8266", "tcp:5001:interface=127.0.0.1"),
        ListenerSettings("poe", "poe", "tcp:1234:interface=127.0.0.1"),
    )
    devices: tuple[DeviceSettings, ...] = ()
    thresholds: tuple[ThresholdSettings, ...] = ()

    def faults(self) -> Iterable[str]:
        """
        What is wrong between the tables.
        """
        for name in _twice(listener.name for listener in self.listeners):
            yield f'[[listeners]] "{name}" name: is used twice'
        for address in _twice(device.address for device in self.devices):
            yield f'[[devices]] "{address}" address: is described twice'
        for name in _twice(device.name for device in self.devices if device.name):
            yield f'[[devices]] "{name}" name: is used twice'
        wires = {listener.name: listener.wire for listener in self.listeners}
        for device in self.devices:
            for fault in device.clashes(wires):
                yield f'[[devices]] "{device.label}" {fault}'


#: What the stock battery device measures: its packets are three u16.
STOCK = (
    ValueSettings("light", "H", unit="lx"),
    ValueSettings("humidity", "H", scale=0.0019073486328125, offset=-6.0, unit="%"),
    ValueSettings("temperature", "H", scale=0.0026812744140625, offset=-46.85, unit="°C"),
)

#: With no configuration file: everything on loopback, and the stock device is known.
DEFAULTS = Settings(devices=(DeviceSettings("weather/1", values=STOCK),))


def load(path: Path) -> Settings:
    """
    Read a configuration file.

    @raise ConfigError: with every fault in it, or when it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: {getattr(error, 'strerror', None) or error}"]) from error
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{path}: {error}"]) from error
    settings = parse(document, source=path.name)
    where = (path.parent / settings.store.path).as_posix()
    return structs.replace(settings, store=structs.replace(settings.store, path=where))


def parse(document: Mapping[str, Any], source: str = "settings") -> Settings:
    """
    Make settings of plain tables, shaped as in the file.

    @param source: what to call the document in faults.
    @raise ConfigError: with every fault in it.
    """
    faults: list[str] = []
    settings = build(document, Settings, faults)
    if faults or settings is None:
        raise ConfigError([f"{source}: {fault}" for fault in faults])
    return settings


def dump(settings: Settings) -> str:
    """
    The settings as a TOML text that L{load} takes.
    """
    return tomli_w.dumps(to_builtins(settings))


def span(text: str) -> float | None:
    """
    The seconds of a time span such as C{90d}; L{None} for C{forever}.

    @raise ValueError: if it is neither.
    """
    if text == "forever":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([smhdwy])", text)
    if not match:
        raise ValueError(f'"{text}" is no time span; write e.g. "90d", "12h" or "forever"')
    return float(match[1]) * _SPANS[match[2]]


def bound(text: str) -> tuple[str, float]:
    """
    The operator and the number of a threshold such as C{>= 160}.

    @raise ValueError: if it is none.
    """
    match = re.fullmatch(r"\s*(<=|>=|==|<|>)\s*(-?\d+(?:\.\d+)?)\s*", text)
    if not match:
        raise ValueError(f'"{text}" is no bound; write e.g. ">= 160", "< 5" or "== 0"')
    return match[1], float(match[2])


def _network(text: str) -> Network:
    return ip_network(text, strict=False)


def _twice(names: Iterable[str]) -> list[str]:
    """
    The names that occur more than once.
    """
    names = list(names)
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def _wrong(key: str, check: Callable[[str], object], text: str) -> Iterable[str]:
    """
    What a check of one text has to say against it.
    """
    try:
        check(text)
    except ValueError as error:
        yield f"{key}: {error}"

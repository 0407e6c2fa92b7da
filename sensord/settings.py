"""
What can be configured beside the listeners: frozen structs, and the small notations in their texts.
"""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from sensord.wire import packing

_SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31557600}

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(ge=0, le=31557600)]
Factor = Annotated[float, Meta(ge=-1e30, le=1e30)]
Label = Annotated[str, Meta(min_length=1, max_length=200)]


class Secret:
    """
    A text that nobody is to see: neither in a log, nor on a page, nor among the settings shown.

    @ivar text: the text itself; empty without one.
    """

    __slots__ = ("text",)

    def __init__(self, text: str = "") -> None:
        self.text = text

    def __repr__(self) -> str:
        return "Secret(hidden)" if self.text else "Secret()"

    def __bool__(self) -> bool:
        return bool(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


def secret(value: object, folder: Path) -> Secret:
    """
    The secret that a setting means: a text, C{{ file = "..." }} or C{{ env = "..." }}.

    @param folder: what the name of a file is relative to.
    @raise ValueError: if there is none.
    """
    if isinstance(value, str):
        return Secret(value)
    match value:
        case {"file": str(name), **rest} if not rest:
            try:
                return Secret((folder / name).read_text(encoding="utf-8").strip())
            except (OSError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or "no text"
                raise ValueError(f"{folder / name}: {why}") from error
        case {"env": str(name), **rest} if not rest:
            if name not in os.environ:
                raise ValueError(f"there is no {name} in the environment")
            return Secret(os.environ[name])
    raise ValueError('expected a text, { file = "..." } or { env = "..." }')


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
        return wrong("retention", span, self.retention)


class ValueSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    One value of a device, C{raw * scale + offset} in C{unit}.

    @ivar name: what was measured.
    @ivar type: for binary formats, how it is packed: one of L{packing.CODES}.
    @ivar field: for formats that name their values themselves, the name on the wire; for lines the
        place, from 1 on. Empty is C{name}, or the place in the description.
    @ivar scale: what the number on the wire is multiplied by.
    @ivar offset: what is added to that.
    @ivar unit: what it is measured in, e.g. C{°C}; empty if that is unknown.
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
        yield from _code(self.type)


class TransmitSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    One value that a radio node receives, C{(value - offset) / scale} in its frame.

    @ivar name: the variable of a command.
    @ivar type: how it is packed: one of L{packing.CODES}.
    @ivar scale: what the number in the frame is multiplied by, as in L{ValueSettings}.
    @ivar offset: what is added to that.
    """

    name: Label
    type: str = "h"
    scale: Factor = 1.0
    offset: Factor = 0.0

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        yield from _code(self.type) if self.type else ["type: is empty"]
        if self.scale == 0:
            yield "scale: nothing can be divided by 0"


class DeviceSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    C{[[devices]]}: who a wire address is, and what its values mean.

    @ivar address: C{<listener>/<id on the wire>}.
    @ivar name: empty is the address.
    @ivar tags: kept with each of its series.
    @ivar values: what its values are called and mean.
    @ivar whitening: for radio nodes: whether every byte is XORed with 0x55.
    @ivar transmit: for radio nodes: what they receive, in the order of the frame.
    @ivar sleeps: for radio nodes: whether one listens only right after it has sent something.
    @ivar interval: seconds between what it sends, after a multiple of which it is overdue; 0 is
        what it says itself, or what is learned.
    """

    address: Label
    name: Annotated[str, Meta(max_length=200)] = ""
    tags: dict[str, str] = {}
    values: tuple[ValueSettings, ...] = ()
    whitening: bool = False
    transmit: tuple[TransmitSettings, ...] = ()
    sleeps: bool = False
    interval: Seconds = 0.0

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
        if self.name == "all":
            yield 'name: "all" means all devices'
        names = twice(value.name for value in self.values)
        for name in names:
            yield f'values: the name "{name}" is used twice'
        for field in twice(value.field or value.name for value in self.values):
            if field not in names:
                yield f'values: the field "{field}" is described twice'
        for name in twice(value.name for value in self.transmit):
            yield f'transmit: the name "{name}" is used twice'


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
                yield from wrong(key, bound, text)


class CommandSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    C{[commands]}: what becomes of values that are sent down to devices.

    @ivar ttl: how long a command waits for a device that is away, e.g. C{1d}.
    @ivar max_waiting: commands that may wait for one device.
    """

    ttl: str = "1d"
    max_waiting: Annotated[int, Meta(ge=1, le=10_000)] = 100

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        return wrong("ttl", span, self.ttl)


class ControlSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    C{[control]}: where the toolbox reaches the daemon.

    @ivar socket: a UNIX socket, relative to the folder of the database; empty is none.
    """

    socket: str = "sensord.sock"

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        if "\0" in self.socket:
            yield "socket: has a NUL in it"


class RemoteSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    C{[remote]}: settings that come from elsewhere, with C{--config-emoncms}.

    @ivar confirm: seconds in which a change has to prove itself: if no listener is up then, no
        device was heard or no sink is moving, although that was so before, it is taken back. 0 is
        to trust it.
    """

    confirm: Seconds = 60.0


class ManholeSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    C{[manhole]}: the admin shell, by SSH. Paths are relative to the folder of the configuration
    file.

    @ivar listen: a Twisted endpoint string.
    @ivar authorized_keys: who may come in, in the format of OpenSSH.
    @ivar host_key: the key of the host; it is made if it is not there.
    """

    listen: str = "tcp:5022:interface=127.0.0.1"
    authorized_keys: str = "authorized_keys"
    host_key: str = "manhole_key"


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


def twice(names: Iterable[str]) -> list[str]:
    """
    The names that occur more than once.
    """
    names = list(names)
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def wrong(key: str, check: Callable[[str], object], text: str) -> Iterable[str]:
    """
    What a check of one text has to say against it.
    """
    try:
        check(text)
    except ValueError as error:
        yield f"{key}: {error}"


def oneOf(key: str, text: str, known: Iterable[str]) -> Iterable[str]:
    """
    A fault if a text is none of those that are known.
    """
    if text not in (known := tuple(known)):
        yield f'{key}: "{text}" is not one of {", ".join(known)}'


def _code(type: str) -> Iterable[str]:
    if type and type not in tuple(packing.CODES):
        yield f'type: "{type}" is not one of {" ".join(packing.CODES)}'

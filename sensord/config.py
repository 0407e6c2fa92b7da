"""
The configuration: TOML in, frozen structs out. Every fault is found in one go, and each is one
line that names the file, the table and the key.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import tomli_w
from msgspec import Struct, structs, to_builtins

from sensord import outlets, wires
from sensord.hubs.settings import HubsSettings
from sensord.listeners import ListenerSettings
from sensord.outlets import CsvSettings, MqttSettings, SinkSettings
from sensord.pushes import mountFaults
from sensord.settings import (
    CommandSettings,
    ControlSettings,
    DeviceSettings,
    ManholeSettings,
    RemoteSettings,
    Secret,
    StoreSettings,
    ThresholdSettings,
    ValueSettings,
    oneOf,
    secret,
    twice,
)
from sensord.tables import Choices, build, meant
from sensord.web.settings import WebSettings
from sensord.wires import (
    FrameSettings,
    LineSettings,
    MessageSettings,
    PacketSettings,
    SubscriberSettings,
)

S = TypeVar("S", bound=Struct)


class ConfigError(Exception):
    """
    The operator erred.

    @ivar faults: one line for each fault.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    All of it.

    @ivar watch: whether a file of it that has changed is read again at once.
    @ivar tags: kept with each series; those of its device go before them.
    """

    store: StoreSettings = StoreSettings()
    listeners: tuple[ListenerSettings, ...] = (
        PacketSettings("weather", "esp8266", "tcp:5001:interface=127.0.0.1"),
        FrameSettings("poe", "poe", "tcp:1234:interface=127.0.0.1"),
        LineSettings("lines", "lines", "tcp:50011:interface=127.0.0.1"),
        MessageSettings("pages", "websocket", "tcp:4444:interface=127.0.0.1"),
    )
    devices: tuple[DeviceSettings, ...] = ()
    thresholds: tuple[ThresholdSettings, ...] = ()
    sinks: tuple[SinkSettings, ...] = ()
    watch: bool = False
    tags: dict[str, str] = {}
    commands: CommandSettings = CommandSettings()
    control: ControlSettings = ControlSettings()
    remote: RemoteSettings = RemoteSettings()
    web: WebSettings | None = None
    manhole: ManholeSettings | None = None
    hubs: HubsSettings | None = None

    def faults(self) -> Iterable[str]:
        """
        What is wrong between the tables.
        """
        for one in self.listeners:
            for fault in oneOf("wire", one.wire, wires.WIRES):
                yield f'[[listeners]] "{one.name}" {fault}{meant(one.wire, wires.WIRES)}'
        for name in twice(listener.name for listener in self.listeners):
            yield f'[[listeners]] "{name}" name: is used twice'
        for name in twice(sink.name for sink in self.sinks):
            yield f'[[sinks]] "{name}" name: is used twice'
        for folder in twice(one.folder for one in self.sinks if isinstance(one, CsvSettings)):
            yield f'[[sinks]] folder: "{folder}" is used twice; they would cut each other\'s rows'
        for address in twice(device.address for device in self.devices):
            yield f'[[devices]] "{address}" address: is described twice'
        for name in twice(device.name for device in self.devices if device.name):
            yield f'[[devices]] "{name}" name: is used twice'
        yield from mountFaults(self.listeners, self.web)
        listeners = {listener.name: listener for listener in self.listeners}
        for device in self.devices:
            name, slash, id = device.address.partition("/")
            if name in listeners:
                clashes = listeners[name].clashes(id, device)
            elif slash and self.hubs is not None:
                clashes = self.hubs.clashes(name, id, device)
            elif slash:
                clashes = [f'address: there is no listener "{name}"{meant(name, listeners)}']
            else:
                clashes = []
            for fault in clashes:
                yield f'[[devices]] "{device.label}" {fault}'


#: Tables that become one struct of several.
_CHOICES: Choices = {ListenerSettings: wires.choose, SinkSettings: outlets.choose}

#: What the stock battery device measures: its packets are three u16.
STOCK = (
    ValueSettings("light", "H", unit="lx"),
    ValueSettings("humidity", "H", scale=0.0019073486328125, offset=-6.0, unit="%"),
    ValueSettings("temperature", "H", scale=0.0026812744140625, offset=-46.85, unit="°C"),
)

#: With no configuration file: everything on loopback, the page too, and the stock device is known.
DEFAULTS = Settings(devices=(DeviceSettings("weather/1", values=STOCK),), web=WebSettings())


class _Additions(Struct, frozen=True, forbid_unknown_fields=True):
    """
    What a file in the folder L{ADDITIONS} may have.
    """

    devices: tuple[DeviceSettings, ...] = ()


#: The folder beside the configuration file whose C{*.toml} describe further devices, each in a file
#: of its own as the page writes it.
ADDITIONS = "devices.d"


def load(path: Path) -> Settings:
    """
    Read a configuration file, and the descriptions in the folder beside it.

    @raise ConfigError: with every fault in it, or when it cannot be read.
    """
    settings = parse(read(path), path.name, path.parent)
    return located(extended(settings, path.parent / ADDITIONS), path.parent)


def standard(settings: Settings, folder: Path) -> Settings:
    """
    Settings that hold without a configuration file, and what is described in the folder
    L{ADDITIONS}, which goes before what they describe themselves.

    @param folder: where the configuration file would be.
    @raise ConfigError: with every fault in those descriptions.
    """
    bare = extended(structs.replace(settings, devices=()), folder / ADDITIONS)
    taken = {one.address for one in bare.devices} | {one.name for one in bare.devices}
    stock = (one for one in settings.devices if not taken & {one.address, one.label})
    return structs.replace(bare, devices=(*stock, *bare.devices))


def extended(settings: Settings, folder: Path) -> Settings:
    """
    The same settings, and all devices that are described in a folder.

    @raise ConfigError: with every fault in its files.
    """
    faults: list[str] = []
    added: list[tuple[str, tuple[DeviceSettings, ...]]] = []
    for path in additions(folder):
        source, found = f"{folder.name}/{path.name}", list[str]()
        if not path.is_file():  # a pipe would keep us waiting
            faults.append(f"{source}: is no file")
            continue
        if (one := build(read(path), _Additions, found)) is not None and not found:
            added.append((source, one.devices))
        faults += (f"{source}: {fault}" for fault in found)
    whole = _with(settings, *(devices for _source, devices in added))
    if any(whole.faults()):  # which of the files is it?
        for source, devices in added:
            known = set(settings.faults())
            settings = _with(settings, devices)
            faults += (f"{source}: {fault}" for fault in settings.faults() if fault not in known)
    if faults:
        raise ConfigError(faults)
    return whole


def _with(settings: Settings, *added: tuple[DeviceSettings, ...]) -> Settings:
    return structs.replace(settings, devices=(*settings.devices, *chain.from_iterable(added)))


def additions(folder: Path) -> list[Path]:
    """
    The files with further descriptions.

    @raise ConfigError: if the folder is there and cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigError([f"{folder}: {error.strerror or error}"]) from error


def read(path: Path) -> dict[str, Any]:
    """
    The tables of a TOML file.

    @raise ConfigError: if it cannot be read, or is none.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError([f"{path}: {getattr(error, 'strerror', None) or error}"]) from error


def located(settings: Settings, folder: Path) -> Settings:
    """
    The same settings, with files that are looked for in a folder, unless their names are absolute.
    """
    store = structs.replace(settings.store, path=(folder / settings.store.path).as_posix())
    return structs.replace(
        settings,
        store=store,
        manhole=None if settings.manhole is None else _located(settings.manhole, folder),
        sinks=tuple(_located(sink, folder) for sink in settings.sinks),
        listeners=tuple(_located(listener, folder) for listener in settings.listeners),
        hubs=None if settings.hubs is None else _located(settings.hubs, folder),
    )


#: The settings that are names of files.
_FILES: dict[type[Struct], tuple[str, ...]] = {
    CsvSettings: ("folder",),
    MqttSettings: ("ca", "cert", "key"),
    SubscriberSettings: ("ca", "cert", "key", "registry"),
    ManholeSettings: ("authorized_keys", "host_key"),
    HubsSettings: ("ca", "cert", "key", "folder"),
}


def _located(table: S, folder: Path) -> S:
    """
    A table whose files are looked for in a folder.
    """
    files = {name: getattr(table, name) for name in _FILES.get(type(table), ())}
    found = {name: (folder / file).as_posix() for name, file in files.items() if file}
    return structs.replace(table, **found)


def parse(document: Mapping[str, Any], source: str = "settings", folder: Path = Path()) -> Settings:
    """
    Make settings of plain tables, shaped as in the file.

    @param source: what to call the document in faults.
    @param folder: what the files of secrets are relative to.
    @raise ConfigError: with every fault in it.
    """
    faults: list[str] = []
    settings = build(document, Settings, faults, special=_special(folder), choices=_CHOICES)
    if faults or settings is None:
        raise ConfigError([f"{source}: {fault}" for fault in faults])
    return settings


def dump(settings: Settings, revealed: bool = False) -> str:
    """
    The settings as a TOML text that L{load} takes, but for its secrets, which are hidden.

    @param revealed: whether they are not.
    """
    shown = to_builtins(settings, enc_hook=_reveal if revealed else _hide)
    return tomli_w.dumps(_present(shown))


def _special(folder: Path) -> Callable[[type, object], object]:
    """
    What makes the values that TOML has no type for.
    """

    def make(kind: type, value: object) -> object:
        if kind is Secret:
            return secret(value, folder)
        raise NotImplementedError(kind)

    return make


def _hide(value: object) -> object:
    if isinstance(value, Secret):
        return "(hidden)" if value else ""
    raise NotImplementedError(type(value))


def _reveal(value: object) -> object:
    if isinstance(value, Secret):
        return value.text
    raise NotImplementedError(type(value))


def _present(value: Any) -> Any:
    """
    Tables without what is not there: TOML has no word for nothing.
    """
    if isinstance(value, dict):
        return {key: _present(inner) for key, inner in value.items() if inner is not None}
    return [_present(inner) for inner in value] if isinstance(value, list | tuple) else value

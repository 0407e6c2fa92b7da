"""
What the process of a hub is configured to do, made of the settings of its manager.
"""

import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import structs

from sensord.brokers import BrokerSettings
from sensord.config import ConfigError, Settings, dump, located, parse
from sensord.hubs.settings import HubsSettings, Quota, topic
from sensord.ids import idFault
from sensord.outlets import CsvSettings, MqttSettings, SinkSettings
from sensord.settings import ControlSettings
from sensord.wires import SubscriberSettings


def plan(settings: Settings, group: str, hub: str, quota: Quota) -> Settings:
    """
    The settings of a hub. Its own files lie beside the one that these are written to; all others
    have absolute names.

    @param settings: the manager's.
    @raise ValueError: if the group or the hub is called something that no group or hub can be.
    """
    for kind, id in (("group", group), ("hub", hub)):
        for fault in idFault(kind, id):
            raise ValueError(fault)
    settings = located(settings, Path.cwd())
    assert settings.hubs is not None
    return Settings(
        store=structs.replace(settings.store, path=f"{hub}.sqlite"),
        listeners=(_listener(settings.hubs, hub, quota),),
        devices=tuple(one for one in settings.devices if one.address.startswith(f"{hub}/")),
        thresholds=settings.thresholds,
        sinks=tuple(_sink(sink, group, hub) for sink in settings.sinks),
        tags={**settings.tags, "group": group, "hub": hub},
        commands=settings.commands,
        control=ControlSettings(f"{hub}.sock"),
    )


def text(settings: Settings, group: str, hub: str, quota: Quota) -> bytes:
    """
    The configuration file of a hub. It has secrets in it.

    @raise ValueError: as L{plan}, or if a secret is no text.
    """
    made = dump(plan(settings, group, hub, quota), revealed=True)
    return f"# Made by the hub manager, which writes it again at each start.\n\n{made}".encode()


def own(settings: Settings) -> Settings:
    """
    The settings of the manager's own gateway, which does not know the devices of hubs.
    """
    if settings.hubs is None:
        return settings
    names = {listener.name for listener in settings.listeners}
    ours = (one for one in settings.devices if one.address.partition("/")[0] in names)
    return structs.replace(settings, devices=tuple(ours))


def faults(settings: Settings) -> Iterable[str]:
    """
    What would keep hubs from running, as far as it shows before there are any.
    """
    hubs = settings.hubs
    assert hubs is not None
    yield from (f"[hubs] folder: {hubs.folder}: {why}" for why in _shut(Path(hubs.folder)))
    group = hubs.groups[0].name if hubs.groups else "group"
    quota = hubs.quota(group)
    assert quota is not None
    try:
        made = text(settings, group, "hub", quota).decode()
        parse(tomllib.loads(made), "[hubs] a hub would have")
    except ConfigError as error:
        yield from error.faults
    except ValueError as error:
        yield f"[hubs] {error}"


def _listener(hubs: HubsSettings, hub: str, quota: Quota) -> SubscriberSettings:
    """
    The only way into a hub: its devices', and no others.
    """
    broker: dict[str, Any] = structs.asdict(BrokerSettings.of(hubs))
    broker["client_id"] = f"{hubs.client_id or 'sensord-hub'}-{hub}"
    return SubscriberSettings(
        hub,
        "mqtt",
        topic(hub),
        registry=f"{hub}.devices.json",
        max_devices=quota.max_devices,
        max_rate=quota.max_rate,
        **broker,
    )


def _sink(sink: SinkSettings, group: str, hub: str) -> SinkSettings:
    """
    One of the manager's sinks, as a hub has it. Where tags make no difference, the place does.
    """
    match sink:
        case CsvSettings():
            return structs.replace(sink, folder=f"{sink.folder}/{group}/{hub}")
        case MqttSettings():
            return structs.replace(sink, prefix=f"{sink.prefix}/{group}/{hub}", client_id="")
    return sink


def _shut(folder: Path) -> Iterable[str]:
    """
    Why nothing can be written in a folder, which need not be there yet.
    """
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        yield "is no folder" if there == folder.absolute() else f"{there} is no folder"
    elif not os.access(there, os.W_OK | os.X_OK):
        yield "nothing can be written there"

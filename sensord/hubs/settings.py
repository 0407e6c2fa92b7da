"""
What can be configured of the hub manager.
"""

from collections.abc import Iterable
from math import inf
from typing import Annotated

from msgspec import Meta, Struct

from sensord.brokers import BrokerSettings
from sensord.ids import idFault
from sensord.settings import DeviceSettings, Secret, span, twice, wrong
from sensord.wires import SubscriberSettings

_Hubs = Annotated[int, Meta(ge=1, le=10_000)]
_Memory = Annotated[int, Meta(ge=1, le=1_000_000)]
_Rate = Annotated[float, Meta(ge=0, le=1e6)]
_Devices = Annotated[int, Meta(ge=1, le=1_000_000)]


class Quota(Struct, frozen=True):
    """
    What a group may have; see L{HubsSettings}.
    """

    max_hubs: int
    max_memory: int
    max_rate: float
    max_devices: int


class GroupSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    C{[[hubs.groups]]}: a customer, with quotas in place of those of L{HubsSettings}.

    @ivar name: what its hubs are started with.
    """

    name: str
    max_hubs: _Hubs | None = None
    max_memory: _Memory | None = None
    max_rate: _Rate | None = None
    max_devices: _Devices | None = None

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        for fault in idFault("group", self.name):
            yield f"name: {fault}"


class HubsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    C{[hubs]}: many hubs, each with a process of its own. For the settings of the connection, which
    the hubs have too, see L{BrokerSettings}.

    The quotas are those of each hub. All of a group together is bounded by C{max_hubs} times what
    one hub may have.

    @ivar client_id: the hubs' are made of it, with a hyphen and the hub behind it. Empty are names
        that are the same after a restart.
    @ivar folder: where the hubs have their files; relative to the folder of the configuration file.
    @ivar max_hubs: hubs that one group may have.
    @ivar max_memory: resident memory of one hub's process, in MB. One that has more is ended, and
        started anew.
    @ivar max_rate: messages a second that one hub takes; more are left to the broker. 0 is no
        limit.
    @ivar max_devices: devices that one hub may have.
    @ivar crashes: how often a hub may end by itself within a time. One that does so more often is
        left alone until somebody starts it.
    @ivar within: that time, e.g. C{10m}.
    @ivar groups: the groups that there may be; none is any.
    """

    broker: str = "tcp:localhost:1883"
    user: str = ""
    password: Secret = Secret()
    ca: str = ""
    cert: str = ""
    key: str = ""
    client_id: Annotated[str, Meta(max_length=100)] = ""
    keepalive: Annotated[int, Meta(ge=5, le=65535)] = 60
    version: str = "5"
    folder: Annotated[str, Meta(min_length=1)] = "hubs"
    max_hubs: _Hubs = 20
    max_memory: _Memory = 256
    max_rate: _Rate = 1000.0
    max_devices: _Devices = 1000
    crashes: Annotated[int, Meta(ge=0, le=1_000_000)] = 10
    within: str = "10m"
    groups: tuple[GroupSettings, ...] = ()

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        yield from BrokerSettings.of(self).faults()
        yield from wrong("within", span, self.within)
        for name in twice(group.name for group in self.groups):
            yield f'[[groups]] "{name}" name: is used twice'

    @property
    def period(self) -> float:
        """
        The seconds that L{within} means.
        """
        seconds = span(self.within)
        return inf if seconds is None else seconds

    def quota(self, group: str) -> Quota | None:
        """
        What a group may have; L{None} if there is to be no such group.
        """
        listed = {one.name: one for one in self.groups}
        if listed and group not in listed:
            return None
        own = listed.get(group)
        given = {
            name: getattr(self, name) if (value := getattr(own, name, None)) is None else value
            for name in Quota.__struct_fields__
        }
        return Quota(**given)

    def clashes(self, hub: str, id: str, device: DeviceSettings) -> Iterable[str]:
        """
        What is wrong with the description of a device of one of the hubs.

        @param hub: the first part of the device's address.
        @param id: the second part.
        """
        for fault in idFault("hub", hub):
            yield f"address: {fault}"
            return
        yield from SubscriberSettings(hub, "mqtt", topic(hub)).clashes(id, device)


def topic(hub: str) -> str:
    """
    Where the devices of a hub say something.
    """
    return f"/{hub}/{{device}}/data"

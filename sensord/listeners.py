"""
What all listeners have in common, and those that devices connect to.
"""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

from sensord.notations import Network, network
from sensord.settings import Count, DeviceSettings, Seconds, wrong


class ListenerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    C{[[listeners]]}: one way in.

    @ivar name: the first part of the addresses of its devices.
    @ivar wire: what is spoken there: one of L{WIRES<sensord.wires.WIRES>}.
    """

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]+\Z", max_length=64)]
    wire: str

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        return ()

    def clashes(self, id: str, device: DeviceSettings) -> Iterable[str]:
        """
        What is wrong with the description of one of its devices.

        @param id: the second part of the device's address.
        """
        if device.whitening or device.transmit or device.sleeps:
            yield "whitening, transmit, sleeps: are for radio nodes"


class DoorSettings(ListenerSettings, frozen=True):
    """
    A listener that devices connect to.

    @ivar listen: a Twisted endpoint string.
    @ivar max_connections: connections at a time; more are refused at once.
    @ivar idle_timeout: seconds without a complete frame after which a peer is disconnected;
        0 is never.
    @ivar allow: the networks that may connect, in CIDR form; empty is all.
    """

    listen: str
    max_connections: Count = 1000
    idle_timeout: Seconds = 60.0
    allow: tuple[str, ...] = ()

    @property
    def networks(self) -> list[Network]:
        """
        What L{allow} says, parsed.
        """
        return [network(text) for text in self.allow]

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        yield from super().faults()
        for text in self.allow:
            yield from wrong("allow", network, text)


class PortSettings(DoorSettings, frozen=True):
    """
    One to which they send frames.

    @ivar ack: whether each frame is answered, after its commit.
    """

    ack: bool = False

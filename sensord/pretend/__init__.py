"""
What each kind of pretend device is like: when it sends, what it measures, how it fails, what it
understands. A fleet (L{sensord.simulate}) has many of them.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred

from sensord.pretend.arduino import Arduino
from sensord.pretend.battery import Battery
from sensord.pretend.meter import Meter
from sensord.pretend.microcontroller import Microcontroller
from sensord.pretend.node import IDS
from sensord.pretend.radio import Radio
from sensord.pretend.reporter import Reporter

if TYPE_CHECKING:
    from sensord.simulate import Fleet


class Member(Protocol):
    """
    One of a fleet.
    """

    def start(self, phase: float) -> None:
        """
        Begin.

        @param phase: how much of the period to wait first, from 0 to 1.
        """

    def stop(self) -> Deferred[None]:
        """
        End.

        @return: fires when nothing is open any more.
        """


class Kind(Struct, frozen=True):
    """
    A kind of device.

    @ivar make: makes the one with a number, from 1 on.
    @ivar brief: what they are, for people.
    @ivar usual: how many there are, unless told otherwise.
    @ivar most: how many there can be.
    @ivar rate: messages per second from each, unless told otherwise.
    @ivar target: where they send, unless told otherwise. It is empty for those that do not connect:
        they are behind a device file, and the first stands for all of them.
    """

    make: Callable[["Fleet", int], Member]
    brief: str
    usual: int
    most: int
    rate: float
    target: str = ""


#: The kind of device that speaks each wire format. As many connections as there are ports reach one
#: address; PoE Arduinos come from an address each, so there can be more of them.
DEVICES: dict[str, Kind] = {
    "poe": Kind(Arduino, "PoE Arduinos", 10, 60_000, 10.5, "tcp:127.0.0.1:1234"),
    "esp8266": Kind(Battery, "battery ESP8266s", 10, 255, 0.1, "tcp:127.0.0.1:5001"),
    "lines": Kind(Meter, "meters that write lines", 10, 20_000, 0.2, "tcp:127.0.0.1:50011"),
    "websocket": Kind(
        Microcontroller, "microcontrollers with an LED", 10, 20_000, 1 / 3, "tcp:127.0.0.1:4444"
    ),
    "http": Kind(Reporter, "boards that push by HTTP", 10, 20_000, 0.2, "tcp:127.0.0.1:8080"),
    "rfm2pi": Kind(Radio, "nodes behind a radio module", 4, len(IDS), 0.1),
}

"""
The wire formats that a listener can speak: the settings of such a listener, and the parser.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from string import Formatter
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from sensord.settings import Count, DeviceSettings, Seconds, Secret, oneOf, twice, wrong
from sensord.tables import meant
from sensord.wire import Parser, esp8266, lines, poe, rfm2pi, websocket

Network = IPv4Network | IPv6Network

#: Ids as they are written, of ESP8266 devices and of radio nodes.
_BYTES = {str(id) for id in range(256)}
_NODES = {str(id) for id in range(32)}

#: What a command's text may be made of.
_PARTS = ("id", "variable", "value")


class ListenerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    C{[[listeners]]}: one way in.

    @ivar name: the first part of the addresses of its devices.
    @ivar wire: what is spoken there: one of L{WIRES}.
    """

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]+\Z", max_length=64)]
    wire: str

    @staticmethod
    def choose(table: Mapping[str, Any]) -> "type[ListenerSettings]":
        """
        The struct for a table, by what it calls its wire; if that is none, by what it may mean.
        """
        said = str(table.get("wire", ""))
        near = get_close_matches(said, WIRES, 1)
        return WIRES[said if said in WIRES else near[0]].settings if near else PortSettings

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        for fault in oneOf("wire", self.wire, WIRES):
            yield fault + meant(self.wire, WIRES)

    def clashes(self, id: str, device: DeviceSettings) -> Iterable[str]:
        """
        What is wrong with the description of one of its devices.

        @param id: the second part of the device's address.
        """
        if device.whitening or device.transmit or device.sleeps:
            yield "whitening, transmit, sleeps: are for radio nodes"


class PortSettings(ListenerSettings, frozen=True):
    """
    A listener that devices connect to.

    @ivar listen: a Twisted endpoint string.
    @ivar max_connections: connections at a time; more are refused at once.
    @ivar idle_timeout: seconds without a complete frame after which a peer is disconnected;
        0 is never.
    @ivar allow: the networks that may connect, in CIDR form; empty is all.
    @ivar ack: whether each frame is answered, after its commit.
    """

    listen: str
    max_connections: Count = 1000
    idle_timeout: Seconds = 60.0
    allow: tuple[str, ...] = ()
    ack: bool = False

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
        yield from super().faults()
        for text in self.allow:
            yield from wrong("allow", _network, text)


class PacketSettings(PortSettings, frozen=True):
    """
    C{wire = "esp8266"}.

    @ivar backdate: C{corrected}, or C{original} to stamp as the first server did.
    """

    backdate: str = "corrected"

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        yield from super().faults()
        yield from oneOf("backdate", self.backdate, ("corrected", "original"))

    def clashes(self, id: str, device: DeviceSettings) -> Iterable[str]:
        """
        See L{ListenerSettings.clashes}.
        """
        yield from super().clashes(id, device)
        if id not in _BYTES:
            yield f'address: "{id}" is no device id from 0 to 255'
        if not device.values:
            yield "values: is missing; packets do not say themselves what they contain"
        for value in device.values:
            if not value.type:
                yield f'[[values]] "{value.name}" type: is missing'


class FrameSettings(PortSettings, frozen=True):
    """
    C{wire = "poe"}.

    @ivar command: the text that is sent down for a command, made of C{{id}}, C{{variable}} and
        C{{value}}; empty if these devices take none.
    """

    command: str = ""

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        yield from super().faults()
        yield from _template(self.command)

    def clashes(self, id: str, device: DeviceSettings) -> Iterable[str]:
        """
        See L{ListenerSettings.clashes}.
        """
        yield from super().clashes(id, device)
        if id != "local" and any(wrong("address", ip_address, id)):
            yield f'address: "{id}" is no network address, by which PoE devices are known'


class LineSettings(PortSettings, frozen=True):
    """
    C{wire = "lines"}.

    @ivar key: 32 characters that each line must contain; empty is none.
    @ivar timestamped: whether each line begins with a Unix time.
    @ivar command: see L{FrameSettings}.
    """

    key: Secret = Secret()
    timestamped: bool = False
    command: str = ""

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        yield from super().faults()
        yield from _key(self.key)
        yield from _template(self.command)

    def clashes(self, id: str, device: DeviceSettings) -> Iterable[str]:
        """
        See L{ListenerSettings.clashes}.
        """
        yield from super().clashes(id, device)
        yield from _number(id)
        yield from _places(device)


class MessageSettings(PortSettings, frozen=True):
    """
    C{wire = "websocket"}.

    @ivar path: where the devices connect.
    @ivar origins: the pages that may connect from a browser, e.g. C{https://example.org}; empty is
        all.
    @ivar token: what each client must show; empty is nothing.
    @ivar columns: the names of the fields behind the id; those beyond are C{3}, C{4} and so on.
    @ivar variables: the names of what can be set, the first being number 1.
    """

    path: Annotated[str, Meta(pattern="^/")] = "/ws"
    origins: tuple[str, ...] = ()
    token: Secret = Secret()
    columns: tuple[str, ...] = ("counter", "temperature")
    variables: tuple[str, ...] = ("LED",)

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        yield from super().faults()
        for key, names in (("columns", self.columns), ("variables", self.variables)):
            if "" in names:
                yield f"{key}: one of them has no name"
            yield from (f'{key}: "{name}" is named twice' for name in twice(names))

    def clashes(self, id: str, device: DeviceSettings) -> Iterable[str]:
        """
        See L{ListenerSettings.clashes}.
        """
        yield from super().clashes(id, device)
        yield from _number(id)
        for value in device.values:
            column = value.field or value.name
            if column not in self.columns and not column.isdecimal():
                guess = meant(column, self.columns)
                yield f'[[values]] "{value.name}" field: there is no column "{column}"{guess}'


class SerialSettings(ListenerSettings, frozen=True):
    """
    C{wire = "serial"}: a device on a serial port that sends lines.

    @ivar port: the device file.
    @ivar baud: bits per second.
    @ivar timestamped: see L{LineSettings}.
    @ivar command: see L{FrameSettings}.
    """

    port: Annotated[str, Meta(min_length=1)]
    baud: Count = 9600
    timestamped: bool = False
    command: str = ""

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        yield from super().faults()
        yield from _template(self.command)

    def clashes(self, id: str, device: DeviceSettings) -> Iterable[str]:
        """
        See L{ListenerSettings.clashes}.
        """
        yield from super().clashes(id, device)
        yield from _number(id)
        yield from _places(device)


class RadioSettings(ListenerSettings, frozen=True):
    """
    C{wire = "rfm2pi"}: a radio module on a serial port.

    @ivar port: the device file.
    @ivar baud: bits per second.
    @ivar group: the network that the nodes are in; 0 is all.
    @ivar frequency: megahertz.
    @ivar base_id: the node that the module itself is.
    @ivar quiet: whether the module keeps frames with errors for itself.
    @ivar time_interval: seconds between two broadcasts of the time; 0 is never.
    @ivar transmit: how a node is addressed: C{emonhub} puts its id into the first byte of a
        broadcast, C{direct} sends to it.
    @ivar repeater: an endpoint; what is written there goes out by radio. Empty is none.
    """

    port: Annotated[str, Meta(min_length=1)]
    baud: Count = 38400
    group: Annotated[int, Meta(ge=0, le=250)] = 210
    frequency: Literal[433, 868, 915] = 433
    base_id: Annotated[int, Meta(ge=1, le=31)] = 15
    quiet: bool = True
    time_interval: Seconds = 0.0
    transmit: str = "emonhub"
    repeater: str = ""

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        yield from super().faults()
        yield from oneOf("transmit", self.transmit, ("emonhub", "direct"))
        if 0 < self.time_interval < 1:
            yield "time_interval: less than a second would leave no time for anything else"

    def clashes(self, id: str, device: DeviceSettings) -> Iterable[str]:
        """
        See L{ListenerSettings.clashes}.
        """
        if id not in _NODES:
            yield f'address: "{id}" is no node id from 0 to 31'
        for value in device.values:
            if value.field:
                yield f'[[values]] "{value.name}" field: the order says what a value is'


class Wire(Struct, frozen=True):
    """
    A wire format.

    @ivar settings: the struct of its listeners.
    @ivar parser: makes a parser, given the settings.
    @ivar brief: whether a device connects, delivers and leaves.
    """

    settings: type[ListenerSettings]
    parser: Callable[[Any], Parser[Any]]
    brief: bool = False


#: All of them, by what the configuration calls them.
WIRES: dict[str, Wire] = {
    "esp8266": Wire(PacketSettings, lambda settings: esp8266.PacketParser(), brief=True),
    "poe": Wire(FrameSettings, lambda settings: poe.FrameParser()),
    "lines": Wire(
        LineSettings, lambda settings: lines.LineParser(settings.key.text, settings.timestamped)
    ),
    "websocket": Wire(
        MessageSettings,
        lambda settings: websocket.Conversation(
            settings.path, settings.origins, settings.token.text
        ),
    ),
    "serial": Wire(
        SerialSettings, lambda settings: lines.LineParser(timestamped=settings.timestamped)
    ),
    "rfm2pi": Wire(RadioSettings, lambda settings: rfm2pi.RadioParser()),
}


def _network(text: str) -> Network:
    return ip_network(text, strict=False)


def _key(key: Secret) -> Iterable[str]:
    if key and len(key.text) != 32:
        yield f"key: has {len(key.text)} characters, and not 32"
    elif not key.text.isalnum() and key:
        yield "key: is made of letters and digits"


def _number(id: str) -> Iterable[str]:
    """
    A fault if an id is no number as texts have it.
    """
    if not (id.isascii() and id.isdecimal() and str(int(id)) == id and int(id) < 2**31):
        yield f'address: "{id}" is no number of a device'


def _places(device: DeviceSettings) -> Iterable[str]:
    """
    What is wrong with a description whose fields are places in a line.
    """
    for value in device.values:
        if value.field and not re.fullmatch("[1-9][0-9]*", value.field):
            yield f'[[values]] "{value.name}" field: "{value.field}" is no place, from 1 on'
    places = [value.field or str(place) for place, value in enumerate(device.values, 1)]
    for place in twice(places):
        yield f"values: place {place} is described twice"


def _template(text: str) -> Iterable[str]:
    """
    What is wrong with the text of a command.
    """
    try:
        parts = {part for _text, part, _spec, _conversion in Formatter().parse(text) if part}
        text.format_map(dict.fromkeys(_PARTS, 1))
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        example = '"{variable},{value}"'
        yield f'command: "{text}" cannot be filled in ({error!r}); write e.g. {example}'
        return
    if text and "value" not in parts:
        yield f'command: "{text}" has no {{value}} in it'

"""
The wire formats that a listener can speak: the settings of such a listener, and the parser.
"""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct
from msgspec.structs import replace

from sensord.brokers import BrokerSettings
from sensord.listeners import ListenerSettings, PortSettings
from sensord.notations import (
    keyFaults,
    numberFaults,
    placeFaults,
    subscriptionFaults,
    templateFaults,
)
from sensord.pushes import PushSettings
from sensord.settings import Count, DeviceSettings, Seconds, Secret, oneOf, span, twice, wrong
from sensord.tables import meant
from sensord.wire import Parser, esp8266, lines, poe, push, rfm2pi, topics, websocket

#: Ids as they are written, of ESP8266 devices and of radio nodes.
_BYTES = {str(id) for id in range(256)}
_NODES = {str(id) for id in range(32)}

#: What the payloads of MQTT messages can be.
_PAYLOADS = ("text", "esp8266", "poe", "packed")


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
        yield from templateFaults(self.command)

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
        yield from keyFaults(self.key)
        yield from templateFaults(self.command)

    def clashes(self, id: str, device: DeviceSettings) -> Iterable[str]:
        """
        See L{ListenerSettings.clashes}.
        """
        yield from super().clashes(id, device)
        yield from numberFaults(id)
        yield from placeFaults(device)


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
        yield from numberFaults(id)
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
        yield from templateFaults(self.command)

    def clashes(self, id: str, device: DeviceSettings) -> Iterable[str]:
        """
        See L{ListenerSettings.clashes}.
        """
        yield from super().clashes(id, device)
        yield from numberFaults(id)
        yield from placeFaults(device)


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


class SubscriberSettings(ListenerSettings, frozen=True):
    """
    C{wire = "mqtt"}: devices that say something to a broker. For the settings of the connection see
    L{BrokerSettings}.

    @ivar topic: where they say it: a L{pattern<topics.Pattern>}.
    @ivar share: the group of those who share what comes; empty is to hear all of it.
    @ivar payload: what is said: C{text} (a JSON object, a number, or numbers between commas), or
        bytes: C{esp8266} packets, C{poe} frames, or values C{packed} as the description says.
    @ivar columns: the names of numbers between commas; those beyond are called by their place.
    @ivar time: the member of an object that is the time of the measurement; empty is none.
    @ivar timezone: where it is that time, if the text of a time does not say so.
    @ivar ignore: members of objects that are not stored, with C{*} and C{?} as wildcards.
    @ivar retained: whether what was said before somebody listened is stored as of now. What bears a
        time of its own always is stored.
    @ivar command_topic: where devices are told something, with levels of C{topic} in braces, or
        C{{variable}}; empty is C{cmd} in place of a C{data} at the end of C{topic}, or nowhere.
    @ivar command: what they are told, made of C{{id}}, C{{variable}} and C{{value}}; empty is an
        object of JSON with the variable in it.
    @ivar registry: a file with the devices that are heard; empty is all. With it, devices are added
        and removed by C{register_cmd}, at the fixed beginning of C{topic}.
    @ivar max_devices: how many may be heard that are not described.
    @ivar max_rate: messages a second; more are left to the broker. 0 is no limit.
    @ivar receive_maximum: messages that may wait for their commit; more are left to the broker.
    @ivar session: how long the broker keeps what comes while we are away.
    """

    topic: str
    broker: str = "tcp:localhost:1883"
    user: str = ""
    password: Secret = Secret()
    ca: str = ""
    cert: str = ""
    key: str = ""
    client_id: Annotated[str, Meta(max_length=200)] = ""
    keepalive: Annotated[int, Meta(ge=5, le=65535)] = 60
    version: str = "5"
    share: Annotated[str, Meta(pattern=r"^[^/+#\x00-\x1f]*\Z", max_length=64)] = ""
    payload: str = "text"
    columns: tuple[str, ...] = ()
    time: str = "time"
    timezone: str = "UTC"
    ignore: tuple[str, ...] = ()
    retained: bool = False
    command_topic: str = ""
    command: str = ""
    registry: str = ""
    max_devices: Annotated[int, Meta(ge=1, le=1_000_000)] = 5000
    max_rate: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    receive_maximum: Annotated[int, Meta(ge=1, le=65535)] = 5000
    session: str = "1d"

    @property
    def downward(self) -> str:
        """
        Where devices are told something; empty if nowhere.
        """
        return self.command_topic or topics.answering(self.topic)

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        yield from super().faults()
        yield from BrokerSettings.of(self).faults()
        yield from oneOf("payload", self.payload, _PAYLOADS)
        yield from wrong("session", span, self.session)
        yield from wrong("timezone", _zone, self.timezone)
        yield from subscriptionFaults(
            self.topic, self.downward, self.registry, self.payload in ("text", "packed")
        )
        yield from templateFaults(self.command)
        for fault in twice(self.columns):
            yield f'columns: "{fault}" is named twice'
        if "" in self.columns:
            yield "columns: one of them has no name"

    def clashes(self, id: str, device: DeviceSettings) -> Iterable[str]:
        """
        See L{ListenerSettings.clashes}.
        """
        packed = self.payload == "packed"
        yield from super().clashes(id, replace(device, whitening=False) if packed else device)
        if not any(wrong("topic", topics.Pattern, self.topic)):
            pattern = topics.Pattern(self.topic)
            if pattern.parts(id) is None:
                yield f'address: "{id}" is not of the form <{"/".join(pattern.fields)}>'
        for value in device.values:
            if (packed or self.payload == "esp8266") and not value.type:
                yield f'[[values]] "{value.name}" type: is missing'
            if packed and value.field:
                yield f'[[values]] "{value.name}" field: the order says what a value is'


def _zone(text: str) -> None:
    try:
        ZoneInfo(text)
    except (ValueError, OSError, LookupError) as error:
        raise ValueError(f'"{text}" is no time zone; write e.g. "Europe/Berlin"') from error


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
    "mqtt": Wire(SubscriberSettings, lambda settings: topics.MessageParser()),
    "http": Wire(PushSettings, lambda settings: push.RowParser()),
}


def choose(table: Mapping[str, Any]) -> type[ListenerSettings]:
    """
    The struct for the table of a listener, by what it calls its wire; if that is none, by what it
    may mean.
    """
    said = str(table.get("wire", ""))
    near = get_close_matches(said, WIRES, 1)
    return WIRES[said if said in WIRES else near[0]].settings if near else PortSettings

"""
What MQTT devices say: where they say it tells who they are.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sensord.presence import Presence, Record
from sensord.reading import (
    Arrivals,
    Clock,
    Intake,
    Quarantined,
    Reading,
    Rejected,
)
from sensord.registry import Registry, Unregistrable
from sensord.settings import DeviceSettings
from sensord.sources import clean
from sensord.sources.described import Described, Room
from sensord.sources.frames import FrameSource
from sensord.sources.packets import PacketSource
from sensord.sources.radio import Node
from sensord.sources.texts import MAX_SERIES
from sensord.wire import SAMPLE, Skipped, esp8266, poe, rfm2pi
from sensord.wire.payloads import MAX_VALUES, VALUE, PayloadReader
from sensord.wire.topics import Message, Pattern, Place, encode
from sensord.wires import PacketSettings, SubscriberSettings

#: The longest message that the quarantine keeps, in bytes. It has room for thousands of them:
#: without a limit, they would fill the disk.
_MAX_KEPT = 4096

#: Of how many topics it is remembered what they say. Without a limit, a peer that makes up topics
#: would fill the memory.
_MAX_PLACES = 10_000

#: How many bytes a value has that is packed and not described.
_SIZE = 2

_EMPTY = "nothing is in it"

_CROWDED = f"{MAX_SERIES} values without a description are stored already"

_ARRIVAL, _DEVICE = Clock.ARRIVAL, Clock.DEVICE

#: What can come of one message.
_Yield = tuple[Sequence[Reading], Sequence[Rejected], str]


class TopicSource:
    """
    Decodes MQTT messages. What is not taken is named by its topic.

    @ivar registry: the devices that are heard; L{None} is all.
    """

    oddities = 0

    def __init__(
        self,
        listener: SubscriberSettings,
        devices: Mapping[str, DeviceSettings],
        arrivals: Arrivals,
        presence: Presence,
    ) -> None:
        self.registry: Registry | None = None
        if listener.registry:
            self.registry = Registry(Path(listener.registry), listener.max_devices)
        self._settings = listener
        self._arrivals = arrivals
        self._presence = presence
        self._described = devices
        self._prefix = f"{listener.name}/"
        self._pattern = Pattern(listener.topic)
        self._places: dict[str, Place] = {}
        self._devices: dict[str, _Device] = {}
        self._strangers = 0
        self._room = Room(MAX_SERIES)
        self._reader = PayloadReader(
            ZoneInfo(listener.timezone), listener.columns, listener.time, listener.ignore
        )
        inner: dict[str, Callable[[_Device, Message, str], _Yield]] = {
            "text": self._text,
            "packed": self._packed,
        }
        if listener.payload in inner:
            self._read = inner[listener.payload]
        else:
            self._inner: Any = (
                FrameSource(listener, devices, arrivals, presence)
                if listener.payload == "poe"
                else _TopicPackets(
                    PacketSettings(listener.name, "esp8266", ""), devices, arrivals, presence
                )
            )
            self._read = self._binary

    def decode(self, host: str, events: Sequence[Message | Skipped]) -> Intake:
        """
        See L{Source.decode}.
        """
        readings: list[Reading] = []
        rejected: list[Rejected] = []
        quarantined: list[Quarantined] = []
        for event in events:
            if isinstance(event, Skipped):
                rejected.append(Rejected(event.data, event.why))
                continue
            good, bad, why = self._one(event)
            readings += good
            rejected += bad
            if why:
                frame = encode(event)
                if len(frame) > _MAX_KEPT:
                    rejected.append(_rejected(event, f"{why}, and it is too long to be kept"))
                else:
                    time = self._arrivals.take()
                    quarantined.append(Quarantined(time, host, frame, why, "mqtt"))
        return Intake(readings, b"", rejected, quarantined)

    def _one(self, message: Message) -> _Yield:
        """
        What came of a message: readings, what is none, and why it has to wait for a description.
        """
        if message.size:
            return (), [_rejected(message, f"{message.size} bytes are too many")], ""
        place = self._places.get(message.topic) or self._locate(message.topic)
        if place is None:
            return (), [_rejected(message, f"no topic of the form {self._settings.topic}")], ""
        stale = message.retained and not self._settings.retained
        if why := self._unregistered(place.id):
            # What the broker keeps it will say again, to who knows the device.
            return (), (), "" if stale else why
        device = self._devices.get(place.id) or self._meet(place.id)
        if device is None:
            most = self._settings.max_devices
            return (), [_rejected(message, f"{most} devices are heard already")], ""
        if stale and self._settings.payload != "text":
            return (), (), ""
        return self._read(device, message, place.name)

    def _locate(self, topic: str) -> Place | None:
        """
        What a topic says.
        """
        place = self._pattern.match(topic)
        if place is not None:
            if len(self._places) >= _MAX_PLACES:
                self._places.clear()
            self._places[topic] = place
        return place

    def _unregistered(self, id: str) -> str:
        """
        Why a device is not heard; empty if it is.
        """
        try:
            unknown = self.registry is not None and id not in self.registry.ids
        except Unregistrable as error:
            return str(error)
        return f"{id} is not registered" if unknown else ""

    def _meet(self, id: str) -> "_Device | None":
        address = f"{self._prefix}{id}"
        settings = self._described.get(address)
        if settings is None:
            if self._strangers >= self._settings.max_devices:
                self._forget()
            if self._strangers >= self._settings.max_devices:
                return None
            self._strangers += 1
            settings = DeviceSettings(address)
        device = self._devices[id] = _Device(id, settings, self._presence.record(address))
        return device

    def _forget(self) -> None:
        """
        Make room by those that are registered no more.
        """
        if self.registry is not None:
            for id in self._devices.keys() - self.registry.ids:
                del self._devices[id]
                self._strangers -= f"{self._prefix}{id}" not in self._described

    def _text(self, device: "_Device", message: Message, name: str) -> _Yield:
        payload = self._reader.read(message.payload)
        if isinstance(payload, Skipped):
            return (), [_rejected(message, payload.why)], ""
        if message.retained and payload.time is None and not self._settings.retained:
            return (), (), ""
        arrival = self._arrivals.take()
        time, clock = (arrival, _ARRIVAL) if payload.time is None else (payload.time, _DEVICE)
        if clock is _ARRIVAL or not message.retained:  # else it may be gone for years
            device.record.hear(arrival)
        readings = []
        rejected = [_rejected(message, bad.why, bad.data) for bad in payload.bad]
        for field, value in payload.values:
            if name:
                field = name if field == VALUE else f"{name}.{field}"
            known = device.values.get(field) or device.learn(field, self._room)
            if known is None:
                rejected.append(_rejected(message, _CROWDED))
                continue
            label, scaled = known
            if scaled is not None and not isinstance(value, bool | str):
                # As it was written: the 2.3 of a text is not the float that is next to it.
                exact = value if isinstance(value, int) else Fraction(repr(value))
                fitting = clean(scaled(exact))
                if fitting is None:
                    rejected.append(_rejected(message, f"{field} is {value}"))
                    continue
                value = fitting
            readings.append(Reading(device.label, label, value, time, clock))
        return readings, rejected, ""

    def _packed(self, device: "_Device", message: Message, name: str) -> _Yield:
        if not message.payload:
            return (), [_rejected(message, _EMPTY)], ""
        frame = rfm2pi.Frame(0, message.payload)
        arrival = self._arrivals.take()
        node = device.node
        node.hear(frame, arrival)
        why = node.differs(frame)
        if not why and not device.described and len(frame.data) > MAX_VALUES * _SIZE:
            why = f"{len(frame.data)} bytes, and {device.label} has no description"
        if why:
            return (), (), why
        good, bad = node.read(frame, arrival)
        rejected = [_rejected(message, each.why) for each in bad]
        if device.described and not name:
            return good, rejected, ""
        readings = []
        for one in good:
            field = f"{name}.{one.name}" if name else one.name
            known = device.values.get(field) or device.learn(field, self._room)
            if known is None:
                rejected.append(_rejected(message, _CROWDED))
            else:
                readings.append(Reading(one.device, known[0], one.value, one.time, one.clock))
        return readings, rejected, ""

    def _binary(self, device: "_Device", message: Message, name: str) -> _Yield:
        parser = esp8266.PacketParser() if isinstance(self._inner, PacketSource) else None
        fed: Any = parser or poe.FrameParser()
        events = [*fed.feed(message.payload), *fed.close()]
        if not events:
            return (), [_rejected(message, _EMPTY)], ""
        intake = self._inner.decode(device.id, events)
        self.oddities = self._inner.oddities
        if intake.quarantined:  # whole, and with it what is to be rejected of it
            return (), (), intake.quarantined[0].why
        bad = [_rejected(message, each.why, each.data) for each in intake.rejected]
        return intake.readings, bad, ""


class _TopicPackets(PacketSource):
    """
    Decodes packets whose device is known by where they came from.
    """

    def who(self, host: str, packet: esp8266.Packet) -> str:
        """
        See L{PacketSource.who}.
        """
        return host


class _Device(Described):
    """
    What is known of one device.

    @ivar id: the levels of its topics.
    """

    def __init__(self, id: str, settings: DeviceSettings, record: Record) -> None:
        super().__init__(settings, record)
        self.id = id
        self._settings = settings
        self._node: Node | None = None

    @property
    def node(self) -> Node:
        """
        What unpacks its values.
        """
        if self._node is None:
            self._node = Node(self._settings, self.record)
        return self._node


def _rejected(message: Message, why: str, data: bytes = b"") -> Rejected:
    """
    What is not taken of a message.
    """
    return Rejected(f"{message.topic} ".encode()[:SAMPLE] + (data or message.payload)[:SAMPLE], why)

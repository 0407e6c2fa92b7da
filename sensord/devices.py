"""
Who a wire address is, and what its values mean: frames to Readings.
"""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from math import isfinite
from struct import Struct as Layout
from typing import Any, Protocol

from msgspec import Struct

from sensord.config import DeviceSettings, ListenerSettings, Settings, ThresholdSettings, bound
from sensord.reading import (
    ACCEPTED,
    REFUSED,
    Arrivals,
    Clock,
    Intake,
    Quarantined,
    Reading,
    Rejected,
    Value,
)
from sensord.wire import Skipped, esp8266, packing, poe

#: When a value of a PoE Arduino is critical or a warning, unless the configuration says otherwise.
#: WATER has no rule: its status is undefined.
_POE_THRESHOLDS = (
    ThresholdSettings(name="fire.*", critical="== 0"),
    ThresholdSettings(name="smoke.*", warning=">= 160", critical=">= 200"),
    ThresholdSettings(name="motion.*", critical="== 1"),
    ThresholdSettings(name="humidity.*", critical=">= 80"),
    ThresholdSettings(name="temperature.*", critical="> 82"),
)

#: How many hosts a listener remembers the descriptions of. Without a limit, a peer with many
#: addresses (an IPv6 network has 2^64) would fill the memory by changing them.
_MAX_HOSTS = 10_000

_MAX_INT = 2**63 - 1

_ARRIVAL, _BACKDATED = Clock.ARRIVAL, Clock.BACKDATED


class Description(Struct, frozen=True):
    """
    What is known of a series beyond its name.

    @ivar address: the address of its device.
    @ivar wire: the wire format that it came by; empty if it came by none.
    @ivar field: what the wire calls the value.
    @ivar unit: empty if unknown.
    @ivar thresholds: C{(status, operator, number)} for each bound.
    """

    address: str
    wire: str = ""
    field: str = ""
    unit: str = ""
    tags: Mapping[str, str] = {}
    thresholds: tuple[tuple[str, str, float], ...] = ()


class Source(Protocol):
    """
    Decodes what comes in by one listener.

    @ivar oddities: how many frames were stored although something about them was odd.
    """

    oddities: int

    def decode(self, host: str, events: Sequence[Any]) -> Intake:
        """
        Turn the events of the listener's parser into what can be stored.

        @param host: the network address of the peer that they came from.
        """


class Devices:
    """
    All descriptions of the configuration.
    """

    def __init__(self, settings: Settings) -> None:
        self._wires = {listener.name: listener.wire for listener in settings.listeners}
        self._byAddress = {device.address: device for device in settings.devices}
        self._byLabel = {device.label: device for device in settings.devices}
        self._thresholds = settings.thresholds

    def source(self, listener: ListenerSettings, arrivals: Arrivals) -> Source:
        """
        What decodes the frames of a listener.
        """
        return SOURCES[listener.wire](listener, self._byAddress, arrivals)

    def describe(self, device: str, name: str) -> Description:
        """
        What is known of the series C{name} of the device with the name or address C{device}.
        """
        settings = (
            self._byLabel.get(device) or self._byAddress.get(device) or DeviceSettings(device)
        )
        wire = self._wires.get(settings.address.partition("/")[0], "")
        value = next((value for value in settings.values if value.name == name), None)
        field = value.field or name if value else name
        unit = value.unit if value else ""
        # What the originals say of their values holds for those that are as they sent them.
        original = wire == "poe" and (value is None or (value.scale, value.offset) == (1, 0))
        if original and not unit and field.startswith("temperature."):
            unit = "°F"
        return Description(
            address=settings.address,
            wire=wire,
            field=field,
            unit=unit,
            tags=settings.tags,
            thresholds=self._bounds(device, name, field if original else ""),
        )

    def _bounds(self, device: str, name: str, field: str) -> tuple[tuple[str, str, float], ...]:
        """
        The bounds that the configuration gives a series, or else those of the original.

        @param field: what the original calls it; empty if it has no say.
        """
        rule = _rule(self._thresholds, device, name) or _rule(_POE_THRESHOLDS, device, field)
        if rule is None:
            return ()
        texts = (("critical", rule.critical), ("warning", rule.warning))
        return tuple((status, *bound(text)) for status, text in texts if text)


def _rule(rules: Sequence[ThresholdSettings], device: str, name: str) -> ThresholdSettings | None:
    """
    The first rule that fits.
    """
    for rule in rules:
        if fnmatchcase(device, rule.device) and fnmatchcase(name, rule.name):
            return rule
    return None


class PacketSource:
    """
    Decodes esp8266 packets. The device counts time by its own clock, which drifts by a tenth; its
    deliveries tell how fast it really runs.
    """

    oddities = 0

    def __init__(
        self,
        listener: ListenerSettings,
        devices: Mapping[str, DeviceSettings],
        arrivals: Arrivals,
    ) -> None:
        self._arrivals = arrivals
        self._lag = 0 if listener.backdate == "corrected" else 1
        prefix = f"{listener.name}/"
        self._layouts = {
            int(address.removeprefix(prefix)): _Layout(device)
            for address, device in devices.items()
            if address.startswith(prefix)
        }
        self._heard: dict[int, int] = {}

    def decode(self, host: str, events: Sequence[esp8266.Packet | Skipped]) -> Intake:
        """
        See L{Source.decode}.
        """
        intakes = [self._one(host, event) for event in events]
        if len(intakes) == 1:
            return intakes[0]
        return Intake(
            [reading for intake in intakes for reading in intake.readings],
            b"".join(intake.verdicts for intake in intakes),
            [rejected for intake in intakes for rejected in intake.rejected],
            [frame for intake in intakes for frame in intake.quarantined],
        )

    def _one(self, host: str, event: esp8266.Packet | Skipped) -> Intake:
        if isinstance(event, Skipped):
            return Intake([], REFUSED, [Rejected(event.data, event.why)])
        arrival = self._arrivals.take()
        layout = self._layouts.get(event.device)
        why = layout.differs(event) if layout else f"device {event.device} has no description"
        if layout is None or why:
            data = esp8266.encode(event)
            frame = Quarantined(arrival, host, data, why, "esp8266")
            return Intake([], ACCEPTED, (), [frame])
        readings, rejected = layout.decode(event.data, self._times(event, arrival))
        return Intake(readings, ACCEPTED, rejected)

    def _times(self, packet: esp8266.Packet, arrival: int) -> list[int]:
        """
        When each measurement was taken, oldest first.
        """
        count = packet.count
        interval = packet.interval * 1e6
        last = self._heard.get(packet.device)
        self._heard[packet.device] = arrival
        if last is not None:
            elapsed = arrival - last
            # Punctual within a third: then the true interval is the time that really passed,
            # shared among the measurements. Otherwise a delivery was missed, or came early.
            if abs(packet.wake * 1e6 - elapsed) < packet.wake * 1e6 / 3:
                interval = elapsed / count
        youngest = count - 1 + self._lag
        return [arrival - round(interval * (youngest - k)) for k in range(count)]


class _Layout:
    """
    How the measurements of one device are packed.
    """

    def __init__(self, device: DeviceSettings) -> None:
        self._device = device.label
        self._struct: Layout = packing.layout(value.type for value in device.values)
        self._values = [
            (value.name, packing.scaler(value.scale, value.offset)) for value in device.values
        ]
        # Of whole numbers that are not too large, none needs a second look.
        self._raw = not {value.type for value in device.values} & set("fdQ")

    def differs(self, packet: esp8266.Packet) -> str:
        """
        What about a packet does not fit; empty if all does.
        """
        size, sensors = self._struct.size, len(self._values)
        if (packet.size, packet.sensors) == (size, sensors):
            return ""
        came = f"{packet.sensors} sensors in {packet.size} bytes"
        return f"{came}, the description of {self._device} has {sensors} in {size}"

    def decode(self, data: bytes, times: Sequence[int]) -> tuple[list[Reading], Sequence[Rejected]]:
        """
        The readings of some measurements, and what is none because it is not finite.
        """
        if self._raw:
            device = self._device
            return [
                Reading(device, name, raw if scaled is None else scaled(raw), time, _BACKDATED)
                for time, row in zip(times, self._struct.iter_unpack(data), strict=True)
                for (name, scaled), raw in zip(self._values, row, strict=True)
            ], ()
        readings, rejected = [], []
        for time, row in zip(times, self._struct.iter_unpack(data), strict=True):
            for (name, scaled), raw in zip(self._values, row, strict=True):
                value = _clean(scaled(raw) if scaled else raw)
                if value is None:
                    rejected.append(Rejected(b"", f"{name} of {self._device} is {raw}"))
                else:
                    readings.append(Reading(self._device, name, value, time, _BACKDATED))
        return readings, rejected


class FrameSource:
    """
    Decodes poe frames. The device is the host that the connection comes from.
    """

    def __init__(
        self,
        listener: ListenerSettings,
        devices: Mapping[str, DeviceSettings],
        arrivals: Arrivals,
    ) -> None:
        self.oddities = 0
        self._arrivals = arrivals
        self._prefix = f"{listener.name}/"
        self._devices = devices
        self._known: dict[str, _Names] = {}

    def decode(self, host: str, events: Sequence[Any]) -> Intake:
        """
        See L{Source.decode}.
        """
        known = self._known.get(host) or self._meet(host)
        if known.scalers:
            return self._sift(known, events)
        device, names = known.device, known.byOpt
        try:
            # This is the hot path: what is out of the ordinary shows as an index that is not
            # there, or as an event that is no tuple.
            readings = [
                Reading(device, names[opt][kind][id], data, time, _ARRIVAL)
                for time, (opt, id, kind, data) in enumerate(
                    events, self._arrivals.take(len(events))
                )
            ]
        except (IndexError, TypeError):
            return self._sift(known, events)
        return Intake(readings, ACCEPTED * len(readings))

    def _meet(self, host: str) -> "_Names":
        if len(self._known) >= _MAX_HOSTS:
            self._known.clear()
        address = self._prefix + host
        known = self._known[host] = _Names(self._devices.get(address) or DeviceSettings(address))
        return known

    def _sift(self, known: "_Names", events: Sequence[Any]) -> Intake:
        """
        Decode frames one by one: an unknown type is rejected alone, an unknown opt only counted.
        """
        readings: list[Reading] = []
        verdicts = b""
        rejected: list[Rejected] = []
        for event in events:
            if isinstance(event, Skipped):
                rejected.append(Rejected(event.data, event.why))
                verdicts += REFUSED
                continue
            opt, id, kind, data = event
            value: Value | None = None
            if kind < len(poe.TYPES):
                name = known.byType[kind][id]
                scaled = known.scalers.get(name)
                value = _clean(scaled(data) if scaled else data)
            if value is None:
                rejected.append(Rejected(poe.encode([event]), f"type {kind} is unknown"))
                verdicts += REFUSED
                continue
            self.oddities += opt > poe.POST
            readings.append(Reading(known.device, name, value, self._arrivals.take(), _ARRIVAL))
            verdicts += ACCEPTED
        return Intake(readings, verdicts, rejected)


class _Names:
    """
    What one host's values are called.

    @ivar byType: the name, by type and then by id.
    @ivar byOpt: the same for both known opts, so that an unknown one is an index too far.
    @ivar scalers: by name, for those that are scaled.
    """

    _PLAIN = tuple(tuple(f"{kind}.{id}" for id in range(256)) for kind in poe.TYPES)

    def __init__(self, device: DeviceSettings) -> None:
        self.device = device.label
        renamed = {value.field: value.name for value in device.values if value.field}
        self.byType = self._PLAIN
        if renamed:
            self.byType = tuple(
                tuple(renamed.get(name, name) for name in names) for names in self._PLAIN
            )
        self.byOpt = (self.byType, self.byType)
        scalers = ((v.name, packing.scaler(v.scale, v.offset)) for v in device.values)
        self.scalers = {name: scaled for name, scaled in scalers if scaled}


def _clean(value: Value) -> Value | None:
    """
    A value as a Reading may have it, L{None} if it is not finite.
    """
    if isinstance(value, float):
        return value if isfinite(value) else None
    # An u64 may be larger than anything that databases store as an integer.
    return float(value) if isinstance(value, int) and value > _MAX_INT else value


#: What decodes each wire format.
SOURCES: dict[str, Callable[[ListenerSettings, Mapping[str, DeviceSettings], Arrivals], Source]] = {
    "esp8266": PacketSource,
    "poe": FrameSource,
}

"""
The packets of battery ESP8266s.
"""

from collections.abc import Mapping, Sequence
from struct import Struct as Layout

from sensord.presence import Presence, Record
from sensord.reading import (
    ACCEPTED,
    REFUSED,
    Arrivals,
    Clock,
    Intake,
    Quarantined,
    Reading,
    Rejected,
)
from sensord.settings import DeviceSettings
from sensord.sources import clean
from sensord.wire import Skipped, esp8266, packing
from sensord.wires import PacketSettings

_BACKDATED = Clock.BACKDATED


class PacketSource:
    """
    Decodes esp8266 packets. The device counts time by its own clock, which drifts by a tenth; its
    deliveries tell how fast it really runs.
    """

    oddities = 0

    def __init__(
        self,
        listener: PacketSettings,
        devices: Mapping[str, DeviceSettings],
        arrivals: Arrivals,
        presence: Presence,
    ) -> None:
        self._arrivals = arrivals
        self._presence = presence
        self._lag = 0 if listener.backdate == "corrected" else 1
        self._prefix = prefix = f"{listener.name}/"
        self._layouts = {
            address.removeprefix(prefix): _Layout(device)
            for address, device in devices.items()
            if address.startswith(prefix)
        }
        self._records: dict[str, Record] = {}
        self._heard: dict[str, int] = {}

    def decode(self, host: str, events: Sequence[esp8266.Packet | Skipped]) -> Intake:
        """
        See L{Source.decode}.
        """
        if len(events) == 1:
            return self._one(host, events[0])
        intakes = [self._one(host, event) for event in events]
        return Intake(
            [reading for intake in intakes for reading in intake.readings],
            b"".join(intake.answer for intake in intakes),
            [rejected for intake in intakes for rejected in intake.rejected],
            [frame for intake in intakes for frame in intake.quarantined],
        )

    def who(self, host: str, packet: esp8266.Packet) -> str:
        """
        The id of the device that sent a packet.
        """
        return str(packet.device)

    def _one(self, host: str, event: esp8266.Packet | Skipped) -> Intake:
        if isinstance(event, Skipped):
            return Intake([], REFUSED, [Rejected(event.data, event.why)])
        arrival = self._arrivals.take()
        id = self.who(host, event)
        record = self._records.get(id) or self._meet(id)
        last = self._heard.get(id, record.heard)
        record.declare(event.wake)
        record.hear(arrival)
        layout = self._layouts.get(id)
        if layout is None or (event.size, event.sensors) != layout.shape:
            why = layout.differs(event) if layout else f"device {id} has no description"
            data = esp8266.encode(event)
            frame = Quarantined(arrival, host, data, why, "esp8266")
            return Intake([], ACCEPTED, (), [frame])
        readings, rejected = layout.decode(event.data, self._times(event, arrival, last))
        self._heard[id] = arrival
        return Intake(readings, ACCEPTED, rejected)

    def _meet(self, id: str) -> Record:
        record = self._records[id] = self._presence.record(f"{self._prefix}{id}")
        return record

    def _times(self, packet: esp8266.Packet, arrival: int, last: int) -> list[int]:
        """
        When each measurement was taken, oldest first.

        @param last: when the device's last good packet arrived; 0 is never.
        """
        count = packet.count
        interval = packet.interval * 1e6
        if last:
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

    @ivar shape: the size of a measurement in bytes, and how many values are in it.
    """

    def __init__(self, device: DeviceSettings) -> None:
        self._device = device.label
        self._struct: Layout = packing.layout(value.type for value in device.values)
        self._values = [
            (value.name, packing.scaler(value.scale, value.offset)) for value in device.values
        ]
        self.shape = self._struct.size, len(self._values)
        # Of whole numbers that are not too large, none needs a second look.
        self._raw = not {value.type for value in device.values} & set("fdQ")

    def differs(self, packet: esp8266.Packet) -> str:
        """
        What about a packet does not fit.
        """
        size, sensors = self.shape
        came = f"{packet.sensors} sensors in {packet.size} bytes"
        return f"{came}, the description of {self._device} has {sensors} in {size}"

    def decode(self, data: bytes, times: Sequence[int]) -> tuple[list[Reading], Sequence[Rejected]]:
        """
        The readings of some measurements, and what is none because it is not finite.
        """
        if self._raw:
            # Every packet comes through here: lengths that are the same by construction are not
            # checked once more.
            device, values = self._device, self._values
            return [
                Reading(device, name, scaled(raw) if scaled else raw, time, _BACKDATED)
                for time, row in zip(times, self._struct.iter_unpack(data))  # noqa: B905
                for (name, scaled), raw in zip(values, row)  # noqa: B905
            ], ()
        readings, rejected = [], []
        for time, row in zip(times, self._struct.iter_unpack(data), strict=True):
            for (name, scaled), raw in zip(self._values, row, strict=True):
                value = clean(scaled(raw) if scaled else raw)
                if value is None:
                    rejected.append(Rejected(b"", f"{name} of {self._device} is {raw}"))
                else:
                    readings.append(Reading(self._device, name, value, time, _BACKDATED))
        return readings, rejected

"""
The frames of radio nodes.
"""

from collections.abc import Mapping, Sequence

from sensord.presence import Presence, Record
from sensord.reading import Arrivals, Clock, Intake, Quarantined, Reading, Rejected
from sensord.settings import DeviceSettings
from sensord.sources import clean, counted, reachable, unlike
from sensord.wire import Skipped, packing, rfm2pi
from sensord.wires import RadioSettings

#: What the strength of a signal is called.
RSSI = "rssi"

#: What the first value is called, in any case, if it counts the messages of its node.
_COUNTER = "msg"

#: How values are packed unless their description says otherwise.
_TYPE = "h"

_ARRIVAL = Clock.ARRIVAL


class RadioSource:
    """
    Decodes what a radio receives. The device is the node that a frame names.

    @ivar notes: how many lines said nothing of a sensor.
    """

    oddities = 0

    def __init__(
        self,
        listener: RadioSettings,
        devices: Mapping[str, DeviceSettings],
        arrivals: Arrivals,
        presence: Presence,
    ) -> None:
        self.notes = 0
        self._arrivals = arrivals
        self._presence = presence
        self._prefix = f"{listener.name}/"
        self._devices = devices
        self._nodes: dict[int, Node] = {}  # the wire format has room for 32

    def decode(self, host: str, events: Sequence[rfm2pi.Event | Skipped]) -> Intake:
        """
        See L{Source.decode}.
        """
        readings: list[Reading] = []
        rejected: list[Rejected] = []
        quarantined: list[Quarantined] = []
        heard: list[tuple[str, ...]] = []
        for event in events:
            if isinstance(event, Skipped):
                rejected.append(Rejected(event.data, event.why))
            elif isinstance(event, rfm2pi.Note):
                self.notes += 1
            elif isinstance(event, rfm2pi.Frame):
                node = self._nodes.get(event.node) or self._meet(event.node)
                heard.append(node.addresses)
                arrival = self._arrivals.take()
                node.hear(event, arrival)
                if why := node.differs(event):
                    data = rfm2pi.encode(event)
                    quarantined.append(Quarantined(arrival, host, data, why, "rfm2pi"))
                else:
                    good, bad = node.read(event, arrival)
                    readings += good
                    rejected += bad
        return Intake(readings, b"", rejected, quarantined, reachable(heard))

    def _meet(self, id: int) -> "Node":
        address = f"{self._prefix}{id}"
        settings = self._devices.get(address) or DeviceSettings(address)
        node = self._nodes[id] = Node(settings, self._presence.record(address))
        return node


class Node:
    """
    What is known of one node.

    @ivar addresses: that of the device.
    """

    def __init__(self, settings: DeviceSettings, record: Record) -> None:
        values = settings.values
        self.addresses = (record.address,)
        self._device = settings.label
        self._record = record
        self._whitening = settings.whitening
        self._layout = packing.layout(value.type or _TYPE for value in values)
        self._values = [(v.name, packing.scaler(v.scale, v.offset)) for v in values]
        self._counts = bool(values) and values[0].name.lower() == _COUNTER
        self._rssi = unlike(RSSI, [value.name for value in values])

    def hear(self, frame: rfm2pi.Frame, arrival: int) -> None:
        """
        It sent something, whether that can be decoded or not.
        """
        self._record.hear(arrival)
        if frame.rssi is not None:
            self._record.rssi = frame.rssi

    def differs(self, frame: rfm2pi.Frame) -> str:
        """
        What about a frame does not fit; empty if all does.
        """
        size = len(frame.data)
        if not self._values:
            odd = size % packing.layout(_TYPE).size
            return f"{size} bytes, and {self._device} has no description" if odd else ""
        if size == self._layout.size:
            return ""
        return f"{size} bytes, the description of {self._device} has {self._layout.size}"

    def read(self, frame: rfm2pi.Frame, time: int) -> tuple[Sequence[Reading], Sequence[Rejected]]:
        """
        The readings of a frame that fits, and what is none because it is not finite.
        """
        data = packing.whiten(frame.data) if self._whitening else frame.data
        layout, values = self._layout, self._values
        if not values:
            count = len(data) // packing.layout(_TYPE).size
            layout = packing.layout(_TYPE * count)
            values = [(str(place), None) for place in range(1, count + 1)]
        raws = layout.unpack(data)
        if self._counts and (counter := counted(raws[0])) is not None:
            self._record.count(counter)
        readings, rejected = [], []
        for (name, scaled), raw in zip(values, raws, strict=True):
            value = clean(scaled(raw) if scaled else raw)
            if value is None:
                rejected.append(Rejected(b"", f"{name} of {self._device} is {raw}"))
            else:
                readings.append(Reading(self._device, name, value, time, _ARRIVAL))
        if frame.rssi is not None:
            readings.append(Reading(self._device, self._rssi, frame.rssi, time, _ARRIVAL))
        return readings, rejected

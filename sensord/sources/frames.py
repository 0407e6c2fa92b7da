"""
The frames of PoE Arduinos.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sensord.listeners import ListenerSettings
from sensord.presence import Presence, Record
from sensord.reading import ACCEPTED, REFUSED, Arrivals, Clock, Intake, Reading, Rejected, Value
from sensord.settings import DeviceSettings
from sensord.sources import clean
from sensord.wire import Skipped, packing, poe

#: How many hosts a listener remembers the descriptions of. Without a limit, a peer with many
#: addresses (an IPv6 network has 2^64) would fill the memory by changing them.
_MAX_HOSTS = 10_000

_ARRIVAL = Clock.ARRIVAL


class FrameSource:
    """
    Decodes poe frames. The device is the host that the connection comes from.
    """

    def __init__(
        self,
        listener: ListenerSettings,
        devices: Mapping[str, DeviceSettings],
        arrivals: Arrivals,
        presence: Presence,
    ) -> None:
        self.oddities = 0
        self._arrivals = arrivals
        self._presence = presence
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
        count = len(events)
        first = self._arrivals.take(count)
        try:
            # This is the hot path: what is out of the ordinary shows as an index that is not
            # there, or as an event that is no tuple.
            readings = [
                Reading(device, names[opt][kind][id], data, time, _ARRIVAL)
                for time, (opt, id, kind, data) in enumerate(events, first)
            ]
        except (IndexError, TypeError):
            return self._sift(known, events)
        known.record.hear(first + count - 1, count)
        return Intake(readings, ACCEPTED * count, devices=known.addresses)

    def _meet(self, host: str) -> "_Names":
        if len(self._known) >= _MAX_HOSTS:
            self._known.clear()
        address = self._prefix + host
        known = self._known[host] = _Names(
            self._devices.get(address) or DeviceSettings(address), self._presence.record(address)
        )
        return known

    def _sift(self, known: "_Names", events: Sequence[Any]) -> Intake:
        """
        Decode frames one by one: an unknown type is rejected alone, an unknown opt only counted.
        """
        readings: list[Reading] = []
        answer = b""
        rejected: list[Rejected] = []
        for event in events:
            if isinstance(event, Skipped):
                rejected.append(Rejected(event.data, event.why))
                answer += REFUSED
                continue
            opt, id, kind, data = event
            value: Value | None = None
            if kind < len(poe.TYPES):
                name = known.byType[kind][id]
                scaled = known.scalers.get(name)
                value = clean(scaled(data) if scaled else data)
            if value is None:
                rejected.append(Rejected(poe.encode([event]), f"type {kind} is unknown"))
                answer += REFUSED
                continue
            self.oddities += opt > poe.POST
            readings.append(Reading(known.device, name, value, self._arrivals.take(), _ARRIVAL))
            answer += ACCEPTED
        known.record.hear(self._arrivals.take(), len(answer))
        return Intake(readings, answer, rejected, devices=known.addresses)


class _Names:
    """
    What is known of one host.

    @ivar addresses: that of the device.
    @ivar byType: the name, by type and then by id.
    @ivar byOpt: the same for both known opts, so that an unknown one is an index too far.
    @ivar scalers: by name, for those that are scaled.
    """

    _PLAIN = tuple(tuple(f"{kind}.{id}" for id in range(256)) for kind in poe.TYPES)

    def __init__(self, device: DeviceSettings, record: Record) -> None:
        self.device = device.label
        self.record = record
        self.addresses = (record.address,)
        renamed = {value.field: value.name for value in device.values if value.field}
        self.byType = self._PLAIN
        if renamed:
            self.byType = tuple(
                tuple(renamed.get(name, name) for name in names) for names in self._PLAIN
            )
        self.byOpt = (self.byType, self.byType)
        scalers = ((v.name, packing.scaler(v.scale, v.offset)) for v in device.values)
        self.scalers = {name: scaled for name, scaled in scalers if scaled}

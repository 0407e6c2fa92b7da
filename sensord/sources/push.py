"""
What devices push by HTTP: each row says whose it is.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from sensord.presence import Presence
from sensord.pushes import PushSettings
from sensord.reading import Arrivals, Clock, Intake, Reading, Rejected, Value
from sensord.settings import DeviceSettings
from sensord.sources import clean
from sensord.sources.described import Described, Room
from sensord.sources.texts import MAX_SERIES
from sensord.wire import SAMPLE, Skipped
from sensord.wire.push import Row

_CROWDED = f"{MAX_SERIES} values without a description are stored already"


class PushSource:
    """
    Decodes rows.
    """

    oddities = 0

    def __init__(
        self,
        listener: PushSettings,
        devices: Mapping[str, DeviceSettings],
        arrivals: Arrivals,
        presence: Presence,
    ) -> None:
        self._arrivals = arrivals
        self._presence = presence
        self._descriptions = devices
        self._prefix = f"{listener.name}/"
        self._most = listener.max_devices
        self._devices: dict[str, Described] = {}
        self._strangers = 0
        self._room = Room(MAX_SERIES)

    def decode(self, host: str, events: Sequence[Row | Skipped]) -> Intake:
        """
        See L{Source.decode}.
        """
        readings: list[Reading] = []
        rejected: list[Rejected] = []
        for event in events:
            if isinstance(event, Skipped):
                rejected.append(Rejected(event.data, event.why))
                continue
            device = self._devices.get(event.device) or self._meet(event.device)
            if device is None:
                why = f"{self._most} devices are heard already that are not described"
                rejected.append(Rejected(event.device.encode()[:SAMPLE], why))
                continue
            self._read(device, event, readings, rejected)
        return Intake(readings, b"", rejected)

    def _meet(self, id: str) -> Described | None:
        address = f"{self._prefix}{id}"
        settings = self._descriptions.get(address)
        if settings is None:
            if self._strangers >= self._most:
                return None
            self._strangers += 1
            settings = DeviceSettings(address)
        device = self._devices[id] = Described(settings, self._presence.record(address))
        return device

    def _read(
        self, device: Described, row: Row, readings: list[Reading], rejected: list[Rejected]
    ) -> None:
        """
        Add what came of a row.
        """
        time, clock = row.time, Clock.BACKDATED if row.backdated else Clock.DEVICE
        arrival = self._arrivals.take()
        device.record.hear(arrival)
        if time is None:
            time, clock = arrival, Clock.ARRIVAL
        rejected += (_rejected(device, bad.data, bad.why) for bad in row.bad)
        for field, value in row.values:
            known = device.values.get(field) or device.learn(field, self._room)
            if known is None:
                rejected.append(_rejected(device, field.encode(), _CROWDED))
                continue
            name, scaled = known
            if scaled is not None and not isinstance(value, bool | str):
                # As it was written: the 2.3 of a text is not the float that is next to it.
                exact = value if isinstance(value, int) else Fraction(repr(value))
                fitting: Value | None = clean(scaled(exact))
                if fitting is None:
                    shown = f"{field}={value}".encode()
                    rejected.append(_rejected(device, shown, f"{name} is too large when scaled"))
                    continue
                value = fitting
            readings.append(Reading(device.label, name, value, time, clock))


def _rejected(device: Described, data: bytes, why: str) -> Rejected:
    """
    What is not taken of a row, with whose it is.
    """
    return Rejected(f"{device.record.address} ".encode()[:SAMPLE] + data[:SAMPLE], why)

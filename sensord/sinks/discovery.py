"""
What Home Assistant is told, so that devices and what they measure show up there by themselves: one
retained message for each device, in the form that it calls device discovery.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from hashlib import sha256
from math import ceil
from typing import Any, NamedTuple

from msgspec import json
from twisted.logger import Logger

from sensord import __version__
from sensord.brokers import Publication
from sensord.reading import Value
from sensord.sinks import Entry, Series
from sensord.sinks.topics import STATUS, deviceTopic, member, valueTopic

#: How many devices are announced, and how much of each. Without limits, a device that makes up
#: names would fill the memory, here and there, and each new name is one message with all of them.
_DEVICES, _COMPONENTS = 10_000, 200

#: A value has expired when its device is silent for so many of its intervals and seconds more.
_EXPIRED = 5.0, 60.0

#: By how much of itself that time has to change for the device to be announced again.
_CHANGE = 0.5


class Unit(NamedTuple):
    """
    What a unit says about a value.

    @ivar kind: the device class; empty if the unit is used for various ones.
    @ivar state: the state class.
    @ivar words: device classes by what a reading's name contains, before C{kind}.
    """

    kind: str = ""
    state: str = "measurement"
    words: Mapping[str, str] = {}


_LENGTH = {"rain": "precipitation", "precipitation": "precipitation"}
_SPEED = {"wind": "wind_speed", "gust": "wind_speed"}

#: All units that Home Assistant knows more about. Values in others are shown with their unit.
UNITS: Mapping[str, Unit] = {
    "°C": Unit("temperature"),
    "°F": Unit("temperature"),
    "K": Unit("temperature"),
    "%": Unit(words={"humid": "humidity", "moist": "moisture", "batter": "battery"}),
    "W": Unit("power"),
    "kW": Unit("power"),
    "VA": Unit("apparent_power"),
    "var": Unit("reactive_power"),
    "Wh": Unit("energy", "total_increasing"),
    "kWh": Unit("energy", "total_increasing"),
    "MWh": Unit("energy", "total_increasing"),
    "V": Unit("voltage"),
    "mV": Unit("voltage"),
    "A": Unit("current"),
    "mA": Unit("current"),
    "Hz": Unit("frequency"),
    "kHz": Unit("frequency"),
    "MHz": Unit("frequency"),
    "lx": Unit("illuminance"),
    "W/m²": Unit("irradiance"),
    "Pa": Unit("pressure"),
    "kPa": Unit("pressure"),
    "bar": Unit("pressure"),
    "psi": Unit("pressure"),
    "hPa": Unit("atmospheric_pressure"),
    "mbar": Unit("atmospheric_pressure"),
    "dBm": Unit("signal_strength"),
    "dB": Unit(words={"rssi": "signal_strength", "signal": "signal_strength"}),
    "ppm": Unit(words={"co2": "carbon_dioxide", "voc": "volatile_organic_compounds_parts"}),
    "ppb": Unit(words={"voc": "volatile_organic_compounds_parts"}),
    "µg/m³": Unit(words={"pm10": "pm10", "pm2": "pm25", "pm1": "pm1"}),
    "mm": Unit("distance", words=_LENGTH),
    "cm": Unit("distance", words=_LENGTH),
    "m": Unit("distance"),
    "km": Unit("distance"),
    "m/s": Unit("speed", words=_SPEED),
    "km/h": Unit("speed", words=_SPEED),
    "ms": Unit("duration"),
    "s": Unit("duration"),
    "min": Unit("duration"),
    "h": Unit("duration"),
    "d": Unit("duration"),
    "g": Unit("weight"),
    "kg": Unit("weight"),
    "L": Unit("volume_storage"),
    "m³": Unit("volume_storage", words={"gas": "", "water": ""}),
}

#: Other ways to write some of them.
SPELLINGS: Mapping[str, str] = {
    "C": "°C",
    "F": "°F",
    "degC": "°C",
    "degF": "°F",
    "lux": "lx",
    "μg/m³": "µg/m³",
    "ug/m3": "µg/m³",
    "m3": "m³",
    "l": "L",
}


class Kind(Enum):
    """
    What the values of a series have been so far. One that changes only ever becomes a text.
    """

    FLAG = "flag"
    NUMBER = "number"
    TEXT = "text"

    @classmethod
    def of(cls, value: Value) -> "Kind":
        """
        What a value is.
        """
        if isinstance(value, bool):
            return cls.FLAG
        return cls.TEXT if isinstance(value, str) else cls.NUMBER


class _Device:
    """
    A device as it was announced.

    @ivar components: what it measures: kinds and units by names.
    @ivar flags: names of what was a flag once, and is none any more.
    @ivar expiry: seconds after which its values have expired; 0 is never.
    @ivar crowded: whether it measures more than is announced.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.place = ""
        self.components: dict[str, tuple[Kind, str]] = {}
        self.flags: set[str] = set()
        self.expiry = 0
        self.crowded = False

    def meet(self, series: Series, value: Value) -> bool:
        """
        It has measured something.

        @return: whether that is news.
        """
        known, unit = self.components.get(series.name, (None, ""))
        if known is None and len(self.components) >= _COMPONENTS:
            self.crowded = True
            return False
        kind = Kind.of(value)
        if known is not None and kind is not known:
            kind = Kind.TEXT
        if (kind, series.unit) == (known, unit):
            return False
        if known is Kind.FLAG and kind is not known:
            self.flags.add(series.name)
        self.components[series.name] = kind, series.unit
        return True

    def expect(self, interval: float) -> bool:
        """
        It sends in an interval.

        @return: whether that is news.
        """
        factor, more = _EXPIRED
        expiry = ceil(interval * factor + more) if interval > 0 else 0
        if abs(expiry - self.expiry) <= self.expiry * _CHANGE:
            return False
        self.expiry = expiry
        return True

    def settle(self, place: str) -> bool:
        """
        It is somewhere.

        @return: whether that is news.
        """
        moved = place != self.place
        self.place = place
        return moved


class Discovery:
    """
    What was announced.

    @param root: what the topics of announcements begin with.
    @param prefix: what those of readings begin with.
    @param format: how readings are said.
    @param interval: seconds between what the device with an address sends; 0 if that is unknown.
    """

    _log = Logger()

    def __init__(
        self, root: str, prefix: str, format: str, interval: Callable[[str], float]
    ) -> None:
        self._root = root
        self._prefix = prefix
        self._objects = format == "json"
        self._interval = interval
        self._devices: dict[str, _Device] = {}
        self._said = False

    def meet(self, batch: Sequence[Entry]) -> list[Publication]:
        """
        Look at readings.

        @return: what is to be said before them.
        """
        news: dict[str, _Device] = {}
        latest: dict[str, Series] = {}
        for entry in batch:
            series = entry.series
            device = self._device(series.device)
            if device is None:
                continue
            latest[series.device] = series
            if device.meet(series, entry.value):
                news[series.device] = device
            elif device.crowded:
                self._enough()
        for name, series in latest.items():
            device = self._devices[name]
            expected = device.expect(self._interval(series.address))
            settled = device.settle(series.tags.get("place", ""))
            if expected or settled:
                news[name] = device
        return [self._announcement(device) for device in news.values()]

    def all(self) -> Iterable[Publication]:
        """
        Everything that is announced.
        """
        return [self._announcement(device) for device in self._devices.values()]

    def forget(self, device: str) -> str:
        """
        A device is gone for good.

        @return: the topic of its announcement, which is to be emptied.
        """
        self._devices.pop(device, None)
        return self._topic(device)

    def _device(self, name: str) -> _Device | None:
        device = self._devices.get(name)
        if device is None:
            if len(self._devices) >= _DEVICES:
                self._enough()
                return None
            device = self._devices[name] = _Device(name)
        return device

    def _enough(self) -> None:
        """
        Say once that there is too much.
        """
        if not self._said:
            self._said = True
            self._log.warn(
                "Home Assistant is told of {devices} devices and {components} values of each, and"
                " there are more",
                devices=_DEVICES,
                components=_COMPONENTS,
            )

    def _announcement(self, device: _Device) -> Publication:
        components: dict[str, Any] = {
            self._id(device.name, name, "flag"): {"p": "binary_sensor"} for name in device.flags
        }
        for name, (kind, unit) in device.components.items():
            component = self._component(device, name, kind, unit)
            components[component["uniq_id"]] = component
        about = {"ids": [self._id(device.name)], "name": device.name}
        if device.place:
            about["sa"] = device.place
        content = {
            "dev": about,
            "o": {"name": "sensord", "sw": __version__},
            "avty_t": f"{self._prefix}/{STATUS}",
            "qos": 1,
            "cmps": components,
        }
        return Publication(self._topic(device.name), json.encode(content), True)

    def _component(self, device: _Device, name: str, kind: Kind, unit: str) -> dict[str, Any]:
        """
        One of the things that a device measures.
        """
        made: dict[str, Any] = {"p": "sensor", "name": name}
        if kind is Kind.FLAG:
            made |= {"p": "binary_sensor", "pl_on": "true", "pl_off": "false"}
        elif kind is Kind.NUMBER:
            made |= _classes(name, unit)
        made["uniq_id"] = self._id(device.name, name, *(["flag"] if kind is Kind.FLAG else []))
        if device.expiry:
            made["exp_aft"] = device.expiry
        if self._objects:
            made["stat_t"] = deviceTopic(self._prefix, device.name)
            made["val_tpl"] = _template(name, kind)
        else:
            made["stat_t"] = valueTopic(self._prefix, device.name, name)
        return made

    def _topic(self, device: str) -> str:
        return f"{self._root}/device/{self._id(device)}/config"

    def _id(self, *names: str) -> str:
        """
        An id of letters, digits and underscores that nothing else has, whatever others call theirs.
        """
        digest = sha256(ascii((self._prefix, *names)).encode())
        words = re.sub("[^A-Za-z0-9]+", "_", "_".join(names[:2]))[:40].strip("_")
        return "_".join(filter(None, ("sensord", words, digest.hexdigest()[:12])))


def _classes(name: str, unit: str) -> dict[str, str]:
    """
    What can be said about a number.
    """
    unit = SPELLINGS.get(unit, unit)
    meant = UNITS.get(unit, Unit())
    said = name.lower()
    kind = next((kind for word, kind in meant.words.items() if word in said), meant.kind)
    about = {"unit_of_meas": unit, "dev_cla": kind, "stat_cla": meant.state}
    return {key: text for key, text in about.items() if text}


def _template(name: str, kind: Kind) -> str:
    """
    What takes a value out of an object. Of an object without it, nothing comes, which changes
    nothing.
    """
    literal = member(name).encode("unicode_escape").decode().replace("'", "\\'")
    lower = " | lower" if kind is Kind.FLAG else ""
    return f"{{{{ value_json.get('{literal}', ''){lower} }}}}"

"""
Who a wire address is, and what its values mean: frames to Readings.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct

from sensord.config import Settings
from sensord.listeners import ListenerSettings
from sensord.presence import Presence
from sensord.reading import Arrivals
from sensord.settings import DeviceSettings, ThresholdSettings, bound
from sensord.sources import Source, byField, byOrder, byPlace
from sensord.sources.frames import FrameSource
from sensord.sources.packets import PacketSource
from sensord.sources.push import PushSource
from sensord.sources.radio import RSSI, RadioSource
from sensord.sources.texts import LineSource, MessageSource
from sensord.sources.topics import TopicSource
from sensord.wires import MessageSettings, SubscriberSettings

#: When a value of a PoE Arduino is critical or a warning, unless the configuration says otherwise.
#: WATER has no rule: its status is undefined.
_POE_THRESHOLDS = (
    ThresholdSettings(name="fire.*", critical="== 0"),
    ThresholdSettings(name="smoke.*", warning=">= 160", critical=">= 200"),
    ThresholdSettings(name="motion.*", critical="== 1"),
    ThresholdSettings(name="humidity.*", critical=">= 80"),
    ThresholdSettings(name="temperature.*", critical="> 82"),
)

#: What the stock device sends over WebSockets.
_STOCK_COLUMNS = ("counter", "temperature")

#: How descriptions say which value of a frame they mean; elsewhere by the name on the wire.
_FIELDS = {"lines": byPlace, "serial": byPlace, "rfm2pi": byOrder}


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


class _Book:
    """
    The descriptions of one configuration. It never changes: what asks on another thread while there
    comes a new one sees either the one or the other.
    """

    def __init__(self, settings: Settings) -> None:
        self.listeners = {listener.name: listener for listener in settings.listeners}
        self.byAddress = {device.address: device for device in settings.devices}
        self.byLabel = {device.label: device for device in settings.devices}
        self.thresholds = settings.thresholds
        self.tags = settings.tags


class Devices:
    """
    All descriptions of the configuration.

    @param now: the time of day, in seconds since the epoch.
    @ivar presence: what was heard of the devices.
    """

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._book = _Book(settings)
        self.presence = Presence(self.label, now, self._interval)

    def revise(self, settings: Settings) -> None:
        """
        Hold by another configuration from now on. What decodes frames holds by the one that it was
        made with: it has to be made anew.
        """
        self._book = _Book(settings)
        self.presence.revise()

    def source(self, listener: ListenerSettings, arrivals: Arrivals) -> Source:
        """
        What decodes the frames of a listener.
        """
        return SOURCES[listener.wire](listener, self._book.byAddress, arrivals, self.presence)

    def label(self, address: str) -> str:
        """
        What the readings of a device are called by, given its address.
        """
        settings = self._book.byAddress.get(address)
        return settings.label if settings is not None else address

    def describe(self, device: str, name: str) -> Description:
        """
        What is known of the series C{name} of the device with the name or address C{device}.
        """
        book = self._book
        settings = book.byLabel.get(device) or book.byAddress.get(device) or DeviceSettings(device)
        listener = book.listeners.get(settings.address.partition("/")[0])
        wire = listener.wire if listener else ""
        form = _form(listener)
        described = _FIELDS.get(wire, byField)(settings.values)
        field, value = next(
            ((field, value) for field, value in described.items() if value.name == name),
            (name, None),
        )
        unit = value.unit if value else ""
        # What the originals say of their values holds for those that are as they sent them.
        original = value is None or (value.scale, value.offset) == (1, 0)
        if original and listener and not unit:
            unit = _unit(listener, field)
        return Description(
            address=settings.address,
            wire=wire,
            field=field,
            unit=unit,
            tags={**book.tags, **settings.tags},
            thresholds=_bounds(
                book.thresholds, device, name, field if original and form == "poe" else ""
            ),
        )

    def _interval(self, address: str) -> float | None:
        settings = self._book.byAddress.get(address)
        return None if settings is None else settings.interval


def _bounds(
    rules: Sequence[ThresholdSettings], device: str, name: str, field: str
) -> tuple[tuple[str, str, float], ...]:
    """
    The bounds that the configuration gives a series, or else those of the original.

    @param field: what the original calls it; empty if it has no say.
    """
    rule = _rule(rules, device, name) or _rule(_POE_THRESHOLDS, device, field)
    if rule is None:
        return ()
    texts = (("critical", rule.critical), ("warning", rule.warning))
    return tuple((status, *bound(text)) for status, text in texts if text)


def _form(listener: ListenerSettings | None) -> str:
    """
    In what form values come by a listener: its wire format, or what its messages are full of.
    """
    if listener is None:
        return ""
    return listener.payload if isinstance(listener, SubscriberSettings) else listener.wire


def _unit(listener: ListenerSettings, field: str) -> str:
    """
    The unit in which the original sent a value; empty if it has none, or if nobody knows.

    @param field: what the wire calls it.
    """
    if _form(listener) == "poe" and field.startswith("temperature."):
        return "°F"
    if isinstance(listener, MessageSettings) and field == "temperature":
        # Who names the columns anew may have other devices.
        return "°C" if listener.columns == _STOCK_COLUMNS else ""
    if listener.wire == "rfm2pi" and field.rstrip("_") == RSSI:
        return "dBm"
    return ""


def _rule(rules: Sequence[ThresholdSettings], device: str, name: str) -> ThresholdSettings | None:
    """
    The first rule that fits.
    """
    for rule in rules:
        if fnmatchcase(device, rule.device) and fnmatchcase(name, rule.name):
            return rule
    return None


#: What decodes each wire format.
SOURCES: dict[str, Callable[[Any, Mapping[str, DeviceSettings], Arrivals, Presence], Source]] = {
    "esp8266": PacketSource,
    "poe": FrameSource,
    "lines": LineSource,
    "websocket": MessageSource,
    "serial": LineSource,
    "rfm2pi": RadioSource,
    "mqtt": TopicSource,
    "http": PushSource,
}

"""
Devices whose values bear names on the wire, with what a description says of them.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from sensord.presence import Record
from sensord.reading import Value
from sensord.settings import DeviceSettings
from sensord.sources import byField, unlike
from sensord.wire import packing

#: What a value is called, and how it is scaled.
Known = tuple[str, Callable[[Any], Value] | None]


class Room(Struct):
    """
    How many more series can begin that have no description.
    """

    left: int


class Described:
    """
    What is known of one device.

    @ivar label: what its readings call it.
    @ivar record: when it was heard.
    @ivar values: by what the wire calls them: what they are called, and how they are scaled.
    @ivar described: whether the description has any.
    """

    def __init__(self, settings: DeviceSettings, record: Record) -> None:
        self.label = settings.label
        self.record = record
        self.values: dict[str, Known] = {
            field: (value.name, packing.scaler(value.scale, value.offset))
            for field, value in byField(settings.values).items()
        }
        self._names = {name for name, _scaled in self.values.values()}
        self.described = bool(self.values)

    def learn(self, field: str, room: Room) -> Known | None:
        """
        A value that is not described keeps its name, as long as there is room for it.
        """
        if not room.left:
            return None
        room.left -= 1
        name = unlike(field, self._names)
        self._names.add(name)
        known = self.values[field] = (name, None)
        return known

"""
Pretend radio nodes: what they measure, and what they can be told.
"""

from random import Random

from msgspec import Struct
from twisted.logger import Logger

from sensord.pretend.steady import Wander
from sensord.settings import TransmitSettings, ValueSettings
from sensord.wire.packing import Number, layout, pack, scaler, unscaler

#: The ids that nodes can have, in the order in which they get one. 15 is the usual id of the radio
#: module itself, and 0 and 31 have meanings of their own.
IDS = (*range(10, 15), *range(16, 31), *range(1, 10))


class Model(Struct, frozen=True):
    """
    What nodes of one kind are like.

    @ivar values: what they measure. One named C{msg} counts the messages instead.
    @ivar ranges: for each of the values, the least, the most, and how much it changes at most from
        one message to the next.
    @ivar transmit: what they can be told: values that they show from then on.
    """

    values: tuple[ValueSettings, ...]
    ranges: tuple[tuple[float, float, float], ...]
    transmit: tuple[TransmitSettings, ...] = ()


_METER = Model(
    (
        ValueSettings("power1", "h", unit="W"),
        ValueSettings("power2", "h", unit="W"),
        ValueSettings("voltage", "H", scale=0.01, unit="V"),
    ),
    ((80, 3500, 100), (-2000, 0, 50), (228, 242, 0.5)),
)

_ROOM = Model(
    (
        ValueSettings("temperature", "h", scale=0.1, unit="°C"),
        ValueSettings("humidity", "h", scale=0.1, unit="%"),
        ValueSettings("battery", "H", scale=0.001, unit="V"),
    ),
    ((17, 24, 0.1), (35, 65, 0.3), (2.4, 3.2, 0.002)),
)

_OUTDOORS = Model(
    (
        ValueSettings("msg", "H"),
        ValueSettings("temperature", "h", scale=0.1, unit="°C"),
        ValueSettings("battery", "H", scale=0.001, unit="V"),
    ),
    ((0, 0, 0), (-5, 15, 0.2), (2.4, 3.2, 0.002)),
)

_RADIATOR = Model(
    (
        ValueSettings("temperature", "h", scale=0.1, unit="°C"),
        ValueSettings("target", "h", scale=0.1, unit="°C"),
        ValueSettings("valve", "h", unit="%"),
    ),
    ((17, 24, 0.1), (20, 20, 0), (0, 100, 3)),
    (TransmitSettings("target", "h", scale=0.1),),
)

_MODELS = (_METER, _ROOM, _OUTDOORS, _RADIATOR)


class Node:
    """
    A radio node.

    @ivar id: one of L{IDS}.
    @ivar model: what it is like.
    @ivar told: what it was told last, by name.
    """

    _log = Logger()

    def __init__(self, number: int, random: Random) -> None:
        """
        @param number: from 1 to as many as there are L{IDS}.
        """
        self.id = IDS[number - 1]
        self.told: dict[str, float] = {}
        self.model = model(number)
        self._wanders = [Wander(random, *limits) for limits in self.model.ranges]
        self._unscalers = [unscaler(v.type, v.scale, v.offset) for v in self.model.values]
        self._messages = 0

    def measure(self) -> bytes:
        """
        What it sends now.
        """
        self._messages += 1
        raws: list[Number] = []
        for value, wander, raw in zip(
            self.model.values, self._wanders, self._unscalers, strict=True
        ):
            if value.name == "msg":
                raws.append(self._messages & 0xFFFF)
            else:
                raws.append(raw(self.told.get(value.name, wander.read())))
        return pack([value.type for value in self.model.values], raws)

    def hear(self, data: bytes) -> None:
        """
        It is told something. What is not as long as it expects, it ignores.
        """
        expected = self.model.transmit
        packing = layout(one.type for one in expected)
        if not expected or len(data) != packing.size:
            return
        for one, raw in zip(expected, packing.unpack(data), strict=True):
            scaled = scaler(one.scale, one.offset)
            self.told[one.name] = value = scaled(raw) if scaled else raw
            self._log.info(
                "pretend node {id}: {name} is {value}", id=self.id, name=one.name, value=value
            )


def model(number: int) -> Model:
    """
    What the node with a number is like.
    """
    return _MODELS[(number - 1) % len(_MODELS)]

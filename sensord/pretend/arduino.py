"""
Pretend PoE Arduinos.
"""

from random import Random
from typing import TYPE_CHECKING

from sensord.pretend.steady import Steady
from sensord.reading import ACCEPTED, REFUSED
from sensord.wire import poe

if TYPE_CHECKING:
    from sensord.simulate import Fleet

#: What the sensors of an Arduino show: the least, the most, and the chance that it changes by one
#: from one burst to the next. 1 is the normal state of FIRE.
_RANGES = {
    "fire": (1, 1, 0.0),
    "smoke": (20, 60, 0.5),
    "motion": (0, 1, 0.05),
    "humidity": (30, 60, 0.2),
    "temperature": (65, 75, 0.2),
    "water": (0, 5, 0.1),
}

#: The chance that a burst shows smoke where there was none.
_SPIKE = 0.002

#: How many sensors each has.
_SENSORS = 21


class Arduino(Steady):
    """
    A PoE Arduino. It keeps one connection and sends what all its sensors show, again and again. A
    device of this kind is known by its address: on loopback each comes from one of its own.
    """

    def __init__(self, fleet: "Fleet", number: int) -> None:
        high, low = divmod(number - 1, 254)
        super().__init__(fleet, number, _SENSORS / fleet.rate, f"127.0.{high + 1}.{low + 1}")
        self._sensors = [_Sensor(id, self._random) for id in range(1, _SENSORS + 1)]
        self._opt = poe.INITIALIZATION

    def begin(self) -> None:
        """
        See L{Steady.begin}.
        """
        self._opt = poe.INITIALIZATION
        self.go()

    def hear(self, data: bytes) -> None:
        """
        See L{Steady.hear}.
        """
        self.answer(data.count(ACCEPTED), data.count(REFUSED))

    def burst(self) -> None:
        """
        See L{Steady.burst}.
        """
        frames = [(self._opt, one.id, one.type, one.read()) for one in self._sensors]
        self._opt = poe.POST
        self.write(poe.encode(frames), len(frames), len(frames))


class _Sensor:
    """
    One sensor of an Arduino, whose value wanders within believable limits.
    """

    def __init__(self, id: int, random: Random) -> None:
        self.id = id
        self.type = id % len(poe.TYPES)
        self._random = random
        self._least, self._most, self._chance = _RANGES[poe.TYPES[self.type]]
        self._value = random.randint(self._least, self._most)

    def read(self) -> int:
        """
        What it shows now.
        """
        random = self._random
        if random.random() < self._chance:
            step = random.choice((-1, 1))
            self._value = min(max(self._value + step, self._least), self._most)
        if poe.TYPES[self.type] == "smoke" and random.random() < _SPIKE:
            return random.randint(160, 255)
        return self._value

"""
Pretend meters that write lines.
"""

from typing import TYPE_CHECKING

from sensord.pretend.steady import Steady, Wander
from sensord.settings import ValueSettings
from sensord.wire import lines

if TYPE_CHECKING:
    from sensord.simulate import Fleet

#: What each measures, in the order of its lines.
VALUES = (
    ValueSettings("power", field="1", unit="W"),
    ValueSettings("battery", field="2", unit="V"),
    ValueSettings("temperature", field="3", unit="°C"),
)


class Meter(Steady):
    """
    A meter that keeps one connection and writes a line now and then: its number, a power in watts,
    the voltage of its battery and a temperature. It understands nothing but the answers to them.
    """

    def __init__(self, fleet: "Fleet", number: int) -> None:
        super().__init__(fleet, number)
        self._number = number
        self._kept = b""  # of an answer that is not over
        self._power = Wander(self._random, 0, 3000, 50)
        self._battery = Wander(self._random, 2.9, 3.3, 0.005)
        self._temperature = Wander(self._random, 15, 30, 0.1)

    def begin(self) -> None:
        """
        See L{Steady.begin}.
        """
        self._kept = b""
        self.go()

    def hear(self, data: bytes) -> None:
        """
        See L{Steady.hear}.
        """
        *said, rest = (self._kept + data).split(b"\n")
        self._kept = rest[: lines.MAX_LINE]
        for line in said:
            word, _blank, why = line.strip().partition(b" ")
            if word == b"ok":
                self.answer(1, 0)
            elif word == b"error":
                self.answer(0, 1, why.decode("ascii", "backslashreplace"))

    def burst(self) -> None:
        """
        See L{Steady.burst}.
        """
        values = (
            round(self._power.read()),
            round(self._battery.read(), 3),
            round(self._temperature.read(), 2),
        )
        line = lines.encode(lines.Line(self._number, values), self._fleet.key)
        self.write(line, 1, len(values))

"""
What the tests of the sources share: a clock that is driven by hand, and something to decode.
"""

from twisted.internet.task import Clock as HandClock
from twisted.trial.unittest import SynchronousTestCase

from sensord.reading import Intake, Value
from sensord.settings import DeviceSettings
from sensord.wire import Skipped

SECOND = 1_000_000

#: When the hand-driven clock starts, in seconds since the epoch.
START = 1795194650

#: The same in microseconds.
NOW = START * SECOND

HOST = "192.168.1.7"

PIECE = Skipped(b"\x01\x02", "a piece")


class SourceTestCase(SynchronousTestCase):
    """
    A test of what decodes a wire format.
    """

    def setUp(self) -> None:
        """
        Start the clock.
        """
        self.clock = HandClock()
        self.clock.advance(START)


class CountingDevices(dict[str, DeviceSettings]):
    """
    Descriptions that count how often they are asked for.
    """

    asked = 0

    def get(self, address: str, default: object = None) -> None:  # type: ignore[override]
        """
        Find nothing.
        """
        self.asked += 1


def named(intake: Intake) -> list[tuple[str, Value]]:
    """
    The names and values of all readings.
    """
    return [(reading.name, reading.value) for reading in intake.readings]

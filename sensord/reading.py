"""
The values that flow: what was measured, and what became of one chunk of bytes.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

from msgspec import Struct

Value = float | int | bool | str


class Clock(Enum):
    """
    Where the time of a reading came from.

    @ivar code: the small number that stands for it in the database.
    """

    code: int

    def __new__(cls, text: str, code: int) -> "Clock":
        member = object.__new__(cls)
        member._value_ = text
        member.code = code
        return member

    #: The device said it.
    DEVICE = "device", 0
    #: Computed back from the arrival by the device's intervals.
    BACKDATED = "backdated", 1
    #: The moment at which the bytes arrived here.
    ARRIVAL = "arrival", 2


class Reading(Struct, frozen=True, gc=False):
    """
    One measured value of one device at one moment.

    @ivar device: the device's name, or its address until it is described.
    @ivar name: what was measured, e.g. C{temperature}.
    @ivar value: always finite; an int fits 64 signed bits.
    @ivar time: microseconds since the Unix epoch, UTC.
    @ivar clock: where C{time} came from.
    """

    device: str
    name: str
    value: Value
    time: int
    clock: Clock


class Rejected(NamedTuple):
    """
    Something received that is no reading and never will be: it is counted, not kept.

    @ivar data: the bytes, or the beginning of them.
    @ivar why: the reason, for the log.
    """

    data: bytes
    why: str


class Quarantined(NamedTuple):
    """
    A frame that was understood but has no description yet: it is kept for a later decoding.

    @ivar time: when it arrived, in microseconds since the epoch.
    @ivar peer: the host that sent it.
    @ivar data: the whole frame as the wire format encodes it.
    @ivar why: what is missing.
    @ivar wire: the wire format that it is a frame of.
    """

    time: int
    peer: str
    data: bytes
    why: str
    wire: str


class Intake(Struct, gc=False):
    """
    What one chunk of bytes came to. Each reading, rejected item and quarantined frame counts
    as one received item in the ledger.

    @ivar answer: what a device that asked for acknowledgements is told after the commit, in the
        words of its wire format.
    @ivar devices: the addresses of the devices that can be reached where these came from.
    """

    readings: list[Reading]
    answer: bytes = b""
    rejected: Sequence[Rejected] = ()
    quarantined: Sequence[Quarantined] = ()
    devices: Sequence[str] = ()

    @property
    def received(self) -> int:
        """
        How many items these are in the ledger.
        """
        return len(self.readings) + len(self.rejected) + len(self.quarantined)


#: The answers of the binary formats, for each frame in its order.
ACCEPTED = b"\x06"
REFUSED = b"\x15"


#: By how many microseconds stamps go on where they were when the clock is set back. One that was
#: wrong by days and is mended would have all stamps wrong for as long otherwise.
_LEAD = 10_000_000


class Arrivals:
    """
    Stamps what arrives. Stamps are strictly increasing, at least one microsecond apart, so that
    two readings of one series never share a time: also while the wall clock is being corrected by
    small steps. When it is set back by more than ten seconds, stamps follow it.

    @param seconds: the wall clock, in seconds since the epoch.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._next = 0

    def take(self, count: int = 1) -> int:
        """
        Reserve a run of stamps.

        @param count: how many.
        @return: the first of them, in microseconds since the epoch; the others follow it one
            microsecond apart.
        """
        first = int(self._seconds() * 1_000_000)
        if first < self._next <= first + _LEAD:
            first = self._next
        self._next = first + count
        return first

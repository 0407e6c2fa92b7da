"""
poe: the frames of PoE Arduinos.

A persistent connection carries any number of frames of exactly four bytes, split anywhere:

    ======  ====  ==================================================================
    offset  type  meaning
    ======  ====  ==================================================================
    0       u8    opt: 0 INITIALIZATION, 1 POST
    1       u8    id of the sensor
    2       u8    type: 0 FIRE (0 is alarm), 1 SMOKE, 2 MOTION, 3 HUMIDITY, 4 TEMPERATURE, 5 WATER
    3       u8    data (TEMPERATURE in degrees Fahrenheit)
    ======  ====  ==================================================================

Example, FIRE is 1 at sensor 255: C{01 ff 00 01}. Any four bytes are a frame; what an unknown type
means is not for the parser to say. No reply is needed.
"""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import NamedTuple

from sensord.wire import Skipped

INITIALIZATION, POST = 0, 1

#: The name of each type, at the place of its number.
TYPES = ("fire", "smoke", "motion", "humidity", "temperature", "water")

_FRAME = Struct("4B")


class Frame(NamedTuple):
    """
    One frame, with its fields as the wire has them. L{FrameParser} yields plain tuples of this
    shape, since they come out of C{iter_unpack} by the thousand.
    """

    opt: int
    id: int
    type: int
    data: int


class FrameParser:
    """
    Cuts a stream into frames. It keeps three bytes at most.
    """

    finished = False

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Sequence[tuple[int, ...] | Skipped]:
        """
        Take in some bytes.

        @return: a plain tuple C{(opt, id, type, data)} for each frame.
        """
        if self._rest:
            data = self._rest + data
        whole = len(data) & ~3
        self._rest = data[whole:]
        return list(_FRAME.iter_unpack(data[:whole]))

    def close(self) -> Sequence[tuple[int, ...] | Skipped]:
        """
        The peer will send no more: what is left is a piece of a frame.
        """
        rest, self._rest = self._rest, b""
        return [Skipped(rest, f"{len(rest)} of 4 bytes at the end")] if rest else []


def encode(frames: Iterable[tuple[int, ...]]) -> bytes:
    """
    The bytes of some frames.

    @param frames: L{Frame}s or tuples of their shape.
    @raise struct.error: for a field outside of 0..255.
    """
    return b"".join(_FRAME.pack(*frame) for frame in frames)

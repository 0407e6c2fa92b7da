"""
The wire formats: bytes to frames and back. Plain Python: no Twisted, no clock, no I/O.

The contract of every parser here:

  - it is fed bytes and returns the events that they complete;
  - it keeps what it cannot use yet, and never more than its limit;
  - it returns the same events in the same order however the bytes were cut;
  - it never raises for anything that a peer can send: what it cannot understand comes out
    as L{Skipped}, in its place among the frames;
  - its cost is linear in the bytes.

A pure C{encode} stands beside each parser. The format itself is specified in the docstring of
its module and nowhere else.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from msgspec import Struct

#: How many bytes of something skipped are kept to show in the log. Without a limit, a stream of
#: garbage would be copied into it.
SAMPLE = 64


class Skipped(Struct, frozen=True):
    """
    Bytes that are no frame.

    @ivar data: at most the first L{SAMPLE} of them.
    @ivar why: what is wrong with them.
    """

    data: bytes
    why: str


Frame = TypeVar("Frame", covariant=True)


class Parser(Protocol[Frame]):
    """
    What every parser offers.

    @ivar finished: whether nothing more can come over this link, so that it may be closed.
    """

    finished: bool

    def feed(self, data: bytes) -> Sequence[Frame | Skipped]:
        """
        Take in some bytes.

        @return: the frames that they complete, and what had to be skipped.
        """

    def close(self) -> Sequence[Frame | Skipped]:
        """
        The peer will send no more.

        @return: what can be made of the bytes that were kept.
        """

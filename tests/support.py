"""
What many tests share: real implementations of our interfaces, and checks of their contracts.
"""

import gc
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle
from random import Random

from hypothesis import settings, strategies
from hypothesis.configuration import set_hypothesis_home_dir
from twisted.trial.unittest import SynchronousTestCase

from sensord.wire import Parser

# What hypothesis caches goes into the folder that the tests run in, which trial cleans up.
set_hypothesis_home_dir(".hypothesis")

#: What every hypothesis test here runs with: no time limit for one example, since machines differ,
#: and no memory of earlier runs.
PROPERTY = settings(deadline=None, database=None)

#: Ways to cut a stream: the sizes of its chunks, to be taken in turn.
SIZES = strategies.lists(strategies.integers(1, 40), min_size=1, max_size=8)

#: How many chunk sequences L{assertParses} draws, and from which seed.
_DRAWS, _SEED = 20, 2026

#: What the objects of a parser may take up besides the bytes that it keeps.
_OVERHEAD = 4096

#: How many bytes stand for a stream that never ends.
_ENDLESS = 2**18


def slices(stream: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """
    Cut a stream into chunks.

    @param sizes: how long the chunks are, begun anew when they are used up.
    """
    start = 0
    for size in cycle(sizes):
        if start >= len(stream):
            return
        yield stream[start : start + size]
        start += size


def collect(parser: Parser[object], chunks: Iterable[bytes]) -> list[object]:
    """
    All events that a parser yields for some chunks and for the end behind them.
    """
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return [*events, *parser.close()]


def assertParses(
    case: SynchronousTestCase,
    parser: Callable[[], Parser[object]],
    stream: bytes,
    events: Sequence[object],
) -> None:
    """
    Check that a stream and its end yield the same events however the stream is cut: whole, in two
    at every position, byte by byte, with empty chunks between, and in chunks of random sizes.

    @param parser: makes a fresh parser.
    @param events: all that must come out, in this order.
    """
    for cut, chunks in _cuts(stream):
        case.assertEqual(collect(parser(), chunks), list(events), f"of {stream!r} {cut}")


def _cuts(stream: bytes) -> Iterator[tuple[str, Iterable[bytes]]]:
    """
    Ways to cut a stream, each with its name.
    """
    yield "whole", [stream]
    for position in range(1, len(stream)):
        yield f"cut in two at {position}", [stream[:position], stream[position:]]
    single = list(slices(stream, [1]))
    yield "byte by byte", single
    yield "byte by byte with empty chunks between", [b for byte in single for b in (b"", byte, b"")]
    random = Random(_SEED)
    for _draw in range(_DRAWS):
        sizes = [random.randint(1, max(1, len(stream) // 2)) for _size in range(8)]
        yield f"in chunks of {sizes}", slices(stream, sizes)


def assertBounded(
    case: SynchronousTestCase,
    parser: Callable[[], Parser[object]],
    opening: bytes,
    limit: int,
) -> None:
    """
    Check that a parser keeps no more than its limit of a stream that never ends, neither when
    the stream comes in small chunks nor when it comes in a huge one.

    @param parser: makes a fresh parser.
    @param opening: what the stream begins with; zeros follow.
    @param limit: how many bytes the parser may keep.
    """
    for size in (_ENDLESS, 4096, 64):
        # Chunks are made while memory is traced, so that one that is held on to counts.
        tracemalloc.start()
        try:
            fed = parser()
            fed.feed(opening + bytes(size))
            for _chunk in range(_ENDLESS // size):
                fed.feed(bytes(size))
            gc.collect()  # also empties the interpreter's own stock of spare tuples
            kept, _peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        case.assertLess(kept, limit + _OVERHEAD, f"bytes kept, {opening!r} in chunks of {size}")

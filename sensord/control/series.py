"""
What the control API tells of series over time: for charts, and for sparklines.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from sensord.control.answers import History, Names
from sensord.control.asked import Some, Span
from sensord.control.asking import answered
from sensord.control.query import Fault, duration, instant, parameters
from sensord.store import thinning
from sensord.store.archive import Point
from sensord.store.service import Store
from sensord.store.thinning import Dot

#: The most devices whose sparklines are told at a time: those of thousands would take so long that
#: nothing else were read meanwhile.
MAX_DEVICES = 50

#: The span of a sparkline, in microseconds, and the most dots of one.
_HOUR, _DOTS = 3_600_000_000, 60


class Sparklines(Struct, frozen=True):
    """
    The last hour of all that some devices have measured.

    @ivar devices: by what they were called in the request, then by the names of the readings.
    """

    devices: Mapping[str, Mapping[str, Sequence[Dot]]]


async def history(request: Any, names: Names, store: Store, now: float) -> History:
    """
    A series over time.

    @param now: in seconds since the epoch.
    @raise Fault: if that makes no sense.
    """
    asked = parameters(request, Span)
    device = names.label(asked.device)
    start, end = instant("start", asked.start, now), instant("end", asked.end, now)
    step = duration("step", asked.step)
    points = await _points(store, device, asked, start, end, step)
    return History(device, asked.name, start, end, step, points)


async def sparklines(request: Any, names: Names, store: Store, now: float) -> Sparklines:
    """
    The last hour of some devices.

    @param now: in seconds since the epoch.
    @raise Fault: if they are too many.
    """
    asked = parameters(request, Some).device
    if len(asked) > MAX_DEVICES:
        raise Fault(400, f"device: is given {len(asked)} times; {MAX_DEVICES} are the most")
    end = int(now * 1e6) + 1
    found = {}
    for device in dict.fromkeys(asked):
        job = partial(thinning.sparks, names.label(device), end - _HOUR, end, _DOTS)
        found[device] = await answered(store.read(job))
    return Sparklines(found)


async def _points(
    store: Store, device: str, asked: Span, start: int, end: int, step: int
) -> Sequence[Point]:
    """
    The points of a series.

    @raise Fault: if they are not to be had so.
    """
    if not asked.points:
        return await answered(store.history(device, asked.name, start, end, step))
    if step:
        raise Fault(400, "points: goes without a step")
    if asked.points == 1:
        raise Fault(400, "points: the least and the greatest number are two at least")
    job = partial(thinning.begin, device, asked.name, start, end, asked.points)
    found, rest = await answered(store.read(job))
    made = list(found)
    while rest is not None:  # a piece at a time, so that others may ask in between
        found, rest = await answered(store.read(partial(thinning.proceed, rest)))
        made += found
    return made

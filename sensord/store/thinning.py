"""
Series with far fewer points than readings, for charts: of each stretch of time its least and its
greatest number, at their own times. All of these are jobs for
L{Store.read<sensord.store.service.Store.read>}.
"""

import sqlite3
from collections.abc import Sequence

from msgspec import Struct

from sensord.store.archive import Point

#: How many readings are looked at in one go. Without a limit, a chart of years would let nobody
#: else read for as long as it takes to make it.
_LOOK = 200_000

#: How many series of one device have a sparkline. Without a limit, the one of a device that makes
#: up names would fill the memory.
MAX_SERIES = 100

#: Truth values count as 0 and 1, texts are left out.
_NUMBER = "CASE typeof(value) WHEN 'blob' THEN value = X'74727565' ELSE value END"
_WHERE = (
    "FROM readings WHERE series = :series AND time >= :start AND time < :end"
    " AND typeof(value) != 'text'"
)
_ROWS = f"SELECT time, {_NUMBER} {_WHERE} ORDER BY time LIMIT :most"
_LAST = f"SELECT time {_WHERE} ORDER BY time DESC LIMIT 1"
# A bare column beside one min or max is of the row that has it.
_LEAST = f"SELECT time, min({_NUMBER}), count(*) {_WHERE}"
_MOST = f"SELECT time, max({_NUMBER}) {_WHERE}"

#: A number and its time, in microseconds since the epoch.
Dot = tuple[int, float]


class Rest(Struct, frozen=True):
    """
    What of a series has still to be looked at.

    @ivar series: its id.
    @ivar start: where to go on, in microseconds since the epoch.
    @ivar end: likewise, not included.
    @ivar width: how long one stretch is, in microseconds.
    """

    series: int
    start: int
    end: int
    width: int


def begin(
    device: str, name: str, start: int, end: int, points: int, connection: sqlite3.Connection
) -> tuple[Sequence[Point], Rest | None]:
    """
    Begin to thin a series.

    @param start: microseconds since the epoch, included.
    @param end: likewise, not included.
    @param points: how many it may become; two at least.
    @return: all of it, if it has no more readings than that; else nothing yet, and what is to be
        given to L{proceed}.
    """
    row = connection.execute(
        "SELECT id FROM series WHERE device = ? AND name = ?", (device, name)
    ).fetchone()
    if row is None:
        return (), None
    dots, rest = _begin(row[0], start, end, points, connection)
    return [_point(dot) for dot in dots], rest


def proceed(
    rest: Rest, connection: sqlite3.Connection, look: int = _LOOK
) -> tuple[Sequence[Point], Rest | None]:
    """
    Go on with thinning a series: at one go no more than is read quickly.

    @param look: when so many readings were looked at, it is enough.
    @return: what came of it, and what is left; L{None} if nothing is.
    """
    dots, left = _proceed(rest, look, connection)
    return [_point(dot) for dot in dots], left


def sparks(
    device: str, start: int, end: int, points: int, connection: sqlite3.Connection
) -> dict[str, Sequence[Dot]]:
    """
    All series of a device, thinned, by their names; those without numbers are left out.

    @param start: as for L{begin}, and so on.
    """
    rows = connection.execute(
        "SELECT name, id FROM series WHERE device = ? ORDER BY name LIMIT ?", (device, MAX_SERIES)
    ).fetchall()
    found: dict[str, Sequence[Dot]] = {}
    for name, series in rows:
        dots, rest = _begin(series, start, end, points, connection)
        while rest is not None:
            more, rest = _proceed(rest, _LOOK, connection)
            dots = [*dots, *more]
        if dots:
            found[name] = dots
    return found


def _begin(
    series: int, start: int, end: int, points: int, connection: sqlite3.Connection
) -> tuple[Sequence[Dot], Rest | None]:
    values = {"series": series, "start": start, "end": end, "most": points + 1}
    dots = connection.execute(_ROWS, values).fetchall()
    if len(dots) <= points:
        return dots, None
    first = dots[0][0]
    (last,) = connection.execute(_LAST, values).fetchone()
    width = -((first - last - 1) // (points // 2))
    return [], Rest(series, first, last + 1, width)


def _proceed(
    rest: Rest, look: int, connection: sqlite3.Connection
) -> tuple[Sequence[Dot], Rest | None]:
    dots: list[Dot] = []
    looked, start = 0, rest.start
    while start < rest.end and looked < look:
        upto = min(start + rest.width, rest.end)
        values = {"series": rest.series, "start": start, "end": upto}
        time, least, count = connection.execute(_LEAST, values).fetchone()
        if count:
            pair = {(time, least), connection.execute(_MOST, values).fetchone()}
            dots += sorted(pair)
        looked += count
        start = upto
    left = Rest(rest.series, start, rest.end, rest.width) if start < rest.end else None
    return dots, left


def _point(dot: Dot) -> Point:
    time, number = dot
    return Point(time, number, number, number, 1)

"""
What requests to the control API can say: their parameters, and their bodies.
"""

from typing import Annotated

from msgspec import Meta, Struct

#: The most rows of one answer: more would fill the memory for a question that nobody meant.
MAX_ROWS = 10_000

#: The most points of a thinned series: a screen has no room for more.
MAX_POINTS = 10_000


class Nothing(Struct):
    """
    No parameters.
    """


class OneSeries(Struct):
    """
    Some series: those of a device, those with a name, or both.
    """

    device: str = ""
    name: str = ""


class Span(Struct):
    """
    A series over time.

    @ivar step: how long one point stands for.
    @ivar points: how many there may be at the most: of each stretch of time the least and the
        greatest number. 0 is any number.
    """

    device: str
    name: str
    start: str = "24h"
    end: str = "0s"
    step: str = "0"
    points: Annotated[int, Meta(ge=0, le=MAX_POINTS)] = 0


class Some(Struct):
    """
    Some devices, by their names or addresses.
    """

    device: list[str]


class Limit(Struct):
    """
    How many at the most.
    """

    limit: Annotated[int, Meta(ge=1, le=MAX_ROWS)] = 100


class Frames(Limit):
    """
    Frames of a listener; empty is all.
    """

    listener: str = ""


class Letters(Limit):
    """
    Dead letters of a sink; empty is all.
    """

    sink: str = ""


class Patterns(Struct):
    """
    Which devices and readings are meant, with C{*} and C{?}.

    @ivar last: the id of the last event that was heard, for those who cannot say it in the header
        C{Last-Event-ID}.
    """

    device: str = "*"
    name: str = "*"
    last: str = ""


class Extract(Struct):
    """
    Which readings are exported: patterns with C{*} and C{?}, and a span of time.
    """

    device: str = "*"
    name: str = "*"
    start: str = "forever"
    end: str = "forever"


class Place(Struct):
    """
    A device, by its address or its name.
    """

    address: str


class Order(Struct):
    """
    A command.

    @ivar address: of a device, or its name; or C{all}.
    """

    address: str
    variable: str
    value: float

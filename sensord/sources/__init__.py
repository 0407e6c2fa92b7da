"""
From frames to readings: what decodes each wire format.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import isfinite
from typing import Any, Protocol

from sensord.reading import Intake, Value
from sensord.settings import ValueSettings

_MAX_INT = 2**63 - 1

#: What is believed to be a counter of messages. Without a limit, a peer whose counter jumps there
#: and back would soon have missed more messages than a database can count.
_COUNTERS = range(-(2**31), 2**32)


class Source(Protocol):
    """
    Decodes what comes in by one listener.

    @ivar oddities: how many frames were stored although something about them was odd.
    """

    oddities: int

    def decode(self, host: str, events: Sequence[Any]) -> Intake:
        """
        Turn the events of the listener's parser into what can be stored.

        @param host: the network address of the peer that they came from.
        """


def clean(value: Value) -> Value | None:
    """
    A value as a Reading may have it, L{None} if it is not finite.
    """
    if isinstance(value, float):
        return value if isfinite(value) else None
    # An u64 may be larger than anything that databases store as an integer.
    return float(value) if isinstance(value, int) and value > _MAX_INT else value


def counted(value: int | float) -> int | None:
    """
    A value as a counter of messages, L{None} if it can be none.
    """
    if isinstance(value, float):
        if not value.is_integer():
            return None
        value = int(value)
    return value if value in _COUNTERS else None


def byField(values: Iterable[ValueSettings]) -> dict[str, ValueSettings]:
    """
    Described values by what the wire calls them, for formats that name their values themselves: by
    their field, and those that have none by their name.
    """
    return {value.field or value.name: value for value in values}


def byPlace(values: Iterable[ValueSettings]) -> dict[str, ValueSettings]:
    """
    The same for formats that number their values, from C{1} on, and may send more or fewer of them:
    by their field, and those that have none by their place in the description.
    """
    values = tuple(values)
    places = {value.field: value for value in values if value.field}
    for place, value in enumerate(values, 1):
        if not value.field:
            places.setdefault(str(place), value)
    return places


def byOrder(values: Iterable[ValueSettings]) -> dict[str, ValueSettings]:
    """
    The same for formats whose values are nothing but bytes in the order of the description.
    """
    return {str(place): value for place, value in enumerate(values, 1)}


def named(fields: Sequence[str], described: Mapping[str, ValueSettings]) -> tuple[str, ...]:
    """
    What the values of one frame are called. No two are called the same: they share a time, so that
    one of them would be lost.

    @param fields: what the wire calls them. What is not described keeps this name, with a C{_}
        behind it if another value has that.
    @param described: the descriptions by field.
    """
    taken = {described[field].name for field in fields if field in described}
    names = []
    for field in fields:
        if field in described:
            names.append(described[field].name)
            continue
        name = unlike(field, taken)
        taken.add(name)
        names.append(name)
    return tuple(names)


def unlike(name: str, taken: Iterable[str]) -> str:
    """
    A name that is not taken: this one, or it with C{_} behind it.
    """
    taken = set(taken)
    while name in taken:
        name += "_"
    return name


def reachable(heard: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """
    All addresses of the devices that were heard in one chunk, each once.

    @param heard: those of each. If they are all the same, this very tuple is returned.
    """
    found = tuple(dict.fromkeys(heard))
    return found[0] if len(found) == 1 else tuple(chain.from_iterable(found))

"""
Two clocks: the time of day, by which readings are stamped and things expire; and a steady one, by
which timers go.
"""

import time
from typing import Any


def steady(reactor: Any) -> None:
    """
    Let the timers of a reactor go by a clock that nobody sets.

    Twisted's reactors go by the time of day: when that is set back by an hour, as a Raspberry Pi
    does at its start, all that is to happen in a second happens in an hour. From now on,
    C{reactor.seconds()} is the time of day as it is just now, and only ever moves on from there.
    """
    ahead = time.time() - time.monotonic()
    reactor.seconds = lambda: time.monotonic() + ahead

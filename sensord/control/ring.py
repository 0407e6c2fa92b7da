"""
What happened of late, numbered, for those who lost their connection for a moment.
"""

from collections import deque
from collections.abc import Sequence
from secrets import token_hex

from msgspec import Struct

#: The bytes of events that are remembered. Without a limit, the readings of a minute would fill
#: the memory; with more, one that has missed them all would be dropped for being slow.
MAX_BYTES = 1_048_576

#: The most digits of the number in an id.
_DIGITS = 18


class Event(Struct, frozen=True, gc=False):
    """
    Something that happened.

    @ivar id: as followers have it.
    @ivar data: JSON.
    """

    id: str
    kind: str
    data: bytes


class Ring:
    """
    The newest events, as many as there is room for.

    """

    def __init__(self, most: int = MAX_BYTES) -> None:
        self._most = most
        self._events: deque[Event] = deque()
        self.clear()

    @property
    def last(self) -> str:
        """
        The id of the newest.
        """
        return f"{self._run}-{self._number}"

    def clear(self) -> None:
        """
        Forget all. Nobody can go on with an id of before.
        """
        self._run, self._number, self._bytes = token_hex(4), 0, 0
        self._events.clear()

    def add(self, kind: str, data: bytes) -> Event:
        """
        Remember something, and forget what there is no room for any more.
        """
        self._number += 1
        event = Event(self.last, kind, data)
        self._events.append(event)
        self._bytes += len(data)
        while self._bytes > self._most:
            self._bytes -= len(self._events.popleft().data)
        return event

    def since(self, id: str) -> Sequence[Event] | None:
        """
        What came after an event; L{None} if that is not known any more.
        """
        run, _dash, text = id.rpartition("-")
        if run != self._run or not (text.isdecimal() and len(text) <= _DIGITS):
            return None
        missed = self._number - int(text)
        if not 0 <= missed <= len(self._events):
            return None
        return list(self._events)[len(self._events) - missed :]

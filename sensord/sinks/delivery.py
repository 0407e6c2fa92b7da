"""
How batches get to a sink: one at a time over the one line that there is, with what is poison sorted
out, and after a failure not too soon again.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredLock

from sensord.sinks import Entry, Misconfigured, Poison, SinkError, Transient
from sensord.store.account import NotStored
from sensord.store.schema import StoreError

#: Seconds between two attempts: at first, and at most; and while somebody has to do something.
FIRST, MOST, MISCONFIGURED = 1.0, 300.0, 60.0

#: The longest that the other side can ask to be left alone, in seconds. Without it, a sink could be
#: put to sleep for ever by one header.
_LONGEST = 3600.0

#: Seconds without an answer that are worth mentioning.
_SILENCE = 10.0

#: How much of a delay is left to chance, so that gateways do not all come back in one moment.
_JITTER = 0.2

#: What can fail without anybody here having erred.
TROUBLE = (SinkError, StoreError, NotStored, sqlite3.Error)

_NONE: Mapping[int, str] = {}

#: Hands a batch to a sink.
Write = Callable[[Sequence[Entry]], Deferred[None]]


class Line:
    """
    The one line to a sink. Who asks first is first to write.
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._turns = DeferredLock()
        self._writing: Deferred[None] | None = None
        self._since = 0.0
        self._cut = False
        self._quiet = float("-inf")
        self._asked = ""

    def open(self) -> None:
        """
        Let it be written to, whatever was before.
        """
        self._cut = False
        self.hurry()

    @property
    def silence(self) -> str:
        """
        That the other side has not answered for long; empty if it has.
        """
        waited = self._clock.seconds() - self._since if self._writing is not None else 0.0
        return f"no answer for {waited:.0f} s" if waited >= _SILENCE else ""

    def hurry(self) -> None:
        """
        Write again, even if the other side has asked to be left alone.
        """
        self._quiet = float("-inf")

    def cut(self) -> None:
        """
        Give up the batch that is under way; there will be no other.
        """
        self._cut = True
        if self._writing is not None:
            self._writing.cancel()

    async def write(self, how: Write, batch: Sequence[Entry]) -> None:
        """
        Write a batch when it has its turn.

        @raise Transient: also if the other side has asked somebody to be left alone.
        """
        await self._turns.acquire()
        try:
            if self._cut:
                raise CancelledError
            if (left := self._quiet - self._clock.seconds()) > 0:
                raise Transient(self._asked, left)
            self._since = self._clock.seconds()
            self._writing = how(batch)
            await self._writing
        except Transient as error:
            if error.after:
                self._quiet = self._clock.seconds() + min(error.after, _LONGEST)
                self._asked = str(error)
            raise
        finally:
            self._writing = None
            self._turns.release()


async def deliver(
    batch: Sequence[Entry],
    write: Callable[[Sequence[Entry]], Awaitable[None]],
    settle: Callable[[Sequence[Entry], Mapping[int, str]], Awaitable[None]],
    dead: Mapping[int, str] = _NONE,
) -> None:
    """
    Pass on a batch. If the other side does not say which of it is poison, that is looked for by
    halves.

    @param settle: is told of each part of the batch that is dealt with, and why entries of it are
        poison, by their ids.
    @param dead: why entries are poison, as far as it is known.
    @raise SinkError: if the batch has to come again, or a part of it: what was dealt with before
        does not.
    """
    found = dict(dead)
    while good := [one for one in batch if one.id not in found] if found else batch:
        try:
            await write(good)
            break
        except Poison as poison:
            bad = poison.ids & {entry.id for entry in good}
            if len(good) == 1:
                bad = frozenset([good[0].id])
            if not bad:
                half = len(batch) // 2
                await deliver(batch[:half], write, settle, found)
                await deliver(batch[half:], write, settle, found)
                return
            found |= {id: poison.reasons.get(id, str(poison)) for id in bad}
    if found:  # else it would take a while to find out that there is nothing
        found = {one.id: found[one.id] for one in batch if one.id in found}
    await settle(batch, found)


def delay(failures: int, error: Exception, chance: float) -> float:
    """
    The seconds until the next attempt.

    @param failures: how many there were in succession.
    @param chance: a number from 0 to 1.
    """
    seconds = min(FIRST * 2.0 ** min(failures - 1, 16), MOST)
    if isinstance(error, Misconfigured):
        seconds = MISCONFIGURED
    seconds *= 1 + _JITTER * chance
    if isinstance(error, Transient):
        seconds = max(seconds, min(error.after, _LONGEST))
    return seconds

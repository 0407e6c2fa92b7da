"""
Sinks: where readings are passed on to. Each has an L{Outbox<sensord.sinks.outbox.Outbox>}, which
reads the journal for it and deals with whatever goes wrong; a sink itself only writes a batch, or
says why it could not.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

from twisted.internet.defer import Deferred

from sensord.store.journal import Entry, Series

__all__ = [
    "Entry",
    "Forgetful",
    "Misconfigured",
    "Particular",
    "Poison",
    "Preparing",
    "Series",
    "Sink",
    "SinkError",
    "Transient",
    "late",
]


class SinkError(Exception):
    """
    A batch, or part of it, was not taken.
    """


class Transient(SinkError):
    """
    It may be taken another time: the connection was refused or cut, there was no answer in time,
    the other side is overloaded or being started.

    @ivar after: seconds that the other side asks to be left alone; 0 if it does not say.
    """

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


class Misconfigured(SinkError):
    """
    It will not be taken until somebody does something: a wrong password, a database that is not
    there.
    """


class Poison(SinkError):
    """
    Something in the batch will never be taken.

    @ivar ids: the entries that are known to be it; empty if it is not known which they are. All
        others of the batch may be sent again, and have to be.
    @ivar reasons: by their ids, where they have each its own.
    """

    def __init__(self, why: str, ids: Sequence[int] | Mapping[int, str] = ()) -> None:
        super().__init__(why)
        self.ids = frozenset(ids)
        self.reasons = ids if isinstance(ids, Mapping) else {}


class Sink(Protocol):
    """
    Where readings are passed on to.

    @ivar most: how many entries one batch may have.
    """

    most: int

    def start(self) -> None:
        """
        Begin: open what is kept open. It does not block, and whatever is not there yet is retried.
        """

    def stop(self) -> Deferred[None]:
        """
        Let go of everything.

        @return: fires when that is done.
        """

    def write(self, batch: Sequence[Entry]) -> Deferred[None]:
        """
        Pass readings on. One batch is written at a time. After a failure or a crash the same
        entries come again, perhaps in other batches.

        @param batch: in the order of the journal, 1 to L{most}.
        @return: fires when the other side has them for good; fails with a L{SinkError}. Any other
            failure is a fault of ours, and treated as transient.
        """


@runtime_checkable
class Preparing(Sink, Protocol):
    """
    A sink that can make a batch ready while another one is being written.
    """

    def prepare(self, batch: Sequence[Entry]) -> None:
        """
        Begin to make ready what is to be written next, unless something comes in between.
        """


@runtime_checkable
class Forgetful(Sink, Protocol):
    """
    A sink whose other side keeps something of each device.
    """

    def forget(self, device: str, names: Sequence[str]) -> None:
        """
        A device is gone for good: let the other side know, now or when that is possible.

        @param device: its name.
        @param names: what it has measured.
        """


@runtime_checkable
class Particular(Sink, Protocol):
    """
    A sink that does not write readings which come out of turn as it writes others: dead letters
    that are tried again, and history that is sent again.

    @ivar once: why it cannot have history again; empty if it can.
    """

    once: str

    def late(self, batch: Sequence[Entry], again: bool) -> Deferred[None]:
        """
        Pass on readings out of turn. What the other side takes for the present is not to be set
        back by them.

        @param batch: as for L{write}.
        @param again: whether they are wanted even if they were passed on before.
        @return: likewise.
        """


def late(sink: Sink, again: bool) -> Callable[[Sequence[Entry]], Deferred[None]]:
    """
    How a sink is given readings out of turn.

    @param again: whether they are wanted even if they were passed on before.
    """
    return partial(sink.late, again=again) if isinstance(sink, Particular) else sink.write

"""
What tests of sinks share.
"""

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, fail, succeed

from sensord.sinks import Entry


class MemorySink:
    """
    A sink that keeps what it is given.

    @ivar entries: what it has taken.
    @ivar batches: how many entries it was offered at a time.
    @ivar fault: what a batch fails with; L{None} is nothing.
    @ivar holding: whether to leave batches unanswered.
    @ivar open: whether it was started, and not stopped.
    """

    most = 8

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.batches: list[int] = []
        self.fault: Callable[[Sequence[Entry]], Exception | None] = lambda batch: None
        self.holding = False
        self.held: list[Deferred[None]] = []
        self.open = False

    @property
    def values(self) -> list[object]:
        """
        The values that it has taken.
        """
        return [entry.value for entry in self.entries]

    def start(self) -> None:
        """
        See L{Sink.start}.
        """
        self.open = True

    def stop(self) -> Deferred[None]:
        """
        See L{Sink.stop}.
        """
        self.open = False
        return succeed(None)

    def write(self, batch: Sequence[Entry]) -> Deferred[None]:
        """
        See L{Sink.write}.
        """
        self.batches.append(len(batch))
        if self.holding:
            held: Deferred[None] = Deferred()
            self.held.append(held)
            return held
        error = self.fault(batch)
        if error is not None:
            return fail(error)
        self.entries += batch
        return succeed(None)


class ParticularSink(MemorySink):
    """
    One that writes what comes out of turn in another way.

    @ivar lately: what it has taken so: the value, and whether it was wanted again.
    """

    once = ""

    def __init__(self) -> None:
        super().__init__()
        self.lately: list[tuple[object, bool]] = []

    def late(self, batch: Sequence[Entry], again: bool) -> Deferred[None]:
        """
        See L{Particular.late}.
        """
        self.lately += [(entry.value, again) for entry in batch]
        return succeed(None)

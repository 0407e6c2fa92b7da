"""
Replays: history that is sent to a sink again. A replay goes beside what is passed on anyway: the
place that the sink has in the journal does not move, and the ledger counts nothing of it. It lasts
no longer than the daemon does; after a restart it has to be asked for again.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from msgspec import Struct
from twisted.logger import Logger

from sensord.sinks import Entry, Sink, late
from sensord.sinks.delivery import Line, deliver
from sensord.store import journal
from sensord.store.journal import Span
from sensord.store.service import Store


class Progress(Struct, frozen=True):
    """
    How far a replay is.

    @ivar state: C{running}; C{waiting} while the sink takes nothing; C{done}; or C{stopped}.
    @ivar looked: places of the journal that are dealt with, whether or not they were asked for.
    @ivar total: how many there are.
    @ivar sent: readings that were sent again.
    @ivar refused: those that the sink will never take. They become no dead letters.
    @ivar why: the reason for the last of these.
    @ivar error: what the sink is waited for, or why the replay was stopped.
    """

    state: str
    looked: int
    total: int
    sent: int
    refused: int
    why: str
    error: str


class Replay:
    """
    One replay.

    @param sink: the name of the sink.
    @param start: the first time, in microseconds since the epoch.
    @param end: likewise, not included.
    @param device: only what this one has measured; empty is all.
    @param hindrance: tells what is waited for, if something is.
    """

    def __init__(
        self, sink: str, start: int, end: int, device: str, hindrance: Callable[[], str]
    ) -> None:
        self._sink = sink
        self._hindrance = hindrance
        self._asked = start, end, device
        self._span: Span | None = None
        self._first = self._after = 0
        self._sent = self._refused = 0
        self._why = ""
        self._end = self._ended = ""
        self._known = journal.Known()
        self._followers: list[Callable[[], object]] = []

    @property
    def over(self) -> bool:
        """
        Whether it is at its end.
        """
        return bool(self._end)

    @property
    def progress(self) -> Progress:
        """
        How far it is.
        """
        error = self._ended if self.over else self._hindrance()
        return Progress(
            state=self._end or ("waiting" if error else "running"),
            looked=self._after - self._first,
            total=self._span.last - self._first if self._span is not None else 0,
            sent=self._sent,
            refused=self._refused,
            why=self._why,
            error=error,
        )

    def follow(self, callback: Callable[[], object]) -> None:
        """
        Be told when it is over.
        """
        if self.over:
            callback()
        else:
            self._followers.append(callback)

    def stop(self, why: str) -> None:
        """
        End it. A batch that is under way is still sent.
        """
        if not self.over:
            self._ended = why
            self._finish("stopped")

    async def read(self, store: Store, most: int) -> list[Entry]:
        """
        What is to be sent next. If there is nothing left, the replay is over.
        """
        if self._span is None:
            first, last = await store.read(partial(journal.extent, self._sink))
            self._first = self._after = min(first - 1, last)
            self._span = Span(last, *self._asked)
        span = self._span
        while not self.over and self._after < span.last:
            after, known = self._after, self._known
            found, upto = await store.read(partial(journal.past, span, after, most, known))
            if found:
                return found
            self._after = upto
        if not self.over:
            self._finish("done")
        return []

    async def settle(self, batch: Sequence[Entry], refused: Mapping[int, str]) -> None:
        """
        A batch was dealt with.

        @param refused: why entries of it were not taken, by their ids.
        """
        self._after = batch[-1].id
        self._sent += len(batch) - len(refused)
        self._refused += len(refused)
        self._why = next(iter(refused.values()), self._why)

    def _finish(self, end: str) -> None:
        self._end = end
        followers, self._followers = self._followers, []
        for follower in followers:
            follower()


class Replays:
    """
    The replays of one sink, of which there is one at a time.

    @param name: the name of the sink.
    @ivar current: the one that is under way, if one is.
    """

    _log = Logger()

    def __init__(self, name: str, store: Store, sink: Sink, line: Line) -> None:
        self.current: Replay | None = None
        self._name = name
        self._store = store
        self._most = sink.most
        self._write = partial(line.write, late(sink, True))

    def begin(self, replay: Replay) -> None:
        """
        Send history again.
        """
        self.current = replay
        replay.follow(partial(self._finished, replay))

    async def step(self) -> bool:
        """
        Send some of it.

        @return: whether there is more.
        """
        replay = self.current
        if replay is None:
            return False
        batch = await replay.read(self._store, self._most)
        if batch and not replay.over:
            await deliver(batch, self._write, replay.settle)
        return self.current is not None

    def _finished(self, replay: Replay) -> None:
        if self.current is replay:
            self.current = None
        progress = replay.progress
        self._log.info(
            "{name}: a replay is {state}: {sent} readings were sent again, {refused} were refused",
            name=self._name,
            state=progress.state,
            sent=progress.sent,
            refused=progress.refused,
        )

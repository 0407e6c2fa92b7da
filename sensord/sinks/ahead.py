"""
Reading the journal for a sink, one batch ahead of the one that is being written, so that neither
waits for the other while there is a backlog.
"""

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from sensord.sinks import Entry, Preparing, Sink
from sensord.store import journal
from sensord.store.service import Store


class Ahead:
    """
    What comes next for a sink.

    @param name: the name of the sink.
    """

    def __init__(self, name: str, store: Store, sink: Sink) -> None:
        self._name = name
        self._store = store
        self._most = sink.most
        self._preparing = sink if isinstance(sink, Preparing) else None
        self._known = journal.Known()
        self._next: Deferred[list[Entry]] | None = None

    def take(self) -> Deferred[list[Entry]]:
        """
        What the sink has to deal with next.

        @return: fires with it; with nothing if there is nothing.
        """
        ahead, self._next = self._next, None
        return ahead if ahead is not None else self._read(0)

    def look(self, batch: Sequence[Entry]) -> None:
        """
        Begin to read what comes behind a batch that is about to be written.
        """
        if len(batch) == self._most:
            self._next = self._read(batch[-1].id)
            if self._preparing is not None:
                self._next.addCallback(self._prepare)

    def forget(self) -> None:
        """
        What was read ahead is not what comes next.
        """
        ahead, self._next = self._next, None
        if ahead is not None:
            ahead.addErrback(lambda _failure: None)
            ahead.cancel()

    def _read(self, after: int) -> Deferred[list[Entry]]:
        return self._store.read(
            lambda connection: journal.upcoming(
                connection, self._name, self._most, self._known, after
            )
        )

    def _prepare(self, batch: list[Entry]) -> list[Entry]:
        if batch and self._preparing is not None:
            self._preparing.prepare(batch)
        return batch

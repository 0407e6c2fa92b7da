"""
What the control API needs of the ways out, and what it tells of them.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from sensord.store.journal import Figures


class Playback(Protocol):
    """
    History that is sent again, as L{Replay<sensord.sinks.replay.Replay>} is.
    """

    @property
    def over(self) -> bool:
        """
        Whether it is at its end.
        """

    @property
    def progress(self) -> Struct:
        """
        How far it is.
        """

    def follow(self, callback: Callable[[], object]) -> None:
        """
        Be told when it is over.
        """

    def stop(self, why: str) -> None:
        """
        End it.
        """


class Outlet(Protocol):
    """
    A way out, as L{Outbox<sensord.sinks.outbox.Outbox>} is one.
    """

    @property
    def error(self) -> str:
        """
        What went wrong last; empty if nothing has since it last succeeded.
        """

    def forget(self, device: str, names: Sequence[str]) -> None:
        """
        A device is gone for good.

        @param device: its name.
        @param names: what it has measured.
        """

    @property
    def unable(self) -> str:
        """
        Why it cannot be sent history again just now; empty if it can.
        """

    @property
    def kind(self) -> str:
        """
        What kind of sink it has.
        """

    @property
    def state(self) -> str:
        """
        How it is.
        """

    async def pause(self, paused: bool) -> None:
        """
        Let it rest, or go on.
        """

    def retry(self) -> None:
        """
        There are dead letters that are to be tried again.
        """

    def replay(self, start: int, end: int, device: str = "") -> Playback:
        """
        Send history again.
        """


class Sending(Struct, frozen=True):
    """
    A way out, and its line of the ledger.

    @ivar state: of one that only the ledger knows: C{gone}.
    @ivar error: what went wrong last; empty if nothing has since it last succeeded.
    @ivar oldest: the time of the oldest reading of its backlog; L{None} without any.
    @ivar dropped: those of the expired that were dead letters before somebody dropped them.
    """

    name: str
    kind: str
    state: str
    error: str
    committed: int
    delivered: int
    dead: int
    expired: int
    backlog: int
    oldest: int | None
    dropped: int


def sending(sinks: Mapping[str, Outlet], lines: Sequence[Figures]) -> list[Sending]:
    """
    How some sinks are.

    @param lines: all lines of the ledger that sinks have.
    """
    known = {line.sink: line for line in lines}
    return [
        _sending(
            known.get(name, Figures(name, 0, 0, 0, 0, 0, 0, None, False)),
            sink.kind,
            sink.state,
            sink.error,
        )
        for name, sink in sinks.items()
    ]


def strays(sinks: Container[str], lines: Sequence[Figures]) -> list[Sending]:
    """
    The sinks that are no more, but have a place in the journal still.

    @param sinks: those that are.
    @param lines: as for L{sending}.
    """
    return [_sending(line, "", "gone", "") for line in lines if line.sink not in sinks]


def _sending(line: Figures, kind: str, state: str, error: str) -> Sending:
    return Sending(
        name=line.sink,
        kind=kind,
        state=state,
        error=error,
        committed=line.committed,
        delivered=line.delivered,
        dead=line.dead,
        expired=line.expired,
        backlog=line.backlog,
        oldest=line.oldest,
        dropped=line.dropped,
    )

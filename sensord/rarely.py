"""
Warnings that a peer can provoke as often as it likes, logged the first time and then rarely.
"""

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

#: Seconds in which one kind of warning is logged once. Without it, garbage from one broken device
#: would fill the disk with log lines.
EVERY = 60.0


class Rarely:
    """
    Logs each kind of warning at most once a minute, with how often it came since.

    @param log: where to.
    @param clock: measures the minute.
    """

    def __init__(self, log: Logger, clock: IReactorTime) -> None:
        self._log = log
        self._clock = clock
        self._due: dict[str, float] = {}
        self._count: dict[str, int] = {}

    def warn(self, kind: str, format: str, /, **fields: object) -> None:
        """
        Log a warning, unless one of its kind was logged a moment ago.

        @param kind: what belongs together: one of a few constants, never made of what a peer sent.
        @param format: the message, constant, with C{{fields}}.
        """
        now = self._clock.seconds()
        missed = self._count.get(kind, 0)
        if now < self._due.get(kind, now):
            self._count[kind] = missed + 1
            return
        self._due[kind] = now + EVERY
        self._count[kind] = 0
        if missed:
            format += " (and {missed} more like it since the last such line)"
            fields["missed"] = missed
        self._log.warn(format, **fields)

"""
Warnings that a peer can provoke as often as it likes, logged the first time and then rarely.
"""

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

#: Seconds in which one kind of warning is logged once. Without it, garbage from one broken device
#: would fill the disk with log lines.
EVERY = 60.0

#: How many subjects have lines of their own; all others share those of their kind. Without it, a
#: peer could have as many lines as it can think of subjects.
SUBJECTS = 50


class Rarely:
    """
    Logs each kind of warning about each subject at most once a minute, with how often it came
    since.

    @param log: where to.
    @param clock: measures the minute.
    """

    def __init__(self, log: Logger, clock: IReactorTime) -> None:
        self._log = log
        self._clock = clock
        self._due: dict[tuple[str, str], float] = {}
        self._count: dict[tuple[str, str], int] = {}

    def warn(self, kind: str, subject: str, format: str, /, **fields: object) -> None:
        """
        Log a warning, unless one like it was logged a moment ago.

        @param kind: one of a few constants.
        @param subject: what it is about, which may be something that a peer sent.
        @param format: the message, constant, with C{{fields}}.
        """
        now = self._clock.seconds()
        key = (kind, subject)
        if key not in self._due and len(self._due) >= SUBJECTS:
            self._forget(now)
            key = key if len(self._due) < SUBJECTS else (kind, "")
        missed = self._count.get(key, 0)
        if now < self._due.get(key, now):
            self._count[key] = missed + 1
            return
        self._due[key] = now + EVERY
        self._count[key] = 0
        if missed:
            format += " (and {missed} more like it since the last such line)"
            fields["missed"] = missed
        self._log.warn(format, **fields)

    def _forget(self, now: float) -> None:
        """
        Make room: drop those about which nothing was held back for a minute.
        """
        for key in [key for key, due in self._due.items() if due <= now and not self._count[key]]:
            del self._due[key], self._count[key]

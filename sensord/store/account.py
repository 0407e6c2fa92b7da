"""
The doors of the store: one for each listener.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred

from sensord.reading import Intake
from sensord.store.database import Part

#: Who waits for the commit of an intake.
Waiting = tuple[Intake, Deferred[None]]


class NotStored(Exception):
    """
    A reading was not committed and will not be.
    """


class Account:
    """
    The door through which one listener brings what it received.
    """

    def __init__(self, name: str, added: Callable[[int], None]) -> None:
        self.name = name
        self._added = added
        self._intakes: list[Intake] = []
        self._waiting: list[Waiting] = []

    def admit(self, intake: Intake) -> Deferred[None]:
        """
        Record readings, count what was rejected and keep what is quarantined.

        @return: fires after the commit, with L{NotStored} or the reason if there was none.
        """
        deferred: Deferred[None] = Deferred()
        self._waiting.append((intake, deferred))
        self._intakes.append(intake)
        self._added(intake.received)
        return deferred

    def add(self, intake: Intake) -> None:
        """
        The same for those who tell nobody, and so need not know when it is done. If there is
        nothing in it, it costs no commit.
        """
        if received := intake.received:
            self._intakes.append(intake)
            self._added(received)

    def take(self) -> tuple[Part, list[Waiting]] | None:
        """
        Hand over all that came since, with the Deferreds of those who wait.
        """
        if not self._intakes:
            return None
        taken = Part(self.name, self._intakes), self._waiting
        self._intakes, self._waiting = [], []
        return taken

"""
Keeps an eye on the devices: sees who has become overdue, and keeps what is known of them through a
restart.
"""

from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from sensord.presence import Change, Presence, State
from sensord.rarely import Rarely
from sensord.store import roster
from sensord.store.service import Store

#: Seconds between two looks at the devices, and looks between two times that they are saved: what
#: they counted since is lost at a crash, at the most. Readings are not.
_EVERY, _SAVE = 1.0, 10

_MISSING = (State.OVERDUE, State.LOST)


class Watch(Service):
    """
    Looks at the presence of devices once a second.
    """

    name = "watch"
    _log = Logger()

    def __init__(self, clock: Any, store: Store, presence: Presence) -> None:
        self._store = store
        self._presence = presence
        self._saved: dict[str, tuple[object, ...]] = {}
        self._looks = 0
        self._rarely = Rarely(self._log, clock)
        self._unfollow: Callable[[], None] = lambda: None
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def startService(self) -> None:
        """
        Remember what was known. The store is open, and nothing else runs yet.

        @raise StoreError: if the database cannot be read.
        """
        super().startService()
        records = self._store.archive.devices()
        self._presence.restore(records)
        now = self._presence.now()
        for record in records:
            record.state = self._presence.state(record, now)
            self._saved[record.address] = roster.row(record)
        self._unfollow = self._presence.follow(self._tell)
        self._looking.start(_EVERY, now=False).addErrback(
            lambda failure: self._log.failure("devices are not looked after any more", failure)
        )

    def stopService(self) -> Deferred[None]:
        """
        Write down what is known.

        @return: fires when that is done, or has failed.
        """
        super().stopService()
        self._unfollow()
        if self._looking.running:
            self._looking.stop()
        return self._save()

    def _look(self) -> None:
        self._presence.look()
        self._looks += 1
        if self._looks % _SAVE == 0 and self._store.ready:
            self._save()

    def _save(self) -> Deferred[None]:
        rows = [
            row
            for record in self._presence
            if self._saved.get(record.address) != (row := roster.row(record))
        ]
        if not rows:
            return succeed(None)

        def saved(_none: None) -> None:
            self._saved.update((str(row[0]), row) for row in rows)

        def failed(failure: Failure) -> None:
            self._rarely.warn(
                "unsaved",
                "",
                "what is known of devices could not be saved: {error}",
                error=failure.value,
            )

        done = self._store.write(lambda connection: roster.save(connection, rows))
        return done.addCallbacks(saved, failed)

    def _tell(self, changes: Sequence[Change]) -> None:
        """
        Log who went missing, and who is back.
        """
        for change in changes:
            name, state = change.record.name, change.after
            if state in _MISSING:
                self._rarely.warn(
                    state.value, name, "{name} is {state}", name=name, state=state.value
                )
            elif change.before in _MISSING:
                self._rarely.warn("back", name, "{name} is back", name=name)

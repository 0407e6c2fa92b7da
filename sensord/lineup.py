"""
Services by name, each made of its settings, which may change while they run.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.logger import Logger

S = TypeVar("S")
W = TypeVar("W", bound="Member")


class Member(Protocol):
    """
    A service.
    """

    running: int

    def startService(self) -> None:
        """
        Begin.
        """

    def stopService(self) -> object:
        """
        End; what it returns fires when that is done.
        """


class Lineup(Generic[S, W]):
    """
    Some services.

    @param make: makes one.
    @param revise: has one go on by other settings; says whether that is possible at all, else it
        is stopped and made anew.
    @param dismiss: does what is left to do with one that was stopped.
    @ivar members: all of them. It is always the same dictionary.
    """

    _log = Logger()

    def __init__(
        self,
        make: Callable[[S], W],
        revise: Callable[[W, S, S], Awaitable[bool]],
        dismiss: Callable[[W], Awaitable[object]],
    ) -> None:
        self.members: dict[str, W] = {}
        self._make = make
        self._revise = revise
        self._dismiss = dismiss
        self._settings: dict[str, S] = {}

    def fill(self, wanted: Mapping[str, S]) -> None:
        """
        Make the first ones. They are not started.
        """
        for name, settings in wanted.items():
            self._add(name, settings)

    async def change(self, wanted: Mapping[str, S]) -> None:
        """
        Have other ones from now on. Those whose settings are the same just go on; those that are
        new are started, and so is what was made anew unless it was stopped before.

        @raise Exception: whatever the start of one has raised, which is a member all the same, or
            what one has raised that was to go on. To have everything as it was, ask for what there
            was before.
        """
        idle = {name for name in self._settings if not self.members[name].running}
        leaving = [
            name
            for name in tuple(self.members)
            if name not in wanted or not await self._goesOn(name, wanted[name])
        ]
        await gatherResults([self._leave(name) for name in leaving])
        fresh = [name for name in wanted if name not in self.members]
        for name in fresh:
            self._add(name, wanted[name])
        order = {name: self.members[name] for name in wanted}
        self.members.clear()
        self.members.update(order)
        trouble: Exception | None = None
        for name in fresh:
            if name in idle:
                continue
            try:
                self.members[name].startService()
            except Exception as error:
                trouble = trouble or error
                del self._settings[name]  # it is not what it is to be
        if trouble is not None:
            raise trouble

    def _add(self, name: str, settings: S) -> None:
        self.members[name] = self._make(settings)
        self._settings[name] = settings

    def _leave(self, name: str) -> Deferred[None]:
        """
        Let one go.
        """
        member = self.members.pop(name)
        self._settings.pop(name, None)
        return Deferred.fromCoroutine(self._end(member)).addErrback(
            lambda failure: self._log.failure("while {name} was stopped", failure, name=name)
        )

    async def _end(self, member: W) -> None:
        if member.running:
            await maybeDeferred(member.stopService)
        await self._dismiss(member)

    async def _goesOn(self, name: str, wanted: S) -> bool:
        """
        Whether one goes on by the settings that are wanted.
        """
        settings = self._settings.get(name)
        if settings is None or not await self._revise(self.members[name], settings, wanted):
            return False
        self._settings[name] = wanted
        return True

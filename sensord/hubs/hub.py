"""
One hub: whether it is to run, and what becomes of its process.
"""

import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from sensord.hubs.files import Diary
from sensord.hubs.process import Child, resident
from sensord.text import iso

#: Seconds of the first pause before a hub is started again by itself, how much longer each one is
#: than the last, and the longest.
_FIRST, _GROWTH, _MOST = 0.5, 1.5, 60.0

#: Seconds that a hub has to run for the pauses to be short again.
_PROVEN = 30.0

#: Our own fault, for those who cannot read the log.
_FAULT = "something is wrong here; see the manager's log"


class Status(Struct, frozen=True):
    """
    How a hub is.

    @ivar pid: the number of its process, if it has one.
    @ivar since: since when it is so, in ISO 8601.
    @ivar restarts: how often it was started again by itself since somebody has started it.
    @ivar why: the reason of its last end; empty if nothing was wrong.
    """

    hub: str
    group: str
    state: str
    pid: int | None
    since: str
    restarts: int
    why: str


class Making(Struct, frozen=True):
    """
    What hubs are made of.

    @ivar spawn: starts a process; see L{IReactorProcess.spawnProcess
        <twisted.internet.interfaces.IReactorProcess.spawnProcess>}.
    @ivar now: the time of day, in seconds since the epoch.
    @ivar changed: called with each hub whose status is another one.
    @ivar crashes: how often one may end by itself within C{within} seconds.
    @ivar memory: what a process has, in bytes.
    """

    reactor: Any
    spawn: Callable[..., object]
    now: Callable[[], float]
    changed: Callable[["Hub"], object]
    crashes: int
    within: float
    memory: Callable[[int], int] = resident


class Hub:
    """
    A hub. It is started again when it ends by itself, after pauses that grow, until that was too
    often. (Twisted's C{ProcessMonitor} has no budget of crashes, no states and no reasons.)

    @param folder: where its files are.
    @param limit: bytes of resident memory that it may have.
    @param prepare: writes its configuration and begins its log.
    @ivar state: C{starting}, C{running}, C{stopping}, C{stopped}, C{waiting} before it is started
        again, or C{failed}: then it is left alone.
    @ivar turns: what is done with it, one after the other.
    """

    _log = Logger()

    def __init__(
        self,
        making: Making,
        name: str,
        group: str,
        folder: Path,
        limit: int,
        prepare: Callable[[], Deferred[Diary]],
    ) -> None:
        self.name = name
        self.group = group
        self.state = "stopped"
        self.turns = DeferredLock()
        self._making = making
        self._folder = folder
        self._limit = limit
        self._prepare = prepare
        self._since = making.now()
        self._restarts = 0
        self._why = ""
        self._wanted = self._stale = False
        self._child: Child | None = None
        self._life: Deferred[None] | None = None
        self._pause: Deferred[None] | None = None
        self._pauses = 0
        self._ends: deque[float] = deque()
        self._waiters: list[Deferred[None]] = []

    @property
    def status(self) -> Status:
        """
        How it is.
        """
        pid = None if self._child is None else self._child.pid
        since = iso(int(self._since * 1e6))
        return Status(self.name, self.group, self.state, pid, since, self._restarts, self._why)

    def start(self) -> None:
        """
        Have it run. One that waits or has failed begins at once, and all that it has done is
        forgotten.
        """
        self._wanted = True
        if self._life is None or self._pause is not None:
            self._restarts, self._pauses, self._why = 0, 0, ""
            self._ends.clear()
        if self._pause is not None:
            self._pause.cancel()
        elif self._life is None:
            self._life = Deferred.fromCoroutine(self._live())
            self._life.addErrback(self._broke).addCallback(self._over)

    def stop(self) -> Deferred[None]:
        """
        Have it rest.

        @return: fires when there is no process any more.
        """
        self._wanted = False
        if self._life is None:
            if self.state != "stopped":
                self._turn("stopped")
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        if self._child is not None:
            if self.state != "stopping":
                self._turn("stopping")
            self._child.end()
        elif self._pause is not None:
            self._pause.cancel()
        return waiter

    async def revise(self) -> None:
        """
        It is configured otherwise by now: have it go on by that, if it runs. One that is being
        started may have read the old configuration, and is told when it runs.
        """
        if self.state == "starting":
            self._stale = True
        elif self.state == "running" and self._child is not None:
            try:
                (await self._prepare()).close()
            except (OSError, ValueError) as error:
                self._log.error("{hub}: goes on as before: {error}", hub=self._label, error=error)
            else:
                if self._child is not None:
                    self._child.reload()

    def fail(self, why: str) -> None:
        """
        It is not started, since something has to be done first.
        """
        self._turn("failed", why)
        self._log.error("{hub}: {why}", hub=self._label, why=why)

    async def _live(self) -> None:
        """
        All that happens while it is to run.
        """
        reactor = self._making.reactor
        while self._wanted:
            self._turn("starting")
            began = reactor.seconds()
            why = await self._once()
            if not self._wanted:
                break
            if reactor.seconds() - began >= _PROVEN:
                self._pauses = 0
            if self._exhausted():
                self.fail(f"{why}; that was end {len(self._ends)}, and it is left alone")
                return
            pause = min(_FIRST * _GROWTH**self._pauses, _MOST)
            self._pauses += 1
            self._log.warn(
                "{hub}: {why}; it is started again in {pause:.3g} s",
                hub=self._label,
                why=why,
                pause=pause,
            )
            self._turn("waiting", why)
            self._pause = deferLater(reactor, pause, lambda: None)
            with suppress(CancelledError):
                await self._pause
                self._restarts += 1
            self._pause = None
        self._turn("stopped")

    async def _once(self) -> str:
        """
        Start it, and wait for its end.

        @return: why it has ended, or could not be started.
        """
        making = self._making
        try:
            diary = await self._prepare()
        except (OSError, ValueError) as error:  # ValueError: what cannot be written as text
            return f"it cannot be started: {error}"
        if not self._wanted:
            diary.close()
            return ""
        child = Child(making.reactor, self._limit, diary, self._ready, making.memory)
        try:
            making.spawn(
                child,
                sys.executable,
                _command(self.name),
                None,
                # So that the path of its socket, which can have no more than 107 bytes, is short.
                str(self._folder),
                childFDs={0: "w", 1: "r", 2: "r"},
            )
        except OSError as error:
            diary.close()
            return f"it cannot be started: {error}"
        self._child = child
        self._making.changed(self)
        why = await child.ended
        self._child = None
        return why

    def _ready(self) -> None:
        """
        It says that it has started.
        """
        if self.state == "starting":
            self._turn("running")
            self._log.info("{hub}: runs", hub=self._label)
            if self._stale:
                self._stale = False
                Deferred.fromCoroutine(self.revise()).addErrback(
                    lambda failure: self._log.failure("{hub}", failure, hub=self._label)
                )

    def _exhausted(self) -> bool:
        """
        Note an end; whether there were too many.
        """
        now = self._making.reactor.seconds()
        self._ends.append(now)
        while now - self._ends[0] > self._making.within:
            self._ends.popleft()
        return len(self._ends) > self._making.crashes

    def _turn(self, state: str, why: str | None = None) -> None:
        self.state = state
        self._since = self._making.now()
        if why is not None:
            self._why = why
        self._making.changed(self)

    def _broke(self, failure: Failure) -> None:
        self._log.failure("{hub}", failure, hub=self._label)
        if self._child is not None:
            self._child.end()
        self._child = self._pause = None
        self._turn("failed", _FAULT)

    def _over(self, _none: None) -> None:
        self._life = None
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)

    @property
    def _label(self) -> str:
        return f"{self.group}/{self.name}"


def _command(name: str) -> list[str]:
    """
    What runs a hub: C{twistd}, of this Python, which is to import nothing from its folder.
    """
    run = "from twisted.scripts.twistd import run; run()"
    start = [sys.executable, "-P", "-c", run, "-n", "--pidfile="]
    return [*start, "sensord", "--config", f"{name}.toml", "--supervised"]

"""
The configuration of a daemon that runs: where it comes from, and how it is read anew.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from sensord.config import ADDITIONS, ConfigError, Settings, additions, load, standard

#: Seconds between two looks at the files. A file counts as changed when it is the same in two looks
#: that follow one another: editors write in several steps.
LOOK = 1.0

_Stamp = tuple[int, int, int]


class Origin:
    """
    The files of a configuration.

    @param path: the configuration file.
    @param fallback: the settings that hold without it, together with the descriptions in the folder
        beside where it would be; L{None} if it has to be there.
    """

    def __init__(self, reactor: Any, path: Path, fallback: Settings | None = None) -> None:
        self.path = path.absolute()
        self.fallback = fallback
        self._reactor = reactor

    @property
    def folder(self) -> Path:
        """
        Where further devices are described, each in a file of its own.
        """
        return self.path.parent / ADDITIONS

    def load(self) -> Settings:
        """
        Read them, and see what can be seen without putting them to use.

        @raise ConfigError: with every fault.
        """
        return checked(self._reactor, self.read(), self.path.name)

    def look(self) -> None:
        """
        See that the file is not one that somebody has only just begun to write.

        @raise ConfigError: if it is empty.
        """
        if self.path.is_file() and not self.path.stat().st_size:
            raise ConfigError([f"{self.path.name}: is empty"])

    def read(self) -> Settings:
        """
        Only read them.

        @raise ConfigError: with every fault.
        """
        if self.fallback is not None and not self.path.exists():
            return standard(self.fallback, self.path.parent)
        return load(self.path)

    def stamps(self) -> dict[Path, _Stamp]:
        """
        Which files there are, and what is different of one when it has changed.
        """
        try:
            files = [self.path, *additions(self.folder)]
        except ConfigError:
            files = [self.path]
        return {file: stamp for file in files if (stamp := _stamp(file)) is not None}


class Reloadable(Protocol):
    """
    A gateway, as far as it matters here.
    """

    settings: Settings

    def reload(self, settings: Settings) -> Deferred[list[str]]:
        """
        Go on with other settings.
        """


class Reloader(Service):
    """
    Reads the configuration anew when it is told to, and when a file of it changes, if the settings
    say so.

    @ivar folder: where descriptions can be saved.
    """

    name = "reloader"
    _log = Logger()

    def __init__(self, clock: Any, gateway: Reloadable, origin: Origin) -> None:
        self.folder = origin.folder
        self._gateway = gateway
        self._origin = origin
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock
        self._known: dict[Path, _Stamp] = {}
        self._seen: dict[Path, _Stamp] = {}

    @property
    def settings(self) -> Settings:
        """
        Those in effect.
        """
        return self._gateway.settings

    @property
    def file(self) -> str:
        """
        What the configuration file is called; empty if there is none.
        """
        return self._origin.path.name if self._origin.path.exists() else ""

    def startService(self) -> None:
        """
        Watch the files, if that is wanted.
        """
        super().startService()
        self._known = self._seen = self._origin.stamps()
        self._watch()

    def stopService(self) -> None:
        """
        Watch them no more.
        """
        super().stopService()
        if self._looking.running:
            self._looking.stop()

    async def reload(self, who: str) -> Sequence[str]:
        """
        Read the configuration anew, and put into effect what has changed.

        @param who: who wants that, for the log.
        @return: what has changed, a line each.
        @raise ConfigError: if there is something wrong with it; then all is as before.
        """
        self._known = self._seen = self._origin.stamps()
        try:
            self._origin.look()
            lines = await self._gateway.reload(self._origin.load())
        except ConfigError as error:
            for fault in error.faults:
                self._log.error("{fault}", fault=fault)
            self._log.error("reload by {who}: nothing has changed, for the above", who=who)
            raise
        for line in lines:
            self._log.info("{line}", line=line)
        count = f"{len(lines)} change{'' if len(lines) == 1 else 's'}"
        self._log.info("reload by {who}: {count} in effect", who=who, count=count)
        self._watch()
        return lines

    def attempt(self, who: str) -> Deferred[object]:
        """
        The same for those who read the log.

        @return: fires when it is over, however it went.
        """
        done: Deferred[object] = Deferred.fromCoroutine(self.reload(who))
        done.addErrback(lambda failure: failure.trap(ConfigError))
        done.addErrback(lambda failure: self._log.failure("reload by {who}", failure, who=who))
        return done

    def _watch(self) -> None:
        """
        Do as the settings say.
        """
        wanted = self.running and self._gateway.settings.watch
        if wanted and not self._looking.running:
            self._looking.start(LOOK, now=False).addErrback(
                lambda failure: self._log.failure("files are watched no more", failure)
            )
        elif not wanted and self._looking.running:
            self._looking.stop()

    def _look(self) -> None:
        """
        See whether a file has changed, and lies still.
        """
        stamps, seen = self._origin.stamps(), self._seen
        self._seen = stamps
        if stamps == seen and stamps != self._known:
            self._known = stamps
            self.attempt("the watch")


def checked(reactor: Any, settings: Settings, source: str) -> Settings:
    """
    The same settings, after a look at what only shows when they are put to use.

    @param source: what to call them.
    @raise ConfigError: with every fault.
    """
    from sensord.check import faults  # it takes long to import

    if found := faults(reactor, settings):
        raise ConfigError([f"{source}: {fault}" for fault in found])
    return settings


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

"""
The gateway: everything wired together, started and stopped in order.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from sensord.changes import difference, kept
from sensord.commands import Commands
from sensord.config import DEFAULTS, ConfigError, Settings, parse
from sensord.devices import Devices
from sensord.doors import Doors
from sensord.downlink import Downlink
from sensord.hubs.plan import own
from sensord.inward import Inward
from sensord.outward import Outward
from sensord.reading import Arrivals
from sensord.reloading import Origin, Reloader
from sensord.sinks import strays
from sensord.store.database import Database
from sensord.store.service import Run, Store
from sensord.watch import Watch
from sensord.worker import Worker

if TYPE_CHECKING:
    from sensord.hubs.manager import Manager


#: The settings that say what is known of devices and of what they measure.
_DESCRIBING = ("listeners", "devices", "thresholds", "tags")

#: What can go wrong when settings are put into effect that are good in themselves.
TROUBLE = (ConfigError, CannotListenError, OSError)


class Gateway(Service):
    """
    The root service. It can run under C{twistd}, or inside of any other Twisted program.

    @param reactor: the reactor, which is the clock too.
    @param settings: the configuration, or plain tables of the same shape as the file.
    @param worker: makes what runs blocking calls.
    @param now: the time of day, in seconds since the epoch; by default, the reactor's.
    @param origin: the files that the settings were read from; L{None} if they are not to be read
        anew.
    @ivar store: the storage service: C{record}, C{follow}, C{latest}, C{history}.
    @ivar presence: who was heard when, and who can be reached.
    @ivar commands: sends values down to devices: C{send}, C{list}, C{follow}.
    @ivar listeners: the ways in, by name.
    @ivar sinks: the ways out, by name.
    @ivar hubs: the hub manager; L{None} without one.
    @ivar reloader: reads the settings anew; L{None} if they have no origin.
    """

    name = "sensord"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: Settings | Mapping[str, Any] = DEFAULTS,
        worker: Callable[[Any, str], Worker] = Worker,
        now: Callable[[], float] | None = None,
        origin: Origin | None = None,
    ) -> None:
        if not isinstance(settings, Settings):
            settings = parse(settings)
        self._reactor = reactor
        self._now = now or reactor.seconds
        self._worker = partial(worker, reactor)
        writer, reader = self._worker("sensord-writer"), self._worker("sensord-reader")
        self._workers = [writer, reader]
        self.hubs: Manager | None = None
        self._whole = settings
        if settings.hubs is not None:
            settings = self._manage(settings)
        self.settings = settings
        self._turns = DeferredLock()
        self.reloader = None if origin is None else Reloader(reactor, self, origin)
        self._devices = Devices(settings, self._now)
        self.presence = self._devices.presence
        self._database = Database(
            Path(settings.store.path), self._devices.describe, settings.store.max_quarantine
        )
        self.store = Store(
            reactor,
            self._database,
            writer.run,
            reader.run,
            settings.store,
            self._now,
        )
        self._watch = Watch(reactor, self.store, self.presence)
        self.commands = Commands(
            reactor, self.store, self.presence, Downlink(settings), settings.commands
        )
        self._inward = Inward(
            reactor,
            settings.listeners,
            self._devices,
            Arrivals(self._now),
            self.store,
            self._database.path,
            writer.run,
        )
        self.listeners = self._inward.ways
        self._outward = Outward(reactor, settings.sinks, self.presence, self.store, self._worker)
        self.sinks = self._outward.sinks
        self._doors = Doors(reactor, self, settings, self._hire)

    def startService(self) -> None:
        """
        Open the database, then the ports.

        @raise StoreError: if the database cannot be used.
        @raise ConfigError: if an endpoint string is none, or if the control socket or the manhole
            cannot be used.
        @raise CannotListenError: if a port is taken.
        """
        for worker in self._workers:
            worker.start()
        self._outward.start()
        try:
            self.store.startService()
            self._log.info(
                "storing in {path}; {count} devices are described",
                path=self._database.path,
                count=len(self.settings.devices),
            )
            # The doors before the commands: a second daemon on one database fails at the socket of
            # the first, and must not send again what that one is about to send.
            # Hubs last: what has a process of its own is not to be begun in vain.
            first = (*self._doors.services, self._watch, self.commands)
            last = [one for one in (self.hubs, self.reloader) if one is not None]
            ways = (*self.sinks.values(), *self.listeners.values())
            for service in (*first, *ways, *last):
                service.startService()
        except BaseException:
            self._retreat()
            raise
        super().startService()
        Deferred.fromCoroutine(strays.warn(self.store, self.sinks)).addErrback(
            lambda failure: self._log.warn("{error}", error=failure.value)
        )

    def reload(self, settings: Settings) -> Deferred[list[str]]:
        """
        Go on with other settings: what is as before goes on as it is. What cannot change while it
        runs stays.

        @return: fires with what has changed, a line each, as soon as it is in effect. It fails with
            L{ConfigError} if something of it cannot be: then all is as it was before.
        """
        return self._turns.run(lambda: Deferred.fromCoroutine(self._reload(settings)))

    async def _reload(self, settings: Settings) -> list[str]:
        if not self.running:
            raise ConfigError(["the daemon is stopping"])
        before, lines = self._whole, difference(self._whole, settings)
        if not lines:
            return lines
        try:
            await self._apply(kept(before, settings))
        except Exception as error:
            try:
                await self._apply(before)
            except TROUBLE as again:
                self._log.error("not all is as it was before: {error}", error=again)
            if isinstance(error, TROUBLE):
                raise ConfigError(getattr(error, "faults", [str(error)])) from error
            raise
        return lines

    async def _apply(self, settings: Settings) -> None:
        """
        Put settings into effect, whatever those before were.
        """
        before = self.settings
        self._whole, self.settings = settings, own(settings)
        settings = self.settings
        anew = any(getattr(before, name) != getattr(settings, name) for name in _DESCRIBING)
        self._devices.revise(settings)
        await self._inward.change(settings.listeners, anew)
        await self._outward.change(settings.sinks)
        await self._doors.change(settings)
        if self.hubs is not None:
            await self.hubs.revise(self._whole)
        try:
            await self.commands.revise(Downlink(settings), settings.commands)
            await self.store.revise(settings.store, anew)
        except Exception as error:  # it is up to date as soon as it can be written again
            self._log.warn("the database does not say what is new: {error}", error=error)

    def stopService(self) -> Deferred[None]:
        """
        Close the ports, store what came in, answer for it, close the database.

        @return: fires when all of that is done.
        """
        super().stopService()
        return self._turns.run(lambda: Deferred.fromCoroutine(self._stop()))

    async def _stop(self) -> None:
        ways = list(self.listeners.values())
        await gatherResults([maybeDeferred(door.stopService) for door in self._doors.services])
        self.store.archive.interrupt()  # nobody waits for the answers any more
        inner = [way for way in ways if way.running]
        hubs = [] if self.hubs is None else [self.hubs]
        await gatherResults([way.stopService() for way in (*inner, *hubs)])
        await self.commands.stopService()
        await self._watch.stopService()
        await gatherResults([sink.stopService() for sink in self.sinks.values()])
        await self.store.stopService()
        await gatherResults([Deferred.fromCoroutine(way.disconnect()) for way in ways])
        self._outward.stop()
        for worker in reversed(self._workers):
            worker.stop()

    def _retreat(self) -> None:
        """
        The start failed half-way: let go of everything, without waiting for a reactor that may
        never run.
        """
        hubs = () if self.hubs is None else (self.hubs,)
        ways = (*hubs, *self.listeners.values(), *self.sinks.values())
        for service in (*ways, *self._doors.services, self.commands, self._watch):
            if service.running:
                service.stopService()
        self._outward.stop()
        for worker in reversed(self._workers):
            worker.stop()
        self._database.close()  # what was still to be written has opened it again

    def _manage(self, settings: Settings) -> Settings:
        """
        Make the hub manager.

        @return: the settings of this gateway itself.
        """
        from sensord.hubs.manager import Manager

        self.hubs = Manager(self._reactor, settings, self._hire("sensord-hubs"), self._now)
        return own(settings)

    def _hire(self, name: str) -> Run:
        """
        Have somebody more for blocking calls, also while it runs.
        """
        worker = self._worker(name)
        self._workers.append(worker)
        if self.running:
            worker.start()
        return worker.run

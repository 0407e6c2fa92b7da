"""
The hub manager: which hubs there are, and which of them are to run.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from socket import gethostname
from typing import Any, TypeVar

from msgspec import structs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, gatherResults
from twisted.logger import Logger

from sensord.broker import Broker
from sensord.brokers import BrokerSettings
from sensord.config import Settings
from sensord.hubs.desk import TERMS, Desk
from sensord.hubs.files import Diary, Entry, Roll, prepare
from sensord.hubs.hub import Hub, Making, Status
from sensord.hubs.plan import text
from sensord.hubs.process import resident
from sensord.hubs.refusals import Refusal, Stranger
from sensord.hubs.settings import Quota
from sensord.ids import MANAGER, idFault
from sensord.tables import meant

T = TypeVar("T")

#: Hubs of all groups together. Without a limit, whoever may start some could start any number, by
#: thinking of groups.
MAX_HUBS = 1000

#: The settings of ours that hubs have, too.
_GIVEN = ("store", "devices", "thresholds", "sinks", "tags", "commands")

#: What can be done with a hub.
ACTIONS = ("start", "stop", "restart", "forget")

#: Bytes of what the configuration calls MB.
_MEGA = 2**20


class Manager(Service):
    """
    Supervises hubs, and does with them what is asked for by MQTT or by the control API. What is
    wanted of each survives a restart.

    @param run: runs what blocks.
    @param now: the time of day, in seconds since the epoch.
    @param spawn: starts a process.
    @param broker: makes the connection.
    @param memory: the bytes that a process has in memory.
    """

    name = "hubs"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        run: Callable[[Callable[[], Any]], Deferred[Any]],
        now: Callable[[], float],
        spawn: Callable[..., object] | None = None,
        broker: Callable[..., Any] = Broker,
        memory: Callable[[int], int] = resident,
    ) -> None:
        assert settings.hubs is not None
        self._settings = settings
        self._hubs = settings.hubs
        self._run = run
        self._folder = Path(settings.hubs.folder).absolute()
        self._roll = Roll(self._folder)
        self._entries: dict[str, Entry] = {}
        self._known: dict[str, Hub] = {}
        self._saving = DeferredLock()
        self._making = Making(
            reactor,
            spawn or (lambda *given, **more: reactor.spawnProcess(*given, **more)),
            now,
            self._changed,
            settings.hubs.crashes,
            settings.hubs.period,
            memory,
        )
        where = BrokerSettings.of(settings.hubs)
        if not where.client_id:
            digest = sha256(f"{gethostname()}:{self._folder}".encode()).hexdigest()[:12]
            where = structs.replace(where, client_id=f"sensord-{MANAGER}-{digest}")
        self._desk = Desk(reactor, broker(reactor, where, self.name, TERMS), self)

    def startService(self) -> None:
        """
        Start the hubs that are to run, and listen.

        @raise ConfigError: if it is not to be found out which they are.
        """
        self._entries = self._roll.load()
        super().startService()
        self._known = {}
        for name, entry in self._entries.items():
            why = self._misfit(name, entry.group)
            hub = self._known[name] = self._make(name, entry.group)
            if why and entry.run:
                hub.fail(why)
            elif entry.run:
                hub.start()
        self._log.info(
            "hubs: {count} in {folder}, {running} of which are to run",
            count=len(self._known),
            folder=self._folder,
            running=sum(entry.run for entry in self._entries.values()),
        )
        self._desk.start()

    def stopService(self) -> Deferred[None]:
        """
        Stop all hubs. They are started again with the manager.

        @return: fires when none of them runs any more.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._desk.close()
        await gatherResults([hub.stop() for hub in self._known.values()])
        await self._desk.stop()

    async def revise(self, settings: Settings) -> None:
        """
        Go on with other settings, but for its own: hubs that run are given theirs anew, the others
        when they are started.
        """
        before, self._settings = self._settings, settings
        if all(getattr(before, name) == getattr(settings, name) for name in _GIVEN):
            return
        await gatherResults([Deferred.fromCoroutine(hub.revise()) for hub in self._known.values()])

    def list(self) -> Sequence[Status]:
        """
        How all hubs are.
        """
        return [hub.status for hub in sorted(self._known.values(), key=lambda hub: hub.name)]

    def status(self, name: str) -> Status:
        """
        How a hub is.

        @raise Refusal: if there is no such hub.
        """
        return self._find(name).status

    async def do(self, action: str, name: str, group: str, who: str) -> Status | None:
        """
        Do something with a hub. When this returns it is done, and what is wanted of the hub
        survives a loss of power; one that was started may not be as far as to hear its devices.

        @param action: one of L{ACTIONS}.
        @param group: of the hub; it has to be named the first time that one is started, and may be
            left empty then.
        @param who: who wants it, for the log.
        @return: how the hub is; L{None} if it is forgotten.
        @raise Refusal: if it is not possible.
        """
        if action not in ACTIONS:
            known = ", ".join(ACTIONS[:-1])
            raise Refusal(f"a hub can {known} or {ACTIONS[-1]}{meant(action, ACTIONS)}")
        for fault in idFault("hub", name):
            raise Refusal(fault)
        if action == "forget":
            await self._saving.run(self._deferred(self._forget, name, group))
            self._log.info("{hub}: forgotten by {who}", hub=name, who=who)
            return None
        wanted = action != "stop"
        new = action == "start"
        hub = await self._saving.run(self._deferred(self._want, name, group, wanted, new))
        self._log.info("{hub}: {action} by {who}", hub=name, action=action, who=who)
        await hub.turns.run(self._deferred(self._switch, hub, action))
        return hub.status

    def _deferred(
        self, call: Callable[..., Awaitable[T]], *arguments: object
    ) -> Callable[[], Deferred[T]]:
        """
        What a lock runs.
        """
        return lambda: Deferred.fromCoroutine(call(*arguments))  # type: ignore[arg-type]

    async def _want(self, name: str, group: str, wanted: bool, new: bool) -> Hub:
        """
        Note what is wanted of a hub.

        @param new: whether it may be a new one.
        """
        if new and group and self.running and name not in self._known:
            hub = self._make(name, group)
        else:
            hub = self._find(name, group, new)
        if wanted and (why := self._misfit(name, hub.group)):
            raise Refusal(why)
        await self._save({**self._entries, name: Entry(hub.group, wanted)})
        return self._known.setdefault(name, hub)

    async def _forget(self, name: str, group: str) -> None:
        hub = self._find(name, group)
        if hub.state != "failed" and (hub.state != "stopped" or self._entries[name].run):
            raise Refusal(f"hub {name} is to run, or does still; stop it first")
        await self._save({key: entry for key, entry in self._entries.items() if key != name})
        del self._known[name]
        self._desk.forget(name)

    async def _switch(self, hub: Hub, action: str) -> None:
        if action != "start":
            await hub.stop()
        if action != "stop":
            if not self.running or self._known.get(hub.name) is not hub:
                raise Refusal(f"hub {hub.name} is given up")  # nobody would stop it any more
            hub.start()

    async def _save(self, entries: dict[str, Entry]) -> None:
        try:
            await self._run(partial(self._roll.save, entries))
        except OSError as error:
            raise Refusal(f"it cannot be noted: {error}") from error
        self._entries = entries

    def _find(self, name: str, group: str = "", new: bool = False) -> Hub:
        """
        A hub.

        @param group: that it is said to belong to; empty is not said.
        @param new: whether it could be a new one, if its group was said.
        """
        if not self.running:
            raise Refusal("the hub manager does not run")
        for fault in idFault("hub", name):
            raise Refusal(fault)
        hub = self._known.get(name)
        if hub is None:
            more = '; the first time, "group" has to be said' if new else ""
            raise Stranger(f"there is no hub {name}{meant(name, self._known)}{more}")
        if group and group != hub.group:
            raise Refusal(f"hub {name} is of another group")
        return hub

    def _misfit(self, name: str, group: str) -> str:
        """
        Why there can be no such hub; empty if there can.
        """
        for fault in idFault("group", group):
            return fault
        quota = self._hubs.quota(group)
        if quota is None:
            listed = [one.name for one in self._hubs.groups]
            return f"there is no group {group}{meant(group, listed)}"
        if name in {listener.name for listener in self._settings.listeners}:
            return f"a listener of this gateway is called {name}"
        others = [hub for hub in self._known.values() if hub.name != name]
        mates = sum(hub.group == group for hub in others)
        if mates >= quota.max_hubs:
            return f"group {group} has {mates} hubs already"
        if len(others) >= MAX_HUBS:
            return f"there are {len(others)} hubs already"
        return ""

    def _make(self, name: str, group: str) -> Hub:
        quota = self._hubs.quota(group)
        folder = self._folder / group
        limit = (quota.max_memory if quota else self._hubs.max_memory) * _MEGA
        return Hub(
            self._making,
            name,
            group,
            folder,
            limit,
            lambda: self._prepare(folder, group, name, quota),
        )

    def _prepare(self, folder: Path, group: str, name: str, quota: Quota | None) -> Deferred[Diary]:
        assert quota is not None  # it would not have been started
        settings = self._settings
        return self._run(lambda: prepare(folder, name, text(settings, group, name, quota)))

    def _changed(self, hub: Hub) -> None:
        self._desk.tell(hub.status)

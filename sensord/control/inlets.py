"""
What the control API does with listeners: how they are, and starting and stopping them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from sensord.config import ConfigError
from sensord.control.answers import Listening, Names, Way, ledger, listening
from sensord.control.asking import answered, shielded
from sensord.control.query import Fault, guard, who
from sensord.store.service import Store
from sensord.tables import meant

_ACTIONS = ("start", "stop")


class Inlets:
    """
    The ways in.

    @param listeners: all of them, by name.
    @ivar closed: whether it is too late to open one: the gateway closes its listeners, and nobody
        would close that one.
    """

    _log = Logger()

    def __init__(self, store: Store, names: Names, listeners: Mapping[str, Way]) -> None:
        self.closed = False
        self._store = store
        self._names = names
        self._listeners = listeners
        self._turns = DeferredLock()

    async def describe(self, names: Iterable[str] | None = None) -> list[Listening]:
        """
        How some are, or all.
        """
        accounts = await answered(self._store.read(ledger))
        wires, ways = self._names.wires, self._listeners
        return [
            listening(name, wires.get(name, ""), ways[name], accounts.get(name))
            for name in (ways if names is None else names)
            if name in ways  # by the configuration of now
        ]

    async def switch(self, request: Any, name: str, action: str) -> Listening:
        """
        Open a listener, or close one.

        @raise Fault: if that is not possible.
        """
        if action not in _ACTIONS:
            raise Fault(404, f'a listener can "start" or "stop"{meant(action, _ACTIONS)}')
        self._way(name)
        guard(request)
        switch = self._start if action == "start" else self._stop
        done = self._turns.run(lambda: Deferred.fromCoroutine(switch(name, who(request))))
        await shielded(done)
        found = await self.describe([name])
        self._way(name)
        return found[0]

    async def _start(self, name: str, who: str) -> None:
        way = self._way(name)
        if way.running:
            return
        if self.closed:
            raise Fault(503, "the daemon is stopping")
        try:
            way.startService()
        except (CannotListenError, ConfigError, OSError) as error:
            raise Fault(409, str(error)) from error
        way.steer(self._store.ready, self._store.full)
        self._log.info("{name}: started by {who}", name=name, who=who)

    async def _stop(self, name: str, who: str) -> None:
        way = self._way(name)
        if way.running:
            self._log.info("{name}: stopped by {who}", name=name, who=who)
            await way.stopService()
            await way.disconnect()

    def _way(self, name: str) -> Way:
        """
        @raise Fault: if there is none.
        """
        if name not in self._listeners:
            raise Fault(404, f'there is no listener "{name}"{meant(name, self._listeners)}')
        return self._listeners[name]

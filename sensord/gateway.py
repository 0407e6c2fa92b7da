"""
The gateway: everything wired together, started and stopped in order.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from sensord.config import DEFAULTS, WIRES, ListenerSettings, Settings, parse
from sensord.devices import Devices
from sensord.protocols.listener import Listener
from sensord.protocols.stream import StreamFactory
from sensord.reading import Arrivals
from sensord.store.database import Database
from sensord.store.service import Store
from sensord.worker import Worker


class Gateway(Service):
    """
    The root service. It can run under C{twistd}, or inside of any other Twisted program.

    @param reactor: the reactor, which is the clock too.
    @param settings: the configuration, or plain tables of the same shape as the file.
    @param worker: makes what runs blocking calls.
    @ivar store: the storage service: C{record}, C{follow}, C{latest}, C{history}.
    @ivar listeners: the ways in, by name.
    """

    name = "sensord"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: Settings | Mapping[str, Any] = DEFAULTS,
        worker: Callable[[Any, str], Worker] = Worker,
    ) -> None:
        if not isinstance(settings, Settings):
            settings = parse(settings)
        self.settings = settings
        self._reactor = reactor
        self._arrivals = Arrivals(reactor.seconds)
        self._devices = Devices(settings)
        self._writer = worker(reactor, "sensord-writer")
        self._reader = worker(reactor, "sensord-reader")
        self._database = Database(
            Path(settings.store.path), self._devices.describe, settings.store.max_quarantine
        )
        self.store = Store(
            reactor, self._database, self._writer.run, self._reader.run, settings.store
        )
        self.listeners = {one.name: self._listener(one) for one in settings.listeners}

    def startService(self) -> None:
        """
        Open the database, then the ports.

        @raise StoreError: if the database cannot be used.
        @raise ConfigError: if an endpoint string is none.
        @raise CannotListenError: if a port is taken.
        """
        self._writer.start()
        self._reader.start()
        try:
            self.store.startService()
            self._log.info(
                "storing in {path}; {count} devices are described",
                path=self._database.path,
                count=len(self.settings.devices),
            )
            for listener in self.listeners.values():
                listener.startService()
        except BaseException:
            self._retreat()
            raise
        super().startService()

    def stopService(self) -> Deferred[None]:
        """
        Close the ports, store what came in, answer for it, close the database.

        @return: fires when all of that is done.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        listeners = list(self.listeners.values())
        await gatherResults([listener.stopService() for listener in listeners])
        await self.store.stopService()
        await gatherResults([Deferred.fromCoroutine(each.disconnect()) for each in listeners])
        self._reader.stop()
        self._writer.stop()

    def _retreat(self) -> None:
        """
        The start failed half-way: let go of everything, without waiting for a reactor that may
        never run.
        """
        for listener in self.listeners.values():
            if listener.running:
                listener.stopService()
        self._database.close()
        self._reader.stop()
        self._writer.stop()

    def _listener(self, settings: ListenerSettings) -> Listener:
        factory = StreamFactory(
            settings,
            WIRES[settings.wire],
            self._devices.source(settings, self._arrivals),
            self.store.account(settings.name),
            self._reactor,
        )
        listener = Listener(self._reactor, settings, factory)
        self.store.watch(listener.steer)
        return listener

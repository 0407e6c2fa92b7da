"""
The doors for operators: the control API on its socket, the page, and the admin shell. What they are
made of takes long to import, so that it is not where there are none.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service

from sensord.config import Settings
from sensord.lineup import Lineup
from sensord.settings import ManholeSettings
from sensord.store.service import Run
from sensord.web.settings import WebSettings

if TYPE_CHECKING:
    from sensord.control.api import Api
    from sensord.gateway import Gateway


class Doors:
    """
    Those that are wanted.

    @param hire: makes what runs blocking calls, given its name.
    """

    def __init__(
        self, reactor: Any, gateway: "Gateway", settings: Settings, hire: Callable[[str], Run]
    ) -> None:
        self._reactor = reactor
        self._gateway = gateway
        self._hire = hire
        self._run: Run | None = None
        self._api: Api | None = None
        self._fixed: list[Service] = []
        self._running = False
        if settings.control.socket:
            from sensord.control.service import Control

            path = Path(settings.store.path).parent / settings.control.socket
            self._fixed.append(Control(reactor, path, self._interface().resource()))
        self._lineup: Lineup[WebSettings | ManholeSettings, Any] = Lineup(
            self._make, self._revise, self._leave
        )
        self._lineup.fill(_wanted(settings))

    @property
    def services(self) -> list[Service]:
        """
        All of them, in the order in which they are to be opened.
        """
        return [*self._fixed, *self._lineup.members.values()]

    async def change(self, settings: Settings) -> None:
        """
        Have other ones; the socket stays.

        @raise ConfigError: if one cannot be opened; likewise the other one.
        @raise CannotListenError: if a port is taken.
        """
        await self._lineup.change(_wanted(settings))

    def _interface(self) -> "Api":
        """
        The control API, which all who need it share.
        """
        if self._api is None:
            from sensord.control.api import Api
            from sensord.control.service import ApiService

            gateway = self._gateway
            self._api = Api(
                self._reactor,
                lambda: gateway.settings,
                gateway.presence,
                gateway.store,
                gateway.commands,
                gateway.listeners,
                gateway.sinks,
                gateway.hubs,
                gateway.reloader,
            )
            service = ApiService(self._api)
            self._fixed.insert(0, service)
            if gateway.running:
                service.startService()
        return self._api

    def _make(self, settings: WebSettings | ManholeSettings) -> Service:
        return self._page(settings) if isinstance(settings, WebSettings) else self._shell(settings)

    def _page(self, settings: WebSettings) -> Service:
        """
        The page.
        """
        from sensord.metrics import Metrics
        from sensord.protocols.http import Mount
        from sensord.web.service import Web

        store = self._gateway.store
        self._run = self._run or self._hire("sensord-web")
        return Web(
            self._reactor,
            settings,
            self._interface().resource(),
            Mount(self._gateway.listeners),
            Metrics(self._reactor, self._gateway).resource(),
            lambda: "" if store.ready else store.why or "nothing can be stored",
            self._run,
        )

    def _shell(self, settings: ManholeSettings) -> Service:
        """
        The admin shell.
        """
        from sensord.manhole.namespace import namespace, vocabulary
        from sensord.manhole.service import Manhole

        words = vocabulary(self._gateway, self._reactor)
        return Manhole(self._reactor, settings, namespace(self._gateway), words)

    async def _revise(
        self,
        door: Any,
        before: WebSettings | ManholeSettings,
        after: WebSettings | ManholeSettings,
    ) -> bool:
        """
        Have a door go on by other settings, if that is possible.
        """
        if before != after and isinstance(after, WebSettings):
            await door.revise(after)
            return True
        return before == after

    async def _leave(self, door: Service) -> None:
        pass


def _wanted(settings: Settings) -> dict[str, WebSettings | ManholeSettings]:
    """
    The settings of the doors that can change.
    """
    found = {"web": settings.web, "manhole": settings.manhole}
    return {name: one for name, one in found.items() if one is not None}

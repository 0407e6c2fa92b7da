"""
The port on which the page and the control API are served.
"""

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.logger import Logger
from twisted.web.resource import IResource

from sensord.config import ConfigError
from sensord.control.channel import Bodies, Body, site
from sensord.control.links import Links
from sensord.endpoints import WEB, listen, place
from sensord.web.logins import Logins, Run
from sensord.web.origins import Origins, local
from sensord.web.pages import Pages
from sensord.web.root import Root
from sensord.web.session import Sessions
from sensord.web.settings import EXPOSED, WebSettings, exposed


class Web(Service):
    """
    The page.

    @param api: the control API, whose paths begin with C{/api/v1}.
    @param push: what takes readings from devices; L{None} if that is not here.
    @param metrics: L{None} if there are none.
    @param ready: why nothing can be stored; empty if it can.
    @param run: runs blocking calls, one at a time.
    """

    name = "web"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: WebSettings,
        api: IResource,
        push: IResource | None,
        metrics: IResource | None,
        ready: Callable[[], str],
        run: Run,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._run = run
        self._sessions = Sessions(reactor)
        self._push = push
        self._root = Root(
            self._sessions,
            Logins(reactor, settings.users, run),
            Origins(settings.hosts),
            Pages(),
            api,
            push,
            metrics,
            ready,
        )
        self._links = Links(site(reactor, self._root, self._body), settings.max_connections)
        self._port: IListeningPort | None = None

    @property
    def address(self) -> IAddress | None:
        """
        Where it listens; L{None} while it does not.
        """
        return self._port.getHost() if self._port is not None else None

    def _body(self, target: bytes, request: Any) -> Body | None:
        """
        The room for what devices push.
        """
        room: Bodies = getattr(self._push, "body", lambda *about: None)
        return room(target, request)

    def startService(self) -> None:
        """
        Open the port.

        @raise ConfigError: if the endpoint string is none, or if others could come in there, and
            there are no users.
        @raise CannotListenError: if the port is taken.
        """
        self._port = self._open(self._settings)
        super().startService()
        self._log.info("web: {where}", where=self.where)

    async def revise(self, settings: WebSettings) -> None:
        """
        Go on with other settings. The sessions of users about whom nothing has changed go on, too.

        @raise ConfigError, CannotListenError: as L{startService}; all is as it was then.
        """
        before = self._settings
        if self.running and settings.listen != before.listen:
            await self._move(settings)
        elif self.running:
            _admit(settings, self.address)
        self._settings = settings
        if self.running and settings.listen != before.listen:
            self._log.info("web: {where}", where=self.where)
        if settings.users != before.users:
            kept = {user.name for user in settings.users if user in before.users}
            self._root.logins = Logins(self._reactor, settings.users, self._run)
            self._root.part(kept)
            self._sessions.clear(kept)
        self._root.origins = Origins(settings.hosts)
        self._links.limit = settings.max_connections

    async def _move(self, settings: WebSettings) -> None:
        """
        Listen elsewhere. Since both may be one port, the old one is closed first.
        """
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
        try:
            self._port = self._open(settings)
        except BaseException:
            self._port = self._open(self._settings)
            raise

    def _open(self, settings: WebSettings) -> IListeningPort:
        """
        Open the port.
        """
        _admit(settings, None)
        port = listen(self._reactor, settings.listen, WEB, self._links)
        try:
            _admit(settings, port.getHost())
        except ConfigError:
            port.stopListening()
            raise
        return port

    @property
    def where(self) -> str:
        """
        Where browsers find it.
        """
        text, address = self._settings.listen, self.address
        if isinstance(address, IPv4Address | IPv6Address):
            scheme = "https" if text.startswith("ssl:") else "http"
            return f"{scheme}://{place(address, '').strip()}/"
        return place(address) if address is not None else text

    def stopService(self) -> Deferred[None]:
        """
        Close the port, and end all sessions and links.

        @return: fires when that is done.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
        self._sessions.clear()
        await self._links.close(self._reactor)


def _admit(settings: WebSettings, address: IAddress | None) -> None:
    """
    Check that nobody can come in from elsewhere where there are no users.

    @param address: where it listens, which is not always to be seen before; L{None} if it does not
        yet.
    @raise ConfigError: if somebody can.
    """
    near = not exposed(settings.listen) if address is None else local(address)
    if not (settings.users or near):
        raise ConfigError([f'{WEB}: "{settings.listen}" is {EXPOSED}'])

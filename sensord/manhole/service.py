"""
The manhole: a way into the running gateway for its operators, by SSH and with keys only.

Any user name will do: whoever has one of the keys is an operator. An operator can do whatever the
gateway can, since there is a Python prompt; nobody else gets that far.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.conch.checkers import SSHPublicKeyChecker
from twisted.conch.interfaces import IConchUser
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.logger import Logger
from zope.interface import implementer

from sensord.endpoints import MANHOLE, listen, place
from sensord.manhole.keys import AuthorizedKeys, fingerprint, hostKey
from sensord.manhole.prompt import Operator
from sensord.manhole.ssh import Links
from sensord.manhole.words import Word
from sensord.settings import ManholeSettings

_log = Logger()


class Manhole(Service):
    """
    The way in for operators.

    @param settings: with paths that are absolute.
    @param namespace: what Python knows at the prompt. Each session has names of its own.
    @param words: what is more than Python; C{h} and C{q} come by themselves.
    """

    name = "manhole"

    def __init__(
        self,
        reactor: Any,
        settings: ManholeSettings,
        namespace: Mapping[str, object],
        words: Mapping[str, Word],
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._namespace = namespace
        self._words = words
        self._port: IListeningPort | None = None
        self._factory: Links | None = None

    @property
    def address(self) -> IAddress | None:
        """
        Where it listens; L{None} while it does not.
        """
        return self._port.getHost() if self._port is not None else None

    def startService(self) -> None:
        """
        Open the port.

        @raise ConfigError: if there is no key that opens it, if its own key is of no use, or if the
            endpoint string is none.
        @raise CannotListenError: if the port is taken.
        """
        keys = AuthorizedKeys(Path(self._settings.authorized_keys), self._reactor)
        count = keys.check()
        own = hostKey(Path(self._settings.host_key))
        portal = Portal(_Realm(self._namespace, self._words), [SSHPublicKeyChecker(keys)])
        self._factory = Links(self._reactor, own, portal)
        self._port = listen(self._reactor, self._settings.listen, MANHOLE, self._factory)
        super().startService()
        _log.info(
            "manhole: {where}, SSH for {count} keys; its own is {own}",
            where=place(self.address),
            count=count,
            own=fingerprint(own),
        )

    def stopService(self) -> Deferred[None]:
        """
        Close the port, and end all sessions.

        @return: fires when that is done.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        port, self._port = self._port, None
        factory, self._factory = self._factory, None
        if port is not None:
            await maybeDeferred(port.stopListening)
        if factory is not None:
            await factory.close()


@implementer(IRealm)
class _Realm:
    """
    Where whoever has a key is an operator.
    """

    def __init__(self, names: Mapping[str, object], words: Mapping[str, Word]) -> None:
        self._names = names
        self._words = words

    def requestAvatar(self, avatarId: object, mind: object, *interfaces: object) -> Any:
        """
        See L{IRealm.requestAvatar}.
        """
        return IConchUser, Operator(self._names, self._words), lambda: None

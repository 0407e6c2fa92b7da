"""
SSH for the manhole, by conch: how a stranger becomes known, and what strangers cannot do.

Conch's ciphers, MACs and key exchanges are offered but for the weak ones: AES in counter mode,
HMAC-SHA2, and Diffie-Hellman on elliptic curves (with ML-KEM where the system has it).
"""

import struct
from typing import Any

from twisted.conch.ssh import connection, transport
from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.service import SSHService
from twisted.conch.ssh.userauth import SSHUserAuthServer
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IAddress, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from sensord.manhole.keys import KINDS, fingerprint
from sensord.manhole.prompt import Quiet
from sensord.rarely import Rarely
from sensord.text import plain

#: Sessions at a time. Without it, a script that forgets to leave would use up the memory.
_SESSIONS = 10

#: Connections at a time that have not logged in. Without it, strangers could use up the memory and
#: the file descriptors that devices need.
_STRANGERS = 20

#: Seconds in which a connection has to log in. Without it, strangers could hold all that they may
#: have for ever, and keep operators out.
_GRACE = 30

#: Messages that a stranger may send; a login takes about ten. Without it, one could keep the
#: process busy with answering nonsense.
_MESSAGES = 100

#: Keys that one connection may try. Without it, one could try many more than anybody has.
_ATTEMPTS = 10

#: Seconds that links have to close when the manhole is stopped, before they are cut.
_PATIENCE = 1.0

#: How a login may be signed: with all kinds of keys, but not with SHA-1, which can be forged.
_SIGNATURES = (*(kind for kind in KINDS if kind != b"ssh-rsa"), b"rsa-sha2-512", b"rsa-sha2-256")

_log = Logger()


#: What conch raises at messages that make no sense. From somebody known, all else is our fault.
_BROKEN = (LookupError, ValueError, struct.error)


class _Link(Quiet, transport.SSHServerTransport):
    """
    A connection: that of a stranger, until a key was accepted.

    @ivar known: who it is, for the log; empty for a stranger.
    @ivar key: the one that was tried last.
    @ivar why: why a stranger did not become known.
    """

    factory: "Links"
    transport: Any
    known = ""
    key: Key | None = None
    why = "it left"
    _messages = 0

    def __init__(self) -> None:
        self.supportedCiphers = [one for one in self.supportedCiphers if b"-ctr" in one]
        self.supportedMACs = [one for one in self.supportedMACs if b"-sha2-" in one]
        self.supportedKeyExchanges = [
            one for one in self.supportedKeyExchanges if not one.startswith(b"diffie-hellman-")
        ]
        # Before the login, a small packet that is compressed could swell to fill the memory.
        self.supportedCompressions = [b"none"]

    def connectionMade(self) -> None:
        """
        A stranger is there.
        """
        self._host = plain(str(getattr(self.transport.getPeer(), "host", "local")))
        self._grace = self.factory.reactor.callLater(_GRACE, self._late)
        self.factory.links[self] = None
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpKeepAlive(True)  # so that one that vanished is noticed some day
        super().connectionMade()

    def connectionLost(self, reason: Failure | None = connectionDone) -> None:
        """
        It is gone.
        """
        if self._grace.active():
            self._grace.cancel()
        try:
            super().connectionLost(reason)
        except _BROKEN:
            pass  # conch lost count of its channels: the peer has sent what makes no sense
        finally:
            self.factory.lost(self)
        if self.known:
            _log.info("manhole: {known} is gone", known=self.known)
        else:
            self.factory.rarely.warn(
                "stranger",
                self._host,
                "manhole: {host} did not log in: {why}",
                host=self._host,
                why=self.why,
            )

    def dataReceived(self, data: bytes) -> None:
        """
        Something came. What a client sends can break conch in many ways, and is not our fault.
        """
        if getattr(self.transport, "disconnecting", False):
            return  # what is sent by one that was told to go would pile up
        try:
            super().dataReceived(data)
        except Exception as error:
            why = f"it broke the protocol ({type(error).__name__})"
            if self.known:
                if not isinstance(error, _BROKEN):
                    raise
                _log.warn("manhole: {known} is cut off: {why}", known=self.known, why=why)
            self.cut(why)

    def dispatchMessage(self, messageNum: int, payload: bytes) -> None:
        """
        A message came.
        """
        self._messages += 1
        if getattr(self.transport, "disconnecting", False):
            return
        if not self.known and self._messages > _MESSAGES:
            self.why = "it sent too much"
            self.sendDisconnect(transport.DISCONNECT_PROTOCOL_ERROR, b"too many messages")
            return
        super().dispatchMessage(messageNum, payload)

    def sendDisconnect(self, reason: int, desc: bytes) -> None:
        """
        Tell the peer to go.
        """
        if self.why == _Link.why:
            self.why = plain(desc.decode("ascii", "replace"))
        super().sendDisconnect(reason, desc)

    def setService(self, service: SSHService) -> None:
        """
        Let a stranger log in, or somebody known in.
        """
        if not self.isEncrypted("both"):
            self.sendDisconnect(transport.DISCONNECT_PROTOCOL_ERROR, b"nothing is secret yet")
            return
        if isinstance(service, SSHUserAuthServer):
            service.clock = self.factory.reactor
        elif not self.known and not self._admit():
            return
        super().setService(service)

    def sendExtInfo(self, extensions: list[tuple[bytes, bytes]]) -> None:
        """
        Tell how logins may be signed. Conch would name the kind of our own key only, and clients
        with RSA keys would not even try.
        """
        told = {**dict(extensions), b"server-sig-algs": b",".join(_SIGNATURES)}
        super().sendExtInfo(list(told.items()))

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        """
        The client says goodbye, which conch takes for an error.
        """

    def _admit(self) -> bool:
        if sum(bool(link.known) for link in self.factory.links) >= _SESSIONS:
            self.why = "there are too many sessions"
            self.sendDisconnect(transport.DISCONNECT_TOO_MANY_CONNECTIONS, b"too many sessions")
            return False
        assert isinstance(self.service, SSHUserAuthServer) and self.key is not None
        user = plain((self.service.user or b"").decode("utf-8", "replace"))
        self.known = f"{user}@{self._host}"
        self._grace.cancel()
        _log.info(
            "manhole: {known} logged in with the key {key}",
            known=self.known,
            key=fingerprint(self.key),
        )
        return True

    def _late(self) -> None:
        self.cut(f"it took longer than {_GRACE} s")

    def cut(self, why: str = "") -> None:
        """
        Close it at once.
        """
        self.why = why or self.why
        self.transport.abortConnection()


class _Login(Quiet, SSHUserAuthServer):
    """
    Lets a stranger show keys.
    """

    loginTimeout = _GRACE
    attemptsBeforeDisconnect = _ATTEMPTS
    transport: _Link

    def tryAuth(self, kind: bytes, user: bytes, data: bytes) -> "Deferred[Any]":
        """
        Somebody wants to come in; only keys are of use for that.
        """
        if kind != b"publickey":
            return super().tryAuth(kind, user, data)
        try:
            signature, blob, _rest = getNS(data[1:], 2)
            if signature not in _SIGNATURES:
                raise ValueError("no accepted kind of signature")
            key = self.transport.key = Key.fromString(blob)
        except Exception as error:  # what is no key fails in as many ways as there are kinds
            return fail(UnauthorizedLogin(str(error)))

        def refuse(failure: Failure) -> Failure:
            if failure.check(UnauthorizedLogin):
                self.transport.why = f"the key {fingerprint(key)} is not authorized"
            return failure

        return super().tryAuth(kind, user, data).addErrback(refuse)


class _Connection(Quiet, connection.SSHConnection):
    """
    What somebody known can have: one session, and no forwarding.
    """

    transport: Any

    def packetReceived(self, messageNum: int, packet: bytes) -> Any:
        """
        Something is wanted; perhaps a channel.
        """
        if messageNum != connection.MSG_CHANNEL_OPEN:
            return super().packetReceived(messageNum, packet)
        kind, rest = getNS(packet)
        if kind == b"session" and not self.channels:
            return super().packetReceived(messageNum, packet)
        reason = connection.OPEN_ADMINISTRATIVELY_PROHIBITED.to_bytes(4, "big")
        self.transport.sendPacket(
            connection.MSG_CHANNEL_OPEN_FAILURE,
            rest[:4] + reason + NS(b"there is one session, and no forwarding") + NS(b""),
        )
        return None


class Links(Quiet, SSHFactory):
    """
    The connections of the manhole.

    @ivar links: those that are open, the oldest first.
    """

    noisy = False
    protocol = _Link

    def __init__(self, reactor: Any, key: Key, portal: Portal) -> None:
        self.services = {b"ssh-userauth": _Login, b"ssh-connection": _Connection}
        self.reactor = reactor
        self.portal = portal
        self.privateKeys = {key.sshType(): key}
        self.publicKeys = {key.sshType(): key.public()}
        self.primes = None
        self.links: dict[_Link, None] = {}
        self.rarely = Rarely(_log, reactor)
        self._closed: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """
        One more stranger. If there are too many, the one that has been here longest goes: to be
        refused would keep operators out for as long as others hold all the places.
        """
        strangers = [link for link in self.links if not link.known]
        if len(strangers) >= _STRANGERS:
            self.links.pop(strangers[0])
            strangers[0].cut("there are too many that do not")
        return super().buildProtocol(addr)

    def getService(self, transport: Any, service: bytes) -> Any:
        """
        What serves a service; L{None} if there is none of that name.
        """
        return super().getService(transport, service) if service in self.services else None

    def lost(self, link: _Link) -> None:
        """
        A link is closed.
        """
        self.links.pop(link, None)
        if self._closed is not None and not self.links:
            closed, self._closed = self._closed, None
            closed.callback(None)

    async def close(self) -> None:
        """
        Close all links: those that take too long are cut.
        """
        if not self.links:
            return
        closed = self._closed = Deferred()
        timer = self.reactor.callLater(_PATIENCE, self._cut)
        for link in tuple(self.links):
            link.loseConnection()
        await closed
        if timer.active():
            timer.cancel()

    def _cut(self) -> None:
        for link in tuple(self.links):
            link.cut()

"""
Tests for L{sensord.manhole.ssh}.
"""

import struct
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, strategies
from twisted.conch.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from twisted.conch.interfaces import IConchUser
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.transport import SSHClientTransport
from twisted.conch.ssh.userauth import SSHUserAuthClient
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from sensord.manhole.prompt import Operator
from sensord.manhole.ssh import Links
from tests.support import PROPERTY


@implementer(IRealm)
class Realm:
    """
    Where everybody is an operator.
    """

    def requestAvatar(self, avatarId: object, mind: object, *interfaces: object) -> Any:
        """
        See L{IRealm.requestAvatar}.
        """
        return IConchUser, Operator({}, {}), lambda: None


class Wire(StringTransport):
    """
    The manhole's end of a connection.

    @ivar disconnected: whether it was cut.
    """

    disconnected = False

    def abortConnection(self) -> None:
        """
        Cut it.
        """
        self.disconnecting = self.disconnected = True


class Login(SSHUserAuthClient):
    """
    Logs in with one key.
    """

    def __init__(self, key: Key, then: SSHConnection) -> None:
        super().__init__(b"me", then)
        self._private = key
        self._shown = False

    def getPublicKey(self) -> Key | None:
        """
        See L{SSHUserAuthClient.getPublicKey}.
        """
        shown, self._shown = self._shown, True
        return None if shown else self._private.public()

    def getPrivateKey(self) -> "Deferred[Key]":
        """
        See L{SSHUserAuthClient.getPrivateKey}.
        """
        return succeed(self._private)

    def getPassword(self, prompt: object = None) -> "Deferred[bytes]":
        """
        See L{SSHUserAuthClient.getPassword}.
        """
        return succeed(b"secret")


class Channel(SSHChannel):
    """
    A channel of any type.
    """

    conn: Any

    def __init__(self, name: bytes) -> None:
        super().__init__()
        self.name = name
        self.why = ""
        self.seen = b""
        self.requests: list[Any] = []

    def openFailed(self, reason: Any) -> None:
        """
        It is refused.
        """
        self.why = str(reason)

    def dataReceived(self, data: bytes) -> None:
        """
        It says something.
        """
        self.seen += data

    def ask(self, kind: bytes, data: bytes = b"") -> "Deferred[Any]":
        """
        Make a request.
        """
        made: Deferred[Any] = self.conn.sendRequest(self, kind, data, True)
        return made


class Client(SSHClientTransport):
    """
    A client in memory.

    @ivar connection: what it has when it is logged in.
    """

    transport: Any

    def __init__(self, link: Any, key: Key) -> None:
        self.connection = SSHConnection()
        self.farewell = b""
        self.link = link
        self._key = key

    def verifyHostKey(self, hostKey: bytes, fingerprint: bytes) -> "Deferred[bool]":
        """
        It trusts everybody.
        """
        return succeed(True)

    def connectionSecure(self) -> None:
        """
        Log in.
        """
        self.requestService(Login(self._key, self.connection))

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        """
        It was told to go.
        """
        self.farewell = description

    @property
    def known(self) -> bool:
        """
        Whether it is logged in.
        """
        return self.service is self.connection

    def pump(self) -> None:
        """
        Carry the bytes to and fro until there are no more.
        """
        while True:
            ours, theirs = self.transport.value(), self.link.transport.value()
            self.transport.clear()
            self.link.transport.clear()
            if not ours and not theirs:
                return
            self.link.dataReceived(ours)
            self.dataReceived(theirs)

    def open(self, name: bytes) -> Channel:
        """
        Open a channel.
        """
        channel = Channel(name)
        self.connection.openChannel(channel)
        self.pump()
        return channel


class LinksTestCase(SynchronousTestCase):
    """
    The connections of a manhole, in memory.
    """

    def setUp(self) -> None:
        """
        A manhole that one key opens.
        """
        self.reactor: Any = MemoryReactorClock()
        self.key = Key(Ed25519PrivateKey.generate())
        self.links = self.build(self.key)

    def build(self, *keys: Key) -> Links:
        """
        A manhole that some keys open.
        """
        known = InMemorySSHKeyDB({b"me": [key.public() for key in keys]})
        portal = Portal(Realm(), [SSHPublicKeyChecker(known)])
        links = Links(self.reactor, Key(Ed25519PrivateKey.generate()), portal)
        links.doStart()
        return links

    def connect(self) -> Any:
        """
        A stranger connects.
        """
        link = self.links.buildProtocol(None)
        link.makeConnection(Wire())
        return link

    def login(self, key: Key | None = None) -> Client:
        """
        Somebody connects and tries to log in.
        """
        client = Client(self.connect(), key or self.key)
        client.makeConnection(StringTransport())
        client.pump()
        return client

    def gone(self, link: Any) -> list[str]:
        """
        A connection ends.

        @return: what the log says.
        """
        with capturedLogs() as events:
            link.connectionLost(Failure(ConnectionDone()))
        return [
            str(formatEvent(event))
            for event in events
            if event["log_namespace"] == "sensord.manhole.ssh"
        ]


def packet(payload: bytes) -> bytes:
    """
    A message before there is encryption.
    """
    padding = 8 - (5 + len(payload)) % 8 + 8
    return struct.pack(">LB", 1 + len(payload) + padding, padding) + payload + bytes(padding)


#: What a client says first.
_HELLO = b"SSH-2.0-test\r\n"


class StrangerTests(LinksTestCase):
    """
    Connections that do not log in.
    """

    def assertCut(self, data: bytes, why: str) -> None:
        """
        Check that what a stranger sends costs the connection, and is a line in the log.
        """
        self.links = self.build(self.key)  # each logs its first line on a subject
        link = self.connect()
        link.dataReceived(data)
        self.assertTrue(link.transport.disconnecting, data)
        link.dataReceived(data)
        self.assertEqual(self.gone(link), [f"manhole: 192.168.1.1 did not log in: {why}"])
        self.assertEqual((self.links.links, self.reactor.getDelayedCalls()), ({}, []))

    def test_garbage(self) -> None:
        """
        Who speaks no SSH is disconnected.
        """
        self.assertCut(b"GET / HTTP/1.0\r\n\r\n", "bad packet length 1195725856")
        self.assertCut(b"SSH-1.5-old\r\n", "bad version 1.5")
        self.assertCut(
            bytes(5000),
            "Peer version string longer than 4KB. Preventing a denial of service attack.",
        )

    def test_broken(self) -> None:
        """
        Who begins well and then breaks the protocol is disconnected.
        """
        self.assertCut(_HELLO + packet(b"\x14" + bytes(20)), "it broke the protocol (error)")
        self.assertCut(_HELLO + packet(b"\x15"), "it broke the protocol (AttributeError)")
        self.assertCut(_HELLO + packet(b"\x1e"), "it broke the protocol (AttributeError)")
        self.assertCut(_HELLO + b"\xff" * 16, "bad packet length 4294967295")

    def test_plaintext(self) -> None:
        """
        Nobody can log in before the connection is encrypted.
        """
        self.assertCut(_HELLO + packet(b"\x05" + NS(b"ssh-userauth")), "nothing is secret yet")
        self.assertCut(
            _HELLO + packet(b"\x05" + NS(b"ssh-connection")), "don't have service ssh-connection"
        )

    def test_flood(self) -> None:
        """
        Who sends more messages than a login takes is disconnected, and not answered any more.
        """
        link = self.connect()
        link.dataReceived(_HELLO)
        link.transport.clear()
        link.dataReceived(packet(b"\xff") * 10_000)
        self.assertLess(len(link.transport.value()), 101 * 32)
        self.assertTrue(link.transport.disconnecting)
        [line] = self.gone(link)
        self.assertIn("it sent too much", line)

    def test_left(self) -> None:
        """
        Who leaves, at once or in the middle, is a line in the log; if it happens again and again,
        one a minute.
        """
        lines = []
        for data in (b"", b"SSH-", _HELLO, _HELLO + packet(b"\x14")[:10]):
            link = self.connect()
            link.dataReceived(data)
            lines += self.gone(link)
        self.assertEqual(lines, ["manhole: 192.168.1.1 did not log in: it left"])

    def test_grace(self) -> None:
        """
        Who does not log in within 30 seconds is cut, however busy it seems.
        """
        for data in (b"", _HELLO):
            self.links = self.build(self.key)
            link = self.connect()
            link.dataReceived(data)
            self.reactor.advance(29)
            link.dataReceived(packet(b"\x02" + NS(b"")) if data else b"")
            self.assertFalse(link.transport.disconnecting)
            self.reactor.advance(1)
            self.assertTrue(link.transport.disconnected)
            [line] = self.gone(link)
            self.assertTrue(line.endswith("did not log in: it took longer than 30 s"), line)

    def test_many(self) -> None:
        """
        Strangers can have twenty connections; for each one more the oldest is cut, so that they
        cannot keep operators out.
        """
        links = [self.connect() for _number in range(20)]
        self.assertFalse(any(link.transport.disconnected for link in links))
        client = self.login()
        self.assertTrue(client.known)
        self.assertEqual([link.transport.disconnected for link in links], [True] + [False] * 19)
        links += [self.connect() for _number in range(2)]
        self.assertEqual(sum(link.transport.disconnected for link in links), 2)
        for link in (*links, client.link):
            self.gone(link)
        self.assertEqual((self.links.links, self.reactor.getDelayedCalls()), ({}, []))

    @given(strategies.lists(strategies.binary(max_size=40), max_size=6), strategies.booleans())
    @example([b"\x05" + NS(b"ssh-userauth"), b"\x32" + NS(b"")], True)
    @example([b"\x14" + bytes(16) + NS(b"none") * 10], True)
    @example([b"\x01"], True)
    @PROPERTY
    def test_anything(self, messages: list[bytes], framed: bool) -> None:
        """
        Whatever a stranger sends, nothing is raised, and nobody is let in.
        """
        link = self.connect()
        link.dataReceived(_HELLO)
        for message in messages:
            link.dataReceived(packet(message) if framed else message)
        self.assertFalse(link.known)
        self.gone(link)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class LoginTests(LinksTestCase):
    """
    Connections that log in, or try to.
    """

    def test_key(self) -> None:
        """
        Who has a key is let in, and the log says who it was.
        """
        with capturedLogs() as events:
            client = self.login()
        self.assertTrue(client.known)
        [text] = [formatEvent(e) for e in events if e["log_namespace"].startswith("sensord.")]
        self.assertRegex(text, r"\Amanhole: me@192.168.1.1 logged in with the key SHA256:\S+\Z")
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.gone(client.link), ["manhole: me@192.168.1.1 is gone"])

    def test_stays(self) -> None:
        """
        Who is let in has all the time in the world.
        """
        client = self.login()
        self.reactor.advance(100_000)
        self.assertFalse(client.link.transport.disconnecting)

    def test_otherKey(self) -> None:
        """
        Who has another key is not let in, and the log says which key it was.
        """
        client = self.login(Key(Ed25519PrivateKey.generate()))
        self.assertFalse(client.known or client.link.known)
        [text] = self.gone(client.link)
        self.assertRegex(text, r"did not log in: the key SHA256:\S+ is not authorized\Z")
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_forged(self) -> None:
        """
        Who shows a key that is authorized, and signs with another, is not let in.
        """

        class Thief(Login):
            def getPrivateKey(self) -> "Deferred[Key]":
                return succeed(Key(Ed25519PrivateKey.generate()))

        client = Client(self.connect(), self.key)
        client.connectionSecure = lambda: client.requestService(  # type: ignore[method-assign]
            Thief(self.key, client.connection)
        )
        client.makeConnection(StringTransport())
        client.pump()
        self.assertFalse(client.known or client.link.known)
        self.gone(client.link)

    def test_sha1(self) -> None:
        """
        A signature that can be forged is not accepted: conch, as a client, can make only such with
        an RSA key.
        """
        key = Key(rsa.generate_private_key(65537, 2048))
        self.links = self.build(key)
        client = self.login(key)
        self.assertFalse(client.known or client.link.known)
        self.gone(client.link)

    def test_offered(self) -> None:
        """
        Weak ciphers, MACs and key exchanges are not offered, and no compression.
        """
        link = self.connect()
        self.assertEqual(link.supportedCiphers, [b"aes256-ctr", b"aes192-ctr", b"aes128-ctr"])
        self.assertEqual({mac[:10] for mac in link.supportedMACs}, {b"hmac-sha2-"})
        self.assertEqual(link.supportedCompressions, [b"none"])
        self.assertIn(b"curve25519-sha256", link.supportedKeyExchanges)
        for weak in (b"sha1", b"group"):
            self.assertFalse([one for one in link.supportedKeyExchanges if weak in one])

    def test_sessions(self) -> None:
        """
        Ten can be in at a time; the next is told so.
        """
        clients = [self.login() for _number in range(10)]
        self.assertTrue(all(client.known for client in clients))
        late = self.login()
        self.assertEqual((late.link.known, late.farewell), ("", b"too many sessions"))
        self.assertTrue(late.link.transport.disconnecting)
        self.assertIn("there are too many sessions", self.gone(late.link)[0])
        self.gone(clients[0].link)
        self.assertTrue(self.login().known)


class ChannelTests(LinksTestCase):
    """
    What somebody who is let in can have.
    """

    def setUp(self) -> None:
        """
        Somebody is let in.
        """
        super().setUp()
        self.client = self.login()

    def ask(self, channel: Channel, kind: bytes, data: bytes = b"") -> bool:
        """
        Make a request.

        @return: whether it is granted.
        """
        granted: list[bool] = []
        channel.ask(kind, data).addCallbacks(
            lambda _data: granted.append(True), lambda _failure: granted.append(False)
        )
        self.client.pump()
        return granted[0]

    def say(self, channel: Channel, text: bytes) -> bytes:
        """
        Type something.

        @return: what is seen then.
        """
        channel.seen = b""
        channel.write(text)
        self.client.pump()
        return channel.seen

    def test_prompt(self) -> None:
        """
        A prompt, in a terminal of any size, or in none.
        """
        channel = self.client.open(b"session")
        size = struct.pack(">4L", 132, 50, 0, 0)
        self.assertTrue(self.ask(channel, b"pty-req", NS(b"xterm") + size + NS(b"")))
        self.assertTrue(self.ask(channel, b"shell"))
        self.assertTrue(self.ask(channel, b"window-change", size))
        self.assertIn(b"\r\n2\r\n", self.say(channel, b"1+1\r"))
        self.assertTrue(self.client.known)

    def test_quit(self) -> None:
        """
        When it is left, the channel is closed, and a new one can be opened.
        """
        for leave in (lambda one: self.say(one, b"q\r"), lambda one: one.conn.sendEOF(one)):
            channel = self.client.open(b"session")
            self.assertTrue(self.ask(channel, b"shell"))
            leave(channel)
            self.client.pump()
            self.assertTrue(channel.localClosed and channel.remoteClosed)

    def test_nothingElse(self) -> None:
        """
        Commands, file transfer, environments, agents and windows are refused, and so is what is no
        proper request.
        """
        channel = self.client.open(b"session")
        for kind in (
            b"exec",
            b"subsystem",
            b"env",
            b"auth-agent-req@openssh.com",
            b"x11-req",
            b"pty-req",
            b"window-change",
            b"\xff",
            b"",
        ):
            self.assertFalse(self.ask(channel, kind, NS(b"ls") + b"\xff"), kind)
        self.assertTrue(self.ask(channel, b"shell"))
        self.assertFalse(self.ask(channel, b"shell"))

    def test_unasked(self) -> None:
        """
        What is no proper request is ignored where no answer is wanted.
        """
        channel = self.client.open(b"session")
        for kind in (b"pty-req", b"window-change", b"\xff"):
            channel.conn.sendRequest(channel, kind, b"\xff")
        self.client.pump()
        self.assertTrue(self.ask(channel, b"shell"))

    def test_forwarding(self) -> None:
        """
        There is no forwarding, and one session at a time.
        """
        self.assertIn("no forwarding", self.client.open(b"direct-tcpip").why)
        self.assertEqual(self.client.open(b"session").why, "")
        self.assertIn("there is one session", self.client.open(b"session").why)
        refused: list[object] = []
        made = self.client.connection.sendGlobalRequest(b"tcpip-forward", b"", True)
        made.addErrback(refused.append)
        self.client.pump()
        self.assertEqual(len(refused), 1)

    def test_lost(self) -> None:
        """
        When the connection is lost, what went on in the session ends.
        """
        channel = self.client.open(b"session")
        self.ask(channel, b"shell")
        self.gone(self.client.link)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class CloseTests(LinksTestCase):
    """
    The end of a manhole.
    """

    def close(self) -> "Deferred[None]":
        """
        Close all.
        """
        return Deferred.fromCoroutine(self.links.close())

    def test_nobody(self) -> None:
        """
        Where nobody is, nothing is waited for.
        """
        self.successResultOf(self.close())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_polite(self) -> None:
        """
        Who is there is told to go, and waited for.
        """
        client, link = self.login(), self.connect()
        closed = self.close()
        client.pump()
        self.assertTrue(client.link.transport.disconnecting and link.transport.disconnecting)
        self.assertEqual(client.farewell, b"user closed connection")
        self.gone(client.link)
        self.assertNoResult(closed)
        self.gone(link)
        self.successResultOf(closed)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stubborn(self) -> None:
        """
        Who does not go is cut after a second.
        """
        link = self.connect()
        closed = self.close()
        self.assertFalse(link.transport.disconnected)
        self.reactor.advance(1)
        self.assertTrue(link.transport.disconnected)
        self.gone(link)
        self.successResultOf(closed)


class BrokenClientTests(LinksTestCase):
    """
    Operators whose client sends what makes no sense.
    """

    def test_nonsense(self) -> None:
        """
        One who has logged in is cut off with a line in the log, and no traceback.
        """
        for name, payload in ((80, NS(b"\xff") + b"\1"), (97, bytes(4))):
            client = self.login()
            self.assertTrue(client.known)
            with capturedLogs() as events:
                client.sendPacket(name, payload)
                client.pump()
            lines = [str(formatEvent(event)) for event in events]
            self.assertTrue(any("broke the protocol" in line for line in lines), lines)
            self.assertEqual(self.flushLoggedErrors(), [])

    def test_lostCount(self) -> None:
        """
        One whose channels are not what conch thinks counts no longer when it is gone, so that it
        holds up neither others nor the end of the gateway.
        """
        client = self.login()
        link = client.link
        link.service.serviceStopped = lambda: [].pop()  # as conch when a channel is unknown
        link.connectionLost(Failure(ConnectionDone()))
        self.assertNotIn(link, self.links.links)

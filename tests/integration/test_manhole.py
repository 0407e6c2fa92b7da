"""
The manhole, and the SSH client that everybody has.
"""

import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, eventAsText, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, TestCase

from sensord.manhole.service import Manhole
from sensord.manhole.words import words
from sensord.reading import Clock, Reading
from sensord.settings import ManholeSettings
from sensord.simulate import Fleet
from tests.integration.daemon import ALARMS, PATIENCE
from tests.integration.loop import pause, reactor

#: What moves the cursor or sets a colour.
_CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

#: What the client must not take from whoever runs the tests: their keys, agents and settings.
_ALONE = (
    *("-F", "none", "-o", "IdentityAgent=none", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
    *("-o", "UserKnownHostsFile=known_hosts", "-o", "GlobalKnownHostsFile=/dev/null"),
    *("-o", "LogLevel=ERROR", "-o", "ConnectTimeout=30"),
)


class Client(ProcessProtocol):
    """
    One C{ssh}.

    @ivar seen: what it has printed so far, without colours.
    @ivar ended: fires with the exit code.
    """

    transport: IProcessTransport

    def __init__(self) -> None:
        self.seen = ""
        self.ended: Deferred[int] = Deferred()
        self._data = b""
        self._wanted: tuple[str, Deferred[None]] | None = None

    def outReceived(self, data: bytes) -> None:
        """
        It printed something.
        """
        self._data += data
        self.seen = _CODES.sub("", self._data.decode(errors="replace"))
        if self._wanted is not None and re.search(self._wanted[0], self.seen):
            (_pattern, found), self._wanted = self._wanted, None
            found.callback(None)

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        """
        It is over.
        """
        self.ended.callback(getattr(reason.value, "exitCode", None) or 0)
        if self._wanted is not None:
            self._wanted[1].errback(AssertionError(f"no {self._wanted[0]!r} in {self.seen!r}"))

    def type(self, text: str) -> None:
        """
        Type something.
        """
        self.transport.write(text.encode())

    def expect(self, pattern: str) -> "Deferred[None]":
        """
        Wait until it has printed something.
        """
        found: Deferred[None] = Deferred()
        self._wanted = pattern, found
        self.outReceived(b"")
        return found


class Peer(Protocol):
    """
    A peer that is no SSH client.

    @ivar closed: fires when the connection is.
    """

    def __init__(self) -> None:
        self.closed: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        It is closed.
        """
        self.closed.callback(None)


class ManholeTests(TestCase):
    """
    A manhole on the real reactor.
    """

    timeout = PATIENCE
    ssh: str | None
    keygen: str | None

    async def setUp(self) -> None:  # type: ignore[override]
        """
        Open it for one key.
        """
        self.ssh, self.keygen = shutil.which("ssh"), shutil.which("ssh-keygen")
        if not (self.ssh and self.keygen):
            raise SkipTest("ssh is missing: apt-get install openssh-client")
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.logged: list[str] = []
        observer = cast(ILogObserver, self._log)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        await self.generate("id", "ed25519")
        await self.generate("other", "ed25519")
        self.followers: list[Callable[[Sequence[Reading]], None]] = []
        self.authorize("id")
        self.manhole = self.build("tcp:0:interface=127.0.0.1")
        self.manhole.startService()
        self.addCleanup(self.manhole.stopService)
        self.port = self.manhole.address.port  # type: ignore[union-attr]

    def _log(self, event: LogEvent) -> None:
        self.logged.append(eventAsText(event))

    def build(self, listen: str) -> Manhole:
        """
        A manhole with everything.
        """
        settings = ManholeSettings(
            listen, str(self.folder / "authorized_keys"), str(self.folder / "manhole_key")
        )
        names = {
            "store": {"balcony": 24.5},
            "soon": lambda: deferLater(reactor(), 0.01, lambda: 42),
        }
        return Manhole(
            reactor(),
            settings,
            names,
            words(
                reactor(),
                lambda: [("listener", "peer"), ("poe", "192.168.1.7")],
                self.follow,
                lambda devices, rate: Fleet(reactor(), "poe", devices, rate, "tcp:127.0.0.1:9"),
            ),
        )

    def follow(self, callback: Callable[[Sequence[Reading]], None]) -> Callable[[], None]:
        """
        See L{sensord.store.service.Store.follow}.
        """
        self.followers.append(callback)
        return lambda: self.followers.remove(callback)

    def spawn(self, program: str | None, *arguments: str) -> Client:
        """
        Start a program.
        """
        assert program is not None
        client = Client()
        environment = {"PATH": os.defpath, "TERM": "xterm"}
        process = reactor().spawnProcess(
            client, program, [program, *arguments], environment, str(self.folder)
        )

        def end() -> "Deferred[int]":
            if not client.ended.called:
                process.signalProcess("KILL")
            return client.ended

        self.addCleanup(end)
        return client

    async def generate(self, name: str, kind: str) -> None:
        """
        Make a key.
        """
        options = ("-q", "-N", "", "-C", f"{name}@test", "-t", kind, "-f", name)
        self.assertEqual(await self.spawn(self.keygen, *options).ended, 0)

    def authorize(self, *names: str) -> None:
        """
        Say which keys open it.
        """
        path = self.folder / "authorized_keys"
        path.write_bytes(b"".join((self.folder / f"{name}.pub").read_bytes() for name in names))
        path.chmod(0o644)

    def login(
        self,
        key: str = "id",
        *more: str,
        user: str = "operator",
        terminal: str = "-tt",
        command: Sequence[str] = (),
    ) -> Client:
        """
        Let the client log in.
        """
        where = ("-p", str(self.port), f"{user}@127.0.0.1")
        trust = ("-o", "StrictHostKeyChecking=accept-new")
        return self.spawn(self.ssh, *_ALONE, *trust, "-i", key, terminal, *more, *where, *command)

    def assertQuiet(self) -> None:
        """
        Nothing in the log says that we erred.
        """
        self.assertEqual(self.flushLoggedErrors(), [])
        for alarm in ALARMS:
            self.assertNotIn(alarm, "\n".join(self.logged))

    async def test_session(self) -> None:
        """
        An operator logs in, asks Python, uses words, and leaves with exit code 0.
        """
        client = self.login()
        await client.expect("h helps\r\n>>> ")
        for line, answer in (
            ("1+1", r"\r\n2\r\n>>> "),
            ("store", r"\r\n\{'balcony': 24.5\}\r\n>>> "),
            ("h", r"this help(.|\n)*store +dict(.|\n)*>>> "),
            ("l", r"listener +peer\r\npoe +192.168.1.7\r\n>>> "),
            ("soon()", r"<Deferred #0>\r\n>>> \rDeferred #0 called back: 42\r\n>>> "),
        ):
            client.type(f"{line}\r")
            await client.expect(answer)
        client.type("q\r")
        self.assertEqual(await client.ended, 0)
        self.assertTrue(self.manhole.running)
        self.assertQuiet()

    async def test_kinds(self) -> None:
        """
        RSA and ECDSA keys open it too, under any name.
        """
        await self.generate("rsa", "rsa")
        await self.generate("ec", "ecdsa")
        self.authorize("rsa", "ec")
        for key, user in (("rsa", "root"), ("ec", "nobody")):
            client = self.login(key, user=user)
            client.type("q\r")
            self.assertEqual(await client.ended, 0)
        self.assertQuiet()

    async def test_verbose(self) -> None:
        """
        Readings are shown as they are stored, until the client goes away.
        """
        client = self.login()
        client.type("v\r")
        await client.expect("readings are shown")
        self.followers[0]([Reading("balcony", "temperature", 24.5, 0, Clock.ARRIVAL)])
        await client.expect("1970-01-01T00:00:00.000000Z  balcony  temperature  24.5\r\n>>> ")
        client.transport.signalProcess("KILL")
        await client.ended
        while self.followers:
            await pause(0.01)
        self.assertQuiet()

    async def test_simulate(self) -> None:
        """
        A simulation that the operator began ends with the session.
        """
        client = self.login()
        client.type("t -c 2 -p -1 -t 0.5\r")
        await client.expect("no connection: .*refused")
        client.type("\x04")
        self.assertEqual(await client.ended, 0)
        self.assertQuiet()

    async def test_piped(self) -> None:
        """
        Lines from a pipe are done as well, and its end is the end.
        """
        client = self.login(terminal="-T")
        client.type("6*7\nl\n")
        client.transport.closeStdin()
        self.assertEqual(await client.ended, 0)
        self.assertRegex(client.seen, r"\r\n42\r\n(.|\n)*192.168.1.7\r\n")
        self.assertQuiet()

    async def test_refused(self) -> None:
        """
        Another key, a key that was struck off, a password, a signature that can be forged and a
        weak cipher are refused.
        """
        await self.generate("rsa", "rsa")
        self.authorize("rsa")
        for client in (
            self.login("other"),
            self.login("id"),
            self.login("other", "-o", "PubkeyAuthentication=no", "-o", "BatchMode=no"),
            self.login("rsa", "-o", "PubkeyAcceptedAlgorithms=ssh-rsa"),
            self.login("rsa", "-o", "Ciphers=aes128-cbc"),
        ):
            client.transport.closeStdin()
            self.assertEqual(await client.ended, 255)
            self.assertNotIn(">>>", client.seen)
        self.assertQuiet()

    async def test_methods(self) -> None:
        """
        Keys are the only way in that is offered.
        """
        client = self.login("other", "-v", "-o", "LogLevel=DEBUG")
        await client.ended
        methods = re.findall(r"Authentications that can continue: (\S*)", client.seen)
        self.assertEqual(set(methods), {"publickey"})
        self.assertIn("(publickey)", client.seen)

    async def test_nothingElse(self) -> None:
        """
        Commands, file transfer and forwarding are refused.
        """
        for options, command, why in (
            ((), ("ls",), "exec request failed"),
            (("-s",), ("sftp",), "subsystem request failed"),
            (("-W", "127.0.0.1:22"), (), "forwarding failed"),
        ):
            client = self.login("id", *options, terminal="-T", command=command)
            self.assertEqual(await client.ended, 255)
            self.assertIn(why, client.seen)
        self.assertQuiet()

    async def test_hostKey(self) -> None:
        """
        After a restart it is known by the same key; OpenSSH can read it.
        """
        client = self.login()
        client.type("q\r")
        self.assertEqual(await client.ended, 0)
        await self.manhole.stopService()
        again = self.build(f"tcp:{self.port}:interface=127.0.0.1")
        again.startService()
        self.addCleanup(again.stopService)
        client = self.login("id", "-o", "StrictHostKeyChecking=yes")
        client.type("q\r")
        self.assertEqual(await client.ended, 0)
        shown = self.spawn(self.keygen, "-l", "-f", "manhole_key")
        self.assertEqual(await shown.ended, 0)
        [mark] = re.findall(r"SHA256:\S+", shown.seen)
        self.assertIn(mark, "\n".join(self.logged))

    async def test_garbage(self) -> None:
        """
        Who speaks no SSH, or leaves in the middle, harms nothing and is no error.
        """
        door = clientFromString(reactor(), f"tcp:127.0.0.1:{self.port}")
        for data in (b"GET / HTTP/1.0\r\n\r\n", bytes(10_000), b"SSH-2.0-x\r\n" + b"\xff" * 64):
            peer = await connectProtocol(door, Peer())
            peer.transport.write(data)
            await peer.closed
        for data in (b"", b"SSH-2.0-x\r\n", b"SSH-2.0-x\r\n\0\0\1\0\4"):
            for leave in ("loseConnection", "abortConnection"):
                peer = await connectProtocol(door, Peer())
                peer.transport.write(data)
                getattr(peer.transport, leave)()
                await peer.closed
        half = await connectProtocol(door, Peer())
        client = self.login()
        client.type("1+1\r")
        await client.expect(r"\r\n2\r\n")
        half.transport.abortConnection()
        await half.closed
        client.type("q\r")
        await client.ended
        self.assertQuiet()

    async def test_stop(self) -> None:
        """
        When it stops, sessions end and the port is closed, also for those who are half in.
        """
        client = self.login()
        await client.expect(">>> ")
        peer = await connectProtocol(
            clientFromString(reactor(), f"tcp:127.0.0.1:{self.port}"), Peer()
        )
        await self.manhole.stopService()
        await gatherResults([peer.closed, client.ended])
        self.assertEqual(await client.ended, 255)
        again = self.build(f"tcp:{self.port}:interface=127.0.0.1")
        again.startService()
        await again.stopService()
        self.assertQuiet()

    async def test_taken(self) -> None:
        """
        A port that is taken raises.
        """
        second = self.build(f"tcp:{self.port}:interface=127.0.0.1")
        self.assertRaises(CannotListenError, second.startService)
        self.assertFalse(second.running)
        await second.stopService()

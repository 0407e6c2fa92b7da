"""
WebSockets over real sockets: microcontrollers, full clients, TLS, and clients that misbehave.
"""

import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Ping,
    Pong,
    Request,
    TextMessage,
)

from sensord.config import Settings
from sensord.devices import Devices
from sensord.protocols.inlet import Inlet
from sensord.protocols.listener import Listener
from sensord.protocols.port import PortFactory
from sensord.protocols.websocket import LINGER, WebSocketProtocol
from sensord.reading import Arrivals
from sensord.store.account import Account
from sensord.wires import WIRES, MessageSettings
from tests.integration.daemon import PATIENCE
from tests.integration.loop import pause, reactor
from tests.integration.test_tls import certify
from tests.wire.test_websocket import ACCEPT, BINARY, HEAD, PIECES, frame, text

T = TypeVar("T", bound="Client")
E = TypeVar("E", bound=Event)

#: How much of the answer to its handshake a microcontroller reads.
FIRST = 200

#: A message of this size is still being sent when it is refused.
HUGE = 10_000_000

#: The answers to so many messages are more than sockets buffer.
MANY = 500_000


class Client(Protocol):
    """
    A peer that reads bytes.

    @ivar data: what it has read.
    @ivar lost: whether its connection is over.
    """

    transport: Any

    def __init__(self) -> None:
        self.data = b""
        self.lost = False
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def connectionMade(self) -> None:
        """
        What is written goes out at once.
        """
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        """
        Keep it.
        """
        self.data += data
        self.look()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        It is over.
        """
        self.lost = True
        self.look()

    def cut(self) -> None:
        """
        Be gone at last.
        """
        if not self.lost:
            self.transport.abortConnection()

    def until(self, condition: Callable[[], bool]) -> Deferred[None]:
        """
        Wait for something.

        @return: fires when it is so.
        """
        fired: Deferred[None] = Deferred()
        self._waiting.append((condition, fired))
        self.look()
        return fired

    def look(self) -> None:
        """
        See whether what is waited for has come.
        """
        waiting, self._waiting = self._waiting, []
        for condition, fired in waiting:
            if condition():
                fired.callback(None)
            else:
                self._waiting.append((condition, fired))


class FullClient(Client):
    """
    A client that knows the protocol.

    @ivar events: what it has heard.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        self._end = WSConnection(ConnectionType.CLIENT)

    def connectionMade(self) -> None:
        """
        Shake hands.
        """
        super().connectionMade()
        self.say(Request("localhost", "/ws"))

    def dataReceived(self, data: bytes) -> None:
        """
        Understand it.
        """
        self._end.receive_data(data)
        self.events += self._end.events()
        self.look()

    def say(self, *events: Event) -> None:
        """
        Send something.
        """
        self.transport.write(b"".join(map(self._end.send, events)))

    async def hear(self, kind: type[E]) -> E:
        """
        Wait for an event, and take it.
        """
        await self.until(lambda: any(isinstance(event, kind) for event in self.events))
        found = next(event for event in self.events if isinstance(event, kind))
        self.events.remove(found)
        return found


class WebSocketTestCase(TestCase):
    """
    A listener on the real reactor, with an account that commits a moment later.

    @ivar waiting: whether commits have to wait.
    """

    timeout = PATIENCE

    def listen(self, listen: str = "tcp:0:interface=127.0.0.1", **more: Any) -> Listener:
        """
        Start to listen.
        """
        settings = MessageSettings("field", "websocket", listen, **more)
        devices = Devices(Settings(listeners=(settings,)))
        self.presence = devices.presence
        self.account = Account("field", lambda count: reactor().callLater(0, self.commit))
        self.waiting = False
        self.values: list[object] = []
        self.rejected: list[str] = []
        source = devices.source(settings, Arrivals(reactor().seconds))
        inlet = Inlet("field", source, self.account, self.presence, reactor())
        parser = partial(WIRES["websocket"].parser, settings)
        made = partial(WebSocketProtocol, ack=settings.ack)
        factory = PortFactory(settings, parser, inlet, reactor(), made)
        self.listener = Listener(reactor(), settings, factory)
        self.listener.startService()
        self.addCleanup(self.stop)
        return self.listener

    def commit(self) -> None:
        """
        Store what came in, unless it has to wait.
        """
        taken = None if self.waiting else self.account.take()
        if taken is not None:
            part, waiting = taken
            for intake in part.intakes:
                self.values += [reading.value for reading in intake.readings]
                self.rejected += [why for _data, why in intake.rejected]
            for _intake, deferred in waiting:
                deferred.callback(None)

    def stop(self) -> Deferred[None]:
        """
        Stop to listen, as the gateway does.
        """
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self.listener.running:
            await self.listener.stopService()
        await self.listener.disconnect()
        await self.until(lambda: not self.listener.connected)

    async def connect(self, client: T) -> T:
        """
        Connect a client.
        """
        address: Any = self.listener.address
        endpoint = TCP4ClientEndpoint(reactor(), "127.0.0.1", address.port)
        await connectProtocol(endpoint, client)
        self.addCleanup(client.cut)
        return client

    async def until(self, condition: Callable[[], object]) -> None:
        """
        Wait for something that has no event to wait for.
        """
        while not condition():
            await pause(0.01)


class MicrocontrollerTests(WebSocketTestCase):
    """
    The primitive client.
    """

    async def shake(self) -> Client:
        """
        Connect, and send the handshake as it does: in small writes.
        """
        client = await self.connect(Client())
        for piece in PIECES:
            client.transport.write(piece)
            await pause(0.005)
        await client.until(lambda: bool(client.data))
        return client

    async def test_talk(self) -> None:
        """
        It finds the key in the first 200 bytes, its messages are stored, and it reads a command
        that begins with 0x81.
        """
        self.listen()
        client = await self.shake()
        self.assertIn(ACCEPT, client.data[:FIRST])
        self.assertTrue(client.data.endswith(b"\r\n\r\n"))
        client.data = b""
        client.transport.write(text("1,7,23.456789"))
        await self.until(lambda: self.values)
        self.assertEqual(self.values, [7, 23.456789])
        link = self.presence.link("field/1")
        assert link is not None
        link.send(b"1,1.0")
        await client.until(lambda: len(client.data) >= 7)
        self.assertEqual(client.data, bytes.fromhex("81 05 31 2c 31 2e 30"))

    async def test_acknowledged(self) -> None:
        """
        Its answers are frames that it can read.
        """
        self.listen(ack=True)
        client = await self.shake()
        client.data = b""
        client.transport.write(text("1,7,23.456789"))
        await client.until(lambda: len(client.data) >= 7)
        self.assertEqual(client.data, b"\x81\x05ack,7")

    async def test_theGatewayGoesAway(self) -> None:
        """
        When the gateway stops it sees the end of the connection, though it knows no close frames.
        """
        self.listen()
        client = await self.shake()
        client.data = b""
        await self.stop()
        await client.until(lambda: client.lost)
        self.assertEqual(client.data[:4], bytes.fromhex("88 02 03 e9"))


class FullClientTests(WebSocketTestCase):
    """
    A client that does all that the RFC allows.
    """

    async def test_talk(self) -> None:
        """
        Fragments, pings and the closing handshake work as they should.
        """
        self.listen(ack=True)
        client = await self.connect(FullClient())
        await client.hear(AcceptConnection)
        client.say(
            TextMessage("1,7,", message_finished=False), Ping(b"alive?"), TextMessage("23.5")
        )
        self.assertEqual(await client.hear(Pong), Pong(b"alive?"))
        self.assertEqual((await client.hear(TextMessage)).data, "ack,7")
        self.assertEqual(self.values, [7, 23.5])
        client.say(TextMessage("1,8,24.5"), CloseConnection(1000))
        self.assertEqual((await client.hear(TextMessage)).data, "ack,8")
        self.assertEqual((await client.hear(CloseConnection)).code, 1000)
        await client.until(lambda: client.lost)
        await self.until(lambda: not self.listener.connected)

    async def test_theGatewayGoesAway(self) -> None:
        """
        When the gateway stops, a client gets its answer, and then it is told why.
        """
        self.listen(ack=True)
        client = await self.connect(FullClient())
        await client.hear(AcceptConnection)
        self.waiting = True
        client.say(TextMessage("1,7,23.5"))
        await self.until(lambda: self.presence.present())
        await self.listener.stopService()
        self.assertEqual(client.events, [])
        self.waiting, began = False, reactor().seconds()
        self.commit()
        self.assertEqual((await client.hear(TextMessage)).data, "ack,7")
        self.assertEqual((await client.hear(CloseConnection)).code, 1001)
        await client.until(lambda: client.lost)
        await self.until(lambda: not self.listener.connected)
        self.assertLess(reactor().seconds() - began, LINGER)


class TLSTests(FullClientTests):
    """
    The same over TLS, which takes nothing but another endpoint string.
    """

    def listen(self, listen: str = "", **more: Any) -> Listener:
        """
        Listen with a certificate that signed itself.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        self.certificate = certify(folder)
        files = f"privateKey={folder}/key.pem:certKey={folder}/certificate.pem"
        return super().listen(f"ssl:0:interface=127.0.0.1:{files}", **more)

    async def connect(self, client: T) -> T:
        """
        Connect, and see that it is the right one.
        """
        address: Any = self.listener.address
        roots = trustRootFromCertificates([Certificate.loadPEM(self.certificate)])
        endpoint = wrapClientTLS(
            optionsForClientTLS("localhost", roots),
            TCP4ClientEndpoint(reactor(), "127.0.0.1", address.port),
        )
        await connectProtocol(endpoint, client)
        self.addCleanup(client.cut)
        return client


def exchange(port: int, data: bytes) -> bytes:
    """
    What a blocking client reads that first sends all it has.
    """
    answer = b""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(data)
        while more := connection.recv(4096):
            answer += more
    return answer


class MisbehaviourTests(WebSocketTestCase):
    """
    Clients that break the rules cost nothing but themselves.
    """

    async def assertFails(self, data: bytes, code: int) -> None:
        """
        Check what becomes of a client that sends something wrong, and that it learns why, even if
        it reads nothing before all is sent; and that another is not disturbed.
        """
        address: Any = self.listen().address
        good = await self.connect(FullClient())
        await good.hear(AcceptConnection)
        answer = await deferToThread(exchange, address.port, HEAD + data)
        _head, _blank, frames = answer.partition(b"\r\n\r\n")
        self.assertEqual(frames[:1], b"\x88")
        self.assertEqual(int.from_bytes(frames[2:4], "big"), code)
        good.say(TextMessage("1,7,23.5"))
        await self.until(lambda: self.values)
        self.assertEqual(len(self.rejected), 1)
        # The client may know that the link is closed before we do.
        await self.until(lambda: self.listener.connected == 1)

    async def test_unmasked(self) -> None:
        """
        A frame without a mask.
        """
        await self.assertFails(b"\x81\x081,7,23.5", 1002)

    async def test_binary(self) -> None:
        """
        A binary message where text is due.
        """
        await self.assertFails(frame(BINARY, b"1,7,23.5"), 1003)

    async def test_huge(self) -> None:
        """
        A message of ten megabytes.
        """
        await self.assertFails(text("1" * HUGE), 1009)

    async def test_neverComplete(self) -> None:
        """
        A handshake that never ends is disconnected after the idle time.
        """
        self.listen(idle_timeout=0.2)
        client = await self.connect(Client())
        client.transport.write(b"".join(PIECES[:-1]))
        while not client.lost:
            client.transport.write(b"X-Filler: 1\r\n")
            await pause(0.02)
        self.assertEqual(client.data, b"")
        await self.until(lambda: not self.listener.connected)

    async def test_refused(self) -> None:
        """
        A handshake for another path is answered in HTTP, and the connection closed.
        """
        self.listen()
        client = await self.connect(Client())
        client.transport.write(HEAD.replace(b"/ws", b"/elsewhere"))
        await client.until(lambda: client.lost)
        self.assertTrue(client.data.startswith(b"HTTP/1.1 404 Not Found\r\n"))
        self.assertTrue(client.data.endswith(b"the path is /ws\n"))

    async def test_aClientThatDoesNotRead(self) -> None:
        """
        A client that never reads its answers is not read from any more when they pile up, and it is
        disconnected after the idle time.
        """
        self.listen(ack=True, idle_timeout=0.4)
        client = await self.connect(Client())
        client.transport.write(HEAD)
        await client.until(lambda: bool(client.data))
        client.transport.pauseProducing()
        [link] = self.listener.factory.connections
        for transport, option in (
            (client.transport, socket.SO_RCVBUF),
            (link.transport, socket.SO_SNDBUF),
        ):
            transport.getHandle().setsockopt(socket.SOL_SOCKET, option, 4096)
        client.transport.write(text("1,7") * MANY)
        await client.until(lambda: client.lost)
        self.assertGreater(len(self.values), 0)
        self.assertLess(len(self.values), MANY)

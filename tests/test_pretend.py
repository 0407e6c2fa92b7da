"""
L{sensord.pretend.microcontroller}: the pretend devices that understand WebSockets, a little.
"""

from typing import Any, cast

from twisted.internet.interfaces import ITCPTransport
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

from sensord.pretend.microcontroller import Microcontroller
from sensord.simulate import Fleet
from sensord.wire import messages, websocket
from sensord.wire.messages import Message
from tests.test_simulate import FleetTests, Link

#: The handshake as it is written.
_PIECES = [
    b"GET /ws HTTP/1.1\r\n",
    b"Host: 127.0.0.1:4444\r\n",
    b"Upgrade: websocket\r\n",
    b"Connection: Upgrade\r\n",
    b"Sec-WebSocket-Key: L159VM0TWUzyDxwJEIEzjw==\r\n",
    b"Sec-WebSocket-Version: 13\r\n",
    b"\r\n",
]

_ON, _OFF = bytes.fromhex("8105312c312e30"), bytes.fromhex("8105312c302e30")


class Page(Link):
    """
    The gateway's end of a WebSocket.
    """

    def __init__(self, reactor: Any, index: int) -> None:
        super().__init__(reactor, index)
        self.conversation = websocket.Conversation()

    def talk(self) -> list[Message]:
        """
        Take what the device wrote since, and answer its handshake.

        @return: its messages.
        """
        heard = self.conversation.feed(self.take())
        answer = self.conversation.take()
        if answer:
            self.give(answer)
            heard = [*heard, *self.conversation.feed(self.take())]
        found = [messages.parse(cast(str, one)) for one in heard]
        assert all(isinstance(one, Message) for one in found), found
        return cast(list[Message], found)


@implementer(ITCPTransport)
class Pieces(StringTransport):  # type: ignore[misc]  # it has not all that there is to TCP
    """
    A connection whose writes are kept apart.

    @ivar delayed: whether the system may put them together.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []
        self.delayed = True

    def write(self, data: bytes) -> None:
        """
        Keep one.
        """
        self.pieces.append(data)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """
        Set whether they go by themselves.
        """
        self.delayed = not enabled


class MicrocontrollerTests(FleetTests):
    """
    Fleets of microcontrollers.
    """

    wire, target = "websocket", "tcp:127.0.0.1:4444"

    def setUp(self) -> None:
        """
        Listen to the log.
        """
        super().setUp()
        self.said: list[str] = []
        overhear = cast(ILogObserver, self._overhear)
        globalLogPublisher.addObserver(overhear)
        self.addCleanup(globalLogPublisher.removeObserver, overhear)

    def _overhear(self, event: LogEvent) -> None:
        if event["log_level"] is LogLevel.info:
            self.said.append(formatEvent(event))

    def page(self, index: int = -1) -> Page:
        """
        Let an attempt to connect succeed, and the handshake come.
        """
        page = Page(self.reactor, index)
        self.reactor.pump([0] * len(_PIECES))
        return page

    def connect(self, factory: Any) -> "Pieces":
        """
        Let an attempt to connect succeed, to see what is written at a time.
        """
        transport = Pieces()
        factory.buildProtocol(None).makeConnection(transport)
        return transport

    def device(self, fleet: Fleet, number: int = 1) -> Microcontroller:
        """
        One of a fleet.
        """
        member = fleet.members[number - 1]
        assert isinstance(member, Microcontroller)
        return member

    def test_handshake(self) -> None:
        """
        The handshake is written in pieces, one at a time, and nothing follows until it is answered.
        """
        self.fleet()
        transport = self.connect(self.reactor.tcpClients[-1][2])
        self.assertEqual(transport.pieces, _PIECES[:1])
        self.reactor.advance(60)
        self.assertEqual(transport.pieces, _PIECES)
        self.assertFalse(transport.delayed)

    def test_host(self) -> None:
        """
        The handshake names the host that the device connects to, if it is one.
        """
        for target, host in (
            ("tcp:10.0.0.1:80", b"10.0.0.1:80"),
            ("tcp:host=gateway.local:port=4445:timeout=3", b"gateway.local:4445"),
            ("unix:gateway.socket", b"gateway:4444"),
        ):
            fleet = Fleet(self.reactor, "websocket", 1, target=target)
            fleet.startService()
            self.reactor.advance(0)
            made = [client[1] for client in self.reactor.unixClients]
            made += [client[2] for client in self.reactor.tcpClients]
            transport = self.connect(made[0])
            self.reactor.advance(0)
            self.assertEqual(transport.pieces[1], b"Host: " + host + b"\r\n")
            self.reactor.tcpClients.clear()

    def test_messages(self) -> None:
        """
        As soon as it is let in, and then every three seconds, it sends its number, a counter that
        goes up by one, and a temperature with up to six decimals.
        """
        fleet = self.fleet()
        page = self.page()
        found = page.talk()
        self.assertEqual(len(found), 1)
        self.reactor.advance(2.9)
        self.assertEqual(page.talk(), [])
        self.reactor.pump([0.2, 3, 3])
        found += page.talk()
        self.assertEqual([(one.id, one.fields[0]) for one in found], [(1, n) for n in (1, 2, 3, 4)])
        for one in found:
            _counter, temperature = one.fields
            self.assertTrue(15 <= temperature <= 30 and temperature == round(temperature, 6))
        self.assertEqual((fleet.sent, fleet.readings, fleet.refused), (4, 8, 0))

    def test_masked(self) -> None:
        """
        Its frames are single, masked and short, and no two have the same mask.
        """
        self.fleet(rate=1)
        page = self.page()
        page.talk()
        masks = set()
        for _ in range(50):
            self.reactor.advance(1)
            data = page.take()
            self.assertEqual((data[0], data[1]), (0x81, 0x80 | len(data) - 6))
            masks.add(data[2:6])
        self.assertGreater(len(masks), 45)

    def test_again(self) -> None:
        """
        A device that loses its connection makes another one, and counts on.
        """
        self.fleet()
        page = self.page()
        page.talk()
        page.close()
        self.reactor.advance(60)
        [message] = self.page().talk()
        self.assertEqual(message.fields[0], 2)

    def test_token(self) -> None:
        """
        A token is shown in a line of the handshake, and lets the device in where one is demanded.
        """
        fleet = self.fleet(token="sesame")
        page = Page(self.reactor, -1)
        page.conversation = websocket.Conversation(token="sesame")
        self.reactor.pump([0] * 10)
        self.assertIn(b"\r\nAuthorization: Bearer sesame\r\n", page.transport.value())
        self.assertEqual((len(page.talk()), fleet.refused), (1, 0))

    def test_answers(self) -> None:
        """
        Messages that the gateway refuses are counted, and its answers are no puzzle.
        """
        fleet = self.fleet()
        page = self.page()
        page.talk()
        page.give(websocket.encode("ack,1") + websocket.encode("error,too large"))
        self.assertEqual((fleet.denied, fleet.objection), (1, "too large"))
        self.assertEqual(self.device(fleet).puzzled, 0)

    def test_closed(self) -> None:
        """
        A connection that is closed before the handshake is answered is counted as failed.
        """
        fleet = self.fleet()
        self.page().close()
        self.assertEqual((fleet.refused, fleet.cut), (1, 0))
        self.assertEqual(fleet.why, "the handshake failed: it was closed")

    def test_led(self) -> None:
        """
        A command switches the LED on, another one off, and the log says so.
        """
        fleet = self.fleet()
        page = self.page()
        page.talk()
        for frame, state, text in ((_ON, True, "pretend 1: LED on"), (_OFF, False, "1: LED off")):
            page.give(frame)
            self.assertEqual(self.device(fleet).led, state)
            self.assertIn(text, self.said[-1])
        self.assertEqual(self.device(fleet).commands, 2)

    def test_gateway(self) -> None:
        """
        What the gateway makes of a command is what it understands.
        """
        fleet = self.fleet()
        page = self.page()
        page.talk()
        for value in (1, 0, 1.0):
            page.give(websocket.encode(messages.command(1, value)))
            self.assertEqual(self.device(fleet).led, bool(value))

    def test_alone(self) -> None:
        """
        Of two devices, only the one that is sent a command obeys.
        """
        fleet = self.fleet(devices=2)
        self.reactor.advance(2)
        pages = [self.page(index) for index in (0, 1)]
        for page in pages:
            page.talk()
        pages[1].give(_ON)
        self.assertEqual([self.device(fleet, number).led for number in (1, 2)], [False, True])

    def test_pieces(self) -> None:
        """
        A command may come byte by byte, or together with another one, or with the answer to the
        handshake.
        """
        fleet = self.fleet()
        page = self.page()
        page.conversation.feed(page.take())
        page.give(page.conversation.take() + _ON)
        self.assertTrue(self.device(fleet).led)
        for byte in _OFF:
            self.assertTrue(self.device(fleet).led)
            page.give(bytes([byte]))
        self.assertFalse(self.device(fleet).led)
        page.give(_ON + _OFF + _ON)
        self.assertTrue(self.device(fleet).led)
        self.assertEqual((self.device(fleet).commands, self.device(fleet).puzzled), (5, 0))

    def test_other(self) -> None:
        """
        Other variables than the LED are taken, and change nothing that one could see.
        """
        fleet = self.fleet()
        page = self.page()
        page.talk()
        page.give(websocket.encode("2,1.0"))
        self.assertEqual((self.device(fleet).led, self.device(fleet).commands), (False, 1))

    def test_puzzled(self) -> None:
        """
        Pings, fragments, long frames, masked frames and other texts are not understood: they are
        counted, and what came with them is lost.
        """
        fleet = self.fleet()
        page = self.page()
        page.talk()
        puzzling = (
            b"\x89\x00" + _ON,
            b"\x01\x051,1.0" + _ON,
            b"\x88\x02\x03\xe8",
            b"\x81\x40" + b"1" * 64,
            b"\x81\x85\0\0\0\x001,1.0",
            websocket.encode("hello"),
        )
        for count, data in enumerate(puzzling, 1):
            page.give(data)
            device = self.device(fleet)
            self.assertEqual((device.puzzled, device.led, device.commands), (count, False, 0))
        page.give(_ON)
        self.assertTrue(self.device(fleet).led)

    def test_refused(self) -> None:
        """
        Where the answer is not what it looks for, or that is not in the first 200 bytes of it, the
        device hangs up, counts it, and tries again a little later.
        """
        accept = b"Sec-WebSocket-Accept: DdLWT/1JcX+nQFHebYP+rqEx5xI=\r\n\r\n"
        fleet = self.fleet()
        for count, answer in enumerate(
            (
                b"HTTP/1.1 404 Not Found\r\n\r\n" + accept,
                b"HTTP/1.1 101 Switching\r\nX-Long: " + b"x" * 150 + b"\r\n" + accept,
                b"y" * 200,
            ),
            1,
        ):
            page = self.page()
            page.take()
            page.give(answer)
            self.assertTrue(page.transport.disconnecting)
            self.assertIsNone(page.transport.producer)
            self.assertEqual((fleet.refused, fleet.sent), (count, 0))
            page.give(_ON)
            page.close()
            self.reactor.advance(60)
            self.assertEqual(len(self.reactor.tcpClients), count + 1)
        self.assertIn("this is no answer to the handshake: yyy", fleet.why)
        self.assertEqual(len(self.page().talk()), 1)

    def test_held(self) -> None:
        """
        While the gateway does not read, nothing is sent.
        """
        fleet = self.fleet()
        page = self.page()
        page.talk()
        producer: Any = page.transport.producer
        producer.pauseProducing()
        self.reactor.pump([3] * 10)
        self.assertEqual((page.talk(), fleet.sent), ([], 1))

    def test_stopEarly(self) -> None:
        """
        A fleet can be stopped in the middle of a handshake.
        """
        fleet = self.fleet()
        page = Page(self.reactor, -1)
        stopped = fleet.stopService()
        page.close()
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_lost(self) -> None:
        """
        A connection that is lost in the middle of a handshake leaves nothing behind but the wish
        for another one.
        """
        self.fleet()
        Page(self.reactor, -1).close()
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)

"""
L{sensord.simulate}, and the pretend devices that only send.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectBindError,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.internet.interfaces import IHalfCloseableDescriptor, ISSLTransport
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.python.filepath import UnlistableError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from sensord.config import STOCK
from sensord.pretend import DEVICES
from sensord.pretend.link import cause
from sensord.pretend.meter import VALUES
from sensord.simulate import Fleet, drive
from sensord.wire import poe
from sensord.wire.esp8266 import Packet, PacketParser
from sensord.wire.lines import Line, LineParser

_KEY = "0123456789abcdef0123456789abcdef"


class Link:
    """
    The gateway's end of the connection of one device.
    """

    def __init__(self, reactor: Any, index: int, transport: StringTransport | None = None) -> None:
        self.transport = StringTransport() if transport is None else transport
        self.protocol = reactor.tcpClients[index][2].buildProtocol(None)
        self.protocol.makeConnection(self.transport)

    def take(self) -> bytes:
        """
        What the device wrote since.
        """
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def frames(self) -> list[Any]:
        """
        The same, as frames.
        """
        return list(poe.FrameParser().feed(self.take()))

    def packet(self) -> Packet:
        """
        The same, as a packet.
        """
        (packet,) = PacketParser().feed(self.take())
        assert isinstance(packet, Packet)
        return packet

    def give(self, data: bytes) -> None:
        """
        Send something to the device.
        """
        self.protocol.dataReceived(data)

    def close(self, error: Exception | None = None) -> None:
        """
        The connection ends.
        """
        self.protocol.connectionLost(Failure(error or ConnectionDone()))


@implementer(IHalfCloseableDescriptor)
class Halves(StringTransport):  # type: ignore[misc]  # it has not all that there is to it
    """
    A connection whose sides are closed one by one.

    @ivar finished: whether our side is closed.
    """

    finished = False

    def loseWriteConnection(self) -> None:
        """
        Close our side.
        """
        self.finished = True


@implementer(ISSLTransport)
class Secure(StringTransport):  # type: ignore[misc]  # it has not all that there is to it
    """
    A connection over TLS, whose handshake is not over when it is made.
    """


class FleetTests(SynchronousTestCase):
    """
    What all fleets have in common.
    """

    wire, rate, target = "poe", 10.5, "tcp:127.0.0.1:1234"

    def setUp(self) -> None:
        """
        A world without sockets.
        """
        self.reactor = MemoryReactorClock()

    def fleet(
        self, devices: int = 1, rate: float | None = None, target: str = "", **secrets: str
    ) -> Fleet:
        """
        A fleet that runs.
        """
        where = target or self.target
        fleet = Fleet(self.reactor, self.wire, devices, rate, where, 1, **secrets)
        fleet.startService()
        self.reactor.advance(0)
        return fleet

    def accept(self, index: int = -1, transport: StringTransport | None = None) -> Link:
        """
        Let an attempt to connect succeed.
        """
        return Link(self.reactor, index, transport)

    def fail_(self, error: Exception, index: int = -1) -> None:
        """
        Let an attempt to connect fail.
        """
        factory = self.reactor.tcpClients[index][2]
        factory.clientConnectionFailed(self.reactor.connectors[index], Failure(error))

    def refuse(self, index: int = -1) -> None:
        """
        Let an attempt to connect be refused.
        """
        self.fail_(ConnectionRefusedError("nobody there"), index)


class ArgumentTests(FleetTests):
    """
    What a fleet cannot be made of.
    """

    def refusal(self, *arguments: Any) -> str:
        """
        The error for some arguments.
        """
        return str(self.assertRaises(ValueError, Fleet, self.reactor, *arguments))

    def test_wire(self) -> None:
        """
        An unknown wire format is refused with the names of the known.
        """
        error = self.refusal("mqtt", 1, 1.0, self.target)
        self.assertEqual(error, '"mqtt" is not one of poe, esp8266, lines, websocket, http, rfm2pi')

    def test_devices(self) -> None:
        """
        There is at least one device, and no more than have an id.
        """
        for count in (0, -1, 256):
            error = self.refusal("esp8266", count, None, self.target)
            self.assertEqual(error, f"{count} devices: for esp8266 it can be 1 to 255")
        self.assertIn("1 to 60000", self.refusal("poe", 60_001, None, self.target))
        self.assertIn("1 to 29", self.refusal("rfm2pi", 30))

    def test_rate(self) -> None:
        """
        A rate that is no rate, or a sleep longer than a packet can declare, is refused.
        """
        for rate in (0.0, -1.0, float("nan"), float("inf"), 1 / 65536):
            error = self.refusal("esp8266", 1, rate, self.target)
            self.assertIn("messages per second: it can be 1/65535 to 100000", error)

    def test_target(self) -> None:
        """
        Whatever is wrong with the target is said in one line with an example.
        """
        Path("nonsense.pem").write_text("nonsense")
        for target in (
            "",
            "127.0.0.1:1234",
            "tcp:127.0.0.1",
            "tcp:127.0.0.1:x",
            "tcp:127.0.0.1:70000",
            "tcp:127.0.0.1:0",
            "tcp:127.0.0.1:1:colour=red",
            "tcp:a..b:1",
            "ssl:127.0.0.1:70000",
            "ssl:127.0.0.1:5001:caCertsDir=/nowhere",
            "ssl:127.0.0.1:5001:certKey=nonsense.pem",
            "tls:127.0.0.1",
            "tls:localhost:5001:trustRoots=.",
            f"unix:{'x' * 108}",
            "unix:a\0b",
        ):
            error = self.refusal("poe", 1, None, target)
            self.assertTrue(error.startswith(f'"{target}" is no endpoint ('), error)
            self.assertIn('"tcp:127.0.0.1:1234"', error)
            self.assertNotIn("\n", error)

    def test_secrets(self) -> None:
        """
        Only lines have a key, of 32 characters, and only clients of WebSockets show a token.
        """
        for wire, key, token, error in (
            ("poe", _KEY, "", "a key is for lines, not for poe"),
            ("lines", "short", "", "a key is 32 printable ASCII characters without blanks"),
            ("lines", "ä" * 32, "", "a key is 32 printable ASCII characters without blanks"),
            ("lines", "", "sesame", "a token is for websocket and http, not for lines"),
            (
                "websocket",
                "",
                "a\r\nb",
                "a token has no control characters, and no blanks around it",
            ),
        ):
            self.assertEqual(self.refusal(wire, 1, None, self.target, None, key, token), error)

    def test_usual(self) -> None:
        """
        Where nothing else is said, devices of each kind send to the usual port on this machine, as
        often as they do in life.
        """
        for wire, kind in DEVICES.items():
            fleet = Fleet(self.reactor, wire, kind.usual)
            self.assertEqual((fleet.rate, fleet.target), (kind.rate, kind.target))


class ArduinoTests(FleetTests):
    """
    Fleets of PoE Arduinos.
    """

    def test_sensors(self) -> None:
        """
        A burst is one frame from each of 21 sensors of all six types.
        """
        self.fleet()
        frames = self.accept().frames()
        self.assertEqual([id for _opt, id, _type, _data in frames], list(range(1, 22)))
        self.assertEqual({type for _opt, _id, type, _data in frames}, set(range(6)))

    def test_types(self) -> None:
        """
        A sensor is of the same type in each burst.
        """
        self.fleet()
        link = self.accept()
        first = [frame[1:3] for frame in link.frames()]
        self.reactor.advance(2)
        self.assertEqual([frame[1:3] for frame in link.frames()], first)

    def test_values(self) -> None:
        """
        What sensors show is what a house shows, and it changes.
        """
        self.fleet(rate=21)
        link = self.accept()
        self.reactor.pump([1] * 500)
        shown: dict[str, set[int]] = {}
        for _opt, _id, type, data in link.frames():
            shown.setdefault(poe.TYPES[type], set()).add(data)
        calm = {data for data in shown["smoke"] if data < 160}
        self.assertEqual(shown["fire"], {1})
        self.assertEqual(shown["motion"], {0, 1})
        self.assertTrue(calm <= set(range(20, 61)), calm)
        self.assertTrue(shown["smoke"] - calm, "no spike in 2000 values")
        self.assertTrue(shown["humidity"] <= set(range(30, 61)))
        self.assertTrue(shown["temperature"] <= set(range(65, 76)))
        self.assertGreater(len(shown["temperature"]), 3)

    def test_opt(self) -> None:
        """
        A connection begins with INITIALIZATION, and POST follows; so does the next one.
        """
        self.fleet()
        for _ in range(2):
            link = self.accept()
            self.assertEqual({frame[0] for frame in link.frames()}, {poe.INITIALIZATION})
            self.reactor.advance(2)
            self.assertEqual({frame[0] for frame in link.frames()}, {poe.POST})
            link.close()
            self.reactor.advance(20)
        self.assertEqual(len(self.reactor.tcpClients), 3)

    def test_rate(self) -> None:
        """
        The rate is in frames per second, and the usual one is 21 in two seconds.
        """
        for rate, seconds in ((None, 2.0), (21, 1.0), (210, 0.1)):
            fleet = self.fleet(rate=rate)
            link = self.accept()
            self.assertEqual(len(link.frames()), 21)
            self.reactor.advance(seconds * 0.99)
            self.assertEqual(len(link.frames()), 0)
            self.reactor.advance(seconds * 0.02)
            self.assertEqual(len(link.frames()), 21)
            self.reactor.pump([seconds] * 10)
            self.assertEqual(len(link.frames()), 210)
            self.assertEqual((fleet.sent, fleet.readings), (252, 252))

    def test_late(self) -> None:
        """
        A process that was held up makes up for the bursts that it missed.
        """
        self.fleet(rate=21)
        link = self.accept()
        self.reactor.advance(5)
        self.assertEqual(len(link.frames()), 6 * 21)

    def test_spread(self) -> None:
        """
        The first device begins at once, and the others are spread over the period.
        """
        self.fleet(devices=4)
        begun = []
        for _ in range(5):
            begun.append(len(self.reactor.tcpClients))
            self.reactor.advance(0.5)
        self.assertEqual(begun, [1, 2, 3, 4, 4])

    def test_addresses(self) -> None:
        """
        On loopback each device comes from an address of its own.
        """
        self.fleet(devices=255)
        self.reactor.advance(2)
        bound = [client[4] for client in self.reactor.tcpClients]
        self.assertEqual(bound[:2], [("127.0.1.1", 0), ("127.0.1.2", 0)])
        self.assertEqual(bound[253:], [("127.0.1.254", 0), ("127.0.2.1", 0)])

    def test_elsewhere(self) -> None:
        """
        Where the target is another machine, or it is said where to come from, it is left at that.
        """
        own = "tcp:127.0.0.1:1:bindAddress=127.0.0.9"
        for target, bound in (("tcp:10.0.0.1:1", None), (own, ("127.0.0.9", 0))):
            self.fleet(target=target)
            self.assertEqual(self.reactor.tcpClients[-1][4], bound)

    def test_unbound(self) -> None:
        """
        Where a device cannot have an address of its own, it connects without.
        """
        fleet = self.fleet()
        self.fail_(ConnectBindError())
        self.assertEqual([client[4] for client in self.reactor.tcpClients][1:], [None])
        self.accept()
        self.assertEqual((fleet.connected, fleet.refused), (1, 0))

    def test_unix(self) -> None:
        """
        A target may be any endpoint, such as a UNIX socket.
        """
        self.fleet(target="unix:gateway.socket")
        self.assertEqual(self.reactor.unixClients[0][0], "gateway.socket")

    def test_refused(self) -> None:
        """
        An attempt that fails is counted with its reason, and made again a little later.
        """
        fleet = self.fleet()
        self.refuse()
        self.assertEqual((fleet.refused, fleet.connected, fleet.sent), (1, 0, 0))
        self.assertIn("nobody there", fleet.why)
        self.reactor.advance(5)
        self.assertEqual(len(self.reactor.tcpClients), 2)
        self.accept()
        self.assertEqual((fleet.refused, fleet.connected, fleet.sent), (1, 1, 21))

    def test_replies(self) -> None:
        """
        What the gateway says is ignored.
        """
        fleet = self.fleet()
        link = self.accept()
        link.give(b"\x06" * 1000)
        self.reactor.advance(2)
        self.assertEqual((len(link.frames()), fleet.connected), (42, 1))

    def test_answers(self) -> None:
        """
        Of what the gateway answers, the refusals are counted.
        """
        fleet = self.fleet()
        link = self.accept()
        link.give(b"\x06" * 15 + b"\x15" * 6)
        self.assertEqual((fleet.sent, fleet.denied, fleet.taken), (21, 6, 15))
        link.close()
        self.assertEqual((fleet.cut, fleet.wasted), (0, 0))

    def test_cut(self) -> None:
        """
        What was sent when the other side closed the connection was in vain, and is counted. What
        was sent a while before was not.
        """
        fleet = self.fleet()
        self.accept().close(ConnectionLost())
        self.assertEqual((fleet.cut, fleet.wasted, fleet.taken), (1, 21, 0))
        self.assertEqual((fleet.ending, fleet.refused), ("it was cut", 0))
        self.reactor.advance(5)
        link = self.accept()
        self.reactor.advance(2)
        link.close()
        self.assertEqual((fleet.cut, fleet.wasted, fleet.taken), (2, 42, 21))
        self.assertEqual(fleet.ending, "")
        self.reactor.advance(5)
        link = self.accept()
        self.reactor.advance(1.1)
        link.close()
        self.assertEqual((fleet.cut, fleet.taken), (2, 42))

    def test_handshake(self) -> None:
        """
        Over TLS, nothing is sent before the handshake is over; one that fails is counted with its
        reason.
        """
        fleet = self.fleet()
        link = self.accept(transport=Secure())
        self.reactor.advance(5)
        self.assertEqual((link.take(), fleet.sent), (b"", 0))
        link.protocol.handshakeCompleted()
        self.assertEqual(len(link.frames()), 21)
        link.close(SSL.Error([("SSL routines", "", "late")]))
        self.assertEqual((fleet.cut, fleet.ending), (1, "TLS: late"))
        self.reactor.advance(5)
        link = self.accept(transport=Secure())
        link.close(SSL.Error([("SSL routines", "", "wrong version number")]))
        self.assertEqual((fleet.refused, fleet.sent), (1, 21))
        self.assertEqual(fleet.why, "the handshake failed: TLS: wrong version number")

    def test_unanswered(self) -> None:
        """
        A handshake that is not over when the fleet is stopped is counted as failed, unless it has
        only begun.
        """
        for seconds, refused in ((0.5, 0), (1.5, 1)):
            fleet = self.fleet()
            link = self.accept(transport=Secure())
            self.reactor.advance(seconds)
            stopped = fleet.stopService()
            self.assertTrue(link.transport.disconnected)
            link.close()
            self.successResultOf(stopped)
            self.assertEqual(fleet.refused, refused)
            self.assertEqual(fleet.why, "there was no answer to the handshake" * refused)

    def test_held(self) -> None:
        """
        While the gateway does not read, nothing is measured, and nothing piles up.
        """
        fleet = self.fleet()
        link = self.accept()
        link.take()
        producer: Any = link.transport.producer
        producer.pauseProducing()
        self.reactor.pump([2] * 10)
        self.assertEqual((link.take(), fleet.sent), (b"", 21))
        producer.resumeProducing()
        self.reactor.advance(2)
        self.assertEqual((len(link.frames()), fleet.sent), (21, 42))

    def test_stop(self) -> None:
        """
        A fleet that is stopped closes its connections, and is stopped when they are closed.
        """
        fleet = self.fleet(devices=2)
        link = self.accept()
        stopped = fleet.stopService()
        self.assertTrue(link.transport.disconnecting)
        self.assertIsNone(link.transport.producer)
        self.assertNoResult(stopped)
        link.close()
        self.successResultOf(stopped)
        self.assertEqual((fleet.connected, self.reactor.getDelayedCalls()), (0, []))

    def test_stuck(self) -> None:
        """
        A connection that does not close is cut after a while.
        """
        fleet = self.fleet()
        link = self.accept()
        stopped = fleet.stopService()
        self.reactor.advance(1.9)
        self.assertFalse(link.transport.disconnected)
        self.reactor.advance(0.2)
        self.assertTrue(link.transport.disconnected)
        link.close()
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stopEarly(self) -> None:
        """
        A fleet can be stopped while it connects, and that is no failure of the gateway.
        """
        fleet = self.fleet(devices=3)
        self.successResultOf(fleet.stopService())
        self.assertEqual((fleet.refused, self.reactor.getDelayedCalls()), (0, []))

    def test_again(self) -> None:
        """
        A fleet that was stopped can be started again.
        """
        fleet = self.fleet()
        stopped = fleet.stopService()
        self.successResultOf(stopped)
        fleet.startService()
        self.reactor.advance(0)
        self.assertEqual(len(self.accept().frames()), 21)

    def test_seed(self) -> None:
        """
        The same seed gives the same values, another one others; so it is with another device.
        """
        values = []
        for seed in (1, 1, 2):
            Fleet(self.reactor, "poe", 2, 21, self.target, seed).startService()
            self.reactor.advance(0.6)
            values += [self.accept(-2).take(), self.accept(-1).take()]
        self.assertEqual(values[0], values[2])
        self.assertEqual(values[1], values[3])
        self.assertEqual(len({*values}), 4)


class MeterTests(FleetTests):
    """
    Fleets of meters that write lines.
    """

    wire, target = "lines", "tcp:127.0.0.1:50011"

    def lines(self, link: Link) -> list[Line]:
        """
        The lines that a meter wrote since.
        """
        found = LineParser().feed(link.take())
        assert all(isinstance(line, Line) for line in found), found
        return [line for line in found if isinstance(line, Line)]

    def test_line(self) -> None:
        """
        A meter writes a line of plain numbers, with its own number in front, every five seconds.
        """
        fleet = self.fleet()
        link = self.accept()
        self.assertRegex(link.take(), rb"^1 \d{1,4} [23]\.\d{1,3} \d\d\.\d{1,2}\r\n$")
        self.reactor.advance(4.9)
        self.assertEqual(self.lines(link), [])
        self.reactor.advance(0.2)
        self.assertEqual(len(self.lines(link)), 1)
        self.assertEqual((fleet.sent, fleet.readings), (2, 6))

    def test_values(self) -> None:
        """
        What meters show is believable, has a name each, and changes.
        """
        self.fleet(rate=1)
        link = self.accept()
        self.reactor.pump([1] * 500)
        power, battery, temperature = zip(*(one.values for one in self.lines(link)), strict=True)
        self.assertTrue(min(power) >= 0 and max(power) <= 3000 and len({*power}) > 100)
        self.assertTrue(min(battery) >= 2.9 and max(battery) <= 3.3)
        self.assertTrue(min(temperature) >= 15 and max(temperature) <= 30)
        self.assertEqual(len(VALUES), 3)

    def test_key(self) -> None:
        """
        A key stands in each line.
        """
        self.fleet(key=_KEY)
        link = self.accept()
        found = LineParser(_KEY).feed(link.take())
        self.assertEqual([type(one) for one in found], [Line])

    def test_answers(self) -> None:
        """
        Lines that are refused are counted, with the last reason, however the answers are cut.
        """
        fleet = self.fleet()
        link = self.accept()
        for piece in (b"o", b"k\r\nerror without the key\r", b"\n5,1\r\nerror", b" no\x1b\r\nerr"):
            link.give(piece)
        self.assertEqual((fleet.denied, fleet.objection), (2, "no\x1b"))
        link.give(b"x" * 100_000)
        link.give(b"\nerror\n")
        self.assertEqual((fleet.denied, fleet.objection), (3, ""))

    def test_many(self) -> None:
        """
        Each meter has a number of its own and keeps a connection of its own.
        """
        self.fleet(devices=300)
        self.reactor.pump([0.1] * 51)
        links = [self.accept(index) for index in range(len(self.reactor.tcpClients))]
        nodes = [line.node for link in links for line in self.lines(link)]
        self.assertEqual(nodes, list(range(1, 301)))

    def test_replies(self) -> None:
        """
        What the gateway answers is ignored.
        """
        fleet = self.fleet()
        link = self.accept()
        link.give(b"ok\r\nerror: no\r\n")
        self.reactor.advance(5)
        self.assertEqual((len(self.lines(link)), fleet.connected), (2, 1))


class BatteryTests(FleetTests):
    """
    Fleets of battery ESP8266s.
    """

    wire, target = "esp8266", "tcp:127.0.0.1:5001"

    def deliver(self) -> Packet:
        """
        Let one delivery succeed.
        """
        link = self.accept()
        packet = link.packet()
        link.close()
        return packet

    def test_packet(self) -> None:
        """
        A delivery is one packet of the stock layout, and the device closes the connection.
        """
        fleet = self.fleet()
        link = self.accept()
        self.assertTrue(link.transport.disconnecting)
        packet = link.packet()
        self.assertEqual(
            (packet.wake, packet.interval, packet.size, packet.device, packet.sensors),
            (10, 1, 6, 1, 3),
        )
        self.assertEqual(packet.count, 10)
        self.assertEqual((fleet.sent, fleet.readings), (1, 30))

    def test_halves(self) -> None:
        """
        Where the sides of a connection are closed one by one, the device closes its own and waits
        for the other, but not for long.
        """
        fleet = self.fleet()
        transport = Halves()
        link = self.accept(transport=transport)
        self.assertTrue(transport.finished)
        self.assertFalse(transport.disconnecting)
        self.reactor.advance(2.1)
        self.assertTrue(transport.disconnecting)
        link.close()
        self.assertEqual((fleet.taken, fleet.cut), (1, 0))

    def test_denied(self) -> None:
        """
        A packet that the gateway refuses, or of which it refuses a part, is counted once.
        """
        fleet = self.fleet()
        link = self.accept(transport=Halves())
        for answer in (b"\x06", b"\x15", b"\x15"):
            link.give(answer)
        link.close()
        self.assertEqual((fleet.denied, fleet.cut, fleet.refused), (1, 0, 0))

    def test_cut(self) -> None:
        """
        A connection that is cut instead of closed has taken the packet along.
        """
        fleet = self.fleet()
        link = self.accept(transport=Halves())
        self.reactor.advance(1.5)
        link.close(ConnectionLost())
        self.assertEqual((fleet.cut, fleet.wasted, fleet.taken), (1, 1, 0))
        self.assertEqual(fleet.connected, 0)

    def test_stopHalfway(self) -> None:
        """
        A fleet that is stopped does not wait for the other side to hang up.
        """
        fleet = self.fleet()
        transport = Halves()
        link = self.accept(transport=transport)
        stopped = fleet.stopService()
        self.assertTrue(transport.disconnecting)
        link.close()
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_declared(self) -> None:
        """
        What a packet declares follows from the rate: at least a second, about ten measurements.
        """
        for rate, wake, interval, count in (
            (1 / 3600, 3600, 360, 10),
            (1 / 65535, 65535, 6554, 9),
            (1 / 25, 25, 2, 12),
            (0.5, 2, 1, 2),
            (50, 1, 1, 1),
        ):
            self.fleet(rate=rate)
            packet = self.deliver()
            self.assertEqual((packet.wake, packet.interval, packet.count), (wake, interval, count))

    def test_ids(self) -> None:
        """
        The devices have the ids from 1 on, and none of them is bound to an address.
        """
        self.fleet(devices=255)
        self.reactor.pump([0.5] * 22)
        clients = self.reactor.tcpClients
        self.assertEqual({client[4] for client in clients}, {None})
        ids = {self.accept(index).packet().device for index in range(len(clients))}
        self.assertEqual(ids, set(range(1, 256)))

    def test_values(self) -> None:
        """
        What is measured is what there is outdoors: warm, light and dry by day.
        """
        night = self.measured(self.fleet(rate=1 / 3600))
        self.reactor.advance(12 * 3600 - 1)
        noon = self.measured(self.fleet(rate=1 / 3600))
        for light, humidity, temperature in (*night, *noon):
            self.assertTrue(0 <= light < 30_000 and 0 < humidity < 100 and 5 < temperature < 35)
        self.assertTrue(all(light < 100 for light, _humidity, _temperature in night))
        self.assertTrue(all(light > 10_000 for light, _humidity, _temperature in noon))
        self.assertLess(max(row[2] for row in night), min(row[2] for row in noon))

    def measured(self, fleet: Fleet) -> Sequence[tuple[float, ...]]:
        """
        The values of the latest delivery.
        """
        packet = self.deliver()
        words = memoryview(packet.data).cast("H")
        rows = (words[start : start + 3] for start in range(0, len(words), 3))
        return [
            tuple(raw * v.scale + v.offset for raw, v in zip(row, STOCK, strict=True))
            for row in rows
        ]

    def test_order(self) -> None:
        """
        The oldest measurement comes first: in the morning it is the coldest.
        """
        self.reactor.advance(8 * 3600)
        rows = self.measured(self.fleet(rate=1 / 7200))
        self.assertLess(rows[0][2] + 1, rows[-1][2])

    def test_spread(self) -> None:
        """
        The first device delivers at once, and the others are spread over the period.
        """
        self.fleet(devices=5)
        begun = []
        for _ in range(4):
            begun.append(len(self.reactor.tcpClients))
            self.reactor.advance(2.2)
        self.assertEqual(begun, [1, 2, 3, 4])

    def test_drift(self) -> None:
        """
        The clock of each device is wrong by something up to a tenth, and always by the same.
        """
        periods = set()
        for number in range(20):
            fleet = Fleet(self.reactor, "esp8266", 1, 0.1, self.target, seed=number)
            fleet.startService()
            times = []
            for _ in range(3000):
                self.reactor.advance(0.01)
                if self.reactor.tcpClients:
                    times.append(self.reactor.seconds())
                    self.deliver()
                    self.reactor.tcpClients.clear()
            first, second, third = times[:3]
            self.assertLess(abs((second - first) - (third - second)), 0.03)
            periods.add(second - first)
            self.successResultOf(fleet.stopService())
        self.assertTrue(min(periods) >= 8.98 and max(periods) <= 11.02, periods)
        self.assertGreater(max(periods) - min(periods), 0.5)

    def test_refused(self) -> None:
        """
        What a refused device has measured comes with its next delivery, oldest first.
        """
        times = (0, 12, 12)
        fleet = self.fleet()
        whole = b""
        for time in times:
            self.reactor.advance(time)
            whole += self.deliver().data
        self.successResultOf(fleet.stopService())
        self.reactor = MemoryReactorClock()
        fleet = self.fleet()
        self.refuse()
        self.reactor.advance(12)
        self.refuse()
        self.assertEqual((fleet.refused, fleet.sent, fleet.lost), (2, 0, 0))
        self.reactor.advance(12)
        packet = self.deliver()
        self.assertEqual(packet.count, 30)
        self.assertEqual(packet.data, whole)
        self.assertEqual((fleet.sent, fleet.readings), (1, 90))

    def test_room(self) -> None:
        """
        A device keeps 58 measurements; older ones are lost, and counted.
        """
        fleet = self.fleet()
        for _ in range(7):
            self.refuse()
            self.reactor.advance(11)
        self.assertEqual(fleet.lost, 80 - 58)
        packet = self.deliver()
        self.reactor.advance(11)
        self.assertEqual((packet.count, self.deliver().count), (58, 10))
        self.reactor = MemoryReactorClock()
        self.fleet()
        whole = self.deliver().data
        for _ in range(7):
            self.reactor.advance(11)
            whole += self.deliver().data
        self.assertEqual(packet.data, whole[-58 * 6 :])

    def test_slow(self) -> None:
        """
        A device whose delivery is still under way makes no second one, but goes on measuring.
        """
        self.fleet()
        self.reactor.pump([11] * 3)
        self.assertEqual(len(self.reactor.tcpClients), 1)
        self.assertEqual(self.deliver().count, 40)
        self.reactor.advance(11)
        self.assertEqual(len(self.reactor.tcpClients), 2)

    def test_stop(self) -> None:
        """
        A fleet that is stopped waits for the delivery that is under way.
        """
        fleet = self.fleet(devices=2)
        link = self.accept()
        self.assertEqual(fleet.connected, 1)
        stopped = fleet.stopService()
        self.assertNoResult(stopped)
        link.close()
        self.successResultOf(stopped)
        self.assertEqual((fleet.connected, self.reactor.getDelayedCalls()), (0, []))

    def test_stopEarly(self) -> None:
        """
        A fleet can be stopped while a device connects, and that is no failure of the gateway.
        """
        fleet = self.fleet(devices=2)
        self.successResultOf(fleet.stopService())
        self.assertEqual((fleet.refused, self.reactor.getDelayedCalls()), (0, []))


class CauseTests(SynchronousTestCase):
    """
    L{cause}.
    """

    def test_causes(self) -> None:
        """
        Why a connection failed is one line, without the wrappings of OpenSSL.
        """
        for error, text in (
            (ConnectionDone(), "it was closed"),
            (ConnectionLost(), "it was cut"),
            (ConnectionRefusedError("nobody\nthere"), "nobody there"),
            (SSL.Error([("", "", "one"), ("", "", "two")]), "TLS: one, two"),
            (SSL.SysCallError(-1, "Unexpected EOF"), "TLS: Unexpected EOF"),
            (SSL.ZeroReturnError(), "ZeroReturnError"),
            (UnlistableError(OSError(2, "No such folder")), "No such folder"),
            (ValueError(), "ValueError"),
        ):
            self.assertIn(text, cause(error))


class DriveTests(FleetTests):
    """
    L{drive}.
    """

    def setUp(self) -> None:
        """
        A fleet, and what is told of it.
        """
        super().setUp()
        self.told: list[int] = []
        self.made = Fleet(self.reactor, "poe", 1, None, self.target)

    def drive(self, seconds: float | None) -> "Deferred[None]":
        """
        Run the fleet.
        """
        running = drive(
            self.reactor, self.made, seconds, lambda fleet: self.told.append(fleet.sent)
        )
        return Deferred.fromCoroutine(running)

    def interrupt(self) -> Any:
        """
        What the reactor waits for before it stops.
        """
        ((call, args, kwargs),) = self.reactor.triggers["before"]["shutdown"]
        return call(*args, **kwargs)

    def test_seconds(self) -> None:
        """
        It ends after the given time, when all is closed, and tells how it went meanwhile.
        """
        over = self.drive(3)
        self.reactor.advance(0)
        link = self.accept()
        self.reactor.pump([0.5] * 5)
        self.assertNoResult(over)
        self.assertFalse(link.transport.disconnecting)
        self.reactor.advance(0.5)
        self.assertTrue(link.transport.disconnecting)
        link.close()
        self.successResultOf(over)
        self.assertEqual(self.told, [21, 21, 21, 42, 42, 42, 42])
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertTrue(self.interrupt().called)

    def test_interrupt(self) -> None:
        """
        A reactor that is told to stop waits until all is closed.
        """
        over = self.drive(None)
        self.reactor.advance(0)
        link = self.accept()
        stopping = self.interrupt()
        self.assertNoResult(stopping)
        link.close()
        self.successResultOf(stopping)
        self.successResultOf(over)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_begun(self) -> None:
        """
        It says when it has begun.
        """
        begun: list[Fleet] = []
        running = drive(self.reactor, self.made, 1, None, begun.append)
        over = Deferred.fromCoroutine(running)
        self.assertEqual(begun, [self.made])
        self.reactor.advance(1)
        self.successResultOf(over)

    def test_failing(self) -> None:
        """
        A fleet that cannot be started is an error, and nothing is left behind.
        """
        made = Fleet(self.reactor, "rfm2pi", 4, None, "no/such/folder")
        over = Deferred.fromCoroutine(drive(self.reactor, made, 1, None))
        error = self.failureResultOf(over, OSError).value
        self.assertEqual(error.filename, "no/such/folder")
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.triggers, {})

    def test_interruptEarly(self) -> None:
        """
        Told to stop before its time, it forgets about that time.
        """
        over = self.drive(60)
        self.interrupt()
        self.successResultOf(over)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

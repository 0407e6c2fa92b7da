"""
Tests for L{sensord.protocols.radio}, L{sensord.protocols.transmitter} and
L{sensord.protocols.repeater}.
"""

import time
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs, formatEvent

from sensord.config import ConfigError
from sensord.presence import Congested, Presence
from sensord.protocols.inlet import Inlet
from sensord.protocols.radio import RadioLink
from sensord.protocols.repeater import MAX_PEERS, RepeaterProtocol
from sensord.protocols.transmitter import MAX_REPEATED
from sensord.wire.rfm2pi import MAX_COMMAND
from tests.protocols.test_serial import LinkTestCase

RIGHT = b"[RFM12demo.14] O i15 g210 @ 433 MHz q1\r\n"
WRONG = b"[RFM12demo.14] A i1 g100 @ 868 MHz q0\r\n"

#: Half past six in the evening, and ten seconds.
EVENING = time.struct_time((2026, 11, 20, 18, 30, 10, 4, 324, 0))


class Reactor(MemoryReactorClock):
    """
    A reactor on which a port may be taken.
    """

    taken = False

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """
        Listen, unless the port is taken.
        """
        if self.taken:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        return super().listenTCP(port, factory, backlog, interface)


class RadioTestCase(LinkTestCase):
    """
    A radio that says nothing unless the test has it speak.
    """

    wire = "rfm2pi"
    called = "radio"

    def setUp(self) -> None:
        """
        It is evening.
        """
        super().setUp()
        self.clock = Reactor()
        self.now = EVENING

    def make(self, settings: Any, inlet: Inlet, parser: Any) -> RadioLink:
        """
        The link itself.
        """
        return RadioLink(
            self.clock, settings, inlet, parser, self.socket, localtime=lambda seconds: self.now
        )

    def told(self) -> bytes:
        """
        What the radio was told since the test asked last.
        """
        transport = self.socket.transport
        data: bytes = transport.value()
        transport.clear()
        return data

    def wait(self, seconds: float) -> bytes:
        """
        Let some time pass.

        @return: what the radio is told in it.
        """
        self.clock.pump([0.05] * round(seconds * 20))
        return self.told()

    def plug(self) -> bytes:
        """
        Plug the radio in again, and wait until it is noticed.

        @return: what it is told first.
        """
        self.socket.plug()
        while not (told := self.wait(0.1)):
            pass
        return told

    def tune(self, **settings: object) -> RadioLink:
        """
        A radio that is set as it should be, and has rested since.
        """
        link = self.start(**settings)
        assert isinstance(link, RadioLink)
        self.assertEqual(self.wait(0.1), b"v")
        self.receive(RIGHT)
        self.wait(1.1)
        self.commit()
        return link

    def send(self, *packets: bytes) -> None:
        """
        Send something by radio.
        """
        link = self.presence.link("radio/20")
        assert link is not None
        for packet in packets:
            link.send(packet)

    def offer(self, *packets: bytes) -> list[bytes]:
        """
        Have packets that are sent one after the other, whenever the radio has room for one.

        @return: those that are still to be sent.
        """
        left = list(packets)

        def greet(address: str) -> None:
            if left and address == "radio/*":
                try:
                    self.send(left[0])
                except Congested:
                    return
                del left[0]

        self.presence.greet(greet)
        return left


class SettingTests(RadioTestCase):
    """
    A radio is set as it is configured.
    """

    def test_asked(self) -> None:
        """
        A radio is asked how it is set, a moment after its port was opened.
        """
        link = self.build()
        link.startService()
        self.addCleanup(self.finish, link)
        self.assertEqual(self.wait(0.05), b"")
        self.assertEqual(self.wait(0.1), b"v")

    def test_right(self) -> None:
        """
        One that is set as it should be is told nothing. The log says how it is set.
        """
        with capturedLogs() as events:
            self.tune()
            self.assertEqual(self.wait(100), b"")
        self.assertEqual(
            [formatEvent(event) for event in events[1:]],
            ["radio: the radio is set: [RFM12demo.14] O i15 g210 @ 433 MHz q1"],
        )

    def test_wrong(self) -> None:
        """
        One that is not is told what differs, one setting a second, and then asked again.
        """
        self.start()
        self.wait(0.5)
        self.receive(WRONG)
        said = [self.wait(1.0) for _ in range(6)]
        self.assertEqual(said, [b"15i", b"4b", b"210g", b"1q", b"v", b""])
        with capturedLogs() as events:
            self.receive(RIGHT)
        self.assertEqual(len(events), 1)
        self.assertEqual(self.wait(100), b"")

    def test_onlyWhatDiffers(self) -> None:
        """
        It is told nothing that it knows already.
        """
        self.start(group=211)
        self.wait(0.5)
        self.receive(RIGHT)
        self.assertEqual(self.wait(3), b"211gv")

    def test_echoes(self) -> None:
        """
        What a radio says after each setting does not have the others sent twice.
        """
        self.start()
        self.wait(0.2)
        self.receive(WRONG)
        told = b""
        for _ in range(60):
            if data := self.wait(0.1):
                told += data
                self.receive(RIGHT if data == b"v" else b" i15 g100 @ 868 MHz q0\r\n")
        self.assertEqual(told, b"15i4b210g1qv")

    def test_quietUnknown(self) -> None:
        """
        One that cannot say whether it is quiet is told so once.
        """
        self.start()
        self.wait(0.2)
        mute = b" i15 g210 @ 433 MHz\r\n"
        self.receive(mute)
        self.assertEqual(self.wait(3), b"1qv")
        self.receive(mute)
        self.assertEqual(self.wait(100), b"")

    def test_restarted(self) -> None:
        """
        A radio that starts anew and has forgotten its settings is set again.
        """
        self.tune()
        self.receive(WRONG)
        self.assertEqual(self.wait(6), b"15i4b210g1qv")
        self.receive(RIGHT)
        self.assertEqual(self.wait(100), b"")

    def test_restartedInSilence(self) -> None:
        """
        One that starts anew without a word about its settings is asked.
        """
        self.tune()
        self.receive(b"[RFM12demo.14]\r\n[RFM12demo.14]\r\n")
        self.assertEqual(self.wait(2), b"v")
        self.receive(RIGHT)

    def test_restartedAgainAndAgain(self) -> None:
        """
        One that restarts all the time does not fill the log.
        """
        self.tune()
        with capturedLogs() as events:
            for seconds in (1, 3, 5, 7) * 25:
                self.receive(WRONG)
                self.wait(seconds)
                self.receive(RIGHT)
        self.assertLess(len(events), 12)

    def test_mute(self) -> None:
        """
        One that never says how it is set is asked again, ever more rarely. The log says so once,
        and once that it has answered.
        """
        with capturedLogs() as events:
            self.start()
            asked = [len(self.wait(60)) for _ in range(6)]
        self.assertEqual(asked, [5, 1, 1, 1, 1, 1])
        self.assertEqual(
            [formatEvent(event) for event in events[1:]],
            ["radio: the radio does not say how it is set; it is asked again until it is in order"],
        )
        with capturedLogs() as events:
            self.receive(RIGHT)
        self.assertEqual(len(events), 1)
        self.assertEqual(self.wait(100), b"")

    def test_stubborn(self) -> None:
        """
        One that does not take its settings is told again, ever more rarely; the log says so once.
        """
        self.start(group=211)
        told = b""
        with capturedLogs() as events:
            for _ in range(3000):
                if data := self.wait(0.1):
                    told += data
                    self.receive(RIGHT)
        self.assertEqual(told, b"v" + b"211gv" * (len(told) // 5))
        self.assertLess(len(told), 50)
        self.assertEqual(
            [formatEvent(event) for event in events],
            [
                "radio: the radio does not take its settings; it has [RFM12demo.14] O i15 g210"
                " @ 433 MHz q1; it is asked again until it is in order"
            ],
        )

    def test_held(self) -> None:
        """
        A radio that is not read from just now is not said to be mute.
        """
        link = self.start()
        link.steer(True, True)
        with capturedLogs() as events:
            self.wait(20)
            link.steer(True, False)
            self.receive(RIGHT)
        self.assertEqual(len(events), 1)
        self.assertIn("is set", formatEvent(events[0]))

    def test_replugged(self) -> None:
        """
        A radio that is plugged in again is asked again, and set if need be.
        """
        self.tune()
        self.socket.unplug()
        self.wait(5)
        self.assertEqual(self.plug(), b"v")
        self.receive(WRONG)
        self.assertEqual(self.wait(6), b"15i4b210g1qv")

    def test_unpluggedWhileTold(self) -> None:
        """
        One may be unplugged at any time.
        """
        self.start()
        self.wait(0.5)
        self.receive(WRONG)
        self.wait(0.7)
        self.socket.unplug()
        self.clock.pump([1] * 2)


class FrameTests(RadioTestCase):
    """
    What nodes send is stored.
    """

    def test_stored(self) -> None:
        """
        Frames are stored, what is noise is rejected, and the link stays.
        """
        link = self.tune()
        self.receive(b"OK 10 12 0 44 1 (-65)\r\n\xff\xfe\x00\r\n? 1 2 3\r\n 11 1 0\r\n")
        [intake] = self.commit()
        self.assertEqual(
            [(each.device, each.name, each.value) for each in intake.readings],
            [
                ("radio/10", "1", 12),
                ("radio/10", "2", 300),
                ("radio/10", "rssi", -65),
                ("radio/11", "1", 1),
            ],
        )
        self.assertEqual(len(intake.rejected), 2)
        self.assertEqual(link.state, "open")

    def test_met(self) -> None:
        """
        Each node that is heard is greeted: one that sleeps may listen now. It gets no link of its
        own; it is reached by that of the radio.
        """
        link = self.build()
        met: list[str] = []
        self.presence.greet(met.append)
        link.startService()
        self.addCleanup(self.finish, link)
        self.assertEqual(met, ["radio/*"])
        self.clock.advance(1)
        self.receive(b"OK 10 12 0\r\nOK 11 12 0\r\nOK 10 13 0\r\n")
        self.receive(b"OK 10 12 0\r\n")
        self.assertEqual(met, ["radio/*", "radio/10", "radio/11", "radio/10"])
        self.assertEqual(self.presence.present(), [])
        self.assertIsNotNone(self.presence.link("radio/10"))
        self.socket.unplug()
        self.assertIsNone(self.presence.link("radio/10"))

    def test_meet(self) -> None:
        """
        A fault of one who greets does not keep the others from it.
        """
        presence, met = Presence(), list[str]()
        presence.greet(lambda address: 1 // 0)
        presence.greet(met.append)
        presence.meet("radio/10")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(met, ["radio/10"])


class SendingTests(RadioTestCase):
    """
    What is sent by radio goes out one packet after the other.
    """

    def test_sent(self) -> None:
        """
        A packet goes out at once, and the next is taken a moment later.
        """
        self.tune()
        left = self.offer(b"20,3,4,0s", b"20,5,6,0s")
        self.send(b"20,1,2,0s")
        self.assertEqual(self.told(), b"20,1,2,0s")
        self.assertRaises(Congested, self.send, b"20,7,8,0s")
        self.assertEqual(self.wait(0.15), b"")
        self.assertEqual(self.wait(0.1), b"20,3,4,0s")
        self.assertEqual(self.wait(0.25), b"20,5,6,0s")
        self.assertEqual(left, [])

    def test_slow(self) -> None:
        """
        On a slow port they are further apart, by the time that their bytes take.
        """
        self.tune(baud=1200)
        self.offer(b"20,3,4,0s")
        self.send(b"20," * 12 + b"0s")
        self.told()
        self.assertEqual(self.wait(0.45), b"")
        self.assertEqual(self.wait(0.1), b"20,3,4,0s")

    def test_settingsFirst(self) -> None:
        """
        Nothing is sent before the radio is set.
        """
        self.start()
        self.assertRaises(Congested, self.send, b"20,1,2,0s")
        self.offer(b"20,1,2,0s")
        self.wait(0.1)
        self.receive(WRONG)
        self.assertEqual(self.wait(5.5), b"15i4b210g1qv")
        self.receive(RIGHT)
        self.assertEqual(self.wait(2), b"20,1,2,0s")

    def test_muteToo(self) -> None:
        """
        A radio that does not say how it is set is trusted with packets after a while.
        """
        self.start()
        self.offer(b"20,1,2,0s")
        self.assertEqual(self.wait(2.5), b"v")
        self.assertIn(b"20,1,2,0s", self.wait(2.5))

    def test_unplugged(self) -> None:
        """
        No command is taken from its mailbox only to be dropped when the radio is unplugged: what
        was not sent before is sent when it is back.
        """
        self.tune()
        left = self.offer(b"20,3,4,0s")
        self.send(b"20,1,2,0s")
        self.assertEqual(self.told(), b"20,1,2,0s")
        self.socket.unplug()
        self.wait(3)
        self.assertEqual(left, [b"20,3,4,0s"])
        self.plug()
        self.receive(RIGHT)
        self.assertEqual(self.wait(10), b"20,3,4,0s")

    def test_stopped(self) -> None:
        """
        Nothing is sent when the link is being stopped.
        """
        link = self.tune(time_interval=5.0)
        self.wait(1)
        self.socket.transport.stuck = True
        left = self.offer(b"20,3,4,0s")
        self.send(b"20,1,2,0s")
        self.told()
        stopped = link.stopService()
        self.assertEqual(self.wait(2), b"")
        self.successResultOf(stopped)
        self.assertEqual(left, [b"20,3,4,0s"])


class TimeTests(RadioTestCase):
    """
    The time is sent to all nodes.
    """

    def test_interval(self) -> None:
        """
        The local time is sent when the radio is set, and after each interval.
        """
        self.start(time_interval=60.0)
        self.wait(0.1)
        self.receive(RIGHT)
        self.assertEqual(self.wait(1.1), b"00,18,30,00,s")
        self.now = time.localtime(0)
        self.assertEqual(self.wait(58), b"")
        self.assertEqual(self.wait(2), time.strftime("00,%H,%M,00,s", self.now).encode())

    def test_never(self) -> None:
        """
        Without an interval it is never sent.
        """
        self.tune()
        self.assertEqual(self.wait(1000), b"")

    def test_crowded(self) -> None:
        """
        One that has to wait is sent once, and says what time it is then.
        """
        self.start(time_interval=1.0)
        self.wait(0.1)
        self.receive(WRONG)
        self.wait(6)
        self.now = time.struct_time((2026, 11, 20, 18, 31, 0, 4, 324, 0))
        self.receive(RIGHT)
        self.assertEqual(self.wait(1), b"00,18,31,00,s")

    def test_unplugged(self) -> None:
        """
        It is not sent while there is no radio, and is again when there is.
        """
        self.tune(time_interval=60.0)
        self.socket.unplug()
        self.wait(600)
        self.plug()
        self.receive(RIGHT)
        self.assertEqual(self.wait(2), b"00,18,30,00,s")


class RepeaterTests(RadioTestCase):
    """
    Other programs can send by radio.
    """

    def connect(self, link: RadioLink) -> RepeaterProtocol:
        """
        A program connects to the repeater.
        """
        factory = self.clock.tcpServers[-1][1]
        protocol = factory.buildProtocol(None)
        assert isinstance(protocol, RepeaterProtocol)
        protocol.makeConnection(StringTransport())
        return protocol

    def open(self) -> RadioLink:
        """
        A radio with a repeater.
        """
        return self.tune(repeater="tcp:50012:interface=127.0.0.1")

    def test_announced(self) -> None:
        """
        The line at the start says where it is.
        """
        with capturedLogs() as events:
            self.open()
        self.assertTrue(
            formatEvent(events[0]).endswith(
                "; what comes in at tcp 0.0.0.0:50012 goes out by radio"
            ),
            formatEvent(events[0]),
        )

    def test_repeated(self) -> None:
        """
        Each line is sent by radio without its end, however it is cut.
        """
        link = self.open()
        peer = self.connect(link)
        for chunk in (b"20,1,2", b",0s\r\n\r\n1,2,", b"3a\n"):
            peer.dataReceived(chunk)
        self.assertEqual(self.wait(1), b"20,1,2,0s1,2,3a")
        assert link.repeater is not None
        self.assertEqual((link.repeater.repeated, link.repeater.refused), (2, 0))

    def test_interleaved(self) -> None:
        """
        Halves of lines of two programs are not mixed up, and one that is not ended is not sent.
        """
        link = self.open()
        one, two = self.connect(link), self.connect(link)
        one.dataReceived(b"20,1,2")
        two.dataReceived(b"20,3,4,")
        one.dataReceived(b",0s\n20,5")
        two.dataReceived(b"0s\n20,6,0s")
        one.connectionLost()
        two.connectionLost()
        self.assertEqual(self.wait(1), b"20,1,2,0s20,3,4,0s")

    def test_refused(self) -> None:
        """
        What is no packet to send is counted and logged rarely; nobody can change the settings.
        """
        link = self.open()
        peer = self.connect(link)
        with capturedLogs() as events:
            for line in (b"211g", b"v", b"\xff", b"20,1,2,0s4b", b"1" * 10000) * 50:
                peer.dataReceived(line + b"\n")
        self.assertEqual(len(events), 1)
        self.assertIn("is not repeated: no packet to send: 32 31 31 67", formatEvent(events[0]))
        self.assertEqual(self.wait(2), b"")
        assert link.repeater is not None
        self.assertEqual(link.repeater.refused, 250)

    def test_endless(self) -> None:
        """
        A line that never ends takes no room, and is refused when it ends after all.
        """
        link = self.open()
        peer = self.connect(link)
        for _ in range(1000):
            peer.dataReceived(b"1," * 4000)
        self.assertLessEqual(len(peer._rest), MAX_COMMAND + 2)
        peer.dataReceived(b"0s\n20,1,2,0s\n")
        self.assertEqual(self.wait(1), b"20,1,2,0s")

    def test_longest(self) -> None:
        """
        The longest line that is allowed is sent; one that is a byte longer is not.
        """
        peer = self.connect(self.open())
        command = b"1," * ((MAX_COMMAND - 2) // 2)
        command += b"0s".rjust(MAX_COMMAND - len(command), b"0")
        for end in (b"\r\n", b"s\n", b"0\r\n"):
            for byte in command + end:
                peer.dataReceived(bytes([byte]))
        self.assertEqual(self.wait(2), command)

    def test_flood(self) -> None:
        """
        A program that writes more than the radio can send does not keep commands from it.
        """
        link = self.open()
        with capturedLogs() as events:
            self.connect(link).dataReceived(b"20,1,2,0s\n" * 10_000)
        self.assertEqual(len(events), 1)
        self.offer(b"20,3,4,0s")
        sent = self.wait(MAX_REPEATED * 0.4)
        self.assertEqual(sent, b"20,1,2,0s" + b"20,3,4,0s" + b"20,1,2,0s" * MAX_REPEATED)

    def test_noRadio(self) -> None:
        """
        Lines that come while there is no radio are refused.
        """
        link = self.open()
        peer = self.connect(link)
        self.socket.unplug()
        with capturedLogs() as events:
            peer.dataReceived(b"20,1,2,0s\n")
        self.assertIn("there is no radio just now", formatEvent(events[0]))

    def test_crowd(self) -> None:
        """
        Not more programs can connect than there is room for.
        """
        link = self.open()
        peers = [self.connect(link) for _ in range(MAX_PEERS)]
        factory = self.clock.tcpServers[-1][1]
        with capturedLogs() as events:
            self.assertIsNone(factory.buildProtocol(None))
        self.assertIn("is refused at the repeater", formatEvent(events[0]))
        peers[0].connectionLost()
        self.assertIsNotNone(factory.buildProtocol(None))

    def test_stopped(self) -> None:
        """
        Its port is closed and its links are cut when the radio is stopped.
        """
        link = self.open()
        transport = self.connect(link).transport
        self.successResultOf(link.stopService())
        self.assertTrue(transport.disconnected)
        assert link.repeater is not None
        self.assertIsNone(link.repeater.address)

    def test_taken(self) -> None:
        """
        A port that is taken is an error at the start, and the radio is not opened.
        """
        self.clock.taken = True
        link = self.build(repeater="tcp:50012")
        self.assertRaises(CannotListenError, link.startService)
        self.assertEqual(self.socket.attempts, 0)
        self.assertEqual(link.state, "stopped")

    def test_noEndpoint(self) -> None:
        """
        A string that is no endpoint is a fault that names the table and the key.
        """
        for text in ("tpc:50012", "tcp", "tcp:70000", "stdio:"):
            error = self.assertRaises(ConfigError, self.build(repeater=text).startService)
            [fault] = error.faults
            self.assertTrue(
                fault.startswith(f'[[listeners]] "radio" repeater: "{text}" is no endpoint: '),
                fault,
            )

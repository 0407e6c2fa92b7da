"""
Serial links on real pseudo-terminals.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from sensord.config import Settings
from sensord.devices import Devices
from sensord.presence import Congested, Link
from sensord.pretend.firmware import Firmware, Transmission
from sensord.pretend.terminal import Terminal
from sensord.protocols.inlet import Inlet
from sensord.protocols.radio import RadioLink
from sensord.protocols.serial import SerialEndpoint, SerialLink
from sensord.reading import Arrivals
from sensord.store.account import Account
from sensord.wires import WIRES
from tests.integration.daemon import PATIENCE
from tests.integration.loop import pause, reactor

#: Seconds that nothing answers a device for, so that its first line is taken for a whole one.
_SILENCE = 0.2

#: One frame in each form, and what nodes they are of.
FORMS = (
    (b" 10 12 0 44 1", 10),
    (b"OK 11 12 0 44 1 (-65) ", 11),
    (b"OK G210 12 12 0 44 1", 12),
    (b"G 210 13 12 0 44 1", 13),
    (b"OK 14 12 0 44 1 (999)", 14),
)

#: What is said between frames.
NOISE = (
    b"> 15i",
    b"-> ack",
    b" -> ack",
    b" ? 10 12 0 44",
    b"| listening",
    b"\x01 buffer empty",
    b"OK 10 12 300",
    b"OK",
    bytes(range(128, 255)),
    b"A" * 600,
    b"",
)

#: Why a line that is cut by unplugging is rejected.
_CUT = "cut short: the link ended within the line"


class SerialTestCase(TestCase):
    """
    A device file that may come and go, known by a symbolic link.
    """

    timeout = PATIENCE

    def setUp(self) -> None:
        """
        Nothing is plugged in yet.
        """
        self.path = Path(self.mktemp()).absolute()
        self.heard = b""
        self.terminal = Terminal(reactor(), self.hear, str(self.path))
        self.addCleanup(self.terminal.close)
        self.account = Account("port", lambda count: None)

    def hear(self, data: bytes) -> None:
        """
        The device is told something.
        """
        self.heard += data

    def speak(self, *lines: bytes) -> None:
        """
        The device says something.
        """
        for line in lines:
            self.assertTrue(self.terminal.write(line + b"\r\n"))

    def build(self, wire: str, **more: object) -> SerialLink:
        """
        A link that was not started.
        """
        kind: Any = WIRES[wire].settings
        settings = kind("port", wire, str(self.path), **more)
        devices = Devices(Settings(listeners=(settings,)))
        self.presence = devices.presence
        source = devices.source(settings, Arrivals(time.time))
        inlet = Inlet("port", source, self.account, self.presence, reactor())
        link = RadioLink if wire == "rfm2pi" else SerialLink
        return link(reactor(), settings, inlet, partial(WIRES[wire].parser, settings))

    def start(self, wire: str, **more: object) -> SerialLink:
        """
        A link that was started.
        """
        link = self.build(wire, **more)
        link.startService()
        self.addCleanup(link.stopService)
        return link

    async def until(self, condition: Callable[[], object]) -> None:
        """
        Wait for something.
        """
        deadline = time.monotonic() + PATIENCE / 2
        while not condition():
            if time.monotonic() > deadline:
                self.fail("it has not come")
            await pause(0.01)

    async def stored(self, *devices: str) -> Sequence[tuple[bytes, str]]:
        """
        Wait until there are readings of some devices, and of no other.

        @return: what was rejected meanwhile.
        """
        found: set[str] = set()
        rejected: list[tuple[bytes, str]] = []

        def complete() -> bool:
            while (taken := self.account.take()) is not None:
                for intake in taken[0].intakes:
                    found.update(reading.device for reading in intake.readings)
                    rejected.extend(intake.rejected)
            return found >= set(devices)

        await self.until(complete)
        self.assertEqual(found, set(devices))
        return rejected

    async def open(self, link: SerialLink) -> None:
        """
        Wait until the port is open, and has been for a moment.
        """
        await self.until(lambda: link.state == "open")
        await pause(_SILENCE)


def said(events: Sequence[LogEvent], level: str) -> list[str]:
    """
    The lines of one level in the log that are ours.
    """
    return [
        str(formatEvent(event))
        for event in events
        if event["log_level"].name == level and event["log_namespace"].startswith("sensord.")
    ]


class LineTests(SerialTestCase):
    """
    A device that sends lines.
    """

    async def test_stored(self) -> None:
        """
        Its lines are stored, and it can be sent something.
        """
        self.terminal.open()
        link = self.start("serial")
        await self.open(link)
        self.speak(b"15 69 1664", b"noise", b"16 1")
        self.assertEqual(len(await self.stored("port/15", "port/16")), 1)
        way = self.presence.link("port/15")
        assert way is not None
        way.send(b"1,1.0\n")
        await self.until(lambda: self.heard == b"1,1.0\n")

    async def test_absent(self) -> None:
        """
        A device that is absent at the start is taken in as soon as it is there.
        """
        with capturedLogs() as events:
            link = self.start("serial")
            await self.until(lambda: said(events, "error"))
            self.assertEqual(link.state, "absent")
            self.terminal.open()
            await self.open(link)
            self.speak(b"15 69")
            await self.stored("port/15")
        [line] = said(events, "error")
        self.assertIn(f"{self.path} cannot be used: it is not there", line)
        self.assertIn(f"{self.path} is open", said(events, "info")[-1])

    async def test_replugged(self) -> None:
        """
        One that is unplugged within a line is missed, and is taken in again when it is back, as
        another device file. The cut line is rejected. There is no traceback.
        """
        self.terminal.open()
        link = self.start("serial")
        await self.open(link)
        self.speak(b"15 69")
        self.terminal.write(b"16 7")
        await self.stored("port/15")
        with capturedLogs() as events:
            self.terminal.close()
            await self.until(lambda: link.state == "absent")
            self.assertEqual(await self.stored(), [(b"16 7", _CUT)])
            self.terminal.open()
            await self.open(link)
            self.speak(b"17 1")
            self.assertEqual(await self.stored("port/17"), [])
        self.assertEqual(len(said(events, "error")), 1, said(events, "error"))
        self.assertEqual(said(events, "info"), [f"port: {self.path} is open"])
        self.assertEqual(said(events, "critical"), [])

    async def test_held(self) -> None:
        """
        What it says while nothing can be stored waits in the system, and is stored afterwards.
        """
        self.terminal.open()
        link = self.start("serial")
        await self.open(link)
        link.steer(False, True)
        self.speak(b"15 69")
        await pause(_SILENCE)
        self.assertIsNone(self.account.take())
        link.steer(True, False)
        await self.stored("port/15")

    async def test_pluggedInWhileHeld(self) -> None:
        """
        One that comes while nothing can be stored is not read from either.
        """
        link = self.build("serial")
        link.steer(True, True)
        link.startService()
        self.addCleanup(link.stopService)
        self.terminal.open()
        await self.open(link)
        self.speak(b"15 69", b"16 69")
        await pause(_SILENCE)
        self.assertIsNone(self.account.take())
        link.steer(True, False)
        self.assertEqual(len(await self.stored("port/16")), 1)

    async def test_unpluggedWhileHeld(self) -> None:
        """
        That it is gone shows when it is read from again.
        """
        self.terminal.open()
        link = self.start("serial")
        await self.open(link)
        link.steer(True, True)
        self.terminal.close()
        link.steer(True, False)
        await self.until(lambda: link.state == "absent")

    async def test_stoppedInTheMiddle(self) -> None:
        """
        A link that is stopped lets go of its port at once, also when nobody reads what is written
        there, and can be started again.
        """
        self.terminal.open()
        link = self.start("serial")
        await self.open(link)
        for connection in link.factory.connections:
            reactor().removeReader(self.terminal)
            connection.transport.write(bytes(100_000))
        await link.stopService()
        self.assertEqual(link.connected, 0)
        link.startService()
        await self.open(link)

    async def test_exclusive(self) -> None:
        """
        Two links cannot have one port.
        """
        self.terminal.open()
        await self.open(self.start("serial"))
        other = SerialEndpoint(reactor(), str(self.path), 9600)
        error: Any = await self.assertFailure(
            other.connect(Factory.forProtocol(Protocol)), ConnectError
        )
        self.assertEqual(error.args[0], "another program has it")


class RadioTests(SerialTestCase):
    """
    A radio.
    """

    def setUp(self) -> None:
        """
        It is not set as it should be.
        """
        super().setUp()
        self.firmware = Firmware(Random(3))
        self.sent: list[Transmission] = []

    def hear(self, data: bytes) -> None:
        """
        It does what it is told, and answers.
        """
        super().hear(data)
        for said in self.firmware.hear(data):
            if isinstance(said, Transmission):
                self.sent.append(said)
            else:
                self.terminal.write(said)

    def test_everything(self) -> Deferred[None]:
        """
        A radio is set, confirmed, heard in every form of line and in noise, and sends what it is
        told to. Unplugged and plugged in again, it goes on.
        """
        return Deferred.fromCoroutine(self._everything())

    async def _everything(self) -> None:
        self.terminal.open()
        with capturedLogs() as events:
            link = self.start("rfm2pi", time_interval=1000.0, repeater="tcp:0:interface=127.0.0.1")
            await self.until(lambda: "is set" in said(events, "info")[-1])
        firmware = self.firmware
        self.assertEqual(
            (firmware.base, firmware.band, firmware.group, firmware.quiet), (15, 433, 210, True)
        )
        self.assertEqual(self.heard[:8], b"v15i1qv")
        await self._hear(link)
        await self._send(link)
        self.terminal.close()
        await self.until(lambda: link.state == "absent")
        self.assertIsNone(self.presence.link("port/10"))
        self.firmware.base, self.heard = 1, b""
        self.terminal.open()
        await self.until(lambda: self.firmware.base == 15)
        await self._hear(link)

    async def _hear(self, link: SerialLink) -> None:
        """
        Have it say all that a radio can say.
        """
        await self.stored()
        for line, node in FORMS:
            for noise in NOISE:
                self.speak(noise, line)
                await self.stored(f"port/{node}")
        self.assertEqual(link.state, "open")

    def taken(self, way: Link, packet: bytes) -> bool:
        """
        Offer a command.

        @return: whether it was taken.
        """
        try:
            way.send(packet)
        except Congested:
            return False
        return True

    async def _send(self, link: SerialLink) -> None:
        """
        Have it send a command, the time, and a line of the repeater.
        """
        assert isinstance(link, RadioLink)
        repeater = link.repeater
        assert repeater is not None
        way = self.presence.link("port/20")
        assert way is not None
        await self.until(lambda: self.sent)  # the time is first
        await self.until(lambda: self.taken(way, b"20,1,2,0s"))
        address: Any = repeater.address
        to: IStreamClientEndpoint = clientFromString(reactor(), f"tcp:127.0.0.1:{address.port}")
        peer: Any = await connectProtocol(to, Protocol())
        peer.transport.write(b"211g\n21,3,4,0s\n")
        await self.until(lambda: len(self.sent) == 3)
        peer.transport.loseConnection()
        await self.until(lambda: not repeater.peers)
        clock, command, repeated = self.sent
        self.assertEqual((len(clock.data), clock.data[0], clock.node), (4, 0, 0))
        self.assertEqual(command, Transmission(0, bytes([20, 1, 2])))
        self.assertEqual(repeated, Transmission(0, bytes([21, 3, 4])))
        self.assertEqual(self.firmware.group, 210)

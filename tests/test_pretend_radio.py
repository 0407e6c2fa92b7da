"""
The pretend radio module: L{sensord.pretend.radio} and what it is made of.
"""

import os
import select
from array import array
from collections.abc import Sequence
from fcntl import ioctl
from pathlib import Path
from random import Random
from termios import FIONREAD

from hypothesis import given, strategies
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from sensord.pretend.firmware import Firmware, Transmission
from sensord.pretend.node import IDS, Node, model
from sensord.pretend.radio import Radio
from sensord.pretend.terminal import Terminal
from sensord.simulate import Fleet
from sensord.wire import Skipped
from sensord.wire.packing import layout, pack
from sensord.wire.rfm2pi import (
    ASK,
    MAX_COMMAND,
    Frame,
    Note,
    RadioParser,
    Status,
    clock,
    setting,
    transmit,
)
from tests.support import PROPERTY

#: Seconds after which a test gives up on the kernel, which hands bytes over at once.
_PATIENCE = 20.0


class NodeTests(SynchronousTestCase):
    """
    L{Node}.
    """

    def node(self, number: int) -> Node:
        """
        The node with a number.
        """
        return Node(number, Random(1))

    def values(self, node: Node) -> dict[str, float]:
        """
        What a node sends now, as a description of it has it.
        """
        described = node.model.values
        raws = layout(value.type for value in described).unpack(node.measure())
        return {v.name: raw * v.scale + v.offset for v, raw in zip(described, raws, strict=True)}

    def test_ids(self) -> None:
        """
        Each node has an id of its own, which is neither that of all nor the usual one of a module.
        """
        self.assertEqual(len({*IDS}), len(IDS))
        self.assertEqual({*range(1, 31)} - {*IDS}, {15})
        self.assertEqual([self.node(number).id for number in (1, 2, 3)], [10, 11, 12])

    def test_undescribed(self) -> None:
        """
        What any node sends can be read without a description too, as signed words.
        """
        for number in range(1, len(IDS) + 1):
            self.assertEqual(len(self.node(number).measure()), 6)

    def test_values(self) -> None:
        """
        What nodes measure stays within what is believable, and changes.
        """
        for number in range(1, 5):
            node = self.node(number)
            shown = [self.values(node) for _ in range(500)]
            for (name, least), limits in zip(shown[0].items(), node.model.ranges, strict=True):
                seen = {one[name] for one in shown}
                if name in ("msg", "target"):
                    continue
                self.assertTrue(limits[0] - 0.1 <= least <= limits[1] + 0.1, (name, least))
                self.assertTrue(min(seen) >= limits[0] - 0.1 and max(seen) <= limits[1] + 0.1)
                self.assertGreater(len(seen), 5)

    def test_counter(self) -> None:
        """
        The third node counts its messages, from 1 to 65535 and then from 0 on.
        """
        node = self.node(3)
        counts = [self.values(node)["msg"] for _ in range(65537)]
        self.assertEqual(counts, [*range(1, 65536), 0, 1])

    def test_told(self) -> None:
        """
        The fourth node can be told a target, and shows it from then on.
        """
        node = self.node(4)
        self.assertEqual(self.values(node)["target"], 20)
        node.hear(pack(["h"], [215]))
        self.assertEqual(node.told, {"target": 21.5})
        self.assertEqual([self.values(node)["target"] for _ in range(3)], [21.5] * 3)
        self.assertEqual([one.name for one in model(4).transmit], ["target"])

    def test_ignored(self) -> None:
        """
        What is not as long as a node expects, and all for nodes that expect nothing, is ignored.
        """
        for number, data in ((4, b""), (4, b"\0"), (4, bytes(3)), (1, bytes(2)), (1, b"")):
            node = self.node(number)
            node.hear(data)
            self.assertEqual(node.told, {})


class FirmwareTests(SynchronousTestCase):
    """
    L{Firmware}.
    """

    def setUp(self) -> None:
        """
        A program that has just started.
        """
        self.firmware = Firmware(Random(1))

    def ask(self, data: bytes) -> Sequence[object]:
        """
        What the gateway makes of the answers to some bytes.
        """
        said = b"".join(one for one in self.firmware.hear(data) if isinstance(one, bytes))
        return RadioParser().feed(said)

    def test_banner(self) -> None:
        """
        Asked for it, it says what it is and how it is set.
        """
        text = "[RFM12demo.14] A i1 g210 @ 433 MHz q0"
        self.assertEqual(self.ask(ASK), [Status(text, 1, 433, 210, False)])

    def test_settings(self) -> None:
        """
        A setting is echoed, applied, and shown.
        """
        for letter, value, status in (
            ("i", 15, Status("i15 g210 @ 433 MHz q0", 15, 433, 210, False)),
            ("b", 868, Status("i15 g210 @ 868 MHz q0", 15, 868, 210, False)),
            ("g", 0, Status("i15 g0 @ 868 MHz q0", 15, 868, 0, False)),
            ("q", 1, Status("i15 g0 @ 868 MHz q1", 15, 868, 0, True)),
        ):
            command = setting(letter, value)
            self.assertEqual(self.ask(command), [Note(f"> {command.decode()}"), status])
        self.assertEqual(self.ask(b"4b")[1], Status("i15 g0 @ 433 MHz q1", 15, 433, 0, True))

    def test_impossible(self) -> None:
        """
        A setting that cannot be is echoed and not applied.
        """
        for command in (b"32i", b"5b", b"i32i"):
            self.ask(command)
        self.assertEqual((self.firmware.base, self.firmware.band), (0, 433))

    def test_together(self) -> None:
        """
        Commands may come in one piece or byte by byte, and with line ends or without.
        """
        whole = b"15i8b211g1q"
        for stream in (
            [whole],
            [bytes([byte]) for byte in whole],
            [b"15i\r\n8b\r\n211g\r\n1q\r\n"],
        ):
            self.setUp()
            for data in stream:
                self.ask(data)
            state = (self.firmware.base, self.firmware.band, self.firmware.group)
            self.assertEqual((*state, self.firmware.quiet), (15, 868, 211, True))

    def test_transmit(self) -> None:
        """
        What it is told to send is remembered and confirmed, in each form that there is.
        """
        for command, sent in (
            (transmit(b"\x26\xbc\x02", 20, "direct"), Transmission(20, b"\x26\xbc\x02")),
            (transmit(b"\x26\xbc\x02", 20), Transmission(0, b"\x14\x26\xbc\x02")),
            (clock(18, 30), Transmission(0, b"\x00\x12\x1e\x00")),
            (b"14, 38, 0 s", Transmission(0, b"\x0e\x26")),
        ):
            note = Note(f"-> {len(sent.data)} b")
            self.assertEqual(self.ask(command), [note])
            self.assertEqual(self.firmware.transmissions[-1], sent)
        self.assertEqual(self.ask(b"1,2,20a"), [Note("-> 2 b"), Note("-> ack")])

    def test_forgetting(self) -> None:
        """
        Only the last transmissions are remembered.
        """
        self.ask(b"1,0s" * 500 + b"2,0s")
        self.assertEqual(len(self.firmware.transmissions), 100)
        self.assertEqual(self.firmware.transmissions[-1], Transmission(0, b"\2"))

    def test_nothing(self) -> None:
        """
        A transmission without data, or with more than a packet can carry, is none.
        """
        for command in (b"s", b"20s", b"1," * 67 + b"0s"):
            self.assertEqual(self.ask(command), [])
        self.assertEqual(len(self.firmware.transmissions), 0)

    def test_noiseIn(self) -> None:
        """
        Digits that never end are forgotten.
        """
        self.ask(b"1" * 5000)
        self.assertLessEqual(len(self.firmware._kept), MAX_COMMAND)
        self.assertEqual(len(self.ask(b"\nv")), 1)

    @PROPERTY
    @given(strategies.lists(strategies.binary(max_size=40), max_size=5))
    def test_anything(self, chunks: list[bytes]) -> None:
        """
        Whatever it is sent, it goes on.
        """
        self.setUp()
        for chunk in chunks:
            self.ask(chunk)
        [status] = self.ask(b"\nv")
        self.assertIsInstance(status, Status)

    def test_forms(self) -> None:
        """
        A frame is written in every way that there is; each is read as the same, with the strength
        of the signal where it is shown.
        """
        lines = {self.firmware.tell(10, b"\x0c\x00\xff") for _ in range(2000)}
        shapes = {line.split(b"(")[0].replace(b"42", b"10") for line in lines}
        self.assertEqual(
            shapes,
            {
                b" 10 12 0 255\r\n",
                b"OK 10 12 0 255 ",
                b"OK 10 12 0 255\r\n",
                b"OK G210 10 12 0 255 ",
                b"G 210 10 12 0 255 ",
            },
        )
        self.assertTrue(any(b" 42 " in line for line in lines), "no flags above the id")
        for line in lines:
            [frame] = RadioParser().feed(line)
            assert isinstance(frame, Frame)
            self.assertEqual((frame.node, frame.data), (10, b"\x0c\x00\xff"))
            self.assertEqual(frame.rssi is not None, b"(" in line)

    def test_group(self) -> None:
        """
        The group that is named is the one that it is set to.
        """
        self.ask(b"5g")
        lines = b"".join(self.firmware.tell(10, b"\1") for _ in range(200))
        frames = RadioParser().feed(lines)
        groups = {frame.group for frame in frames if isinstance(frame, Frame)}
        self.assertEqual(groups, {None, 5})

    def test_spoilt(self) -> None:
        """
        A frame with errors is said to be one, unless the module is to be quiet.
        """
        [skipped] = RadioParser().feed(self.firmware.spoil(10, b"\1\2"))
        assert isinstance(skipped, Skipped)
        self.assertEqual(skipped.why, "bad CRC")
        self.ask(b"1q")
        self.assertEqual(self.firmware.spoil(10, b"\1\2"), b"")

    def test_noiseOut(self) -> None:
        """
        Noise is of many kinds, and each line of it costs nothing but itself.
        """
        for line in {self.firmware.noise() for _ in range(300)}:
            noise, frame = RadioParser().feed(line + b"OK 10 1\r\n")
            self.assertIsInstance(noise, Skipped | Note)
            self.assertEqual(frame, Frame(10, b"\1"))


class PortTests(SynchronousTestCase):
    """
    A real pseudo-terminal, and a reactor that does nothing by itself.
    """

    def setUp(self) -> None:
        """
        A folder to work in.
        """
        self.reactor = MemoryReactorClock()
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.link = self.folder / "radio"

    def attach(self, path: str | Path) -> int:
        """
        Open a device file as the gateway does.
        """
        file = os.open(path, os.O_RDWR | os.O_NOCTTY)
        self.addCleanup(os.close, file)
        return file

    def unread(self, file: int) -> int:
        """
        How many bytes wait to be read.
        """
        count = array("i", [0])
        ioctl(file, FIONREAD, count)
        return count[0]

    def read(self, file: int, count: int) -> bytes:
        """
        Read so many bytes.
        """
        data = b""
        while len(data) < count:
            ready, _, _ = select.select([file], [], [], _PATIENCE)
            assert ready, f"only {data!r}"
            data += os.read(file, count - len(data))
        return data

    def react(self) -> None:
        """
        Let what was written arrive.
        """
        [reader] = self.reactor.getReaders()
        ready, _, _ = select.select([reader], [], [], _PATIENCE)
        assert ready, "nothing arrived"
        reader.doRead()


class TerminalTests(PortTests):
    """
    L{Terminal}.
    """

    def setUp(self) -> None:
        """
        One that is open.
        """
        super().setUp()
        self.heard: list[bytes] = []
        self.terminal = Terminal(self.reactor, self.heard.append, str(self.link))
        self.terminal.open()
        self.addCleanup(self.terminal.close)

    def test_interface(self) -> None:
        """
        A reactor can wait for it.
        """
        verifyObject(IReadDescriptor, self.terminal)
        self.assertEqual(self.terminal.logPrefix(), "pretend serial port")
        self.assertGreater(self.terminal.fileno(), 0)

    def test_raw(self) -> None:
        """
        What goes through it comes out as it was, in both directions, and is not echoed.
        """
        data = bytes(range(256))
        file = self.attach(self.terminal.path)
        self.assertTrue(self.terminal.write(data))
        self.assertEqual(self.read(file, 256), data)
        os.write(file, data)
        while len(b"".join(self.heard)) < 256:
            self.react()
        self.assertEqual(b"".join(self.heard), data)
        self.assertEqual(select.select([file], [], [], 0)[0], [])

    def test_nobody(self) -> None:
        """
        While nobody reads, lines are dropped instead of piling up, and nothing blocks; who reads
        then gets old lines that are whole, and from there on new ones.
        """
        line = b"x" * 98 + b"\r\n"
        file = self.attach(self.terminal.path)
        written = 0
        while self.terminal.write(line):
            written += 1
            while self.unread(file) < written * 100:
                pass  # the system takes a moment to bring it to the other end
        self.assertLess(written, 200)
        self.assertEqual(self.read(file, written * 100), line * written)
        self.assertTrue(self.terminal.write(b"new\r\n"))
        self.assertEqual(self.read(file, 5), b"new\r\n")

    def test_idle(self) -> None:
        """
        Being told that there is something to read when there is nothing does no harm.
        """
        self.terminal.doRead()
        self.assertEqual(self.heard, [])

    def test_comeAndGo(self) -> None:
        """
        Whoever opened it may close it, and somebody else open it.
        """
        for _ in range(2):
            file = os.open(self.terminal.path, os.O_RDWR | os.O_NOCTTY)
            os.write(file, b"v")
            self.react()
            self.assertTrue(self.terminal.write(b"line\r\n"))
            self.assertEqual(self.read(file, 6), b"line\r\n")
            os.close(file)
        self.assertEqual(self.heard, [b"v", b"v"])

    def test_close(self) -> None:
        """
        When it is closed, whoever has it open finds the end, the link is gone, and no reactor waits
        for it. Closing it again, or writing to it, does nothing.
        """
        file = self.attach(self.terminal.path)
        self.terminal.close()
        self.assertEqual(self.reactor.getReaders(), [])
        self.assertFalse(self.link.is_symlink())
        self.assertEqual(self.terminal.path, "")
        self.assertEqual(select.select([file], [], [], _PATIENCE)[0], [file])
        with self.assertRaises(OSError):
            if not os.read(file, 1):
                raise OSError
        self.terminal.close()
        self.assertFalse(self.terminal.write(b"x"))

    def test_reactorStops(self) -> None:
        """
        A reactor that stops closes it.
        """
        self.terminal.connectionLost(Failure(Exception()))
        self.assertEqual(self.terminal.path, "")

    def test_link(self) -> None:
        """
        The link leads to the device file, also when it is opened anew.
        """
        for _ in range(2):
            self.assertEqual(os.readlink(self.link), self.terminal.path)
            self.terminal.close()
            self.terminal.open()

    def test_stale(self) -> None:
        """
        A link that was left over is replaced; one that somebody else has made since stays.
        """
        self.terminal.close()
        self.link.symlink_to("gone")
        self.terminal.open()
        self.assertEqual(os.readlink(self.link), self.terminal.path)
        self.link.unlink()
        self.link.symlink_to("other")
        self.terminal.close()
        self.assertEqual(os.readlink(self.link), "other")

    def test_file(self) -> None:
        """
        A file where the link should be is an error that names it, and stays.
        """
        self.terminal.close()
        self.link.write_text("precious")
        error = self.assertRaises(FileExistsError, self.terminal.open)
        self.assertEqual(error.filename, str(self.link))
        self.assertEqual((self.link.read_text(), self.terminal.path), ("precious", ""))
        self.assertEqual(self.reactor.getReaders(), [])


class RadioTests(PortTests):
    """
    Fleets of radio nodes.
    """

    def fleet(self, devices: int = 4, rate: float | None = None, seed: int = 1) -> Fleet:
        """
        A fleet that runs.
        """
        fleet = Fleet(self.reactor, "rfm2pi", devices, rate, str(self.link), seed)
        fleet.startService()
        self.addCleanup(fleet.stopService)
        return fleet

    def radio(self, fleet: Fleet) -> Radio:
        """
        The module of a fleet.
        """
        [member] = fleet.members
        assert isinstance(member, Radio)
        return member

    def drain(self, file: int) -> bytes:
        """
        Read all that has come, up to an answer to a last question.
        """
        os.write(file, b"v")
        self.react()
        data = b""
        while not data.endswith(b"MHz q0\r\n"):
            data += self.read(file, 1)
        return data[: data.rindex(b"[")]

    def hear(self, fleet: Fleet, rounds: int) -> list[object]:
        """
        What the gateway makes of what comes while each node sends so often.
        """
        file = self.attach(fleet.path)
        said = self.drain(file)
        for _ in range(rounds):
            self.reactor.advance(10)
            said += self.drain(file)
        return list(RadioParser().feed(said))

    def test_frames(self) -> None:
        """
        Each node sends every ten seconds, one after the other, in believable strength; now and then
        there is noise and a frame with errors, which are not counted as sent.
        """
        fleet = self.fleet()
        events = self.hear(fleet, 100)
        frames = [event for event in events if isinstance(event, Frame)]
        self.assertEqual(fleet.sent, len(frames))
        self.assertEqual(fleet.readings, 3 * len(frames))
        self.assertTrue(360 <= len(frames) <= 401, len(frames))
        self.assertEqual([frame.node for frame in frames[:8]], [10, 11, 12, 13] * 2)
        shown = {frame.rssi for frame in frames if frame.rssi is not None}
        self.assertTrue(min(shown) >= -95 and max(shown) <= -35 and len(shown) > 20)
        whys = {event.why for event in events if isinstance(event, Skipped)}
        self.assertTrue({"bad CRC", "noise: not text"} <= whys, whys)
        self.assertTrue(any(isinstance(event, Note) for event in events))

    def test_missed(self) -> None:
        """
        The counter of a node shows which frames had errors.
        """
        frames = self.hear(self.fleet(devices=3), 300)
        data = [one.data for one in frames if isinstance(one, Frame) and one.node == 12]
        counts = [int.from_bytes(one[:2], "little") for one in data]
        self.assertEqual(counts, sorted({*counts}))
        self.assertTrue(280 <= len(counts) < counts[-1] <= 301)

    def test_most(self) -> None:
        """
        There can be as many nodes as there are ids.
        """
        frames = self.hear(self.fleet(devices=29), 1)
        nodes = {frame.node for frame in frames if isinstance(frame, Frame)}
        self.assertTrue(nodes <= {*IDS} and len(nodes) > 25, nodes)

    def test_answers(self) -> None:
        """
        It answers the gateway, and does what it is told.
        """
        fleet = self.fleet()
        radio = self.radio(fleet)
        file = self.attach(self.link)
        self.drain(file)
        os.write(file, b"15i")
        self.react()
        expected = b"> 15i\r\n i15 g210 @ 433 MHz q0\r\n"
        self.assertEqual(self.read(file, len(expected)), expected)
        self.assertEqual(radio.firmware.base, 15)

    def test_told(self) -> None:
        """
        What is sent to a node reaches that one, in either form, and no other.
        """
        radio = self.radio(self.fleet(devices=8))
        file = self.attach(self.link)
        for form, raw in (("direct", 190), ("emonhub", 215)):
            data = raw.to_bytes(2, "little")
            os.write(file, transmit(data, 13, "direct" if form == "direct" else "emonhub"))
            self.react()
            told = {node.id: node.told for node in radio.nodes if node.told}
            self.assertEqual(told, {13: {"target": raw / 10}})

    def test_nobody(self) -> None:
        """
        While nobody reads, what cannot be written is counted as lost, and memory does not grow.
        """
        fleet = self.fleet(rate=100)
        for _ in range(100):
            self.reactor.advance(0.2)
        self.assertLess(fleet.sent, 1000)
        self.assertGreater(fleet.lost, 5000)

    def test_unplugged(self) -> None:
        """
        Unplugged, there is no device file and what nodes send is lost; plugged in again, it goes on
        with the settings that it had.
        """
        fleet = self.fleet()
        radio = self.radio(fleet)
        file = self.attach(self.link)
        os.write(file, b"15i")
        self.react()
        radio.unplug()
        radio.unplug()
        self.assertEqual((fleet.path, radio.path, self.link.is_symlink()), ("", "", False))
        sent, lost = fleet.sent, fleet.lost
        self.reactor.advance(10)
        self.assertEqual(fleet.sent, sent)
        self.assertGreater(fleet.lost, lost)
        radio.plug()
        radio.plug()
        self.assertEqual((fleet.path, os.readlink(self.link)), (radio.path, radio.path))
        self.assertEqual(radio.firmware.base, 15)
        self.hear(fleet, 1)
        self.assertGreater(fleet.sent, sent)

    def test_stop(self) -> None:
        """
        A fleet that is stopped leaves nothing behind, and can be started again.
        """
        fleet = self.fleet()
        for _ in range(2):
            self.assertTrue(self.link.is_symlink())
            self.successResultOf(fleet.stopService())
            self.assertEqual((self.reactor.getReaders(), self.reactor.getDelayedCalls()), ([], []))
            self.assertFalse(self.link.is_symlink())
            fleet.startService()

    def test_linkless(self) -> None:
        """
        Nothing but the device file is made where no link is asked for.
        """
        fleet = Fleet(self.reactor, "rfm2pi", 1)
        fleet.startService()
        self.assertTrue(fleet.path.startswith("/dev/"))
        self.successResultOf(fleet.stopService())
        self.assertEqual((fleet.path, list(self.folder.iterdir())), ("", []))

    def test_seed(self) -> None:
        """
        The same seed gives the same lines, another one others.
        """
        said = []
        for seed in (1, 1, 2):
            fleet = self.fleet(seed=seed)
            said.append(self.hear(fleet, 10))
            self.successResultOf(fleet.stopService())
        self.assertEqual(said[0], said[1])
        self.assertNotEqual(said[0], said[2])

"""
Tests for L{sensord.pipe}.
"""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from twisted.trial.unittest import SynchronousTestCase

from sensord.pipe import Heard, Pipe, PipedClient
from tests.support import PROPERTY, SIZES, slices

#: Bytes that a packet may have here.
LARGEST = 150


class PipeTests(SynchronousTestCase):
    """
    What paho takes for its socket.
    """

    def setUp(self) -> None:
        """
        Nothing was written yet.
        """
        self.written: list[bytes] = []
        self.refused: list[int] = []
        self.pipe = Pipe(self.written.append, self.refused.append, LARGEST)

    def test_read(self) -> None:
        """
        What came in is read once, in the order in which it came, as far as it goes.
        """
        self.pipe.buffer += b"abc"
        self.assertEqual(self.pipe.recv(2), b"ab")
        self.assertEqual(self.pipe.recv(2), b"c")
        self.assertRaises(BlockingIOError, self.pipe.recv, 2)

    def test_full(self) -> None:
        """
        While the transport takes nothing, nothing is written.
        """
        self.pipe.full = True
        self.assertRaises(BlockingIOError, self.pipe.send, b"a")
        self.pipe.full = False
        self.assertEqual(self.pipe.send(bytearray(b"a")), 1)
        self.assertEqual(self.written, [b"a"])

    def test_large(self) -> None:
        """
        A packet that is too large and no message is refused, and nothing of it is kept.
        """
        self.assertEqual([*self.pipe.feed(b"\x90\xff\xff\xff\x7f" + bytes(100))], [])
        self.assertEqual((self.refused, self.pipe.closed), ([268435455], True))
        self.assertEqual(self.pipe.buffer, b"")

    def test_noPacket(self) -> None:
        """
        What can be no packet is left to paho, which knows better.
        """
        self.assertEqual([*self.pipe.feed(b"\x30\xff\xff\xff\xff\xff")], [])
        self.assertEqual(self.pipe.buffer[:5], b"\x30\xff\xff\xff\xff")

    def test_example(self) -> None:
        """
        The example of the specification is a message, in MQTT 5 with its properties before it.
        """
        stream = bytes.fromhex("320d 0003612f62 0007 68656c6c6f21")
        (heard,) = Pipe(self.written.append, self.refused.append, LARGEST, False).feed(stream)
        self.assertEqual(heard, Heard(b"a/b", b"hello!", 1, 7, False))
        stream = bytes.fromhex("3310 0003612f62 0007 02 0101 68656c6c6f21")
        (heard,) = Pipe(self.written.append, self.refused.append, LARGEST, True).feed(stream)
        self.assertEqual(heard, Heard(b"a/b", b"hello!", 1, 7, True))

    def test_odd(self) -> None:
        """
        Messages that are not as they should be, or are said with QoS 2, are left to paho.
        """
        for text in (
            "3000",  # nothing
            "300100",
            "3002 0003",  # no topic
            "3003 000361",  # half a topic
            "3003 000061",  # an empty one
            "3204 00016100",  # half a number
            "3205 0001610000",  # number 0
            "3405 0001610001",  # QoS 2
            "3605 0001610001",  # QoS 3
        ):
            pipe = Pipe(self.written.append, self.refused.append, LARGEST, False)
            stream = bytes.fromhex(text)
            self.assertEqual((*pipe.feed(stream), bytes(pipe.buffer)), (stream,))
        for text in ("3003 000161", "3004 00016105", "3006 000161 8001 00"):  # properties
            pipe = Pipe(self.written.append, self.refused.append, LARGEST, True)
            stream = bytes.fromhex(text)
            self.assertEqual((*pipe.feed(stream), bytes(pipe.buffer)), (stream,))

    def test_order(self) -> None:
        """
        What comes before a message is in the buffer when it is heard, and what comes after is not.
        """
        pipe = Pipe(self.written.append, self.refused.append, LARGEST, False)
        said = pipe.feed(b"\x40\x02\0\1" + _publish(b"", 1) + b"\x40\x02\0\2")
        next(said)
        self.assertEqual(pipe.buffer, b"\x40\x02\0\1")
        self.assertEqual([*said], [])
        self.assertEqual(pipe.buffer, b"\x40\x02\0\1\x40\x02\0\2")

    @given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 9))), SIZES, st.booleans())
    @PROPERTY
    def test_cut(
        self, messages: Sequence[tuple[int, int]], sizes: Sequence[int], here: bool
    ) -> None:
        """
        However the stream was cut: messages that are too large are passed over, all others come out
        whole, here or at paho.
        """
        pipe = Pipe(self.written.append, self.refused.append, LARGEST, False if here else None)
        packets = [_publish(bytes(size), mid) for size, mid in messages]
        heard = [each for chunk in slices(b"".join(packets), sizes) for each in pipe.feed(chunk)]
        small = [each for each in packets if len(each) <= LARGEST + _head(each)]
        self.assertEqual(pipe.buffer, b"" if here else b"".join(small))
        expected = []
        for each, (size, mid) in zip(packets, messages, strict=True):
            qos, length = int(mid > 0), len(each) - _head(each)
            if length > LARGEST:
                expected.append(Heard(b"a/b", b"", qos, mid, False, length))
            elif here:
                expected.append(Heard(b"a/b", bytes(size), qos, mid, False))
        self.assertEqual(heard, expected)
        self.assertEqual((self.refused, pipe.closed), ([], False))

    @given(st.binary(max_size=60), st.booleans(), SIZES)
    @PROPERTY
    def test_anything(self, data: bytes, five: bool, sizes: Sequence[int]) -> None:
        """
        Whatever comes, nothing raises.
        """
        pipe = Pipe(self.written.append, lambda size: None, LARGEST, five)
        for chunk in slices(b"\x30" + data, sizes):
            list(pipe.feed(chunk))

    def test_paho(self) -> None:
        """
        paho still makes its socket where we replace it: nothing else in it opens one.
        """
        self.assertTrue(hasattr(Client, "_create_socket"))
        client = PipedClient(CallbackAPIVersion.VERSION2)
        client.pipe = self.pipe
        client.on_socket_register_write = lambda *_arguments: None
        client.connect("nobody.invalid", 1)
        self.assertIs(client.socket(), self.pipe)
        client.loop_write()
        self.assertEqual(self.written[0][0], 0x10)


def _publish(payload: bytes, mid: int) -> bytes:
    """
    A message, whose length takes one byte or two.
    """
    body = b"\0\x03a/b" + (mid.to_bytes(2) if mid else b"") + payload
    length = (
        bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
    )
    return (b"\x32" if mid else b"\x30") + length + body


def _head(packet: bytes) -> int:
    """
    How long the fixed header of a packet is.
    """
    return 2 if packet[1] < 128 else 3

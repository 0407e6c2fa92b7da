"""
Tests for L{sensord.pipe}.
"""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from twisted.trial.unittest import SynchronousTestCase

from sensord.pipe import Pipe, PipedClient
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
        self.skipped: list[tuple[bytes, int, int, int]] = []
        self.pipe = Pipe(self.written.append, self._skip, self.refused.append, LARGEST)

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
        self.pipe.feed(b"\x90\xff\xff\xff\x7f" + bytes(100))
        self.assertEqual((self.refused, self.pipe.closed), ([268435455], True))
        self.assertEqual(self.pipe.buffer, b"")

    def test_noPacket(self) -> None:
        """
        What can be no packet is left to paho, which knows better.
        """
        self.pipe.feed(b"\x30\xff\xff\xff\xff\xff")
        self.assertEqual(self.pipe.buffer[:5], b"\x30\xff\xff\xff\xff")

    @given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 9))), SIZES)
    @PROPERTY
    def test_passedOver(self, messages: Sequence[tuple[int, int]], sizes: Sequence[int]) -> None:
        """
        Messages that are too large are passed over, all others are left as they are, however the
        stream was cut.
        """
        self.setUp()
        packets = [_publish(bytes(size), mid) for size, mid in messages]
        for chunk in slices(b"".join(packets), sizes):
            self.pipe.feed(chunk)
        small = [each for each in packets if len(each) <= LARGEST + _head(each)]
        self.assertEqual(self.pipe.buffer, b"".join(small))
        self.assertEqual(
            self.skipped,
            [
                (b"a/b", 1 if mid else 0, mid, len(each) - _head(each))
                for each, (_size, mid) in zip(packets, messages, strict=True)
                if len(each) > LARGEST + _head(each)
            ],
        )
        self.assertEqual((self.refused, self.pipe.closed), ([], False))

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

    def _skip(self, topic: bytes, qos: int, mid: int, size: int) -> None:
        self.skipped.append((topic, qos, mid, size))


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

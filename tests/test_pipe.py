"""
Tests for L{sensord.pipe}.
"""

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from twisted.trial.unittest import SynchronousTestCase

from sensord.pipe import MAX_PACKET, Pipe, PipedClient


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
        self.pipe = Pipe(self.written.append, self.refused.append)

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
        A packet that is too large is not even begun.
        """
        self.pipe.buffer += b"a"
        self.assertRaises(OSError, self.pipe.recv, MAX_PACKET + 1)
        self.assertEqual(self.refused, [MAX_PACKET + 1])

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

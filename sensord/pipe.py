"""
What paho-mqtt takes for its socket.

paho would make its socket itself, and block everything here while it looks up the name, connects
and shakes hands. There is no public way to give it one, so the one method that makes it is
replaced: it gets a buffer beside a Twisted transport. Names, TLS and timeouts are then those of
Twisted, nothing blocks, and there is neither a thread nor a file descriptor of its own.
"""

from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client

#: Bytes that one packet may have. Without a limit, anybody who may publish where we subscribe could
#: fill the memory with one message of 256 MB.
MAX_PACKET = 16 * 2**20


class Pipe:
    """
    What paho takes for its socket.

    @ivar buffer: what came in, and was not read yet.
    @ivar full: whether the transport takes no more just now.
    @ivar closed: whether paho has closed it.
    @param refuse: called with the size of a packet that is too large.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        refuse: Callable[[int], None],
    ) -> None:
        self.buffer = bytearray()
        self.full = False
        self.closed = False
        self._write = write
        self._refuse = refuse

    def recv(self, size: int) -> bytes:
        """
        Read. paho asks for all that a packet still lacks.
        """
        if size > MAX_PACKET:
            self._refuse(size)
            raise OSError("too large")
        if not self.buffer:
            raise BlockingIOError
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def send(self, data: bytes | bytearray) -> int:
        """
        Write.
        """
        if self.full:
            raise BlockingIOError
        self._write(bytes(data))
        return len(data)

    def close(self) -> None:
        """
        paho is done.
        """
        self.closed = True

    def fileno(self) -> int:
        """
        There is none.
        """
        return -1

    def setblocking(self, flag: bool) -> None:
        """
        It never blocks.
        """


class PipedClient(Client):
    """
    paho's client, on a socket that it is given.
    """

    pipe: Pipe

    def _create_socket(self) -> Any:
        return self.pipe

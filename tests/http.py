"""
What tests that speak HTTP without a socket share.
"""

from http.client import HTTPResponse
from io import BytesIO
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure


class _Socket:
    """
    What C{http.client} reads a response from.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> BytesIO:
        """
        A file with the response.
        """
        return BytesIO(self._data)


def response(data: bytes, method: str = "GET") -> HTTPResponse:
    """
    The response that some bytes are; its head is read already.
    """
    made = HTTPResponse(_Socket(data), method=method)  # type: ignore[arg-type]
    made.begin()
    return made


class End:
    """
    The client's end of a link.

    @ivar transport: what it has come by.
    @ivar protocol: the other end.
    """

    transport: Any
    protocol: Any

    def send(self, data: bytes) -> None:
        """
        Send bytes.
        """
        self.protocol.dataReceived(data)

    def taken(self) -> bytes:
        """
        What has come since.
        """
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def hangUp(self) -> None:
        """
        Be gone.
        """
        self.protocol.connectionLost(Failure(ConnectionDone()))

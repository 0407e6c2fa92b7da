"""
refusal: what a peer is told whose request for a WebSocket is not granted.

One answer of HTTP/1.1 with the reason as a line of text, after which the connection is closed::

    HTTP/1.1 404 Not Found
    Connection: close
    Content-Type: text/plain; charset=utf-8
    Content-Length: 31

    404 Not Found: the path is /ws
"""

from http import HTTPStatus

#: Headers that go with a refusal.
_ADVICE = {
    HTTPStatus.UNAUTHORIZED: "WWW-Authenticate: Bearer\r\n",
    HTTPStatus.UPGRADE_REQUIRED: "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
}


class Refused(Exception):
    """
    A request that is not granted.

    @ivar why: the reason.
    @ivar data: what shows the reason best; the request if empty.
    @ivar answer: what the peer is told. wsproto has none for what it could not read.
    """

    def __init__(self, status: HTTPStatus, why: str, data: bytes = b"") -> None:
        self.why = f"{status.value} {status.phrase}: {why}"
        self.data = data
        self.answer = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            f"{_ADVICE.get(status, '')}"
            "Connection: close\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(self.why.encode()) + 1}\r\n"
            f"\r\n{self.why}\n"
        ).encode()

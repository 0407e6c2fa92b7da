"""
Responses that go on for as long as there is something to tell: as fast as whoever asked can read
them, and no faster.
"""

import re
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

#: A comment: so that a follower knows that it does follow.
COMMENT = b":\n\n"

#: How many heartbeats a follower may leave unread: one that stops reading while little happens
#: would else be kept for ever.
_UNREAD = 2


@implementer(IPushProducer)
class Follower:
    """
    One response with events.

    @ivar user: who it is; empty if that is nobody in particular.
    @ivar device: which devices it is to hear of.
    @ivar name: and which of their readings.
    @ivar waiting: how many bytes wait for it to read.
    """

    def __init__(self, request: Any, device: re.Pattern[str], name: re.Pattern[str]) -> None:
        self.user: str = getattr(request, "login", "")
        self.device = device
        self.name = name
        self.waiting = 0
        self._request = request
        self._held: list[bytes] = []
        self._choked = self._over = False
        self._beats = 0
        self._ended: Deferred[None] = Deferred()

    async def follow(self, opening: bytes = COMMENT) -> None:
        """
        Begin the response, and wait for its end.

        @param opening: what it begins with.
        """
        self._request.setHeader(b"content-type", b"text/event-stream")
        self._request.setHeader(b"cache-control", b"no-store")
        self._request.registerProducer(self, True)
        self._request.write(opening)
        try:
            await self._ended
        finally:
            self._over = True

    def wants(self, *names: str) -> bool:
        """
        Whether it is to hear of a device that has these names.
        """
        return any(self.device.match(name) for name in names)

    def send(self, data: bytes) -> None:
        """
        Send something, now or as soon as it can be read.
        """
        if self._over:
            return
        if self._choked:
            self._held.append(data)
            self.waiting += len(data)
        else:
            self._request.write(data)

    def unread(self) -> bool:
        """
        A heartbeat: whether the follower has not read anything for too long.
        """
        self._beats = self._beats + 1 if self._choked else 0
        return self._beats >= _UNREAD

    def end(self) -> None:
        """
        End the response.
        """
        if not self._over:
            self._over = True
            self._request.unregisterProducer()
            self._ended.callback(None)

    def drop(self) -> None:
        """
        Cut the link, whatever was not read yet.
        """
        self._over = True
        self._held, self.waiting = [], 0
        self._request.transport.abortConnection()

    def pauseProducing(self) -> None:
        """
        The follower does not read.
        """
        self._choked = True

    def resumeProducing(self) -> None:
        """
        The follower has read what was sent.
        """
        self._choked, self._beats = False, 0
        if self._held and not self._over:
            held, self._held, self.waiting = self._held, [], 0
            self._request.write(b"".join(held))

    def stopProducing(self) -> None:
        """
        The link is gone; the request is told too.
        """

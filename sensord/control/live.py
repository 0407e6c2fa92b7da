"""
Live events for those who follow: Server-Sent Events, as fast as each can read them and no faster.

A response that never ends, of text/event-stream. Each event has a name and one line of JSON::

    event: readings
    data: [{"device":"balcony","name":"light","value":6,"time":1795194651000000,"clock":"device"}]

The data are always a list, of readings, of L{Changed} or of
L{Delivery<sensord.store.mailbox.Delivery>}.
C{readings} come after their commit, at most every 100 ms; C{devices} are those that came into
another state; C{commands} are those of which something became. A comment comes every 15 s.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import translate
from typing import Any

from msgspec import Struct, json
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from sensord.commands import Commands
from sensord.control.query import Fault
from sensord.presence import Change, Presence
from sensord.rarely import Rarely
from sensord.reading import Reading
from sensord.store.mailbox import Delivery
from sensord.store.service import Store

#: How many can follow at a time. Without a limit, one that connects again and again would make
#: each reading cost more than the last.
MAX_FOLLOWERS = 50

#: Bytes that may wait for a follower. Without a limit, one that does not read would fill the
#: memory.
MAX_WAITING = 2_097_152

#: Seconds between two comments, and how many of them a follower may leave unread: one that stops
#: reading while little happens would else be kept for ever.
HEARTBEAT, _UNREAD = 15.0, 2

#: Seconds between two events with readings; the readings that are sent before; and those in one
#: event.
_EVERY, _MOST, _BATCH = 0.1, 10_000, 1_000

#: The most characters of a pattern: each reading is compared with it.
_PATTERN = 200


class Changed(Struct, frozen=True):
    """
    A device that came into another state.

    @ivar heard: when it was last heard, in microseconds since the epoch.
    """

    address: str
    name: str
    before: str | None
    state: str
    heard: int | None


class Live:
    """
    All that follow. While there are none, nobody is asked for anything.

    @param clock: for the batches and the comments.
    """

    _log = Logger()

    def __init__(self, clock: Any, store: Store, presence: Presence, commands: Commands) -> None:
        self._clock = clock
        self._presence = presence
        self._sources = (
            lambda: store.follow(self._gather),
            lambda: presence.follow(self._changed),
            lambda: commands.follow(self._delivered),
        )
        self._followers: list[Follower] = []
        self._unfollow: list[Callable[[], None]] = []
        self._readings: list[Reading] = []
        self._timer: IDelayedCall | None = None
        self._beating = LoopingCall(self._beat)
        self._beating.clock = clock
        self._rarely = Rarely(self._log, clock)

    async def serve(self, request: Any, device: str, name: str) -> None:
        """
        Send events until the follower is gone.

        @param device: a pattern with C{*} and C{?}.
        @param name: likewise, of readings.
        @raise Fault: if there are too many.
        """
        if len(self._followers) >= MAX_FOLLOWERS:
            raise Fault(503, f"{MAX_FOLLOWERS} follow already")
        follower = Follower(request, _matches("device", device), _matches("name", name))
        if not self._followers:
            self._unfollow = [source() for source in self._sources]
            self._beating.start(HEARTBEAT, now=False).addErrback(
                lambda failure: self._log.failure("followers get no comments any more", failure)
            )
        self._followers.append(follower)
        try:
            await follower.follow()
        finally:
            self._followers.remove(follower)
            if not self._followers:
                self._rest()

    def close(self) -> None:
        """
        End all responses.
        """
        for follower in tuple(self._followers):
            follower.end()

    def _rest(self) -> None:
        """
        Nobody follows any more.
        """
        for unfollow in self._unfollow:
            unfollow()
        self._unfollow = []
        self._readings = []
        if self._beating.running:
            self._beating.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _gather(self, readings: Sequence[Reading]) -> None:
        self._readings.extend(readings)
        if len(self._readings) >= _MOST:
            self._flush()
        elif self._timer is None:
            self._timer = self._clock.callLater(_EVERY, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._flush()

    def _flush(self) -> None:
        """
        Send the readings that were gathered.
        """
        readings, self._readings = self._readings, []
        made: dict[tuple[str, str], list[bytes]] = {}
        for follower in tuple(self._followers):
            key = follower.device.pattern, follower.name.pattern
            if key not in made:  # encoded once for all that want the same
                device, name = follower.device.match, follower.name.match
                wanted = [one for one in readings if device(one.device) and name(one.name)]
                made[key] = [
                    _event("readings", wanted[start : start + _BATCH])
                    for start in range(0, len(wanted), _BATCH)
                ]
            self._send(follower, made[key])

    def _changed(self, changes: Sequence[Change]) -> None:
        for follower in tuple(self._followers):
            wanted = [
                Changed(
                    record.address,
                    record.name,
                    change.before.value if change.before else None,
                    change.after.value,
                    record.heard or None,
                )
                for change in changes
                if follower.wants((record := change.record).name, record.address)
            ]
            if wanted:
                self._send(follower, [_event("devices", wanted)])

    def _delivered(self, delivery: Delivery) -> None:
        event = _event("commands", [delivery])
        record = self._presence.get(delivery.address)
        for follower in tuple(self._followers):
            if follower.wants(delivery.address, record.name if record else delivery.address):
                self._send(follower, [event])

    def _beat(self) -> None:
        for follower in tuple(self._followers):
            if follower.unread():
                self._drop(follower)
            else:
                self._send(follower, [b":\n\n"])

    def _send(self, follower: "Follower", events: Iterable[bytes]) -> None:
        for event in events:
            follower.send(event)
        if follower.waiting > MAX_WAITING:
            self._drop(follower)

    def _drop(self, follower: "Follower") -> None:
        self._rarely.warn("unread", "", "a follower of events is dropped: it does not read them")
        follower.drop()


@implementer(IPushProducer)
class Follower:
    """
    One response with events.

    @ivar device: which devices it is to hear of.
    @ivar name: and which of their readings.
    @ivar waiting: how many bytes wait for it to read.
    """

    def __init__(self, request: Any, device: re.Pattern[str], name: re.Pattern[str]) -> None:
        self.device = device
        self.name = name
        self.waiting = 0
        self._request = request
        self._held: list[bytes] = []
        self._choked = self._over = False
        self._beats = 0
        self._ended: Deferred[None] = Deferred()

    async def follow(self) -> None:
        """
        Begin the response, and wait for its end.
        """
        self._request.setHeader(b"content-type", b"text/event-stream")
        self._request.setHeader(b"cache-control", b"no-store")
        self._request.registerProducer(self, True)
        self._request.write(b":\n\n")  # so that the follower knows that it does follow
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


def _matches(parameter: str, pattern: str) -> re.Pattern[str]:
    if len(pattern) > _PATTERN:
        raise Fault(400, f"{parameter}: is longer than {_PATTERN} characters")
    # Brackets occur in names: they are to stand for themselves.
    return re.compile(translate(pattern.replace("[", "[[]")))


def _event(kind: str, items: Sequence[object]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), json.encode(items))

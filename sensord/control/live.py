"""
Live events for those who follow: Server-Sent Events, as fast as each can read them and no faster.

A response that never ends, of text/event-stream. Each event has an id, a name and one line of
JSON::

    id: 5d3c09be-42
    event: readings
    data: [{"device":"balcony","name":"light","value":6,"time":1795194651000000,"clock":"device"}]

The data are always a list, of readings, of L{Changed} or of
L{Delivery<sensord.store.mailbox.Delivery>}.
C{readings} come after their commit, at most every 100 ms; C{devices} are those that came into
another state; C{commands} are those of which something became. A comment comes every 15 s.

A follower that comes back says the id that it heard last, in the header C{Last-Event-ID} or by the
parameter C{last}, and is sent what it has missed. If that is not known any more, the first event is
C{reset}, with an empty list: it has to ask for everything anew. What happens is remembered while
there are followers, and for a minute after the last, as far as there is room for it.
"""

import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from typing import Any

from msgspec import Struct, json
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from sensord.commands import Commands
from sensord.control.follower import COMMENT, Follower
from sensord.control.query import Fault
from sensord.control.ring import Event, Ring
from sensord.presence import Change, Presence
from sensord.rarely import Rarely
from sensord.reading import Reading
from sensord.store.mailbox import Delivery
from sensord.store.service import Store

#: How many can follow at a time, and how many of them one user may be. Without a limit, one that
#: connects again and again would make each reading cost more than the last, or keep all others out.
MAX_FOLLOWERS, MAX_OF_ONE = 50, 15

#: Bytes that may wait for a follower. Without a limit, one that does not read would fill the
#: memory.
MAX_WAITING = 2_097_152

#: Seconds between two comments.
HEARTBEAT = 15.0

#: Seconds for which what happens is remembered for the last follower.
KEPT = 60.0

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


#: What each kind of event tells.
_ITEMS: dict[str, Any] = {
    "readings": list[Reading],
    "devices": list[Changed],
    "commands": list[Delivery],
}


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
        self._resting: IDelayedCall | None = None
        self._ring = Ring()
        self._beating = LoopingCall(self._beat)
        self._beating.clock = clock
        self._rarely = Rarely(self._log, clock)

    async def serve(self, request: Any, device: str, name: str, last: str = "") -> None:
        """
        Send events until the follower is gone.

        @param device: a pattern with C{*} and C{?}.
        @param name: likewise, of readings.
        @param last: the id of the last event that it has heard; empty is none.
        @raise Fault: if there are too many.
        """
        if len(self._followers) >= MAX_FOLLOWERS:
            raise Fault(503, f"{MAX_FOLLOWERS} follow already")
        user = getattr(request, "login", "")
        if user and sum(one.user == user for one in self._followers) >= MAX_OF_ONE:
            raise Fault(503, f"{user} follows {MAX_OF_ONE} times already")
        follower = Follower(request, _matches("device", device), _matches("name", name))
        self._begin()
        opening = COMMENT + self._missed(follower, last)
        self._followers.append(follower)
        try:
            await follower.follow(opening)
        finally:
            self._followers.remove(follower)
            if not self._followers:
                self._linger()

    def close(self) -> None:
        """
        End all responses.
        """
        for follower in tuple(self._followers):
            follower.end()
        self._rest()

    def _begin(self) -> None:
        """
        There is somebody to tell.
        """
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if not self._unfollow:
            self._unfollow = [source() for source in self._sources]
        if not self._beating.running:
            self._beating.start(HEARTBEAT, now=False).addErrback(
                lambda failure: self._log.failure("followers get no comments any more", failure)
            )

    def _linger(self) -> None:
        """
        Nobody follows just now.
        """
        if self._beating.running:
            self._beating.stop()
        if self._unfollow and self._resting is None:
            self._resting = self._clock.callLater(KEPT, self._rest)

    def _rest(self) -> None:
        """
        Nobody follows any more.
        """
        if self._resting is not None and self._resting.active():
            self._resting.cancel()
        self._resting = None
        self._ring.clear()
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
        for start in range(0, len(readings), _BATCH):
            self._publish("readings", readings[start : start + _BATCH])

    def _changed(self, changes: Sequence[Change]) -> None:
        self._publish(
            "devices",
            [
                Changed(
                    change.record.address,
                    change.record.name,
                    change.before.value if change.before else None,
                    change.after.value,
                    change.record.heard or None,
                )
                for change in changes
            ],
        )

    def _delivered(self, delivery: Delivery) -> None:
        self._publish("commands", [delivery])

    def _publish(self, kind: str, items: Sequence[Any]) -> None:
        """
        Send an event to all who want something of it.
        """
        event = self._ring.add(kind, json.encode(items))
        made: dict[tuple[str, str], bytes] = {}
        for follower in tuple(self._followers):
            key = follower.device.pattern, follower.name.pattern
            if key not in made:  # encoded once for all that want the same
                made[key] = self._excerpt(follower, event, items)
            if made[key]:
                self._send(follower, made[key])

    def _excerpt(self, follower: Follower, event: Event, items: Sequence[Any]) -> bytes:
        """
        What a follower is to hear of an event; empty if that is nothing.

        @param items: all that the event tells.
        """
        wanted = [one for one in items if self._wanted(follower, one)]
        if not wanted:
            return b""
        return _encoded(event, event.data if len(wanted) == len(items) else json.encode(wanted))

    def _wanted(self, follower: Follower, item: Reading | Changed | Delivery) -> bool:
        if isinstance(item, Reading):
            return bool(follower.device.match(item.device) and follower.name.match(item.name))
        if isinstance(item, Changed):
            return follower.wants(item.name, item.address)
        record = self._presence.get(item.address)
        return follower.wants(item.address, record.name if record else item.address)

    def _missed(self, follower: Follower, last: str) -> bytes:
        """
        What a follower is to hear first, by the event that it has heard last. It ends with the id
        of the newest, to go on with if the connection is lost before there is another.
        """
        said = b"id: %s\n" % self._ring.last.encode()
        if not last:
            return said + b"\n"
        events = self._ring.since(last)
        if events is None:
            return said + b"event: reset\ndata: []\n\n"
        told = [
            self._excerpt(follower, event, json.decode(event.data, type=_ITEMS[event.kind]))
            for event in events
        ]
        return b"".join(told) + said + b"\n"

    def _beat(self) -> None:
        for follower in tuple(self._followers):
            if follower.unread():
                self._drop(follower)
            else:
                self._send(follower, COMMENT)

    def _send(self, follower: Follower, data: bytes) -> None:
        follower.send(data)
        if follower.waiting > MAX_WAITING:
            self._drop(follower)

    def _drop(self, follower: Follower) -> None:
        self._rarely.warn("unread", "", "a follower of events is dropped: it does not read them")
        follower.drop()


def _matches(parameter: str, pattern: str) -> re.Pattern[str]:
    if len(pattern) > _PATTERN:
        raise Fault(400, f"{parameter}: is longer than {_PATTERN} characters")
    # Brackets occur in names: they are to stand for themselves.
    return re.compile(translate(pattern.replace("[", "[[]")))


def _encoded(event: Event, data: bytes) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (event.id.encode(), event.kind.encode(), data)

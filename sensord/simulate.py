"""
Fleets of pretend devices, for every wire format, over real sockets: for demonstrations, and to
see how much a gateway can take.
"""

import os
import re
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from sensord.pretend import DEVICES, Member
from sensord.pretend.link import DOUBT, Door, Link, Links, cause
from sensord.wire.lines import KEY_LENGTH

#: The rates that make sense, in messages per second from each device. The lowest is the longest
#: sleep that a packet can declare, the highest is beyond what one process can send.
_SLOWEST, _FASTEST = 1 / 65535, 100_000.0

#: The bytes that the path of a socket can have.
_LONGEST = 107

#: Seconds that connections have to close when a fleet is stopped, before they are cut.
_GRACE = 2.0

#: Seconds between two reports of how a fleet does.
_TICK = 0.5

_log = Logger()


class Fleet(Service):
    """
    Many devices of one kind that all send to one place.

    @ivar members: the devices, while it runs; for nodes behind a radio module, the module.
    @ivar sent: messages that were sent.
    @ivar readings: values in them.
    @ivar refused: attempts to connect that failed.
    @ivar why: the reason of the last of them; empty without one.
    @ivar cut: connections that the other side closed at once when something was sent.
    @ivar wasted: messages that were sent there.
    @ivar ending: how the last of them ended, if it was not closed properly.
    @ivar denied: messages that the other side answered, saying that it does not take them.
    @ivar objection: what it said the last time; empty if it gives no reasons.
    @ivar lost: measurements that devices dropped, since they could not deliver for too long.
    @ivar links: the connections that are open.
    @ivar path: the device file that the devices are behind; empty without one.
    """

    def __init__(
        self,
        reactor: Any,
        wire: str,
        devices: int,
        rate: float | None = None,
        target: str | None = None,
        seed: int | None = None,
        key: str = "",
        token: str = "",
    ) -> None:
        """
        @param wire: one of L{DEVICES}.
        @param devices: how many.
        @param rate: messages per second from each; L{None} is what such a device does in life.
        @param target: a Twisted client endpoint string; L{None} is where such a device sends to on
            this machine. For those behind a device file, where a symbolic link to it is kept.
        @param seed: makes what the devices measure the same each time.
        @param key: what each line has in it; empty is nothing.
        @param token: what those that connect by WebSocket or HTTP show; empty is nothing.
        @raise ValueError: if one of these is not possible.
        """
        if wire not in DEVICES:
            raise ValueError(f'"{wire}" is not one of {", ".join(DEVICES)}')
        self._kind = DEVICES[wire]
        if not 1 <= devices <= self._kind.most:
            raise ValueError(f"{devices} devices: for {wire} it can be 1 to {self._kind.most}")
        self.rate = self._kind.rate if rate is None else rate
        if not _SLOWEST <= self.rate <= _FASTEST:
            raise ValueError(f"{rate} messages per second: it can be 1/65535 to {_FASTEST:.0f}")
        _fit(wire, key, token)
        self.key, self.token = key, token
        self.reactor = reactor
        self.wire = wire
        self.devices = devices
        self.target = self._kind.target if target is None else target
        self.sent = self.readings = self.refused = self.lost = 0
        self.cut = self.wasted = self.denied = 0
        self.why = self.ending = self.objection = self.path = ""
        self.links: set[Link] = set()
        self.members: list[Member] = []
        self._endpoint = _endpoint(reactor, self.target) if self._kind.target else None
        self._seed = seed

    @property
    def connected(self) -> int:
        """
        How many connections are open.
        """
        return len(self.links)

    @property
    def taken(self) -> int:
        """
        How many messages were taken, as far as devices can know.
        """
        return max(0, self.sent - self.wasted - self.denied)

    def startService(self) -> None:
        """
        Let the devices begin, one after the other, so that they do not all send at one instant.

        @raise OSError: if the device file that they are behind cannot be made.
        """
        count = self.devices if self._endpoint else 1
        self.members = [self._kind.make(self, number) for number in range(1, count + 1)]
        for number, member in enumerate(self.members):
            member.start(number / count)
        super().startService()

    def stopService(self) -> Deferred[None]:
        """
        Stop the devices.

        @return: fires when all connections are closed.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for link in tuple(self.links):
            if not link.admitted:
                if self.reactor.seconds() - link.since >= DOUBT:
                    self.refused += 1
                    self.why = "there was no answer to the handshake"
                link.transport.abortConnection()
        members, self.members = self.members, []
        grace = self.reactor.callLater(_GRACE, self._cut)
        await gatherResults([member.stop() for member in members])
        if grace.active():
            grace.cancel()

    def _cut(self) -> None:
        for link in tuple(self.links):
            link.transport.abortConnection()

    def fail(self, why: str) -> None:
        """
        Count an attempt to connect that failed; when the fleet is being stopped, that is no news.
        """
        if self.running:
            self.refused += 1
            self.why = why

    def random(self, number: int) -> Random:
        """
        The chance that rules one device.
        """
        return Random() if self._seed is None else Random(f"{self._seed}/{number}")

    def link(
        self,
        begin: Callable[[Link], None],
        end: Callable[[], None],
        hear: Callable[[bytes], object] = lambda _data: None,
    ) -> IProtocolFactory:
        """
        What makes the connections of one device, counted.

        @param begin: called with one that is made.
        @param end: called when it is closed.
        @param hear: called with what the gateway says.
        """
        return Links(self, begin, end, hear)

    def door(self, address: str = "") -> IStreamClientEndpoint:
        """
        The way to the target for one device.

        @param address: where to come from, if the target is on loopback.
        """
        assert self._endpoint is not None  # who is behind a device file asks for none
        bound = None
        if address and re.match(r"tcp:(host=)?127\.(?!.*bindAddress)", self.target):
            bound = _endpoint(self.reactor, f"{self.target}:bindAddress={address}")
        return Door(self, self._endpoint, bound)


async def drive(
    reactor: Any,
    fleet: Fleet,
    seconds: float | None,
    status: Callable[[Fleet], object] | None,
    begun: Callable[[Fleet], object] = lambda _fleet: None,
) -> None:
    """
    Run a fleet until the reactor is told to stop, and then see that all is closed before it does.

    @param seconds: how long at most; L{None} is no limit.
    @param status: called with the fleet every now and then, and at the end.
    @param begun: called with the fleet once, as soon as it runs.
    @raise OSError: if the fleet cannot be started.
    """
    fleet.startService()
    begun(fleet)
    over: Deferred[None] = Deferred()
    stopped: Deferred[None] = Deferred()

    def end() -> Deferred[None]:
        if not over.called:
            over.callback(None)
        return stopped

    reactor.addSystemEventTrigger("before", "shutdown", end)
    timer = None if seconds is None else reactor.callLater(seconds, end)
    ticker = LoopingCall(status or (lambda _fleet: None), fleet)
    ticker.clock = reactor
    ticker.start(_TICK, now=False).addErrback(lambda failure: _log.failure("no status", failure))
    await over
    if timer is not None and timer.active():
        timer.cancel()
    await fleet.stopService()
    stopped.callback(None)
    if ticker.running:
        ticker.stop()
    if status is not None:
        status(fleet)


def _fit(wire: str, key: str, token: str) -> None:
    """
    See whether devices can show what they are to show.

    @raise ValueError: if not.
    """
    if key and wire != "lines":
        raise ValueError(f"a key is for lines, not for {wire}")
    if key and not (len(key) == KEY_LENGTH and re.fullmatch("[!-~]+", key)):
        raise ValueError(f"a key is {KEY_LENGTH} printable ASCII characters without blanks")
    if token and wire not in ("websocket", "http"):
        raise ValueError(f"a token is for websocket and http, not for {wire}")
    if not token.isprintable() or token != token.strip():
        raise ValueError("a token has no control characters, and no blanks around it")


def _endpoint(reactor: Any, target: str) -> IStreamClientEndpoint:
    """
    The endpoint that a string means.

    @raise ValueError: if it means none.
    """
    try:
        _possible(target)
        endpoint: IStreamClientEndpoint = clientFromString(reactor, target)
    except Exception as error:  # OpenSSL and plugins have exceptions of their own
        raise ValueError(
            f'"{target}" is no endpoint ({cause(error)}); write e.g. "tcp:127.0.0.1:1234"'
        ) from error
    return endpoint


def _possible(target: str) -> None:
    """
    See whether there can be such a place. Twisted finds out when it connects, and logs a traceback.

    @raise ValueError: if not.
    """
    place = re.match(r"(?:tcp|ssl|tls):(?:host=)?([^:]*):(?:port=)?(\d+)(?::|$)", target)
    if place:
        place[1].encode("idna")
        if not 1 <= int(place[2]) <= 65535:
            raise ValueError(f"{place[2]} is no port")
    path = re.match(r"unix:(?:path=)?([^:]*)", target)
    if path and ("\0" in path[1] or len(os.fsencode(path[1])) > _LONGEST):
        raise ValueError(f"the path of a socket has at most {_LONGEST} bytes, and no NUL")

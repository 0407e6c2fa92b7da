"""
Fleets of pretend devices, for every wire format, over real sockets: for demonstrations, and to
see how much a gateway can take.
"""

import re
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.endpoints import clientFromString
from twisted.internet.error import ConnectBindError, ConnectingCancelledError
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from sensord.pretend import DEVICES, Member

#: The rates that make sense, in messages per second from each device. The lowest is the longest
#: sleep that a packet can declare, the highest is beyond what one process can send.
_SLOWEST, _FASTEST = 1 / 65535, 100_000.0

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
    ) -> None:
        """
        @param wire: one of L{DEVICES}.
        @param devices: how many.
        @param rate: messages per second from each; L{None} is what such a device does in life.
        @param target: a Twisted client endpoint string; L{None} is where such a device sends to on
            this machine. For those behind a device file, where a symbolic link to it is kept.
        @param seed: makes what the devices measure the same each time.
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
        self.reactor = reactor
        self.wire = wire
        self.devices = devices
        self.target = self._kind.target if target is None else target
        self.sent = self.readings = self.refused = self.lost = 0
        self.why = self.path = ""
        self.links: set[Protocol] = set()
        self.members: list[Member] = []
        self._endpoint = _endpoint(reactor, self.target) if self._kind.target else None
        self._seed = seed

    @property
    def connected(self) -> int:
        """
        How many connections are open.
        """
        return len(self.links)

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
        members, self.members = self.members, []
        grace = self.reactor.callLater(_GRACE, self._cut)
        await gatherResults([member.stop() for member in members])
        if grace.active():
            grace.cancel()

    def _cut(self) -> None:
        for link in tuple(self.links):
            link.transport.abortConnection()  # type: ignore[union-attr]

    def random(self, number: int) -> Random:
        """
        The chance that rules one device.
        """
        return Random() if self._seed is None else Random(f"{self._seed}/{number}")

    def link(
        self,
        begin: Callable[[Any], None],
        end: Callable[[], None],
        hear: Callable[[bytes], object] = lambda _data: None,
    ) -> IProtocolFactory:
        """
        What makes the connections of one device, counted.

        @param begin: called with the transport of one that is made.
        @param end: called when it is closed.
        @param hear: called with what the gateway says.
        """
        return _Links(self.links, begin, end, hear)

    def door(self, address: str = "") -> IStreamClientEndpoint:
        """
        The way to the target for one device.

        @param address: where to come from, if the target is on loopback.
        """
        assert self._endpoint is not None  # who is behind a device file asks for none
        bound = None
        if address and re.match(r"tcp:(host=)?127\.(?!.*bindAddress)", self.target):
            bound = _endpoint(self.reactor, f"{self.target}:bindAddress={address}")
        return _Door(self, self._endpoint, bound)


class _Links(Factory):
    """
    See L{Fleet.link}.

    @ivar links: those of the whole fleet that are open.
    """

    noisy = False

    def __init__(
        self,
        links: set[Protocol],
        begin: Callable[[Any], None],
        end: Callable[[], None],
        hear: Callable[[bytes], object],
    ) -> None:
        self.links = links
        self.begin = begin
        self.end = end
        self.hear = hear

    def buildProtocol(self, addr: object) -> "_Link":
        """
        One more connection.
        """
        return _Link(self)


class _Link(Protocol):
    """
    One connection.
    """

    def __init__(self, links: _Links) -> None:
        self._links = links

    def connectionMade(self) -> None:
        """
        It is open.
        """
        self._links.links.add(self)
        self._links.begin(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """
        The gateway says something.
        """
        self._links.hear(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        It is closed.
        """
        self._links.links.discard(self)
        self._links.end()


@implementer(IStreamClientEndpoint)
class _Door:
    """
    An endpoint whose failures are counted.

    @param bound: the same with an address of our own to come from; where that cannot be had,
        C{plain} will do.
    """

    def __init__(
        self, fleet: Fleet, plain: IStreamClientEndpoint, bound: IStreamClientEndpoint | None
    ) -> None:
        self._fleet = fleet
        self._plain = plain
        self._bound = bound

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """
        See L{IStreamClientEndpoint.connect}.
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: Any) -> Any:
        try:
            if self._bound is not None:
                try:
                    return await self._bound.connect(factory)
                except ConnectBindError:
                    pass
            return await self._plain.connect(factory)
        except (CancelledError, ConnectingCancelledError):
            raise
        except Exception as error:
            self._fleet.refused += 1
            self._fleet.why = str(error)
            raise


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


def _endpoint(reactor: Any, target: str) -> IStreamClientEndpoint:
    """
    The endpoint that a string means.

    @raise ValueError: if it means none.
    """
    port = re.match(r"(?:tcp|ssl|tls):[^:]+:(?:port=)?(\d+)(?::|$)", target)
    try:
        if port and not 1 <= int(port[1]) <= 65535:
            raise ValueError(f"{port[1]} is no port")
        endpoint: IStreamClientEndpoint = clientFromString(reactor, target)
    except (ValueError, TypeError, LookupError, OSError) as error:
        raise ValueError(
            f'"{target}" is no endpoint ({error}); write e.g. "tcp:127.0.0.1:1234"'
        ) from error
    return endpoint

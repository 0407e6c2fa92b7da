"""
The connections of one port: who is let in, who has to wait, who was silent for too long.
"""

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from random import sample
from typing import Any

from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import LoopingCall

from sensord.listeners import PortSettings
from sensord.notations import Network
from sensord.protocols.inlet import Inlet
from sensord.protocols.stream import Refusal, StreamProtocol
from sensord.wire import Parser

#: How often the idle time is looked at while it passes: a silent peer is disconnected after
#: one idle time and a quarter at the latest. One look at all connections is far cheaper than
#: a timer for each.
_LOOKS = 4

#: Seconds by which those that have just brought something go on after the others, when all had to
#: wait: the next thing that these have sent is read in that time.
_MOMENT = 0.01


class PortFactory(ServerFactory):
    """
    The connections of one listener.

    @param parser: makes the parser of a connection.
    @param inlet: where what comes in is decoded and stored.
    @ivar clock: measures the idle time, and how long a link takes to close.
    @param protocol: makes a connection, given this factory, its host and its parser.
    @ivar held: whether devices have to wait just now.
    @ivar refused: connections that were not let in.
    """

    noisy = False

    def __init__(
        self,
        settings: PortSettings,
        parser: Callable[[], Parser[Any]],
        inlet: Inlet,
        clock: Any,
        protocol: Callable[["PortFactory", str, Any], StreamProtocol] = StreamProtocol,
    ) -> None:
        self.inlet = inlet
        self.clock = clock
        self.connections: set[StreamProtocol] = set()
        self.held = False
        self.refused = 0
        self._parser = parser
        self._protocol = protocol
        self._limit(settings)
        self._relenting: IDelayedCall | None = None
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def doStart(self) -> None:
        """
        A port was opened.
        """
        super().doStart()
        if self._timeout and not self._looking.running:
            self._looking.start(self._timeout / _LOOKS, now=False)

    def revise(self, settings: PortSettings) -> None:
        """
        Go on with other limits. Who is in stays in.
        """
        before = self._timeout
        self._limit(settings)
        if self._timeout != before and self._looking.running:
            self._looking.stop()
        if self._timeout and not self._looking.running and self.numPorts:
            self._looking.start(self._timeout / _LOOKS, now=False)

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """
        Let a peer in, or not.
        """
        peer = host(addr)
        return self._protocol(self, peer, self._parser()) if self._admits(peer) else Refusal()

    def take(self, host: str, data: bytes) -> None:
        """
        Take in all that a peer had to say, which has hung up since and expects no answer.
        """
        peer = _plain(host)
        if self._admits(peer):
            parser = self._parser()
            if events := [*parser.feed(data), *parser.close()]:
                self.inlet.account.add(self.inlet.decode(peer, events))

    def refuse(self, host: str, why: str) -> None:
        """
        Count a peer that is not let in.
        """
        self.refused += 1
        self.inlet.warn("refused", host, "{name}: {host} is refused: {why}", host=host, why=why)

    def hold(self, held: bool) -> None:
        """
        Let all devices wait, or go on.
        """
        if held != self.held:
            self.held = held
            # Those that go on first may fill the store again before the others have their turn:
            # always the same ones, if the order were always the same.
            links = sample(tuple(self.connections), len(self.connections))
            if not held:
                self._favor(links)
            for link in links:
                link.steer()

    def end(self) -> None:
        """
        Finish with all peers, each after its answers.
        """
        if self._looking.running:
            self._looking.stop()
        if self._relenting is not None:
            self._relenting.cancel()
            self._relenting = None
        for connection in tuple(self.connections):
            connection.end()

    def abort(self) -> None:
        """
        Cut all links that are left.
        """
        for connection in tuple(self.connections):
            connection.transport.abortConnection()

    def _limit(self, settings: PortSettings) -> None:
        self._most = settings.max_connections
        self._networks = settings.networks
        self._timeout = settings.idle_timeout

    def _favor(self, links: Sequence[StreamProtocol]) -> None:
        """
        Let those that have brought something since the last time go on a moment after the others.
        """
        for link in links:
            link.late, link.heard = link.heard, False
        late = [link for link in links if link.late]
        if late and self._relenting is None:
            self._relenting = self.clock.callLater(_MOMENT, self._relent)

    def _relent(self) -> None:
        self._relenting = None
        for link in tuple(self.connections):
            if link.late:
                link.late = False
                link.steer()

    def _look(self) -> None:
        """
        Disconnect those that were silent for too long. Those that have to wait cannot speak.
        """
        if self.held:
            return
        for connection in tuple(self.connections):
            connection.quiet += 1
            if connection.quiet > _LOOKS:
                self.inlet.warn(
                    "idle",
                    connection.host,
                    "{name}: {host} is disconnected: no frame in {timeout:g} s",
                    host=connection.host,
                    timeout=self._timeout,
                )
                connection.transport.abortConnection()

    def _admits(self, host: str) -> bool:
        """
        Whether a peer is let in; one that is not is counted.
        """
        if len(self.connections) >= self._most:
            why = f"there are {self._most} connections already"
        elif not allowed(host, self._networks):
            why = "its network is not allowed"
        else:
            return True
        self.refuse(host, why)
        return False


def allowed(host: str, networks: Sequence[Network]) -> bool:
    """
    Whether a peer is in one of the networks; if there are none, everybody is.
    """
    if not networks:
        return True
    try:
        address = ip_address(host)
    except ValueError:  # a peer without a network, on a UNIX socket
        return False
    return any(address in network for network in networks)


def host(addr: IAddress | None) -> str:
    """
    The host part of a peer's address.
    """
    found: str | None = getattr(addr, "host", None)
    return "local" if found is None else _plain(found)


def _plain(host: str) -> str:
    """
    A host as people know it. An IPv4 peer of an IPv6 port is the IPv4 host that it is.
    """
    return host.removeprefix("::ffff:").partition("%")[0] if ":" in host else host

"""
All links with the clients of one socket, so that they can be limited and ended.
"""

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress
from twisted.internet.task import deferLater
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.server import Site

from sensord.web.settings import loopback

#: Links at a time, unless it is said otherwise. Without a limit, a program that connects and says
#: nothing would take up all files that the daemon can open, and devices would be refused.
MAX_LINKS = 100

#: The part of all links that one machine may have, and how many it may have in any case. Without
#: it, one that keeps connecting would keep all others from the page. Behind a proxy on this machine
#: all clients look the same.
_SHARE, _LEAST = 4, 10

#: Seconds that clients have for taking their last answers, and how often in a second it looks
#: whether they did.
_GRACE, _LOOKS = 1.0, 20


class Links(WrappingFactory):
    """
    The links.

    @ivar limit: how many there may be.
    """

    noisy = False

    def __init__(self, site: Site, limit: int = MAX_LINKS) -> None:
        super().__init__(site)
        self.limit = limit
        self._hosts: dict[str, int] = {}

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """
        Let a client in, or not.
        """
        if len(self.protocols) >= self.limit:
            return None
        host = _far(addr)
        if host and self._hosts.get(host, 0) >= max(_LEAST, self.limit // _SHARE):
            return None
        return super().buildProtocol(addr)

    def registerProtocol(self, p: ProtocolWrapper) -> None:
        """
        A client is there.
        """
        super().registerProtocol(p)
        if host := _far(p.getPeer()):
            self._hosts[host] = self._hosts.get(host, 0) + 1

    def unregisterProtocol(self, p: ProtocolWrapper) -> None:
        """
        It is gone.
        """
        super().unregisterProtocol(p)
        if host := _far(p.getPeer()):
            self._hosts[host] -= 1
            if not self._hosts[host]:
                del self._hosts[host]

    async def close(self, clock: Any) -> None:
        """
        Close each link as soon as all is written, and cut those that take too long.
        """
        for link in tuple(self.protocols):
            link.loseConnection()
        for _ in range(int(_GRACE * _LOOKS)):
            if not self.protocols:
                return
            await deferLater(clock, 1 / _LOOKS, lambda: None)
        for link in tuple(self.protocols):
            link.abortConnection()


def _far(address: IAddress | None) -> str:
    """
    The machine that an address is on; empty for this one.
    """
    if not isinstance(address, IPv4Address | IPv6Address) or loopback(address.host):
        return ""
    return address.host

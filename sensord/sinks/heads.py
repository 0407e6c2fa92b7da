"""
Connections to servers whose answers have to begin within bounds: Twisted reads heads, and the words
before them that say that there will be an answer, for as long as they come.
"""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.client import URI, BrowserLikePolicyForHTTPS
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

#: How many bytes may come before the body of an answer. Without a limit, a server that sends heads
#: without end would fill the memory in seconds.
MOST = 65_536


class Gauge:
    """
    How much has come of what there may be before a body.
    """

    def __init__(self) -> None:
        self._left: int | None = None

    def begin(self) -> None:
        """
        An answer is expected.
        """
        self._left = MOST

    def end(self) -> None:
        """
        Its head has come.
        """
        self._left = None

    def exceeded(self, count: int) -> bool:
        """
        Whether so many bytes more are too many, if there still is no body.
        """
        if self._left is None:
            return False
        self._left -= count
        return self._left < 0


class _Link(ProtocolWrapper):
    """
    One connection.
    """

    factory: "_Links"

    def dataReceived(self, data: bytes) -> None:
        """
        Something has come.
        """
        super().dataReceived(data)
        if self.factory.gauge.exceeded(len(data)):
            self.abortConnection()


class _Links(WrappingFactory):
    """
    Makes them.
    """

    noisy = False
    protocol = _Link

    def __init__(self, factory: Any, gauge: Gauge) -> None:
        super().__init__(factory)
        self.gauge = gauge


@implementer(IStreamClientEndpoint)
class _Bounded:
    """
    Where a server is.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, gauge: Gauge) -> None:
        self._endpoint = endpoint
        self._gauge = gauge

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See L{IStreamClientEndpoint.connect}.
        """
        connecting: Deferred[Any] = self._endpoint.connect(_Links(protocolFactory, self._gauge))
        return connecting.addCallback(lambda link: link.wrappedProtocol)


@implementer(IAgentEndpointFactory)
class Endpoints:
    """
    Where servers are, by their URLs.

    @param timeout: seconds that a connection may take to come about.
    """

    def __init__(self, reactor: Any, gauge: Gauge, timeout: float) -> None:
        self._reactor = reactor
        self._gauge = gauge
        self._timeout = timeout
        self._policy = BrowserLikePolicyForHTTPS()

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """
        See L{IAgentEndpointFactory.endpointForURI}.
        """
        endpoint: Any = HostnameEndpoint(self._reactor, uri.host, uri.port, timeout=self._timeout)
        if uri.scheme == b"https":
            endpoint = wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), endpoint)
        return _Bounded(endpoint, self._gauge)

"""
Endpoints that are not always there: a serial port may be absent, or unplugged.
"""

from collections import deque
from typing import Any

from twisted.application.internet import backoffPolicy
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

#: Seconds between attempts to open a port: at first, and at most. Some chance is added to each.
_RETRY_FIRST, _RETRY_MOST = 0.5, 10.0

#: Seconds that a port has to stay for the next attempts to be quick again. Opening one starts some
#: devices anew: with a loose plug, which comes and goes, they would never come to anything.
_PROVEN = 30.0

#: How many outages are logged within how many seconds. With a loose plug, the log would fill.
_OUTAGES, _WITHIN = 5, 600.0


@implementer(IStreamClientEndpoint)
class Patience:
    """
    An endpoint that is tried until it is there. L{ClientService} would do that too, but log each
    attempt: here the first failure makes a line, and the success behind it.

    @param endpoint: the one to try.
    @param name: the listener's name.
    @param where: what to call the endpoint.
    """

    _log = Logger()

    def __init__(
        self, reactor: Any, endpoint: IStreamClientEndpoint, name: str, where: str
    ) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._name = name
        self._where = where
        self._policy = backoffPolicy(_RETRY_FIRST, _RETRY_MOST, 2.0)
        self._attempts = 0  # that failed since the port was in order for a while
        self._opened = 0.0
        self._said = False  # that it is not there
        self._when: deque[float] = deque(maxlen=_OUTAGES)

    def __repr__(self) -> str:
        return self._where

    def forget(self) -> None:
        """
        Begin anew: whatever is wrong from now on is news.
        """
        self._attempts, self._said = 0, False
        self._when.clear()

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Open it, as soon as that is possible.
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        while True:
            try:
                protocol: IProtocol = await self._endpoint.connect(factory)
            except ConnectError as error:
                pause = self._fail(error.args[0])
                await deferLater(self._reactor, pause, lambda: None)
                continue
            except CancelledError:
                raise
            except Exception:  # a fault of ours
                self._log.failure("{name}: {where}", name=self._name, where=self._where)
                raise
            self._opened = self._reactor.seconds()
            if self._said:
                self._said = False
                self._log.info("{name}: {where} is open", name=self._name, where=self._where)
            return protocol

    def lost(self, attempt: int) -> float:
        """
        The link is gone. This is the retry policy of the L{ClientService}, which has no other
        failures to deal with.

        @return: seconds to wait before it is opened again.
        """
        if self._reactor.seconds() - self._opened >= _PROVEN:
            self._attempts = 0
        return self._fail("it is gone, as if it was unplugged")

    def _fail(self, why: str) -> float:
        """
        Say what happened, unless it is known.

        @return: seconds to wait.
        """
        now = self._reactor.seconds()
        full = len(self._when) == _OUTAGES
        if not (self._said or (full and now - self._when[0] < _WITHIN)):
            self._said = True
            self._when.append(now)
            self._log.error(
                "{name}: {where} cannot be used: {why}; it is tried until it can",
                name=self._name,
                where=self._where,
                why=why,
            )
        self._attempts += 1
        return self._policy(self._attempts - 1)

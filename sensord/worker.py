"""
Where blocking calls run.
"""

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")


class Worker:
    """
    One thread that runs blocking calls, one at a time and in order. It begins with the first call.

    @param reactor: gets what the calls return.
    """

    def __init__(self, reactor: IReactorFromThreads, name: str) -> None:
        self._reactor = reactor
        self._name = name
        self._pool: ThreadPool | None = None

    def start(self) -> None:
        """
        Take calls from now on.
        """
        self._pool = ThreadPool(0, 1, self._name)
        self._pool.start()

    def stop(self) -> None:
        """
        End the thread after the calls that wait for it. This blocks until they are done.
        """
        if self._pool is not None:
            self._pool.stop()
            self._pool = None

    def run(self, call: Callable[[], T]) -> Deferred[T]:
        """
        Run a call on the thread.

        @return: fires with what it returned or raised. If it is cancelled before its turn comes,
            the call is not made: there may be many that nobody waits for any more.
        """
        assert self._pool is not None, "the worker was not started"
        wanted: Deferred[T] = Deferred()

        def turn() -> T:
            if wanted.called:
                raise CancelledError
            return call()

        deferToThreadPool(self._reactor, self._pool, turn).chainDeferred(wanted)
        return wanted

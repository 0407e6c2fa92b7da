"""
Where blocking calls run.
"""

from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")

#: Seconds that the calls may take which are under way at the end. Without a limit, one that hangs,
#: on a share that does not answer say, would keep the process for ever.
PATIENCE = 5.0


class _Pool(ThreadPool):
    """
    A pool that the process does not wait for when it ends.
    """

    threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]


class Worker:
    """
    One thread that runs blocking calls, one at a time and in order. It begins with the first call.

    @param reactor: gets what the calls return.
    """

    _log = Logger()

    def __init__(self, reactor: IReactorFromThreads, name: str) -> None:
        self._reactor = reactor
        self._name = name
        self._pool: ThreadPool | None = None

    def start(self) -> None:
        """
        Take calls from now on.
        """
        self._pool = _Pool(0, 1, self._name)
        self._pool.start()

    def stop(self) -> None:
        """
        End the thread after the calls that wait for it. This blocks until they are done, but not
        for longer than L{PATIENCE}.
        """
        pool, self._pool = self._pool, None
        if pool is not None:
            # It is waited for on a thread of its own, since a pool cannot be told to wait only so
            # long.
            stopping = Thread(target=pool.stop, name=f"{self._name}-stop", daemon=True)
            stopping.start()
            stopping.join(PATIENCE)
            if stopping.is_alive():
                self._log.error("{name}: is left behind, since a call hangs", name=self._name)

    def leave(self) -> None:
        """
        The same, without waiting for it.
        """
        Thread(target=self.stop, name=f"{self._name}-leave", daemon=True).start()

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

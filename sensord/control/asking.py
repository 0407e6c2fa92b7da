"""
Waiting for what a request asks of the rest of the daemon.
"""

import sqlite3
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from sensord.control.query import Fault
from sensord.store.account import NotStored
from sensord.store.schema import StoreError

T = TypeVar("T")

#: What can fail without anybody here having erred.
_TROUBLE = (StoreError, NotStored, sqlite3.Error, OSError)

_log = Logger()


async def answered(asked: Deferred[T]) -> T:
    """
    Wait for an answer from elsewhere.

    @raise Fault: if there is none.
    """
    try:
        return await asked
    except (CancelledError, Fault):  # whoever asked has hung up, or has erred
        raise
    except ValueError as error:
        raise Fault(400, str(error)) from error
    except Exception as error:
        if not isinstance(error, _TROUBLE):
            _log.failure("while asking")
        raise Fault(503, str(error)) from error


def shielded(running: Deferred[T]) -> Deferred[T]:
    """
    What goes on even when whoever waits for it has hung up.
    """
    made: Deferred[T] = Deferred()
    running.addCallbacks(made.callback, made.errback)
    return made

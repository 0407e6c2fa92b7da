"""
The reactor on which trial runs tests, and waiting on it. It is asked for when a test runs, since an
import would install one.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.task import deferLater


def reactor() -> Any:
    """
    The reactor.
    """
    from twisted.internet import reactor

    return reactor


async def pause(seconds: float) -> None:
    """
    Let others do something.
    """
    await deferLater(reactor(), seconds, lambda: None)


async def until(condition: Callable[[], object]) -> None:
    """
    Wait for something that has no event to wait for. The timeout of the test ends it.
    """
    while not condition():
        await pause(0.01)

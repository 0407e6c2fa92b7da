"""
Reading the configuration anew.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred

from sensord.config import ConfigError, Settings
from sensord.control.asking import shielded
from sensord.control.query import Fault, guard, who


class Reloader(Protocol):
    """
    What can read the configuration anew, and let the gateway go on with it.
    """

    @property
    def folder(self) -> Path | None:
        """
        Where descriptions can be saved, each in a file of its own: C{devices.d} beside the
        configuration file. L{None} if there is no such file.
        """

    @property
    def file(self) -> str:
        """
        What the configuration file is called; empty if there is none.
        """

    @property
    def settings(self) -> Settings:
        """
        The configuration that is in effect.
        """

    async def reload(self, who: str) -> Sequence[str]:
        """
        Read it anew, and apply what has changed.

        @return: one line for each change.
        @raise ConfigError: if there is something wrong with it; nothing has changed then.
        """


class Changes(Struct, frozen=True):
    """
    What is not as it was before.
    """

    changes: Sequence[str]


async def reload(request: Any, reloader: Reloader | None) -> Changes:
    """
    Do what a request asks for. It is done even when whoever asked has hung up.

    @raise Fault: if that is not possible.
    """
    guard(request)
    if reloader is None:
        raise Fault(409, "there is no configuration that could be read anew")
    try:
        done = Deferred.fromCoroutine(reloader.reload(who(request)))
        return Changes(await shielded(done))
    except ConfigError as error:
        raise Fault(409, "; ".join(error.faults)) from error

"""
What shows only when settings are put to use. C{--check} looks for it, and so does each start, as
long as there is a terminal to tell it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sensord.config import ConfigError, Settings
from sensord.control.client import where
from sensord.control.service import unfit
from sensord.endpoints import endpoint, key, named
from sensord.wires import RadioSettings, SerialSettings

#: How hosts are called that mean all of this machine's, by IPv4 and by both.
_ANY, _ALL = "0.0.0.0", "::"


class Spot(NamedTuple):
    """
    What only one can have.

    @ivar kind: C{tcp}, or the kind of a file.
    @ivar host: empty for a file.
    @ivar port: or the path of the file.
    """

    kind: str
    host: str
    port: str

    def meets(self, other: "Spot") -> bool:
        """
        Whether one of two who want these does not get it.
        """
        if (self.kind, self.port) != (other.kind, other.port):
            return False
        hosts = self.host, other.host
        if _ANY in hosts:
            return _ALL in hosts or not any(":" in host for host in hosts)
        return self.host == other.host or _ALL in hosts


def faults(reactor: Any, settings: Settings) -> list[str]:
    """
    All that is wrong, a line for each: endpoint strings that are none, ports that are given twice,
    a control socket that no system takes, a manhole without keys, hubs that could not run.
    """
    found: list[str] = []
    for text, name in named(settings):
        try:
            endpoint(reactor, text, name)
        except ConfigError as error:
            found += error.faults
    found += _clashes(settings)
    socket = where(settings)
    if socket is not None and (why := unfit(socket)):
        found.append(f"[control] socket: {settings.control.socket!r}: {why}")
    if settings.manhole is not None:
        from sensord.manhole.keys import examine  # it takes long to import

        manhole = settings.manhole
        found += examine(Path(manhole.authorized_keys), Path(manhole.host_key))
    if settings.hubs is not None:
        from sensord.hubs.plan import faults as unfitting

        found += unfitting(settings)
    return found


def spot(text: str) -> Spot | None:
    """
    Where an endpoint string listens; L{None} if that is not to be seen, or if the system chooses.
    """
    kind, *parts = [re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\):", text)]
    given = dict(part.split("=", 1) for part in parts if "=" in part)
    bare = [part for part in parts if "=" not in part]
    first = bare[0] if bare else ""
    if kind == "unix":
        path = given.get("address", first)
        return Spot(kind, "", path) if path else None
    if kind not in ("tcp", "tcp6", "ssl"):
        return None
    port = given.get("port", first)
    host = bare[1] if kind == "tcp" and len(bare) > 1 else ""
    host = given.get("interface", host) or (_ALL if kind == "tcp6" else _ANY)
    if not port.isdecimal() or int(port) == 0:
        return None
    return Spot("tcp", "127.0.0.1" if host == "localhost" else host, str(int(port)))


def _clashes(settings: Settings) -> Iterator[str]:
    """
    What is given to two.
    """
    taken: list[tuple[Spot, str]] = []
    for text, name, wanted in _wanted(settings):
        for other, owner in taken:
            if wanted.meets(other):
                yield f'{name}: "{text}" is given to {owner} already'
                break
        else:
            taken.append((wanted, name))


def _wanted(settings: Settings) -> Iterator[tuple[str, str, Spot]]:
    for text, name in named(settings):
        if wanted := spot(text):
            yield text, name, wanted
    for listener in settings.listeners:
        if isinstance(listener, RadioSettings | SerialSettings):
            yield listener.port, key(listener, "port"), Spot("serial", "", listener.port)

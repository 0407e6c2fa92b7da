"""
Ports by their endpoint strings: what is wrong with one is told in one line that names the setting.
"""

import errno
import os
import re
from collections.abc import Iterator
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import AdoptedStreamServerEndpoint, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.python.failure import Failure

from sensord.config import ConfigError, Settings
from sensord.inherited import Inherited
from sensord.listeners import DoorSettings, ListenerSettings
from sensord.wires import RadioSettings

#: Connections that may wait to be accepted, unless the string says so itself. Twisted has 50; when
#: more devices than that wake up in one moment, or come back after a restart, the others have to
#: try again after a whole second, which costs those with batteries.
_BACKLOG = 1024

#: How faults call the endpoint strings of the doors for operators.
MANHOLE, WEB = "[manhole] listen", "[web] listen"


class PortError(CannotListenError):
    """
    A port that cannot be opened; one line says whose it is.
    """

    def __init__(self, key: str, error: CannotListenError) -> None:
        super().__init__(error.interface, error.port, error.socketError)
        self._key = key

    def __str__(self) -> str:
        port = self.port if isinstance(self.port, int) else os.fsdecode(self.port)
        host = f" on {self.interface}" if self.interface else ""
        error = self.socketError
        why = getattr(error, "strerror", None) or error
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        said = "is taken" if taken else "cannot be opened"
        return f"{self._key}: port {port}{host} {said} ({why})"


def named(settings: Settings) -> Iterator[tuple[str, str]]:
    """
    The endpoint strings of a configuration, each with the table and the key that it stands at.
    """
    for listener in settings.listeners:
        if isinstance(listener, DoorSettings) and listener.listen:
            yield listener.listen, key(listener, "listen")
        if isinstance(listener, RadioSettings) and listener.repeater:
            yield listener.repeater, key(listener, "repeater")
    if settings.manhole is not None:
        yield settings.manhole.listen, MANHOLE
    if settings.web is not None:
        yield settings.web.listen, WEB


def key(listener: ListenerSettings, name: str) -> str:
    """
    How faults call a key of a listener.
    """
    return f'[[listeners]] "{listener.name}" {name}'


def endpoint(reactor: Any, text: str, key: str) -> IStreamServerEndpoint:
    """
    The endpoint that a string means.

    @param text: a Twisted server endpoint string.
    @param key: the table and the key that it stands at, for what is wrong with it.
    @raise ConfigError: if it means none, or if a certificate that it names cannot be read.
    """
    try:
        port = re.match(r"(?:tcp[46]?|ssl):(?:port=)?(\d+)", text)
        if port and int(port[1]) > 65535:  # which would show only when it is opened
            raise ValueError(f"{port[1]} is no port")
        if text.startswith("stdio:"):
            raise ValueError("nobody comes by the terminal")
        waiting = f":backlog={_BACKLOG}" if port and "backlog=" not in text else ""
        made: IStreamServerEndpoint = serverFromString(reactor, text + waiting)
        if isinstance(made, AdoptedStreamServerEndpoint):
            made = Inherited(reactor, made.fileno, made.addressFamily)
    except Exception as error:  # each kind of endpoint raises what it likes
        if text.startswith("systemd:") and isinstance(error, LookupError):
            error = LookupError("systemd has passed no such socket")
        raise _fault(text, key, error) from error
    return made


def listen(reactor: Any, text: str, key: str, factory: IProtocolFactory) -> IListeningPort:
    """
    Open a port at once.

    @raise ConfigError: see L{endpoint}.
    @raise PortError: if it is taken.
    """
    ports: list[IListeningPort] = []
    failures: list[Failure] = []
    endpoint(reactor, text, key).listen(factory).addCallbacks(ports.append, failures.append)
    if failures and isinstance(error := failures[0].value, CannotListenError):
        raise PortError(key, error) from error
    if failures:  # a name that no system takes
        raise _fault(text, key, failures[0].value)
    return ports[0]


def place(address: IAddress | None, kind: str = "tcp") -> str:
    """
    An address as people write it.

    @param kind: what it is the port of, where that does not show: C{tcp} or C{tls}.
    """
    if isinstance(address, IPv4Address | IPv6Address):
        host = f"[{address.host}]" if ":" in address.host else address.host
        return f"{kind} {host}:{address.port}"
    if isinstance(address, UNIXAddress):
        return f"unix {os.fsdecode(address.name or b'')}"
    return str(address)


def _fault(text: str, key: str, error: BaseException | None) -> ConfigError:
    why = str(error) or type(error).__name__
    return ConfigError([f'{key}: "{text}" is no endpoint: {why}'])

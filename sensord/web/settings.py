"""
What can be configured of the page.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Annotated

from msgspec import Meta, Struct

from sensord.settings import Secret, oneOf, twice, wrong
from sensord.web import passwords

#: What somebody may do: look, or also change something.
VIEWER, OPERATOR = "viewer", "operator"

#: What a name in C{hosts} may be: a name or an address, and a port if it is not the usual one.
_HOST = re.compile(r"(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


class UserSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Somebody who may see the page.

    @ivar name: what they log in with, and by which it is logged what somebody does; without spaces
        and colons.
    @ivar password: a hash of it, as C{sensord passwd} makes it.
    @ivar role: C{viewer} or C{operator}.
    """

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    password: Secret
    role: str = VIEWER

    @staticmethod
    def called(name: str) -> bool:
        """
        Whether somebody can be called so. What shows a name with a password to us writes a colon
        between them.
        """
        return ":" not in name and " " not in name and name.isprintable()

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        if not self.called(self.name):
            yield "name: has spaces, a colon or something invisible in it"
        yield from wrong("password", passwords.parse, self.password.text)
        yield from oneOf("role", self.role, (VIEWER, OPERATOR))


class WebSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    C{[web]}: the page, and the control API beside it.

    @ivar listen: a Twisted endpoint string.
    @ivar users: who may log in. Without any, whoever is on this machine may do all, and nobody else
        can reach it.
    @ivar hosts: names by which browsers may call it beside those of this machine, as a proxy in
        front of it has them.
    @ivar max_connections: connections at a time; more are refused at once.
    """

    listen: str = "tcp:8080:interface=127.0.0.1"
    users: tuple[UserSettings, ...] = ()
    hosts: tuple[str, ...] = ()
    max_connections: Annotated[int, Meta(ge=1, le=100_000)] = 200

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        if not self.users and exposed(self.listen):
            yield f'listen: "{self.listen}" is {EXPOSED}'
        for name in twice(user.name for user in self.users):
            yield f'[[users]] "{name}" name: is used twice'
        for host in self.hosts:
            if not _HOST.fullmatch(host.lower()):
                yield f'hosts: "{host}" is no name of a host; write e.g. "sensors.example.org"'


#: Why nobody is let in.
EXPOSED = "reached from other machines, which needs users: `sensord passwd` makes a password"


def near(text: str) -> bool:
    """
    Whether only this machine reaches what listens by an endpoint string, as far as it says so.
    """
    kind, *parts = [re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\):", text)]
    given = dict(part.split("=", 1) for part in parts if "=" in part)
    if kind == "unix" or (kind == "systemd" and given.get("domain") == "UNIX"):
        return True
    bare = [part for part in parts if "=" not in part]
    if kind not in ("tcp", "tcp6", "ssl"):
        return False
    second = bare[1] if kind != "ssl" and len(bare) > 1 else ""
    host = given.get("interface", second)
    return host == "localhost" or loopback(host)


def exposed(text: str) -> bool:
    """
    Whether other machines reach the page that listens by an endpoint string. Of a socket that
    systemd has opened only the start can tell.
    """
    return not near(text) and not text.startswith("systemd:")


def loopback(host: str) -> bool:
    """
    Whether an address is one of this machine that no other reaches.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback

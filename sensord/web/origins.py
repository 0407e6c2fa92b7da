"""
Where a request comes from, as far as a browser tells: whether it is our own page that asks, or one
from elsewhere in the same browser.

Two things are kept out. A foreign page can have a browser send us requests, with our cookies if the
browser sees it so; it cannot keep the browser from saying whose page it is. And a foreign page can
have its own name lead to this machine, so that the browser takes us for that page's server; but
then the browser calls us by that name.
"""

import re
from collections.abc import Iterable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from sensord.control.query import Fault
from sensord.web.settings import loopback

#: The methods that change nothing.
SAFE = (b"GET", b"HEAD", b"OPTIONS")

#: The ports that nobody writes.
_USUAL = {"http": "80", "https": "443"}

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:/?#@\s]+)(?::([0-9]{1,5}))?")


class Origins:
    """
    The names that we have.

    @param hosts: further ones, maybe with a port.
    """

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._names = frozenset(_split(host)[0] for host in self._hosts)

    def called(self, request: Any, own: str = "") -> None:
        """
        Check that a browser calls us by a name that leads to us by itself.

        @param own: the address on which we listen.
        @raise Fault: if it does not.
        """
        host = self._said(request)
        if not host:  # no browser then
            return
        name = _split(host)[0]
        bare = name.strip("[]")
        known = name in self._names or bare in ("localhost", own) or loopback(bare)
        if not known:
            raise Fault(421, f'nobody here is called "{name}"; see [web] hosts')

    def asked(self, request: Any, links: bool = True) -> None:
        """
        Check that it is no foreign page that asks.

        @param links: whether one may have a link to what is asked for, since asking changes
            nothing.
        @raise Fault: if it is one.
        """
        site = (request.getHeader(b"sec-fetch-site") or b"").strip().lower()
        if site not in (b"", b"none", b"same-origin"):
            # Somebody follows a link to us.
            link = links and request.getHeader(b"sec-fetch-dest") == b"document"
            if not (link and request.method in SAFE):
                raise Fault(403, "this is asked by a page from elsewhere")
        for origin in request.requestHeaders.getRawHeaders(b"origin", []):
            said = origin.decode("latin-1").strip().lower()
            # Some browsers do not tell whose page it is, since that must not be told elsewhere.
            if said != "null" or site != b"same-origin":
                self._compare(said, self._said(request))

    def _compare(self, origin: str, host: str) -> None:
        scheme, _, place = origin.partition("://")
        usual = _USUAL.get(scheme)
        if usual is not None and place:
            name, port = _split(place)
            ours = {host, *self._hosts} - {""}
            if (name, port or usual) in {(one[0], one[1] or usual) for one in map(_split, ours)}:
                return
        raise Fault(
            403,
            f'the page that asks this comes from "{origin[:100]}", and this is "{host[:100]}";'
            " see [web] hosts, if that is the proxy in front of it",
        )

    def _said(self, request: Any) -> str:
        """
        What the client calls us.

        @raise Fault: if it does not say it clearly.
        """
        said = request.requestHeaders.getRawHeaders(b"host", [])
        host = said[0].decode("latin-1").strip().lower() if said else ""
        if len(said) > 1 or (host and not _HOST.fullmatch(host)):
            raise Fault(400, "the field Host is none")
        return host


def local(address: object) -> bool:
    """
    Whether only this machine reaches one of our addresses.
    """
    if isinstance(address, UNIXAddress):
        return True
    return isinstance(address, IPv4Address | IPv6Address) and loopback(address.host)


def _split(host: str) -> tuple[str, str]:
    """
    A name and a port; both may be empty.
    """
    found = _HOST.fullmatch(host)
    return (found[1], found[2] or "") if found else ("", "")

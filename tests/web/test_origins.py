"""
Tests for L{sensord.web.origins}.
"""

from typing import Any

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from sensord.control.query import Fault
from sensord.web.origins import Origins
from tests.support import PROPERTY


class Request:
    """
    The part of a request that is looked at.
    """

    def __init__(self, fields: dict[str, list[bytes]], method: bytes = b"GET") -> None:
        made = [(name.encode(), values) for name, values in fields.items()]
        self.requestHeaders = Headers(dict(made))
        self.method = method

    def getHeader(self, name: bytes) -> bytes | None:
        """
        See C{twisted.web.http.Request}.
        """
        values = self.requestHeaders.getRawHeaders(name)
        return values[-1] if values else None


class OriginTests(SynchronousTestCase):
    """
    Where requests come from.
    """

    origins = Origins(["sensors.example.org", "Gate:8443"])

    def status(self, check: Any, *arguments: object) -> int:
        """
        The status with which something is refused; 0 is not.
        """
        try:
            check(*arguments)
        except Fault as fault:
            return fault.status
        return 0

    def called(self, *hosts: str, own: str = "") -> int:
        """
        Whether we may be called so.
        """
        fields = {"host": [host.encode() for host in hosts]} if hosts else {}
        return self.status(self.origins.called, Request(fields), own)

    def asked(self, method: str = "POST", host: str = "localhost:8080", **more: str) -> int:
        """
        Whether a page may ask.
        """
        fields = {name.replace("_", "-"): [value.encode()] for name, value in more.items()}
        if host:
            fields["host"] = [host.encode()]
        return self.status(self.origins.asked, Request(fields, method.encode()))

    def test_called(self) -> None:
        """
        Names that always lead to this machine are ours, and those that are configured.
        """
        for host in (
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:8080",
            "127.1.2.3",
            "[::1]:8080",
            "[::1]",
            "sensors.example.org",
            "Sensors.Example.Org:444",
            "gate:8443",
            "gate",
        ):
            self.assertEqual(self.called(host), 0, host)
        self.assertEqual(self.called(), 0)
        self.assertEqual(self.called("192.168.1.2:8080", own="192.168.1.2"), 0)
        self.assertEqual(self.called("[fe80::1]:8080", own="fe80::1"), 0)

    def test_rebound(self) -> None:
        """
        Any other name may be one that a foreign page leads here.
        """
        for host in (
            "evil.example.com",
            "evil.example.com:8080",
            "localhost.evil.example.com",
            "127.0.0.1.evil.example.com",
            "192.168.1.2:8080",
            "0.0.0.0:8080",
            "2130706433",
            "0x7f.1",
        ):
            self.assertEqual(self.called(host), 421, host)

    def test_unclear(self) -> None:
        """
        What is no name, or are two, is refused as such.
        """
        for hosts in (
            ("localhost", "evil.example.com"),
            ("localhost/evil",),
            ("evil@localhost",),
            ("localhost:port",),
            ("local host",),
            ("[::1",),
            ("a:1:2",),
        ):
            self.assertEqual(self.called(*hosts), 400, hosts)

    def test_asked(self) -> None:
        """
        Our own page may ask, and what is no page.
        """
        self.assertEqual(self.asked(), 0)
        self.assertEqual(self.asked(host=""), 0)
        self.assertEqual(self.asked(origin="http://localhost:8080"), 0)
        self.assertEqual(self.asked(origin="http://LOCALHOST:8080"), 0)
        self.assertEqual(self.asked(host="gate.lan", origin="http://gate.lan"), 0)
        self.assertEqual(self.asked(host="gate.lan:443", origin="https://gate.lan"), 0)
        self.assertEqual(self.asked(host="gate.lan", origin="https://gate.lan:443"), 0)
        self.assertEqual(self.asked(host="[::1]:8080", origin="http://[::1]:8080"), 0)
        for site in ("same-origin", "none"):
            self.assertEqual(self.asked(sec_fetch_site=site), 0)
        self.assertEqual(self.asked(origin="null", sec_fetch_site="same-origin"), 0)

    def test_proxy(self) -> None:
        """
        So may the page under a name that a proxy in front of us has.
        """
        self.assertEqual(self.asked(origin="https://sensors.example.org"), 0)
        self.assertEqual(self.asked(origin="https://gate:8443"), 0)
        self.assertEqual(self.asked(origin="https://gate"), 403)
        self.assertEqual(self.asked(origin="https://sensors.example.org:9000"), 403)

    def test_foreign(self) -> None:
        """
        A foreign page may not, be it from this machine and another port.
        """
        for origin in (
            "http://evil.example.com",
            "http://localhost",
            "http://localhost:8081",
            "https://localhost",
            "http://127.0.0.1:8080",
            "http://localhost:8080.evil.example.com",
            "http://evil@localhost:8080",
            "null",
            "",
            "localhost:8080",
            "file://",
            "chrome-extension://localhost:8080",
            "http://",
            "http://localhost:8080 http://evil.example.com",
        ):
            for method in ("POST", "GET"):
                self.assertEqual(self.asked(method, origin=origin), 403, origin)
        self.assertEqual(self.asked(host="", origin="http://"), 403)
        self.assertEqual(self.asked(host="", origin="http://evil.example.com"), 403)

    def test_site(self) -> None:
        """
        A browser tells whose page asks even where it names no origin. Who follows a link may look.
        """
        for site in ("cross-site", "same-site", "Cross-Site", "nonsense"):
            for method in ("GET", "POST"):
                self.assertEqual(self.asked(method, sec_fetch_site=site), 403)
            for kind, status in (("document", 0), ("iframe", 403), ("image", 403), ("empty", 403)):
                found = self.asked("GET", sec_fetch_site=site, sec_fetch_dest=kind)
                self.assertEqual(found, status, kind)
            self.assertEqual(
                self.asked("POST", sec_fetch_site=site, sec_fetch_dest="document"), 403
            )
        self.assertEqual(self.asked(origin="null", sec_fetch_site="cross-site"), 403)

    @PROPERTY
    @given(
        strategies.lists(strategies.binary(max_size=40), max_size=2),
        strategies.lists(strategies.binary(max_size=40), max_size=2),
        strategies.binary(max_size=20),
    )
    def test_anything(self, hosts: list[bytes], origins: list[bytes], site: bytes) -> None:
        """
        Whatever stands in these fields is either taken or refused with a reason.
        """
        request = Request({"host": hosts, "origin": origins, "sec-fetch-site": [site]}, b"POST")
        self.assertIn(self.status(self.origins.asked, request), (0, 400, 403))
        self.assertIn(self.status(self.origins.called, request), (0, 400, 421))

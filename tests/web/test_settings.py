"""
Tests for L{sensord.web.settings}.
"""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from sensord.config import ConfigError, dump, parse
from sensord.hubs.plan import own, plan
from sensord.web.settings import WebSettings, loopback, near
from tests.web.support import HASH


def user(name: str = "anna", **more: object) -> dict[str, object]:
    """
    The table of a user.
    """
    return {"name": name, "password": HASH, **more}


class SettingsTests(SynchronousTestCase):
    """
    What C{[web]} may say.
    """

    def faults(self, **table: Any) -> list[str]:
        """
        What is wrong with a table.
        """
        error: ConfigError = self.assertRaises(ConfigError, parse, {"web": table})
        return [fault.removeprefix("settings: [web] ") for fault in error.faults]

    def test_default(self) -> None:
        """
        A file without the table has no page; an empty table is a page on loopback.
        """
        self.assertIsNone(parse({}).web)
        self.assertEqual(parse({"web": {}}).web, WebSettings())

    def test_exposed(self) -> None:
        """
        A page that other machines reach needs users.
        """
        for listen in (
            "tcp:8080",
            "tcp:8080:interface=",
            "tcp:8080:interface=0.0.0.0",
            "tcp:8080:interface=192.168.1.2",
            r"tcp6:8080:interface=\:\:",
            "tcp6:8080",
            "ssl:8443:privateKey=key.pem",
            "haproxy:tcp:8080:interface=127.0.0.1",
            "tcp:8080:interface=localhost.example.org",
        ):
            [fault] = self.faults(listen=listen)
            self.assertTrue(fault.startswith(f'listen: "{listen}" is reached from other'), fault)
            parse({"web": {"listen": listen, "users": [user()]}})

    def test_near(self) -> None:
        """
        One that only this machine reaches needs none.
        """
        for listen in (
            "tcp:8080:interface=127.0.0.1",
            "tcp:8080:127.0.0.1",
            "tcp:8080:interface=127.1.2.3",
            "tcp:8080:interface=localhost",
            r"tcp:8080:interface=\:\:1",
            r"tcp6:8080:\:\:1",
            "ssl:8443:privateKey=key.pem:interface=127.0.0.1",
            "unix:/run/sensord/web.sock",
            "unix:/run/sensord/web.sock:mode=660",
            "systemd:domain=UNIX:index=0",
        ):
            self.assertTrue(near(listen), listen)
            parse({"web": {"listen": listen}})

    def test_systemd(self) -> None:
        """
        Of a socket that systemd opens only the start can tell.
        """
        listen = "systemd:domain=INET:index=0"
        self.assertFalse(near(listen))
        parse({"web": {"listen": listen}})

    def test_hubs(self) -> None:
        """
        Hubs have no pages.
        """
        settings = parse({"web": {}, "hubs": {"broker": "tcp:localhost"}})
        quota = settings.hubs.quota("acme") if settings.hubs is not None else None
        assert quota is not None
        self.assertIsNone(plan(settings, "acme", "h1", quota).web)
        self.assertIsNotNone(own(settings).web)

    def test_loopback(self) -> None:
        """
        Addresses of this machine are known in all their forms; names are none.
        """
        for host in ("127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1"):
            self.assertTrue(loopback(host), host)
        for host in ("", "localhost", "0.0.0.0", "::", "128.0.0.1", "127.1", "::ffff:1.2.3.4"):
            self.assertFalse(loopback(host), host)

    def test_users(self) -> None:
        """
        What is wrong with users is named, and no password is shown.
        """
        self.assertEqual(
            self.faults(users=[user(), user(), user("otto", password="hunter2", role="admin")]),
            [
                '[[users]] "otto" password: is no hash of a password; `sensord passwd` makes one',
                '[[users]] "otto" role: "admin" is not one of viewer, operator',
                '[[users]] "anna" name: is used twice',
            ],
        )
        for name in ("a b", "a:b", "a\n", "\x7f", "\u200b"):
            [fault] = self.faults(users=[user(name)])
            self.assertTrue(fault.endswith("has spaces, a colon or something invisible in it"))
        for name in ("", "a" * 65):
            self.assertEqual(len(self.faults(users=[user(name)])), 1)
        parse({"web": {"users": [user("Jürgen"), user("anna@example.org")]}})

    def test_hosts(self) -> None:
        """
        Names of hosts may have a port, and nothing else.
        """
        parse({"web": {"hosts": ["sensors.example.org", "Gate:8443", "[fe80::1]:80", "10.0.0.1"]}})
        for host in ("", "https://example.org", "a b", "example.org/", "*", "a:b", "a:123456"):
            [fault] = self.faults(hosts=[host])
            self.assertTrue(fault.startswith(f'hosts: "{host}" is no name'), fault)

    def test_hidden(self) -> None:
        """
        Passwords are not among the settings shown.
        """
        text = dump(parse({"web": {"users": [user()]}}))
        self.assertIn("(hidden)", text)
        self.assertNotIn(HASH, text)

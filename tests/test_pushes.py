"""
Tests for L{sensord.pushes}.
"""

from collections.abc import Iterable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from sensord.config import ConfigError, Settings, dump, parse
from sensord.pushes import PushSettings
from sensord.settings import Secret
from sensord.wires import WIRES

OPEN = "is reached from other machines, which needs a token"


class PushTests(SynchronousTestCase):
    """
    Settings of listeners to which devices push.
    """

    def faults(self, *listeners: dict[str, Any], **tables: Any) -> Iterable[str]:
        """
        What is wrong with some listeners.
        """
        rows = [{"name": f"p{n}", "wire": "http", **one} for n, one in enumerate(listeners)]
        try:
            parse({"listeners": rows, **tables})
        except ConfigError as error:
            return [fault.removeprefix("settings: [[listeners]] ") for fault in error.faults]
        return []

    def parsed(self, **keys: Any) -> PushSettings:
        """
        The settings of one.
        """
        made = parse({"listeners": [{"name": "push", "wire": "http", **keys}]})
        [settings] = made.listeners
        assert isinstance(settings, PushSettings)
        return settings

    def test_defaults(self) -> None:
        """
        It needs to know where to listen, and nothing else.
        """
        settings = self.parsed(listen="tcp:8086:interface=127.0.0.1")
        expected = PushSettings("push", "http", "tcp:8086:interface=127.0.0.1")
        self.assertEqual((settings, settings.mounted), (expected, False))
        self.assertEqual(settings.device_tags, ("device", "host", "node", "source"))
        self.assertIs(WIRES["http"].settings, PushSettings)
        self.assertEqual(self.faults({}), ['"p0" listen: is missing'])

    def test_token(self) -> None:
        """
        Others reach it only with a token; on a socket of this machine it needs none.
        """
        for listen in ("tcp:8086", "tcp:8086:interface=192.168.1.1", "ssl:8086:certKey=x"):
            self.assertEqual(self.faults({"listen": listen}), [f'"p0" listen: "{listen}" {OPEN}'])
            self.assertEqual(self.faults({"listen": listen, "token": "x"}), [])
        for listen in ("tcp:8086:interface=127.0.0.1", "tcp:1:interface=localhost", "unix:push"):
            self.assertEqual(self.faults({"listen": listen}), [])
        why = '"p0" token: has spaces around it, or something invisible in it'
        for token in (" x", "x\n", "x\0y"):
            self.assertEqual(self.faults({"listen": "unix:push", "token": token}), [why])

    def test_secret(self) -> None:
        """
        The token is not shown.
        """
        settings = Settings(listeners=(PushSettings("p", "http", "unix:x", token=Secret("open!")),))
        self.assertNotIn("open!", dump(settings))
        self.assertNotIn("open!", repr(settings))

    def test_mounted(self) -> None:
        """
        On the port of the page there may be one, if there is a page; it is as open as that.
        """
        page: dict[str, Any] = {"web": {"listen": "tcp:8080:interface=127.0.0.1"}}
        self.assertEqual(self.faults({"listen": ""}, **page), [])
        self.assertEqual(
            self.faults({"listen": ""}),
            ['"p0" listen: is empty, which is the port of the page, and there is no [web]'],
        )
        self.assertEqual(
            self.faults({"listen": ""}, {"listen": ""}, **page),
            ['"p1" listen: "p0" is on the port of the page already'],
        )
        hash = "scrypt:2:1:1:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
        page["web"] = {"listen": "tcp:8080", "users": [{"name": "anna", "password": hash}]}
        self.assertEqual(self.faults({"listen": "", "token": "x"}, **page), [])
        self.assertEqual(
            self.faults({"listen": ""}, **page),
            [f'"p0" listen: the port of the page, "tcp:8080", {OPEN}'],
        )

    def test_tags(self) -> None:
        """
        Tags have names, and each is named once.
        """
        self.assertEqual(
            self.faults({"listen": "unix:x", "device_tags": ["a", "", "a"], "ignore_tags": [""]}),
            [
                '"p0" device_tags: one of them has no name',
                '"p0" device_tags: "a" is named twice',
                '"p0" ignore_tags: one of them has no name',
            ],
        )
        self.assertEqual(self.parsed(listen="unix:x", device_tags=[]).device_tags, ())

    def test_limits(self) -> None:
        """
        Bodies have some limit, and not a senseless one.
        """
        for key, value in (("max_body", 1023), ("max_body", 2**26 + 1), ("max_devices", 0)):
            [fault] = self.faults({"listen": "unix:x", key: value})
            self.assertIn(f'"p0" {key}: expected', fault)

    def test_devices(self) -> None:
        """
        A device may be called as it calls itself, slashes and all.
        """
        listener = {"name": "push", "wire": "http", "listen": "unix:x"}
        for id, good in (("kitchen", True), ("a/b c", True), ("a\nb", False), ("x" * 190, True)):
            table = {"listeners": [listener], "devices": [{"address": f"push/{id}"}]}
            if good:
                parse(table)
            else:
                self.assertRaises(ConfigError, parse, table)
        white: dict[str, Any] = {"address": "push/a", "whitening": True}
        self.assertRaises(ConfigError, parse, {"listeners": [listener], "devices": [white]})

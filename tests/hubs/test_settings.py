"""
Tests for L{sensord.hubs.settings}.
"""

import tomllib
from math import inf

from twisted.trial.unittest import SynchronousTestCase

from sensord.config import ConfigError, Settings, dump, parse
from sensord.hubs.settings import Quota

FULL = """
listeners = []

[hubs]
broker = "tls:broker.example:8883"
user = "sensord"
password = "secret"
ca = "ca.pem"
cert = "cert.pem"
key = "key.pem"
client_id = "north"
keepalive = 30
version = "3.1.1"
folder = "customers"
max_hubs = 3
max_memory = 100
max_rate = 50
max_devices = 10
crashes = 5
within = "1h"

[[hubs.groups]]
name = "acme"
max_hubs = 7
max_memory = 300
max_rate = 0
max_devices = 99

[[hubs.groups]]
name = "bolt"
"""


class HubsSettingsTests(SynchronousTestCase):
    """
    C{[hubs]}.
    """

    def faults(self, text: str) -> list[str]:
        """
        What is wrong with a configuration.
        """
        error = self.assertRaises(ConfigError, parse, tomllib.loads(text))
        return [fault.removeprefix("settings: ") for fault in error.faults]

    def test_full(self) -> None:
        """
        Every key is understood; a group has the quotas of all unless it has its own.
        """
        hubs = parse(tomllib.loads(FULL)).hubs
        assert hubs is not None
        self.assertEqual(hubs.quota("acme"), Quota(7, 300, 0, 99))
        self.assertEqual(hubs.quota("bolt"), Quota(3, 100, 50, 10))
        self.assertEqual((hubs.crashes, hubs.period), (5, 3600))

    def test_defaults(self) -> None:
        """
        Without settings there is a manager; without the table there is none.
        """
        hubs = parse(tomllib.loads("[hubs]")).hubs
        assert hubs is not None
        self.assertEqual(hubs.quota("any"), Quota(20, 256, 1000, 1000))
        self.assertIsNone(Settings().hubs)

    def test_listed(self) -> None:
        """
        If groups are listed, there are no others.
        """
        hubs = parse(tomllib.loads(FULL)).hubs
        assert hubs is not None
        self.assertIsNone(hubs.quota("other"))

    def test_forever(self) -> None:
        """
        The time within which crashes count can be all of it.
        """
        hubs = parse(tomllib.loads('[hubs]\nwithin = "forever"')).hubs
        assert hubs is not None
        self.assertEqual(hubs.period, inf)

    def test_faults(self) -> None:
        """
        What is wrong is named.
        """
        self.assertEqual(
            self.faults(
                "[hubs]\nmax_hub = 3\n"
                '[[hubs.groups]]\nname = "../x"\n[[hubs.groups]]\nname = "b"\nmax_memory = 0\n'
            ),
            [
                '[hubs] max_hub: unknown key; did you mean "max_hubs"?',
                "[hubs] [[groups]] \"../x\" name: '../x' is no id of a group: at most 64 letters,"
                " digits, _, - and ., the first of which is no dot",
                '[hubs] [[groups]] "b" max_memory: expected `int` >= 1',
            ],
        )

    def test_between(self) -> None:
        """
        So is what is wrong between keys.
        """
        self.assertEqual(
            self.faults(
                '[hubs]\nwithin = "soon"\npassword = "x"\n'
                '[[hubs.groups]]\nname = "a"\n[[hubs.groups]]\nname = "a"\n'
            ),
            [
                "[hubs] user: is missing; there is a password",
                '[hubs] within: "soon" is no time span; write e.g. "90d", "12h" or "forever"',
                '[hubs] [[groups]] "a" name: is used twice',
            ],
        )

    def test_devices(self) -> None:
        """
        The devices of hubs can be described, though no listener has the name of their hub.
        """
        table = '[[devices]]\naddress = "{}"\n'
        parse(tomllib.loads("[hubs]\n" + table.format("h1/d1") + table.format("h2/d1")))
        self.assertEqual(
            self.faults(table.format("h1/d1")),
            ['[[devices]] "h1/d1" address: there is no listener "h1"'],
        )
        self.assertEqual(
            self.faults("[hubs]\n" + table.format("h1/d1/x") + table.format("h 1/d1")),
            [
                '[[devices]] "h1/d1/x" address: "d1/x" is not of the form <device>',
                "[[devices]] \"h 1/d1\" address: 'h 1' is no id of a hub: at most 64 letters,"
                " digits, _, - and ., the first of which is no dot",
            ],
        )

    def test_dumped(self) -> None:
        """
        They are shown, but for the password, and what is shown is understood.
        """
        settings = parse(tomllib.loads(FULL))
        shown = dump(settings)
        self.assertNotIn("secret", shown)
        self.assertEqual(parse(tomllib.loads(dump(settings, revealed=True))), settings)
        again = parse(tomllib.loads(shown)).hubs
        assert again is not None and settings.hubs is not None
        self.assertEqual(again.groups, settings.hubs.groups)

"""
Tests for L{sensord.brokers}.
"""

from msgspec import Struct
from twisted.trial.unittest import SynchronousTestCase

from sensord.brokers import BrokerSettings, Place, place
from sensord.settings import Secret


class PlaceTests(SynchronousTestCase):
    """
    Where a broker is.
    """

    def test_said(self) -> None:
        """
        A broker is a name or a number, and a port if it is another than usual.
        """
        for text, expected in (
            ("tcp:localhost:1884", Place("tcp", "localhost", 1884)),
            ("tcp:broker.example.org", Place("tcp", "broker.example.org", 1883)),
            ("tls:192.168.1.7", Place("tls", "192.168.1.7", 8883)),
            ("tls:[fe80::1]:8884", Place("tls", "fe80::1", 8884)),
        ):
            self.assertEqual(place(text), expected)

    def test_none(self) -> None:
        """
        Anything else is no broker, and the operator is told how one is written.
        """
        for text in ("", "localhost", "udp:localhost:1883", "tcp:", "tcp:a b", "tcp:fe80::1"):
            error = self.assertRaises(ValueError, place, text)
            self.assertEqual(str(error), f'"{text}" is no broker; write e.g. "tcp:localhost:1883"')
        for port in ("0", "65536"):
            error = self.assertRaises(ValueError, place, f"tcp:localhost:{port}")
            self.assertEqual(str(error), f"{port} is no port")


class BrokerSettingsTests(SynchronousTestCase):
    """
    What is wrong with settings.
    """

    def test_faults(self) -> None:
        """
        Settings that do not fit together are told by their keys.
        """
        for settings, faults in (
            (BrokerSettings(), []),
            (BrokerSettings("tls:a", "me", Secret("x"), "ca.pem", "me.pem", "me.key"), []),
            (BrokerSettings("a"), ['broker: "a" is no broker; write e.g. "tcp:localhost:1883"']),
            (BrokerSettings(version="4"), ['version: "4" is not one of 3.1.1, 5']),
            (BrokerSettings(ca="a"), ["ca, cert: are for brokers that begin with tls:"]),
            (
                BrokerSettings("tls:a", cert="a"),
                ["cert, key: neither is of use without the other"],
            ),
            (BrokerSettings(password=Secret("a")), ["user: is missing; there is a password"]),
        ):
            self.assertEqual(list(settings.faults()), faults)

    def test_of(self) -> None:
        """
        They are taken from a table that has other settings as well.
        """

        class Other(Struct):
            prefix = "sensord"
            broker = "tls:a"
            user = "me"
            password = Secret("x")
            ca = cert = key = client_id = ""
            keepalive = 10
            version = "5"

        self.assertEqual(
            BrokerSettings.of(Other()),
            BrokerSettings("tls:a", "me", Secret("x"), keepalive=10, version="5"),
        )

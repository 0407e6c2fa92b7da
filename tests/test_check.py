"""
Tests for L{sensord.check}.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.ssh.keys import Key
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from sensord.check import faults, spot
from sensord.config import DEFAULTS, parse
from sensord.demo import SETTINGS


def listener(name: str, listen: str, **more: object) -> dict[str, object]:
    """
    A table of a listener.
    """
    return {"name": name, "wire": "poe", "listen": listen, **more}


class CheckTests(SynchronousTestCase):
    """
    What shows only when settings are put to use.
    """

    def setUp(self) -> None:
        """
        A folder with a key.
        """
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.authorized = self.folder / "authorized_keys"
        key = Key(Ed25519PrivateKey.generate()).public().toString("openssh")
        self.write(key + b"\n")

    def write(self, data: bytes) -> None:
        """
        Write the keys that open the manhole.
        """
        self.authorized.write_bytes(data)
        self.authorized.chmod(0o600)

    def found(self, *listeners: Mapping[str, object], **tables: Any) -> list[str]:
        """
        What is wrong.
        """
        return faults(MemoryReactorClock(), parse({"listeners": list(listeners), **tables}))

    def test_hubs(self) -> None:
        """
        A folder in which hubs could have no files is found; one that is to be made is not.
        """
        self.assertEqual(self.found(hubs={"folder": str(self.folder / "hubs")}), [])
        why = f"[hubs] folder: {self.authorized}: is no folder"
        self.assertEqual(self.found(hubs={"folder": str(self.authorized)}), [why])

    def manhole(self, **more: str) -> list[str]:
        """
        What is wrong with a manhole, but for what all of its lines begin with.
        """
        files = {"authorized_keys": str(self.authorized), "host_key": str(self.folder / "own")}
        return [line.removeprefix("[manhole] ") for line in self.found(manhole={**files, **more})]

    def test_good(self) -> None:
        """
        The defaults and the demo are good.
        """
        for settings in (DEFAULTS, SETTINGS):
            self.assertEqual(faults(MemoryReactorClock(), settings), [])

    def test_endpoints(self) -> None:
        """
        Strings that are no endpoints are all named.
        """
        radio = {"name": "r", "wire": "rfm2pi", "port": "/dev/x", "repeater": "tcp"}
        found = self.found(listener("a", "tpc:1"), listener("b", "tcp"), radio)
        keys = ['"a" listen: "tpc:1"', '"b" listen: "tcp"', '"r" repeater: "tcp"']
        for line, name in zip(found, keys, strict=True):
            self.assertTrue(line.startswith(f"[[listeners]] {name} is no endpoint: "), line)

    def test_twice(self) -> None:
        """
        A port that is given to two is named, with both: also where one of them wants it on all
        interfaces.
        """
        for one, other in (
            ("tcp:5001", "tcp:5001"),
            ("tcp:5001", "tcp:port=5001:interface=127.0.0.1"),
            ("tcp:5001:127.0.0.1", "tcp:5001:interface=localhost"),
            ("tcp:5001:interface=127.0.0.1", r"tcp:5001:interface=\:\:"),
            (r"tcp:5001:interface=\:\:1", r"tcp:05001:interface=\:\:1"),
            ("unix:/run/one", "unix:address=/run/one"),
        ):
            for first, second in ((one, other), (other, one)):
                self.assertEqual(
                    self.found(listener("a", first), listener("b", second)),
                    [
                        f'[[listeners]] "b" listen: "{second}" is given to'
                        ' [[listeners]] "a" listen already'
                    ],
                )

    def test_apart(self) -> None:
        """
        Ports that differ, are on interfaces that differ, or are the system's choice are good.
        """
        for one, other in (
            ("tcp:5001", "tcp:5002"),
            ("tcp:5001:interface=127.0.0.1", "tcp:5001:interface=127.0.0.2"),
            ("tcp:5001:interface=127.0.0.1", r"tcp:5001:interface=\:\:1"),
            ("tcp:5001", r"tcp:5001:interface=\:\:1"),
            ("tcp:0", "tcp:0"),
            ("unix:/run/one", "unix:/run/other"),
        ):
            self.assertEqual(self.found(listener("a", one), listener("b", other)), [])

    def test_twiceElsewhere(self) -> None:
        """
        Repeaters, the manhole and serial ports count as well.
        """
        radio = {"name": "r", "wire": "rfm2pi", "port": "/dev/x", "repeater": "tcp:5001"}
        serial = {"name": "s", "wire": "serial", "port": "/dev/x"}
        shell = {"authorized_keys": str(self.authorized), "listen": "tcp:5001"}
        self.assertEqual(
            self.found(listener("a", "tcp:5001"), radio, serial, manhole=shell),
            [
                '[[listeners]] "r" repeater: "tcp:5001" is given to [[listeners]] "a" listen'
                " already",
                '[manhole] listen: "tcp:5001" is given to [[listeners]] "a" listen already',
                '[[listeners]] "s" port: "/dev/x" is given to [[listeners]] "r" port already',
            ],
        )

    def test_socket(self) -> None:
        """
        A control socket with a path that is too long for one is named; without one there is none.
        """
        self.assertEqual(
            self.found(control={"socket": "x" * 120}),
            [
                f"[control] socket: '{'x' * 120}': is longer than the 107 bytes that the path of a"
                " socket can have"
            ],
        )
        self.assertEqual(self.found(control={"socket": ""}), [])

    def test_keys(self) -> None:
        """
        The keys of the manhole have to be there, and one has to be good.
        """
        self.assertEqual(self.manhole(), [])
        where = f"authorized_keys: {self.authorized}:"
        self.authorized.chmod(0o622)
        self.assertIn(f"{where} can be changed by others", self.manhole()[0])
        for data, why in ((b"", ""), (b"# nobody\n", ""), (b"x y\n", '; line 1: "x" is no acc')):
            self.write(data)
            [line] = self.manhole()
            self.assertTrue(line.startswith(f"{where} holds no key that can log in{why}"), line)
        self.authorized.unlink()
        self.assertEqual(self.manhole(), [f"{where} No such file or directory"])
        self.assertEqual(
            self.manhole(authorized_keys="x\0"), ["authorized_keys: x\\x00: embedded null byte"]
        )

    def test_hostKey(self) -> None:
        """
        Its own key need not be there, and is not made; one that is there has to be one.
        """
        own = self.folder / "own"
        self.assertEqual((self.manhole(), own.exists()), ([], False))
        own.write_text("x")
        own.chmod(0o600)
        self.assertEqual(
            self.manhole(), [f"host_key: {own}: is no private key; without it, one is made"]
        )
        own.unlink()
        os.symlink("nowhere", own)
        self.assertEqual(self.manhole(), [f"host_key: {own}: No such file or directory"])

    def test_spots(self) -> None:
        """
        Endpoint strings that say nothing of a port are left to those who open them.
        """
        for text in (
            "systemd:domain=INET:index=0",
            "tcp",
            "tcp:x",
            "tcp:port=",
            "",
            "unix:",
            "ssl:",
        ):
            self.assertIsNone(spot(text), text)
        self.assertEqual(spot("ssl:5001:privateKey=key.pem"), ("tcp", "0.0.0.0", "5001"))
        self.assertEqual(spot("tcp6:5001"), ("tcp", "::", "5001"))

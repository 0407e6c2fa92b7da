"""
Tests for L{sensord.manhole.keys}.
"""

import os
from base64 import b64encode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, strategies
from twisted.conch.ssh.keys import Key
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import ConfigError
from sensord.manhole.keys import AuthorizedKeys, fingerprint, hostKey, parse
from tests.support import PROPERTY


def line(key: Key) -> bytes:
    """
    A key as it stands in C{authorized_keys}.
    """
    text: bytes = key.public().toString("openssh")
    return text


def modern() -> Key:
    """
    A fresh Ed25519 key.
    """
    return Key(Ed25519PrivateKey.generate())


def classic(bits: int) -> Key:
    """
    A fresh RSA key.
    """
    return Key(rsa.generate_private_key(65537, bits))


class HostKeyTests(SynchronousTestCase):
    """
    L{hostKey}.
    """

    def setUp(self) -> None:
        """
        A place for the key.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "manhole_key"

    def refused(self) -> str:
        """
        What is said against the key that is there: one line.
        """
        [fault] = self.assertRaises(ConfigError, hostKey, self.path).faults
        self.assertTrue(fault.startswith(f"[manhole] host_key: {self.path}: "), fault)
        self.assertNotIn("\n", fault)
        return str(fault)

    def test_made(self) -> None:
        """
        Without a key, one is made, in the format of OpenSSH; from then on it stays the same.
        """
        made = hostKey(self.path)
        self.assertEqual((made.type(), made.isPublic()), ("Ed25519", False))
        self.assertTrue(self.path.read_bytes().startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----"))
        self.assertEqual(hostKey(self.path), made)

    def test_secret(self) -> None:
        """
        It is for its owner only, however generous the process is with new files.
        """
        self.addCleanup(os.umask, os.umask(0))
        hostKey(self.path)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_open(self) -> None:
        """
        A key that others can read or write is refused, with what to do about it.
        """
        hostKey(self.path)
        for mode in (0o640, 0o604, 0o620, 0o610):
            self.path.chmod(mode)
            self.assertIn(f"is open to others; try: chmod 600 {self.path}", self.refused())

    def test_broken(self) -> None:
        """
        A file that is no private key is refused, and left as it is.
        """
        whole = modern().toString("openssh")
        for data in (b"", b"\0\xff", whole[:200], b"-----BEGIN", whole.replace(b"A", b"B")):
            self.path.write_bytes(data)
            self.path.chmod(0o600)
            self.assertIn("is no private key", self.refused())
            self.assertEqual(self.path.read_bytes(), data)

    def test_otherKind(self) -> None:
        """
        A public key, a key of another kind and one with a passphrase are refused.
        """
        for data in (
            line(modern()),
            classic(2048).toString("openssh"),
            modern().toString("openssh", passphrase=b"secret"),
        ):
            self.path.write_bytes(data)
            self.path.chmod(0o600)
            self.assertIn("private key", self.refused())

    def test_noFile(self) -> None:
        """
        A folder that is not there, and a folder in place of the file, are named.
        """
        self.path.mkdir(0o700)
        self.assertIn("directory", self.refused())
        self.path = self.path / "nowhere" / "key"
        self.assertIn("No such file", self.refused())


class ParseTests(SynchronousTestCase):
    """
    L{parse}.
    """

    def test_keys(self) -> None:
        """
        Each kind of key that is safe is understood, with and without a comment; empty lines and
        remarks are none.
        """
        keys = [
            modern(),
            classic(2048),
            *(Key(ec.generate_private_key(c())) for c in (ec.SECP256R1, ec.SECP521R1)),
        ]
        text = b"# operators\n\n" + b"".join(b"  %b me@home\r\n" % line(one) for one in keys)
        self.assertEqual(parse(text), ([one.public() for one in keys], []))
        self.assertEqual(parse(line(keys[0]).replace(b" ", b"\t", 1)), ([keys[0].public()], []))

    def test_securityKey(self) -> None:
        """
        A key that is kept in a hardware token is understood.
        """
        kind = b"sk-ssh-ed25519@openssh.com"
        parts = (kind, modern().public().blob()[-32:], b"ssh:")
        blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        [key], faults = parse(kind + b" " + b64encode(blob))
        self.assertEqual((key.sshType(), faults), (kind, []))

    def test_options(self) -> None:
        """
        A line with options is refused: what would restrict the key is not honoured, so the key
        must not get in.
        """
        key = line(modern())
        for options in (b'from="10.0.0.1"', b'command="ls",no-pty', b"restrict", b"cert-authority"):
            keys, faults = parse(b"\n" + options + b" " + key)
            self.assertEqual(keys, [])
            [fault] = faults
            self.assertTrue(fault.startswith("line 2: "), fault)
            self.assertIn("options are not honoured here", fault)

    def test_weak(self) -> None:
        """
        DSA keys and short RSA keys are refused.
        """
        keys, faults = parse(
            line(Key(dsa.generate_private_key(1024))) + b"\n" + line(classic(1024))
        )
        self.assertEqual(keys, [])
        self.assertIn('"ssh-dss" is no accepted kind of key', faults[0])
        self.assertEqual(faults[1], "line 2: an RSA key of 1024 bits; 2048 is the least")

    def test_broken(self) -> None:
        """
        What is no key is refused, and does not harm the lines around it.
        """
        good = modern()
        kind, data = line(modern()).split()[:2]
        for bad in (kind, kind + b" ", kind + b" AAAA", kind + b" " + data[:-9], kind + b" \xff!"):
            keys, faults = parse(b"\n".join([line(good), bad, line(good)]))
            self.assertEqual((len(keys), faults), (2, ["line 2: is no key"]), bad)

    def test_disguised(self) -> None:
        """
        A key that says it is of another kind than it is, is refused.
        """
        text = line(modern()).replace(b"ssh-ed25519", b"ssh-rsa", 1)
        why = "line 1: says ssh-rsa, and holds another kind of key"
        self.assertEqual(parse(text), ([], [why]))

    @given(strategies.binary())
    @example(b"ssh-rsa AAAAB3NzaC1yc2EAAAAA")
    @example(b"ecdsa-sha2-nistp256 AAAA")
    @PROPERTY
    def test_anything(self, data: bytes) -> None:
        """
        Whatever is in the file, it is understood or refused.
        """
        for prefix in (b"", b"ssh-rsa ", b"ecdsa-sha2-nistp256 " + b64encode(data) + b" "):
            self.assertEqual(parse(prefix + data)[0], [])


class AuthorizedKeysTests(SynchronousTestCase):
    """
    L{AuthorizedKeys}.
    """

    def setUp(self) -> None:
        """
        A file with a key.
        """
        self.key = modern()
        self.path = Path(self.mktemp())
        self.write(line(self.key))
        self.clock = Clock()
        self.keys = AuthorizedKeys(self.path, self.clock)

    def write(self, data: bytes) -> None:
        """
        Fill the file.
        """
        self.path.write_bytes(data)
        self.path.chmod(0o644)

    def refused(self) -> str:
        """
        What is said against the file: one line.
        """
        [fault] = self.assertRaises(ConfigError, self.keys.check).faults
        self.assertTrue(fault.startswith(f"[manhole] authorized_keys: {self.path}: "), fault)
        self.assertNotIn("\n", fault)
        return str(fault)

    def test_good(self) -> None:
        """
        The keys open it under any name.
        """
        self.assertEqual(self.keys.check(), 1)
        for name in (b"", b"root", b"\xff"):
            self.assertEqual(self.keys.getAuthorizedKeys(name), [self.key.public()])

    def test_edited(self) -> None:
        """
        Who is struck off or added is so at the next login.
        """
        other = modern()
        self.write(line(other))
        self.assertEqual(self.keys.getAuthorizedKeys(b""), [other.public()])

    def test_none(self) -> None:
        """
        A file without a key that can log in is refused, with what is wrong with its lines.
        """
        self.write(b"# nobody yet\n")
        self.assertIn("holds no key that can log in", self.refused())
        self.write(b"restrict " + line(self.key))
        self.assertIn('no key that can log in; line 1: "restrict" is no', self.refused())

    def test_missing(self) -> None:
        """
        Without the file there is no way in.
        """
        self.path.unlink()
        self.assertIn("No such file or directory", self.refused())

    def test_writable(self) -> None:
        """
        A file to which others could add their keys is refused, with what to do about it.
        """
        for mode in (0o664, 0o646):
            self.path.chmod(mode)
            self.assertIn("can be changed by others; try: chmod go-w", self.refused())

    def test_some(self) -> None:
        """
        A line that gives no key is logged, and the others count.
        """
        self.write(b'from="10.0.0.1" ' + line(modern()) + b"\n" + line(self.key))
        with capturedLogs() as events:
            self.assertEqual(self.keys.check(), 1)
        [text] = [formatEvent(event) for event in events]
        self.assertIn("line 1: ", text)

    def test_lost(self) -> None:
        """
        When the file gets lost or loose while the gateway runs, nobody gets in; the log says so,
        but not at each attempt.
        """
        self.path.chmod(0o666)
        with capturedLogs() as events:
            for _attempt in range(5):
                self.assertEqual(self.keys.getAuthorizedKeys(b""), [])
            self.path.unlink()
            self.assertEqual(self.keys.getAuthorizedKeys(b""), [])
        [text] = [formatEvent(event) for event in events]
        self.assertIn("can be changed by others", text)

    def test_broken(self) -> None:
        """
        A line that breaks while the gateway runs is logged, but not at each attempt.
        """
        self.write(b"restrict\n" + line(self.key))
        with capturedLogs() as events:
            for _attempt in range(5):
                self.assertEqual(len(self.keys.getAuthorizedKeys(b"")), 1)
        self.assertEqual(len(events), 1)


class FingerprintTests(SynchronousTestCase):
    """
    L{fingerprint}.
    """

    def test_form(self) -> None:
        """
        It has the form in which OpenSSH shows it.
        """
        self.assertRegex(fingerprint(modern()), r"\ASHA256:[A-Za-z0-9+/]{43}\Z")

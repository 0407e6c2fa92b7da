"""
The keys of the manhole: the one by which it is known, and those that open it.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.conch.checkers import IAuthorizedKeysDB
from twisted.conch.ssh.keys import FingerprintFormats, Key
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from sensord.config import ConfigError
from sensord.rarely import Rarely
from sensord.text import plain

#: The kinds of keys that can open the manhole, as they are called in C{authorized_keys}. DSA is
#: not among them: its keys are too short to be safe.
KINDS = (
    b"ssh-ed25519",
    b"sk-ssh-ed25519@openssh.com",
    b"ecdsa-sha2-nistp256",
    b"ecdsa-sha2-nistp384",
    b"ecdsa-sha2-nistp521",
    b"sk-ecdsa-sha2-nistp256@openssh.com",
    b"ssh-rsa",
)

#: The fewest bits of an RSA key that opens the manhole: shorter ones can be factored.
_LEAST_BITS = 2048

_log = Logger()


def hostKey(path: Path) -> Key:
    """
    The key by which clients know the manhole. Without one, it is made.

    @param path: an Ed25519 key in OpenSSH format, for its owner's eyes only.
    @raise ConfigError: if it can be read by others, is no such key, or cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _load(path)
    except (OSError, ValueError) as error:
        raise _fault("host_key", path, _why(error)) from error
    made = Ed25519PrivateKey.generate()
    try:
        with open(descriptor, "wb") as file:
            file.write(made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink()  # half a key would keep the next start from making a whole one
        raise _fault("host_key", path, error.strerror) from error
    _log.info("manhole: made a host key, {path}", path=path)
    return Key(made)


def _load(path: Path) -> Key:
    """
    Read the host key.

    @raise ConfigError: if it can be read by others, or is no such key.
    """
    data, mode = _read("host_key", path)
    if mode & 0o077:
        raise _fault("host_key", path, f"is open to others; try: chmod 600 {path}")
    try:
        key: Key = Key.fromString(data)
    except Exception as error:  # what is no key fails in as many ways as there are formats
        raise _fault("host_key", path, "is no private key; without it, one is made") from error
    if key.isPublic() or key.type() != "Ed25519":
        raise _fault("host_key", path, "is no Ed25519 private key; without it, one is made")
    return key


def parse(data: bytes) -> tuple[list[Key], list[str]]:
    """
    What an C{authorized_keys} file says.

    A line with options is refused: each of them restricts what a key may do, and none is honoured
    here.

    @return: the keys, and what is wrong with the lines that gave none.
    """
    keys: list[Key] = []
    faults: list[str] = []
    for number, line in enumerate(data.splitlines(), 1):
        line = line.strip()
        if line and not line.startswith(b"#"):
            try:
                keys.append(_parseLine(line))
            except ValueError as error:
                faults.append(f"line {number}: {error}")
    return keys, faults


def _parseLine(line: bytes) -> Key:
    """
    The key in one line.

    @raise ValueError: if there is none that can be accepted.
    """
    kind, *rest = line.split()
    if kind not in KINDS:
        text = kind[:40].decode("ascii", "backslashreplace")
        raise ValueError(f'"{text}" is no accepted kind of key; options are not honoured here')
    try:
        key: Key = Key.fromString(b" ".join([kind, *rest[:1]]), type="public_openssh")
    except Exception as error:  # what is no key fails in as many ways as there are kinds
        raise ValueError("is no key") from error
    if key.sshType() != kind:
        raise ValueError(f"says {kind.decode()}, and holds another kind of key")
    if kind == b"ssh-rsa" and key.size() < _LEAST_BITS:
        raise ValueError(f"an RSA key of {key.size()} bits; {_LEAST_BITS} is the least")
    return key


@implementer(IAuthorizedKeysDB)
class AuthorizedKeys:
    """
    The keys that open the manhole. They are read anew at each login, so that who is struck off
    is kept out at once.

    @param path: the file, in the format of OpenSSH.
    @param clock: see L{Rarely}.
    """

    def __init__(self, path: Path, clock: IReactorTime) -> None:
        self._path = path
        self._rarely = Rarely(_log, clock)

    def check(self) -> int:
        """
        Look at the file, and log what is wrong with its lines.

        @return: how many keys there are.
        @raise ConfigError: if there are none, or if others can add some.
        """
        keys, faults = _authorized(self._path)
        _require(self._path, keys, faults)
        for fault in faults:
            _log.warn("manhole: {path}: {fault}", path=self._path, fault=fault)
        return len(keys)

    def getAuthorizedKeys(self, avatarId: bytes) -> list[Key]:
        """
        See L{IAuthorizedKeysDB}. The keys open the manhole under any name.
        """
        try:
            keys, faults = _authorized(self._path)
        except ConfigError as error:
            self._rarely.warn("unusable", "", "manhole: {error}", error=error)
            return []
        for fault in faults:
            self._rarely.warn(
                "line", fault, "manhole: {path}: {fault}", path=self._path, fault=fault
            )
        return keys


def examine(authorized: Path, host: Path) -> list[str]:
    """
    What would keep the manhole from being opened: a line for each of its files.

    @param authorized: the keys that open it.
    @param host: its own, which need not be there.
    """
    faults: list[str] = []
    try:
        _require(authorized, *_authorized(authorized))
    except ConfigError as error:
        faults += error.faults
    try:
        if os.path.lexists(host):
            _load(host)
    except ConfigError as error:
        faults += error.faults
    return faults


def _authorized(path: Path) -> tuple[list[Key], list[str]]:
    """
    What L{parse} finds in a file.

    @raise ConfigError: if it cannot be read, or if others can write it.
    """
    data, mode = _read("authorized_keys", path)
    if mode & 0o022:
        why = f"can be changed by others; try: chmod go-w {path}"
        raise _fault("authorized_keys", path, why)
    return parse(data)


def _require(path: Path, keys: Sequence[Key], faults: Sequence[str]) -> None:
    """
    @raise ConfigError: if there are no keys, with what is wrong with the lines.
    """
    if not keys:
        why = "; ".join(["holds no key that can log in", *faults])
        raise _fault("authorized_keys", path, why)


def fingerprint(key: Key) -> str:
    """
    The fingerprint of a key, as OpenSSH shows it.
    """
    text: str = key.fingerprint(FingerprintFormats.SHA256_BASE64)
    return f"SHA256:{text.rstrip('=')}"


def _read(setting: str, path: Path) -> tuple[bytes, int]:
    """
    A file, and who may do what with it.

    @raise ConfigError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(), os.fstat(file.fileno()).st_mode
    except (OSError, ValueError) as error:
        raise _fault(setting, path, _why(error)) from error


def _why(error: Exception) -> str:
    """
    What went wrong. Names that no file can have are no errors of the system.
    """
    return getattr(error, "strerror", None) or str(error)


def _fault(setting: str, path: Path, why: str | None) -> ConfigError:
    return ConfigError([f"[manhole] {setting}: {plain(str(path))}: {why}"])

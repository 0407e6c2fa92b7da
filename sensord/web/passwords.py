"""
Passwords as the configuration has them: as hashes, from which nobody can tell what they were made
of.

A hash is C{scrypt:<n>:<r>:<p>:<salt>:<key>}, the parameters of scrypt, and two times Base64. It
says itself how it was made, so that those of tomorrow may cost more than those of today.
"""

import hashlib
import os
import re
import unicodedata
from base64 import b64decode, b64encode
from hmac import compare_digest

from msgspec import Struct

#: What a new hash costs: 16 MB and a fifth of a second on a small server, a second on the smallest.
N, R, P = 2**14, 8, 5

#: What one may cost: whoever logs in waits for it, and the machine has to have the memory.
_MOST_N, _MOST_MEMORY, _MOST_P = 2**20, 2**28, 16

#: The bytes of a salt and of a key.
_SALT, _KEY = 16, 32

#: The most characters of a password. Who sends more does not want to log in.
LONGEST = 1000

_BASE64 = "([A-Za-z0-9+/=]+)"
_SHAPE = re.compile(f"scrypt:([0-9]{{1,7}}):([0-9]{{1,3}}):([0-9]{{1,2}}):{_BASE64}:{_BASE64}")


class Hash(Struct, frozen=True):
    """
    The hash of a password.

    @ivar n: how much work it is, and memory; a power of two.
    @ivar r: how much memory.
    @ivar p: how often that work.
    """

    n: int
    r: int
    p: int
    salt: bytes
    key: bytes

    @property
    def cost(self) -> int:
        """
        How long it takes, compared to others.
        """
        return self.n * self.r * self.p

    def matches(self, password: str) -> bool:
        """
        Whether it is that of a password. This takes as long whether it is or not; it blocks.
        """
        return compare_digest(self._derive(password), self.key)

    def _derive(self, password: str) -> bytes:
        return hashlib.scrypt(
            _plain(password),
            salt=self.salt,
            n=self.n,
            r=self.r,
            p=self.p,
            maxmem=2 * _MOST_MEMORY,
            dklen=len(self.key),
        )

    def __str__(self) -> str:
        salt, key = b64encode(self.salt).decode(), b64encode(self.key).decode()
        return f"scrypt:{self.n}:{self.r}:{self.p}:{salt}:{key}"


def make(password: str, n: int = N, r: int = R, p: int = P) -> Hash:
    """
    A new hash of a password. This blocks.
    """
    empty = Hash(n, r, p, os.urandom(_SALT), bytes(_KEY))
    return Hash(n, r, p, empty.salt, empty._derive(password))


def parse(text: str) -> Hash:
    """
    The hash that a text is.

    @raise ValueError: if it is none. The text is not in it.
    """
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError("is no hash of a password; `sensord passwd` makes one")
    n, r, p = (int(part) for part in found.groups()[:3])
    try:
        salt, key = (b64decode(part, validate=True) for part in found.groups()[3:])
    except ValueError as error:
        raise ValueError("is a hash of which something is missing") from error
    if not (8 <= len(salt) <= 64 and 16 <= len(key) <= 64):
        raise ValueError("is a hash of which something is missing")
    if n < 2 or n & (n - 1) or not (n <= _MOST_N and r and 0 < p <= _MOST_P):
        raise ValueError("is a hash with parameters that scrypt cannot have here")
    if 128 * n * r > _MOST_MEMORY:
        raise ValueError(f"is a hash that takes more than {_MOST_MEMORY >> 20} MB")
    return Hash(n, r, p, salt, key)


def _plain(password: str) -> bytes:
    """
    The bytes of a password. Keyboards differ in how they compose characters.
    """
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace")

"""
Who is logged in. Sessions are in memory: a restart ends them all.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Container
from hashlib import sha256
from typing import Any

from msgspec import Struct

#: Seconds without a request after which a session ends.
LIFE = 12 * 3600.0

#: Sessions at a time. Without a limit, somebody who logs in again and again would fill the memory.
MAX_SESSIONS = 1000

#: The random bytes of a token.
_TOKEN = 32


class User(Struct, frozen=True):
    """
    Who asks.

    @ivar name: L{None} is nobody in particular: there are no users.
    """

    name: str | None
    role: str


class Session:
    """
    One login.

    @ivar user: whose it is.
    """

    def __init__(self, user: User, timer: Any) -> None:
        self.user = user
        self._timer = timer
        self._ends: set[Callable[[], object]] = set()

    def extend(self) -> None:
        """
        It is used.
        """
        self._timer.reset(LIFE)

    def watch(self, end: Callable[[], object]) -> Callable[[], None]:
        """
        Have something end with the session.

        @return: call it when that has ended by itself.
        """
        self._ends.add(end)
        return lambda: self._ends.discard(end)

    def end(self) -> None:
        """
        End it, and all that has to end with it.
        """
        if self._timer.active():
            self._timer.cancel()
        ends, self._ends = self._ends, set()
        for end in ends:
            end()


class Sessions:
    """
    All of them. What is kept of a token is a digest, so that how long it takes to find none tells
    nobody how near it was.

    @param clock: ends those that are not used.
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._sessions: dict[bytes, Session] = {}  # those used last are the last

    def begin(self, user: User) -> str:
        """
        Begin one. If there are too many, the user who has most of them loses the one that was
        used least recently, so that nobody can end those of others.

        @return: its token, which nobody has had before.
        """
        if len(self._sessions) >= MAX_SESSIONS:
            [(name, _count)] = Counter(
                one.user.name for one in self._sessions.values()
            ).most_common(1)
            self._end(next(key for key, one in self._sessions.items() if one.user.name == name))
        token = secrets.token_urlsafe(_TOKEN)
        key = _digest(token)
        self._sessions[key] = Session(user, self._clock.callLater(LIFE, self._end, key))
        return token

    def find(self, token: str) -> Session | None:
        """
        The session of a token, which is used by that; L{None} if there is none.
        """
        key = _digest(token)
        session = self._sessions.pop(key, None)
        if session is not None:
            self._sessions[key] = session
            session.extend()
        return session

    def end(self, token: str) -> None:
        """
        End the session of a token, if there is one.
        """
        self._end(_digest(token))

    def clear(self, kept: Container[str] = ()) -> None:
        """
        End all, but for those of some users.
        """
        for key, session in tuple(self._sessions.items()):
            if session.user.name is None or session.user.name not in kept:
                self._end(key)

    def _end(self, key: bytes) -> None:
        session = self._sessions.pop(key, None)
        if session is not None:
            session.end()


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()

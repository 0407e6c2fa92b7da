"""
Checking who somebody is, by name and password.
"""

import os
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from sensord.control.query import Fault
from sensord.rarely import Rarely
from sensord.web import passwords
from sensord.web.passwords import LONGEST, Hash
from sensord.web.session import User
from sensord.web.settings import UserSettings
from sensord.web.tries import Tries

#: Checks that may wait for their turn; half of them from places where nobody has logged in before.
#: Each takes a good part of a second: without a limit, a flood of them would let everybody wait.
_WAITING = 8

#: Seconds for which a password that was right need not be checked again, for programs that show it
#: with each request; and how many such are remembered.
_KNOWN, _MOST = 300.0, 100

#: Runs what blocks, elsewhere.
Run = Callable[[Callable[[], bool]], Deferred[bool]]


class Limited(Fault):
    """
    Too many have tried.

    @ivar seconds: how long to wait.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(429, f"too many tries to log in; try again in {seconds} s")
        self.seconds = seconds


class Logins:
    """
    Who may log in.

    @param clock: the reactor.
    @param run: runs blocking calls, one at a time.
    """

    _log = Logger()

    def __init__(self, clock: Any, users: Sequence[UserSettings], run: Run) -> None:
        self._clock = clock
        self._run = run
        self._users = {
            user.name: (User(user.name, user.role), passwords.parse(user.password.text))
            for user in users
        }
        self._tries = Tries(clock.seconds)
        self._rarely = Rarely(self._log, clock)
        self._waiting = 0
        self._known: dict[bytes, tuple[float, User]] = {}
        self._secret = os.urandom(32)
        # What is compared for names that nobody has, so that it takes as long as for the others.
        hashes = [hash for _user, hash in self._users.values()]
        costly = max(hashes, key=lambda hash: hash.cost, default=None)
        self._nobody = Hash(
            *((costly.n, costly.r, costly.p) if costly else (2, 1, 1)), os.urandom(16), bytes(32)
        )

    def __bool__(self) -> bool:
        return bool(self._users)

    async def check(self, name: str, password: str, host: str) -> User | None:
        """
        Who has a name and a password.

        @param host: where that is tried from.
        @return: L{None} if nobody has.
        @raise Fault: if it is not looked at, since there were too many tries.
        """
        if wait := self._tries.wait(host):
            raise Limited(wait)
        if self._waiting >= (_WAITING if self._tries.good(host) else _WAITING // 2):
            raise Limited(1)
        known, hash = self._users.get(name, (None, self._nobody))
        self._waiting += 1
        self._tries.begin(host)
        try:
            right = await self._run(lambda: hash.matches(password[:LONGEST]))
        finally:
            self._waiting -= 1
        if known is not None and right and len(password) <= LONGEST:
            self._tries.succeed(host)
            return known
        # Whatever was given as the name may be the password, typed in the wrong place.
        who = known.name if known is not None else "nobody who is known"
        self._rarely.warn(
            "login", host, "web: a wrong login as {who} from {host}", who=who, host=host or "here"
        )
        return None

    async def remembered(self, name: str, password: str, host: str) -> User | None:
        """
        The same for programs, which show the password each time.
        """
        now = self._clock.seconds()
        digest = blake2b(
            f"{name}\0{password}".encode("utf-8", "replace"), key=self._secret
        ).digest()
        until, user = self._known.get(digest, (0.0, None))
        if user is not None and now < until:
            return user
        user = await self.check(name, password, host)
        if user is not None:
            if len(self._known) >= _MOST:
                del self._known[next(iter(self._known))]
            self._known[digest] = self._clock.seconds() + _KNOWN, user
        return user

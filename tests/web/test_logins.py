"""
Tests for L{sensord.web.logins}.
"""

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sensord.control.query import Fault
from sensord.settings import Secret
from sensord.web.logins import Limited, Logins
from sensord.web.passwords import make
from sensord.web.session import User
from sensord.web.settings import OPERATOR, UserSettings
from tests.store.support import Runner
from tests.web.support import ANNA, PASSWORD, VERA

_ANNA = User("anna", OPERATOR)


class LoginTests(SynchronousTestCase):
    """
    Names and passwords.
    """

    def setUp(self) -> None:
        """
        Two users.
        """
        self.clock, self.runner = Clock(), Runner()
        self.logins = Logins(self.clock, [ANNA, VERA], self.runner)

    def check(self, name: str = "anna", password: str = PASSWORD, host: str = "10.0.0.1") -> object:
        """
        Who that is.
        """
        return self.outcome(self.logins.check(name, password, host))

    def remember(self, password: str = PASSWORD, host: str = "10.0.0.1") -> object:
        """
        The same for a program.
        """
        return self.outcome(self.logins.remembered("anna", password, host))

    def outcome(self, asked: Coroutine[Deferred[Any], Any, User | None]) -> object:
        """
        What becomes of asking: a user, or an error.
        """
        made: Deferred[Any] = Deferred.fromCoroutine(asked)
        made.addErrback(lambda failure: failure.value)
        return self.successResultOf(made)

    def later(self, host: str) -> Deferred[User | None]:
        """
        Ask, and wait.
        """
        return Deferred.fromCoroutine(self.logins.check("anna", PASSWORD, host))

    def test_right(self) -> None:
        """
        The right password of a name is its user's, and nobody else's.
        """
        self.assertEqual(self.check(), _ANNA)
        for name, password in (("anna", "wrong"), ("anna", ""), ("otto", PASSWORD), ("", "")):
            self.assertIsNone(self.check(name, password, "10.0.0.2"))

    def test_nobody(self) -> None:
        """
        A name that nobody has takes as much work as one that somebody has.
        """
        costly = UserSettings("otto", Secret(str(make(PASSWORD, 64, 2, 3))))
        logins = Logins(self.clock, [ANNA, costly], self.runner)
        self.assertEqual((logins._nobody.n, logins._nobody.r, logins._nobody.p), (64, 2, 3))
        self.check("nobody", "wrong")
        self.assertEqual(self.runner.calls, 1)

    def test_long(self) -> None:
        """
        A password that is too long is none, however it begins.
        """
        exact = Logins(
            self.clock, [UserSettings("a", Secret(str(make("x" * 1000, 2, 1, 1))))], self.runner
        )
        for length, right in ((1000, True), (1001, False), (60_000, False)):
            user = self.outcome(exact.check("a", "x" * length, ""))
            self.assertEqual(user is not None, right)

    def test_limited(self) -> None:
        """
        Who has tried too often has to wait, even with the right password; it costs no work then.
        """
        for _ in range(10):
            self.assertIsNone(self.check(password="wrong"))
        error = self.check()
        assert isinstance(error, Limited)
        self.assertEqual((error.seconds, self.runner.calls), (30, 10))
        self.assertEqual(error.why, "too many tries to log in; try again in 30 s")
        self.assertEqual(self.check(host="10.0.0.2"), _ANNA)
        self.clock.advance(30)
        self.assertEqual(self.check(), _ANNA)

    def test_atOnce(self) -> None:
        """
        Many tries that come at once are no way around that.
        """
        self.runner.holding = True
        tried = [self.later("10.0.0.1") for _ in range(50)]
        self.assertEqual(self.runner.held, 4)
        for one in tried[4:]:
            self.failureResultOf(one, Limited)
        self.runner.holding = False
        self.runner.release()

    def test_queue(self) -> None:
        """
        So many checks wait at most; there is room for those who come from where somebody has
        logged in before.
        """
        self.assertEqual(self.check(host="10.9.9.9"), _ANNA)
        self.runner.holding = True
        for host in range(4):
            self.assertNoResult(self.later(f"10.0.0.{host}"))
        error: Any = self.failureResultOf(self.later("10.0.1.1"), Limited).value
        self.assertEqual((error.status, error.seconds), (429, 1))
        mine = [self.later("10.9.9.9") for _ in range(4)]
        self.failureResultOf(self.later("10.9.9.9"), Limited)
        for _ in range(8):
            self.runner.release()
        self.assertEqual([self.successResultOf(one) for one in mine], [_ANNA] * 4)

    def test_broken(self) -> None:
        """
        A check that fails by itself lets nobody in, and leaves room for the next.
        """

        def broken(call: object) -> Deferred[bool]:
            raise MemoryError

        self.logins._run = broken
        for _ in range(9):
            self.assertIsInstance(self.check(), MemoryError)
        self.logins._run = self.runner
        self.assertEqual(self.check(), _ANNA)

    def test_remembered(self) -> None:
        """
        The right password of a program is checked once in five minutes; a wrong one each time.
        """
        for _ in range(5):
            self.assertEqual(self.remember(), _ANNA)
        self.assertEqual(self.runner.calls, 1)
        for _ in range(3):
            self.assertIsNone(self.remember("wrong"))
        self.assertEqual(self.runner.calls, 4)
        self.clock.advance(300)
        self.assertEqual(self.remember(), _ANNA)
        self.assertEqual(self.runner.calls, 5)

    def test_rememberedLimited(self) -> None:
        """
        Who guesses by that way has to wait, too; a program with the right password goes on.
        """
        self.assertEqual(self.remember(), _ANNA)
        for number in range(10):
            self.assertIsNone(self.remember(f"wrong {number}"))
        self.assertIsInstance(self.remember("wrong"), Limited)
        self.assertEqual(self.remember(), _ANNA)

    def test_rememberedFew(self) -> None:
        """
        Only so many passwords are remembered, and none of them as it is.
        """
        users = [UserSettings(f"user{number}", ANNA.password) for number in range(150)]
        logins = Logins(self.clock, users, self.runner)
        for user in users:
            self.outcome(logins.remembered(user.name, PASSWORD, ""))
        self.assertEqual(len(logins._known), 100)
        self.assertNotIn(PASSWORD.encode(), b"".join(logins._known))

    def test_logged(self) -> None:
        """
        A wrong login is logged, rarely, and neither with the password nor with a name that nobody
        has: that may be a password, too.
        """
        with capturedLogs() as events:
            for _ in range(3):
                self.check("hunter2", "hunter3")
            self.check("vera", "hunter3", "10.0.0.2")
        lines = [formatEvent(event) or "" for event in events]
        self.assertEqual(
            lines,
            [
                "web: a wrong login as nobody who is known from 10.0.0.1",
                "web: a wrong login as vera from 10.0.0.2",
            ],
        )

    def test_empty(self) -> None:
        """
        Without users there are no logins.
        """
        empty = Logins(self.clock, [], self.runner)
        self.assertFalse(empty)
        self.assertIsNone(self.outcome(empty.check("anna", PASSWORD, "")))
        self.assertTrue(issubclass(Limited, Fault))

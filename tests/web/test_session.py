"""
Tests for L{sensord.web.session}.
"""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sensord.web.session import LIFE, MAX_SESSIONS, Sessions, User
from sensord.web.settings import OPERATOR, VIEWER

_ANNA, _VERA = User("anna", OPERATOR), User("vera", VIEWER)


class SessionTests(SynchronousTestCase):
    """
    Sessions.
    """

    def setUp(self) -> None:
        """
        None so far.
        """
        self.clock = Clock()
        self.sessions = Sessions(self.clock)

    def user(self, token: str) -> User | None:
        """
        Whose session it is.
        """
        session = self.sessions.find(token)
        return session.user if session is not None else None

    def test_found(self) -> None:
        """
        A session is found by its token, and by no other.
        """
        one, other = self.sessions.begin(_ANNA), self.sessions.begin(_VERA)
        self.assertEqual((self.user(one), self.user(other)), (_ANNA, _VERA))
        for token in ("", one[:-1], one + "x", "\ufffd", "x" * 43):
            self.assertIsNone(self.user(token))
        self.assertGreaterEqual(len(one), 43)

    def test_ends(self) -> None:
        """
        One that is ended is gone, with all that was to end with it, once.
        """
        token, ended = self.sessions.begin(_ANNA), list[str]()
        session = self.sessions.find(token)
        assert session is not None
        session.watch(lambda: ended.append("one"))
        session.watch(lambda: ended.append("gone"))()
        self.sessions.end(token)
        self.sessions.end(token)
        self.assertIsNone(self.user(token))
        self.assertEqual(ended, ["one"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_unused(self) -> None:
        """
        One that is not used ends; each use lets it live as long again.
        """
        token = self.sessions.begin(_ANNA)
        for _ in range(3):
            self.clock.advance(LIFE - 1)
            self.assertEqual(self.user(token), _ANNA)
        self.clock.advance(LIFE)
        self.assertIsNone(self.user(token))

    def test_most(self) -> None:
        """
        Who logs in again and again ends the oldest session of those, and nobody else's.
        """
        early = self.sessions.begin(_VERA)
        tokens = [self.sessions.begin(_ANNA) for _ in range(MAX_SESSIONS - 1)]
        self.sessions.find(tokens[0])
        late = self.sessions.begin(_ANNA)
        self.assertEqual(self.user(early), _VERA)
        self.assertEqual(
            [self.user(token) for token in (tokens[0], tokens[1], late)], [_ANNA, None, _ANNA]
        )
        self.assertEqual(len(self.clock.getDelayedCalls()), MAX_SESSIONS)

    def test_clear(self) -> None:
        """
        All can be ended, or all but those of some users.
        """
        one, other = self.sessions.begin(_ANNA), self.sessions.begin(_VERA)
        self.sessions.clear({"vera"})
        self.assertEqual((self.user(one), self.user(other)), (None, _VERA))
        self.sessions.clear()
        self.assertIsNone(self.user(other))
        self.assertEqual(self.clock.getDelayedCalls(), [])

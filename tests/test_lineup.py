"""
Tests for L{sensord.lineup}.
"""

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from sensord.lineup import Lineup


class Player:
    """
    A service that notes what becomes of it.
    """

    def __init__(self, settings: str, notes: list[str]) -> None:
        self.settings = settings
        self.running = 0
        self.stopped: Deferred[None] | None = None
        self._notes = notes

    def startService(self) -> None:
        """
        Begin, unless the settings are bad.
        """
        if "bad" in self.settings:
            raise OSError(f"{self.settings} cannot be")
        self.running = 1
        self._notes.append(f"start {self.settings}")

    def stopService(self) -> Deferred[None] | None:
        """
        End.
        """
        self.running = 0
        self._notes.append(f"stop {self.settings}")
        return self.stopped


class LineupTests(SynchronousTestCase):
    """
    Services that change while they run.
    """

    def setUp(self) -> None:
        """
        Two that run.
        """
        self.notes: list[str] = []
        self.lineup = Lineup(self._make, self._revise, self._dismiss)
        self.lineup.fill({"a": "a1", "b": "b1"})
        for member in self.lineup.members.values():
            member.startService()
        self.notes.clear()

    def _make(self, settings: str) -> Player:
        return Player(settings, self.notes)

    async def _revise(self, player: Player, before: str, after: str) -> bool:
        """
        What is behind a dash can change while it runs.
        """
        if before.partition("-")[0] != after.partition("-")[0]:
            return False
        if before != after:
            self.notes.append(f"revise {before} to {after}")
        return True

    async def _dismiss(self, player: Player) -> None:
        self.notes.append(f"dismiss {player.settings}")

    def change(self, **wanted: str) -> None:
        """
        Ask for other ones.
        """
        self.successResultOf(Deferred.fromCoroutine(self.lineup.change(wanted)))

    def test_same(self) -> None:
        """
        What is as it was goes on, untouched.
        """
        before = dict(self.lineup.members)
        self.change(a="a1", b="b1")
        self.assertEqual(self.notes, [])
        self.assertEqual(self.lineup.members, before)

    def test_changes(self) -> None:
        """
        One is stopped, one made anew, one added, and all stand in the order of the settings, in the
        dictionary that others hold.
        """
        held = self.lineup.members
        self.change(c="c1", b="b2")
        self.assertEqual(
            self.notes,
            ["stop a1", "dismiss a1", "stop b1", "dismiss b1", "start c1", "start b2"],
        )
        self.assertIs(self.lineup.members, held)
        self.assertEqual([*held], ["c", "b"])

    def test_revised(self) -> None:
        """
        What can change while one runs does, and the next comparison is with that.
        """
        self.change(a="a1-x", b="b1")
        self.change(a="a1-x", b="b1")
        self.assertEqual(self.notes, ["revise a1 to a1-x"])

    def test_stopsBeforeStarts(self) -> None:
        """
        Nothing is started before all that goes has stopped: they may swap their ports.
        """
        self.lineup.members["b"].stopped = stopped = Deferred[None]()
        done = Deferred.fromCoroutine(self.lineup.change({"a": "a2", "b": "b2"}))
        self.assertNoResult(done)
        self.assertNotIn("start a2", self.notes)
        stopped.callback(None)
        self.successResultOf(done)
        self.assertEqual(self.notes[-2:], ["start a2", "start b2"])

    def test_restsOn(self) -> None:
        """
        One that somebody has stopped is not started by a change of its settings.
        """
        self.lineup.members["a"].stopService()
        self.change(a="a2", b="b1")
        self.assertFalse(self.lineup.members["a"].running)
        self.assertNotIn("start a2", self.notes)

    def test_cannotStart(self) -> None:
        """
        When one cannot be started the others are, and what there was can be asked for again.
        """
        changed = Deferred.fromCoroutine(self.lineup.change({"a": "bad", "b": "b1", "c": "c1"}))
        self.assertEqual(str(self.failureResultOf(changed, OSError).value), "bad cannot be")
        self.assertTrue(self.lineup.members["c"].running)
        self.change(a="a1", b="b1")
        self.assertEqual([*self.lineup.members], ["a", "b"])
        self.assertTrue(all(member.running for member in self.lineup.members.values()))

    def test_cannotStop(self) -> None:
        """
        One that cannot be stopped properly is logged, and keeps nobody else.
        """
        self.lineup.members["a"].stopped = stopped = Deferred[None]()
        stopped.errback(ValueError("it hangs"))
        self.change(b="b1", c="c1")
        self.assertEqual([*self.lineup.members], ["b", "c"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

"""
Tests for L{sensord.hubs.manager}.
"""

import tomllib
from typing import Any

from msgspec import structs
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent

from sensord import Gateway
from sensord.config import ConfigError, parse
from sensord.hubs import manager as manager_
from sensord.hubs.manager import Manager
from sensord.hubs.refusals import Refusal, Stranger
from tests.hubs.support import MEGA, ManagerTestCase
from tests.test_gateway import InlineWorker


class ActionTests(ManagerTestCase):
    """
    What can be done with hubs.
    """

    def refused(self, manager: Manager, action: str, hub: str, group: str = "") -> str:
        """
        Why something is not done.
        """
        doing = self.doing(manager, action, hub, group)
        why = str(self.failureResultOf(doing, Refusal).value)
        self.assertNotIn("\n", why)
        return why

    def test_start(self) -> None:
        """
        A hub is started in the folder of its group, with a configuration of its own.
        """
        manager = self.launch()
        status = self.do(manager, "start", "h1", "acme")
        self.assertEqual((status.hub, status.group, status.state), ("h1", "acme", "starting"))
        process = self.processes.last
        self.assertEqual(process.folder, str(self.folder / "acme"))
        written = tomllib.loads((self.folder / "acme" / "h1.toml").read_text())
        self.assertEqual(written["listeners"][0]["topic"], "/h1/{device}/data")
        process.started()
        self.assertEqual(manager.status("h1").state, "running")
        self.do(manager, "start", "h1")
        self.do(manager, "start", "h1", "acme")
        self.assertEqual(len(self.processes.all), 1)

    def test_stop(self) -> None:
        """
        A hub is stopped, which harms no other, and started again without naming its group.
        """
        manager = self.launch()
        for hub in ("h1", "h2"):
            self.do(manager, "start", hub, "acme")
        self.assertEqual(self.do(manager, "stop", "h1").state, "stopped")
        self.assertEqual(self.states(manager), {"h1": "stopped", "h2": "starting"})
        self.do(manager, "stop", "h1")
        self.assertEqual(self.do(manager, "start", "h1").state, "starting")
        self.assertEqual(self.processes.running, ["h2.toml", "h1.toml"])

    def test_revised(self) -> None:
        """
        When the settings of the manager change, hubs that run are given theirs anew, and told so.
        One that is being started is told as soon as it runs, and one that rests has them when it
        is started.
        """
        manager = self.launch()
        for hub in ("h1", "h2", "h3"):
            self.do(manager, "start", hub, "acme")
        self.processes.all[0].started()
        self.do(manager, "stop", "h3")
        tagged = structs.replace(self.settings(), tags={"site": "north"})
        self.successResultOf(Deferred.fromCoroutine(manager.revise(tagged)))
        first, second, _third = self.processes.all
        self.assertEqual((first.signals, second.signals), (["HUP"], []))
        self.assertEqual(self.written("h1")["tags"]["site"], "north")
        second.started()
        self.assertEqual(second.signals, ["HUP"])
        self.assertEqual(self.written("h2")["tags"]["site"], "north")
        self.assertNotIn("site", self.written("h3")["tags"])
        self.do(manager, "start", "h3")
        self.processes.last.started()
        self.assertEqual(self.processes.last.signals, [])
        self.assertEqual(self.written("h3")["tags"]["site"], "north")

    def test_revisedElsewhere(self) -> None:
        """
        What hubs are not given does not trouble them.
        """
        manager = self.launch()
        self.do(manager, "start", "h1", "acme")
        self.processes.last.started()
        watched = structs.replace(self.settings(), watch=True)
        self.successResultOf(Deferred.fromCoroutine(manager.revise(watched)))
        self.assertEqual(self.processes.last.signals, [])

    def test_revisedInVain(self) -> None:
        """
        A hub whose configuration cannot be written goes on by the old one.
        """
        manager = self.launch()
        self.do(manager, "start", "h1", "acme")
        self.processes.last.started()
        (self.folder / "acme" / "h1.toml").unlink()
        (self.folder / "acme" / "h1.toml").mkdir()
        with capturedLogs() as captured:
            tagged = structs.replace(self.settings(), tags={"site": "north"})
            self.successResultOf(Deferred.fromCoroutine(manager.revise(tagged)))
        [line] = [formatEvent(event) or "" for event in captured]
        self.assertTrue(line.startswith("acme/h1: goes on as before: "), line)
        self.assertEqual(self.processes.last.signals, [])

    def written(self, hub: str) -> Any:
        """
        How a hub is configured.
        """
        return tomllib.loads((self.folder / "acme" / f"{hub}.toml").read_text())

    def test_restart(self) -> None:
        """
        A restart is a new process, also of a hub that was stopped.
        """
        manager = self.launch()
        self.do(manager, "start", "h1", "acme")
        self.do(manager, "restart", "h1")
        self.assertEqual((len(self.processes.all), len(self.processes.running)), (2, 1))
        self.do(manager, "stop", "h1")
        self.do(manager, "restart", "h1")
        self.assertEqual((len(self.processes.all), len(self.processes.running)), (3, 1))

    def test_order(self) -> None:
        """
        What is asked for one after the other is done so, and nobody else waits for it.
        """
        manager = self.launch()
        self.do(manager, "start", "h1", "acme")
        self.processes.last.stubborn = True
        stopping = self.doing(manager, "stop", "h1")
        starting = self.doing(manager, "start", "h1")
        self.do(manager, "start", "h2", "acme")
        self.assertNoResult(stopping)
        self.assertNoResult(starting)
        self.processes.all[0].end()
        self.assertEqual(self.successResultOf(stopping).hub, "h1")
        self.assertEqual(self.successResultOf(starting).state, "starting")
        self.assertEqual(self.processes.running, ["h2.toml", "h1.toml"])

    def test_noted(self) -> None:
        """
        Nothing is done before it is noted what is wanted, and nothing if that is not possible.
        """
        manager = self.launch()
        self.held = []
        starting = self.doing(manager, "start", "h1", "acme")
        self.assertEqual((self.processes.all, manager.list()), ([], []))
        self.release()
        self.successResultOf(starting)
        (self.folder / "hubs.json.new").mkdir()
        self.assertIn("it cannot be noted", self.refused(manager, "stop", "h1"))
        self.assertIn("it cannot be noted", self.refused(manager, "start", "h2", "acme"))
        self.assertEqual(self.states(manager), {"h1": "starting"})

    def test_forget(self) -> None:
        """
        A hub that is stopped can be forgotten; its files stay.
        """
        manager = self.launch()
        self.do(manager, "start", "h1", "acme")
        self.assertIn("stop it first", self.refused(manager, "forget", "h1"))
        self.do(manager, "stop", "h1")
        self.assertIsNone(self.do(manager, "forget", "h1"))
        self.assertEqual(manager.list(), [])
        self.assertTrue((self.folder / "acme" / "h1.toml").exists())
        self.do(manager, "start", "h1", "bolt")

    def test_forgetStarting(self) -> None:
        """
        A hub that is about to start cannot be forgotten.
        """
        manager = self.launch()
        self.do(manager, "start", "h1", "acme")
        self.processes.last.stubborn = True
        restarting = self.doing(manager, "restart", "h1")
        self.assertIn("stop it first", self.refused(manager, "forget", "h1"))
        self.processes.last.end()
        self.successResultOf(restarting)

    def test_refused(self) -> None:
        """
        What is not possible is refused with the reason.
        """
        manager = self.launch()
        self.do(manager, "start", "h1", "acme")
        for action, hub, group, why in (
            ("start", "h2", "", 'there is no hub h2; the first time, "group" has to be said'),
            ("stop", "h2", "", "there is no hub h2"),
            ("restart", "h2", "acme", "there is no hub h2"),
            ("forget", "h2", "acme", "there is no hub h2"),
            ("start", "h1", "bolt", "hub h1 is of another group"),
            ("stop", "h1", "bolt", "hub h1 is of another group"),
            ("start", "../h2", "acme", "is no id of a hub"),
            ("start", "h2", "..", "is no id of a group"),
            ("start", "h2", "hubs.json", "means something else"),
            ("start", "hub_manager", "acme", "means something else"),
            ("start", "+", "acme", "is no id of a hub"),
            ("start", "", "acme", "a hub has to be named"),
            ("stopp", "h1", "", 'a hub can start, stop, restart or forget; did you mean "stop"?'),
        ):
            self.assertIn(why, self.refused(manager, action, hub, group))
        self.assertEqual(self.processes.running, ["h1.toml"])
        self.assertRaises(Stranger, manager.status, "h2")
        self.assertRaises(Refusal, manager.status, "../h2")

    def test_quota(self) -> None:
        """
        A group has no more hubs than it may, also stopped ones; other groups have theirs.
        """
        manager = self.launch(self.settings(max_hubs=2))
        for hub in ("h1", "h2"):
            self.do(manager, "start", hub, "acme")
        self.do(manager, "stop", "h1")
        self.assertEqual(
            self.refused(manager, "start", "h3", "acme"), "group acme has 2 hubs already"
        )
        self.do(manager, "start", "h1")
        self.do(manager, "start", "h3", "bolt")

    def test_all(self) -> None:
        """
        Nobody can have any number of hubs by thinking of groups.
        """
        self.patch(manager_, "MAX_HUBS", 2)
        manager = self.launch()
        for name in ("a", "b"):
            self.do(manager, "start", name, name)
        self.assertEqual(self.refused(manager, "start", "c", "c"), "there are 2 hubs already")
        self.do(manager, "restart", "b")

    def test_groups(self) -> None:
        """
        If groups are listed, these have the quotas that stand there, and there are no others.
        """
        groups = [{"name": "acme", "max_hubs": 1, "max_memory": 10, "max_rate": 5}]
        manager = self.launch(self.settings(groups=groups))
        self.do(manager, "start", "h1", "acme")
        self.assertIn("has 1 hubs", self.refused(manager, "start", "h2", "acme"))
        why = self.refused(manager, "start", "h2", "acne")
        self.assertEqual(why, 'there is no group acne; did you mean "acme"?')
        written = tomllib.loads((self.folder / "acme" / "h1.toml").read_text())
        self.assertEqual(written["listeners"][0]["max_rate"], 5)
        self.processes.memory[1000] = 11 * MEGA
        self.clock.advance(1)
        self.assertEqual(manager.status("h1").why, "it had 11 MB of memory, and may have 10")

    def test_listener(self) -> None:
        """
        A hub is not called as a listener of the gateway: whose devices would be whose?
        """
        table = {"name": "farm", "wire": "poe", "listen": "tcp:1"}
        hubs = {"folder": str(self.folder)}
        manager = self.launch(parse({"listeners": [table], "hubs": hubs}))
        why = self.refused(manager, "start", "farm", "acme")
        self.assertEqual(why, "a listener of this gateway is called farm")


class ServiceTests(ManagerTestCase):
    """
    How the manager starts and stops.
    """

    def test_survives(self) -> None:
        """
        After a restart of the manager, those run that are wanted to, and the others are known.
        """
        manager = self.launch()
        for hub in ("h1", "h2"):
            self.do(manager, "start", hub, "acme")
        self.do(manager, "stop", "h2")
        self.leave(manager)
        again = self.launch()
        self.assertEqual(self.states(again), {"h1": "starting", "h2": "stopped"})
        self.assertEqual(self.processes.running, ["h1.toml"])
        self.leave(again)
        again.startService()
        self.assertEqual(self.processes.running, ["h1.toml"])

    def test_stop(self) -> None:
        """
        All hubs are stopped at the same time, whatever they are about.
        """
        manager = self.launch()
        for hub in ("h1", "h2", "h3"):
            self.do(manager, "start", hub, "acme")
            self.processes.last.stubborn = hub != "h3"
        self.processes.last.end(signal=9)  # it waits to be started again
        stopped = manager.stopService()
        self.assertEqual([one.signals for one in self.processes.all], [["TERM"], ["TERM"], []])
        self.assertNoResult(stopped)
        self.clock.pump([1] * 15)
        self.assertEqual(self.processes.all[0].signals, ["TERM", "KILL"])
        self.successResultOf(stopped)
        self.assertEqual(set(self.states(manager).values()), {"stopped"})

    def test_late(self) -> None:
        """
        What was asked for when the manager stops begins nothing.
        """
        manager = self.launch()
        self.do(manager, "start", "h1", "acme")
        self.processes.last.stubborn = True
        restarting = self.doing(manager, "restart", "h1")
        stopped = manager.stopService()
        self.processes.last.end()
        self.successResultOf(stopped)
        self.failureResultOf(restarting, Refusal)
        self.failureResultOf(self.doing(manager, "start", "h1"), Refusal)
        self.assertEqual(self.processes.running, [])

    def test_unreadable(self) -> None:
        """
        If it is not to be found out which hubs there are, it does not start: it would forget them.
        """
        self.folder.mkdir(parents=True)
        (self.folder / "hubs.json").write_text("{", encoding="utf-8")
        manager = self.make()
        self.assertRaises(ConfigError, manager.startService)
        self.assertFalse(manager.running)

    def test_misfits(self) -> None:
        """
        Hubs that the configuration does not allow any more have failed, with the reason; they are
        not started before that has changed.
        """
        manager = self.launch()
        for hub, group in (("h1", "acme"), ("h2", "acme"), ("h3", "bolt"), ("h4", "bolt")):
            self.do(manager, "start", hub, group)
        self.do(manager, "stop", "h4")
        self.leave(manager)
        again = self.launch(self.settings(groups=[{"name": "acme", "max_hubs": 1}]))
        failed = {one.hub: one.why for one in again.list() if one.state == "failed"}
        self.assertEqual(
            failed, {"h2": "group acme has 1 hubs already", "h3": "there is no group bolt"}
        )
        self.assertEqual(self.processes.running, ["h1.toml"])
        self.failureResultOf(self.doing(again, "start", "h3"), Refusal)
        self.do(again, "stop", "h3")
        self.do(again, "forget", "h3")
        self.leave(again)
        self.assertEqual(
            self.states(self.launch()), {"h1": "starting", "h2": "starting", "h4": "stopped"}
        )


class GatewayTests(ManagerTestCase):
    """
    The manager as a part of a gateway.
    """

    def test_part(self) -> None:
        """
        It starts and stops with its gateway, whose own devices are not those of hubs.
        """
        reactor: Any = MemoryReactorClock()
        self.folder.mkdir(parents=True)
        settings = {
            "store": {"path": str(self.folder / "own.sqlite")},
            "listeners": [],
            "devices": [{"address": "h1/d1"}],
            "hubs": {"folder": str(self.folder / "hubs"), "broker": "tcp:127.0.0.1"},
        }
        gateway = Gateway(reactor, settings, lambda *given: InlineWorker())  # type: ignore[arg-type]
        assert gateway.hubs is not None
        self.assertEqual([one.address for one in gateway.settings.devices], [])
        gateway.startService()
        self.assertTrue(gateway.hubs.running)
        stopped: Deferred[None] = gateway.stopService()
        reactor.pump([0.05] * 60)
        self.successResultOf(stopped)
        self.assertFalse(gateway.hubs.running)

    def test_none(self) -> None:
        """
        A gateway without one has none.
        """
        self.folder.mkdir(parents=True)
        settings = {"store": {"path": str(self.folder / "own.sqlite")}, "listeners": []}
        self.assertIsNone(Gateway(MemoryReactorClock(), settings).hubs)

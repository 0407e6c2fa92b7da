"""
Hubs of several customers.
"""

import os
import signal
import sqlite3
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from msgspec import json
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall

from sensord.brokers import Publication
from sensord.settings import Secret
from sensord.store.archive import Archive
from sensord.store.audit import audit
from tests.integration.customers import HubsTestCase, alive
from tests.integration.loop import pause, until
from tests.integration.mosquitto import password

DOCS = Path(__file__).parents[2] / "docs" / "hubs.rst"

#: How often a second the devices of a hub say something, and the longest time in seconds for which
#: none of that may be stored while another hub is killed. All share a machine that does more.
_RATE, _GAP = 20, 3.0


class CustomerTests(HubsTestCase):
    """
    What customers have of their hubs.
    """

    async def test_data(self) -> None:
        """
        Hubs are started by MQTT and by the toolbox; each stores what its own registered devices
        say, with its own tags, in its own database, and passes it on to a place of its own.
        """
        await self.serve()
        await self.manage(
            tables='[[devices]]\naddress = "h1/d1"\nname = "barn"\n'
            'values = [{ name = "temperature", unit = "°C" }]\n'
            '[[sinks]]\nname = "files"\nkind = "csv"\nlayout = "tidy"\ninterval = 0.1\n'
        )
        await self.launch("h1", "acme")
        self.assertIn("starting", self.toolbox("hubs", "start", "h2", "--group", "bolt"))
        await self.running("h2")
        for hub in ("h1", "h2"):
            await self.register(hub, "d1")
            await self.say(f"/{hub}/d1/data", b'{"temperature": 21.5}')
            await self.say(f"/{hub}/d2/data", b'{"temperature": 99}')
        await until(lambda: self.stored("h1", "acme") and self.stored("h2", "bolt"))
        for hub, group, device, unit in (
            ("h1", "acme", "barn", "°C"),
            ("h2", "bolt", "h2/d1", ""),
        ):
            with closing(sqlite3.connect(self.database(hub, group))) as connection:
                (row,) = connection.execute("SELECT device, name, unit, tags FROM series")
            self.assertEqual(row[:3], (device, "temperature", unit))
            tags = {"site": "north", "group": group, "hub": hub}
            self.assertEqual(json.decode(row[3]), tags)
            folder = self.folder / "Data" / group / hub
            await until(lambda folder=folder: list(folder.glob("*.csv")))  # type: ignore[misc]
        lines = self.toolbox("hubs", "list").splitlines()
        self.assertEqual([line.split()[:3] for line in lines[1:]], [
            ["h1", "acme", "running"],
            ["h2", "bolt", "running"],
        ])  # fmt: skip
        self.assertIn("barn", self.toolbox("--config", "hubs/acme/h1.toml", "devices"))
        self.assertIn("h1", self.toolbox("hubs", "stop", "h1"))
        await self.state("h1", "stopped")
        said = self.toolbox("hubs", "start", "h3", code=1)
        self.assertIn('the first time, "group" has to be said', said)
        self.assertEqual(audit(Archive(self.database("h1", "acme"))).faults, [])

    async def test_killed(self) -> None:
        """
        One hub is killed ten times in a minute: the readings of the others flow on at their rate,
        and nothing is missing.
        """
        await self.serve()
        await self.manage()
        hubs = {"h1": "acme", "h2": "bolt", "h3": "bolt"}
        for hub, group in hubs.items():
            await self.launch(hub, group)
            await self.register(hub, "d1")
        sent = dict.fromkeys(hubs, 0)
        said: list[Deferred[None]] = []

        def speak() -> None:
            for hub in hubs:
                sent[hub] += 1
                payload = b"%d" % sent[hub]
                said.append(self.speaker.publish(Publication(f"/{hub}/d1/data", payload)))

        speaking = LoopingCall(speak)
        speaking.start(1 / _RATE)
        self.addCleanup(hush, speaking)
        began, pid = time.monotonic(), None
        for _ in range(10):
            pid = await self.running("h1", pid)
            os.kill(pid, signal.SIGKILL)
        took = time.monotonic() - began
        await self.running("h1", pid)
        speaking.stop()
        await gatherResults(said)
        await until(lambda: all(self.values(*one) >= sent[one[0]] for one in hubs.items()))
        for hub, group in hubs.items():
            self.assertEqual(self.values(hub, group), sent[hub])
            self.assertEqual(audit(Archive(self.database(hub, group))).faults, [])
        for hub in ("h2", "h3"):
            times = [stamp for _device, _value, stamp in self.stored(hub, "bolt")]
            gap = max(after - before for before, after in pairwise(times)) / 1e6
            rate = (len(times) - 1) / (times[-1] - times[0]) * 1e6
            self.assertLess(gap, _GAP)
            self.assertGreater(rate, 0.8 * _RATE)
            # Each once. To the one that was killed, what it had not confirmed was said again.
            self.assertEqual(len(times), sent[hub])
            self.assertEqual(self.statuses[hub]["restarts"], 0)
        self.assertEqual(self.statuses["h1"]["restarts"], 10)
        self.assertLess(took, 90)

    test_killed.timeout = 180  # type: ignore[attr-defined]


class ManagerTests(HubsTestCase):
    """
    What becomes of hubs when something happens to their manager.
    """

    async def test_orphans(self) -> None:
        """
        A manager that is killed leaves no process behind. Its hubs are back with it, and store
        what was said meanwhile.
        """
        await self.serve()
        daemon = await self.manage()
        pids = [await self.launch(hub, "acme") for hub in ("h1", "h2", "h3")]
        await self.register("h1", "d1")
        self.assertTrue((await self.ask(cmd="stop", hub="h3"))["ok"])
        daemon.end(signal.SIGKILL)
        await until(lambda: not any(alive(pid) for pid in pids))
        await until(lambda: self.statuses["hub_manager"]["state"] == "lost")
        await self.say("/h1/d1/data", b"7")
        again = await self.manage()
        self.assertNotIn(await self.running("h1", pids[0]), pids)
        await self.running("h2", pids[1])
        await until(lambda: self.stored("h1", "acme"))
        self.assertEqual(self.statuses["h3"]["state"], "stopped")
        again.expect("hubs: 3 in ")

    async def test_end(self) -> None:
        """
        A manager that is told to stop stops its hubs orderly, and tells that they are.
        """
        await self.serve()
        daemon = await self.manage()
        for hub in ("h1", "h2"):
            await self.launch(hub, "acme")
        self.assertEqual(daemon.end(), 0)
        await until(lambda: {one["state"] for one in self.statuses.values()} == {"stopped"})
        for hub in ("h1", "h2"):
            log = (self.folder / "hubs" / "acme" / f"{hub}.log").read_text()
            self.assertIn("SIGTERM: stopping", log)
            self.assertTrue(log.rstrip().endswith("Server Shut Down."), log)
        self.assertEqual(list((self.folder / "hubs").glob("*/*.sqlite-wal")), [])

    async def test_broker(self) -> None:
        """
        A broker that is away changes nothing for hubs; what happens meanwhile is told when it is
        back.
        """
        await self.serve()
        await self.manage()
        pid = await self.launch("h1", "acme")
        self.mosquitto.end(signal.SIGKILL)
        self.assertIn("running", self.toolbox("hubs"))
        self.toolbox("hubs", "start", "h2", "--group", "acme")
        self.assertTrue(alive(pid))
        self.mosquitto.start()
        await self.running("h2")
        self.assertEqual(self.statuses["h1"]["pid"], pid)


class TroubleTests(HubsTestCase):
    """
    Hubs and customers that are a nuisance.
    """

    async def test_memory(self) -> None:
        """
        A hub that takes more memory than it may is ended with the reason, and left alone when that
        was too often; others, of groups that may have more, do not notice. It runs again when
        somebody starts it.
        """
        await self.serve()
        daemon = await self.manage(
            'crashes = 1\n[[hubs.groups]]\nname = "small"\nmax_memory = 3\n'
            '[[hubs.groups]]\nname = "large"'
        )
        other = await self.launch("h2", "large")
        self.assertTrue((await self.ask(cmd="start", hub="h1", group="small"))["ok"])
        status = await self.state("h1", "failed")
        self.assertRegex(status["why"], r"it had \d+ MB of memory, and may have 3; .* left alone")
        self.assertEqual((status["restarts"], status["pid"]), (1, None))
        daemon.expect("small/h1: it had .* left alone")
        self.assertTrue((await self.ask(cmd="start", hub="h1"))["ok"])
        await self.state("h1", "starting")
        self.assertTrue((await self.ask(cmd="stop", hub="h1"))["ok"])
        self.assertFalse((await self.ask(cmd="start", hub="h3", group="other"))["ok"])
        self.assertEqual(self.statuses["h2"]["pid"], other)

    async def test_broken(self) -> None:
        """
        A hub that cannot start is told with what it has said, and left alone after some attempts.
        """
        await self.serve()
        await self.manage("crashes = 2")
        database = self.database("h1", "acme")
        database.mkdir(parents=True)
        self.assertTrue((await self.ask(cmd="start", hub="h1", group="acme"))["ok"])
        status = await self.state("h1", "failed")
        self.assertIn("it has ended with exit code 1: ", status["why"])
        self.assertIn("h1.sqlite", status["why"])
        database.rmdir()
        await self.launch("h1", "acme")

    async def test_requests(self) -> None:
        """
        What is retained is ignored; what makes no sense is answered by the reason, unless it is so
        long that the broker keeps it from us; the hubs that run do not notice.
        """
        await self.serve()
        command = json.encode({"cmd": "stop", "hub": "h1"})
        await self.say("/hub_manager/cmd", command, retain=True)
        daemon = await self.manage()
        daemon.expect("a retained message at /hub_manager/cmd is ignored")
        pid = await self.launch("h1", "acme")
        self.replies.clear()
        bad = (
            b"",
            b"stop h1",
            b"\xff" * 100,
            b"[" * 60_000,
            b'{"cmd": "stop"}',
            b'{"cmd": "start", "hub": "../../x", "group": "acme"}',
            b'{"cmd": "start", "hub": "h2", "group": "../acme"}',
            b'{"cmd": "start", "hub": "+", "group": "acme"}',
            b'{"cmd": "stop", "hub": "h9"}',
            b'{"cmd": "restart", "hub": "h1", "group": "bolt"}',
            b" " * 66_000,
        )
        for payload in (b"x" * 10_000_000, *bad):
            await self.say("/hub_manager/cmd", payload)
        await until(lambda: len(self.replies) == len(bad))
        for reply in self.replies:
            self.assertEqual((reply["id"], reply["ok"]), (None, False))
            self.assertLess(len(reply["error"]), 400)
        listed = await self.ask(cmd="list")
        self.assertEqual([(one["hub"], one["pid"]) for one in listed["hubs"]], [("h1", pid)])
        files = {path.name for path in self.folder.rglob("*.toml")}
        self.assertEqual(files, {"sensord.toml", "h1.toml"})

    async def test_rules(self) -> None:
        """
        With the rules that are documented, customers have to do with nothing but their own hubs.
        """
        rules = documented("pattern ")
        (self.folder / "acl").write_text(rules, encoding="utf-8")
        users = {"sensord": "a", "operator": "b", "h1": "c", "h2": "d"}
        for user, text in users.items():
            password(self.folder / f"{user}.users", user, text)
        lines = [(self.folder / f"{user}.users").read_text() for user in users]
        (self.folder / "users").write_text("".join(lines), encoding="utf-8")
        (self.folder / "users").chmod(0o600)
        more = f"acl_file {self.folder}/acl\npassword_file {self.folder}/users"
        await self.serve(more, False, user="operator", password=Secret("b"))
        await self.manage('user = "sensord"\npassword = "a"')
        for hub in ("h1", "h2"):
            await self.launch(hub, "acme")
            await self.register(hub, "d1")
        stranger = await self.client("stranger", user="h2", password=Secret("d"), version="5")
        device = await self.client("device", user="h1", password=Secret("c"), version="5")
        for who, value in ((stranger, b"666"), (device, b"1")):
            said = who.publish(Publication("/h1/d1/data", value))
            await said.addErrback(lambda failure: None)  # some brokers say that they do not take it
        for topic, payload in (
            ("/hub_manager/cmd", b'{"cmd": "stop", "hub": "h1"}'),
            ("/h1/register_cmd", b'{"cmd": "remove", "device": "d1"}'),
        ):
            said = stranger.publish(Publication(topic, payload))
            await said.addErrback(lambda failure: None)
        await until(lambda: self.stored("h1", "acme"))
        await pause(0.5)
        self.assertEqual([row[1] for row in self.stored("h1", "acme")], [1])
        self.assertEqual(self.statuses["h1"]["state"], "running")


def hush(speaking: LoopingCall) -> None:
    """
    Say nothing more.
    """
    if speaking.running:
        speaking.stop()


def documented(word: str) -> str:
    """
    The example in the documentation that has a word in it.
    """
    blocks = DOCS.read_text(encoding="utf-8").split("::\n\n")[1:]
    texts = [block.split("\n\n", 1)[0] for block in blocks]
    (text,) = [text for text in texts if word in text]
    return "\n".join(line[4:] for line in text.splitlines()) + "\n"

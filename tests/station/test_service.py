"""
Tests for L{sensord.station.service}.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from msgspec import json, structs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import ConfigError, Settings
from sensord.presence import Presence
from sensord.reloading import Origin
from sensord.settings import RemoteSettings
from sensord.sinks import Transient
from sensord.sinks.http import Answer
from sensord.station.service import EVERY, Source, Station
from sensord.station.translation import ALONE
from sensord.wires import RadioSettings
from tests.station.test_translation import DOCUMENT, URL

NOW = 1_795_194_650.0


class Gateway:
    """
    A gateway that takes what it is given, or does not.

    @ivar groups: the radio groups that it was given.
    """

    def __init__(self, settings: Settings, now: Any) -> None:
        self.settings = settings
        self.presence = Presence(now=now)
        self.way = SimpleNamespace(state="open")
        self.sink = SimpleNamespace(state="flowing")
        self.listeners = {"radio": self.way}
        self.sinks = {"emoncms": self.sink}
        self.groups: list[int] = []
        self.error: Exception | None = None

    def reload(self, settings: Settings) -> Deferred[list[str]]:
        """
        Go on with other settings.
        """
        if self.error is not None:
            return fail(self.error)
        self.settings = settings
        radio = settings.listeners[0]
        assert isinstance(radio, RadioSettings)
        self.groups.append(radio.group)
        return succeed([f"group: {radio.group}"])


class Client:
    """
    Asks an emoncms that the test plays.

    @ivar document: what it says.
    @ivar why: why there is no answer; empty if there is.
    @ivar asked: what it was asked.
    """

    def __init__(self) -> None:
        self.document: Any = dict(DOCUMENT)
        self.why = ""
        self.status = 200
        self.asked: list[str] = []
        self.running = False

    def start(self) -> None:
        """
        Begin.
        """
        self.running = True

    def stop(self) -> Deferred[None]:
        """
        End.
        """
        self.running = False
        return succeed(None)

    async def get(self, url: str, headers: object) -> Answer:
        """
        Ask.
        """
        assert self.running
        self.asked.append(url.removeprefix(f"{URL}/"))
        if self.why:
            raise Transient(self.why)
        return Answer(self.status, json.encode(self.document))


class Local(Source):
    """
    An emoncms that is there.
    """

    there = True

    def reach(self) -> None:
        """
        See whether it is.
        """
        if not self.there:
            raise ConfigError(["it is not there"])


class StationTests(SynchronousTestCase):
    """
    Following an emoncms.
    """

    def setUp(self) -> None:
        """
        A gateway that works, and follows one.
        """
        self.clock = Clock()
        self.clock.advance(NOW)
        self.base = structs.replace(ALONE, remote=RemoteSettings(60.0), web=None)
        origin = Origin(self.clock, Path(self.mktemp()) / "sensord.toml", self.base)
        self.source = Local(self.clock, origin, f"{URL}/")
        self.gateway = Gateway(self.source.read(), self.clock.seconds)
        self.client = Client()
        self.station = Station(self.clock, self.gateway, self.source, self.client)  # type: ignore[arg-type]
        self.hear()

    def hear(self) -> None:
        """
        A device is heard.
        """
        self.gateway.presence.record("radio/10").hear(int(self.clock.seconds() * 1e6))

    def start(self) -> None:
        """
        Follow it.
        """
        self.station.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        """
        Follow it no more.
        """
        if self.station.running:
            self.successResultOf(self.station.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def wait(self, seconds: float, lively: bool = True) -> list[str]:
        """
        Let time pass.

        @param lively: whether a device is heard all the time.
        @return: what is logged meanwhile.
        """
        with capturedLogs() as captured:
            for _ in range(int(seconds / EVERY)):
                if lively:
                    self.hear()
                self.clock.advance(EVERY)
        return [formatEvent(event) or "" for event in captured]

    def test_followed(self) -> None:
        """
        It is asked once a second, told each time that the gateway runs, and what is new is put into
        effect once.
        """
        self.start()
        self.assertEqual(self.gateway.groups, [212])
        self.wait(3)
        self.assertEqual(
            self.client.asked, ["raspberrypi/setrunning.json", "raspberrypi/get.json"] * 4
        )
        self.assertEqual(self.gateway.groups, [212])
        self.client.document["sgroup"] = "1"
        lines = self.wait(1)
        self.assertEqual(self.gateway.groups, [212, 1])
        self.assertEqual(lines, [f"{URL}: group: 1"])

    def test_absent(self) -> None:
        """
        If it is not there at the start, there is none.
        """
        self.source.there = False
        self.assertRaises(ConfigError, self.station.startService)
        self.assertFalse(self.station.running)
        self.stop()

    def test_silent(self) -> None:
        """
        While there are no answers, the settings stay, it is asked less and less often, and that is
        logged once.
        """
        self.start()
        self.client.why = "connection refused"
        lines = self.wait(1000)
        self.assertEqual(
            [line for line in lines if "refused" in line],
            [f"{URL}: connection refused; the settings stay as they are"],
        )
        self.assertEqual(self.gateway.groups, [212])
        self.assertLess(len(self.client.asked), 30)
        self.client.asked.clear()
        self.client.why = ""
        self.assertEqual(self.wait(61), [f"{URL} answers again"])
        self.client.status = 500
        [line] = self.wait(2)
        self.assertIn("setrunning.json is answered with status 500", line)

    def test_nonsense(self) -> None:
        """
        What makes no sense changes nothing, and is told once.
        """
        self.start()
        self.client.document["sgroup"] = "many"
        lines = self.wait(20)
        self.assertEqual(
            lines,
            [
                f'{URL}: sgroup: "many" is no whole number',
                "the settings stay as they are, for the above",
            ],
        )
        self.assertEqual(self.gateway.groups, [212])
        self.assertEqual(self.source.document["sgroup"], "212")
        self.client.document = "something else"
        [line] = self.wait(1)
        self.assertIn("is no object of texts", line)

    def test_impossible(self) -> None:
        """
        What cannot be put into effect changes nothing.
        """
        self.start()
        self.gateway.error = ConfigError(["port 1 is taken"])
        self.client.document["sgroup"] = "1"
        lines = self.wait(3)
        self.assertIn(f"{URL}: port 1 is taken", lines)
        self.assertEqual(self.source.document["sgroup"], "212")

    def test_confirmed(self) -> None:
        """
        A change that leaves everything working is confirmed when its time is over.
        """
        self.start()
        self.assertEqual(self.wait(59), [])
        self.assertEqual(self.wait(2), [f"the settings of {URL} are confirmed"])
        self.assertEqual(self.wait(200), [])

    def lost(self, why: str, lively: bool = True) -> None:
        """
        A change after which something does not work is taken back, and is not tried again.
        """
        before = len(self.gateway.groups)
        lines = self.wait(62, lively)
        self.assertIn(f"the settings of {URL} are taken back: {why} in 60 s", lines)
        self.assertEqual(self.gateway.groups[before:], [212])
        self.wait(200)
        self.assertEqual(self.gateway.groups[before:], [212])

    def change(self) -> None:
        """
        It says something else, when what was before is confirmed.
        """
        self.start()
        self.wait(62)
        self.client.document["sgroup"] = "1"
        self.wait(1)
        self.assertEqual(self.gateway.groups, [212, 1])

    def test_deaf(self) -> None:
        """
        When no device is heard any more, it is taken back.
        """
        self.change()
        self.lost("no device was heard", lively=False)

    def test_down(self) -> None:
        """
        When no listener is up any more, it is taken back.
        """
        self.change()
        self.gateway.way.state = "absent"
        self.lost("no listener is up")

    def test_stuck(self) -> None:
        """
        When no sink moves any more, it is taken back.
        """
        self.change()
        self.gateway.sink.state = "misconfigured"
        self.lost("no sink is moving")

    def test_never(self) -> None:
        """
        What did not work before need not work afterwards.
        """
        self.clock.advance(3600)
        self.gateway.way.state = "absent"
        self.gateway.sink.state = "retrying"
        self.start()
        lines = self.wait(62, lively=False)
        self.assertEqual(lines, [f"the settings of {URL} are confirmed"])

    def test_another(self) -> None:
        """
        When another change comes while one is on trial, both go back together.
        """
        self.change()
        self.client.document["sgroup"] = "2"
        self.wait(30, lively=False)
        self.assertEqual(self.gateway.groups, [212, 1, 2])
        self.lost("no device was heard", lively=False)

    def test_unreachable(self) -> None:
        """
        A change is taken back even when emoncms does not answer meanwhile.
        """
        self.change()
        self.client.why = "connection refused"
        self.lost("no device was heard", lively=False)

    def test_trusted(self) -> None:
        """
        Without a time for it, nothing is taken back.
        """
        self.base = structs.replace(self.base, remote=RemoteSettings(0.0))
        self.source.fallback = self.base
        self.gateway.settings = self.base
        self.change()
        self.assertEqual(self.wait(200, lively=False), [])
        self.assertEqual(self.gateway.groups, [212, 1])

    def test_reload(self) -> None:
        """
        When the files are read anew, what emoncms says still holds.
        """
        self.start()
        radio = self.source.load().listeners[0]
        assert isinstance(radio, RadioSettings)
        self.assertEqual(radio.group, 212)

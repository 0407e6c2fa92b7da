"""
A hub manager with real processes at a real mosquitto, and somebody who speaks with it.
"""

import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import json
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import TestCase

from sensord.broker import Broker
from sensord.brokers import BrokerSettings, Message, Publication
from tests.integration.daemon import ALARMS, PATIENCE, Daemon, sensord
from tests.integration.loop import reactor, until
from tests.integration.mosquitto import serve

_CONFIG = """
listeners = []

[tags]
site = "north"

[hubs]
broker = "tcp:127.0.0.1:{port}"
{more}

{tables}
"""


class HubsTestCase(TestCase):
    """
    A broker, a manager, and somebody who speaks with it.

    @ivar statuses: how each hub is, as the broker tells.
    @ivar replies: what the manager has answered.
    """

    timeout = PATIENCE

    def setUp(self) -> None:
        """
        Start a broker.
        """
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.statuses: dict[str, Any] = {}
        self.replies: list[Any] = []
        self.number = 0

    async def serve(self, more: str = "", anonymous: bool = True, **login: Any) -> None:
        """
        Start a broker, and somebody who hears all that concerns the manager.
        """
        self.mosquitto = serve(self, self.folder, more, anonymous)
        self.speaker = await self.client("speaker", **login)
        await self.speaker.subscribe("/hub_manager/status/+", self._told)
        await self.speaker.subscribe("/hub_manager/reply", self._replied)

    async def client(self, name: str, **login: Any) -> Broker:
        """
        Somebody at the broker.
        """
        where = BrokerSettings(f"tcp:127.0.0.1:{self.mosquitto.port}", **login)
        broker = Broker(reactor(), where, name)
        broker.start()
        self.addCleanup(broker.stop)
        await broker.whenConnected()
        return broker

    async def manage(self, more: str = "", tables: str = "") -> Daemon:
        """
        Start a manager, and wait until it listens.
        """
        self.statuses.pop("hub_manager", None)
        text = _CONFIG.format(port=self.mosquitto.port, more=more, tables=tables)
        (self.folder / "sensord.toml").write_text(text, encoding="utf-8")
        daemon = Daemon(self.folder)
        self.addCleanup(self.end, daemon)
        await self.state("hub_manager", "running")
        return daemon

    async def end(self, daemon: Daemon) -> None:
        """
        Stop a manager, whose log has no fault of ours in it.
        """
        code = daemon.end()
        daemon.close()
        self.assertIn(code, (0, -signal.SIGKILL))
        logs = [daemon.log, *(path.read_text() for path in self.folder.glob("hubs/*/*.log"))]
        for alarm in ALARMS:
            for log in logs:
                self.assertNotIn(alarm, log)

    async def ask(self, **request: Any) -> Any:
        """
        Ask the manager something, and wait for its answer.
        """
        self.number += 1
        await self.say("/hub_manager/cmd", json.encode({**request, "id": self.number}))
        await until(lambda: any(one["id"] == self.number for one in self.replies))
        return self.replies[-1]

    async def say(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """
        Say something, and wait until the broker has it.
        """
        await self.speaker.publish(Publication(topic, payload, retain))

    async def launch(self, hub: str, group: str) -> int:
        """
        Start a hub by MQTT.

        @return: the number of its process.
        """
        answer = await self.ask(cmd="start", hub=hub, group=group)
        self.assertTrue(answer["ok"], answer)
        return await self.running(hub)

    async def running(self, hub: str, other: int | None = None) -> int:
        """
        Wait until a hub runs.

        @param other: the number of a process that it is not.
        @return: the number of its process.
        """
        await self.state(hub, "running", lambda status: status["pid"] != other)
        pid: int = self.statuses[hub]["pid"]
        return pid

    async def state(
        self, hub: str, state: str, more: Callable[[Any], bool] = lambda status: True
    ) -> Any:
        """
        Wait until a hub is in some way.
        """

        def there() -> bool:
            status = self.statuses.get(hub)
            return status is not None and status["state"] == state and more(status)

        await until(there)
        return self.statuses[hub]

    async def register(self, hub: str, device: str) -> None:
        """
        A hub gets a device.
        """
        answers: list[Any] = []
        topic = f"/{hub}/register_reply"
        await self.speaker.subscribe(
            topic, lambda message: answers.append(json.decode(message.payload))
        )
        request = {"cmd": "add", "device": device, "id": device}
        # It may not listen yet: what is said at QoS 1 waits for it only from the first time on.
        repeated = LoopingCall(self.say, f"/{hub}/register_cmd", json.encode(request))
        repeated.start(0.5)
        await until(lambda: answers)
        repeated.stop()
        self.speaker.unsubscribe(topic)
        self.assertEqual(answers[0], {"id": device, "ok": True})

    def database(self, hub: str, group: str) -> Path:
        """
        Where a hub stores.
        """
        return self.folder / "hubs" / group / f"{hub}.sqlite"

    def stored(self, hub: str, group: str) -> list[tuple[str, Any, int]]:
        """
        What a hub has stored: whose it is, the value, and the time.
        """
        with closing(sqlite3.connect(self.database(hub, group))) as connection:
            return connection.execute(
                "SELECT device, value, time FROM readings JOIN series ON series.id = series"
                " ORDER BY readings.id"
            ).fetchall()

    def values(self, hub: str, group: str) -> int:
        """
        How many different values it has stored.
        """
        return len({value for _device, value, _time in self.stored(hub, group)})

    def toolbox(self, *arguments: str, code: int = 0) -> str:
        """
        Run the toolbox.

        @return: what it prints.
        """
        done = subprocess.run(
            [*sensord(), *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout + done.stderr

    def _told(self, message: Message) -> None:
        hub = message.topic.rpartition("/")[2]
        self.statuses[hub] = json.decode(message.payload) if message.payload else None

    def _replied(self, message: Message) -> None:
        self.replies.append(json.decode(message.payload))


def alive(pid: int) -> bool:
    """
    Whether there is a process, and not only its name.
    """
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return False
    return state != "Z"

"""
Several gateways that share what comes by one broker, each with a journal of its own, and one
database behind them.
"""

import signal
from collections.abc import Iterable
from pathlib import Path
from time import monotonic
from typing import Any

from msgspec import json
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from sensord.store.archive import Archive
from sensord.store.audit import audit
from sensord.store.journal import Figures, figures
from tests.integration.daemon import Daemon, DaemonTestCase, until
from tests.integration.databases import Victoria
from tests.integration.mosquitto import Mosquitto

#: A commit waits for long here, so that whoever is killed has messages that are not stored. What is
#: said is little enough for none to wait in a socket: those prove nothing, since with them the
#: kernel drops what was confirmed too early.
CONFIG = """
[store]
commit_window = 0.25

[[listeners]]
name = "farm"
wire = "mqtt"
broker = "tcp:127.0.0.1:{broker}"
topic = "/{{hub}}/{{device}}/data"
share = "sensord"
session = "{session}"

[[sinks]]
name = "victoria"
kind = "influxdb"
url = "{url}"
database = "sensors"
interval = 0.2
"""

#: The time of the first message, in milliseconds.
START = 1_795_194_650_000

#: How many devices there are, and how many messages are said in a hundredth of a second.
DEVICES, PACE = 10, 15

#: By metric and device: values by their times in milliseconds.
Points = dict[tuple[str, str], dict[int, float]]


class Publisher:
    """
    Says messages with QoS 1, each a millisecond later than the last by its own account, and knows
    which of them the broker has confirmed.
    """

    def __init__(self, port: int) -> None:
        self._confirmed: set[int] = set()
        self._numbers: dict[int, int] = {}
        self._next = 0
        self._client = Client(CallbackAPIVersion.VERSION2, "publisher")
        self._client.max_inflight_messages_set(0)
        self._client.on_publish = self._note
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def say(self, count: int) -> None:
        """
        Say so many, at a steady pace.
        """
        began = monotonic()
        for number in range(self._next, self._next + count):
            self._wait(began + (number - self._next) // PACE / 100)
            topic = f"/h7/d{number % DEVICES}/data"
            payload = {"a": number, "b": number / 2, "time": (START + number) / 1000}
            said = self._client.publish(topic, json.encode(payload), 1)
            self._numbers[said.mid] = number
        self._next += count

    def done(self) -> bool:
        """
        Whether all are confirmed.
        """
        return len(self._confirmed) == self._next

    @property
    def confirmed(self) -> Points:
        """
        What was said in the messages that are.
        """
        found: Points = {}
        for number in sorted(self._numbers[mid] for mid in self._confirmed):
            device = f"farm/h7/d{number % DEVICES}"
            found.setdefault(("a_value", device), {})[START + number] = number
            found.setdefault(("b_value", device), {})[START + number] = number / 2
        return found

    def close(self) -> None:
        """
        Say no more.
        """
        self._client.disconnect()
        self._client.loop_stop()

    def _wait(self, due: float) -> None:
        until(lambda: monotonic() >= due)

    def _note(self, _client: Client, _data: object, mid: int, *_more: Any) -> None:
        self._confirmed.add(mid)


class Node:
    """
    One of the gateways.
    """

    def __init__(self, folder: Path, broker: int, url: str, session: str) -> None:
        folder.mkdir()
        text = CONFIG.format(broker=broker, url=url, session=session)
        (folder / "sensord.toml").write_text(text, encoding="utf-8")
        self.folder = folder
        self.archive = Archive(folder / "sensord.sqlite")
        self.daemon = self.start()

    def start(self) -> Daemon:
        """
        Start it, and wait until it hears.
        """
        self.daemon = Daemon(self.folder)
        self.daemon.expect("farm: subscribed to ")
        return self.daemon

    def close(self) -> None:
        """
        Make sure that it is gone.
        """
        self.daemon.close()

    @property
    def figures(self) -> Figures:
        """
        What became of its readings.
        """
        with self.archive.open() as connection:
            (line,) = figures(connection)
        return line

    @property
    def committed(self) -> int:
        """
        How many readings it has stored.
        """
        return sum(account.committed for account in audit(self.archive).accounts)


class ScalingTests(DaemonTestCase):
    """
    Two gateways, a broker and a database.
    """

    def setUp(self) -> None:
        """
        Start the broker and the database.
        """
        super().setUp()
        self.mosquitto = Mosquitto(self.folder)
        self.addCleanup(self.mosquitto.close)
        self.mosquitto.start()
        self.victoria = Victoria(self.folder)
        self.addCleanup(self.victoria.close)
        self.victoria.start()

    def nodes(self, session: str) -> list[Node]:
        """
        Start the gateways.

        @param session: how long the broker keeps what comes for one that is away.
        """
        nodes = []
        for name in ("one", "two"):
            node = Node(self.folder / name, self.mosquitto.port, self.victoria.url, session)
            self.addCleanup(node.close)
            nodes.append(node)
        return nodes

    def publisher(self) -> Publisher:
        """
        Somebody who speaks.
        """
        publisher = Publisher(self.mosquitto.port)
        self.addCleanup(publisher.close)
        return publisher

    def finish(self, nodes: Iterable[Node], readings: int) -> None:
        """
        Wait until the gateways have stored and passed on so many readings, and stop them.
        """
        nodes = list(nodes)
        until(lambda: sum(node.figures.delivered for node in nodes) >= readings)
        for node in nodes:
            self.assertEqual(node.daemon.end(), 0)
            self.assertQuiet(node.daemon)
            self.assertEqual(audit(node.archive).faults, [])

    def missing(self, said: Points) -> list[tuple[tuple[str, str], int, float]]:
        """
        What is not in the database as it was said.
        """
        there = self.victoria.points()
        return [
            (series, time, value)
            for series, values in said.items()
            for time, value in values.items()
            if there.get(series, {}).get(time) != value
        ]

    def test_killed(self) -> None:
        """
        Two gateways share what comes; one is killed in mid-load and comes back. Everything that the
        broker had confirmed to the devices is in the database.
        """
        nodes = self.nodes("1d")
        publisher = self.publisher()
        publisher.say(1500)
        nodes[0].daemon.end(signal.SIGKILL)
        publisher.say(1500)
        nodes[0].daemon.close()
        nodes[0].start()
        publisher.say(1500)
        until(publisher.done)
        self.finish(nodes, 9000)
        shares = [node.committed for node in nodes]
        self.assertGreater(min(shares), 0.3 * sum(shares), shares)
        self.assertEqual(sum(shares), 9000)
        self.assertEqual(sum(map(len, publisher.confirmed.values())), 9000)
        missing = self.missing(publisher.confirmed)
        self.assertEqual(missing[:5], [], f"{len(missing)} are missing")
        self.assertEqual(self.victoria.doubled, 0)

    def test_gone(self) -> None:
        """
        mosquitto holds the share of a gateway that is away, and drops it when the session of that
        gateway ends; from then on the other one has everything. This is why the documentation says
        that whoever is killed has to come back in time.
        """
        nodes = self.nodes("2s")
        publisher = self.publisher()
        publisher.say(300)
        until(lambda: sum(node.committed for node in nodes) == 600)
        nodes[0].daemon.end(signal.SIGKILL)
        publisher.say(300)
        until(lambda: "Expiring client" in self.mosquitto.log)
        before = nodes[1].committed
        publisher.say(300)
        until(publisher.done)
        until(lambda: nodes[1].committed == before + 600)
        self.assertAlmostEqual(before, 600, delta=60)
        nodes[0].daemon.close()
        nodes[0].start()
        stored = sum(node.committed for node in nodes)
        self.finish(nodes, stored)
        self.assertEqual(sum(node.committed for node in nodes), stored)
        self.assertEqual(len(self.missing(publisher.confirmed)), 1800 - stored)
        self.assertAlmostEqual(stored, 1500, delta=60)

"""
Devices that say something to a real mosquitto.
"""

import signal
import sqlite3
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import json
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall

from sensord import Gateway
from sensord.broker import Broker
from sensord.brokers import BrokerSettings, Publication, Unavailable
from sensord.settings import Secret
from tests.integration.daemon import ALARMS, Daemon
from tests.integration.loop import pause, reactor, until
from tests.integration.mosquitto import password, serve
from tests.integration.running import GatewayTestCase
from tests.integration.test_mqtt import Authority, Listener

DOCS = Path(__file__).parents[2] / "docs" / "mqtt.rst"

#: What waits for a commit that cannot be made holds up only so many messages here.
_WINDOW = 10

#: How often a listener is stopped.
_STOPS = 5


def examples() -> dict[str, Mapping[str, Any]]:
    """
    The listeners that the documentation shows.
    """
    blocks = DOCS.read_text(encoding="utf-8").split("::\n\n")[1:]
    texts = ("\n".join(line for line in block.split("\n\n", 1)[0].splitlines()) for block in blocks)
    tables = [tomllib.loads("\n".join(line[4:] for line in text.splitlines())) for text in texts]
    return {one["name"]: one for table in tables for one in table.get("listeners", ())}


class SubscriberTestCase(GatewayTestCase):
    """
    A broker, a gateway that listens to it, and somebody who speaks.
    """

    def setUp(self) -> None:
        """
        Start a broker.
        """
        super().setUp()
        self.mosquitto = serve(self, self.folder)

    def listener(self, **more: Any) -> dict[str, Any]:
        """
        The table of a listener.
        """
        return {
            "name": "farm",
            "wire": "mqtt",
            "broker": f"tcp:127.0.0.1:{self.mosquitto.port}",
            "topic": "/{hub}/{device}/data",
            **more,
        }

    async def hear(self, *listeners: Mapping[str, Any]) -> Gateway:
        """
        Start a gateway, and wait until it hears.
        """
        gateway = self.launch(devices=(), listeners=listeners or (self.listener(),))
        await until(lambda: all(way.state == "open" for way in gateway.listeners.values()))
        return gateway

    async def speaker(self, **settings: Any) -> Broker:
        """
        Somebody who speaks.
        """
        where = BrokerSettings(f"tcp:127.0.0.1:{self.mosquitto.port}", **settings)
        broker = Broker(reactor(), where, "speaker")
        broker.start()
        self.addCleanup(broker.stop)
        await broker.whenConnected()
        return broker

    async def kept(self, count: int) -> None:
        """
        Wait until so many readings are stored.
        """
        await until(lambda: len(self.stored()) >= count)

    def values(self) -> dict[tuple[str, str], Any]:
        """
        The latest value of each series that is stored.
        """
        return {(one.device, one.name): one.value for one in self.stored()}


class ExampleTests(SubscriberTestCase):
    """
    What the documentation shows.
    """

    async def test_examples(self) -> None:
        """
        zigbee2mqtt, Tasmota, emonTx and hubs work by the configuration that is documented.
        """
        tables = examples()
        self.assertEqual(sorted(tables), ["emon", "farm", "tasmota", "zigbee"])
        where = f"tcp:127.0.0.1:{self.mosquitto.port}"
        await self.hear(*({**table, "broker": where} for table in tables.values()))
        speaker = await self.speaker()
        for topic, payload in (
            ("/h7/3c71bf/data", b'{"temperature": 21.5, "time": 1795194650.5}'),
            ("zigbee2mqtt/kitchen", b'{"battery":90,"color":{"x":0.3},"update":{"state":"idle"}}'),
            (
                "tele/boiler/SENSOR",
                b'{"Time":"2026-11-24T10:00:00","AM2301":{"Temperature":21.5},"TempUnit":"C"}',
            ),
            ("emon/emontx/power1", b"1234"),
        ):
            await speaker.publish(Publication(topic, payload))
        await self.kept(5)
        self.assertEqual(
            self.values(),
            {
                ("farm/h7/3c71bf", "temperature"): 21.5,
                ("zigbee/kitchen", "battery"): 90,
                ("zigbee/kitchen", "color.x"): 0.3,
                ("tasmota/boiler", "AM2301.Temperature"): 21.5,
                ("emon/emontx", "power1"): 1234,
            },
        )
        times = {one.device: one.time for one in self.stored()}
        self.assertEqual(times["farm/h7/3c71bf"], 1795194650_500000)
        self.assertEqual(times["tasmota/boiler"], 1795514400_000000)
        self.assertBalanced()

    async def test_commands(self) -> None:
        """
        Devices are told something where the examples say.
        """
        where = f"tcp:127.0.0.1:{self.mosquitto.port}"
        gateway = await self.hear(*({**one, "broker": where} for one in examples().values()))
        listener = Listener(self.mosquitto.port)
        self.addCleanup(listener.close)
        await until(lambda: listener.ready)
        for address, variable, value in (
            ("farm/h7/d1", "LED", 1.5),
            ("zigbee/lamp", "brightness", 120),
            ("tasmota/boiler", "POWER", 1),
        ):
            delivery = await gateway.commands.send(address, variable, value)
            self.assertEqual(delivery.state, "sent", delivery.why)
        refused = await gateway.commands.send("emon/emontx", "LED", 1)
        self.assertEqual(refused.state, "refused")
        await until(lambda: len(listener.heard) == 3)
        self.assertEqual(
            dict(listener.heard),
            {
                "/h7/d1/cmd": b'{"LED":1.5}',
                "zigbee2mqtt/lamp/set": b'{"brightness":120}',
                "cmnd/boiler/POWER": b"1",
            },
        )


class FaultTests(SubscriberTestCase):
    """
    What a fault costs.
    """

    async def test_notStorable(self) -> None:
        """
        While nothing can be stored the broker keeps what comes, but for as many messages as may
        wait; when it can be, all of it is stored, each message once.
        """
        gateway = await self.hear(self.listener(receive_maximum=_WINDOW))
        speaker = await self.speaker()
        lock = sqlite3.connect(self.folder / "sensord.sqlite", isolation_level=None)
        self.addCleanup(lock.close)
        lock.execute("BEGIN IMMEDIATE")
        said = [
            speaker.publish(Publication("/h7/d1/data", json.encode({"n": number})))
            for number in range(200)
        ]
        await gatherResults(said)  # the broker has them
        await pause(0.5)
        self.assertEqual(gateway.store.pending, _WINDOW)
        lock.execute("ROLLBACK")
        await self.kept(200)
        self.assertEqual([one.value for one in self.stored()], list(range(200)))
        self.assertBalanced()

    async def test_brokerRestarts(self) -> None:
        """
        A broker that comes and goes costs nothing that it had confirmed to the devices.
        """
        await self.hear()
        speaker = await self.speaker()
        said: set[int] = set()
        number = 0
        for _round in range(2):
            for _message in range(50):
                number += 1
                payload = json.encode({"n": number, "time": 1795194650 + number})
                try:
                    await speaker.publish(Publication("/h7/d1/data", payload))
                    said.add(number)
                except Unavailable:
                    break
            self.mosquitto.end(signal.SIGTERM)
            await until(lambda: not speaker.connected)
            self.mosquitto.start()
            await until(lambda: speaker.connected)
        self.assertGreaterEqual(len(said), 100)
        await until(lambda: said <= {int(one.value) for one in self.stored()})
        self.assertEqual(len(self.stored()), len({one.value for one in self.stored()}))
        self.assertNotIn("Traceback", self.log)
        self.assertBalanced()

    async def test_credentials(self) -> None:
        """
        A broker that does not know us is said once in the log, and tried until it does.
        """
        self.mosquitto.close()
        users = self.folder / "users"
        password(users, "somebody", "else")
        self.mosquitto = serve(self, self.folder, f"password_file {users}", anonymous=False)
        gateway = self.launch(
            devices=(), listeners=[self.listener(user="me", password="secret", version="3.1.1")]
        )
        await until(lambda: any("no connection to the broker" in line for line in self.log))
        self.assertEqual(gateway.listeners["farm"].state, "absent")
        password(users, "me", "secret")
        self.mosquitto.end(signal.SIGTERM)
        self.mosquitto.start()
        await until(lambda: gateway.listeners["farm"].state == "open")
        speaker = await self.speaker(user="me", password=Secret("secret"))
        await speaker.publish(Publication("/h7/d1/data", b"7"))
        await self.kept(1)
        self.assertFalse([line for line in self.log if "secret" in line])

    async def test_encrypted(self) -> None:
        """
        By TLS, with a client certificate that the broker demands, in both versions.
        """
        self.mosquitto.close()
        authority = Authority(self.folder, "authority")
        authority.issue("broker")
        authority.issue("gateway")
        self.mosquitto = serve(
            self,
            self.folder,
            f"cafile {self.folder}/authority.pem\ncertfile {self.folder}/broker.pem\n"
            f"keyfile {self.folder}/broker.key\nrequire_certificate true",
        )
        mine: dict[str, Any] = {
            "broker": f"tls:localhost:{self.mosquitto.port}",
            "ca": f"{self.folder}/authority.pem",
            "cert": f"{self.folder}/gateway.pem",
            "key": f"{self.folder}/gateway.key",
        }
        await self.hear(
            self.listener(**mine),
            self.listener(**mine, name="old", topic="old/{device}", version="3.1.1"),
        )
        speaker = Broker(reactor(), BrokerSettings(**mine), "speaker")
        speaker.start()
        self.addCleanup(speaker.stop)
        await speaker.whenConnected()
        await speaker.publish(Publication("/h7/d1/data", b"5"))
        await speaker.publish(Publication("old/d1", b"3"))
        await self.kept(2)
        self.assertEqual(self.values(), {("farm/h7/d1", "value"): 5, ("old/d1", "value"): 3})

    async def test_crowd(self) -> None:
        """
        Of a hundred thousand made-up devices as many are heard as may be, the others are counted;
        one that is known is still heard, and what the daemon keeps of them has its bounds.
        """
        gateway = await self.hear(self.listener(max_devices=50))
        speaker = await self.speaker()
        await speaker.publish(Publication("/h7/d1/data", b"1"))
        for start in range(0, 100_000, 20_000):
            for number in range(start, start + 20_000):
                said = speaker.publish(Publication(f"/h7/x{number}/data", b"1", qos=0))
            await said
            await speaker.publish(Publication("/h7/d1/data", b"2"))
        await until(lambda: sum(one.device == "farm/h7/d1" for one in self.stored()) == 6)
        self.assertEqual(len({one.device for one in self.stored()}), 50)
        self.assertEqual(len(list(gateway.presence)), 50)
        self.assertBalanced()

    async def test_unconfirmed(self) -> None:
        """
        What is said with QoS 0, empty, retained, or twice is dealt with as documented.
        """
        gateway = await self.hear()
        speaker = await self.speaker()
        await speaker.publish(Publication("/h7/d1/data", b"old", retain=True))
        await gateway.listeners["farm"].stopService()
        await gateway.listeners["farm"].disconnect()
        gateway.listeners["farm"].startService()
        await until(lambda: gateway.listeners["farm"].state == "open")
        for payload, qos in (
            (b"1", 0),
            (b"", 1),
            (b'{"a":2,"time":5}', 1),
            (b'{"a":2,"time":5}', 1),
        ):
            await speaker.publish(Publication("/h7/d2/data", payload, qos=qos))
        await speaker.publish(Publication("/h7/d3/data", b"3"))
        await until(lambda: ("farm/h7/d3", "value") in self.values())
        stored = sorted((one.device, one.name, one.value) for one in self.stored())
        self.assertEqual(
            stored,
            [("farm/h7/d2", "a", 2), ("farm/h7/d2", "value", 1), ("farm/h7/d3", "value", 3)],
        )
        self.assertBalanced()


class StopTests(SubscriberTestCase):
    """
    A listener that is stopped and started in mid-load.
    """

    async def test_stopped(self) -> None:
        """
        What was confirmed does not come again, although the broker was speaking: readings without
        a time of their own are stored once.
        """
        gateway = await self.hear()
        way = gateway.listeners["farm"]
        speaker = await self.speaker()
        said: list[Deferred[None]] = []

        def speak() -> None:
            for _message in range(40):
                payload = b"%d" % len(said)
                said.append(speaker.publish(Publication("/h7/d1/data", payload)))

        speaking = LoopingCall(speak)
        speaking.start(0.01)
        for _round in range(_STOPS):
            await pause(0.3)
            await way.stopService()
            await way.disconnect()
            way.startService()
            await until(lambda: way.state == "open")
        speaking.stop()
        await gatherResults(said)
        await self.kept(len(said))
        self.assertEqual([one.value for one in self.stored()], list(range(len(said))))
        self.assertBalanced()


class KillTests(SubscriberTestCase):
    """
    The daemon as a process.
    """

    async def test_killed(self) -> None:
        """
        A daemon that is killed in mid-load has, when it is back, everything that the broker had
        confirmed to the devices: readings with a time of their own once.
        """
        port = self.mosquitto.port
        (self.folder / "sensord.toml").write_text(
            '[[listeners]]\nname = "farm"\nwire = "mqtt"\ntopic = "/{hub}/{device}/data"\n'
            f'broker = "tcp:127.0.0.1:{port}"\nreceive_maximum = 50\n',
            encoding="utf-8",
        )
        speaker = await self.speaker()
        said: set[int] = set()
        number = 0
        for _round in range(4):
            daemon = Daemon(self.folder)
            self.addCleanup(daemon.close)
            daemon.expect("connected to the broker" if number else "subscribed to")
            saying: list[Deferred[None]] = []
            for _message in range(400):
                number += 1
                payload = json.encode({"n": number, "time": 1795194650 + number})
                saying.append(speaker.publish(Publication(f"/h7/d{number % 7}/data", payload)))
                saying[-1].addCallback(partial(self.note, said, number))
            await saying[200]
            daemon.end(signal.SIGKILL)
            await gatherResults(saying)
            for alarm in ALARMS:
                self.assertNotIn(alarm, daemon.log)
        daemon = Daemon(self.folder)
        self.addCleanup(daemon.close)
        self.assertEqual(len(said), 1600)
        await until(lambda: len(self.stored()) >= len(said))
        self.assertEqual({int(one.value) for one in self.stored()}, said)
        self.assertEqual(len(self.stored()), len(said))
        self.assertEqual(daemon.end(), 0)
        self.assertBalanced()

    def note(self, said: set[int], number: int, _none: None) -> None:
        """
        The broker has confirmed a message.
        """
        said.add(number)

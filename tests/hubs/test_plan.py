"""
Tests for L{sensord.hubs.plan}.
"""

import os
import tomllib
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from sensord.brokers import BrokerSettings
from sensord.config import Settings, load, parse
from sensord.hubs.plan import faults, own, plan, text
from sensord.hubs.settings import Quota
from sensord.outlets import CsvSettings, EmoncmsSettings, InfluxSettings, MqttSettings
from sensord.settings import Secret
from sensord.wires import SubscriberSettings

_QUOTA = Quota(20, 256, 100.0, 50)

_TEXT = """
listeners = [{ name = "lines", wire = "lines", listen = "tcp:1" }]

[store]
path = "own.sqlite"
retention = "90d"

[tags]
site = "north"
hub = "none"

[[devices]]
address = "h1/d1"
name = "barn"

[[devices]]
address = "h11/d1"

[[devices]]
address = "lines/1"

[[thresholds]]
device = "barn"
warning = "> 5"

[commands]
ttl = "2d"

[manhole]

[[sinks]]
name = "influx"
kind = "influxdb"
database = "sensors"
user = "me"
password = { file = "influx.key" }

[[sinks]]
name = "emon"
kind = "emoncms"
apikey = "00000000000000000000000000000000"

[[sinks]]
name = "files"
kind = "csv"
folder = "Data"

[[sinks]]
name = "home"
kind = "mqtt"
broker = "tls:home"
ca = "ca.pem"
client_id = "me"
prefix = "all/sensord"

[hubs]
broker = "tls:broker.example"
user = "sensord"
password = "it's \\"quoted\\" \\\\ ä"
ca = "ca.pem"
cert = "/etc/cert.pem"
key = "key.pem"
keepalive = 30
"""


class PlanTestCase(SynchronousTestCase):
    """
    A manager's settings in a file.
    """

    def setUp(self) -> None:
        """
        Write it.
        """
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        (self.folder / "influx.key").write_text("hidden\n", encoding="utf-8")
        path = self.folder / "sensord.toml"
        path.write_text(_TEXT, encoding="utf-8")
        self.settings = load(path)

    def at(self, name: str) -> str:
        """
        A file in the folder.
        """
        return str(self.folder / name)


class PlanTests(PlanTestCase):
    """
    What a hub is configured to do.
    """

    def test_listener(self) -> None:
        """
        A hub has one way in: the topics of its own devices, those that are registered, as many and
        as fast as its quota allows.
        """
        made = plan(self.settings, "acme", "h1", _QUOTA)
        (listener,) = made.listeners
        assert isinstance(listener, SubscriberSettings)
        self.assertEqual(listener.name, "h1")
        self.assertEqual(listener.topic, "/h1/{device}/data")
        self.assertEqual(listener.registry, "h1.devices.json")
        self.assertEqual((listener.max_devices, listener.max_rate), (50, 100.0))
        self.assertEqual(
            BrokerSettings.of(listener),
            BrokerSettings(
                "tls:broker.example",
                "sensord",
                Secret('it\'s "quoted" \\ ä'),
                self.at("ca.pem"),
                "/etc/cert.pem",
                self.at("key.pem"),
                "sensord-hub-h1",
                30,
                "5",
            ),
        )

    def test_client(self) -> None:
        """
        If the manager has a name at the broker, those of hubs are made of it.
        """
        settings = parse({"hubs": {"client_id": "x" * 100}})
        (listener,) = plan(settings, "acme", "h" * 64, _QUOTA).listeners
        assert isinstance(listener, SubscriberSettings)
        self.assertEqual(listener.client_id, f"{'x' * 100}-{'h' * 64}")

    def test_own(self) -> None:
        """
        Its database, its socket and its tags are its own; it has neither doors nor hubs.
        """
        made = plan(self.settings, "acme", "h1", _QUOTA)
        self.assertEqual((made.store.path, made.store.retention), ("h1.sqlite", "90d"))
        self.assertEqual(made.control.socket, "h1.sock")
        self.assertEqual(made.tags, {"site": "north", "group": "acme", "hub": "h1"})
        self.assertEqual((made.manhole, made.hubs), (None, None))
        self.assertEqual(made.commands, self.settings.commands)

    def test_devices(self) -> None:
        """
        It knows its own devices, and all thresholds.
        """
        made = plan(self.settings, "acme", "h1", _QUOTA)
        self.assertEqual([one.address for one in made.devices], ["h1/d1"])
        self.assertEqual(made.thresholds, self.settings.thresholds)

    def test_sinks(self) -> None:
        """
        It has the sinks of the manager; those where tags make no difference have places of their
        own.
        """
        influx, emon, files, home = plan(self.settings, "acme", "h1", _QUOTA).sinks
        assert isinstance(influx, InfluxSettings) and isinstance(emon, EmoncmsSettings)
        self.assertEqual((influx, emon), self.settings.sinks[:2])
        self.assertEqual(influx.password.text, "hidden")
        assert isinstance(files, CsvSettings)
        self.assertEqual(files.folder, self.at("Data/acme/h1"))
        assert isinstance(home, MqttSettings)
        self.assertEqual(home.prefix, "all/sensord/acme/h1")
        self.assertEqual((home.client_id, home.ca), ("", self.at("ca.pem")))

    def test_written(self) -> None:
        """
        What is written is what is meant, secrets included.
        """
        written = text(self.settings, "acme", "h1", _QUOTA).decode()
        expected = plan(self.settings, "acme", "h1", _QUOTA)
        self.assertEqual(parse(tomllib.loads(written)), expected)

    def test_relative(self) -> None:
        """
        Files of settings that come from no file are looked for in the current folder, as the
        manager does.
        """
        settings = parse(
            {"sinks": [{"name": "files", "kind": "csv", "folder": "Data"}], "hubs": {}},
        )
        (sink,) = plan(settings, "acme", "h1", _QUOTA).sinks
        assert isinstance(sink, CsvSettings)
        self.assertEqual(sink.folder, f"{os.getcwd()}/Data/acme/h1")

    def test_ids(self) -> None:
        """
        Nothing is made for what is no id.
        """
        for group, hub in (("..", "h1"), ("acme", "../h1"), ("acme", "hub_manager"), ("", "h1")):
            self.assertRaises(ValueError, plan, self.settings, group, hub, _QUOTA)

    def test_manager(self) -> None:
        """
        The manager's own gateway does not know the devices of hubs.
        """
        self.assertEqual([one.address for one in own(self.settings).devices], ["lines/1"])
        plain = Settings()
        self.assertIs(own(plain), plain)


class FaultTests(SynchronousTestCase):
    """
    What would keep hubs from running.
    """

    def setUp(self) -> None:
        """
        Make a folder.
        """
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def found(self, folder: Path, **more: Any) -> list[str]:
        """
        What is found.
        """
        return list(faults(parse({"hubs": {"folder": str(folder)}, **more})))

    def test_good(self) -> None:
        """
        A folder that is there is good, and so is one that can be made.
        """
        self.assertEqual(self.found(self.folder), [])
        self.assertEqual(self.found(self.folder / "a" / "b"), [])
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_folder(self) -> None:
        """
        A file in the place of a folder is named.
        """
        file = self.folder / "file"
        file.touch()
        self.assertEqual(self.found(file), [f"[hubs] folder: {file}: is no folder"])
        inner = file / "hubs"
        self.assertEqual(self.found(inner), [f"[hubs] folder: {inner}: {file} is no folder"])

    def test_shut(self) -> None:
        """
        So is a folder in which nothing can be written.
        """
        self.folder.chmod(0o500)
        self.addCleanup(self.folder.chmod, 0o700)
        if os.access(self.folder, os.W_OK):  # as root
            return
        expected = [f"[hubs] folder: {self.folder}: nothing can be written there"]
        self.assertEqual(self.found(self.folder), expected)

    def test_plan(self) -> None:
        """
        So is what only the configuration of a hub would have wrong with it.
        """
        sink = {"name": "home", "kind": "mqtt", "prefix": "x"}
        self.assertEqual(self.found(self.folder, sinks=[sink]), [])

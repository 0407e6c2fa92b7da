"""
Tests for L{sensord.wires}, and for what L{sensord.settings} says of devices.
"""

import os
import tomllib
from pathlib import Path

from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import ConfigError, Settings, dump, load, parse
from sensord.settings import Secret
from sensord.wires import (
    LineSettings,
    MessageSettings,
    RadioSettings,
    SerialSettings,
    SubscriberSettings,
)

KEY = "0123456789abcdef0123456789abcdef"


def listener(wire: str, **more: object) -> dict[str, object]:
    """
    The table of a listener C{one}.
    """
    where = {"port": "/dev/ttyAMA0"} if wire in ("serial", "rfm2pi") else {"listen": "tcp:0"}
    if wire == "mqtt":
        where = {"topic": "/{hub}/{device}/data"}
    return {"name": "one", "wire": wire, **where, **more}


class WiresCase(SynchronousTestCase):
    """
    What tests of one listener share.
    """

    def build(self, wire: str, *devices: dict[str, object], **more: object) -> Settings:
        """
        The settings of a file with one listener.
        """
        return parse({"listeners": [listener(wire, **more)], "devices": list(devices)})

    def fault(self, wire: str, *devices: dict[str, object], **more: object) -> str:
        """
        The one thing that is wrong with it.
        """
        error = self.assertRaises(ConfigError, self.build, wire, *devices, **more)
        (fault,) = error.faults
        return str(fault)


class ListenerTests(WiresCase):
    """
    The settings of listeners, wire by wire.
    """

    def test_ownKeys(self) -> None:
        """
        A key that another wire format has is unknown where it would do nothing.
        """
        self.assertIn("baud: unknown key", self.fault("poe", baud=9600))
        self.assertIn("listen: unknown key", self.fault("rfm2pi", listen="tcp:0"))
        self.assertIn("backdate: unknown key", self.fault("lines", backdate="original"))

    def test_misspelledWire(self) -> None:
        """
        The keys of a listener whose wire is misspelled are not called wrong as well.
        """
        table = {"name": "one", "wire": "rfm2p", "port": "/dev/ttyAMA0", "group": 100}
        error = self.assertRaises(ConfigError, parse, {"listeners": [table]})
        (fault,) = error.faults
        self.assertTrue(fault.endswith('did you mean "rfm2pi"?'), fault)

    def test_radio(self) -> None:
        """
        A radio has a band, a group and an id that such modules know.
        """
        (radio,) = self.build("rfm2pi", frequency=868, group=0, base_id=31).listeners
        assert isinstance(radio, RadioSettings)
        self.assertEqual((radio.baud, radio.frequency, radio.quiet), (38400, 868, True))
        self.assertIn("frequency: ", self.fault("rfm2pi", frequency=434))
        self.assertIn("group: ", self.fault("rfm2pi", group=251))
        self.assertIn("base_id: ", self.fault("rfm2pi", base_id=32))
        self.assertIn("transmit: ", self.fault("rfm2pi", transmit="loud"))
        self.assertIn("time_interval: ", self.fault("rfm2pi", time_interval=0.5))

    def test_serial(self) -> None:
        """
        A serial port has 9600 baud unless something else is said.
        """
        (serial,) = self.build("serial").listeners
        assert isinstance(serial, SerialSettings)
        self.assertEqual(serial.baud, 9600)
        self.assertIn("baud: ", self.fault("serial", baud=0))

    def test_messages(self) -> None:
        """
        The columns and the variables of WebSocket devices are those of the stock ones.
        """
        (pages,) = self.build("websocket").listeners
        assert isinstance(pages, MessageSettings)
        self.assertEqual(pages.columns, ("counter", "temperature"))
        self.assertEqual((pages.variables, pages.path), (("LED",), "/ws"))
        self.assertIn("path: ", self.fault("websocket", path="ws"))

    def test_key(self) -> None:
        """
        The key of lines has 32 letters and digits, and is not told when it is wrong.
        """
        (lines,) = self.build("lines", key=KEY).listeners
        assert isinstance(lines, LineSettings)
        self.assertEqual(lines.key.text, KEY)
        for wrong in (KEY[:-1], KEY + "0", KEY[:-1] + " "):
            fault = self.fault("lines", key=wrong)
            self.assertIn("key: ", fault)
            self.assertNotIn(wrong, fault)

    def test_template(self) -> None:
        """
        The text of a command says where the value goes, and nothing that is not known.
        """
        self.build("poe", command="{id}:{variable}={value:.1f}\n")
        self.assertIn("no {value}", self.fault("poe", command="on"))
        for text in (
            "{",
            "{volume}",
            "{value.real.__class__}{0}",
            "{}",
            "{value!x}",
            "{value:q}",
            "{value[0]}",
        ):
            fault = self.fault("lines", command=text)
            self.assertIn("cannot be filled in", fault)


class SubscriberTests(WiresCase):
    """
    The settings of devices that say something to an MQTT broker.
    """

    def subscriber(self, **more: object) -> SubscriberSettings:
        """
        The settings of a listener that are accepted.
        """
        (one,) = self.build("mqtt", **more).listeners
        assert isinstance(one, SubscriberSettings)
        return one

    def faults(self, **more: object) -> list[str]:
        """
        All that is wrong with a listener.
        """
        error = self.assertRaises(ConfigError, self.build, "mqtt", **more)
        return [fault.removeprefix('settings: [[listeners]] "one" ') for fault in error.faults]

    def test_aBadTopicBesideADevice(self) -> None:
        """
        A topic that is none is told in one line, also if a device of its listener is described.
        """
        self.assertIn("topic: no level", self.fault("mqtt", {"address": "one/x"}, topic="tele/b"))

    def test_requestsAreNoDevices(self) -> None:
        """
        Devices cannot be registered where the requests would be messages of devices.
        """
        self.assertIn(
            "registry: its requests",
            self.fault("mqtt", topic="zigbee2mqtt/{device}", registry="r"),
        )

    def test_aNameIsForTextAndPackedValues(self) -> None:
        """
        Where payloads name their values themselves, no level of the topic does.
        """
        for payload in ("esp8266", "poe"):
            self.assertIn("topic: ", self.fault("mqtt", topic="e/{device}/{name}", payload=payload))

    def test_packedValuesHaveTheirOrder(self) -> None:
        """
        Packed values have no field, and their device neither sleeps nor receives frames.
        """
        values = [{"name": "a", "type": "h", "field": "1"}]
        device: dict[str, object] = {"address": "one/h/x", "values": values}
        self.assertIn("the order says", self.fault("mqtt", device, payload="packed"))
        device = {"address": "one/h/x", "sleeps": True, "transmit": [{"name": "a"}]}
        self.assertIn("are for radio nodes", self.fault("mqtt", device, payload="packed"))

    def test_commandTopicsArePlain(self) -> None:
        """
        Braces in a command's topic hold a name alone, the broker's own topics are none, and what
        is said there does not come back as readings.
        """
        for topic in (
            "x/{device.upper}",
            "x/{device!r}",
            "x/{device[0]}",
            "$SYS/{device}",
            "/{hub}/{device}/data",
        ):
            self.assertIn("command_topic: ", self.fault("mqtt", command_topic=topic))

    def test_aTopicIsEnough(self) -> None:
        """
        With nothing but a topic it is the broker on this machine, by MQTT 5, and text; the broker
        keeps what comes for a day.
        """
        one = self.subscriber()
        self.assertEqual(
            (one.broker, one.version, one.payload), ("tcp:localhost:1883", "5", "text")
        )
        self.assertEqual((one.session, one.time, one.timezone), ("1d", "time", "UTC"))
        self.assertEqual((one.share, one.registry, one.max_rate, one.retained), ("", "", 0, False))
        self.assertEqual(
            (one.max_devices, one.command, one.downward), (5000, "", "/{hub}/{device}/cmd")
        )
        error = self.assertRaises(
            ConfigError, parse, {"listeners": [{"name": "a", "wire": "mqtt"}]}
        )
        self.assertEqual(error.faults, ['settings: [[listeners]] "a" topic: is missing'])

    def test_whatIsSaidOfABrokerIsChecked(self) -> None:
        """
        A listener has the settings of a broker, and their faults.
        """
        self.subscriber(broker="tls:example.org", ca="ca.pem", cert="c.pem", key="k.pem", user="u")
        for more, key in (
            ({"broker": "localhost"}, "broker"),
            ({"version": "4"}, "version"),
            ({"ca": "ca.pem"}, "ca, cert"),
            ({"broker": "tls:h", "cert": "c.pem"}, "cert, key"),
            ({"broker": "tls:h", "key": "k.pem"}, "cert, key"),
            ({"password": "x"}, "user"),
            ({"client_id": "x" * 201}, "client_id"),
            ({"keepalive": 4}, "keepalive"),
        ):
            (fault,) = self.faults(**more)
            self.assertTrue(fault.startswith(f"{key}: "), fault)

    def test_whatIsNoPatternIsNamed(self) -> None:
        """
        A topic tells devices apart, and is one that devices can say something at.
        """
        for topic in (
            "tele/boiler",
            "emon/{name}",
            "a/+/{device}",
            "{a}/{a}",
            "a{b}/c",
            "$SYS/{a}",
        ):
            (fault,) = self.faults(topic=topic)
            self.assertTrue(fault.startswith("topic: "), fault)

    def test_numbersHaveBounds(self) -> None:
        """
        Numbers that brokers or memories cannot bear are refused.
        """
        for key, good, bad in (
            ("max_devices", (1, 1_000_000), (0, 1_000_001, -1)),
            ("receive_maximum", (1, 65535), (0, 65536)),
            ("max_rate", (0, 0.5, 1_000_000), (-1, 1_000_001, float("nan"))),
        ):
            for number in good:
                self.assertEqual(getattr(self.subscriber(**{key: number}), key), number)
            for number in bad:
                self.assertIn(f"{key}: expected", self.faults(**{key: number})[0])

    def test_aShareIsOneLevel(self) -> None:
        """
        The group of those who share what comes has a name that topics can have as a level.
        """
        self.assertEqual(self.subscriber(share="sensord").share, "sensord")
        for share in ("a/b", "+", "#", "a#", "a\n", "a\0", "x" * 65):
            self.assertIn("share: expected", self.faults(share=share)[0])

    def test_textsAreOnesThatAreKnown(self) -> None:
        """
        Kinds of payloads, time zones and spans are named as they are known.
        """
        for payload in ("text", "esp8266", "poe", "packed"):
            self.assertEqual(self.subscriber(payload=payload).payload, payload)
        (fault,) = self.faults(payload="json")
        self.assertEqual(fault, 'payload: "json" is not one of text, esp8266, poe, packed')
        self.subscriber(timezone="America/New_York")
        for zone in ("Mars/Phobos", "", "../../etc/passwd", "/etc/localtime", "a\0b", "Europe"):
            (fault,) = self.faults(timezone=zone)
            self.assertTrue(fault.startswith(f'timezone: "{zone}" is no time zone'), fault)
        for session in ("forever", "0s", "1w"):
            self.assertEqual(self.subscriber(session=session).session, session)
        (fault,) = self.faults(session="soon")
        self.assertTrue(fault.startswith('session: "soon" is no time span'), fault)

    def test_columnsHaveNames(self) -> None:
        """
        No column is without a name, and no two have one.
        """
        self.assertEqual(self.subscriber(columns=["a", "b"]).columns, ("a", "b"))
        self.assertEqual(
            self.faults(columns=["a", "", "a"]),
            ['columns: "a" is named twice', "columns: one of them has no name"],
        )

    def test_whereDevicesAreToldSomething(self) -> None:
        """
        Devices are told something at C{cmd} beside C{data}, elsewhere where it is said, and nowhere
        else.
        """
        self.assertEqual(self.subscriber().downward, "/{hub}/{device}/cmd")
        self.assertEqual(self.subscriber(topic="zigbee2mqtt/{device}").downward, "")
        for topic in ("z/{hub}/{device}", "cmnd/{device}/{variable}", "{variable}/{hub}", "{hub}"):
            self.assertEqual(self.subscriber(command_topic=topic).downward, topic)

    def test_commandTopicsAreOfDevices(self) -> None:
        """
        Where devices are told something is a topic, is made of the levels of the pattern, and is
        not the same for all.
        """
        braces = "{hub}, {device}, {variable}"
        for topic in ("x/{nobody}", "x/{name}", "x/{", "x/}", "x/{}", "x/{0}", "{device.x}"):
            said = f'command_topic: "{topic}" cannot be filled in; there are {braces}'
            self.assertEqual(self.faults(command_topic=topic), [said])
        for topic in ("x/+/{device}", "{device}/#", "{device}\n", "{device}\0"):
            (fault,) = self.faults(command_topic=topic)
            self.assertIn("is nothing that devices could be told anything at", fault)
        for topic in ("x", "x/{variable}"):
            (fault,) = self.faults(command_topic=topic)
            self.assertTrue(fault.endswith("is the same for all devices"), fault)

    def test_commandsAreTemplates(self) -> None:
        """
        What devices are told has the value in it.
        """
        self.assertEqual(self.subscriber(command="{value}").command, "{value}")
        self.assertEqual(self.faults(command="on"), ['command: "on" has no {value} in it'])
        self.assertIn("cannot be filled in", self.faults(command='{"a": {value}}')[0])

    def test_aRegistryIsOfOneHub(self) -> None:
        """
        Devices can be registered where one level tells them apart, behind a fixed beginning.
        """
        self.assertEqual(self.subscriber(topic="/h/{device}/data", registry="r").registry, "r")
        self.subscriber(topic="/h/{device}/{name}", registry="r")
        (fault,) = self.faults(registry="r")
        self.assertEqual(fault, "registry: is for topics with one level that tells devices apart")
        (fault,) = self.faults(topic="{device}/data", registry="r")
        self.assertEqual(fault, "registry: is for topics that begin with a fixed level")

    def test_otherKeysAreUnknown(self) -> None:
        """
        There are no settings of ports, and a key that is misspelled is guessed at.
        """
        self.assertEqual(self.faults(listen="tcp:1"), ["listen: unknown key"])
        self.assertEqual(
            self.faults(max_device=5), ['max_device: unknown key; did you mean "max_devices"?']
        )

    def test_theFaultsAreFoundInOneGo(self) -> None:
        """
        Of several faults, not only the first is told.
        """
        keys = [
            fault.partition(":")[0]
            for fault in self.faults(
                topic="x",
                broker="y",
                payload="z",
                session="1",
                timezone="",
                command="on",
                columns=[""],
            )
        ]
        expected = ["broker", "columns", "command", "payload", "session", "timezone", "topic"]
        self.assertEqual(sorted(keys), expected)

    def test_idsAreLevelsOfTheTopic(self) -> None:
        """
        A device has an id with as many levels as the topic tells devices apart by.
        """
        self.build("mqtt", {"address": "one/h7/3c71bf"}, {"address": "one/küche/温 1"})
        for id in ("h7", "h7/x/y", "h7/", "/x", "h7/+", "h#/x", "h7/\x7f"):
            self.assertEqual(
                self.fault("mqtt", {"address": f"one/{id}"}),
                f'settings: [[devices]] "one/{id}" address: "{id}" is not of the form <hub/device>',
            )
        topic = "{name}/{device}"
        self.build("mqtt", {"address": "one/x"}, topic=topic)
        self.assertIn("form <device>", self.fault("mqtt", {"address": "one/x/y"}, topic=topic))

    def test_bytesNeedTypes(self) -> None:
        """
        A value of a device that sends bytes says how it is packed; texts and frames need not.
        """
        device: dict[str, object] = {
            "address": "one/h/x",
            "values": [{"name": "a", "type": "h"}, {"name": "b"}],
        }
        for payload in ("esp8266", "packed"):
            fault = self.fault("mqtt", device, payload=payload)
            self.assertTrue(fault.endswith('[[values]] "b" type: is missing'), fault)
        for payload in ("text", "poe"):
            self.build("mqtt", device, payload=payload)

    def test_whiteningIsForWhatIsPacked(self) -> None:
        """
        Bytes may be whitened where values are packed, and nowhere else.
        """
        device = {"address": "one/h/x", "whitening": True}
        self.build("mqtt", device, payload="packed")
        for payload in ("text", "esp8266", "poe"):
            self.assertIn("are for radio nodes", self.fault("mqtt", device, payload=payload))


class DeviceTests(WiresCase):
    """
    What descriptions may say, wire by wire.
    """

    def test_ids(self) -> None:
        """
        The id of a device is one that its wire format can carry.
        """
        for wire, good, bad in (
            ("lines", ("0", "15", "2147483647"), ("-1", "01", "a", "2147483648", "\u0663")),
            ("serial", ("15",), ("x",)),
            ("websocket", ("1", "999"), ("1.0",)),
            ("rfm2pi", ("0", "31"), ("32", "-1", "07")),
        ):
            for id in good:
                self.build(wire, {"address": f"one/{id}"})
            for id in bad:
                self.assertIn("address: ", self.fault(wire, {"address": f"one/{id}"}))

    def test_transmit(self) -> None:
        """
        A radio node may receive; other devices have no such description.
        """
        values = [{"name": "relay", "type": "B"}, {"name": "setpoint", "scale": 0.1}]
        node = {"address": "one/20", "transmit": values, "sleeps": True, "whitening": True}
        (device,) = self.build("rfm2pi", node).devices
        self.assertEqual([value.type for value in device.transmit], ["B", "h"])
        self.assertIn("are for radio nodes", self.fault("lines", node))

    def test_transmitFaults(self) -> None:
        """
        What a node receives has distinct names, known types and scales that can be divided by.
        """
        for values, why in (
            ([{"name": "a"}, {"name": "a"}], 'the name "a" is used twice'),
            ([{"name": "a", "type": "x"}], 'type: "x" is not one of'),
            ([{"name": "a", "type": ""}], "type: is empty"),
            ([{"name": "a", "scale": 0.0}], "divided by 0"),
        ):
            self.assertIn(why, self.fault("rfm2pi", {"address": "one/1", "transmit": values}))

    def test_places(self) -> None:
        """
        A value of a line has a place from 1 on, which no other value has.
        """
        for values, why in (
            ([{"name": "a", "field": "0"}], '"0" is no place'),
            ([{"name": "a", "field": "power"}], '"power" is no place'),
            ([{"name": "a"}, {"name": "b", "field": "1"}], "place 1 is described twice"),
        ):
            self.assertIn(why, self.fault("lines", {"address": "one/1", "values": values}))
            self.assertIn(why, self.fault("serial", {"address": "one/1", "values": values}))

    def test_columns(self) -> None:
        """
        A value of a WebSocket device is one of its listener's columns, or has a number.
        """
        good = [{"name": "temperature"}, {"name": "inside", "field": "3"}]
        self.build("websocket", {"address": "one/1", "values": good})
        bad = [{"name": "inside", "field": "temprature"}]
        fault = self.fault("websocket", {"address": "one/1", "values": bad})
        self.assertTrue(fault.endswith('did you mean "temperature"?'), fault)
        self.assertIn("has no name", self.fault("websocket", columns=["a", ""]))
        self.assertIn("named twice", self.fault("websocket", variables=["a", "a"]))

    def test_order(self) -> None:
        """
        The values of a radio node have their order, and no field.
        """
        values = [{"name": "a", "field": "1"}]
        fault = self.fault("rfm2pi", {"address": "one/1", "values": values})
        self.assertIn("the order says", fault)

    def test_all(self) -> None:
        """
        No device is called all, which means all of them in commands.
        """
        fault = self.fault("poe", {"address": "one/10.0.0.1", "name": "all"})
        self.assertIn("means all devices", fault)


class SecretTests(SynchronousTestCase):
    """
    Secrets come from the file, from a file of their own or from the environment.
    """

    def setUp(self) -> None:
        """
        A folder for files.
        """
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)

    def key(self, value: str) -> Secret:
        """
        What a file's C{key} is read as.
        """
        path = self.folder / "sensord.toml"
        path.write_text(
            '[[listeners]]\nname = "one"\nwire = "lines"\nlisten = "tcp:0"\n' + f"key = {value}\n"
        )
        (one,) = load(path).listeners
        assert isinstance(one, LineSettings)
        return one.key

    def fault(self, value: str) -> str:
        """
        What is wrong with it.
        """
        error = self.assertRaises(ConfigError, self.key, value)
        (fault,) = error.faults
        start = 'sensord.toml: [[listeners]] "one" key: '
        self.assertTrue(fault.startswith(start), fault)
        return str(fault).removeprefix(start)

    def test_text(self) -> None:
        """
        A text is the secret itself.
        """
        self.assertEqual(self.key(f'"{KEY}"').text, KEY)

    def test_file(self) -> None:
        """
        A file is looked for beside the configuration; its line end does not count.
        """
        (self.folder / "lines.key").write_text(KEY + "\n")
        self.assertEqual(self.key('{ file = "lines.key" }').text, KEY)

    def test_environment(self) -> None:
        """
        A variable of the environment is the secret.
        """
        os.environ["SENSORD_TEST_KEY"] = KEY
        self.addCleanup(os.environ.pop, "SENSORD_TEST_KEY")
        self.assertEqual(self.key('{ env = "SENSORD_TEST_KEY" }').text, KEY)

    def test_missing(self) -> None:
        """
        A secret that is not where it should be is a fault that says so.
        """
        self.assertIn("No such file", self.fault('{ file = "none.key" }'))
        self.assertIn("no SENSORD_NONE", self.fault('{ env = "SENSORD_NONE" }'))
        for value in ("5", '{ fiel = "a" }', '{ file = "a", env = "b" }', "[]"):
            self.assertIn("expected a text", self.fault(value))

    def test_hidden(self) -> None:
        """
        A secret is not shown: not by Python, and not among the settings.
        """
        key = Secret(KEY)
        self.assertNotIn(KEY, repr(key))
        lines = LineSettings("one", "lines", "tcp:0", key=key)
        settings = structs.replace(Settings(), listeners=(lines,))
        self.assertNotIn(KEY, repr(settings))
        text = dump(settings)
        self.assertNotIn(KEY, text)
        (table,) = tomllib.loads(text)["listeners"]
        self.assertEqual(table["key"], "(hidden)")

    def test_none(self) -> None:
        """
        Where there is no secret, none is hidden.
        """
        lines = LineSettings("one", "lines", "tcp:0")
        (table,) = tomllib.loads(dump(structs.replace(Settings(), listeners=(lines,))))["listeners"]
        self.assertEqual(table["key"], "")
        self.assertFalse(lines.key)
        self.assertNotEqual(lines.key, Secret(KEY))

    def test_manhole(self) -> None:
        """
        The paths of the manhole are relative to the configuration; without its table there is none.
        """
        path = self.folder / "sensord.toml"
        path.write_text('[manhole]\nauthorized_keys = "/etc/keys"\n')
        settings = load(path)
        assert settings.manhole is not None
        self.assertEqual(settings.manhole.authorized_keys, "/etc/keys")
        self.assertEqual(settings.manhole.host_key, f"{self.folder}/manhole_key")
        self.assertIsNone(Settings().manhole)
        path.write_text("[manhole]\nport = 5022\n")
        error = self.assertRaises(ConfigError, load, path)
        self.assertEqual(error.faults, ["sensord.toml: [manhole] port: unknown key"])

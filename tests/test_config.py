"""
Tests for L{sensord.config}.
"""

import tomllib
from ipaddress import ip_network
from pathlib import Path

from hypothesis import given, strategies
from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import DEFAULTS, STOCK, ConfigError, Settings, dump, load, parse
from sensord.listeners import DoorSettings, PortSettings
from sensord.settings import (
    DeviceSettings,
    Secret,
    StoreSettings,
    ThresholdSettings,
    ValueSettings,
    bound,
    span,
)
from sensord.wires import WIRES, FrameSettings, PacketSettings, SubscriberSettings
from tests.support import PROPERTY

#: A configuration that uses every key.
FULL = """
[store]
path = "data/readings.sqlite"
commit_window = 0.01
retention = "90d"
max_pending = 1000
max_quarantine = 5

[[listeners]]
name = "weather"
wire = "esp8266"
listen = "tcp:5001"
max_connections = 10
idle_timeout = 5
allow = ["192.168.1.0/24", "10.0.0.7", "fe80::/10"]
ack = false
backdate = "original"

[[listeners]]
name = "poe"
wire = "poe"
listen = "tcp:1234"
ack = true

[[devices]]
address = "weather/1"
name = "balcony"
tags = { place = "balcony", "floor no" = "3" }
values = [
  { name = "light", type = "H" },
  { name = "humidity", type = "H", scale = 0.0019073486328125, offset = -6, unit = "%" },
]

[[devices]]
address = "poe/192.168.1.7"
values = [{ name = "oven", field = "temperature.18", unit = "°F" }]

[[thresholds]]
device = "balc*"
name = "humidity"
warning = ">= 70"
critical = ">= 80.5"
"""

#: What it says.
FULL_SETTINGS = Settings(
    store=StoreSettings("data/readings.sqlite", 0.01, "90d", 1000, 5),
    listeners=(
        PacketSettings(
            name="weather",
            wire="esp8266",
            listen="tcp:5001",
            max_connections=10,
            idle_timeout=5.0,
            allow=("192.168.1.0/24", "10.0.0.7", "fe80::/10"),
            backdate="original",
        ),
        FrameSettings("poe", "poe", "tcp:1234", ack=True),
    ),
    devices=(
        DeviceSettings(
            address="weather/1",
            name="balcony",
            tags={"place": "balcony", "floor no": "3"},
            values=(
                ValueSettings("light", "H"),
                ValueSettings("humidity", "H", "", 0.0019073486328125, -6.0, "%"),
            ),
        ),
        DeviceSettings(
            address="poe/192.168.1.7",
            values=(ValueSettings("oven", field="temperature.18", unit="°F"),),
        ),
    ),
    thresholds=(ThresholdSettings("balc*", "humidity", ">= 70", ">= 80.5"),),
)

WEATHER = '[[listeners]]\nname = "weather"\nwire = "esp8266"\nlisten = "tcp:5001"\n'
POE = '[[listeners]]\nname = "poe"\nwire = "poe"\nlisten = "tcp:1234"\n'


class ConfigCase(SynchronousTestCase):
    """
    What tests of faults share.
    """

    def faults(self, text: str) -> list[str]:
        """
        What is wrong with a configuration.
        """
        try:
            parse(tomllib.loads(text), "sensord.toml")
        except ConfigError as error:
            return list(error.faults)
        return []

    def assertFaults(self, text: str, *expected: str) -> None:
        """
        Check that a configuration is refused with some lines, in any order.
        """
        lines = [f"sensord.toml: {fault}" for fault in expected]
        self.assertEqual(sorted(self.faults(text)), sorted(lines), text)


class ParseTests(ConfigCase):
    """
    What a configuration says.
    """

    def test_everyKeyIsUnderstood(self) -> None:
        """
        A file that uses every key gives the settings that it says.
        """
        self.assertEqual(parse(tomllib.loads(FULL)), FULL_SETTINGS)

    def test_anEmptyFileIsTheDefaults(self) -> None:
        """
        With nothing in the file the four wire formats that come by TCP listen, on loopback only,
        and every reading is kept beside it.
        """
        settings = parse({})
        self.assertEqual(settings, Settings())
        self.assertEqual(settings.store, StoreSettings("sensord.sqlite", retention="forever"))
        wires = [listener.wire for listener in settings.listeners]
        self.assertEqual(wires, ["esp8266", "poe", "lines", "websocket"])
        for listener in settings.listeners:
            assert isinstance(listener, PortSettings)
            self.assertIn(":interface=127.0.0.1", listener.listen)

    def test_theDefaultsAreValid(self) -> None:
        """
        What holds without a file would be accepted from a file.
        """
        self.assertEqual(parse(tomllib.loads(dump(DEFAULTS))), DEFAULTS)

    def test_theDefaultsKnowTheStockDevice(self) -> None:
        """
        Without a file, the battery device as it is sold is described.
        """
        [device] = DEFAULTS.devices
        self.assertEqual((device.address, device.values), ("weather/1", STOCK))
        names = [(value.name, value.type, value.unit) for value in STOCK]
        expected = [("light", "H", "lx"), ("humidity", "H", "%"), ("temperature", "H", "°C")]
        self.assertEqual(names, expected)
        factors = [(value.scale, value.offset) for value in STOCK]
        exact = [(1.0, 0.0), (125 / 65536, -6.0), (175.72 / 65536, -46.85)]
        self.assertEqual(factors, exact)

    def test_aFileMayListenToNothing(self) -> None:
        """
        An empty list of listeners is none, not the built-in ones.
        """
        self.assertEqual(parse({"listeners": []}).listeners, ())

    def test_settingsCannotBeChanged(self) -> None:
        """
        Settings are what was read, for ever.
        """
        everything = (
            FULL_SETTINGS,
            FULL_SETTINGS.store,
            FULL_SETTINGS.listeners[0],
            FULL_SETTINGS.devices[0],
            FULL_SETTINGS.devices[0].values[0],
            FULL_SETTINGS.thresholds[0],
        )
        for struct in everything:
            for field in structs.fields(type(struct)):
                self.assertRaises(AttributeError, setattr, struct, field.name, None)

    def test_anUndescribedNameIsTheAddress(self) -> None:
        """
        The readings of a device call it by its name, or by its address when it has none.
        """
        labels = [device.label for device in FULL_SETTINGS.devices]
        self.assertEqual(labels, ["balcony", "poe/192.168.1.7"])

    def test_allSeriesMayHaveTags(self) -> None:
        """
        Tags at the top are texts by any names, and there are none unless they are said.
        """
        tags = {"group": "acme", "floor no": "3"}
        self.assertEqual(parse({"tags": tags}).tags, tags)
        self.assertEqual(parse({}).tags, {})
        for wrong in ({"tags": {"floor": 3}}, {"tags": ["acme"]}, {"tags": "acme"}):
            error = self.assertRaises(ConfigError, parse, wrong)
            self.assertTrue(error.faults[0].startswith("settings: tags: expected"), error)

    def test_networksMayHaveHostBits(self) -> None:
        """
        A network is understood as C{192.168.1.0/24}, as a single host, and with host bits set.
        """
        listener = FrameSettings("w", "poe", "tcp:0", allow=("10.1.2.3/8", "10.0.0.7", "::1"))
        networks = ["10.0.0.0/8", "10.0.0.7/32", "::1/128"]
        self.assertEqual(listener.networks, [ip_network(text) for text in networks])
        self.assertEqual(FrameSettings("w", "poe", "tcp:0").networks, [])

    def test_everyWireFormatIsAccepted(self) -> None:
        """
        Each wire format can be listened for, and comes with its parser.
        """
        for name, wire in WIRES.items():
            where = 'listen = "tcp:1"'
            if not issubclass(wire.settings, DoorSettings):
                where = 'port = "/dev/ttyAMA0"'
            if name == "http":
                where = 'listen = "tcp:1:interface=127.0.0.1"'
            if name == "mqtt":
                where = 'topic = "tele/{device}/SENSOR"'
            text = f'[[listeners]]\nname = "one"\nwire = "{name}"\n{where}\n'
            (settings,) = parse(tomllib.loads(text)).listeners
            self.assertIs(type(settings), wire.settings)
            self.assertEqual(list(wire.parser(settings).close()), [])


class FaultTests(ConfigCase):
    """
    What an operator is told when the configuration is wrong.
    """

    def test_aTypoInAKeyIsNamedWithWhatItMeant(self) -> None:
        """
        An unknown key is named with its file, its table and the nearest right name.
        """
        self.assertFaults(
            '[store]\nretenton = "90d"\n',
            '[store] retenton: unknown key; did you mean "retention"?',
        )
        self.assertFaults(
            WEATHER + "max_conections = 3\n",
            '[[listeners]] "weather" max_conections: unknown key; did you mean "max_connections"?',
        )
        self.assertFaults(
            '[[devices]]\naddress = "poe/10.0.0.1"\nvalues = [{ name = "a", feild = "b" }]\n',
            '[[devices]] "poe/10.0.0.1" [[values]] "a" feild: unknown key; did you mean "field"?',
        )
        self.assertFaults(
            '[[thresholds]]\ncritcal = "> 1"\n',
            '[[thresholds]] 1 critcal: unknown key; did you mean "critical"?',
        )

    def test_aTypoInATableIsNamedWithWhatItMeant(self) -> None:
        """
        An unknown table is named with the nearest right name.
        """
        self.assertFaults("[stor]\n", 'stor: unknown table; did you mean "store"?')
        self.assertFaults("[[listener]]\n", 'listener: unknown table; did you mean "listeners"?')

    def test_missingKeysAreNamed(self) -> None:
        """
        A listener needs a name, a wire and an endpoint; a device needs an address.
        """
        self.assertFaults(
            "[[listeners]]\n[[devices]]\n[[devices]]\naddress = 'poe/1'\nvalues = [{}]\n",
            "[[listeners]] 1 name: is missing",
            "[[listeners]] 1 wire: is missing",
            "[[listeners]] 1 listen: is missing",
            "[[devices]] 1 address: is missing",
            '[[devices]] "poe/1" [[values]] 1 name: is missing',
        )

    def test_wrongTypesAreNamed(self) -> None:
        """
        A value of the wrong type is named with its table and its key.
        """
        self.assertFaults(
            WEATHER + 'allow = "10.0.0.0/8"\nack = "yes"\nmax_connections = 1.5\n',
            '[[listeners]] "weather" allow: expected `array`, got `str`',
            '[[listeners]] "weather" ack: expected `bool`, got `str`',
            '[[listeners]] "weather" max_connections: expected `int`, got `float`',
        )
        self.assertFaults("store = 5\n", "[store]: expected a table")
        self.assertFaults("[listeners]\n", "listeners: expected `array`, got `object`")

    def test_numbersOutOfBoundsAreNamed(self) -> None:
        """
        A number that makes no sense is named with its table and its key.
        """
        cases = (
            ("[store]\ncommit_window = -0.1\n", "[store] commit_window: "),
            ("[store]\ncommit_window = 61\n", "[store] commit_window: "),
            ("[store]\ncommit_window = nan\n", "[store] commit_window: "),
            ("[store]\nmax_pending = 99\n", "[store] max_pending: "),
            ("[store]\nmax_quarantine = -1\n", "[store] max_quarantine: "),
            (WEATHER + "max_connections = 0\n", '[[listeners]] "weather" max_connections: '),
            (WEATHER + "idle_timeout = -1\n", '[[listeners]] "weather" idle_timeout: '),
            (WEATHER + "idle_timeout = nan\n", '[[listeners]] "weather" idle_timeout: '),
        )
        for text, line in cases:
            [fault] = self.faults(text)
            self.assertTrue(fault.startswith(f"sensord.toml: {line}"), fault)

    def test_aScaleMustBeFinite(self) -> None:
        """
        A scale or an offset that would make every value infinite or NaN is a fault.
        """
        for key in ("scale", "offset"):
            for number in ("nan", "inf", "-inf", "1e31", "-1e31"):
                values = f'values = [{{ name = "a", type = "H", {key} = {number} }}]\n'
                [fault] = self.faults(f'[[devices]]\naddress = "weather/1"\n{values}')
                place = f'[[devices]] "weather/1" [[values]] "a" {key}: '
                self.assertTrue(fault.startswith(f"sensord.toml: {place}"), fault)

    def test_zeroIsNoIdleTimeoutAndNoWindow(self) -> None:
        """
        Zero is a good idle timeout, commit window and quarantine.
        """
        text = "[store]\ncommit_window = 0\nmax_quarantine = 0\n" + WEATHER + "idle_timeout = 0\n"
        self.assertEqual(self.faults(text), [])

    def test_aListenersNameIsPartOfAddresses(self) -> None:
        """
        A listener's name has letters, digits, points, dashes and underscores, and there is one.
        """
        for name in ("", "a/b", "a b", "wetter\u00e4", "a" * 65):
            text = f'[[listeners]]\nname = "{name}"\nwire = "poe"\nlisten = "tcp:1"\n'
            [fault] = self.faults(text)
            self.assertIn("name: expected `str`", fault)
        good = '[[listeners]]\nname = "Poe-2.east_wing"\nwire = "poe"\nlisten = "tcp:1"\n'
        self.assertEqual(self.faults(good), [])

    def test_aListenersNameHasNoLineEnd(self) -> None:
        """
        A listener's name does not end in a line end, which would break every line of the log.
        """
        text = '[[listeners]]\nname = "poe\\n"\nwire = "poe"\nlisten = "tcp:1"\n'
        self.assertEqual(len(self.faults(text)), 1)

    def test_anUnknownWireIsNamedWithWhatItMeant(self) -> None:
        """
        A wire format that is not known is a fault that lists those that are.
        """
        text = '[[listeners]]\nname = "w"\nwire = "esp8265"\nlisten = "tcp:1"\n'
        [fault] = self.faults(text)
        start = 'sensord.toml: [[listeners]] "w" wire: "esp8265" is not one of '
        self.assertTrue(fault.startswith(start), fault)
        for wire in WIRES:
            self.assertIn(wire, fault)
        self.assertTrue(fault.endswith('; did you mean "esp8266"?'), fault)

    def test_anUnknownBackdateIsNamed(self) -> None:
        """
        Measurements are stamped in one of two ways, and no other.
        """
        self.assertFaults(
            WEATHER + 'backdate = "exact"\n',
            '[[listeners]] "weather" backdate: "exact" is not one of corrected, original',
        )

    def test_eachNetworkThatIsNoneIsNamed(self) -> None:
        """
        Every text in C{allow} that is no network is a fault of its own.
        """
        faults = self.faults(WEATHER + 'allow = ["10.0.0.0/33", "10.0.0.0/8", "home", ""]\n')
        self.assertEqual(len(faults), 3)
        for fault, text in zip(faults, ("10.0.0.0/33", "home", ""), strict=True):
            start = f"sensord.toml: [[listeners]] \"weather\" allow: '{text}' "
            self.assertTrue(fault.startswith(start), fault)

    def test_aRetentionThatIsNoSpanIsNamed(self) -> None:
        """
        A retention that cannot be read is a fault that shows how to write it.
        """
        for text in ("", "90", "soon", "90days", "-1d", "1d2h", " 1d", "1e3d"):
            self.assertFaults(
                f'[store]\nretention = "{text}"\n',
                f'[store] retention: "{text}" is no time span;'
                ' write e.g. "90d", "12h" or "forever"',
            )

    def test_aBoundThatIsNoneIsNamed(self) -> None:
        """
        Both bounds of a threshold are checked, each under its key.
        """
        self.assertFaults(
            '[[thresholds]]\nwarning = "=> 5"\ncritical = "high"\n',
            '[[thresholds]] 1 warning: "=> 5" is no bound; write e.g. ">= 160", "< 5" or "== 0"',
            '[[thresholds]] 1 critical: "high" is no bound; write e.g. ">= 160", "< 5" or "== 0"',
        )

    def test_anAddressHasTwoParts(self) -> None:
        """
        A device's address is a listener and an id with a slash between.
        """
        for address in ("weather", "weather/", "/1", "/"):
            self.assertIn(
                f'sensord.toml: [[devices]] "{address}" address: "{address}"'
                " is not of the form <listener>/<id>",
                self.faults(f'[[devices]]\naddress = "{address}"\n'),
            )

    def test_aNameWithASlashIsRefused(self) -> None:
        """
        A device's name must not look like an address.
        """
        self.assertFaults(
            '[[devices]]\naddress = "poe/10.0.0.1"\nname = "up/down"\n',
            '[[devices]] "up/down" name: a slash would make it look like an address',
        )

    def test_anAddressWithoutItsListenerIsNamed(self) -> None:
        """
        A device of a listener that does not exist is a fault, with the listener that was meant.
        """
        self.assertFaults(
            WEATHER + '[[devices]]\naddress = "wether/1"\n',
            '[[devices]] "wether/1" address: there is no listener "wether";'
            ' did you mean "weather"?',
        )
        self.assertFaults(
            WEATHER + '[[devices]]\naddress = "poe/10.0.0.1"\nname = "hall"\n',
            '[[devices]] "hall" address: there is no listener "poe"',
        )

    def test_anIdThatNoPacketCanHaveIsNamed(self) -> None:
        """
        The id of a battery device is a number from 0 to 255.
        """
        for id in ("256", "-1", "one", "1.0", "0x1", " 1", "\u00b2", "1/2", "9" * 180):
            self.assertFaults(
                f'[[devices]]\naddress = "weather/{id}"\nvalues = [{{ name = "a", type = "H" }}]\n',
                f'[[devices]] "weather/{id}" address: "{id}" is no device id from 0 to 255',
            )
        for id in ("0", "1", "255"):
            text = (
                f'[[devices]]\naddress = "weather/{id}"\nvalues = [{{ name = "a", type = "H" }}]\n'
            )
            self.assertEqual(self.faults(text), [])

    def test_anyHostMayBeAPoeDevice(self) -> None:
        """
        The id of a PoE Arduino is its network address, and it needs no values.
        """
        for id in ("192.168.1.7", "fe80::1%eth0", "local"):
            self.assertEqual(self.faults(f'[[devices]]\naddress = "poe/{id}"\n'), [])
        self.assertFaults(
            '[[devices]]\naddress = "poe/300"\n',
            '[[devices]] "poe/300" address: "300" is no network address, by which PoE devices are'
            " known",
        )

    def test_aBatteryDeviceNeedsItsValues(self) -> None:
        """
        A battery device without values is a fault, since its packets do not say what is in them.
        """
        self.assertFaults(
            '[[devices]]\naddress = "weather/1"\n',
            '[[devices]] "weather/1" values: is missing;'
            " packets do not say themselves what they contain",
        )

    def test_aBatteryDeviceNeedsItsTypes(self) -> None:
        """
        Every value of a battery device says how it is packed.
        """
        values = 'values = [{ name = "light", type = "H" }, { name = "rain" }]\n'
        [fault] = self.faults(f'[[devices]]\naddress = "weather/1"\n{values}')
        self.assertTrue(fault.startswith('sensord.toml: [[devices]] "weather/1" '), fault)
        self.assertTrue(fault.endswith('"rain" type: is missing'), fault)

    def test_aTypeThatIsNoneIsNamed(self) -> None:
        """
        A value's type is one of the codes, one at a time.
        """
        for type in ("x", "bB", "u16", " ", "<H"):
            self.assertFaults(
                '[[devices]]\naddress = "poe/10.0.0.1"\n'
                f'values = [{{ name = "a", type = "{type}" }}]\n',
                f'[[devices]] "poe/10.0.0.1" [[values]] "a" type: "{type}" is not one of'
                " b B h H i I l L q Q f d ?",
            )

    def test_clashingNamesAreNamed(self) -> None:
        """
        Two listeners, two devices or two values of one device do not share a name.
        """
        self.assertFaults(WEATHER + WEATHER, '[[listeners]] "weather" name: is used twice')
        one = '[[devices]]\naddress = "poe/10.0.0.1"\nname = "hall"\n'
        two = '[[devices]]\naddress = "poe/10.0.0.2"\nname = "hall"\n'
        self.assertFaults(one + two, '[[devices]] "hall" name: is used twice')
        self.assertFaults(
            '[[devices]]\naddress = "poe/10.0.0.1"\nvalues = [{ name = "a" }, { name = "a" }]\n',
            '[[devices]] "poe/10.0.0.1" values: the name "a" is used twice',
        )

    def test_aDeviceIsDescribedOnce(self) -> None:
        """
        One address has one description; devices without names do not clash.
        """
        one = '[[devices]]\naddress = "poe/10.0.0.1"\n'
        two = '[[devices]]\naddress = "poe/10.0.0.2"\n'
        self.assertFaults(one + two + one, '[[devices]] "poe/10.0.0.1" address: is described twice')
        self.assertEqual(self.faults(one + two), [])

    def test_aDeviceIsDescribedOnceHoweverItsIdIsWritten(self) -> None:
        """
        Two descriptions of one battery device are a fault also when one writes its id 01.
        """
        values = 'values = [{ name = "a", type = "H" }]\n'
        one = f'[[devices]]\naddress = "weather/1"\n{values}'
        two = f'[[devices]]\naddress = "weather/01"\n{values}'
        self.assertEqual(len(self.faults(one + two)), 1)

    def test_twoValuesDoNotShareAField(self) -> None:
        """
        One value on the wire is not given two names, of which one would never be heard.
        """
        values = '[{ name = "a", field = "fire.1" }, { name = "b", field = "fire.1" }]'
        text = f'[[devices]]\naddress = "poe/10.0.0.1"\nvalues = {values}\n'
        self.assertEqual(len(self.faults(text)), 1)

    def test_everyFaultIsFoundInOneGo(self) -> None:
        """
        Faults in several tables are told in one go, each in its line.
        """
        self.assertFaults(
            '[stroe]\n[store]\nretention = "soon"\n'
            + WEATHER
            + 'alow = []\n[[devices]]\naddress = "poe"\n[[thresholds]]\nwarning = "?"\n',
            'stroe: unknown table; did you mean "store"?',
            '[store] retention: "soon" is no time span; write e.g. "90d", "12h" or "forever"',
            '[[listeners]] "weather" alow: unknown key; did you mean "allow"?',
            '[[devices]] "poe" address: "poe" is not of the form <listener>/<id>',
            '[[thresholds]] 1 warning: "?" is no bound; write e.g. ">= 160", "< 5" or "== 0"',
        )

    def test_clashesBetweenTablesAreFoundInOneGo(self) -> None:
        """
        Of faults between the tables, too, not only the first is told.
        """
        self.assertFaults(
            POE + POE + '[[devices]]\naddress = "pro/1"\n[[devices]]\naddress = "radio/1"\n',
            '[[listeners]] "poe" name: is used twice',
            '[[devices]] "pro/1" address: there is no listener "pro"; did you mean "poe"?',
            '[[devices]] "radio/1" address: there is no listener "radio"',
        )

    def test_everyFaultOfADeviceIsFoundInOneGo(self) -> None:
        """
        Of several faults of one device, too, not only the first is told.
        """
        self.assertFaults(
            '[[devices]]\naddress = "weather/300"\n',
            '[[devices]] "weather/300" address: "300" is no device id from 0 to 255',
            '[[devices]] "weather/300" values: is missing;'
            " packets do not say themselves what they contain",
        )

    def test_theErrorReadsAsItsLines(self) -> None:
        """
        The error's text is its faults, a line each.
        """
        error = self.assertRaises(ConfigError, parse, {"stor": {}, "listeners": 3}, "a.toml")
        lines = 'a.toml: stor: unknown table; did you mean "store"?', "a.toml: listeners: expected"
        self.assertEqual(str(error), "\n".join(error.faults))
        self.assertEqual(len(error.faults), 2)
        for line, fault in zip(lines, sorted(error.faults, reverse=True), strict=True):
            self.assertTrue(fault.startswith(line), fault)


class LoadTests(SynchronousTestCase):
    """
    Reading a file.
    """

    def setUp(self) -> None:
        """
        Name a file in a folder of its own.
        """
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.path = folder / "house.toml"

    def assertUnreadable(self, path: Path) -> str:
        """
        Check that a file is refused in one line that begins with its path.

        @return: the rest of the line.
        """
        error = self.assertRaises(ConfigError, load, path)
        [fault] = error.faults
        self.assertTrue(fault.startswith(f"{path}: "), fault)
        self.assertNotIn("\n", fault)
        return str(fault.removeprefix(f"{path}: "))

    def test_aFileIsRead(self) -> None:
        """
        A file says the same as its text, degree signs included.
        """
        self.path.write_text(FULL, encoding="utf-8")
        settings = load(self.path)
        store = structs.replace(FULL_SETTINGS.store, path=settings.store.path)
        self.assertEqual(settings, structs.replace(FULL_SETTINGS, store=store))

    def test_theDatabaseIsBesideTheFile(self) -> None:
        """
        The store's path counts from the folder of the file, not from where the daemon runs.
        """
        folder = self.path.parent.as_posix()
        self.path.write_text("")
        self.assertEqual(load(self.path).store.path, f"{folder}/sensord.sqlite")
        self.path.write_text('[store]\npath = "data/readings.sqlite"\n')
        self.assertEqual(load(self.path).store.path, f"{folder}/data/readings.sqlite")

    def test_anAbsolutePathStays(self) -> None:
        """
        A store's path that begins at the root is taken as it is.
        """
        self.path.write_text('[store]\npath = "/var/lib/sensord/readings.sqlite"\n')
        self.assertEqual(load(self.path).store.path, "/var/lib/sensord/readings.sqlite")

    def test_theFilesOfASubscriberAreBesideTheFile(self) -> None:
        """
        Certificates and the registry of an MQTT listener count from the folder of the file; those
        that are not set stay so, and one that begins at the root is taken as it is.
        """
        folder = self.path.parent.as_posix()
        text = '[[listeners]]\nname = "h"\nwire = "mqtt"\ntopic = "/h/{device}/data"\n'
        self.path.write_text(text)
        (one,) = load(self.path).listeners
        assert isinstance(one, SubscriberSettings)
        self.assertEqual((one.ca, one.cert, one.key, one.registry), ("", "", "", ""))
        files = 'broker = "tls:h"\nca = "/etc/ca.pem"\ncert = "c.pem"\nkey = "keys/k.pem"\n'
        self.path.write_text(text + files + 'registry = "h.json"\n')
        (one,) = load(self.path).listeners
        assert isinstance(one, SubscriberSettings)
        self.assertEqual((one.ca, one.cert), ("/etc/ca.pem", f"{folder}/c.pem"))
        self.assertEqual((one.key, one.registry), (f"{folder}/keys/k.pem", f"{folder}/h.json"))

    def test_aMissingFileIsNamed(self) -> None:
        """
        A file that is not there is named, with what the system says.
        """
        self.assertEqual(self.assertUnreadable(self.path), "No such file or directory")

    def test_aFolderIsNoFile(self) -> None:
        """
        A path that cannot be read is named, with what the system says.
        """
        self.assertEqual(self.assertUnreadable(self.path.parent), "Is a directory")

    def test_bytesThatAreNoTextAreNamed(self) -> None:
        """
        A file that is not UTF-8 is named.
        """
        self.path.write_bytes(b'[store]\npath = "caf\xe9"\n')
        self.assertIn("utf-8", self.assertUnreadable(self.path))

    def test_aSyntaxErrorIsNamedWithItsLine(self) -> None:
        """
        TOML that cannot be read is named with the line and the column.
        """
        self.path.write_text('[store]\npath "x"\n')
        self.assertIn("(at line 2, column 6)", self.assertUnreadable(self.path))

    def test_aKeyWrittenTwiceIsASyntaxError(self) -> None:
        """
        A key that stands twice in a table is refused rather than taken once.
        """
        self.path.write_text('[store]\npath = "a"\npath = "b"\n')
        self.assertIn("line 3", self.assertUnreadable(self.path))

    def test_faultsNameTheFile(self) -> None:
        """
        Every fault of a file begins with the file's name.
        """
        self.path.write_text("[stor]\n[[listeners]]\n")
        error = self.assertRaises(ConfigError, load, self.path)
        self.assertEqual(len(error.faults), 4)
        for fault in error.faults:
            self.assertTrue(fault.startswith("house.toml: "), fault)


class DumpTests(SynchronousTestCase):
    """
    Writing settings down.
    """

    def test_whatIsDumpedIsLoaded(self) -> None:
        """
        Settings that were written to a file are read from it unchanged.
        """
        path = Path(self.mktemp()).absolute()
        store = structs.replace(FULL_SETTINGS.store, path="/data/readings.sqlite")
        settings = structs.replace(FULL_SETTINGS, store=store)
        path.write_text(dump(settings), encoding="utf-8")
        self.assertEqual(load(path), settings)

    def test_aSubscriberIsDumped(self) -> None:
        """
        The settings of an MQTT listener, and the tags of all series, come back as they went; its
        password is not shown.
        """
        one = SubscriberSettings("h", "mqtt", "/h/{device}/{name}", user="u", columns=("a", "b"))
        settings = Settings(listeners=(one,), tags={"group": "a b", "hub": "h"})
        self.assertEqual(parse(tomllib.loads(dump(settings))), settings)
        secret = structs.replace(one, password=Secret("hunter2"))
        self.assertNotIn("hunter2", dump(Settings(listeners=(secret,))))

    def test_allOfTheSettingsAreDumped(self) -> None:
        """
        What is dumped shows the defaults, too.
        """
        self.assertEqual(tomllib.loads(dump(Settings()))["store"]["max_pending"], 200_000)

    @PROPERTY
    @given(
        strategies.dictionaries(strategies.text(max_size=5), strategies.text(max_size=20)),
        strategies.floats(-1e30, 1e30),
        strategies.text(min_size=1, max_size=20),
    )
    def test_anyTextAndNumberSurvives(self, tags: dict[str, str], scale: float, name: str) -> None:
        """
        Quotes, line ends and numbers of any size come back as they went.
        """
        value = ValueSettings(name, scale=scale, unit=name)
        devices = (DeviceSettings("poe/10.0.0.1", tags=tags, values=(value,)),)
        settings = Settings(devices=devices)
        self.assertEqual(parse(tomllib.loads(dump(settings))), settings)


class SpanTests(SynchronousTestCase):
    """
    Time spans.
    """

    def test_everyUnitIsKnown(self) -> None:
        """
        A span is a number of seconds, minutes, hours, days, weeks or years.
        """
        units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 365.25 * 86400}
        for unit, seconds in units.items():
            self.assertEqual(span(f"1{unit}"), seconds)
            self.assertEqual(span(f"12{unit}"), 12 * seconds)

    def test_spansMayHaveFractionsAndABlank(self) -> None:
        """
        Half an hour may be written C{0.5h}, and C{0.5 h}.
        """
        self.assertEqual([span("0.5h"), span("0.5 h"), span("0s")], [1800, 1800, 0])

    def test_foreverIsNoNumber(self) -> None:
        """
        Readings that are kept for ever have no last day.
        """
        self.assertIs(span("forever"), None)

    def test_anythingElseIsRefused(self) -> None:
        """
        What cannot be read is an error rather than a guess.
        """
        for text in ("", "d", "1", "1D", "1d ", "1d\n", "-1d", ".5d", "1.d", "Forever", "1 month"):
            self.assertRaises(ValueError, span, text)


class BoundTests(SynchronousTestCase):
    """
    Bounds of thresholds.
    """

    def test_everyOperatorIsKnown(self) -> None:
        """
        A bound may compare in five ways.
        """
        for operator in ("<", "<=", "==", ">=", ">"):
            self.assertEqual(bound(f"{operator} 5"), (operator, 5.0))

    def test_blanksDoNotMatter(self) -> None:
        """
        A bound may be written close together or wide apart.
        """
        for text in (">=160", ">= 160", "  >=   160  "):
            self.assertEqual(bound(text), (">=", 160.0))

    def test_numbersMayBeNegativeOrFractions(self) -> None:
        """
        A bound may lie below zero and between whole numbers.
        """
        self.assertEqual([bound("< -4.5"), bound("> 0.25")], [("<", -4.5), (">", 0.25)])

    def test_anythingElseIsRefused(self) -> None:
        """
        What cannot be read is an error rather than a guess.
        """
        for text in ("", "5", ">=", "=> 5", "= 5", "!= 5", "> five", "> 5 6", "> nan", "> - 5"):
            self.assertRaises(ValueError, bound, text)

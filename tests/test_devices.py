"""
Tests for L{sensord.devices}.
"""

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from sensord.config import DEFAULTS, STOCK, Settings
from sensord.devices import SOURCES, Description, Devices
from sensord.settings import DeviceSettings, ThresholdSettings, ValueSettings
from sensord.wires import (
    WIRES,
    FrameSettings,
    LineSettings,
    MessageSettings,
    PacketSettings,
    RadioSettings,
    SerialSettings,
    SubscriberSettings,
)


class DevicesTests(SynchronousTestCase):
    """
    What is known of a series.
    """

    LISTENERS = (
        PacketSettings("weather", "esp8266", "tcp:0"),
        FrameSettings("poe", "poe", "tcp:0"),
        LineSettings("lines", "lines", "tcp:0"),
        MessageSettings("pages", "websocket", "tcp:0"),
        MessageSettings("farm", "websocket", "tcp:0", columns=("temperature",)),
        SerialSettings("desk", "serial", "/dev/ttyUSB0"),
        RadioSettings("radio", "rfm2pi", "/dev/ttyAMA0"),
    )

    def describe(
        self,
        device: str,
        name: str,
        devices: Sequence[DeviceSettings] = (),
        thresholds: Sequence[ThresholdSettings] = (),
    ) -> Description:
        """
        Describe a series, given some tables of the configuration.
        """
        settings = Settings(
            listeners=self.LISTENERS, devices=tuple(devices), thresholds=tuple(thresholds)
        )
        return Devices(settings).describe(device, name)

    def test_everyWireFormatCanBeDecoded(self) -> None:
        """
        Each wire format that a listener can speak has something that decodes it.
        """
        self.assertEqual(set(SOURCES), set(WIRES))

    def test_theStockDeviceHasItsUnits(self) -> None:
        """
        Without a configuration file the stock device's values have their units.
        """
        devices = Devices(DEFAULTS)
        units = [devices.describe("weather/1", value.name).unit for value in STOCK]
        self.assertEqual(units, ["lx", "%", "°C"])

    def test_aDescribedDeviceIsFoundByItsName(self) -> None:
        """
        A series of a device with a name has the address, the unit and the tags of its description.
        """
        values = (ValueSettings("light", "H", unit="lx"), ValueSettings("rain", "H"))
        device = DeviceSettings("weather/1", "balcony", {"floor": "3"}, values)
        described = self.describe("balcony", "light", [device])
        expected = Description("weather/1", "esp8266", "light", "lx", {"floor": "3"})
        self.assertEqual(described, expected)
        self.assertEqual(self.describe("balcony", "rain", [device]).unit, "")
        self.assertEqual(self.describe("balcony", "snow", [device]).tags, {"floor": "3"})

    def test_tagsOfAllSeriesGoBehindThoseOfTheirDevice(self) -> None:
        """
        Each series has the tags of the configuration, described or not; a tag of its device goes
        before them.
        """
        device = DeviceSettings("weather/1", "balcony", {"floor": "3", "hub": "own"})
        settings = Settings(
            listeners=self.LISTENERS, devices=(device,), tags={"hub": "h7", "group": "acme"}
        )
        devices = Devices(settings)
        for name, tags in (
            ("balcony", {"hub": "own", "group": "acme", "floor": "3"}),
            ("weather/1", {"hub": "own", "group": "acme", "floor": "3"}),
            ("weather/2", {"hub": "h7", "group": "acme"}),
            ("gone/1", {"hub": "h7", "group": "acme"}),
        ):
            self.assertEqual(devices.describe(name, "light").tags, tags)
        self.assertEqual(settings.tags, {"hub": "h7", "group": "acme"})
        self.assertEqual(device.tags, {"floor": "3", "hub": "own"})

    def test_messagesAreDescribedByWhatTheWireCallsThem(self) -> None:
        """
        A value of an MQTT device has the unit of its description, by the name in its payload.
        """
        values = (ValueSettings("heat", field="DS18B20.Temperature", unit="°C"),)
        device = DeviceSettings("farm7/h7/x", "boiler", values=values)
        farm = SubscriberSettings("farm7", "mqtt", "/{hub}/{device}/data")
        devices = Devices(Settings(listeners=(farm,), devices=(device,)))
        expected = Description("farm7/h7/x", "mqtt", "DS18B20.Temperature", "°C")
        self.assertEqual(devices.describe("boiler", "heat"), expected)
        self.assertEqual(
            devices.describe("farm7/h7/y", "temperature"),
            Description("farm7/h7/y", "mqtt", "temperature"),
        )

    def test_anUndescribedDeviceIsItsAddress(self) -> None:
        """
        A series of a device without a description has an address and a wire format, no more.
        """
        described = self.describe("weather/9", "light")
        self.assertEqual(described, Description("weather/9", "esp8266", "light"))

    def test_aDeviceOfNoListenerHasNoWire(self) -> None:
        """
        A series that came by a listener that is gone, or by none, has no wire format.
        """
        for device in ("attic/1", "balcony", "poetry/1"):
            described = self.describe(device, "fire.1")
            self.assertEqual(described, Description(device, "", "fire.1"))

    def test_aRenamedFieldIsRemembered(self) -> None:
        """
        A series with a name of its own remembers what the wire calls it.
        """
        values = (ValueSettings("oven", field="temperature.18"), ValueSettings("smoke.1"))
        device = DeviceSettings("poe/10.0.0.1", "kitchen", values=values)
        self.assertEqual(self.describe("kitchen", "oven", [device]).field, "temperature.18")
        self.assertEqual(self.describe("kitchen", "smoke.1", [device]).field, "smoke.1")
        self.assertEqual(self.describe("kitchen", "fire.1", [device]).field, "fire.1")

    def test_temperaturesOfArduinosAreFahrenheit(self) -> None:
        """
        A PoE Arduino's temperatures are in degrees Fahrenheit, renamed ones included; no other
        value has a unit, and no other wire format's temperature has.
        """
        values = (ValueSettings("oven", field="temperature.18"),)
        device = DeviceSettings("poe/10.0.0.1", "kitchen", values=values)
        self.assertEqual(self.describe("poe/10.0.0.2", "temperature.1").unit, "°F")
        self.assertEqual(self.describe("kitchen", "oven", [device]).unit, "°F")
        for name in ("fire.1", "smoke.1", "motion.1", "humidity.1", "water.1", "temperature"):
            self.assertEqual(self.describe("poe/10.0.0.2", name).unit, "", name)
        self.assertEqual(self.describe("weather/1", "temperature.1").unit, "")

    def test_aDescribedUnitGoesFirst(self) -> None:
        """
        A unit in the description counts instead of what is usual.
        """
        values = (ValueSettings("temperature.18", unit="°C"),)
        device = DeviceSettings("poe/10.0.0.1", values=values)
        self.assertEqual(self.describe("poe/10.0.0.1", "temperature.18", [device]).unit, "°C")
        self.assertEqual(self.describe("poe/10.0.0.1", "temperature.19", [device]).unit, "°F")

    def test_numberedValuesRememberTheirPlace(self) -> None:
        """
        A described value of a format that numbers its values remembers the place at which it
        stands, and its unit; the others are called by their place.
        """
        values = (
            ValueSettings("power", unit="W"),
            ValueSettings("voltage", unit="V", field="5"),
            ValueSettings("current"),
        )
        for address, places in (
            ("lines/15", ("1", "5", "3")),
            ("desk/15", ("1", "5", "3")),
            ("radio/10", ("1", "2", "3")),
        ):
            device = DeviceSettings(address, "meter", values=values)
            described = [self.describe("meter", value.name, [device]) for value in values]
            self.assertEqual(tuple(one.field for one in described), places, address)
            self.assertEqual([one.unit for one in described], ["W", "V", ""])
            self.assertEqual(self.describe("meter", "7", [device]).field, "7")
            self.assertEqual({one.wire for one in described}, {self.describe(address, "1").wire})

    def test_theStockMessageIsInCelsius(self) -> None:
        """
        The temperature of a stock WebSocket device is in degrees Celsius, also when it has another
        name; not when it is scaled, and not where the columns are others.
        """
        self.assertEqual(self.describe("pages/1", "temperature").unit, "°C")
        self.assertEqual(self.describe("pages/1", "counter").unit, "")
        self.assertEqual(self.describe("farm/1", "temperature").unit, "")
        for value, unit in (
            (ValueSettings("outside", field="temperature"), "°C"),
            (ValueSettings("outside", field="temperature", unit="°F"), "°F"),
            (ValueSettings("outside", field="temperature", scale=1.8, offset=32), ""),
            (ValueSettings("outside", field="counter"), ""),
        ):
            device = DeviceSettings("pages/1", "balcony", values=(value,))
            described = self.describe("balcony", "outside", [device])
            self.assertEqual((described.unit, described.field), (unit, value.field))

    def test_signalsHaveTheirUnit(self) -> None:
        """
        How strong a radio node was received is in dBm, described or not; a value of its own that
        is called rssi is not, nor is one of another wire format.
        """
        self.assertEqual(
            self.describe("radio/10", "rssi"), Description("radio/10", "rfm2pi", "rssi", "dBm")
        )
        device = DeviceSettings("radio/10", "cellar", values=(ValueSettings("power"),))
        self.assertEqual(self.describe("cellar", "rssi", [device]).unit, "dBm")
        device = DeviceSettings("radio/10", "cellar", values=(ValueSettings("rssi"),))
        described = self.describe("cellar", "rssi", [device])
        self.assertEqual((described.unit, described.field), ("", "1"))
        self.assertEqual(self.describe("cellar", "rssi_", [device]).unit, "dBm")
        self.assertEqual(self.describe("lines/10", "rssi").unit, "")

    def test_arduinosHaveTheirThresholds(self) -> None:
        """
        Fire is critical at 0, smoke a warning from 160 and critical from 200, motion critical at 1,
        humidity critical from 80, temperature critical above 82, and water never.
        """
        expected = {
            "fire.255": (("critical", "==", 0.0),),
            "smoke.1": (("critical", ">=", 200.0), ("warning", ">=", 160.0)),
            "motion.1": (("critical", "==", 1.0),),
            "humidity.1": (("critical", ">=", 80.0),),
            "temperature.1": (("critical", ">", 82.0),),
            "water.1": (),
        }
        for name, thresholds in expected.items():
            self.assertEqual(self.describe("poe/10.0.0.1", name).thresholds, thresholds, name)

    def test_arduinosBehindABrokerAreTheSame(self) -> None:
        """
        What PoE Arduinos say to a broker has the units and the thresholds that it has without one.
        """
        for payload, unit, count in (("poe", "°F", 1), ("text", "", 0)):
            listener = SubscriberSettings("farm", "mqtt", "poe/{device}", payload=payload)
            described = Devices(Settings(listeners=(listener,)))
            found = described.describe("farm/a1", "temperature.1")
            self.assertEqual((found.unit, len(found.thresholds)), (unit, count))

    def test_aRenamedValueKeepsItsThresholds(self) -> None:
        """
        A value that was given another name has the thresholds of what it is.
        """
        values = (
            ValueSettings("alarm", field="fire.1"),
            ValueSettings("fire.drill", field="water.1"),
        )
        device = DeviceSettings("poe/10.0.0.1", "kitchen", values=values)
        alarm = self.describe("kitchen", "alarm", [device])
        self.assertEqual(alarm.thresholds, (("critical", "==", 0.0),))
        self.assertEqual(self.describe("kitchen", "fire.drill", [device]).thresholds, ())

    def test_otherDevicesHaveNoThresholds(self) -> None:
        """
        The thresholds of PoE Arduinos are not those of other devices.
        """
        for name in ("fire.1", "smoke.1", "temperature.1"):
            for device in ("weather/1", "lines/1", "pages/1", "desk/1", "radio/1"):
                self.assertEqual(self.describe(device, name).thresholds, (), device)

    def test_anyReadingMayHaveThresholds(self) -> None:
        """
        A threshold of the configuration holds for any device of any protocol that it names.
        """
        rule = ThresholdSettings("balc*", "humidity", warning=">= 70", critical=">= 80.5")
        device = DeviceSettings("weather/1", "balcony")
        found = self.describe("balcony", "humidity", [device], [rule])
        bounds = (("critical", ">=", 80.5), ("warning", ">=", 70.0))
        self.assertEqual(found.thresholds, bounds)
        self.assertEqual(self.describe("balcony", "light", [device], [rule]).thresholds, ())
        self.assertEqual(self.describe("garden", "humidity", [device], [rule]).thresholds, ())
        for address, name in (
            ("lines/15", "1"),
            ("pages/1", "temperature"),
            ("desk/3", "2"),
            ("radio/10", "rssi"),
        ):
            rule = ThresholdSettings(address, name, warning="< 5")
            found = self.describe(address, name, thresholds=[rule])
            self.assertEqual(found.thresholds, (("warning", "<", 5.0),), address)

    def test_ownThresholdsGoFirst(self) -> None:
        """
        A threshold of the configuration counts instead of a built-in one, whole, and leaves the
        others as they are.
        """
        rule = ThresholdSettings(name="smoke.1", warning="> 10")
        found = self.describe("poe/10.0.0.1", "smoke.1", thresholds=[rule])
        self.assertEqual(found.thresholds, (("warning", ">", 10.0),))
        found = self.describe("poe/10.0.0.1", "smoke.2", thresholds=[rule])
        self.assertEqual(len(found.thresholds), 2)

    def test_anEmptyThresholdIsNever(self) -> None:
        """
        A threshold without bounds takes the built-in ones away.
        """
        rule = ThresholdSettings("poe/10.0.0.1", "fire.*")
        found = self.describe("poe/10.0.0.1", "fire.1", thresholds=[rule])
        self.assertEqual(found.thresholds, ())
        found = self.describe("poe/10.0.0.2", "fire.1", thresholds=[rule])
        self.assertEqual(found.thresholds, (("critical", "==", 0.0),))

    def test_theFirstThresholdThatFitsCounts(self) -> None:
        """
        Of several thresholds that fit a series the first in the file counts.
        """
        rules = [
            ThresholdSettings("balcony", "light", warning="> 1"),
            ThresholdSettings("balcony", "l?ght", warning="> 2"),
            ThresholdSettings(warning="> 3"),
        ]
        for device, name, number in (
            ("balcony", "light", 1.0),
            ("balcony", "lOght", 2.0),
            ("balcony", "Light", 3.0),
            ("garden", "light", 3.0),
        ):
            found = self.describe(device, name, thresholds=rules)
            self.assertEqual(found.thresholds, (("warning", ">", number),), (device, name))

    def test_anOwnThresholdGoesByTheNewName(self) -> None:
        """
        A threshold of the configuration names a value as its readings do, not as the wire does.
        """
        values = (ValueSettings("oven", field="temperature.18"),)
        device = DeviceSettings("poe/10.0.0.1", "kitchen", values=values)
        rule = ThresholdSettings("kitchen", "oven", critical="> 500")
        found = self.describe("kitchen", "oven", [device], [rule])
        self.assertEqual(found.thresholds, (("critical", ">", 500.0),))

"""
Tests for L{sensord.sinks.discovery}.
"""

import re
from collections.abc import Mapping
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import json
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sensord import __version__
from sensord.brokers import Publication
from sensord.reading import Value
from sensord.sinks import Entry, Series
from sensord.sinks.discovery import SPELLINGS, UNITS, Discovery
from tests.support import PROPERTY

#: What Home Assistant takes as an object id.
OBJECT = "[A-Za-z0-9_-]+"

#: What it calls the state classes that a device class may have, if these are not measurements.
TOTALS = ("energy",)


def entry(
    name: str,
    value: Value,
    unit: str = "",
    device: str = "balcony",
    tags: Mapping[str, str] = {},
) -> Entry:
    """
    A reading.
    """
    return Entry(1, Series(device, name, unit, tags, "weather/1"), 1, value)


class DiscoveryTestCase(SynchronousTestCase):
    """
    Nothing was announced yet.
    """

    format = "value"

    def setUp(self) -> None:
        """
        Begin.
        """
        self.interval = 0.0
        self.discovery = self.make()

    def make(self, prefix: str = "sensord") -> Discovery:
        """
        One that knows nothing.
        """
        return Discovery("homeassistant", prefix, self.format, lambda address: self.interval)

    def announced(self, *entries: Entry) -> dict[str, Any]:
        """
        What is announced when readings come.
        """
        (one,) = self.discovery.meet(entries)
        return self.content(one)

    def content(self, one: Publication) -> dict[str, Any]:
        """
        What an announcement says.
        """
        self.assertTrue(one.retain)
        self.assertRegex(one.topic, f"^homeassistant/device/{OBJECT}/config$")
        content: dict[str, Any] = json.decode(one.payload)
        return content

    def component(self, *entries: Entry) -> dict[str, Any]:
        """
        The only thing that is announced.
        """
        (component,) = self.announced(*entries)["cmps"].values()
        made: dict[str, Any] = component
        return made


class AnnouncementTests(DiscoveryTestCase):
    """
    What is announced of a device.
    """

    def test_device(self) -> None:
        """
        A device has a name, a place, and a topic that tells whether we are there.
        """
        content = self.announced(
            entry("temperature", 21.5, "°C", tags={"place": "south"}),
            entry("humidity", 40, "%", tags={"place": "south"}),
        )
        self.assertEqual(content["dev"]["name"], "balcony")
        self.assertEqual(content["dev"]["sa"], "south")
        self.assertEqual(content["o"], {"name": "sensord", "sw": __version__})
        self.assertEqual(content["avty_t"], "sensord/status")
        self.assertEqual(
            [component["name"] for component in content["cmps"].values()],
            ["temperature", "humidity"],
        )

    def test_value(self) -> None:
        """
        A value has an id of its own, a topic, a unit, and what follows from the unit.
        """
        component = self.component(entry("temperature", 21.5, "°C"))
        self.assertRegex(component.pop("uniq_id"), f"^sensord_balcony_temperature_{OBJECT}$")
        self.assertEqual(
            component,
            {
                "p": "sensor",
                "name": "temperature",
                "stat_t": "sensord/balcony/temperature",
                "unit_of_meas": "°C",
                "dev_cla": "temperature",
                "stat_cla": "measurement",
            },
        )

    def test_flag(self) -> None:
        """
        What is true or false is shown as on or off.
        """
        component = self.component(entry("motion", True))
        self.assertEqual(component["p"], "binary_sensor")
        self.assertEqual((component["pl_on"], component["pl_off"]), ("true", "false"))

    def test_text(self) -> None:
        """
        A text has neither a unit nor a class: Home Assistant would refuse it as no number.
        """
        component = self.component(entry("state", "closed", "%"))
        self.assertEqual(component["p"], "sensor")
        self.assertEqual({"unit_of_meas", "dev_cla", "stat_cla"} & set(component), set())

    def test_units(self) -> None:
        """
        Units say what a value is, some of them together with its name.
        """
        for name, unit, said, kind, state in (
            ("x", "°F", "°F", "temperature", "measurement"),
            ("x", "C", "°C", "temperature", "measurement"),
            ("humidity", "%", "%", "humidity", "measurement"),
            ("Battery", "%", "%", "battery", "measurement"),
            ("x", "%", "%", None, "measurement"),
            ("x", "W", "W", "power", "measurement"),
            ("x", "Wh", "Wh", "energy", "total_increasing"),
            ("x", "kWh", "kWh", "energy", "total_increasing"),
            ("x", "V", "V", "voltage", "measurement"),
            ("x", "A", "A", "current", "measurement"),
            ("x", "Hz", "Hz", "frequency", "measurement"),
            ("light", "lx", "lx", "illuminance", "measurement"),
            ("x", "hPa", "hPa", "atmospheric_pressure", "measurement"),
            ("rssi", "dBm", "dBm", "signal_strength", "measurement"),
            ("co2", "ppm", "ppm", "carbon_dioxide", "measurement"),
            ("x", "ppm", "ppm", None, "measurement"),
            ("rain", "mm", "mm", "precipitation", "measurement"),
            ("x", "furlong", "furlong", None, "measurement"),
            ("x", "", None, None, "measurement"),
        ):
            self.discovery = self.make()
            component = self.component(entry(name, 1, unit))
            self.assertEqual(component.get("unit_of_meas"), said)
            self.assertEqual(component.get("dev_cla"), kind, f"{name} in {unit}")
            self.assertEqual(component.get("stat_cla"), state)

    def test_table(self) -> None:
        """
        The table of units is sound: totals are counted, all else is measured.
        """
        for unit, meant in UNITS.items():
            self.assertNotIn(unit, SPELLINGS)
            expected = "total_increasing" if meant.kind in TOTALS else "measurement"
            self.assertEqual(meant.state, expected)
        self.assertLessEqual(set(SPELLINGS.values()), set(UNITS))

    def test_expiry(self) -> None:
        """
        A value has expired when its device is silent for far too long, if it is known how often
        it speaks.
        """
        self.assertNotIn("exp_aft", self.component(entry("a", 1)))
        self.interval = 3600.0
        self.assertEqual(self.component(entry("a", 1))["exp_aft"], 18060)
        self.interval = 4000.0
        self.assertEqual(self.discovery.meet([entry("a", 1)]), [])
        self.interval = 10.0
        self.assertEqual(self.component(entry("a", 1))["exp_aft"], 110)
        self.interval = 0.0
        self.assertNotIn("exp_aft", self.component(entry("a", 1)))


class NewsTests(DiscoveryTestCase):
    """
    When it is announced.
    """

    def test_once(self) -> None:
        """
        A device is announced when it is first heard, and when it has something new, all of it.
        """
        self.announced(entry("a", 1), entry("a", 2))
        self.assertEqual(self.discovery.meet([entry("a", 3)]), [])
        content = self.announced(entry("b", 1), entry("a", 4))
        self.assertEqual(len(content["cmps"]), 2)
        self.announced(entry("a", 1, "W"))
        self.announced(entry("a", 1, "W", tags={"place": "north"}))

    def test_each(self) -> None:
        """
        Each device is announced by itself.
        """
        ones = self.discovery.meet([entry("a", 1), entry("a", 1, device="cellar"), entry("b", 1)])
        self.assertEqual(
            [(self.content(one)["dev"]["name"], len(self.content(one)["cmps"])) for one in ones],
            [("balcony", 2), ("cellar", 1)],
        )
        self.assertEqual(list(self.discovery.all()), ones)

    def test_changes(self) -> None:
        """
        A value that becomes another kind of value is a text from then on, since anything is one.
        """
        self.assertEqual(self.component(entry("a", 1, "W"))["dev_cla"], "power")
        self.assertNotIn("dev_cla", self.component(entry("a", "broken", "W")))
        self.assertEqual(self.discovery.meet([entry("a", 1, "W"), entry("a", True, "W")]), [])

    def test_flagNoMore(self) -> None:
        """
        What was on or off and is no more is taken back, and announced as a text.
        """
        (old,) = self.announced(entry("a", True))["cmps"]
        components = self.announced(entry("a", 2))["cmps"]
        self.assertEqual(components.pop(old), {"p": "binary_sensor"})
        ((new, component),) = components.items()
        self.assertNotEqual(new, old)
        self.assertEqual(component["p"], "sensor")
        self.assertNotIn("stat_cla", component)

    def test_forget(self) -> None:
        """
        A device that is gone is announced no more. If it comes back, it is as if it was new.
        """
        (one,) = self.discovery.meet([entry("a/b", 1)])
        for _again in range(2):
            self.assertEqual(self.discovery.forget("balcony"), one.topic)
            self.assertEqual(list(self.discovery.all()), [])
        self.assertEqual(self.discovery.meet([entry("a/b", 1)]), [one])


class LimitTests(DiscoveryTestCase):
    """
    What a device that makes up names can do.
    """

    def test_components(self) -> None:
        """
        Only so much is announced of a device. That there is more is said once.
        """
        with capturedLogs() as captured:
            content = self.announced(*(entry(f"n{n}", 1) for n in range(250)))
            self.assertEqual(len(content["cmps"]), 200)
            self.assertEqual(self.discovery.meet([entry("more", 1)]), [])
        self.assertEqual(len(captured), 1)

    def test_devices(self) -> None:
        """
        Only so many devices are announced.
        """
        with capturedLogs() as captured:
            ones = self.discovery.meet([entry("a", 1, device=f"d{n}") for n in range(10_050)])
        self.assertEqual(len(ones), 10_000)
        self.assertEqual(len(captured), 1)


class IdTests(DiscoveryTestCase):
    """
    Ids.
    """

    def test_stable(self) -> None:
        """
        The ids of a value are the same after a restart, and differ between gateways that use the
        same broker.
        """
        (one,) = self.discovery.meet([entry("a", 1)])
        (again,) = self.make().meet([entry("a", 1)])
        self.assertEqual(one, again)
        (other,) = self.make("house").meet([entry("a", 1)])
        self.assertNotEqual(one.topic, other.topic)
        self.assertEqual(set(self.content(one)["cmps"]) & set(self.content(other)["cmps"]), set())

    @given(st.lists(st.text(), min_size=2, max_size=5, unique=True))
    @example(["", "\0"])
    @PROPERTY
    def test_apart(self, names: list[str]) -> None:
        """
        Whatever devices and values are called, each has an id that nothing else has.
        """
        discovery = self.make()
        ones = discovery.meet([entry(a, 1, device=b) for a in names for b in names])
        self.assertEqual(len({one.topic for one in ones}), len(names))
        ids = [id for one in ones for id in self.content(one)["cmps"]]
        self.assertEqual(len(set(ids)), len(names) ** 2)
        for id in ids:
            self.assertTrue(re.fullmatch(OBJECT, id))


class ObjectTests(DiscoveryTestCase):
    """
    Values in objects.
    """

    format = "json"

    def test_template(self) -> None:
        """
        A value is taken out of its object by its name.
        """
        for name, value, template in (
            ("a", 1, "{{ value_json.get('a', '') }}"),
            ("a", True, "{{ value_json.get('a', '') | lower }}"),
            ("it's", 1, r"{{ value_json.get('it\'s', '') }}"),
            ("\\", 1, r"{{ value_json.get('\\', '') }}"),
            ("\n}}", 1, r"{{ value_json.get('\n}}', '') }}"),
            ("°🌡", 1, r"{{ value_json.get('\xb0\U0001f321', '') }}"),
            ("time", 1, "{{ value_json.get('time_', '') }}"),
        ):
            self.discovery = self.make()
            component = self.component(entry(name, value))
            self.assertEqual(component["val_tpl"], template)
            self.assertEqual(component["stat_t"], "sensord/balcony")

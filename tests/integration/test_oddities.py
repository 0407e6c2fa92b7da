"""
Names, values and times that no server has ever heard of, on their way from devices to every kind of
sink: none of them is in the way of others.
"""

import csv
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import unquote

from twisted.web.server import Site

from sensord.reading import Clock, Reading, Value
from tests.emoncms import KEY, Emoncms
from tests.integration.databases import Influxd, Victoria
from tests.integration.loop import reactor, until
from tests.integration.mosquitto import Mosquitto
from tests.integration.running import (
    FAILED,
    TRACEBACK,
    GatewayTestCase,
    Series,
    assertSame,
    series,
)
from tests.integration.test_mqtt import Listener

#: What devices and their values are called, and what they are called in lines of InfluxDB if it
#: cannot be the same.
NAMES = {
    "room 1, north": "",
    'say "hi"': "",
    "it's = 50%": "",
    "two\nlines\r\n": "two\\nlines\\r\\n",
    "\ttab": "\\ttab",
    "C:\\temp\\": "C:\\temp\uff3c",
    "🌡 Außen": "",
    "nul\x00": "nul\\x00",
    "+": "",
    "status": "",
}

#: No description has names that are as long; a program can.
LONG = ("x" * 300, "🌡" * 300, "x" * 299 + "y")

#: Two minutes after midnight in 1970, the last second of 1999, and the middle of 2100, in
#: microseconds.
TIMES = (120_000_000, 946_684_799_000_000, 4_118_040_000_000_000)

#: When what changes its type does so.
NOW = 1_795_194_650_000_000

#: What one series has, one after the other.
SHIFTY: tuple[Value, ...] = (0.125, "on, off\nor 🌡", True, 0.375)


class OddTests(GatewayTestCase):
    """
    One gateway after the other on one database: a device is called otherwise in between, while all
    that the first has stored still waits.
    """

    async def feed(self, *sinks: Mapping[str, Any]) -> None:
        """
        Store all that is odd, and pass it on.
        """
        numbers = count(1000)
        first = self.launch(*({**sink, "active": False} for sink in sinks), devices=named("old"))
        peer = await self.device(first)
        nodes = range(1, len(NAMES) + 2)
        await peer.say(f"{node} {next(numbers)} {next(numbers)}.25" for node in nodes)
        odd = [("shifty", "state", value, NOW + n * 1000) for n, value in enumerate(SHIFTY)]
        odd += [(name, other, next(numbers), NOW) for name in LONG for other in LONG]
        odd += [("aged", "temperature", next(numbers), time) for time in TIMES]
        await first.store.record([Reading(*each, Clock.DEVICE) for each in odd])
        # What comes behind all of this is quite usual.
        await peer.say(f"{node} {next(numbers)}" for node in range(90, 100))
        for sink in first.sinks.values():
            self.assertEqual(sink.state, "held")
        await first.stopService()
        second = self.launch(*sinks, devices=named("new"))
        peer = await self.device(second)
        await peer.say(f"{node} {next(numbers)} {next(numbers)}.25" for node in nodes)
        await self.flowed(second)
        await second.stopService()
        self.assertBalanced()
        self.assertEqual([line for line in self.log if TRACEBACK in line or FAILED in line], [])
        self.assertEqual(len(self.stored()), 2 * 2 * len(nodes) + len(odd) + 10)
        self.assertLessEqual({"old", "new"}, {reading.device for reading in self.stored()})

    def numbers(self) -> list[Reading]:
        """
        What is stored that are numbers, truth values included.
        """
        return [reading for reading in self.stored() if not isinstance(reading.value, str)]

    async def test_influxdb(self) -> None:
        """
        In InfluxDB all have their names, apart from what it cannot write. What has another type
        than what was there before is a dead letter.
        """
        database = Influxd(self.folder)
        self.addCleanup(database.close)
        database.start()
        await self.feed(influx(database.url))
        there: Series = {
            (device, name): values
            for (name, device, _field), values in database.points("sensors").items()
        }
        here = [one for one in self.stored() if one.value not in SHIFTY[1:3]]
        assertSame(
            self,
            there,
            {
                (NAMES.get(device) or device, NAMES.get(name) or name): values
                for (device, name), values in series(here).items()
            },
        )
        dead = {value: why for _device, _name, value, why in self.dead()}
        self.assertEqual(list(dead), [SHIFTY[1], b"true"])
        for why in dead.values():
            self.assertIn("field type conflict", why)

    async def test_victoria(self) -> None:
        """
        VictoriaMetrics does not know texts, nor times that are to come; it loses those, and nothing
        else.
        """
        database = Victoria(self.folder)
        self.addCleanup(database.close)
        database.start()
        await self.feed(influx(database.url))
        there: Series = {
            (device, name.removesuffix("_value")): dict(values)
            for (name, device), values in database.points().items()
        }
        here: Series = {}
        for reading in self.stored():
            key = (
                NAMES.get(reading.device) or reading.device,
                NAMES.get(reading.name) or reading.name,
            )
            value = 0 if isinstance(reading.value, str) else reading.value
            if reading.time != TIMES[-1]:
                here.setdefault(key, {})[reading.time // 1000] = value
        assertSame(self, there, here)
        self.assertEqual(self.dead(), [])

    async def test_mqtt(self) -> None:
        """
        A broker is told everything, under names that can be read back.
        """
        broker = Mosquitto(self.folder)
        self.addCleanup(broker.close)
        broker.start()
        listener = Listener(broker.port, "", "sensord/+/+")
        self.addCleanup(listener.close)
        await until(lambda: listener.ready)
        there = f"tcp:127.0.0.1:{broker.port}"
        await self.feed({"name": "home", "kind": "mqtt", "broker": there})
        stored = self.stored()
        await until(lambda: len(listener.heard) >= len(stored))
        heard = []
        for topic, payload in listener.heard:
            _prefix, *names = topic.split("/")
            heard.append((*map(unquote, names), payload.decode()))
        here = [
            (one.device, one.name, "true" if one.value is True else str(one.value))
            for one in stored
        ]
        self.assertEqual(sorted(heard), sorted(here))
        self.assertEqual(self.dead(), [])

    async def test_csv(self) -> None:
        """
        Files have a row of each reading, which any program reads back, in the file of its date. In
        the layout for numbers, texts are dead letters.
        """
        await self.feed(
            {"name": "tidy", "kind": "csv", "layout": "tidy", "folder": str(self.folder / "tidy")},
            {"name": "iot", "kind": "csv", "layout": "iot", "folder": str(self.folder / "iot")},
        )
        there, units = [], set()
        for path in (self.folder / "tidy").glob("[!.]*"):
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.reader(file))
            self.assertEqual(rows.pop(0), ["time", "device", "name", "value", "unit"])
            self.assertEqual(
                {f"sensord_{row[0][:10].replace('-', '')}.csv" for row in rows}, {path.name}
            )
            there += [row[:4] for row in rows]
            units |= {row[4] for row in rows if row[1:3] == ["old", "old"]}
        self.assertEqual(units, {"°C"}, "under the name before, it is what it was")
        here = [
            [
                moment(one.time),
                one.device,
                one.name,
                "true" if one.value is True else str(one.value),
            ]
            for one in self.stored()
        ]
        self.assertEqual(sorted(there), sorted(here))
        rows = [
            row.split(", ")[1:]
            for path in (self.folder / "iot").glob("[!.]*")
            for row in path.read_text(encoding="utf-8").splitlines()
        ]
        values = [f"{one.value:f}" for one in self.numbers()]
        self.assertEqual(sorted(value for row in rows for value in row), sorted(values))
        self.assertEqual([each[2] for each in self.dead()], [SHIFTY[1]])

    async def test_emoncms(self) -> None:
        """
        emoncms is told all numbers, each series under a name of its own, which it takes. Texts are
        dead letters.
        """
        there = Emoncms(reactor().seconds)
        port = reactor().listenTCP(0, Site(there), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        url = f"http://127.0.0.1:{port.getHost().port}"
        await self.feed({"name": "emon", "kind": "emoncms", "url": url, "apikey": KEY})
        places = {
            value: (key, time) for key, values in there.stored.items() for time, value in values
        }
        keys: dict[tuple[str, str], set[tuple[str, str]]] = {}
        for one in self.numbers():
            assert isinstance(one.value, int | float)
            key, time = places.pop(one.value)
            keys.setdefault((one.device, one.name), set()).add(key)
            # Times are sent as differences of whole seconds, and those of two clocks.
            self.assertLess(abs(time - one.time // 1_000_000), 2)
        self.assertEqual(places, {})
        self.assertEqual({len(each) for each in keys.values()}, {1})
        self.assertEqual(len(set[tuple[str, str]]().union(*keys.values())), len(keys))
        self.assertEqual([each[2] for each in self.dead()], [SHIFTY[1]])
        self.assertEqual(max(map(len, (node for node, _input in there.stored))), 16)


def named(name: str) -> Sequence[Mapping[str, Any]]:
    """
    Descriptions of devices with odd names, which measure what has odd names, and of one more.
    """
    names = [*NAMES, name]
    return [
        {
            "address": f"lines/{node}",
            "name": each,
            "tags": {"place": "north, 1"},
            "values": [
                {"name": each, "unit": "°C"},
                {"name": names[node % len(names)], "unit": "%"},
            ],
        }
        for node, each in enumerate(names, 1)
    ]


def influx(url: str) -> Mapping[str, Any]:
    """
    The settings of a sink.
    """
    return {"name": "influx", "kind": "influxdb", "url": url, "database": "sensors", "create": True}


def moment(time: int) -> str:
    """
    A time in microseconds as it is written.
    """
    date = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)
    return f"{date:%Y-%m-%dT%H:%M:%S.%f}Z"

"""
Tests for L{sensord.sinks.topics}.
"""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import json
from twisted.trial.unittest import SynchronousTestCase

from sensord.brokers import topicFault
from sensord.reading import Value
from sensord.sinks import Entry, Series
from sensord.sinks.topics import FORMATS, Said, bare, deviceTopic, level, valueTopic
from tests.support import PROPERTY

#: When the readings of these tests were taken.
TIME = 1_795_194_650_500_000

#: Names of all kinds, those included that no topic can have.
NAMES = st.text(st.characters(), max_size=30) | st.sampled_from(["status", "%", "%2F", "a/b", ""])


def entry(id: int, name: str, value: Value, time: int = TIME, device: str = "balcony") -> Entry:
    """
    A reading of a radio node.
    """
    return Entry(id, Series(device, name, "", {}, "radio/10"), time, value)


def said(format: str, *entries: Entry, retain: bool = False) -> list[Said]:
    """
    What is said of readings.
    """
    return list(FORMATS[format]("sensord", entries, retain))


class LevelTests(SynchronousTestCase):
    """
    Names as levels of topics.
    """

    def test_plain(self) -> None:
        """
        Names are used as they are, whatever script they are in.
        """
        for name in ("balcony", "temperature.18", "a b", "Größe", "🌡", "$SYS", 'it\'s, "so"'):
            self.assertEqual(level(name), name)

    def test_unsafe(self) -> None:
        """
        What a level cannot have is written as its number, also where it means something else here.
        """
        for name, expected in (
            ("weather/1", "weather%2F1"),
            ("a+b#", "a%2Bb%23"),
            ("100%", "100%25"),
            ("a\nb\0", "a%0Ab%00"),
            ("\ud800\uffff", "%D800%FFFF"),
            ("status", "%73tatus"),
            ("", "%"),
        ):
            self.assertEqual(level(name), expected)

    def test_long(self) -> None:
        """
        Endless names are cut, and stay apart.
        """
        for character in "a🌡/":
            first, second = level(character * 5000), level(character * 5001)
            self.assertNotEqual(first, second)
            for each in (first, second):
                self.assertLess(len(each), 500)

    @given(NAMES, NAMES)
    @PROPERTY
    def test_apart(self, first: str, second: str) -> None:
        """
        No two names become the same, and all of them can be said.
        """
        self.assertEqual(level(first) == level(second), first == second)
        topic = valueTopic("sensord", first, second).encode()
        self.assertEqual(topic.count(b"/"), 2)
        self.assertNotRegex(topic, rb"[+#\x00-\x1f]")
        self.assertNotEqual(deviceTopic("sensord", first), "sensord/status")

    def test_beginnings(self) -> None:
        """
        What topics begin with is checked.
        """
        for text in ("sensord", "house/sensord", "hö us"):
            self.assertEqual(list(topicFault("prefix", text)), [])
        for text in ("", "/a", "a/", "a//b", "a/+", "#", "a\0", "$SYS/a"):
            self.assertEqual(
                list(topicFault("prefix", text)),
                [f'prefix: "{text}" is nothing that topics can begin with'],
            )


class ValueTests(SynchronousTestCase):
    """
    C{format = "value"}.
    """

    def test_values(self) -> None:
        """
        Each value is said by itself, as anybody would write it.
        """
        cases: Sequence[tuple[Any, bytes]] = (
            (21.5, b"21.5"),
            (24.0, b"24.0"),
            (-1e-7, b"-1e-07"),
            (7, b"7"),
            (2**63 - 1, b"9223372036854775807"),
            (True, b"true"),
            (False, b"false"),
            ("on, off", b"on, off"),
            ("", b""),
            ("🌡", "🌡".encode()),
        )
        for value, payload in cases:
            (one,) = said("value", entry(7, "a/b", value), retain=True)
            self.assertEqual(one, Said("sensord/balcony/a%2Fb", payload, True, ids=(7,)))

    def test_order(self) -> None:
        """
        They are said in the order in which they were stored.
        """
        ones = said("value", *(entry(id, "a", id, TIME - id) for id in range(5)))
        self.assertEqual([one.ids for one in ones], [(id,) for id in range(5)])


class ObjectTests(SynchronousTestCase):
    """
    C{format = "json"}.
    """

    def test_moments(self) -> None:
        """
        All that a device measured at one moment is one object.
        """
        ones = said(
            "json",
            entry(1, "temperature", 21.5),
            entry(2, "temperature", 7, device="cellar"),
            entry(3, "open", True),
            entry(4, "state", 'so "so"'),
            entry(5, "temperature", 21.25, TIME + 1),
        )
        self.assertEqual([one.ids for one in ones], [(1, 3, 4), (2,), (5,)])
        self.assertEqual(ones[0].topic, "sensord/balcony")
        self.assertEqual(
            ones[0].payload,
            b'{"time":1795194650.5,"temperature":21.5,"open":true,"state":"so \\"so\\""}',
        )
        self.assertEqual(ones[1].topic, "sensord/cellar")
        self.assertIn(b'"time":1795194650.500001', ones[2].payload)

    def test_times(self) -> None:
        """
        Any time can be said.
        """
        for time in (0, -1_000_000, 4_102_444_800_000_001):
            (one,) = said("json", entry(1, "a", 1, time))
            self.assertEqual(json.decode(one.payload)["time"], time / 1e6)

    def test_time(self) -> None:
        """
        A value that is called like the time is said as well, under another name.
        """
        (one,) = said("json", entry(1, "time", 1), entry(2, "time_", 2), entry(3, "timer", 3))
        self.assertEqual(
            json.decode(one.payload), {"time": TIME / 1e6, "time_": 1, "time__": 2, "timer": 3}
        )


class FrameTests(SynchronousTestCase):
    """
    C{format = "emonhub"}.
    """

    def test_frame(self) -> None:
        """
        The values of a frame stand between commas; how well it was received is said by itself.
        """
        ones = said(
            "emonhub",
            entry(1, "power", 300),
            entry(2, "voltage", 24.5),
            entry(3, "on", True),
            entry(4, "rssi", -65),
            entry(5, "power", 301, TIME + 1),
            entry(6, "rssi", -70, TIME + 2),
        )
        self.assertEqual(
            [(one.topic, one.payload, one.ids) for one in ones],
            [
                ("emonhub/rx/10/values", b"300,24.5,1", (1, 2, 3)),
                ("emonhub/rx/10/rssi", b"-65", (4,)),
                ("emonhub/rx/10/values", b"301", (5,)),
                ("emonhub/rx/10/rssi", b"-70", (6,)),
            ],
        )

    def test_text(self) -> None:
        """
        A text cannot look like two values.
        """
        (one,) = said("emonhub", entry(1, "a", "1,2\n%"), entry(2, "b", 3))
        self.assertEqual(one.payload, b"1%2C2%0A%25,3")

    def test_nodes(self) -> None:
        """
        Nodes are known by the second part of their addresses.
        """
        for address, node in (("poe/192.168.1.7", "192.168.1.7"), ("a/b/c", "b%2Fc"), ("a", "a")):
            series = Series("x", "a", "", {}, address)
            (one,) = said("emonhub", Entry(1, series, TIME, 1))
            self.assertEqual(one.topic, f"emonhub/rx/{node}/values")


class AnythingTests(SynchronousTestCase):
    """
    Whatever there is to say.
    """

    @given(
        st.lists(
            st.tuples(
                NAMES,
                NAMES.filter(str.isprintable),
                st.integers(0, 3),
                st.integers(-(2**63), 2**63 - 1)
                | st.floats(allow_nan=False, allow_infinity=False)
                | st.booleans()
                | st.text(st.characters(exclude_categories=["Cs"])),
            ),
            max_size=20,
        )
    )
    @PROPERTY
    def test_all(self, readings: Sequence[tuple[str, str, int, Value]]) -> None:
        """
        In each format every reading is said at least once, and nothing fails.
        """
        entries = [
            entry(id, name, value, time, device)
            for id, (device, name, time, value) in enumerate(readings)
        ]
        for format in FORMATS:
            ids = {id for one in said(format, *entries) for id in one.ids}
            if format == "value":
                self.assertEqual(ids, set(range(len(entries))))
            for one in said(format, *entries):
                one.topic.encode()

    def test_bare(self) -> None:
        """
        A flag is no number.
        """
        self.assertEqual([bare(value) for value in (True, 1, 1.0)], ["true", "1", "1.0"])

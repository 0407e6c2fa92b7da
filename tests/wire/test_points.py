"""
Tests for L{sensord.wire.points}.
"""

from collections.abc import Mapping, Sequence
from math import isclose
from typing import Any

from hypothesis import given, strategies
from msgspec import Struct
from twisted.trial.unittest import SynchronousTestCase

from sensord.wire import Skipped
from sensord.wire.lineprotocol import Encoder
from sensord.wire.payloads import MAX_VALUES
from sensord.wire.points import PRECISIONS, PointReader
from sensord.wire.push import Row
from tests.support import PROPERTY

TIME = 1795194651_000000

#: What names are made of that survive being written: all but control characters, and backslashes,
#: which are written as near as possible.
_SIGNS = strategies.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters="\\")
_NAMES = strategies.text(_SIGNS, min_size=1, max_size=20).filter(str.isprintable)

_TEXTS = strategies.text(strategies.characters(exclude_characters="\n\0"), max_size=30)

_VALUES = (
    strategies.integers(-(2**63), 2**63 - 1)
    | strategies.floats(allow_nan=False, allow_infinity=False)
    | strategies.booleans()
    | _TEXTS
)


class Series(Struct):
    """
    What a reading of a sink is one of.
    """

    device: str
    name: str
    tags: Mapping[str, str] = {}


class Entry(Struct):
    """
    A reading of a sink.
    """

    series: Series
    value: Any
    time: int = TIME


class PointTests(SynchronousTestCase):
    """
    What lines say.
    """

    def read(self, text: str | bytes, precision: str = "ns", **more: Any) -> list[Row | Skipped]:
        """
        The rows of a body.
        """
        data = text.encode() if isinstance(text, str) else text
        return PointReader(**more).read(data, precision).events

    def said(self, text: str, **more: Any) -> tuple[str, Sequence[tuple[str, Any]]]:
        """
        The device and the values of a line.
        """
        [row] = self.read(text, **more)
        assert isinstance(row, Row), row
        return row.device, row.values

    def why(self, text: str | bytes) -> str:
        """
        Why a line is none.
        """
        [skipped] = self.read(text)
        assert isinstance(skipped, Skipped), skipped
        return skipped.why

    def test_examples(self) -> None:
        """
        The examples of the specification.
        """
        text = (
            "temperature,device=balcony,place=garden value=24.5 1795194651000000000\n"
            "balcony,place=garden temperature=24.5,humidity=61i 1795194651000000000\n"
            "cpu,cpu=cpu0,host=pi usage_idle=98.5,usage_user=1.5 1795194651000000000\n"
            "disk,device=sda1,host=pi,path=/ used=5i 1795194651000000000\n"
        )
        expected = [
            Row("balcony", [("temperature", 24.5)], TIME),
            Row("balcony", [("temperature", 24.5), ("humidity", 61)], TIME),
            Row("pi", [("cpu.cpu0.usage_idle", 98.5), ("cpu.cpu0.usage_user", 1.5)], TIME),
            Row("pi", [("disk.sda1./.used", 5)], TIME),
        ]
        self.assertEqual(self.read(text), expected)

    def test_owner(self) -> None:
        """
        The first of the tags tells whose a point is: but for a disk, say, of a host.
        """
        for tags, device, name in (
            ("device=d,host=h,node=n,source=s", "d", "m"),
            ("host=h,node=n,source=s", "h", "m.n.s"),
            ("node=n,source=s", "n", "m.s"),
            ("source=s,z=1,b=2", "s", "m.2.1"),
            ("z=1", "m", "value"),
        ):
            self.assertEqual(self.said(f"m,{tags} value=1"), (device, [(name, 1)]))
        self.assertEqual(self.said("m,device=d,x=y f=1"), ("d", [("m.f", 1)]))
        self.assertEqual(self.said("m,device=d,host=h f=1"), ("h", [("m.d.f", 1)]))
        self.assertEqual(self.said("m,device=d value=1,f=2"), ("d", [("m", 1), ("m.f", 2)]))
        self.assertEqual(self.said("d,device=d f=1,value=2"), ("d", [("f", 1), ("d", 2)]))

    def test_otherTags(self) -> None:
        """
        A listener can have other tags that tell it, and some that are passed over.
        """
        line = "°C,domain=sensor,entity_id=hall,source=HA value=21.5"
        self.assertEqual(self.said(line), ("HA", [("°C.sensor.hall", 21.5)]))
        more: Any = {"tags": ["entity_id"], "ignore": ["dom*", "source"]}
        self.assertEqual(self.said(line, **more), ("hall", [("°C", 21.5)]))
        self.assertEqual(self.said("m,device=d,host=h f=1", tags=["device"]), ("d", [("m.f", 1)]))

    def test_values(self) -> None:
        """
        Numbers, integers, truth values and texts.
        """
        for text, value in (
            ("24.5", 24.5),
            ("24", 24),
            ("-1.5e3", -1500.0),
            ("1.", 1.0),
            ("7i", 7),
            ("-7i", -7),
            ("9223372036854775807i", 2**63 - 1),
            ("7u", 7),
            ("18446744073709551615u", float(2**64)),
            *((text, True) for text in ("t", "T", "true", "True", "TRUE")),
            *((text, False) for text in ("f", "F", "false", "False", "FALSE")),
            ('""', ""),
            ('"a b,c=d"', "a b,c=d"),
            (r'"a \"b\" \\ \n"', 'a "b" \\ \\n'),
        ):
            [(_name, found)] = self.said(f"d v={text}")[1]
            self.assertEqual((type(found), found), (type(value), value), text)

    def test_noValues(self) -> None:
        """
        All else is none, and costs its line.
        """
        for text in ("", "NaN", "inf", "1e999", "0x1", "1_0", "yes", "1.5i", "-1u", "i", "tRUE"):
            self.assertEqual(self.why(f"d v={text}"), f'"{text}" is no value')
        self.assertEqual(
            self.why("d v=9223372036854775808i"), '"9223372036854775808i" does not fit 64 bits'
        )
        for text in ('"', '"a', '"a"b', 'a"b"', '"a" "b"', 'x,"a"=1'):
            self.assertIsInstance(self.read(f"d v={text}")[0], Skipped, text)

    def test_times(self) -> None:
        """
        The time is in the precision of the request.
        """
        for precision, text in (
            ("n", "1795194651000000999"),
            ("ns", "1795194651000000000"),
            ("u", "1795194651000000"),
            ("us", "1795194651000000"),
            ("ms", "1795194651000"),
            ("s", "1795194651"),
        ):
            self.assertEqual(self.read(f"d v=1 {text}", precision), [Row("d", [("v", 1)], TIME)])
        [row] = self.read("d v=1 10", "m")
        self.assertEqual(getattr(row, "time", None), 600_000_000)
        [row] = self.read("d v=1 10", "h")
        self.assertEqual(getattr(row, "time", None), 36_000_000_000)
        self.assertEqual(self.read("d v=1"), [Row("d", [("v", 1)])])

    def test_noTimes(self) -> None:
        """
        What is no time from 1970 to 2199 costs its line.
        """
        for text in ("-1", "x", "1.5", "9" * 19, "9" * 5000, "+1"):
            why = f'"{text[:64]}" is no time in 1970..2199, in s'
            [skipped] = self.read(f"d v=1 {text}", "s")
            self.assertEqual(getattr(skipped, "why", ""), why)
        self.assertEqual(self.why("d v=1 1 2"), "too many parts")
        self.assertEqual(self.why('d v="1" 1 2'), "too many parts")

    def test_escapes(self) -> None:
        """
        A backslash makes a sign part of a name; others stand for themselves.
        """
        line = r"we\ at\,her,ho\=st=x,device=a\ b\,c\=d f\ \=\,\"g=1"
        self.assertEqual(self.said(line), ("a b,c=d", [('we at,her.f =,"g', 1)]))
        self.assertEqual(self.said(r"C:\dir\x v\n=1"), (r"C:\dir\x", [(r"v\n", 1)]))
        self.assertEqual(self.said(r"\#d v=1"), ("#d", [("v", 1)]))

    def test_blanks(self) -> None:
        """
        Blanks around and between, empty lines, comments and CR LF mean nothing.
        """
        text = "\n# a comment, v=1\n  d   v=1   5  \r\n\r\n \t\nd v=2 6"
        rows = [Row("d", [("v", 1)], 5), Row("d", [("v", 2)], 6)]
        self.assertEqual(self.read(text, "u"), rows)
        self.assertEqual(self.read(""), [])

    def test_lineEnds(self) -> None:
        """
        A text may have line ends in it; one that does not end costs its own line only.
        """
        text = 'd v="a\nb \\"c\\"\n\nd",w=1\nd x=2'
        rows = [Row("d", [("v", 'a\nb "c"\n\nd'), ("w", 1)]), Row("d", [("x", 2)])]
        self.assertEqual(self.read(text), rows)
        events = self.read('d v="a\nd w=1\nd x="2"\nd y=3')
        self.assertEqual([type(one) for one in events], [Skipped, Row, Row, Row])
        events = self.read('d v="a\nd w=1\nd x=2')
        self.assertEqual([type(one) for one in events], [Skipped, Row, Row])

    def test_faults(self) -> None:
        """
        A line that is none is named with why, and those beside it are taken.
        """
        for line, why in (
            ("d", "there are no fields"),
            ("d ", "there are no fields"),
            ("d v", "a field without a name or without a value"),
            ("d =1", "a field without a name or without a value"),
            ("d v=1,", "a field without a name or without a value"),
            (",a=b v=1", "there is no measurement"),
            ("d,a v=1", "a tag without a name or without a text"),
            ("d,a= v=1", "a tag without a name or without a text"),
            ("d,a=1,a=2 v=1", 'two tags "a"'),
            ("d v=1,v=2", "two fields of one name"),
            ("d v\x01=1", "v\x01: its name is not of 1..200 printable characters"),
            ("d\x01 v=1", "the name of the device is not of 1..200 printable characters"),
            (f"{'d' * 201} v=1", "the name of the device is not of 1..200 printable characters"),
        ):
            events = self.read(f"a v=1\n{line}\nb v=2")
            self.assertEqual(events[::2], [Row("a", [("v", 1)]), Row("b", [("v", 2)])])
            self.assertEqual(getattr(events[1], "why", ""), why, line)
        self.assertEqual(self.why(b"d v=1,\xff=2"), "no UTF-8")
        self.assertEqual(self.why(b'd v="\xff"'), "no UTF-8")
        many = ",".join(f"v{number}=1" for number in range(MAX_VALUES + 1))
        self.assertEqual(self.why(f"d {many}"), f"more than {MAX_VALUES} fields")
        self.assertIn("a text of more than 1000", self.why(f'd v="{"x" * 1001}"'))

    def test_lines(self) -> None:
        """
        The lines are there as they came, so that an answer can quote them.
        """
        points = PointReader().read(b'a v=1 \r\n\nb v="x\ny"\nnonsense')
        self.assertEqual(points.lines, ["a v=1 \r", 'b v="x\ny"', "nonsense"])

    def test_sameButForTags(self) -> None:
        """
        Two points that differ in nothing but tags that are passed over are not taken for one.
        """
        first, second = self.read("w,station=A t=1 5\nw,station=B t=2 5")
        self.assertEqual(first, Row("w", [("t", 1)], 0))
        assert isinstance(second, Skipped)
        self.assertIn("device_tags", second.why)
        rows = self.read("w,station=A t=1 5\nw,station=A t=2 5\nw,station=B t=2 5000\nw h=1 5", "u")
        self.assertEqual({type(row) for row in rows}, {Row})
        rows = self.read("w,station=A t=1 5\nw,station=B t=2 5", tags=["station"])
        self.assertEqual(rows, [Row("A", [("w.t", 1)], 0), Row("B", [("w.t", 2)], 0)])

    def test_manyTags(self) -> None:
        """
        What peers make up is not remembered for ever.
        """
        reader = PointReader()
        for start in range(0, 30_000, 1000):
            lines = "\n".join(f"m,host={number} v=1" for number in range(start, start + 1000))
            reader.read(lines.encode())
        reader.read(b"m,host=" + b"x" * 100_000 + b" v=1")
        self.assertLessEqual(len(reader._heads), 10_000)
        self.assertLess(max(len(head) for head, _sole in reader._heads), 1000)

    @PROPERTY
    @given(strategies.binary(max_size=100), strategies.sampled_from(PRECISIONS))
    def test_anything(self, data: bytes, precision: str) -> None:
        """
        Nothing that is sent raises.
        """
        for body in (data, b"d,a=b v=" + data, b"d,host=" + data + b' v="' + data + b'" 5'):
            points = PointReader().read(body, precision)
            self.assertEqual(len(points.events), len(points.lines))

    @PROPERTY
    @given(strategies.text(strategies.sampled_from('d,= v"\\\n1i#t5'), max_size=60))
    def test_nearly(self, text: str) -> None:
        """
        Nor does what is nearly right; and what is taken can be stored.
        """
        for event in self.read(text):
            if isinstance(event, Row):
                self.assertTrue(event.device and event.values)
                self.assertTrue(all(name for name, _value in event.values))


class RoundTests(SynchronousTestCase):
    """
    What our own sink writes, read.
    """

    def round(self, entries: Sequence[Entry], **how: Any) -> list[tuple[str, str, Any, int | None]]:
        """
        Device, name, value and time of what comes of what is written of readings.
        """
        found = []
        for event in PointReader().read(Encoder(**how).encode(entries).body(), "u").events:
            assert isinstance(event, Row), event
            found += [(event.device, *value, event.time) for value in event.values]
        return found

    def test_layouts(self) -> None:
        """
        In both layouts, with tags, each device and each reading has the name that it had.
        """
        tags = {"place": "the garden", "floor": "1"}
        entries = [
            Entry(Series("balcony", "temperature", tags), 24.5),
            Entry(Series("balcony", "humidity", tags), 61),
            Entry(Series("weather/1", "light", {}), 3),
            Entry(Series("temperature", "temperature", {}), 4),
            Entry(Series("hall", 'on, = "x" y', tags), True),
            Entry(Series("a, b=c", "#state", {}), 'it\'s "so" \\ so'),
        ]
        expected = [(one.series.device, one.series.name, one.value, TIME) for one in entries]
        for wide in (False, True):
            for integers in (False, True):
                self.assertEqual(self.round(entries, wide=wide, integers=integers), expected)

    @PROPERTY
    @given(
        _NAMES.map(str.strip).filter(bool),
        _NAMES,
        strategies.dictionaries(_NAMES, _NAMES, max_size=3),
        _VALUES,
        strategies.booleans(),
        strategies.booleans(),
    )
    def test_any(
        self,
        device: str,
        name: str,
        tags: dict[str, str],
        value: Any,
        wide: bool,
        integers: bool,
    ) -> None:
        """
        Whatever devices, readings and tags are called, and whatever is measured.
        """
        for tag in ("host", "node", "source", "device"):
            tags.pop(tag, None)
        entry = Entry(Series(device, name, tags), value)
        [(owner, field, found, time)] = self.round([entry], wide=wide, integers=integers)
        self.assertEqual((owner, field, time), (device, name, TIME))
        if isinstance(value, float):
            self.assertTrue(isclose(found, value, rel_tol=0))
        else:
            self.assertEqual(found, value)

"""
Tests for L{sensord.wire.push}.
"""

from typing import Any

from hypothesis import given, strategies
from msgspec.json import encode
from twisted.trial.unittest import SynchronousTestCase

from sensord.wire import SAMPLE, Skipped, push
from sensord.wire.push import Form, Row, RowParser, RowReader
from tests.support import PROPERTY, assertBounded, assertParses

#: 2026-11-20T17:10:50.5Z, in microseconds since the epoch.
TIME = 1795194650_500000

KITCHEN = Row("kitchen", [("temperature", 21.5)], TIME, False, [])

_NAMES = strategies.text(strategies.characters(categories=("L", "N")), min_size=1, max_size=20)

_VALUES = (
    strategies.integers(-(2**63), 2**63 - 1)
    | strategies.floats(allow_nan=False, allow_infinity=False)
    | strategies.booleans()
)


class RowTests(SynchronousTestCase):
    """
    What JSON says.
    """

    def read(self, text: str | bytes, device: str = "") -> list[Row | Skipped]:
        """
        The rows of a body.
        """
        return RowReader().read(text.encode() if isinstance(text, str) else text, device)

    def one(self, text: str, device: str = "") -> Any:
        """
        The only one of them.
        """
        [row] = self.read(text, device)
        return row

    def test_examples(self) -> None:
        """
        The three examples of the specification say the same.
        """
        for text in (
            '{"device": "kitchen", "temperature": 21.5, "time": 1795194650.5}',
            '{"device": "kitchen", "values": {"temperature": 21.5},'
            ' "time": "2026-11-20T17:10:50.5Z"}',
            '[{"device": "kitchen", "name": "temperature", "value": 21.5, "time": 1795194650.5}]',
        ):
            self.assertEqual(self.one(text), KITCHEN)

    def test_many(self) -> None:
        """
        A list has a row for each object, in its order; none has none.
        """
        rows = self.read('[{"device": "a", "x": 1}, {"device": "b", "y": true, "z": "on"}]')
        expected = [Row("a", [("x", 1)], None, False, [])]
        expected.append(Row("b", [("y", True), ("z", "on")], None, False, []))
        self.assertEqual(rows, expected)
        self.assertEqual(self.read("[]"), [])

    def test_device(self) -> None:
        """
        Whose it is, is said by the object, or else by the request; numbers are ids, too.
        """
        self.assertEqual(self.one('{"x": 1}', "d").device, "d")
        self.assertEqual(self.one('{"device": "e", "x": 1}', "d").device, "e")
        self.assertEqual(self.one('{"device": 17, "x": 1}').device, "17")
        self.assertEqual(self.one('{"device": "a/b c", "x": 1}').device, "a/b c")

    def test_nobody(self) -> None:
        """
        What does not say whose it is, or says it so that nobody could be called so, is refused.
        """
        missing = "it does not say which device it is"
        unfit = "the name of the device is not of 1..200 printable characters"
        for text, why in (
            ('{"x": 1}', missing),
            ('{"device": "", "x": 1}', missing),
            ('{"device": "a\\nb", "x": 1}', unfit),
            ('{"device": "%s", "x": 1}' % ("a" * 201), unfit),
            ('{"device": null, "x": 1}', "device is no text"),
            ('{"device": true}', "device is no text"),
            ('{"device": 1.5}', "device is no text"),
            ('{"device": {"x": 1}}', "device is no text"),
            ("17", "no object of JSON"),
            ("null", "no object of JSON"),
        ):
            self.assertEqual(self.one(text).why, why)

    def test_nested(self) -> None:
        """
        Objects within are taken apart; those of C{values} have no name before theirs, and stand
        beside the others.
        """
        row = self.one('{"device": "d", "AM2301": {"Temperature": 1, "Humidity": 2}, "n": null}')
        self.assertEqual(row.values, [("AM2301.Temperature", 1), ("AM2301.Humidity", 2)])
        row = self.one('{"device": "d", "a": 1, "values": {"b": 2, "device": "x"}}')
        self.assertEqual((row.device, row.values), ("d", [("a", 1), ("b", 2), ("device", "x")]))
        self.assertEqual(self.one('{"device": "d", "values": 3}').values, [("values", 3)])
        twice = self.one('{"device": "d", "a": 1, "values": {"a": 2}}')
        self.assertEqual(twice.why, "two values of one name: 'a'")

    def test_single(self) -> None:
        """
        An object with a name and a value is one reading; with more in it, it is as any other.
        """
        row = self.one('{"device": "d", "name": "t", "value": "on"}')
        self.assertEqual(row.values, [("t", "on")])
        row = self.one('{"device": "d", "name": "t", "value": 1, "x": 2}')
        self.assertEqual(row.values, [("name", "t"), ("value", 1), ("x", 2)])
        row = self.one('{"device": "d", "name": "time", "value": 1}')
        self.assertEqual(row.why, 'nothing can be called "time"')

    def test_bad(self) -> None:
        """
        A member that is no value is named, and the others are taken.
        """
        row = self.one('{"device": "d", "a": 1, "": 2, "b": "\\u0000"}')
        self.assertEqual((row.values, len(row.bad)), ([("a", 1)], 2))

    def test_broken(self) -> None:
        """
        What is no JSON, or has a time that is none, is refused with its beginning.
        """
        for text in ("", "{", "hello", '{"device": "d", "x": NaN}', "[" * 10_000):
            row = self.one(text)
            self.assertTrue(row.why.startswith("no JSON: "), row)
            self.assertEqual(row.data, text.encode()[:SAMPLE])
        row = self.one('{"device": "d", "time": 1795194650500, "x": 1}')
        self.assertEqual(row.why, "the time is no time in 1970..2199: 1795194650500")
        [bad] = self.read(b'{"device": "\xff"}')
        assert isinstance(bad, Skipped)
        self.assertTrue(bad.why.startswith("no JSON"))

    @PROPERTY
    @given(strategies.binary(max_size=200))
    def test_anything(self, data: bytes) -> None:
        """
        Nothing that is sent raises.
        """
        RowReader().read(data)
        RowReader().read(b'[{"device":"d","time":' + data + b"}]")

    @PROPERTY
    @given(
        strategies.recursive(
            strategies.none() | strategies.booleans() | strategies.floats() | strategies.text(),
            lambda inner: (
                strategies.lists(inner, max_size=4)
                | strategies.dictionaries(
                    strategies.sampled_from(["device", "time", "values", "name", "value", "x"]),
                    inner,
                    max_size=5,
                )
            ),
        )
    )
    def test_anyJson(self, found: object) -> None:
        """
        No JSON that is sent raises.
        """
        for row in RowReader().read(encode(found)):
            self.assertIsInstance(row, Row | Skipped)

    @PROPERTY
    @given(
        _NAMES,
        strategies.dictionaries(
            _NAMES.filter(lambda name: name not in ("time", "device")), _VALUES, max_size=5
        ),
        strategies.none() | strategies.integers(0, 2**32 * 1_000_000),
    )
    def test_inverse(self, device: str, values: dict[str, Any], time: int | None) -> None:
        """
        What is written is read as the same, to the microsecond.
        """
        row = Row(device, list(values.items()), time, False, [])
        self.assertEqual(RowReader().read(push.encode([row])), [row])


class ParserTests(SynchronousTestCase):
    """
    Rows that come from outside of HTTP.
    """

    def test_cut(self) -> None:
        """
        They are the same however they were cut.
        """
        assertParses(self, RowParser, push.encode([KITCHEN]), [KITCHEN])
        assertParses(self, RowParser, b"", [])
        bad = Skipped(b"x", "no JSON: JSON is malformed: invalid character (byte 0)")
        assertParses(self, RowParser, b"x", [bad])

    def test_bounded(self) -> None:
        """
        No more than a megabyte is kept of what does not end, and that is refused.
        """
        assertBounded(self, RowParser, b"[", 2**20)
        parser = RowParser()
        for _ in range(20):
            parser.feed(bytes(2**16))
        [skipped] = parser.close()
        assert isinstance(skipped, Skipped)
        self.assertEqual(skipped.why, "longer than 1048576 bytes")
        self.assertEqual(parser.close(), ())


class PlaceTests(SynchronousTestCase):
    """
    What paths mean.
    """

    def test_paths(self) -> None:
        """
        Each path has its form; emoncms may be in a folder of its own.
        """
        for path, form in (
            (b"/api/v1/readings", Form.JSON),
            (b"/write", Form.LINES),
            (b"/api/v2/write", Form.LINES),
            (b"/query", Form.QUERY),
            (b"/ping", Form.PING),
            (b"/input/post", Form.POST),
            (b"/emoncms/input/post.json", Form.POST),
            (b"/input/bulk.json", Form.BULK),
            (b"/emoncms/input/bulk", Form.BULK),
        ):
            place = push.place(path)
            assert place is not None
            self.assertEqual((place.form, place.node), (form, ""), path)
        for path in push.PATHS:
            self.assertIsNotNone(push.place(path))

    def test_node(self) -> None:
        """
        A path may name the node.
        """
        for path, node in (
            (b"/input/post/emontx", "emontx"),
            (b"/emoncms/input/post/a%20b", "a b"),
            (b"/input/post/%ff", "�"),
        ):
            place = push.place(path)
            assert place is not None
            self.assertEqual((place.form, place.node), (Form.POST, node))

    def test_others(self) -> None:
        """
        Nothing can be pushed elsewhere.
        """
        for path in (
            b"",
            b"/",
            b"/writes",
            b"/emoncms/write",
            b"/emoncms",
            b"/input/post/",
            b"/input/bulk/x",
            b"//write",
            b"\xff",
        ):
            self.assertIsNone(push.place(path), path)

    def test_crowded(self) -> None:
        """
        Too many rows are seen before they are read.
        """
        for form, row in ((Form.JSON, b"{},"), (Form.LINES, b"a v=1\n"), (Form.BULK, b"[0,1,2],")):
            self.assertFalse(push.crowded(form, row * push.MAX_ROWS))
            self.assertTrue(push.crowded(form, row * (push.MAX_ROWS + 2)))
        self.assertFalse(push.crowded(Form.POST, b"{" * (push.MAX_ROWS + 2)))

"""
Tests for L{sensord.wire.emoncms}.
"""

from collections.abc import Mapping
from typing import Any

from hypothesis import given, strategies
from msgspec.json import encode as encodeJson
from twisted.trial.unittest import SynchronousTestCase

from sensord.wire import Skipped, emoncms
from sensord.wire.emoncms import RowReader
from sensord.wire.payloads import MAX_VALUES
from sensord.wire.push import Row
from tests.support import PROPERTY

SECOND = 1_000_000

#: When the tests take place, in seconds since the epoch.
NOW = 1795194655.25

_NUMBERS = strategies.floats(-1e6, 1e6) | strategies.integers(-(2**63), 2**63 - 1)


class PostTests(SynchronousTestCase):
    """
    One row.
    """

    def post(self, node: str = "", /, **parameters: str) -> Row:
        """
        What comes of parameters.
        """
        [row] = RowReader().post(parameters, node)
        assert isinstance(row, Row), row
        return row

    def why(self, node: str = "", /, **parameters: str) -> str:
        """
        Why nothing comes of them.
        """
        [row] = RowReader().post(parameters, node)
        assert isinstance(row, Skipped), row
        return row.why

    def test_forms(self) -> None:
        """
        The same can be said in four ways.
        """
        for key, text in (
            ("fulljson", '{"power1":100,"power2":200.5}'),
            ("fulljson", ' {"power1":"100","power2":"200.5"} '),
            ("json", "{power1:100,power2:200.5}"),
            ("json", '{"power1":100, "power2":"200.5"}'),
            ("json", "power1:100,power2:200.5"),
            ("data", "{power1:100,power2:200.5}"),
            ("csv", "power1:100,power2:200.5"),
        ):
            row = self.post(node="10", **{key: text})
            self.assertEqual(row, Row("10", [("power1", 100), ("power2", 200.5)], None, False, []))
        for key in ("csv", "data", "json"):
            row = self.post(node="10", **{key: "100, 200.5,-1e-3"})
            self.assertEqual(row.values, [("1", 100), ("2", 200.5), ("3", -0.001)])

    def test_node(self) -> None:
        """
        The node is in the path, or a parameter, or 0.
        """
        self.assertEqual(self.post(csv="1").device, "0")
        self.assertEqual(self.post(csv="1", node=" emontx ").device, "emontx")
        self.assertEqual(self.post("a/b", csv="1", node="x").device, "a/b")
        self.assertIn("printable", self.why(csv="1", node="a\nb"))
        self.assertIn("printable", self.why("x" * 201, csv="1"))

    def test_time(self) -> None:
        """
        The time is a parameter, or a member of C{fulljson}; the former goes before.
        """
        for text in ("1795194650.5", "2026-11-20T17:10:50.5Z", "2026-11-20T18:10:50.5+01:00"):
            self.assertEqual(self.post(csv="1", time=text).time, 1795194650_500000)
        row = self.post(fulljson='{"a":1,"time":1795194650}')
        self.assertEqual((row.values, row.time), ([("a", 1)], 1795194650 * SECOND))
        row = self.post(fulljson='{"a":1,"time":"2026-11-20T17:10:50Z"}', time="5")
        self.assertEqual((row.values, row.time), ([("a", 1)], 5 * SECOND))
        for text in ("soon", "-1", "1795194650500", "9" * 5000):
            self.assertTrue(self.why(csv="1", time=text).startswith("the time is no time"))

    def test_texts(self) -> None:
        """
        Texts and truth values are values in C{fulljson}, and objects within are taken apart.
        """
        row = self.post(fulljson='{"s":"on","b":true,"n":null,"o":{"x":"5"}}')
        self.assertEqual(row.values, [("s", "on"), ("b", True), ("o.x", 5)])

    def test_bad(self) -> None:
        """
        What is no number is named, and the others are taken.
        """
        row = self.post(json="{a:1,b:on,:3,c:4:5,a:6,d:}")
        self.assertEqual(row.values, [("a", 1)])
        self.assertEqual(
            [one.why for one in row.bad],
            [
                "it is no number",
                "its name is not of 1..200 printable characters",
                "it is no number",
                "two values of one name",
                "it is no number",
            ],
        )
        self.assertEqual([one.why for one in self.post(csv="1,").bad], ["it is no number"])

    def test_nothing(self) -> None:
        """
        Without data, or with data that is none, there is no row.
        """
        missing = "there is no data: fulljson, json, csv or data"
        self.assertEqual(self.why(node="10"), missing)
        self.assertEqual(self.why(json="", fulljson=""), missing)
        self.assertEqual(self.why(fulljson="100,200"), "fulljson is no object of JSON")
        self.assertTrue(self.why(fulljson="{power:1}").startswith("no JSON"))
        many = ",".join(["1"] * (MAX_VALUES + 1))
        self.assertEqual(self.why(csv=many), f"more than {MAX_VALUES} values")

    @PROPERTY
    @given(
        strategies.dictionaries(
            strategies.sampled_from(["node", "time", "json", "fulljson", "csv", "data"]),
            strategies.text(max_size=40) | strategies.text('{}",:1ae.-', max_size=40),
        ),
        strategies.text(max_size=5),
    )
    def test_anything(self, parameters: dict[str, str], node: str) -> None:
        """
        Nothing that is sent raises.
        """
        [row] = RowReader().post(parameters, node)
        self.assertIsInstance(row, Row | Skipped)


class BulkTests(SynchronousTestCase):
    """
    Many rows.
    """

    def bulk(self, data: object, now: float = NOW, /, **parameters: str) -> list[Row | Skipped]:
        """
        What comes of a list.
        """
        text = data if isinstance(data, bytes) else encodeJson(data)
        return RowReader().bulk(parameters, text, now)

    def times(self, *said: object, **parameters: str) -> list[float]:
        """
        How many seconds before now rows are that say such times.
        """
        rows = self.bulk([[time, place, 1] for place, time in enumerate(said)], **parameters)
        found = []
        for row in rows:
            assert isinstance(row, Row) and row.time is not None, row
            found.append(round(NOW - row.time / SECOND, 6))
        return found

    def why(self, data: object, **parameters: str) -> str:
        """
        Why a list of one row is none.
        """
        [row] = self.bulk(data, **parameters)
        assert isinstance(row, Skipped), row
        return row.why

    def test_example(self) -> None:
        """
        The example of the specification.
        """
        expected = Row("10", [("power", 250)], 1795194650 * SECOND, False, [])
        rows = self.bulk(b'[[1795194650,10,{"power":250}]]', sentat="1795194655")
        self.assertEqual(rows, [expected])

    def test_values(self) -> None:
        """
        Values have a place or a name; one that is null keeps its place.
        """
        for values, expected in (
            ([1137], [("1", 1137)]),
            ([1437, 3164], [("1", 1437), ("2", 3164)]),
            ([1, None, "3.5", True], [("1", 1), ("3", 3.5), ("4", True)]),
            ([{"a": 1}, {"b": 2}], [("a", 1), ("b", 2)]),
            ([{"a": 1, "b": "2"}, 3], [("a", 1), ("b", 2), ("1", 3)]),
            ([{}], []),
        ):
            [row] = self.bulk([[0, "n", *values]], time="0")
            assert isinstance(row, Row)
            self.assertEqual((list(row.values), row.bad), (expected, []))
        [row] = self.bulk([[0, "n", 1, {"1": 2}, "x", [3], 4]], time="0")
        assert isinstance(row, Row)
        self.assertEqual(row.values, [("1", 1), ("4", 4)])
        self.assertEqual(len(row.bad), 3)

    def test_nodes(self) -> None:
        """
        A node is a number or a text.
        """
        for node, device in ((16, "16"), (16.0, "16"), ("emontx", "emontx"), (" a/b ", "a/b")):
            [row] = self.bulk([[0, node, 1]], time="0")
            self.assertEqual(getattr(row, "device", row), device)
        for none in (None, True, [1], {"a": 1}):
            self.assertEqual(
                self.why([[0, none, 1]], time="0"), "the node of a row is no number and no text"
            )
        self.assertIn("does not say", self.why([[0, "", 1]], time="0"))
        self.assertIn("too large", self.why([[0, 1e300, 1]], time="0"))

    def test_sentat(self) -> None:
        """
        Only the difference to the time of sending counts, in whole seconds.
        """
        self.assertEqual(self.times(520, 530, 535, sentat="543"), [23.25, 13.25, 8.25])
        self.assertEqual(self.times(1e9, sentat="1000000010"), [10.25])
        [row] = self.bulk([[520, 1, 2]], sentat="543", offset="1", time="2")
        self.assertTrue(getattr(row, "backdated", False))

    def test_rightClock(self) -> None:
        """
        A clock that is right is believed, whatever a request takes, so that what is sent again has
        the same time; one that is not is put right.
        """
        for now in (NOW, NOW + 1, NOW + 2.5, NOW - 2.5):
            [row] = self.bulk([[1795194600.5, 1, 2]], now, sentat="1795194655")
            self.assertEqual(row, Row("1", [("1", 2)], 1795194600_500000, False, []))
        [row] = self.bulk([[1795194600, 1, 2]], NOW + 60, sentat="1795194655")
        self.assertEqual(row, Row("1", [("1", 2)], 1795194660 * SECOND, True, []))

    def test_offset(self) -> None:
        """
        Times may be counted from somewhere else.
        """
        self.assertEqual(self.times(-10, -8, -6, offset="-10"), [0.25, -1.75, -3.75])
        self.assertEqual(self.times(0, 5, offset="10"), [10.25, 5.25])

    def test_absolute(self) -> None:
        """
        Times may be counted from a time that is said, or be those themselves.
        """
        self.assertEqual(self.times(-5, 0, time="1795194650"), [10.25, 5.25])
        self.assertEqual(self.times(1795194650, "1795194651", time="0"), [5.25, 4.25])

    def test_last(self) -> None:
        """
        If nothing is said of it, the last row is of now.
        """
        self.assertEqual(self.times(0, 2, 4), [4.0, 2.0, 0.0])
        self.assertEqual(self.why([[None, 1, 2]]), "the last row has no time")
        self.assertEqual(self.why([[]]), "the last row has no time")
        self.assertEqual(self.why([5]), "the last row has no time")

    def test_same(self) -> None:
        """
        Rows that would be the same readings are a microsecond apart, others are not.
        """
        rows = self.bulk(
            [[5, "a", 1], [5, "a", 2], [5, "b", 3], [5, "a", {"x": 4}], [5, "a", {"x": 1}, 6]],
            time="0",
        )
        times = [getattr(row, "time", 0) - 5 * SECOND for row in rows]
        self.assertEqual(times, [0, 1, 0, 0, 2])

    def test_faults(self) -> None:
        """
        A row that is none is named with why, and those beside it are taken.
        """
        for bad, why in (
            ([1, 2], "a row is a list of a time, a node and values"),
            (7, "a row is a list of a time, a node and values"),
            ([None, 2, 3], "the time is no time in 1970..2199"),
            (["x", 2, 3], "the time is no time in 1970..2199"),
            ([True, 2, 3], "the time is no time in 1970..2199"),
            ([-1, 2, 3], "the time is no time in 1970..2199"),
            ([10**30, 2, 3], "the time is no time in 1970..2199"),
            ([1, 2, *[3] * (MAX_VALUES + 1)], f"more than {MAX_VALUES} values"),
        ):
            rows = self.bulk([[0, 1, 2], bad, [0, 2, 3]], time="0")
            self.assertEqual([type(row) for row in rows], [Row, Skipped, Row])
            self.assertEqual(getattr(rows[1], "why", ""), why)

    def test_noList(self) -> None:
        """
        What is no list is refused whole, and an empty one is nothing.
        """
        for text in (b"", b"{}", b"[[1,2,NaN]]", b"[" * 5000, b"\xff", b"7"):
            self.assertTrue(self.why(text).startswith("no list of rows in JSON: "), text)
        self.assertEqual(self.bulk([]), [])
        for key in ("sentat", "offset", "time"):
            parameters = {key: "soon"}
            why = f"{key} is no number of seconds: soon"
            self.assertEqual(self.why([[0, 1, 2]], **parameters), why)
            self.assertIn("no number", self.why([[0, 1, 2]], **{key: "9" * 400}))

    @PROPERTY
    @given(
        strategies.binary(max_size=60),
        strategies.dictionaries(
            strategies.sampled_from(["sentat", "offset", "time"]),
            strategies.text(max_size=10) | strategies.floats().map(str),
        ),
        strategies.recursive(
            strategies.none() | strategies.floats() | strategies.integers() | strategies.text(),
            lambda inner: (
                strategies.lists(inner, max_size=4)
                | strategies.dictionaries(strategies.text(max_size=3), inner, max_size=2)
            ),
        ),
    )
    def test_anything(self, data: bytes, parameters: dict[str, str], found: Any) -> None:
        """
        Nothing that is sent raises.
        """
        for body in (data, encodeJson([found]), encodeJson([[0, "n", found], [1, found, 2]])):
            for row in RowReader().bulk(parameters, body, NOW):
                self.assertIsInstance(row, Row | Skipped)

    @PROPERTY
    @given(
        strategies.lists(
            strategies.tuples(
                strategies.integers(0, 2**32),
                strategies.text("abc", min_size=1),
                strategies.dictionaries(strategies.text("xyz", min_size=1), _NUMBERS, min_size=1),
            ),
            max_size=5,
            unique_by=lambda row: row[:2],
        )
    )
    def test_inverse(self, rows: list[tuple[float, str, Mapping[str, float]]]) -> None:
        """
        What is written is read as the same.
        """
        expected = [
            Row(node, list(values.items()), int(time) * SECOND, False, [])
            for time, node, values in rows
        ]
        self.assertEqual(RowReader().bulk({"time": "0"}, emoncms.encode(rows), NOW), expected)

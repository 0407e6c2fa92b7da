"""
Tests for L{sensord.wire.payloads}.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import inf, isfinite, nan
from zoneinfo import ZoneInfo

from hypothesis import given, strategies
from msgspec.json import encode as encodeJson
from twisted.trial.unittest import SynchronousTestCase

from sensord.wire import SAMPLE, Skipped
from sensord.wire.lines import END_OF_TIME
from sensord.wire.payloads import (
    MAX_NAME,
    MAX_PAYLOAD,
    MAX_TEXT,
    MAX_VALUES,
    Payload,
    PayloadReader,
    Value,
    command,
    encode,
)
from tests.support import PROPERTY
from tests.wire.test_numbers import NUMBERS

#: The example of the specification, and its time.
EXAMPLE = bytes.fromhex(
    "7b2274656d7065726174757265223a32312e352c 2274696d65223a313739353139343635302e357d"
)
TIME = 1795194650_500000

#: What a Tasmota plug with two sensors says.
TASMOTA = b"""{"Time":"2026-11-20T18:10:50","DS18B20":{"Id":"0115918E2CFF","Temperature":21.5},
"ENERGY":{"TotalStartTime":"2024-01-01T00:00:00","Total":12.345,"Power":69,"Factor":[0.9,0.8],
"Voltage":null},"Switch1":"ON","TempUnit":"C"}"""

#: What zigbee2mqtt says of a sensor and of a lamp.
ZIGBEE = b"""{"battery":100,"humidity":45.32,"last_seen":"2026-11-20T18:10:50+01:00",
"linkquality":120,"occupancy":false,"temperature":-3.0,"color":{"x":0.31,"y":0.33},"state":"OFF",
"update":{"installed_version":-1,"latest_version":-1,"state":null}}"""

NO_PAYLOAD = "no JSON object, and not all are finite numbers"

ODD_NAME = f"its name is not of 1..{MAX_NAME} printable characters"
ODD_TEXT = f"a text of more than {MAX_TEXT} characters, or with a NUL in it"

#: Names that nothing is to be said against, and that are not the time.
NAMES = strategies.text("abcXYZ_. é温0", min_size=1, max_size=12)

VALUES = strategies.one_of(
    NUMBERS,
    strategies.booleans(),
    strategies.text(strategies.characters(exclude_categories=["Cs"]), max_size=20).map(
        lambda text: text.replace("\0", "")
    ),
)

#: What JSON can have in it.
JSON = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.floats(allow_nan=False, allow_infinity=False)
    | strategies.integers(-(2**70), 2**70)
    | strategies.text(strategies.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(strategies.sampled_from(["a", "b", "a.b", "time", ""]), inner)
    ),
    max_leaves=20,
)

#: Anything that a device can say, and what comes close to being read.
PAYLOADS = strategies.one_of(
    strategies.binary(max_size=40),
    strategies.text('{}[]":,.\\eE+-0123456789 \t\r\ntruefalsn', max_size=40).map(str.encode),
    strategies.binary(max_size=10).map(lambda inner: b'{"a":"' + inner + b'"}'),
    strategies.text("019.eE+-", max_size=10).map(lambda inner: b'{"a":%b}' % inner.encode()),
    strategies.dictionaries(strategies.sampled_from(["a", "b", "time"]), JSON).map(encodeJson),
)


class ReaderTestCase(SynchronousTestCase):
    """
    What tests of payloads share.
    """

    def reader(
        self,
        columns: Sequence[str] = (),
        time: str = "time",
        ignore: Sequence[str] = (),
        zone: str = "UTC",
    ) -> PayloadReader:
        """
        A reader.
        """
        return PayloadReader(ZoneInfo(zone), columns, time, ignore)

    def read(self, data: bytes | str, reader: PayloadReader | None = None) -> Payload:
        """
        A payload that is one.
        """
        found = (reader or self.reader()).read(data.encode() if isinstance(data, str) else data)
        assert isinstance(found, Payload), found
        return found

    def values(self, data: bytes | str, reader: PayloadReader | None = None) -> dict[str, Value]:
        """
        Names and values of a payload that has no time, and nothing bad in it.
        """
        found = self.read(data, reader)
        self.assertEqual((found.time, list(found.bad)), (None, []), data)
        self.assertEqual(len(dict(found.values)), len(found.values), data)
        return dict(found.values)

    def bad(self, data: bytes | str) -> list[str]:
        """
        Why some members of a payload are no values, where those called C{good} are.
        """
        found = self.read(data)
        self.assertEqual({name for name, _value in found.values} - {"good"}, set())
        for one in found.bad:
            self.assertLessEqual(len(one.data), SAMPLE)
        return [one.why for one in found.bad]

    def assertSkipped(
        self, data: bytes | str, why: str, reader: PayloadReader | None = None
    ) -> None:
        """
        Check that a payload is not taken, and that its beginning is kept for the log.
        """
        data = data.encode() if isinstance(data, str) else data
        found = (reader or self.reader()).read(data)
        assert isinstance(found, Skipped), found
        self.assertEqual(found.data, data[:SAMPLE])
        self.assertTrue(found.why.startswith(why), found.why)
        self.assertLess(len(found.why), 150)


class NumberTests(ReaderTestCase):
    """
    Payloads that are numbers.
    """

    def test_oneNumberIsTheValue(self) -> None:
        """
        A bare number is called value, whether whole or not, and blanks around it mean nothing.
        """
        for text, value in (
            ("21.5", 21.5),
            ("69", 69),
            (" -7\r\n", -7),
            ("+007", 7),
            ("\t.5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("0.0", 0.0),
        ):
            found = self.values(text)
            self.assertEqual(repr(found), repr({"value": value}))

    def test_truthIsAValue(self) -> None:
        """
        True and false are values as JSON writes them, and in no other way.
        """
        self.assertIs(self.values("true")["value"], True)
        self.assertIs(self.values(" false\n")["value"], False)
        for text in ("True", "FALSE", "yes", "ON", "null", "true,false", "t"):
            self.assertSkipped(text, NO_PAYLOAD)

    def test_numbersHaveTheirPlaces(self) -> None:
        """
        Numbers between commas are called by their place, with or without blanks.
        """
        self.assertEqual(self.values("1,2.5,-3"), {"1": 1, "2": 2.5, "3": -3})
        self.assertEqual(self.values(" 1 ,\t2.5 , -3\r\n"), {"1": 1, "2": 2.5, "3": -3})

    def test_columnsHaveTheirNames(self) -> None:
        """
        Numbers are called by the columns of the listener, and those beyond by their place; there
        may be fewer. With columns, one number is the first of them.
        """
        reader = self.reader(columns=["power", "voltage"])
        self.assertEqual(self.values("69,230", reader), {"power": 69, "voltage": 230})
        self.assertEqual(self.values("69,230,5,6", reader)["4"], 6)
        self.assertEqual(list(self.values("69,230,5,6", reader)), ["power", "voltage", "3", "4"])
        self.assertEqual(self.values("69", reader), {"power": 69})

    def test_noValueIsLostToAColumn(self) -> None:
        """
        A column may be called by the place of another number: that one gives way.
        """
        reader = self.reader(columns=["3", "2_", "x"])
        self.assertEqual(self.values("1,2,3,4", reader), {"3": 1, "2_": 2, "x": 3, "4": 4})
        self.assertEqual(self.values("1,5", self.reader(columns=["2"])), {"2": 1, "2_": 5})
        reader = self.reader(columns=["3", "3_"])
        self.assertEqual(self.values("1,2,5", reader), {"3": 1, "3_": 2, "3__": 5})
        reader = self.reader(columns=["2_", "2", "4", "4_"])
        self.assertEqual(list(self.values("1,2,3,4,5", reader)), ["2_", "2", "4", "4_", "5"])

    def test_whatIsNoNumberIsSkipped(self) -> None:
        """
        Words, missing numbers, other separators, arrays and foreign digits are no payload.
        """
        texts = ["", " ", "hello", "1,,2", "1,", ",1", "1;2", "1 2", "1\n2", "0x10", "1_0", "٣"]
        texts += ["[1,2]", '"21.5"', "21.5 °C", "21,5,x", "\ufeff1", "1\0", "--1"]
        for text in texts:
            self.assertSkipped(text, NO_PAYLOAD)

    def test_whatIsNotFiniteIsSkipped(self) -> None:
        """
        NaN, infinities and numbers too large for a float never come out.
        """
        for text in ("nan", "NaN", "inf", "-Infinity", "1e999", "1," + "9" * 400):
            self.assertSkipped(text, NO_PAYLOAD)

    def test_aWholeNumberBeyondDatabasesIsAFloat(self) -> None:
        """
        A whole number that does not fit 64 signed bits is taken as the nearest float.
        """
        for number in (2**63 - 1, -(2**63)):
            self.assertEqual(repr(self.values(str(number))), repr({"value": number}))
        for number in (2**63, -(2**63) - 1, 10**300):
            self.assertEqual(repr(self.values(str(number))), repr({"value": float(number)}))

    def test_bytesThatAreNoTextAreSkipped(self) -> None:
        """
        Bytes that are not UTF-8 are no payload.
        """
        for data in (b"\xff", b"21.5\x80", b"\xef\xbb\xbf21.5", bytes(range(256))):
            self.assertSkipped(data, NO_PAYLOAD)

    def test_thereIsAnEndOfNumbers(self) -> None:
        """
        A payload of 256 numbers is taken, and of 257 it is not.
        """
        self.assertEqual(len(self.values(",".join("7" * MAX_VALUES))), 256)
        for count in (MAX_VALUES + 1, MAX_VALUES + 2, 100_000):
            self.assertSkipped(",".join("7" * count), "more than 256 values")


class ObjectTests(ReaderTestCase):
    """
    Payloads that are JSON.
    """

    def test_theExampleIsRead(self) -> None:
        """
        The example of the specification is a temperature and its time.
        """
        self.assertEqual(self.read(EXAMPLE), Payload([("temperature", 21.5)], TIME, []))
        self.assertEqual(encode({"temperature": 21.5}, TIME), EXAMPLE)

    def test_membersAreValues(self) -> None:
        """
        Numbers, texts and truth values are values, of the types that they have, in their order.
        """
        found = self.values(' {"b": 1, "a": 1.0, "t": true, "f": false, "s": "", "ü": "温"}\r\n')
        expected = {"b": 1, "a": 1.0, "t": True, "f": False, "s": "", "ü": "温"}
        self.assertEqual(repr(found), repr(expected))

    def test_nothingAndArraysMeasureNothing(self) -> None:
        """
        Members that are null or arrays are passed over, whatever is in them.
        """
        self.assertEqual(
            self.values('{"a": null, "b": [], "c": [1, {"d": [2]}], "e": 5}'), {"e": 5}
        )
        self.assertEqual(self.values("{}"), {})

    def test_objectsAreTakenApart(self) -> None:
        """
        Members of objects within are called by the names of both, with a dot between.
        """
        found = self.values('{"a": {"b": {"c": 1}, "d": 2, "e": {}}, "f": 3}')
        self.assertEqual(found, {"a.b.c": 1, "a.d": 2, "f": 3})

    def test_aTasmotaIsUnderstood(self) -> None:
        """
        What a Tasmota says comes out flat, with the time of its own clock.
        """
        reader = self.reader(time="Time", zone="Europe/Berlin", ignore=["*.Id", "*Time", "*Unit"])
        found = self.read(TASMOTA, reader)
        expected = {
            "DS18B20.Temperature": 21.5,
            "ENERGY.Total": 12.345,
            "ENERGY.Power": 69,
            "Switch1": "ON",
        }
        self.assertEqual((dict(found.values), list(found.bad)), (expected, []))
        self.assertEqual(found.time, 1795194650_000000)
        names = {name for name, _value in self.read(TASMOTA).values}
        self.assertEqual(
            names - set(expected), {"Time", "DS18B20.Id", "ENERGY.TotalStartTime", "TempUnit"}
        )

    def test_aZigbeeSensorIsUnderstood(self) -> None:
        """
        What zigbee2mqtt says comes out flat, with the time at which the sensor was seen.
        """
        found = self.read(ZIGBEE, self.reader(time="last_seen", ignore=["update.*", "color.?"]))
        expected = {
            "battery": 100,
            "humidity": 45.32,
            "linkquality": 120,
            "occupancy": False,
            "temperature": -3.0,
            "state": "OFF",
        }
        self.assertEqual(repr(dict(found.values)), repr(expected))
        self.assertEqual((found.time, list(found.bad)), (1795194650_000000, []))
        names = {name for name, _value in self.read(ZIGBEE).values}
        self.assertIn("update.installed_version", names)
        self.assertNotIn("update.state", names)

    def test_whatIsIgnoredIsPassedOver(self) -> None:
        """
        Names that fit one of the patterns, whole and in the same case, are no values, and no harm
        is in what they would be.
        """
        text = '{"a": 1, "A": 2, "ab": 3, "x": {"a": 4, "deep": "\\u0000"}, "good": 5}'
        reader = self.reader(ignore=["a", "x.d*"])
        self.assertEqual(self.values(text, reader), {"A": 2, "ab": 3, "x.a": 4, "good": 5})
        self.assertEqual(self.values(text, self.reader(ignore=["*"])), {})
        reader = self.reader(ignore=["[aA]", "?b", "x.*"])
        self.assertEqual(self.values(text, reader), {"good": 5})

    def test_theTimeIsNoValueAndIsNotIgnored(self) -> None:
        """
        The time is looked for before names are passed over, and may lie in an object.
        """
        self.assertEqual(self.read('{"time": 5, "a": 1}', self.reader(ignore=["*"])).time, 5_000000)
        reader = self.reader(time="header.at")
        found = self.read('{"header": {"at": 5, "by": 1}, "at": 2}', reader)
        self.assertEqual(found, Payload([("header.by", 1), ("at", 2)], 5_000000, []))

    def test_withoutATimeThereIsNone(self) -> None:
        """
        Without a member for the time all are values, also one called time, and also one that is
        called nothing, which is none.
        """
        reader = self.reader(time="")
        self.assertEqual(self.values('{"time": 5}', reader), {"time": 5})
        found = self.read('{"": 5, "good": 1}', reader)
        self.assertEqual((found.time, [one.why for one in found.bad]), (None, [ODD_NAME]))

    def test_whatIsNoJsonIsSkipped(self) -> None:
        """
        Objects that are cut short, that something follows, or in which something is no JSON are
        no payload.
        """
        texts = ["{", '{"a":1', '{"a":1}}', '{"a":1} {"b":2}', "{a:1}", "{'a':1}", '{"a":}']
        texts += ['{"a":NaN}', '{"a":Infinity}', '{"a":-Infinity}', '{"a":01}', '{"a":+1}']
        texts += ['{"a":1,}', '{"a":1e999}', "{1:2}", '{"a":"\t"}', '{"a":True}']
        for text in texts:
            self.assertSkipped(text, "no JSON: ")

    def test_textThatIsNoneIsSkipped(self) -> None:
        """
        Texts and names that are not UTF-8, or in which half a character stands, never come out.
        """
        for piece in (b"\xff", b"\xc3", b"\xed\xa0\x80", rb"\ud800", rb"\udc00", rb"\ud800abcdefg"):
            self.assertSkipped(b'{"a":"%b"}' % piece, "no JSON: ")
            self.assertSkipped(b'{"%b":1}' % piece, "no JSON: ")
            self.assertSkipped(b'{"a":{"%b":[]}}' % piece, "no JSON: ")
        self.assertEqual(self.values(rb'{"a":"\ud83c\udf21"}'), {"a": "\U0001f321"})

    def test_aNameThatCannotBeKeptIsBadAlone(self) -> None:
        """
        A member without a name, or with one that is too long or does not print, is no value, and
        those beside it are.
        """
        for name in ("", "a" * (MAX_NAME + 1), "a\\u0000", "a\\n", "\\u200b", "\\ufffe", "\\u001b"):
            self.assertEqual(self.bad(f'{{"good": 1, "{name}": 2}}'), [ODD_NAME])
        longest = "é" * MAX_NAME
        self.assertEqual(self.values(f'{{"{longest}": 1}}'), {longest: 1})
        half = "a" * (MAX_NAME // 2)
        self.assertEqual(self.bad(f'{{"{half}": {{"{half}": 1}}}}'), [ODD_NAME])
        self.assertEqual(self.bad(f'{{"{"a" * MAX_PAYLOAD}'[:-100] + '": 1}'), [ODD_NAME])

    def test_aTextThatCannotBeKeptIsBadAlone(self) -> None:
        """
        A text that is too long, or that databases would cut off at a NUL, is no value.
        """
        longest = "温" * MAX_TEXT
        self.assertEqual(self.values(f'{{"a": "{longest}"}}'), {"a": longest})
        for text in (longest + "x", "a\\u0000b"):
            self.assertEqual(self.bad(f'{{"good": 1, "a": "{text}"}}'), [ODD_TEXT])

    def test_hugeNumbers(self) -> None:
        """
        Whole numbers beyond 64 bits become the nearest float; one that no float holds is no value,
        and those beside it are.
        """
        for number in (2**63 - 1, -(2**63)):
            self.assertEqual(repr(self.values(f'{{"a":{number}}}')), repr({"a": number}))
        for number in (2**63, -(2**63) - 1, 2**64 - 1, 2**64, -(10**300)):
            self.assertEqual(repr(self.values(f'{{"a":{number}}}')), repr({"a": float(number)}))
        for digits in (309, 4000, 4299, 4300):
            said = self.bad(f'{{"good": 1, "a": {"9" * digits}}}')
            self.assertEqual(said, ["too large for a number"])
        for digits in (4301, 5000, 200_000):
            self.assertSkipped(f'{{"a":{"9" * digits}}}', "no JSON: ")
        self.assertEqual(self.values('{"a":1.7976931348623157e308}'), {"a": 1.7976931348623157e308})

    def test_depthHasAnEnd(self) -> None:
        """
        Of objects in eight others a member is a value; deeper than that it is none, and those
        beside it are.
        """
        for depth, found in ((8, [7]), (9, []), (100, [])):
            text = '{"a":' * depth + "7" + "}" * (depth - 1) + ',"good":1}'
            payload = self.read(text)
            self.assertEqual([value for _name, value in payload.values], [*found, 1])
            self.assertEqual(payload.values[-1][0], "good")
            whys = [one.why for one in payload.bad]
            self.assertEqual(whys, [] if found else ["more than 8 objects in each other"])

    def test_noDepthRaises(self) -> None:
        """
        However deep objects and arrays lie in each other, reading them does not raise.
        """
        reader = self.reader()
        for depth in (*range(850, 1050), 60_000):
            for opening, closing in ((b'{"a":', b"}"), (b'{"a":[', b"]}")):
                data = opening * depth + b"1" + closing * depth
                assert isinstance(reader.read(data[:MAX_PAYLOAD]), Payload | Skipped)
            data = b'{"a":' * 9 + b"[" * depth + b"]" * depth + b"}" * 9
            assert isinstance(reader.read(data), Payload | Skipped)

    def test_thereIsAnEndOfMembers(self) -> None:
        """
        An object of 256 values is taken, also with a time and with what is ignored, and of 257 it
        is not.
        """
        members = {f"v{number}": number for number in range(MAX_VALUES)}
        found = self.read(
            encodeJson({**members, "time": 5, "x": None, "y": 1}), self.reader(ignore=["y"])
        )
        self.assertEqual((dict(found.values), found.time), (members, 5_000000))
        self.assertSkipped(encodeJson({**members, "y": 1}), "more than 256 values")
        self.assertSkipped(encodeJson({"a": members, "y": 1}), "more than 256 values")

    def test_twoOfOneNameAreNotGuessedAt(self) -> None:
        """
        Where an object's member has the name of another with a dot in it, neither is taken.
        """
        self.assertSkipped('{"a.b": 1, "a": {"b": 2}}', "two values of one name")
        self.assertEqual(self.values('{"a.b": 1, "a": {"b": null}}'), {"a.b": 1})
        self.assertEqual(self.values('{"a": 1, "a": 2}'), {"a": 2})

    def test_megabytesAreSkipped(self) -> None:
        """
        A payload of 256 KB is read, and a longer one is not looked at.
        """
        for text in ('{"a": 1}', "21.5"):
            longest = text + " " * (MAX_PAYLOAD - len(text))
            self.assertEqual(len(self.values(longest)), 1)
            why = f"{MAX_PAYLOAD + 1} bytes are longer than {MAX_PAYLOAD}"
            self.assertSkipped(longest + " ", why)
        for piece in ("7", " ", "{", '{"a":', "1,"):
            self.assertSkipped(piece * 10_000_000, f"{len(piece) * 10_000_000} bytes are longer")


class TimeTests(ReaderTestCase):
    """
    When something was measured.
    """

    def time(self, said: str, zone: str = "UTC") -> int | None:
        """
        What a device means by a time.
        """
        return self.read(f'{{"a": 1, "time": {said}}}', self.reader(zone=zone)).time

    def test_secondsMayHaveDecimals(self) -> None:
        """
        A time in seconds is exact to the microsecond.
        """
        for said, time in (
            ("0", 0),
            ("1795194650", 1795194650_000000),
            ("1795194650.5", TIME),
            ("1795194650.123457", 1795194650_123457),
            ("1.7951946505e9", TIME),
            ("-0.0", 0),
            (f"{END_OF_TIME - 1}", (END_OF_TIME - 1) * 1_000000),
        ):
            self.assertEqual(self.time(said), time)

    def test_aTextMayBeATime(self) -> None:
        """
        A time may be a text in the form of ISO 8601, with a zone of its own or without.
        """
        for said in (
            "2026-11-20T17:10:50.5Z",
            "2026-11-20 17:10:50.500",
            "2026-11-20T18:10:50.5+01:00",
            "20261120T171050.5Z",
        ):
            self.assertEqual(self.time(f'"{said}"'), TIME, said)
        self.assertEqual(self.time('"2026-11-20"'), 1795132800_000000)

    def test_theZoneIsThatOfTheListener(self) -> None:
        """
        A text without a zone is in that of the listener, summer and winter.
        """
        for said, utc in (
            ("2026-11-20T18:10:50", datetime(2026, 11, 20, 17, 10, 50, tzinfo=UTC)),
            ("2026-07-01T12:00:00", datetime(2026, 7, 1, 10, tzinfo=UTC)),
            ("2026-07-01T12:00:00Z", datetime(2026, 7, 1, 12, tzinfo=UTC)),
            ("2026-03-29T02:30:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),  # there is none
        ):
            time = self.time(f'"{said}"', "Europe/Berlin")
            self.assertEqual(time, int(utc.timestamp()) * 1_000000, said)

    def test_aTimeThatIsNoneSpoilsAll(self) -> None:
        """
        With a time that nobody believes, no value is taken: it would be stored at a wrong one.
        """
        for said in (
            "-1",
            "-0.001",
            f"{END_OF_TIME}",
            "1795194650500",
            "1e300",
            "1e308",
            "9" * 400,
            "true",
            "false",
            '""',
            '"now"',
            '"1795194650"',
            '"17:10"',
            '"1969-12-31T23:59:59Z"',
            '"2200-01-01T00:00:00Z"',
            '"0001-01-01T00:00:00"',
            '"9999-12-31T23:59:59"',
            f'"{"9" * 1000}"',
        ):
            for zone in ("Pacific/Kiritimati", "America/Adak"):
                self.assertSkipped(
                    f'{{"time": {said}, "a": 1}}',
                    "the time is no time in 1970..2199: ",
                    self.reader(zone=zone),
                )

    def test_nothingIsNoTime(self) -> None:
        """
        A time that is null, or an array, is none: the values are taken as of now.
        """
        for said in ("null", "[]", "[1795194650]", "{}"):
            self.assertIs(self.time(said), None)
        self.assertEqual(self.values('{"time": {"zone": 1}}'), {"time.zone": 1})


class EncodeTests(ReaderTestCase):
    """
    What devices say, and are told.
    """

    def test_whatIsNotFiniteIsRefused(self) -> None:
        """
        A value that is not finite is an error, not a text.
        """
        for value in (nan, inf, -inf):
            self.assertRaises(ValueError, encode, {"a": 1, "b": value})

    def test_commandsAreObjects(self) -> None:
        """
        A device is told a variable and its value; whole values have no point while they are exact.
        """
        for value, text in (
            (1.0, b"1"),
            (-0.0, b"0"),
            (0.5, b"0.5"),
            (-3.0, b"-3"),
            (2.0**53, b"9007199254740992"),
            (1e22, b"1e+22"),
        ):
            self.assertEqual(command("LED", value), b'{"LED":%b}' % text)
        self.assertEqual(command('a"\\ü', 1.0), '{"a\\"\\\\ü":1}'.encode())

    @PROPERTY
    @given(PAYLOADS)
    def test_anyBytesAreAPayloadOrSkipped(self, data: bytes) -> None:
        """
        Whatever a device says, reading it does not raise, and gives nothing that cannot be stored.
        """
        for reader in (self.reader(), self.reader(["x", "2"], "a", ["b*"])):
            found = reader.read(data)
            if isinstance(found, Skipped):
                self.assertLessEqual(len(found.data), SAMPLE)
                continue
            self.assertEqual(len(dict(found.values)), len(found.values))
            self.assertTrue(found.time is None or 0 <= found.time < END_OF_TIME * 1_000000)
            for name, value in found.values:
                self.assertTrue(name.isprintable() and 0 < len(name) <= MAX_NAME)
                name.encode()
                if isinstance(value, str):
                    self.assertNotIn("\0", value.encode().decode())
                else:
                    self.assertTrue(isfinite(value))
                    self.assertTrue(isinstance(value, float) or -(2**63) <= value < 2**63)

    @PROPERTY
    @given(
        strategies.dictionaries(NAMES, VALUES, max_size=20),
        strategies.none() | strategies.integers(0, 2**52),
    )
    def test_whatIsEncodedIsRead(self, values: dict[str, Value], time: int | None) -> None:
        """
        Any values survive the way through JSON, to their types, and so does their time.
        """
        found = self.read(encode(values, time))
        self.assertEqual(repr(found), repr(Payload(list(values.items()), time, [])))

    @PROPERTY
    @given(NAMES, strategies.floats(allow_nan=False, allow_infinity=False))
    def test_anyCommandIsRead(self, variable: str, value: float) -> None:
        """
        Any command is a payload that says what was meant.
        """
        self.assertEqual(self.values(command(variable, value)), {variable: value})

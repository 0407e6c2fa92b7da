"""
Tests for L{sensord.wire.lineprotocol}.
"""

import re
from typing import NamedTuple

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from sensord.wire.lineprotocol import Encoder, cleaned, dropped, outdated, quoted
from tests.support import PROPERTY

NOW = 1_795_194_651_000_000

#: The range of the server that says so.
RANGE = "time outside range -9223372036854775806 - 9223372036854775806"


class Series(NamedTuple):
    """
    What a reading is one of.
    """

    device: str
    name: str
    tags: dict[str, str]


class Entry(NamedTuple):
    """
    A reading.
    """

    series: Series
    time: int
    value: float | int | bool | str


BALCONY = Series("balcony", "temperature", {"place": "garden"})
HUMIDITY = Series("balcony", "humidity", {"place": "garden"})

#: Names with all that has a meaning somewhere in a line.
NAMES = strategies.text(
    strategies.sampled_from("ab\\\\ ,=\"'#\n\r\t\0\x7f😀é\u2028nx")
    | strategies.characters(exclude_categories=["Cs"]),
    min_size=1,
    max_size=300,
)
VALUES = (
    strategies.floats(allow_nan=False, allow_infinity=False)
    | strategies.integers(-(2**63), 2**63 - 1)
    | strategies.booleans()
    | strategies.text(strategies.sampled_from("ab\\\" ,=\n\r'#😀"), max_size=20)
)
TIMES = strategies.integers(-(2**53), 2**53)
SERIES = strategies.builds(Series, NAMES, NAMES, strategies.dictionaries(NAMES, NAMES, max_size=2))
BATCHES = strategies.lists(strategies.builds(Entry, SERIES, TIMES, VALUES), min_size=1, max_size=5)


def one(entry: Entry, wide: bool = False, integers: bool = False) -> str:
    """
    The only line that becomes of a reading.
    """
    (text,) = Encoder(wide, integers).encode([entry]).texts
    return text


class MeasurementTests(SynchronousTestCase):
    """
    The layout in which each name of readings is a measurement.
    """

    def test_example(self) -> None:
        """
        A reading is written as the specification shows it.
        """
        line = "temperature,device=balcony,place=garden value=24.5 1795194651000000"
        self.assertEqual(one(Entry(BALCONY, NOW, 24.5)), line)

    def test_body(self) -> None:
        """
        Each reading is a line of its own, in UTF-8, and each line has an end.
        """
        lines = Encoder().encode([Entry(BALCONY, NOW, 24.5), Entry(HUMIDITY, NOW, "naß")])
        body = (
            "temperature,device=balcony,place=garden value=24.5 1795194651000000\n"
            'humidity,device=balcony,place=garden value="naß" 1795194651000000\n'
        )
        self.assertEqual(lines.body(), body.encode())
        self.assertEqual(list(lines.firsts), [0, 1])
        self.assertEqual(Encoder().encode([Entry(BALCONY, 0, "\ud800")]).body()[-5:], b'?" 0\n')

    def test_tags(self) -> None:
        """
        Tags are in order, those that are empty are left out, and the tag of the device is ours.
        """
        tags = {"place": "", "": "x", "device": "theirs", "owner": "me", "a": "b"}
        line = one(Entry(Series("balcony", "light", tags), NOW, 1.5))
        self.assertEqual(line, f"light,a=b,device=balcony,owner=me value=1.5 {NOW}")

    def test_values(self) -> None:
        """
        Numbers are written in full, truth values as words, and texts in quotes.
        """
        for value, text in (
            (24.5, "24.5"),
            (-0.0, "-0.0"),
            (1e300, "1e300"),
            (1e-7, "1e-7"),
            (5e-324, "5e-324"),
            (0.1 + 0.2, "0.30000000000000004"),
            (7, "7"),
            (-(2**63), "-9223372036854775808"),
            (True, "true"),
            (False, "false"),
            ("", '""'),
            ('say "hi"', r'"say \"hi\""'),
            ("back\\slash\\", r'"back\\slash\\"'),
            ("two\nlines", r'"two\\nlines"'),
            ("a b,c=d", '"a b,c=d"'),
        ):
            line = one(Entry(Series("d", "n", {}), 7, value))
            self.assertEqual(line, f"n,device=d value={text} 7")

    def test_integers(self) -> None:
        """
        Integers stay integers if they are asked to; truth values are none.
        """
        for value, text in ((7, "7i"), (-(2**63), f"{-(2**63)}i"), (7.0, "7.0"), (True, "true")):
            line = one(Entry(Series("d", "n", {}), 7, value), integers=True)
            self.assertEqual(line, f"n,device=d value={text} 7")

    def test_times(self) -> None:
        """
        The time is always that of the reading, also before 1970 and long after.
        """
        for time in (0, -1, -(2**63), 4_102_444_800_000_000, 2**63 - 1):
            self.assertTrue(one(Entry(BALCONY, time, 1.5)).endswith(f" {time}"))


class DeviceTests(SynchronousTestCase):
    """
    The layout in which each device is a measurement.
    """

    def test_example(self) -> None:
        """
        The readings of one device and time are one line.
        """
        batch = [Entry(BALCONY, NOW, 24.5), Entry(HUMIDITY, NOW, 61.0)]
        lines = Encoder(wide=True).encode(batch)
        text = "balcony,place=garden temperature=24.5,humidity=61.0 1795194651000000"
        self.assertEqual(lines.texts, [text])
        self.assertEqual(list(lines.firsts), [0])

    def test_moments(self) -> None:
        """
        Another time, other tags or another device begin another line.
        """
        moved = BALCONY._replace(tags={"place": "roof"})
        other = Series("attic", "temperature", {"place": "garden"})
        batch = [
            Entry(BALCONY, NOW, 1.5),
            Entry(HUMIDITY, NOW, True),
            Entry(HUMIDITY, NOW + 1, 3),
            Entry(moved, NOW + 1, 4.5),
            Entry(other, NOW + 1, "five"),
            Entry(BALCONY, NOW + 1, 6.5),
        ]
        lines = Encoder(wide=True).encode(batch)
        self.assertEqual(
            lines.texts,
            [
                f"balcony,place=garden temperature=1.5,humidity=true {NOW}",
                f"balcony,place=garden humidity=3 {NOW + 1}",
                f"balcony,place=roof temperature=4.5 {NOW + 1}",
                f'attic,place=garden temperature="five" {NOW + 1}',
                f"balcony,place=garden temperature=6.5 {NOW + 1}",
            ],
        )
        self.assertEqual(list(lines.firsts), [0, 2, 3, 4, 5])

    def test_oneTag(self) -> None:
        """
        Tags that differ only in what cannot be written are one, since a line with one twice is
        refused.
        """
        tags = {"a\n": "first", "a\\n": "second"}
        line = one(Entry(Series("d", "n", tags), 7, 1.5), wide=True)
        self.assertEqual(line, r"d,a\n=second n=1.5 7")

    def test_ownTag(self) -> None:
        """
        A tag called device is the device's own, since ours is the measurement.
        """
        line = one(Entry(Series("d", "n", {"device": "theirs"}), 7, 1.5), wide=True)
        self.assertEqual(line, "d,device=theirs n=1.5 7")

    def test_nothing(self) -> None:
        """
        No readings are no lines.
        """
        for wide in (False, True):
            self.assertEqual(Encoder(wide).encode([]).texts, [])

    def test_unwritable(self) -> None:
        """
        A field called time is found, since servers leave it out and say nothing, and what has no
        name; a measurement may be called time.
        """
        series = (BALCONY, *(BALCONY._replace(name=name) for name in ("time", "", "times")))
        batch = [Entry(one, NOW, 1.5) for one in (*series, BALCONY._replace(device=""))]
        self.assertEqual(Encoder(wide=True).unwritable(batch), [1, 2, 4])
        self.assertEqual(Encoder().unwritable(batch), [2])


class NameTests(SynchronousTestCase):
    """
    Names with signs that mean something.
    """

    def test_signs(self) -> None:
        """
        Blanks, commas, equals signs and quotes in names mean nothing else.
        """
        series = Series('a, b="c"', 'd, e="f"', {'g, h="i"': 'j, k="l"'})
        self.assertEqual(
            one(Entry(series, 7, 1.5)),
            r'd\,\ e="f",device=a\,\ b\="c",g\,\ h\="i"=j\,\ k\="l" value=1.5 7',
        )
        self.assertEqual(
            one(Entry(series, 7, 1.5), wide=True),
            r'a\,\ b="c",g\,\ h\="i"=j\,\ k\="l" d\,\ e\=\"f\"=1.5 7',
        )

    def test_lineEnds(self) -> None:
        """
        A line end in a name does not end the line: it is written as text.
        """
        series = Series("two\nlines", "a\r\nb", {"tab\t": "\x00\x1f\x7f"})
        line = r"a\r\nb,device=two\nlines,tab\t=\x00\x1f\x7f value=1.5 7"
        self.assertEqual(one(Entry(series, 7, 1.5)), line)

    def test_backslashes(self) -> None:
        """
        A backslash stays where it means itself; where it would take the sign behind it with it,
        another character that looks like it stands for it.
        """
        for name, clean in (
            ("a\\b", "a\\b"),
            ("C:\\temp\\new", "C:\\temp\\new"),
            ("end\\", "end\uff3c"),
            ("a\\ b", "a\uff3c b"),
            ("a\\,b", "a\uff3c,b"),
            ("a\\=b", "a\uff3c=b"),
            ('a\\"b', 'a\uff3c"b'),
            ("a\\\\b", "a\uff3c\\b"),
            ("a\\\nb", "a\uff3c\\nb"),
            ("\\", "\uff3c"),
        ):
            self.assertEqual(cleaned(name), clean)
        line = one(Entry(Series("end\\", "n\\", {"t\\": "v\\"}), 7, 1.5))
        self.assertEqual(line, "n\uff3c,device=end\uff3c,t\uff3c=v\uff3c value=1.5 7")

    def test_comments(self) -> None:
        """
        A measurement that begins like a comment is none.
        """
        self.assertEqual(one(Entry(Series("#d", "#n", {}), 7, 1.5)), r"\#n,device=#d value=1.5 7")
        self.assertEqual(one(Entry(Series("#d", "#n", {}), 7, 1.5), wide=True), r"\#d #n=1.5 7")

    def test_long(self) -> None:
        """
        Names of 300 characters and of other scripts are written as they are.
        """
        for name in ("x" * 300, "🌡" * 300, "温度", "Außen-Fühler"):
            self.assertEqual(cleaned(name), name)
            self.assertEqual(
                one(Entry(Series(name, name, {}), 7, 1.5)), f"{name},device={name} value=1.5 7"
            )


class ComplaintTests(SynchronousTestCase):
    """
    What servers say of lines.
    """

    def test_quoted(self) -> None:
        """
        Lines that a server quotes are found, whatever is in them, each with the reason.
        """
        texts = ["a v=1 9", "a v=\"it's ': so\" 99", "b v=1 1", "c v="]
        message = "\n".join(f"unable to parse '{text}': {RANGE}" for text in texts[:2])
        self.assertEqual(quoted(message, texts), dict.fromkeys(texts[:2], RANGE))
        message = f"partial write: unable to parse 'c v=': missing field value\n{message} dropped=0"
        self.assertEqual(
            quoted(message, texts),
            {"c v=": "missing field value"} | dict.fromkeys(texts[:2], RANGE),
        )

    def test_notQuoted(self) -> None:
        """
        A line that was not sent is not found, nor one that is quoted in part.
        """
        for message in (
            "",
            "unable to parse '",
            "unable to parse 'b v=1': bad",
            "unable to parse 'a v=1 9",
            "unable to parse authentication credentials",
        ):
            self.assertEqual(quoted(message, ["a v=1 9", "b v=1 1"]), {})

    def test_dropped(self) -> None:
        """
        How many points were dropped stands at the end of a complaint.
        """
        self.assertEqual(dropped("partial write: something dropped=12"), 12)
        self.assertEqual(dropped("partial write: something dropped=0\n"), 0)
        for message in ("", "dropped=1 of 2", "dropped=", "dropped=" + "9" * 5000):
            self.assertIsNone(dropped(message))

    def test_outdated(self) -> None:
        """
        Points that are older than what a server keeps are told by what it says.
        """
        self.assertTrue(outdated("partial write: points beyond retention policy dropped=2"))
        self.assertFalse(outdated("partial write: field type conflict dropped=2"))

    def test_suspects(self) -> None:
        """
        A complaint about a field is about the readings of that field and type, of all devices.
        """
        other = Series("attic", "temperature", {})
        batch = [
            Entry(BALCONY, 1, 24.5),
            Entry(BALCONY, 2, "24.5"),
            Entry(HUMIDITY, 3, "wet"),
            Entry(other, 4, "25"),
            Entry(other, 5, True),
            Entry(other, 6, 25),
        ]
        begin = 'partial write: field type conflict: input field "value" on measurement'
        for type, places in (
            ("string", [1, 3]),
            ("boolean", [4]),
            ("float", [0, 5]),
            ("integer", []),
        ):
            message = f'{begin} "temperature" is type {type}, already exists as type x dropped=1'
            self.assertEqual(Encoder().suspects(message, batch), places)
        message = f'{begin} "temperature" is type integer, already exists as type float dropped=1'
        self.assertEqual(Encoder(integers=True).suspects(message, batch), [5])
        self.assertEqual(Encoder(wide=True).suspects(message, batch), [])
        self.assertEqual(Encoder().suspects("partial write: timeout dropped=1", batch), [])

    def test_suspectsOfDevices(self) -> None:
        """
        Where a device is a measurement, the field is the name of the reading.
        """
        batch = [Entry(BALCONY, 1, "24.5"), Entry(HUMIDITY, 1, "wet")]
        message = 'input field "humidity" on measurement "balcony" is type string, already exists'
        self.assertEqual(Encoder(wide=True).suspects(message, batch), [1])

    def test_suspectsWithSigns(self) -> None:
        """
        The names in a complaint are those that the server has, which may be other than ours.
        """
        batch = [Entry(Series("d", '#a "b",\n\\', {}), 1, "x"), Entry(BALCONY, 1, "x")]
        message = 'input field "value" on measurement "\\#a "b",\\n\uff3c" is type string, already'
        self.assertEqual(Encoder().suspects(message, batch), [0])

    def test_suspectsWithTags(self) -> None:
        """
        A complaint about a tag is about the readings that have it.
        """
        batch = [Entry(BALCONY, 1, 1.5), Entry(BALCONY._replace(tags={"time": "x"}), 2, 1.5)]
        message = (
            'invalid tag key: input tag "time" on measurement "temperature" is invalid dropped=1'
        )
        self.assertEqual(Encoder().suspects(message, batch), [1])


class PropertyTests(SynchronousTestCase):
    """
    What holds for any names and values.
    """

    @PROPERTY
    @given(BATCHES, strategies.booleans())
    def test_anyNames(self, batch: list[Entry], integers: bool) -> None:
        """
        Whatever names and values there are, each reading is one line, and a reader that knows
        nothing but the rules finds in it what was written.
        """
        lines = Encoder(integers=integers).encode(batch)
        body = lines.body().decode()
        self.assertEqual(body.count("\n"), len(batch))
        for entry, text in zip(batch, body.split("\n"), strict=False):
            series = entry.series
            measurement, tags, fields, time = read(text)
            self.assertEqual(measurement, "\\" * series.name.startswith("#") + cleaned(series.name))
            want = {cleaned(name): cleaned(tag) for name, tag in sorted(series.tags.items())}
            want["device"] = cleaned(series.device)
            self.assertEqual(tags, want)
            self.assertEqual(fields, {"value": shown(entry.value, integers)})
            self.assertEqual(time, entry.time)

    @PROPERTY
    @given(BATCHES)
    def test_anyFields(self, batch: list[Entry]) -> None:
        """
        In the other layout, each reading is a field of the line that it belongs to.
        """
        lines = Encoder(wide=True).encode(batch)
        ends = [*lines.firsts[1:], len(batch)]
        self.assertEqual(lines.body().count(b"\n"), len(lines.texts))
        for text, first, end in zip(lines.texts, lines.firsts, ends, strict=True):
            _measurement, _tags, fields, time = read(text)
            self.assertEqual({entry.time for entry in batch[first:end]}, {time})
            want = {cleaned(one.series.name): shown(one.value, False) for one in batch[first:end]}
            self.assertEqual(fields, want)

    @PROPERTY
    @given(NAMES)
    def test_anyName(self, name: str) -> None:
        """
        A name without backslashes and control characters is not changed; one that has been written
        is written in the same way again.
        """
        if not re.search(r"[\\\x00-\x1f\x7f]", name):
            self.assertEqual(cleaned(name), name)
        self.assertEqual(cleaned(cleaned(name)), cleaned(name))


def shown(value: float | int | bool | str, integers: bool) -> object:
    """
    A value as a server has it.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return (value, "i") if integers else float(value)
    return value.replace("\n", "\\n") if isinstance(value, str) else value


def read(line: str) -> tuple[str, dict[str, str], dict[str, object], int]:
    """
    Read a line as the specification of the format says it.
    """
    assert not line.startswith("#")
    head, rest = _cut(line, " ", 1)
    fields, time = _cut(rest, " ", quotes=True)
    measurement, *tags = _cut(head, ",")
    pairs = [_cut(tag, "=") for tag in tags]
    assert len({name for name, _text in pairs}) == len(pairs)
    values = [_cut(field, "=", quotes=True) for field in _cut(fields, ",", quotes=True)]
    return (
        _plain(measurement),
        {_plain(name): _plain(text) for name, text in pairs},
        {_plain(name): _value(text) for name, text in values},
        int(time),
    )


def _cut(text: str, sign: str, most: int = -1, quotes: bool = False) -> list[str]:
    """
    Cut a text at a sign, unless a backslash stands before it or, among fields, it is quoted.

    @param most: how often it is cut; all beyond is left as it is.
    """
    pieces, place, inside = [""], 0, False
    while place < len(text) and len(pieces) != most + 1:
        letter = text[place]
        place += 1
        if letter == "\\":
            letter += text[place : place + 1]
            place += 1
        elif letter == '"' and quotes:
            inside = not inside
        if letter == sign and not inside:
            pieces.append("")
        else:
            pieces[-1] += letter
    pieces[-1] += text[place:]
    return pieces


def _plain(name: str) -> str:
    return re.sub(r'\\([ ,="])', r"\1", name)


def _value(text: str) -> object:
    if text[0] == '"':
        assert text[-1] == '"'
        return re.sub(r'\\([\\"])', r"\1", text[1:-1])
    if text in ("true", "false"):
        return text == "true"
    return (int(text[:-1]), "i") if text.endswith("i") else float(text)

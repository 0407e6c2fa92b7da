"""
Tests for L{sensord.wire.topics}.
"""

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from sensord.wire import SAMPLE, Skipped
from sensord.wire.topics import (
    MAX_ID,
    MAX_NAME,
    MAX_TOPIC,
    Message,
    MessageParser,
    Pattern,
    Place,
    answering,
    encode,
)
from tests.support import PROPERTY, assertParses, collect

EXAMPLE = bytes.fromhex("612f62 00 32312e35")
MESSAGE = Message("a/b", b"21.5")

NO_MESSAGE = "no topic, NUL and payload"

#: Anything that could be called a topic, and what comes close to one of the patterns below.
TOPICS = strategies.one_of(
    strategies.text(max_size=40),
    strategies.characters().map(lambda odd: f"tele/{odd}/SENSOR"),
    strategies.lists(
        strategies.sampled_from(["", "tele", "emon", "h7", "x", "SENSOR", "data", "+", "#", "$"]),
        max_size=5,
    ).map("/".join),
)

#: The levels that devices choose themselves.
LEVELS = strategies.text(
    strategies.characters(
        exclude_categories=["Cc", "Cs", "Cn"], exclude_characters="/+#\ufffe\uffff"
    ),
    min_size=1,
    max_size=12,
)

PATTERNS = [
    "/{hub}/{device}/data",
    "tele/{device}/SENSOR",
    "zigbee2mqtt/{device}",
    "emon/{device}/{name}",
    "{name}/at/{device}",
    "{device}",
]


class PatternTests(SynchronousTestCase):
    """
    Where devices say something.
    """

    def refused(self, text: str) -> str:
        """
        Why a text is no pattern.
        """
        return str(self.assertRaises(ValueError, Pattern, text))

    def test_theExamplesMatch(self) -> None:
        """
        The topics of the specification tell the devices and the names that it says.
        """
        for pattern, topic, id, name in (
            ("/{hub}/{device}/data", "/h7/3c71bf/data", "h7/3c71bf", ""),
            ("tele/{device}/SENSOR", "tele/boiler/SENSOR", "boiler", ""),
            ("emon/{device}/{name}", "emon/emontx/power1", "emontx", "power1"),
        ):
            self.assertEqual(Pattern(pattern).match(topic), Place(id, name))

    def test_theNameMayStandAnywhere(self) -> None:
        """
        The level that tells what was measured is no part of the id, wherever it stands.
        """
        pattern = Pattern("{hub}/{name}/{device}")
        self.assertEqual(pattern.match("h7/power/meter"), Place("h7/meter", "power"))
        self.assertEqual(pattern.fields, ("hub", "device"))

    def test_otherTopicsDoNotMatch(self) -> None:
        """
        A topic with other fixed levels, or more or fewer levels, is none of the pattern's.
        """
        for pattern, topics in (
            (
                "/{hub}/{device}/data",
                ["h7/x/data", "/h7/x/cmd", "/h7/x/Data", "/h7/x/data/", "/h7/x/y/data", "/h7/data"],
            ),
            ("tele/{device}/SENSOR", ["tele/SENSOR", "stat/x/SENSOR", "tele/x/STATE", "tele", ""]),
            ("emon/{device}/{name}", ["emon/x", "emon/x/y/z"]),
        ):
            for topic in topics:
                self.assertIs(Pattern(pattern).match(topic), None, topic)

    def test_anEmptyLevelIsNobody(self) -> None:
        """
        A device has an id, a hub too, and what was measured has a name.
        """
        for pattern, topics in (
            ("/{hub}/{device}/data", ["//x/data", "/h7//data", "///data"]),
            ("emon/{device}/{name}", ["emon//power", "emon/x/", "emon//"]),
            ("{device}", [""]),
        ):
            for topic in topics:
                self.assertIs(Pattern(pattern).match(topic), None, topic)

    def test_whatNoAddressHasDoesNotMatch(self) -> None:
        """
        Wildcards, control characters and halves of characters are in no id and in no name.
        """
        pattern = Pattern("emon/{device}/{name}")
        for odd in "+#\0\n\r\x1b\x7f\x9f\ud800\udfff\ufdd0\ufffe\uffff":
            for topic in (f"emon/a{odd}/power", f"emon/a/{odd}power"):
                self.assertIs(pattern.match(topic), None, ascii(topic))
        for plain in (" ", "é", "温", "\U0001f321", "$", "{device}", ".", "..", "\ufffd"):
            self.assertEqual(pattern.match(f"emon/{plain}/t"), Place(plain, "t"))

    def test_idsAndNamesHaveAnEnd(self) -> None:
        """
        An id is as long as an address can be and no longer, a name alike: both are kept for ever.
        """
        pattern = Pattern("/{hub}/{device}/{name}")
        half = "h" * 100
        longest = f"{half}/{'d' * (MAX_ID - 101)}"
        self.assertEqual(pattern.match(f"/{longest}/n"), Place(longest, "n"))
        self.assertIs(pattern.match(f"/{longest}d/n"), None)
        self.assertEqual(pattern.match(f"/h/d/{'n' * MAX_NAME}"), Place("h/d", "n" * MAX_NAME))
        self.assertIs(pattern.match(f"/h/d/{'n' * (MAX_NAME + 1)}"), None)
        self.assertEqual(pattern.parts(longest), {"hub": half, "device": longest[101:]})
        self.assertIs(pattern.parts(f"{longest}d"), None)

    def test_whatIsSubscribedTo(self) -> None:
        """
        The filter has a wildcard for each level in braces, and nothing else is one.
        """
        for pattern, filter, stem in (
            ("/{hub}/{device}/data", "/+/+/data", "/"),
            ("/h7/{device}/data", "/h7/+/data", "/h7/"),
            ("tele/{device}/SENSOR", "tele/+/SENSOR", "tele/"),
            ("zigbee2mqtt/{device}", "zigbee2mqtt/+", "zigbee2mqtt/"),
            ("{device}/{name}/a", "+/+/a", ""),
        ):
            found = Pattern(pattern)
            self.assertEqual((found.filter, found.stem), (filter, stem))

    def test_theLevelsOfADevice(self) -> None:
        """
        An id is taken apart into the levels that it is made of; what cannot be an id is not.
        """
        pattern = Pattern("/{hub}/{device}/{name}")
        self.assertEqual(pattern.parts("h7/x"), {"hub": "h7", "device": "x"})
        for id in ("", "h7", "h7/", "/x", "h7/x/y", "h7/+", "h#/x", "h7/x\n", "h7/\ud800"):
            self.assertIs(pattern.parts(id), None, ascii(id))

    def test_aPatternTellsDevicesApart(self) -> None:
        """
        A pattern without a level in braces, or with none but the name, is refused with an example.
        """
        for text in ("", "tele/boiler/SENSOR", "emon/{name}", "{name}"):
            self.assertEqual(
                self.refused(text),
                'no level in braces tells devices apart; write e.g. "tele/{device}"',
            )

    def test_bracesAreAllOfALevel(self) -> None:
        """
        Braces around a part of a level, empty, not closed, or around what is no name are refused.
        """
        for level in ("x{device}", "{device}x", "{a}{b}", "{", "}", "{}", "{a b}", "{Hub}", "{1}"):
            self.assertEqual(
                self.refused(f"tele/{level}/{{device}}"),
                f'"{level}" is no level; one in braces is all of its level',
            )

    def test_aLevelIsCalledOnce(self) -> None:
        """
        Two levels of one name could not be told apart.
        """
        said = "two of the levels in braces are called the same"
        self.assertEqual(self.refused("{a}/{a}"), said)
        self.assertEqual(self.refused("{name}/{a}/{name}"), said)

    def test_aVariableIsForCommands(self) -> None:
        """
        The level of what devices are told is none of what they say.
        """
        self.assertEqual(
            self.refused("{device}/{variable}"), "{variable} is for what devices are told"
        )

    def test_whatIsNoTopicIsRefused(self) -> None:
        """
        Wildcards, control characters and the topics of the broker itself are no pattern.
        """
        for text in ("a/+/{b}", "a/#/{b}", "a+/{b}", "{b}/#", "$SYS/{b}", "$share/g/{b}"):
            self.assertIn("nothing that devices could say anything at", self.refused(text))
        for odd in "\0\n\x7f\x85\ud800\uffff":
            self.assertIn("nothing that devices", self.refused(f"a{odd}/{{b}}"))

    def test_answersStandBeside(self) -> None:
        """
        Devices are told something beside what they say, at C{cmd} in place of C{data}; elsewhere
        nobody can guess where.
        """
        for text, answer in (
            ("/{hub}/{device}/data", "/{hub}/{device}/cmd"),
            ("{device}/data", "{device}/cmd"),
            ("tele/{device}/SENSOR", ""),
            ("{device}/mydata", ""),
            ("data", ""),
            ("{device}/data/", ""),
        ):
            self.assertEqual(answering(text), answer)

    @PROPERTY
    @given(strategies.sampled_from(PATTERNS), TOPICS)
    def test_anyTopicMatchesOrNot(self, text: str, topic: str) -> None:
        """
        Whatever a topic is, looking at it does not raise, and what matches is an id of the pattern.
        """
        pattern = Pattern(text)
        place = pattern.match(topic)
        if place is not None:
            parts = pattern.parts(place.id)
            assert parts is not None
            named = {**parts, "name": place.name}
            self.assertEqual(text.format_map(named), topic)
        pattern.parts(topic)

    @PROPERTY
    @given(strategies.sampled_from(PATTERNS), LEVELS, LEVELS, LEVELS)
    def test_whatIsFilledInMatches(self, text: str, hub: str, device: str, name: str) -> None:
        """
        A pattern that is filled in is a topic that says what was filled in.
        """
        pattern = Pattern(text)
        filled = {"hub": hub, "device": device, "name": name}
        place = pattern.match(text.format_map(filled))
        ids = [filled[field] for field in pattern.fields]
        expected = Place("/".join(ids), name if "{name}" in text else "")
        self.assertEqual(place, expected)
        self.assertEqual(
            pattern.parts(expected.id), {field: filled[field] for field in pattern.fields}
        )


class MessageParserTests(SynchronousTestCase):
    """
    Messages outside of MQTT.
    """

    def test_theExampleIsRead(self) -> None:
        """
        The example of the specification is a message, however it is cut, and back.
        """
        assertParses(self, MessageParser, EXAMPLE, [MESSAGE])
        self.assertEqual(encode(MESSAGE), EXAMPLE)

    def test_nothingEndsBeforeTheEnd(self) -> None:
        """
        A message is over when the bytes are, and the next one is a message of its own.
        """
        parser = MessageParser()
        self.assertEqual((list(parser.feed(EXAMPLE)), parser.finished), ([], False))
        self.assertEqual(parser.close(), [MESSAGE])
        self.assertEqual((list(parser.close()), parser.finished), ([], False))
        self.assertEqual(collect(parser, [b"c\0d"]), [Message("c", b"d")])

    def test_aPayloadMayBeAnything(self) -> None:
        """
        The first NUL ends the topic; those behind it are of the payload, which may be empty.
        """
        assertParses(self, MessageParser, b"a\0", [Message("a", b"")])
        assertParses(self, MessageParser, b"a\0\0b\0\xff", [Message("a", b"\0b\0\xff")])
        assertParses(self, MessageParser, "küche/温\0x".encode(), [Message("küche/温", b"x")])

    def test_nothingIsNoMessage(self) -> None:
        """
        Of no bytes comes nothing.
        """
        assertParses(self, MessageParser, b"", [])

    def test_whatHasNoTopicIsSkipped(self) -> None:
        """
        Bytes without a NUL, or whose topic is not UTF-8, are no message; their beginning is kept
        for the log.
        """
        for data in (b"a/b", b"\xff\0x", b"a\xc3\0x", b"\xed\xa0\x80\0", b"x" * 200):
            assertParses(self, MessageParser, data, [Skipped(data[:SAMPLE], NO_MESSAGE)])

    def test_noTopicIsLongerThanMqttHas(self) -> None:
        """
        A topic of 65535 bytes is one, and a longer one is none.
        """
        longest = "é" * (MAX_TOPIC // 2) + "x"
        data = longest.encode() + b"\0" + b"1"
        self.assertEqual(collect(MessageParser(), [data]), [Message(longest, b"1")])
        [skipped] = collect(MessageParser(), [b"x" + data])
        self.assertEqual(skipped, Skipped((b"x" + data)[:SAMPLE], NO_MESSAGE))

    @PROPERTY
    @given(strategies.binary(max_size=60) | strategies.binary(max_size=60).map(b"a/b\0".__add__))
    def test_anyBytesAreAMessageOrSkipped(self, data: bytes) -> None:
        """
        Whatever bytes come, reading them does not raise, and what is read is what was written.
        """
        for event in collect(MessageParser(), [data]):
            if isinstance(event, Message):
                self.assertEqual(encode(event), data)
            else:
                self.assertEqual(event, Skipped(data[:SAMPLE], NO_MESSAGE))

    @PROPERTY
    @given(
        strategies.builds(
            Message,
            strategies.text(strategies.characters(exclude_categories=["Cs"]), max_size=40).map(
                lambda text: text.replace("\0", "")
            ),
            strategies.binary(max_size=60),
        )
    )
    def test_whatIsEncodedIsParsed(self, message: Message) -> None:
        """
        Any message survives the way through bytes.
        """
        self.assertEqual(collect(MessageParser(), [encode(message)]), [message])

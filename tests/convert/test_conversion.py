"""
Tests for L{sensord.convert.conversion}.
"""

from hypothesis import given, strategies

from sensord.convert.conversion import KINDS, convert
from sensord.convert.report import ConvertError
from tests.convert.support import EXAMPLES, ConvertTestCase, example, gateway, hub, part
from tests.support import PROPERTY

_FILES = [path.read_text(encoding="utf-8").splitlines() for path in sorted(EXAMPLES.iterdir())]

#: What may stand in place of a line.
_ODD = strategies.one_of(
    strategies.text(max_size=60),
    strategies.sampled_from(
        [
            "",
            "[nodes]",
            "[[5]]",
            "[[[rx]]]",
            "[[[tx]]]",
            "datacodes = h, ?, c",
            "datacode = q",
            "scales = 1e300, x, 0.1",
            "names = a, a, \u00e9\u2028, ,",
            "nodeoffset = -3",
            "nodename = a/b",
            "com_port = ''",
            'com_port = "a\\b:c"',
            "port_nb = 99999999999999999999",
            "interval = 1e9999",
            "mqtt_host = a:b:c]",
            "url = http://[::1",
            "pause = all",
            "Type = EmonHubMqttSubsciberInterfacer",
            "basetopic = {a}/#",
        ]
    ),
)

#: What may stand in place of a value.
_VALUE = strategies.one_of(
    strategies.text(
        strategies.characters(codec="utf-8", exclude_characters="'\n\r\0"), max_size=40
    ),
    strategies.sampled_from(
        [
            "nan, -inf, 1e300, , x",
            "-1",
            "0",
            "1e9999",
            "99999999999999999999",
            "yes",
            "a\\b:c",
            "http://[::1",
            "http://anna:Sesame-7@x",
            "xxxx",
            "all",
            "{a}/+",
            "$SYS",
            "emon",
            "q, Q, c, ?, x",
            "qQc?x",
            "a, a, a-2, a",
            "f" * 32,
            *("OemGatewaySerialListener", "OemGatewayEmoncmsBuffer"),
            *("EmonHubJeeInterfacer", "EmonHubSerialInterfacer", "EmonHubSocketInterfacer"),
            *("EmonHubMqttInterfacer", "EmonHubMqttSubsciberInterfacer"),
            *("EmonHubEmoncmsHTTPInterfacer", "EmonHubInfluxInterfacer"),
        ]
    ),
)


class KindTests(ConvertTestCase):
    """
    Which of the files it is.
    """

    def test_known(self) -> None:
        """
        Each is recognised.
        """
        for name, kind in (
            ("oemgateway.conf", "oemgateway"),
            ("emonhub.conf", "emonhub"),
            ("emonhub-old.conf", "emonhub"),
        ):
            self.assertEqual(self.convert(example(name)).kind, kind)
        text = b"[listeners]\n" + part("a", "OemGatewaySocketListener").encode()
        self.assertEqual(self.convert(text).kind, "oemgateway")

    def test_unknown(self) -> None:
        """
        What is neither is none, unless it is said which it is; then there has to be something.
        """
        for text in (b"", b"[a]\nb = 1", b"# emonhub.conf\n"):
            self.assertIn("--from", str(self.assertRaises(ConvertError, convert, text)))
            for kind in KINDS:
                error = self.assertRaises(ConvertError, convert, text, kind)
                self.assertIn("nothing in it", str(error))
                self.assertIsNotNone(error.report)

    def test_forced(self) -> None:
        """
        What it is said to be goes before what it looks like.
        """
        text = hub("") + part("a", "OemGatewaySocketListener").encode()
        text = (
            b"[hub]\n[interfacers]\n[listeners]\n" + part("a", "OemGatewaySocketListener").encode()
        )
        self.assertRaises(ConvertError, convert, text)
        self.assertEqual(self.convert(text, "oemgateway").kind, "oemgateway")

    def test_empty(self) -> None:
        """
        A file with nothing that sensord could do is an error, with all of it listed.
        """
        text = gateway(part("a", "OemGatewayOWFSListener"))
        error = self.assertRaises(ConvertError, convert, text)
        self.report = error.report
        self.assertLost(("Type", "OemGatewayOWFSListener"))


class AnythingTests(ConvertTestCase):
    """
    Whatever stands in a file, it is converted or refused.
    """

    def check(self, data: bytes, kind: str) -> None:
        """
        Convert something; what comes out is good, and shows no secret.
        """
        try:
            made = convert(data, kind)
        except ConvertError as error:
            self.assertNotIn("\n", str(error))
            return
        lines = made.report.lines()
        self.assertTrue(all(line.isprintable() for line in lines))
        self.assertNotIn("Sesame-7", "\n".join(lines))
        self.settings(data)

    @PROPERTY
    @given(strategies.binary(max_size=400), strategies.sampled_from(["", *KINDS]))
    def test_bytes(self, data: bytes, kind: str) -> None:
        """
        Any bytes.
        """
        try:
            convert(data, kind)
        except ConvertError as error:
            self.assertNotIn("\n", str(error))

    @PROPERTY
    @given(
        strategies.sampled_from(_FILES),
        strategies.lists(
            strategies.tuples(strategies.integers(0, 200), strategies.integers(0, 3), _ODD),
            max_size=6,
        ),
    )
    def test_lines(self, lines: list[str], edits: list[tuple[int, int, str]]) -> None:
        """
        Files in which some lines are something else.
        """
        text = list(lines)
        for place, count, odd in edits:
            text[place % len(text) : place % len(text) + count] = [odd]
        data = "\n".join(text).encode(errors="replace")
        self.check(data, "")

    @PROPERTY
    @given(
        strategies.sampled_from(_FILES),
        strategies.lists(
            strategies.tuples(strategies.integers(0, 200), _VALUE, strategies.booleans()),
            max_size=8,
        ),
    )
    def test_values(self, lines: list[str], edits: list[tuple[int, str, bool]]) -> None:
        """
        Files in which some values are something else.
        """
        text = list(lines)
        settings = [place for place, line in enumerate(text) if " = " in line]
        for number, value, quoted in edits:
            place = settings[number % len(settings)]
            key = text[place].partition(" = ")[0]
            text[place] = f"{key} = '{value}'" if quoted else f"{key} = {value}"
        self.check("\n".join(text).encode(errors="replace"), "")

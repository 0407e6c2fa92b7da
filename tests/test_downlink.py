"""
Tests for L{sensord.downlink}.
"""

from collections.abc import Mapping
from math import inf, nan
from zoneinfo import ZoneInfo

from hypothesis import given, strategies
from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import Settings
from sensord.downlink import Downlink, Unsendable
from sensord.settings import DeviceSettings, TransmitSettings
from sensord.wire import messages, rfm2pi, topics
from sensord.wire.payloads import PayloadReader
from sensord.wire.topics import Message, MessageParser
from sensord.wires import (
    FrameSettings,
    LineSettings,
    MessageSettings,
    PacketSettings,
    RadioSettings,
    SerialSettings,
    SubscriberSettings,
)
from tests.support import PROPERTY, collect

HEATER = DeviceSettings(
    "radio/20",
    "heater",
    transmit=(
        TransmitSettings("setpoint", "h", scale=0.1),
        TransmitSettings("On", "B"),
        TransmitSettings("fan", "h"),
    ),
)

SETTINGS = Settings(
    listeners=(
        PacketSettings("weather", "esp8266", "tcp:0"),
        FrameSettings("poe", "poe", "tcp:0", command="{variable}={value}\n"),
        FrameSettings("mute", "poe", "tcp:0"),
        LineSettings("lines", "lines", "tcp:0", command="{id} {variable} {value}\r\n"),
        MessageSettings("pages", "websocket", "tcp:0", variables=("LED", "Fan")),
        SerialSettings("port", "serial", "/dev/null", command="{id:03d}:{variable:02d}:{value}"),
        RadioSettings("radio", "rfm2pi", "/dev/null"),
        RadioSettings("direct", "rfm2pi", "/dev/null", transmit="direct"),
    ),
    devices=(
        HEATER,
        structs.replace(HEATER, address="direct/20", name="", sleeps=True),
        structs.replace(HEATER, address="radio/21", name="white", whitening=True),
        DeviceSettings("radio/22", "deaf"),
        DeviceSettings("pages/3", "lamp"),
    ),
)


class DownlinkTestCase(SynchronousTestCase):
    """
    A downlink to one listener of each wire, or two.
    """

    def setUp(self) -> None:
        self.downlink = Downlink(SETTINGS)

    def encode(
        self,
        address: str,
        variable: str | int,
        value: float,
        last: Mapping[str, float] | None = None,
    ) -> bytes:
        """
        The bytes of a command.
        """
        return self.downlink.encode(address, variable, value, last or {})

    def refused(self, address: str, variable: str | int, value: float) -> str:
        """
        Why there is no such command.
        """
        return str(self.assertRaises(Unsendable, self.encode, address, variable, value))


class AddressTests(DownlinkTestCase):
    """
    Who is meant.
    """

    def refusal(self, text: str) -> str:
        """
        Why nobody is meant by a text.
        """
        return str(self.assertRaises(Unsendable, self.downlink.resolve, text))

    def test_name(self) -> None:
        """
        A device is meant by its name.
        """
        self.assertEqual(self.downlink.resolve("lamp"), "pages/3")

    def test_address(self) -> None:
        """
        A device is meant by its address, whether it has a name, a description, or neither.
        """
        for address in "pages/3", "direct/20", "pages/4", "lines/15", "poe/192.168.1.7":
            self.assertEqual(self.downlink.resolve(address), address)

    def test_unknown(self) -> None:
        """
        A name that no device has is refused, with a guess at what was meant.
        """
        self.assertEqual(self.refusal("lmap"), 'there is no device "lmap"; did you mean "lamp"?')
        self.assertEqual(self.refusal(""), 'there is no device ""')

    def test_noListener(self) -> None:
        """
        An address of a listener that is not there is refused, with a guess at what was meant.
        """
        self.assertEqual(
            self.refusal("page/3"), 'there is no listener "page"; did you mean "pages"?'
        )

    def test_noDevice(self) -> None:
        """
        What cannot be the address of any device is refused, rather than waited for.
        """
        for text in "pages/", "pages/*", "pages/three", "pages/03", "radio/32", "poe/1\n2", "\0":
            self.refusal(text)

    def test_sleeps(self) -> None:
        """
        A device sleeps if its description says so.
        """
        self.assertTrue(self.downlink.sleeps("direct/20"))
        for address in "radio/20", "pages/3", "pages/4":
            self.assertFalse(self.downlink.sleeps(address))

    def test_packed(self) -> None:
        """
        For devices that receive all their variables in one frame, the last values are needed.
        """
        self.assertEqual(self.downlink.packed, {"radio/20", "direct/20", "radio/21"})


class ValueTests(DownlinkTestCase):
    """
    What can be a value.
    """

    def test_truth(self) -> None:
        """
        Truth values are 1 and 0.
        """
        self.assertEqual(self.encode("pages/1", 1, True), b"1,1.0")
        self.assertEqual(self.encode("lines/1", "led", False), b"1 led 0\r\n")

    def test_notFinite(self) -> None:
        """
        What is no finite number is refused.
        """
        for value in nan, inf, -inf, 10**400, "1", None:
            self.refused("pages/1", 1, value)  # type: ignore[arg-type]


class PacketTests(DownlinkTestCase):
    """
    Battery devices that go to sleep as soon as they have delivered.
    """

    def test_never(self) -> None:
        """
        Devices that do not listen are sent nothing, and the reason is given.
        """
        said = "weather/1 does not listen: esp8266 devices send and go to sleep"
        self.assertEqual(self.refused("weather/1", "led", 1), said)


class MessageTests(DownlinkTestCase):
    """
    WebSocket devices.
    """

    def test_name(self) -> None:
        """
        A variable is set by its name, in any case.
        """
        self.assertEqual(self.encode("pages/1", "LED", 1), b"1,1.0")
        self.assertEqual(self.encode("pages/1", "led", 0), b"1,0.0")
        self.assertEqual(self.encode("pages/1", "fan", 0.5), b"2,0.5")

    def test_number(self) -> None:
        """
        A variable is set by its number, also if it has no name.
        """
        self.assertEqual(self.encode("pages/1", 1, 1), b"1,1.0")
        self.assertEqual(self.encode("pages/1", "2", 1), b"2,1.0")
        self.assertEqual(self.encode("pages/1", 77, -1e300), b"77,-1e+300")

    def test_unknown(self) -> None:
        """
        A variable that there is not is refused, with a guess at what was meant.
        """
        self.assertEqual(
            self.refused("pages/1", "Fam", 1),
            'pages/1 has no variable "Fam"; did you mean "Fan"?',
        )
        for variable in 0, -1, "0", "1.0", "", "٣", messages.MAX_ID + 1, "9" * 5000:
            self.refused("pages/1", variable, 1)

    def test_proper(self) -> None:
        """
        A name in another case is put right; a number stays.
        """
        self.assertEqual(self.downlink.variable("pages/1", "led"), "LED")
        self.assertEqual(self.downlink.variable("pages/1", 1), "1")
        self.assertEqual(self.downlink.variable("pages/1", "007"), "7")

    @given(
        strategies.integers(1, messages.MAX_ID),
        strategies.floats(allow_nan=False, allow_infinity=False),
    )
    @PROPERTY
    def test_understood(self, variable: int, value: float) -> None:
        """
        A device reads the variable and the value that were given.
        """
        data = Downlink(SETTINGS).encode("pages/1", variable, value, {})
        self.assertEqual(messages.parseCommand(data), (variable, value))


class TemplateTests(DownlinkTestCase):
    """
    Devices whose listener has a template.
    """

    def template(self, command: str) -> Downlink:
        """
        A downlink to a listener with this template.
        """
        listener = LineSettings("lines", "lines", "tcp:0", command=command)
        return Downlink(Settings(listeners=(listener,)))

    def test_filledIn(self) -> None:
        """
        The template is filled in with the device's id, the variable and the value.
        """
        self.assertEqual(self.encode("lines/15", "led", 0.5), b"15 led 0.5\r\n")
        self.assertEqual(self.encode("poe/192.168.1.7", "fan", 3), b"fan=3\n")
        self.assertEqual(self.encode("port/7", "4", 1.25), b"007:04:1.25")

    def test_values(self) -> None:
        """
        Whole values are written without a point, as long as they are exact.
        """
        for value, text in (
            (1.0, b"1"),
            (-0.0, b"0"),
            (-3, b"-3"),
            (0.1, b"0.1"),
            (1e15, b"1000000000000000"),
            (1e22, b"1e+22"),
        ):
            self.assertEqual(self.encode("poe/1", "x", value), b"x=" + text + b"\n")

    def test_text(self) -> None:
        """
        Texts are sent as UTF-8, and braces in a variable are left alone.
        """
        self.assertEqual(self.encode("poe/1", "Lüfter {id}", 1), "Lüfter {id}=1\n".encode())

    def test_two(self) -> None:
        """
        A variable with a line end in it, which would make two commands of one, is refused.
        """
        for variable in "led=1\nfan", "\r", "":
            self.refused("poe/1", variable, 1)

    def test_none(self) -> None:
        """
        Without a template nothing can be sent, and the reason names the setting.
        """
        said = 'the listener "mute" has no setting "command"'
        self.assertEqual(self.refused("mute/1", "led", 1), said)

    def test_unfit(self) -> None:
        """
        What a template has no form for is refused.
        """
        self.refused("port/7", "led", 1)
        for command in "{value:d}", "{value:c}", "{variable.real} {value}":
            encode = self.template(command).encode
            self.assertRaises(Unsendable, encode, "lines/1", "led", 1.5, {})

    @given(strategies.text(), strategies.floats(allow_nan=False, allow_infinity=False))
    @PROPERTY
    def test_oneLine(self, variable: str, value: float) -> None:
        """
        Whatever variable is given, what is sent is one line, or nothing.
        """
        try:
            data = Downlink(SETTINGS).encode("lines/15", variable, value, {})
        except Unsendable:
            return
        self.assertEqual(data.decode().splitlines(keepends=True), [data.decode()])


class PublicationTests(SynchronousTestCase):
    """
    Devices that listen to an MQTT broker.
    """

    FARM = SubscriberSettings("farm", "mqtt", "/{hub}/{device}/data")

    def downlink(self, topic: str = FARM.topic, **more: str) -> Downlink:
        """
        A downlink to a listener, where C{farm/h7/x} has the name C{lamp}.
        """
        farm = structs.replace(self.FARM, topic=topic, **more)
        return Downlink(Settings(listeners=(farm,), devices=(DeviceSettings("farm/h7/x", "lamp"),)))

    def said(self, downlink: Downlink, address: str, variable: str | int, value: float) -> Message:
        """
        What is said, and where, for a command.
        """
        [message] = collect(MessageParser(), [downlink.encode(address, variable, value, {})])
        assert isinstance(message, Message)
        return message

    def refused(self, downlink: Downlink, address: str, variable: str, value: float = 1) -> str:
        """
        Why there is no such command.
        """
        encode = downlink.encode
        return str(self.assertRaises(Unsendable, encode, address, variable, value, {}))

    def test_cmdBesideData(self) -> None:
        """
        Unless it is said otherwise, a command is an object of JSON at C{cmd} beside C{data}.
        """
        data = self.downlink().encode("farm/h7/x", "LED", 1, {})
        self.assertEqual(data, b'/h7/x/cmd\0{"LED":1}')

    def test_values(self) -> None:
        """
        Whole values are written without a point, truth values as 1 and 0, and names as JSON has
        them.
        """
        for variable, value, payload in (
            ("LED", True, '{"LED":1}'),
            ("t", 21.5, '{"t":21.5}'),
            ("t", -3.0, '{"t":-3}'),
            ("t", 1e22, '{"t":1e+22}'),
            (7, 0, '{"7":0}'),
            ('a"b/c+#', 0.5, '{"a\\"b/c+#":0.5}'),
            ("Lüfter {hub}", 1, '{"Lüfter {hub}":1}'),
        ):
            said = self.said(self.downlink(), "farm/h7/x", variable, value)
            self.assertEqual(said, Message("/h7/x/cmd", payload.encode()))

    def test_ownTopic(self) -> None:
        """
        A topic of commands is made of the levels of the device's topic, in any order.
        """
        downlink = self.downlink(command_topic="{device}/of/{hub}/set")
        self.assertEqual(
            self.said(downlink, "farm/h7/x", "a", 1), Message("x/of/h7/set", b'{"a":1}')
        )

    def test_zigbee(self) -> None:
        """
        A lamp of zigbee2mqtt is told its brightness.
        """
        downlink = self.downlink("zigbee2mqtt/{device}", command_topic="zigbee2mqtt/{device}/set")
        said = self.said(downlink, "farm/lamp 1", "brightness", 127)
        self.assertEqual(said, Message("zigbee2mqtt/lamp 1/set", b'{"brightness":127}'))

    def test_tasmota(self) -> None:
        """
        A Tasmota has a topic for each variable, and takes the value alone.
        """
        downlink = self.downlink(
            "tele/{device}/SENSOR", command_topic="cmnd/{device}/{variable}", command="{value}"
        )
        self.assertEqual(
            self.said(downlink, "farm/plug", "POWER", 1), Message("cmnd/plug/POWER", b"1")
        )
        for variable in ("a/b", "a+", "#"):
            self.assertIn(
                "cannot be a level of a topic", self.refused(downlink, "farm/plug", variable)
            )

    def test_template(self) -> None:
        """
        A template is filled in with the id of the device, the variable and the value.
        """
        downlink = self.downlink(command="{id}|{variable}|{value}")
        self.assertEqual(self.said(downlink, "farm/h7/x", "a", 2.5).payload, b"h7/x|a|2.5")
        self.refused(self.downlink(command="{value:d}"), "farm/h7/x", "a", 2.5)

    def test_noTopic(self) -> None:
        """
        Where nobody said where devices are told something, nothing can be sent, and the reason
        names the setting.
        """
        said = self.refused(self.downlink("tele/{hub}/{device}/SENSOR"), "farm/h7/x", "a")
        self.assertEqual(said, 'the listener "farm" has no setting "command_topic"')

    def test_variable(self) -> None:
        """
        A variable has a name that prints; elsewhere than in a topic it may be any.
        """
        downlink = self.downlink()
        self.assertEqual(downlink.variable("farm/h7/x", "LED"), "LED")
        self.assertEqual(downlink.variable("farm/h7/x", 7), "7")
        for variable in ("", "a\n", "a\0", "\u200b", "\ud800"):
            said = self.refused(downlink, "farm/h7/x", variable)
            self.assertIn("cannot be the name of a variable", said)

    def test_value(self) -> None:
        """
        What is no finite number is refused.
        """
        for value in (nan, inf, 10**400, "1", None):
            self.refused(self.downlink(), "farm/h7/x", "a", value)  # type: ignore[arg-type]

    def test_device(self) -> None:
        """
        A device is meant by its name or its address; an id that the topic has no room for, or that
        would be heard by others, is nobody's.
        """
        downlink = self.downlink()
        self.assertEqual(downlink.resolve("lamp"), "farm/h7/x")
        self.assertEqual(downlink.resolve("farm/a/b"), "farm/a/b")
        said = str(self.assertRaises(Unsendable, downlink.resolve, "farm/h7"))
        self.assertEqual(said, '"h7" is not of the form <hub/device>')
        for address in (
            "farm/",
            "farm/*",
            "farm/a/b/c",
            "farm//b",
            "farm/a/",
            "farm/+/b",
            "farm/a/#",
        ):
            self.assertRaises(Unsendable, downlink.resolve, address)
            self.refused(downlink, address, "a")

    def test_awake(self) -> None:
        """
        A device that listens to a broker is never asleep, and takes its variables one by one.
        """
        downlink = self.downlink()
        self.assertFalse(downlink.sleeps("farm/h7/x"))
        self.assertEqual(downlink.packed, frozenset())

    @given(
        strategies.text(max_size=10),
        strategies.text(max_size=10),
        strategies.floats(allow_nan=False, allow_infinity=False),
    )
    @PROPERTY
    def test_understood(self, id: str, variable: str, value: float) -> None:
        """
        Whatever is said is said to one device, which reads the variable and the value that were
        given; or nothing is.
        """
        downlink = self.downlink(command_topic="/{hub}/{device}/cmd/{variable}")
        try:
            said = self.said(downlink, f"farm/h7/{id}", variable, value)
        except Unsendable:
            return
        self.assertEqual(said.topic, f"/h7/{id}/cmd/{variable}")
        self.assertEqual(said.topic.count("/"), 4)
        self.assertIs(topics.Pattern("/h7/{device}/cmd/{name}").match(said.topic) is None, False)
        found = PayloadReader(ZoneInfo("UTC"), time="").read(said.payload)
        self.assertEqual(found.values, [(variable, value)])  # type: ignore[union-attr]


class RadioTests(DownlinkTestCase):
    """
    Radio nodes.
    """

    def test_frame(self) -> None:
        """
        All variables go in one frame, in their order; those that were never sent are zero.
        """
        # 21.5 at a scale of 0.1 is 215: 215 0, then one byte and two.
        self.assertEqual(self.encode("radio/20", "setpoint", 21.5), b"20,215,0,0,0,0,0s")
        self.assertEqual(self.encode("radio/20", "On", 1), b"20,0,0,1,0,0,0s")

    def test_last(self) -> None:
        """
        The variables that are not being set keep the values that they were sent last.
        """
        last = {"setpoint": 21.5, "On": 1.0, "fan": -1.0}
        self.assertEqual(self.encode("radio/20", "On", 0, last), b"20,215,0,0,255,255,0s")

    def test_lastOfOld(self) -> None:
        """
        A last value that does not fit the description any more, or is not in it, is forgotten.
        """
        last = {"On": 1000.0, "gone": 5.0}
        self.assertEqual(self.encode("radio/20", "fan", 1, last), b"20,0,0,0,1,0,0s")

    def test_direct(self) -> None:
        """
        With C{transmit = "direct"} the radio addresses the node.
        """
        self.assertEqual(self.encode("direct/20", "fan", 258), b"0,0,0,2,1,20s")

    def test_whitening(self) -> None:
        """
        What goes to a node with whitening is whitened, but for the node's id.
        """
        self.assertEqual(self.encode("radio/21", "fan", 1), b"21,85,85,85,84,85,0s")

    def test_name(self) -> None:
        """
        A variable is meant in any case, and put right.
        """
        self.assertEqual(self.downlink.variable("radio/20", "on"), "On")
        self.assertEqual(self.encode("radio/20", "on", 1), b"20,0,0,1,0,0,0s")

    def test_unknown(self) -> None:
        """
        A variable that the description does not have is refused, with a guess at what was meant.
        """
        self.assertEqual(
            self.refused("radio/20", "set point", 1),
            'radio/20 has no variable "set point"; did you mean "setpoint"?',
        )

    def test_undescribed(self) -> None:
        """
        A node of which nobody has said what it receives is sent nothing.
        """
        for address in "radio/22", "radio/23":
            self.assertIn("transmit", self.refused(address, "led", 1))

    def test_tooLarge(self) -> None:
        """
        A value that does not fit is refused, and the reason names the variable.
        """
        said = self.refused("radio/20", "On", 256)
        self.assertEqual(said, "On: the raw value 256 is not in the 0..255 that type B holds")

    def test_tooLong(self) -> None:
        """
        A description that no packet has room for is refused.
        """
        parts = tuple(TransmitSettings(str(number), "d") for number in range(9))
        radio = RadioSettings("radio", "rfm2pi", "/dev/null")
        device = DeviceSettings("radio/1", transmit=parts)
        encode = Downlink(Settings(listeners=(radio,), devices=(device,))).encode
        error = self.assertRaises(Unsendable, encode, "radio/1", "3", 1, {})
        self.assertIn("72 bytes", str(error))

    @given(strategies.floats(-3276.8, 3276.7), strategies.integers(0, 255))
    @PROPERTY
    def test_received(self, setpoint: float, on: int) -> None:
        """
        What is sent is a command that the radio takes.
        """
        data = Downlink(SETTINGS).encode("radio/20", "setpoint", setpoint, {"On": float(on)})
        self.assertEqual(rfm2pi.repeat(data), data)
        node, low, high, second, *rest = map(int, data.removesuffix(b"s").split(b","))
        raw = int.from_bytes(bytes([low, high]), "little", signed=True)
        self.assertEqual((node, second, rest), (20, on, [0, 0, 0]))
        self.assertLessEqual(abs(raw / 10 - setpoint), 0.05 + 1e-9)

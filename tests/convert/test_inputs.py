"""
Tests for L{sensord.convert.inputs}.
"""

from tests.convert.support import ConvertTestCase, gateway, hub, part

_RADIO, _SERIAL = "EmonHubJeeInterfacer", "EmonHubSerialInterfacer"
_SOCKET, _HEARD = "EmonHubSocketInterfacer", "EmonHubMqttSubsciberInterfacer"


class RadioTests(ConvertTestCase):
    """
    Radios.
    """

    def test_defaults(self) -> None:
        """
        What was not said is as emonHub had it.
        """
        radio = self.listener(hub(part("R", _RADIO)))
        self.assertEqual(
            (radio.port, radio.baud, radio.group, radio.frequency, radio.base_id, radio.quiet),
            ("/dev/ttyAMA0", 38400, 210, 433, 15, True),
        )
        self.assertEqual((radio.time_interval, radio.repeater), (0, ""))
        self.assertEqual(self.listener(hub(part("R", _RADIO, "", "com_baud = 0"))).baud, 38400)

    def test_bands(self) -> None:
        """
        The frequency is understood as it was written in any version.
        """
        for text, band in (("4", 433), ("8", 868), ("9", 915), ("915 MHz", 915), ("434", 433)):
            self.assertEqual(
                self.listener(hub(part("R", _RADIO, f"frequency = {text}"))).frequency, band
            )

    def test_senseless(self) -> None:
        """
        What cannot be is listed, and has its default.
        """
        text = "frequency = 700\ngroup = 251\nbaseid = x\nquiet = maybe\ninterval = 1.5"
        radio = self.listener(hub(part("R", _RADIO, text)))
        self.assertEqual(
            (radio.frequency, radio.group, radio.base_id, radio.quiet, radio.time_interval),
            (433, 210, 15, True, 0),
        )
        self.assertLost(
            ("frequency", "700"),
            ("group", "251"),
            ("baseid", "x"),
            ("quiet", "maybe"),
            ("interval", "1.5"),
        )

    def test_booleans(self) -> None:
        """
        Yes and no are understood in several spellings.
        """
        for text, quiet in (("true", True), ("YES", True), ("0", False), ("Off", False)):
            self.assertIs(self.listener(hub(part("R", _RADIO, f"quiet = {text}"))).quiet, quiet)

    def test_feeds(self) -> None:
        """
        Feeds that were sent to a display have no counterpart, and their key is hidden.
        """
        text = "feedbroadcastinterval = 60\nfeedreadonlyapikey = abcdef\nfeedlist = 1, 2"
        self.listener(hub(part("R", _RADIO, text)))
        self.assertLost(
            ("feedbroadcastinterval", "60"),
            ("feedreadonlyapikey", "(hidden)"),
            ("feedlist", "1, 2"),
        )

    def test_types(self) -> None:
        """
        A type or a scale for all nodes that are not listed has no counterpart.
        """
        self.listener(hub(part("R", _RADIO, "datacode = B\nscale = 10\nbatchsize = 5")))
        self.assertLost(("datacode", "B"), ("scale", "10"))
        self.assertChanged("batchsize")
        self.listener(hub(part("R", _RADIO, "datacode = h\nscale = 1")))
        self.assertLost()

    def test_paused(self) -> None:
        """
        One that was paused is left out.
        """
        text = part("R", _RADIO, "pause = in") + part("S", _SOCKET, "pause = off")
        self.assertEqual(self.listener(hub(text)).name, "S")
        self.assertSaid("[[R]]", "was paused")

    def test_nothing(self) -> None:
        """
        A repeater without a port repeats nothing.
        """
        type = "OemGatewayRFM2PiListenerRepeater"
        self.assertEqual(self.listener(gateway(part("R", type))).repeater, "")
        self.assertEqual(
            self.listener(gateway(part("R", type, "", "port_nb = 70000"))).repeater, ""
        )
        self.assertLost(("port_nb", "70000"))


class LineTests(ConvertTestCase):
    """
    Serial ports and sockets.
    """

    def test_portless(self) -> None:
        """
        A serial port without a name is left out.
        """
        text = part("M", _SERIAL) + part("S", _SOCKET)
        self.assertEqual(self.listener(hub(text)).name, "S")
        self.assertSaid("[[M]]", "port")

    def test_offset(self) -> None:
        """
        An offset on a serial port meant lines without a node, which sensord does not read.
        """
        self.listener(hub(part("M", _SERIAL, "nodeoffset = 7", "com_port = /dev/ttyUSB0")))
        self.assertLost(("nodeoffset", "7"))
        self.assertSaid("let the device send its number first")

    def test_bytes(self) -> None:
        """
        Bytes in lines are no values.
        """
        self.listener(hub(part("S", _SOCKET, "datacode = h\ntargeted = True")))
        self.assertLost(("datacode", "h"), ("targeted", "true"))

    def test_key(self) -> None:
        """
        A key that is only an example is none; one that cannot be leaves the listener out.
        """
        self.assertFalse(self.listener(hub(part("S", _SOCKET, f"apikey = {'X' * 32}"))).key)
        text = part("S", _SOCKET, "apikey = short") + part("T", _SOCKET, "", "port_nb = 1")
        self.assertEqual(self.listener(hub(text)).name, "T")
        self.assertSaid("key: has 5 characters, and not 32")

    def test_names(self) -> None:
        """
        Names are unique, and made of what names are made of.
        """
        text = "".join(
            part(name, _SOCKET, "", f"port_nb = {port}")
            for port, name in enumerate(("a b", "a/b", "é", "-"), 1)
        )
        names = [one.name for one in self.settings(hub(text)).listeners]
        self.assertEqual(names, ["a-b", "a-b-2", "unnamed", "unnamed-2"])


class SubscriberTests(ConvertTestCase):
    """
    What is heard from a broker.
    """

    def test_heard(self) -> None:
        """
        A value at a time is heard by a listener of MQTT.
        """
        init = "mqtt_host = broker.example\nmqtt_port = 8883\nmqtt_user = u\nmqtt_passwd = secret"
        heard = self.listener(hub(part("In", _HEARD, "basetopic = emon/", init)))
        self.assertEqual(
            (heard.wire, heard.topic, heard.broker, heard.user, heard.password.text),
            ("mqtt", "emon/{device}/{name}", "tls:broker.example:8883", "u", "secret"),
        )
        self.assertChanged("MQTT 5", "<device>/<name>")

    def test_topics(self) -> None:
        """
        Topics are heard if they are a plain pattern.
        """
        good = hub(part("In", _HEARD, "topics = 'emon/#'"))
        self.assertEqual(self.listener(good).topic, "emon/{device}/{name}")
        for text in (
            "topics = 'emon/a/#'",
            "topics = emon/#",
            "basetopic = a+",
            "basetopic = {x}",
            "basetopic = $SYS",
        ):
            self.listener(hub(part("In", _HEARD, text) + part("S", _SOCKET)))
            self.assertSaid("[[In]]")

    def test_loop(self) -> None:
        """
        What is said at the topics that would be heard does not come back.
        """
        sinks = (
            ("nodevar_format_enable = 1\nnodevar_format_basetopic = emon/", True),
            ("node_JSON_enable = 1\nnode_JSON_basetopic = emon/JSON/", True),
            ("node_JSON_enable = 1\nnode_JSON_basetopic = emon/", False),
        )
        for text, looped in sinks:
            said = part("Out", "EmonHubMqttInterfacer", f"node_format_enable = 0\n{text}")
            made = self.settings(hub(part("In", _HEARD) + said + part("S", _SOCKET)))
            self.assertEqual([one.name for one in made.listeners], ["S"] if looped else ["In", "S"])

    def test_password(self) -> None:
        """
        A password without a user is of no use to anybody; an address may be one of IPv6.
        """
        heard = self.listener(hub(part("In", _HEARD, "", "mqtt_host = ::1\nmqtt_passwd = secret")))
        self.assertEqual((heard.broker, heard.password.text), ("tcp:[::1]:1883", ""))
        self.assertLost(("mqtt_passwd", "(hidden)"))

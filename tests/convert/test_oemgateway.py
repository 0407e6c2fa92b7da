"""
Tests for L{sensord.convert.oemgateway}.
"""

from sensord.outlets import EmoncmsSettings
from sensord.wires import LineSettings, RadioSettings, SerialSettings
from tests.convert.support import ConvertTestCase, example, gateway, part

_BUFFER = """
protocol = http://
domain = {domain}
path = /emoncms
apikey = ffeeddccbbaa99887766554433221100
"""


class ExampleTests(ConvertTestCase):
    """
    A file with all that there was.
    """

    def test_listeners(self) -> None:
        """
        The radio keeps its port, speed, group, frequency and id, and repeats; the socket and the
        serial port take lines.
        """
        radio, mast, meter = self.settings(example("oemgateway.conf")).listeners
        self.assertEqual(
            radio,
            RadioSettings(
                "Radio",
                "rfm2pi",
                "/dev/ttyAMA0",
                baud=9600,
                group=100,
                frequency=868,
                base_id=16,
                time_interval=60,
                repeater="tcp:50012",
            ),
        )
        self.assertEqual(mast, LineSettings("Mast", "lines", "tcp:50011"))
        self.assertEqual(meter, SerialSettings("Meter", "serial", "/dev/ttyUSB0", 9600))

    def test_sinks(self) -> None:
        """
        Each emoncms is a sink; the one that was not active is not, and one beside the gateway is
        sent a row at a time.
        """
        barn, cloud = self.settings(example("oemgateway.conf")).sinks
        assert isinstance(barn, EmoncmsSettings) and isinstance(cloud, EmoncmsSettings)
        self.assertEqual(
            (barn.name, barn.url, barn.apikey.text, barn.single, barn.active),
            ("barn", "http://localhost/emoncms", "00112233445566778899aabbccddeeff", True, True),
        )
        self.assertEqual(
            (cloud.name, cloud.url, cloud.single, cloud.active),
            ("cloud", "https://emoncms.org", False, False),
        )

    def test_report(self) -> None:
        """
        Only the level of the log has no counterpart; what differs is told.
        """
        self.settings(example("oemgateway.conf"))
        self.assertLost(("loglevel", "INFO"))
        self.assertChanged(
            "[buffers] [[cloud]]: active = false",
            "buffer_size = 1000",
            "[[Mast]]: it listens on all interfaces",
            'what was node 10 is called "Radio_10"',
        )
        self.assertEqual(len(self.report.carried), 5)
        self.assertNotIn("ffeeddcc", "\n".join(self.report.lines()))


class BufferTests(ConvertTestCase):
    """
    What was sent where.
    """

    def test_place(self) -> None:
        """
        An emoncms at the root of its server has no slash behind it, and emoncms.org needs no
        single rows.
        """
        text = "domain = emoncms.org\npath = /\napikey = ffeeddccbbaa99887766554433221100"
        sink = self.sink(gateway("", part("cloud", "OemGatewayEmoncmsBuffer", text)))
        self.assertEqual((sink.url, sink.single), ("http://emoncms.org", False))

    def test_placeholder(self) -> None:
        """
        One whose key is that of the example sent nothing: it is left out, and listed whole.
        """
        good = part("a", "OemGatewayEmoncmsBuffer", _BUFFER.format(domain="localhost"))
        bad = part("b", "OemGatewayEmoncmsBuffer", f"domain = example.org\napikey = {'x' * 33}")
        self.assertEqual(self.sink(gateway("", good + bad)).name, "a")
        self.assertLost(
            ("Type", "OemGatewayEmoncmsBuffer"),
            ("runtimesettings.domain", "example.org"),
            ("runtimesettings.apikey", "(hidden)"),
        )
        self.assertSaid('url = "http://example.org"', "its apikey is missing")

    def test_nowhere(self) -> None:
        """
        One without a domain, or whose domain is none, is left out.
        """
        good = part("a", "OemGatewayEmoncmsBuffer", _BUFFER.format(domain="localhost"))
        for domain, why in (("", "no domain"), ("exa mple", "no place of a server")):
            bad = part("b", "OemGatewayEmoncmsBuffer", _BUFFER.format(domain=domain))
            self.assertEqual(self.sink(gateway("", good + bad)).name, "a")
            self.assertSaid(why)


class TypeTests(ConvertTestCase):
    """
    What there is no counterpart for.
    """

    def test_unknown(self) -> None:
        """
        A type that sensord knows nothing of is listed with all of its settings, and a hint.
        """
        known = part("Mast", "OemGatewaySocketListener")
        wire = part("Wire", "OemGatewayOWFSListener", "sensor1 = 28.11", "path = /mnt/1wire")
        self.listener(gateway(known + wire))
        self.assertLost(
            ("Type", "OemGatewayOWFSListener"),
            ("init_settings.path", "/mnt/1wire"),
            ("runtimesettings.sensor1", "28.11"),
        )
        self.assertSaid('write lines to a listener with wire = "lines"')

    def test_none(self) -> None:
        """
        A section without a type did nothing, and does nothing.
        """
        self.listener(gateway(part("Mast", "OemGatewaySocketListener") + "[[Nothing]]\nport = 1\n"))
        self.assertLost(("port", "1"))
        self.assertSaid("it has no type")

    def test_stray(self) -> None:
        """
        What stands where nothing should is listed.
        """
        known = part("Mast", "OemGatewaySocketListener", "colour = blue")
        self.listener(b"top = 1\n" + gateway("stray = 2\n" + known) + b"[more]\na = 3\n")
        self.assertLost(("top", "1"), ("stray", "2"), ("colour", "blue"), ("more.a", "3"))

    def test_unset(self) -> None:
        """
        What the radio will be set to although nobody has said so is told.
        """
        self.listener(gateway(part("Radio", "OemGatewayRFM2PiListener", "sgroup = 5")))
        self.assertChanged("frequency = 433, base_id = 15 will be set")

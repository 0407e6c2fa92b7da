"""
Tests for L{sensord.convert.emonhub}.
"""

from sensord.outlets import EmoncmsSettings, MqttSettings
from sensord.settings import DeviceSettings, TransmitSettings, ValueSettings
from sensord.wires import LineSettings, RadioSettings, SerialSettings
from tests.convert.support import KEY, ConvertTestCase, example, hub, part


class ExampleTests(ConvertTestCase):
    """
    A file with most of what there is.
    """

    def test_listeners(self) -> None:
        """
        What brings nodes with numbers is a listener.
        """
        radio, meter, mast = self.settings(example("emonhub.conf")).listeners
        self.assertEqual(
            radio,
            RadioSettings(
                "Radio",
                "rfm2pi",
                "/dev/ttyAMA0",
                group=212,
                frequency=868,
                base_id=5,
                quiet=False,
                time_interval=300,
            ),
        )
        self.assertEqual(meter, SerialSettings("Meter-1", "serial", "/dev/ttyUSB0", 115200))
        assert isinstance(mast, LineSettings)
        self.assertEqual(
            (mast.name, mast.listen, mast.timestamped, mast.key.text),
            ("Mast", "tcp:50011", True, "00000000000000001111111111111111"),
        )

    def test_devices(self) -> None:
        """
        Nodes have their names, types, scales, units, what they receive, and the number by which
        they come.
        """
        heating, kitchen, mast = self.settings(example("emonhub.conf")).devices
        self.assertEqual(
            heating,
            DeviceSettings(
                "Radio/8",
                "heating",
                {"hardware": "emonTx"},
                (
                    ValueSettings("MSG", "L"),
                    ValueSettings("flow", "h", scale=0.01, unit="°C"),
                    ValueSettings("return", "h", scale=0.01, unit="°C"),
                    ValueSettings("pulses", "L", unit="pulses"),
                ),
                whitening=True,
                transmit=(TransmitSettings("relay", "B"), TransmitSettings("setpoint", "h", 0.1)),
            ),
        )
        self.assertEqual(kitchen.address, "Radio/20")
        self.assertEqual(
            kitchen.values,
            (
                ValueSettings("temperature", "h", scale=0.1, unit="°C"),
                ValueSettings("humidity", "h", scale=0.1, unit="%"),
                ValueSettings("battery", "h", scale=0.1, unit="V"),
            ),
        )
        self.assertEqual((mast.address, mast.name), ("Mast/15", "mast"))
        self.assertEqual(
            mast.values, (ValueSettings("wind", unit="m/s"), ValueSettings("gust", unit="m/s"))
        )

    def test_sinks(self) -> None:
        """
        A broker is a sink for each format that is published, and emoncms is one.
        """
        frames, values, cloud = self.settings(example("emonhub.conf")).sinks
        for sink, format in ((frames, "emonhub"), (values, "value")):
            assert isinstance(sink, MqttSettings)
            self.assertEqual(
                (sink.name, sink.broker, sink.user, sink.password.text, sink.format),
                (f"Broker-{format}", "tcp:192.168.1.2:1883", "hub", "hub-pass-2016", format),
            )
        assert isinstance(values, MqttSettings)
        self.assertEqual(values.prefix, "emon")
        assert isinstance(cloud, EmoncmsSettings)
        self.assertEqual(
            (cloud.name, cloud.url, cloud.apikey.text, cloud.interval),
            ("cloud", "https://emoncms.org", KEY, 60),
        )

    def test_lost(self) -> None:
        """
        All that has no counterpart is listed, with passwords hidden.
        """
        self.settings(example("emonhub.conf"))
        self.assertLost(
            ("loglevel", "WARNING"),
            ("use_syslog", "yes"),
            ("autoconf", "1"),
            ("calibration", "230V"),
            ("sendstatus", "1"),
            ("pubchannels", "ToAir"),
            ("Type", "EmonHubTx3eInterfacer"),
            ("init_settings.com_port", "/dev/ttyUSB1"),
            ("init_settings.com_baud", "115200"),
            ("runtimesettings.pubchannels", "ToStore"),
            ("runtimesettings.nodename", "shield"),
            ("Type", "EmonHubBMWInterfacer"),
            ("init_settings.bmwapiusername", "anna@example.org"),
            ("init_settings.bmwapipassword", "(hidden)"),
            ("init_settings.tempcredentialfile", "/tmp/credentials"),
        )
        said = "\n".join(self.report.lines())
        for secret in ("Sesame-7", "hub-pass-2016", KEY, "0000000011111111"):
            self.assertNotIn(secret, said)

    def test_changed(self) -> None:
        """
        What is not quite as before is told: routes, units, frames of one length.
        """
        self.settings(example("emonhub.conf"))
        self.assertChanged(
            "[[Broker]]: sinks get everything: this one now also what comes by Mast",
            'the unit "C" is written "°C"',
            "[[20]]: its frames have 3 values",
            'sent to by "sensord send Radio/8 relay 1"',
            'no longer among the values as "missed"',
            '[[Meter 1]]: it is called "Meter-1"',
            "without the 100 of nodeoffset",
        )
        self.assertNotIn("[[cloud]]: sinks get", str(self.report.changed))


class OldTests(ConvertTestCase):
    """
    Files of the time before interfacers.
    """

    def test_old(self) -> None:
        """
        Listeners and reporters are what interfacers were later; types stand with the node itself.
        """
        settings = self.settings(example("emonhub-old.conf"))
        radio, mast = settings.listeners
        self.assertEqual(radio, RadioSettings("Radio", "rfm2pi", "/dev/ttyAMA0", baud=9600))
        self.assertEqual(mast, LineSettings("Mast", "lines", "tcp:50011"))
        [cloud] = settings.sinks
        self.assertEqual((cloud.kind, cloud.active, cloud.interval), ("emoncms", False, 30))
        ten, fridge = settings.devices
        self.assertEqual((ten.address, ten.name), ("Radio/10", "10"))
        self.assertEqual(
            ten.values,
            (ValueSettings("1", "h"), ValueSettings("2", "h", scale=0.1), ValueSettings("3", "L")),
        )
        self.assertEqual((fridge.address, fridge.name), ("Radio/11", "fridge"))
        self.assertEqual(fridge.values, (ValueSettings("door", "B"), ValueSettings("level", "B")))
        self.assertLost(("loglevel", "DEBUG"))


class RouteTests(ConvertTestCase):
    """
    Channels.
    """

    def test_silent(self) -> None:
        """
        What had no pubchannels was not read, and is read now.
        """
        self.settings(hub(part("Mast", "EmonHubSocketInterfacer", "subchannels = x,")))
        self.assertChanged("[[Mast]]: it had no pubchannels")

    def test_same(self) -> None:
        """
        Where everything was passed on, nothing is said; neither is it without any channels.
        """
        source = part("Mast", "EmonHubSocketInterfacer", "pub_channels = a, b")
        sink = part("cloud", "EmonHubEmoncmsHTTPInterfacer", f"sub_channels = b,\napikey = {KEY}")
        self.settings(hub(source + sink))
        self.assertNotIn("channels", str(self.report.changed))
        self.settings(hub((source + sink).replace("_channels", "_nothing")))
        self.assertNotIn("everything", str(self.report.changed))

    def test_downward(self) -> None:
        """
        Publishing to a channel that no radio hears was of no consequence.
        """
        radio = part("Radio", "EmonHubJeeInterfacer", "pubchannels = a,\nsubchannels = c,")
        broker = part("Broker", "EmonHubMqttInterfacer", "pubchannels = b,\nsubchannels = a,")
        self.settings(hub(radio + broker))
        self.assertLost()
        self.settings(hub(radio.replace("= c", "= b") + broker))
        self.assertLost(("pubchannels", "b"))
        self.assertSaid("sensord send ADDRESS VARIABLE VALUE")


class StrayTests(ConvertTestCase):
    """
    What stands where nothing should.
    """

    def test_stray(self) -> None:
        """
        It is listed.
        """
        text = "stray = 2\n" + part("Mast", "EmonHubSocketInterfacer", "colour = blue")
        self.settings(b"[hub]\nchannels = 2\n" + hub(text, "7 = 8\n") + b"[available]\na = 3\n")
        self.assertLost(
            ("channels", "2"), ("stray", "2"), ("colour", "blue"), ("7", "8"), ("available.a", "3")
        )

    def test_settings(self) -> None:
        """
        Whoever wants neither the system's log nor guessed nodes loses nothing.
        """
        text = b"[hub]\nuse_syslog = no\nautoconf = 0\n"
        self.settings(text + hub(part("Mast", "EmonHubSocketInterfacer")))
        self.assertLost()

    def test_twice(self) -> None:
        """
        A port that two had is given to the first; before, the second could not open it.
        """
        text = part("a", "EmonHubSocketInterfacer") + part("b", "EmonHubSocketInterfacer")
        self.assertEqual(self.listener(hub(text)).name, "a")
        self.assertSaid('[[b]]: 50011 is given to "a" already')

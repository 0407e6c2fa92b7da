"""
Tests for L{sensord.convert.outputs}.
"""

from sensord.outlets import MqttSettings
from tests.convert.support import KEY, ConvertTestCase, hub, part

_HTTP, _MQTT = "EmonHubEmoncmsHTTPInterfacer", "EmonHubMqttInterfacer"
_OTHER = part("Other", "EmonHubSocketInterfacer")


class EmoncmsTests(ConvertTestCase):
    """
    emoncms, of emonHub.
    """

    def test_defaults(self) -> None:
        """
        What was not said is as emonHub had it.
        """
        sink = self.sink(hub(part("e", _HTTP, f"apikey = {KEY}")))
        self.assertEqual(
            (sink.url, sink.interval, sink.compress, sink.active, sink.single),
            ("http://emoncms.org", 30, False, True, False),
        )
        self.assertChanged("values are sent by their names")

    def test_names(self) -> None:
        """
        Names are sent packed, as they were, and nothing differs then.
        """
        text = f"apikey = {KEY}\nsendnames = 1\ninterval = 10\nurl = https://emoncms.org/"
        sink = self.sink(hub(part("e", _HTTP, text)))
        self.assertEqual(
            (sink.url, sink.interval, sink.compress), ("https://emoncms.org", 10, True)
        )
        self.assertEqual(self.report.changed, [])

    def test_pause(self) -> None:
        """
        One that was paused holds what comes.
        """
        self.assertFalse(self.sink(hub(part("e", _HTTP, f"apikey = {KEY}\npause = out"))).active)
        self.assertTrue(self.sink(hub(part("e", _HTTP, f"apikey = {KEY}\npause = in"))).active)

    def test_out(self) -> None:
        """
        What sent nothing, or could not have, is left out.
        """
        for text, why in (
            (f"apikey = {KEY}\nsenddata = 0", "no data was sent"),
            ("apikey = abc", "has 3 characters"),
            (f"apikey = {'x' * 32}", "is missing"),
            ("", "is missing"),
            (f"apikey = {KEY}\nurl = ftp://example.org", "no place of a server"),
            (f"apikey = {KEY[:-1]}!", "letters and digits"),
        ):
            self.assertEqual(
                self.settings(hub(part("e", _HTTP, f"{text}\nsendstatus = 1") + _OTHER)).sinks, ()
            )
            self.assertSaid(why)
            self.assertNotIn(KEY[:-1], "\n".join(self.report.lines()))

    def test_who(self) -> None:
        """
        Who asks stands in an URL at times, and is not shown.
        """
        text = f"apikey = {KEY}\nurl = http://anna:geheim@example.org"
        self.settings(hub(part("e", _HTTP, text) + _OTHER))
        self.assertNotIn("geheim", "\n".join(self.report.lines()))


class MqttTests(ConvertTestCase):
    """
    Brokers.
    """

    def test_formats(self) -> None:
        """
        There is a sink for each format; without a word it was the format of emonHub.
        """
        sink = self.sink(hub(part("m", _MQTT)))
        self.assertEqual(
            (sink.name, sink.format, sink.broker, sink.user, sink.password.text),
            ("m", "emonhub", "tcp:127.0.0.1:1883", "", ""),
        )
        text = "node_format_enable = 0\nnodevar_format_enable = 1\nnode_JSON_enable = 1"
        values, objects = self.settings(hub(part("m", _MQTT, text))).sinks
        assert isinstance(values, MqttSettings) and isinstance(objects, MqttSettings)
        self.assertEqual((values.name, values.format, values.prefix), ("m-value", "value", "nodes"))
        self.assertEqual((objects.name, objects.format, objects.prefix), ("m-json", "json", "emon"))

    def test_base(self) -> None:
        """
        The format of emonHub has fixed topics; a prefix may be several levels, and must be one.
        """
        self.sink(hub(part("m", _MQTT, "node_format_basetopic = home/")))
        self.assertLost(("node_format_basetopic", "home/"))
        text = "node_format_enable = 0\nnodevar_format_enable = 1\nnodevar_format_basetopic = "
        self.assertEqual(self.sink(hub(part("m", _MQTT, f"{text}a/b/"))).prefix, "a/b")
        self.assertEqual(self.settings(hub(part("m", _MQTT, f"{text}a+b/") + _OTHER)).sinks, ())
        self.assertSaid("nothing that topics can begin with")

    def test_blank(self) -> None:
        """
        A user of blanks, which emonHub had for none, is none.
        """
        sink = self.sink(hub(part("m", _MQTT, "", 'mqtt_user = " "\nmqtt_passwd = " "')))
        self.assertEqual((sink.user, sink.password.text), ("", ""))
        self.assertLost()

    def test_held(self) -> None:
        """
        Pause and interval go on; without a format there is no sink.
        """
        sink = self.sink(hub(part("m", _MQTT, "pause = all\ninterval = 5")))
        self.assertEqual((sink.active, sink.interval), (False, 5))
        self.settings(hub(part("m", _MQTT, "node_format_enable = 0") + _OTHER))
        self.assertSaid("no format is enabled")


class InfluxTests(ConvertTestCase):
    """
    InfluxDB.
    """

    def test_influx(self) -> None:
        """
        It has a counterpart, but for the tag that all points had.
        """
        init = "influx_host = db\ninflux_port = 8087\ninflux_db = power\ninflux_passwd = secret"
        sink = self.sink(hub(part("i", "EmonHubInfluxInterfacer", "prefix = home", init)))
        self.assertEqual(
            (sink.url, sink.database, sink.user, sink.password.text, sink.interval, sink.layout),
            ("http://db:8087", "power", "emoncms", "secret", 30, "measurement"),
        )
        self.assertLost(("prefix", "home"))
        self.assertChanged('called "device"')
        sink = self.sink(hub(part("i", "EmonHubInfluxInterfacer", "interval = 5")))
        self.assertEqual((sink.interval, sink.password.text), (5, "emoncmspw"))

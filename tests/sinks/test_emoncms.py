"""
Tests for L{sensord.sinks.emoncms}.
"""

import json
import zlib
from collections.abc import Sequence
from typing import Any

from hypothesis import given, strategies
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sensord.outlets import EmoncmsSettings
from sensord.reading import Value
from sensord.settings import Secret
from sensord.sinks import Entry, Misconfigured, Poison, Series, SinkError, Transient
from sensord.sinks.emoncms import EmoncmsSink, label
from tests.emoncms import KEY, READER, Emoncms, Reply
from tests.store.support import Runner
from tests.support import PROPERTY

NOW = 1_795_194_660

NAMES = ["room 1, north", 'a "b"', "two\nlines", "🌡", "x" * 300, "", " ", "Küche", "ä", "a/b/c"]


def settings(**given: Any) -> EmoncmsSettings:
    """
    Settings of which a test says only what matters to it.
    """
    said = {"url": "http://localhost/emoncms", "apikey": Secret(KEY), **given}
    return EmoncmsSettings("emon", "emoncms", **said)


class EmoncmsTestCase(SynchronousTestCase):
    """
    A sink, and an emoncms that it sends to.
    """

    def setUp(self) -> None:
        """
        Both have the same time.
        """
        self.clock = Clock()
        self.clock.advance(NOW + 0.7)
        self.there = Emoncms(self.clock.seconds)
        self.count = 0
        self.connect()

    def connect(self, **given: Any) -> None:
        """
        Begin with other settings.
        """
        agent = self.there.agent()
        self.sink = EmoncmsSink(self.clock, settings(**given), Runner(), agent=agent)
        self.sink.start()
        self.addCleanup(self.sink.stop)

    def entry(
        self,
        value: Value = 21.5,
        name: str = "temperature",
        device: str = "balcony",
        time: float = NOW - 10,
    ) -> Entry:
        """
        A reading.
        """
        self.count += 1
        series = Series(device, name, "", {}, "weather/1")
        return Entry(self.count, series, round(time * 1_000_000), value)

    def send(self, *batch: Entry) -> None:
        """
        Send readings, which must succeed.
        """
        self.assertIsNone(self.successResultOf(self.sink.write(batch)))

    def refused(self, kind: type[SinkError], *batch: Entry) -> Any:
        """
        Send readings, which must fail.
        """
        failure = self.failureResultOf(self.sink.write(batch or [self.entry()]), kind)
        self.assertNotIn(KEY, str(failure.value))
        return failure.value

    def data(self) -> list[Any]:
        """
        The rows that were sent last.
        """
        rows: list[Any] = json.loads(self.there.asked[-1].form["data"])
        return rows


class BulkTests(EmoncmsTestCase):
    """
    Many rows in one request.
    """

    def test_request(self) -> None:
        """
        The readings of one device with one time are one row, the time of sending is in the URL and
        the key in a header.
        """
        self.send(self.entry(), self.entry(47, "humidity"), self.entry(3, device="attic"))
        (asked,) = self.there.asked
        self.assertEqual((asked.method, asked.path), ("POST", "/emoncms/input/bulk.json"))
        self.assertEqual(asked.query, {"sentat": str(NOW)})
        self.assertEqual(asked.headers["authorization"], f"Bearer {KEY}")
        self.assertEqual(
            self.data(),
            [
                [NOW - 10, "balcony", {"temperature": 21.5}, {"humidity": 47}],
                [NOW - 10, "attic", {"temperature": 3}],
            ],
        )

    def test_everyServer(self) -> None:
        """
        All readings of a row are stored, also by servers that take one name of an object.
        """
        for self.there.new in (False, True):
            self.there.stored.clear()
            self.send(self.entry(), self.entry(47, "humidity"))
            self.assertEqual(
                self.there.stored,
                {
                    ("balcony", "temperature"): [(NOW - 10, 21.5)],
                    ("balcony", "humidity"): [(NOW - 10, 47)],
                },
            )

    def test_wholeSeconds(self) -> None:
        """
        Times are whole seconds, and the readings of one device within a second are one row.
        """
        first, second = self.entry(time=5.000001), self.entry(1, "humidity", time=5.999999)
        self.send(first, second, self.entry(2, "humidity", time=-0.5))
        self.assertEqual([row[0] for row in self.data()], [5, -1])

    def test_twiceInOneSecond(self) -> None:
        """
        Two readings of one series in one second are two rows, and both are stored.
        """
        self.send(
            self.entry(1, time=5.1), self.entry(2, "humidity", time=5.1), self.entry(3, time=5.2)
        )
        self.assertEqual(len(self.data()), 2)
        self.assertEqual(self.there.stored["balcony", "temperature"], [(5, 1), (5, 3)])

    def test_wrongClock(self) -> None:
        """
        If the clock here is wrong, readings are stored with the times that they have there.
        """
        self.clock.advance(7200)
        there = Emoncms(lambda: NOW)
        sink = EmoncmsSink(self.clock, settings(), Runner(), agent=there.agent())
        sink.start()
        wrote = sink.write([self.entry(time=self.clock.seconds() - 10)])
        self.successResultOf(wrote)
        self.assertEqual(there.stored["balcony", "temperature"], [(NOW - 10, 21.5)])

    def test_farTimes(self) -> None:
        """
        Readings of 1970 and of 2100 are stored with their times.
        """
        self.send(self.entry(time=0), self.entry(time=4_102_444_800))
        times = [time for time, _value in self.there.stored["balcony", "temperature"]]
        self.assertEqual(times, [0, 4_102_444_800])

    def test_values(self) -> None:
        """
        Numbers are stored as they are, and truth values as 1 and 0.
        """
        values: Sequence[Value] = (True, False, 0, -7, 1e300, -1.25e-7, 2**63 - 1)
        self.send(*(self.entry(value, str(place)) for place, value in enumerate(values)))
        stored = [numbers[0][1] for numbers in self.there.stored.values()]
        self.assertEqual(stored, [float(value) for value in values])
        self.assertNotIn("true", self.there.asked[0].form["data"])

    def test_texts(self) -> None:
        """
        Texts are refused before anything is sent, and the rest can be sent without them.
        """
        batch = [
            self.entry(),
            self.entry("open"),
            self.entry(1),
            self.entry("21.5"),
            self.entry(""),
        ]
        poison = self.refused(Poison, *batch)
        self.assertEqual(poison.ids, {2, 4, 5})
        self.assertEqual(self.there.asked, [])
        self.send(batch[0], batch[2])

    def test_notFinite(self) -> None:
        """
        What is no number at all is never sent.
        """
        poison = self.refused(Poison, self.entry(float("nan")), self.entry(float("-inf")))
        self.assertEqual(poison.ids, {1, 2})

    def test_compressed(self) -> None:
        """
        A packed body is the list itself, and the server is told.
        """
        self.connect(compress=True)
        self.send(*(self.entry(value) for value in range(100)))
        (asked,) = self.there.asked
        self.assertEqual(asked.query, {"sentat": str(NOW), "cb": "1"})
        self.assertEqual(len(json.loads(zlib.decompress(asked.body))), 100)
        self.assertEqual(len(self.there.stored["balcony", "temperature"]), 100)

    def test_most(self) -> None:
        """
        A full batch goes into one request.
        """
        self.send(*(self.entry(value, f"n{value % 7}") for value in range(self.sink.most)))
        self.assertEqual(len(self.there.asked), 1)
        self.assertEqual(sum(map(len, self.there.stored.values())), 1000)

    def test_trailingSlash(self) -> None:
        """
        A slash at the end of the url does no harm.
        """
        self.connect(url="http://localhost/emoncms/")
        self.send(self.entry())
        self.assertEqual(self.there.asked[0].path, "/emoncms/input/bulk.json")


class SingleTests(EmoncmsTestCase):
    """
    One row in a request, for old servers.
    """

    def setUp(self) -> None:
        """
        A server that is old.
        """
        super().setUp()
        self.there.old = True
        self.connect(single=True)

    def test_request(self) -> None:
        """
        A row is a request, with all that it has in the URL.
        """
        self.send(self.entry(), self.entry(47, "humidity"), self.entry(3, device="attic"))
        asked, _other = self.there.asked
        self.assertEqual((asked.method, asked.path), ("GET", "/emoncms/input/post.json"))
        self.assertEqual(
            asked.query,
            {
                "apikey": KEY,
                "time": str(NOW - 10),
                "node": "balcony",
                "json": "{temperature:21.5,humidity:47}",
            },
        )
        self.assertEqual(self.there.stored["attic", "temperature"], [(NOW - 10, 3)])

    def test_values(self) -> None:
        """
        Very large and very small numbers come through, though signs are taken for nothing.
        """
        values: Sequence[Value] = (1e300, -1.25e-7, 2**63 - 1, True)
        self.send(*(self.entry(value, str(place)) for place, value in enumerate(values)))
        stored = [numbers[0][1] for numbers in self.there.stored.values()]
        self.assertEqual(stored, [float(value) for value in values])

    def test_resumed(self) -> None:
        """
        If a row fails, those before it are not sent again.
        """
        batch = [self.entry(value, time=value) for value in range(5)]
        self.there.replies = [Reply(), Reply(), Reply(503, "busy")]
        self.refused(Transient, *batch)
        self.send(*batch)
        self.assertEqual([one.query["time"] for one in self.there.asked[3:]], ["2", "3", "4"])
        self.send(*batch)
        self.assertEqual(len(self.there.asked), 11)

    def test_poison(self) -> None:
        """
        If a row is refused, it is known which readings those are, and the rest follows.
        """
        batch = [self.entry(value, time=value) for value in range(3)]
        self.there.replies = [Reply(), Reply(200, "Format error, json value is not numeric")]
        self.assertEqual(self.refused(Poison, *batch).ids, {2})
        self.send(batch[0], batch[2])
        self.assertEqual([one.query["time"] for one in self.there.asked], ["0", "1", "2"])

    def test_notToldInFull(self) -> None:
        """
        The key, which is in the URL, is in no reason.
        """
        self.there.replies = [Reply(500, f"what is {KEY}?")]
        self.assertIn("what is ***?", str(self.refused(Transient)))


class NameTests(EmoncmsTestCase):
    """
    Names, of which emoncms takes but few.
    """

    def test_kept(self) -> None:
        """
        Names of letters, digits, blanks and a few signs stay what they are.
        """
        for name in ("a", "15", "living room", "power1", "a.b-c_d", "x" * 16):
            self.assertEqual(label(name, 16), name)

    def test_changed(self) -> None:
        """
        All others are made to fit, and stay distinct.
        """
        changed = {label(name, 16) for name in NAMES}
        self.assertEqual(len(changed), len(NAMES))
        self.assertRegex(label("room 1, north", 16), "^room 1_ n-[a-z2-7]{6}$")

    def test_sameAlways(self) -> None:
        """
        A name is changed in the same way after a restart.
        """
        self.assertEqual(label("Küche", 16), "K_che-mftmq3")

    def test_taken(self) -> None:
        """
        The server takes all names, and stores each series for itself.
        """
        for single in (False, True):
            self.there.stored.clear()
            self.connect(single=single)
            self.send(*(self.entry(1, name) for name in NAMES))
            self.send(*(self.entry(1, device=name) for name in NAMES))
            self.assertEqual(len(self.there.stored), 2 * len(NAMES))

    @PROPERTY
    @given(strategies.text(), strategies.integers(8, 64))
    def test_anything(self, name: str, most: int) -> None:
        """
        Whatever a name is, something fits.
        """
        self.assertRegex(label(name, most), rf"\A[A-Za-z0-9_. -]{{1,{most}}}\Z")

    def test_address(self) -> None:
        """
        A device without a name is called by its address, with a line for the slash.
        """
        self.send(self.entry(device="weather/1"), self.entry(device="poe/192.168.1.7"))
        self.assertEqual([row[1] for row in self.data()], ["weather_1", "poe_192.168.1.7"])

    def test_addressOfAnother(self) -> None:
        """
        If another device bears that very name, the two are not mixed.
        """
        for devices in (("weather/1", "weather_1"), ("weather_1", "weather/1")):
            self.connect()
            for _again in range(2):
                self.send(*(self.entry(device=device) for device in devices))
            nodes = dict(zip(devices, (row[1] for row in self.data()), strict=True))
            self.assertEqual(nodes["weather_1"], "weather_1")
            self.assertRegex(nodes["weather/1"], "^weather_1-[a-z2-7]{6}$")

    def test_manyDevices(self) -> None:
        """
        However many devices there are, the memory that they take is bounded.
        """
        self.there.nodes = 100_000
        for thousand in range(11):
            self.send(*(self.entry(device=f"m/{thousand * 1000 + one}") for one in range(1000)))
        self.assertLess(len(self.sink._owners), 10_001)


class AnswerTests(EmoncmsTestCase):
    """
    Answers that are no success.
    """

    def answered(self, kind: type[SinkError], *args: Any) -> Any:
        """
        Send a reading that is answered so.
        """
        self.there.replies = [Reply(*args)]
        return self.refused(kind)

    def test_exactlyOk(self) -> None:
        """
        Anything but C{ok} is no success, be it ever so near.
        """
        for body in ("ok\n", " ok", "OK", "okay", "true", '{"success": true}', "<br />Notice ok"):
            self.answered(Transient, 200, body)

    def test_otherStatus(self) -> None:
        """
        C{ok} with another status is no success.
        """
        self.answered(Misconfigured, 202, "ok")

    def test_wrongKey(self) -> None:
        """
        A key that the server does not know has to be put right by somebody.
        """
        for key in ("1" * 32, "1" * 31):
            self.connect(apikey=Secret(key))
            self.assertIn("answers 401: Invalid API key", str(self.refused(Misconfigured)))

    def test_keyForReading(self) -> None:
        """
        So has a key that is only for reading, to which the server says nothing.
        """
        self.connect(apikey=Secret(READER))
        self.assertIn("answers 200: nothing", str(self.refused(Misconfigured)))

    def test_misconfigured(self) -> None:
        """
        Nor is anything lost if something else than an emoncms answers.
        """
        for args in (
            (403, "Forbidden"),
            (404, "<html>Not found</html>"),
            (406, '{"success":false,"message":"406 Not Acceptable. Route not found"}'),
            (301, "", {"Location": "https://localhost/"}),
            (200, "<!DOCTYPE html><title>Welcome</title>"),
            (200, "\n<html>"),
            (200, '{"success":false,"message":"Unauthorized"}'),
            (400, "<html>400 The plain HTTP request was sent to HTTPS port</html>"),
            (400, "Client sent an HTTP request to an HTTPS server."),
        ):
            self.answered(Misconfigured, *args)

    def test_transient(self) -> None:
        """
        What may go by is tried again.
        """
        for args in (
            (500, ""),
            (502, "<html>Bad gateway</html>"),
            (503, "Format error"),
            (408, ""),
            (429, ""),
            (200, "Can't connect to redis at localhost"),
        ):
            self.assertEqual(self.answered(Transient, *args).after, 0)

    def test_retryAfter(self) -> None:
        """
        A server that wants to be left alone for some time is.
        """
        for status in (429, 503):
            self.assertEqual(self.answered(Transient, status, "", {"Retry-After": "17"}).after, 17)

    def test_poison(self) -> None:
        """
        What the server does not like of what was sent has to be found.
        """
        for args in (
            (400, ""),
            (422, ""),
            (413, "<html>Too large</html>"),
            (200, "Format error, node must not be an object"),
            (200, '{"success": false, "message": "Error: invalid node name"}'),
            (200, "Error: Node 'api key' does not belong to device."),
        ):
            self.assertEqual(self.answered(Poison, *args).ids, set())

    def test_fullHouse(self) -> None:
        """
        If the server has no room for more devices, only the readings of the new ones are given up.
        """
        for self.there.new in (False, True):
            self.there.stored.clear()
            self.there.nodes = 2
            batch = [self.entry(device=device) for device in ("a", "b", "apikey", "a", "apikey")]
            poison = self.refused(Poison, *batch)
            self.assertEqual(poison.ids, {batch[2].id, batch[4].id})
            self.assertIn("'apikey' was ignored", str(poison))
            self.send(batch[0], batch[1], batch[3])

    def test_told(self) -> None:
        """
        An answer is told in one line, and not at full length, whatever it is made of.
        """
        why = str(self.answered(Transient, 500, "a\nb" + "c" * 1000))
        self.assertIn("a b", why)
        self.assertLess(len(why), 300)
        self.answered(Transient, 500, b"\xff\xfe\x00")

    def test_silence(self) -> None:
        """
        A server that does not answer is given up after the time that the settings say.
        """
        self.connect(timeout=20)
        self.there.silent = True
        wrote = self.sink.write([self.entry()])
        self.clock.advance(19)
        self.assertNoResult(wrote)
        self.clock.advance(1)
        error = self.failureResultOf(wrote, Transient).value
        self.assertEqual(str(error), "http://localhost/emoncms: no answer in 20 s")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """
        A request can be given up.
        """
        self.there.silent = True
        wrote: Deferred[None] = self.sink.write([self.entry()])
        wrote.cancel()
        self.failureResultOf(wrote, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SettingsTests(SynchronousTestCase):
    """
    L{EmoncmsSettings}.
    """

    def faults(self, **given: Any) -> str:
        """
        What is wrong.
        """
        return "; ".join(
            fault for fault in settings(**given).faults() if not fault.startswith("kind")
        )

    def test_good(self) -> None:
        """
        A server and a key are enough.
        """
        self.assertEqual(self.faults(), "")

    def test_faults(self) -> None:
        """
        What cannot work is said before anything is sent, and the key is not.
        """
        for wrong, fault in (
            ({"apikey": Secret()}, "apikey: is missing"),
            ({"apikey": Secret("1" * 31)}, "apikey: has 31 characters, and not 32"),
            ({"apikey": Secret("1" * 31 + "\n")}, "apikey: is made of letters and digits"),
            ({"single": True, "compress": True}, "compress: goes with many rows at a time"),
            ({"url": "emoncms.org"}, "url: is no place"),
        ):
            self.assertIn(fault, self.faults(**wrong))

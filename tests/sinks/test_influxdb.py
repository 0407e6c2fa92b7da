"""
Tests for L{sensord.sinks.influxdb}.
"""

import gzip
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from treq.testing import RequestTraversalAgent
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from sensord.outlets import InfluxSettings
from sensord.reading import Value
from sensord.settings import Secret
from sensord.sinks import Entry, Misconfigured, Poison, Series, SinkError, Transient
from sensord.sinks.http import ANSWER
from sensord.sinks.influxdb import InfluxSink
from tests.store.support import Runner

NOW = 1_795_194_651_000_000

#: What must be in no message.
PASSWORD, TOKEN = "open sesame", "t0ken=="

MISSING = '{"error":"database not found: \\"sensors\\""}'


class Asked(NamedTuple):
    """
    A request as it came.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Reply(NamedTuple):
    """
    An answer.
    """

    status: int = 204
    body: str | bytes = ""
    headers: tuple[tuple[str, str], ...] = ()


class Server(Resource):
    """
    Something that answers as it is told.

    @ivar asked: what it was asked.
    @ivar replies: what it answers next; it takes all when there is none.
    @ivar judge: what it answers to some lines; L{None} is the next reply.
    @ivar silent: whether it answers nothing.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Asked] = []
        self.replies: list[Reply] = []
        self.judge: Callable[[list[str]], Reply] | None = None
        self.silent = False

    def render(self, request: Request) -> bytes | int:
        """
        Answer a request.
        """
        assert request.content is not None
        headers = {
            name.decode().lower(): values[0].decode()
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        body = request.content.read()
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.asked.append(Asked(request.method.decode(), request.uri.decode(), headers, body))
        if self.silent:
            return NOT_DONE_YET
        reply = self.replies.pop(0) if self.replies else Reply()
        if self.judge is not None:
            reply = self.judge(body.decode().splitlines())
        request.setResponseCode(reply.status)
        for name, value in reply.headers:
            request.setHeader(name.encode(), value.encode())
        return reply.body.encode() if isinstance(reply.body, str) else reply.body


def settings(**given: Any) -> InfluxSettings:
    """
    Settings of which a test says only what matters to it.
    """
    said = {"database": "sensors", **given}
    return InfluxSettings("influx", "influxdb", **said)


def error(text: str, status: int = 400) -> Reply:
    """
    A complaint as InfluxDB 1 writes it.
    """
    return Reply(status, json.dumps({"error": text}))


def conflict(kind: str, count: int, name: str = "temperature", field: str = "value") -> Reply:
    """
    The complaint that readings have another type than those before.
    """
    where = f'input field "{field}" on measurement "{name}" is type {kind}'
    return error(
        f"partial write: field type conflict: {where}, already exists as type x dropped={count}"
    )


class InfluxTestCase(SynchronousTestCase):
    """
    A sink, and a server that it writes to.
    """

    def setUp(self) -> None:
        """
        Begin as most do.
        """
        self.clock = Clock()
        self.clock.advance(NOW / 1e6)
        self.server = Server()
        self.runner = Runner()
        self.count = 0
        self.connect()

    def connect(self, **given: Any) -> None:
        """
        Begin with other settings.
        """
        agent = RequestTraversalAgent(self.server)
        self.sink = InfluxSink(self.clock, settings(**given), self.runner, agent=agent)
        self.sink.start()
        self.addCleanup(self.sink.stop)

    def connect2(self, **given: Any) -> None:
        """
        Begin as with InfluxDB 2.
        """
        self.connect(database="", bucket="b", org="o", token=Secret(TOKEN), **given)

    def entry(
        self,
        value: Value = 24.5,
        name: str = "temperature",
        device: str = "balcony",
        time: int | None = None,
    ) -> Entry:
        """
        A reading, each a microsecond after the one before.
        """
        self.count += 1
        when = NOW + self.count if time is None else time
        return Entry(self.count, Series(device, name, "", {}, "weather/1"), when, value)

    def send(self, *batch: Entry) -> None:
        """
        Send readings, which must succeed.
        """
        self.assertIsNone(self.successResultOf(self.sink.write(batch or [self.entry()])))

    def refused(self, kind: type[SinkError], *batch: Entry) -> Any:
        """
        Send readings, which must fail.

        @return: why.
        """
        failure = self.failureResultOf(self.sink.write(batch or [self.entry()]), kind)
        text = str(failure.value)
        self.assertTrue(text)
        self.assertNotIn(PASSWORD, text)
        self.assertNotIn(TOKEN, text)
        self.assertNotIn("\n", text)
        self.assertLess(len(text), 400)
        return failure.value

    def poison(self, *batch: Entry) -> tuple[list[int], str]:
        """
        Send readings, of which some are refused for ever.

        @return: their ids, and the reason.
        """
        raised = self.refused(Poison, *batch)
        return sorted(raised.ids), str(raised)


class RequestTests(InfluxTestCase):
    """
    What is sent.
    """

    def test_1(self) -> None:
        """
        Readings go to a database of InfluxDB 1 with their times in microseconds.
        """
        self.send(self.entry(24.5), self.entry(61, "humidity"))
        (asked,) = self.server.asked
        self.assertEqual(asked.method, "POST")
        self.assertEqual(asked.target, "/write?db=sensors&precision=u")
        self.assertEqual(
            asked.body.decode(),
            f"temperature,device=balcony value=24.5 {NOW + 1}\n"
            f"humidity,device=balcony value=61 {NOW + 2}\n",
        )
        self.assertNotIn("authorization", asked.headers)

    def test_2(self) -> None:
        """
        Readings go to a bucket of InfluxDB 2, with a token.
        """
        self.connect2()
        self.send()
        (asked,) = self.server.asked
        self.assertEqual(asked.target, "/api/v2/write?org=o&bucket=b&precision=us")
        self.assertEqual(asked.headers["authorization"], f"Token {TOKEN}")

    def test_user(self) -> None:
        """
        User and password of InfluxDB 1 are sent as they are, in any script.
        """
        self.connect(user="me", password=Secret("geheim ü:"))
        self.send()
        self.assertEqual(
            self.server.asked[0].headers["authorization"], "Basic bWU6Z2VoZWltIMO8Og=="
        )

    def test_layout(self) -> None:
        """
        A device may be a measurement, and integers may stay integers.
        """
        self.connect(layout="device", integers=True)
        self.send(self.entry(24.5, time=7), self.entry(61, "humidity", time=7))
        self.assertEqual(self.server.asked[0].body, b"balcony temperature=24.5,humidity=61i 7\n")

    def test_place(self) -> None:
        """
        The server may have a path, and the names in the URL any signs.
        """
        self.connect(url="http://localhost/influx/", database="a+b c&d=é%/")
        self.send()
        target = "/influx/write?db=a%2Bb%20c%26d%3D%C3%A9%25%2F&precision=u"
        self.assertEqual(self.server.asked[0].target, target)

    def test_compressed(self) -> None:
        """
        What does not fit one packet is compressed.
        """
        self.send(self.entry())
        self.send(*[self.entry() for _reading in range(100)])
        small, large = self.server.asked
        self.assertNotIn("content-encoding", small.headers)
        self.assertEqual(large.headers["content-encoding"], "gzip")
        self.assertLess(int(large.headers["content-length"]), len(large.body) / 3)
        self.assertEqual(large.body.count(b"\n"), 100)

    def test_most(self) -> None:
        """
        A request has 10,000 lines at most; many are encoded and compressed beside the reactor.
        """
        self.assertEqual(self.sink.most, 10_000)
        self.runner.holding = True
        self.send(*[self.entry() for _reading in range(500)])
        write = self.sink.write([self.entry() for _reading in range(5_000)])
        self.assertNoResult(write)
        self.assertEqual(len(self.server.asked), 1)
        self.runner.release()
        self.assertIsNone(self.successResultOf(write))
        self.assertEqual(self.server.asked[1].body.count(b"\n"), 5_000)

    def test_prepared(self) -> None:
        """
        What was made ready goes out at once; anything else that is written instead is made ready
        then, as it is without notice.
        """
        first, second = ([self.entry() for _reading in range(1_000)] for _batch in range(2))
        self.sink.prepare(first)
        self.sink.prepare(second)
        self.runner.holding = True
        self.assertIsNone(self.successResultOf(self.sink.write(second)))
        write = self.sink.write(first)
        self.assertNoResult(write)
        self.runner.release()
        self.assertIsNone(self.successResultOf(write))
        self.assertEqual([one.body.count(b"\n") for one in self.server.asked], [1_000, 1_000])


class CreateTests(InfluxTestCase):
    """
    A database that is not there.
    """

    def test_missing(self) -> None:
        """
        Without being asked to, nothing is created.
        """
        self.server.replies = [Reply(404, MISSING)]
        why = str(self.refused(Misconfigured))
        self.assertIn('answers 404: database not found: "sensors"', why)
        self.assertEqual(len(self.server.asked), 1)

    def test_created(self) -> None:
        """
        A database that is missing is created, and the readings are written once more.
        """
        self.connect(create=True, user="me", password=Secret(PASSWORD), database='a "b"\\')
        self.server.replies = [Reply(404, MISSING), Reply(200, '{"results":[{}]}')]
        self.send()
        first, create, second = self.server.asked
        self.assertEqual((create.method, create.target), ("POST", "/query"))
        self.assertEqual(create.body, b"q=CREATE+DATABASE+%22a+%5C%22b%5C%22%5C%5C%22")
        self.assertEqual(create.headers["authorization"], first.headers["authorization"])
        self.assertEqual(first.body, second.body)

    def test_inVain(self) -> None:
        """
        It is tried once for each batch: a database that is still missing has to be seen to.
        """
        self.connect(create=True)
        self.server.replies = [Reply(404, MISSING), Reply(200), Reply(404, MISSING)]
        self.refused(Misconfigured)
        self.assertEqual(len(self.server.asked), 3)

    def test_notAllowed(self) -> None:
        """
        That it must not be created is a reason of its own; that it cannot just now is none.
        """
        self.connect(create=True)
        self.server.replies = [Reply(404, MISSING), error("create is not allowed", 403)]
        why = str(self.refused(Misconfigured))
        self.assertIn("cannot be created", why)
        self.assertIn("answers 403: create is not allowed", why)
        said = '{"results":[{"statement_id":0,"error":"invalid name"}]}'
        self.server.replies = [Reply(404, MISSING), Reply(200, said)]
        why = str(self.refused(Misconfigured))
        self.assertEqual(why, "the database cannot be created: invalid name")
        self.server.replies = [Reply(404, MISSING), Reply(503, "", (("Retry-After", "7"),))]
        self.assertEqual(self.refused(Transient).after, 7.0)

    def test_elsewhere(self) -> None:
        """
        Nothing is created where it is not the database that is missing.
        """
        self.connect(create=True)
        self.server.replies = [Reply(404, "404 page not found\n")]
        self.assertIn("answers 404: 404 page not found", str(self.refused(Misconfigured)))
        self.assertEqual(len(self.server.asked), 1)


class FaultTests(InfluxTestCase):
    """
    Answers that are about the request as a whole.
    """

    def test_later(self) -> None:
        """
        A server that is overloaded or out of order gets all another time.
        """
        for status in (408, 429, 500, 502, 503, 504):
            self.server.replies = [error("timeout", status)]
            raised = self.refused(Transient)
            self.assertIn(f"http://localhost:8086 answers {status}: timeout", str(raised))
            self.assertEqual(raised.after, 0.0)

    def test_retryAfter(self) -> None:
        """
        It may say when, in seconds or as a date.
        """
        for status in (429, 503):
            for text in ("30", "Fri, 20 Nov 2026 17:11:21 GMT"):
                self.server.replies = [Reply(status, "", (("Retry-After", text),))]
                self.assertEqual(self.refused(Transient).after, 30.0)

    def test_misconfigured(self) -> None:
        """
        A wrong password, too few rights or a wrong URL have to be seen to.
        """
        self.connect(user="me", password=Secret(PASSWORD))
        for status in (401, 403, 404, 405, 302, 415):
            self.server.replies = [error(f"authorization failed for {PASSWORD}", status)]
            why = str(self.refused(Misconfigured))
            self.assertIn(f"answers {status}: authorization failed for ***", why)

    def test_misconfigured2(self) -> None:
        """
        InfluxDB 2 says it in other words.
        """
        self.connect2()
        for status, code, text in (
            (401, "unauthorized", f"unauthorized access with {TOKEN}"),
            (404, "not found", 'bucket "b" not found'),
        ):
            body = json.dumps({"code": code, "message": text})
            self.server.replies = [Reply(status, body)]
            why = str(self.refused(Misconfigured))
            self.assertIn(text.replace(TOKEN, "***"), why)

    def test_notStored(self) -> None:
        """
        Only 204 says that readings are stored: a page that anybody may see does not.
        """
        for status in (200, 201, 202):
            self.server.replies = [Reply(status, "<html>Welcome</html>")]
            self.assertIn(f"answers {status}", str(self.refused(Misconfigured)))

    def test_proxy(self) -> None:
        """
        A request that was refused by something before the database costs no reading.
        """
        for body in (
            "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title>",
            "Client sent an HTTP request to an HTTPS server.\n",
            "",
            "{}",
            '{"error": 5}',
            "[]",
            b"\xff\xfe",
        ):
            for status in (400, 422):
                self.server.replies = [Reply(status, body)]
                self.refused(Misconfigured)

    def test_longWinded(self) -> None:
        """
        Of what a server says, some is told, in one line.
        """
        self.server.replies = [Reply(500, "line\n" * 1000)]
        self.assertIn("line line line", str(self.refused(Transient)))

    def test_tooLarge(self) -> None:
        """
        If a request is too large, halves of it may not be. If it is small, that is not about what
        is in it.
        """
        for body in ('{"error":"Request Entity Too Large"}', "<html>too large</html>", ""):
            for count in (400, 2):
                self.server.replies = [Reply(413, body)]
                batch = [self.entry() for _reading in range(count)]
                if count > 2:
                    self.assertEqual(self.poison(*batch)[0], [])
                else:
                    self.failureResultOf(self.sink.write(batch), Misconfigured)

    def test_inBetween(self) -> None:
        """
        What a proxy or another server refuses costs no reading, though it speaks JSON as well.
        """
        for body in (
            '{"message":"The plain HTTP request was sent to HTTPS port"}',
            '{"error":"bad request"}',
            '{"code":400,"message":"no"}',
            "<html>400</html>",
        ):
            for status in (400, 422):
                self.server.replies = [Reply(status, body)]
                self.failureResultOf(self.sink.write([self.entry()]), Misconfigured)

    def test_silence(self) -> None:
        """
        A server that takes all and says nothing is given up after a while.
        """
        self.server.silent = True
        write = self.sink.write([self.entry()])
        self.clock.advance(ANSWER)
        why = str(self.failureResultOf(write, Transient).value)
        self.assertEqual(why, "http://localhost:8086: no answer in 60 s")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """
        A batch under way can be given up.
        """
        self.server.silent = True
        write: Deferred[None] = self.sink.write([self.entry()])
        write.cancel()
        self.failureResultOf(write, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class PoisonTests(InfluxTestCase):
    """
    Answers that are about readings.
    """

    def batch(self) -> list[Entry]:
        """
        Some readings of which two are texts where numbers should be.
        """
        return [
            self.entry(1.5),
            self.entry("two"),
            self.entry("wet", "humidity"),
            self.entry("four", device="attic"),
            self.entry(5.5),
        ]

    def reject(self, bad: Callable[[str], bool], kind: str = "string") -> None:
        """
        Let the server refuse some lines as it does those of another type.
        """

        def judge(lines: list[str]) -> Reply:
            count = sum(map(bad, lines))
            return conflict(kind, count) if count else Reply()

        self.server.judge = judge

    def test_quoted(self) -> None:
        """
        Lines that the server could not read are found by what it quotes of them.
        """
        batch = [self.entry(), self.entry(time=2**62), self.entry("it's ': \"so\"", time=2**62)]
        lines = [line for line in self.lines(batch) if str(2**62) in line]
        why = "time outside range -9223372036854775806 - 9223372036854775806"
        text = "\n".join(f"unable to parse '{line}': {why}" for line in lines)
        self.server.replies = [error(f"partial write: {text} dropped=0")]
        self.assertEqual(self.poison(*batch), ([2, 3], why))

    def test_reasons(self) -> None:
        """
        Each dead letter has its own reason, and one answer is enough for all of them.
        """
        batch = [self.entry(), self.entry(), self.entry()]
        lines = self.lines(batch)
        text = f"unable to parse '{lines[2]}': first\nunable to parse '{lines[0]}': second"
        self.server.replies = [error(text)]
        raised = self.refused(Poison, *batch)
        self.assertEqual(raised.reasons, {3: "first", 1: "second"})

    def test_quoted2(self) -> None:
        """
        InfluxDB 2 quotes them in the same way, in an answer of another form.
        """
        self.connect2()
        batch = [self.entry(), self.entry(time=2**62)]
        text = f"unable to parse '{self.lines(batch)[1]}': time outside range"
        self.server.replies = [Reply(400, json.dumps({"code": "invalid", "message": text}))]
        self.assertEqual(self.poison(*batch), ([2], "time outside range"))

    def test_conflict(self) -> None:
        """
        A reading of another type is named, if it is the only one that can be meant.
        """
        batch = [self.entry(1.5), self.entry("two"), self.entry(3)]
        self.server.replies = [conflict("string", 1)]
        ids, why = self.poison(*batch)
        self.assertEqual(ids, [2])
        self.assertIn("field type conflict", why)
        self.assertNotIn("localhost", why)

    def test_conflicts(self) -> None:
        """
        If several can be meant, they are sent by themselves: all of them are poison if none of
        them is taken.
        """
        self.reject(lambda line: "temperature" in line and '"' in line)
        self.assertEqual(self.poison(*self.batch())[0], [2, 4])
        self.assertEqual(len(self.server.asked), 2)
        self.assertEqual(self.server.asked[1].body.count(b"\n"), 2)

    def test_someConflict(self) -> None:
        """
        If some of them are taken, it is not known which are poison.
        """
        self.reject(lambda line: "temperature" in line and "two" in line)
        self.assertEqual(self.poison(*self.batch())[0], [])

    def test_conflict2(self) -> None:
        """
        InfluxDB 2 says it with another status.
        """
        self.connect2()
        said = json.loads(conflict("string", 1).body)["error"]
        body = {"code": "unprocessable entity", "message": f"failure writing points: {said}"}
        self.server.replies = [Reply(422, json.dumps(body))]
        self.assertEqual(self.poison(self.entry(1.5), self.entry("two"))[0], [2])

    def test_conflictInDevice(self) -> None:
        """
        Where a device is a measurement, a reading of another type does not take the others of its
        line with it.
        """
        self.connect(layout="device")
        batch = [self.entry(1.5, time=7), self.entry("wet", "humidity", time=7)]
        self.server.replies = [conflict("string", 1, "balcony", "humidity")]
        self.assertEqual(self.poison(*batch)[0], [2])
        more = [*batch, self.entry(1.5, time=8), self.entry("wet", "humidity", time=8)]
        self.server.replies = [conflict("string", 2, "balcony", "humidity")] * 2
        self.assertEqual(self.poison(*more)[0], [2, 4])
        self.assertEqual(
            self.server.asked[-1].body, b'balcony humidity="wet" 7\nbalcony humidity="wet" 8\n'
        )

    def test_strangeConflict(self) -> None:
        """
        If a complaint about types names what we do not know, nothing is certain, even if all lines
        were dropped: they may have other fields.
        """
        for layout in ("measurement", "device"):
            self.connect(layout=layout)
            batch = [self.entry(1.5, time=7), self.entry("wet", "humidity", time=7)]
            for count in (1, 2):
                self.server.replies = [conflict("string", count, "b\\u00e4lcony", "humidity")]
                self.assertEqual(self.poison(*batch)[0], [])

    def test_timeField(self) -> None:
        """
        A field that the server would leave out without a word is not sent at all, and nothing that
        has no name is.
        """
        self.assertEqual(self.poison(self.entry(), self.entry(5, ""))[0], [2])
        self.connect(layout="device")
        ids, why = self.poison(
            self.entry(time=7),
            self.entry(5, "time", time=7),
            self.entry(5, "", time=7),
            self.entry(5, device="", time=7),
        )
        self.assertEqual(ids, [4, 5, 6])
        self.assertIn('no field called "time"', why)
        self.assertEqual(self.server.asked, [])

    def test_old(self) -> None:
        """
        What is older than the server keeps is the oldest of a batch.
        """
        times = [NOW, 5, NOW + 1, 3, 4]
        batch = [self.entry(time=time) for time in times]
        reply = error("partial write: points beyond retention policy dropped=2")
        self.server.replies = [reply]
        ids, why = self.poison(*batch)
        self.assertEqual(ids, [4, 5])
        self.assertIn("beyond retention policy", why)
        self.server.replies = [error("partial write: points beyond retention policy dropped=9")]
        self.assertEqual(self.poison(*batch)[0], [1, 2, 3, 4, 5])

    def test_oldLines(self) -> None:
        """
        With several readings to a line, the readings of the oldest lines are.
        """
        self.connect(layout="device")
        batch = [
            self.entry(time=3),
            self.entry(5, "humidity", time=3),
            self.entry(time=NOW),
        ]
        self.server.replies = [error("partial write: points beyond retention policy dropped=1")]
        self.assertEqual(self.poison(*batch)[0], [1, 2])

    def test_all(self) -> None:
        """
        If all were dropped, all are poison, whatever the reason.
        """
        text = "partial write: max-values-per-tag limit exceeded (100000/100000) dropped="
        batch = [self.entry(), self.entry(), self.entry()]
        self.server.replies = [error(f"{text}3"), error(f"{text}2")]
        self.assertEqual(self.poison(*batch)[0], [1, 2, 3])
        self.assertEqual(self.poison(*batch)[0], [])

    def test_unknown(self) -> None:
        """
        A complaint that names nothing leaves it to be found out which readings it is about; with
        one, there is nothing to find out.
        """
        for text in ("unable to parse something", "something new"):
            for status in (400, 422):
                batch = [self.entry(), self.entry()]
                own = (("X-Influxdb-Version", "1.6.7"),)
                self.server.replies = [error(text, status)._replace(headers=own)] * 2
                self.assertEqual(self.poison(*batch), ([], text))
                self.assertEqual(self.poison(batch[1]), ([batch[1].id], text))

    def test_plain(self) -> None:
        """
        VictoriaMetrics complains in plain text.
        """
        text = "cannot read influx line protocol data: too long line: more than 262144 bytes"
        self.server.replies = [Reply(400, f"remoteAddr: x; requestURI: /write; {text}\n")]
        ids, why = self.poison(self.entry(), self.entry())
        self.assertEqual(ids, [])
        self.assertIn(text, why)

    def lines(self, batch: Sequence[Entry]) -> list[str]:
        """
        The lines that readings are sent as.
        """
        self.send(*batch)
        return self.server.asked.pop().body.decode().splitlines()


class SettingsTests(SynchronousTestCase):
    """
    What can be configured.
    """

    def test_good(self) -> None:
        """
        A database of 1 with or without a user, and a bucket of 2 are fine.
        """
        for given in (
            {},
            {"user": "me", "password": Secret("x"), "create": True, "layout": "device"},
            {"database": "", "bucket": "b", "org": "o", "token": Secret("x")},
            {"database": "", "bucket": "b", "org": "o"},
        ):
            said: dict[str, Any] = {"database": "d", **given}
            self.assertEqual(self.faults(said), [])

    def test_wrong(self) -> None:
        """
        Settings that do not go together are told, each by its name.
        """
        for given, key in (
            ({"database": ""}, "database"),
            ({"bucket": "b"}, "bucket"),
            ({"database": "", "bucket": "b"}, "org"),
            ({"database": "", "bucket": "b", "org": "o", "create": True}, "create"),
            ({"database": "", "bucket": "b", "org": "o", "user": "me"}, "user"),
            ({"token": Secret("x")}, "token"),
            ({"org": "o"}, "org"),
            ({"user": "a:b"}, "user"),
            ({"password": Secret(PASSWORD)}, "password"),
            ({"layout": "devices"}, "layout"),
            ({"url": "localhost:8086"}, "url"),
            ({"url": ""}, "url"),
        ):
            said: dict[str, Any] = {"database": "d", **given}
            (fault,) = self.faults(said)
            self.assertTrue(fault.startswith(f"{key}: "), fault)
            self.assertNotIn(PASSWORD, fault)

    def faults(self, given: dict[str, Any]) -> list[str]:
        """
        What is wrong with settings, but for what all sinks have.
        """
        known = ("kind: ",)
        return [fault for fault in settings(**given).faults() if not fault.startswith(known)]

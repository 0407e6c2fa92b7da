"""
Readings to a real InfluxDB 1 and a real VictoriaMetrics.
"""

from collections.abc import Sequence
from pathlib import Path
from random import randbytes
from typing import Any

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from sensord.outlets import InfluxSettings
from sensord.reading import Value
from sensord.settings import Secret
from sensord.sinks import Entry, Misconfigured, Poison, Series, SinkError, Transient
from sensord.sinks.influxdb import InfluxSink
from tests.integration.databases import Database, Influxd, Victoria
from tests.integration.loop import reactor

NOW = 1_795_194_651_000_000

#: Names with all that means something somewhere.
NAMES = (
    "room 1, north",
    'say "hi"',
    "a=b,c=d e",
    "it's",
    "🌡 Außen",
    "温度",
    "x" * 300,
    "weather/1",
    "C:\\temp\\new",
    "%2B+&?",
    " leading and trailing ",
    "time",
)

#: Names that cannot be written, and what they are there.
CHANGED = {
    "two\nlines": "two\\nlines",
    "tab\tcr\r": "tab\\tcr\\r",
    "end\\": "end\uff3c",
    "nul\x00": "nul\\x00",
}


class DatabaseTestCase(TestCase):
    """
    A database and a sink that writes to it.
    """

    def begin(self, database: Database) -> None:
        """
        Start a database in a folder of its own.
        """
        database.start()
        self.addCleanup(database.close)
        self.count = 0

    def folder(self) -> Path:
        """
        A new folder.
        """
        path = Path(self.mktemp()).absolute()
        path.mkdir(parents=True)
        return path

    def sink(self, server: Database, **given: Any) -> InfluxSink:
        """
        A sink that was started.
        """
        said = {"url": server.url, "database": "sensors", **given}
        settings = InfluxSettings("influx", "influxdb", **said)
        sink = InfluxSink(reactor(), settings, deferToThread)
        sink.start()
        self.addCleanup(sink.stop)
        return sink

    def entry(
        self,
        value: Value = 24.5,
        name: str = "temperature",
        device: str = "balcony",
        time: int | None = None,
    ) -> Entry:
        """
        A reading, a second after the one before.
        """
        self.count += 1
        when = NOW + self.count * 1_000_000 if time is None else time
        return Entry(self.count, Series(device, name, "", {}, "weather/1"), when, value)

    async def deliver(self, sink: InfluxSink, batch: Sequence[Entry]) -> dict[int, str]:
        """
        Pass on readings as an outbox does.

        @return: those that are refused, with the reasons.
        """
        dead: dict[int, str] = {}
        while good := [entry for entry in batch if entry.id not in dead]:
            try:
                await sink.write(good)
                break
            except Poison as poison:
                bad = poison.ids or {entry.id for entry in good[:1] if len(good) == 1}
                if not bad:
                    half = len(good) // 2
                    first = await self.deliver(sink, good[:half])
                    return {**dead, **first, **await self.deliver(sink, good[half:])}
                dead |= dict.fromkeys(bad, str(poison))
        return dead

    async def refused(self, kind: type[SinkError], sink: InfluxSink, *batch: Entry) -> Any:
        """
        Write readings, which must fail.
        """
        try:
            await sink.write(batch or [self.entry()])
        except kind as error:
            return error
        raise AssertionError("they were taken")


class InfluxTests(DatabaseTestCase):
    """
    InfluxDB 1.
    """

    def setUp(self) -> None:
        """
        Start it.
        """
        self.database = Influxd(self.folder())
        self.begin(self.database)
        self.database.query("CREATE DATABASE sensors")

    async def test_names(self) -> None:
        """
        Whatever names measurements and devices have, they are read back as they are; only what
        cannot be written is changed. A batch that comes twice is there once.
        """
        names = {**dict.fromkeys(NAMES), **CHANGED}
        batch = [self.entry(24.5, name, f"{name}") for name in names]
        sink = self.sink(self.database)
        for _attempt in range(2):
            await sink.write(batch)
        want = {}
        for name, entry in zip(names, batch, strict=True):
            there = names[name] or name
            want[there, there, "value"] = {entry.time: 24.5}
        self.assertEqual(self.database.points("sensors"), want)

    async def test_fields(self) -> None:
        """
        So they are where devices are measurements, and readings of one moment are one point.
        """
        names = {**dict.fromkeys(NAMES), **CHANGED}
        del names["time"]
        batch = [self.entry(1.5, name, device, NOW) for device in names for name in names]
        sink = self.sink(self.database, layout="device")
        for _attempt in range(2):
            await sink.write(batch)
        want = {
            (names[device] or device, "", names[name] or name): {NOW: 1.5}
            for device in names
            for name in names
        }
        self.assertEqual(self.database.points("sensors"), want)
        again = [self.entry(2.5, "time"), self.entry(3.5, "temperature", "attic")]
        dead = await self.deliver(sink, again)
        self.assertEqual(list(dead), [again[0].id])
        self.assertEqual(
            self.database.points("sensors")["attic", "", "temperature"], {again[1].time: 3.5}
        )

    async def test_hash(self) -> None:
        """
        A measurement that begins like a comment is not lost.
        """
        await self.sink(self.database).write([self.entry(1.5, "#1")])
        self.assertEqual(list(self.database.points("sensors")), [("\\#1", "balcony", "value")])

    async def test_tags(self) -> None:
        """
        The tags of a device are there, with names and texts of all kinds.
        """
        tags = {"place": 'in, "the" = attic\\', "empty": "", "ü b=,": "🌡"}
        series = Series("balcony", "temperature", "", tags, "weather/1")
        await self.sink(self.database).write([Entry(1, series, NOW, 24.5)])
        (one,) = self.database.query("SELECT * FROM temperature GROUP BY *", db="sensors")
        want = {"device": "balcony", "place": 'in, "the" = attic\uff3c', "ü b=,": "🌡"}
        self.assertEqual(one["tags"], want)

    async def test_values(self) -> None:
        """
        Values are read back exactly, integers as floats.
        """
        values: dict[str, list[Any]] = {
            "float": [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -1e-7, 7, -(2**53), 2**63 - 1],
            "boolean": [True, False],
            "string": ["", 'say "hi"', "back\\slash\\", "a, b=c 🌡", "x" * 70_000, "#", "\r\t"],
        }
        sink = self.sink(self.database)
        for kind, some in values.items():
            batch = [self.entry(value, kind) for value in some]
            await sink.write(batch)
            got = self.database.points("sensors")[kind, "balcony", "value"]
            if kind == "float":
                # Whole numbers are answered without a point, and one that has none is too exact.
                got = {time: float(value) for time, value in got.items()}
                some = [float(value) for value in some]
            self.assertEqual(list(got.values()), some)
            self.assertEqual(list(got), [entry.time for entry in batch])

    async def test_integers(self) -> None:
        """
        Integers stay integers, if they are asked to.
        """
        batch = [self.entry(value) for value in (0, -(2**63), 2**63 - 1)]
        await self.sink(self.database, integers=True).write(batch)
        got = self.database.points("sensors", "integer")["temperature", "balcony", "value"]
        self.assertEqual(got, {entry.time: entry.value for entry in batch})

    async def test_times(self) -> None:
        """
        Readings have their own times, from centuries ago to centuries ahead; those that the server
        cannot have are refused by themselves.
        """
        good = [-9_223_372_036_854_775, -1, 0, 1, NOW, 4_102_444_800_000_000, 9_223_372_036_854_774]
        bad = [9_223_372_036_854_776, -9_223_372_036_854_776, 2**63 - 1, -(2**63)]
        times = [*good[:4], *bad[:2], *good[4:], *bad[2:], NOW + 1]
        batch = [self.entry(1.5, time=time) for time in times]
        sink = self.sink(self.database)
        raised = await self.refused(Poison, sink, *batch)
        self.assertEqual(raised.ids, {entry.id for entry in batch if entry.time in bad})
        self.assertIn("time outside range", str(raised))
        await self.deliver(sink, batch)
        got = self.database.points("sensors")["temperature", "balcony", "value"]
        self.assertEqual(sorted(got), sorted(set(times) - set(bad)))

    async def test_conflict(self) -> None:
        """
        One reading of another type among 5,000 is named by the first request; the others are all
        there after the second.
        """
        sink = self.sink(self.database)
        await sink.write([self.entry(1.5)])
        batch = [self.entry(1.5, device=f"d{number % 50}") for number in range(4_999)]
        batch.insert(2_345, self.entry("broken", device="d7"))
        raised = await self.refused(Poison, sink, *batch)
        self.assertEqual(raised.ids, {batch[2_345].id})
        self.assertIn("field type conflict", str(raised))
        self.assertEqual(list(await self.deliver(sink, batch)), [batch[2_345].id])
        got = self.database.points("sensors")
        self.assertEqual(sum(map(len, got.values())), 5_000)

    async def test_conflicts(self) -> None:
        """
        A device that changes its mind about the type of what it measures does not hold up others,
        and what does not fit is refused: all of it and nothing else.
        """
        for layout in ("measurement", "device"):
            self.database.query("DROP DATABASE sensors")
            sink = self.sink(self.database, layout=layout, create=True)
            await sink.write([self.entry(1.5)])
            batch = []
            for number in range(200):
                time = NOW + 1_000_000_000 + number
                batch += [
                    self.entry("bad" if number % 5 == 0 else 2.5, time=time),
                    self.entry(True, "door", time=time),
                    self.entry("text" if number > 100 else 4, "mode", time=time),
                    self.entry(number, "humidity", "attic", time=time),
                ]
            dead = await self.deliver(sink, batch)
            bad = {entry.id for entry in batch if entry.value in ("bad", "text")}
            self.assertEqual(set(dead), bad)
            got = self.database.points("sensors")
            self.assertEqual(sum(map(len, got.values())), 1 + len(batch) - len(bad))

    async def test_shards(self) -> None:
        """
        A type that was another long ago is fine today, and only what does not fit is refused.
        """
        week = 7 * 86400 * 1_000_000
        sink = self.sink(self.database)
        await sink.write([self.entry(1.5, time=NOW - 10 * week)])
        times = [NOW - 10 * week + 1, NOW, NOW - 10 * week + 2, NOW - week, NOW + 1]
        batch = [self.entry("text", time=time) for time in times]
        batch += [self.entry(5.5, "humidity")]
        dead = await self.deliver(sink, batch)
        self.assertEqual(set(dead), {batch[0].id, batch[2].id})
        got = self.database.points("sensors", "string")["temperature", "balcony", "value"]
        self.assertEqual(sorted(got), [NOW - week, NOW, NOW + 1])

    async def test_retention(self) -> None:
        """
        What is older than the database keeps is refused at once, and the rest is there.
        """
        self.database.query('CREATE DATABASE "short" WITH DURATION 2h')
        now = int(reactor().seconds() * 1e6)
        batch = [self.entry(1.5, time=time) for time in (now, 5, now - 1, NOW // 2, 7)]
        sink = self.sink(self.database, database="short")
        raised = await self.refused(Poison, sink, *batch)
        self.assertEqual(raised.ids, {batch[1].id, batch[3].id, batch[4].id})
        await self.deliver(sink, batch)
        got = self.database.points("short")["temperature", "balcony", "value"]
        self.assertEqual(sorted(got), [now - 1, now])

    async def test_reservedTag(self) -> None:
        """
        A tag that the server does not allow costs the readings of its device only.
        """
        series = Series("bad", "temperature", "", {"time": "x"}, "weather/1")
        batch = [self.entry(), Entry(1000, series, NOW, 1.5), self.entry()]
        sink = self.sink(self.database)
        raised = await self.refused(Poison, sink, *batch)
        self.assertEqual(raised.ids, {1000})
        self.assertEqual(set(await self.deliver(sink, batch)), {1000})

    async def test_longTag(self) -> None:
        """
        A name that is longer than the server takes costs its own readings only.
        """
        batch = [self.entry(), self.entry(device="x" * 70_000), self.entry()]
        dead = await self.deliver(self.sink(self.database), batch)
        self.assertEqual(list(dead), [batch[1].id])
        self.assertEqual(len(self.database.points("sensors")["temperature", "balcony", "value"]), 2)

    async def test_large(self) -> None:
        """
        Requests that are larger than the server takes are refused, so that halves are tried.
        """
        self.database.end()
        self.database.most = 1_500_000
        self.database.start()
        # Hexadecimal digits by chance take half the space at the least.
        batch = [self.entry(randbytes(450_000).hex()) for _number in range(4)]
        sink = self.sink(self.database)
        raised = await self.refused(Poison, sink, *batch)
        self.assertEqual(raised.ids, frozenset())
        self.assertEqual(await self.deliver(sink, batch), {})

    async def test_stopped(self) -> None:
        """
        While the database is down, readings are to come again, and they go through when it is up.
        """
        sink = self.sink(self.database)
        batch = [self.entry()]
        await sink.write([self.entry()])
        self.database.end()
        for _attempt in range(2):
            raised = await self.refused(Transient, sink, *batch)
            self.assertIn(self.database.url, str(raised))
        self.database.start()
        await sink.write(batch)
        self.assertEqual(len(self.database.points("sensors")["temperature", "balcony", "value"]), 2)

    async def test_unknownHost(self) -> None:
        """
        A host that is not known may be known another time.
        """
        sink = self.sink(self.database, url="http://nowhere.invalid:8086")
        raised = await self.refused(Transient, sink)
        self.assertIn("the host is not known", str(raised))

    async def test_missing(self) -> None:
        """
        A database that is missing has to be created by somebody, unless that is left to us.
        """
        name = 'a "b" ü+&'
        raised = await self.refused(Misconfigured, self.sink(self.database, database=name))
        self.assertIn("database not found", str(raised))
        await self.sink(self.database, database=name, create=True).write([self.entry()])
        self.assertEqual(len(self.database.points(name)), 1)
        wrong = self.sink(self.database, database="back\\slash", create=True)
        raised = await self.refused(Misconfigured, wrong)
        self.assertEqual(str(raised), "the database cannot be created: invalid name")

    async def test_rights(self) -> None:
        """
        Who is not known or has no rights is told so, and who has writes.
        """
        self.database.query("CREATE USER boss WITH PASSWORD 'b' WITH ALL PRIVILEGES")
        self.database.query("CREATE USER me WITH PASSWORD 'geheim'")
        self.database.end()
        self.database.secure = True
        self.database.start()
        nobody = self.sink(self.database)
        wrong = self.sink(self.database, user="me", password=Secret("wrong password"))
        me = self.sink(self.database, user="me", password=Secret("geheim"))
        for sink, status in ((nobody, 401), (wrong, 401), (me, 403)):
            raised = await self.refused(Misconfigured, sink)
            self.assertIn(f"answers {status}: ", str(raised))
            self.assertNotIn("wrong password", str(raised))
        self.database.query("GRANT WRITE ON sensors TO me", u="boss", p="b")
        await me.write([self.entry()])


class VictoriaTests(DatabaseTestCase):
    """
    VictoriaMetrics.
    """

    def setUp(self) -> None:
        """
        Start it.
        """
        self.database = Victoria(self.folder())
        self.begin(self.database)

    async def test_names(self) -> None:
        """
        Whatever names measurements and devices have, they are read back as they are; only what
        cannot be written is changed. A batch that comes twice is there once.
        """
        names = {**dict.fromkeys(NAMES), **CHANGED}
        batch = [self.entry(24.5, name, name) for name in names]
        sink = self.sink(self.database)
        for _attempt in range(2):
            await sink.write(batch)
        want = {}
        for name, entry in zip(names, batch, strict=True):
            there = names[name] or name
            want[f"{there}_value", there] = {entry.time // 1000: 24.5}
        self.assertEqual(self.database.points(), want)
        self.assertEqual(self.database.doubled, 0)

    async def test_fields(self) -> None:
        """
        So they are where devices are measurements; quotes get a backslash.
        """
        names = {**dict.fromkeys(NAMES), **CHANGED, 'say "hi"': 'say \\"hi\\"'}
        batch = [self.entry(1.5, name, "balcony", NOW) for name in names]
        await self.sink(self.database, layout="device").write(
            [entry for entry in batch if entry.series.name != "time"]
        )
        del names["time"]
        want = {(f"balcony_{names[name] or name}", ""): {NOW // 1000: 1.5} for name in names}
        self.assertEqual(self.database.points(), want)

    async def test_values(self) -> None:
        """
        Numbers are stored as they are, truth values as 1 and 0; texts, whatever is in them, do no
        harm to the readings around them.
        """
        values: list[Value] = [0.1, -7, True, False, 'a "b"\\', "two\nlines v=1 1", 2**53]
        batch = [self.entry(value, f"r{place}") for place, value in enumerate(values)]
        await self.sink(self.database, create=True).write(batch)
        got = [one for (name, _device), one in sorted(self.database.points().items())]
        self.assertEqual(
            [[*one.values()] for one in got], [[0.1], [-7], [1], [0], [0], [0], [2**53]]
        )

    async def test_many(self) -> None:
        """
        5,000 readings go in one request.
        """
        batch = [self.entry(float(number), device=f"d{number % 50}") for number in range(5_000)]
        await self.sink(self.database).write(batch)
        got = self.database.points()
        self.assertEqual(len(got), 50)
        self.assertEqual(sum(map(len, got.values())), 5_000)

    async def test_long(self) -> None:
        """
        A text that is longer than the server takes costs no reading but itself.
        """
        batch = [self.entry(1.5), self.entry("x" * 300_000, "text"), self.entry(2.5)]
        dead = await self.deliver(self.sink(self.database), batch)
        self.assertEqual(list(dead), [batch[1].id])
        self.assertIn("too long line", dead[batch[1].id])
        self.assertEqual(len(self.database.points()["temperature_value", "balcony"]), 2)

    async def test_stopped(self) -> None:
        """
        While it is down, readings are to come again, and they go through when it is up.
        """
        sink = self.sink(self.database)
        await sink.write([self.entry()])
        self.database.end()
        await self.refused(Transient, sink)
        self.database.start()
        await sink.write([self.entry()])

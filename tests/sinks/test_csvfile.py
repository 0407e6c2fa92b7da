"""
Tests for L{sensord.sinks.csvfile}.
"""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from errno import EACCES, EIO, ENOSPC
from pathlib import Path
from typing import Any

from hypothesis import given, strategies
from msgspec import json
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sensord.outlets import CsvSettings
from sensord.reading import Value
from sensord.sinks import Entry, Poison, Series, Transient
from sensord.sinks.csvfile import CsvSink
from sensord.sinks.disk import Disk
from tests.store.support import Runner, folder
from tests.support import PROPERTY

#: 2026-11-20 12:07:31.482915 UTC.
MOMENT = 1_795_176_451_482_915

DAY = 86_400_000_000


def localtime(seconds: int) -> time.struct_time:
    """
    The time at a place that is an hour ahead.
    """
    return time.gmtime(seconds + 3600)


def entry(
    id: int,
    value: Value = 21.5,
    *,
    time: int = MOMENT,
    address: str = "pages/1",
    device: str = "",
    name: str = "temperature",
    unit: str = "",
) -> Entry:
    """
    A reading of which a test says only what matters to it.
    """
    return Entry(id, Series(device or address, name, unit, {}, address), time, value)


def messages(*values: Sequence[Value], address: str = "pages/1", first: int = 1) -> list[Entry]:
    """
    Messages of one device, a second apart.
    """
    flat = [
        (MOMENT + place * 1_000_000, value) for place, row in enumerate(values) for value in row
    ]
    return [
        entry(first + place, value, time=time, address=address)
        for place, (time, value) in enumerate(flat)
    ]


class Killed(Exception):
    """
    The process was killed.
    """


class Quick(Disk):
    """
    A disk that nothing is waited for.
    """

    def put(self, path: Path, at: int, data: bytes) -> None:
        """
        See L{Disk.put}.
        """
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.seek(at)
            file.write(data)
            file.truncate()

    def replace(self, path: Path, data: bytes) -> None:
        """
        See L{Disk.replace}.
        """
        path.write_bytes(data)


class FragileDisk(Quick):
    """
    A disk on which things go wrong.

    @ivar steps: how many more steps are done before the process is killed; L{None} is all. A step
        is what another program could see the outcome of.
    @ivar errors: what the next writes fail with, after a part of the data was written.
    @ivar broken: a part of the names of files that cannot be written to.
    """

    def __init__(self, steps: int | None = None) -> None:
        self.steps = steps
        self.errors: list[int] = []
        self.broken = ""

    def step(self) -> None:
        """
        Go on, or be killed.
        """
        if self.steps is not None:
            self.steps -= 1
            if self.steps < 0:
                raise Killed

    def prepare(self, folder: Path) -> None:
        """
        See L{Disk.prepare}.
        """
        self.step()
        super().prepare(folder)

    def put(self, path: Path, at: int, data: bytes) -> None:
        """
        See L{Disk.put}. The data arrives in parts, and what stood behind is cut off at last.
        """
        self.step()
        if self.broken and self.broken in path.name:
            raise OSError(EIO, os.strerror(EIO), str(path))
        for part in sorted({1, len(data) // 2, len(data)}):
            if part <= len(data):
                with path.open("r+b" if path.exists() else "w+b") as file:
                    file.seek(at)
                    file.write(data[:part])
                self.step()
            if self.errors:
                raise OSError(code := self.errors.pop(0), os.strerror(code), str(path))
        super().put(path, at, data)
        self.step()

    def replace(self, path: Path, data: bytes) -> None:
        """
        See L{Disk.replace}.
        """
        self.step()
        path.with_name(path.name + ".new").write_bytes(data[: len(data) // 2])
        self.step()
        super().replace(path, data)
        self.step()


class CsvTestCase(SynchronousTestCase):
    """
    A folder, and a sink that writes to it.
    """

    layout = "iot"

    def setUp(self) -> None:
        """
        There is no such folder yet.
        """
        self.folder = folder(self) / "a" / "Data"
        self.disk: Disk = Disk()
        self.sink = self.open()

    def open(self, **given: Any) -> CsvSink:
        """
        A sink, as after a restart.
        """
        said = {"folder": str(self.folder), "layout": self.layout, **given}
        settings = CsvSettings("files", "csv", **said)
        sink = CsvSink(Clock(), settings, Runner(), localtime=localtime, disk=self.disk)
        sink.start()
        return sink

    def write(self, *entries: Entry) -> None:
        """
        Write readings, which must succeed.
        """
        self.assertIsNone(self.successResultOf(self.sink.write(entries)))

    def fail_(self, *entries: Entry) -> str:
        """
        Write readings, which must fail for a time.

        @return: why.
        """
        return str(self.failureResultOf(self.sink.write(entries), Transient).value)

    def files(self) -> dict[str, str]:
        """
        What is in the folder, but for the state.
        """
        if not self.folder.exists():
            return {}
        return {
            path.name: path.read_bytes().decode()
            for path in sorted(self.folder.iterdir())
            if not path.name.startswith(".")
        }

    def assertFile(self, name: str, *rows: str) -> None:
        """
        A file has these rows and nothing else.
        """
        self.assertEqual(self.files().get(name), "".join(f"{row}\n" for row in rows))


class MessageTests(CsvTestCase):
    """
    The layout C{iot}.
    """

    def test_row(self) -> None:
        """
        A message is a row, with the local time and six places, in the file of its device and day.
        """
        self.write(entry(1, 7, name="counter"), entry(2, 23.456789))
        self.assertFile("IoTD001_20261120.csv", "13:07:31.482915, 7.000000, 23.456789")
        self.assertEqual(list(self.files()), ["IoTD001_20261120.csv"])

    def test_ownDate(self) -> None:
        """
        A row goes into the file of its own local date, whichever is written before.
        """
        late = MOMENT - MOMENT % DAY + DAY - 3_600_000_000
        self.write(entry(1, 1, time=late), entry(2, 2, time=late - 1), entry(3, 3, time=late + 1))
        self.assertFile("IoTD001_20261120.csv", "23:59:59.999999, 2.000000")
        self.assertFile(
            "IoTD001_20261121.csv", "00:00:00.000000, 1.000000", "00:00:00.000001, 3.000000"
        )

    def test_added(self) -> None:
        """
        Rows are added to what is there, also after a restart.
        """
        self.write(*messages([1, 2], [3]))
        self.sink = self.open()
        self.write(entry(4, 4, time=MOMENT + 9))
        self.assertFile(
            "IoTD001_20261120.csv",
            "13:07:31.482915, 1.000000, 2.000000",
            "13:07:32.482915, 3.000000",
            "13:07:31.482924, 4.000000",
        )

    def test_devices(self) -> None:
        """
        Each device has files of its own, also if their ids come to the same number.
        """
        addresses = ("pages/1", "pages/12", "pages/1234", "weather/1", "poe/192.168.1.7", "m/a/b")
        for _restart in range(2):
            self.sink = self.open()
            for address in addresses:
                self.count = getattr(self, "count", 0) + 1
                self.write(entry(self.count, address=address, time=MOMENT + self.count))
        self.assertEqual(
            {name.partition("_2026")[0]: text.count("\n") for name, text in self.files().items()},
            {
                "IoTD001": 2,
                "IoTD001-weather": 2,
                "IoTD012": 2,
                "IoTD1234": 2,
                "IoTD192.168.1.7": 2,
                "IoTDa_b": 2,
            },
        )

    def test_sameNames(self) -> None:
        """
        Devices whose addresses come to the same name even so are told from each other.
        """
        addresses = ("m/a/b", "m/a_b", "m/a,b", "m/" + "x" * 300, "m/" + "x" * 301, "m/../../b")
        for id, address in enumerate(addresses, 1):
            self.write(entry(id, id, address=address))
        self.assertEqual(len(self.files()), len(addresses))
        self.assertEqual([path.name for path in self.folder.parent.iterdir()], ["Data"])

    def test_manyDevices(self) -> None:
        """
        However many devices there are, the state stays small, and their rows stay apart.
        """
        self.disk = Quick()
        self.sink = self.open()
        for part in range(3):
            self.write(
                *(
                    entry(part * 500 + id, id, address=f"pages/{part * 500 + id}")
                    for id in range(500)
                )
            )
        self.assertEqual(len(self.files()), 1500)
        self.assertLess((self.folder / ".sensord-files.json").stat().st_size, 100_000)

    def test_values(self) -> None:
        """
        Every number has six places, and truth values are numbers.
        """
        self.write(*messages([True, False, -0.5, 1e20, 2**53, 1e-9]))
        self.assertFile(
            "IoTD001_20261120.csv",
            "13:07:31.482915, 1.000000, 0.000000, -0.500000, 100000000000000000000.000000,"
            " 9007199254740992.000000, 0.000000",
        )

    def test_texts(self) -> None:
        """
        A text has no place in a row. It is refused before anything is written.
        """
        batch = [entry(1, 1), entry(2, "open"), entry(3, 3)]
        poison = self.failureResultOf(self.sink.write(batch), Poison).value
        self.assertEqual(poison.ids, {2})
        self.assertEqual(self.files(), {})
        self.write(batch[0], batch[2])
        self.assertFile("IoTD001_20261120.csv", "13:07:31.482915, 1.000000, 3.000000")

    def test_farTimes(self) -> None:
        """
        Readings of 1970 and 2100 have files of their dates; what no calendar knows is refused.
        """
        self.write(entry(1, time=-1), entry(2, time=4_102_444_800_000_000))
        self.assertEqual(list(self.files()), ["IoTD001_19700101.csv", "IoTD001_21000101.csv"])
        far = entry(3, time=2**63 * 1_000_000)
        self.assertEqual(self.failureResultOf(self.sink.write([far]), Poison).value.ids, {3})

    def test_cutMessage(self) -> None:
        """
        A message that is cut by the end of a batch is one row, whatever is between the batches.
        """
        for restart in (False, True):
            with self.subTest(restart=restart):
                self.setUp()
                batch = messages([1, 2, 3], [4, 5, 6])
                for one in batch:
                    self.write(one)
                    self.sink = self.open() if restart else self.sink
                self.assertFile(
                    "IoTD001_20261120.csv",
                    "13:07:31.482915, 1.000000, 2.000000, 3.000000",
                    "13:07:32.482915, 4.000000, 5.000000, 6.000000",
                )

    def test_cutMessageMoved(self) -> None:
        """
        If the file was moved away in between, the row is whole in the new one.
        """
        first, second = messages([1, 2])
        self.write(first)
        (self.folder / "IoTD001_20261120.csv").rename(self.folder / "old.csv")
        self.write(second)
        self.assertFile("IoTD001_20261120.csv", "13:07:31.482915, 1.000000, 2.000000")

    def test_cutMessageReplaced(self) -> None:
        """
        So it is if there is another file in its place.
        """
        first, second = messages([1, 2])
        self.write(first)
        (self.folder / "IoTD001_20261120.csv").write_text("a note\n")
        self.write(second)
        self.assertFile("IoTD001_20261120.csv", "a note", "13:07:31.482915, 1.000000, 2.000000")

    def test_endlessMessage(self) -> None:
        """
        A device that always says the same time does not make the state grow without end.
        """
        for part in range(20):
            self.write(*(entry(part * 200 + id, 1.5) for id in range(200)))
        (text,) = self.files().values()
        self.assertEqual(text.count("1.500000"), 4000)
        self.assertLess((self.folder / ".sensord-files.json").stat().st_size, 40_000)


class ReadingTests(CsvTestCase):
    """
    The layout C{tidy}.
    """

    layout = "tidy"

    def rows(self, name: str = "sensord_20261120.csv") -> list[list[str]]:
        """
        What other programs read.
        """
        with (self.folder / name).open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file, strict=True))

    def test_rows(self) -> None:
        """
        A reading is a row, with its time in UTC, below a header.
        """
        self.write(entry(1, 7, name="counter"), entry(2, 23.456789, unit="°C", device="desk"))
        self.assertFile(
            "sensord_20261120.csv",
            "time,device,name,value,unit",
            "2026-11-20T12:07:31.482915Z,pages/1,counter,7,",
            "2026-11-20T12:07:31.482915Z,desk,temperature,23.456789,°C",
        )

    def test_oneHeader(self) -> None:
        """
        Each file has one header, and a day of UTC.
        """
        late = MOMENT - MOMENT % DAY + DAY
        self.write(entry(1, time=late - 1), entry(2, time=late))
        self.sink = self.open()
        self.write(entry(3, time=late - 1), entry(4, time=late))
        for name in ("sensord_20261120.csv", "sensord_20261121.csv"):
            self.assertEqual([row[0][:4] for row in self.rows(name)], ["time", "2026", "2026"])

    def test_values(self) -> None:
        """
        Values are written so that nothing of them is lost.
        """
        values: Sequence[Value] = (True, False, 0.1, -1e300, 2**63 - 1, "", "open", "1,5")
        self.write(*(entry(id, value) for id, value in enumerate(values, 1)))
        self.assertEqual(
            [row[3] for row in self.rows()[1:]],
            ["true", "false", "0.1", "-1e+300", "9223372036854775807", "", "open", "1,5"],
        )

    def test_names(self) -> None:
        """
        Names with commas, quotes, line ends and emoji come out as they went in.
        """
        names = ["a b", "a,b", 'say "hi"', "two\nlines", "\r", "🌡", "x" * 300, " a ", "=1+1"]
        self.write(
            *(
                entry(id, name, name=name, device=name, unit=name)
                for id, name in enumerate(names, 1)
            )
        )
        self.assertEqual([row[1:] for row in self.rows()[1:]], [[name] * 4 for name in names])

    @PROPERTY
    @given(strategies.lists(strategies.text(), max_size=5))
    def test_anything(self, texts: list[str]) -> None:
        """
        Whatever a device says can be read back.
        """
        self.setUp()
        self.write(entry(0), *(entry(id, text, name=text) for id, text in enumerate(texts, 1)))
        self.assertEqual([row[2:4] for row in self.rows()[2:]], [[text] * 2 for text in texts])

    def test_unfinished(self) -> None:
        """
        If somebody else has left a line without an end, a row does not go into it.
        """
        self.write(entry(1))
        with (self.folder / "sensord_20261120.csv").open("a") as file:
            file.write("a note")
        self.write(entry(2))
        self.assertEqual([len(row) for row in self.rows()], [5, 5, 1, 5])


class OnceTests(CsvTestCase):
    """
    Each reading is written once, whatever happens.
    """

    def deliver(self, entries: Sequence[Entry], most: int, disk: FragileDisk) -> None:
        """
        Do as an outbox does, and start again whenever the process is killed.

        @param most: the readings of a batch; one more after each restart.
        """
        self.disk = disk
        cursor = 0
        sink: CsvSink | None = None
        while cursor < len(entries):
            batch = entries[cursor : cursor + most]
            try:
                sink = sink or self.begin()
                if sink is None:
                    raise Killed
                wrote = sink.write(batch)
                if not hasattr(wrote, "result") or wrote.result is not None:
                    self.failureResultOf(wrote, Killed)
                    raise Killed
                disk.step()  # the cursor has not moved yet
                cursor += len(batch)
            except Killed:
                disk.steps, sink, most = None, None, most % 7 + 1
                if self.begin() is not None:
                    self.assertWhole()

    def begin(self) -> CsvSink | None:
        """
        Start, unless that is the end as well.
        """
        sink = self.open()
        return None if self.flushLoggedErrors(Killed) else sink

    def assertWhole(self) -> None:
        """
        After a restart there are only whole rows.
        """
        for text in self.files().values():
            self.assertTrue(text == "" or text.endswith("\n"), text)
            for row in text.splitlines():
                self.assertRegex(row, r"^\d\d:\d\d:\d\d\.\d{6}(, \d+\.000000)+$")

    def kill(self, entries: Sequence[Entry], most: int) -> None:
        """
        Deliver readings once for each moment at which the process can be killed.
        """
        self.deliver(entries, most, FragileDisk())
        expected = self.files()
        for steps in range(10_000):
            self.setUp()
            disk = FragileDisk(steps)
            self.deliver(entries, most, disk)
            self.assertEqual(self.files(), expected, f"killed after {steps} steps")
            if disk.steps is not None:
                self.assertGreater(steps, 20)
                return

    def test_killed(self) -> None:
        """
        Killed at any moment, and started again, no row is missing and none is there twice.
        """
        self.kill(messages([1, 2], [3, 4], [5, 6], [7, 8]), 4)

    def test_killedInMessage(self) -> None:
        """
        Nor is it if batches end within messages.
        """
        self.kill(messages([1, 2, 3], [4, 5, 6], [7, 8]), 2)

    def test_killedInSeveral(self) -> None:
        """
        Nor if several files are written at a time.
        """
        one, two = messages([1, 2], [3, 4]), messages([5, 6], [7, 8], address="pages/2", first=5)
        old = [entry(9, 9, time=MOMENT - DAY), entry(10, 10, time=MOMENT - DAY)]
        self.kill([*one, *two, *old], 5)

    @PROPERTY
    @given(
        strategies.lists(
            strategies.lists(strategies.integers(0, 9), min_size=1, max_size=3),
            min_size=1,
            max_size=6,
        ),
        strategies.integers(1, 6),
        strategies.lists(strategies.integers(0, 40), max_size=4),
    )
    def test_killedOftenAnywhere(
        self, values: list[list[int]], most: int, kills: list[int]
    ) -> None:
        """
        Nor if it is killed again and again, also while it puts things in order.
        """
        entries = messages(*values)
        self.setUp()
        self.deliver(entries, most, FragileDisk())
        expected = self.files()
        self.setUp()
        self.deliver(entries, most, Assassin(kills))
        self.assertEqual(self.files(), expected)

    def test_cursorStays(self) -> None:
        """
        If the cursor cannot move after a batch was written, what comes again is left out.
        """
        batch = messages([1, 2], [3, 4], [5, 6])
        for some in (batch[:2], batch[:3], batch, batch[:2], batch[2:]):
            self.write(*some)
            self.sink = self.open()
        self.assertEqual(self.files()["IoTD001_20261120.csv"].count("\n"), 3)

    def test_olderBetween(self) -> None:
        """
        So it is if older ones were written in between.
        """
        old, new = messages([1], [2]), messages([3], [4], first=10)
        for some in (new, old, new):
            self.write(*some)
            self.sink = self.open()
        self.assertEqual(self.files()["IoTD001_20261120.csv"].count("\n"), 4)

    def test_newJournal(self) -> None:
        """
        A journal that is begun anew counts from 1 again, and loses nothing by that.
        """
        self.write(*messages([1], [2], [3]))
        self.write(*messages([4], first=90_000))
        self.write(*(entry(id, id, time=MOMENT + DAY + id) for id in range(1, 6)))
        self.assertEqual(self.files()["IoTD001_20261121.csv"].count("\n"), 5)

    def test_damagedState(self) -> None:
        """
        A state that cannot be read is begun anew, and that is said.
        """
        self.write(entry(1))
        for data in (b"{", b"[]", b"\xff", b'{"done": 1}'):
            (self.folder / ".sensord-files.json").write_bytes(data)
            with capturedLogs() as events:
                self.sink = self.open()
            self.assertEqual([event["log_level"].name for event in events], ["error"])
        self.write(entry(2, time=MOMENT + 1))
        self.assertEqual(len(json.decode((self.folder / ".sensord-files.json").read_bytes())), 5)


class LateTests(CsvTestCase):
    """
    Readings that come out of turn.
    """

    def late(self, *entries: Entry, again: bool) -> None:
        """
        Write them, which must succeed.
        """
        self.assertIsNone(self.successResultOf(self.sink.late(entries, again)))

    def rows(self) -> list[str]:
        """
        What has been written, without the times.
        """
        text = "".join(self.files().values())
        return [row.partition(", ")[2] for row in text.splitlines()]

    def test_again(self) -> None:
        """
        What somebody wants again is written again, as often as it is wanted.
        """
        batch = messages([1, 2], [3, 4])
        self.write(*batch)
        for _ in range(2):
            self.late(*batch, again=True)
        pair = ["1.000000, 2.000000", "3.000000, 4.000000"]
        self.assertEqual(self.rows(), pair * 3)

    def test_refusedBefore(self) -> None:
        """
        What was refused before is written once, whatever is written until it comes again.
        """
        first, second, *rest = messages([1], [2], [3], [4])
        self.write(first, rest[0])
        for _ in range(2):
            self.late(second, again=False)
            self.sink = self.open()
            self.write(rest[1])
            self.late(first, again=True)
        self.assertEqual([row[0] for row in self.rows()], ["1", "3", "2", "4", "1", "1"])

    def test_othersFirst(self) -> None:
        """
        That is so, too, if others that were refused come before it comes again.
        """
        first, second = messages([1], [2], [3], [4])[:2], messages([5], [6], first=60)
        self.late(*second, again=False)
        self.late(*first, again=False)
        self.sink = self.open()
        self.late(*second, again=False)
        self.assertEqual([row[0] for row in self.rows()], [*"56", *"12"])

    def test_message(self) -> None:
        """
        It is no part of a message that goes on in the next batch, and begins none.
        """
        one, two, three, four, five = messages([1, 2, 3], [4, 5])
        self.write(one)
        self.late(two, again=True)
        self.write(two, three, four)
        self.late(five, again=False)
        self.write(five)
        rows = [row.replace(".000000", "") for row in self.rows()]
        self.assertEqual(rows, ["1", "2", "1, 2, 3", "4", "5", "4, 5"])

    def test_comesAgain(self) -> None:
        """
        What may come again though it is written is not forgotten over it.
        """
        batch = messages([1], [2], [3])
        self.write(*batch)
        self.late(*messages([8], [9], first=50), again=True)
        self.late(*messages([6], [7], first=60), again=False)
        self.write(*batch)
        self.assertEqual([row[0] for row in self.rows()], [*"123", *"89", *"67"])

    def test_unfit(self) -> None:
        """
        What no row can have is refused this time, too, and a full disk is waited for.
        """
        for again in (False, True):
            failed = self.sink.late([entry(1), entry(2, "text")], again)
            self.assertEqual(self.failureResultOf(failed, Poison).value.ids, {2})
            self.disk = disk = FragileDisk()
            self.sink = self.open()
            disk.errors = [ENOSPC]
            self.failureResultOf(self.sink.late([entry(1)], again), Transient)
            self.assertEqual(self.rows(), [])
            self.late(entry(1), again=again)
            self.setUp()


class Assassin(FragileDisk):
    """
    Kills again and again.
    """

    def __init__(self, kills: list[int]) -> None:
        super().__init__()
        self.kills = kills
        self.lives = kills.pop(0) if kills else None

    def step(self) -> None:
        """
        Go on, or be killed.
        """
        if self.lives is not None:
            self.lives -= 1
            if self.lives < 0:
                self.lives = self.kills.pop(0) if self.kills else None
                raise Killed


class TroubleTests(CsvTestCase):
    """
    What goes by.
    """

    def setUp(self) -> None:
        """
        A disk on which things go wrong.
        """
        super().setUp()
        self.disk = self.fragile = FragileDisk()
        self.sink = self.open()

    def assertMended(self, *entries: Entry) -> None:
        """
        Nothing was written yet, and it succeeds now, once.
        """
        self.assertEqual("".join(self.files().values()), "")
        self.write(*entries)
        self.assertFile("IoTD001_20261120.csv", "13:07:31.482915, 21.500000")

    def test_full(self) -> None:
        """
        If the disk is full, what was written of a batch is taken back, and it is tried again.
        """
        self.fragile.errors = [ENOSPC]
        why = self.fail_(entry(1))
        path = self.folder / "IoTD001_20261120.csv"
        self.assertEqual(why, f"{path}: No space left on device")
        self.assertMended(entry(1))

    def test_fullSecondFile(self) -> None:
        """
        So it is if the second of two files does not fit.
        """
        batch = [entry(1), entry(2, address="pages/2")]
        self.fragile.broken = "IoTD002"
        self.fail_(*batch)
        self.fragile.broken = ""
        self.assertEqual("".join(self.files().values()), "")
        self.write(*batch)
        self.assertEqual([text.count("\n") for text in self.files().values()], [1, 1])

    def test_stillFull(self) -> None:
        """
        If it cannot be taken back at once, it is before the next batch is written.
        """
        self.write(entry(1))
        self.fragile.errors = [EIO, EIO, EIO]
        self.fail_(entry(2, time=MOMENT + 1))
        self.fail_(entry(2, time=MOMENT + 1))
        self.write(entry(2, time=MOMENT + 1))
        self.assertFile(
            "IoTD001_20261120.csv", "13:07:31.482915, 21.500000", "13:07:31.482916, 21.500000"
        )

    def test_folder(self) -> None:
        """
        A folder that is missing is made, also under way; if it cannot be made, it is tried again.
        """
        self.folder.parent.write_text("in the way")
        self.sink = self.open()
        self.assertIn("/a/Data/.sensord-files.json: Not a directory", self.fail_(entry(1)))
        self.folder.parent.unlink()
        self.assertMended(entry(1))

    def test_folderInTheWay(self) -> None:
        """
        So it is if something else bears its name.
        """
        self.folder.parent.mkdir()
        self.folder.write_text("in the way")
        self.fail_(entry(1))
        self.folder.unlink()
        self.assertMended(entry(1))

    def test_noFile(self) -> None:
        """
        So it is if something that is no file bears the name of one.
        """
        (self.folder / "IoTD001_20261120.csv").mkdir(parents=True)
        self.assertIn("is no regular file", self.fail_(entry(1)))
        (self.folder / "IoTD001_20261120.csv").rmdir()
        self.assertMended(entry(1))

    def test_forbidden(self) -> None:
        """
        So it is if a file may not be written to.
        """
        self.fragile.errors = [EACCES]
        self.assertIn("Permission denied", self.fail_(entry(1)))
        self.assertMended(entry(1))

    def test_held(self) -> None:
        """
        So it is while another program has a hold on a file.
        """
        self.write(entry(1))
        path = self.folder / "IoTD001_20261120.csv"
        program = (
            "import fcntl, sys; file = open(sys.argv[1], 'r+')\n"
            "fcntl.lockf(file, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as other:
            assert other.stdin is not None and other.stdout is not None
            other.stdout.readline()
            self.disk = Disk()
            self.sink = self.open()
            why = self.fail_(entry(2, time=MOMENT + 1))
            self.assertEqual(why, f"{path}: another program has a hold on it")
            other.stdin.close()
        self.write(entry(2, time=MOMENT + 1))
        self.assertEqual(path.read_text().count("\n"), 2)

    def test_openFiles(self) -> None:
        """
        However many files a batch is for, few are open at a time, and none between batches.
        """
        import resource

        before = os.listdir("/proc/self/fd")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(before) + 8, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.write(*(entry(id, time=MOMENT + id * DAY) for id in range(1, 51)))
        self.assertEqual(len(self.files()), 50)
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before))

    def test_stop(self) -> None:
        """
        There is nothing to wait for when it stops.
        """
        self.assertIsNone(self.successResultOf(self.sink.stop()))


class SettingsTests(SynchronousTestCase):
    """
    L{CsvSettings}.
    """

    def test_layout(self) -> None:
        """
        There are two layouts.
        """
        for layout in ("iot", "tidy"):
            faults = CsvSettings("files", "csv", layout=layout).faults()
            self.assertEqual([fault for fault in faults if "layout" in fault], [])
        (fault,) = (
            fault
            for fault in CsvSettings("files", "csv", layout="wide").faults()
            if "layout" in fault
        )
        self.assertEqual(fault, 'layout: "wide" is not one of iot, tidy')

"""
Readings to dated CSV files in a folder, in one of two layouts.

C{iot}: a file per device and local date, a row per message, which is what one device measured at
one moment: the local time, and every value with six places; lines end in LF::

    IoTD001_20261120.csv:
    13:07:31.482915, 7.000000, 23.456789

The number is the id of the device, the second part of its address. A second device whose id comes
to the same has the name of its listener behind it.

C{tidy}: a file per UTC date of the readings, a row per reading, quoted as in RFC 4180, in UTF-8;
lines end in LF::

    sensord_20261120.csv:
    time,device,name,value,unit
    2026-11-20T12:07:31.482915Z,pages/1,temperature,23.456789,°C

Each reading is written exactly once, whatever happens, and once more for each time that somebody
asks for it again. Beside the files lies the state, C{.sensord-<sink>.json}, which is only ever
replaced as a whole. A batch is written in three steps, each of which is on the disk before the next
begins:

 1. the state says which files are about to grow, and how long they are;
 2. the files grow, each by one write;
 3. the state says that no file is growing, and which readings the batch had.

Killed before 1, we have written nothing, and the batch comes again. Killed between 1 and 3, we
find in the state to what lengths the files have to be cut, which is done at the start, and before
anything else is written; the batch comes again. Killed after 3, but before the outbox has moved its
cursor, we get the batch again too, alone, with more behind it or in parts, and find in the state
what to leave out. Readings are known by their place in the journal together with their time, since
a journal that is begun anew counts from 1 again.

A message can be cut in two by the end of a batch. Its row is written nevertheless, the state says
that it was the last one, and if the next batch begins with more of the message, this goes to the
end of that row. To undo it, the end of the line is put back to where it was. If something else
stands behind that row by then, such as readings that were asked for again, the message gets another
row, with all of it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import MsgspecError, Struct, json, structs
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from sensord.outlets import CsvSettings
from sensord.sinks import Entry, Poison, SinkError, Transient
from sensord.sinks.disk import Disk
from sensord.sinks.rows import clock, day, field, owned
from sensord.store.service import Run

#: How much of the last row the state keeps. A device that always says the same time would make one
#: row of all that it sends, and the state grow with it.
_MAX_ROW = 16_384

#: How many readings that came out of turn are remembered. Those that could not be noted as dealt
#: with come again, perhaps behind others that are asked for meanwhile; without a limit, the state
#: would grow by each.
_MAX_LATE = 2_000

_HEADER = "time,device,name,value,unit\n"

_MESSAGE_LAYOUT, _READING_LAYOUT = "iot", "tidy"


class _Tail(Struct):
    """
    The row that was written last.

    @ivar size: how long its file was behind it.
    """

    file: str
    address: str
    time: int
    row: str
    size: int


class _State(Struct):
    """
    What is remembered.

    @ivar done: the readings that may come again though they are written: their places in the
        journal, and their times.
    @ivar growing: the files that are being written: their lengths before, and whether the end of
        their last line is being written over.
    @ivar tail: what may have to be continued.
    @ivar owners: the addresses of devices by the names of their files.
    @ivar late: the same as C{done}, for readings that come out of turn.
    """

    done: dict[int, int] = {}
    growing: dict[str, tuple[int, bool]] = {}
    tail: _Tail | None = None
    owners: dict[str, str] = {}
    late: dict[int, int] = {}


_decode = json.Decoder(_State).decode


class _Row(Struct):
    """
    A row, without the end of its line.

    @ivar before: the row that it continues.
    """

    file: str
    text: str
    address: str = ""
    time: int = 0
    before: _Tail | None = None


class CsvSink:
    """
    A folder with CSV files.

    @param run: runs blocking calls, one at a time.
    @param localtime: the local time of some seconds since the epoch.
    @param disk: what is done with files; for tests.
    """

    most = 1_000  # the state has all of them, and is written twice
    once = ""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: CsvSettings,
        run: Run,
        *,
        localtime: Callable[[int], time.struct_time] = time.localtime,
        disk: Disk | None = None,
    ) -> None:
        self._name = settings.name
        self._run = run
        self._localtime = localtime
        self._disk = disk or Disk()
        self._folder = Path(settings.folder)
        self._path = self._folder / f".sensord-{settings.name}.json"
        self._iot = settings.layout == _MESSAGE_LAYOUT
        self._header = "" if self._iot else _HEADER
        self._state: _State | None = None

    def start(self) -> None:
        """
        Cut off what was being written when the gateway was killed.
        """
        mended = self._run(self._load)
        mended.addErrback(lambda failure: failure.trap(SinkError))  # it is tried again
        mended.addErrback(lambda failure: self._log.failure("{name}", failure, name=self._name))

    def stop(self) -> Deferred[None]:
        """
        No file is open between two batches.
        """
        return succeed(None)

    def write(self, batch: Sequence[Entry]) -> Deferred[None]:
        """
        Write readings.
        """
        return self._run(partial(self._write, batch))

    def late(self, batch: Sequence[Entry], again: bool) -> Deferred[None]:
        """
        Write readings out of turn: those that were refused before once, too; history that somebody
        wants again as often as that.
        """
        return self._run(partial(self._late, batch, again))

    def _write(self, batch: Sequence[Entry]) -> None:
        state = self._load()
        fresh = [entry for entry in batch if state.done.get(entry.id) != entry.time]
        if not fresh:
            return
        self._refuse(fresh)
        # Readings further on may still come again, if these are older ones that were asked for.
        done = {id: when for id, when in state.done.items() if id > batch[-1].id}
        if len(done) > self.most:
            done.clear()  # they are of a journal that is no more
        done.update((entry.id, entry.time) for entry in batch)
        self._put(fresh, state, structs.replace(state, done=done), True)

    def _late(self, batch: Sequence[Entry], again: bool) -> None:
        state = self._load()
        after, fresh = state, batch
        if not again:
            fresh = [entry for entry in batch if state.late.get(entry.id) != entry.time]
            late = {**state.late, **{entry.id: entry.time for entry in batch}}
            after = structs.replace(state, late=dict(list(late.items())[-_MAX_LATE:]))
        if fresh:
            self._refuse(fresh)
            self._put(fresh, state, after, False)

    def _put(self, entries: Sequence[Entry], state: _State, after: _State, tailed: bool) -> None:
        """
        Write readings, and remember that.

        @param after: what is remembered from then on, but for the last row.
        @param tailed: whether they may continue the last row, and others theirs.
        """
        self._state = None  # what is on the disk counts, until all has been written
        try:
            self._disk.prepare(self._folder)
            tail = state.tail if tailed else None
            rows = self._messages(state, entries, tail) if self._iot else self._readings(entries)
            self._state = self._grow(state, after, rows, tailed)
        except OSError as error:
            with suppress(Transient):
                self._load()  # which undoes it; if not now, then before anything else is written
            raise _failed(error, self._folder) from error

    def _grow(self, state: _State, after: _State, rows: Iterable[_Row], tailed: bool) -> _State:
        """
        Write rows, and remember that; see L{_put}.
        """
        writes: dict[str, tuple[int, bytearray]] = {}
        growing = {}
        row = None
        for row in rows:
            text = row.text
            if row.file not in writes:
                size, end = self._disk.end(self._folder / row.file)
                more = row.before is not None and size == row.before.size > 0
                growing[row.file] = size, more
                writes[row.file] = size - more, bytearray()
                if more and row.before is not None:
                    text = text.removeprefix(row.before.row)
                elif not size:
                    text = self._header + text
                elif end != b"\n":
                    text = "\n" + text  # somebody else has written to it
            writes[row.file][1].extend(f"{text}\n".encode(errors="backslashreplace"))
        self._save(structs.replace(state, growing=growing))
        for file, (at, data) in writes.items():
            self._disk.put(self._folder / file, at, bytes(data))
        tail = None
        if self._iot and row is not None and len(row.text) <= _MAX_ROW:
            at, data = writes[row.file]
            tail = _Tail(row.file, row.address, row.time, row.text, at + len(data))
        return self._save(structs.replace(after, tail=tail if tailed else state.tail))

    def _load(self) -> _State:
        """
        What is remembered, with all files in order.

        @raise Transient: if they cannot be put in order.
        """
        if self._state is None:
            try:
                state = self._read()
                if state.growing:
                    self._undo(state.growing)
                    state = self._save(structs.replace(state, growing={}))
            except OSError as error:
                raise _failed(error, self._folder) from error
            self._state = state
        return self._state

    def _read(self) -> _State:
        data = self._disk.read(self._path)
        if not data:
            return _State()
        try:
            return _decode(data)
        except (MsgspecError, UnicodeDecodeError):
            self._log.error(
                "{name}: {path} is damaged, and begun anew; rows may be written twice",
                name=self._name,
                path=str(self._path),
            )
            return _State()

    def _save(self, state: _State) -> _State:
        self._disk.replace(self._path, json.encode(state))
        return state

    def _undo(self, growing: dict[str, tuple[int, bool]]) -> None:
        """
        Cut files to their former lengths.
        """
        for file, (size, more) in growing.items():
            path = self._folder / file
            now, _end = self._disk.end(path)
            if more and now >= size - 1:
                self._disk.put(path, size - 1, b"\n")
            elif now > size:
                self._disk.put(path, size, b"")

    def _refuse(self, entries: Sequence[Entry]) -> None:
        """
        @raise Poison: if there are readings that no row can have.
        """
        texts = [entry.id for entry in entries if self._iot and isinstance(entry.value, str)]
        if texts:
            raise Poison("a row has only numbers in it, no texts", texts)
        late = [entry.id for entry in entries if not self._dated(entry.time)]
        if late:
            raise Poison("the calendar does not reach as far as its time", late)

    def _dated(self, when: int) -> bool:
        try:
            self._clock(when)
        except (OverflowError, OSError, ValueError):
            return False
        return True

    def _clock(self, when: int) -> tuple[time.struct_time, int]:
        """
        The date and time of some microseconds since the epoch, and the microseconds of them.
        """
        seconds, rest = divmod(when, 1_000_000)
        return (self._localtime if self._iot else time.gmtime)(seconds), rest

    def _messages(
        self, state: _State, entries: Sequence[Entry], tail: _Tail | None
    ) -> Iterator[_Row]:
        """
        Rows of the layout C{iot}, of which the first may continue one that was written before.
        """
        row = None
        if tail is not None:
            row = _Row(tail.file, tail.row, tail.address, tail.time, tail)
        for entry in entries:
            address = entry.series.address or entry.series.device
            if row is None or (row.address, row.time) != (address, entry.time):
                if row is not None and (row.before is None or row.text != row.before.row):
                    yield row
                date, rest = self._clock(entry.time)
                file = f"IoTD{owned(state.owners, address)}_{day(date)}.csv"
                row = _Row(file, f"{clock(date)}.{rest:06d}", address, entry.time)
            row.text += f", {entry.value:f}"
        if row is not None:
            yield row

    def _readings(self, entries: Sequence[Entry]) -> Iterator[_Row]:
        """
        Rows of the layout C{tidy}.
        """
        for entry in entries:
            date, rest = self._clock(entry.time)
            year, month, number, *_rest = date
            fields = (
                f"{year:04d}-{month:02d}-{number:02d}T{clock(date)}.{rest:06d}Z",
                field(entry.series.device),
                field(entry.series.name),
                field(entry.value),
                field(entry.series.unit),
            )
            yield _Row(f"sensord_{day(date)}.csv", ",".join(fields))


def _failed(error: OSError, folder: Path) -> Transient:
    return Transient(f"{error.filename or folder}: {error.strerror or error}")

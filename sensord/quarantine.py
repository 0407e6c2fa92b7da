"""
Frames that no description fitted when they came, decoded again with the descriptions of now.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from msgspec import Struct

from sensord.config import Settings
from sensord.devices import Devices
from sensord.listeners import ListenerSettings
from sensord.reading import Arrivals, Intake
from sensord.store.archive import Archive, Held
from sensord.store.database import Database, Part
from sensord.store.schema import StoreError
from sensord.wire import Skipped, esp8266, rfm2pi, topics
from sensord.wire.topics import Pattern
from sensord.wires import WIRES, SubscriberSettings

#: How many frames share a transaction: the daemon must not wait long for its own.
_BATCH = 100


class Redecoded(Struct, frozen=True):
    """
    What came of it.

    @ivar resolved: frames that are not in quarantine any more.
    @ivar readings: what they were decoded to.
    @ivar left: why each of the other frames is still there, by its id.
    """

    resolved: int
    readings: int
    left: Mapping[int, str]


def redecode(
    settings: Settings,
    database: Database,
    archive: Archive,
    ids: Collection[int] | None = None,
    progress: Callable[[int], object] = lambda count: None,
) -> Redecoded:
    """
    Decode quarantined frames again, and put readings in the place of those that can be. The daemon
    may go on meanwhile.

    @param settings: with the descriptions.
    @param ids: the frames that are meant; L{None} is all.
    @param progress: told how many frames are done with, each time it is some more.
    @raise StoreError: if the database cannot be used, or if a frame was removed from it meanwhile;
        what was done before stays done.
    """
    frames: dict[str, list[Held]] = {}
    for held in archive.quarantine():
        frames.setdefault(held.listener, []).append(held)
    listeners = {listener.name: listener for listener in settings.listeners}
    resolved = readings = 0
    left: dict[int, str] = {}
    for name, queue in frames.items():
        decoded = decode(settings, listeners.get(name), queue)
        wanted = (pair for pair in decoded if ids is None or pair[0].id in ids)
        while batch := list(islice(wanted, _BATCH)):
            good = [(held.id, intake) for held, intake in batch if isinstance(intake, Intake)]
            left |= {held.id: why for held, why in batch if isinstance(why, str)}
            if good:
                _resolve(database, name, *zip(*good, strict=True))
            resolved += len(good)
            readings += sum(len(intake.readings) for _id, intake in good)
            progress(len(batch))
    return Redecoded(resolved, readings, left)


class Addresses:
    """
    Whose the frames in quarantine are.

    @param settings: with the listeners that they came by.
    """

    def __init__(self, settings: Settings) -> None:
        self._listeners = {listener.name: listener for listener in settings.listeners}
        self._patterns: dict[str, Pattern] = {}

    def of(self, listener: str, wire: str, data: bytes) -> str:
        """
        The address with which a description would be of the device that has sent a frame; empty if
        that cannot be told.

        @param wire: the wire format that it is a frame of.
        """
        settings = self._listeners.get(listener)
        if settings is None or settings.wire != wire:
            return ""
        parser = WIRES[wire].parser(settings)
        match [*parser.feed(data), *parser.close()]:
            case [esp8266.Packet(device=id)]:
                return f"{listener}/{id}"
            case [rfm2pi.Frame(node=id)]:
                return f"{listener}/{id}"
            case [topics.Message(topic=topic)] if isinstance(settings, SubscriberSettings):
                if listener not in self._patterns:
                    self._patterns[listener] = Pattern(settings.topic)
                place = self._patterns[listener].match(topic)
                return f"{listener}/{place.id}" if place is not None else ""
        return ""


def decode(
    settings: Settings, listener: ListenerSettings | None, queue: Sequence[Held]
) -> Iterator[tuple[Held, Intake | str]]:
    """
    Decode all frames of a listener, or of a device, in their order. It has to be all, even where
    some are meant: the time between two tells how fast the clock of their device runs.

    @return: each with what it came to, or why it came to nothing.
    """
    if listener is None:
        yield from ((held, f'there is no listener "{held.listener}"') for held in queue)
        return
    arrivals = _Past()
    source = Devices(settings).source(listener, arrivals)
    for held in queue:
        if held.wire != listener.wire:
            yield held, f"came by {held.wire}, and {listener.name} speaks {listener.wire} now"
            continue
        arrivals.now = held.time
        parser = WIRES[listener.wire].parser(listener)
        events: list[Any] = [*parser.feed(held.data), *parser.close()]
        skipped = [event.why for event in events if isinstance(event, Skipped)]
        if skipped or not events:
            # It was whole when it came. To reject it now would be to throw it away.
            yield held, f"is no frame of {listener.wire}: {'; '.join(skipped) or 'empty'}"
            continue
        intake = source.decode(held.peer, events)
        if intake.quarantined:
            yield held, "; ".join(frame.why for frame in intake.quarantined)
        else:
            yield held, intake


class _Past(Arrivals):
    """
    Stamps what arrived long ago.

    @ivar now: the next stamp, in microseconds since the epoch.
    """

    def __init__(self) -> None:
        self.now = 0

    def take(self, count: int = 1) -> int:
        """
        See L{Arrivals.take}.
        """
        first = self.now
        self.now += count
        return first


def _resolve(
    database: Database, listener: str, ids: Sequence[int], intakes: Sequence[Intake]
) -> None:
    try:
        database.resolve(ids, Part(listener, intakes))
    except sqlite3.Error as error:
        raise StoreError(f"{database.path}: {error}") from error

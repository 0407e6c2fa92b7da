"""
What is said of readings to a broker, and where: topics and payloads.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256

from msgspec import json

from sensord.brokers import Publication
from sensord.reading import Value
from sensord.sinks import Entry

#: How long one level of a topic may be. Nobody can subscribe to endless ones, which a device could
#: make up.
_LONGEST = 400

#: What says whether we are there, below the prefix.
STATUS = "status"

#: What no level of a topic may have: separators, wildcards, control characters, what is no
#: character, and the sign with which these are written.
_UNSAFE = re.compile("[/+#%\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")

#: What a value may not have that stands between commas.
_SEPARATORS = re.compile("[,%\x00-\x1f]")


class Said(Publication, frozen=True, gc=False, kw_only=True):
    """
    What is said of readings.

    @ivar ids: theirs, in the journal.
    """

    ids: tuple[int, ...]


def level(name: str) -> str:
    """
    A name as one level of a topic. What cannot stand there is written C{%2F} for C{/} and so on, so
    that no two names become the same.
    """
    safe = _UNSAFE.sub(_written, name) or "%"
    if len(safe) > _LONGEST:
        return f"{safe[:_LONGEST]}%{sha256(safe.encode()).hexdigest()[:16]}"
    return f"%{ord(safe[0]):02X}{safe[1:]}" if safe == STATUS else safe


def bare(value: Value) -> str:
    """
    A value as text.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def values(prefix: str, entries: Sequence[Entry], retain: bool) -> Iterator[Said]:
    """
    Each value by itself.
    """
    for entry in entries:
        topic = valueTopic(prefix, entry.series.device, entry.series.name)
        yield Said(topic, _bytes(bare(entry.value)), retain, ids=(entry.id,))


def objects(prefix: str, entries: Sequence[Entry], retain: bool) -> Iterator[Said]:
    """
    One JSON object for each moment of a device.
    """
    for group in _moments(entries):
        content: dict[str, Value] = {"time": group[0].time / 1e6}
        for entry in group:
            content[member(entry.series.name)] = entry.value
        topic = deviceTopic(prefix, group[0].series.device)
        yield _said(topic, json.encode(content), retain, group)


def frames(prefix: str, entries: Sequence[Entry], retain: bool) -> Iterator[Said]:
    """
    The values of each frame between commas, as emonHub says them; and how well it was received.
    """
    for group in _moments(entries):
        address = group[0].series.address
        node = level(address.partition("/")[2] or address)
        signal = [entry for entry in group if entry.series.name == "rssi"]
        frame = [entry for entry in group if entry.series.name != "rssi"]
        if frame:
            text = ",".join(_between(entry.value) for entry in frame)
            yield _said(f"emonhub/rx/{node}/values", _bytes(text), retain, frame)
        if signal:
            text = _between(signal[0].value)
            yield _said(f"emonhub/rx/{node}/rssi", _bytes(text), retain, signal)


def valueTopic(prefix: str, device: str, name: str) -> str:
    """
    Where a value is said by itself.
    """
    return f"{prefix}/{level(device)}/{level(name)}"


def deviceTopic(prefix: str, device: str) -> str:
    """
    Where all that a device has measured at one moment is said.
    """
    return f"{prefix}/{level(device)}"


def member(name: str) -> str:
    """
    What a value is called in an object, in which C{time} is something else.
    """
    return f"{name}_" if re.fullmatch("time_*", name) else name


def moment(entry: Entry) -> tuple[str, str, int]:
    """
    What all that a device has measured at one moment has in common.
    """
    return entry.series.address, entry.series.device, entry.time


def _moments(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """
    Entries by their moments.
    """
    found: dict[tuple[str, str, int], list[Entry]] = {}
    for entry in entries:
        found.setdefault(moment(entry), []).append(entry)
    return iter(found.values())


def _said(topic: str, payload: bytes, retain: bool, entries: Sequence[Entry]) -> Said:
    return Said(topic, payload, retain, ids=tuple(entry.id for entry in entries))


def _between(value: Value) -> str:
    """
    A value as text that can stand between commas.
    """
    if isinstance(value, bool):
        return str(int(value))
    return _SEPARATORS.sub(_written, bare(value))


def _written(match: re.Match[str]) -> str:
    return f"%{ord(match[0]):02X}"


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")


#: What can be said of readings.
FORMATS: Mapping[str, Callable[[str, Sequence[Entry], bool], Iterator[Said]]] = {
    "value": values,
    "json": objects,
    "emonhub": frames,
}

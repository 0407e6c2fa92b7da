"""
topics: where MQTT devices say something, and where they are told something.

A pattern is a topic some of whose levels stand in braces. Those levels are what tells devices
apart, in their order and with C{/} between them; the one that is called C{name} is not part of
that: it tells what was measured::

    pattern                   topic                      device     name
    /{hub}/{device}/data      /h7/3c71bf/data            h7/3c71bf
    tele/{device}/SENSOR      tele/boiler/SENSOR         boiler
    emon/{device}/{name}      emon/emontx/power1         emontx     power1

Outside of MQTT (in the quarantine, and on the way to a link) a message is its topic, a NUL, which
no topic can have in it, and its payload. Example, the payload C{21.5} at C{a/b}::

    61 2f 62  00  32 31 2e 35
"""

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from sensord.wire import SAMPLE, Skipped

#: What a level in braces is called that tells what was measured.
NAME = "name"

#: What may be filled in where devices are told something, beside the levels of the pattern.
VARIABLE = "variable"

#: The longest topic in bytes that MQTT can carry.
MAX_TOPIC = 65535

#: The longest id of a device, and the longest name of what was measured, in characters. Both are
#: kept for ever: without a limit, the topics of some thousand messages would fill the memory.
MAX_ID, MAX_NAME = 200, 200

_LEVEL = re.compile(r"\{([a-z_]+)\}")

#: What no level of an address may have: what no topic has, and what no log should.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff+#]").search


class Message(Struct, frozen=True, gc=False):
    """
    What a device said, or is told.

    @ivar size: how many bytes it has, if it was too large and its payload was not kept; else 0.
    @ivar retained: whether it was said before somebody listened.
    """

    topic: str
    payload: bytes
    size: int = 0
    retained: bool = False


class Place(Struct, frozen=True, gc=False):
    """
    What a topic says.

    @ivar id: which device: its levels, with C{/} between them.
    @ivar name: what was measured; empty if the payload tells.
    """

    id: str
    name: str


class Pattern:
    """
    Where devices say something.

    @ivar filter: what is subscribed to.
    @ivar fields: the names of the levels that tell devices apart.
    @ivar stem: the levels before the first one in braces, with C{/} behind them if there are any.
    @raise ValueError: if a text is none.
    """

    def __init__(self, text: str) -> None:
        levels = text.split("/")
        names = [match[1] if (match := _LEVEL.fullmatch(level)) else "" for level in levels]
        for level, name in zip(levels, names, strict=True):
            if not name and re.search("[{}]", level):
                raise ValueError(f'"{level}" is no level; one in braces is all of its level')
        found = [name for name in names if name]
        if _UNFIT(text) or text.startswith("$"):
            raise ValueError(f'"{text}" is nothing that devices could say anything at')
        if len(set(found)) < len(found):
            raise ValueError("two of the levels in braces are called the same")
        if not set(found) - {NAME}:
            raise ValueError('no level in braces tells devices apart; write e.g. "tele/{device}"')
        if VARIABLE in found:
            raise ValueError("{variable} is for what devices are told")
        self.fields = tuple(name for name in found if name != NAME)
        self.filter = "/".join(
            "+" if name else level for level, name in zip(levels, names, strict=True)
        )
        first = next(place for place, name in enumerate(names) if name)
        self.stem = "".join(f"{level}/" for level in levels[:first])
        self._levels = levels
        self._names = names
        self._ids = [place for place, name in enumerate(names) if name and name != NAME]
        self._name = names.index(NAME) if NAME in names else None
        self._fixed = [(place, level) for place, level in enumerate(levels) if not names[place]]

    def match(self, topic: str) -> Place | None:
        """
        What a topic says; L{None} if it is not one of these.
        """
        levels = topic.split("/")
        if len(levels) != len(self._levels) or _UNFIT(topic):
            return None
        if any(levels[place] != level for place, level in self._fixed):
            return None
        parts = [levels[place] for place in self._ids]
        name = "" if self._name is None else levels[self._name]
        if not all(parts) or (self._name is not None and not name):
            return None
        id = "/".join(parts)
        return Place(id, name) if len(id) <= MAX_ID and len(name) <= MAX_NAME else None

    def parts(self, id: str) -> Mapping[str, str] | None:
        """
        The levels of a device by their names; L{None} if no device can be called so.
        """
        parts = id.split("/")
        if len(parts) != len(self.fields) or not all(parts) or len(id) > MAX_ID or _UNFIT(id):
            return None
        return dict(zip(self.fields, parts, strict=True))


def answering(text: str) -> str:
    """
    Where devices are told something that say something at a pattern: beside it, at C{cmd}. Empty if
    that is not to be told from the pattern.
    """
    stem, slash, last = text.rpartition("/")
    return f"{stem}/cmd" if slash and last == "data" else ""


def encode(message: Message) -> bytes:
    """
    A message outside of MQTT.
    """
    return message.topic.encode() + b"\0" + message.payload


class MessageParser:
    """
    Reads one message that comes from outside of MQTT. It is not over before the bytes are.
    """

    finished = False

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> Sequence[Message | Skipped]:
        """
        Take in some bytes.
        """
        self._kept += data
        return ()

    def close(self) -> Sequence[Message | Skipped]:
        """
        There are no more.
        """
        data, self._kept = self._kept, b""
        if not data:
            return ()
        topic, nul, payload = data.partition(b"\0")
        try:
            text = topic.decode()
        except UnicodeDecodeError:
            nul = b""
        if not nul or len(topic) > MAX_TOPIC:
            return [Skipped(data[:SAMPLE], "no topic, NUL and payload")]
        return [Message(text, payload)]

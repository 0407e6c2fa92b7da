"""
C{[nodes]}: what the values of a node are called, and how they are packed and scaled.
"""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from sensord.convert.draft import Draft, Table, unlike
from sensord.convert.inputs import Feed
from sensord.convert.keys import Keys
from sensord.convert.report import LeftOut, Report
from sensord.sinks.discovery import SPELLINGS, UNITS
from sensord.wire.packing import CODES
from sensord.wire.rfm2pi import MAX_NODE

#: The largest scale that a description may have.
_MOST = 1e30

#: The most values that are described. No frame has more; a line could.
_VALUES = 256

#: How emonHub's examples and people write units, by their lower case.
_WRITTEN = {"c": "°C", "degc": "°C", "f": "°F", "degf": "°F", "n": "", "p": "pulses"}

#: Units by their lower case. Where it begins with an M, the case tells a thousandth of something
#: from a million.
_LOWER = {unit.lower(): unit for unit in UNITS if unit[0] not in "mM"}

#: What is kept of a node beside its values, and the tags that it becomes.
_TAGS = {"hardware": "hardware", "firmware": "firmware", "location": "place"}

#: The most numbers that a node of lines has.
_NUMBERS = 2**31


def describe(nodes: Keys, feeds: Sequence[Feed], draft: Draft, report: Report) -> None:
    """
    Describe all nodes to the listeners that bring them.
    """
    radios = [feed for feed in feeds if feed.radio]
    lines = [feed for feed in feeds if not feed.radio]
    if len(radios) > 1 or (radios and lines) or len(lines) > 1:
        report.change(
            nodes.place,
            "each node is described for one listener only, since each has numbers of its own;"
            " what other listeners bring of it needs a [[devices]] table with their address and"
            " another name",
        )
    for id, keys in nodes.sections():
        try:
            _Node(id, keys, draft, report).describe(radios, lines)
        except LeftOut as out:
            keys.leave(out)
    nodes.rest("is no node")


class _Node:
    """
    One node.
    """

    def __init__(self, id: str, keys: Keys, draft: Draft, report: Report) -> None:
        self._id = id
        self._keys = keys
        self._draft = draft
        self._report = report
        self._place = keys.place

    def describe(self, radios: Sequence[Feed], lines: Sequence[Feed]) -> None:
        """
        Describe it.
        """
        keys = self._keys
        # Before there was a section for what is received, all of it stood with the node.
        rx = keys.section("rx") if keys.has("rx") else keys
        codes, code = _codes(rx.listed("datacodes")), rx.text("datacode")
        packed = bool(codes) or code not in ("", "0")
        feeds = radios if radios and (packed or code != "0" or not lines) else lines
        number, feed = self._whose(feeds)
        if packed and not feed.radio:
            raise LeftOut(
                f'sensord takes the numbers of lines as they are; these, by "{feed.name}", are'
                " bytes",
                "let the device send its values as they are, and describe them then",
            )
        address = f"{feed.name}/{self._wire(number, feed)}"
        table: Table = {"address": address}
        table["name"] = self._draft.label(self._place, keys.text("nodename"), str(number))
        self._values(table, rx, codes, code, feed)
        self._whiten(table, rx, feed)
        if keys.has("tx"):
            self._transmit(table, keys.section("tx"), feed)
        tags = {tag: text for key, tag in _TAGS.items() if (text := keys.text(key))}
        if tags:
            table["tags"] = tags
        if rx is not keys:
            rx.rest("sensord knows no such setting of a node")
        keys.rest("sensord knows no such setting of a node")
        self._draft.device(self._place, table)
        self._report.carry(self._place, f'[[devices]] "{table["name"]}": {address}')

    def _whose(self, feeds: Sequence[Feed]) -> tuple[int, Feed]:
        """
        Its number, and the listener that brings it.
        """
        text = self._id.strip()
        if not feeds:
            raise LeftOut("there is no listener that could bring it")
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise LeftOut("sensord knows the nodes of radios and lines by their numbers")
        feed = _nearest(int(text), feeds)
        if feed is None:
            raise LeftOut("no listener has nodes of this number")
        return int(text), feed

    def _wire(self, number: int, feed: Feed) -> int:
        """
        The number by which it comes.
        """
        id = number - feed.offset
        if feed.radio and id > MAX_NODE:
            low = id & MAX_NODE
            self._report.change(
                self._place, f"its number is {low} now: what is beyond the low five bits are flags"
            )
            return low
        return id

    def _values(self, table: Table, rx: Keys, codes: Sequence[str], code: str, feed: Feed) -> None:
        """
        Describe its values.
        """
        names, units = rx.listed("names"), rx.listed("units")
        scales, scale = rx.listed("scales"), rx.text("scale") or feed.scale or "1"
        types = self._types(codes, code or feed.code) if feed.radio else []
        single = types[0] if types and not codes else ""
        count = len(codes) or len(names) or len(scales) or len(units)
        if count > _VALUES:
            self._report.lose(
                self._place, [("names", str(count))], f"only the first {_VALUES} are described"
            )
            count = _VALUES
        if not count and (single not in ("", "h") or scale != "1"):
            if not feed.radio:
                rx.lose("scale", scale, "the number of its values is not said", "names for them")
                return
            rx.lose(
                "datacode",
                single,
                "the number of its values is not said; a frame of one value is taken, any other"
                " waits in quarantine",
                "describe each value; frames that wait are decoded by"
                ' "sensord quarantine redecode"',
            )
            count = 1
        if single and count and names:
            self._report.change(
                self._place,
                f"its frames have {count} values; one with fewer or more, which was taken before,"
                " waits in quarantine",
            )
        if not count:
            return
        if len(scales) == 1 < count:
            rx.lose("scales", scales[0], f"is one scale for {count} values; none is scaled")
            scales = ["1"] * count
        for key, given in (("names", names), ("scales", scales), ("units", units)):
            if len(given) > count:
                rx.lose(key, ", ".join(given[count:]), "is more than there are values")
        self._row(table, rx, count, names, types, scales, scale, units)

    def _row(
        self,
        table: Table,
        rx: Keys,
        count: int,
        names: Sequence[str],
        types: Sequence[str],
        scales: Sequence[str],
        scale: str,
        units: Sequence[str],
    ) -> None:
        """
        The table of its values, of which each list may say fewer than there are.
        """
        rows: list[dict[str, Any]] = []
        named = self._named(names, count)
        for place in range(count):
            row: dict[str, Any] = {"name": named[place]}
            if types:
                row["type"] = types[place] if len(types) > 1 else types[0]
            said = scales[place] if place < len(scales) else "1" if scales else scale
            if (factor := self._factor(rx, named[place], said)) != 1:
                row["scale"] = factor
            if place < len(units) and (unit := self._unit(units[place])):
                row["unit"] = unit
            rows.append(row)
        table["values"] = rows
        if named[0].lower() == "msg":
            self._report.change(
                self._place.rpartition(" ")[0],
                "what the messages of nodes with a counter miss is counted by sensord itself, and"
                ' is no longer among the values as "missed" and "missedprc"',
            )

    def _named(self, names: Sequence[str], count: int) -> list[str]:
        """
        A name for each value, none twice.
        """
        found: list[str] = []
        for place in range(count):
            wanted = names[place][:180] if place < len(names) and names[place] else str(place + 1)
            name = unlike(wanted, found)
            if name != wanted:
                self._report.change(
                    self._place, f'the second "{wanted}" is called "{name}", since names are unique'
                )
            found.append(name)
        return found

    def _types(self, codes: Sequence[str], code: str) -> list[str]:
        """
        The types of its values: one for each, or one for all.
        """
        if not codes and code == "0":
            return ["B"]  # the bytes themselves
        found = []
        for said in codes or [code or "h"]:
            type = said.strip()
            if type == "c":
                type = "B"
                self._report.change(self._place, 'what was type "c" is type "B", a number')
            elif type not in tuple(CODES):
                self._report.lose(
                    self._place,
                    [("datacodes", said)],
                    f"is none of {' '.join(CODES)}; it is taken for h",
                    "the right type, without which its frames are decoded wrongly or not at all",
                )
                type = "h"
            found.append(type)
        return found

    def _factor(self, keys: Keys, name: str, text: str) -> float:
        """
        A scale.
        """
        try:
            factor = float(text)
        except ValueError:
            factor = float("nan")
        if isfinite(factor) and abs(factor) <= _MOST:
            return factor
        keys.lose("scales", text, f"is no scale that {name} could have; it is taken for 1")
        return 1.0

    def _unit(self, text: str) -> str:
        """
        A unit as sensord's sinks know it.
        """
        low = text.lower().replace(" ", "")
        unit = text if text in UNITS else SPELLINGS.get(text, _LOWER.get(low, text))
        unit = _WRITTEN.get(low, unit) if unit == text and text not in UNITS else unit
        if unit != text:
            place = self._place.rpartition(" ")[0]
            self._report.change(place, f'the unit "{text}" is written "{unit}"')
        return unit

    def _whiten(self, table: Table, rx: Keys, feed: Feed) -> None:
        if not rx.flag("whitening", default=False):
            return
        if feed.radio:
            table["whitening"] = True
        else:
            rx.lose("whitening", "1", "is for what comes by radio")

    def _transmit(self, table: Table, tx: Keys, feed: Feed) -> None:
        """
        Describe what it receives.
        """
        if not feed.radio:
            tx.rest("sensord sends to nodes by radio; this one sends lines")
            return
        codes, code = _codes(tx.listed("datacodes")), tx.text("datacode")
        names, scales = tx.listed("names"), tx.listed("scales")
        scale = tx.text("scale", default="1")
        tx.text("units")  # a command has none
        types = self._types(codes, code or feed.code)
        count = min(_VALUES, len(codes) or len(names) or len(scales))
        if not count:
            tx.lose("names", "", "are missing, without which nothing can be sent to it")
            return
        rows: list[dict[str, Any]] = []
        for place, name in enumerate(self._named(names, count)):
            row: dict[str, Any] = {"name": name, "type": types[place] if codes else types[0]}
            said = scales[place] if place < len(scales) else scale
            factor = self._factor(tx, name, said)
            if factor == 0:
                tx.lose("scales", said, f"{name} cannot be divided by it; it is taken for 1")
            elif factor != 1:
                row["scale"] = factor
            rows.append(row)
        table["transmit"] = rows
        tx.rest("sensord knows no such setting of what a node receives")
        example = f'"sensord send {table["address"]} {rows[0]["name"]} 1"'
        self._report.change(self._place, f"it is sent to by {example}, and no longer by MQTT")


def _codes(listed: Sequence[str]) -> list[str]:
    """
    The types of all values; they may stand one behind the other, without commas.
    """
    return list(listed[0].replace(" ", "")) if len(listed) == 1 else list(listed)


def _nearest(number: int, feeds: Sequence[Feed]) -> Feed | None:
    """
    The listener whose offset fits a number best.
    """
    for feed in sorted(feeds, key=lambda feed: -feed.offset):
        most = 255 if feed.radio else _NUMBERS - 1
        if 0 <= number - feed.offset <= most:
            return feed
    return None

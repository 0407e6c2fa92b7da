"""
The configuration that comes out: tables that are checked one by one, as the daemon would.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import tomli_w

from sensord.check import Spot, spot
from sensord.config import ConfigError, parse
from sensord.convert.report import LeftOut, Report

#: A table of the new file.
Table = dict[str, Any]

#: What listeners and sinks may be called, and how long that may be.
_UNFIT = re.compile("[^A-Za-z0-9_.-]+")
_LONGEST = 60

#: How long the name of a device, or of a value, may be.
_LABEL = 200

#: The keys that are secrets.
SECRETS = ("apikey", "password", "key")


class Draft:
    """
    The new configuration.

    @ivar listeners: the tables, each with the place that it comes from.
    @ivar sinks: likewise.
    @ivar devices: likewise.
    """

    def __init__(self, report: Report) -> None:
        self.listeners: list[tuple[str, Table]] = []
        self.sinks: list[tuple[str, Table]] = []
        self.devices: list[tuple[str, Table]] = []
        self._report = report
        self._names: set[str] = set()
        self._labels: set[str] = set()
        self._addresses: set[str] = set()
        self._spots: list[tuple[Spot, str]] = []

    def name(self, place: str, wanted: str) -> str:
        """
        What a listener or a sink is called. No two have one name, so that their secrets can have
        files that are called after them.

        @param wanted: what it was called.
        """
        fit = _UNFIT.sub("-", wanted).strip("-")[:_LONGEST] or "unnamed"
        name = unlike(fit, self._names)
        self._names.add(name)
        if name != wanted:
            self._report.change(
                place, f'it is called "{name}" now, since names are plain and unique'
            )
        return name

    def label(self, place: str, wanted: str, id: str) -> str:
        """
        What a device is called.

        @param wanted: what it was called.
        @param id: what is put behind it if another device is called so.
        """
        fit = wanted.replace("/", "_")[:_LABEL] or id
        name = fit
        if fit in self._labels or fit == "all":
            name = unlike(f"{fit[: _LABEL - 20]}-{id}", self._labels)
        self._labels.add(name)
        if wanted and name != wanted:
            self._report.change(place, f'it is called "{name}" now, since names are unique')
        return name

    def listener(self, place: str, table: Table) -> None:
        """
        Add a listener.

        @raise LeftOut: if the daemon would not take it.
        """
        _fit({"listeners": [table]})
        for wanted in _spots(table):
            for other, owner in self._spots:
                if wanted.meets(other):
                    raise LeftOut(f"{wanted.port} is given to {owner} already")
        self._spots += [(wanted, f'"{table["name"]}"') for wanted in _spots(table)]
        self.listeners.append((place, table))

    def sink(self, place: str, table: Table) -> None:
        """
        Add a sink. See L{listener}.
        """
        _fit({"listeners": [], "sinks": [table]})
        self.sinks.append((place, table))

    def device(self, place: str, table: Table) -> None:
        """
        Add the description of a device of a listener that is there. See L{listener}.
        """
        name = table["address"].partition("/")[0]
        listeners = [one for _place, one in self.listeners if one["name"] == name]
        if table["address"] in self._addresses:
            raise LeftOut(f"{table['address']} is described already")
        _fit({"listeners": listeners, "devices": [table]})
        self._addresses.add(table["address"])
        self.devices.append((place, table))

    @property
    def secrets(self) -> int:
        """
        How many secrets there are.
        """
        tables = [*self.listeners, *self.sinks]
        return sum(bool(table.get(key)) for _place, table in tables for key in SECRETS)

    def text(self, comments: Iterable[str], files: bool = False) -> tuple[str, Mapping[str, str]]:
        """
        The new file.

        @param comments: what stands at its top.
        @param files: whether secrets have files of their own.
        @return: the text, and the secrets by the names of their files.
        """
        lines = [f"# {line}".rstrip() for line in comments]
        secrets: dict[str, str] = {}
        if not self.listeners:
            lines += ["", "listeners = []"]
        for kind in ("listeners", "devices", "sinks"):
            for place, table in getattr(self, kind):
                lines += ["", f"# {_comment(place)}", f"[[{kind}]]"]
                for key, value in table.items():
                    if files and key in SECRETS and value == value.strip():
                        file = f"{table['name']}.{key}"
                        secrets[file] = value
                        value = {"file": file}
                    lines += _setting(key, value)
        return "\n".join(lines) + "\n", secrets


def unlike(name: str, taken: Iterable[str]) -> str:
    """
    A name that is not taken: this one, or it with a number behind it.
    """
    taken, found, number = set(taken), name, 2
    while found in taken:
        found = f"{name}-{number}"
        number += 1
    return found


def toml(value: object) -> str:
    """
    A value as TOML has it, on one line.
    """
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {toml(one)}" for key, one in value.items())
        return f"{{ {inner} }}"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").rstrip("\n")


def _setting(key: str, value: object) -> list[str]:
    """
    A setting; tables in a list have a line for each.
    """
    if isinstance(value, list):
        return [f"{key} = [", *(f"    {toml(one)}," for one in value), "]"]
    return [f"{key} = {toml(value)}"]


def _fit(document: Mapping[str, Any]) -> None:
    """
    @raise LeftOut: if the daemon would not take some tables.
    """
    try:
        parse(document)
    except ConfigError as error:
        faults = [fault.removeprefix("settings: ") for fault in error.faults]
        raise LeftOut("; ".join(faults)) from error


def _spots(table: Table) -> list[Spot]:
    """
    What of a listener only one can have.
    """
    if "port" in table:
        found: list[Spot | None] = [Spot("serial", "", table["port"])]
    else:
        found = [spot(table["listen"])] if "listen" in table else []
    if "repeater" in table:
        found.append(spot(table["repeater"]))
    return [one for one in found if one is not None]


def _comment(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text)

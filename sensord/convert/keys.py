"""
The settings of one section, which are asked for one by one; what nobody has asked for is listed.
"""

from collections.abc import Iterator
from math import isfinite
from typing import overload

from sensord.convert.ini import Tree
from sensord.convert.report import LeftOut, Report

_TRUE = ("true", "yes", "on", "1", "t", "y")
_FALSE = ("false", "no", "off", "0", "f", "n")

#: What the originals' examples have in place of a key.
_DUMMY = "x"


class Keys:
    """
    One section. The names of keys and sections count without their case and underscores.

    @ivar place: what to call it in the report.
    @ivar depth: how many brackets it has.
    """

    def __init__(self, place: str, tree: Tree, report: Report, depth: int = 0) -> None:
        self.place = place
        self.depth = depth
        self._report = report
        self._tree = tree
        self._left = dict(tree)
        self._names: dict[str, str] = {}
        for key in tree:
            self._names.setdefault(_same(key), key)

    def has(self, *names: str) -> bool:
        """
        Whether there is a setting or a section with one of these names, asked for or not.
        """
        return any(_same(name) in self._names for name in names)

    def listed(self, *names: str) -> list[str]:
        """
        A setting that is a list.

        @param names: what it is called; the first that is there counts.
        @return: empty if it is not there.
        """
        for name in names:
            key = self._names.get(_same(name), name)
            value = self._left.get(key)
            if isinstance(value, str):
                del self._left[key]
                return [value] if value else []
            if isinstance(value, list):
                del self._left[key]
                return value
        return []

    def text(self, *names: str, default: str = "") -> str:
        """
        A setting that is a text.
        """
        return ", ".join(self.listed(*names)) or default

    def secret(self, *names: str) -> str:
        """
        A setting that nobody is to see; empty if it is only an example.
        """
        text = self.text(*names)
        self._report.hide(text)
        return text if text.lower().strip(_DUMMY) else ""

    def flag(self, *names: str, default: bool) -> bool:
        """
        A setting that is yes or no.
        """
        text = self.text(*names)
        if text.lower() in _TRUE + _FALSE:
            return text.lower() in _TRUE
        if text:
            self.lose(names[0], text, f"is neither true nor false; it is taken for {default}")
        return default

    @overload
    def number(self, *names: str, default: int, least: int, most: int) -> int: ...

    @overload
    def number(self, *names: str, default: None, least: int, most: int) -> int | None: ...

    def number(self, *names: str, default: int | None, least: int, most: int) -> int | None:
        """
        A setting that is a whole number.

        @param default: where it is not there, or none that fits; the latter is listed.
        """
        text = self.text(*names)
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if isfinite(number) and number.is_integer() and least <= number <= most:
            return int(number)
        if text:
            taken = "" if default is None else f"; it is taken for {default}"
            self.lose(names[0], text, f"is no whole number from {least} to {most}{taken}")
        return default

    def section(self, *names: str) -> "Keys":
        """
        A section; an empty one if it is not there.
        """
        for name in names:
            key = self._names.get(_same(name), name)
            value = self._left.get(key)
            if isinstance(value, dict):
                del self._left[key]
                return self._inner(key, value)
        return self._inner(names[0], {})

    def sections(self) -> Iterator[tuple[str, "Keys"]]:
        """
        The sections that nobody has asked for yet, each with its name.
        """
        for key in [key for key, value in self._left.items() if isinstance(value, dict)]:
            yield key, self.section(key)

    def lose(self, key: str, value: str, why: str, instead: str = "") -> None:
        """
        A setting has no counterpart.
        """
        self._report.lose(self.place, [(self._names.get(_same(key), key), value)], why, instead)

    def drop(self, key: str, why: str, instead: str = "") -> None:
        """
        A setting has no counterpart, if it is there.
        """
        if value := self.text(key):
            self.lose(key, value, why, instead)

    def take(self) -> list[tuple[str, str]]:
        """
        All settings that nobody has asked for, those of inner sections with dots in their names.
        """
        found: list[tuple[str, str]] = []
        for key, value in self._left.items():
            if isinstance(value, dict):
                inner = self._inner(key, value).take()
                found += [(f"{key}.{name}", text) for name, text in inner]
            else:
                found.append((key, value if isinstance(value, str) else ", ".join(value)))
        self._left.clear()
        return found

    def all(self) -> list[tuple[str, str]]:
        """
        All settings, whether somebody has asked for them or not.
        """
        return Keys(self.place, self._tree, self._report, self.depth).take()

    def leave(self, out: LeftOut) -> None:
        """
        All of it has no counterpart.
        """
        self._left.clear()
        self._report.lose(self.place, self.all(), str(out), out.instead)

    def rest(self, why: str, instead: str = "") -> None:
        """
        What nobody has asked for has no counterpart.
        """
        if settings := self.take():
            self._report.lose(self.place, settings, why, instead)

    def _inner(self, key: str, tree: Tree) -> "Keys":
        depth = self.depth + 1
        place = f"{self.place} {'[' * depth}{key}{']' * depth}".strip()
        return Keys(place, tree, self._report, depth)


def _same(name: str) -> str:
    return name.lower().replace("_", "")

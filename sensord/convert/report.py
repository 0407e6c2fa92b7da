"""
What is to be said of a conversion: to who made it, and at the top of the new file.
"""

import re
from collections.abc import Iterator, Sequence
from textwrap import wrap

from msgspec import Struct

from sensord.text import plain

#: What stands in the place of what nobody is to see.
HIDDEN = "(hidden)"

#: The most characters of one value that are shown.
_SHOWN = 200

#: How wide the report is.
_WIDTH = 96

#: Keys whose values nobody is to see.
_SECRET = re.compile("pass|pwd|key|secret|token|pin$", re.I)

#: Who somebody is, in the place of a server.
_WHO = re.compile(r"(?<=://)[^/@\s]+(?=@)")


class Loss(Struct, frozen=True):
    """
    What has no counterpart.

    @ivar place: the section.
    @ivar settings: the keys and values, as they may be shown.
    @ivar instead: what to do; may be empty.
    """

    place: str
    settings: tuple[tuple[str, str], ...]
    why: str
    instead: str = ""


class Report:
    """
    All of it.

    @ivar carried: what became what.
    @ivar changed: what is not as it was.
    @ivar lost: what has no counterpart.
    """

    def __init__(self) -> None:
        self.carried: list[tuple[str, str]] = []
        self.changed: list[tuple[str, str]] = []
        self.lost: list[Loss] = []
        self._said: set[tuple[str, str]] = set()
        self._secrets: set[str] = set()

    def hide(self, secret: str) -> None:
        """
        A text that nobody is to see, wherever it turns up.
        """
        if len(secret.strip()) > 3:  # what is shorter would be found in every other word
            self._secrets.add(secret.strip())

    def carry(self, place: str, text: str) -> None:
        """
        Something was carried over.
        """
        self.carried.append((place, text))

    def change(self, place: str, text: str) -> None:
        """
        Something is not as it was. What was said already is not said again.
        """
        if (place, text) not in self._said:
            self._said.add((place, text))
            self.changed.append((place, text))

    def lose(
        self, place: str, settings: Sequence[tuple[str, str]], why: str, instead: str = ""
    ) -> None:
        """
        Something has no counterpart.

        @param settings: keys and values.
        """
        shown = tuple((key, self._shown(key, value)) for key, value in settings)
        self.lost.append(Loss(place, shown, why, instead))

    def lines(self) -> list[str]:
        """
        The report as text that any terminal can be shown.
        """
        return [self._veiled(plain(line)) for line in self._lines()]

    def _lines(self) -> Iterator[str]:
        if self.carried:
            yield "Carried over:"
        for place, text in self.carried:
            yield from _item(f"{place} is now {text}")
        if self.changed:
            yield "Not quite as before:"
        for place, text in self.changed:
            yield from _item(f"{place}: {text}")
        yield "Not carried over:" if self.lost else "Nothing was left out."
        for loss in self.lost:
            yield from _item(loss.place)
            for key, value in loss.settings:
                yield from _item(f"{key} = {value}", 6)
            yield from _item(loss.why, 4)
            if loss.instead:
                yield from _item(f"Instead: {loss.instead}", 4)

    def _shown(self, key: str, value: str) -> str:
        if not value:
            return ""
        if _SECRET.search(key.rpartition(".")[2]):
            self.hide(value)
            return HIDDEN
        value = _WHO.sub(HIDDEN, value)
        return value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."

    def _veiled(self, line: str) -> str:
        for secret in self._secrets:
            line = line.replace(plain(secret), HIDDEN)
        return line


class ConvertError(Exception):
    """
    Nothing can be made of a file.

    @ivar report: what is known of it all the same.
    """

    def __init__(self, why: str, report: Report | None = None) -> None:
        super().__init__(why)
        self.report = report


class LeftOut(Exception):
    """
    A section has no counterpart, all of it.

    @ivar instead: what to do; may be empty.
    """

    def __init__(self, why: str, instead: str = "") -> None:
        super().__init__(why)
        self.instead = instead


def _item(text: str, indent: int = 2) -> Iterator[str]:
    """
    A paragraph of the report.
    """
    yield from wrap(
        text,
        _WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 4),
        break_long_words=False,
        break_on_hyphens=False,
    )

"""
The files of the page, as far as they can be judged without a browser.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sensord.web.pages import FOLDER

_INDEX = FOLDER / "index.html"

#: What a script imports, be it at once or when it is needed.
_IMPORT = re.compile(r"""(?:from|import) ?\(? ?["'`]([^"'`$]+)["'`]""")

#: What would make markup, or a program, of a text.
_DANGER = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
)

#: What is written upon what, and how much brighter one has to be than the other.
_TEXTS = ("fg", "muted", "accent", "ok", "warn", "bad", "asleep")
_GROUNDS = ("bg", "card")
_PAIRS = (
    *((text, ground) for text in _TEXTS for ground in _GROUNDS),
    *((text, f"{text}-soft") for text in ("ok", "warn", "bad", "asleep")),
    ("muted", "well"),
    ("fg", "well"),
    ("on-accent", "accent"),
)
_CONTRAST = 4.5

#: The most lines of a file of ours.
_LINES = 400


def ours(*suffixes: str) -> Iterator[Path]:
    """
    All files of some kinds, but for those of others.
    """
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in suffixes and path.parent.name != "vendor":
            yield path


class _Reader(HTMLParser):
    """
    Notes all that a page refers to, and all attributes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """
        An element begins.
        """
        self.attributes |= {name for name, _value in attrs}
        self.links += [value for name, value in attrs if name in ("src", "href") and value]


def colours(text: str) -> Iterator[dict[str, str]]:
    """
    The colours by day and by night.
    """
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})\b", block))
        for block in re.findall(r"^:root(?:\[data-theme=\"dark\"\])? \{(.*?)^\}", text, re.M | re.S)
    )
    yield light
    yield light | dark


def brightness(colour: str) -> float:
    """
    The relative luminance of a colour, as WCAG 2 defines it.
    """
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class StaticTests(SynchronousTestCase):
    """
    The files.
    """

    def test_links(self) -> None:
        """
        All that the page refers to is there, and is ours.
        """
        reader = _Reader()
        reader.feed(_INDEX.read_text(encoding="utf-8"))
        files = [link for link in reader.links if not link.startswith("#") and link != "#/"]
        self.assertGreater(len(files), 5)
        for link in files:
            self.assertTrue(link.startswith("/static/"), link)
            self.assertTrue((FOLDER / link.removeprefix("/static/")).is_file(), link)

    def test_policy(self) -> None:
        """
        No element brings a script or a style of its own, which browsers are told to ignore.
        """
        reader = _Reader()
        reader.feed(_INDEX.read_text(encoding="utf-8"))
        self.assertNotIn("style", reader.attributes)
        self.assertEqual([name for name in reader.attributes if name.startswith("on")], [])

    def test_imports(self) -> None:
        """
        All that a script imports is there.
        """
        count = 0
        for path in ours(".js"):
            for name in _IMPORT.findall(path.read_text(encoding="utf-8")):
                if name.startswith("."):
                    self.assertTrue((path.parent / name).resolve().is_file(), f"{path}: {name}")
                    count += 1
        self.assertGreater(count, 20)

    def test_text(self) -> None:
        """
        Nothing that a device says can become markup or a program.
        """
        for path in ours(".js"):
            self.assertIsNone(_DANGER.search(path.read_text(encoding="utf-8")), path)

    def test_strangers(self) -> None:
        """
        No file names another machine, but for the names of XML.
        """
        for path in ours(".js", ".css", ".html", ".svg"):
            found = re.findall(r"(?:https?:)?//[a-z][\w.-]+\.\w+[^\s\"']*", path.read_text())
            self.assertLessEqual(set(found), {"http://www.w3.org/2000/svg"}, path)

    def test_size(self) -> None:
        """
        Each file can be read at one go.
        """
        for path in ours(".js", ".css"):
            lines = path.read_text(encoding="utf-8").count("\n")
            self.assertLessEqual(lines, _LINES, path)

    def test_contrast(self) -> None:
        """
        What is written can be read by those who see little, by day and by night.
        """
        for theme in colours((FOLDER / "app.css").read_text(encoding="utf-8")):
            for text, ground in _PAIRS:
                low, high = sorted((brightness(theme[text]), brightness(theme[ground])))
                self.assertGreaterEqual((high + 0.05) / (low + 0.05), _CONTRAST, (text, ground))

    def test_licence(self) -> None:
        """
        The chart library has its licence beside it.
        """
        licence = (FOLDER / "vendor" / "uplot-LICENSE.txt").read_text(encoding="utf-8")
        self.assertIn("MIT License", licence)

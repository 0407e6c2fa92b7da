"""
Tests for the handbook, and for what makes it.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from inspect import cleandoc
from pathlib import Path

import click
from docutils import nodes
from docutils.core import publish_doctree
from msgspec import Struct, structs
from msgspec.inspect import type_info
from twisted.trial.unittest import SynchronousTestCase

import sensord
from sensord.cli import main
from sensord.config import ConfigError, Settings, parse
from sensord.outlets import KINDS
from sensord.store import schema
from sensord.tap import Options
from sensord.wires import WIRES

DOCS = Path(sensord.__file__).parent.parent / "docs"

sys.path.insert(0, str(DOCS / "_ext"))

from handbook import epytext, links, sources, tables  # noqa: E402

#: What only Sphinx knows.
SPHINX = re.compile(r"^\.\. (toctree|settings|docstring|limits|reference)::", re.M)

#: The tables that a configuration can have.
_OURS = {*Settings.__struct_fields__}

#: The names of files that pages show.
_NAMED = re.compile(r"\w+\.(?:py|tac)")


def pages() -> list[Path]:
    """
    All pages.
    """
    return sorted(DOCS.glob("*.rst"))


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """
    The literal blocks of a page, each with the paragraph before it.
    """
    text = re.sub(r"(?m)^\.\. \w+::.*\n(?:   .*\n)*", "", page.read_text(encoding="utf-8"))
    tree = publish_doctree(text, settings_overrides={"report_level": 5})
    for block in tree.findall(nodes.literal_block):
        siblings = block.parent.children
        place = siblings.index(block)
        yield siblings[place - 1].astext() if place else "", block.astext()


def example(page: str, file: str) -> str:
    """
    A file that a page shows.
    """
    [text] = [
        block
        for before, block in blocks(DOCS / page)
        if (names := _NAMED.findall(before)) and names[-1] == file
    ]
    return text + "\n"


def build(source: Path, out: Path) -> "subprocess.CompletedProcess[str]":
    """
    Have Sphinx make a handbook.
    """
    command = "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-E", str(source), str(out)
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, timeout=120
    )


@cache
def built() -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    """
    The handbook, made once for all tests.
    """
    out = Path("handbook").absolute()
    return out, build(DOCS, out)


class HandbookTests(SynchronousTestCase):
    """
    What Sphinx makes of it.
    """

    def test_builds(self) -> None:
        """
        It is made without a warning: no link leads nowhere, no wire format or sink is left out, no
        setting is without a text.
        """
        _out, process = built()
        self.assertEqual(process.stderr, "")
        self.assertEqual(process.returncode, 0)

    def test_settings(self) -> None:
        """
        Every setting of every table is there, with its name.
        """
        text = (built()[0] / "settings.html").read_text(encoding="utf-8")
        there = set(re.findall(r'<dt id="([\w-]+)"><code[^>]*><span class="pre">(\w+)<', text))
        names = {name for _place, name in there}
        self.assertIn(("store-commit-window", "commit_window"), there)
        self.assertIn(("wire-rfm2pi-time-interval", "time_interval"), there)
        for kind, path in tables.tables(Settings):
            if path:
                self.assertEqual(
                    {field.name for field in structs.fields(kind)} - names, set(), path
                )
        titles = set(re.findall(r"<h[23]><code[^>]*>(.*?)</code>", _bare(text)))
        for title in [f"wire = &quot;{wire}&quot;" for wire in WIRES]:
            self.assertIn(title, titles)
        for title in [f"kind = &quot;{kind}&quot;" for kind in KINDS]:
            self.assertIn(title, titles)
        for name in Settings.__struct_fields__:
            self.assertTrue({f"[{name}]", f"[[{name}]]"} & titles or name in names, name)

    def test_tables(self) -> None:
        """
        The byte tables are those of the modules.
        """
        text = _bare((built()[0] / "wires.html").read_text(encoding="utf-8"))
        self.assertIn("bytes per measurement, all sensors together", text)
        self.assertIn("type: 0 FIRE (0 is alarm), 1 SMOKE", text)

    def test_alone(self) -> None:
        """
        No page loads anything from elsewhere.
        """
        for page in built()[0].glob("*.html"):
            text = page.read_text(encoding="utf-8")
            loaded = re.findall(r"<(?:script|img|link)\b[^>]*(?:src|href)=\"([^\"]*)\"", text)
            self.assertEqual([one for one in loaded if re.match("(https?:)?//", one)], [], page)

    def test_missing(self) -> None:
        """
        A handbook that leaves out a wire format or a sink is not made.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "conf.py").write_text(
            f"import sys\nsys.path.insert(0, {str(DOCS / '_ext')!r})\n"
            "extensions = ['handbook']\nhtml_theme = 'basic'\n"
        )
        (folder / "index.rst").write_text("Title\n=====\n\n.. docstring:: sensord.wire.poe\n")
        process = build(folder, folder / "out")
        self.assertEqual(process.returncode, 1)
        self.assertIn("no page tells of wire esp8266", process.stderr)
        self.assertIn("no page tells of kind csv", process.stderr)
        self.assertNotIn("no page tells of sensord.wire.poe\n", process.stderr)


class PagesTests(SynchronousTestCase):
    """
    What the pages say that can be checked.
    """

    def test_configurations(self) -> None:
        """
        Every piece of a configuration is one that the daemon takes.
        """
        checked = 0
        for page in pages():
            for _before, text in blocks(page):
                # Tables of which none is one of ours are for other programs.
                if links.language(text) == "toml" and _OURS & set(tomllib.loads(text)):
                    self._check(page, text)
                    checked += 1
        self.assertGreater(checked, 10)

    def test_commands(self) -> None:
        """
        Every command of the toolbox that is mentioned is one, with the options that it is given.
        """
        for page in [*pages(), DOCS.parent / "README.rst"]:
            text = page.read_text(encoding="utf-8")
            for said in re.findall(
                r"(?m)(?:^ {4}(?:venv/bin/)?|``)sensord +([a-z-][^`\n#]*)", text
            ):
                self._known(page, said.split())

    def test_daemon(self) -> None:
        """
        Every option of the daemon that is mentioned is one.
        """
        known = set(Options().longOpt)
        for page in [*pages(), DOCS.parent / "README.rst"]:
            text = page.read_text(encoding="utf-8")
            for said in re.findall(r"twistd (?:-\S+ )*sensord ([^`\n#]*)", text):
                for option in re.findall(r"--([a-z-]+)", said):
                    self.assertTrue({option, f"{option}="} & known, f"{page.name}: {said}")

    def test_schema(self) -> None:
        """
        The tables that the page about the architecture lists are those of the database.
        """
        file = Path(schema.__file__).with_name("schema.sql")
        there = re.findall(r"CREATE (?:TABLE|VIEW) (\w+)", file.read_text(encoding="utf-8"))
        text = (DOCS / "architecture.rst").read_text(encoding="utf-8")
        told = text.partition("name   ")[2].partition("While nothing")[0]
        for name in there:
            self.assertIn(f"``{name}``", told)

    def test_limits(self) -> None:
        """
        A limit comes with its value, and with what would be without it.
        """
        found = {(one.module, name) for one in sources.limits() for name in one.names}
        self.assertIn(("sensord.wire.lines", "MAX_LINE"), found)
        [lines] = [one for one in sources.limits() if one.module == "sensord.wire.lines"]
        self.assertEqual(lines.names, {"MAX_LINE": 1024})
        self.assertIn("a peer that never ends its line", lines.why)

    def _check(self, page: Path, text: str) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        for file in re.findall(r'file = "([^"]+)"', text):
            (folder / file).write_text("0" * 32)
        text = re.sub(r"\{ env = .*?\}", '"secret"', text)
        try:
            parse(tomllib.loads(text), page.name, folder)
        except ConfigError as error:
            # A piece may leave out what another piece has.
            faults = [one for one in error.faults if "there is no listener" not in one]
            self.assertEqual(faults, [], text)

    def _known(self, page: Path, words: list[str]) -> None:
        command: click.Command = main
        while isinstance(command, click.Group) and words and re.fullmatch("[a-z-]+", words[0]):
            if words[0].startswith("--"):
                break
            self.assertIn(words[0], command.commands, f"{page.name}: sensord {' '.join(words)}")
            command = command.commands[words.pop(0)]
        options = {name for one in command.params for name in one.opts} | {"--help"}
        for word in words:
            if word.startswith("--"):
                self.assertIn(word.strip("],.").partition("=")[0], options, f"{page.name}: {words}")


class SettingsTests(SynchronousTestCase):
    """
    How settings are described.
    """

    def test_undescribed(self) -> None:
        """
        A setting of which no docstring says anything is found.
        """

        class Table(Struct):
            """
            A table.

            @ivar told: this one has a text.
            """

            told: int = 0
            untold: int = 0

        [missing] = tables.undescribed(Table)
        self.assertIn("Table.untold", missing)
        self.assertEqual(tables.undescribed(Settings), [])

    def test_words(self) -> None:
        """
        What can be written is said in words.
        """
        said = {
            name: tables.words(type_info(field.type))
            for kind, path in tables.tables(Settings)
            for field in structs.fields(kind)
            for name in [f"{path}.{field.name}"]
        }
        self.assertEqual(said["store.commit_window"], "a number, 0 to 60")
        self.assertEqual(said["listeners.max_connections"], "a whole number, at least 1")
        self.assertEqual(said["listeners.frequency"], "433, 868 or 915")
        self.assertEqual(said["listeners.allow"], "an array of texts")
        self.assertEqual(said["listeners.token"], "a secret")
        self.assertEqual(said["devices.tags"], "a table of texts")
        self.assertEqual(said["devices.values"], "an array of tables")
        self.assertEqual(said["sinks.max_backlog"], "a whole number or a text")
        self.assertEqual(said["hubs.groups.max_hubs"], "a whole number, 1 to 10,000")

    def test_written(self) -> None:
        """
        Defaults are written as the file has them.
        """
        values: tuple[object, ...] = (True, 60.0, 0.005, "now", ("a", "b"), {})
        told = ["true", "60", "0.005", '"now"', '["a", "b"]', "{}"]
        self.assertEqual([tables.written(value) for value in values], told)


class EpytextTests(SynchronousTestCase):
    """
    How docstrings are read.
    """

    def test_inline(self) -> None:
        """
        Code may have braces and blanks in it, and links may read otherwise than what they name.
        """
        made = epytext.inline('a C{{ file = "x" }} and L{numbers<wire.numbers>}, C{ 10 1}', _link)
        self.assertEqual(
            [(type(one).__name__, one.astext()) for one in made],
            [
                ("Text", "a "),
                ("literal", '{ file = "x" }'),
                ("Text", " and "),
                ("emphasis", "wire.numbers/numbers"),
                ("Text", ", "),
                ("literal", " 10 1"),
            ],
        )

    def test_unclosed(self) -> None:
        """
        A brace that nobody closes is an error, and does not swallow the rest.
        """
        self.assertRaises(ValueError, epytext.inline, "a C{b")

    def test_table(self) -> None:
        """
        Tables have the columns of their borders; a cell may go on in the next line, and the last
        one beyond its border.
        """
        [table] = epytext.blocks(
            cleandoc(
                """
                ======  ====
                offset  type
                ======  ====
                0       u16
                2       u8: with more words
                        and yet more
                ======  ====
                """
            )
        )
        rows = [[entry.astext() for entry in row.children] for row in table.findall(nodes.row)]
        expected = [["offset", "type"], ["0", "u16"], ["2", "u8: with more words and yet more"]]
        self.assertEqual(rows, expected)
        self.assertEqual(len(list(table.findall(nodes.thead))), 1)

    def test_blocks(self) -> None:
        """
        Literal blocks end with their indentation or where a table begins; lists have an item for
        each sign or number.
        """
        made = epytext.blocks(
            cleandoc(
                """
                Example::

                    a  b

                    ===  ===
                    c    d
                    ===  ===

                And:

                  - one
                    more
                  - two

                 1. first
                 2. second
                """
            )
        )
        kinds = [type(one).__name__ for one in made]
        self.assertEqual(
            kinds,
            ["paragraph", "literal_block", "table", "paragraph", "bullet_list", "enumerated_list"],
        )
        self.assertEqual(made[0].astext(), "Example:")
        self.assertEqual(made[1].astext(), "a  b")
        self.assertEqual([one.astext() for one in made[4].children], ["one more", "two"])

    def test_fields(self) -> None:
        """
        Fields have names, and texts of several lines.
        """
        document = epytext.read(
            """
            What it is.

            @ivar name: a text
                that goes on.
            @return: nothing.
            """
        )
        self.assertEqual(document.body, "What it is.")
        self.assertEqual(document.ivars(), {"name": "a text that goes on."})
        self.assertEqual(document.fields[1], ("return", "", "nothing."))


def _link(target: str, text: str) -> nodes.Node:
    return nodes.emphasis("", f"{target}/{text}")


def _bare(text: str) -> str:
    """
    A page without what makes single words of its code.
    """
    return re.sub(r'</?span(?: class="pre")?>', "", text)

"""
Epytext, as far as the docstrings here use it, into the nodes of docutils: paragraphs, lists, simple
tables, C{::} blocks, C{C{}}, C{L{}}, C{B{}}, C{I{}} and fields.

Nodes and no text, since text would have to be escaped: what stands in a byte table is full of what
means something in reStructuredText.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from inspect import cleandoc
from typing import NamedTuple

from docutils import nodes

#: Makes the node for a link, given what it points at and how it reads.
Link = Callable[[str, str], nodes.Node]

_MARKUP = re.compile(r"\b([BCILM])\{")
_FIELD = re.compile(r"@(\w+)(?: +(\w+))?: *")
_BORDER = re.compile(r"=+( +=+)*")
_BULLET = re.compile(r"(?:-|(\d+)\.) +")


class Field(NamedTuple):
    """
    What a docstring says of one thing.

    @ivar tag: C{ivar}, C{param}, C{return}, C{raise}.
    @ivar name: of what, if there can be several.
    """

    tag: str
    name: str
    text: str


class Docstring(NamedTuple):
    """
    A docstring.

    @ivar body: what stands before the fields.
    """

    body: str
    fields: Sequence[Field]

    def ivars(self) -> dict[str, str]:
        """
        What it says of attributes.
        """
        return {field.name: field.text for field in self.fields if field.tag == "ivar"}


def plain(target: str, text: str) -> nodes.Node:
    """
    A link that leads nowhere.
    """
    return nodes.literal("", text)


def read(docstring: str | None) -> Docstring:
    """
    Take a docstring apart.
    """
    body: list[str] = []
    fields: list[Field] = []
    for line in cleandoc(docstring or "").splitlines():
        if match := _FIELD.match(line):
            fields.append(Field(match[1], match[2] or "", line[match.end() :]))
        elif fields:
            tag, name, text = fields[-1]
            fields[-1] = Field(tag, name, f"{text} {line.strip()}".strip())
        else:
            body.append(line)
    return Docstring("\n".join(body).strip("\n"), fields)


def inline(text: str, link: Link = plain) -> list[nodes.Node]:
    """
    The nodes of one run of text.

    @raise ValueError: for a brace that nobody closes.
    """
    made: list[nodes.Node] = []
    place = 0
    while match := _MARKUP.search(text, place):
        if match.start() > place:
            made.append(nodes.Text(text[place : match.start()]))
        place = _closing(text, match.end())
        made.append(_marked(match[1], text[match.end() : place - 1], link))
    if place < len(text):
        made.append(nodes.Text(text[place:]))
    return made


def blocks(text: str, link: Link = plain) -> list[nodes.Element]:
    """
    The nodes of the body of a docstring.
    """
    made: list[nodes.Element] = []
    lines = text.splitlines()
    place = 0
    while place < len(lines):
        if not lines[place].strip():
            place += 1
            continue
        end = _end(lines, place)
        chunk = lines[place:end]
        first = chunk[0].strip()
        if _BORDER.fullmatch(first):
            made.append(_table(chunk, link))
        elif _BULLET.match(first):
            made.append(_list(chunk, link))
        elif first != "::":
            words = " ".join(line.strip() for line in chunk)
            shown = words[:-1] if words.endswith("::") else words
            made.append(nodes.paragraph("", "", *inline(shown, link)))
        if chunk[-1].endswith("::"):
            literal, end = _literal(lines, end, _indent(chunk[-1]))
            made.append(nodes.literal_block(literal, literal))
        place = end
    return made


def _closing(text: str, place: int) -> int:
    """
    Where what was opened is closed.
    """
    depth = 1
    while depth:
        if place == len(text):
            raise ValueError(f"a brace is not closed: {text}")
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        place += 1
    return place


def _marked(letter: str, text: str, link: Link) -> nodes.Node:
    match letter:
        case "C" | "M":
            return nodes.literal("", text)
        case "B":
            return nodes.strong("", text)
        case "I":
            return nodes.emphasis("", text)
    shown, _bracket, target = text.rstrip(">").partition("<")
    return link(target or shown, shown)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _end(lines: Sequence[str], place: int) -> int:
    """
    Where the paragraph, the table or the list ends that begins somewhere.
    """
    end = place + 1
    while end < len(lines) and lines[end].strip():
        end += 1
    return end


def _literal(lines: Sequence[str], place: int, indent: int) -> tuple[str, int]:
    """
    The block behind C{::}, and where it ends: with its indentation, or where a table begins.
    """
    end = place
    while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > indent):
        if _BORDER.fullmatch(lines[end].strip()) and not lines[end - 1].strip():
            break
        end += 1
    return cleandoc("\n" + "\n".join(lines[place:end])).strip("\n"), end


def _items(lines: Sequence[str]) -> Iterator[tuple[bool, str]]:
    """
    The items of a list, and whether they have numbers.
    """
    numbered, words = False, list[str]()
    for line in lines:
        text = line.strip()
        if match := _BULLET.match(text):
            if words:
                yield numbered, " ".join(words)
            numbered, words = bool(match[1]), [text[match.end() :]]
        else:
            words.append(text)
    yield numbered, " ".join(words)


def _list(lines: Sequence[str], link: Link) -> nodes.Element:
    items = list(_items(lines))
    made: nodes.Element = nodes.bullet_list(bullet="-")
    if items[0][0]:
        made = nodes.enumerated_list(enumtype="arabic", prefix="", suffix=".")
    for _numbered, text in items:
        made += nodes.list_item("", nodes.paragraph("", "", *inline(text, link)))
    return made


def _table(lines: Sequence[str], link: Link) -> nodes.Element:
    """
    A table whose columns are as its borders are; what stands in the last one may be longer.
    """
    border = lines[0]
    starts = [match.start() for match in re.finditer("=+", border)]
    ends: list[int | None] = [*starts[1:], None]
    parts: list[list[list[str]]] = [[]]
    for line in lines[1:]:
        if _BORDER.fullmatch(line.strip()):
            parts.append([])
            continue
        cells = [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]
        if cells[0] or not parts[-1]:
            parts[-1].append(cells)
        else:
            over = parts[-1][-1]
            parts[-1][-1] = [f"{a} {b}".strip() for a, b in zip(over, cells, strict=True)]
    head, body = (parts[0], parts[1]) if len(parts) > 2 else ([], parts[0])
    widths = [max(len(row[column]) for row in [*head, *body]) or 1 for column in range(len(starts))]
    return table(
        widths,
        [[inline(cell, link) for cell in row] for row in head],
        [[inline(cell, link) for cell in row] for row in body],
    )


def table(
    widths: Sequence[int],
    head: Sequence[Sequence[Sequence[nodes.Node]]],
    body: Sequence[Sequence[Sequence[nodes.Node]]],
) -> nodes.Element:
    """
    A table, given what stands in its cells.
    """
    group = nodes.tgroup(cols=len(widths))
    group += [nodes.colspec(colwidth=width) for width in widths]
    for kind, rows in ((nodes.thead, head), (nodes.tbody, body)):
        if rows:
            group += kind("", *(_row(row) for row in rows))
    return nodes.table("", group)


def _row(cells: Sequence[Sequence[nodes.Node]]) -> nodes.Element:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells))

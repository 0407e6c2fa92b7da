"""
Every setting, as the structs of the configuration have it: their types, limits and defaults, and
the texts of their docstrings. A field of which no docstring says anything is an error: the page
cannot leave out a setting, and cannot speak of one that is not there.
"""

import importlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from inspect import get_annotations

from docutils import nodes
from msgspec import NODEFAULT, Struct, structs
from msgspec.inspect import (
    BoolType,
    CustomType,
    DictType,
    FloatType,
    IntType,
    LiteralType,
    NoneType,
    StrType,
    StructType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)
from sphinx.errors import SphinxError
from sphinx.util.docutils import SphinxDirective

from handbook import epytext
from handbook.names import anchor, crossing, find, item, label, linking
from sensord.config import Settings
from sensord.listeners import ListenerSettings
from sensord.outlets import KINDS, SinkSettings
from sensord.settings import Secret
from sensord.wires import WIRES

#: Structs in whose place others stand, the key that tells which, and what there is.
REGISTRIES: Mapping[type[Struct], tuple[str, Mapping[str, type[Struct]]]] = {
    ListenerSettings: ("wire", {name: wire.settings for name, wire in WIRES.items()}),
    SinkSettings: ("kind", KINDS),
}


class SettingsDirective(SphinxDirective):
    """
    C{.. settings::}: all of them.
    """

    def run(self) -> list[nodes.Node]:
        """
        Make the sections.
        """
        if missing := undescribed(Settings):
            lines = "\n".join(f"  {where}" for where in missing)
            raise SphinxError(f"no @ivar tells what these settings are:\n{lines}")
        for module in {kind.__module__ for kind, _path in tables(Settings)}:
            if file := importlib.import_module(module).__file__:
                self.env.note_dependency(file)
        made: list[nodes.Node] = [self._fields(Settings, "", plainFields(Settings))]
        for field in structs.fields(Settings):
            if (inner := inside(type_info(field.type))) is not None:
                title = heading(field.name, inner[1])
                made += self._table(inner[0], title, field.name, _without(field))
        return made

    def _table(
        self, kind: type[Struct], title: str, path: str, *further: nodes.Node
    ) -> list[nodes.Node]:
        """
        The section of a table, with those of the tables in it.
        """
        section = self._section(kind, title)
        section += further
        section += self._fields(kind, path, [field.name for field in structs.fields(kind)])
        for field in structs.fields(kind):
            if (inner := inside(type_info(field.type))) is not None:
                section += self._table(
                    inner[0], heading(f"{path}.{field.name}", inner[1]), f"{path}.{field.name}"
                )
        if kind in REGISTRIES:
            key, known = REGISTRIES[kind]
            for one, choice in _members(kind, known):
                section += self._member(one, f'{key} = "{choice}"' if choice else "", kind)
        return [section]

    def _member(self, kind: type[Struct], title: str, base: type[Struct]) -> nodes.Node:
        """
        The section of one of several structs: what it has beyond those that it is made of.
        """
        section = self._section(kind, title or epytext.read(kind.__doc__).body.rstrip("."))
        path = anchor(title or kind.__name__)
        section += self._fields(kind, path, get_annotations(kind))
        above = [one for one in _lineage(kind, base) if one is not base]
        for one in above:
            also = nodes.paragraph("", "", nodes.Text("And those of "))
            also += crossing(label(one), named(one), self.env.docname)
            also += nodes.Text(", above.")
            section += also
        return section

    def _section(self, kind: type[Struct], title: str) -> nodes.section:
        """
        The beginning of a section: what the docstring says.
        """
        name = label(kind)
        section = nodes.section("", ids=[anchor(name)], names=[name])
        code = "=" in title or title.startswith("[")
        shown = nodes.literal("", title) if code else nodes.Text(title)
        section += nodes.title("", "", shown)
        self.env.domains.standard_domain.note_hyperlink_target(
            name, self.env.docname, anchor(name), title
        )
        text = epytext.read(kind.__doc__).body
        if text.rstrip(".") != title:
            link = linking(importlib.import_module(kind.__module__), self.env.docname)
            section += epytext.blocks(_begun(_own(kind, text)), link)
        return section

    def _fields(self, kind: type[Struct], path: str, names: Iterable[str]) -> nodes.Element:
        """
        The list of the settings of a struct.
        """
        made = nodes.definition_list()
        fields = {field.name: field for field in structs.fields(kind)}
        for name in names:
            home, text = described(kind, name)
            link = linking(importlib.import_module(home.__module__), self.env.docname)
            field = fields[name]
            term = nodes.term("", "", nodes.literal("", name))
            term["ids"].append(anchor(f"{path}.{name}" if path else name))
            facts = nodes.classifier("", "", *_facts(field))
            words = nodes.paragraph("", "", *epytext.inline(_sentence(text), link))
            made += item(self, term, facts, nodes.definition("", words))
        return made if made.children else nodes.comment()


def plainFields(kind: type[Struct]) -> list[str]:
    """
    The settings that are no tables.
    """
    return [field.name for field in structs.fields(kind) if inside(type_info(field.type)) is None]


def tables(kind: type[Struct], path: str = "") -> Iterator[tuple[type[Struct], str]]:
    """
    All tables that there can be, and where they stand.
    """
    yield kind, path
    for field in structs.fields(kind):
        if (inner := inside(type_info(field.type))) is not None:
            yield from tables(inner[0], f"{path}.{field.name}".strip("."))
    if kind in REGISTRIES:
        for one, _choice in _members(kind, REGISTRIES[kind][1]):
            yield one, path


def undescribed(kind: type[Struct]) -> list[str]:
    """
    The settings of which no docstring says anything.
    """
    missing = []
    for table, path in tables(kind):
        for field in structs.fields(table):
            top = table is Settings and inside(type_info(field.type)) is not None
            if not top and not described(table, field.name)[1]:
                missing.append(f"{table.__module__}.{table.__name__}.{field.name} ({path})")
    return missing


def described(kind: type[Struct], name: str) -> tuple[type[Struct], str]:
    """
    What is said of a setting, and in whose docstring: that of its struct, of those that it is made
    of, or of those to which these send their readers.
    """
    for one in kind.__mro__:
        document = epytext.read(one.__doc__)
        if text := document.ivars().get(name):
            if text.startswith("see L{") and text.endswith("}."):
                return described(find(text[6:-2], importlib.import_module(one.__module__)), name)
            return one, text
        for target in _targets(document.body):
            found = find(target, importlib.import_module(one.__module__))
            if isinstance(found, type) and issubclass(found, Struct) and found is not kind:
                home, text = described(found, name)
                if text:
                    return home, text
    return kind, ""


def inside(kind: Type) -> tuple[type[Struct], bool] | None:
    """
    The struct that a table becomes, or each table of an array, and whether it is an array.
    """
    match kind:
        case StructType():
            return kind.cls, False
        case VarTupleType():
            inner = inside(kind.item_type)
            return (inner[0], True) if inner else None
        case UnionType():
            return next((found for one in kind.types if (found := inside(one))), None)
    return None


def heading(path: str, many: bool) -> str:
    """
    How a table is written.
    """
    return f"[[{path}]]" if many else f"[{path}]"


def words(kind: Type) -> str:
    """
    What can be written.
    """
    match kind:
        case BoolType():
            return "true or false"
        case IntType() | FloatType():
            whole = "a whole number" if isinstance(kind, IntType) else "a number"
            return f"{whole}{_range(kind)}"
        case StrType():
            return f"a text{_length(kind)}"
        case CustomType() if kind.cls is Secret:
            return "a secret"
        case VarTupleType():
            many = {StrType: "texts", StructType: "tables"}
            return f"an array of {many.get(type(kind.item_type), words(kind.item_type))}"
        case DictType():
            return "a table of texts"
        case LiteralType():
            *some, last = [written(value) for value in kind.values]
            return f"{', '.join(some)} or {last}" if some else last
        case UnionType():
            there = [words(one) for one in kind.types if not isinstance(one, NoneType)]
            return " or ".join(sorted(there, reverse=True))
        case StructType():
            return "a table"
    raise SphinxError(f"how is a {kind} written?")


def written(value: object) -> str:
    """
    A value as the file has it.
    """
    match value:
        case Secret():
            return '""'
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case tuple() | list():
            return f"[{', '.join(map(written, value))}]"
        case dict() if not value:
            return "{}"
    return json.dumps(value, ensure_ascii=False)


def named(kind: type[Struct]) -> str:
    """
    What a struct is called in a sentence.
    """
    first = epytext.read(kind.__doc__).body.partition(".")[0]
    return first[:1].lower() + first[1:]


def _range(kind: IntType | FloatType) -> str:
    low = kind.ge if kind.ge is not None else kind.gt
    high = kind.le if kind.le is not None else kind.lt
    above = "above " if kind.gt is not None else ""
    match low, high:
        case None, None:
            return ""
        case _, None:
            return f", {above or 'at least '}{low:,g}"
        case None, _:
            return f", at most {high:,.0f}"
    return f", {above}{low:,g} to {high:,.15g}"


def _length(kind: StrType) -> str:
    said = ""
    if kind.min_length:
        said += ", not empty" if kind.min_length == 1 else f", at least {kind.min_length} long"
    if kind.max_length is not None:
        said += f", at most {kind.max_length} characters"
    return said


def _facts(field: structs.FieldInfo) -> list[nodes.Node]:
    """
    What can be written, and what holds if nothing is.
    """
    kind = type_info(field.type)
    made: list[nodes.Node] = [nodes.Text(words(kind))]
    if isinstance(kind, StrType) and kind.pattern:
        made += [nodes.Text(", matching "), nodes.literal("", kind.pattern)]
    default = field.default
    if default is NODEFAULT and field.default_factory is not NODEFAULT:
        default = field.default_factory()
    if default is NODEFAULT:
        made.append(nodes.Text("; required"))
    elif default is not None:
        made += [nodes.Text("; default "), nodes.literal("", written(default))]
    return made


def _without(field: structs.FieldInfo) -> nodes.Element:
    """
    What holds where there is no such table.
    """
    if field.default is None:
        return nodes.paragraph("", "Without this table there is none.")
    if not isinstance(field.default, tuple) or not field.default:
        return nodes.comment()
    made = nodes.paragraph("", "Without any there are ")
    for place, one in enumerate(field.default):
        made += nodes.Text(", " if place else "")
        made += [nodes.literal("", one.name), nodes.Text(f" ({one.wire}, ")]
        made += [nodes.literal("", one.listen), nodes.Text(")")]
    made += nodes.Text(".")
    return made


def _members(
    base: type[Struct], known: Mapping[str, type[Struct]]
) -> Iterator[tuple[type[Struct], str]]:
    """
    The structs that can stand in place of another, and those that several of them are made of.
    """
    seen: set[type[Struct]] = {base}
    for choice, kind in known.items():
        for above in reversed(_lineage(kind, base)):
            if above not in seen:
                seen.add(above)
                yield above, ""
        seen.add(kind)
        yield kind, choice


def _lineage(kind: type[Struct], base: type[Struct]) -> list[type[Struct]]:
    """
    What a struct is made of, down to the one in whose place it stands.
    """
    return [one for one in kind.__mro__[1:] if issubclass(one, base)]


def _targets(text: str) -> list[str]:
    return [part.partition("}")[0] for part in text.split("L{")[1:]]


def _own(kind: type[Struct], text: str) -> str:
    """
    What a docstring says but for sentences that send its readers to settings which are no table:
    the fields that are meant are listed with the others.
    """
    module = importlib.import_module(kind.__module__)
    there = {table for table, _path in tables(Settings)}
    for target in _targets(text):
        found = find(target, module)
        if isinstance(found, type) and issubclass(found, Struct) and found not in there:
            text = re.sub(rf"(?:(?<=\.)\s+)?[^.]*L\{{{target}\}}[^.]*\.", "", text)
    return text


def _begun(text: str) -> str:
    """
    What a docstring says behind the name of its table.
    """
    rest = re.sub(r"^C\{[^}]*\}[:.]\s*", "", text)
    return rest[:1].upper() + rest[1:] if rest != text else text


def _sentence(text: str) -> str:
    """
    A text that begins in lower case, as one that stands alone.
    """
    return text if text[:2] in ("C{", "L{") else text[:1].upper() + text[1:]

"""
What stands in the sources and nowhere else: wire formats, what sinks write, limits and what they
are for, and how the names are used that other programs may use.
"""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

from docutils import nodes
from docutils.parsers.rst import directives
from msgspec import Struct
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import SphinxError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

import sensord
import sensord.wire
from handbook import epytext
from handbook.names import anchor, crossing, find, item, label, linking
from sensord.outlets import KINDS
from sensord.wires import WIRES

_log = logging.getLogger(__name__)

#: The words in what is said of a limit that tell what it is there for.
_THREAT = re.compile(r"\bwithout (?:it|a|the|them|limits?|this)\b", re.I)

#: Where pages note what they tell of.
_TOLD = "handbook_told"


class DocstringDirective(SphinxDirective):
    """
    C{.. docstring:: <module>}: what the docstring of a module says.

    C{:wire:} and C{:kind:} say which ones of the configuration it is about, if it is about any.
    """

    required_arguments = 1
    option_spec: ClassVar[Any] = {
        "wire": directives.unchanged_required,
        "kind": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        """
        Make the paragraphs.
        """
        module = importlib.import_module(self.arguments[0])
        self._note(module)
        name = label(module)
        target = nodes.target("", "", ids=[anchor(name)], names=[name])
        self.env.domains.standard_domain.note_hyperlink_target(
            name, self.env.docname, anchor(name), module.__name__
        )
        body = epytext.read(module.__doc__).body
        made: list[nodes.Node] = [target, *self._links()]
        return made + epytext.blocks(body, linking(module, self.env.docname))

    def _note(self, module: ModuleType) -> None:
        self.env.note_dependency(module.__file__ or "")
        told = {module.__name__, *(f"{key} {text}" for key, text in self._about())}
        _told(self.env).setdefault(self.env.docname, set()).update(told)

    def _about(self) -> list[tuple[str, str]]:
        return [(key, text) for key in self.options for text in self.options[key].split()]

    def _links(self) -> list[nodes.Node]:
        """
        Where its settings are.
        """
        made = nodes.paragraph("", "Settings: ")
        kinds: Mapping[str, type[Struct]]
        for place, (key, text) in enumerate(self._about()):
            kinds = (
                KINDS if key == "kind" else {name: wire.settings for name, wire in WIRES.items()}
            )
            if text not in kinds:
                raise SphinxError(f"{self.env.docname}: there is no {key} {text}")
            made += nodes.Text(", " if place else "")
            made += crossing(label(kinds[text]), f'{key} = "{text}"', self.env.docname)
        made += nodes.Text(".")
        return [made] if self.options else []


class Limit(NamedTuple):
    """
    A limit in the sources.

    @ivar names: with their values.
    @ivar why: what is said of it.
    """

    module: str
    names: Mapping[str, object]
    why: str


class LimitsDirective(SphinxDirective):
    """
    C{.. limits::}: all limits that say what would be without them.
    """

    def run(self) -> list[nodes.Node]:
        """
        Make the list.
        """
        made = nodes.definition_list()
        for limit in limits():
            module = importlib.import_module(limit.module)
            self.env.note_dependency(module.__file__ or "")
            term = nodes.term()
            for place, (name, value) in enumerate(limit.names.items()):
                term += nodes.Text(", " if place else "")
                term += nodes.literal("", f"{name.lstrip('_')} = {value}")
            link = linking(module, self.env.docname)
            paragraph = nodes.paragraph("", "", *epytext.inline(limit.why, link))
            where = nodes.classifier("", limit.module)
            made += item(self, term, where, nodes.definition("", paragraph))
        return [made]


class ReferenceDirective(SphinxDirective):
    """
    C{.. reference:: <dotted name>}: a class or a function, its docstring, and the public methods of
    the class.

    C{:methods:} says which methods; all of them unless it is there. C{:made:} is for classes of
    which programs make objects.
    """

    required_arguments = 1
    option_spec: ClassVar[Any] = {"methods": directives.unchanged, "made": directives.flag}

    def run(self) -> list[nodes.Node]:
        """
        Make the entry.
        """
        found = find(self.arguments[0], sensord)
        module = inspect.getmodule(found)
        if module is None:
            raise SphinxError(f"there is no {self.arguments[0]}")
        self.env.note_dependency(module.__file__ or "")
        inner = nodes.definition_list()
        if isinstance(found, type):
            wanted = self.options.get("methods")
            for name in _methods(found) if wanted is None else wanted.split():
                inner += self._entry(name, inspect.getattr_static(found, name), module)
        entry = self._entry(self.arguments[0], found, module, *([inner] if inner.children else []))
        return [nodes.definition_list("", entry)]

    def _entry(
        self, name: str, found: Any, module: ModuleType, *inner: nodes.Node
    ) -> nodes.Element:
        document = epytext.read(inspect.getdoc(found))
        called = ""
        if not isinstance(found, type) or "made" in self.options:
            called = _signature(found)
        elif document.fields:
            document = document._replace(fields=[f for f in document.fields if f.tag == "ivar"])
        link = linking(module, self.env.docname)
        body = nodes.definition("", *epytext.blocks(document.body, link))
        if document.fields:
            body += _fieldList(document, link)
        body += inner
        return item(self, nodes.term("", "", nodes.literal("", name + called)), body)


def limits() -> Iterator[Limit]:
    """
    The limits of all modules, each with what would be without it.
    """
    for info in pkgutil.walk_packages(sensord.__path__, "sensord."):
        spec = find_spec(info.name)
        if spec is None or spec.origin is None or info.name.startswith("sensord.pretend"):
            continue
        text = Path(spec.origin).read_text(encoding="utf-8")
        for statement in ast.parse(text).body:
            why = _comment(text.splitlines(), statement.lineno)
            if not (isinstance(statement, ast.Assign) and _THREAT.search(why)):
                continue
            if values := _values(importlib.import_module(info.name), statement):
                yield Limit(info.name, values, why)


def _comment(lines: list[str], number: int) -> str:
    """
    The comment of a statement, given its line.
    """
    first = number - 1
    while first and lines[first - 1].startswith("#:"):
        first -= 1
    return " ".join(line[2:].strip() for line in lines[first : number - 1])


def _values(module: ModuleType, statement: ast.Assign) -> dict[str, object]:
    """
    The numbers that a statement gives names.
    """
    names = [node.id for node in ast.walk(statement.targets[0]) if isinstance(node, ast.Name)]
    values = {name: getattr(module, name) for name in names}
    return {name: value for name, value in values.items() if isinstance(value, int | float)}


def _methods(kind: type) -> list[str]:
    """
    The public methods that a class itself has, in their order.
    """
    return [
        name
        for name, value in vars(kind).items()
        if not name.startswith("_") and inspect.isfunction(value)
    ]


def _signature(found: Any) -> str:
    """
    How something is called, without the types, which the docstring explains in words.
    """
    shown = []
    for one in inspect.signature(found).parameters.values():
        if one.default is inspect.Parameter.empty:
            shown.append(one.name)
        elif one.default is None or isinstance(one.default, int | float | str):
            shown.append(f"{one.name}={one.default!r}")
        else:
            shown.append(f"{one.name}=...")
    return f"({', '.join(name for name in shown if name != 'self')})"


def _fieldList(document: epytext.Docstring, link: epytext.Link) -> nodes.Element:
    made = nodes.field_list()
    for tag, name, text in document.fields:
        label = {"ivar": "", "param": ""}.get(tag, f"{tag} ")
        made += nodes.field(
            "",
            nodes.field_name("", f"{label}{name}".strip()),
            nodes.field_body("", nodes.paragraph("", "", *epytext.inline(text, link))),
        )
    return made


def _told(env: BuildEnvironment) -> dict[str, set[str]]:
    if not hasattr(env, _TOLD):
        setattr(env, _TOLD, {})
    told: dict[str, set[str]] = getattr(env, _TOLD)
    return told


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """
    A page is read anew.
    """
    _told(env).pop(docname, None)


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """
    Warn of wire formats and sinks that no page tells of.
    """
    told = {one for page in _told(env).values() for one in page}
    there = [f"sensord.wire.{info.name}" for info in pkgutil.iter_modules(sensord.wire.__path__)]
    there += [f"wire {name}" for name in WIRES] + [f"kind {name}" for name in KINDS]
    for one in there:
        if one not in told:
            _log.warning("no page tells of %s", one)

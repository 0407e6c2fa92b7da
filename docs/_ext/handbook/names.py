"""
What the links of docstrings point at: settings, wire formats, and lists of what can be written.
"""

import importlib
import inspect
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from docutils import nodes
from msgspec import Struct
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from handbook.epytext import Link


def label(of: Any) -> str:
    """
    What a place in these pages is called: that of a module, or that of the settings in a struct.
    """
    if isinstance(of, ModuleType):
        return f"module {of.__name__}".lower()
    return f"settings {of.__module__}.{of.__qualname__}".lower()


def anchor(text: str) -> str:
    """
    The same as a part of an address.
    """
    return nodes.make_id(text)


def find(name: str, module: ModuleType) -> Any:
    """
    What a module means by a dotted name; L{None} if nothing.
    """
    for start, path in ((module, name), *_paths(name)):
        found: Any = start
        try:
            for part in filter(None, path.split(".")):
                found = getattr(found, part)
        except AttributeError:
            continue
        return found
    return None


def _paths(name: str) -> Iterable[tuple[ModuleType, str]]:
    """
    Ways to read a name as that of a module of ours and of what is in it.
    """
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if parts[0] == "sensord":
            try:
                module = importlib.import_module(".".join(parts[:length]))
            except ModuleNotFoundError:
                continue
            yield module, ".".join(parts[length:])


def linking(module: ModuleType, docname: str) -> Link:
    """
    What makes the links of the docstrings of a module.

    @param docname: the page that they stand in.
    """

    def link(target: str, text: str) -> nodes.Node:
        found = find(target, module)
        if isinstance(found, type) and issubclass(found, Struct) and target.endswith("Settings"):
            return crossing(label(found), text, docname)
        home = found if isinstance(found, ModuleType) else inspect.getmodule(found)
        if home is not None and home.__name__.startswith("sensord.wire."):
            return crossing(label(home), text, docname)
        if isinstance(found, str | tuple | Mapping) and target.rpartition(".")[2].isupper():
            return choice(found)
        return nodes.literal("", text)

    return link


def crossing(target: str, text: str, docname: str) -> nodes.Element:
    """
    A link to a place that has a label.
    """
    code = "=" in text or (text.isidentifier() and text != text.lower())
    inner = nodes.literal("", text) if code else nodes.inline("", text)
    return addnodes.pending_xref(
        "",
        inner,
        refdomain="std",
        reftype="ref",
        reftarget=target,
        refexplicit=True,
        refwarn=True,
        refdoc=docname,
    )


def item(directive: SphinxDirective, term: nodes.term, *rest: nodes.Node) -> nodes.Element:
    """
    An item of a definition list. Sphinx wants to know in which line of a page it begins.
    """
    made = nodes.definition_list_item("", term, *rest)
    directive.set_source_info(made)
    return made


def choice(values: Iterable[object]) -> nodes.Element:
    """
    What can be written, one beside the other.
    """
    made = nodes.inline()
    for place, value in enumerate(values):
        if place:
            made += nodes.Text(", ")
        made += nodes.literal("", str(value))
    return made

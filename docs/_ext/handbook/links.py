"""
What pages that can be read as they are have in their own way: links to the files of other pages,
and blocks that do not say what language they are in.
"""

import re
import tomllib
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging

_log = logging.getLogger(__name__)

#: What blocks begin with, by their languages.
_LANGUAGES = {
    "ini": re.compile(r"\[[A-Z]\w+\]\n"),
    "toml": re.compile(r"(#[^\n]*\n)*(\[+[\w.]+\]+\n|\w+ = )", re.A),
    "python": re.compile(r'"""|from \w|import \w|class \w|def \w|async def |@\w'),
    "bash": re.compile(r"(twistd|sensord|python3?|venv/\S+|curl|printf|openssl|ssh|trial) "),
}


def resolve(app: Sphinx, tree: nodes.document) -> None:
    """
    Have links to files lead to pages, and blocks shown in their language.
    """
    docname = app.env.docname
    for link in list(tree.findall(nodes.reference)):
        target = link.get("refuri", "")
        if target and not re.match(r"[a-z]+:|#", target):
            link.replace_self(_page(app, docname, link, target))
    for block in tree.findall(nodes.literal_block):
        if "language" not in block:
            block["language"] = language(block.astext())


def language(text: str) -> str:
    """
    The language of a block.
    """
    found = next((name for name, begun in _LANGUAGES.items() if begun.match(text)), "none")
    if found == "toml":
        try:
            tomllib.loads(text)
        except tomllib.TOMLDecodeError:  # somebody else's notation
            return "none"
    return found


def _page(app: Sphinx, docname: str, link: nodes.reference, target: str) -> nodes.Node:
    path, _hash, _part = target.partition("#")
    file = Path(app.srcdir, docname).parent / path
    if not file.exists():
        _log.warning("there is no %s", target, location=link)
    if file.suffix != ".rst" or not file.resolve().is_relative_to(Path(app.srcdir).resolve()):
        return nodes.literal("", link.astext())  # a file of the sources
    return addnodes.pending_xref(
        "",
        nodes.inline("", link.astext()),
        refdomain="std",
        reftype="doc",
        reftarget=path.removesuffix(".rst"),
        refexplicit=not link.astext().endswith(".rst"),  # else it is called as the page
        refwarn=True,
        refdoc=docname,
    )

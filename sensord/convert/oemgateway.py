"""
C{oemgateway.conf}: C{[gateway]}, C{[listeners]} and C{[buffers]}, each with a C{type}.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from sensord.convert.draft import Draft
from sensord.convert.hints import LOGGING, hint
from sensord.convert.ini import Tree
from sensord.convert.inputs import Feed, Part, radio, serial, socket
from sensord.convert.keys import Keys
from sensord.convert.outputs import buffer
from sensord.convert.report import LeftOut, Report

T = TypeVar("T")

#: What it is called.
TITLE = "OemGateway"

_LISTENERS: dict[str, Callable[[Part], Feed]] = {
    "oemgatewayseriallistener": serial,
    "oemgatewayrfm2pilistener": radio,
    "oemgatewayrfm2pilistenerrepeater": radio,
    "oemgatewaysocketlistener": socket,
}

_BUFFERS = {"oemgatewayemoncmsbuffer": buffer}


def marks(tree: Tree) -> int:
    """
    How much of a file looks like one of these.
    """
    names = {name.lower() for name in tree}
    return 2 * len(names & {"gateway", "buffers"}) + ("oemgateway" in str(tree).lower())


def convert(keys: Keys, report: Report, draft: Draft) -> None:
    """
    Convert a file.
    """
    gateway = keys.section("gateway")
    gateway.drop("loglevel", *LOGGING)
    gateway.rest("sensord knows no such setting")
    feeds: list[Feed | None] = []
    listeners, buffers = keys.section("listeners"), keys.section("buffers")
    for name, section in listeners.sections():
        part = _part(name, section, draft, report)
        feeds.append(run(part, _LISTENERS))
    for name, section in buffers.sections():
        run(_part(name, section, draft, report), _BUFFERS)
    for outer in (listeners, buffers):
        outer.rest("is neither a listener nor a buffer")
    listed = [feed for feed in feeds if feed is not None]
    if any(table["kind"] == "emoncms" for _place, table in draft.sinks) and listed:
        name = listed[0].name
        report.change(
            "[listeners]",
            f'what was node 10 is called "{name}_10" in emoncms now, since each listener has'
            " numbers of its own: it will make new inputs. A table [[devices]] with"
            f' address = "{name}/10" and name = "10" lets the old ones go on',
        )
    keys.rest("sensord knows no such section")


def run(part: Part, makers: Mapping[str, Callable[[Part], T]]) -> T | None:
    """
    Make of a section what its type says, and list what is left of it.

    @param makers: what makes something of it, by the type in lower case.
    """
    try:
        if not part.type:
            raise LeftOut("it has no type, and so did nothing")
        if part.type.lower() not in makers:
            raise LeftOut("sensord has no counterpart for it", hint(part.type))
        made = makers[part.type.lower()](part)
    except LeftOut as out:
        part.keys.leave(out)
        return None
    for keys in (part.init, part.run, part.keys):
        keys.rest("is no setting that sensord has a counterpart for")
    return made


def _part(name: str, section: Keys, draft: Draft, report: Report) -> Part:
    init, run = section.section("init_settings"), section.section("runtime_settings")
    return Part(name, section.text("type"), section, init, run, draft, report, True)

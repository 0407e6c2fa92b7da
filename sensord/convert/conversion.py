"""
One file becomes another.
"""

from msgspec import Struct

from sensord.convert import emonhub, ini, oemgateway
from sensord.convert.draft import Draft
from sensord.convert.keys import Keys
from sensord.convert.report import ConvertError, Report

#: Those that are known, by what they are called.
KINDS = {"oemgateway": oemgateway, "emonhub": emonhub}


class Conversion(Struct, frozen=True):
    """
    What became of a file.

    @ivar kind: one of L{KINDS}.
    @ivar draft: the new configuration.
    @ivar report: what is to be said of it.
    """

    kind: str
    draft: Draft
    report: Report


def convert(data: bytes, kind: str = "", encoding: str = "utf-8") -> Conversion:
    """
    Convert a file.

    @param data: what is in it.
    @param kind: one of L{KINDS}; empty is the one that it looks like.
    @raise ConvertError: if nothing can be made of it.
    """
    tree = ini.parse(data, encoding)
    if not kind:
        marks = {name: one.marks(tree) for name, one in KINDS.items()}
        kind = max(marks, key=lambda name: marks[name])
        if not marks[kind]:
            raise ConvertError(
                "is neither an oemgateway.conf nor an emonhub.conf; --from says which it is"
            )
    report = Report()
    draft = Draft(report)
    KINDS[kind].convert(Keys("", tree, report), report, draft)
    if not draft.listeners and not draft.sinks:
        raise ConvertError("has nothing in it that sensord could do", report)
    return Conversion(kind, draft, report)

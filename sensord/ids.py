"""
What hubs, groups and the devices of hubs may be called. These ids stand in topics, and are names of
files.
"""

import re
from collections.abc import Iterable

#: What the set of hubs is kept in, beside the folders of groups.
ROLL = "hubs.json"

#: The level of topics that is the manager's own.
MANAGER = "hub_manager"

#: Nothing that has a meaning in a topic (C{+}, C{#}, C{/}, C{$}) or that walks a path.
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}").fullmatch

#: What would be taken for something else: the manager's own topics, and its own files.
_TAKEN = {"hub": (MANAGER,), "group": (ROLL, f"{ROLL}.new")}


def idFault(kind: str, text: str) -> Iterable[str]:
    """
    A fault if a text is no id.

    @param kind: C{hub}, C{group} or C{device}.
    """
    if not text:
        yield f"a {kind} has to be named"
    elif not _ID(text):
        yield (
            f"{text[:80]!r} is no id of a {kind}: at most 64 letters, digits, _, - and .,"
            " the first of which is no dot"
        )
    elif text in _TAKEN.get(kind, ()):
        yield f"{text!r} means something else, and no {kind}"

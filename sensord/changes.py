"""
What is different between two configurations, a line for each, and what of it has to wait for a
restart.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct, json, structs, to_builtins

from sensord.config import Settings
from sensord.settings import Secret

#: What cannot change while the daemon runs: the table, and the key; empty is all of the table.
_FIXED = (("store", "path"), ("control", ""), ("hubs", ""))

#: What is said of that.
LATER = "takes effect at the next start"

#: The longest text that is shown of a value: a description may be long.
_LENGTH = 60


def kept(before: Settings, after: Settings) -> Settings:
    """
    The settings that can be in effect without a restart.

    @param before: those that are.
    @param after: those that are wanted.
    """
    for table, key in _FIXED:
        value = getattr(before, table)
        if key:
            value = structs.replace(getattr(after, table), **{key: getattr(value, key)})
        after = structs.replace(after, **{table: value})
    return after


def difference(before: Settings, after: Settings) -> list[str]:
    """
    What is different, a line for each. Secrets are not shown.
    """
    lines: list[str] = []
    for field in structs.fields(Settings):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old == new:
            continue
        if isinstance(new, tuple):
            lines += _rows(field.encode_name, old, new)
        else:
            where = f"[{field.encode_name}]"
            fixed = [key for table, key in _FIXED if table == field.name]
            for line, key in _table(where, old, new):
                lines.append(f"{line} ({LATER})" if {key, ""} & {*fixed} else line)
    return lines


def _table(where: str, old: Any, new: Any) -> Iterator[tuple[str, str]]:
    """
    The differences of one table, each with its key; empty where it is the whole table.
    """
    if old is None or new is None or type(old) is not type(new):
        yield f"{where}: {'added' if old is None else 'removed' if new is None else 'changed'}", ""
    elif isinstance(new, Struct):
        for field in structs.fields(new):
            was, will = getattr(old, field.name), getattr(new, field.name)
            if was != will:
                said = "changed" if isinstance(will, Secret) else f"{_shown(was)} -> {_shown(will)}"
                yield f"{where} {field.encode_name}: {said}", field.name
    elif isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            if old.get(key) != new.get(key):
                yield f"{where} {key}: {_shown(old.get(key))} -> {_shown(new.get(key))}", key
    else:
        yield f"{where.strip('[]')}: {_shown(old)} -> {_shown(new)}", ""


def _rows(kind: str, old: Sequence[Any], new: Sequence[Any]) -> Iterator[str]:
    """
    The differences of an array of tables.
    """
    before, after = _named(old), _named(new)
    for name in dict.fromkeys([*before, *after]):
        was, will = before.get(name), after.get(name)
        if was != will:
            yield from (line for line, _key in _table(f'[[{kind}]] "{name}"', was, will))
    if before == after or (before.keys() == after.keys() and [*before] != [*after]):
        yield f"[[{kind}]]: in another order"


def _named(rows: Sequence[Any]) -> dict[str, Any]:
    """
    Tables by what they are called; those without a name by what they are for.
    """
    named: dict[str, Any] = {}
    for row in rows:
        name = getattr(row, "address", "") or getattr(row, "name", "")
        if device := getattr(row, "device", ""):
            name = f"{device} {name}"
        while name in named:
            name += "'"
        named[name] = row
    return named


def _shown(value: object) -> str:
    """
    A value for people.
    """
    if value is None:
        return "nothing"
    text = json.encode(to_builtins(value, enc_hook=_hide)).decode()
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 3]}..."


def _hide(value: object) -> object:
    return "(hidden)" if isinstance(value, Secret) and value else ""

"""
Plain tables (a TOML document, or dicts of that shape) into msgspec structs. Unlike a bare
C{msgspec.convert} it finds every fault in one go, says where each one is, and guesses what an
unknown key was meant to be.

A struct may have a method C{faults}, which yields what is wrong with it beyond the types of its
fields, each as C{key: what is wrong}.
"""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, TypeVar, get_args, get_origin

from msgspec import NODEFAULT, Struct, ValidationError, convert, structs

S = TypeVar("S", bound=Struct)


#: Makes a value of a type that TOML does not know, given the type and what stands in its place.
Special = Callable[[type, object], object]

#: For structs in whose place a table becomes another one: tells which, given the table.
Choices = Mapping[type[Struct], Callable[[Mapping[str, Any]], type[Any]]]


def build(
    table: object,
    kind: type[S],
    faults: list[str],
    where: str = "",
    special: Special | None = None,
    choices: Choices = MappingProxyType({}),
) -> S | None:
    """
    Make a struct of a table.

    @param faults: gets a line for each fault.
    @param where: what to call the table in those lines.
    @param special: makes values of other types; it raises C{ValueError} with what is wrong.
    @return: L{None} if it could not be made. What was made may have faults all the same.
    """
    if not isinstance(table, Mapping):
        faults.append(f"{where}: expected a table")
        return None
    if kind in choices:
        kind = choices[kind](table)
    fields = {field.name: field for field in structs.fields(kind)}
    for key in [key for key in table if key not in fields]:
        faults.append(f"{_at(where, key)}: unknown {_noun(table[key])}{meant(key, fields)}")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in table:
            values[name] = _field(table[name], field, faults, where, special, choices)
        elif field.default is NODEFAULT and field.default_factory is NODEFAULT:
            faults.append(f"{_at(where, name)}: is missing")
            values[name] = None
    if None in values.values():
        return None
    made = kind(**values)
    faults.extend(_at(where, fault) for fault in getattr(made, "faults", tuple)())
    return made


def _field(
    value: object,
    field: structs.FieldInfo,
    faults: list[str],
    where: str,
    special: Special | None,
    choices: Choices,
) -> object:
    """
    The value of one field, which may be a table or an array of tables.

    @return: L{None} if it could not be made.
    """
    name, kind, inner = field.name, field.type, _struct(field.type)
    many = get_origin(kind) is tuple
    if inner is not None and not many:
        return build(value, inner, faults, _at(where, f"[{name}]"), special, choices)
    if inner is not None and isinstance(value, list | tuple):
        rows = tuple(
            build(row, inner, faults, _at(where, _row(name, row, number)), special, choices)
            for number, row in enumerate(value, 1)
        )
        return None if None in rows else rows
    try:
        return convert(value, kind, dec_hook=special)
    except ValidationError as error:
        said = str(error)
        faults.append(f"{_at(where, name)}: {said[0].lower()}{said[1:]}")
        return None


def _struct(kind: Any) -> type[Struct] | None:
    """
    The struct that a table, or each table of an array, becomes.
    """
    for candidate in (kind, *get_args(kind)[:1]):
        if isinstance(candidate, type) and issubclass(candidate, Struct):
            return candidate
    return None


def _at(where: str, key: str) -> str:
    return f"{where} {key}".strip()


def _row(name: str, item: object, number: int) -> str:
    """
    What to call one table of an array: by its name, else by its place.
    """
    label = item.get("name") or item.get("address") if isinstance(item, Mapping) else None
    return f'[[{name}]] "{label}"' if label else f"[[{name}]] {number}"


def _noun(value: object) -> str:
    tables = isinstance(value, Mapping) or (
        isinstance(value, list) and any(isinstance(item, Mapping) for item in value)
    )
    return "table" if tables else "key"


def meant(wrong: str, right: Iterable[str]) -> str:
    """
    A guess at what a wrong name should have been, to end a sentence with; empty without one.
    """
    near = get_close_matches(wrong, list(right), 1)
    return f'; did you mean "{near[0]}"?' if near else ""

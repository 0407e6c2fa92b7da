"""
The form that both files have: settings in sections in sections, C{[one]}, C{[[two]]} and so on, as
the library ConfigObj reads it, which both programs use.
"""

import re
from importlib import import_module
from typing import Any

from sensord.convert.report import ConvertError

#: The largest file, the longest line, the deepest section. What is beyond is no such file, and
#: would only keep the machine busy.
MOST, _LONGEST, _DEEPEST = 1_000_000, 10_000, 6

#: A section: its settings, and its sections.
Tree = dict[str, "str | list[str] | Tree"]

#: What ConfigObj says is wrong with a line, by the name of the exception. It says it with the line,
#: which may have a secret in it.
_WRONG = {
    "DuplicateError": "this name is there already",
    "NestingError": "this section is too deep, or its brackets do not match",
    "ParseError": "this is neither a section nor a setting",
    "UnreprError": "this is neither a section nor a setting",
}


def parse(data: bytes, encoding: str = "utf-8") -> Tree:
    """
    Read a file.

    @raise ConvertError: if that is not possible.
    """
    try:
        module = import_module("configobj")
    except ImportError as error:
        raise ConvertError(
            "can be read only with the library ConfigObj: pip install configobj"
        ) from error
    try:
        read = module.ConfigObj(_lines(data, encoding), interpolation=False)
    except SyntaxError as error:
        raise ConvertError(_where(error)) from error
    return _tree(read, 1)


def _lines(data: bytes, encoding: str) -> list[str]:
    """
    The lines of a file.
    """
    if len(data) > MOST:
        raise ConvertError(f"has more than {MOST} bytes, which is no configuration")
    try:
        text = data.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except LookupError as error:
        raise ConvertError(f"there is no encoding {encoding!r}") from error
    except ValueError as error:
        before = data[: getattr(error, "start", 0)]
        raise ConvertError(
            f"line {before.count(10) + 1} is no {encoding};"
            " --encoding says what it is, e.g. latin-1"
        ) from error
    lines = re.split("\r\n|\n|\r", text)
    for number, line in enumerate(lines, 1):
        if re.search("[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]", line):
            raise ConvertError(f"line {number} is no text")
        if len(line) > _LONGEST:
            raise ConvertError(f"line {number} has {len(line)} characters")
    return lines


def _where(error: Any) -> str:
    """
    What is wrong with a file, and where.
    """
    first = (getattr(error, "errors", None) or [error])[0]
    why = _WRONG.get(type(first).__name__, "this cannot be read")
    number = getattr(first, "line_number", None)
    return f"line {number}: {why}" if number else why


def _tree(section: Any, depth: int) -> Tree:
    """
    A section as plain values.
    """
    if depth > _DEEPEST:
        raise ConvertError("has sections in sections in sections, and no end of it")
    return {
        key: _tree(value, depth + 1)
        if isinstance(value, dict)
        else [_plain(one) for one in value]
        if isinstance(value, list)
        else _plain(value)
        for key, value in section.items()
    }


def _plain(value: object) -> str:
    """
    A value on one line, without blanks around it.
    """
    return " ".join(str(value).split())

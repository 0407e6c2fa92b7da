"""
What takes the place of the standard input at the prompt. The real one is that of the process: a
gateway in the foreground would stand still until somebody types something at its own terminal.
"""

import pydoc
from io import TextIOBase
from typing import NoReturn

_WHY = "nobody can type an answer here: the standard input is the gateway's own"


class NoInput(TextIOBase):
    """
    A standard input that has nothing to read, and says why.
    """

    def read(self, size: int | None = -1, /) -> NoReturn:
        """
        @raise EOFError: always.
        """
        raise EOFError(_WHY)

    def readline(self, size: int = -1, /) -> NoReturn:  # type: ignore[override]
        """
        @raise EOFError: always.
        """
        raise EOFError(_WHY)

    def close(self) -> None:
        """
        Stay open: Python's own C{exit} closes it.
        """


def refuse(*_arguments: object, **_more: object) -> NoReturn:
    """
    What C{breakpoint()} does.

    @raise RuntimeError: always.
    """
    raise RuntimeError("a debugger would stop the gateway, and could not be typed at from here")


def explain(*things: object) -> None:
    """
    What C{help} does. Python's own asks what to explain, and shows it page by page.
    """
    if not things:
        print("help(x) explains x, for example help(store); h lists the words and the names")
    for thing in things:
        try:
            print(pydoc.plain(pydoc.render_doc(thing, "%s")))
        except ImportError as error:  # so it calls a name that means nothing
            print(str(error).partition("\n")[0])


def _ask(_prompt: object = "") -> NoReturn:
    raise EOFError(_WHY)


#: What these names mean at the prompt, also in what is typed there and called later.
NAMES = {"help": explain, "input": _ask, "breakpoint": refuse}

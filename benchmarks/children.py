"""
The processes that a benchmark starts, as their parent sees them.
"""

import sys
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Timer
from types import TracebackType

#: Seconds that a process may live.
_LIFE = 120.0


class BenchmarkError(Exception):
    """
    A benchmark did not work, so that it has no figures.
    """


class Child:
    """
    A process that answers lines with lines. It lives as long as the C{with} block.

    @param module: which one of this package it runs.
    """

    def __init__(self, module: str, *arguments: object) -> None:
        self._name = module
        self._process = Popen(
            [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)],
            stdin=PIPE,
            stdout=PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        self._watchdog = Timer(_LIFE, self._process.kill)

    def __enter__(self) -> "Child":
        self._watchdog.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watchdog.cancel()
        self._process.kill()
        self._process.communicate()

    def tell(self, line: object) -> None:
        """
        Give it a line.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        """
        Wait for a line of it.

        @raise BenchmarkError: if it ended.
        """
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return line
        raise BenchmarkError(f"the {self._name} process ended, or took more than {_LIFE:.0f} s")

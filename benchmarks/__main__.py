"""
C{python -m benchmarks}: run the cases, and print a table.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from unittest import SkipTest

import click

from benchmarks.cases import CASES, Case, Outcome, run
from benchmarks.children import BenchmarkError
from benchmarks.marks import descriptors

#: File descriptors that a process needs beside those of its connections.
_SPARE = 100

_QUICK = 10

_HEAD = (
    "case",
    "unit",
    "ours",
    "limit",
    "ratio",
    "best",
    "bar",
    "",
    "CPU µs/reading",
    "(limit)",
    "busy",
    "(limit)",
)


@click.command(help="Measure sensord beside its limits. Exits with 1 if a bar is missed.")
@click.argument("names", metavar="[CASE]...", nargs=-1, type=click.Choice([c.name for c in CASES]))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--quick", is_flag=True, help="Send a tenth: it shows that all works, and no more.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where databases are made, for a while; on the disk that is meant.",
)
def main(names: Sequence[str], rounds: int, quick: bool, folder: Path | None) -> None:
    """
    Run the cases that are named, or all.
    """
    outcomes = []
    room = descriptors() - _SPARE
    for case in CASES:
        if names and case.name not in names:
            continue
        if case.connections > room:
            click.echo(f"{case.name}: skipped, the system allows {room} connections here", err=True)
            continue
        try:
            outcomes.append(run(case.part(_QUICK) if quick else case, rounds, folder, _progress))
        except SkipTest as missing:
            _progress("")
            click.echo(f"{case.name}: skipped, it needs what is missing here: {missing}", err=True)
        except BenchmarkError as error:
            _progress("")
            raise click.ClickException(f"{case.name}: {error}") from error
    _progress("")
    click.echo(table(outcomes))
    for outcome in outcomes:
        if outcome.doubtful:
            name = outcome.case.name
            click.echo(f"{name}: doubtful, the client or another program held the limit back")
    sys.exit(code(outcomes))


def code(outcomes: Sequence[Outcome]) -> int:
    """
    What to tell the shell: 0 if all bars are reached, else 1.
    """
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def table(outcomes: Sequence[Outcome]) -> str:
    """
    What is to be seen of some outcomes, a line for each.
    """
    lines = [_HEAD, *(_cells(outcome) for outcome in outcomes)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _cells(outcome: Outcome) -> tuple[str, ...]:
    case = outcome.case
    cpu = [outcome.middle(side, lambda s: s.cpu * 1e6 / s.units / case.readings) for side in (0, 1)]
    busy = [outcome.middle(side, lambda sample: sample.busy) for side in (0, 1)]
    return (
        case.name,
        case.unit,
        _figure(outcome.middle(0, case.value)),
        _figure(outcome.middle(1, case.value)),
        f"{median(outcome.ratios):.2f}",
        f"{outcome.best:.2f}",
        _bar(case),
        _verdict(outcome),
        *(f"{one:.1f}" for one in cpu),
        *(f"{one:.2f}" for one in busy),
    )


def _verdict(outcome: Outcome) -> str:
    if not outcome.case.barred:
        return ""
    return "pass" if outcome.passed else "FAIL"


def _bar(case: Case) -> str:
    if not case.barred:
        return "none"
    return f"<= {_figure(case.most)}" if case.most else f">= {case.least:.2f}"


def _figure(number: float) -> str:
    return f"{number:,.1f}" if number < 1000 else f"{number:,.0f}"


def _progress(text: str) -> None:
    """
    Show what is going on, in place of what was.
    """
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", nl=False, err=True)


if __name__ == "__main__":
    main()

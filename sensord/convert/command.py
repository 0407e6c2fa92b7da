"""
C{sensord convert}.
"""

import os
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from sensord import __version__, files
from sensord.config import ADDITIONS, ConfigError, load
from sensord.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensord.convert.conversion import Conversion
    from sensord.convert.report import Report

#: The exit code for when something has no counterpart, and was asked for.
_LOST = 3

#: What a new file is called that has no name yet.
_NAME = "sensord.toml"

_file = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=_file)
@click.option("-o", "--output", type=_file, metavar="FILE", help="Default is the standard output.")
@click.option("--force", is_flag=True, help="Write over what is there.")
@click.option("--secrets", "apart", is_flag=True, help="Put keys and passwords into own files.")
@click.option("--from", "kind", type=click.Choice(["oemgateway", "emonhub"]), help="What it is.")
@click.option("--encoding", default="utf-8", show_default=True, help="Of the FILE.")
@click.option("--strict", is_flag=True, help="Exit with 3 if something has no counterpart.")
@click.pass_context
def convert(
    ctx: click.Context,
    file: Path,
    output: Path | None,
    force: bool,
    apart: bool,
    kind: str | None,
    encoding: str,
    strict: bool,
) -> None:
    """
    Make a sensord.toml of the FILE of another gateway: oemgateway.conf or emonhub.conf.

    What was carried over, what is not quite as before and what has no counterpart is told, here and
    at the top of the new file. Exit codes: 0 it was converted, 1 it could not be.
    """
    if apart and output is None:
        raise click.UsageError("--secrets needs a FILE to put them beside: -o")
    if output is not None:
        _vacant(output, force, file)
    with _told(file):
        made = _made(file, kind, encoding)
    text, secrets = made.draft.text(_head(file, made), apart)
    if output is not None:
        if output.name in secrets:
            raise click.ClickException(f"{plain(str(output))}: is the name of a secret's file")
        for name in secrets:
            _vacant(output.parent / name, force, file)
    _check(text, secrets, output)
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text, secrets)
    for line in (*made.report.lines(), *_tail(made, output, secrets)):
        click.echo(line, err=True)
    if strict and made.report.lost:
        ctx.exit(_LOST)


def _made(file: Path, kind: str | None, encoding: str) -> "Conversion":
    from sensord.convert.conversion import convert as run  # it takes long to import
    from sensord.convert.ini import MOST

    with open(file, "rb") as opened:
        data = opened.read(MOST + 1)  # it may be one without an end
    return run(data, kind or "", encoding)


@contextmanager
def _told(file: Path) -> "Iterator[None]":
    """
    What cannot be converted is an error of one line, behind what is known of it.
    """
    from sensord.convert.report import ConvertError

    try:
        yield
    except ConvertError as error:
        report: Report | None = error.report
        for line in report.lines() if report is not None else ():
            click.echo(line, err=True)
        raise click.ClickException(f"{plain(str(file))}: {plain(str(error))}") from error


def _head(file: Path, made: "Conversion") -> list[str]:
    """
    The top of the new file.
    """
    from sensord.convert.conversion import KINDS

    title = KINDS[made.kind].TITLE
    return [
        f"Made by sensord {__version__} of {plain(file.name)}, which was for {title}.",
        "Settings that are not here have their defaults: twistd sensord --example",
        "",
        *made.report.lines(),
    ]


def _check(text: str, secrets: Mapping[str, str], output: Path | None) -> None:
    """
    Make sure that the daemon takes the new file, before there is one.
    """
    from twisted.internet import reactor

    from sensord.check import faults

    with TemporaryDirectory() as folder:
        if output is not None:  # what is described beside it has to fit, too
            (Path(folder) / ADDITIONS).symlink_to(output.parent.absolute() / ADDITIONS)
        path = Path(folder) / (output.name if output is not None else _NAME)
        for name, secret in secrets.items():
            files.replace(Path(folder) / name, secret.encode())
        files.replace(path, text.encode())
        try:
            found = faults(reactor, load(path))
        except ConfigError as error:
            found = list(error.faults)
    if found:
        for fault in found:
            click.echo(plain(fault), err=True)
        raise click.ClickException("the new file would have these faults; nothing was written")


def _vacant(path: Path, force: bool, source: Path) -> None:
    """
    @raise ClickException: if nothing may be written there.
    """
    if os.path.lexists(path) and not force:
        raise click.ClickException(f"{plain(str(path))}: is there already; --force writes over it")
    with suppress(OSError):
        if path.samefile(source):
            raise click.ClickException(f"{plain(str(path))}: is what is to be converted")


def _write(path: Path, text: str, secrets: Mapping[str, str]) -> None:
    """
    Write the new file, and the secrets beside it. They are for us alone.
    """
    for name, secret in secrets.items():
        files.replace(path.parent / name, secret.encode(), durable=True)
    files.replace(path, text.encode(), durable=True)


def _tail(made: "Conversion", output: Path | None, secrets: Mapping[str, str]) -> list[str]:
    """
    What there is now, and what is to be done with it.
    """
    draft = made.draft
    counts = (draft.listeners, "listeners"), (draft.devices, "devices"), (draft.sinks, "sinks")
    said = ", ".join(f"{len(tables)} {noun}" for tables, noun in counts)
    if output is None:
        has = ["it has keys or passwords in it: keep it from others (chmod 600)"]
        return [said, *(has if draft.secrets else [])]
    beside = f", and {', '.join(secrets)} beside it" if secrets else ""
    return [
        f"{said}: {plain(str(output))}{beside}",
        f"check it: twistd sensord --config {plain(str(output))} --check",
    ]

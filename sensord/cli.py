"""
C{sensord}: the toolbox. What works on the database is here, whether the daemon runs or not; what
asks the daemon is in L{sensord.remote}.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from errno import EPIPE
from functools import partial
from pathlib import Path
from time import time
from typing import Any

import click
from msgspec import Struct, json

from sensord import __version__, letters, remote
from sensord.config import ConfigError, Settings, load
from sensord.convert.command import convert
from sensord.devices import Devices
from sensord.hubs.toolbox import hubs
from sensord.quarantine import redecode
from sensord.rehearse import simulate
from sensord.store.archive import Archive, Held
from sensord.store.audit import audit
from sensord.store.database import Database
from sensord.store.schema import StoreError, connect
from sensord.text import FORMATS, balance, details, iso, moment, plain, redecoded, table
from sensord.web.toolbox import passwd

_CONFIG = Path("sensord.toml")
_DATABASE = Path("sensord.sqlite")
_DEMO = Path("sensord-demo.sqlite")


class _NoText(click.ClickException):
    """
    An argument has bytes in it that mean no characters.
    """

    exit_code = 2

    def __init__(self, said: str) -> None:
        super().__init__(f"{os.fsencode(said)!r} is no UTF-8".removeprefix("b"))


class _Commands(click.Group):
    """
    Commands whose errors, when they are the world's, are one line and no traceback.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """
        Run one.
        """
        try:
            return super().invoke(ctx)
        except (ConfigError, StoreError) as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            if error.errno == EPIPE:  # the reader has had enough: click ends quietly then
                raise
            text = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            raise click.ClickException(text) from error
        except KeyboardInterrupt:
            ctx.exit(130)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **more: Any) -> Any:
        """
        Do what was said. Where that is no text it is named: only the name of a file may be none.
        """
        said = sys.argv[1:] if args is None else list(args)
        try:
            return super().main(said, *rest, **more)
        except UnicodeEncodeError:
            wrong = next((one for one in said if not _isText(one)), None)
            if wrong is None:  # this is about something else
                raise
            fault = _NoText(wrong)
            fault.show()
            sys.exit(fault.exit_code)


class Toolbox(Struct, frozen=True):
    """
    What the commands work on.

    @ivar config: the configuration file, if one was named.
    @ivar database: the database, if one was named.
    @ivar socket: the socket of the daemon, if one was named.
    """

    config: Path | None = None
    database: Path | None = None
    socket: Path | None = None

    def settings(self) -> Settings | None:
        """
        Those of the file that was named, or of C{./sensord.toml}; L{None} without either.

        @raise ConfigError: if there is something wrong with them.
        """
        if self.config is None and not _CONFIG.exists():
            return None
        return load(self.config or _CONFIG)

    def archive(self) -> Archive:
        """
        The database that is meant. Where it was not named, stderr says which one that is.

        @raise ClickException: if there is none.
        """
        if self.database is not None:
            return Archive(self.database)
        other = f"; --database {_DEMO} is the demo's" if _DEMO.exists() else ""
        if settings := self.settings():
            path = Path(settings.store.path)
            if self.config is None:
                _say(f"this is {path}, as ./{_CONFIG} says{other}")
            return Archive(path)
        if _DATABASE.exists():
            _say(f"this is ./{_DATABASE}{other}")
            return Archive(_DATABASE)
        if _DEMO.exists():
            _say(f"this is ./{_DEMO}, of twistd sensord --demo")
            return Archive(_DEMO)
        raise click.ClickException(
            f"there is no ./{_CONFIG}, ./{_DATABASE} or ./{_DEMO}; use --config or --database"
        )


_pass = click.make_pass_decorator(Toolbox)
_file = click.Path(path_type=Path)


@click.group(cls=_Commands)
@click.option("--config", type=_file, help="The configuration file; default ./sensord.toml.")
@click.option("--database", type=_file, help="The database; default what is configured.")
@click.option("--socket", type=_file, help="The daemon's socket; default beside the database.")
@click.version_option(__version__, prog_name="sensord")
@click.pass_context
def main(
    ctx: click.Context, config: Path | None, database: Path | None, socket: Path | None
) -> None:
    """
    The toolbox of the sensor gateway. The daemon itself is: twistd sensord
    """
    ctx.obj = Toolbox(config, database, socket)


for _command in (*remote.COMMANDS, *letters.COMMANDS, convert, hubs, passwd, simulate):
    main.add_command(_command)


@main.command("audit")
@click.option("--json", "asJson", is_flag=True, help="Print it as JSON.")
@_pass
@click.pass_context
def auditCommand(ctx: click.Context, toolbox: Toolbox, asJson: bool) -> None:
    """
    Prove that whatever was received is accounted for.
    """
    outcome = audit(toolbox.archive())
    if asJson:
        click.echo(json.format(json.encode(outcome), indent=2))
    else:
        click.echo("\n".join(balance(outcome)))
    for fault in outcome.faults:
        click.echo(fault, err=True)
    if outcome.faults:
        ctx.exit(1)
    if not asJson:
        click.echo("the ledger balances")


@main.group()
def quarantine() -> None:
    """
    The frames that no description fits.
    """


@quarantine.command("list")
@click.option("--listener", help="Only of this listener.")
@_pass
def listQuarantine(toolbox: Toolbox, listener: str | None) -> None:
    """
    List them, oldest first.
    """
    rows = [
        (held.id, iso(held.time), held.listener, held.peer, len(held.data), held.why)
        for held in toolbox.archive().quarantine(listener)
    ]
    if not rows:
        click.echo("there is nothing in quarantine", err=True)
        return
    click.echo("\n".join(table([("id", "time", "listener", "peer", "bytes", "why"), *rows])))


@quarantine.command("show")
@click.argument("id", type=int)
@_pass
def showQuarantine(toolbox: Toolbox, id: int) -> None:
    """
    Show the frame with an ID.
    """
    held = _held(toolbox.archive(), [id])[0]
    click.echo("\n".join(details(held)))


@quarantine.command("redecode")
@click.argument("ids", type=int, nargs=-1, metavar="[ID]...")
@_pass
def redecodeQuarantine(toolbox: Toolbox, ids: tuple[int, ...]) -> None:
    """
    Decode them again, or those with the given IDs, with the descriptions of the configuration.
    """
    settings = toolbox.settings()
    if settings is None:
        raise click.ClickException(f"there are no descriptions: no ./{_CONFIG}; use --config")
    archive = toolbox.archive()
    frames = _held(archive, ids)
    database = Database(
        archive.path,
        Devices(settings).describe,
        settings.store.max_quarantine,
        partial(connect, busy=10_000),
        replace=False,
    )
    try:
        with _progress(len(frames), sys.stderr.isatty()) as progress:
            outcome = redecode(settings, database, archive, set(ids) or None, progress)
    finally:
        database.close()
    click.echo("\n".join(redecoded(outcome)))
    if outcome.resolved:
        click.echo("a daemon that runs knows what it was started with: restart it", err=True)


@main.command()
@click.option("--format", type=click.Choice(list(FORMATS)), default="csv", show_default=True)
@click.option("--device", default="*", metavar="PATTERN", help="With * and ?.")
@click.option("--name", default="*", metavar="PATTERN", help="With * and ?.")
@click.option("--since", metavar="T", help='A time, or how long ago: "2025-11-20T18:00", "2h".')
@click.option("--until", metavar="T", help="Likewise; that time itself is not included.")
@click.option("--output", type=_file, metavar="FILE", help="Default is the standard output.")
@_pass
def export(
    toolbox: Toolbox,
    format: str,
    device: str,
    name: str,
    since: str | None,
    until: str | None,
    output: Path | None,
) -> None:
    """
    Write stored readings as text.
    """
    start, end = _moment("--since", since), _moment("--until", until)
    for pattern in (device, name):
        pattern.encode()  # what is no text is to fail before anything is written
    archive = toolbox.archive()
    last = archive.span()[1]
    if output is not None and output.exists() and output.samefile(archive.path):
        raise click.ClickException(f"{output}: is the database itself")
    with click.open_file(str(output or "-"), "w", encoding="utf-8") as out:
        write, position = FORMATS[format](out), 0
        with _progress(last, sys.stderr.isatty() and not out.isatty()) as progress:
            for page in archive.export(device, name, start, end):
                if page:
                    write(page)
                    progress(page[-1].id - position)
                    position = page[-1].id
            progress(last - position)
        out.flush()


def _say(text: str) -> None:
    click.echo(plain(text), err=True)


def _isText(argument: str) -> bool:
    """
    Whether an argument is UTF-8. Python has stand-ins for bytes that are not.
    """
    return not any("\ud800" <= one <= "\udfff" for one in argument)


@contextmanager
def _progress(length: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """
    A progress bar on stderr, or none.

    @return: what is told of each step.
    """
    if not shown:
        yield lambda _steps: None
        return
    with click.progressbar(length=length, file=sys.stderr) as bar:
        yield bar.update


def _held(archive: Archive, ids: Sequence[int]) -> list[Held]:
    """
    The frames with some ids, or all if there are none.

    @raise ClickException: if one of them is not there.
    """
    frames = {held.id: held for held in archive.quarantine()}
    for id in ids:
        if id not in frames:
            raise click.ClickException(f"there is no frame {id} in quarantine")
    return [frames[id] for id in ids or frames]


def _moment(option: str, text: str | None) -> int | None:
    """
    The time that an option means, in microseconds since the epoch.

    @raise ClickException: if it means none.
    """
    if text is None:
        return None
    try:
        return moment(text, time())
    except ValueError as error:
        raise click.ClickException(f"{option}: {error}") from error

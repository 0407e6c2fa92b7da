"""
C{sensord simulate}: pretend devices from the command line.
"""

import resource
import sys
from math import inf
from pathlib import Path
from typing import Any

import click
from twisted.internet.task import react
from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    formatEvent,
    globalLogBeginner,
    globalLogPublisher,
)
from zope.interface import provider

from sensord.pretend import DEVICES
from sensord.simulate import Fleet, drive
from sensord.text import plain, summary, table


def _kinds() -> str:
    """
    What L{simulate} does unless it is told otherwise.
    """
    rows = [
        (wire, kind.brief, kind.usual, f"{kind.rate:.3g}", kind.target or "a device file")
        for wire, kind in DEVICES.items()
    ]
    return "\n".join(("\b", *table([("WIRE", "WHAT", "DEVICES", "RATE", "TARGET"), *rows])))


@click.command(epilog=_kinds())
@click.option("--wire", type=click.Choice(list(DEVICES)), default="poe", show_default=True)
@click.option("--devices", type=int, help="How many; default as below.")
@click.option("--rate", type=float, help="Messages per second from each device; default as below.")
@click.option("--seconds", type=float, help="How long; default until Ctrl-C.")
@click.option("--seed", type=int, help="Makes the values the same each time.")
@click.option(
    "--link",
    type=click.Path(path_type=Path),
    help="For rfm2pi: a symbolic link to the device file.",
)
@click.option("--key", default="", help="For lines: the key that each line has in it.")
@click.option("--token", default="", help="For websocket and http: the token that each shows.")
@click.argument("target", required=False)
def simulate(
    wire: str,
    devices: int | None,
    rate: float | None,
    seconds: float | None,
    seed: int | None,
    link: Path | None,
    key: str,
    token: str,
    target: str | None,
) -> None:
    """
    Let pretend devices send to TARGET, a Twisted client endpoint such as tcp:127.0.0.1:1234.

    With --wire rfm2pi there is no TARGET: a pretend radio module is made, as long as this runs, and
    the first line of output is its device file, for the "port" of a listener. What devices are told
    is shown. If nothing that was sent was taken, as far as devices can know, the exit code is 1.
    """
    if seconds is not None and not 0 < seconds < inf:
        raise click.ClickException(f"--seconds: {seconds} is no time to run")
    kind = DEVICES[wire]
    if kind.target and link is not None:
        raise click.ClickException(f"--link: with {wire} there is no device file")
    if not kind.target and target is not None:
        raise click.ClickException(f"{target}: with {wire} there is no TARGET, but maybe a --link")
    from twisted.internet import reactor

    count = kind.usual if devices is None else devices
    where = target if link is None else str(link)
    try:
        fleet = Fleet(reactor, wire, count, rate, where, seed, key, token)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    _run(fleet, seconds)
    if kind.target and not fleet.sent:
        why = plain(fleet.why) or "no connection came about"
        raise click.ClickException(f"nothing could be sent to {fleet.target}: {why}")
    if kind.target and not fleet.taken:
        raise click.ClickException(f"nothing was taken by {fleet.target}: {summary(fleet)}")
    click.echo(summary(fleet))


def _run(fleet: Fleet, seconds: float | None) -> None:
    """
    Run a fleet until it is time, or until Ctrl-C.

    @raise OSError: if it cannot be started.
    """
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    status = _status if sys.stderr.isatty() else None
    failures: list[OSError] = []

    async def run(reactor: Any) -> None:
        try:
            await drive(reactor, fleet, seconds, status, _announce)
        except OSError as error:
            failures.append(error)

    # From now on Twisted does not print what goes wrong with its traceback.
    globalLogBeginner.beginLoggingTo([_overhear], redirectStandardIO=False)
    try:
        react(run)
    except SystemExit as end:
        if end.code:
            raise
    finally:
        globalLogPublisher.removeObserver(_overhear)
    if failures:
        raise failures[0]
    if status:
        click.echo(err=True)


def _status(fleet: Fleet) -> None:
    """
    How a simulation goes, on the line before.
    """
    text = f"{fleet.sent} sent, {fleet.connected} connected, {fleet.refused} refused"
    if fleet.path:
        text = f"{fleet.sent} sent, {fleet.lost} not read"
    click.echo(f"\r{text}\x1b[K", err=True, nl=False)


def _announce(fleet: Fleet) -> None:
    """
    Print the device file of a simulation that has one.
    """
    if fleet.path:
        click.echo(fleet.path)


@provider(ILogObserver)
def _overhear(event: LogEvent) -> None:
    """
    Show what a pretend device says of itself, and in a line what should not have happened.
    """
    blank = "\r\x1b[K" if sys.stderr.isatty() else ""
    level = event["log_level"]
    if level is LogLevel.info and event["log_namespace"].startswith("sensord.pretend."):
        click.echo(blank + formatEvent(event), err=True)
    elif level is LogLevel.critical:
        why = event["log_failure"].getErrorMessage() if "log_failure" in event else ""
        click.echo(blank + plain(f"{formatEvent(event)}: {why}".strip(": \n")), err=True)

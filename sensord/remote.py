"""
The commands of the toolbox that ask the running daemon.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from time import sleep, time
from types import MappingProxyType
from typing import Any, Protocol

import click
from msgspec import json

from sensord.config import DEFAULTS, Settings
from sensord.control.client import Busy, Client, NoDaemon, Refused, where
from sensord.text import ago, iso, plain, table

#: The most characters of a device's values in a table.
_VALUES = 60

#: Seconds between two attempts to find a daemon again that was there.
_AGAIN = 1.0

#: The status of a daemon that cannot answer just now.
_UNABLE = 503


class Options(Protocol):
    """
    What the toolbox was told before the name of the command.
    """

    @property
    def socket(self) -> Path | None:
        """
        The socket, if one was named.
        """

    @property
    def database(self) -> Path | None:
        """
        The database, if one was named.
        """

    def settings(self) -> Settings | None:
        """
        The settings, if there are any.
        """


def client(options: Options) -> Client:
    """
    Who asks the daemon that is meant.

    @raise ClickException: if it has no socket.
    """
    if options.socket is not None:
        return Client(options.socket)
    if options.database is not None:
        return Client(options.database.parent / DEFAULTS.control.socket)
    path = where(options.settings() or DEFAULTS)
    if path is None:
        raise click.ClickException('the configuration says [control] socket = ""; use --socket')
    return Client(path)


_asJson = click.option("--json", "asJson", is_flag=True, help="Print it as JSON.")


@click.command()
@click.argument("action", required=False, type=click.Choice(("forget",)))
@click.argument("name", required=False)
@_asJson
@click.pass_obj
def devices(options: Options, action: str | None, name: str | None, asJson: bool) -> None:
    """
    List the devices, and how they are; or forget the one with a NAME, which is gone for good: when
    it was heard, and what Home Assistant was told of it. What it has measured stays.
    """
    asked = client(options)
    if action:
        if not name:
            raise click.UsageError("which device is to be forgotten?")
        outcome = asked.post("devices", action, body={"device": name})
        click.echo(f"{plain(outcome['device'])} is forgotten; its readings stay")
        return
    found = asked.get("devices")
    if asJson:
        _show(found)
        return
    now = time()
    _table(
        ("name", "address", "state", "heard", "values"),
        [
            (one["name"], one["address"], _state(one), ago(one["heard"], now), values(one))
            for one in found
        ],
        "there are no devices yet",
    )


@click.command(context_settings={"ignore_unknown_options": True})  # such as -5
@click.argument("address")
@click.argument("variable")
@click.argument("value", type=float)
@click.pass_obj
def send(options: Options, address: str, variable: str, value: float) -> None:
    """
    Send a VALUE for a VARIABLE down to the device with an ADDRESS or a name, or to all.
    """
    if not isfinite(value):
        raise click.ClickException(f"{value} is no value")
    order = {"address": address, "variable": variable, "value": value}
    asked = client(options)
    try:
        delivery = asked.post("commands", body=order)
    except Refused as error:
        if not isinstance(error.answer, dict) or "state" not in error.answer:
            raise
        _outcome(error.answer)
        raise SystemExit(1) from error
    _outcome(delivery, _strangers(asked, delivery))


@click.command()
@click.option("--limit", type=int, default=20, show_default=True, help="How many at the most.")
@_asJson
@click.pass_obj
def commands(options: Options, limit: int, asJson: bool) -> None:
    """
    List what was sent down to devices, the newest first.
    """
    found = client(options).get("commands", limit=limit)
    if asJson:
        _show(found)
        return
    columns = ("id", "time", "who", "address", "variable", "value", "state", "why")
    rows = [
        (one["id"], iso(one["time"]), *(one[column] for column in columns[2:])) for one in found
    ]
    _table(columns, rows, "nothing was sent yet")


@click.command()
@click.argument("action", required=False, type=click.Choice(("start", "stop")))
@click.argument("name", required=False)
@_asJson
@click.pass_obj
def listeners(options: Options, action: str | None, name: str | None, asJson: bool) -> None:
    """
    List the ways in, or start or stop the one with a NAME. A stopped one starts again with the
    daemon.
    """
    if action and not name:
        raise click.UsageError(f"which listener is to {action}?")
    asked = client(options)
    found = [asked.post("listeners", name, action)] if action and name else asked.get("listeners")
    if asJson:
        _show(found)
        return
    columns = ["name", "wire", "where", "state", "connected", "refused"]
    columns += ["received", "committed", "duplicate", "rejected", "quarantined"]
    rows = [["-" if one[column] is None else one[column] for column in columns] for one in found]
    _table(columns, rows, "there are no listeners")


@click.command()
@click.argument("action", required=False, type=click.Choice(("pause", "resume", "forget")))
@click.argument("name", required=False)
@click.option("--yes", is_flag=True, help="Forget without asking.")
@_asJson
@click.pass_obj
def sinks(options: Options, action: str | None, name: str | None, yes: bool, asJson: bool) -> None:
    """
    List the ways out, or pause or resume the one with a NAME. A paused one rests until it is
    resumed, also after a restart; what comes meanwhile waits for it. One that is "gone" is not in
    the configuration any more, and what comes waits for it too, until it is back or is told to
    "forget".
    """
    if action and not name:
        verb = "be forgotten" if action == "forget" else action
        raise click.UsageError(f"which sink is to {verb}?")
    asked = client(options)
    if action == "forget" and not yes:
        _confirm(asked, name)
    found = [asked.post("sinks", name, action)] if action and name else asked.get("sinks")
    if asJson:
        _show(found)
        return
    now = time()
    columns = ("name", "kind", "state", "delivered", "dead", "expired", "backlog")
    rows = [
        (
            *(one[column] or "-" if column == "kind" else one[column] for column in columns),
            "-" if one["oldest"] is None else ago(one["oldest"], now),
            one["error"],
        )
        for one in found
    ]
    _table((*columns, "oldest", "last error"), rows, "there are no sinks")


@click.command()
@click.option("--device", default="*", metavar="PATTERN", help="With * and ?.")
@click.option("--name", default="*", metavar="PATTERN", help="With * and ?.")
@_asJson
@click.pass_obj
def tail(options: Options, device: str, name: str, asJson: bool) -> None:
    """
    Show readings as they are stored, until Ctrl-C.
    """
    asked = client(options)
    line = encoded if asJson else readable
    follow(lambda: asked.events(device=device, name=name), line)


@click.command()
@_asJson
@click.pass_obj
def reload(options: Options, asJson: bool) -> None:
    """
    Have the daemon read its configuration anew, and print what is different now. If there is a
    fault in it, nothing changes.
    """
    answer = client(options).post("reload")
    if asJson:
        _show(answer)
        return
    for line in answer["changes"]:
        click.echo(line)
    if not answer["changes"]:
        click.echo("nothing has changed", err=True)


#: All of them.
COMMANDS: Sequence[click.Command] = (devices, send, commands, listeners, sinks, tail, reload)


def follow(
    events: Callable[[], Iterable[tuple[str, Any]]],
    line: Callable[[dict[str, Any]], str],
    wait: Callable[[float], object] = sleep,
) -> None:
    """
    Print a line for each reading, and find the daemon again when it has gone, or cannot answer.

    @param events: asks for them.
    @param wait: waits for some seconds.
    @raise NoDaemon: if it was not there at first.
    @raise Refused: if it could not answer at first, or says that it never will.
    """
    met, said = False, ""
    while True:
        why = "the daemon is gone; waiting for it"
        try:
            for kind, data in events():
                if said:
                    click.echo("the daemon is back", err=True)
                met, said = True, ""
                if kind == "readings":
                    click.echo("\n".join(line(one) for one in data))
        except (NoDaemon, Refused) as error:
            if not met or (isinstance(error, Refused) and error.status != _UNABLE):
                raise
            if isinstance(error, Busy | Refused):
                why = f"{plain(error.message)}; waiting for it"
        if why != said:
            click.echo(why, err=True)
        said = why
        wait(_AGAIN)


def readable(reading: dict[str, Any]) -> str:
    """
    A reading as a line for people.
    """
    value = reading["value"]
    text = value if isinstance(value, str) else encoded(value)
    return plain(f"{iso(reading['time'])}  {reading['device']}  {reading['name']}  {text}")


def encoded(reading: object) -> str:
    """
    A reading as a line for programs.
    """
    return json.encode(reading).decode()


def values(device: dict[str, Any]) -> str:
    """
    The values of a device, as many as find room in a table.
    """
    text = ", ".join(
        f"{one['name']} {_value(one['value'])} {one['unit']}".rstrip() for one in device["values"]
    )
    text = plain(text)
    return text if len(text) <= _VALUES else f"{text[: _VALUES - 1]}…"


def _value(value: object) -> str:
    """
    A value for people, who do not read 17 digits.
    """
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _state(device: dict[str, Any]) -> str:
    """
    How a device is, for people: what was never there is not lost.
    """
    return "unheard" if device["heard"] is None else str(device["state"])


def _strangers(asked: Client, delivery: dict[str, Any]) -> dict[str, str]:
    """
    Which of those for whom a command waits were never heard.

    @return: their names, by their addresses.
    """
    waiting = [one["address"] for one in _parts(delivery) if one["state"] == "pending"]
    if not waiting:
        return {}
    try:
        known = {one["address"]: one for one in asked.get("devices")}
    except (NoDaemon, Refused):  # the command was taken all the same
        return {}
    return {
        address: known[address]["name"] if address in known else address
        for address in waiting
        if address not in known or known[address]["heard"] is None
    }


def _parts(delivery: dict[str, Any]) -> list[dict[str, Any]]:
    """
    What a command to all has become for each; another one is its own only part.
    """
    return delivery.get("parts") or [delivery]


def _outcome(delivery: dict[str, Any], strangers: Mapping[str, str] = MappingProxyType({})) -> None:
    """
    Say what became of a command.

    @param strangers: see L{_strangers}.
    """
    for one in _parts(delivery):
        text = f"{one['address']}: {one['variable']} = {_value(one['value'])}: {one['state']}"
        if one["state"] == "pending":
            end = "for ever" if one["expires"] is None else f"until {iso(one['expires'])}"
            if one["address"] in strangers:
                text += f": {strangers[one['address']]} was never heard; it waits {end}"
            else:
                text += f" {end}"
        if one["why"]:
            text += f": {one['why']}"
        click.echo(plain(text), err=one["state"] == "refused")


def _confirm(asked: Client, name: str | None) -> None:
    """
    Ask whether a sink is really to be forgotten, if it can be.

    @raise Abort: if it is not.
    """
    for one in asked.get("sinks"):
        if one["name"] == name and one["state"] == "gone":
            lost = f"{one['backlog']} readings that wait for it and {one['dead']} dead letters"
            click.confirm(f"{name}: give up its place, {lost}?", abort=True, err=True)


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]], none: str) -> None:
    """
    Print a table, or that there is nothing in it.
    """
    if not rows:
        click.echo(none, err=True)
        return
    shown = [[cell if isinstance(cell, int) else plain(str(cell)) for cell in row] for row in rows]
    click.echo("\n".join(table([columns, *shown])))


def _show(answer: object) -> None:
    click.echo(json.format(json.encode(answer), indent=2))

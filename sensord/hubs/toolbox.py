"""
The command of the toolbox for hubs. It asks the running hub manager.
"""

from typing import Any

import click
from msgspec import json

from sensord.remote import Options, client
from sensord.text import plain, table

_ACTIONS = ("list", "start", "stop", "restart", "forget")


@click.command()
@click.argument("action", required=False, type=click.Choice(_ACTIONS))
@click.argument("hub", required=False)
@click.option("--group", metavar="NAME", help="Whose hub it is; needed when it is a new one.")
@click.option("--json", "asJson", is_flag=True, help="Print it as JSON.")
@click.pass_obj
def hubs(
    options: Options, action: str | None, hub: str | None, group: str | None, asJson: bool
) -> None:
    """
    List the hubs, or start, stop or restart one. What is wanted of a hub survives a restart. One
    that is stopped can be told to be forgotten; its files stay.
    """
    asked = client(options)
    if action in (None, "list"):
        found = [one for one in asked.get("hubs") if group in (None, one["group"])]
        found = [one for one in found if hub in (None, one["hub"])]
    elif action and hub:
        found = asked.post("hubs", hub, action, body={"group": group} if group else None)
    else:
        verb = "be forgotten" if action == "forget" else action
        raise click.UsageError(f"which hub is to {verb}?")
    if asJson:
        click.echo(json.format(json.encode(found), indent=2))
    elif action == "forget":
        click.echo(f"{plain(str(hub))} is forgotten; its files stay")
    elif not found:
        click.echo("there are no hubs", err=True)
    else:
        _show(found)


def _show(found: list[dict[str, Any]]) -> None:
    columns = ("hub", "group", "state", "pid", "since", "restarts", "why")
    rows = [["-" if one[key] is None else one[key] for key in columns] for one in found]
    shown = [[cell if isinstance(cell, int) else plain(cell) for cell in row] for row in rows]
    click.echo("\n".join(table([columns, *shown])))

"""
The commands of the toolbox for what sinks did not take, and for what they are to have again. They
ask the running daemon.
"""

import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from time import time
from typing import Any

import click
from msgspec import json

from sensord.remote import Options, client, encoded
from sensord.text import iso, moment, plain, table

_asJson = click.option("--json", "asJson", is_flag=True, help="Print it as JSON.")
_ids = click.argument("ids", type=int, nargs=-1, metavar="[ID]...")
_sink = click.option("--sink", metavar="NAME", help="Only those of this sink.")
_all = click.option("--all", "every", is_flag=True, help="All that there are.")


@click.group("dead-letters")
def deadLetters() -> None:
    """
    The readings that sinks did not take.
    """


@deadLetters.command("list")
@_sink
@click.option("--limit", type=int, default=100, show_default=True, help="How many at the most.")
@_asJson
@click.pass_obj
def listLetters(options: Options, sink: str | None, limit: int, asJson: bool) -> None:
    """
    List them, the newest first.
    """
    found = client(options).get("dead-letters", sink=sink, limit=limit)
    if asJson:
        _show(found)
        return
    if not found:
        click.echo("there are no dead letters", err=True)
        return
    rows = [
        (
            one["id"],
            one["sink"],
            *(plain(text) for text in (one["device"], one["name"], _value(one))),
            iso(one["time"]),
            iso(one["died"]),
            plain(one["why"]) + (" (waits to be tried again)" if one["retry"] else ""),
        )
        for one in found
    ]
    columns = ("id", "sink", "device", "name", "value", "time", "died", "why")
    click.echo("\n".join(table([columns, *rows])))
    if len(found) == limit:
        click.echo(f"there may be more: these are the newest {limit}", err=True)


@deadLetters.command("retry")
@_ids
@_sink
@_all
@_asJson
@click.pass_obj
def retryLetters(
    options: Options, ids: tuple[int, ...], sink: str | None, every: bool, asJson: bool
) -> None:
    """
    Have those with some IDs tried again, those of a sink, or all. They go to it as soon as it
    takes something; what it refuses again stays, with the new reason.
    """
    _choose("retry", options, ids, sink, every, asJson)


@deadLetters.command("drop")
@_ids
@_sink
@_all
@_asJson
@click.pass_obj
def dropLetters(
    options: Options, ids: tuple[int, ...], sink: str | None, every: bool, asJson: bool
) -> None:
    """
    Give up those with some IDs, those of a sink, or all. From then on they count as expired.
    """
    _choose("drop", options, ids, sink, every, asJson)


@click.command()
@click.argument("sink")
@click.option(
    "--since",
    metavar="WHEN",
    required=True,
    help='A time, or how long ago: "2025-11-20T18:00", "2d"; "forever" is all.',
)
@click.option("--until", metavar="WHEN", help="Likewise; that time itself is not included.")
@click.option("--device", metavar="NAME", help="Only what this device has measured.")
@_asJson
@click.pass_obj
def replay(
    options: Options, sink: str, since: str, until: str | None, device: str | None, asJson: bool
) -> None:
    """
    Send history to a SINK again, beside what comes in. Ctrl-C ends it, and so does the end of the
    daemon.
    """
    body = {"start": _moment("--since", since), "end": _moment("--until", until or "forever")}
    if device:
        body["device"] = device
    outcome = watch(client(options).watch("sinks", sink, "replay", body=body), sys.stderr.isatty())
    if asJson:
        _show(outcome)
    else:
        click.echo(f"{outcome['sent']} readings were sent to {sink} again")
    if outcome["refused"]:
        why = plain(outcome["why"])
        click.echo(f"{outcome['refused']} were refused, the last of them: {why}", err=True)
    if outcome["state"] != "done":
        raise click.ClickException(f"it was stopped: {plain(outcome['error'])}")


#: All of them.
COMMANDS: Sequence[click.Command] = (deadLetters, replay)


def watch(events: Iterable[tuple[str, Any]], shown: bool) -> dict[str, Any]:
    """
    Show how a replay goes on, until it is over.

    @param events: tell of it; see L{Progress<sensord.sinks.replay.Progress>}.
    @param shown: whether there is a terminal for a progress bar on stderr.
    @return: the last that was told.
    """
    last: dict[str, Any] = {"state": "", "sent": 0, "error": ""}
    with ExitStack() as stack:
        bar = None
        try:
            for kind, progress in events:
                if kind != "progress":
                    continue
                if bar is None and shown and progress["total"]:
                    bar = stack.enter_context(_bar(progress["total"]))
                if bar is not None:
                    bar.update(progress["looked"] - bar.pos, progress)
                    bar.render_progress()  # the text may have changed, and not the number
                elif progress["state"] == "waiting" and progress["error"] != last["error"]:
                    click.echo(plain(progress["error"]), err=True)
                last = progress
        except KeyboardInterrupt:
            stack.close()
            click.echo(f"\nstopped; {last['sent']} readings were sent again", err=True)
            raise
    if last["state"] not in ("done", "stopped"):
        raise click.ClickException("the daemon is gone, and the replay with it")
    return last


def _bar(total: int) -> Any:
    """
    A progress bar on stderr.
    """

    def text(progress: dict[str, Any] | None) -> str | None:
        if progress is None:
            return None
        sent = f"{progress['sent']} readings"
        return f"{sent}; {plain(progress['error'])}" if progress["error"] else sent

    return click.progressbar(length=total, file=sys.stderr, item_show_func=text)


def _choose(
    action: str,
    options: Options,
    ids: tuple[int, ...],
    sink: str | None,
    every: bool,
    asJson: bool,
) -> None:
    """
    Have something done with dead letters, and say with how many.
    """
    if every and ids:
        raise click.UsageError("either IDs or --all")
    if not (ids or sink or every):
        raise click.UsageError(f"which are to be {_DONE[action]}? Give IDs, --sink or --all")
    body = {"ids": ids, "sink": sink or "", "all": every}
    counts = client(options).post("dead-letters", action, body=body)
    if asJson:
        _show(counts)
        return
    for name, count in counts.items():
        click.echo(f"{name}: {count} dead letters are {_DONE[action]}")
    if not counts:
        click.echo("there are no such dead letters", err=True)


_DONE = {"retry": "tried again", "drop": "dropped"}


def _value(letter: dict[str, Any]) -> str:
    value = letter["value"]
    text = value if isinstance(value, str) else encoded(value)
    return f"{text} {letter['unit']}".rstrip()


def _moment(option: str, text: str) -> str:
    """
    The time that an option means, as the daemon understands it.

    @raise ClickException: if it means none.
    """
    try:
        said = moment(text, time())
    except ValueError as error:
        raise click.ClickException(f"{option}: {error}") from error
    return "forever" if said is None else str(said)


def _show(answer: object) -> None:
    click.echo(json.format(json.encode(answer), indent=2))

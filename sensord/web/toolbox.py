"""
The command of the toolbox that makes passwords for the page. It needs no daemon.
"""

import json
import sys

import click

from sensord.web.passwords import LONGEST, make
from sensord.web.settings import OPERATOR, VIEWER, UserSettings

#: Shorter passwords are guessed by whoever has read the hash.
_SHORT = 10


@click.command()
@click.argument("name", required=False)
@click.option("--role", type=click.Choice([VIEWER, OPERATOR]), default=VIEWER, show_default=True)
@click.option("--stdin", "piped", is_flag=True, help="Read the password from the standard input.")
def passwd(name: str | None, role: str, piped: bool) -> None:
    """
    Ask for a password, and print the hash of it that [web] users wants. With the NAME of a user,
    print the whole table of the user.
    """
    password = _read() if piped else _ask()
    if len(password) < _SHORT:
        click.echo(f"this password has less than {_SHORT} characters: it can be guessed", err=True)
    hash = str(make(password))
    if name is None:
        click.echo(hash)
        return
    if not UserSettings.called(name):
        raise click.ClickException(f'"{name}" is no name of a user: it has spaces or a colon in it')
    click.echo(f'{{ name = {_quoted(name)}, password = "{hash}", role = "{role}" }},')


def _ask() -> str:
    password: str = click.prompt(
        "Password", hide_input=True, confirmation_prompt="Again", err=True, value_proc=_fit
    )
    return password


def _read() -> str:
    """
    The first line of the standard input.
    """
    try:
        line = sys.stdin.buffer.readline(4 * LONGEST + 2).decode()
    except UnicodeDecodeError as error:
        raise click.ClickException("the password is no UTF-8") from error
    return _fit(line.removesuffix("\n").removesuffix("\r"))


def _fit(password: str) -> str:
    if not password:
        raise click.UsageError("the password is empty")
    if len(password) > LONGEST:
        raise click.UsageError(f"the password has more than {LONGEST} characters")
    return password


def _quoted(text: str) -> str:
    """
    A text in quotes, which JSON and TOML write alike.
    """
    return json.dumps(text, ensure_ascii=False)

"""
A client of the control API, for programs that may wait: the toolbox is one.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from errno import EINVAL
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from click import ClickException
from msgspec import MsgspecError, json

from sensord.config import Settings
from sensord.text import plain

#: Seconds that an answer may take. Events bring at least a comment every 15 seconds.
_PATIENCE = 40.0

_ROOT = "/api/v1"


class NoDaemon(ClickException):
    """
    Nobody answers.
    """


class Busy(NoDaemon):
    """
    There is a daemon, but too many wait to be let in.
    """


class Refused(ClickException):
    """
    The daemon has answered that it does not.

    @ivar status: of HTTP.
    @ivar answer: all of the answer.
    """

    def __init__(self, status: int, answer: Any) -> None:
        why = answer.get("error") if isinstance(answer, dict) else None
        super().__init__(str(why or f"the daemon answers with status {status}"))
        self.status = status
        self.answer = answer


def where(settings: Settings) -> Path | None:
    """
    The socket on which a daemon with some settings answers; L{None} if it is to have none.
    """
    if not settings.control.socket:
        return None
    return Path(settings.store.path).parent / settings.control.socket


def brief(path: Path) -> str:
    """
    The shorter way to write a path. The system takes no more than 107 bytes for a socket's.
    """
    return min(os.path.abspath(path), os.path.relpath(path), key=len)


class Client:
    """
    Asks the daemon that has its socket at a path.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, *parts: str, **query: object) -> Any:
        """
        Ask for something.

        @param parts: of the path behind C{/api/v1}.
        @param query: the parameters; those that are L{None} are left out.
        @return: the decoded answer.
        @raise NoDaemon: if nobody answers.
        @raise Refused: if the answer is an error.
        """
        with closing(self._connect()) as connection:
            return self._decode(self._ask(connection, "GET", _target(parts, query)))

    def post(self, *parts: str, body: object = None) -> Any:
        """
        Have something done.

        @param body: what is sent along as JSON.
        @return: the decoded answer.
        @raise NoDaemon: if nobody answers.
        @raise Refused: if the answer is an error.
        """
        data = b"" if body is None else json.encode(body)
        with closing(self._connect()) as connection:
            return self._decode(self._ask(connection, "POST", _target(parts, {}), data))

    def events(self, **query: object) -> Iterator[tuple[str, Any]]:
        """
        Follow what happens.

        @return: the name and the decoded data of each event. The first is C{("", None)}, as soon as
            the daemon has begun; it ends when the daemon does.
        @raise NoDaemon: if nobody answers, or no longer.
        @raise Refused: if the answer is an error.
        """
        return self._follow("GET", _target(("events",), query))

    def watch(self, *parts: str, body: object) -> Iterator[tuple[str, Any]]:
        """
        Have something done that takes long, and follow it. It is stopped when this is closed.

        @param parts: of the path behind C{/api/v1}.
        @param body: what is sent along as JSON.
        @return: as for L{events}; it ends when that is done.
        @raise NoDaemon: likewise.
        @raise Refused: likewise.
        """
        return self._follow("POST", _target(parts, {}), json.encode(body))

    def _follow(
        self, method: str, target: str, body: bytes | None = None
    ) -> Iterator[tuple[str, Any]]:
        with closing(self._connect()) as connection:
            response = self._ask(connection, method, target, body)
            if response.status != 200:
                self._decode(response)
            yield "", None
            kind = ""
            try:
                while line := response.readline():
                    field, _colon, value = line.strip().partition(b": ")
                    if field == b"event":
                        kind = value.decode()
                    elif field == b"data":
                        yield kind, json.decode(value)
            except (OSError, HTTPException, MsgspecError) as error:
                raise self._gone(error) from error

    def _connect(self) -> "_Connection":
        return _Connection(brief(self.path))

    def _ask(
        self, connection: "_Connection", method: str, target: str, body: bytes | None = None
    ) -> HTTPResponse:
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, target, body, headers)
            return connection.getresponse()
        except (OSError, HTTPException) as error:
            raise self._gone(error) from error

    def _decode(self, response: HTTPResponse) -> Any:
        try:
            answer = json.decode(response.read())
        except (OSError, HTTPException, MsgspecError) as error:
            raise self._gone(error) from error
        if response.status >= 400:
            raise Refused(response.status, answer)
        return answer

    def _gone(self, error: Exception) -> NoDaemon:
        path = plain(str(self.path) if self.path.is_absolute() else f"./{self.path}")
        if isinstance(error, BlockingIOError):
            return Busy(f"the daemon at {path} is busy: too many wait to be let in; try again")
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            how = "is it running? (--socket or --config says where; twistd -n sensord starts it)"
        elif isinstance(error, PermissionError):
            how = "permission denied: it answers only to the user who runs it"
        elif isinstance(error, TimeoutError):
            how = f"there was no answer in {_PATIENCE:g} s"
        else:
            how = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return NoDaemon(f"no daemon answers at {path}: {how}")


def _target(parts: tuple[str, ...], query: dict[str, object]) -> str:
    path = "/".join([_ROOT, *(quote(part, safe="") for part in parts)])
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


class _Connection(HTTPConnection):
    """
    HTTP over a UNIX socket.
    """

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        """
        Connect to the socket.
        """
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        if "\0" in self._path:  # the system would take what is before it, or an abstract name
            raise OSError(EINVAL, "the path of a socket cannot have a NUL in it")
        self.sock.connect(self._path)

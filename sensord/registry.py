"""
The devices that a hub has: a file, which is changed while the hub runs.
"""

from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct
from msgspec.json import Decoder, format
from msgspec.json import encode as encodeJson

from sensord.files import replace


class Unregistrable(ValueError):
    """
    A registry cannot be read or written, or is full: one line says why.
    """


class _File(Struct, forbid_unknown_fields=True):
    devices: list[str] = []


_decode = Decoder(_File).decode


class Registry:
    """
    The ids of devices. All calls block for as long as the disk does.

    @param most: how many there may be.
    """

    def __init__(self, path: Path, most: int) -> None:
        self.path = path
        self._most = most
        self._ids: frozenset[str] | None = None

    @property
    def ids(self) -> frozenset[str]:
        """
        All of them; the file is read the first time. One that is not there has none.

        @raise Unregistrable: if it cannot be.
        """
        if self._ids is None:
            try:
                self._ids = frozenset(_decode(self.path.read_bytes()).devices)
            except FileNotFoundError:
                self._ids = frozenset()
            except (OSError, ValueError) as error:  # it is no JSON, or no name of a file
                why = getattr(error, "strerror", None) or error
                raise Unregistrable(f"{self.path}: {why}") from error
        return self._ids

    def add(self, id: str) -> None:
        """
        A device is there. When this returns, that survives a loss of power.

        @raise Unregistrable: if it cannot be noted, or if there are too many.
        """
        ids = self.ids
        if id not in ids:
            if len(ids) >= self._most:
                raise Unregistrable(f"there are {len(ids)} devices already")
            self._write(ids | {id})

    def remove(self, id: str) -> None:
        """
        A device is there no more.

        @raise Unregistrable: if that cannot be noted.
        """
        ids = self.ids
        if id in ids:
            self._write(ids - {id})

    def _write(self, ids: Iterable[str]) -> None:
        text = format(encodeJson(_File(sorted(ids))), indent=1) + b"\n"
        try:
            replace(self.path, text, durable=True)
        except (OSError, ValueError) as error:  # the latter for a NUL in the path
            why = getattr(error, "strerror", None) or error
            raise Unregistrable(f"{self.path}: {why}") from error
        self._ids = frozenset(ids)

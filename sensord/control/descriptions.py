"""
The folder with descriptions of devices that the page saves, each in a file of its own. All calls
block for as long as the disk does.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unicodedata import normalize

import tomli_w
from msgspec import NODEFAULT, Struct, structs

from sensord.config import ConfigError, additions, read
from sensord.files import enter, replace
from sensord.settings import DeviceSettings

#: What our files begin with, and what else they say first. In others there may be comments, which
#: would be lost.
_OURS = "# Saved by sensord"
_HEAD = f"{_OURS}: what is changed here by hand is lost when the device is described anew.\n\n"

#: The longest name of a file, but for a number: file systems have no room for those of devices.
_LONGEST = 60

#: How many files can have the same name but for a number.
_SAME = 1_000


class Unsaved(Exception):
    """
    A description cannot be saved: one line says why.
    """


class Entry(Struct, frozen=True):
    """
    Where a device is described.

    @ivar tables: all that is in that file.
    @ivar ours: whether we have written it.
    """

    path: Path
    tables: list[dict[str, Any]]
    ours: bool


class Descriptions:
    """
    All files of the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, address: str) -> Entry | None:
        """
        Where a device is described; L{None} if it is nowhere here.

        @raise Unsaved: if the files cannot be read.
        """
        try:
            for path in additions(self._folder):
                if not path.is_file():
                    raise Unsaved(f"{self._folder.name}/{path.name}: is no file")
                tables = read(path).get("devices")
                if not isinstance(tables, list):
                    continue
                if any(isinstance(one, dict) and one.get("address") == address for one in tables):
                    ours = path.read_text(encoding="utf-8").startswith(_OURS)
                    return Entry(path, tables, ours)
        except ConfigError as error:
            raise Unsaved("; ".join(error.faults)) from error
        except OSError as error:
            raise Unsaved(f"{error.filename}: {error.strerror}") from error
        return None

    def name(self, entry: Entry) -> str:
        """
        What an entry's file is called, as seen from the configuration file.
        """
        return f"{self._folder.name}/{entry.path.name}"

    def obstacle(self, entry: Entry | None, main: str) -> str:
        """
        Why a device cannot be described; empty if it can.

        @param entry: where it is described.
        @param main: the file outside of the folder in which it is described; empty if in none.
        """
        if entry is not None and not entry.ours:
            return f"{self.name(entry)} was written by hand: describe it there"
        return f"it is described in {main}: change it there" if entry is None and main else ""

    def save(self, device: DeviceSettings, main: str) -> tuple[str, Callable[[], None]]:
        """
        Describe a device, in place of how it was described before. When this returns, that
        survives a loss of power.

        @param main: as for L{obstacle}.
        @return: what the file is called, and what has all be as it was before.
        @raise Unsaved: if that is not possible.
        """
        entry = self.find(device.address)
        if why := self.obstacle(entry, main):
            raise Unsaved(why)
        fresh = spare(device)
        try:
            enter(self._folder)
            if entry is None:
                entry = Entry(self._vacant(device), [fresh], True)
                before = None
            else:
                before = entry.path.read_bytes()
                others = [one for one in entry.tables if one.get("address") != device.address]
                entry = structs.replace(entry, tables=[*others, fresh])
            text = _HEAD + tomli_w.dumps({"devices": entry.tables})
            replace(entry.path, text.encode(), durable=True)
        except OSError as error:
            raise Unsaved(f"{self._folder}: {error.strerror or error}") from error
        path = entry.path

        def undo() -> None:
            if before is None:
                path.unlink(missing_ok=True)
            else:
                replace(path, before, durable=True)

        return self.name(entry), undo

    def _vacant(self, device: DeviceSettings) -> Path:
        """
        A file that is not there yet, called as a device is, as far as a file can be.
        """
        stem = slug(device.name) or slug(device.address) or "device"
        for number in range(1, _SAME):
            path = self._folder / (f"{stem}.toml" if number == 1 else f"{stem}-{number}.toml")
            if not path.exists() and not path.is_symlink():
                return path
        raise OSError(f"there are too many files called {stem}")


def slug(text: str) -> str:
    """
    A text as the name of a file: small letters, digits and single dashes. It may become empty.
    """
    plain = normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", plain)[:_LONGEST].strip("-")


def spare(table: Struct) -> dict[str, Any]:
    """
    A struct as TOML writes it, without what goes without saying.
    """
    found: dict[str, Any] = {}
    for field in structs.fields(table):
        value = getattr(table, field.name)
        default = field.default if field.default_factory is NODEFAULT else field.default_factory()
        if value != default:
            several = isinstance(value, tuple)
            found[field.name] = [spare(one) for one in value] if several else value
    return found

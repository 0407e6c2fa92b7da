"""
The files of hubs. Nobody else is to read them: they have secrets in them, and what customers have
measured.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import DecodeError, Struct, ValidationError
from msgspec.json import Decoder, format
from msgspec.json import encode as encodeJson
from twisted.python.logfile import LogFile

from sensord.config import ConfigError
from sensord.files import PRIVATE, enter, replace
from sensord.ids import ROLL, idFault

#: Bytes that a log may have before a new one is begun, and how many old ones are kept. Without a
#: limit, a hub could fill the disk of all others.
_LENGTH, _OLD = 2**20, 5


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """
    What is wanted of a hub.

    @ivar run: whether it is to run.
    """

    group: str
    run: bool = True


class _Entries(Struct, forbid_unknown_fields=True):
    hubs: dict[str, Entry] = {}


_decode = Decoder(_Entries).decode


class Roll:
    """
    The set of hubs, on the disk. All calls block for as long as the disk does.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / ROLL

    def load(self) -> dict[str, Entry]:
        """
        All hubs, by their names; none if there is no file.

        @raise ConfigError: if it cannot be read.
        """
        try:
            entries = _decode(self.path.read_bytes()).hubs
        except FileNotFoundError:
            return {}
        except (OSError, DecodeError, ValidationError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise ConfigError([f"[hubs] {self.path}: {why}"]) from error
        for hub, entry in entries.items():
            for kind, id in (("hub", hub), ("group", entry.group)):
                for fault in idFault(kind, id):
                    raise ConfigError([f"[hubs] {self.path}: {fault}"])
        return entries

    def save(self, entries: Mapping[str, Entry]) -> None:
        """
        Note them all. When this returns, that survives a loss of power.

        @raise OSError: if it cannot be.
        """
        folder = self.path.parent
        enter(folder)
        data = format(encodeJson(_Entries(dict(entries))), indent=1) + b"\n"
        replace(self.path, data, durable=True)


class Diary:
    """
    The log of a hub. What cannot be written, on a full disk say, is lost; nothing else is harmed.

    @raise OSError: if it cannot be begun.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._file: LogFile | None = self._open()

    def write(self, data: bytes) -> None:
        """
        Note something.
        """
        try:
            if self._file is None:
                self._file = self._open()
            self._file.write(data)
        except (OSError, ValueError):  # the latter if a new one could not be begun
            self.close()

    def close(self) -> None:
        """
        That was all. It is opened again if it was not.
        """
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError, ValueError):
                file.close()

    def _open(self) -> LogFile:
        return LogFile(
            self._name,
            str(self._folder),
            rotateLength=_LENGTH,
            defaultMode=PRIVATE,
            maxRotatedFiles=_OLD,
        )


def prepare(folder: Path, hub: str, text: bytes) -> Diary:
    """
    Write the configuration of a hub, and begin its log. This blocks.

    @param folder: that of its group, which is made.
    @raise OSError: if that is not possible.
    """
    enter(folder)
    replace(folder / f"{hub}.toml", text)
    return Diary(folder, f"{hub}.log")

"""
Files that are ours: none is ever there by half.
"""

import os
from contextlib import suppress
from errno import EINVAL
from pathlib import Path

#: Who may read what we keep: nobody else.
_FOLDER, PRIVATE = 0o700, 0o600


def enter(folder: Path) -> None:
    """
    Make a folder, and those that it is in, unless they are there. What is made is for us alone.
    """
    if not folder.is_dir():
        enter(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(_FOLDER)


def replace(path: Path, data: bytes, durable: bool = False) -> None:
    """
    Put a whole file in place of the one that is there. It is for us alone.

    @param durable: whether it is on the disk for good when this returns.
    @raise OSError: if that is not possible.
    """
    draft = path.with_name(f"{path.name}.new")
    with suppress(FileNotFoundError):
        draft.unlink()  # which may be for others to read
    with open(draft, "xb", opener=_private) as file:
        file.write(data)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    draft.replace(path)
    if durable:
        sync(path.parent)


def sync(folder: Path) -> None:
    """
    Make the names in a folder durable.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != EINVAL:  # some shares of other machines cannot
            raise
    finally:
        os.close(descriptor)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, PRIVATE)

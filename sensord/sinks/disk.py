"""
Files that are on the disk for good.
"""

import fcntl
import os
from errno import EACCES, EAGAIN, EINVAL
from pathlib import Path
from stat import S_ISREG

from sensord.files import replace, sync


class Disk:
    """
    What is done with files. Whatever returns is on the disk for good.
    """

    def prepare(self, folder: Path) -> None:
        """
        Make a folder, and those that it is in, unless it is there.
        """
        if not folder.is_dir():
            self.prepare(folder.parent)
            folder.mkdir()
            sync(folder.parent)

    def end(self, path: Path) -> tuple[int, bytes]:
        """
        The length of a file, and its last byte; nothing if it is not there.
        """
        try:
            _check(path)
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(size - 1, 0))
                return size, file.read(1)
        except FileNotFoundError:
            return 0, b""

    def put(self, path: Path, at: int, data: bytes) -> None:
        """
        Write at a place of a file, and let it end there.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _lock(descriptor, path)
            rest = memoryview(data)
            while rest:  # it is written in parts only when the disk is full
                rest = rest[os.pwrite(descriptor, rest, at + len(data) - len(rest)) :]
            os.ftruncate(descriptor, at + len(data))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if at == 0:
            sync(path.parent)

    def read(self, path: Path) -> bytes:
        """
        All that is in a file; nothing if it is not there.
        """
        try:
            _check(path)
            return path.read_bytes()
        except FileNotFoundError:
            return b""

    def replace(self, path: Path, data: bytes) -> None:
        """
        Put a whole file in place of the one that is there.
        """
        replace(path, data, durable=True)


def _check(path: Path) -> None:
    """
    Make sure that something is a file: a pipe in its place would block for ever.
    """
    if not S_ISREG(path.stat().st_mode):
        raise OSError(EINVAL, "is no regular file", str(path))


def _lock(descriptor: int, path: Path) -> None:
    """
    Make sure that nobody else has a hold on a file. What cannot be locked is left to luck.
    """
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (EACCES, EAGAIN):
            raise OSError(error.errno, "another program has a hold on it", str(path)) from error

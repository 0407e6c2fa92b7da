"""
Tests for L{sensord.files}.
"""

import os
from errno import EINVAL, EIO
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sensord import files
from sensord.files import enter, replace


def mode(path: Path) -> int:
    """
    Who may do what with a file.
    """
    return path.stat().st_mode & 0o777


class FilesTests(SynchronousTestCase):
    """
    Files that are ours.
    """

    def setUp(self) -> None:
        """
        Make a folder, and let others read what is made.
        """
        self.addCleanup(os.umask, os.umask(0))
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "h1.toml"

    def refuse(self, number: int) -> None:
        """
        The disk keeps nothing for good.
        """

        def fsync(descriptor: int) -> None:
            raise OSError(number, os.strerror(number))

        self.patch(os, "fsync", fsync)

    def test_leftover(self) -> None:
        """
        What a daemon has left that was killed does not decide who may read it.
        """
        draft = self.folder / "h1.toml.new"
        for path in (draft, self.path):
            path.write_bytes(b"half of i")
            path.chmod(0o666)
        replace(self.path, b"new", durable=True)
        self.assertEqual(self.path.read_bytes(), b"new")
        self.assertEqual((mode(self.path), draft.exists()), (0o600, False))

    def test_failed(self) -> None:
        """
        What could not be written leaves the old file as it was.
        """
        replace(self.path, b"old")
        self.refuse(EIO)
        self.assertRaises(OSError, replace, self.path, b"new", True)
        self.assertEqual(self.path.read_bytes(), b"old")

    def test_share(self) -> None:
        """
        A folder that cannot be made durable, on a share of another machine, is no fault; a disk
        that fails is.
        """
        self.refuse(EINVAL)
        files.sync(self.folder)
        self.refuse(EIO)
        self.assertRaises(OSError, files.sync, self.folder)

    def test_entered(self) -> None:
        """
        Folders are made for us alone, and those that are there stay as they are.
        """
        enter(self.folder / "acme" / "old")
        self.assertEqual(mode(self.folder / "acme"), 0o700)
        self.assertEqual(mode(self.folder / "acme" / "old"), 0o700)
        self.assertEqual(mode(self.folder), 0o777)
        enter(self.folder)

"""
Tests for L{sensord.sinks.disk}.
"""

import os

from twisted.trial.unittest import SynchronousTestCase

from sensord.sinks.disk import Disk
from tests.store.support import folder


class DiskTests(SynchronousTestCase):
    """
    L{Disk} in a real folder. That others hold files, and that disks are full, is tested with
    L{sensord.sinks.csvfile}.
    """

    def setUp(self) -> None:
        """
        A folder, and a file that is not there.
        """
        self.disk = Disk()
        self.folder = folder(self)
        self.path = self.folder / "file"

    def test_prepare(self) -> None:
        """
        A folder is made with those that it is in; one that is there stays.
        """
        for _again in range(2):
            self.disk.prepare(self.folder / "a" / "b" / "c")
        self.assertTrue((self.folder / "a" / "b" / "c").is_dir())

    def test_end(self) -> None:
        """
        The length of a file is told, and its last byte.
        """
        self.assertEqual(self.disk.end(self.path), (0, b""))
        for data in (b"", b"a", b"ab\n"):
            self.path.write_bytes(data)
            self.assertEqual(self.disk.end(self.path), (len(data), data[-1:]))

    def test_pipe(self) -> None:
        """
        A pipe in the place of a file is refused: nobody may ever write to it, or read from it.
        """
        os.mkfifo(self.path)
        for look in self.disk.end, self.disk.read:
            error = self.assertRaises(OSError, look, self.path)
            self.assertEqual(
                (error.strerror, error.filename), ("is no regular file", str(self.path))
            )

    def test_put(self) -> None:
        """
        What is written is the end of a file, whether it was longer, shorter or not there.
        """
        for at, data, whole in (
            (0, b"one\n", b"one\n"),
            (4, b"two\n", b"one\ntwo\n"),
            (7, b", 2\n", b"one\ntwo, 2\n"),
            (4, b"", b"one\n"),
            (0, b"", b""),
        ):
            self.disk.put(self.path, at, data)
            self.assertEqual(self.path.read_bytes(), whole)

    def test_replace(self) -> None:
        """
        A file is replaced as a whole, and nothing else is left.
        """
        self.assertEqual(self.disk.read(self.path), b"")
        for data in (b"long", b"s"):
            self.disk.replace(self.path, data)
            self.assertEqual(self.disk.read(self.path), data)
        self.assertEqual(list(self.folder.iterdir()), [self.path])

"""
Tests for L{sensord.hubs.files}.
"""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sensord.config import ConfigError
from sensord.hubs.files import Diary, Entry, Roll, prepare


def mode(path: Path) -> int:
    """
    Who may do what with a file.
    """
    return path.stat().st_mode & 0o777


class FilesTestCase(SynchronousTestCase):
    """
    A folder that is not there yet.
    """

    def setUp(self) -> None:
        """
        Let others read what is made.
        """
        self.addCleanup(os.umask, os.umask(0))
        self.folder = Path(self.mktemp()).absolute() / "hubs"


class RollTests(FilesTestCase):
    """
    The set of hubs.
    """

    def test_kept(self) -> None:
        """
        What is noted is there after a restart; without a file there are no hubs.
        """
        roll = Roll(self.folder)
        self.assertEqual(roll.load(), {})
        self.assertFalse(self.folder.exists())
        entries = {"h1": Entry("acme"), "h2": Entry("acme", False)}
        roll.save(entries)
        self.assertEqual(Roll(self.folder).load(), entries)
        roll.save({})
        self.assertEqual(Roll(self.folder).load(), {})
        self.assertEqual([path.name for path in self.folder.iterdir()], ["hubs.json"])

    def test_private(self) -> None:
        """
        Nobody else can read it.
        """
        Roll(self.folder).save({})
        self.assertEqual((mode(self.folder), mode(self.folder / "hubs.json")), (0o700, 0o600))

    def test_faults(self) -> None:
        """
        A file that nobody could have written is named in one line, with what is wrong.
        """
        roll = Roll(self.folder)
        roll.save({})
        for data, why in (
            (b"", "truncated"),
            (b"[]", "expected `object`"),
            (b'{"hubs": {"h1": {}}}', "group"),
            (b'{"hubs": {"../x": {"group": "acme"}}}', "is no id of a hub"),
            (b'{"hubs": {"h1": {"group": ".."}}}', "is no id of a group"),
            (b'{"hubs": {"h1": {"group": "\xff"}}}', "utf-8"),
        ):
            roll.path.write_bytes(data)
            error = str(self.assertRaises(ConfigError, roll.load))
            self.assertTrue(error.startswith(f"[hubs] {roll.path}: "), error)
            self.assertIn(why.lower(), error.lower())
            self.assertNotIn("\n", error)

    def test_full(self) -> None:
        """
        If it cannot be written, what was noted before stays.
        """
        roll = Roll(self.folder)
        roll.save({"h1": Entry("acme")})
        roll.path.with_name("hubs.json.new").mkdir()
        self.assertRaises(OSError, roll.save, {})
        self.assertEqual(list(roll.load()), ["h1"])


class DiaryTests(FilesTestCase):
    """
    The log of a hub.
    """

    def test_prepared(self) -> None:
        """
        The folder of the group, the configuration and the log are there, for nobody else.
        """
        group = self.folder / "acme"
        diary = prepare(group, "h1", b"listeners = []\n")
        diary.write(b"one\n")
        diary.close()
        self.assertEqual((mode(self.folder), mode(group)), (0o700, 0o700))
        self.assertEqual((group / "h1.toml").read_bytes(), b"listeners = []\n")
        self.assertEqual((group / "h1.log").read_bytes(), b"one\n")
        self.assertEqual((mode(group / "h1.toml"), mode(group / "h1.log")), (0o600, 0o600))

    def test_appended(self) -> None:
        """
        It goes on where it was.
        """
        for text in (b"one\n", b"two\n"):
            diary = prepare(self.folder, "h1", b"")
            diary.write(text)
            diary.close()
        self.assertEqual((self.folder / "h1.log").read_bytes(), b"one\ntwo\n")

    def test_bounded(self) -> None:
        """
        However much a hub says, its logs have about six megabytes.
        """
        diary = prepare(self.folder, "h1", b"")
        for _ in range(160):
            diary.write(b"x" * 65535 + b"\n")
        diary.close()
        logs = list(self.folder.glob("h1.log*"))
        self.assertEqual(len(logs), 6)
        self.assertLess(sum(path.stat().st_size for path in logs), 7 * 2**20)

    def test_lost(self) -> None:
        """
        What cannot be written is lost; it goes on when it can be written again.
        """
        diary = prepare(self.folder, "h1", b"")
        path = self.folder / "h1.log"
        diary.write(b"x" * 2**20)
        # The next line begins a new log, and the oldest cannot be removed: it is a folder.
        obstacle = self.folder / "h1.log.5"
        obstacle.mkdir()
        diary.write(b"lost\n")
        obstacle.rmdir()
        diary.write(b"kept\n")
        diary.close()
        self.assertEqual(path.read_bytes(), b"kept\n")

    def test_closed(self) -> None:
        """
        It can be closed twice.
        """
        self.folder.mkdir(parents=True)
        diary = Diary(self.folder, "h1.log")
        diary.close()
        diary.close()

"""
Tests for L{sensord.registry}.
"""

import os
from collections.abc import Callable
from errno import ENOSPC
from pathlib import Path
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from sensord.registry import Registry, Unregistrable


class RegistryTests(SynchronousTestCase):
    """
    The devices of a hub.
    """

    def setUp(self) -> None:
        """
        Name a file in a folder of its own.
        """
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / "hub.devices.json"
        self.draft = self.folder / "hub.devices.json.new"

    def registry(self, most: int = 5) -> Registry:
        """
        What a hub that has just started knows.
        """
        return Registry(self.path, most)

    def refusal(self, call: Callable[[], object]) -> str:
        """
        Why something cannot be done, in one line.
        """
        said = str(self.assertRaises(Unregistrable, call))
        self.assertNotIn("\n", said)
        return said

    def assertUnchanged(self, registry: Registry, call: Callable[[], object], why: str) -> None:
        """
        Check that a change that fails says why, and changes nothing: neither now nor after a
        restart.
        """
        ids, text = registry.ids, self.path.read_bytes() if self.path.is_file() else None
        self.assertEqual(self.refusal(call), f"{self.path}: {why}")
        self.assertEqual(registry.ids, ids)
        self.assertEqual(self.path.read_bytes() if self.path.is_file() else None, text)

    def test_noFileIsNoDevices(self) -> None:
        """
        A hub that is new has no devices, and no file is made by looking.
        """
        self.assertEqual(self.registry().ids, frozenset())
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_devicesComeAndGo(self) -> None:
        """
        A device is there as soon as it was added, and until it is removed.
        """
        registry = self.registry()
        registry.add("3c71bf")
        registry.add("oven")
        self.assertEqual(registry.ids, {"3c71bf", "oven"})
        registry.remove("3c71bf")
        self.assertEqual(registry.ids, {"oven"})

    def test_changesSurvive(self) -> None:
        """
        What was added and removed is so after a restart, and nothing else is left in the folder.
        """
        for id in ("b", "a", "温"):
            self.registry().add(id)
        self.assertEqual(self.registry().ids, {"a", "b", "温"})
        self.registry().remove("b")
        self.assertEqual(self.registry().ids, {"a", "温"})
        self.assertEqual(list(self.folder.iterdir()), [self.path])

    def test_theFileIsForPeople(self) -> None:
        """
        The file is JSON, a line for each device in their order, and can be written by hand.
        """
        registry = self.registry()
        for id in ("b", "a"):
            registry.add(id)
        text = '{\n "devices": [\n  "a",\n  "b"\n ]\n}\n'
        self.assertEqual(self.path.read_text(), text)
        self.path.write_text('{"devices": ["x", "x", "y"]}')
        self.assertEqual(self.registry().ids, {"x", "y"})
        self.path.write_text("{}")
        self.assertEqual(self.registry().ids, frozenset())

    def test_twiceIsOnce(self) -> None:
        """
        To add what is there and to remove what is not is no error, and writes nothing.
        """
        registry = self.registry(1)
        registry.add("a")
        written = self.path.stat().st_ino
        registry.add("a")
        registry.remove("b")
        self.assertEqual((registry.ids, self.path.stat().st_ino), ({"a"}, written))

    def test_thereIsAnEndOfDevices(self) -> None:
        """
        When there are as many devices as there may be, one more is refused until one is removed.
        """
        registry = self.registry(2)
        registry.add("a")
        registry.add("b")
        said = self.refusal(lambda: registry.add("c"))
        self.assertEqual(said, "there are 2 devices already")
        self.assertEqual((registry.ids, self.registry().ids), ({"a", "b"}, {"a", "b"}))
        registry.remove("a")
        registry.add("c")
        self.assertEqual(self.registry().ids, {"b", "c"})

    def test_tooManyInTheFileStay(self) -> None:
        """
        Devices that are in the file already stay, also if there are more than there may be.
        """
        self.path.write_text('{"devices": ["a", "b", "c"]}')
        registry = self.registry(2)
        self.refusal(lambda: registry.add("d"))
        registry.add("a")
        registry.remove("c")
        self.assertEqual(self.registry().ids, {"a", "b"})

    def test_whatIsHeldIsNotChanged(self) -> None:
        """
        Who has asked for the devices has those of that moment.
        """
        registry = self.registry()
        before = registry.ids
        registry.add("a")
        self.assertEqual((before, registry.ids), (frozenset(), {"a"}))

    def test_aBrokenFileIsNamed(self) -> None:
        """
        A file that is no registry is an error with its name, each time, and is not written over.
        """
        for data in (
            b"",
            b"[]",
            b'{"devices": ["a", 1]}',
            b'{"devices": "a"}',
            b'{"devices": null}',
            b'{"devices": ["a"]',
            b'{"device": ["a"]}',
            b'{"devices": ["\xff"]}',
            b'{"devices": ["\\ud800"]}',
            b'{"devices": ' + b"[" * 100_000,
            bytes(100),
        ):
            self.path.write_bytes(data)
            registry = self.registry()
            for call in (
                lambda: self.registry().ids,
                lambda registry=registry: registry.ids,
                lambda registry=registry: registry.add("b"),
                lambda registry=registry: registry.remove("a"),
            ):
                self.assertTrue(self.refusal(call).startswith(f"{self.path}: "))
            self.assertEqual(self.path.read_bytes(), data)

    def test_aFileThatCannotBeReadIsNamed(self) -> None:
        """
        What the system says of a file is told, and a mended one is read.
        """
        self.path.mkdir()
        registry = self.registry()
        self.assertEqual(self.refusal(lambda: registry.ids), f"{self.path}: Is a directory")
        self.path.rmdir()
        self.path.write_text('{"devices": ["a"]}')
        self.assertEqual(registry.ids, {"a"})

    def test_whatIsNoNameOfAFileIsNamed(self) -> None:
        """
        A name that no file can have is an error like others.
        """
        registry = Registry(Path("a\0b"), 5)
        self.assertEqual(self.refusal(lambda: registry.ids), "a\0b: embedded null byte")

    def test_aMissingFolderIsNotMade(self) -> None:
        """
        In a folder that is not there, there are no devices, and none can be added.
        """
        self.folder.rmdir()
        registry = self.registry()
        self.assertEqual(registry.ids, frozenset())
        self.assertUnchanged(registry, lambda: registry.add("a"), "No such file or directory")
        self.assertFalse(self.folder.exists())

    def test_aFullDiskChangesNothing(self) -> None:
        """
        If the disk is full nothing is changed, and the same can be done again when it is not.
        """
        registry = self.registry()
        registry.add("a")
        full = os.strerror(ENOSPC)

        def fsync(descriptor: int) -> None:
            raise OSError(ENOSPC, full)

        patch = self.patch(os, "fsync", fsync)
        self.assertUnchanged(registry, lambda: registry.add("b"), full)
        self.assertUnchanged(registry, lambda: registry.remove("a"), full)
        self.assertEqual(self.registry().ids, {"a"})
        patch.restore()
        registry.add("b")
        self.assertEqual(self.registry().ids, {"a", "b"})

    def test_whatCannotBeWrittenChangesNothing(self) -> None:
        """
        If the new file cannot be written, or cannot be put in the place of the old one, nothing is
        changed.
        """
        registry = self.registry()
        registry.add("a")
        self.draft.mkdir()
        self.assertUnchanged(registry, lambda: registry.add("b"), "Is a directory")
        self.draft.rmdir()
        self.path.unlink()
        self.path.mkdir()
        self.assertUnchanged(registry, lambda: registry.remove("a"), "Is a directory")

    def test_whatAPowerFailureLeftIsWrittenOver(self) -> None:
        """
        A file that was only begun when the power failed is neither read nor in the way.
        """
        self.path.write_text('{"devices": ["a"]}')
        self.draft.write_bytes(b'{"devices": ["a", "b", "c", "d", "e", "f", "g", "h", "i"')
        registry = self.registry()
        self.assertEqual(registry.ids, {"a"})
        registry.add("b")
        self.assertEqual(self.registry().ids, {"a", "b"})
        self.assertFalse(self.draft.exists())

    def test_manyChangesAddUp(self) -> None:
        """
        After any number of changes, those who start anew know the same devices.
        """
        random, ids = Random(2026), set[str]()
        registry = self.registry(1000)
        for _change in range(100):
            id = str(random.randrange(20))
            if random.random() < 0.6:
                registry.add(id)
                ids.add(id)
            else:
                registry.remove(id)
                ids.discard(id)
            self.assertEqual((registry.ids, self.registry().ids), (ids, ids))

"""
Tests for L{sensord.control.descriptions}.
"""

import tomllib
from pathlib import Path
from typing import Any

from hypothesis import given, strategies
from msgspec import convert, structs
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import parse
from sensord.control.descriptions import Descriptions, Unsaved, slug, spare
from sensord.settings import DeviceSettings, TransmitSettings, ValueSettings
from tests.store.support import folder
from tests.support import PROPERTY

_BALCONY = DeviceSettings(
    "weather/1",
    "Balcony (süd)",
    {"place": "balcony"},
    (ValueSettings("light", "H", unit="lx"), ValueSettings("humidity", "H", "", 0.5, -6.0, "%")),
    interval=60.0,
)

_TEXTS = strategies.text(strategies.characters(exclude_categories=["Cs"]), max_size=20)


class FolderTests(SynchronousTestCase):
    """
    L{Descriptions}.
    """

    def setUp(self) -> None:
        """
        A folder that is not there yet.
        """
        self.folder = folder(self) / "devices.d"
        self.files = Descriptions(self.folder)

    def described(self, name: str) -> list[dict[str, Any]]:
        """
        What a file says.
        """
        document = tomllib.loads((self.folder / name).read_text())
        self.assertEqual(list(document), ["devices"])
        tables: list[dict[str, Any]] = document["devices"]
        return tables

    def write(self, name: str, text: str) -> None:
        """
        Somebody writes a file by hand.
        """
        self.folder.mkdir(exist_ok=True)
        (self.folder / name).write_text(text)

    def test_save(self) -> None:
        """
        A description is saved in a file that is called as its device, for nobody else to read, and
        without what goes without saying.
        """
        name, _undo = self.files.save(_BALCONY, "")
        self.assertEqual(name, "devices.d/balcony-sud.toml")
        path = self.folder / "balcony-sud.toml"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertTrue(path.read_text().startswith("# Saved by sensord"))
        self.assertEqual(
            self.described("balcony-sud.toml"),
            [
                {
                    "address": "weather/1",
                    "name": "Balcony (süd)",
                    "tags": {"place": "balcony"},
                    "values": [
                        {"name": "light", "type": "H", "unit": "lx"},
                        {
                            "name": "humidity",
                            "type": "H",
                            "scale": 0.5,
                            "offset": -6.0,
                            "unit": "%",
                        },
                    ],
                    "interval": 60.0,
                }
            ],
        )
        self.assertEqual([one.name for one in self.folder.iterdir()], ["balcony-sud.toml"])

    def test_nameless(self) -> None:
        """
        Without a name, or with one that is of no use for a file, the file is called as the address.
        """
        for device, name in (
            (DeviceSettings("poe/192.168.1.7"), "poe-192-168-1-7.toml"),
            (DeviceSettings("lines/15", "水"), "lines-15.toml"),
            (DeviceSettings("水/水", "水"), "device.toml"),
        ):
            self.assertEqual(self.files.save(device, "")[0], f"devices.d/{name}")

    def test_same(self) -> None:
        """
        Two devices of the same name have two files, also if one was written by hand.
        """
        self.write("cellar.toml", "# mine\n")
        names = [self.files.save(DeviceSettings(f"lines/{id}", "Cellar"), "")[0] for id in (1, 2)]
        self.assertEqual(names, ["devices.d/cellar-2.toml", "devices.d/cellar-3.toml"])
        self.assertEqual((self.folder / "cellar.toml").read_text(), "# mine\n")

    def test_link(self) -> None:
        """
        A link that lies there is not followed out of the folder.
        """
        outside = self.folder.parent / "outside.toml"
        outside.write_text("# mine\n")
        self.folder.mkdir()
        (self.folder / "cellar.toml").symlink_to(outside)
        self.assertEqual(
            self.files.save(DeviceSettings("lines/1", "cellar"), "")[0], "devices.d/cellar-2.toml"
        )
        self.assertEqual(outside.read_text(), "# mine\n")

    def test_again(self) -> None:
        """
        A device that is described anew keeps its file, also under a new name.
        """
        self.files.save(_BALCONY, "")
        name, _undo = self.files.save(structs.replace(_BALCONY, name="terrace"), "")
        self.assertEqual(name, "devices.d/balcony-sud.toml")
        self.assertEqual([one["name"] for one in self.described("balcony-sud.toml")], ["terrace"])

    def test_neighbours(self) -> None:
        """
        Other devices in the same file stay.
        """
        self.files.save(_BALCONY, "")
        path = self.folder / "balcony-sud.toml"
        path.write_text(path.read_text() + '\n[[devices]]\naddress = "weather/2"\n')
        self.files.save(structs.replace(_BALCONY, name="terrace"), "")
        self.assertEqual(
            [one["address"] for one in self.described("balcony-sud.toml")],
            ["weather/2", "weather/1"],
        )

    def test_byHand(self) -> None:
        """
        A file that somebody has written is not touched: its comments would be lost.
        """
        text = '[[devices]]\naddress = "weather/1"  # the old one\n'
        self.write("mine.toml", text)
        error = self.assertRaises(Unsaved, self.files.save, _BALCONY, "sensord.toml")
        self.assertEqual(str(error), "devices.d/mine.toml was written by hand: describe it there")
        self.assertEqual((self.folder / "mine.toml").read_text(), text)

    def test_main(self) -> None:
        """
        A device that is described in the configuration file is not described here, too.
        """
        error = self.assertRaises(Unsaved, self.files.save, _BALCONY, "sensord.toml")
        self.assertEqual(str(error), "it is described in sensord.toml: change it there")
        self.assertFalse(self.folder.exists())

    def test_undo(self) -> None:
        """
        What was saved can be undone: then all is as it was before.
        """
        _name, undo = self.files.save(_BALCONY, "")
        path = self.folder / "balcony-sud.toml"
        before = path.read_text()
        _name, again = self.files.save(structs.replace(_BALCONY, name="terrace"), "")
        again()
        self.assertEqual(path.read_text(), before)
        undo()
        self.assertEqual(list(self.folder.iterdir()), [])
        undo()

    def test_broken(self) -> None:
        """
        While a file of the folder cannot be read, nothing is saved.
        """
        self.write("broken.toml", "devices = ")
        self.assertIn("broken.toml", str(self.assertRaises(Unsaved, self.files.find, "lines/1")))
        self.write("broken.toml", 'devices = 5\nother = "x"\n')
        self.assertIsNone(self.files.find("lines/1"))
        self.write("broken.toml", "devices = [5]\n")
        self.assertIsNone(self.files.find("lines/1"))

    def test_noFolder(self) -> None:
        """
        Where there can be no folder, one line says why.
        """
        self.folder.write_text("")
        error = self.assertRaises(Unsaved, self.files.save, _BALCONY, "")
        self.assertRegex(str(error), "devices.d: [A-Z].*[a-z]$")

    @PROPERTY
    @given(_TEXTS, _TEXTS)
    def test_anyName(self, name: str, address: str) -> None:
        """
        Whatever a device is called, its file is in the folder, and says what it is called.
        """
        device = DeviceSettings(f"x/{address}.", name)
        found, undo = self.files.save(device, "")
        path = Path(found)
        self.assertEqual((path.parent.name, path.name), tuple(found.split("/")))
        self.assertRegex(path.name, r"^[a-z0-9][a-z0-9-]{0,70}\.toml$")
        self.assertEqual(
            [convert(one, DeviceSettings) for one in self.described(path.name)], [device]
        )
        undo()


class WordsTests(SynchronousTestCase):
    """
    L{slug} and L{spare}.
    """

    def test_slug(self) -> None:
        """
        A name becomes small letters, digits and dashes.
        """
        for text, said in (
            ("Balcony", "balcony"),
            ("../../etc/passwd", "etc-passwd"),
            ("Büro №2", "buro-no2"),
            ("-", ""),
            ("x" * 500, "x" * 60),
        ):
            self.assertEqual(slug(text), said)

    def test_spare(self) -> None:
        """
        What is written is what was meant, whatever it is.
        """
        device = DeviceSettings(
            "radio/20",
            values=(ValueSettings("msg", "B"), ValueSettings("t", scale=1e-7, offset=1e30)),
            whitening=True,
            transmit=(TransmitSettings("relay", "B"), TransmitSettings("x", scale=0.1)),
            sleeps=True,
        )
        radio = {"name": "radio", "wire": "rfm2pi", "port": "x"}
        settings = parse({"listeners": [radio], "devices": [spare(device)]})
        self.assertEqual(settings.devices, (device,))

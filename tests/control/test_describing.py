"""
Tests for L{sensord.control.describing} and L{sensord.control.reloads}. The files are tested with
L{sensord.control.descriptions}.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from struct import pack
from typing import Any, ClassVar

from msgspec import json
from twisted.internet.defer import Deferred, succeed

from sensord.config import ConfigError, Settings, extended
from sensord.control.reloads import Reloader
from sensord.reading import Arrivals, Intake, Quarantined
from sensord.store.audit import audit
from sensord.wire import esp8266
from tests.control.support import NOW, SETTINGS, ApiTestCase
from tests.store.support import folder

_WEATHER = {"name": "weather", "wire": "esp8266", "listen": "tcp:5001"}

_STOCK = {"address": "weather/1", "name": "balcony"} | {
    "values": [{"name": "light", "type": "H", "unit": "lx"}]
}

_VALUES = [
    {"name": "light", "type": "H", "unit": "lx"},
    {"name": "level", "type": "h", "scale": 0.1, "offset": -1, "unit": "m"},
]


class Files:
    """
    A reloader whose configuration file is a table, and whose folder is real.

    @ivar file: what the configuration file is called.
    @ivar folder: where descriptions are saved.
    @ivar told: who has had it read anew.
    @ivar trouble: what is wrong with the configuration; empty if nothing is.
    @ivar waiting: what it waits for before it is done.
    """

    def __init__(self, case: "DescribingTestCase", settings: Settings) -> None:
        self.file = "sensord.toml"
        self.folder: Path | None = folder(case) / "devices.d"
        self.settings = settings
        self.told: list[str] = []
        self.trouble = ""
        self.waiting: Deferred[None] = succeed(None)
        self._case = case
        self._main = settings

    async def reload(self, who: str) -> Sequence[str]:
        """
        See L{Reloader.reload}.
        """
        self.told.append(who)
        if self.trouble:
            raise ConfigError([self.trouble, "and more"])
        assert self.folder is not None
        settings = extended(self._main, self.folder)
        await self.waiting
        changed = settings.devices != self.settings.devices
        self.settings = settings
        self._case.described.revise(settings)
        await self._case.store.revise(settings.store, True)
        return ["devices: changed"] if changed else []


class DescribingTestCase(ApiTestCase):
    """
    An API whose configuration can be read anew.
    """

    table: ClassVar[dict[str, Any]] = {
        "listeners": [
            *SETTINGS["listeners"],
            _WEATHER,
            {"name": "farm", "wire": "mqtt", "topic": "/{hub}/{device}/data", "payload": "packed"},
            {"name": "radio", "wire": "rfm2pi", "port": "/dev/ttyAMA0"},
        ],
        "devices": [*SETTINGS["devices"], _STOCK],
        "tags": {"site": "farm"},
    }

    def reloads(self, settings: Settings) -> Reloader | None:
        """
        See L{ApiTestCase.reloads}.
        """
        self.files = Files(self, settings)
        return self.files

    def hold(self, device: int, *rows: tuple[int, int], size: int = 4, ago: int = 0) -> None:
        """
        A packet comes whose device is not described, or differs from its description.
        """
        data = b"".join(pack("<Hh", *row) for row in rows)
        packet = esp8266.Packet(60, 30, size, device, 2, data)
        arrivals = Arrivals(lambda: NOW / 1e6 - ago)
        source = self.described.source(self.files.settings.listeners[2], arrivals)
        self.admit(source.decode("192.168.1.9", [packet]), "weather")

    def describe(self, status: int = 200, path: str = "describe", **more: Any) -> Any:
        """
        Describe device 7 of the weather listener.
        """
        draft = {"address": "weather/7", "name": "tank", "values": _VALUES, **more}
        return self.post(f"devices/{path}", draft, status)


class QuarantineTests(DescribingTestCase):
    """
    C{GET /quarantine}: whose the frames are.
    """

    def test_addresses(self) -> None:
        """
        Each frame has the address with which it has to be described.
        """
        self.hold(7, (1, 2))
        frames = (
            ("weather", "esp8266", b"\xff"),
            ("weather", "poe", b"\x01\x01\x01\x01"),
            ("gone", "esp8266", b""),
            ("farm", "mqtt", b"/acme/pump/data\0\1\2\3"),
            ("farm", "mqtt", b"/elsewhere\0\1"),
            ("farm", "mqtt", b"nonsense"),
            ("poe", "poe", b"\x01\x01\x01\x01"),
        )
        for listener, wire, data in frames:
            frame = Quarantined(NOW, "10.0.0.1", data, "why", wire)
            self.admit(Intake([], quarantined=[frame]), listener)
        self.assertEqual(
            [one["address"] for one in self.get("quarantine")],
            ["", "", "", "farm/acme/pump", "", "", "", "weather/7"],
        )


class PreviewTests(DescribingTestCase):
    """
    C{POST /devices/preview}.
    """

    def test_good(self) -> None:
        """
        What the newest frames of a device would be by a description is shown, and nothing is done.
        """
        self.hold(7, (1, 20), (2, 30), ago=60)
        self.hold(8, (5, 5))
        self.hold(7, (3, -10))
        answer = self.describe(path="preview")
        self.assertEqual(answer["faults"], [])
        self.assertEqual([one["id"] for one in answer["frames"]], [3, 1])
        frame = answer["frames"][0]
        self.assertEqual(frame["time"], NOW)
        self.assertEqual(bytes.fromhex(frame["data"])[-4:], pack("<Hh", 3, -10))
        self.assertEqual(frame["why"], "")
        self.assertEqual(
            frame["readings"],
            [
                {"name": "light", "value": 3, "unit": "lx"},
                {"name": "level", "value": -2.0, "unit": "m"},
            ],
        )
        self.assertEqual(
            [one["value"] for one in answer["frames"][1]["readings"]], [1, 1.0, 2, 2.0]
        )
        self.assertEqual(len(self.get("quarantine")), 3)
        self.assertEqual(self.files.told, [])
        assert self.files.folder is not None
        self.assertFalse(self.files.folder.exists())

    def test_misfit(self) -> None:
        """
        A description that is good, but does not fit, says why.
        """
        self.hold(7, (1, 20))
        answer = self.describe(path="preview", values=_VALUES[:1])
        self.assertEqual(answer["faults"], [])
        (frame,) = answer["frames"]
        self.assertEqual(frame["readings"], [])
        self.assertEqual(frame["why"], "2 sensors in 4 bytes, the description of tank has 1 in 2")

    def test_faulty(self) -> None:
        """
        All faults of a description are told, and the frames as they are.
        """
        self.hold(7, (1, 20))
        for more, faults in (
            (
                {"values": []},
                ["values: is missing; packets do not say themselves what they contain"],
            ),
            ({"values": [{"name": "x"}]}, ['[[values]] "x" type: is missing']),
            (
                {"values": [{"name": "x", "type": "z"}, {"name": "y", "type": "H", "skale": 2}]},
                [
                    '[[values]] "x" type: "z" is not one of b B h H i I l L q Q f d ?',
                    '[[values]] "y" skale: unknown key; did you mean "scale"?',
                ],
            ),
            ({"name": "kitchen"}, ["name: is used twice"]),
            ({"name": "a/b"}, ["name: a slash would make it look like an address"]),
            ({"whitening": 1}, ["whitening: expected `bool`, got `int`"]),
        ):
            answer = self.describe(path="preview", **more)
            self.assertEqual(
                [one.removeprefix('[[devices]] "kitchen" ') for one in answer["faults"]], faults
            )
            self.assertEqual([one["readings"] for one in answer["frames"]], [[]])
            self.assertEqual(
                [one["why"] for one in answer["frames"]], ["device 7 has no description"]
            )

    def test_nowhere(self) -> None:
        """
        An address that is none, or none of a listener, is a fault.
        """
        for address, fault in (
            ("weather/x", 'address: "x" is no device id from 0 to 255'),
            ("wether/7", 'address: there is no listener "wether"; did you mean "weather"?'),
            ("x", 'address: "x" is not of the form <listener>/<id>'),
            (7, "address: expected `str`, got `int`"),
        ):
            answer = self.describe(path="preview", address=address)
            self.assertEqual(answer, {"faults": [fault], "frames": []})
        self.assertEqual(
            self.post("devices/preview", {}), {"faults": ["address: is missing"], "frames": []}
        )

    def test_most(self) -> None:
        """
        No more frames are shown than the newest twenty.
        """
        for number in range(25):
            self.hold(7, (number, 0))
        answer = self.describe(path="preview")
        self.assertEqual(
            [one["readings"][0]["value"] for one in answer["frames"]], list(range(24, 4, -1))
        )

    def test_senseless(self) -> None:
        """
        What is no object is refused.
        """
        self.post("devices/preview", [1], 400)
        self.post("devices/preview?x=1", {}, 400)


class DescribeTests(DescribingTestCase):
    """
    C{POST /devices/describe}.
    """

    def saved(self, name: str) -> Any:
        """
        What a file says of its only device.
        """
        assert self.files.folder is not None
        (table,) = tomllib.loads((self.files.folder / name).read_text())["devices"]
        return table

    def test_done(self) -> None:
        """
        A description is saved and in effect, and the frames that waited for it are readings: the
        sinks have them, those who follow are told, and the ledger balances.
        """
        self.hold(7, (1, 20), (2, 30), ago=60)
        self.hold(8, (5, 5))
        told: list[Any] = []
        self.store.follow(told.extend)
        self.hold(7, (3, -10))
        self.assertEqual(
            self.describe(),
            {"file": "devices.d/tank.toml", "resolved": 2, "readings": 6, "left": {}},
        )
        self.assertEqual(self.saved("tank.toml")["address"], "weather/7")
        self.assertEqual(self.files.told, ["api"])
        self.assertEqual([one["address"] for one in self.get("quarantine")], ["weather/8"])
        values = {one["name"]: one for one in self.get("latest?device=tank")}
        self.assertEqual((values["level"]["value"], values["level"]["unit"]), (-2.0, "m"))
        self.assertEqual(values["light"]["tags"], {"site": "farm"})
        self.assertEqual([one.value for one in told], [1, 1.0, 2, 2.0, 3, -2.0])
        outcome = audit(self.store.archive)
        self.assertEqual(outcome.faults, [])
        self.assertEqual(
            self.get("devices/description?address=tank")["file"], "devices.d/tank.toml"
        )

    def test_times(self) -> None:
        """
        The times are those that the device's own clock has: what lies between its deliveries tells
        how fast that is.
        """
        self.hold(7, (1, 0), (2, 0), ago=66)
        self.hold(7, (3, 0), (4, 0))
        self.describe()
        points = self.get("history?device=weather/7&name=light")["points"]
        self.assertEqual(
            [NOW - one["time"] for one in points], [96_000_000, 66_000_000, 33_000_000, 0]
        )

    def test_left(self) -> None:
        """
        Frames that still do not fit stay, and it is said why.
        """
        self.hold(7, (1, 20))
        self.hold(7, (1, 20), size=2)
        answer = self.describe()
        self.assertEqual((answer["resolved"], list(answer["left"])), (1, ["2"]))
        self.assertIn("the description of tank has 2 in 4", answer["left"]["2"])

    def test_many(self) -> None:
        """
        Many frames are decoded some at a time, so that devices need not wait for long.
        """
        for number in range(250):
            self.hold(7, (number, 0), ago=250 - number)
        self.writer.calls = 0
        answer = self.describe()
        self.assertEqual((answer["resolved"], answer["readings"]), (250, 500))
        self.assertGreaterEqual(self.writer.calls, 4)

    def test_again(self) -> None:
        """
        A device may be described again, also under another name.
        """
        self.describe()
        self.assertEqual(self.describe(name="cistern")["file"], "devices.d/tank.toml")
        self.assertEqual(self.saved("tank.toml")["name"], "cistern")
        self.assertEqual(self.files.settings.devices[-1].name, "cistern")

    def test_kept(self) -> None:
        """
        What a form does not know of stays as it is.
        """
        transmit = [{"name": "relay", "type": "B"}]
        draft = {"address": "radio/20", "name": "heating", "sleeps": True, "transmit": transmit}
        self.post("devices/describe", draft)
        self.post("devices/describe", {"address": "radio/20", "name": "boiler"})
        self.assertEqual(self.saved("heating.toml"), {**draft, "name": "boiler"})
        found = self.get("devices/description?address=boiler")
        self.assertEqual((found["sleeps"], found["transmit"][0]["name"]), (True, "relay"))
        self.post("devices/describe", {**draft, "transmit": []})
        self.assertNotIn("transmit", self.saved("heating.toml"))

    def test_faulty(self) -> None:
        """
        A description with faults changes nothing; all of them are told.
        """
        answer = self.describe(400, values=[{"name": "x"}, {"name": "x", "type": "z"}])
        self.assertEqual(len(answer["faults"]), 2)
        self.assertEqual(answer["error"], "; ".join(answer["faults"]))
        self.assertEqual(self.files.told, [])

    def test_main(self) -> None:
        """
        What is described in the configuration file has to be described there.
        """
        answer = self.describe(409, address="weather/1", name="balcony")
        self.assertEqual(answer, {"error": "it is described in sensord.toml: change it there"})
        self.assertEqual(self.files.told, [])

    def test_noFile(self) -> None:
        """
        Without a configuration file, what is described by default can be described anew.
        """
        self.files.file = ""
        self.files._main = self.files.settings = self.files.settings.__class__(
            listeners=self.files.settings.listeners
        )
        self.assertEqual(
            self.describe(address="weather/1", name="balcony")["file"], "devices.d/balcony.toml"
        )

    def test_nowhere(self) -> None:
        """
        If there is nowhere to save it, nothing is done.
        """
        self.files.folder = None
        why = "there is no configuration file beside which it could be saved"
        self.assertEqual(self.describe(409), {"error": why})

    def test_bad(self) -> None:
        """
        If the configuration cannot be read anew, for whatever is wrong with it, nothing is saved.
        """
        self.hold(7, (1, 20))
        self.files.trouble = "sensord.toml: [store] path: is missing"
        answer = self.describe(409)
        self.assertEqual(answer["error"], f"{self.files.trouble}; and more")
        assert self.files.folder is not None
        self.assertEqual(list(self.files.folder.iterdir()), [])
        self.assertEqual(len(self.get("quarantine")), 1)
        self.files.trouble = ""
        self.assertEqual(self.describe()["resolved"], 1)

    def test_hungUp(self) -> None:
        """
        When whoever asked hangs up, it is done all the same.
        """
        self.hold(7, (1, 20))
        waiting = self.files.waiting = Deferred()
        link = self.link()
        body = json.encode({"address": "weather/7", "values": _VALUES})
        head = b"POST /api/v1/devices/describe HTTP/1.1\r\nHost: x\r\n"
        kind = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        link.send(head + kind + body)
        link.hangUp()
        waiting.callback(None)
        self.assertEqual(self.get("quarantine"), [])
        self.assertEqual(self.saved("weather-7.toml")["address"], "weather/7")

    def test_trouble(self) -> None:
        """
        If the database fails meanwhile, the description holds, and the frames stay.
        """
        self.hold(7, (1, 20))
        self.disk.trouble = "DELETE FROM quarantine"
        answer = self.describe()
        self.assertEqual((answer["resolved"], answer["left"]), (0, {"1": "disk I/O error"}))
        self.disk.trouble = None
        self.assertEqual(self.describe()["resolved"], 1)

    def test_close(self) -> None:
        """
        When the daemon is stopping, nothing is described any more.
        """
        self.api.close()
        self.assertEqual(self.describe(503), {"error": "the daemon is stopping"})


class DescriptionTests(DescribingTestCase):
    """
    C{GET /devices/description}.
    """

    def test_described(self) -> None:
        """
        A device is told as it is described, by its address or its name, and where that is.
        """
        found = self.get("devices/description?address=balcony")
        self.assertEqual(
            found,
            {
                "address": "weather/1",
                "name": "balcony",
                "tags": {},
                "values": [
                    {
                        "name": "light",
                        "type": "H",
                        "field": "",
                        "scale": 1.0,
                        "offset": 0.0,
                        "unit": "lx",
                    }
                ],
                "whitening": False,
                "transmit": [],
                "sleeps": False,
                "interval": 0.0,
                "wire": "esp8266",
                "types": list("bBhHiIlLqQfd?"),
                "file": "sensord.toml",
                "why": "it is described in sensord.toml: change it there",
            },
        )
        self.assertEqual(self.get("devices/description?address=weather/1"), found)

    def test_undescribed(self) -> None:
        """
        A device that is not described is told with its wire format, and what it can have.
        """
        for address, wire, types in (
            ("weather/9", "esp8266", 13),
            ("farm/acme/pump", "mqtt", 13),
            ("poe/10.0.0.1", "poe", 0),
            ("nowhere/1", "", 0),
            ("x", "", 0),
        ):
            found = self.get(f"devices/description?address={address}")
            self.assertEqual((found["wire"], len(found["types"])), (wire, types))
            self.assertEqual((found["address"], found["values"]), (address, []))
            self.assertEqual((found["file"], found["why"]), ("", ""))

    def test_saved(self) -> None:
        """
        One that was saved can be described anew; one whose file is somebody's own cannot.
        """
        self.describe()
        found = self.get("devices/description?address=tank")
        self.assertEqual((found["file"], found["why"]), ("devices.d/tank.toml", ""))
        assert self.files.folder is not None
        path = self.files.folder / "tank.toml"
        path.write_text(path.read_text().partition("\n")[2])
        found = self.get("devices/description?address=tank")
        self.assertEqual(found["file"], "devices.d/tank.toml")
        self.assertEqual(found["why"], "devices.d/tank.toml was written by hand: describe it there")

    def test_nowhere(self) -> None:
        """
        Where nothing can be saved, it says so.
        """
        self.files.folder = None
        found = self.get("devices/description?address=balcony")
        self.assertEqual(found["file"], "")
        self.assertIn("no configuration file", found["why"])

    def test_senseless(self) -> None:
        """
        It has to be said which.
        """
        self.assertEqual(self.fault("devices/description"), "address: is missing")


class ReloadTests(DescribingTestCase):
    """
    C{POST /reload}.
    """

    def test_done(self) -> None:
        """
        The configuration is read anew, and what has changed is told. Names are the new ones from
        then on.
        """
        self.assertEqual(self.post("reload"), {"changes": []})
        assert self.files.folder is not None
        self.files.folder.mkdir()
        (self.files.folder / "x.toml").write_text(
            '[[devices]]\naddress = "barn/10.0.0.1"\nname = "door"\n'
        )
        self.assertEqual(self.post("reload"), {"changes": ["devices: changed"]})
        self.assertIn("door", [one["name"] for one in self.get("devices")])
        self.assertEqual(self.get("history?device=barn/10.0.0.1&name=x")["device"], "door")

    def test_bad(self) -> None:
        """
        If there is something wrong with it, it is said what.
        """
        self.files.trouble = "sensord.toml: line 3: nonsense"
        answer = self.post("reload", status=409)
        self.assertEqual(answer, {"error": "sensord.toml: line 3: nonsense; and more"})

    def test_guarded(self) -> None:
        """
        A form on a foreign page cannot do it.
        """
        response = self.ask("POST", "reload", kind="text/plain")
        self.assertEqual(response.status, 400)
        self.assertEqual(self.files.told, [])

    def test_hungUp(self) -> None:
        """
        When whoever asked hangs up, it goes on.
        """
        waiting = self.files.waiting = Deferred()
        link = self.link()
        head = b"POST /api/v1/reload HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        link.send(head + b"Content-Length: 0\r\n\r\n")
        link.hangUp()
        waiting.callback(None)
        self.assertEqual(self.files.told, ["api"])


class NoReloadTests(ApiTestCase):
    """
    An API whose configuration stays as it is.
    """

    def test_refused(self) -> None:
        """
        It says that it cannot read it anew, and cannot describe.
        """
        answer = self.post("reload", status=409)
        self.assertEqual(answer["error"], "there is no configuration that could be read anew")
        draft = {"address": "poe/10.0.0.1", "name": "x"}
        self.assertEqual(self.post("devices/preview", draft)["faults"], [])
        self.post("devices/describe", draft, 409)
        self.assertIn("no conf", self.get("devices/description?address=workshop")["why"])

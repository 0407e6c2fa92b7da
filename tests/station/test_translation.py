"""
Tests for L{sensord.station.translation}.
"""

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import json
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import ConfigError, Settings, parse
from sensord.outlets import EmoncmsSettings
from sensord.station.translation import ALONE, Document, read, translate
from sensord.wires import RadioSettings
from tests.support import PROPERTY

URL = "http://localhost/emoncms"

#: What an emoncms says.
DOCUMENT = {
    "apikey": "a" * 32,
    "sgroup": "212",
    "frequency": "8",
    "baseid": "16",
    "sendtimeinterval": "60",
    "remotedomain": "emoncms.org",
    "remoteprotocol": "http://",
    "remotepath": "",
    "remoteapikey": "b" * 32,
    "remotesend": "1",
}


def document(**changed: str) -> Document:
    """
    What it says, with something else in it.
    """
    return {**DOCUMENT, **changed}


class ReadTests(SynchronousTestCase):
    """
    Reading the answer of an emoncms.
    """

    def test_texts(self) -> None:
        """
        It is an object of texts; numbers, truth values and null are taken for such.
        """
        data = b'{"sgroup": 210, "baseid": "15 ", "remotesend": true, "apikey": null, "more": "x"}'
        self.assertEqual(
            read(data), {"sgroup": "210", "baseid": "15", "remotesend": "1", "apikey": ""}
        )
        self.assertEqual(read(json.encode(DOCUMENT)), DOCUMENT)

    def refused(self, data: bytes) -> str:
        """
        Why an answer is none.
        """
        error = self.assertRaises(ConfigError, read, data)
        self.assertEqual(len(error.faults), 1)
        self.assertLess(len(error.faults[0]), 300)
        return str(error.faults[0])

    def test_others(self) -> None:
        """
        A page that is something else is told from it.
        """
        self.assertIn("is no object of texts", self.refused(b"<html>not found</html>"))
        self.assertIn("is no object of texts", self.refused(b'[["sgroup", 210]]'))
        self.assertIn("is no object of texts", self.refused(b'{"sgroup": {"is": 210}}'))
        self.assertIn("none of the settings", self.refused(b"{}"))
        self.assertIn("is longer than", self.refused(b'{"sgroup": "' + b"1" * 1000 + b'"}'))
        more = b'{"sgroup": "1", "remote' + b"x" * 1000 + b'": "' + b"1" * 1000 + b'"}'
        self.assertEqual(read(more), {"sgroup": "1"})

    @PROPERTY
    @given(st.binary(max_size=60))
    def test_any(self, data: bytes) -> None:
        """
        No answer raises anything but what says so.
        """
        with contextlib.suppress(ConfigError):
            read(data)


class TranslateTests(SynchronousTestCase):
    """
    What an emoncms says, as settings.
    """

    def radio(self, settings: Settings) -> RadioSettings:
        """
        The radio.
        """
        (radio,) = settings.listeners
        assert isinstance(radio, RadioSettings)
        return radio

    def sinks(self, settings: Settings) -> dict[str, EmoncmsSettings]:
        """
        The sinks that send to an emoncms.
        """
        return {one.name: one for one in settings.sinks if isinstance(one, EmoncmsSettings)}

    def faults(self, **changed: str) -> list[str]:
        """
        What is wrong with something that it says.
        """
        error = self.assertRaises(ConfigError, translate, ALONE, URL, document(**changed))
        return list(error.faults)

    def test_all(self) -> None:
        """
        It says how the radio is set, and with which keys is sent where.
        """
        settings = translate(ALONE, URL, DOCUMENT)
        radio = self.radio(settings)
        self.assertEqual((radio.port, radio.baud), ("/dev/ttyAMA0", 9600))
        self.assertEqual(
            (radio.group, radio.frequency, radio.base_id, radio.time_interval), (212, 868, 16, 60)
        )
        sinks = self.sinks(settings)
        self.assertEqual(
            [(one.name, one.url, one.apikey.text, one.active) for one in sinks.values()],
            [
                ("emoncms", URL, "a" * 32, True),
                ("emoncms-remote", "http://emoncms.org", "b" * 32, True),
            ],
        )

    def test_held(self) -> None:
        """
        Whatever is not to be sent to the other emoncms is held for it.
        """
        for said in ("0", "false", "", "False"):
            sinks = self.sinks(translate(ALONE, URL, document(remotesend=said)))
            self.assertFalse(sinks["emoncms-remote"].active)

    def test_incomplete(self) -> None:
        """
        What is missing or empty is left as it is without.
        """
        empty = dict.fromkeys(DOCUMENT, "")
        self.assertEqual(translate(ALONE, URL, empty), ALONE)
        self.assertEqual(translate(ALONE, URL, {}), ALONE)
        some = translate(ALONE, URL, {"sgroup": "1", "remotepath": "/emoncms"})
        self.assertEqual((self.radio(some).group, some.sinks), (1, ()))

    def test_file(self) -> None:
        """
        What the configuration file says of the radio and of the sinks beyond that holds, and so
        does everything else of it.
        """
        tables: dict[str, Any] = {
            "listeners": [
                {"name": "lines", "wire": "lines", "listen": "tcp:1"},
                {"name": "attic", "wire": "rfm2pi", "port": "/dev/ttyUSB0", "quiet": False},
            ],
            "devices": [{"address": "attic/10", "name": "hall"}],
            "sinks": [
                {"name": "files", "kind": "csv", "folder": "Data"},
                {"name": "emoncms", "kind": "emoncms", "apikey": "c" * 32, "interval": 30},
            ],
        }
        settings = translate(parse(tables), URL, DOCUMENT)
        radio, lines = settings.listeners
        assert isinstance(radio, RadioSettings)
        self.assertEqual(
            (radio.name, radio.port, radio.baud, radio.quiet, radio.group),
            ("attic", "/dev/ttyUSB0", 38400, False, 212),
        )
        self.assertEqual(lines.name, "lines")
        self.assertEqual([one.name for one in settings.devices], ["hall"])
        local = self.sinks(settings)["emoncms"]
        self.assertEqual((local.url, local.apikey.text, local.interval), (URL, "a" * 32, 30))
        self.assertEqual(
            [one.name for one in settings.sinks], ["files", "emoncms", "emoncms-remote"]
        )

    def test_clash(self) -> None:
        """
        A sink of another kind that has one of the names gives it up.
        """
        tables = {"listeners": [], "sinks": [{"name": "emoncms", "kind": "csv", "folder": "x"}]}
        settings = translate(parse(tables), URL, DOCUMENT)
        self.assertEqual([one.kind for one in settings.sinks], ["emoncms", "emoncms"])

    def test_faults(self) -> None:
        """
        What makes no sense is told, all of it, and no key is shown.
        """
        self.assertEqual(self.faults(sgroup="many"), ['sgroup: "many" is no whole number'])
        self.assertEqual(self.faults(frequency="5"), ['frequency: "5" is none of 4, 8, 9'])
        [fault] = self.faults(frequency="\x1b[31m\nfake")
        self.assertTrue(fault.isprintable(), fault)
        [fault] = self.faults(baseid="99")
        self.assertTrue(fault.startswith("radio base_id: "), fault)
        self.assertEqual(
            self.faults(remotesend="maybe"), ["remotesend: is none of 1, 0, true, false"]
        )
        self.assertEqual(
            self.faults(remotedomain="", remoteprotocol=""),
            ["remotesend: there is no remotedomain or remoteapikey to send to"],
        )
        several = self.faults(apikey="secret", remotedomain="a b", sgroup="x")
        self.assertEqual(len(several), 3)
        self.assertNotIn("secret", str(several))

    @PROPERTY
    @given(st.dictionaries(st.sampled_from([*DOCUMENT]), st.text(max_size=40)))
    def test_any(self, said: dict[str, str]) -> None:
        """
        Whatever it says, nothing is raised but what is wrong with it.
        """
        with contextlib.suppress(ConfigError):
            translate(ALONE, URL, document(**said))

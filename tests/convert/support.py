"""
What tests of conversions share.
"""

from pathlib import Path
from tomllib import loads
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from sensord.config import Settings, parse
from sensord.convert.conversion import Conversion, convert
from sensord.convert.report import Report
from sensord.settings import DeviceSettings

EXAMPLES = Path(__file__).parent / "examples"

#: A key such as emoncms has.
KEY = "ffeeddccbbaa99887766554433221100"

#: A radio, for files that are about something else.
RADIO = """
[[Radio]]
Type = EmonHubJeeInterfacer
[[[init_settings]]]
[[[runtimesettings]]]
"""


def example(name: str) -> bytes:
    """
    One of the files.
    """
    return (EXAMPLES / name).read_bytes()


def hub(interfacers: str, nodes: str = "") -> bytes:
    """
    An emonhub.conf.
    """
    return f"[interfacers]\n{interfacers}\n[nodes]\n{nodes}\n".encode()


def gateway(listeners: str, buffers: str = "") -> bytes:
    """
    An oemgateway.conf.
    """
    return f"[gateway]\n[listeners]\n{listeners}\n[buffers]\n{buffers}\n".encode()


def part(name: str, type: str, run: str = "", init: str = "") -> str:
    """
    A section with a type, as both programs have it.
    """
    return f"[[{name}]]\nType = {type}\n[[[init_settings]]]\n{init}\n[[[runtimesettings]]]\n{run}\n"


class ConvertTestCase(SynchronousTestCase):
    """
    Converts, and looks at what came out.

    @ivar report: what was said of the last conversion.
    """

    report: Report

    def convert(self, data: bytes, kind: str = "") -> Conversion:
        """
        Convert a file.
        """
        made = convert(data, kind)
        self.report = made.report
        return made

    def settings(self, data: bytes) -> Settings:
        """
        The settings that a file becomes: those of the text that is written, as the daemon reads it.
        """
        made = self.convert(data)
        text, _secrets = made.draft.text(made.report.lines())
        return parse(loads(text))

    def listener(self, data: bytes) -> Any:
        """
        The only listener that a file becomes.
        """
        [found] = self.settings(data).listeners
        return found

    def sink(self, data: bytes) -> Any:
        """
        The only sink that a file becomes.
        """
        [found] = self.settings(data).sinks
        return found

    def device(self, nodes: str, interfacers: str = RADIO) -> DeviceSettings:
        """
        The only device that some nodes become.
        """
        [found] = self.settings(hub(interfacers, nodes)).devices
        return found

    def assertLost(self, *pairs: tuple[str, str]) -> None:
        """
        These settings, and no others, have no counterpart.
        """
        found = {pair for loss in self.report.lost for pair in loss.settings}
        self.assertEqual(found, set(pairs))

    def assertChanged(self, *words: str) -> None:
        """
        For each of some words there is something that is not quite as before.
        """
        text = " | ".join(f"{place}: {what}" for place, what in self.report.changed)
        for word in words:
            self.assertIn(word, text)

    def assertSaid(self, *words: str) -> None:
        """
        Why something was lost, or what to do instead, has some words in it.
        """
        text = " | ".join(f"{loss.place}: {loss.why} {loss.instead}" for loss in self.report.lost)
        for word in words:
            self.assertIn(word, text)

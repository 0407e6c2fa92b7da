"""
L{sensord.demo}.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from sensord import demo
from sensord.listeners import DoorSettings
from sensord.pretend import DEVICES
from sensord.reading import Clock, Reading
from sensord.simulate import Fleet
from sensord.wires import RadioSettings


class DemoTests(SynchronousTestCase):
    """
    The parts of the demo, in a folder of their own and without a gateway.
    """

    def setUp(self) -> None:
        """
        Go there, and listen to the log.
        """
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder)
        self.reactor = MemoryReactorClock()
        self.followers: list[Callable[[Sequence[Reading]], None]] = []
        store = SimpleNamespace(follow=self.followers.append)
        gateway: Any = SimpleNamespace(store=store)
        self.extras = demo.extras(self.reactor, gateway)
        self.said: list[str] = []
        observer = cast(ILogObserver, self._overhear)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def _overhear(self, event: LogEvent) -> None:
        self.said.append(str(formatEvent(event)))

    def start(self) -> None:
        """
        Start all that runs beside the gateway.
        """
        for extra in self.extras:
            extra.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        """
        Stop all that runs.
        """
        for extra in self.extras:
            if extra.running:
                extra.stopService()

    def test_settings(self) -> None:
        """
        There is nothing wrong with its settings, and there is a listener for each kind of device.
        """
        self.assertEqual(list(demo.SETTINGS.faults()), [])
        wires = {listener.wire for listener in demo.SETTINGS.listeners}
        self.assertEqual(wires, {*DEVICES})

    def test_devices(self) -> None:
        """
        Each device that is pretended has a name, and no others have.
        """
        names = {listener.wire: listener.name for listener in demo.SETTINGS.listeners}
        for fleet in self.fleets():
            described = [
                one.label
                for one in demo.SETTINGS.devices
                if one.address.startswith(f"{names[fleet.wire]}/")
            ]
            self.assertEqual(len(described), fleet.devices, fleet.wire)
            self.assertFalse([label for label in described if "/" in label])

    def fleets(self) -> list[Fleet]:
        """
        All pretend devices.
        """
        return [extra for extra in self.extras if isinstance(extra, Fleet)]

    def test_places(self) -> None:
        """
        The devices send to where the gateway listens.
        """
        listeners = {listener.wire: listener for listener in demo.SETTINGS.listeners}
        for fleet in self.fleets():
            listener = listeners[fleet.wire]
            if isinstance(listener, RadioSettings):
                self.assertEqual(fleet.target, listener.port)
            else:
                assert isinstance(listener, DoorSettings) and demo.SETTINGS.web is not None
                port = fleet.target.removeprefix("tcp:127.0.0.1:")
                listen = listener.listen or demo.SETTINGS.web.listen
                self.assertEqual(listen, f"tcp:{port}:interface=127.0.0.1")

    def test_radio(self) -> None:
        """
        The device file of the radio is there while the demo runs.
        """
        self.start()
        self.assertTrue(Path("sensord-demo-radio").is_char_device())
        self.stop()
        self.assertEqual(os.listdir(), [])

    def test_radioLast(self) -> None:
        """
        While the reactor runs, the device file stays until the gateway, which stops after the
        devices, is done with it; nothing is sent to it any more.
        """
        self.start()
        self.reactor.running = True
        radio = self.fleets()[-1]
        radio.stopService()
        self.assertTrue(Path("sensord-demo-radio").is_char_device())
        sent = radio.sent
        self.reactor.advance(100)
        self.assertEqual(radio.sent, sent)
        [(call, args, kwargs)] = self.reactor.triggers["during"]["shutdown"]
        call(*args, **kwargs)
        self.assertEqual(os.listdir(), [])

    def test_noRadio(self) -> None:
        """
        Where there can be no device file, the log says why, and the others go on.
        """
        Path("sensord-demo-radio").write_text("precious")
        self.start()
        said = "demo: there is no pretend radio, since sensord-demo-radio: File exists"
        self.assertIn(said, self.said)
        self.assertEqual([fleet.running for fleet in self.fleets()], [1, 1, 1, 1, 1, 0])

    def test_commentary(self) -> None:
        """
        The log says what there is, what to try, and every five seconds how it goes.
        """
        self.start()
        text = "\n".join(self.said)
        for word in ("devices", "tail", "export", "audit", "send hall LED 1"):
            self.assertIn(f"sensord {word}", text)
        self.assertIn("sensord send radiator target 21.5", text)
        names = {one.label: one for one in demo.SETTINGS.devices}
        self.assertEqual([one.name for one in names["radiator"].transmit], ["target"])
        self.said.clear()
        self.reactor.advance(5)
        self.assertIn("demo: 0 readings stored so far", self.said)
        [follower] = self.followers
        follower(
            [
                Reading("balcony", "temperature", 21.54, 1, Clock.ARRIVAL),
                Reading("balcony", "light", 1, 1, Clock.ARRIVAL),
            ]
        )
        self.reactor.advance(5)
        self.assertIn("demo: 2 readings stored so far; balcony: 21.5 °C", self.said)

"""
What C{twistd sensord --demo} runs: a gateway on loopback, and the pretend devices that it hears.
"""

from collections.abc import Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from sensord.config import DEFAULTS, STOCK, DeviceSettings, Settings, StoreSettings
from sensord.gateway import Gateway
from sensord.reading import Reading
from sensord.simulate import Fleet

_PLACES = ("balcony", "cellar", "greenhouse", "attic", "garage")
_BOARDS = ("workshop", "kitchen", "boiler-room")

SETTINGS = Settings(
    store=StoreSettings(path="sensord-demo.sqlite"),
    listeners=DEFAULTS.listeners,
    devices=(
        *(
            DeviceSettings(f"weather/{id}", place, {"place": place}, STOCK)
            for id, place in enumerate(_PLACES, 1)
        ),
        *(
            DeviceSettings(f"poe/127.0.1.{number}", board, {"place": board})
            for number, board in enumerate(_BOARDS, 1)
        ),
    ),
)


#: Seconds between two lines on how it goes.
_EVERY = 5.0


class Commentary(Service):
    """
    Says in the log what is going on, for those who see it the first time.
    """

    _log = Logger()

    def __init__(self, reactor: Any, gateway: Gateway) -> None:
        self._gateway = gateway
        self._count = 0
        self._last: Reading | None = None
        self._telling = LoopingCall(self._tell)
        self._telling.clock = reactor

    def startService(self) -> None:
        """
        Begin.
        """
        super().startService()
        self._log.info(
            "demo: {batteries} battery devices and {boards} boards are pretended; look at what they"
            " send from another terminal, in this folder: sensord export, sensord audit",
            batteries=len(_PLACES),
            boards=len(_BOARDS),
        )
        self._gateway.store.follow(self._follow)
        self._telling.start(_EVERY, now=False)

    def stopService(self) -> None:
        """
        End, with a last line.
        """
        super().stopService()
        self._telling.stop()
        self._tell()

    def _follow(self, readings: Sequence[Reading]) -> None:
        self._count += len(readings)
        for reading in readings:
            if reading.name == "temperature":
                self._last = reading

    def _tell(self) -> None:
        self._log.info(
            "demo: {count} readings stored so far{last}",
            count=self._count,
            last=(f"; {self._last.device}: {self._last.value:.1f} °C" if self._last else ""),
        )


def extras(reactor: Any, gateway: Gateway) -> list[Service]:
    """
    What runs beside the gateway, not started yet.
    """
    return [
        Fleet(reactor, "esp8266", len(_PLACES), 0.1, "tcp:127.0.0.1:5001"),
        Fleet(reactor, "poe", len(_BOARDS), 10.5, "tcp:127.0.0.1:1234"),
        Commentary(reactor, gateway),
    ]

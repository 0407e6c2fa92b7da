"""
What C{twistd sensord --demo} runs: a gateway on loopback, and the pretend devices that it hears.
"""

from typing import Any

from sensord.config import DEFAULTS, STOCK, DeviceSettings, Settings, StoreSettings
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


def fleets(reactor: Any) -> list[Fleet]:
    """
    The pretend devices, not started yet.
    """
    return [
        Fleet(reactor, "esp8266", len(_PLACES), 0.1, "tcp:127.0.0.1:5001"),
        Fleet(reactor, "poe", len(_BOARDS), 10.5, "tcp:127.0.0.1:1234"),
    ]

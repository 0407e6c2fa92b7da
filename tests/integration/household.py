"""
The gateway of a house with pretend devices that measure, and with what they have measured in the
last thirty days: what the page is shown with. It is a process of its own, in a folder that it may
fill: C{python -m tests.integration.household}. Its log ends with L{READY} once all is there.
"""

import sys
from collections.abc import Iterator, Sequence
from math import pi, sin
from random import Random
from typing import Any

from msgspec import structs
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger, globalLogBeginner, textFileLogObserver

from sensord.config import Settings
from sensord.demo import SETTINGS, RadioFleet
from sensord.gateway import Gateway
from sensord.listeners import DoorSettings
from sensord.protocols.http import PushListener
from sensord.protocols.listener import Listener
from sensord.reading import Clock, Reading
from sensord.settings import DeviceSettings
from sensord.simulate import Fleet
from sensord.store.archive import Current
from sensord.store.service import Store
from sensord.web.settings import WebSettings

_LOOPBACK = "tcp:0:interface=127.0.0.1"

#: The device file of the pretend radio.
_RADIO = "household-radio"

#: How many devices there are of each kind, and the messages per second of each.
_FLEETS = (
    ("esp8266", 5, 0.25),
    ("poe", 3, None),
    ("lines", 3, None),
    ("websocket", 3, None),
    ("http", 2, None),
)

#: What a value goes up and down by in a day; what is not named here stays where it is.
_SWINGS = {
    "battery": 0.06,
    "humidity": 9.0,
    "light": 160.0,
    "power": 420.0,
    "power1": 420.0,
    "power2": 420.0,
    "rssi": 4.0,
    "smoke": 8.0,
    "temperature": 4.0,
    "voltage": 3.0,
}

#: What is never below nothing.
_POSITIVE = {"humidity", "light", "power", "smoke"}

#: Spans of history: from and until so many seconds ago, and the seconds between two readings.
_SPANS = ((30 * 86400, 86400, 1800), (86400, 3600, 300), (3600, 5, 30))

#: What the log says when all is there.
READY = "the house is ready"

#: A device that nobody has heard of for long.
_SHED = DeviceSettings("lines/9", "shed", {"place": "garden"})

#: Seconds between two looks whether all devices have said something.
_LOOK = 0.5


def settings() -> Settings:
    """
    Those of the demonstration, on ports that the system chooses.
    """
    ways = tuple(
        structs.replace(way, listen=_LOOPBACK)
        if isinstance(way, DoorSettings)
        else structs.replace(way, port=_RADIO)
        for way in SETTINGS.listeners
    )
    return structs.replace(
        SETTINGS,
        listeners=ways,
        devices=(*SETTINGS.devices, _SHED),
        web=WebSettings(listen=_LOOPBACK),
    )


def past(latest: Sequence[Current], now: int) -> Iterator[Reading]:
    """
    What led to the values of now.

    @param now: in microseconds since the epoch.
    """
    random = Random(7)
    for current in latest:
        value, kind = current.value, current.name.partition(".")[0]
        if isinstance(value, str | bool) or kind in ("counter", "msg"):
            continue
        places = min(3, len(str(value).partition(".")[2]))
        swing, phase = _SWINGS.get(kind, 0.0), random.random() * 0.08

        def wave(time: int, swing: float = swing, phase: float = phase) -> float:
            turns = (time / 86_400e6 + phase - 0.3) * 2 * pi
            return swing * (sin(turns) + 0.35 * sin(turns / 6.3) + 0.12 * sin(turns * 7))

        for start, end, step in _SPANS:
            for seconds in range(start, end, -step):
                time = now - seconds * 1_000_000
                made = value + wave(time) - wave(now) + random.gauss(0, swing * 0.02)
                if kind in _POSITIVE:
                    made = max(0.0, made)
                if kind == "motion":
                    made = float(random.random() < 0.05)
                shown = round(made) if isinstance(value, int) else round(made, places)
                yield Reading(
                    current.device, current.name, shown, time + random.randrange(999), Clock.ARRIVAL
                )


async def remember(store: Store, now: int) -> None:
    """
    Store the past.
    """
    latest = await store.latest()
    shed = [one for one in latest if one.device == "cellar"]
    readings = list(past(latest, now))
    readings += [
        Reading("shed", one.name, one.value, now - 5 * 86_400_000_000 + place, Clock.ARRIVAL)
        for place, one in enumerate(shed)
    ]
    for start in range(0, len(readings), 50_000):
        await store.record(readings[start : start + 50_000])


class Household:
    """
    All of it.
    """

    _log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._gateway = Gateway(reactor, settings())
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def start(self) -> None:
        """
        Let the gateway and the devices begin.
        """
        self._gateway.startService()
        self._reactor.addSystemEventTrigger("before", "shutdown", self._gateway.stopService)
        wires = {one.wire: one.name for one in SETTINGS.listeners}
        for wire, count, rate in _FLEETS:
            way = self._gateway.listeners[wires[wire]]
            assert isinstance(way, Listener | PushListener)
            where: Any = way.address
            Fleet(self._reactor, wire, count, rate, f"tcp:127.0.0.1:{where.port}", 5).startService()
        RadioFleet(self._reactor, "rfm2pi", 4, 0.5, _RADIO, 5).startService()
        self._looking.start(_LOOK, now=False)

    def _look(self) -> None:
        heard = [one for one in self._gateway.presence if one.heard]
        if len(heard) < len(SETTINGS.devices):
            return
        self._looking.stop()
        now = int(self._reactor.seconds() * 1e6)
        done = Deferred.fromCoroutine(remember(self._gateway.store, now))
        done.addCallback(lambda _none: self._log.info(READY))
        done.addErrback(lambda failure: self._log.failure("there is no past", failure))


def main() -> None:
    """
    Run until it is told to stop.
    """
    from twisted.internet import reactor

    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
    reactor.callWhenRunning(Household(reactor).start)
    reactor.run()


if __name__ == "__main__":
    main()

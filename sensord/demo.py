"""
What C{twistd sensord --demo} runs: a gateway on loopback, and the pretend devices that it hears.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from sensord.config import DEFAULTS, STOCK, Settings
from sensord.gateway import Gateway
from sensord.pretend import meter, microcontroller, node, reporter
from sensord.pretend.radio import Radio
from sensord.pushes import PushSettings
from sensord.reading import Reading
from sensord.settings import DeviceSettings, StoreSettings
from sensord.simulate import Fleet
from sensord.wires import RadioSettings

_PLACES = ("balcony", "cellar", "greenhouse", "attic", "garage")
_BOARDS = ("workshop", "kitchen", "boiler-room")
_METERS = ("pump", "charger", "oven")
_PAGES = ("hall", "porch", "loft")
_REPORTERS = ("terrace", "barn")
_NODES = ("mains", "bedroom", "garden", "radiator")

#: Where the device file of the pretend radio module is found.
_PORT = "sensord-demo-radio"


def _devices() -> Iterator[DeviceSettings]:
    """
    All devices.
    """
    for id, name in enumerate(_PLACES, 1):
        yield DeviceSettings(f"weather/{id}", name, {"place": name}, STOCK)
    for number, name in enumerate(_BOARDS, 1):
        yield DeviceSettings(f"poe/127.0.1.{number}", name, {"place": name})
    for id, name in enumerate(_METERS, 1):
        yield DeviceSettings(f"lines/{id}", name, {"place": name}, meter.VALUES)
    for id, name in enumerate(_PAGES, 1):
        yield DeviceSettings(f"pages/{id}", name, {"place": name}, microcontroller.VALUES)
    for number, name in enumerate(_REPORTERS, 1):
        yield DeviceSettings(f"push/board{number}", name, {"place": name}, reporter.VALUES)
    for number, name in enumerate(_NODES, 1):
        model = node.model(number)
        yield DeviceSettings(
            f"radio/{node.IDS[number - 1]}",
            name,
            {"place": name},
            model.values,
            transmit=model.transmit,
        )


SETTINGS = Settings(
    store=StoreSettings(path="sensord-demo.sqlite"),
    listeners=(
        *DEFAULTS.listeners,
        PushSettings("push", "http", ""),
        RadioSettings("radio", "rfm2pi", _PORT),
    ),
    devices=tuple(_devices()),
    web=DEFAULTS.web,
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
            "demo: {batteries} battery devices, {boards} boards, {meters} meters, {pages}"
            " microcontrollers, {reporters} boards that push by HTTP and {nodes} radio nodes are"
            " pretended",
            batteries=len(_PLACES),
            boards=len(_BOARDS),
            meters=len(_METERS),
            pages=len(_PAGES),
            reporters=len(_REPORTERS),
            nodes=len(_NODES),
        )
        self._log.info(
            "demo: look at what they send from another terminal, in this folder: sensord devices,"
            " sensord tail, sensord export, sensord audit"
        )
        self._log.info(
            "demo: and tell them something: sensord send {page} LED 1; sensord send {node} target"
            " 21.5, and see its target in sensord tail",
            page=_PAGES[0],
            node=_NODES[-1],
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


class RadioFleet(Fleet):
    """
    The radio nodes. Where there can be no device file for them, the others go on without.
    """

    _log = Logger()

    def startService(self) -> None:
        """
        See L{Fleet.startService}.
        """
        try:
            super().startService()
        except OSError as error:
            self._log.error(
                "demo: there is no pretend radio, since {path}: {why}",
                path=error.filename or "the device file",
                why=error.strerror,
            )

    def stopService(self) -> Deferred[None]:
        """
        End. While the reactor runs, the gateway stops after this, and would say that its radio was
        unplugged: the device file stays until the gateway is done with it.
        """
        if not self.reactor.running:
            return super().stopService()
        for member in self.members:
            if isinstance(member, Radio):
                member.hush()
        self.reactor.addSystemEventTrigger("during", "shutdown", super().stopService)
        return succeed(None)


def extras(reactor: Any, gateway: Gateway) -> list[Service]:
    """
    What runs beside the gateway, not started yet.
    """
    return [
        Fleet(reactor, "esp8266", len(_PLACES)),
        Fleet(reactor, "poe", len(_BOARDS)),
        Fleet(reactor, "lines", len(_METERS)),
        Fleet(reactor, "websocket", len(_PAGES)),
        Fleet(reactor, "http", len(_REPORTERS)),
        RadioFleet(reactor, "rfm2pi", len(_NODES), 0.2, _PORT),
        Commentary(reactor, gateway),
    ]

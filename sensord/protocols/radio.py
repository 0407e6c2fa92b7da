"""
Radio modules on serial ports: they are told how they are to be set, the time, and what to send.
"""

import time
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from sensord.presence import Congested
from sensord.protocols.inlet import Inlet
from sensord.protocols.repeater import Repeater
from sensord.protocols.serial import SETTLE, SerialFactory, SerialLink, SerialProtocol
from sensord.protocols.transmitter import ORDER_PAUSE, Transmitter
from sensord.wire import Parser, rfm2pi
from sensord.wires import RadioSettings

#: Seconds that a module has for saying how it is set: at first, and at most. Some start anew when
#: their port is opened, and are deaf for two or three seconds.
_ANSWER_FIRST, _ANSWER_MOST = 3.0, 60.0

#: Seconds in which it is said once that a module is not in order. One that fails and recovers all
#: the time would otherwise fill the log.
_COMPLAIN = 600.0


class Tuner:
    """
    Sees to it that a module is set as it should be: asks it, tells it what differs, asks again.
    """

    _log = Logger()

    def __init__(self, factory: SerialFactory, settings: RadioSettings) -> None:
        self._factory = factory
        self._settings = settings
        self._timer: IDelayedCall | None = None
        self._news = True  # whether it is worth a line that it is in order
        self._complained = -inf

    def begin(self, transmitter: Transmitter, ready: Callable[[], None]) -> None:
        """
        The port was opened.

        @param transmitter: by which the module is asked.
        @param ready: called whenever there is nothing more to wait for: the module is set, or
            seems unable to say so.
        """
        self._transmitter = transmitter
        self._ready = ready
        self._asked = False  # and not answered yet
        self._told = False  # since it was last in order
        self._tries = 0  # that were not answered, or brought nothing
        # Bytes that come at once are part of a line that was under way: let it end.
        self._wait(2 * SETTLE, self._ask)

    def stop(self) -> None:
        """
        The port is gone.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def notice(self, note: rfm2pi.Note) -> None:
        """
        The module said something.
        """
        if note.text.startswith("[") and not self._asked:
            self._ask()  # It has started anew, and did not say with which settings.

    def hear(self, status: rfm2pi.Status) -> None:
        """
        The module said how it is set: since it was asked, or since it has started anew.
        """
        if self._transmitter.ordering:
            return  # This is the echo of a setting, and more of them follow.
        orders = self._differing(status)
        if not orders:
            self._settle(status)
        elif not self._told:
            if not self._asked:
                self._factory.inlet.warn(
                    "restart",
                    self._settings.port,
                    "{name}: the radio has come to other settings: {text}; it is set again",
                    text=status.text,
                )
            self._tell(orders)
        elif self._asked:
            self._asked = False
            if self._tries == 0:
                self._complain(f"does not take its settings; it has {status.text.strip()}")
            self._tries += 1
            self._ready()
            self._wait(self._patience(), lambda: self._tell(self._differing(status)))

    def _settle(self, status: rfm2pi.Status) -> None:
        """
        All is as it should be.
        """
        self.stop()
        self._asked = self._told = False
        self._tries = 0
        if self._news:
            self._news = False
            self._log.info(
                "{name}: the radio is set: {text}",
                name=self._settings.name,
                text=status.text.strip(),
            )
        self._ready()

    def _tell(self, orders: Sequence[bytes]) -> None:
        """
        Tell the module its settings, and ask for them then.
        """
        self._told = True
        self._ask(orders)

    def _ask(self, orders: Sequence[bytes] = ()) -> None:
        self._asked = True
        self._transmitter.order([*orders, rfm2pi.ASK])
        self._wait(len(orders) * ORDER_PAUSE + self._patience(), self._unanswered)

    def _unanswered(self) -> None:
        if not self._factory.held:  # else it may have answered
            if self._tries == 0:
                self._complain("does not say how it is set")
            self._tries += 1
            self._ready()
        self._ask()

    def _differing(self, status: rfm2pi.Status) -> list[bytes]:
        """
        The commands that are due.
        """
        settings = self._settings
        due = {
            "i": settings.base_id,
            "b": settings.frequency,
            "g": settings.group,
            "q": int(settings.quiet),
        }
        found = {"i": status.base, "b": status.band, "g": status.group}
        if status.quiet is not None:
            found["q"] = int(status.quiet)
        elif self._told:  # Some cannot say whether they are quiet: they are told once.
            found["q"] = due["q"]
        return [
            rfm2pi.setting(letter, value)
            for letter, value in due.items()
            if found.get(letter) != value
        ]

    def _complain(self, what: str) -> None:
        now = self._factory.clock.seconds()
        if now - self._complained < _COMPLAIN:
            return
        self._complained, self._news = now, True
        self._log.error(
            "{name}: the radio {what}; it is asked again until it is in order",
            name=self._settings.name,
            what=what,
        )

    def _patience(self) -> float:
        """
        How long to wait this time, in seconds.
        """
        return min(_ANSWER_FIRST * 2.0 ** min(self._tries, 10), _ANSWER_MOST)

    def _wait(self, seconds: float, call: Callable[[], None]) -> None:
        self.stop()
        self._timer = self._factory.clock.callLater(seconds, call)


class RadioProtocol(SerialProtocol):
    """
    A module. It is the way down to all of its nodes.

    @param tuner: sees to its settings.
    @param localtime: what the local time is, given seconds since the epoch.
    """

    def __init__(
        self,
        factory: SerialFactory,
        host: str,
        parser: Parser[Any],
        settings: RadioSettings,
        tuner: Tuner,
        localtime: Callable[[float], time.struct_time],
    ) -> None:
        super().__init__(factory, host, parser, settings.baud)
        clock = factory.clock
        self._interval = settings.time_interval
        self._transmitter = Transmitter(
            clock,
            settings.baud,
            lambda command: self.transport.write(command),
            lambda: localtime(self._inlet.presence.now()),
            self._invite,
        )
        self._tuner = tuner
        self._times = LoopingCall(self._transmitter.announce)
        self._times.clock = clock

    def connectionMade(self) -> None:
        """
        Begin by asking how the module is set.
        """
        super().connectionMade()
        self._tuner.begin(self._transmitter, self._ready)
        self.meet((f"{self._inlet.name}/*",))

    def dispatch(self, events: Sequence[Any]) -> None:
        """
        Have events decoded and stored, and see what the module says of itself.
        """
        intake = self._inlet.decode(self.host, events)
        self._inlet.account.add(intake)
        if self._ending:
            return
        for address in intake.devices:
            self._inlet.presence.meet(address)
        for event in events:
            if isinstance(event, rfm2pi.Status):
                self._tuner.hear(event)
            elif isinstance(event, rfm2pi.Note):
                self._tuner.notice(event)

    def send(self, data: bytes) -> None:
        """
        Send something to nodes.

        @param data: the command that does it.
        @raise Congested: if the module cannot take it just now.
        """
        self._transmitter.send(data)

    def repeat(self, command: bytes) -> None:
        """
        The same for somebody who cannot wait.

        @raise Congested: if too much waits already.
        """
        self._transmitter.repeat(command)

    def end(self) -> None:
        """
        Neither take nor send any more.
        """
        super().end()
        self._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The module is gone. What waits is dropped: nobody could say whether it is still wanted when
        the module comes back.
        """
        super().connectionLost(reason)
        self._close()

    def _close(self) -> None:
        self._tuner.stop()
        if self._times.running:
            self._times.stop()
        if left := self._transmitter.close():
            self._inlet.warn(
                "left", self.host, "{name}: {left} packets were not sent any more", left=left
            )

    def _invite(self) -> None:
        """
        There is room for a command.
        """
        self._inlet.presence.meet(f"{self._inlet.name}/*")

    def _ready(self) -> None:
        self._transmitter.open()
        if self._interval and not self._times.running:
            self._times.start(self._interval)


class RadioLink(SerialLink):
    """
    A module on a serial port, with a port of its own for what others want to send by radio.

    @param localtime: what the local time is, given seconds since the epoch.
    @ivar repeater: that port, if there is one.
    """

    def __init__(
        self,
        reactor: Any,
        settings: RadioSettings,
        inlet: Inlet,
        parser: Callable[[], Parser[Any]],
        endpoint: IStreamClientEndpoint | None = None,
        localtime: Callable[[float], time.struct_time] = time.localtime,
    ) -> None:
        super().__init__(reactor, settings, inlet, parser, endpoint)
        self._settings = settings
        self._tuner = Tuner(self.factory, settings)
        self._localtime = localtime
        self.repeater = (
            Repeater(reactor, settings, inlet, self._repeat) if settings.repeater else None
        )

    def build(self, factory: SerialFactory, host: str) -> RadioProtocol:
        """
        See L{SerialLink.build}.
        """
        return RadioProtocol(
            factory, host, self._parser(), self._settings, self._tuner, self._localtime
        )

    def startService(self) -> None:
        """
        Open the port of the repeater, and that of the module, now or when it can be.

        @raise ConfigError: if the repeater has no good endpoint string.
        @raise CannotListenError: if its port is taken.
        """
        if self.repeater is not None:
            self.repeater.startService()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """
        Close both.

        @return: fires when they are closed.
        """
        # The repeater first: what it takes now would not be sent any more.
        repeater = succeed(None) if self.repeater is None else self.repeater.stopService()
        stopped = gatherResults([repeater, super().stopService()])
        return stopped.addCallback(lambda _results: None)

    def describe(self) -> str:
        """
        See L{SerialLink.describe}.
        """
        described = super().describe()
        if self.repeater is not None:
            described += f"; what comes in at {self.repeater.where} goes out by radio"
        return described

    def _repeat(self, command: bytes) -> str:
        """
        Send what somebody has written to the repeater.

        @return: why not; empty if it is sent.
        """
        for connection in self.factory.connections:
            assert isinstance(connection, RadioProtocol)
            try:
                connection.repeat(command)
            except Congested as error:
                return str(error)
            return ""
        return "there is no radio just now"

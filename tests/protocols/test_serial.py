"""
Tests for L{sensord.protocols.serial} and L{sensord.protocols.patience}.
"""

import errno
import os
import termios
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock as ReactorClock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from sensord.config import Settings
from sensord.devices import Devices
from sensord.presence import Congested
from sensord.protocols.inlet import Inlet
from sensord.protocols.serial import SerialAddress, SerialEndpoint, SerialLink, reason
from sensord.reading import Arrivals, Intake, Reading, Rejected
from sensord.store.account import Account
from sensord.wires import WIRES, RadioSettings, SerialSettings

PORT = "/dev/ttyUSB0"


class Transport(StringTransport):
    """
    An open port.

    @ivar stuck: whether it takes no more bytes, so that closing it has to wait.
    """

    stuck = False
    protocol: IProtocol

    def loseConnection(self) -> None:
        """
        Close it as soon as all is written.
        """
        super().loseConnection()
        if not self.stuck:
            self.end(ConnectionDone())

    def abortConnection(self) -> None:
        """
        Close it at once.
        """
        self.end(ConnectionAborted())

    def end(self, why: Exception) -> None:
        """
        It is not open any more.
        """
        if self.connected:
            self.connected = False
            self.protocol.connectionLost(Failure(why))


@implementer(IStreamClientEndpoint)
class Socket:
    """
    A place that a device can be plugged into.

    @ivar why: why the port cannot be opened; empty if it can.
    @ivar fault: what goes wrong in a way that it never should.
    @ivar attempts: how often that was tried.
    @ivar transports: of each time that it was open.
    """

    def __init__(self) -> None:
        self.why = ""
        self.fault: Exception | None = None
        self.attempts = 0
        self.transports: list[Transport] = []

    @property
    def transport(self) -> Transport:
        """
        The latest.
        """
        return self.transports[-1]

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Open the port.
        """
        self.attempts += 1
        if self.fault is not None:
            return fail(self.fault)
        if self.why:
            return fail(ConnectError(string=self.why))
        protocol = protocolFactory.buildProtocol(SerialAddress(PORT))
        assert protocol is not None
        transport = Transport()
        transport.protocol = protocol
        self.transports.append(transport)
        protocol.makeConnection(transport)
        return succeed(protocol)

    def unplug(self) -> None:
        """
        Pull it out.
        """
        self.why = "it is not there"
        self.transport.end(ConnectionLost())

    def plug(self) -> None:
        """
        Put it in.
        """
        self.why = ""


class LinkTestCase(SynchronousTestCase):
    """
    A link whose port is plugged in, and whose readings the test stores.

    @cvar wire: what is spoken there.
    @cvar called: the name of the listener.
    """

    wire = "serial"
    called = "meter"

    def setUp(self) -> None:
        """
        Time stands still until a test moves it.
        """
        self.clock: Any = ReactorClock()
        self.socket = Socket()
        self.account = Account(self.called, lambda count: None)

    def build(self, **settings: object) -> SerialLink:
        """
        A link that was not started.
        """
        kind: Any = WIRES[self.wire].settings
        listener: SerialSettings | RadioSettings = kind(self.called, self.wire, PORT, **settings)
        devices = Devices(Settings(listeners=(listener,)))
        self.presence = devices.presence
        source = devices.source(listener, Arrivals(self.clock.seconds))
        inlet = Inlet(self.called, source, self.account, self.presence, self.clock)
        return self.make(listener, inlet, partial(WIRES[self.wire].parser, listener))

    def make(self, settings: Any, inlet: Inlet, parser: Any) -> SerialLink:
        """
        The link itself.
        """
        return SerialLink(self.clock, settings, inlet, parser, self.socket)

    def start(self, **settings: object) -> SerialLink:
        """
        A link that was started, and whose device has been silent for a while since.
        """
        link = self.build(**settings)
        link.startService()
        self.addCleanup(self.finish, link)
        self.clock.advance(0.06)
        return link

    def finish(self, link: SerialLink) -> None:
        """
        Stop a link. Nothing is left of it.
        """
        if link.running:
            self.successResultOf(link.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def receive(self, data: bytes) -> None:
        """
        The device says something.
        """
        protocol: Any = self.socket.transport.protocol
        protocol.dataReceived(data)

    def commit(self) -> list[Intake]:
        """
        Store what came in.
        """
        taken = self.account.take()
        return [] if taken is None else list(taken[0].intakes)

    def stored(self) -> list[tuple[str, str, object]]:
        """
        Store what came in, and say which readings it was.
        """
        readings: list[Reading] = [each for intake in self.commit() for each in intake.readings]
        return [(each.device, each.name, each.value) for each in readings]

    def rejected(self) -> list[bytes]:
        """
        Store what came in, and say what was none.
        """
        items: list[Rejected] = [each for intake in self.commit() for each in intake.rejected]
        return [each.data for each in items]


class LinkTests(LinkTestCase):
    """
    L{SerialLink} has a link while its port is there.
    """

    def test_announced(self) -> None:
        """
        One line says which port it is, and that nobody is told what was stored.
        """
        with capturedLogs() as events:
            link = self.start(baud=4800)
        self.assertEqual(
            [formatEvent(event) for event in events],
            [
                "meter: /dev/ttyUSB0 at 4800 baud, serial, the protocol has no acknowledgement;"
                " what comes while nothing can be stored waits in the system's buffer"
            ],
        )
        self.assertEqual(link.where, "/dev/ttyUSB0 at 4800 baud")

    def test_stored(self) -> None:
        """
        Lines from the port are stored, however they are cut.
        """
        self.start()
        self.receive(b"15 69 16")
        self.receive(b"64\r\n16 1\r\n")
        self.assertEqual(
            self.stored(), [("meter/15", "1", 69), ("meter/15", "2", 1664), ("meter/16", "1", 1)]
        )

    def test_state(self) -> None:
        """
        A link is open, absent or stopped.
        """
        link = self.build()
        self.assertEqual((link.state, link.connected), ("stopped", 0))
        link.startService()
        self.assertEqual((link.state, link.connected), ("open", 1))
        self.socket.unplug()
        self.assertEqual((link.state, link.connected), ("absent", 0))
        self.finish(link)
        self.assertEqual((link.state, link.connected), ("stopped", 0))

    def test_torn(self) -> None:
        """
        A line of which only the end is heard, since the port was opened while it came in, is
        rejected: it could look like one of another node. The next one counts.
        """
        link = self.build()
        link.startService()
        self.addCleanup(self.finish, link)
        self.clock.advance(0.01)
        self.receive(b"5 69 1664\r\n")
        self.clock.advance(1)
        self.receive(b"15 69\r\n")
        [torn, line] = self.commit()
        self.assertEqual([item.data for item in torn.rejected], [b"\xff5 69 1664\r"])
        self.assertEqual([reading.value for reading in line.readings], [69])

    def test_tornWhileHeld(self) -> None:
        """
        The same holds for a port that could not be read from when it was opened.
        """
        link = self.build()
        link.steer(True, True)
        link.startService()
        self.addCleanup(self.finish, link)
        self.clock.advance(10)
        link.steer(True, False)
        self.receive(b"5 69 1664\r\n15 69\r\n")
        self.assertEqual(self.stored(), [("meter/15", "1", 69)])

    def test_unpluggedWithinALine(self) -> None:
        """
        A line that is cut by unplugging is rejected, and is not glued to the next one.
        """
        self.start()
        self.receive(b"15 69 16")
        self.socket.unplug()
        self.assertEqual(self.rejected(), [b"15 69 16"])
        self.socket.plug()
        self.clock.pump([1] * 3)
        self.receive(b"64 15\r\n")
        self.assertEqual(self.stored(), [("meter/64", "1", 15)])

    def test_absent(self) -> None:
        """
        A port that is absent at the start is tried until it is there. The log says so once, and
        once that it is.
        """
        self.socket.why = "it is not there"
        with capturedLogs() as events:
            link = self.start()
            self.clock.pump([1] * 100)
        self.assertEqual(
            [(event["log_level"].name, formatEvent(event)) for event in events[1:]],
            [
                (
                    "error",
                    "meter: /dev/ttyUSB0 cannot be used: it is not there; it is tried until it can",
                )
            ],
        )
        self.assertGreater(self.socket.attempts, 8)
        self.assertLess(self.socket.attempts, 20)
        self.assertEqual(link.state, "absent")
        self.socket.plug()
        with capturedLogs() as events:
            self.clock.pump([1] * 12)
        self.assertEqual(
            [(event["log_level"].name, formatEvent(event)) for event in events],
            [("info", "meter: /dev/ttyUSB0 is open")],
        )
        self.assertEqual(link.state, "open")

    def test_replugged(self) -> None:
        """
        A port that is unplugged and plugged in again is used again after a moment. The log says
        so once, and once that it is.
        """
        self.start()
        self.clock.advance(60)
        with capturedLogs() as events:
            self.socket.unplug()
            self.clock.pump([1] * 30)
            self.socket.plug()
            self.clock.pump([1] * 12)
        said = [formatEvent(event) for event in events if event["log_level"].name == "error"]
        self.assertEqual(
            said,
            [
                "meter: /dev/ttyUSB0 cannot be used: it is gone, as if it was unplugged;"
                " it is tried until it can"
            ],
        )
        self.assertEqual(formatEvent(events[-1]), "meter: /dev/ttyUSB0 is open")
        self.clock.advance(1)
        self.receive(b"15 69\r\n")
        self.assertEqual(self.stored(), [("meter/15", "1", 69)])

    def test_loose(self) -> None:
        """
        A loose plug, which comes and goes, is not tried all the time, and does not fill the log.
        """
        self.start()
        with capturedLogs() as events:
            for _ in range(600):
                if self.socket.transport.connected:
                    self.socket.transport.end(ConnectionLost())
                self.clock.advance(1)
        self.assertLess(len(self.socket.transports), 80)
        ours = [event for event in events if event["log_namespace"].startswith("sensord.")]
        self.assertEqual(len(ours), 10)

    def test_gone(self) -> None:
        """
        When a loose plug is pulled out for good, the log says so in the end.
        """
        self.start()
        for _ in range(6):
            self.socket.unplug()
            self.socket.plug()
            while not self.socket.transport.connected:
                self.clock.advance(1)
        with capturedLogs() as events:
            self.socket.unplug()
            self.clock.pump([10] * 60)
        said = [event["log_level"].name for event in events]
        self.assertEqual(said.count("error"), 1)

    def test_fault(self) -> None:
        """
        A fault of ours is logged as one, and the port is tried further.
        """
        link = self.build()
        self.socket.fault = ZeroDivisionError()
        link.startService()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.socket.fault = None
        self.clock.pump([1] * 3)
        self.assertEqual(link.state, "open")
        self.finish(link)

    def test_held(self) -> None:
        """
        While readings cannot be taken the port is not read from; afterwards it is.
        """
        link = self.start()
        for ready, full in ((False, False), (True, True)):
            link.steer(ready, full)
            self.assertEqual(self.socket.transport.producerState, "paused")
            link.steer(True, False)
            self.assertEqual(self.socket.transport.producerState, "producing")

    def test_heldInTheLog(self) -> None:
        """
        The log says when nothing can be stored, and when it can be again.
        """
        link = self.start()
        with capturedLogs() as events:
            for ready, full in ((True, True), (False, True), (False, False), (True, False)):
                link.steer(ready, full)
        self.assertEqual(
            [formatEvent(event) for event in events],
            ["meter: not read, since nothing can be stored", "meter: reading again"],
        )

    def test_pluggedWhileHeld(self) -> None:
        """
        A port that is plugged in while readings cannot be taken is not read from either.
        """
        link = self.start()
        self.socket.unplug()
        link.steer(False, False)
        self.socket.plug()
        self.clock.pump([1] * 3)
        self.assertEqual(link.state, "open")
        self.assertEqual(self.socket.transport.producerState, "paused")

    def test_stopped(self) -> None:
        """
        A link that is stopped closes its port, says that a line was cut, and opens it no more.
        """
        link = self.start()
        self.receive(b"15 69")
        self.successResultOf(link.stopService())
        self.assertEqual(self.rejected(), [b"15 69"])
        self.assertFalse(self.socket.transport.connected)
        self.clock.advance(100)
        self.assertEqual(self.socket.attempts, 1)

    def test_stoppedWhileAbsent(self) -> None:
        """
        A link can be stopped while its port is absent.
        """
        self.socket.why = "it is not there"
        link = self.start()
        self.successResultOf(link.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stoppedWhileUnplugged(self) -> None:
        """
        A link can be stopped while its port is unplugged.
        """
        link = self.start()
        self.socket.unplug()
        self.successResultOf(link.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stuck(self) -> None:
        """
        A port that takes no bytes any more does not hold up the stop for longer than a moment.
        """
        link = self.start()
        self.socket.transport.stuck = True
        stopped = link.stopService()
        self.clock.advance(0.9)
        self.assertNoResult(stopped)
        self.clock.advance(0.1)
        self.successResultOf(stopped)

    def test_disconnect(self) -> None:
        """
        Nor does it hold up one who will not wait at all.
        """
        link = self.start()
        self.socket.transport.stuck = True
        stopped = link.stopService()
        self.successResultOf(Deferred.fromCoroutine(link.disconnect()))
        self.successResultOf(stopped)

    def test_startedAgain(self) -> None:
        """
        A link that was stopped can be started again; what is wrong then is said again.
        """
        self.socket.why = "it is not there"
        link = self.start()
        self.successResultOf(link.stopService())
        with capturedLogs() as events:
            link.startService()
        self.assertEqual(len(events), 2)
        self.socket.plug()
        self.clock.pump([1] * 3)
        self.assertEqual(link.state, "open")

    def test_reachable(self) -> None:
        """
        A device on the port can be sent something while it is there.
        """
        self.start()
        self.receive(b"15 69\r\n")
        link = self.presence.link("meter/15")
        assert link is not None
        link.send(b"1,2\n")
        self.assertEqual(self.socket.transport.value(), b"1,2\n")
        self.socket.unplug()
        self.assertIsNone(self.presence.link("meter/15"))
        self.assertRaises(Congested, link.send, b"1,2\n")


class EndpointTests(SynchronousTestCase):
    """
    L{SerialEndpoint} says in words why a port cannot be opened.
    """

    def why(self, path: str, baud: int = 9600) -> str:
        """
        What it says.
        """
        link = SerialEndpoint(ReactorClock(), path, baud)
        failure = self.failureResultOf(link.connect(None), ConnectError)  # type: ignore[arg-type]
        return str(failure.value.args[0])

    def test_absent(self) -> None:
        """
        A port may not be there.
        """
        self.assertEqual(self.why(os.path.abspath(self.mktemp())), "it is not there")

    def test_none(self) -> None:
        """
        What is named may be no serial port.
        """
        file = self.mktemp()
        with open(file, "w"):
            pass
        for path in (file, ".", "/dev/null"):
            self.assertEqual(self.why(path), "it is no serial port")

    def test_baud(self) -> None:
        """
        A port may not know the speed.
        """
        ours, theirs = os.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        self.assertNotEqual(self.why(os.ttyname(theirs), 2**40), "")

    def test_permission(self) -> None:
        """
        A port may be forbidden; then there is a hint.
        """
        self.assertIn("dialout", reason(PermissionError(errno.EACCES, "Permission denied")))

    def test_taken(self) -> None:
        """
        Another program may have it.
        """
        self.assertEqual(reason(OSError(errno.EAGAIN, "No")), "another program has it")

    def test_other(self) -> None:
        """
        All else is said as the system says it.
        """
        self.assertEqual(reason(termios.error(errno.ENOSPC, "?")), "No space left on device")
        self.assertEqual(reason(ValueError("Odd")), "Odd")

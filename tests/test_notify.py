"""
Tests for L{sensord.notify}, with real sockets of the kind that systemd has.
"""

import os
import socket
import time
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sensord.notify import LOOK, Notifier, summary


class Supervisor:
    """
    The socket of one who wants to know how a service is.
    """

    def __init__(self, case: SynchronousTestCase, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        case.addCleanup(self._socket.close)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def told(self) -> list[str]:
        """
        The datagrams that have come since.
        """
        found = []
        while True:
            try:
                found.append(self._socket.recv(65536).decode())
            except BlockingIOError:
                return found


class NotifierTests(SynchronousTestCase):
    """
    What L{Notifier} tells, and to whom.
    """

    def setUp(self) -> None:
        """
        A supervisor that listens.
        """
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        # The names of sockets are short, and that of the folder may be long.
        here = os.open(folder, os.O_PATH)
        self.addCleanup(os.close, here)
        self.address = f"/proc/self/fd/{here}/notify"
        self.supervisor = Supervisor(self, self.address)
        self.clock = Clock()
        self.status = "storing"

    def build(self, **environ: str) -> Notifier:
        """
        A notifier, by what is in the environment.
        """
        return Notifier(self.clock, lambda: self.status, environ)

    def start(self, **environ: str) -> Notifier:
        """
        One that was started; what it says then is read.
        """
        notifier = self.build(NOTIFY_SOCKET=self.address, **environ)
        notifier.startService()
        self.supervisor.told()
        return notifier

    def test_ready(self) -> None:
        """
        Once the daemon has started it says that it is ready, and how it is.
        """
        notifier = self.build(NOTIFY_SOCKET=self.address)
        self.assertEqual(self.supervisor.told(), [])
        notifier.startService()
        self.assertEqual(self.supervisor.told(), ["READY=1\nSTATUS=storing"])

    def test_abstract(self) -> None:
        """
        The socket may have no file.
        """
        address = f"@sensord/{os.getpid()}/{time.monotonic_ns()}"
        supervisor = Supervisor(self, address)
        notifier = self.build(NOTIFY_SOCKET=address)
        notifier.startService()
        notifier.stopService()
        told = supervisor.told()
        self.assertEqual(told, ["READY=1\nSTATUS=storing", "STOPPING=1\nSTATUS=stopping"])

    def test_stopping(self) -> None:
        """
        When the daemon stops it says so first, and nothing after that.
        """
        notifier = self.start(WATCHDOG_USEC="2000000")
        notifier.stopService()
        self.assertEqual(self.supervisor.told(), ["STOPPING=1\nSTATUS=stopping"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(10)
        notifier.reloading()
        self.assertEqual(self.supervisor.told(), [])

    def test_nobody(self) -> None:
        """
        Without a supervisor, or with one of which no address is known here, nothing is told.
        """
        for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}):
            notifier = self.build(**environ, WATCHDOG_USEC="1000000")
            notifier.startService()
            notifier.reloading()
            notifier.ready()
            self.assertEqual(self.clock.getDelayedCalls(), [])
            notifier.stopService()

    def test_neverStarted(self) -> None:
        """
        One that was never ready has nothing to say when it stops.
        """
        self.build(NOTIFY_SOCKET=self.address).stopService()
        self.assertEqual(self.supervisor.told(), [])

    def test_environment(self) -> None:
        """
        What the supervisor says is taken out of the environment: the processes of hubs are not
        meant.
        """
        environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/"}
        Notifier(self.clock, str, environ)
        self.assertEqual(environ, {"HOME": "/"})

    def test_watchdog(self) -> None:
        """
        The sign of life comes at once, and then twice in the interval that is wanted.
        """
        notifier = self.build(NOTIFY_SOCKET=self.address, WATCHDOG_USEC="3000000")
        notifier.startService()
        self.assertEqual(self.supervisor.told()[1:], ["WATCHDOG=1"])
        self.clock.advance(1.4)
        self.assertEqual(self.supervisor.told(), [])
        self.clock.advance(0.2)
        self.assertEqual(self.supervisor.told(), ["WATCHDOG=1"])
        self.clock.pump([1.5] * 4)
        self.assertEqual(self.supervisor.told(), ["WATCHDOG=1"] * 4)
        notifier.stopService()

    def test_watchdogOfOthers(self) -> None:
        """
        A sign of life that is wanted of another process, or in no interval at all, is not given.
        """
        pid = str(os.getpid())
        for usec, of, wanted in (
            ("1000000", pid, True),
            ("1000000", "1", False),
            ("0", pid, False),
            ("soon", pid, False),
            ("9" * 400, pid, False),
            ("-1", pid, False),
        ):
            notifier = self.start(WATCHDOG_USEC=usec, WATCHDOG_PID=of)
            self.clock.advance(1)
            self.assertEqual("WATCHDOG=1" in self.supervisor.told(), wanted, usec)
            notifier.stopService()
            self.supervisor.told()

    def test_reload(self) -> None:
        """
        To read the configuration anew has a beginning, with the time, and an end.
        """
        notifier = self.start()
        before = time.monotonic_ns() // 1000
        notifier.reloading()
        [told] = self.supervisor.told()
        state, stamp = told.split("\nMONOTONIC_USEC=")
        self.assertEqual(state, "RELOADING=1")
        self.assertTrue(before <= int(stamp) <= time.monotonic_ns() // 1000)
        self.status = "other"
        notifier.ready()
        self.assertEqual(self.supervisor.told(), ["READY=1\nSTATUS=other"])
        notifier.stopService()

    def test_status(self) -> None:
        """
        How the daemon is, is told when it changes, as one line that is short enough.
        """
        notifier = self.start()
        self.clock.advance(LOOK)
        self.assertEqual(self.supervisor.told(), [])
        self.status = "bad:\nREADY=0\x00" + "x" * 10_000
        self.clock.advance(LOOK)
        self.clock.advance(LOOK)
        [told] = self.supervisor.told()
        self.assertTrue(told.startswith("STATUS=bad: READY=0 xx"))
        self.assertLess(len(told), 600)
        notifier.stopService()

    def test_crowded(self) -> None:
        """
        What the supervisor has no room for is told as soon as it has; signs of life do not pile up.
        """
        notifier = self.start(WATCHDOG_USEC="200000")
        while notifier._resending is None:
            notifier.ready()
        self.assertGreater(len(self.supervisor.told()), 0)
        notifier.reloading()
        self.clock.pump([0.1] * 4)
        self.assertEqual(self.supervisor.told(), [])
        self.clock.advance(0.2)
        told = self.supervisor.told()
        self.assertEqual([one[:9] for one in told[:2]], ["READY=1\nS", "RELOADING"])
        self.assertLess(told.count("WATCHDOG=1"), 3)
        notifier.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_crowdedAtTheEnd(self) -> None:
        """
        A supervisor that takes nothing more keeps nobody from stopping, nor does it cost memory.
        """
        notifier = self.start()
        for _ in range(10_000):
            notifier.ready()
        self.assertLess(len(notifier._unsent), 100)
        notifier.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_gone(self) -> None:
        """
        A supervisor that is gone is a line in the log, and no more.
        """
        notifier = self.build(NOTIFY_SOCKET="/nowhere/at/all", WATCHDOG_USEC="1000000")
        with capturedLogs() as events:
            notifier.startService()
            self.clock.pump([0.5] * 10)
            notifier.stopService()
        self.assertEqual(
            [formatEvent(event) for event in events],
            ["the supervisor cannot be told anything: [Errno 2] No such file or directory"],
        )


class Part:
    """
    A listener or a sink, and the store.
    """

    full = False
    why = "database or disk is full"

    def __init__(self, state: str) -> None:
        self.state = state
        self.ready = state != "broken"


class Parts:
    """
    A gateway, as far as the status line goes.
    """

    def __init__(self, store: str, listeners: dict[str, str], sinks: dict[str, str]) -> None:
        self.store = Part(store)
        self.listeners = {name: Part(state) for name, state in listeners.items()}
        self.sinks = {name: Part(state) for name, state in sinks.items()}


class SummaryTests(SynchronousTestCase):
    """
    L{summary}: the status line.
    """

    def test_good(self) -> None:
        """
        If all is well, that is short.
        """
        parts = Parts("good", {"a": "open", "b": "open"}, {"c": "flowing"})
        self.assertEqual(summary(parts), "storing; 2 of 2 listeners open; 1 of 1 sinks flowing")
        self.assertEqual(summary(Parts("good", {}, {})), "storing")

    def test_bad(self) -> None:
        """
        What is not as it should be is named.
        """
        parts = Parts("good", {"a": "open", "b": "absent"}, {"c": "retrying", "d": "paused"})
        parts.store.full = True
        self.assertEqual(
            summary(parts),
            "storing, but devices have to wait; 1 of 2 listeners open (b absent);"
            " 0 of 2 sinks flowing (c retrying, d paused)",
        )

    def test_broken(self) -> None:
        """
        If nothing can be stored, that is all that matters.
        """
        parts = Parts("broken", {"a": "closed"}, {})
        self.assertEqual(summary(parts), "nothing can be stored: database or disk is full")

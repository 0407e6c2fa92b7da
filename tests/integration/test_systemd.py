"""
The real daemon under a supervisor that speaks as systemd does, and on ports that this has opened.
"""

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from unittest import SkipTest

from sensord.notify import LOOK
from sensord.store.archive import Archive
from sensord.store.audit import audit
from tests.integration.daemon import (
    PATIENCE,
    Daemon,
    DaemonTestCase,
    freePort,
    receive,
    refused,
    twistd,
    until,
)
from tests.integration.test_daemon import clear, fill

_POE = """
[[listeners]]
name = "poe"
wire = "poe"
listen = "{listen}"
ack = true
"""

#: Makes a descriptor the first that is passed on, as systemd does it, and becomes the daemon.
_PASS = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="weather")
os.execv(sys.argv[2], sys.argv[2:])
"""

_FRAME = bytes.fromhex("01010407")


class Supervised(Daemon):
    """
    A daemon that a supervisor has started.

    @param passed: a socket that it is given.
    @param environ: what is in its environment besides.
    """

    def __init__(self, folder: Path, passed: socket.socket | None, **environ: str) -> None:
        self.folder = folder
        self.log = ""
        command = [*twistd(), "-n", "--pidfile=", "sensord"]
        if passed is not None:
            command = [sys.executable, "-c", _PASS, str(passed.fileno()), *command]
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environ},
            pass_fds=() if passed is None else [passed.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )


class Telling:
    """
    The socket to which a daemon tells how it is.

    @ivar told: all that it told.
    """

    def __init__(self, test: DaemonTestCase) -> None:
        self.address = f"@sensord/{os.getpid()}/{time.monotonic_ns()}"
        self.told: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        test.addCleanup(self._socket.close)
        self._socket.bind("\0" + self.address[1:])

    def expect(self, pattern: str) -> str:
        """
        Wait until something is told.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            ready, _, _ = select.select([self._socket], [], [], deadline - time.monotonic())
            assert ready, f"no {pattern!r} in {self.told}"
            self.told.append(self._socket.recv(65536).decode())
            if re.search(pattern, self.told[-1]):
                return self.told[-1]

    def rest(self) -> list[str]:
        """
        What is left to be read.
        """
        while select.select([self._socket], [], [], 0)[0]:
            self.told.append(self._socket.recv(65536).decode())
        return self.told


class NotifyTests(DaemonTestCase):
    """
    What it tells its supervisor.
    """

    def supervise(self, telling: Telling, **environ: str) -> Supervised:
        """
        Start a daemon.
        """
        daemon = Supervised(self.folder, None, NOTIFY_SOCKET=telling.address, **environ)
        self.addCleanup(daemon.close)
        return daemon

    def test_life(self) -> None:
        """
        It says that it is ready when its port is open, gives signs of life, says when it reads its
        configuration anew and when that is over, and that it stops.
        """
        port, telling = freePort(), Telling(self)
        self.configure(_POE.format(listen=f"tcp:{port}:interface=127.0.0.1"))
        daemon = self.supervise(telling, WATCHDOG_USEC="200000")
        self.assertEqual(
            telling.expect("READY=1"), "READY=1\nSTATUS=storing; 1 of 1 listeners open"
        )
        self.connect(port)
        began = time.monotonic()
        for _ in range(5):
            telling.expect("WATCHDOG=1")
        self.assertLess(time.monotonic() - began, 5)
        daemon.process.send_signal(signal.SIGHUP)
        self.assertRegex(telling.expect("RELOADING=1"), r"\nMONOTONIC_USEC=\d+$")
        telling.expect("READY=1")
        daemon.expect("reload by SIGHUP")
        self.assertEqual(daemon.end(), 0)
        self.assertEqual(telling.rest()[-1], "STOPPING=1\nSTATUS=stopping")
        self.assertQuiet(daemon)

    def test_badFile(self) -> None:
        """
        A reload of a bad file is over, too.
        """
        telling = Telling(self)
        self.configure("listeners = []\n")
        daemon = self.supervise(telling)
        telling.expect("READY=1")
        self.configure("listeners = 7\n")
        daemon.process.send_signal(signal.SIGHUP)
        telling.expect("RELOADING=1")
        telling.expect("READY=1")
        daemon.expect("nothing has changed")
        self.assertEqual(daemon.end(), 0)

    def test_noStart(self) -> None:
        """
        One that cannot start is never ready.
        """
        telling = Telling(self)
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            where = f"tcp:{other.getsockname()[1]}:interface=127.0.0.1"
            self.configure(_POE.format(listen=where))
            daemon = self.supervise(telling)
            self.assertEqual(daemon.wait(), 1)
        self.assertEqual(telling.rest(), [])

    def test_trouble(self) -> None:
        """
        The status line says when nothing can be stored, and why.
        """
        telling = Telling(self)
        self.configure(_POE.format(listen="tcp:0:interface=127.0.0.1"))
        daemon = self.supervise(telling)
        telling.expect("READY=1")
        peer = self.connect(daemon.port("poe"))
        fill(daemon)
        peer.sendall(_FRAME)
        self.assertLess(LOOK, PATIENCE)
        telling.expect("^STATUS=nothing can be stored: ")
        clear(daemon)
        telling.expect("^STATUS=storing; ")
        self.assertEqual(receive(peer, 1), b"\x06")
        self.assertEqual(daemon.end(), 0)


class SocketTests(DaemonTestCase):
    """
    A port that somebody else has opened, who holds on to it.
    """

    def setUp(self) -> None:
        """
        Open the port, as systemd does: the system connects whoever comes, from now on.
        """
        super().setUp()
        self.held = socket.socket()
        self.addCleanup(self.held.close)
        self.held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.number = freePort()
        self.held.bind(("127.0.0.1", self.number))
        self.held.listen()

    def launch(self, listen: str = "systemd:domain=INET:name=weather") -> Supervised:
        """
        Start a daemon that is given the port.
        """
        self.configure(_POE.format(listen=listen))
        daemon = Supervised(self.folder, self.held)
        self.addCleanup(daemon.close)
        return daemon

    def send(self) -> socket.socket:
        """
        Connect, and have a frame stored.
        """
        peer = self.connect(self.number)
        peer.sendall(_FRAME)
        self.assertEqual(receive(peer, 1), b"\x06")
        return peer

    def test_waiting(self) -> None:
        """
        Who has connected before the daemon was there is served, and so is who comes between two
        daemons.
        """
        for _ in range(2):
            peer = self.connect(self.number)
            peer.sendall(_FRAME)
            daemon = self.launch()
            self.assertEqual(daemon.port("poe"), self.number)
            self.assertEqual(receive(peer, 1), b"\x06")
            self.assertEqual(daemon.end(), 0)
            self.assertQuiet(daemon)
        self.assertEqual(audit(Archive(self.folder / "sensord.sqlite")).faults, [])

    def test_refused(self) -> None:
        """
        While nothing can be stored, connections are refused, although somebody else holds the port;
        afterwards it is open again, as often as that happens.
        """
        daemon = self.launch()
        peer = self.send()
        for _ in range(3):
            fill(daemon)
            peer.sendall(_FRAME)
            daemon.expect("poe: closed, since nothing can be stored")
            until(lambda: refused(self.number))
            clear(daemon)
            self.assertEqual(receive(peer, 1), b"\x06")
            until(lambda: not refused(self.number))
            self.send()
            daemon.log = ""
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

    def test_left(self) -> None:
        """
        A daemon that ends while it refuses connections leaves the port as it has found it, for the
        next one.
        """
        daemon = self.launch()
        peer = self.send()
        fill(daemon)
        peer.sendall(_FRAME)
        daemon.expect("poe: closed, since nothing can be stored")
        until(lambda: refused(self.number))
        self.assertEqual(daemon.end(), 0)
        self.assertEqual(self.held.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), 1)
        self.launch()
        self.send()

    def test_wrong(self) -> None:
        """
        A port that was not passed, or of a kind that cannot be closed and opened again, is one
        line.
        """
        for listen, why in (
            ("systemd:domain=INET:name=other", "systemd has passed no such socket"),
            ("systemd:domain=INET:index=7", "systemd has passed no such socket"),
            (
                "systemd:domain=UNIX:name=weather",
                "only sockets of INET and INET6 can be closed and opened again",
            ),
        ):
            daemon = self.launch(listen)
            self.assertEqual(daemon.wait(), 1)
            [line] = [line for line in daemon.log.splitlines() if "no endpoint" in line]
            self.assertTrue(line.endswith(why), line)

    def test_activated(self) -> None:
        """
        The tool that comes with systemd starts the daemon when the first device connects.
        """
        activate = shutil.which("systemd-socket-activate")
        if activate is None:
            raise SkipTest("apt-get install systemd")
        self.held.close()
        self.configure(_POE.format(listen="systemd:domain=INET:name=weather"))
        where = ["--listen", f"127.0.0.1:{self.number}", "--fdname", "weather"]
        daemon = Daemon(self.folder, before=[activate, *where])
        self.addCleanup(daemon.close)
        daemon.expect("Listening on")
        self.send()
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

"""
The real daemon as a process, for tests to start, feed and kill.
"""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

#: Seconds until a test gives up waiting for something. Nothing waits as long as this in vain
#: unless it is broken.
PATIENCE = 60.0

#: What no log may contain, whatever peers send.
ALARMS = ("Traceback", "Unhandled", "CRITICAL", "#critical")


class Daemon:
    """
    One C{twistd -n sensord}.

    @param before: what runs it, in a session of its own.
    @ivar log: what it has printed so far, standard error included.
    """

    def __init__(self, folder: Path, *arguments: str, before: Sequence[str] = ()) -> None:
        self.folder = folder
        self.log = ""
        self.process = subprocess.Popen(
            [*before, *twistd(), "-n", "--pidfile=", "sensord", *arguments],
            cwd=folder,
            start_new_session=bool(before),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )

    def expect(self, pattern: str) -> re.Match[str]:
        """
        Wait until the log has something.

        @raise AssertionError: when the process ends before, or time is up.
        """
        deadline = time.monotonic() + PATIENCE
        while not (match := re.search(pattern, self.log)):
            if not self._read(deadline):
                raise AssertionError(f"no {pattern!r} in the log:\n{self.log}")
        return match

    def port(self, listener: str) -> int:
        """
        The port that a listener has announced.
        """
        return int(self.expect(rf"{listener}: \S+ [\d.]+:(\d+), ")[1])

    def end(self, number: int = signal.SIGTERM) -> int:
        """
        Send a signal and wait for the end.

        @return: the exit code.
        """
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """
        Wait for the end.

        @return: the exit code.
        """
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """
        Make sure that it is gone.
        """
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self, deadline: float) -> bool:
        assert self.process.stdout is not None
        left = max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([self.process.stdout], [], [], left)
        data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
        self.log += data.decode(errors="replace")
        return bool(data)


class DaemonTestCase(SynchronousTestCase):
    """
    A folder of its own for each test, and daemons that are gone afterwards.
    """

    def setUp(self) -> None:
        """
        Make the folder.
        """
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)

    def configure(self, text: str) -> None:
        """
        Write the configuration.
        """
        (self.folder / "sensord.toml").write_text(text, encoding="utf-8")

    def start(self, *arguments: str) -> Daemon:
        """
        Start a daemon in the folder.
        """
        daemon = Daemon(self.folder, *arguments)
        self.addCleanup(daemon.close)
        return daemon

    def run_(self, *command: str) -> subprocess.CompletedProcess[str]:
        """
        Run a command in the folder until it ends.
        """
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def connect(self, port: int) -> socket.socket:
        """
        Connect to a listener; what is sent goes out at once.
        """
        made = socket.create_connection(("127.0.0.1", port), PATIENCE)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.addCleanup(made.close)
        return made

    def assertQuiet(self, daemon: Daemon) -> None:
        """
        Nothing in a log says that we erred.
        """
        for alarm in ALARMS:
            self.assertNotIn(alarm, daemon.log)


def twistd() -> list[str]:
    """
    The command C{twistd}, of the Python that runs the tests.
    """
    return [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]


def sensord() -> list[str]:
    """
    The toolbox, of the same Python.
    """
    return [sys.executable, "-c", "from sensord.cli import main; main()"]


def freePort() -> int:
    """
    A port that nobody listens on just now.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def receive(connection: socket.socket, count: int) -> bytes:
    """
    Read so many bytes, or until the end.
    """
    data = b""
    while len(data) < count and (more := connection.recv(count - len(data))):
        data += more
    return data


def until(condition: Callable[[], object]) -> None:
    """
    Wait for something that has no event to wait for.

    @raise AssertionError: when time is up.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "time is up"
        select.select([], [], [], 0.01)


def refused(port: int) -> bool:
    """
    Whether nobody listens on a port.
    """
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0

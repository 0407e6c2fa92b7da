"""
What operators do to a daemon, and what goes wrong for them: starts that fail, signals that nobody
hears, clients that read nothing.
"""

import contextlib
import fcntl
import os
import select
import shutil
import signal
import socket
import subprocess
import time
from http.client import HTTPConnection

from msgspec import json
from twisted.trial.unittest import SkipTest

from sensord.control.query import MAX_BODY
from sensord.store.archive import Archive
from tests.integration.daemon import (
    PATIENCE,
    Daemon,
    DaemonTestCase,
    receive,
    twistd,
    until,
)

CONFIG = """
[[listeners]]
name = "poe"
wire = "poe"
listen = "tcp:{port}:interface=127.0.0.1"
ack = true
"""

_FRAME, _ACK = bytes.fromhex("01010448"), b"\x06"


#: What Python does at its start where a disk does not answer to a sink that is called "files".
_HANGING = """
import os, threading

fsync = os.fsync

def hang(descriptor):
    if "sensord-files" in threading.current_thread().name:
        threading.Event().wait()
    fsync(descriptor)

os.fsync = hang
"""


class OperatorTestCase(DaemonTestCase):
    """
    A daemon with one listener.
    """

    def launch(self, port: int = 0, more: str = "") -> Daemon:
        """
        Start one.
        """
        self.configure(CONFIG.format(port=port) + more)
        return self.start()

    def store(self, daemon: Daemon, count: int) -> None:
        """
        Have frames stored.
        """
        device = self.connect(daemon.port("poe"))
        device.sendall(_FRAME * count)
        self.assertEqual(receive(device, count), _ACK * count)
        device.close()

    def taken(self) -> int:
        """
        A port that is taken for the time of the test.
        """
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port: int = taken.getsockname()[1]
        return port

    def control(self) -> socket.socket:
        """
        A link with the control API.
        """
        made = socket.socket(socket.AF_UNIX)
        self.addCleanup(made.close)
        made.settimeout(PATIENCE)
        with contextlib.chdir(self.folder):  # the whole path may be too long
            made.connect("sensord.sock")
        return made


class StartTests(OperatorTestCase):
    """
    Starts that fail.
    """

    def test_taken(self) -> None:
        """
        A port that is taken costs one line, which says whose it is; no socket stays behind.
        """
        port = self.taken()
        daemon = self.launch(port)
        self.assertEqual(daemon.wait(), 1)
        self.assertIn(
            f'sensord: [[listeners]] "poe" listen: port {port} on 127.0.0.1 is taken (', daemon.log
        )
        self.assertFalse((self.folder / "sensord.sock").exists())
        self.assertQuiet(daemon)

    def test_background(self) -> None:
        """
        A daemon that was to go to the background says at the terminal, readably, why it does not.
        """
        port = self.taken()
        self.configure(CONFIG.format(port=port))
        started = self.run_(*twistd(), "sensord")
        self.assertEqual(started.returncode, 1)
        self.assertEqual(
            started.stderr.splitlines()[0],
            f'sensord: [[listeners]] "poe" listen: port {port} on 127.0.0.1 is taken (Address'
            " already in use)",
        )
        self.assertFalse((self.folder / "sensord.sock").exists())

    def test_beforehand(self) -> None:
        """
        What can be seen beforehand is told before it goes to the background.
        """
        self.configure(CONFIG.format(port=1) + "[manhole]\nlisten = 'tcp:1'\n")
        started = self.run_(*twistd(), "sensord")
        self.assertEqual(started.returncode, 1)
        self.assertEqual(
            started.stderr.splitlines(),
            [
                'sensord.toml: [manhole] listen: "tcp:1" is given to [[listeners]] "poe" listen'
                " already",
                f"sensord.toml: [manhole] authorized_keys: {self.folder}/authorized_keys: No such"
                " file or directory",
            ],
        )
        self.assertEqual(os.listdir(self.folder), ["sensord.toml"])

    def test_locked(self) -> None:
        """
        A folder that another program has locked keeps it from starting, but not waiting.
        """
        held = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, held)
        fcntl.flock(held, fcntl.LOCK_EX)
        daemon = self.launch()
        self.assertEqual(daemon.wait(), 1)
        self.assertIn(f"holds a lock (flock) on the folder {self.folder}", daemon.log)
        self.assertQuiet(daemon)


class StopTests(OperatorTestCase):
    """
    How it is stopped.
    """

    def test_foreign(self) -> None:
        """
        A socket that is not its own is not removed.
        """
        daemon = self.launch()
        daemon.port("poe")
        path = self.folder / "sensord.sock"
        path.rename(self.folder / "old.sock")
        with socket.socket(socket.AF_UNIX) as other, contextlib.chdir(self.folder):
            other.bind("sensord.sock")
            self.assertEqual(daemon.end(), 0)
            self.assertTrue(path.exists())
        self.assertQuiet(daemon)

    def test_interrupted(self) -> None:
        """
        Ctrl-C, also twice, ends it in order, and shells see that it was Ctrl-C.
        """
        for count in (1, 2):
            daemon = self.launch()
            self.store(daemon, 10)
            for _ in range(count):
                daemon.process.send_signal(signal.SIGINT)
            self.assertEqual(daemon.wait(), -signal.SIGINT)
            self.assertFalse((self.folder / "sensord.sock").exists())
            self.assertQuiet(daemon)

    def test_stuck(self) -> None:
        """
        While a loop that was typed at the manhole holds everything up, a second signal ends it, and
        what was acknowledged is stored.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            daemon = self.loop()
            daemon.process.send_signal(number)
            self.rest(1.2)
            self.assertIsNone(daemon.process.poll())
            self.assertEqual(daemon.end(number), -number)
            points = Archive(self.folder / "sensord.sqlite").history(
                "poe/127.0.0.1", "temperature.1", 0, 2**62
            )
            self.assertEqual(len(points) % 100, 0)
            self.assertGreater(len(points), 0)

    def test_hangingDisk(self) -> None:
        """
        A disk that does not answer to a sink does not keep the daemon from ending in order.
        """
        (self.folder / "sitecustomize.py").write_text(_HANGING, encoding="utf-8")
        self.addCleanup(os.environ.pop, "PYTHONPATH", None)
        os.environ["PYTHONPATH"] = str(self.folder.absolute())
        daemon = self.launch(more="[[sinks]]\nname = 'files'\nkind = 'csv'\ninterval = 0.01\n")
        self.store(daemon, 10)
        self.rest(0.5)
        self.assertEqual(daemon.end(), 0)
        self.assertIn("sensord-files: is left behind, since a call hangs", daemon.log)
        self.assertQuiet(daemon)

    def loop(self) -> Daemon:
        """
        A daemon that has stored something, and does nothing more.
        """
        ssh, keygen = shutil.which("ssh"), shutil.which("ssh-keygen")
        if not (ssh and keygen):
            raise SkipTest("ssh is missing: apt-get install openssh-client")
        key = self.folder / "id"
        if not key.exists():
            self.run_(keygen, "-q", "-t", "ed25519", "-N", "", "-f", "id")
            key.with_suffix(".pub").rename(self.folder / "authorized_keys")
            (self.folder / "authorized_keys").chmod(0o600)
        more = '[manhole]\nlisten = "tcp:0:interface=127.0.0.1"\n'
        daemon = self.launch(more=more)
        self.store(daemon, 100)
        port = daemon.expect(r"manhole: tcp 127\.0\.0\.1:(\d+),")[1]
        options = ("IdentitiesOnly=yes", "BatchMode=yes", "StrictHostKeyChecking=no")
        client = subprocess.Popen(
            [ssh, "-F", "none", "-tt", "-p", port, "-i", str(key), "127.0.0.1"]
            + [word for one in (*options, "UserKnownHostsFile=/dev/null") for word in ("-o", one)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def end() -> None:
            client.kill()
            client.communicate()

        self.addCleanup(end)
        daemon.expect("logged in with the key")
        assert client.stdin is not None
        client.stdin.write(b"while True: pass\r\r")
        client.stdin.flush()
        link = self.control()

        def busy() -> bool:
            link.sendall(b"GET /api/v1/listeners HTTP/1.1\r\nHost: x\r\n\r\n")
            ready, _, _ = select.select([link], [], [], 1.0)
            return not (ready and link.recv(65536))

        until(busy)
        return daemon

    def rest(self, seconds: float) -> None:
        """
        Let time pass: that nothing happens has no event.
        """
        begun = time.monotonic()
        until(lambda: time.monotonic() - begun > seconds)


class ClientTests(OperatorTestCase):
    """
    Clients of the control API that ask too much.
    """

    def test_tooLong(self) -> None:
        """
        A body that is too long is refused, and so is a head: a client that first sends all of it
        reads the reason all the same.
        """
        daemon = self.launch()
        daemon.port("poe")
        for size, head, status in ((MAX_BODY * 50, 1, 413), (0, 5000, 431)):
            client = HTTPConnection("localhost")
            client.sock = self.control()
            headers = {"Content-Type": "application/json", "X": "y" * head}
            client.request("POST", "/api/v1/commands", b"x" * size, headers)
            response = client.getresponse()
            self.assertEqual(
                (response.status, list(json.decode(response.read()))), (status, ["error"])
            )
            client.close()
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

    def test_unread(self) -> None:
        """
        Many long answers that are not read do not fill the memory; when they are, they all come.
        """
        daemon = self.launch()
        self.store(daemon, 10_000)
        path = b"/api/v1/history?device=poe/127.0.0.1&name=temperature.1"
        ask = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path
        greedy, modest = self.control(), self.control()
        modest.sendall(ask * 10)
        [size] = {self.answer(modest) for _ in range(10)}
        before = self.memory(daemon)
        greedy.sendall(ask * 90)
        modest.sendall(ask * 80)
        for _ in range(80):  # in which the other could have had as many
            self.answer(modest)
        self.assertLess(self.memory(daemon), before + 20 * size)
        self.assertEqual({self.answer(greedy) for _ in range(90)}, {size})
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

    def answer(self, link: socket.socket) -> int:
        """
        Read an answer.

        @return: how long it is.
        """
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += receive(link, 1)
        [length] = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-l")]
        size = int(length.split(b":")[1])
        self.assertEqual(len(receive(link, size)), size)
        return size

    def memory(self, daemon: Daemon) -> int:
        """
        How many bytes it takes.
        """
        with open(f"/proc/{daemon.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

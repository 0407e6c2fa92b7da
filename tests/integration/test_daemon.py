"""
The daemon as its users and its devices meet it: C{twistd -n sensord} as a process.
"""

import contextlib
import os
import random
import resource
import signal
import socket
import sqlite3
import time
import tomllib
from collections.abc import Sequence
from functools import partial
from itertools import combinations, pairwise

from sensord.store.archive import Archive
from sensord.store.audit import audit
from tests.integration.daemon import (
    Daemon,
    DaemonTestCase,
    freePort,
    receive,
    refused,
    sensord,
    twistd,
    until,
)

PACKET = bytes.fromhex("0c00 100e 7800 06 01 03  7800 006e 0068  7900 046e 0468")

CONFIG = """
[[listeners]]
name = "weather"
wire = "esp8266"
listen = "tcp:{weather}:interface=127.0.0.1"
ack = true

[[listeners]]
name = "poe"
wire = "poe"
listen = "tcp:{poe}:interface=127.0.0.1"
ack = true

[[devices]]
address = "weather/1"
name = "balcony"
values = [
    {{ name = "light", type = "H", unit = "lx" }},
    {{ name = "humidity", type = "H", scale = 0.0019073486328125, offset = -6.0, unit = "%" }},
    {{ name = "temperature", type = "H", scale = 0.0026812744140625, offset = -46.85 }},
]
"""


class IntegrationTestCase(DaemonTestCase):
    """
    A daemon with both wire formats and acknowledgements.
    """

    def launch(self, weather: int = 0, poe: int = 0) -> Daemon:
        """
        Start it.
        """
        self.configure(CONFIG.format(weather=weather, poe=poe))
        return self.start()

    def archive(self) -> Archive:
        """
        What it has stored.
        """
        return Archive(self.folder / "sensord.sqlite")

    def stored(self, device: str = "*", name: str = "*") -> list[object]:
        """
        All stored values, in the order of the journal.
        """
        pages = self.archive().export(device, name)
        return [row.reading.value for page in pages for row in page]

    def assertBalanced(self) -> None:
        """
        The ledger agrees with the rows.
        """
        self.assertEqual(audit(self.archive()).faults, [])

    def fill(self, daemon: Daemon) -> socket.socket:
        """
        Fill the disk under a device that has 100 frames acknowledged and then sends 50 more.
        """
        peer = self.connect(daemon.port("poe"))
        peer.sendall(bytes.fromhex("01010407") * 100)
        self.assertEqual(receive(peer, 100), b"\x06" * 100)
        fill(daemon)
        peer.sendall(bytes.fromhex("01010408") * 50)
        daemon.expect("poe: closed, since nothing can be stored")
        return peer


class DeviceTests(IntegrationTestCase):
    """
    Devices send, and all of it is stored.
    """

    def test_everySplit(self) -> None:
        """
        A packet is stored whole, wherever the network cut it: into two or three pieces at every
        place, or into single bytes.
        """
        daemon = self.launch()
        port = daemon.port("weather")
        places = range(1, len(PACKET))
        splits = [(), *combinations(places, 1), *combinations(places, 2), tuple(places)]
        for cuts in splits:
            edges = (0, *cuts, len(PACKET))
            with self.connect(port) as connection:
                for start, end in pairwise(edges):
                    connection.sendall(PACKET[start:end])
                self.assertEqual(receive(connection, 1), b"\x06")
        expected = [120, 47.7109375, 24.53625, 121, 47.71856689453125, 24.54697509765625]
        self.assertEqual(self.stored("balcony"), expected * len(splits))
        self.assertEqual(daemon.end(), 0)
        self.assertBalanced()
        self.assertQuiet(daemon)

    def test_interleaved(self) -> None:
        """
        Half frames of a hundred connections at once do not mix.
        """
        daemon = self.launch()
        port = daemon.port("poe")
        peers = [self.connect(port) for _ in range(100)]
        for number, peer in enumerate(peers):
            peer.sendall(bytes([1, number]))
        for number, peer in enumerate(peers):
            peer.sendall(bytes([4, number]))
        for peer in peers:
            self.assertEqual(receive(peer, 1), b"\x06")
        for number in range(100):
            self.assertEqual(self.stored("*", f"temperature.{number}"), [number])
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

    def test_garbage(self) -> None:
        """
        Garbage is counted and costs nobody else anything; the log has no traceback, and few lines.
        """
        daemon = self.launch()
        chance = random.Random(1)
        for port in (daemon.port("weather"), daemon.port("poe")):
            for size in (1, 3, 8, 9, 100, 5000, 100_000):
                # It may well cut us off.
                with self.connect(port) as connection, contextlib.suppress(OSError):
                    connection.sendall(chance.randbytes(size))
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
        good = self.connect(daemon.port("weather"))
        good.sendall(PACKET)
        self.assertEqual(receive(good, 1), b"\x06")
        self.assertEqual(len(self.stored("balcony")), 6)
        self.assertEqual(daemon.end(), 0)
        self.assertLess(daemon.log.count("rejected"), 10)
        self.assertBalanced()
        self.assertQuiet(daemon)


class DeathTests(IntegrationTestCase):
    """
    What the daemon acknowledged survives its end.
    """

    def test_killed(self) -> None:
        """
        After SIGKILL under load and a restart, every acknowledged reading is there, once and in
        its order, and nothing is that was not sent.
        """
        counters: list[Counter] = []
        for attempt in range(5):
            daemon = self.launch()
            port = daemon.port("poe")
            fresh = [Counter(self.connect(port), attempt * 20 + number) for number in range(20)]
            counters += fresh
            enough = 2_000 * (attempt + 1)
            until(partial(load, fresh, enough))
            self.assertEqual(daemon.end(signal.SIGKILL), -signal.SIGKILL)
            for counter in fresh:
                counter.drain()
            self.assertGreaterEqual(sum(counter.acked for counter in fresh), enough)
        again = self.launch()
        again.port("poe")
        for counter in counters:
            values = self.stored("*", f"temperature.{counter.id}")
            self.assertEqual(values, [number % 256 for number in range(len(values))])
            self.assertGreaterEqual(len(values), counter.acked)
            self.assertLessEqual(len(values), counter.sent)
        self.assertEqual(again.end(), 0)
        self.assertBalanced()
        self.assertQuiet(again)

    def test_terminated(self) -> None:
        """
        SIGTERM stores and answers what was received, closes the database, and exits with 0.
        """
        daemon = self.launch()
        peer = self.connect(daemon.port("poe"))
        peer.sendall(bytes.fromhex("01ff0001") * 1000)
        acks = receive(peer, 1)
        daemon.process.terminate()
        acks += receive(peer, 1000)
        self.assertEqual(daemon.wait(), 0)
        self.assertLessEqual(len(acks), len(self.stored()))
        self.assertEqual(sorted(os.listdir(self.folder)), ["sensord.sqlite", "sensord.toml"])
        self.assertBalanced()
        self.assertQuiet(daemon)

    def test_terminatedUnderLoad(self) -> None:
        """
        SIGTERM ends it in a moment, however much peers go on sending, and nothing is stored that
        they did not send.
        """
        daemon = self.launch()
        peers = [self.connect(daemon.port("poe")) for _ in range(4)]
        frames = bytes.fromhex("01050446") * 1000
        sent = dict.fromkeys(peers, 0)
        for peer in peers:
            peer.setblocking(False)

        def push() -> bool:
            for peer in peers:
                with contextlib.suppress(OSError):
                    start = sent[peer] % 4
                    sent[peer] += peer.send(frames[start : start + 1337])
                with contextlib.suppress(OSError):
                    peer.recv(65536)
            return daemon.process.poll() is not None

        until(lambda: push() or self.stored())
        daemon.process.terminate()
        until(push)
        self.assertEqual(daemon.wait(), 0)
        self.assertEqual({one.name for one in self.archive().latest()} - {"temperature.5"}, set())
        self.assertBalanced()
        self.assertQuiet(daemon)

    def test_terminatedWhileFull(self) -> None:
        """
        SIGTERM ends it in a moment also while nothing can be stored; what was not acknowledged is
        given up, and the log says how much.
        """
        daemon = self.launch()
        self.fill(daemon)
        self.assertEqual(daemon.end(), 0)
        self.assertIn("50 received items were not stored and not acknowledged", daemon.log)
        self.assertEqual(self.stored(), [7] * 100)
        self.assertBalanced()
        self.assertQuiet(daemon)

    def test_hungUp(self) -> None:
        """
        When its terminal is closed, it ends as orderly, and so it does by any signal twice.
        """
        self.configure(CONFIG.format(weather=0, poe=0))
        master, slave = os.openpty()
        # The first terminal that the leader of a session opens is the session's.
        leader = ["sh", "-c", 'exec 3<>"$0"; exec "$@"', os.ttyname(slave)]
        daemon = Daemon(self.folder, before=leader)
        self.addCleanup(daemon.close)
        os.close(slave)
        peer = self.connect(daemon.port("poe"))
        peer.sendall(bytes.fromhex("01ff0001"))
        self.assertEqual(receive(peer, 1), b"\x06")
        os.close(master)
        daemon.expect("SIGHUP: stopping")
        self.assertEqual(daemon.end(signal.SIGTERM), 0)
        self.assertEqual(sorted(os.listdir(self.folder)), ["sensord.sqlite", "sensord.toml"])
        self.assertQuiet(daemon)

    def test_full(self) -> None:
        """
        While the disk is full, nothing is acknowledged and devices are refused; when there is room
        again, the port opens by itself, and what waited is stored and acknowledged.
        """
        port = freePort()
        daemon = self.launch(poe=port)
        peer = self.fill(daemon)
        until(lambda: refused(port))
        full = time.monotonic()
        peer.setblocking(False)
        self.assertRaises(BlockingIOError, peer.recv, 1)
        self.assertEqual(self.stored(), [7] * 100)
        # It goes on being full for some attempts.
        until(lambda: time.monotonic() > full + 1.0)
        self.assertNotIn("storing again", daemon.log)
        clear(daemon)
        daemon.expect("storing again")
        peer.setblocking(True)
        self.assertEqual(receive(peer, 50), b"\x06" * 50)
        until(lambda: not refused(port))
        self.assertEqual(self.stored(), [7] * 100 + [8] * 50)
        self.assertEqual(daemon.end(), 0)
        self.assertBalanced()
        self.assertQuiet(daemon)

    def test_brokenFile(self) -> None:
        """
        A file that is no database is set aside, and the daemon runs on a new one.
        """
        (self.folder / "sensord.sqlite").write_bytes(b"this is not a database" * 1000)
        daemon = self.launch()
        peer = self.connect(daemon.port("poe"))
        peer.sendall(bytes.fromhex("01010407"))
        self.assertEqual(receive(peer, 1), b"\x06")
        self.assertEqual(daemon.end(), 0)
        [aside] = [name for name in os.listdir(self.folder) if ".broken-" in name]
        self.assertIn(aside, daemon.log)
        self.assertEqual(self.stored(), [7])
        self.assertQuiet(daemon)


class StartTests(IntegrationTestCase):
    """
    How it starts, and how it says that it cannot.
    """

    def test_portTaken(self) -> None:
        """
        A port that is taken costs one line and a non-zero exit.
        """
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            daemon = self.launch(poe=port)
            self.assertEqual(daemon.wait(), 1)
        [line] = [line for line in daemon.log.splitlines() if " sensord: " in line]
        self.assertIn(f"port {port} on 127.0.0.1 is taken", line)
        self.assertQuiet(daemon)

    def test_portTakenInBackground(self) -> None:
        """
        The same when it was to go to the background: the command fails, and the log says why.
        """
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.configure(CONFIG.format(weather=0, poe=port))
            started = self.run_(*twistd(), "sensord")
        self.assertEqual(started.returncode, 1)
        self.assertIn(f"port {port} on 127.0.0.1 is taken", started.stderr)
        log = (self.folder / "twistd.log").read_text()
        self.assertIn(f'sensord: [[listeners]] "poe" listen: port {port} on 127.0.0.1', log)
        self.assertNotIn("Traceback", log)
        self.assertFalse((self.folder / "twistd.pid").exists())

    def test_fullAtStart(self) -> None:
        """
        A daemon that finds the disk full does not start, so that devices are refused.
        """
        daemon = self.launch()
        daemon.port("poe")
        self.connect(daemon.port("poe")).sendall(bytes.fromhex("01010407"))
        until(lambda: self.stored() == [7])
        self.assertEqual(daemon.end(), 0)
        limited = (
            "import resource; _, hard = resource.getrlimit(resource.RLIMIT_FSIZE);"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard));" + twistd()[-1]
        )
        failed = self.run_(*twistd()[:-1], limited, "-n", "--pidfile=", "sensord")
        self.assertEqual(failed.returncode, 1)
        self.assertRegex(failed.stdout, r"sensord: \S+sensord.sqlite: ")
        self.assertNotIn("Traceback", failed.stdout + failed.stderr)

    def test_fewFiles(self) -> None:
        """
        It says so when more connections are configured than the system has descriptors for.
        """
        self.configure(
            CONFIG.format(weather=0, poe=0).replace("ack", "max_connections = 9999999\nack")
        )
        daemon = self.start()
        daemon.expect("max_connections are 19999998 together, but the system allows")
        peer = self.connect(daemon.port("poe"))
        peer.sendall(bytes.fromhex("01010407"))
        self.assertEqual(receive(peer, 1), b"\x06")
        self.assertEqual(daemon.end(), 0)

    def test_noFolder(self) -> None:
        """
        A database that cannot be made costs one line and a non-zero exit.
        """
        self.configure('[store]\npath = "nowhere/sensord.sqlite"\n')
        daemon = self.start()
        self.assertEqual(daemon.wait(), 1)
        self.assertIn("nowhere/sensord.sqlite: unable to open database file", daemon.log)
        self.assertQuiet(daemon)

    def test_typos(self) -> None:
        """
        A configuration with typos is not run; each costs one line, by --check and at the start.
        """
        self.configure('[store]\ncomit_window = 1\n[[listeners]]\nname = "a"\nwire = "poo"\n')
        for arguments in (["--check"], []):
            daemon = self.start(*arguments)
            self.assertEqual(daemon.wait(), 1)
            self.assertEqual(
                daemon.log.splitlines(),
                [
                    "sensord.toml: [store] comit_window: unknown key;"
                    ' did you mean "commit_window"?',
                    'sensord.toml: [[listeners]] "a" listen: is missing',
                ],
            )

    def test_check(self) -> None:
        """
        A good configuration passes --check, and so does the example.
        """
        self.configure(CONFIG.format(weather=0, poe=0))
        self.assertEqual(self.start("--check").wait(), 0)
        example = self.run_(*twistd(), "sensord", "--example")
        self.assertEqual(example.returncode, 0)
        self.configure(example.stdout)
        self.assertEqual(self.start("--check").wait(), 0)

    def test_checkEndpoint(self) -> None:
        """
        An endpoint string that is none does not pass --check.
        """
        self.configure(CONFIG.format(weather=0, poe="x"))
        daemon = self.start("--check")
        self.assertEqual(daemon.wait(), 1)
        self.assertIn('[[listeners]] "poe" listen: "tcp:x:', daemon.log)

    def test_showSettings(self) -> None:
        """
        What --show-settings prints is a configuration with the same settings.
        """
        self.configure(CONFIG.format(weather=0, poe=0))
        shown = self.run_(*twistd(), "sensord", "--show-settings")
        self.assertEqual(tomllib.loads(shown.stdout)["listeners"][1]["ack"], True)
        self.configure(shown.stdout)
        again = self.run_(*twistd(), "sensord", "--show-settings")
        self.assertEqual(again.stdout, shown.stdout)

    def test_background(self) -> None:
        """
        Without -n it goes to the background, and its log to a file.
        """
        self.configure(CONFIG.format(weather=0, poe=0))
        started = self.run_(*twistd(), "sensord")
        self.assertEqual((started.returncode, started.stderr), (0, ""))
        pid = int((self.folder / "twistd.pid").read_text())
        self.addCleanup(kill, pid)
        log = self.folder / "twistd.log"
        until(lambda: "poe: tcp 127.0.0.1:" in log.read_text())
        os.kill(pid, signal.SIGTERM)
        until(lambda: not (self.folder / "twistd.pid").exists())
        self.assertNotIn("Traceback", log.read_text())

    def test_demo(self) -> None:
        """
        The demo stores plausible readings of all its devices, and its ledger balances.
        """
        daemon = self.start("--demo")
        daemon.port("poe")
        archive = Archive(self.folder / "sensord-demo.sqlite")
        until(lambda: len({one.device for one in archive.latest()}) == 18)
        self.assertEqual(daemon.end(), 0)
        self.assertRegex(daemon.log, r"demo: \d+ readings stored so far; \w+: ")
        self.assertNotIn("#error", daemon.log)
        self.assertFalse((self.folder / "sensord-demo-radio").is_symlink())
        audited = self.run_(*sensord(), "audit")
        self.assertEqual(audited.returncode, 0, audited.stderr)
        self.assertIn("balances", audited.stdout)
        exported = self.run_(*sensord(), "export", "--device", "balcony", "--name", "temperature")
        rows = exported.stdout.splitlines()[1:]
        self.assertGreater(len(rows), 1)
        for row in rows:
            self.assertTrue(-20 < float(row.split(",")[3]) < 45, row)
        self.assertQuiet(daemon)

    def test_openToRead(self) -> None:
        """
        The database can be read by any program while the daemon writes, by the view that the
        original server's readers know.
        """
        daemon = self.launch()
        peer = self.connect(daemon.port("poe"))
        peer.sendall(bytes.fromhex("01120463"))
        self.assertEqual(receive(peer, 1), b"\x06")
        with contextlib.closing(sqlite3.connect(self.folder / "sensord.sqlite")) as connection:
            [row] = connection.execute("SELECT ip_id, sensor, value, status FROM sensors")
        self.assertEqual(row, ("127.0.0.1_18", "TEMPERATURE", 99, "critical"))


class Counter:
    """
    A sensor whose values count up, so that one sees which are missing.

    @ivar sent: how many whole frames the kernel took.
    @ivar acked: how many were acknowledged.
    """

    def __init__(self, peer: socket.socket, id: int) -> None:
        self.id = id
        self.sent = 0
        self.acked = 0
        self._peer = peer
        self._rest = b""
        peer.setblocking(False)

    def step(self) -> None:
        """
        Send some more, and hear what was acknowledged.
        """
        if not self._rest:
            numbers = range(self.sent, self.sent + 8)
            self._rest = b"".join(bytes([1, self.id, 4, number % 256]) for number in numbers)
        with contextlib.suppress(OSError):
            taken = self._peer.send(self._rest)
            before, self._rest = len(self._rest), self._rest[taken:]
            self.sent += (before + 3) // 4 - (len(self._rest) + 3) // 4
        with contextlib.suppress(OSError):
            self.acked += self._peer.recv(65536).count(b"\x06")

    def drain(self) -> None:
        """
        Hear the acknowledgements that are still on their way.
        """
        with contextlib.suppress(OSError):
            while data := self._peer.recv(65536):
                self.acked += data.count(b"\x06")


def load(counters: Sequence[Counter], enough: int) -> bool:
    """
    Let all of them send once.

    @return: whether so many frames are acknowledged.
    """
    for counter in counters:
        counter.step()
    return sum(counter.acked for counter in counters) >= enough


def fill(daemon: Daemon) -> None:
    """
    Let all that a daemon writes to files fail, as on a full disk.
    """
    _soft, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (1, hard))


def clear(daemon: Daemon) -> None:
    """
    Let it write again.
    """
    _soft, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (hard, hard))


def kill(pid: int) -> None:
    """
    End a process of ours, if it is still there.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)

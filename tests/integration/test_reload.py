"""
Other settings for the real daemon, while devices send.
"""

import signal
import socket
import sqlite3
import threading
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

from sensord.store.archive import Archive
from sensord.store.audit import audit
from sensord.web import passwords
from tests.integration.daemon import (
    PATIENCE,
    Daemon,
    DaemonTestCase,
    freePort,
    receive,
    refused,
    sensord,
    until,
)

_POE = """
[[listeners]]
name = "poe"
wire = "poe"
listen = "tcp:{port}:interface=127.0.0.1"
ack = true
"""

_HALL = '[[devices]]\naddress = "poe/127.0.0.1"\nname = "{name}"\n'

_FILES = '[[sinks]]\nname = "files"\nkind = "csv"\nfolder = "Data"\nlayout = "tidy"\n'

_RULE = '[[thresholds]]\nname = "temperature.1"\nwarning = "> {number}"\n'


class Device(threading.Thread):
    """
    A device that sends, waits for the acknowledgement, and sends again.

    @ivar acknowledged: how many frames were.
    @ivar why: what ended it, if that was not the test.
    """

    def __init__(self, test: DaemonTestCase, port: int) -> None:
        super().__init__(daemon=True)
        self.acknowledged = 0
        self.why: Exception | None = None
        self._over = threading.Event()
        self._peer = test.connect(port)
        test.addCleanup(self.finish)

    def run(self) -> None:
        """
        Send until it is enough.
        """
        try:
            while not self._over.is_set():
                self._peer.sendall(bytes([1, 1, 4, self.acknowledged % 200]))
                if receive(self._peer, 1) != b"\x06":
                    raise ValueError("it was refused")
                self.acknowledged += 1
        except Exception as error:
            self.why = error

    def more(self, count: int) -> bool:
        """
        Whether more than so many were acknowledged.
        """
        return self.acknowledged > count

    def finish(self) -> None:
        """
        It is enough.
        """
        self._over.set()
        self.join()


class ReloadTestCase(DaemonTestCase):
    """
    A daemon with one listener.
    """

    def setUp(self) -> None:
        """
        Start it.
        """
        super().setUp()
        self.number = freePort()
        self.poe = _POE.format(port=self.number)
        self.configure(self.poe)
        self.daemon = self.start()
        self.port = self.daemon.port("poe")

    def reload(self, *tables: str, said: str = "in effect") -> None:
        """
        Have other settings, by a signal.
        """
        before = len(self.daemon.log)
        self.configure("".join((self.poe, *tables)))
        self.daemon.process.send_signal(signal.SIGHUP)
        while said not in self.daemon.log[before:]:
            self.daemon.expect(f"(?s).{{{before}}}.*reload by SIGHUP.*{said}")

    def finish(self, daemon: Daemon) -> None:
        """
        Stop it; nothing is wrong.
        """
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)
        self.assertEqual(audit(Archive(self.folder / "sensord.sqlite")).faults, [])


class SignalTests(ReloadTestCase):
    """
    SIGHUP.
    """

    def test_load(self) -> None:
        """
        Devices that send all the time lose neither their connection nor a reading while
        descriptions, thresholds, limits and sinks change under them.
        """
        devices = [Device(self, self.port) for _ in range(4)]
        for device in devices:
            device.start()
        more = self.poe.replace('"poe"\nwire', '"barn"\nwire').replace(str(self.number), "0")
        for number in range(5):
            hall = _HALL.format(name=f"hall{number}")
            for tables in (
                (hall, _RULE.format(number=number)),
                (hall, _FILES, more),
                (f"max_connections = {100 + number}\nidle_timeout = 30\n", more),
            ):
                self.reload(*tables)
                for device in devices:
                    until(partial(device.more, device.acknowledged))
        for device in devices:
            device.finish()
            self.assertEqual(device.why, None)
        self.finish(self.daemon)
        count = sum(device.acknowledged for device in devices)
        with sqlite3.connect(self.folder / "sensord.sqlite") as database:
            stored = database.execute("SELECT count(*) FROM readings").fetchone()[0]
            names = database.execute("SELECT DISTINCT device FROM series").fetchall()
        database.close()
        self.assertEqual(stored, count)
        self.assertGreaterEqual(
            {name for (name,) in names}, {f"hall{number}" for number in range(5)}
        )

    def test_bad(self) -> None:
        """
        A bad file changes nothing and says why, and a port that is taken puts all back.
        """
        peer = self.connect(self.port)
        self.reload("[stor]\n", said="nothing has changed")
        self.assertIn("sensord.toml: stor: unknown table", self.daemon.log)
        taken = self.poe.replace('"poe"\nwire', '"barn"\nwire')
        other = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(other.close)
        number = str(other.getsockname()[1])
        self.reload(taken.replace(str(self.number), number), said="nothing has changed")
        self.assertIn('[[listeners]] "barn" listen: port', self.daemon.log)
        peer.sendall(bytes([1, 1, 4, 70]))
        self.assertEqual(receive(peer, 1), b"\x06")
        self.finish(self.daemon)

    def test_page(self) -> None:
        """
        The page is opened when it is wanted, goes on with other users, and is closed.
        """
        page = f'[web]\nlisten = "tcp:{freePort()}:interface=127.0.0.1"\n'
        port = int(page.split(":")[1])

        def status(path: str) -> int:
            asked = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            self.addCleanup(asked.close)
            asked.request("GET", path)
            return asked.getresponse().status

        self.reload(page)
        self.assertEqual((status("/"), status("/api/v1/devices")), (200, 200))
        password = passwords.make("a long secret", 2)
        user = f'[[web.users]]\nname = "anna"\npassword = "{password}"\nrole = "viewer"\n'
        self.reload(page, user)
        self.assertEqual((status("/"), status("/api/v1/devices")), (200, 401))
        self.assertNotIn(str(password), self.daemon.log)
        self.reload()
        until(lambda: refused(port))
        self.finish(self.daemon)

    def test_moved(self) -> None:
        """
        A listener moves to another port.
        """
        other = freePort()
        self.poe = self.poe.replace(str(self.number), str(other))
        self.reload()
        until(lambda: refused(self.port))
        peer = self.connect(other)
        peer.sendall(bytes([1, 1, 4, 70]))
        self.assertEqual(receive(peer, 1), b"\x06")
        self.finish(self.daemon)

    def test_gone(self) -> None:
        """
        A file that is gone is a fault where it was named, and else the standard settings count.
        """
        (self.folder / "sensord.toml").unlink()
        (self.folder / "sensord.toml").mkdir()
        self.daemon.process.send_signal(signal.SIGHUP)
        self.daemon.expect("nothing has changed")
        self.finish(self.daemon)


class CommandTests(ReloadTestCase):
    """
    C{sensord reload}, and files that are watched.
    """

    def test_command(self) -> None:
        """
        It prints what is different; a bad file is told, with a status that says so.
        """
        self.configure(self.poe + _HALL.format(name="hall"))
        done = self.run_(*sensord(), "reload")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, '[[devices]] "poe/127.0.0.1": added\n')
        again = self.run_(*sensord(), "reload")
        self.assertEqual((again.stdout, again.stderr), ("", "nothing has changed\n"))
        self.configure(self.poe + _HALL.format(name="a/b"))
        bad = self.run_(*sensord(), "--socket", "sensord.sock", "reload")
        self.assertEqual(bad.returncode, 1)
        self.assertIn("a slash would make it look like an address", bad.stderr)
        self.finish(self.daemon)

    def test_watched(self) -> None:
        """
        With C{watch = true}, a file that is saved counts at once, and so does a description beside
        it.
        """
        self.configure("watch = true\n" + self.poe)
        self.run_(*sensord(), "reload")
        folder = Path(self.folder, "devices.d")
        folder.mkdir()
        (folder / "hall.toml").write_text(_HALL.format(name="hall"))
        self.daemon.expect("reload by the watch: 1 change in effect")
        self.finish(self.daemon)

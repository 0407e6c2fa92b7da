"""
A real MQTT broker: Debian's mosquitto, for tests to start, stop and kill.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from unittest import SkipTest, TestCase

from tests.integration.daemon import PATIENCE, freePort, refused, until

#: Why tests of it are skipped, where it is missing.
MISSING = "" if shutil.which("mosquitto") else "apt-get install mosquitto"

_CONFIG = """
{user}
per_listener_settings false
listener {port} 127.0.0.1
allow_anonymous {anonymous}
persistence true
persistence_location {folder}/
max_queued_messages 0
max_inflight_messages 0
log_dest stderr
{more}
"""


class Mosquitto:
    """
    One broker, which keeps its port and what it knows when it is started anew.

    @param more: further lines of its configuration.
    """

    def __init__(self, folder: Path, more: str = "", anonymous: bool = True) -> None:
        if MISSING:
            raise SkipTest(MISSING)
        self.folder = folder
        self.port = freePort()
        self._more = more
        self._anonymous = anonymous
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """
        Start it, and wait until it listens.

        @raise AssertionError: if it does not.
        """
        text = _CONFIG.format(
            # As root, it would become somebody who may not read what the test has written.
            user="user root" if os.getuid() == 0 else "",
            port=self.port,
            anonymous=str(self._anonymous).lower(),
            folder=self.folder,
            more=self._more,
        )
        (self.folder / "mosquitto.conf").write_text(text, encoding="utf-8")
        with (self.folder / "mosquitto.log").open("ab") as log:
            process = self._process = subprocess.Popen(
                ["mosquitto", "-c", str(self.folder / "mosquitto.conf")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(lambda: process.poll() is not None or not refused(self.port))
        assert process.poll() is None, self.log

    @property
    def log(self) -> str:
        """
        What it has logged.
        """
        return (self.folder / "mosquitto.log").read_text(encoding="utf-8", errors="replace")

    def end(self, number: int = signal.SIGTERM) -> None:
        """
        Send it a signal, and wait for its end.
        """
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE)
            self._process = None

    def close(self) -> None:
        """
        Make sure that it is gone.
        """
        self.end(signal.SIGKILL)


def serve(case: TestCase, folder: Path, more: str = "", anonymous: bool = True) -> Mosquitto:
    """
    Start a broker for a test, which is gone with it.
    """
    broker = Mosquitto(folder, more, anonymous)
    case.addCleanup(broker.close)
    broker.start()
    return broker


def password(file: Path, user: str, text: str) -> None:
    """
    Let somebody in.
    """
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(file), user, text], check=True)
    file.chmod(0o600)

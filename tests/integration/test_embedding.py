"""
The gateway inside of somebody else's program: the one that the README shows.
"""

import signal
import subprocess
import sys

from tests.integration.daemon import DaemonTestCase, freePort, refused, until
from tests.test_readme import program


class EmbeddingTests(DaemonTestCase):
    """
    The README's program, run as it stands but for the port.
    """

    def test_readme(self) -> None:
        """
        It prints the readings that come in, and ends cleanly.
        """
        port = freePort()
        (self.folder / "own.py").write_text(
            program().replace("tcp:1234:", f"tcp:{port}:"), encoding="utf-8"
        )
        process = subprocess.Popen(
            [sys.executable, "-u", "own.py"],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        until(lambda: not refused(port))
        self.connect(port).sendall(bytes.fromhex("01ff0001"))
        assert process.stdout is not None
        self.assertIn("device='poe/127.0.0.1', name='fire.255', value=1", process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.communicate()[1], "")
        self.assertTrue((self.folder / "sensord.sqlite").exists())

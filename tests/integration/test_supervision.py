"""
Daemons that are supervised.
"""

import signal
import subprocess

from sensord.supervision import STARTED
from tests.integration.daemon import PATIENCE, DaemonTestCase, twistd


class SupervisedTests(DaemonTestCase):
    """
    C{--supervised}.
    """

    def test_ends(self) -> None:
        """
        A daemon that is supervised ends orderly when its standard input does, and not by Ctrl-C.
        """
        self.configure("listeners = []\n")
        process = subprocess.Popen(
            [*twistd(), "-n", "--pidfile=", "sensord", "--supervised"],
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(process.kill)
        assert process.stdout is not None and process.stdin is not None
        self.addCleanup(process.stdout.close)
        while STARTED not in (line := process.stdout.readline()):
            self.assertNotEqual(line, "")
        process.send_signal(signal.SIGINT)
        process.stdin.write("hello\n")
        process.stdin.close()
        rest = process.stdout.read()
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertIn("the supervisor is gone: stopping", rest)
        self.assertNotIn("SIGINT", rest)

    def test_alone(self) -> None:
        """
        Without a standard input it ends at once, and in good order.
        """
        self.configure("listeners = []\n")
        daemon = self.start("--supervised")
        self.assertEqual(daemon.wait(), 0)
        self.assertIn("the supervisor is gone: stopping", daemon.log)
        self.assertQuiet(daemon)

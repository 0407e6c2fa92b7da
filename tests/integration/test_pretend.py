"""
Pretend devices as C{sensord simulate} makes them.
"""

import os
import select
import signal
import subprocess
from pathlib import Path

from sensord.wire.rfm2pi import Frame, RadioParser, Status
from tests.integration.daemon import PATIENCE, DaemonTestCase, sensord


class RadioTests(DaemonTestCase):
    """
    A pretend radio module, in a process of its own.
    """

    def radio(self, *arguments: str) -> tuple["subprocess.Popen[str]", Path]:
        """
        Start one.

        @return: the process, and the device file that it has named.
        """
        process = subprocess.Popen(
            [*sensord(), "simulate", "--wire", "rfm2pi", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    def hear(self, file: int, kind: type) -> object:
        """
        Wait until the module says something of a kind.
        """
        parser = RadioParser()
        while True:
            ready, _, _ = select.select([file], [], [], PATIENCE)
            assert ready, "time is up"
            for event in parser.feed(os.read(file, 1)):
                if isinstance(event, kind):
                    return event

    def test_radio(self) -> None:
        """
        It prints its device file at once, keeps a link to it, sends frames, answers questions,
        shows what it is told to send, and takes link and file with it when it ends.
        """
        link = self.folder / "radio"
        process, path = self.radio("--rate", "20", "--link", "radio")
        self.assertEqual(link.readlink(), path)
        file = os.open(link, os.O_RDWR | os.O_NOCTTY)
        self.addCleanup(os.close, file)
        self.assertIsInstance(self.hear(file, Frame), Frame)
        os.write(file, b"15i13,215,0,0s")
        status = self.hear(file, Status)
        assert isinstance(status, Status)
        self.assertEqual(status.base, 15)
        assert process.stderr is not None
        self.assertEqual(process.stderr.readline(), "pretend radio: 13 215 0 to all nodes\n")
        self.assertEqual(process.stderr.readline(), "pretend node 13: target is 21.5\n")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
        self.assertRegex(out, r"^4 devices sent \d+ messages with \d+ readings; 0 connections fail")
        self.assertEqual((process.returncode, err), (0, ""))
        self.assertFalse(link.is_symlink())

    def test_nobody(self) -> None:
        """
        It ends by itself in its time, whether anybody listens or not.
        """
        process, path = self.radio("--rate", "1000", "--seconds", "0.5", "--devices", "2")
        self.assertTrue(path.is_char_device())
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual((process.returncode, err), (0, ""))
        self.assertIn("measurements were lost", out)

    def test_refused(self) -> None:
        """
        What cannot be made is said in one line.
        """
        (self.folder / "radio").write_text("precious")
        radio = ("simulate", "--wire", "rfm2pi")
        for arguments, line in (
            ((*radio, "--link", "radio"), "Error: radio: File exists"),
            ((*radio, "tcp:127.0.0.1:1"), "Error: tcp:127.0.0.1:1: with rfm2pi there is no TARGET"),
            (("simulate", "--link", "x"), "Error: --link: with poe there is no device file"),
            ((*radio, "--devices", "30"), "Error: 30 devices: for rfm2pi it can be 1 to 29"),
        ):
            result = self.run_(*sensord(), *arguments)
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertTrue(result.stderr.startswith(line), result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1)

    def test_help(self) -> None:
        """
        The help says what each wire format does by default.
        """
        result = self.run_(*sensord(), "simulate", "--help")
        self.assertRegex(
            result.stdout, r"websocket +microcontrollers .* 10 +0\.333 +tcp:127.*:4444"
        )
        self.assertRegex(
            result.stdout, r"rfm2pi +nodes behind a radio module +4 +0\.1 +a device fi"
        )

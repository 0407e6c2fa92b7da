"""
Tests for L{sensord.hubs.process}.
"""

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sensord.hubs.files import Diary
from sensord.hubs.process import GRACE, HASTE, Child, resident
from sensord.supervision import STARTED
from tests.hubs.support import MEGA, Processes


class ChildTests(SynchronousTestCase):
    """
    One process.
    """

    def setUp(self) -> None:
        """
        Start it.
        """
        self.clock = Clock()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.processes = Processes()
        self.starts: list[None] = []
        self.child = Child(
            self.clock,
            256 * MEGA,
            Diary(self.folder, "h1.log"),
            lambda: self.starts.append(None),
            self.processes.resident,
        )
        self.processes.spawn(self.child, "", [], None, "", {0: "w"})
        self.process = self.processes.last

    def ended(self) -> str:
        """
        Why it has ended.
        """
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsNone(self.child.pid)
        return self.successResultOf(self.child.ended)

    def test_started(self) -> None:
        """
        It has started when it says so, however that is cut, and once.
        """
        self.assertEqual(self.child.pid, 1000)
        line = f"x [y] {STARTED}\n"
        for character in line:
            self.process.say(character)
        self.process.say(line)
        self.assertEqual(len(self.starts), 1)
        self.process.end()
        self.assertEqual(self.ended(), "it has ended")

    def test_log(self) -> None:
        """
        What it says is in its log, errors too.
        """
        self.process.say("one\n")
        self.child.errReceived(b"two\n")
        self.process.end()
        self.assertEqual((self.folder / "h1.log").read_text(), "one\ntwo\n")

    def test_reasons(self) -> None:
        """
        A process that is killed, or that fails when it runs, is told by its signal or its code.
        """
        self.process.started()
        self.process.say("something\n")
        self.process.end(code=3)
        self.assertEqual(self.ended(), "it has ended with exit code 3")

    def test_killed(self) -> None:
        """
        The signal has its name.
        """
        self.process.end(signal=11)
        self.assertEqual(self.ended(), "it was ended by SIGSEGV")

    def test_notStarted(self) -> None:
        """
        What keeps it from starting is what it says last: one line, of bounded length, without
        characters that a terminal would obey.
        """
        self.process.say("Traceback\n\x1b[31msensord: " + "x" * 1000 + "\n \n")
        self.process.end(code=1)
        why = self.ended()
        self.assertIn("exit code 1: ", why)
        self.assertIn("sensord: xxx", why)
        self.assertNotIn("\x1b", why)
        self.assertLess(len(why), 250)

    def test_end(self) -> None:
        """
        One that is to end is asked to, and killed if it does not.
        """
        self.process.stubborn = True
        self.child.end()
        self.child.end()
        self.clock.pump([0.5] * int(GRACE * 2 - 1))
        self.assertEqual(self.process.signals, ["TERM"])
        self.clock.advance(0.5)
        self.assertEqual(self.process.signals, ["TERM", "KILL"])
        self.assertEqual(self.ended(), "it was ended by SIGKILL")

    def test_memory(self) -> None:
        """
        One that takes too much memory is asked to end, and killed if it does not.
        """
        self.process.stubborn = True
        self.processes.memory[1000] = 256 * MEGA
        self.clock.pump([1] * 5)
        self.assertEqual(self.process.signals, [])
        self.processes.memory[1000] += 1
        self.clock.advance(1)
        self.assertEqual(self.process.signals, ["TERM"])
        self.clock.pump([1] * int(HASTE))
        self.assertEqual(self.process.signals, ["TERM", "KILL"])
        self.assertEqual(self.ended(), "it had 257 MB of memory, and may have 256")

    def test_hangs(self) -> None:
        """
        One that does not start in five minutes is ended.
        """
        self.clock.pump([1] * 299)
        self.assertEqual(self.process.signals, [])
        self.clock.advance(1)
        self.assertEqual(self.ended(), "it did not start in 300 s")

    def test_slow(self) -> None:
        """
        One that has started is not.
        """
        self.process.started()
        self.clock.pump([1] * 400)
        self.assertEqual(self.process.signals, [])
        self.process.end()
        self.ended()

    def test_held(self) -> None:
        """
        Who keeps the output of one that has ended does not keep us waiting.
        """
        self.process.deaf = True
        self.process.end(signal=9)
        self.assertNoResult(self.child.ended)
        self.clock.advance(2)
        self.assertEqual(self.ended(), "it was ended by SIGKILL")

    def test_gone(self) -> None:
        """
        One that has just ended can be told to.
        """
        self.process.deaf = True
        self.process.end(signal=9)
        self.child.end()
        self.assertEqual(self.process.signals, [])
        self.clock.advance(2)
        self.assertEqual(self.ended(), "it was ended by SIGKILL")


class ResidentTests(SynchronousTestCase):
    """
    The memory of a process.
    """

    def test_ours(self) -> None:
        """
        This one has some megabytes.
        """
        self.assertGreater(resident(os.getpid()), 5 * MEGA)

    def test_none(self) -> None:
        """
        One that is gone has none.
        """
        self.assertEqual(resident(2**31 - 1), 0)

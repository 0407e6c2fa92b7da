"""
Tests for L{sensord.supervision}.
"""

import os
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from sensord.supervision import Leash


class LeashTests(SynchronousTestCase):
    """
    The standard input of a daemon that is supervised.
    """

    def setUp(self) -> None:
        """
        Hold the other end.
        """
        self.ours, self.theirs = os.pipe()
        self.addCleanup(os.close, self.ours)
        self.held = True
        self.addCleanup(self.drop)
        self.ends: list[None] = []
        self.reactor: Any = MemoryReactorClock()

    def leash(self, descriptor: int | None = None) -> Leash:
        """
        Watch it.
        """
        where = self.ours if descriptor is None else descriptor
        made = Leash(self.reactor, lambda: self.ends.append(None), where)
        made.start()
        return made

    def drop(self) -> None:
        """
        Let the other end go.
        """
        if self.held:
            self.held = False
            os.close(self.theirs)

    def test_ended(self) -> None:
        """
        When the other end is gone, that is told once.
        """
        leash = self.leash()
        self.assertEqual(self.reactor.getReaders(), [leash])
        self.assertEqual(leash.fileno(), self.ours)
        self.drop()
        leash.doRead()
        leash.connectionLost()
        self.assertEqual(len(self.ends), 1)
        self.assertEqual(self.reactor.getReaders(), [])

    def test_said(self) -> None:
        """
        Whatever is said there does not matter, nor that there is nothing just now.
        """
        leash = self.leash()
        os.write(self.theirs, b"hello")
        leash.doRead()
        os.set_blocking(self.ours, False)
        leash.doRead()
        self.assertEqual(self.ends, [])

    def test_seen(self) -> None:
        """
        The reactor may see the end before us.
        """
        self.leash().connectionLost()
        self.assertEqual(len(self.ends), 1)

    def test_broken(self) -> None:
        """
        What cannot be read has ended.
        """
        leash = self.leash(self.theirs)
        leash.doRead()
        self.assertEqual(len(self.ends), 1)

    def test_closed(self) -> None:
        """
        So has what cannot be watched.
        """

        def refuse(reader: object) -> None:
            raise OSError(9, "Bad file descriptor")

        self.reactor.addReader = refuse
        self.leash()
        self.assertEqual(len(self.ends), 1)

    def test_stopped(self) -> None:
        """
        When the daemon ends anyway, it is not told.
        """
        leash = self.leash()
        leash.stop()
        leash.connectionLost()
        self.assertEqual((self.ends, self.reactor.getReaders()), ([], []))

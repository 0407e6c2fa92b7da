"""
Tests for L{benchmarks}.
"""

from math import isfinite
from sys import platform

from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.__main__ import code, table
from benchmarks.cases import CASES, Case, Outcome, Sample, run

_NAMES = {case.name: case for case in CASES}


class RunTests(SynchronousTestCase):
    """
    L{run} measures with real processes. It needs the loopback network and the C{/proc} of Linux.
    """

    if not platform.startswith("linux"):
        skip = "benchmarks need Linux"

    def assertMeasures(self, case: Case) -> None:
        """
        One round of a small part of a case gives figures that can be compared.
        """
        said: list[str] = []
        outcome = run(case.part(40), 1, None, said.append)
        [ratio] = outcome.ratios
        self.assertTrue(isfinite(ratio) and ratio > 0, f"{case.name}: {ratio}")
        self.assertEqual(len(said), 2)
        self.assertIn(case.name, table([outcome]))

    def test_frames(self) -> None:
        """
        Frames from many connections are compared with discarding them.
        """
        self.assertMeasures(_NAMES["frames"])

    def test_pipelined(self) -> None:
        """
        Frames from one connection are compared with writing their rows.
        """
        self.assertMeasures(_NAMES["pipelined"])

    def test_short(self) -> None:
        """
        Short connections are compared with accepting and closing them.
        """
        self.assertMeasures(_NAMES["short"])

    def test_idle(self) -> None:
        """
        The memory of idle connections is compared with that of bare ones.
        """
        self.assertMeasures(structs.replace(_NAMES["idle"], connections=250))

    def test_drain(self) -> None:
        """
        What a sink passes on of a backlog is compared with batches that lie ready.
        """
        self.assertMeasures(_NAMES["drain"])

    def test_beside(self) -> None:
        """
        Lines that come in while a backlog is passed on are compared with lines alone.
        """
        self.assertMeasures(_NAMES["beside"])

    def test_mqtt(self) -> None:
        """
        Messages that a broker has kept are compared with paho-mqtt reading them.
        """
        self.assertMeasures(_NAMES["mqtt"])

    def test_share(self) -> None:
        """
        Two gateways that share what comes are compared with one.
        """
        self.assertMeasures(_NAMES["share"])


class BarTests(SynchronousTestCase):
    """
    What is said of a bar.
    """

    def outcome(self, name: str, ours: Sample, limit: Sample) -> Outcome:
        """
        An outcome of three rounds, of which the middle one is as given.
        """
        worse = structs.replace(ours, seconds=100.0, growth=10**9)
        better = structs.replace(ours, seconds=0.1, growth=1024)
        return Outcome(_NAMES[name], ((worse, limit), (ours, limit), (better, limit)))

    def test_ratio(self) -> None:
        """
        A ratio of 0.80 is enough, 0.79 is a missed bar.
        """
        limit = Sample(units=1000, seconds=0.8, cpu=0.5, growth=0, commits=0)
        good = self.outcome("frames", structs.replace(limit, seconds=1.0), limit)
        bad = self.outcome("frames", structs.replace(limit, seconds=1.02), limit)
        self.assertEqual((code([good]), code([good, bad])), (0, 1))
        self.assertIn(" pass ", table([good]))
        self.assertIn(" FAIL ", table([good, bad]))
        self.assertIn(" 0.80 ", table([good]))

    def test_unbarred(self) -> None:
        """
        Where there is no bar, none can be missed, and nothing is said of one.
        """
        limit = Sample(units=1000, seconds=1.0, cpu=0.5, growth=0, commits=0)
        outcome = self.outcome("share", structs.replace(limit, seconds=50.0), limit)
        self.assertEqual(code([outcome]), 0)
        self.assertFalse(outcome.doubtful)
        self.assertNotIn("pass", table([outcome]))
        self.assertNotIn("FAIL", table([outcome]))

    def test_doubtful(self) -> None:
        """
        A ratio to a limit that had time to spare is marked: it looks better than it is.
        """
        limit = Sample(units=1000, seconds=1.0, cpu=0.5, growth=0, commits=0)
        busy = structs.replace(limit, cpu=0.95)
        self.assertTrue(self.outcome("short", limit, limit).doubtful)
        self.assertFalse(self.outcome("short", limit, busy).doubtful)

    def test_memory(self) -> None:
        """
        15 KB for a connection are few enough, 16 are a missed bar, whatever the limit needs.
        """
        limit = Sample(units=1000, seconds=1.0, cpu=0.5, growth=1024_000, commits=0)
        good = self.outcome("idle", structs.replace(limit, growth=15 * 1024_000), limit)
        bad = self.outcome("idle", structs.replace(limit, growth=16 * 1024_000), limit)
        self.assertEqual((code([good]), code([bad])), (0, 1))
        self.assertIn(" FAIL ", table([bad]))

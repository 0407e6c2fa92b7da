"""
What a benchmark's processes tell each other: lines of JSON.
"""

import os
import resource
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from msgspec import Struct
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO
from twisted.logger import globalLogBeginner, textFileLogObserver


class Job(Struct, frozen=True):
    """
    What a server process is to be.

    @ivar kind: a key of C{servers.KINDS}.
    @ivar folder: for its database and its log.
    @ivar size: how many of what the server counts (bytes, readings, rows) make one unit.
    @ivar batch: for a server that only writes, the rows of one transaction.
    @ivar url: the InfluxDB that is written to, or the MQTT broker, if there is one.
    @ivar backlog: readings that wait for it from the beginning.
    """

    kind: str
    folder: str
    size: int
    batch: int
    url: str = ""
    backlog: int = 0


class Mark(Struct, frozen=True):
    """
    What a server process had used up at one moment.

    @ivar time: the seconds of the monotonic clock, which all processes of a machine share.
    @ivar cpu: seconds, in the process and in the kernel for it, all threads together.
    @ivar memory: resident bytes.
    @ivar commits: transactions.
    """

    time: float
    cpu: float
    memory: int
    commits: int


def mark(commits: int) -> Mark:
    """
    Look at this process.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    memory = pages * os.sysconf("SC_PAGE_SIZE")
    return Mark(monotonic(), used.ru_utime + used.ru_stime, memory, commits)


def serve(job: Job, control: Callable[[Any], Protocol]) -> None:
    """
    Run what a job wants, until the parent process closes its end.

    @param control: makes what speaks with the parent, given the reactor.
    """
    from twisted.internet import reactor

    with open(f"{job.folder}/log", "w", encoding="utf-8") as log:
        globalLogBeginner.beginLoggingTo([textFileLogObserver(log)], redirectStandardIO=False)
        loop: Any = reactor
        loop.callWhenRunning(StandardIO, control(loop))
        loop.run()


def descriptors() -> int:
    """
    Let this process have as many file descriptors as the system allows, as the daemon does.

    @return: how many those are.
    """
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard

"""
How the daemon is, in a few figures.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from sensord import __version__
from sensord.control.answers import Names, known
from sensord.control.asking import answered
from sensord.presence import Presence, State
from sensord.store import stock
from sensord.store.service import Store

#: What a device can be by its values, the worst last.
_STATUSES = ("normal", "warning", "critical")


class DaemonStatus(Struct, frozen=True):
    """
    How it is. Times are in microseconds since the epoch.

    @ivar ready: whether what comes in can be stored.
    @ivar full: whether devices are held back, since so much waits for its commit.
    @ivar why: why nothing can be stored; empty if it can.
    @ivar pending: how many items wait for their commit.
    @ivar devices: how many are awake, asleep, overdue, lost.
    @ivar statuses: how many are normal, warning, critical by the worst of their values.
    @ivar backlog: readings that sinks have still to take, all together.
    @ivar quarantine: frames that wait for a description.
    @ivar dead_letters: readings that sinks have refused.
    @ivar hubs: whether it manages hubs.
    """

    version: str
    started: int
    now: int
    ready: bool
    full: bool
    why: str
    pending: int
    devices: Mapping[str, int]
    statuses: Mapping[str, int]
    backlog: int
    quarantine: int
    dead_letters: int
    hubs: bool


async def status(
    names: Names, presence: Presence, store: Store, started: int, hubs: bool
) -> DaemonStatus:
    """
    How it is just now.

    @param started: since when it runs, in microseconds since the epoch; 0 is since just now.
    @param hubs: whether it manages hubs.
    """
    tally = await answered(store.read(stock.tally))
    now = presence.now()
    stamp = int(now * 1e6)
    records = known(names, presence).values()
    return DaemonStatus(
        version=__version__,
        started=started or stamp,
        now=stamp,
        ready=store.ready,
        full=store.full,
        why=store.why,
        pending=store.pending,
        devices=_counted(
            (state.value for state in State), (presence.state(one, now).value for one in records)
        ),
        statuses=_counted(_STATUSES, (tally.worst.get(one.name, "normal") for one in records)),
        backlog=tally.backlog,
        quarantine=tally.quarantine,
        dead_letters=tally.dead,
        hubs=hubs,
    )


def _counted(keys: Iterable[str], found: Iterable[str]) -> Mapping[str, int]:
    """
    How often each key was found, also those that never were.
    """
    counts = Counter(found)
    return {key: counts[key] for key in keys}

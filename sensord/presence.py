"""
Who was heard when, by which link, and who is overdue.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from typing import Protocol

from msgspec import Struct
from twisted.logger import Logger

#: How many devices of one listener are remembered that have no description. Without a limit, a peer
#: that makes up ids would fill the memory; and if it were shared, leave none to other listeners.
MAX_STRANGERS = 5_000

#: Microseconds: what comes closer together than that is one burst, and says nothing of the interval
#: between bursts.
_BURST = 1_000_000

#: How much of a gap goes into what is learned of an interval; and how much longer than usual a gap
#: may count at most, since after an outage it says nothing about the device.
_LEARN, _STRETCH = 0.125, 2.0

#: What a device's interval is taken for until it is known, in seconds.
_UNKNOWN = 3600.0

#: A device is overdue, or lost, when it is silent for so many of its intervals and seconds more.
_OVERDUE, _LOST = (1.5, 5.0), (5.0, 60.0)

#: Seconds that a device without a link counts as awake after it was heard.
_AWAKE = 10.0

#: By how many microseconds a device may have been heard in the future: stamps of arrivals may be a
#: bit ahead.
_AHEAD = 10_000_000


class State(Enum):
    """
    How a device is.
    """

    #: It is there, or was a moment ago.
    AWAKE = "awake"
    #: It is away, as it should be.
    ASLEEP = "asleep"
    #: It should have been heard by now.
    OVERDUE = "overdue"
    #: It has not been heard for far too long, or never.
    LOST = "lost"


class Congested(Exception):
    """
    A link takes no more for now.
    """


class Link(Protocol):
    """
    A way down to one or more devices.
    """

    def send(self, data: bytes) -> None:
        """
        Send something down: what it is, the wire format says.

        @raise Congested: if that is not possible just now; as soon as it is, devices are met.
        """


class Record(Struct, gc=False, eq=False):
    """
    What is known of one device's comings and goings.

    @ivar address: C{<listener>/<id on the wire>}.
    @ivar name: what its readings call it.
    @ivar heard: when it was last heard, in microseconds since the epoch; 0 is never.
    @ivar received: messages that came in.
    @ivar missed: messages that did not, by its counter.
    @ivar restarts: how often its counter began anew.
    @ivar counter: where its counter stands; L{None} if it has none.
    @ivar rssi: how well it was received the last time, in dBm; L{None} if that is unknown.
    @ivar interval: seconds between what it sends; 0 if that is unknown.
    @ivar declared: whether the device said so itself, or its description.
    @ivar settled: whether it was its description.
    @ivar state: as it was when last looked at; L{None} before the first time.
    """

    address: str
    name: str
    heard: int = 0
    received: int = 0
    missed: int = 0
    restarts: int = 0
    counter: int | None = None
    rssi: int | None = None
    interval: float = 0.0
    declared: bool = False
    settled: bool = False
    state: State | None = None

    def hear(self, time: int, messages: int = 1) -> None:
        """
        It was heard.

        @param time: in microseconds since the epoch.
        """
        gap = time - self.heard
        if gap > _BURST and self.heard and not self.declared:
            self._learn(gap / 1e6)
        self.heard = time
        self.received += messages

    def settle(self, interval: float) -> None:
        """
        Its description says how many seconds lie between what it sends.

        @param interval: 0 if it does not say so, or not any more.
        """
        if interval:
            self.interval, self.declared, self.settled = interval, True, True
        elif self.settled:
            self.interval, self.declared, self.settled = 0.0, False, False

    def declare(self, interval: float) -> None:
        """
        It says itself how many seconds lie between what it sends.
        """
        if not self.settled:
            self.interval, self.declared = interval, True

    def count(self, counter: int) -> None:
        """
        It numbers its messages: a gap is what was missed, and a step back is a restart.
        """
        if self.counter is not None:
            if counter > self.counter:
                self.missed += counter - self.counter - 1
            elif counter < self.counter:
                self.restarts += 1
        self.counter = counter

    def forget(self) -> None:
        """
        It is gone: if it is heard again, it is as if it was new.
        """
        fresh = Record(self.address, self.name, settled=self.settled)
        if self.settled:
            fresh.interval, fresh.declared = self.interval, True
        for field in self.__struct_fields__:
            setattr(self, field, getattr(fresh, field))

    def _learn(self, gap: float) -> None:
        if self.interval:
            gap = min(gap, self.interval * _STRETCH)
            self.interval += (gap - self.interval) * _LEARN
        else:
            self.interval = gap


class Change(Struct, frozen=True):
    """
    A device came into another state.

    @ivar before: L{None} for a device that is new.
    """

    record: Record
    before: State | None
    after: State


class Presence:
    """
    The records of all devices, and the links by which they can be reached just now.

    @param name: what a device is called, by its address.
    @param expected: for a device that is described, the seconds between what it sends, 0 if that is
        not said; L{None} for all others.
    @ivar now: the time of day, in seconds since the epoch.
    """

    _log = Logger()

    def __init__(
        self,
        name: Callable[[str], str] = lambda address: address,
        now: Callable[[], float] = time.time,
        expected: Callable[[str], float | None] = lambda address: None,
    ) -> None:
        self.now = now
        self._name = name
        self._expected = expected
        self._strangers: Counter[str] = Counter()  # by listener
        self._crowded: set[str] = set()
        self._records: dict[str, Record] = {}
        self._links: dict[str, list[Link]] = {}
        self._greeters: list[Callable[[str], object]] = []
        self._followers: list[Callable[[Sequence[Change]], object]] = []

    def __iter__(self) -> Iterator[Record]:
        """
        All records.
        """
        return iter(self._records.values())

    def get(self, address: str) -> Record | None:
        """
        The record of a device; L{None} if there is none.
        """
        return self._records.get(address)

    def record(self, address: str) -> Record:
        """
        The record of a device, which is made if there is none.
        """
        record = self._records.get(address)
        if record is None:
            record = Record(address, self._name(address))
            if not self._admit(record, MAX_STRANGERS):
                self._complain(address)
        return record

    def restore(self, records: Iterable[Record]) -> None:
        """
        Remember what was known before a restart, but for the many strangers that somebody may have
        made up: there is to be room for others.

        @param records: the one that was heard last comes first.
        """
        for record in records:
            record.name = self._name(record.address)
            self._admit(record, MAX_STRANGERS // 2)

    def revise(self) -> None:
        """
        The descriptions are not what they were: see anew what devices are called, how often they
        send, and which of them are strangers. None is forgotten by this.
        """
        self._strangers.clear()
        self._crowded.clear()
        for record in self._records.values():
            record.name = self._name(record.address)
            expected = self._expected(record.address)
            record.settle(expected or 0.0)
            if expected is None:
                self._strangers[record.address.partition("/")[0]] += 1

    def arrive(self, address: str, link: Link) -> None:
        """
        A device can be reached by a link, also when it could be before: it was heard there.

        @param address: C{<listener>/*} stands for all that have no link of their own.
        """
        links = self._links.setdefault(address, [])
        if link not in links:
            links.append(link)
        self.meet(address)

    def meet(self, address: str) -> None:
        """
        A device was heard, and may listen now. It needs no link of its own.
        """
        for greet in self._greeters:
            with self._log.failuresHandled("while greeting a device"):
                greet(address)

    def leave(self, address: str, link: Link) -> None:
        """
        A device cannot be reached by a link any more.
        """
        links = self._links.get(address, [])
        if link in links:
            links.remove(link)
        if not links:
            self._links.pop(address, None)

    def link(self, address: str) -> Link | None:
        """
        The way down to a device: the link on which it was met last.
        """
        listener = address.partition("/")[0]
        links = self._links.get(address) or self._links.get(f"{listener}/*")
        return links[-1] if links else None

    def present(self) -> list[str]:
        """
        The addresses of all devices that have a link of their own.
        """
        return [address for address in self._links if not address.endswith("/*")]

    def greet(self, callback: Callable[[str], object]) -> None:
        """
        Be told the address of each device that arrives or is met.
        """
        self._greeters.append(callback)

    def follow(self, callback: Callable[[Sequence[Change]], object]) -> Callable[[], None]:
        """
        Be told when devices come into other states.

        @return: call it to hear no more.
        """
        self._followers.append(callback)
        return lambda: self._followers.remove(callback)

    def state(self, record: Record, now: float) -> State:
        """
        How a device is.

        @param now: in seconds since the epoch.
        """
        silent = now - record.heard / 1e6
        interval = record.interval or _UNKNOWN
        if not record.heard or silent > interval * _LOST[0] + _LOST[1]:
            return State.LOST
        if silent > interval * _OVERDUE[0] + _OVERDUE[1]:
            return State.OVERDUE
        return State.AWAKE if silent <= _AWAKE or record.address in self._links else State.ASLEEP

    def look(self) -> None:
        """
        See how all devices are, and tell the followers what has changed.
        """
        now = self.now()
        changes, latest = [], int(now * 1e6)
        for record in self._records.values():
            if not record.heard:
                continue  # it was forgotten
            # One that was heard in the future, by a wrong clock, would be awake until then.
            record.heard = min(record.heard, latest + _AHEAD)
            state = self.state(record, now)
            if state is not record.state:
                changes.append(Change(record, record.state, state))
                record.state = state
        if changes:
            for follower in tuple(self._followers):
                with self._log.failuresHandled("while telling a follower of devices"):
                    follower(changes)

    def _admit(self, record: Record, most: int) -> bool:
        """
        Remember a device, unless it is not described and there are many such already.
        """
        expected = self._expected(record.address)
        if expected:
            record.settle(expected)
        elif expected is None:
            listener = record.address.partition("/")[0]
            if self._strangers[listener] >= most:
                return False
            self._strangers[listener] += 1
        self._records[record.address] = record
        return True

    def _complain(self, address: str) -> None:
        """
        Say once of each listener that it hears too many strangers.
        """
        listener = address.partition("/")[0]
        if listener not in self._crowded:
            self._crowded.add(listener)
            self._log.warn(
                "{listener}: {count} devices are not described; what others send is stored, but not"
                " when they were heard",
                listener=listener,
                count=MAX_STRANGERS,
            )

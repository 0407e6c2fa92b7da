"""
Commands: values that are sent down to devices, and the mailbox for those that are away.

A command is a row of the database before anything is sent: C{pending}. If its device can be reached
it is sent at once, otherwise when the device is next met, all in the order in which they were
given. Then its row becomes C{sent}; if the device does not come in time, C{expired}; if it could
never have received it, C{refused}.

B{At least once}: a command is handed to its link first, and its row is changed afterwards. If the
daemon is killed between these two, it sends the command again after its restart. C{sent} says that
the link took the bytes. None of the wire formats has a word by which a device could say more.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from msgspec import structs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from sensord.downlink import Downlink, Unsendable, number
from sensord.presence import Congested, Link, Presence
from sensord.settings import CommandSettings, span
from sensord.store import mailbox
from sensord.store.account import NotStored
from sensord.store.mailbox import MAX_TEXT, Delivery, State
from sensord.store.service import Store
from sensord.waiting import Waiting, over

#: Seconds until the database is written again when it could not be.
_RETRY = 10.0

#: What sends a command to each device that can be reached.
ALL = "all"

#: The longest time to live, in seconds: beyond it, a command never expires. The end of a longer one
#: might not fit the database.
_LONGEST = 1e11

#: Why a command has expired.
_LATE = "the device was not met in time"

#: What a method named C{list} cannot be annotated with.
Deliveries = list[Delivery]

Follower = Callable[[Delivery], object]


class Commands(Service):
    """
    Sends commands, and keeps those that cannot be sent yet.

    @param clock: for timers.
    @param store: keeps the rows.
    @param presence: knows by which links devices can be reached.
    @param downlink: knows what commands look like.
    """

    name = "commands"
    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        store: Store,
        presence: Presence,
        downlink: Downlink,
        settings: CommandSettings = CommandSettings(),  # noqa: B008 (frozen)
    ) -> None:
        self._clock = clock
        self._store = store
        self._presence = presence
        self._downlink = downlink
        self._ttl = _ttl(settings)
        self._followers: list[Follower] = []
        self._waiting = Waiting(clock, presence.now, self._late, settings.max_waiting)
        self._last: dict[str, dict[str, float]] = {}
        self._unsettled: Deliveries = []  # those whose rows could not be changed
        self._restored: set[tuple[int, int]] = set()  # what was found at the start: ids and times
        self._troubled = False
        self._retrying: IDelayedCall | None = None
        presence.greet(self._greet)

    def startService(self) -> None:
        """
        Take up what was waiting before. The store is open, and nothing else runs yet.

        @raise StoreError: if the database cannot be read.
        """
        with self._store.archive.open() as connection:
            waiting = mailbox.pending(connection)
            self._last = mailbox.last(connection, self._downlink.packed)
        super().startService()
        self._restored = {(each.id, each.time) for each in waiting}
        changed = []
        for delivery in waiting:
            if over(delivery, self._now()):
                changed.append(self._became(delivery, "expired", _LATE))
                continue
            try:
                self._encode(delivery)
            except Unsendable as error:  # the configuration is not what it was
                changed.append(self._became(delivery, "refused", str(error)))
            else:
                self._waiting.add(delivery)
        self._finish([*changed, *self._reach(self._waiting)])

    async def revise(self, downlink: Downlink, settings: CommandSettings) -> None:
        """
        Go on with other descriptions and settings. What waits and could never be sent by them is
        refused.

        @raise StoreError: if the database cannot be read; the rest is done then.
        """
        self._downlink, self._ttl = downlink, _ttl(settings)
        self._waiting.allow(settings.max_waiting)
        changed = []
        for delivery in self._waiting.all():
            try:
                self._encode(delivery)
            except Unsendable as error:
                self._waiting.remove(delivery)
                changed.append(self._became(delivery, "refused", str(error)))
        self._finish(changed)
        fresh = downlink.packed - self._last.keys()
        if fresh:
            last = await self._store.read(lambda connection: mailbox.last(connection, fresh))
            self._last = {**last, **self._last}

    def stopService(self) -> Deferred[None]:
        """
        Send nothing more; what is waiting stays in the database.

        @return: fires when all that was sent is written down, as far as the database can be
            written.
        """
        super().stopService()
        self._waiting.clear()
        if self._retrying is not None:
            self._retrying.cancel()
            self._retrying = None
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        with suppress(Exception):  # who has failed to write anything has said so
            await self._store.write(lambda connection: None)  # behind all that is being written
        unsettled, self._unsettled = self._unsettled, []
        await self._settle(unsettled)

    def send(
        self, address: str, variable: str | int, value: float, who: str = "program"
    ) -> Deferred[Delivery]:
        """
        Set a variable of a device.

        @param address: the address or the name of the device; C{all} is each one that has a link
            of its own now and can be sent this.
        @param variable: see L{Downlink.variable}.
        @param value: a finite number; truth values are 1 and 0.
        @param who: who wants it, for the table.
        @return: fires when the database has what became of it: C{sent}, C{pending} if the device
            is away or asleep, or C{refused}, which is no failure. It fails if the database cannot
            keep it (nothing was sent then): also with L{Unsendable} for what is no finite number
            and for a text that is longer than L{MAX_TEXT}, since no row has room for these.
        """
        # Who cancels the answer only waits no longer: a command is not to be left half done.
        answer: Deferred[Delivery] = Deferred()
        sent = Deferred.fromCoroutine(self._send(address, str(variable), value, who))
        sent.chainDeferred(answer)
        return answer

    def follow(self, callback: Follower) -> Callable[[], None]:
        """
        Be told of each command when it is new, and of each state that it comes to: after the
        commit.

        @return: call it to hear no more.
        """
        self._followers.append(callback)
        return lambda: self._followers.remove(callback)

    def list(self, limit: int = 100, address: str | None = None) -> Deferred[Deliveries]:
        """
        The commands that were given last, newest first.

        @param limit: how many at the most.
        @param address: the address or the name of a device; L{None} is all.
        @return: fires with them; fails with L{StoreError} if the database cannot be read.
        """
        if address is not None:
            with suppress(Unsendable):
                address = self._downlink.resolve(address)
        return self._store.read(lambda connection: mailbox.listed(connection, limit, address))

    async def _send(self, address: str, variable: str, value: float, who: str) -> Delivery:
        if not self.running:
            raise NotStored("commands are not taken before the start, nor after the stop")
        if not self._store.ready:
            raise NotStored("nothing can be stored just now")
        for text in address, variable, who:
            if len(text) > MAX_TEXT:
                raise Unsendable(f"{text[:20]!r}... is longer than {MAX_TEXT} characters")
        value, packed = number(value), self._downlink.packed
        drafts = self._drafts(address, variable, value, who)
        with self._waiting.expecting(each for each in drafts if each.state == "pending"):
            entered = await self._store.write(
                lambda connection: mailbox.enter(connection, drafts, packed)
            )
        # Nothing is awaited between the commit and the queue: what has its row first is first.
        changed = self._take([each for each in entered if each.state == "pending"])
        self._tell(entered)
        await self._settle(changed)
        fates = {each.id: each for each in changed}
        parts = [fates.get(each.id, each) for each in entered]
        if address == ALL and parts[0].address != ALL:
            return mailbox.together(parts, ALL, variable)
        return parts[0]

    def _drafts(self, address: str, variable: str, value: float, who: str) -> Sequence[Delivery]:
        """
        The rows that a command is to have.
        """
        now = self._now()
        draft = Delivery(0, now, who, address, variable, value, "refused", now)
        if address != ALL:
            return [self._check(draft)]
        present = self._presence.present()
        drafts = [self._check(structs.replace(draft, address=each)) for each in present]
        able = [each for each in drafts if each.state == "pending"]
        why = drafts[0].why if drafts else "no device is connected"
        return able or [structs.replace(draft, why=why)]

    def _check(self, draft: Delivery) -> Delivery:
        """
        A command, pending if it can be sent or can wait.
        """
        try:
            address = self._downlink.resolve(draft.address)
            draft = structs.replace(draft, address=address)
            variable = self._downlink.variable(address, draft.variable)
            draft = structs.replace(draft, variable=variable)
            self._encode(draft)
            waits = address in self._waiting or not self._reachable(address)
            if waits and (why := self._waiting.full(address)):
                raise Unsendable(why)
        except Unsendable as error:
            return structs.replace(draft, why=str(error))
        expires = None if self._ttl is None else draft.time + int(self._ttl * 1e6)
        return structs.replace(draft, state="pending", expires=expires)

    def _encode(self, delivery: Delivery) -> bytes:
        last = self._last.get(delivery.address, {})
        return self._downlink.encode(delivery.address, delivery.variable, delivery.value, last)

    def _reachable(self, address: str) -> bool:
        link = self._presence.link(address)
        return link is not None and not self._downlink.sleeps(address)

    def _greet(self, address: str) -> None:
        """
        A device was met: it listens, just now at least. Or a radio, with all nodes that never
        sleep. This is called with everything that devices do, and mostly there is nothing to do.
        """
        if address in self._waiting:
            self._finish(self._deliver(address))
        elif self._waiting and address.endswith("/*"):
            prefix = address.removesuffix("*")
            self._finish(self._reach([each for each in self._waiting if each.startswith(prefix)]))

    def _take(self, entered: Iterable[Delivery]) -> Deliveries:
        """
        These have their rows now: send them, or let them wait.

        @return: those that do not wait any more.
        """
        fresh = [
            each for each in entered if self.running and (each.id, each.time) not in self._restored
        ]
        for delivery in fresh:
            self._waiting.add(delivery)
        return self._reach(dict.fromkeys(delivery.address for delivery in fresh))

    def _reach(self, addresses: Iterable[str]) -> Deliveries:
        """
        Send what waits for those of some devices that can be reached at any time.

        @return: see L{_deliver}.
        """
        reachable = [address for address in addresses if self._reachable(address)]
        return [delivery for address in reachable for delivery in self._deliver(address)]

    def _deliver(self, address: str) -> Deliveries:
        """
        Send what waits for a device, as far as its link takes it.

        @return: those that do not wait any more; their rows have to be settled.
        """
        link = self._presence.link(address)
        changed: Deliveries = []
        while link is not None and (delivery := self._waiting.first(address)) is not None:
            fate = self._attempt(delivery, link)
            if fate is None:
                break
            self._waiting.remove(delivery)
            changed.append(fate)
        return changed

    def _attempt(self, delivery: Delivery, link: Link) -> Delivery | None:
        """
        Send one command.

        @return: what became of it; L{None} if it has to wait further.
        """
        try:
            data = self._encode(delivery)
        except Unsendable as error:
            return self._became(delivery, "refused", str(error))
        try:
            link.send(data)
        except Congested:
            return None  # until the link has room again, which it says by meeting the device
        except Exception:
            self._log.failure("{address} could not be sent a command", address=delivery.address)
            return None
        if delivery.address in self._downlink.packed:
            self._last.setdefault(delivery.address, {})[delivery.variable] = delivery.value
        return self._became(delivery, "sent")

    def _late(self, expired: Sequence[Delivery]) -> None:
        self._finish([self._became(each, "expired", _LATE) for each in expired])

    def _became(self, delivery: Delivery, state: State, why: str = "") -> Delivery:
        return structs.replace(delivery, state=state, changed=self._now(), why=why)

    def _finish(self, changed: Deliveries) -> None:
        if changed:
            Deferred.fromCoroutine(self._settle(changed)).addErrback(
                lambda failure: self._log.failure("while settling commands", failure)
            )

    async def _settle(self, changed: Deliveries) -> None:
        """
        Write down what became of commands, and tell it. If that cannot be done now, it is later.
        """
        if not changed:
            return
        try:
            await self._store.write(lambda connection: mailbox.settle(connection, changed))
        except Exception as error:
            self._unsettled += changed
            self._trouble(error)
        else:
            self._recovered()
            self._tell(changed)

    def _trouble(self, error: object) -> None:
        """
        The database could not be written: try again soon.
        """
        if not self._troubled:
            self._troubled = True
            self._log.error(
                "what became of commands cannot be written down ({error}); it is tried again",
                error=error,
            )
        if self.running and self._retrying is None:
            self._retrying = self._clock.callLater(_RETRY, self._retry)

    def _recovered(self) -> None:
        if self._troubled:
            self._troubled = False
            self._log.info("what became of commands is written down again")

    def _retry(self) -> None:
        self._retrying = None
        unsettled, self._unsettled = self._unsettled, []
        self._finish(unsettled)

    def _tell(self, changed: Sequence[Delivery]) -> None:
        for follower in tuple(self._followers):
            with self._log.failuresHandled("while telling a follower of commands"):
                for delivery in changed:
                    follower(delivery)

    def _now(self) -> int:
        return int(self._presence.now() * 1e6)


def _ttl(settings: CommandSettings) -> float | None:
    """
    How many seconds a command waits; L{None} is for ever.
    """
    ttl = span(settings.ttl)
    return ttl if ttl is not None and ttl < _LONGEST else None

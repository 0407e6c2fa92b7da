"""
What a sink is sent out of turn goes beside what is passed on anyway: over the same line, a batch of
the one and a batch of the other. It rests when that rests; but trouble with it holds up nothing
else.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from sensord.sinks import Misconfigured
from sensord.sinks.delivery import MOST, TROUBLE, delay
from sensord.store.service import Store

#: How many readings may wait for their commit while it is done. Beyond, live readings go first;
#: and the seconds until another look.
_BUSY, _YIELD = 5_000, 0.05


class Errand:
    """
    One kind of thing that is sent out of turn.

    @param name: the name of the sink.
    @param what: what to call it in the log.
    @param step: sends a batch; tells whether there is more.
    @param rhythm: how the passing on of what comes in is just now: C{flowing}, C{retrying},
        C{misconfigured}, C{paused} or C{held}.
    @param chance: a number from 0 to 1, a new one each time.
    @ivar failures: how often it has failed in succession.
    @ivar error: what went wrong last; empty if nothing has since it last succeeded.
    @ivar state: C{flowing}, C{retrying} or C{misconfigured}.
    @ivar hindrance: what it waits for, if it waits.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        what: str,
        clock: Any,
        store: Store,
        step: Callable[[], Awaitable[bool]],
        rhythm: Callable[[], str],
        chance: Callable[[], float],
    ) -> None:
        self.failures = 0
        self.error = self.hindrance = ""
        self.state = "flowing"
        self._name = name
        self._what = what
        self._clock = clock
        self._store = store
        self._step = step
        self._rhythm = rhythm
        self._chance = chance
        self._running = self._wanted = False
        self._sleeping: tuple[Deferred[None], IDelayedCall | None, bool] | None = None
        self._ran: Deferred[None] | None = None

    def start(self) -> None:
        """
        Begin; there may be something left of before.
        """
        self._running = self._wanted = True
        ran: Deferred[None] = Deferred()
        self._ran = ran
        running = Deferred.fromCoroutine(self._run())
        running.addErrback(lambda failure: self._log.failure("{name}", failure, name=self._name))
        running.addBoth(lambda _result: ran.callback(None))

    async def stop(self) -> None:
        """
        Finish the batch that is under way.
        """
        self._running = False
        self.wake(True)
        if self._ran is not None:
            await self._ran

    def ask(self) -> None:
        """
        There is something to do.
        """
        self._wanted = True
        self.wake(False)

    def wake(self, now: bool) -> None:
        """
        End the wait.

        @param now: also while the sink takes nothing.
        """
        if self._sleeping is None:
            return
        slept, timer, hindered = self._sleeping
        if hindered and not now:
            return
        self._sleeping = None
        if timer is not None and timer.active():
            timer.cancel()
        slept.callback(None)

    async def _run(self) -> None:
        while self._running:
            rhythm = self._rhythm()
            if not self._wanted:
                self.hindrance = ""
                await self._sleep(None)
            elif rhythm in ("paused", "held"):
                self.hindrance = f"the sink is {rhythm}"
                await self._sleep(None)
            elif self._store.pending > _BUSY:
                await self._sleep(_YIELD)
            elif rhythm == "flowing" or await self._patience():
                await self._attempt()

    async def _patience(self) -> bool:
        """
        Wait until the sink takes again what comes in. If nothing comes in any more, that would be
        for ever.

        @return: whether to make an attempt all the same.
        """
        if not self.error:
            self.hindrance = "the sink takes nothing just now"
        until = self._clock.seconds() + MOST
        await self._sleep(MOST, True)
        return self._running and self._clock.seconds() >= until

    async def _attempt(self) -> None:
        self._wanted = False
        try:
            more = await self._step()
        except CancelledError:
            self._wanted = True  # it is being stopped
        except Exception as error:
            self._wanted = True
            if not isinstance(error, TROUBLE) and not self.failures:
                self._log.failure("{name}", name=self._name)
            await self._sleep(self._fail(error), True)
        else:
            self._wanted = more or self._wanted
            if self.failures:
                self._log.info("{name}: {what} are passed on", name=self._name, what=self._what)
            self.failures, self.error, self.hindrance, self.state = 0, "", "", "flowing"

    def _fail(self, error: Exception) -> float:
        """
        Note that a batch was not taken.

        @return: the seconds to wait.
        """
        self.error = self.hindrance = str(error) or type(error).__name__
        if not self.failures:
            self._log.warn(
                "{name}: {what} cannot be passed on ({error}); it is tried again",
                name=self._name,
                what=self._what,
                error=self.error,
            )
        self.failures += 1
        self.state = "misconfigured" if isinstance(error, Misconfigured) else "retrying"
        return delay(self.failures, error, self._chance())

    def _sleep(self, seconds: float | None, hindered: bool = False) -> Deferred[None]:
        """
        Wait.

        @param seconds: how long; L{None} is until it is woken.
        @param hindered: whether it is since the sink takes nothing.
        """
        slept: Deferred[None] = Deferred()
        if not self._running:
            slept.callback(None)
            return slept
        timer = None if seconds is None else self._clock.callLater(seconds, self.wake, True)
        self._sleeping = slept, timer, hindered
        return slept

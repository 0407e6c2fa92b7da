"""
The emoncms that a gateway has its settings from: it is asked once a second and told that the
gateway runs, and what is new is put into effect on trial.
"""

from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPException
from typing import Any, Protocol
from urllib.error import HTTPError
from urllib.request import urlopen

from msgspec import Struct
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from sensord.config import ConfigError, Settings
from sensord.presence import Presence
from sensord.reloading import Origin
from sensord.sinks import Transient
from sensord.sinks.http import Client
from sensord.station.translation import Document, read, translate

#: Seconds between two questions, and the longest pause while there are no answers.
EVERY, _MOST = 1.0, 60.0

#: Seconds that an answer may take. At the start nothing else runs yet.
_PATIENCE = 10.0

#: What is asked: whether it is there, that it notes that we are, and what it has for us.
_TIME, _RUNNING, _SETTINGS = (
    "time/local.json",
    "raspberrypi/setrunning.json",
    "raspberrypi/get.json",
)


class Source(Origin):
    """
    The files of a configuration, and what an emoncms says beside them.

    @ivar url: of the emoncms.
    @ivar document: what it says; empty is nothing.
    """

    def __init__(self, reactor: Any, origin: Origin, url: str) -> None:
        super().__init__(reactor, origin.path, origin.fallback)
        self.url = url.rstrip("/")
        self.document: Document = {}

    def read(self) -> Settings:
        """
        See L{Origin.read}.
        """
        settings = super().read()
        return translate(settings, self.url, self.document) if self.document else settings

    def reach(self) -> None:
        """
        See whether it is there. This blocks.

        @raise ConfigError: if it is not.
        """
        try:
            with closing(urlopen(f"{self.url}/{_TIME}", timeout=_PATIENCE)) as answer:
                status = answer.status
        except HTTPError as error:
            with closing(error):
                status = error.code
        except (OSError, HTTPException, ValueError) as error:
            why = getattr(error, "reason", None) or error
            raise ConfigError([f"--config-emoncms: {self.url}: {why}"]) from error
        if status != 200:
            why = f"{_TIME} is answered with status {status}, and not 200"
            raise ConfigError([f"--config-emoncms: {self.url}: {why}"])


class Gateway(Protocol):
    """
    A gateway, as far as it matters here.
    """

    settings: Settings
    presence: Presence

    @property
    def listeners(self) -> Mapping[str, Any]:
        """
        The ways in, by name.
        """

    @property
    def sinks(self) -> Mapping[str, Any]:
        """
        The ways out, by name.
        """

    def reload(self, settings: Settings) -> Deferred[list[str]]:
        """
        Go on with other settings.
        """


class _Working(Struct, frozen=True):
    """
    What works of a gateway.

    @ivar up: whether any of its listeners is open.
    @ivar heard: whether any of its devices was heard lately.
    @ivar moving: whether any of its sinks takes what there is.
    """

    up: bool
    heard: bool
    moving: bool

    def lacks(self, before: "_Working") -> str:
        """
        What does not work any more; empty if all does that did.
        """
        if before.up and not self.up:
            return "no listener is up"
        if before.heard and not self.heard:
            return "no device was heard"
        return "no sink is moving" if before.moving and not self.moving else ""


class _Trial(Struct, frozen=True):
    """
    A change that has to prove itself.

    @ivar began: when it came into effect, in seconds since the epoch.
    @ivar before: what emoncms said before.
    @ivar worked: what worked then.
    """

    began: float
    before: Document
    worked: _Working


class Station(Service):
    """
    Has a gateway follow an emoncms.

    @param client: asks; for tests.
    """

    name = "emoncms"
    _log = Logger()

    def __init__(
        self, reactor: Any, gateway: Gateway, source: Source, client: Client | None = None
    ) -> None:
        self._clock = reactor
        self._gateway = gateway
        self._source = source
        self._client = client or Client(reactor, "no answer", patience=_PATIENCE, again=True)
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        self._looked: Deferred[None] | None = None
        self._latest: Document = {}
        self._trial: _Trial | None = None
        self._failures = 0
        self._next = 0.0

    def startService(self) -> None:
        """
        See whether it is there, which blocks, and begin to ask.

        @raise ConfigError: if it is not.
        """
        self._source.reach()
        super().startService()
        self._client.start()
        self._log.info("settings come from {url}", url=self._source.url)
        self._looking.start(EVERY).addErrback(
            lambda failure: self._log.failure(
                "{url} is asked no more", failure, url=self._source.url
            )
        )

    def stopService(self) -> Deferred[None]:
        """
        Ask no more.

        @return: fires when nothing is under way any more.
        """
        super().stopService()
        if self._looking.running:
            self._looking.stop()
        if self._looked is not None:
            self._looked.cancel()
        return self._client.stop()

    def _look(self) -> Deferred[None]:
        """
        One turn; the next one is not before its end.
        """
        self._looked = looked = Deferred.fromCoroutine(self._turn())
        looked.addErrback(self._ended)
        return looked

    def _ended(self, failure: Any) -> None:
        if self.running:
            self._log.failure("while following {url}", failure, url=self._source.url)

    async def _turn(self) -> None:
        if self._trial is not None and self._now() - self._trial.began >= self._confirm:
            await self._judge(self._trial)
        if self._clock.seconds() < self._next:
            return
        try:
            await self._ask(_RUNNING)
            document = read(await self._ask(_SETTINGS))
        except (Transient, ConfigError) as error:
            self._fail(error)
            return
        if self._failures:
            self._log.info("{url} answers again", url=self._source.url)
            self._failures = 0
        if document != self._latest:
            self._latest = document
            await self._try(document)

    async def _ask(self, path: str) -> bytes:
        """
        @raise Transient: if there is no good answer.
        """
        answer = await self._client.get(f"{self._source.url}/{path}", {})
        if answer.status != 200:
            raise Transient(f"{path} is answered with status {answer.status}")
        return answer.body

    def _fail(self, error: Exception) -> None:
        """
        There is no good answer: what there was stays, and it is asked less and less often.
        """
        if not self._failures:
            self._log.warn(
                "{url}: {error}; the settings stay as they are",
                url=self._source.url,
                error=error,
            )
        self._failures += 1
        self._next = self._clock.seconds() + min(EVERY * 2.0 ** min(self._failures, 10), _MOST)

    async def _try(self, document: Document) -> None:
        """
        Put something new into effect. What came before it, if that was still on trial, is what was
        before that.
        """
        before, worked = self._source.document, self._working(self._now() - self._confirm)
        if self._trial is not None:
            before, worked = self._trial.before, self._trial.worked
        if await self._apply(document):
            self._trial = _Trial(self._now(), before, worked) if self._confirm else None

    async def _judge(self, trial: _Trial) -> None:
        """
        The time is over in which a change had to prove itself.
        """
        self._trial = None
        why = self._working(trial.began).lacks(trial.worked)
        if not why:
            self._log.info("the settings of {url} are confirmed", url=self._source.url)
            return
        self._log.error(
            "the settings of {url} are taken back: {why} in {seconds:g} s",
            url=self._source.url,
            why=why,
            seconds=self._confirm,
        )
        await self._apply(trial.before)

    async def _apply(self, document: Document) -> bool:
        """
        Have the gateway go on with what emoncms says, whether by now or before.

        @return: whether it does.
        """
        old, self._source.document = self._source.document, document
        try:
            lines = await self._gateway.reload(self._source.load())
        except ConfigError as error:
            self._source.document = old
            for fault in error.faults:
                self._log.error("{url}: {fault}", url=self._source.url, fault=fault)
            self._log.error("the settings stay as they are, for the above")
            return False
        for line in lines:
            self._log.info("{url}: {line}", url=self._source.url, line=line)
        return True

    def _working(self, since: float) -> _Working:
        """
        What works just now.

        @param since: from when on a device counts as heard, in seconds since the epoch.
        """
        gateway = self._gateway
        return _Working(
            any(way.state == "open" for way in gateway.listeners.values()),
            any(record.heard >= since * 1e6 for record in gateway.presence),
            any(sink.state == "flowing" for sink in gateway.sinks.values()),
        )

    @property
    def _confirm(self) -> float:
        return self._gateway.settings.remote.confirm

    def _now(self) -> float:
        return self._gateway.presence.now()

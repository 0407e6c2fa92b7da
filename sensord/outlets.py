"""
The kinds of sinks, and their settings.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any

from msgspec import Meta, Struct

from sensord.brokers import BrokerSettings, topicFault
from sensord.settings import Count, Seconds, Secret, oneOf, span
from sensord.tables import meant

#: What an MQTT broker can be told of readings.
_FORMATS = ("value", "json", "emonhub")


class SinkSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    C{[[sinks]]}: one way out.

    @ivar name: what it is called in the log and in the ledger.
    @ivar kind: one of L{KINDS}.
    @ivar active: whether it sends; otherwise what comes is held for it.
    @ivar start: C{now}, or C{beginning} to pass on all that was stored before it was there.
    @ivar interval: seconds in which readings are gathered before they are passed on.
    @ivar max_backlog: how much may wait for it: readings, or a time such as C{30d}; what is beyond
        is given up, counted. C{forever} is all.
    """

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]+\Z", max_length=64)]
    kind: str
    active: bool = True
    start: str = "now"
    interval: Seconds = 1.0
    max_backlog: str | int = "forever"

    @staticmethod
    def choose(table: Mapping[str, Any]) -> "type[SinkSettings]":
        """
        The struct for a table, by what it calls its kind; if that is none, by what it may mean.
        """
        said = str(table.get("kind", ""))
        near = get_close_matches(said, KINDS, 1)
        return KINDS[said if said in KINDS else near[0]] if near else SinkSettings

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        for fault in oneOf("kind", self.kind, KINDS):
            yield fault + meant(self.kind, KINDS)
        yield from oneOf("start", self.start, ("now", "beginning"))
        try:
            self.limits()
        except ValueError as error:
            yield f"max_backlog: {error}"

    def limits(self) -> tuple[float | None, int | None]:
        """
        How old a backlog may be, in seconds, and how many readings it may have.

        @raise ValueError: if C{max_backlog} says neither.
        """
        if isinstance(self.max_backlog, int):
            if self.max_backlog < 1:
                raise ValueError(f"{self.max_backlog} is not enough for one reading")
            return None, self.max_backlog
        return span(self.max_backlog), None


class MqttSettings(SinkSettings, frozen=True):
    """
    C{kind = "mqtt"}. For those of the connection see L{BrokerSettings}.

    @ivar inflight: readings that may be on their way to the broker at a time.
    @ivar prefix: what the topics begin with.
    @ivar format: C{value}, C{json} or C{emonhub}.
    @ivar retain: whether the broker keeps the latest of each topic for those who ask later.
    @ivar discovery: what Home Assistant's discovery topics begin with, which is C{homeassistant}
        unless it was changed there; empty is no discovery.
    """

    broker: str = "tcp:localhost:1883"
    user: str = ""
    password: Secret = Secret()
    ca: str = ""
    cert: str = ""
    key: str = ""
    client_id: Annotated[str, Meta(max_length=200)] = ""
    keepalive: Annotated[int, Meta(ge=5, le=65535)] = 60
    version: str = "3.1.1"
    inflight: Count = 100
    prefix: str = "sensord"
    format: str = "value"
    retain: bool = False
    discovery: str = ""

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        yield from super().faults()
        yield from BrokerSettings.of(self).faults()
        yield from oneOf("format", self.format, _FORMATS)
        yield from topicFault("prefix", self.prefix)
        if self.discovery:
            yield from topicFault("discovery", self.discovery)
            if self.format == "emonhub":
                yield 'discovery: is for the formats "value" and "json"'


#: The settings of each kind.
KINDS: dict[str, type[SinkSettings]] = {"mqtt": MqttSettings}

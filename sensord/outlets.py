"""
The kinds of sinks, and their settings.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any
from urllib.parse import urlsplit

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


def misplaced(url: str) -> Iterable[str]:
    """
    What is wrong with the setting that says where a server is.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"[^!-~]", url):
        yield 'url: is no place of a server; write e.g. "http://localhost:8086"'
    elif parts.username is not None:
        yield "url: who asks stands in settings of its own, which are not shown"
    elif parts.query or parts.fragment:
        yield "url: ends with the path; what stands behind it is made of the other settings"


class InfluxSettings(SinkSettings, frozen=True):
    """
    C{kind = "influxdb"}.

    @ivar url: where it is, e.g. C{http://localhost:8086}.
    @ivar database: of 1.x, and of what is compatible with it.
    @ivar user: of 1.x; empty if nobody is asked.
    @ivar password: of the user.
    @ivar create: whether the database is created if it is missing.
    @ivar bucket: of 2.x, in place of a database.
    @ivar org: the organisation of 2.x.
    @ivar token: of 2.x.
    @ivar layout: C{measurement}: one for each name of readings, with the device as a tag; or
        C{device}: one for each device, with a field for each name.
    @ivar integers: whether integers stay integers. A series that has both does not go into one
        field.
    """

    url: Annotated[str, Meta(min_length=1)] = "http://localhost:8086"
    database: str = ""
    user: str = ""
    password: Secret = Secret()
    create: bool = False
    bucket: str = ""
    org: str = ""
    token: Secret = Secret()
    layout: str = "measurement"
    integers: bool = False

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        yield from super().faults()
        yield from oneOf("layout", self.layout, ("measurement", "device"))
        yield from misplaced(self.url)
        if self.bucket and self.database:
            yield "bucket: is of InfluxDB 2, and database of 1; only one can be meant"
        elif self.bucket:
            if not self.org:
                yield "org: is missing; a bucket belongs to an organisation"
            of1 = ("user", self.user), ("password", self.password), ("create", self.create)
            yield from _astray("database", *of1)
        else:
            if not self.database:
                yield "database: is missing; for InfluxDB 2 it is bucket, org and token"
            yield from _astray("bucket", ("org", self.org), ("token", self.token))
        if ":" in self.user:
            yield f'user: "{self.user}" has a colon, which ends the name when it is sent'
        if self.password and not self.user:
            yield "password: is there without a user"


class EmoncmsSettings(SinkSettings, frozen=True):
    """
    C{kind = "emoncms"}.

    @ivar url: where it is, e.g. C{https://emoncms.org} or C{http://emonpi/emoncms}.
    @ivar apikey: the one for writing.
    @ivar compress: whether what is sent is packed. Old servers do not understand that.
    @ivar single: whether one row is sent at a time, as still older ones need it.
    @ivar timeout: seconds that an answer may take.
    """

    url: Annotated[str, Meta(min_length=1)] = "https://emoncms.org"
    apikey: Secret = Secret()
    compress: bool = False
    single: bool = False
    timeout: Annotated[float, Meta(gt=0, le=3600)] = 60.0

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        yield from super().faults()
        yield from misplaced(self.url)
        key = self.apikey.text
        if not key:
            yield "apikey: is missing"
        elif len(key) != 32:
            yield f"apikey: has {len(key)} characters, and not 32"
        elif not (key.isascii() and key.isalnum()):
            yield "apikey: is made of letters and digits"
        if self.compress and self.single:
            yield "compress: goes with many rows at a time, and not with single"


class CsvSettings(SinkSettings, frozen=True):
    """
    C{kind = "csv"}.

    @ivar folder: where the files are; relative to the folder of the configuration file. It is made
        if it is not there.
    @ivar layout: C{iot}, a row per message; or C{tidy}, a row per reading.
    """

    folder: Annotated[str, Meta(min_length=1)] = "Data"
    layout: str = "iot"

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        yield from super().faults()
        yield from oneOf("layout", self.layout, ("iot", "tidy"))


#: The settings of each kind.
KINDS: dict[str, type[SinkSettings]] = {
    "influxdb": InfluxSettings,
    "emoncms": EmoncmsSettings,
    "csv": CsvSettings,
    "mqtt": MqttSettings,
}


def choose(table: Mapping[str, Any]) -> type[SinkSettings]:
    """
    The struct for the table of a sink, by what it calls its kind; if that is none, by what it may
    mean.
    """
    said = str(table.get("kind", ""))
    near = get_close_matches(said, KINDS, 1)
    return KINDS[said if said in KINDS else near[0]] if near else SinkSettings


def _astray(home: str, *given: tuple[str, object]) -> Iterable[str]:
    """
    The settings that are there without the one that they belong to.
    """
    for key, value in given:
        if value:
            yield f"{key}: goes with {home}"

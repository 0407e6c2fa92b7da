"""
C{emonhub.conf}: C{[hub]}, C{[interfacers]} (before that C{[listeners]} and C{[reporters]} or
C{[dispatchers]}), each with a C{Type}, and C{[nodes]}.
"""

from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct

from sensord.convert.draft import Draft
from sensord.convert.hints import LOGGING
from sensord.convert.ini import Tree
from sensord.convert.inputs import Feed, Part, radio, serial, socket, subscriber
from sensord.convert.keys import Keys
from sensord.convert.nodes import describe
from sensord.convert.oemgateway import run
from sensord.convert.outputs import emoncms, influx, mqtt
from sensord.convert.report import Report

#: What it is called.
TITLE = "emonHub"

#: Where interfacers stand, and those that were before them.
_INTERFACERS = ("interfacers", "listeners", "reporters", "dispatchers")

#: What brings nodes with numbers.
_FEEDS = {
    "emonhubjeeinterfacer": radio,
    "emonhubrfm2pilistener": radio,
    "emonhubrfm2pilistenerrepeater": radio,
    "emonhubserialinterfacer": serial,
    "emonhubseriallistener": serial,
    "emonhubsocketinterfacer": socket,
    "emonhubsocketlistener": socket,
}

#: What is listened to otherwise. The first is how emonHub spells it.
_SUBSCRIBERS = {
    "emonhubmqttsubsciberinterfacer": subscriber,
    "emonhubmqttsubscriberinterfacer": subscriber,
}

_SINKS = {
    "emonhubemoncmshttpinterfacer": emoncms,
    "emonhubemoncmsreporter": emoncms,
    "emonhubemoncmsdispatcher": emoncms,
    "emonhubmqttinterfacer": mqtt,
    "emonhubinfluxinterfacer": influx,
}

_MAKERS: dict[str, Callable[[Part], object]] = {**_FEEDS, **_SUBSCRIBERS, **_SINKS}

#: The types that were there before there were interfacers.
_OLD = ("listener", "listenerrepeater", "reporter", "dispatcher")


class Channels(Struct):
    """
    What was passed on from where to where.

    @ivar given: the channels that something published to.
    @ivar taken: those that it had subscribed to.
    """

    part: Part
    given: Sequence[str]
    taken: Sequence[str]


def marks(tree: Tree) -> int:
    """
    How much of a file looks like one of these.
    """
    names = {name.lower() for name in tree}
    known = {"hub", "interfacers", "reporters", "dispatchers", "nodes"}
    return 2 * len(names & known) + ("emonhub" in str(tree).lower())


def convert(keys: Keys, report: Report, draft: Draft) -> None:
    """
    Convert a file.
    """
    _hub(keys.section("hub"))
    channels = []
    for name in _INTERFACERS:
        section = keys.section(name)
        for inner, settings in section.sections():
            channels.append(_channels(inner, settings, draft, report))
        section.rest("is no interfacer")
    feeds: list[Feed] = []
    sources: list[Channels] = []
    sinks: list[Channels] = []
    # What is heard from a broker must not be what is said there, so sinks come first.
    for one in sorted(channels, key=lambda one: one.part.type.lower() not in _SINKS):
        heard, told = len(draft.listeners), len(draft.sinks)
        made = run(one.part, _MAKERS)
        if isinstance(made, Feed):
            feeds.append(made)
        if len(draft.listeners) > heard:
            sources.append(one)
        if len(draft.sinks) > told:
            sinks.append(one)
    describe(keys.section("nodes"), feeds, draft, report)
    _routes(sources, sinks, report)
    _downward(channels, report)
    keys.rest("sensord knows no such section")


def _hub(hub: Keys) -> None:
    hub.drop("loglevel", *LOGGING)
    if hub.flag("use_syslog", default=False):
        hub.lose("use_syslog", "yes", "is not a setting of sensord", "twistd --syslog sensord ...")
    if hub.flag("autoconf", default=False):
        hub.lose(
            "autoconf",
            "1",
            "sensord does not guess what a node is by its number",
            "a [[devices]] table for each; what comes of others is read as signed 16-bit numbers,"
            " or waits in quarantine if it cannot be",
        )
    hub.rest("sensord knows no such setting")


def _channels(name: str, section: Keys, draft: Draft, report: Report) -> Channels:
    """
    An interfacer, and the channels that it uses.
    """
    type = section.text("type")
    init = section.section("init_settings")
    settings = section.section("runtimesettings")
    old = type.lower().endswith(_OLD)
    part = Part(name, type, section, init, settings, draft, report, old)
    return Channels(
        part,
        [one for one in settings.listed("pubchannels") if one],
        [one for one in settings.listed("subchannels") if one],
    )


def _routes(sources: Sequence[Channels], sinks: Sequence[Channels], report: Report) -> None:
    """
    Say where something is passed on now that was not before.
    """
    if not any(one.given or one.taken for one in (*sources, *sinks)):
        return  # it is of the time before channels
    for source in sources:
        if not source.given:
            report.change(
                source.part.place,
                "it had no pubchannels, and so nothing was read from it; now it is",
            )
    for sink in sinks:
        reaches = partial(_meet, sink)
        missed = [source.part.name for source in sources if not reaches(source)]
        if missed:
            report.change(
                sink.part.place,
                f"sinks get everything: this one now also what comes by {', '.join(missed)},"
                " which was not on its subchannels",
            )


def _meet(sink: Channels, source: Channels) -> bool:
    return bool(set(source.given) & set(sink.taken))


def _downward(channels: Sequence[Channels], report: Report) -> None:
    """
    Say what was sent to nodes, from where.
    """
    radios = [one for one in channels if _FEEDS.get(one.part.type.lower()) is radio]
    for one in channels:
        heard = [radio.part.name for radio in radios if set(one.given) & set(radio.taken)]
        if one.part.type.lower() == "emonhubmqttinterfacer" and heard:
            report.lose(
                one.part.place,
                [("pubchannels", ", ".join(one.given))],
                f"what is said at emonhub/tx/<node>/values is no longer sent by {heard[0]}",
                '"sensord send ADDRESS VARIABLE VALUE", or the API, to nodes whose [[devices]]'
                " table has transmit",
            )

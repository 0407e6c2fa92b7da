"""
The notations in the settings of listeners: networks, keys, ids, and the texts of commands.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from string import Formatter

from sensord.settings import DeviceSettings, Secret, twice
from sensord.wire import topics

Network = IPv4Network | IPv6Network

#: What a command's text may be made of.
PARTS = ("id", "variable", "value")


def network(text: str) -> Network:
    """
    The network that is written in CIDR form.

    @raise ValueError: if none is.
    """
    return ip_network(text, strict=False)


def keyFaults(key: Secret) -> Iterable[str]:
    """
    What is wrong with the key of lines.
    """
    if key and len(key.text) != 32:
        yield f"key: has {len(key.text)} characters, and not 32"
    elif not key.text.isalnum() and key:
        yield "key: is made of letters and digits"


def numberFaults(id: str) -> Iterable[str]:
    """
    A fault if an id is no number as texts have it.
    """
    if not (id.isascii() and id.isdecimal() and str(int(id)) == id and int(id) < 2**31):
        yield f'address: "{id}" is no number of a device'


def placeFaults(device: DeviceSettings) -> Iterable[str]:
    """
    What is wrong with a description whose fields are places in a line.
    """
    for value in device.values:
        if value.field and not re.fullmatch("[1-9][0-9]*", value.field):
            yield f'[[values]] "{value.name}" field: "{value.field}" is no place, from 1 on'
    places = [value.field or str(place) for place, value in enumerate(device.values, 1)]
    for place in twice(places):
        yield f"values: place {place} is described twice"


def templateFaults(text: str) -> Iterable[str]:
    """
    What is wrong with the text of a command.
    """
    try:
        parts = {part for _text, part, _spec, _conversion in Formatter().parse(text) if part}
        text.format_map(dict.fromkeys(PARTS, 1))
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        example = '"{variable},{value}"'
        yield f'command: "{text}" cannot be filled in ({error!r}); write e.g. {example}'
        return
    if text and "value" not in parts:
        yield f'command: "{text}" has no {{value}} in it'


def subscriptionFaults(text: str, downward: str, registry: str, named: bool) -> Iterable[str]:
    """
    What is wrong with the pattern at which devices say something, and with what goes by it.

    @param downward: where they are told something; empty if nowhere.
    @param registry: the file of those that are registered; empty if all are heard.
    @param named: whether a level can be the name of what was measured.
    """
    try:
        pattern = topics.Pattern(text)
    except ValueError as error:
        yield f"topic: {error}"
        return
    if not named and f"{{{topics.NAME}}}" in text.split("/"):
        yield "topic: such payloads name their values themselves; {name} is for others"
    yield from _downwardFaults(downward, pattern)
    if registry and len(pattern.fields) > 1:
        yield "registry: is for topics with one level that tells devices apart"
    if registry and not pattern.stem:
        yield "registry: is for topics that begin with a fixed level"
    elif registry and pattern.match(f"{pattern.stem}register_cmd") is not None:
        yield "registry: its requests would be messages of devices; end the topic with /data, say"


def _downwardFaults(text: str, pattern: topics.Pattern) -> Iterable[str]:
    """
    What is wrong with the topic at which devices are told something.
    """
    if not text:
        return
    known = (*pattern.fields, topics.VARIABLE)
    try:
        parts = list(Formatter().parse(text))
        filled = text.format_map(dict.fromkeys(known, "x"))
    except (ValueError, LookupError, AttributeError, TypeError):
        parts, filled = [("", "?", "", "")], ""
    names = [name for _text, name, _spec, _conversion in parts if name is not None]
    if set(names) - set(known) or any(spec or conversion for _t, _n, spec, conversion in parts):
        braces = ", ".join(f"{{{name}}}" for name in known)
        yield f'command_topic: "{text}" cannot be filled in; there are {braces}'
    elif re.search("[+#\x00-\x1f\x7f-\x9f]", filled) or filled.startswith("$"):
        yield f'command_topic: "{text}" is nothing that devices could be told anything at'
    elif not set(names) - {topics.VARIABLE}:
        yield f'command_topic: "{text}" is the same for all devices'
    elif pattern.match(filled) is not None:
        yield f'command_topic: "{text}" is where devices say something themselves'

"""
The notations in the settings of listeners: networks, keys, ids, and the texts of commands.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from string import Formatter

from sensord.settings import DeviceSettings, Secret, twice

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


def topicFaults(text: str, known: Iterable[str]) -> Iterable[str]:
    """
    What is wrong with the topic at which devices are told something.

    @param known: what may stand in braces.
    """
    known = tuple(known)
    try:
        parts = [part for _text, part, _spec, _conversion in Formatter().parse(text) if part]
        filled = text.format_map(dict.fromkeys(known, "x"))
    except (ValueError, LookupError, AttributeError, TypeError):
        braces = ", ".join(f"{{{name}}}" for name in known)
        yield f'command_topic: "{text}" cannot be filled in; there are {braces}'
        return
    if text and re.search("[+#\x00-\x1f\x7f-\x9f]", filled):
        yield f'command_topic: "{text}" is nothing that devices could be told anything at'
    elif text and not set(parts) - {"variable"}:
        yield f'command_topic: "{text}" is the same for all devices'

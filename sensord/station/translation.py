"""
What an emoncms says of its gateway, as settings.

It has one object of JSON, whose members are texts::

    apikey            of the emoncms itself, for writing
    sgroup            the network of the radio nodes, e.g. 210
    frequency         4, 8 or 9: 433, 868 or 915 MHz
    baseid            the node that the radio itself is
    sendtimeinterval  seconds between two broadcasts of the time; 0 is never
    remoteprotocol    e.g. "http://"; with the next two, the URL of another emoncms
    remotedomain      e.g. "emoncms.org"
    remotepath        e.g. "/emoncms"; mostly empty
    remoteapikey      of that one
    remotesend        whether it is sent anything: 1, 0, true, false; empty is false

What is missing or empty is left as it is without. Anything else is of no concern here.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import MsgspecError, convert, json, structs, to_builtins

from sensord.config import DEFAULTS, ConfigError, Settings
from sensord.outlets import EmoncmsSettings
from sensord.settings import Secret
from sensord.tables import build
from sensord.text import plain
from sensord.wires import RadioSettings

#: The radio that the original talked to, of which the configuration file may say otherwise.
RADIO = RadioSettings("radio", "rfm2pi", "/dev/ttyAMA0", baud=9600)

#: What holds without a configuration file: a radio, and nothing else that listens to devices.
ALONE = structs.replace(DEFAULTS, listeners=(RADIO,), devices=())

#: What the sinks are called.
LOCAL, REMOTE = "emoncms", "emoncms-remote"

_NUMBERS = {"sgroup": "group", "baseid": "base_id", "sendtimeinterval": "time_interval"}

#: All members that matter.
_MEMBERS = (
    *("apikey", "frequency", *_NUMBERS),
    *("remoteprotocol", "remotedomain", "remotepath", "remoteapikey", "remotesend"),
)

_FREQUENCIES = {"4": 433, "8": 868, "9": 915}

_SENDS = {"1": True, "true": True, "0": False, "false": False, "": False}

#: The longest text in the answer. Without a limit, a page that is something else would fill the
#: log.
_LONGEST = 500

Document = Mapping[str, str]


def read(data: bytes) -> Document:
    """
    The members that matter of what an emoncms has answered.

    @raise ConfigError: if that is no such object.
    """
    try:
        found = json.decode(data, type=dict[str, str | int | float | bool | None])
    except (MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError([f"the answer is no object of texts: {error}"]) from error
    texts = {name: _text(found[name]) for name in _MEMBERS if name in found}
    if long := [name for name, text in texts.items() if len(text) > _LONGEST]:
        raise ConfigError([f"{name}: is longer than {_LONGEST} characters" for name in long])
    if not texts:
        raise ConfigError(["the answer has none of the settings of a gateway"])
    return texts


def translate(settings: Settings, url: str, document: Document) -> Settings:
    """
    The same settings with what an emoncms says.

    @param url: where that is.
    @raise ConfigError: with everything in it that makes no sense.
    """
    faults: list[str] = []
    radios = [one for one in settings.listeners if isinstance(one, RadioSettings)]
    radio = _radio(radios[0] if radios else RADIO, document, faults)
    local = {"url": url, "apikey": document.get("apikey", "")}
    remote = {
        "url": "".join(
            document.get(f"remote{part}", "") for part in ("protocol", "domain", "path")
        ),
        "apikey": document.get("remoteapikey", ""),
    }
    sends = _SENDS.get(document.get("remotesend", "").lower())
    if sends is None:
        faults.append("remotesend: is none of 1, 0, true, false")
    elif sends and not all(remote.values()):
        faults.append("remotesend: there is no remotedomain or remoteapikey to send to")
    before = {one.name: one for one in settings.sinks}
    for name, said, active in ((LOCAL, local, True), (REMOTE, remote, bool(sends))):
        old = before.pop(name, None)
        if all(said.values()):
            table = {"name": name, "kind": "emoncms", **said, "active": active}
            made = build(_over(old, table), EmoncmsSettings, faults, name, _secret)
            if made is not None:
                before[name] = made
    if faults or radio is None:
        raise ConfigError(faults)
    others = (one for one in settings.listeners if one.name != radio.name)
    whole = structs.replace(settings, listeners=(radio, *others), sinks=tuple(before.values()))
    if found := [*whole.faults()]:
        raise ConfigError(found)
    return whole


def _radio(radio: RadioSettings, document: Document, faults: list[str]) -> RadioSettings | None:
    """
    A radio with what is said of it.
    """
    said: dict[str, Any] = {}
    for name, key in _NUMBERS.items():
        if text := document.get(name, ""):
            try:
                said[key] = convert(text, int, strict=False)
            except MsgspecError:
                faults.append(f'{name}: "{plain(text[:20])}" is no whole number')
    if text := document.get("frequency", ""):
        if text in _FREQUENCIES:
            said["frequency"] = _FREQUENCIES[text]
        else:
            faults.append(f'frequency: "{plain(text[:20])}" is none of {", ".join(_FREQUENCIES)}')
    return build(_over(radio, said), RadioSettings, faults, radio.name)


def _over(old: Any, said: Mapping[str, Any]) -> dict[str, Any]:
    """
    The table of what there was, if it is of the same kind, with what is said of it.
    """
    if old is None or said.get("kind", getattr(old, "kind", None)) != getattr(old, "kind", None):
        return dict(said)
    table = to_builtins(old, enc_hook=lambda secret: secret.text)
    return {**table, **said}


def _secret(kind: type, value: object) -> object:
    if kind is Secret:
        return Secret(str(value))
    raise NotImplementedError(kind)


def _text(value: str | int | float | bool | None) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return "" if value is None else str(value).strip()

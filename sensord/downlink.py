"""
What a command looks like on each wire, and who can be sent one at all. Nothing is sent from here.
"""

import re
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Literal, Never, cast

from sensord.config import Settings
from sensord.listeners import ListenerSettings
from sensord.settings import DeviceSettings
from sensord.tables import meant
from sensord.wire import messages, packing, payloads, rfm2pi, topics
from sensord.wires import (
    FrameSettings,
    LineSettings,
    MessageSettings,
    RadioSettings,
    SerialSettings,
    SubscriberSettings,
)

#: The whole numbers that are written without a point or an exponent: floats hold all of them.
_WHOLE = 2**53

#: The most digits of a variable's number. A longer text would be a number that no device has, and
#: one of many thousand digits would raise.
_DIGITS = len(str(messages.MAX_ID))

#: What the text of a command is made from.
Templated = FrameSettings | LineSettings | SerialSettings


class Unsendable(ValueError):
    """
    A command that cannot reach its device, now or ever: one line says why.
    """


class Downlink:
    """
    Makes the bytes of commands.

    @ivar packed: the addresses of the nodes whose frames hold all of their variables at once, so
        that the values that they were sent last have to be known.
    """

    def __init__(self, settings: Settings) -> None:
        self._listeners = {listener.name: listener for listener in settings.listeners}
        self._devices = {device.address: device for device in settings.devices}
        self._addresses = {device.name: device.address for device in settings.devices}
        self._addresses.pop("", None)
        self.packed = frozenset(device.address for device in settings.devices if device.transmit)

    def resolve(self, text: str) -> str:
        """
        The address that is meant by the name or by the address of a device.

        @raise Unsendable: if it is neither.
        """
        if text in self._addresses:
            return self._addresses[text]
        if not text.isprintable():
            raise Unsendable(f"{text!r} is no address of a device")
        listener, id = self._locate(text)
        if not id or id == "*":
            raise Unsendable(f'"{text}" is no address of a device')
        for fault in listener.clashes(id, DeviceSettings(text)):
            key, _colon, why = fault.partition(": ")
            if key == "address":
                raise Unsendable(why)
        return text

    def sleeps(self, address: str) -> bool:
        """
        Whether a device listens only right after it has sent something.
        """
        return address in self._devices and self._devices[address].sleeps

    def variable(self, address: str, variable: str | int) -> str:
        """
        What a variable is properly called.

        @param variable: its name, in any case where the device's variables have names; for
            WebSocket devices also its number, which it keeps.
        @raise Unsendable: if the device has no such variable, or none at all.
        """
        listener, _id = self._locate(address)
        text = str(variable)
        match listener:
            case MessageSettings():
                return _match(text, listener.variables) or str(_number(address, text, listener))
            case RadioSettings():
                names = [part.name for part in self._described(address).transmit]
                if not names:
                    raise Unsendable(f"what {address} receives is not described: transmit")
                return _match(text, names) or _unknown(address, text, names)
            case SubscriberSettings():
                if not listener.downward:
                    raise Unsendable(
                        f'the listener "{listener.name}" has no setting "command_topic"'
                    )
                if not text or not text.isprintable():
                    raise Unsendable(f"{text!r} cannot be the name of a variable")
                if "{variable}" in listener.downward and re.search("[/+#]", text):
                    raise Unsendable(f"{text!r} cannot be a level of a topic")
                return text
            case FrameSettings() | LineSettings() | SerialSettings():
                if not listener.command:
                    raise Unsendable(f'the listener "{listener.name}" has no setting "command"')
                if not text or not text.isprintable():
                    # With a line end in it, it would be two commands.
                    raise Unsendable(f"{text!r} cannot be the name of a variable")
                return text
        raise Unsendable(f"{address} does not listen: {listener.wire} devices send and go to sleep")

    def encode(
        self, address: str, variable: str | int, value: float, last: Mapping[str, float]
    ) -> bytes:
        """
        What to give to the link of a device.

        @param variable: see L{variable}.
        @param last: the values of its variables that it was sent last, by their proper names.
        @raise Unsendable: if the device could not receive or understand it.
        """
        name, real = self.variable(address, variable), number(value)
        listener, id = self._locate(address)
        try:
            if isinstance(listener, MessageSettings):
                return messages.command(_number(address, name, listener), real).encode()
            if isinstance(listener, RadioSettings):
                data = self._frame(address, name, real, last)
                form = cast(Literal["emonhub", "direct"], listener.transmit)
                return rfm2pi.transmit(data, int(id), form)
            if isinstance(listener, SubscriberSettings):
                return _publication(listener, id, name, real)
            assert isinstance(listener, Templated)
            return _fill(listener.command, id, name, real)
        except Unsendable:
            raise
        except ValueError as error:
            raise Unsendable(f"{name}: {error}") from error

    def _locate(self, address: str) -> tuple[ListenerSettings, str]:
        """
        The listener of an address, and the id that the device has there.
        """
        name, slash, id = address.partition("/")
        if not slash:
            raise Unsendable(f'there is no device "{address}"{meant(address, self._addresses)}')
        if name not in self._listeners:
            raise Unsendable(f'there is no listener "{name}"{meant(name, self._listeners)}')
        return self._listeners[name], id

    def _described(self, address: str) -> DeviceSettings:
        return self._devices.get(address) or DeviceSettings(address)

    def _frame(self, address: str, name: str, value: float, last: Mapping[str, float]) -> bytes:
        """
        The bytes that a radio node receives: all of its variables, of which one is new.
        """
        device = self._described(address)
        types = [part.type or "h" for part in device.transmit]
        raws: list[packing.Number] = []
        for part, code in zip(device.transmit, types, strict=True):
            raw = packing.unscaler(code, part.scale, part.offset)
            if part.name == name:
                raws.append(raw(value))
                continue
            try:
                raws.append(raw(last[part.name]))
            except (LookupError, ValueError):
                # It never was sent, or it was by another description. Zero fits every type, and is
                # what a node that has just started has.
                raws.append(0)
        data = packing.pack(types, raws)
        return packing.whiten(data) if device.whitening else data


def _publication(listener: SubscriberSettings, id: str, variable: str, value: float) -> bytes:
    """
    What a device is told by a broker, and where.
    """
    parts = topics.Pattern(listener.topic).parts(id)
    if parts is None:
        raise Unsendable(f"{id} is no device of {listener.topic}")
    topic = listener.downward.format_map({**parts, topics.VARIABLE: variable})
    if listener.command:
        payload = _fill(listener.command, id, variable, value)
    else:
        payload = payloads.command(variable, value)
    return topics.encode(topics.Message(topic, payload))


def number(value: object) -> float:
    """
    A value as all commands have it; truth values are 1 and 0.

    @raise Unsendable: if it is no finite number.
    """
    if not isinstance(value, int | float):
        raise Unsendable(f"{value!r} is no number")
    try:
        real = float(value)
    except OverflowError:
        raise Unsendable("the value is too large") from None
    if not isfinite(real):
        raise Unsendable(f"{real} is not finite")
    return real


def _number(address: str, text: str, listener: MessageSettings) -> int:
    """
    The number of a variable of a WebSocket device, given its name or its number.
    """
    name = _match(text, listener.variables)
    if name is not None:
        return listener.variables.index(name) + 1
    if text.isascii() and text.isdecimal() and len(text) <= _DIGITS:
        if 1 <= int(text) <= messages.MAX_ID:
            return int(text)
        raise Unsendable(f"variable {text} is not in 1..{messages.MAX_ID}")
    return _unknown(address, text, listener.variables)


def _match(text: str, names: Iterable[str]) -> str | None:
    """
    The one of some names that is meant: as it is written, else in another case.
    """
    names = list(names)
    if text in names:
        return text
    return next((name for name in names if name.casefold() == text.casefold()), None)


def _unknown(address: str, text: str, names: Iterable[str]) -> Never:
    raise Unsendable(f'{address} has no variable "{text}"{meant(text, names)}')


def _fill(template: str, id: str, variable: str, value: float) -> bytes:
    """
    A text that is made of a template.
    """
    whole = value.is_integer() and abs(value) <= _WHOLE
    parts = {
        "id": _plain(id),
        "variable": _plain(variable),
        "value": int(value) if whole else value,
    }
    try:
        return template.format_map(parts).encode()
    except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
        raise Unsendable(f'the text "{template}" cannot be filled in: {error}') from error


def _plain(text: str) -> str | int:
    """
    A text as a number, where that is written the same: C{{id:03d}} is possible with it.
    """
    if text.isascii() and text.isdecimal() and len(text) <= _DIGITS and str(int(text)) == text:
        return int(text)
    return text

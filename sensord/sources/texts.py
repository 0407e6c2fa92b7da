"""
What devices say in text: the lines of TCP and serial ports, the messages of WebSockets.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from sensord.listeners import ListenerSettings
from sensord.presence import Presence, Record
from sensord.reading import Arrivals, Clock, Intake, Reading, Rejected
from sensord.settings import DeviceSettings, ValueSettings
from sensord.sources import byField, byPlace, clean, counted, named, reachable
from sensord.wire import Skipped, lines, messages, packing
from sensord.wire.numbers import written
from sensord.wires import LineSettings, MessageSettings, SerialSettings

#: How many series without a description one listener can begin. Without a limit, a peer that makes
#: up ids, or sends lines of thousands of values, would fill the memory and the database with them:
#: each has a row that is looked at at every start, and in every answer about the latest values.
MAX_SERIES = 20_000

#: What the values of a line are called. No line is long enough for more: each value takes a digit
#: and a blank.
_PLACES = tuple(str(place) for place in range(1, lines.MAX_LINE // 2 + 1))

#: The longest reason that a device is told, in bytes: primitive clients of WebSockets take no more.
_MAX_WHY = messages.MAX_COMMAND - len("error,")

#: The longest number that is acknowledged as it was written, for the same reason.
_MAX_NUMBER = messages.MAX_COMMAND - len("ack,")

_ARRIVAL, _DEVICE = Clock.ARRIVAL, Clock.DEVICE


class LineSource:
    """
    Decodes lines. The device is the node that a line names, whoever brings it. With C{ack}, the
    answer to a line is C{ok}, or C{error} and why something in it was not taken.
    """

    oddities = 0

    def __init__(
        self,
        listener: LineSettings | SerialSettings,
        devices: Mapping[str, DeviceSettings],
        arrivals: Arrivals,
        presence: Presence,
    ) -> None:
        self._ack = isinstance(listener, LineSettings) and listener.ack
        self._ok = b"ok\r\n" if self._ack else b""
        self._arrivals = arrivals
        self._nodes = _Nodes(listener, devices, presence, _PLACES, byPlace)

    def decode(self, host: str, events: Sequence[lines.Line | Skipped]) -> Intake:
        """
        See L{Source.decode}.
        """
        # This is the hot path: nearly all are lines whose values stay as they are.
        taken = []
        for event in events:
            if (
                isinstance(event, Skipped)
                or (node := self._nodes[event.node]).scalers
                or len(event.values) > node.width
            ):
                return self._sift(events)
            taken.append((node, event))
        arrival = self._arrivals.take(len(taken))
        readings: list[Reading] = []
        for node, line in taken:
            node.record.hear(arrival)
            time, clock = (arrival, _ARRIVAL) if line.time is None else (line.time, _DEVICE)
            device = node.device
            readings += [
                Reading(device, name, value, time, clock)
                # To say that it is not strict would take as long as half a reading.
                for name, value in zip(node.names, line.values)  # noqa: B905
            ]
            arrival += 1
        devices = reachable([node.addresses for node, _line in taken])
        return Intake(readings, self._ok * len(taken), (), (), devices)

    def _sift(self, events: Sequence[lines.Line | Skipped]) -> Intake:
        """
        Decode lines one by one.
        """
        readings: list[Reading] = []
        rejected: list[Rejected] = []
        answers: list[bytes] = []
        heard: list[tuple[str, ...]] = []
        for event in events:
            good: Sequence[Reading] = ()
            if isinstance(event, Skipped):
                bad: Sequence[Rejected] = [Rejected(event.data, event.why)]
            elif not self._nodes.admit(node := self._nodes[event.node], len(event.values)):
                bad = [node.surplus(event.values)]
            else:
                heard.append(node.addresses)
                arrival = self._arrivals.take()
                node.record.hear(arrival)
                if event.time is None:
                    good, bad = node.read(event.values, arrival, _ARRIVAL)
                else:
                    good, bad = node.read(event.values, event.time, _DEVICE)
            readings += good
            rejected += bad
            if self._ack:
                answers.append(b"error %s\r\n" % _spoken(bad[0].why) if bad else self._ok)
        return Intake(readings, b"".join(answers), rejected, (), reachable(heard))


class MessageSource:
    """
    Decodes messages. The device is the one whose id a message bears, whatever connection brings it.

    The listener's columns say what the fields behind the id are called; those beyond are called by
    their number. With C{ack}, the answer to a message is C{ack,<counter>}, the counter written as
    it came, or C{error,} and why something in it was not taken. Several answers have LF between
    them. What is no message has none: the connection has failed, and the peer was told so.
    """

    oddities = 0

    def __init__(
        self,
        listener: MessageSettings,
        devices: Mapping[str, DeviceSettings],
        arrivals: Arrivals,
        presence: Presence,
    ) -> None:
        columns = listener.columns
        further = range(len(columns) + 1, messages.MAX_FIELDS + 1)
        fields = named([*columns, *map(str, further)], {})
        self._ack = listener.ack
        self._counter = fields.index("counter") if "counter" in fields else None
        self._arrivals = arrivals
        self._nodes = _Nodes(listener, devices, presence, fields, byField)

    def decode(self, host: str, events: Sequence[str | Skipped]) -> Intake:
        """
        See L{Source.decode}.
        """
        readings: list[Reading] = []
        rejected: list[Rejected] = []
        answers: list[bytes] = []
        heard: list[tuple[str, ...]] = []
        for event in events:
            if isinstance(event, Skipped):
                rejected.append(Rejected(event.data, event.why))
                continue
            message = messages.parse(event)
            good: Sequence[Reading] = ()
            if isinstance(message, Skipped):
                bad: Sequence[Rejected] = [Rejected(message.data, message.why)]
            elif not self._nodes.admit(node := self._nodes[message.id], len(message.fields)):
                bad = [node.surplus(message.fields)]
            else:
                heard.append(node.addresses)
                good, bad = self._read(node, message)
            readings += good
            rejected += bad
            if self._ack:
                answers.append(self._answer(event, message, bad))
        return Intake(readings, b"\n".join(answers), rejected, (), reachable(heard))

    def _read(
        self, node: "_Node", message: messages.Message
    ) -> tuple[Sequence[Reading], Sequence[Rejected]]:
        time = self._arrivals.take()
        node.record.hear(time)
        if self._counter is not None and self._counter < len(message.fields):
            counter = counted(message.fields[self._counter])
            if counter is not None:
                node.record.count(counter)
        return node.read(message.fields, time, _ARRIVAL)

    def _answer(
        self, text: str, message: messages.Message | Skipped, rejected: Sequence[Rejected]
    ) -> bytes:
        """
        What the sender of a message is told.

        @param text: the message as it came.
        @param rejected: what is not taken of it.
        """
        if isinstance(message, Skipped) or rejected:
            return b"error," + _spoken(rejected[0].why)
        place = self._counter or 0
        if place >= len(message.fields):
            place = 0
        number = text.split(",", place + 2)[place + 1].strip()
        if len(number) > _MAX_NUMBER:
            number = written(message.fields[place])
        return b"ack," + number.encode()


class _Nodes(dict[int, "_Node"]):
    """
    What a listener remembers of its devices, by their id.

    @param fields: what the wire calls the values of a frame.
    @param described: arranges the values of a description by what the wire calls them.
    """

    def __init__(
        self,
        listener: ListenerSettings,
        devices: Mapping[str, DeviceSettings],
        presence: Presence,
        fields: tuple[str, ...],
        described: Callable[[Sequence[ValueSettings]], Mapping[str, ValueSettings]],
    ) -> None:
        super().__init__()
        self._prefix = f"{listener.name}/"
        self._devices = devices
        self._presence = presence
        self._fields = fields
        self._described = described
        self._room = MAX_SERIES

    def __missing__(self, id: int) -> "_Node":
        address = f"{self._prefix}{id}"
        settings = self._devices.get(address)
        if settings is None:
            settings = DeviceSettings(address)
            if not self._room:  # nobody is to remember it
                return _Node(settings.label, Record(address, address), self._fields, {})
        described = self._described(settings.values)
        node = self[id] = _Node(
            settings.label, self._presence.record(address), self._fields, described
        )
        return node

    def admit(self, node: "_Node", count: int) -> bool:
        """
        Whether a device may have so many series.
        """
        more = count - node.width
        if more > self._room:
            return False
        if more > 0:
            self._room -= more
            node.width = count
        return True


class _Node:
    """
    What is known of one device.

    @ivar addresses: that of the device.
    @ivar names: what its values are called, in their order.
    @ivar scalers: by name, for those that are scaled.
    @ivar width: how many values it may send.
    """

    def __init__(
        self,
        device: str,
        record: Record,
        fields: tuple[str, ...],
        described: Mapping[str, ValueSettings],
    ) -> None:
        self.device = device
        self.record = record
        self.addresses = (record.address,)
        self.width = len(described)
        # Without a description all share one tuple: there may be thousands, and it is long.
        self.names = named(fields, described) if described else fields
        values = (value for field, value in described.items() if field in fields)
        scalers = ((v.name, packing.scaler(v.scale, v.offset)) for v in values)
        self.scalers = {name: scaled for name, scaled in scalers if scaled}

    def read(
        self, values: Sequence[int | float], time: int, clock: Clock
    ) -> tuple[Sequence[Reading], Sequence[Rejected]]:
        """
        The readings of some values, and what is none because scaling made it too large.
        """
        if not self.scalers:
            return [
                Reading(self.device, name, value, time, clock)
                for name, value in zip(self.names, values, strict=False)
            ], ()
        readings, rejected = [], []
        for name, raw in zip(self.names, values, strict=False):
            scaled = self.scalers.get(name)
            value = clean(scaled(_decimal(raw))) if scaled else raw
            if value is None:
                why = f"{name} of {self.device} is too large when scaled"
                rejected.append(Rejected(written(raw).encode(), why))
            else:
                readings.append(Reading(self.device, name, value, time, clock))
        return readings, rejected

    def surplus(self, values: Sequence[int | float]) -> Rejected:
        """
        What becomes of values for which there is no room.
        """
        text = " ".join(map(written, values[:8])).encode()
        return Rejected(text, f"{self.device} is one of too many that are not described")


def _decimal(number: int | float) -> Any:
    """
    A number as it was written, for a L{scaler<packing.scaler>}: the 2.3 of a text is not the float
    that is next to it, and scaled by 0.1 is 0.23 and not 0.22999999999999998.
    """
    return number if isinstance(number, int) else Fraction(repr(number))


def _spoken(why: str) -> bytes:
    """
    A reason as a device can be told it: one short line of printable ASCII.
    """
    text = "".join(char if " " <= char <= "~" else "?" for char in why)
    if len(text) > _MAX_WHY:
        text = text[: _MAX_WHY - 3] + "..."
    return text.encode()

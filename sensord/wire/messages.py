"""
messages: what WebSocket microcontrollers send and understand, as text. How WebSockets frame it is
not said here.

A device sends one message every few seconds, numbers between commas, with blanks (or tabs, CR, LF)
around them allowed::

    id,counter,temperature[,...]

    =======  =========================================================================
    field    meaning
    =======  =========================================================================
    id       the device's IoT id, an integer, 0..2147483647
    counter  how many messages it has sent since it started
    ...      one or more further L{numbers<sensord.wire.numbers>}; on the stock device
             one, degrees Celsius
    =======  =========================================================================

Example, the seventh message of device 1: C{1,7,23.456789}, in hex::

    31 2c  37 2c  32 33 2e 34 35 36 37 38 39

Only the id and one field are demanded. Devices are sent commands, C{variable,value}. Variable 1 is
the LED: on C{1,1.0}, off C{1,0.0}; in hex::

    31 2c  31 2e 30
    31 2c  30 2e 30

No reply to either exists.
"""

from msgspec import DecodeError, Struct

from sensord.wire import SAMPLE, Skipped
from sensord.wire.numbers import array, numbers, written

#: The most fields that may follow the id. Each becomes a series of its own: without a limit, one
#: message could make a million of them.
MAX_FIELDS = 64

#: The longest message in bytes. Without a limit, one of many megabytes, in few fields, would be
#: read to its end.
MAX_MESSAGE = 4096

#: The largest id, and the largest number of a variable.
MAX_ID = 2**31 - 1

#: The longest command in bytes. A device takes no more than this from a frame.
MAX_COMMAND = 61

#: What may stand around a number: just what JSON calls white space.
_BLANKS = b" \t\r\n"


class Message(Struct, frozen=True, gc=False):
    """
    What a device sent.

    @ivar id: its IoT id, 0..2147483647.
    @ivar fields: what follows the id, all finite, one at least: the send counter, then values.
    """

    id: int
    fields: tuple[int | float, ...]


def parse(text: str | bytes) -> Message | Skipped:
    """
    Read a message. This never raises.
    """
    # What has no place in UTF-8 has none in a number either.
    data = text.encode(errors="replace") if isinstance(text, str) else text
    if len(data) > MAX_MESSAGE:
        return _skipped(data, f"longer than {MAX_MESSAGE} bytes")
    values = _values(data)
    if values is None:
        return _skipped(data, "not all are finite numbers")
    if not 2 <= len(values) <= 1 + MAX_FIELDS:
        return _skipped(data, f"{len(values)} numbers are not an id and 1..{MAX_FIELDS} fields")
    id = values[0]
    if not (isinstance(id, int) and 0 <= id <= MAX_ID):
        return _skipped(data, f"the id is no integer in 0..{MAX_ID}")
    return Message(id, values[1:])


def encode(message: Message) -> str:
    """
    The text of a message, as a device sends it.

    @raise ValueError: for a field that is not finite.
    """
    return ",".join(map(written, (message.id, *message.fields)))


def command(variable: int, value: float) -> str:
    """
    The text that sets a variable of a device.

    @param variable: its number, 0..2147483647.
    @raise ValueError: for what no device could understand.
    """
    if not 0 <= variable <= MAX_ID:
        raise ValueError(f"variable {variable} is not in 0..{MAX_ID}")
    try:
        real = float(value)
    except OverflowError:
        raise ValueError("the value is too large") from None
    text = f"{variable:d},{written(real)}"
    assert len(text) <= MAX_COMMAND  # ten digits, a comma, and no float is longer than 24
    return text


def parseCommand(text: str | bytes) -> tuple[int, float] | None:
    """
    Read a command, as a device does.

    @return: the number of the variable and its value, or L{None} if it is no command.
    """
    data = text.encode(errors="replace") if isinstance(text, str) else text
    values = _values(data) if len(data) <= MAX_COMMAND else None
    if values is None or len(values) != 2:
        return None
    variable, value = values
    if not (isinstance(variable, int) and 0 <= variable <= MAX_ID):
        return None
    return variable, float(value)


def _values(data: bytes) -> tuple[int | float, ...] | None:
    """
    The numbers between commas; none if there is nothing but blanks.
    """
    try:
        return array(b"[" + data + b"]")
    except DecodeError:
        return numbers([field.strip(_BLANKS) for field in data.split(b",")])


def _skipped(data: bytes, why: str) -> Skipped:
    return Skipped(data[:SAMPLE], why)

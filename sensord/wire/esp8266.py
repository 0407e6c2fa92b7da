"""
esp8266: the packets of battery ESP8266s.

One connection carries one packet: a header of 9 bytes and then measurements, oldest first, packed
without padding. All numbers are little-endian.

    ======  ====  =========================================================  =====
    offset  type  meaning                                                    stock
    ======  ====  =========================================================  =====
    0       u16   bytes of measurement data that follow                      n * 6
    2       u16   seconds between wake-ups (deliveries)                      3600
    4       u16   seconds between measurements                               120
    6       u8    bytes per measurement, all sensors together                6
    7       u8    id of the device                                           1
    8       u8    number of sensors                                          3
    9..           measurements
    ======  ====  =========================================================  =====

Example, two measurements of the stock device::

    0c00 100e 7800 06 01 03  7800 006e 0068  7900 046e 0468

The packet ends after 9 + length bytes or with the connection. One that is cut short yields the
whole measurements that came. The device reads nothing.
"""

from collections.abc import Sequence
from struct import Struct as Layout

from msgspec import Struct

from sensord.wire import SAMPLE, Skipped

_HEADER = Layout("<HHHBBB")

#: The largest believable length. The device keeps at most 58 measurements of 6 bytes; without a
#: limit, a lying length would have us collect 64 KB per connection.
MAX_LENGTH = 512

#: How many bytes are swallowed after a packet, or after a refused header, before the link is given
#: up. It stops a peer from holding a connection by sending for ever.
MAX_SURPLUS = 512


class Packet(Struct, frozen=True, gc=False):
    """
    One delivery of a device.

    @ivar wake: seconds between deliveries, as declared.
    @ivar interval: seconds between measurements, as declared.
    @ivar size: bytes per measurement.
    @ivar device: the device's id, 0..255.
    @ivar sensors: values per measurement, as declared.
    @ivar data: whole measurements, oldest first.
    """

    wake: int
    interval: int
    size: int
    device: int
    sensors: int
    data: bytes

    @property
    def count(self) -> int:
        """
        How many measurements there are.
        """
        return len(self.data) // self.size


class PacketParser:
    """
    Finds the one packet of a connection. It keeps a header and L{MAX_LENGTH} bytes at most.
    """

    finished = False

    # Most parsers see one packet in one chunk, and need nothing but these.
    _buffer = b""
    _header: tuple[int, ...] | None = None
    _over = False
    _surplus: "_Surplus | None" = None

    def feed(self, data: bytes) -> Sequence[Packet | Skipped]:
        """
        Take in some bytes.
        """
        if self._over:
            return self._swallow(data)
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        if self._header is None:
            if len(data) < _HEADER.size:
                self._buffer = data
                return ()
            self._header = _HEADER.unpack_from(data)
            if fault := _fault(self._header):
                # Rejected whole: what follows belongs to it and is not reported again.
                self._over = True
                self._surplus = _Surplus(reported=True)
                skipped = Skipped(data[: _HEADER.size], fault)
                return [skipped, *self._swallow(data[_HEADER.size :])]
        end = _HEADER.size + self._header[0]
        if len(data) < end:
            self._buffer = data
            return ()
        self._over = True
        if len(data) == end:
            return self._cut(data)
        return [*self._cut(data[:end]), *self._swallow(data[end:])]

    def close(self) -> Sequence[Packet | Skipped]:
        """
        The connection ended: so did the packet.
        """
        self.finished = True
        if self._over:
            return self._surplus.report() if self._surplus is not None else ()
        self._over = True
        data, self._buffer = self._buffer, b""
        if self._header is not None:
            return self._cut(data)
        return [Skipped(data, f"{len(data)} bytes are no header")] if data else ()

    def _cut(self, packet: bytes) -> list[Packet | Skipped]:
        """
        Take apart what came of a packet: the whole measurements, then what is left.
        """
        assert self._header is not None
        length, wake, interval, size, device, sensors = self._header
        data = packet[_HEADER.size :]
        whole = len(data) - len(data) % size
        if whole == length:
            return [Packet(wake, interval, size, device, sensors, data)]
        events: list[Packet | Skipped] = []
        if whole:
            events.append(Packet(wake, interval, size, device, sensors, data[:whole]))
        why = f"{length - whole} bytes left over"
        if len(data) < length:
            why = f"cut short, {len(data)} of {length} bytes"
        why += f": {whole // size} whole measurements of {size} are kept"
        events.append(Skipped(data[whole:][:SAMPLE], why))
        return events

    def _swallow(self, data: bytes) -> Sequence[Skipped]:
        """
        Count bytes that belong to no packet, and give up the link when they are too many.
        """
        if self._surplus is None:
            self._surplus = _Surplus()
        self._surplus.add(data)
        if self._surplus.count < MAX_SURPLUS:
            return ()
        self.finished = True
        return self._surplus.report()


class _Surplus:
    """
    What came after the end of a packet: counted, and reported once.
    """

    def __init__(self, reported: bool = False) -> None:
        self.count = 0
        self._sample = b""
        self._reported = reported

    def add(self, data: bytes) -> None:
        self.count += len(data)
        self._sample += data[: SAMPLE - len(self._sample)]

    def report(self) -> Sequence[Skipped]:
        if self._reported or not self.count:
            return ()
        self._reported = True
        count = f"{self.count}" if self.count < MAX_SURPLUS else f"{MAX_SURPLUS} or more"
        return [Skipped(self._sample, f"{count} bytes after the end of the packet")]


def encode(packet: Packet) -> bytes:
    """
    The bytes of a packet, as a device sends them.

    @raise struct.error: for a field that does not fit the header.
    """
    header = _HEADER.pack(
        len(packet.data), packet.wake, packet.interval, packet.size, packet.device, packet.sensors
    )
    return header + packet.data


def _fault(header: tuple[int, ...]) -> str:
    """
    What makes a header unbelievable; empty if nothing does.
    """
    length, _wake, interval, size, _device, _sensors = header
    if 0 < size <= length <= MAX_LENGTH and interval:
        return ""
    if length > MAX_LENGTH:
        return f"length {length} is above {MAX_LENGTH}"
    if size == 0:
        return "0 bytes per measurement"
    if interval == 0:
        return "0 seconds between measurements"
    return f"length {length} is less than a measurement of {size}"

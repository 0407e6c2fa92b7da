"""
What paho-mqtt takes for its socket.

paho would make its socket itself, and block everything here while it looks up the name, connects
and shakes hands. There is no public way to give it one, so the one method that makes it is
replaced: it gets a buffer beside a Twisted transport. Names, TLS and timeouts are then those of
Twisted, nothing blocks, and there is neither a thread nor a file descriptor of its own.

What others say is read here, where it is short: in paho it takes longer than all else that becomes
of a reading, its commit included. A message is the only packet of which there are many. Two bytes
for the length of the topic, the topic, with QoS 1 two bytes for its number, with MQTT 5 the
properties behind their length, and the payload::

    32 0d  00 03 61 2f 62  00 07  68 65 6c 6c 6f 21     "hello!" at "a/b", number 7, QoS 1
"""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from sensord.brokers import MAX_PACKET, BrokerSettings, Terms

#: The longest message in bytes that is read here. Until all of one is there, it is put together
#: again with all that comes: without a limit, that would take quadratic time.
_SHORT = 65536

_PUBLISH = 3


class Heard(Struct, frozen=True, gc=False):
    """
    What others have said.

    @ivar mid: its number, with QoS 1.
    @ivar size: bytes that it has, if it was too large: then it comes without its payload.
    """

    topic: bytes
    payload: bytes
    qos: int
    mid: int
    retain: bool
    size: int = 0


class Pipe:
    """
    What paho takes for its socket. A message that is too large never gets to paho, nor into the
    memory: it is passed over while it comes in. A broker that was refused it, by closing the
    connection, would send it again with the next one, and with each.

    @ivar buffer: what came in, and is for paho to read.
    @ivar full: whether the transport takes no more just now.
    @ivar closed: whether paho has closed it.
    @param refuse: called with the size of a packet that is too large and no message.
    @param largest: bytes that one packet may have.
    @param properties: whether messages have some; L{None} leaves all messages to paho, but for
        those that are too large.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        refuse: Callable[[int], None],
        largest: int = MAX_PACKET,
        properties: bool | None = None,
    ) -> None:
        self.buffer = bytearray()
        self.full = False
        self.closed = False
        self._write = write
        self._refuse = refuse
        self._largest = largest
        self._properties = properties
        self._short = 0 if properties is None else min(largest, _SHORT)
        self._kept = b""  # the beginning of a packet
        self._passing = self._dropping = 0  # bytes that the packet under way still lacks

    def feed(self, data: bytes) -> Iterator[Heard]:
        """
        Take in some bytes.

        @return: the messages in them. What is in the buffer came before the one that comes next.
        """
        data, self._kept = self._kept + data, b""
        end = len(data)
        start = min(end, self._dropping)
        self._dropping -= start
        at = start + min(end - start, self._passing)
        self._passing -= at - start
        while at < end and not self.closed:
            head, length = _header(data, at)
            if not head:
                break
            body, over = at + head, at + head + length
            heard = None
            if data[at] >> 4 == _PUBLISH and length > self._largest:
                heard = _beginning(data, body, data[at], length)
                if heard is None:
                    break
            elif length > self._largest:
                self._refuse(length)
                self.close()
                break
            elif data[at] >> 4 == _PUBLISH and length <= self._short:
                if over > end:
                    break
                heard = _message(data, body, over, data[at], bool(self._properties))
            if heard is None:
                at, self._passing = min(end, over), max(0, over - end)
                continue
            self.buffer += data[start:at]
            start = at = min(end, over)
            self._dropping = max(0, over - end)
            yield heard
        self.buffer += data[start:at]
        self._kept = data[at:]

    def recv(self, size: int) -> bytes:
        """
        Read. paho asks for all that a packet still lacks.
        """
        if not self.buffer:
            raise BlockingIOError
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def send(self, data: bytes | bytearray) -> int:
        """
        Write.
        """
        if self.full:
            raise BlockingIOError
        self._write(bytes(data))
        return len(data)

    def close(self) -> None:
        """
        paho is done.
        """
        self.closed = True

    def fileno(self) -> int:
        """
        There is none.
        """
        return -1

    def setblocking(self, flag: bool) -> None:
        """
        It never blocks.
        """


class PipedClient(Client):
    """
    paho's client, on a socket that it is given.
    """

    pipe: Pipe

    def _create_socket(self) -> Any:
        return self.pipe


def client(settings: BrokerSettings, terms: Terms, pipe: Pipe) -> PipedClient:
    """
    paho's client, as a connection needs it.
    """
    five = settings.version == "5"
    made = PipedClient(
        CallbackAPIVersion.VERSION2,
        settings.client_id,
        clean_session=None if five else not terms.kept,
        protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        # It would begin anew by itself when it is refused.
        reconnect_on_failure=False,
        manual_ack=terms.manual,
    )
    made.pipe = pipe
    made.max_inflight_messages = 0  # since it cannot be told later what the broker allows
    if settings.user:
        made.username_pw_set(settings.user, settings.password.text or None)
    if terms.will is not None:
        will = terms.will
        made.will_set(will.topic, will.payload, will.qos, will.retain)
    return made


def _beginning(data: bytes, body: int, first: int, length: int) -> Heard | None:
    """
    What is to be known of a message that is too large; L{None} if that is not there yet.

    @param body: where it begins behind its fixed header.
    """
    topic = body + 2 + int.from_bytes(data[body : body + 2])
    qos = first >> 1 & 3
    if len(data) < max(body + 2, topic + (2 if qos else 0)):
        return None
    mid = int.from_bytes(data[topic : topic + 2]) if qos else 0
    return Heard(data[body + 2 : topic], b"", qos, mid, bool(first & 1), length)


def _message(data: bytes, body: int, over: int, first: int, properties: bool) -> Heard | None:
    """
    A whole message; L{None} for what is none, or is said with QoS 2: paho knows what to do.
    """
    qos = first >> 1 & 3
    topic = at = body + 2 + (data[body] << 8 | data[body + 1]) if over - body >= 2 else over + 1
    mid = 0
    if qos == 1 and at + 2 <= over:
        mid = data[at] << 8 | data[at + 1]
        at += 2
    if qos > 1 or at > over or (qos and not mid) or topic == body + 2:
        return None
    if properties:
        if at >= over or data[at] > 127:  # more than any broker has to say of a message
            return None
        at += 1 + data[at]
        if at > over:
            return None
    return Heard(data[body + 2 : topic], data[at:over], qos, mid, bool(first & 1))


def _header(data: bytes, at: int) -> tuple[int, int]:
    """
    How long the fixed header of a packet is, and what follows it; zeros if that is not known yet.
    """
    length = shift = 0
    for place in range(at + 1, min(len(data), at + 5)):
        length |= (data[place] & 127) << shift
        shift += 7
        if data[place] < 128:
            return place + 1 - at, length
    # Five bytes without an end are no header: let paho say so.
    return (5, 0) if len(data) - at >= 5 else (0, 0)

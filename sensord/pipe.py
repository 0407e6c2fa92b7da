"""
What paho-mqtt takes for its socket.

paho would make its socket itself, and block everything here while it looks up the name, connects
and shakes hands. There is no public way to give it one, so the one method that makes it is
replaced: it gets a buffer beside a Twisted transport. Names, TLS and timeouts are then those of
Twisted, nothing blocks, and there is neither a thread nor a file descriptor of its own.
"""

from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from sensord.brokers import MAX_PACKET, BrokerSettings, Terms

_PUBLISH = 3


class Pipe:
    """
    What paho takes for its socket. A message that is too large never gets to paho, nor into the
    memory: it is passed over while it comes in. A broker that was refused it, by closing the
    connection, would send it again with the next one, and with each.

    @ivar buffer: what came in, and was not read yet.
    @ivar full: whether the transport takes no more just now.
    @ivar closed: whether paho has closed it.
    @param largest: bytes that one packet may have.
    @param skip: called with the topic, the QoS, the number and the size of a message that is
        larger.
    @param refuse: called with the size of anything else that is.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        skip: Callable[[bytes, int, int, int], None],
        refuse: Callable[[int], None],
        largest: int = MAX_PACKET,
    ) -> None:
        self.buffer = bytearray()
        self.full = False
        self.closed = False
        self._write = write
        self._skip = skip
        self._refuse = refuse
        self._largest = largest
        self._kept = b""  # the beginning of a packet of which it is not known how long it is
        self._passing = self._dropping = 0  # bytes that the packet under way still lacks

    def feed(self, data: bytes) -> None:
        """
        Take in some bytes.
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
            if length <= self._largest:
                step = min(end - at, head + length)
                self._passing = head + length - step
            else:
                if not self._pass(data, at, head, length):
                    break
                self.buffer += data[start:at]
                step = min(end - at, head + length)
                self._dropping = head + length - step
                start = at + step
            at += step
        self.buffer += data[start:at]
        self._kept = data[at:]

    def _pass(self, data: bytes, at: int, head: int, length: int) -> bool:
        """
        Pass over a packet.

        @return: whether enough of it is there to do so.
        """
        if data[at] >> 4 != _PUBLISH:
            self._refuse(length)
            self.close()
            return False
        begin = at + head + 2
        topic = begin + int.from_bytes(data[begin - 2 : begin])
        qos = data[at] >> 1 & 3
        if len(data) < max(begin, topic + (2 if qos else 0)):
            return False
        mid = int.from_bytes(data[topic : topic + 2]) if qos else 0
        self._skip(data[begin:topic], qos, mid, length)
        return True

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

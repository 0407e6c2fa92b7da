"""
The other side of MQTT, for tests: the bytes of a broker that says what a test has it say.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

#: Kinds of packets.
CONNECT, PUBLISH, PUBACK, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 10, 12, 14


class Packet(NamedTuple):
    """
    What a client has sent.

    @ivar flags: the low half of its first byte.
    @ivar body: what follows its length.
    """

    kind: int
    flags: int
    body: bytes

    @property
    def topic(self) -> str:
        """
        Of a message.
        """
        return self.body[2 : 2 + self._length].decode()

    @property
    def mid(self) -> int:
        """
        The number of a message, or of what else is answered.
        """
        start = 2 + self._length if self.kind == PUBLISH else 0
        return int.from_bytes(self.body[start : start + 2])

    @property
    def payload(self) -> bytes:
        """
        Of a message of MQTT 3.1.1.
        """
        return self.body[2 + self._length + (2 if self.flags & 6 else 0) :]

    @property
    def _length(self) -> int:
        return int.from_bytes(self.body[:2])


def packets(data: bytes) -> Iterator[Packet]:
    """
    The packets that bytes are.
    """
    while data:
        length, shift, at = 0, 0, 1
        while True:
            length |= (data[at] & 127) << shift
            shift += 7
            at += 1
            if not data[at - 1] & 128:
                break
        yield Packet(data[0] >> 4, data[0] & 15, data[at : at + length])
        data = data[at + length :]


def packet(first: int, body: bytes) -> bytes:
    """
    A packet of less than 128 bytes.

    @param first: its first byte.
    """
    assert len(body) < 128
    return bytes([first, len(body)]) + body


def connack(code: int = 0, properties: bytes | None = None) -> bytes:
    """
    How a client is greeted.

    @param properties: with MQTT 5, what the broker says about itself.
    """
    more = b"" if properties is None else bytes([len(properties)]) + properties
    return packet(0x20, bytes([0, code]) + more)


def puback(mid: int, code: int | None = None) -> bytes:
    """
    The answer to a message; with MQTT 5 perhaps a refusal.
    """
    return packet(0x40, mid.to_bytes(2) + (b"" if code is None else bytes([code, 0])))


def suback(mid: int, code: int = 1) -> bytes:
    """
    The answer to a subscription.
    """
    return packet(0x90, mid.to_bytes(2) + bytes([code]))


def message(topic: str | bytes, payload: bytes, mid: int = 0, retain: bool = False) -> bytes:
    """
    What others have said.

    @param mid: its number; without one it has QoS 0.
    """
    name = topic.encode() if isinstance(topic, str) else topic
    number = mid.to_bytes(2) if mid else b""
    first = 0x30 | (2 if mid else 0) | retain
    return packet(first, len(name).to_bytes(2) + name + number + payload)


class Transport(StringTransport):
    """
    A connection to a broker.

    @ivar stuck: whether it takes no more bytes, so that closing it has to wait.
    @ivar halved: whether only our side was closed.
    """

    protocol: Any
    stuck = halved = False

    def loseConnection(self) -> None:
        """
        Close it as soon as all is written.
        """
        super().loseConnection()
        if not self.stuck:
            self.end(ConnectionDone())

    def loseWriteConnection(self) -> None:
        """
        Say no more. The broker closes it when it has read all.
        """
        self.halved = True
        self.loseConnection()

    def abortConnection(self) -> None:
        """
        Close it at once.
        """
        self.end(ConnectionAborted())

    def end(self, why: BaseException) -> None:
        """
        It is over.
        """
        if self.connected:
            self.connected = False
            self.protocol.connectionLost(Failure(why))

    def take(self) -> list[Packet]:
        """
        What the client has sent since the last time.
        """
        data = self.value()
        self.clear()
        return list(packets(data))

    def say(self, data: bytes) -> None:
        """
        The broker says something.
        """
        self.protocol.dataReceived(data)

    def answer(self) -> list[Packet]:
        """
        The broker answers all that wants an answer.

        @return: what the client has sent since the last time.
        """
        sent = self.take()
        for each in sent:
            if each.kind == PUBLISH and each.flags & 6:
                self.say(puback(each.mid))
            elif each.kind == SUBSCRIBE:
                self.say(suback(each.mid))
        return sent


@implementer(IStreamClientEndpoint)
class Endpoint:
    """
    Where a broker may be.

    @ivar why: why it cannot be reached; L{None} if it can.
    @ivar pending: whether attempts are left undecided.
    @ivar transports: of each connection.
    @ivar attempts: how often it was tried.
    @ivar cancelled: how often that was given up.
    """

    def __init__(self) -> None:
        self.why: Exception | None = None
        self.pending = False
        self.transports: list[Transport] = []
        self.attempts = 0
        self.cancelled = 0

    @property
    def transport(self) -> Transport:
        """
        The latest.
        """
        return self.transports[-1]

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Connect.
        """
        self.attempts += 1
        if self.pending:
            return Deferred(self._cancel)
        if self.why is not None:
            return fail(self.why)
        protocol = protocolFactory.buildProtocol(None)  # type: ignore[arg-type]
        assert protocol is not None
        transport = Transport()
        transport.protocol = protocol
        self.transports.append(transport)
        protocol.makeConnection(transport)
        return succeed(protocol)

    def lose(self) -> None:
        """
        The latest connection breaks.
        """
        self.transport.end(ConnectionLost())

    def _cancel(self, _connecting: Deferred[IProtocol]) -> None:
        self.cancelled += 1

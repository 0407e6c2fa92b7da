"""
What comes by an MQTT broker: a gateway that takes what the broker has kept for it, and beside it
the least that can be done, which is to let paho-mqtt read it, and to count.
"""

from collections.abc import Callable
from typing import Any, Protocol, cast

from msgspec import json
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from twisted.internet import protocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import deferLater
from twisted.protocols.basic import LineOnlyReceiver

from benchmarks.marks import Job, mark, serve
from sensord.config import Settings
from sensord.gateway import Gateway
from sensord.protocols.mqtt import Subscriber
from sensord.settings import StoreSettings
from sensord.wires import SubscriberSettings

#: Readings in one message.
_READINGS = 2

#: Where devices say it, for a gateway and for a broker.
TOPIC, _FILTER = "/{hub}/{device}/data", "/+/+/data"

#: How many the broker may send before the first is confirmed: as many as sensord's default.
_RECEIVE = 1000

#: Seconds for which the broker keeps what comes.
_KEPT = 3600

#: Seconds between two looks at how far somebody is.
_EVERY = 0.02

#: Seconds that the broker has for reading the last confirmations. Of a connection that ends before,
#: it forgets what it has not read, and says all that again.
_SETTLE = 0.5


class Task(Protocol):
    """
    Somebody who is known to the broker, and takes what it has kept.
    """

    async def meet(self) -> None:
        """
        Subscribe, and go away.
        """

    async def take(self, messages: int) -> None:
        """
        Come back, and take so many messages.
        """

    async def leave(self) -> None:
        """
        Go away.
        """


class Stored:
    """
    A gateway.

    @ivar commits: transactions so far.
    """

    def __init__(self, reactor: Any, job: Job) -> None:
        self.commits = 0
        self._reactor = reactor
        settings = SubscriberSettings(
            "farm", "mqtt", topic=TOPIC, broker=job.url, receive_maximum=_RECEIVE
        )
        path = f"{job.folder}/sensord.sqlite"
        self._gateway = Gateway(
            reactor, Settings(store=StoreSettings(path=path), listeners=(settings,))
        )
        self._way = cast(Subscriber, self._gateway.listeners["farm"])
        self._left = 0
        self._taken: Deferred[None] = Deferred()
        self._gateway.store.follow(self._follow)

    async def meet(self) -> None:
        """
        See L{Task.meet}.
        """
        self._gateway.startService()
        while self._way.state != "open":
            await deferLater(self._reactor, _EVERY, lambda: None)
        await self.leave()

    async def take(self, messages: int) -> None:
        """
        See L{Task.take}.
        """
        self._left, self._taken = messages * _READINGS, Deferred()
        self._way.startService()
        await self._taken

    async def leave(self) -> None:
        """
        See L{Task.leave}.
        """
        await self._way.stopService()
        await self._way.disconnect()

    def _follow(self, readings: Any) -> None:
        self.commits += 1
        self._left -= len(readings)
        if not self._left:
            self._taken.callback(None)


class _Bytes:
    """
    What paho takes for its socket: what one turn of the reactor has brought.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.data = b""
        self.at = 0
        self._write = write

    def recv(self, size: int) -> bytes:
        """
        Read.
        """
        data = self.data[self.at : self.at + size]
        if not data:
            raise BlockingIOError
        self.at += len(data)
        return data

    def send(self, data: bytes | bytearray) -> int:
        """
        Write.
        """
        self._write(bytes(data))
        return len(data)

    def fileno(self) -> int:
        """
        There is none.
        """
        return -1

    def setblocking(self, flag: bool) -> None:
        """
        It never blocks.
        """

    def close(self) -> None:
        """
        paho is done.
        """


class _Paho(Client):
    """
    paho's client on such a socket.
    """

    bytes: _Bytes

    def _create_socket(self) -> Any:
        return self.bytes


class Bare(protocol.Protocol):
    """
    The least that one can do with messages by paho, which confirms each as soon as it was counted.

    @ivar subscribed: fires when the broker has agreed.
    @ivar left: what is still to come.
    @ivar taken: fires when it has.
    @ivar gone: fires when the connection has ended.
    """

    transport: Any

    def __init__(self, reactor: Any, left: int) -> None:
        self.subscribed: Deferred[None] = Deferred()
        self.taken: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()
        self.left = left
        self._reactor = reactor
        self._due = False

    def connectionMade(self) -> None:
        """
        Come back to the session.
        """
        client = self._client = _Paho(
            CallbackAPIVersion.VERSION2, "bare", protocol=MQTTProtocolVersion.MQTTv5
        )
        client.bytes = self._bytes = _Bytes(self.transport.write)
        client.on_connect = self._greeted
        client.on_subscribe = lambda *_arguments: self.subscribed.callback(None)
        client.on_message = self._count
        client.on_socket_register_write = lambda *_arguments: self._want()
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = _KEPT
        properties.ReceiveMaximum = _RECEIVE
        client.connect("broker", clean_start=False, properties=properties)

    def connectionLost(self, reason: object = None) -> None:
        """
        It is over.
        """
        self.gone.callback(None)

    def dataReceived(self, data: bytes) -> None:
        """
        Let paho read.
        """
        taken, read = self._bytes, self._client.loop_read
        taken.data, taken.at = data, 0
        end = len(data)
        while taken.at < end:
            read()

    def _greeted(self, *_arguments: object) -> None:
        self._client.subscribe(_FILTER, 1)

    def _count(self, _client: Client, _data: object, _message: MQTTMessage) -> None:
        self.left -= 1
        if not self.left:
            self.taken.callback(None)

    def _want(self) -> None:
        """
        Write, but what one turn of the reactor brings together.
        """
        if not self._due:
            self._due = True
            self._reactor.callLater(0, self._write)

    def _write(self) -> None:
        self._due = False
        self._client.loop_write()


class Counted:
    """
    One who counts messages, and forgets them.
    """

    commits = 0

    def __init__(self, reactor: Any, job: Job) -> None:
        self._reactor = reactor
        self._port = int(job.url.rpartition(":")[2])

    async def meet(self) -> None:
        """
        See L{Task.meet}.
        """
        await self._connect(0)
        await self._bare.subscribed
        await self.leave()

    async def take(self, messages: int) -> None:
        """
        See L{Task.take}.
        """
        await self._connect(messages)
        await self._bare.taken

    async def leave(self) -> None:
        """
        See L{Task.leave}.
        """
        self._bare.transport.loseConnection()
        await self._bare.gone

    async def _connect(self, messages: int) -> None:
        where = TCP4ClientEndpoint(self._reactor, "127.0.0.1", self._port)
        factory = protocol.Factory.forProtocol(lambda: Bare(self._reactor, messages))
        factory.noisy = False
        self._bare = cast(Bare, await where.connect(factory))


class _Control(LineOnlyReceiver):
    """
    Speaks with the parent process. See L{benchmarks.servers}.
    """

    delimiter = b"\n"

    def __init__(self, reactor: Any, task: Any, port: int) -> None:
        self._reactor = reactor
        self._task = task
        self._port = port

    def connectionMade(self) -> None:
        """
        Get to know the broker.
        """
        Deferred.fromCoroutine(self._meet()).addErrback(self._fail)

    def lineReceived(self, line: bytes) -> None:
        """
        Take a number of messages, which are there.
        """
        Deferred.fromCoroutine(self._take(int(line))).addErrback(self._fail)

    def connectionLost(self, reason: object = None) -> None:
        """
        End.
        """
        self._reactor.stop()

    async def _meet(self) -> None:
        await self._task.meet()
        self.sendLine(b"%d" % self._port)

    async def _take(self, messages: int) -> None:
        self._tell()
        await self._task.take(messages)
        after = mark(self._task.commits)
        await deferLater(self._reactor, _SETTLE, lambda: None)
        await self._task.leave()  # before it is asked for more
        self.sendLine(json.encode(after))

    def _tell(self) -> None:
        self.sendLine(json.encode(mark(self._task.commits)))

    def _fail(self, failure: Any) -> None:
        failure.printTraceback()
        self._reactor.stop()


#: What a job's C{kind} may be.
TASKS: dict[str, Callable[[Any, Job], Task]] = {"mqtt": Stored, "paho": Counted}


def run(job: Job) -> None:
    """
    Run a task until the parent closes its end.
    """
    port = int(job.url.rpartition(":")[2])
    serve(job, lambda reactor: _Control(reactor, TASKS[job.kind](reactor, job), port))

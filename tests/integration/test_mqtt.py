"""
Readings to a real mosquitto.
"""

import signal
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import json
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from twisted.internet.defer import Deferred
from twisted.protocols.portforward import ProxyFactory
from twisted.trial.unittest import TestCase

from sensord.broker import Broker
from sensord.brokers import BrokerSettings, Message, Publication, Terms
from sensord.outlets import MqttSettings
from sensord.settings import Secret
from sensord.sinks import Entry, Misconfigured, Series, SinkError, Transient
from sensord.sinks.mqtt import MqttSink
from tests.integration.daemon import PATIENCE
from tests.integration.loop import pause, reactor, until
from tests.integration.mosquitto import Mosquitto, password, serve

#: Where the readings of these tests are said.
TOPIC = "sensord/balcony/temperature"


class Listener:
    """
    Somebody else who hears all that is said, with a client of its own.

    @ivar heard: topics and payloads.
    @ivar retained: the topics of what was said before.
    """

    def __init__(self, port: int, client: str = "", pattern: str = "#") -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.retained: list[str] = []
        self.ready = False
        self._pattern = pattern
        self._client = Client(CallbackAPIVersion.VERSION2, client, clean_session=not client)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._ask
        self._client.on_subscribe = self._agreed
        self._client.on_message = lambda _client, _data, message: self._hear(message)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _ask(self, *_arguments: Any) -> None:
        self._client.subscribe(self._pattern, 1)

    def _agreed(self, *_arguments: Any) -> None:
        self.ready = True

    def _hear(self, message: MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload)))
        if message.retain:
            self.retained.append(message.topic)

    def said(self, topic: str) -> list[bytes]:
        """
        What was said there.
        """
        return [payload for each, payload in tuple(self.heard) if each == topic]

    def close(self) -> None:
        """
        Hear no more.
        """
        self._client.disconnect()
        self._client.loop_stop()


class MqttTestCase(TestCase):
    """
    A broker, and a sink.

    @ivar version: of the protocol.
    """

    timeout = PATIENCE
    version = "3.1.1"

    def setUp(self) -> None:
        """
        Make a folder.
        """
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)

    def serve(self, more: str = "", anonymous: bool = True) -> Mosquitto:
        """
        Start a broker.
        """
        return serve(self, self.folder, more, anonymous)

    async def hear(self, broker: Mosquitto, *arguments: str) -> Listener:
        """
        Listen to all that is said.
        """
        listener = Listener(broker.port, *arguments)
        self.addCleanup(listener.close)
        await until(lambda: listener.ready)
        return listener

    async def failing(self, writing: Deferred[None], kind: type[SinkError]) -> SinkError:
        """
        A write that goes wrong.

        @return: how.
        """
        try:
            await writing
        except kind as error:
            return error
        raise AssertionError("it was written")

    def sink(self, port: int, **settings: Any) -> MqttSink:
        """
        Start a sink.
        """
        settings.setdefault("broker", f"tcp:127.0.0.1:{port}")
        settings.setdefault("version", self.version)
        made = MqttSink(reactor(), MqttSettings("home", "mqtt", **settings))
        self.addCleanup(made.stop)
        made.start()
        return made


async def insist(sink: MqttSink, batch: Sequence[Entry]) -> list[SinkError]:
    """
    Write until it is written, as an outbox does.

    @return: what went wrong before.
    """
    errors: list[SinkError] = []
    while True:
        try:
            await sink.write(batch)
            return errors
        except Transient as error:
            errors.append(error)
            await pause(0.05)


def entries(values: Sequence[Any], first: int = 1) -> list[Entry]:
    """
    Readings of the temperature on the balcony.
    """
    series = Series("balcony", "temperature", "°C", {}, "weather/1")
    return [
        Entry(id, series, 1_795_194_650_500_000 + id, value)
        for id, value in enumerate(values, first)
    ]


class SinkTests(MqttTestCase):
    """
    What is said.
    """

    async def test_values(self) -> None:
        """
        Each value arrives as it is.
        """
        broker = self.serve()
        listener = await self.hear(broker)
        sink = self.sink(broker.port)
        await sink.write(entries([21.5, 7, True, "off", "emoji 🌡"]))
        await until(lambda: len(listener.said(TOPIC)) == 5)
        self.assertEqual(
            listener.said(TOPIC),
            [b"21.5", b"7", b"true", b"off", "emoji 🌡".encode()],
        )

    async def test_names(self) -> None:
        """
        Whatever names devices and values have, all of them arrive, each at a topic of its own.
        """
        broker = self.serve()
        listener = await self.hear(broker)
        sink = self.sink(broker.port)
        names = ["a b", "a,b", "a/b", "a+b", "#", '"', "line\nbreak", "🌡" * 300, "\0", "$SYS", ""]
        await sink.write(
            [
                Entry(id, Series(name, name, "", {}, f"weather/{id}"), id, id)
                for id, name in enumerate(names, 1)
            ]
        )
        await until(lambda: len(listener.heard) == len(names) + 1)
        self.assertEqual(len({topic for topic, _payload in listener.heard}), len(names) + 1)

    async def test_retained(self) -> None:
        """
        If it is asked to, the broker keeps the latest value for those who come later.
        """
        broker = self.serve()
        await self.sink(broker.port, retain=True).write(entries([1, 2, 3]))
        listener = await self.hear(broker)
        await until(lambda: listener.said(TOPIC))
        self.assertEqual(listener.said(TOPIC), [b"3"])

    async def test_many(self) -> None:
        """
        A whole batch arrives in order, though only so much may be on its way at a time.
        """
        broker = self.serve()
        listener = await self.hear(broker)
        sink = self.sink(broker.port, inflight=7)
        for start in range(0, 2000, sink.most):
            await sink.write(entries(range(start, start + sink.most), start + 1))
        await until(lambda: len(listener.said(TOPIC)) == 2000)
        self.assertEqual(listener.said(TOPIC), [b"%d" % n for n in range(2000)])

    async def test_discovery(self) -> None:
        """
        Home Assistant is told of a device when it is first heard, and again when it says that it
        is there.
        """
        broker = self.serve()
        listener = await self.hear(broker, "", "homeassistant/device/+/config")
        sink = self.sink(broker.port, discovery="homeassistant")
        await sink.write(entries([21.5]))
        await until(lambda: len(listener.heard) == 1)
        assistant = Broker(
            reactor(), BrokerSettings(broker=f"tcp:127.0.0.1:{broker.port}"), "assistant"
        )
        self.addCleanup(assistant.stop)
        assistant.start()
        await assistant.whenConnected()
        await assistant.publish(Publication("homeassistant/status", b"online"))
        await until(lambda: len(listener.heard) == 2)
        self.assertEqual(listener.heard[0], listener.heard[1])
        topic, payload = listener.heard[0]
        content = json.decode(payload)
        (component,) = content["cmps"].values()
        self.assertEqual(component["stat_t"], TOPIC)
        self.assertEqual(component["dev_cla"], "temperature")
        sink.forget("balcony", ["temperature"])
        await until(lambda: len(listener.heard) == 3)
        self.assertEqual(listener.heard[2], (topic, b""))


class StatusTests(MqttTestCase):
    """
    Whether we are there.
    """

    async def test_leave(self) -> None:
        """
        The broker knows when we come, and when we go.
        """
        broker = self.serve()
        listener = await self.hear(broker, "", "sensord/status")
        listener.heard.clear()
        sink = self.sink(broker.port)
        await until(lambda: listener.said("sensord/status") == [b"online"])
        await sink.stop()
        await until(lambda: listener.said("sensord/status") == [b"online", b"offline"])

    async def test_will(self) -> None:
        """
        When the connection breaks, the broker says that we are gone, and we say that we are back.
        """
        broker = self.serve()
        listener = await self.hear(broker, "", "sensord/status")
        relay = Relay(broker.port)
        self.addCleanup(lambda: Deferred.fromCoroutine(relay.close()))
        self.sink(relay.where)
        await until(lambda: listener.said("sensord/status") == [b"online"])
        relay.cut()
        await until(lambda: listener.said("sensord/status") == [b"online", b"offline", b"online"])


class OutageTests(MqttTestCase):
    """
    What goes wrong.
    """

    async def test_absent(self) -> None:
        """
        Without a broker, a batch fails, and the next one is taken as soon as there is one.
        """
        broker = Mosquitto(self.folder)
        self.addCleanup(broker.close)
        sink = self.sink(broker.port)
        error = await self.failing(sink.write(entries([1])), Transient)
        self.assertIn("refused", str(error))
        broker.start()
        await insist(sink, entries([1]))

    async def test_unknown(self) -> None:
        """
        A broker with a name that does not exist is not there.
        """
        sink = self.sink(0, broker="tcp:broker.invalid:1883")
        await self.failing(sink.write(entries([1])), Transient)

    async def test_restart(self) -> None:
        """
        The broker is started anew in the middle of a batch: all that was written is heard.
        """
        broker = self.serve()
        listener = await self.hear(broker, "listener", TOPIC)
        sink = self.sink(broker.port, inflight=5)
        errors: list[SinkError] = []
        for start in range(0, 4 * sink.most, sink.most):
            writing = Deferred.fromCoroutine(
                insist(sink, entries(range(start, start + sink.most), start + 1))
            )
            if start == sink.most:
                await until(lambda: len(listener.said(TOPIC)) > sink.most)
                self.assertFalse(writing.called)
                broker.end()
                broker.start()
            errors += await writing
        self.assertTrue(errors)
        expected = {b"%d" % n for n in range(4 * sink.most)}
        await until(lambda: set(listener.said(TOPIC)) == expected)

    async def test_killed(self) -> None:
        """
        A broker that is killed while a batch is on its way fails the batch, at once.
        """
        broker = self.serve()
        sink = self.sink(broker.port, inflight=1)
        await sink.write(entries([0]))
        writing = sink.write(entries(range(sink.most)))
        broker.end(signal.SIGKILL)
        await self.failing(writing, Transient)


class AccessTests(MqttTestCase):
    """
    Who is let in.
    """

    async def test_password(self) -> None:
        """
        With the right password readings are taken. With a wrong one, somebody has to do something.
        """
        secrets = self.folder / "passwords"
        password(secrets, "gateway", "open sesame")
        broker = self.serve(f"password_file {secrets}", anonymous=False)
        right = Secret("open sesame")
        sink = self.sink(broker.port, user="gateway", password=right)
        await sink.write(entries([1]))
        wrong = Secret("open barley")
        sink = self.sink(broker.port, user="gateway", password=wrong)
        error = await self.failing(sink.write(entries([1])), Misconfigured)
        self.assertEqual(str(error), "not authorized")
        self.assertFalse(sink.connected)

    async def test_tls(self) -> None:
        """
        With TLS, the broker's certificate is checked, and ours is shown.
        """
        authority = Authority(self.folder, "authority")
        authority.issue("broker")
        authority.issue("gateway")
        broker = self.serve(
            f"cafile {self.folder}/authority.pem\ncertfile {self.folder}/broker.pem\n"
            f"keyfile {self.folder}/broker.key\nrequire_certificate true"
        )
        mine = {"cert": f"{self.folder}/gateway.pem", "key": f"{self.folder}/gateway.key"}
        for host in ("127.0.0.1", "localhost"):
            where = f"tls:{host}:{broker.port}"
            ca = f"{self.folder}/authority.pem"
            await self.sink(0, broker=where, ca=ca, **mine).write(entries([1]))

    async def test_untrusted(self) -> None:
        """
        A broker whose certificate is not trusted, or that does not speak TLS, is told nothing.
        """
        authority = Authority(self.folder, "authority")
        authority.issue("broker")
        Authority(self.folder, "other")
        broker = self.serve(f"certfile {self.folder}/broker.pem\nkeyfile {self.folder}/broker.key")
        where = f"tls:127.0.0.1:{broker.port}"
        for ca, why in (
            ("other.pem", "TLS: certificate verify failed"),
            ("", "TLS: certificate verify failed"),
            ("none.pem", "No such file"),
            ("mosquitto.conf", "no certificate"),
        ):
            path = str(self.folder / ca) if ca else ""
            sink = self.sink(0, broker=where, ca=path)
            error = await self.failing(sink.write(entries([1])), Misconfigured)
            self.assertIn(why, str(error))


class SubscriptionTests(MqttTestCase):
    """
    What is heard.
    """

    def client(self, port: int, terms: Terms) -> Broker:
        """
        A connection that the broker remembers.
        """
        settings = BrokerSettings(
            broker=f"tcp:127.0.0.1:{port}", client_id="hub", version=self.version
        )
        return Broker(reactor(), settings, "hub", terms)

    async def test_acknowledged(self) -> None:
        """
        What was not acknowledged comes again, also after a restart of the broker, and what was
        does not.
        """
        broker = self.serve()
        heard: list[Message] = []
        client = self.client(broker.port, Terms(kept=3600, manual=True))
        self.addCleanup(client.stop)
        granted = client.subscribe("/+/+/data", heard.append)
        client.start()
        await granted
        for payload in (b"one", b"two", b"three"):
            await client.publish(Publication("/hub/device/data", payload))
        await until(lambda: len(heard) == 3)
        heard[0].ack()
        heard[1].ack()
        await client.publish(Publication("elsewhere", b""))  # the answers went before
        broker.end()
        broker.start()
        await until(lambda: len(heard) > 3)
        heard[2].ack()  # of a connection that has ended: it means nothing
        self.assertEqual([message.payload for message in heard[3:]], [b"three"])

    async def test_shared(self) -> None:
        """
        Those who share a subscription are told different things, and together all of it.
        """
        broker = self.serve()
        heard: list[list[Message]] = [[], []]
        where = f"tcp:127.0.0.1:{broker.port}"
        settings = BrokerSettings(broker=where, version=self.version)
        for each in heard:
            client = Broker(reactor(), settings, "hub")
            self.addCleanup(client.stop)
            client.start()
            await client.subscribe("$share/group/+/data", each.append)
        for number in range(20):
            await client.publish(Publication("hub/data", b"%d" % number))
        await until(lambda: len(heard[0]) + len(heard[1]) == 20)
        self.assertTrue(heard[0] and heard[1])
        payloads = {message.payload for each in heard for message in each}
        self.assertEqual(payloads, {b"%d" % number for number in range(20)})


class SinkFiveTests(SinkTests):
    """
    The same with MQTT 5.
    """

    version = "5"


class StatusFiveTests(StatusTests):
    """
    The same with MQTT 5.
    """

    version = "5"


class OutageFiveTests(OutageTests):
    """
    The same with MQTT 5.
    """

    version = "5"


class AccessFiveTests(AccessTests):
    """
    The same with MQTT 5, whose brokers say more.
    """

    version = "5"

    async def test_forbidden(self) -> None:
        """
        A broker says that a topic is not ours to speak at.
        """
        (self.folder / "rights").write_text("topic readwrite sensord/status\n")
        broker = self.serve(f"acl_file {self.folder / 'rights'}")
        sink = self.sink(broker.port)
        error = await self.failing(sink.write(entries([1])), Misconfigured)
        self.assertEqual(str(error), "not authorized")


class SubscriptionFiveTests(SubscriptionTests):
    """
    The same with MQTT 5.
    """

    version = "5"


class Relay(ProxyFactory):
    """
    What stands between us and a broker, and can be cut.

    @ivar where: the port that it listens on.
    """

    noisy = False

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port)
        self._ends: list[Any] = []
        self._listening = reactor().listenTCP(0, self, interface="127.0.0.1")
        self.where: int = self._listening.getHost().port

    def buildProtocol(self, addr: Any) -> Any:
        """
        Somebody wants to speak with the broker.
        """
        made = super().buildProtocol(addr)
        self._ends.append(made)
        return made

    def cut(self) -> None:
        """
        End all connections without a word.
        """
        ends, self._ends = self._ends, []
        for end in ends:
            if end.peer is not None:  # else it is over
                end.transport.abortConnection()
                end.peer.transport.abortConnection()

    async def close(self) -> None:
        """
        Be gone.
        """
        self.cut()
        await self._listening.stopListening()


class Authority:
    """
    Who issues certificates.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._sign(name, self._name, self._key, True)

    def issue(self, name: str) -> None:
        """
        Write a certificate and its key.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._sign(name, subject, key, False)
        (self._folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    def _sign(
        self, file: str, subject: x509.Name, key: ec.EllipticCurvePrivateKey, authority: bool
    ) -> None:
        now = datetime.now(UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        (self._folder / f"{file}.pem").write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
        )

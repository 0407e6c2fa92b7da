"""
Tests for L{sensord.protocols.http}.
"""

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import capturedLogs, formatEvent
from twisted.web.resource import Resource

from sensord.config import ConfigError
from sensord.control.channel import site
from sensord.protocols.http import Mount, PushListener
from sensord.pushes import PushSettings
from sensord.settings import Secret
from tests.protocols.push import HOST, Client, PushTestCase

_BODY = b'{"device": "d", "x": 1}'

JSON = "/api/v1/readings"


class ListenerTests(PushTestCase):
    """
    A port of its own.
    """

    def test_open(self) -> None:
        """
        It says where it listens, and how it is.
        """
        with capturedLogs() as logs:
            way = self.begin(listen="tcp:8086:interface=127.0.0.1")
        self.assertEqual(
            formatEvent(logs[-1]),
            "push: http 127.0.0.1:8086, http, refused while nothing can be stored;"
            " each request is answered after its commit",
        )
        self.assertEqual((way.state, way.where, way.connected), ("open", "http 127.0.0.1:8086", 0))
        self.assertEqual(way.address, IPv4Address("TCP", "127.0.0.1", 8086))
        client = self.client()
        self.assertEqual((way.connected, len(way.factory.connections)), (1, 1))
        [link] = way.factory.connections
        self.assertEqual((link.host, set(link.met)), (HOST, set()))
        client.hangUp()
        self.assertEqual(way.connected, 0)

    def test_exposed(self) -> None:
        """
        Without a token it does not open a port that others reach, be it by a name.
        """
        for listen in ("tcp:8086", "tcp:8086:interface=192.168.1.1", "ssl:8086"):
            with self.assertRaises(ConfigError) as raised:
                self.begin(listen=listen, token=Secret())
            why = "is reached from other machines, which needs a token"
            self.assertEqual(
                str(raised.exception), f'[[listeners]] "push" listen: "{listen}" {why}'
            )
        self.assertEqual(self.clock.tcpServers, [])

    def test_leadsElsewhere(self) -> None:
        """
        Nor if it only shows when it is open that others reach it.
        """
        listen = self.clock.listenTCP

        def elsewhere(*arguments: Any, **more: Any) -> Any:
            made = listen(*arguments, **more)
            made._hostAddress = IPv4Address("TCP", "192.168.1.1", 8086)
            made.stopListening = lambda: stopped.append(made)
            return made

        stopped: list[Any] = []
        self.clock.listenTCP = elsewhere
        with self.assertRaises(ConfigError):
            self.begin(listen="tcp:8086:interface=localhost", token=Secret())
        self.assertEqual((len(stopped), self.way.running), (1, 0))

    def test_taken(self) -> None:
        """
        A port that is taken is said.
        """

        def taken(port: int, factory: Any, backlog: int, interface: str) -> Any:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))

        self.clock.listenTCP = taken
        with self.assertRaises(CannotListenError) as raised:
            self.begin()
        self.assertIn('[[listeners]] "push" listen: port 8086', str(raised.exception))

    def test_connections(self) -> None:
        """
        So many connections are let in; more are refused, and counted.
        """
        way = self.begin(max_connections=2)
        clients = [self.client(), self.client()]
        with capturedLogs() as logs:
            self.assertIsNone(self.client().protocol)
        self.assertIn("there are 2 connections already", formatEvent(logs[0]) or "")
        clients[0].hangUp()
        self.assertIsNotNone(self.client().protocol)
        self.assertEqual((way.factory.refused, way.connected), (1, 2))

    def test_networks(self) -> None:
        """
        Who is not of a network that is allowed is refused; an IPv4 peer of an IPv6 port is what it
        is.
        """
        way = self.begin(allow=("192.168.1.0/24",))
        self.assertIsNotNone(self.client("192.168.1.3").protocol)
        self.assertIsNotNone(self.client("::ffff:192.168.1.3").protocol)
        self.assertIsNone(self.client("192.168.2.3").protocol)
        self.assertEqual(way.factory.refused, 1)

    def test_idle(self) -> None:
        """
        A connection without a request is closed after the idle time; with none set it is kept.
        """
        self.begin(idle_timeout=100.0)
        client = self.client()
        client.ask("POST", JSON, _BODY)
        self.clock.advance(0.01)
        self.assertEqual(client.answer().status, 200)
        self.clock.advance(99)
        self.assertFalse(client.transport.disconnecting)
        self.clock.advance(1)
        self.assertTrue(client.transport.disconnecting)
        self.way.revise(PushSettings("push", "http", "tcp:8086", idle_timeout=0))
        client = self.client()
        self.clock.advance(1e6)
        self.assertFalse(client.transport.disconnecting)

    def test_revised(self) -> None:
        """
        Limits, the token and the tags change, and connections stay.
        """
        way = self.begin()
        client = self.client()
        way.revise(
            PushSettings(
                "push",
                "http",
                "tcp:8086",
                max_connections=1,
                token=Secret("other"),
                device_tags=("t",),
                max_body=1024,
            )
        )
        self.assertIsNone(self.client().protocol)
        client.ask("POST", "/write", b"m,t=d v=1", auth="Bearer other")
        self.clock.advance(0.01)
        self.assertEqual(client.answer().status, 204)
        self.assertEqual(self.stored(), [("d", "m.v", 1)])
        client.ask("POST", "/write", b"#" * 1025, auth="Bearer other")
        self.assertEqual(client.answer().status, 413)

    def test_logged(self) -> None:
        """
        It is logged when requests are refused since nothing can be stored, and when not any more.
        """
        way = self.begin()
        with capturedLogs() as logs:
            way.steer(False, False)
            way.steer(False, True)
            way.steer(True, False)
        self.assertEqual(
            [formatEvent(log) for log in logs],
            [
                "push: refuses all, since nothing can be stored",
                "push: requests are taken again",
            ],
        )


class StopTests(PushTestCase):
    """
    The end.
    """

    def stop(self, way: PushListener) -> "Deferred[None]":
        """
        Stop a listener, as the API does.
        """
        self.successResultOf(way.stopService())
        return Deferred.fromCoroutine(way.disconnect())

    def test_stop(self) -> None:
        """
        Who asked before it stops is answered when it is stored; then all connections are closed.
        """
        way = self.begin()
        idle, asking = self.client(), self.client()
        asking.ask("POST", JSON, _BODY)
        done = self.stop(way)
        self.assertEqual((way.state, way.address), ("stopped", None))
        self.clock.advance(0.05)
        self.assertEqual(asking.answer().status, 200)
        self.clock.advance(0.05)
        for client in (idle, asking):
            self.assertTrue(client.transport.disconnecting)
            client.hangUp()
        self.clock.advance(0.05)
        self.successResultOf(done)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.stored()), 1)

    def test_refused(self) -> None:
        """
        Who asks after that is told to come again.
        """
        way = self.begin()
        client = self.client()
        self.successResultOf(way.stopService())
        client.ask("POST", JSON, _BODY)
        self.assertEqual(client.answer().status, 503)

    def test_waiting(self) -> None:
        """
        So is who waits since there is too much to store.
        """
        way = self.begin()
        way.steer(True, True)
        client = self.client()
        client.ask("POST", JSON, _BODY)
        self.assertEqual(client.transport.value(), b"")
        self.successResultOf(way.stopService())
        self.assertEqual(client.answer().status, 503)

    def test_unstored(self) -> None:
        """
        And who has asked for what could not be stored in the end.
        """
        way = self.begin()
        self.disk.trouble = ""
        client = self.client()
        client.ask("POST", JSON, _BODY)
        self.successResultOf(way.stopService())
        with capturedLogs():
            self.successResultOf(self.store.stopService())
        answer = client.answer()
        self.assertEqual(answer.status, 503)
        self.assertIn(b"nothing can be stored just now", answer.read())

    def test_deaf(self) -> None:
        """
        A client that does not close its connection is cut off.
        """
        way = self.begin()
        client = self.client()
        done = self.stop(way)
        self.clock.pump([0.05] * 20)
        self.assertTrue(client.transport.disconnected)
        client.hangUp()
        self.successResultOf(done)

    def test_again(self) -> None:
        """
        It can be started again.
        """
        way = self.begin()
        self.successResultOf(self.stop(way))
        way.startService()
        self.assertEqual(way.state, "open")
        self.assertEqual(self.push(JSON, _BODY).status, 200)


class MountTests(PushTestCase):
    """
    The port of the page.
    """

    def page(self, ways: dict[str, object]) -> Any:
        """
        What speaks HTTP there.
        """
        mount = Mount(ways)
        return site(self.clock, mount, mount.body)

    def test_mounted(self) -> None:
        """
        A listener without a port of its own is asked by way of the page, with its own limits.
        """
        way = self.begin(listen="", max_body=100_000)
        self.assertEqual(
            (way.state, way.where, way.address), ("open", "the port of the page", None)
        )
        self.assertEqual(self.clock.tcpServers, [])
        page = self.page({"other": Resource(), "push": way})
        client = Client(page)
        client.ask("POST", "/write", b"#" * 99_000 + b"\nd v=1")
        self.assertEqual(way.connected, 1)
        self.clock.advance(0.01)
        self.assertEqual((client.answer().status, way.connected), (204, 0))
        client.ask("POST", "/write", b"#" * 100_001)
        self.assertEqual(client.answer().status, 413)
        client = Client(page)
        client.ask("POST", "/other", b"#" * 99_000)
        self.assertEqual(client.answer().status, 413)

    def test_none(self) -> None:
        """
        Where there is none, nothing can be pushed; a listener on a port of its own is not there.
        """
        own = self.begin()
        for ways in ({}, {"push": own}):
            client = Client(self.page(dict(ways)))
            client.ask("POST", "/write", b"d v=1")
            answer = client.answer()
            self.assertEqual(answer.status, 404)
            self.assertEqual(answer.read(), b'{"error":"there is no listener on this port"}')

    def test_other(self) -> None:
        """
        It may become another one at any time; one that is stopped refuses.
        """
        ways: dict[str, object] = {}
        page = self.page(ways)
        ways["push"] = way = self.begin(listen="")
        client = Client(page)
        client.ask("POST", "/write", b"d v=1")
        self.clock.advance(0.01)
        self.assertEqual(client.answer().status, 204)
        self.successResultOf(way.stopService())
        client.ask("POST", "/write", b"d v=1")
        self.assertEqual(client.answer().status, 503)
        done = Deferred.fromCoroutine(way.disconnect())
        self.successResultOf(done)

    def test_page(self) -> None:
        """
        Without a token, pages from elsewhere are kept out there, too.
        """
        way = self.begin(listen="", token=Secret())
        page = self.page({"push": way})
        client = Client(page, "127.0.0.1", "127.0.0.1")
        client.ask("POST", "/write", b"d v=1", auth="", Host="localhost", Origin="http://x.example")
        self.assertEqual(client.answer().status, 403)

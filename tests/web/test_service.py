"""
Tests for L{sensord.web.service}.
"""

from typing import Any

from msgspec import json
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import capturedLogs, formatEvent

from sensord.config import ConfigError
from sensord.endpoints import PortError
from sensord.web.origins import local
from sensord.web.settings import UserSettings, WebSettings
from tests.web.support import ANNA, PASSWORD, VERA, Browser, WebTestCase, basic


class ServiceTests(WebTestCase):
    """
    The port of the page.
    """

    users: tuple[UserSettings, ...] = ()

    def test_started(self) -> None:
        """
        The log says where browsers find it.
        """
        users = (ANNA,)
        for settings, where in (
            (WebSettings(), "http://127.0.0.1:8080/"),
            (WebSettings(r"tcp6:8081:interface=\:\:1"), "http://[::1]:8081/"),
            (WebSettings("tcp:8082", users), "http://0.0.0.0:8082/"),
        ):
            with capturedLogs() as events:
                web = self.serve(settings)
            [line] = [formatEvent(one) for one in events if "web:" in (formatEvent(one) or "")]
            self.assertEqual(line, f"web: {where}")
            self.stop(web)

    def test_exposed(self) -> None:
        """
        It refuses to start where others could come in without being known, and leaves no port.
        """
        count = len(self.reactor.tcpServers)
        for listen in ("tcp:8080", "tcp:8080:interface=192.168.1.2"):
            error = self.assertRaises(ConfigError, self.serve, WebSettings(listen))
            [line] = error.faults
            self.assertTrue(line.startswith(f'[web] listen: "{listen}" is reached from'), line)
        self.assertEqual(len(self.reactor.tcpServers), count)

    def test_misled(self) -> None:
        """
        So it does when the name of this machine leads elsewhere.
        """
        closed: list[Any] = []
        listen = self.reactor.listenTCP

        def misled(port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
            made = listen(port, factory, backlog, "0.0.0.0")
            made.stopListening = lambda: closed.append(made)
            return made

        self.reactor.listenTCP = misled
        settings = WebSettings("tcp:8080:interface=localhost")
        self.assertRaises(ConfigError, self.serve, settings)
        self.assertEqual(len(closed), 1)

    def test_taken(self) -> None:
        """
        A port that is taken is one line that names the setting.
        """
        self.reactor.taken = True
        error = self.assertRaises(PortError, self.serve, WebSettings())
        self.assertTrue(str(error).startswith("[web] listen: port 8080 on 127.0.0.1 is taken"))
        self.assertIsInstance(error, CannotListenError)

    def test_noEndpoint(self) -> None:
        """
        An endpoint string that is none is one, too.
        """
        error = self.assertRaises(ConfigError, self.serve, WebSettings("unix"))
        self.assertTrue(error.faults[0].startswith('[web] listen: "unix" is no endpoint'))

    def test_local(self) -> None:
        """
        Which addresses only this machine reaches.
        """
        self.assertTrue(local(UNIXAddress(b"/run/web.sock")))
        self.assertTrue(local(IPv4Address("TCP", "127.0.0.1", 80)))
        self.assertTrue(local(IPv6Address("TCP", "::1", 80)))
        self.assertFalse(local(IPv4Address("TCP", "0.0.0.0", 80)))
        self.assertFalse(local(IPv6Address("TCP", "::", 80)))

    def test_crowd(self) -> None:
        """
        There is a limit on connections.
        """
        self.serve(WebSettings(max_connections=3))
        browsers = [Browser(self) for _ in range(3)]
        self.assertIsNone(Browser(self).protocol)
        browsers[0].hangUp()
        self.assertIsNotNone(Browser(self).protocol)

    def test_stop(self) -> None:
        """
        At the stop, links are closed, those that stay open are cut, and no timer is left.
        """
        idle, gone = Browser(self), Browser(self)
        idle.send(b"GET /api/v1/listeners HTTP/1.1\r\nHost: localhost\r\n")
        stopped = self.web.stopService()
        self.assertTrue(idle.transport.disconnecting)
        gone.hangUp()
        self.reactor.pump([0.05] * 30)
        self.successResultOf(stopped)
        self.assertTrue(idle.transport.disconnected)
        idle.hangUp()
        self.assertIsNone(self.web.address)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.web.startService()
        self.factory = self.reactor.tcpServers[-1][1]
        self.assertEqual(self.call("GET", "/healthz").status, 200)


class ReviseTests(WebTestCase):
    """
    Other settings while it runs.
    """

    users = (ANNA, VERA)

    def revise(self, **settings: Any) -> None:
        """
        Go on with other settings.
        """
        self.successResultOf(self.revising(**settings))

    def revising(self, **settings: Any) -> Any:
        """
        The same, if it fails.
        """
        return Deferred.fromCoroutine(self.web.revise(WebSettings(**settings)))

    def test_users(self) -> None:
        """
        Whoever is as before goes on; others have to log in again, and their events end.
        """
        anna, vera = self.cookie(), self.cookie("vera")
        streams = []
        for cookie in (anna, vera):
            streams.append(Browser(self))
            streams[-1].send(self.head("GET", "/api/v1/events", Cookie=cookie))
        self.revise(users=(ANNA, UserSettings("vera", VERA.password, "operator")))
        self.assertEqual([one.transport.disconnected for one in streams], [False, True])
        self.assertEqual(self.call("GET", "/api/v1/session", Cookie=anna).status, 200)
        self.refused(self.call("GET", "/api/v1/session", Cookie=vera), 401)
        answer = self.decode(self.enter("vera"), 200)
        self.assertEqual(answer["role"], "operator")

    def test_closed(self) -> None:
        """
        Who came in when there were no users has to log in when there are.
        """
        self.revise()
        stream = Browser(self)
        stream.send(self.head("GET", "/api/v1/events"))
        self.revise(users=(ANNA,))
        self.assertTrue(stream.transport.disconnected)
        self.refused(self.call("GET", "/api/v1/devices"), 401)

    def test_left(self) -> None:
        """
        A link from elsewhere, made when there were users, is nobody's when there are none.
        """
        self.revise(listen="tcp:8080", users=self.users)
        browser = Browser(self, "192.168.1.7")
        browser.transport.hostAddr = IPv4Address("TCP", "192.168.1.2", 8080)
        browser.send(self.head("GET", "/healthz"))
        self.assertEqual(self.response(browser.taken()).status, 200)
        self.revise()
        browser.send(self.head("GET", "/api/v1/devices"))
        self.refused(self.response(browser.taken()), 403)

    def test_meanwhile(self) -> None:
        """
        Who is removed while the password is checked does not get in, neither by a login nor with
        the request.
        """
        self.runner.holding = True
        body = json.encode({"name": "anna", "password": PASSWORD})
        login, events = Browser(self), Browser(self)
        head = self.head(
            "POST",
            "/api/v1/session",
            Content_Type="application/json",
            Content_Length=str(len(body)),
        )
        login.send(head + body)
        events.send(self.head("GET", "/api/v1/events", Authorization=basic("anna")))
        self.revise(users=(VERA,))
        for _ in range(2):
            self.runner.release()
        for one in (login, events):
            answer = self.response(one.taken())
            self.assertIsNone(answer.headers["Set-Cookie"])
            self.assertIn("have just changed", self.refused(answer, 503))

    def test_moved(self) -> None:
        """
        It listens elsewhere.
        """
        with capturedLogs() as events:
            self.revise(listen="tcp:9090:interface=127.0.0.1", users=self.users)
        self.assertIn("web: http://127.0.0.1:9090/", [formatEvent(one) for one in events])
        address: Any = self.web.address
        self.assertEqual(address.port, 9090)

    def test_cannot(self) -> None:
        """
        Where it cannot listen, all is as it was before.
        """
        cookie = self.cookie()
        failing = self.revising(listen="tcp:9090", users=())
        self.failureResultOf(failing, ConfigError)
        address: Any = self.web.address
        self.assertEqual(address.port, 8080)
        self.assertEqual(self.call("GET", "/api/v1/session", Cookie=cookie).status, 200)

    def test_opened(self) -> None:
        """
        Users that are needed cannot go.
        """
        self.revise(listen="tcp:8080", users=self.users)
        self.failureResultOf(self.revising(listen="tcp:8080"), ConfigError)
        self.refused(self.call("GET", "/api/v1/devices"), 401)
        self.revise(listen="tcp:8080", users=(ANNA,))

    def test_hosts(self) -> None:
        """
        It may be called otherwise, and be reached by fewer.
        """
        self.revise(hosts=("sensors.example.org",), max_connections=1)
        response = self.call("GET", "/healthz", Host="sensors.example.org")
        self.assertEqual(response.status, 200)
        first = Browser(self)
        self.assertIsNone(Browser(self).protocol)
        first.hangUp()

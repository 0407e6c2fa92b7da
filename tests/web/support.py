"""
What the tests of the page share: the page over the real control API, and a client that sends it
the bytes of HTTP.
"""

from base64 import b64encode
from http.client import HTTPResponse
from typing import Any

from msgspec import json
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport
from twisted.web.resource import Resource

from sensord.settings import Secret
from sensord.web import passwords
from sensord.web.service import Web
from sensord.web.settings import OPERATOR, VIEWER, UserSettings, WebSettings
from tests.control.support import ApiTestCase, Reactor
from tests.http import End
from tests.store.support import Runner

#: The password of everybody, and its hash, which costs next to nothing.
PASSWORD = "correct horse"
HASH = str(passwords.make(PASSWORD, 2, 1, 1))

#: Who may log in.
ANNA = UserSettings("anna", Secret(HASH), OPERATOR)
VERA = UserSettings("vera", Secret(HASH), VIEWER)


class Said(Resource):
    """
    Stands for what is served beside the API.
    """

    isLeaf = True

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def render(self, request: Any) -> bytes:
        """
        See L{IResource.render}.
        """
        return f"{self._name} of {request.path.decode()}".encode()


class PageReactor(Reactor):
    """
    A reactor whose ports are at the addresses that were asked for.
    """

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """
        Listen.
        """
        made: Any = super().listenTCP(port, factory, backlog, interface)
        if ":" not in interface:
            made._hostAddress = IPv4Address("TCP", interface or "0.0.0.0", port)
        return made


class Browser(End):
    """
    One link to the page.

    @ivar transport: what it has come by.
    """

    def __init__(self, case: "WebTestCase", host: str = "127.0.0.1") -> None:
        peer = IPv4Address("TCP", host, 40000)
        self._case = case
        self.transport: Any = StringTransport(IPv4Address("TCP", "127.0.0.1", 8080), peer)
        self.protocol: Any = case.factory.buildProtocol(peer)
        if self.protocol is not None:
            self.protocol.makeConnection(self.transport)


class WebTestCase(ApiTestCase):
    """
    The page of a gateway.

    @ivar runner: runs what takes long: the checks of passwords.
    @ivar why: why nothing can be stored.
    """

    users: tuple[UserSettings, ...] = ()
    push = True

    def setUp(self) -> None:
        """
        Start it.
        """
        super().setUp()
        now = self.clock.seconds()
        self.reactor: Any = PageReactor()
        self.reactor.advance(now)
        self.runner, self.why = Runner(), ""
        self.web = self.serve(WebSettings(users=self.users))

    def serve(self, settings: WebSettings) -> Web:
        """
        Start a page with some settings.
        """
        web = Web(
            self.reactor,
            settings,
            self.api.resource(),
            Said("push") if self.push else None,
            Said("metrics"),
            lambda: self.why,
            self.runner,
        )
        web.startService()
        self.factory: Any = self.reactor.tcpServers[-1][1]
        return web

    def stop(self, web: Web) -> None:
        """
        Stop it, however long that takes.
        """
        stopped = web.stopService()
        self.reactor.pump([0.05] * 30)
        self.successResultOf(stopped)

    def head(self, method: str, path: str, **fields: str) -> bytes:
        """
        The head of a request.
        """
        fields = {"Host": "localhost:8080", **fields}
        lines = [f"{key.replace('_', '-')}: {value}" for key, value in fields.items() if value]
        return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "\r\n"]).encode("latin-1")

    def call(
        self, method: str, path: str, body: object = None, host: str = "127.0.0.1", **fields: str
    ) -> HTTPResponse:
        """
        Send a request on a link of its own.

        @param body: becomes JSON.
        @param host: where from.
        @param fields: of the head, with _ in place of -.
        @return: the answer; C{read} it.
        """
        data = b"" if body is None else json.encode(body)
        if method == "POST":
            fields = {"Content_Type": "application/json", **fields}
        if data or method == "POST":
            fields["Content_Length"] = str(len(data))
        browser = Browser(self, host)
        browser.send(self.head(method, path, **fields) + data)
        for _ in range(10):
            if not browser.transport.value():
                self.clock.advance(0.05)
        answer = self.response(browser.taken(), method)
        browser.hangUp()
        return answer

    def enter(self, name: str = "anna", password: str = PASSWORD, **fields: Any) -> HTTPResponse:
        """
        Try to log in.
        """
        body = {"name": name, "password": password}
        return self.call("POST", "/api/v1/session", body, **fields)

    def cookie(self, name: str = "anna") -> str:
        """
        The cookie of somebody who has logged in.
        """
        response = self.enter(name)
        self.assertEqual(response.status, 200)
        return str(response.headers["Set-Cookie"]).partition(";")[0]

    def refused(self, response: HTTPResponse, status: int) -> str:
        """
        The reason why something was refused.
        """
        why: str = self.decode(response, status)["error"]
        return why


def basic(name: str, password: str = PASSWORD) -> str:
    """
    A name and a password as programs show them.
    """
    return f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"

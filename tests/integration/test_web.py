"""
The page on its real port: the daemon as a process, and what programs and browsers say to it.
"""

import contextlib
import os
import socket
import ssl
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any

from msgspec import json

from tests.integration.daemon import (
    PATIENCE,
    Daemon,
    DaemonTestCase,
    freePort,
    receive,
    sensord,
    until,
)
from tests.integration.test_daemon import clear, fill
from tests.integration.test_tls import certify
from tests.web.support import HASH, PASSWORD, basic

CONFIG = """
[[listeners]]
name = "poe"
wire = "poe"
listen = "tcp:0:interface=127.0.0.1"
ack = true

[web]
listen = "{listen}"
{more}
"""

#: A port that the system chooses.
NEAR = "tcp:0:interface=127.0.0.1"

#: Somebody who may do all, and somebody who may look.
_USERS = "\n".join(
    f'[[web.users]]\nname = "{name}"\npassword = "{HASH}"\nrole = "{role}"'
    for name, role in (("anna", "operator"), ("vera", "viewer"))
)

_LOGIN = json.encode({"name": "anna", "password": PASSWORD})

_JSON = {"Content-Type": "application/json"}

#: A frame with a temperature, and its acknowledgement.
_FRAME, _ACK = bytes.fromhex("01010448"), b"\x06"


class WebTestCase(DaemonTestCase):
    """
    A daemon with a page.

    @ivar page: the port that it is on.
    """

    def launch(self, more: str = "", listen: str = NEAR) -> Daemon:
        """
        Start it.
        """
        self.configure(CONFIG.format(listen=listen, more=more))
        daemon = self.start()
        if "tcp" in listen or "ssl" in listen:
            self.page = int(daemon.expect(r"web: https?://[\d.]+:(\d+)/")[1])
        daemon.port("poe")
        return daemon

    def link(self) -> HTTPConnection:
        """
        Connect to it.
        """
        made = HTTPConnection("127.0.0.1", self.page, timeout=PATIENCE)
        self.addCleanup(made.close)
        return made

    def ask(
        self, method: str, path: str, body: bytes = b"", status: int = 200, **fields: str
    ) -> HTTPResponse:
        """
        Ask for something, which must be answered by a status.
        """
        link = self.link()
        link.request(method, path, body, fields | (_JSON if method == "POST" else {}))
        response = link.getresponse()
        self.said = response.read()
        self.assertEqual(response.status, status, self.said)
        return response

    def json(self, path: str, **fields: str) -> Any:
        """
        What is at a path.
        """
        self.ask("GET", path, b"", 200, **fields)
        return json.decode(self.said)

    def feed(self, daemon: Daemon) -> socket.socket:
        """
        A device that has sent a frame.
        """
        device = self.connect(daemon.port("poe"))
        device.sendall(_FRAME)
        self.assertEqual(receive(device, 1), _ACK)
        return device

    def stream(self, **fields: str) -> HTTPResponse:
        """
        Follow events.
        """
        link = self.link()
        link.request("GET", "/api/v1/events", headers=fields)
        response = link.getresponse()
        self.assertEqual(response.status, 200)
        self.assertTrue(response.readline().startswith(b":"))
        return response

    def until(self, response: HTTPResponse, start: bytes) -> bytes:
        """
        The next line of a stream that begins so.
        """
        while not (line := response.readline()).startswith(start):
            self.assertNotEqual(line, b"")
        return line


class WebTests(WebTestCase):
    """
    A page for those who are on this machine.
    """

    def test_page(self) -> None:
        """
        The page and all that it consists of can be had, and what devices send is seen live.
        """
        daemon = self.launch()
        self.assertIn(b"<!doctype html>", self.ask("GET", "/") and self.said[:100].lower())
        self.ask("GET", "/static/lib/api.js")
        self.assertEqual(self.json("/readyz"), {"ready": True})
        stream = self.stream()
        self.feed(daemon)
        self.until(stream, b"event: readings")
        self.assertIn(b'"device":"poe/127.0.0.1"', self.until(stream, b"data: "))
        [device] = self.json("/api/v1/devices")
        self.assertEqual(device["address"], "poe/127.0.0.1")
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

    def test_sameApi(self) -> None:
        """
        The toolbox and the page see the same, and a stop by the one is seen by the other.
        """
        daemon = self.launch()
        self.ask("POST", "/api/v1/listeners/poe/stop")
        told = self.run_(*sensord(), "listeners", "--json")
        self.assertEqual(json.decode(told.stdout)[0]["state"], "stopped")
        self.assertEqual(self.json("/api/v1/listeners")[0]["state"], "stopped")
        self.assertEqual(daemon.end(), 0)

    def test_noSocket(self) -> None:
        """
        There can be a page without a control socket.
        """
        daemon = self.launch('[control]\nsocket = ""')
        self.assertEqual(len(self.json("/api/v1/listeners")), 1)
        self.assertFalse((self.folder / "sensord.sock").exists())
        self.assertEqual(daemon.end(), 0)

    def test_stop(self) -> None:
        """
        Streams end with the daemon, which nobody who is connected keeps from ending.
        """
        daemon = self.launch()
        streams = [self.stream() for _ in range(3)]
        idle = self.connect(self.page)
        half = self.connect(self.page)
        half.sendall(b"GET / HTTP/1.1\r\n")
        self.assertEqual(daemon.end(), 0)
        for stream in streams:
            while stream.readline():
                pass
        with contextlib.suppress(ConnectionResetError):  # it was not even let in
            self.assertEqual(receive(idle, 1), b"")
        self.assertQuiet(daemon)

    def test_full(self) -> None:
        """
        While nothing can be stored it is alive, not ready, and says why.
        """
        daemon = self.launch()
        device = self.feed(daemon)
        fill(daemon)
        device.sendall(_FRAME)
        daemon.expect("poe: closed, since nothing can be stored")
        self.ask("GET", "/readyz", status=503)
        self.assertNotEqual(json.decode(self.said)["error"], "")
        self.ask("GET", "/healthz")
        clear(daemon)
        daemon.expect("storing again")
        until(lambda: self.ready() == 200)
        self.assertEqual(daemon.end(), 0)

    def ready(self) -> int:
        """
        How it says that it is.
        """
        link = self.link()
        link.request("GET", "/readyz")
        return link.getresponse().status

    def test_taken(self) -> None:
        """
        A port that is taken ends the start with one line that names the setting.
        """
        port = freePort()
        with socket.create_server(("127.0.0.1", port)):
            self.configure(CONFIG.format(listen=f"tcp:{port}:interface=127.0.0.1", more=""))
            daemon = self.start()
            self.assertEqual(daemon.wait(), 1)
        said = f"sensord: [web] listen: port {port} on 127.0.0.1 is taken"
        self.assertIn(said, daemon.log)
        self.assertNotIn("Traceback", daemon.log)

    def test_exposed(self) -> None:
        """
        Asked to listen beyond this machine without users, it does not start, and says what to do.
        """
        self.configure(CONFIG.format(listen="tcp:0", more=""))
        daemon = self.start()
        self.assertEqual(daemon.wait(), 1)
        [line] = daemon.log.splitlines()
        self.assertTrue(line.startswith('sensord.toml: [web] listen: "tcp:0" is reached from'))
        self.assertIn("sensord passwd", line)

    def test_unix(self) -> None:
        """
        It can be a socket in the folder, for a proxy say.
        """
        daemon = self.launch(listen="unix:web.sock:mode=600")
        daemon.expect("web: unix web.sock")
        with contextlib.chdir(self.folder), socket.socket(socket.AF_UNIX) as link:
            link.connect("web.sock")
            link.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            self.assertTrue(receive(link, 2**16).startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertEqual(daemon.end(), 0)
        self.assertFalse((self.folder / "web.sock").exists())

    def test_garbage(self) -> None:
        """
        Whatever is sent to the port costs the link that it came by, and nothing else.
        """
        daemon = self.launch(_USERS)
        for data in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500),
            b"\x00" * 100_000,
            b"GET /\xff\xfe HTTP/1.1\r\nHost: \xff..\r\n\r\n",
            b"GET /static/../../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET /static/%2e%2e/%2e%2e/service.py HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET  HTTP/1.1\r\n\r\n",
            b"GET / HTTP/9.9\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nCookie: " + b"sensord=x; " * 300 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nCookie: " + b"x" * 100_000 + b"\r\n\r\n",
            b"GET /api/v1/devices HTTP/1.1\r\nAuthorization: Basic \xff\xff\r\n\r\n",
            b"GET /api/v1/devices HTTP/1.1\r\nAuthorization: Basic " + b"/w==" * 900 + b"\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nOrigin: \xff\xff\xff\r\nSec-Fetch-Site: \x80\r\n\r\n",
            b"POST /api/v1/session HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n{",
            b"POST /api/v1/session HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"POST /api/v1/session HTTP/1.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 40000\r\n\r\n" + b"[" * 40000,
            b"POST /api/v1/session HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
            b"POST /api/v1/session HTTP/1.1\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/v1/devices HTTP/1.1\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ):
            link = self.connect(self.page)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                link.sendall(data)
                link.shutdown(socket.SHUT_WR)
                answer = receive(link, 2**20)
                self.assertNotIn(b"root:", answer)
                self.assertNotIn(b"Traceback", answer)
                self.assertNotIn(b'"address"', answer)
        self.ask("GET", "/healthz")
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

    def test_flood(self) -> None:
        """
        Ever more connections that say nothing are refused, and devices are heard all the same.
        """
        daemon = self.launch("max_connections = 20")
        crowd = [self.connect(self.page) for _ in range(60)]
        for link in crowd[20:]:
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(receive(link, 1), b"")
        self.feed(daemon)
        crowd[0].close()
        until(lambda: self.served())
        self.assertEqual(daemon.end(), 0)

    def served(self) -> bool:
        """
        Whether there is room for one more.
        """
        with contextlib.suppress(ConnectionError):
            return self.ready() == 200
        return False


class LoginTests(WebTestCase):
    """
    A page with users.
    """

    def enter(self, body: bytes = _LOGIN, status: int = 200, **fields: str) -> str:
        """
        Log in.

        @return: the cookie.
        """
        response = self.ask("POST", "/api/v1/session", body, status, **fields)
        return str(response.headers["Set-Cookie"])

    def test_passwd(self) -> None:
        """
        Somebody whose line C{sensord passwd} has made can log in.
        """
        made = self.run_(
            *["sh", "-c", 'echo "correct horse" | "$@"', "sh"],
            *[*sensord(), "passwd", "anna", "--role", "operator", "--stdin"],
        )
        daemon = self.launch(f"users = [\n{made.stdout}]")
        cookie = self.enter().partition(";")[0]
        me = {"user": "anna", "role": "operator", "login": True}
        self.assertEqual(self.json("/api/v1/session", Cookie=cookie), me)
        self.ask("GET", "/api/v1/devices", status=401)
        self.ask("GET", "/")
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

    def test_roles(self) -> None:
        """
        A viewer sees what an operator sees, and stops nothing.
        """
        daemon = self.launch(_USERS)
        anna, vera = basic("anna"), basic("vera")
        stop = "/api/v1/listeners/poe/stop"
        self.assertEqual(len(self.json("/api/v1/listeners", Authorization=vera)), 1)
        self.ask("POST", stop, status=403, Authorization=vera)
        self.assertEqual(self.json("/api/v1/listeners", Authorization=vera)[0]["state"], "open")
        self.ask("POST", stop, Authorization=anna)
        self.assertEqual(daemon.end(), 0)
        self.assertIn("poe: stopped by anna", daemon.log)

    def test_leave(self) -> None:
        """
        Who logs out hears nothing any more.
        """
        daemon = self.launch(_USERS)
        cookie = self.enter().partition(";")[0]
        stream = self.stream(Cookie=cookie)
        self.ask("DELETE", "/api/v1/session", Cookie=cookie)
        with contextlib.suppress(ConnectionError):
            while stream.readline():
                pass
        self.ask("GET", "/api/v1/devices", status=401, Cookie=cookie)
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

    def test_guessing(self) -> None:
        """
        Who guesses has to wait soon, and costs nothing then.
        """
        daemon = self.launch(_USERS)
        wrong = json.encode({"name": "anna", "password": "x"})
        for _ in range(10):
            self.enter(wrong, 401)
        self.ask("POST", "/api/v1/session", _LOGIN, 429)
        self.assertEqual(daemon.end(), 0)
        self.assertEqual(daemon.log.count("a wrong login as anna from 127.0.0.1"), 1)
        self.assertNotIn(PASSWORD, daemon.log)

    def test_secret(self) -> None:
        """
        No password is among the settings shown.
        """
        self.configure(CONFIG.format(listen=NEAR, more=_USERS))
        daemon = self.start("--show-settings")
        self.assertEqual(daemon.wait(), 0)
        self.assertNotIn("scrypt", daemon.log)

    def test_tls(self) -> None:
        """
        By TLS the cookie goes by TLS only; a plain talker beside it costs nothing.
        """
        certify(self.folder)
        listen = "ssl:0:privateKey=key.pem:certKey=certificate.pem:interface=127.0.0.1"
        daemon = self.launch(_USERS, listen)
        self.assertIn("web: https://127.0.0.1:", daemon.log)
        self.connect(self.page).sendall(b"GET / HTTP/1.1\r\n\r\n")
        context = ssl.create_default_context(cafile=str(self.folder / "certificate.pem"))
        context.check_hostname = False
        link = HTTPSConnection("127.0.0.1", self.page, timeout=PATIENCE, context=context)
        self.addCleanup(link.close)
        link.request("POST", "/api/v1/session", _LOGIN, _JSON)
        response = link.getresponse()
        self.assertEqual(response.status, 200)
        response.read()
        self.assertTrue(str(response.headers["Set-Cookie"]).endswith("; Secure"))
        cookie = str(response.headers["Set-Cookie"]).partition(";")[0]
        link.request("GET", "/api/v1/events", headers={"Cookie": cookie})
        self.assertEqual(link.getresponse().status, 200)
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

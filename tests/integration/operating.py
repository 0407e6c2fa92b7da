"""
The real daemon with its page, and a browser before it, for tests of what operators do there.
"""

import socket
from typing import TYPE_CHECKING, Any

from tests.integration.browser import Browser, assertClean, browse
from tests.integration.daemon import Daemon, DaemonTestCase, receive

if TYPE_CHECKING:
    from playwright.sync_api import Page

WEB = """
[web]
listen = "tcp:0:interface=127.0.0.1"
"""

PAGES = """
[[listeners]]
name = "pages"
wire = "websocket"
listen = "tcp:0:interface=127.0.0.1"

[[devices]]
address = "pages/1"
name = "hall"

[[devices]]
address = "pages/2"
name = "<img src=x onerror=alert(1)>"
"""

LINES = """
[[listeners]]
name = "lines"
wire = "lines"
listen = "tcp:0:interface=127.0.0.1"
ack = true
"""

WEATHER = """
[[listeners]]
name = "weather"
wire = "esp8266"
listen = "tcp:0:interface=127.0.0.1"
"""

HUBS = """
[hubs]
broker = "tcp:127.0.0.1:{port}"
"""

FILES = """
[[sinks]]
name = "files"
kind = "csv"
folder = "Data"
layout = "tidy"
interval = 0.1
"""

#: What a microcontroller says before anything else, and its first message: 1,7,23.5
_SHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: sensord\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: L159VM0TWUzyDxwJEIEzjw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

#: A packet of an ESP8266 with id 9, and two measurements of three values.
_PACKET = bytes.fromhex("0c00 100e 7800 06 09 03 7800 006e 0068 7900 046e 0468")


def message(text: str) -> bytes:
    """
    A message of a WebSocket client, with a mask that changes nothing.
    """
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text.encode()


class OperateTestCase(DaemonTestCase):
    """
    A daemon with a page, and a browser.
    """

    browser: Browser

    def launch(self, *tables: str, web: str = WEB) -> Daemon:
        """
        Start a daemon, and a browser.
        """
        self.browser = browse(self)
        self.configure("".join((web, *tables)))
        daemon = self.start()
        self.url = daemon.expect(r"web: (http://\S+/)")[1]
        return daemon

    def open(self, path: str, **options: Any) -> "Page":
        """
        Somebody opens a view.
        """
        page = self.browser.page(**options)
        page.goto(f"{self.url}#/{path}")
        return page

    def microcontroller(self, daemon: Daemon, id: int) -> socket.socket:
        """
        A device that is connected, and has said something.
        """
        device = self.connect(daemon.port("pages"))
        device.sendall(_SHAKE)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += receive(device, 1)
        device.sendall(message(f"{id},7,23.5"))
        return device

    def say(self, daemon: Daemon, text: str) -> None:
        """
        Have a line stored.
        """
        device = self.connect(daemon.port("lines"))
        device.sendall(text.encode() + b"\r\n")
        self.assertEqual(receive(device, 4), b"ok\r\n")
        device.close()

    def deliver(self, daemon: Daemon) -> None:
        """
        A device nobody knows sends a packet.
        """
        device = self.connect(daemon.port("weather"))
        device.sendall(_PACKET)
        device.shutdown(socket.SHUT_WR)
        receive(device, 1)

    def confirm(self, page: "Page", button: str, verb: str) -> None:
        """
        Somebody wants something done, and says so again when asked.
        """
        page.get_by_role("main").get_by_role("button", name=button).click()
        page.get_by_role("dialog").get_by_role("button", name=verb).click()

    def end(self, daemon: Daemon, *expected: str) -> None:
        """
        Neither the page nor the daemon has anything to complain of.
        """
        assertClean(self, self.browser, expected)
        self.assertQuiet(daemon)

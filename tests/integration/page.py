"""
A daemon with a page, and a browser that looks at it.
"""

from typing import TYPE_CHECKING, Any

from tests.integration.browser import Browser, assertClean, browse
from tests.integration.daemon import DaemonTestCase, receive

if TYPE_CHECKING:
    from playwright.sync_api import Page

CONFIG = """
[web]
listen = "tcp:{port}:interface=127.0.0.1"

[[listeners]]
name = "lines"
wire = "lines"
listen = "tcp:{lines}:interface=127.0.0.1"
ack = true

[[listeners]]
name = "pages"
wire = "websocket"
listen = "tcp:0:interface=127.0.0.1"

[[devices]]
address = "lines/15"
name = "balcony"
tags = {{ place = "south side" }}
values = [
  {{ name = "temperature", unit = "°C" }},
  {{ name = "humidity", unit = "%" }},
]

[[devices]]
address = "lines/16"
name = "cellar"
values = [{{ name = "temperature", unit = "°C" }}]

[[devices]]
address = "pages/1"
name = "hall"

[[thresholds]]
name = "humidity"
critical = "> 80"
"""


class PageTestCase(DaemonTestCase):
    """
    A daemon with a page, and a browser.
    """

    browser: Browser

    def setUp(self) -> None:
        """
        Start them.
        """
        super().setUp()
        self.browser = browse(self)
        self.configure(CONFIG.format(port=0, lines=0))

    def launch(self) -> None:
        """
        Start the daemon.
        """
        self.daemon = self.start()
        self.url = self.daemon.expect(r"web: (http://\S+/)")[1]
        self.line = self.connect(self.daemon.port("lines"))

    def say(self, *lines: str) -> None:
        """
        Have lines stored.
        """
        self.line.sendall("".join(f"{line}\r\n" for line in lines).encode())
        self.assertEqual(receive(self.line, 4 * len(lines)), b"ok\r\n" * len(lines))

    def open(self, path: str = "", **options: Any) -> "Page":
        """
        Somebody opens a view.
        """
        page = self.browser.page(**options)
        page.goto(f"{self.url}#/{path}")
        return page

    def end(self, *expected: str) -> None:
        """
        Neither the page nor the daemon has anything to complain of.
        """
        assertClean(self, self.browser, expected)
        self.assertQuiet(self.daemon)

"""
A real browser: Debian's chromium, driven by Playwright, for tests to look at the page with.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import SkipTest, TestCase
from urllib.parse import urlsplit

from tests.integration.daemon import PATIENCE

try:
    from playwright import sync_api
except ImportError:
    sync_api = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: Where Debian puts it.
CHROMIUM = shutil.which("chromium") or ""

#: Why tests of it are skipped, where something is missing.
MISSING = (
    ("" if sync_api is not None else "pip install playwright")
    or ("" if CHROMIUM else "apt-get install chromium")  # Playwright's own is not needed
)

#: It is to ask nobody for anything: neither its maker for news, nor a name server.
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)

#: Where pictures of the page go, if somebody wants some.
_PICTURES = Path(__file__).parents[2] / "docs" / "images"

#: What a screen is wide and high, in CSS pixels.
DESKTOP, PHONE = (1280, 860), (390, 844)


class Browser:
    """
    One browser, with nothing in its memory.

    @ivar errors: what pages have complained of: errors on the console, with the address that they
        are about, and exceptions that nobody has caught.
    @ivar requests: the addresses of all that pages have asked for.
    """

    def __init__(self) -> None:
        if MISSING:
            raise SkipTest(MISSING)
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._closing: list[Callable[[], object]] = []
        player = sync_api.sync_playwright().start()
        self._closing.append(player.stop)
        try:
            self._chromium = player.chromium.launch(
                executable_path=CHROMIUM, headless=True, args=list(_FLAGS)
            )
        except BaseException:
            self.close()
            raise
        self._closing.append(self._chromium.close)

    def page(
        self, size: tuple[int, int] = DESKTOP, scheme: str = "light", scale: float = 1
    ) -> "Page":
        """
        Somebody's window, who is not known to any server.

        @param size: one of L{DESKTOP} and L{PHONE}.
        @param scheme: C{light} or C{dark}: what the system is set to.
        @param scale: device pixels for one of CSS.
        """
        width, height = size
        options: dict[str, Any] = {
            "viewport": {"width": width, "height": height},
            "color_scheme": scheme,
            "device_scale_factor": scale,
            "reduced_motion": "reduce",
            "locale": "en-GB",
            "has_touch": size == PHONE,
            "is_mobile": size == PHONE,
        }
        context = self._chromium.new_context(**options)
        context.set_default_timeout(PATIENCE * 1000)
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("console", self._said)
        context.on("weberror", lambda thrown: self.errors.append(str(thrown.error)))
        return context.new_page()

    def close(self) -> None:
        """
        End it, and what drives it.
        """
        while self._closing:
            self._closing.pop()()

    def strangers(self) -> list[str]:
        """
        What was asked for that is not on this machine.
        """
        here = ("127.0.0.1", "localhost", None)  # none: data: and blob:
        return [url for url in self.requests if urlsplit(url).hostname not in here]

    def _said(self, message: Any) -> None:
        if message.type == "error":
            where = message.location.get("url", "")
            self.errors.append(f"{message.text} ({where})")


def browse(case: TestCase) -> Browser:
    """
    Start a browser for a test, which is gone with it.
    """
    browser = Browser()
    case.addCleanup(browser.close)
    return browser


def assertClean(case: TestCase, browser: Browser, expected: Sequence[str] = ()) -> None:
    """
    Check that no page had anything to complain of, and that none has asked another machine for
    anything.

    @param expected: parts of complaints that are as they should be, such as of a wrong password.
    """
    found = [error for error in browser.errors if not any(part in error for part in expected)]
    case.assertEqual(found, [])
    case.assertEqual(browser.strangers(), [])


def picture(page: "Page", name: str) -> None:
    """
    Keep what a page looks like for the documentation, if that is wanted: with the environment
    variable C{SENSORD_SCREENSHOTS}, which is a folder, or C{1} for that of the documentation.
    """
    if wanted := os.environ.get("SENSORD_SCREENSHOTS"):
        folder = _PICTURES if wanted == "1" else Path(wanted)
        page.screenshot(path=folder / f"{name}.png", animations="disabled")

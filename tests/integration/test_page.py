"""
The page of all devices, and what it looks like: the real daemon, the real browser, and devices on
real sockets.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from tests.integration.browser import DESKTOP, PHONE, assertClean, picture
from tests.integration.daemon import Daemon, freePort, until
from tests.integration.household import READY
from tests.integration.page import CONFIG, PageTestCase

#: Seconds in which what a device sends is on the page.
_SOON = 2.0

#: Milliseconds in which a page with hundreds of devices is there.
_PAINTED = 1000

#: How many devices that is, and the values of each.
_MANY, _EACH = 200, 3

#: How often a second values come in a flood, for how many seconds, and the milliseconds that the
#: page may do nothing else at a time meanwhile.
_FLOOD, _LASTS, _FROZEN = 1000, 4, 400

#: Notes when there are so many devices on the page.
_WATCH = """
    const look = () => {
        if (document.querySelectorAll(".device").length < %d) requestAnimationFrame(look);
        else requestAnimationFrame(() => setTimeout(() => { window.painted = performance.now(); }));
    };
    look();
"""

#: Notes how long the page was busy with other things than the next frame.
_FRAMES = """
    window.longest = 0;
    let last = performance.now();
    const frame = () => {
        const now = performance.now();
        window.longest = Math.max(window.longest, now - last);
        last = now;
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
"""


class House(Daemon):
    """
    A gateway with a past, and with devices of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = ""
        root = str(Path(__file__).parents[2])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.household"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": root, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )


class DevicesTests(PageTestCase):
    """
    All devices.
    """

    def test_load(self) -> None:
        """
        Each device is there with its place, its state, when it was last heard, and its newest
        values with their units and lines of the last hour.
        """
        self.launch()
        self.say("15 20.5 55", "15 21.5 56")
        page = self.open()
        card = page.get_by_role("listitem").filter(has_text="balcony")
        card.get_by_text("21.5").wait_for()
        text = card.inner_text()
        for part in ("south side", "lines/15", "awake", "normal", "°C", "56", "%", "0 missed"):
            self.assertIn(part, text)
        card.get_by_text(re.compile("^([1-9] s ago|just now)$")).wait_for()
        card.get_by_text(re.compile("^3 s ago$")).wait_for()  # it goes on
        self.assertTrue(card.locator("svg.spark .line").first.get_attribute("d"))
        lost = page.get_by_role("listitem").filter(has_text="cellar")
        self.assertIn("never", lost.inner_text())
        self.end()

    def test_live(self) -> None:
        """
        What a device sends is on the page within 2 s, as is a device that is new, and a value
        that has become critical.
        """
        self.launch()
        self.say("15 20.5 55")
        page = self.open()
        card = page.get_by_role("listitem").filter(has_text="balcony")
        card.get_by_text("20.5").wait_for()
        page.get_by_text("Live", exact=True).wait_for()
        began = time.monotonic()
        self.say("15 23.75 55")
        card.get_by_text("23.75").wait_for()
        self.assertLess(time.monotonic() - began, _SOON)
        self.say("77 1 2", "15 23 85")
        page.get_by_role("link", name="lines/77").wait_for()
        card.locator(".chip").filter(has_text="critical").wait_for()
        self.end()

    def test_find(self) -> None:
        """
        Devices are found by what their names, places, addresses and values are called, and by
        their states; and they are sorted as one likes.
        """
        self.launch()
        self.say("15 20.5 55", "7 1 2")
        page = self.open()
        names = page.locator(".device h2")
        names.filter(has_text="lines/7").wait_for()
        self.assertEqual(names.all_text_contents(), ["balcony", "cellar", "hall", "lines/7"])
        find = page.get_by_role("searchbox", name="Find devices")
        find.fill("SOUTH")
        self.assertEqual(names.all_text_contents(), ["balcony"])
        page.get_by_text("1 of 4 devices").wait_for()
        find.fill("no such device")
        page.get_by_role("button", name="Show all").click()
        page.get_by_role("button", name="Lost").click()
        self.assertEqual(names.all_text_contents(), ["cellar", "hall"])
        page.get_by_role("button", name="All").click()
        page.get_by_label("Sort by").select_option("Last heard first")
        self.assertEqual(names.all_text_contents()[0], "lines/7")
        names.first.get_by_role("link").click()
        page.get_by_role("heading", name="lines/7").wait_for()
        page.go_back()  # all is as it was left
        names.first.filter(has_text="lines/7").wait_for()
        self.end()

    def test_reconnect(self) -> None:
        """
        A page says that the gateway is gone; when that is there again the page goes on, and has
        what came meanwhile.
        """
        self.configure(CONFIG.format(port=freePort(), lines=freePort()))
        self.launch()
        self.say("15 20.5 55")
        page = self.open()
        page.get_by_text("20.5").wait_for()
        page.get_by_text("Live", exact=True).wait_for()
        self.assertEqual(self.daemon.end(), 0)
        page.get_by_text("Reconnecting").wait_for()
        self.launch()
        self.say("15 22.5 55", "16 4.25")
        page.get_by_text("Live", exact=True).wait_for()
        page.get_by_text("22.5").wait_for()
        page.get_by_text("4.25").wait_for()
        self.end("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE")

    def test_many(self) -> None:
        """
        200 devices are painted within 1 s.
        """
        self.launch()
        values = " ".join("1" * _EACH)
        self.say(*(f"{1000 + node} {values}" for node in range(_MANY)))
        took = []
        for _ in range(3):
            page = self.browser.page()
            page.add_init_script(_WATCH % _MANY)
            page.goto(self.url)
            until(lambda page=page: page.evaluate("window.painted"))  # type: ignore[misc]
            took.append(page.evaluate("window.painted"))
            page.close()

        self.assertLess(median(took), _PAINTED)
        self.end()

    def test_flood(self) -> None:
        """
        1,000 updates a second do not freeze the page; it answers while they come, and shows the
        last of them in the end.
        """
        self.launch()
        nodes, each = 20, 10
        page = self.open()
        page.get_by_role("link", name="balcony").wait_for()
        page.get_by_text("Live", exact=True).wait_for()
        turns = _FLOOD // (nodes * each)
        say = [f"{100 + node} " + " ".join(["{0}.25"] * each) for node in range(nodes)]
        self.say(*(line.format(0) for line in say))
        page.get_by_role("link", name="lines/119").wait_for()
        page.evaluate(_FRAMES)
        began = time.monotonic()
        for turn in range(turns * _LASTS):
            self.say(*(line.format(turn) for line in say))
            wait = began + (turn + 1) / turns - time.monotonic()
            if turn == turns * _LASTS // 2:
                pressed = time.monotonic()
                page.get_by_role("searchbox").fill("lines/10")
                page.get_by_text("10 of 23 devices").wait_for()
                self.assertLess(time.monotonic() - pressed, _SOON)
            page.wait_for_timeout(max(0.0, wait) * 1000)
        last = page.locator(".device").first.get_by_text(f"{turns * _LASTS - 1}.25")
        last.first.wait_for(timeout=_SOON * 1000)

        self.assertLess(page.evaluate("window.longest"), _FROZEN)
        self.end()


class LooksTests(PageTestCase):
    """
    What it looks like.
    """

    def test_colours(self) -> None:
        """
        The page is light or dark as the system is, until somebody chooses; that is kept.
        """
        self.launch()
        page = self.open(scheme="dark")
        root = page.locator("html")
        self.assertEqual(root.get_attribute("data-theme"), "dark")
        page.get_by_role("button", name=re.compile("Colours")).click()
        self.assertEqual(root.get_attribute("data-theme"), "light")
        page.reload()
        self.assertEqual(root.get_attribute("data-theme"), "light")
        self.end()

    def test_narrow(self) -> None:
        """
        On a phone of 360 pixels nothing is wider than the screen, and all views can be reached.
        """
        self.launch()
        self.say("15 20.5 55", "1234567890 1 2 3 4 5 6 7 8 9")
        page = self.open(size=(360, 740))
        page.get_by_role("link", name="balcony").wait_for()
        wide = "document.documentElement.scrollWidth"
        self.assertLessEqual(page.evaluate(wide), 360)
        page.get_by_role("button", name="More", exact=True).click()
        page.get_by_role("link", name="Quarantine").click()
        page.get_by_role("heading", name="Quarantine").first.wait_for()
        page.goto(f"{self.url}#/device/lines%2F15")
        page.locator(".u-over").first.wait_for()
        self.assertLessEqual(page.evaluate(wide), 360)
        self.end()

    def test_pictures(self) -> None:
        """
        A house full of devices is shown, by day and by night, at a desk and on a phone.
        """
        self.daemon = House(self.folder)
        self.addCleanup(self.daemon.close)
        self.url = self.daemon.expect(r"web: (http://\S+/)")[1]
        self.daemon.expect(READY)
        for name, path, size, scheme in (
            ("devices", "", DESKTOP, "light"),
            ("devices-dark", "", DESKTOP, "dark"),
            ("devices-phone", "", PHONE, "light"),
            ("device", "device/weather%2F1", DESKTOP, "light"),
            ("device-dark", "device/weather%2F1", DESKTOP, "dark"),
            ("device-phone", "device/weather%2F1", PHONE, "dark"),
        ):
            page = self.open(path, size=size, scheme=scheme, scale=2 if size == PHONE else 1)
            if path:
                page.get_by_role("button", name="24 h", exact=True).click()
            page.locator(".u-over" if path else ".spark .line[d^=M]").nth(2).wait_for()
            page.get_by_text("Live", exact=True).wait_for()
            page.wait_for_timeout(500)
            picture(page, name)
            page.close()
        assertClean(self, self.browser)

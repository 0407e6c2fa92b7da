"""
What operators do on the page: the real daemon, the real browser, and devices on real sockets.
"""

import re
from threading import Thread
from typing import TYPE_CHECKING

from sensord import __version__
from sensord.web import passwords
from tests.integration.browser import DESKTOP, PHONE, picture
from tests.integration.daemon import freePort, receive, refused, until
from tests.integration.operating import (
    FILES,
    HUBS,
    LINES,
    PAGES,
    WEATHER,
    WEB,
    OperateTestCase,
)
from tests.integration.test_letters import SINK, Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: What switches a LED on and off.
_ON, _OFF = bytes.fromhex("8105312c312e30"), bytes.fromhex("8105312c302e30")

#: What the browser says of a question that is asked without a session.
_STRANGER = "401 (Unauthorized)"

#: All that there is to see, but for devices.
_VIEWS = ("commands", "listeners", "sinks", "dead-letters", "quarantine")


class CommandTests(OperateTestCase):
    """
    Commands.
    """

    def test_sent(self) -> None:
        """
        A value goes from the page to the device that is meant, and is listed as sent; devices
        with odd names are named as they are, and nothing else comes of it.
        """
        daemon = self.launch(PAGES)
        hall, porch = self.microcontroller(daemon, 1), self.microcontroller(daemon, 2)
        page = self.open("commands")
        page.get_by_label("Device", exact=True).fill("hall")
        page.get_by_label("Variable").fill("LED")
        page.get_by_role("button", name="Value 1").click()
        page.get_by_role("button", name="Send").click()
        page.get_by_text("LED = 1 was sent to the device.").wait_for()
        self.assertEqual(receive(hall, len(_ON)), _ON)
        row = page.get_by_role("row").filter(has_text="hall")
        self.assertIn("Sent", row.inner_text())
        page.get_by_role("button", name="All connected").click()
        page.get_by_role("button", name="Value 0").click()
        page.get_by_role("button", name="Send").click()
        page.get_by_text("LED = 0: sent to 2 of 2 devices.").wait_for()
        self.assertEqual([receive(one, len(_OFF)) for one in (hall, porch)], [_OFF, _OFF])
        odd = page.get_by_role("row").filter(has_text="<img src=x onerror=alert(1)>")
        self.assertIn("pages/2", odd.inner_text())
        self.assertEqual(page.locator("main img").count(), 0)
        self.end(daemon)

    def test_waiting(self) -> None:
        """
        What cannot be sent says why; what waits for its device is sent when that comes, and the
        page shows it without being asked.
        """
        daemon = self.launch(PAGES, WEATHER)
        page = self.open("commands/pages%2F1")
        page.get_by_label("Variable").fill("LED")
        page.get_by_label("Value", exact=True).fill("1")
        page.get_by_label("Value", exact=True).press("Enter")
        page.get_by_text("waits for the device, until").wait_for()
        row = page.get_by_role("row").filter(has_text="hall")
        row.get_by_text("Waiting").wait_for()
        hall = self.microcontroller(daemon, 1)
        self.assertEqual(receive(hall, len(_ON)), _ON)
        row.get_by_text("Sent").wait_for()
        page.get_by_label("Device", exact=True).fill("weather/1")
        page.get_by_role("button", name="Send").click()
        page.locator(".outcome").get_by_text("does not listen").wait_for()
        page.get_by_role("button", name="Refused").click()
        self.assertEqual(page.get_by_role("row").count(), 2)  # with that of the heads
        self.end(daemon, "409 (Conflict)")


class WaysTests(OperateTestCase):
    """
    Ways in and out.
    """

    def test_listener(self) -> None:
        """
        A listener is stopped after a question, and started again; Escape answers that it is not
        to be stopped. The ledger is counted along.
        """
        daemon = self.launch(LINES)
        port = daemon.port("lines")
        page = self.open("listeners")
        card = page.get_by_role("article").filter(has_text="lines")
        card.get_by_text("Open").wait_for()
        self.say(daemon, "15 69 1664")
        card.locator("[data-key=committed] dd").filter(has_text="2").wait_for()
        card.get_by_role("button", name="Stop lines").click()
        page.get_by_role("dialog", name="Stop lines?").wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
        self.assertFalse(refused(port))
        self.confirm(page, "Stop lines", "Stop")
        card.get_by_text("Stopped").wait_for()
        self.assertTrue(refused(port))
        card.get_by_role("button", name="Start lines").click()
        card.get_by_text("Open").wait_for()
        self.end(daemon)

    def test_sink(self) -> None:
        """
        A sink that is paused keeps its backlog until it is resumed.
        """
        daemon = self.launch(LINES, FILES)
        page = self.open("sinks")
        card = page.get_by_role("article").filter(has_text="files")
        card.get_by_role("button", name="Pause files").click()
        card.get_by_text("Paused").wait_for()
        self.say(daemon, "15 69 1664")
        card.locator(".figures b").filter(has_text=re.compile("^2$")).wait_for()
        self.assertFalse(any((self.folder / "Data").glob("*.csv")))
        card.get_by_role("button", name="Resume files").click()
        card.get_by_text("Flowing").wait_for()
        card.locator(".figures b").filter(has_text=re.compile("^0$")).wait_for()
        self.assertTrue(any((self.folder / "Data").glob("*.csv")))
        self.end(daemon)

    def test_letters(self) -> None:
        """
        What a sink has refused is listed with its reason; it can be tried again, and dropped.
        """
        server = Server()
        self.addCleanup(server.server_close)
        serving = Thread(target=server.serve_forever, daemon=True)
        serving.start()
        self.addCleanup(serving.join)
        self.addCleanup(server.shutdown)
        server.bad |= {13.5, 14.5}
        daemon = self.launch(LINES, SINK.format(port=server.server_address[1]))
        self.say(daemon, "15 13.5 14.5")
        page = self.open("dead-letters")
        page.get_by_role("checkbox", name="Choose lines/15 1").check()
        row = page.get_by_role("row").filter(has_text="13.5")
        self.assertIn("a strange number", row.inner_text())
        server.bad.clear()
        page.get_by_role("button", name="Try 1 again").click()
        row.wait_for(state="detached")
        until(lambda: 13.5 in server.taken)
        self.confirm(page, "Drop all", "Drop")
        page.get_by_text("No dead letters").wait_for()
        self.assertNotIn(14.5, server.taken)
        self.end(daemon)


class HubTests(OperateTestCase):
    """
    Hubs.
    """

    def test_hub(self) -> None:
        """
        A hub is started the first time, stopped after a question, and forgotten after another. Its
        broker may be away.
        """
        daemon = self.launch(HUBS.format(port=freePort()), web="listeners = []\n" + WEB)
        page = self.open("")
        page.get_by_role("link", name="Hubs").click()
        page.get_by_text("There are no hubs yet.").wait_for()
        page.get_by_label("A new hub").fill("h1")
        page.get_by_label("of the group").fill("acme")
        page.get_by_role("button", name="Start", exact=True).click()
        row = page.get_by_role("row").filter(has_text="acme")
        row.get_by_text("Running").wait_for()
        self.confirm(page, "Stop h1", "Stop")
        row.get_by_text("Stopped").wait_for()
        self.confirm(page, "Forget h1", "Forget")
        page.get_by_text("There are no hubs yet.").wait_for()
        self.end(daemon)


class DescribeTests(OperateTestCase):
    """
    Quarantine, and the way out of it.
    """

    def test_describe(self) -> None:
        """
        A frame of an unknown device is shown with its bytes and the reason. While the device is
        described, the page shows what its frames would be, and what is wrong; once that is saved,
        the frames are readings, and the values are on the page.
        """
        daemon = self.launch(WEATHER)
        self.deliver(daemon)
        page = self.open("quarantine")
        card = page.get_by_role("article").filter(has_text="weather/9")
        card.get_by_text("0c 00 10 0e 78 00 06 09 03").wait_for()
        row = page.get_by_role("row").filter(has_text="127.0.0.1")
        self.assertIn("9", row.inner_text())
        picture(page, "quarantine")
        card.get_by_role("link", name="Describe weather/9").click()
        look = page.get_by_role("complementary", name="Preview")
        look.locator("[data-name=temperature]").filter(has_text="24.55").wait_for()
        page.get_by_label("Name").first.fill("attic")
        page.get_by_label("Place").fill("under the roof")
        page.get_by_label("Scale").nth(2).fill("much")
        look.get_by_text("no number").wait_for()
        page.get_by_label("Scale").nth(2).fill("0.002681274414")
        page.get_by_label("Offset").nth(2).fill("-40")
        look.locator("[data-name=temperature]").filter(has_text="31.40").wait_for()
        page.get_by_role("button", name="Remove").nth(2).click()
        look.get_by_text("stays in quarantine").or_(look.locator(".notice.warn")).first.wait_for()
        page.get_by_role("button", name="Undo changes").click()
        look.locator("[data-name=temperature]").filter(has_text="24.55").wait_for()
        page.get_by_label("Name").first.fill("attic")
        picture(page, "describe")
        page.get_by_role("button", name="Save").click()
        page.get_by_text("Saved in devices.d/attic.toml. 1 frame became 6 readings.").wait_for()
        self.assertIn("attic", (self.folder / "devices.d" / "attic.toml").read_text())
        page.get_by_role("link", name="Look at the device").click()
        page.get_by_role("heading", name="attic").wait_for()
        page.get_by_text("24.55").first.wait_for()
        page.goto(f"{self.url}#/quarantine")
        page.get_by_text("Quarantine is empty").wait_for()
        self.deliver(daemon)
        page.goto(f"{self.url}#/")
        page.get_by_text("attic").first.wait_for()
        self.end(daemon)

    def test_elsewhere(self) -> None:
        """
        What is described in the configuration file itself is not changed here, and the page says
        so. What was begun is there again when one comes back.
        """
        described = '[[devices]]\naddress = "weather/9"\nname = "old"\n'
        values = 'values = [ { name = "light", type = "H" } ]\n'
        daemon = self.launch(WEATHER, described + values)
        self.deliver(daemon)
        page = self.open("describe/weather%2F9")
        page.get_by_text("It is described in sensord.toml").wait_for()
        self.assertTrue(page.get_by_role("button", name="Save").is_disabled())
        page.get_by_role("button", name="Add a value").click()
        page.get_by_label("Name").last.fill("wind")
        page.get_by_role("link", name="Quarantine").first.click()
        page.get_by_role("link", name="Describe weather/9").click()
        page.get_by_text("What you had begun").wait_for()
        self.assertEqual(page.get_by_label("Name").last.input_value(), "wind")
        self.end(daemon)


class UserTests(OperateTestCase):
    """
    Who may do what.
    """

    def admit(self) -> str:
        """
        Two who may come in.
        """
        cheap = passwords.make("secret", 2, 1, 1)
        users = ", ".join(
            f'{{ name = "{name}", password = "{cheap}", role = "{role}" }}'
            for name, role in (("anna", "operator"), ("otto", "viewer"))
        )
        return f"{WEB}users = [ {users} ]\n"

    def enter(self, page: "Page", name: str, password: str = "secret") -> None:
        """
        Somebody signs in.
        """
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()

    def test_signIn(self) -> None:
        """
        Who has no session is asked who they are, told when that was wrong, and brought to where
        they wanted to be, also when the session has ended meanwhile; who signs out is out.
        """
        daemon = self.launch(LINES, web=self.admit())
        page = self.open("listeners")
        page.get_by_role("heading", name="Sign in").wait_for()
        self.enter(page, "anna", "guess")
        page.get_by_role("alert").get_by_text(re.compile("wrong|password", re.I)).wait_for()
        picture(page, "login")
        self.enter(page, "anna")
        page.get_by_role("button", name="Stop lines").wait_for()
        page.get_by_text(f"sensord {__version__}").wait_for()  # it asks how the gateway is
        page.context.clear_cookies()  # as if the session had ended
        page.get_by_role("heading", name="Sign in").wait_for()
        self.enter(page, "anna")
        page.get_by_role("button", name="Stop lines").wait_for()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("heading", name="Sign in").wait_for()
        page.reload()
        page.get_by_role("heading", name="Sign in").wait_for()
        self.end(daemon, _STRANGER)

    def test_viewer(self) -> None:
        """
        A viewer sees all, and nothing to do anything with.
        """
        daemon = self.launch(LINES, WEATHER, FILES, web=self.admit())
        page = self.open("listeners")
        self.enter(page, "otto")
        page.get_by_role("article").filter(has_text="lines").wait_for()
        buttons = page.get_by_role("main").get_by_role("button")
        self.assertEqual(buttons.count(), 0)
        page.goto(f"{self.url}#/sinks")
        page.get_by_text("Flowing").wait_for()
        self.assertEqual(buttons.count(), 0)
        page.goto(f"{self.url}#/commands")
        page.get_by_text("No commands were sent yet.").wait_for()
        self.assertEqual(page.get_by_role("form").count(), 0)
        page.goto(f"{self.url}#/describe/weather%2F9")
        page.get_by_text("Only operators").wait_for()
        self.assertEqual(page.get_by_role("form").count(), 0)
        answer = page.evaluate(
            "fetch('/api/v1/listeners/lines/stop', {method: 'POST', body: '{}',"
            " headers: {'Content-Type': 'application/json'}}).then((one) => one.status)"
        )
        self.assertEqual(answer, 403)
        self.end(daemon, _STRANGER, "403 (Forbidden)")


class ShapeTests(OperateTestCase):
    """
    What it looks like.
    """

    def test_narrow(self) -> None:
        """
        All views fit a narrow phone, light and dark.
        """
        daemon = self.launch(PAGES, LINES, WEATHER, FILES)
        self.deliver(daemon)
        self.microcontroller(daemon, 1)
        for size, scheme in (((360, 740), "light"), (PHONE, "dark"), (DESKTOP, "dark")):
            page = self.open("", size=size, scheme=scheme)
            for path in (*_VIEWS, "describe/weather%2F9"):
                page.goto(f"{self.url}#/{path}")
                page.get_by_role("heading", level=1).wait_for()
                page.wait_for_load_state("networkidle")
                wide = page.evaluate("document.documentElement.scrollWidth")
                self.assertLessEqual(wide, size[0], f"{path} at {size}")
            page.close()
        self.end(daemon)

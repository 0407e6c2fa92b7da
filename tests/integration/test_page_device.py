"""
The page of one device: the real daemon, the real browser, and devices on real sockets.
"""

import re
from pathlib import Path
from urllib.request import Request, urlopen

from tests.integration.daemon import PATIENCE
from tests.integration.page import CONFIG, PageTestCase

#: How many points of a chart have been painted.
_INK = """
    canvas => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let ink = 0;
        for (let place = 3; place < data.length; place += 4) ink += data[place] > 128;
        return ink;
    }
"""


class DeviceTests(PageTestCase):
    """
    One device.
    """

    def test_chart(self) -> None:
        """
        Each value has a chart, which tells what is beneath the pointer, goes along with what
        comes, and zooms where one drags; the bar of a temperature goes from -40 to 125 °C.
        """
        self.launch()
        for number in range(30):
            self.say(f"15 {20 + number / 10} 55")
        page = self.open("device/lines%2F15")
        panel = page.get_by_role("region", name="temperature")
        panel.get_by_text("22.9").first.wait_for()
        chart = panel.locator(".u-over")
        chart.wait_for()
        self.assertGreater(panel.locator("canvas").evaluate(_INK), 1000)
        bar = panel.get_by_role("meter", name="temperature")
        self.assertEqual(bar.get_attribute("aria-valuenow"), "22.9")
        limits = bar.get_attribute("aria-valuemin"), bar.get_attribute("aria-valuemax")
        self.assertEqual(limits, ("-40", "125"))
        self.say("15 31.5 55")
        panel.get_by_text("most 31.5 °C".replace(" °", "\u202f°")).wait_for()
        box = chart.bounding_box()
        assert box is not None
        right, middle = box["x"] + box["width"] - 2, box["y"] + box["height"] / 2
        page.mouse.move(right, middle)
        panel.locator(".tip").filter(has_text="°C").wait_for()
        page.mouse.move(right - 200, middle)
        page.mouse.down()
        page.mouse.move(right, middle, steps=4)
        page.mouse.up()
        page.get_by_role("button", name="Live again").click()
        page.get_by_role("button", name="Live again").wait_for(state="hidden")
        self.end()

    def test_textNow(self) -> None:
        """
        Of a value that is a text now and was a number before, both are shown: the chart of what it
        was, and the text.
        """
        more = '[[listeners]]\nname = "push"\nwire = "http"\nlisten = ""\n'
        self.configure(CONFIG.format(port=0, lines=0) + more)
        self.launch()
        for value in ("21.5", '"warm"'):
            body = f'{{"device": "kitchen", "temperature": {value}}}'.encode()
            request = Request(f"{self.url}api/v1/readings", body)
            with urlopen(request, timeout=PATIENCE) as answer:
                self.assertEqual(answer.status, 200)
        page = self.open("device/push%2Fkitchen")
        panel = page.get_by_role("region", name="temperature")
        panel.get_by_text("least 21.5").wait_for()
        panel.get_by_text("warm").wait_for()
        self.assertEqual(page.get_by_role("heading", name="Send a command").count(), 0)
        self.end()

    def test_ranges(self) -> None:
        """
        What is shown goes from an hour to all that there is, and the export has the same.
        """
        self.launch()
        self.say("15 20.5 55", "15 21.5 56")
        page = self.open("device/lines%2F15")
        panel = page.get_by_role("region", name="humidity")
        for label in ("1 h", "7 d", "30 d", "All"):
            page.get_by_role("button", name=label, exact=True).click()
            panel.get_by_text("least 55").wait_for()
        with page.expect_download() as started:
            page.get_by_role("link", name="Export CSV").click()
        rows = Path(started.value.path()).read_text(encoding="utf-8").splitlines()
        self.assertEqual(len(rows), 5)
        self.assertIn("balcony", rows[1])
        page.get_by_role("button", name="Earlier").click()
        page.get_by_role("button", name="Earlier").click()
        page.get_by_role("button", name="Earlier").click()
        panel.get_by_text("Nothing in this time").wait_for()
        self.end()

    def test_keyboard(self) -> None:
        """
        All of it can be done by keyboard: from the devices to one, and along its chart, which says
        what it shows.
        """
        self.launch()
        self.say("15 20.5 55", "15 21.5 56")
        page = self.open()
        page.get_by_role("link", name="balcony").wait_for()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # to the content
        self.assertTrue(page.evaluate("document.activeElement.id === 'main'"))
        page.get_by_role("link", name="balcony").press("Enter")
        chart = page.get_by_role("application", name=re.compile("temperature: least 20.5"))
        chart.wait_for()
        chart.press("ArrowLeft")
        chart.get_by_role("status").filter(has_text="21.5").wait_for()
        chart.press("ArrowLeft")
        chart.get_by_role("status").filter(has_text="20.5").wait_for()
        self.end()

    def test_order(self) -> None:
        """
        A device can be sent a value; what cannot be sent says why.
        """
        self.launch()
        page = self.open("device/pages%2F1")
        page.get_by_label("Variable").fill("LED")
        page.get_by_label("Value").fill("one")
        page.get_by_role("button", name="Send").click()
        page.get_by_text("The value is no number.").wait_for()
        page.get_by_label("Value").fill("1")
        page.get_by_role("button", name="Send").click()
        page.get_by_text("hall gets it when it is awake.").wait_for()
        page.locator(".past").get_by_text("LED = 1").wait_for()
        page.goto(f"{self.url}#/device/lines%2F15")
        page.get_by_label("Variable").fill("LED")
        page.get_by_label("Value").fill("1")
        page.get_by_role("button", name="Send").click()
        page.get_by_role("alert").filter(has_text="lines").wait_for()
        self.end("409 (Conflict)")

    def test_unknown(self) -> None:
        """
        A device that is not there, and a view that is not there, are told as that.
        """
        self.launch()
        page = self.open("device/lines%2F99")
        page.get_by_text("There is no device lines/99.").wait_for()
        page.goto(f"{self.url}#/nowhere/at/all/%")
        page.get_by_text("There is nothing here.").wait_for()
        self.end()

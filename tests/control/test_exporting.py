"""
Tests for L{sensord.control.exporting}.
"""

from twisted.logger import capturedLogs

from sensord.control.exporting import MAX_EXPORTS, PATIENCE
from tests.control.support import NOW, ApiTestCase, Link
from tests.store.support import intake, reading


class ExportTests(ApiTestCase):
    """
    C{GET /export}.
    """

    def text(self, query: str = "") -> str:
        """
        What is exported.
        """
        response = self.ask("GET", f"export{query}")
        self.assertEqual(response.status, 200)
        self.assertEqual(response.headers["Content-Type"], "text/csv; charset=utf-8")
        return response.read().decode()

    def rows(self, query: str = "") -> list[list[str]]:
        """
        Device, name and value of each row of it.
        """
        head, *lines = self.text(query).splitlines()
        self.assertEqual(head, "time,device,name,value,unit,clock")
        return [line.split(",")[1:4] for line in lines]

    def begin(self) -> Link:
        """
        A client asks for three pages, and stops reading when two are sent.
        """
        self.admit(intake(*(reading(time, time) for time in range(30_000))))
        link = self.link()
        self.reader.holding = True
        link.send(b"GET /api/v1/export HTTP/1.1\r\nHost: x\r\n\r\n")
        self.reader.release()
        link.transport.producer.pauseProducing()
        self.reader.holding = False
        self.reader.release()
        return link

    def test_text(self) -> None:
        """
        It is what C{sensord export} writes, as a file to be saved.
        """
        self.keep(("workshop", "oven", 21.5, 1), ("workshop", "door", True, 0))
        self.assertEqual(
            self.text(),
            "time,device,name,value,unit,clock\n"
            "2026-11-20T17:10:49.000000Z,workshop,oven,21.5,°C,arrival\n"
            "2026-11-20T17:10:50.000000Z,workshop,door,true,,arrival\n",
        )

    def test_name(self) -> None:
        """
        The file is called as what was asked for, as far as names of files go.
        """
        for query, name in (
            ("", "sensord"),
            ("?device=workshop&name=oven", "workshop-oven"),
            ("?device=poe/192.168.1.7", "workshop"),
            ("?device=B%C3%BCro%22%0d%0a/..&name=../t*", "buro-t"),
            ("?device=%F0%9F%98%80", "sensord"),
        ):
            said = self.ask("GET", f"export{query}").headers["Content-Disposition"]
            self.assertEqual(said, f'attachment; filename="{name}.csv"')

    def test_choice(self) -> None:
        """
        It can be that of some devices, of some readings, or of a span of time.
        """
        self.keep(("workshop", "oven", 1, 9), ("workshop", "door", 2, 7), ("attic", "oven", 3, 5))
        self.assertEqual([row[2] for row in self.rows()], ["1", "2", "3"])
        self.assertEqual([row[2] for row in self.rows("?device=w*")], ["1", "2"])
        self.assertEqual([row[2] for row in self.rows("?device=poe/192.168.1.7")], ["1", "2"])
        self.assertEqual([row[2] for row in self.rows("?name=o?en")], ["1", "3"])
        self.assertEqual([row[2] for row in self.rows("?start=8s&end=6s")], ["2"])
        self.assertEqual([row[2] for row in self.rows(f"?start={NOW - 5_000_000}")], ["3"])
        self.assertEqual(self.rows("?device=nobody"), [])

    def test_pieces(self) -> None:
        """
        What is long comes in pieces, and is whole.
        """
        self.admit(intake(*(reading(time, time) for time in range(30_000))))
        self.reader.calls = 0
        rows = self.rows()
        self.assertEqual([row[2] for row in rows], [str(number) for number in range(30_000)])
        self.assertGreaterEqual(self.reader.calls, 3)

    def test_head(self) -> None:
        """
        Whoever only wants to know what would come is not sent it.
        """
        response = self.ask("HEAD", "export?device=workshop")
        self.assertEqual(response.headers["Content-Type"], "text/csv; charset=utf-8")

    def test_slow(self) -> None:
        """
        To a client that does not read nothing more is sent, or read from the database, until it
        does.
        """
        link = self.begin()
        self.reader.calls = 0
        self.clock.advance(PATIENCE / 2)
        self.assertEqual(self.reader.calls, 0)
        self.assertEqual(link.transport.value().count(b",balcony,"), 20_000)
        link.transport.producer.resumeProducing()
        response = self.response(link.taken())
        self.assertEqual(response.read().count(b"\n"), 30_001)
        self.assertFalse(link.transport.disconnecting)

    def test_asleep(self) -> None:
        """
        A client that does not read for a minute is cut off.
        """
        link = self.begin()
        self.clock.advance(PATIENCE)
        self.assertTrue(link.transport.disconnected)
        link.hangUp()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_hungUp(self) -> None:
        """
        When the client hangs up, nothing more is read for it.
        """
        link = self.begin()
        self.reader.calls = 0
        link.hangUp()
        self.assertEqual((self.reader.calls, self.clock.getDelayedCalls()), (0, []))

    def test_crowd(self) -> None:
        """
        There is a limit on how many can be under way.
        """
        links = [self.begin() for _ in range(MAX_EXPORTS)]
        self.assertEqual(self.fault("export", 503), f"{MAX_EXPORTS} exports are under way already")
        links[0].hangUp()
        self.assertEqual(self.ask("GET", "export?device=nobody").status, 200)

    def test_trouble(self) -> None:
        """
        When the database cannot be read, that is an error; in the middle of an export it cuts the
        link, so that nobody takes what has come for all.
        """
        link = self.begin()
        self.path.rename(self.path.with_suffix(".gone"))
        with capturedLogs() as logs:
            link.transport.producer.resumeProducing()
        self.assertTrue(link.transport.disconnected)
        self.assertNotIn(b"\r\n0\r\n\r\n", link.taken())
        self.assertIn("in the middle", logs[0]["log_format"])
        link.hangUp()
        self.assertIn("no such database", self.fault("export", 503))

    def test_senseless(self) -> None:
        """
        A time that is none is refused.
        """
        self.assertIn('start: "soon" is no time', self.fault("export?start=soon"))
        self.assertIn("unknown parameter", self.fault("export?step=1"))

    def test_close(self) -> None:
        """
        When the daemon is stopping, exports end, and there are no new ones.
        """
        link = self.begin()
        self.api.close()
        self.assertTrue(link.transport.disconnected)
        link.hangUp()
        self.assertEqual(self.fault("export", 503), "the daemon is stopping")

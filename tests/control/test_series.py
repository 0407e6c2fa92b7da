"""
Tests for L{sensord.control.series}. What becomes of the readings is tested with
L{sensord.store.thinning}.
"""

from sensord.control.asked import MAX_POINTS
from sensord.control.series import MAX_DEVICES
from tests.control.support import NOW, ApiTestCase
from tests.store.support import intake, reading


class PointsTests(ApiTestCase):
    """
    C{GET /history} with C{points}.
    """

    def test_points(self) -> None:
        """
        A series that is long comes as the least and the greatest of its readings.
        """
        values = (5, 9, 1, 5, 5, -7, 5, 8)
        self.keep(*(("workshop", "oven", value, 10 - ago) for ago, value in enumerate(values)))
        answer = self.get("history?device=workshop&name=oven&points=4")
        self.assertEqual(
            [(one["time"], one["mean"]) for one in answer["points"]],
            [(NOW - ago * 1_000_000, value) for ago, value in ((9, 9), (8, 1), (5, -7), (3, 8))],
        )
        one = answer["points"][0]
        self.assertEqual((one["least"], one["most"], one["count"]), (9, 9, 1))
        self.assertEqual(answer["step"], 0)

    def test_short(self) -> None:
        """
        One that is short comes as it is, by the name or the address of its device.
        """
        self.keep(("workshop", "oven", 1, 3), ("workshop", "oven", 2, 2))
        asked = "history?device=poe/192.168.1.7&name=oven"
        every = self.get(asked)
        self.assertEqual(len(every["points"]), 2)
        self.assertEqual(self.get(f"{asked}&points=2000")["points"], every["points"])

    def test_all(self) -> None:
        """
        The start may be the beginning of all that is stored, however long ago that was.
        """
        self.admit(intake(*(reading(time, time) for time in range(100))))
        for start in ("0", "forever", "1970-01-01"):
            answer = self.get(f"history?device=balcony&name=temperature&start={start}&points=2")
            self.assertEqual([one["mean"] for one in answer["points"]], [0, 99])

    def test_hungUp(self) -> None:
        """
        When whoever asked for a long series has hung up, nothing more is read for it.
        """
        self.admit(intake(*(reading(time, time) for time in range(100))))
        self.reader.holding = True
        link = self.link()
        target = b"history?device=balcony&name=temperature&start=0&points=2"
        link.send(b"GET /api/v1/%s HTTP/1.1\r\nHost: x\r\n\r\n" % target)
        self.reader.release()
        self.assertEqual(self.reader.held, 1)
        link.hangUp()
        self.reader.release()
        self.assertEqual(self.reader.held, 0)

    def test_senseless(self) -> None:
        """
        Points that make no sense are refused.
        """
        for more, why in (
            ("points=1", "points: the least and the greatest number are two at least"),
            ("points=10&step=5m", "points: goes without a step"),
            ("points=-1", "points: expected `int` >= 0"),
            (f"points={MAX_POINTS + 1}", f"points: expected `int` <= {MAX_POINTS}"),
            ("points=x", "points: expected `int`, got `str`"),
        ):
            self.assertEqual(self.fault(f"history?device=a&name=b&{more}"), why)


class SparklinesTests(ApiTestCase):
    """
    C{GET /sparklines}.
    """

    def test_hour(self) -> None:
        """
        The last hour of all that some devices have measured comes in one answer.
        """
        self.keep(("workshop", "oven", 1, 3601), ("workshop", "oven", 2, 3599))
        self.keep(("workshop", "oven", 3, 0), ("workshop", "door", True, 5))
        self.keep(("attic", "note", "dusty", 5))
        answer = self.get("sparklines?device=workshop&device=attic&device=nobody")
        self.assertEqual(
            answer,
            {
                "devices": {
                    "workshop": {
                        "door": [[NOW - 5_000_000, 1]],
                        "oven": [[NOW - 3_599_000_000, 2], [NOW, 3]],
                    },
                    "attic": {},
                    "nobody": {},
                }
            },
        )

    def test_address(self) -> None:
        """
        A device that is asked for by its address is told by it.
        """
        self.keep(("workshop", "oven", 1, 3))
        answer = self.get("sparklines?device=poe/192.168.1.7")
        self.assertEqual(answer, {"devices": {"poe/192.168.1.7": {"oven": [[NOW - 3_000_000, 1]]}}})

    def test_dots(self) -> None:
        """
        There are no more than sixty dots, the highest and the lowest among them.
        """
        self.keep(*(("workshop", "oven", (ago * 7) % 1000, ago) for ago in range(1000)))
        (dots,) = self.get("sparklines?device=workshop")["devices"]["workshop"].values()
        self.assertLessEqual(len(dots), 60)
        self.assertEqual({min(one[1] for one in dots), max(one[1] for one in dots)}, {0, 999})

    def test_senseless(self) -> None:
        """
        Without a device, or for too many, there is no answer.
        """
        self.assertEqual(self.fault("sparklines"), "device: is missing")
        many = "&".join(f"device=d{number}" for number in range(MAX_DEVICES + 1))
        why = f"device: is given {MAX_DEVICES + 1} times; {MAX_DEVICES} are the most"
        self.assertEqual(self.fault(f"sparklines?{many}"), why)
        self.get(f"sparklines?{many.rpartition('&')[0]}")

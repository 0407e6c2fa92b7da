"""
Tests for L{sensord.control.live}.
"""

import re
from typing import Any

from msgspec import json
from twisted.logger import capturedLogs

from sensord.control.live import HEARTBEAT, MAX_FOLLOWERS, MAX_WAITING
from tests.control.support import NOW, ApiTestCase, Device, Link
from tests.store.support import intake, reading


class LiveTests(ApiTestCase):
    """
    C{GET /events}.
    """

    def follow(self, query: str = "") -> Link:
        """
        A client follows.
        """
        link = self.link()
        link.send(b"GET /api/v1/events%s HTTP/1.1\r\nHost: x\r\n\r\n" % query.encode())
        response = link.taken()
        self.assertIn(b" 200 OK\r\n", response)
        self.assertIn(b"\r\nContent-Type: text/event-stream\r\n", response)
        self.assertTrue(response.endswith(b"\r\n\r\n3\r\n:\n\n\r\n"), response)
        return link

    def told(self, link: Link) -> list[tuple[str, Any]]:
        """
        What a client was told since.
        """
        data = re.sub(rb"[0-9a-f]+\r\n((?:.*\n)+\n)\r\n", rb"\1", link.taken())
        events = re.findall(rb"event: (\w+)\ndata: (.*)\n\n", data)
        return [(kind.decode(), json.decode(text)) for kind, text in events]

    def values(self, link: Link) -> list[list[object]]:
        """
        The values of the readings that a client was told of, by event.
        """
        return [[one["value"] for one in data] for kind, data in self.told(link)]

    def test_readings(self) -> None:
        """
        Readings come after their commit, many in one event, at most every 100 ms.
        """
        link = self.follow()
        self.keep(("workshop", "oven", 21.5, 1))
        self.keep(("workshop", "door", True, 1), ("attic", "note", "warm", 0))
        self.assertEqual(link.taken(), b"")
        self.clock.advance(0.1)
        [(kind, data)] = self.told(link)
        self.assertEqual((kind, [one["value"] for one in data]), ("readings", [21.5, True, "warm"]))
        self.assertEqual(
            data[0],
            {
                "device": "workshop",
                "name": "oven",
                "value": 21.5,
                "time": NOW - 1_000_000,
                "clock": "arrival",
            },
        )
        self.clock.advance(1)
        self.assertEqual(link.taken(), b"")

    def test_many(self) -> None:
        """
        Very many readings do not wait for the time to pass, and come in several events.
        """
        link = self.follow()
        self.admit(intake(*(reading(time, time) for time in range(12_000))))
        events = self.values(link)
        self.assertEqual([len(values) for values in events], [1_000] * 12)
        self.assertEqual(events[-1][-1], 11_999)

    def test_filter(self) -> None:
        """
        A client can follow some devices and readings only. Brackets stand for themselves.
        """
        links = [
            self.follow(query)
            for query in (
                "?device=w*&name=o?en",
                "?device=poe/192.168.1.7",
                "?name=t[[]",
                "?name=t[",
            )
        ]
        self.keep(("workshop", "oven", 1, 0), ("workshop", "t[", 2, 0), ("attic", "oven", 3, 0))
        self.clock.advance(0.1)
        self.assertEqual([self.values(link) for link in links], [[[1]], [[1, 2]], [], [[2]]])

    def test_devices(self) -> None:
        """
        A device that comes into another state is told.
        """
        link, other = self.follow("?device=workshop"), self.follow("?device=attic")
        self.presence.record("poe/192.168.1.7").hear(NOW)
        self.presence.look()
        self.assertEqual(
            self.told(link),
            [
                (
                    "devices",
                    [
                        {
                            "address": "poe/192.168.1.7",
                            "name": "workshop",
                            "before": None,
                            "state": "awake",
                            "heard": NOW,
                        }
                    ],
                )
            ],
        )
        self.assertEqual(other.taken(), b"")

    def test_commands(self) -> None:
        """
        A command is told when it is new, and when something has become of it.
        """
        link, other = self.follow("?device=poe/*"), self.follow("?device=barn*")
        self.presence.arrive("poe/192.168.1.7", Device())
        self.post("commands", {"address": "workshop", "variable": "LED", "value": 1})
        told = self.told(link)
        self.assertEqual([kind for kind, _data in told], ["commands"] * 2)
        self.assertEqual([data[0]["state"] for _kind, data in told], ["pending", "sent"])
        self.assertEqual(other.taken(), b"")

    def test_heartbeat(self) -> None:
        """
        A comment comes now and then, so that both ends know that the other is there.
        """
        link = self.follow()
        self.clock.advance(HEARTBEAT)
        self.assertEqual(link.taken(), b"3\r\n:\n\n\r\n")

    def test_idle(self) -> None:
        """
        When the last client has hung up, nothing is done for anybody any more.
        """
        first, second = self.follow(), self.follow()
        self.keep(("workshop", "oven", 1, 0))
        first.hangUp()
        second.hangUp()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.keep(("workshop", "oven", 2, 1))
        self.clock.advance(HEARTBEAT)
        self.assertEqual((first.taken(), second.taken()), (b"", b""))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        third = self.follow()
        self.keep(("workshop", "oven", 3, 2))
        self.clock.advance(0.1)
        self.assertEqual(self.values(third), [[3]])

    def test_slow(self) -> None:
        """
        A client that is slow gets what it missed as soon as it reads again.
        """
        link = self.follow()
        link.transport.producer.pauseProducing()
        for value in range(3):
            self.keep(("workshop", "oven", value, value))
            self.clock.advance(0.1)
        self.clock.advance(HEARTBEAT)
        self.assertEqual(link.taken(), b"")
        link.transport.producer.resumeProducing()
        self.assertEqual(self.values(link), [[0], [1], [2]])
        self.clock.advance(HEARTBEAT)
        self.assertFalse(link.transport.disconnected)

    def test_full(self) -> None:
        """
        A client that does not read is dropped before it takes up much memory, and nobody else is.
        """
        link, other = self.follow(), self.follow()
        link.transport.producer.pauseProducing()
        text = "x" * (MAX_WAITING // 4)
        with capturedLogs() as logs:
            for value in range(4):
                self.assertFalse(link.transport.disconnected)
                self.keep(("workshop", "note", text, value))
                self.clock.advance(0.1)
        self.assertTrue(link.transport.disconnected)
        self.assertEqual(
            [event["log_format"] for event in logs],
            ["a follower of events is dropped: it does not read them"],
        )
        link.transport.producer.resumeProducing()
        link.hangUp()
        self.assertEqual(link.taken(), b"")
        self.assertEqual(len(self.told(other)), 4)
        self.assertFalse(other.transport.disconnected)

    def test_asleep(self) -> None:
        """
        A client that does not read for half a minute is dropped, even if there is little to read.
        """
        link = self.follow()
        link.transport.producer.pauseProducing()
        self.clock.advance(HEARTBEAT)
        self.assertFalse(link.transport.disconnected)
        self.clock.advance(HEARTBEAT)
        self.assertTrue(link.transport.disconnected)

    def test_crowd(self) -> None:
        """
        There is a limit on how many can follow.
        """
        links = [self.follow() for _ in range(MAX_FOLLOWERS)]
        self.assertEqual(self.fault("events", 503), f"{MAX_FOLLOWERS} follow already")
        links[0].hangUp()
        self.follow()

    def test_senseless(self) -> None:
        """
        A pattern that is too long is refused.
        """
        why = "device: is longer than 200 characters"
        self.assertEqual(self.fault(f"events?device={'*' * 201}"), why)

    def test_close(self) -> None:
        """
        When the daemon is stopping, the events end, and there are no new ones.
        """
        link = self.follow()
        self.api.close()
        self.assertEqual(link.taken(), b"0\r\n\r\n")
        self.assertEqual(self.fault("events", 503), "the daemon is stopping")

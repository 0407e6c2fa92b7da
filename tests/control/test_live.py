"""
Tests for L{sensord.control.live}.
"""

import re
from typing import Any

from msgspec import json
from twisted.logger import capturedLogs

from sensord.control.live import HEARTBEAT, KEPT, MAX_FOLLOWERS, MAX_WAITING
from sensord.control.ring import MAX_BYTES
from tests.control.support import NOW, ApiTestCase, Device, Link
from tests.store.support import intake, reading


class LiveTestCase(ApiTestCase):
    """
    Clients that follow.
    """

    def follow(self, query: str = "") -> Link:
        """
        A client follows.
        """
        link = self.come(query)
        self.assertRegex(link.taken(), rb"\r\n\r\n13\r\n:\n\nid: [0-9a-f]{8}-\d\n\n\r\n$")
        return link

    def come(self, query: str = "", last: str = "") -> Link:
        """
        A client follows, and has not read anything yet.

        @param last: the id that it knows.
        """
        link = self.link()
        head = f"Host: x\r\nLast-Event-ID: {last}\r\n\r\n"
        link.send(f"GET /api/v1/events{query} HTTP/1.1\r\n{head}".encode())
        response = link.transport.value()
        self.assertIn(b" 200 OK\r\n", response)
        self.assertIn(b"\r\nContent-Type: text/event-stream\r\n", response)
        return link

    def last(self, link: Link) -> str:
        """
        The newest id that a client has been told and has not read yet.
        """
        ids = re.findall(rb"^id: (\S+)$", link.transport.value(), re.MULTILINE)
        return str(ids[-1].decode())

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


class LiveTests(LiveTestCase):
    """
    C{GET /events}.
    """

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
        A minute after the last client has hung up, nothing is done for anybody any more.
        """
        first, second = self.follow(), self.follow()
        self.keep(("workshop", "oven", 1, 0))
        first.hangUp()
        second.hangUp()
        self.clock.advance(KEPT)
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
        link.hangUp()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.fault("events", 503), "the daemon is stopping")


class ResumeTests(LiveTestCase):
    """
    Clients that come back.
    """

    def happen(self, *values: int) -> None:
        """
        The oven of the workshop says something, and that is told.
        """
        for value in values:
            self.keep(("workshop", "oven", value, 100 - value))
            self.clock.advance(0.1)

    def test_missed(self) -> None:
        """
        A client that comes back is told what it has missed, once, and goes on with what comes.
        """
        link, other = self.come(), self.follow()
        self.happen(1)
        last = self.last(link)
        link.hangUp()
        self.happen(2, 3)
        link = self.come(last=last)
        self.assertEqual(self.values(link), [[2], [3]])
        self.happen(4)
        self.assertEqual(self.values(link), [[4]])
        self.assertEqual(self.values(other), [[1], [2], [3], [4]])

    def test_nothingYet(self) -> None:
        """
        A client whose connection is lost before anything has happened is told what it has missed,
        too.
        """
        link = self.come()
        last = self.last(link)
        link.hangUp()
        self.happen(1)
        again = self.come(last=last)
        self.assertEqual(self.last(again), f"{last.split('-')[0]}-1")
        self.assertEqual(self.values(again), [[1]])

    def test_parameter(self) -> None:
        """
        The id may also be said by a parameter, since a page that begins anew can send no header.
        """
        last = self.last(self.come())
        self.happen(1)
        self.assertEqual(self.values(self.come(f"?last={last}")), [[1]])

    def test_kinds(self) -> None:
        """
        What was missed may be of any kind, and only what is wanted is told.
        """
        link = self.come()
        last = self.last(link)
        link.hangUp()
        self.presence.record("poe/192.168.1.7").hear(NOW)
        self.presence.look()
        self.post("commands", {"address": "workshop", "variable": "LED", "value": 1}, 202)
        self.keep(("workshop", "oven", 1, 0), ("attic", "oven", 2, 0))
        self.clock.advance(0.1)
        told = [
            [(kind, len(data)) for kind, data in self.told(self.come(query, last))]
            for query in ("", "?device=workshop", "?device=attic", "?name=door")
        ]
        others = [("devices", 1), ("commands", 1)]
        self.assertEqual(
            told,
            [[*others, ("readings", 2)], [*others, ("readings", 1)], [("readings", 1)], others],
        )

    def test_others(self) -> None:
        """
        Somebody else's events, or nonsense, are answered by a reset: the client has to ask for
        everything anew. It can go on from there.
        """
        self.happen(1)
        newest = self.last(self.come())
        run, _dash, number = newest.partition("-")
        senseless = (
            f"{run}-{int(number) + 1}",
            "00000000-0",
            run,
            "-",
            "x",
            f"{run}--1",
            f"{run}-²",
        )
        for last in (*senseless, f"{run}-{'9' * 100}"):
            link = self.come(last=last)
            self.assertEqual(self.last(link), newest)
            self.assertEqual(self.told(link), [("reset", [])])
            self.assertEqual(self.told(self.come(last=newest)), [])

    def test_much(self) -> None:
        """
        When more has happened than there is room for, that is a reset.
        """
        last = self.last(self.come())
        for value in range(3):
            self.keep(("workshop", "note", "x" * (MAX_BYTES // 2), value))
            self.clock.advance(0.1)
        self.assertEqual(self.told(self.come(last=last)), [("reset", [])])
        run = last.partition("-")[0]
        self.assertEqual(len(self.told(self.come(last=f"{run}-2"))), 1)

    def test_late(self) -> None:
        """
        A client that was away for less than a minute has lost nothing, even if it is the only one;
        one that was away for longer has.
        """
        link = self.come()
        last = self.last(link)
        link.hangUp()
        self.happen(1)
        self.clock.advance(KEPT - 1)
        link = self.come(last=last)
        self.assertEqual(self.values(link), [[1]])
        link.hangUp()
        self.clock.advance(KEPT)
        self.assertEqual(self.told(self.come(last=last)), [("reset", [])])

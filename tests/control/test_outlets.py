"""
Tests for L{sensord.control.outlets}: dead letters, replays, and sinks that are gone.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import json

from sensord.sinks import Entry, Poison, Transient
from sensord.store import letters
from sensord.store.archive import Archive
from sensord.store.audit import audit
from tests.control.support import NOW, ApiTestCase, Link
from tests.store.support import faults, reading, sql


class OutletsTestCase(ApiTestCase):
    """
    A sink that has 10 readings, of which it has refused the values 2, 5 and 6.
    """

    def setUp(self) -> None:
        """
        Pass them on.
        """
        super().setUp()
        self.outbox.startService()
        self.addCleanup(lambda: self.outbox.running and self.outbox.stopService())
        self.refuse(2, 5, 6)
        self.store.record([reading(NOW + value, value) for value in range(1, 11)])
        self.elapse()
        self.assertEqual(self.line("influx")["dead"], 3)
        self.refuse()
        self.sink.entries.clear()

    def refuse(self, *values: object) -> None:
        """
        Have values be poison from now on.
        """

        def fault(batch: Sequence[Entry]) -> Exception | None:
            bad = [entry.id for entry in batch if entry.value in values]
            return Poison("bad", bad) if bad else None

        self.sink.fault = fault

    def elapse(self, seconds: int = 3) -> None:
        """
        Let time pass.
        """
        self.clock.pump([0.5] * seconds * 2)

    def line(self, name: str) -> Any:
        """
        How a sink is.
        """
        (line,) = [one for one in self.get("sinks") if one["name"] == name]
        return line

    def stray(self) -> None:
        """
        Have two dead letters, and a place, of a sink that was taken out.
        """
        sql(self.path, "INSERT INTO cursors (sink, position, base, dead) VALUES ('old', 4, 4, 2)")
        sql(self.path, "UPDATE cursors SET base = -2 WHERE sink = 'old'")
        sql(self.path, "UPDATE cursors SET expired = 4 WHERE sink = 'old'")
        for _ in range(2):
            sql(
                self.path,
                "INSERT INTO dead_letters (sink, reading, device, name, time, value, why, died)"
                " VALUES ('old', 1, 'balcony', 'temperature', 1, 1, 'no', 1)",
            )
        self.assertEqual(faults(self.path), [])


class LettersTests(OutletsTestCase):
    """
    C{/dead-letters}.
    """

    def values(self) -> list[object]:
        """
        The values of all dead letters, the newest first.
        """
        return [one["value"] for one in self.get("dead-letters")]

    def test_list(self) -> None:
        """
        They are listed, the newest first, with all that is known of them.
        """
        self.assertEqual(self.values(), [6, 5, 2])
        one = self.get("dead-letters?sink=influx&limit=1")[0]
        self.assertGreater(one.pop("died"), 0)
        self.assertEqual(
            one,
            {
                "id": 3,
                "sink": "influx",
                "reading": 6,
                "device": "balcony",
                "name": "temperature",
                "value": 6,
                "unit": "",
                "time": NOW + 6,
                "why": "bad",
                "retry": False,
            },
        )
        self.assertEqual(self.get("dead-letters?sink=other"), [])
        self.assertIn("limit: ", self.fault("dead-letters?limit=0"))

    def test_retry(self) -> None:
        """
        Some are tried again, or those of a sink, or all.
        """
        self.assertEqual(self.post("dead-letters/retry", {"ids": [3]}), {"influx": 1})
        self.assertEqual((self.sink.values, self.values()), ([6], [5, 2]))
        self.refuse(5)
        self.assertEqual(self.post("dead-letters/retry", {"sink": "influx"}), {"influx": 2})
        self.assertEqual((self.sink.values, self.values()), ([6, 2], [5]))
        self.refuse()
        self.assertEqual(self.post("dead-letters/retry", {"all": True}), {"influx": 1})
        self.assertEqual(self.post("dead-letters/retry", {"all": True}), {})
        line = self.line("influx")
        self.assertEqual((line["delivered"], line["dead"]), (10, 0))
        self.assertEqual(faults(self.path), [])

    def test_drop(self) -> None:
        """
        What is dropped counts as expired, also of a sink that is gone.
        """
        self.stray()
        self.assertEqual(
            self.post("dead-letters/drop", {"ids": [1], "sink": "influx"}), {"influx": 1}
        )
        self.assertEqual(self.values(), [1, 1, 6, 5])
        self.assertEqual(self.post("dead-letters/drop", {"all": True}), {"influx": 2, "old": 2})
        line = self.line("influx")
        self.assertEqual((line["delivered"], line["dead"]), (7, 0))
        self.assertEqual((line["expired"], line["dropped"]), (3, 3))
        self.assertEqual(faults(self.path), [])

    def test_pieces(self) -> None:
        """
        Many are dealt with some at a time.
        """
        self.patch(letters, "PIECE", 2)
        self.refuse(2, 5, 6)
        self.assertEqual(self.post("dead-letters/retry", {"all": True}), {"influx": 3})
        self.assertEqual(self.values(), [6, 5, 2])
        self.assertEqual(self.post("dead-letters/drop", {"sink": "influx"}), {"influx": 3})

    def test_senseless(self) -> None:
        """
        What makes no sense is answered by the reason, and nothing is done.
        """
        self.stray()

        def why(action: str, status: int, **choice: object) -> str:
            return str(self.post(f"dead-letters/{action}", choice, status)["error"])

        of = "there is no dead letter 4 of influx"
        for action in ("retry", "drop"):
            self.assertIn("say which", why(action, 400))
            self.assertIn("say which", why(action, 400, ids=[1], all=True))
            self.assertEqual(why(action, 404, ids=[1, 77]), "there is no dead letter 77")
            self.assertEqual(why(action, 404, ids=[4], sink="influx"), of)
            self.assertIn('did you mean "influx"?', why(action, 404, sink="inflx"))
        self.assertIn("in the configuration no more", why("retry", 409, sink="old"))
        self.assertIn("in the configuration no more", why("retry", 409, ids=[1, 4]))
        self.assertEqual(self.values(), [1, 1, 6, 5, 2])
        self.assertFalse(any(one["retry"] for one in self.get("dead-letters")))
        answer = self.decode(
            self.ask("POST", "dead-letters/drop", b'{"all":true}', "text/plain"), 400
        )
        self.assertEqual(answer, {"error": "say Content-Type: application/json"})

    def test_diskFull(self) -> None:
        """
        When it cannot be written down, the answer says so.
        """
        self.disk.trouble = "UPDATE dead_letters"
        error = self.post("dead-letters/retry", {"all": True}, 503)["error"]
        self.assertEqual(error, "disk I/O error")


class GoneTests(OutletsTestCase):
    """
    A sink that is in the ledger, and not in the configuration.
    """

    def test_shown(self) -> None:
        """
        It is shown as gone, with its line.
        """
        self.stray()
        line = self.line("old")
        self.assertEqual((line["kind"], line["state"], line["error"]), ("", "gone", ""))
        self.assertEqual((line["dead"], line["backlog"], line["expired"]), (2, 6, 4))

    def test_forgotten(self) -> None:
        """
        It can be forgotten, with its dead letters; a second time there is nothing to forget.
        """
        self.stray()
        self.patch(letters, "PIECE", 1)
        line = self.post("sinks/old/forget")
        self.assertEqual((line["name"], line["state"], line["backlog"]), ("old", "gone", 6))
        self.assertEqual([one["name"] for one in self.get("sinks")], ["influx"])
        self.assertEqual({one["sink"] for one in self.get("dead-letters")}, {"influx"})
        self.assertIn("no sink", self.post("sinks/old/forget", status=404)["error"])
        self.assertEqual(audit(Archive(self.path)).faults, [])

    def test_inUse(self) -> None:
        """
        One that is in the configuration is not forgotten.
        """
        error = self.post("sinks/influx/forget", status=409)["error"]
        self.assertIn("take it out of the configuration", error)
        self.assertEqual(self.line("influx")["dead"], 3)

    def test_meant(self) -> None:
        """
        A name that is wrong is answered by the one that is meant.
        """
        self.stray()
        error = self.post("sinks/olld/forget", status=404)["error"]
        self.assertIn('did you mean "old"?', error)


class ReplayTests(OutletsTestCase):
    """
    C{/sinks/<name>/replay}.
    """

    def begin(self, body: object = None, name: str = "influx") -> Link:
        """
        Ask for a replay.
        """
        data = json.encode(body or {"start": "forever"})
        link = self.link()
        link.send(
            b"POST /api/v1/sinks/%s/replay HTTP/1.1\r\nHost: localhost\r\nContent-Type:"
            b" application/json\r\nContent-Length: %d\r\n\r\n" % (name.encode(), len(data)) + data
        )
        return link

    def events(self, link: Link) -> list[dict[str, Any]]:
        """
        What has come.
        """
        data = link.taken()
        return [
            json.decode(line.partition(b": ")[2])
            for line in data.split(b"\n")
            if line.startswith(b"data: ")
        ]

    def test_done(self) -> None:
        """
        History is sent again, and the response ends with how it went.
        """
        link = self.begin({"start": str(NOW + 4), "end": str(NOW + 9), "device": "balcony"})
        self.elapse()
        self.assertEqual(self.sink.values, [4, 5, 6, 7, 8])
        data = link.transport.value()
        self.assertIn(b"text/event-stream", data)
        self.assertTrue(data.endswith(b"0\r\n\r\n"))
        last = self.events(link)[-1]
        self.assertEqual(
            last,
            {
                "state": "done",
                "looked": 10,
                "total": 10,
                "sent": 5,
                "refused": 0,
                "why": "",
                "error": "",
            },
        )
        line = self.line("influx")
        self.assertEqual((line["delivered"], line["dead"]), (7, 3))
        self.assertEqual(faults(self.path), [])

    def test_waits(self) -> None:
        """
        While the sink is away, events say so, and it goes on when that is over.
        """
        self.sink.fault = lambda batch: Transient("connection refused")
        link = self.begin()
        self.elapse()
        found = self.events(link)
        self.assertGreater(len(found), 4)
        self.assertEqual(
            (found[-1]["state"], found[-1]["error"]), ("waiting", "connection refused")
        )
        self.assertEqual(self.line("influx")["state"], "retrying")
        self.refuse(9)
        self.elapse(20)
        last = self.events(link)[-1]
        self.assertEqual((last["state"], last["sent"], last["refused"]), ("done", 9, 1))
        self.assertEqual(last["why"], "bad")

    def test_hungUp(self) -> None:
        """
        When whoever asked hangs up, the replay is stopped, and another one can begin.
        """
        self.sink.holding = True
        link = self.begin()
        self.elapse()
        other = self.begin()
        self.assertIn(b"409", other.taken().split(b"\r\n")[0])
        link.hangUp()
        self.sink.holding = False
        self.sink.held[0].callback(None)
        self.elapse()
        self.assertEqual(self.sink.batches[-1], 8)
        link = self.begin()
        self.elapse()
        self.assertEqual(self.events(link)[-1]["sent"], 10)

    def test_end(self) -> None:
        """
        When the daemon ends, so does the replay, and says why.
        """
        self.sink.fault = lambda batch: Transient("connection refused")
        link = self.begin()
        self.api.close()
        last = self.events(link)[-1]
        self.assertEqual((last["state"], last["error"]), ("stopped", "the daemon is stopping"))
        self.assertIn(b" 503 ", self.begin().taken().split(b"\r\n")[0])

    def test_choked(self) -> None:
        """
        Nothing is heaped up for one that does not read; the end is told as soon as it does.
        """
        self.sink.fault = lambda batch: Transient("connection refused")
        link = self.begin()
        link.taken()
        producer = link.transport.producer
        producer.pauseProducing()
        self.elapse(60)
        self.refuse()
        self.elapse(400)
        self.assertEqual(self.events(link), [])
        producer.resumeProducing()
        self.elapse()
        found = self.events(link)
        self.assertLess(len(found), 4)
        self.assertEqual(found[-1]["state"], "done")

    def test_senseless(self) -> None:
        """
        What makes no sense is answered by the reason.
        """

        def why(status: int, name: str = "influx", **body: object) -> str:
            return str(self.post(f"sinks/{name}/replay", body, status)["error"])

        self.assertEqual(why(400), "start: is missing")
        self.assertIn('start: "soon" is no time', why(400, start="soon"))
        self.assertIn("end: ", why(400, start="2d", end="soon"))
        self.assertEqual(why(400, start="2d", end="3d"), "start: lies behind the end")
        self.assertIn('no readings of "attic"', why(404, start="2d", device="attic"))
        self.assertIn('did you mean "influx"?', why(404, "influxx", start="2d"))
        self.successResultOf(self.outbox.stopService())
        self.assertIn("stopping", why(409, start="2d"))
        self.assertEqual(self.sink.values, [])

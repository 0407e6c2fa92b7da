"""
Tests for L{sensord.presence}.
"""

from collections.abc import Sequence

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sensord.presence import MAX_STRANGERS, Change, Presence, Record, State

SECOND = 1_000_000
START = 1_795_000_000 * SECOND


class Wire:
    """
    A link that remembers what was sent down.
    """

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> None:
        """
        Remember it.
        """
        self.sent.append(data)


class RecordTests(SynchronousTestCase):
    """
    L{Record} counts and learns.
    """

    def setUp(self) -> None:
        """
        A device that is met for the first time.
        """
        self.record = Record("poe/10.0.0.1", "workshop")

    def hear(self, *seconds: float) -> None:
        """
        Hear the device at some times.
        """
        for second in seconds:
            self.record.hear(START + round(second * SECOND))

    def test_first(self) -> None:
        """
        The first message says nothing of the interval.
        """
        self.hear(0)
        self.assertEqual((self.record.received, self.record.interval), (1, 0.0))
        self.assertEqual(self.record.heard, START)

    def test_learned(self) -> None:
        """
        The interval of a device that sends every two seconds is learned.
        """
        self.hear(0, 2, 4, 6, 8)
        self.assertAlmostEqual(self.record.interval, 2.0)

    def test_burst(self) -> None:
        """
        Messages of one burst count each, and the time between them is no interval.
        """
        self.record.hear(START, 21)
        self.record.hear(START + 5, 21)
        self.hear(2)
        self.assertEqual(self.record.received, 43)
        self.assertAlmostEqual(self.record.interval, 2.0, places=4)

    def test_drift(self) -> None:
        """
        A device that comes to send at another pace is followed.
        """
        self.hear(*range(0, 60, 2))
        self.hear(*range(60, 600, 5))
        self.assertAlmostEqual(self.record.interval, 5.0, places=2)

    def test_outage(self) -> None:
        """
        A day of silence hardly changes what is known of a device that sends every minute.
        """
        self.hear(0, 60, 120, 180, 86580)
        self.assertLess(self.record.interval, 70)

    def test_declared(self) -> None:
        """
        What a device declares itself is not learned over.
        """
        self.record.declare(3600)
        self.hear(0, 10, 20)
        self.assertEqual((self.record.interval, self.record.declared), (3600, True))

    def test_backwards(self) -> None:
        """
        A clock that steps back makes no interval.
        """
        self.hear(100, 0, 2)
        self.assertAlmostEqual(self.record.interval, 2.0)

    def test_counter(self) -> None:
        """
        A gap in the numbers of the messages is what was missed; going down is a restart.
        """
        for counter in (7, 8, 11, 11, 1, 2):
            self.record.count(counter)
        self.assertEqual((self.record.missed, self.record.restarts), (2, 1))


class PresenceTests(SynchronousTestCase):
    """
    L{Presence} knows who is where.
    """

    def setUp(self) -> None:
        """
        Nobody was heard yet.
        """
        self.now = START / SECOND
        self.presence = Presence(
            lambda address: address.replace("poe/10.0.0.1", "workshop"),
            lambda: self.now,
            {"lines/meter": 0.0, "lines/tank": 60.0}.get,
        )
        self.changes: list[tuple[str, State | None, State]] = []

    def follow(self, changes: Sequence[Change]) -> None:
        """
        Remember changes.
        """
        self.changes += [(one.record.address, one.before, one.after) for one in changes]

    def states(self, *seconds: float, interval: float = 0.0) -> list[State]:
        """
        How a device is that was heard once, so many seconds later.
        """
        record = self.presence.record("weather/1")
        record.hear(START)
        record.interval = interval
        return [self.presence.state(record, START / SECOND + second) for second in seconds]

    def test_revised(self) -> None:
        """
        When other descriptions count, devices have the names and the intervals that these say, what
        was learned of the others stays, and strangers are counted anew.
        """
        names = {"weather/1": "balcony", "weather/2": "roof"}
        expected: dict[str, float] = {"weather/1": 60.0}
        presence = Presence(
            lambda address: names.get(address, address), lambda: self.now, expected.get
        )
        for address in ("weather/1", "weather/2", "weather/3"):
            presence.record(address).hear(START)
        presence.record("weather/2").declare(30.0)
        names.update({"weather/1": "attic", "weather/3": "cellar"})
        expected.clear()
        expected["weather/3"] = 10.0
        presence.revise()
        self.assertEqual(
            [(one.name, one.interval, one.declared, one.received) for one in presence],
            [("attic", 0.0, False, 1), ("roof", 30.0, True, 1), ("cellar", 10.0, True, 1)],
        )
        for number in range(MAX_STRANGERS):
            presence.record(f"weather/{number + 10}")
        self.assertEqual(len([*presence]), MAX_STRANGERS + 1)

    def test_named(self) -> None:
        """
        A device has one record, with the name that it is described by.
        """
        record = self.presence.record("poe/10.0.0.1")
        self.assertEqual(record.name, "workshop")
        self.assertIs(self.presence.record("poe/10.0.0.1"), record)
        self.assertIs(self.presence.get("poe/10.0.0.1"), record)
        self.assertIsNone(self.presence.get("poe/10.0.0.2"))
        self.assertEqual(list(self.presence), [record])

    def test_many(self) -> None:
        """
        A peer that makes up ids does not fill the memory, which is said once. Devices that are
        described are remembered nevertheless, and so are those of other listeners.
        """
        with capturedLogs() as logs:
            self.flood(MAX_STRANGERS + 5)
        self.assertEqual(len(list(self.presence)), MAX_STRANGERS)
        self.assertEqual([formatEvent(event)[:20] for event in logs], ["lines: 5000 devices "])
        for address in ("lines/meter", "pages/1"):
            self.assertIs(self.presence.record(address), self.presence.get(address))

    def test_manyBefore(self) -> None:
        """
        After a restart there is room again: the strangers that were heard last are remembered.
        """
        known = [Record(f"lines/{number}", "", START) for number in range(MAX_STRANGERS)]
        self.presence.restore([*known, Record("lines/meter", "", START)])
        self.assertIsNotNone(self.presence.get("lines/meter"))
        self.assertIsNotNone(self.presence.get("lines/0"))
        self.assertIsNone(self.presence.get(known[-1].address))
        before = len(list(self.presence))
        self.flood(MAX_STRANGERS)
        self.assertGreater(len(list(self.presence)), before)

    def test_expected(self) -> None:
        """
        The interval of a description counts for more than what a device says itself, and than what
        was known before a restart.
        """
        record = self.presence.record("lines/tank")
        for interval in 5, 3600:
            record.declare(interval)
        for second in range(3):
            record.hear(START + second * 7 * SECOND)
        self.assertEqual((record.interval, record.declared), (60, True))
        self.presence.restore([Record("lines/tank", "", START, interval=7.0)])
        self.assertEqual(self.presence.record("lines/tank").interval, 60)

    def test_forgotten(self) -> None:
        """
        One that is forgotten is nobody, and is not missed; if it is heard again, it is new.
        """
        record = self.presence.record("lines/tank")
        record.hear(START, 5)
        record.count(7)
        self.presence.look()
        self.presence.follow(self.follow)
        record.forget()
        self.now += 1_000_000
        self.presence.look()
        self.assertEqual((record.heard, record.received, record.counter), (0, 0, None))
        self.assertEqual((record.interval, self.changes), (60, []))
        record.hear(int(self.now * SECOND))
        self.presence.look()
        self.assertEqual(self.changes, [("lines/tank", None, State.AWAKE)])

    def flood(self, count: int) -> None:
        """
        Hear devices whose ids are made up.
        """
        for number in range(count):
            self.presence.record(f"lines/x{number}").hear(START)

    def test_future(self) -> None:
        """
        A device that was heard while the clock was a day ahead is not awake for that day.
        """
        self.presence.record("weather/1").hear(START + 86400 * SECOND)
        self.presence.look()
        self.now += 25
        self.presence.look()
        self.assertEqual(self.presence.record("weather/1").state, State.ASLEEP)

    def test_battery(self) -> None:
        """
        A device without a link is awake for a moment, then asleep, overdue after an interval and a
        half, and lost after five.
        """
        states = self.states(1, 11, 3600, 5404, 5406, 18059, 18061, interval=3600)
        self.assertEqual(
            [state.value for state in states],
            ["awake", "asleep", "asleep", "asleep", "overdue", "overdue", "lost"],
        )

    def test_unknownInterval(self) -> None:
        """
        A device that was heard once is given hours before it counts as lost.
        """
        states = self.states(11, 6000, 20000)
        self.assertEqual(states, [State.ASLEEP, State.OVERDUE, State.LOST])

    def test_linked(self) -> None:
        """
        A device with a link is awake as long as it sends on time; a link that is silent for too
        long does not help it.
        """
        self.presence.arrive("weather/1", Wire())
        states = self.states(11, 29, 40, 200, interval=20)
        self.assertEqual(states, [State.AWAKE, State.AWAKE, State.OVERDUE, State.LOST])

    def test_never(self) -> None:
        """
        A device that was never heard is lost.
        """
        record = Record("weather/1", "balcony")
        self.assertEqual(self.presence.state(record, START), State.LOST)

    def test_followed(self) -> None:
        """
        Whoever follows is told of each change once, and no more after leaving.
        """
        leave = self.presence.follow(self.follow)
        self.presence.record("weather/1").hear(START)
        for second in (0, 1, 11, 12):
            self.now = START / SECOND + second
            self.presence.look()
        self.assertEqual(
            self.changes,
            [("weather/1", None, State.AWAKE), ("weather/1", State.AWAKE, State.ASLEEP)],
        )
        leave()
        self.now += 100_000
        self.presence.look()
        self.assertEqual(len(self.changes), 2)

    def test_followerFails(self) -> None:
        """
        A follower that fails is logged, and the others are told all the same.
        """

        def fail(_changes: Sequence[Change]) -> None:
            raise RuntimeError("not today")

        self.presence.follow(fail)
        self.presence.follow(self.follow)
        self.presence.record("weather/1").hear(START)
        self.presence.look()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(len(self.changes), 1)

    def test_takenOver(self) -> None:
        """
        A device that comes by a new link is reached by that one, also after the old one is gone.
        """
        old, new = Wire(), Wire()
        self.presence.arrive("pages/3", old)
        self.presence.arrive("pages/3", new)
        self.assertIs(self.presence.link("pages/3"), new)
        self.presence.leave("pages/3", old)
        self.assertIs(self.presence.link("pages/3"), new)
        self.presence.leave("pages/3", new)
        self.presence.leave("pages/3", new)
        self.assertIsNone(self.presence.link("pages/3"))
        self.assertEqual(self.presence.present(), [])

    def test_radio(self) -> None:
        """
        A radio is the link of all its nodes, and is no device itself.
        """
        radio = Wire()
        self.presence.arrive("radio/*", radio)
        self.assertIs(self.presence.link("radio/10"), radio)
        self.assertIsNone(self.presence.link("radio2/10"))
        self.assertEqual(self.presence.present(), [])

    def test_greeted(self) -> None:
        """
        Whoever wants to is told of each device that arrives; one that fails harms nobody.
        """
        met: list[str] = []

        def fail(_address: str) -> None:
            raise RuntimeError("not today")

        self.presence.greet(fail)
        self.presence.greet(met.append)
        self.presence.arrive("pages/3", Wire())
        self.assertEqual(met, ["pages/3"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_restored(self) -> None:
        """
        What was known before a restart is known again, under the names of now.
        """
        self.presence.restore([Record("poe/10.0.0.1", "old name", START, 7)])
        record = self.presence.record("poe/10.0.0.1")
        self.assertEqual((record.name, record.received), ("workshop", 7))

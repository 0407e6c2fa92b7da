"""
Tests for L{sensord.sources.topics}: who is heard, what there is an end of, and what is kept.
"""

from pathlib import Path
from struct import pack
from typing import Any

from sensord.config import STOCK
from sensord.quarantine import redecode
from sensord.reading import Clock, Intake, Quarantined, Reading
from sensord.registry import Registry
from sensord.settings import DeviceSettings, ValueSettings
from sensord.sources.texts import MAX_SERIES
from sensord.sources.topics import TopicSource
from sensord.store.archive import Archive
from sensord.store.audit import audit
from sensord.store.database import Database, Part
from sensord.wire.topics import MAX_NAME, Message, encode
from tests.sources.support import NOW, SECOND, named
from tests.sources.test_packets import EXAMPLE, OLDER
from tests.sources.test_topics import BROKER, DATA, TopicTestCase
from tests.store.support import Disk

#: Of how many series there can be in one message of a test.
CHUNK = 250


class LimitTests(TopicTestCase):
    """
    Peers that make things up.
    """

    def test_thereIsAnEndOfDevices(self) -> None:
        """
        So many devices without a description are heard and no more; what they say that were heard
        before, or are described, goes on.
        """
        source = self.source(DeviceSettings("farm/h7/known"), max_devices=3)
        for id in ("a", "b", "a", "c"):
            self.assertEqual(len(self.say(source, b"1", f"/h7/{id}/data").readings), 1)
        for number in range(50):
            intake = self.say(source, b"1", f"/h7/{number}/data")
            self.assertEqual(self.rejection(intake), "3 devices are heard already")
        self.assertIsNone(self.presence.get("farm/h7/7"))
        for id in ("a", "c", "known"):
            self.assertEqual(len(self.say(source, b"1", f"/h7/{id}/data").readings), 1)

    def test_thereIsAnEndOfDevicesThatSendBytes(self) -> None:
        """
        The end of devices is the same for all payloads.
        """
        for payload in ("esp8266", "poe", "packed"):
            source = self.source(payload=payload, max_devices=1)
            self.say(source, b"\x01\x00\x00\x00")
            intake = self.say(source, b"\x01\x00\x00\x00", "/h7/y/data")
            self.assertEqual(self.rejection(intake), "1 devices are heard already")

    def test_longIdsAndNamesAreNobodys(self) -> None:
        """
        A topic that would be kept for ever as an id or a name of many kilobytes is rejected.
        """
        source = self.source(topic="e/{device}/{name}")
        for topic in (f"e/{'x' * 10_000}/n", f"e/x/{'n' * (MAX_NAME + 1)}"):
            why = self.rejection(self.say(source, b"1", topic))
            self.assertEqual(why, "no topic of the form e/{device}/{name}")

    def fill(self, source: TopicSource) -> None:
        """
        Begin as many series as can be without a description.
        """
        names = ",".join(f'"v{number}":1' for number in range(CHUNK))
        for number in range(MAX_SERIES // CHUNK):
            intake = self.say(source, f"{{{names}}}".encode(), f"/h7/{number}/data")
            self.assertEqual(len(intake.readings), CHUNK)

    def test_thereIsAnEndOfSeries(self) -> None:
        """
        So many series without a description can begin and no more: what goes beyond is rejected,
        what was known before goes on, and so does what is described.
        """
        values = (ValueSettings("a"),)
        source = self.source(DeviceSettings("farm/h7/known", values=values))
        self.fill(source)
        why = f"{MAX_SERIES} values without a description are stored already"
        self.assertEqual(self.rejection(self.say(source, b"1")), why)
        intake = self.say(source, b'{"v0": 5, "new": 6, "v1": 7}', "/h7/0/data")
        self.assertEqual(named(intake), [("v0", 5), ("v1", 7)])
        self.assertEqual([item.why for item in intake.rejected], [why])
        intake = self.say(source, b'{"b": 1, "a": 2}', "/h7/known/data")
        self.assertEqual((named(intake), len(intake.rejected)), ([("a", 2)], 1))

    def test_thereIsAnEndOfPackedSeries(self) -> None:
        """
        Packed values that are not described, or whose topic has a name that anybody can make up,
        are series like others.
        """
        known = DeviceSettings("farm/known", values=(ValueSettings("a", "h"),))
        source = self.source(known, payload="packed", topic="e/{device}/{name}")
        data = pack("<h", 7) * CHUNK
        for number in range(MAX_SERIES // CHUNK):
            self.assertEqual(len(self.say(source, data, f"e/x/{number}").readings), CHUNK)
        why = f"{MAX_SERIES} values without a description are stored already"
        for topic in ("e/x/more", "e/y/0", "e/known/more"):
            self.assertEqual(self.rejection(self.say(source, data[:2], topic)), why)
        self.assertEqual(named(self.say(source, data[:2], "e/x/5")), [("5.1", 7)])
        source = self.source(payload="packed")
        for number in range(MAX_SERIES // CHUNK):
            self.assertEqual(len(self.say(source, data, f"/h7/{number}/data").readings), CHUNK)
        self.assertEqual(self.rejection(self.say(source, data[:2])), why)

    def test_describedPackedSeriesHaveNoEnd(self) -> None:
        """
        What is described is no series that anybody made up.
        """
        values = tuple(ValueSettings(str(number), "h") for number in range(CHUNK))
        count = MAX_SERIES // CHUNK + 2
        known = [DeviceSettings(f"farm/h7/{id}", values=values) for id in range(count)]
        source = self.source(*known, payload="packed")
        for id in range(count):
            intake = self.say(source, bytes(2 * CHUNK), f"/h7/{id}/data")
            self.assertEqual(len(intake.readings), CHUNK)


class RegistryTests(TopicTestCase):
    """
    Hubs whose devices are registered, and the quarantine.
    """

    def setUp(self) -> None:
        """
        A registry with one device, and a database.
        """
        super().setUp()
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.path = folder / "h7.devices.json"
        Registry(self.path, 10).add("x")
        disk = Disk()
        disk.durable = False
        self.database = Database(
            folder / "h7.sqlite",
            lambda *series: self.devices.describe(*series),
            connect=disk.connect,
        )
        self.database.open()
        self.addCleanup(self.database.close)
        self.archive = Archive(self.database.path)

    def hub(self, *devices: DeviceSettings, **more: Any) -> TopicSource:
        """
        What decodes the messages of a hub that has a registry.
        """
        options = {"topic": "/h7/{device}/data", "registry": str(self.path), **more}
        return self.source(*devices, **options)

    def store(self, *intakes: Intake) -> None:
        """
        Store what came of some messages.
        """
        self.database.commit([Part("farm", intakes)])

    def stored(self) -> list[Reading]:
        """
        The journal.
        """
        return [one.reading for page in self.archive.export() for one in page]

    def assertBalanced(self, *expected: int) -> None:
        """
        Check how many were received, committed, duplicate, rejected and quarantined.
        """
        outcome = audit(self.archive)
        [one] = outcome.accounts
        self.assertEqual(outcome.faults, [])
        self.assertEqual(
            (one.received, one.committed, one.duplicate, one.rejected, one.quarantined), expected
        )

    def test_onlyTheRegisteredAreHeard(self) -> None:
        """
        What a device says that is not registered is kept whole, and nothing is known of it.
        """
        source = self.hub()
        self.assertEqual(named(self.say(source, b"1")), [("value", 1)])
        message = Message("/h7/y/data", b'{"a": 1}')
        intake = source.decode(BROKER, [message])
        why = "y is not registered"
        kept = [Quarantined(NOW + 1, BROKER, encode(message), why, "mqtt")]
        self.assertEqual(intake, Intake([], b"", [], kept))
        self.assertIsNone(self.presence.get("farm/y"))

    def test_aDeviceIsHeardAsSoonAsItIsRegistered(self) -> None:
        """
        A device that is added or removed while the hub runs is heard, or not, from the next message
        on.
        """
        source = self.hub(max_devices=10)
        assert source.registry is not None
        source.registry.add("y")
        self.assertEqual(len(self.say(source, b"1", "/h7/y/data").readings), 1)
        source.registry.remove("y")
        self.assertEqual(len(self.say(source, b"1", "/h7/y/data").quarantined), 1)

    def test_asManyAreRegisteredAsAreHeard(self) -> None:
        """
        There are no more registered devices than may be heard.
        """
        source = self.hub(max_devices=1)
        assert source.registry is not None
        self.assertRaises(ValueError, source.registry.add, "y")

    def test_devicesMayBeReplacedForEver(self) -> None:
        """
        A device that was removed leaves its place to another, however often that happens.
        """
        source = self.hub(DeviceSettings("farm/known"), max_devices=2)
        assert source.registry is not None
        source.registry.remove("x")
        for id in ("stays", "known", *map(str, range(10))):
            source.registry.remove("known")
            source.registry.add(id)
            for heard in (id, "stays"):
                self.assertEqual(len(self.say(source, b"1", f"/h7/{heard}/data").readings), 1)
            if id != "stays":
                source.registry.remove(id)

    def test_withoutARegistryAllAreHeard(self) -> None:
        """
        A listener without a registry has none.
        """
        self.assertIs(self.source().registry, None)

    def test_whatABrokerRetainsIsNotKeptTwice(self) -> None:
        """
        What somebody said before who is not registered is not kept: the broker says it again with
        every new connection, and it would be stored as of then.
        """
        for payload in (b"1", b'{"a": 1, "time": 5}'):
            self.assertNothing(self.say(self.hub(), payload, "/h7/y/data", retained=True))
        intake = self.say(self.hub(retained=True), b"1", "/h7/y/data", retained=True)
        self.assertEqual(len(intake.quarantined), 1)

    def test_whatIsTooLongIsNotKept(self) -> None:
        """
        A message of 4096 bytes with its topic is kept; of a longer one only the beginning is shown.
        """
        payload = b"1" * (4096 - len("/h7/y/data") - 1)
        self.assertEqual(len(self.say(self.hub(), payload, "/h7/y/data").quarantined), 1)
        intake = self.say(self.hub(), payload + b"1", "/h7/y/data")
        why = "y is not registered, and it is too long to be kept"
        self.assertEqual(self.rejection(intake), why)
        self.assertEqual(intake.rejected[0].data, b"/h7/y/data " + b"1" * 64)
        intake = self.say(self.source(payload="packed"), bytes(4099))
        why = "4099 bytes, and farm/h7/x has no description, and it is too long to be kept"
        self.assertEqual(self.rejection(intake), why)

    def test_theUnregisteredComeBack(self) -> None:
        """
        What a device said before it was registered becomes the readings that it would have been, of
        the time at which it came, and the ledger balances.
        """
        source = self.hub()
        payloads = [b'{"a": 1}', b'{"a": 2, "b": 3, "time": 5}', b'{"a": 4, "c": "\\u0000"}', b"x"]
        self.store(*[self.say(source, payload, "/h7/y/data") for payload in payloads])
        self.store(self.say(source, b"7", "/h7/z/data"))
        self.assertBalanced(5, 0, 0, 0, 5)
        self.clock.advance(100)
        Registry(self.path, 10).add("y")
        outcome = redecode(self.settings, self.database, self.archive)
        self.assertEqual((outcome.resolved, outcome.readings), (4, 4))
        self.assertEqual(outcome.left, {5: "z is not registered"})
        self.assertEqual(
            self.stored(),
            [
                Reading("farm/y", "a", 1, NOW, Clock.ARRIVAL),
                Reading("farm/y", "a", 2, 5 * SECOND, Clock.DEVICE),
                Reading("farm/y", "b", 3, 5 * SECOND, Clock.DEVICE),
                Reading("farm/y", "a", 4, NOW + 2, Clock.ARRIVAL),
            ],
        )
        self.assertBalanced(7, 4, 0, 2, 1)

    def assertComesBack(self, payload: str, data: bytes, values: Any, *expected: int) -> None:
        """
        Check that what no description fitted becomes readings when there is one.
        """
        self.store(self.say(self.source(payload=payload), data))
        self.assertBalanced(1, 0, 0, 0, 1)
        self.source(DeviceSettings("farm/h7/x", "cellar", values=values), payload=payload)
        outcome = redecode(self.settings, self.database, self.archive)
        self.assertEqual((outcome.resolved, outcome.left), (1, {}))
        self.assertEqual({reading.device for reading in self.stored()}, {"cellar"})
        self.assertBalanced(*expected)

    def test_packedValuesComeBack(self) -> None:
        """
        Packed values that no description fitted become readings when there is one.
        """
        values = (ValueSettings("a", "B"), ValueSettings("b", "h"))
        self.assertComesBack("packed", b"\x01\x02\x03", values, 2, 2, 0, 0, 0)
        self.assertEqual([reading.value for reading in self.stored()], [1, 0x0302])

    def test_packetsComeBack(self) -> None:
        """
        A packet that no description fitted becomes readings when there is one, and what is rejected
        of it is counted once.
        """
        self.assertComesBack("esp8266", EXAMPLE[:-1], STOCK, 4, 3, 0, 1, 0)
        self.assertEqual([(one.name, one.value) for one in self.stored()], list(OLDER))

    def test_aBrokenRegistryLeavesAllInQuarantine(self) -> None:
        """
        If the registry cannot be read, what waits for it goes on waiting, with the reason.
        """
        self.store(self.say(self.hub(), b"7", "/h7/y/data"))
        self.path.write_bytes(b"[]")
        outcome = redecode(self.settings, self.database, self.archive)
        self.assertEqual((outcome.resolved, outcome.readings), (0, 0))
        self.assertTrue(outcome.left[1].startswith(f"{self.path}: "), outcome.left)
        self.assertBalanced(1, 0, 0, 0, 1)

    def test_whatComesTwiceIsStoredOnce(self) -> None:
        """
        A message that is delivered again, with the time that it says, is one reading; without one
        it cannot be told from another.
        """
        source = self.hub()
        for payload in (b'{"a": 1, "time": 5}', b'{"time": 5.0, "a": 1}', b'{"a": 2, "time": 5}'):
            self.store(self.say(source, payload))
        events = [Message(DATA, b'{"b": 1, "time": 5}')] * 2
        self.store(source.decode(BROKER, events))
        self.store(self.say(source, b"1"), self.say(source, b"1"))
        found = [(reading.name, reading.time) for reading in self.stored()]
        self.assertEqual(
            found, [("a", 5 * SECOND), ("b", 5 * SECOND), ("value", NOW + 5), ("value", NOW + 6)]
        )
        self.assertBalanced(7, 4, 3, 0, 0)

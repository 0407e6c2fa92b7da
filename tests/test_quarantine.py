"""
L{sensord.quarantine}.
"""

from collections.abc import Sequence
from pathlib import Path
from struct import pack

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import STOCK, Settings, parse
from sensord.devices import Devices
from sensord.quarantine import Addresses, redecode
from sensord.reading import Arrivals, Intake, Quarantined, Reading
from sensord.settings import DeviceSettings, ValueSettings
from sensord.store.archive import Archive, Held
from sensord.store.audit import audit
from sensord.store.database import Database, Part
from sensord.store.schema import StoreError
from sensord.wire import esp8266, rfm2pi
from sensord.wires import PacketSettings
from tests.store.support import Disk

_START = 1_763_661_234_567_891

_WEATHER = PacketSettings("weather", "esp8266", "tcp:0")

#: Nothing is described.
_BEFORE = Settings(listeners=(_WEATHER,))

#: Two devices are.
_AFTER = replace(
    _BEFORE,
    devices=(
        DeviceSettings("weather/1", "balcony", values=STOCK),
        DeviceSettings("weather/2", "cellar", values=(ValueSettings("level", "f"),)),
    ),
)


def stock(seconds: int, count: int = 2, device: int = 1) -> tuple[int, esp8266.Packet]:
    """
    A packet of the stock device, and when it comes.
    """
    rows = b"".join(pack("<HHH", seconds + k, 20000, 30000) for k in range(count))
    return seconds, esp8266.Packet(10, 5, 6, device, 3, rows)


class AddressTests(SynchronousTestCase):
    """
    L{Addresses}.
    """

    def test_addresses(self) -> None:
        """
        A frame says whose it is, if it came by a listener that still speaks its wire format.
        """
        settings = parse(
            {
                "listeners": [
                    {"name": "weather", "wire": "esp8266", "listen": "tcp:0"},
                    {"name": "radio", "wire": "rfm2pi", "port": "x"},
                    {"name": "farm", "wire": "mqtt", "topic": "/{hub}/{device}/data"},
                ]
            }
        )
        addresses = Addresses(settings)
        packet = esp8266.encode(stock(0, device=9)[1])
        radio = rfm2pi.encode(rfm2pi.Frame(20, b"\1\2\3"))
        for listener, wire, data, address in (
            ("weather", "esp8266", packet, "weather/9"),
            ("weather", "esp8266", packet[:8], ""),
            ("weather", "rfm2pi", radio, ""),
            ("radio", "rfm2pi", radio, "radio/20"),
            ("radio", "rfm2pi", b"", ""),
            ("farm", "mqtt", b"/acme/pump/data\0\xff", "farm/acme/pump"),
            ("farm", "mqtt", b"/acme/data\0\xff", ""),
            ("farm", "mqtt", b"\xff", ""),
            ("gone", "esp8266", packet, ""),
        ):
            self.assertEqual(addresses.of(listener, wire, data), address, (listener, data))


class RedecodeTests(SynchronousTestCase):
    """
    L{redecode}.
    """

    def setUp(self) -> None:
        """
        A database.
        """
        self.disk = Disk()
        self.disk.durable = False
        self.database = Database(
            Path(self.mktemp()), Devices(_AFTER).describe, connect=self.disk.connect
        )
        self.database.open()
        self.addCleanup(self.database.close)
        self.archive = Archive(self.database.path)

    def decode(
        self, settings: Settings, packets: Sequence[tuple[int, esp8266.Packet]]
    ) -> list[Intake]:
        """
        Decode packets as the daemon does when they come.
        """
        now = 0
        source = Devices(settings).source(
            _WEATHER, Arrivals(lambda: (_START + now * 1_000_000 + 0.5) / 1e6)
        )
        intakes = []
        for now, packet in packets:  # noqa: B007 (the clock reads it)
            intakes.append(source.decode("192.168.1.9", [packet]))
        return intakes

    def hold(self, *packets: tuple[int, esp8266.Packet]) -> None:
        """
        Have packets quarantined.
        """
        self.database.commit([Part("weather", self.decode(_BEFORE, packets))])

    def stored(self) -> list[Reading]:
        """
        The journal.
        """
        return [one.reading for page in self.archive.export() for one in page]

    def assertBalanced(self, *expected: int) -> None:
        """
        Check the ledger of the listener, and that it agrees with the rows.
        """
        outcome = audit(self.archive)
        (account,) = outcome.accounts
        self.assertEqual(outcome.faults, [])
        self.assertEqual(
            (account.received, account.committed, account.rejected, account.quarantined), expected
        )

    def test_all(self) -> None:
        """
        Frames whose device is described by now become the readings that they would have been.
        """
        packets = stock(0), stock(11), stock(13, 1), stock(22)
        self.hold(*packets)
        self.assertBalanced(4, 0, 0, 4)
        outcome = redecode(_AFTER, self.database, self.archive)
        self.assertEqual((outcome.resolved, outcome.readings, outcome.left), (4, 21, {}))
        direct = [one for intake in self.decode(_AFTER, packets) for one in intake.readings]
        self.assertEqual(self.stored(), direct)
        self.assertBalanced(21, 21, 0, 0)
        self.assertEqual(self.archive.quarantine(), [])

    def test_times(self) -> None:
        """
        The interval between measurements is what passed between the arrivals of the frames.
        """
        self.hold(stock(0), stock(11))
        redecode(_AFTER, self.database, self.archive)
        times = [one.time - _START for one in self.stored() if one.name == "light"]
        self.assertEqual(times, [-5_000_000, 0, 5_500_000, 11_000_000])

    def test_some(self) -> None:
        """
        Of some frames that are meant the others stay, and still tell how the time passed.
        """
        self.hold(stock(0), stock(11), stock(22))
        outcome = redecode(_AFTER, self.database, self.archive, [2])
        self.assertEqual((outcome.resolved, outcome.readings, outcome.left), (1, 6, {}))
        self.assertEqual([held.id for held in self.archive.quarantine()], [1, 3])
        times = [one.time - _START for one in self.stored() if one.name == "light"]
        self.assertEqual(times, [5_500_000, 11_000_000])
        self.assertBalanced(8, 6, 0, 2)

    def test_undescribed(self) -> None:
        """
        A frame that still has no description, or another one, is left with the reason.
        """
        self.hold(stock(0, device=7), stock(1), stock(2, device=2))
        outcome = redecode(_AFTER, self.database, self.archive)
        self.assertEqual((outcome.resolved, outcome.readings), (1, 6))
        self.assertEqual(
            outcome.left,
            {
                1: "device 7 has no description",
                3: "3 sensors in 6 bytes, the description of cellar has 1 in 4",
            },
        )
        self.assertEqual([held.id for held in self.archive.quarantine()], [1, 3])
        self.assertBalanced(8, 6, 0, 2)

    def test_gone(self) -> None:
        """
        The frames of a listener that is not configured any more are left.
        """
        self.hold(stock(0))
        outcome = redecode(Settings(listeners=()), self.database, self.archive)
        self.assertEqual((outcome.resolved, outcome.readings), (0, 0))
        self.assertEqual(outcome.left, {1: 'there is no listener "weather"'})
        self.assertBalanced(1, 0, 0, 1)

    def test_otherWire(self) -> None:
        """
        Frames that are none to their listener, since it speaks something else now, are left.
        """
        frame = Quarantined(_START, "10.0.0.1", b"\x01\xff\x00\x01", "of old", "poe")
        self.database.commit([Part("weather", [Intake([], quarantined=[frame])])])
        outcome = redecode(_AFTER, self.database, self.archive)
        self.assertEqual(outcome.left, {1: "came by poe, and weather speaks esp8266 now"})
        self.assertBalanced(1, 0, 0, 1)

    def test_rejected(self) -> None:
        """
        A value that is none is counted as rejected, and what stands beside it is stored.
        """
        data = pack("<fff", 1.5, float("nan"), 2.5)
        self.hold((0, esp8266.Packet(10, 5, 4, 2, 1, data)))
        outcome = redecode(_AFTER, self.database, self.archive)
        self.assertEqual((outcome.resolved, outcome.readings), (1, 2))
        self.assertEqual([one.value for one in self.stored()], [1.5, 2.5])
        self.assertBalanced(3, 2, 1, 0)

    def test_many(self) -> None:
        """
        Many frames go in several transactions, and the progress adds up to all of them.
        """
        self.hold(*(stock(11 * k, 1) for k in range(250)))
        told: list[int] = []
        outcome = redecode(_AFTER, self.database, self.archive, progress=told.append)
        self.assertEqual((outcome.resolved, outcome.readings), (250, 750))
        self.assertEqual(told, [100, 100, 50])
        self.assertBalanced(750, 750, 0, 0)

    def test_twice(self) -> None:
        """
        A second time there is nothing to do.
        """
        self.hold(stock(0))
        redecode(_AFTER, self.database, self.archive)
        outcome = redecode(_AFTER, self.database, self.archive)
        self.assertEqual((outcome.resolved, outcome.readings, outcome.left), (0, 0, {}))
        self.assertBalanced(6, 6, 0, 0)

    def test_raced(self) -> None:
        """
        If a frame is removed while it is decoded, nothing is stored for it.
        """
        self.hold(stock(0))
        archive = Archive(self.database.path)
        frames = archive.quarantine()
        redecode(_AFTER, self.database, self.archive)

        class Late(Archive):
            """
            Tells what was true before.
            """

            def quarantine(self, listener: str | None = None) -> list[Held]:
                """
                See L{Archive.quarantine}.
                """
                return frames

        late = Late(self.database.path)
        error = self.assertRaises(StoreError, redecode, _AFTER, self.database, late)
        self.assertIn("the quarantine changed meanwhile", str(error))
        self.assertBalanced(6, 6, 0, 0)

    def test_unwritable(self) -> None:
        """
        A database that cannot be written says so as such, and the frame is still there.
        """
        self.hold(stock(0))
        self.disk.trouble = "DELETE"
        error = self.assertRaises(StoreError, redecode, _AFTER, self.database, self.archive)
        self.assertTrue(str(error).startswith(f"{self.database.path}: "), error)
        self.assertEqual(self.stored(), [])
        self.assertBalanced(1, 0, 0, 1)

    def test_missing(self) -> None:
        """
        A database that is not there is an error, and none is made.
        """
        path = Path(self.mktemp())
        database = Database(path, Devices(_AFTER).describe)
        self.assertRaises(StoreError, redecode, _AFTER, database, Archive(path))
        self.assertFalse(path.exists())

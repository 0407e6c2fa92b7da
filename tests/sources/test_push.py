"""
Tests for L{sensord.sources.push}.
"""

from typing import Any

from hypothesis import given, strategies

from sensord.config import Settings
from sensord.devices import Devices
from sensord.presence import Presence
from sensord.pushes import PushSettings
from sensord.reading import Arrivals, Clock, Intake, Reading, Rejected
from sensord.settings import DeviceSettings, ValueSettings
from sensord.sources.push import PushSource
from sensord.sources.texts import MAX_SERIES
from sensord.wire import Skipped
from sensord.wire.push import Row
from tests.sources.support import HOST, NOW, PIECE, SECOND, SourceTestCase, named
from tests.support import PROPERTY


class PushTests(SourceTestCase):
    """
    What becomes of rows.
    """

    presence: Presence

    def source(self, *devices: DeviceSettings, **more: Any) -> PushSource:
        """
        What decodes the rows of a listener.
        """
        listener = PushSettings("push", "http", "", **more)
        made = Devices(Settings(listeners=(listener,), devices=devices))
        self.presence = made.presence
        source = made.source(listener, Arrivals(self.clock.seconds))
        assert isinstance(source, PushSource)
        return source

    def test_times(self) -> None:
        """
        A row has the time that it says, or that of its arrival; it is said where that came from.
        """
        rows = [
            Row("d", [("a", 1), ("b", "on")]),
            Row("d", [("a", 2)]),
            Row("d", [("a", 3)], 5 * SECOND),
            Row("d", [("a", 4)], 6 * SECOND, True),
        ]
        expected = [
            Reading("push/d", "a", 1, NOW, Clock.ARRIVAL),
            Reading("push/d", "b", "on", NOW, Clock.ARRIVAL),
            Reading("push/d", "a", 2, NOW + 1, Clock.ARRIVAL),
            Reading("push/d", "a", 3, 5 * SECOND, Clock.DEVICE),
            Reading("push/d", "a", 4, 6 * SECOND, Clock.BACKDATED),
        ]
        self.assertEqual(self.source().decode(HOST, rows), Intake(expected, b"", []))

    def test_presence(self) -> None:
        """
        A device was heard when its row came, whatever time that is of.
        """
        source = self.source()
        source.decode(HOST, [Row("d", [("a", 1)], 5), Row("d", []), PIECE, Row("a/b", [])])
        heard = {one.address: (one.heard // SECOND, one.received) for one in self.presence}
        start = NOW // SECOND
        self.assertEqual(heard, {"push/d": (start, 2), "push/a/b": (start, 1)})

    def test_described(self) -> None:
        """
        A description gives names, units and scales; what is not described keeps its name, or one
        like it.
        """
        device = DeviceSettings(
            "push/d",
            "kitchen",
            values=(
                ValueSettings("temperature", field="t", scale=0.1, offset=1),
                ValueSettings("on"),
            ),
        )
        row = Row("d", [("t", 2.3), ("on", True), ("temperature", 5), ("x", "y")])
        intake = self.source(device).decode(HOST, [row])
        self.assertEqual(
            named(intake), [("temperature", 1.23), ("on", True), ("temperature_", 5), ("x", "y")]
        )
        self.assertEqual({reading.device for reading in intake.readings}, {"kitchen"})

    def test_scaled(self) -> None:
        """
        Texts and truth values are not scaled, and what gets too large is rejected.
        """
        value = ValueSettings("big", field="t", scale=1e30)
        source = self.source(DeviceSettings("push/d", "kitchen", values=(value,)))
        for said in ("on", True):
            self.assertEqual(named(source.decode(HOST, [Row("d", [("t", said)])])), [("big", said)])
        intake = source.decode(HOST, [Row("d", [("t", 1e300), ("u", 1)])])
        rejected = Rejected(b"push/d t=1e+300", "big is too large when scaled")
        self.assertEqual((named(intake), intake.rejected), ([("u", 1)], [rejected]))

    def test_rejected(self) -> None:
        """
        What is no row, and what is no value in one, is rejected one by one, with whose it is.
        """
        row = Row("d", [("a", 1)], bad=[Skipped(b"b", "no number")])
        intake = self.source().decode(HOST, [PIECE, row])
        self.assertEqual(
            intake.rejected,
            [Rejected(PIECE.data, PIECE.why), Rejected(b"push/d b", "no number")],
        )
        self.assertEqual(intake.received, 3)

    def test_strangers(self) -> None:
        """
        So many devices are heard that are not described; those that are are heard in any case.
        """
        source = self.source(DeviceSettings("push/z", "kitchen"), max_devices=2)
        rows = [Row(id, [("a", 1)]) for id in ("x", "y", "w", "z", "x")]
        intake = source.decode(HOST, rows)
        self.assertEqual(
            [reading.device for reading in intake.readings],
            ["push/x", "push/y", "kitchen", "push/x"],
        )
        why = "2 devices are heard already that are not described"
        self.assertEqual(intake.rejected, [Rejected(b"w", why)])
        self.assertIsNone(self.presence.get("push/w"))

    def test_series(self) -> None:
        """
        So many series begin that are not described; those that are there go on.
        """
        source = self.source()
        for start in range(0, MAX_SERIES, 200):
            values = [(str(number), 1) for number in range(start, start + 200)]
            self.assertEqual(source.decode(HOST, [Row("d", values)]).rejected, [])
        intake = source.decode(HOST, [Row("d", [("0", 1), ("new", 2)])])
        self.assertEqual(named(intake), [("0", 1)])
        self.assertEqual(len(intake.rejected), 1)

    @PROPERTY
    @given(
        strategies.lists(
            strategies.tuples(
                strategies.sampled_from(["d", "e", "f/g"]),
                strategies.dictionaries(
                    strategies.sampled_from(["t", "temperature", "x"]),
                    strategies.floats(allow_nan=False, allow_infinity=False)
                    | strategies.integers(-(2**63), 2**63 - 1)
                    | strategies.booleans()
                    | strategies.text(max_size=5),
                ),
            ),
            max_size=10,
        )
    )
    def test_counted(self, said: list[tuple[str, dict[str, Any]]]) -> None:
        """
        Each value is a reading or is rejected, and no two readings are the same.
        """
        value = ValueSettings("temperature", field="t", scale=10.0)
        source = self.source(DeviceSettings("push/d", "kitchen", values=(value,)))
        intake = source.decode(HOST, [Row(id, list(got.items())) for id, got in said])
        self.assertEqual(intake.received, sum(len(got) for _id, got in said))
        keys = {(one.device, one.name, one.time) for one in intake.readings}
        self.assertEqual(len(keys), len(intake.readings))

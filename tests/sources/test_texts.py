"""
Tests for L{sensord.sources.texts}.
"""

from math import isfinite
from typing import Any

from hypothesis import given, strategies
from msgspec.structs import replace

from sensord.config import Settings
from sensord.devices import Devices
from sensord.presence import Presence
from sensord.reading import Arrivals, Clock, Intake, Reading, Rejected
from sensord.settings import DeviceSettings, ValueSettings
from sensord.sources.texts import MAX_SERIES, LineSource, MessageSource
from sensord.wire import Skipped, lines, messages
from sensord.wire.lines import Line
from sensord.wires import LineSettings, MessageSettings, SerialSettings
from tests.sources.support import HOST, NOW, PIECE, SECOND, CountingDevices, SourceTestCase, named
from tests.support import PROPERTY, collect

#: Numbers as texts have them.
NUMBERS = strategies.integers(-(2**63), 2**63 - 1) | strategies.floats(
    allow_nan=False, allow_infinity=False
)

#: What a scale makes too large for a float, and the description of the value.
HUGE = 1e300
GROWN = ValueSettings("grown", scale=1e30)


class LineSourceTests(SourceTestCase):
    """
    What becomes of lines.
    """

    LISTENER = LineSettings("lines", "lines", "tcp:0")

    presence: Presence

    def source(
        self, *values: ValueSettings, name: str = "", ack: bool = False, address: str = "lines/15"
    ) -> LineSource:
        """
        What decodes lines, with C{lines/15} described if it has values or a name.
        """
        devices = (DeviceSettings(address, name, values=values),) if values or name else ()
        listener = replace(self.LISTENER, ack=ack)
        described = Devices(Settings(listeners=(listener,), devices=devices))
        self.presence = described.presence
        source = described.source(listener, Arrivals(self.clock.seconds))
        assert isinstance(source, LineSource)
        return source

    def test_theExampleIsTwoReadings(self) -> None:
        """
        The example of the specification is the readings 1 and 2 of its node, of one time.
        """
        events: list[Any] = collect(lines.LineParser(), [b"15 69 1664\r\n"])
        intake = self.source().decode(HOST, events)
        readings = [
            Reading("lines/15", "1", 69, NOW, Clock.ARRIVAL),
            Reading("lines/15", "2", 1664, NOW, Clock.ARRIVAL),
        ]
        self.assertEqual(intake, Intake(readings, rejected=[], devices=("lines/15",)))
        self.assertEqual([type(reading.value) for reading in intake.readings], [int, int])

    def test_aSerialPortSendsTheSame(self) -> None:
        """
        The lines of a serial port are decoded alike, and nothing is answered there.
        """
        listener = SerialSettings("desk", "serial", "/dev/ttyUSB0")
        device = DeviceSettings("desk/3", "lamp", values=(ValueSettings("lux"),))
        devices = Devices(Settings(listeners=(listener,), devices=(device,)))
        source = devices.source(listener, Arrivals(self.clock.seconds))
        intake = source.decode("/dev/ttyUSB0", [Line(3, (40,)), PIECE, Line(4, (1,))])
        found = [(reading.device, reading.name, reading.value) for reading in intake.readings]
        self.assertEqual(found, [("lamp", "lux", 40), ("desk/4", "1", 1)])
        self.assertEqual((intake.answer, intake.devices), (b"", ("desk/3", "desk/4")))

    def test_nodesAreTheSameWhoeverBringsThem(self) -> None:
        """
        The device is the node that the line names, whatever host it comes from.
        """
        source = self.source(name="cellar")
        for host in ("10.0.0.1", "10.0.0.2"):
            intake = source.decode(host, [Line(15, (1,)), Line(16, (2,))])
            names = [reading.device for reading in intake.readings]
            self.assertEqual(names, ["cellar", "lines/16"])

    def test_eachLineHasOneTime(self) -> None:
        """
        The values of one line share its time, and no two lines do.
        """
        source = self.source()
        many = source.decode(HOST, [Line(15, (1, 2)), PIECE, Line(15, (3, 4)), Line(9, (5, 6))])
        one = source.decode(HOST, [Line(15, (7, 8))])
        times = [reading.time for reading in many.readings + one.readings]
        self.assertEqual(times[0::2], times[1::2])
        self.assertEqual(times[0::2], [NOW, NOW + 1, NOW + 2, NOW + 3])

    def test_aLineMaySayItsTime(self) -> None:
        """
        The readings of a line with a time have that time, and the device was still heard just now.
        """
        parser = lines.LineParser(timestamped=True)
        events: list[Any] = collect(parser, [b"1795190000.25 15 7 8\n", b"1795190001 15 9\n"])
        expected = [
            Reading("lines/15", "1", 7, 1795190000250000, Clock.DEVICE),
            Reading("lines/15", "2", 8, 1795190000250000, Clock.DEVICE),
            Reading("lines/15", "1", 9, 1795190001000000, Clock.DEVICE),
        ]
        for chunks in ([events], [events[:1], events[1:]]):
            source = self.source()
            found = [reading for chunk in chunks for reading in source.decode(HOST, chunk).readings]
            self.assertEqual(found, expected)
            self.assertEqual(self.presence.record("lines/15").heard // SECOND, NOW // SECOND)

    def test_aDescribedNodeHasItsNames(self) -> None:
        """
        Described values have the names of the description, in its order; those beyond it are
        numbered, and a line may have fewer.
        """
        source = self.source(ValueSettings("power"), ValueSettings("voltage"), name="meter")
        found = named(source.decode(HOST, [Line(15, (69, 1664, 3, 4))]))
        self.assertEqual(found, [("power", 69), ("voltage", 1664), ("3", 3), ("4", 4)])
        self.assertEqual(named(source.decode(HOST, [Line(15, (70,))])), [("power", 70)])
        self.assertEqual(named(source.decode(HOST, [Line(14, (70,))])), [("1", 70)])

    def test_aFieldSaysWhichValueIsMeant(self) -> None:
        """
        A described value with a field is the one at that place of the line.
        """
        source = self.source(ValueSettings("last", field="3"), ValueSettings("middle"))
        found = named(source.decode(HOST, [Line(15, (1, 2, 3))]))
        self.assertEqual(found, [("1", 1), ("middle", 2), ("last", 3)])

    def test_noValueIsLostToAName(self) -> None:
        """
        A value may be called by the number of another: that one gives way, and both are kept.
        """
        source = self.source(ValueSettings("2"))
        found = named(source.decode(HOST, [Line(15, (10, 20, 30))]))
        self.assertEqual(found, [("2", 10), ("2_", 20), ("3", 30)])

    def test_valuesAreScaled(self) -> None:
        """
        A described value is scaled and shifted without binary dust, and the others stay as they
        are.
        """
        source = self.source(
            ValueSettings("tenths", scale=0.1), ValueSettings("kelvin", offset=-273.15)
        )
        names = ("tenths", "kelvin", "3")
        for numbers, values in (
            ((7, 293.15, 7), [0.7, 20.0, 7]),
            ((2.3, -1e-3, 0.1), [0.23, -273.151, 0.1]),
            ((2**63 - 1, 1e22, -5), [2**63 / 10, 1e22, -5]),
        ):
            intake = source.decode(HOST, [Line(15, numbers)])
            self.assertEqual(named(intake), list(zip(names, values, strict=True)))
            self.assertIs(type(intake.readings[2].value), type(numbers[2]))

    def test_whatScalingMakesTooLargeIsRejectedAlone(self) -> None:
        """
        A value that no float holds when it is scaled is rejected, and the others of its line count.
        """
        source = self.source(ValueSettings("a"), GROWN, name="meter", ack=True)
        intake = source.decode(HOST, [Line(15, (1, HUGE, 3)), Line(15, (4, 5))])
        self.assertEqual(named(intake), [("a", 1), ("3", 3), ("a", 4), ("grown", 5e30)])
        why = "grown of meter is too large when scaled"
        self.assertEqual(list(intake.rejected), [Rejected(b"1e+300", why)])
        self.assertEqual(intake.answer, f"error {why}\r\nok\r\n".encode())
        self.assertEqual(intake.received, 5)

    def test_theLongestLineIsTakenWhole(self) -> None:
        """
        Of a line with as many values as can be, none is left out, described or not.
        """
        line = b"1 " * (lines.MAX_LINE // 2) + b"\n"
        [event] = collect(lines.LineParser(), [line[: lines.MAX_LINE - 1] + b"\n"])
        assert isinstance(event, Line)
        for source in (self.source(), self.source(ValueSettings("a"), address="lines/1")):
            intake = source.decode(HOST, [event])
            self.assertEqual(len(intake.readings), len(event.values))
            self.assertEqual(len(dict(named(intake))), len(event.values))

    def test_piecesAreRejected(self) -> None:
        """
        What is no line is rejected, and the lines around it count.
        """
        intake = self.source().decode(HOST, [PIECE, Line(15, (1,)), PIECE])
        self.assertEqual(list(intake.rejected), [Rejected(PIECE.data, PIECE.why)] * 2)
        self.assertEqual((named(intake), intake.received), ([("1", 1)], 3))
        [rejected] = self.source().decode(HOST, [PIECE]).rejected
        self.assertEqual(rejected, Rejected(PIECE.data, PIECE.why))

    def test_answersAreInTheOrderOfTheLines(self) -> None:
        """
        With C{ack} each line is answered by C{ok} or by what is wrong with it.
        """
        source = self.source(ack=True)
        self.assertEqual(source.decode(HOST, [Line(15, (1,))]).answer, b"ok\r\n")
        self.assertEqual(source.decode(HOST, [PIECE]).answer, b"error a piece\r\n")
        intake = source.decode(HOST, [PIECE, Line(15, (1,)), Line(16, (1,)), PIECE])
        self.assertEqual(intake.answer, b"error a piece\r\nok\r\nok\r\nerror a piece\r\n")

    def test_withoutAckNothingIsSaid(self) -> None:
        """
        Without C{ack} no line is answered, neither a good one nor a bad one.
        """
        source = self.source()
        line = Line(15, (1,))
        chunks: list[list[Line | Skipped]] = [[], [line], [PIECE], [PIECE, line]]
        for events in chunks:
            self.assertEqual(source.decode(HOST, events).answer, b"")

    def test_aReasonIsToldInOneShortLine(self) -> None:
        """
        Whatever a reason contains, the device is told it in one short line of ASCII.
        """
        source = self.source(ack=True)
        for why, told in (
            ("Grüße\r\nok", b"error Gr??e??ok\r\n"),
            ("a" * 55, b"error " + b"a" * 55 + b"\r\n"),
            ("a" * 56, b"error " + b"a" * 52 + b"...\r\n"),
        ):
            self.assertEqual(source.decode(HOST, [Skipped(b"", why)]).answer, told)

    def test_whoCanBeReached(self) -> None:
        """
        The addresses of the nodes of a chunk come with it, also where a node has a name; for the
        same node it is the same tuple each time.
        """
        source = self.source(name="meter")
        devices = source.decode(HOST, [Line(15, (1,))]).devices
        self.assertEqual(devices, ("lines/15",))
        self.assertIs(source.decode(HOST, [Line(15, (2,))]).devices, devices)
        self.assertIs(source.decode(HOST, [Line(15, (2,)), PIECE, Line(15, (3,))]).devices, devices)
        self.assertEqual(source.decode(HOST, [PIECE]).devices, ())
        both = source.decode(HOST, [Line(16, (2,)), Line(15, (3,)), Line(16, (3,))]).devices
        self.assertEqual(both, ("lines/16", "lines/15"))

    def test_presenceIsTold(self) -> None:
        """
        A node was heard once for each of its lines.
        """
        source = self.source(ValueSettings("tenths", scale=0.1))
        source.decode(HOST, [Line(15, (1, 2)), Line(16, (1,)), PIECE, Line(15, (3,))])
        source.decode(HOST, [Line(16, (1, 2, 3))])
        received = {record.address: record.received for record in self.presence}
        self.assertEqual(received, {"lines/15": 2, "lines/16": 2})
        self.assertEqual(self.presence.record("lines/15").heard, NOW + 2)

    def test_aNodeIsLookedUpOnce(self) -> None:
        """
        The description of a node is looked for when it is heard first.
        """
        devices = CountingDevices()
        source = LineSource(self.LISTENER, devices, Arrivals(self.clock.seconds), Presence())
        for _chunk in range(3):
            source.decode(HOST, [Line(1, (1,))])
        self.assertEqual(devices.asked, 1)

    def test_thereIsAnEndOfSeries(self) -> None:
        """
        A peer that makes up ids, or sends ever more values, can begin so many series and no more:
        what goes beyond is rejected, and what was known before, or is described, goes on.
        """
        source = self.source(ValueSettings("a"), address="lines/7777", ack=True)
        for node in range(MAX_SERIES // 100):
            source.decode(HOST, [Line(node, (1,) * 99)])
        source.decode(HOST, [Line(0, (1,) * 100)])
        for node in range(1000, 1000 + MAX_SERIES // 100 - 1):
            source.decode(HOST, [Line(node, (1,))])
        intake = source.decode(HOST, [Line(0, (1,) * 101), Line(8000, (2, 3.5)), Line(7777, (4,))])
        self.assertEqual(
            intake.rejected,
            [
                Rejected(b"1 1 1 1 1 1 1 1", "lines/0 is one of too many that are not described"),
                Rejected(b"2 3.5", "lines/8000 is one of too many that are not described"),
            ],
        )
        self.assertEqual([reading.device for reading in intake.readings], ["lines/7777"])
        self.assertEqual(intake.answer.count(b"error "), 2)
        self.assertIsNone(self.presence.get("lines/8000"))
        self.assertEqual(len(source.decode(HOST, [Line(0, (1,) * 100)]).readings), 100)

    @PROPERTY
    @given(
        strategies.lists(
            strategies.builds(
                Line,
                strategies.integers(14, 16),
                strategies.lists(NUMBERS, min_size=1, max_size=5).map(tuple),
                strategies.none() | strategies.integers(0, NOW),
            )
            | strategies.just(PIECE),
            max_size=5,
        ),
        strategies.booleans(),
    )
    def test_everythingIsCounted(self, events: list[Line | Skipped], described: bool) -> None:
        """
        Whatever numbers come, each is a finite reading or is rejected, and no two of a line have
        one name.
        """
        values = [ValueSettings("a", scale=0.1), GROWN] if described else []
        intake = self.source(*values, ack=True).decode(HOST, events)
        counts = [len(event.values) if isinstance(event, Line) else 1 for event in events]
        self.assertEqual(intake.received, sum(counts))
        self.assertEqual(intake.answer.count(b"\r\n"), len(events))
        for reading in intake.readings:
            assert isinstance(reading.value, int | float)
            self.assertTrue(isfinite(reading.value))
        series = {
            (reading.device, reading.name, reading.time)
            for reading in intake.readings
            if reading.clock is Clock.ARRIVAL
        }
        arrived = [reading for reading in intake.readings if reading.clock is Clock.ARRIVAL]
        self.assertEqual(len(series), len(arrived))

    @PROPERTY
    @given(strategies.binary(max_size=200))
    def test_anyBytesCanBeDecoded(self, stream: bytes) -> None:
        """
        Whatever bytes come, decoding never fails, and each event has its answer.
        """
        events: list[Any] = collect(lines.LineParser(), [stream])
        intake = self.source(ack=True).decode(HOST, events)
        self.assertEqual(intake.answer.count(b"\r\n"), len(events))


class MessageSourceTests(SourceTestCase):
    """
    What becomes of messages.
    """

    presence: Presence

    def source(
        self,
        *values: ValueSettings,
        name: str = "",
        ack: bool = False,
        columns: tuple[str, ...] = ("counter", "temperature"),
    ) -> MessageSource:
        """
        What decodes messages, with C{pages/1} described if it has values or a name.
        """
        devices = (DeviceSettings("pages/1", name, values=values),) if values or name else ()
        listener = MessageSettings("pages", "websocket", "tcp:0", ack=ack, columns=columns)
        described = Devices(Settings(listeners=(listener,), devices=devices))
        self.presence = described.presence
        source = described.source(listener, Arrivals(self.clock.seconds))
        assert isinstance(source, MessageSource)
        return source

    def test_theExampleIsTwoReadings(self) -> None:
        """
        The example of the specification is the counter and the temperature of its device, of one
        time.
        """
        intake = self.source().decode(HOST, ["1,7,23.456789"])
        readings = [
            Reading("pages/1", "counter", 7, NOW, Clock.ARRIVAL),
            Reading("pages/1", "temperature", 23.456789, NOW, Clock.ARRIVAL),
        ]
        self.assertEqual(intake, Intake(readings, b"", [], (), ("pages/1",)))

    def test_furtherFieldsAreNumbered(self) -> None:
        """
        Fields beyond the columns are called by their number behind the id, and none is left out of
        the longest message; a message may have fewer.
        """
        intake = self.source().decode(HOST, ["1, 7, 23.5, 8, 9"])
        names = [("counter", 7), ("temperature", 23.5), ("3", 8), ("4", 9)]
        self.assertEqual(named(intake), names)
        self.assertEqual(named(self.source().decode(HOST, ["2,7"])), [("counter", 7)])
        intake = self.source().decode(HOST, ["1" + ",5" * messages.MAX_FIELDS])
        self.assertEqual(intake.readings[-1].name, str(messages.MAX_FIELDS))
        self.assertEqual(len(dict(named(intake))), messages.MAX_FIELDS)

    def test_columnsMayHaveOtherNames(self) -> None:
        """
        The listener's columns name the fields, however many they are.
        """
        for columns, names in (
            (("humidity",), ["humidity", "2", "3"]),
            (("a", "b", "c", "d"), ["a", "b", "c"]),
            ((), ["1", "2", "3"]),
            (tuple(f"c{place}" for place in range(100)), ["c0", "c1", "c2"]),
        ):
            intake = self.source(columns=columns).decode(HOST, ["1,2,3,4"])
            self.assertEqual([reading.name for reading in intake.readings], names)

    def test_noValueIsLostToAName(self) -> None:
        """
        Columns that are called alike are kept apart.
        """
        source = self.source(columns=("3", "temperature", "temperature"))
        intake = source.decode(HOST, ["1,2,3,4"])
        self.assertEqual(named(intake), [("3", 2), ("temperature", 3), ("temperature_", 4)])

    def test_aDescribedDeviceHasItsNames(self) -> None:
        """
        A described value is the column that its field names, or else its name, and has the name
        and the scale of its description. What is not described stays as it is.
        """
        source = self.source(
            ValueSettings("outside", field="temperature", scale=0.1, offset=0.2),
            ValueSettings("3", scale=2),
            ValueSettings("wind", field="4"),
            name="balcony",
        )
        intake = source.decode(HOST, ["1,7,5,6,7,8", "2,7,5,6"])
        balcony = [("counter", 7), ("outside", 0.7), ("3", 12.0), ("wind", 7), ("5", 8)]
        self.assertEqual(named(intake)[:5], balcony)
        self.assertEqual(named(intake)[5:], [("counter", 7), ("temperature", 5), ("3", 6)])
        devices = list(dict.fromkeys(reading.device for reading in intake.readings))
        self.assertEqual(devices, ["balcony", "pages/2"])

    def test_aDescriptionOfNothingChangesNothing(self) -> None:
        """
        A described value that no column is, is not mistaken for another that is called alike.
        """
        source = self.source(ValueSettings("temperature", field="celsius", scale=2))
        intake = source.decode(HOST, ["1,7,20"])
        self.assertEqual(named(intake), [("counter", 7), ("temperature", 20)])

    def test_messagesHaveTimesOfTheirOwn(self) -> None:
        """
        The fields of one message share a time, and no two messages do.
        """
        intake = self.source().decode(HOST, ["1,7,20", "no", "1,8,21"])
        self.assertEqual([r.time for r in intake.readings], [NOW, NOW, NOW + 1, NOW + 1])

    def test_whatIsNoMessageIsRejectedAlone(self) -> None:
        """
        A text that is no message is rejected, and so is what the connection could not understand;
        the messages around them count, also those of the same device.
        """
        source = self.source()
        intake = source.decode(HOST, ["1,7,20", "1,nan,20", "1,8,21", PIECE, "x"])
        self.assertEqual(len(intake.readings), 4)
        rejected = [(item.data, item.why) for item in intake.rejected]
        why = "not all are finite numbers"
        self.assertEqual(rejected, [(b"1,nan,20", why), (PIECE.data, PIECE.why), (b"x", why)])
        self.assertEqual(self.presence.record("pages/1").received, 2)

    def test_lostMessagesAreCounted(self) -> None:
        """
        A counter that jumps tells how many messages were lost, and one that goes down tells of a
        restart, whatever connection brings it; each device has a counter of its own.
        """
        source = self.source(ValueSettings("n", field="counter", scale=0.5))
        for host, text in (
            ("10.0.0.1", "1,7,20"),
            ("10.0.0.1", "2,50,20"),
            ("10.0.0.1", "1,8.0,20"),
            ("10.0.0.2", "1,12,20"),
            ("10.0.0.2", "1,12,20"),
            ("10.0.0.3", "1,1,20"),
            ("10.0.0.3", "1,2.5,20"),
        ):
            source.decode(host, [text])
        record = self.presence.record("pages/1")
        self.assertEqual((record.missed, record.restarts, record.counter), (3, 1, 1))
        self.assertEqual(record.received, 6)
        other = self.presence.record("pages/2")
        self.assertEqual((other.missed, other.restarts, other.counter), (0, 0, 50))

    def test_theCounterIsTheColumnOfThatName(self) -> None:
        """
        The counter may be any column; without one of that name nothing is counted, nor where a
        message ends before it.
        """
        source = self.source(columns=("temperature", "counter"))
        source.decode(HOST, ["1,20,7", "1,21,9", "1,22"])
        record = self.presence.record("pages/1")
        self.assertEqual((record.missed, record.counter), (1, 9))
        source = self.source(columns=("temperature",))
        source.decode(HOST, ["1,20,7", "1,25,9"])
        record = self.presence.record("pages/1")
        self.assertEqual((record.missed, record.counter, record.received), (0, None, 2))

    def test_anAbsurdCounterCountsNothing(self) -> None:
        """
        A peer cannot make up more lost messages than a database can count.
        """
        source = self.source()
        for counter in ("0", "9223372036854775807", "1e300", "0", "4294967295"):
            source.decode(HOST, [f"1,{counter},20"])
        record = self.presence.record("pages/1")
        self.assertEqual((record.missed, record.counter), (2**32 - 2, 2**32 - 1))

    def test_messagesAreAcknowledgedByTheirCounter(self) -> None:
        """
        With C{ack} a message is answered by its counter as it was written, and what is no message
        by what is wrong with it, each answer on a line of its own.
        """
        source = self.source(ack=True)
        self.assertEqual(source.decode(HOST, ["1,7,20"]).answer, b"ack,7")
        self.assertEqual(source.decode(HOST, [" 1 ,\t007.50 , 20\r\n"]).answer, b"ack,007.50")
        intake = source.decode(HOST, ["1,8,21", "hello", "2,3", "1"])
        answers = [
            b"ack,8",
            b"error,not all are finite numbers",
            b"ack,3",
            b"error,1 numbers are not an id and 1..64 fields",
        ]
        self.assertEqual(intake.answer, b"\n".join(answers))

    def test_anotherColumnMayBeAcknowledged(self) -> None:
        """
        The number that acknowledges a message is that of the column C{counter}, and the first one
        where there is none.
        """
        for columns, text, answer in (
            (("temperature", "counter"), "1,20,7", b"ack,7"),
            (("temperature", "counter"), "1,20", b"ack,20"),
            (("a", "b"), "1,20,7", b"ack,20"),
            ((), "1,20,7", b"ack,20"),
        ):
            source = self.source(ack=True, columns=columns)
            self.assertEqual(source.decode(HOST, [text]).answer, answer)

    def test_answersFitIntoWhatDevicesRead(self) -> None:
        """
        However a number is written, the answer is no longer than a primitive device can take.
        """
        source = self.source(ack=True)
        answer = source.decode(HOST, [f"1,{'0' * 56}7"]).answer
        self.assertEqual(answer, b"ack," + b"0" * 56 + b"7")
        self.assertEqual(len(answer), messages.MAX_COMMAND)
        self.assertEqual(source.decode(HOST, [f"1,{'0' * 57}7"]).answer, b"ack,7")

    def test_aBrokenConnectionHasNoAnswer(self) -> None:
        """
        What the connection could not understand has no answer: the peer was told when it failed.
        """
        source = self.source(ack=True)
        self.assertEqual(source.decode(HOST, [PIECE]).answer, b"")
        self.assertEqual(source.decode(HOST, ["1,7,20", PIECE]).answer, b"ack,7")

    def test_withoutAckNothingIsSaid(self) -> None:
        """
        Without C{ack} no message is answered, neither a good one nor a bad one.
        """
        self.assertEqual(self.source().decode(HOST, ["1,7,20", "hello", PIECE]).answer, b"")

    def test_whatScalingMakesTooLargeIsRejectedAlone(self) -> None:
        """
        A value that no float holds when it is scaled is rejected, the others of its message count,
        and the answer says so.
        """
        value = ValueSettings("heat", field="temperature", scale=1e30)
        intake = self.source(value, name="sun", ack=True).decode(HOST, [f"1,7,{HUGE},3"])
        self.assertEqual(named(intake), [("counter", 7), ("3", 3)])
        self.assertEqual([item.data for item in intake.rejected], [b"1e+300"])
        self.assertEqual(intake.answer, b"error,heat of sun is too large when scaled")

    def test_whoCanBeReached(self) -> None:
        """
        The addresses of the devices of a chunk come with it, and for the same device it is the same
        tuple each time.
        """
        source = self.source(name="balcony")
        devices = source.decode(HOST, ["1,7,20"]).devices
        self.assertEqual(devices, ("pages/1",))
        self.assertIs(source.decode("10.0.0.9", ["1,8,20", "x", "1,9,20"]).devices, devices)
        self.assertEqual(source.decode(HOST, ["2,7,20", "1,7,20"]).devices, ("pages/2", "pages/1"))
        self.assertEqual(source.decode(HOST, ["x"]).devices, ())

    @PROPERTY
    @given(
        strategies.lists(
            strategies.builds(
                messages.Message,
                strategies.integers(0, 2),
                strategies.lists(NUMBERS, min_size=1, max_size=5).map(tuple),
            ).map(messages.encode)
            | strategies.text(max_size=10)
            | strategies.just(PIECE),
            max_size=5,
        ),
        strategies.booleans(),
    )
    def test_everythingIsCounted(self, events: list[str | Skipped], described: bool) -> None:
        """
        Whatever comes, each number is a finite reading or is rejected, no two of a time have one
        name, and every message has an answer that a device can take.
        """
        values = [replace(GROWN, field="temperature")] if described else []
        intake = self.source(*values, ack=True).decode(HOST, events)
        texts = [event for event in events if isinstance(event, str)]
        parsed = [messages.parse(text) for text in texts]
        counts = [len(one.fields) if isinstance(one, messages.Message) else 1 for one in parsed]
        self.assertEqual(intake.received, sum(counts) + len(events) - len(texts))
        for reading in intake.readings:
            assert isinstance(reading.value, int | float)
            self.assertTrue(isfinite(reading.value))
        self.assertEqual(
            len({(one.device, one.name, one.time) for one in intake.readings}), len(intake.readings)
        )
        answers = intake.answer.split(b"\n") if texts else []
        self.assertEqual(len(answers), len(texts))
        for answer in answers:
            self.assertTrue(answer.isascii() and len(answer) <= messages.MAX_COMMAND, answer)

"""
Tests for L{sensord.commands}.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from msgspec import structs
from twisted.internet.defer import CancelledError, Deferred, execute
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sensord.commands import Commands
from sensord.config import Settings
from sensord.downlink import Downlink, Unsendable
from sensord.presence import Presence
from sensord.settings import CommandSettings, DeviceSettings, TransmitSettings
from sensord.store.account import NotStored
from sensord.store.database import Database
from sensord.store.mailbox import MAX_TEXT, Delivery
from sensord.store.schema import StoreError
from sensord.store.service import Store
from sensord.wires import LineSettings, MessageSettings, PacketSettings, RadioSettings
from tests.store.support import Disk, Runner, folder, sql

T = TypeVar("T")

SECOND = 1_000_000

#: When the hand-driven clock starts, in seconds since the epoch.
NOW = 1_795_194_650

_NODE = DeviceSettings(
    "radio/20", "heater", transmit=(TransmitSettings("setpoint"), TransmitSettings("fan", "B"))
)

SETTINGS = Settings(
    listeners=(
        PacketSettings("weather", "esp8266", "tcp:0"),
        LineSettings("mute", "lines", "tcp:0"),
        MessageSettings("pages", "websocket", "tcp:0"),
        RadioSettings("radio", "rfm2pi", "/dev/null"),
    ),
    devices=(
        DeviceSettings("pages/1", "lamp"),
        _NODE,
        structs.replace(_NODE, address="radio/21", name="valve", sleeps=True),
    ),
    commands=CommandSettings(ttl="1h", max_waiting=3),
)


class Tape:
    """
    A link that keeps what it was given.

    @ivar sent: all of it.
    @ivar broken: whether it takes nothing.
    """

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.broken = False

    def send(self, data: bytes) -> None:
        """
        Keep something, or fail.
        """
        if self.broken:
            raise ConnectionError("the link is broken")
        self.sent.append(data)


class Late(Runner):
    """
    Runs calls at once, but holds back what came of them.
    """

    def __call__(self, call: Callable[[], T], /) -> Deferred[T]:
        """
        Run a call.
        """
        outcome = execute(call)
        deferred: Deferred[T] = Deferred()
        super().__call__(lambda: outcome.chainDeferred(deferred))
        return deferred


class CommandsTestCase(SynchronousTestCase):
    """
    Running commands over a database on the disk.
    """

    settings = SETTINGS

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.path = folder(self) / "sensord.sqlite"
        self.disk = Disk()
        self.start()

    def start(self, settings: Settings | None = None, writer: Runner | None = None) -> None:
        """
        Start, as after a crash if anything ran before: timers die with their process.
        """
        for call in self.clock.getDelayedCalls():
            call.cancel()
        settings = settings or self.settings
        database = Database(self.path, connect=self.disk.connect)
        self.addCleanup(database.close)
        self.writer = writer or Runner()
        self.store = Store(self.clock, database, self.writer, execute)
        self.store.startService()
        self.presence = Presence(now=self.clock.seconds)
        self.commands = Commands(
            self.clock, self.store, self.presence, Downlink(settings), settings.commands
        )
        self.told: list[tuple[int, str]] = []
        self.commands.follow(lambda delivery: self.told.append((delivery.id, delivery.state)))
        self.commands.startService()
        self.addCleanup(self.finish, self.commands)

    def finish(self, running: Commands) -> None:
        """
        Stop what the test has not stopped, and check that it leaves nothing for later.
        """
        if running is self.commands and running.running:
            self.disk.trouble = None
            self.writer.holding = False
            while self.writer.held:
                self.writer.release()
            self.successResultOf(running.stopService())
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def arrive(self, *addresses: str) -> Tape:
        """
        Devices come by a link of their own.
        """
        tape = Tape()
        for address in addresses:
            self.presence.arrive(address, tape)
        return tape

    def send(
        self, address: str = "pages/1", variable: str | int = "LED", value: float = 1
    ) -> Delivery:
        """
        Send a command, and see what became of it.
        """
        return self.successResultOf(self.commands.send(address, variable, value))

    def rows(self) -> list[tuple[Any, ...]]:
        """
        The address, the value and the state of each row.
        """
        return sql(self.path, "SELECT address, value, state FROM commands ORDER BY id")

    def whys(self) -> list[str]:
        """
        The reason in each row.
        """
        return [why for (why,) in sql(self.path, "SELECT why FROM commands ORDER BY id")]


class SendTests(CommandsTestCase):
    """
    Commands to devices that are there.
    """

    def test_one(self) -> None:
        """
        A command to one device reaches only that one.
        """
        first, second = self.arrive("pages/1"), self.arrive("pages/2")
        self.assertEqual(self.send("pages/2").state, "sent")
        self.assertEqual((first.sent, second.sent), ([], [b"1,1.0"]))

    def test_all(self) -> None:
        """
        A command to all reaches each device that is connected, and has a row for each.
        """
        tapes = [self.arrive("pages/1"), self.arrive("pages/2"), self.arrive("pages/3")]
        delivery = self.send("all", "led", 0)
        self.assertEqual([tape.sent for tape in tapes], [[b"1,0.0"]] * 3)
        self.assertEqual((delivery.state, delivery.address, delivery.id), ("sent", "all", 0))
        self.assertEqual(
            [(part.id, part.address, part.state) for part in delivery.parts],
            [(1, "pages/1", "sent"), (2, "pages/2", "sent"), (3, "pages/3", "sent")],
        )
        self.assertEqual(self.rows(), [(f"pages/{id}", 0, "sent") for id in (1, 2, 3)])

    def test_allThatCan(self) -> None:
        """
        A command to all leaves out the devices that cannot be sent it, those behind a radio, and
        those that are away.
        """
        self.send("pages/9")
        radio = self.arrive("radio/*")
        tape = self.arrive("mute/1", "pages/1")
        delivery = self.send("all")
        self.assertEqual([part.address for part in delivery.parts], ["pages/1"])
        self.assertEqual((tape.sent, radio.sent), ([b"1,1.0"], []))

    def test_allOfNone(self) -> None:
        """
        When no device is connected, a command to all is refused, and there is a row that says so.
        """
        self.arrive("radio/*")
        delivery = self.send("all")
        self.assertEqual((delivery.state, delivery.why), ("refused", "no device is connected"))
        self.assertEqual(self.rows(), [("all", 1, "refused")])

    def test_allUnable(self) -> None:
        """
        When no device that is connected can be sent a command to all, the reason is given.
        """
        self.arrive("pages/1", "pages/2")
        delivery = self.send("all", "speed")
        self.assertEqual(delivery.state, "refused")
        self.assertIn('no variable "speed"', delivery.why)

    def test_row(self) -> None:
        """
        The row of a command says who wanted what, when, and what became of it.
        """
        self.arrive("pages/1")
        done = self.commands.send("lamp", "led", True, "root by the socket")
        delivery = self.successResultOf(done)
        self.assertEqual(
            sql(self.path, "SELECT * FROM commands"),
            [structs.astuple(delivery)[:-1]],
        )
        self.assertEqual(
            delivery,
            Delivery(
                id=1,
                time=NOW * SECOND,
                who="root by the socket",
                address="pages/1",
                variable="LED",
                value=1.0,
                state="sent",
                changed=NOW * SECOND,
                expires=(NOW + 3600) * SECOND,
            ),
        )

    def test_rowFirst(self) -> None:
        """
        Nothing is sent before the command has its row, and the answer comes when the row says that
        it was sent.
        """
        tape = self.arrive("pages/1")
        self.writer.holding = True
        done = self.commands.send("pages/1", 1, 1)
        self.assertEqual((tape.sent, self.rows()), ([], []))
        self.writer.release()
        self.assertEqual((tape.sent, self.rows()), ([b"1,1.0"], [("pages/1", 1, "pending")]))
        self.assertNoResult(done)
        self.writer.release()
        self.assertEqual(self.successResultOf(done).state, "sent")
        self.assertEqual(self.rows(), [("pages/1", 1, "sent")])

    def test_order(self) -> None:
        """
        Commands to a device are sent in the order in which they were given.
        """
        tape = self.arrive("pages/1")
        self.writer.holding = True
        for value in range(5):
            self.commands.send("pages/1", 1, value)
        while self.writer.held:
            self.writer.release()
        self.assertEqual(tape.sent, [b"1,%d.0" % value for value in range(5)])

    def test_newestLink(self) -> None:
        """
        A device that is connected twice is sent a command by the newer link only.
        """
        old, new = self.arrive("pages/1"), self.arrive("pages/1")
        self.send()
        self.assertEqual((old.sent, new.sent), ([], [b"1,1.0"]))

    def test_cancelled(self) -> None:
        """
        Who gives up waiting for the answer does not stop the command half-way.
        """
        tape = self.arrive("pages/1")
        self.writer.holding = True
        done = self.commands.send("pages/1", 1, 1)
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.writer.release()
        self.writer.release()
        self.assertEqual((tape.sent, self.rows()), ([b"1,1.0"], [("pages/1", 1, "sent")]))

    def test_follow(self) -> None:
        """
        Followers are told of each command and of each state that it comes to, after the commit,
        until they have heard enough.
        """
        states: list[list[tuple[Any, ...]]] = []
        unfollow = self.commands.follow(lambda delivery: states.append(self.rows()))
        self.arrive("pages/1")
        self.send()
        self.send("weather/1")
        unfollow()
        self.send()
        self.assertEqual(
            self.told, [(1, "pending"), (1, "sent"), (2, "refused"), (3, "pending"), (3, "sent")]
        )
        pending, sent, refused = (
            ("pages/1", 1, "pending"),
            ("pages/1", 1, "sent"),
            ("weather/1", 1, "refused"),
        )
        self.assertEqual(states, [[pending], [sent], [sent, refused]])

    def test_followerFails(self) -> None:
        """
        A follower that fails does no harm, and it is logged.
        """
        self.commands.follow(lambda delivery: [][1])
        self.arrive("pages/1")
        self.assertEqual(self.send().state, "sent")
        self.assertEqual(len(self.flushLoggedErrors(IndexError)), 2)

    def test_list(self) -> None:
        """
        The commands that were given last are listed, newest first: of all devices, or of one.
        """
        self.arrive("pages/1")
        for address in "pages/1", "weather/1", "pages/1", "pages/2":
            self.send(address)
        self.assertEqual(
            [(each.id, each.state) for each in self.successResultOf(self.commands.list())],
            [(4, "pending"), (3, "sent"), (2, "refused"), (1, "sent")],
        )
        found = self.successResultOf(self.commands.list(2))
        self.assertEqual([each.id for each in found], [4, 3])
        for address, ids in ("pages/1", [3, 1]), ("lamp", [3, 1]), ("nobody", []):
            found = self.successResultOf(self.commands.list(100, address))
            self.assertEqual([each.id for each in found], ids)


class RefusalTests(CommandsTestCase):
    """
    Commands that cannot be sent.
    """

    def test_refused(self) -> None:
        """
        What can never reach a device is refused at once, with the reason in its row.
        """
        for address, variable, value, why in (
            ("weather/1", "LED", 1, "does not listen"),
            ("lmap", "LED", 1, 'did you mean "lamp"?'),
            ("page/1", "LED", 1, 'there is no listener "page"'),
            ("mute/1", "LED", 1, '"command"'),
            ("pages/1", "speed", 1, 'no variable "speed"'),
            ("heater", "setpoint", 1e6, "setpoint: the raw value"),
            ("radio/5", "setpoint", 1, "transmit"),
        ):
            delivery = self.send(address, variable, value)
            self.assertEqual((delivery.state, delivery.expires), ("refused", None))
            self.assertIn(why, delivery.why)
            self.assertEqual(self.whys()[-1], delivery.why)

    def test_noRow(self) -> None:
        """
        What no row has room for fails, and nothing is sent.
        """
        tape = self.arrive("pages/1")
        long = "x" * (MAX_TEXT + 1)
        for address, variable, value, who in (
            ("pages/1", "LED", float("nan"), "me"),
            ("pages/1", "LED", "1", "me"),
            (long, "LED", 1, "me"),
            ("pages/1", long, 1, "me"),
            ("pages/1", "LED", 1, long),
        ):
            done = self.commands.send(address, variable, value, who)  # type: ignore[arg-type]
            self.failureResultOf(done, Unsendable)
        self.failureResultOf(self.commands.send("pages/1", "LED", 1, "\ud800"), UnicodeEncodeError)
        self.assertEqual((tape.sent, self.rows()), ([], []))

    def test_notRunning(self) -> None:
        """
        What is sent after the stop fails.
        """
        tape = self.arrive("pages/1")
        self.successResultOf(self.commands.stopService())
        self.failureResultOf(self.commands.send("pages/1", 1, 1), NotStored)
        self.assertEqual(tape.sent, [])

    def test_diskFull(self) -> None:
        """
        When the disk is full a command fails, nothing is sent, then or later, and nothing waits.
        """
        tape = self.arrive("pages/1")
        for trouble in "BEGIN", "INSERT", "COMMIT":
            self.disk.trouble = trouble
            self.failureResultOf(self.commands.send("pages/1", 1, 1))
            self.failureResultOf(self.commands.send("pages/2", 1, 1))
        self.disk.trouble = None
        self.presence.arrive("pages/2", tape)
        self.clock.advance(7200)
        self.assertEqual((tape.sent, self.rows(), self.told), ([], [], []))

    def test_tooMany(self) -> None:
        """
        When enough wait for a device, more are refused; others can still be sent theirs.
        """
        for value in 1, 2, 3:
            self.assertEqual(self.send("pages/1", 1, value).state, "pending")
        delivery = self.send("pages/1", 1, 4)
        self.assertEqual(delivery.state, "refused")
        self.assertEqual(delivery.why, "3 commands wait for pages/1 already")
        self.assertEqual(self.send("pages/2").state, "pending")
        tape = self.arrive("pages/1")
        self.assertEqual(tape.sent, [b"1,1.0", b"1,2.0", b"1,3.0"])
        self.assertEqual(self.send("pages/1", 1, 5).state, "sent")

    def test_tooManyAtOnce(self) -> None:
        """
        Those that have no row yet count too.
        """
        self.writer.holding = True
        done = [self.commands.send("pages/1", 1, value) for value in range(5)]
        while self.writer.held:
            self.writer.release()
        states = [self.successResultOf(each).state for each in done]
        self.assertEqual(states, ["pending"] * 3 + ["refused"] * 2)

    def test_burst(self) -> None:
        """
        A device that is there can be sent any number at once.
        """
        tape = self.arrive("pages/1")
        self.writer.holding = True
        for value in range(10):
            self.commands.send("pages/1", 1, value)
        while self.writer.held:
            self.writer.release()
        self.assertEqual(len(tape.sent), 10)


class MailboxTests(CommandsTestCase):
    """
    Commands to devices that are away.
    """

    def test_replaced(self) -> None:
        """
        When the database is another one meanwhile, in which ids begin anew, no command takes the
        row of another, and none is stranded, nor is one that waited before the start.
        """
        self.send("pages/1")
        self.start()
        for suffix in "", "-wal", "-shm":
            Path(f"{self.path}{suffix}").unlink()
        self.clock.advance(1)
        self.send("pages/2", value=2)
        first, second = self.arrive("pages/1"), self.arrive("pages/2")
        self.assertEqual((first.sent, second.sent), ([b"1,1.0"], [b"1,2.0"]))
        self.assertEqual(self.rows(), [("pages/2", 2, "sent"), ("pages/1", 1, "sent")])

    def test_waits(self) -> None:
        """
        A command to a device that is away waits for it, and is sent when it comes.
        """
        delivery = self.send()
        self.assertEqual((delivery.state, delivery.expires), ("pending", (NOW + 3600) * SECOND))
        self.clock.advance(10)
        tape = self.arrive("pages/1")
        self.assertEqual((tape.sent, self.rows()), ([b"1,1.0"], [("pages/1", 1, "sent")]))
        (sent,) = self.successResultOf(self.commands.list())
        self.assertEqual((sent.time, sent.changed), (NOW * SECOND, (NOW + 10) * SECOND))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_once(self) -> None:
        """
        What was sent is not sent again when the device comes again.
        """
        self.send()
        self.arrive("pages/1")
        self.assertEqual(self.arrive("pages/1").sent, [])

    def test_order(self) -> None:
        """
        What waits is sent in the order in which it was given, also before what is given later.
        """
        self.send(value=1)
        self.send(value=2)
        tape = self.arrive("pages/1")
        self.send(value=3)
        self.assertEqual(tape.sent, [b"1,1.0", b"1,2.0", b"1,3.0"])

    def test_another(self) -> None:
        """
        What waits for one device is not sent to another.
        """
        self.send("pages/1")
        self.assertEqual(self.arrive("pages/2", "pages/11", "radio/*").sent, [])
        self.assertEqual(self.rows(), [("pages/1", 1, "pending")])

    def test_gone(self) -> None:
        """
        When a device leaves before its command has a row, the command waits.
        """
        tape = self.arrive("pages/1")
        self.writer.holding = True
        done = self.commands.send("pages/1", 1, 1)
        self.presence.leave("pages/1", tape)
        self.writer.release()
        self.assertEqual(self.successResultOf(done).state, "pending")

    def test_expires(self) -> None:
        """
        A command that has waited for its time to live expires, and is not sent any more.
        """
        self.send()
        self.clock.advance(1800)
        self.send(value=2)
        self.clock.advance(1799)
        self.assertEqual([state for _address, _value, state in self.rows()], ["pending"] * 2)
        self.clock.advance(2)
        self.assertEqual(self.rows(), [("pages/1", 1, "expired"), ("pages/1", 2, "pending")])
        self.assertEqual(self.whys(), ["the device was not met in time", ""])
        self.clock.advance(1800)
        self.assertEqual(self.told[-2:], [(1, "expired"), (2, "expired")])
        self.assertEqual(self.arrive("pages/1").sent, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_noTime(self) -> None:
        """
        With no time to live, a command is sent at once, or expires at once.
        """
        self.successResultOf(self.commands.stopService())
        self.start(structs.replace(SETTINGS, commands=CommandSettings(ttl="0s")))
        self.arrive("pages/1")
        self.assertEqual(self.send("pages/1").state, "sent")
        self.assertEqual(self.send("pages/2").state, "pending")
        self.clock.advance(1)
        self.assertEqual(self.rows()[1], ("pages/2", 1, "expired"))

    def test_forever(self) -> None:
        """
        Commands can wait for ever, and for longer than any of us.
        """
        for ttl in "forever", "99999999y", "9" * 400 + "y":
            self.successResultOf(self.commands.stopService())
            self.start(structs.replace(SETTINGS, commands=CommandSettings(ttl=ttl)))
            self.assertIsNone(self.send(f"pages/{len(ttl)}").expires)
        self.clock.advance(1e9)
        self.assertEqual({state for _address, _value, state in self.rows()}, {"pending"})

    def test_brokenLink(self) -> None:
        """
        When a link fails it is logged; the command waits, and is sent with the next one.
        """
        tape = self.arrive("pages/1")
        tape.broken = True
        self.assertEqual(self.send(value=1).state, "pending")
        self.assertEqual(len(self.flushLoggedErrors(ConnectionError)), 1)
        tape.broken = False
        self.assertEqual(self.send(value=2).state, "sent")
        self.assertEqual(tape.sent, [b"1,1.0", b"1,2.0"])
        self.assertEqual({state for _address, _value, state in self.rows()}, {"sent"})

    def test_idle(self) -> None:
        """
        Devices that come and go while nothing waits cost the database nothing.
        """
        self.send("pages/2")
        calls = self.writer.calls
        for _time in range(3):
            self.arrive("pages/1", "radio/*")
            self.presence.meet("radio/20")
        self.assertEqual(self.writer.calls, calls)


class RadioTests(CommandsTestCase):
    """
    Commands to radio nodes.
    """

    def test_awake(self) -> None:
        """
        A node that never sleeps is sent its command at once, also if it was never heard.
        """
        radio = self.arrive("radio/*")
        self.assertEqual(self.send("heater", "setpoint", 21).state, "sent")
        self.assertEqual(radio.sent, [b"20,21,0,0,0s"])

    def test_asleep(self) -> None:
        """
        A node that sleeps is sent its command right after it was heard, and not before.
        """
        radio = self.arrive("radio/*")
        self.assertEqual(self.send("valve", "setpoint", 21).state, "pending")
        self.presence.arrive("radio/*", radio)
        self.presence.meet("radio/20")
        self.assertEqual(radio.sent, [])
        self.presence.meet("radio/21")
        self.assertEqual(radio.sent, [b"21,21,0,0,0s"])
        self.assertEqual(self.rows(), [("radio/21", 21, "sent")])

    def test_unplugged(self) -> None:
        """
        What is given while the radio is unplugged waits; nodes that never sleep are sent it as
        soon as the radio is back, the others when they are heard.
        """
        self.send("heater", "fan", 1)
        self.send("valve", "fan", 2)
        self.presence.meet("radio/20")
        radio = self.arrive("radio/*")
        self.assertEqual(radio.sent, [b"20,0,0,1,0s"])
        self.presence.meet("radio/21")
        self.assertEqual(radio.sent[1:], [b"21,0,0,2,0s"])

    def test_last(self) -> None:
        """
        A node keeps the variables that are not being set: what waits is packed when it is sent.
        """
        self.send("heater", "setpoint", 21)
        self.send("heater", "fan", 1)
        self.send("heater", "setpoint", 22)
        radio = self.arrive("radio/*")
        self.send("heater", "fan", 0)
        self.assertEqual(
            radio.sent, [b"20,21,0,0,0s", b"20,21,0,1,0s", b"20,22,0,1,0s", b"20,22,0,0,0s"]
        )

    def test_lastAfterRestart(self) -> None:
        """
        What a node was sent last is known after a restart, also after a crash.
        """
        self.arrive("radio/*")
        self.send("heater", "setpoint", 21)
        self.send("heater", "fan", 1)
        self.start()
        radio = self.arrive("radio/*")
        self.send("heater", "fan", 0)
        self.assertEqual(radio.sent, [b"20,21,0,0,0s"])


class ReviseTests(CommandsTestCase):
    """
    Other descriptions and settings, while commands wait.
    """

    def revise(self, **changed: Any) -> None:
        """
        Go on with other settings.
        """
        settings = structs.replace(SETTINGS, **changed)
        done = self.commands.revise(Downlink(settings), settings.commands)
        self.successResultOf(Deferred.fromCoroutine(done))

    def test_refused(self) -> None:
        """
        What waits for a device that could not be sent it any more is refused, and the rest waits.
        """
        self.send("valve", "setpoint", 1)
        self.send("lamp", "LED", 1)
        self.revise(devices=SETTINGS.devices[:1])
        self.assertEqual(self.rows(), [("radio/21", 1, "refused"), ("pages/1", 1, "pending")])
        lamp = self.arrive("pages/1")
        self.assertEqual(lamp.sent, [b"1,1.0"])

    def test_limits(self) -> None:
        """
        How many may wait, and for how long, is as the settings say by now.
        """
        self.send("lamp", "LED", 1)
        self.revise(commands=CommandSettings(ttl="1m", max_waiting=2))
        self.assertEqual(self.send("lamp", "LED", 2).state, "pending")
        self.assertEqual(self.send("lamp", "LED", 3).state, "refused")
        self.clock.advance(61)
        states = [state for _address, _value, state in self.rows()]
        self.assertEqual(states, ["pending", "expired", "refused"])

    def test_last(self) -> None:
        """
        Of a node that is described only now, what it was sent before is known.
        """
        radio = self.arrive("radio/*")
        self.send("heater", "setpoint", 21)
        self.start(structs.replace(SETTINGS, devices=()))
        radio = self.arrive("radio/*")
        self.revise()
        self.send("heater", "fan", 1)
        self.assertEqual(radio.sent, [b"20,21,0,1,0s"])


class RestartTests(CommandsTestCase):
    """
    What becomes of commands when the daemon is started again.
    """

    def test_waits(self) -> None:
        """
        What waits goes on waiting after a crash, in its order, before what is given then.
        """
        self.send(value=1)
        self.send(value=2)
        self.start()
        self.send(value=3)
        tape = self.arrive("pages/1")
        self.assertEqual(tape.sent, [b"1,1.0", b"1,2.0", b"1,3.0"])
        self.assertEqual({state for _address, _value, state in self.rows()}, {"sent"})

    def test_orderly(self) -> None:
        """
        The same holds for an orderly stop, after which nothing is sent.
        """
        self.send(value=1)
        self.successResultOf(self.commands.stopService())
        self.assertEqual(self.arrive("pages/1").sent, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.start()
        self.assertEqual(self.arrive("pages/1").sent, [b"1,1.0"])

    def test_again(self) -> None:
        """
        Commands that were stopped can be started again, and devices that are there are sent what
        came in between.
        """
        self.writer.holding = True
        done = self.commands.send("pages/1", 1, 1)
        stopped = self.commands.stopService()
        tape = self.arrive("pages/1")
        self.writer.release()
        self.assertEqual((self.successResultOf(done).state, tape.sent), ("pending", []))
        self.writer.release()
        self.successResultOf(stopped)
        self.writer.holding = False
        self.commands.startService()
        self.assertEqual((tape.sent, self.rows()), ([b"1,1.0"], [("pages/1", 1, "sent")]))

    def test_meanwhile(self) -> None:
        """
        A command that has its row before the start, and its answer only after it, is sent once.
        """
        for runner in Runner(), Late():
            self.successResultOf(self.commands.stopService())
            self.start(writer=runner)
            tape = self.arrive("pages/1")
            self.send(value=1)
            runner.holding = True
            done = self.commands.send("pages/1", 1, 2)
            self.commands.stopService()
            self.commands.startService()
            runner.holding = False
            while runner.held:
                runner.release()
            self.successResultOf(done)
            self.assertEqual(tape.sent, [b"1,1.0", b"1,2.0"])

    def test_expiredMeanwhile(self) -> None:
        """
        What has expired while nothing was running is not sent.
        """
        self.send(value=1)
        self.clock.advance(1800)
        self.send(value=2)
        self.start()
        self.clock.advance(1801)
        self.assertEqual(self.rows()[0], ("pages/1", 1, "expired"))
        self.successResultOf(self.commands.stopService())
        self.clock.advance(1800)
        self.start()
        self.assertEqual(self.rows()[1], ("pages/1", 2, "expired"))
        self.assertEqual(self.arrive("pages/1").sent, [])

    def test_otherConfiguration(self) -> None:
        """
        What cannot be sent any more after a change of the configuration is refused.
        """
        self.send(value=1)
        pages = MessageSettings("pages", "websocket", "tcp:0", variables=("lamp",))
        self.start(structs.replace(SETTINGS, listeners=(pages,)))
        self.assertEqual(self.rows(), [("pages/1", 1, "refused")])
        self.assertIn('no variable "LED"', self.whys()[0])

    def test_crashBetween(self) -> None:
        """
        After a crash between the sending and the row that says so, a command is sent again.
        """
        tape = self.arrive("pages/1")
        self.writer.holding = True
        self.commands.send("pages/1", 1, 1)
        self.writer.release()
        self.assertEqual(tape.sent, [b"1,1.0"])
        self.start()
        self.assertEqual(self.arrive("pages/1").sent, [b"1,1.0"])
        self.assertEqual(self.rows(), [("pages/1", 1, "sent")])

    def test_unreadable(self) -> None:
        """
        Without its database it does not start.
        """
        self.successResultOf(self.commands.stopService())
        self.successResultOf(self.store.stopService())
        self.path.unlink()
        self.assertRaises(StoreError, self.commands.startService)
        self.assertFalse(self.commands.running)


class TroubleTests(CommandsTestCase):
    """
    A database that takes a command, and then not what became of it.
    """

    def spoil(self) -> Tape:
        """
        Send a command that is in trouble from the moment when it has its row.
        """
        tape = self.arrive("pages/1")
        self.disk.trouble = "UPDATE"
        self.assertEqual(self.send().state, "sent")
        self.assertEqual((tape.sent, self.rows()), ([b"1,1.0"], [("pages/1", 1, "pending")]))
        return tape

    def test_notReady(self) -> None:
        """
        While nothing can be stored, a command is refused at once: who gave it is not to wait for
        the database.
        """
        self.store.ready = False
        self.failureResultOf(self.commands.send("pages/1", 1, 1), NotStored)

    def test_later(self) -> None:
        """
        What was sent is sent once, and written down as soon as that is possible.
        """
        tape = self.spoil()
        self.clock.pump([10.0, 10.0])
        self.presence.arrive("pages/1", tape)
        self.assertEqual(self.told, [(1, "pending")])
        self.disk.trouble = None
        self.clock.advance(10)
        self.assertEqual((tape.sent, self.rows()), ([b"1,1.0"], [("pages/1", 1, "sent")]))
        self.assertEqual(self.told, [(1, "pending"), (1, "sent")])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_log(self) -> None:
        """
        The trouble makes one line in the log, and its end another one.
        """
        with capturedLogs() as events:
            self.spoil()
            self.clock.pump([10.0] * 5)
            self.disk.trouble = None
            self.clock.advance(10)
        levels = [event["log_level"] for event in events]
        self.assertEqual(levels, [LogLevel.error, LogLevel.info])
        self.assertEqual(str(events[0]["error"]), "disk I/O error")

    def test_stop(self) -> None:
        """
        At the stop it is tried once more.
        """
        self.spoil()
        self.disk.trouble = None
        self.successResultOf(self.commands.stopService())
        self.assertEqual(self.rows(), [("pages/1", 1, "sent")])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopInVain(self) -> None:
        """
        A stop during the trouble does not hang, and leaves no timers.
        """
        self.spoil()
        self.disk.trouble = ""
        self.successResultOf(self.commands.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopBehind(self) -> None:
        """
        A stop waits for what is being written.
        """
        self.arrive("pages/1")
        self.writer.holding = True
        self.commands.send("pages/1", 1, 1)
        self.writer.release()
        stopped = self.commands.stopService()
        self.assertNoResult(stopped)
        self.writer.release()
        self.assertEqual(self.rows(), [("pages/1", 1, "sent")])
        self.writer.release()
        self.successResultOf(stopped)

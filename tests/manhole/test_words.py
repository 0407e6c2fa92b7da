"""
Tests for L{sensord.manhole.words}.
"""

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import example, given, strategies
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sensord.manhole.words import (
    Plan,
    Session,
    UsageError,
    Word,
    complete,
    find,
    options,
    run,
    simple,
    words,
)
from sensord.reading import Clock as Source
from sensord.reading import Reading
from sensord.simulate import Fleet
from sensord.text import plain
from tests.support import PROPERTY

_ECHO = Word("echo ...", "say it again", lambda _session, arguments: "|".join(arguments))


class Desk:
    """
    A session, and what is seen of it.

    @ivar told: what was shown unasked.
    @ivar left: how often it was to be left.
    """

    def __init__(self) -> None:
        self.told: list[str] = []
        self.left = 0
        self.busy = False
        self.session = Session(self.told.append, self.leave, lambda: self.busy)

    def leave(self) -> None:
        """
        It is to be left.
        """
        self.left += 1


class FindTests(SynchronousTestCase):
    """
    L{find} tells words from Python.
    """

    def assertRest(self, line: str, rest: str | None, names: Sequence[str] = ()) -> None:
        """
        Check what follows the word; L{None} for Python.
        """
        found = find(line, {"t": _ECHO}, names)
        self.assertEqual(found, None if rest is None else (_ECHO, rest), line)

    def test_words(self) -> None:
        """
        A line that is a word, alone or with arguments, is one.
        """
        for line, rest in (
            ("t", ""),
            (" t  ", ""),
            ("t -c 5", "-c 5"),
            ("t\t-c5 -p  -1 ", "-c5 -p  -1"),
            ("t x y=1", "x y=1"),
            ("t '", "'"),
        ):
            self.assertRest(line, rest)

    def test_python(self) -> None:
        """
        What is done with a name in Python is Python, and so is all that begins otherwise.
        """
        for line in (
            *("", " ", "x", "tt", "t5", "t.x", "t()", "t[0]", "t=5", "t-1", "t;", "(t)"),
            *("t = 5", "t == 5", "t += 1", "t -= 1", "t **= 2", "t , u = 1, 2", "t : int = 5"),
            *("t .x", "t (1)", "t [0]", "print t"),
        ):
            self.assertRest(line, None)

    def test_taken(self) -> None:
        """
        A name that the operator has made goes before a word.
        """
        self.assertRest("t", None, ["t"])
        self.assertRest("t -c 5", None, ["t"])
        self.assertRest("t", "", ["u"])

    @given(strategies.text())
    @example("t\x00")
    @PROPERTY
    def test_anything(self, text: str) -> None:
        """
        Whatever is typed, it is one or the other, and never an error.
        """
        for line in (text, f"t {text}"):
            found = find(line, {"t": _ECHO}, ())
            self.assertIsInstance(found, tuple | None)


class RunTests(SynchronousTestCase):
    """
    L{run} does what a word says.
    """

    def run_(self, word: Word, rest: str = "") -> "Deferred[str]":
        """
        Do it.
        """
        return Deferred.fromCoroutine(run(word, rest, Desk().session))

    def say(self, word: Word, rest: str = "") -> str:
        """
        What it prints at once.
        """
        return self.successResultOf(self.run_(word, rest))

    def test_arguments(self) -> None:
        """
        Arguments are split as in a shell.
        """
        self.assertEqual(self.say(_ECHO, "a 'b c'  \"d\" e\\ f"), "a|b c|d|e f")

    def test_quotes(self) -> None:
        """
        A quotation mark that is left open is an error, with how to do it right.
        """
        self.assertEqual(self.say(_ECHO, "a 'b"), "No closing quotation\nusage: echo ...")

    def test_noArguments(self) -> None:
        """
        A word that takes no arguments refuses them.
        """
        word = simple("l", "list", lambda _session: "a list")
        self.assertEqual(self.say(word), "a list")
        self.assertEqual(self.say(word, "x"), "l takes no arguments\nusage: l")

    def test_later(self) -> None:
        """
        A word may have its text later.
        """
        waiting: Deferred[str] = Deferred()
        said = self.run_(simple("w", "wait", lambda _session: waiting))
        self.assertNoResult(said)
        waiting.callback("done")
        self.assertEqual(self.successResultOf(said), "done")

    def test_fails(self) -> None:
        """
        When a word fails, now or later, its text is the reason.
        """

        def raises(_session: Session) -> str:
            raise KeyError("balcony")

        for act in (raises, lambda _session: fail(KeyError("balcony"))):
            self.assertEqual(self.say(simple("f", "fail", act)), "KeyError: 'balcony'")

    def test_failsUsage(self) -> None:
        """
        A word can find out later that it was not meant so.
        """
        word = simple("f", "fail", lambda _session: fail(UsageError("not so")))
        self.assertEqual(self.say(word), "not so\nusage: f")


class SessionTests(SynchronousTestCase):
    """
    L{Session}.
    """

    def test_close(self) -> None:
        """
        What goes on in a session ends with it, once; nothing is shown any more.
        """
        desk, ended = Desk(), []
        desk.session.begin("v", lambda: ended.append("v"))
        desk.session.begin("t", lambda: ended.append("t"))
        self.assertTrue(desk.session.halt("t"))
        self.assertFalse(desk.session.halt("t"))
        desk.session.tell("a")
        desk.session.close()
        desk.session.close()
        desk.session.tell("b")
        self.assertEqual((ended, desk.told, desk.session.closed), (["t", "v"], ["a"], True))


class CompleteTests(SynchronousTestCase):
    """
    The words that each session has.
    """

    def say(self, word: str, names: dict[str, object], desk: Desk) -> str:
        """
        What one of them prints.
        """
        all = complete({"echo": _ECHO}, names)
        return self.successResultOf(Deferred.fromCoroutine(run(all[word], "", desk.session)))

    def test_help(self) -> None:
        """
        C{h} lists the words, and the names that Python knows.
        """
        text = self.say("h", {"store": Desk(), "send": self.say}, Desk())
        self.assertEqual(
            text.splitlines(),
            [
                "word",
                "echo ...  say it again",
                "h         this help",
                "q         end this session; the gateway runs on",
                "",
                "name",
                "send   function",
                "store  Desk",
                "",
                "All else is Python; what fires later is shown when it does.",
            ],
        )

    def test_noNames(self) -> None:
        """
        Where Python knows no names, none are listed.
        """
        self.assertNotIn("name", self.say("h", {}, Desk()))

    def test_quit(self) -> None:
        """
        C{q} ends the session.
        """
        desk = Desk()
        self.assertEqual((self.say("q", {}, desk), desk.left), ("", 1))


class WordsTestCase(SynchronousTestCase):
    """
    The words of the caller.
    """

    def setUp(self) -> None:
        """
        A gateway that is a few callables.
        """
        self.reactor: Any = MemoryReactorClock()
        self.rows: list[Sequence[object]] = [("listener", "peer", "frames")]
        self.followers: list[Callable[[Sequence[Reading]], None]] = []
        self.fleets: list[Fleet] = []
        self.words = words(self.reactor, lambda: self.rows, self.follow, self.fleet)
        self.desk = Desk()

    def follow(self, callback: Callable[[Sequence[Reading]], None]) -> Callable[[], None]:
        """
        See L{sensord.store.service.Store.follow}.
        """
        self.followers.append(callback)
        return lambda: self.followers.remove(callback)

    def fleet(self, devices: int, rate: float) -> Fleet:
        """
        Make a fleet.
        """
        self.fleets.append(Fleet(self.reactor, "poe", devices, rate, "tcp:192.0.2.1:1234", 1))
        return self.fleets[-1]

    def say(self, word: str, rest: str = "") -> str:
        """
        What a word prints.
        """
        made = Deferred.fromCoroutine(run(self.words[word], rest, self.desk.session))
        return self.successResultOf(made)


class ListTests(WordsTestCase):
    """
    The word C{l}.
    """

    def test_table(self) -> None:
        """
        Connections are listed as a table; what peers call themselves cannot harm the terminal.
        """
        self.rows += [("poe", "192.168.1.7", 21), ("pages", "a\x1b[2J\nb", 1000)]
        self.assertEqual(
            self.say("l").splitlines(),
            [
                "listener  peer         frames",
                "poe       192.168.1.7      21",
                "pages     a\\x1b[2J\\nb    1000",
            ],
        )

    def test_none(self) -> None:
        """
        Without any, it says so.
        """
        self.assertEqual(self.say("l"), "no connections")
        self.rows.clear()
        self.assertEqual(self.say("l"), "no connections")


class VerboseTests(WordsTestCase):
    """
    The word C{v}.
    """

    def store(self, *values: float | str, device: str = "balcony") -> None:
        """
        Some readings are stored.
        """
        time = 1_795_194_650_500_000
        readings = [Reading(device, "temperature", one, time, Source.ARRIVAL) for one in values]
        for follower in self.followers:
            follower(readings)

    def test_toggle(self) -> None:
        """
        Typed once, readings are shown as they are stored, a transaction at a time; typed again,
        they are not.
        """
        self.assertEqual(self.say("v"), "readings are shown as they are stored")
        self.store(24.5, True)
        start = "2026-11-20T17:10:50.500000Z  balcony  temperature  "
        self.assertEqual(self.desk.told, [f"{start}24.5\n{start}True"])
        self.assertEqual(self.say("v"), "readings are no longer shown")
        self.assertEqual(self.followers, [])

    def test_ends(self) -> None:
        """
        The end of the session ends it.
        """
        self.say("v")
        self.desk.session.close()
        self.assertEqual(self.followers, [])

    def test_harmless(self) -> None:
        """
        What devices send cannot forge lines or control the terminal.
        """
        self.say("v")
        self.store("a\nb\x1b]0;x\x07", device="\u202ex")
        [text] = self.desk.told
        self.assertTrue(text.endswith("\\u202ex  temperature  a\\nb\\x1b]0;x\\x07"), text)

    def test_tooMany(self) -> None:
        """
        Not more than a hundred readings are shown in a second; the others are counted.
        """
        self.say("v")
        self.store(*range(60))
        self.store(*range(60))
        self.store(*range(60))
        self.assertEqual([text.count("\n") + 1 for text in self.desk.told], [60, 40])
        self.reactor.advance(1)
        self.store(24.5)
        first, second = self.desk.told[2].splitlines()
        self.assertEqual(first, "(80 readings are not shown)")
        self.assertTrue(second.endswith("24.5"))

    def test_slow(self) -> None:
        """
        What the operator's end is too slow to take is not shown, but counted.
        """
        self.say("v")
        self.desk.busy = True
        self.store(1, 2, 3)
        self.assertEqual(self.desk.told, [])
        self.desk.busy = False
        self.store(4)
        self.assertTrue(self.desk.told[0].startswith("(3 readings are not shown)\n"))


class SimulateTests(WordsTestCase):
    """
    The word C{t}.
    """

    def connect(self, index: int = -1) -> tuple[Any, StringTransport]:
        """
        A simulated client gets its connection.
        """
        protocol = self.reactor.tcpClients[index][2].buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def test_plan(self) -> None:
        """
        So many clients connect, and each sends so often.
        """
        self.assertEqual(self.say("t", "-c 3 -t 0.5"), "the simulation begins; t ends it")
        [fleet] = self.fleets
        self.assertEqual((fleet.devices, fleet.rate), (3, 2.0))
        self.reactor.pump([5.0] * 3)
        self.assertEqual(len(self.reactor.tcpClients), 3)

    def test_enough(self) -> None:
        """
        When the packets are sent it ends by itself, and tells what it did.
        """
        self.say("t", "-p 21 -t 0.1")
        self.reactor.advance(0)
        protocol, transport = self.connect()
        self.reactor.advance(0.1)
        self.assertTrue(transport.disconnecting)
        protocol.connectionLost(Failure(ConnectionRefusedError()))
        self.assertEqual(
            self.desk.told,
            ["1 devices sent 21 messages with 21 readings; 0 connections failed"],
        )
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertFalse(self.desk.session.halt("t"))

    def test_endless(self) -> None:
        """
        Without an end it goes on until C{t} is typed again.
        """
        self.say("t", "-p -1 -t 0.1")
        self.reactor.advance(0)
        protocol, transport = self.connect()
        self.reactor.pump([0.1] * 600)
        self.assertGreater(self.fleets[0].sent, 500)
        self.assertFalse(transport.disconnecting)
        self.assertEqual(self.say("t"), "the simulation is ending")
        self.assertTrue(transport.disconnecting)
        protocol.connectionLost(Failure(ConnectionRefusedError()))
        self.assertIn("messages", self.desk.told[0])

    def test_ends(self) -> None:
        """
        The end of the session ends it.
        """
        self.say("t", "-t 1")
        self.desk.session.close()
        self.reactor.pump([1.0] * 5)
        self.assertEqual((self.reactor.getDelayedCalls(), self.desk.told), ([], []))

    def test_another(self) -> None:
        """
        A new simulation ends the one before.
        """
        self.say("t", "-c 1")
        self.say("t", "-c 2")
        self.assertEqual([bool(fleet.running) for fleet in self.fleets], [False, True])
        self.assertIn("the simulation before is ending", self.desk.told)

    def test_refused(self) -> None:
        """
        When there is nothing to connect to, it says so, once.
        """
        self.say("t", "-c 1")
        for _attempt in range(3):
            self.reactor.advance(0)
            factory = self.reactor.tcpClients[-1][2]
            factory.clientConnectionFailed(None, Failure(ConnectionRefusedError(111)))
            self.reactor.pump([5.0, 5.0])
        self.assertEqual(len(self.reactor.tcpClients), 4)
        self.assertEqual(len(self.desk.told), 1)
        self.assertTrue(self.desk.told[0].startswith("no connection: "))

    def test_impossible(self) -> None:
        """
        What no fleet can do is refused with the reason.
        """
        self.assertEqual(
            self.say("t", "-t 0.000001").splitlines(),
            [
                "1000000.0 messages per second: it can be 1/65535 to 100000",
                "usage: t -c CLIENTS -p PACKETS -t SECONDS",
            ],
        )

    def test_nothing(self) -> None:
        """
        Alone, where nothing is simulated, it tells how it is used.
        """
        self.assertIn("no simulation to end\nusage: t -c", self.say("t"))


class OptionsTests(SynchronousTestCase):
    """
    L{options}.
    """

    def test_good(self) -> None:
        """
        Each option may be left out, and may be written with or without a blank.
        """
        for text, plan in (
            ("-c 5 -p 100 -t 0.25", Plan(5, 100, 0.25)),
            ("-t.5 -p-1 -c010", Plan(10, None, 0.5)),
            ("-p -1", Plan(1, None, 1.0)),
            ("-t 2.", Plan(1, None, 2.0)),
            ("-c 7", Plan(7, None, 1.0)),
        ):
            self.assertEqual(options(text.split()), plan)

    def test_bad(self) -> None:
        """
        Whatever makes no sense is refused with the reason.
        """
        for text, why in (
            ("-c 0", "-c 0: is no number of clients"),
            ("-c -1", "-c -1: is no number of clients"),
            ("-c 1.5", "-c 1.5: is no number of clients"),
            ("-c 1_0", "-c 1_0: is no number of clients"),
            ("-c \u0663", "-c \u0663: is no number of clients"),
            ("-c 12345678901", "-c 12345678901: is no number of clients"),
            ("-c 1001", "-c 1001: 1000 is the most"),
            ("-p 0", "-p 0: is no number of packets"),
            ("-p -2", "-p -2: is no number of packets"),
            ("-t 0", "-t 0: is no number of seconds"),
            ("-t 0.0", "-t 0.0: is no number of seconds"),
            ("-t .", "-t .: is no number of seconds"),
            ("-t nan", "-t nan: is no number of seconds"),
            ("-t inf", "-t inf: is no number of seconds"),
            ("-t -1", "-t -1: is no number of seconds"),
            ("-c", "option -c requires argument"),
            ("-x 1", "option -x not recognized"),
            ("--c 1", "option --c not recognized"),
            ("-c 1 -c 2", "an option was given twice"),
            ("-c 1 5", "5 is no option"),
            ("5", "5 is no option"),
        ):
            error = self.assertRaises(UsageError, options, text.split())
            self.assertEqual(str(error), why)

    @given(strategies.lists(strategies.text() | strategies.sampled_from(["-c", "-p", "-t", "-1"])))
    @PROPERTY
    def test_anything(self, arguments: list[str]) -> None:
        """
        Whatever is typed, it is a plan that makes sense or a L{UsageError}.
        """
        try:
            plan = options(arguments)
        except UsageError:
            return
        self.assertGreater(plan.clients, 0)
        self.assertGreater(plan.seconds, 0)
        self.assertTrue(plan.packets is None or plan.packets > 0)


class PlainTests(SynchronousTestCase):
    """
    L{plain}.
    """

    def test_kept(self) -> None:
        """
        What can be printed stays, in any language.
        """
        self.assertEqual(plain("Küche 21.5 °C \u6e29\u5ea6"), "Küche 21.5 °C \u6e29\u5ea6")
        self.assertEqual(plain("a\nb", "\n"), "a\nb")

    def test_shown(self) -> None:
        """
        Control characters, and what changes the direction of writing, are shown by their codes.
        """
        self.assertEqual(plain("\x1b\r\n\x9b\u202e\ud800"), r"\x1b\r\n\x9b\u202e\ud800")
        self.assertEqual(plain("a\x1b\nb", "\n"), "a\\x1b\nb")

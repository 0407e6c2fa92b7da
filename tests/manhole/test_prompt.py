"""
Tests for L{sensord.manhole.prompt}.
"""

import re
import sys
from time import process_time

from hypothesis import example, given, strategies
from twisted.conch.insults.insults import ServerProtocol
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from sensord.manhole.prompt import Operator, Prompt
from sensord.manhole.words import Session, Word, simple
from tests.support import PROPERTY

#: What moves the cursor or sets a colour.
_CODES = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")

#: Keys that do something to the line.
_KEYS = (
    *(b"\r", b"\t", b"\x7f", b"'", b"(", b"\\"),
    *(b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D", b"\x1b[2~", b"\x1b[3~"),
)

#: Anything but what leaves, and what could be a program that takes for ever.
_TYPED = strategies.binary(max_size=8).map(
    lambda data: re.sub(rb"[\x04\x1b\x1cA-Za-z*<]", b"", data)
)


class Terminal:
    """
    A prompt with somebody before it.

    @ivar left: how often it was left.
    """

    def __init__(self, **names: object) -> None:
        self.left = 0
        self.slow: Deferred[str] = Deferred()
        words = {
            "l": simple("l", "list", lambda _session: "a list\n\x1b[2J"),
            "w": simple("w", "wait", lambda _session: self.slow),
            "b": Word("b", "begin", self._begin),
        }
        self.ended = False
        self.transport = StringTransport()
        self.prompt = Prompt(names, words, self._leave)
        self._server = ServerProtocol(lambda: self.prompt)
        self._server.makeConnection(self.transport)
        self.greeting = self.seen()

    def type(self, text: str | bytes) -> bytes:
        """
        Type something.

        @return: what is seen then, without colours.
        """
        self._server.dataReceived(text.encode() if isinstance(text, str) else text)
        return self.seen()

    def enter(self, line: str) -> list[str]:
        """
        Type a line.

        @return: the lines that are seen behind it, without the last, which is the prompt.
        """
        self.type(line)
        return self.type("\r").decode().split("\r\n")[1:-1]

    def seen(self) -> bytes:
        """
        What is seen that was not before.
        """
        data = self.transport.value()
        self.transport.clear()
        return _CODES.sub(b"", data)

    def _leave(self) -> None:
        self.left += 1

    def _begin(self, session: Session, _arguments: object) -> str:
        session.begin("b", lambda: setattr(self, "ended", True))
        return ""


class PromptTests(SynchronousTestCase):
    """
    L{Prompt}.
    """

    def setUp(self) -> None:
        """
        Somebody sits down.
        """
        self.made: Deferred[object] = Deferred()
        self.terminal = Terminal(store={"balcony": 24.5}, later=lambda: self.made)

    def test_greeting(self) -> None:
        """
        It says what it is and how to get help, and leaves on the screen what was there.
        """
        self.assertRegex(self.terminal.greeting, rb"\Asensord \S+; h helps\r\n>>> \Z")
        self.assertNotIn(b"\x1bc", self.terminal.greeting)

    def test_python(self) -> None:
        """
        Python is evaluated, with the names that were given.
        """
        self.assertEqual(self.terminal.enter("1+1"), ["2"])
        self.assertEqual(self.terminal.enter("store['balcony']"), ["24.5"])
        self.assertEqual(self.terminal.enter("print('a', 'b')"), ["a b"])

    def test_coloured(self) -> None:
        """
        What is typed is coloured.
        """
        self.terminal.prompt.characterReceived(b"1", False)
        self.assertIn(b"\x1b[36m1\x1b[0m", self.terminal.transport.value())

    def test_block(self) -> None:
        """
        A block goes over several lines; a word in it is none.
        """
        self.assertEqual(self.terminal.enter("for l in (1, 2):"), [])
        self.assertEqual(self.terminal.enter("  l"), [])
        self.assertEqual(self.terminal.enter(""), ["1", "2"])

    def test_pasted(self) -> None:
        """
        A long line that is pasted is taken at once, and one that is far too long is cut; both are
        no trouble for the gateway.
        """
        began = process_time()
        text = "x = '" + "a" * 3000 + "'"
        self.assertEqual(self.terminal.enter(text), [])
        self.assertEqual(self.terminal.enter("len(x)"), ["3000"])
        self.assertIn(b"\a", self.terminal.type("#" + "a" * 5000))
        self.assertLess(process_time() - began, 2.0)

    def test_badBlock(self) -> None:
        """
        A line that Python cannot even read is an error, and the session goes on.
        """
        self.terminal.enter("if 1:")
        self.terminal.enter("        1")
        self.assertIn("IndentationError", "\n".join(self.terminal.enter("    2")))
        self.assertEqual(self.terminal.enter("1+1"), ["2"])

    def test_error(self) -> None:
        """
        An error is shown with its traceback, and the session goes on.
        """
        self.assertEqual(self.terminal.enter("1/0")[-1], "ZeroDivisionError: division by zero")
        self.assertEqual(self.terminal.enter("1+1"), ["2"])

    def test_word(self) -> None:
        """
        A word is done; what it prints cannot control the terminal.
        """
        self.assertEqual(self.terminal.enter("l"), ["a list", "\\x1b[2J"])
        self.assertEqual(self.terminal.enter("l x"), ["l takes no arguments", "usage: l"])

    def test_taken(self) -> None:
        """
        A word whose name the operator takes for something else is that, until it is given back.
        """
        self.assertEqual(self.terminal.enter("l = 3"), [])
        self.assertEqual(self.terminal.enter("l"), ["3"])
        self.assertEqual(self.terminal.enter("del l"), [])
        self.assertEqual(self.terminal.enter("l")[0], "a list")

    def test_ownNames(self) -> None:
        """
        What one session calls something, no other knows.
        """
        names: dict[str, object] = {"store": 1}
        first, second = Terminal(**names), Terminal(**names)
        first.enter("store = 2; x = 1")
        self.assertEqual(second.enter("store"), ["1"])
        self.assertIn("NameError", second.enter("x")[-1])

    def test_later(self) -> None:
        """
        A Deferred shows its result when it comes, above the line that is being typed.
        """
        self.assertEqual(self.terminal.enter("later()"), ["<Deferred #0>"])
        self.terminal.type("1+")
        self.made.callback(42)
        self.assertEqual(self.terminal.seen(), b"\rDeferred #0 called back: 42\r\n>>> 1+")
        self.assertEqual(self.terminal.enter("1"), ["2"])

    def test_laterFails(self) -> None:
        """
        A Deferred that fails shows why; the log is not bothered with it.
        """
        self.terminal.enter("later()")
        self.made.errback(KeyError("balcony"))
        self.assertIn(b"Deferred #0 failed: \"'balcony'\"", self.terminal.seen())
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_failed(self) -> None:
        """
        Neither is it with one that has failed already.
        """
        self.made.errback(KeyError("balcony"))
        self.assertIn("KeyError", self.terminal.enter("later()")[0])

    def test_wordLater(self) -> None:
        """
        What a word prints later comes above the line that is being typed, and the cursor stays
        where it was.
        """
        self.assertEqual(self.terminal.enter("w"), [])
        self.terminal.type("1+13\x1b[D")
        self.terminal.slow.callback("done\n\x1b[2J")
        self.assertEqual(
            self.terminal.transport.value(),
            b"\r\x1b[2Kdone\r\n\\x1b[2J\r\n>>> 1+13\x1b[1D",
        )
        self.assertEqual(self.terminal.enter("0"), ["104"])

    def test_noInput(self) -> None:
        """
        Nothing that is typed reads from the terminal of the gateway: it says why not, at once, and
        the session goes on. What is typed to be called later does not either.
        """
        terminal, real = self.terminal, sys.stdin
        why = "EOFError: nobody can type an answer here: the standard input is the gateway's own"
        for line in (
            "input()",
            "input('Really? ')",
            "__builtins__['input']()",
            "__import__('sys').stdin.readline()",
            "__import__('sys').stdin.read(1)",
            "list(__import__('sys').stdin)",
        ):
            self.assertEqual(terminal.enter(line)[-1], why, line)
        self.assertIn("debugger would stop", terminal.enter("breakpoint()")[-1])
        self.assertIn("debugger would stop", terminal.enter("__builtins__['breakpoint']()")[-1])
        self.assertIs(sys.stdin, real)
        terminal.enter("later().addCallback(lambda _none: input())")
        self.made.callback(None)
        self.assertIn(b"nobody can type", terminal.seen())
        self.assertEqual(terminal.enter("1+1"), ["2"])

    def test_debugger(self) -> None:
        """
        A debugger that is started all the same ends at once.
        """
        said = self.terminal.enter("import pdb; pdb.set_trace()")
        self.assertEqual(said[-1], "bdb.BdbQuit")
        self.assertIsNone(sys.gettrace())
        self.assertEqual(self.terminal.enter("1+1"), ["2"])

    def test_explained(self) -> None:
        """
        C{help} explains things without asking, and says so when it is asked for nothing.
        """
        self.assertIn("h lists the words", self.terminal.enter("help()")[0])
        said = self.terminal.enter("help(len)")
        self.assertEqual(said[0], "built-in function len in module builtins")
        self.assertIn("    Return the number of items in a container.", said)
        self.assertEqual(
            self.terminal.enter("help('nothing.at.all')"),
            ["No Python documentation found for 'nothing.at.all'."],
        )

    def test_closed(self) -> None:
        """
        Python's own C{exit} leaves, and closes nothing.
        """
        self.terminal.type("__import__('site').builtins.exit()\r")
        self.assertEqual(self.terminal.left, 1)
        self.assertFalse(sys.stdin.closed)

    def test_quit(self) -> None:
        """
        C{q}, Ctrl-D, C{exit()} and what raises C{SystemExit} leave, and what was begun in the
        session ends.
        """
        for keys in ("q\r", "\x04", "exit()\r", "quit(1)\r", "raise SystemExit\r"):
            terminal = Terminal()
            terminal.enter("b")
            terminal.type(keys)
            self.assertEqual((terminal.left, terminal.ended), (1, True), keys)
            self.assertFalse(terminal.transport.disconnecting)

    def test_afterwards(self) -> None:
        """
        What is late for the session is not shown, and harms nothing.
        """
        self.terminal.enter("later()")
        self.terminal.enter("w")
        self.terminal.type("q\r")
        self.made.callback(42)
        self.terminal.slow.callback("done")
        self.assertEqual(self.terminal.seen(), b"")

    def test_help(self) -> None:
        """
        C{h} lists the words and the names.
        """
        text = "\n".join(self.terminal.enter("h"))
        for line in ("l     list", "q     end this session; the gateway runs on", "store  dict"):
            self.assertIn(line, text)

    def test_interrupt(self) -> None:
        """
        Ctrl-C drops the line.
        """
        self.terminal.type("1/0\x03")
        self.assertEqual(self.terminal.enter("1+1"), ["2"])

    def test_foreign(self) -> None:
        """
        A key that the line editor cannot take rings the bell.
        """
        self.assertEqual(self.terminal.type("\u00e4"), b"\a\a")
        self.assertEqual(self.terminal.type("\x1bx\x1b[15~"), b">>> x\a")

    @given(strategies.lists(strategies.sampled_from(_KEYS) | _TYPED))
    @example([b"'''", b"\r", b"\x1b[A", b"\t"])
    @PROPERTY
    def test_anything(self, keys: list[bytes]) -> None:
        """
        Whatever is typed, the session goes on until it is left.
        """
        terminal = Terminal()
        for key in (*keys, *[b"\x1b[B"] * len(keys), b"\x03"):
            terminal.type(key)
        self.assertEqual(terminal.enter("1+1"), ["2"])


class OperatorTests(SynchronousTestCase):
    """
    L{Operator}.
    """

    def test_early(self) -> None:
        """
        What a client tells before there is a prompt harms nothing.
        """
        operator = Operator({}, {})
        operator.getPty(b"xterm", (50, 132, 0, 0), [])
        operator.windowChanged((24, 80, 0, 0))
        operator.eofReceived()
        operator.closed()

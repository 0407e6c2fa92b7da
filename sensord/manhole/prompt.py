"""
The prompt of the manhole: Python in colour, and plain words.
"""

import string
import sys
from collections.abc import Callable, Mapping
from typing import Any

from twisted.conch.avatar import ConchUser
from twisted.conch.insults import insults
from twisted.conch.interfaces import ISession
from twisted.conch.manhole import CTRL_BACKSLASH, CTRL_D, ColoredManhole, ManholeInterpreter
from twisted.conch.manhole_ssh import TerminalSessionTransport
from twisted.conch.ssh.session import SSHSession
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.logger import FilteringLogObserver, Logger, LogLevel, LogLevelFilterPredicate
from twisted.logger import globalLogPublisher as everything
from twisted.python.failure import Failure
from zope.interface import implementer

from sensord import __version__
from sensord.manhole import stdin
from sensord.manhole.words import Session, Word, complete, find, run
from sensord.text import plain

_PRINTABLE = string.printable.encode()


class Quiet:
    """
    Silences what is mixed with it, but for what is critical. Conch logs each step of each peer, so
    that a stranger could fill the disk; what matters of that, the manhole logs itself.
    """

    _log = Logger(
        "sensord.manhole.service",
        observer=FilteringLogObserver(
            everything, [LogLevelFilterPredicate(defaultLogLevel=LogLevel.critical)]
        ),
    )


class _Interpreter(ManholeInterpreter):
    """
    An interpreter that shows each result on a line of its own, has the last word on failures, and
    never reads from the terminal of the gateway.
    """

    def __init__(self, handler: "Prompt", names: dict[str, object] | None) -> None:
        super().__init__(handler, names)
        self.monkeyPatcher.addPatch(sys, "stdin", stdin.NoInput())
        self.monkeyPatcher.addPatch(sys, "breakpointhook", stdin.refuse)

    def displayhook(self, obj: object) -> None:
        """
        Show a result. The failure of a Deferred is shown when it comes; who typed it saw it, so it
        is not logged as one that nobody took care of.
        """
        super().displayhook(obj)
        if obj is not None:
            self.write("\n")
        if isinstance(obj, Deferred):
            obj.addErrback(lambda _failure: None)


#: How long what is typed may be to be coloured, in bytes, and how long a line may be at all. For
#: each character all is coloured anew: without these, pasting a long text would stop the gateway.
_COLOURED, _LINE = 300, 4096


class Prompt(Quiet, ColoredManhole):
    """
    What an operator types at.

    @ivar session: what goes on in it.
    """

    def __init__(
        self,
        names: Mapping[str, object],
        words: Mapping[str, Word],
        leave: Callable[[], None] = lambda: None,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        @param names: what Python knows at the beginning.
        @param words: what is more than Python.
        @param leave: see L{Session}.
        @param busy: likewise.
        """
        leaving = {"exit": self._exit, "quit": self._exit}
        super().__init__({"__name__": "sensord", **leaving, **stdin.NAMES, **names})
        self.session = Session(self._tell, self._leave, busy)
        self._words = complete(words, names)
        self._goodbye = leave

    def connectionMade(self) -> None:
        """
        Begin.
        """
        super().connectionMade()
        self.interpreter = _Interpreter(self, self.namespace)
        self.keyHandlers[CTRL_D] = self._end
        self.keyHandlers[CTRL_BACKSLASH] = self.session.leave

    def initializeScreen(self) -> None:
        """
        Greet. What the terminal showed before stays.
        """
        self.terminal.write(f"sensord {__version__}; h helps\n")
        self.terminal.write(self.ps[self.pn])
        self.setInsertMode()

    def terminalSize(self, width: int, height: int) -> None:
        """
        The terminal has another size. What it shows stays.
        """
        self.width, self.height = width, height

    def keystrokeReceived(self, keyID: bytes, modifier: object) -> None:
        """
        A key was pressed. The line editor counts bytes, and can have only ASCII in its lines.
        """
        if keyID in self.keyHandlers or keyID in _PRINTABLE:
            super().keystrokeReceived(keyID, modifier)
        else:
            self.terminal.write(b"\a")

    def characterReceived(self, ch: bytes, moreCharactersComing: bool) -> None:
        """
        A character was typed. What cannot be coloured, since it is no Python yet or never will be,
        is shown as it is; so is what is too long.
        """
        if len(self.lineBuffer) >= _LINE:
            self.terminal.write(b"\a")
            return
        if len(self.lineBuffer) + sum(map(len, self.interpreter.buffer)) > _COLOURED:
            super(ColoredManhole, self).characterReceived(ch, moreCharactersComing)
            return
        try:
            super().characterReceived(ch, moreCharactersComing)
        except Exception:  # the tokenizer raises what it likes; nothing is worth the session
            self.terminal.write(ch)

    def lineReceived(self, line: bytes) -> None:
        """
        A line was typed.
        """
        call = None
        if not self.interpreter.buffer:
            call = find(line.decode(), self._words, self.interpreter.locals)
        if call is not None:
            self._answer(Deferred.fromCoroutine(run(*call, self.session)))
            return
        try:
            super().lineReceived(line)
        except SystemExit:
            self.session.leave()

    def addOutput(self, data: str, isAsync: object = None) -> None:
        """
        Show what Python has to say.

        @param isAsync: whether a line may be in the middle of being typed.
        """
        if isAsync:
            self.session.tell(data)
        else:
            super().addOutput(data)

    def _end(self) -> None:
        """
        There is no more to type. Within a line, that cannot be meant.
        """
        if self.lineBuffer:
            self.terminal.write(b"\a")
        else:
            self.session.leave()

    def _answer(self, made: "Deferred[str]") -> None:
        """
        Show what a word returns, now or later.
        """
        waiting = False

        def show(text: str) -> None:
            if text and waiting:
                self.session.tell(text)
            elif text:
                self.terminal.write(plain(text, "\n") + "\n")

        made.addCallback(show)
        waiting = True
        self.terminal.write(self.ps[self.pn])

    def _tell(self, text: str) -> None:
        """
        Show something above the line that is being typed.
        """
        self.terminal.write(b"\r")
        self.terminal.eraseLine()
        self.terminal.write(plain(text, "\n") + "\n")
        self.drawInputLine()
        if behind := len(self.lineBuffer) - self.lineBufferIndex:
            self.terminal.cursorBackward(behind)

    def _leave(self) -> None:
        if not self.session.closed:
            self.session.close()
            self.terminal.nextLine()
            self.setTypeoverMode()  # as terminals are when nobody has told them otherwise
            self._goodbye()

    def _exit(self, _code: object = None) -> None:
        """
        End this session; the gateway runs on.
        """
        raise SystemExit


@implementer(ISession)
class Operator(Quiet, ConchUser):
    """
    Somebody who has logged in, and has one session at a time: a prompt.
    """

    def __init__(self, names: Mapping[str, object], words: Mapping[str, Word]) -> None:
        super().__init__()
        self.channelLookup[b"session"] = _Channel
        self._names = names
        self._words = words
        self._size = 80, 24
        self._prompt: Prompt | None = None

    def getPty(self, term: bytes, windowSize: tuple[int, ...], modes: object) -> None:
        """
        See L{ISession.getPty}.
        """
        self.windowChanged(windowSize)

    def windowChanged(self, newWindowSize: tuple[int, ...]) -> None:
        """
        See L{ISession.windowChanged}.
        """
        rows, columns = newWindowSize[:2]
        self._size = columns, rows
        if self._prompt is not None:
            self._prompt.terminalSize(columns, rows)

    def openShell(self, proto: Any) -> None:
        """
        See L{ISession.openShell}.
        """
        prompt = self._prompt = Prompt(
            self._names,
            self._words,
            lambda: proto.processEnded(Failure(ProcessDone(0))),
            lambda: bool(proto.session.buf),
        )
        server = insults.ServerProtocol(lambda: prompt)
        TerminalSessionTransport(proto, server, self, *self._size)

    def execCommand(self, proto: Any, command: bytes) -> None:
        """
        See L{ISession.execCommand}. It is never called: L{_Channel} refuses before.
        """

    def eofReceived(self) -> None:
        """
        See L{ISession.eofReceived}.
        """
        if self._prompt is not None:
            self._prompt.session.leave()

    def closed(self) -> None:
        """
        See L{ISession.closed}.
        """
        if self._prompt is not None:
            self._prompt.session.close()


class _Channel(Quiet, SSHSession):
    """
    A channel for a prompt, and nothing else.
    """

    def requestReceived(self, requestType: bytes, data: bytes) -> object:
        """
        The client wants something.

        @return: whether it gets it.
        """
        if requestType not in (b"pty-req", b"window-change", b"shell"):
            return 0
        try:
            return super().requestReceived(requestType, data)
        except Exception:  # what is no such request fails in many ways
            return 0

"""
The plain words of the manhole: what an operator types without thinking of Python.
"""

import re
import shlex
from collections.abc import Callable, Container, Mapping, Sequence
from getopt import GetoptError, getopt
from typing import NamedTuple

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from sensord.reading import Reading
from sensord.simulate import Fleet
from sensord.text import iso, plain, summary, table

#: How many readings are shown in a second. Without it, a busy gateway would bury the prompt, and
#: fill the memory with what a slow link cannot take.
_SHOWN = 100

#: Clients that a simulation can have. Each takes two of the file descriptors that devices need, so
#: that more could shut real ones out.
_CLIENTS = 1000

#: Seconds between two looks at what a simulation has sent.
_TICK = 0.1

#: What behind a word makes the line Python: an assignment, a tuple, an attribute, a call...
_PYTHON = re.compile(r"[=,:.\[(]|[^\w\s]+=")

_log = Logger()

Follow = Callable[[Callable[[Sequence[Reading]], None]], Callable[[], None]]


class UsageError(Exception):
    """
    A word was used in a way that it is not meant for.
    """


class Session:
    """
    What words know of the session that they are typed in.

    @ivar closed: whether it is over.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        leave: Callable[[], None],
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        @param tell: shows a text above the line that is being typed.
        @param leave: ends the session.
        @param busy: whether the operator's end is behind in taking what was told.
        """
        self.closed = False
        self.leave = leave
        self.busy = busy
        self._tell = tell
        self._running: dict[str, Callable[[], object]] = {}

    def tell(self, text: str) -> None:
        """
        Show something that nobody is waiting for.
        """
        if not self.closed:
            self._tell(text)

    def begin(self, word: str, stop: Callable[[], object]) -> None:
        """
        Something goes on from now on.

        @param stop: ends it; called once, when it is halted or the session is over.
        """
        self._running[word] = stop

    def halt(self, word: str) -> bool:
        """
        End what a word began.

        @return: whether it was going on.
        """
        stop = self._running.pop(word, None)
        if stop is not None:
            stop()
        return stop is not None

    def close(self) -> None:
        """
        The session is over, and with it all that goes on in it.
        """
        self.closed = True
        for word in tuple(self._running):
            self.halt(word)


#: What runs when a word is typed, given the arguments behind it: it returns what to print.
Run = Callable[[Session, Sequence[str]], "str | Deferred[str]"]


class Word(Struct, frozen=True):
    """
    A command.

    @ivar usage: how it is typed.
    @ivar does: what it does, in a few words.
    """

    usage: str
    does: str
    run: Run


def find(line: str, words: Mapping[str, Word], names: Container[str]) -> tuple[Word, str] | None:
    """
    Tell words from Python. A line is a word if it begins with one that is no name in Python, and if
    what follows is not what follows a name in Python: C{t = 5} makes a name, and from then on C{t}
    is what was made.

    @param names: what has a meaning in Python.
    @return: the word, and what follows it; L{None} for Python.
    """
    match = re.fullmatch(r"\s*(\w+)(?:\s+(.*\S))?\s*", line)
    if not match or match[1] not in words or match[1] in names:
        return None
    rest = match[2] or ""
    return None if _PYTHON.match(rest) else (words[match[1]], rest)


async def run(word: Word, rest: str, session: Session) -> str:
    """
    Do what a word says.

    @param rest: its arguments.
    @return: what to print, also if it fails.
    """
    try:
        try:
            arguments = shlex.split(rest)
        except ValueError as error:
            raise UsageError(str(error)) from error
        made = word.run(session, arguments)
        return await made if isinstance(made, Deferred) else made
    except UsageError as error:
        return f"{error}\nusage: {word.usage}"
    except Exception as error:  # as at the prompt, who asked for it is told
        return f"{type(error).__name__}: {error}"


def simple(usage: str, does: str, act: Callable[[Session], "str | Deferred[str]"]) -> Word:
    """
    A word that takes no arguments.
    """

    def run(session: Session, arguments: Sequence[str]) -> "str | Deferred[str]":
        if arguments:
            raise UsageError(f"{usage} takes no arguments")
        return act(session)

    return Word(usage, does, run)


def complete(words: Mapping[str, Word], names: Mapping[str, object]) -> dict[str, Word]:
    """
    Add the words that each session has: C{h} and C{q}.

    @param names: what Python knows, to be listed.
    """

    def help(session: Session) -> str:
        known = sorted(everything.values(), key=lambda word: word.usage)
        rows = [("word", ""), *((word.usage, word.does) for word in known)]
        lines = [*table(rows), ""]
        if names:
            kinds = sorted((name, _kind(value)) for name, value in names.items())
            lines += [*table([("name", ""), *kinds]), ""]
        return "\n".join([*lines, "All else is Python; what fires later is shown when it does."])

    def leave(session: Session) -> str:
        session.leave()
        return ""

    everything = {
        **words,
        "h": simple("h", "this help", help),
        "q": simple("q", "end this session; the gateway runs on", leave),
    }
    return everything


def _kind(value: object) -> str:
    return "function" if hasattr(value, "__name__") and callable(value) else type(value).__name__


def words(
    clock: IReactorTime,
    connections: Callable[[], Sequence[Sequence[object]]],
    follow: Follow,
    fleet: Callable[[int, float], Fleet],
) -> dict[str, Word]:
    """
    The words C{l}, C{v} and C{t}.

    @param connections: the rows of a table, the headings first.
    @param follow: like L{Store.follow<sensord.store.service.Store.follow>}.
    @param fleet: makes a fleet that is not started yet, given how many devices it has and their
        rate in messages per second; C{ValueError} if that is not possible.
    """
    return {
        "l": simple("l", "list the connections", lambda _session: _list(connections())),
        "v": simple(
            "v",
            "show readings as they are stored; again: no more",
            lambda session: _toggle(session, clock, follow),
        ),
        "t": Word(
            "t -c CLIENTS -p PACKETS -t SECONDS",
            "simulate clients; -p -1 is without end; t alone ends it",
            lambda session, arguments: _simulate(session, fleet, arguments),
        ),
    }


def _list(rows: Sequence[Sequence[object]]) -> str:
    if len(rows) < 2:
        return "no connections"
    return "\n".join(
        table([[cell if isinstance(cell, int) else plain(str(cell)) for cell in r] for r in rows])
    )


def _toggle(session: Session, clock: IReactorTime, follow: Follow) -> str:
    if session.halt("v"):
        return "readings are no longer shown"
    session.begin("v", follow(_Watch(session, clock).show))
    return "readings are shown as they are stored"


class _Watch:
    """
    Shows readings in a session, but never more than it can take.
    """

    def __init__(self, session: Session, clock: IReactorTime) -> None:
        self._session = session
        self._clock = clock
        self._until = 0.0
        self._left = 0
        self._missed = 0

    def show(self, readings: Sequence[Reading]) -> None:
        """
        Show some, or count them as not shown.
        """
        now = self._clock.seconds()
        if now >= self._until:
            self._until, self._left = now + 1.0, _SHOWN
        shown = readings[: 0 if self._session.busy() else self._left]
        self._left -= len(shown)
        lines = [_describe(reading) for reading in shown]
        if lines and self._missed:
            lines.insert(0, f"({self._missed} readings are not shown)")
            self._missed = 0
        self._missed += len(readings) - len(shown)
        if lines:
            self._session.tell("\n".join(lines))


def _describe(reading: Reading) -> str:
    value = reading.value if isinstance(reading.value, str) else repr(reading.value)
    return plain(f"{iso(reading.time)}  {reading.device}  {reading.name}  {value}")


def _simulate(
    session: Session, fleet: Callable[[int, float], Fleet], arguments: Sequence[str]
) -> str:
    if not arguments:
        if session.halt("t"):
            return "the simulation is ending"
        raise UsageError("there is no simulation to end")
    plan = options(arguments)
    try:
        made = fleet(plan.clients, 1 / plan.seconds)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if session.halt("t"):
        session.tell("the simulation before is ending")
    simulation = _Simulation(session, made, plan)
    session.begin("t", simulation.stop)
    simulation.start()
    return "the simulation begins; t ends it"


class Plan(NamedTuple):
    """
    What C{t} was told.

    @ivar packets: from each client; L{None} is without end.
    @ivar seconds: between two packets of one client.
    """

    clients: int
    packets: int | None
    seconds: float


def options(arguments: Sequence[str]) -> Plan:
    """
    Understand the options of C{t}: by default one client sends one packet each second, without end.

    @raise UsageError: if there is anything else among them.
    """
    try:
        pairs, rest = getopt(list(arguments), "c:p:t:")
    except GetoptError as error:
        raise UsageError(error.msg) from error
    given = dict(pairs)
    if rest:
        raise UsageError(f"{rest[0]} is no option")
    if len(given) < len(pairs):
        raise UsageError("an option was given twice")
    clients, packets, seconds = (
        given.get(option, default) for option, default in (("-c", "1"), ("-p", "-1"), ("-t", "1"))
    )
    if not re.fullmatch("0*[1-9][0-9]{0,8}", clients, re.ASCII):
        raise UsageError(f"-c {clients}: is no number of clients")
    if int(clients) > _CLIENTS:
        raise UsageError(f"-c {clients}: {_CLIENTS} is the most")
    if not re.fullmatch("-1|0*[1-9][0-9]{0,8}", packets, re.ASCII):
        raise UsageError(f"-p {packets}: is no number of packets")
    if not re.fullmatch(r"[0-9]{0,9}\.?[0-9]{0,9}", seconds, re.ASCII) or not seconds.strip("0."):
        raise UsageError(f"-t {seconds}: is no number of seconds")
    return Plan(int(clients), None if packets == "-1" else int(packets), float(seconds))


class _Simulation:
    """
    A fleet that sends what was planned, and then stops.
    """

    def __init__(self, session: Session, fleet: Fleet, plan: Plan) -> None:
        self._session = session
        self._fleet = fleet
        self._wanted = None if plan.packets is None else plan.packets * plan.clients
        self._complained = False
        self._looks = LoopingCall(self._look)
        self._looks.clock = fleet.reactor

    def start(self) -> None:
        """
        Begin.
        """
        self._fleet.startService()
        self._looks.start(_TICK).addErrback(lambda failure: _log.failure("simulation", failure))

    def stop(self) -> None:
        """
        End, and tell what came of it.
        """
        self._looks.stop()
        self._fleet.stopService().addCallbacks(
            lambda _none: self._session.tell(summary(self._fleet)),
            lambda failure: _log.failure("simulation", failure),
        )

    def _look(self) -> None:
        if self._fleet.refused and not self._complained:
            self._complained = True
            self._session.tell(f"no connection: {self._fleet.why}")
        if self._wanted is not None and self._fleet.sent >= self._wanted:
            self._session.halt("t")

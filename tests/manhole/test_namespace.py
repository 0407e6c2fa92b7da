"""
Tests for L{sensord.manhole.namespace}.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from sensord.config import parse
from sensord.manhole.namespace import Table, namespace, vocabulary
from sensord.manhole.words import Session, UsageError
from sensord.presence import Presence
from sensord.simulate import Fleet

NOW = 1_795_000_000


class Link:
    """
    A connection of a listener.
    """

    host = "127.0.0.1"
    met = frozenset({"poe/127.0.0.1"})


class Factory:
    """
    Holds it.
    """

    connections = (Link(),)


class Way:
    """
    A listener.
    """

    where, state, connected = "tcp 127.0.0.1:1234", "open", 1
    factory = Factory()

    def __init__(self) -> None:
        self.address: IPv4Address | None = IPv4Address("TCP", "0.0.0.0", 1234)


class Gateway:
    """
    As much of a gateway as the prompt needs.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        listener = {"name": "poe", "wire": "poe", "listen": "tcp:1234"}
        self.settings = parse({"listeners": [listener]})
        self.presence = Presence(now=now)
        self.listeners = {"poe": Way()}
        self.sent: list[tuple[object, ...]] = []
        self.store = self
        self.commands = self

    def follow(self, callback: object) -> Any:
        """
        Nothing is stored.
        """
        return lambda: None

    def send(self, *arguments: object, who: str) -> Deferred[str]:
        """
        Remember what was sent.
        """
        self.sent.append((*arguments, who))
        return succeed("done")


class NamespaceTests(SynchronousTestCase):
    """
    The names and words of the prompt.
    """

    def setUp(self) -> None:
        """
        A gateway with one connection.
        """
        self.clock = MemoryReactorClock()
        self.clock.advance(NOW)
        self.gateway = Gateway(self.clock.seconds)
        self.names: dict[str, Any] = namespace(self.gateway)

    def test_names(self) -> None:
        """
        The gateway, its store and the functions are there.
        """
        expected = {"gateway", "store", "devices", "listeners", "send"}
        self.assertEqual(set(self.names), expected)

    def test_devices(self) -> None:
        """
        Devices are shown as a table, which programs can use as rows.
        """
        self.gateway.presence.record("poe/10.0.0.2").hear((NOW - 3) * 1_000_000)
        rows = self.names["devices"]()
        self.assertEqual(rows[1][:4], ("poe/10.0.0.2", "poe/10.0.0.2", "awake", "3 s ago"))
        self.assertEqual(len(repr(rows).splitlines()), 2)

    def test_listeners(self) -> None:
        """
        So are listeners.
        """
        shown = repr(self.names["listeners"]())
        self.assertRegex(shown, r"(?m)^poe +tcp 127.0.0.1:1234 +open +1$")

    def test_send(self) -> None:
        """
        A command is sent in the name of the manhole.
        """
        self.assertEqual(self.successResultOf(self.names["send"]("all", "LED", 1)), "done")
        self.assertEqual(self.gateway.sent, [("all", "LED", 1, "manhole")])

    def test_hostile(self) -> None:
        """
        What devices are called cannot move the cursor of the operator.
        """
        self.assertNotIn("\x1b", repr(Table([["name"], ["\x1b[2J"]])))

    def word(self, name: str, *arguments: str) -> str:
        """
        What a plain word answers.
        """
        word = vocabulary(self.gateway, self.clock)[name]
        session = Session(lambda text: None, lambda: None)
        answer = word.run(session, arguments)
        assert isinstance(answer, str)
        return answer

    def test_connections(self) -> None:
        """
        C{l} lists connections with the devices on them.
        """
        self.assertRegex(self.word("l"), r"(?m)^poe +127.0.0.1 +poe/127.0.0.1$")

    def test_simulate(self) -> None:
        """
        C{t} sends to the port for poe; without one it says so.
        """
        started: list[str] = []
        self.patch(Fleet, "startService", lambda fleet: started.append(fleet.target))
        self.word("t", "-c", "2", "-p", "-1", "-t", "1")
        self.assertEqual(started, ["tcp:127.0.0.1:1234"])
        self.gateway.listeners["poe"].address = None
        error = self.assertRaises(UsageError, self.word, "t", "-c", "2", "-p", "-1", "-t", "1")
        self.assertIn("no open port for poe", str(error))

"""
Tests for L{sensord.control.hubs}.
"""

from collections.abc import Sequence

from msgspec import Struct
from twisted.internet.defer import Deferred

from sensord.hubs.refusals import Refusal, Stranger
from tests.control.support import ApiTestCase


class _Status(Struct):
    hub: str
    state: str = "running"


class _Hubs:
    """
    Hubs that are none.

    @ivar done: what was done.
    @ivar fault: why nothing more is.
    @ivar wait: what has to happen before.
    """

    def __init__(self) -> None:
        self.done: list[tuple[str, str, str]] = []
        self.fault: Exception | None = None
        self.wait: Deferred[None] | None = None

    def list(self) -> Sequence[_Status]:
        """
        How all are.
        """
        return [_Status("h1"), _Status("h2", "stopped")]

    async def do(self, action: str, name: str, group: str, who: str) -> _Status | None:
        """
        Do something.
        """
        if self.wait is not None:
            await self.wait
        if self.fault is not None:
            raise self.fault
        self.done.append((action, name, group))
        return None if action == "forget" else _Status(name)


class HubsTests(ApiTestCase):
    """
    C{/hubs}.
    """

    def setUp(self) -> None:
        """
        There is a manager.
        """
        super().setUp()
        self.hubs = _Hubs()
        self.api._hubs = self.hubs

    def test_list(self) -> None:
        """
        They are listed.
        """
        self.assertEqual(
            self.get("hubs"),
            [{"hub": "h1", "state": "running"}, {"hub": "h2", "state": "stopped"}],
        )
        self.assertIn("unknown parameter", self.fault("hubs?x=1"))

    def test_do(self) -> None:
        """
        They are started, with the name of a group or without; stopped, and forgotten.
        """
        self.assertEqual(self.post("hubs/h1/start"), [{"hub": "h1", "state": "running"}])
        self.post("hubs/h2/start", {"group": "acme"})
        self.post("hubs/h2/stop", {})
        self.assertEqual(self.post("hubs/h2/forget"), [])
        self.assertEqual(
            self.hubs.done,
            [
                ("start", "h1", ""),
                ("start", "h2", "acme"),
                ("stop", "h2", ""),
                ("forget", "h2", ""),
            ],
        )

    def test_faults(self) -> None:
        """
        What is not possible is answered by the reason.
        """
        self.hubs.fault = Stranger("there is no hub h9")
        self.assertEqual(self.post("hubs/h9/stop", status=404), {"error": "there is no hub h9"})
        self.hubs.fault = Refusal("group acme has 2 hubs already")
        why = self.post("hubs/h9/start", {"group": "acme"}, 409)["error"]
        self.assertEqual(why, "group acme has 2 hubs already")
        self.assertIn("group", self.post("hubs/h9/start", {"groups": "acme"}, 400)["error"])
        self.assertIn("object", self.post("hubs/h9/start", [], 400)["error"])
        self.get("hubs/h1/start", 405)

    def test_form(self) -> None:
        """
        The form on a foreign page does nothing.
        """
        answer = self.ask("POST", "hubs/h1/stop", kind="text/plain")
        self.assertEqual((answer.status, self.hubs.done), (400, []))

    def test_hungUp(self) -> None:
        """
        What was begun is done also when whoever asked hangs up.
        """
        self.hubs.wait = Deferred()
        link = self.link()
        link.send(
            b"POST /api/v1/hubs/h1/stop HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 0\r\n\r\n"
        )
        link.hangUp()
        self.hubs.wait.callback(None)
        self.assertEqual(self.hubs.done, [("stop", "h1", "")])

    def test_none(self) -> None:
        """
        Without a manager there are no hubs.
        """
        self.api._hubs = None
        why = "there are no hubs: the configuration has no table [hubs]"
        self.assertEqual(self.fault("hubs", 404), why)
        self.assertEqual(self.post("hubs/h1/start", status=404), {"error": why})

    def test_closed(self) -> None:
        """
        When the daemon stops, nothing is begun.
        """
        self.api.close()
        self.assertIn("stopping", self.post("hubs/h1/start", status=503)["error"])

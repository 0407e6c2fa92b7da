"""
Tests for L{sensord.hubs.toolbox}.
"""

from typing import Any

from msgspec import json

from tests.test_remote import RemoteTestCase

_HUB: dict[str, Any] = {
    "hub": "h1",
    "group": "acme",
    "state": "waiting",
    "pid": None,
    "since": "2026-11-20T17:10:50.000000Z",
    "restarts": 3,
    "why": "it was ended by SIGKILL\x1b",
}


class HubsTests(RemoteTestCase):
    """
    C{sensord hubs}.
    """

    def test_list(self) -> None:
        """
        Hubs are listed, all of them or those of a group.
        """
        other = {**_HUB, "hub": "h2", "group": "bolt", "pid": 77}
        peer = self.answers(*[[_HUB, other]] * 4, [])
        for arguments in ((), ("list",)):
            lines = self.lines("hubs", *arguments)
            self.assertEqual(lines[0].split()[:4], ["hub", "group", "state", "pid"])
            self.assertEqual(lines[1].split()[:4], ["h1", "acme", "waiting", "-"])
            self.assertEqual(lines[2].split()[:4], ["h2", "bolt", "waiting", "77"])
            self.assertNotIn("\x1b", "".join(lines))
        self.assertEqual(len(self.lines("hubs", "--group", "bolt")), 2)
        self.assertEqual(len(self.lines("hubs", "list", "h1")), 2)
        self.assertEqual(self.run_("hubs").stderr, "there are no hubs\n")
        for asked in peer.asked:
            self.assertTrue(asked.startswith(b"GET /api/v1/hubs HTTP"))

    def test_json(self) -> None:
        """
        Programs get JSON.
        """
        self.answers([_HUB])
        self.assertEqual(json.decode(self.run_("hubs", "--json").stdout), [_HUB])

    def test_do(self) -> None:
        """
        One is started, stopped, restarted or forgotten.
        """
        peer = self.answers(*[[_HUB]] * 3, [])
        for action in ("start", "stop", "restart"):
            self.assertIn("waiting", self.run_("hubs", action, "h1").stdout)
            asked = f"POST /api/v1/hubs/h1/{action} HTTP".encode()
            self.assertTrue(peer.asked[-1].startswith(asked))
            self.assertTrue(peer.asked[-1].endswith(b"\r\n\r\n"))
        said = self.lines("hubs", "forget", "h1")
        self.assertEqual(said, ["h1 is forgotten; its files stay"])

    def test_group(self) -> None:
        """
        A new one has a group.
        """
        peer = self.answers([_HUB])
        self.run_("hubs", "start", "h1", "--group", "acme")
        self.assertTrue(peer.asked[0].endswith(b'{"group":"acme"}'))

    def test_which(self) -> None:
        """
        It has to be said which.
        """
        self.assertIn("which hub is to stop?", self.run_("hubs", "stop", code=2).output)
        said = self.run_("hubs", "forget", code=2).output
        self.assertIn("which hub is to be forgotten?", said)

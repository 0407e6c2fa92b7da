"""
Tests for L{sensord.changes}.
"""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from sensord.changes import difference, kept
from sensord.config import Settings, parse

#: A configuration with some of everything.
_BASE: dict[str, Any] = {
    "listeners": [
        {"name": "poe", "wire": "poe", "listen": "tcp:1"},
        {"name": "text", "wire": "lines", "listen": "tcp:2", "key": "k" * 32},
    ],
    "devices": [{"address": "poe/10.0.0.1", "name": "hall"}],
    "thresholds": [{"device": "hall", "name": "smoke.1", "warning": "> 5"}],
    "sinks": [{"name": "files", "kind": "csv", "folder": "Data"}],
}


def settings(**changed: Any) -> Settings:
    """
    That configuration, with some tables replaced.
    """
    return parse({**_BASE, **changed})


class DifferenceTests(SynchronousTestCase):
    """
    What is different between two configurations.
    """

    def assertDiffers(self, *lines: str, before: Settings | None = None, **changed: Any) -> None:
        """
        Some changed tables must be told by these lines.
        """
        self.assertEqual(difference(before or settings(), settings(**changed)), [*lines])

    def test_same(self) -> None:
        """
        Of what is the same there is nothing to say.
        """
        self.assertDiffers()

    def test_rows(self) -> None:
        """
        Tables that come, go and change are told by their names, each key by itself.
        """
        poe, text = _BASE["listeners"]
        self.assertDiffers(
            '[[listeners]] "poe" max_connections: 1000 -> 5',
            '[[listeners]] "text": removed',
            '[[listeners]] "more": added',
            listeners=[{**poe, "max_connections": 5}, {**text, "name": "more"}],
        )

    def test_kinds(self) -> None:
        """
        A table that means another thing under an old name is said to have changed as a whole.
        """
        self.assertDiffers(
            '[[sinks]] "files": changed',
            sinks=[{"name": "files", "kind": "emoncms", "url": "http://x", "apikey": "a" * 32}],
        )

    def test_secrets(self) -> None:
        """
        A secret that changes is not shown.
        """
        poe, text = _BASE["listeners"]
        self.assertDiffers(
            '[[listeners]] "text" key: changed', listeners=[poe, {**text, "key": "s" * 32}]
        )

    def test_tables(self) -> None:
        """
        Single tables and keys are told by their names, those that only count from the next start on
        with a word to that.
        """
        self.assertDiffers(
            '[store] path: "sensord.sqlite" -> "else.sqlite" (takes effect at the next start)',
            '[store] retention: "forever" -> "90d"',
            "watch: false -> true",
            '[tags] site: nothing -> "north"',
            "[manhole]: added",
            store={"path": "else.sqlite", "retention": "90d"},
            watch=True,
            tags={"site": "north"},
            manhole={},
        )
        self.assertDiffers(
            '[control] socket: "sensord.sock" -> "" (takes effect at the next start)',
            control={"socket": ""},
        )
        self.assertDiffers("[hubs]: added (takes effect at the next start)", hubs={"folder": "h"})

    def test_thresholds(self) -> None:
        """
        Rules are told by what they are for, and that their order has changed, since the first that
        fits counts.
        """
        rule = {"device": "hall", "name": "smoke.1", "warning": "> 5"}
        more = {"device": "*", "name": "smoke.*", "warning": "> 6"}
        self.assertDiffers('[[thresholds]] "* smoke.*": added', thresholds=[rule, more])
        self.assertDiffers(
            "[[thresholds]]: in another order",
            before=settings(thresholds=[rule, more]),
            thresholds=[more, rule],
        )

    def test_long(self) -> None:
        """
        A long value is cut.
        """
        values = [{"name": f"value{number}", "field": str(number)} for number in range(9)]
        devices = [{"address": "poe/10.0.0.1", "name": "hall", "values": values}]
        [line] = difference(settings(), settings(devices=devices))
        self.assertTrue(line.startswith('[[devices]] "poe/10.0.0.1" values: [] -> [{"name":'), line)
        self.assertTrue(line.endswith("..."), line)

    def test_kept(self) -> None:
        """
        What cannot change without a restart stays, and everything else is as it is wanted.
        """
        wanted = settings(
            store={"path": "else.sqlite", "retention": "90d"},
            control={"socket": ""},
            hubs={"folder": "h"},
        )
        possible = kept(settings(), wanted)
        self.assertEqual(possible.store.path, "sensord.sqlite")
        self.assertEqual(possible.store.retention, "90d")
        self.assertEqual(possible.control.socket, "sensord.sock")
        self.assertIs(possible.hubs, None)
        # So that it is said again each time.
        self.assertEqual(len(difference(possible, wanted)), 3)

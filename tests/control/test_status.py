"""
Tests for L{sensord.control.status}.
"""

from typing import Any, ClassVar

from sensord import __version__
from sensord.reading import Intake
from tests.control.support import NOW, SETTINGS, ApiTestCase, Device
from tests.store.support import intake, reading


class StatusTests(ApiTestCase):
    """
    C{GET /status}.
    """

    table: ClassVar[dict[str, Any]] = {
        **SETTINGS,
        "thresholds": [{"name": "oven", "warning": "> 50", "critical": "> 80"}],
    }

    def test_fresh(self) -> None:
        """
        A daemon that has just begun has heard nobody, and can store.
        """
        self.api.open()
        self.clock.advance(5)
        self.assertEqual(
            self.get("status"),
            {
                "version": __version__,
                "started": NOW,
                "now": NOW + 5_000_000,
                "ready": True,
                "full": False,
                "why": "",
                "pending": 0,
                "devices": {"awake": 0, "asleep": 0, "overdue": 0, "lost": 2},
                "statuses": {"normal": 2, "warning": 0, "critical": 0},
                "backlog": 0,
                "quarantine": 0,
                "dead_letters": 0,
                "hubs": False,
            },
        )

    def test_devices(self) -> None:
        """
        Devices are counted by how they are, and by the worst of their values.
        """
        self.presence.record("poe/192.168.1.7").hear(NOW)
        self.presence.record("poe/192.168.1.30").hear(NOW - 60_000_000)
        self.presence.record("barn/10.0.0.1").hear(NOW)
        self.presence.arrive("barn/10.0.0.1", Device())
        self.keep(("workshop", "oven", 90, 2), ("workshop", "door", True, 2))
        self.keep(("kitchen", "oven", 60, 2), ("barn/10.0.0.1", "oven", 90, 2))
        self.keep(("barn/10.0.0.1", "oven", 20, 1), ("nobody", "oven", 90, 1))
        answer = self.get("status")
        self.assertEqual(answer["devices"], {"awake": 2, "asleep": 1, "overdue": 0, "lost": 0})
        self.assertEqual(answer["statuses"], {"normal": 1, "warning": 1, "critical": 1})

    def test_worst(self) -> None:
        """
        A device with a value that is critical and one that is a warning is critical.
        """
        self.keep(("workshop", "oven", 90, 2), ("workshop", "temperature.3", 90, 2))
        self.keep(("kitchen", "temperature.3", 90, 2))
        self.assertEqual(self.get("status")["statuses"], {"normal": 0, "warning": 0, "critical": 2})

    def test_waiting(self) -> None:
        """
        What sinks have still to take, what waits for a description, and what waits for its commit
        is counted.
        """
        self.outbox.startService()
        self.sink.holding = True
        self.keep(("workshop", "oven", 1, 2), ("workshop", "oven", 2, 1))
        self.admit(intake(quarantined=3))
        self.store.account("poe").add(Intake([reading()]))
        answer = self.get("status")
        self.assertEqual([answer[key] for key in ("backlog", "quarantine", "pending")], [2, 3, 1])

    def test_unready(self) -> None:
        """
        While nothing can be stored, it says why.
        """
        self.disk.trouble = "INSERT"
        stored = self.store.account("poe").admit(intake(reading()))
        self.clock.advance(0.005)
        answer = self.get("status")
        self.assertEqual((answer["ready"], answer["why"]), (False, "disk I/O error"))
        self.assertEqual(answer["pending"], 1)
        self.disk.trouble = None
        self.clock.advance(10)
        self.successResultOf(stored)
        answer = self.get("status")
        self.assertEqual((answer["ready"], answer["why"]), (True, ""))

    def test_restart(self) -> None:
        """
        One that was stopped and started again has been running since then.
        """
        self.api.open()
        self.api.close()
        self.clock.advance(60)
        self.api.open()
        self.api.open()
        self.assertEqual(self.get("status")["started"], NOW + 60_000_000)

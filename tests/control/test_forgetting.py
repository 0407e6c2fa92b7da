"""
Tests for L{sensord.control.forgetting}.
"""

from typing import Any

from tests.control.support import NOW, ApiTestCase


class Link:
    """
    A link that leads nowhere.
    """

    def send(self, data: bytes) -> None:
        """
        See L{sensord.presence.Link.send}.
        """


class ForgetTests(ApiTestCase):
    """
    C{/devices/forget}.
    """

    def forget(self, device: str, status: int = 200) -> Any:
        """
        Forget a device.
        """
        return self.post("devices/forget", {"device": device}, status=status)

    def test_device(self) -> None:
        """
        A device that was heard is not listed any more, by its name or by its address; its readings
        stay, and sinks are told what it has measured.
        """
        told: list[tuple[str, list[str]]] = []
        self.patch(self.outbox, "forget", lambda device, names: told.append((device, names)))
        for said in "poe/10.0.0.1", "poe/10.0.0.2":
            self.presence.record(said).hear(NOW)
            self.keep((said, "smoke.1", 3, 10), (said, "fire.2", 1, 10))
        answer = self.forget("poe/10.0.0.1")
        self.assertEqual(answer, {"device": "poe/10.0.0.1", "addresses": ["poe/10.0.0.1"]})
        self.assertEqual(told, [("poe/10.0.0.1", ["fire.2", "smoke.1"])])
        listed = {one["address"] for one in self.get("devices")}
        self.assertNotIn("poe/10.0.0.1", listed)
        self.assertIn("poe/10.0.0.2", listed)
        self.assertEqual(len(self.get("latest?device=poe/10.0.0.1")), 2)

    def test_formerName(self) -> None:
        """
        A name that a device had before can be forgotten: other programs may still show it.
        """
        self.keep(("attic", "temperature", 3, 10))
        self.assertEqual(self.forget("attic"), {"device": "attic", "addresses": []})

    def test_present(self) -> None:
        """
        One that is connected is not forgotten.
        """
        self.presence.record("poe/10.0.0.1").hear(NOW)
        self.presence.arrive("poe/10.0.0.1", Link())
        self.assertIn("is connected", self.forget("poe/10.0.0.1", 409)["error"])

    def test_nobody(self) -> None:
        """
        A name that is wrong is answered by the one that is meant.
        """
        self.presence.record("poe/10.0.0.1").hear(NOW)
        error = self.forget("poe/10.0.0.11", 404)["error"]
        self.assertIn('did you mean "poe/10.0.0.1"?', error)

"""
Tests for L{sensord.protocols.inlet}: what the listeners' own tests do not show.
"""

from collections.abc import Sequence
from typing import Any, cast

from OpenSSL.SSL import Error, SysCallError, ZeroReturnError
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, eventAsText
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sensord.protocols.inlet import Inlet
from sensord.reading import Intake, Quarantined, Rejected
from sensord.settings import Secret


class Nothing:
    """
    A source that takes nothing.
    """

    def decode(self, host: str, events: Sequence[bytes]) -> Intake:
        """
        Reject the first, and put the others in quarantine.
        """
        held = [Quarantined(0, host, data, "unknown", "poe") for data in events[1:]]
        return Intake([], b"", [Rejected(events[0], "noise")], held)


class ShownTests(SynchronousTestCase):
    """
    What the log shows of frames that are not taken.
    """

    def shown(self, *frames: bytes, secret: str = "") -> list[str]:
        """
        The ends of the lines for some frames.
        """
        source, nothing = cast(Any, Nothing()), cast(Any, None)
        inlet = Inlet("poe", source, nothing, nothing, Clock(), Secret(secret))
        with capturedLogs() as logs:
            inlet.decode("192.168.1.7", frames)
        lines = [eventAsText(event, includeTimestamp=False) for event in logs]
        return [line.partition(" from 192.168.1.7: ")[2] for line in lines]

    def test_text(self) -> None:
        """
        Text is shown as text, on one line, and so much of it that one knows what it was.
        """
        self.assertEqual(
            self.shown(b"15 69\tx'y\r\n", b"z" * 100),
            ['noise: "15 69\\tx\'y\\r\\n"', f"unknown: '{'z' * 64}'..."],
        )

    def test_secret(self) -> None:
        """
        What a device has to show is not shown, wherever it shows it.
        """
        self.assertEqual(
            self.shown(b"apikey=sesame&x=1", b"z" * 60 + b"sesame", secret="sesame"),
            ["noise: 'apikey=(hidden)&x=1'", f"unknown: '{'z' * 60}(hid'..."],
        )

    def test_binary(self) -> None:
        """
        Anything else is shown in hex.
        """
        self.assertEqual(
            self.shown(b"15 69\x00", b"\xff" * 100),
            ["noise: 31 35 20 36 39 00", f"unknown: {'ff ' * 31}ff"],
        )
        self.assertEqual(self.shown(b""), ["noise: (no bytes)"])


class LostTests(SynchronousTestCase):
    """
    Why a link ended.
    """

    def said(self, *errors: BaseException) -> list[str]:
        """
        What is logged when links end so.
        """
        nothing: Any = None
        inlet = Inlet("poe", nothing, nothing, nothing, Clock())
        with capturedLogs() as logs:
            for error in errors:
                inlet.lost("192.168.1.7", Failure(error))
        return [eventAsText(event, includeTimestamp=False) for event in logs]

    def test_plain(self) -> None:
        """
        A peer that speaks plainly to a TLS port is told of, once a minute.
        """
        error = Error([("SSL routines", "", "wrong version number")])
        [line] = self.said(error, error)
        self.assertTrue(line.endswith("poe: no TLS with 192.168.1.7: wrong version number"), line)

    def test_usual(self) -> None:
        """
        Links that end in other ways are not worth a line.
        """
        self.assertEqual(
            self.said(
                ConnectionDone(),
                ConnectionLost("x"),
                ZeroReturnError(),
                SysCallError(104, "ECONNRESET"),
                Error(),
                Error([]),
            ),
            [],
        )

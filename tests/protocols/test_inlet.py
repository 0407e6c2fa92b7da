"""
Tests for L{sensord.protocols.inlet}: what the listeners' own tests do not show.
"""

from typing import Any

from OpenSSL.SSL import Error, SysCallError, ZeroReturnError
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, eventAsText
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sensord.protocols.inlet import Inlet


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

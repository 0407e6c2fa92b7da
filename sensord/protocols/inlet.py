"""
What all links of one listener share: where what they receive is decoded and stored.
"""

import re
from collections.abc import Sequence
from typing import Any

from OpenSSL.SSL import Error as TLSError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sensord.presence import Presence
from sensord.rarely import Rarely
from sensord.reading import Intake
from sensord.settings import Secret
from sensord.sources import Source
from sensord.store.account import Account

#: How much is shown of what is not taken: characters of text, bytes of anything else.
_LENGTH, _BYTES = 64, 32

#: What stands in the place of a secret.
_HIDDEN = "(hidden)"

_TEXT = re.compile(rb"[ -~\t\r\n]+").fullmatch


class Inlet:
    """
    The inside of a listener.

    @param name: the listener's name.
    @ivar source: decodes its frames.
    @ivar account: where they are stored.
    @ivar presence: is told which devices can be reached.
    @param clock: for what is logged rarely.
    @param secret: what devices have to show. One that shows it in the wrong place is not to have it
        in the log.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        source: Source,
        account: Account,
        presence: Presence,
        clock: IReactorTime,
        secret: Secret = Secret(),  # noqa: B008 (it never changes)
    ) -> None:
        self.name = name
        self.source = source
        self.account = account
        self.presence = presence
        self._rarely = Rarely(self._log, clock)
        self._secret = secret.text

    def decode(self, host: str, events: Sequence[Any]) -> Intake:
        """
        What came of events, which is complained about where it is no reading.

        @param host: who sent it.
        """
        intake = self.source.decode(host, events)
        if intake.rejected or intake.quarantined:
            for data, why in intake.rejected:
                self._complain("rejected", host, host, why, data)
            for frame in intake.quarantined:
                self._complain("quarantined", frame.why, host, frame.why, frame.data)
        return intake

    def warn(self, kind: str, subject: str, format: str, /, **fields: object) -> None:
        """
        Log something that a peer can provoke, rarely. See L{Rarely.warn}.
        """
        self._rarely.warn(kind, subject, format, name=self.name, **fields)

    def lost(self, host: str, reason: Failure) -> None:
        """
        Say why a link ended, if that is for somebody to mend: a device that speaks plainly to a TLS
        port, say, of which nothing else would tell.

        @param host: whose it was.
        """
        match reason.value:
            case TLSError(args=([(*_, why), *_],)):  # what OpenSSL did in detail, from the top
                self.warn("tls", host, "{name}: no TLS with {host}: {why}", host=host, why=why)

    def _complain(self, kind: str, subject: str, host: str, why: str, data: bytes) -> None:
        if self._secret:
            why = why.replace(self._secret, _HIDDEN)
            data = data.replace(self._secret.encode(), _HIDDEN.encode())
        self.warn(
            kind,
            subject,
            "{name}: {kind} from {host}: {why}: {data}",
            kind=kind,
            host=host,
            why=why,
            data=_shown(data),
        )


def _shown(data: bytes) -> str:
    """
    Bytes for whoever reads the log: text as text, anything else in hex.
    """
    if not data:
        return "(no bytes)"
    if _TEXT(data):
        return repr(data[:_LENGTH].decode()) + ("..." if len(data) > _LENGTH else "")
    return data[:_BYTES].hex(" ")

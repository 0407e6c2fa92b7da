"""
Pretend boards that push what they measure by HTTP.
"""

import re
from typing import TYPE_CHECKING

from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from sensord.pretend.steady import Steady, Wander
from sensord.settings import ValueSettings
from sensord.wire import push

if TYPE_CHECKING:
    from sensord.simulate import Fleet

#: What one measures.
VALUES = (ValueSettings("temperature", unit="°C"), ValueSettings("humidity", unit="%"))

#: How much of the answers is kept until one is complete. One that is longer is none of ours.
_MOST = 65_536

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,5}) *(?=\r\n)", re.IGNORECASE)


class _Refusal(Struct):
    error: str = ""


_refusal = Decoder(_Refusal).decode


class Reporter(Steady):
    """
    A board that keeps one connection, and posts a temperature and a humidity as JSON now and then.
    It hears whether they were stored.
    """

    def __init__(self, fleet: "Fleet", number: int) -> None:
        super().__init__(fleet, number)
        self._device = f"board{number}"
        self._kept = b""  # of an answer that is not over
        self._temperature = Wander(self._random, 15, 30, 0.1)
        self._humidity = Wander(self._random, 30, 70, 0.5)

    def begin(self) -> None:
        """
        See L{Steady.begin}.
        """
        self._kept = b""
        self.go()

    def hear(self, data: bytes) -> None:
        """
        See L{Steady.hear}.
        """
        self._kept += data
        while self._kept:
            head, end, rest = self._kept.partition(b"\r\n\r\n")
            status, length = _STATUS.match(head), _LENGTH.search(head + b"\r\n")
            size = int(length[1]) if length else 0
            if not end or len(rest) < size:
                break
            self._kept = rest[size:]
            if status is not None and status[1].startswith(b"2"):
                self.answer(1, 0)
            else:
                self.answer(0, 1, _why(rest[:size], head))
        if len(self._kept) > _MOST:
            self.drop()

    def burst(self) -> None:
        """
        See L{Steady.burst}.
        """
        values = (
            ("temperature", round(self._temperature.read(), 2)),
            ("humidity", round(self._humidity.read(), 1)),
        )
        body = push.encode([push.Row(self._device, values)])
        token = self._fleet.token
        shown = f"Authorization: Bearer {token}\r\n" if token else ""
        head = (
            f"POST /api/v1/readings HTTP/1.1\r\nHost: localhost\r\n{shown}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.write(head.encode() + body, 1, len(values))


def _why(body: bytes, head: bytes) -> str:
    """
    Why something was not taken.
    """
    try:
        why = _refusal(body).error
    except (DecodeError, UnicodeDecodeError):
        why = ""
    return why or head.partition(b"\r\n")[0].decode("ascii", "backslashreplace")

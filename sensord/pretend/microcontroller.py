"""
Pretend microcontrollers with an IoT id, by WebSocket.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, ITCPTransport
from twisted.logger import Logger

from sensord.pretend.link import Link
from sensord.pretend.steady import Steady, Wander
from sensord.settings import ValueSettings
from sensord.wire import messages

if TYPE_CHECKING:
    from sensord.simulate import Fleet

#: What each measures, beside its counter.
VALUES = (ValueSettings("temperature", unit="°C"),)

#: The handshake, in the pieces that are written one by one. The key is always the same.
_REQUEST = (
    "GET /ws HTTP/1.1\r\n",
    "Host: {host}\r\n",
    "Upgrade: websocket\r\n",
    "Connection: Upgrade\r\n",
    "Sec-WebSocket-Key: L159VM0TWUzyDxwJEIEzjw==\r\n",
    "Sec-WebSocket-Version: 13\r\n",
    "{token}",
    "\r\n",
)

#: What the answer to that key has in it, and how much of the answer is looked at.
_ACCEPT, _LOOKED = b"DdLWT/1JcX+nQFHebYP+rqEx5xI=", 200

#: What each frame begins with that is understood, and the length that is too long.
_TEXT, _LONG = 0x81, 64

#: The variable that switches the LED.
_LED = 1


class Microcontroller(Steady):
    """
    A microcontroller with a WebSocket client of its own that is as primitive as can be: it writes
    its handshake in many small pieces, does not read beyond the first bytes of the answer, and
    understands nothing but short text frames that are whole. It sends how many messages it has
    sent, and a temperature; it can be told to switch its LED.

    @ivar led: whether the LED is on.
    @ivar commands: how many commands it has understood.
    @ivar puzzled: how often it was sent something that it did not understand.
    """

    _log = Logger()

    def __init__(self, fleet: "Fleet", number: int) -> None:
        super().__init__(fleet, number)
        self.led = False
        self.commands = self.puzzled = 0
        self._number = number
        self._temperature = Wander(self._random, 15, 30, 0.1)
        self._counter = 0
        self._kept = b""
        self._request = _request(fleet.target, fleet.token)
        self._next: IDelayedCall | None = None  # while there are more pieces to write

    def begin(self) -> None:
        """
        See L{Steady.begin}.
        """
        assert self._link is not None
        self._kept, self._link.admitted = b"", False
        if ITCPTransport.providedBy(self._link.transport):
            with suppress(OSError):  # a UNIX socket says that it is TCP
                self._link.transport.setTcpNoDelay(True)  # each piece is to go by itself
        self._greet(self._request)

    def end(self) -> None:
        """
        See L{Steady.end}.
        """
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def hear(self, data: bytes) -> None:
        """
        See L{Steady.hear}.
        """
        if self._link is None:
            return
        self._kept += data
        if self._link.admitted or self._admitted(self._link):
            self._read()

    def burst(self) -> None:
        """
        See L{Steady.burst}.
        """
        self._counter += 1
        fields = (self._counter, round(self._temperature.read(), 6))
        text = messages.encode(messages.Message(self._number, fields))
        self.write(frame(text, self._random.randbytes(4)), 1, len(fields))

    def _greet(self, pieces: Sequence[bytes]) -> None:
        """
        Write a piece of the handshake, and the next one a little later.
        """
        self._next = None
        if self._link is not None:
            self._link.transport.write(pieces[0])
        if len(pieces) > 1:
            self._next = self._fleet.reactor.callLater(0, self._greet, pieces[1:])

    def _admitted(self, link: Link) -> bool:
        """
        See whether the handshake is answered as it should be.
        """
        head, blank, rest = self._kept[:_LOOKED].partition(b"\r\n\r\n")
        if blank and _ACCEPT in head:
            link.admitted, self._kept = True, rest + self._kept[_LOOKED:]
            self.go()
            return True
        if blank or len(self._kept) >= _LOOKED:
            said = head.partition(b"\r\n")[0].decode("ascii", "backslashreplace")
            self._fleet.fail(f"this is no answer to the handshake: {said}")
            self.drop()
        return False

    def _read(self) -> None:
        """
        Do what the frames say that have come. At what it does not understand, the device throws
        away all that it has.
        """
        kept = self._kept
        while kept:
            if kept[0] != _TEXT or (len(kept) > 1 and kept[1] >= _LONG):
                self.puzzled += 1
                kept = b""
                break
            if len(kept) < 2 or len(kept) < 2 + kept[1]:
                break
            end = 2 + kept[1]
            self._obey(kept[2:end])
            kept = kept[end:]
        self._kept = kept

    def _obey(self, text: bytes) -> None:
        word, comma, rest = text.partition(b",")
        if comma and word == b"ack":
            self.answer(1, 0)
            return
        if comma and word == b"error":
            self.answer(0, 1, rest.decode("ascii", "backslashreplace"))
            return
        command = messages.parseCommand(text)
        if command is None:
            self.puzzled += 1
            return
        self.commands += 1
        variable, value = command
        if variable == _LED:
            self.led = bool(value)
            state = "on" if self.led else "off"
            self._log.info("pretend {number}: LED {state}", number=self._number, state=state)


def frame(text: str, mask: bytes) -> bytes:
    """
    The frame that carries a message up.

    @param text: shorter than 126 bytes.
    @param mask: four bytes.
    """
    data = text.encode()
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
    return bytes([_TEXT, 0x80 | len(data)]) + mask + masked


def _request(target: str, token: str) -> list[bytes]:
    """
    The pieces of the handshake.

    @param token: what is shown; empty is nothing.
    """
    shown = f"Authorization: Bearer {token}\r\n" if token else ""
    pieces = (piece.format(host=_host(target), token=shown) for piece in _REQUEST)
    return [piece.encode() for piece in pieces if piece]


def _host(target: str) -> str:
    """
    The host that a device names, given an endpoint string.
    """
    found = re.match(r"(?:tcp|tls):(?:host=)?([^:\\=]+):(?:port=)?(\d+)", target)
    return f"{found[1]}:{found[2]}" if found else "gateway:4444"

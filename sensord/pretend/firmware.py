"""
What is said by the program in a pretend radio module, and what it understands.
"""

from collections import deque
from collections.abc import Iterator
from random import Random

from msgspec import Struct

from sensord.wire.rfm2pi import BANDS, MAX_COMMAND, MAX_DATA, MAX_NODE, banner

#: What a line with a frame begins with, and whether it ends with the strength of the signal.
_FORMS = (
    (" ", False),
    ("OK ", True),
    ("OK ", False),
    ("OK G{group} ", True),
    ("G {group} ", True),
)

#: The group that is named where all are heard.
_GROUP = 210

#: What may stand above the id in the first byte of a frame: nothing, or that an answer is wanted.
_FLAGS = (0, 0, 0, 0x20)

#: How many transmissions are remembered.
_REMEMBERED = 100


class Transmission(Struct, frozen=True):
    """
    What the module was told to send.

    @ivar node: to whom; 0 is all.
    """

    node: int
    data: bytes


class Firmware:
    """
    The program of a module. No real one mixes the ways of writing a frame as this one does.

    @ivar base: its own id.
    @ivar band: 433, 868 or 915, in megahertz.
    @ivar group: the group that it hears; 0 for all.
    @ivar quiet: whether it says nothing of frames with a bad CRC.
    @ivar transmissions: the last ones that it was told to make, the newest at the end.
    """

    def __init__(self, random: Random) -> None:
        self.base, self.band, self.group, self.quiet = 1, 433, 210, False
        self.transmissions: deque[Transmission] = deque(maxlen=_REMEMBERED)
        self._random = random
        self._kept = bytearray()

    def hear(self, data: bytes) -> Iterator[bytes | Transmission]:
        """
        Take in some bytes of commands.

        @return: the lines that it answers, and what it sends.
        """
        for byte in data:
            letter = chr(byte)
            if letter in "0123456789, ":
                self._kept.append(byte)
            elif letter.isascii() and letter.isalpha():
                text, self._kept = self._kept.decode(), bytearray()
                yield from self._obey(text.replace(" ", ""), letter)
            if letter in "\r\n" or len(self._kept) > MAX_COMMAND:  # noise may never end
                self._kept.clear()

    def tell(self, node: int, data: bytes) -> bytes:
        """
        The line for a frame that was received.
        """
        prefix, shown = self._random.choice(_FORMS)
        numbers = (node | self._random.choice(_FLAGS), *data)
        text = prefix.format(group=self.group or _GROUP) + " ".join(map(str, numbers))
        if shown:
            text += f" ({self._random.randint(-95, -35)}) "
        return f"{text}\r\n".encode()

    def spoil(self, node: int, data: bytes) -> bytes:
        """
        The line for a frame that was received with errors; nothing if there is none.
        """
        if self.quiet:
            return b""
        spoilt = (byte ^ self._random.getrandbits(3) for byte in data)
        return f" ? {' '.join(map(str, (node, *spoilt)))}\r\n".encode()

    def noise(self) -> bytes:
        """
        A line that means nothing, or that the port has garbled.
        """
        garbage = bytes(self._random.choices(range(0x80, 0x100), k=12))
        lines = (b"\x01 buffer empty", b"| listening", b"OK 10 300 1", b"OK 1\x02", garbage)
        return self._random.choice(lines) + b"\r\n"

    def _obey(self, text: str, letter: str) -> Iterator[bytes | Transmission]:
        """
        Do what a command says.

        @param text: the numbers in front of its letter.
        """
        numbers = [int(word or 0) & 0xFF for word in text.split(",")]
        if letter == "v":
            yield banner(self.base, self.band, self.group, self.quiet)
        elif letter in "ibgq":
            self._set(letter, numbers[-1])
            yield f"> {numbers[-1]}{letter}\r\n".encode()
            yield banner(self.base, self.band, self.group, self.quiet, "")
        elif letter in "sa":
            *data, node = numbers
            if not 1 <= len(data) <= MAX_DATA:
                return
            sent = Transmission(node & MAX_NODE, bytes(data))
            self.transmissions.append(sent)
            yield sent
            yield f" -> {len(data)} b\r\n".encode()
            if letter == "a":
                yield b" -> ack\r\n"

    def _set(self, letter: str, value: int) -> None:
        """
        Change a setting. One that cannot be is ignored.
        """
        bands = {number: band for band, number in BANDS.items()}
        if letter == "i" and value <= MAX_NODE:
            self.base = value
        elif letter == "b":
            self.band = bands.get(value, self.band)
        elif letter == "g":
            self.group = value
        elif letter == "q":
            self.quiet = bool(value)

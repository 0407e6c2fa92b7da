"""
lines: numbers as text, over TCP or a plain serial port.

A line is one frame. Its tokens stand apart by blanks or tabs, and CR LF or LF alone ends it::

    [time] node value [value ...] [key]

    =====  ============================================================================
    token  meaning
    =====  ============================================================================
    time   seconds since the Unix epoch, decimals allowed; only if the listener expects
           it, and then always
    node   an integer, 0..2147483647
    value  one or more L{numbers<sensord.wire.numbers>}
    key    32 characters, if the listener demands them; at any place in the line
    =====  ============================================================================

Example, node 15 with the values 69 and 1664: C{15 69 1664}, in hex::

    31 35 20  36 39 20  31 36 36 34  0d 0a

Example with time and key: C{1795194650.5 15 69 1664 0123456789abcdef0123456789abcdef}.

Lines without tokens mean nothing. One that the link ends in is not taken: its last number may have
lost digits. No reply is needed.
"""

import re
from collections.abc import Sequence
from hmac import compare_digest

from msgspec import DecodeError, Struct

from sensord.wire import SAMPLE, Skipped
from sensord.wire.numbers import COMMAS, arrays, number, numbers, written

#: The longest line in bytes, without its LF. Without a limit, a peer that never ends its line
#: would have us collect it until the memory is full.
MAX_LINE = 1024

#: The largest node id.
MAX_NODE = 2**31 - 1

#: How long a key is.
KEY_LENGTH = 32

#: The first second that is no believable time: the year 2200. It fits wherever times are kept.
END_OF_TIME = 7_258_118_400

#: In a line that is shown in the log, what could be a key or most of one.
_SECRET = re.compile(rb"[!-~]{%d,}" % (KEY_LENGTH // 2))

#: The longest number that is shown in the log where lines have keys: it could be a piece of one.
_MAX_SHOWN = 12

_VISIBLE = re.compile(r"[!-~]+").fullmatch
_TOKEN = re.compile(rb"[^ \t]+")
_TIME = re.compile(rb"(\d{1,10})(?:\.(\d*))?").fullmatch


class Line(Struct, frozen=True, gc=False):
    """
    What a node measured.

    @ivar node: its id, 0..2147483647.
    @ivar values: all finite, one at least.
    @ivar time: when, in microseconds since the Unix epoch, if the line said so.
    """

    node: int
    values: tuple[int | float, ...]
    time: int | None = None


class LineParser:
    """
    Cuts a stream into lines and reads them. It keeps L{MAX_LINE} bytes at most.

    @param key: what every line must contain; empty if nothing. It never gets into what is skipped.
    @param timestamped: whether lines begin with a time.
    @raise ValueError: for a key that no line could contain.
    """

    finished = False

    _kept = b""
    _swallowing = False

    def __init__(self, key: str = "", timestamped: bool = False) -> None:
        if key and not (len(key) == KEY_LENGTH and _VISIBLE(key)):
            raise ValueError(f"a key is {KEY_LENGTH} printable ASCII characters without blanks")
        self._key = key.encode()
        self._timestamped = timestamped
        self._bare = not (key or timestamped)

    def feed(self, data: bytes) -> Sequence[Line | Skipped]:
        """
        Take in some bytes.
        """
        # Nearly every chunk is whole lines, and mostly one.
        if self._bare and not self._kept and not self._swallowing:
            lines = _quick(data)
            if lines is not None:
                return lines
        pieces = data.split(b"\n")
        if self._swallowing:
            if len(pieces) == 1:
                return ()
            self._swallowing = False
            del pieces[0]
        else:
            pieces[0] = self._kept + pieces[0]
        self._kept = pieces.pop()
        events = [event for piece in pieces if (event := self._read(piece)) is not None]
        if len(self._kept) > MAX_LINE:
            events.append(self._overlong(self._kept))
            self._kept = b""
            self._swallowing = True
        return events

    def close(self) -> Sequence[Line | Skipped]:
        """
        The peer will send no more: a line that is not over may lack digits.
        """
        line, self._kept = self._kept, b""
        self._swallowing = False
        if not line.strip(b" \t\r"):
            return ()
        return [self._skipped(line, "cut short: the link ended within the line")]

    def _read(self, line: bytes) -> Line | Skipped | None:
        """
        Read one line, which comes without its LF.

        @return: L{None} for a line that is blank.
        """
        if len(line) > MAX_LINE:
            return self._overlong(line)
        tokens = _TOKEN.findall(line.rstrip(b"\r"))
        if not tokens:
            return None
        if self._key:
            rest = [token for token in tokens if not compare_digest(token, self._key)]
            if len(rest) == len(tokens):
                return self._skipped(line, "without the key")
            tokens = rest
        time = None
        if self._timestamped and tokens:
            time = _microseconds(tokens.pop(0))
            if time is None:
                return self._skipped(line, "the time is no number of seconds in 1970..2199")
        values = numbers(tokens)
        if values is None:
            return self._skipped(line, "not all are finite numbers")
        if len(values) < 2:
            return self._skipped(line, "a node and one value at least are due")
        node = values[0]
        if not (isinstance(node, int) and 0 <= node <= MAX_NODE):
            return self._skipped(line, f"the node is no integer in 0..{MAX_NODE}")
        return Line(node, values[1:], time)

    def _overlong(self, line: bytes) -> Skipped:
        """
        What becomes of a line that is too long, or of its beginning, if that is too long already.
        """
        return self._skipped(line[:MAX_LINE], f"longer than {MAX_LINE} bytes")

    def _skipped(self, line: bytes, why: str) -> Skipped:
        """
        A line that is not taken, with stars in place of what may be secret: what is skipped gets
        into the log. Where keys are in use, noise may have torn one: only short numbers are shown.
        """
        pattern = _TOKEN if self._key else _SECRET
        return Skipped(pattern.sub(self._shown, line)[:SAMPLE], why)

    def _shown(self, match: re.Match[bytes]) -> bytes:
        text = match[0]
        plain = text.rstrip(b"\r")
        if self._key and len(plain) <= _MAX_SHOWN and (not plain or number(plain) is not None):
            return text
        return b"*" * len(text)


def encode(line: Line, key: str = "") -> bytes:
    """
    The bytes of a line, as a device sends them.

    @raise ValueError: for a value that is not finite.
    """
    tokens = [written(number) for number in (line.node, *line.values)]
    if line.time is not None:
        seconds, rest = divmod(line.time, 1_000_000)
        tokens.insert(0, f"{seconds}.{rest:06}" if rest else f"{seconds}")
    if key:
        tokens.append(key)
    return " ".join(tokens).encode() + b"\r\n"


def _quick(data: bytes) -> list[Line] | None:
    """
    Read lines that have neither time nor key and are written in the most common way.

    @param data: whole lines with their ends.
    @return: L{None} for all else, which may still be lines.
    """
    # Read together, so that one that is too long would not show.
    if len(data) > MAX_LINE:
        return None
    text = data.translate(COMMAS).replace(b"r]", b"]")
    try:
        rows = arrays(b"[[%b]" % text.replace(b"]", b"],[").removesuffix(b",["))
    except DecodeError:
        return None
    found = []
    for row in rows:
        if len(row) < 2:
            return None
        node = row[0]
        if not (isinstance(node, int) and 0 <= node <= MAX_NODE):
            return None
        found.append(Line(node, row[1:]))
    return found


def _microseconds(seconds: bytes) -> int | None:
    """
    A time of the wire as ours. Its decimals are read apart: together, a float would lose some.
    """
    match = _TIME(seconds)
    if match is None:
        return None
    whole, decimals = match.groups(b"")
    time = int(whole) * 1_000_000 + round(float(b"0." + decimals) * 1e6)
    return time if time < END_OF_TIME * 1_000_000 else None

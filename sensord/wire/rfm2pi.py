"""
rfm2pi: what an RFM12Pi or RFM69Pi radio says on its serial port, and what it is told.

The radio writes lines of ASCII text that end with CR LF or LF; numbers are decimal:

    ==============================  ============================================================
    line                            meaning
    ==============================  ============================================================
    C{ 10 12 0 44 1 255 255}        node 10 sent the bytes 12 0 44 1 255 255 (first firmware)
    C{OK 10 12 0 44 1 (-65) }       newer firmware; received with -65 dBm
    C{OK G210 10 ...}               the same, of group 210, when the radio hears all groups
    C{G 210 10 ...}                 the same without C{OK}
    C{ ? ...}                       something with a bad CRC
    C{[RFM12demo.14] A i1 ...}      the banner, with or without the settings behind it
    C{ i15 g210 @ 433 MHz q1}       the settings: base id, group, frequency, quiet; more may follow
    C{> ...}, C{-> ...}             an echo of what was sent to it, or an acknowledgement
    C{|...}, C{\\x01...}             information, and so is anything else
    ==============================  ============================================================

The node is the header byte of the packet: its low five bits are the id, those above are flags. One
to 66 bytes of data follow it.

Example, two bytes of node 10 with -65 dBm: C{4f 4b 20 31 30 20 31 32 20 30 20 28 2d 36 35 29 20 0d
0a}.

To the radio go numbers, each with a letter behind it that says what it is, without a line end:

    ==================  ========================================================================
    command             meaning
    ==================  ========================================================================
    C{15i}              the base id is 15
    C{4b}               the frequency: 4 for 433 MHz, 8 for 868 MHz, 9 for 915 MHz
    C{210g}             the group is 210; 0 for all
    C{1q}               say nothing of packets with a bad CRC; C{0q}: do
    C{v}                show the banner
    C{38,188,2,20s}     send the bytes 38 188 2 to node 20; to node 0: to all
    C{20,38,188,2,0s}   the same as emonHub has it: to all, the node in front of the bytes
    C{00,18,30,00,s}    send the time, 18:30, to all
    ==================  ========================================================================
"""

import re
from collections.abc import Collection, Sequence
from typing import Literal

from msgspec import Struct

from sensord.wire import SAMPLE, Skipped

#: The most bytes that a packet can carry: the buffer of the RFM12's driver.
MAX_DATA = 66

#: The longest line. A frame of L{MAX_DATA} bytes with all that it can have takes some 290. Without
#: a limit, a port at the wrong speed, which may never show a line end, would fill the memory.
MAX_LINE = 512

#: The longest command that the repeater takes: as many numbers as a packet can carry and its
#: destination, each with a comma and a blank. Without a limit, a peer could occupy the radio, which
#: takes a thousand bytes a second, for as long as it likes.
MAX_COMMAND = 5 * (MAX_DATA + 1) + 1

#: The largest id of a node: five bits.
MAX_NODE = 31

_NODES = range(MAX_NODE + 1)

#: The numbers that stand for the frequency bands, by megahertz.
BANDS = {433: 4, 868: 8, 915: 9}

#: Asks the radio for its banner.
ASK = b"v"

#: What each band reaches, in megahertz: a radio tuned beside the middle says e.g. 434.
_REACH = {433: range(430, 440), 868: range(860, 880), 915: range(900, 930)}

#: What can be set, besides the band, and to what.
_SETTABLE = {"i": _NODES, "g": range(256), "q": range(2)}

#: The strengths of a signal to believe in, in dBm.
_BELIEVED = range(-150, 1)

#: A line that begins like a frame: OK, the group, the numbers, and what follows an opening bracket.
_FRAME = re.compile(rb"(?=OK|G *\d|\d)(OK +)?(?:G *(\d+) +)?(.*?)(?: \((.*))?")

#: The base id may have a letter in front, and a star behind it for a radio that sends no acks.
_SETTINGS = re.compile(
    rb"(?:^|[\] ])[A-Za-z]?(\d{1,2})\*? +g(\d{1,3}) +@ *(\d{3})(?:\.\d+)? *MHz(?:.*? q([01])\b)?"
)

_RSSI = re.compile(rb"(-?\d+)\)")

_COMMAND = re.compile(rb" *[0-9][0-9, ]*[sa] *")

#: What information, echoes and acknowledgements begin with.
_REMARKS = (b"\x01", b"|", b">", b"->")


class Frame(Struct, frozen=True, gc=False):
    """
    What one node sent.

    @ivar node: its id, 0..31.
    @ivar data: one byte at least.
    @ivar rssi: how strong it was received, in dBm; L{None} if the radio did not say.
    @ivar group: L{None} unless the radio hears all groups.
    """

    node: int
    data: bytes
    rssi: int | None = None
    group: int | None = None


class Status(Struct, frozen=True, gc=False):
    """
    How the radio is set.

    @ivar text: what it said.
    @ivar base: its own id, 0..31.
    @ivar band: 433, 868 or 915, in megahertz.
    @ivar group: 0 if it hears all.
    @ivar quiet: whether packets with a bad CRC are left out; L{None} if the radio did not say.
    """

    text: str
    base: int
    band: int
    group: int
    quiet: bool | None = None


class Note(Struct, frozen=True, gc=False):
    """
    A line that says nothing of a sensor: an echo, an acknowledgement, information.

    @ivar text: the beginning of it, printable.
    """

    text: str


Event = Frame | Status | Note


class RadioParser:
    """
    Reads the lines of a radio. It keeps L{MAX_LINE} bytes at most.
    """

    finished = False

    def __init__(self) -> None:
        self._rest = b""
        self._swallowing = False

    def feed(self, data: bytes) -> Sequence[Event | Skipped]:
        """
        Take in some bytes.
        """
        if self._swallowing:
            end = data.find(b"\n")
            if end < 0:
                return ()
            self._swallowing = False
            data = data[end + 1 :]
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        events = [event for line in lines for event in _read(line)]
        if len(self._rest) > MAX_LINE:
            # Reported now, and no more: what follows up to the next line end belongs to it.
            events += _read(self._rest)
            self._rest = b""
            self._swallowing = True
        return events

    def close(self) -> Sequence[Event | Skipped]:
        """
        The port is gone. A line without its end may lack more than that: a byte that was 255 may
        have become 25.
        """
        rest, self._rest = self._rest.strip(), b""
        return [Skipped(rest[:SAMPLE], "cut off within a line")] if rest else ()


def _read(line: bytes) -> Sequence[Event | Skipped]:
    """
    What a line says.

    @param line: without its LF.
    """
    if len(line) > MAX_LINE:
        return [Skipped(line[:SAMPLE], f"noise: no line end in {MAX_LINE} bytes")]
    line = line.strip()
    if not line:
        return ()
    text = _text(line.removeprefix(b"\x01"))
    if text is None:
        return [Skipped(line[:SAMPLE], "noise: not text")]
    if line.startswith(_REMARKS):
        return [Note(text[:SAMPLE])]
    if line.startswith(b"?"):
        return [Skipped(line[:SAMPLE], "bad CRC")]
    if claim := _FRAME.fullmatch(line):
        return _frame(claim)
    return [_status(line, text[:SAMPLE]) or Note(text[:SAMPLE])]


def _text(line: bytes) -> str | None:
    """
    A line as printable text; L{None} if it is none.
    """
    try:
        text = line.decode().replace("\t", " ")
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


def _frame(claim: re.Match[bytes]) -> Sequence[Frame | Skipped]:
    """
    What becomes of a line that begins like a frame.

    @param claim: the parts of L{_FRAME}.
    """
    ok, group, numbers, signal = claim.groups()
    words = [word for word in numbers.split(b" ") if word]
    why = ""
    if not all(word.isdigit() for word in words):
        why = "no frame: not numbers"
    elif any(int(word) > 255 for word in (*words, group or b"0")):
        why = "no frame: a number above 255"
    elif len(words) < 2:
        why = "no frame: no data"
    elif len(words) > 1 + MAX_DATA:
        why = f"no frame: more than {MAX_DATA} bytes"
    elif signal is not None and not ok and group is None:
        # Firmware that shows the RSSI begins with OK, so the first number here is not the node.
        why = "no frame: its beginning is missing"
    if why:
        return [Skipped(claim[0][:SAMPLE], why)]
    header, *data = map(int, words)
    rssi = None if signal is None else _rssi(signal)
    frame = Frame(header & MAX_NODE, bytes(data), rssi, None if group is None else int(group))
    if signal is None or rssi is not None:
        return [frame]
    return [frame, Skipped((b"(" + signal)[:SAMPLE], "no RSSI: the frame is kept without it")]


def _rssi(signal: bytes) -> int | None:
    """
    How strong a frame was received, in dBm; L{None} if what stands in the brackets is not
    believable.

    @param signal: all that stands behind the opening one.
    """
    found = _RSSI.fullmatch(signal)
    if found and int(found[1]) in _BELIEVED:
        return int(found[1])
    return None


def _status(line: bytes, text: str) -> Status | None:
    """
    The settings that a line shows.

    @return: L{None} if it does not show all of them.
    """
    found = _SETTINGS.search(line)
    if not found:
        return None
    base, group, frequency = int(found[1]), int(found[2]), int(found[3])
    band = next((band for band, reach in _REACH.items() if frequency in reach), None)
    if band is None or base > MAX_NODE or group > 255:
        return None
    return Status(text, base, band, group, None if found[4] is None else found[4] == b"1")


def encode(frame: Frame) -> bytes:
    """
    The line of a frame, as newer firmware writes it.

    @raise ValueError: for what no radio could receive.
    """
    _check("node", frame.node, _NODES)
    _check("group", frame.group or 0, _SETTABLE["g"])
    _check("RSSI", frame.rssi or 0, _BELIEVED)
    words = ["OK"]
    if frame.group is not None:
        words.append(f"G{frame.group}")
    words += map(str, (frame.node, *_payload(frame.data)))
    if frame.rssi is not None:
        words.append(f"({frame.rssi})")
    return " ".join([*words, "\r\n"]).encode()


def banner(
    base: int, band: int, group: int, quiet: bool | None = None, program: str = "RFM12demo.14"
) -> bytes:
    """
    The line in which a radio shows its settings.

    @param band: in megahertz.
    @param program: the name of its firmware; without one, it is the line that follows a change.
    @raise ValueError: for what no radio could be set to.
    """
    _check("base id", base, _SETTABLE["i"])
    _check("band", band, BANDS)
    _check("group", group, _SETTABLE["g"])
    # The letter is the base id once more, counted from the @ before A.
    head = f"[{program}] {chr(ord('@') + base)}" if program else ""
    tail = "" if quiet is None else f" q{quiet:d}"
    return f"{head} i{base} g{group} @ {band} MHz{tail}\r\n".encode()


def setting(letter: str, value: int) -> bytes:
    """
    The command that sets something.

    @param letter: C{i} base id, C{b} band, C{g} group, C{q} quiet.
    @param value: for C{b} in megahertz: 433, 868 or 915.
    @raise ValueError: for what cannot be set.
    """
    if letter == "b":
        _check("band", value, BANDS)
        return b"%db" % BANDS[value]
    _check("setting", letter, _SETTABLE)
    _check(letter, value, _SETTABLE[letter])
    return f"{value:d}{letter}".encode()


def clock(hour: int, minute: int) -> bytes:
    """
    The command that sends the time of day to all nodes.

    @raise ValueError: for a time that no day has.
    """
    _check("hour", hour, range(24))
    _check("minute", minute, range(60))
    return b"00,%02d,%02d,00,s" % (hour, minute)


def transmit(data: bytes, node: int, form: Literal["emonhub", "direct"] = "emonhub") -> bytes:
    """
    The command that sends some bytes to a node.

    @param node: C{direct}: 0..31, 0 for all. C{emonhub}: 0..255, since it stands among the bytes.
    @param form: C{direct} has the radio address the node; C{emonhub} sends to all, with the node as
        first byte of the packet.
    @raise ValueError: for what no packet can carry.
    """
    _check("form", form, ("emonhub", "direct"))
    if form == "direct":
        _check("node", node, _NODES)
        numbers = [*_payload(data), node]
    else:
        _check("node", node, range(256))
        numbers = [node, *_payload(data, MAX_DATA - 1), 0]
    return ",".join(map(str, numbers)).encode() + b"s"


def repeat(line: bytes) -> bytes | None:
    """
    A command that somebody else has for the radio, fit to be written to it. Only packets to send
    pass; nobody can change the settings in this way.

    @param line: with or without its line end.
    @return: without it; L{None} for what is not passed on.
    """
    command = line.removesuffix(b"\n").removesuffix(b"\r")
    return command if len(command) <= MAX_COMMAND and _COMMAND.fullmatch(command) else None


def _payload(data: bytes, most: int = MAX_DATA) -> bytes:
    """
    Data, if a packet can carry it.
    """
    if not data:
        raise ValueError("there is no data")
    if len(data) > most:
        raise ValueError(f"{len(data)} bytes are more than the {most} that a packet has room for")
    return data


def _check(name: str, value: object, allowed: Collection[object]) -> None:
    """
    Refuse a value that is not allowed.
    """
    if value in allowed:
        return
    if isinstance(allowed, range):
        raise ValueError(f"{name} {value} is not in {allowed.start}..{allowed.stop - 1}")
    raise ValueError(f"{name} {value} is none of {', '.join(map(str, allowed))}")

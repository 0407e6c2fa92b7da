"""
What brings readings: radios, serial ports, sockets, brokers.
"""

import re

from msgspec import Struct

from sensord.convert.draft import Draft, Table
from sensord.convert.keys import Keys
from sensord.convert.report import LeftOut, Report
from sensord.wire.topics import Pattern

#: The bands, by what they are called in the files.
_BANDS = {"4": 433, "433": 433, "434": 433, "8": 868, "868": 868, "9": 915, "915": 915}

#: What an emonNotify is told.
_FEEDS = (
    "feedbroadcastinterval",
    "feedreadonlyapikey",
    "feedurl",
    "feedlisturl",
    "feedlist",
    "feednodeid",
)

#: The most that a number of a node is moved by.
_OFFSET = 1_000_000

#: What a topic may not have that is to become a pattern.
_TOPIC = re.compile(r"[+#{}\s]|^\$|^$")

_ALL = (
    "it listens on all interfaces, as before; "
    'add ":interface=127.0.0.1" where only this machine has to reach it'
)


class Part(Struct, frozen=True):
    """
    A section of something that brings readings or takes them.

    @ivar name: what it was called.
    @ivar type: what it was.
    @ivar keys: its settings.
    @ivar init: those that count at the start.
    @ivar run: those that may change.
    @ivar old: whether OemGateway has them, or what was between it and emonHub.
    """

    name: str
    type: str
    keys: Keys
    init: Keys
    run: Keys
    draft: Draft
    report: Report
    old: bool

    @property
    def place(self) -> str:
        """
        What to call it in the report.
        """
        return self.keys.place


class Feed(Struct, frozen=True):
    """
    A listener that knows nodes by their numbers.

    @ivar name: what the listener is called.
    @ivar radio: whether it brings bytes.
    @ivar offset: what emonHub has added to the number of a node.
    @ivar code: the type of values whose node does not say so itself; empty if nothing was said.
    @ivar scale: their scale; likewise.
    """

    name: str
    radio: bool
    offset: int = 0
    code: str = ""
    scale: str = ""


def radio(part: Part) -> Feed:
    """
    An RFM12Pi or RFM69Pi on a serial port.

    @raise LeftOut: if there is no such listener.
    """
    init, run = part.init, part.run
    default = 9600 if part.old else 38400
    table: Table = {
        "name": part.draft.name(part.place, part.name),
        "wire": "rfm2pi",
        "port": init.text("com_port", default="/dev/ttyAMA0"),
        # A speed of 0 had the program look for the right one.
        "baud": init.number("com_baud", default=default, least=0, most=4_000_000) or default,
    }
    _unset(part)
    table["group"] = run.number("group", "sgroup", default=210, least=0, most=250)
    table["frequency"] = _band(run)
    table["base_id"] = run.number("baseid", default=15, least=1, most=31)
    if not part.old:
        table["quiet"] = run.flag("quiet", default=True)
    interval = run.number("interval", "sendtimeinterval", default=0, least=0, most=31_557_600)
    table["time_interval"] = interval
    if (port := init.number("port_nb", default=None, least=1, most=65535)) is not None:
        table["repeater"] = f"tcp:{port}"
        part.report.change(part.place, f"the repeater: {_ALL}")
    run.drop(
        "calibration",
        "sensord does not calibrate the board of an emonPi, which keeps what it was told last",
    )
    if feeds := [(key, run.text(key)) for key in _FEEDS if run.has(key)]:
        part.report.lose(run.place, feeds, "sensord does not send feeds to an emonNotify")
    said = f"{table['port']}, {table['baud']} baud, group {table['group']}"
    return _feed(part, table, f"{said}, {table['frequency']} MHz", bytes=True)


def serial(part: Part) -> Feed:
    """
    A device on a serial port that sends lines of numbers. See L{radio}.
    """
    table: Table = {
        "name": part.draft.name(part.place, part.name),
        "wire": "serial",
        "port": part.init.text("com_port"),
        "baud": part.init.number("com_baud", default=9600, least=1, most=4_000_000),
    }
    return _feed(part, table, f"{table['port']}, {table['baud']} baud", bytes=False)


def socket(part: Part) -> Feed:
    """
    A port that devices send lines of numbers to. See L{radio}.
    """
    port = part.init.number("port_nb", default=50011, least=1, most=65535)
    table: Table = {
        "name": part.draft.name(part.place, part.name),
        "wire": "lines",
        "listen": f"tcp:{port}",
    }
    if key := part.run.secret("apikey"):
        table["key"] = key
    if part.run.flag("timestamped", default=False):
        table["timestamped"] = True
    if part.run.flag("targeted", default=False):
        part.run.lose(
            "targeted",
            "true",
            "the second number of a line is a value for sensord, and not whom it is for",
        )
    part.report.change(part.place, _ALL)
    part.report.change(
        part.place,
        "a connection stays open for as many lines as a device sends, and is closed after"
        " idle_timeout (60 s) without one; before, each was closed after what came first",
    )
    return _feed(part, table, f"port {port}", bytes=False)


def subscriber(part: Part) -> None:
    """
    A broker that is listened to, a value at a time.

    @raise LeftOut: if there is no such listener.
    """
    base = part.run.text("basetopic", default="emon").rstrip("/")
    topics = part.run.text("topics")
    if _TOPIC.search(base):
        raise LeftOut(f'"{base}" is nothing that a topic can begin with')
    if topics and topics not in (f"{base}/#", f"{base}/+/+"):
        raise LeftOut(
            f'a listener of sensord hears one pattern, and "{topics}" is no plain one',
            'a [[listeners]] table with wire = "mqtt" and a topic like "emon/{device}/{name}"',
        )
    table: Table = {
        "name": part.draft.name(part.place, part.name),
        "wire": "mqtt",
        **broker(part),
        "topic": f"{base}/{{device}}/{{name}}",
    }
    pattern = Pattern(table["topic"])
    for _place, sink in part.draft.sinks:
        said = f"{sink.get('prefix')}/x" + ("/x" if sink.get("format") == "value" else "")
        if sink.get("broker") == table["broker"] and pattern.match(said):
            raise LeftOut(
                f'"{sink["name"]}" says what is stored at these very topics, so that all of it'
                " would come back for ever",
                'a prefix of its own for that sink, and a [[listeners]] table with wire = "mqtt"',
            )
    part.report.change(
        part.place,
        "only topics of the form <device>/<name> are heard; what is deeper is not, and devices"
        " that say JSON are understood as well",
    )
    part.report.change(
        part.place, 'it speaks MQTT 5; a broker that is older needs version = "3.1.1"'
    )
    leave(part)
    part.draft.listener(part.place, table)
    part.report.carry(part.place, f'[[listeners]] "{table["name"]}": mqtt, {table["topic"]}')


def broker(part: Part) -> Table:
    """
    The settings of a connection to a broker.
    """
    host = part.init.text("mqtt_host", default="127.0.0.1")
    port = part.init.number("mqtt_port", default=1883, least=1, most=65535)
    kind = "tls" if port == 8883 else "tcp"
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    table: Table = {"broker": f"{kind}:{host}:{port}"}
    user = part.init.text("mqtt_user")
    password = part.init.secret("mqtt_passwd")
    if user:
        table["user"] = user
    if password and user:
        table["password"] = password
    elif password:
        part.init.lose("mqtt_passwd", password, "is there without a user")
    return table


def paused(part: Part, *words: str) -> bool:
    """
    Whether something was paused.

    @param words: the values that mean so.
    """
    return part.run.text("pause").lower() in words


def leave(part: Part) -> None:
    """
    Settings that everything had, and that are not told one by one.
    """
    if part.run.text("batchsize"):
        part.report.change(part.place, "batchsize: sensord sees itself how much goes at a time")


def _feed(part: Part, table: Table, said: str, bytes: bool) -> Feed:
    """
    Add a listener that knows nodes by their numbers.
    """
    run = part.run
    if paused(part, "all", "in", "i", "t", "true"):
        raise LeftOut(
            "a listener of sensord listens from the start on, and this one was paused",
            'add it when it is wanted; "sensord listeners stop NAME" pauses one',
        )
    offset = run.number("nodeoffset", default=0, least=0, most=_OFFSET)
    code, scale = run.text("datacode"), run.text("scale")
    leave(part)
    part.draft.listener(part.place, table)
    name: str = table["name"]
    part.report.carry(part.place, f'[[listeners]] "{name}": {table["wire"]}, {said}')
    if not bytes and code not in ("", "0"):
        run.lose("datacode", code, "sensord takes the numbers of lines as they are")
        code = ""
    if bytes and code not in ("", "h"):
        run.lose(
            "datacode",
            code,
            "holds for the nodes that are listed; all others are read as signed 16-bit numbers",
            "a [[devices]] table for each of the others",
        )
    if scale not in ("", "1"):
        run.lose(
            "scale",
            scale,
            "holds for the nodes that are listed; the values of all others stay as they come",
            "a [[devices]] table for each of the others",
        )
    if offset and table["wire"] == "serial":
        run.lose(
            "nodeoffset",
            str(offset),
            "later emonHubs took it for the node of lines that have none; sensord takes the first"
            " number of each line for the node",
            "let the device send its number first",
        )
        offset = 0
    elif offset:
        part.report.change(
            part.place,
            f"nodes keep the numbers that they send, without the {offset} of nodeoffset; those"
            " that are listed have their names",
        )
    return Feed(name, bytes, offset, code, scale)


def _band(run: Keys) -> int:
    """
    The frequency of a radio.
    """
    text = run.text("frequency")
    band = _BANDS.get(text.lower().removesuffix("mhz").strip())
    if text and band is None:
        run.lose("frequency", text, "is none of 433, 868, 915; it is taken for 433")
    return band or 433


def _unset(part: Part) -> None:
    """
    Say what sensord sets although nobody has said so.
    """
    run = part.run
    missing = [
        said
        for keys, said in (
            (("group", "sgroup"), "group = 210"),
            (("frequency",), "frequency = 433"),
            (("baseid",), "base_id = 15"),
        )
        if not run.has(*keys)
    ]
    if part.old and missing:
        part.report.change(
            part.place,
            f"{', '.join(missing)} will be set, which was not said; before, the radio kept what"
            " it had",
        )
    if part.old:
        part.report.change(
            part.place,
            "the radio is told to be quiet about frames with errors (1q); quiet = false leaves"
            " them to sensord, which counts them",
        )

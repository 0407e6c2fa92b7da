"""
What is needed to speak with an MQTT broker: how it is reached, who we are there, what is said, and
what may go wrong.
"""

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct

from sensord.settings import Secret, oneOf, wrong

#: The ports that a broker has if nothing else is said.
_PORTS = {"tcp": 1883, "tls": 8883}

#: Bytes that one packet may have. Without a limit, anybody who may publish where we subscribe could
#: fill the memory with one message of 256 MB.
MAX_PACKET = 16 * 2**20

#: The versions of the protocol, as people know them.
VERSIONS = ("3.1.1", "5")


class Place(NamedTuple):
    """
    Where a broker is.

    @ivar kind: C{tcp} or C{tls}.
    """

    kind: str
    host: str
    port: int


class BrokerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """
    A broker, and who we are there.

    @ivar broker: C{tcp:<host>:<port>} or C{tls:<host>:<port>}; the port may be left out.
    @ivar user: empty is none.
    @ivar password: of the user.
    @ivar ca: a file with the certificates that the broker's is checked against; empty are those of
        the system.
    @ivar cert: a file with our certificate; empty is none.
    @ivar key: a file with its key.
    @ivar client_id: the name by which the broker knows us, which nobody else may use; if it is
        empty, the broker thinks of one.
    @ivar keepalive: seconds without a word after which each side asks whether the other is there.
    @ivar version: of the protocol: one of L{VERSIONS}.
    """

    broker: str = "tcp:localhost:1883"
    user: str = ""
    password: Secret = Secret()
    ca: str = ""
    cert: str = ""
    key: str = ""
    client_id: Annotated[str, Meta(max_length=200)] = ""
    keepalive: Annotated[int, Meta(ge=5, le=65535)] = 60
    version: str = "3.1.1"

    @classmethod
    def of(cls, settings: Any) -> "BrokerSettings":
        """
        Those of a listener or a sink, which has the same fields.
        """
        return cls(**{name: getattr(settings, name) for name in cls.__struct_fields__})

    def faults(self) -> Iterable[str]:
        """
        What is wrong beyond the types.
        """
        yield from wrong("broker", place, self.broker)
        yield from oneOf("version", self.version, VERSIONS)
        if (self.ca or self.cert) and not self.broker.startswith("tls:"):
            yield "ca, cert: are for brokers that begin with tls:"
        if bool(self.cert) != bool(self.key):
            yield "cert, key: neither is of use without the other"
        if self.password and not self.user:
            yield "user: is missing; there is a password"


class Unavailable(Exception):
    """
    There is no connection to the broker, or it ended before the answer, or the broker cannot do it
    just now.

    @ivar unfit: whether the broker has ended the connection for something that was said to it.
    """

    def __init__(self, why: str, unfit: bool = False) -> None:
        super().__init__(why)
        self.unfit = unfit


class Denied(Exception):
    """
    The broker refuses, and will do so until somebody does something.

    @ivar code: the reason, as MQTT 5 numbers them; 0 if it is not the broker that has one.
    """

    def __init__(self, why: str, code: int = 0) -> None:
        super().__init__(why)
        self.code = code


class Publication(Struct, frozen=True, gc=False):
    """
    What is said to a broker.

    @ivar retain: whether the broker keeps it for those who ask later.
    @ivar qos: 0 or 1.
    """

    topic: str
    payload: bytes
    retain: bool = False
    qos: int = 1


class Message(Struct, frozen=True, gc=False):
    """
    What a broker says.

    @ivar retain: whether it was said before we asked.
    @ivar ack: to be called when it is dealt with, if that was agreed. Of a connection that has
        ended meanwhile, it does nothing: the message comes again.
    @ivar qos: 0 is said once, and not again.
    @ivar size: how many bytes it has, if it was too large: then it comes without its payload.
    """

    topic: str
    payload: bytes
    retain: bool
    ack: Callable[[], None]
    qos: int = 1
    size: int = 0


class Terms(Struct, frozen=True):
    """
    What is agreed with a broker.

    @ivar will: what it says in our place when the connection breaks.
    @ivar kept: seconds that it keeps our subscriptions and what came for them while we are away;
        0 is not at all.
    @ivar inflight: messages of ours that may wait for their answers.
    @ivar receive: messages that it may send before we answered the first. Only MQTT 5 can tell.
    @ivar manual: whether each message is answered when L{Message.ack} is called, and not before.
    @ivar largest: bytes that one packet may have.
    """

    will: Publication | None = None
    kept: int = 0
    inflight: int = 100
    receive: int = 1000
    manual: bool = False
    largest: int = MAX_PACKET


#: The reasons of a broker that do not go away by themselves: what it does not speak, whom it does
#: not know or does not let in, what it does not take.
FINAL = frozenset((132, 133, 134, 135, 138, 140, 144, 149, 153, 154, 155, 157))

#: Those that are about one message: its topic, its size, its payload.
UNFIT = frozenset((144, 149, 153))


def place(text: str) -> Place:
    """
    The broker that a text means.

    @raise ValueError: if it means none.
    """
    match = re.fullmatch(r"(tcp|tls):(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+)(?::(\d{1,5}))?", text)
    if not match:
        raise ValueError(f'"{text}" is no broker; write e.g. "tcp:localhost:1883"')
    port = int(match[3] or _PORTS[match[1]])
    if not 0 < port < 65536:
        raise ValueError(f"{port} is no port")
    return Place(match[1], match[2].strip("[]"), port)


def topicFault(key: str, text: str) -> Iterable[str]:
    """
    A fault if a text is nothing that topics can begin with.
    """
    if re.search("[+#\x00-\x1f\x7f-\x9f]", text) or "" in text.split("/") or text[:1] == "$":
        yield f'{key}: "{text}" is nothing that topics can begin with'

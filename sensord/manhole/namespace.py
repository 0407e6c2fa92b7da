"""
What the prompt of the manhole knows: the gateway, and a few functions that show it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.address import IPv4Address

from sensord.manhole.words import Word, words
from sensord.presence import Presence
from sensord.simulate import Fleet
from sensord.text import ago, plain, table


class Table(list[Sequence[object]]):
    """
    Rows, the headings first, that look like a table at the prompt.
    """

    def __repr__(self) -> str:
        rows = [[c if isinstance(c, int) else plain(str(c)) for c in row] for row in self]
        return "\n".join(table(rows))


def namespace(gateway: Any) -> dict[str, object]:
    """
    The names.

    @param gateway: a L{Gateway<sensord.gateway.Gateway>}.
    """
    presence: Presence = gateway.presence

    def devices() -> Table:
        """
        All devices that were heard.
        """
        now = presence.now()
        rows = [
            (
                one.name,
                one.address,
                presence.state(one, now).value,
                ago(one.heard or None, now),
                one.received,
                one.missed,
            )
            for one in sorted(presence, key=lambda one: one.address)
        ]
        return Table([("name", "address", "state", "heard", "received", "missed"), *rows])

    def listeners() -> Table:
        """
        All ways in.
        """
        rows = [
            (name, way.where, way.state, way.connected) for name, way in gateway.listeners.items()
        ]
        return Table([("name", "where", "state", "connected"), *rows])

    return {
        "gateway": gateway,
        "store": gateway.store,
        "devices": devices,
        "listeners": listeners,
        "send": _send(gateway),
    }


def vocabulary(gateway: Any, reactor: Any) -> Mapping[str, Word]:
    """
    The plain words.
    """

    def connections() -> Table:
        rows = [
            (name, link.host, ", ".join(sorted(link.met)[:_SHOWN]))
            for name, way in gateway.listeners.items()
            for link in way.factory.connections
        ]
        return Table([("listener", "peer", "devices"), *rows])

    def fleet(devices: int, rate: float) -> Fleet:
        for one in gateway.settings.listeners:
            address = getattr(gateway.listeners[one.name], "address", None)
            if one.wire == "poe" and isinstance(address, IPv4Address):
                host = "127.0.0.1" if address.host == "0.0.0.0" else address.host
                return Fleet(reactor, "poe", devices, rate, f"tcp:{host}:{address.port}")
        raise ValueError("there is no open port for poe, which clients could send to")

    return words(reactor, connections, gateway.store.follow, fleet)


#: How many of a connection's devices are named.
_SHOWN = 5


def _send(gateway: Any) -> Callable[..., Any]:
    def send(address: str, variable: str | int, value: float) -> Any:
        """
        Send a value to the device with a name or an address, or to "all".
        """
        return gateway.commands.send(address, variable, value, who="manhole")

    return send

"""
The process that sends. Whatever it sends lies ready beforehand, so that sensord need not wait for
it; and it is the same for sensord and for the bare limit.

Its arguments are a key of L{CLIENTS}, a port and a number of connections. It connects and answers
with 0. Each line of its input is a number of units to send: it answers with the monotonic time of
the first, when the last is sent.
"""

import struct
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import count, cycle, islice
from socket import IPPROTO_IP, IPPROTO_TCP, SHUT_WR, TCP_NODELAY, socket
from time import monotonic

from benchmarks.children import BenchmarkError
from benchmarks.marks import descriptors

#: What one PoE Arduino sends every two seconds.
FRAMES = [bytes((1, id, id % 6, 60 + id)) for id in range(21)]

#: The packet that the description of the wire format gives as an example: two measurements.
PACKET = bytes.fromhex("0c00100e7800060103 7800006e0068 7900046e0468")

#: How a WebSocket device begins.
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: L159VM0TWUzyDxwJEIEzjw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

#: What MQTT devices say, how many of them there are, and how many messages are on their way over
#: one connection.
TOLD = b'{"temperature": 21.5, "humidity": 48}'
_SPEAKERS, _AHEAD = 100, 1000

_MASK = bytes.fromhex("a1b2c3d4")

#: How many different messages of each device lie ready.
_TURNS = 21

#: How many connections may wait to be accepted. Twisted's backlog is 50: those beyond it would be
#: tried again by the kernel, after a whole second.
_WAITING = 40

#: Has the kernel choose the port when it connects, when it can tell connections apart by both ends.
#: Python has no name for it before 3.12.
_IP_BIND_ADDRESS_NO_PORT = 24

#: Bytes in one write of L{flood}.
_BLOCK = 65536

Send = Callable[[int], object]


def trickle(port: int, connections: int) -> Send:
    """
    Many connections, a frame a write, in turn.

    @return: sends a number of frames, which must be a multiple of the connections.
    """
    devices = list(islice(_devices(port), connections))
    _settle(port)
    return _inTurn(devices, [[frame] * connections for frame in FRAMES])


def speak(port: int, connections: int) -> Send:
    """
    Many connections, a line of two values a write, in turn.

    @return: sends a number of lines, which must be a multiple of the connections.
    """
    devices = list(islice(_devices(port), connections))
    _settle(port)
    return _inTurn(
        devices,
        [
            [b"%d %d %d.5\r\n" % (node, 60 + turn, 200 + node % 50) for node in range(connections)]
            for turn in range(_TURNS)
        ],
    )


def chat(port: int, connections: int) -> Send:
    """
    Many WebSocket connections, a message of two values a write, in turn.

    @return: sends a number of messages, which must be a multiple of the connections.
    """
    devices = list(islice(_devices(port), connections))
    for device in devices:
        device.sendall(HANDSHAKE)
        device.recv(4096)
    return _inTurn(
        devices,
        [
            [_masked(b"%d,%d,%d.5" % (id, turn, 20 + id % 10)) for id in range(connections)]
            for turn in range(_TURNS)
        ],
    )


def _masked(text: bytes) -> bytes:
    """
    A short text in a frame, as a client sends it.
    """
    mask = bytes(byte ^ _MASK[place % 4] for place, byte in enumerate(text))
    return bytes((0x81, 0x80 | len(text))) + _MASK + mask


def _inTurn(devices: Sequence[socket], turns: Sequence[Sequence[bytes]]) -> Send:
    """
    Each device writes one message, and then each its next.

    @param turns: in each a message for each device; they are used again and again.
    """
    sends = [device.send for device in devices]
    endless = cycle([list(zip(sends, turn, strict=True)) for turn in turns])

    def send(total: int) -> None:
        count, rest = divmod(total, len(sends))
        if rest:
            raise ValueError(f"{total} is no multiple of {len(sends)}")
        for turn in islice(endless, count):
            for each, message in turn:
                each(message)

    return send


def flood(port: int, connections: int) -> Send:
    """
    One connection, as many frames in a write as it takes.
    """
    (device,) = islice(_devices(port), connections)
    block = memoryview(b"".join(islice(cycle(FRAMES), _BLOCK // len(FRAMES[0]))))

    def send(total: int) -> None:
        blocks, rest = divmod(total * len(FRAMES[0]), _BLOCK)
        for _ in range(blocks):
            device.sendall(block)
        device.sendall(block[:rest])

    return send


def visit(port: int, connections: int) -> Send:
    """
    Short connections: connect, send a packet, close.

    @param connections: how many may be open at the server's end.
    """
    address = "127.0.0.1", port
    # Closed connections linger; from one address the kernel would search ever longer for a port.
    half = connections // 2
    homes = cycle([(f"127.2.0.{number}", 0) for number in range(1, 251)])

    def send(total: int) -> None:
        probes = deque[socket]()
        for number, home in enumerate(islice(homes, total), 1):
            device = socket()
            device.setsockopt(IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            device.bind(home)
            device.connect(address)
            device.send(PACKET)
            if number % half:
                device.close()
                continue
            device.shutdown(SHUT_WR)
            probes.append(device)
            if len(probes) == 2:
                _leave(probes.popleft())
        for device in probes:
            _leave(device)

    return send


def stay(port: int, connections: int) -> Send:
    """
    Connections that send one frame each and then no more.

    @return: makes a number of them.
    """
    devices = _devices(port)
    open: list[socket] = []

    def send(total: int) -> None:
        for device in islice(devices, total):
            device.send(FRAMES[0])
            open.append(device)

    return send


def publish(port: int, connections: int) -> Callable[[int], object]:
    """
    Say something to a broker with QoS 1, a window at a time. All of it lies ready.

    @return: sends a number of messages, and comes back when the broker has confirmed them.
    """
    devices = [_greet(port, f"device{number}") for number in range(connections)]
    packets = [_publish(number) for number in range(_AHEAD)]
    whole = b"".join(packets)

    def send(total: int) -> None:
        while total:
            shares = []
            for device in devices:
                count = min(total, _AHEAD)
                device.sendall(b"".join(packets[:count]) if count < _AHEAD else whole)
                shares.append((device, count))
                total -= count
            for device, count in shares:
                _confirmed(device, count)

    return send


def _greet(port: int, client: str) -> socket:
    """
    Connect to a broker by MQTT 3.1.1, whose confirmations are of four bytes each.
    """
    device = socket()
    device.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    device.connect(("127.0.0.1", port))
    name = client.encode()
    body = b"\0\4MQTT\4\2\0\0" + struct.pack(">H", len(name)) + name
    device.sendall(bytes((0x10, len(body))) + body)
    if (answer := device.recv(4)) != b"\x20\2\0\0":
        raise BenchmarkError(f"the broker answers {answer!r}")
    return device


def _publish(number: int) -> bytes:
    """
    One of a window.
    """
    topic = b"/farm/d%d/data" % (number % _SPEAKERS)
    body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", number + 1) + TOLD
    return bytes((0x32, len(body))) + body


def _confirmed(device: socket, count: int) -> None:
    left = 4 * count
    while left:
        data = device.recv(left)
        if not data:
            raise BenchmarkError("the broker has ended the connection")
        left -= len(data)


#: By what a case calls them.
CLIENTS: dict[str, Callable[[int, int], Send]] = {
    "chat": chat,
    "flood": flood,
    "publish": publish,
    "speak": speak,
    "stay": stay,
    "trickle": trickle,
    "visit": visit,
}


def _devices(port: int) -> Iterator[socket]:
    """
    Connections without end, each from an address of its own: so each is a device of its own.
    """
    for number in count():
        if number % _WAITING == 0:
            _settle(port)
        device = socket()
        device.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        device.bind((f"127.1.{number // 250}.{number % 250 + 1}", 0))
        device.connect(("127.0.0.1", port))
        yield device


def _settle(port: int) -> None:
    """
    Wait until the server has accepted all connections so far: it accepts in their order, and
    closes this one, which brings nothing.
    """
    probe = socket()
    probe.connect(("127.0.0.1", port))
    probe.shutdown(SHUT_WR)
    _leave(probe)


def _leave(device: socket) -> None:
    """
    Wait for the server to close its end too.
    """
    device.recv(1)
    device.close()


def main() -> None:
    """
    Send what the parent asks for.
    """
    descriptors()
    name, port, connections = sys.argv[1:]
    send = CLIENTS[name](int(port), int(connections))
    print(0, flush=True)
    for line in sys.stdin:
        began = monotonic()
        send(int(line))
        print(began, flush=True)


if __name__ == "__main__":
    main()

"""
A pretend radio module on a pretend serial port, and the nodes that it hears.
"""

from itertools import cycle
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from sensord.pretend.firmware import Firmware, Transmission
from sensord.pretend.node import Node
from sensord.pretend.steady import MOST_BURSTS, broken
from sensord.pretend.terminal import Terminal

if TYPE_CHECKING:
    from sensord.simulate import Fleet

#: The chances that a frame is received with errors, and that a line of noise comes before it.
_SPOILT, _NOISE = 0.02, 0.05


class Radio:
    """
    An RFM12Pi. It stands for all the nodes of a fleet. Its settings outlast that it is unplugged.

    @ivar firmware: what it is set to, and what it was told to send.
    @ivar nodes: those that it hears.
    """

    _log = Logger()

    def __init__(self, fleet: "Fleet", number: int) -> None:
        """
        @param number: there is but one.
        """
        self._fleet = fleet
        self._random = fleet.random(0)
        self._terminal = Terminal(fleet.reactor, self._hear, fleet.target)
        self.firmware = Firmware(self._random)
        self.nodes = [Node(each, fleet.random(each)) for each in range(1, fleet.devices + 1)]
        self._turns = cycle(self.nodes)
        self._frames = LoopingCall.withCount(self._send)
        self._frames.clock = fleet.reactor

    @property
    def path(self) -> str:
        """
        The device file; empty while it is unplugged.
        """
        return self._terminal.path

    def start(self, phase: float) -> None:
        """
        Begin. The nodes send one after the other.

        @raise OSError: if there can be no device file, or no link to it.
        """
        self.plug()
        period = 1 / (self._fleet.rate * len(self.nodes))
        self._frames.start(period).addErrback(broken)

    def stop(self) -> Deferred[None]:
        """
        End.
        """
        self.hush()
        self.unplug()
        return succeed(None)

    def hush(self) -> None:
        """
        Let the nodes send nothing more.
        """
        if self._frames.running:
            self._frames.stop()

    def plug(self) -> None:
        """
        Plug it in, if it is not: there is a device file, maybe another one than before.

        @raise OSError: if there can be none.
        """
        if not self.path:
            self._terminal.open()
            self._fleet.path = self.path

    def unplug(self) -> None:
        """
        Unplug it, if it is plugged in. What nodes send is lost then.
        """
        self._terminal.close()
        self._fleet.path = ""

    def _send(self, count: int) -> None:
        """
        Receive what the nodes send.

        @param count: how many of them are due.
        """
        for _ in range(min(count, MOST_BURSTS)):
            self._receive(next(self._turns))

    def _receive(self, node: Node) -> None:
        data = node.measure()
        if self._random.random() < _NOISE:
            self._terminal.write(self.firmware.noise())
        if self._random.random() < _SPOILT:
            self._terminal.write(self.firmware.spoil(node.id, data))
        elif self._terminal.write(self.firmware.tell(node.id, data)):
            self._fleet.sent += 1
            self._fleet.readings += len(node.model.values)
        else:
            self._fleet.lost += 1

    def _hear(self, data: bytes) -> None:
        """
        The gateway writes something.
        """
        for answer in self.firmware.hear(data):
            if isinstance(answer, Transmission):
                self._transmit(answer)
            else:
                self._terminal.write(answer)

    def _transmit(self, sent: Transmission) -> None:
        """
        Let the nodes hear something. One that is meant by name gets the bytes; of what is for all,
        it takes what begins with its id.
        """
        self._log.info(
            "pretend radio: {data} to {node}",
            data=" ".join(map(str, sent.data)),
            node=f"node {sent.node}" if sent.node else "all nodes",
        )
        for node in self.nodes:
            if sent.node == node.id:
                node.hear(sent.data)
            elif sent.node == 0 and sent.data[0] == node.id:
                node.hear(sent.data[1:])

"""
What a fault costs: while a server is away or says no, a device goes on sending, and in the end all
that was stored is there, in InfluxDB once.
"""

from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from twisted.web.server import Site
from zope.interface import implementer

from sensord.sinks import http
from tests.emoncms import KEY, Emoncms, Reply
from tests.integration.databases import Influxd
from tests.integration.loop import pause, reactor, until
from tests.integration.running import (
    GatewayTestCase,
    Series,
    assertSame,
    series,
)
from tests.scripted import CUT, LOST, SILENT, Scripted, Trouble


class DatabaseTests(GatewayTestCase):
    """
    A real InfluxDB behind a door.
    """

    def setUp(self) -> None:
        """
        Start it.
        """
        super().setUp()
        self.database = Influxd(self.folder)
        self.addCleanup(self.database.close)
        self.database.start()
        self.database.query("CREATE DATABASE sensors")
        self.door = Scripted(reactor(), self.database.port)
        self.door.open()
        self.addCleanup(self.door.close)

    async def begin(self, **settings: Any) -> None:
        """
        Start a gateway, and see that readings flow.
        """
        self.gateway = self.launch(
            {
                "name": "influx",
                "kind": "influxdb",
                "url": self.door.url,
                "database": "sensors",
                **settings,
            }
        )
        self.outbox = self.gateway.sinks["influx"]
        self.peer = await self.device(self.gateway)

    async def suffer(self, error: str, *troubles: Trouble, state: str = "retrying") -> None:
        """
        Let requests meet one thing after the other, and then the last one for as long as more and
        more is stored.

        @param error: what the sink then says.
        @param state: how it then is.
        """
        await self.peer.send(100)
        await self.settle()
        self.door.script, self.door.trouble = list(troubles), troubles[-1]
        before = len(self.door.asked)
        await self.peer.send(100)
        await until(lambda: len(self.door.asked) >= before + len(troubles) + 2)
        await self.peer.send(100)
        self.assertEqual(self.outbox.state, state)
        self.assertIn(error, self.outbox.error)
        self.door.trouble = None
        await self.peer.send(100)

    async def settle(self) -> None:
        """
        Wait until all that is stored is dealt with.
        """
        await self.flowed(self.gateway)

    async def recover(self) -> None:
        """
        Wait until all has been passed on, and look whether it is there.
        """
        await self.settle()
        await self.gateway.stopService()
        self.assertArrived()
        self.assertEqual(len(self.stored()), 2 * self.peer.said)
        self.assertEqual(self.dead(), [])
        self.assertBalanced()
        self.assertTold("influx")

    def assertArrived(self, without: Sequence[object] = ()) -> None:
        """
        What is stored is in the database, each reading once and with its time, and nothing else.

        @param without: the values that are not.
        """
        there: Series = {
            (device, name): values
            for (name, device, _field), values in self.database.points("sensors").items()
        }
        here = series(one for one in self.stored() if one.value not in without)
        assertSame(self, there, here)

    async def test_refused(self) -> None:
        """
        The database is stopped, and started again after some attempts.
        """
        await self.begin(url=self.database.url)
        await self.peer.send(100)
        await self.settle()
        self.database.end()
        await self.peer.send(100)
        await until(lambda: self.outbox.state == "retrying")
        await self.peer.send(100)
        self.assertIn("refused", self.outbox.error)
        self.database.start()
        await self.peer.send(100)
        await self.recover()

    async def test_silence(self) -> None:
        """
        Something accepts connections and requests, and never says a word.
        """
        self.patch(http, "ANSWER", 0.2)
        await self.begin()
        await self.suffer("no answer in 0.2 s", SILENT)
        await self.recover()

    async def test_errors(self) -> None:
        """
        The server, or what stands before it, has errors of its own, also with pages for people.
        """
        await self.begin()
        page = Reply(502, "<html>Bad Gateway</html>")
        await self.suffer("answers 500", Reply(503, ""), page, Reply(500, '{"error":"timeout"}'))
        await self.recover()

    async def test_busy(self) -> None:
        """
        A server that asks to be left alone for a second is left alone for that long.
        """
        await self.begin()
        await self.peer.send(100)
        await self.settle()
        before = len(self.door.asked)
        self.door.script = [Reply(429, '{"error":"too many"}', {"Retry-After": "1"})]
        await self.peer.send(100)
        await until(lambda: self.outbox.state == "retrying")
        self.assertIn("answers 429: too many", self.outbox.error)
        for _again in range(5):
            await self.peer.send(20)
            await pause(0.05)
        await self.recover()
        asked, again = (time for time, _trouble in self.door.asked[before : before + 2])
        self.assertGreaterEqual(again - asked, 1.0)

    async def test_unauthorized(self) -> None:
        """
        A server that does not let us in any more: everything is kept until it does.
        """
        await self.begin()
        no = Reply(401, '{"error":"authorization failed"}')
        await self.suffer("answers 401: authorization failed", no, state="misconfigured")
        await self.recover()

    async def test_reset(self) -> None:
        """
        The connection is reset in the middle of requests.
        """
        await self.begin()
        await self.suffer("Connection to the other side was lost", CUT)
        await self.recover()

    async def test_lost(self) -> None:
        """
        The connection is reset when the readings are in the database, but before we hear of it:
        they come again, and are there once.
        """
        await self.begin()
        await self.suffer("Connection to the other side was lost", LOST)
        await self.recover()

    async def test_onePoint(self) -> None:
        """
        One reading among 5,000 has a type that its field cannot have: it is a dead letter, which
        tells the reason, and all the others are there.
        """
        await self.begin(integers=True)
        await self.peer.say(["17 -1"])
        await self.settle()
        before = len(self.door.asked)
        await self.outbox.pause(True)  # so that all are in one batch
        await self.peer.say("17 0.5" if n == 2_345 else f"17 {n}" for n in range(5_000))
        await self.outbox.pause(False)
        await self.settle()
        await self.gateway.stopService()
        [(device, name, value, why)] = self.dead()
        self.assertEqual((device, name, value), ("lines/17", "1", 0.5))
        self.assertIn("field type conflict", why)
        self.assertArrived(without=[0.5])
        self.assertEqual(len(self.stored()), 5_001)
        self.assertEqual(len(self.door.asked), before + 2)
        self.assertBalanced()
        lines = [line for line in self.log if line.startswith("influx: ")]
        self.assertEqual(lines, [f"influx: 1 readings became dead letters: {why}"])

    async def test_unknownHost(self) -> None:
        """
        The name of the server is not known, and then it is.
        """
        names = Names()
        self.addCleanup(reactor().installNameResolver, reactor().installNameResolver(names))
        await self.begin(url=f"http://database.invalid:{self.door.where}")
        await self.peer.send(100)
        await until(lambda: names.asked >= 3)
        await self.peer.send(100)
        self.assertEqual(self.outbox.state, "retrying")
        self.assertIn("the host is not known", self.outbox.error)
        names.known.append("database.invalid")
        await self.peer.send(100)
        await self.recover()


class EmoncmsTests(GatewayTestCase):
    """
    An emoncms.
    """

    async def test_notOk(self) -> None:
        """
        Answers that are nearly C{ok}, and mean that nothing was taken, or only a part of it.
        """
        there = Emoncms(reactor().seconds)
        port = reactor().listenTCP(0, Site(there), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        url = f"http://127.0.0.1:{port.getHost().port}"
        gateway = self.launch({"name": "emon", "kind": "emoncms", "url": url, "apikey": KEY})
        peer = await self.device(gateway)
        await peer.send(100)
        await self.flowed(gateway)
        there.replies = [Reply(200, body) for body in ("OK", "ok\n", "ok.", '"ok"', "okay")]
        await peer.send(100)
        await until(lambda: len(there.replies) < 3)
        await peer.send(100)
        await until(lambda: not there.replies)
        await self.flowed(gateway)
        await gateway.stopService()
        for (device, name), values in series(self.stored()).items():
            got = there.stored[device.replace("/", "_"), name]
            for time, value in values.items():
                # Times are sent as differences of whole seconds, and those of two clocks.
                times = [when for when, found in got if found == value]
                self.assertTrue(times, (device, name, value))
                for when in times:
                    self.assertLess(abs(when - time // 1_000_000), 2)
        self.assertEqual(self.dead(), [])
        self.assertBalanced()
        self.assertTold("emon")


@implementer(IHostnameResolver, IHostResolution)
class Names:
    """
    The names of hosts. Nobody else is asked.

    @ivar known: those that mean this machine.
    @ivar asked: how often one was asked for.
    """

    name = ""

    def __init__(self) -> None:
        self.known: list[str] = []
        self.asked = 0

    def resolveHostName(
        self, resolutionReceiver: IResolutionReceiver, hostName: str, portNumber: int = 0, *_: Any
    ) -> IHostResolution:
        """
        Answer.
        """
        self.asked += 1
        resolutionReceiver.resolutionBegan(self)
        if hostName in self.known:
            resolutionReceiver.addressResolved(IPv4Address("TCP", "127.0.0.1", portNumber))
        resolutionReceiver.resolutionComplete()
        return self

    def cancel(self) -> None:
        """
        It is answered already.
        """
        raise DNSLookupError

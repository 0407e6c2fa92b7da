"""
Tests for L{sensord.protocols.pushed}, and for L{sensord.protocols.bodies} and
L{sensord.protocols.dialects}, which it is made of.
"""

import gzip
import zlib
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

from msgspec import json
from twisted.internet.defer import fail
from twisted.logger import capturedLogs

from sensord.protocols import pushed
from sensord.protocols.pushed import AFTER, PATIENCE
from sensord.pushes import PushSettings
from sensord.settings import Secret
from sensord.wire.push import MAX_ROWS
from tests.protocols.push import NOW, TOKEN, PushTestCase

JSON, WRITE, POST, BULK = "/api/v1/readings", "/write", "/input/post", "/input/bulk"

_KITCHEN = b'{"device": "kitchen", "temperature": 21.5, "humidity": 47}'


class JsonTests(PushTestCase):
    """
    JSON.
    """

    def test_stored(self) -> None:
        """
        Readings are stored, and the answer says how many.
        """
        self.begin()
        answer = self.push(JSON, _KITCHEN)
        self.assertEqual((answer.status, answer.read()), (200, b'{"stored":2}'))
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertEqual(answer.headers["Cache-Control"], "no-store")
        expected = [("kitchen", "temperature", 21.5), ("kitchen", "humidity", 47)]
        self.assertEqual(self.stored(), expected)
        self.assertEqual(self.ledger(), (2, 2, 0, 0))

    def test_device(self) -> None:
        """
        The device may be in the address of the request.
        """
        self.begin()
        self.assertEqual(self.push(f"{JSON}?device=a%20b", '{"x": 1}').status, 200)
        self.assertEqual(self.stored(), [("a b", "x", 1)])

    def test_partly(self) -> None:
        """
        What is no reading is named with why, and the others are stored.
        """
        self.begin()
        body = '[{"device": "d", "x": 1}, {"x": 2}, 3, {"device": "d", "y": "\\u0000"}]'
        told = self.told(JSON, body)
        self.assertEqual(told["stored"], 1)
        self.assertEqual(
            told["faults"],
            [
                'it does not say which device it is: {"x":2}',
                "no object of JSON: 3",
                "a text of more than 1000 characters, or with a NUL in it: push/d 'y: \\x00'",
            ],
        )
        self.assertEqual(told["error"], f"3 of 4 were not taken: {told['faults'][0]}")
        self.assertEqual(self.ledger(), (4, 1, 0, 3))

    def test_many(self) -> None:
        """
        Not all of very many faults are told.
        """
        self.begin()
        told = self.told(JSON, f"[{','.join(['{}'] * 5000)}]")
        self.assertEqual(len(told["faults"]), 100)
        self.assertEqual(self.ledger(), (5000, 0, 0, 5000))

    def test_nothing(self) -> None:
        """
        Nothing is stored of nothing, and that costs no commit.
        """
        self.begin()
        for body in ("[]", '{"device": "d"}', '{"device": "d", "x": null}'):
            calls = self.writer.calls
            answer = self.push(JSON, body)
            self.assertEqual((answer.status, answer.read()), (200, b'{"stored":0}'))
            self.assertEqual(self.writer.calls, calls)

    def test_garbage(self) -> None:
        """
        What is no JSON is refused, and counted.
        """
        self.begin()
        self.assertIn("no JSON", self.told(JSON, b"\xff\0")["error"])
        self.assertEqual(self.ledger(), (1, 0, 0, 1))

    def test_twice(self) -> None:
        """
        What says its time is stored once, and the second counts as a duplicate.
        """
        self.begin()
        for _ in range(2):
            self.assertEqual(self.push(JSON, '{"device":"d","x":1,"time":5}').status, 200)
        self.assertEqual(self.ledger(), (2, 1, 1, 0))


class LineTests(PushTestCase):
    """
    What writes to InfluxDB.
    """

    def test_stored(self) -> None:
        """
        Points are stored, in the precision of the request, wherever they are written to.
        """
        self.begin()
        for path, precision, time in (
            (f"{WRITE}?db=any&precision=s", "s", NOW + 1),
            ("/api/v2/write?org=o&bucket=b&precision=ms", "ms", (NOW + 2) * 1000),
            (f"{WRITE}?db=any", "ns", (NOW + 3) * 10**9),
        ):
            answer = self.push(path, f"d {precision}=1 {time}\n")
            self.assertEqual((answer.status, answer.read()), (204, b""))
        self.assertEqual(self.stored(), [("d", "s", 1), ("d", "ms", 1), ("d", "ns", 1)])
        self.assertEqual(self.times(), [1, 2, 3])

    def test_partly(self) -> None:
        """
        Lines that are none are quoted in the words of InfluxDB, and the others are stored.
        """
        self.begin()
        told = self.told(WRITE, "d v=1\nnonsense\nd v=x\nd w=2\n")
        why = (
            "partial write: unable to parse 'nonsense': there are no fields\n"
            "unable to parse 'd v=x': \"x\" is no value dropped=2"
        )
        self.assertEqual(told, {"error": why, "message": why, "code": "invalid"})
        self.assertEqual(self.stored(), [("d", "v", 1), ("d", "w", 2)])
        self.assertEqual(self.ledger(), (4, 2, 0, 2))

    def test_strangers(self) -> None:
        """
        What is refused for another reason is told without a line.
        """
        self.begin(max_devices=1)
        self.assertEqual(
            self.told(WRITE, "a v=1\nb v=1\nx")["error"],
            "partial write: unable to parse 'x': there are no fields\n"
            "1 devices are heard already that are not described: b dropped=2",
        )

    def test_encoding(self) -> None:
        """
        Lines that are no UTF-8 can be told, too.
        """
        self.begin()
        self.assertIn("no UTF-8", self.told(WRITE, b"d v=\xff")["error"])

    def test_precision(self) -> None:
        """
        A precision that there is not is refused, and nothing is stored.
        """
        self.begin()
        told = self.told(f"{WRITE}?precision=d", "d v=1 5")
        self.assertEqual(told["error"], '"d" is no precision; it is n, u, ms, s, m or h')
        self.assertEqual(self.ledger(), (0, 0, 0, 0))

    def test_nothing(self) -> None:
        """
        No points are stored at once.
        """
        self.begin()
        for body in ("", "\n\n# nothing\n"):
            self.assertEqual(self.push(WRITE, body).status, 204)

    def test_ping(self) -> None:
        """
        Somebody is there, for whoever asks.
        """
        self.begin()
        for method in ("GET", "HEAD"):
            answer = self.push("/ping", method=method, auth="")
            self.assertEqual((answer.status, answer.read()), (204, b""))
            self.assertEqual(answer.headers["X-Influxdb-Version"], "1.8-sensord")

    def test_create(self) -> None:
        """
        A database can be created, to please those who insist, and nothing asked.
        """
        self.begin()
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        body = urlencode({"q": 'CREATE DATABASE "telegraf"'})
        answer = self.push("/query", body, **form)
        self.assertEqual((answer.status, answer.read()), (200, b'{"results":[{"statement_id":0}]}'))
        answer = self.push("/query?q=create+database+x", method="GET")
        self.assertEqual(answer.status, 200)
        for query in ("SELECT * FROM x", "", "DROP DATABASE x"):
            told = self.told(f"/query?{urlencode({'q': query})}", method="GET")
            self.assertEqual(told["error"], "this is no database: nothing can be asked here")
        self.assertEqual(self.push("/query?q=create+database+x", auth="").status, 401)


class EmoncmsTests(PushTestCase):
    """
    What posts to emoncms.
    """

    FORM = "application/x-www-form-urlencoded"

    def form(self, path: str, **fields: object) -> Any:
        """
        What is answered to a form.
        """
        return self.push(path, urlencode(fields), Content_Type=self.FORM)

    def test_get(self) -> None:
        """
        A row may stand in the address, also as primitive clients write it.
        """
        self.begin()
        for target in (
            f"{POST}?node=10&json={{power:250}}&apikey={TOKEN}",
            f"/emoncms/input/post.json?node=10&csv=1,2&apikey={TOKEN}",
            f"/input/post/10?data={{a:1}}&apikey={TOKEN}",
        ):
            answer = self.push(target, method="GET", auth="")
            self.assertEqual((answer.status, answer.read()), (200, b"ok"))
            self.assertEqual(answer.headers["Content-Type"], "text/plain; charset=utf-8")
        names = [(device, name) for device, name, _value in self.stored()]
        self.assertEqual(names, [("10", "power"), ("10", "1"), ("10", "2"), ("10", "a")])

    def test_form(self) -> None:
        """
        Or in a form, the token too; C{fulljson} is answered by JSON.
        """
        self.begin()
        answer = self.push(
            POST,
            urlencode({"node": "a", "data": "1", "apikey": TOKEN}),
            auth="",
            Content_Type=self.FORM,
        )
        self.assertEqual((answer.status, answer.read()), (200, b"ok"))
        answer = self.form(POST, node="b", fulljson='{"x": "on"}')
        self.assertEqual((answer.status, answer.read()), (200, b'{"success": true}'))
        answer = self.push(f"{POST}?node=c", '{"y": 2}', Content_Type="application/json")
        self.assertEqual(answer.read(), b"ok")
        self.assertEqual(self.stored(), [("a", "1", 1), ("b", "x", "on"), ("c", "y", 2)])

    def test_bulk(self) -> None:
        """
        Many rows come in a form, an address, or a body that is the list.
        """
        self.begin()
        data = '[[520,16,1137],[530,17,{"a":1},{"b":2}]]'
        self.assertEqual(self.form(f"{BULK}?sentat=543", data=data).read(), b"ok")
        expected = [("16", "1", 1137), ("17", "a", 1), ("17", "b", 2)]
        self.assertEqual(self.stored(), expected)
        self.assertEqual(self.times(), [-23, -13, -13])
        query = urlencode({"data": data, "sentat": 553})
        self.assertEqual(self.push(f"{BULK}.json?{query}", method="GET").read(), b"ok")
        self.assertEqual(self.form(BULK, data=data, sentat=563).read(), b"ok")
        self.assertEqual(self.push(f"{BULK}?sentat=573", data).read(), b"ok")
        self.assertEqual(self.times()[3::3], [-33, -43, -53])

    def test_packed(self) -> None:
        """
        The list may be packed by zlib.
        """
        self.begin()
        packed = zlib.compress(b'[[0,"n",5]]')
        answer = self.push(f"{BULK}?cb=1&time=5", packed, Content_Type="application/octet-stream")
        self.assertEqual((answer.status, answer.read()), (200, b"ok"))
        self.assertEqual(self.stored(), [("n", "1", 5)])
        told = self.told(f"{BULK}?cb=1&time=5", b"nonsense")
        self.assertEqual(told["message"], "the body is not packed as it says")

    def test_partly(self) -> None:
        """
        What is not taken is told in the words of emoncms, and the others are stored.
        """
        self.begin()
        told = self.told(f"{BULK}?time=0", '[[5,"n",1],[6,"n"],[7,"n","x"]]')
        why = '2 of 3 were not taken: a row is a list of a time, a node and values: [6,"n"]'
        self.assertEqual(told, {"success": False, "message": why})
        self.assertEqual(self.stored(), [("n", "1", 1)])
        self.assertIn("there is no data", self.told(POST)["message"])
        self.assertIn("no list", self.told(BULK)["message"])

    def test_fields(self) -> None:
        """
        A form of ampersands is refused.
        """
        self.begin()
        told = self.told(POST, "a=1&" * 200, Content_Type=self.FORM)
        self.assertEqual(told["message"], "the form has more than 100 fields")


class BodyTests(PushTestCase):
    """
    How bodies may be packed, and how long they may be.
    """

    def test_packed(self) -> None:
        """
        Bodies may be packed by gzip, in several parts, or deflated.
        """
        self.begin()
        parts = gzip.compress(b"d a=1\n") + gzip.compress(b"d b=2\n")
        self.assertEqual(self.push(WRITE, parts, Content_Encoding="gzip").status, 204)
        self.assertEqual(
            self.push(WRITE, zlib.compress(b"d c=3"), Content_Encoding="deflate").status, 204
        )
        self.assertEqual(self.push(WRITE, b"d d=4", Content_Encoding="identity").status, 204)
        self.assertEqual([name for _device, name, _value in self.stored()], ["a", "b", "c", "d"])

    def test_parts(self) -> None:
        """
        A body of thousands of empty parts is refused, and nobody without the token has one
        unpacked.
        """
        self.begin()
        empty = zlib.compress(b"") * 5000
        self.assertEqual(self.push(WRITE, empty, Content_Encoding="deflate").status, 413)
        self.assertEqual(self.push(WRITE, b"x", auth="", Content_Encoding="gzip").status, 401)

    def test_broken(self) -> None:
        """
        What is not packed as it says, or not to its end, is refused.
        """
        self.begin()
        whole = gzip.compress(b"d a=1\n" * 100)
        for body, kind, status, why in (
            (b"d a=1", "gzip", 400, "the body is not packed as it says"),
            (whole[:-5], "gzip", 400, "the body is not complete"),
            (whole + b"x", "gzip", 400, "the body is not complete"),
            (whole, "br", 415, "the body is packed in a way that is not known here"),
        ):
            told = self.told(WRITE, body, status, Content_Encoding=kind)
            self.assertIn(why, told["error"])
        self.assertEqual(self.ledger(), (0, 0, 0, 0))

    def test_bomb(self) -> None:
        """
        A few bytes that are very many when they are unpacked are refused, and not unpacked.
        """
        self.begin(max_body=2048)
        body = gzip.compress(b"\n" * 3_000_000)[:2048]
        self.assertLess(len(gzip.compress(b"\n" * 300_000)), 2048)
        for packed in (body, gzip.compress(b"\n" * 300_000), gzip.compress(b"\n" * 2000) * 2):
            told = self.told(WRITE, packed, 413, Content_Encoding="gzip")
            self.assertEqual(
                told["error"], "the body is longer than 2048 bytes when it is unpacked"
            )
        told = self.told(f"{BULK}?cb=1", zlib.compress(b"[" * 300_000), 413)
        self.assertIn("when it is unpacked", told["message"])

    def test_long(self) -> None:
        """
        A body that is longer than the listener takes is refused before it comes.
        """
        self.begin(max_body=2048)
        self.assertEqual(self.push(JSON, _KITCHEN.ljust(2048)).status, 200)
        client = self.client()
        client.send(b"POST /write HTTP/1.1\r\nContent-Length: 2049\r\n\r\n")
        answer = client.answer()
        self.assertEqual(
            (answer.status, answer.read()), (413, b'{"error":"the body is longer than 2048 bytes"}')
        )

    def test_large(self) -> None:
        """
        A body may be longer than that of a command.
        """
        self.begin()
        self.assertEqual(self.push(WRITE, b"# " + b"x" * 500_000 + b"\nd v=1").status, 204)
        self.assertEqual(self.stored(), [("d", "v", 1)])

    def test_rows(self) -> None:
        """
        Too many rows are refused together.
        """
        self.begin()
        count = MAX_ROWS + 2
        told = self.told(WRITE, b"d v=1\n" * count, 413)
        self.assertEqual(told["error"], f"more than {MAX_ROWS} lines at once")
        told = self.told(JSON, b"[" + b"{}," * count + b"{}]", 413)
        self.assertEqual(told["error"], f"more than {MAX_ROWS} rows at once")
        self.assertEqual(self.ledger(), (0, 0, 0, 0))

    def test_room(self) -> None:
        """
        All bodies together have so much room, also those that do not come to an end; who finds none
        is told to come again. It is free as soon as a request is answered, or its client gone.
        """
        self.patch(pushed, "MAX_BODIES", 5000)
        self.begin(max_body=4096)
        first, second = self.client(), self.client()
        head = f"POST /write?p={TOKEN} HTTP/1.1\r\nContent-Length: 4000\r\n\r\n".encode()
        first.send(head + b"#" * 3900)
        second.send(head + b"#" * 3900)
        answer = second.answer()
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (503, "5"))
        self.assertEqual(answer.headers["Connection"], "close")
        self.assertEqual(self.push(WRITE, b"#" * 1000).status, 204)
        first.hangUp()
        second.hangUp()
        for _ in range(3):
            self.assertEqual(self.push(WRITE, b"#" * 4000).status, 204)

    def test_others(self) -> None:
        """
        Those who do not show the token in their head have a room of their own, and can send less.
        """
        self.patch(pushed, "MAX_OTHERS", 5000)
        self.patch(pushed, "_MOST_OF_OTHERS", 3000)
        self.begin()
        head = "POST /input/bulk{} HTTP/1.1\r\nContent-Length: {}\r\n\r\n"
        big, first, second, third = (self.client() for _ in range(4))
        big.send(head.format("?apikey=wrong", 3001).encode())
        self.assertEqual(big.answer().status, 401)
        first.send(head.format("", 3000).encode() + b"#" * 2900)
        second.send(head.format("", 3000).encode() + b"#" * 2900)
        self.assertEqual(second.answer().status, 503)
        third.send(head.format(f"?apikey={TOKEN}", 4000).encode() + b"#" * 4000)
        self.clock.advance(0.01)
        self.assertEqual(third.answer().status, 400)
        first.hangUp()
        self.assertEqual(self.push(WRITE, b"d v=1").status, 204)

    def test_unpacked(self) -> None:
        """
        What bodies are unpacked to counts as well, until it is stored.
        """
        self.patch(pushed, "MAX_BODIES", 50_000)
        self.begin()
        body = gzip.compress(b"#" * 30_000 + b"\nd v=1")
        self.writer.holding = True
        first = self.client()
        first.ask("POST", WRITE, body, Content_Encoding="gzip")
        self.clock.advance(0.01)
        self.assertEqual(self.push(WRITE, body, Content_Encoding="gzip").status, 503)
        self.writer.holding = False
        self.writer.release()
        self.assertEqual(first.answer().status, 204)
        self.assertEqual(self.push(WRITE, body, Content_Encoding="gzip").status, 204)

    def test_things(self) -> None:
        """
        A list of more things than are taken at once is refused as a whole, whatever they are.
        """
        self.begin()
        data = json.encode([1] * (MAX_ROWS + 1))
        for path in (JSON, BULK):
            told = self.told(path, data)
            self.assertIn(f"more than {MAX_ROWS} rows at once", str(told))
        self.assertEqual(self.ledger()[0], 2)


class TokenTests(PushTestCase):
    """
    Who is let in.
    """

    def test_ways(self) -> None:
        """
        The token can be shown in all the ways that clients have.
        """
        self.begin()
        basic = b64encode(f"anybody:{TOKEN}".encode()).decode()
        for auth in (f"Bearer {TOKEN}", f"token {TOKEN}", f"Token  {TOKEN}", f"Basic {basic}"):
            self.assertEqual(self.push(WRITE, "d v=1", auth=auth).status, 204, auth)
        for key in ("apikey", "token", "p"):
            self.assertEqual(self.push(f"{WRITE}?{key}={TOKEN}", "d v=1", auth="").status, 204)

    def test_wrong(self) -> None:
        """
        Without it nobody gets in, and each is told so in the words that it knows. Nothing is
        stored; it is counted, and logged now and then.
        """
        way = self.begin()
        why = "authorization failed: the token is missing or wrong"
        other = b64encode(f"{TOKEN}:x".encode()).decode()
        with capturedLogs() as logs:
            for auth in (
                "",
                "Bearer",
                "Bearer sesam",
                f"Basic {other}",
                "Basic ?",
                f"Digest {TOKEN}",
            ):
                told = self.told(JSON, _KITCHEN, 401, auth=auth)
                self.assertEqual(told, {"error": why})
            told = self.told(f"{WRITE}?p=%ff&token=", "d v=1", 401, auth="")
            self.assertEqual(told, {"error": why, "message": why, "code": "unauthorized"})
            told = self.told(f"{POST}?csv=1&apikey=x", "", 401, auth="")
            self.assertEqual(told, {"success": False, "message": why})
        self.assertEqual(way.factory.refused, 8)
        self.assertEqual(len(logs), 1)
        self.assertNotIn(TOKEN, str(logs))
        self.assertEqual(self.ledger(), (0, 0, 0, 0))
        answer = self.push(JSON, auth="")
        self.assertEqual(answer.headers["WWW-Authenticate"], 'Basic realm="sensord"')

    def test_none(self) -> None:
        """
        Without a token, this machine gets in, and nobody else.
        """
        self.begin(listen="tcp:8086:interface=127.0.0.1", token=Secret())
        client = self.client("127.0.0.1", "127.0.0.1")
        client.ask("POST", WRITE, b"d v=1", auth="", Host="localhost:8086")
        self.clock.advance(0.01)
        self.assertEqual(client.answer().status, 204)
        client = self.client("192.168.1.7", "192.168.1.1")
        client.ask("POST", WRITE, b"d v=1", auth="")
        self.assertEqual(client.answer().status, 403)

    def test_foreignPages(self) -> None:
        """
        Without a token, no page from elsewhere gets in, whatever it does to a browser here.
        """
        self.begin(listen="tcp:8086:interface=127.0.0.1", token=Secret())
        for status, fields in (
            (403, {"Host": "localhost:8086", "Origin": "http://evil.example"}),
            (403, {"Host": "localhost:8086", "Sec_Fetch_Site": "cross-site"}),
            (421, {"Host": "evil.example:8086"}),
        ):
            client = self.client("127.0.0.1", "127.0.0.1")
            client.ask("GET", f"{POST}?csv=1", auth="", **fields)
            self.assertEqual(client.answer().status, status)

    def test_networks(self) -> None:
        """
        Who is not of a network that is allowed is not let in: on a port of its own not at all, on
        that of the page not to this.
        """
        way = self.begin(allow=("10.0.0.0/8",))
        self.assertIsNone(self.client().protocol)
        way.factory.revise(PushSettings("push", "http", "tcp:1"))
        told = self.told(JSON, _KITCHEN, 403)
        self.assertEqual(told["error"], "your network is not allowed")
        self.assertEqual(way.factory.refused, 2)

    def test_methods(self) -> None:
        """
        What is asked in another way, or elsewhere, is refused.
        """
        self.begin()
        answer = self.push(WRITE, method="GET")
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "POST"))
        answer = self.push(POST, method="DELETE")
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, POST"))
        for path in ("/", "/api/v1/devices", "/writes"):
            self.assertEqual(self.told(path, status=404), {"error": "nothing can be pushed there"})


class FlowTests(PushTestCase):
    """
    When nothing can be stored, or not at once.
    """

    def ask(self, name: str = "x") -> Any:
        """
        A client that has asked for a reading to be stored.
        """
        client = self.client()
        client.ask("POST", JSON, f'{{"device":"d","{name}":1}}'.encode())
        return client

    def test_afterCommit(self) -> None:
        """
        The answer comes after the commit, not before.
        """
        self.begin()
        self.writer.holding = True
        client = self.ask()
        self.clock.advance(1)
        self.assertEqual((client.transport.value(), self.stored()), (b"", []))
        self.writer.release()
        self.assertEqual(client.answer().status, 200)
        self.assertEqual(len(self.stored()), 1)

    def test_notReady(self) -> None:
        """
        While nothing can be stored, all are told to come again; then it is stored.
        """
        way = self.begin()
        self.disk.trouble = ""
        first = self.ask("a")
        with capturedLogs():
            self.clock.advance(0.01)
        self.assertFalse(self.store.ready)
        self.assertEqual(way.state, "closed")
        for path in (JSON, WRITE, POST, BULK):
            answer = self.push(path, _KITCHEN)
            self.assertEqual((answer.status, answer.headers["Retry-After"]), (503, str(AFTER)))
        self.assertEqual(self.push("/ping", method="GET").status, 204)
        self.disk.trouble = None
        self.clock.advance(1)
        self.assertEqual(first.answer().status, 200)
        self.assertEqual((way.state, self.push(JSON, _KITCHEN).status), ("open", 200))
        self.assertEqual(self.ledger(), (3, 3, 0, 0))

    def test_late(self) -> None:
        """
        Who waits too long is told that it is not stored yet; it may be later.
        """
        self.begin()
        self.disk.trouble = ""
        client = self.ask()
        with capturedLogs():
            self.clock.pump([0.5] * int(PATIENCE * 2 - 1))
            self.assertEqual(client.transport.value(), b"")
            self.clock.pump([0.5] * 2)
        answer = client.answer()
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.read(), b'{"error":"it is not stored yet; try again"}')
        self.disk.trouble = None
        self.clock.pump([1] * 10)
        self.assertEqual((client.transport.value(), len(self.stored())), (b"", 1))

    def test_full(self) -> None:
        """
        While too much waits to be stored, requests wait, and go on in their order.
        """
        self.begin(100)
        self.writer.holding = True
        body = b"\n".join(b"d v%d=1" % number for number in range(90))
        first = self.client()
        first.ask("POST", WRITE, body)
        self.clock.advance(0.01)
        self.assertTrue(self.store.full)
        others = [self.ask("a"), self.ask("b")]
        self.assertEqual(self.store.pending, 90)
        self.writer.release()
        self.assertEqual(first.answer().status, 204)
        self.assertEqual(self.store.pending, 2)
        self.clock.advance(0.01)
        self.writer.release()
        self.assertEqual([one.answer().status for one in others], [200, 200])
        self.assertEqual([name for _d, name, _v in self.stored()[-2:]], ["a", "b"])

    def test_fullAgain(self) -> None:
        """
        Those that wait do not all go on at once: what the first brings may be enough.
        """
        self.begin(100)
        self.writer.holding = True
        bodies = [b"\n".join(b"d%d v%d=1" % (one, n) for n in range(90)) for one in range(3)]
        clients = []
        for body in bodies:
            clients.append(self.client())
            clients[-1].ask("POST", WRITE, body)
        self.clock.advance(0.01)
        for _ in range(3):
            self.assertEqual(self.store.pending, 90)
            self.writer.release()
            self.clock.advance(0.01)
        self.assertEqual([one.answer().status for one in clients], [204] * 3)
        self.assertEqual(len(self.stored()), 270)

    def test_fullForLong(self) -> None:
        """
        Who waits for too long is told to come again, and nothing of it is stored.
        """
        self.begin(100)
        self.writer.holding = True
        first = self.client()
        first.ask("POST", WRITE, b"\n".join(b"d v%d=1" % number for number in range(90)))
        self.clock.advance(0.01)
        client = self.ask("late")
        self.clock.advance(PATIENCE)
        answer = client.answer()
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (503, str(AFTER)))
        self.writer.release()
        self.clock.advance(1)
        self.assertEqual(len(self.stored()), 90)
        self.assertEqual(first.answer().status, 503)

    def test_gone(self) -> None:
        """
        What a client has sent that is gone is stored if it did not have to wait, and no answer is
        made. No timer is left behind.
        """
        self.begin(100)
        self.writer.holding = True
        first = self.ask("a")
        first.hangUp()
        self.clock.advance(0.01)
        full = self.client()
        full.ask("POST", WRITE, b"\n".join(b"d v%d=1" % number for number in range(90)))
        waiting = self.ask("b")
        waiting.hangUp()
        full.hangUp()
        self.writer.release()
        self.clock.advance(0.01)
        self.writer.release()
        self.assertEqual(len(self.stored()), 91)
        self.assertEqual((first.transport.value(), waiting.transport.value()), (b"", b""))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_unfit(self) -> None:
        """
        What no database takes is told, and logged.
        """
        self.begin()
        failing = self.store.account("push")
        self.patch(failing, "admit", _failing)
        with capturedLogs() as logs:
            answer = self.push(JSON, _KITCHEN)
        self.assertEqual((answer.status, answer.read()), (500, b'{"error":"it cannot be stored"}'))
        self.assertEqual(len(logs), 1)

    def test_fault(self) -> None:
        """
        A fault of ours costs one request, and is logged.
        """
        way = self.begin()
        self.patch(way.inlet.source, "decode", lambda host, events: 1 / 0)
        told = self.told(JSON, _KITCHEN, 500)
        self.assertEqual(told, {"error": "something is wrong here; see the log"})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


def _failing(intake: object) -> Any:
    return fail(ValueError("unfit"))

"""
An emoncms to send to, which takes what the real ones take, and answers as they do.

It keeps to what is known of their input: the key, which has 32 characters; times that only count
as far as they differ from that of sending; inputs that are made as they come, within the limits of
emoncms.org; null and texts, which it stores as 0 without a word; an object, of which it takes the
first name unless it is new; and everything before the row that it stumbles over, which stays.

Without a socket it is asked through L{agent}, with one it is the resource of a C{Site}.
"""

import json
import math
import re
import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qs

from treq.testing import RequestTraversalAgent
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

#: The key for writing, the key for reading.
KEY, READER = "0123456789abcdef" * 2, "f" * 32

#: How long names may be.
_NODE, _INPUT = 16, 64

_UNFIT = re.compile(r"[^\w\s.-]")


class Reply(NamedTuple):
    """
    What is answered.
    """

    status: int = 200
    body: str | bytes = "ok"
    headers: Mapping[str, str] = {}


class Asked(NamedTuple):
    """
    What was asked.

    @ivar query: what stood in the URL.
    @ivar form: what stood in the body, if it was a form.
    """

    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]
    body: bytes


class Emoncms(Resource):
    """
    The server.

    @ivar stored: what it has stored: times and numbers, by node and input, in the order in which
        they came.
    @ivar asked: all that it was asked.
    @ivar replies: what it answers the next requests instead of taking them.
    @ivar silent: whether it takes requests in and answers none.
    @ivar old: whether it knows nothing of many rows at a time.
    @ivar new: whether it takes more than the first name of an object.
    @ivar nodes: how many nodes it has room for.
    @param seconds: its clock.
    """

    isLeaf = True

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__()
        self.stored: dict[tuple[str, str], list[tuple[int, float]]] = {}
        self.asked: list[Asked] = []
        self.replies: list[Reply] = []
        self.silent = False
        self.old = False
        self.new = False
        self.nodes = 1000
        self._seconds = seconds

    def agent(self) -> RequestTraversalAgent:
        """
        Something to send requests through, without a socket.
        """
        return RequestTraversalAgent(self)

    def render(self, request: Request) -> bytes | int:
        """
        Answer a request.
        """
        assert request.content is not None
        body = request.content.read()
        headers = {
            name.decode().lower(): values[0].decode()
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        path, _mark, query = request.uri.decode().partition("?")
        form = "urlencoded" in headers.get("content-type", "")
        one = Asked(
            request.method.decode(),
            path,
            _fields(query),
            _fields(body.decode()) if form else {},
            headers,
            body,
        )
        self.asked.append(one)
        if self.silent:
            return NOT_DONE_YET
        reply = self.replies.pop(0) if self.replies else self.answer(one)
        request.setResponseCode(reply.status)
        for name, value in reply.headers.items():
            request.setHeader(name.encode(), value.encode())
        return reply.body.encode() if isinstance(reply.body, str) else reply.body

    def answer(self, one: Asked) -> Reply:
        """
        What is answered to a request.
        """
        given = {**one.query, **one.form}
        key = given.get("apikey") or one.headers.get("authorization", "").replace("Bearer ", "")
        if len(key) != 32 or key not in (KEY, READER):
            return Reply(401, "Invalid API key")
        action = one.path.removesuffix(".json").rpartition("/input/")[2]
        takes = {"post": self._post, "bulk": self._bulk}
        if action not in takes or (self.old and action == "bulk"):
            return Reply(406, '{"success":false,"message":"406 Not Acceptable. Route not found"}')
        if key == READER:
            return Reply(200, "")
        why = takes[action](given, one.body)
        if not why:
            return Reply()
        return Reply(200, json.dumps({"success": False, "message": why}) if self.new else why)

    def _bulk(self, given: Mapping[str, str], body: bytes) -> str:
        """
        Take many rows.

        @return: why not, if it does not.
        """
        text = given.get("data", "")
        if "cb" in given:
            try:
                text = zlib.decompress(body).decode()
            except zlib.error:
                text = ""
        try:
            rows = json.loads(text, parse_constant=_reject)
        except ValueError:
            rows = None
        if not isinstance(rows, list) or not rows:
            return "Format error, json string supplied is not valid"
        if not isinstance(rows[-1], list) or not rows[-1]:
            return "Format error, last item in bulk data does not contain any data"
        now = int(self._seconds())
        since = now - int(given["sentat"] if "sentat" in given else rows[-1][0])
        for row in rows:
            if len(row) > 2:
                if isinstance(row[1], dict):
                    return "Format error, node must not be an object"
                why = self._process(since + int(row[0]), str(row[1]), self._inputs(row[2:]))
                if why:
                    return why
        return ""

    def _inputs(self, items: list[object]) -> dict[str, float]:
        """
        The inputs of a row.
        """
        inputs: dict[str, float] = {}
        place = 1
        for item in items:
            if isinstance(item, dict):
                pairs = list(item.items())
                inputs.update(
                    (name, _float(value)) for name, value in (pairs if self.new else pairs[:1])
                )
            else:
                inputs[str(place)] = _float(item)
                place += 1
        return inputs

    def _post(self, given: Mapping[str, str], body: bytes) -> str:
        """
        Take one row.

        @return: why not, if it does not.
        """
        text = re.sub(r"[^\w\s.:,-]", "", given.get("json", ""))
        if not text:
            return "Request contains no data via csv, json or data tag"
        inputs = {}
        for pair in text.split(","):
            name, colon, value = pair.partition(":")
            if not name or not colon:
                return "Format error, json key missing or invalid character"
            try:
                inputs[name] = float(value)
            except ValueError:
                return "Format error, json value is not numeric"
        time = int(given["time"]) if "time" in given else int(self._seconds())
        return self._process(time, given.get("node", "0"), inputs)

    def _process(self, time: int, node: str, inputs: Mapping[str, float]) -> str:
        """
        Store a row.

        @return: why not, if it does not.
        """
        nodes = {node for node, _name in self.stored}
        if _UNFIT.search(node):
            return "Error: invalid node name"
        if len(node.encode()) > _NODE:
            return "Error: node name must be 16 characters or less"
        if node not in nodes and len(nodes) >= self.nodes:
            return (
                "Error: Reached the largest number of nodes, which is"
                f" {self.nodes}. Node '{node}' was ignored."
            )
        for name, value in inputs.items():
            if _UNFIT.search(name) or len(name.encode()) > _INPUT:
                return "Error: input name must be 64 characters or less, of letters and numbers"
            self.stored.setdefault((node, name), []).append((time, value))
        return ""


def _fields(text: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}


def _float(value: object) -> float:
    """
    What PHP makes of a value: null and texts are 0.
    """
    if isinstance(value, str):
        match = re.match(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", value)
        return float(match[0]) if match else 0.0
    number = float(value) if isinstance(value, int | float) else 0.0
    assert math.isfinite(number)
    return number


def _reject(text: str) -> float:
    raise ValueError(f"{text} is not JSON")

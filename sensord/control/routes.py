"""
All that the control API takes and answers, for those who write programs that ask it.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from sensord.control import answers, asked, describing, forgetting, hubs, outlets
from sensord.control.reloads import Changes
from sensord.control.sending import Sending
from sensord.control.series import Sparklines
from sensord.control.status import DaemonStatus
from sensord.hubs.hub import Status
from sensord.settings import DeviceSettings
from sensord.sinks.replay import Progress
from sensord.store.archive import Current
from sensord.store.letters import Letter
from sensord.store.mailbox import Delivery
from sensord.web.root import Login, Me

#: The kinds of what is no JSON.
EVENTS, CSV, TEXT, FORM = (
    "text/event-stream",
    "text/csv",
    "text/plain",
    "application/x-www-form-urlencoded",
)


class Route(Struct, frozen=True):
    """
    Something that can be asked.

    @ivar path: with parameters in pointed brackets.
    @ivar query: a struct with its parameters.
    @ivar body: the type of what is sent along.
    @ivar taken: how that is written.
    @ivar optional: whether nothing need be sent along.
    @ivar answer: the type of the answer, or of what an event tells.
    @ivar kind: how that is written.
    @ivar status: the usual one.
    @ivar choices: what parameters of the path can be.
    @ivar refusals: why it may be refused, by the status.
    """

    method: str
    path: str
    summary: str
    query: type[Struct] = asked.Nothing
    body: Any = None
    answer: Any = None
    kind: str = "application/json"
    taken: str = "application/json"
    status: int = 200
    optional: bool = False
    choices: Mapping[str, tuple[str, ...]] = {}
    refusals: Mapping[int, str] = {}


_UNSAVED = {
    400: "There is something wrong with the description; C{faults} has it one by one.",
    409: "It is described by hand, or there is nowhere to save it.",
}

#: What is served by L{sensord.control.api}.
ROUTES = (
    Route("GET", "/status", "How the daemon is.", answer=DaemonStatus),
    Route("GET", "/devices", "All devices, with their values.", answer=list[answers.Device]),
    Route(
        "GET",
        "/devices/description",
        "How a device is described.",
        asked.Place,
        answer=describing.Description,
    ),
    Route(
        "POST",
        "/devices/preview",
        "What the frames of a device in quarantine would be by a description.",
        body=DeviceSettings,
        answer=describing.Previewed,
    ),
    Route(
        "POST",
        "/devices/describe",
        "Save the description of a device, put it into effect, and decode what waits for it.",
        body=DeviceSettings,
        answer=describing.Described,
        refusals=_UNSAVED,
    ),
    Route(
        "POST",
        "/devices/forget",
        "Forget when a device was heard, and what other programs keep of it.",
        body=forgetting.Gone,
        answer=forgetting.Forgotten,
        refusals={404: "There is no such device.", 409: "It is there just now."},
    ),
    Route(
        "GET", "/latest", "The newest value of each series.", asked.OneSeries, answer=list[Current]
    ),
    Route("GET", "/history", "A series over time.", asked.Span, answer=answers.History),
    Route(
        "GET",
        "/sparklines",
        "The last hour of all that some devices have measured.",
        asked.Some,
        answer=Sparklines,
    ),
    Route("GET", "/export", "Stored readings.", asked.Extract, answer=str, kind=CSV),
    Route(
        "GET",
        "/commands",
        "What was sent down to devices, the newest first.",
        asked.Limit,
        answer=list[Delivery],
    ),
    Route(
        "POST",
        "/commands",
        "Send a value down to a device. 202: it waits for the device.",
        body=asked.Order,
        answer=Delivery,
        refusals={409: "It was refused; the answer is as for the others."},
    ),
    Route("GET", "/listeners", "The ways in.", answer=list[answers.Listening]),
    Route(
        "POST",
        "/listeners/<name>/<action>",
        "Start or stop a listener.",
        answer=answers.Listening,
        choices={"action": ("start", "stop")},
        refusals={404: "There is no such listener.", 409: "It cannot be started just now."},
    ),
    Route("GET", "/sinks", "The ways out.", answer=list[Sending]),
    Route(
        "POST",
        "/sinks/<name>/<action>",
        "Let a sink rest or go on, or forget one that is gone.",
        answer=Sending,
        choices={"action": ("pause", "resume", "forget")},
        refusals={404: "There is no such sink.", 409: "It is in use."},
    ),
    Route(
        "POST",
        "/sinks/<name>/replay",
        "Send history to a sink again. When whoever asked hangs up, it is stopped.",
        body=outlets.Past,
        answer=Progress,
        kind=EVENTS,
        refusals={404: "There is no such sink, or no such readings.", 409: "It cannot just now."},
    ),
    Route(
        "GET",
        "/dead-letters",
        "Readings that sinks have refused, the newest first.",
        asked.Letters,
        answer=list[Letter],
    ),
    Route(
        "POST",
        "/dead-letters/retry",
        "Have dead letters tried again; how many, by their sinks.",
        body=outlets.Choice,
        answer=dict[str, int],
    ),
    Route(
        "POST",
        "/dead-letters/drop",
        "Give dead letters up; how many, by their sinks.",
        body=outlets.Choice,
        answer=dict[str, int],
    ),
    Route(
        "GET",
        "/quarantine",
        "Frames that no description fits, the newest first.",
        asked.Frames,
        answer=list[answers.Frame],
    ),
    Route("GET", "/hubs", "The hubs.", answer=list[Status], refusals={404: "There is no manager."}),
    Route(
        "POST",
        "/hubs/<name>/<action>",
        "Do something with a hub; how it is then, or nothing if it is forgotten.",
        body=hubs.Group,
        optional=True,
        answer=list[Status],
        choices={"action": ("start", "stop", "restart", "forget")},
        refusals={404: "There is no such hub.", 409: "That is not possible."},
    ),
    Route(
        "POST",
        "/reload",
        "Read the configuration anew, and apply what has changed.",
        answer=Changes,
        refusals={409: "There is something wrong with it; nothing has changed."},
    ),
    Route(
        "GET",
        "/events",
        "What happens, as it happens: readings, devices, commands; each event has a list of them."
        " The header Last-Event-ID says where to go on.",
        asked.Patterns,
        answer=list[Any],
        kind=EVENTS,
    ),
    Route("GET", "/openapi.json", "This document.", answer=dict[str, Any]),
)


class _Pushed(Struct):
    device: str = ""
    token: str = ""


class _Written(Struct):
    precision: str = "ns"
    token: str = ""


class _Posted(Struct):
    node: str = ""
    time: str = ""
    fulljson: str = ""
    json: str = ""
    csv: str = ""
    data: str = ""
    apikey: str = ""


class _Bulk(Struct):
    data: str = ""
    sentat: str = ""
    offset: str = ""
    time: str = ""
    apikey: str = ""


_PUSHED = {
    401: "The token is missing, or wrong.",
    503: "Nothing can be stored just now; the header Retry-After says when to try again.",
}

#: What is served beside it, on the port of the page or of a listener that devices push to.
FOREIGN = (
    Route("GET", "/api/v1/session", "Who is logged in.", answer=Me, refusals={401: "Nobody is."}),
    Route(
        "POST",
        "/api/v1/session",
        "Log in.",
        body=Login,
        answer=Me,
        refusals={401: "Name or password is wrong.", 429: "There were too many attempts."},
    ),
    Route("DELETE", "/api/v1/session", "Log out.", answer=Any),
    Route(
        "POST",
        "/api/v1/readings",
        "For devices: store readings. It is answered when they are stored.",
        _Pushed,
        body=dict[str, Any] | list[dict[str, Any]],
        answer=Any,
        refusals=_PUSHED,
    ),
    *(
        Route(
            "POST",
            path,
            "For devices: store readings in InfluxDB's line protocol.",
            _Written,
            body=str,
            taken=TEXT,
            status=204,
            refusals=_PUSHED,
        )
        for path in ("/write", "/api/v2/write")
    ),
    Route("GET", "/ping", "For devices: whether somebody is there.", status=204),
    *(
        Route(
            method,
            path,
            "For devices: store readings as emoncms takes them, also with .json behind the path.",
            query,
            body=str if method == "POST" else None,
            taken=FORM,
            answer=str,
            kind=TEXT,
            refusals=_PUSHED,
        )
        for method, path, query in (
            ("GET", "/input/post", _Posted),
            ("POST", "/input/post", _Posted),
            ("GET", "/input/bulk", _Bulk),
            ("POST", "/input/bulk", _Bulk),
        )
    ),
)

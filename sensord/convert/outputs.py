"""
What takes readings: emoncms, brokers, InfluxDB.
"""

from sensord.convert.draft import Table
from sensord.convert.inputs import Part, broker, leave, paused
from sensord.convert.report import LeftOut

#: The topics of emonHub's own format, which sensord says as they are.
_OWN = "emonhub"

#: The most seconds in which readings are gathered.
_YEAR = 31_557_600

#: Where emoncms is if nothing is said of it.
_EMONCMS = "http://emoncms.org"


def buffer(part: Part) -> None:
    """
    An emoncms, of OemGateway.

    @raise LeftOut: if there is no such sink.
    """
    run = part.run
    domain, path = run.text("domain"), run.text("path")
    url = f"{run.text('protocol', default='http://')}{domain}/{path.lstrip('/')}".rstrip("/")
    active = run.flag("active", default=True)
    size = run.text("buffer_size")
    if not domain:
        raise LeftOut("no domain is said, so that nothing could be sent")
    table = _emoncms(part, url)
    # The servers of emoncms.org take many rows at a time; one of that age may not.
    if domain.lower() != "emoncms.org":
        table["single"] = True
        part.report.change(
            part.place,
            "single = true sends a row at a time, as before; without it, it goes faster, which an"
            " emoncms of the last years understands",
        )
    if not active or paused(part, "out", "o", "all", "t", "true"):
        table["active"] = False
        part.report.change(
            part.place,
            "active = false: what comes meanwhile is held for it, and is sent once it is active;"
            " before, it was not even recorded",
        )
    if size:
        part.report.change(
            part.place,
            f"buffer_size = {size}: what could not be sent is on the disk now, without a limit;"
            " max_backlog sets one",
        )
    _sink(part, table, url)


def emoncms(part: Part) -> None:
    """
    An emoncms, of emonHub. See L{buffer}.
    """
    run = part.run
    url = run.text("url", default=_EMONCMS).rstrip("/")
    send = run.flag("senddata", default=True)
    names = run.flag("sendnames", default=False)
    compress = run.flag("compress", default=names)
    interval = run.number("interval", "sendinterval", default=30, least=0, most=_YEAR)
    if run.flag("sendstatus", default=False):
        run.lose("sendstatus", "1", "sensord does not tell emoncms its own address (myip)")
    if not send:
        raise LeftOut("no data was sent, by senddata")
    table = _emoncms(part, url)
    table["interval"] = interval
    if compress:
        table["compress"] = True
    if not names:
        part.report.change(
            part.place,
            "values are sent by their names, and nodes by theirs; before, by number (those of"
            " nodes that are not listed are <listener>_<number>): emoncms will make new inputs, to"
            " which the logging to feeds has to be moved",
        )
    _pause(part, table)
    _sink(part, table, f"{url}, every {interval} s")


def mqtt(part: Part) -> None:
    """
    A broker that is told of readings: a sink for each format.
    """
    run = part.run
    connection = broker(part)
    formats = (
        ("emonhub", run.flag("node_format_enable", default=True), _base(part, "node", "emonhub/")),
        (
            "value",
            run.flag("nodevar_format_enable", default=False),
            _base(part, "nodevar", "nodes/"),
        ),
        ("json", run.flag("node_JSON_enable", default=False), _base(part, "JSON", "emon/")),
    )
    wanted = [(format, base) for format, said, base in formats if said]
    if not wanted:
        raise LeftOut("no format is enabled, so that nothing was published")
    run.text("timestamped")  # an object always says its time
    interval = run.number("interval", default=None, least=0, most=_YEAR)
    halted = run.text("pause")
    for format, base in wanted:
        place = f"{part.place} {format}"
        name = part.name if len(wanted) == 1 else f"{part.name}-{format}"
        table: Table = {
            "name": part.draft.name(part.place, name),
            "kind": "mqtt",
            **connection,
            "format": format,
        }
        if format != "emonhub":
            table["prefix"] = base
        elif base != _OWN:
            run.lose(
                "node_format_basetopic",
                f"{base}/",
                'sensord says this format at "emonhub/rx/<node>/values" and nowhere else',
                'format = "json" with a prefix of your own',
            )
        if interval:
            table["interval"] = interval
        if halted.lower() in ("all", "out"):
            _hold(part, table)
        part.draft.sink(place, table)
        part.report.carry(part.place, f'[[sinks]] "{table["name"]}": mqtt, {_said(table)}')
    _formats(part, {format for format, _base in wanted})
    leave(part)


def influx(part: Part) -> None:
    """
    An InfluxDB. See L{buffer}.
    """
    init, run = part.init, part.run
    host = init.text("influx_host", default="localhost").strip("[']")
    port = init.number("influx_port", default=8086, least=1, most=65535)
    table: Table = {
        "name": part.draft.name(part.place, part.name),
        "kind": "influxdb",
        "url": f"http://{host}:{port}",
        "database": init.text("influx_db", default="emoncms"),
        "user": init.text("influx_user", default="emoncms"),
        "password": init.secret("influx_passwd") or "emoncmspw",
    }
    table["interval"] = init.number("influx_interval", default=30, least=0, most=_YEAR)
    if (interval := run.number("interval", default=None, least=0, most=_YEAR)) is not None:
        table["interval"] = interval
    run.drop(
        "prefix",
        "there is no tag that all points of one sink have",
        '[tags] with prefix = "..." gives it to all series',
    )
    part.report.change(
        part.place,
        'the tag that was called "node" is called "device" now; points have the time at which'
        " they were measured, and no longer that of sending",
    )
    _pause(part, table)
    _sink(part, table, f"{table['url']}, database {table['database']}")


def _emoncms(part: Part, url: str) -> Table:
    """
    The settings of an emoncms.

    @raise LeftOut: without a key.
    """
    key = part.run.secret("apikey")
    if len(key) != 32:
        said = f"has {len(key)} characters, and not 32" if key else "is missing"
        raise LeftOut(
            f"its apikey {said}, so that nothing was sent",
            f'a [[sinks]] table with kind = "emoncms", url = "{url}" and the apikey for writing',
        )
    return {
        "name": part.draft.name(part.place, part.name),
        "kind": "emoncms",
        "url": url,
        "apikey": key,
    }


def _sink(part: Part, table: Table, said: str) -> None:
    leave(part)
    part.draft.sink(part.place, table)
    part.report.carry(part.place, f'[[sinks]] "{table["name"]}": {table["kind"]}, {said}')


def _pause(part: Part, table: Table) -> None:
    if paused(part, "all", "out", "o", "t", "true"):
        _hold(part, table)


def _hold(part: Part, table: Table) -> None:
    table["active"] = False
    part.report.change(
        part.place, "active = false: what comes meanwhile is held for it, on the disk"
    )


def _base(part: Part, format: str, default: str) -> str:
    """
    What the topics of a format begin with.
    """
    stem = format if format == "nodevar" else "node"
    middle = "JSON" if format == "JSON" else "format"
    return part.run.text(f"{stem}_{middle}_basetopic", default=default).rstrip("/")


def _said(table: Table) -> str:
    prefix = table.get("prefix", _OWN)
    return f"{table['broker']}, {prefix}/... as {table['format']}"


def _formats(part: Part, formats: set[str]) -> None:
    """
    Say what is not quite as emonHub published it.
    """
    part.report.change(part.place, "messages are said with QoS 1; before, with QoS 2")
    part.report.change(
        part.place,
        "readings are gathered for a second (interval), and kept on the disk until the broker has"
        " confirmed them",
    )
    if "emonhub" in formats:
        part.report.change(
            part.place,
            "the strength of the signal is said at emonhub/rx/<node>/rssi, and is not the last of"
            " the values; values are scaled as the node says",
        )
    if formats & {"value", "json"}:
        part.report.change(
            part.place,
            "nodes that are not listed are called <listener>%2F<number> in topics; a [[devices]]"
            " table gives one a name",
        )

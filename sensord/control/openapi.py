"""
The OpenAPI document: what the control API takes and answers, in the words of the structs that it is
made of. It takes long to import.
"""

import re
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

from msgspec import json

from sensord import __version__
from sensord.control.query import Trouble
from sensord.control.routes import EVENTS, FOREIGN, ROUTES, Route

#: What all paths of L{ROUTES} begin with.
_ROOT = "/api/v1"

_SCHEMAS = "#/components/schemas/{name}"

_INTRODUCTION = (
    "JSON over HTTP, on the UNIX socket beside the database and on the port of the page. Times are"
    " microseconds since the epoch, UTC; where a time is asked for, it may also be one such as"
    " 2025-11-20T18:00, or how long ago, such as 2h. A POST has to say Content-Type:"
    " application/json, even without a body. On the port of the page, what changes something needs"
    " the role of an operator, and, from a browser, to come from the page itself."
)

_Schema = dict[str, Any]


@cache
def document() -> bytes:
    """
    The document, as JSON.
    """
    routes = (*ROUTES, *FOREIGN)
    types = [kind for route in routes for kind in (route.body, route.answer) if kind is not None]
    queries = [route.query for route in routes]
    _references, shown = json.schema_components([*types, Trouble], ref_template=_SCHEMAS)
    _references, asked = json.schema_components(queries, ref_template=_SCHEMAS)
    for schema in (*shown.values(), *asked.values()):
        _explain(schema)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = route.path if route in FOREIGN else _ROOT + route.path
        operations = paths.setdefault(re.sub("<([a-z]+)>", r"{\1}", path), {})
        operations[route.method.lower()] = _operation(route, asked)
    return json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "sensord", "version": __version__, "description": _INTRODUCTION},
            "servers": [{"url": "/"}],
            "security": [{}, {"session": []}, {"password": []}],
            "paths": paths,
            "components": {
                "schemas": shown,
                "securitySchemes": {
                    "session": {"type": "apiKey", "in": "cookie", "name": "sensord"},
                    "password": {"type": "http", "scheme": "basic"},
                },
            },
        },
        order="deterministic",
    )


def _operation(route: Route, asked: Mapping[str, _Schema]) -> _Schema:
    """
    One operation.

    @param asked: the schemas of parameters, by the names of their structs.
    """
    words = re.findall("[a-z]+", route.path)
    schema = asked[route.query.__name__]
    required = schema.get("required", ())
    parameters: list[_Schema] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"}
            | ({"enum": route.choices[name]} if name in route.choices else {}),
        }
        for name in re.findall("<([a-z]+)>", route.path)
    ]
    parameters += (
        {"name": name, "in": "query", "required": name in required, "schema": inner}
        for name, inner in schema["properties"].items()
    )
    made: _Schema = {
        "operationId": "".join([route.method.lower(), *(word.title() for word in words)]),
        "summary": route.summary,
        "parameters": parameters,
        "responses": _responses(route),
    }
    if route.body is not None:
        made["requestBody"] = {
            "required": not route.optional,
            "content": {route.taken: {"schema": _schema(route.body)}},
        }
    return made


def _responses(route: Route) -> _Schema:
    """
    What may be answered.
    """
    answer: _Schema = {"description": HTTPStatus(route.status).phrase}
    if route.answer is not None:
        answer["content"] = {route.kind: {"schema": _schema(route.answer)}}
        if route.kind == EVENTS:
            answer["description"] = "Server-Sent Events, each of which has such data."
    refused = {"application/json": {"schema": _schema(Trouble)}}
    return {
        str(route.status): answer,
        **{
            str(status): {"description": _plain(why), "content": refused}
            for status, why in route.refusals.items()
        },
        "default": {"description": "It could not be done.", "content": refused},
    }


def _schema(kind: Any) -> _Schema:
    """
    The schema of a type, which refers to those of structs.
    """
    (schema,), _components = json.schema_components([kind], ref_template=_SCHEMAS)
    return schema


def _explain(schema: _Schema) -> None:
    """
    Put what the docstring of a struct says of its fields to them.
    """
    said, *notes = re.split(r"\n@ivar ", schema.pop("description", ""))
    if said:
        schema["description"] = _plain(said.partition("\n\n")[0])
    for note in notes:
        name, _colon, text = note.partition(":")
        if name in schema.get("properties", {}):
            schema["properties"][name] |= {"description": _plain(text)}


def _plain(text: str) -> str:
    """
    A text without its markup.
    """
    text = re.sub(r"C\{((?:[^{}]|\{[^{}]*\})*)\}", r"\1", " ".join(text.split()))
    return re.sub(r"L\{([^{}<]*)(?:<[^{}]*>)?\}", r"\1", text).replace("None", "null")

"""
Tests for L{sensord.control.openapi} and L{sensord.control.routes}.
"""

import re
from typing import Any

from msgspec import json

from sensord.control.api import ROOT, Api
from sensord.control.routes import FOREIGN, ROUTES
from tests.control.support import ApiTestCase


class DocumentTests(ApiTestCase):
    """
    C{GET /openapi.json}.
    """

    def setUp(self) -> None:
        """
        Ask for it.
        """
        super().setUp()
        self.document = self.get("openapi.json")

    def test_routes(self) -> None:
        """
        Every route of the API is in it, and nothing else but what is served elsewhere.
        """
        served = {
            (method, rule.rule.removeprefix(ROOT))
            for rule in Api._app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"HEAD"}
        }
        told = {(route.method, route.path) for route in ROUTES}
        self.assertEqual(told, served)
        operations = {
            (method.upper(), re.sub(r"\{(.*?)\}", r"<\1>", path))
            for path, methods in self.document["paths"].items()
            for method in methods
        }
        others = {(route.method, route.path) for route in FOREIGN}
        self.assertEqual(operations, {(method, ROOT + path) for method, path in told} | others)

    def test_operations(self) -> None:
        """
        Each operation has a name of its own, says what it does, and what is answered if it cannot.
        """
        operations = [
            one for methods in self.document["paths"].values() for one in methods.values()
        ]
        self.assertEqual(
            len({one["operationId"] for one in operations}), len(ROUTES) + len(FOREIGN)
        )
        for one in operations:
            self.assertTrue(one["summary"].endswith("."), one)
            refused = one["responses"]["default"]["content"]["application/json"]["schema"]
            self.assertEqual(refused, {"$ref": "#/components/schemas/Trouble"})

    def test_references(self) -> None:
        """
        Whatever is referred to is there, and what is there is referred to.
        """
        schemas = set(self.document["components"]["schemas"])
        text = json.encode(self.document).decode()
        self.assertEqual(set(re.findall(r'"#/components/schemas/([^"]+)"', text)), schemas)

    def test_parameters(self) -> None:
        """
        Parameters are described as they are checked.
        """
        operation = self.document["paths"]["/api/v1/history"]["get"]
        parameters = {one["name"]: one for one in operation["parameters"]}
        self.assertEqual(list(parameters), ["device", "name", "start", "end", "step", "points"])
        self.assertTrue(parameters["device"]["required"])
        self.assertFalse(parameters["start"]["required"])
        self.assertEqual(parameters["start"]["schema"], {"type": "string", "default": "24h"})
        self.assertEqual(parameters["points"]["schema"]["maximum"], 10_000)
        operation = self.document["paths"]["/api/v1/listeners/{name}/{action}"]["post"]
        self.assertEqual(
            [(one["name"], one["schema"]) for one in operation["parameters"]],
            [
                ("name", {"type": "string"}),
                ("action", {"type": "string", "enum": ["start", "stop"]}),
            ],
        )

    def test_words(self) -> None:
        """
        What is said of the fields is free of markup.
        """
        schemas = self.document["components"]["schemas"]
        address = schemas["DeviceSettings"]["properties"]["address"]
        self.assertEqual(address["description"], "<listener>/<id on the wire>.")
        heard = schemas["Device"]["properties"]["heard"]
        self.assertEqual(heard["description"], "null for never.")
        for text in _texts(self.document):
            self.assertNotRegex(text, r"[CLIB]\{|@\w+")

    def test_answers(self) -> None:
        """
        Answers are as they are described.
        """
        self.keep(("workshop", "oven", 1, 2))
        for path in ("status", "devices", "latest", "listeners", "sinks", "quarantine"):
            answer = self.get(path)
            operation = self.document["paths"][f"{ROOT}/{path}"]["get"]
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            if schema.get("type") == "array":
                schema = schema["items"]
            else:
                answer = [answer]
            found = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            for one in answer:
                self.assertEqual(set(one), set(found["properties"]), path)


def _texts(inner: Any) -> list[str]:
    """
    All descriptions in a document.
    """
    if isinstance(inner, dict):
        own = [inner["description"]] if isinstance(inner.get("description"), str) else []
        return [*own, *(text for one in inner.values() for text in _texts(one))]
    return [text for one in inner for text in _texts(one)] if isinstance(inner, list) else []

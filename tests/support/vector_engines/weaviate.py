"""A Weaviate server of one node: the part of its REST API and GraphQL that the provider speaks, and nothing beyond it.

GraphQL is parsed by the reference implementation; arguments and fields that Weaviate does not have are refused.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from graphql import parse
from graphql.language import (
    BooleanValueNode,
    EnumValueNode,
    FieldNode,
    FloatValueNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    StringValueNode,
    ValueNode,
)

from tests.support.vector_engines.documents import inner_product, relevances
from tests.support.vector_engines.loopback import REQUEST_BYTES_MAX

KEY = "weaviate-key-of-the-test"
HITS_MAX = 10_000


class Refused(Exception):
    pass


@dataclass
class _Collection:
    properties: dict[str, dict[str, Any]]
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)


class WeaviateServer:
    def __init__(self) -> None:
        self.collections: dict[str, _Collection] = {}

    def application(self) -> web.Application:
        application = web.Application(client_max_size=REQUEST_BYTES_MAX, middlewares=[self._guard])
        application.add_routes(
            [
                web.get("/v1/meta", self._meta),
                web.get("/v1/schema/{name}", self._get),
                web.post("/v1/schema", self._create),
                web.delete("/v1/schema/{name}", self._delete),
                web.post("/v1/batch/objects", self._write),
                web.delete("/v1/batch/objects", self._delete_objects),
                web.post("/v1/graphql", self._graphql),
            ]
        )
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"code": 401, "message": "invalid api key"}, status=401)
        try:
            response: web.StreamResponse = await handler(request)
        except Refused as refused:
            return web.json_response({"error": [{"message": str(refused)}]}, status=422)
        return response

    async def _meta(self, request: web.Request) -> web.Response:
        return web.json_response({"hostname": "http://[::]:8080", "modules": {}, "version": "1.33.0"})

    async def _get(self, request: web.Request) -> web.Response:
        if request.match_info["name"] not in self.collections:
            return web.Response(status=404)
        return web.json_response({"class": request.match_info["name"]})

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = body["class"]
        _require(name not in self.collections, f"class name {name} already exists")
        _require(name[0].isupper() and name.replace("_", "").isalnum(), f"'{name}' is not a valid class name")
        _require(body["vectorizer"] == "none" and body["vectorIndexConfig"] == {"distance": "dot"}, "another index")
        _require(body["invertedIndexConfig"] == {"stopwords": {"preset": "none"}}, "every word counts")
        self.collections[name] = _Collection({each["name"]: each for each in body["properties"]})
        return web.json_response(body)

    async def _delete(self, request: web.Request) -> web.Response:
        self.collections.pop(request.match_info["name"], None)
        return web.Response()

    async def _write(self, request: web.Request) -> web.Response:
        body = await request.json()
        written = []
        for each in body["objects"]:
            _only(each, {"class", "id", "vector", "properties"})
            collection = self.collections[each["class"]]
            _only(each["properties"], set(collection.properties))
            assert str(uuid.UUID(each["id"])) == each["id"]
            collection.objects[each["id"]] = each
            written.append({**each, "result": {"status": "SUCCESS"}})
        return web.json_response(written)

    async def _delete_objects(self, request: web.Request) -> web.Response:
        body = await request.json()
        _only(body, {"match", "output"})
        collection = self.collections[body["match"]["class"]]
        found = _kept(collection, body["match"]["where"])
        for each in found[:HITS_MAX]:
            del collection.objects[each["id"]]
        count = len(found[:HITS_MAX])
        return web.json_response(
            {"results": {"matches": count, "limit": HITS_MAX, "successful": count, "failed": 0, "objects": None}}
        )

    async def _graphql(self, request: web.Request) -> web.Response:
        (operation,) = parse((await request.json())["query"]).definitions
        assert isinstance(operation, OperationDefinitionNode)
        get = _only_field(operation)
        _require(get.name.value == "Get", "only Get is known")
        chosen = _only_field(get)
        name = chosen.name.value
        if name not in self.collections:
            message = f'Cannot query field "{name}" on type "GetObjectsObj".'
            return web.json_response({"errors": [{"message": message}]})
        arguments = {each.name.value: _value(each.value) for each in chosen.arguments or ()}
        _only(arguments, {"nearVector", "bm25", "where", "limit", "offset", "sort"})
        found = _search(self.collections[name], arguments)
        offset = arguments.get("offset", 0)
        _require(offset + arguments["limit"] <= HITS_MAX, "query maximum results exceeded")
        hits = found[offset : offset + arguments["limit"]]
        return web.json_response({"data": {"Get": {name: [_shown(chosen, *hit) for hit in hits]}}})


def _search(collection: _Collection, arguments: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Objects with what is known of them beyond their properties, in their order."""
    kept = _kept(collection, arguments["where"]) if "where" in arguments else list(collection.objects.values())
    if "nearVector" in arguments:
        _only(arguments["nearVector"], {"vector"})
        asked = arguments["nearVector"]["vector"]
        far = [({"distance": -inner_product(asked, each["vector"])}, each) for each in kept]
        return [(each, extra) for extra, each in sorted(far, key=lambda pair: pair[0]["distance"])]
    if "bm25" in arguments:
        _only(arguments["bm25"], {"query", "properties"})
        _require(arguments["bm25"]["properties"] == ["words"], "only words are searched")
        _require(collection.properties["words"]["tokenization"] == "whitespace", "words are split at spaces alone")
        texts = {id: each["properties"]["words"] for id, each in collection.objects.items()}
        scores = relevances(texts, arguments["bm25"]["query"].split())
        hits = [(each, {"score": str(scores[each["id"]])}) for each in kept if each["id"] in scores]
        return sorted(hits, key=lambda hit: -float(hit[1]["score"]))
    _require(arguments["sort"] == [{"path": ["_id"], "order": "asc"}], "pages need an order")
    return [(each, {}) for each in sorted(kept, key=lambda each: str(each["id"]))]


def _kept(collection: _Collection, where: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in collection.objects.values() if _matches(where, each["properties"], collection)]


def _matches(where: dict[str, Any], properties: dict[str, Any], collection: _Collection) -> bool:
    operator = where["operator"]
    if operator in ("And", "Or"):
        _only(where, {"operator", "operands"})
        parts = [_matches(each, properties, collection) for each in where["operands"]]
        return all(parts) if operator == "And" else any(parts)
    _only(where, {"operator", "path", "valueText"})
    (name,) = where["path"]
    _require(collection.properties[name]["tokenization"] == "field", f"{name} is not compared as a whole")
    found = properties[name] if isinstance(properties[name], list) else [properties[name]]
    match operator:
        case "Equal":
            return where["valueText"] in found
        case "NotEqual":
            return where["valueText"] not in found
        case "ContainsAny":
            return any(each in found for each in where["valueText"])
    raise Refused(f"unknown operator {operator}")


def _shown(chosen: FieldNode, each: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    assert chosen.selection_set is not None
    for wanted in chosen.selection_set.selections:
        assert isinstance(wanted, FieldNode)
        if wanted.name.value == "_additional":
            assert wanted.selection_set is not None
            known = {"id": each["id"], "vector": each["vector"], **extra}
            names = [inner.name.value for inner in wanted.selection_set.selections if isinstance(inner, FieldNode)]
            shown["_additional"] = {name: known[name] for name in names}
        else:
            shown[wanted.name.value] = each["properties"][wanted.name.value]
    return shown


def _only_field(node: OperationDefinitionNode | FieldNode) -> FieldNode:
    assert node.selection_set is not None
    (chosen,) = node.selection_set.selections
    assert isinstance(chosen, FieldNode)
    return chosen


def _value(node: ValueNode) -> Any:
    match node:
        case ListValueNode():
            return [_value(each) for each in node.values]
        case ObjectValueNode():
            return {each.name.value: _value(each.value) for each in node.fields}
        case IntValueNode():
            return int(node.value)
        case FloatValueNode():
            return float(node.value)
        case StringValueNode() | EnumValueNode() | BooleanValueNode():
            return node.value
    raise Refused(f"unknown value {node}")


def _only(body: dict[str, Any], known: set[str]) -> None:
    _require(set(body) <= known, f"unknown parameters {sorted(set(body) - known)}")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Refused(otherwise)

"""An Elasticsearch server of one node: the part of its REST API that the provider speaks, and nothing beyond it.

What it does not know, it refuses as Elasticsearch does: fields that are not mapped, parameters that do not exist,
vectors of another length.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.vector_engines.documents import inner_product, relevances
from tests.support.vector_engines.loopback import REQUEST_BYTES_MAX

KEY = "elastic-key-of-the-test"
CANDIDATES_MAX = 10_000
_SCRIPT = "ctx._source.tags = params.tags; ctx._source.attributes = params.attributes"


class Refused(Exception):
    """A 400 of the kind `illegal_argument_exception`."""


@dataclass
class _Index:
    mappings: dict[str, Any]
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)


class ElasticsearchServer:
    def __init__(self) -> None:
        self.indexes: dict[str, _Index] = {}

    def application(self) -> web.Application:
        application = web.Application(client_max_size=REQUEST_BYTES_MAX, middlewares=[self._guard])
        application.add_routes(
            [
                web.get("/", self._info),
                web.head("/{index}", self._head),
                web.put("/{index}", self._create),
                web.delete("/{index}", self._delete),
                web.post("/{index}/_bulk", self._bulk),
                web.post("/{index}/_search", self._search),
                web.post("/{index}/_delete_by_query", self._delete_by_query),
                web.post("/{index}/_update_by_query", self._update_by_query),
            ]
        )
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"ApiKey {KEY}":
            return _error(401, "security_exception", "unable to authenticate")
        name = request.match_info.get("index")
        if name is not None and request.method != "PUT" and name not in self.indexes:
            return _error(404, "index_not_found_exception", f"no such index [{name}]")
        try:
            response: web.StreamResponse = await handler(request)
        except Refused as refused:
            return _error(400, "illegal_argument_exception", str(refused))
        return response

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response({"version": {"number": "9.1.0"}, "tagline": "You Know, for Search"})

    async def _head(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _create(self, request: web.Request) -> web.Response:
        name, body = request.match_info["index"], await request.json()
        if name in self.indexes:
            return _error(400, "resource_already_exists_exception", f"index [{name}] already exists")
        _require(name == name.lower() and name[0] not in "_-+", f"invalid index name [{name}]")
        _only(body, {"mappings", "settings"})
        vector = body["mappings"]["properties"]["vector"]
        _require(vector["type"] == "dense_vector" and 1 <= vector["dims"] <= 4096, "dims must be 1 to 4096")
        _require(vector["similarity"] == "max_inner_product", "only the similarity that the test knows")
        _require(vector["index_options"]["type"] == "hnsw", "quantised scores are not those of the vectors")
        _require(body["mappings"]["dynamic"] == "strict", "unknown fields are to be refused")
        self.indexes[name] = _Index(body["mappings"]["properties"])
        return web.json_response({"acknowledged": True, "shards_acknowledged": True, "index": name})

    async def _delete(self, request: web.Request) -> web.Response:
        del self.indexes[request.match_info["index"]]
        return web.json_response({"acknowledged": True})

    async def _bulk(self, request: web.Request) -> web.Response:
        """Lines in pairs, the last one ended too; seen by the next search because of the refresh."""
        index, text = self._of(request), await request.text()
        _require(request.content_type == "application/x-ndjson", "Content-Type must be application/x-ndjson")
        _require(request.query.get("refresh") == "true", "the test expects a refresh")
        _require(text.endswith("\n"), "The bulk request must be terminated by a newline [\\n]")
        lines = [json.loads(line) for line in text.splitlines()]
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            _only(action, {"index"})
            _check_source(source, index.mappings)
            index.documents[action["index"]["_id"]] = source
        items = [{"index": {"_id": action["index"]["_id"], "status": 201}} for action in lines[::2]]
        return web.json_response({"took": 1, "errors": False, "items": items})

    async def _search(self, request: web.Request) -> web.Response:
        index, body = self._of(request), await request.json()
        _only(body, {"knn", "query", "size", "_source"})
        _require(body["size"] <= CANDIDATES_MAX, "Result window is too large")
        scores = _nearest(body["knn"], index) if "knn" in body else _relevant(body["query"], index)
        order = sorted(scores, key=lambda id: -scores[id])[: body["size"]]
        hits = [{"_index": request.match_info["index"], "_id": id, "_score": scores[id]} for id in order]
        return web.json_response({"took": 1, "timed_out": False, "hits": {"hits": hits}})

    async def _delete_by_query(self, request: web.Request) -> web.Response:
        index, body = self._of(request), await request.json()
        _only(body, {"query"})
        found = [id for id, source in index.documents.items() if _matches(body["query"], source)]
        for id in found:
            del index.documents[id]
        return web.json_response({"deleted": len(found), "version_conflicts": 0, "failures": []})

    async def _update_by_query(self, request: web.Request) -> web.Response:
        index, body = self._of(request), await request.json()
        _only(body, {"query", "script"})
        _require(body["script"]["lang"] == "painless" and body["script"]["source"] == _SCRIPT, "compile error")
        found = [source for source in index.documents.values() if _matches(body["query"], source)]
        for source in found:
            source.update(body["script"]["params"])
            _check_source(source, index.mappings)
        return web.json_response({"updated": len(found), "version_conflicts": 0, "failures": []})

    def _of(self, request: web.Request) -> _Index:
        return self.indexes[request.match_info["index"]]


def _nearest(knn: dict[str, Any], index: _Index) -> dict[str, float]:
    _only(knn, {"field", "query_vector", "k", "num_candidates", "filter"})
    _require(knn["k"] <= knn["num_candidates"] <= CANDIDATES_MAX, "[num_candidates] must be k to 10000")
    _require(len(knn["query_vector"]) == index.mappings["vector"]["dims"], "the query vector has another dimension")
    scores: dict[str, float] = {}
    for id, source in index.documents.items():
        if all(_matches(each, source) for each in knn["filter"]):
            product = inner_product(knn["query_vector"], source["vector"])
            scores[id] = product + 1 if product >= 0 else 1 / (1 - product)
    return dict(sorted(scores.items(), key=lambda item: -item[1])[: knn["k"]])


def _relevant(query: dict[str, Any], index: _Index) -> dict[str, float]:
    _only(query, {"bool"})
    _only(query["bool"], {"must", "filter"})
    (wanted,) = query["bool"]["must"]
    _require(index.mappings["words"]["analyzer"] == "whitespace", "words are split at spaces alone")
    _require(wanted["match"]["words"]["operator"] == "or", "one of the words is enough")
    texts = {id: source["words"] for id, source in index.documents.items()}
    found = relevances(texts, wanted["match"]["words"]["query"].split())
    kept = query["bool"]["filter"]
    return {id: s for id, s in found.items() if all(_matches(each, index.documents[id]) for each in kept)}


def _matches(query: dict[str, Any], source: dict[str, Any], path: str = "") -> bool:
    ((kind, body),) = query.items()
    if kind == "bool":
        _only(body, {"filter", "must_not", "should", "minimum_should_match"})
        enough = body.get("minimum_should_match", 0) <= sum(_matches(q, source, path) for q in body.get("should", []))
        required = all(_matches(each, source, path) for each in body.get("filter", []))
        return enough and required and not any(_matches(each, source, path) for each in body.get("must_not", []))
    if kind == "nested":
        inner = f"{body['path']}."
        return any(_matches(body["query"], each, inner) for each in source[body["path"]])
    ((name, value),) = body.items()
    found = source.get(name.removeprefix(path), [])
    values = found if isinstance(found, list) else [found]
    match kind:
        case "term":
            return value in values
        case "terms":
            return any(each in value for each in values)
        case "range":
            return any(_in_range(each, value) for each in values)
    raise Refused(f"unknown query [{kind}]")


def _in_range(found: Any, bounds: dict[str, Any]) -> bool:
    """A keyword is ordered by the bytes of its UTF-8."""
    ((operator, bound),) = bounds.items()
    if isinstance(found, str):
        found, bound = found.encode(), bound.encode()
    return bool({"gt": found > bound, "gte": found >= bound, "lt": found < bound, "lte": found <= bound}[operator])


def _check_source(source: dict[str, Any], mappings: dict[str, Any]) -> None:
    _only(source, set(mappings))
    _require(len(source["vector"]) == mappings["vector"]["dims"], "the vector has another dimension")
    for each in source["attributes"]:
        _only(each, set(mappings["attributes"]["properties"]))
        _require(isinstance(each.get("number", 0.0), int | float), "number is no double")
        _require(isinstance(each.get("string", ""), str), "string is no keyword")


def _only(body: dict[str, Any], known: set[str]) -> None:
    _require(set(body) <= known, f"unknown parameters {sorted(set(body) - known)}")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Refused(otherwise)


def _error(status: int, kind: str, reason: str) -> web.Response:
    return web.json_response({"error": {"type": kind, "reason": reason}, "status": status}, status=status)

"""A Qdrant server: its REST API over the engine of qdrant-client's local mode.

Bodies are read by the models that the client library generates from Qdrant's OpenAPI document, which refuse fields that
it does not name.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web
from qdrant_client import QdrantClient, models

from tests.support.vector_engines.loopback import REQUEST_BYTES_MAX

KEY = "qdrant-key-of-the-test"
INDEXABLE = {"document": "keyword", "tags": "keyword", "numbers[].key": "keyword", "numbers[].value": "float"}


class QdrantServer:
    def __init__(self) -> None:
        self.client = QdrantClient(":memory:")
        self.indexed: dict[str, dict[str, str]] = {}

    def application(self) -> web.Application:
        application = web.Application(client_max_size=REQUEST_BYTES_MAX, middlewares=[self._guard])
        at = "/collections/{name}"
        application.add_routes(
            [
                web.get("/collections", self._list),
                web.get(at, self._get),
                web.put(at, self._create),
                web.delete(at, self._delete),
                web.put(f"{at}/index", self._index_field),
                web.put(f"{at}/points", self._upsert),
                web.post(f"{at}/points/delete", self._delete_points),
                web.post(f"{at}/points/payload", self._set_payload),
                web.post(f"{at}/points/query", self._query),
            ]
        )
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("api-key") != KEY:
            return web.Response(status=401, text="Must provide an API key or an Authorization bearer token")
        name = request.match_info.get("name")
        makes = request.method in ("PUT", "DELETE") and request.path == f"/collections/{name}"
        if name is not None and not makes and not self.client.collection_exists(name):
            error = f"Not found: Collection `{name}` doesn't exist!"
            return web.json_response({"status": {"error": error}, "time": 0.0}, status=404)
        response: web.StreamResponse = await handler(request)
        return response

    async def _list(self, request: web.Request) -> web.Response:
        return _ok(self.client.get_collections().model_dump(mode="json"))

    async def _get(self, request: web.Request) -> web.Response:
        return _ok(self.client.get_collection(request.match_info["name"]).model_dump(mode="json"))

    async def _create(self, request: web.Request) -> web.Response:
        name, wanted = request.match_info["name"], models.CreateCollection.model_validate(await request.json())
        if self.client.collection_exists(name):
            return web.json_response(
                {"status": {"error": f"Wrong input: Collection `{name}` already exists!"}}, status=409
            )
        assert isinstance(wanted.vectors, models.VectorParams)
        self.indexed[name] = {}
        return _ok(self.client.create_collection(name, wanted.vectors))

    async def _delete(self, request: web.Request) -> web.Response:
        return _ok(self.client.delete_collection(request.match_info["name"]))

    async def _index_field(self, request: web.Request) -> web.Response:
        wanted = models.CreateFieldIndex.model_validate(await request.json())
        self.indexed[request.match_info["name"]][wanted.field_name] = str(wanted.field_schema)
        return _changed(request)

    async def _upsert(self, request: web.Request) -> web.Response:
        wanted = models.PointsList.model_validate(await request.json())
        self.client.upsert(request.match_info["name"], wanted.points)
        return _changed(request)

    async def _delete_points(self, request: web.Request) -> web.Response:
        self.client.delete(request.match_info["name"], models.FilterSelector.model_validate(await request.json()))
        return _changed(request)

    async def _set_payload(self, request: web.Request) -> web.Response:
        wanted = models.SetPayload.model_validate(await request.json())
        assert wanted.filter is not None
        selector = models.FilterSelector(filter=wanted.filter)
        self.client.set_payload(request.match_info["name"], wanted.payload, selector)
        return _changed(request)

    async def _query(self, request: web.Request) -> web.Response:
        name, wanted = request.match_info["name"], models.QueryRequest.model_validate(await request.json())
        assert isinstance(wanted.query, list)
        found = self.client.query_points(
            name, wanted.query, query_filter=wanted.filter, limit=wanted.limit or 10, with_payload=False
        )
        return _ok({"points": [{"id": p.id, "version": 1, "score": p.score} for p in found.points]})


def _ok(result: Any) -> web.Response:
    return web.json_response({"result": result, "status": "ok", "time": 0.001})


def _changed(request: web.Request) -> web.Response:
    """A change that is not waited for may not be seen by the next search."""
    assert request.query.get("wait") == "true"
    return _ok({"operation_id": 1, "status": "completed"})

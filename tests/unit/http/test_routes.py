"""Which routes there are: none open that should not be, hot and documented ones the same, unknown ones told so."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from llama_stack.config.auth import ApiKey
from llama_stack.http.documented import Direct
from llama_stack.security.authentication import ApiKeys, key_holder, new_key
from llama_stack.security.public import PUBLIC_PATHS
from tests.support.edge import CHAT, QUESTION, client, edge, raw

pytestmark = pytest.mark.anyio


def keyed() -> tuple[ApiKeys, str]:
    made = new_key()
    return ApiKeys([key_holder(ApiKey(id="ann", hash=made.hash, tenant="acme"))]), made.key


async def every_route(server: Any) -> list[tuple[str, str]]:
    """Method and path of all that answers: the hot table, FastAPI's routes and what it mounts besides."""
    app = await server.edge.cold.app()
    found = set(server.edge.hot)
    for route in app.routes:
        for method in getattr(route, "methods", None) or ["GET"]:
            found.add((method, re.sub(r"\{[^}]*\}", "some/id" if ":path" in route.path else "some-id", route.path)))
    return sorted(found)


async def test_every_route_but_the_public_ones_wants_a_key(tmp_path: Path) -> None:
    authenticator, key = keyed()
    async with edge(tmp_path, authenticator=authenticator) as (server, inference), client(server) as http:
        routes = [*await every_route(server), ("HEAD", "/v1/models"), ("HEAD", "/v1/providers")]
        assert {path for _, path in routes} >= {CHAT, "/metrics", "/openapi.json", "/docs", *PUBLIC_PATHS}
        for method, path in [*routes, ("GET", "/nowhere"), ("GET", "/v1/health/"), ("OPTIONS", CHAT)]:
            reply = await http.request(method, path)
            if path in PUBLIC_PATHS:
                assert reply.status_code in {200, 405}, (method, path)
                continue
            assert reply.status_code == 401, (method, path)
            assert reply.headers["www-authenticate"] == "Bearer"
            if method != "HEAD":
                assert reply.json()["error"]["type"] == "authentication_error"
            allowed = await http.request(method, path, headers={"x-api-key": key})
            assert allowed.status_code != 401, (method, path)
        assert not inference.calls


async def test_the_key_makes_the_principal(tmp_path: Path) -> None:
    authenticator, key = keyed()
    async with edge(tmp_path, authenticator=authenticator) as (server, inference), client(server) as http:
        await http.post(CHAT, json=QUESTION, headers={"authorization": f"Bearer {key}"})
        assert (inference.calls[0].principal.id, inference.calls[0].principal.tenant) == ("ann", "acme")
        assert dict(inference.calls[0].forward_headers).keys().isdisjoint({"authorization", "host", "x-api-key"})


@pytest.mark.parametrize("with_key", [False, True])
async def test_a_websocket_wants_a_key_too(tmp_path: Path, with_key: bool) -> None:
    authenticator, key = keyed()
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async with edge(tmp_path, authenticator=authenticator) as (server, _):
        headers = [(b"authorization", f"Bearer {key}".encode())] if with_key else []
        await server.edge({"type": "websocket", "path": "/v1/realtime", "headers": headers}, receive, send)
    (close,) = sent
    assert (close["type"], close["code"]) == ("websocket.close", 1008 if with_key else 3000)


async def test_no_path_opens_a_websocket_without_a_key(tmp_path: Path) -> None:
    authenticator, key = keyed()
    async with edge(tmp_path, authenticator=authenticator) as (server, _):
        paths = {path for _, path in await every_route(server)} | {"/nowhere", "/v1/responses/"}
        assert "/v1/responses" in paths
        told: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            told.append(message)

        for path in sorted(paths):
            for given in ({}, {b"authorization": b"Bearer sk-ls-guessed"}, {b"x-api-key": b""}):
                scope = {"type": "websocket", "path": path, "headers": list(given.items())}
                await server.edge(scope, receive, send)
                assert (told[-1]["type"], told[-1]["code"]) == ("websocket.close", 3000), path
        for path in sorted(paths - {"/v1/responses"}):
            known = [(b"authorization", f"Bearer {key}".encode())]
            await server.edge({"type": "websocket", "path": path, "headers": known}, receive, send)
            assert (told[-1]["type"], told[-1]["code"]) == ("websocket.close", 1008), path


async def test_an_upgrade_request_without_a_key(tmp_path: Path) -> None:
    authenticator, _ = keyed()
    async with edge(tmp_path, authenticator=authenticator) as (server, _):
        request = (
            b"GET /v1/realtime HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        reader, writer = await raw(server, request)
        assert (await reader.readline()).split()[1] in {b"401", b"403"}
        writer.close()


async def test_a_hot_route_and_its_documentation_have_one_handler(tmp_path: Path) -> None:
    async with edge(tmp_path) as (server, _):
        app = await server.edge.cold.app()
        documented = {
            (method, route.path): route.app.handler
            for route in app.routes
            if isinstance(route, APIRoute) and isinstance(route.app, Direct)
            for method in route.methods or ()
        }
        assert documented == dict(server.edge.hot)


async def test_a_hot_route_is_answered_by_its_handler_also_behind_fastapi(tmp_path: Path) -> None:
    async with edge(tmp_path) as (server, inference), client(server) as http:
        server.edge.hot = {}
        assert (await http.post(CHAT, json=QUESTION)).status_code == 200
        assert len(inference.calls) == 1


async def test_an_unknown_route(tmp_path: Path) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        for path in ("/nowhere", "/v1/chat/completions/", "/v1//models", "/v1/openai/v1/models", "/v1"):
            reply = await http.post(path, json={})
            error = reply.json()["error"]
            assert (reply.status_code, error["type"], error["code"]) == (404, "invalid_request_error", "unknown_url")
            assert f"POST {path}" in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", CHAT, "GET, POST"),
        ("GET", "/v1/embeddings", "POST"),
        ("POST", "/v1/health", "GET"),
        ("PATCH", "/v1/models/some/model", "DELETE, GET"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(tmp_path: Path, method: str, path: str, allow: str) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        reply = await http.request(method, path)
        assert (reply.status_code, reply.headers["allow"]) == (405, allow)
        assert reply.json()["error"]["code"] == "method_not_allowed"


async def test_many_first_requests_build_the_cold_routes_once(tmp_path: Path) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        replies = await asyncio.gather(*(http.get("/v1/providers") for _ in range(10)))
        assert [reply.json() for reply in replies] == [{"data": []}] * 10


async def test_health_version_and_routes(tmp_path: Path) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        for prefix in ("/v1", "/v1alpha/admin"):
            assert (await http.get(f"{prefix}/health")).json() == {"status": "OK"}
            assert (await http.get(f"{prefix}/version")).json() == {"version": "1.0.0"}
            assert (await http.get(f"{prefix}/providers/none")).status_code == 404
            routes = (await http.get(f"{prefix}/inspect/routes")).json()["data"]
            assert {"route": CHAT, "method": "POST", "provider_types": []} in routes
            alpha = (await http.get(f"{prefix}/inspect/routes?api_filter=v1alpha")).json()["data"]
            assert {route["route"].split("/")[1] for route in alpha} == {"v1alpha"}
            wrong = await http.get(f"{prefix}/inspect/routes?api_filter=v9")
            assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "api_filter")


async def test_models(tmp_path: Path) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        assert (await http.get("/v1/models")).json() == {"object": "list", "data": []}
        for method in ("GET", "DELETE"):
            reply = await http.request(method, "/v1/models/some/where/deep")
            assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")


async def test_the_openapi_document(tmp_path: Path) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        document = (await http.get("/openapi.json")).json()
        chat = document["paths"][CHAT]["post"]
        assert chat["requestBody"]["content"]["application/json"]["schema"] == {
            "$ref": "#/components/schemas/ChatCompletionRequest"
        }
        replies = chat["responses"]
        assert set(replies) == {"200", "4XX", "5XX"}
        assert replies["200"]["content"]["text/event-stream"]["schema"]["$ref"].endswith("/ChatCompletionChunk")
        assert replies["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/ChatCompletion")
        assert replies["4XX"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorResponse")
        listed = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
        assert listed >= set(server.edge.hot)
        assert (await http.get("/docs")).status_code == 200
        names = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
        assert len(names) == len(set(names))


def test_fastapi_is_not_loaded_until_a_route_needs_it() -> None:
    script = (
        "import sys, llama_stack.http.app; print([name for name in sys.modules if name in ('fastapi', 'starlette')])"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


@pytest.mark.parametrize("path", ["/v1/health", "/v1/models", "/v1/providers", "/docs"])
async def test_head_is_get_without_the_body(tmp_path: Path, path: str) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        got, head = await http.get(path), await http.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.content))
        assert head.headers["content-type"] == got.headers["content-type"]
        # The connection is where the client believes it to be: nothing of a body is left in it.
        assert (await http.get("/v1/health")).json() == {"status": "OK"}

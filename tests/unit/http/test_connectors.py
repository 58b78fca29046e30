"""The routes of connectors: what they take and give over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.responses import Response

from llama_stack.config.auth import ApiKey
from llama_stack.config.resources import ConnectorEntry
from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.dialects.openai.errors import render as render_openai
from llama_stack.http.asgi import Receive, Scope, Send
from llama_stack.http.dispatch import SCOPE_KEY
from llama_stack.http.documented import DocumentedApp
from llama_stack.http.routes.connectors import PATH, add_connector_routes
from llama_stack.mcp.client import McpClients
from llama_stack.net.egress import Egress, EgressPolicy
from llama_stack.security.authentication import ApiKeys, key_holder, new_key
from llama_stack.security.sealing import KeySealer
from llama_stack.services.connectors import ConnectorService
from llama_stack.storage.sql.connectors import ConnectorStore
from llama_stack.storage.sql.open import open_sql
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.principal import Call
from tests.support.mcp_server import LoopbackMcp

pytestmark = [
    pytest.mark.anyio,
    # `documented_app` builds the types of bodies where FastAPI's alias for them is not warned of.
    pytest.mark.filterwarnings("ignore::pydantic.warnings.UnsupportedFieldAttributeWarning"),
]

OPS, ANN = new_key(), new_key()
KEYS = ApiKeys(
    [
        key_holder(ApiKey(id="ops", hash=OPS.hash, attributes={"roles": ["operator"]})),
        key_holder(ApiKey(id="ann", hash=ANN.hash, attributes={"roles": ["user"]})),
    ]
)
TOKEN = "very-secret-token"


@dataclass
class Caller:
    """What the routes see of a request besides FastAPI's own."""

    headers: dict[bytes, bytes]
    is_json: bool = True

    def call(self) -> Call:
        return Call(principal=KEYS.authenticate(self.headers))


class Front:
    """The application with the edge's two jobs: it says who calls, and renders errors."""

    def __init__(self, app: DocumentedApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app({**scope, SCOPE_KEY: Caller(dict(scope["headers"]))}, receive, send)
        except LlamaStackError as error:
            await Response(render_openai(error), error.status, media_type="application/json")(scope, receive, send)


@pytest.fixture(scope="module")
def mcp() -> Iterator[LoopbackMcp]:
    with LoopbackMcp(authorization=f"Bearer {TOKEN}") as running:
        yield running


@asynccontextmanager
async def serving(directory: Path, *entries: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    database = await open_sql(SqlSqliteBackend(db_path=directory / "sql.db"))
    clients = McpClients(Egress(EgressPolicy(allow_private_networks=True)))
    configured = [ConnectorEntry.model_validate(entry) for entry in entries]
    app = DocumentedApp(title="test", redirect_slashes=False)
    store = ConnectorStore(database)
    add_connector_routes(app, ConnectorService(configured, store, clients, KeySealer([b"k" * 32])))
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(Front(app)), base_url="http://test") as http:
            http.headers["authorization"] = f"Bearer {OPS.key}"
            yield http
    finally:
        await clients.close()
        await database.close()


async def test_from_registration_to_removal(tmp_path: Path, mcp: LoopbackMcp) -> None:
    async with serving(tmp_path) as http:
        body = {"connector_id": "tools", "url": mcp.url, "authorization": TOKEN, "headers": {"X-Key": "other-secret"}}
        made = await http.post(PATH, json=body)
        assert made.status_code == 200, made.text
        assert made.json() | {"created_at": 0} == {
            "connector_type": "mcp",
            "connector_id": "tools",
            "url": mcp.url,
            "server_label": None,
            "server_name": None,
            "server_description": None,
            "server_version": None,
            "source": "registered",
            "created_at": 0,
            "health": {"status": "unknown", "message": None, "checked_at": None},
        }
        tested = (await http.post(f"{PATH}/tools/test")).json()
        assert (tested["status"], tested["server_name"]) == ("ok", "loopback")
        got = await http.get(f"{PATH}/tools")
        assert got.json()["health"]["status"] == "ok"
        listed = await http.get(PATH)
        assert [each["connector_id"] for each in listed.json()["data"]] == ["tools"]
        assert not any(secret in made.text + got.text + listed.text for secret in (TOKEN, "other-secret"))
        tools = (await http.get(f"{PATH}/tools/tools")).json()["data"]
        assert {"echo", "add"} <= {each["name"] for each in tools}
        assert (await http.delete(f"{PATH}/tools")).json() == {
            "object": "connector.deleted",
            "id": "tools",
            "deleted": True,
        }
        missing = await http.get(f"{PATH}/tools")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


async def test_authorization_of_one_call(tmp_path: Path, mcp: LoopbackMcp) -> None:
    async with serving(tmp_path, {"connector_id": "loop", "url": mcp.url}) as http:
        tool = f"{PATH}/loop/tools/echo"
        for given in ({"headers": {"Authorization-MCP": TOKEN}}, {"params": {"authorization": TOKEN}}):
            answer = await http.get(tool, **given)  # type: ignore[arg-type]
            assert (answer.status_code, answer.json().get("name")) == (200, "echo")
        both = await http.get(tool, headers={"Authorization-MCP": TOKEN}, params={"authorization": "wrong"})
        assert both.status_code == 200
        without = await http.get(tool)
        assert (without.status_code, without.json()["error"]["code"]) == (502, "mcp_http_error")
        unknown = await http.get(f"{PATH}/loop/tools/not/there", headers={"Authorization-MCP": TOKEN})
        assert unknown.status_code == 404


async def test_refusals(tmp_path: Path, mcp: LoopbackMcp) -> None:
    async with serving(tmp_path, {"connector_id": "local", "command": "true"}) as http:
        refusals: list[tuple[dict[str, Any], int, str | None]] = [
            ({"connector_id": "x", "command": "rm"}, 400, "command"),
            ({"connector_id": "../x", "url": mcp.url}, 400, "connector_id"),
            ({"connector_id": "x"}, 400, "url"),
            ({"connector_id": "local", "url": mcp.url}, 409, None),
        ]
        for body, status, param in refusals:
            refused = await http.post(PATH, json=body)
            assert (refused.status_code, refused.json()["error"]["param"]) == (status, param), refused.text
        assert (await http.delete(f"{PATH}/local")).status_code == 409
        http.headers["authorization"] = f"Bearer {ANN.key}"
        answers = [
            await http.post(PATH, json={"connector_id": "mine", "url": mcp.url}),
            await http.post(f"{PATH}/local/test"),
            await http.delete(f"{PATH}/local"),
        ]
        assert [each.status_code for each in answers] == [403, 403, 403]
        assert "role 'operator' or 'admin'" in answers[0].json()["error"]["message"]
        shown = (await http.get(PATH)).json()["data"]
        assert [(each["connector_id"], each["source"], each["url"]) for each in shown] == [("local", "config", None)]


async def test_the_document_has_all_routes(tmp_path: Path) -> None:
    app = DocumentedApp(title="test")
    add_connector_routes(app, None)  # type: ignore[arg-type]  # nothing is called
    paths = app.openapi()["paths"]
    assert {path: sorted(item) for path, item in paths.items()} == {
        PATH: ["get", "post"],
        f"{PATH}/{{connector_id}}": ["delete", "get"],
        f"{PATH}/{{connector_id}}/test": ["post"],
        f"{PATH}/{{connector_id}}/tools": ["get"],
        f"{PATH}/{{connector_id}}/tools/{{tool_name}}": ["get"],
    }
    assert "authorization" in str(paths[f"{PATH}/{{connector_id}}/tools"]["get"]["parameters"])


async def test_a_token_that_no_header_can_carry_is_the_callers_mistake(tmp_path: Path, mcp: LoopbackMcp) -> None:
    async with serving(tmp_path, {"connector_id": "tools", "url": mcp.url}) as http:
        for path in (f"{PATH}/tools", f"{PATH}/tools/tools", f"{PATH}/tools/tools/echo"):
            refused = await http.get(path, params={"authorization": "two\r\nlines"})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "authorization")

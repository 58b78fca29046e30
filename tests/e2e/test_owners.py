"""What is another's does not exist: every id of one caller in every route, and over WebSocket, for all others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from llama_stack.security.authentication import new_key
from tests.support.mcp_server import LoopbackMcp
from tests.support.responding import MODEL, RESPONSES, Responding, responding
from tests.support.upstream import Tool, calls, text

pytestmark = pytest.mark.anyio

CONVERSATIONS, PROMPTS, CONNECTORS = "/v1/conversations", "/v1/prompts", "/v1beta/connectors"
PRIVATE = "the code word is swordfish"
OTHERS = ("bob", "eve")
"""Another one of the same tenant, and one of the same name in another tenant."""


@dataclass(frozen=True, slots=True)
class House:
    up: Responding
    keys: dict[str, str]

    def headers(self, who: str, **more: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[who]}", **more}

    async def asks(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.up.http.request(method, path, json=body, headers=self.headers(who, **headers))

    async def responds(self, who: str, *, status: int = 200, **fields: Any) -> dict[str, Any]:
        reply = await self.asks(who, "POST", RESPONSES, {"model": MODEL, **fields})
        assert reply.status_code == status, reply.text
        found: dict[str, Any] = reply.json()
        return found


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    keys = {who: new_key() for who in ("ann", *OTHERS)}
    ids = {"ann": ("ann", "acme"), "bob": ("bob", "acme"), "eve": ("ann", "umbrella")}
    held = [
        {"id": ids[who][0], "tenant": ids[who][1], "hash": key.hash, "attributes": {"roles": ["operator"]}}
        for who, key in keys.items()
    ]
    server = {
        "auth": {"provider_config": {"type": "api_keys", "keys": held}},
        "egress": {"allow_private_networks": True},
    }
    async with responding(tmp_path, server=server) as up:
        yield House(up, {who: key.key for who, key in keys.items()})


def shows_nothing(reply: httpx.Response) -> None:
    assert reply.status_code in (400, 404), (reply.request.method, reply.url.path, reply.text)
    assert "swordfish" not in reply.text


async def test_responses_conversations_and_prompts(house: House) -> None:
    response = await house.responds("ann", input=PRIVATE)
    ongoing = await house.responds("ann", input=PRIVATE, background=True)
    items = [{"type": "message", "role": "user", "content": PRIVATE}]
    conversation = (await house.asks("ann", "POST", CONVERSATIONS, {"items": items})).json()["id"]
    listed = (await house.asks("ann", "GET", f"{CONVERSATIONS}/{conversation}/items")).json()
    item = listed["data"][0]["id"]
    prompt = (await house.asks("ann", "POST", PROMPTS, {"prompt": PRIVATE})).json()["prompt_id"]
    routes: list[tuple[str, str, Any]] = [
        ("GET", f"{RESPONSES}/{response['id']}", None),
        ("GET", f"{RESPONSES}/{response['id']}?stream=true", None),
        ("GET", f"{RESPONSES}/{response['id']}/input_items", None),
        ("POST", f"{RESPONSES}/{ongoing['id']}/cancel", None),
        ("DELETE", f"{RESPONSES}/{response['id']}", None),
        ("GET", f"{RESPONSES}?after={response['id']}", None),
        ("GET", f"{CONVERSATIONS}/{conversation}", None),
        ("POST", f"{CONVERSATIONS}/{conversation}", {"metadata": {"a": "b"}}),
        ("DELETE", f"{CONVERSATIONS}/{conversation}", None),
        ("GET", f"{CONVERSATIONS}/{conversation}/items", None),
        ("POST", f"{CONVERSATIONS}/{conversation}/items", {"items": items}),
        ("GET", f"{CONVERSATIONS}/{conversation}/items/{item}", None),
        ("DELETE", f"{CONVERSATIONS}/{conversation}/items/{item}", None),
        ("GET", f"{PROMPTS}/{prompt}", None),
        ("GET", f"{PROMPTS}/{prompt}/versions", None),
        ("PUT", f"{PROMPTS}/{prompt}", {"prompt": "mine", "version": 1}),
        ("PUT", f"{PROMPTS}/{prompt}/set-default-version", {"version": 1}),
        ("DELETE", f"{PROMPTS}/{prompt}", None),
    ]
    asked = len(house.up.upstream.requests)
    for who in OTHERS:
        for method, path, body in routes:
            shows_nothing(await house.asks(who, method, path, body))
        for fields in (
            {"previous_response_id": response["id"]},
            {"conversation": conversation},
            {"prompt": {"id": prompt}},
            {"input": [{"type": "item_reference", "id": item}]},
            {"input": [{"type": "item_reference", "id": response["output"][0]["id"]}]},
        ):
            request = {"model": MODEL, "input": "Hi", **fields}
            for path in (RESPONSES, f"{RESPONSES}/input_tokens", f"{RESPONSES}/compact"):
                shows_nothing(await house.asks(who, "POST", path, request))
            assert "swordfish" not in (told := await over_websocket(house, who, request))
            assert json.loads(told)["status"] in (400, 404)
        for path in (RESPONSES, PROMPTS):
            assert (await house.asks(who, "GET", path)).json()["data"] == []
    assert len(house.up.upstream.requests) == asked
    for method, path, body in routes[:3]:
        assert (await house.asks("ann", method, path, body)).status_code == 200


async def over_websocket(house: House, who: str, request: dict[str, Any]) -> str:
    url = f"ws://{house.up.server.host}:{house.up.server.port}{RESPONSES}"
    async with connect(url, additional_headers=house.headers(who), proxy=None) as socket, asyncio.timeout(10):
        await socket.send(json.dumps({"type": "response.create", **request}))
        return str(await socket.recv())


async def test_idempotency_keys_are_everybodys_own(house: House) -> None:
    same = {"model": MODEL, "input": "Hi"}
    replies = [
        (await house.asks(who, "POST", RESPONSES, same, **{"idempotency-key": "k"})).json()["id"]
        for who in ("ann", "ann", *OTHERS)
    ]
    assert replies[0] == replies[1]
    assert len(set(replies)) == 3


async def test_what_was_sealed_for_one_says_nothing_to_another(house: House) -> None:
    house.up.upstream.always(text("Hello.", reasoning="the code word is swordfish"))
    include = ["reasoning.encrypted_content"]
    mine = await house.responds("ann", input="Hi", store=False, include=include)
    thought = next(item for item in mine["output"] if item["type"] == "reasoning")
    assert thought["encrypted_content"]
    stolen = {"type": "reasoning", "summary": [], "encrypted_content": thought["encrypted_content"]}
    compacted = (await house.asks("ann", "POST", f"{RESPONSES}/compact", {"model": MODEL, "input": PRIVATE})).json()
    sealed = next(item for item in compacted["output"] if item["type"] == "compaction")
    house.up.upstream.requests.clear()
    for who in OTHERS:
        for item in (stolen, {"type": "compaction", "encrypted_content": sealed["encrypted_content"]}):
            await house.asks(
                who, "POST", RESPONSES, {"model": MODEL, "input": [item, {"role": "user", "content": "?"}]}
            )
    assert "swordfish" not in json.dumps([request.body for request in house.up.upstream.requests])
    assert "Hello." not in json.dumps([request.body for request in house.up.upstream.requests])


async def test_approvals_and_connectors(house: House) -> None:
    with LoopbackMcp() as server:
        tool = {"type": "mcp", "server_label": "a", "server_url": server.url, "require_approval": "always"}
        house.up.upstream.reply(calls(Tool("echo", {"text": "swordfish"})))
        asked = await house.responds("ann", input="Go", tools=[tool])
        request = next(item for item in asked["output"] if item["type"] == "mcp_approval_request")
        yes = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}
        for who in OTHERS:
            reply = await house.asks(who, "POST", RESPONSES, {"model": MODEL, "input": [yes], "tools": [tool]})
            assert "swordfish" not in reply.text
        assert server.log.calls("echo") == []

        new = {"connector_id": "mine", "url": server.url, "authorization": "swordfish"}
        made = await house.asks("ann", "POST", CONNECTORS, new)
        assert made.status_code in (200, 201), made.text
        assert "swordfish" not in made.text
        assert "swordfish" not in (await house.asks("bob", "GET", f"{CONNECTORS}/mine")).text
        for method, path in (
            ("GET", f"{CONNECTORS}/mine"),
            ("GET", f"{CONNECTORS}/mine/tools"),
            ("GET", f"{CONNECTORS}/mine/tools/echo"),
            ("POST", f"{CONNECTORS}/mine/test"),
            ("DELETE", f"{CONNECTORS}/mine"),
        ):
            shows_nothing(await house.asks("eve", method, path))
        before = len(server.app.requests)
        by_id = {"type": "mcp", "server_label": "a", "connector_id": "mine"}
        house.up.upstream.reply(text("No."))
        left = await house.responds("eve", input="Go", tools=[by_id])
        assert left["output"][0]["error"]
        assert len(server.app.requests) == before

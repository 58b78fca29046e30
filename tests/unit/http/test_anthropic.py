"""What Anthropic's clients are answered beside messages: errors in their shape, models in theirs, and `/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anthropic
import pytest

from llama_stack.config.auth import ApiKey
from llama_stack.security.authentication import ApiKeys, key_holder, new_key
from tests.support.edge import client, edge
from tests.support.server import Running

pytestmark = pytest.mark.anyio

VERSION = {"anthropic-version": "2023-06-01"}
CONFIG: dict[str, Any] = {
    "providers": {
        "inference": [
            {
                "provider_id": "away",
                "provider_type": "remote::openai",
                "config": {"base_url": "http://127.0.0.1:1/v1", "api_key": "k"},
            }
        ]
    },
    "registered_resources": {
        "models": [
            {"model_id": f"chat-{number}", "provider_id": "away", "model_type": "llm", "metadata": about}
            for number, about in enumerate(({"context_length": 4096, "display_name": "Chat"}, {}, {}, {}, {}))
        ]
        + [
            {
                "model_id": "embed",
                "provider_id": "away",
                "model_type": "embedding",
                "metadata": {"embedding_dimension": 3},
            }
        ]
    },
}


def sdk_for(server: Running, key: str = "none") -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=server.url, api_key=key, max_retries=0)


async def test_the_sdk_lists_the_models_that_answer_messages_in_pages(tmp_path: Path) -> None:
    async with edge(tmp_path, config=CONFIG) as (server, _), sdk_for(server) as sdk:
        listed = [model async for model in sdk.models.list(limit=2)]
        assert [model.id for model in listed] == [f"away/chat-{number}" for number in range(5)]
        assert (listed[0].display_name, listed[0].type) == ("Chat", "model")
        assert listed[1].display_name == "away/chat-1"
        assert listed[0].created_at.year >= 2024
        last = await sdk.models.list(before_id="away/chat-4", limit=3)
        assert [model.id for model in last.data] == ["away/chat-1", "away/chat-2", "away/chat-3"]
        assert (last.has_more, last.first_id, last.last_id) == (True, "away/chat-1", "away/chat-3")
        first = await sdk.models.list(before_id="away/chat-1")
        assert ([model.id for model in first.data], first.has_more) == (["away/chat-0"], False)


async def test_the_sdk_gets_a_model_by_its_own_name_and_by_one_of_anthropics(tmp_path: Path) -> None:
    async with edge(tmp_path, config=CONFIG) as (server, _), sdk_for(server) as sdk:
        assert (await sdk.models.retrieve("away/chat-2")).id == "away/chat-2"
        stood_for = await sdk.models.retrieve("claude-sonnet-4-6")
        assert (stood_for.id, stood_for.max_input_tokens) == ("away/chat-0", 4096)
        with pytest.raises(anthropic.NotFoundError) as raised:
            await sdk.models.retrieve("no-such-model")
        assert raised.value.type == "not_found_error"
        assert raised.value.request_id


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=many", "after_id=nobody", "after_id=away/chat-0&before_id=away/chat-2"]
)
async def test_a_page_that_cannot_be(tmp_path: Path, query: str) -> None:
    async with edge(tmp_path, config=CONFIG) as (server, _), client(server, headers=VERSION) as http:
        reply = await http.get(f"/v1/models?{query}")
        assert (reply.status_code, reply.json()["error"]["type"]) == (400, "invalid_request_error")
        assert reply.json()["error"]["message"].partition(":")[0] in {"limit", "after_id", "before_id"}


async def test_openais_clients_see_their_own_shape(tmp_path: Path) -> None:
    async with edge(tmp_path, config=CONFIG) as (server, _), client(server) as http:
        reply = await http.get("/v1/models?limit=2")
        assert len(reply.json()["data"]) == 6
        assert "request-id" not in reply.headers
        missing = (await http.get("/v1/models/nobody")).json()
        assert set(missing) == {"error"}
        assert missing["error"]["code"] == "model_not_found"


async def test_an_unknown_route_beside_messages(tmp_path: Path) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        reply = await http.get("/v1/messages/nowhere/at/all")
        body = reply.json()
        assert (reply.status_code, body["type"], body["error"]["type"]) == (404, "error", "not_found_error")
        assert body["request_id"] == reply.headers["request-id"] == reply.headers["x-request-id"]
        assert "GET /v1/messages/nowhere/at/all" in body["error"]["message"]
        assert (await http.get("/v1/messagesque")).json()["error"]["code"] == "unknown_url"


async def test_who_is_nobody_we_know(tmp_path: Path) -> None:
    made = new_key()
    keys = ApiKeys([key_holder(ApiKey(id="ann", hash=made.hash))])
    async with edge(tmp_path, config=CONFIG, authenticator=keys) as (server, _):
        async with sdk_for(server, "wrong") as sdk:
            with pytest.raises(anthropic.AuthenticationError) as raised:
                await sdk.models.list()
            assert raised.value.type == "authentication_error"
        async with sdk_for(server, made.key) as sdk:
            assert (await sdk.models.list()).data
        async with client(server) as http:
            assert (await http.head("/")).status_code == 200
            assert (await http.get("/")).json()["name"] == "Llama Stack"

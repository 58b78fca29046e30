"""Stored chat completions over HTTP: recorded whole or from a stream, and their owner's alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import msgspec
import openai
import pytest

from llama_stack.config.auth import ApiKey
from llama_stack.security.authentication import ApiKeys, key_holder, new_key
from llama_stack.services.completions import StoredCompletions
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.principal import Call, Principal
from tests.support.edge import CHAT, client, edge

pytestmark = pytest.mark.anyio

ANN, BOB = new_key(), new_key()
OWNER = Call(principal=Principal("ann"))
KEYS = ApiKeys([key_holder(ApiKey(id=name, hash=key.hash)) for name, key in (("ann", ANN), ("bob", BOB))])


def request(text: str, **more: object) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": text}], "store": True, **more}
    )


def completion(number: int) -> bytes:
    message = {"role": "assistant", "content": f"answer {number}", "refusal": None}
    return msgspec.json.encode(
        {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 1000 + number,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
            "from_the_provider": {"kept": True},
        }
    )


async def fill(stored: StoredCompletions) -> None:
    for number in range(5):
        asked = request(f"question {number}", metadata={"even": str(number % 2 == 0)})
        await stored.record(asked, completion(number), OWNER)


def of(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def test_pages_filters_and_single_completions(tmp_path: Path) -> None:
    async with edge(tmp_path, authenticator=KEYS) as (server, _):
        await fill(server.services.stored)
        async with client(server, headers=of(ANN.key)) as http:
            page = (await http.get(CHAT, params={"limit": 2})).json()
            assert [each["id"] for each in page["data"]] == ["chatcmpl-0", "chatcmpl-1"]
            assert (page["object"], page["has_more"], page["last_id"]) == ("list", True, "chatcmpl-1")
            page = (await http.get(CHAT, params={"after": "chatcmpl-1", "order": "asc"})).json()
            assert [each["id"] for each in page["data"]] == ["chatcmpl-2", "chatcmpl-3", "chatcmpl-4"]
            assert page["has_more"] is False
            page = (await http.get(CHAT, params={"metadata[even]": "False", "order": "desc"})).json()
            assert [each["id"] for each in page["data"]] == ["chatcmpl-3", "chatcmpl-1"]
            one = (await http.get(f"{CHAT}/chatcmpl-3")).json()
            assert one["from_the_provider"] == {"kept": True}
            assert one["metadata"] == {"even": "False"}
            changed = await http.post(f"{CHAT}/chatcmpl-3", json={"metadata": {"a": "b"}})
            assert changed.json()["metadata"] == {"a": "b"}
            messages = (await http.get(f"{CHAT}/chatcmpl-3/messages")).json()
            assert [(each["role"], each["content"]) for each in messages["data"]] == [("user", "question 3")]
            deleted = await http.delete(f"{CHAT}/chatcmpl-3")
            assert deleted.json() == {"object": "chat.completion.deleted", "id": "chatcmpl-3", "deleted": True}
            assert (await http.get(f"{CHAT}/chatcmpl-3")).status_code == 404


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"order": "up"}, "order"),
        ({"metadata[k]": "v" * 513}, "metadata.k"),
        ({"metadata": "k"}, "metadata"),
        ({"metadata[]": "v"}, "metadata"),
        ({"metadata[k": "v"}, "metadata"),
        ({"metadata[k]": ["v", "w"]}, "metadata.k"),
    ],
)
async def test_wrong_queries_are_named(tmp_path: Path, query: dict[str, Any], param: str) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        reply = await http.get(CHAT, params=query)
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", "invalid_json", None),
        (b"", "missing_required_parameter", None),
        (b'{"metadata": 5}', "invalid_type", "metadata"),
        (b"{}", "missing_required_parameter", "metadata"),
        (b"[]", "invalid_type", None),
    ],
)
async def test_wrong_changes_are_named(tmp_path: Path, body: bytes, code: str, param: str | None) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        reply = await http.post(f"{CHAT}/x", content=body, headers={"content-type": "application/json"})
        error = reply.json()["error"]
        assert reply.status_code == 400
        assert (error["param"], error["code"] if param else "") == (param, code if param else "")


async def test_what_is_anothers_is_not_there(tmp_path: Path) -> None:
    async with edge(tmp_path, authenticator=KEYS) as (server, _):
        await fill(server.services.stored)
        async with client(server, headers=of(BOB.key)) as http:
            assert (await http.get(CHAT)).json()["data"] == []
            replies: list[httpx.Response] = [
                await http.get(f"{CHAT}/chatcmpl-1"),
                await http.post(f"{CHAT}/chatcmpl-1", json={"metadata": {}}),
                await http.delete(f"{CHAT}/chatcmpl-1"),
                await http.get(f"{CHAT}/chatcmpl-1/messages"),
            ]
            assert [reply.status_code for reply in replies] == [404] * 4
            assert {reply.json()["error"]["code"] for reply in replies} == {"not_found"}


async def test_a_stream_is_kept_as_the_completion_that_it_is(tmp_path: Path) -> None:
    deltas = [{"role": "assistant", "content": "Hel"}, {"content": "lo"}, {}]
    events = b"".join(
        b"data: %s\n\n"
        % msgspec.json.encode(
            {
                "id": "chatcmpl-s",
                "object": "chat.completion.chunk",
                "created": 7,
                "model": "m",
                "choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}],
            }
        )
        for delta in deltas
    )
    async with edge(tmp_path, authenticator=KEYS) as (server, _):
        await server.services.stored.record_stream(request("hi"), events + b"data: [DONE]\n\n", OWNER)
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=ANN.key, max_retries=0) as sdk:
            kept = await sdk.chat.completions.retrieve("chatcmpl-s")
            assert kept.choices[0].message.content == "Hello"
            assert kept.choices[0].finish_reason == "stop"
            assert [each.id async for each in sdk.chat.completions.list()] == ["chatcmpl-s"]
            assert [each.content async for each in sdk.chat.completions.messages.list("chatcmpl-s")] == ["hi"]
            assert (await sdk.chat.completions.delete("chatcmpl-s")).deleted

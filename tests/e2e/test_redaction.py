"""A shield that redacts, on every route: the secret is in nothing that a model, a client or the storage gets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.edge import client, sdk_for
from tests.support.responding import MODEL, Responding
from tests.support.upstream import Say, Tool, Upstream, calls, text
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio

EMAIL = "jane.roe@mail.example.com"
GARDEN = "All is well in the garden of the house. " * 30
ANSWER = f"{GARDEN}Write to {EMAIL} then. {GARDEN}"
TOOL: Any = {"type": "function", "function": {"name": "ask", "parameters": {"type": "object"}}}


@asynccontextmanager
async def redacting(directory: Path) -> AsyncIterator[Responding]:
    async with Upstream() as upstream:
        inference = {"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": upstream.base_url}}
        pii = {"provider_id": "pii", "provider_type": "inline::pii", "config": {"action": "redact"}}
        sections: dict[str, Any] = {
            "providers": {"inference": [inference], "safety": [pii]},
            "registered_resources": {
                "models": [{"model_id": MODEL, "provider_id": "up"}],
                "shields": [{"shield_id": "pii", "provider_id": "pii"}],
            },
            "safety": {"guards": [{"shields": ["pii"]}]},
        }
        async with (
            whole_stack(directory, [], [], **sections) as server,
            client(server) as http,
            sdk_for(server) as openai,
        ):
            await upstream.wait_requests(1)  # for its models
            upstream.requests.clear()
            yield Responding(upstream, server, http, openai)


def asked(up: Responding) -> str:
    return json.dumps([request.body for request in up.upstream.requests])


async def test_chat(tmp_path: Path) -> None:
    async with redacting(tmp_path) as up:
        up.upstream.always(Say(ANSWER, tools=(Tool("ask", {"to": EMAIL}),)))
        body: Any = {"model": MODEL, "messages": [{"role": "user", "content": f"I am {EMAIL}"}], "tools": [TOOL]}
        whole = await up.openai.chat.completions.create(**body, store=True)
        message = whole.choices[0].message
        assert message.content == ANSWER.replace(EMAIL, "[EMAIL]")
        assert [json.loads(call.function.arguments) for call in message.tool_calls or ()] == [{"to": "[EMAIL]"}]
        streamed = await up.http.post("/v1/chat/completions", json={**body, "stream": True})
        assert EMAIL not in streamed.text
        assert "[EMAIL]" in streamed.text
        assert EMAIL not in asked(up)
        assert "I am [EMAIL]" in asked(up)
        stored = await up.http.get(f"/v1/chat/completions/{whole.id}")
        told = await up.http.get(f"/v1/chat/completions/{whole.id}/messages")
        assert EMAIL not in stored.text + told.text
        assert "I am [EMAIL]" in told.text


async def test_messages(tmp_path: Path) -> None:
    async with redacting(tmp_path) as up:
        up.upstream.always(text(ANSWER))
        said = [{"type": "text", "text": f"I am {EMAIL}"}]
        body = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": said}], "system": EMAIL}
        whole = await up.http.post("/v1/messages", json=body)
        assert whole.json()["content"][0]["text"] == ANSWER.replace(EMAIL, "[EMAIL]")
        streamed = await up.http.post("/v1/messages", json={**body, "stream": True})
        assert "[EMAIL]" in streamed.text
        assert EMAIL not in streamed.text + asked(up)


async def test_responses(tmp_path: Path) -> None:
    async with redacting(tmp_path) as up:
        up.upstream.always(Say(ANSWER, reasoning=f"It is {EMAIL}."))
        given: Any = [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"I am {EMAIL}"}]},
            {"type": "function_call", "call_id": "c", "name": "ask", "arguments": json.dumps({"to": EMAIL})},
            {"type": "function_call_output", "call_id": "c", "output": EMAIL},
        ]
        whole = await up.openai.responses.create(model=MODEL, input=given, instructions=f"You are {EMAIL}")
        assert whole.output_text == ANSWER.replace(EMAIL, "[EMAIL]")
        assert EMAIL not in whole.model_dump_json() + asked(up)
        assert "I am [EMAIL]" in asked(up)
        for path in (f"/v1/responses/{whole.id}", f"/v1/responses/{whole.id}/input_items"):
            assert EMAIL not in (await up.http.get(path)).text
        body = {"model": MODEL, "input": f"I am {EMAIL}", "previous_response_id": whole.id, "stream": True}
        streamed = await up.http.post("/v1/responses", json=body)
        assert "response.completed" in streamed.text
        assert "[EMAIL]" in streamed.text
        assert EMAIL not in streamed.text + asked(up)


async def test_calls_of_responses(tmp_path: Path) -> None:
    async with redacting(tmp_path) as up:
        up.upstream.always(calls(Tool("ask", {"to": EMAIL})))
        tool = {"type": "function", "name": "ask", "parameters": {"type": "object"}}
        reply = await up.http.post(
            "/v1/responses", json={"model": MODEL, "input": "Hi", "tools": [tool], "stream": True}
        )
        assert EMAIL not in reply.text
        events = [json.loads(line[6:]) for line in reply.text.split("\n") if line.startswith("data: {")]
        deltas = "".join(each["delta"] for each in events if each["type"] == "response.function_call_arguments.delta")
        [done] = [each for each in events if each["type"] == "response.function_call_arguments.done"]
        assert json.loads(deltas) == json.loads(done["arguments"]) == {"to": "[EMAIL]"}
        assert json.loads(events[-1]["response"]["output"][0]["arguments"]) == {"to": "[EMAIL]"}

"""Responses with a stored prompt, with secrets, after a restart, and by the embedded model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.e2e.conftest import CHAT_MODEL
from tests.support.edge import client as client_of
from tests.support.responding import MODEL, RESPONSES, responding
from tests.support.upstream import Upstream, Wire, text
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio

SECRETS = ("sk-of-the-caller", "token-of-the-server", "header-of-the-server")


async def test_a_stored_prompt_instructs_the_model(tmp_path: Path) -> None:
    async with responding(tmp_path) as up:
        template = {"prompt": "You speak {{language}}.", "variables": ["language"]}
        prompt_id = (await up.http.post("/v1/prompts", json=template)).json()["prompt_id"]
        prompt: Any = {"id": prompt_id, "variables": {"language": "Latin"}}
        response = await up.openai.responses.create(model=MODEL, input="Hi", prompt=prompt)
        assert up.said() == [("system", "You speak Latin."), ("user", "Hi")]
        assert response.prompt is not None
        assert response.prompt.id == prompt_id
        await up.openai.responses.create(model=MODEL, input="Hi", prompt=prompt, instructions="Be brief.")
        assert up.said() == [("system", "You speak Latin.\n\nBe brief."), ("user", "Hi")]
        refused = await up.http.post(RESPONSES, json={"model": MODEL, "prompt": {"id": f"pmpt_{'0' * 48}"}})
        assert (refused.status_code, refused.json()["error"]["param"]) == (404, "prompt.id")


async def test_secrets_reach_the_provider_and_are_stored_nowhere_in_the_clear(tmp_path: Path) -> None:
    async with responding(tmp_path) as up:
        tool = {
            "type": "mcp",
            "server_label": "nobody",
            "server_url": "http://192.0.2.1/mcp",
            "authorization": SECRETS[1],
            "headers": {"X-Key": SECRETS[2]},
        }
        reply = await up.http.post(
            RESPONSES,
            json={"model": MODEL, "input": "Hi", "tools": [tool], "tool_choice": "none"},
            headers={"X-LlamaStack-Provider-Data": json.dumps({"vllm_api_token": SECRETS[0]})},
        )
        shown = reply.json()["tools"][0]
        assert shown["server_label"] == "nobody"
        assert "authorization" not in shown
        assert not shown.get("headers")
        assert up.upstream.last.headers["authorization"] == f"Bearer {SECRETS[0]}"
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(b"nobody" in path.read_bytes() for path in files)
    for secret in SECRETS:
        assert not [path for path in files if secret.encode() in path.read_bytes()]


async def test_responses_and_their_events_outlive_the_server(tmp_path: Path) -> None:
    async with Upstream() as upstream:
        providers = [{"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": upstream.base_url}}]
        models = [{"model_id": MODEL, "provider_id": "up"}]
        async with whole_stack(tmp_path, providers, models) as server, client_of(server) as http:
            streamed = await http.post(RESPONSES, json={"model": MODEL, "input": "Hi", "stream": True})
        events = streamed.text.removesuffix("\n\n").split("\n\n")
        response_id = json.loads(events[0].split("data: ")[1])["response"]["id"]
        async with whole_stack(tmp_path, providers, models) as server, client_of(server) as http:
            again = await http.get(f"{RESPONSES}/{response_id}", params={"stream": True, "starting_after": 2})
            assert again.text.removesuffix("\n\n").split("\n\n") == events[3:]
            goes_on = {"model": MODEL, "input": "And?", "previous_response_id": response_id}
            assert (await http.post(RESPONSES, json=goes_on)).json()["status"] == "completed"
            assert len(upstream.last.body["messages"]) == 3


async def test_a_run_that_a_server_leaves_behind_goes_on_in_the_next(tmp_path: Path) -> None:
    timings = {"runs": {"drain_s": 0.0}, "shutdown_grace_s": 0.0}
    async with Upstream() as upstream:
        upstream.reply(text("One two three.", wire=Wire(stall_after=2)), text("One two three four."), on="completions")
        providers = [{"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": upstream.base_url}}]
        models = [{"model_id": MODEL, "provider_id": "up"}]
        async with whole_stack(tmp_path, providers, models, server=timings) as server, client_of(server) as http:
            await upstream.wait_requests(1)
            upstream.requests.clear()
            work = {"model": MODEL, "input": "Count", "background": True}
            response_id = (await http.post(RESPONSES, json=work)).json()["id"]
            await upstream.wait_requests(1)
        async with whole_stack(tmp_path, providers, models, server=timings) as server, client_of(server) as http:
            events = (await http.get(f"{RESPONSES}/{response_id}", params={"stream": True})).text
            found = (await http.get(f"{RESPONSES}/{response_id}")).json()
        assert found["status"] == "completed"
        assert found["output"][-1]["content"][0]["text"] == "One two three four."
        numbers = [json.loads(each.split("data: ")[1])["sequence_number"] for each in events.split("\n\n")[:-1]]
        assert numbers == list(range(len(numbers)))


def test_the_embedded_model_responds_and_counts(client: OpenAI) -> None:
    question = "Say hello, and nothing else."
    response = client.responses.create(model=CHAT_MODEL, input=question, max_output_tokens=16, temperature=0)
    assert response.status in ("completed", "incomplete")
    assert response.output_text
    assert response.usage is not None
    counted = client.responses.input_tokens.count(model=CHAT_MODEL, input=question)
    assert counted.input_tokens == response.usage.input_tokens

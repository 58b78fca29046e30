"""Ollama behind the whole server, asked by the openai and anthropic packages: what it has, what it is told to fetch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from llama_stack_api.ports.inference import PullsModels
from tests.support.ollama_upstream import TALKS, OllamaUpstream, ollama_says
from tests.support.server import Running
from tests.support.upstream import WAIT_S, Say, text
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio


@pytest.fixture
def ollama() -> OllamaUpstream:
    upstream = OllamaUpstream()
    upstream.library = {"qwen3:0.6b": {**TALKS, "capabilities": ["completion"]}}
    return upstream


@pytest.fixture
async def server(tmp_path: Path, ollama: OllamaUpstream) -> AsyncIterator[Running]:
    settings = {"base_url": ollama.url, "context_length": 4096, "keep_alive": "10m", "pull_models": ["qwen3:0.6b"]}
    with ollama:
        settings["base_url"] = ollama.url
        provider = {"provider_id": "ollama", "provider_type": "remote::ollama", "config": settings}
        pulled = {"model_id": "small", "provider_id": "ollama", "provider_model_id": "qwen3:0.6b"}
        async with whole_stack(tmp_path, [provider], [pulled]) as running:
            yield running


@pytest.fixture
async def client(server: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


async def listed(client: openai.AsyncOpenAI, count: int) -> dict[str, dict[str, Any]]:
    """What is listed, once there are so many."""
    async with asyncio.timeout(WAIT_S):
        while True:
            models = {
                model.id: dict(model.model_extra or {})["custom_metadata"] async for model in client.models.list()
            }
            if len([name for name in models if "/" in name]) >= count:
                return models
            await asyncio.sleep(0.01)


async def test_models_are_listed_as_what_they_are(client: openai.AsyncOpenAI) -> None:
    models = await listed(client, 2)
    talks, embeds = models["ollama/llama3.2:3b"], models["ollama/nomic-embed-text:latest"]
    assert (talks["model_type"], talks["context_length"], talks["tool_calling"]) == ("llm", 4096, True)
    assert (embeds["model_type"], embeds["embedding_dimension"]) == ("embedding", 8)
    made = await client.embeddings.create(model="ollama/nomic-embed-text:latest", input=["a", "b"])
    assert [len(item.embedding) for item in made.data] == [8, 8]


async def test_a_model_that_is_pulled_at_start_answers_soon(client: openai.AsyncOpenAI, ollama: OllamaUpstream) -> None:
    ollama.always(ollama_says(text("Ja.")), on="/api/chat")
    async with asyncio.timeout(WAIT_S):
        while "qwen3:0.6b" not in ollama.models:
            await asyncio.sleep(0.01)
    answer = await client.chat.completions.create(model="small", messages=[{"role": "user", "content": "Da?"}])
    assert answer.choices[0].message.content == "Ja."
    assert ollama.last.body["options"] == {"num_ctx": 4096}


async def test_thoughts_come_out_in_every_api(
    server: Running, client: openai.AsyncOpenAI, ollama: OllamaUpstream
) -> None:
    ollama.always(ollama_says(Say("Sonnig.", reasoning="Graz im Sommer.")), on="/api/chat")
    await listed(client, 2)
    asked: Any = {"max_tokens": 64, "messages": [{"role": "user", "content": "Wetter?"}]}
    async with (
        anthropic.AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0) as claude,
        claude.messages.stream(model="ollama/llama3.2:3b", **asked) as stream,
    ):
        message = await stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert ollama.last.body["options"] == {"num_ctx": 4096, "num_predict": 64}
    response = await client.responses.create(model="ollama/llama3.2:3b", input="Wetter?")
    assert response.output_text == "Sonnig."
    assert [item.type for item in response.output] == ["reasoning", "message"]


async def test_ollamas_own_settings_come_from_any_client(client: openai.AsyncOpenAI, ollama: OllamaUpstream) -> None:
    await listed(client, 2)
    await client.chat.completions.create(
        model="ollama/llama3.2:3b",
        messages=[{"role": "user", "content": "?"}],
        extra_body={"keep_alive": 0, "options": {"num_ctx": 1024}, "think": False},
    )
    sent = ollama.last.body
    assert (sent["keep_alive"], sent["options"], sent["think"]) == (0, {"num_ctx": 1024}, False)


async def test_a_model_that_nobody_pulled_is_a_404(client: openai.AsyncOpenAI) -> None:
    await listed(client, 2)
    with pytest.raises(openai.NotFoundError) as missing:
        await client.chat.completions.create(model="ollama/gone", messages=[{"role": "user", "content": "?"}])
    assert missing.value.code == "model_not_found"


def test_nobody_else_claims_to_pull(descriptors: dict[str, Any]) -> None:
    pulling = [kind for kind, found in descriptors.items() if issubclass(found.create, PullsModels)]
    assert pulling == ["remote::ollama"]

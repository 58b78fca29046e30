"""Each distribution, as it is shipped, gives a first answer through every API that it serves."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from llama_stack.config.locate import packaged_distributions
from tests.distributions.backends import BACKENDS
from tests.distributions.conftest import ANSWER, model_of
from tests.distributions.served import Distribution
from tests.support.batching import CHAT, ENDED, chat_line, jsonl, parsed
from tests.support.edge import client

pytestmark = pytest.mark.anyio

WAIT_S = 20.0
QUESTION: list[Any] = [{"role": "user", "content": "Who is there?"}]


def test_every_distribution_is_tried() -> None:
    assert BACKENDS.keys() == packaged_distributions().keys()


@pytest.mark.parametrize("name", BACKENDS)
async def test_it_answers(name: str, served: Distribution) -> None:
    model = model_of(name)
    chat = await served.openai.chat.completions.create(model=model, messages=QUESTION)
    assert chat.choices[0].message.content == ANSWER
    stream = await served.openai.chat.completions.create(model=model, messages=QUESTION, stream=True)
    pieces = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
    assert "".join(pieces) == ANSWER
    response = await served.openai.responses.create(model=model, input="Who is there?")
    assert response.output_text == ANSWER
    assert (await served.openai.responses.retrieve(response.id)).output_text == ANSWER
    message = await served.anthropic.messages.create(model=model, max_tokens=99, messages=QUESTION)
    assert message.content[0].text == ANSWER  # type: ignore[union-attr]

    embedded = await served.openai.embeddings.create(model=BACKENDS[name].embeds, input=["a", "b"])
    assert len(embedded.data) == 2
    assert len(embedded.data[0].embedding) > 1
    judged = await served.openai.moderations.create(input="Good morning.")
    assert judged.results[0].flagged is False
    async with client(served.server) as http:
        await _ranks(http, BACKENDS[name].ranks)
        await _searches(http)
        tools = (await http.get("/v1/tools")).json()["data"]
        assert {"web_search", "file_search"} & {tool.get("name") for tool in tools}, tools
    await _batches(served.openai, model)


async def _ranks(http: httpx.AsyncClient, model: str) -> None:
    ranked = await http.post(
        "/v1alpha/inference/rerank", json={"model": model, "query": "France", "items": ["Paris", "Rome"]}
    )
    assert {each["index"] for each in ranked.json()["data"]} == {0, 1}, ranked.text


async def _searches(http: httpx.AsyncClient) -> None:
    """A file is kept, read, embedded and found."""
    file = await http.post(
        "/v1/files", data={"purpose": "assistants"}, files={"file": ("facts.md", b"Paris is the capital of France.")}
    )
    store = await http.post("/v1/vector_stores", json={"name": "facts"})
    assert store.status_code == 200, store.text
    address = f"/v1/vector_stores/{store.json()['id']}"
    added = await http.post(f"{address}/files", json={"file_id": file.json()["id"]})
    assert added.status_code == 200, added.text
    async with asyncio.timeout(WAIT_S):
        while (kept := await http.get(f"{address}/files/{file.json()['id']}")).json()["status"] == "in_progress":
            await asyncio.sleep(0.02)
    assert kept.json()["status"] == "completed", kept.text
    found = await http.post(f"{address}/search", json={"query": "capital of France"})
    assert "Paris" in found.text


async def _batches(openai: AsyncOpenAI, model: str) -> None:
    lines = jsonl([chat_line("first", model=model)])
    file = await openai.files.create(file=("in.jsonl", lines), purpose="batch")
    batch = await openai.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    async with asyncio.timeout(WAIT_S):
        while (batch := await openai.batches.retrieve(batch.id)).status not in ENDED:
            await asyncio.sleep(0.02)
    assert batch.status == "completed", batch
    assert batch.output_file_id is not None, batch
    (answered,) = parsed((await openai.files.content(batch.output_file_id)).content)
    assert answered["response"]["body"]["choices"][0]["message"]["content"] == ANSWER

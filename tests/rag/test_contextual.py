"""A model's words about chunks: what it is shown, how often it is asked, what happens if it fails."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace

import pytest

from llama_stack.rag.chunk import ChunkSizes, TextChunk, chunks_of
from llama_stack.rag.contextual import PROMPT, ContextSettings, ContextWriter
from llama_stack.rag.retry import Patience
from llama_stack.rag.tokens import count_tokens
from llama_stack_api.errors import InvalidRequest, LlamaStackError, ProviderError, ProviderTimeout, RateLimited
from llama_stack_api.ports.file_processors import ParsedFile
from llama_stack_api.principal import Call

pytestmark = pytest.mark.anyio

DOCUMENT = "\n\n".join(f"Paragraph {number} is about {{topic}} {number}." for number in range(40))
CHUNKS = list(chunks_of(ParsedFile(DOCUMENT, "", ""), ChunkSizes(12, 0)))
SETTINGS = ContextSettings("model", "<{WHOLE_DOCUMENT}|{CHUNK_CONTENT}>", 30.0, 3)


class Narrator:
    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.failures: deque[LlamaStackError] = deque()
        self.at_once = 0
        self.most_at_once = 0
        self.hangs = False

    async def complete(self, model: str, prompt: str, *, max_tokens: int, temperature: float | None, call: Call) -> str:
        self.prompts.append(prompt)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(3600 if self.hangs else 0)
        finally:
            self.at_once -= 1
        if self.failures:
            raise self.failures.popleft()
        return f"  About {prompt[-20:-1]}\n"


def writer(narrator: Narrator, tokens_max: int = 100_000) -> ContextWriter:
    return ContextWriter(narrator, document_tokens_max=tokens_max, patience=Patience(4, 0.001, 0.002))


async def test_each_chunk_is_shown_in_its_document() -> None:
    narrator = Narrator()
    contexts = await writer(narrator).contexts(DOCUMENT, CHUNKS, SETTINGS, Call())
    assert sorted(narrator.prompts) == sorted(f"<{DOCUMENT}|{chunk.text}>" for chunk in CHUNKS)
    assert contexts == [f"About {chunk.text[-19:]}".strip() for chunk in CHUNKS]
    assert narrator.most_at_once == 3


async def test_of_a_long_document_the_surroundings_are_shown() -> None:
    narrator = Narrator()
    await writer(narrator, 100).contexts(DOCUMENT, CHUNKS, SETTINGS, Call())
    for prompt in narrator.prompts:
        document, chunk = prompt[1:-1].split("|")
        assert count_tokens(document) <= 100
        assert chunk in document


@pytest.mark.parametrize("error", [RateLimited("no", retry_after_s=0.001), ProviderError("no", upstream_status=500)])
async def test_three_retries(error: LlamaStackError) -> None:
    narrator = Narrator()
    narrator.failures.extend([error] * 3)
    assert len(await writer(narrator).contexts(DOCUMENT, CHUNKS[:1], SETTINGS, Call())) == 1
    narrator.failures.extend([error] * 4)
    with pytest.raises(type(error)):
        await writer(narrator).contexts(DOCUMENT, CHUNKS[:1], SETTINGS, Call())


async def test_a_refusal_ends_all_at_once() -> None:
    narrator = Narrator()
    narrator.failures.append(InvalidRequest("no"))
    with pytest.raises(InvalidRequest):
        await writer(narrator).contexts(DOCUMENT, CHUNKS, SETTINGS, Call())
    assert len(narrator.prompts) < len(CHUNKS)
    assert narrator.at_once == 0


async def test_a_model_that_does_not_answer_is_named() -> None:
    narrator = Narrator()
    narrator.hangs = True
    with pytest.raises(ProviderTimeout, match="'model'"):
        await writer(narrator).contexts(DOCUMENT, CHUNKS[:1], replace(SETTINGS, timeout_s=0.01), Call())


def test_the_prompt_shows_both() -> None:
    assert PROMPT.count("{WHOLE_DOCUMENT}") == PROMPT.count("{CHUNK_CONTENT}") == 1
    assert isinstance(CHUNKS[0], TextChunk)

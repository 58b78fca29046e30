"""Contextual chunks: a model says where in its document a chunk stands, and that is embedded and searched with it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from llama_stack.rag.chunk import TextChunk
from llama_stack.rag.ports import CompletionPort
from llama_stack.rag.retry import Patience, retried
from llama_stack.rag.tokens import count_tokens, first_tokens
from llama_stack_api.errors import InvalidRequest, LlamaStackError, ProviderTimeout
from llama_stack_api.principal import Call

CONTEXT_TOKENS_MAX: Final = 256
DOCUMENT: Final = "{WHOLE_DOCUMENT}"
CHUNK: Final = "{CHUNK_CONTENT}"
PROMPT: Final = (
    f"<document>\n{DOCUMENT}\n</document>\n\nThis is one part of the document above:\n<part>\n{CHUNK}\n</part>\n\n"
    "Say in one or two sentences where the part stands in the document and what it is about, so that a search can find "
    "it. Answer with these sentences alone."
)
_PLACEHOLDER: Final = re.compile(r"\{(?:WHOLE_DOCUMENT|CHUNK_CONTENT)\}")
_CHARACTERS_PER_TOKEN: Final = 4


@dataclass(frozen=True, slots=True)
class ContextSettings:
    model: str
    prompt: str
    timeout_s: float
    concurrency_max: int

    @classmethod
    def of(cls, chunking: Mapping[str, Any]) -> Self | None:
        """Of what `strategy.chunking_of` gave; None for another strategy. `InvalidRequest` if no model is named."""
        if chunking["type"] != "contextual":
            return None
        asked = chunking["contextual"]
        if asked["model_id"] is None:
            raise InvalidRequest(
                "Contextual chunking needs a model: name one as 'model_id', or set "
                "vector_stores.contextual_retrieval_params.model in the run config.",
                param="chunking_strategy",
            )
        return cls(
            asked["model_id"], asked["context_prompt"] or PROMPT, asked["timeout_seconds"], asked["max_concurrency"]
        )


class ContextWriter:
    """`document_tokens_max`: of a longer document, the model sees what surrounds the chunk."""

    def __init__(
        self, completions: CompletionPort, *, document_tokens_max: int, patience: Patience | None = None
    ) -> None:
        self._completions = completions
        self._document_tokens_max = document_tokens_max
        self._patience = patience or Patience(tries=4)

    async def contexts(
        self, document: str, chunks: Sequence[TextChunk], settings: ContextSettings, call: Call
    ) -> list[str]:
        """Of each chunk, in order; empty where the model says nothing."""
        places = asyncio.Semaphore(settings.concurrency_max)
        whole = self._fits(document)

        async def context(chunk: TextChunk) -> str:
            async with places:
                seen = document if whole else self._surroundings(document, chunk)
                return await self._context(seen, chunk, settings, call)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(context(chunk)) for chunk in chunks]
        except* LlamaStackError as failures:
            raise _first(failures) from None
        return [task.result() for task in tasks]

    async def _context(self, document: str, chunk: TextChunk, settings: ContextSettings, call: Call) -> str:
        parts = {DOCUMENT: document, CHUNK: chunk.text}
        prompt = _PLACEHOLDER.sub(lambda found: parts[found.group()], settings.prompt)

        async def ask() -> str:
            try:
                async with asyncio.timeout(settings.timeout_s):
                    return await self._completions.complete(
                        settings.model, prompt, max_tokens=CONTEXT_TOKENS_MAX, temperature=0.0, call=call
                    )
            except TimeoutError:
                raise ProviderTimeout(
                    f"Model '{settings.model}' gave no context of a chunk in {settings.timeout_s:g} s; "
                    "'timeout_seconds' of the chunking strategy allows more."
                ) from None

        return (await retried(ask, self._patience, call.deadline)).strip()

    def _fits(self, document: str) -> bool:
        return len(document) <= self._document_tokens_max or (
            len(document) <= self._document_tokens_max * 2 * _CHARACTERS_PER_TOKEN
            and count_tokens(document) <= self._document_tokens_max
        )

    def _surroundings(self, document: str, chunk: TextChunk) -> str:
        half = self._document_tokens_max * _CHARACTERS_PER_TOKEN // 2
        return first_tokens(document[max(0, chunk.start - half) : chunk.end + half], self._document_tokens_max)


def _first(failures: BaseExceptionGroup[LlamaStackError]) -> LlamaStackError:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first

"""Queries that a model words anew, so that they find more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from llama_stack.config.vector_stores import RewriteQueryParams
from llama_stack.rag.ports import CompletionPort
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.principal import Call

_QUOTES = "\"'`“”„«»"


async def rewritten(
    queries: Sequence[str], params: RewriteQueryParams | None, completions: CompletionPort, call: Call
) -> tuple[str, ...]:
    """Each query anew. `InvalidRequest` where no model is configured for it."""
    if params is None or params.model is None:
        raise InvalidRequest(
            "rewrite_query needs a model: set vector_stores.rewrite_query_params.model in the run config.",
            param="rewrite_query",
            code="unsupported_parameter",
        )
    model = params.model.identifier

    async def anew(query: str) -> str:
        prompt = params.prompt.format(query=query)
        answer = await completions.complete(
            model, prompt, max_tokens=params.max_tokens, temperature=params.temperature, call=call
        )
        return _as_query(answer) or query

    return tuple(await asyncio.gather(*map(anew, queries)))


def _as_query(answer: str) -> str:
    """The model's answer without the quotes that models like to put around one."""
    text = " ".join(answer.split())
    if len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        text = text[1:-1].strip()
    return text

"""What the first request would have to wait for: pydantic builds the validators of our types at their first use."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest

HOT_TYPES: tuple[type[BaseModel], ...] = (ChatCompletionRequest, EmbeddingsRequest)


def warm_up(loop: asyncio.AbstractEventLoop) -> None:
    """Build them soon, each at a turn of its own. Not in a thread: a request may come and build the same meanwhile."""
    for hot in HOT_TYPES:
        loop.call_soon(hot.model_rebuild)

"""What the first request would have to wait for: pydantic builds the validators of our types at their first use."""

from __future__ import annotations

import asyncio
from importlib import import_module

from pydantic import BaseModel

from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest

HOT_TYPES: tuple[type[BaseModel], ...] = (ChatCompletionRequest, EmbeddingsRequest)
LATER = "llama_stack_api.anthropic.messages"
"""Types that are not imported at the start: it takes 40 ms, and many servers are never asked for a message."""
LATER_S = 1.0


def warm_up(loop: asyncio.AbstractEventLoop) -> None:
    """Build them soon, each at a turn of its own. Not in a thread: a request may come and build the same meanwhile.

    An import may go on in a thread, as whoever wants the same waits for it.
    """
    for hot in HOT_TYPES:
        loop.call_soon(hot.model_rebuild)
    loop.call_later(LATER_S, lambda: loop.run_in_executor(None, import_module, LATER))

"""What Ollama's own API says when it fails after it began to answer. A refusal's body is read like any other's."""

from __future__ import annotations

from collections.abc import Callable

from llama_stack.dialects.chat.values import Json
from llama_stack.dialects.openai.errors import error_in_stream
from llama_stack_api.errors import LlamaStackError


def error_of_event(event: Json, provider: str, mask: Callable[[str], str] = str) -> LlamaStackError | None:
    """The error of `{"error": …}`, in a line or in the place of an answer; None for all else. `mask` takes secrets
    out."""
    return error_in_stream(event["error"], provider, mask) if event.get("error") else None

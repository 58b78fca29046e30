"""What the cases of several files share: OpenAI's paths, its listing, and what the open engines refuse."""

from __future__ import annotations

from typing import Any

from llama_stack_api.ports.inference import ProviderModel
from tests.providers.remote.case import Body, Listing
from tests.support.upstream import models

V1 = {
    "chat": "/v1/chat/completions",
    "stream": "/v1/chat/completions",
    "completion": "/v1/completions",
    "embeddings": "/v1/embeddings",
}
RERANKS = {"rerank": "/v1/rerank"}
CHATS = {"chat": V1["chat"], "stream": V1["stream"]}


def listed(*entries: Any, means: list[ProviderModel], path: str = "/models", **options: Any) -> Listing:
    return Listing({path: models(*entries, **options)}, means)


TO_MAX_TOKENS: tuple[Body, Body] = ({"max_completion_tokens": 7}, {"max_tokens": 7, "max_completion_tokens": None})
ENGINE_REFUSES: tuple[tuple[Body, str], ...] = (
    ({"web_search_options": {}}, "web_search_options"),
    ({"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}, "audio"),
    ({"functions": [{"name": "f", "parameters": {"type": "object"}}]}, "functions"),
)
ENGINE_IGNORES_TEXT: tuple[Body, Body] = ({"modalities": ["text"]}, {"modalities": None})

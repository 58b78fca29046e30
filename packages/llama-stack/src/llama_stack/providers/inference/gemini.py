"""Google's Gemini API: generateContent and its neighbours, by an API key of AI Studio's or a token."""

from __future__ import annotations

from typing import Any

import msgspec

from llama_stack.providers._shared.gemini_chat import GeminiChat
from llama_stack.providers._shared.gemini_embeddings import (
    batches,
    own_member,
    reply_of,
    texts_of,
    tokens_in,
    vectors_in,
)
from llama_stack.providers._shared.google_upstream import GoogleConfig
from llama_stack_api.api import Api
from llama_stack_api.errors import ProviderError
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import provider
from llama_stack_api.wire import EncodedReply

BATCH_MAX = 100
"""Texts that batchEmbedContents takes at once."""
PAGE_MODELS = 1000
_VERSIONS = ("/v1", "/v1beta", "/v1alpha")


class GeminiConfig(GoogleConfig):
    base_url: str = "https://generativelanguage.googleapis.com/v1beta"
    """With or without its version, or the `/openai` behind it that older run configs name."""


@provider(
    api=Api.inference,
    type="remote::gemini",
    description="Google's Gemini API: chat with tools, images, audio and PDFs, thoughts and JSON schemas, translated "
    "into generateContent; embeddings; exact token counts.",
    config=GeminiConfig,
    sample={
        "base_url": "${env.GEMINI_BASE_URL:=https://generativelanguage.googleapis.com/v1beta}",
        "api_key": "${env.GEMINI_API_KEY:=}",
    },
    turned_on_by="GEMINI_API_KEY",
    data_keys={
        "gemini_api_key": "api_key",
        "gemini_access_token": "access_token",
        "gemini_project": "project",
    },
)
class Gemini(GeminiChat):
    own_names = "gemini-"  # who asks for such a model, listed or not, means one of this provider's

    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> EncodedReply[EmbeddingsResponse]:
        vectors: list[list[float]] = []
        tokens = 0
        for texts in batches(texts_of(params, self.name), BATCH_MAX):
            requests = [self._embedding(text, params) for text in texts]
            url = await self.model_url(params.model, "batchEmbedContents", call)
            answer = await self.decoded(await self.post(url, msgspec.json.encode({"requests": requests}), call))
            if not isinstance(answer, dict):
                raise ProviderError(f"Provider '{self.name}' answered with something that holds no embeddings.")
            vectors += vectors_in(answer.get("embeddings"), len(texts), self.name)
            tokens += tokens_in(answer.get("usageMetadata"))
        return reply_of(vectors, tokens, params)

    def _embedding(self, text: str, params: EmbeddingsRequest) -> dict[str, Any]:
        members = {
            "model": _resource(params.model),
            "content": {"parts": [{"text": text}]},
            "outputDimensionality": params.dimensions,
            "taskType": own_member(params, "task_type"),
            "title": own_member(params, "title"),
        }
        return {name: value for name, value in members.items() if value is not None}

    # --- addresses and models

    def rooted(self, url: str) -> str:
        url = url.rstrip("/").removesuffix("/openai")
        return url if url.endswith(_VERSIONS) else f"{url}/v1beta"

    async def model_url(self, model: str, method: str, call: Call) -> str:
        return f"{self.base_url(call)}/{_resource(self.checked_name(model))}:{method}"

    def counting_body(self, request: dict[str, Any], model: str) -> dict[str, Any]:
        return {"generateContentRequest": {"model": _resource(model), **request}}

    async def listing(self, call: Call) -> Any:
        return await self.paged(self.url(f"/models?pageSize={PAGE_MODELS}", call), "models", call)

    def listed_model(self, item: dict[str, Any]) -> ProviderModel | None:
        name, can = item.get("name"), item.get("supportedGenerationMethods")
        kind = _kind(name, can) if isinstance(name, str) and isinstance(can, list) else None
        if kind is None:
            return None
        limit = item.get("inputTokenLimit")
        metadata = {"context_length": limit} if isinstance(limit, int) else {}
        return ProviderModel(str(name).removeprefix("models/"), kind, metadata)


def _kind(name: str, can: list[Any]) -> ModelType | None:
    """Speech has a listing like chat's, and answers no chat."""
    if "generateContent" in can:
        return None if "-tts" in name else ModelType.llm
    return ModelType.embedding if "embedContent" in can else None


def _resource(model: str) -> str:
    """`models/…` or `tunedModels/…`, as Google calls it."""
    return model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"

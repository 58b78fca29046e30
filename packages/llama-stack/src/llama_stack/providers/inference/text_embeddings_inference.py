"""Hugging Face's Text Embeddings Inference: one server, one model, for embeddings or for rerank."""

from __future__ import annotations

from typing import Any

import msgspec

from llama_stack.providers._shared.openai_compatible import EmbeddingsUpstream, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack.providers._shared.reranking import RerankUpstream
from llama_stack_api.api import Api
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import provider


class TextEmbeddingsInferenceConfig(OpenAICompatibleConfig):
    base_url: str = "http://localhost:8080/v1"


@provider(
    api=Api.inference,
    type="remote::text-embeddings-inference",
    description="A server of Hugging Face's Text Embeddings Inference: embeddings or rerank, as its one model allows.",
    config=TextEmbeddingsInferenceConfig,
    sample={"base_url": "${env.TEI_URL:=http://localhost:8080/v1}", "api_key": "${env.TEI_API_KEY:=}"},
    turned_on_by="TEI_URL",
    data_keys={"tei_api_key": "api_key", "tei_url": "base_url"},
)
class TextEmbeddingsInference(EmbeddingsUpstream, RerankUpstream):
    quirks = Quirks(key_required=False, root="/v1")

    async def list_models(self, call: Call) -> list[ProviderModel]:
        info = await self.get_json(self._native("/info", call), call)
        name, kind = info["model_id"], info.get("model_type") or {}
        allowed = self.config.allowed_models
        if "classifier" in kind or (allowed is not None and name not in allowed):
            return []
        metadata = {"context_length": info["max_input_length"]} if "max_input_length" in info else {}
        if "reranker" in kind:
            return [ProviderModel(name, ModelType.rerank, metadata)]
        return [ProviderModel(name, ModelType.embedding, metadata | {"embedding_dimension": await self._measure(call)})]

    async def _measure(self, call: Call) -> int:
        """The server says everything of its model but the length of its vectors, so one is made."""
        reply = await self.post(self._native("/embed", call), msgspec.json.encode({"inputs": ["a"]}), call)
        return len((await self.decoded(reply))[0])

    def rerank_url(self, model: str, call: Call) -> str:
        return self._native("/rerank", call)

    def rerank_body(self, params: RerankRequest, query: str, texts: list[str], call: Call) -> dict[str, Any]:
        return {"query": query, "texts": texts, **(params.model_extra or {})}

    def ranked(self, answer: Any) -> list[tuple[int, float]]:
        return [(item["index"], item["score"]) for item in answer]

    def _native(self, path: str, call: Call) -> str:
        return self.base_url(call).removesuffix("/v1") + path

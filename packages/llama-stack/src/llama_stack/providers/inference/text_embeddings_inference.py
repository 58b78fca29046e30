"""Hugging Face's Text Embeddings Inference: one server, one model, for embeddings or for rerank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from llama_stack.dialects.chat.values import mapping
from llama_stack.providers._shared.hugging_face import HuggingFaceServer
from llama_stack.providers._shared.openai_compatible import EmbeddingsUpstream, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack.providers._shared.reranking import RerankUpstream
from llama_stack.providers._shared.vectors_reply import vectors_reply
from llama_stack_api.api import Api
from llama_stack_api.errors import ProviderError, UnsupportedParameter
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider
from llama_stack_api.wire import EncodedReply

TEXTS_MAX: Final = 32
"""Texts of one request, where the server was not asked yet how many it takes. More are sent in several."""

_OWN: Final = ("truncate", "truncation_direction", "prompt_name", "normalize")
"""Members of `/embed` that its OpenAI-compatible route reads over."""


class TextEmbeddingsInferenceConfig(OpenAICompatibleConfig):
    base_url: str = "http://localhost:8080/v1"
    truncate: bool = False
    """Whether texts that are too long for the model are cut short where a request does not say, not refused."""


@provider(
    api=Api.inference,
    type="remote::text-embeddings-inference",
    description="A server of Hugging Face's Text Embeddings Inference: embeddings or rerank, as its one model allows. "
    "A request may hold truncate, truncation_direction, and for embeddings prompt_name and normalize.",
    config=TextEmbeddingsInferenceConfig,
    sample={"base_url": "${env.TEI_URL:=http://localhost:8080/v1}", "api_key": "${env.TEI_API_KEY:=}"},
    turned_on_by="TEI_URL",
    data_keys={"tei_api_key": "api_key", "tei_url": "base_url"},
)
class TextEmbeddingsInference(HuggingFaceServer, EmbeddingsUpstream, RerankUpstream):
    quirks = Quirks(key_required=False, root="/v1")
    config: TextEmbeddingsInferenceConfig

    def __init__(self, config: TextEmbeddingsInferenceConfig, context: ProviderContext) -> None:
        super().__init__(config, context)
        self._texts_max = TEXTS_MAX

    async def list_models(self, call: Call) -> list[ProviderModel]:
        info = await self.info(call)
        if isinstance(texts_max := info.get("max_client_batch_size"), int) and texts_max > 0:
            self._texts_max = texts_max
        name, kind = info["model_id"], mapping(info.get("model_type"))
        allowed = self.config.allowed_models
        if "classifier" in kind or (allowed is not None and name not in allowed):
            return []
        metadata = {"context_length": info["max_input_length"]} if "max_input_length" in info else {}
        if "reranker" in kind:
            return [ProviderModel(name, ModelType.rerank, metadata)]
        return [ProviderModel(name, ModelType.embedding, metadata | {"embedding_dimension": await self._measure(call)})]

    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> EncodedReply[EmbeddingsResponse]:
        given = params.model_extra or {}
        texts = params.input if isinstance(params.input, list) else [params.input]
        asks_for_own = self.config.truncate or any(given.get(name) is not None for name in _OWN)
        if not asks_for_own and (len(texts) <= self._texts_max or isinstance(texts[0], int)):
            return await super().openai_embeddings(params, call)
        if not all(isinstance(text, str) for text in texts):
            raise UnsupportedParameter(
                f"Provider '{self.name}' takes 'input' as text, not as token ids.", param="input"
            )
        asked = {"truncate": self.config.truncate, "dimensions": params.dimensions}
        asked |= {name: given[name] for name in _OWN if given.get(name) is not None}
        asked = {name: value for name, value in asked.items() if value is not None}
        vectors: list[Any] = []
        tokens = 0
        for at in range(0, len(texts), self._texts_max):
            found, counted = await self._embed({"inputs": texts[at : at + self._texts_max], **asked}, call)
            vectors += found
            tokens += counted
        return vectors_reply(vectors, params, tokens, self.name)

    async def _embed(self, body: Mapping[str, Any], call: Call) -> tuple[list[Any], int]:
        """Vectors, and the tokens that the server counted for them."""
        reply = await self.post(self.native("/embed", call), msgspec.json.encode(body), call)
        counted = reply.headers.get("x-compute-tokens", "")
        vectors = await self.decoded(reply)
        return vectors if isinstance(vectors, list) else [], int(counted) if counted.isdigit() else 0

    async def _measure(self, call: Call) -> int:
        """The server says everything of its model but the length of its vectors, so one is made."""
        reply = await self.post(self.native("/embed", call), msgspec.json.encode({"inputs": ["a"]}), call)
        try:
            return len((await self.decoded(reply))[0])
        except (TypeError, LookupError):
            raise ProviderError(f"Provider '{self.name}' answered with something that is not vectors.") from None

    def rerank_url(self, model: str, call: Call) -> str:
        return self.native("/rerank", call)

    def rerank_body(self, params: RerankRequest, query: str, texts: list[str], call: Call) -> dict[str, Any]:
        standing = {"truncate": True} if self.config.truncate else {}
        return {"query": query, "texts": texts, **standing, **(params.model_extra or {})}

    def ranked(self, answer: Any) -> list[tuple[int, float]]:
        return [(item["index"], item["score"]) for item in answer]

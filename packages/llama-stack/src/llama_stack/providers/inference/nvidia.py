"""NVIDIA NIM: the hosted API catalogue, or a microservice of one's own."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from llama_stack.providers._shared.openai_compatible import OpenAICompatible, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack.providers._shared.reranking import RerankUpstream
from llama_stack_api.api import Api
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider

_CATALOGUE = "https://ai.api.nvidia.com/v1/retrieval/nvidia"


class NVIDIAConfig(OpenAICompatibleConfig):
    base_url: str = "https://integrate.api.nvidia.com/v1"
    rerank_model_to_url: dict[str, str] = Field(
        default_factory=lambda: {
            "nv-rerank-qa-mistral-4b:1": f"{_CATALOGUE}/reranking",
            "nvidia/nv-rerankqa-mistral-4b-v3": f"{_CATALOGUE}/nv-rerankqa-mistral-4b-v3/reranking",
            "nvidia/llama-3.2-nv-rerankqa-1b-v2": f"{_CATALOGUE}/llama-3_2-nv-rerankqa-1b-v2/reranking",
        }
    )
    """Where each rerank model of the catalogue answers. A microservice answers under `base_url`, at `/ranking`."""


@provider(
    api=Api.inference,
    type="remote::nvidia",
    description="NVIDIA NIM, hosted or self-hosted: chat, completions, embeddings and rerank. Retrieval embeddings are "
    "made for queries unless the request says input_type: passage. Only the hosted catalogue needs a key.",
    config=NVIDIAConfig,
    sample={
        "base_url": "${env.NVIDIA_BASE_URL:=https://integrate.api.nvidia.com/v1}",
        "api_key": "${env.NVIDIA_API_KEY:=}",
    },
    turned_on_by="NVIDIA_API_KEY",
    data_keys={"nvidia_api_key": "api_key"},
)
class NVIDIA(OpenAICompatible, RerankUpstream):
    quirks = Quirks(
        root="/v1",
        rename={"max_completion_tokens": "max_tokens"},
        embedding_models={
            "baai/bge-m3": 1024,
            "nvidia/llama-3.2-nemoretriever-300m-embed-v1": 2048,
            "nvidia/llama-3.2-nv-embedqa-1b-v2": 2048,
            "nvidia/nv-embed-v1": 4096,
            "nvidia/nv-embedqa-e5-v5": 1024,
            "nvidia/nv-embedqa-mistral-7b-v2": 4096,
            "snowflake/arctic-embed-l": 1024,
        },
        embeddings=Quirks(defaults={"input_type": "query"}),
    )

    def __init__(self, config: NVIDIAConfig, context: ProviderContext) -> None:
        self._hosted = str(urlsplit(config.base_url).hostname).endswith("api.nvidia.com")
        super().__init__(config, context)
        catalogued = self._hosted or "rerank_model_to_url" in config.model_fields_set
        self._rerankers = config.rerank_model_to_url if catalogued else {}

    @property
    def key_required(self) -> bool:
        return self._hosted

    async def list_models(self, call: Call) -> list[ProviderModel]:
        listed = [model for model in await super().list_models(call) if model.id not in self._rerankers]
        allowed = self.config.allowed_models
        return listed + [
            ProviderModel(name, ModelType.rerank) for name in self._rerankers if allowed is None or name in allowed
        ]

    def rerank_url(self, model: str, call: Call) -> str:
        return self._rerankers.get(model) or self.url("/ranking", call)

    def rerank_body(self, params: RerankRequest, query: str, texts: list[str], call: Call) -> dict[str, Any]:
        passages = [{"text": text} for text in texts]
        return {"model": params.model, "query": {"text": query}, "passages": passages, **(params.model_extra or {})}

    def ranked(self, answer: Any) -> list[tuple[int, float]]:
        return [(ranking["index"], ranking["logit"]) for ranking in answer["rankings"]]

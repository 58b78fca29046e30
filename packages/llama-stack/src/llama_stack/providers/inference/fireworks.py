"""Fireworks AI."""

from __future__ import annotations

from llama_stack.providers._shared.openai_compatible import OpenAICompatible, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack.providers._shared.reranking import RerankUpstream
from llama_stack_api.api import Api
from llama_stack_api.ports.inference import ModelType
from llama_stack_api.provider import provider


class FireworksConfig(OpenAICompatibleConfig):
    base_url: str = "https://api.fireworks.ai/inference/v1"


@provider(
    api=Api.inference,
    type="remote::fireworks",
    description="Fireworks AI: open models for chat, completions, embeddings and rerank.",
    config=FireworksConfig,
    sample={
        "base_url": "${env.FIREWORKS_BASE_URL:=https://api.fireworks.ai/inference/v1}",
        "api_key": "${env.FIREWORKS_API_KEY:=}",
    },
    turned_on_by="FIREWORKS_API_KEY",
    data_keys={"fireworks_api_key": "api_key"},
)
class Fireworks(OpenAICompatible, RerankUpstream):
    quirks = Quirks(
        root="/inference/v1",
        thoughts="reasoning_content",
        embedding_models={
            "nomic-ai/nomic-embed-text-v1.5": 768,
            "thenlper/gte-base": 768,
            "thenlper/gte-large": 1024,
            "WhereIsAI/UAE-Large-V1": 1024,
            "accounts/fireworks/models/qwen3-embedding-8b": 4096,
            "accounts/fireworks/models/qwen3-embedding-4b": 2560,
            "accounts/fireworks/models/qwen3-embedding-0p6b": 1024,
        },
        unlisted=("*flux*", "*stable-diffusion*", "*playground-v*", "*whisper*", "*SSD-1B*"),
    )

    def model_type(self, item: dict[str, object]) -> ModelType | None:
        if item.get("kind") == "EMBEDDING_MODEL":
            return ModelType.embedding
        return None if item.get("kind") == "FLUMINA_BASE_MODEL" else super().model_type(item)

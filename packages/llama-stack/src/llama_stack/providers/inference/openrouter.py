"""OpenRouter: the models of many providers under one key."""

from __future__ import annotations

from llama_stack.providers._shared.openai_compatible import OpenAICompatible, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack_api.api import Api
from llama_stack_api.ports.inference import ModelType
from llama_stack_api.provider import provider


class OpenRouterConfig(OpenAICompatibleConfig):
    base_url: str = "https://openrouter.ai/api/v1"


@provider(
    api=Api.inference,
    type="remote::openrouter",
    description="OpenRouter: chat, completions and embeddings with the models of many providers. Only those are tried "
    "that support every parameter of the request, unless the request has `provider` preferences of its own.",
    config=OpenRouterConfig,
    sample={
        "base_url": "${env.OPENROUTER_BASE_URL:=https://openrouter.ai/api/v1}",
        "api_key": "${env.OPENROUTER_API_KEY:=}",
    },
    turned_on_by="OPENROUTER_API_KEY",
    data_keys={"openrouter_api_key": "api_key"},
)
class OpenRouter(OpenAICompatible):
    quirks = Quirks(
        root="/api/v1",
        thoughts="reasoning",
        # By default a parameter that the chosen model lacks is read over.
        defaults={"provider": {"require_parameters": True}},
        embedding_models={
            "openai/text-embedding-3-small": 1536,
            "openai/text-embedding-3-large": 3072,
            "openai/text-embedding-ada-002": 1536,
            "mistralai/mistral-embed-2312": 1024,
            "qwen/qwen3-embedding-8b": 4096,
            "baai/bge-m3": 1024,
        },
    )

    def model_type(self, item: dict[str, object]) -> ModelType | None:
        architecture = item.get("architecture")
        gives = architecture.get("output_modalities") if isinstance(architecture, dict) else None
        if isinstance(gives, list) and "text" not in gives:
            return ModelType.embedding if "embeddings" in gives else None
        return super().model_type(item)

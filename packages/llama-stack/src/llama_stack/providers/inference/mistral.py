"""Mistral's La Plateforme."""

from __future__ import annotations

from llama_stack.providers._shared.openai_compatible import ChatUpstream, EmbeddingsUpstream, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack_api.api import Api
from llama_stack_api.ports.inference import ModelType
from llama_stack_api.provider import provider


class MistralConfig(OpenAICompatibleConfig):
    base_url: str = "https://api.mistral.ai/v1"


@provider(
    api=Api.inference,
    type="remote::mistral",
    description="Mistral's models: chat and embeddings.",
    config=MistralConfig,
    sample={"base_url": "${env.MISTRAL_BASE_URL:=https://api.mistral.ai/v1}", "api_key": "${env.MISTRAL_API_KEY:=}"},
    turned_on_by="MISTRAL_API_KEY",
    data_keys={"mistral_api_key": "api_key"},
)
class Mistral(ChatUpstream, EmbeddingsUpstream):
    quirks = Quirks(
        root="/v1",
        rename={"seed": "random_seed", "max_completion_tokens": "max_tokens"},
        values={"tool_choice": {"required": "any"}},
        refuse={
            "audio": (),
            "function_call": (),
            "functions": (),
            "logit_bias": ({},),
            "logprobs": (False,),
            "modalities": (["text"],),
            "service_tier": ("auto", "default"),
            "top_logprobs": (0,),
            "user": (),
            "verbosity": (),
            "web_search_options": (),
        },
        stream_usage=False,
        embedding_models={
            "mistral-embed": 1024,
            "mistral-embed-2312": 1024,
            "codestral-embed": 1536,
            "codestral-embed-2505": 1536,
        },
        embeddings=Quirks(rename={"dimensions": "output_dimension"}, refuse={"user": ()}),
        unlisted=("mistral-ocr*", "mistral-moderation*", "voxtral-*-transcribe*", "voxtral-*-tts*"),
    )

    def model_type(self, item: dict[str, object]) -> ModelType | None:
        kind = super().model_type(item)
        can = item.get("capabilities")
        chats = not isinstance(can, dict) or can.get("completion_chat", True)
        return kind if chats or kind is ModelType.embedding else None

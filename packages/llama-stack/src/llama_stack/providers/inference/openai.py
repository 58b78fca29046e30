"""OpenAI itself: the reference for all the others."""

from __future__ import annotations

from llama_stack.providers._shared.openai_compatible import OpenAICompatible, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack_api.api import Api
from llama_stack_api.provider import provider


class OpenAIConfig(OpenAICompatibleConfig):
    base_url: str = "https://api.openai.com/v1"


@provider(
    api=Api.inference,
    type="remote::openai",
    description="OpenAI's models: chat, completions and embeddings. An organisation or project is set by "
    "network.headers (OpenAI-Organization, OpenAI-Project).",
    config=OpenAIConfig,
    sample={"base_url": "${env.OPENAI_BASE_URL:=https://api.openai.com/v1}", "api_key": "${env.OPENAI_API_KEY:=}"},
    turned_on_by="OPENAI_API_KEY",
    data_keys={"openai_api_key": "api_key"},
)
class OpenAI(OpenAICompatible):
    quirks = Quirks(
        root="/v1",
        embedding_models={
            "text-embedding-3-small": 1536,
            "text-embedding-3-large": 3072,
            "text-embedding-ada-002": 1536,
        },
        unlisted=(
            "*-audio*",
            "*-realtime*",
            "*-transcribe*",
            "*-tts*",
            "*moderation*",
            "chatgpt-image*",
            "dall-e-*",
            "gpt-image-*",
            "sora-*",
            "tts-*",
            "whisper-*",
        ),
    )

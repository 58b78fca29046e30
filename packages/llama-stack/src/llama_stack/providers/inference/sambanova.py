"""SambaNova."""

from __future__ import annotations

from llama_stack.providers._shared.openai_compatible import ChatUpstream, EmbeddingsUpstream, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack_api.api import Api
from llama_stack_api.provider import provider


class SambaNovaConfig(OpenAICompatibleConfig):
    base_url: str = "https://api.sambanova.ai/v1"


@provider(
    api=Api.inference,
    type="remote::sambanova",
    description="SambaNova: fast chat with open models, and embeddings.",
    config=SambaNovaConfig,
    sample={
        "base_url": "${env.SAMBANOVA_URL:=https://api.sambanova.ai/v1}",
        "api_key": "${env.SAMBANOVA_API_KEY:=}",
    },
    turned_on_by="SAMBANOVA_API_KEY",
    data_keys={"sambanova_api_key": "api_key"},
)
class SambaNova(ChatUpstream, EmbeddingsUpstream):
    quirks = Quirks(
        root="/v1",
        rename={"max_completion_tokens": "max_tokens"},
        # It takes these and does nothing with them: https://docs.sambanova.ai/docs/en/features/openai-compatibility
        refuse={"frequency_penalty": (0, 0.0), "logit_bias": ({},), "presence_penalty": (0, 0.0)},
        embedding_models={"E5-Mistral-7B-Instruct": 4096},
        embeddings=Quirks(refuse={"dimensions": ()}),
        unlisted=("Whisper*",),
    )

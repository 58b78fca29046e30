"""Cerebras."""

from __future__ import annotations

from llama_stack.providers._shared.openai_compatible import ChatUpstream, CompletionUpstream, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack_api.api import Api
from llama_stack_api.provider import provider


class CerebrasConfig(OpenAICompatibleConfig):
    base_url: str = "https://api.cerebras.ai/v1"


@provider(
    api=Api.inference,
    type="remote::cerebras",
    description="Cerebras: very fast chat and completions with open models.",
    config=CerebrasConfig,
    sample={
        "base_url": "${env.CEREBRAS_BASE_URL:=https://api.cerebras.ai/v1}",
        "api_key": "${env.CEREBRAS_API_KEY:=}",
    },
    turned_on_by="CEREBRAS_API_KEY",
    data_keys={"cerebras_api_key": "api_key"},
)
class Cerebras(ChatUpstream, CompletionUpstream):
    quirks = Quirks(
        root="/v1",
        refuse={"frequency_penalty": (0, 0.0), "presence_penalty": (0, 0.0), "logit_bias": ({},)},
    )

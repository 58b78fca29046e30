"""Groq."""

from __future__ import annotations

from typing import Any

from llama_stack.providers._shared.openai_compatible import ChatUpstream, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack_api.api import Api
from llama_stack_api.errors import UnsupportedParameter
from llama_stack_api.provider import provider


class GroqConfig(OpenAICompatibleConfig):
    base_url: str = "https://api.groq.com/openai/v1"


def _refuse_names(body: dict[str, Any]) -> None:
    for position, message in enumerate(body["messages"]):
        if message.get("name") is not None and message.get("role") != "tool":
            raise UnsupportedParameter("Groq does not support names of messages.", param=f"messages[{position}].name")


@provider(
    api=Api.inference,
    type="remote::groq",
    description="Groq: fast chat with open models.",
    config=GroqConfig,
    sample={"base_url": "${env.GROQ_BASE_URL:=https://api.groq.com/openai/v1}", "api_key": "${env.GROQ_API_KEY:=}"},
    turned_on_by="GROQ_API_KEY",
    data_keys={"groq_api_key": "api_key"},
)
class Groq(ChatUpstream):
    quirks = Quirks(
        root="/openai/v1",
        thoughts="reasoning",
        refuse={"logprobs": (False,), "top_logprobs": (0,), "logit_bias": ({},), "n": (1,)},
        unlisted=("*whisper*", "*tts*", "*orpheus*", "*prompt-guard*"),
        reshape=_refuse_names,
    )

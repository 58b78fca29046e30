"""Meta's Llama API, through the OpenAI-compatible door that it has."""

from __future__ import annotations

from pydantic import AliasChoices, Field

from llama_stack.providers._shared.openai_compatible import ChatUpstream, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack_api.api import Api
from llama_stack_api.provider import provider


class LlamaOpenAICompatConfig(OpenAICompatibleConfig):
    base_url: str = Field(
        default="https://api.llama.com/compat/v1",
        validation_alias=AliasChoices("base_url", "openai_compat_api_base"),
    )


@provider(
    api=Api.inference,
    type="remote::llama-openai-compat",
    description="Meta's Llama API: chat with Llama models. Its newer name, `remote::meta`, is read as well.",
    config=LlamaOpenAICompatConfig,
    sample={
        "base_url": "${env.LLAMA_API_BASE_URL:=https://api.llama.com/compat/v1}",
        "api_key": "${env.LLAMA_API_KEY:=}",
    },
    turned_on_by="LLAMA_API_KEY",
    former_types=("remote::meta",),
    data_keys={"llama_api_key": "api_key"},
)
class LlamaOpenAICompat(ChatUpstream):
    quirks = Quirks(root="/compat/v1", refuse={"logprobs": (False,), "top_logprobs": (0,), "n": (1,)})

"""DeepSeek."""

from __future__ import annotations

from typing import Any

from llama_stack.providers._shared.openai_compatible import ChatUpstream, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack_api.api import Api
from llama_stack_api.errors import UnsupportedParameter
from llama_stack_api.provider import provider


class DeepSeekConfig(OpenAICompatibleConfig):
    base_url: str = "https://api.deepseek.com/v1"


def _refuse_schemas(body: dict[str, Any]) -> None:
    if (body.get("response_format") or {}).get("type") == "json_schema":
        raise UnsupportedParameter(
            "DeepSeek does not keep to a JSON schema; response_format can be text or json_object.",
            param="response_format",
        )


@provider(
    api=Api.inference,
    type="remote::deepseek",
    description="DeepSeek's models: chat, with reasoning in reasoning_content.",
    config=DeepSeekConfig,
    sample={
        "base_url": "${env.DEEPSEEK_BASE_URL:=https://api.deepseek.com/v1}",
        "api_key": "${env.DEEPSEEK_API_KEY:=}",
    },
    turned_on_by="DEEPSEEK_API_KEY",
    data_keys={"deepseek_api_key": "api_key"},
)
class DeepSeek(ChatUpstream):
    quirks = Quirks(
        root="/v1",
        thoughts="reasoning_content",
        rename={"max_completion_tokens": "max_tokens"},
        refuse={
            "audio": (),
            "function_call": (),
            "functions": (),
            "logit_bias": ({},),
            "modalities": (["text"],),
            "n": (1,),
            "parallel_tool_calls": (True,),
            "seed": (),
            "web_search_options": (),
        },
        reshape=_refuse_schemas,
    )

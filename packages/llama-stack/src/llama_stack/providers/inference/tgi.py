"""Hugging Face's Text Generation Inference: one server, one model, also as the Dell Enterprise Hub deploys it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llama_stack.providers._shared.hugging_face import HuggingFaceServer
from llama_stack.providers._shared.openai_compatible import ChatUpstream, CompletionUpstream, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import ENGINES_IGNORE, Quirks
from llama_stack.providers._shared.token_counts import TokenCounts, length_of, members_of
from llama_stack_api.api import Api
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import provider


class TGIConfig(OpenAICompatibleConfig):
    base_url: str
    """`http://localhost:8080/v1`."""


def _reshape(body: dict[str, Any]) -> None:
    """A grammar is the JSON schema itself; and `top_p: 1`, which TGI refuses, asks for nothing."""
    if body.get("top_p") == 1:
        del body["top_p"]
    form = body.get("response_format")
    if not isinstance(form, dict):
        return
    match form.get("type"):
        case "text":
            del body["response_format"]
        case "json_schema":
            schema = (form.get("json_schema") or {}).get("schema")
            body["response_format"] = {"type": "json_object", "value": schema or {"type": "object"}}
        case "json_object" if "value" not in form:
            body["response_format"] = {"type": "json_object", "value": {"type": "object"}}


@provider(
    api=Api.inference,
    type="remote::tgi",
    description="A server of Hugging Face's Text Generation Inference, such as the Dell Enterprise Hub deploys: chat "
    "and completions with its one model, and exact counts of tokens. JSON schemas become its grammars; a request may "
    "hold a response_format of type regex with a value. It has no logit_bias, no reasoning_effort and one answer to a "
    "request.",
    config=TGIConfig,
    sample={"base_url": "${env.TGI_URL:=}", "api_key": "${env.TGI_API_TOKEN:=}"},
    turned_on_by="TGI_URL",
    data_keys={"tgi_api_token": "api_key", "tgi_url": "base_url"},
)
class TGI(HuggingFaceServer, ChatUpstream, CompletionUpstream, TokenCounts):
    quirks = Quirks(
        key_required=False,
        root="/v1",
        rename={"max_completion_tokens": "max_tokens"},
        refuse={
            **ENGINES_IGNORE,
            "logit_bias": ({},),
            "n": (1,),
            "parallel_tool_calls": (True,),
            "prediction": (),
            "reasoning_effort": (),
            "verbosity": ("medium",),
        },
        reshape=_reshape,
    )

    async def list_models(self, call: Call) -> list[ProviderModel]:
        info = await self.info(call)
        name, allowed = info["model_id"], self.config.allowed_models
        if allowed is not None and name not in allowed:
            return []
        length = info.get("max_total_tokens")
        return [ProviderModel(name, ModelType.llm, {"context_length": length} if isinstance(length, int) else {})]

    async def counted_by_upstream(self, chat: Mapping[str, Any], call: Call) -> int | None:
        asked = members_of(chat, ("model", "messages", "tools", "tool_choice", "tool_prompt"))
        answer = await self.asked(self.native("/chat_tokenize", call), asked, call)
        return length_of(answer.get("tokenize_response"))

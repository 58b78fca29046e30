"""A chat completion request as a request of Converse, or of ConverseStream, which takes the same.

    max_completion_tokens, max_tokens   inferenceConfig.maxTokens; unlimited unless said
    temperature, top_p, stop            inferenceConfig; a temperature is at most 1: Bedrock's scale ends there
    tools, tool_choice, response_format toolConfig, outputConfig (`tools`)
    parallel_tool_calls false           the first call of an answer is kept, and the model asked again with its result
    reasoning_effort, thinking, top_k   additionalModelRequestFields, in the words of the model's family (`thinking`)
    service_tier                        serviceTier: default, flex, priority; auto is none
    user, safety_identifier             requestMetadata, which AWS's own invocation logs keep
    guardrailConfig, performanceConfig, requestMetadata, additionalModelRequestFields,
    additionalModelResponseFieldPaths   as they are, for they are Converse's
    any other member                    additionalModelRequestFields, where Bedrock refuses what the model has not

What OpenAI's contract has and Converse has not is refused by its name. Left out are a participant's `name`, and what is
ours and not the model's to do (`store`, `metadata`, `prompt_cache_key`, …).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final

from llama_stack.dialects.chat.requests import NOT_THE_MODELS, limit_of, refuse, stops_of
from llama_stack.dialects.chat.values import Json, mapping, without_nulls
from llama_stack.dialects.converse.conversation import conversation, signed_by
from llama_stack.dialects.converse.families import Traits, traits_of, vendor_of
from llama_stack.dialects.converse.thinking import thinking_fields
from llama_stack.dialects.converse.tools import Offer, offer_of
from llama_stack_api.errors import UnsupportedParameter

_TRANSLATED: Final = frozenset({
    "model", "messages", "max_tokens", "max_completion_tokens", "stop", "user", "safety_identifier", "temperature",
    "top_p", "top_k", "reasoning_effort", "thinking", "response_format", "service_tier", "tools", "tool_choice",
    "parallel_tool_calls", "stream", "stream_options",
})  # fmt: skip

_CONVERSES: Final = (
    "guardrailConfig", "performanceConfig", "requestMetadata", "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
)  # fmt: skip

_REFUSED: Final = frozenset({
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "modalities", "moderation",
    "n", "prediction", "presence_penalty", "seed", "top_logprobs", "verbosity", "web_search_options",
})  # fmt: skip

_TIERS: Final = ("default", "flex", "priority", "reserved")
_METADATA: Final = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}")


@dataclass(frozen=True, slots=True)
class Reading:
    """How the answer to a request is to be read.

    `answer_tool`: the tool whose input is the answer. `calls_max`: so many calls are kept. `signer`: what the
    signatures of its reasoning are to begin with.
    """

    answer_tool: str | None = None
    calls_max: int | None = None
    signer: str = ""


AS_IT_IS: Final = Reading()


@dataclass(frozen=True, slots=True)
class Asked:
    body: Json
    reading: Reading


def converse_request(
    chat: Json, *, model: str = "", max_tokens: int | None = None, guardrail: Json | None = None
) -> Asked:
    """`model`: the foundation model that answers, where the request's own name of it says nothing. `max_tokens` is for
    requests that set no limit. `guardrail`: the operator's, which a request cannot change."""
    _refuse(chat, guardrail)
    model = model or str(chat.get("model") or "")
    traits = traits_of(model)
    offer = offer_of(chat, traits)
    vendor = vendor_of(model)
    system, messages = conversation(chat.get("messages"), traits, vendor=vendor, has_tools=offer.config is not None)
    limit = limit_of(chat) or max_tokens
    tier = chat.get("service_tier")
    body: Json = without_nulls({
        "messages": messages,
        "system": system or None,
        "inferenceConfig": _inference(chat, limit) or None,
        "toolConfig": offer.config,
        "outputConfig": offer.output,
        "serviceTier": {"type": tier} if tier not in (None, "auto") else None,
        "guardrailConfig": guardrail or chat.get("guardrailConfig"),
        "performanceConfig": chat.get("performanceConfig"),
        "requestMetadata": _metadata(chat) or None,
        "additionalModelRequestFields": _model_fields(chat, traits, offer, model, limit) or None,
        "additionalModelResponseFieldPaths": chat.get("additionalModelResponseFieldPaths"),
    })  # fmt: skip
    calls_max = 1 if chat.get("parallel_tool_calls") is False else None
    return Asked(body, Reading(offer.answer_tool, calls_max, signed_by(vendor)))


def _refuse(chat: Json, guardrail: Json | None) -> None:
    for name in sorted(_REFUSED):
        refuse(chat, name, "Bedrock's Converse")
    if guardrail and chat.get("guardrailConfig"):
        raise UnsupportedParameter(
            "'guardrailConfig' is set by the operator of this server. Leave it out.", param="guardrailConfig"
        )
    tier = chat.get("service_tier")
    if tier not in (None, "auto", *_TIERS):
        raise UnsupportedParameter(
            f"Bedrock's 'service_tier' is auto, {', '.join(_TIERS)}, not {tier!r}.", param="service_tier"
        )


def _inference(chat: Json, limit: int | None) -> Json:
    temperature = chat.get("temperature")
    return without_nulls({
        "maxTokens": limit,
        "temperature": None if temperature is None else min(temperature, 1),
        "topP": chat.get("top_p"),
        "stopSequences": stops_of(chat),
    })  # fmt: skip


def _metadata(chat: Json) -> Json:
    names = {name: _printable(chat[name]) for name in ("user", "safety_identifier") if chat.get(name)}
    return {**names, **mapping(chat.get("requestMetadata"))}


def _printable(value: Any) -> str:
    """What AWS does not take as a value is told by its digest."""
    text = str(value)
    return text if _METADATA.fullmatch(text) else hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _model_fields(chat: Json, traits: Traits, offer: Offer, model: str, limit: int | None) -> Json:
    known = {*_TRANSLATED, *NOT_THE_MODELS, *_CONVERSES, *_REFUSED, "cache_control"}
    fields: Json = {name: value for name, value in chat.items() if name not in known and value is not None}
    forced = "toolChoice" in (offer.config or {})
    fields |= thinking_fields(chat, traits, model=model, forced=forced, max_tokens=limit)
    if (thinking := chat.get("thinking")) is not None and traits.thinking != "claude":
        fields["thinking"] = thinking
    if (top_k := chat.get("top_k")) is not None:
        fields |= _top_k(top_k, traits, chat)
    return fields | mapping(chat.get("additionalModelRequestFields"))


def _top_k(top_k: Any, traits: Traits, chat: Json) -> Json:
    if not traits.top_k:
        raise UnsupportedParameter(f"The model '{chat.get('model')}' has no 'top_k'. Leave it out.", param="top_k")
    value = top_k
    for name in reversed(traits.top_k):
        value = {name: value}
    return dict(value)

"""A chat completion request as a request of the Messages API.

    max_completion_tokens, max_tokens   max_tokens, which Anthropic wants: the default is the caller's
    stop, user or safety_identifier     stop_sequences, metadata.user_id
    reasoning_effort                    thinking and output_config.effort (`messages_thinking`)
    response_format json_schema         output_config.format
    service_tier auto, default          auto, standard_only
    temperature                         at most 1: Anthropic's scale ends there, and its own OpenAI endpoint caps too
    top_k, thinking, container, …       as they are, for they are Anthropic's

What the API cannot do is refused by its name: an answer that quietly ignores what was asked for is a wrong one. Left
out are a participant's `name`, and what is ours and not the model's to do (`store`, `metadata`, `prompt_cache_key`, …).
"""

from __future__ import annotations

from typing import Any, Final

from llama_stack.dialects.anthropic.messages_content import conversation
from llama_stack.dialects.anthropic.messages_thinking import thinking_members
from llama_stack.dialects.anthropic.messages_tools import tool_members
from llama_stack.dialects.chat.requests import NOT_THE_MODELS, limit_of, refuse_unknown, stops_of
from llama_stack.dialects.chat.values import Json, mapping, text_or, without_nulls
from llama_stack_api.errors import UnsupportedParameter

_TRANSLATED: Final = frozenset({
    "model", "messages", "max_tokens", "max_completion_tokens", "stop", "user", "safety_identifier", "temperature",
    "top_p", "reasoning_effort", "response_format", "service_tier", "tools", "tool_choice", "parallel_tool_calls",
    "stream", "stream_options",
})  # fmt: skip

_ANTHROPICS: Final = (
    "top_k", "container", "context_management", "cache_control", "inference_geo", "mcp_servers", "speed",
)  # fmt: skip
"""Members beyond OpenAI's contract that the Messages API has. `thinking` and `output_config` are among them too."""

_KNOWN: Final = _TRANSLATED | NOT_THE_MODELS | {*_ANTHROPICS, "thinking", "output_config"}
_TIERS: Final = {"auto": "auto", "default": "standard_only"}


def messages_request(chat: Json, *, max_tokens: int) -> Json:
    """`max_tokens` is for requests that set no limit. `UnsupportedParameter` names what cannot be asked for."""
    refuse_unknown(chat, _KNOWN, "Anthropic's Messages API")
    system, messages = conversation(chat.get("messages"))
    user = chat.get("user") or chat.get("safety_identifier")
    request: Json = without_nulls({
        "model": chat.get("model"),
        "max_tokens": limit_of(chat) or max_tokens,
        "system": system or None,
        "messages": messages,
        "stop_sequences": stops_of(chat),
        "metadata": {"user_id": user} if user else None,
        "service_tier": _tier(chat.get("service_tier")),
        **{name: chat.get(name) for name in _ANTHROPICS},
    })  # fmt: skip
    request |= tool_members(chat)
    request |= _output(chat, thinking_members(chat, request))
    request |= _sampling(chat, request)
    if chat.get("stream"):
        request["stream"] = True
    return request


def _tier(tier: Any) -> str | None:
    if tier is None:
        return None
    if tier not in _TIERS:
        raise _unsupported("service_tier", f"Anthropic's 'service_tier' is auto or default, not {tier!r}.")
    return _TIERS[tier]


def _output(chat: Json, members: Json) -> Json:
    """`thinking` and `output_config`, the latter with the form of the answer."""
    form = mapping(chat.get("response_format"))
    config = {**mapping(chat.get("output_config")), **members.get("output_config", {})}
    kind = text_or(form.get("type"), "text")
    if kind == "json_schema":
        schema = mapping(form.get("json_schema")).get("schema")
        config["format"] = {"type": "json_schema", "schema": mapping(schema)}
    elif kind != "text":
        raise _unsupported(
            "response_format", f"Anthropic's models have no 'response_format' of type {kind!r}. Give a json_schema."
        )
    return {**members, "output_config": config} if config else members


def _sampling(chat: Json, request: Json) -> Json:
    """`temperature` and `top_p`. A model that thinks takes the one only as 1, the other only from 0.95."""
    temperature, top_p = chat.get("temperature"), chat.get("top_p")
    thinks = mapping(request.get("thinking")).get("type") in ("enabled", "adaptive")
    if thinks and temperature not in (None, 1):
        raise _unsupported("temperature", "A model of Anthropic's that reasons takes no 'temperature' but 1.")
    if thinks and top_p is not None and top_p < 0.95:
        raise _unsupported("top_p", "A model of Anthropic's that reasons takes no 'top_p' below 0.95.")
    if temperature is not None and top_p == 1:
        # The newer models refuse both at once, and 1 asks for nothing.
        top_p = None
    elif top_p is not None and temperature == 1:
        temperature = None
    return without_nulls({"temperature": None if temperature is None else min(temperature, 1), "top_p": top_p})


def _unsupported(name: str, message: str) -> UnsupportedParameter:
    return UnsupportedParameter(message, param=name)

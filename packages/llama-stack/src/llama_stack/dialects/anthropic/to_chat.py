"""A request of the Messages API as a chat completion request.

    max_tokens                              max_completion_tokens
    stop_sequences, metadata.user_id        stop, user
    thinking, output_config.effort          reasoning_effort
    output_config.format, output_format     response_format
    service_tier `standard_only`            service_tier `default`
    temperature, top_p, top_k               as they are; top_k is beyond OpenAI's contract

`stream` asks for the usage too, which the last events of a message need. What only Anthropic's servers do (`container`,
`context_management`, `cache_control`, `inference_geo`, …) is left out.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from llama_stack.dialects.anthropic.chat_messages import chat_messages
from llama_stack.dialects.anthropic.chat_tools import chat_tools
from llama_stack.dialects.chat.values import Json, mapping, without_nulls
from llama_stack_api.errors import InvalidRequest

LOW_BUDGET_MAX: Final = 4096
MEDIUM_BUDGET_MAX: Final = 16384
"""Tokens to think with. What they are as an effort is a matter of taste: OpenAI counts no budget."""


USER_CHARS_MAX: Final = 64
"""OpenAI takes no longer ones."""


def chat_request(request: Json) -> Json:
    """`InvalidRequest` for what no chat completion can be asked."""
    messages = chat_messages(request.get("system"), request.get("messages"))
    if not any(message["role"] != "system" for message in messages):
        raise InvalidRequest("'messages' holds nothing that a model could answer.", param="messages")
    form = mapping(mapping(request.get("output_config")).get("format") or request.get("output_format"))
    chat = without_nulls({
        "model": request.get("model"),
        "max_completion_tokens": request.get("max_tokens"),
        "temperature": request.get("temperature"),
        "top_p": request.get("top_p"),
        "top_k": request.get("top_k"),
        "stop": request.get("stop_sequences") or None,
        "user": _user(mapping(request.get("metadata")).get("user_id")),
        "service_tier": "default" if request.get("service_tier") == "standard_only" else None,
        "reasoning_effort": reasoning_effort(request),
        "response_format": _response_format(form),
    })  # fmt: skip
    if request.get("stream"):
        chat |= {"stream": True, "stream_options": {"include_usage": True}}
    return {**chat, "messages": messages, **chat_tools(request)}


def reasoning_effort(request: Json) -> str | None:
    """How much to think; None is the model's default. An effort that is named goes before a budget."""
    thinking = mapping(request.get("thinking"))
    if thinking.get("type") == "disabled":
        return "none"
    effort = mapping(request.get("output_config")).get("effort")
    if isinstance(effort, str):
        return effort
    budget = thinking.get("budget_tokens")
    if thinking.get("type") != "enabled" or not isinstance(budget, int | float):
        return None
    return "low" if budget <= LOW_BUDGET_MAX else "medium" if budget <= MEDIUM_BUDGET_MAX else "high"


def _user(user_id: Any) -> str | None:
    """Coding agents put JSON of some length there; a digest names the same user."""
    if not isinstance(user_id, str) or len(user_id) <= USER_CHARS_MAX:
        return user_id or None
    return hashlib.sha256(user_id.encode(errors="replace")).hexdigest()


def _response_format(form: Json) -> Json | None:
    schema = form.get("schema")
    if form.get("type") != "json_schema" or not isinstance(schema, dict):
        return None
    named: Json = {"name": "output", "schema": schema}
    if _is_strict(schema):
        named["strict"] = True
    return {"type": "json_schema", "json_schema": named}


def _is_strict(schema: Any) -> bool:
    """Whether OpenAI takes the schema as a strict one: each object names all its members, and requires them."""
    if isinstance(schema, list):
        return all(_is_strict(each) for each in schema)
    if not isinstance(schema, dict):
        return True
    properties = mapping(schema.get("properties"))
    if schema.get("type") == "object" or properties:
        required = schema.get("required")
        named = set(required) if isinstance(required, list) else set()
        if schema.get("additionalProperties") is not False or named != set(properties):
            return False
    inner = (*properties.values(), *mapping(schema.get("$defs")).values(), schema.get("items"), schema.get("anyOf"))
    return all(_is_strict(each) for each in inner)

"""A chat completion request as one for generateContent.

    max_completion_tokens, max_tokens   generationConfig.maxOutputTokens, thoughts included
    stop, n, seed, temperature, …       generationConfig, under Google's names; a seed is folded into 31 bits
    logprobs, top_logprobs              responseLogprobs, logprobs
    reasoning_effort                    thinkingConfig (`thinking`)
    response_format                     responseMimeType application/json, responseJsonSchema for a json_schema
    parallel_tool_calls false           the reply is cut to its first call (`candidates`): Google cannot be told

Google's own members, beside OpenAI's or in `extra_body.google` as Google's OpenAI endpoint has them: `top_k`,
`safety_settings`, `cached_content`, `thinking_config`, `media_resolution`, and on Vertex AI `labels`.

What the API cannot do is refused by its name. Left out are a participant's `name`, an image's `detail`, and what is no
business of the model's (`store`, `metadata`, `user`, …).
"""

from __future__ import annotations

import re
from typing import Any, Final

from llama_stack.dialects.chat.requests import NOT_THE_MODELS, limit_of, refuse_unknown, stops_of
from llama_stack.dialects.chat.values import Json, mapping, text_or, without_nulls
from llama_stack.dialects.gemini.contents import conversation
from llama_stack.dialects.gemini.thinking import thinking_config
from llama_stack.dialects.gemini.tools import tool_members
from llama_stack_api.errors import UnsupportedParameter

_TRANSLATED: Final = frozenset({
    "model", "messages", "max_tokens", "max_completion_tokens", "stop", "temperature", "top_p", "n", "seed", "logprobs",
    "top_logprobs", "frequency_penalty", "presence_penalty", "reasoning_effort", "response_format", "tools",
    "tool_choice", "parallel_tool_calls", "web_search_options", "stream", "stream_options", "extra_body",
})  # fmt: skip

_GOOGLES: Final = frozenset({
    "top_k", "safety_settings", "cached_content", "thinking_config", "media_resolution", "labels",
})  # fmt: skip

_SEED_BITS: Final = 0x7FFF_FFFF


def gemini_request(chat: Json) -> Json:
    """The body, without the model, which is in the address. `UnsupportedParameter` names what cannot be asked for."""
    own = mapping(mapping(chat.get("extra_body")).get("google"))
    _refuse_unknown(chat, own)
    googles = {**own, **{name: chat[name] for name in _GOOGLES if chat.get(name) is not None}}
    model = text_or(chat.get("model"))
    system, contents = conversation(chat.get("messages"), model)
    config = {**_sampling(chat, googles), **_form(chat.get("response_format"))}
    config |= without_nulls({"thinkingConfig": _thinking(chat, googles, model)})
    return without_nulls({
        "systemInstruction": system,
        "contents": contents,
        **tool_members(chat),
        "generationConfig": config or None,
        "safetySettings": googles.get("safety_settings"),
        "cachedContent": googles.get("cached_content"),
        "labels": googles.get("labels"),
    })  # fmt: skip


def _refuse_unknown(chat: Json, own: Json) -> None:
    refuse_unknown(chat, _TRANSLATED | NOT_THE_MODELS | _GOOGLES, "Gemini's API")
    for path, members in (("extra_body", mapping(chat.get("extra_body")).keys() - {"google"}), ("google", own.keys())):
        if unknown := sorted(set(members) - (_GOOGLES if path == "google" else set())):
            raise UnsupportedParameter(f"'extra_body' holds '{unknown[0]}', which is not known.", param="extra_body")


def _sampling(chat: Json, googles: Json) -> Json:
    seed, wanted = chat.get("seed"), chat.get("n")
    return without_nulls({
        "maxOutputTokens": limit_of(chat),
        "stopSequences": stops_of(chat),
        "temperature": chat.get("temperature"),
        "topP": chat.get("top_p"),
        "topK": googles.get("top_k"),
        "candidateCount": None if wanted == 1 else wanted,
        "seed": None if seed is None else int(seed) & _SEED_BITS,
        "presencePenalty": chat.get("presence_penalty") or None,
        "frequencyPenalty": chat.get("frequency_penalty") or None,
        "responseLogprobs": bool(chat.get("logprobs") or chat.get("top_logprobs")) or None,
        "logprobs": chat.get("top_logprobs") or None,
        "mediaResolution": googles.get("media_resolution"),
    })  # fmt: skip


def _form(said: Any) -> Json:
    form = mapping(said)
    kind = text_or(form.get("type"), "text")
    if kind == "text":
        return {}
    if kind == "json_object":
        return {"responseMimeType": "application/json"}
    if kind == "json_schema":
        schema = mapping(form.get("json_schema")).get("schema")
        return without_nulls({"responseMimeType": "application/json", "responseJsonSchema": schema})
    raise UnsupportedParameter(
        f"Gemini's models have no 'response_format' of type {kind!r}. Give a json_schema.", param="response_format"
    )


def _thinking(chat: Json, googles: Json, model: str) -> Json | None:
    own = googles.get("thinking_config")
    if isinstance(own, dict):
        return {_camel(name): value for name, value in own.items()}
    return thinking_config(chat.get("reasoning_effort"), model)


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)

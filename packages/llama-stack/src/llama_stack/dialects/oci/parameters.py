"""The parameters of a chat completion request that are more than messages and tools, in the words of each format.

    max_tokens, max_completion_tokens   maxTokens; maxCompletionTokens for OpenAI's models, which take no other
    n, logprobs and top_logprobs        numGenerations, logProbs (how many tokens; at least one)
    stop                                stop, for Cohere stopSequences
    response_format                     responseFormat; Cohere knows only JSON, with or without a schema
    reasoning_effort                    reasoningEffort, for Cohere's second format thinking (`none` turns it off)
    stream_options                      streamOptions, always with the usage: a stream that is cut short has none
    temperature, top_p, top_k, seed, frequency_penalty, presence_penalty, logit_bias, verbosity, service_tier,
    prediction, web_search_options      the same in camel case, where the format has them

What a format does not have is refused by its name. Left out is what is not the model's to do (`store`, `metadata`,
`prompt_cache_key`, `user`, …).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llama_stack.dialects.chat.requests import limit_of, stops_of
from llama_stack.dialects.chat.values import Json, mapping, without_nulls
from llama_stack.dialects.oci.content import parts_of
from llama_stack.dialects.oci.formats import ApiFormat
from llama_stack.dialects.oci.schemas import plain_schema
from llama_stack_api.errors import UnsupportedParameter

_TRANSLATED: Final = frozenset({
    "model", "messages", "tools", "tool_choice", "parallel_tool_calls", "stream", "stream_options", "max_tokens",
    "max_completion_tokens", "stop", "response_format", "temperature", "top_p", "top_k", "frequency_penalty",
    "presence_penalty", "seed",
})  # fmt: skip
_GENERICS_OWN: Final = frozenset({
    "n", "logprobs", "top_logprobs", "logit_bias", "reasoning_effort", "verbosity", "service_tier", "prediction",
    "web_search_options",
})  # fmt: skip
KNOWN: Final[Mapping[ApiFormat, frozenset[str]]] = {
    ApiFormat.GENERIC: _TRANSLATED | _GENERICS_OWN,
    ApiFormat.COHERE: _TRANSLATED,
    ApiFormat.COHEREV2: _TRANSLATED | {"reasoning_effort"},
}

_SAME: Final = {
    "temperature": "temperature", "top_p": "topP", "top_k": "topK", "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty", "seed": "seed",
}  # fmt: skip
_EFFORTS: Final = ("none", "minimal", "low", "medium", "high")
_VERBOSITIES: Final = ("low", "medium", "high")
_TIERS: Final = ("auto", "default", "priority")


def parameters(chat: Json, api_format: ApiFormat) -> Json:
    """Members of a chat request."""
    request = without_nulls({theirs: chat.get(ours) for ours, theirs in _SAME.items()})
    limit = limit_of(chat)
    if limit is not None:
        request[_limit_of(chat, api_format)] = limit
    if stops := stops_of(chat):
        name = "stop" if api_format is ApiFormat.GENERIC else "stopSequences"
        request[name] = stops
    if chat.get("stream"):
        request["isStream"] = True
        request["streamOptions"] = {"isIncludeUsage": True}
    request |= response_format(chat, api_format)
    if api_format is ApiFormat.GENERIC:
        request |= _generics_own(chat)
    elif api_format is ApiFormat.COHEREV2:
        request |= _thinking(chat)
    return request


def response_format(chat: Json, api_format: ApiFormat) -> Json:
    form = mapping(chat.get("response_format"))
    described = mapping(form.get("json_schema"))
    match form.get("type"):
        case None | "text":
            return {}
        case "json_object":
            return {"responseFormat": {"type": "JSON_OBJECT"}}
        case "json_schema" if api_format is ApiFormat.GENERIC:
            schema = without_nulls({
                "name": described.get("name"),
                "description": described.get("description"),
                "schema": plain_schema(described.get("schema")),
                "isStrict": described.get("strict"),
            })  # fmt: skip
            return {"responseFormat": {"type": "JSON_SCHEMA", "jsonSchema": schema}}
        case "json_schema":
            return {"responseFormat": {"type": "JSON_OBJECT", "schema": plain_schema(described.get("schema"))}}
        case other:
            raise unsupported("response_format", f"Oracle has no 'response_format' of type {other!r}.")


def unsupported(name: str, message: str) -> UnsupportedParameter:
    return UnsupportedParameter(message, param=name)


def _limit_of(chat: Json, api_format: ApiFormat) -> str:
    openais = api_format is ApiFormat.GENERIC and str(chat.get("model", "")).startswith("openai.")
    return "maxCompletionTokens" if openais else "maxTokens"


def _generics_own(chat: Json) -> Json:
    request: Json = {}
    if (n := chat.get("n")) not in (None, 1):
        request["numGenerations"] = n
    if chat.get("logprobs"):
        request["logProbs"] = max(1, chat.get("top_logprobs") or 0)
    if chat.get("logit_bias"):
        request["logitBias"] = chat["logit_bias"]
    for ours, theirs, values in (
        ("reasoning_effort", "reasoningEffort", _EFFORTS),
        ("verbosity", "verbosity", _VERBOSITIES),
        ("service_tier", "serviceTier", _TIERS),
    ):
        if (value := chat.get(ours)) is not None:
            request[theirs] = _one_of(ours, value, values)
    if prediction := mapping(chat.get("prediction")):
        content = parts_of(prediction.get("content"), "prediction", ApiFormat.GENERIC)
        request["prediction"] = {"type": "CONTENT", "content": content}
    if chat.get("web_search_options") is not None:
        request["webSearchOptions"] = _web_search(mapping(chat["web_search_options"]))
    return request


def _web_search(options: Json) -> Json:
    place = mapping(mapping(options.get("user_location")).get("approximate"))
    size = options.get("search_context_size")
    return without_nulls({
        "searchContextSize": None if size is None else _one_of("web_search_options", size, _VERBOSITIES),
        "userLocation": place or None,
    })  # fmt: skip


def _thinking(chat: Json) -> Json:
    effort = chat.get("reasoning_effort")
    if effort is None:
        return {}
    return {"thinking": {"type": "DISABLED" if effort == "none" else "ENABLED"}}


def _one_of(name: str, value: Any, values: tuple[str, ...]) -> str:
    if value not in values:
        raise unsupported(name, f"Oracle's '{name}' is one of {', '.join(values)}, not {value!r}.")
    return str(value).upper()

"""A chat completion request as a request to Ollama's `/api/chat`.

    max_completion_tokens, max_tokens               options.num_predict
    temperature, top_p, seed, stop, …_penalty       options
    num_ctx, top_k, min_p, repeat_penalty, …        options, where Ollama has them
    reasoning_effort                                think: none is false, minimal is low, xhigh is high
    response_format                                 format: json, or the JSON schema
    tool_choice none                                no tools
    keep_alive, options, think, truncate, shift     as they are, for they are Ollama's

What Ollama cannot do is refused by its name. Left out is what is ours and not the model's to do (`store`, `metadata`,
`user`, …).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llama_stack.dialects.chat.requests import NOT_THE_MODELS, limit_of, offered_tools, refuse_unknown, stops_of
from llama_stack.dialects.chat.values import Json, mapping, text_or, without_nulls
from llama_stack.dialects.ollama.messages import ollama_messages
from llama_stack_api.errors import InvalidRequest, UnsupportedParameter

OPTIONS: Final = frozenset({
    "num_ctx", "num_keep", "num_predict", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap", "top_k",
    "min_p", "typical_p", "repeat_last_n", "repeat_penalty", "mirostat", "mirostat_tau", "mirostat_eta",
})  # fmt: skip
"""Options of Ollama's that a request may name by themselves. All others go into `options`."""

OWN: Final = frozenset({"keep_alive", "options", "think", "truncate", "shift"})
"""Members of `/api/chat` that OpenAI's contract has not."""

_SHARED_OPTIONS: Final = ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty")
_TRANSLATED: Final = frozenset({
    *_SHARED_OPTIONS, "model", "messages", "max_tokens", "max_completion_tokens", "stop", "reasoning_effort",
    "response_format", "tools", "tool_choice", "parallel_tool_calls", "stream", "stream_options", "logprobs",
    "top_logprobs",
})  # fmt: skip

_EFFORTS: Final[Mapping[str, bool | str]] = {
    "none": False, "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high",
}  # fmt: skip


def wants_ollamas_own(chat: Mapping[str, Any]) -> bool:
    """Whether a request names what only Ollama's own API reads."""
    return any(value is not None and (name in OWN or name in OPTIONS) for name, value in chat.items())


def ollama_request(
    chat: Json, *, keep_alive: str | int | None = None, options: Mapping[str, Any] | None = None
) -> Json:
    """`keep_alive` and `options` hold where the request says nothing else. `UnsupportedParameter` names what cannot be
    asked for."""
    refuse_unknown(chat, _TRANSLATED | NOT_THE_MODELS | OWN | OPTIONS, "Ollama")
    own = {name: chat.get(name) for name in OWN if name != "options"}
    request: Json = without_nulls({
        "model": chat.get("model"),
        "messages": ollama_messages(chat.get("messages")),
        "format": _format(mapping(chat.get("response_format"))),
        "tools": _tools(chat) or None,
        "logprobs": chat.get("logprobs") or None,
        "top_logprobs": chat.get("top_logprobs") or None,
        "keep_alive": keep_alive,
        **without_nulls(own),
    })  # fmt: skip
    if "think" not in request and (effort := chat.get("reasoning_effort")) is not None:
        request["think"] = _think(effort)
    if found := {**(options or {}), **_options(chat)}:
        request["options"] = found
    request["stream"] = bool(chat.get("stream"))  # Ollama's default is to stream
    return request


def embed_request(
    embed: Json, *, keep_alive: str | int | None = None, options: Mapping[str, Any] | None = None
) -> Json:
    """A request for embeddings as one to `/api/embed`, with what holds where it says nothing else."""
    known = {"model", "input", "dimensions", "encoding_format", "user", "keep_alive", "options", "truncate", *OPTIONS}
    for name, value in embed.items():
        if name not in known and value is not None:
            raise _unsupported(name)
    given = embed.get("input")
    if any(not isinstance(text, str) for text in (given if isinstance(given, list) else [given])):
        raise UnsupportedParameter("Ollama takes 'input' as text, not as token ids.", param="input")
    named = {name: embed.get(name) for name in OPTIONS}
    return without_nulls({
        "model": embed.get("model"),
        "input": given,
        "dimensions": embed.get("dimensions"),
        "truncate": embed.get("truncate"),
        "keep_alive": keep_alive if embed.get("keep_alive") is None else embed["keep_alive"],
        "options": {**(options or {}), **_own_options(embed), **without_nulls(named)} or None,
    })  # fmt: skip


def _options(chat: Json) -> Json:
    named = {name: chat.get(name) for name in (*_SHARED_OPTIONS, *OPTIONS)}
    named["stop"] = stops_of(chat)
    limit = limit_of(chat)
    named["num_predict"] = named["num_predict"] if limit is None else limit
    return {**_own_options(chat), **without_nulls(named)}


def _own_options(request: Json) -> Json:
    options = request.get("options")
    if options is not None and not isinstance(options, dict):
        raise InvalidRequest("'options' is an object of Ollama's options.", param="options")
    return options or {}


def _think(effort: Any) -> bool | str:
    if effort not in _EFFORTS:
        raise UnsupportedParameter(f"Ollama has no 'reasoning_effort' {effort!r}.", param="reasoning_effort")
    return _EFFORTS[effort]


def _format(form: Json) -> Any:
    match form.get("type"):
        case None | "text":
            return None
        case "json_object":
            return "json"
        case "json_schema":
            return mapping(mapping(form.get("json_schema")).get("schema"))
        case other:
            raise UnsupportedParameter(f"Ollama has no 'response_format' of type {other!r}.", param="response_format")


def _tools(chat: Json) -> list[Json]:
    tools, choice = offered_tools(chat)
    if choice not in (None, "auto", "none"):
        raise UnsupportedParameter(
            "Ollama cannot be made to call a tool: 'tool_choice' can be auto or none.", param="tool_choice"
        )
    if tools and chat.get("parallel_tool_calls") is False:
        raise UnsupportedParameter(
            "Ollama's models call as many tools as they like; leave out 'parallel_tool_calls'.",
            param="parallel_tool_calls",
        )
    return [] if choice == "none" else [_tool(tool) for tool in tools]


def _tool(tool: Json) -> Json:
    function = tool.get("function")
    if not isinstance(function, dict):
        raise UnsupportedParameter(f"Ollama has no 'tools' of type {tool.get('type')!r}.", param="tools")
    kept = without_nulls({name: function.get(name) for name in ("name", "description", "parameters")})
    return {"type": "function", "function": {"name": text_or(kept.get("name")), **kept}}


def _unsupported(name: str) -> UnsupportedParameter:
    return UnsupportedParameter(f"Ollama does not support '{name}'; leave it out, or use another model.", param=name)

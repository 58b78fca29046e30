"""The chat completion that asks the model for the next part of a response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from llama_stack.agent.chat.choice import ChatChoice
from llama_stack.agent.entries import Item
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.responses.request import ResponseRequest

_PASSED_ON: Final = (
    "temperature", "top_p", "frequency_penalty", "presence_penalty", "user", "safety_identifier", "service_tier",
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "moderation",
)  # fmt: skip
"""What both APIs have under one name."""

_MEANS_NOTHING: Final[Mapping[str, Any]] = {
    "frequency_penalty": 0, "presence_penalty": 0, "service_tier": "auto", "verbosity": "medium",
}  # fmt: skip
"""Defaults of the contract that are every provider's too; providers that lack the parameter refuse it even so."""

_NEVER_PASSED_ON: Final = frozenset({
    "client_metadata", "extra_body", "extra_headers", "extra_query",
    "messages", "tools", "tool_choice", "functions", "function_call", "n", "stream", "stream_options",
    "max_tokens", "max_completion_tokens", "logprobs", "audio", "modalities", "response_format",
})  # fmt: skip
"""Members of a request that neither contract knows but clients send (`client_metadata` of Codex), and parameters of
chat completions that the loop decides upon."""

LOGPROBS: Final = "message.output_text.logprobs"

_KNOWN: Final = frozenset(ResponseRequest.model_fields)


def chat_request(
    request: Mapping[str, Any], messages: list[dict[str, Any]], choice: ChatChoice, *, max_tokens: int | None
) -> ChatCompletionRequest:
    """`request`: that of the response, as JSON. Members that it has beyond the contract (`top_k`,
    `chat_template_kwargs`, …) go to the provider as they are. `InvalidRequest` for what no chat completion can be."""
    body = {name: value for name, value in request.items() if name not in _KNOWN and name not in _NEVER_PASSED_ON}
    body |= {name: request.get(name) for name in _PASSED_ON}
    body |= _form(request.get("text") or {})
    body["reasoning_effort"] = (request.get("reasoning") or {}).get("effort") or body.get("reasoning_effort")
    body["max_completion_tokens"] = max_tokens
    if LOGPROBS in (request.get("include") or ()):
        body |= {"logprobs": True, "top_logprobs": request.get("top_logprobs")}
    if choice.offered:
        body["tools"] = [tool.definition for tool in choice.offered]
        body["tool_choice"] = choice.tool_choice
        body["parallel_tool_calls"] = request.get("parallel_tool_calls")
    return _valid({
        "model": request.get("model"),
        "messages": messages,
        **{name: value for name, value in body.items() if value is not None and value != _MEANS_NOTHING.get(name)},
        "stream": True,
        "stream_options": {"include_usage": True},
    })  # fmt: skip


def _form(text: Item) -> Item:
    form = dict(text.get("format") or {})
    kind = form.pop("type", "text")
    if kind == "text":
        return {"verbosity": text.get("verbosity")}
    shaped = (
        {kind: {name: value for name, value in form.items() if value is not None}} if kind == "json_schema" else form
    )
    return {"verbosity": text.get("verbosity"), "response_format": {"type": kind, **shaped}}


def _valid(body: Item) -> ChatCompletionRequest:
    try:
        return ChatCompletionRequest.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        param = "input" if where.startswith("messages") else where
        raise InvalidRequest(f"The model cannot be asked this: {where}: {first['msg']}.", param=param) from None

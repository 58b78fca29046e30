"""What a local model does with each documented parameter, as data; and the requests rewritten by it.

A parameter is honoured by llama.cpp (`HONOURED`), served by this server (`SERVED`: stored, metered, or a hint without
effect on the answer), or refused by name unless it holds a value that changes nothing (`REFUSED`). What is in none of
these tables and is not one of llama.cpp's own sampling parameters (`EXTRAS`) is refused too: it would be ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llama_stack_api.errors import InvalidRequest, UnsupportedParameter
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.completions import CompletionRequest

CHAT_HONOURED = frozenset({
    "messages", "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "n",
    "parallel_tool_calls", "presence_penalty", "response_format", "seed", "stop", "stream", "stream_options",
    "temperature", "tool_choice", "tools", "top_logprobs", "top_p",
})  # fmt: skip
COMPLETION_HONOURED = frozenset({
    "prompt", "frequency_penalty", "logit_bias", "max_tokens", "n", "presence_penalty", "seed", "stop", "stream",
    "stream_options", "temperature", "top_p",
})  # fmt: skip
SERVED = frozenset({
    "model", "metadata", "store", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention",
})  # fmt: skip
CHAT_REFUSED: Mapping[str, tuple[Any, ...]] = {
    "audio": (), "function_call": ("none",), "functions": (), "modalities": (["text"],), "moderation": (),
    "prediction": (), "reasoning_effort": ("none",), "service_tier": ("auto", "default"), "verbosity": ("medium",),
    "web_search_options": (),
}  # fmt: skip
COMPLETION_REFUSED: Mapping[str, tuple[Any, ...]] = {
    "best_of": (0, 1), "echo": (False,), "logprobs": (), "suffix": ("",),
}  # fmt: skip
EXTRAS = frozenset({
    "cache_prompt", "chat_template_kwargs", "dry_allowed_length", "dry_base", "dry_multiplier", "dry_penalty_last_n",
    "dry_sequence_breakers", "dynatemp_exponent", "dynatemp_range", "grammar", "ignore_eos", "json_schema", "min_keep",
    "min_p", "mirostat", "mirostat_eta", "mirostat_tau", "n_probs", "reasoning_format", "repeat_last_n",
    "repeat_penalty", "samplers", "top_k", "top_n_sigma", "typical_p", "xtc_probability", "xtc_threshold",
})  # fmt: skip
STOPS_MAX = 16
_SEEDS = 2**31


def chat_body(params: ChatCompletionRequest) -> dict[str, Any]:
    """The request as llama.cpp takes it. `UnsupportedParameter` names what it cannot honour."""
    body = _accepted(params.model_dump(mode="json", exclude_unset=True), CHAT_HONOURED, CHAT_REFUSED)
    body["messages"] = [_message(index, message) for index, message in enumerate(body["messages"])]
    if body.pop("logprobs", False):
        # llama.cpp gives none at all where the number of alternatives is 0.
        body |= {"logprobs": True, "top_logprobs": max(1, body.get("top_logprobs") or 0)}
    elif body.get("top_logprobs"):
        raise InvalidRequest("'top_logprobs' needs 'logprobs': true.", param="top_logprobs")
    if body.get("tools"):
        _choose_tools(body)
    else:
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            body.pop(name, None)
    return body


def begin_with(system_prompt: str | None, body: dict[str, Any]) -> None:
    """Put the prompt before a conversation that begins without one."""
    if system_prompt is not None and body["messages"][0]["role"] != "system":
        body["messages"].insert(0, {"role": "system", "content": system_prompt})


def completion_body(params: CompletionRequest) -> dict[str, Any]:
    """The request as llama.cpp takes it. `UnsupportedParameter` names what it cannot honour."""
    body = _accepted(params.model_dump(mode="json", exclude_unset=True), COMPLETION_HONOURED, COMPLETION_REFUSED)
    body["prompt"] = "" if body.get("prompt") is None else body["prompt"]
    return body


def needs_tools(body: Mapping[str, Any]) -> str | None:
    """The parameter of a chat body that only a template with tools can render, or None."""
    if body.get("tools") and body.get("tool_choice") != "none":
        return "tools"
    for index, message in enumerate(body["messages"]):
        if message["role"] == "tool" or message.get("tool_calls"):
            return f"messages[{index}]"
    return None


def _accepted(body: dict[str, Any], honoured: frozenset[str], refused: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in body.items():
        if value is None or name in SERVED or value in refused.get(name, ()):
            continue
        if name not in honoured and name not in EXTRAS:
            raise UnsupportedParameter(
                f"Models inside the server do not support '{name}'; leave it out, or use another model.", param=name
            )
        kept[name] = value
    for name in ("max_tokens", "max_completion_tokens"):
        if kept.get(name, 1) < 1:
            raise InvalidRequest(f"'{name}' must be at least 1.", param=name)
    if "seed" in kept:
        kept["seed"] %= _SEEDS
    if isinstance(kept.get("stop"), list) and len(kept["stop"]) > STOPS_MAX:
        raise InvalidRequest(f"'stop' may hold at most {STOPS_MAX} sequences.", param="stop")
    return kept


def _message(index: int, message: dict[str, Any]) -> dict[str, Any]:
    where = f"messages[{index}]"
    role = {"developer": "system"}.get(message["role"], message["role"])
    if role == "function" or message.get("function_call") or message.get("audio"):
        raise UnsupportedParameter(f"{where}: the embedded models take 'tool' messages and text only.", param=where)
    said = {"role": role, "content": _text(where, message)}
    for name in ("tool_calls", "tool_call_id", "name", "reasoning_content"):
        if message.get(name) is not None:
            said[name] = message[name]
    if any(call.get("type", "function") != "function" for call in said.get("tool_calls", ())):
        raise UnsupportedParameter(f"{where}.tool_calls: only calls of functions are supported.", param=where)
    return said


def _text(where: str, message: dict[str, Any]) -> str | None:
    content = message.get("content")
    if content is None:
        return message.get("refusal") if not message.get("tool_calls") else None
    if isinstance(content, str):
        return content
    texts = []
    for number, part in enumerate(content):
        if part["type"] not in ("text", "refusal"):
            raise UnsupportedParameter(
                f"This model reads text only; {where}.content[{number}] is of type '{part['type']}'.",
                param=f"{where}.content[{number}]",
            )
        texts.append(part[part["type"]])
    return "\n".join(texts)


def _choose_tools(body: dict[str, Any]) -> None:
    """Say `tool_choice` in the words that llama.cpp knows: it reads an object as `auto` without a warning."""
    for index, tool in enumerate(body["tools"]):
        if tool["type"] != "function":
            raise UnsupportedParameter(
                f"tools[{index}] is of type '{tool['type']}'; only functions are supported.", param=f"tools[{index}]"
            )
    choice = body.get("tool_choice")
    if not isinstance(choice, dict):
        return
    if choice["type"] == "function":
        names, mode = {choice["function"]["name"]}, "required"
    elif choice["type"] == "allowed_tools":
        allowed = choice["allowed_tools"]
        names, mode = {tool.get("function", {}).get("name") for tool in allowed["tools"]}, allowed["mode"]
    else:
        raise UnsupportedParameter(f"A tool_choice of type '{choice['type']}' is not supported.", param="tool_choice")
    body["tools"] = [tool for tool in body["tools"] if tool["function"]["name"] in names]
    body["tool_choice"] = mode
    if not body["tools"]:
        raise InvalidRequest("'tool_choice' names a tool that 'tools' does not hold.", param="tool_choice")

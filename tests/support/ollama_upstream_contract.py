"""What Ollama's own API refuses of a request, and what it would read over: here both are a 400 that names it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any

CHAT = {
    "model", "messages", "stream", "format", "keep_alive", "tools", "options", "think", "truncate", "shift",
    "logprobs", "top_logprobs",
}  # fmt: skip
EMBED = {"model", "input", "truncate", "dimensions", "keep_alive", "options"}
MESSAGE = {"role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"}
INTEGERS = {
    "num_ctx", "num_keep", "num_predict", "num_batch", "num_gpu", "main_gpu", "num_thread", "seed", "top_k",
    "repeat_last_n", "mirostat",
}  # fmt: skip
NUMBERS = {
    "temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty",
    "mirostat_tau", "mirostat_eta",
}  # fmt: skip
_DURATION = re.compile(r"-?(\d+(\.\d+)?(ns|us|ms|s|m|h))+")


class Violation(Exception):
    """The message of a 400."""


def check_chat(body: Any) -> None:
    _members(body, CHAT, "")
    _is(isinstance(body.get("model"), str) and body["model"], "model is required")
    for message in _listed(body, "messages"):
        _check_message(message)
    for tool in _listed(body, "tools"):
        function: Any = tool.get("function")
        _is(tool.get("type") == "function", "tools: not a function")
        _members(function, {"name", "description", "parameters"}, "tools.function")
        _is(bool(function.get("name")), "tools.function.name is empty")
    think = body.get("think")
    _is(think in (None, True, False, "low", "medium", "high"), f"invalid think value: {think!r}")
    form = body.get("format")
    _is(form in (None, "json") or isinstance(form, dict), f"invalid format: {form!r}")
    _check_common(body)


def check_embed(body: Any) -> None:
    _members(body, EMBED, "")
    given = body.get("input")
    _is(all(isinstance(one, str) for one in (given if isinstance(given, list) else [given])), "invalid input type")
    _check_common(body)


def _check_message(message: Mapping[str, Any]) -> None:
    _members(message, MESSAGE, "messages")
    _is(message.get("role") in ("system", "user", "assistant", "tool"), f"invalid role: {message.get('role')!r}")
    _is(isinstance(message.get("content"), str), "json: cannot unmarshal into Go struct field .messages.content")
    for image in message.get("images") or ():
        try:
            base64.b64decode(image, validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise Violation("illegal base64 data in messages.images") from None
    for call in message.get("tool_calls") or ():
        _members(call, {"id", "function"}, "tool_calls")
        _members(call["function"], {"name", "arguments", "index"}, "tool_calls.function")
        arguments = call["function"].get("arguments")
        _is(isinstance(arguments, dict), "json: cannot unmarshal string into messages.tool_calls.function.arguments")
    if message["role"] == "tool":
        _is(bool(message.get("tool_name")), "a tool's result without tool_name")


def _check_common(body: Mapping[str, Any]) -> None:
    keep = body.get("keep_alive")
    lasts = isinstance(keep, int | float) or (isinstance(keep, str) and _DURATION.fullmatch(keep))
    _is(keep is None or bool(lasts), f"time: missing unit in duration {keep!r}")
    for name, value in (body.get("options") or {}).items():
        if name in INTEGERS:
            _is(isinstance(value, int) and not isinstance(value, bool), f'option "{name}" must be of type integer')
        elif name in NUMBERS:
            _is(isinstance(value, int | float), f'option "{name}" must be of type float32')
        elif name == "stop":
            words = isinstance(value, list) and all(isinstance(word, str) for word in value)
            _is(words, 'option "stop" must be of an array of strings')
        else:
            _is(name == "use_mmap", f"invalid option provided: {name}")


def _listed(body: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = body.get(name) or []
    _is(isinstance(value, list) and all(isinstance(item, dict) for item in value), f"{name} is no list")
    return list(value)


def _members(value: Any, known: set[str], where: str) -> None:
    _is(isinstance(value, dict), f"{where or 'the body'} is no object")
    _is(set(value) <= known, f"{where} unknown members: {sorted(set(value) - known)}")


def _is(true: object, otherwise: str) -> None:
    if not true:
        raise Violation(otherwise)


CHECKS: Mapping[str, Callable[[Any], None]] = {"/api/chat": check_chat, "/api/embed": check_embed}

"""The completion that a stream of chunks amounts to, for storing it."""

from __future__ import annotations

from typing import Any

import msgspec

from llama_stack.dialects.openai import sse

_APPENDED = ("content", "refusal", "reasoning_content", "reasoning", "arguments", "input", "transcript", "data")
"""Members of a delta that hold the next piece of a text; all others hold the whole value."""


def accumulate(stream: bytes) -> dict[str, Any]:
    """A `chat.completion` from the events of one whole stream, in the form that a request without `stream` gets."""
    completion: dict[str, Any] = {"object": "chat.completion"}
    choices: dict[int, dict[str, Any]] = {}
    for event in stream.split(b"\n\n"):
        data = sse.data_of(event)
        if not data or data == b"[DONE]":
            continue
        chunk = msgspec.json.decode(data)
        for choice in chunk.pop("choices", ()):
            _add_choice(choices, choice)
        chunk.pop("object", None)
        completion.update((key, value) for key, value in chunk.items() if value is not None)
    completion["choices"] = [choices[index] for index in sorted(choices)]
    return completion


def _add_choice(choices: dict[int, dict[str, Any]], part: dict[str, Any]) -> None:
    index = part.get("index", 0)
    empty = {"role": "assistant", "content": None, "refusal": None}
    choice = choices.setdefault(index, {"index": index, "message": empty, "logprobs": None, "finish_reason": None})
    _merge(choice["message"], part.get("delta") or {})
    if part.get("finish_reason") is not None:
        choice["finish_reason"] = part["finish_reason"]
    if logprobs := part.get("logprobs"):
        choice["logprobs"] = choice["logprobs"] or {}
        for key, tokens in logprobs.items():
            choice["logprobs"][key] = [*(choice["logprobs"].get(key) or ()), *(tokens or ())]


def _merge(whole: dict[str, Any], delta: dict[str, Any]) -> None:
    for key, value in delta.items():
        if value is None:
            continue
        held = whole.get(key)
        if isinstance(value, str) and isinstance(held, str) and key in _APPENDED:
            whole[key] = held + value
        elif isinstance(value, dict) and isinstance(held, dict):
            _merge(held, value)
        elif isinstance(value, list) and key == "tool_calls":
            _merge_calls(whole.setdefault(key, []), value)
        else:
            whole[key] = value


def _merge_calls(calls: list[dict[str, Any]], deltas: list[dict[str, Any]]) -> None:
    """Tool calls come in pieces that name their place in the list by `index`; a stored call has none."""
    for delta in deltas:
        place = delta.get("index", len(calls))
        while len(calls) <= place:
            calls.append({})
        _merge(calls[place], {key: value for key, value in delta.items() if key != "index"})

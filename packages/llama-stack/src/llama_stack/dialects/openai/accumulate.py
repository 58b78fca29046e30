"""The completion that a stream of chunks amounts to, for storing it.

Every stream that the relay lets pass amounts to one: what a chunk has of a kind that the contract does not know is kept
where it can be, and read over where it cannot.
"""

from __future__ import annotations

from typing import Any

import msgspec

from llama_stack.dialects.openai import sse

_APPENDED = ("content", "refusal", "reasoning_content", "reasoning", "arguments", "input", "transcript", "data")
"""Members of a delta that hold the next piece of a text. Those below hold further entries, all others the whole."""
_LISTED = ("thinking_blocks", "annotations")


def accumulate(stream: bytes) -> dict[str, Any]:
    """A `chat.completion` from the events of one whole stream, in the form that a request without `stream` gets."""
    completion: dict[str, Any] = {"object": "chat.completion"}
    choices: dict[int, dict[str, Any]] = {}
    for event in stream.split(b"\n\n"):
        data = sse.data_of(event)
        if not data or data == b"[DONE]":
            continue
        chunk = msgspec.json.decode(data)
        for choice in chunk.pop("choices", None) or ():
            _add_choice(choices, choice)
        chunk.pop("object", None)
        completion.update((key, value) for key, value in chunk.items() if value is not None)
    completion["choices"] = [_whole_choice(choices[index]) for index in sorted(choices)]
    return completion


def _add_choice(choices: dict[int, dict[str, Any]], part: dict[str, Any]) -> None:
    index = part.get("index", 0)
    empty = {"role": "assistant", "content": None, "refusal": None}
    choice = choices.setdefault(index, {"index": index, "message": empty, "logprobs": None, "finish_reason": None})
    delta, logprobs = part.get("delta"), part.get("logprobs")
    if isinstance(delta, dict):
        _merge_calls(choice["message"], delta.pop("tool_calls", None))
        _merge(choice["message"], delta)
    if part.get("finish_reason"):
        choice["finish_reason"] = part["finish_reason"]
    if isinstance(logprobs, dict):
        choice["logprobs"] = choice["logprobs"] or {}
        for key, tokens in logprobs.items():
            choice["logprobs"].setdefault(key, []).extend(tokens if isinstance(tokens, list) else ())


def _whole_choice(choice: dict[str, Any]) -> dict[str, Any]:
    calls = choice["message"].pop("tool_calls", None)
    if calls:
        choice["message"]["tool_calls"] = [calls[place] for place in sorted(calls)]
    return choice


def _merge(whole: dict[str, Any], delta: dict[str, Any]) -> None:
    for key, value in delta.items():
        held = whole.get(key)
        if _goes_on(key, held, value):
            whole[key] = held + value
        elif isinstance(value, dict) and isinstance(held, dict):
            _merge(held, value)
        elif value is not None and not (value == "" and held):
            # Some servers repeat a name or an id as "" in every later piece.
            whole[key] = value


def _goes_on(key: str, held: Any, value: Any) -> bool:
    kind, keys = (str, _APPENDED) if isinstance(value, str) else (list, _LISTED)
    return key in keys and isinstance(value, kind) and isinstance(held, kind)


def _merge_calls(message: dict[str, Any], deltas: Any) -> None:
    """Tool calls come in pieces that name their place in the list by `index`; a stored call has none."""
    if not isinstance(deltas, list):
        return
    calls: dict[int, dict[str, Any]] = message.setdefault("tool_calls", {})
    for delta in deltas:
        if isinstance(delta, dict):
            place = delta.pop("index", None)
            _merge(calls.setdefault(place if isinstance(place, int) else max(calls, default=-1) + 1, {}), delta)

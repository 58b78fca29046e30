"""A whole message as a chat completion."""

from __future__ import annotations

from llama_stack.dialects.anthropic.completions import (
    annotations_of,
    citations_in,
    completion_id,
    completion_usage,
    finish_members,
    kept_thinking,
)
from llama_stack.dialects.chat.values import Json, as_json, mapping, objects, text_or


def completion_of(message: Json, *, created: int) -> Json:
    """`created` in seconds since 1970. Blocks of tools that Anthropic ran itself have no place in a completion."""
    choice: Json = {"index": 0, "message": _message(objects(message.get("content"))), "logprobs": None}
    return {
        "id": completion_id(message.get("id")),
        "object": "chat.completion",
        "created": created,
        "model": text_or(message.get("model")),
        "choices": [{**choice, **finish_members(message.get("stop_reason"), message.get("stop_sequence"))}],
        "usage": completion_usage(message.get("usage")),
    }


def _message(blocks: list[Json]) -> Json:
    said: Json = {"role": "assistant", "content": None, "refusal": None}
    text, thoughts, kept, calls, annotations = "", [], [], [], []
    for block in blocks:
        match block.get("type"):
            case "text":
                before, text = len(text), text + text_or(block.get("text"))
                annotations += annotations_of(citations_in(block), before, len(text))
            case "thinking" | "redacted_thinking":
                thoughts.append(text_or(block.get("thinking")))
                kept.append(kept_thinking(block))
            case "tool_use":
                function = {"name": text_or(block.get("name")), "arguments": as_json(mapping(block.get("input")))}
                calls.append({"id": text_or(block.get("id")), "type": "function", "function": function})
    found = {
        "content": text,
        "reasoning_content": "".join(thoughts),
        "thinking_blocks": [block for block in kept if block],
        "tool_calls": calls,
        "annotations": annotations,
    }
    return {**said, **{name: value for name, value in found.items() if value}}

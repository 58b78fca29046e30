"""A whole chat completion as a message.

The blocks: thinking, text (or the refusal), tool_use. Thoughts that come without a signature get the signature "": the
message's owner may send them back, and no upstream is shown such a block as one of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from llama_stack.dialects.anthropic.replies import (
    call_id,
    citations_of,
    message_usage,
    new_message_id,
    stop_of,
    thought_and_text,
)
from llama_stack.dialects.chat.arguments import tool_input
from llama_stack.dialects.chat.values import Json, mapping, objects, text_or


def message_of(completion: Json, *, model: str, stop_sequences: Sequence[str] = ()) -> Json:
    """The first choice. `model` is the name that the client asked for, `stop_sequences` those of its request."""
    choice = next(iter(objects(completion.get("choices"))), {})
    said = mapping(choice.get("message"))
    refusal, calls = text_or(said.get("refusal")), _calls(said)
    reason, sequence = stop_of(choice, stop_sequences, calls=bool(calls), refused=bool(refusal))
    return {
        "id": new_message_id(),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [*_thinking(said), *_text(said, refusal), *calls],
        "stop_reason": reason,
        "stop_sequence": sequence,
        "stop_details": stop_details(reason),
        "usage": message_usage(completion.get("usage")),
    }


def stop_details(reason: str) -> Json | None:
    return {"type": "refusal", "category": None, "explanation": None} if reason == "refusal" else None


def _thinking(said: Json) -> list[Json]:
    thought, _ = thought_and_text(said)
    known = [block for block in objects(said.get("thinking_blocks")) if block.get("type") in _BLOCKS]
    blocks = [{name: text_or(block.get(name)) for name in _BLOCKS[block["type"]]} for block in known]
    if thought and all(block["type"] != "thinking" for block in blocks):
        blocks.insert(0, {"type": "thinking", "thinking": thought, "signature": ""})
    return blocks


_BLOCKS = {"thinking": ("type", "thinking", "signature"), "redacted_thinking": ("type", "data")}


def _text(said: Json, refusal: str) -> list[Json]:
    _, text = thought_and_text(said)
    if not text and not refusal:
        return []
    block: Json = {"type": "text", "text": text + refusal}
    citations = citations_of(said.get("annotations"), text)
    return [{**block, "citations": citations or None}]


def _calls(said: Json) -> list[Json]:
    calls = objects(said.get("tool_calls"))
    legacy = said.get("function_call")
    if not calls and isinstance(legacy, dict):
        calls = [{"function": legacy}]
    return [_tool_use(call) for call in calls]


def _tool_use(call: Json) -> Json:
    custom = call.get("custom")
    if isinstance(custom, dict):
        name, given = text_or(custom.get("name")), {"input": text_or(custom.get("input"))}
    else:
        function = mapping(call.get("function"))
        name, given = text_or(function.get("name")), tool_input(function.get("arguments"))
    return {"type": "tool_use", "id": call_id(call.get("id")), "name": name, "input": given}

"""Whose thoughts are whose: Anthropic refuses blocks of thinking that its own models did not sign.

The signatures of others have the name of their vendor and a colon ahead (`gemini:…`, `amazon:…`), and local models sign
nothing. A client that changes the model in the middle of a conversation returns them all.
"""

from __future__ import annotations

from llama_stack.dialects.chat.values import Json, mapping, objects, text_or


def is_own(block: Json) -> bool:
    """Whether a block of thinking is one of Anthropic's."""
    sealed = text_or(block.get("data" if block.get("type") == "redacted_thinking" else "signature"))
    return bool(sealed) and ":" not in sealed


def without_foreign_thoughts(request: Json) -> Json:
    """A request of the Messages API as Anthropic takes it; itself where nothing is foreign. While a turn of calls goes
    on that another model began, Anthropic's cannot think by a budget: then it is left out."""
    messages = [kept for message in request["messages"] if (kept := _without_foreign(message)) is not None]
    if messages != request["messages"]:
        request = {**request, "messages": messages}
    if mapping(request.get("thinking")).get("type") == "enabled" and not begins_with_thought(messages):
        request = {name: value for name, value in request.items() if name != "thinking"}
    return request


def begins_with_thought(messages: list[Json]) -> bool:
    """Whether the last answer, if it calls tools, begins with a thought."""
    last = next((message for message in reversed(messages) if message["role"] == "assistant"), {})
    kinds = [block.get("type") for block in objects(last.get("content"))]
    return "tool_use" not in kinds or _is_thought(kinds[0])


def _without_foreign(message: Json) -> Json | None:
    """None for a message that held nothing else."""
    content = message.get("content")
    if message.get("role") != "assistant" or not isinstance(content, list):
        return message
    kept = [block for block in content if not _is_thought(block.get("type")) or is_own(block)]
    if len(kept) == len(content):
        return message
    return {**message, "content": kept} if kept else None


def _is_thought(kind: object) -> bool:
    return kind in ("thinking", "redacted_thinking")

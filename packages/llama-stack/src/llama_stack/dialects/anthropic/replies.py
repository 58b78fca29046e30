"""What a chat completion's choice is in Anthropic's words: why it stopped, what it cost, what it thought."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

from llama_stack.dialects.chat.values import Json, mapping, objects, text_or

STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
NATIVE: Final = ("pause_turn", "model_context_window_exceeded")
"""Stop reasons that chat completions have no word for: a choice carries them in `native_finish_reason`."""


def stop_of(choice: Json, stop_sequences: Sequence[str], *, calls: bool, refused: bool) -> tuple[str, str | None]:
    """`stop_reason` and `stop_sequence`. Upstreams (vLLM, SGLang) say which sequence was hit in a member of the choice;
    of those that do not, nobody knows. Some say `stop` of an answer that calls tools."""
    native = choice.get("native_finish_reason")
    if native in NATIVE:
        return native, None
    reason = STOP_REASONS.get(text_or(choice.get("finish_reason")), "end_turn")
    if refused:
        return "refusal", None
    if reason in ("end_turn", "tool_use"):
        reason = "tool_use" if calls else "end_turn"
    if reason == "end_turn":
        for member in (choice.get("stop_reason"), choice.get("matched_stop")):
            if isinstance(member, str) and member in stop_sequences:
                return "stop_sequence", member
    return reason, None


def message_usage(usage: Any) -> Json:
    """Token counts of a message. OpenAI's prompt includes what was read from a cache or written to one; Anthropic's
    `input_tokens` does not."""
    counts, read = mapping(usage), mapping(mapping(usage).get("prompt_tokens_details"))
    cached, written = _count(read, "cached_tokens"), _count(read, "cache_write_tokens")
    found: Json = {
        "input_tokens": max(0, _count(counts, "prompt_tokens") - cached - written),
        "output_tokens": _count(counts, "completion_tokens"),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
    }
    thought = _count(mapping(counts.get("completion_tokens_details")), "reasoning_tokens")
    if thought:
        found["output_tokens_details"] = {"thinking_tokens": thought}
    return found


def new_message_id() -> str:
    """New for every reply, whatever the upstream's: clients take messages of one id for parts of one message."""
    return f"msg_{uuid.uuid4().hex[:24]}"


def call_id(known: Any) -> str:
    return text_or(known) or f"toolu_{uuid.uuid4().hex[:24]}"


def thought_and_text(said: Json) -> tuple[str, str]:
    """What a message or a delta thinks and says. Mistral sends lists of parts."""
    thought = said.get("reasoning_content") or said.get("reasoning")
    content = said.get("content")
    if not isinstance(content, list):
        return text_or(thought), text_or(content)
    thoughts, texts = [text_or(thought)], []
    for part in objects(content):
        if part.get("type") == "text":
            texts.append(text_or(part.get("text")))
        elif part.get("type") == "thinking":
            inner = part.get("thinking")
            thoughts += [text_or(piece.get("text")) for piece in objects(inner)] or [text_or(inner)]
    return "".join(thoughts), "".join(texts)


def citations_of(annotations: Any, text: str) -> list[Json]:
    """Annotations of a text that name a page on the web, as citations of it."""
    found = []
    for annotation in objects(annotations):
        cited = mapping(annotation.get("url_citation"))
        if annotation.get("type") == "url_citation" and isinstance(cited.get("url"), str):
            start, end = cited.get("start_index"), cited.get("end_index")
            span = text[start:end] if isinstance(start, int) and isinstance(end, int) else ""
            found.append({
                "type": "web_search_result_location",
                "url": cited["url"],
                "title": cited.get("title"),
                "cited_text": span,
                "encrypted_index": "",
            })  # fmt: skip
    return found


def _count(counts: Json, name: str) -> int:
    value = counts.get(name)
    return int(value) if isinstance(value, int | float) and 0 <= value < float("inf") else 0

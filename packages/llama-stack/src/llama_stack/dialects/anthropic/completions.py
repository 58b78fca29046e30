"""What a message of Anthropic's is in the words of chat completions: why it stopped, what it cost, what it cites."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from llama_stack.dialects.anthropic.replies import NATIVE
from llama_stack.dialects.chat.completions import count, url_citation, usage_members
from llama_stack.dialects.chat.values import Json, mapping, objects, text_or

FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def finish_members(reason: Any, sequence: Any) -> Json:
    """`finish_reason` of a choice; the sequence that was hit in `stop_reason`, as vLLM has it; a reason that chat has
    no word for in `native_finish_reason`."""
    members: Json = {"finish_reason": FINISH_REASONS.get(text_or(reason), "stop")}
    if isinstance(sequence, str):
        members["stop_reason"] = sequence
    if reason in NATIVE:
        members["native_finish_reason"] = reason
    return members


def completion_usage(usage: Any) -> Json:
    """Token counts: the prompt's are all that was read, those from a cache and those written to one included."""
    counts = mapping(usage)
    cached, written = count(counts, "cache_read_input_tokens"), count(counts, "cache_creation_input_tokens")
    return usage_members(
        count(counts, "input_tokens") + cached + written,
        count(counts, "output_tokens"),
        cached=cached,
        thought=count(mapping(counts.get("output_tokens_details")), "thinking_tokens"),
        cache_write_tokens=written,
    )


def completion_id(known: Any) -> str:
    return f"chatcmpl-{text_or(known).removeprefix('msg_')}"


def annotations_of(citations: Iterable[Json], start: int, end: int) -> list[Json]:
    """The citations of a text block that name an address. The block is the characters from `start` to `end`."""
    found = []
    for citation in citations:
        url = citation.get("url") or citation.get("source")
        if isinstance(url, str):
            found.append(url_citation(url, citation.get("title"), start, end))
    return found


def kept_thinking(block: Json) -> Json | None:
    """A block to send back later; one without a signature has nothing that its text has not."""
    if block.get("type") == "redacted_thinking":
        return {"type": "redacted_thinking", "data": text_or(block.get("data"))}
    if block.get("type") == "thinking" and block.get("signature"):
        return {"type": "thinking", "thinking": text_or(block.get("thinking")), "signature": block["signature"]}
    return None


def citations_in(block: Json) -> list[Json]:
    return objects(block.get("citations"))

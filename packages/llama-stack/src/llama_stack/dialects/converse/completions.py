"""What an answer of Converse is in the words of chat completions: why it stopped, what it cost, what it cites."""

from __future__ import annotations

from typing import Final

from llama_stack.dialects.anthropic.completions import annotations_of, completion_usage
from llama_stack.dialects.chat.values import Json, mapping, objects, text_or
from llama_stack.dialects.converse.guardrails import guarded, is_masked

FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
MALFORMED: Final = ("malformed_model_output", "malformed_tool_use")
"""Reasons of an answer that is none: errors, for their translators never see them."""

_NATIVE: Final = ("model_context_window_exceeded", "guardrail_intervened", "content_filtered")


def finish_members(reason: str, trace: Json, *, calls: bool) -> Json:
    """`finish_reason` of a choice; a reason that chat has no word for in `native_finish_reason`; what a guardrail found
    in `guardrail`. An answer in which it did no more than mask is a whole one."""
    finish = FINISH_REASONS.get(reason, "stop")
    if reason == "guardrail_intervened" and is_masked(trace):
        finish = "tool_calls" if calls else "stop"
    elif finish == "tool_calls" and not calls:
        finish = "stop"
    members: Json = {"finish_reason": finish}
    if reason in _NATIVE:
        members["native_finish_reason"] = reason
    if found := guarded(trace):
        members["guardrail"] = found
    return members


def usage_of(usage: Json) -> Json:
    """Token counts: the prompt's are all that was read, those from a cache and those written to one included."""
    return completion_usage({
        "input_tokens": usage.get("inputTokens"),
        "output_tokens": usage.get("outputTokens"),
        "cache_read_input_tokens": usage.get("cacheReadInputTokens"),
        "cache_creation_input_tokens": usage.get("cacheWriteInputTokens"),
    })  # fmt: skip


def cited(citations: list[Json], start: int, end: int) -> list[Json]:
    """The citations of the text from `start` to `end` that name an address."""
    named = [
        {"url": mapping(mapping(each.get("location")).get("web")).get("url"), "title": text_or(each.get("title"))}
        for each in objects(citations)
    ]
    return annotations_of(named, start, end)


def reply_members(reply: Json) -> Json:
    """Of a whole reply, or of the `metadata` that ends a stream."""
    members: Json = {}
    if tier := mapping(reply.get("serviceTier")).get("type"):
        members["service_tier"] = tier
    return members

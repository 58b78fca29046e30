"""Why an answer of a Gemini model ended, and what it cost, in the words of chat completions."""

from __future__ import annotations

from typing import Any, Final

from llama_stack.dialects.chat.completions import count, usage_members
from llama_stack.dialects.chat.values import Json, mapping, objects, text_or

FINISH_REASONS: Final = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "MODEL_ARMOR",
            "LANGUAGE",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
        ),
        "content_filter",
    ),
}
"""All others are `stop`, with Google's word in `native_finish_reason`; but for the failures."""

FAILURES: Final = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
    }
)
"""What the model wrote is lost: there is no answer that could be passed on."""


def finish_members(reason: Any, *, calls: bool) -> Json:
    """`finish_reason` of a choice. Google says STOP of an answer that calls functions."""
    said = text_or(reason)
    finish = FINISH_REASONS.get(said, "stop")
    members: Json = {"finish_reason": "tool_calls" if calls and finish == "stop" else finish}
    if said and said not in ("STOP", "MAX_TOKENS"):
        members["native_finish_reason"] = said
    return members


def completion_usage(metadata: Any) -> Json:
    """Token counts: what Google's own tools put into the prompt is part of it, thoughts are part of the answer."""
    counts = mapping(metadata)
    thought = count(counts, "thoughtsTokenCount")
    return usage_members(
        count(counts, "promptTokenCount") + count(counts, "toolUsePromptTokenCount"),
        count(counts, "candidatesTokenCount") + thought,
        cached=count(counts, "cachedContentTokenCount"),
        thought=thought,
        audio_tokens=_of_modality(counts.get("promptTokensDetails"), "AUDIO"),
    )


def _of_modality(details: Any, modality: str) -> int:
    return sum(count(each, "tokenCount") for each in objects(details) if each.get("modality") == modality)

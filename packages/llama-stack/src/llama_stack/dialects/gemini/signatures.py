"""Signatures of thoughts: what a Gemini model wants back with its own words, unchanged and in its place.

A chat message keeps them as `thinking_blocks` (the convention of all our dialects), where the prefix tells whose they
are; and a call keeps its own in `extra_content.google.thought_signature`, as Google's OpenAI endpoint has it. Clients
that return the message as it came return both, and the place is exact; of those that know blocks alone, the last
signature belongs to the first call, or else to the text.
"""

from __future__ import annotations

from typing import Any, Final

from llama_stack.dialects.chat.values import Json, mapping, objects, text_or

PREFIX: Final = "gemini:"
DUMMY: Final = "skip_thought_signature_validator"
"""What Google documents for calls that no Gemini model made, or whose signature is lost."""


def block_of(signature: str, thought: str) -> Json:
    return {"type": "thinking", "thinking": thought, "signature": PREFIX + signature}


def extra_content(signature: str) -> Json:
    return {"extra_content": {"google": {"thought_signature": signature}}}


def signature_of_call(call: Json) -> str:
    google = mapping(mapping(call.get("extra_content")).get("google"))
    return text_or(google.get("thought_signature"))


def signatures_in(thinking_blocks: Any) -> list[str]:
    """Those of Gemini's, in order."""
    found = (text_or(block.get("signature")) for block in objects(thinking_blocks) if block.get("type") == "thinking")
    return [signature.removeprefix(PREFIX) for signature in found if signature.startswith(PREFIX)]


def sign(texts: list[Json], calls: list[Json], signatures: list[str], *, needed: bool) -> None:
    """Put signatures where they belong, in place. Calls may have their own already. `needed`: the first call goes with
    one or is refused. An answer without a word keeps its signature in an empty text."""
    own = {call["thoughtSignature"] for call in calls if "thoughtSignature" in call}
    left = [signature for signature in signatures if signature not in own]
    if calls and left and "thoughtSignature" not in calls[0]:
        calls[0]["thoughtSignature"] = left.pop()
    if left and not calls and not texts:
        texts.append({"text": ""})
    if left and texts:
        texts[-1]["thoughtSignature"] = left.pop()
    if calls and needed:
        calls[0].setdefault("thoughtSignature", DUMMY)

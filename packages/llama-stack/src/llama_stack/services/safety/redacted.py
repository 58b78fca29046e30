"""What a shield's violation means for the texts that it was shown: they go no further, they go on redacted, or as they
are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_stack.agent.ports import Redacted, Violation
from llama_stack_api.safety import SafetyViolation, ViolationLevel


def verdict_on(
    found: SafetyViolation, shield_id: str, messages: Sequence[Mapping[str, Any]]
) -> Violation | Redacted | None:
    """What is less than an error is the provider's remark, but for the texts that it redacted (`redacted_texts`, or
    `redacted` where there is one text). Nothing passes where it does not say which is which."""
    metadata = found.metadata
    if found.violation_level != ViolationLevel.ERROR:
        shown = _texts_of(messages)
        redacted = metadata.get("redacted_texts")
        if redacted is None and metadata.get("redacted") is not None:
            redacted = [metadata["redacted"]]
        if redacted is None or redacted == shown:
            return None
        if (
            isinstance(redacted, list)
            and len(redacted) == len(shown)
            and all(isinstance(each, str) for each in redacted)
        ):
            return Redacted(shield_id, tuple(redacted))
    return Violation(shield_id, found.user_message or f"The shield {shield_id!r} does not let this pass.")


def _texts_of(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    contents = (message.get("content") for message in messages)
    texts = [
        text
        for content in contents
        for text in ([content] if isinstance(content, str) else [part.get("text") for part in content or ()])
    ]
    return [text for text in texts if text]

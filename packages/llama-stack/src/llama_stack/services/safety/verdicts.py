"""Two ways to say the same: a shield's violation, and a moderation's verdict by categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from llama_stack_api.openai.chat_messages import ImagePart, Message, TextPart
from llama_stack_api.openai.moderations import (
    CreateModerationResponse,
    ImageUrl,
    ModerationImage,
    ModerationPart,
    ModerationText,
    ModerationVerdict,
    verdict,
)
from llama_stack_api.safety import RunShieldRequest, RunShieldResponse, SafetyViolation, ViolationLevel

Judged: TypeAlias = str | list[ModerationPart]
"""What gets one verdict: a text, or texts and images together."""


def applied_types(judged: Judged) -> list[str]:
    """`text` and `image`, as far as they are there."""
    if isinstance(judged, str):
        return ["text"]
    there = {"image" if isinstance(part, ModerationImage) else "text" for part in judged}
    return sorted(there, reverse=True)


def shield_request(shield_id: str, judged: Judged) -> RunShieldRequest:
    """It is judged as what a user says."""
    content = judged if isinstance(judged, str) else [part.model_dump(exclude_none=True) for part in judged]
    return RunShieldRequest.model_validate({"shield_id": shield_id, "messages": [{"role": "user", "content": content}]})


def verdict_of(answer: RunShieldResponse, shield_id: str, judged: Judged) -> ModerationVerdict:
    """The categories and scores of the violation's metadata. One that names none is flagged under the shield's id."""
    found = answer.violation
    if found is None:
        return verdict({}, {}, [])
    flagged = found.violation_level == ViolationLevel.ERROR
    categories = _categories(found) or ([shield_id] if flagged else [])
    return verdict(
        _scores(found),
        dict.fromkeys(categories, flagged),
        applied_types(judged),
        user_message=found.user_message,
        metadata=found.metadata or None,
    )


def _categories(found: SafetyViolation) -> list[str]:
    """`violation_type` is what providers of llama-stack-api 0.7 write, one code or several."""
    named = found.metadata.get("categories") or found.metadata.get("violation_type")
    return [str(each) for each in named] if isinstance(named, list) else [str(named)] if named else []


def _scores(found: SafetyViolation) -> dict[str, float]:
    scores: Any = found.metadata.get("scores")
    if not isinstance(scores, dict):
        return {}
    return {str(name): float(score) for name, score in scores.items() if isinstance(score, int | float)}


def moderation_parts(messages: Sequence[Message]) -> list[ModerationPart]:
    """All text and images of a conversation, for a provider that only moderates."""
    parts: list[ModerationPart] = []
    for message in messages:
        if isinstance(message.content, str):
            parts.append(ModerationText(text=message.content))
            continue
        for part in message.content or ():
            if isinstance(part, TextPart):
                parts.append(ModerationText(text=part.text))
            elif isinstance(part, ImagePart):
                parts.append(ModerationImage(image_url=ImageUrl(url=part.image_url.url)))
    return parts


def violation_of(answer: CreateModerationResponse) -> RunShieldResponse:
    """What of a moderation is flagged, as a violation."""
    flagged = [result for result in answer.results if result.flagged]
    if not flagged:
        return RunShieldResponse()
    categories = list(dict.fromkeys(name for each in flagged for name, is_so in each.categories.items() if is_so))
    return RunShieldResponse(
        violation=SafetyViolation(
            violation_level=ViolationLevel.ERROR,
            user_message=next((each.user_message for each in flagged if each.user_message), None),
            metadata={"categories": categories, "scores": flagged[0].category_scores},
        )
    )

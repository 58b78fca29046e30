"""Requests and replies of the safety API."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from llama_stack_api.base import JsonObject, WireModel
from llama_stack_api.openai.chat_messages import Message


class RunShieldRequest(WireModel):
    shield_id: str = Field(min_length=1)
    messages: list[Message]


class ViolationLevel(StrEnum):
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class SafetyViolation(WireModel):
    """`user_message` may be shown to the user; `metadata` holds the codes of what was violated."""

    violation_level: ViolationLevel
    user_message: str | None = None
    metadata: JsonObject = Field(default_factory=dict)


class RunShieldResponse(WireModel):
    """No violation: the messages are safe."""

    violation: SafetyViolation | None = None


class RunModerationRequest(WireModel):
    """`model` names a shield; none means the default one."""

    input: str | list[str]
    model: str | None = None


class ModerationObjectResults(WireModel):
    """Per category: whether it is flagged, its score (0 to 1), and which kinds of input it was judged by."""

    flagged: bool
    categories: dict[str, bool] | None = None
    category_applied_input_types: dict[str, list[str]] | None = None
    category_scores: dict[str, float] | None = None
    user_message: str | None = None
    metadata: JsonObject = Field(default_factory=dict)


class ModerationObject(WireModel):
    """One result per input, in the order of the request."""

    id: str
    model: str
    results: list[ModerationObjectResults]

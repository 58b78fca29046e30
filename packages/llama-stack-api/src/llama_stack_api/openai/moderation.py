"""Moderation within a chat completion: what the request asks for, what the reply reports."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from llama_stack_api.base import WireModel


class ModerationMode(WireModel):
    """Only report scores, or stop what is flagged."""

    mode: Literal["score", "block"]


class ModerationPolicy(WireModel):
    input: ModerationMode | None = None
    output: ModerationMode | None = None


class ModerationOptions(WireModel):
    model: str
    policy: ModerationPolicy | None = None


class ModerationResult(WireModel):
    """Per category: whether it is flagged, its score (0 to 1), and which kinds of input it was judged by."""

    type: Literal["moderation_result"] = "moderation_result"
    model: str
    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]


class ModerationResults(WireModel):
    type: Literal["moderation_results"] = "moderation_results"
    model: str
    results: list[ModerationResult]


class ModerationFailure(WireModel):
    type: Literal["error"] = "error"
    code: str
    message: str


ModerationOutcome: TypeAlias = Annotated[ModerationResults | ModerationFailure, Field(discriminator="type")]


class CompletionModeration(WireModel):
    input: ModerationOutcome
    output: ModerationOutcome

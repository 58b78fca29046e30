"""Token counts and the service tier, which chat and text completions share."""

from __future__ import annotations

from typing import Literal, TypeAlias

from llama_stack_api.base import WireModel

ServiceTier: TypeAlias = Literal["auto", "default", "flex", "scale", "priority", "fast"] | str


class CompletionTokensDetails(WireModel):
    accepted_prediction_tokens: int | None = None
    audio_tokens: int | None = None
    reasoning_tokens: int | None = None
    text_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class PromptTokensDetails(WireModel):
    audio_tokens: int | None = None
    cached_tokens: int | None = None
    text_tokens: int | None = None
    image_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionUsage(WireModel):
    """Tokens of one request. The prompt's include those read from a cache."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    completion_tokens_details: CompletionTokensDetails | None = None
    prompt_tokens_details: PromptTokensDetails | None = None

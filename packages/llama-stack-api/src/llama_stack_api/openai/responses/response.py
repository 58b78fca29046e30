"""A response: what became of a request."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from llama_stack_api.base import DEPRECATED, Flag, Integer, Metadata, Number, UnixTime, WireModel
from llama_stack_api.openai.moderation import ModerationFailure, ModerationResult
from llama_stack_api.openai.responses.items import InputItem, OutputItem
from llama_stack_api.openai.responses.settings import (
    ConversationReference,
    PromptCacheOptions,
    PromptReference,
    Reasoning,
    ServiceTier,
    TextOptions,
    ToolChoice,
    Truncation,
)
from llama_stack_api.openai.responses.tools import Tool

ResponseStatus: TypeAlias = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
IncompleteReason: TypeAlias = Literal["max_output_tokens", "content_filter"] | str
ResponseErrorCode: TypeAlias = (
    Literal[
        "server_error", "rate_limit_exceeded", "invalid_prompt", "data_residency_mismatch", "bio_policy",
        "vector_store_timeout", "invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url",
        "image_too_large", "image_too_small", "image_parse_error", "image_content_policy_violation",
        "invalid_image_mode", "image_file_too_large", "unsupported_image_media_type", "empty_image_file",
        "failed_to_download_image", "image_file_not_found",
    ]
    | str
)  # fmt: skip


class ResponseError(WireModel):
    """Why a response `failed`."""

    code: ResponseErrorCode
    message: str


class IncompleteDetails(WireModel):
    reason: IncompleteReason | None = None


class InputTokensDetails(WireModel):
    cached_tokens: Integer = 0
    cache_write_tokens: Integer = 0


class OutputTokensDetails(WireModel):
    reasoning_tokens: Integer = 0


class ResponseUsage(WireModel):
    """Tokens of the whole response, over all of its calls of the model."""

    input_tokens: Integer
    input_tokens_details: InputTokensDetails = Field(default_factory=InputTokensDetails)
    output_tokens: Integer
    output_tokens_details: OutputTokensDetails = Field(default_factory=OutputTokensDetails)
    total_tokens: Integer


ModerationVerdict: TypeAlias = Annotated[ModerationResult | ModerationFailure, Field(discriminator="type")]


class ResponseModeration(WireModel):
    input: ModerationVerdict
    output: ModerationVerdict


class Response(WireModel):
    """A response, at any time of its life. Settings are those that were in force, defaults included.

    `usage` and `text` are absent, not null, until they are known: so says the contract.
    """

    nulls_sent: ClassVar[frozenset[str]] = frozenset(
        {
            "completed_at", "conversation", "error", "incomplete_details", "instructions", "max_output_tokens",
            "max_tool_calls", "metadata", "previous_response_id", "prompt_cache_key", "reasoning",
            "safety_identifier", "temperature", "top_p",
        }
    )  # fmt: skip

    id: str
    object: Literal["response"] = "response"
    created_at: UnixTime
    completed_at: UnixTime | None = None
    status: ResponseStatus | None = None
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    model: str
    output: list[OutputItem] = Field(default_factory=list)
    output_text: str | None = Field(
        default=None, description="All text of `output`. Client libraries work it out themselves."
    )
    usage: ResponseUsage | None = None

    background: Flag | None = None
    conversation: ConversationReference | None = None
    instructions: Annotated[str | list[InputItem], Field(union_mode="left_to_right")] | None = None
    max_output_tokens: Integer | None = None
    max_tool_calls: Integer | None = None
    metadata: Metadata | None = None
    moderation: ResponseModeration | None = None
    parallel_tool_calls: Flag = True
    previous_response_id: str | None = None
    prompt: PromptReference | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | str | None = Field(default=None, json_schema_extra=DEPRECATED)
    reasoning: Reasoning | None = None
    safety_identifier: str | None = None
    service_tier: ServiceTier | None = None
    store: Flag | None = None
    temperature: Number | None = None
    text: TextOptions | None = None
    tool_choice: ToolChoice = "auto"
    tools: list[Tool] = Field(default_factory=list)
    top_logprobs: Integer | None = None
    top_p: Number | None = None
    truncation: Truncation | None = None
    user: str | None = Field(default=None, json_schema_extra=DEPRECATED)

    # beyond OpenAI's contract
    frequency_penalty: Number | None = None
    max_infer_iters: Integer | None = None
    presence_penalty: Number | None = None

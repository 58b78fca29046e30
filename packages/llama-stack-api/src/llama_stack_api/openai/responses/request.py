"""The request for a response."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from llama_stack_api.base import DEPRECATED, Flag, Integer, Metadata, Number, WireModel
from llama_stack_api.openai.moderation import ModerationOptions
from llama_stack_api.openai.responses.items import InputItem
from llama_stack_api.openai.responses.settings import (
    ConversationReference,
    Include,
    PromptCacheOptions,
    PromptReference,
    Reasoning,
    ServiceTier,
    TextOptions,
    ToolChoice,
    Truncation,
)
from llama_stack_api.openai.responses.tools import Tool

Input: TypeAlias = Annotated[str | list[InputItem], Field(union_mode="left_to_right")]
"""What the model is to answer. A string is one message of the user."""

ConversationParam: TypeAlias = Annotated[str | ConversationReference, Field(union_mode="left_to_right")]


class StreamOptions(WireModel):
    """Only with `stream`."""

    include_obfuscation: Flag | None = None


class ContextManagement(WireModel):
    """Compact the context once it holds `compact_threshold` tokens."""

    type: Literal["compaction"] | str = "compaction"
    compact_threshold: Integer | None = Field(default=None, ge=1000)


class Guardrail(WireModel):
    """A shield, by its id."""

    type: str


class ResponseRequest(WireModel):
    """A request for a response. Without a `model`, the stored `prompt` names it."""

    model: str | None = None
    input: Input | None = None

    background: Flag | None = Field(default=None, description="Answer at once; the response is `queued` and goes on.")
    context_management: list[ContextManagement] | None = Field(default=None, min_length=1)
    conversation: ConversationParam | None = Field(
        default=None, description="Its items come before `input`; `input` and output are added to it."
    )
    include: list[Include] | None = None
    instructions: str | None = Field(default=None, description="For this response alone, not for those that follow.")
    max_output_tokens: Integer | None = Field(default=None, ge=16, description="Includes reasoning tokens.")
    max_tool_calls: Integer | None = Field(default=None, ge=1, description="Of tools that the server runs, in all.")
    metadata: Metadata | None = None
    moderation: ModerationOptions | None = None
    parallel_tool_calls: Flag | None = None
    previous_response_id: str | None = None
    prompt: PromptReference | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | str | None = Field(default=None, json_schema_extra=DEPRECATED)
    reasoning: Reasoning | None = None
    safety_identifier: str | None = Field(default=None, max_length=64)
    service_tier: ServiceTier | None = None
    store: Flag | None = Field(default=None, description="Keep the response, to be read and continued later.")
    stream: Flag | None = None
    stream_options: StreamOptions | None = None
    temperature: Number | None = Field(default=None, ge=0, le=2)
    text: TextOptions | None = None
    tool_choice: ToolChoice | None = None
    tools: list[Tool] | None = None
    top_logprobs: Integer | None = Field(default=None, ge=0, le=20)
    top_p: Number | None = Field(default=None, ge=0, le=1)
    truncation: Truncation | None = Field(default=None, json_schema_extra=DEPRECATED)
    user: str | None = Field(default=None, json_schema_extra=DEPRECATED)

    # Llama Stack's own
    frequency_penalty: Number | None = Field(default=None, ge=-2, le=2)
    guardrails: list[Annotated[str | Guardrail, Field(union_mode="left_to_right")]] | None = Field(
        default=None, description="Ids of the shields that judge input and output."
    )
    max_infer_iters: Integer | None = Field(default=None, ge=1, description="How often the model may be asked.")
    presence_penalty: Number | None = Field(default=None, ge=-2, le=2)

"""The core of Anthropic's Messages API: text, images, tools and thinking. Whatever else a request holds is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal, Protocol, TypeAlias, runtime_checkable

from pydantic import Field, Tag

from llama_stack_api.base import OTHER, Flag, Integer, JsonObject, Number, WireModel, by_type, other_than

BLOCK_TYPES = ("text", "image", "tool_use", "tool_result", "thinking")


class AnthropicTextBlock(WireModel):
    type: Literal["text"] = "text"
    text: str


class AnthropicImageSource(WireModel):
    """`base64` has `data` and its `media_type`, `url` an address, `file` the id of an upload."""

    type: Literal["base64", "url"] | str = "base64"
    media_type: str | None = None
    data: str | None = None
    url: str | None = None


class AnthropicImageBlock(WireModel):
    type: Literal["image"] = "image"
    source: AnthropicImageSource


class AnthropicToolUseBlock(WireModel):
    type: Literal["tool_use"] = "tool_use"
    id: str
    name: str
    input: JsonObject


class AnthropicToolResultBlock(WireModel):
    type: Literal["tool_result"] = "tool_result"
    tool_use_id: str
    content: str | list[AnthropicContentBlock] | None = None
    is_error: Flag | None = None


class AnthropicThinkingBlock(WireModel):
    type: Literal["thinking"] = "thinking"
    thinking: str
    signature: str | None = None


class AnthropicOtherBlock(WireModel):
    type: str = Field(json_schema_extra=other_than(*BLOCK_TYPES))


AnthropicContentBlock: TypeAlias = Annotated[
    Annotated[AnthropicTextBlock, Tag("text")]
    | Annotated[AnthropicImageBlock, Tag("image")]
    | Annotated[AnthropicToolUseBlock, Tag("tool_use")]
    | Annotated[AnthropicToolResultBlock, Tag("tool_result")]
    | Annotated[AnthropicThinkingBlock, Tag("thinking")]
    | Annotated[AnthropicOtherBlock, Tag(OTHER)],
    by_type(*BLOCK_TYPES),
]


class AnthropicMessage(WireModel):
    role: Literal["user", "assistant"]
    content: str | list[AnthropicContentBlock]


class AnthropicToolDef(WireModel):
    """Tools of the server's own have a `type` and no schema."""

    name: str
    description: str | None = None
    input_schema: JsonObject | None = None


class AnthropicThinkingConfig(WireModel):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Integer | None = Field(default=None, ge=1)


class AnthropicCountTokensRequest(WireModel):
    model: str
    messages: list[AnthropicMessage]
    system: str | list[AnthropicTextBlock] | None = None
    tools: list[AnthropicToolDef] | None = None
    tool_choice: JsonObject | None = None
    thinking: AnthropicThinkingConfig | None = None


class AnthropicCreateMessageRequest(AnthropicCountTokensRequest):
    max_tokens: Integer = Field(ge=1)
    stream: Flag | None = None
    temperature: Number | None = Field(default=None, ge=0, le=1)
    top_p: Number | None = Field(default=None, ge=0, le=1)
    top_k: Integer | None = Field(default=None, ge=0)
    stop_sequences: list[str] | None = None
    metadata: JsonObject | None = None
    service_tier: str | None = None


class AnthropicUsage(WireModel):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class AnthropicMessageResponse(WireModel):
    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    content: list[AnthropicContentBlock]
    model: str
    stop_reason: Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"] | str | None = None
    stop_sequence: str | None = None
    usage: AnthropicUsage


class AnthropicCountTokensResponse(WireModel):
    input_tokens: int


@runtime_checkable
class Messages(Protocol):
    async def create_message(
        self, request: AnthropicCreateMessageRequest
    ) -> AnthropicMessageResponse | AsyncIterator[Any]:
        """A stream of events if `request.stream`."""
        ...

    async def count_message_tokens(self, request: AnthropicCountTokensRequest) -> AnthropicCountTokensResponse: ...

"""The core of Anthropic's Messages API: text, images, tools and thinking. Whatever else a request holds is kept."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, Tag

from llama_stack_api.base import OTHER, Flag, Integer, JsonObject, Number, WireModel, by_type, other_than

BLOCK_TYPES = ("text", "image", "tool_use", "tool_result", "thinking")


class TextBlock(WireModel):
    type: Literal["text"] = "text"
    text: str


class ImageSource(WireModel):
    """`base64` has `data` and its `media_type`, `url` an address, `file` the id of an upload."""

    type: Literal["base64", "url"] | str = "base64"
    media_type: str | None = None
    data: str | None = None
    url: str | None = None


class ImageBlock(WireModel):
    type: Literal["image"] = "image"
    source: ImageSource


class ToolUseBlock(WireModel):
    type: Literal["tool_use"] = "tool_use"
    id: str
    name: str
    input: JsonObject


class ToolResultBlock(WireModel):
    type: Literal["tool_result"] = "tool_result"
    tool_use_id: str
    content: str | list[ContentBlock] | None = None
    is_error: Flag | None = None


class ThinkingBlock(WireModel):
    type: Literal["thinking"] = "thinking"
    thinking: str
    signature: str | None = None


class OtherBlock(WireModel):
    type: str = Field(json_schema_extra=other_than(*BLOCK_TYPES))


ContentBlock: TypeAlias = Annotated[
    Annotated[TextBlock, Tag("text")]
    | Annotated[ImageBlock, Tag("image")]
    | Annotated[ToolUseBlock, Tag("tool_use")]
    | Annotated[ToolResultBlock, Tag("tool_result")]
    | Annotated[ThinkingBlock, Tag("thinking")]
    | Annotated[OtherBlock, Tag(OTHER)],
    by_type(*BLOCK_TYPES),
]


class InputMessage(WireModel):
    role: Literal["user", "assistant"]
    content: str | list[ContentBlock]


class Tool(WireModel):
    """Tools of the server's own have a `type` and no schema."""

    name: str
    description: str | None = None
    input_schema: JsonObject | None = None


class ThinkingConfig(WireModel):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Integer | None = Field(default=None, ge=1)


class CountTokensRequest(WireModel):
    model: str
    messages: list[InputMessage]
    system: str | list[TextBlock] | None = None
    tools: list[Tool] | None = None
    tool_choice: JsonObject | None = None
    thinking: ThinkingConfig | None = None


class CreateMessageRequest(CountTokensRequest):
    max_tokens: Integer = Field(ge=1)
    stream: Flag | None = None
    temperature: Number | None = Field(default=None, ge=0, le=1)
    top_p: Number | None = Field(default=None, ge=0, le=1)
    top_k: Integer | None = Field(default=None, ge=0)
    stop_sequences: list[str] | None = None
    metadata: JsonObject | None = None
    service_tier: str | None = None


class Usage(WireModel):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class Message(WireModel):
    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    content: list[ContentBlock]
    model: str
    stop_reason: Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"] | str | None = None
    stop_sequence: str | None = None
    usage: Usage


class TokenCount(WireModel):
    input_tokens: int

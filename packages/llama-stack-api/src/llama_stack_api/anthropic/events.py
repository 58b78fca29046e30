"""The events of a streamed message, in their order: `message_start`, for each block `content_block_start`, deltas and
`content_block_stop`, then `message_delta` and `message_stop`. `ping` may come anywhere, and `error` ends a stream."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field, Tag

from llama_stack_api.anthropic.blocks import ContentBlock
from llama_stack_api.anthropic.content import Citation
from llama_stack_api.anthropic.errors import Error
from llama_stack_api.anthropic.messages import Container, Message, ServerToolUsage, StopDetails, StopReason
from llama_stack_api.base import OTHER, WireModel, by_type, other_than

DELTA_TYPES = ("text_delta", "input_json_delta", "thinking_delta", "signature_delta", "citations_delta")
EVENT_TYPES = (
    "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
    "message_stop", "ping", "error",
)  # fmt: skip


class TextDelta(WireModel):
    type: Literal["text_delta"] = "text_delta"
    text: str


class InputJsonDelta(WireModel):
    """A piece of the JSON text of a tool's input."""

    type: Literal["input_json_delta"] = "input_json_delta"
    partial_json: str


class ThinkingDelta(WireModel):
    type: Literal["thinking_delta"] = "thinking_delta"
    thinking: str


class SignatureDelta(WireModel):
    type: Literal["signature_delta"] = "signature_delta"
    signature: str


class CitationsDelta(WireModel):
    type: Literal["citations_delta"] = "citations_delta"
    citation: Citation


class OtherDelta(WireModel):
    type: str = Field(json_schema_extra=other_than(*DELTA_TYPES))


Delta: TypeAlias = Annotated[
    Annotated[TextDelta, Tag("text_delta")]
    | Annotated[InputJsonDelta, Tag("input_json_delta")]
    | Annotated[ThinkingDelta, Tag("thinking_delta")]
    | Annotated[SignatureDelta, Tag("signature_delta")]
    | Annotated[CitationsDelta, Tag("citations_delta")]
    | Annotated[OtherDelta, Tag(OTHER)],
    by_type(*DELTA_TYPES),
]


class MessageStart(WireModel):
    """`message` has no content yet."""

    type: Literal["message_start"] = "message_start"
    message: Message


class ContentBlockStart(WireModel):
    type: Literal["content_block_start"] = "content_block_start"
    index: int
    content_block: ContentBlock


class ContentBlockDelta(WireModel):
    type: Literal["content_block_delta"] = "content_block_delta"
    index: int
    delta: Delta


class ContentBlockStop(WireModel):
    type: Literal["content_block_stop"] = "content_block_stop"
    index: int


class MessageEnd(WireModel):
    nulls_sent: ClassVar[frozenset[str]] = frozenset({"stop_reason", "stop_sequence"})

    stop_reason: StopReason = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    container: Container | None = None


class UsageSoFar(WireModel):
    """Of the whole message, not of this event."""

    output_tokens: int
    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    server_tool_use: ServerToolUsage | None = None


class MessageDelta(WireModel):
    type: Literal["message_delta"] = "message_delta"
    delta: MessageEnd
    usage: UsageSoFar


class MessageStop(WireModel):
    type: Literal["message_stop"] = "message_stop"


class Ping(WireModel):
    type: Literal["ping"] = "ping"


class ErrorEvent(WireModel):
    type: Literal["error"] = "error"
    error: Error
    request_id: str | None = None


class OtherEvent(WireModel):
    type: str = Field(json_schema_extra=other_than(*EVENT_TYPES))


MessageStreamEvent: TypeAlias = Annotated[
    Annotated[MessageStart, Tag("message_start")]
    | Annotated[ContentBlockStart, Tag("content_block_start")]
    | Annotated[ContentBlockDelta, Tag("content_block_delta")]
    | Annotated[ContentBlockStop, Tag("content_block_stop")]
    | Annotated[MessageDelta, Tag("message_delta")]
    | Annotated[MessageStop, Tag("message_stop")]
    | Annotated[Ping, Tag("ping")]
    | Annotated[ErrorEvent, Tag("error")]
    | Annotated[OtherEvent, Tag(OTHER)],
    by_type(*EVENT_TYPES),
]

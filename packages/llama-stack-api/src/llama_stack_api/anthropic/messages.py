"""Anthropic's Messages API: the request, the message that answers it, and the counting of tokens.

Requests are tolerant: unknown fields, and blocks and tools of unknown types, are kept and go on as they came.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from llama_stack_api.anthropic.blocks import ContentBlock
from llama_stack_api.anthropic.content import CacheControl, TextBlock
from llama_stack_api.anthropic.tools import AnyTool, MCPServer, ToolChoice
from llama_stack_api.base import DEPRECATED, Flag, Integer, JsonObject, Number, WireModel

MESSAGES_MAX = 100_000
TOOLS_MAX = 10_000
"""As many as Anthropic takes: messages of one request, and tools that may be searched."""

StopReason: TypeAlias = (
    Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"] | str | None
)


class InputMessage(WireModel):
    """`system` is an instruction in mid-conversation; those before it are in the request's `system`."""

    role: Literal["user", "assistant", "system"]
    content: str | list[ContentBlock]


class ThinkingConfig(WireModel):
    type: Literal["enabled", "disabled", "adaptive"] | str
    budget_tokens: Annotated[Integer, Field(ge=1)] | None = None
    display: Literal["summarized", "omitted"] | str | None = None


class JsonOutputFormat(WireModel):
    type: Literal["json_schema"] | str = "json_schema"
    schema_: JsonObject | None = Field(default=None, alias="schema")


class OutputConfig(WireModel):
    effort: Literal["low", "medium", "high", "max"] | str | None = None
    format: JsonOutputFormat | None = None


class Metadata(WireModel):
    """`user_id` is an opaque name of the caller's user."""

    user_id: str | None = None


class CountTokensRequest(WireModel):
    model: str
    messages: Annotated[list[InputMessage], Field(min_length=1, max_length=MESSAGES_MAX)]
    system: str | list[TextBlock] | None = None
    tools: Annotated[list[AnyTool], Field(max_length=TOOLS_MAX)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: JsonOutputFormat | None = None
    cache_control: CacheControl | None = None
    mcp_servers: list[MCPServer] | None = None
    context_management: JsonObject | None = None


class CreateMessageRequest(CountTokensRequest):
    max_tokens: Integer = Field(ge=1)
    stream: Flag | None = None
    temperature: Annotated[Number, Field(ge=0, le=1)] | None = Field(default=None, json_schema_extra=DEPRECATED)
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = Field(default=None, json_schema_extra=DEPRECATED)
    top_k: Annotated[Integer, Field(ge=0)] | None = Field(default=None, json_schema_extra=DEPRECATED)
    stop_sequences: list[str] | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | str | None = None
    container: str | JsonObject | None = None
    inference_geo: str | None = None


class CacheCreation(WireModel):
    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class ServerToolUsage(WireModel):
    web_search_requests: int = 0
    web_fetch_requests: int = 0


class Usage(WireModel):
    """`input_tokens` are those beside what was read from a cache or written to one."""

    nulls_sent: ClassVar[frozenset[str]] = frozenset(
        {
            *("cache_creation", "cache_creation_input_tokens", "cache_read_input_tokens"),
            *("inference_geo", "server_tool_use", "service_tier"),
        }
    )

    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    server_tool_use: ServerToolUsage | None = None
    service_tier: Literal["standard", "priority", "batch"] | str | None = None
    inference_geo: str | None = None


class Container(WireModel):
    id: str
    expires_at: str


class StopDetails(WireModel):
    """Why the model refused."""

    type: Literal["refusal"] | str = "refusal"
    category: Literal["cyber", "bio"] | str | None = None
    explanation: str | None = None


class Message(WireModel):
    nulls_sent: ClassVar[frozenset[str]] = frozenset({"stop_reason", "stop_sequence", "stop_details", "container"})

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    content: list[ContentBlock]
    model: str
    stop_reason: StopReason = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: Usage
    container: Container | None = None


class TokenCount(WireModel):
    input_tokens: int

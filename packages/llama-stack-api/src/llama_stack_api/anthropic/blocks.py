"""Content blocks: what messages of a request and replies are made of."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, Tag

from llama_stack_api.anthropic.content import (
    Block,
    DocumentBlock,
    ImageBlock,
    SearchResultBlock,
    TextBlock,
    ToolReference,
)
from llama_stack_api.anthropic.server_results import (
    BashExecutionToolResult,
    CodeExecutionToolResult,
    EditorToolResult,
    MCPToolResult,
    ToolCaller,
    ToolSearchToolResult,
    WebFetchToolResult,
    WebSearchToolResult,
)
from llama_stack_api.base import OTHER, Flag, JsonObject, WireModel, by_type, other_than

RESULT_PART_TYPES = ("text", "image", "search_result", "document", "tool_reference")
BLOCK_TYPES = (
    "text", "image", "document", "search_result", "thinking", "redacted_thinking",
    "tool_use", "tool_result", "server_tool_use", "web_search_tool_result", "web_fetch_tool_result",
    "tool_search_tool_result", "code_execution_tool_result", "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result", "container_upload", "mcp_tool_use", "mcp_tool_result",
)  # fmt: skip


class ThinkingBlock(WireModel):
    """`signature` is the model's, for the block to be taken back unchanged."""

    type: Literal["thinking"] = "thinking"
    thinking: str
    signature: str | None = None


class RedactedThinkingBlock(WireModel):
    type: Literal["redacted_thinking"] = "redacted_thinking"
    data: str


class ToolUseBlock(Block):
    """A call of a tool that the caller runs."""

    type: Literal["tool_use"] = "tool_use"
    id: str
    name: str
    input: JsonObject
    caller: ToolCaller | None = None


class OtherResultPart(WireModel):
    type: str = Field(json_schema_extra=other_than(*RESULT_PART_TYPES))


ResultPart: TypeAlias = Annotated[
    Annotated[TextBlock, Tag("text")]
    | Annotated[ImageBlock, Tag("image")]
    | Annotated[SearchResultBlock, Tag("search_result")]
    | Annotated[DocumentBlock, Tag("document")]
    | Annotated[ToolReference, Tag("tool_reference")]
    | Annotated[OtherResultPart, Tag(OTHER)],
    by_type(*RESULT_PART_TYPES),
]


class ToolResultBlock(Block):
    type: Literal["tool_result"] = "tool_result"
    tool_use_id: str
    content: str | list[ResultPart] | None = None
    is_error: Flag | None = None


class ServerToolUseBlock(Block):
    """A call of a tool that the server runs."""

    type: Literal["server_tool_use"] = "server_tool_use"
    id: str
    name: (
        Literal[
            "web_search", "web_fetch", "code_execution", "bash_code_execution", "text_editor_code_execution",
            "tool_search_tool_regex", "tool_search_tool_bm25",
        ]
        | str
    )  # fmt: skip
    input: JsonObject
    caller: ToolCaller | None = None


class MCPToolUseBlock(Block):
    type: Literal["mcp_tool_use"] = "mcp_tool_use"
    id: str
    name: str
    server_name: str
    input: JsonObject


class ContainerUploadBlock(Block):
    type: Literal["container_upload"] = "container_upload"
    file_id: str


class OtherBlock(WireModel):
    type: str = Field(json_schema_extra=other_than(*BLOCK_TYPES))


ContentBlock: TypeAlias = Annotated[
    Annotated[TextBlock, Tag("text")]
    | Annotated[ImageBlock, Tag("image")]
    | Annotated[DocumentBlock, Tag("document")]
    | Annotated[SearchResultBlock, Tag("search_result")]
    | Annotated[ThinkingBlock, Tag("thinking")]
    | Annotated[RedactedThinkingBlock, Tag("redacted_thinking")]
    | Annotated[ToolUseBlock, Tag("tool_use")]
    | Annotated[ToolResultBlock, Tag("tool_result")]
    | Annotated[ServerToolUseBlock, Tag("server_tool_use")]
    | Annotated[WebSearchToolResult, Tag("web_search_tool_result")]
    | Annotated[WebFetchToolResult, Tag("web_fetch_tool_result")]
    | Annotated[ToolSearchToolResult, Tag("tool_search_tool_result")]
    | Annotated[CodeExecutionToolResult, Tag("code_execution_tool_result")]
    | Annotated[BashExecutionToolResult, Tag("bash_code_execution_tool_result")]
    | Annotated[EditorToolResult, Tag("text_editor_code_execution_tool_result")]
    | Annotated[ContainerUploadBlock, Tag("container_upload")]
    | Annotated[MCPToolUseBlock, Tag("mcp_tool_use")]
    | Annotated[MCPToolResult, Tag("mcp_tool_result")]
    | Annotated[OtherBlock, Tag(OTHER)],
    by_type(*BLOCK_TYPES),
]
